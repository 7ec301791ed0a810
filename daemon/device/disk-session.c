/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/file.h>
#include <time.h>

#include "device-disk.h"
#include "disk-file-save.h"
#include "disk-file.h"
#include "disk-io.h"
#include "disk-node.h"
#include "disk-session.h"

/* A node that is being saved through a descriptor of this process. */
struct DiskSession {
        dev_t dev;
        ino_t ino;
        char file[DISK_TEMPORARY_MAX];
};

void disk_sessions_done(DiskSessions *sessions) {
        free(sessions->list);
}

/* Makes the descriptor refer to another file description, shared with no other descriptor. */
static int descriptor_replace(int fd, int with) {
        return dup3(with, fd, O_CLOEXEC) < 0 ? -errno : 0;
}

static DiskSession *session_find(const DiskSessions *sessions, int fd) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return NULL;
        for (size_t i = 0; i < sessions->n; i++)
                if (sessions->list[i].dev == st.st_dev && sessions->list[i].ino == st.st_ino)
                        return sessions->list + i;
        return NULL;
}

bool disk_session_is_saving(const DiskSessions *sessions, int fd) {
        return session_find(sessions, fd);
}

static void session_remove(DiskSessions *sessions, DiskSession *s) {
        *s = sessions->list[--sessions->n];
}

bool disk_session_is_idle(int fd) {
        struct stat st;

        return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

static int disk_check_name(const struct pkram_ioctl_name *a) {
        if (a->size < sizeof(*a) || a->flags)
                return -EINVAL;
        if (!memchr(a->name, 0, sizeof(a->name)))
                return -ENAMETOOLONG;
        return disk_name_is_valid(a->name) ? 0 : -EINVAL;
}

/* Opens the directory for a call about the node with that name. Returns 0, -ENOENT if there is none, or another
 * negative errno, also if its file cannot be read. */
static int enter_for_node(DiskContents *c, const struct pkram_ioctl_name *a, DiskDirectory *ret,
                          DiskEntry **ret_entry) {
        char file[DISK_FILE_NAME_MAX];
        int r;

        r = disk_check_name(a);
        if (r >= 0)
                r = disk_contents_enter(c, ret);
        if (r < 0)
                return r;
        disk_file_name(a->name, file);
        *ret_entry = disk_entry_find(c, file);
        if (*ret_entry)
                return 0;
        r = disk_unreadable_retry(c, ret, file);
        if (r < 0)
                return r;
        *ret_entry = disk_entry_find(c, file);
        return 0;
}

/* --- saving --- */

int disk_session_save_begin(DiskSessions *sessions, DiskContents *c, int fd, struct pkram_ioctl_name *a) {
        _cleanup_disk_directory_ DiskDirectory dir = DISK_DIRECTORY_NONE;
        _cleanup_close_ int file = -EBADF;
        DiskSession s = {};
        struct stat st;
        int r;

        r = disk_check_name(a);
        if (r >= 0)
                r = disk_contents_enter(c, &dir);
        if (r >= 0)
                r = dir.read_only;
        if (r >= 0)
                r = GREEDY_REALLOC(sessions->list, sessions->allocated, sessions->n + 1);
        if (r < 0)
                return r;

        r = disk_node_create(dir.nodes, a->name, s.file, &file);
        if (r < 0) {
                disk_contents_remember(c, &dir);
                return r;
        }
        if (fstat(file, &st) < 0)
                r = -errno;
        if (r >= 0)
                r = descriptor_replace(fd, file);
        if (r < 0) {
                (void) disk_unlink(dir.nodes, s.file, 0);
                disk_contents_remember(c, &dir);
                return r;
        }

        s.dev = st.st_dev;
        s.ino = st.st_ino;
        sessions->list[sessions->n++] = s;
        disk_contents_remember(c, &dir);
        a->id = 0;
        return 0;
}

static uint64_t next_id(const DiskContents *c, uint64_t now_ns) {
        return MAX(now_ns / NSEC_PER_USEC, c->last_id + 1);
}

int disk_session_commit(DiskSessions *sessions, DiskContents *c, int fd, struct pkram_ioctl_commit *a) {
        _cleanup_disk_directory_ DiskDirectory dir = DISK_DIRECTORY_NONE;
        bool replace = a->flags & PKRAM_COMMIT_REPLACE;
        char file[DISK_FILE_NAME_MAX];
        _cleanup_close_ int old = -EBADF;
        struct timespec ts;
        DiskHeader h;
        DiskSession *s;
        DiskEntry *e;
        int r;

        s = session_find(sessions, fd);
        if (!s)
                return -EBADFD;
        if (a->size < sizeof(*a) || (a->flags & ~PKRAM_COMMIT_REPLACE))
                return -EINVAL;
        r = disk_contents_enter(c, &dir);
        if (r >= 0)
                r = disk_file_read_header(fd, &h);
        if (r >= 0)
                r = disk_entry_reserve(c);
        if (r < 0)
                return r;

        disk_file_name(h.name, file);
        /* No descriptor loads the node that is to be replaced while this one is open. */
        r = disk_node_lock(dir.nodes, file, &old);
        if (r != -ENOENT && !replace)
                return r < 0 && r != -EBUSY ? r : -EEXIST;
        if (r < 0 && r != -ENOENT)
                return r;

        if (clock_gettime(CLOCK_REALTIME, &ts) < 0)
                return -errno;
        uint64_t now = (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
        DiskStamp stamp = {
                .id = next_id(c, now),
                .stored_ns = now,
                .generation = c->record.generation,
                .boot_id = c->boot_id,
                .release = c->boot.release,
        };
        r = disk_file_commit(fd, &stamp, &h);
        if (r < 0)
                return r;

        r = disk_rename(dir.nodes, s->file, dir.nodes, file, 0);
        if (r < 0) {
                /* The node is still being saved: the caller may try again. */
                h.state = DISK_SAVING;
                h.id = 0;
                disk_header_seal(&h);
                (void) disk_write(fd, &h, sizeof(h), 0);
                return r;
        }
        e = disk_entry_find(c, file);
        if (e)
                disk_entry_remove(c, e);
        disk_unreadable_forget(c, file);
        r = disk_sync(dir.nodes);
        if (r < 0 && old < 0)
                /* A crash might lose the node, so it is not stored. The node that it replaced is lost already. */
                (void) disk_unlink(dir.nodes, file, 0);
        struct stat st;
        if ((r >= 0 || old >= 0) && fstat(fd, &st) >= 0)
                (void) disk_entry_add(c, file, st.st_ino, &h);
        session_remove(sessions, s);
        /* A worker may still have the descriptor, but loads nothing. */
        (void) disk_lock(fd, LOCK_UN);
        (void) descriptor_replace(fd, dir.fd);
        disk_contents_remember(c, &dir);
        if (r < 0)
                return r;

        a->id = h.id;
        return 0;
}

void disk_session_close(DiskSessions *sessions, DiskContents *c, int fd) {
        _cleanup_disk_directory_ DiskDirectory dir = DISK_DIRECTORY_NONE;
        DiskSession *s = session_find(sessions, fd);

        if (s) {
                if (disk_contents_enter(c, &dir) >= 0) {
                        (void) disk_unlink(dir.nodes, s->file, 0);
                        disk_contents_remember(c, &dir);
                }
                session_remove(sessions, s);
        }
        safe_close(fd);
}

/* --- loading --- */

int disk_session_load_begin(DiskContents *c, int fd, struct pkram_ioctl_name *a) {
        _cleanup_disk_directory_ DiskDirectory dir = DISK_DIRECTORY_NONE;
        _cleanup_close_ int node = -EBADF;
        DiskHeader h;
        DiskEntry *e;
        int r;

        r = enter_for_node(c, a, &dir, &e);
        if (r >= 0 && disk_entry_is_hidden(c, e))
                r = -ENOENT;
        if (r < 0)
                return r;

        node = disk_open(dir.nodes, e->file, O_RDONLY);
        if (node == -ENOENT)
                disk_entry_remove(c, e);
        if (node < 0)
                return node == -ENOENT ? node : disk_error(node);
        r = disk_lock(node, LOCK_SH);
        if (r >= 0)
                r = disk_file_read_header(node, &h);
        if (r >= 0 && (h.id != e->info.id || !streq(h.name, a->name)))
                r = -EBADMSG;
        if (r >= 0)
                r = descriptor_replace(fd, node);
        if (r < 0)
                return r;

        e->loading = true;
        a->id = h.id;
        return 0;
}

/* --- removing --- */

/* Makes the lock of fd, which loads the file, an exclusive one. other is the same file, opened to be locked. */
static int loader_lock(int fd, int other) {
        int r;

        r = disk_lock(fd, LOCK_EX);
        if (r != -EBADF)
                return r;
        /* NFS refuses that, since fd is open for reading only. */
        (void) disk_lock(fd, LOCK_UN);
        r = disk_lock(other, LOCK_EX);
        if (r < 0)
                (void) disk_lock(fd, LOCK_SH);
        return r;
}

/* Removes the file durably. fd may be loading it. *ret_id is the node that it was. */
static int remove_file(const DiskDirectory *dir, int fd, const char *file, uint64_t *ret_id) {
        _cleanup_close_ int other = -EBADF;
        struct stat st, own;
        DiskHeader h;
        int r;

        other = disk_open_to_lock(dir->nodes, file);
        if (other < 0)
                return other;
        if (fstat(other, &st) < 0 || fstat(fd, &own) < 0)
                return -errno;
        if (st.st_dev == own.st_dev && st.st_ino == own.st_ino)
                r = loader_lock(fd, other);
        else
                r = disk_lock(other, LOCK_EX);
        if (r < 0)
                return r;
        r = disk_file_read_header(other, &h);
        if (r < 0)
                return r;
        r = disk_unlink(dir->nodes, file, 0);
        if (r < 0)
                return r;
        r = disk_sync(dir->nodes);
        if (r < 0)
                return r;
        *ret_id = h.id;
        return 0;
}

int disk_session_remove(DiskContents *c, int fd, struct pkram_ioctl_name *a) {
        _cleanup_disk_directory_ DiskDirectory dir = DISK_DIRECTORY_NONE;
        struct stat st;
        uint64_t id = 0;
        DiskEntry *e;
        int r;

        r = enter_for_node(c, a, &dir, &e);
        if (r < 0)
                return r;

        r = remove_file(&dir, fd, e->file, &id);
        a->id = id;
        /* The file may be removed even if the call failed. */
        if (fstatat(dir.nodes, e->file, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
                disk_entry_remove(c, e);
        disk_contents_remember(c, &dir);
        if (r < 0)
                return r;
        return disk_session_is_idle(fd) ? 0 : descriptor_replace(fd, dir.fd);
}

int disk_session_remove_attached(const char *path, int fd, struct pkram_ioctl_name *a) {
        _cleanup_disk_directory_ DiskDirectory dir = DISK_DIRECTORY_NONE;
        char file[DISK_FILE_NAME_MAX];
        uint64_t id = 0;
        int r;

        r = disk_check_name(a);
        if (r >= 0)
                r = disk_directory_open(path, &dir);
        if (r < 0)
                return r;
        disk_file_name(a->name, file);
        r = remove_file(&dir, fd, file, &id);
        a->id = id;
        return r < 0 ? r : descriptor_replace(fd, dir.fd);
}
