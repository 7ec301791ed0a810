/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether a unit stops when the system shuts down, by the dependencies that the service manager has for it. */
#pragma once

#include "manager-bus.h"

/*
 * Returns 1 if a shutdown stops the unit: it conflicts with a target that a shutdown starts, or a unit that takes this
 * one along when it stops does. Returns 0 if it runs to the end, or a negative errno.
 */
int unit_is_stopped_by_shutdown(sd_bus *bus, const char *unit);
