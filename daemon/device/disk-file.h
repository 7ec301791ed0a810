/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One node in an open file. Nothing is kept in memory between calls: each reads what it needs from the file, so that
 * several processes can use it in turn.
 *
 * All functions return 0 or a negative errno: -EBADMSG if the file is damaged, -EDQUOT if the disk is full, and what
 * <linux/pkram.h> lists for the calls of the same names.
 */
#pragma once

#include "disk-format.h"

/* Reads and checks the header of an open file. */
int disk_file_read_header(int fd, DiskHeader *ret);

/* Begins a node in an empty file. */
int disk_file_begin(int fd, const char *name);

/*
 * Copies a shmem file or bytes into it. If that fails, the node is as it was. -EBUSY: the file was truncated, or was
 * given contents in addition to those that it had, while it was copied. *object of bytes: PKRAM_OBJECT_NEW, or
 * the index of the newest object to append to.
 */
int disk_file_save_file(int fd, int from, uint32_t *ret_object, uint64_t *ret_pages);
int disk_file_save_bytes(int fd, uint32_t *object, const void *data, size_t size);

/* Of a node that is complete. boot_id: 16 bytes. */
typedef struct DiskStamp {
        uint64_t id, stored_ns, generation;
        const uint8_t *boot_id;
        const char *release;
} DiskStamp;

/* Completes the node, and waits until it is on the disk. If that fails, it is still being saved. *ret is its
 * header. */
int disk_file_commit(int fd, const DiskStamp *stamp, DiskHeader *ret);

int disk_file_stat(int fd, uint32_t object, struct pkram_ioctl_stat *ret);

/* Fills an empty shmem file, or makes it empty again. */
int disk_file_load_file(int fd, uint32_t object, int target);

/* A new memfd, filled, to be closed by the caller. */
int disk_file_load_memfd(int fd, uint32_t object, int *ret);

/* *size: in: bytes in the buffer, out: bytes copied, 0 at or behind the end. */
int disk_file_load_bytes(int fd, uint32_t object, uint64_t offset, void *buffer, uint64_t *size);
