/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "fdstore.h"
#include "fdstore-manifest.h"
#include "fdstore-nodes.h"

/* Flags of an open file that fcntl(2) can set. */
#define FLAGS_SETTABLE (O_APPEND | O_NONBLOCK)

/* One descriptor that is to be in the store. */
typedef struct PushedFd {
        const FdEntry *entry;
        int fd;
        dev_t dev;
        ino_t inode;
} PushedFd;

typedef struct PushedFds {
        PushedFd *fds;
        size_t n;
} PushedFds;

/* Both ends of a pipe that several descriptors may belong to. */
typedef struct MadePipe {
        int ends[2];
} MadePipe;

static void pushed_fds_done(PushedFds *p) {
        for (size_t i = 0; i < p->n; i++)
                (void) safe_close(p->fds[i].fd);
        free(p->fds);
}

/* Opens a file or an end of a pipe once more, as it was open before. Returns the descriptor, or a negative errno. */
static int push_reopen(int fd, int flags) {
        char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
        int opened;

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        /* Without O_NONBLOCK the other end of a pipe would be waited for. */
        opened = open(path, (flags & O_PATH ? O_PATH : flags | O_NONBLOCK) | O_NOCTTY | O_CLOEXEC);
        if (opened < 0)
                return -errno;
        if (!(flags & O_PATH) && fcntl(opened, F_SETFL, flags & FLAGS_SETTABLE) < 0) {
                int r = -errno;

                (void) safe_close(opened);
                return r;
        }
        return opened;
}

/* Makes a pipe with these contents. Returns 0, or a negative errno. */
static int pipe_make(const void *data, size_t size, MadePipe *ret) {
        MadePipe p;
        ssize_t n = 0;
        int r;

        if (pipe2(p.ends, O_CLOEXEC | O_NONBLOCK) < 0)
                return -errno;
        if (size > 0) {
                if (size <= INT_MAX && (int) size > fcntl(p.ends[1], F_GETPIPE_SZ))
                        (void) fcntl(p.ends[1], F_SETPIPE_SZ, (int) size);
                n = write(p.ends[1], data, size);
        }
        if (n < 0 || (size_t) n != size) {
                r = n < 0 ? -errno : -EFBIG;
                close_many(p.ends, 2);
                return r;
        }
        *ret = p;
        return 0;
}

/* How often to look for a shared file that our own unit is about to take over. */
#define SHARED_FILE_USEC (USEC_PER_SEC / 10)

/* Opens a file that is in our own unit's store now. Returns a descriptor, -ENOENT, or another negative errno. */
static int held_file_open(const FdStoreEnvironment *e, const char *name) {
        _cleanup_(fd_table_freep) FdTable *table = NULL;
        _cleanup_stored_fds_ StoredFds own = {};
        OpenedFd found;
        int r;

        r = service_manager_dump_store(e->bus, FDSTORE_UNIT, &own);
        if (r < 0)
                return r;
        r = fd_table_new(e->proc, &table);
        if (r < 0)
                return r;
        for (size_t i = 0; i < own.n; i++)
                if (streq(own.fds[i].name, name)) {
                        r = fd_table_open(table, &own.fds[i], &found);
                        return r < 0 ? r : found.fd;
                }
        return -ENOENT;
}

/*
 * Opens a file that our own unit holds for several others. If it failed to take the file over, because pkramd did not
 * answer when it started, it is asked to try again. Returns a descriptor, -ENOENT, or another negative errno.
 */
static int shared_file_open(const FdStoreEnvironment *e, const char *name) {
        _cleanup_retrieved_node_ RetrievedNode node = {};
        _cleanup_free_ char *reason = NULL;
        int fd, r;

        fd = held_file_open(e, name);
        if (fd != -ENOENT)
                return fd;
        r = store_call_retrieve(&e->store, FDSTORE_UNIT, name, &node, &reason);
        if (r < 0)
                return r;
        retrieved_node_done(&node);
        node = (RetrievedNode) {};
        r = service_manager_reload_unit(e->bus, FDSTORE_UNIT);
        if (r < 0)
                return r;
        for (uint64_t waited = 0; fd == -ENOENT && waited < e->timeout_usec; waited += SHARED_FILE_USEC) {
                (void) usleep(SHARED_FILE_USEC);
                fd = held_file_open(e, name);
        }
        return fd;
}

/* Opens what one entry describes. Returns a descriptor, or a negative errno. */
static int entry_open(const FdStoreEnvironment *e, const FdEntry *entry, const RetrievedNode *node, MadePipe *pipes) {
        _cleanup_close_ int shared = -EBADF;
        int from, fd, r;

        if (entry->shared) {
                shared = shared_file_open(e, entry->shared);
                if (shared < 0)
                        return shared;
                from = shared;
        } else if (entry->kind == FD_KIND_FILE)
                from = node->fds[entry->object];
        else {
                MadePipe *p = &pipes[entry->object];

                if (!node->data[entry->object])
                        return -EBADMSG;
                if (p->ends[0] < 0) {
                        r = pipe_make(node->data[entry->object], node->sizes[entry->object], p);
                        if (r < 0)
                                return r;
                }
                from = p->ends[(entry->flags & O_ACCMODE) != O_RDONLY];
        }
        if (from < 0)
                return -EBADMSG;

        fd = push_reopen(from, entry->flags);
        if (fd < 0)
                return fd;
        if (entry->kind == FD_KIND_FILE && entry->position > 0 && !(entry->flags & O_PATH) &&
            lseek(fd, (off_t) entry->position, SEEK_SET) < 0) {
                r = -errno;
                (void) safe_close(fd);
                return r;
        }
        return fd;
}

static int manifest_open(const FdStoreEnvironment *e, const FdStoreManifest *m, const RetrievedNode *node,
                         PushedFds *ret) {
        _cleanup_(pushed_fds_done) PushedFds p = {};
        _cleanup_free_ MadePipe *pipes = NULL;
        int r = 0;

        p.fds = calloc(MAX(m->n, 1U), sizeof(*p.fds));
        pipes = malloc(node->n * sizeof(*pipes));
        if (!p.fds || !pipes)
                return -ENOMEM;
        for (size_t i = 0; i < node->n; i++)
                pipes[i] = (MadePipe) { .ends = { -EBADF, -EBADF } };

        for (size_t i = 0; r >= 0 && i < m->n; i++) {
                struct stat st;
                int fd;

                fd = entry_open(e, &m->entries[i], node, pipes);
                if (fd < 0)
                        r = log_error_errno(fd, "Failed to open descriptor '%s' of %s", m->entries[i].name, m->unit);
                else if (fstat(fd, &st) < 0) {
                        r = -errno;
                        (void) safe_close(fd);
                } else
                        p.fds[p.n++] = (PushedFd) { .entry = &m->entries[i], .fd = fd, .dev = st.st_dev,
                                                    .inode = st.st_ino };
        }
        for (size_t i = 0; i < node->n; i++)
                close_many(pipes[i].ends, 2);
        if (r < 0)
                return r;
        *ret = TAKE(p, (PushedFds) {});
        return 0;
}

/* Sends one descriptor to the service manager. Returns 0, or a negative errno. */
static int fd_push(const char *name, int fd) {
        _cleanup_free_ char *state = NULL;
        int r;

        if (asprintf(&state, "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name) < 0) {
                state = NULL;
                return -ENOMEM;
        }
        r = sd_pid_notify_with_fds(0, /* unset_environment= */ false, state, &fd, 1);
        /* Without a socket to notify nothing was sent. */
        return r < 0 ? r : r == 0 ? -ENOTCONN : 0;
}

/* Takes what has this name out of the store again. */
static void fd_remove(const char *name) {
        _cleanup_free_ char *state = NULL;

        if (asprintf(&state, "FDSTOREREMOVE=1\nFDNAME=%s", name) < 0)
                state = NULL;
        if (state)
                (void) sd_notify(/* unset_environment= */ false, state);
}

/* The name that the service manager uses. */
static const char *entry_name(const FdEntry *entry) {
        return *entry->name ? entry->name : "stored";
}

/* Is this in the store under the same name? Pipes are made for each attempt, so an earlier one's are not the same. */
static bool stored_fd_is(const StoredFd *fd, const PushedFd *p) {
        return fd->dev == p->dev && fd->inode == p->inode && streq(fd->name, entry_name(p->entry));
}

/* Does the store hold something under one of our names that is not ours? */
static bool store_conflicts(const StoredFds *store, const PushedFds *p) {
        for (size_t i = 0; i < store->n; i++) {
                bool named = false, ours = false;

                for (size_t k = 0; k < p->n && !ours; k++) {
                        named = named || streq(store->fds[i].name, entry_name(p->fds[k].entry));
                        ours = stored_fd_is(&store->fds[i], &p->fds[k]);
                }
                if (named && !ours)
                        return true;
        }
        return false;
}

/*
 * Does the store hold this descriptor? A file can be there several times under one name, opened in different ways. The
 * last descriptors are sent first, so the last ones are there if some are not.
 */
static bool store_has(const StoredFds *store, const PushedFds *p, size_t number) {
        size_t n_stored = 0, n_needed = 0;

        for (size_t i = 0; i < store->n; i++)
                n_stored += stored_fd_is(&store->fds[i], &p->fds[number]);
        for (size_t i = number; i < p->n; i++)
                n_needed += p->fds[i].dev == p->fds[number].dev && p->fds[i].inode == p->fds[number].inode &&
                        streq(entry_name(p->fds[i].entry), entry_name(p->fds[number].entry));
        return n_stored >= n_needed;
}

/*
 * Sends the descriptors, except for files that an earlier attempt has sent, and waits until the service manager has
 * them. Returns 0, -EEXIST if others have their names, -ENOBUFS if it did not take all of them, or another negative
 * errno. *ret_sent: something may be in the store now.
 */
static int fds_push(const FdStoreEnvironment *e, const char *unit, const PushedFds *p, bool *ret_sent) {
        _cleanup_stored_fds_ StoredFds before = {}, after = {};
        int r;

        r = service_manager_dump_store(e->bus, unit, &before);
        if (r < 0)
                return r;
        if (store_conflicts(&before, p))
                return -EEXIST;
        *ret_sent = true;
        /* The store lists the newest first. */
        for (size_t i = p->n; i > 0; i--) {
                if (store_has(&before, p, i - 1))
                        continue;
                r = fd_push(p->fds[i - 1].entry->name, p->fds[i - 1].fd);
                if (r < 0)
                        return r;
        }
        r = sd_notify_barrier(/* unset_environment= */ false, e->timeout_usec);
        if (r < 0)
                return r;
        r = service_manager_dump_store(e->bus, unit, &after);
        if (r < 0)
                return r;
        for (size_t i = 0; i < p->n; i++)
                if (!store_has(&after, p, i))
                        return -ENOBUFS;
        return 0;
}

/* What an error of fds_push() means, or NULL if its errno says that. */
static const char *push_error_text(int r) {
        return r == -ENOBUFS ? "it did not accept all of them, check FileDescriptorStoreMax= of the unit" :
                r == -EHOSTDOWN ? "the unit has no file descriptor store any more, check FileDescriptorStoreMax= of "
                        "the unit" :
                r == -EEXIST ? "its store has others with the same names, stop the unit and remove them with "
                        "'systemctl clean --what=fdstore'" :
                NULL;
}

/* Logs why the unit starts without its descriptors. Returns r. */
static int push_failed(int r, const char *unit, const char *name, const char *reason) {
        fdstore_log(LOG_ERR, PKRAM_MESSAGE_FDSTORE_FAILED_STR, unit, name, UINT64_MAX,
                    "Failed to hand the file descriptors of %s to the service manager, they remain stored: %s", unit,
                    reason ?: strerror(-r));
        return r;
}

/* Pushes one node of the unit. Returns 1 if there was one, 0 if not, or a negative errno. *ret_shared: it refers to
 * shared files. */
static int node_push(const FdStoreEnvironment *e, const char *unit, const char *name, bool *ret_shared) {
        _cleanup_fdstore_manifest_ FdStoreManifest m = {};
        _cleanup_retrieved_node_ RetrievedNode node = {};
        _cleanup_(pushed_fds_done) PushedFds fds = {};
        _cleanup_free_ char *reason = NULL;
        bool sent = false;
        int r;

        r = store_call_retrieve(&e->store, unit, name, &node, &reason);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return push_failed(r, unit, name, reason);
        r = node.n > 0 && node.data[0] ? fdstore_manifest_parse(node.data[0], node.sizes[0], node.n, &m) : -EBADMSG;
        if (r < 0)
                return push_failed(r, unit, name, r == -EPROTONOSUPPORT ? "a later version stored them" :
                                   r == -EBADMSG ? "their metadata is damaged" : NULL);
        r = manifest_open(e, &m, &node, &fds);
        if (r >= 0)
                r = fds_push(e, unit, &fds, &sent);
        if (r >= 0)
                r = store_call_release(&e->store, unit, name, node.id, &reason);
        if (r < 0 && sent)
                /* The service must not take a part for the whole, nor get files that are frozen. */
                for (size_t i = 0; i < fds.n; i++)
                        fd_remove(entry_name(fds.fds[i].entry));
        if (r < 0)
                return push_failed(r, unit, name, reason ?: push_error_text(r));
        fdstore_log(LOG_INFO, PKRAM_MESSAGE_FDSTORE_RESTORED_STR, unit, name, fds.n,
                    "Restored %zu file descriptor%s of %s.", fds.n, fds.n == 1 ? "" : "s", unit);
        for (size_t i = 0; i < m.n; i++)
                *ret_shared = *ret_shared || m.entries[i].shared;
        return 1;
}

int fdstore_push(const FdStoreEnvironment *e, const char *unit) {
        bool shared = false;
        int r = 0;

        for (FdStoreNodeFlags flags = 0; r == 0 && flags < _FDSTORE_NODE_FLAGS_MAX; flags++)
                if (fdstore_node_flags_are_valid(flags))
                        r = node_push(e, unit, fdstore_node_name(flags), &shared);
        if (r < 0)
                return r;
        if (shared) {
                r = service_manager_reload_unit(e->bus, FDSTORE_UNIT);
                if (r < 0)
                        log_warning("Failed to reload " FDSTORE_UNIT ", it keeps files that it held for %s: %s", unit,
                                    strerror(-r));
        }
        return 0;
}

/* --- our own unit --- */

/* Moves a shared file from its node into our own store. Returns 0, or a negative errno. */
static int shared_node_take(const FdStoreEnvironment *e, const char *name) {
        _cleanup_retrieved_node_ RetrievedNode node = {};
        _cleanup_stored_fds_ StoredFds own = {};
        _cleanup_free_ char *reason = NULL;
        struct stat st;
        int r;

        r = store_call_retrieve(&e->store, FDSTORE_UNIT, name, &node, &reason);
        if (r >= 0 && (node.n != 2 || node.fds[1] < 0))
                r = -EBADMSG;
        if (r >= 0 && fstat(node.fds[1], &st) < 0)
                r = -errno;
        if (r >= 0)
                r = fd_push(name, node.fds[1]);
        if (r >= 0)
                r = sd_notify_barrier(/* unset_environment= */ false, e->timeout_usec);
        if (r >= 0)
                r = service_manager_dump_store(e->bus, FDSTORE_UNIT, &own);
        if (r >= 0) {
                r = -ENOBUFS;
                for (size_t i = 0; i < own.n; i++)
                        if (own.fds[i].dev == st.st_dev && own.fds[i].inode == st.st_ino)
                                r = 0;
        }
        if (r >= 0)
                r = store_call_release(&e->store, FDSTORE_UNIT, name, node.id, &reason);
        if (r < 0)
                log_error("Failed to take over shared file '%s', it remains stored: %s", name, reason ?: strerror(-r));
        return r;
}

int fdstore_begin(const FdStoreEnvironment *e) {
        _cleanup_listed_nodes_ ListedNodes l = {};
        int r, first = 0;

        r = listed_nodes_read(e, &l);
        if (r < 0)
                return r;
        for (size_t i = 0; i < l.n; i++) {
                const ListedNode *n = &l.nodes[i];
                _cleanup_free_ char *why = NULL;

                r = 0;
                if (!n->inherited) {
                        r = store_call_remove(&e->store, n->owner, n->name, &why);
                        if (r < 0 && r != -ENOENT)
                                log_error("Failed to remove node '%s' of %s, its files remain frozen: %s", n->name,
                                          n->owner, why ?: strerror(-r));
                        else if (r >= 0)
                                log_info("Removed node '%s' of %s, because the kexec that it was stored for did not "
                                         "happen.", n->name, n->owner);
                } else if (streq(n->owner, FDSTORE_UNIT) && startswith(n->name, FDSTORE_SHARED_PREFIX))
                        r = shared_node_take(e, n->name);
                if (r < 0 && r != -ENOENT)
                        first = first ?: r;
        }
        return first;
}

int fdstore_drop_shared(const FdStoreEnvironment *e) {
        _cleanup_listed_nodes_ ListedNodes l = {};
        _cleanup_stored_fds_ StoredFds own = {};
        int r;

        r = listed_nodes_read(e, &l);
        if (r < 0)
                return r;
        /* As long as a unit has not fetched its descriptors it may need any of the shared files. */
        for (size_t i = 0; i < l.n; i++)
                if (l.nodes[i].inherited && !startswith(l.nodes[i].name, FDSTORE_SHARED_PREFIX))
                        return 0;

        r = service_manager_dump_store(e->bus, FDSTORE_UNIT, &own);
        if (r < 0)
                return log_error_errno(r, "Failed to read the file descriptor store of " FDSTORE_UNIT);
        for (size_t i = 0; i < own.n; i++)
                if (startswith(own.fds[i].name, FDSTORE_SHARED_PREFIX))
                        fd_remove(own.fds[i].name);
        return 0;
}
