/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "disk-io.h"
#include "file-util.h"

#ifndef OVERLAYFS_SUPER_MAGIC
#define OVERLAYFS_SUPER_MAGIC 0x794c7630
#endif
#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif

int (*disk_io_hook)(const char *call, int fd);
void (*disk_io_alive)(void);
int (*disk_identify_hook)(int directory, const char *name, DiskIdentity *ret);

/* What callers get in the place of a negative errno of the system. */
static int system_error(int error) {
        switch (error) {
        case -ENOSPC:
                return -EDQUOT;
        case -EUCLEAN:
        case -EBADMSG:
                return -EIO; /* ext4 and XFS say so where their own structures are damaged */
        default:
                return error;
        }
}

static int disk_io_call_hook(const char *call, int fd) {
        if (disk_io_alive)
                disk_io_alive();
        return disk_io_hook ? system_error(disk_io_hook(call, fd)) : 0;
}

int disk_errno(void) {
        return system_error(-errno);
}

int disk_open(int directory, const char *name, int flags) {
        int r, fd;

        r = disk_io_call_hook("open", directory);
        if (r < 0)
                return r;
        fd = openat(directory, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
        return fd < 0 ? disk_errno() : fd;
}

int disk_open_to_lock(int directory, const char *name) {
        int fd = disk_open(directory, name, O_RDWR);

        if (fd == -EROFS || fd == -EPERM || fd == -EACCES || fd == -EISDIR)
                fd = disk_open(directory, name, O_RDONLY);
        return fd;
}

int disk_mkdir(int directory, const char *name) {
        int r;

        r = disk_io_call_hook("mkdir", directory);
        if (r < 0)
                return r;
        return mkdirat(directory, name, 0700) < 0 ? disk_errno() : 0;
}

int disk_rename(int from_directory, const char *from, int to_directory, const char *to, unsigned flags) {
        struct stat st;
        int r;

        r = disk_io_call_hook("rename", from_directory);
        if (r < 0)
                return r;
        if (renameat2(from_directory, from, to_directory, to, flags) >= 0)
                return 0;
        if (errno != EINVAL || flags != RENAME_NOREPLACE)
                return disk_errno();

        /* NFS and 9p have no flags. Only root's processes, which do not compete, create files here. */
        if (fstatat(to_directory, to, &st, AT_SYMLINK_NOFOLLOW) >= 0)
                return -EEXIST;
        if (errno != ENOENT || renameat(from_directory, from, to_directory, to) < 0)
                return disk_errno();
        return 0;
}

int disk_unlink(int directory, const char *name, int flags) {
        int r;

        r = disk_io_call_hook("unlink", directory);
        if (r < 0)
                return r;
        return unlinkat(directory, name, flags) < 0 ? disk_errno() : 0;
}

int disk_sync(int fd) {
        int r;

        r = disk_io_call_hook("sync", fd);
        if (r < 0)
                return r;
        while (fsync(fd) < 0)
                if (errno != EINTR)
                        return disk_errno();
        return 0;
}

int disk_open_directory(int directory, const char *name) {
        return disk_open(directory, name, O_RDONLY | O_DIRECTORY);
}

int disk_check_owner(int fd) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return disk_errno();
        return st.st_uid != geteuid() || (st.st_mode & 022) != 0 ? -EUCLEAN : 0;
}

int disk_open_or_create(int directory, const char *name) {
        int r, fd;

        fd = disk_open_directory(directory, name);
        if (fd == -ENOENT) {
                r = disk_mkdir(directory, name);
                if (r < 0 && r != -EEXIST)
                        return r;
                r = disk_sync(directory);
                if (r < 0)
                        return r;
                fd = disk_open_directory(directory, name);
        }
        if (fd < 0)
                return fd;
        r = disk_check_owner(fd);
        if (r < 0) {
                safe_close(fd);
                return r;
        }
        return fd;
}

static int range_write(int fd, uint64_t offset, uint64_t size, unsigned flags) {
        while (sync_file_range(fd, (off_t) offset, (off_t) size, flags) < 0)
                if (errno != EINTR)
                        return disk_errno();
        return 0;
}

int disk_write_begin(int fd, uint64_t offset, uint64_t size) {
        int r;

        r = disk_io_call_hook("write_begin", fd);
        return r < 0 ? r : range_write(fd, offset, size, SYNC_FILE_RANGE_WRITE);
}

int disk_write_wait(int fd, uint64_t offset, uint64_t size) {
        int r;

        r = disk_io_call_hook("write_wait", fd);
        if (r < 0)
                return r;
        /* This returns errors of the disk, which fsync() then does not return again. */
        return range_write(fd, offset, size,
                           SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}

int disk_identify(int directory, const char *name, DiskIdentity *ret) {
        struct statx st;
        struct statfs fs;
        int r;

        r = disk_io_call_hook("statx", directory);
        if (r < 0)
                return r;
        if (disk_identify_hook)
                return disk_identify_hook(directory, name, ret);
        if (statx(directory, name, AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME, &st) < 0 ||
            fstatfs(directory, &fs) < 0)
                return disk_errno();
        *ret = (DiskIdentity) {};
        /* These may number a directory differently after the next mount. */
        if (fs.f_type != OVERLAYFS_SUPER_MAGIC && fs.f_type != FUSE_SUPER_MAGIC && (st.stx_mask & STATX_INO))
                ret->inode = st.stx_ino;
        if ((st.stx_mask & STATX_BTIME) && st.stx_btime.tv_sec > 0)
                ret->birth_ns = (uint64_t) st.stx_btime.tv_sec * 1000000000 + st.stx_btime.tv_nsec;
        return 0;
}

static bool number_matches(uint64_t a, uint64_t b) {
        return a == b || a == 0 || b == 0;
}

bool disk_identity_matches(const DiskIdentity *a, const DiskIdentity *b) {
        return number_matches(a->inode, b->inode) && number_matches(a->birth_ns, b->birth_ns);
}

int disk_stream_open(int fd, DIR **ret) {
        if (fd < 0)
                return fd;
        *ret = fdopendir(fd);
        if (!*ret) {
                safe_close(fd);
                return disk_errno();
        }
        return 0;
}

const struct dirent *disk_read_entry(DIR *stream, int *r) {
        const struct dirent *de;

        if (*r < 0)
                return NULL;
        errno = 0;
        de = readdir(stream);
        if (!de && errno != 0)
                *r = disk_errno();
        return de;
}

int disk_lock(int fd, int operation) {
        int r;

        r = disk_io_call_hook("lock", fd);
        if (r < 0)
                return r;
        while (flock(fd, operation | LOCK_NB) < 0)
                if (errno != EINTR)
                        return errno == EWOULDBLOCK ? -EBUSY : disk_errno();
        return 0;
}

int disk_read(int fd, void *buffer, size_t size, uint64_t offset) {
        int r;

        r = disk_io_call_hook("read", fd);
        if (r >= 0)
                r = pread_all(fd, buffer, size, offset);
        /* The file ends before. */
        return r == -EBADMSG ? r : system_error(r);
}

int disk_write(int fd, const void *data, size_t size, uint64_t offset) {
        int r;

        r = disk_io_call_hook("write", fd);
        if (r < 0)
                return r;
        if (offset > INT64_MAX - size)
                return -EFBIG;
        return system_error(pwrite_all(fd, data, size, (off_t) offset));
}
