/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A process that may hang, because it uses the disk, and that the one that starts it only watches. */
#pragma once

#include <sys/types.h>

#include "macro.h"

typedef struct PersistChild {
        pid_t pid;              /* or 0 */
        int pidfd;
        bool ended;
} PersistChild;
#define PERSIST_CHILD_NONE ((PersistChild) { .pidfd = -EBADF })

/* Memory, all zero, that the process writes to and the one that watches it reads. Give it back with munmap(). */
int persist_child_memory(size_t size, void **ret);

/* Calls the function in the process. Returns 0 or a negative errno. Either way, call persist_child_done(). */
int persist_child_start(PersistChild *c, void (*main)(void *userdata), void *userdata);

/* Waits at most so long until it has ended, and returns c->ended. */
bool persist_child_wait(PersistChild *c, uint64_t msec);

/*
 * Kills it if it has not ended, and all processes that it has started. Waits at most so long for that. A process that
 * hangs in the kernel is left behind.
 */
void persist_child_done(PersistChild *c, uint64_t msec);
