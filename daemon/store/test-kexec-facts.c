/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests what a kexec would lose: trees that do not fit, and units that hold memory. */
#include <fcntl.h>
#include <linux/pkram.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "device-mock.h"
#include "disk-io.h"
#include "fd-table.h"
#include "fdstore-node.h"
#include "file-util.h"
#include "json-util.h"
#include "kexec-facts.h"
#include "mock-service-manager.h"
#include "service-manager.h"
#include "test.h"
#include "tree-files.h"

/* A directory of a tmpfs, as trees have to be on one. */
static char dir[] = "/dev/shm/test-kexec-facts-XXXXXX";

static int every_call_is_invalid(_unused_ const char *call, _unused_ int fd) {
        return -EINVAL;
}

static const char *path_of(const char *name) {
        static char path[2][256];
        static unsigned n;

        n = !n;
        (void) snprintf(path[n], sizeof(path[n]), "%s/%s", dir, name);
        return path[n];
}

static void manager_end(sd_bus *bus, MockManager *m) {
        (void) sd_bus_flush_close_unref(bus);
        mock_manager_free(m);
        (void) unlink(path_of("notify"));
        (void) unlink(path_of("private"));
}

static void make_file(const char *name, size_t size) {
        _cleanup_free_ char *data = calloc(1, size + 1);
        _cleanup_close_ int fd = open(path_of(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        assert_non_null(data);
        assert_true(fd >= 0);
        assert_ok(write_all(fd, data, size));
}

static void test_unit_parse(_unused_ void **state) {
        static const struct {
                const char *text;
                int before, value;
        } table[] = {
                { "", -1, -1 },
                { "", 1, 1 },
                { "[Service]\nX-Pkram-Stores=yes\n", -1, 1 },
                { "[Unit]\nDescription=x\nX-Pkram-Stores = TRUE \n", -1, 1 },
                { "[Service]\nX-Pkram-Stores=no", 1, 0 },
                { "[Service]\r\nX-Pkram-Stores=on\r\n", -1, 1 },
                { "[Service]\nX-Pkram-Stores=yes\nX-Pkram-Stores=\n", -1, -1 },
                { "[Service]\nX-Pkram-Stores=yes\n[Unit]\nX-Pkram-Stores=no\n", -1, 0 },
                { "[Install]\nX-Pkram-Stores=yes\n", -1, -1 },
                { "X-Pkram-Stores=yes\n", -1, -1 },
                { "[Service]\n#X-Pkram-Stores=yes\n;X-Pkram-Stores=yes\n", -1, -1 },
                { "[Service]\nX-Pkram-Storeses=yes\nX-Pkram-Stores\n", -1, -1 },
                { "[Service]\nX-Pkram-Stores=maybe\n", 1, 1 },
                { "[Service]\nEnvironment=X-Pkram-Stores=yes\n", -1, -1 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_int_equal(kexec_unit_parse(table[i].text, strlen(table[i].text), table[i].before),
                                 table[i].value);
}

static void test_unit_names(_unused_ void **state) {
        static const char *const good[] = { "redis.service", "a@b\\x2dc.service", "user@1000.service",
                                            "docker-12.scope" };
        static const char *const bad[] = {
                "", ".", "..", "../x.service", "a/b.service", "a b.service", "init.scope", "session-3.scope",
                "srv-web.mount", "pkram-tree@web.service", "uid:1000", "root", "kernel", ".service.d", "x.socket",
        };

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_true(kexec_unit_counts(good[i]));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(kexec_unit_counts(bad[i]));
}

/* A tree at /var/log is no reason to refuse a kexec: journald closes its files there in time. */
static void test_journald(_unused_ void **state) {
        assert_int_equal(kexec_unit_stops_before(/* bus= */ NULL, "systemd-journald.service", "/var/log", "log"), 1);
}

static void test_unit_marks(_unused_ void **state) {
        _cleanup_units_ UnitList none = {}, l = {};
        const char *units = path_of("units");

        assert_ok(kexec_units_marked(units, &none));
        assert_int_equal(none.n, 0);
        assert_ok(kexec_unit_mark(units, "a.service"));
        assert_ok(kexec_unit_mark(units, "a.service"));
        assert_ok(kexec_unit_mark(units, "b.service"));
        assert_ok(kexec_unit_mark(units, "uid:1000"));
        assert_ok(kexec_unit_mark(units, "../c.service"));
        assert_int_equal(access(path_of("c.service"), F_OK), -1);

        /* Without the service manager, all marked units count. */
        assert_ok(kexec_units_find(/* bus= */ NULL, units, /* root= */ "", &l));
        assert_int_equal(l.n, 2);
        assert_true(unit_list_has(&l, "a.service"));
        assert_true(unit_list_has(&l, "b.service"));

        assert_errno(kexec_unit_mark("/proc/none", "a.service"), ENOENT);
        assert_return_code(unlink(path_of("units/a.service")), errno);
        assert_return_code(unlink(path_of("units/b.service")), errno);
        assert_return_code(rmdir(path_of("units")), errno);
}

static void remove_tree(const char *tree) {
        _cleanup_free_ char *command = NULL;

        assert_true(asprintf(&command, "rm -rf %s", tree) > 0);
        assert_int_equal(system(command), 0);
}

/* Counts objects as store-tree-entry.c creates them: one for each large file, one for each full stream of small files,
 * one for the remaining small files, and one for the table. */
static void test_tree_cost(_unused_ void **state) {
        _cleanup_close_ int fd = -EBADF;
        TreeCost c = {};

        assert_return_code(mkdir(path_of("tree"), 0700), errno);
        fd = open(path_of("tree"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(tree_cost(fd, USEC_PER_SEC, &c), 1);
        assert_int_equal(c.objects, 1);

        make_file("tree/small", 10);
        assert_int_equal(tree_cost(fd, USEC_PER_SEC, &c), 1);
        assert_int_equal(c.objects, 2);

        make_file("tree/packed", TREE_PACKED_MAX);
        make_file("tree/large", TREE_PACKED_MAX + 1);
        assert_return_code(mkdir(path_of("tree/sub"), 0700), errno);
        make_file("tree/sub/large", 10 * TREE_PACKED_MAX);
        assert_return_code(link(path_of("tree/sub/large"), path_of("tree/sub/link")), errno);
        assert_return_code(symlink("large", path_of("tree/symlink")), errno);
        assert_int_equal(tree_cost(fd, USEC_PER_SEC, &c), 1);
        assert_int_equal(c.objects, 4);
        assert_true(c.bytes >= 12 * TREE_PACKED_MAX && c.bytes < 13 * TREE_PACKED_MAX);

        /* One stream has room for 16 of these files. */
        for (unsigned i = 0; i < 33; i++) {
                char name[32];

                (void) snprintf(name, sizeof(name), "tree/sub/%u", i);
                make_file(name, TREE_PACKED_MAX);
        }
        assert_int_equal(tree_cost(fd, USEC_PER_SEC, &c), 1);
        assert_int_equal(c.objects, 6);
        remove_tree(path_of("tree"));
}

static bool is_tmpfs(void) {
        _cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct stat st;

        return fd >= 0 && tree_is_tmpfs_directory(fd, &st) > 0;
}

/* Writes libmount's table with three mounted trees, and one that is not mounted any more. */
static void write_utab(void) {
        _cleanup_free_ char *text = NULL, *mounts = NULL;

        assert_true(asprintf(&text, "SRC=web TARGET=%s/a OPTS=helper=pkram\nSRC=db TARGET=%s/b OPTS=helper=pkram\n"
                             "SRC=gone TARGET=%s/none OPTS=helper=pkram\n"
                             "SRC=old TARGET=%s/old OPTS=helper=pkram\n", dir, dir, dir, dir) > 0);
        assert_ok(file_write(path_of("utab"), text, strlen(text)));
        assert_true(asprintf(&mounts, "31 21 0:41 / %s/a rw - tmpfs web rw\n32 21 0:42 / %s/b rw - tmpfs db rw\n"
                             "33 21 0:43 / %s/none rw - tmpfs gone rw\n", dir, dir, dir) > 0);
        assert_ok(file_write(path_of("mounts"), mounts, strlen(mounts)));
}

static void test_trees(_unused_ void **state) {
        _cleanup_free_ char *utab = strdup(path_of("utab")), *mounts = strdup(path_of("mounts"));
        _cleanup_free_ char *disk = strdup(path_of("disk")), *disk_state = strdup(path_of("disk/state"));
        const KexecSources sources = { .utab = utab, .mounts = mounts, .units = "/proc/none", .disk = disk };
        const KexecTreeProblem *p;
        Mock *mock = mock_new();
        PkramDevice device = mock_device(mock);
        KexecCheck check;
        Config config;

        if (!is_tmpfs()) {
                mock_free(mock);
                test_skip("there is no tmpfs at /dev/shm");
        }
        config_init_memory(&config, GIB(4));
        assert_return_code(mkdir(path_of("a"), 0700), errno);
        assert_return_code(mkdir(path_of("b"), 0700), errno);
        make_file("a/1", 100000);
        make_file("a/2", 100000);
        make_file("b/1", 100000);
        write_utab();
        mock_info(mock)->image_state = PKRAM_IMAGE_KEEPS;

        /* Without flags, trees are only counted. */
        {
                _cleanup_kexec_state_ KexecState s = {};

                assert_ok(kexec_state_collect(&device, &config, &sources, /* flags= */ 0, &s));
                assert_int_equal(s.facts.n_trees, 3);
                assert_int_equal(s.facts.n_problems, 0);
                assert_int_equal(s.facts.n_nodes, 0);
                assert_ptr_equal(s.facts.info, &s.info);
        }

        /* A limit that is exceeded is named with its value. A tree that cannot be found is a problem as well. */
        static const struct {
                LimitId id;
                uint64_t value;
                const char *tree;
                uint64_t needed_min, needed_max;
        } table[] = {
                { LIMIT_OBJECTS,     2,      "web", 3,      3      },
                { LIMIT_NODE_BYTES,  150000, "web", 200000, 220000 },
                { LIMIT_TOTAL_BYTES, 250000, "db",  300000, 330000 },
                { LIMIT_OWNER_BYTES, 250000, "db",  300000, 330000 },
                { LIMIT_NODES,       1,      "db",  2,      2      },
                { LIMIT_OWNER_NODES, 1,      "db",  2,      2      },
        };
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_kexec_state_ KexecState s = {};
                uint64_t before = config.limit[table[i].id];

                config.limit[table[i].id] = table[i].value;
                assert_ok(kexec_state_collect(&device, &config, &sources, KEXEC_STATE_FULL, &s));
                config.limit[table[i].id] = before;
                assert_int_equal(s.facts.n_trees, 3);
                assert_int_equal(s.facts.n_problems, 2);
                p = s.facts.problems;
                assert_string_equal(p->name, table[i].tree);
                assert_string_equal(p->limit, limit_name(table[i].id));
                assert_int_equal(p->maximum, table[i].value);
                assert_in_range(p->needed, table[i].needed_min, table[i].needed_max);
                assert_string_equal(p[1].name, "gone");
                assert_non_null(p[1].detail);

                kexec_check(&s.facts, /* image= */ NULL, KEXEC_POLICY_REFUSE, &check);
                assert_int_equal(check.reason, KEXEC_REASON_TREE);
        }

        /* pkramd stores nothing while the disk cannot be used, if an earlier boot has used it. */
        assert_return_code(mkdir(disk, 0700), errno);
        assert_return_code(chmod(disk, 0777), errno);
        config.disk = true;
        for (int i = 0; i < 2; i++) {
                _cleanup_kexec_state_ KexecState s = {};

                assert_ok(kexec_state_collect(&device, &config, &sources, KEXEC_STATE_FULL, &s));
                assert_int_equal(s.facts.n_trees, 3);
                assert_int_equal(s.facts.n_problems, i == 0 ? 1 : 3);
                if (i == 1) {
                        kexec_check(&s.facts, /* image= */ NULL, KEXEC_POLICY_REFUSE, &check);
                        assert_int_equal(check.reason, KEXEC_REASON_TREE);
                        assert_non_null(strstr(check.text, "cannot be stored (/var/lib/pkram/disk cannot be used: "
                                               "it does not belong to root"));
                        assert_null(strstr(check.text, "to store it now"));
                        /* It does not store memory of services, either. */
                        s.facts.n_trees = s.facts.n_problems = 0;
                        s.facts.units = (const char *const[]) { "a.service" };
                        s.facts.n_units = 1;
                        kexec_check(&s.facts, /* image= */ NULL, KEXEC_POLICY_REFUSE, &check);
                        assert_int_equal(check.reason, KEXEC_REASON_STORE);
                        assert_false(check.allowed);
                        s.facts.n_problems = 3;
                } else
                        assert_null(s.facts.store_problem);
                assert_ok(file_write(disk_state, "x", 1));
        }

        /* Nor does it with any other error. */
        assert_return_code(chmod(disk, 0700), errno);
        disk_io_hook = every_call_is_invalid;
        {
                _cleanup_kexec_state_ KexecState s = {};

                assert_ok(kexec_state_collect(&device, &config, &sources, KEXEC_STATE_FULL, &s));
                assert_int_equal(s.facts.n_problems, 3);
                assert_string_equal(s.facts.store_problem, "Invalid argument");
        }
        disk_io_hook = NULL;

        /* If it is in memory, no earlier boot has. Only nodes that are to be written there are lost. */
        disk_in_memory_override = -1;
        for (int i = 0; i < 2; i++) {
                _cleanup_kexec_state_ KexecState s = {};

                config.persist = i == 0 ? PERSIST_NO : PERSIST_ALL;
                assert_ok(kexec_state_collect(&device, &config, &sources, KEXEC_STATE_FULL, &s));
                assert_int_equal(s.facts.n_problems, 1);
                assert_null(s.facts.store_problem);
        }
        mock_set_missing(mock, -ENOENT);
        {
                _cleanup_kexec_state_ KexecState s = {};

                assert_ok(kexec_state_collect(&device, &config, &sources, KEXEC_STATE_FULL, &s));
                assert_non_null(strstr(s.facts.disk_problem, "it is in memory"));
        }
        disk_in_memory_override = 0;

        remove_tree(disk);
        remove_tree(path_of("a"));
        remove_tree(path_of("b"));
        (void) unlink(utab);
        (void) unlink(mounts);
        mock_free(mock);
}

/* Writes a note like a running program. Returns the descriptor that holds the lock of the note. */
static int make_note(const char *directory, const char *name, const RunNote *note) {
        int fd = run_note_take(directory, name);

        assert_true(fd >= 0);
        assert_ok(run_note_write(fd, name, note));
        return fd;
}

/* The sum of what all guests and processes will write to a tree counts against its limits. */
static void test_programs(_unused_ void **state) {
        _cleanup_free_ char *utab = strdup(path_of("utab")), *mounts = strdup(path_of("mounts")),
                *guests = strdup(path_of("guests")), *processes = strdup(path_of("processes")),
                *a = strdup(path_of("a")), *sub = strdup(path_of("a/sub"));
        const KexecSources sources = { .utab = utab, .mounts = mounts, .units = "/proc/none", .guests = guests,
                                       .processes = processes, .shm = "/proc/none" };
        _cleanup_list_ StringList files = {};
        Mock *mock = mock_new();
        PkramDevice device = mock_device(mock);
        int web, one, two, other;
        KexecCheck check;
        Config config;

        if (!is_tmpfs()) {
                mock_free(mock);
                test_skip("there is no tmpfs at /dev/shm");
        }
        config_init_memory(&config, GIB(4));
        mock_info(mock)->image_state = PKRAM_IMAGE_KEEPS;
        assert_return_code(mkdir(a, 0700), errno);
        assert_return_code(mkdir(path_of("b"), 0700), errno);
        assert_return_code(mkdir(path_of("none"), 0700), errno);
        assert_return_code(mkdir(sub, 0700), errno);
        write_utab();
        /* The file has all of the guest's RAM. Saving the guest adds a quarter of a megabyte. */
        make_file("a/sub/ram", MIB(1));
        assert_ok(string_list_add(&files, path_of("a/sub/ram")));
        web = make_note(guests, "web", &(RunNote) { .directory = sub, .bytes = MIB(1),
                                                    .saved_bytes = MIB(1) + KIB(256), .files = &files });
        one = make_note(processes, "one", &(RunNote) { .directory = a, .bytes = 1, .saved_bytes = KIB(512) });
        two = make_note(processes, "two", &(RunNote) { .directory = a, .bytes = 1, .saved_bytes = KIB(512) });
        /* This directory is on no tree, although the paths of the trees begin with its path. */
        other = make_note(processes, "other", &(RunNote) { .directory = dir, .saved_bytes = GIB(1) });

        static const struct {
                LimitId id;
                uint64_t value;
                bool exceeds;
                uint64_t needed_min, needed_max;
        } table[] = {
                { LIMIT_NODE_BYTES,  MIB(2) + KIB(384), false, 0,                 0                 },
                { LIMIT_NODE_BYTES,  MIB(2) + KIB(128), true,  MIB(2) + KIB(256), MIB(2) + KIB(300) },
                { LIMIT_TOTAL_BYTES, MIB(2) + KIB(128), true,  MIB(2) + KIB(256), MIB(2) + KIB(300) },
                { LIMIT_OWNER_BYTES, MIB(2) + KIB(128), true,  MIB(2) + KIB(256), MIB(2) + KIB(300) },
                { LIMIT_OBJECTS,     4,                 true,  5,                 5                 },
                { LIMIT_OBJECTS,     5,                 false, 0,                 0                 },
        };
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_kexec_state_ KexecState s = {};
                _cleanup_json_ struct json_object *o = NULL;
                Config small = config;

                small.limit[table[i].id] = table[i].value;
                assert_ok(kexec_state_collect(&device, &small, &sources, KEXEC_STATE_FULL, &s));
                assert_int_equal(s.facts.n_program_problems, 0);
                assert_int_equal(s.facts.n_problems, table[i].exceeds);
                kexec_check(&s.facts, /* image= */ NULL, KEXEC_POLICY_REFUSE, &check);
                assert_int_equal(check.allowed, !table[i].exceeds);
                if (!table[i].exceeds)
                        continue;
                assert_string_equal(s.facts.problems[0].name, "web");
                assert_string_equal(s.facts.problems[0].limit, limit_name(table[i].id));
                assert_in_range(s.facts.problems[0].needed, table[i].needed_min, table[i].needed_max);
                assert_string_equal(s.facts.problems[0].programs, "web, one and two");
                o = kexec_check_to_json(&check, &s, KEXEC_POLICY_REFUSE);
                assert_string_equal(json_get_string(json_object_array_get_idx(json_get_array(o, "treeProblems"), 0),
                                                    "programs"), "web, one and two");
        }

        /* A process that cannot be saved is lost, and writes nothing. */
        assert_ok(run_note_write(two, "two", &(RunNote) { .directory = a, .saved_bytes = GIB(64),
                                                          .problem = "it is traced" }));
        for (unsigned flags = 0; flags < 2; flags++) {
                _cleanup_kexec_state_ KexecState s = {};

                assert_ok(kexec_state_collect(&device, &config, &sources, flags ? KEXEC_STATE_FULL : 0, &s));
                assert_int_equal(s.facts.n_problems, 0);
                assert_int_equal(s.facts.n_program_problems, 1);
                assert_string_equal(s.facts.program_problems[0].name, "two");
                assert_string_equal(s.facts.program_problems[0].detail, "it is traced");
                kexec_check(&s.facts, /* image= */ NULL, KEXEC_POLICY_REFUSE, &check);
                assert_int_equal(check.reason, KEXEC_REASON_PROGRAM);
                assert_false(check.allowed);
        }

        /* The process needs more than the file system has room for, and pkramd.conf has no limit. */
        for (LimitId i = 0; i < _LIMIT_MAX; i++)
                config.limit[i] = UINT64_MAX;
        assert_ok(run_note_write(two, "two", &(RunNote) { .directory = a, .saved_bytes = INT64_MAX }));
        {
                _cleanup_kexec_state_ KexecState s = {};

                assert_ok(kexec_state_collect(&device, &config, &sources, KEXEC_STATE_FULL, &s));
                assert_int_equal(s.facts.n_problems, 1);
                assert_string_equal(s.facts.problems[0].limit, KEXEC_LIMIT_SIZE);
                assert_true(s.facts.problems[0].needed > INT64_MAX);
        }

        /* Programs that have ended do not count. */
        (void) run_note_remove(one, processes, "one");
        (void) close(two);
        (void) run_note_remove(other, processes, "other");
        (void) run_note_remove(web, guests, "web");
        {
                _cleanup_kexec_state_ KexecState s = {};

                assert_ok(kexec_state_collect(&device, &config, &sources, KEXEC_STATE_FULL, &s));
                assert_int_equal(s.facts.n_problems, 0);
        }
        remove_tree(a);
        remove_tree(path_of("b"));
        remove_tree(path_of("none"));
        remove_tree(guests);
        remove_tree(processes);
        (void) unlink(utab);
        (void) unlink(mounts);
        mock_free(mock);
}

static void mock_keep_fd(MockManager *m, const char *unit, const char *name, int fd) {
        assert_ok(fd);
        mock_manager_add_fd(m, unit, name, fd);
        (void) close(fd);
}

static int memfd_with(size_t size) {
        _cleanup_free_ char *data = calloc(1, size);
        int fd = memfd_create("x", MFD_CLOEXEC);

        assert_non_null(data);
        assert_ok(fd);
        assert_ok(write_all(fd, data, size));
        return fd;
}

/* A shutdown writes nodes to disk only if pkram-shutdown.service is active and has the drop-in that permits it. */
static void test_shutdown_unit(_unused_ void **state) {
        MockUnit units[] = {
                { .name = "pkram-shutdown.service", .active = "active", .job = "", .preserve = "no",
                  .notify_access = "main", .drop_in = "" },
        };
        MockManager *m = mock_manager_new(dir, units, ELEMENTSOF(units));
        Mock *mock = mock_new();
        PkramDevice device = mock_device(mock);
        PkramHandle h = PKRAM_HANDLE_NONE;
        KexecSources sources = { .utab = "/proc/none", .units = "/proc/none", .root = "/proc/none",
                                 .proc = "/proc/self", .disk = dir };
        Config config;

        struct {
                const char *active, *drop_in, *problem;
        } cases[] = {
                { "active", "/run/systemd/generator/pkram-shutdown.service.d/50-disk.conf", NULL },
                { "active", NULL, "run 'systemctl daemon-reload'" },
                { "active", "/etc/systemd/system/pkram-shutdown.service.d/x.conf", "run 'systemctl daemon-reload'" },
                { "inactive", NULL, "pkram-shutdown.service is not active" },
        };

        config_init_memory(&config, GIB(4));
        config.disk = true;
        config.persist = PERSIST_ALL;
        assert_ok(pkram_save_begin(&device, "node", &h));
        assert_ok(pkram_save_commit(&h, /* replace= */ false, /* ret_id= */ NULL));
        pkram_handle_done(&h);
        assert_ok(manager_connect(mock_manager_address(m), 30 * USEC_PER_SEC, &sources.bus));
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_kexec_state_ KexecState s = {};

                units[0].active = cases[i].active;
                units[0].drop_in = cases[i].drop_in;
                assert_ok(kexec_state_collect(&device, &config, &sources, KEXEC_STATE_FULL, &s));
                assert_non_null(s.reboot);
                assert_int_equal(s.reboot->plan.n, 1);
                assert_int_equal(s.reboot->problem == NULL, cases[i].problem == NULL);
                if (cases[i].problem)
                        assert_non_null(strstr(s.reboot->text, cases[i].problem));
        }
        manager_end(sources.bus, m);
        mock_free(mock);
}

/* Units with descriptors in the service manager's file descriptor store. */
static void test_fdstores(_unused_ void **state) {
        MockUnit units[] = {
                { "a.service",             "active",   "", "yes",     "main", 8, NULL },
                { "b.service",             "active",   "", "yes",     "main", 8, NULL },
                { "c.service",             "active",   "", "restart", "main", 8, NULL },
                { "d.service",             "active",   "", "yes",     "main", 8, NULL },
                { "pkram-fdstore.service", "active",   "", "yes",     "main", 8, NULL },
        };
        MockManager *m = mock_manager_new(dir, units, ELEMENTSOF(units));
        Mock *mock = mock_new();
        PkramDevice device = mock_device(mock);
        KexecSources sources = { .utab = "/proc/none", .units = "/proc/none", .root = "/proc/none",
                                 .proc = "/proc/self" };
        KexecCheck check;
        Config config;
        int pair[2];

        config_init_memory(&config, GIB(4));
        mock_info(mock)->image_state = PKRAM_IMAGE_KEEPS;
        assert_ok(manager_connect(mock_manager_address(m), 30 * USEC_PER_SEC, &sources.bus));
        mock_keep_fd(m, "a.service", "one", memfd_with(MIB(1)));
        mock_keep_fd(m, "b.service", "two", memfd_with(KIB(8)));
        mock_keep_fd(m, "b.service", "root", open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        mock_keep_fd(m, "c.service", "three", memfd_with(MIB(2)));
        assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
        mock_keep_fd(m, "d.service", "socket", pair[0]);
        (void) close(pair[1]);

        /* The image preserves the descriptors. A descriptor of a kind that is not preserved is named. */
        {
                _cleanup_kexec_state_ KexecState s = {};

                assert_ok(kexec_state_collect(&device, &config, &sources, KEXEC_STATE_FULL, &s));
                assert_int_equal(s.facts.n_units, 2);
                assert_true(unit_list_has(&s.units, "a.service") && unit_list_has(&s.units, "b.service"));
                assert_int_equal(s.facts.n_fdstore_problems, 1);
                kexec_check(&s.facts, /* image= */ NULL, KEXEC_POLICY_REFUSE, &check);
                assert_true(check.keeps);
                assert_non_null(strstr(check.text,
                                       "b.service loses 1 file descriptor: 'root' (directories are not preserved)."));
        }

        /* A kexec into an image that preserves nothing is refused, even though nothing is stored yet. */
        {
                _cleanup_kexec_state_ KexecState s = {};

                mock_info(mock)->image_state = PKRAM_IMAGE_NO_SUPPORT;
                assert_ok(kexec_state_collect(&device, &config, &sources, KEXEC_STATE_FULL, &s));
                kexec_check(&s.facts, /* image= */ NULL, KEXEC_POLICY_REFUSE, &check);
                assert_false(check.allowed);
                assert_non_null(strstr(check.text, "a.service"));
                mock_info(mock)->image_state = PKRAM_IMAGE_KEEPS;
        }

        /* Each limit that is exceeded is named. */
        for (unsigned i = 0; i < 5; i++) {
                _cleanup_kexec_state_ KexecState s = {};
                _cleanup_json_ struct json_object *o = NULL;
                static const char *const names[] = { "UnitBytesMax", "UnitDescriptorsMax", "NodeBytesMax",
                                                     "OwnerBytesMax", "TotalBytesMax" };
                const KexecFdStoreProblem *p;
                Config small = config;

                uint64_t *values[] = { &small.fdstore_unit_bytes, &small.fdstore_unit_descriptors,
                                       &small.limit[LIMIT_NODE_BYTES], &small.limit[LIMIT_OWNER_BYTES],
                                       &small.limit[LIMIT_TOTAL_BYTES] };

                *values[i] = i == 1 ? 0 : KIB(64);
                assert_ok(kexec_state_collect(&device, &small, &sources, KEXEC_STATE_FULL, &s));
                kexec_check(&s.facts, /* image= */ NULL, KEXEC_POLICY_REFUSE, &check);
                assert_int_equal(check.reason, KEXEC_REASON_FDSTORE);
                assert_false(check.keeps);
                p = s.facts.fdstore_problems;
                assert_string_equal(p->unit, "a.service");
                assert_string_equal(p->limit, names[i]);
                assert_int_equal(p->maximum, *values[i]);
                assert_non_null(strstr(check.text, names[i]));
                o = kexec_check_to_json(&check, &s, KEXEC_POLICY_REFUSE);
                assert_non_null(o);
                assert_string_equal(json_get_string(o, "reason"), "fdStore");
                assert_non_null(json_get_array(o, "fdStoreProblems"));
        }

        /* a.service has not received the descriptors that an earlier boot stored, so it would lose its present ones.
         * d.service has none that could be stored, and so loses nothing. */
        {
                static const char *const owners[] = { "a.service", "d.service" };
                _cleanup_kexec_state_ KexecState s = {};
                _cleanup_json_ struct json_object *o = NULL;
                const KexecFdStoreProblem *p;

                for (size_t i = 0; i < ELEMENTSOF(owners); i++) {
                        KernelName name = node_name_encode(owners[i], fdstore_node_name(FDSTORE_NODE_REQUIRED));
                        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;

                        assert_ok(pkram_save_begin(&device, name.text, &h));
                        assert_ok(pkram_save_bytes(&h, "x", 1, /* ret_object= */ NULL));
                        assert_ok(pkram_save_commit(&h, /* replace= */ false, /* ret_id= */ NULL));
                }
                mock_kexec(mock);
                mock_info(mock)->image_state = PKRAM_IMAGE_KEEPS;
                assert_ok(kexec_state_collect(&device, &config, &sources, KEXEC_STATE_FULL, &s));
                assert_int_equal(s.facts.n_fdstore_problems, 2);
                p = s.facts.fdstore_problems;
                assert_string_equal(p->unit, "a.service");
                assert_null(p->limit);
                assert_string_equal(p->detail, "node 'io.pkram.fdstore-required' still holds descriptors of an "
                                    "earlier boot, restart the unit or remove the node");
                assert_null(p[1].detail);
                kexec_check(&s.facts, /* image= */ NULL, KEXEC_POLICY_REFUSE, &check);
                assert_int_equal(check.reason, KEXEC_REASON_FDSTORE);
                assert_false(check.allowed);
                o = kexec_check_to_json(&check, &s, KEXEC_POLICY_REFUSE);
                assert_string_equal(json_get_string(json_object_array_get_idx(json_get_array(o, "fdStoreProblems"), 0),
                                                    "detail"), p->detail);
        }

        /* Units do not count if pkram-fdstore.service is not active, or if Units=none. */
        for (unsigned i = 0; i < 2; i++) {
                _cleanup_kexec_state_ KexecState s = {};

                units[4].active = i == 0 ? "inactive" : "active";
                if (i == 1)
                        (void) strcpy(config.fdstore_units, "none");
                assert_ok(kexec_state_collect(&device, &config, &sources, KEXEC_STATE_FULL, &s));
                assert_int_equal(s.facts.n_units, 0);
                assert_int_equal(s.facts.n_fdstore_problems, 0);
        }

        manager_end(sources.bus, m);
        mock_free(mock);
}

/* Returns the reading end of a pipe with that many bytes. */
static int pipe_with(size_t size) {
        _cleanup_free_ char *data = calloc(1, size);
        int ends[2];

        assert_non_null(data);
        assert_ok(pipe2(ends, O_CLOEXEC | O_NONBLOCK));
        if (fcntl(ends[1], F_SETPIPE_SZ, (int) size) < 0) {
                close_many(ends, 2);
                return -errno;
        }
        assert_int_equal(write(ends[1], data, size), size);
        (void) close(ends[1]);
        return ends[0];
}

/* Pipes that will not be preserved are named. */
static void test_fdstore_pipes(_unused_ void **state) {
        MockUnit units[] = {
                { "a.service",             "active",   "", "yes",     "main", 8, NULL },
                { "pkram-fdstore.service", "active",   "", "yes",     "main", 8, NULL },
        };
        int large = pipe_with(STORED_PIPE_BYTES_MAX + 1), ends[2];
        MockManager *m = mock_manager_new(dir, units, ELEMENTSOF(units));
        Mock *mock = mock_new();
        PkramDevice device = mock_device(mock);
        KexecSources sources = { .utab = "/proc/none", .units = "/proc/none", .root = "/proc/none",
                                 .proc = "/proc/self" };
        KexecCheck check;
        Config config;

        config_init_memory(&config, GIB(4));
        mock_info(mock)->image_state = PKRAM_IMAGE_KEEPS;
        assert_ok(manager_connect(mock_manager_address(m), 30 * USEC_PER_SEC, &sources.bus));
        mock_keep_fd(m, "a.service", "full", pipe_with(STORED_PIPE_BYTES_MAX));
        /* Only the writing end has the flag. */
        assert_ok(pipe2(ends, O_CLOEXEC | O_DIRECT));
        mock_keep_fd(m, "a.service", "packets", ends[1]);
        (void) close(ends[0]);
        if (large >= 0)
                mock_keep_fd(m, "a.service", "large", large);
        {
                _cleanup_kexec_state_ KexecState s = {};

                assert_ok(kexec_state_collect(&device, &config, &sources, KEXEC_STATE_FULL, &s));
                assert_int_equal(s.facts.n_fdstore_problems, 1);
                kexec_check(&s.facts, /* image= */ NULL, KEXEC_POLICY_REFUSE, &check);
                assert_true(check.keeps);
                assert_non_null(strstr(check.text, "'packets' (pipes with packets (O_DIRECT) are not preserved)"));
                assert_null(strstr(check.text, "'full'"));
                if (large >= 0)
                        assert_non_null(strstr(check.text, "'large' (the pipe holds more than 1 MiB)"));
        }
        manager_end(sources.bus, m);
        mock_free(mock);
        if (large < 0)
                test_skip("pipes of this size need CAP_SYS_RESOURCE");
}

#define N60 "012345678901234567890123456789012345678901234567890123456789"
#define LONG_NAME N60 N60 N60 N60 ".service"

/* Stores that pkram-fdstore will not preserve, and similar stores that it will preserve. */
static void test_fdstore_obstacles(_unused_ void **state) {
        static const MockUnit none = { .job = "", .preserve = "yes", .notify_access = "main", .max = 8 };
        static const struct {
                const char *name, *active, *job, *root, *conflicts, *part_of;
                bool stop_command, start_only, socket;
                const char *detail; /* the reason, or NULL if the store is preserved */
        } table[] = {
                { "plain.service", "active", "", NULL, NULL, NULL, false, false, false, NULL },
                { "root.service", "active", "", "/srv", NULL, NULL, true, false, false, "RootDirectory=" },
                { "root.service", "active", "", "/srv", NULL, NULL, false, false, false, NULL },
                { "root.service", "active", "", "/srv", NULL, NULL, true, true, false, NULL },
                { "root.service", "active", "", "/srv", NULL, NULL, true, false, true, NULL },
                { "runs.service", "active", "", NULL, "", NULL, false, false, false, "Conflicts=shutdown.target" },
                { "runs.service", "active", "", NULL, "other.target", NULL, false, false, false,
                  "Conflicts=shutdown.target" },
                { "runs.service", "active", "", NULL, "umount.target", NULL, false, false, false, NULL },
                { "runs.service", "inactive", "", NULL, "", NULL, false, false, false, NULL },
                { "runs.service", "active", "stop", NULL, "", NULL, false, false, false, NULL },
                { "runs.service", "active", "", NULL, "", NULL, false, false, true, NULL },
                { "part.service", "active", "", NULL, "", "ends.target", false, false, false, NULL },
                { "part.service", "active", "", NULL, "", "between.target", false, false, false, NULL },
                { "part.service", "active", "", NULL, "", "perpetual.slice", false, false, false,
                  "Conflicts=shutdown.target" },
                { "part.service", "active", "", NULL, "", "missing.target", false, false, false,
                  "Conflicts=shutdown.target" },
                { "part.service", "active", "", NULL, "", "part.service", false, false, false,
                  "Conflicts=shutdown.target" },
                { LONG_NAME, "active", "", NULL, NULL, NULL, false, false, false, "name of the unit is too long" },
        };
        MockUnit units[] = {
                none,
                { "pkram-fdstore.service", "active", "", "yes", "main", 8, NULL },
                { "ends.target", "active", "", "", "", 0, NULL },
                { "between.target", "active", "", "", "", 0, .conflicts = "", .part_of = "ends.target" },
                { "perpetual.slice", "active", "", "", "", 0, .perpetual = true },
        };
        Mock *mock = mock_new();
        PkramDevice device = mock_device(mock);
        KexecSources sources = { .utab = "/proc/none", .units = "/proc/none", .root = "/proc/none",
                                 .proc = "/proc/self" };
        Config config;

        config_init_memory(&config, GIB(4));
        mock_info(mock)->image_state = PKRAM_IMAGE_KEEPS;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_kexec_state_ KexecState s = {};
                MockManager *m;
                KexecCheck check;
                int pair[2];

                units[0] = none;
                units[0].name = table[i].name;
                units[0].active = table[i].active;
                units[0].job = table[i].job;
                units[0].root = table[i].root;
                units[0].conflicts = table[i].conflicts;
                units[0].part_of = table[i].part_of;
                units[0].has_stop_command = table[i].stop_command;
                units[0].start_only = table[i].start_only;
                m = mock_manager_new(dir, units, ELEMENTSOF(units));
                assert_ok(manager_connect(mock_manager_address(m), 30 * USEC_PER_SEC, &sources.bus));
                if (table[i].socket) {
                        assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
                        mock_keep_fd(m, table[i].name, "x", pair[0]);
                        (void) close(pair[1]);
                } else
                        mock_keep_fd(m, table[i].name, "x", memfd_with(KIB(4)));
                assert_ok(kexec_state_collect(&device, &config, &sources, KEXEC_STATE_FULL, &s));
                kexec_check(&s.facts, /* image= */ NULL, KEXEC_POLICY_REFUSE, &check);
                if (s.facts.n_fdstore_problems != (table[i].detail != NULL) ||
                    check.allowed != !table[i].detail || s.facts.n_units != !table[i].socket)
                        fail_msg("line %zu: %s", i, check.text);
                if (table[i].detail)
                        assert_non_null(strstr(s.facts.fdstore_problems[0].detail, table[i].detail));
                manager_end(sources.bus, m);
        }
        mock_free(mock);
}

static void write_line(const char *name, const char *text) {
        assert_ok(file_write(path_of(name), text, strlen(text)));
}

/* The command line of the next kernel is the one that the caller gives, or the one that pkramctl left, or else that of
 * the running kernel. */
static void test_crash_kernel(_unused_ void **state) {
        static const struct {
                const char *next, *loaded, *running, *size;
                bool image;         /* whether an image is loaded */
                const char *wanted; /* size that may find no memory, or NULL */
        } table[] = {
                { NULL, NULL, "ro", "0\n", true, NULL },
                { NULL, NULL, "ro crashkernel=128M", "134217728\n", true, NULL },
                { NULL, NULL, "ro crashkernel=128M", "0\n", true, "128M" },
                { NULL, NULL, "ro crashkernel=128M", NULL, true, "128M" },
                { NULL, "ro crashkernel=256M", "ro crashkernel=128M", "134217728\n", true, "256M" },
                { NULL, "ro", "ro crashkernel=128M", "0\n", true, NULL },
                /* The command line that pkramctl left belongs to an image that has been unloaded. */
                { NULL, "ro crashkernel=256M", "ro crashkernel=128M", "134217728\n", false, NULL },
                { "crashkernel=1G", "ro", "ro crashkernel=128M", "134217728\n", true, "1G" },
                { "crashkernel=64M", "ro crashkernel=1G", "ro crashkernel=128M", "134217728\n", false, NULL },
                /* If a value cannot be determined, nothing is reported. */
                { "crashkernel=1G", NULL, "ro", "many\n", true, NULL },
                { "crashkernel=1G", NULL, NULL, "0\n", true, NULL },
                { NULL, "", "ro crashkernel=128M", "0\n", true, NULL },
        };
        _cleanup_(mock_freep) Mock *mock = mock_new();
        PkramDevice device = mock_device(mock);
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        Config config;

        config_init_memory(&config, GIB(4));
        assert_ok(pkram_save_begin(&device, "node", &h));
        assert_ok(pkram_save_commit(&h, false, NULL));
        pkram_handle_done(&h);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                KexecSources sources = {
                        .utab = "/proc/none", .units = "/proc/none", .root = "/proc/none", .cmdline = table[i].next,
                };
                _cleanup_kexec_state_ KexecState s = {};
                _cleanup_json_ struct json_object *o = NULL;
                KexecCheck check;
                const struct {
                        const char **path, *name, *text;
                } files[] = {
                        { &sources.loaded,     "loaded",  table[i].loaded  },
                        { &sources.running,    "running", table[i].running },
                        { &sources.crash_size, "size",    table[i].size    },
                };

                for (size_t k = 0; k < ELEMENTSOF(files); k++) {
                        if (files[k].text)
                                write_line(files[k].name, files[k].text);
                        *files[k].path = files[k].text ? strdup(path_of(files[k].name)) : strdup("/proc/none");
                        assert_non_null(*files[k].path);
                }
                mock_info(mock)->image_state = table[i].image ? PKRAM_IMAGE_KEEPS : PKRAM_IMAGE_NONE;
                assert_ok(kexec_state_collect(&device, &config, &sources, KEXEC_STATE_FULL, &s));
                if (!table[i].wanted)
                        assert_null(s.facts.crash_wanted);
                else
                        assert_string_equal(s.facts.crash_wanted ?: "none", table[i].wanted);
                kexec_check(&s.facts, /* image= */ NULL, KEXEC_POLICY_REFUSE, &check);
                o = kexec_check_to_json(&check, &s, KEXEC_POLICY_REFUSE);
                assert_int_equal(json_get_string(o, "crashKernel") != NULL, table[i].wanted != NULL);
                for (size_t k = 0; k < ELEMENTSOF(files); k++) {
                        (void) unlink(*files[k].path);
                        free((char *) *files[k].path);
                }
        }
}

/* The checks of a kexec and of a reboot share one store, which reads the manifest of each node once. */
static void test_nodes_are_read_once(_unused_ void **state) {
        const KexecSources sources = { .utab = "/proc/none", .mounts = "/proc/none", .units = "/proc/none",
                                       .root = "/proc/none", .shm = "/proc/none" };
        _cleanup_kexec_state_ KexecState s = {};
        Mock *mock = mock_new();
        PkramDevice device = mock_device(mock);
        Config config;

        config_init_memory(&config, GIB(4));
        for (unsigned i = 0; i < 3; i++) {
                _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
                char name[8];

                (void) snprintf(name, sizeof(name), "node%u", i);
                assert_ok(pkram_save_begin(&device, name, &h));
                assert_ok(pkram_save_commit(&h, /* replace= */ false, /* ret_id= */ NULL));
        }
        mock_fail(mock, PKRAM_IOC_LOAD_BEGIN, 1000, -EIO);
        assert_ok(kexec_state_collect(&device, &config, &sources, KEXEC_STATE_FULL, &s));
        assert_int_equal(s.facts.n_nodes, 3);
        assert_non_null(s.reboot);
        assert_int_equal(s.reboot->plan.n, 3);
        assert_int_equal(mock_calls(mock), 3);
        mock_free(mock);
}

static void test_no_pkram(_unused_ void **state) {
        static const int errors[] = { -ENOENT, -ENODEV, -ENXIO };
        Mock *mock = mock_new();
        PkramDevice device = mock_device(mock);
        Config config;

        config_init_memory(&config, GIB(4));
        for (size_t i = 0; i < ELEMENTSOF(errors); i++) {
                _cleanup_kexec_state_ KexecState s = {};

                mock_set_missing(mock, errors[i]);
                assert_ok(kexec_state_collect(&device, &config, /* sources= */ NULL, KEXEC_STATE_FULL, &s));
                assert_null(s.facts.info);
        }
        mock_free(mock);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_unit_parse),
                cmocka_unit_test(test_unit_names),
                cmocka_unit_test(test_journald),
                cmocka_unit_test(test_unit_marks),
                cmocka_unit_test(test_tree_cost),
                cmocka_unit_test(test_trees),
                cmocka_unit_test(test_programs),
                cmocka_unit_test(test_shutdown_unit),
                cmocka_unit_test(test_fdstores),
                cmocka_unit_test(test_fdstore_pipes),
                cmocka_unit_test(test_fdstore_obstacles),
                cmocka_unit_test(test_crash_kernel),
                cmocka_unit_test(test_nodes_are_read_once),
                cmocka_unit_test(test_no_pkram),
        };
        int r;

        /* A build root may have no /dev/shm, or one that is not a tmpfs. */
        if (!mkdtemp(dir)) {
                (void) strcpy(dir, "/tmp/test-kexec-fact-XXXXXX");
                assert_non_null(mkdtemp(dir));
        }
        disk_in_memory_override = 0;
        r = cmocka_run_group_tests(tests, NULL, NULL);
        (void) rmdir(dir);
        return r;
}
