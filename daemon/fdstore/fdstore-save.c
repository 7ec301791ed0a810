/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <poll.h>
#include <sys/stat.h>

#include "fdstore.h"
#include "fdstore-nodes.h"
#include "fdstore-policy.h"
#include "fdstore-shared.h"
#include "fdstore-unit.h"

/* How often to check units that are about to stop. */
#define STOPPING_MSEC 100U

/*
 * Lists the units, and waits a moment for those that are about to stop: an early unit is ordered before this one only
 * if its descriptors were restored in this boot.
 */
static int units_list(const FdStoreEnvironment *e, PreservingUnits *ret) {
        for (unsigned turn = 0;; turn++) {
                _cleanup_preserving_units_ PreservingUnits units = {};
                bool wait = false;
                int r;

                r = service_manager_list_preserving(e->bus, e->root, &units);
                if (r < 0)
                        return r;
                for (size_t i = 0; i < units.n; i++)
                        wait = wait || (units.units[i].stopping && !streq(units.units[i].name, FDSTORE_UNIT));
                if (!wait || turn * STOPPING_MSEC >= e->stopping_msec) {
                        *ret = TAKE(units, (PreservingUnits) {});
                        return 0;
                }
                (void) poll(NULL, 0, STOPPING_MSEC);
        }
}

/*
 * Removes the nodes of units that were started again since they were listed, because the files of a running unit must
 * not be frozen. Returns 0, -EBUSY if there was one, or another negative errno.
 */
static int started_units_thaw(const FdStoreEnvironment *e, const PreservingUnits *units, const ListedNodes *nodes) {
        _cleanup_preserving_units_ PreservingUnits now = {};
        int r, first = 0;

        r = service_manager_list_preserving(e->bus, e->root, &now);
        if (r < 0)
                return log_error_errno(r, "Failed to list units with file descriptor stores again");
        for (size_t i = 0; i < now.n; i++) {
                bool was_stopped = false;

                for (size_t k = 0; k < units->n && !was_stopped; k++)
                        was_stopped = units->units[k].stopped && streq(units->units[k].name, now.units[i].name);
                /* A unit with a node of an earlier boot has no other. */
                if (!was_stopped || now.units[i].stopped || listed_nodes_find_inherited(nodes, now.units[i].name))
                        continue;
                r = fdstore_unit_remove(e, now.units[i].name, /* except= */ NULL);
                if (r > 0) {
                        fdstore_log_lost(LOG_WARNING, now.units[i].name,
                                         "File descriptors of %s will not survive the kexec: "
                                         "the unit was started again.", now.units[i].name);
                        first = first ?: -EBUSY;
                }
        }
        return first;
}

/* Returns true if the unit would lose its descriptors. Assumes so if that cannot be determined. */
static bool unit_has_more_than_sockets(const FdStoreEnvironment *e, const char *unit) {
        _cleanup_stored_fds_ StoredFds fds = {};

        if (service_manager_dump_store(e->bus, unit, &fds) < 0)
                return true;
        for (size_t i = 0; i < fds.n; i++)
                if (!S_ISSOCK(fds.fds[i].mode))
                        return true;
        return false;
}

/* Returns true if there is a descriptor of a kind that is preserved. */
static bool stored_fds_have_kept(const StoredFds *fds) {
        for (size_t i = 0; i < fds->n; i++)
                if (!stored_fd_refusal(&fds->fds[i], -EBADF))
                        return true;
        return false;
}

/*
 * Reads the store of a unit, unless it has nothing that can be preserved. nodes are those that are stored already: one
 * that an earlier boot stored, and that the unit has not received, is not replaced. Returns 0, or a negative errno
 * that was logged.
 */
static int unit_store_read(const FdStoreEnvironment *e, const PreservingUnit *unit, FdStorePolicy policy,
                           const ListedNodes *nodes, StoredFds *ret) {
        const ListedNode *earlier = listed_nodes_find_inherited(nodes, unit->name);
        const char *obstacle = preserving_unit_obstacle(unit, policy);
        _cleanup_stored_fds_ StoredFds fds = {};
        int r;

        /* For example systemd-journald.service, which has sockets in its store and runs to the end. */
        if ((obstacle || !unit->stopped) && !unit_has_more_than_sockets(e, unit->name))
                return 0;
        if (obstacle || !unit->stopped) {
                fdstore_log_lost(LOG_WARNING, unit->name, "File descriptors of %s will not survive the kexec: %s.",
                                 unit->name, obstacle ?: "the unit is still running");
                return obstacle ? -ENOTSUP : -EBUSY;
        }
        r = service_manager_dump_store(e->bus, unit->name, &fds);
        if (r < 0)
                return log_error_errno(r, "Failed to read the file descriptor store of %s", unit->name);
        if (earlier && stored_fds_have_kept(&fds)) {
                fdstore_log_lost(LOG_ERR, unit->name, "File descriptors of %s will not survive the kexec: node '%s' "
                                 "still holds those of an earlier boot. Restart the unit, or remove the node.",
                                 unit->name, earlier->name);
                return -EEXIST;
        }
        *ret = TAKE(fds, (StoredFds) {});
        return 0;
}

int fdstore_save(const FdStoreEnvironment *e) {
        _cleanup_preserving_units_ PreservingUnits units = {};
        _cleanup_listed_nodes_ ListedNodes nodes = {};
        _cleanup_(shared_files_done) SharedFiles shared = {};
        _cleanup_(fd_table_freep) FdTable *table = NULL;
        _cleanup_free_ FdStorePolicy *policies = NULL;
        StoredFds *stores;
        int r, first;

        r = service_manager_preserves_stores(e->bus, e->root);
        if (r < 0)
                log_warning("Failed to find out whether the service manager preserves file descriptor stores itself, "
                            "assuming that it does not: %s", strerror(-r));
        if (r > 0) {
                log_info("The service manager preserves file descriptor stores itself, storing none.");
                return 0;
        }

        r = units_list(e, &units);
        if (r < 0)
                return log_error_errno(r, "Failed to list units with file descriptor stores");
        r = listed_nodes_read(e, &nodes);
        if (r < 0)
                return r;
        first = units.error;
        stores = calloc(MAX(units.n, 1U), sizeof(*stores));
        policies = calloc(MAX(units.n, 1U), sizeof(*policies));
        if (!stores || !policies) {
                free(stores);
                return log_error_errno(-ENOMEM, "Failed to read file descriptor stores");
        }
        for (size_t i = 0; i < units.n; i++) {
                if (streq(units.units[i].name, FDSTORE_UNIT))
                        continue;
                policies[i] = fdstore_policy_decide(e->config, units.units[i].name, units.units[i].own_policy);
                if (policies[i] == FDSTORE_NO) {
                        log_info("Not preserving the file descriptors of %s, as configured.", units.units[i].name);
                        continue;
                }
                r = unit_store_read(e, &units.units[i], policies[i], &nodes, &stores[i]);
                first = first ?: r;
        }

        r = fd_table_new(e->proc, &table);
        if (r < 0)
                log_error_errno(r, "Failed to read %s/fd", e->proc);
        if (r >= 0) {
                /* A file that cannot be stored must not cost the stores of other units. */
                int k = shared_files_store_own(e, table, &shared);

                first = first ?: k;
                r = k == -ENOMEM ? k : 0;
        }
        if (r >= 0)
                r = shared_files_collect(&shared, stores, units.n);
        for (size_t i = 0; r >= 0 && i < units.n; i++)
                if (stores[i].n > 0) {
                        int k = fdstore_unit_save(e, &units.units[i], policies[i], &stores[i], table, &shared);

                        first = first ?: k;
                }
        for (size_t i = 0; i < units.n; i++)
                stored_fds_done(&stores[i]);
        free(stores);
        if (r < 0)
                return r;
        r = started_units_thaw(e, &units, &nodes);
        return first ?: r;
}
