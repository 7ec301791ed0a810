/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which shared memory [SharedMemory] of pkramd.conf selects: System V segments, and files below /dev/shm. On the way
 * into a kexec, pkram-shm stores each as a node of root whose only object is the contents.
 */
#pragma once

#include <sys/stat.h>

#include "config.h"
#include "segment.h"

/* Names of the nodes: "sysv:0x0052e2c1", "posix:NAME". */
#define SYSV_PREFIX "sysv:"
#define POSIX_PREFIX "posix:"

#define SHARED_MEMORY_DIRECTORY "/dev/shm"

/* Returns true if anything can be selected. */
bool shared_memory_is_configured(const Config *c);

/*
 * Both call a function for each selected segment or file. It returns 0, or a negative errno that ends the loop.
 * Private segments are left out unless key 0 is selected, and segments that a user got from another one. So are empty
 * files, and all that is neither a regular file nor a symbolic link. A file that has a selected name, or a segment
 * that "*" selects, but that belongs to an ordinary user that PosixUsers= or SysVUsers= does not name, is passed to
 * the function foreign, or left out if that is NULL. dir is a descriptor of the directory; all that is passed is valid
 * during the call. They return 0, the negative errno of the function, or that of reading the table of segments or the
 * directory.
 */
typedef int (*SharedSegmentFunction)(const Segment *segment, void *userdata);
typedef int (*SharedFileFunction)(int dir, const char *name, const struct stat *st, void *userdata);
int shared_segments_foreach(const Config *c, SharedSegmentFunction function, SharedSegmentFunction foreign,
                            void *userdata);
int shared_files_foreach(const Config *c, const char *directory, SharedFileFunction function,
                         SharedFileFunction foreign, void *userdata);

/* Returns why a file can never be stored, as part of a sentence, or NULL. */
const char *shared_file_obstacle(const char *name, const struct stat *st);
