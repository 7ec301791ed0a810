/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The few helpers the kexec hook shares between its own files. Not part of its API. */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

#define TAKE_FD(fd)                     \
        ({                              \
                int *_pfd_ = &(fd);     \
                int _fd_ = *_pfd_;      \
                *_pfd_ = -EBADF;        \
                _fd_;                   \
        })

#define TAKE_PTR(p)                             \
        ({                                      \
                __typeof__(p) *_pp_ = &(p);     \
                __typeof__(p) _p_ = *_pp_;      \
                *_pp_ = NULL;                   \
                _p_;                            \
        })

static inline void close_fdp(int *fd) {
        if (*fd >= 0)
                (void) close(*fd);
}

static inline void free_charp(char **p) {
        free(*p);
}

#define _cleanup_close_ _cleanup_(close_fdp)
#define _cleanup_free_ _cleanup_(free_charp)

/* Reads a whole file without a size of its own (procfs, sysfs) that holds at most max bytes.
 *
 * ret: a NUL-terminated string the caller frees. A file with a NUL byte in it is refused with -EBADMSG, a
 * longer one with -EFBIG. */
int read_virtual_file(const char *path, size_t max, char **ret);

/* Reads exactly n bytes at offset. -EBADMSG when the file ends before that. */
int pread_exactly(int fd, void *buf, size_t n, uint64_t offset);
