/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <assert.h>
#include <fcntl.h>
#include <string.h>

#include "kexec-util.h"

int read_virtual_file(const char *path, size_t max, char **ret) {
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ char *buf = NULL;
        size_t n = 0;

        assert(path);
        assert(max > 0 && max < SIZE_MAX - 2);
        assert(ret);

        fd = open(path, O_RDONLY|O_CLOEXEC|O_NOCTTY);
        if (fd < 0)
                return -errno;

        /* One byte more than allowed, to notice a longer file, and one for the NUL. */
        buf = malloc(max + 2);
        if (!buf)
                return -ENOMEM;

        for (;;) {
                ssize_t l = read(fd, buf + n, max + 1 - n);
                if (l < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                if (l == 0)
                        break;
                n += (size_t) l;
                if (n > max)
                        return -EFBIG;
        }

        if (memchr(buf, 0, n))
                return -EBADMSG;
        buf[n] = 0;

        *ret = TAKE_PTR(buf);
        return 0;
}
