/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "fdstore.h"
#include "fdstore-manifest.h"
#include "fdstore-nodes.h"
#include "fdstore-policy.h"

/* Contents of a pipe become inline data of an object. */
#define PIPE_BYTES_MAX MIB(1)

/* How often to check units that are about to stop. */
#define STOPPING_MSEC 100U

/* A file that is in more than one store, or was at the last kexec. */
typedef struct SharedFile {
        dev_t dev;
        ino_t inode;
        char node[sizeof(FDSTORE_SHARED_PREFIX) + 16]; /* empty until it is stored */
        char *refused;                                 /* why it cannot be stored, or NULL */
} SharedFile;

/* A file and the last unit in whose store it was seen, to find those in several. */
typedef struct SeenFile {
        dev_t dev;
        ino_t inode;
        size_t unit;
} SeenFile;

typedef struct SharedFiles {
        SharedFile *files;
        size_t n, allocated;
} SharedFiles;

/* A unit that is being stored in a node. */
typedef struct UnitSave {
        const PreservingUnit *unit;
        const char *node;         /* name of the node */
        FdStoreManifest manifest;
        StoreCallObject *objects; /* the first is the description */
        SeenFile *files;          /* of each object, to store a file once */
        size_t n, allocated_objects, allocated_files;
        unsigned n_lost;
} UnitSave;

static void shared_files_done(SharedFiles *s) {
        for (size_t i = 0; i < s->n; i++)
                free(s->files[i].refused);
        free(s->files);
}

static void unit_save_done(UnitSave *u) {
        for (size_t i = 0; i < u->n; i++) {
                (void) safe_close(u->objects[i].fd);
                free((void *) u->objects[i].data);
        }
        free(u->objects);
        free(u->files);
        fdstore_manifest_done(&u->manifest);
}

static SharedFile *shared_files_find(SharedFiles *s, dev_t dev, ino_t inode) {
        for (size_t i = 0; i < s->n; i++)
                if (s->files[i].dev == dev && s->files[i].inode == inode)
                        return &s->files[i];
        return NULL;
}

static int shared_files_add(SharedFiles *s, dev_t dev, ino_t inode, const char *node) {
        SharedFile *f;
        int r;

        if (shared_files_find(s, dev, inode))
                return 0;
        r = GREEDY_REALLOC(s->files, s->allocated, s->n + 1);
        if (r < 0)
                return r;
        f = &s->files[s->n++];
        *f = (SharedFile) { .dev = dev, .inode = inode };
        if (node)
                (void) snprintf(f->node, sizeof(f->node), "%s", node);
        return 0;
}

static int seen_file_compare(const void *a, const void *b) {
        const SeenFile *x = a, *y = b;

        if (x->dev != y->dev)
                return x->dev < y->dev ? -1 : 1;
        if (x->inode != y->inode)
                return x->inode < y->inode ? -1 : 1;
        return x->unit < y->unit ? -1 : x->unit > y->unit;
}

/* Finds the regular files that are in the stores of several units. stores: one for each unit. */
static int shared_files_collect(SharedFiles *shared, const StoredFds *stores, size_t n_stores) {
        _cleanup_free_ SeenFile *seen = NULL;
        size_t n = 0, allocated = 0;
        int r;

        for (size_t i = 0; i < n_stores; i++)
                for (size_t k = 0; k < stores[i].n; k++) {
                        const StoredFd *fd = &stores[i].fds[k];

                        if (!S_ISREG(fd->mode))
                                continue;
                        r = GREEDY_REALLOC(seen, allocated, n + 1);
                        if (r < 0)
                                return r;
                        seen[n++] = (SeenFile) { .dev = fd->dev, .inode = fd->inode, .unit = i };
                }
        if (n > 0)
                qsort(seen, n, sizeof(*seen), seen_file_compare);
        for (size_t i = 1; i < n; i++)
                if (seen[i].dev == seen[i - 1].dev && seen[i].inode == seen[i - 1].inode &&
                    seen[i].unit != seen[i - 1].unit) {
                        r = shared_files_add(shared, seen[i].dev, seen[i].inode, /* node= */ NULL);
                        if (r < 0)
                                return r;
                }
        return 0;
}

static void unit_save_lose(UnitSave *u, const StoredFd *fd, int priority, const char *why) {
        if (priority < LOG_DEBUG)
                u->n_lost++;
        fdstore_log_lost(priority, u->unit->name, "Descriptor '%s' of %s (%s) will not survive the kexec: %s.",
                         fd->name, u->unit->name, fd->path, why);
}

/* Adds an object that owns fd and data. Returns its number, or a negative errno. */
static int unit_save_add_object(UnitSave *u, int fd, void *data, size_t size, const SeenFile *file) {
        int r;

        r = GREEDY_REALLOC(u->objects, u->allocated_objects, u->n + 1);
        if (r >= 0)
                r = GREEDY_REALLOC(u->files, u->allocated_files, u->n + 1);
        if (r < 0) {
                (void) safe_close(fd);
                free(data);
                return r;
        }
        u->objects[u->n] = (StoreCallObject) { .fd = fd, .data = data, .size = size };
        u->files[u->n] = *file;
        return (int) u->n++;
}

static int unit_save_find_object(const UnitSave *u, const StoredFd *fd) {
        for (size_t i = 1; i < u->n; i++)
                if (u->files[i].dev == fd->dev && u->files[i].inode == fd->inode)
                        return (int) i;
        return -ENOENT;
}

/* Copies the contents of a pipe, which remain in it. Returns 0, -EFBIG if they are too large, or a negative errno. */
static int pipe_read_copy(int fd, void **ret, size_t *ret_size) {
        _cleanup_close_ int in = -EBADF, out = -EBADF;
        _cleanup_free_ char *data = NULL;
        int ends[2], available;
        ssize_t n;

        if (ioctl(fd, FIONREAD, &available) < 0)
                return -errno;
        if ((uint64_t) available > PIPE_BYTES_MAX)
                return -EFBIG;
        data = malloc((size_t) available + 1);
        if (!data)
                return -ENOMEM;
        if (available > 0) {
                if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
                        return -errno;
                in = ends[0];
                out = ends[1];
                (void) fcntl(out, F_SETPIPE_SZ, available);
                n = tee(fd, out, (size_t) available, SPLICE_F_NONBLOCK);
                if (n < 0)
                        return -errno;
                if (n != available)
                        return -EFBIG;
                n = read(in, data, (size_t) available);
                if (n < 0)
                        return -errno;
                if (n != available)
                        return -EIO;
        }
        *ret = TAKE_PTR(data);
        *ret_size = (size_t) available;
        return 0;
}

/* Stores a file that several units share as a node of its own, once. Returns NULL, or the reason of a failure. */
static const char *shared_file_store(const FdStoreEnvironment *e, SharedFile *f, int fd) {
        static const char nothing[] = "";
        uint64_t random;
        int r;

        if (f->refused)
                return f->refused;
        if (*f->node)
                return NULL;
        if (getrandom(&random, sizeof(random), 0) != (ssize_t) sizeof(random))
                return "no random number is available";
        (void) snprintf(f->node, sizeof(f->node), FDSTORE_SHARED_PREFIX "%016llx", (unsigned long long) random);

        const StoreCallObject objects[] = { { .fd = -EBADF, .data = nothing }, { .fd = fd } };
        r = store_call_store(&e->store, FDSTORE_UNIT, f->node, objects, ELEMENTSOF(objects), &f->refused);
        if (r < 0 && !f->refused)
                f->refused = strdup(strerror(-r));
        return r < 0 ? f->refused ?: "out of memory" : NULL;
}

/* Adds a descriptor of the unit's store. Returns 0, also if it cannot be preserved, or a negative errno. */
static int unit_save_add(const FdStoreEnvironment *e, UnitSave *u, FdTable *table, SharedFiles *shared,
                         const StoredFd *fd) {
        const SeenFile file = { .dev = fd->dev, .inode = fd->inode };
        FdKind kind = S_ISREG(fd->mode) ? FD_KIND_FILE : FD_KIND_PIPE;
        _cleanup_close_ int opened = -EBADF;
        OpenedFd found;
        SharedFile *s;
        const char *why;
        void *data = NULL;
        size_t size = 0;
        int object, r;

        why = stored_fd_refusal(fd, -EBADF);
        if (!why) {
                r = fd_table_open(table, fd, &found);
                if (r == -ENOMEM)
                        return r;
                if (r < 0) {
                        unit_save_lose(u, fd, LOG_ERR, fd_table_error_text(r));
                        return 0;
                }
                opened = found.fd;
                why = stored_fd_refusal(fd, opened);
        }
        if (why) {
                /* Every socket of socket units and of journald is one of these. Logging them would not help. */
                unit_save_lose(u, fd, S_ISSOCK(fd->mode) ? LOG_DEBUG : LOG_WARNING, why);
                return 0;
        }

        s = kind == FD_KIND_FILE ? shared_files_find(shared, fd->dev, fd->inode) : NULL;
        if (s) {
                why = shared_file_store(e, s, opened);
                if (!why)
                        return fdstore_manifest_add(&u->manifest, fd->name, kind, fd->flags, found.position, 0,
                                                    s->node);
                unit_save_lose(u, fd, LOG_ERR, why);
                return 0;
        }

        object = unit_save_find_object(u, fd);
        if (object < 0 && kind == FD_KIND_PIPE) {
                r = pipe_read_copy(opened, &data, &size);
                if (r == -ENOMEM)
                        return r;
                if (r < 0) {
                        unit_save_lose(u, fd, LOG_ERR, r == -EFBIG ? "the pipe holds more than 1 MiB" : strerror(-r));
                        return 0;
                }
        }
        if (object < 0) {
                object = unit_save_add_object(u, kind == FD_KIND_FILE ? TAKE_FD(opened) : -EBADF, data, size, &file);
                if (object < 0)
                        return object;
        }
        return fdstore_manifest_add(&u->manifest, fd->name, kind, fd->flags, found.position, (uint32_t) object,
                                    /* shared= */ NULL);
}

/* Makes the description the first object. */
static int unit_save_describe(UnitSave *u) {
        char *text;
        size_t size;
        int r;

        r = fdstore_manifest_format(&u->manifest, &text, &size);
        if (r < 0)
                return r;
        free((void *) u->objects[0].data);
        u->objects[0].data = text;
        u->objects[0].size = size;
        return 0;
}

static int unit_save_store(const FdStoreEnvironment *e, UnitSave *u, char **reterr_reason) {
        int r;

        r = unit_save_describe(u);
        if (r < 0)
                return r;
        return store_call_store(&e->store, u->unit->name, u->node, u->objects, u->n, reterr_reason);
}

/* Removes the nodes of a unit, except for the one with that name. Returns their number. Errors are logged. */
static int unit_remove_nodes(const FdStoreEnvironment *e, const char *unit, const char *except) {
        int n = 0;

        for (FdStoreNodeFlags flags = 0; flags < _FDSTORE_NODE_FLAGS_MAX; flags++) {
                _cleanup_free_ char *reason = NULL;
                const char *name;
                int r;

                if (!fdstore_node_flags_are_valid(flags))
                        continue;
                name = fdstore_node_name(flags);
                if (except && streq(name, except))
                        continue;
                r = store_call_remove(&e->store, unit, name, &reason);
                if (r >= 0)
                        n++;
                else if (r != -ENOENT)
                        log_error("Failed to remove node '%s' of %s: %s", name, unit, reason ?: strerror(-r));
        }
        return n;
}

/* Leaves out an object, and every descriptor that refers to it. */
static void unit_save_drop_object(UnitSave *u, size_t object) {
        size_t kept = 0;

        for (size_t i = 0; i < u->manifest.n; i++) {
                FdEntry *e = &u->manifest.entries[i];

                if (e->object == object) {
                        free(e->name);
                        free(e->shared);
                        continue;
                }
                if (e->object > object)
                        e->object--;
                u->manifest.entries[kept++] = *e;
        }
        u->manifest.n = kept;
        (void) safe_close(u->objects[object].fd);
        free((void *) u->objects[object].data);
        memmove(&u->objects[object], &u->objects[object + 1], (u->n - object - 1) * sizeof(*u->objects));
        memmove(&u->files[object], &u->files[object + 1], (u->n - object - 1) * sizeof(*u->files));
        u->n--;
}

/*
 * Determines which files of a node that pkramd refused cannot be stored even alone, logs them and leaves them out.
 * Returns their number, or a negative errno.
 */
static int unit_save_drop_refused(const FdStoreEnvironment *e, UnitSave *u) {
        int dropped = 0;

        for (size_t i = u->n - 1; i >= 1; i--) {
                const StoreCallObject alone[] = { u->objects[0], u->objects[i] };
                _cleanup_free_ char *reason = NULL, *ignored = NULL;
                int r;

                if (u->objects[i].fd < 0)
                        continue;
                r = store_call_store(&e->store, u->unit->name, FDSTORE_PROBE_NODE, alone, ELEMENTSOF(alone),
                                     &reason);
                if (r >= 0) {
                        r = store_call_remove(&e->store, u->unit->name, FDSTORE_PROBE_NODE, &ignored);
                        if (r < 0)
                                return r;
                        continue;
                }
                if (r != -ENOTSUP)
                        return r;
                for (size_t k = 0; k < u->manifest.n; k++)
                        if (u->manifest.entries[k].object == i) {
                                u->n_lost++;
                                fdstore_log_lost(LOG_ERR, u->unit->name,
                                                 "Descriptor '%s' of %s will not survive the kexec: %s",
                                                 u->manifest.entries[k].name, u->unit->name, reason);
                        }
                unit_save_drop_object(u, i);
                dropped++;
        }
        return dropped;
}

/* Returns true if the store exceeds a limit of [FdStore], after logging that. */
static bool unit_exceeds_limits(const FdStoreEnvironment *e, const UnitSave *u, const StoredFds *fds) {
        uint64_t bytes = 0;

        if (fds->n > e->config->fdstore_unit_descriptors) {
                fdstore_log_lost(LOG_ERR, u->unit->name,
                                 "File descriptors of %s will not survive the kexec: there are %zu, "
                                 "which exceeds UnitDescriptorsMax=%llu.", u->unit->name, fds->n,
                                 (unsigned long long) e->config->fdstore_unit_descriptors);
                return true;
        }
        for (size_t i = 1; i < u->n; i++) {
                struct stat st;

                if (u->objects[i].fd >= 0 && fstat(u->objects[i].fd, &st) >= 0)
                        bytes += (uint64_t) st.st_blocks * 512;
        }
        if (bytes > e->config->fdstore_unit_bytes) {
                fdstore_log_lost(LOG_ERR, u->unit->name,
                                 "File descriptors of %s will not survive the kexec: they hold %llu bytes, "
                                 "which exceeds UnitBytesMax=%llu.", u->unit->name, (unsigned long long) bytes,
                                 (unsigned long long) e->config->fdstore_unit_bytes);
                return true;
        }
        return false;
}

static int unit_save(const FdStoreEnvironment *e, const PreservingUnit *unit, FdStorePolicy policy,
                     const StoredFds *fds, FdTable *table, SharedFiles *shared) {
        _cleanup_(unit_save_done) UnitSave u = { .unit = unit };
        _cleanup_free_ char *reason = NULL;
        const SeenFile none = {};
        int r;

        u.manifest.unit = strdup(unit->name);
        u.manifest.notify_access = strdup(unit->notify_access);
        if (!u.manifest.unit || !u.manifest.notify_access)
                return -ENOMEM;
        u.node = preserving_unit_node(unit, policy);
        r = unit_save_add_object(&u, -EBADF, /* data= */ NULL, 0, &none);
        if (r < 0)
                return r;
        for (size_t i = 0; i < fds->n; i++) {
                r = unit_save_add(e, &u, table, shared, &fds->fds[i]);
                if (r < 0)
                        return log_error_errno(r, "Failed to collect the descriptors of %s", unit->name);
        }
        if (u.manifest.n == 0)
                return u.n_lost > 0 ? -ENODATA : 0;
        if (unit_exceeds_limits(e, &u, fds))
                return -EDQUOT;

        r = unit_save_store(e, &u, &reason);
        if (r == -ENOTSUP && unit_save_drop_refused(e, &u) > 0) {
                free(TAKE_PTR(reason));
                r = u.manifest.n > 0 ? unit_save_store(e, &u, &reason) : 0;
        }
        if (r < 0) {
                fdstore_log_lost(LOG_ERR, unit->name,
                                 "Failed to store the file descriptors of %s, they will not survive the kexec: %s",
                                 unit->name, reason ?: strerror(-r));
                return r;
        }
        if (u.manifest.n > 0) {
                /* What a cancelled kexec left under another name. */
                (void) unit_remove_nodes(e, unit->name, u.node);
                log_info("Stored %zu file descriptors of %s.", u.manifest.n, unit->name);
        }
        return u.n_lost > 0 ? -ENODATA : 0;
}

/* Stores the files that this service holds for units that were not started in this boot, under the same names. */
static int save_own_store(const FdStoreEnvironment *e, FdTable *table, SharedFiles *shared) {
        _cleanup_stored_fds_ StoredFds own = {};
        int r, first = 0;

        r = service_manager_dump_store(e->bus, FDSTORE_UNIT, &own);
        if (r < 0)
                return r == -ENOMEM ? r : 0; /* the unit is not loaded and has no store */
        for (size_t i = 0; i < own.n; i++) {
                const StoredFd *fd = &own.fds[i];
                _cleanup_free_ char *reason = NULL;
                OpenedFd found;

                if (!startswith(fd->name, FDSTORE_SHARED_PREFIX) || !S_ISREG(fd->mode) ||
                    strlen(fd->name) >= sizeof(shared->files->node))
                        continue;
                r = fd_table_open(table, fd, &found);
                if (r >= 0) {
                        const StoreCallObject objects[] = { { .fd = -EBADF, .data = "" }, { .fd = found.fd } };

                        r = store_call_store(&e->store, FDSTORE_UNIT, fd->name, objects, ELEMENTSOF(objects), &reason);
                        (void) safe_close(found.fd);
                }
                if (r >= 0)
                        r = shared_files_add(shared, fd->dev, fd->inode, fd->name);
                if (r < 0) {
                        log_error("Failed to store shared file '%s': %s", fd->name, reason ?: strerror(-r));
                        first = first ?: r;
                }
        }
        return first;
}

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
                r = unit_remove_nodes(e, now.units[i].name, /* except= */ NULL);
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
                int k = save_own_store(e, table, &shared);

                first = first ?: k;
                r = k == -ENOMEM ? k : 0;
        }
        if (r >= 0)
                r = shared_files_collect(&shared, stores, units.n);
        for (size_t i = 0; r >= 0 && i < units.n; i++)
                if (stores[i].n > 0) {
                        int k = unit_save(e, &units.units[i], policies[i], &stores[i], table, &shared);

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
