/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <linux/kexec.h>

#include "test-util.h"

#include "kexec-load.h"

/* What the last call got. */
static struct {
        unsigned calls;
        int kernel_fd, initrd_fd;
        char cmdline[4096];
        unsigned long cmdline_len, flags;
        char initrd[4096];
        ssize_t initrd_size;
        int fail_with;
} seen;

static long record(int kernel_fd, int initrd_fd, unsigned long cmdline_len, const char *cmdline, unsigned long flags) {
        seen.calls++;
        seen.kernel_fd = kernel_fd;
        seen.initrd_fd = initrd_fd;
        seen.cmdline_len = cmdline_len;
        seen.flags = flags;
        memcpy(seen.cmdline, cmdline ?: "", cmdline_len);
        seen.initrd_size = initrd_fd < 0 ? -1 : pread(initrd_fd, seen.initrd, sizeof(seen.initrd), 0);

        if (seen.fail_with > 0) {
                errno = seen.fail_with;
                return -1;
        }

        return 0;
}

static char *dir, *a, *b, *c, *missing;

static int setup(void **state) {
        (void) state;
        memset(&seen, 0, sizeof(seen));
        dir = make_dir();
        assert_true(asprintf(&a, "%s/a", dir) > 0);
        assert_true(asprintf(&b, "%s/b", dir) > 0);
        assert_true(asprintf(&c, "%s/c", dir) > 0);
        assert_true(asprintf(&missing, "%s/missing", dir) > 0);
        write_file(a, "AAAAA", 5);
        write_file(b, "BBBBBBBB", 8);
        write_file(c, "C", 1);
        return 0;
}

static int teardown(void **state) {
        (void) state;
        rm_rf(dir);
        free(dir);
        free(a);
        free(b);
        free(c);
        free(missing);
        return 0;
}

static int load(const char *const *initrds, const char *cmdline, const char **reterr_path) {
        int fd = make_file("kernel", 6), r;

        r = kexec_load(&(KexecLoad) { .kernel_fd = fd, .initrds = initrds, .cmdline = cmdline, .syscall = record },
                       reterr_path);
        if (r == 0)
                assert_int_equal(seen.kernel_fd, fd);
        close(fd);
        return r;
}

static void test_no_initrd(void **state) {
        const char *path = "unset";

        (void) state;
        assert_int_equal(load(NULL, "pkram=0x5 ro", &path), 0);
        assert_null(path);
        assert_int_equal(seen.calls, 1);
        assert_int_equal(seen.initrd_fd < 0, 1);
        assert_int_equal(seen.flags, KEXEC_FILE_NO_INITRAMFS);
        assert_string_equal(seen.cmdline, "pkram=0x5 ro");
        assert_int_equal(seen.cmdline_len, strlen("pkram=0x5 ro") + 1);

        assert_int_equal(load((const char*[]) { NULL }, "", NULL), 0);
        assert_int_equal(seen.flags, KEXEC_FILE_NO_INITRAMFS);
        assert_int_equal(seen.cmdline_len, 1);
}

static void test_one_initrd(void **state) {
        (void) state;
        assert_int_equal(load((const char*[]) { a, NULL }, "ro", NULL), 0);
        assert_int_equal(seen.flags, 0);
        assert_int_equal(seen.initrd_size, 5);
        assert_memory_equal(seen.initrd, "AAAAA", 5);
}

static void test_several_initrds(void **state) {
        (void) state;
        assert_int_equal(load((const char*[]) { a, b, c, NULL }, "ro", NULL), 0);
        assert_int_equal(seen.initrd_size, 8 + 8 + 4);
        assert_memory_equal(seen.initrd, "AAAAA\0\0\0BBBBBBBBC\0\0\0", 20);
}

static void test_initrd_descriptor(void **state) {
        int kernel = make_file("kernel", 6), initrd = make_file("initrd", 6);
        KexecLoad l = { .kernel_fd = kernel, .initrd_fd = &initrd, .cmdline = "x", .syscall = record };

        (void) state;
        assert_int_equal(kexec_load(&l, NULL), 0);
        assert_int_equal(seen.initrd_fd, initrd);
        assert_int_equal(seen.initrd_size, 6);
        assert_int_equal(seen.flags & KEXEC_FILE_NO_INITRAMFS, 0);

        /* Paths come first. The descriptor stays open. */
        l.initrds = (const char *const[]) { a, NULL };
        assert_int_equal(kexec_load(&l, NULL), 0);
        assert_int_not_equal(seen.initrd_fd, initrd);
        assert_int_equal(seen.initrd_size, 5);
        assert_true(fcntl(initrd, F_GETFD) >= 0);
        assert_return_code(close(initrd), errno);
        assert_return_code(close(kernel), errno);
}

static void test_bad_initrds(void **state) {
        const char *path = NULL;

        (void) state;
        assert_int_equal(load((const char*[]) { missing, NULL }, "ro", &path), -ENOENT);
        assert_ptr_equal(path, missing);
        assert_int_equal(load((const char*[]) { a, missing, b, NULL }, "ro", &path), -ENOENT);
        assert_ptr_equal(path, missing);
        assert_int_equal(load((const char*[]) { dir, NULL }, "ro", &path), -EISDIR);
        assert_ptr_equal(path, dir);
        assert_int_equal(load((const char*[]) { a, dir, NULL }, "ro", NULL), -EISDIR);
        assert_int_equal(load((const char*[]) { "/dev/null", NULL }, "ro", NULL), -EINVAL);
        /* Nothing was loaded meanwhile. */
        assert_int_equal(seen.calls, 0);
}

static void test_big_initrds(void **state) {
        /* Larger than the copy buffer, and not a multiple of it. */
        const size_t n = 1024 * 1024 + 3;
        char *data = malloc(n), *back = malloc(n);
        struct stat st;
        int fd = -EBADF;

        (void) state;
        assert_non_null(data);
        assert_non_null(back);
        for (size_t i = 0; i < n; i++)
                data[i] = (char) (i * 7 + i / 251);
        write_file(b, data, n);

        assert_int_equal(kexec_initrd_join((const char*[]) { a, b, NULL }, NULL, &fd), 0);
        assert_return_code(fstat(fd, &st), errno);
        assert_int_equal(st.st_size, 8 + n + 1);
        assert_int_equal(pread(fd, back, n, 8), (ssize_t) n);
        assert_memory_equal(data, back, n);
        close(fd);
        free(data);
        free(back);
}

static void test_errors_are_passed_on(void **state) {
        static const int errors[] = { EPERM, EBUSY, ENOEXEC, EKEYREJECTED, EADDRNOTAVAIL, ENOMEM, ENOSYS };
        const char *path = "unset";

        (void) state;
        for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
                seen.fail_with = errors[i];
                assert_int_equal(load(NULL, "ro", &path), -errors[i]);
                assert_null(path);
                /* Each has words of its own. */
                assert_string_not_equal(kexec_load_error(-errors[i]), strerror(errors[i]));
        }
        assert_string_equal(kexec_load_error(-EIO), strerror(EIO));
}

static void test_unload(void **state) {
        (void) state;
        assert_int_equal(kexec_unload(record), 0);
        assert_int_equal(seen.calls, 1);
        assert_int_equal(seen.flags, KEXEC_FILE_UNLOAD);
        seen.fail_with = EPERM;
        assert_int_equal(kexec_unload(record), -EPERM);
}

static void test_is_loaded(void **state) {
        (void) state;
        write_file(a, "1\n", 2);
        assert_int_equal(kexec_is_loaded(a), 1);
        write_file(a, "0\n", 2);
        assert_int_equal(kexec_is_loaded(a), 0);
        write_file(a, "", 0);
        assert_int_equal(kexec_is_loaded(a), -EBADMSG);
        write_file(a, "10\n", 3);
        assert_int_equal(kexec_is_loaded(a), -EBADMSG);
        write_file(a, "00000000000000000000000000", 26);
        assert_int_equal(kexec_is_loaded(a), -EFBIG);
        assert_int_equal(kexec_is_loaded(missing), -ENOENT);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                T(test_no_initrd),
                T(test_one_initrd),
                T(test_several_initrds),
                T(test_initrd_descriptor),
                T(test_bad_initrds),
                T(test_big_initrds),
                T(test_errors_are_passed_on),
                T(test_unload),
                T(test_is_loaded),
        };

        return cmocka_run_group_tests_name("kexec-load", tests, NULL, NULL);
}
