/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store over the model of the kernel. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "test-store-fixture.h"

typedef StoreFixture Fixture;

static void test_store_retrieve(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int a = make_memfd(100000, 1), b = make_memfd(5, 2);
        StoreItem items[] = {
                { .name = "a", .fd = a },
                { .name = "d", .fd = -EBADF, .data = "xyz", .size = 3 },
                { .fd = b },
        };
        StoreSaved saved;

        assert_ok(store_put(f, &f->alice, "n", items, 3, 0, &saved, NULL));
        assert_int_equal(saved.id, 1);
        assert_false(saved.replaced);
        assert_true(saved.bytes >= 100000);

        for (unsigned i = 0; i < 3; i++) {
                _cleanup_(store_load_freep) StoreLoad *l = NULL;

                assert_ok(store_get(f, &f->alice, "n", false, &l, NULL));
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

        assert_ok(store_put(f, &f->root, "n", items, 2, STORE_VERIFY, NULL, NULL));
        assert_ok(store_get(f, &f->root, "n", false, &l, NULL));
        assert_int_equal(l->items[0].size, 0);
        assert_int_equal(l->items[1].data_size, 0);

        assert_ok(store_put(f, &f->root, "none", NULL, 0, STORE_VERIFY, NULL, NULL));
        assert_ok(store_get(f, &f->root, "none", false, &none, NULL));
        assert_int_equal(none->n_items, 0);
}

static void test_exists_and_replace(void **state) {
        Fixture *f = *state;
        _cleanup_error_ StoreError e = {};
        StoreItem item = { .fd = -EBADF, .data = "new", .size = 3 };
        StoreSaved saved;
        _cleanup_(store_load_freep) StoreLoad *l = NULL;

        assert_ok(store_put_data(f, &f->alice, "n", 0, NULL));
        assert_errno(store_put_data(f, &f->alice, "n", 0, &e), EEXIST);
        assert_int_equal(e.kind, STORE_ERROR_NODE_EXISTS);
        assert_string_equal(e.name, "n");

        assert_ok(store_put(f, &f->alice, "n", &item, 1, STORE_REPLACE, &saved, NULL));
        assert_true(saved.replaced);
        assert_int_equal(mock_n_nodes(f->mock), 1);
        assert_ok(store_get(f, &f->alice, "n", false, &l, NULL));
        assert_memory_equal(l->items[0].data, "new", 3);

        assert_ok(store_put(f, &f->alice, "m", &item, 1, STORE_REPLACE, &saved, NULL));
        assert_false(saved.replaced);
}

static void test_owners(void **state) {
        Fixture *f = *state;
        StoreLoad *l = NULL;
        StoreDescription d;

        assert_ok(store_put_data(f, &f->alice, "a", 0, NULL));
        assert_ok(store_put_data(f, &f->bob, "b", 0, NULL));
        assert_int_equal(store_count(f, &f->alice), 1);
        assert_int_equal(store_count(f, &f->bob), 1);
        assert_int_equal(store_count(f, &f->root), 2);

        for (unsigned i = 0; i < 4; i++) {
                _cleanup_error_ StoreError e = {};
                int r = i == 0 ? store_get(f, &f->bob, "a", false, &l, &e) :
                        i == 1 ? store_remove(f->store, &f->bob, "a", 0, NULL, &e) :
                        i == 2 ? store_describe(f->store, &f->bob, "a", &d, &e) :
                        store_put_data(f, &f->bob, "a", STORE_REPLACE, &e);

                assert_errno(r, EACCES);
                assert_int_equal(e.kind, STORE_ERROR_PERMISSION_DENIED);
        }

        /* Only that the name is taken is said to everybody. */
        _cleanup_error_ StoreError e = {};
        assert_errno(store_put_data(f, &f->bob, "a", 0, &e), EEXIST);
        assert_int_equal(mock_n_nodes(f->mock), 2);

        /* Owners live on in the nodes, not in this process. */
        mock_kexec(f->mock);
        f->store = store_free(f->store);
        assert_ok(store_new(&f->device, &f->config, &f->store));
        assert_int_equal(store_count(f, &f->alice), 1);
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
        assert_ok(store_put_data(f, &f->bob, "n", 0, NULL));
        assert_errno(store_save_commit(save, &saved, &e), EACCES);
        save = store_save_free(save);
        assert_int_equal(store_count(f, &f->bob), 1);
        assert_int_equal(store_count(f, &f->alice), 0);
}

static void test_remove_by_id(void **state) {
        Fixture *f = *state;
        _cleanup_error_ StoreError e = {}, e2 = {};
        _cleanup_node_ StoreNode node = {};

        assert_ok(store_put_data(f, &f->alice, "n", 0, NULL));
        assert_ok(store_put_data(f, &f->alice, "n", STORE_REPLACE, NULL));
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

        assert_ok(store_put_data(f, &f->alice, "n", 0, NULL));
        assert_ok(store_get(f, &f->alice, "n", false, &l, NULL));
        assert_errno(store_remove(f->store, &f->alice, "n", 0, NULL, &e), EBUSY);
        assert_int_equal(e.kind, STORE_ERROR_NODE_BUSY);
        assert_errno(store_put_data(f, &f->alice, "n", STORE_REPLACE, &e2), EBUSY);
        assert_int_equal(e2.kind, STORE_ERROR_NODE_BUSY);
        l = store_load_free(l);
        assert_ok(store_put_data(f, &f->alice, "n", STORE_REPLACE, NULL));
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
                assert_fails(store_put_fd(f, &f->root, fds[i], &e));
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
        assert_errno(store_put_fd(f, &f->alice, ro, &e), EOPNOTSUPP);
        assert_int_equal(e.kind, STORE_ERROR_NOT_PRESERVABLE);
        assert_ok(store_put_fd(f, &f->root, ro, NULL));
}

static void test_same_file_twice(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(10, 0);
        StoreItem items[] = { { .fd = fd }, { .fd = fd } };
        _cleanup_error_ StoreError e = {}, e2 = {};

        assert_errno(store_put(f, &f->root, "n", items, 2, 0, NULL, &e), EOPNOTSUPP);
        assert_int_equal(e.kind, STORE_ERROR_NOT_PRESERVABLE);
        assert_int_equal(mock_n_nodes(f->mock), 0);

        assert_ok(store_put(f, &f->root, "n", items, 1, 0, NULL, NULL));
        assert_errno(store_put(f, &f->root, "m", items, 1, 0, NULL, &e2), EOPNOTSUPP);
        assert_ok(store_remove(f->store, &f->root, "n", 0, NULL, NULL));
        assert_ok(store_put(f, &f->root, "m", items, 1, 0, NULL, NULL));
}

static void test_object_names(void **state) {
        Fixture *f = *state;
        StoreItem items[] = { { .name = "a", .fd = -EBADF, .data = "" }, { .name = "a", .fd = -EBADF, .data = "" } };
        _cleanup_error_ StoreError e = {}, e2 = {};

        assert_errno(store_put(f, &f->root, "n", items, 2, 0, NULL, &e), EINVAL);
        assert_int_equal(e.kind, STORE_ERROR_INVALID_NAME);
        items[1].name = "x/y";
        assert_errno(store_put(f, &f->root, "n", items, 2, 0, NULL, &e2), EINVAL);
        assert_int_equal(e2.kind, STORE_ERROR_INVALID_NAME);
}

static void test_data_too_long(void **state) {
        Fixture *f = *state;
        static uint8_t data[MIB(1) + 1];
        StoreItem item = { .fd = -EBADF, .data = data, .size = MIB(1) };
        _cleanup_error_ StoreError e = {};

        assert_ok(store_put(f, &f->root, "n", &item, 1, 0, NULL, NULL));
        item.size++;
        assert_errno(store_put(f, &f->root, "m", &item, 1, 0, NULL, &e), EOPNOTSUPP);
        assert_int_equal(e.kind, STORE_ERROR_NOT_PRESERVABLE);
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
        assert_int_equal(store_count(f, &f->alice), 0);
        assert_int_equal(store_count(f, &f->root), 1);
        assert_errno(store_get(f, &f->alice, "n", false, &none, NULL), EACCES);

        assert_ok(store_get(f, &f->root, "n", false, &l, NULL));
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

        assert_ok(store_put(f, &f->alice, "n", items, 2, STORE_VERIFY, NULL, NULL));
        assert_ok(store_describe(f->store, &f->alice, "n", &d, NULL));
        assert_true(d.managed);
        assert_int_equal(d.n_objects, 2);
        assert_int_equal(d.stats[0].file_bytes, 5000);
        assert_int_equal(d.stats[1].data_bytes, 3);
        assert_string_equal(d.manifest.objects[0].name, "f");
        assert_true(d.have_checksums);
        assert_false(d.node.info.flags & PKRAM_NODE_BUSY);
        store_description_done(&d);

        assert_ok(store_get(f, &f->alice, "n", false, &l, NULL));
        assert_ok(store_describe(f->store, &f->alice, "n", &d, NULL));
        assert_true(d.node.info.flags & PKRAM_NODE_BUSY);
}

static void test_inline(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int small = make_memfd(1000, 1), large = make_memfd(MIB(1) + 1, 2);
        StoreItem item = { .fd = small };
        _cleanup_(store_load_freep) StoreLoad *l = NULL, *none = NULL;
        _cleanup_error_ StoreError e = {};

        assert_ok(store_put(f, &f->alice, "small", &item, 1, 0, NULL, NULL));
        item.fd = large;
        assert_ok(store_put(f, &f->alice, "large", &item, 1, 0, NULL, NULL));

        assert_ok(store_get(f, &f->alice, "small", true, &l, NULL));
        assert_int_equal(l->items[0].data_size, 1000);
        assert_int_equal(((uint8_t *) l->items[0].data)[1], 32);
        assert_errno(store_get(f, &f->alice, "large", true, &none, &e), EFBIG);
        assert_int_equal(e.kind, STORE_ERROR_REPLY_TOO_LARGE);
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

                assert_fails(store_put_data(f, &f->root, "n", 0, &e2));
                assert_int_equal(e2.kind, STORE_ERROR_NOT_SUPPORTED);
                assert_fails(store_get(f, &f->root, "n", false, &l, &e3));
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
        assert_errno(store_put_data(f, &f->root, "n", 0, &e), EPERM);
        assert_int_equal(e.kind, STORE_ERROR_UNEXPECTED);
}

static void test_many_nodes(void **state) {
        Fixture *f = *state;

        f->config.limit[LIMIT_USER_NODES] = 1000;
        for (unsigned i = 0; i < 300; i++) {
                char name[32];

                (void) snprintf(name, sizeof(name), "node-%u", i);
                assert_ok(store_put_data(f, i % 3 ? &f->alice : &f->bob, name, 0, NULL));
        }
        assert_int_equal(store_count(f, &f->root), 300);
        assert_int_equal(store_count(f, &f->bob), 100);

        /* What was remembered is not asked for again: only the listing itself is left. */
        mock_fail(f->mock, MOCK_ANY, 0, 0);
        assert_int_equal(store_count(f, &f->root), 300);
        assert_true(mock_calls(f->mock) < 30);
}

static void test_cursor_survives_changes(void **state) {
        Fixture *f = *state;
        _cleanup_(store_list_freep) StoreList *l = NULL;
        _cleanup_node_ StoreNode node = {};

        assert_ok(store_put_data(f, &f->alice, "a", 0, NULL));
        assert_ok(store_put_data(f, &f->alice, "b", 0, NULL));
        assert_ok(store_list_new(f->store, &f->alice, &l, NULL));
        assert_int_equal(store_list_next(l, &node, NULL), 1);
        assert_ok(store_remove(f->store, &f->alice, "a", 0, NULL, NULL));
        assert_ok(store_remove(f->store, &f->alice, "b", 0, NULL, NULL));
        store_node_done(&node);
        assert_ok(store_list_next(l, &node, NULL));
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, store_fixture_setup, store_fixture_teardown)
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
                T(test_foreign_nodes),
                T(test_describe),
                T(test_inline),
                T(test_no_pkram),
                T(test_not_allowed),
                T(test_many_nodes),
                T(test_cursor_survives_changes),
        };

        return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
