/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "file-util.h"
#include "mount-table.h"
#include "tree-place.h"

typedef struct FindType {
        dev_t device;
        TreePlace place;
} FindType;

static int mount_line_find_place(const MountLine *m, void *userdata) {
        FindType *f = userdata;

        if (m->device != f->device)
                return 0;
        /* devtmpfs is one as well. */
        f->place = streq(m->type, "tmpfs") || streq(m->type, "devtmpfs") ? TREE_PLACE_TMPFS : TREE_PLACE_OTHER;
        return 1;
}

static int device_find_place(dev_t device, TreePlace *ret) {
        _cleanup_free_ char *text = NULL;
        FindType f = { .device = device, .place = TREE_PLACE_UNKNOWN };
        int r;

        r = virtual_file_read(AT_FDCWD, MOUNT_TABLE, SIZE_MAX, &text);
        if (r < 0)
                return r;
        (void) mount_lines_foreach(text, mount_line_find_place, &f);
        *ret = f.place;
        return 0;
}

int tree_place_find(int fd, uid_t *ret_uid) {
        struct statx stx;
        TreePlace place = TREE_PLACE_UNKNOWN;
        int r;

        /* Network file systems and FUSE answer this from what they know, or fail: FUSE with EACCES if a user mounted
         * it. A tmpfs never does. */
        if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_UID, &stx) < 0)
                return TREE_PLACE_OTHER;
        /* Only a file system without a device is a tmpfs. */
        if (!S_ISDIR(stx.stx_mode) || stx.stx_dev_major != 0)
                return TREE_PLACE_OTHER;

        r = device_find_place(makedev(stx.stx_dev_major, stx.stx_dev_minor), &place);
        if (r < 0)
                return r;
        *ret_uid = stx.stx_uid;
        return (int) place;
}

int tree_place_refuse_save(StoreError *e) {
        return store_error_set(e, -EOPNOTSUPP, STORE_ERROR_NOT_PRESERVABLE, NULL,
                               "The tree cannot be preserved: it is not a directory on a tmpfs; mount one there, "
                               "with 'mount -t pkram' or 'mount -t tmpfs'.");
}

int tree_place_refuse_save_owner(StoreError *e) {
        return store_error_set(e, -EOPNOTSUPP, STORE_ERROR_NOT_PRESERVABLE, NULL,
                               "The tree cannot be preserved: its directory is owned by another user, "
                               "and only root may store it.");
}

int tree_place_refuse_load(StoreError *e) {
        return store_error_set(e, -EINVAL, STORE_ERROR_BAD_DIRECTORY, NULL,
                               "The directory is not on a tmpfs. Mount a tmpfs there first.");
}
