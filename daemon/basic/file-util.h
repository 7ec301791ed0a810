/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Helpers that read and write small files, pass directories, and raise the limit of descriptors. */
#pragma once

#include <dirent.h>
#include <sys/stat.h>

#include "macro.h"

static inline void closedirp(DIR **d) {
        if (*d)
                (void) closedir(*d);
}

#define _cleanup_closedir_ _cleanup_(closedirp)

/* The contents of a regular file, to be freed, NUL-terminated besides. -EFBIG if it is longer than max; -EINVAL if it
 * is no regular file. */
int file_read(const char *path, size_t max, char **ret, size_t *ret_size);

/* Reads a file that has no size of its own, as those of /proc and /sys, at most max bytes. path is relative to the
 * directory dir, which may be AT_FDCWD. The caller frees the text *ret. Returns 0, -EFBIG if the file is longer,
 * -EBADMSG if it has a NUL byte, or another negative errno. */
int virtual_file_read(int dir, const char *path, size_t max, char **ret);

/* Writes everything, however many calls it takes. Returns 0, or what write(2) failed with: some of it is written
 * then. */
int write_all(int fd, const void *data, size_t size);

/* Reads size bytes at an offset. Returns 0, -EBADMSG if the file ends before or the offset
 * is beyond what a file can have, or what pread(2) failed with. */
int pread_all(int fd, void *buffer, size_t size, uint64_t offset);

/* Writes size bytes at an offset. Returns 0, or what pwrite(2) failed with: some of it is written then. */
int pwrite_all(int fd, const void *data, size_t size, off_t offset);

/* Copies a path, or as much of it from the left as is there: "/" at least. Returns 0, -ENAMETOOLONG, or what stat(2)
 * failed with for another reason than ENOENT. */
int existing_path(const char *path, char *buffer, size_t size);

/* Replaces the file at path atomically, with mode 0644. Returns 0, or a negative errno. */
int file_write(const char *path, const void *data, size_t size);

/* Replaces a file of a directory atomically, with mode 0600. Returns 0, or a negative errno. */
int private_file_write(int directory, const char *name, const void *data, size_t size);

/* The contents of a regular file of a directory that is no longer than max, to be freed, and what fstat(2) says of it.
 * -EBADMSG: it is no such file, or longer. */
int private_file_read(int directory, const char *name, size_t max, char **ret, size_t *ret_size, struct stat *ret_st);

/*
 * Opens a directory for StoreTree, if possible on a detached copy of its mount: what a
 * node has frozen holds on to the mount that it was opened through, which could not be
 * unmounted any more. That takes CAP_SYS_ADMIN; without it, it is the mount itself.
 * Returns the descriptor.
 */
int open_directory_to_store(const char *path);

/* As many descriptors as the hard limit of the process allows; if that fails, the limit stays what it is. */
void raise_descriptor_limit(void);
