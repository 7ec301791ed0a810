/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "manager-bus.h"

int manager_connect(const char *address, uint64_t timeout_usec, sd_bus **ret) {
        _cleanup_bus_ sd_bus *bus = NULL;
        int r;

        r = sd_bus_new(&bus);
        if (r < 0)
                return r;
        r = sd_bus_set_address(bus, address);
        if (r < 0)
                return r;
        r = sd_bus_set_method_call_timeout(bus, timeout_usec);
        if (r < 0)
                return r;
        r = sd_bus_start(bus);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(bus);
        return 0;
}

int manager_find_unit(sd_bus *bus, const char *unit, char **ret) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        const char *object;
        int r;

        r = sd_bus_call_method(bus, MANAGER_NAME, MANAGER_PATH, MANAGER_IFACE, "GetUnit", /* reterr_error= */ NULL,
                               &reply, "s", unit);
        if (r < 0)
                return r;
        r = sd_bus_message_read(reply, "o", &object);
        if (r < 0)
                return r;
        *ret = strdup(object);
        return *ret ? 0 : -ENOMEM;
}
