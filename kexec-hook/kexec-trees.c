/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "kexec-trees.h"
#include "kexec-util.h"

#define UTAB "/run/mount/utab"

/* What mount.pkram writes there, among the options of the mount, so that umount(8) runs umount.pkram. */
#define OPTION "helper=pkram"

/* What umount.pkram adds to that if it fails. */
#define LOST_OPTION "x-pkram.lost="

/* libmount writes blanks and backslashes as \ooo. */
static void tree_path_decode(char *text) {
        char *out = text;

        for (const char *p = text; *p; p++) {
                if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' && p[3] >= '0' &&
                    p[3] <= '7') {
                        *out++ = (char) ((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
                        p += 3;
                } else
                        *out++ = *p;
        }
        *out = 0;
}

static int tree_has_option(char *options, const char **ret_lost) {
        char *option;
        int found = 0;

        while ((option = strsep(&options, ",")))
                if (strcmp(option, OPTION) == 0)
                        found = 1;
                else if (strncmp(option, LOST_OPTION, strlen(LOST_OPTION)) == 0)
                        *ret_lost = option + strlen(LOST_OPTION);
        return found;
}

/* SRC=name TARGET=path OPTS=a,b,c among the words of a line, which is changed. Returns 1 if it is a tree, else 0. */
static int tree_of_line(char *line, KexecTree *ret) {
        char *word, *name = NULL, *path = NULL;
        KexecTree tree = {};
        int is_tree = 0;

        while ((word = strsep(&line, " \t\n")))
                if (strncmp(word, "SRC=", 4) == 0)
                        name = word + 4;
                else if (strncmp(word, "TARGET=", 7) == 0)
                        path = word + 7;
                else if (strncmp(word, "OPTS=", 5) == 0)
                        is_tree = tree_has_option(word + 5, &tree.lost);
        if (!name || !is_tree)
                return 0;
        tree_path_decode(name);
        if (path)
                tree_path_decode(path);
        tree.name = name;
        tree.path = path;
        *ret = tree;
        return 1;
}

int kexec_for_each_tree(const char *utab, KexecTreeFunction function, void *userdata) {
        _cleanup_free_ char *line = NULL;
        size_t allocated = 0;
        FILE *f;
        int r = 0;

        assert(function);

        f = fopen(utab ?: UTAB, "re");
        if (!f)
                return errno == ENOENT ? 0 : -errno;
        while (r >= 0 && getline(&line, &allocated, f) >= 0) {
                KexecTree tree;

                if (tree_of_line(line, &tree))
                        r = function(&tree, userdata);
        }
        if (r >= 0 && ferror(f))
                r = -EIO;
        (void) fclose(f);
        return r < 0 ? r : 0;
}

static int trees_count(const KexecTree *tree, void *userdata) {
        uint64_t *n = userdata;

        (void) tree;
        (*n)++;
        return 0;
}

int kexec_count_trees(const char *utab, uint64_t *ret) {
        uint64_t n = 0;
        int r;

        assert(ret);

        r = kexec_for_each_tree(utab, trees_count, &n);
        if (r < 0)
                return r;

        *ret = n;
        return 0;
}
