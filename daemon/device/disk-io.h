/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * System calls of the disk device. All functions return negative errno and retry after signals. They report a full
 * disk as -EDQUOT, because -ENOSPC of the device means that the next kernel would lack memory, and a damaged file
 * system as -EIO, because -EUCLEAN and -EBADMSG are about directories and files of ours.
 */
#pragma once

#include <dirent.h>

#include "macro.h"

/*
 * Called before each call with its name and the file or directory that it is about. A negative errno makes the call
 * fail without being made. For tests; NULL otherwise.
 */
extern int (*disk_io_hook)(const char *call, int fd);

/*
 * Called before each call, if it is not NULL. A file is copied in many calls of which none takes long unless the disk
 * does not respond, so this shows that the process is alive.
 */
extern void (*disk_io_alive)(void);

/*
 * What tells a directory from its copy: a rename keeps both numbers, but no program that copies can set them. Numbers
 * are 0 where they are not known, or do not last until the next boot.
 */
typedef struct DiskIdentity {
        uint64_t inode;
        uint64_t birth_ns;
} DiskIdentity;

int disk_identify(int directory, const char *name, DiskIdentity *ret);

/* Is called in place of disk_identify(). For tests; NULL otherwise. */
extern int (*disk_identify_hook)(int directory, const char *name, DiskIdentity *ret);

/* Can they be of the same directory? */
bool disk_identity_matches(const DiskIdentity *a, const DiskIdentity *b);

/* errno as the functions here return it. For other calls about files of the disk. */
int disk_errno(void);

int disk_open(int directory, const char *name, int flags);

/*
 * Opens a file that exists, for an exclusive lock. NFS requires that it can be written to. Otherwise opens it for
 * reading only: elsewhere, this is enough.
 */
int disk_open_to_lock(int directory, const char *name);

int disk_mkdir(int directory, const char *name);

/* flags: 0 or RENAME_NOREPLACE, also on file systems without it. */
int disk_rename(int from_directory, const char *from, int to_directory, const char *to, unsigned flags);

int disk_unlink(int directory, const char *name, int flags);
int disk_sync(int fd);

/* Opens a directory, which need not be the user's. */
int disk_open_directory(int directory, const char *name);

/* Opens a directory that is the user's alone, and creates it durably if it is missing. */
int disk_open_or_create(int directory, const char *name);

/* -EUCLEAN: the directory is not the user's alone, so others could put files into it. */
int disk_check_owner(int fd);

/* Has the kernel begin with writing a part of a file to the disk, and waits until a part is written. */
int disk_write_begin(int fd, uint64_t offset, uint64_t size);
int disk_write_wait(int fd, uint64_t offset, uint64_t size);

/*
 * Makes a stream of the descriptor of a directory, which it takes over: closedir() closes it, as this does on failure.
 * A negative number is an error, and is returned. Otherwise returns 0, or a negative errno.
 */
int disk_stream_open(int fd, DIR **ret);

/* Returns the next entry of a directory, or NULL at its end, if *r is negative already, or on failure, which sets
 * *r. */
const struct dirent *disk_read_entry(DIR *stream, int *r);

/* Takes the lock of flock(2) without waiting. -EBUSY: another open file has it. */
int disk_lock(int fd, int operation);

/* Reads exactly so many bytes. -EBADMSG: the file ends before that. */
int disk_read(int fd, void *buffer, size_t size, uint64_t offset);
int disk_write(int fd, const void *data, size_t size, uint64_t offset);
