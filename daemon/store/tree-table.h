/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is in a directory tree, as the next kernel's pkramd finds it: a table of
 * bytes, little-endian, in the last byte stream of a node.
 *
 *   header   magic "PKRMTREE", version, number of entries, size of all of it, XXH3
 *            (128 bit) of everything behind the header
 *   entries  the root directory first, each directory before what is in it, and all
 *            that is in it before anything else
 *
 * Contents are not in it. Large files are file objects of the node, and the n-th
 * entry of type TREE_FILE is the n-th of them. Small files are packed: their bytes
 * stand one after the other, in the order of the entries, in the byte streams
 * before the table; none of them goes over the end of one.
 *
 * The table comes from an earlier kernel and must not be trusted. tree_table_open()
 * validates all of it before any of it is used.
 */
#pragma once

#include <sys/stat.h>

#include "macro.h"

#define TREE_TABLE_VERSION 1

/* Larger ones are neither written nor read. */
#define TREE_TABLE_BYTES_MAX MIB(512)

/* Directories within directories. Each takes a descriptor while it is walked through. */
#define TREE_DEPTH_MAX 4096U

/* Files up to that size are packed; a bit for each page says whether it is there or a hole. */
#define TREE_PAGE KIB(4)
#define TREE_PACKED_MAX (16 * TREE_PAGE)

/* Most bytes in one stream of packed files. */
#define TREE_CHUNK_MAX MIB(1)

typedef enum TreeType {
        TREE_DIRECTORY = 1,
        TREE_PACKED = 2,  /* small regular file */
        TREE_FILE = 3,    /* large regular file */
        TREE_SYMLINK = 4,
        TREE_FIFO = 5,
        TREE_LINK = 6,    /* another name of an earlier entry; has no attributes of its own */
        TREE_SOCKET = 7,  /* the name only, as a server leaves it behind when it exits */
        TREE_CHARACTER = 8,
        TREE_BLOCK = 9,
        _TREE_TYPE_MAX,
} TreeType;

/* Inode flags, as chattr(1) sets them. Other flags of the kernel say nothing about a file on a tmpfs. */
#define TREE_FLAG_IMMUTABLE 1U
#define TREE_FLAG_APPEND    2U
#define TREE_FLAG_NODUMP    4U
#define TREE_FLAG_NOATIME   8U
#define TREE_FLAGS_ALL      15U

typedef struct TreeEntry {
        TreeType type;
        unsigned depth;         /* 0 for the root only */
        const char *name;       /* "" for the root only; any bytes but NUL and '/' */
        mode_t mode;            /* permission bits */
        unsigned flags;         /* TREE_FLAG_*, of regular files and directories */
        uid_t uid;
        gid_t gid;
        struct timespec atime, mtime;
        const uint8_t *xattrs;  /* see tree_xattr_next() */
        size_t xattrs_size;
        uint64_t size;          /* regular files: in bytes */
        uint16_t pages;         /* TREE_PACKED: which pages are no holes */
        const char *target;     /* TREE_SYMLINK */
        uint32_t link;          /* TREE_LINK: number of the entry it is another name of */
        dev_t device;           /* TREE_CHARACTER, TREE_BLOCK */
} TreeEntry;

/* Bytes that a packed file takes in a stream. */
size_t tree_packed_bytes(const TreeEntry *e);

/* --- writing --- */

typedef struct TreeTable {
        uint8_t *data;
        size_t size, allocated;
        uint32_t n_entries;
} TreeTable;

void tree_table_done(TreeTable *t);

/* Appends an entry; what is in it is copied. -ENOMEM; -EFBIG: the table is full. */
int tree_table_add(TreeTable *t, const TreeEntry *e);

/* Fills in the header. After that data and size are what has to be kept. */
void tree_table_seal(TreeTable *t);

/* Appends an extended attribute to a buffer for TreeEntry.xattrs. -ENOMEM, -E2BIG. */
int tree_xattr_add(uint8_t **xattrs, size_t *size, size_t *allocated, const char *name, const void *value,
                   size_t value_size);

/* --- reading --- */

typedef struct TreeIndex {
        const uint8_t *data;    /* borrowed */
        size_t size;
        size_t *offsets;        /* of each entry */
        uint32_t *parents;      /* its directory */
        uint32_t n_entries;
        uint32_t n_files;       /* entries of type TREE_FILE */
        uint64_t packed_bytes;
} TreeIndex;

/*
 * Checks the whole table, which has to stay where it is. -EBADMSG: it is damaged.
 * -EPROTONOSUPPORT: it has a later version. -ENOMEM.
 */
int tree_table_open(const uint8_t *data, size_t size, TreeIndex *ret);
void tree_index_done(TreeIndex *x);

/* One entry of a table that was found to be good; n < n_entries. Pointers lead into the table. */
void tree_index_get(const TreeIndex *x, uint32_t n, TreeEntry *ret);

typedef struct TreeXattr {
        const char *name;
        const void *value;
        size_t value_size;
} TreeXattr;

/* The attribute at *position, which is moved on. 1, 0 at the end, -EBADMSG. */
int tree_xattr_next(const uint8_t *xattrs, size_t size, size_t *position, TreeXattr *ret);
