/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Closing descriptors of other programs. close(2) can wait: for data that a TCP
 * socket has yet to send (SO_LINGER), for a FUSE server, for an NFS server. Helper
 * processes that share the table of descriptors with this one call it instead, so
 * that neither this process nor its exit waits for them.
 */
#pragma once

#include <systemd/sd-event.h>

#include "macro.h"

/*
 * What one party uses: memory and descriptors. Descriptors count until they are
 * closed. At most one helper works for a budget at a time, so that the descriptors
 * of one party keep no helper from those of others.
 */
typedef struct Budget {
        unsigned n_ref;
        size_t bytes, fds;

        /* for closer.c: descriptors that wait, and whether a helper closes others */
        int *waiting;
        size_t n_waiting, waiting_allocated;
        bool busy, queued;
        struct Budget *next;
} Budget;

/* Returns a budget that is not used yet, with one reference, or NULL without memory. */
Budget *budget_new(void);
Budget *budget_ref(Budget *b);
Budget *budget_unref(Budget *b);
DEFINE_CLEANUP(Budget *, budget_unref)

/* What a descriptor is, for the helper that empties the table when this process has died. */
typedef enum CloserMark {
        CLOSER_OWN,        /* can be closed without waiting */
        CLOSER_CONNECTION, /* a socket with a client at its other end, which has to learn that it is closed */
        CLOSER_FOREIGN,    /* came from a client */
} CloserMark;

/*
 * Starts the helpers; event is referenced until closer_stop(). Calls nest. Returns 0,
 * or a negative errno: descriptors are closed by this process then.
 */
int closer_start(sd_event *event);
void closer_stop(void);

/* Notes what a descriptor is. Without effect if no helpers were started. */
void closer_mark(int fd, CloserMark mark);

/*
 * Closes a descriptor, which must not be used any more, or does nothing if fd is
 * negative. budget->fds is decremented when it is closed; budget may be NULL. Leaves
 * errno alone. Returns -EBADF, so that fd = closer_close(budget, fd) clears.
 */
int closer_close(Budget *budget, int fd);
void closer_close_many(Budget *budget, int *fds, size_t n);

/* Number of descriptors that were handed to closer_close() and are not closed yet. */
size_t closer_pending(void);
