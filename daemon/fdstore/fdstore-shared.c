/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "fdstore-shared.h"

void shared_files_done(SharedFiles *s) {
        for (size_t i = 0; i < s->n; i++)
                free(s->files[i].refused);
        free(s->files);
}

SharedFile *shared_files_find(SharedFiles *s, dev_t dev, ino_t inode) {
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

int shared_files_collect(SharedFiles *shared, const StoredFds *stores, size_t n_stores) {
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

const char *shared_files_store(const FdStoreEnvironment *e, SharedFile *f, int fd) {
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

int shared_files_store_own(const FdStoreEnvironment *e, FdTable *table, SharedFiles *shared) {
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
