/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "file-util.h"

int file_read(const char *path, size_t max, char **ret, size_t *ret_size) {
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ char *data = NULL;
        struct stat st;
        size_t n = 0;

        /* O_NONBLOCK: a fifo in its place must not make us wait. */
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;

        /* One byte more than allowed tells that it is too long, however it grows meanwhile. */
        data = malloc(max + 2);
        if (!data)
                return -ENOMEM;
        while (n <= max) {
                ssize_t l = read(fd, data + n, max + 1 - n);

                if (l < 0 && errno == EINTR)
                        continue;
                if (l < 0)
                        return -errno;
                if (l == 0)
                        break;
                n += (size_t) l;
        }
        if (n > max)
                return -EFBIG;

        data[n] = 0;
        *ret = TAKE_PTR(data);
        *ret_size = n;
        return 0;
}

int virtual_file_read(int dir, const char *path, size_t max, char **ret) {
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ char *text = NULL;
        size_t size = 0, allocated = 0;

        fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -errno;
        for (;;) {
                ssize_t n;

                if (GREEDY_REALLOC(text, allocated, size + KIB(16) + 1) < 0)
                        return -ENOMEM;
                n = read(fd, text + size, KIB(16));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                size += (size_t) n;
                if (size > max)
                        return -EFBIG;
        }
        if (memchr(text, 0, size))
                return -EBADMSG;

        text[size] = 0;
        *ret = TAKE_PTR(text);
        return 0;
}

int write_all(int fd, const void *data, size_t size) {
        const uint8_t *p = data;
        size_t n = size;

        while (n > 0) {
                ssize_t l = write(fd, p, n);

                if (l < 0 && errno == EINTR)
                        continue;
                if (l < 0)
                        return -errno;
                p += l;
                n -= (size_t) l;
        }
        return 0;
}

int pread_all(int fd, void *buffer, size_t size, uint64_t offset) {
        uint8_t *p = buffer;

        if (offset > INT64_MAX || size > INT64_MAX - offset)
                return -EBADMSG;
        while (size > 0) {
                ssize_t n = pread(fd, p, size, (off_t) offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -EBADMSG;
                p += n;
                offset += (uint64_t) n;
                size -= (size_t) n;
        }
        return 0;
}

int pwrite_all(int fd, const void *data, size_t size, off_t offset) {
        const uint8_t *p = data;

        while (size > 0) {
                ssize_t n = pwrite(fd, p, size, offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -EIO;
                p += n;
                offset += n;
                size -= (size_t) n;
        }
        return 0;
}

int existing_path(const char *path, char *buffer, size_t size) {
        struct stat st;

        if ((size_t) snprintf(buffer, size, "%s", path) >= size)
                return -ENAMETOOLONG;
        while (stat(buffer, &st) < 0) {
                char *slash = strrchr(buffer, '/');

                if (errno != ENOENT || !slash)
                        return -errno;
                /* The root directory is always there. */
                slash[slash == buffer] = 0;
        }
        return 0;
}

int file_write(const char *path, const void *data, size_t size) {
        _cleanup_free_ char *temporary = NULL;
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
                temporary = NULL;
                return -ENOMEM;
        }
        fd = mkostemp(temporary, O_CLOEXEC);
        if (fd < 0)
                return -errno;

        r = fchmod(fd, 0644) < 0 ? -errno : write_all(fd, data, size);
        if (r >= 0 && rename(temporary, path) < 0)
                r = -errno;
        if (r < 0)
                (void) unlink(temporary);
        return r;
}

int private_file_write(int directory, const char *name, const void *data, size_t size) {
        _cleanup_free_ char *temporary = NULL;
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (asprintf(&temporary, ".%s", name) < 0) {
                temporary = NULL;
                return -ENOMEM;
        }
        fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        r = write_all(fd, data, size);
        if (r >= 0 && renameat(directory, temporary, directory, name) < 0)
                r = -errno;
        if (r < 0)
                (void) unlinkat(directory, temporary, 0);
        return r;
}

int private_file_read(int directory, const char *name, size_t max, char **ret, size_t *ret_size, struct stat *ret_st) {
        _cleanup_free_ char *data = NULL;
        _cleanup_close_ int fd = -EBADF;
        ssize_t n;

        fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
                return -errno;
        if (fstat(fd, ret_st) < 0)
                return -errno;
        if (!S_ISREG(ret_st->st_mode) || (uint64_t) ret_st->st_size > max)
                return -EBADMSG;
        data = malloc((size_t) ret_st->st_size + 1);
        if (!data)
                return -ENOMEM;
        n = pread(fd, data, (size_t) ret_st->st_size, 0);
        if (n < 0)
                return -errno;
        *ret = TAKE_PTR(data);
        *ret_size = (size_t) n;
        return 0;
}

int open_directory_to_store(const char *path) {
        int fd;

        fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
        if (fd < 0)
                fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

void raise_descriptor_limit(void) {
        struct rlimit l;

        if (getrlimit(RLIMIT_NOFILE, &l) < 0)
                return;
        l.rlim_cur = l.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &l);
}
