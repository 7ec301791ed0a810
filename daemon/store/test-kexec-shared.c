/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared memory that a kexec would keep, and what of it would be lost, and why. */
#include <fcntl.h>
#include <limits.h>
#include <linux/pkram.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "device-mock.h"
#include "file-util.h"
#include "json-util.h"
#include "kexec-facts.h"
#include "mock-service-manager.h"
#include "node-name.h"
#include "process-util.h"
#include "shared-memory.h"
#include "test.h"

static char dir[] = "/dev/shm/test-kexec-shared-XXXXXX";

static const char *shm_path(const char *name) {
        static char path[2][640];
        static unsigned n;

        n = !n;
        (void) snprintf(path[n], sizeof(path[n]), "%s/%s", dir, name);
        return path[n];
}

static void shm_make_file(const char *name, size_t size) {
        _cleanup_free_ char *data = calloc(1, size + 1);
        _cleanup_close_ int fd = open(shm_path(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        assert_non_null(data);
        assert_true(fd >= 0);
        assert_ok(write_all(fd, data, size));
}

/* A process that has a segment and a file mapped, which only it knows from now on. Returns its process ID. */
static pid_t map_in_child(key_t key, const char *file, int protection) {
        int ready[2];
        pid_t pid;
        char c;

        assert_return_code(pipe(ready), errno);
        pid = fork();
        assert_return_code(pid, errno);
        if (pid == 0) {
                int fd = open(file, O_RDWR | O_CLOEXEC);

                if (fd < 0 || mmap(NULL, 4096, protection, MAP_SHARED, fd, 0) == MAP_FAILED ||
                    shmat(shmget(key, 0, 0), NULL, protection & PROT_WRITE ? 0 : SHM_RDONLY) == (void *) -1 ||
                    write(ready[1], "x", 1) != 1)
                        _exit(EXIT_FAILURE);
                (void) pause();
                _exit(EXIT_SUCCESS);
        }
        (void) close(ready[1]);
        assert_int_equal(read(ready[0], &c, 1), 1);
        (void) close(ready[0]);
        return pid;
}

/* Processes that the shutdown stops too late for their memory to be stored. unit: of this process, if it is in one. */
static void test_shared_writers(const PkramDevice *device, const Config *config, const KexecSources *sources,
                                MockUnit *unit) {
        static const struct {
                const char *conflicts, *before, *part_of;
                bool stays;
        } table[] = {
                { "", NULL, NULL, true },
                { "shutdown.target", "pkram-shm.service", NULL, true },
                { "shutdown.target", "shutdown.target", NULL, false },
                /* It stops with a unit that stops. */
                { "", NULL, "pkram-shm.service", false },
                { "", "pkram-shm.service", "pkram-shm.service", true },
        };
        _cleanup_free_ char *in_a_unit = process_unit(getpid()), *file = NULL;

        assert_true(asprintf(&file, "%s/app-1", sources->shm) > 0);
        for (unsigned i = 0; i < 2 * ELEMENTSOF(table); i++) {
                bool writes = i % 2, lost = writes && (table[i / 2].stays || !in_a_unit);
                pid_t pid = map_in_child((key_t) strtoul(config->shared_memory[SHARED_MEMORY_KEYS] + strlen("0x1 "),
                                                         NULL, 0), file, PROT_READ | (writes ? PROT_WRITE : 0));
                _cleanup_kexec_state_ KexecState s = {};
                char text[32];

                unit->conflicts = table[i / 2].conflicts;
                unit->before = table[i / 2].before;
                unit->part_of = table[i / 2].part_of;
                assert_ok(kexec_state_collect(device, config, sources, KEXEC_STATE_FULL, &s));
                assert_return_code(kill(pid, SIGKILL), errno);
                assert_int_equal(waitpid(pid, NULL, 0), pid);
                (void) snprintf(text, sizeof(text), " (%i", pid);
                for (unsigned k = 0; k < 2; k++)
                        if (lost)
                                assert_non_null(strstr(s.facts.shared[k].detail, text));
                        else
                                assert_null(s.facts.shared[k].detail);
                assert_int_equal(kexec_unit_stops_before_unit(sources->bus, unit->name, "pkram-shm.service"),
                                 !table[i / 2].stays);
        }
        unit->conflicts = unit->before = unit->part_of = NULL;
}

/* Files that can never be stored, and those of ordinary users, who cannot keep the host from a kexec. */
static void test_odd_files(const PkramDevice *device, const Config *config, const KexecSources *sources) {
        static const struct {
                const char *name, *problem;
        } table[] = {
                { "app-\x01", "its name is" },
                { "app-\xff", "its name is" },
                { "app-link", "it is a symbolic link" },
                { NULL, "its name is" }, /* a long one */
        };
        char longest[NAME_MAX + 1], path[512];

        memset(longest, 'x', NAME_MAX);
        memcpy(longest, "app-", 4);
        longest[250] = 0;
        for (unsigned i = 0; i < 2 * ELEMENTSOF(table); i++) {
                const char *name = table[i / 2].name ?: longest;
                bool foreign = i % 2;
                _cleanup_kexec_state_ KexecState s = {};
                KexecCheck check;

                if (foreign && geteuid() != 0)
                        continue;
                (void) snprintf(path, sizeof(path), "shm/%s", name);
                if (streq(name, "app-link"))
                        assert_return_code(symlink("app-1", shm_path(path)), errno);
                else
                        shm_make_file(path, 10);
                if (foreign)
                        assert_return_code(lchown(shm_path(path), 1000, 1000), errno);
                assert_ok(kexec_state_collect(device, config, sources, KEXEC_STATE_FULL, &s));
                assert_int_equal(s.facts.n_shared, foreign ? 2 : 3);
                kexec_check(&s.facts, /* image= */ NULL, KEXEC_POLICY_REFUSE, &check);
                assert_int_equal(check.allowed, foreign);
                if (!foreign)
                        assert_non_null(strstr(check.text, table[i / 2].problem));
                assert_return_code(unlink(shm_path(path)), errno);
        }
        /* The longest name that is stored. */
        longest[249] = 0;
        (void) snprintf(path, sizeof(path), "shm/%s", longest);
        shm_make_file(path, 10);
        {
                _cleanup_kexec_state_ KexecState s = {};

                assert_ok(kexec_state_collect(device, config, sources, KEXEC_STATE_FULL, &s));
                assert_int_equal(s.facts.n_shared, 3);
                for (size_t i = 0; i < 3; i++)
                        assert_null(s.facts.shared[i].detail);
        }
        assert_return_code(unlink(shm_path(path)), errno);
}

/* A process of a container may have a segment with the same identifier attached, which is another segment. */
static void test_foreign_segment(const PkramDevice *device, const Config *config, const KexecSources *sources,
                                 int id) {
        _cleanup_kexec_state_ KexecState s = {};
        int ready[2];
        pid_t pid;
        char c = 0;

        assert_return_code(pipe(ready), errno);
        pid = fork();
        assert_return_code(pid, errno);
        if (pid == 0) {
                char text[16];
                int fd, other;

                (void) snprintf(text, sizeof(text), "%i", id);
                if (unshare(CLONE_NEWIPC) < 0)
                        _exit(EXIT_FAILURE);
                fd = open("/proc/sys/kernel/shm_next_id", O_WRONLY | O_CLOEXEC);
                if (fd < 0 || write_all(fd, text, strlen(text)) < 0)
                        _exit(EXIT_FAILURE);
                other = shmget(IPC_PRIVATE, KIB(4), IPC_CREAT | 0600);
                if (other != id || shmat(other, NULL, 0) == (void *) -1 || write(ready[1], "x", 1) != 1)
                        _exit(EXIT_FAILURE);
                (void) pause();
                _exit(EXIT_SUCCESS);
        }
        (void) close(ready[1]);
        /* Not allowed to: then there is nothing to test. */
        if (read(ready[0], &c, 1) == 1)
                assert_ok(kexec_state_collect(device, config, sources, KEXEC_STATE_FULL, &s));
        (void) close(ready[0]);
        (void) kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        if (c == 'x')
                assert_null(s.facts.shared[0].detail);
}

static void test_shared_memory(_unused_ void **state) {
        _cleanup_free_ char *shm = strdup(shm_path("shm")), *own_unit = process_unit(getpid());
        KexecSources sources = { .utab = "/proc/none", .units = "/proc/none", .root = "/proc/none", .shm = shm,
                                 .proc = "/proc/self" };
        MockUnit units[] = {
                { .name = "pkram-shm.service", .active = "active", .job = "", .preserve = "no",
                  .notify_access = "main" },
                { .name = own_unit ?: "other.service", .active = "active", .job = "", .preserve = "no",
                  .notify_access = "main" },
        };
        _cleanup_free_ char *remove = NULL;
        MockManager *m = mock_manager_new(dir, units, ELEMENTSOF(units));
        Mock *mock = mock_new();
        PkramDevice device = mock_device(mock);
        key_t key = 0x70000000 | getpid();
        char name[16];
        KexecCheck check;
        Config config;
        char *memory;
        int id, private;

        assert_true(asprintf(&remove, "rm -rf %s", shm) > 0);
        config_init_memory(&config, GIB(4));
        mock_info(mock)->image_state = PKRAM_IMAGE_KEEPS;
        assert_ok(manager_connect(mock_manager_address(m), 30 * USEC_PER_SEC, &sources.bus));
        id = shmget(key, MIB(1), IPC_CREAT | IPC_EXCL | 0600);
        assert_return_code(id, errno);
        memory = shmat(id, NULL, 0);
        assert_true(memory != (char *) -1);
        memset(memory, 'x', KIB(256));
        assert_return_code(shmdt(memory), errno);
        assert_return_code(mkdir(shm, 0700), errno);
        shm_make_file("shm/app-1", KIB(128));
        shm_make_file("shm/app-empty", 0);
        shm_make_file("shm/other", KIB(128));

        /* Nothing is selected. */
        for (unsigned flags = 0; flags < 2; flags++) {
                _cleanup_kexec_state_ KexecState s = {};

                assert_ok(kexec_state_collect(&device, &config, &sources, flags ? KEXEC_STATE_FULL : 0, &s));
                assert_int_equal(s.facts.n_shared, 0);
                kexec_check(&s.facts, /* image= */ NULL, KEXEC_POLICY_REFUSE, &check);
                assert_int_equal(check.reason, KEXEC_REASON_NOTHING_STORED);
        }

        (void) snprintf(name, sizeof(name), "0x%08x", (unsigned) key);
        (void) snprintf(config.shared_memory[SHARED_MEMORY_KEYS], sizeof(config.shared_memory[0]), "0x1 %s", name);
        (void) snprintf(config.shared_memory[SHARED_MEMORY_FILES], sizeof(config.shared_memory[0]), "app-*");
        for (unsigned flags = 0; flags < 2; flags++) {
                _cleanup_kexec_state_ KexecState s = {};
                _cleanup_json_ struct json_object *o = NULL;
                struct json_object *array;

                assert_ok(kexec_state_collect(&device, &config, &sources, flags ? KEXEC_STATE_FULL : 0, &s));
                assert_int_equal(s.facts.n_shared, 2);
                assert_string_equal(s.facts.shared[0].name, name);
                assert_string_equal(s.facts.shared[1].name, "/dev/shm/app-1");
                kexec_check(&s.facts, /* image= */ NULL, KEXEC_POLICY_REFUSE, &check);
                assert_int_equal(check.reason, KEXEC_REASON_KEEPS);
                o = kexec_check_to_json(&check, &s, KEXEC_POLICY_REFUSE);
                array = json_get_array(o, "sharedMemory");
                assert_int_equal(json_object_array_length(array), 2);
                assert_string_equal(json_get_string(json_object_array_get_idx(array, 0), "name"), name);
        }

        /* Memory that is used counts against limits, and not the size. */
        static const struct {
                LimitId id;
                uint64_t value;
                size_t exceeds; /* which of the two */
                uint64_t needed;
        } table[] = {
                { LIMIT_NODE_BYTES,  KIB(200), 0, KIB(256) },
                { LIMIT_TOTAL_BYTES, KIB(300), 1, KIB(384) },
                { LIMIT_OWNER_NODES, 1,        1, 2        },
        };
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_kexec_state_ KexecState s = {};
                const KexecSharedMemory *two;
                Config small = config;

                small.limit[table[i].id] = table[i].value;
                assert_ok(kexec_state_collect(&device, &small, &sources, KEXEC_STATE_FULL, &s));
                kexec_check(&s.facts, /* image= */ NULL, KEXEC_POLICY_REFUSE, &check);
                assert_int_equal(check.reason, KEXEC_REASON_SHARED_MEMORY);
                two = s.facts.shared;
                assert_null(two[!table[i].exceeds].limit);
                two += table[i].exceeds;
                assert_string_equal(two->limit, limit_name(table[i].id));
                assert_int_equal(two->maximum, table[i].value);
                assert_int_equal(two->needed, table[i].needed);
        }

        /* Without its unit, nothing is stored: it is not active, or not even loaded. */
        for (unsigned loaded = 0; loaded < 2; loaded++) {
                _cleanup_kexec_state_ KexecState s = {};
                _cleanup_json_ struct json_object *o = NULL;

                units[0].active = loaded ? "failed" : "active";
                mock_manager_fail(m, loaded ? NULL : "GetUnit");
                assert_ok(kexec_state_collect(&device, &config, &sources, KEXEC_STATE_FULL, &s));
                mock_manager_fail(m, NULL);
                units[0].active = "active";
                kexec_check(&s.facts, /* image= */ NULL, KEXEC_POLICY_REFUSE, &check);
                assert_int_equal(check.reason, KEXEC_REASON_SHARED_MEMORY);
                assert_non_null(strstr(check.text, "pkram-shm.service, which stores it, is not active"));
                o = kexec_check_to_json(&check, &s, KEXEC_POLICY_REFUSE);
                assert_string_equal(json_get_string(json_object_array_get_idx(json_get_array(o, "sharedMemory"), 1),
                                                    "detail"), s.facts.shared_problem);
        }

        test_shared_writers(&device, &config, &sources, units + 1);
        test_foreign_segment(&device, &config, &sources, id);
        test_odd_files(&device, &config, &sources);

        /* Contents that were not restored would have to give way. */
        for (unsigned i = 0; i < 2; i++) {
                _cleanup_kexec_state_ KexecState s = {};
                PkramHandle h = PKRAM_HANDLE_NONE;
                KernelName kernel_name;
                char node[32];

                (void) snprintf(node, sizeof(node), SYSV_PREFIX "%s", name);
                kernel_name = node_name_encode(OWNER_ROOT, i == 0 ? node : POSIX_PREFIX "app-1");
                assert_ok(pkram_save_begin(&device, kernel_name.text, &h));
                assert_ok(pkram_save_commit(&h, /* replace= */ false, /* ret_id= */ NULL));
                pkram_handle_done(&h);
                /* One that was stored in this boot is replaced. */
                assert_ok(kexec_state_collect(&device, &config, &sources, KEXEC_STATE_FULL, &s));
                assert_null(s.facts.shared[i].detail);
                kexec_state_done(&s);
                mock_kexec(mock);
                mock_info(mock)->image_state = PKRAM_IMAGE_KEEPS;
                assert_ok(kexec_state_collect(&device, &config, &sources, KEXEC_STATE_FULL, &s));
                assert_non_null(strstr(s.facts.shared[i].detail, "holds contents that were not restored"));
                kexec_check(&s.facts, /* image= */ NULL, KEXEC_POLICY_REFUSE, &check);
                assert_int_equal(check.reason, KEXEC_REASON_SHARED_MEMORY);
                assert_ok(pkram_load_begin(&device, kernel_name.text, &h, /* ret_id= */ NULL));
                assert_ok(pkram_load_remove(&h, kernel_name.text));
                pkram_handle_done(&h);
        }

        /* A segment of another user that cannot be opened is no reason to call it kept. */
        if (geteuid() == 0) {
                _cleanup_kexec_state_ KexecState s = {};

                assert_return_code(chmod(dir, 0755), errno);
                assert_return_code(chmod(shm, 0755), errno);
                assert_return_code(seteuid(12345), errno);
                assert_ok(kexec_state_collect(&device, &config, &sources, KEXEC_STATE_FULL, &s));
                assert_return_code(seteuid(0), errno);
                assert_int_equal(s.facts.n_shared, 2);
                assert_non_null(strstr(s.facts.shared[0].detail, "it cannot be examined (Permission denied)"));
                kexec_check(&s.facts, /* image= */ NULL, KEXEC_POLICY_REFUSE, &check);
                assert_int_equal(check.reason, KEXEC_REASON_SHARED_MEMORY);
        }
        assert_return_code(shmctl(id, IPC_RMID, NULL), errno);

        /* What cannot be stored at all is known before, with the reason. SHM_NORESERVE: without any huge page. */
        id = shmget(key, MIB(2), IPC_CREAT | IPC_EXCL | SHM_HUGETLB | SHM_NORESERVE | 0600);
        private = shmget(IPC_PRIVATE, KIB(4), 0600);
        assert_true(id >= 0 && private >= 0);
        for (unsigned named = 0; named < 2; named++) {
                _cleanup_kexec_state_ KexecState s = {};
                _cleanup_json_ struct json_object *o = NULL;
                bool found_private = false;

                (void) snprintf(config.shared_memory[SHARED_MEMORY_KEYS], sizeof(config.shared_memory[0]), "%s%s",
                                name, named ? " 0" : "");
                config.shared_memory[SHARED_MEMORY_FILES][0] = 0;
                assert_ok(kexec_state_collect(&device, &config, &sources, KEXEC_STATE_FULL, &s));
                for (size_t i = 0; i < s.facts.n_shared; i++)
                        if (streq(s.facts.shared[i].name, name))
                                assert_non_null(strstr(s.facts.shared[i].detail, "huge pages (SHM_HUGETLB)"));
                        else {
                                assert_non_null(strstr(s.facts.shared[i].detail, "IPC_PRIVATE"));
                                found_private = true;
                        }
                assert_int_equal(found_private, named);
                kexec_check(&s.facts, /* image= */ NULL, KEXEC_POLICY_REFUSE, &check);
                assert_int_equal(check.reason, KEXEC_REASON_SHARED_MEMORY);
                assert_false(check.allowed);
                o = kexec_check_to_json(&check, &s, KEXEC_POLICY_REFUSE);
                assert_non_null(json_get_string(json_object_array_get_idx(json_get_array(o, "sharedMemory"), 0),
                                                "detail"));
        }
        assert_return_code(shmctl(id, IPC_RMID, NULL), errno);
        assert_return_code(shmctl(private, IPC_RMID, NULL), errno);

        /* Segments and files of users that cannot be found are not kept. */
        config.shared_memory[SHARED_MEMORY_KEYS][0] = 0;
        (void) strcpy(config.shared_memory[SHARED_MEMORY_USERS], "root no-such-user");
        (void) strcpy(config.shared_memory[SHARED_MEMORY_FILES], "none");
        (void) strcpy(config.shared_memory[SHARED_MEMORY_FILE_USERS], "4711 no-such-user");
        {
                _cleanup_kexec_state_ KexecState s = {};

                assert_ok(kexec_state_collect(&device, &config, &sources, KEXEC_STATE_FULL, &s));
                assert_true(s.facts.n_shared >= 2);
                assert_string_equal(s.facts.shared[0].name, "segments of user 'no-such-user'");
                assert_string_equal(s.facts.shared[1].name, "files of user 'no-such-user'");
                kexec_check(&s.facts, /* image= */ NULL, KEXEC_POLICY_REFUSE, &check);
                assert_int_equal(check.reason, KEXEC_REASON_SHARED_MEMORY);
                assert_non_null(strstr(check.text, "segments of user 'no-such-user' cannot be stored: the name of the "
                                       "user cannot be resolved; files of"));
        }
        assert_int_equal(system(remove), 0);
        (void) sd_bus_flush_close_unref(sources.bus);
        mock_manager_free(m);
        mock_free(mock);
        (void) unlink(shm_path("notify"));
        (void) unlink(shm_path("private"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_shared_memory),
        };
        int r;

        /* A build root may have no such directory. */
        if (!mkdtemp(dir)) {
                (void) strcpy(dir, "/tmp/test-kexec-share-XXXXXX");
                assert_non_null(mkdtemp(dir));
        }
        r = cmocka_run_group_tests(tests, NULL, NULL);
        (void) rmdir(dir);
        return r;
}
