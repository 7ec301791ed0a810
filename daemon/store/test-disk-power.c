/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The power fails before each call that reaches the disk, while nodes are stored, retrieved, released, carried into
 * the next boot, and written at a shutdown. Whatever of the unsynced changes is left, the next boot finds each node
 * whole or not at all, never an older one than was acknowledged, and none that was released. The power may fail again
 * while that boot begins.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "disk-io.h"
#include "persist-run.h"
#include "test-places-fixture.h"
#include "test-power-model.h"

static const char *const names[] = { "n", "m" };

/* Versions of a node, as bits. */
#define NONE (1U << 0)
#define VERSION(i) (1U << (i))

/* Of the moments, every so many have a second power cut after them. */
#define AGAIN 5

typedef struct Fixture {
        PlacesFixture p;
        unsigned allowed[ELEMENTSOF(names)]; /* versions that the next boot may find */
        unsigned moments, cuts;
} Fixture;

/* What runs at the moment, and the model of the directory it runs on. */
typedef struct Run {
        Fixture *f;
        PowerModel *model;
        unsigned depth;
        bool changed;   /* by the last call; others leave the disk as it was */
        pid_t pid;
        struct Run *before;
} Run;

static Run *running;

/* Inode numbers of files that other processes sync, shared with them. */
#define SYNCED_MAX 64U
static struct {
        unsigned n;
        ino_t files[SYNCED_MAX];
} *synced;

static void run_cut(Run *run);

static void note_sync(int fd) {
        unsigned i = __atomic_fetch_add(&synced->n, 1, __ATOMIC_SEQ_CST);
        struct stat st;

        if (i >= SYNCED_MAX || fstat(fd, &st) < 0)
                _exit(EXIT_FAILURE);
        __atomic_store_n(synced->files + i, st.st_ino, __ATOMIC_SEQ_CST);
}

static void run_take_syncs(Run *run) {
        for (size_t i = 0; i < SYNCED_MAX; i++) {
                ino_t ino = __atomic_exchange_n(synced->files + i, 0, __ATOMIC_SEQ_CST);

                if (ino == 0)
                        continue;
                power_model_sync_inode(run->model, ino);
                run->changed = true;
        }
}

/* Called before each call. Nodes are written, and their files synced, by other processes. */
static int on_call(const char *call, int fd) {
        Run *run = running;

        if (run->pid != getpid()) {
                if (streq(call, "sync"))
                        note_sync(fd);
                return 0;
        }
        if (run->depth == 0)
                run_take_syncs(run);
        run_cut(run);
        if (streq(call, "sync"))
                power_model_sync(run->model, fd);
        run->changed = streq(call, "sync") || streq(call, "write");
        return 0;
}

/* The model writes a copy of what is left. On a disk, it is the same directory. */
static int directory_identify(int directory, const char *name, DiskIdentity *ret) {
        struct stat st;

        if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        *ret = (DiskIdentity) { .inode = 1 };
        return 0;
}

static void run_begin(Run *run, Fixture *f, const char *path) {
        *run = (Run) { .f = f, .model = power_model_new(path), .depth = running ? running->depth + 1 : 0,
                       .pid = getpid(), .before = running };
        running = run;
        disk_io_hook = on_call;
}

static void run_end(Run *run) {
        run->changed = true;
        run_cut(run);
        run->model = power_model_free(run->model);
        running = run->before;
        disk_io_hook = NULL;
}

static void fixture_restart(Fixture *f, bool reboot, bool pkram) {
        places_fixture_close(&f->p);
        if (reboot) {
                disk_fixture_reboot(&f->p.d);
                mock_free(f->p.s.mock);
                f->p.s.mock = mock_new();
        }
        mock_set_missing(f->p.s.mock, pkram ? 0 : -ENOENT);
        places_fixture_open(&f->p);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(Fixture));

        places_fixture_init(&f->p);
        fixture_restart(f, true, false);
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                f->allowed[i] = NONE;
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        places_fixture_done(&f->p);
        free(f);
        return 0;
}

/* --- what the next boot finds --- */

static size_t version_size(unsigned version) {
        return 100 + 5000 * (size_t) version;
}

/* Returns the version of a node, which has to be whole, or 0. */
static unsigned version_read(StoreFixture *s, const char *name) {
        _cleanup_(store_load_freep) StoreLoad *l = NULL;
        unsigned version;
        int r;

        r = store_get(s, &s->root, name, false, &l, NULL);
        if (r == -ENOENT)
                return 0;
        assert_ok(r);
        assert_int_equal(l->n_items, 2);
        assert_int_equal(l->items[1].data_size, 1);
        version = *(const uint8_t *) l->items[1].data;
        assert_memfd(l->items[0].fd, version_size(version), (uint8_t) version);
        return version;
}

/* Another boot, without PKRAM, on what the power cut has left. */
static void next_boot_check(Fixture *f, const char *parent, unsigned number) {
        _cleanup_(disk_device_freep) DiskDevice *disk = NULL;
        _cleanup_(store_freep) Store *store = NULL;
        StoreFixture s = f->p.s;
        DiskBoot boot = {};
        char path[256];
        size_t n = 0;

        (void) snprintf(boot.boot_id, sizeof(boot.boot_id), "%032x", 0xf0000000 + number);
        (void) snprintf(path, sizeof(path), "%s/disk", parent);
        assert_ok(disk_device_new(path, &boot, NULL, NULL, &disk));
        s.device = disk_device(disk);
        assert_ok(store_new(&s.device, &s.config, &store));
        s.store = store;
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                unsigned version = version_read(&s, names[i]);

                if (!(f->allowed[i] & VERSION(version)))
                        fail_msg("moment %u: version %u of '%s' is found, allowed are %#x", f->moments, version,
                                 names[i], f->allowed[i]);
                n += version > 0;
        }
        assert_int_equal(store_count(&s, &s.root), n);
}

/* The power fails now. */
static void run_cut(Run *run) {
        Fixture *f = run->f;

        if (!power_model_look(run->model) && !run->changed)
                return;
        run->changed = false;
        disk_io_hook = NULL;
        f->moments += run->depth == 0;
        for (PowerCut cut = 0; cut < _POWER_CUT_MAX; cut++) {
                char parent[] = "/dev/shm/pkram-power-XXXXXX";
                Run again;

                if (access("/dev/shm", W_OK) < 0)
                        memcpy(parent, "/var/tmp", 8);
                assert_non_null(mkdtemp(parent));
                power_model_cut(run->model, cut, parent);
                f->cuts++;
                if (run->depth == 0 && f->cuts % AGAIN == 0) {
                        run_begin(&again, f, parent);
                        next_boot_check(f, parent, 2 * run->depth);
                        run_end(&again);
                } else
                        next_boot_check(f, parent, 2 * run->depth + 1);
                remove_directory(parent);
        }
        disk_io_hook = on_call;
}

/* --- what happens --- */

static unsigned *fixture_allowed(Fixture *f, const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq(names[i], name))
                        return f->allowed + i;
        fail();
        return NULL;
}

/* From now on there may be this as well, and then only this. */
static void expect_also(Fixture *f, const char *name, unsigned versions) {
        *fixture_allowed(f, name) |= versions;
}

static void expect_only(Fixture *f, const char *name, unsigned versions) {
        *fixture_allowed(f, name) = versions;
        running->changed = true;
        run_cut(running);
}

static void store_version(Fixture *f, const char *name, unsigned version) {
        _cleanup_close_ int fd = make_memfd(version_size(version), (uint8_t) version);
        uint8_t data = (uint8_t) version;
        StoreItem items[2] = {
                { .name = "file", .fd = fd },
                { .name = "data", .fd = -EBADF, .data = &data, .size = 1 },
        };

        assert_ok(store_put(&f->p.s, &f->p.s.root, name, items, 2, STORE_VERIFY | STORE_REPLACE, NULL, NULL));
}

/* Stores a node on disk. */
static void disk_store(Fixture *f, const char *name, unsigned version) {
        expect_also(f, name, VERSION(version));
        store_version(f, name, version);
        expect_only(f, name, VERSION(version));
}

static void node_remove(Fixture *f, const char *name) {
        expect_also(f, name, NONE);
        assert_ok(store_remove(f->p.s.store, &f->p.s.root, NULL, name, 0, NULL, NULL));
        expect_only(f, name, NONE);
}

/* Retrieves a node, and releases it as its client does. */
static void node_release(Fixture *f, const char *name, unsigned version) {
        StoreLoad *l = NULL;
        uint64_t id;

        assert_int_equal(version_read(&f->p.s, name), version);
        assert_ok(store_get(&f->p.s, &f->p.s.root, name, false, &l, NULL));
        id = l->node.info.id;
        store_load_free(l);
        expect_also(f, name, NONE);
        assert_ok(store_remove(f->p.s.store, &f->p.s.root, NULL, name, id, NULL, NULL));
        expect_only(f, name, NONE);
}

static void test_disk_only(void **state) {
        Fixture *f = *state;
        Run run;

        run_begin(&run, f, f->p.d.parent);
        disk_store(f, "n", 1);
        disk_store(f, "m", 1);
        disk_store(f, "n", 2);
        assert_int_equal(version_read(&f->p.s, "n"), 2);
        fixture_restart(f, false, false);
        assert_int_equal(version_read(&f->p.s, "n"), 2);
        fixture_restart(f, true, false);
        node_release(f, "m", 1);
        disk_store(f, "m", 3);
        fixture_restart(f, true, false);
        node_remove(f, "n");
        disk_store(f, "m", 4);
        run_end(&run);
print_message("# %u %u\n", f->moments, f->cuts);
        assert_true(f->moments > 100 && f->cuts > 5000);
}

/* A boot with Use=no: the nodes before it are old. */
static void test_boot_without(void **state) {
        Fixture *f = *state;
        Run run;

        run_begin(&run, f, f->p.d.parent);
        disk_store(f, "n", 1);
        disk_fixture_reboot(&f->p.d);
        expect_also(f, "n", NONE);
        assert_ok(disk_directory_pass(f->p.d.path, &f->p.d.boot));
        expect_only(f, "n", NONE);
        fixture_restart(f, true, false);
        assert_int_equal(version_read(&f->p.s, "n"), 0);
        disk_store(f, "n", 2);
        run_end(&run);
print_message("# %u %u\n", f->moments, f->cuts);
        assert_true(f->moments > 30);
}

/* New nodes are in memory, which the power cut loses. */
static void test_both_places(void **state) {
        Fixture *f = *state;
        Run run;

        run_begin(&run, f, f->p.d.parent);
        disk_store(f, "n", 1);
        disk_store(f, "m", 1);
        fixture_restart(f, true, true);
        expect_also(f, "n", NONE);
        store_version(f, "n", 2);
        expect_only(f, "n", NONE);
        node_release(f, "m", 1);
        run_end(&run);
print_message("# %u %u\n", f->moments, f->cuts);
        assert_true(f->moments > 50);
}

/* Writes what is in memory to disk: a version of "n", and "m" with the same one. */
static void shutdown_write(Fixture *f, unsigned version) {
        _cleanup_(store_freep) Store *memory = NULL;
        _cleanup_free_ PersistShared *shared = NULL;
        _cleanup_plan_ PersistPlan p = {};

        expect_also(f, "n", NONE | VERSION(version));
        expect_also(f, "m", NONE | VERSION(version));
        assert_ok(store_new(&f->p.memory, &f->p.s.config, &memory));
        assert_ok(persist_plan_collect(&p, memory, PERSIST_ALL));
        p.room = GIB(1);
        p.rate = MIB(100);
        p.seconds = 600;
        persist_plan_fit(&p);
        assert_int_equal(p.n, 2);
        /* In this process, which has the model. */
        assert_non_null(shared = calloc(1, persist_shared_size(&p)));
        synced->n = 0;
        persist_run(&p, &f->p.memory, f->p.d.path, &f->p.d.boot, shared);
        assert_ok(shared->error);
        assert_true(shared->results[0].written && shared->results[1].written);
        *fixture_allowed(f, "m") = VERSION(version);
        expect_only(f, "n", VERSION(version));
}

/* Nodes in memory are written to disk at a shutdown that is cancelled, twice, and at one that is not. */
static void test_persist(void **state) {
        Fixture *f = *state;
        Run run;

        fixture_restart(f, true, true);
        run_begin(&run, f, f->p.d.parent);
        store_version(f, "n", 1);
        store_version(f, "m", 1);
        shutdown_write(f, 1);
        shutdown_write(f, 1);
        expect_also(f, "n", NONE);
        store_version(f, "n", 2);
        expect_only(f, "n", NONE);
        node_remove(f, "m");
        store_version(f, "m", 2);
        expect_only(f, "m", NONE);
        shutdown_write(f, 2);

        fixture_restart(f, true, true);
        node_release(f, "n", 2);
        expect_also(f, "m", NONE);
        store_version(f, "m", 3);
        expect_only(f, "m", NONE);
        store_version(f, "n", 3);
        shutdown_write(f, 3);
        run_end(&run);
print_message("# %u %u\n", f->moments, f->cuts);
        assert_true(f->moments > 50);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_disk_only, setup, teardown),
                cmocka_unit_test_setup_teardown(test_boot_without, setup, teardown),
                cmocka_unit_test_setup_teardown(test_both_places, setup, teardown),
                cmocka_unit_test_setup_teardown(test_persist, setup, teardown),
        };

        synced = mmap(NULL, sizeof(*synced), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_true(synced != MAP_FAILED);
        disk_identify_hook = directory_identify;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
