/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the guard does about a kexec, apart from doing it. */

#include "kexec-check.h"

typedef enum GuardAction {
        GUARD_PASS,     /* let it through */
        GUARD_WARN,     /* let it through and log what it loses */
        GUARD_REFUSE,
} GuardAction;

/* The policy that holds for this kexec.
 *
 * forced:        what kexec_force_get() returned; an error counts as no mark
 * config_result: what config_load() returned; an error counts as KexecPolicy=refuse
 * configured:    KexecPolicy= of the configuration */
KexecPolicy guard_policy(int forced, int config_result, KexecPolicy configured);

/* device_result: what kexec_state_collect() returned; after an error check is ignored, and the kexec may lose
 * anything.
 * check:         the judgement under that policy */
GuardAction guard_decide(KexecPolicy policy, int device_result, const KexecCheck *check);
