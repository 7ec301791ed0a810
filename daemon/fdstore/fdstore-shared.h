/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files that are in the stores of several units, or were at the last kexec. Each becomes a node of its own, whose
 * owner is pkram-fdstore.service, when the first unit that has it is stored. For fdstore_save() and fdstore-unit.h.
 */
#pragma once

#include "fdstore.h"

/* A file that is in more than one store, or was at the last kexec. */
typedef struct SharedFile {
        dev_t dev;
        ino_t inode;
        char node[sizeof(FDSTORE_SHARED_PREFIX) + 16]; /* empty until it is stored */
        char *refused;                                 /* why it cannot be stored, or NULL */
} SharedFile;

/* A file and the last unit in whose store it was seen, to find those in several. */
typedef struct SeenFile {
        dev_t dev;
        ino_t inode;
        size_t unit;
} SeenFile;

typedef struct SharedFiles {
        SharedFile *files;
        size_t n, allocated;
} SharedFiles;

void shared_files_done(SharedFiles *s);

/* Finds the regular files that are in the stores of several units. stores: one for each unit. Returns 0 or -ENOMEM. */
int shared_files_collect(SharedFiles *shared, const StoredFds *stores, size_t n_stores);

/* Returns the file if several units share it, or NULL. */
SharedFile *shared_files_find(SharedFiles *s, dev_t dev, ino_t inode);

/* Stores a file that several units share as a node of its own, once. Returns NULL, or the reason of a failure. */
const char *shared_files_store(const FdStoreEnvironment *e, SharedFile *f, int fd);

/*
 * Stores the files that this service holds for units that were not started in this boot, under the same names. Returns
 * 0, or the first negative errno, which was logged unless it is -ENOMEM.
 */
int shared_files_store_own(const FdStoreEnvironment *e, FdTable *table, SharedFiles *shared);
