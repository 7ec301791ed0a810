/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the old system knows about the kexec it is about to make, for the report of
 * the new one. It grows in KEXEC_RECORD_PATH during shutdown, and travels as
 * the node SYSTEM_NODE_RECORD. Times are microseconds of CLOCK_REALTIME since 1970,
 * UINT64_MAX where the step did not happen or was not observed.
 */
#pragma once

#include "string-list.h"

/* Made by pkram-kexec-guard, in the old system only: /run does not survive. */
#define KEXEC_RECORD_PATH "/run/pkram/kexec-record"

/* The kernel's table of mounts, copied there when the guard let the kexec through. Trees that are not in it were
 * unmounted before, by a program that did not call umount.pkram, and are not lost in this kexec. */
#define KEXEC_MOUNTS_PATH "/run/pkram/kexec-mounts"

/* Nodes named in it; a longer report would not be useful. */
#define KEXEC_RECORD_NODES_MAX 256U

/* Why a mounted tree could not be stored, as umount.pkram notes it for pkram-shutdown. */
typedef enum TreeLost {
        TREE_LOST_UNKNOWN,
        TREE_LOST_IN_USE,
        TREE_LOST_TIMEOUT, /* its unit was not given the time it took */
        TREE_LOST_MOUNTED, /* the kexec came without a shutdown, which would have stored it */
        _TREE_LOST_MAX,
} TreeLost;

/* A word, and back again; whatever else it is, and NULL, is TREE_LOST_UNKNOWN. */
const char *tree_lost_to_string(TreeLost lost);
TreeLost tree_lost_from_string(const char *word);

typedef struct KexecRecordNode {
        char *owner;    /* or NULL: it is not known */
        char *name;
        uint64_t bytes; /* in all of its objects, the manifest included */
        bool unstored;  /* it is no node, but a mounted tree that could not be stored */
        TreeLost why;   /* of those */
        bool found;     /* for the reader: it was restored, or its loss was explained */
} KexecRecordNode;

typedef struct KexecRecord {
        uint64_t requested_usec; /* the guard let it through, nothing was stopped yet */
        uint64_t stopped_usec;   /* ordinary services had stopped and stored what is theirs */
        uint64_t final_usec;     /* all processes were gone, file systems unmounted */
        KexecRecordNode *nodes;  /* at the last of these times */
        size_t n_nodes, nodes_allocated;
        uint64_t nodes_total;    /* those not named included */
        /* Names of those that ran at the first of these times. What became of them, their notes of this boot say. */
        StringList guests, processes;
} KexecRecord;

#define KEXEC_RECORD_NONE \
        ((KexecRecord) { .requested_usec = UINT64_MAX, .stopped_usec = UINT64_MAX, .final_usec = UINT64_MAX })

void kexec_record_done(KexecRecord *r);
#define _cleanup_record_ _cleanup_(kexec_record_done)

/*
 * Counts a node, and names it if there is room; the same for a tree that could not be stored. Bytes of the name that
 * are not UTF-8 are replaced. owner may be NULL. Returns 0 or -ENOMEM.
 */
int kexec_record_add(KexecRecord *r, const char *owner, const char *name, uint64_t bytes);
int kexec_record_add_unstored(KexecRecord *r, const char *owner, const char *name, TreeLost why);

/* Names a guest or process that runs, if there is room. Returns 0 or -ENOMEM. */
int kexec_record_add_program(StringList *l, const char *name);

/* The text, to be freed. -ENOMEM. */
int kexec_record_format(const KexecRecord *r, char **ret, size_t *ret_size);

/* Reads it back. -EBADMSG: it is none. Names that cannot be names and odd numbers are left out. */
int kexec_record_parse(const char *text, size_t size, KexecRecord *ret);

/* The same from and to a file; writing is in one step. -ENOENT, -EBADMSG, and as from open(2) and so on. */
int kexec_record_read(const char *path, KexecRecord *ret);
int kexec_record_write(const char *path, const KexecRecord *r);
