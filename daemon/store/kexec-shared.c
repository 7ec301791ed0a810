/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "kexec-shared.h"

/* Returns 1 with the text, which was made by asprintf(3), or -ENOMEM. */
#define PROBLEM(ret, ...) (asprintf(ret, __VA_ARGS__) < 0 ? (*(ret) = NULL, -ENOMEM) : 1)

int kexec_segment_problem(const Segment *segment, char **ret) {
        const char *obstacle;
        int r;

        *ret = NULL;
        r = segment_obstacle(segment, &obstacle);
        if (r == -EINVAL || r == -EIDRM)
                return 0;
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return PROBLEM(ret, "it cannot be examined (%s)", strerror(-r));
        return obstacle ? PROBLEM(ret, "%s", obstacle) : 1;
}
