/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What pkramctl kexec starts: the kernel, its initial RAM disks and its command line. */
#pragma once

#include "cmdline-advice.h"
#include "kexec-entry.h"
#include "kexec-image.h"
#include "kexec-uki.h"

typedef struct KexecPlan {
        KexecEntries entries;
        const KexecEntry *entry;        /* one of entries, or NULL if the kernel was found otherwise */
        char *kernel;                   /* path of the kernel or of the unified kernel image */
        KexecUki uki;                   /* its parts, if it is a unified kernel image */
        int kernel_fd;                  /* the kernel, also if it is part of a unified kernel image */
        KexecImage image;
        const char **initrds;           /* paths, terminated by NULL */
        char *initrd;                   /* the one that was found next to the kernel */
        const int *initrd_fd;           /* the one of the unified kernel image, if it is used; otherwise NULL */
        char *cmdline;                  /* with pkram= */
        CmdlineAdvice advice[CMDLINE_ADVICE_MAX]; /* with --fast: what was added, and what was not */
        size_t n_advice;
} KexecPlan;

#define KEXEC_PLAN_NULL ((KexecPlan) { .kernel_fd = -EBADF, .uki = KEXEC_UKI_NULL })

/* Selects the kernel and opens it. Returns 0 or an exit status. */
int plan_find_kernel(KexecPlan *p);

/* Selects initial RAM disks and command line. super_pfn: page frame number for pkram=, 0 for none. Returns 0 or an
 * exit status. */
int plan_complete(KexecPlan *p, uint64_t super_pfn);

/* Shows the plan on standard output unless --quiet was given, and warns if there is no initial RAM disk. */
void plan_print(const KexecPlan *p);

/* Prints the IDs of all boot loader entries. Returns an exit status. */
int print_boot_loader_entries(void);

void plan_done(KexecPlan *p);
