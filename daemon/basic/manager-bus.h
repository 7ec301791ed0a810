/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Talks to the service manager without a bus daemon, over its private socket, which exists from the first to the last
 * unit. */
#pragma once

#include <systemd/sd-bus.h>

#include "macro.h"

#define MANAGER_NAME "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER_IFACE MANAGER_NAME ".Manager"
#define UNIT_IFACE MANAGER_NAME ".Unit"
#define SERVICE_IFACE MANAGER_NAME ".Service"

#define MANAGER_ADDRESS "unix:path=/run/systemd/private"

static inline void sd_bus_donep(sd_bus **bus) {
        (void) sd_bus_flush_close_unref(*bus);
}

#define _cleanup_bus_ _cleanup_(sd_bus_donep)

static inline void sd_bus_message_donep(sd_bus_message **m) {
        (void) sd_bus_message_unref(*m);
}

#define _cleanup_bus_message_ _cleanup_(sd_bus_message_donep)

/*
 * Connects to the service manager at an address, MANAGER_ADDRESS or that of a test, and waits for each of its answers
 * no longer than so many microseconds. The caller unrefs *ret. Returns 0, or a negative errno.
 */
int manager_connect(const char *address, uint64_t timeout_usec, sd_bus **ret);

/* Waits until it has accepted the connection, which the first call would do for 90 seconds. Not for event loops, which
 * need not wait. Returns 0, or a negative errno, when the connection is closed. */
int manager_wait_ready(sd_bus *bus, uint64_t timeout_usec);

/* Finds the object path of a loaded unit, which the caller frees. Returns 0, or a negative errno. */
int manager_find_unit(sd_bus *bus, const char *unit, char **ret);
