/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "kexec-trees.h"
#include "kexec-util.h"
#include "mount-table.h"

#define UTAB "/run/mount/utab"

/* What mount.pkram writes there, among the options of the mount, so that umount(8) runs umount.pkram. */
#define OPTION "helper=pkram"

/* What umount.pkram adds to that if it fails. */
#define LOST_OPTION "x-pkram.lost="

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
        mount_text_decode(name);
        if (path)
                mount_text_decode(path);
        tree.name = name;
        tree.path = path;
        *ret = tree;
        return 1;
}

/* mount.pkram makes a tmpfs and gives it the tree's name as its source, which it keeps if it is moved. */
static int mount_line_is_tree(const MountLine *m, void *userdata) {
        const KexecTree *tree = userdata;

        return strcmp(m->type, "tmpfs") == 0 &&
                (strcmp(m->target, tree->path) == 0 || strcmp(m->source, tree->name) == 0);
}

/* Returns 1 if the tree is in the table of mounts, 0 if not, or -ENOMEM. */
static int tree_is_mounted(KexecTree *tree, const char *mounts) {
        _cleanup_free_ char *lines = NULL;

        if (!mounts || !tree->path)
                return 1;
        lines = strdup(mounts);
        return lines ? mount_lines_foreach(lines, mount_line_is_tree, tree) : -ENOMEM;
}

int kexec_for_each_tree(const char *utab, const char *mounts, KexecTreeFunction function, void *userdata) {
        _cleanup_free_ char *line = NULL, *table = NULL;
        size_t allocated = 0;
        FILE *f;
        int r = 0;

        assert(function);

        f = fopen(utab ?: UTAB, "re");
        if (!f)
                return errno == ENOENT ? 0 : -errno;
        while (r >= 0 && getline(&line, &allocated, f) >= 0) {
                KexecTree tree;

                if (!tree_of_line(line, &tree))
                        continue;
                if (mounts && !table)
                        r = mount_table_read(mounts, &table);
                if (r >= 0)
                        r = tree_is_mounted(&tree, table);
                if (r > 0)
                        r = function(&tree, userdata);
        }
        if (r >= 0 && ferror(f))
                r = -EIO;
        (void) fclose(f);
        return r < 0 ? r : 0;
}
