/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes copies of nodes in memory into the directory of nodes, for the next boot. The device of device-disk.h is for
 * one node after the other: it keeps a list of all nodes, and each is durable when it is committed. Here many nodes
 * are written at the same time: other processes write and sync their files, and this one only gives these their names.
 *
 * All functions return 0 or a negative errno.
 */
#pragma once

#include "disk-directory.h"
#include "disk-node.h"

typedef struct DiskCopies {
        DiskDirectory directory;
        DiskBoot boot;
        uint8_t boot_id[16];
        uint64_t last_id;
} DiskCopies;
#define DISK_COPIES_NONE ((DiskCopies) { .directory = DISK_DIRECTORY_NONE })

/*
 * Opens the directory, or creates it. Removes the copies that a cancelled shutdown of this boot has written, and what
 * writers that were killed have left.
 */
int disk_copies_open(const char *path, const DiskBoot *boot, DiskCopies *ret);
void disk_copies_done(DiskCopies *c);

/* Makes durable which copies are there. */
int disk_copies_sync(const DiskCopies *c);

/* A node that is being written. */
typedef struct DiskCopy {
        int fd;                 /* of its file, or -EBADF */
        uint64_t id;
        char temporary[DISK_TEMPORARY_MAX];
} DiskCopy;
#define DISK_COPY_NONE ((DiskCopy) { .fd = -EBADF })

/* The nodes are younger than all others in the directory, in the order in which they begin. */
int disk_copy_begin(DiskCopies *c, const char *node_name, DiskCopy *ret);

/* Completes the file, and waits until it is on the disk. Any process that has the descriptor can do this. */
int disk_copy_finish(const DiskCopies *c, const DiskCopy *copy);

/* Makes the complete file a node, in place of one with the same name. Durable with disk_copies_sync(). */
int disk_copy_publish(const DiskCopies *c, DiskCopy *copy, const char *node_name);

/* Removes the file if it is not published. */
void disk_copy_done(const DiskCopies *c, DiskCopy *copy);

/* Removes a copy that was published. Durable with disk_copies_sync(). */
int disk_copy_remove(const DiskCopies *c, const char *node_name);
