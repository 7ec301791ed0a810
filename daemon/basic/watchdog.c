/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "time-util.h"
#include "watchdog.h"

/* What a call may take for each GiB. The kernel needs a tenth of that at most. Disks take many calls. */
#define USEC_PER_GIB USEC_PER_SEC

static uint64_t pinged_usec;
static bool extended;

void watchdog_ping(void) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (now - pinged_usec < USEC_PER_SEC || sd_watchdog_enabled(/* unset_environment= */ false, NULL) <= 0)
                return;
        (void) sd_notify(/* unset_environment= */ false, "WATCHDOG=1");
        pinged_usec = now;
}

void watchdog_begin(uint64_t bytes) {
        uint64_t usec, now, extra = bytes / GIB(1) * USEC_PER_GIB;

        if (sd_watchdog_enabled(/* unset_environment= */ false, &usec) <= 0)
                return;

        now = now_usec(CLOCK_MONOTONIC);
        if (extra > usec / 2) {
                extended = sd_notifyf(/* unset_environment= */ false, "WATCHDOG_USEC=%" PRIu64 "\nWATCHDOG=1",
                                      usec + extra) > 0;
                pinged_usec = now;
        } else
                watchdog_ping();
}

void watchdog_end(void) {
        uint64_t usec;

        if (!TAKE(extended, false) || sd_watchdog_enabled(/* unset_environment= */ false, &usec) <= 0)
                return;
        (void) sd_notifyf(/* unset_environment= */ false, "WATCHDOG_USEC=%llu\nWATCHDOG=1", (unsigned long long) usec);
}
