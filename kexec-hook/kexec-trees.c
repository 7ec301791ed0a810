/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "kexec-trees.h"
#include "kexec-util.h"

#define UTAB "/run/mount/utab"

/* What mount.pkram writes there, among the options of the mount, so that umount(8) runs umount.pkram. */
#define OPTION "helper=pkram"

/* OPTS=a,b,c as one of the words of a line. */
static int is_tree(char *line) {
        char *word, *option;

        while ((word = strsep(&line, " \t\n"))) {
                if (strncmp(word, "OPTS=", 5) != 0)
                        continue;
                word += 5;
                while ((option = strsep(&word, ",")))
                        if (strcmp(option, OPTION) == 0)
                                return 1;
        }
        return 0;
}

int kexec_count_trees(const char *utab, uint64_t *ret) {
        _cleanup_free_ char *line = NULL;
        size_t allocated = 0;
        uint64_t n = 0;
        FILE *f;
        int r = 0;

        assert(ret);

        f = fopen(utab ?: UTAB, "re");
        if (!f && errno != ENOENT)
                return -errno;
        if (f) {
                while (getline(&line, &allocated, f) >= 0)
                        n += (uint64_t) is_tree(line);
                if (ferror(f))
                        r = -EIO;
                (void) fclose(f);
        }
        if (r < 0)
                return r;

        *ret = n;
        return 0;
}
