/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include "file-util.h"
#include "json-util.h"
#include "kexec-cmdline.h"
#include "kexec-crash.h"
#include "kexec-facts.h"
#include "kexec-shared.h"
#include "kexec-trees.h"
#include "kexec-users.h"
#include "log.h"
#include "mount-table.h"
#include "mount-users.h"
#include "name.h"
#include "shared-memory.h"
#include "shared-users.h"
#include "store-internal.h"
#include "system-node.h"
#include "tree-files.h"
#include "utf8.h"

/* Whose nodes the trees of mount.pkram are. */
#define TREE_OWNER OWNER_ROOT

/* For counting what is in all trees; the guard has 30 seconds for all it does. */
#define COST_USEC (15 * USEC_PER_SEC)

static void tree_problem_done(KexecTreeProblem *p) {
        free((char *) p->name);
        free((char *) p->path);
        free((char *) p->programs);
        free((char *) p->users);
        free((char *) p->detail);
}

void kexec_state_done(KexecState *s) {
        for (size_t i = 0; i < s->facts.n_problems; i++)
                tree_problem_done(s->problems + i);
        free(s->problems);
        for (size_t i = 0; i < s->facts.n_shared; i++) {
                free((char *) s->shared[i].name);
                free((char *) s->shared[i].detail);
        }
        free(s->shared);
        kexec_programs_done(&s->programs);
        unit_list_done(&s->units);
        kexec_fdstores_done(&s->fdstores);
        free(s->crash_wanted);
        reboot_check_free(s->reboot);
        *s = (KexecState) {};
}

/* A copy without control characters that is valid UTF-8. NULL without memory. */
static char *clean_text(const char *text) {
        char *copy = utf8_sanitize(text);

        for (char *p = copy; p && *p; p++)
                if ((unsigned char) *p < 0x20 || *p == 0x7f)
                        *p = '?';
        return copy;
}

static int count_nodes(const PkramDevice *device, uint64_t *ret) {
        struct pkram_node_info nodes[64];
        uint64_t cursor = 0, total = 0;
        uint32_t n;
        int r;

        do {
                r = pkram_device_list(device, /* flags= */ 0, &cursor, nodes, ELEMENTSOF(nodes), &n);
                if (r < 0)
                        return r;
                for (uint32_t i = 0; i < n; i++)
                        total += !system_node_name(nodes[i].name);
        } while (n == ELEMENTSOF(nodes));

        *ret = total;
        return 0;
}

/* --- trees --- */

typedef struct TreeScan {
        KexecState *state;
        const Config *config;
        sd_bus *bus;
        Usage usage;
        uint64_t left_usec;
        bool full;
        /* For shared memory: kernel names of nodes of earlier kernels, and processes that are not stopped before. */
        UnitList inherited;
        SharedWriters writers;
} TreeScan;

/*
 * Returns why pkramd stores nothing in memory either: an earlier boot may have left a node with the same name on a
 * disk that cannot be read. A full or read-only one can.
 */
static const char *disk_obstacle(const Config *config, const char *path) {
        char state[256];
        int r;

        if (!config->disk || (size_t) snprintf(state, sizeof(state), "%s/state", path) >= sizeof(state) ||
            !disk_may_have_nodes(state))
                return NULL;
        r = disk_directory_check(path);
        return r < 0 && r != -EROFS && r != -EDQUOT ? disk_error_text(r) : NULL;
}

/* Takes the strings of p over, and adds its name and path. */
static int add_problem(KexecState *s, const KexecTree *tree, KexecTreeProblem p) {
        p.name = clean_text(tree->name);
        p.path = clean_text(tree->path);
        if (!p.name || !p.path || GREEDY_REALLOC(s->problems, s->problems_allocated, s->facts.n_problems + 1) < 0) {
                tree_problem_done(&p);
                return -ENOMEM;
        }
        s->problems[s->facts.n_problems++] = p;
        s->facts.problems = s->problems;
        return 0;
}

/* Is everything that could be in there too little to exceed a limit? Then nothing has to be counted. */
static bool surely_fits(const TreeScan *t, const struct statvfs *fs, const TreeWrites *writes) {
        uint64_t bytes = (uint64_t) (fs->f_blocks - fs->f_bfree) * fs->f_frsize;
        uint64_t files = fs->f_files - fs->f_ffree + writes->n;
        const uint64_t *limit = t->config->limit;

        /* Without a limit of its own, a tmpfs does not count. */
        if (fs->f_blocks == 0 || fs->f_files == 0)
                return false;
        /* Room for the table, in which an entry with attributes can be larger than a page. */
        bytes += files * KIB(8);
        if (!inc_u64(&bytes, writes->bytes))
                return false;
        return files + 2 <= limit[LIMIT_OBJECTS] && bytes <= limit[LIMIT_NODE_BYTES] &&
                t->usage.total_bytes + bytes <= limit[LIMIT_TOTAL_BYTES] &&
                t->usage.owner_bytes + bytes <= limit[LIMIT_OWNER_BYTES];
}

static bool tree_limit_exceeded(const TreeScan *t, LimitId id, uint64_t current, uint64_t requested,
                                KexecTreeProblem *ret) {
        uint64_t needed;

        if (!limit_exceeded(t->config->limit[id], current, requested, &needed))
                return false;
        *ret = (KexecTreeProblem) { .limit = limit_name(id), .maximum = t->config->limit[id], .needed = needed };
        return true;
}

/* Adds the tree to what is in use, if it fits. Returns true if it does not. */
static bool tree_exceeds(TreeScan *t, const TreeCost *c, KexecTreeProblem *ret) {
        if (tree_limit_exceeded(t, LIMIT_OBJECTS, 0, c->objects, ret) ||
            tree_limit_exceeded(t, LIMIT_NODE_BYTES, 0, c->bytes, ret) ||
            tree_limit_exceeded(t, LIMIT_TOTAL_BYTES, t->usage.total_bytes, c->bytes, ret) ||
            tree_limit_exceeded(t, LIMIT_OWNER_BYTES, t->usage.owner_bytes, c->bytes, ret) ||
            tree_limit_exceeded(t, LIMIT_NODES, t->usage.total_nodes, 1, ret) ||
            tree_limit_exceeded(t, LIMIT_OWNER_NODES, t->usage.owner_nodes, 1, ret))
                return true;
        t->usage.total_bytes += c->bytes;
        t->usage.owner_bytes += c->bytes;
        t->usage.total_nodes++;
        t->usage.owner_nodes++;
        return false;
}

/* The same, with what is written to it before. */
static bool tree_exceeds_with(TreeScan *t, const struct statvfs *fs, TreeCost *c, TreeWrites *writes,
                             KexecTreeProblem *ret) {
        uint64_t room = (uint64_t) fs->f_bfree * fs->f_frsize, size = (uint64_t) fs->f_blocks * fs->f_frsize;

        if (fs->f_blocks > 0 && writes->bytes > room)
                *ret = (KexecTreeProblem) {
                        .limit = KEXEC_LIMIT_SIZE, .maximum = size, .needed = size - room + writes->bytes,
                };
        else {
                /* A state or a set of images is one object at least. */
                c->objects += writes->n;
                if (!inc_u64(&c->bytes, writes->bytes))
                        c->bytes = UINT64_MAX / 2;
                if (!tree_exceeds(t, c, ret))
                        return false;
        }
        ret->programs = TAKE_PTR(writes->names);
        return true;
}

static int examine_tree(TreeScan *t, const KexecTree *tree) {
        _cleanup_(tree_writes_done) TreeWrites writes = {};
        _cleanup_close_ int fd = -EBADF;
        KexecTreeProblem p = {};
        TreeCost cost = {};
        struct statvfs fs = {};
        struct stat st = {};
        int r;

        if (t->state->facts.store_problem) {
                char *detail;

                if (asprintf(&detail, PKRAM_DISK_DIRECTORY " cannot be used: %s",
                             t->state->facts.store_problem) < 0)
                        return -ENOMEM;
                return add_problem(t->state, tree, (KexecTreeProblem) { .detail = detail, .disk = true });
        }
        fd = open(tree->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                r = -errno;
        else
                r = tree_is_tmpfs_directory(fd, &st);
        /* Something else is mounted on it, and unmounted first. */
        if (r == 0)
                return 0;
        if (r > 0 && fstatvfs(fd, &fs) < 0)
                r = -errno;
        if (r >= 0)
                r = tree_writes_sum(&t->state->programs, fd, tree->path, &writes);
        if (r >= 0) {
                if (surely_fits(t, &fs, &writes))
                        cost.bytes = (uint64_t) (fs.f_blocks - fs.f_bfree) * fs.f_frsize;
                else {
                        r = tree_cost(fd, t->left_usec, &cost);
                        if (r == 0)
                                log_warning("Timed out while counting the files of tree '%s', assuming that it fits.",
                                            tree->name);
                }
        }
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                p.detail = strdup(strerror(-r));
                return p.detail ? add_problem(t->state, tree, p) : -ENOMEM;
        }
        if (mount_is_idmapped(st.st_dev, tree->path)) {
                p.detail = strdup("it is mounted with X-mount.idmap=, so the owners of its files cannot be read");
                p.idmapped = true;
                return p.detail ? add_problem(t->state, tree, p) : -ENOMEM;
        }
        if (tree_exceeds_with(t, &fs, &cost, &writes, &p))
                return add_problem(t->state, tree, p);

        p = (KexecTreeProblem) { .users = kexec_tree_writers(t->bus, st.st_dev, tree->path, tree->name) };
        return p.users ? add_problem(t->state, tree, p) : 0;
}

static int scan_tree(const KexecTree *tree, void *userdata) {
        TreeScan *t = userdata;

        t->state->facts.n_trees++;
        if (!t->full || !tree->path || name_validate(tree->name, NULL) < 0)
                return 0;
        return examine_tree(t, tree);
}

/* --- shared memory --- */

/* Takes the name over. problem: why it cannot be stored, or NULL. */
static int add_shared_memory(TreeScan *t, char *name, uint64_t bytes, const char *problem) {
        char *detail = problem ? clean_text(problem) : NULL;
        KexecState *s = t->state;
        KexecTreeProblem p = {};

        if (!name || (problem && !detail) ||
            GREEDY_REALLOC(s->shared, s->shared_allocated, s->facts.n_shared + 1) < 0) {
                free(name);
                free(detail);
                return -ENOMEM;
        }
        if (t->full && !detail)
                (void) tree_exceeds(t, &(TreeCost) { .objects = 1, .bytes = bytes }, &p);
        s->shared[s->facts.n_shared++] = (KexecSharedMemory) {
                .name = name, .limit = p.limit, .maximum = p.maximum, .needed = p.needed, .detail = detail,
        };
        s->facts.shared = s->shared;
        return 0;
}

static int scan_shared_segment(const Segment *segment, void *userdata) {
        _cleanup_free_ char *detail = NULL;
        TreeScan *t = userdata;
        char *name, node[32];
        int r;

        if (t->full) {
                r = kexec_segment_problem(segment, &t->writers, &detail);
                /* It was removed in the meantime. */
                if (r <= 0)
                        return r;
                (void) snprintf(node, sizeof(node), SYSV_PREFIX "0x%08x", segment->key);
                r = detail ? 0 : kexec_shared_node_problem(&t->inherited, node, &detail);
                if (r < 0)
                        return r;
        }
        if (asprintf(&name, "0x%08x", segment->key) < 0)
                return -ENOMEM;
        return add_shared_memory(t, name, segment->used, detail);
}

static int scan_shared_file(_unused_ int dir, const char *file, const struct stat *st, void *userdata) {
        _cleanup_free_ char *name = clean_text(file), *node = NULL, *detail = NULL;
        TreeScan *t = userdata;
        char *path;
        int r;

        if (!name)
                return -ENOMEM;
        if (t->full) {
                if (asprintf(&node, POSIX_PREFIX "%s", file) < 0) {
                        node = NULL;
                        return -ENOMEM;
                }
                r = kexec_shared_file_problem(file, st, &t->writers, &detail);
                if (r >= 0 && !detail)
                        r = kexec_shared_node_problem(&t->inherited, node, &detail);
                if (r < 0)
                        return r;
        }
        if (asprintf(&path, SHARED_MEMORY_DIRECTORY "/%s", name) < 0)
                return -ENOMEM;
        return add_shared_memory(t, path, (uint64_t) st->st_blocks * 512, detail);
}

static int scan_unknown_user(const char *user, SharedMemoryId setting, void *userdata) {
        _cleanup_free_ char *clean = clean_text(user);
        char *name;

        if (!clean || asprintf(&name, "%s of user '%s'", setting == SHARED_MEMORY_USERS ? "segments" : "files",
                               clean) < 0)
                return -ENOMEM;
        return add_shared_memory(userdata, name, /* bytes= */ 0, "the name of the user cannot be resolved");
}

/* Returns -ENOMEM, or 0: what cannot be read is logged. */
static int collect_shared_memory(TreeScan *t, const PkramDevice *device, const char *directory) {
        int r;

        if (t->full && shared_memory_is_configured(t->config)) {
                r = kexec_inherited_nodes(device, &t->inherited);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        log_warning("Failed to list nodes of earlier kernels, ignoring: %s", strerror(-r));
                r = kexec_shared_writers(t->bus, directory ?: SHARED_MEMORY_DIRECTORY, &t->writers);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        log_warning("Failed to look for processes that write to shared memory, ignoring: %s",
                                    strerror(-r));
                r = shared_users_foreach_unknown(t->config, scan_unknown_user, t);
                if (r < 0)
                        return r;
        }
        r = shared_segments_foreach(t->config, scan_shared_segment, /* foreign= */ NULL, t);
        if (r < 0 && r != -ENOMEM)
                log_warning("Failed to list System V segments, ignoring: %s", strerror(-r));
        if (r == -ENOMEM)
                return r;
        r = shared_files_foreach(t->config, directory ?: SHARED_MEMORY_DIRECTORY, scan_shared_file,
                                 /* foreign= */ NULL, t);
        if (r < 0 && r != -ENOMEM)
                log_warning("Failed to list shared memory in '%s', ignoring: %s", directory ?: SHARED_MEMORY_DIRECTORY,
                            strerror(-r));
        if (r == -ENOMEM)
                return r;
        if (t->full && t->state->facts.n_shared > 0)
                t->state->facts.shared_problem = kexec_shared_unit_problem(t->bus);
        return 0;
}

/* --- all of it --- */

/* Finds out whether the next kernel may find no memory for its crash kernel. Returns 0, or a negative errno. */
static int collect_crash_kernel(const KexecSources *sources, KexecState *state) {
        _cleanup_free_ char *running = NULL, *loaded = NULL, *wanted = NULL;
        uint64_t reserved = 0;
        size_t n;
        int r;

        r = kexec_cmdline_read_running(sources->running, &running);
        if (r < 0)
                return r;
        r = kexec_crash_reserved(sources->crash_size, &reserved);
        /* Without that file, the kernel knows no crash kernels. */
        if (r < 0 && r != -ENOENT)
                return r;
        if (!sources->cmdline && state->info.image_state != PKRAM_IMAGE_NONE) {
                r = file_read(sources->loaded ?: KEXEC_LOADED_CMDLINE, KIB(4), &loaded, &n);
                if (r < 0 && r != -ENOENT)
                        return r;
        }
        r = kexec_crash_check(sources->cmdline ?: loaded ?: running, running, reserved, &wanted);
        if (r != 0)
                return MIN(r, 0);
        state->crash_wanted = clean_text(wanted);
        if (!state->crash_wanted)
                return -ENOMEM;
        state->facts.crash_wanted = state->crash_wanted;
        state->facts.crash_reserved = reserved;
        return 0;
}

static int count_tree(_unused_ const KexecTree *tree, void *userdata) {
        ++*(uint64_t *) userdata;
        return 0;
}

/* Without PKRAM, mounted trees are stored on disk, and lost if that is impossible. Returns 0 or -ENOMEM. */
static int collect_disk_problem(const Config *config, const KexecSources *sources, KexecState *state) {
        int r;

        if (!config->disk)
                return 0;
        r = disk_directory_check(sources->disk ?: PKRAM_DISK_DIRECTORY);
        state->facts.disk_problem = r < 0 ? disk_error_text(r) : NULL;
        if (!state->facts.disk_problem)
                return 0;
        r = kexec_for_each_tree(sources->utab, sources->mounts ?: MOUNT_TABLE, count_tree, &state->facts.n_trees);
        if (r < 0 && r != -ENOMEM)
                log_warning("Failed to read the table of mounted trees, ignoring: %s", strerror(-r));
        return r == -ENOMEM ? r : 0;
}

int kexec_state_collect(const PkramDevice *device, const Config *config, const KexecSources *sources,
                        KexecStateFlags flags, KexecState *ret) {
        static const KexecSources real = {};
        _cleanup_kexec_state_ KexecState s = {};
        /* It reads the manifest of each node once. */
        _cleanup_(store_freep) Store *store = NULL;
        _cleanup_bus_ sd_bus *own_bus = NULL;
        TreeScan t = { .config = config, .left_usec = COST_USEC, .full = flags & KEXEC_STATE_FULL };
        bool missing;
        int r;

        sources = sources ?: &real;
        r = pkram_device_info(device, &s.info);
        missing = pkram_errno_is_missing(r) || disk_problem_text(r);
        if (r < 0 && !missing)
                return r;
        missing = missing || (s.info.flags & DISK_INFO_FLAG);
        if (missing || s.info.boot_result == PKRAM_BOOT_OFF) {
                r = collect_disk_problem(config, sources, &s);
                if (r < 0)
                        return r;
                *ret = s;
                ret->facts.info = missing ? NULL : &ret->info;
                s = (KexecState) {};
                return 0;
        }
        r = count_nodes(device, &s.facts.n_nodes);
        if (r < 0)
                return r;

        t.bus = sources->bus;
        if (t.full && !t.bus) {
                r = service_manager_connect(&own_bus);
                if (r < 0)
                        log_warning("Failed to connect to the service manager, ignoring the state of units: %s",
                                    strerror(-r));
                t.bus = own_bus;
        }
        if (t.full) {
                s.facts.store_problem = disk_obstacle(config, sources->disk ?: PKRAM_DISK_DIRECTORY);
                r = store_new(device, config, &store);
                if (r >= 0)
                        r = store_usage(store, TREE_OWNER, /* except_id= */ 0, /* except= */ NULL, &t.usage,
                                        /* reterr_error= */ NULL);
                if (r < 0)
                        return r;
        }

        t.state = &s;
        r = kexec_programs_read(sources->guests ?: GUESTS_DIRECTORY, sources->processes ?: PROCESSES_DIRECTORY,
                                &s.programs);
        if (r < 0)
                return r;
        s.facts.program_problems = s.programs.problems;
        s.facts.n_program_problems = s.programs.n_problems;
        r = kexec_for_each_tree(sources->utab, sources->mounts ?: MOUNT_TABLE, scan_tree, &t);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                log_warning("Failed to read the table of mounted trees, ignoring: %s", strerror(-r));
        r = collect_shared_memory(&t, device, sources->shm);
        unit_list_done(&t.inherited);
        shared_writers_done(&t.writers);
        if (r < 0)
                return r;

        r = kexec_units_find(t.bus, sources->units ?: KEXEC_UNITS_DIR, sources->root ?: "", &s.units);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                log_warning("Failed to determine which units hold memory, ignoring: %s", strerror(-r));
                unit_list_done(&s.units);
        }
        r = t.full && t.bus ? kexec_fdstores_collect(t.bus, store, sources->proc ?: "/proc/1", sources->root ?: "",
                                                     config, &s.units, &s.fdstores) : 0;
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                log_warning("Failed to examine file descriptor stores, ignoring: %s", strerror(-r));
        s.facts.fdstore_problems = s.fdstores.problems;
        s.facts.n_fdstore_problems = s.fdstores.n;
        r = t.full ? collect_crash_kernel(sources, &s) : 0;
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                log_warning("Failed to check the memory for a crash kernel, ignoring: %s", strerror(-r));
        s.facts.units = (const char *const *) s.units.names;
        s.facts.n_units = s.units.n;
        r = 0;
        if (t.full)
                r = reboot_check_new(store, config, sources->utab, sources->mounts ?: MOUNT_TABLE,
                                     sources->disk ?: PKRAM_DISK_DIRECTORY, &s.facts, t.bus, &s.reboot);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                log_warning("Failed to check what a reboot would lose, ignoring: %s", strerror(-r));
        if (s.reboot && s.reboot->keeps && s.reboot->plan.n > 0)
                s.facts.on_disk = s.reboot->text;

        *ret = s;
        ret->facts.info = &ret->info;
        s = (KexecState) {};
        return 0;
}

static struct json_object *strings_to_json(const UnitList *l) {
        _cleanup_json_ struct json_object *array = json_object_new_array();

        for (size_t i = 0; i < l->n; i++)
                if (!array || json_append(array, json_object_new_string(l->names[i])) < 0)
                        return NULL;
        return TAKE_PTR(array);
}

/* Adds the limit that something exceeds, if it does. */
static int json_add_excess(struct json_object *o, const char *limit, uint64_t maximum, uint64_t needed) {
        int r;

        if (!limit)
                return 0;
        r = json_add_string(o, "limit", limit);
        if (r >= 0)
                r = json_add_u64(o, "maximum", maximum);
        return r < 0 ? r : json_add_u64(o, "needed", needed);
}

static struct json_object *problems_to_json(const KexecFacts *facts) {
        _cleanup_json_ struct json_object *array = json_object_new_array();

        for (size_t i = 0; i < facts->n_problems; i++) {
                _cleanup_json_ struct json_object *o = json_object_new_object();
                const KexecTreeProblem *p = facts->problems + i;

                if (!array || !o || json_add_string(o, "name", p->name) < 0 ||
                    json_add_string(o, "directory", p->path) < 0 ||
                    json_add_excess(o, p->limit, p->maximum, p->needed) < 0 ||
                    (p->programs && json_add_string(o, "programs", p->programs) < 0) ||
                    (p->users && json_add_string(o, "users", p->users) < 0) ||
                    (p->detail && json_add_string(o, "detail", p->detail) < 0) ||
                    json_append(array, TAKE_PTR(o)) < 0)
                        return NULL;
        }
        return TAKE_PTR(array);
}

static struct json_object *fdstore_problems_to_json(const KexecFacts *facts) {
        _cleanup_json_ struct json_object *array = json_object_new_array();

        for (size_t i = 0; i < facts->n_fdstore_problems; i++) {
                _cleanup_json_ struct json_object *o = json_object_new_object();
                const KexecFdStoreProblem *p = facts->fdstore_problems + i;

                if (!array || !o || json_add_string(o, "unit", p->unit) < 0 ||
                    json_add_excess(o, p->limit, p->maximum, p->needed) < 0 ||
                    (p->detail && json_add_string(o, "detail", p->detail) < 0) ||
                    (p->lost && json_add_string(o, "lost", p->lost) < 0) ||
                    json_append(array, TAKE_PTR(o)) < 0)
                        return NULL;
        }
        return TAKE_PTR(array);
}

static struct json_object *shared_to_json(const KexecFacts *facts) {
        _cleanup_json_ struct json_object *array = json_object_new_array();

        for (size_t i = 0; i < facts->n_shared; i++) {
                _cleanup_json_ struct json_object *o = json_object_new_object();
                const KexecSharedMemory *m = facts->shared + i;
                const char *detail = m->detail ?: m->limit ? NULL : facts->shared_problem ?:
                        facts->store_problem ? PKRAM_DISK_DIRECTORY " cannot be used" : NULL;

                if (!array || !o || json_add_string(o, "name", m->name) < 0 ||
                    json_add_excess(o, m->limit, m->maximum, m->needed) < 0 ||
                    (detail && json_add_string(o, "detail", detail) < 0) ||
                    json_append(array, TAKE_PTR(o)) < 0)
                        return NULL;
        }
        return TAKE_PTR(array);
}

struct json_object *kexec_check_to_json(const KexecCheck *check, const KexecState *state, KexecPolicy policy) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        const struct pkram_ioctl_info *info = &state->info;

        if (!o ||
            json_add_bool(o, "keeps", check->keeps) < 0 ||
            json_add_bool(o, "refused", !check->allowed) < 0 ||
            json_add_string(o, "reason", kexec_reason_to_string(check->reason)) < 0 ||
            json_add_string(o, "text", check->text) < 0 ||
            json_add_string(o, "policy", kexec_policy_to_string(policy)) < 0 ||
            json_add_u64(o, "nodes", state->facts.n_nodes) < 0 ||
            json_add_u64(o, "trees", state->facts.n_trees) < 0 ||
            json_add_u64(o, "bytes", store_pages_to_bytes(info->data_pages)) < 0 ||
            json_add_bool(o, "keepsAtOnce", check->keeps_at_once) < 0 ||
            (check->at_once[0] && json_add_string(o, "atOnce", check->at_once) < 0) ||
            (check->crash_kernel[0] && json_add_string(o, "crashKernel", check->crash_kernel) < 0) ||
            (state->facts.disk_problem && json_add_string(o, "diskProblem", state->facts.disk_problem) < 0) ||
            json_add(o, "units", strings_to_json(&state->units)) < 0 ||
            json_add(o, "treeProblems", problems_to_json(&state->facts)) < 0 ||
            json_add(o, "sharedMemory", shared_to_json(&state->facts)) < 0 ||
            json_add(o, "fdStoreProblems", fdstore_problems_to_json(&state->facts)) < 0 ||
            (state->reboot && json_add(o, "reboot", reboot_check_to_json(state->reboot)) < 0))
                return NULL;
        return TAKE_PTR(o);
}
