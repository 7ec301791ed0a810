/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Nodes in memory that are written to disk for the next boot: which, in which order, and what comes back. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "disk-copy.h"
#include "disk-io.h"
#include "kexec-check.h"
#include "reboot-check.h"
#include "test-persist-fixture.h"

/* What is written comes back after the reboot, and not before. */
static void test_round_trip(void **state) {
        PersistFixture *f = *state;
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
        persist_write_all(f, PERSIST_MODE_MARKED);

        /* In this boot nothing has changed. */
        persist_restart(f, false, false);
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 3);
        assert_false(persist_is_on_disk(f, "n"));
        assert_ok(store_info(f->p.s.store, &info, NULL));
        assert_int_equal(info.nr_nodes, 3);

        persist_restart(f, true, false);
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
                persist_restart(f, true, false);
        }
        assert_ok(store_remove(f->p.s.store, &f->p.s.root, NULL, "n", 0, NULL, NULL));
        persist_restart(f, true, false);
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 1);
}

/* A shutdown that did not come to its end: what changes in memory then must not come back as it was. */
static void test_cancelled(void **state) {
        PersistFixture *f = *state;

        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "removed", 0, NULL));
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "replaced", 0, NULL));
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "kept", 0, NULL));
        persist_write_all(f, PERSIST_ALL);
        assert_ok(store_remove(f->p.s.store, &f->p.s.root, NULL, "removed", 0, NULL, NULL));
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "replaced", STORE_REPLACE, NULL));
        /* No node of the same name hides the copy any more. */
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 2);
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "removed", 0, NULL));

        /* Power is lost. */
        persist_restart(f, true, false);
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 1);
        assert_true(persist_is_on_disk(f, "kept"));
}

/* The copies of the first of two shutdowns in one boot are gone after the second. */
static void test_twice(void **state) {
        PersistFixture *f = *state;

        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "a", STORE_PERSIST(1), NULL));
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "b", 0, NULL));
        persist_write_all(f, PERSIST_ALL);
        persist_write_all(f, PERSIST_MODE_MARKED);
        persist_restart(f, true, false);
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 1);
        assert_true(persist_is_on_disk(f, "a"));
}

/* The shutdown ended in a kexec that preserved the memory. */
static void test_kexec_after_all(void **state) {
        PersistFixture *f = *state;

        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "n", 0, NULL));
        persist_write_all(f, PERSIST_ALL);
        persist_restart(f, false, true);
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 1);
        assert_false(persist_is_on_disk(f, "n"));
        assert_ok(store_remove(f->p.s.store, &f->p.s.root, NULL, "n", 0, NULL, NULL));
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 0);
        persist_restart(f, true, false);
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 0);
}

/* The copy stays on the disk: then the node has to stay as well. */
static int no_unlink(const char *call, _unused_ int fd) {
        return streq(call, "unlink") ? -EROFS : 0;
}

static void test_copy_stays(void **state) {
        PersistFixture *f = *state;

        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "n", 0, NULL));
        persist_write_all(f, PERSIST_ALL);
        disk_io_hook = no_unlink;
        assert_fails(store_remove(f->p.s.store, &f->p.s.root, NULL, "n", 0, NULL, NULL));
        disk_io_hook = NULL;
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 1);
        assert_ok(store_remove(f->p.s.store, &f->p.s.root, NULL, "n", 0, NULL, NULL));
}

static void test_marks(void **state) {
        PersistFixture *f = *state;
        _cleanup_plan_ PersistPlan marked = {}, all = {};

        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "default", 0, NULL));
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "secret", STORE_PERSIST(PERSIST_NEVER), NULL));
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "least", STORE_PERSIST(1), NULL));
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "most", STORE_PERSIST(PERSIST_MAX), NULL));
        assert_ok(persist_plan_add_tree(&marked, "tree", 50, PERSIST_MODE_MARKED, 4096, true));
        persist_make_plan(f, PERSIST_MODE_MARKED, &marked);
        assert_int_equal(marked.n, 5);
        assert_string_equal(marked.nodes[0].name, "most");
        assert_string_equal(marked.nodes[1].name, "tree");
        assert_string_equal(marked.nodes[2].name, "least");
        assert_int_equal(persist_find_node(&marked, "default")->drop, PERSIST_DROP_UNMARKED);
        assert_int_equal(persist_find_node(&marked, "secret")->drop, PERSIST_DROP_NEVER);
        assert_int_equal(marked.n_dropped, 2);
        assert_false(persist_plan_is_cut(&marked));
        persist_make_plan(f, PERSIST_ALL, &all);
        assert_string_equal(all.nodes[2].name, "default");
        assert_int_equal(all.n_dropped, 1);
        assert_int_equal(persist_plan_seconds(&all), 1);
}

/* Users set the importance of their nodes, so it orders these behind all others, and keeps no machine running. */
static void test_users_come_last(void **state) {
        PersistFixture *f = *state;
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
        assert_int_equal(persist_find_node(&p, "greedy")->drop, PERSIST_DROP_ROOM);
        assert_int_equal(p.n_dropped, 1);
        assert_false(persist_plan_is_cut(&p));
}

/* One that is too large by itself does not take others with it; then the least important ones go. */
static void test_fit(void **state) {
        (void) state;
        _cleanup_plan_ PersistPlan room = { .room = MIB(100), .rate = MIB(100), .seconds = 60 },
                time = { .room = UINT64_MAX, .rate = MIB(10), .seconds = 10 },
                late = { .room = MIB(400), .rate = MIB(10), .seconds = 10, .try_late = true },
                none = { .rate = 1, .seconds = 1 },
                huge = { .room = UINT64_MAX, .rate = UINT64_MAX, .seconds = 2 },
                many = { .room = UINT64_MAX, .rate = UINT64_MAX, .seconds = 6, .usec_per_node = 30000 };

        persist_add_tree_node(&room, "huge", 100, MIB(101));
        persist_add_tree_node(&room, "a", 90, MIB(60));
        persist_add_tree_node(&room, "b", 0, MIB(20));
        persist_add_tree_node(&room, "c", 80, MIB(30));
        persist_plan_fit(&room);
        assert_string_equal(room.nodes[0].name, "a");
        assert_string_equal(room.nodes[1].name, "c");
        assert_int_equal(persist_find_node(&room, "huge")->drop, PERSIST_DROP_ROOM);
        assert_int_equal(persist_find_node(&room, "b")->drop, PERSIST_DROP_ROOM);
        assert_int_equal(room.n_dropped, 2);
        assert_true(room.bytes > MIB(90) && room.bytes < MIB(91));
        assert_true(persist_plan_is_cut(&room));

        persist_add_tree_node(&time, "a", 2, MIB(60));
        persist_add_tree_node(&time, "b", 1, MIB(60));
        persist_plan_fit(&time);
        assert_int_equal(persist_find_node(&time, "b")->drop, PERSIST_DROP_TIME);
        assert_int_equal(persist_plan_seconds(&time), 7);

        /* At the end of a shutdown, all that there is room for is tried, what exceeds the time last. */
        persist_add_tree_node(&late, "huge", 100, MIB(200));
        persist_add_tree_node(&late, "a", 3, MIB(60));
        persist_add_tree_node(&late, "b", 2, MIB(60));
        persist_add_tree_node(&late, "c", 1, MIB(10));
        persist_add_tree_node(&late, "no room", 0, MIB(200));
        persist_plan_fit(&late);
        assert_int_equal(late.n_dropped, 1);
        assert_string_equal(late.nodes[0].name, "a");
        assert_false(late.nodes[0].late);
        assert_string_equal(late.nodes[1].name, "huge");
        assert_string_equal(late.nodes[2].name, "b");
        assert_string_equal(late.nodes[3].name, "c");
        assert_true(late.nodes[1].late && late.nodes[2].late && late.nodes[3].late);
        assert_int_equal(late.nodes[4].drop, PERSIST_DROP_ROOM);

        /* Each node takes time, however small it is. */
        for (unsigned i = 0; i < 300; i++)
                persist_add_tree_node(&many, "small", 1, 1);
        persist_plan_fit(&many);
        assert_int_equal(many.n_dropped, 100);
        assert_int_equal(many.nodes[299].drop, PERSIST_DROP_TIME);
        assert_int_equal(persist_plan_seconds(&many), 6);

        persist_add_tree_node(&none, "a", 1, 1);
        persist_plan_fit(&none);
        assert_int_equal(none.n_dropped, 1);
        assert_int_equal(persist_plan_seconds(&none), 0);

        persist_add_tree_node(&huge, "a", 1, UINT64_MAX);
        persist_add_tree_node(&huge, "b", 2, UINT64_MAX - MIB(1));
        persist_plan_fit(&huge);
        assert_int_equal(huge.n_dropped, 1);
}

static void test_limit(void **state) {
        PersistFixture *f = *state;
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
        persist_write_all(f, PERSIST_ALL);
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
        PersistFixture *f = *state;
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
        PersistFixture *f = *state;
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
        assert_int_equal(persist_find_node(&before->plan, "tree")->drop, PERSIST_DROP_UNSTORABLE);
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

/* Each call fails in turn: what is not written is named, what is there is complete, and memory is as it was. */
static void test_failures(void **state) {
        static const char *const calls[] = { "open", "mkdir", "write", "sync", "rename" };
        PersistFixture *f = *state;

        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "a", 0, NULL));
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "b", 0, NULL));
        for (size_t i = 0; i < ELEMENTSOF(calls); i++) {
                _cleanup_plan_ PersistPlan p = {};

                persist_make_plan(f, PERSIST_ALL, &p);
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
        persist_write_all(f, PERSIST_ALL);
        persist_restart(f, true, false);
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 2);
}

/* The disk has room for some bytes in this directory. */
static const char *full_path;

static int full_disk(const char *call, _unused_ int fd) {
        DIR *d = streq(call, "write") ? opendir(full_path) : NULL;
        const struct dirent *de;
        uint64_t bytes = 0;
        ino_t seen[16];
        size_t n = 0;

        while (d && (de = readdir(d))) {
                bool again = false;
                struct stat st;

                if (fstatat(dirfd(d), de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
                        continue;
                /* It may be renamed meanwhile. */
                for (size_t i = 0; i < n; i++)
                        again = again || seen[i] == st.st_ino;
                if (again || n >= ELEMENTSOF(seen))
                        continue;
                seen[n++] = st.st_ino;
                bytes += (uint64_t) st.st_blocks * 512;
        }
        if (d)
                (void) closedir(d);
        return bytes > 3400000 ? -EDQUOT : 0;
}

/* The disk fills up although the plan fits: less important nodes give way, whatever is written first. */
static void test_less_important_nodes_give_way(void **state) {
        static const char *const names[] = { "least", "less", "more", "most" };
        PersistFixture *f = *state;
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

        persist_make_plan(f, PERSIST_ALL, &p);
        full_path = nodes;
        disk_io_hook = full_disk;
        assert_ok(persist_write(&p, &f->p.memory, f->p.d.path, &f->p.d.boot, NULL, NULL));
        disk_io_hook = NULL;
        assert_true(persist_find_node(&p, "most")->written && persist_find_node(&p, "more")->written);
        assert_int_equal(persist_find_node(&p, "less")->drop, PERSIST_DROP_ROOM);
        assert_int_equal(persist_find_node(&p, "least")->drop, PERSIST_DROP_ROOM);
        assert_int_equal(p.n_dropped, 2);
        persist_restart(f, true, false);
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 2);
        assert_true(persist_is_on_disk(f, "most") && persist_is_on_disk(f, "more"));
}

/* A process that writes another node has inherited the descriptor of one that is complete. */
static void test_copy_is_removed(void **state) {
        PersistFixture *f = *state;
        DiskCopies c = DISK_COPIES_NONE;
        DiskCopy copy = DISK_COPY_NONE;
        _cleanup_close_ int inherited = -EBADF;

        assert_ok(disk_copies_open(f->p.d.path, &f->p.d.boot, &c));
        assert_ok(disk_copy_begin(&c, "n", &copy));
        assert_ok(inherited = dup(copy.fd));
        assert_ok(disk_copy_finish(&c, &copy));
        assert_ok(disk_copy_publish(&c, &copy, "n"));
        disk_copy_done(&c, &copy);
        assert_ok(disk_copy_remove(&c, "n"));
        disk_copies_done(&c);
}

/* One node cannot be read, which costs no other one. */
static void test_unreadable(void **state) {
        PersistFixture *f = *state;
        _cleanup_plan_ PersistPlan p = {};

        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "a", 0, NULL));
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "b", 0, NULL));
        persist_make_plan(f, PERSIST_ALL, &p);
        /* It was replaced after the plan was made. */
        assert_ok(store_put_data(&f->p.s, &f->p.s.root, "a", STORE_REPLACE, NULL));
        assert_ok(persist_write(&p, &f->p.memory, f->p.d.path, &f->p.d.boot, NULL, NULL));
        assert_int_equal(persist_find_node(&p, "a")->drop, PERSIST_DROP_FAILED);
        assert_int_equal(persist_find_node(&p, "a")->error, -ESTALE);
        assert_true(persist_find_node(&p, "b")->written);
        persist_restart(f, true, false);
        assert_int_equal(store_count(&f->p.s, &f->p.s.root), 1);
}

/* A shutdown that is cut off at any moment leaves nodes that are complete, or none. */
static void test_cut_off(void **state) {
        PersistFixture *f = *state;
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
        persist_write_all(f, PERSIST_ALL);
        persist_restart(f, true, false);
        assert_true(persist_is_on_disk(f, "n"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_round_trip, persist_setup, persist_teardown),
                cmocka_unit_test_setup_teardown(test_cancelled, persist_setup, persist_teardown),
                cmocka_unit_test_setup_teardown(test_twice, persist_setup, persist_teardown),
                cmocka_unit_test_setup_teardown(test_kexec_after_all, persist_setup, persist_teardown),
                cmocka_unit_test_setup_teardown(test_copy_stays, persist_setup, persist_teardown),
                cmocka_unit_test_setup_teardown(test_marks, persist_setup, persist_teardown),
                cmocka_unit_test_setup_teardown(test_users_come_last, persist_setup, persist_teardown),
                cmocka_unit_test(test_fit),
                cmocka_unit_test_setup_teardown(test_limit, persist_setup, persist_teardown),
                cmocka_unit_test_setup_teardown(test_reboot_check, persist_setup, persist_teardown),
                cmocka_unit_test_setup_teardown(test_reboot_check_facts, persist_setup, persist_teardown),
                cmocka_unit_test_setup_teardown(test_failures, persist_setup, persist_teardown),
                cmocka_unit_test_setup_teardown(test_less_important_nodes_give_way, persist_setup, persist_teardown),
                cmocka_unit_test_setup_teardown(test_copy_is_removed, persist_setup, persist_teardown),
                cmocka_unit_test_setup_teardown(test_unreadable, persist_setup, persist_teardown),
                cmocka_unit_test_setup_teardown(test_cut_off, persist_setup, persist_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
