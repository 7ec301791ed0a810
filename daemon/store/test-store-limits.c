/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each limit of the store, and what counts towards it. */
#include <sys/mman.h>

#include "test-store-fixture.h"

typedef StoreFixture Fixture;

static void expect_quota(Fixture *f, const Peer *peer, size_t size, const char *limit) {
        _cleanup_close_ int fd = make_memfd(size, 0);
        _cleanup_error_ StoreError e = {};
        StoreItem item = { .fd = fd };
        size_t before = mock_n_nodes(f->mock);

        assert_errno(store_put(f, peer, "more", &item, 1, 0, NULL, &e), EDQUOT);
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
        assert_ok(store_put(f, &f->bob, "b", &item, 1, 0, NULL, NULL));
        expect_quota(f, &f->alice, 60000, "TotalBytesMax");
        expect_quota(f, &f->root, 60000, "TotalBytesMax");
}

static void test_limit_owner_bytes(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(60000, 0), other = make_memfd(60000, 0);
        StoreItem item = { .fd = fd };

        f->config.limit[LIMIT_OWNER_BYTES] = 100000;
        assert_ok(store_put(f, &f->bob, "b", &item, 1, 0, NULL, NULL));
        expect_quota(f, &f->bob, 60000, "OwnerBytesMax");

        /* Another owner is not crowded out, and what goes is not counted. */
        item.fd = other;
        assert_ok(store_put(f, &f->alice, "a", &item, 1, 0, NULL, NULL));
        _cleanup_close_ int third = make_memfd(60000, 0);
        item.fd = third;
        assert_ok(store_put(f, &f->bob, "b", &item, 1, STORE_REPLACE, NULL, NULL));
}

static void test_limit_user_bytes(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(60000, 0);
        StoreItem item = { .fd = fd };

        f->config.limit[LIMIT_USER_BYTES] = 50000;
        expect_quota(f, &f->alice, 60000, "UserBytesMax");
        assert_ok(store_put(f, &f->bob, "b", &item, 1, 0, NULL, NULL)); /* a unit */
}

static void test_limit_nodes(void **state) {
        Fixture *f = *state;

        f->config.limit[LIMIT_NODES] = 2;
        assert_ok(store_put_data(f, &f->bob, "1", 0, NULL));
        assert_ok(store_put_data(f, &f->alice, "2", 0, NULL));
        expect_quota(f, &f->root, 10, "NodesMax");
        f->config.limit[LIMIT_NODES] = 10;
        f->config.limit[LIMIT_OWNER_NODES] = 1;
        expect_quota(f, &f->bob, 10, "OwnerNodesMax");
        assert_ok(store_put_data(f, &f->bob, "1", STORE_REPLACE, NULL));
        f->config.limit[LIMIT_OWNER_NODES] = 10;
        f->config.limit[LIMIT_USER_NODES] = 1;
        expect_quota(f, &f->alice, 10, "UserNodesMax");
        assert_ok(store_put_data(f, &f->bob, "3", 0, NULL));
}

static void test_limit_objects(void **state) {
        Fixture *f = *state;
        StoreItem items[] = { { .fd = -EBADF, .data = "" }, { .fd = -EBADF, .data = "" } };
        _cleanup_error_ StoreError e = {};

        f->config.limit[LIMIT_OBJECTS] = 1;
        assert_errno(store_put(f, &f->root, "n", items, 2, 0, NULL, &e), EDQUOT);
        assert_string_equal(e.limit, "ObjectsMax");
}

static void test_limits_count_saves_under_way(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int a = make_memfd(60000, 0);
        _cleanup_(store_save_freep) StoreSave *save = NULL;
        StoreItem item = { .fd = a };

        f->config.limit[LIMIT_OWNER_BYTES] = 100000;
        assert_ok(store_save_new(f->store, &f->bob, NULL, "b", &item, 1, STORE_VERIFY, &save, NULL));
        {
                _cleanup_close_ int b = make_memfd(60000, 0);
                _cleanup_error_ StoreError e = {};

                item.fd = b;
                assert_errno(store_put(f, &f->bob, "c", &item, 1, 0, NULL, &e), EDQUOT);
        }
        save = store_save_free(save);
        assert_int_equal(mock_n_handles(f->mock), 0);
}

/* Small objects take more memory for their metadata than for their contents. */
static void test_limits_count_metadata(void **state) {
        Fixture *f = *state;
        StoreItem items[40];
        /* Contents: 40 objects and the manifest. Metadata: links of each of them, the node, and what does not fit into
         * it. */
        const uint64_t pages = 41 + 41 + 1 + 1;

        for (size_t i = 0; i < ELEMENTSOF(items); i++)
                items[i] = (StoreItem) { .fd = -EBADF, .data = "x", .size = 1 };
        for (unsigned i = 0; i < 2; i++) {
                static const LimitId ids[] = { LIMIT_NODE_BYTES, LIMIT_OWNER_BYTES, LIMIT_USER_BYTES,
                                               LIMIT_TOTAL_BYTES };

                for (size_t k = 0; k < ELEMENTSOF(ids); k++) {
                        _cleanup_error_ StoreError e = {};
                        uint64_t old = f->config.limit[ids[k]];

                        /* The node itself, and then one more beside it. */
                        if (i == 1 && ids[k] == LIMIT_NODE_BYTES)
                                continue;
                        f->config.limit[ids[k]] = (i + 1) * pages * 4096 - 1;
                        assert_errno(store_put(f, &f->alice, "more", items, ELEMENTSOF(items), 0, NULL, &e), EDQUOT);
                        assert_string_equal(e.limit, limit_name(ids[k]));
                        f->config.limit[ids[k]]++;
                        assert_ok(store_put(f, &f->alice, "more", items, ELEMENTSOF(items), 0, NULL, NULL));
                        assert_ok(store_remove(f->store, &f->alice, NULL, "more", 0, NULL, NULL));
                        f->config.limit[ids[k]] = old;
                }
                assert_ok(store_put(f, &f->alice, "n", items, ELEMENTSOF(items), STORE_REPLACE, NULL, NULL));
        }
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, store_fixture_setup, store_fixture_teardown)
        const struct CMUnitTest tests[] = {
                T(test_limit_node_bytes),
                T(test_limit_total_bytes),
                T(test_limit_owner_bytes),
                T(test_limit_user_bytes),
                T(test_limit_nodes),
                T(test_limit_objects),
                T(test_limits_count_saves_under_way),
                T(test_limits_count_metadata),
        };

        return cmocka_run_group_tests_name("store-limits", tests, NULL, NULL);
}
