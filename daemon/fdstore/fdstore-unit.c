/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "fdstore-manifest.h"
#include "fdstore-unit.h"

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

static void unit_save_done(UnitSave *u) {
        for (size_t i = 0; i < u->n; i++) {
                (void) safe_close(u->objects[i].fd);
                free((void *) u->objects[i].data);
        }
        free(u->objects);
        free(u->files);
        fdstore_manifest_done(&u->manifest);
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

/*
 * Creates a pipe that has room for the contents of another one. tee(2) copies whole buffers, also if there are only a
 * few bytes in each, so the number of bytes does not say how large it has to be. If the size of the original is not
 * permitted, a smaller one may be large enough. Returns 0, or a negative errno.
 */
static int pipe_make_for_copy(int fd, int *ret_in, int *ret_out) {
        int ends[2], size, present;

        size = fcntl(fd, F_GETPIPE_SZ);
        if (size < 0)
                return -errno;
        if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
                return -errno;
        *ret_in = ends[0];
        *ret_out = ends[1];
        present = fcntl(ends[1], F_GETPIPE_SZ);
        if (present < 0)
                return -errno;
        while (size > present && fcntl(ends[1], F_SETPIPE_SZ, size) < 0)
                size /= 2;
        return 0;
}

/*
 * Copies the contents of a pipe, which remain in it. Returns 0, -EFBIG if they are too large, -ENOBUFS if a pipe for
 * the copy may not be as large as it has to be, -ENOTSUP if they are packets, or another negative errno.
 */
static int pipe_read_copy(int fd, void **ret, size_t *ret_size) {
        _cleanup_close_ int in = -EBADF, out = -EBADF;
        _cleanup_free_ char *data = NULL;
        int available, r;
        ssize_t n;

        if (ioctl(fd, FIONREAD, &available) < 0)
                return -errno;
        if ((uint64_t) available > STORED_PIPE_BYTES_MAX)
                return -EFBIG;
        data = malloc((size_t) available + 1);
        if (!data)
                return -ENOMEM;
        if (available > 0) {
                r = pipe_make_for_copy(fd, &in, &out);
                if (r < 0)
                        return r;
                n = tee(fd, out, (size_t) available, SPLICE_F_NONBLOCK);
                if (n < 0)
                        return -errno;
                if (n != available)
                        return -ENOBUFS;
                /* One read returns everything, unless it ends with a packet. */
                n = read(in, data, (size_t) available);
                if (n < 0)
                        return -errno;
                if (n != available)
                        return -ENOTSUP;
        }
        *ret = TAKE_PTR(data);
        *ret_size = (size_t) available;
        return 0;
}

/* Returns what an error of pipe_read_copy() means, a clause for people. */
static const char *pipe_error_text(int r) {
        return r == -EFBIG ? STORED_PIPE_TOO_LARGE :
                r == -ENOBUFS ? "its copy has to be larger than /proc/sys/fs/pipe-max-size and pipe-user-pages-* "
                        "permit" :
                r == -ENOTSUP ? STORED_PIPE_HAS_PACKETS :
                strerror(-r);
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
                why = shared_files_store(e, s, opened);
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
                        unit_save_lose(u, fd, LOG_ERR, pipe_error_text(r));
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

int fdstore_unit_remove(const FdStoreEnvironment *e, const char *unit, const char *except) {
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

int fdstore_unit_save(const FdStoreEnvironment *e, const PreservingUnit *unit, FdStorePolicy policy,
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
                (void) fdstore_unit_remove(e, unit->name, u.node);
                log_info("Stored %zu file descriptors of %s.", u.manifest.n, unit->name);
        }
        return u.n_lost > 0 ? -ENODATA : 0;
}
