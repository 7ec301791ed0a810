/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What store and retrieve copy from one file to another besides its contents. */
#include <sys/stat.h>
#include <sys/xattr.h>

#include "ctl.h"
#include "tree-files.h"

/* A new file has the default ACL of its directory, which could permit more than the file that is copied. */
static int remove_inherited_acl(int fd) {
        return fremovexattr(fd, "system.posix_acl_access") < 0 && errno != ENODATA && errno != EOPNOTSUPP ? -errno : 0;
}

static int copy_xattrs(int from, int to) {
        _cleanup_free_ uint8_t *xattrs = NULL;
        size_t size = 0;
        int r;

        r = tree_read_xattrs(from, &xattrs, &size);
        return r < 0 ? r : tree_write_xattrs(to, xattrs, size);
}

static int copy_flags(int from, int to) {
        unsigned flags;
        int r;

        r = tree_read_flags(from, &flags);
        return r < 0 || flags == 0 ? r : tree_write_flags(to, flags);
}

int copy_attributes(int from, int to, const char **ret_what) {
        struct stat st;
        int r;

        *ret_what = "owner, mode and times";
        if (fstat(from, &st) < 0)
                return -errno;
        /* Only root can set the owner, and in a user namespace only to a user that it has. */
        bool owned = fchown(to, st.st_uid, st.st_gid) >= 0;
        if (!owned && errno != EPERM && errno != EINVAL)
                return -errno;

        /* Before the mode, which has the mask of an ACL in the place of the permissions of the group. */
        *ret_what = "ACL and extended attributes";
        r = remove_inherited_acl(to);
        if (r >= 0)
                r = copy_xattrs(from, to);
        if (r < 0)
                return r;

        /* Without its owner, the file must not run with the rights of another one. */
        *ret_what = "owner, mode and times";
        if (fchmod(to, st.st_mode & (owned ? 07777 : 0777)) < 0 ||
            futimens(to, (const struct timespec[]) { st.st_atim, st.st_mtim }) < 0)
                return -errno;

        /* Last, because a file may be immutable then. */
        *ret_what = "inode flags";
        return copy_flags(from, to);
}

int reset_attributes(int fd) {
        int r;

        r = remove_inherited_acl(fd);
        if (r < 0)
                return r;
        return fchmod(fd, 0600) < 0 ? -errno : 0;
}
