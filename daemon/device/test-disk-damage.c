/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Nodes in files: what is left through damage, failing disks, and crashes at every step. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "disk-file.h"
#include "disk-io.h"
#include "test-disk-device.h"

/* One byte is damaged after the other: nothing is read that was not stored, and the other node is as it was. */
static void test_each_byte(void **state) {
        Fixture *f = *state;
        char path[256], copy[256], other[256];
        struct stat st;
        unsigned n = 0;

        assert_ok(put(f, "other", "other", -EBADF, false));
        {
                _cleanup_close_ int fd = memfd_create("small", MFD_CLOEXEC);

                assert_int_equal(pwrite(fd, DATA, sizeof(DATA), 5000), sizeof(DATA));
                assert_ok(put(f, "n", DATA, fd, false));
        }
        node_path(f, "n", path, sizeof(path));
        (void) snprintf(copy, sizeof(copy), "%s/copy", f->d.parent);
        shell("cp -a %s %s", path, copy);
        assert_ok(stat(path, &st));

        for (off_t i = 0; i < st.st_size; i++) {
                _cleanup_free_ char *data = NULL;
                _cleanup_close_ int fd = -EBADF;
                char have[sizeof(DATA)];
                int r;

                /* Between the parts are holes, and gaps of up to a page. */
                if (i == (off_t) sizeof(DiskHeader))
                        i = DISK_TABLE_OFFSET;
                if (i == (off_t) (DISK_TABLE_OFFSET + 2 * sizeof(DiskObject)))
                        i = DISK_DATA_OFFSET;
                flip(path, i);
                fixture_restart(f, false);
                data = get(f, "n");
                r = get_file(f, "n", &fd);
                if (data && r >= 0)
                        n++; /* padding */
                if (data)
                        assert_string_equal(data, DATA);
                if (r >= 0) {
                        assert_int_equal(pread(fd, have, sizeof(have), 5000), sizeof(have));
                        assert_memory_equal(have, DATA, sizeof(have));
                }
                if (i < (off_t) sizeof(DiskHeader)) {
                        assert_null(data);
                        assert_true(r == -ENOENT || (r == -EPROTONOSUPPORT && i >= 8 && i < 12));
                }
                if (i >= DISK_TABLE_OFFSET && i < (off_t) (DISK_TABLE_OFFSET + 2 * sizeof(DiskObject)))
                        assert_true(!data || r == -EBADMSG);
                assert_node(f, "other", "other");
                if (access(path, F_OK) >= 0)
                        flip(path, i);
                else
                        shell("cp -a %s %s && rm -rf %s/set-aside", copy, path, f->d.path);
        }
        assert_true(n < 4096);
        node_path(f, "other", other, sizeof(other));
        fixture_restart(f, false);
        assert_node(f, "n", DATA);
}

static void test_truncated(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_file();
        char path[256];
        static const off_t sizes[] = { 0, 1, 479, 480, 4096, 4200, 8392704, 8392710, 9000000, 9443000 };

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                assert_ok(put(f, "n", DATA, fd, true));
                assert_ok(put(f, "other", "other", -EBADF, true));
                node_path(f, "n", path, sizeof(path));
                assert_ok(truncate(path, sizes[i]));
                fixture_restart(f, i % 2);
                assert_node(f, "n", NULL);
                assert_node(f, "other", "other");
                assert_non_null(strstr(f->notices, "damaged"));
        }
}

/* What was damaged after it was found is noticed when it is read. */
static void test_damaged_later(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_file(), back = -EBADF, target = memfd_create("t", MFD_CLOEXEC);
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        struct stat st;
        char path[256];

        assert_ok(put(f, "n", DATA, fd, true));
        node_path(f, "n", path, sizeof(path));
        flip(path, 9000000);
        assert_errno(get_file(f, "n", &back), EBADMSG);
        assert_node(f, "n", DATA);
        assert_ok(pkram_load_begin(&f->device, "n", &h, NULL));
        assert_errno(pkram_load_file_into(&h, 1, PKRAM_FD_NONE, target), EBADMSG);
        assert_ok(fstat(target, &st));
        assert_int_equal(st.st_size, 0);
        assert_int_equal(st.st_blocks, 0);
}

/* What is no node, or not to be trusted, is set aside or left alone, and named. */
static void test_foreign(void **state) {
        Fixture *f = *state;
        char path[256], dir[256];
        DiskHeader h;

        assert_ok(put(f, "n", DATA, -EBADF, false));
        assert_ok(put(f, "open", DATA, -EBADF, false));
        assert_ok(put(f, "later", DATA, -EBADF, false));
        assert_ok(put(f, "link", DATA, -EBADF, false));
        node_path(f, NULL, dir, sizeof(dir));
        node_path(f, "open", path, sizeof(path));
        assert_ok(chmod(path, 0604));
        node_path(f, "link", path, sizeof(path));
        shell("mv %s %s/elsewhere && ln -s %s/elsewhere %s", path, f->d.parent, f->d.parent, path);
        node_path(f, "later", path, sizeof(path));
        {
                _cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);

                assert_ok(disk_file_read_header(fd, &h));
                h.features = 1;
                disk_header_seal(&h);
                assert_ok(disk_write(fd, &h, sizeof(h), 0));
        }
        shell("touch %s/foreign; mkdir %s/directory; mkfifo %s/0123456789abcdef0123456789abcdef.node; "
              "touch %s/tmp-0000000000000000", dir, dir, dir, dir);
        node_path(f, "n", path, sizeof(path));
        shell("cp -a %s %s/00000000000000000000000000000000.node", path, dir);

        fixture_restart(f, true);
        assert_node(f, "n", DATA);
        assert_node(f, "open", NULL);
        assert_node(f, "link", NULL);
        assert_null(get(f, "later"));
        assert_int_equal(errno, EPROTONOSUPPORT);
        assert_errno(put(f, "later", DATA, -EBADF, false), EEXIST);
        assert_non_null(strstr(f->notices, "Ignoring 'foreign'"));
        assert_non_null(strstr(f->notices, "Ignoring 'directory'"));
        assert_non_null(strstr(f->notices, "a later version wrote it"));
        assert_non_null(strstr(f->notices, "accessible to other users"));
        assert_non_null(strstr(f->notices, "no regular file"));
        node_path(f, NULL, dir, sizeof(dir));
        shell("test ! -e %s/tmp-0000000000000000 && test -e %s/foreign", dir, dir);

        /* Any user could put nodes there. */
        assert_ok(chmod(f->d.path, 0777));
        fixture_restart(f, false);
        assert_errno(put(f, "m", DATA, -EBADF, false), EUCLEAN);
        assert_ok(chmod(f->d.path, 0700));
        assert_node(f, "n", DATA);
}

static int system_is_damaged(const char *call, _unused_ int fd) {
        return streq(call, "open") ? -EUCLEAN : 0;
}

/* ext4 and XFS have an error in common with a directory that others can write to. */
static void test_file_system(void **state) {
        Fixture *f = *state;

        assert_ok(put(f, "n", DATA, -EBADF, false));
        disk_io_hook = system_is_damaged;
        fixture_restart(f, false);
        assert_errno(put(f, "m", DATA, -EBADF, false), EIO);
        disk_io_hook = NULL;
        fixture_restart(f, false);
        assert_node(f, "n", DATA);
}

static ino_t failing_inode;

static int inode_fails(const char *call, int fd) {
        struct stat st;

        return streq(call, "read") && fstat(fd, &st) >= 0 && st.st_ino == failing_inode ? -EIO : 0;
}

/* A node whose file cannot be read is there, though not listed, and can be loaded when it can be read. */
static void test_unreadable(void **state) {
        struct pkram_node_info nodes[4];
        Fixture *f = *state;
        char path[256];
        struct stat st;

        assert_ok(put(f, "n", "n", -EBADF, false));
        assert_ok(put(f, "other", "other", -EBADF, false));
        node_path(f, "n", path, sizeof(path));
        assert_ok(stat(path, &st));
        failing_inode = st.st_ino;
        for (int i = 0; i < 2; i++) {
                disk_io_hook = inode_fails;
                fixture_restart(f, true);
                assert_int_equal(list(f, 0, nodes, 4), 1);
                assert_null(get(f, "n"));
                assert_int_equal(errno, EIO);
                assert_errno(drop(f, "n"), EIO);
                assert_errno(put(f, "n", "new", -EBADF, false), EEXIST);
                assert_node(f, "other", "other");
                assert_node(f, "missing", NULL);
                assert_non_null(strstr(f->notices, "Ignoring"));
                if (i == 0) {
                        disk_io_hook = NULL;
                        assert_node(f, "n", "n");
                        assert_int_equal(list(f, 0, nodes, 4), 2);
                        assert_true(nodes[0].id < nodes[1].id);
                }
        }
        assert_ok(put(f, "n", "new", -EBADF, true));
        disk_io_hook = NULL;
        assert_node(f, "n", "new");
        assert_int_equal(list(f, 0, nodes, 4), 2);
}

/* --- failing calls, and crashes --- */

static unsigned calls, stop_at;
static int stop_error; /* 0: the process ends */

static int on_call(_unused_ const char *call, _unused_ int fd) {
        if (++calls != stop_at)
                return 0;
        if (stop_error == 0)
                _exit(99);
        return stop_error;
}

/*
 * What is there before: "kept" and "old". The steps replace "old", remove "kept", and store "more"; *ret_done says how
 * far they came.
 */
static int steps(Fixture *f, unsigned *ret_done) {
        _cleanup_close_ int fd = memfd_create("small", MFD_CLOEXEC);
        int r;

        assert_int_equal(pwrite(fd, DATA, sizeof(DATA), 0), sizeof(DATA));
        assert_int_equal(pwrite(fd, DATA, sizeof(DATA), 20000), sizeof(DATA));

        r = put(f, "old", "new", fd, true);
        if (r < 0)
                return r;
        *ret_done = 1;
        r = drop(f, "kept");
        if (r < 0)
                return r;
        *ret_done = 2;
        r = put(f, "more", "more", -EBADF, false);
        if (r < 0)
                return r;
        *ret_done = 3;
        return 0;
}

static void check_steps(Fixture *f, unsigned done, bool ended) {
        _cleanup_free_ char *old = get(f, "old"), *kept = get(f, "kept"), *more = get(f, "more");
        _cleanup_close_ int fd = -EBADF;

        /* A step that ended is there; the one that was cut off may be. */
        assert_non_null(old);
        if (done >= 1)
                assert_string_equal(old, "new");
        else
                assert_true(streq(old, "old") || streq(old, "new"));
        if (streq(old, "new"))
                assert_ok(get_file(f, "old", &fd));
        if (done >= 2)
                assert_null(kept);
        else if (done < 1 || (kept && !ended))
                assert_string_equal(kept, "kept");
        if (done >= 3)
                assert_string_equal(more, "more");
        else
                assert_true(!more || streq(more, "more"));
        if (done < 2)
                assert_null(more);
}

static void prepare_steps(Fixture *f) {
        (void) drop(f, "more");
        assert_ok(put(f, "old", "old", -EBADF, true));
        assert_ok(put(f, "kept", "kept", -EBADF, true));
}

static void check_no_leftovers(Fixture *f) {
        struct pkram_node_info nodes[4];
        char dir[256];

        assert_true(list(f, 0, nodes, 4) >= 1);
        node_path(f, NULL, dir, sizeof(dir));
        shell("! ls %s | grep -q ^tmp-", dir);
}

/* Each call fails once, in each way: what was stored is there, and the steps work the next time. */
static void test_each_call_fails(void **state) {
        static const int errors[] = { -EIO, -EDQUOT, -EROFS, -ENOMEM };
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(errors); i++)
                for (stop_at = 1;; stop_at++) {
                        unsigned done = 0;
                        int r;

                        prepare_steps(f);
                        fixture_restart(f, stop_at % 2);
                        calls = 0;
                        stop_error = errors[i];
                        disk_io_hook = on_call;
                        r = steps(f, &done);
                        disk_io_hook = NULL;
                        if (calls < stop_at) {
                                assert_ok(r);
                                assert_true(stop_at > 50);
                                break;
                        }
                        check_steps(f, done, true);
                        check_no_leftovers(f);
                        fixture_restart(f, stop_at % 3 == 0);
                        check_steps(f, done, true);
                        check_no_leftovers(f);
                }
}

/* The process is killed before each call, and in every second case the machine restarts, too. */
static void test_each_call_is_the_last(void **state) {
        Fixture *f = *state;

        for (stop_at = 1;; stop_at++) {
                unsigned *done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
                int status;
                pid_t pid;

                assert_true(done != MAP_FAILED);
                prepare_steps(f);
                fixture_restart(f, stop_at % 3 == 1);
                pid = fork();
                assert_ok(pid);
                if (pid == 0) {
                        calls = 0;
                        stop_error = 0;
                        disk_io_hook = on_call;
                        _exit(steps(f, done) < 0 ? 98 : 0);
                }
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 99 || WEXITSTATUS(status) == 0));
                fixture_restart(f, stop_at % 2);
                check_steps(f, *done, false);
                check_no_leftovers(f);
                (void) munmap(done, 4096);
                if (WEXITSTATUS(status) == 0) {
                        assert_true(stop_at > 50);
                        return;
                }
        }
}

/* The same while the directory is taken over by the next boot, twice in a row. */
static void test_crash_at_boot(void **state) {
        Fixture *f = *state;

        assert_ok(put(f, "n", DATA, -EBADF, false));
        for (stop_at = 1; stop_at < 200; stop_at++) {
                int status = 0;

                for (int i = 0; i < 2; i++) {
                        fixture_restart(f, true);
                        pid_t pid = fork();

                        assert_ok(pid);
                        if (pid == 0) {
                                calls = 0;
                                stop_error = 0;
                                disk_io_hook = on_call;
                                assert_node(f, "n", DATA);
                                _exit(0);
                        }
                        assert_int_equal(waitpid(pid, &status, 0), pid);
                        assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 99 || WEXITSTATUS(status) == 0));
                }
                fixture_restart(f, true);
                assert_node(f, "n", DATA);
                assert_string_equal(f->notices, "");
                if (WEXITSTATUS(status) == 0) {
                        assert_true(stop_at > 10);
                        return;
                }
        }
        fail();
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_each_byte, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_truncated, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_damaged_later, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_foreign, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_file_system, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_unreadable, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_each_call_fails, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_each_call_is_the_last, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_crash_at_boot, fixture_setup, fixture_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
