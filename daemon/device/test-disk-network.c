/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Nodes in files of a file system that can do less than a local one: NFS, and for renames 9p as well. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "disk-io.h"
#include "test-disk-device.h"

static unsigned refused_renames, refused_locks;

/* These take the place of the functions of libc. */
int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
        if (flags) {
                refused_renames++;
                errno = EINVAL;
                return -1;
        }
        return (int) syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

int flock(int fd, int operation) {
        if ((operation & LOCK_EX) && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY) {
                refused_locks++;
                errno = EBADF;
                return -1;
        }
        return (int) syscall(SYS_flock, fd, operation);
}

static void test_boots(void **state) {
        struct pkram_node_info nodes[4];
        Fixture *f = *state;

        assert_ok(put(f, "n", DATA, -EBADF, false));
        assert_ok(put(f, "m", DATA, -EBADF, false));
        refused_renames = 0;
        for (unsigned i = 1; i <= 3; i++) {
                fixture_restart(f, true);
                assert_int_equal(list(f, 0, nodes, 4), 2);
                assert_node(f, "n", DATA);
                assert_int_equal(refused_renames, i);
        }
        assert_string_equal(f->notices, "");
}

/* Replacing and removing nodes, which takes exclusive locks. */
static void test_changes(void **state) {
        _cleanup_handle_ PkramHandle one = PKRAM_HANDLE_NONE, two = PKRAM_HANDLE_NONE;
        struct pkram_node_info nodes[4];
        Fixture *f = *state;

        assert_ok(put(f, "n", "old", -EBADF, false));
        assert_errno(put(f, "n", "new", -EBADF, false), EEXIST);
        assert_ok(put(f, "n", "new", -EBADF, true));
        assert_node(f, "n", "new");

        /* A node that is loaded by others is not removed, and stays locked by those who load it. */
        refused_locks = 0;
        assert_ok(pkram_load_begin(&f->device, "n", &one, NULL));
        assert_ok(pkram_load_begin(&f->device, "n", &two, NULL));
        assert_errno(pkram_load_remove(&one, "n"), EBUSY);
        assert_true(refused_locks > 0);
        pkram_handle_done(&two);
        assert_errno(put(f, "n", "newer", -EBADF, true), EBUSY);
        assert_ok(pkram_load_remove(&one, "n"));
        pkram_handle_done(&one);
        assert_int_equal(list(f, 0, nodes, 4), 0);
        assert_node(f, "n", NULL);
        assert_ok(put(f, "n", "again", -EBADF, false));
        assert_node(f, "n", "again");
}

/* Nothing is replaced, although the file system cannot ensure that. */
static void test_nothing_replaced(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int dir = -EBADF;
        struct stat st;

        dir = open(f->d.parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_ok(dir);
        shell("cd %s && echo a >a && echo bb >b && mkdir d", f->d.parent);
        assert_errno(disk_rename(dir, "a", dir, "b", RENAME_NOREPLACE), EEXIST);
        assert_errno(disk_rename(dir, "a", dir, "d", RENAME_NOREPLACE), EEXIST);
        assert_errno(disk_rename(dir, "missing", dir, "c", RENAME_NOREPLACE), ENOENT);
        assert_ok(fstatat(dir, "b", &st, 0));
        assert_int_equal(st.st_size, 3);
        assert_ok(disk_rename(dir, "a", dir, "c", RENAME_NOREPLACE));
        assert_true(faccessat(dir, "a", F_OK, 0) < 0);
        assert_ok(faccessat(dir, "c", F_OK, 0));
        assert_ok(disk_rename(dir, "c", dir, "b", 0));
}

static int rename_is_invalid(const char *call, _unused_ int fd) {
        return streq(call, "rename") ? -EINVAL : 0;
}

/* An error that has no text of its own is told nevertheless. */
static void test_other_error(void **state) {
        struct pkram_ioctl_info info;
        Fixture *f = *state;
        char *first;

        assert_ok(put(f, "n", DATA, -EBADF, false));
        disk_io_hook = rename_is_invalid;
        fixture_restart(f, true);
        for (unsigned i = 0; i < 2; i++)
                assert_errno(pkram_device_info(&f->device, &info), EINVAL);
        first = strstr(f->notices, "for nodes: Invalid argument");
        assert_non_null(first);
        assert_null(strstr(first + 1, "for nodes"));
        disk_io_hook = NULL;
        assert_node(f, "n", DATA);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_boots, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_changes, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_nothing_replaced, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_other_error, fixture_setup, fixture_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
