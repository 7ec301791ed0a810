/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Nodes in files: what is stored comes back. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "disk-format.h"
#include "disk-io.h"
#include "test-disk-device.h"

static void assert_same(int a, int b) {
        struct stat x, y;

        assert_ok(fstat(a, &x));
        assert_ok(fstat(b, &y));
        assert_int_equal(x.st_size, y.st_size);
        assert_int_equal(x.st_mode, y.st_mode);
        assert_int_equal(x.st_blocks, y.st_blocks);
        assert_memory_equal(&x.st_mtim, &y.st_mtim, sizeof(x.st_mtim));
        for (off_t i = 0; i < x.st_size; i += 65536) {
                uint8_t p[65536], q[65536];
                ssize_t n = pread(a, p, sizeof(p), i);

                assert_true(n > 0);
                assert_int_equal(pread(b, q, sizeof(q), i), n);
                assert_memory_equal(p, q, n);
        }
}

static void test_round_trip(void **state) {
        _cleanup_close_ int fd = make_file(), back = -EBADF,
                target = memfd_create("target", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        struct pkram_ioctl_stat st;
        struct pkram_node_info nodes[4];
        struct pkram_ioctl_info info;
        Fixture *f = *state;
        uint8_t part[8];
        size_t n;

        assert_ok(put(f, "a b|c", DATA, fd, false));
        for (int i = 0; i < 2; i++) {
                assert_node(f, "a b|c", DATA);
                back = safe_close(back);
                assert_ok(get_file(f, "a b|c", &back));
                assert_same(fd, back);
                assert_int_equal(fcntl(back, F_GET_SEALS), F_SEAL_SHRINK);
                assert_int_equal(fcntl(back, F_GETFD), FD_CLOEXEC);
                fixture_restart(f, i == 0);
        }

        assert_ok(pkram_load_begin(&f->device, "a b|c", &h, NULL));
        assert_ok(pkram_load_file_into(&h, 1, PKRAM_FD_NONE, target));
        assert_same(fd, target);
        assert_errno(pkram_load_file_into(&h, 1, PKRAM_FD_NONE, target), EINVAL);
        assert_errno(pkram_load_stat(&h, 2, &st), ENODATA);
        assert_ok(pkram_load_stat(&h, 1, &st));
        assert_int_equal(st.state, PKRAM_STAT_FILE);
        assert_int_equal(st.file_bytes, MIB(5) + 10);
        assert_int_equal(st.pages, 256 + 2 + 1);
        assert_ok(pkram_load_stat(&h, 0, &st));
        assert_int_equal(st.state, PKRAM_STAT_BYTES);
        assert_ok(pkram_load_bytes_at(&h, 0, 5, part, sizeof(part), &n));
        assert_int_equal(n, sizeof(part));
        assert_memory_equal(part, &DATA[5], n);
        assert_ok(pkram_load_bytes_at(&h, 0, 1000, part, sizeof(part), &n));
        assert_int_equal(n, 0);

        assert_int_equal(list(f, 0, nodes, 4), 1);
        assert_string_equal(nodes[0].name, "a b|c");
        assert_int_equal(nodes[0].nr_objects, 2);
        assert_int_equal(nodes[0].data_pages, 256 + 2 + 1 + 1);
        assert_int_equal(nodes[0].generation, 1);
        assert_int_equal(nodes[0].flags, PKRAM_NODE_INHERITED | PKRAM_NODE_BUSY);
        assert_ok(pkram_device_info(&f->device, &info));
        assert_int_equal(info.boot_result, PKRAM_BOOT_RESTORED);
        assert_int_equal(info.nr_nodes, 1);
        assert_string_equal(info.prev_release, "6.01");
        assert_string_equal(f->notices, "");
}

static uint64_t bytes_awaited, bytes_left;
static int wait_error;

static int count_awaited(const char *call, int fd) {
        struct stat st;

        if (streq(call, "write_wait")) {
                bytes_awaited += MIB(8);
                return wait_error;
        }
        if (streq(call, "sync") && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
                bytes_left = (uint64_t) st.st_size - bytes_awaited;
        return 0;
}

/* Waiting for the disk is spread over the copy, whether of one file or of many, so that the last sync is short. */
static void test_written_meanwhile(void **state) {
        Fixture *f = *state;
        _cleanup_free_ uint8_t *data = malloc(MIB(100));
        _cleanup_close_ int large = memfd_create("large", MFD_CLOEXEC), small = memfd_create("small", MFD_CLOEXEC);

        memset(data, 1, MIB(100));
        assert_int_equal(pwrite(large, data, MIB(100), 0), MIB(100));
        assert_int_equal(pwrite(small, data, MIB(1), 0), MIB(1));
        for (unsigned many = 0; many < 2; many++) {
                _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;

                assert_ok(pkram_save_begin(&f->device, "n", &h));
                disk_io_hook = count_awaited;
                bytes_awaited = bytes_left = 0;
                for (unsigned i = 0; i < (many ? 100 : 1); i++)
                        assert_ok(pkram_save_file(&h, many ? small : large, NULL, NULL));
                assert_ok(pkram_save_commit(&h, many, NULL));
                assert_true(bytes_awaited >= MIB(56));
                assert_true(bytes_left <= MIB(48));
        }

        /* An error that is found while waiting is one of the call. */
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        assert_ok(pkram_save_begin(&f->device, "n", &h));
        wait_error = -EIO;
        assert_errno(pkram_save_file(&h, large, NULL, NULL), EIO);
        wait_error = 0;
        assert_ok(pkram_save_file(&h, large, NULL, NULL));
        assert_ok(pkram_save_commit(&h, true, NULL));
}

static int growing_fd;

static int grow_while_copied(const char *call, int fd) {
        static const char byte = 1;
        struct stat st;

        if (streq(call, "write") && growing_fd >= 0 && fstat(fd, &st) == 0 &&
            st.st_size > (off_t) (DISK_DATA_OFFSET + KIB(512)))
                for (off_t i = MIB(2); i < (off_t) MIB(8); i += 4096)
                        assert_int_equal(pwrite(growing_fd, &byte, 1, i), 1);
        return 0;
}

/* No more of a file is copied than it had at the beginning, so that no limit that was checked is exceeded. */
static void test_growing(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = memfd_create("test", MFD_CLOEXEC);
        _cleanup_free_ uint8_t *data = malloc(MIB(2));
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        struct stat st;

        memset(data, 1, MIB(2));
        assert_int_equal(pwrite(fd, data, MIB(2), 0), MIB(2));
        assert_ok(ftruncate(fd, MIB(8)));
        assert_ok(pkram_save_begin(&f->device, "n", &h));
        growing_fd = fd;
        disk_io_hook = grow_while_copied;
        assert_errno(pkram_save_file(&h, fd, NULL, NULL), EBUSY);
        growing_fd = -EBADF;
        assert_ok(fstat(h.fd, &st));
        assert_true(st.st_size <= (off_t) (DISK_DATA_OFFSET + MIB(2)));

        /* The node is as it was, and the file is stored as it is now. */
        assert_ok(pkram_save_file(&h, fd, NULL, NULL));
        assert_ok(pkram_save_commit(&h, false, NULL));
}

static void test_streams(void **state) {
        struct pkram_ioctl_bytes a = { .size = sizeof(a), .object = PKRAM_OBJECT_NEW };
        _cleanup_free_ uint8_t *data = malloc(MIB(3));
        _cleanup_free_ void *back = NULL;
        Fixture *f = *state;
        PkramHandle h;
        uint32_t object;
        size_t n;

        for (size_t i = 0; i < MIB(3); i++)
                data[i] = random_byte();
        assert_ok(pkram_save_begin(&f->device, "n", &h));
        assert_ok(pkram_save_bytes(&h, "", 0, &object));
        /* In pieces that fit nothing. */
        for (size_t done = 0; done < MIB(3); done += a.length) {
                a.data = (uintptr_t) (data + done);
                a.length = MIN(MIB(3) - done, (size_t) 700001);
                assert_ok(h.device.ops->ioctl(h.device.userdata, h.fd, PKRAM_IOC_SAVE_BYTES, &a));
        }
        assert_int_equal(a.object, 1);
        a.object = 0;
        assert_errno(h.device.ops->ioctl(h.device.userdata, h.fd, PKRAM_IOC_SAVE_BYTES, &a), EINVAL);
        assert_ok(pkram_save_commit(&h, false, NULL));
        assert_errno(pkram_save_commit(&h, false, NULL), EBADFD);
        pkram_handle_done(&h);

        fixture_restart(f, true);
        assert_ok(pkram_load_begin(&f->device, "n", &h, NULL));
        assert_ok(pkram_load_bytes(&h, 1, MIB(4), &back, &n));
        assert_int_equal(n, MIB(3));
        assert_memory_equal(back, data, n);
        pkram_handle_done(&h);
}

static void test_names_and_states(void **state) {
        _cleanup_handle_ PkramHandle one = PKRAM_HANDLE_NONE, two = PKRAM_HANDLE_NONE, save = PKRAM_HANDLE_NONE;
        struct pkram_node_info nodes[4];
        Fixture *f = *state;
        uint64_t first;

        assert_errno(put(f, "", DATA, -EBADF, false), EINVAL);
        assert_errno(put(f, "a/b", DATA, -EBADF, false), EINVAL);
        assert_ok(put(f, "n", "one", -EBADF, false));
        assert_errno(put(f, "n", "two", -EBADF, false), EEXIST);
        assert_node(f, "n", "one");
        assert_int_equal(list(f, 0, nodes, 4), 1);
        first = nodes[0].id;
        assert_ok(put(f, "n", "two", -EBADF, true));
        assert_node(f, "n", "two");
        assert_int_equal(list(f, 0, nodes, 4), 1);
        assert_true(nodes[0].id > first);
        assert_int_equal(nodes[0].flags, 0);

        assert_ok(pkram_load_begin(&f->device, "n", &one, NULL));
        assert_ok(pkram_load_begin(&f->device, "n", &two, NULL));
        assert_errno(pkram_load_remove(&one, "n"), EBUSY);
        assert_errno(put(f, "n", "three", -EBADF, true), EBUSY);
        pkram_handle_done(&two);
        assert_ok(pkram_load_remove(&one, "n"));
        pkram_handle_done(&one);
        assert_node(f, "n", NULL);
        assert_errno(drop(f, "n"), ENOENT);

        /* What is half done is gone with its descriptor, and was never there for others. */
        assert_ok(pkram_save_begin(&f->device, "n", &save));
        assert_ok(pkram_save_bytes(&save, DATA, 4, NULL));
        assert_node(f, "n", NULL);
        assert_errno(pkram_load_remove(&save, "n"), EBADFD);
        pkram_handle_done(&save);
        fixture_restart(f, false);
        assert_int_equal(list(f, 0, nodes, 4), 0);
}

/* The worker for trees has the descriptor, but not the device. */
static void test_attached(void **state) {
        struct pkram_ioctl_bytes a = { .size = sizeof(a), .object = PKRAM_OBJECT_NEW, .data = (uintptr_t) DATA,
                                       .length = 4 };
        struct pkram_ioctl_name name = { .size = sizeof(name), .name = "n" };
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        struct pkram_node_info nodes[4];
        Fixture *f = *state;
        int theirs;

        assert_ok(pkram_save_begin(&f->device, "n", &h));
        theirs = dup(h.fd);
        assert_true(disk_device_has(theirs));
        assert_ok(disk_device_ioctl_attached(f->d.path, theirs, PKRAM_IOC_SAVE_BYTES, &a));
        assert_errno(disk_device_ioctl_attached(f->d.path, theirs, PKRAM_IOC_LOAD_BYTES, &a), EBADFD);
        assert_ok(pkram_save_commit(&h, false, NULL));
        /* The worker still has it open, which delays no other client. */
        assert_node(f, "n", "what");
        pkram_handle_done(&h);
        safe_close(theirs);

        assert_ok(pkram_load_begin(&f->device, "n", &h, NULL));
        theirs = dup(h.fd);
        assert_ok(disk_device_ioctl_attached(f->d.path, theirs, PKRAM_IOC_REMOVE, &name));
        safe_close(theirs);
        pkram_handle_done(&h);
        assert_int_equal(list(f, 0, nodes, 4), 0);
        assert_node(f, "n", NULL);
}

static void test_sparse_tebibyte(void **state) {
        _cleanup_close_ int fd = memfd_create("sparse", MFD_CLOEXEC), back = -EBADF;
        Fixture *f = *state;
        struct stat st;
        uint8_t b;

        assert_ok(ftruncate(fd, INT64_C(1) << 40));
        assert_int_equal(pwrite(fd, "x", 1, (INT64_C(1) << 40) - 1), 1);
        assert_ok(put(f, "n", DATA, fd, false));
        fixture_restart(f, true);
        assert_ok(get_file(f, "n", &back));
        assert_ok(fstat(back, &st));
        assert_int_equal(st.st_size, INT64_C(1) << 40);
        assert_int_equal(st.st_blocks, 8);
        assert_int_equal(pread(back, &b, 1, (INT64_C(1) << 40) - 1), 1);
        assert_int_equal(b, 'x');
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_round_trip, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_written_meanwhile, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_growing, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_streams, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_names_and_states, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_attached, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_sparse_tebibyte, fixture_setup, fixture_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
