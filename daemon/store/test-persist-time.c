/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writing nodes to disk takes time: more than there is, or for ever. The next estimate knows better. */
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "disk-io.h"
#include "persist-rate.h"
#include "test-persist-fixture.h"
#include "time-util.h"

static int write_late(const char *call, _unused_ int fd) {
        if (streq(call, "write"))
                (void) usleep(300000);
        return 0;
}

static void count_progress(_unused_ const PersistPlan *p, _unused_ uint64_t bytes, void *userdata) {
        ++*(unsigned *) userdata;
}

static void test_time_is_up(void **state) {
        PersistFixture *f = *state;
        _cleanup_plan_ PersistPlan p = {};
        char name[8];
        unsigned n = 0;

        for (unsigned i = 0; i < 6; i++) {
                (void) snprintf(name, sizeof(name), "n%u", i);
                assert_ok(store_put_data(&f->p.s, &f->p.s.root, name, 0, NULL));
        }
        persist_make_plan(f, PERSIST_ALL, &p);
        p.seconds = 0;
        disk_io_hook = write_late;
        assert_ok(persist_write(&p, &f->p.memory, f->p.d.path, &f->p.d.boot, count_progress, &n));
        disk_io_hook = NULL;
        assert_int_equal(p.n_dropped, 6);
        assert_int_equal(p.nodes[0].drop, PERSIST_DROP_TIME);
        assert_true(n > 0);
        persist_restart(f, true, false);
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 0);
}

/* The disk does not respond. */
#define HANG_SEC 60U

/* It does not, while a node with more than little data is synced. */
static int hang_sync(const char *call, int fd) {
        struct stat st;

        if (streq(call, "sync") && fstat(fd, &st) >= 0 && S_ISREG(st.st_mode) && (uint64_t) st.st_size > MIB(10))
                (void) sleep(HANG_SEC);
        return 0;
}

/* The disk takes a MiB in a quarter of a second. */
static int write_slowly(const char *call, _unused_ int fd) {
        if (streq(call, "write"))
                (void) usleep(250000);
        return 0;
}

/* What the next shutdown expects. */
static uint64_t rate_for_next(PersistFixture *f, uint64_t seconds, PersistPlan *p) {
        f->p.s.config.persist_bytes = UINT64_MAX;
        f->p.s.config.persist_sec = seconds;
        assert_ok(persist_plan_collect(p, f->memory_store, PERSIST_ALL));
        assert_ok(persist_plan_limit(p, f->p.d.path, &f->p.s.config));
        persist_plan_fit(p);
        return p->rate;
}

/* If the time was not enough, the next shutdown knows it before, and so does the one after a slower one. */
static void test_rate_after_overrun(void **state) {
        PersistFixture *f = *state;
        _cleanup_close_ int fd = make_memfd(MIB(8), 7);
        StoreItem item = { .fd = fd };

        assert_ok(store_put(&f->p.s, &f->p.s.root, "n", &item, 1, 0, NULL, NULL));
        for (unsigned i = 0; i < 2; i++) {
                _cleanup_plan_ PersistPlan p = {}, next = {};

                persist_make_plan(f, PERSIST_ALL, &p);
                p.seconds = 1;
                disk_io_hook = i == 0 ? write_slowly : hang_sync;
                assert_ok(persist_write(&p, &f->p.memory, f->p.d.path, &f->p.d.boot, NULL, NULL));
                disk_io_hook = NULL;
                assert_int_equal(p.nodes[0].drop, PERSIST_DROP_TIME);
                /* With the second one, all was copied when the time was up. */
                assert_true(rate_for_next(f, 1, &next) < MIB(8));
                if (i == 1)
                        assert_true(next.rate > MIB(4));
                assert_int_equal(next.nodes[0].drop, PERSIST_DROP_TIME);
                assert_true(persist_plan_is_cut(&next));
        }
}

/* Little data tells nothing about the disk if there was enough time, and neither do few nodes. */
static void test_rate_of_little(void **state) {
        PersistFixture *f = *state;
        _cleanup_plan_ PersistPlan p = {};

        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "n", 0, NULL));
        disk_io_hook = write_slowly;
        persist_write_all(f, PERSIST_ALL);
        disk_io_hook = NULL;
        assert_int_equal(rate_for_next(f, 60, &p), MIB(100));
        assert_int_equal(p.usec_per_node, 30000);
}

/* A plan that was carried out: small nodes took so long each, and large ones with so many bytes. */
static bool learn(PersistPlan *p, unsigned small, uint64_t small_usec, unsigned large, uint64_t bytes,
                  uint64_t large_usec, uint64_t usec, bool in_time) {

        _cleanup_free_ PersistShared *shared = NULL;

        for (unsigned i = 0; i < small + large; i++)
                persist_add_tree_node(p, "n", 1, i < small ? 1000 : bytes);
        persist_plan_fit(p);
        assert_int_equal(p->n_dropped, 0);
        assert_non_null(shared = calloc(1, persist_shared_size(p)));
        for (size_t i = 0; i < p->n; i++)
                shared->results[i] = (PersistResult) {
                        .written = true,
                        .usec = p->nodes[i].memory == 1000 ? small_usec : large_usec,
                        .bytes = p->nodes[i].memory,
                };
        return persist_rate_learn(p, shared, usec, in_time);
}

/* Small nodes tell what a node takes, and large ones the rate, also if they were written at the same time. */
static void test_rate_of_nodes(void **state) {
        (void) state;
        const PersistPlan slow = { .room = UINT64_MAX, .rate = MIB(100), .usec_per_node = 30000, .seconds = 90 };
        _cleanup_plan_ PersistPlan small = slow, large = slow, both = slow, few = slow, late = slow, late_small = slow;

        assert_true(learn(&small, 1000, 8000, 0, 0, 0, 2000000, true));
        assert_in_range(small.usec_per_node, 1990, 2010);
        assert_int_equal(small.rate, MIB(100));

        assert_true(learn(&large, 0, 0, 4, MIB(100), 2120000, 2120000, true));
        assert_in_range(large.rate, MIB(199), MIB(201) * 2);
        assert_int_equal(large.usec_per_node, 30000);

        /* Half of the time, which is 2 s, is that of each kind. */
        assert_true(learn(&both, 100, 40000, 2, MIB(100), 2000000, 2000000, true));
        assert_in_range(both.usec_per_node, 9900, 10100);
        assert_in_range(both.rate, MIB(195), MIB(210));
        /* Then the same plan takes as long. */
        assert_in_range(persist_plan_usec(&both), 1900000, 2100000);

        assert_false(learn(&few, 7, 500000, 1, MIB(10), 500000, 1000000, true));
        assert_int_equal(few.rate, MIB(100));

        /* What was expected to be enough was not: the same does not fit again. */
        late.seconds = late_small.seconds = 1;
        assert_true(learn(&late, 2, 1000, 1, MIB(90), 1000000, 1000000, false));
        assert_true(persist_plan_usec(&late) > 1050000);
        late_small.usec_per_node = 1000;
        assert_true(learn(&late_small, 700, 100, 0, 0, 0, 1000000, false));
        assert_true(persist_plan_usec(&late_small) > 1050000);
        assert_true(late_small.rate >= MIB(1));
        persist_plan_fit(&late_small);
        assert_true(late_small.n_dropped > 0);
}

/* Calls in all processes, of files and of directories. */
typedef struct Syncs {
        unsigned files, directories;
} Syncs;
static Syncs *syncs;
static unsigned sync_usec;

/* A sync takes the disk a while. */
static int sync_slowly(const char *call, int fd) {
        struct stat st;

        if (!streq(call, "sync") || fstat(fd, &st) < 0)
                return 0;
        (void) __atomic_fetch_add(S_ISREG(st.st_mode) ? &syncs->files : &syncs->directories, 1, __ATOMIC_SEQ_CST);
        (void) usleep(sync_usec);
        return 0;
}

/* Many small nodes: the disk has to wait little, and what a node takes is learned. */
static void test_many_nodes(void **state) {
        PersistFixture *f = *state;
        _cleanup_plan_ PersistPlan next = {}, late = {}, after = {};
        Syncs counted;
        char name[8];

        for (unsigned i = 0; i < 120; i++) {
                (void) snprintf(name, sizeof(name), "n%u", i);
                assert_ok(store_put_data(&f->p.s, &f->p.s.root, name, 0, NULL));
        }
        persist_write_all(f, PERSIST_ALL);
        syncs = mmap(NULL, sizeof(Syncs), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_true(syncs != MAP_FAILED);
        sync_usec = 20000;
        disk_io_hook = sync_slowly;
        persist_write_all(f, PERSIST_ALL);
        counted = *syncs;
        assert_int_equal(counted.files, 120);
        /* Once for the copies that were there, and for nodes that are complete within a fifth of a second. */
        assert_true(counted.directories < 40);
        /* Up to four at the same time. */
        assert_true(rate_for_next(f, 60, &next) == MIB(100));
        assert_true(next.usec_per_node >= 5000);
        assert_int_not_equal(next.usec_per_node, 30000);

        /* A plan that is too optimistic: some are lost, but only once. */
        persist_make_plan(f, PERSIST_ALL, &late);
        late.seconds = 1;
        sync_usec = 300000;
        assert_ok(persist_write(&late, &f->p.memory, f->p.d.path, &f->p.d.boot, NULL, NULL));
        disk_io_hook = NULL;
        assert_true(munmap(syncs, sizeof(Syncs)) >= 0);
        assert_true(late.n_dropped > 60);
        assert_int_equal(late.nodes[late.n - 1].drop, PERSIST_DROP_TIME);
        (void) rate_for_next(f, 1, &after);
        assert_true(after.n_dropped > 60);
        assert_true(persist_plan_is_cut(&after));
}

static const char *hanging;

static int hang_call(const char *call, _unused_ int fd) {
        if (streq(call, hanging))
                (void) sleep(HANG_SEC);
        return 0;
}

static void write_for_a_second(PersistFixture *f, int (*hook)(const char *call, int fd), PersistPlan *p) {
        uint64_t begin = now_usec(CLOCK_MONOTONIC);
        unsigned n = 0;

        persist_make_plan(f, PERSIST_ALL, p);
        p->seconds = 1;
        disk_io_hook = hook;
        assert_ok(persist_write(p, &f->p.memory, f->p.d.path, &f->p.d.boot, count_progress, &n));
        disk_io_hook = NULL;
        assert_true(now_usec(CLOCK_MONOTONIC) - begin < HANG_SEC / 3 * USEC_PER_SEC);
        assert_true(n > 0);
}

/* Whatever call the disk hangs in: the shutdown goes on when the time is up, and names what is lost. */
static void test_disk_hangs(void **state) {
        static const char *const calls[] = { "open", "unlink", "lock", "write", "sync", "rename" };
        PersistFixture *f = *state;
        _cleanup_close_ int fd = make_memfd(3000000, 7);
        StoreItem item = { .fd = fd };
        _cleanup_plan_ PersistPlan p = {}, none = {};

        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "small", 0, NULL));
        assert_ok(store_put(&f->p.s, &f->p.s.root, "large", &item, 1, 0, NULL, NULL));
        for (size_t i = 0; i < ELEMENTSOF(calls); i++) {
                _cleanup_plan_ PersistPlan hung = {};

                /* There are copies to be removed. */
                persist_write_all(f, PERSIST_ALL);
                hanging = calls[i];
                write_for_a_second(f, hang_call, &hung);
                assert_int_equal(hung.n_dropped, 2);
                for (size_t k = 0; k < hung.n; k++) {
                        assert_false(hung.nodes[k].written);
                        assert_int_equal(hung.nodes[k].drop, PERSIST_DROP_TIME);
                        assert_int_equal(hung.nodes[k].error, -ETIME);
                }
        }

        /* It is examined before. */
        hanging = "open";
        disk_io_hook = hang_call;
        assert_int_equal(persist_plan_limit_in_time(&none, f->p.d.path, &f->p.s.config), -ETIME);
        disk_io_hook = NULL;
        assert_ok(persist_plan_limit_in_time(&none, f->p.d.path, &f->p.s.config));
        assert_int_equal(none.seconds, f->p.s.config.persist_sec);
        assert_true(none.rate > 0 && none.room > 0);

        /* What was written before that is not lost. */
        write_for_a_second(f, hang_sync, &p);
        assert_true(persist_find_node(&p, "small")->written);
        assert_int_equal(persist_find_node(&p, "large")->drop, PERSIST_DROP_TIME);
        assert_int_equal(p.n_dropped, 1);
        persist_restart(f, true, false);
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 1);
        assert_true(persist_is_on_disk(f, "small"));
}

/* The process that writes is killed, for want of memory: its nodes are named, too. */
static int be_killed(const char *call, _unused_ int fd) {
        if (streq(call, "rename"))
                (void) raise(SIGKILL);
        return 0;
}

static void test_writer_is_killed(void **state) {
        PersistFixture *f = *state;
        _cleanup_plan_ PersistPlan p = {};

        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "n", 0, NULL));
        persist_write_all(f, PERSIST_ALL);
        persist_make_plan(f, PERSIST_ALL, &p);
        disk_io_hook = be_killed;
        assert_ok(persist_write(&p, &f->p.memory, f->p.d.path, &f->p.d.boot, NULL, NULL));
        disk_io_hook = NULL;
        assert_int_equal(p.n_dropped, 1);
        assert_int_equal(p.nodes[0].drop, PERSIST_DROP_FAILED);
        assert_int_equal(p.nodes[0].error, -ECANCELED);
        assert_string_equal(persist_drop_text(p.nodes), "the process that wrote it was killed");
        /* What it left behind does no harm. */
        persist_write_all(f, PERSIST_ALL);
        persist_restart(f, true, false);
        assert_true(persist_is_on_disk(f, "n"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_time_is_up, persist_setup, persist_teardown),
                cmocka_unit_test_setup_teardown(test_rate_after_overrun, persist_setup, persist_teardown),
                cmocka_unit_test_setup_teardown(test_rate_of_little, persist_setup, persist_teardown),
                cmocka_unit_test(test_rate_of_nodes),
                cmocka_unit_test_setup_teardown(test_many_nodes, persist_setup, persist_teardown),
                cmocka_unit_test_setup_teardown(test_disk_hangs, persist_setup, persist_teardown),
                cmocka_unit_test_setup_teardown(test_writer_is_killed, persist_setup, persist_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
