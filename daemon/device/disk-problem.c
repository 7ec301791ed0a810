/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/stat.h>

#include "disk-problem.h"
#include "file-util.h"
#include "mount-table.h"

bool disk_is_unwritable(int error) {
        return error == -EDQUOT || error == -EROFS;
}

/* Called for each mount. Returns 1 for the one with this ID if its file system is read-only, else 0. */
static int mount_is_read_only(const MountLine *m, void *userdata) {
        const uint64_t *id = userdata;

        return (uint64_t) m->id == *id && startswith(m->options, "ro") && (m->options[2] == ',' || !m->options[2]);
}

bool disk_file_system_is_read_only(const char *path) {
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
