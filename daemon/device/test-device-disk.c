/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Nodes in files: what is stored comes back, through reboots, damage, failing disks, and crashes at every step. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "device-disk.h"
#include "disk-file.h"
#include "disk-io.h"
#include "test-disk-fixture.h"

#define DATA "what is stored is there again"

typedef struct Fixture {
        DiskFixture d;
        char notices[4096];
        DiskDevice *disk;
        PkramDevice device;
} Fixture;

static void note(const char *text, void *userdata) {
        Fixture *f = userdata;
        size_t n = strlen(f->notices);

        (void) snprintf(f->notices + n, sizeof(f->notices) - n, "%s\n", text);
}

/* Another pkramd, in this boot or in the next one. */
static void restart(Fixture *f, bool reboot) {
        disk_device_free(f->disk);
        if (reboot) {
                disk_fixture_reboot(&f->d);
                (void) snprintf(f->d.boot.release, sizeof(f->d.boot.release), "6.%s", f->d.boot.boot_id + 30);
        }
        assert_ok(disk_device_new(f->d.path, &f->d.boot, note, f, &f->disk));
        f->device = disk_device(f->disk);
        f->notices[0] = 0;
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(Fixture));

        disk_fixture_init(&f->d);
        restart(f, true);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        disk_device_free(f->disk);
        disk_fixture_done(&f->d);
        free(f);
        return 0;
}

/* --- storing and loading --- */

static uint64_t random_state = 1;

static uint8_t random_byte(void) {
        random_state = random_state * 6364136223846793005 + 1442695040888963407;
        return (uint8_t) (random_state >> 56);
}

/* A file with data at 0, at 3 MiB and a half, and a hole up to 5 MiB and 10 bytes. */
static int make_file(void) {
        int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        struct timespec times[2] = { { .tv_sec = 1000, .tv_nsec = 7 }, { .tv_sec = -5, .tv_nsec = 8 } };
        _cleanup_free_ uint8_t *data = malloc(MIB(1) + 5000);

        assert_ok(fd);
        for (size_t i = 0; i < MIB(1) + 5000; i++)
                data[i] = random_byte();
        assert_int_equal(pwrite(fd, data, MIB(1) + 5000, 0), MIB(1) + 5000);
        assert_int_equal(pwrite(fd, data, 4096, MIB(3) + KIB(512)), 4096);
        assert_ok(ftruncate(fd, MIB(5) + 10));
        assert_ok(fchmod(fd, 0640));
        assert_ok(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
        assert_ok(futimens(fd, times));
        return fd;
}

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

/* Stores a node of a byte stream and, with fd, a file. */
static int put(Fixture *f, const char *name, const char *data, int fd, bool replace) {
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        uint32_t object;
        uint64_t id;
        int r;

        r = pkram_save_begin(&f->device, name, &h);
        if (r >= 0)
                r = pkram_save_bytes(&h, data, strlen(data), &object);
        if (r >= 0 && fd >= 0)
                r = pkram_save_file(&h, fd, &object, NULL);
        if (r >= 0)
                r = pkram_save_commit(&h, replace, &id);
        return r;
}

/* Returns the byte stream of a node, to be freed, or NULL, and errno says why. */
static char *get(Fixture *f, const char *name) {
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        void *data;
        size_t n;
        int r;

        r = pkram_load_begin(&f->device, name, &h, NULL);
        if (r >= 0)
                r = pkram_load_bytes(&h, 0, MIB(64), &data, &n);
        if (r < 0) {
                errno = -r;
                return NULL;
        }
        return data;
}

static int get_file(Fixture *f, const char *name, int *ret) {
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        int r;

        r = pkram_load_begin(&f->device, name, &h, NULL);
        return r < 0 ? r : pkram_load_file(&h, 1, PKRAM_FD_NONE, ret);
}

static int drop(Fixture *f, const char *name) {
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        int r;

        r = pkram_load_begin(&f->device, name, &h, NULL);
        return r < 0 ? r : pkram_load_remove(&h, name);
}

static void assert_node(Fixture *f, const char *name, const char *data) {
        _cleanup_free_ char *have = get(f, name);

        if (!data) {
                assert_null(have);
                assert_int_equal(errno, ENOENT);
                return;
        }
        assert_non_null(have);
        assert_string_equal(have, data);
}

static uint32_t list(Fixture *f, uint32_t flags, struct pkram_node_info *nodes, uint32_t n) {
        uint64_t cursor = 0;
        uint32_t have;

        assert_ok(pkram_device_list(&f->device, flags, &cursor, nodes, n, &have));
        return have;
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
                restart(f, i == 0);
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

        restart(f, true);
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
        restart(f, false);
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
        restart(f, true);
        assert_ok(get_file(f, "n", &back));
        assert_ok(fstat(back, &st));
        assert_int_equal(st.st_size, INT64_C(1) << 40);
        assert_int_equal(st.st_blocks, 8);
        assert_int_equal(pread(back, &b, 1, (INT64_C(1) << 40) - 1), 1);
        assert_int_equal(b, 'x');
}

/* --- boots --- */

/* Path of the directory of the nodes, or of the file of one. */
static void node_path(Fixture *f, const char *name, char *ret, size_t size) {
        _cleanup_disk_directory_ DiskDirectory d = DISK_DIRECTORY_NONE;
        char file[DISK_FILE_NAME_MAX] = "";

        assert_ok(disk_directory_open(f->d.path, &d));
        if (name)
                disk_file_name(name, file);
        (void) snprintf(ret, size, "%s/nodes.%s/%s", f->d.path, d.record.token, file);
}

static void shell(const char *format, ...) _printf_(1, 2);
static void shell(const char *format, ...) {
        char command[1024];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(command, sizeof(command), format, ap);
        va_end(ap);
        assert_int_equal(system(command), 0);
}

/* Nodes that are not retrieved are carried from boot to boot. */
static void test_carried(void **state) {
        struct pkram_node_info nodes[4];
        Fixture *f = *state;

        assert_ok(put(f, "n", DATA, -EBADF, false));
        for (unsigned i = 1; i <= 3; i++) {
                restart(f, true);
                assert_int_equal(list(f, 0, nodes, 4), 1);
                assert_int_equal(nodes[0].generation, i);
                assert_node(f, "n", DATA);
                assert_string_equal(f->notices, "");
        }
        assert_ok(drop(f, "n"));
        restart(f, true);
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
        restart(f, true);
        assert_ok(drop(f, "n"));
        assert_ok(put(f, "n", "new", -EBADF, false));
        shell("mv %s/backup %s", f->d.parent, path);

        for (int i = 0; i < 2; i++) {
                restart(f, true);
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
                restart(f, false);
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
                        restart(f, true);
                assert_ok(put(f, "n", "new", -EBADF, true));
                shell("d=%s b=%s; %s", f->d.path, backup, restores[i % ELEMENTSOF(restores)]);
                /* The device that is in use notices as well. */
                assert_errno(put(f, "m", DATA, -EBADF, false), ESTALE);
                restart(f, !same_boot);
                assert_node(f, "n", NULL);
                assert_non_null(strstr(f->notices, "does not belong to the last shutdown"));
                assert_int_equal(list(f, PKRAM_LIST_DROPPED, nodes, 4), 1);
                assert_string_equal(nodes[0].name, "n");
                assert_ok(put(f, "n", "newer", -EBADF, false));
                restart(f, true);
                assert_node(f, "n", "newer");
        }

        /* Moved within the file system it is the same directory. */
        shell("mv %s %s.away && mv %s.away %s", f->d.path, f->d.path, f->d.path, f->d.path);
        restart(f, true);
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
        restart(f, true);
        assert_node(f, "n", "n");
        assert_string_equal(f->notices, "");
        shell("grep -qx version=2 %s/state && grep -qx inode=$(stat -c %%i %s/nodes.*) %s/state", f->d.path,
              f->d.path, f->d.path);
        shell_record(f, &record, "2");
        restart(f, true);
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
        restart(f, true);
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
        restart(f, true);
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
        restart(f, true);
        assert_node(f, "n", NULL);
        assert_non_null(strstr(f->notices, "damaged"));

        restart(f, true);
        disk_device_set_keep(f->disk, 3600);
        assert_node(f, "n", NULL);
        shell("test \"$(find %s/set-aside -name '*.node' | wc -l)\" = 1", f->d.path);
        shell("find %s/set-aside -exec touch -d '2 hours ago' {} +", f->d.path);
        restart(f, true);
        disk_device_set_keep(f->disk, 3600);
        assert_node(f, "n", NULL);
        shell("test \"$(find %s/set-aside -name '*.node' | wc -l)\" = 0", f->d.path);
}

/* --- damage --- */

static void flip(const char *path, off_t offset) {
        _cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
        uint8_t b;

        assert_ok(fd);
        assert_int_equal(pread(fd, &b, 1, offset), 1);
        b ^= 0x41;
        assert_int_equal(pwrite(fd, &b, 1, offset), 1);
}

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
                restart(f, false);
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
        restart(f, false);
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
                restart(f, i % 2);
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

        restart(f, true);
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
        restart(f, false);
        assert_errno(put(f, "m", DATA, -EBADF, false), EUCLEAN);
        assert_ok(chmod(f->d.path, 0700));
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
                restart(f, true);
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
                restart(f, true);
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
        restart(f, true);
        assert_int_equal(list(f, 0, nodes, 4), 1);
        assert_node(f, "n", NULL);

        disk_io_hook = NULL;
        assert_ok(put(f, "n", "new", -EBADF, false));
        assert_ok(pkram_device_info(&f->device, &info));
        assert_int_equal(info.flags, DISK_INFO_FLAG);
        assert_node(f, "other", "other");
        restart(f, true);
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
        restart(f, true);
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
        restart(f, true);
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
        restart(f, true);
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
                restart(f, true);
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
        restart(f, true);
        assert_node(f, "damaged", NULL);
        shell("find %s/set-aside -exec touch -d '2 hours ago' {} +", f->d.path);
        restart(f, true);
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
        restart(f, true);
        assert_node(f, "n", NULL);
        assert_int_equal(list(f, PKRAM_LIST_DROPPED, nodes, 4), 1);
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
        restart(f, true);
        assert_ok(pkram_device_info(&f->device, &info));
        assert_int_equal(info.nr_nodes, 0);
        assert_int_equal(info.nr_dropped, 1);
        assert_non_null(strstr(f->notices, "state of"));
        assert_ok(put(f, "n", "new", -EBADF, false));
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
                        restart(f, stop_at % 2);
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
                        restart(f, stop_at % 3 == 0);
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
                restart(f, stop_at % 3 == 1);
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
                restart(f, stop_at % 2);
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
                        restart(f, true);
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
                restart(f, true);
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
                cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
                cmocka_unit_test_setup_teardown(test_written_meanwhile, setup, teardown),
                cmocka_unit_test_setup_teardown(test_growing, setup, teardown),
                cmocka_unit_test_setup_teardown(test_streams, setup, teardown),
                cmocka_unit_test_setup_teardown(test_names_and_states, setup, teardown),
                cmocka_unit_test_setup_teardown(test_attached, setup, teardown),
                cmocka_unit_test_setup_teardown(test_sparse_tebibyte, setup, teardown),
                cmocka_unit_test_setup_teardown(test_carried, setup, teardown),
                cmocka_unit_test_setup_teardown(test_old_copy, setup, teardown),
                cmocka_unit_test_setup_teardown(test_old_directory, setup, teardown),
                cmocka_unit_test_setup_teardown(test_state_version_1, setup, teardown),
                cmocka_unit_test(test_identity),
                cmocka_unit_test_setup_teardown(test_boot_without, setup, teardown),
                cmocka_unit_test_setup_teardown(test_directory_gone, setup, teardown),
                cmocka_unit_test_setup_teardown(test_expire, setup, teardown),
                cmocka_unit_test_setup_teardown(test_each_byte, setup, teardown),
                cmocka_unit_test_setup_teardown(test_truncated, setup, teardown),
                cmocka_unit_test_setup_teardown(test_damaged_later, setup, teardown),
                cmocka_unit_test_setup_teardown(test_foreign, setup, teardown),
                cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
                cmocka_unit_test_setup_teardown(test_full_at_boot, setup, teardown),
                cmocka_unit_test_setup_teardown(test_read_only_at_boot, setup, teardown),
                cmocka_unit_test_setup_teardown(test_full_at_first, setup, teardown),
                cmocka_unit_test_setup_teardown(test_full_with_others, setup, teardown),
                cmocka_unit_test_setup_teardown(test_full_of_expired, setup, teardown),
                cmocka_unit_test_setup_teardown(test_full_without, setup, teardown),
                cmocka_unit_test(test_record),
                cmocka_unit_test_setup_teardown(test_damaged_record, setup, teardown),
                cmocka_unit_test_setup_teardown(test_each_call_fails, setup, teardown),
                cmocka_unit_test_setup_teardown(test_each_call_is_the_last, setup, teardown),
                cmocka_unit_test_setup_teardown(test_crash_at_boot, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
