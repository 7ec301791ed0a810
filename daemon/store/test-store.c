/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store over the model of the kernel. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "test-store-fixture.h"

typedef StoreFixture Fixture;

static int setup(void **state) {
        *state = calloc(1, sizeof(Fixture));
        store_fixture_init(*state, GIB(1));
        return 0;
}

static int teardown(void **state) {
        store_fixture_done(*state);
        free(*state);
        return 0;
}

/* Stores without asking questions. */
static int store(Fixture *f, const Peer *peer, const char *name, const StoreItem *items, size_t n, StoreFlags flags,
                 StoreSaved *ret, StoreError *e) {
        _cleanup_(store_save_freep) StoreSave *save = NULL;
        StoreSaved saved;
        int r;

        r = store_save_new(f->store, peer, name, items, n, flags, &save, e);
        if (r < 0)
                return r;
        while ((r = store_save_step(save, e)) > 0)
                ;
        if (r < 0)
                return r;
        return store_save_commit(save, ret ?: &saved, e);
}

static int store_data(Fixture *f, const Peer *peer, const char *name, StoreFlags flags, StoreError *e) {
        StoreItem item = { .name = "d", .fd = -EBADF, .data = "data", .size = 4 };

        return store(f, peer, name, &item, 1, flags, NULL, e);
}

static int load(Fixture *f, const Peer *peer, const char *name, bool want_data, StoreLoad **ret, StoreError *e) {
        _cleanup_(store_load_freep) StoreLoad *l = NULL;
        int r;

        r = store_load_new(f->store, peer, name, want_data, &l, e);
        if (r < 0)
                return r;
        while ((r = store_load_step(l, e)) > 0)
                ;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

static size_t count(Fixture *f, const Peer *peer) {
        _cleanup_(store_list_freep) StoreList *l = NULL;
        size_t n = 0;

        assert_ok(store_list_new(f->store, peer, &l, NULL));
        for (;;) {
                _cleanup_node_ StoreNode node = {};
                int r = store_list_next(l, &node, NULL);

                assert_ok(r);
                if (r == 0)
                        return n;
                n++;
        }
}

static void test_store_retrieve(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int a = make_memfd(100000, 1), b = make_memfd(5, 2);
        StoreItem items[] = {
                { .name = "a", .fd = a },
                { .name = "d", .fd = -EBADF, .data = "xyz", .size = 3 },
                { .fd = b },
        };
        StoreSaved saved;

        assert_ok(store(f, &f->alice, "n", items, 3, 0, &saved, NULL));
        assert_int_equal(saved.id, 1);
        assert_false(saved.replaced);
        assert_true(saved.bytes >= 100000);

        for (unsigned i = 0; i < 3; i++) {
                _cleanup_(store_load_freep) StoreLoad *l = NULL;

                assert_ok(load(f, &f->alice, "n", false, &l, NULL));
                assert_int_equal(l->n_items, 3);
                assert_string_equal(l->items[0].name, "a");
                assert_memfd(l->items[0].fd, 100000, 1);
                assert_string_equal(l->items[1].name, "d");
                assert_memory_equal(l->items[1].data, "xyz", 3);
                assert_int_equal(l->items[1].fd, -EBADF);
                assert_null(l->items[2].name);
                assert_memfd(l->items[2].fd, 5, 2);
                assert_string_equal(l->node.owner, "uid:1000");
                assert_int_equal(l->node.objects, 3);
                assert_int_equal(l->node.bytes, 100008);
                assert_int_equal(l->node.info.generation, i);

                mock_kexec(f->mock);
                l->handle = PKRAM_HANDLE_NONE;
        }

        assert_ok(store_remove(f->store, &f->alice, "n", 0, NULL, NULL));
        assert_int_equal(mock_n_nodes(f->mock), 0);
}

static void test_empty_things(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int empty = make_memfd(0, 0);
        StoreItem items[] = { { .fd = empty }, { .fd = -EBADF, .data = "", .size = 0 } };
        _cleanup_(store_load_freep) StoreLoad *l = NULL, *none = NULL;

        assert_ok(store(f, &f->root, "n", items, 2, STORE_VERIFY, NULL, NULL));
        assert_ok(load(f, &f->root, "n", false, &l, NULL));
        assert_int_equal(l->items[0].size, 0);
        assert_int_equal(l->items[1].data_size, 0);

        assert_ok(store(f, &f->root, "none", NULL, 0, STORE_VERIFY, NULL, NULL));
        assert_ok(load(f, &f->root, "none", false, &none, NULL));
        assert_int_equal(none->n_items, 0);
}

static void test_exists_and_replace(void **state) {
        Fixture *f = *state;
        _cleanup_error_ StoreError e = {};
        StoreItem item = { .fd = -EBADF, .data = "new", .size = 3 };
        StoreSaved saved;
        _cleanup_(store_load_freep) StoreLoad *l = NULL;

        assert_ok(store_data(f, &f->alice, "n", 0, NULL));
        assert_errno(store_data(f, &f->alice, "n", 0, &e), EEXIST);
        assert_int_equal(e.kind, STORE_ERROR_NODE_EXISTS);
        assert_string_equal(e.name, "n");

        assert_ok(store(f, &f->alice, "n", &item, 1, STORE_REPLACE, &saved, NULL));
        assert_true(saved.replaced);
        assert_int_equal(mock_n_nodes(f->mock), 1);
        assert_ok(load(f, &f->alice, "n", false, &l, NULL));
        assert_memory_equal(l->items[0].data, "new", 3);

        assert_ok(store(f, &f->alice, "m", &item, 1, STORE_REPLACE, &saved, NULL));
        assert_false(saved.replaced);
}

static void test_owners(void **state) {
        Fixture *f = *state;
        StoreLoad *l = NULL;
        StoreDescription d;

        assert_ok(store_data(f, &f->alice, "a", 0, NULL));
        assert_ok(store_data(f, &f->bob, "b", 0, NULL));
        assert_int_equal(count(f, &f->alice), 1);
        assert_int_equal(count(f, &f->bob), 1);
        assert_int_equal(count(f, &f->root), 2);

        for (unsigned i = 0; i < 4; i++) {
                _cleanup_error_ StoreError e = {};
                int r = i == 0 ? load(f, &f->bob, "a", false, &l, &e) :
                        i == 1 ? store_remove(f->store, &f->bob, "a", 0, NULL, &e) :
                        i == 2 ? store_describe(f->store, &f->bob, "a", &d, &e) :
                        store_data(f, &f->bob, "a", STORE_REPLACE, &e);

                assert_errno(r, EACCES);
                assert_int_equal(e.kind, STORE_ERROR_PERMISSION_DENIED);
        }

        /* Only that the name is taken is said to everybody. */
        _cleanup_error_ StoreError e = {};
        assert_errno(store_data(f, &f->bob, "a", 0, &e), EEXIST);
        assert_int_equal(mock_n_nodes(f->mock), 2);

        /* Owners live on in the nodes, not in this process. */
        mock_kexec(f->mock);
        f->store = store_free(f->store);
        assert_ok(store_new(&f->device, &f->config, &f->store));
        assert_int_equal(count(f, &f->alice), 1);
        assert_ok(store_remove(f->store, &f->root, "a", 0, NULL, NULL));
        assert_ok(store_remove(f->store, &f->bob, "b", 0, NULL, NULL));
}

static void test_replace_race(void **state) {
        Fixture *f = *state;
        _cleanup_(store_save_freep) StoreSave *save = NULL;
        _cleanup_error_ StoreError e = {};
        StoreItem item = { .fd = -EBADF, .data = "x", .size = 1 };
        StoreSaved saved;

        /* Bob takes the name while Alice's save is under way, and must not lose it to her. */
        assert_ok(store_save_new(f->store, &f->alice, "n", &item, 1, STORE_REPLACE, &save, NULL));
        assert_ok(store_data(f, &f->bob, "n", 0, NULL));
        assert_errno(store_save_commit(save, &saved, &e), EACCES);
        save = store_save_free(save);
        assert_int_equal(count(f, &f->bob), 1);
        assert_int_equal(count(f, &f->alice), 0);
}

static void test_remove_by_id(void **state) {
        Fixture *f = *state;
        _cleanup_error_ StoreError e = {}, e2 = {};
        _cleanup_node_ StoreNode node = {};

        assert_ok(store_data(f, &f->alice, "n", 0, NULL));
        assert_ok(store_data(f, &f->alice, "n", STORE_REPLACE, NULL));
        assert_errno(store_remove(f->store, &f->alice, "n", 1, NULL, &e), ENOENT);
        assert_int_equal(e.kind, STORE_ERROR_NO_SUCH_NODE);
        assert_int_equal(mock_n_nodes(f->mock), 1);
        assert_ok(store_remove(f->store, &f->alice, "n", 2, &node, NULL));
        assert_string_equal(node.info.name, "n");
        assert_errno(store_remove(f->store, &f->alice, "n", 0, NULL, &e2), ENOENT);
}

static void test_busy(void **state) {
        Fixture *f = *state;
        _cleanup_(store_load_freep) StoreLoad *l = NULL;
        _cleanup_error_ StoreError e = {}, e2 = {};

        assert_ok(store_data(f, &f->alice, "n", 0, NULL));
        assert_ok(load(f, &f->alice, "n", false, &l, NULL));
        assert_errno(store_remove(f->store, &f->alice, "n", 0, NULL, &e), EBUSY);
        assert_int_equal(e.kind, STORE_ERROR_NODE_BUSY);
        assert_errno(store_data(f, &f->alice, "n", STORE_REPLACE, &e2), EBUSY);
        assert_int_equal(e2.kind, STORE_ERROR_NODE_BUSY);
        l = store_load_free(l);
        assert_ok(store_data(f, &f->alice, "n", STORE_REPLACE, NULL));
}

static int try_fd(Fixture *f, const Peer *peer, int fd, StoreError *e) {
        StoreItem item = { .fd = fd };

        return store(f, peer, "n", &item, 1, 0, NULL, e);
}

static void test_not_preservable(void **state) {
        Fixture *f = *state;
        char path[] = "/var/tmp/test-pkram.XXXXXX";
        int pipes[2], fds[6];
        char proc[64];

        assert_ok(pipe2(pipes, O_CLOEXEC));
        fds[0] = pipes[0];
        fds[1] = pipes[1];
        fds[2] = open("/dev/null", O_RDWR | O_CLOEXEC);
        fds[3] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        fds[4] = mkostemp(path, O_CLOEXEC);
        (void) unlink(path);
        int memfd = make_memfd(10, 0);
        (void) snprintf(proc, sizeof(proc), "/proc/self/fd/%i", memfd);
        fds[5] = open(proc, O_WRONLY | O_CLOEXEC);

        for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
                _cleanup_error_ StoreError e = {};

                assert_ok(fds[i]);
                assert_fails(try_fd(f, &f->root, fds[i], &e));
                assert_int_equal(e.kind, STORE_ERROR_NOT_PRESERVABLE);
                assert_true(strlen(e.reason) > 40);
        }

        assert_int_equal(mock_n_nodes(f->mock), 0);
        close_many(fds, ELEMENTSOF(fds));
        close(memfd);
}

static void test_read_only_file_of_others(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(10, 0), ro = -EBADF;
        _cleanup_error_ StoreError e = {};
        char proc[64];

        (void) snprintf(proc, sizeof(proc), "/proc/self/fd/%i", fd);
        ro = open(proc, O_RDONLY | O_CLOEXEC);
        assert_ok(ro);

        /* What alice may only read she must not freeze; the file belongs to whoever runs the tests. */
        f->alice.uid = geteuid() + 5;
        assert_errno(try_fd(f, &f->alice, ro, &e), EOPNOTSUPP);
        assert_int_equal(e.kind, STORE_ERROR_NOT_PRESERVABLE);
        assert_ok(try_fd(f, &f->root, ro, NULL));
}

static void test_same_file_twice(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(10, 0);
        StoreItem items[] = { { .fd = fd }, { .fd = fd } };
        _cleanup_error_ StoreError e = {}, e2 = {};

        assert_errno(store(f, &f->root, "n", items, 2, 0, NULL, &e), EOPNOTSUPP);
        assert_int_equal(e.kind, STORE_ERROR_NOT_PRESERVABLE);
        assert_int_equal(mock_n_nodes(f->mock), 0);

        assert_ok(store(f, &f->root, "n", items, 1, 0, NULL, NULL));
        assert_errno(store(f, &f->root, "m", items, 1, 0, NULL, &e2), EOPNOTSUPP);
        assert_ok(store_remove(f->store, &f->root, "n", 0, NULL, NULL));
        assert_ok(store(f, &f->root, "m", items, 1, 0, NULL, NULL));
}

static void test_object_names(void **state) {
        Fixture *f = *state;
        StoreItem items[] = { { .name = "a", .fd = -EBADF, .data = "" }, { .name = "a", .fd = -EBADF, .data = "" } };
        _cleanup_error_ StoreError e = {}, e2 = {};

        assert_errno(store(f, &f->root, "n", items, 2, 0, NULL, &e), EINVAL);
        assert_int_equal(e.kind, STORE_ERROR_INVALID_NAME);
        items[1].name = "x/y";
        assert_errno(store(f, &f->root, "n", items, 2, 0, NULL, &e2), EINVAL);
        assert_int_equal(e2.kind, STORE_ERROR_INVALID_NAME);
}

static void test_data_too_long(void **state) {
        Fixture *f = *state;
        static uint8_t data[MIB(1) + 1];
        StoreItem item = { .fd = -EBADF, .data = data, .size = MIB(1) };
        _cleanup_error_ StoreError e = {};

        assert_ok(store(f, &f->root, "n", &item, 1, 0, NULL, NULL));
        item.size++;
        assert_errno(store(f, &f->root, "m", &item, 1, 0, NULL, &e), EOPNOTSUPP);
        assert_int_equal(e.kind, STORE_ERROR_NOT_PRESERVABLE);
}

static void expect_quota(Fixture *f, const Peer *peer, size_t size, const char *limit) {
        _cleanup_close_ int fd = make_memfd(size, 0);
        _cleanup_error_ StoreError e = {};
        StoreItem item = { .fd = fd };
        size_t before = mock_n_nodes(f->mock);

        assert_errno(store(f, peer, "more", &item, 1, 0, NULL, &e), EDQUOT);
        assert_int_equal(e.kind, STORE_ERROR_QUOTA_EXCEEDED);
        assert_string_equal(e.limit, limit);
        assert_int_equal(mock_n_nodes(f->mock), before);
        assert_int_equal(mock_n_handles(f->mock), 0);
}

static void test_limit_node_bytes(void **state) {
        Fixture *f = *state;

        f->config.limit[LIMIT_NODE_BYTES] = 50000;
        expect_quota(f, &f->alice, 60000, "NodeBytesMax");
}

static void test_limit_total_bytes(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(60000, 0);
        StoreItem item = { .fd = fd };

        f->config.limit[LIMIT_TOTAL_BYTES] = 100000;
        assert_ok(store(f, &f->bob, "b", &item, 1, 0, NULL, NULL));
        expect_quota(f, &f->alice, 60000, "TotalBytesMax");
        expect_quota(f, &f->root, 60000, "TotalBytesMax");
}

static void test_limit_owner_bytes(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(60000, 0), other = make_memfd(60000, 0);
        StoreItem item = { .fd = fd };

        f->config.limit[LIMIT_OWNER_BYTES] = 100000;
        assert_ok(store(f, &f->bob, "b", &item, 1, 0, NULL, NULL));
        expect_quota(f, &f->bob, 60000, "OwnerBytesMax");

        /* Another owner is not crowded out, and what goes is not counted. */
        item.fd = other;
        assert_ok(store(f, &f->alice, "a", &item, 1, 0, NULL, NULL));
        _cleanup_close_ int third = make_memfd(60000, 0);
        item.fd = third;
        assert_ok(store(f, &f->bob, "b", &item, 1, STORE_REPLACE, NULL, NULL));
}

static void test_limit_user_bytes(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(60000, 0);
        StoreItem item = { .fd = fd };

        f->config.limit[LIMIT_USER_BYTES] = 50000;
        expect_quota(f, &f->alice, 60000, "UserBytesMax");
        assert_ok(store(f, &f->bob, "b", &item, 1, 0, NULL, NULL)); /* a unit */
}

static void test_limit_nodes(void **state) {
        Fixture *f = *state;

        f->config.limit[LIMIT_NODES] = 2;
        assert_ok(store_data(f, &f->bob, "1", 0, NULL));
        assert_ok(store_data(f, &f->alice, "2", 0, NULL));
        expect_quota(f, &f->root, 10, "NodesMax");
        f->config.limit[LIMIT_NODES] = 10;
        f->config.limit[LIMIT_OWNER_NODES] = 1;
        expect_quota(f, &f->bob, 10, "OwnerNodesMax");
        assert_ok(store_data(f, &f->bob, "1", STORE_REPLACE, NULL));
        f->config.limit[LIMIT_OWNER_NODES] = 10;
        f->config.limit[LIMIT_USER_NODES] = 1;
        expect_quota(f, &f->alice, 10, "UserNodesMax");
        assert_ok(store_data(f, &f->bob, "3", 0, NULL));
}

static void test_limit_objects(void **state) {
        Fixture *f = *state;
        StoreItem items[] = { { .fd = -EBADF, .data = "" }, { .fd = -EBADF, .data = "" } };
        _cleanup_error_ StoreError e = {};

        f->config.limit[LIMIT_OBJECTS] = 1;
        assert_errno(store(f, &f->root, "n", items, 2, 0, NULL, &e), EDQUOT);
        assert_string_equal(e.limit, "ObjectsMax");
}

static void test_limits_count_saves_under_way(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int a = make_memfd(60000, 0);
        _cleanup_(store_save_freep) StoreSave *save = NULL;
        StoreItem item = { .fd = a };

        f->config.limit[LIMIT_OWNER_BYTES] = 100000;
        assert_ok(store_save_new(f->store, &f->bob, "b", &item, 1, STORE_VERIFY, &save, NULL));
        {
                _cleanup_close_ int b = make_memfd(60000, 0);
                _cleanup_error_ StoreError e = {};

                item.fd = b;
                assert_errno(store(f, &f->bob, "c", &item, 1, 0, NULL, &e), EDQUOT);
        }
        save = store_save_free(save);
        assert_int_equal(mock_n_handles(f->mock), 0);
}

static void test_verify(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(300000, 7);
        StoreItem items[] = { { .fd = fd }, { .fd = -EBADF, .data = "xyz", .size = 3 } };
        _cleanup_(store_load_freep) StoreLoad *l = NULL;
        off_t position = lseek(fd, 1234, SEEK_SET);

        assert_ok(store(f, &f->alice, "n", items, 2, STORE_VERIFY, NULL, NULL));
        assert_int_equal(lseek(fd, 0, SEEK_CUR), position); /* the client's, and none of our business */

        assert_ok(load(f, &f->alice, "n", false, &l, NULL));
        assert_true(l->manifest.verify);
        assert_int_equal(l->node.objects, 2);
        assert_int_equal(l->node.bytes, 300003);
        assert_memfd(l->items[0].fd, 300000, 7);
}

static void test_verify_finds_damage(void **state) {
        Fixture *f = *state;
        static const struct {
                uint32_t object;
                uint64_t offset;
        } damage[] = {
                { 0, 40 }, { 0, 90 }, { 1, 0 }, { 1, 123456 }, { 1, 299999 }, { 2, 0 }, { 2, 2 }, { 3, 20 }, { 3, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(damage); i++) {
                _cleanup_close_ int fd = make_memfd(300000, 7);
                StoreItem items[] = { { .fd = fd }, { .fd = -EBADF, .data = "xyz", .size = 3 } };
                _cleanup_error_ StoreError e = {};
                StoreLoad *l = NULL;

                assert_ok(store(f, &f->root, "n", items, 2, STORE_VERIFY | STORE_REPLACE, NULL, NULL));
                mock_kexec(f->mock);
                mock_corrupt(f->mock, "n", damage[i].object, damage[i].offset);
                assert_errno(load(f, &f->root, "n", false, &l, &e), EBADMSG);
                assert_int_equal(e.kind, STORE_ERROR_NODE_DAMAGED);
                assert_string_equal(e.name, "n");
        }
}

static void test_damaged_manifest(void **state) {
        Fixture *f = *state;
        _cleanup_error_ StoreError e = {}, e2 = {};
        StoreLoad *l = NULL;

        assert_ok(store_data(f, &f->alice, "n", 0, NULL));
        mock_set_bytes(f->mock, "n", 0, "{\"pkramManifest\":1,", 19);
        f->store = store_free(f->store);
        assert_ok(store_new(&f->device, &f->config, &f->store));

        /* Nobody knows whose it was: root gets it out of the way. */
        assert_errno(load(f, &f->alice, "n", false, &l, &e), EACCES);
        assert_errno(load(f, &f->root, "n", false, &l, &e2), EBADMSG);
        assert_int_equal(e2.kind, STORE_ERROR_NODE_DAMAGED);
        assert_int_equal(count(f, &f->alice), 0);
        assert_int_equal(count(f, &f->root), 1);
        assert_ok(store_remove(f->store, &f->root, "n", 0, NULL, NULL));
}

static void test_later_version(void **state) {
        Fixture *f = *state;
        _cleanup_error_ StoreError e = {};
        StoreLoad *l = NULL;

        assert_ok(store_data(f, &f->alice, "n", 0, NULL));
        mock_set_bytes(f->mock, "n", 0, "{\"pkramManifest\":3}", 19);
        assert_errno(load(f, &f->root, "n", false, &l, &e), EPROTONOSUPPORT);
        assert_int_equal(e.kind, STORE_ERROR_NOT_SUPPORTED);
}

/* A node as another user of /dev/pkram makes it. */
static void store_foreign(Fixture *f, const char *name, int fd, const void *data, size_t size) {
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;

        assert_ok(pkram_save_begin(&f->device, name, &h));
        if (fd >= 0)
                assert_ok(pkram_save_file(&h, fd, NULL, NULL));
        assert_ok(pkram_save_bytes(&h, data, size, NULL));
        assert_ok(pkram_save_commit(&h, false, NULL));
}

static void test_foreign_nodes(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(5000, 9);
        _cleanup_(store_load_freep) StoreLoad *l = NULL;
        _cleanup_(store_description_done) StoreDescription d = {};
        StoreLoad *none = NULL;

        store_foreign(f, "n", fd, "hello", 5);
        assert_int_equal(count(f, &f->alice), 0);
        assert_int_equal(count(f, &f->root), 1);
        assert_errno(load(f, &f->alice, "n", false, &none, NULL), EACCES);

        assert_ok(load(f, &f->root, "n", false, &l, NULL));
        assert_string_equal(l->node.owner, OWNER_KERNEL);
        assert_int_equal(l->n_items, 2);
        assert_memfd(l->items[0].fd, 5000, 9);
        assert_memory_equal(l->items[1].data, "hello", 5);

        assert_ok(store_describe(f->store, &f->root, "n", &d, NULL));
        assert_false(d.managed);
        assert_int_equal(d.n_objects, 2);
}

static void test_describe(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(5000, 9);
        StoreItem items[] = { { .name = "f", .fd = fd }, { .fd = -EBADF, .data = "xyz", .size = 3 } };
        _cleanup_(store_description_done) StoreDescription d = {};
        _cleanup_(store_load_freep) StoreLoad *l = NULL;

        assert_ok(store(f, &f->alice, "n", items, 2, STORE_VERIFY, NULL, NULL));
        assert_ok(store_describe(f->store, &f->alice, "n", &d, NULL));
        assert_true(d.managed);
        assert_int_equal(d.n_objects, 2);
        assert_int_equal(d.stats[0].file_bytes, 5000);
        assert_int_equal(d.stats[1].data_bytes, 3);
        assert_string_equal(d.manifest.objects[0].name, "f");
        assert_true(d.have_checksums);
        assert_false(d.node.info.flags & PKRAM_NODE_BUSY);
        store_description_done(&d);

        assert_ok(load(f, &f->alice, "n", false, &l, NULL));
        assert_ok(store_describe(f->store, &f->alice, "n", &d, NULL));
        assert_true(d.node.info.flags & PKRAM_NODE_BUSY);
}

static void test_inline(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int small = make_memfd(1000, 1), large = make_memfd(MIB(1) + 1, 2);
        StoreItem item = { .fd = small };
        _cleanup_(store_load_freep) StoreLoad *l = NULL, *none = NULL;
        _cleanup_error_ StoreError e = {};

        assert_ok(store(f, &f->alice, "small", &item, 1, 0, NULL, NULL));
        item.fd = large;
        assert_ok(store(f, &f->alice, "large", &item, 1, 0, NULL, NULL));

        assert_ok(load(f, &f->alice, "small", true, &l, NULL));
        assert_int_equal(l->items[0].data_size, 1000);
        assert_int_equal(((uint8_t *) l->items[0].data)[1], 32);
        assert_errno(load(f, &f->alice, "large", true, &none, &e), EFBIG);
        assert_int_equal(e.kind, STORE_ERROR_NOT_SUPPORTED);
}

static void test_no_pkram(void **state) {
        Fixture *f = *state;
        static const int errors[] = { -ENOENT, -ENODEV, -ENXIO };

        for (size_t i = 0; i < ELEMENTSOF(errors) + 1; i++) {
                _cleanup_error_ StoreError e = {}, e2 = {}, e3 = {}, e4 = {}, e5 = {};
                struct pkram_ioctl_info info;
                StoreList *list;
                StoreLoad *l;

                if (i < ELEMENTSOF(errors)) {
                        mock_set_missing(f->mock, errors[i]);
                        assert_fails(store_info(f->store, &info, &e));
                        assert_int_equal(e.kind, STORE_ERROR_NOT_SUPPORTED);
                } else {
                        mock_set_missing(f->mock, 0);
                        mock_set_off(f->mock, true);
                        assert_ok(store_info(f->store, &info, &e));
                }

                assert_fails(store_data(f, &f->root, "n", 0, &e2));
                assert_int_equal(e2.kind, STORE_ERROR_NOT_SUPPORTED);
                assert_fails(load(f, &f->root, "n", false, &l, &e3));
                assert_int_equal(e3.kind, STORE_ERROR_NOT_SUPPORTED);
                assert_fails(store_remove(f->store, &f->root, "n", 0, NULL, &e4));
                assert_int_equal(e4.kind, STORE_ERROR_NOT_SUPPORTED);
                assert_fails(store_list_new(f->store, &f->root, &list, &e5));
                assert_int_equal(e5.kind, STORE_ERROR_NOT_SUPPORTED);
        }
}

static void test_not_allowed(void **state) {
        Fixture *f = *state;
        _cleanup_error_ StoreError e = {};

        mock_set_missing(f->mock, -EPERM);
        assert_errno(store_data(f, &f->root, "n", 0, &e), EPERM);
        assert_int_equal(e.kind, STORE_ERROR_NOT_SUPPORTED);
}

/* What SAVE_FILE can say, and what becomes of it. */
static void test_save_file_errors(void **state) {
        Fixture *f = *state;
        static const struct {
                int error;
                StoreErrorKind kind;
        } table[] = {
                { -EBUSY,     STORE_ERROR_NOT_PRESERVABLE },
                { -EINVAL,    STORE_ERROR_NOT_PRESERVABLE },
                { -EHWPOISON, STORE_ERROR_NOT_PRESERVABLE },
                { -EBADF,     STORE_ERROR_NOT_PRESERVABLE },
                { -EFBIG,     STORE_ERROR_NOT_PRESERVABLE },
                { -ENOSPC,    STORE_ERROR_QUOTA_EXCEEDED  },
                { -ENOMEM,    STORE_ERROR_NO_MEMORY       },
                { -ENODEV,    STORE_ERROR_NOT_SUPPORTED   },
                { -EINTR,     STORE_ERROR_NONE            },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_close_ int fd = make_memfd(10, 0);
                _cleanup_error_ StoreError e = {};

                mock_fail(f->mock, PKRAM_IOC_SAVE_FILE, 1, table[i].error);
                assert_fails(try_fd(f, &f->root, fd, &e));
                assert_int_equal(e.kind, table[i].kind);
                assert_int_equal(mock_n_handles(f->mock), 0);
        }
}

/* Makes the first, second, third ... call of the device fail, until none is left. Returns how many there were. */
static unsigned fail_everywhere(Fixture *f, int (*run)(Fixture *f), void (*check)(Fixture *f, int r)) {
        for (unsigned n = 1;; n++) {
                int r;

                mock_fail(f->mock, MOCK_ANY, n, -ENOMEM);
                r = run(f);
                bool reached = mock_calls(f->mock) >= n;
                mock_fail(f->mock, MOCK_ANY, 0, 0);

                check(f, r);
                if (!reached) {
                        assert_ok(r);
                        return n - 1;
                }
                assert_errno(r, ENOMEM);
                assert_int_equal(mock_n_handles(f->mock), 0);
        }
}

static int run_store(Fixture *f) {
        _cleanup_close_ int fd = make_memfd(10000, 0);
        StoreItem items[] = { { .fd = fd }, { .fd = -EBADF, .data = "x", .size = 1 } };

        return store(f, &f->alice, "n", items, 2, STORE_VERIFY, NULL, NULL);
}

static void check_store(Fixture *f, int r) {
        /* All or nothing. */
        assert_int_equal(mock_n_nodes(f->mock), r < 0 ? 0 : 1);
}

static void test_store_fails_everywhere(void **state) {
        assert_true(fail_everywhere(*state, run_store, check_store) > 8);
}

static int run_replace(Fixture *f) {
        StoreItem item = { .fd = -EBADF, .data = "new!", .size = 4 };

        return store(f, &f->alice, "n", &item, 1, STORE_REPLACE, NULL, NULL);
}

static void check_replace(Fixture *f, int r) {
        _cleanup_(store_load_freep) StoreLoad *l = NULL;

        assert_int_equal(mock_n_nodes(f->mock), 1);
        assert_ok(load(f, &f->alice, "n", false, &l, NULL));
        assert_memory_equal(l->items[0].data, r < 0 ? "data" : "new!", 4);
}

static void test_replace_fails_everywhere(void **state) {
        assert_ok(store_data(*state, &((Fixture *) *state)->alice, "n", 0, NULL));
        assert_true(fail_everywhere(*state, run_replace, check_replace) > 8);
}

static int run_load(Fixture *f) {
        _cleanup_(store_load_freep) StoreLoad *l = NULL;

        return load(f, &f->alice, "n", true, &l, NULL);
}

static void check_still_there(Fixture *f, _unused_ int r) {
        assert_int_equal(mock_n_nodes(f->mock), 1);
}

static void test_load_fails_everywhere(void **state) {
        assert_ok(run_store(*state));
        assert_true(fail_everywhere(*state, run_load, check_still_there) > 8);
}

static int run_remove(Fixture *f) {
        return store_remove(f->store, &f->alice, "n", 0, NULL, NULL);
}

static void check_remove(Fixture *f, int r) {
        assert_int_equal(mock_n_nodes(f->mock), r < 0 ? 1 : 0);
}

static void test_remove_fails_everywhere(void **state) {
        assert_ok(run_store(*state));
        assert_true(fail_everywhere(*state, run_remove, check_remove) > 4);
}

static int run_list(Fixture *f) {
        _cleanup_(store_list_freep) StoreList *l = NULL;
        int r;

        /* Knowing nothing, so that all has to be read. */
        store_free(f->store);
        assert_ok(store_new(&f->device, &f->config, &f->store));

        r = store_list_new(f->store, &f->alice, &l, NULL);
        while (r >= 0) {
                _cleanup_node_ StoreNode node = {};

                r = store_list_next(l, &node, NULL);
                if (r == 0)
                        break;
        }
        return r;
}

static void test_list_fails_everywhere(void **state) {
        assert_ok(run_store(*state));
        assert_true(fail_everywhere(*state, run_list, check_still_there) > 4);
}

static void test_many_nodes(void **state) {
        Fixture *f = *state;

        f->config.limit[LIMIT_USER_NODES] = 1000;
        for (unsigned i = 0; i < 300; i++) {
                char name[32];

                (void) snprintf(name, sizeof(name), "node-%u", i);
                assert_ok(store_data(f, i % 3 ? &f->alice : &f->bob, name, 0, NULL));
        }
        assert_int_equal(count(f, &f->root), 300);
        assert_int_equal(count(f, &f->bob), 100);

        /* What was remembered is not asked for again: only the listing itself is left. */
        mock_fail(f->mock, MOCK_ANY, 0, 0);
        assert_int_equal(count(f, &f->root), 300);
        assert_true(mock_calls(f->mock) < 30);
}

static void test_cursor_survives_changes(void **state) {
        Fixture *f = *state;
        _cleanup_(store_list_freep) StoreList *l = NULL;
        _cleanup_node_ StoreNode node = {};

        assert_ok(store_data(f, &f->alice, "a", 0, NULL));
        assert_ok(store_data(f, &f->alice, "b", 0, NULL));
        assert_ok(store_list_new(f->store, &f->alice, &l, NULL));
        assert_int_equal(store_list_next(l, &node, NULL), 1);
        assert_ok(store_remove(f->store, &f->alice, "a", 0, NULL, NULL));
        assert_ok(store_remove(f->store, &f->alice, "b", 0, NULL, NULL));
        store_node_done(&node);
        assert_ok(store_list_next(l, &node, NULL));
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_store_retrieve),
                T(test_empty_things),
                T(test_exists_and_replace),
                T(test_owners),
                T(test_replace_race),
                T(test_remove_by_id),
                T(test_busy),
                T(test_not_preservable),
                T(test_read_only_file_of_others),
                T(test_same_file_twice),
                T(test_object_names),
                T(test_data_too_long),
                T(test_limit_node_bytes),
                T(test_limit_total_bytes),
                T(test_limit_owner_bytes),
                T(test_limit_user_bytes),
                T(test_limit_nodes),
                T(test_limit_objects),
                T(test_limits_count_saves_under_way),
                T(test_verify),
                T(test_verify_finds_damage),
                T(test_damaged_manifest),
                T(test_later_version),
                T(test_foreign_nodes),
                T(test_describe),
                T(test_inline),
                T(test_no_pkram),
                T(test_not_allowed),
                T(test_save_file_errors),
                T(test_store_fails_everywhere),
                T(test_replace_fails_everywhere),
                T(test_load_fails_everywhere),
                T(test_remove_fails_everywhere),
                T(test_list_fails_everywhere),
                T(test_many_nodes),
                T(test_cursor_survives_changes),
        };

        return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
