/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "ctl.h"
#include "file-util.h"

#define BUFFER_BYTES MIB(1)

/* Copies from the current offsets, up to limit bytes. Returns 0 at the end of the input, 1 at the limit, or a negative
 * errno. */
static int copy_bytes(int from, int to, uint64_t limit, uint8_t *buffer, Progress *p) {
        while (limit > 0) {
                ssize_t n = read(from, buffer, MIN(limit, (uint64_t) BUFFER_BYTES));
                int r;

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return 0;

                r = write_all(to, buffer, (size_t) n);
                if (r < 0)
                        return r;
                progress_set(p, p->done + (uint64_t) n);
                limit -= (uint64_t) n;
        }
        return 1;
}

/* Copies data and skips holes. */
static int copy_sparse(int from, int to, uint8_t *buffer, Progress *p) {
        struct stat st;
        off_t data, hole = 0;
        int r;

        if (fstat(from, &st) < 0 || ftruncate(to, st.st_size) < 0)
                return -errno;

        while ((data = lseek(from, hole, SEEK_DATA)) >= 0) {
                progress_set(p, p->done + (uint64_t) (data - hole));
                hole = lseek(from, data, SEEK_HOLE);
                if (hole < 0 || lseek(from, data, SEEK_SET) < 0 || lseek(to, data, SEEK_SET) < 0)
                        return -errno;
                r = copy_bytes(from, to, (uint64_t) (hole - data), buffer, p);
                if (r <= 0)
                        return r < 0 ? r : -EIO; /* it was truncated while it was copied */
        }

        if (errno != ENXIO)
                return -errno;
        /* Output that follows is written after the last hole. */
        return lseek(to, st.st_size, SEEK_SET) < 0 ? -errno : 0;
}

/* Checks whether size and holes of a file may be set: it has to be empty, and with O_APPEND data would end up after
 * them. */
static bool file_takes_holes(int fd, const struct stat *st) {
        int flags = fcntl(fd, F_GETFL);

        return S_ISREG(st->st_mode) && st->st_size == 0 && flags >= 0 && !(flags & O_APPEND) &&
                lseek(fd, 0, SEEK_CUR) == 0;
}

int copy_descriptor(int from, int to, uint64_t size, const char *what) {
        _cleanup_free_ uint8_t *buffer = NULL;
        struct stat a, b;
        Progress p;
        int r;

        buffer = malloc(BUFFER_BYTES);
        if (!buffer)
                return -ENOMEM;
        if (fstat(from, &a) < 0 || fstat(to, &b) < 0)
                return -errno;

        progress_begin(&p, what, size);
        /* Files in /proc are regular files of unknown size. */
        if (S_ISREG(a.st_mode) && a.st_size > 0 && lseek(from, 0, SEEK_CUR) == 0 && file_takes_holes(to, &b))
                r = copy_sparse(from, to, buffer, &p);
        else
                r = copy_bytes(from, to, UINT64_MAX, buffer, &p);
        progress_end(&p);
        return r;
}
