/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "file-util.h"
#include "format.h"
#include "guest-host.h"
#include "guest-refuse.h"
#include "guests.h"
#include "json-util.h"
#include "mount-util.h"

/* The tree that a directory is on. 1: *ret is what is known about it, 0: it is on none. */
static int tree_of_directory(int directory, TreeMount *ret) {
        char **paths = NULL;
        struct stat st, root;
        size_t n = 0;
        int r;

        if (fstat(directory, &st) < 0)
                return -errno;
        r = tree_mount_list(&paths, &n);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n && r == 0; i++) {
                if (stat(paths[i], &root) < 0 || root.st_dev != st.st_dev)
                        continue;
                r = tree_mount_find(paths[i], ret);
                r = r < 0 ? r : 1;
        }
        tree_mount_paths_free(paths, n);
        return r;
}

static int check_limits(struct json_object *limits, uint64_t bytes, char **reterr) {
        static const char *const names[] = { "TotalBytesMax", "OwnerBytesMax", "NodeBytesMax" };
        char needed[FORMAT_MAX], maximum[FORMAT_MAX];

        for (size_t i = 0; limits && i < json_object_array_length(limits); i++) {
                struct json_object *l = json_object_array_get_idx(limits, i);
                const char *name = json_get_string(l, "name") ?: "";
                int64_t max = json_get_int(l, "maximum", INT64_MAX);

                for (size_t k = 0; k < ELEMENTSOF(names); k++)
                        if (streq(name, names[k]) && max < INT64_MAX && bytes > (uint64_t) MAX(max, 0))
                                return guest_refuse(reterr, "%s= of pkramd.conf(5) is %s, and the guest takes up to "
                                                    "%s: its memory could not be stored for a kexec. Raise the limit.",
                                                    name, format_bytes(maximum, (uint64_t) MAX(max, 0)),
                                                    format_bytes(needed, bytes));
        }
        return 0;
}

static int check_store(const TreeMount *m, uint64_t bytes, char **ret_notice, char **reterr) {
        const char *socket = m->socket ?: SOCKET_PATH;
        _cleanup_(varlink_client_freep) VarlinkClient *c = NULL;
        _cleanup_reply_ VarlinkReply reply = {};
        int r;

        r = varlink_client_connect(socket, &c);
        if (r >= 0)
                r = pkram_call(c, "GetStatus", /* parameters= */ NULL, -EBADF, &reply);
        if (r < 0 || reply.error) {
                if (asprintf(ret_notice, "pkramd does not answer at %s: the limits of the store are not checked.",
                             socket) >= 0)
                        return 0;
                *ret_notice = NULL;
                return -ENOMEM;
        }
        if (!json_get_bool(reply.parameters, "supported", false)) {
                *ret_notice = strdup("This kernel has no PKRAM: the guest's memory does not survive a kexec.");
                return *ret_notice ? 0 : -ENOMEM;
        }
        return check_limits(json_get_array(reply.parameters, "limits"), bytes, reterr);
}

/* What the RAM of another guest may still take of the file system with that number. */
static uint64_t guest_missing(const char *directory, uint64_t bytes, dev_t device) {
        _cleanup_closedir_ DIR *d = opendir(directory);
        const struct dirent *e;
        uint64_t used = 0;
        struct stat st;

        if (!d || fstat(dirfd(d), &st) < 0 || st.st_dev != device)
                return 0;
        while ((e = readdir(d)))
                if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) >= 0 && S_ISREG(st.st_mode))
                        used += (uint64_t) st.st_blocks * 512;
        return used < bytes ? bytes - used : 0;
}

/* Adds up what other guests may still take of the file system that a directory is on. */
static int guests_missing(int directory, const char *path, uint64_t *ret) {
        _cleanup_json_ struct json_object *guests = NULL;
        struct stat st;
        int r;

        *ret = 0;
        if (fstat(directory, &st) < 0)
                return -errno;
        r = guests_read(GUESTS_DIRECTORY, &guests);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        for (size_t i = 0; i < json_object_array_length(guests); i++) {
                struct json_object *g = json_object_array_get_idx(guests, i);
                const char *other = json_get_string(g, "directory");

                if (!streq(other, path))
                        (void) inc_u64(ret, guest_missing(other, (uint64_t) json_get_int(g, "bytes", 0), st.st_dev));
        }
        return 0;
}

int host_check(int directory, const char *path, uint64_t bytes, uint64_t held, char **ret_notice, char **reterr) {
        _cleanup_tree_mount_ TreeMount m = {};
        char needed[FORMAT_MAX], left[FORMAT_MAX];
        struct statvfs fs;
        uint64_t room, missing;
        int r;

        *ret_notice = *reterr = NULL;
        r = tree_of_directory(directory, &m);
        if (r < 0)
                return r;
        if (r == 0)
                return guest_refuse(reterr, "'%s' is not on a file system of type pkram, and so the guest's memory "
                                    "would not survive a kexec: see mount.pkram(8).", path);
        if (fstatvfs(directory, &fs) < 0)
                return -errno;
        r = guests_missing(directory, path, &missing);
        if (r < 0)
                return r;
        room = (uint64_t) fs.f_bavail * fs.f_frsize;
        room -= MIN(room, missing);
        if (fs.f_blocks > 0 && (!inc_u64(&room, held) || room < bytes))
                return guest_refuse(reterr, "The tree of '%s' has room for %s%s, and the guest takes up to %s: "
                                    "mount it with a larger size=.", path, format_bytes(left, room),
                                    missing > 0 ? " beside its other guests" : "", format_bytes(needed, bytes));
        return check_store(&m, bytes, ret_notice, reterr);
}

static int note_path(const char *name, char **ret) {
        if (asprintf(ret, GUESTS_DIRECTORY "/%s.json", name) < 0) {
                *ret = NULL;
                return -ENOMEM;
        }
        return 0;
}

int guest_note_take(const char *name) {
        _cleanup_free_ char *path = NULL;
        int r;

        r = note_path(name, &path);
        if (r < 0)
                return r;
        if (mkdir(GUESTS_DIRECTORY, 0755) < 0 && errno != EEXIST)
                return -errno;
        for (;;) {
                _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
                struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
                struct stat st, there;

                if (fd < 0)
                        return -errno;
                if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
                        return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
                if (fstat(fd, &st) < 0)
                        return -errno;
                if (!S_ISREG(st.st_mode))
                        return -EBADMSG;
                /* The one before may have removed it meanwhile. */
                if (stat(path, &there) < 0 || there.st_ino != st.st_ino || there.st_dev != st.st_dev)
                        continue;
                return ftruncate(fd, 0) < 0 ? -errno : TAKE_FD(fd);
        }
}

int guest_note_write(int fd, const char *name, const GuestNote *note) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        const char *text;
        size_t length;

        if (!o || json_add_string(o, "name", name) < 0 || json_add_string(o, "directory", note->directory) < 0 ||
            json_add_u64(o, "bytes", note->bytes) < 0 ||
            json_add_bool(o, "resumed", streq(note->came, "resumed")) < 0 ||
            (note->reason && json_add_string(o, "reason", note->reason) < 0) ||
            (streq(note->came, "resumed") && json_add_u64(o, "pausedUSec", note->stopped_usec) < 0))
                return -ENOMEM;
        text = json_text(o, &length);
        return text ? pwrite_all(fd, text, length, 0) : -ENOMEM;
}

int guest_note_remove(int fd, const char *name) {
        _cleanup_free_ char *path = NULL;

        if (fd >= 0 && note_path(name, &path) >= 0)
                (void) unlink(path);
        return safe_close(fd);
}
