/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a shutdown writes to disk. */
#include <sys/stat.h>

#include "disk-io.h"
#include "nodes-to-disk.h"
#include "persist-rate.h"
#include "test-persist-fixture.h"

/* There are two seconds, and the disk was so slow before that this is too little for 4 MiB. */
static void disk_was_slow(PersistFixture *f) {
        PersistPlan p = { .rate = MIB(1) };

        f->p.s.config.persist = PERSIST_ALL;
        f->p.s.config.persist_bytes = UINT64_MAX;
        f->p.s.config.persist_sec = 2;
        assert_ok(disk_boot_get(&f->p.d.boot));
        /* Creates the directory. */
        persist_write_all(f, PERSIST_ALL);
        persist_rate_write(&p, f->p.d.path);
}

static void node_put(PersistFixture *f, const char *name, uint64_t bytes) {
        _cleanup_close_ int fd = make_memfd(bytes, 7);
        StoreItem item = { .fd = fd };

        assert_ok(store_put(&f->p.s, &f->p.s.root, name, &item, 1, 0, NULL, NULL));
}

/* An estimate loses nothing: it may be wrong, and services have stopped. */
static void test_estimate_exceeded(void **state) {
        PersistFixture *f = *state;
        _cleanup_plan_ PersistPlan check = {}, p = {};

        node_put(f, "small", KIB(64));
        node_put(f, "large", MIB(4));
        disk_was_slow(f);

        assert_ok(persist_plan_collect(&check, f->memory_store, PERSIST_ALL));
        assert_ok(persist_plan_limit(&check, f->p.d.path, &f->p.s.config));
        persist_plan_fit(&check);
        assert_int_equal(persist_find_node(&check, "large")->drop, PERSIST_DROP_TIME);
        assert_true(persist_plan_is_cut(&check));

        assert_ok(nodes_to_disk(&f->p.memory, f->memory_store, &f->p.s.config, f->p.d.path, &p));
        assert_true(persist_find_node(&p, "small")->written);
        assert_true(persist_find_node(&p, "large")->written);
        assert_true(persist_find_node(&p, "large")->late);
        assert_int_equal(p.n_dropped, 0);
}

/* Small files are complete at once, large ones never. */
static int sync_hangs(const char *call, int fd) {
        struct stat st;

        if (streq(call, "sync") && fstat(fd, &st) >= 0 && S_ISREG(st.st_mode) &&
            (uint64_t) st.st_blocks * 512 > MIB(2))
                (void) sleep(60);
        return 0;
}

/* Nodes for which there is time by the estimate do not wait for more important ones for which there is none. */
static void test_estimate_is_right(void **state) {
        static const char *const names[] = { "l1", "l2", "l3", "l4" };
        PersistFixture *f = *state;
        _cleanup_plan_ PersistPlan p = {};

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                node_put(f, names[i], MIB(4));
        node_put(f, "small", KIB(64));
        disk_was_slow(f);

        disk_io_hook = sync_hangs;
        assert_ok(nodes_to_disk(&f->p.memory, f->memory_store, &f->p.s.config, f->p.d.path, &p));
        disk_io_hook = NULL;
        assert_true(persist_find_node(&p, "small")->written);
        assert_int_equal(p.n_dropped, ELEMENTSOF(names));
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                const PersistNode *n = persist_find_node(&p, names[i]);

                assert_int_equal(n->drop, PERSIST_DROP_TIME);
                assert_string_equal(persist_drop_text(n), "PersistSecMax= was over before it was written");
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_estimate_exceeded, persist_setup, persist_teardown),
                cmocka_unit_test_setup_teardown(test_estimate_is_right, persist_setup, persist_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
