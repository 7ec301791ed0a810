/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Decides whether a kexec keeps what is stored, and says so in a sentence.
 *
 * The kernel alone knows what the loaded image would do (PKRAM_IOC_INFO); for an image that is not loaded yet
 * kexec-image.h reads it. Nothing is refused when nothing is stored. */

#include <stdbool.h>
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
        _KEXEC_REASON_MAX,
} KexecReason;

typedef struct KexecCheck {
        KexecReason reason;
        bool keeps;             /* false: at least one node would be lost */
        bool allowed;           /* may the kexec go on under the policy? Always true when keeps is */
        uint64_t n_nodes;       /* stored now */
        uint64_t n_trees;       /* mounted now, to be stored on the way into the kexec */
        char text[512];         /* one or two sentences in plain words, the second saying what to do; no newline */
} KexecCheck;

/* info:   from PKRAM_IOC_INFO; NULL if the running kernel has no PKRAM: nothing is stored then
 * image:  the image that is going to be loaded with a command line by kexec_cmdline_build(), or NULL to judge
 *         the one that is loaded already
 * n_trees: from kexec_count_trees()
 * policy: from the configuration, or KEXEC_POLICY_FORCE for --force
 *
 * Cannot fail. An answer that is not understood counts as a loss. */
void kexec_check(const struct pkram_ioctl_info *info, const KexecImage *image, uint64_t n_trees, KexecPolicy policy,
                 KexecCheck *ret);

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

/* 1 if a mark is there, 0 if not. A link, a file of another user than root or us, or one that is too old is no mark. */
int kexec_force_get(const char *path);
