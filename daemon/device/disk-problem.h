/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Why a directory cannot be used for nodes, for everyone who tells a user. */
#pragma once

#include "macro.h"

/*
 * Returns why the directory cannot be used, as a lower-case clause with the remedy, for an error that lasts until it
 * is dealt with. Returns NULL for other errors.
 */
const char *disk_problem_text(int error);

/* Is this the error of a file system that can be read, but not written to? */
bool disk_is_unwritable(int error);

/* Checks whether the file system itself is read-only. In the namespace of this process, its mount may be read-only. */
bool disk_file_system_is_read_only(const char *path);
