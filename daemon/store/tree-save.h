/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the store-tree-*.c files that store. */
#pragma once

#include "store-internal.h"
#include "tree-files.h"

typedef struct TreeLevel {
        int fd;
        struct stat st;
        char *names;
        size_t size, position;
} TreeLevel;

typedef struct TreeSave {
        TreeLevel *levels;
        size_t n_levels, allocated;
        void *links; /* files with more than one name */
        TreeTable table;
        uint8_t *chunk; /* small files, not saved yet */
        size_t chunk_size;
        size_t sums_allocated;
        int fd; /* file being summed, or -EBADF */
        uint64_t saved; /* bytes in this step */
        uint64_t done, total; /* bytes of the tmpfs: looked at, and in it; 0 if that cannot be told */
        uint64_t current; /* of that, in the file that is being summed */
        Usage usage;
        bool finished;
} TreeSave;

static inline void tree_level_done(TreeLevel *l) {
        safe_close(l->fd);
        free(l->names);
}

/* --- store-tree-stream.c --- */

/* Counts one more object, and makes room for its checksum. */
int tree_new_object(StoreSave *save, StoreError *e);

/* Saves bytes as an object of their own. */
int tree_save_stream(StoreSave *save, const void *data, size_t size, StoreError *e);

/* Saves the packed files collected so far. */
int tree_flush(StoreSave *save, StoreError *e);

/* --- store-tree-entry.c --- */

/* Goes down into a directory, which has to be the one expected, and adds its entry. */
int tree_enter(StoreSave *save, int dir, const char *name, const struct stat *expected, StoreError *e);

/* Goes up again. */
int tree_leave(TreeSave *t, StoreError *e);

/* Saves what comes next in the directory that is open. */
int tree_save_entry(StoreSave *save, StoreError *e);
