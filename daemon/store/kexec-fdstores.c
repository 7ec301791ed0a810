/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <sys/stat.h>

#include "fd-table.h"
#include "fdstore-node.h"
#include "fdstore-policy.h"
#include "kexec-fdstores.h"
#include "store-internal.h"
#include "unit-stop.h"
#include "utf8.h"

/* Descriptors of one unit that are named. */
#define NAMED_MAX 5U

/* What is in the store of one unit. */
typedef struct FdStoreContents {
        uint64_t bytes;
        size_t n_kept, n_lost;
        char *lost; /* names and reasons */
} FdStoreContents;

static void fdstore_problem_done(KexecFdStoreProblem *p) {
        free((char *) p->unit);
        free((char *) p->detail);
        free((char *) p->lost);
}

void kexec_fdstores_done(KexecFdStores *s) {
        for (size_t i = 0; i < s->n; i++)
                fdstore_problem_done(&s->problems[i]);
        free(s->problems);
        *s = (KexecFdStores) {};
}

/* Takes p->detail and p->lost over. */
static int problem_add(KexecFdStores *s, const char *unit, KexecFdStoreProblem p) {
        p.unit = strdup(unit);
        if (!p.unit || GREEDY_REALLOC(s->problems, s->allocated, s->n + 1) < 0) {
                fdstore_problem_done(&p);
                return -ENOMEM;
        }
        s->problems[s->n++] = p;
        return 0;
}

/* Names a descriptor that is not preserved. */
static int contents_lose(FdStoreContents *c, const char *name, const char *why) {
        _cleanup_free_ char *before = c->lost, *clean = utf8_sanitize(name);

        c->lost = NULL;
        if (!clean)
                return -ENOMEM;
        if (c->n_lost++ >= NAMED_MAX) {
                c->lost = TAKE_PTR(before);
                return 0;
        }
        if (asprintf(&c->lost, "%s%s'%s' (%s)", before ?: "", before ? ", " : "", clean, why) < 0) {
                c->lost = NULL;
                return -ENOMEM;
        }
        return 0;
}

static bool file_seen_before(const StoredFds *fds, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (fds->fds[i].dev == fds->fds[n].dev && fds->fds[i].inode == fds->fds[n].inode)
                        return true;
        return false;
}

/* Sums up a store. A descriptor that is gone by now is left out. The caller frees ret->lost. */
static int contents_read(FdTable *table, const StoredFds *fds, FdStoreContents *ret) {
        FdStoreContents c = {};

        for (size_t i = 0; i < fds->n; i++) {
                _cleanup_close_ int opened = -EBADF;
                OpenedFd found;
                struct stat st;
                const char *why;
                int r;

                why = stored_fd_refusal(&fds->fds[i], -EBADF);
                if (!why) {
                        r = fd_table_open(table, &fds->fds[i], &found);
                        if (r == -ENOMEM) {
                                free(c.lost);
                                return r;
                        }
                        if (r == -ENOENT)
                                continue;
                        if (r >= 0)
                                opened = found.fd;
                        why = r < 0 ? fd_table_error_text(r) : stored_fd_refusal(&fds->fds[i], opened);
                }
                if (why) {
                        /* As in the log, sockets do not count. */
                        if (!S_ISSOCK(fds->fds[i].mode) && contents_lose(&c, fds->fds[i].name, why) < 0)
                                return -ENOMEM;
                        continue;
                }
                c.n_kept++;
                if (S_ISREG(fds->fds[i].mode) && !file_seen_before(fds, i) && fstat(opened, &st) >= 0)
                        c.bytes += (uint64_t) st.st_blocks * 512;
        }
        *ret = c;
        return 0;
}

static bool fdstore_limit_exceeded(const char *name, uint64_t maximum, uint64_t current, uint64_t requested,
                                   KexecFdStoreProblem *ret) {
        uint64_t needed;

        if (!limit_exceeded(maximum, current, requested, &needed))
                return false;
        *ret = (KexecFdStoreProblem) { .limit = name, .maximum = maximum, .needed = needed };
        return true;
}

/* Returns true if storing the contents exceeds a limit. Otherwise adds them to what is stored. */
static bool contents_exceed(const Config *config, const FdStoreContents *c, Usage *usage,
                            uint64_t *total, KexecFdStoreProblem *ret) {
        const uint64_t *limit = config->limit;

        if (fdstore_limit_exceeded("UnitBytesMax", config->fdstore_unit_bytes, 0, c->bytes, ret) ||
            fdstore_limit_exceeded(limit_name(LIMIT_MESSAGE_DESCRIPTORS), limit[LIMIT_MESSAGE_DESCRIPTORS], 0,
                                   c->n_kept, ret) ||
            fdstore_limit_exceeded(limit_name(LIMIT_NODE_BYTES), limit[LIMIT_NODE_BYTES], 0, c->bytes, ret) ||
            fdstore_limit_exceeded(limit_name(LIMIT_OWNER_BYTES), limit[LIMIT_OWNER_BYTES], usage->owner_bytes,
                                   c->bytes, ret) ||
            fdstore_limit_exceeded(limit_name(LIMIT_TOTAL_BYTES), limit[LIMIT_TOTAL_BYTES],
                                   usage->total_bytes + *total, c->bytes, ret))
                return true;
        *total += c->bytes;
        return false;
}

/*
 * Finds a node with descriptors of the unit that an earlier boot stored, and that the unit has not received. Returns
 * 1, 0 if there is none, or a negative errno.
 */
static int unit_find_earlier(Store *store, const char *unit, KernelName *ret_name) {
        struct pkram_node_info nodes[64];
        uint64_t cursor = 0;
        uint32_t n;
        int r;

        do {
                r = pkram_device_list(store_device(store), /* flags= */ 0, &cursor, nodes, ELEMENTSOF(nodes), &n);
                if (r < 0)
                        return pkram_errno_is_missing(r) ? 0 : r;
                for (uint32_t i = 0; i < n; i++) {
                        KernelName owner;

                        if ((nodes[i].flags & PKRAM_NODE_INHERITED) &&
                            node_name_decode(nodes[i].name, &owner, ret_name) && streq(owner.text, unit) &&
                            fdstore_node_flags(ret_name->text) >= 0)
                                return 1;
                }
        } while (n == ELEMENTSOF(nodes));
        return 0;
}

/*
 * Determines why nothing in the store of a unit will be preserved. The caller frees *ret, which is NULL if nothing
 * stands against it. Returns 0, or a negative errno.
 */
static int unit_find_obstacle(sd_bus *bus, Store *store, const PreservingUnit *unit, FdStorePolicy policy,
                              char **ret) {
        const char *obstacle;
        KernelName name;
        int r;

        obstacle = preserving_unit_obstacle(unit, policy);
        if (!obstacle && !unit->stopped && !unit->stopping) {
                r = unit_is_stopped_by_shutdown(bus, unit->name);
                if (r < 0)
                        return r;
                if (r == 0)
                        obstacle = "a shutdown does not stop the unit, set Conflicts=shutdown.target";
        }
        if (obstacle) {
                *ret = strdup(obstacle);
                return *ret ? 0 : -ENOMEM;
        }
        r = unit_find_earlier(store, unit->name, &name);
        if (r > 0 && asprintf(ret, "node '%s' still holds descriptors of an earlier boot, restart the unit or remove "
                              "the node", name.text) < 0) {
                *ret = NULL;
                return -ENOMEM;
        }
        return MIN(r, 0);
}

static int unit_examine(sd_bus *bus, Store *store, FdTable *table, const Config *config,
                        const PreservingUnit *preserving, FdStorePolicy policy, uint64_t *total, UnitList *units,
                        KexecFdStores *s) {
        const char *unit = preserving->name;
        _cleanup_stored_fds_ StoredFds fds = {};
        _cleanup_free_ char *detail = NULL;
        KexecFdStoreProblem p;
        FdStoreContents c = {};
        Usage usage = {};
        int r;

        r = service_manager_dump_store(bus, unit, &fds);
        if (r < 0)
                return r;
        if (fdstore_limit_exceeded("UnitDescriptorsMax", config->fdstore_unit_descriptors, 0, fds.n, &p)) {
                r = unit_list_add(units, unit);
                return r < 0 ? r : problem_add(s, unit, p);
        }
        r = contents_read(table, &fds, &c);
        if (r < 0)
                return r;
        if (c.n_lost > 0)
                r = problem_add(s, unit, (KexecFdStoreProblem) { .lost = c.lost, .needed = c.n_lost });
        if (r < 0 || c.n_kept == 0)
                return r;
        r = unit_list_add(units, unit);
        if (r >= 0)
                r = unit_find_obstacle(bus, store, preserving, policy, &detail);
        if (detail)
                return problem_add(s, unit, (KexecFdStoreProblem) { .detail = TAKE_PTR(detail) });
        if (r >= 0)
                r = store_usage(store, unit, /* except_id= */ 0, /* except= */ NULL, &usage, /* reterr_error= */ NULL);
        if (r >= 0 && contents_exceed(config, &c, &usage, total, &p))
                r = problem_add(s, unit, p);
        return r;
}

int kexec_fdstores_collect(sd_bus *bus, Store *store, const char *proc, const char *root, const Config *config,
                           UnitList *units, KexecFdStores *ret) {
        _cleanup_preserving_units_ PreservingUnits preserving = {};
        _cleanup_(fd_table_freep) FdTable *table = NULL;
        uint64_t total = 0;
        int r, first;

        if (service_manager_unit_is_active(bus, FDSTORE_UNIT) <= 0)
                return 0;
        if (service_manager_preserves_stores(bus, root) > 0)
                return 0;
        r = service_manager_list_preserving(bus, root, &preserving);
        if (r < 0)
                return r;
        if (preserving.n == 0)
                return preserving.error;
        r = fd_table_new(proc, &table);
        if (r < 0)
                return r;
        first = preserving.error;
        for (size_t i = 0; i < preserving.n; i++) {
                const PreservingUnit *u = &preserving.units[i];
                FdStorePolicy policy = fdstore_policy_decide(config, u->name, u->own_policy);

                if (streq(u->name, FDSTORE_UNIT) || policy == FDSTORE_NO)
                        continue;
                r = unit_examine(bus, store, table, config, u, policy, &total, units, ret);
                if (r < 0 && service_manager_error_is_final(r))
                        return r;
                first = first ?: MIN(r, 0);
        }
        return first;
}
