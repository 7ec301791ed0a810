/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "guard-decide.h"

KexecPolicy guard_policy(int forced, int config_result, KexecPolicy configured) {
        if (forced > 0)
                return KEXEC_POLICY_FORCE;
        if (config_result < 0)
                return KEXEC_POLICY_REFUSE;
        return configured;
}

GuardAction guard_decide(KexecPolicy policy, int device_result, const KexecCheck *check) {
        if (device_result < 0)
                return policy == KEXEC_POLICY_WARN || policy == KEXEC_POLICY_FORCE ? GUARD_WARN : GUARD_REFUSE;
        if (!check->allowed)
                return GUARD_REFUSE;
        return check->keeps ? GUARD_PASS : GUARD_WARN;
}
