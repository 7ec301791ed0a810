/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <assert.h>
#include <string.h>

#include "guard-jobs.h"
#include "manager-bus.h"

#define LOGIND_NAME "org.freedesktop.login1"
#define LOGIND_PATH "/org/freedesktop/login1"
#define LOGIND_IFACE "org.freedesktop.login1.Manager"

/* Well below the timeout of the units that run us. */
#define CALL_TIMEOUT_USEC (UINT64_C(10) * 1000 * 1000)

ShutdownKind shutdown_kind_of_job(const char *unit, const char *type) {
        static const struct {
                const char *unit;
                ShutdownKind kind;
        } table[] = {
                { "kexec.target",                SHUTDOWN_KEXEC       },
                { "systemd-kexec.service",       SHUTDOWN_KEXEC       },
                { "soft-reboot.target",          SHUTDOWN_SOFT_REBOOT },
                { "systemd-soft-reboot.service", SHUTDOWN_SOFT_REBOOT },
                { "reboot.target",               SHUTDOWN_OTHER       },
                { "systemd-reboot.service",      SHUTDOWN_OTHER       },
                { "poweroff.target",             SHUTDOWN_OTHER       },
                { "systemd-poweroff.service",    SHUTDOWN_OTHER       },
                { "halt.target",                 SHUTDOWN_OTHER       },
                { "systemd-halt.service",        SHUTDOWN_OTHER       },
        };

        assert(unit);
        assert(type);

        if (strcmp(type, "start") != 0)
                return SHUTDOWN_NONE;

        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
                if (strcmp(unit, table[i].unit) == 0)
                        return table[i].kind;

        return SHUTDOWN_NONE;
}

int manager_shutdown_kind(sd_bus *bus, ShutdownKind *ret) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        ShutdownKind kind = SHUTDOWN_NONE;
        int r;

        assert(bus);
        assert(ret);

        r = sd_bus_call_method(bus, MANAGER_NAME, MANAGER_PATH, MANAGER_IFACE, "ListJobs", /* ret_error= */ NULL,
                               &reply, NULL);
        if (r < 0)
                return r;

        r = sd_bus_message_enter_container(reply, 'a', "(usssoo)");
        if (r < 0)
                return r;

        for (;;) {
                const char *unit, *type, *state, *job_path, *unit_path;
                uint32_t id;

                r = sd_bus_message_read(reply, "(usssoo)", &id, &unit, &type, &state, &job_path, &unit_path);
                if (r < 0)
                        return r;
                if (r == 0)
                        break;

                ShutdownKind k = shutdown_kind_of_job(unit, type);
                if (k == SHUTDOWN_KEXEC || kind == SHUTDOWN_NONE)
                        kind = k;
                if (kind == SHUTDOWN_KEXEC)
                        break;
        }

        *ret = kind;
        return 0;
}

int manager_cancel_all(sd_bus *bus, const char *unit) {
        int r;

        assert(bus);
        assert(unit);

        /* One call, not one a job: between two of ours the manager would run the jobs that the first one set free. */
        r = sd_bus_call_method(bus, MANAGER_NAME, MANAGER_PATH, MANAGER_IFACE, "ClearJobs", /* ret_error= */ NULL,
                               /* ret_reply= */ NULL, NULL);
        if (r < 0)
                return r;

        /* We are the stop command of this unit: it starts once we are gone. No dependencies: see its unit file. */
        return sd_bus_call_method(bus, MANAGER_NAME, MANAGER_PATH, MANAGER_IFACE, "StartUnit", /* ret_error= */ NULL,
                                  /* ret_reply= */ NULL, "ss", unit, "ignore-dependencies");
}

int logind_cancel_scheduled(void) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;
        struct timespec now;
        const char *type;
        uint64_t when;
        int r;

        /* Without bus or logind no shutdown is scheduled. */
        r = sd_bus_open_system(&bus);
        if (r < 0)
                return 0;
        r = sd_bus_set_method_call_timeout(bus, CALL_TIMEOUT_USEC);
        if (r < 0)
                return r;
        r = sd_bus_get_property(bus, LOGIND_NAME, LOGIND_PATH, LOGIND_IFACE, "ScheduledShutdown",
                                /* ret_error= */ NULL, &reply, "(st)");
        if (r < 0)
                return 0;

        r = sd_bus_message_read(reply, "(st)", &type, &when);
        if (r < 0)
                return r;
        /* A later one is another one. */
        if (clock_gettime(CLOCK_REALTIME, &now) < 0)
                return -errno;
        if (!*type || when > (uint64_t) now.tv_sec * 1000000 + 1000000)
                return 0;

        return sd_bus_call_method(bus, LOGIND_NAME, LOGIND_PATH, LOGIND_IFACE, "CancelScheduledShutdown",
                                  /* ret_error= */ NULL, /* ret_reply= */ NULL, NULL);
}
