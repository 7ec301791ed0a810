/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "device-disk.h"
#include "disk-file.h"
#include "disk-io.h"
#include "disk-node.h"

/* A node in the directory. */
typedef struct Entry {
        char file[DISK_FILE_NAME_MAX];
        ino_t ino;
        bool loading; /* a descriptor is loading it, or was */
        struct pkram_node_info info;
} Entry;

/* A file that may be a node, but could not be read. */
typedef struct Unreadable {
        char file[DISK_FILE_NAME_MAX];
        int error;
} Unreadable;

/* A node that is being saved through a descriptor of this process. */
typedef struct Session {
        dev_t dev;
        ino_t ino;
        char file[DISK_TEMPORARY_MAX];
} Session;

struct DiskDevice {
        const char *path;
        DiskBoot boot;
        uint8_t boot_id[16]; /* the bytes of boot.boot_id, as headers have them */
        DiskNotice notice;
        void *userdata;
        uint64_t keep;
        bool hide_own;
        int problem; /* why the directory could not be used when it was last tried, or 0 */

        /* The contents of the directory when it was last read. */
        bool known;    /* it was read */
        bool entered;  /* it belongs to this boot */
        int read_only; /* why it cannot be entered, although it can be read, or 0 */
        bool restored; /* nodes of an earlier boot were there when it was read first */
        DiskRecord record;
        struct stat nodes;
        Entry *entries; /* ascending ids */
        size_t n_entries, entries_allocated;
        Unreadable *unreadable;
        size_t n_unreadable, unreadable_allocated;
        struct pkram_node_info *dropped;
        size_t n_dropped, dropped_allocated;
        uint64_t last_id;

        Session *sessions;
        size_t n_sessions, sessions_allocated;
};

int disk_device_new(const char *path, const DiskBoot *boot, DiskNotice notice, void *userdata, DiskDevice **ret) {
        _cleanup_(disk_device_freep) DiskDevice *d = calloc(1, sizeof(DiskDevice));

        if (!d)
                return -ENOMEM;
        d->path = path;
        d->notice = notice;
        d->userdata = userdata;
        d->keep = UINT64_MAX;
        d->last_id = DISK_ID_BASE;
        d->boot = *boot;
        disk_boot_id_parse(boot->boot_id, d->boot_id);
        *ret = TAKE_PTR(d);
        return 0;
}

DiskDevice *disk_device_free(DiskDevice *d) {
        if (!d)
                return NULL;

        free(d->entries);
        free(d->unreadable);
        free(d->dropped);
        free(d->sessions);
        free(d);
        return NULL;
}

void disk_device_set_keep(DiskDevice *d, uint64_t seconds) {
        d->keep = seconds;
}

void disk_device_hide_own(DiskDevice *d) {
        d->hide_own = true;
}

bool disk_device_has(int fd) {
        struct stat st;

        return fstat(fd, &st) == 0 && (S_ISDIR(st.st_mode) || S_ISREG(st.st_mode));
}

/* --- contents of the directory --- */

static bool record_is_own(const DiskDevice *d) {
        return streq(d->record.boot_id, d->boot.boot_id);
}

static void info_from_header(const DiskDevice *d, const DiskHeader *h, struct pkram_node_info *ret) {
        /* The record is that of the last boot if this one could not write it. */
        uint64_t now = d->record.generation + !record_is_own(d);

        *ret = (struct pkram_node_info) {
                .id = h->id,
                .generation = now > h->generation ? now - h->generation : 0,
                .data_pages = h->data_pages,
                .meta_pages = 1 + ((uint64_t) h->n_objects * sizeof(DiskObject) + 4095) / 4096,
                .file_bytes = h->file_bytes,
                .data_bytes = h->data_bytes,
                .stored_ns = h->stored_ns,
                .nr_objects = h->n_objects,
                .flags = memcmp(h->boot_id, d->boot_id, sizeof(h->boot_id)) == 0 ? 0 : PKRAM_NODE_INHERITED,
        };
        memcpy(ret->name, h->name, sizeof(ret->name));
}

static int disk_entry_compare(const void *a, const void *b) {
        uint64_t x = ((const Entry *) a)->info.id, y = ((const Entry *) b)->info.id;

        return (x > y) - (x < y);
}

/* Returns the position of the first entry with a greater ID. */
static size_t entry_after(const DiskDevice *d, uint64_t id) {
        size_t low = 0, high = d->n_entries;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (d->entries[middle].info.id > id)
                        high = middle;
                else
                        low = middle + 1;
        }
        return low;
}

static Entry *entry_find(const DiskDevice *d, const char *file) {
        for (size_t i = d->n_entries; i > 0; i--)
                if (streq(d->entries[i - 1].file, file))
                        return d->entries + i - 1;
        return NULL;
}

static void entry_remove(DiskDevice *d, Entry *e) {
        size_t i = (size_t) (e - d->entries);

        memmove(e, e + 1, (d->n_entries - i - 1) * sizeof(Entry));
        d->n_entries--;
}

static int disk_entry_add(DiskDevice *d, const char *file, ino_t ino, const DiskHeader *h) {
        Entry *e;
        int r;

        r = GREEDY_REALLOC(d->entries, d->entries_allocated, d->n_entries + 1);
        if (r < 0)
                return r;
        e = d->entries + d->n_entries++;
        *e = (Entry) { .ino = ino };
        memcpy(e->file, file, strlen(file) + 1);
        info_from_header(d, h, &e->info);
        d->last_id = MAX(d->last_id, h->id);
        return 0;
}

/* An error as this device returns it: others have a meaning for callers that is not about the disk. */
static int disk_error(int r) {
        switch (r) {
        case -ENOENT:
        case -ENODEV:
        case -ENXIO:
                return -EIO; /* would mean that there is no such device or node */
        case -EPERM:
        case -EACCES:
                return -EUCLEAN; /* would mean that the kernel denies access to its device */
        default:
                return r;
        }
}

static Unreadable *unreadable_find(const DiskDevice *d, const char *file) {
        for (size_t i = 0; i < d->n_unreadable; i++)
                if (streq(d->unreadable[i].file, file))
                        return d->unreadable + i;
        return NULL;
}

static int unreadable_add(DiskDevice *d, const char *file, int error) {
        Unreadable *u;
        int r;

        r = GREEDY_REALLOC(d->unreadable, d->unreadable_allocated, d->n_unreadable + 1);
        if (r < 0)
                return r;
        u = d->unreadable + d->n_unreadable++;
        u->error = error;
        memcpy(u->file, file, strlen(file) + 1);
        return 0;
}

static void unreadable_forget(DiskDevice *d, const char *file) {
        Unreadable *u = unreadable_find(d, file);

        if (u)
                *u = d->unreadable[--d->n_unreadable];
}

/*
 * Reads the header of the file of a node. Returns 0, or a negative errno. *ret_reason is what is wrong with the file
 * then, or NULL if it could not be checked.
 */
static int file_examine(int dir, const char *file, DiskHeader *ret, ino_t *ret_ino, const char **ret_reason) {
        _cleanup_close_ int fd = -EBADF;
        char expected[DISK_FILE_NAME_MAX];
        struct stat st;
        int r;

        *ret_reason = NULL;
        fd = disk_open(dir, file, O_RDONLY);
        if (fd == -ELOOP || fd == -ENXIO) {
                *ret_reason = "no regular file";
                return fd;
        }
        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode)) {
                *ret_reason = "no regular file";
                return -EBADMSG;
        }
        if (st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
                *ret_reason = "accessible to other users";
                return -EPERM;
        }

        r = disk_file_read_header(fd, ret);
        if (r >= 0) {
                disk_file_name(ret->name, expected);
                if (ret->state != DISK_COMMITTED || ret->id <= DISK_ID_BASE || !streq(file, expected))
                        r = -EBADMSG;
        }
        if (r == -EBADMSG)
                *ret_reason = "damaged";
        *ret_ino = st.st_ino;
        return r;
}

/* Is it one that another process has written for the next boot? */
static bool entry_is_hidden(const DiskDevice *d, const Entry *e) {
        return d->hide_own && !(e->info.flags & PKRAM_NODE_INHERITED);
}

static int dropped_add(DiskDevice *d, const char *name, uint32_t damage) {
        struct pkram_node_info *info;
        int r;

        r = GREEDY_REALLOC(d->dropped, d->dropped_allocated, d->n_dropped + 1);
        if (r < 0)
                return r;
        info = d->dropped + d->n_dropped++;
        *info = (struct pkram_node_info) { .id = DISK_ID_BASE + d->n_dropped, .damage = damage };
        (void) snprintf(info->name, sizeof(info->name), "%s", name);
        return 0;
}

/* Lists the nodes that were set aside in this boot. Their names are read from their files if possible. */
static int dropped_scan(DiskDevice *d, int dir, bool stale) {
        const struct dirent *de;
        DIR *stream = fdopendir(dir);
        int r = 0;

        if (!stream) {
                safe_close(dir);
                return -errno;
        }
        while ((de = disk_read_entry(stream, &r))) {
                _cleanup_close_ int fd = -EBADF;
                struct stat st;
                DiskHeader h = {};

                if (de->d_name[0] == '.')
                        continue;
                fd = disk_open(dir, de->d_name, O_RDONLY);
                if (fd < 0 || fstat(fd, &st) < 0)
                        continue;
                if (S_ISDIR(st.st_mode)) {
                        if (!stale && strstr(de->d_name, "nodes."))
                                r = dropped_scan(d, TAKE_FD(fd), true);
                        continue;
                }
                if (!strstr(de->d_name, ".node"))
                        continue;

                bool readable = disk_read(fd, &h, sizeof(h), 0) >= 0 && memchr(h.name, 0, sizeof(h.name)) &&
                        disk_name_is_valid(h.name);
                r = dropped_add(d, readable ? h.name : "", stale ? DISK_DAMAGE_STALE : PKRAM_DAMAGE_CHECKSUM);
        }
        (void) closedir(stream);
        return r;
}

static int dropped_read(DiskDevice *d, const DiskDirectory *dir) {
        int fd = disk_directory_open_aside(dir);

        d->n_dropped = 0;
        if (fd == -ENOENT)
                return 0;
        return fd < 0 ? fd : dropped_scan(d, fd, false);
}

static int scan_file(DiskDevice *d, DiskDirectory *dir, const char *file) {
        const char *reason;
        DiskHeader h;
        ino_t ino = 0;
        int r;

        if (startswith(file, DISK_TEMPORARY)) {
                disk_node_remove_left(dir->nodes, file);
                return 0;
        }
        if (!disk_node_is_file(file)) {
                if (file[0] != '.' && !d->known)
                        disk_directory_notice(dir, "Ignoring '%s' in the directory of nodes: not a node", file);
                return 0;
        }

        r = file_examine(dir->nodes, file, &h, &ino, &reason);
        if (r == -ENOENT)
                return 0;
        if (r >= 0)
                return disk_entry_add(d, file, ino, &h);
        if (reason) {
                int k = dir->read_only ?: disk_directory_set_aside(dir, file, reason);

                if (k != -EDQUOT && k != -EROFS)
                        return k;
                disk_directory_notice(dir, "Ignoring '%s', which is %s and cannot be set aside: %s", file, reason,
                                      disk_problem_text(k));
                return unreadable_add(d, file, disk_error(r));
        }
        if (r == -ENOMEM || r == -EMFILE || r == -ENFILE)
                return r;
        /* An unreadable file does not prevent reading the others. */
        disk_directory_notice(dir, "Ignoring '%s': %s", file, r == -EPROTONOSUPPORT ? "a later version wrote it" :
                              strerror(-r));
        return unreadable_add(d, file, disk_error(r));
}

static void entries_sort(DiskDevice *d) {
        if (d->n_entries > 0)
                qsort(d->entries, d->n_entries, sizeof(Entry), disk_entry_compare);
}

/* Reads a file again that could not be read. Returns 0 if it has an entry now, or why not. -ENOENT: there is none. */
static int unreadable_retry(DiskDevice *d, const DiskDirectory *dir, const char *file) {
        Unreadable *u = unreadable_find(d, file);
        const char *reason;
        DiskHeader h;
        ino_t ino = 0;
        int r;

        if (!u)
                return -ENOENT;
        r = file_examine(dir->nodes, file, &h, &ino, &reason);
        if (r < 0 && r != -ENOENT)
                return u->error = disk_error(r);
        if (r >= 0) {
                r = disk_entry_add(d, file, ino, &h);
                if (r < 0)
                        return r;
                d->entries[d->n_entries - 1].loading = true;
                entries_sort(d);
        }
        unreadable_forget(d, file);
        return r;
}

/* Reads all headers. Only locks show which nodes are being loaded. */
static int disk_scan(DiskDevice *d, DiskDirectory *dir) {
        const struct dirent *de;
        DIR *stream;
        int r = 0, fd;

        d->n_entries = 0;
        d->n_unreadable = 0;
        d->n_dropped = 0;
        if (dir->nodes < 0)
                return 0;
        fd = disk_open(dir->nodes, ".", O_RDONLY | O_DIRECTORY);
        if (fd < 0)
                return fd;
        stream = fdopendir(fd);
        if (!stream) {
                safe_close(fd);
                return -errno;
        }

        while ((de = disk_read_entry(stream, &r))) {
                char file[256];

                (void) snprintf(file, sizeof(file), "%s", de->d_name);
                r = scan_file(d, dir, file);
        }
        (void) closedir(stream);
        if (r < 0)
                return r;

        for (size_t i = 0; i < d->n_entries; i++)
                d->entries[i].loading = true;
        entries_sort(d);
        return dropped_read(d, dir);
}

/* Records a change by this process, after which the directory need not be read again. */
static void directory_remember(DiskDevice *d, const DiskDirectory *dir) {
        if (fstat(dir->nodes, &d->nodes) < 0)
                d->nodes = (struct stat) {};
}

static bool directory_is_known(const DiskDevice *d, const DiskDirectory *dir) {
        struct stat st;

        return d->known && fstat(dir->nodes, &st) == 0 && st.st_ino == d->nodes.st_ino &&
                st.st_dev == d->nodes.st_dev && st.st_ctim.tv_sec == d->nodes.st_ctim.tv_sec &&
                st.st_ctim.tv_nsec == d->nodes.st_ctim.tv_nsec && streq(d->record.token, dir->record.token);
}

/* Opens the directory, and reads it again if it has changed. */
static int disk_enter_directory(DiskDevice *d, DiskDirectory *ret) {
        _cleanup_disk_directory_ DiskDirectory dir = DISK_DIRECTORY_NONE;
        int r;

        dir.notice = d->notice;
        dir.userdata = d->userdata;
        dir.keep = d->keep;
        dir.again = d->known;
        if (d->entered) {
                r = disk_directory_open(d->path, &dir);
                /* The directory existed in this boot: it was unmounted or removed. */
                if (r == -ENODEV || (r >= 0 && !streq(dir.record.boot_id, d->boot.boot_id)))
                        r = -ESTALE;
        } else
                r = disk_directory_enter_or_read(d->path, &d->boot, &dir);
        if (r < 0)
                return disk_error(r);

        if (!directory_is_known(d, &dir)) {
                d->record = dir.record;
                r = disk_scan(d, &dir);
                if (r < 0)
                        return disk_error(r);
                for (size_t i = 0; i < d->n_entries && !d->entered; i++)
                        d->restored = d->restored || (d->entries[i].info.flags & PKRAM_NODE_INHERITED);
                d->known = true;
                directory_remember(d, &dir);
        }
        d->entered = dir.read_only == 0;
        d->read_only = dir.read_only;

        *ret = dir;
        dir = DISK_DIRECTORY_NONE;
        return 0;
}

/* The same, and tells why that fails, once. */
static int disk_enter(DiskDevice *d, DiskDirectory *ret) {
        int r, problem;

        r = disk_enter_directory(d, ret);
        problem = r < 0 ? r : ret->read_only;
        if (problem != d->problem && disk_problem_text(problem) && d->notice) {
                DiskDirectory none = { .notice = d->notice, .userdata = d->userdata };

                disk_directory_notice(&none, "Failed to use '%s' for %snodes: %s", d->path, r < 0 ? "" : "new ",
                                      disk_problem_text(problem));
        }
        d->problem = problem;
        return r;
}

/* --- descriptors --- */

/* Makes the descriptor refer to another file description, shared with no other descriptor. */
static int descriptor_replace(int fd, int with) {
        return dup3(with, fd, O_CLOEXEC) < 0 ? -errno : 0;
}

static Session *session_find(const DiskDevice *d, int fd) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return NULL;
        for (size_t i = 0; i < d->n_sessions; i++)
                if (d->sessions[i].dev == st.st_dev && d->sessions[i].ino == st.st_ino)
                        return d->sessions + i;
        return NULL;
}

static void session_remove(DiskDevice *d, Session *s) {
        *s = d->sessions[--d->n_sessions];
}

static bool is_idle(int fd) {
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
static int enter_for_node(DiskDevice *d, const struct pkram_ioctl_name *a, DiskDirectory *ret, Entry **ret_entry) {
        char file[DISK_FILE_NAME_MAX];
        int r;

        r = disk_check_name(a);
        if (r >= 0)
                r = disk_enter(d, ret);
        if (r < 0)
                return r;
        disk_file_name(a->name, file);
        *ret_entry = entry_find(d, file);
        if (*ret_entry)
                return 0;
        r = unreadable_retry(d, ret, file);
        if (r < 0)
                return r;
        *ret_entry = entry_find(d, file);
        return 0;
}

/* --- calls --- */

static int disk_do_info(DiskDevice *d, struct pkram_ioctl_info *a) {
        _cleanup_disk_directory_ DiskDirectory dir = DISK_DIRECTORY_NONE;
        struct pkram_ioctl_info info = { .size = sizeof(info), .uapi_version = PKRAM_UAPI_VERSION,
                                         .format_version = DISK_VERSION };
        int r;

        if (a->size < sizeof(*a) || a->flags)
                return -EINVAL;
        r = disk_enter(d, &dir);
        if (r < 0)
                return r;

        for (size_t i = 0; i < d->n_entries; i++) {
                if (entry_is_hidden(d, d->entries + i))
                        continue;
                info.nr_nodes++;
                info.data_pages += d->entries[i].info.data_pages;
                info.meta_pages += d->entries[i].info.meta_pages;
        }
        info.flags = DISK_INFO_FLAG | (d->read_only == -EDQUOT ? DISK_INFO_FULL : 0) |
                (d->read_only == -EROFS ? DISK_INFO_READ_ONLY : 0);
        info.generation = d->record.generation + !record_is_own(d);
        info.nr_dropped = d->n_dropped;
        info.boot_result = dir.reset ? PKRAM_BOOT_DAMAGED : d->n_dropped > 0 ? PKRAM_BOOT_PARTIAL :
                d->restored ? PKRAM_BOOT_RESTORED : PKRAM_BOOT_NONE;
        memcpy(info.prev_release, record_is_own(d) ? d->record.release : d->record.running,
               sizeof(info.prev_release));
        *a = info;
        return 0;
}

/* A process that loaded the node may have removed it, or have closed its descriptor. */
static bool entry_refresh(const DiskDirectory *dir, Entry *e) {
        _cleanup_close_ int fd = -EBADF;
        struct stat st;

        e->info.flags &= ~PKRAM_NODE_BUSY;
        if (!e->loading)
                return true;
        fd = disk_open(dir->nodes, e->file, O_RDONLY);
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

static int disk_do_list(DiskDevice *d, struct pkram_ioctl_list *a) {
        struct pkram_node_info *nodes = (struct pkram_node_info *) (uintptr_t) a->nodes;
        _cleanup_disk_directory_ DiskDirectory dir = DISK_DIRECTORY_NONE;
        int r;

        if (a->size < sizeof(*a) || (a->flags & ~PKRAM_LIST_DROPPED) || a->reserved || a->capacity < 1 ||
            a->capacity > 4096 || a->node_size != sizeof(struct pkram_node_info))
                return -EINVAL;
        r = disk_enter(d, &dir);
        if (r < 0)
                return r;

        a->returned = 0;
        if (a->flags & PKRAM_LIST_DROPPED) {
                for (size_t i = 0; i < d->n_dropped && a->returned < a->capacity; i++)
                        if (d->dropped[i].id > a->cursor)
                                nodes[a->returned++] = d->dropped[i];
        } else
                for (size_t i = entry_after(d, a->cursor); i < d->n_entries && a->returned < a->capacity;) {
                        if (entry_is_hidden(d, d->entries + i))
                                i++;
                        else if (entry_refresh(&dir, d->entries + i))
                                nodes[a->returned++] = d->entries[i++].info;
                        else
                                entry_remove(d, d->entries + i);
                }

        if (a->returned > 0)
                a->cursor = nodes[a->returned - 1].id;
        return 0;
}

static int disk_do_save_begin(DiskDevice *d, int fd, struct pkram_ioctl_name *a) {
        _cleanup_disk_directory_ DiskDirectory dir = DISK_DIRECTORY_NONE;
        _cleanup_close_ int file = -EBADF;
        Session s = {};
        struct stat st;
        int r;

        r = disk_check_name(a);
        if (r >= 0)
                r = disk_enter(d, &dir);
        if (r >= 0)
                r = dir.read_only;
        if (r >= 0)
                r = GREEDY_REALLOC(d->sessions, d->sessions_allocated, d->n_sessions + 1);
        if (r < 0)
                return r;

        r = disk_node_create(dir.nodes, a->name, s.file, &file);
        if (r < 0) {
                directory_remember(d, &dir);
                return r;
        }
        if (fstat(file, &st) < 0)
                r = -errno;
        if (r >= 0)
                r = descriptor_replace(fd, file);
        if (r < 0) {
                (void) disk_unlink(dir.nodes, s.file, 0);
                directory_remember(d, &dir);
                return r;
        }

        s.dev = st.st_dev;
        s.ino = st.st_ino;
        d->sessions[d->n_sessions++] = s;
        directory_remember(d, &dir);
        a->id = 0;
        return 0;
}

static uint64_t next_id(const DiskDevice *d, uint64_t now_ns) {
        return MAX(now_ns / NSEC_PER_USEC, d->last_id + 1);
}

static int disk_do_commit(DiskDevice *d, int fd, struct pkram_ioctl_commit *a) {
        _cleanup_disk_directory_ DiskDirectory dir = DISK_DIRECTORY_NONE;
        bool replace = a->flags & PKRAM_COMMIT_REPLACE;
        char file[DISK_FILE_NAME_MAX];
        _cleanup_close_ int old = -EBADF;
        struct timespec ts;
        DiskHeader h;
        Session *s;
        Entry *e;
        int r;

        s = session_find(d, fd);
        if (!s)
                return -EBADFD;
        if (a->size < sizeof(*a) || (a->flags & ~PKRAM_COMMIT_REPLACE))
                return -EINVAL;
        r = disk_enter(d, &dir);
        if (r >= 0)
                r = disk_file_read_header(fd, &h);
        if (r >= 0)
                r = GREEDY_REALLOC(d->entries, d->entries_allocated, d->n_entries + 1);
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
                .id = next_id(d, now),
                .stored_ns = now,
                .generation = d->record.generation,
                .boot_id = d->boot_id,
                .release = d->boot.release,
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
        e = entry_find(d, file);
        if (e)
                entry_remove(d, e);
        unreadable_forget(d, file);
        r = disk_sync(dir.nodes);
        if (r < 0 && old < 0)
                /* A crash might lose the node, so it is not stored. The node that it replaced is lost already. */
                (void) disk_unlink(dir.nodes, file, 0);
        struct stat st;
        if ((r >= 0 || old >= 0) && fstat(fd, &st) >= 0)
                (void) disk_entry_add(d, file, st.st_ino, &h);
        session_remove(d, s);
        /* A worker may still have the descriptor, but loads nothing. */
        (void) disk_lock(fd, LOCK_UN);
        (void) descriptor_replace(fd, dir.fd);
        directory_remember(d, &dir);
        if (r < 0)
                return r;

        a->id = h.id;
        return 0;
}

static int disk_do_load_begin(DiskDevice *d, int fd, struct pkram_ioctl_name *a) {
        _cleanup_disk_directory_ DiskDirectory dir = DISK_DIRECTORY_NONE;
        _cleanup_close_ int node = -EBADF;
        DiskHeader h;
        Entry *e;
        int r;

        r = enter_for_node(d, a, &dir, &e);
        if (r >= 0 && entry_is_hidden(d, e))
                r = -ENOENT;
        if (r < 0)
                return r;

        node = disk_open(dir.nodes, e->file, O_RDONLY);
        if (node == -ENOENT)
                entry_remove(d, e);
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

/* Removes the file durably. fd may be loading it. *ret_id is the node that it was. */
static int remove_file(const DiskDirectory *dir, int fd, const char *file, uint64_t *ret_id) {
        _cleanup_close_ int other = -EBADF;
        struct stat st, own;
        DiskHeader h;
        int r;

        other = disk_open(dir->nodes, file, O_RDONLY);
        if (other < 0)
                return other;
        if (fstat(other, &st) < 0 || fstat(fd, &own) < 0)
                return -errno;
        if (st.st_dev == own.st_dev && st.st_ino == own.st_ino)
                other = safe_close(other);

        r = disk_lock(other >= 0 ? other : fd, LOCK_EX);
        if (r >= 0)
                r = disk_file_read_header(other >= 0 ? other : fd, &h);
        if (r >= 0)
                r = disk_unlink(dir->nodes, file, 0);
        if (r >= 0)
                r = disk_sync(dir->nodes);
        if (r >= 0)
                *ret_id = h.id;
        return r;
}

static int disk_do_remove(DiskDevice *d, int fd, struct pkram_ioctl_name *a) {
        _cleanup_disk_directory_ DiskDirectory dir = DISK_DIRECTORY_NONE;
        struct stat st;
        uint64_t id = 0;
        Entry *e;
        int r;

        r = enter_for_node(d, a, &dir, &e);
        if (r < 0)
                return r;

        r = remove_file(&dir, fd, e->file, &id);
        a->id = id;
        /* The file may be removed even if the call failed. */
        if (fstatat(dir.nodes, e->file, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
                entry_remove(d, e);
        directory_remember(d, &dir);
        if (r < 0)
                return r;
        return is_idle(fd) ? 0 : descriptor_replace(fd, dir.fd);
}

/* Removes the file of a node that no client loads durably, if there is one. */
static int copy_remove(const DiskDirectory *dir, const char *file) {
        _cleanup_close_ int fd = disk_open(dir->nodes, file, O_RDONLY);
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
        char file[DISK_FILE_NAME_MAX];
        struct stat st;
        Entry *e;
        int r;

        r = disk_enter(d, &dir);
        if (r < 0)
                return r;
        if (dir.nodes < 0)
                return 0;
        disk_file_name(name, file);
        r = copy_remove(&dir, file);
        if (fstatat(dir.nodes, file, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT) {
                e = entry_find(d, file);
                if (e)
                        entry_remove(d, e);
                unreadable_forget(d, file);
        }
        directory_remember(d, &dir);
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

static int remove_attached(const char *path, int fd, struct pkram_ioctl_name *a) {
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
        if (is_idle(fd))
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
                return remove_attached(path, fd, a);
        default:
                return -ENOTTY;
        }
}

static int disk_device_ioctl(void *userdata, int fd, unsigned long request, void *a) {
        DiskDevice *d = userdata;

        switch (request) {
        case PKRAM_IOC_INFO:
                return disk_do_info(d, a);
        case PKRAM_IOC_LIST:
                return disk_do_list(d, a);
        case PKRAM_IOC_SAVE_BEGIN:
                return is_idle(fd) ? disk_do_save_begin(d, fd, a) : -EBADFD;
        case PKRAM_IOC_SAVE_COMMIT:
                return disk_do_commit(d, fd, a);
        case PKRAM_IOC_LOAD_BEGIN:
                return is_idle(fd) ? disk_do_load_begin(d, fd, a) : -EBADFD;
        case PKRAM_IOC_REMOVE:
                return session_find(d, fd) ? -EBADFD : disk_do_remove(d, fd, a);
        default:
                return disk_device_ioctl_attached(d->path, fd, request, a);
        }
}

static int disk_device_open(void *userdata) {
        _cleanup_disk_directory_ DiskDirectory dir = DISK_DIRECTORY_NONE;
        int r;

        r = disk_enter(userdata, &dir);
        return r < 0 ? r : TAKE_FD(dir.fd);
}

/* An incomplete save ends with the descriptor of this process, even if a worker has a copy of it. */
static void disk_device_close(void *userdata, int fd) {
        _cleanup_disk_directory_ DiskDirectory dir = DISK_DIRECTORY_NONE;
        DiskDevice *d = userdata;
        Session *s = session_find(d, fd);

        if (s) {
                if (disk_enter(d, &dir) >= 0) {
                        (void) disk_unlink(dir.nodes, s->file, 0);
                        directory_remember(d, &dir);
                }
                session_remove(d, s);
        }
        safe_close(fd);
}

static const PkramDeviceOps disk_ops = {
        .open = disk_device_open,
        .ioctl = disk_device_ioctl,
        .close = disk_device_close,
};

PkramDevice disk_device(DiskDevice *d) {
        return (PkramDevice) { .ops = &disk_ops, .userdata = d };
}
