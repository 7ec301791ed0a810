/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pkramctl analyze: what is known about the last kexec, and how it is shown. */
#pragma once

#include "ctl.h"
#include "unit-times.h"

/* The steps of a kexec in their order. */
typedef enum KexecStep {
        STEP_STOP,
        STEP_SHUTDOWN,
        STEP_SEAL,
        STEP_JUMP,
        STEP_KERNEL,
        STEP_INITRD,
        STEP_RESTORE,
        STEP_START,
        _STEP_MAX,
} KexecStep;

typedef struct AnalyzedStep {
        KexecStep step;
        int64_t begin, end; /* microseconds since 1970 */
} AnalyzedStep;

typedef struct Analysis {
        AnalyzedStep steps[_STEP_MAX];
        size_t n;
        int64_t begin, end;
        int64_t started;             /* when this kernel started, -1 if unknown */
        int64_t adopt;               /* how long it took to adopt the nodes, -1 if unknown */
        int64_t lost;                /* number of lost nodes */
        const char *previous_kernel; /* borrowed, "" if unknown */
} Analysis;

/* How long this kernel took until its initial RAM disk or, without one, the service manager was started, and how long
 * the initial RAM disk took. */
typedef struct BootTimes {
        uint64_t kernel, initrd; /* microseconds, UINT64_MAX if unknown */
} BootTimes;

/* --- ctl-analyze.c --- */

const char *kexec_step_name(KexecStep step);
/* What happens in a step. In the restore step, that depends on which other steps are known. */
const char *kexec_step_about(const Analysis *a, KexecStep step);

/* --- ctl-blame.c: from the journal --- */

/* Reads how long the boot took. What is not in the journal is unknown. Returns 0 or a negative errno. */
int journal_read_boot_times(BootTimes *ret);

/* Reads what units took, the slowest first; none if the caller may not read the journal. Returns 0 or a negative
 * errno. */
int journal_read_unit_times(const Analysis *a, UnitTimes *ret);

/* Return an exit status. */
int analyze_blame(const Analysis *a);

/* --- ctl-plot.c --- */
int analyze_plot(const Analysis *a);
