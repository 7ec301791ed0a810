/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What trees need of the file system. Nothing here follows a symbolic link. */
#pragma once

#include "tree-table.h"

/* The room for a path that leads to an entry of a directory that is open here. */
#define TREE_FD_PATH_MAX (sizeof("/proc/self/fd//") + 3 * sizeof(int) + 256)

/* 1: the directory is one of a tmpfs, 0: it is not. -ENOTDIR, -errno. */
int tree_is_tmpfs_directory(int fd, struct stat *ret);

/*
 * Opens a directory for listing, without changing its access time if that can be had. name may be ".". -EXDEV:
 * something else is mounted there.
 */
int tree_open_directory(int dir, const char *name, int *ret);

/* The same for a regular file that is to be read. */
int tree_open_file(int dir, const char *name, int *ret);

/* The same for anything, as a descriptor that only stands for it (O_PATH). */
int tree_open_path(int dir, const char *name, int *ret);

/* All names in a directory, each with its NUL, to be freed. -EFBIG: far too many. -errno. */
int tree_read_names(int fd, char **ret, size_t *ret_size);

/* All extended attributes of what a descriptor (O_PATH will do) stands for. -EOPNOTSUPP: there is one that cannot be
 * kept. */
int tree_read_xattrs(int fd, uint8_t **ret, size_t *ret_size);

/* Is it an extended attribute of a kind that can be kept? */
bool tree_xattr_can_be_kept(const char *name);

/* Gives an open file extended attributes, in the form of tree_xattr_next(). Returns a negative errno on failure. */
int tree_write_xattrs(int fd, const uint8_t *xattrs, size_t size);

/*
 * Reads or sets the inode flags of chattr(1) of an open regular file or directory: a set of TREE_FLAG_*. Where the
 * file system has none, all of them are clear. Both return a negative errno on failure; reading, also -ENOSYS, see
 * tree_flags_from_kernel(). Setting leaves other flags as they are.
 */
int tree_read_flags(int fd, unsigned *ret);

/*
 * Translates flags of FS_IOC_GETFLAGS. Returns 0, or -ENOSYS if there is one that cannot be kept: a directory in which
 * letter case does not matter has to be empty when it gets that flag, in a file system with the same Unicode version.
 */
int tree_flags_from_kernel(int kernel, unsigned *ret);
int tree_write_flags(int fd, unsigned flags);

/* Is there one among them that only root may give a file: capabilities, or anything below trusted.? */
bool tree_has_privileged_xattr(const uint8_t *xattrs, size_t size);

/* Reads a small file that holds "size" bytes: the pages that are there into buffer, and which they are. */
int tree_read_packed(int fd, size_t size, uint8_t *buffer, uint16_t *ret_pages);

/* Writes them into an empty file. data: tree_packed_bytes() bytes. */
int tree_write_packed(int fd, const TreeEntry *e, const uint8_t *data);

/* Gives name in a directory (or itself, with ".") its owner, mode, extended attributes and times. No other process may
 * change anything there until this returns. */
int tree_apply_attributes(int dir, const char *name, const TreeEntry *e);

/*
 * Makes a further name of first, a file with those inode flags that is in the directory from. An immutable file takes
 * no new name, so these flags are cleared meanwhile. Returns a negative errno on failure.
 */
int tree_link(int from, const char *first, unsigned flags, int dir, const char *name);

/* Removes a directory's default ACL, if it has one. -errno. */
int tree_remove_default_acl(int fd);

/* Removes everything in a directory, as far as that is possible. -errno of what was not. */
int tree_remove_contents(int fd);
