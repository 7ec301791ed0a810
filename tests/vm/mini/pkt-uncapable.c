/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Run a program as root without CAP_SYS_ADMIN, as services with a CapabilityBoundingSet= and containers do. */
#define _GNU_SOURCE
#include <linux/capability.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "pkt.h"

int cmd_uncapable(int argc, char **argv) {
        if (argc < 2)
                return complain("uncapable PROGRAM [ARGUMENT...]");
        /* root gets all capabilities of the bounding set at execve() */
        if (prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0) < 0)
                return complain("cannot drop CAP_SYS_ADMIN: %m");
        execvp(argv[1], argv + 1);
        return complain("cannot run %s: %m", argv[1]);
}
