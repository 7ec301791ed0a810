/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Why a directory cannot be used for nodes, for everyone who tells a user. */
#pragma once

#include "macro.h"

/*
 * Returns why the directory cannot be used, as a lower-case clause with the remedy, for an error that lasts until it
 * is dealt with. Returns NULL for other errors.
 */
const char *disk_problem_text(int error);

/* The same, or the description of any other error. */
const char *disk_error_text(int error);

/* Is this the error of a file system that can be read, but not written to? */
bool disk_is_unwritable(int error);

/*
 * Checks whether the file system of a file or directory is in memory, so that nothing in it outlives this kernel: a
 * tmpfs, a ramfs, or an overlay whose upper directory is on one. If the upper directory of an overlay cannot be
 * accessed by the path that it was mounted with, returns false, except for the one of systemd.volatile=overlay.
 */
bool disk_is_in_memory(int fd);

/* The same for a path, or for its nearest parent that exists. Returns false if it cannot be opened. */
bool disk_path_is_in_memory(const char *path);

/* For tests, which wait for no disk: what disk_is_in_memory() returns. Negative: it looks. */
extern int disk_in_memory_override;

/*
 * Checks whether the file system that has the nodes is not mounted: pkram-generator has found that something is to be
 * mounted at the path in $PKRAM_DISK_MOUNT. Then the directory, if there is one, is another one.
 */
bool disk_mount_is_missing(void);

/*
 * Checks whether an earlier boot may have left nodes, of which this is the path of the state. There are none without a
 * state, or if it is in memory. If the file system is not mounted, there may be some.
 */
bool disk_may_have_nodes(const char *state_path);

/* Checks whether the file system itself is read-only. In the namespace of this process, its mount may be read-only. */
bool disk_file_system_is_read_only(const char *path);
