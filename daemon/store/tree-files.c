/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "file-util.h"
#include "tree-files.h"

/* What getdents64(2) is given. */
#define NAMES_BUFFER KIB(32)

int tree_is_tmpfs_directory(int fd, struct stat *ret) {
        struct statfs sfs;

        if (fstat(fd, ret) < 0)
                return -errno;
        if (!S_ISDIR(ret->st_mode))
                return -ENOTDIR;
        if (fstatfs(fd, &sfs) < 0)
                return -errno;
        return sfs.f_type == TMPFS_MAGIC;
}

/*
 * Opens what is really in the directory: the client that passed the directory may have mounted
 * something below it, in its own namespace even without being root.
 */
static int open_within(int dir, const char *name, int flags, int *ret) {
        struct open_how how = {
                .flags = (uint64_t) (flags | O_NOFOLLOW | O_CLOEXEC),
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
        };
        int fd;

        fd = (int) syscall(SYS_openat2, dir, name, &how, sizeof(how));
        if (fd < 0)
                return -errno;

        *ret = fd;
        return 0;
}

static int open_quietly(int dir, const char *name, int flags, int *ret) {
        int r;

        flags |= O_RDONLY | O_NONBLOCK | O_NOCTTY;
        r = open_within(dir, name, flags | O_NOATIME, ret);
        return r == -EPERM ? open_within(dir, name, flags, ret) : r;
}

int tree_open_path(int dir, const char *name, int *ret) {
        return open_within(dir, name, O_PATH, ret);
}

int tree_open_directory(int dir, const char *name, int *ret) {
        return open_quietly(dir, name, O_DIRECTORY, ret);
}

int tree_open_file(int dir, const char *name, int *ret) {
        return open_quietly(dir, name, 0, ret);
}

static int add_names(const uint8_t *buffer, size_t n, char **names, size_t *size, size_t *allocated) {
        for (size_t i = 0; i < n;) {
                const struct dirent64 *d = (const struct dirent64 *) (buffer + i);
                size_t length = strlen(d->d_name) + 1;
                int r;

                i += d->d_reclen;
                if (streq(d->d_name, ".") || streq(d->d_name, ".."))
                        continue;
                if (*size + length > TREE_TABLE_BYTES_MAX)
                        return -EFBIG;
                r = GREEDY_REALLOC(*names, *allocated, *size + length);
                if (r < 0)
                        return r;
                memcpy(*names + *size, d->d_name, length);
                *size += length;
        }
        return 0;
}

int tree_read_names(int fd, char **ret, size_t *ret_size) {
        _cleanup_free_ uint8_t *buffer = NULL;
        _cleanup_free_ char *names = NULL;
        size_t size = 0, allocated = 0;
        int r;

        buffer = malloc(NAMES_BUFFER);
        if (!buffer)
                return -ENOMEM;

        for (;;) {
                ssize_t n = getdents64(fd, buffer, NAMES_BUFFER);

                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                r = add_names(buffer, (size_t) n, &names, &size, &allocated);
                if (r < 0)
                        return r;
        }

        *ret = TAKE_PTR(names);
        *ret_size = size;
        return 0;
}

/* --- extended attributes --- */

bool tree_xattr_can_be_kept(const char *name) {
        return startswith(name, "user.") || startswith(name, "trusted.") || startswith(name, "security.") ||
                startswith(name, "system.posix_acl_");
}

int tree_read_xattrs(int fd, uint8_t **ret, size_t *ret_size) {
        _cleanup_free_ uint8_t *xattrs = NULL;
        _cleanup_free_ char *names = NULL, *value = NULL;
        size_t size = 0, allocated = 0;
        char path[TREE_FD_PATH_MAX];
        ssize_t n;
        int r;

        /* This works for O_PATH too, and for symbolic links, where nothing else does. */
        (void) snprintf(path, sizeof(path), "/proc/self/fd/%i", fd);
        n = listxattr(path, NULL, 0);
        if (n < 0 && errno != EOPNOTSUPP)
                return -errno;
        if (n <= 0) {
                *ret = NULL;
                *ret_size = 0;
                return 0;
        }

        names = malloc(XATTR_LIST_MAX);
        value = malloc(XATTR_SIZE_MAX);
        if (!names || !value)
                return -ENOMEM;
        n = listxattr(path, names, XATTR_LIST_MAX);
        if (n < 0)
                return -errno;

        for (const char *name = names; name < names + n; name += strlen(name) + 1) {
                ssize_t k;

                if (!tree_xattr_can_be_kept(name))
                        return -EOPNOTSUPP;
                k = getxattr(path, name, value, XATTR_SIZE_MAX);
                if (k < 0)
                        return -errno;
                r = tree_xattr_add(&xattrs, &size, &allocated, name, value, (size_t) k);
                if (r < 0)
                        return r;
        }

        *ret = TAKE_PTR(xattrs);
        *ret_size = size;
        return 0;
}

bool tree_has_privileged_xattr(const uint8_t *xattrs, size_t size) {
        size_t position = 0;
        TreeXattr x;

        while (tree_xattr_next(xattrs, size, &position, &x) > 0)
                if (startswith(x.name, "trusted.") || streq(x.name, "security.capability"))
                        return true;
        return false;
}

/* path is a link to an open file (follow), or leads to an entry of a directory that is open. */
static int xattrs_write(const char *path, bool follow, const uint8_t *xattrs, size_t size) {
        size_t position = 0;
        TreeXattr x;
        int r;

        while ((r = tree_xattr_next(xattrs, size, &position, &x)) > 0) {
                if ((follow ? setxattr : lsetxattr)(path, x.name, x.value, x.value_size, 0) >= 0)
                        continue;
                /* A label of a security module that the new kernel does not have means nothing there. */
                if (errno == EOPNOTSUPP && startswith(x.name, "security.") && !streq(x.name, "security.capability"))
                        continue;
                return -errno;
        }
        return r;
}

int tree_write_xattrs(int fd, const uint8_t *xattrs, size_t size) {
        char path[TREE_FD_PATH_MAX];

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%i", fd);
        return xattrs_write(path, /* follow= */ true, xattrs, size);
}

/* --- inode flags --- */

static const struct {
        unsigned flag;
        int kernel;
} inode_flags[] = {
        { TREE_FLAG_IMMUTABLE, FS_IMMUTABLE_FL },
        { TREE_FLAG_APPEND,    FS_APPEND_FL    },
        { TREE_FLAG_NODUMP,    FS_NODUMP_FL    },
        { TREE_FLAG_NOATIME,   FS_NOATIME_FL   },
};

static int kernel_flags_read(int fd, int *ret) {
        if (ioctl(fd, FS_IOC_GETFLAGS, ret) >= 0)
                return 1;
        /* A tmpfs has flags since Linux 6.6. */
        return errno == ENOTTY || errno == EOPNOTSUPP ? 0 : -errno;
}

int tree_flags_from_kernel(int kernel, unsigned *ret) {
        *ret = 0;
        if (kernel & FS_CASEFOLD_FL)
                return -ENOSYS;
        for (size_t i = 0; i < ELEMENTSOF(inode_flags); i++)
                if (kernel & inode_flags[i].kernel)
                        *ret |= inode_flags[i].flag;
        return 0;
}

int tree_read_flags(int fd, unsigned *ret) {
        int kernel = 0, r;

        *ret = 0;
        r = kernel_flags_read(fd, &kernel);
        return r < 0 ? r : tree_flags_from_kernel(kernel, ret);
}

int tree_write_flags(int fd, unsigned flags) {
        int before = 0, kernel, r;

        r = kernel_flags_read(fd, &before);
        if (r < 0)
                return r;
        if (r == 0)
                return flags == 0 ? 0 : -EOPNOTSUPP;
        kernel = before;
        for (size_t i = 0; i < ELEMENTSOF(inode_flags); i++)
                kernel = flags & inode_flags[i].flag ? kernel | inode_flags[i].kernel :
                        kernel & ~inode_flags[i].kernel;
        return kernel == before || ioctl(fd, FS_IOC_SETFLAGS, &kernel) >= 0 ? 0 : -errno;
}

/* Sets the flags of name in a directory, which is a regular file or a directory. */
static int flags_write_at(int dir, const char *name, unsigned flags) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        r = open_quietly(dir, name, 0, &fd);
        return r < 0 ? r : tree_write_flags(fd, flags);
}

/* fchmodat(2) would follow a symbolic link. */
static int mode_write_at(int dir, const char *name, mode_t mode) {
        _cleanup_close_ int fd = -EBADF;
        char path[TREE_FD_PATH_MAX];
        int r;

        r = tree_open_path(dir, name, &fd);
        if (r < 0)
                return r;
        (void) snprintf(path, sizeof(path), "/proc/self/fd/%i", fd);
        return chmod(path, mode) < 0 ? -errno : 0;
}

int tree_apply_attributes(int dir, const char *name, const TreeEntry *e) {
        char path[TREE_FD_PATH_MAX];
        int r;

        /* In this order: a new owner takes away set-user-ID bits and capabilities, and an ACL comes on top of a
         * mode. */
        if (fchownat(dir, name, e->uid, e->gid, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        if (e->type != TREE_SYMLINK) {
                r = mode_write_at(dir, name, e->mode);
                if (r < 0)
                        return r;
        }
        (void) snprintf(path, sizeof(path), "/proc/self/fd/%i/%s", dir, name);
        r = xattrs_write(path, /* follow= */ false, e->xattrs, e->xattrs_size);
        if (r < 0)
                return r;
        if (utimensat(dir, name, (const struct timespec[]) { e->atime, e->mtime }, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        /* At last, since an immutable file takes no other attributes. */
        return e->flags != 0 ? flags_write_at(dir, name, e->flags) : 0;
}

int tree_link(int from, const char *first, unsigned flags, int dir, const char *name) {
        int r, k;

        if (linkat(from, first, dir, name, 0) >= 0)
                return 0;
        if (errno != EPERM || !(flags & (TREE_FLAG_IMMUTABLE | TREE_FLAG_APPEND)))
                return -errno;
        r = flags_write_at(from, first, flags & ~(TREE_FLAG_IMMUTABLE | TREE_FLAG_APPEND));
        if (r < 0)
                return r;
        r = linkat(from, first, dir, name, 0) < 0 ? -errno : 0;
        k = flags_write_at(from, first, flags);
        return r < 0 ? r : k;
}

int tree_remove_default_acl(int fd) {
        if (fremovexattr(fd, "system.posix_acl_default") < 0 && errno != ENODATA && errno != EOPNOTSUPP)
                return -errno;
        return 0;
}

/* --- small files --- */

static int read_all(int fd, uint8_t *buffer, size_t size, off_t offset) {
        while (size > 0) {
                ssize_t n = pread(fd, buffer, size, offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -ESTALE; /* it became shorter */
                buffer += n;
                size -= (size_t) n;
                offset += n;
        }
        return 0;
}

int tree_read_packed(int fd, size_t size, uint8_t *buffer, uint16_t *ret_pages) {
        uint16_t pages = 0;
        off_t hole = 0;
        int r;

        assert(size <= TREE_PACKED_MAX);

        while ((size_t) hole < size) {
                off_t data = lseek(fd, hole, SEEK_DATA);

                if (data < 0 && errno == ENXIO)
                        break;
                if (data >= 0)
                        hole = lseek(fd, data, SEEK_HOLE);
                if (data < 0 || hole < 0)
                        return -errno;

                for (size_t i = (size_t) data / TREE_PAGE; i * TREE_PAGE < MIN((size_t) hole, size); i++) {
                        size_t n = MIN(size - i * TREE_PAGE, TREE_PAGE);

                        r = read_all(fd, buffer, n, (off_t) (i * TREE_PAGE));
                        if (r < 0)
                                return r;
                        pages |= (uint16_t) (1U << i);
                        buffer += n;
                }
        }

        *ret_pages = pages;
        return 0;
}

int tree_write_packed(int fd, const TreeEntry *e, const uint8_t *data) {
        if (ftruncate(fd, (off_t) e->size) < 0)
                return -errno;

        for (unsigned i = 0; i < 16; i++) {
                size_t offset = i * TREE_PAGE, n;
                int r;

                if (!(e->pages & (1U << i)))
                        continue;
                n = MIN(e->size - offset, TREE_PAGE);
                r = pwrite_all(fd, data, n, (off_t) offset);
                if (r < 0)
                        return r;
                data += n;
        }
        return 0;
}

/* --- removing --- */

typedef struct Level {
        int fd;
        char *names;
        size_t size, position;
} Level;

static void level_done(Level *l) {
        safe_close(l->fd);
        free(l->names);
}

/* Goes down into a directory; the caller's descriptor of the first one is not ours to close. */
static int tree_files_enter(Level **levels, size_t *n, size_t *allocated, int dir, const char *name) {
        Level l = { .fd = -EBADF };
        int r;

        r = tree_open_directory(dir, name, &l.fd);
        /* What an immutable directory holds could not be removed. */
        if (r >= 0)
                (void) tree_write_flags(l.fd, 0);
        if (r >= 0)
                r = tree_read_names(l.fd, &l.names, &l.size);
        if (r >= 0)
                r = GREEDY_REALLOC(*levels, *allocated, *n + 1);
        if (r < 0) {
                level_done(&l);
                return r;
        }

        (*levels)[(*n)++] = l;
        return 0;
}

int tree_remove_contents(int fd) {
        _cleanup_free_ Level *levels = NULL;
        size_t n = 0, allocated = 0;
        int r, result;

        result = tree_files_enter(&levels, &n, &allocated, fd, ".");

        while (n > 0) {
                Level *l = levels + n - 1;
                const char *name;

                if (l->position >= l->size) {
                        level_done(l);
                        n--;
                        if (n > 0) {
                                /* Up to here the parent still points at the directory that is empty now. */
                                l = levels + n - 1;
                                name = l->names + l->position;
                                if (unlinkat(l->fd, name, AT_REMOVEDIR) < 0)
                                        result = -errno;
                                l->position += strlen(name) + 1;
                        }
                        continue;
                }

                name = l->names + l->position;
                if (unlinkat(l->fd, name, 0) < 0) {
                        r = -errno;
                        if (r == -EPERM && flags_write_at(l->fd, name, 0) >= 0)
                                r = unlinkat(l->fd, name, 0) < 0 ? -errno : 0;
                        if (r == 0) {
                                l->position += strlen(name) + 1;
                                continue;
                        }
                        if (r == -EISDIR)
                                r = tree_files_enter(&levels, &n, &allocated, l->fd, name);
                        if (r >= 0)
                                continue;
                        result = r;
                }
                l->position += strlen(name) + 1;
        }

        return result;
}
