/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the objects of one complete node from an open file, see disk-file.h. For the device and its workers, which
 * have a lock on the file, see disk-node.h.
 *
 * All functions return 0 or a negative errno, as those of disk-file.h do.
 */
#pragma once

#include "disk-format.h"

int disk_file_stat(int fd, uint32_t object, struct pkram_ioctl_stat *ret);

/* Fills an empty shmem file, or makes it empty again. */
int disk_file_load_file(int fd, uint32_t object, int target);

/* A new memfd, filled, to be closed by the caller. */
int disk_file_load_memfd(int fd, uint32_t object, int *ret);

/* *size: in: bytes in the buffer, out: bytes copied, 0 at or behind the end. */
int disk_file_load_bytes(int fd, uint32_t object, uint64_t offset, void *buffer, uint64_t *size);
