/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device that keeps nodes in files of a directory, with everything that <linux/pkram.h> promises about the calls
 * that device.h makes, except for these:
 *
 *   - A file that is saved is copied and not frozen. Each load makes a new file, which is not frozen either.
 *   - Nodes survive a reboot as well as a kexec. PKRAM_IOC_INFO describes the directory: the generation counts boots,
 *     and the super block is 0.
 *   - A node that was set aside is listed as dropped.
 *   - More errors are possible, those of disk_problem_text(). These and others are also told in a notice, once for
 *     each of them until the directory can be used again. If the file of one node cannot be read, the node is not
 *     listed, its PKRAM_IOC_LOAD_BEGIN returns the error, and only a commit with PKRAM_COMMIT_REPLACE replaces it.
 *   - If the file system is full or read-only when the boot uses it first, the nodes of the last boot can be listed
 *     and loaded. PKRAM_IOC_REMOVE fails unless it is durable, and PKRAM_IOC_SAVE_BEGIN fails. Each call tries again.
 *
 * A descriptor of this device is one of the directory while it is idle, and of the file of a node while it is saving
 * or loading. Therefore it can be sent to another process, whose own device of this kind goes on with it.
 */
#pragma once

#include "device.h"
#include "disk-directory.h"

/* In struct pkram_ioctl_info.flags, as this device returns them. */
#define DISK_INFO_FLAG (1U << 31)
#define DISK_INFO_FULL (1U << 30)      /* the file system is full, and nothing can be stored before there is room */
#define DISK_INFO_READ_ONLY (1U << 29) /* the file system is read-only, the same */

#define PKRAM_DISK_DIRECTORY "/var/lib/pkram/disk"

/* Ids of nodes are greater than this, and those of the kernel never are. */
#define DISK_ID_BASE (UINT64_C(1) << 40)

/* In struct pkram_node_info.damage: the node belongs to an earlier shutdown than the last one. */
#define DISK_DAMAGE_STALE 256U

typedef struct DiskDevice DiskDevice;

/*
 * path: an absolute path, borrowed. The directory is opened, or created, with the first call. notice may be NULL.
 * Returns 0, or -ENOMEM.
 */
int disk_device_new(const char *path, const DiskBoot *boot, DiskNotice notice, void *userdata, DiskDevice **ret);
DiskDevice *disk_device_free(DiskDevice *d);
DEFINE_CLEANUP(DiskDevice *, disk_device_free)

PkramDevice disk_device(DiskDevice *d);

/* How long nodes that were set aside are kept, in seconds. They are removed when a boot opens the directory first. */
void disk_device_set_keep(DiskDevice *d, uint64_t seconds);

/*
 * Hides the nodes that were committed in this boot from INFO, LIST and LOAD_BEGIN. Where new nodes are in memory,
 * these are copies for the next boot, see persist.h.
 */
void disk_device_hide_own(DiskDevice *d);

/*
 * Removes the file of the node with this kernel name durably, if there is one. For nodes that are in memory: the file
 * is an older node or a copy. Returns 0, -EBUSY if it is in use, or another negative errno.
 */
int disk_device_remove_copy(const char *path, const char *name);

/*
 * The same through the device: never removes a file if the directory cannot be used, or belongs to another boot.
 * Returns 0, or a negative errno.
 */
int disk_device_drop_copy(DiskDevice *d, const char *name);

/* Is this a descriptor of a device of this kind? */
bool disk_device_has(int fd);

/* The part that needs nothing but the descriptor, and, to remove the node, the path of the directory. */
int disk_device_ioctl_attached(const char *path, int fd, unsigned long request, void *argument);
