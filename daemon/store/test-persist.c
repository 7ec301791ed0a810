/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Nodes in memory that are written to disk for the next boot: which, in which order, and what comes back. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "disk-directory.h"
#include "disk-io.h"
#include "kexec-check.h"
#include "persist-rate.h"
#include "reboot-check.h"
#include "test-places-fixture.h"
#include "time-util.h"

typedef struct Fixture {
        PlacesFixture p;
        Store *memory_store; /* as pkram-restore has it */
} Fixture;

/* Another pkramd, in this boot or in the next one. A reboot loses what is in memory, a kexec does not. */
static void restart(Fixture *f, bool reboot, bool kexec) {
        store_free(f->memory_store);
        places_fixture_close(&f->p);
        if (reboot || kexec)
                disk_fixture_reboot(&f->p.d);
        if (kexec)
                mock_kexec(f->p.s.mock);
        if (reboot) {
                mock_free(f->p.s.mock);
                f->p.s.mock = mock_new();
        }
        places_fixture_open(&f->p);
        assert_ok(store_new(&f->p.memory, &f->p.s.config, &f->memory_store));
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(Fixture));

        places_fixture_init(&f->p);
        restart(f, true, false);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        store_free(f->memory_store);
        places_fixture_done(&f->p);
        free(f);
        return 0;
}

static void plan(Fixture *f, PersistMode mode, PersistPlan *p) {
        assert_ok(persist_plan_collect(p, f->memory_store, mode));
        p->room = GIB(1);
        p->rate = MIB(100);
        p->seconds = 60;
        persist_plan_fit(p);
}

static const PersistNode *plan_find(const PersistPlan *p, const char *name) {
        for (size_t i = 0; i < p->n; i++)
                if (streq(p->nodes[i].name, name))
                        return p->nodes + i;
        fail();
        return NULL;
}

static bool is_on_disk(Fixture *f, const char *name) {
        _cleanup_(store_load_freep) StoreLoad *l = NULL;

        return store_get(&f->p.s, &f->p.s.root, name, false, &l, NULL) >= 0 && node_is_on_disk(l->node.info.id);
}

static void write_all(Fixture *f, PersistMode mode) {
        _cleanup_plan_ PersistPlan p = {};

        plan(f, mode, &p);
        assert_ok(persist_write(&p, &f->p.memory, f->p.d.path, &f->p.d.boot, NULL, NULL));
        for (size_t i = 0; i < p.n; i++)
                assert_true(p.nodes[i].written || p.nodes[i].drop != PERSIST_DROP_NONE);
}

/* What is written comes back after the reboot, and not before. */
static void test_round_trip(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(3000000, 7);
        StoreItem items[2] = {
                { .name = "file", .fd = fd },
                { .name = "data", .fd = -EBADF, .data = "inline", .size = 6 },
        };
        struct pkram_ioctl_info info;

        assert_ok(store_put(&f->p.s, &f->p.s.root, "n", items, 2, STORE_VERIFY | STORE_PERSIST(PERSIST_MARKED), NULL,
                            NULL));
        assert_ok(store_put_data(&f->p.s, &f->p.s.alice, "n", STORE_PERSIST(1), NULL));
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "unmarked", 0, NULL));
        write_all(f, PERSIST_MODE_MARKED);

        /* In this boot nothing has changed. */
        restart(f, false, false);
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 3);
        assert_false(is_on_disk(f, "n"));
        assert_ok(store_info(f->p.s.store, &info, NULL));
        assert_int_equal(info.nr_nodes, 3);

        restart(f, true, false);
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 2);
        assert_int_equal(store_count(&f->p.s, &f->p.s.alice), 1);
        for (unsigned i = 0; i < 2; i++) {
                _cleanup_(store_load_freep) StoreLoad *l = NULL;

                assert_ok(store_get(&f->p.s, &f->p.s.root, "n", false, &l, NULL));
                assert_true(node_is_on_disk(l->node.info.id));
                assert_int_equal(l->n_items, 2);
                assert_string_equal(l->items[0].name, "file");
                assert_memfd(l->items[0].fd, 3000000, 7);
                assert_memory_equal(l->items[1].data, "inline", 6);
                l = store_load_free(l);
                /* A node that nothing has retrieved survives the next reboot as well. */
                restart(f, true, false);
        }
        assert_ok(store_remove(f->p.s.store, &f->p.s.root, NULL, "n", 0, NULL, NULL));
        restart(f, true, false);
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 1);
}

/* A shutdown that did not come to its end: what changes in memory then must not come back as it was. */
static void test_cancelled(void **state) {
        Fixture *f = *state;

        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "removed", 0, NULL));
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "replaced", 0, NULL));
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "kept", 0, NULL));
        write_all(f, PERSIST_ALL);
        assert_ok(store_remove(f->p.s.store, &f->p.s.root, NULL, "removed", 0, NULL, NULL));
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "replaced", STORE_REPLACE, NULL));
        /* No node of the same name hides the copy any more. */
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 2);
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "removed", 0, NULL));

        /* Power is lost. */
        restart(f, true, false);
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 1);
        assert_true(is_on_disk(f, "kept"));
}

/* The copies of the first of two shutdowns in one boot are gone after the second. */
static void test_twice(void **state) {
        Fixture *f = *state;

        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "a", STORE_PERSIST(1), NULL));
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "b", 0, NULL));
        write_all(f, PERSIST_ALL);
        write_all(f, PERSIST_MODE_MARKED);
        restart(f, true, false);
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 1);
        assert_true(is_on_disk(f, "a"));
}

/* The shutdown ended in a kexec that preserved the memory. */
static void test_kexec_after_all(void **state) {
        Fixture *f = *state;

        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "n", 0, NULL));
        write_all(f, PERSIST_ALL);
        restart(f, false, true);
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 1);
        assert_false(is_on_disk(f, "n"));
        assert_ok(store_remove(f->p.s.store, &f->p.s.root, NULL, "n", 0, NULL, NULL));
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 0);
        restart(f, true, false);
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 0);
}

/* The copy stays on the disk: then the node has to stay as well. */
static int no_unlink(const char *call, _unused_ int fd) {
        return streq(call, "unlink") ? -EROFS : 0;
}

static void test_copy_stays(void **state) {
        Fixture *f = *state;

        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "n", 0, NULL));
        write_all(f, PERSIST_ALL);
        disk_io_hook = no_unlink;
        assert_fails(store_remove(f->p.s.store, &f->p.s.root, NULL, "n", 0, NULL, NULL));
        disk_io_hook = NULL;
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 1);
        assert_ok(store_remove(f->p.s.store, &f->p.s.root, NULL, "n", 0, NULL, NULL));
}

static void test_marks(void **state) {
        Fixture *f = *state;
        _cleanup_plan_ PersistPlan marked = {}, all = {};

        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "default", 0, NULL));
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "secret", STORE_PERSIST(PERSIST_NEVER), NULL));
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "least", STORE_PERSIST(1), NULL));
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "most", STORE_PERSIST(PERSIST_MAX), NULL));
        assert_ok(persist_plan_add_tree(&marked, "tree", 50, PERSIST_MODE_MARKED, 4096, true));
        plan(f, PERSIST_MODE_MARKED, &marked);
        assert_int_equal(marked.n, 5);
        assert_string_equal(marked.nodes[0].name, "most");
        assert_string_equal(marked.nodes[1].name, "tree");
        assert_string_equal(marked.nodes[2].name, "least");
        assert_int_equal(plan_find(&marked, "default")->drop, PERSIST_DROP_UNMARKED);
        assert_int_equal(plan_find(&marked, "secret")->drop, PERSIST_DROP_NEVER);
        assert_int_equal(marked.n_dropped, 2);
        assert_false(persist_plan_is_cut(&marked));
        plan(f, PERSIST_ALL, &all);
        assert_string_equal(all.nodes[2].name, "default");
        assert_int_equal(all.n_dropped, 1);
        assert_int_equal(persist_plan_seconds(&all), 1);
}

static void add(PersistPlan *p, const char *name, int persist, uint64_t bytes) {
        assert_ok(persist_plan_add_tree(p, name, persist, PERSIST_ALL, bytes, true));
}

/* Users set the importance of their nodes, so it orders these behind all others, and keeps no machine running. */
static void test_users_come_last(void **state) {
        Fixture *f = *state;
        const Peer user = { .uid = 1000, .gid = 1000, .pidfd = -EBADF, .owner = (char *) "uid:1000" };
        _cleanup_plan_ PersistPlan p = {};

        assert_ok(store_put_data(&f->p.s, &user, "greedy", STORE_PERSIST(PERSIST_MAX), NULL));
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "modest", STORE_PERSIST(1), NULL));
        assert_ok(persist_plan_collect(&p, f->memory_store, PERSIST_ALL));
        p.room = KIB(64);
        p.rate = MIB(100);
        p.seconds = 60;
        persist_plan_fit(&p);
        assert_string_equal(p.nodes[0].name, "modest");
        assert_int_equal(plan_find(&p, "greedy")->drop, PERSIST_DROP_ROOM);
        assert_int_equal(p.n_dropped, 1);
        assert_false(persist_plan_is_cut(&p));
}

/* One that is too large by itself does not take others with it; then the least important ones go. */
static void test_fit(void **state) {
        (void) state;
        _cleanup_plan_ PersistPlan room = { .room = MIB(100), .rate = MIB(100), .seconds = 60 },
                time = { .room = UINT64_MAX, .rate = MIB(10), .seconds = 10 }, none = { .rate = 1, .seconds = 1 },
                huge = { .room = UINT64_MAX, .rate = UINT64_MAX, .seconds = 2 },
                many = { .room = UINT64_MAX, .rate = UINT64_MAX, .seconds = 6, .usec_per_node = 30000 };

        add(&room, "huge", 100, MIB(101));
        add(&room, "a", 90, MIB(60));
        add(&room, "b", 0, MIB(20));
        add(&room, "c", 80, MIB(30));
        persist_plan_fit(&room);
        assert_string_equal(room.nodes[0].name, "a");
        assert_string_equal(room.nodes[1].name, "c");
        assert_int_equal(plan_find(&room, "huge")->drop, PERSIST_DROP_ROOM);
        assert_int_equal(plan_find(&room, "b")->drop, PERSIST_DROP_ROOM);
        assert_int_equal(room.n_dropped, 2);
        assert_true(room.bytes > MIB(90) && room.bytes < MIB(91));
        assert_true(persist_plan_is_cut(&room));

        add(&time, "a", 2, MIB(60));
        add(&time, "b", 1, MIB(60));
        persist_plan_fit(&time);
        assert_int_equal(plan_find(&time, "b")->drop, PERSIST_DROP_TIME);
        assert_int_equal(persist_plan_seconds(&time), 7);

        /* Each node takes time, however small it is. */
        for (unsigned i = 0; i < 300; i++)
                add(&many, "small", 1, 1);
        persist_plan_fit(&many);
        assert_int_equal(many.n_dropped, 100);
        assert_int_equal(many.nodes[299].drop, PERSIST_DROP_TIME);
        assert_int_equal(persist_plan_seconds(&many), 6);

        add(&none, "a", 1, 1);
        persist_plan_fit(&none);
        assert_int_equal(none.n_dropped, 1);
        assert_int_equal(persist_plan_seconds(&none), 0);

        add(&huge, "a", 1, UINT64_MAX);
        add(&huge, "b", 2, UINT64_MAX - MIB(1));
        persist_plan_fit(&huge);
        assert_int_equal(huge.n_dropped, 1);
}

static void test_limit(void **state) {
        Fixture *f = *state;
        _cleanup_plan_ PersistPlan p = {};
        char file[128];
        FILE *rate;

        /* The directory is not there yet. */
        f->p.s.config.persist_bytes = UINT64_MAX;
        f->p.s.config.persist_sec = 7;
        assert_ok(persist_plan_limit(&p, f->p.d.path, &f->p.s.config));
        assert_true(p.room > 0);
        assert_int_equal(p.rate, MIB(100));
        assert_int_equal(p.usec_per_node, 30000);
        assert_int_equal(p.seconds, 7);
        f->p.s.config.persist_bytes = 4096;
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "n", 0, NULL));
        write_all(f, PERSIST_ALL);
        (void) snprintf(file, sizeof(file), "%s/rate", f->p.d.path);
        assert_non_null(rate = fopen(file, "we"));
        assert_true(fputs("200000000 2000000\n", rate) >= 0);
        assert_int_equal(fclose(rate), 0);
        assert_ok(persist_plan_limit(&p, f->p.d.path, &f->p.s.config));
        assert_int_equal(p.room, 4096);
        assert_int_equal(p.rate, 100000000);
        assert_int_equal(p.usec_per_node, 30000);
        assert_non_null(rate = fopen(file, "we"));
        assert_true(fputs("200000000 1000000 5000\n", rate) >= 0);
        assert_int_equal(fclose(rate), 0);
        assert_ok(persist_plan_limit(&p, f->p.d.path, &f->p.s.config));
        assert_int_equal(p.rate, 200000000);
        assert_int_equal(p.usec_per_node, 5000);
        assert_non_null(rate = fopen(file, "we"));
        assert_true(fputs("1 0\n", rate) >= 0);
        assert_int_equal(fclose(rate), 0);
        assert_ok(persist_plan_limit(&p, f->p.d.path, &f->p.s.config));
        assert_int_equal(p.rate, MIB(100));
}

/* What CheckKexec and the guard say before. */
static void test_reboot_check(void **state) {
        Fixture *f = *state;
        Config *c = &f->p.s.config;
        KexecFacts facts = {};
        char utab[128];
        FILE *table;

        struct {
                PersistMode mode;
                bool disk, drop, keeps, fits, allowed;
                uint64_t bytes;
                const char *text;
        } cases[] = {
                { PERSIST_ALL, false, false, false, false, true, GIB(1), "A reboot would lose 3 nodes and mounted " },
                { PERSIST_ALL, true, false, true, true, true, GIB(1), "A shutdown writes 3 nodes with " },
                { PERSIST_MODE_MARKED, true, false, false, true, true, GIB(1), "'plain' of root (it is not marked" },
                { PERSIST_MODE_MARKED, true, false, false, false, false, 1, "set PersistPolicy=drop" },
                { PERSIST_MODE_MARKED, true, true, false, false, true, 1, "'marked' of root (there is too little" },
        };

        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "marked", STORE_PERSIST(9), NULL));
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "plain", 0, NULL));
        (void) snprintf(utab, sizeof(utab), "%s/utab", f->p.d.parent);
        assert_non_null(table = fopen(utab, "we"));
        assert_true(fputs("ID=1 SRC=tree TARGET=/none ROOT=/ OPTS=helper=pkram,x-pkram.persist=10\n", table) >= 0);
        assert_int_equal(fclose(table), 0);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(reboot_check_freep) RebootCheck *check = NULL;
                struct json_object *o;

                c->persist = cases[i].mode;
                c->disk = cases[i].disk;
                c->persist_drop = cases[i].drop;
                c->persist_bytes = cases[i].bytes;
                assert_ok(reboot_check_new(f->memory_store, c, utab, NULL, f->p.d.path, &facts, NULL, &check));
                assert_int_equal(check->keeps, cases[i].keeps);
                if (cases[i].disk)
                        assert_int_equal(check->fits, cases[i].fits);
                assert_int_equal(check->allowed, cases[i].allowed);
                if (!strstr(check->text, cases[i].text))
                        fail_msg("%zu: %s", i, check->text);
                assert_non_null(o = reboot_check_to_json(check));
                json_object_put(o);
        }
        /* What keeps all of them from the disk is said once. */
        {
                _cleanup_(reboot_check_freep) RebootCheck *none = NULL;
                const char *first;

                c->persist_bytes = GIB(1);
                c->persist_drop = false;
                assert_ok(mkdir(f->p.d.path, 0777));
                assert_ok(chmod(f->p.d.path, 0777));
                assert_ok(reboot_check_new(f->memory_store, c, utab, NULL, f->p.d.path, &facts, NULL, &none));
                assert_ok(rmdir(f->p.d.path));
                assert_false(none->keeps || none->fits || none->allowed);
                assert_non_null(first = strstr(none->text, "other users can write to it"));
                assert_null(strstr(first + 1, "other users"));
                assert_non_null(strstr(first, "'marked' of root; "));
                assert_non_null(strstr(first, "PersistPolicy=drop"));
        }
        /* The tree is more important. */
        c->persist_bytes = KIB(64);
        _cleanup_(reboot_check_freep) RebootCheck *check = NULL;

        assert_ok(reboot_check_new(f->memory_store, c, utab, NULL, f->p.d.path, &facts, NULL, &check));
        assert_string_equal(check->plan.nodes[0].name, "tree");
}

/* Trees that cannot be stored are not written either. */
static void test_reboot_check_facts(void **state) {
        Fixture *f = *state;
        Config *c = &f->p.s.config;
        KexecTreeProblem problem = { .name = "tree", .path = "/none" };
        KexecFacts facts = { .problems = &problem, .n_problems = 1 };
        _cleanup_(reboot_check_freep) RebootCheck *before = NULL, *after = NULL;
        char utab[128];
        FILE *table;

        (void) snprintf(utab, sizeof(utab), "%s/utab", f->p.d.parent);
        assert_non_null(table = fopen(utab, "we"));
        assert_true(fputs("ID=1 SRC=tree TARGET=/none ROOT=/ OPTS=helper=pkram,x-pkram.persist=10\n", table) >= 0);
        assert_int_equal(fclose(table), 0);
        c->disk = true;
        c->persist = PERSIST_ALL;
        c->persist_bytes = GIB(1);
        assert_ok(reboot_check_new(f->memory_store, c, utab, NULL, f->p.d.path, &facts, NULL, &before));
        assert_int_equal(plan_find(&before->plan, "tree")->drop, PERSIST_DROP_UNSTORABLE);
        assert_false(before->keeps || before->fits || before->allowed);
        assert_non_null(strstr(before->text, "it cannot be stored as it is"));

        facts.n_problems = 0;
        assert_ok(reboot_check_new(f->memory_store, c, utab, NULL, f->p.d.path, &facts, NULL, &after));
        assert_true(after->keeps && after->fits && after->allowed);
}

/* --- failures --- */

static const char *failing;

static int fail_call(const char *call, _unused_ int fd) {
        return streq(call, failing) ? -EDQUOT : 0;
}

static int fail_slowly(const char *call, _unused_ int fd) {
        if (streq(call, "write"))
                (void) usleep(300000);
        return 0;
}

/* Each call fails in turn: what is not written is named, what is there is complete, and memory is as it was. */
static void test_failures(void **state) {
        static const char *const calls[] = { "open", "mkdir", "write", "sync", "rename" };
        Fixture *f = *state;

        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "a", 0, NULL));
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "b", 0, NULL));
        for (size_t i = 0; i < ELEMENTSOF(calls); i++) {
                _cleanup_plan_ PersistPlan p = {};

                plan(f, PERSIST_ALL, &p);
                failing = calls[i];
                disk_io_hook = fail_call;
                (void) persist_write(&p, &f->p.memory, f->p.d.path, &f->p.d.boot, NULL, NULL);
                disk_io_hook = NULL;
                assert_int_equal(p.n_dropped, 2);
                for (size_t k = 0; k < p.n; k++) {
                        assert_true(p.nodes[k].drop >= PERSIST_DROP_ROOM && !p.nodes[k].written);
                        assert_non_null(persist_drop_text(p.nodes + k));
                }
                assert_int_equal(store_count(&f->p.s, &f->p.s.root), 2);
        }
        write_all(f, PERSIST_ALL);
        restart(f, true, false);
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 2);
}

/* The disk has room for some bytes in this directory. */
static const char *full_path;

static int full_disk(const char *call, _unused_ int fd) {
        DIR *d = streq(call, "write") ? opendir(full_path) : NULL;
        const struct dirent *de;
        uint64_t bytes = 0;

        while (d && (de = readdir(d))) {
                struct stat st;

                if (fstatat(dirfd(d), de->d_name, &st, AT_SYMLINK_NOFOLLOW) >= 0 && S_ISREG(st.st_mode))
                        bytes += (uint64_t) st.st_blocks * 512;
        }
        if (d)
                (void) closedir(d);
        return bytes > 3400000 ? -EDQUOT : 0;
}

/* The disk fills up although the plan fits: less important nodes give way, whatever is written first. */
static void test_less_important_nodes_give_way(void **state) {
        static const char *const names[] = { "least", "less", "more", "most" };
        Fixture *f = *state;
        _cleanup_plan_ PersistPlan p = {};
        _cleanup_free_ char *nodes = NULL;
        DiskDirectory dir = DISK_DIRECTORY_NONE;

        for (unsigned i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_close_ int fd = make_memfd(i == 3 ? 2000000 : 1000000, i);
                StoreItem item = { .fd = fd };

                assert_ok(store_put(&f->p.s, &f->p.s.root, names[i], &item, 1, STORE_PERSIST((int) i + 1), NULL,
                                    NULL));
        }
        assert_ok(disk_directory_enter(f->p.d.path, &f->p.d.boot, &dir));
        assert_true(asprintf(&nodes, "%s/nodes.%s", f->p.d.path, dir.record.token) > 0);
        disk_directory_done(&dir);

        plan(f, PERSIST_ALL, &p);
        full_path = nodes;
        disk_io_hook = full_disk;
        assert_ok(persist_write(&p, &f->p.memory, f->p.d.path, &f->p.d.boot, NULL, NULL));
        disk_io_hook = NULL;
        assert_true(plan_find(&p, "most")->written && plan_find(&p, "more")->written);
        assert_int_equal(plan_find(&p, "less")->drop, PERSIST_DROP_ROOM);
        assert_int_equal(plan_find(&p, "least")->drop, PERSIST_DROP_ROOM);
        assert_int_equal(p.n_dropped, 2);
        restart(f, true, false);
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 2);
        assert_true(is_on_disk(f, "most") && is_on_disk(f, "more"));
}

/* One node cannot be read, which costs no other one. */
static void test_unreadable(void **state) {
        Fixture *f = *state;
        _cleanup_plan_ PersistPlan p = {};

        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "a", 0, NULL));
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "b", 0, NULL));
        plan(f, PERSIST_ALL, &p);
        /* It was replaced after the plan was made. */
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "a", STORE_REPLACE, NULL));
        assert_ok(persist_write(&p, &f->p.memory, f->p.d.path, &f->p.d.boot, NULL, NULL));
        assert_int_equal(plan_find(&p, "a")->drop, PERSIST_DROP_FAILED);
        assert_int_equal(plan_find(&p, "a")->error, -ESTALE);
        assert_true(plan_find(&p, "b")->written);
        restart(f, true, false);
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 1);
}

static void count_progress(_unused_ const PersistPlan *p, _unused_ uint64_t bytes, void *userdata) {
        ++*(unsigned *) userdata;
}

static void test_time_is_up(void **state) {
        Fixture *f = *state;
        _cleanup_plan_ PersistPlan p = {};
        char name[8];
        unsigned n = 0;

        for (unsigned i = 0; i < 6; i++) {
                (void) snprintf(name, sizeof(name), "n%u", i);
                assert_ok(store_put_data(&f->p.s, &f->p.s.root, name, 0, NULL));
        }
        plan(f, PERSIST_ALL, &p);
        p.seconds = 0;
        disk_io_hook = fail_slowly;
        assert_ok(persist_write(&p, &f->p.memory, f->p.d.path, &f->p.d.boot, count_progress, &n));
        disk_io_hook = NULL;
        assert_int_equal(p.n_dropped, 6);
        assert_int_equal(p.nodes[0].drop, PERSIST_DROP_TIME);
        assert_true(n > 0);
        restart(f, true, false);
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
static uint64_t rate_for_next(Fixture *f, uint64_t seconds, PersistPlan *p) {
        f->p.s.config.persist_bytes = UINT64_MAX;
        f->p.s.config.persist_sec = seconds;
        assert_ok(persist_plan_collect(p, f->memory_store, PERSIST_ALL));
        assert_ok(persist_plan_limit(p, f->p.d.path, &f->p.s.config));
        persist_plan_fit(p);
        return p->rate;
}

/* If the time was not enough, the next shutdown knows it before, and so does the one after a slower one. */
static void test_rate_after_overrun(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(MIB(8), 7);
        StoreItem item = { .fd = fd };

        assert_ok(store_put(&f->p.s, &f->p.s.root, "n", &item, 1, 0, NULL, NULL));
        for (unsigned i = 0; i < 2; i++) {
                _cleanup_plan_ PersistPlan p = {}, next = {};

                plan(f, PERSIST_ALL, &p);
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
        Fixture *f = *state;
        _cleanup_plan_ PersistPlan p = {};

        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "n", 0, NULL));
        disk_io_hook = write_slowly;
        write_all(f, PERSIST_ALL);
        disk_io_hook = NULL;
        assert_int_equal(rate_for_next(f, 60, &p), MIB(100));
        assert_int_equal(p.usec_per_node, 30000);
}

/* A plan that was carried out: small nodes took so long each, and large ones with so many bytes. */
static bool learn(PersistPlan *p, unsigned small, uint64_t small_usec, unsigned large, uint64_t bytes,
                  uint64_t large_usec, uint64_t usec, bool in_time) {

        _cleanup_free_ PersistShared *shared = NULL;

        for (unsigned i = 0; i < small + large; i++)
                add(p, "n", 1, i < small ? 1000 : bytes);
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
        Fixture *f = *state;
        _cleanup_plan_ PersistPlan next = {}, late = {}, after = {};
        Syncs counted;
        char name[8];

        for (unsigned i = 0; i < 120; i++) {
                (void) snprintf(name, sizeof(name), "n%u", i);
                assert_ok(store_put_data(&f->p.s, &f->p.s.root, name, 0, NULL));
        }
        write_all(f, PERSIST_ALL);
        syncs = mmap(NULL, sizeof(Syncs), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_true(syncs != MAP_FAILED);
        sync_usec = 20000;
        disk_io_hook = sync_slowly;
        write_all(f, PERSIST_ALL);
        counted = *syncs;
        assert_int_equal(counted.files, 120);
        /* Once for the copies that were there, and for nodes that are complete within a fifth of a second. */
        assert_true(counted.directories < 40);
        /* Up to four at the same time. */
        assert_true(rate_for_next(f, 60, &next) == MIB(100));
        assert_true(next.usec_per_node >= 5000);
        assert_int_not_equal(next.usec_per_node, 30000);

        /* A plan that is too optimistic: some are lost, but only once. */
        plan(f, PERSIST_ALL, &late);
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

static int hang_call(const char *call, _unused_ int fd) {
        if (streq(call, failing))
                (void) sleep(HANG_SEC);
        return 0;
}

static void write_for_a_second(Fixture *f, int (*hook)(const char *call, int fd), PersistPlan *p) {
        uint64_t begin = now_usec(CLOCK_MONOTONIC);
        unsigned n = 0;

        plan(f, PERSIST_ALL, p);
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
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(3000000, 7);
        StoreItem item = { .fd = fd };
        _cleanup_plan_ PersistPlan p = {};

        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "small", 0, NULL));
        assert_ok(store_put(&f->p.s, &f->p.s.root, "large", &item, 1, 0, NULL, NULL));
        for (size_t i = 0; i < ELEMENTSOF(calls); i++) {
                _cleanup_plan_ PersistPlan hung = {};

                /* There are copies to be removed. */
                write_all(f, PERSIST_ALL);
                failing = calls[i];
                write_for_a_second(f, hang_call, &hung);
                assert_int_equal(hung.n_dropped, 2);
                for (size_t k = 0; k < hung.n; k++) {
                        assert_false(hung.nodes[k].written);
                        assert_int_equal(hung.nodes[k].drop, PERSIST_DROP_TIME);
                        assert_int_equal(hung.nodes[k].error, -ETIME);
                }
        }

        /* What was written before that is not lost. */
        write_for_a_second(f, hang_sync, &p);
        assert_true(plan_find(&p, "small")->written);
        assert_int_equal(plan_find(&p, "large")->drop, PERSIST_DROP_TIME);
        assert_int_equal(p.n_dropped, 1);
        restart(f, true, false);
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 1);
        assert_true(is_on_disk(f, "small"));
}

/* The process that writes is killed, for want of memory: its nodes are named, too. */
static int be_killed(const char *call, _unused_ int fd) {
        if (streq(call, "rename"))
                (void) raise(SIGKILL);
        return 0;
}

static void test_writer_is_killed(void **state) {
        Fixture *f = *state;
        _cleanup_plan_ PersistPlan p = {};

        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "n", 0, NULL));
        write_all(f, PERSIST_ALL);
        plan(f, PERSIST_ALL, &p);
        disk_io_hook = be_killed;
        assert_ok(persist_write(&p, &f->p.memory, f->p.d.path, &f->p.d.boot, NULL, NULL));
        disk_io_hook = NULL;
        assert_int_equal(p.n_dropped, 1);
        assert_int_equal(p.nodes[0].drop, PERSIST_DROP_FAILED);
        assert_int_equal(p.nodes[0].error, -ECANCELED);
        /* What it left behind does no harm. */
        write_all(f, PERSIST_ALL);
        restart(f, true, false);
        assert_true(is_on_disk(f, "n"));
}

/* A shutdown that is cut off at any moment leaves nodes that are complete, or none. */
static void test_cut_off(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(3000000, 9);
        StoreItem item = { .fd = fd };

        assert_ok(store_put(&f->p.s, &f->p.s.root, "n", &item, 1, STORE_VERIFY, NULL, NULL));
        assert_ok(prctl(PR_SET_CHILD_SUBREAPER, 1));
        for (unsigned i = 0; i < 20; i++) {
                pid_t pid = fork();

                assert_true(pid >= 0);
                if (pid == 0) {
                        _cleanup_plan_ PersistPlan p = {};

                        if (persist_plan_collect(&p, f->memory_store, PERSIST_ALL) >= 0) {
                                p.room = GIB(1);
                                p.rate = MIB(100);
                                p.seconds = 60;
                                persist_plan_fit(&p);
                                (void) persist_write(&p, &f->p.memory, f->p.d.path, &f->p.d.boot, NULL, NULL);
                        }
                        _exit(0);
                }
                (void) usleep(i * 1500);
                (void) kill(pid, SIGKILL);
                /* The processes that it has started end with it. */
                while (waitpid(-1, NULL, 0) >= 0)
                        ;

                /* The memory of this process is as it was, so look at the disk alone. */
                DiskBoot next = f->p.d.boot;
                _cleanup_(disk_device_freep) DiskDevice *disk = NULL;
                char copy[128], command[700];

                (void) snprintf(copy, sizeof(copy), "%s/copy", f->p.d.parent);
                (void) snprintf(command, sizeof(command),
                                "rm -rf %s && if [ -e %s ]; then cp -a %s %s; else mkdir -m 700 %s; fi", copy,
                                f->p.d.path, f->p.d.path, copy, copy);
                assert_int_equal(system(command), 0);
                next.boot_id[0] = next.boot_id[0] == 'a' ? 'b' : 'a';
                assert_ok(disk_device_new(copy, &next, NULL, NULL, &disk));
                _cleanup_(store_freep) Store *s = NULL;
                PkramDevice device = disk_device(disk);
                _cleanup_(store_load_freep) StoreLoad *l = NULL;
                int r;

                assert_ok(store_new(&device, &f->p.s.config, &s));
                r = store_load_new(s, &f->p.s.root, NULL, "n", false, &l, NULL);
                while (r >= 0 && (r = store_load_step(l, NULL)) > 0)
                        ;
                assert_true(r == 0 || r == -ENOENT);
        }
        write_all(f, PERSIST_ALL);
        restart(f, true, false);
        assert_true(is_on_disk(f, "n"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
                cmocka_unit_test_setup_teardown(test_cancelled, setup, teardown),
                cmocka_unit_test_setup_teardown(test_twice, setup, teardown),
                cmocka_unit_test_setup_teardown(test_kexec_after_all, setup, teardown),
                cmocka_unit_test_setup_teardown(test_copy_stays, setup, teardown),
                cmocka_unit_test_setup_teardown(test_marks, setup, teardown),
                cmocka_unit_test_setup_teardown(test_users_come_last, setup, teardown),
                cmocka_unit_test(test_fit),
                cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
                cmocka_unit_test_setup_teardown(test_reboot_check, setup, teardown),
                cmocka_unit_test_setup_teardown(test_reboot_check_facts, setup, teardown),
                cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
                cmocka_unit_test_setup_teardown(test_less_important_nodes_give_way, setup, teardown),
                cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
                cmocka_unit_test_setup_teardown(test_time_is_up, setup, teardown),
                cmocka_unit_test_setup_teardown(test_rate_after_overrun, setup, teardown),
                cmocka_unit_test_setup_teardown(test_rate_of_little, setup, teardown),
                cmocka_unit_test(test_rate_of_nodes),
                cmocka_unit_test_setup_teardown(test_many_nodes, setup, teardown),
                cmocka_unit_test_setup_teardown(test_disk_hangs, setup, teardown),
                cmocka_unit_test_setup_teardown(test_writer_is_killed, setup, teardown),
                cmocka_unit_test_setup_teardown(test_cut_off, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
