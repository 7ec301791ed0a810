/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "manager-bus.h"
#include "time-util.h"

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

int manager_wait_ready(sd_bus *bus, uint64_t timeout_usec) {
        uint64_t now = now_usec(CLOCK_MONOTONIC), deadline = now + timeout_usec;
        int r;

        while ((r = sd_bus_is_ready(bus)) == 0) {
                r = sd_bus_process(bus, /* ret= */ NULL);
                if (r == 0 && now >= deadline)
                        r = -ETIMEDOUT;
                else if (r == 0)
                        r = sd_bus_wait(bus, deadline - now);
                if (r < 0)
                        break;
                now = now_usec(CLOCK_MONOTONIC);
        }
        if (r < 0)
                /* Otherwise flushing it in the end waits as well. */
                sd_bus_close(bus);
        return MIN(r, 0);
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
