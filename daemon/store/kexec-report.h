/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What this system knows about the kexec that started it: made by pkram-restore early
 * in the boot, completed when services are up, shown by GetStatus. It is the LastKexec
 * of io.pkram.Store as JSON in KEXEC_REPORT_PATH, which lives as long as this kernel.
 */
#pragma once

#include "json-util.h"
#include "kexec-record.h"

#define KEXEC_REPORT_PATH "/run/pkram/last-kexec.json"

typedef struct LostNode {
        char *owner;  /* NULL if it is not known */
        char *name;   /* NULL if it is not known */
        char *reason;
} LostNode;

typedef struct KexecReport {
        KexecRecord record;      /* from the old system, if it had time to make one */
        char *previous_kernel;   /* or NULL */
        uint64_t sealed_usec;    /* times as in KexecRecord */
        uint64_t started_usec;   /* this kernel began */
        uint64_t restored_usec;
        uint64_t restored_nodes, restored_bytes; /* bytes: in their objects, holes included */
        uint64_t lost_nodes;     /* those not named included */
        StringList shared;       /* segments and files of shared memory whose nodes were restored */
        LostNode *lost;
        size_t n_lost, lost_allocated;
        uint64_t log_lines;      /* that were replayed into the journal */
} KexecReport;

#define KEXEC_REPORT_NONE                                                                                      \
        ((KexecReport) { .record = KEXEC_RECORD_NONE, .sealed_usec = UINT64_MAX, .started_usec = UINT64_MAX,   \
                         .restored_usec = UINT64_MAX })

void kexec_report_done(KexecReport *r);
#define _cleanup_report_ _cleanup_(kexec_report_done)

/* Counts a lost node, and names it if there is room. owner and name may be NULL. Returns 0 or -ENOMEM. */
int kexec_report_add_lost(KexecReport *r, const char *owner, const char *name, const char *reason);

/* True if a lost node of that name was added. */
bool kexec_report_has_lost(const KexecReport *r, const char *name);

/* Takes names out of a LastKexec that only root may read: of guests, processes and shared memory. */
void kexec_report_hide_names(struct json_object *report);

/* Writes it. Also -ENOMEM. */
int kexec_report_write(const char *path, const KexecReport *r);

/* Notes in the file when services were up again, in microseconds since 1970. -ENOENT, -EBADMSG. */
int kexec_report_set_up(const char *path, uint64_t usec);

/* Reads it as a LastKexec, with nothing in it that this version does not know. -ENOENT, -EBADMSG, -ENOMEM. */
int kexec_report_read(const char *path, struct json_object **ret);
