/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Decides whether a kexec preserves stored nodes, mounted trees, shared memory, and the memory that services store
 * when they stop.
 *
 * pkramctl check, CheckKexec, the guard and pkramctl kexec all use kexec_check(). kexec-facts.h collects its input. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kexec-image.h"

struct pkram_ioctl_info;

/* KexecPolicy= in pkramd.conf. */
typedef enum KexecPolicy {
        KEXEC_POLICY_REFUSE,    /* a kexec that would lose a node does not happen */
        KEXEC_POLICY_WARN,      /* it happens, and the journal has a warning */
        KEXEC_POLICY_FORCE,     /* it happens without a word */
        _KEXEC_POLICY_MAX,
} KexecPolicy;

typedef enum KexecReason {
        KEXEC_REASON_NOTHING_STORED,    /* there is nothing to lose */
        KEXEC_REASON_KEEPS,             /* all of it is kept */
        KEXEC_REASON_NO_IMAGE,          /* no image is loaded */
        KEXEC_REASON_NO_SUPPORT,        /* the image's kernel has no PKRAM */
        KEXEC_REASON_NO_PARAMETER,      /* its command line lacks the right pkram= */
        KEXEC_REASON_FORMAT,            /* it reads another format version */
        KEXEC_REASON_ARCHITECTURE,      /* it is for another architecture, or cannot be relocated */
        KEXEC_REASON_UNKNOWN,           /* the kernel gave an answer this program does not know */
        KEXEC_REASON_TREE,              /* the image would preserve everything, but a mounted tree cannot be stored */
        KEXEC_REASON_FDSTORE,           /* the same, but a file descriptor store cannot be stored */
        KEXEC_REASON_SHARED_MEMORY,     /* the same, but shared memory cannot be stored */
        KEXEC_REASON_PROGRAM,           /* the same, but a guest or process cannot be saved */
        KEXEC_REASON_STORE,             /* the same, but nothing can be stored before */
        KEXEC_REASON_DISK,              /* the image preserves nothing, but all of it is written to disk before */
        _KEXEC_REASON_MAX,
} KexecReason;

/* Returns true if the image would preserve everything. Something that is not stored yet may be lost nevertheless. */
static inline bool kexec_reason_image_keeps(KexecReason reason) {
        return reason == KEXEC_REASON_KEEPS || reason == KEXEC_REASON_NOTHING_STORED ||
                reason == KEXEC_REASON_TREE || reason == KEXEC_REASON_FDSTORE ||
                reason == KEXEC_REASON_SHARED_MEMORY || reason == KEXEC_REASON_PROGRAM ||
                reason == KEXEC_REASON_STORE;
}

/* The limit of a tree that is no limit of pkramd.conf. */
#define KEXEC_LIMIT_SIZE "size"

/* A mounted tree that cannot be stored as it is now. All strings are valid UTF-8 without control characters. */
typedef struct KexecTreeProblem {
        const char *name;       /* of the tree */
        const char *path;       /* where it is mounted */
        /* of pkramd.conf, which storing it would exceed, or "size", of the tree; or NULL */
        const char *limit;
        uint64_t maximum;       /* with limit: its value */
        uint64_t needed;        /* with limit: what all that counts against it would come to */
        const char *programs;   /* with limit: guests and processes that will be saved on the tree, or NULL */
        const char *users;      /* else: what writes to it and is not stopped before; or NULL */
        const char *detail;     /* else: why it cannot be stored, or not be examined */
        bool idmapped;          /* with detail: it is mounted with X-mount.idmap= */
        bool disk;              /* with detail: pkramd stores nothing while the disk cannot be used */
} KexecTreeProblem;

/* What is not preserved of a unit's file descriptor store. All strings are valid UTF-8 without control characters. */
typedef struct KexecFdStoreProblem {
        const char *unit;
        const char *limit;      /* of pkramd.conf, which storing it would exceed; or NULL */
        uint64_t maximum;       /* with limit: its value */
        /* with limit: what all that counts against it would come to; with lost: number of lost descriptors */
        uint64_t needed;
        const char *detail;     /* else: why nothing of it can be preserved, as part of a sentence; or NULL */
        const char *lost;       /* else: names of descriptors that cannot be preserved, with reasons; the others can */
} KexecFdStoreProblem;

/* A segment or file of shared memory that is stored when the system goes into a kexec. */
typedef struct KexecSharedMemory {
        const char *name;       /* its key ("0x0052e2c1") or path; valid UTF-8 without control characters */
        const char *limit;      /* of pkramd.conf, which storing it would exceed; or NULL */
        uint64_t maximum;       /* with limit: its value */
        uint64_t needed;        /* with limit: what all that counts against it would come to */
        const char *detail;     /* else: why it cannot be stored, as part of a sentence; or NULL */
} KexecSharedMemory;

/* A guest of pkram-qemu or process of pkram-criu that cannot be saved as it is now. */
typedef struct KexecProgramProblem {
        const char *name;       /* valid UTF-8 without control characters, as is detail */
        const char *detail;     /* why it cannot be saved */
} KexecProgramProblem;

/* What there is to lose. */
typedef struct KexecFacts {
        const struct pkram_ioctl_info *info;    /* from PKRAM_IOC_INFO; NULL if the running kernel has no PKRAM */
        uint64_t n_nodes;                       /* stored nodes, without those that pkram stores for itself */
        uint64_t n_trees;                       /* mounted trees, those with problems included */
        const KexecTreeProblem *problems;
        size_t n_problems;
        const KexecSharedMemory *shared;
        size_t n_shared;
        const char *shared_problem;             /* why none of it would be stored, a clause; or NULL */
        const char *const *units;               /* services that store memory when they stop */
        size_t n_units;
        const KexecFdStoreProblem *fdstore_problems;
        size_t n_fdstore_problems;
        const KexecProgramProblem *program_problems;
        size_t n_program_problems;
        /* why the disk cannot be used, so that nothing more is stored in memory either, a clause; or NULL */
        const char *store_problem;
        /* a sentence on what is written to disk, if all nodes and trees are and fit; or NULL */
        const char *on_disk;
        /* why nothing can be stored on disk, a clause; NULL if it can be, or if nodes are in memory */
        const char *disk_problem;
        const char *crash_wanted;               /* crashkernel= that may find no memory in the next kernel, or NULL */
        uint64_t crash_reserved;                /* with crash_wanted: bytes that the running kernel has reserved */
        /* an image that preserves nothing loses something even if there is nothing now */
        bool strict;
} KexecFacts;

typedef struct KexecCheck {
        KexecReason reason;
        bool keeps;             /* in memory or on disk; false: a node, tree or service's memory would be lost */
        bool allowed;           /* may the kexec go on under the policy? Always true when keeps is */
        bool keeps_at_once;     /* would 'kexec -e' at once, without a shutdown, preserve everything? */
        uint64_t n_nodes, n_trees, n_shared, n_units; /* as in KexecFacts */
        char text[2048];        /* one or two sentences, the second saying what to do; no newline */
        char at_once[1024];     /* what 'kexec -e' would lose besides; "" if nothing */
        char crash_kernel[512]; /* why the next kernel may have no crash kernel; "" if it will have what it asks for */
} KexecCheck;

/* Judges a kexec.
 *
 * image:  the image that is going to be loaded with a command line by kexec_cmdline_build(), or NULL to judge
 *         the one that is loaded already
 * policy: from the configuration, or KEXEC_POLICY_FORCE for --force
 *
 * Cannot fail. An answer that is not understood counts as a loss. */
void kexec_check(const KexecFacts *facts, const KexecImage *image, KexecPolicy policy, KexecCheck *ret);

/* As in the configuration: "refuse", "warn", "force". The second returns -EINVAL for anything else. */
const char *kexec_policy_to_string(KexecPolicy policy);
int kexec_policy_from_string(const char *s, KexecPolicy *ret);

/* As in io.pkram.Store: "nothingStored", "keeps", "noImage", "noSupport", ... */
const char *kexec_reason_to_string(KexecReason reason);

/* `pkramctl kexec --force` asks the guard that watches every shutdown (see kexec-guard.c) to let one kexec
 * through. The mark lives in /run, so it does not outlast this boot; a kexec that is let through consumes it, and one
 * that never began leaves it for KEXEC_FORCE_SEC only.
 *
 * path: NULL for KEXEC_FORCE_MARK. Both return 0 or a negative errno; clearing a mark that is not there is fine. */
#define KEXEC_FORCE_MARK "/run/pkram/kexec-force"
#define KEXEC_FORCE_SEC 120
int kexec_force_set(const char *path);
int kexec_force_clear(const char *path);

/* 1 if a mark is there, 0 if not. A link, a file of another user than root or us, or one that is too old is no
 * mark. */
int kexec_force_get(const char *path);
