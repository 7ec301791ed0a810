/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include "format.h"
#include "json-util.h"
#include "kexec-facts.h"
#include "kexec-trees.h"
#include "manager-bus.h"
#include "name.h"
#include "reboot-check.h"
#include "service-manager.h"
#include "time-util.h"
#include "utf8.h"

/* For counting what is in trees without a limit; the guard has 30 seconds for all it does. */
#define COST_USEC (5 * USEC_PER_SEC)

/* It writes the nodes, with what pkram-generator adds to it. */
#define SHUTDOWN_UNIT "pkram-shutdown.service"
#define SHUTDOWN_DROP_IN "/" SHUTDOWN_UNIT ".d/50-disk.conf"

/* Nodes that are named in the text, and in a reply. */
#define NAMED_MAX 5U
#define LISTED_MAX 100U

RebootCheck *reboot_check_free(RebootCheck *c) {
        if (c)
                persist_plan_done(&c->plan);
        free(c);
        return NULL;
}

static void reboot_say(RebootCheck *c, const char *format, ...) _printf_(2, 3);
static void reboot_say(RebootCheck *c, const char *format, ...) {
        size_t used = strlen(c->text);
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(c->text + used, sizeof(c->text) - used, format, ap);
        va_end(ap);
}

typedef struct TreePlan {
        PersistPlan *plan;
        PersistMode mode;
        const KexecFacts *facts;
        uint64_t left_usec;
} TreePlan;

static uint64_t tree_bytes(TreePlan *t, const char *path) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        uint64_t begin = now_usec(CLOCK_MONOTONIC), used;
        TreeCost cost = {};
        struct statvfs fs;
        int r;

        if (fd < 0)
                return 0;
        /* A tmpfs without a limit does not count. */
        if (fstatvfs(fd, &fs) >= 0 && fs.f_blocks > 0)
                return (uint64_t) (fs.f_blocks - fs.f_bfree) * fs.f_frsize;
        r = tree_cost(fd, t->left_usec, &cost);
        used = now_usec(CLOCK_MONOTONIC) - begin;
        t->left_usec -= MIN(t->left_usec, used);
        return r < 0 ? 0 : cost.bytes;
}

static bool tree_is_storable(const KexecFacts *facts, const char *name) {
        for (size_t i = 0; i < facts->n_problems; i++)
                if (streq(facts->problems[i].name, name))
                        return false;
        return true;
}

static int plan_tree(const KexecTree *tree, void *userdata) {
        TreePlan *t = userdata;
        int persist = PERSIST_DEFAULT;

        /* No tree can be stored under an invalid name. */
        if (name_validate(tree->name, NULL) < 0)
                return 0;
        if (tree->persist)
                (void) persist_parse(tree->persist, &persist);
        /* The size matters only if it may be written. */
        return persist_plan_add_tree(t->plan, tree->name, persist, t->mode,
                                     tree->path && t->mode != PERSIST_NO ? tree_bytes(t, tree->path) : 0,
                                     tree_is_storable(t->facts, tree->name));
}

/* Returns why the unit that writes the nodes would not do so, or NULL. */
static const char *shutdown_unit_problem(sd_bus *bus) {
        _cleanup_free_ char *path = NULL;
        char **drop_ins = NULL;
        bool writes = false;
        int r;

        if (!bus || manager_find_unit(bus, SHUTDOWN_UNIT, &path) < 0)
                return NULL;
        if (service_manager_unit_is_active(bus, SHUTDOWN_UNIT) == 0)
                return "pkram-shutdown.service is not active, start it";
        r = sd_bus_get_property_strv(bus, MANAGER_NAME, path, UNIT_IFACE, "DropInPaths",
                                     /* reterr_error= */ NULL, &drop_ins);
        for (char **p = drop_ins; p && *p; p++) {
                writes = writes || ends_with(*p, SHUTDOWN_DROP_IN);
                free(*p);
        }
        free(drop_ins);
        return r >= 0 && !writes ? "pkramd.conf was changed, run 'systemctl daemon-reload'" : NULL;
}

static void reboot_describe_lost(RebootCheck *c) {
        const PersistPlan *p = &c->plan;
        size_t first = p->n - p->n_dropped;

        reboot_say(c, "It would lose %zu: ", p->n_dropped);
        for (size_t i = first; i < p->n; i++) {
                const PersistNode *n = p->nodes + i;

                if (i - first >= NAMED_MAX) {
                        reboot_say(c, "; and %zu more", p->n - i);
                        break;
                }
                reboot_say(c, "%s'%s' of %s", i == first ? "" : "; ", n->name, n->owner);
                /* What keeps all of them from the disk was said before. */
                if (n->drop != PERSIST_DROP_FAILED || !c->problem)
                        reboot_say(c, " (%s)", persist_drop_text(n));
        }
        reboot_say(c, ".");
        if (c->problem && !c->allowed)
                reboot_say(c, " PersistPolicy=drop lets the system shut down without them.");
        else if (!c->fits && !c->problem)
                reboot_say(c, " Free room, remove nodes, raise PersistBytesMax= or PersistSecMax=%s.",
                           c->allowed ? "" : ", or set PersistPolicy=drop to shut down without them");
}

static void reboot_describe(RebootCheck *c, const KexecFacts *facts, PersistMode mode, const char *disk_path) {
        const PersistPlan *p = &c->plan;
        char bytes[FORMAT_MAX], usec[FORMAT_MAX], room[FORMAT_MAX];
        size_t n = p->n - p->n_dropped;

        if (p->n == 0)
                reboot_say(c, "Nothing is stored, so a reboot loses nothing.");
        else if (mode == PERSIST_NO)
                reboot_say(c, "A reboot would lose %zu node%s and mounted tree%s. Use 'pkramctl kexec', or set "
                           "Persist= in pkramd.conf.", p->n, p->n == 1 ? "" : "s", p->n == 1 ? "" : "s");
        else {
                if (n > 0)
                        reboot_say(c, "A shutdown writes %zu node%s with %s to %s, in about %s; "
                                   "there is room for %s.", n, n == 1 ? "" : "s", format_bytes(bytes, p->bytes),
                                   disk_path, format_usec(usec, persist_plan_seconds(p) * USEC_PER_SEC),
                                   format_bytes(room, p->room));
                if (p->n_dropped > 0) {
                        if (c->problem)
                                reboot_say(c, "A shutdown cannot write to %s: %s. ", c->where, c->problem);
                        else
                                reboot_say(c, "%s", n > 0 ? " " : "A shutdown writes nothing to disk. ");
                        reboot_describe_lost(c);
                }
        }
        if (mode != PERSIST_NO && facts->n_units > 0)
                reboot_say(c, " Not counted: what %zu unit%s will store when %s.", facts->n_units,
                         facts->n_units == 1 ? "" : "s", facts->n_units == 1 ? "it stops" : "they stop");
}

int reboot_check_new(Store *store, const Config *config, const char *utab, const char *mounts,
                     const char *disk_path, const KexecFacts *facts, sd_bus *bus, RebootCheck **ret) {

        _cleanup_(reboot_check_freep) RebootCheck *c = calloc(1, sizeof(RebootCheck));
        PersistMode mode = config_persist(config);
        TreePlan trees = { .mode = mode, .facts = facts, .left_usec = COST_USEC };
        int r;

        if (!c)
                return -ENOMEM;
        r = persist_plan_collect(&c->plan, store, mode);
        trees.plan = &c->plan;
        if (r >= 0)
                r = kexec_for_each_tree(utab, mounts, plan_tree, &trees);
        if (r < 0)
                return r;
        if (mode == PERSIST_NO)
                c->plan.n_dropped = c->plan.n;
        else {
                c->problem = shutdown_unit_problem(bus);
                c->where = "disk";
                r = c->problem ? -EACCES : persist_plan_limit(&c->plan, disk_path, config);
                if (r < 0) {
                        if (!c->problem) {
                                c->problem = disk_error_text(r);
                                c->where = disk_path;
                        }
                        persist_plan_fail(&c->plan, r);
                }
                persist_plan_fit(&c->plan);
        }

        c->keeps = c->plan.n_dropped == 0;
        c->fits = !persist_plan_is_cut(&c->plan);
        c->allowed = mode == PERSIST_NO || c->fits || config->persist_drop;
        reboot_describe(c, facts, mode, disk_path);
        *ret = TAKE_PTR(c);
        return 0;
}

/* "web of root", as text that is valid JSON. */
static struct json_object *node_to_json_text(const PersistNode *n) {
        _cleanup_free_ char *text = NULL, *clean = NULL;

        if (asprintf(&text, "%s of %s", n->name, n->owner) < 0) {
                text = NULL;
                return NULL;
        }
        clean = utf8_sanitize(text);
        return clean ? json_object_new_string(clean) : NULL;
}

struct json_object *reboot_check_to_json(const RebootCheck *c) {
        _cleanup_json_ struct json_object *o = json_object_new_object(), *lost = json_object_new_array();
        _cleanup_free_ char *text = utf8_sanitize(c->text);
        const PersistPlan *p = &c->plan;

        for (size_t i = p->n - p->n_dropped; i < p->n && i - (p->n - p->n_dropped) < LISTED_MAX; i++)
                if (!lost || json_append(lost, node_to_json_text(p->nodes + i)) < 0)
                        return NULL;
        if (!o || !lost || !text ||
            json_add_bool(o, "keeps", c->keeps) < 0 ||
            json_add_bool(o, "fits", c->fits) < 0 ||
            json_add_bool(o, "refused", !c->allowed) < 0 ||
            json_add_string(o, "text", text) < 0 ||
            json_add_u64(o, "bytes", p->bytes) < 0 ||
            json_add_u64(o, "room", p->room) < 0 ||
            json_add_u64(o, "usec", persist_plan_seconds(p) * USEC_PER_SEC) < 0 ||
            json_add(o, "lost", TAKE_PTR(lost)) < 0)
                return NULL;
        return TAKE_PTR(o);
}
