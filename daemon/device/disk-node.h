/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files in the directory of nodes. A node is saved in a temporary file, which gets its name when it is complete. A
 * process that saves or loads it has a shared lock on the file. To remove or replace it, an exclusive one is needed.
 *
 * All functions return 0 or a negative errno.
 */
#pragma once

#include "disk-format.h"

#define DISK_TEMPORARY "tmp-"
#define DISK_TEMPORARY_MAX (sizeof(DISK_TEMPORARY) + 16)

/* Could that be the name of a node's file? */
bool disk_node_is_file(const char *file);

/* Begins a node in a temporary file, which is locked until the last copy of the descriptor is closed. */
int disk_node_create(int directory, const char *node_name, char ret_file[DISK_TEMPORARY_MAX], int *ret_fd);

/* Removes a temporary file if a process that was killed has left it. */
void disk_node_remove_left(int directory, const char *file);

/* Locks the file exclusively while *ret_fd is open. -ENOENT: there is none. -EBUSY: another process has a lock. */
int disk_node_lock(int directory, const char *file, int *ret_fd);
