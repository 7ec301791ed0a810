/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is done with a running QEMU over its monitor: check, save, resume and shut down a guest. */
#pragma once

#include "guest-record.h"
#include "qmp.h"

typedef struct GuestFacts {
        char *machine;       /* type of the machine, without aliases */
        uint64_t extra;      /* bytes of memory beside the RAM, which are copied when the guest is saved */
} GuestFacts;

void guest_facts_done(GuestFacts *f);
#define _cleanup_facts_ _cleanup_(guest_facts_done)

/*
 * Asks a QEMU, the process pid, that has not run its guest yet whether it can be saved, and sets it up for that.
 * ram_ids are the identifiers of the memory backends that are kept, extra_max is the largest sum of other memory.
 * Returns 0; -EOPNOTSUPP: it cannot, *reterr is the reason as a sentence, which the caller frees; or the errors of
 * qmp_execute().
 */
int guest_check(Qmp *q, pid_t pid, const char *version, const StringList *ram_ids, uint64_t extra_max, GuestFacts *ret,
                char **reterr);

/*
 * Saves the guest into a file, and fills in r: whether it ran, why QEMU had stopped it, and when it stood still.
 * ret_disks and ret_unseen get its disks as from guest_disks_list(). usec is the longest time, in which QEMU need not
 * answer. QEMU keeps running and has to be ended then. Returns 0; -EREMOTEIO: QEMU could not, or not in time, *reterr
 * is the reason as part of a sentence, which the caller frees; or the errors of qmp_execute(). After an error the
 * guest may stand still, see guest_wake().
 */
int guest_save(Qmp *q, pid_t pid, const char *path, uint64_t usec, GuestRecord *r, StringList *ret_disks,
               StringList *ret_unseen, char **reterr);

/* Has a guest run again that was not saved: one try, which takes usec at most. Returns 0: it runs; -EAGAIN: not yet;
 * or the errors of qmp_execute(), where -ETIMEDOUT means that QEMU is busy. */
int guest_wake(Qmp *q, uint64_t usec);

/* Loads a guest from a file; it does not run yet. Returns 0; -EREMOTEIO: QEMU refuses the state, *reterr is the reason
 * as part of a sentence, which the caller frees; or the errors of qmp_execute(), after which the state may be all
 * right. */
int guest_load(Qmp *q, const char *path, uint64_t usec, char **reterr);

/* Has it run. Returns the errors of qmp_execute(): after -EREMOTEIO it has not run, after others it may have. */
int guest_continue(Qmp *q, uint64_t usec, char **reterr);

/* Presses the power button. */
int guest_power_down(Qmp *q, uint64_t usec);

/* Ends QEMU at once. */
int guest_quit(Qmp *q, uint64_t usec);

/* Has the guest's agent, on a connected socket that is taken over, set the clock. Returns the errors of
 * qmp_execute(). */
int guest_set_clock(int fd, uint64_t usec, uint64_t realtime_usec);

/*
 * Adds up the memory in the answer to x-query-ramblock that is in no block of these names. *ret_found is how many of
 * the names are there. -EBADMSG: the text is no such answer.
 */
int ramblocks_count(const char *text, const StringList *ram_ids, uint64_t *ret_extra, size_t *ret_found);
