/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The part of persist_write() that uses the disk. It runs in a process of its own, which may hang there and is killed
 * then. What it has done is in memory that it shares with the process that watches it.
 */
#pragma once

#include "persist.h"

/* What became of the node at the same position in the plan. */
typedef struct PersistResult {
        PersistDrop drop;
        int error;              /* why it is dropped, a negative errno */
        bool written;           /* durably */
        uint64_t usec;          /* that it has taken until now, 0 if it is dropped */
        uint64_t bytes;         /* that were written in this time, about */
} PersistResult;

typedef struct PersistShared {
        int error;              /* why no node can be written at all, a negative errno or 0 */
        uint64_t bytes;         /* that were written until now, about */
        PersistResult results[];
} PersistShared;

size_t persist_shared_size(const PersistPlan *p);

/*
 * Writes the nodes of the plan, up to four at a time, each in a process of its own, late ones when the others are
 * complete. Removes the copies that this boot has written before. Takes as long as the disk takes.
 */
void persist_run(const PersistPlan *p, const PkramDevice *memory, const char *path, const DiskBoot *boot,
                 PersistShared *shared);
