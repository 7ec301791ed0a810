/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store over nodes on disk, and over both places. Trees need root, to mount tmpfs. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "disk-io.h"
#include "test-places-fixture.h"

typedef PlacesFixture Fixture;

/* Another pkramd, in this boot or in the next one, with PKRAM or without. */
static void restart(Fixture *f, bool reboot, bool pkram) {
        places_fixture_close(f);
        if (reboot)
                disk_fixture_reboot(&f->d);
        mock_set_missing(f->s.mock, pkram ? 0 : -ENOENT);
        places_fixture_open(f);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(Fixture));

        places_fixture_init(f);
        restart(f, true, false);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        places_fixture_done(*state);
        free(*state);
        return 0;
}

static bool is_on_disk(Fixture *f, const char *name) {
        _cleanup_(store_load_freep) StoreLoad *l = NULL;

        assert_ok(store_get(&f->s, &f->s.root, name, false, &l, NULL));
        return node_is_on_disk(l->node.info.id);
}

static void test_objects(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(300000, 7);
        StoreItem items[2] = { { .name = "file", .fd = fd }, { .name = "data", .fd = -EBADF, .data = "inline",
                                                               .size = 6 } };

        assert_ok(store_put(&f->s, &f->s.root, "n", items, 2, STORE_VERIFY, NULL, NULL));
        assert_ok(store_put_data(&f->s, &f->s.alice, "n", 0, NULL));
        /* What is stored is a copy. */
        assert_int_equal(pwrite(fd, "changed", 7, 100), 7);

        for (unsigned i = 0; i < 3; i++) {
                _cleanup_(store_load_freep) StoreLoad *l = NULL;

                assert_ok(store_get(&f->s, &f->s.root, "n", false, &l, NULL));
                assert_int_equal(l->n_items, 2);
                assert_string_equal(l->items[0].name, "file");
                assert_memfd(l->items[0].fd, 300000, 7);
                assert_int_equal(l->items[1].data_size, 6);
                assert_memory_equal(l->items[1].data, "inline", 6);
                assert_int_equal(l->node.info.generation, i);
                l = store_load_free(l);
                assert_int_equal(store_count(&f->s, &f->s.alice), 1);
                assert_int_equal(store_count(&f->s, &f->s.bob), 0);
                assert_int_equal(store_count(&f->s, &f->s.root), 2);
                restart(f, true, false);
        }
        assert_ok(store_remove(f->s.store, &f->s.root, NULL, "n", 0, NULL, NULL));
        restart(f, true, false);
        assert_int_equal(store_count(&f->s, &f->s.root), 1);

        /* What the boot restored is known when nothing of it is left. */
        struct pkram_ioctl_info info;
        assert_ok(store_remove(f->s.store, &f->s.alice, NULL, "n", 0, NULL, NULL));
        assert_ok(store_info(f->s.store, &info, NULL));
        assert_int_equal(info.boot_result, PKRAM_BOOT_RESTORED);
        restart(f, true, false);
        assert_ok(store_info(f->s.store, &info, NULL));
        assert_int_equal(info.boot_result, PKRAM_BOOT_NONE);
}

static int disk_is_full(const char *call, _unused_ int fd) {
        return streq(call, "write") ? -EDQUOT : 0;
}

static int disk_is_read_only(const char *call, _unused_ int fd) {
        return streq(call, "write") ? -EROFS : 0;
}

static void test_errors(void **state) {
        Fixture *f = *state;
        _cleanup_error_ StoreError full = {}, ro = {}, gone = {};

        assert_ok(store_put_data(&f->s, &f->s.root, "n", 0, NULL));
        disk_io_hook = disk_is_full;
        assert_fails(store_put_data(&f->s, &f->s.root, "n", STORE_REPLACE, &full));
        assert_int_equal(full.kind, STORE_ERROR_QUOTA_EXCEEDED);
        assert_string_equal(full.limit, STORE_LIMIT_DISK);
        disk_io_hook = disk_is_read_only;
        assert_fails(store_put_data(&f->s, &f->s.root, "m", 0, &ro));
        assert_int_equal(ro.kind, STORE_ERROR_UNEXPECTED);
        assert_non_null(strstr(ro.reason, "read-only"));
        disk_io_hook = NULL;
        assert_int_equal(store_count(&f->s, &f->s.root), 1);

        char away[128];
        (void) snprintf(away, sizeof(away), "%s.away", f->d.path);
        assert_ok(rename(f->d.path, away));
        assert_fails(store_put_data(&f->s, &f->s.root, "m", 0, &gone));
        assert_non_null(strstr(gone.reason, "unmounted"));
        assert_ok(rename(away, f->d.path));
        assert_ok(store_put_data(&f->s, &f->s.root, "m", 0, NULL));
}

static int growing_fd;
static uint64_t disk_written;

static int grow_while_written(const char *call, int fd) {
        static const char byte = 1;
        struct stat st;

        if (!streq(call, "write") || fstat(fd, &st) < 0)
                return 0;
        disk_written = MAX(disk_written, (uint64_t) st.st_blocks * 512);
        if (disk_written < MIB(2) || growing_fd < 0)
                return 0;
        for (off_t i = 0; i < (off_t) MIB(16); i += 4096)
                assert_int_equal(pwrite(growing_fd, &byte, 1, i), 1);
        assert_ok(ftruncate(growing_fd, MIB(16)));
        growing_fd = -EBADF;
        return 0;
}

/* A file that was empty when the limits were checked, and gets its contents while an earlier one is copied. */
static void test_growing(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int first = make_memfd(MIB(4), 7), second = make_memfd(0, 0);
        StoreItem items[2] = { { .name = "first", .fd = first }, { .name = "second", .fd = second } };
        _cleanup_error_ StoreError e = {};

        f->s.config.limit[LIMIT_USER_BYTES] = MIB(10);
        growing_fd = second;
        disk_io_hook = grow_while_written;
        assert_fails(store_put(&f->s, &f->s.alice, "n", items, 2, 0, NULL, &e));
        assert_int_equal(growing_fd, -EBADF);
        assert_int_equal(e.kind, STORE_ERROR_QUOTA_EXCEEDED);
        assert_string_equal(e.limit, "UserBytesMax");
        assert_true(disk_written > MIB(3));
        assert_true(disk_written < MIB(6));

        /* Within the limits it may grow. */
        StoreSaved saved;
        f->s.config.limit[LIMIT_USER_BYTES] = MIB(30);
        assert_ok(ftruncate(second, 0));
        disk_written = 0;
        growing_fd = second;
        assert_ok(store_put(&f->s, &f->s.alice, "n", items, 2, 0, &saved, NULL));
        assert_int_equal(saved.size, MIB(20));
        disk_io_hook = NULL;

        _cleanup_(store_load_freep) StoreLoad *l = NULL;
        assert_ok(store_get(&f->s, &f->s.alice, "n", false, &l, NULL));
        assert_memfd(l->items[0].fd, MIB(4), 7);
}

/* Takes messages to the service manager from its socket, and returns how many of them were for the watchdog. */
static unsigned messages_take(int fd) {
        char text[256];
        unsigned n = 0;
        ssize_t k;

        while ((k = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT)) >= 0) {
                text[k] = 0;
                n += streq(text, "WATCHDOG=1");
        }
        return n;
}

static const char *slow_call;
static unsigned n_slow_calls;
static int notify_fd;

/* Three calls for one file, with others in between, take longer than a second each. */
static int disk_is_slow(const char *call, int fd) {
        struct stat st;

        if (!streq(call, slow_call) || fstat(fd, &st) < 0 || st.st_blocks < 2 * 1024 * 2 || n_slow_calls >= 3)
                return 0;
        if (n_slow_calls++ == 0)
                (void) messages_take(notify_fd);
        (void) usleep(1010000);
        return 0;
}

/* The watchdog is told that the process is alive while one file is copied, not only before and after that. */
static void test_slow(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(MIB(8), 7), notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        union {
                struct sockaddr any;
                struct sockaddr_un un;
        } address = { .un = { .sun_family = AF_UNIX } };
        _cleanup_(store_load_freep) StoreLoad *l = NULL;

        assert_ok(notify);
        (void) snprintf(address.un.sun_path, sizeof(address.un.sun_path), "%s/notify", f->d.parent);
        assert_ok(bind(notify, &address.any, sizeof(address.un)));
        notify_fd = notify;
        (void) setenv("NOTIFY_SOCKET", address.un.sun_path, 1);
        (void) setenv("WATCHDOG_USEC", "20000000", 1);

        disk_io_hook = disk_is_slow;
        slow_call = "write";
        n_slow_calls = 0;
        assert_ok(store_put_fd(&f->s, &f->s.alice, fd, NULL));
        assert_int_equal(n_slow_calls, 3);
        assert_true(messages_take(notify) >= 3);
        slow_call = "read";
        n_slow_calls = 0;
        assert_ok(store_get(&f->s, &f->s.alice, "n", false, &l, NULL));
        assert_int_equal(n_slow_calls, 3);
        assert_true(messages_take(notify) >= 3);

        (void) unsetenv("NOTIFY_SOCKET");
        (void) unsetenv("WATCHDOG_USEC");
}

/* What must not be written to disk is refused where nodes are kept there. */
static void test_never(void **state) {
        Fixture *f = *state;
        _cleanup_(store_save_freep) StoreSave *save = NULL;
        _cleanup_error_ StoreError e = {}, tree = {};

        assert_fails(store_put_data(&f->s, &f->s.root, "n", STORE_PERSIST(PERSIST_NEVER), &e));
        assert_int_equal(e.kind, STORE_ERROR_NOT_PRESERVABLE);
        assert_non_null(strstr(e.reason, "persist=0"));
        assert_fails(store_save_new_tree(f->s.store, &f->s.root, NULL, "tree", STORE_PERSIST(PERSIST_NEVER), &save,
                                         &tree));
        assert_int_equal(tree.kind, STORE_ERROR_NOT_PRESERVABLE);
        assert_int_equal(store_count(&f->s, &f->s.root), 0);
        assert_ok(store_put_data(&f->s, &f->s.root, "n", STORE_PERSIST(1), NULL));

        restart(f, true, true);
        assert_ok(store_put_data(&f->s, &f->s.root, "m", STORE_PERSIST(PERSIST_NEVER), NULL));
        assert_false(is_on_disk(f, "m"));
}

/* A kernel with PKRAM after one without: new nodes are in memory, and old ones are found until they are replaced. */
static void test_both_places(void **state) {
        Fixture *f = *state;
        struct pkram_ioctl_info info;

        assert_ok(store_put_data(&f->s, &f->s.root, "old", 0, NULL));
        assert_ok(store_put_data(&f->s, &f->s.root, "replaced", 0, NULL));
        assert_ok(store_info(f->s.store, &info, NULL));
        assert_true(info.flags & DISK_INFO_FLAG);

        restart(f, true, true);
        assert_true(places_read_disk(f->places));
        assert_ok(store_info(f->s.store, &info, NULL));
        assert_int_equal(info.flags, 0);
        assert_int_equal(info.nr_nodes, 2);
        assert_ok(store_put_data(&f->s, &f->s.root, "new", 0, NULL));
        assert_false(is_on_disk(f, "new"));
        assert_true(is_on_disk(f, "old"));
        assert_true(is_on_disk(f, "replaced"));
        assert_int_equal(store_count(&f->s, &f->s.root), 3);
        assert_errno(store_put_data(&f->s, &f->s.root, "old", 0, NULL), EEXIST);
        assert_ok(store_put_data(&f->s, &f->s.root, "replaced", STORE_REPLACE, NULL));
        assert_false(is_on_disk(f, "replaced"));
        assert_int_equal(store_count(&f->s, &f->s.root), 3);

        /* The reboot loses what is in memory, and does not bring back what it replaced. */
        restart(f, true, false);
        assert_int_equal(store_count(&f->s, &f->s.root), 1);
        assert_true(is_on_disk(f, "old"));
        restart(f, true, true);
        assert_ok(store_remove(f->s.store, &f->s.root, NULL, "old", 0, NULL, NULL));
        assert_int_equal(store_count(&f->s, &f->s.root), 2);
}

static int nothing_opens(const char *call, _unused_ int fd) {
        return streq(call, "open") ? -EIO : 0;
}

/* Where the disk cannot be used, a node that may be there is not missing, and is not replaced. */
static void test_unusable_disk(void **state) {
        _cleanup_error_ StoreError get = {}, put = {};
        _cleanup_(store_load_freep) StoreLoad *l = NULL;
        struct pkram_ioctl_info info;
        Fixture *f = *state;

        assert_ok(store_put_data(&f->s, &f->s.root, "old", 0, NULL));
        restart(f, true, true);
        assert_ok(store_put_data(&f->s, &f->s.root, "in-memory", 0, NULL));
        assert_int_equal(store_count(&f->s, &f->s.root), 2);

        /* What is in memory is found anyway. */
        disk_io_hook = nothing_opens;
        assert_int_equal(store_count(&f->s, &f->s.root), 1);
        assert_ok(store_get(&f->s, &f->s.root, "in-memory", false, &l, NULL));
        l = store_load_free(l);

        restart(f, true, true);
        assert_errno(store_get(&f->s, &f->s.root, "old", false, &l, &get), EIO);
        assert_non_null(strstr(get.reason, "cannot be used"));
        assert_errno(store_put_data(&f->s, &f->s.root, "old", 0, &put), EIO);
        assert_non_null(strstr(put.reason, "cannot be used"));
        assert_fails(store_put_data(&f->s, &f->s.root, "old", STORE_REPLACE, NULL));
        assert_int_equal(store_count(&f->s, &f->s.root), 1);
        assert_errno(store_remove(f->s.store, &f->s.root, NULL, "old", 0, NULL, NULL), EIO);
        assert_ok(store_info(f->s.store, &info, NULL));
        assert_int_equal(info.nr_nodes, 1);

        /* The calls of the device by themselves, which a Store makes only if those before have succeeded. */
        {
                _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;

                assert_ok(pkram_save_begin(&f->s.device, "old", &h));
                assert_errno(pkram_save_commit(&h, true, NULL), EIO);
        }

        disk_io_hook = NULL;
        assert_true(is_on_disk(f, "old"));
        disk_io_hook = nothing_opens;
        restart(f, true, true);
        disk_io_hook = NULL;
        restart(f, true, false);
        assert_int_equal(store_count(&f->s, &f->s.root), 1);
        assert_true(is_on_disk(f, "old"));
}

/* With PKRAM, a directory in memory is no disk: nothing of an earlier boot can be there. */
static void test_disk_in_memory(void **state) {
        _cleanup_error_ StoreError put = {};
        Fixture *f = *state;

        assert_ok(store_put_data(&f->s, &f->s.root, "old", 0, NULL));
        disk_in_memory_override = 1;
        restart(f, true, true);
        assert_false(places_read_disk(f->places));
        assert_int_equal(store_count(&f->s, &f->s.root), 0);
        assert_ok(store_put_data(&f->s, &f->s.root, "old", 0, NULL));
        assert_false(is_on_disk(f, "old"));
        assert_ok(store_remove(f->s.store, &f->s.root, NULL, "old", 0, NULL, NULL));

        /* Without PKRAM, clients are told. */
        restart(f, true, false);
        assert_errno(store_put_data(&f->s, &f->s.root, "new", 0, &put), ENOTBLK);
        assert_non_null(strstr(put.reason, "it is in memory"));
}

/*
 * With PKRAM, what is in memory can be retrieved although the file system with the nodes on disk is missing. Nothing
 * can be stored then, since a node with the same name may be there.
 */
static void test_disk_not_mounted(void **state) {
        _cleanup_error_ StoreError put = {};
        Fixture *f = *state;

        restart(f, true, true);
        assert_ok(store_put_data(&f->s, &f->s.root, "old", 0, NULL));
        assert_return_code(setenv("PKRAM_DISK_MOUNT", "/proc/self", /* overwrite= */ 1), errno);
        assert_errno(store_put_data(&f->s, &f->s.root, "new", 0, &put), ENOMEDIUM);
        assert_non_null(strstr(put.reason, "not mounted"));
        assert_int_equal(store_count(&f->s, &f->s.root), 1);
        assert_ok(store_remove(f->s.store, &f->s.root, NULL, "old", 0, NULL, NULL));
        assert_int_equal(store_count(&f->s, &f->s.root), 0);

        assert_return_code(setenv("PKRAM_DISK_MOUNT", "/proc", /* overwrite= */ 1), errno);
        assert_ok(store_put_data(&f->s, &f->s.root, "new", 0, NULL));
        assert_return_code(unsetenv("PKRAM_DISK_MOUNT"), errno);
}

static ino_t failing_inode;
static bool header_fails, header_is_next;

/* A header is what is read first after the file was locked. */
static int inode_fails(const char *call, int fd) {
        struct stat st;
        bool header = header_is_next;

        if (fstat(fd, &st) < 0 || st.st_ino != failing_inode)
                return 0;
        header_is_next = streq(call, "lock");
        return streq(call, "read") && (header_fails || !header) ? -EIO : 0;
}

/* A file or manifest that cannot be read concerns its node alone. */
static void test_unreadable_node(void **state) {
        Fixture *f = *state;

        assert_ok(store_put_data(&f->s, &f->s.root, "n", 0, NULL));
        assert_ok(store_put_data(&f->s, &f->s.root, "other", 0, NULL));
        {
                _cleanup_(store_load_freep) StoreLoad *l = NULL;
                struct stat st;

                assert_ok(store_get(&f->s, &f->s.root, "n", false, &l, NULL));
                assert_ok(fstat(l->handle.fd, &st));
                failing_inode = st.st_ino;
        }
        for (int i = 0; i < 2; i++) {
                _cleanup_(store_load_freep) StoreLoad *l = NULL;
                _cleanup_error_ StoreError e = {};
                struct pkram_ioctl_info info;

                restart(f, false, false);
                assert_ok(store_info(f->s.store, &info, NULL));
                header_fails = i == 0;
                disk_io_hook = inode_fails;
                assert_ok(store_put_data(&f->s, &f->s.root, "more", STORE_REPLACE, NULL));
                assert_true(is_on_disk(f, "other"));
                assert_errno(store_get(&f->s, &f->s.root, "n", false, &l, &e), EIO);
                assert_non_null(strstr(e.reason, "kernel's log"));
                assert_fails(store_put_data(&f->s, &f->s.root, "n", 0, NULL));
                assert_int_equal(store_count(&f->s, &f->s.root), header_fails ? 2 : 3);
                disk_io_hook = NULL;
                assert_true(is_on_disk(f, "n"));
        }
}

static int no_unlink(const char *call, _unused_ int fd) {
        return streq(call, "unlink") ? -EIO : 0;
}

/*
 * pkramd is killed when a node is in memory, and before the older one with the same name is removed from disk. Clients
 * find the new one from then on, so the old one must not be found after a power cut.
 */
static void test_killed_while_replacing(void **state) {
        Fixture *f = *state;
        _cleanup_(store_freep) Store *memory = NULL;
        Store *both = NULL;
        struct pkram_ioctl_info info;

        assert_ok(store_put_data(&f->s, &f->s.root, "other", 0, NULL));
        assert_ok(store_put_data(&f->s, &f->s.root, "replaced", 0, NULL));
        restart(f, true, true);
        assert_ok(store_new(&f->memory, &f->s.config, &memory));
        both = f->s.store;
        f->s.store = memory;
        assert_ok(store_put_data(&f->s, &f->s.root, "replaced", STORE_REPLACE, NULL));
        f->s.store = both;

        /* What cannot be removed costs nothing else. */
        disk_io_hook = no_unlink;
        assert_errno(places_remove_hidden(f->places), EIO);
        disk_io_hook = NULL;
        assert_int_equal(store_count(&f->s, &f->s.root), 2);

        restart(f, false, true);
        assert_false(is_on_disk(f, "replaced"));
        assert_true(is_on_disk(f, "other"));
        assert_ok(store_info(f->s.store, &info, NULL));
        assert_int_equal(info.nr_nodes, 2);

        /* The reboot loses what is in memory. */
        restart(f, true, false);
        assert_int_equal(store_count(&f->s, &f->s.root), 1);
        assert_true(is_on_disk(f, "other"));
}

/* Nothing is created on disk where nodes are in memory. */
static void test_memory_only(void **state) {
        Fixture *f = *state;

        assert_true(places_read_disk(f->places));
        restart(f, true, true);
        assert_false(places_read_disk(f->places));
        assert_ok(store_put_data(&f->s, &f->s.root, "n", 0, NULL));
        assert_int_equal(store_count(&f->s, &f->s.root), 1);
        assert_int_equal(access(f->d.path, F_OK), -1);
        /* PKRAM that is off is none. */
        mock_set_off(f->s.mock, true);
        restart(f, false, true);
        assert_ok(store_put_data(&f->s, &f->s.root, "m", 0, NULL));
        assert_true(is_on_disk(f, "m"));
}

static int shell(const char *command) {
        int r = system(command);

        return r == 0 ? 0 : -EIO;
}

/* As the daemon and its worker do it, which has the descriptor only. */
static int store_tree(Fixture *f, int directory, StoreFlags flags) {
        PkramDevice attached = { .ops = pkram_device_attached.ops, .userdata = f->d.path };
        _cleanup_(store_save_freep) StoreSave *save = NULL, *work = NULL;
        _cleanup_handle_ PkramHandle session = PKRAM_HANDLE_NONE;
        _cleanup_checksums_ Checksums copy = {};
        const Checksums *sums;
        StoreSaved saved;
        uint64_t bytes, meta_bytes, size;
        int r;

        r = store_save_new_tree(f->s.store, &f->s.root, NULL, "tree", flags, &save, NULL);
        if (r < 0)
                return r;
        session = (PkramHandle) { .device = attached, .fd = fcntl(store_save_session(save), F_DUPFD_CLOEXEC, 3) };
        r = store_save_attach_tree(f->s.store, &f->s.root, &session, directory, flags, store_save_usage(save), &work,
                                   NULL);
        while (r >= 0 && (r = store_save_step(work, NULL)) > 0)
                ;
        if (r < 0)
                return r;
        store_save_tree_result(work, &bytes, &meta_bytes, &size, &sums);
        assert_ok(checksums_init(&copy, sums->n_objects));
        memcpy(copy.objects, sums->objects, sums->n_objects * sizeof(sums->objects[0]));
        work = store_save_free(work);
        r = store_save_take_tree(save, bytes, meta_bytes, size, &copy, NULL);
        return r < 0 ? r : store_save_commit(save, &saved, NULL);
}

static int restore_tree(Fixture *f, int directory) {
        PkramDevice attached = { .ops = pkram_device_attached.ops, .userdata = f->d.path };
        _cleanup_(store_tree_load_freep) StoreTreeLoad *load = NULL;
        _cleanup_handle_ PkramHandle session = PKRAM_HANDLE_NONE;
        _cleanup_(store_tree_done) StoreTree tree = { .handle = PKRAM_HANDLE_NONE };
        int r;

        r = store_tree_open(f->s.store, &f->s.root, NULL, "tree", &tree, NULL);
        if (r < 0)
                return r;
        session = (PkramHandle) { .device = attached, .fd = fcntl(tree.handle.fd, F_DUPFD_CLOEXEC, 3) };
        r = store_tree_load_new(&f->s.root, &session, "tree", tree.node.info.name, tree.node.info.nr_objects,
                                directory, /* tell= */ -EBADF, &load, NULL);
        while (r >= 0 && (r = store_tree_load_step(load, NULL)) > 0)
                ;
        return r < 0 ? r : store_tree_load_commit(load, /* keep= */ false, NULL);
}

static void test_tree(void **state) {
        Fixture *f = *state;
        char from[] = "/tmp/pkram-from-XXXXXX", to[] = "/tmp/pkram-to-XXXXXX";

        if (geteuid() != 0)
                test_skip("only root may mount a tmpfs");
        assert_non_null(mkdtemp(from));
        assert_non_null(mkdtemp(to));
        assert_ok(mount("pkram-test", from, "tmpfs", 0, "size=64m,mode=755"));
        assert_ok(mount("pkram-test", to, "tmpfs", 0, "size=64m,mode=755"));
        assert_ok(setenv("a", from, 1));
        assert_ok(setenv("b", to, 1));
        int a = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC), b = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_ok(shell("cd $a && mkdir -p d/e && echo small >d/small && ln d/small link && ln -s /nowhere sym && "
                        "head -c 3000000 /dev/urandom >large && chown 12:34 large && chmod 4750 large && "
                        "touch -d 2001-02-03 large && for i in $(seq 200); do echo $i >d/e/$i; done && "
                        "truncate -s 1T sparse"));
        assert_ok(store_tree(f, a, STORE_VERIFY));
        restart(f, true, false);
        assert_int_equal(store_count(&f->s, &f->s.root), 1);
        assert_ok(restore_tree(f, b));
        assert_ok(shell("diff -r --no-dereference -x sparse $a $b && test $(stat -c %s $b/sparse) = 1099511627776 && "
                        "test \"$(stat -c '%a %u %g %Y %h' $a/large $a/link)\" = \"$(stat -c '%a %u %g %Y %h' "
                        "$b/large $b/link)\""));
        assert_int_equal(store_count(&f->s, &f->s.root), 0);
        restart(f, true, false);
        assert_int_equal(store_count(&f->s, &f->s.root), 0);

        safe_close(a);
        safe_close(b);
        assert_ok(umount2(from, MNT_DETACH));
        assert_ok(umount2(to, MNT_DETACH));
        assert_ok(rmdir(from));
        assert_ok(rmdir(to));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_objects, setup, teardown),
                cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
                cmocka_unit_test_setup_teardown(test_growing, setup, teardown),
                cmocka_unit_test_setup_teardown(test_slow, setup, teardown),
                cmocka_unit_test_setup_teardown(test_never, setup, teardown),
                cmocka_unit_test_setup_teardown(test_both_places, setup, teardown),
                cmocka_unit_test_setup_teardown(test_unusable_disk, setup, teardown),
                cmocka_unit_test_setup_teardown(test_disk_in_memory, setup, teardown),
                cmocka_unit_test_setup_teardown(test_disk_not_mounted, setup, teardown),
                cmocka_unit_test_setup_teardown(test_unreadable_node, setup, teardown),
                cmocka_unit_test_setup_teardown(test_killed_while_replacing, setup, teardown),
                cmocka_unit_test_setup_teardown(test_memory_only, setup, teardown),
                cmocka_unit_test_setup_teardown(test_tree, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
