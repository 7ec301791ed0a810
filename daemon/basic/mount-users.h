/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What keeps a file system busy, for messages. All of it is read from /proc and /sys. No file of another process is
 * looked up, because that can take forever if the file is on a server that does not answer. The results are of no use
 * to anything but people: processes come and go.
 */
#pragma once

#include <sys/types.h>

#include "macro.h"

typedef enum MountUse {
        MOUNT_USE_ANY,     /* open, mapped, working or root directory, a loop device, an overlay */
        MOUNT_USE_WRITING, /* open for writing, or mapped shared and writable */
        MOUNT_USE_DELETED, /* open, but removed */
} MountUse;

/* What uses a file system. */
typedef struct MountUser {
        pid_t pid;              /* process, or 0 for a loop device */
        /* its system unit, or the mount unit that a loop device ends with; NULL if there is none */
        const char *unit;
} MountUser;

/* Returns true if a user counts. */
typedef bool (*MountUserFilter)(const MountUser *user, void *userdata);

/*
 * Names what uses the file system of that device in this way: "cat (1234), sh (99, session-2.scope), loop device
 * /dev/loop0", and more than a few as "and others". filter may be NULL; then every user counts. The caller frees the
 * text. Returns NULL if nothing is found, or without memory.
 */
char *mount_users(dev_t device, MountUse use, MountUserFilter filter, void *userdata);

/*
 * Names the other places where the file system of that device is mounted: other directories, and mount namespaces that
 * an unmount at path does not reach because they receive no mount events. The caller frees it. Returns NULL if there
 * are none, or without memory.
 */
char *mount_elsewhere(dev_t device, const char *path);

/*
 * Returns true if the file system of that device is mounted at path with other owners than it has itself (mount(8)
 * with X-mount.idmap=).
 */
bool mount_is_idmapped(dev_t device, const char *path);

/* Calls back for each path in this mount namespace where the file system is mounted. Stops at a negative errno, which
 * it returns. */
int mount_places_foreach(dev_t device, int (*callback)(const char *path, void *userdata), void *userdata);
