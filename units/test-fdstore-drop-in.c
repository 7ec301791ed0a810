/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "device-mock.h"
#include "fdstore-drop-in.h"
#include "fdstore-node.h"
#include "file-util.h"
#include "node-name.h"
#include "test.h"

/* Nodes that the generator has to cope with in less than this time of the processor. */
#define NODES_MANY 1000U
#define USEC_MAX 20000

static char dir[64];
static unsigned n_errors;

static int setup(void **state) {
        const char *base = access("/dev/shm", W_OK) < 0 ? "/tmp" : "/dev/shm";

        (void) state;
        n_errors = 0;
        (void) snprintf(dir, sizeof(dir), "%s/test-pkram-drop-in.XXXXXX", base);
        return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state) {
        char command[128];

        (void) state;
        (void) snprintf(command, sizeof(command), "rm -rf -- %s", dir);
        return system(command);
}

static void count_error(_unused_ const char *unit, int r) {
        assert_true(r < 0);
        n_errors++;
}

static void add_node(const PkramDevice *device, const char *kernel_name) {
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;

        assert_ok(pkram_save_begin(device, kernel_name, &h));
        assert_ok(pkram_save_bytes(&h, "x", 1, NULL));
        assert_ok(pkram_save_commit(&h, false, NULL));
}

static void add_store(const PkramDevice *device, const char *unit, const char *name) {
        KernelName kernel_name = node_name_encode(unit, name);

        add_node(device, kernel_name.text);
}

static bool has_drop_in(const char *unit, const char *line) {
        _cleanup_free_ char *text = NULL;
        char path[512];
        size_t n;

        (void) snprintf(path, sizeof(path), "%s/%s.d/zzz-pkram-fdstore.conf", dir, unit);
        if (access(path, F_OK) < 0)
                return false;
        assert_ok(file_read(path, KIB(64), &text, &n));
        if (!strstr(text, line))
                fail_msg("%s lacks '%s':\n%s", path, line, text);
        return true;
}

static void test_units(void **state) {
        _cleanup_(mock_freep) Mock *mock = mock_new();
        PkramDevice device = mock_device(mock);
        char path[256], name[256];

        (void) state;
        add_store(&device, "plain.service", FDSTORE_NODE);
        add_store(&device, "a@b\\x2dc.service", FDSTORE_NODE "-required");
        add_store(&device, "all.service", FDSTORE_NODE "-all");
        add_store(&device, "root.service", FDSTORE_NODE "-root");
        add_store(&device, "exec.service", FDSTORE_NODE "-exec-required");
        /* None of these is the store of a service. */
        add_store(&device, "other.service", "some-node");
        add_store(&device, "shared.service", FDSTORE_SHARED_PREFIX "0123456789abcdef");
        add_store(&device, "probe.service", FDSTORE_NODE "-probe");
        add_store(&device, "session-1.scope", FDSTORE_NODE);
        add_store(&device, "uid:1000", FDSTORE_NODE);
        add_node(&device, "io.pkram..service|" FDSTORE_NODE);
        add_node(&device, "io.pkram.a\"b.service|" FDSTORE_NODE);
        add_node(&device, FDSTORE_NODE);
        assert_ok(fdstore_drop_ins_write(&device, dir, count_error));
        assert_int_equal(n_errors, 0);

        assert_true(has_drop_in("plain.service", "\nNotifyAccess=exec\nExecStartPre=-+"));
        assert_true(has_drop_in("plain.service", "\nWants=pkramd.socket pkram-fdstore.service\n"));
        assert_true(has_drop_in("plain.service", "push \"plain.service\" main\n"));
        assert_true(has_drop_in("a@b\\x2dc.service", "\nExecStartPre=+"));
        assert_true(has_drop_in("a@b\\x2dc.service", "push \"a@b\\\\x2dc.service\" main\n"));
        assert_true(has_drop_in("all.service", "[Service]\nExecStartPre=-+"));
        assert_true(has_drop_in("all.service", "push \"all.service\"\n"));
        assert_true(has_drop_in("root.service", "\nNotifyAccess=exec\nRootDirectoryStartOnly=yes\nExecStartPre=-+"));
        assert_true(has_drop_in("exec.service", "[Service]\nExecStartPre=+"));
        (void) snprintf(name, sizeof(name), "[ $(ls -A %s | wc -l) = 5 ]", dir);
        assert_int_equal(system(name), 0);

        /* It is run again by each daemon-reload, in an empty directory or not. */
        assert_ok(fdstore_drop_ins_write(&device, dir, count_error));

        /* What is in the way of one unit does not matter to others. */
        (void) snprintf(path, sizeof(path), "rm -rf %s/* && touch %s/plain.service.d", dir, dir);
        assert_int_equal(system(path), 0);
        assert_errno(fdstore_drop_ins_write(&device, dir, count_error), ENOTDIR);
        assert_int_equal(n_errors, 1);
        assert_true(has_drop_in("all.service", ""));
}

/* Units of a user manager cannot be ordered after those of the system. */
static void test_user(void **state) {
        int directory = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

        (void) state;
        assert_ok(directory);
        assert_false(fdstore_drop_in_is_wanted("a.service", FDSTORE_SHARED_PREFIX "0123456789abcdef"));
        assert_false(fdstore_drop_in_is_wanted("../a.service", FDSTORE_NODE));
        assert_true(fdstore_drop_in_is_wanted("a@b\\x2dc.service", FDSTORE_NODE));
        assert_ok(fdstore_drop_in_write(directory, /* user= */ true, "a@b\\x2dc.service", FDSTORE_NODE));
        assert_true(has_drop_in("a@b\\x2dc.service",
                                "\nWants=pkram-fdstore.service\nAfter=pkram-fdstore.service\n\n"));
        assert_true(has_drop_in("a@b\\x2dc.service", " --user push \"a@b\\\\x2dc.service\" main\n"));
        (void) close(directory);
}

static void test_failures(void **state) {
        _cleanup_(mock_freep) Mock *mock = mock_new();
        PkramDevice device = mock_device(mock);

        (void) state;
        /* Nothing is stored: not even the directory is looked at. */
        assert_ok(fdstore_drop_ins_write(&device, "/nonexistent", count_error));
        add_store(&device, "plain.service", FDSTORE_NODE);
        assert_errno(fdstore_drop_ins_write(&device, "/nonexistent", count_error), ENOENT);
        mock_set_missing(mock, -ENOENT);
        assert_ok(fdstore_drop_ins_write(&device, dir, count_error));
        mock_set_missing(mock, -EACCES);
        assert_errno(fdstore_drop_ins_write(&device, dir, count_error), EACCES);
        mock_set_missing(mock, 0);
        mock_set_off(mock, true);
        assert_ok(fdstore_drop_ins_write(&device, dir, count_error));
        mock_set_off(mock, false);
        mock_fail(mock, PKRAM_IOC_LIST, 1, -EIO);
        assert_errno(fdstore_drop_ins_write(&device, dir, count_error), EIO);
        assert_false(has_drop_in("plain.service", ""));
        assert_int_equal(n_errors, 0);
}

static uint64_t now_cpu_usec(void) {
        struct timespec t;

        assert_ok(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t));
        return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

static void test_many(void **state) {
        _cleanup_(mock_freep) Mock *mock = mock_new();
        PkramDevice device = mock_device(mock);
        uint64_t best = UINT64_MAX;

        (void) state;
        for (unsigned i = 0; i < NODES_MANY; i++) {
                char unit[64];

                (void) snprintf(unit, sizeof(unit), "service-%u.service", i);
                add_store(&device, unit, FDSTORE_NODE);
        }
        /* The best of some attempts: other tests run at the same time. */
        for (unsigned i = 0; i < 5; i++) {
                uint64_t begin = now_cpu_usec();

                assert_ok(fdstore_drop_ins_write(&device, dir, count_error));
                best = MIN(best, now_cpu_usec() - begin);
                if (i < 4) {
                        assert_int_equal(teardown(NULL), 0);
                        assert_int_equal(setup(NULL), 0);
                }
        }
        assert_true(has_drop_in("service-999.service", ""));
        print_message("# %u nodes take %llu us\n", NODES_MANY, (unsigned long long) best);
#ifndef __SANITIZE_ADDRESS__ /* which makes each allocation slow */
        assert_true(best < USEC_MAX);
#endif
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_units, setup, teardown),
                cmocka_unit_test_setup_teardown(test_user, setup, teardown),
                cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
                cmocka_unit_test_setup_teardown(test_many, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
