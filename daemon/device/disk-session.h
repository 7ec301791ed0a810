/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calls of the device of device-disk.h that change what its descriptors are: a descriptor is one of the directory
 * while it is idle, and of the file of a node while it saves or loads that. This owns the list of nodes that are being
 * saved, and is for device-disk.c only. The entries of the nodes are in disk-contents.h.
 *
 * All functions that can fail return 0 or a negative errno, and check the arguments of their ioctl.
 */
#pragma once

#include "device.h"
#include "disk-contents.h"

typedef struct DiskSession DiskSession;

/* The nodes that are being saved through descriptors of this process. */
typedef struct DiskSessions {
        DiskSession *list;
        size_t n, allocated;
} DiskSessions;

void disk_sessions_done(DiskSessions *sessions);

/* Does the descriptor neither save nor load a node? */
bool disk_session_is_idle(int fd);

bool disk_session_is_saving(const DiskSessions *sessions, int fd);

/* PKRAM_IOC_SAVE_BEGIN and PKRAM_IOC_LOAD_BEGIN. The descriptor has to be idle. */
int disk_session_save_begin(DiskSessions *sessions, DiskContents *c, int fd, struct pkram_ioctl_name *a);
int disk_session_load_begin(DiskContents *c, int fd, struct pkram_ioctl_name *a);

/* PKRAM_IOC_SAVE_COMMIT. -EBADFD: it is not saving. */
int disk_session_commit(DiskSessions *sessions, DiskContents *c, int fd, struct pkram_ioctl_commit *a);

/* PKRAM_IOC_REMOVE. The descriptor is idle, or loads a node. */
int disk_session_remove(DiskContents *c, int fd, struct pkram_ioctl_name *a);

/* The same in a process that has only the descriptor, and the path of the directory. */
int disk_session_remove_attached(const char *path, int fd, struct pkram_ioctl_name *a);

/* Closes it. An incomplete save ends with the descriptor of this process, even if a worker has a copy of it. */
void disk_session_close(DiskSessions *sessions, DiskContents *c, int fd);
