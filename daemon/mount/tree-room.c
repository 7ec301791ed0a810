/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "file-util.h"
#include "format.h"
#include "json-util.h"
#include "mount-util.h"
#include "refuse.h"
#include "run-notes.h"
#include "tree-room.h"

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

static int room_check_limits(struct json_object *limits, const char *what, uint64_t bytes, char **reterr) {
        static const char *const names[] = { "TotalBytesMax", "OwnerBytesMax", "NodeBytesMax" };
        char needed[FORMAT_MAX], maximum[FORMAT_MAX];

        for (size_t i = 0; limits && i < json_object_array_length(limits); i++) {
                struct json_object *l = json_object_array_get_idx(limits, i);
                const char *name = json_get_string(l, "name") ?: "";
                int64_t max = json_get_int(l, "maximum", INT64_MAX);

                for (size_t k = 0; k < ELEMENTSOF(names); k++)
                        if (streq(name, names[k]) && max < INT64_MAX && bytes > (uint64_t) MAX(max, 0))
                                return refuse(reterr, "%s= of pkramd.conf(5) is %s, and %s takes up to %s: its memory "
                                              "could not be stored for a kexec. Raise the limit.", name,
                                              format_bytes(maximum, (uint64_t) MAX(max, 0)), what,
                                              format_bytes(needed, bytes));
        }
        return 0;
}

static int room_check_store(
                const TreeMount *m,
                const char *what,
                uint64_t bytes,
                char **ret_notice,
                char **reterr) {

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
                if (asprintf(ret_notice, "This kernel has no PKRAM: the memory of %s does not survive a kexec.",
                             what) >= 0)
                        return 0;
                *ret_notice = NULL;
                return -ENOMEM;
        }
        return room_check_limits(json_get_array(reply.parameters, "limits"), what, bytes, reterr);
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
        r = run_notes_read(GUESTS_DIRECTORY, &guests);
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

int tree_room_check(int directory, const char *path, const char *what, uint64_t bytes, uint64_t held,
                    char **ret_notice, char **reterr) {
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
                return refuse(reterr, "'%s' is not on a file system of type pkram, and so the memory of %s would not "
                              "survive a kexec: see mount.pkram(8).", path, what);
        if (fstatvfs(directory, &fs) < 0)
                return -errno;
        r = guests_missing(directory, path, &missing);
        if (r < 0)
                return r;
        room = (uint64_t) fs.f_bavail * fs.f_frsize;
        room -= MIN(room, missing);
        if (fs.f_blocks > 0 && (!inc_u64(&room, held) || room < bytes))
                return refuse(reterr, "The tree of '%s' has room for %s%s, and %s takes up to %s: mount it with a "
                              "larger size=.", path, format_bytes(left, room),
                              missing > 0 ? " beside its other guests" : "", what, format_bytes(needed, bytes));
        return room_check_store(&m, what, bytes, ret_notice, reterr);
}
