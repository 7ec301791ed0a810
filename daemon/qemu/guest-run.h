/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The life of a guest: from the checks before QEMU is started to its end. */
#pragma once

#include "guest-config.h"
#include "guest.h"

typedef struct GuestRun {
        const char *name;
        GuestConfig config;
        const char *path;  /* of the directory */
        int directory;     /* also holds the lock */
        int note;          /* for pkramctl, holds the name; or -EBADF */
        QemuPlan plan;
        GuestRecord record;
        int signals;       /* signalfd */
        bool booted;       /* it did not go on from saved memory */

        Qmp *qmp;
        int process;       /* pidfd, or -EBADF */
        pid_t pid;
        int status;        /* of the child, when process is closed */
        char *version;     /* of QEMU */
        GuestFacts facts;
} GuestRun;

/* The caller fills in name, config, path and signals, a signalfd of the signals that stop a guest. The rest begins
 * empty. */
#define GUEST_RUN_NONE ((GuestRun) { .directory = -EBADF, .note = -EBADF, .process = -EBADF, .signals = -EBADF })

void guest_run_done(GuestRun *run);
#define _cleanup_run_ _cleanup_(guest_run_done)

/* Runs the guest until it is off or saved. Logs what is wrong. Returns an exit status, EXIT_REFUSED if it could not be
 * kept. */
int guest_run(GuestRun *run);
