/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Nodes in files, from boot to boot: whose they are, old copies, and file systems that are full or read-only. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "disk-format.h"
#include "disk-io.h"
#include "test-disk-device.h"

/* Nodes that are not retrieved are carried from boot to boot. */
static void test_carried(void **state) {
        struct pkram_node_info nodes[4];
        Fixture *f = *state;

        assert_ok(put(f, "n", DATA, -EBADF, false));
        for (unsigned i = 1; i <= 3; i++) {
                fixture_restart(f, true);
                assert_int_equal(list(f, 0, nodes, 4), 1);
                assert_int_equal(nodes[0].generation, i);
                assert_node(f, "n", DATA);
                assert_string_equal(f->notices, "");
        }
        assert_ok(drop(f, "n"));
        fixture_restart(f, true);
        assert_int_equal(list(f, 0, nodes, 4), 0);
}

/* A backup of the directory of nodes, or of one file, is never taken for what the last boot left. */
static void test_old_copy(void **state) {
        struct pkram_ioctl_info info;
        struct pkram_node_info nodes[4];
        Fixture *f = *state;
        char path[256];

        assert_ok(put(f, "n", "old", -EBADF, false));
        node_path(f, NULL, path, sizeof(path));
        shell("cp -a %s %s/backup", path, f->d.parent);
        fixture_restart(f, true);
        assert_ok(drop(f, "n"));
        assert_ok(put(f, "n", "new", -EBADF, false));
        shell("mv %s/backup %s", f->d.parent, path);

        for (int i = 0; i < 2; i++) {
                fixture_restart(f, true);
                assert_node(f, "n", "new");
                assert_int_equal(list(f, 0, nodes, 4), 1);
                assert_ok(pkram_device_info(&f->device, &info));
                assert_int_equal(info.boot_result, i == 0 ? PKRAM_BOOT_PARTIAL : PKRAM_BOOT_RESTORED);
                if (i > 0)
                        break;
                assert_non_null(strstr(f->notices, "does not belong to the last shutdown"));
                assert_int_equal(list(f, PKRAM_LIST_DROPPED, nodes, 4), 1);
                assert_string_equal(nodes[0].name, "n");
                assert_int_equal(nodes[0].damage, DISK_DAMAGE_STALE);
                /* That is known after pkramd was started again, too. */
                fixture_restart(f, false);
                assert_int_equal(list(f, PKRAM_LIST_DROPPED, nodes, 4), 1);
        }
}

/*
 * A backup of the whole directory has a state that fits its nodes. It is restored while no boot uses the disk, or in
 * the boot that it was made in.
 */
static void test_old_directory(void **state) {
        static const char *const restores[] = {
                "rm -rf $d && cp -a $b $d",
                "rm -rf $d/* && cp -a $b/. $d",
                "rm -rf $d && mkdir -m 700 $d && tar -C $b -c . | tar -C $d -x -p",
        };
        Fixture *f = *state;
        struct pkram_node_info nodes[4];
        char backup[128];

        (void) snprintf(backup, sizeof(backup), "%s/backup", f->d.parent);
        for (size_t i = 0; i < 2 * ELEMENTSOF(restores); i++) {
                bool same_boot = i >= ELEMENTSOF(restores);

                assert_ok(put(f, "n", "old", -EBADF, true));
                shell("rm -rf %s && cp -a %s %s", backup, f->d.path, backup);
                if (!same_boot)
                        fixture_restart(f, true);
                assert_ok(put(f, "n", "new", -EBADF, true));
                shell("d=%s b=%s; %s", f->d.path, backup, restores[i % ELEMENTSOF(restores)]);
                /* The device that is in use notices as well. */
                assert_errno(put(f, "m", DATA, -EBADF, false), ESTALE);
                fixture_restart(f, !same_boot);
                assert_node(f, "n", NULL);
                assert_non_null(strstr(f->notices, "does not belong to the last shutdown"));
                assert_int_equal(list(f, PKRAM_LIST_DROPPED, nodes, 4), 1);
                assert_string_equal(nodes[0].name, "n");
                assert_ok(put(f, "n", "newer", -EBADF, false));
                fixture_restart(f, true);
                assert_node(f, "n", "newer");
        }

        /* Moved within the file system it is the same directory. */
        shell("mv %s %s.away && mv %s.away %s", f->d.path, f->d.path, f->d.path, f->d.path);
        fixture_restart(f, true);
        assert_node(f, "n", "newer");
}

static void shell_record(Fixture *f, const DiskRecord *r, const char *version) {
        char text[DISK_RECORD_MAX], path[128];
        int n, fd;

        (void) snprintf(path, sizeof(path), "%s/state", f->d.path);
        n = snprintf(text, sizeof(text),
                     "version=%s\nboot=%s\ntoken=%s\nfrom=%s\ngeneration=%u\nrelease=%s\nrunning=%s\n", version,
                     r->boot_id, r->token, r->from, (unsigned) r->generation, r->release, r->running);
        n += snprintf(text + n, sizeof(text) - (size_t) n, "checksum=%016llx\n",
                      (unsigned long long) disk_checksum(text, (size_t) n));
        fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
        assert_ok(fd);
        assert_int_equal(write(fd, text, (size_t) n), n);
        safe_close(fd);
}

/* The state of the version before has no identity. Its nodes are taken over, and have one from then on. */
static void test_state_version_1(void **state) {
        Fixture *f = *state;
        DiskRecord record;

        assert_ok(put(f, "n", "n", -EBADF, false));
        {
                _cleanup_disk_directory_ DiskDirectory d = DISK_DIRECTORY_NONE;

                assert_ok(disk_directory_open(f->d.path, &d));
                record = d.record;
        }
        assert_true(record.nodes.inode != 0);
        shell_record(f, &record, "1");
        fixture_restart(f, true);
        assert_node(f, "n", "n");
        assert_string_equal(f->notices, "");
        shell("grep -qx version=2 %s/state && grep -qx inode=$(stat -c %%i %s/nodes.*) %s/state", f->d.path,
              f->d.path, f->d.path);
        shell_record(f, &record, "2");
        fixture_restart(f, true);
        assert_node(f, "n", NULL);
        assert_non_null(strstr(f->notices, "is damaged"));
}

/* Where numbers do not last, or birth times are not known, the rest has to match. */
static void test_identity(_unused_ void **state) {
        const DiskIdentity a = { 1, 2 }, no_birth = { 1, 0 }, no_inode = { 0, 2 }, none = {};
        const DiskIdentity other_inode = { 3, 2 }, other_birth = { 1, 3 };

        assert_true(disk_identity_matches(&a, &a) && disk_identity_matches(&a, &no_birth) &&
                    disk_identity_matches(&no_inode, &a) && disk_identity_matches(&none, &a));
        assert_false(disk_identity_matches(&a, &other_inode));
        assert_false(disk_identity_matches(&a, &other_birth));
        assert_false(disk_identity_matches(&no_birth, &other_inode));
        assert_false(disk_identity_matches(&no_inode, &other_birth));
}

/* A boot that did without the store may have made newer data elsewhere. */
static void test_boot_without(void **state) {
        struct pkram_node_info nodes[4];
        Fixture *f = *state;
        DiskBoot without = { .boot_id = "ffffffffffffffffffffffffffffffff", .release = "6.x" };

        assert_ok(disk_directory_pass("/nonexistent/pkram", &without));
        assert_ok(disk_directory_pass(f->d.path, &without));
        assert_ok(put(f, "n", "old", -EBADF, false));
        assert_ok(disk_directory_pass(f->d.path, &f->d.boot));
        assert_node(f, "n", "old");
        assert_ok(disk_directory_pass(f->d.path, &without));
        assert_ok(disk_directory_pass(f->d.path, &without));
        fixture_restart(f, true);
        assert_node(f, "n", NULL);
        assert_int_equal(list(f, PKRAM_LIST_DROPPED, nodes, 4), 1);
}

/* A device of an earlier boot, or one whose directory is gone, does nothing any more. */
static void test_directory_gone(void **state) {
        Fixture *f = *state;
        Fixture other = *f;

        assert_ok(put(f, "n", DATA, -EBADF, false));
        assert_ok(disk_device_new(f->d.path, &f->d.boot, NULL, NULL, &other.disk));
        other.device = disk_device(other.disk);
        assert_node(&other, "n", DATA);
        fixture_restart(f, true);
        assert_node(f, "n", DATA);
        assert_errno(put(&other, "m", DATA, -EBADF, false), ESTALE);
        disk_device_free(other.disk);

        shell("mv %s %s.away", f->d.path, f->d.path);
        assert_errno(put(f, "m", DATA, -EBADF, false), ESTALE);
        shell("mv %s.away %s", f->d.path, f->d.path);
        assert_ok(put(f, "m", DATA, -EBADF, false));
}

static void test_expire(void **state) {
        Fixture *f = *state;
        char path[256];

        assert_ok(put(f, "n", DATA, -EBADF, false));
        node_path(f, "n", path, sizeof(path));
        shell("printf x >>%s", path);
        fixture_restart(f, true);
        assert_node(f, "n", NULL);
        assert_non_null(strstr(f->notices, "damaged"));

        fixture_restart(f, true);
        disk_device_set_keep(f->disk, 3600);
        assert_node(f, "n", NULL);
        shell("test \"$(find %s/set-aside -name '*.node' | wc -l)\" = 1", f->d.path);
        shell("find %s/set-aside -exec touch -d '2 hours ago' {} +", f->d.path);
        /* The clock may have been set since this boot began. */
        fixture_restart(f, false);
        disk_device_set_keep(f->disk, 3600);
        assert_node(f, "n", NULL);
        shell("test \"$(find %s/set-aside -name '*.node' | wc -l)\" = 1", f->d.path);
        fixture_restart(f, true);
        disk_device_set_keep(f->disk, 3600);
        assert_node(f, "n", NULL);
        shell("test \"$(find %s/set-aside -name '*.node' | wc -l)\" = 0", f->d.path);
}

static void test_record(_unused_ void **state) {
        DiskRecord r = { .generation = 3, .release = "6.12.1", .running = "6.12.2",
                         .nodes = { UINT64_MAX, 1234567890 } }, s;
        char text[DISK_RECORD_MAX], copy[DISK_RECORD_MAX];
        size_t n;

        memset(r.boot_id, 'a', DISK_TOKEN_LENGTH);
        memset(r.token, 'b', DISK_TOKEN_LENGTH);
        n = (size_t) disk_record_format(&r, text);
        assert_ok(disk_record_parse(text, n, &s));
        assert_memory_equal(&r, &s, sizeof(r));
        for (size_t i = 0; i < n; i++) {
                memcpy(copy, text, n);
                copy[i] ^= 1;
                assert_fails(disk_record_parse(copy, n, &s));
                assert_errno(disk_record_parse(text, i, &s), EBADMSG);
        }
        memcpy(copy, text, n);
        copy[8] = '3';
        assert_errno(disk_record_parse(copy, n, &s), EPROTONOSUPPORT);
}

static void test_damaged_record(void **state) {
        struct pkram_ioctl_info info;
        Fixture *f = *state;
        char path[256];

        assert_ok(put(f, "n", DATA, -EBADF, false));
        (void) snprintf(path, sizeof(path), "%s/state", f->d.path);
        flip(path, 50);
        fixture_restart(f, true);
        assert_ok(pkram_device_info(&f->device, &info));
        assert_int_equal(info.nr_nodes, 0);
        assert_int_equal(info.nr_dropped, 1);
        assert_non_null(strstr(f->notices, "state of"));
        assert_ok(put(f, "n", "new", -EBADF, false));
}

/* --- full and read-only file systems --- */

static int disk_is_full(const char *call, _unused_ int fd) {
        return streq(call, "write") || streq(call, "mkdir") ? -EDQUOT : 0;
}

static int disk_is_read_only(const char *call, _unused_ int fd) {
        return streq(call, "write") || streq(call, "mkdir") || streq(call, "unlink") || streq(call, "rename") ?
                -EROFS : 0;
}

/* The state cannot be written when a boot begins: the nodes of the last one can be read nevertheless. */
static void test_full_at_boot(void **state) {
        struct pkram_ioctl_info info;
        struct pkram_node_info nodes[4];
        Fixture *f = *state;
        char *line;

        assert_ok(put(f, "n", "n", -EBADF, false));
        assert_ok(put(f, "other", "other", -EBADF, false));
        disk_io_hook = disk_is_full;
        for (int i = 0; i < 2; i++) {
                fixture_restart(f, true);
                assert_int_equal(list(f, 0, nodes, 4), 2);
                assert_int_equal(nodes[0].generation, 1);
                assert_int_equal(nodes[0].flags, PKRAM_NODE_INHERITED);
                assert_node(f, "n", "n");
                assert_node(f, "missing", NULL);
                assert_errno(put(f, "n", "new", -EBADF, false), EDQUOT);
                assert_errno(put(f, "more", "more", -EBADF, false), EDQUOT);
                assert_ok(pkram_device_info(&f->device, &info));
                assert_int_equal(info.flags, DISK_INFO_FLAG | DISK_INFO_FULL);
                assert_int_equal(info.boot_result, PKRAM_BOOT_RESTORED);
                assert_string_equal(info.prev_release, "6.01");
                line = strstr(f->notices, "is full");
                assert_non_null(line);
                assert_null(strstr(line + 1, "is full"));
        }
        {
                /* Not for writers. */
                _cleanup_disk_directory_ DiskDirectory d = DISK_DIRECTORY_NONE;

                assert_errno(disk_directory_enter(f->d.path, &f->d.boot, &d), EDQUOT);
        }
        /* What is removed does not come back. */
        assert_ok(drop(f, "n"));
        assert_node(f, "n", NULL);
        fixture_restart(f, true);
        assert_int_equal(list(f, 0, nodes, 4), 1);
        assert_node(f, "n", NULL);

        disk_io_hook = NULL;
        assert_ok(put(f, "n", "new", -EBADF, false));
        assert_ok(pkram_device_info(&f->device, &info));
        assert_int_equal(info.flags, DISK_INFO_FLAG);
        assert_node(f, "other", "other");
        fixture_restart(f, true);
        assert_node(f, "n", "new");
        assert_node(f, "other", "other");
}

static void test_read_only_at_boot(void **state) {
        struct pkram_ioctl_info info;
        struct pkram_node_info nodes[4];
        Fixture *f = *state;
        char path[256];

        assert_ok(put(f, "n", "n", -EBADF, false));
        assert_ok(put(f, "damaged", "damaged", -EBADF, false));
        node_path(f, "damaged", path, sizeof(path));
        shell("printf x >>%s", path);
        disk_io_hook = disk_is_read_only;
        fixture_restart(f, true);
        assert_node(f, "n", "n");
        assert_errno(drop(f, "n"), EROFS);
        assert_node(f, "n", "n");
        assert_errno(put(f, "more", "more", -EBADF, false), EROFS);
        assert_ok(pkram_device_info(&f->device, &info));
        assert_int_equal(info.flags, DISK_INFO_FLAG | DISK_INFO_READ_ONLY);
        /* A file that cannot be set aside is not offered. */
        assert_null(get(f, "damaged"));
        assert_int_equal(errno, EBADMSG);
        assert_int_equal(list(f, 0, nodes, 4), 1);
        assert_non_null(strstr(f->notices, "damaged and cannot be set aside"));

        disk_io_hook = NULL;
        assert_node(f, "damaged", NULL);
        assert_ok(drop(f, "n"));
        fixture_restart(f, true);
        assert_int_equal(list(f, 0, nodes, 4), 0);
}

/* Without a directory, there are no nodes. */
static void test_full_at_first(void **state) {
        struct pkram_node_info nodes[4];
        Fixture *f = *state;

        disk_io_hook = disk_is_full;
        assert_int_equal(list(f, 0, nodes, 4), 0);
        assert_node(f, "n", NULL);
        assert_errno(put(f, "n", "n", -EBADF, false), EDQUOT);
        assert_non_null(strstr(f->notices, "is full"));
        disk_io_hook = NULL;
        assert_ok(put(f, "n", "n", -EBADF, false));
        fixture_restart(f, true);
        assert_node(f, "n", "n");
}

static int no_files(const char *call, _unused_ int fd) {
        return streq(call, "write") ? -EDQUOT : 0;
}

/* What cannot be begun leaves nothing behind, however often it is tried. */
static void test_full_for_files(void **state) {
        Fixture *f = *state;

        disk_io_hook = no_files;
        for (int i = 0; i < 3; i++) {
                assert_node(f, "n", NULL);
                assert_errno(put(f, "n", "n", -EBADF, false), EDQUOT);
        }
        disk_io_hook = NULL;
        shell("! ls -d %s/nodes.*", f->d.path);
        assert_ok(put(f, "n", "n", -EBADF, false));
        fixture_restart(f, true);
        assert_node(f, "n", "n");
}

static int no_directories(const char *call, _unused_ int fd) {
        return streq(call, "mkdir") ? -EDQUOT : 0;
}

/* What is not offered cannot be set aside: it is left where it is. */
static void test_full_with_others(void **state) {
        Fixture *f = *state;
        char path[256];

        assert_ok(put(f, "n", "old", -EBADF, false));
        node_path(f, NULL, path, sizeof(path));
        shell("cp -a %s %s/nodes.0123456789abcdef0123456789abcdef", path, f->d.path);
        assert_ok(put(f, "n", "new", -EBADF, true));
        for (int i = 0; i < 2; i++) {
                fixture_restart(f, true);
                disk_io_hook = i == 0 ? no_directories : NULL;
                assert_node(f, "n", "new");
                assert_ok(put(f, "more", "more", -EBADF, true));
                assert_non_null(strstr(f->notices, i == 0 ? "cannot be set aside" : "Set aside"));
        }
}

static bool has_room;

static int full_until_unlink(const char *call, _unused_ int fd) {
        has_room = has_room || streq(call, "unlink");
        return !has_room && streq(call, "write") ? -EDQUOT : 0;
}

/* What has expired makes room for what a boot has to write. */
static void test_full_of_expired(void **state) {
        Fixture *f = *state;
        char path[256];

        assert_ok(put(f, "n", "n", -EBADF, false));
        assert_ok(put(f, "damaged", "damaged", -EBADF, false));
        node_path(f, "damaged", path, sizeof(path));
        shell("printf x >>%s", path);
        fixture_restart(f, true);
        assert_node(f, "damaged", NULL);
        shell("find %s/set-aside -exec touch -d '2 hours ago' {} +", f->d.path);
        fixture_restart(f, true);
        disk_device_set_keep(f->disk, 3600);
        has_room = false;
        disk_io_hook = full_until_unlink;
        assert_ok(put(f, "more", "more", -EBADF, false));
        assert_true(has_room);
        assert_node(f, "n", "n");
}

/* A boot that does without the store cannot write the state. Its nodes are not offered later either. */
static void test_full_without(void **state) {
        struct pkram_node_info nodes[4];
        Fixture *f = *state;
        DiskBoot without = { .boot_id = "ffffffffffffffffffffffffffffffff", .release = "6.x" };

        assert_ok(put(f, "n", "old", -EBADF, false));
        disk_io_hook = disk_is_full;
        assert_ok(disk_directory_pass(f->d.path, &without));
        disk_io_hook = NULL;
        fixture_restart(f, true);
        assert_node(f, "n", NULL);
        assert_int_equal(list(f, PKRAM_LIST_DROPPED, nodes, 4), 1);
}

/* Nothing is kept in a place that does not outlive the kernel. */
static void test_in_memory(void **state) {
        _cleanup_close_ int memory = memfd_create("test", MFD_CLOEXEC), proc = open("/proc", O_PATH | O_CLOEXEC);
        struct pkram_ioctl_info info;
        Fixture *f = *state;
        char *first;

        disk_in_memory_override = -1;
        /* The file system of these is a tmpfs, too. */
        assert_true(disk_is_in_memory(memory));
        assert_false(disk_is_in_memory(proc));
        assert_false(disk_path_is_in_memory("/proc/self/nonexistent/state"));

        disk_in_memory_override = 1;
        assert_errno(disk_directory_check(f->d.path), ENOTBLK);
        assert_errno(pkram_device_info(&f->device, &info), ENOTBLK);
        assert_errno(put(f, "n", "n", -EBADF, false), ENOTBLK);
        assert_true(access(f->d.path, F_OK) < 0);
        first = strstr(f->notices, "it is in memory");
        assert_non_null(first);
        assert_null(strstr(first + 1, "it is in memory"));
        /* One that is there already, as that of a version that took it for a disk. */
        assert_return_code(mkdir(f->d.path, 0700), errno);
        assert_errno(put(f, "n", "n", -EBADF, false), ENOTBLK);
        assert_errno(disk_directory_check(f->d.path), ENOTBLK);
}

/* A directory below the mount point of a file system that is not mounted is not the one with the nodes. */
static void test_not_mounted(void **state) {
        struct pkram_ioctl_info info;
        Fixture *f = *state;

        assert_ok(put(f, "n", "n", -EBADF, false));
        fixture_restart(f, true);
        assert_return_code(setenv("PKRAM_DISK_MOUNT", "/proc/self", /* overwrite= */ 1), errno);
        assert_errno(disk_directory_check(f->d.path), ENOMEDIUM);
        assert_errno(pkram_device_info(&f->device, &info), ENOMEDIUM);
        assert_errno(put(f, "m", "m", -EBADF, false), ENOMEDIUM);
        assert_non_null(strstr(f->notices, "not mounted"));
        /* It is mounted later. */
        assert_return_code(setenv("PKRAM_DISK_MOUNT", "/proc", /* overwrite= */ 1), errno);
        assert_ok(disk_directory_check(f->d.path));
        assert_ok(put(f, "m", "m", -EBADF, false));
        assert_ok(pkram_device_info(&f->device, &info));
        assert_int_equal(info.nr_nodes, 2);
        assert_return_code(unsetenv("PKRAM_DISK_MOUNT"), errno);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_not_mounted, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_carried, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_old_copy, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_old_directory, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_state_version_1, fixture_setup, fixture_teardown),
                cmocka_unit_test(test_identity),
                cmocka_unit_test_setup_teardown(test_boot_without, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_directory_gone, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_expire, fixture_setup, fixture_teardown),
                cmocka_unit_test(test_record),
                cmocka_unit_test_setup_teardown(test_damaged_record, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_full_at_boot, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_read_only_at_boot, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_full_at_first, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_full_for_files, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_full_with_others, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_full_of_expired, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_full_without, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_in_memory, fixture_setup, fixture_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
