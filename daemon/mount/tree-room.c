/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdarg.h>
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

/* The tree that a directory is on. 1: *ret is what is known about it, and *ret_path where it is mounted, 0: it is on
 * none. */
static int tree_of_directory(int directory, TreeMount *ret, char **ret_path) {
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
                if (r >= 0)
                        *ret_path = strdup(paths[i]);
                r = r < 0 ? r : *ret_path ? 1 : -ENOMEM;
        }
        tree_mount_paths_free(paths, n);
        return r;
}

/* Would a tree of that size exceed a limit? */
static int room_check_limits(struct json_object *limits, const char *path, const char *what, uint64_t bytes,
                             char **reterr) {
        static const char *const names[] = { "TotalBytesMax", "OwnerBytesMax", "NodeBytesMax" };
        char needed[FORMAT_MAX], maximum[FORMAT_MAX];

        for (size_t i = 0; limits && i < json_object_array_length(limits); i++) {
                struct json_object *l = json_object_array_get_idx(limits, i);
                const char *name = json_get_string(l, "name") ?: "";
                int64_t max = json_get_int(l, "maximum", INT64_MAX);
                uint64_t sum = bytes;

                for (size_t k = 0; k < ELEMENTSOF(names); k++) {
                        if (!streq(name, names[k]) || max == INT64_MAX)
                                continue;
                        /* The one limit with a sum of what is stored. */
                        if (!inc_u64(&sum, (uint64_t) MAX(json_get_int(l, "current", 0), 0)) ||
                            sum > (uint64_t) MAX(max, 0))
                                return refuse(reterr, "%s= of pkramd.conf(5) is %s, and with %s the tree at '%s' "
                                              "takes up to %s: it could not be stored for a kexec. Raise the limit.",
                                              name, format_bytes(maximum, (uint64_t) MAX(max, 0)), what, path,
                                              format_bytes(needed, sum));
                }
        }
        return 0;
}

/* What the caller has to know, and is no reason to refuse. */
_printf_(2, 3) static int room_notice(char **ret_notice, const char *format, ...) {
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(ret_notice, format, ap);
        va_end(ap);
        if (r >= 0)
                return 0;
        *ret_notice = NULL;
        return -ENOMEM;
}

static int room_check_store(
                const TreeMount *m,
                const char *path,
                const char *what,
                uint64_t bytes,
                char **ret_notice,
                char **reterr) {

        const char *socket = m->socket ?: SOCKET_PATH;
        _cleanup_(varlink_client_freep) VarlinkClient *c = NULL;
        _cleanup_reply_ VarlinkReply reply = {};
        _cleanup_free_ char *reason = NULL;
        bool disk;
        int r;

        r = varlink_client_connect(socket, &c);
        if (r >= 0)
                r = pkram_call(c, "GetStatus", /* parameters= */ NULL, -EBADF, &reply);
        if (r < 0)
                return room_notice(ret_notice, "pkramd does not answer at %s: the limits of the store are not "
                                   "checked.", socket);
        r = pkram_status_support(&reply, &disk, &reason);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return room_notice(ret_notice, "The store cannot be used, and the memory of %s does not survive a "
                                   "kexec while it cannot: %s", what, reason);
        if (r == 0)
                return room_notice(ret_notice, "This kernel has no PKRAM: the memory of %s does not survive a kexec.",
                                   what);
        return room_check_limits(json_get_array(reply.parameters, "limits"), path, what, bytes, reterr);
}

/* Adds up what others in a directory of notes may still write to a tree. */
static int others_missing(const char *notes, const char *except, int root, const char *mounted, uint64_t *sum) {
        _cleanup_json_ struct json_object *others = NULL;
        int r;

        r = run_notes_read(notes, &others);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        for (size_t i = 0; i < json_object_array_length(others); i++) {
                struct json_object *other = json_object_array_get_idx(others, i);

                if (!streq(json_get_string(other, "directory"), except))
                        (void) inc_u64(sum, run_note_missing(other, root, mounted));
        }
        return 0;
}

/* What other guests and processes may still write to the tree. */
static int programs_missing(const char *mounted, const char *path, uint64_t *ret) {
        _cleanup_close_ int root = open(mounted, O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_free_ char *ours = realpath(path, NULL);
        int r;

        *ret = 0;
        if (root < 0)
                return -errno;
        r = others_missing(GUESTS_DIRECTORY, ours ?: path, root, mounted, ret);
        return r < 0 ? r : others_missing(PROCESSES_DIRECTORY, ours ?: path, root, mounted, ret);
}

int tree_room_check(int directory, const char *path, const char *what, uint64_t bytes, uint64_t held,
                    char **ret_notice, char **reterr) {
        _cleanup_tree_mount_ TreeMount m = {};
        char needed[FORMAT_MAX], left[FORMAT_MAX];
        _cleanup_free_ char *mounted = NULL;
        uint64_t room, missing, sum;
        struct statvfs fs;
        int r;

        *ret_notice = *reterr = NULL;
        r = tree_of_directory(directory, &m, &mounted);
        if (r < 0)
                return r;
        if (r == 0 || !mounted)
                return refuse(reterr, "'%s' is not on a file system of type pkram, and so the memory of %s would not "
                              "survive a kexec: see mount.pkram(8).", path, what);
        if (fstatvfs(directory, &fs) < 0)
                return -errno;
        r = programs_missing(mounted, path, &missing);
        if (r < 0)
                return r;
        room = (uint64_t) fs.f_bavail * fs.f_frsize;
        room -= MIN(room, missing);
        if (fs.f_blocks > 0 && (!inc_u64(&room, held) || room < bytes))
                return refuse(reterr, "The tree of '%s' has room for %s%s, and %s takes up to %s: mount it with a "
                              "larger size=.", path, format_bytes(left, room),
                              missing > 0 ? " beside its other guests and processes" : "", what,
                              format_bytes(needed, bytes));
        /* All of the tree is stored as one node. */
        sum = (uint64_t) (fs.f_blocks - fs.f_bfree) * fs.f_frsize;
        sum -= MIN(sum, held);
        if (!inc_u64(&sum, missing) || !inc_u64(&sum, bytes))
                sum = UINT64_MAX;
        return room_check_store(&m, mounted, what, sum, ret_notice, reterr);
}
