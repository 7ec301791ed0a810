/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Damage that is found, and calls of the device that fail: nothing is lost, and nothing left. */
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "test-store-fixture.h"

typedef StoreFixture Fixture;

static void test_verify(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(300000, 7);
        StoreItem items[] = { { .fd = fd }, { .fd = -EBADF, .data = "xyz", .size = 3 } };
        _cleanup_(store_load_freep) StoreLoad *l = NULL;
        off_t position = lseek(fd, 1234, SEEK_SET);

        assert_ok(store_put(f, &f->alice, "n", items, 2, STORE_VERIFY, NULL, NULL));
        assert_int_equal(lseek(fd, 0, SEEK_CUR), position); /* the client's, and none of our business */

        assert_ok(store_get(f, &f->alice, "n", false, &l, NULL));
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

                assert_ok(store_put(f, &f->root, "n", items, 2, STORE_VERIFY | STORE_REPLACE, NULL, NULL));
                mock_kexec(f->mock);
                mock_corrupt(f->mock, "n", damage[i].object, damage[i].offset);
                assert_errno(store_get(f, &f->root, "n", false, &l, &e), EBADMSG);
                assert_int_equal(e.kind, STORE_ERROR_NODE_DAMAGED);
                assert_string_equal(e.name, "n");
        }
}

static void test_damaged_manifest(void **state) {
        Fixture *f = *state;
        _cleanup_error_ StoreError e = {}, e2 = {};
        StoreLoad *l = NULL;

        assert_ok(store_put_data(f, &f->alice, "n", 0, NULL));
        mock_set_bytes(f->mock, "n", 0, "{\"pkramManifest\":1,", 19);
        f->store = store_free(f->store);
        assert_ok(store_new(&f->device, &f->config, &f->store));

        /* Its kernel name tells whose it was, who gets it out of the way. */
        assert_errno(store_get(f, &f->bob, "n", false, &l, &e), ENOENT);
        assert_errno(store_get(f, &f->alice, "n", false, &l, &e2), EBADMSG);
        assert_int_equal(e2.kind, STORE_ERROR_NODE_DAMAGED);
        assert_int_equal(store_count(f, &f->bob), 0);
        assert_int_equal(store_count(f, &f->alice), 1);
        assert_ok(store_remove(f->store, &f->alice, NULL, "n", 0, NULL, NULL));

        /* What does not look like a manifest at all is no less damaged. */
        _cleanup_error_ StoreError e3 = {};
        assert_ok(store_put_data(f, &f->alice, "n", 0, NULL));
        mock_set_bytes(f->mock, "n", 0, "", 0);
        assert_errno(store_get(f, &f->alice, "n", false, &l, &e3), EBADMSG);
        assert_int_equal(e3.kind, STORE_ERROR_NODE_DAMAGED);
        assert_ok(store_remove(f->store, &f->root, "uid:1000", "n", 0, NULL, NULL));
}

static void test_later_version(void **state) {
        Fixture *f = *state;
        _cleanup_error_ StoreError e = {};
        StoreLoad *l = NULL;

        assert_ok(store_put_data(f, &f->alice, "n", 0, NULL));
        mock_set_bytes(f->mock, "n", 0, "{\"pkramManifest\":3}", 19);
        assert_errno(store_get(f, &f->alice, "n", false, &l, &e), EPROTONOSUPPORT);
        assert_int_equal(e.kind, STORE_ERROR_NODE_VERSION);
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
                assert_fails(store_put_fd(f, &f->root, fd, &e));
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

        return store_put(f, &f->alice, "n", items, 2, STORE_VERIFY, NULL, NULL);
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

        return store_put(f, &f->alice, "n", &item, 1, STORE_REPLACE, NULL, NULL);
}

static void check_replace(Fixture *f, int r) {
        _cleanup_(store_load_freep) StoreLoad *l = NULL;

        assert_int_equal(mock_n_nodes(f->mock), 1);
        assert_ok(store_get(f, &f->alice, "n", false, &l, NULL));
        assert_memory_equal(l->items[0].data, r < 0 ? "data" : "new!", 4);
}

static void test_replace_fails_everywhere(void **state) {
        assert_ok(store_put_data(*state, &((Fixture *) *state)->alice, "n", 0, NULL));
        assert_true(fail_everywhere(*state, run_replace, check_replace) > 8);
}

static int run_load(Fixture *f) {
        _cleanup_(store_load_freep) StoreLoad *l = NULL;

        return store_get(f, &f->alice, "n", true, &l, NULL);
}

static void check_still_there(Fixture *f, _unused_ int r) {
        assert_int_equal(mock_n_nodes(f->mock), 1);
}

static void test_load_fails_everywhere(void **state) {
        assert_ok(run_store(*state));
        assert_true(fail_everywhere(*state, run_load, check_still_there) > 8);
}

static int run_remove(Fixture *f) {
        return store_remove(f->store, &f->alice, NULL, "n", 0, NULL, NULL);
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

        r = store_list_new(f->store, &f->alice, NULL, &l, NULL);
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

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, store_fixture_setup, store_fixture_teardown)
        const struct CMUnitTest tests[] = {
                T(test_verify),
                T(test_verify_finds_damage),
                T(test_damaged_manifest),
                T(test_later_version),
                T(test_save_file_errors),
                T(test_store_fails_everywhere),
                T(test_replace_fails_everywhere),
                T(test_load_fails_everywhere),
                T(test_remove_fails_everywhere),
                T(test_list_fails_everywhere),
        };

        return cmocka_run_group_tests_name("store-failures", tests, NULL, NULL);
}
