/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

#include "device-disk.h"
#include "disk-aside.h"
#include "disk-contents.h"
#include "disk-file.h"
#include "disk-io.h"
#include "disk-node.h"
#include "file-util.h"

/* A file that may be a node, but could not be read. */
struct DiskUnreadable {
        char file[DISK_FILE_NAME_MAX];
        int error;
};

void disk_contents_init(DiskContents *c, const char *path, const DiskBoot *boot, DiskNotice notice, void *userdata) {
        *c = (DiskContents) {
                .path = path,
                .boot = *boot,
                .notice = notice,
                .userdata = userdata,
                .keep = UINT64_MAX,
                .last_id = DISK_ID_BASE,
        };
        disk_boot_id_parse(boot->boot_id, c->boot_id);
}

void disk_contents_done(DiskContents *c) {
        free(c->entries);
        free(c->unreadable);
        free(c->dropped);
}

int disk_error(int r) {
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

bool disk_contents_record_is_own(const DiskContents *c) {
        return streq(c->record.boot_id, c->boot.boot_id);
}

static void info_from_header(const DiskContents *c, const DiskHeader *h, struct pkram_node_info *ret) {
        /* The record is that of the last boot if this one could not write it. */
        uint64_t now = c->record.generation + !disk_contents_record_is_own(c);

        *ret = (struct pkram_node_info) {
                .id = h->id,
                .generation = now > h->generation ? now - h->generation : 0,
                .data_pages = h->data_pages,
                .meta_pages = 1 + ((uint64_t) h->n_objects * sizeof(DiskObject) + 4095) / 4096,
                .file_bytes = h->file_bytes,
                .data_bytes = h->data_bytes,
                .stored_ns = h->stored_ns,
                .nr_objects = h->n_objects,
                .flags = memcmp(h->boot_id, c->boot_id, sizeof(h->boot_id)) == 0 ? 0 : PKRAM_NODE_INHERITED,
        };
        memcpy(ret->name, h->name, sizeof(ret->name));
}

static int disk_entry_compare(const void *a, const void *b) {
        uint64_t x = ((const DiskEntry *) a)->info.id, y = ((const DiskEntry *) b)->info.id;

        return (x > y) - (x < y);
}

size_t disk_entry_after(const DiskContents *c, uint64_t id) {
        size_t low = 0, high = c->n_entries;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (c->entries[middle].info.id > id)
                        high = middle;
                else
                        low = middle + 1;
        }
        return low;
}

DiskEntry *disk_entry_find(const DiskContents *c, const char *file) {
        for (size_t i = c->n_entries; i > 0; i--)
                if (streq(c->entries[i - 1].file, file))
                        return c->entries + i - 1;
        return NULL;
}

void disk_entry_remove(DiskContents *c, DiskEntry *e) {
        size_t i = (size_t) (e - c->entries);

        memmove(e, e + 1, (c->n_entries - i - 1) * sizeof(DiskEntry));
        c->n_entries--;
}

int disk_entry_reserve(DiskContents *c) {
        return GREEDY_REALLOC(c->entries, c->entries_allocated, c->n_entries + 1);
}

int disk_entry_add(DiskContents *c, const char *file, ino_t ino, const DiskHeader *h) {
        DiskEntry *e;
        int r;

        r = disk_entry_reserve(c);
        if (r < 0)
                return r;
        e = c->entries + c->n_entries++;
        *e = (DiskEntry) { .ino = ino };
        memcpy(e->file, file, strlen(file) + 1);
        info_from_header(c, h, &e->info);
        c->last_id = MAX(c->last_id, h->id);
        return 0;
}

static void entries_sort(DiskContents *c) {
        if (c->n_entries > 0)
                qsort(c->entries, c->n_entries, sizeof(DiskEntry), disk_entry_compare);
}

bool disk_entry_is_hidden(const DiskContents *c, const DiskEntry *e) {
        return c->hide_own && !(e->info.flags & PKRAM_NODE_INHERITED);
}

/* --- files that cannot be read --- */

static DiskUnreadable *unreadable_find(const DiskContents *c, const char *file) {
        for (size_t i = 0; i < c->n_unreadable; i++)
                if (streq(c->unreadable[i].file, file))
                        return c->unreadable + i;
        return NULL;
}

static int unreadable_add(DiskContents *c, const char *file, int error) {
        DiskUnreadable *u;
        int r;

        r = GREEDY_REALLOC(c->unreadable, c->unreadable_allocated, c->n_unreadable + 1);
        if (r < 0)
                return r;
        u = c->unreadable + c->n_unreadable++;
        u->error = error;
        memcpy(u->file, file, strlen(file) + 1);
        return 0;
}

void disk_unreadable_forget(DiskContents *c, const char *file) {
        DiskUnreadable *u = unreadable_find(c, file);

        if (u)
                *u = c->unreadable[--c->n_unreadable];
}

/* --- reading the directory --- */

static int dropped_add(DiskContents *c, const char *name, uint32_t damage) {
        struct pkram_node_info *info;
        int r;

        r = GREEDY_REALLOC(c->dropped, c->dropped_allocated, c->n_dropped + 1);
        if (r < 0)
                return r;
        info = c->dropped + c->n_dropped++;
        *info = (struct pkram_node_info) { .id = DISK_ID_BASE + c->n_dropped, .damage = damage };
        (void) snprintf(info->name, sizeof(info->name), "%s", name);
        return 0;
}

/* Lists the nodes that were set aside in this boot. Their names are read from their files if possible. */
static int dropped_scan(DiskContents *c, int dir, bool stale) {
        _cleanup_closedir_ DIR *stream = NULL;
        const struct dirent *de;
        int r;

        r = disk_stream_open(dir, &stream);
        if (r < 0)
                return r;
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
                                r = dropped_scan(c, TAKE_FD(fd), true);
                        continue;
                }
                if (!strstr(de->d_name, ".node"))
                        continue;

                bool readable = disk_read(fd, &h, sizeof(h), 0) >= 0 && memchr(h.name, 0, sizeof(h.name)) &&
                        disk_name_is_valid(h.name);
                r = dropped_add(c, readable ? h.name : "", stale ? DISK_DAMAGE_STALE : PKRAM_DAMAGE_CHECKSUM);
        }
        return r;
}

static int dropped_read(DiskContents *c, const DiskDirectory *dir) {
        int fd = disk_aside_open(dir->fd, dir->record.token);

        c->n_dropped = 0;
        if (fd == -ENOENT)
                return 0;
        return fd < 0 ? fd : dropped_scan(c, fd, false);
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

int disk_unreadable_retry(DiskContents *c, const DiskDirectory *dir, const char *file) {
        DiskUnreadable *u = unreadable_find(c, file);
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
                r = disk_entry_add(c, file, ino, &h);
                if (r < 0)
                        return r;
                c->entries[c->n_entries - 1].loading = true;
                entries_sort(c);
        }
        disk_unreadable_forget(c, file);
        return r;
}

static int scan_file(DiskContents *c, DiskDirectory *dir, const char *file) {
        const char *reason;
        DiskHeader h;
        ino_t ino = 0;
        int r;

        if (startswith(file, DISK_TEMPORARY)) {
                disk_node_remove_left(dir->nodes, file);
                return 0;
        }
        if (!disk_node_is_file(file)) {
                if (file[0] != '.' && !c->known)
                        disk_directory_notice(dir, "Ignoring '%s' in the directory of nodes: not a node", file);
                return 0;
        }

        r = file_examine(dir->nodes, file, &h, &ino, &reason);
        if (r == -ENOENT)
                return 0;
        if (r >= 0)
                return disk_entry_add(c, file, ino, &h);
        if (reason) {
                int k = dir->read_only ?: disk_directory_set_aside(dir, file, reason);

                if (k != -EDQUOT && k != -EROFS)
                        return k;
                disk_directory_notice(dir, "Ignoring '%s', which is %s and cannot be set aside: %s", file, reason,
                                      disk_problem_text(k));
                return unreadable_add(c, file, disk_error(r));
        }
        if (r == -ENOMEM || r == -EMFILE || r == -ENFILE)
                return r;
        /* An unreadable file does not prevent reading the others. */
        disk_directory_notice(dir, "Ignoring '%s': %s", file, r == -EPROTONOSUPPORT ? "a later version wrote it" :
                              strerror(-r));
        return unreadable_add(c, file, disk_error(r));
}

/* Reads all headers. Only locks show which nodes are being loaded. */
static int disk_scan(DiskContents *c, DiskDirectory *dir) {
        _cleanup_closedir_ DIR *stream = NULL;
        const struct dirent *de;
        int r;

        c->n_entries = 0;
        c->n_unreadable = 0;
        c->n_dropped = 0;
        if (dir->nodes < 0)
                return 0;
        r = disk_stream_open(disk_open_directory(dir->nodes, "."), &stream);
        if (r < 0)
                return r;

        while ((de = disk_read_entry(stream, &r))) {
                char file[256];

                (void) snprintf(file, sizeof(file), "%s", de->d_name);
                r = scan_file(c, dir, file);
        }
        if (r < 0)
                return r;

        for (size_t i = 0; i < c->n_entries; i++)
                c->entries[i].loading = true;
        entries_sort(c);
        return dropped_read(c, dir);
}

void disk_contents_remember(DiskContents *c, const DiskDirectory *dir) {
        if (fstat(dir->nodes, &c->nodes) < 0)
                c->nodes = (struct stat) {};
}

static bool directory_is_known(const DiskContents *c, const DiskDirectory *dir) {
        struct stat st;

        return c->known && fstat(dir->nodes, &st) == 0 && st.st_ino == c->nodes.st_ino &&
                st.st_dev == c->nodes.st_dev && st.st_ctim.tv_sec == c->nodes.st_ctim.tv_sec &&
                st.st_ctim.tv_nsec == c->nodes.st_ctim.tv_nsec && streq(c->record.token, dir->record.token);
}

/* Opens the directory, and reads it again if it has changed. */
static int contents_enter(DiskContents *c, DiskDirectory *ret) {
        _cleanup_disk_directory_ DiskDirectory dir = DISK_DIRECTORY_NONE;
        int r;

        dir.notice = c->notice;
        dir.userdata = c->userdata;
        dir.keep = c->keep;
        dir.again = c->known;
        if (c->entered) {
                r = disk_directory_open(c->path, &dir);
                /* The directory existed in this boot: it was unmounted or removed. */
                if (r == -ENODEV || (r >= 0 && !streq(dir.record.boot_id, c->boot.boot_id)))
                        r = -ESTALE;
        } else
                r = disk_directory_enter_or_read(c->path, &c->boot, &dir);
        if (r < 0)
                return disk_error(r);

        if (!directory_is_known(c, &dir)) {
                c->record = dir.record;
                r = disk_scan(c, &dir);
                if (r < 0)
                        return disk_error(r);
                for (size_t i = 0; i < c->n_entries && !c->entered; i++)
                        c->restored = c->restored || (c->entries[i].info.flags & PKRAM_NODE_INHERITED);
                c->known = true;
                disk_contents_remember(c, &dir);
        }
        c->entered = dir.read_only == 0;
        c->read_only = dir.read_only;

        *ret = dir;
        dir = DISK_DIRECTORY_NONE;
        return 0;
}

int disk_contents_enter(DiskContents *c, DiskDirectory *ret) {
        int r, problem;

        r = contents_enter(c, ret);
        problem = r < 0 ? r : ret->read_only;
        if (problem != c->problem && problem < 0 && c->notice) {
                DiskDirectory none = { .notice = c->notice, .userdata = c->userdata };

                disk_directory_notice(&none, "Failed to use '%s' for %snodes: %s", c->path, r < 0 ? "" : "new ",
                                      disk_error_text(problem));
        }
        c->problem = problem;
        return r;
}
