/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes one node into an open file, see disk-file.h: begins it, copies files and bytes into it, and completes it. For
 * the devices and writers that own the file and its lock, see disk-node.h.
 *
 * All functions return 0 or a negative errno, as those of disk-file.h do.
 */
#pragma once

#include "disk-format.h"

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
