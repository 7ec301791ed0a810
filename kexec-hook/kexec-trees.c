/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "file-util.h"
#include "kexec-trees.h"
#include "mount-table.h"

#define UTAB "/run/mount/utab"

/* What mount.pkram writes there, among the options of the mount, so that umount(8) runs umount.pkram. */
#define OPTION "helper=pkram"

/* What umount.pkram adds to that if it fails. */
#define LOST_OPTION "x-pkram.lost="

/* The importance of the tree when it is written to disk. */
#define PERSIST_OPTION "x-pkram.persist="

static int tree_has_option(char *options, KexecTree *tree) {
        char *option;
        int found = 0;

        while ((option = strsep(&options, ",")))
                if (strcmp(option, OPTION) == 0)
                        found = 1;
                else if (strncmp(option, LOST_OPTION, strlen(LOST_OPTION)) == 0)
                        tree->lost = option + strlen(LOST_OPTION);
                else if (strncmp(option, PERSIST_OPTION, strlen(PERSIST_OPTION)) == 0)
                        tree->persist = option + strlen(PERSIST_OPTION);
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
                        is_tree = tree_has_option(word + 5, &tree);
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

/* A tree of the table. Its strings point into the line. */
typedef struct TreeLine {
        char *line;
        KexecTree tree;
        bool mounted;
} TreeLine;

typedef struct TreeLines {
        TreeLine *lines;
        size_t n, allocated;
} TreeLines;

static void tree_lines_done(TreeLines *l) {
        for (size_t i = 0; i < l->n; i++)
                free(l->lines[i].line);
        free(l->lines);
}

static int tree_lines_read(FILE *f, TreeLines *l) {
        size_t allocated = 0;
        char *line = NULL;
        int r = 0;

        while (r >= 0 && getline(&line, &allocated, f) >= 0) {
                KexecTree tree;

                if (!tree_of_line(line, &tree))
                        continue;
                r = GREEDY_REALLOC(l->lines, l->allocated, l->n + 1);
                if (r < 0)
                        break;
                l->lines[l->n++] = (TreeLine) { .line = TAKE_PTR(line), .tree = tree };
                allocated = 0;
        }
        free(line);
        return r < 0 ? r : ferror(f) ? -EIO : 0;
}

/* mount.pkram makes a tmpfs and gives it the tree's name as its source, which it keeps if it is moved. */
static int mount_line_mark_trees(const MountLine *m, void *userdata) {
        TreeLines *l = userdata;

        if (strcmp(m->type, "tmpfs") != 0)
                return 0;
        for (size_t i = 0; i < l->n; i++) {
                const KexecTree *tree = &l->lines[i].tree;

                if (tree->path && (strcmp(m->target, tree->path) == 0 || strcmp(m->source, tree->name) == 0))
                        l->lines[i].mounted = true;
        }
        return 0;
}

int kexec_for_each_tree(const char *utab, const char *mounts, KexecTreeFunction function, void *userdata) {
        _cleanup_(tree_lines_done) TreeLines trees = {};
        _cleanup_free_ char *table = NULL;
        FILE *f;
        int r;

        assert(function);

        f = fopen(utab ?: UTAB, "re");
        if (!f)
                return errno == ENOENT ? 0 : -errno;
        r = tree_lines_read(f, &trees);
        (void) fclose(f);
        if (r >= 0 && mounts && trees.n > 0)
                r = virtual_file_read(AT_FDCWD, mounts, SIZE_MAX, &table);
        if (r < 0)
                return r;
        if (table)
                (void) mount_lines_foreach(table, mount_line_mark_trees, &trees);
        for (size_t i = 0; r >= 0 && i < trees.n; i++)
                if (!table || !trees.lines[i].tree.path || trees.lines[i].mounted)
                        r = function(&trees.lines[i].tree, userdata);
        return r < 0 ? r : 0;
}
