/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the tests of the kexec hook share. cmocka wants its own includes in this order. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A readable descriptor of a file with these bytes. */
static inline int make_file(const void *data, size_t n) {
        int fd = memfd_create("test", MFD_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, data, n), (ssize_t) n);
        return fd;
}

static inline void write_file(const char *path, const void *data, size_t n) {
        int fd = open(path, O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, data, n), (ssize_t) n);
        assert_return_code(close(fd), errno);
}

/* Path of a new directory below the one tests may write to. Freed by the caller, removed by rm_rf(). */
static inline char *make_dir(void) {
        const char *t = getenv("TMPDIR");
        char *p;

        assert_true(asprintf(&p, "%s/pkram-test-XXXXXX", t && *t ? t : "/tmp") > 0);
        assert_non_null(mkdtemp(p));
        return p;
}

static inline void rm_rf(const char *path) {
        char *command;

        assert_true(asprintf(&command, "rm -rf -- '%s'", path) > 0);
        assert_int_equal(system(command), 0);
        free(command);
}
