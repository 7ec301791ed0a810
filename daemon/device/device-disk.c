/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/file.h>

#include "device-disk.h"
#include "disk-contents.h"
#include "disk-file-load.h"
#include "disk-file-save.h"
#include "disk-io.h"
#include "disk-session.h"

struct DiskDevice {
        DiskContents contents;
        DiskSessions sessions;
};

int disk_device_new(const char *path, const DiskBoot *boot, DiskNotice notice, void *userdata, DiskDevice **ret) {
        _cleanup_(disk_device_freep) DiskDevice *d = calloc(1, sizeof(DiskDevice));

        if (!d)
                return -ENOMEM;
        disk_contents_init(&d->contents, path, boot, notice, userdata);
        *ret = TAKE_PTR(d);
        return 0;
}

DiskDevice *disk_device_free(DiskDevice *d) {
        if (!d)
                return NULL;

        disk_contents_done(&d->contents);
        disk_sessions_done(&d->sessions);
        free(d);
        return NULL;
}

void disk_device_set_keep(DiskDevice *d, uint64_t seconds) {
        d->contents.keep = seconds;
}

void disk_device_hide_own(DiskDevice *d) {
        d->contents.hide_own = true;
}

bool disk_device_has(int fd) {
        struct stat st;

        return fstat(fd, &st) == 0 && (S_ISDIR(st.st_mode) || S_ISREG(st.st_mode));
}

/* --- calls --- */

static int disk_do_info(DiskContents *c, struct pkram_ioctl_info *a) {
        _cleanup_disk_directory_ DiskDirectory dir = DISK_DIRECTORY_NONE;
        struct pkram_ioctl_info info = { .size = sizeof(info), .uapi_version = PKRAM_UAPI_VERSION,
                                         .format_version = DISK_VERSION };
        int r;

        if (a->size < sizeof(*a) || a->flags)
                return -EINVAL;
        r = disk_contents_enter(c, &dir);
        if (r < 0)
                return r;

        for (size_t i = 0; i < c->n_entries; i++) {
                if (disk_entry_is_hidden(c, c->entries + i))
                        continue;
                info.nr_nodes++;
                info.data_pages += c->entries[i].info.data_pages;
                info.meta_pages += c->entries[i].info.meta_pages;
        }
        info.flags = DISK_INFO_FLAG | (c->read_only == -EDQUOT ? DISK_INFO_FULL : 0) |
                (c->read_only == -EROFS ? DISK_INFO_READ_ONLY : 0);
        info.generation = c->record.generation + !disk_contents_record_is_own(c);
        info.nr_dropped = c->n_dropped;
        info.boot_result = dir.reset ? PKRAM_BOOT_DAMAGED : c->n_dropped > 0 ? PKRAM_BOOT_PARTIAL :
                c->restored ? PKRAM_BOOT_RESTORED : PKRAM_BOOT_NONE;
        memcpy(info.prev_release, disk_contents_record_is_own(c) ? c->record.release : c->record.running,
               sizeof(info.prev_release));
        *a = info;
        return 0;
}

/* A process that loaded the node may have removed it, or have closed its descriptor. */
static bool entry_refresh(const DiskDirectory *dir, DiskEntry *e) {
        _cleanup_close_ int fd = -EBADF;
        struct stat st;

        e->info.flags &= ~PKRAM_NODE_BUSY;
        if (!e->loading)
                return true;
        fd = disk_open_to_lock(dir->nodes, e->file);
        if (fd == -ENOENT || (fd >= 0 && fstat(fd, &st) == 0 && st.st_ino != e->ino))
                return false;
        if (fd < 0)
                return true;
        if (disk_lock(fd, LOCK_EX) == -EBUSY)
                e->info.flags |= PKRAM_NODE_BUSY;
        else
                e->loading = false;
        return true;
}

static int disk_do_list(DiskContents *c, struct pkram_ioctl_list *a) {
        struct pkram_node_info *nodes = (struct pkram_node_info *) (uintptr_t) a->nodes;
        _cleanup_disk_directory_ DiskDirectory dir = DISK_DIRECTORY_NONE;
        int r;

        if (a->size < sizeof(*a) || (a->flags & ~PKRAM_LIST_DROPPED) || a->reserved || a->capacity < 1 ||
            a->capacity > 4096 || a->node_size != sizeof(struct pkram_node_info))
                return -EINVAL;
        r = disk_contents_enter(c, &dir);
        if (r < 0)
                return r;

        a->returned = 0;
        if (a->flags & PKRAM_LIST_DROPPED) {
                for (size_t i = 0; i < c->n_dropped && a->returned < a->capacity; i++)
                        if (c->dropped[i].id > a->cursor)
                                nodes[a->returned++] = c->dropped[i];
        } else
                for (size_t i = disk_entry_after(c, a->cursor); i < c->n_entries && a->returned < a->capacity;) {
                        if (disk_entry_is_hidden(c, c->entries + i))
                                i++;
                        else if (entry_refresh(&dir, c->entries + i))
                                nodes[a->returned++] = c->entries[i++].info;
                        else
                                disk_entry_remove(c, c->entries + i);
                }

        if (a->returned > 0)
                a->cursor = nodes[a->returned - 1].id;
        return 0;
}

/* Removes the file of a node that no client loads durably, if there is one. */
static int copy_remove(const DiskDirectory *dir, const char *file) {
        _cleanup_close_ int fd = disk_open_to_lock(dir->nodes, file);
        int r;

        if (fd < 0)
                return fd == -ENOENT ? 0 : fd;
        r = disk_lock(fd, LOCK_EX);
        if (r >= 0)
                r = disk_unlink(dir->nodes, file, 0);
        return r >= 0 ? disk_sync(dir->nodes) : r;
}

int disk_device_drop_copy(DiskDevice *d, const char *name) {
        _cleanup_disk_directory_ DiskDirectory dir = DISK_DIRECTORY_NONE;
        DiskContents *c = &d->contents;
        char file[DISK_FILE_NAME_MAX];
        struct stat st;
        DiskEntry *e;
        int r;

        r = disk_contents_enter(c, &dir);
        if (r < 0)
                return r;
        if (dir.nodes < 0)
                return 0;
        disk_file_name(name, file);
        r = copy_remove(&dir, file);
        if (fstatat(dir.nodes, file, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT) {
                e = disk_entry_find(c, file);
                if (e)
                        disk_entry_remove(c, e);
                disk_unreadable_forget(c, file);
        }
        disk_contents_remember(c, &dir);
        return r < 0 ? disk_error(r) : 0;
}

int disk_device_remove_copy(const char *path, const char *name) {
        _cleanup_disk_directory_ DiskDirectory dir = DISK_DIRECTORY_NONE;
        char file[DISK_FILE_NAME_MAX];
        int r;

        r = disk_directory_open(path, &dir);
        /* Without a state that is root's and in order, and describes the nodes, the next boot takes none over. */
        if (r == -ENODEV || r == -EBADMSG || r == -EUCLEAN || r == -ESTALE)
                return 0;
        if (r < 0)
                return r;
        disk_file_name(name, file);
        return copy_remove(&dir, file);
}

static int disk_do_save_file(int fd, struct pkram_ioctl_save_file *a) {
        uint64_t pages;
        int r;

        if (a->size < sizeof(*a) || a->flags || a->offset || a->length)
                return -EINVAL;
        r = disk_file_save_file(fd, a->fd, &a->object, &pages);
        if (r >= 0)
                a->pages = pages;
        return r;
}

static int disk_do_save_bytes(int fd, struct pkram_ioctl_bytes *a) {
        if (a->size < sizeof(*a) || a->flags || a->reserved || a->offset || a->length > GIB(1))
                return -EINVAL;
        return disk_file_save_bytes(fd, &a->object, (const void *) (uintptr_t) a->data, a->length);
}

static int disk_do_stat(int fd, struct pkram_ioctl_stat *a) {
        if (a->size < sizeof(*a) || a->flags)
                return -EINVAL;
        return disk_file_stat(fd, a->object, a);
}

static int disk_do_load_file(int fd, struct pkram_ioctl_load_file *a) {
        int r, memfd;

        if (a->size < sizeof(*a) || a->flags)
                return -EINVAL;
        a->fd = PKRAM_FD_NONE;
        if (a->target_fd != PKRAM_FD_NONE)
                return disk_file_load_file(fd, a->object, a->target_fd);

        r = disk_file_load_memfd(fd, a->object, &memfd);
        if (r >= 0)
                a->fd = memfd;
        return r;
}

static int disk_do_load_bytes(int fd, struct pkram_ioctl_bytes *a) {
        uint64_t length = a->length;
        int r;

        if (a->size < sizeof(*a) || a->flags || a->reserved || a->length > GIB(1))
                return -EINVAL;
        r = disk_file_load_bytes(fd, a->object, a->offset, (void *) (uintptr_t) a->data, &length);
        if (r >= 0)
                a->length = length;
        return r;
}

int disk_device_ioctl_attached(const char *path, int fd, unsigned long request, void *a) {
        if (disk_session_is_idle(fd))
                return -EBADFD;

        switch (request) {
        case PKRAM_IOC_SAVE_FILE:
                return disk_do_save_file(fd, a);
        case PKRAM_IOC_SAVE_BYTES:
                return disk_do_save_bytes(fd, a);
        case PKRAM_IOC_LOAD_STAT:
                return disk_do_stat(fd, a);
        case PKRAM_IOC_LOAD_FILE:
                return disk_do_load_file(fd, a);
        case PKRAM_IOC_LOAD_BYTES:
                return disk_do_load_bytes(fd, a);
        case PKRAM_IOC_REMOVE:
                return disk_session_remove_attached(path, fd, a);
        default:
                return -ENOTTY;
        }
}

static int disk_device_ioctl(void *userdata, int fd, unsigned long request, void *a) {
        DiskDevice *d = userdata;

        switch (request) {
        case PKRAM_IOC_INFO:
                return disk_do_info(&d->contents, a);
        case PKRAM_IOC_LIST:
                return disk_do_list(&d->contents, a);
        case PKRAM_IOC_SAVE_BEGIN:
                return disk_session_is_idle(fd) ? disk_session_save_begin(&d->sessions, &d->contents, fd, a) : -EBADFD;
        case PKRAM_IOC_SAVE_COMMIT:
                return disk_session_commit(&d->sessions, &d->contents, fd, a);
        case PKRAM_IOC_LOAD_BEGIN:
                return disk_session_is_idle(fd) ? disk_session_load_begin(&d->contents, fd, a) : -EBADFD;
        case PKRAM_IOC_REMOVE:
                return disk_session_is_saving(&d->sessions, fd) ? -EBADFD : disk_session_remove(&d->contents, fd, a);
        default:
                return disk_device_ioctl_attached(d->contents.path, fd, request, a);
        }
}

static int disk_device_open(void *userdata) {
        _cleanup_disk_directory_ DiskDirectory dir = DISK_DIRECTORY_NONE;
        DiskDevice *d = userdata;
        int r;

        r = disk_contents_enter(&d->contents, &dir);
        return r < 0 ? r : TAKE_FD(dir.fd);
}

static void disk_device_close(void *userdata, int fd) {
        DiskDevice *d = userdata;

        disk_session_close(&d->sessions, &d->contents, fd);
}

static const PkramDeviceOps disk_ops = {
        .open = disk_device_open,
        .ioctl = disk_device_ioctl,
        .close = disk_device_close,
};

PkramDevice disk_device(DiskDevice *d) {
        return (PkramDevice) { .ops = &disk_ops, .userdata = d };
}
