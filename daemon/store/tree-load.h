/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the store-tree-*.c files that restore. */
#pragma once

#include "store-internal.h"
#include "tree-files.h"
#include "tree-target.h"

typedef struct TreeLoadLevel {
        int fd;
        uint32_t entry;
} TreeLoadLevel;

struct StoreTreeLoad {
        const Peer *peer;
        char *name, *kernel_name; /* of the node */
        PkramHandle handle;
        Manifest manifest;
        Checksums checksums;
        void *table;
        TreeIndex index;
        uint32_t *files, *chunks; /* client objects, in order */
        uint64_t *file_bytes;     /* of memory, of each of the files */
        uint32_t n_files, n_chunks, next_file, next_chunk, next_entry;
        uint8_t *chunk; /* bytes of packed files */
        size_t chunk_size, chunk_position;
        TreeLoadLevel *levels;
        size_t n_levels, allocated;
        int root;
        TreeTarget target; /* what was done to root */
        int tell;          /* pipe for target, or -EBADF; borrowed */
        int fd, source;       /* file that is being filled by copying from source, or checked */
        uint64_t position;    /* in source */
        uint64_t done, total; /* bytes of contents: made, and to be made */
        Checksum *checksum;
};

/* Makes the directory accessible to root only, so that no other user can interfere. -ENOTEMPTY if there is something
 * in it. */
int tree_lock_empty_root(StoreTreeLoad *load);

/* Says that the node is damaged. Always -EBADMSG. */
int tree_damaged(const StoreTreeLoad *load, const char *reason, StoreError *e);

/* Says why something could not be made; the node stays as it was. Returns r, or -EBADMSG. */
int tree_load_failed(const StoreTreeLoad *load, int r, StoreError *e);

/* Compares an object with its checksum, if there is one. */
int tree_check_sum(StoreTreeLoad *load, uint32_t object, const void *data, size_t size, StoreError *e);
