/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kexec-units.h"
#include "service-manager.h"
#include "unit-stop.h"

/* No unit needs more than this to be started. */
#define UNITS_MAX 1024U

/* Adds what a property of a unit lists. Returns 0, or a negative errno. */
static int unit_dependencies_add(sd_bus *bus, const char *object, const char *property, UnitList *list) {
        char **values = NULL;
        int r;

        r = sd_bus_get_property_strv(bus, MANAGER_NAME, object, UNIT_IFACE, property, /* reterr_error= */ NULL,
                                     &values);
        for (char **v = values; v && *v; v++) {
                if (r >= 0)
                        r = unit_list_add(list, *v);
                free(*v);
        }
        free(values);
        return r;
}

/*
 * Returns 1 if a unit conflicts with something that a shutdown starts, 0 if not, or a negative errno. Adds the units
 * that take this one along when they stop to *units.
 */
static int unit_conflicts_with_shutdown(sd_bus *bus, const char *object, UnitList *units) {
        static const char *const started[] = { "shutdown.target", "umount.target", "final.target", "kexec.target",
                                               "systemd-kexec.service" };
        static const char *const conflicts[] = { "Conflicts", "ConflictedBy" };
        static const char *const needs[] = { "Requires", "Requisite", "BindsTo", "PartOf", "StopPropagatedFrom" };
        _cleanup_units_ UnitList opponents = {};
        int perpetual, r;

        /* One such as -.slice cannot stop. */
        r = sd_bus_get_property_trivial(bus, MANAGER_NAME, object, UNIT_IFACE, "Perpetual", /* reterr_error= */ NULL,
                                        'b', &perpetual);
        if (r < 0 || perpetual)
                return MIN(r, 0);
        for (size_t i = 0; i < ELEMENTSOF(conflicts); i++) {
                r = unit_dependencies_add(bus, object, conflicts[i], &opponents);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < ELEMENTSOF(started); i++)
                if (unit_list_has(&opponents, started[i]))
                        return 1;
        for (size_t i = 0; i < ELEMENTSOF(needs); i++) {
                r = unit_dependencies_add(bus, object, needs[i], units);
                if (r < 0)
                        return r;
        }
        return 0;
}

int unit_is_stopped_by_shutdown(sd_bus *bus, const char *unit) {
        _cleanup_units_ UnitList units = {};
        int r;

        r = unit_list_add(&units, unit);
        for (size_t i = 0; r == 0 && i < units.n && i < UNITS_MAX; i++) {
                _cleanup_free_ char *object = NULL;

                r = manager_find_unit(bus, units.names[i], &object);
                if (r >= 0)
                        r = unit_conflicts_with_shutdown(bus, object, &units);
                else if (i > 0 && !service_manager_error_is_final(r))
                        r = 0; /* it is not loaded */
        }
        return r;
}
