/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What stands beside a saved guest in its directory: how far saving it came, and what has to be the same when it goes
 * on. It is in the tree, and so shares the fate of the memory that it describes.
 */
#pragma once

#include "guest-disks.h"
#include "qemu-args.h"

#define GUEST_RECORD_FILE "guest.json"
#define GUEST_STATE_FILE "state"

typedef enum GuestPhase {
        GUEST_SAVING, /* saving began, and its end was not recorded */
        GUEST_SAVED,
        GUEST_FAILED, /* saving failed */
        GUEST_RESUMING, /* QEMU was told to run it, and whether it does was not recorded */
        _GUEST_PHASE_MAX,
} GuestPhase;

/* Why QEMU had stopped the guest by itself before the guest was saved. */
typedef enum GuestStop {
        GUEST_STOP_NONE,     /* it had not */
        GUEST_STOP_IO_ERROR, /* a disk, for example since the host's file system was full */
        GUEST_STOP_WATCHDOG, /* the guest's watchdog expired */
        _GUEST_STOP_MAX,
} GuestStop;

/* The reason for QEMU's status of a virtual machine, GUEST_STOP_NONE for others. status may be NULL. */
GuestStop guest_stop_from_status(const char *status);

typedef struct GuestRecord {
        GuestPhase phase;
        char *reason;           /* GUEST_FAILED, GUEST_RESUMING: why */
        StringList arguments;   /* QEMU's command line, as it was given */
        uint64_t size;          /* of the RAM, in bytes */
        char *qemu;             /* version */
        char *machine;          /* type of the machine, without aliases */
        bool running;           /* it was not paused */
        GuestStop stop;         /* if it was not running */
        uint64_t stopped_usec;  /* when it stood still, CLOCK_REALTIME */
        struct json_object *disks; /* array, see guest_disks_to_json() */
} GuestRecord;

void guest_record_done(GuestRecord *r);
#define _cleanup_record_ _cleanup_(guest_record_done)

/* Writes the record into a directory in one step. -errno. */
int guest_record_write(const GuestRecord *r, int directory);

/*
 * The same for a guest that cannot be resumed: phase is GUEST_FAILED or GUEST_RESUMING, and why is the reason for the
 * next start.
 */
int guest_record_write_reason(GuestRecord *r, GuestPhase phase, const char *why, int directory);

/* Reads the record of a directory. -ENOENT: there is none; -EBADMSG: it is no record; -ENOMEM and other errors. */
int guest_record_read(int directory, GuestRecord *ret);

/* The same for the text of a record. */
int guest_record_parse(const char *text, size_t length, GuestRecord *ret);

/*
 * Why the guest cannot go on with these arguments and this RAM, as part of a sentence, which the caller frees. Returns
 * 1: it cannot, 0: it can, -ENOENT: it cannot as long as a disk is missing, or -ENOMEM.
 */
int guest_record_differs(const GuestRecord *r, char *const *arguments, uint64_t size, char **ret_why);
