/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* QEMU as a child process. */
#pragma once

#include "guest-run.h"

/* For QEMU to end after it was told to, or has closed its monitor. */
#define QUIT_USEC (10 * USEC_PER_SEC)

/* Starts QEMU, which waits for a saved guest if incoming, and connects to its monitor. -errno. */
int process_start(GuestRun *run, bool incoming);

/* Waits for the end of QEMU, after which run->qmp is NULL. Returns 1: it has ended, 0: not within usec, or a negative
 * errno. */
int process_wait(GuestRun *run, uint64_t usec);

/* Ends QEMU, in a friendly way if it listens and does so within usec. */
void process_end(GuestRun *run, uint64_t usec);

/* Logs that QEMU did not do what it should, and whether it has ended. Returns r. */
int process_complain(GuestRun *run, int r, const char *what);
