/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ownership and small helpers used everywhere, in systemd's spelling. */
#pragma once

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_ __attribute__((unused))

#define ELEMENTSOF(x) (sizeof(x) / sizeof((x)[0]))
#define MIN(a, b) ({ typeof(a) _a = (a); typeof(b) _b = (b); _a < _b ? _a : _b; })
#define MAX(a, b) ({ typeof(a) _a = (a); typeof(b) _b = (b); _a > _b ? _a : _b; })

#define TAKE(var, nullvalue)                    \
        ({                                      \
                typeof(var) *_p = &(var);       \
                typeof(var) _v = *_p;           \
                *_p = (nullvalue);              \
                _v;                             \
        })
#define TAKE_PTR(p) TAKE(p, NULL)
#define TAKE_FD(fd) TAKE(fd, -EBADF)

#define DEFINE_CLEANUP(type, func)                      \
        static inline void func##p(type *p) {           \
                if (*p)                                 \
                        *p = func(*p);                  \
        }

#define KIB(x) ((uint64_t) (x) << 10)
#define MIB(x) ((uint64_t) (x) << 20)
#define GIB(x) ((uint64_t) (x) << 30)

#define USEC_PER_SEC UINT64_C(1000000)
#define NSEC_PER_USEC UINT64_C(1000)

static inline bool streq(const char *a, const char *b) {
        return strcmp(a, b) == 0;
}

static inline bool strneq(const char *a, const char *b, size_t n) {
        return strncmp(a, b, n) == 0;
}

static inline const char *startswith(const char *s, const char *prefix) {
        size_t n = strlen(prefix);

        return strneq(s, prefix, n) ? s + n : NULL;
}

static inline bool ends_with(const char *s, const char *end) {
        size_t n = strlen(s), k = strlen(end);

        return n >= k && streq(s + n - k, end);
}

/* Cuts blanks off both ends of a line, in place. */
static inline char *strip(char *s) {
        size_t n;

        s += strspn(s, " \t\r");
        n = strlen(s);
        while (n > 0 && strchr(" \t\r", s[n - 1]))
                s[--n] = 0;
        return s;
}

static inline void freep(void *p) {
        free(*(void **) p);
}

#define _cleanup_free_ _cleanup_(freep)

/* Closes fd if it is one, leaves errno alone. Returns -EBADF, so that fd = safe_close(fd) clears. */
static inline int safe_close(int fd) {
        if (fd >= 0) {
                int e = errno;

                (void) close(fd);
                errno = e;
        }

        return -EBADF;
}

static inline void closep(int *fd) {
        (void) safe_close(*fd);
}

#define _cleanup_close_ _cleanup_(closep)

static inline void close_many(int *fds, size_t n) {
        for (size_t i = 0; i < n; i++)
                fds[i] = safe_close(fds[i]);
}

/* Adds b to *a. Returns false, and leaves *a alone, if that overflows. */
static inline bool inc_u64(uint64_t *a, uint64_t b) {
        return !__builtin_add_overflow(*a, b, a);
}

/* The array p with room for "need" elements of that size, moved if need be. NULL, and p as it was, without memory. */
static inline void *greedy_realloc(void *p, size_t *allocated, size_t need, size_t size) {
        size_t n, bytes;

        if (*allocated >= need)
                return p;

        n = need < 8 ? 8 : need * 2;
        if (n < need || __builtin_mul_overflow(n, size, &bytes))
                return NULL;

        p = realloc(p, bytes);
        if (p)
                *allocated = n;
        return p;
}

/* Evaluates to 0 or -ENOMEM. */
#define GREEDY_REALLOC(p, allocated, need)                                              \
        ({                                                                              \
                void *_q = greedy_realloc((p), &(allocated), (need), sizeof((p)[0]));   \
                if (_q)                                                                 \
                        (p) = _q;                                                       \
                _q ? 0 : -ENOMEM;                                                       \
        })
