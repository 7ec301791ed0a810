/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "guard-jobs.h"
#include "log.h"
#include "manager-bus.h"
#include "shutdown-kexec.h"
#include "time-util.h"

/* Between a question that failed at once and the next one. */
#define PAUSE_USEC (USEC_PER_SEC / 2)

/* Asks once, and waits so long for the answer. */
static int shutdown_ask_kind(uint64_t usec, ShutdownKind *ret) {
        _cleanup_bus_ sd_bus *bus = NULL;
        int r;

        r = manager_connect(MANAGER_ADDRESS, usec, &bus);
        if (r >= 0)
                r = manager_wait_ready(bus, usec);
        if (r < 0 && r != -ETIMEDOUT) {
                /* Only root may use the private socket. */
                bus = sd_bus_close_unref(bus);
                r = sd_bus_open_system(&bus);
                if (r >= 0)
                        r = sd_bus_set_method_call_timeout(bus, usec);
        }
        return r < 0 ? r : manager_shutdown_kind(bus, ret);
}

int shutdown_is_kexec(uint64_t usec) {
        uint64_t now = now_usec(CLOCK_MONOTONIC), deadline = now + usec;
        ShutdownKind kind;
        int r;

        if (sd_booted() == 0) {
                log_warning("There is no systemd to ask whether the system goes into a kexec, assuming that it does "
                            "not.");
                return 0;
        }
        for (;;) {
                r = shutdown_ask_kind(deadline - now, &kind);
                if (r >= 0)
                        return kind == SHUTDOWN_KEXEC;
                now = now_usec(CLOCK_MONOTONIC) + PAUSE_USEC;
                if (r == -ENOMEM || now >= deadline)
                        return r;
                (void) usleep(PAUSE_USEC);
        }
}

bool shutdown_wants_save(uint64_t save_usec, const char *kind, const char *name) {
        int r;

        r = shutdown_is_kexec(MIN(save_usec, SHUTDOWN_ASK_USEC_MAX));
        if (r < 0)
                log_warning("Failed to ask the service manager whether the system goes into a kexec, saving %s '%s': "
                            "%s", kind, name, strerror(-r));
        return r != 0;
}
