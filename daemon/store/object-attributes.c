/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "object-attributes.h"
#include "tree-files.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

#define MEMFD_PREFIX "/memfd:"
#define MEMFD_SUFFIX " (deleted)"

void object_attributes_done(ObjectAttributes *a) {
        free(a->memfd);
        free(a->xattrs);
        *a = (ObjectAttributes) {};
}

/* A memfd as memfd_create(2) made it before MFD_EXEC existed: executable unless its mode says otherwise. */
static int memfd_new(const char *name) {
        int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);

        if (fd < 0 && errno == EINVAL)
                fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        return fd < 0 ? -errno : fd;
}

/* All memfds are in one file system that is mounted nowhere. A file elsewhere may have a name that looks like
 * theirs. */
static int memfd_device(dev_t *ret) {
        _cleanup_close_ int fd = memfd_new("pkram");
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return fd < 0 ? fd : -errno;
        *ret = st.st_dev;
        return 0;
}

static int memfd_name_read(int fd, char **ret) {
        char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)], link[PATH_MAX];
        const char *name;
        struct stat st;
        dev_t device = 0;
        ssize_t n;
        int r;

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%i", fd);
        n = readlink(path, link, sizeof(link) - 1);
        if (n < 0)
                return -errno;
        link[n] = 0;
        name = startswith(link, MEMFD_PREFIX);
        if (!name || (size_t) n < strlen(MEMFD_PREFIX MEMFD_SUFFIX) ||
            !streq(link + n - strlen(MEMFD_SUFFIX), MEMFD_SUFFIX))
                return 0;
        if (fstat(fd, &st) < 0)
                return -errno;
        r = memfd_device(&device);
        if (r < 0)
                return r;
        if (st.st_dev != device || st.st_nlink != 0)
                return 0;
        *ret = strndup(name, (size_t) n - strlen(MEMFD_PREFIX MEMFD_SUFFIX));
        return *ret ? 0 : -ENOMEM;
}

/* pkramd has to be able to set them, with no capability but CAP_SYS_ADMIN. */
static const char *why_not(const ObjectAttributes *a) {
        size_t position = 0;
        TreeXattr x;

        if (a->flags & (TREE_FLAG_IMMUTABLE | TREE_FLAG_APPEND))
                return "it is immutable or append-only; use chattr -ia";
        while (tree_xattr_next(a->xattrs, a->xattrs_size, &position, &x) > 0)
                if (streq(x.name, "security.capability"))
                        return "it has the extended attribute security.capability; remove it with setcap -r, "
                                "or store the directory as a tree";
        return NULL;
}

int object_attributes_read(int fd, ObjectAttributes *ret, const char **ret_reason) {
        _cleanup_attributes_ ObjectAttributes a = {};
        int r;

        r = tree_read_xattrs(fd, &a.xattrs, &a.xattrs_size);
        if (r == -EOPNOTSUPP)
                *ret_reason = "it has an extended attribute of an unknown kind; remove it with setfattr -x";
        if (r == -EACCES || r == -EPERM) {
                *ret_reason = "it has an extended attribute that pkramd may not read; make the file readable for "
                        "others, or remove the attribute";
                r = -EOPNOTSUPP;
        }
        if (r >= 0)
                r = tree_read_flags(fd, &a.flags);
        if (r >= 0) {
                *ret_reason = why_not(&a);
                r = *ret_reason ? -EOPNOTSUPP : memfd_name_read(fd, &a.memfd);
        }
        if (r < 0)
                return r;

        *ret = a;
        a = (ObjectAttributes) {};
        return 0;
}

int object_attributes_make_memfd(const ObjectAttributes *a) {
        _cleanup_close_ int fd = memfd_new(a->memfd ?: "pkram");
        int r;

        if (fd < 0)
                return fd;
        r = tree_write_xattrs(fd, a->xattrs, a->xattrs_size);
        if (r >= 0 && a->flags != 0)
                r = tree_write_flags(fd, a->flags);
        return r < 0 ? r : TAKE_FD(fd);
}

bool object_attributes_are_valid(const ObjectAttributes *a) {
        size_t position = 0;
        TreeXattr x;
        int r;

        if (a->memfd && strlen(a->memfd) > MEMFD_NAME_MAX)
                return false;
        if ((a->flags & ~TREE_FLAGS_ALL) || why_not(a))
                return false;
        while ((r = tree_xattr_next(a->xattrs, a->xattrs_size, &position, &x)) > 0)
                if (!tree_xattr_can_be_kept(x.name))
                        return false;
        return r == 0;
}
