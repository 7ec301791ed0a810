/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the directory of the nodes contains, as the device of device-disk.h knows it: an entry for each node, the files
 * that could not be read, and the nodes that were set aside. It is read when the directory is used first, and again
 * when another process has changed it. It owns these lists, and is for the device and disk-session.h only.
 *
 * All functions that can fail return a negative errno.
 */
#pragma once

#include <sys/stat.h>

#include "disk-directory.h"
#include "disk-format.h"

/* A node in the directory. */
typedef struct DiskEntry {
        char file[DISK_FILE_NAME_MAX];
        ino_t ino;
        bool loading; /* a descriptor is loading it, or was */
        struct pkram_node_info info;
} DiskEntry;

typedef struct DiskUnreadable DiskUnreadable;

typedef struct DiskContents {
        const char *path;
        DiskBoot boot;
        uint8_t boot_id[16]; /* the bytes of boot.boot_id, as headers have them */
        DiskNotice notice;
        void *userdata;
        uint64_t keep;
        bool hide_own;
        int problem; /* why the directory could not be used when it was last tried, or 0 */

        /* The contents of the directory when it was last read. */
        bool known;    /* it was read */
        bool entered;  /* it belongs to this boot */
        int read_only; /* why it cannot be entered, although it can be read, or 0 */
        bool restored; /* nodes of an earlier boot were there when it was read first */
        DiskRecord record;
        struct stat nodes;
        DiskEntry *entries; /* ascending ids */
        size_t n_entries, entries_allocated;
        DiskUnreadable *unreadable;
        size_t n_unreadable, unreadable_allocated;
        struct pkram_node_info *dropped;
        size_t n_dropped, dropped_allocated;
        uint64_t last_id;
} DiskContents;

/* path is borrowed. notice may be NULL. */
void disk_contents_init(DiskContents *c, const char *path, const DiskBoot *boot, DiskNotice notice, void *userdata);
void disk_contents_done(DiskContents *c);

/*
 * Opens the directory, and reads it again if it has changed. Tells why that fails, once. Each call of the device
 * begins with this.
 */
int disk_contents_enter(DiskContents *c, DiskDirectory *ret);

/* Records a change by this process, after which the directory need not be read again. */
void disk_contents_remember(DiskContents *c, const DiskDirectory *dir);

/* Was the record written by this boot? */
bool disk_contents_record_is_own(const DiskContents *c);

/* Returns the entry of the node in this file, or NULL. It is valid until an entry is added or removed. */
DiskEntry *disk_entry_find(const DiskContents *c, const char *file);

/* Returns the position of the first entry with a greater ID. */
size_t disk_entry_after(const DiskContents *c, uint64_t id);

/* Is it one that another process has written for the next boot? */
bool disk_entry_is_hidden(const DiskContents *c, const DiskEntry *e);

/* Adds a node behind all others. This cannot fail after disk_entry_reserve(). */
int disk_entry_add(DiskContents *c, const char *file, ino_t ino, const DiskHeader *h);
int disk_entry_reserve(DiskContents *c);
void disk_entry_remove(DiskContents *c, DiskEntry *e);

/* Reads a file again that could not be read. Returns 0 if it has an entry now, or why not. -ENOENT: there is none. */
int disk_unreadable_retry(DiskContents *c, const DiskDirectory *dir, const char *file);

/* The file was replaced or removed. */
void disk_unreadable_forget(DiskContents *c, const char *file);

/* An error as this device returns it: others have a meaning for callers that is not about the disk. */
int disk_error(int r);
