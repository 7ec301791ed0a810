/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QEMU's command line: what in it cannot be kept over a kexec, and what pkram-qemu adds to it. It knows what QEMU's
 * manual describes. What only the running QEMU can tell is asked in guest.h.
 */
#pragma once

#include "string-list.h"

/* Identifiers of what is added. */
#define QEMU_RAM_ID "pkram-ram"
#define QEMU_MONITOR_ID "pkram-qmp"

/* The file in the directory of a guest that holds its RAM, unless the command line names others. */
#define GUEST_RAM_FILE "ram"

typedef struct QemuPlan {
        uint64_t size;          /* of the RAM, in bytes */
        uint64_t more;          /* of further memory that is kept, as of DIMMs, in bytes */
        bool add_ram;           /* the command line does not say where RAM is: it gets a file */
        bool add_size;          /* nor how large it is */
        bool start_paused;      /* the command line has -S */
        StringList ram_files;   /* paths of files with RAM */
        StringList ram_ids;     /* identifiers of their memory backends */
} QemuPlan;

void qemu_plan_done(QemuPlan *p);
#define _cleanup_plan_ _cleanup_(qemu_plan_done)

/*
 * Reads a command line, which ends with NULL and begins with the program. directory is that of the guest, absolute;
 * size is the RAM in bytes, 0 if only the command line says it. Returns 0; -EOPNOTSUPP if the guest could not be kept,
 * where *reterr is the reason as a sentence, which the caller frees; or -ENOMEM.
 */
int qemu_plan_make(char *const *arguments, const char *directory, uint64_t size, QemuPlan *ret, char **reterr);

/*
 * Makes the command line that is executed. monitor_fd is the descriptor of the monitor in QEMU, incoming: it waits for
 * a saved guest. -ENOMEM.
 */
int qemu_plan_command(const QemuPlan *p, char *const *arguments, const char *directory, int monitor_fd, bool incoming,
                      StringList *ret);

/* Is the path of a file below directory? Not with "..", which could lead out again. */
bool qemu_path_is_below(const char *path, const char *directory);
