/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Processes that have shared memory mapped for writing: System V segments, and files of one file system. All processes
 * are looked at once, however many pieces of shared memory there are. */
#pragma once

#include <sys/types.h>

#include "macro.h"

typedef struct SharedWriter {
        dev_t device;           /* 0 for a segment */
        uint64_t inode;         /* the identifier of a segment */
        size_t process;         /* index into texts */
} SharedWriter;

typedef struct SharedWriters {
        char **texts;           /* processes, for messages */
        size_t n_texts, texts_allocated;
        SharedWriter *list;     /* sorted */
        size_t n, allocated;
} SharedWriters;

void shared_writers_done(SharedWriters *w);
#define _cleanup_shared_writers_ _cleanup_(shared_writers_done)

/* Returns true if a process counts. unit is its system unit, or NULL. */
typedef bool (*SharedWriterFilter)(const char *unit, void *userdata);

/*
 * Finds the processes that have segments of this IPC namespace, or files of the file system with that device number,
 * mapped shared and writable. device may be 0: then only segments count. filter may be NULL: then all processes count,
 * and are named without their units. Returns 0, -E2BIG if there are too many mappings, or -ENOMEM.
 */
int shared_writers_find(dev_t device, SharedWriterFilter filter, void *userdata, SharedWriters *ret);

/* Names those that write to a segment (device 0), or a file, as "postgres (12, a.service), ...". The caller frees it.
 * Returns NULL if there are none, or without memory. */
char *shared_writers_text(const SharedWriters *w, dev_t device, uint64_t inode);
