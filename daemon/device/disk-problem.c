/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "disk-problem.h"
#include "file-util.h"
#include "mount-table.h"

/* systemd-volatile-root.service unmounts it as soon as the overlay is mounted. */
#define VOLATILE_UPPER "/run/systemd/overlay-sysroot/"

int disk_in_memory_override = -1;

bool disk_is_unwritable(int error) {
        return error == -EDQUOT || error == -EROFS;
}

/* A search for the mount of a file. */
typedef struct MountSearch {
        uint64_t id;
        bool read_only;
        char *upper;            /* option upperdir= of its file system, or NULL */
} MountSearch;

/* Called for each mount. Returns 1 for the one with this ID, else 0, or -ENOMEM. */
static int mount_examine(const MountLine *m, void *userdata) {
        MountSearch *s = userdata;
        const char *upper;

        if ((uint64_t) m->id != s->id)
                return 0;
        s->read_only = startswith(m->options, "ro") && (m->options[2] == ',' || !m->options[2]);
        upper = strstr(m->options, ",upperdir=");
        if (!upper)
                return 1;
        upper += strlen(",upperdir=");
        s->upper = strndup(upper, strcspn(upper, ","));
        return s->upper ? 1 : -ENOMEM;
}

/* Finds the mount of a file, see statx(2). Returns 1, 0 if there is none, or a negative errno. */
static int mount_search(int dir, const char *path, int flags, MountSearch *ret) {
        _cleanup_free_ char *text = NULL;
        struct statx st;
        int r;

        if (statx(dir, path, flags, STATX_MNT_ID, &st) < 0)
                return -errno;
        if (!(st.stx_mask & STATX_MNT_ID))
                return 0;
        r = virtual_file_read(AT_FDCWD, MOUNT_TABLE, SIZE_MAX, &text);
        if (r < 0)
                return r;
        *ret = (MountSearch) { .id = st.stx_mnt_id };
        return mount_lines_foreach(text, mount_examine, ret);
}

bool disk_file_system_is_read_only(const char *path) {
        MountSearch s = {};
        bool found = mount_search(AT_FDCWD, path, 0, &s) > 0;

        free(s.upper);
        return found && s.read_only;
}

static bool type_is_memory(const struct statfs *fs) {
        return fs->f_type == TMPFS_MAGIC || fs->f_type == RAMFS_MAGIC;
}

bool disk_is_in_memory(int fd) {
        MountSearch s = {};
        struct statfs fs;
        bool memory = false;

        if (disk_in_memory_override >= 0)
                return disk_in_memory_override;
        if (fstatfs(fd, &fs) < 0)
                return false;
        if (fs.f_type != OVERLAYFS_SUPER_MAGIC)
                return type_is_memory(&fs);
        /* The others read all of it from the lower layers, and write to the upper one. */
        if (mount_search(fd, "", AT_EMPTY_PATH, &s) > 0 && s.upper)
                memory = statfs(s.upper, &fs) >= 0 ? type_is_memory(&fs) : startswith(s.upper, VOLATILE_UPPER) != NULL;
        free(s.upper);
        return memory;
}

bool disk_path_is_in_memory(const char *path) {
        _cleanup_close_ int fd = -EBADF;
        char existing[256];

        if (existing_path(path, existing, sizeof(existing)) < 0)
                return false;
        fd = open(existing, O_PATH | O_CLOEXEC);
        return fd >= 0 && disk_is_in_memory(fd);
}

bool disk_mount_is_missing(void) {
        const char *path = secure_getenv("PKRAM_DISK_MOUNT");
        struct statx st;

        if (!path)
                return false;
        return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &st) < 0 ||
                ((st.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) && !(st.stx_attributes & STATX_ATTR_MOUNT_ROOT));
}

bool disk_may_have_nodes(const char *state_path) {
        return disk_mount_is_missing() ||
                (access(state_path, F_OK) >= 0 && !disk_path_is_in_memory(state_path));
}

const char *disk_problem_text(int error) {
        switch (error) {
        case -ENOMEDIUM:
                return "its file system is not mounted. Mount it";
        case -EROFS:
                return "its file system is mounted read-only. Remount it read-write";
        case -ENOTBLK:
                return "it is in memory and does not outlive this kernel. Mount a disk there, or set Use=no in "
                       "pkramd.conf";
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

const char *disk_error_text(int error) {
        return disk_problem_text(error) ?: strerror(-error);
}
