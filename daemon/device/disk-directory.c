/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>

#include "disk-directory.h"
#include "disk-format.h"
#include "disk-io.h"
#include "file-util.h"
#include "mount-table.h"

#define STATE "state"
#define STATE_NEW "state.new"
#define SET_ASIDE "set-aside"
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

/* --- the record --- */

static bool token_is_valid(const char *s) {
        return strlen(s) == DISK_TOKEN_LENGTH && strspn(s, "0123456789abcdef") == DISK_TOKEN_LENGTH;
}

static int token_make(char ret[DISK_TOKEN_LENGTH + 1]) {
        uint8_t bytes[DISK_TOKEN_LENGTH / 2];

        if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t) sizeof(bytes))
                return -EIO;
        for (size_t i = 0; i < sizeof(bytes); i++)
                (void) sprintf(ret + 2 * i, "%02x", bytes[i]);
        return 0;
}

int disk_record_format(const DiskRecord *r, char ret[DISK_RECORD_MAX]) {
        int n = snprintf(ret, DISK_RECORD_MAX,
                         "version=2\nboot=%s\ntoken=%s\nfrom=%s\ngeneration=%llu\nrelease=%s\nrunning=%s\n"
                         "inode=%llu\nbirth=%llu\n",
                         r->boot_id, r->token, r->from, (unsigned long long) r->generation, r->release, r->running,
                         (unsigned long long) r->nodes.inode, (unsigned long long) r->nodes.birth_ns);

        return snprintf(ret + n, DISK_RECORD_MAX - (size_t) n, "checksum=%016llx\n",
                        (unsigned long long) disk_checksum(ret, (size_t) n)) + n;
}

/* Takes the next line, which has to be KEY=VALUE, and copies its value. */
static int take_line(const char **p, const char *end, const char *key, char *ret, size_t size) {
        const char *nl = memchr(*p, '\n', (size_t) (end - *p));
        size_t n = strlen(key);

        if (!nl || (size_t) (nl - *p) < n + 1 || !strneq(*p, key, n) || (*p)[n] != '=')
                return -EBADMSG;
        size_t length = (size_t) (nl - *p) - n - 1;
        if (length >= size || memchr(*p, 0, (size_t) (nl - *p)))
                return -EBADMSG;
        memcpy(ret, *p + n + 1, length);
        ret[length] = 0;
        *p = nl + 1;
        return 0;
}

static int take_number(const char **p, const char *end, const char *key, uint64_t *ret) {
        char number[24], *e;
        int r;

        r = take_line(p, end, key, number, sizeof(number));
        if (r < 0)
                return r;
        errno = 0;
        *ret = strtoull(number, &e, 10);
        return errno != 0 || e == number || *e || number[0] < '0' || number[0] > '9' ? -EBADMSG : 0;
}

int disk_record_parse(const char *text, size_t size, DiskRecord *ret) {
        const char *p = text, *end = text + size;
        char version[8], checksum[24], expected[24];
        DiskRecord r = {};

        if (take_line(&p, end, "version", version, sizeof(version)) < 0)
                return -EBADMSG;
        if (!streq(version, "1") && !streq(version, "2"))
                return strspn(version, "0123456789") == strlen(version) && version[0] ? -EPROTONOSUPPORT : -EBADMSG;
        if (take_line(&p, end, "boot", r.boot_id, sizeof(r.boot_id)) < 0 ||
            take_line(&p, end, "token", r.token, sizeof(r.token)) < 0 ||
            take_line(&p, end, "from", r.from, sizeof(r.from)) < 0 ||
            take_number(&p, end, "generation", &r.generation) < 0 ||
            take_line(&p, end, "release", r.release, sizeof(r.release)) < 0 ||
            take_line(&p, end, "running", r.running, sizeof(r.running)) < 0)
                return -EBADMSG;
        if (version[0] != '1' && (take_number(&p, end, "inode", &r.nodes.inode) < 0 ||
                                  take_number(&p, end, "birth", &r.nodes.birth_ns) < 0))
                return -EBADMSG;

        (void) snprintf(expected, sizeof(expected), "%016llx",
                        (unsigned long long) disk_checksum(text, (size_t) (p - text)));
        if (take_line(&p, end, "checksum", checksum, sizeof(checksum)) < 0 || p != end || !streq(checksum, expected))
                return -EBADMSG;

        if (r.generation > INT64_MAX || !token_is_valid(r.boot_id) || !token_is_valid(r.token) ||
            (r.from[0] && !token_is_valid(r.from)))
                return -EBADMSG;
        *ret = r;
        return 0;
}

/* -ENOENT: there is none. */
static int record_read(int dir, DiskRecord *ret) {
        _cleanup_close_ int fd = -EBADF;
        char text[DISK_RECORD_MAX];
        struct stat st;
        int r;

        fd = disk_open(dir, STATE, O_RDONLY);
        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0 ||
            st.st_size >= (off_t) sizeof(text))
                return -EBADMSG;
        r = disk_read(fd, text, (size_t) st.st_size, 0);
        if (r < 0)
                return r;
        return disk_record_parse(text, (size_t) st.st_size, ret);
}

/* In one step, and durably. */
static int record_write(int dir, const DiskRecord *record) {
        _cleanup_close_ int fd = -EBADF;
        char text[DISK_RECORD_MAX];
        int r, n;

        n = disk_record_format(record, text);
        fd = disk_open(dir, STATE_NEW, O_WRONLY | O_CREAT | O_TRUNC);
        if (fd < 0)
                return fd;
        r = disk_write(fd, text, (size_t) n, 0);
        if (r >= 0)
                r = disk_sync(fd);
        if (r >= 0)
                r = disk_rename(dir, STATE_NEW, dir, STATE, 0);
        if (r >= 0)
                r = disk_sync(dir);
        return r;
}

/* --- the directory --- */

/* Is this the error of a file system that can be read, but not written to? */
static bool is_unwritable(int r) {
        return r == -EDQUOT || r == -EROFS;
}

static int open_directory(int dir, const char *name) {
        return disk_open(dir, name, O_RDONLY | O_DIRECTORY);
}

/* Others could put files into a directory that is not this user's alone. */
static int directory_check(int fd) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        return st.st_uid != geteuid() || (st.st_mode & 022) != 0 ? -EUCLEAN : 0;
}

static int open_or_create(int dir, const char *name) {
        int r, fd;

        fd = open_directory(dir, name);
        if (fd == -ENOENT) {
                r = disk_mkdir(dir, name);
                if (r < 0 && r != -EEXIST)
                        return r;
                r = disk_sync(dir);
                if (r < 0)
                        return r;
                fd = open_directory(dir, name);
        }
        if (fd < 0)
                return fd;
        r = directory_check(fd);
        if (r < 0) {
                safe_close(fd);
                return r;
        }
        return fd;
}

/* Opens the directory itself, and creates it, but not the way to it. */
static int open_base(const char *path) {
        _cleanup_close_ int parent = -EBADF;
        const char *slash = strrchr(path, '/');
        char copy[256];

        if (!slash || slash == path || (size_t) (slash - path) >= sizeof(copy))
                return -EINVAL;
        memcpy(copy, path, (size_t) (slash - path));
        copy[slash - path] = 0;
        parent = open(copy, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (parent < 0 && errno == ENOENT && mkdir(copy, 0700) >= 0)
                parent = open(copy, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (parent < 0)
                return errno == ENOENT ? -ENOTDIR : errno == ENOSPC ? -EDQUOT : -errno;

        int fd = open_directory(parent, slash + 1);
        if (fd == -ENOENT) {
                _cleanup_close_ int synced = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

                return synced < 0 ? -errno : open_or_create(synced, slash + 1);
        }
        if (fd >= 0) {
                int r = directory_check(fd);

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
                r = open_directory(d->fd, name);
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
        r = directory_check(d->fd);
        if (r >= 0)
                r = record_read(d->fd, &d->record);
        if (r < 0)
                return r == -ENOENT ? -ENODEV : r;
        r = nodes_open(d);
        return r == -ENOENT ? -ENODEV : r;
}

/* Called for each mount. Returns 1 for the one with this ID if its file system is read-only, else 0. */
static int mount_is_read_only(const MountLine *m, void *userdata) {
        const uint64_t *id = userdata;

        return (uint64_t) m->id == *id && startswith(m->options, "ro") && (m->options[2] == ',' || !m->options[2]);
}

/* Checks whether the file system itself is read-only. In the namespace of this process, its mount may be read-only. */
static bool file_system_is_read_only(const char *path) {
        _cleanup_free_ char *text = NULL;
        struct statx st;
        uint64_t id;

        if (statx(AT_FDCWD, path, 0, STATX_MNT_ID, &st) < 0 || !(st.stx_mask & STATX_MNT_ID))
                return false;
        if (virtual_file_read(AT_FDCWD, MOUNT_TABLE, SIZE_MAX, &text) < 0)
                return false;
        id = st.stx_mnt_id;
        return mount_lines_foreach(text, mount_is_read_only, &id) > 0;
}

int disk_directory_check(const char *path) {
        _cleanup_disk_directory_ DiskDirectory d = DISK_DIRECTORY_NONE;
        char existing[256];
        struct stat st;
        int r;

        r = disk_directory_open(path, &d);
        /* The next boot of a damaged state creates another one. */
        if (r < 0 && r != -ENODEV && r != -EBADMSG)
                return r;

        r = existing_path(path, existing, sizeof(existing));
        if (r < 0)
                return r;
        if (stat(existing, &st) < 0)
                return -errno;
        if (!S_ISDIR(st.st_mode))
                return -ENOTDIR;
        return file_system_is_read_only(existing) ? -EROFS : 0;
}

const char *disk_problem_text(int error) {
        switch (error) {
        case -EROFS:
                return "its file system is mounted read-only. Remount it read-write";
        case -EUCLEAN:
                return "it does not belong to root, or other users can write to it. Check what is in it, and change "
                       "its owner and mode, or move it away";
        case -ENOTDIR:
        case -ELOOP:
                return "it or a part of its path is not a directory. Move that away";
        case -EPROTONOSUPPORT:
                return "a later version of pkram wrote its state or the node. Install that version, or move it away";
        case -EDQUOT:
                return "its file system is full. Free space";
        case -EIO:
                return "reading or writing it failed. See the kernel's log";
        case -ESTALE:
                return "it was removed, replaced or unmounted. Mount it, and restart pkramd.service";
        default:
                return NULL;
        }
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
        if (!token_is_valid(ret->boot_id))
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

/* Opens set-aside/TOKEN, and creates it. */
static int aside_create(const DiskDirectory *d) {
        _cleanup_close_ int all = -EBADF;

        all = open_or_create(d->fd, SET_ASIDE);
        return all < 0 ? all : open_or_create(all, d->record.token);
}

int disk_directory_open_aside(const DiskDirectory *d) {
        _cleanup_close_ int all = open_directory(d->fd, SET_ASIDE);

        return all < 0 ? all : open_directory(all, d->record.token);
}

/* Something of that name may have been set aside before. */
static int move_aside(const DiskDirectory *d, int dir, const char *name) {
        _cleanup_close_ int aside = aside_create(d);
        int r;

        if (aside < 0)
                return aside;
        r = disk_rename(dir, name, aside, name, RENAME_NOREPLACE);
        for (unsigned i = 1; r == -EEXIST && i < 1000; i++) {
                char numbered[280];

                (void) snprintf(numbered, sizeof(numbered), "%u-%.255s", i, name);
                r = disk_rename(dir, name, aside, numbered, RENAME_NOREPLACE);
        }
        if (r >= 0)
                r = disk_sync(aside);
        if (r >= 0)
                r = disk_sync(dir);
        return r;
}

int disk_directory_set_aside(DiskDirectory *d, const char *file, const char *reason) {
        int r = move_aside(d, d->nodes, file);

        if (r >= 0)
                disk_directory_notice(d, "Set aside '%s', which is %s, in " SET_ASIDE "/%s", file, reason,
                                      d->record.token);
        return r;
}

/* What belongs to another shutdown. */
static int set_aside_others(DiskDirectory *d) {
        char own[NODES_NAME_MAX];
        DIR *dir;
        int fd, r = 0;

        nodes_name(d->record.token, own);
        fd = open_directory(d->fd, ".");
        if (fd < 0)
                return fd;
        dir = fdopendir(fd);
        if (!dir) {
                r = -errno;
                safe_close(fd);
                return r;
        }

        const struct dirent *de;
        while ((de = disk_read_entry(dir, &r))) {
                char name[256];

                if (!startswith(de->d_name, NODES) || streq(de->d_name, own))
                        continue;
                (void) snprintf(name, sizeof(name), "%s", de->d_name);
                r = disk_unlink(d->fd, name, AT_REMOVEDIR);
                if (r != -ENOTEMPTY && r != -ENOTDIR)
                        continue;
                r = move_aside(d, d->fd, name);
                if (r >= 0)
                        disk_directory_notice(d, "Set aside '%s', which does not belong to the last shutdown, in "
                                              SET_ASIDE "/%s", name, d->record.token);
                else if (is_unwritable(r)) {
                        /* No boot takes it over, wherever it is. */
                        disk_directory_notice(d, "Ignoring '%s', which does not belong to the last shutdown and "
                                              "cannot be set aside: %s", name, disk_problem_text(r));
                        r = 0;
                }
        }
        (void) closedir(dir);
        return r;
}

/* --- expiry --- */

static int remove_tree(int dir, const char *name, unsigned depth) {
        _cleanup_close_ int fd = open_directory(dir, name);
        const struct dirent *de;
        DIR *stream;
        int r = 0;

        if (fd == -ENOTDIR || fd == -ELOOP)
                return disk_unlink(dir, name, 0);
        if (fd < 0)
                return fd;
        if (depth == 0)
                return -ELOOP;

        stream = fdopendir(fd);
        if (!stream)
                return -errno;
        int own = TAKE_FD(fd);
        while ((de = disk_read_entry(stream, &r)))
                if (!streq(de->d_name, ".") && !streq(de->d_name, ".."))
                        r = remove_tree(own, de->d_name, depth - 1);
        (void) closedir(stream);
        return r < 0 ? r : disk_unlink(dir, name, AT_REMOVEDIR);
}

/* Removes what was set aside more than so many seconds ago, except in this boot. */
static int set_aside_expire(const DiskDirectory *d, const char *boot_token, uint64_t seconds) {
        _cleanup_close_ int all = open_directory(d->fd, SET_ASIDE);
        const struct dirent *de;
        time_t now = time(NULL);
        DIR *stream;
        int r = 0;

        if (all == -ENOENT)
                return 0;
        if (all < 0)
                return all;
        stream = fdopendir(all);
        if (!stream)
                return -errno;
        int own = TAKE_FD(all);
        while ((de = disk_read_entry(stream, &r))) {
                struct stat st;

                if (!token_is_valid(de->d_name) || streq(de->d_name, boot_token) ||
                    fstatat(own, de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                if (st.st_mtime > now || (uint64_t) (now - st.st_mtime) < seconds)
                        continue;
                r = remove_tree(own, de->d_name, 4);
        }
        (void) closedir(stream);
        return r;
}

/* --- boots --- */

/* Creates the directory of the nodes, which the record describes then. The record is not written. */
static int nodes_create(const DiskDirectory *d, DiskRecord *record) {
        char name[NODES_NAME_MAX];
        int r;

        nodes_name(record->token, name);
        r = disk_mkdir(d->fd, name);
        if (r >= 0)
                r = disk_sync(d->fd);
        return r < 0 ? r : disk_identify(d->fd, name, &record->nodes);
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

        r = token_make(next.token);
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
        if (nodes != NEXT_NONE && !next.from[0]) {
                r = nodes_create(d, &next);
                if (r < 0)
                        return r;
        }

        r = record_write(d->fd, &next);
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
        if (r >= 0)
                r = record_write(d->fd, &record);
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
        return d->fd < 0 ? -errno : 0;
}

/* The part that writes. */
static int enter_state(const char *path, const DiskBoot *boot, DiskDirectory *d) {
        char name[NODES_NAME_MAX];
        bool own;
        int r, k;

        r = record_read(d->fd, &d->record);
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
        k = d->again ? 0 : set_aside_expire(d, own ? d->record.token : "", d->keep);
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
        return is_unwritable(r) ? enter_read_only(path, r, d) : r;
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
        r = record_read(d.fd, &d.record);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        if (streq(d.record.boot_id, boot->boot_id))
                return 0;
        r = record_next(&d, boot, NEXT_NONE);
        if (r != -EDQUOT)
                return r;
        /* Without a state, the next boot sets all nodes aside as well. */
        r = disk_unlink(d.fd, STATE, 0);
        return r < 0 ? r : disk_sync(d.fd);
}
