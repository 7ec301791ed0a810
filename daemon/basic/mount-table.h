/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of mounts that the kernel shows in /proc/PID/mountinfo, see proc_pid_mountinfo(5). */
#pragma once

#include <sys/types.h>

/* The mounts of this process's namespace. */
#define MOUNT_TABLE "/proc/self/mountinfo"

typedef struct MountLine {
        int id, parent;
        dev_t device;           /* of the file system */
        const char *target;     /* where it is mounted, as the namespace shows it */
        const char *flags;      /* of the mount: "rw,noatime" */
        const char *optional;   /* "shared:1 ", empty if there is none */
        const char *type;       /* of the file system: "tmpfs" */
        const char *source;     /* what mount(2) was told: a device, or any text */
        const char *options;    /* of the file system: "rw,size=8192k" */
} MountLine;

/*
 * Calls back for each mount in text, which is changed. Stops when the function returns something else than 0, and
 * returns that. The strings of a line point into text. Lines that cannot be understood are skipped.
 */
int mount_lines_foreach(char *text, int (*callback)(const MountLine *m, void *userdata), void *userdata);

/* Replaces \ooo by the byte that it stands for, in place. The kernel and libmount write blanks and backslashes so. */
void mount_text_decode(char *text);
