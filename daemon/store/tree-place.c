/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "tree-place.h"

/* The type of a file system, from a line of /proc/self/mountinfo if it is mounted on that device, or NULL. */
static const char *line_find_type(char *line, dev_t device) {
        unsigned major, minor;
        char *type;

        if (sscanf(line, "%*u %*u %u:%u", &major, &minor) != 2 || makedev(major, minor) != device)
                return NULL;
        type = strstr(line, " - ");
        if (!type)
                return NULL;
        type += strlen(" - ");
        type[strcspn(type, " \n")] = 0;
        return type;
}

static int device_find_place(dev_t device, TreePlace *ret) {
        _cleanup_free_ char *line = NULL;
        TreePlace place = TREE_PLACE_UNKNOWN;
        size_t n = 0;
        FILE *f;

        f = fopen("/proc/self/mountinfo", "re");
        if (!f)
                return -errno;
        while (place == TREE_PLACE_UNKNOWN && getline(&line, &n, f) > 0) {
                const char *type = line_find_type(line, device);

                /* devtmpfs is one as well. */
                if (type)
                        place = streq(type, "tmpfs") || streq(type, "devtmpfs") ? TREE_PLACE_TMPFS : TREE_PLACE_OTHER;
        }
        (void) fclose(f);

        *ret = place;
        return 0;
}

int tree_place_find(int fd, uid_t *ret_uid) {
        struct statx stx;
        TreePlace place = TREE_PLACE_UNKNOWN;
        int r;

        /* Network file systems and FUSE answer this from what they know. */
        if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_UID, &stx) < 0)
                return -errno;
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
                               "The tree cannot be preserved: it is no directory of a tmpfs; mount one there, "
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
