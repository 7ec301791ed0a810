/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "disk-aside.h"
#include "disk-directory.h"
#include "disk-io.h"
#include "file-util.h"

#define NODES "nodes."
#define NODES_NAME_MAX (sizeof(NODES) + DISK_TOKEN_LENGTH)

void disk_directory_done(DiskDirectory *d) {
        d->nodes = safe_close(d->nodes);
        d->fd = safe_close(d->fd);
}

void disk_directory_notice(const DiskDirectory *d, const char *format, ...) {
        char text[512];
        va_list ap;

        if (!d->notice)
                return;
        va_start(ap, format);
        (void) vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        d->notice(text, d->userdata);
}

static void nodes_name(const char *token, char ret[NODES_NAME_MAX]) {
        (void) snprintf(ret, NODES_NAME_MAX, NODES "%s", token);
}

/* --- the directory --- */

/* Opens the directory itself, and creates it, but not the way to it. */
static int open_base(const char *path) {
        _cleanup_close_ int parent = -EBADF;
        const char *slash = strrchr(path, '/');
        char copy[256];

        if (!slash || slash == path || (size_t) (slash - path) >= sizeof(copy))
                return -EINVAL;
        if (disk_mount_is_missing())
                return -ENOMEDIUM;
        memcpy(copy, path, (size_t) (slash - path));
        copy[slash - path] = 0;
        parent = open(copy, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (parent < 0 && errno == ENOENT && mkdir(copy, 0700) >= 0)
                parent = open(copy, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (parent < 0)
                return errno == ENOENT ? -ENOTDIR : disk_errno();

        /* Each of both may be a mount. */
        int fd = disk_open_directory(parent, slash + 1);
        if (disk_is_in_memory(fd >= 0 ? fd : parent)) {
                safe_close(fd);
                return -ENOTBLK;
        }
        if (fd == -ENOENT) {
                _cleanup_close_ int synced = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

                return synced < 0 ? disk_errno() : disk_open_or_create(synced, slash + 1);
        }
        if (fd >= 0) {
                int r = disk_check_owner(fd);

                if (r < 0) {
                        safe_close(fd);
                        return r;
                }
        }
        return fd;
}

/*
 * Finds the directory of the nodes, also if this boot has not renamed it yet. Returns 1, 0 if there is none, or
 * -ESTALE if there is one that is not described by the record: it was restored from a backup.
 */
static int nodes_find(const DiskDirectory *d, char ret[NODES_NAME_MAX]) {
        const char *const tokens[] = { d->record.token, d->record.from };

        for (size_t i = 0; i < ELEMENTSOF(tokens); i++) {
                DiskIdentity identity;
                int r;

                if (!tokens[i][0])
                        continue;
                nodes_name(tokens[i], ret);
                r = disk_identify(d->fd, ret, &identity);
                if (r >= 0)
                        return disk_identity_matches(&identity, &d->record.nodes) ? 1 : -ESTALE;
                if (r != -ENOENT)
                        return r;
        }
        return 0;
}

/* Opens it. Returns -ENOENT if there is none. */
static int nodes_open(DiskDirectory *d) {
        char name[NODES_NAME_MAX];
        int r;

        r = nodes_find(d, name);
        if (r > 0)
                r = disk_open_directory(d->fd, name);
        else if (r == 0)
                r = -ENOENT;
        if (r < 0)
                return r;
        d->nodes = r;
        return 0;
}

int disk_directory_open(const char *path, DiskDirectory *d) {
        int r;

        d->fd = disk_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
        if (d->fd < 0)
                return d->fd == -ENOENT ? -ENODEV : d->fd;
        r = disk_check_owner(d->fd);
        if (r >= 0)
                r = disk_record_read(d->fd, &d->record);
        if (r < 0)
                return r == -ENOENT ? -ENODEV : r;
        r = nodes_open(d);
        return r == -ENOENT ? -ENODEV : r;
}

int disk_directory_check(const char *path) {
        _cleanup_disk_directory_ DiskDirectory d = DISK_DIRECTORY_NONE;
        char existing[256];
        struct stat st;
        int r;

        if (disk_mount_is_missing())
                return -ENOMEDIUM;
        if (disk_path_is_in_memory(path))
                return -ENOTBLK;
        r = disk_directory_open(path, &d);
        /* The next boot of a damaged state creates another one. */
        if (r < 0 && r != -ENODEV && r != -EBADMSG)
                return r;

        r = existing_path(path, existing, sizeof(existing));
        if (r < 0)
                return r;
        if (stat(existing, &st) < 0)
                return disk_errno();
        if (!S_ISDIR(st.st_mode))
                return -ENOTDIR;
        return disk_file_system_is_read_only(existing) ? -EROFS : 0;
}

int disk_boot_get(DiskBoot *ret) {
        _cleanup_close_ int fd = -EBADF;
        struct utsname u;
        char text[37];
        size_t n = 0;
        int r;

        fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = disk_read(fd, text, 36, 0);
        if (r < 0)
                return r;
        for (size_t i = 0; i < 36; i++)
                if (text[i] != '-' && n < DISK_TOKEN_LENGTH)
                        ret->boot_id[n++] = text[i];
        ret->boot_id[n] = 0;
        if (!disk_token_is_valid(ret->boot_id))
                return -EBADMSG;

        if (uname(&u) < 0)
                return -errno;
        (void) snprintf(ret->release, sizeof(ret->release), "%.63s", u.release);
        /* A line each in the state. */
        for (char *p = ret->release; *p; p++)
                if (*p < 0x21 || *p > 0x7e)
                        *p = '?';
        return 0;
}

int disk_directory_set_aside(DiskDirectory *d, const char *file, const char *reason) {
        int r = disk_aside_move(d->fd, d->record.token, d->nodes, file);

        if (r >= 0)
                disk_directory_notice(d, "Set aside '%s', which is %s, in " DISK_SET_ASIDE "/%s", file, reason,
                                      d->record.token);
        return r;
}

/* What belongs to another shutdown. */
static int set_aside_others(DiskDirectory *d) {
        _cleanup_closedir_ DIR *dir = NULL;
        char own[NODES_NAME_MAX];
        int r;

        nodes_name(d->record.token, own);
        r = disk_stream_open(disk_open_directory(d->fd, "."), &dir);
        if (r < 0)
                return r;

        const struct dirent *de;
        while ((de = disk_read_entry(dir, &r))) {
                char name[256];

                if (!startswith(de->d_name, NODES) || streq(de->d_name, own))
                        continue;
                (void) snprintf(name, sizeof(name), "%s", de->d_name);
                r = disk_unlink(d->fd, name, AT_REMOVEDIR);
                if (r != -ENOTEMPTY && r != -ENOTDIR)
                        continue;
                r = disk_aside_move(d->fd, d->record.token, d->fd, name);
                if (r >= 0)
                        disk_directory_notice(d, "Set aside '%s', which does not belong to the last shutdown, in "
                                              DISK_SET_ASIDE "/%s", name, d->record.token);
                else if (disk_is_unwritable(r)) {
                        /* No boot takes it over, wherever it is. */
                        disk_directory_notice(d, "Ignoring '%s', which does not belong to the last shutdown and "
                                              "cannot be set aside: %s", name, disk_problem_text(r));
                        r = 0;
                }
        }
        return r;
}

/* --- boots --- */

/*
 * Creates the directory of the nodes, and writes the record, which describes it then. Removes it if that fails: each
 * further try may have another token, and on a full file system there may be room for directories only.
 */
static int nodes_create(const DiskDirectory *d, DiskRecord *record) {
        char name[NODES_NAME_MAX];
        int r;

        nodes_name(record->token, name);
        r = disk_mkdir(d->fd, name);
        if (r < 0)
                return r;
        r = disk_sync(d->fd);
        if (r >= 0)
                r = disk_identify(d->fd, name, &record->nodes);
        if (r >= 0)
                r = disk_record_write(d->fd, record);
        if (r < 0)
                (void) disk_unlink(d->fd, name, AT_REMOVEDIR);
        return r;
}

typedef enum NextNodes {
        NEXT_NONE,      /* there will be none */
        NEXT_NEW,
        NEXT_TAKE,      /* those of the last boot */
} NextNodes;

/* Another boot begins. */
static int record_next(DiskDirectory *d, const DiskBoot *boot, NextNodes nodes) {
        DiskRecord *record = &d->record, next = { .generation = record->generation + 1 };
        char name[NODES_NAME_MAX];
        int r;

        r = disk_token_make(next.token);
        if (r < 0)
                return r;
        memcpy(next.boot_id, boot->boot_id, sizeof(next.boot_id));
        memcpy(next.running, boot->release, sizeof(next.running));
        memcpy(next.release, record->running, sizeof(next.release));
        if (nodes == NEXT_TAKE) {
                /* A boot that ended between writing the state and renaming the directory has left it to this one. */
                r = nodes_find(d, name);
                if (r > 0) {
                        memcpy(next.from, name + strlen(NODES), sizeof(next.from));
                        r = disk_identify(d->fd, name, &next.nodes);
                }
                /* A restored directory is set aside. */
                if (r < 0 && r != -ESTALE)
                        return r;
        }
        r = nodes != NEXT_NONE && !next.from[0] ? nodes_create(d, &next) : disk_record_write(d->fd, &next);
        if (r < 0)
                return r;
        *record = next;
        return 0;
}

/* The step after record_next(), which may have been cut off. Creates the directory if another program removed it. */
static int take_over_nodes(DiskDirectory *d) {
        char from[NODES_NAME_MAX], to[NODES_NAME_MAX];
        DiskRecord record = d->record;
        int r;

        nodes_name(d->record.token, to);
        r = nodes_find(d, from);
        if (r < 0)
                return r;
        if (r > 0) {
                if (streq(from, to))
                        return 0;
                r = disk_rename(d->fd, from, d->fd, to, RENAME_NOREPLACE);
                return r < 0 ? r : disk_sync(d->fd);
        }
        r = nodes_create(d, &record);
        if (r < 0)
                return r;
        d->record = record;
        return 0;
}

/* Opens what can be read while the state cannot be written. */
static int enter_read_only(const char *path, int why, DiskDirectory *d) {
        char existing[256];
        int r;

        d->read_only = why;
        if (d->fd >= 0) {
                r = nodes_open(d);
                return r == -ENOENT || r == -ESTALE ? 0 : r;
        }
        r = existing_path(path, existing, sizeof(existing));
        if (r < 0)
                return r;
        d->fd = open(existing, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return d->fd < 0 ? disk_errno() : 0;
}

/* The part that writes. */
static int enter_state(const char *path, const DiskBoot *boot, DiskDirectory *d) {
        char name[NODES_NAME_MAX];
        bool own;
        int r, k;

        r = disk_record_read(d->fd, &d->record);
        if (r == -EBADMSG && !d->again)
                disk_directory_notice(d, "The state of %s is damaged", path);
        if (r == -EBADMSG)
                d->reset = true;
        if (r == -ENOENT || r == -EBADMSG)
                d->record = (DiskRecord) {};
        else if (r < 0)
                return r;
        own = streq(d->record.boot_id, boot->boot_id);

        /* First, because this may make the room that the rest needs. */
        k = own || d->again ? 0 : disk_aside_expire(d->fd, d->keep);
        if (k < 0)
                disk_directory_notice(d, "Failed to remove nodes that were set aside, ignoring: %s", strerror(-k));

        /* A backup of this boot may have been restored, too. */
        if (own && nodes_find(d, name) == -ESTALE)
                r = record_next(d, boot, NEXT_NEW);
        else if (!own)
                r = record_next(d, boot, r >= 0 ? NEXT_TAKE : NEXT_NEW);
        if (r >= 0)
                r = take_over_nodes(d);
        if (r >= 0)
                r = set_aside_others(d);
        if (r >= 0)
                r = nodes_open(d);
        return r;
}

int disk_directory_enter_or_read(const char *path, const DiskBoot *boot, DiskDirectory *d) {
        int r;

        d->fd = open_base(path);
        r = d->fd < 0 ? d->fd : enter_state(path, boot, d);
        return disk_is_unwritable(r) ? enter_read_only(path, r, d) : r;
}

int disk_directory_enter(const char *path, const DiskBoot *boot, DiskDirectory *d) {
        int r = disk_directory_enter_or_read(path, boot, d);

        return r < 0 ? r : d->read_only;
}

int disk_directory_pass(const char *path, const DiskBoot *boot) {
        _cleanup_disk_directory_ DiskDirectory d = DISK_DIRECTORY_NONE;
        int r;

        d.fd = disk_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
        if (d.fd < 0)
                return d.fd == -ENOENT ? 0 : d.fd;
        r = disk_record_read(d.fd, &d.record);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        if (streq(d.record.boot_id, boot->boot_id))
                return 0;
        r = record_next(&d, boot, NEXT_NONE);
        if (r != -EDQUOT)
                return r;
        /* Without a state, the next boot sets all nodes aside as well. */
        return disk_record_remove(d.fd);
}
