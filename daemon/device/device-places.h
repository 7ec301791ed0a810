/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The two places of nodes as one device. Without PKRAM all nodes are on disk. With PKRAM new nodes are in memory, and
 * those that an earlier kernel left on disk are there, too, until they are removed or replaced: their ids are greater
 * than DISK_ID_BASE. A node in memory hides one with the same name on disk. Nodes that were written to disk in this
 * boot are copies for the next one (persist.h): they are not offered, and go when the node in memory is removed or
 * replaced.
 */
#pragma once

#include "device-disk.h"

typedef struct Places Places;

/* memory is copied; disk and disk_path are borrowed. Returns 0, or -ENOMEM. */
int places_new(const PkramDevice *memory, DiskDevice *disk, const char *disk_path, Places **ret);
Places *places_free(Places *p);
DEFINE_CLEANUP(Places *, places_free)

PkramDevice places_device(Places *p);

/*
 * Removes each node on disk that one with the same name in memory hides. A process that was killed while it replaced
 * the former by the latter has left it, and a reboot would bring it back. For the start of a process; returns 0, or
 * the first error, after which it has tried all others.
 */
int places_remove_hidden(Places *p);

/* May nodes be read from disk in this boot? Not if new nodes are in memory and no earlier boot has used the disk. */
bool places_read_disk(const Places *p);

/* Is a node with this id on disk? */
static inline bool node_is_on_disk(uint64_t id) {
        return id > DISK_ID_BASE;
}

/* Goes on with descriptors of both places, for a process that was sent one. userdata: the path of the directory. */
extern const PkramDevice pkram_device_attached;
