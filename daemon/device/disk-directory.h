/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The directory that nodes are kept in:
 *
 *   state             which boot and which directory the nodes belong to, see below and disk-record.h
 *   nodes.TOKEN/      a file HASH.node for each node, tmp-HEX for one that is being saved
 *   set-aside/TOKEN/  what was found and is not offered: of another shutdown, damaged, or not root's, see disk-aside.h
 *
 * The nodes belong to one boot, and after it ended to the next one. Each boot draws a random token, writes it to the
 * state together with its boot ID and the token before, and then renames the directory of the nodes. Nodes under any
 * other token are of an earlier shutdown: someone restored a backup, or a boot went by in which the store was off.
 * They are set aside, since newer data may exist. If the state was restored, too, the directory that goes with it is
 * not the one that the state describes (DiskIdentity), and is set aside as well.
 */
#pragma once

#include "disk-problem.h"
#include "disk-record.h"

/* A notice for the log, without a period at its end. */
typedef void (*DiskNotice)(const char *text, void *userdata);

typedef struct DiskDirectory {
        int fd, nodes;          /* or -EBADF */
        DiskRecord record;
        bool reset;             /* the state was damaged */
        int read_only;          /* why the state cannot be written: -EDQUOT or -EROFS, else 0 */
        DiskNotice notice;      /* or NULL */
        void *userdata;
        uint64_t keep;          /* seconds after which the next boot removes what was set aside */
        bool again;             /* entering was tried before: nothing is removed or said again */
} DiskDirectory;

void disk_directory_done(DiskDirectory *d);
#define _cleanup_disk_directory_ _cleanup_(disk_directory_done)
#define DISK_DIRECTORY_NONE ((DiskDirectory) { .fd = -EBADF, .nodes = -EBADF, .keep = UINT64_MAX })

/*
 * Opening fails with -EUCLEAN if the directory is not the user's alone, and with -EPROTONOSUPPORT if a later version
 * wrote its state. Entering fails with -ENOTBLK if the directory is in memory, and with -ENOMEDIUM if its file system
 * is not mounted.
 *
 * Opens the directory as it is, and its nodes. -ENODEV: there is none, or it has no state. -ESTALE: the nodes are not
 * those of the state.
 */
int disk_directory_open(const char *path, DiskDirectory *d);

typedef struct DiskBoot {
        char boot_id[DISK_TOKEN_LENGTH + 1];
        char release[64];
} DiskBoot;

int disk_boot_get(DiskBoot *ret);

/*
 * Opens it for this boot: creates what is missing, takes over the nodes of the last boot, and sets aside all others.
 * The first call in a boot also removes what was set aside long ago.
 */
int disk_directory_enter(const char *path, const DiskBoot *boot, DiskDirectory *d);

/*
 * The same, but also succeeds if the file system is full or read-only, so that the state cannot be written. Then
 * d->read_only says why, and d->nodes is the directory of the last boot's nodes. They still belong to that boot, and
 * can be read. Removing one is durable if it succeeds. Nothing may be added. If there are no nodes, d->nodes is
 * -EBADF; if there is no directory either, d->fd is one of its parents.
 */
int disk_directory_enter_or_read(const char *path, const DiskBoot *boot, DiskDirectory *d);

/* Lets this boot go by without its nodes, which are set aside at the next disk_directory_enter(). If the file system
 * is full, the state is removed to that end. Returns 0 if there are none. */
int disk_directory_pass(const char *path, const DiskBoot *boot);

/*
 * Checks whether nodes could be written there, without writing anything. The directory need not exist yet. Returns 0,
 * or why not: -EROFS if its file system is read-only, whatever the mount in this namespace is, -ENOTBLK if it is in
 * memory, -ENOMEDIUM if its file system is not mounted, or an error of opening.
 */
int disk_directory_check(const char *path);

/* Moves a file of the nodes to what is set aside in this boot. reason: a word for the notice. */
int disk_directory_set_aside(DiskDirectory *d, const char *file, const char *reason);

_printf_(2, 3) void disk_directory_notice(const DiskDirectory *d, const char *format, ...);
