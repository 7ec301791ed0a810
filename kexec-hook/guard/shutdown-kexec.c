/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guard-jobs.h"
#include "kexec-units.h"
#include "shutdown-kexec.h"

int shutdown_is_kexec(void) {
        _cleanup_bus_ sd_bus *bus = NULL;
        ShutdownKind kind;
        int r;

        r = service_manager_connect(&bus);
        if (r < 0)
                r = sd_bus_open_system(&bus); /* only root may use the private socket */
        if (r < 0)
                return r;
        r = manager_shutdown_kind(bus, &kind);
        return r < 0 ? r : kind == SHUTDOWN_KEXEC;
}
