/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <linux/magic.h>

#include "fd-table.h"
#include "file-util.h"

typedef struct FdSlot {
        dev_t dev;
        ino_t inode;
        int number;
        bool used;
} FdSlot;

struct FdTable {
        char *proc;
        FdSlot *slots; /* by device, inode and number */
        size_t n, allocated;
};

FdTable *fd_table_free(FdTable *t) {
        if (t) {
                free(t->proc);
                free(t->slots);
                free(t);
        }
        return NULL;
}

static int fd_slot_compare(const void *a, const void *b) {
        const FdSlot *x = a, *y = b;

        if (x->dev != y->dev)
                return x->dev < y->dev ? -1 : 1;
        if (x->inode != y->inode)
                return x->inode < y->inode ? -1 : 1;
        return x->number < y->number ? -1 : x->number > y->number;
}

/* Which file a link in /proc/PID/fd leads to, without asking a network or FUSE server. */
static int fd_link_identify(int dir, const char *name, dev_t *ret_dev, ino_t *ret_inode, mode_t *ret_mode) {
        struct statx st;

        if (statx(dir, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO | STATX_TYPE, &st) < 0)
                return -errno;
        *ret_dev = makedev(st.stx_dev_major, st.stx_dev_minor);
        *ret_inode = st.stx_ino;
        *ret_mode = st.stx_mode;
        return 0;
}

int fd_table_new(const char *proc, FdTable **ret) {
        _cleanup_(fd_table_freep) FdTable *t = NULL;
        _cleanup_closedir_ DIR *d = NULL;
        _cleanup_free_ char *path = NULL;
        struct dirent *e;

        t = calloc(1, sizeof(*t));
        if (!t)
                return -ENOMEM;
        t->proc = strdup(proc);
        if (!t->proc || asprintf(&path, "%s/fd", proc) < 0)
                return -ENOMEM;
        d = opendir(path);
        if (!d)
                return -errno;

        for (errno = 0; (e = readdir(d)); errno = 0) {
                FdSlot slot = {};
                mode_t mode;
                char *end;
                long n;
                int r;

                n = strtol(e->d_name, &end, 10);
                if (end == e->d_name || *end || n < 0 || n > INT_MAX)
                        continue;
                r = fd_link_identify(dirfd(d), e->d_name, &slot.dev, &slot.inode, &mode);
                if (r == -ENOENT || r == -EBADF)
                        continue; /* closed since */
                if (r < 0)
                        return r;
                slot.number = (int) n;
                r = GREEDY_REALLOC(t->slots, t->allocated, t->n + 1);
                if (r < 0)
                        return r;
                t->slots[t->n++] = slot;
        }
        if (errno != 0)
                return -errno;
        if (t->n > 0)
                qsort(t->slots, t->n, sizeof(*t->slots), fd_slot_compare);

        *ret = TAKE_PTR(t);
        return 0;
}

/* Reads position and flags of a descriptor. Returns 0, or a negative errno. */
static int fd_info_read(const FdTable *t, int number, int64_t *ret_position, int *ret_flags) {
        _cleanup_free_ char *path = NULL, *line = NULL;
        bool have_flags = false;
        size_t allocated = 0;
        FILE *f;

        if (asprintf(&path, "%s/fdinfo/%d", t->proc, number) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        f = fopen(path, "re");
        if (!f)
                return -errno;
        *ret_position = -1;
        while (getline(&line, &allocated, f) >= 0) {
                int64_t position;
                unsigned flags;

                if (sscanf(line, "pos: %" SCNd64, &position) == 1)
                        *ret_position = position;
                else if (sscanf(line, "flags: %o", &flags) == 1) {
                        *ret_flags = (int) flags & ~STORED_FD_FLAGS_IGNORED;
                        have_flags = true;
                }
        }
        (void) fclose(f);
        return have_flags ? 0 : -EBADMSG;
}

/* Does the link of a descriptor say the same as the manager? Returns 1, 0, or a negative errno. */
static int fd_link_matches(const FdTable *t, int number, const char *wanted) {
        _cleanup_free_ char *path = NULL;
        char target[PATH_MAX];
        ssize_t n;

        if (asprintf(&path, "%s/fd/%d", t->proc, number) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        n = readlink(path, target, sizeof(target) - 1);
        if (n < 0)
                return errno == ENOENT ? 0 : -errno;
        target[n] = 0;
        return streq(target, wanted);
}

/* Opens the file behind a descriptor again. *ret: a descriptor of the caller. Returns 0, or a negative errno. */
static int fd_slot_open(const FdTable *t, const FdSlot *slot, const StoredFd *wanted, int *ret) {
        _cleanup_free_ char *path = NULL, *self = NULL;
        _cleanup_close_ int handle = -EBADF;
        dev_t dev = 0;
        ino_t inode = 0;
        mode_t mode = 0;
        int fd, r;

        if (asprintf(&path, "%s/fd/%d", t->proc, slot->number) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        handle = open(path, O_PATH | O_CLOEXEC);
        if (handle < 0)
                return -errno;

        /* The number may have been closed and used again since the table was read. */
        if (asprintf(&self, "/proc/self/fd/%d", handle) < 0) {
                self = NULL;
                return -ENOMEM;
        }
        r = fd_link_identify(AT_FDCWD, self, &dev, &inode, &mode);
        if (r < 0)
                return r;
        if (dev != wanted->dev || inode != wanted->inode)
                return -ENOENT;

        /* Opening anything else could block, or do something. */
        if (!S_ISREG(mode) && !(S_ISFIFO(mode) && startswith(wanted->path, "pipe:"))) {
                *ret = TAKE_FD(handle);
                return 0;
        }
        fd = open(self, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        *ret = fd;
        return 0;
}

int fd_table_open(FdTable *t, const StoredFd *wanted, OpenedFd *ret) {
        FdSlot *chosen = NULL;
        int64_t position = -1;
        size_t low = 0, high = t->n;
        bool several = false;
        int fd = -EBADF, r;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                const FdSlot *s = &t->slots[middle];

                if (s->dev < wanted->dev || (s->dev == wanted->dev && s->inode < wanted->inode))
                        low = middle + 1;
                else
                        high = middle;
        }
        for (; low < t->n && t->slots[low].dev == wanted->dev && t->slots[low].inode == wanted->inode; low++) {
                FdSlot *s = &t->slots[low];
                int64_t at = -1;
                int flags = 0;

                if (s->used)
                        continue;
                r = fd_link_matches(t, s->number, wanted->path);
                if (r < 0)
                        return r;
                if (r == 0)
                        continue;
                r = fd_info_read(t, s->number, &at, &flags);
                if (r == -ENOENT)
                        continue;
                if (r < 0)
                        return r;
                if (flags != wanted->flags)
                        continue;
                if (chosen)
                        several = true;
                else {
                        chosen = s;
                        position = at;
                }
        }
        if (!chosen)
                return -ENOENT;
        /* All anonymous inodes are one file to the kernel: an eventfd cannot be told from another one. */
        if (several && startswith(wanted->path, "anon_inode:"))
                return -ENOTUNIQ;

        r = fd_slot_open(t, chosen, wanted, &fd);
        if (r < 0)
                return r;
        chosen->used = true;
        *ret = (OpenedFd) { .fd = fd, .position = position };
        return 0;
}

const char *fd_table_error_text(int r) {
        return r == -ENOENT ? "the service manager does not have it any more" :
                r == -ENOTUNIQ ? "it cannot be told from others of its kind" : strerror(-r);
}

/* As stored_fd_refusal(), for a pipe or FIFO. */
static const char *stored_pipe_refusal(const StoredFd *fd, int opened) {
        int available;

        if (!startswith(fd->path, "pipe:"))
                return "named pipes are not preserved";
        if (fd->flags & O_DIRECT)
                return STORED_PIPE_HAS_PACKETS;
        if (opened >= 0 && ioctl(opened, FIONREAD, &available) >= 0 && (uint64_t) available > STORED_PIPE_BYTES_MAX)
                return STORED_PIPE_TOO_LARGE;
        return NULL;
}

const char *stored_fd_refusal(const StoredFd *fd, int opened) {
        struct statfs fs;

        if (S_ISSOCK(fd->mode))
                return "sockets are not preserved";
        if (startswith(fd->path, "anon_inode:"))
                return "the kernel object behind it ends with this kernel";
        if (S_ISFIFO(fd->mode))
                return stored_pipe_refusal(fd, opened);
        if (S_ISCHR(fd->mode) || S_ISBLK(fd->mode))
                return "devices are not preserved";
        if (S_ISDIR(fd->mode))
                return "directories are not preserved";
        if (!S_ISREG(fd->mode))
                return "files of its type are not preserved";
        if (opened >= 0 && (fstatfs(opened, &fs) < 0 || fs.f_type != TMPFS_MAGIC))
                return "it is not a memfd or a file on a tmpfs";
        return NULL;
}
