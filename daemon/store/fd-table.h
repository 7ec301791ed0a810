/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The open descriptors of the service manager, found through /proc/PID/fd. Opening such a
 * link opens the same file again, which is enough to store it and takes CAP_SYS_PTRACE only.
 * What belongs to the open file itself, its position and flags, is in /proc/PID/fdinfo.
 */
#pragma once

#include "service-manager.h"

typedef struct FdTable FdTable;

/* Reads which files the process has open. proc is its directory, such as "/proc/1". Returns 0, or a negative errno. */
int fd_table_new(const char *proc, FdTable **ret);
FdTable *fd_table_free(FdTable *t);
DEFINE_CLEANUP(FdTable *, fd_table_free)

/* What became of a descriptor that the service manager keeps. */
typedef struct OpenedFd {
        int fd;            /* of the same file, opened for reading, or O_PATH where opening could have effects */
        int64_t position;  /* -1 if it has none */
} OpenedFd;

/*
 * Opens the file of a descriptor that the manager described. Each descriptor of the process is used for one
 * description only. Returns 0, -ENOENT if the process does not have it any more, -ENOTUNIQ if several of its
 * descriptors fit the description and are different things, or another negative errno.
 */
int fd_table_open(FdTable *t, const StoredFd *wanted, OpenedFd *ret);

/* Returns what an error of fd_table_open() means, a clause for people. */
const char *fd_table_error_text(int r);

/* Contents of a pipe that are preserved: they become inline data of an object. Clauses for people about others. */
#define STORED_PIPE_BYTES_MAX MIB(1)
#define STORED_PIPE_TOO_LARGE "the pipe holds more than 1 MiB"
#define STORED_PIPE_HAS_PACKETS "pipes with packets (O_DIRECT) are not preserved"

/*
 * Returns why a descriptor is not preserved across kexec because of what it is or holds, or NULL if it is preserved.
 * opened: the file behind it, from fd_table_open(); if it is negative, only the kind is judged.
 */
const char *stored_fd_refusal(const StoredFd *fd, int opened);
