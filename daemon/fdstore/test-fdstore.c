/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests pkram-fdstore with models of the service manager and of pkramd. $PKRAMD_MOCK is the program that stands in for
 * pkramd. */
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "fdstore.h"
#include "fdstore-manifest.h"
#include "mock-service-manager.h"
#include "test.h"

static MockUnit units[] = {
        { "a.service",    "inactive", "",      "yes",     "main", 8 },
        { "b.service",    "failed",   "",      "yes",     "all",  8 },
        { "runs.service", "active",   "stop",  "yes",     "main", 8 },
        { "soon.service", "inactive", "start", "yes",     "main", 8 },
        { "temp.service", "inactive", "",      "restart", "main", 8 },
        { FDSTORE_UNIT,   "active",   "stop",  "yes",     "exec", 64 },
};

static char dir[] = "/tmp/test-fdstore-XXXXXX";
static char store_socket[64];
static pid_t store_pid;
static MockManager *manager;
static Config config;
static FdStoreEnvironment e;

/* Opens a new connection to pkramd. A connection that timed out cannot be used any more. */
static void connect_store(void) {
        e.store.client = varlink_client_free(e.store.client);
        for (unsigned i = 0; i < 500 && varlink_client_connect(store_socket, &e.store.client) < 0; i++)
                (void) poll(NULL, 0, 10);
        assert_non_null(e.store.client);
}

static int setup(void **state) {
        char *argv[] = { getenv("PKRAMD_MOCK"), store_socket, NULL };

        (void) state;
        strcpy(dir + strlen(dir) - 6, "XXXXXX");
        assert_non_null(mkdtemp(dir));
        (void) snprintf(store_socket, sizeof(store_socket), "%s/store", dir);
        assert_non_null(argv[0]);
        store_pid = fork();
        if (store_pid == 0) {
                (void) execv(argv[0], argv);
                _exit(127);
        }
        manager = mock_manager_new(dir, units, ELEMENTSOF(units));
        assert_ok(setenv("NOTIFY_SOCKET", mock_manager_notify_socket(manager), 1));
        e.proc = "/proc/self";
        e.root = dir;
        e.config = &config;
        e.timeout_usec = 5 * 1000 * 1000;
        assert_ok(manager_connect(mock_manager_address(manager), 30 * USEC_PER_SEC, &e.bus));
        connect_store();
        return 0;
}

static int teardown(void **state) {
        char command[128];

        (void) state;
        e.store.client = varlink_client_free(e.store.client);
        e.bus = sd_bus_flush_close_unref(e.bus);
        manager = mock_manager_free(manager);
        (void) kill(store_pid, SIGTERM);
        (void) waitpid(store_pid, NULL, 0);
        (void) snprintf(command, sizeof(command), "rm -rf -- %s", dir);
        return system(command);
}

/* Resets everything at the beginning of a test. */
static void forget(void) {
        config_init_memory(&config, GIB(1));
        units[0].notify_access = "main";
        mock_manager_fail(manager, NULL);
        mock_manager_garble(manager, NULL);
        mock_manager_distort(manager, MOCK_DISTORT_NONE);
        for (size_t i = 0; i < ELEMENTSOF(units); i++) {
                mock_manager_clear(manager, units[i].name);
                units[i].max = 8;
                units[i].fragment = NULL;
                units[i].drop_in = NULL;
                units[i].root = NULL;
                units[i].start_only = false;
                units[i].has_stop_command = false;
                units[i].gone = false;
        }
        assert_ok(fdstore_begin(&e)); /* this removes all nodes, since they are of this boot */
}

static int memfd(const char *text) {
        int fd = memfd_create("state", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        assert_ok(fd);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        return fd;
}

/* Puts a descriptor into the store of a unit, and closes it here. */
static void keep(const char *unit, const char *name, int fd) {
        assert_ok(fd);
        mock_manager_add_fd(manager, unit, name, fd);
        (void) close(fd);
}

static void assert_holds(const char *unit, const char *name, const char *text) {
        char data[64] = "";
        int fd = mock_manager_get_fd(manager, unit, name);

        assert_ok(fd);
        assert_int_equal(pread(fd, data, sizeof(data) - 1, 0), strlen(text));
        assert_string_equal(data, text);
}

static bool is_stored(const char *unit, const char *name) {
        _cleanup_retrieved_node_ RetrievedNode n = {};
        _cleanup_free_ char *reason = NULL;
        int r = store_call_retrieve(&e.store, unit, name, &n, &reason);

        assert_true(r == 0 || r == -ENOENT);
        return r == 0;
}

/* The service manager starts again, with empty stores. */
static void next_boot(void) {
        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                mock_manager_clear(manager, units[i].name);
}

/* Stores the descriptors of all units, and starts the next boot. From then on this process belongs to the unit. */
static void save_and_boot(const char *unit) {
        assert_ok(fdstore_save(&e));
        next_boot();
        mock_manager_set_sender(manager, unit);
}

/* Waits, since the service manager drops descriptors asynchronously. */
static void wait_until_empty(const char *unit) {
        for (unsigned i = 0; i < 100 && mock_manager_n_fds(manager, unit) > 0; i++)
                (void) poll(NULL, 0, 10);
        assert_int_equal(mock_manager_n_fds(manager, unit), 0);
}

static void test_round_trip(void **state) {
        int fd = memfd("first");

        (void) state;
        forget();
        mock_manager_add_fd(manager, "a.service", "rw", fd);
        assert_int_equal(lseek(fd, 3, SEEK_SET), 3);
        keep("a.service", "ro", memfd("second"));
        keep("b.service", "other", memfd("third"));
        assert_ok(fdstore_save(&e));
        assert_true(is_stored("a.service", FDSTORE_NODE));
        assert_true(is_stored("b.service", fdstore_node_name(FDSTORE_NODE_ALL)));
        (void) close(fd);

        next_boot();
        mock_manager_set_sender(manager, "a.service");
        assert_ok(fdstore_push(&e, "a.service"));
        assert_int_equal(mock_manager_n_fds(manager, "a.service"), 2);
        assert_holds("a.service", "rw", "first");
        assert_holds("a.service", "ro", "second");
        assert_int_equal(lseek(mock_manager_get_fd(manager, "a.service", "rw"), 0, SEEK_CUR), 3);
        assert_false(is_stored("a.service", FDSTORE_NODE));

        mock_manager_set_sender(manager, "b.service");
        assert_ok(fdstore_push(&e, "b.service"));
        assert_holds("b.service", "other", "third");
        /* A file whose node was released can be written again. */
        assert_int_equal(pwrite(mock_manager_get_fd(manager, "b.service", "other"), "T", 1, 0), 1);
        /* There is nothing left to push. */
        assert_ok(fdstore_push(&e, "b.service"));
}

static void test_flags(void **state) {
        _cleanup_close_ int fd = memfd("data");
        char path[64];

        (void) state;
        forget();
        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        keep("a.service", "ro", open(path, O_RDONLY | O_CLOEXEC));
        keep("a.service", "append", open(path, O_WRONLY | O_APPEND | O_CLOEXEC));
        keep("a.service", "path", open(path, O_PATH | O_CLOEXEC));
        save_and_boot("a.service");
        assert_ok(fdstore_push(&e, "a.service"));
        assert_int_equal(fcntl(mock_manager_get_fd(manager, "a.service", "ro"), F_GETFL) & O_ACCMODE, O_RDONLY);
        assert_int_equal(fcntl(mock_manager_get_fd(manager, "a.service", "append"), F_GETFL) & (O_ACCMODE | O_APPEND),
                         O_WRONLY | O_APPEND);
        assert_true(fcntl(mock_manager_get_fd(manager, "a.service", "path"), F_GETFL) & O_PATH);
}

static void test_which_units(void **state) {
        int pair[2];

        (void) state;
        forget();
        /* Sockets of a unit that runs until the end do not count as lost. */
        assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
        keep("runs.service", "socket", pair[0]);
        (void) close(pair[1]);
        assert_ok(fdstore_save(&e));
        keep("runs.service", "x", memfd("x"));
        keep("soon.service", "x", memfd("x"));
        keep("temp.service", "x", memfd("x"));
        /* The files of a running unit are not stored: that would freeze them while the unit uses them. */
        assert_errno(fdstore_save(&e), EBUSY);
        assert_false(is_stored("runs.service", FDSTORE_NODE));
        assert_false(is_stored("soon.service", FDSTORE_NODE));
        assert_false(is_stored("temp.service", FDSTORE_NODE));
}

static void test_kinds(void **state) {
        int ends[2], pair[2];

        (void) state;
        forget();
        assert_ok(pipe2(ends, O_CLOEXEC));
        assert_int_equal(write(ends[1], "in flight", 9), 9);
        assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
        keep("a.service", "reader", ends[0]);
        keep("a.service", "writer", ends[1]);
        keep("a.service", "socket", pair[0]);
        (void) close(pair[1]);
        /* Sockets are left out silently. Leaving out any other descriptor is an error. */
        assert_ok(fdstore_save(&e));
        keep("a.service", "directory", open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        assert_errno(fdstore_save(&e), ENODATA);

        next_boot();
        mock_manager_set_sender(manager, "a.service");
        assert_ok(fdstore_push(&e, "a.service"));
        assert_int_equal(mock_manager_n_fds(manager, "a.service"), 2);
        assert_int_equal(write(mock_manager_get_fd(manager, "a.service", "writer"), "!", 1), 1);
        char data[16] = "";
        assert_int_equal(read(mock_manager_get_fd(manager, "a.service", "reader"), data, sizeof(data)), 10);
        assert_string_equal(data, "in flight!");
}

/* Turns the capabilities that lift the limits of pipes off or on, for this thread. */
static void set_pipe_capabilities(bool on) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
        const uint32_t mask = 1U << CAP_SYS_RESOURCE | 1U << CAP_SYS_ADMIN;

        assert_ok(syscall(SYS_capget, &header, data));
        data[0].effective = on ? data[0].effective | (mask & data[0].permitted) : data[0].effective & ~mask;
        assert_ok(syscall(SYS_capset, &header, data));
}

/* A pipe of that size (0 for the default), into which n pieces are written, and from which some bytes are read. */
typedef struct PipeCase {
        size_t size, piece, n, read;
        bool lost;
} PipeCase;

/* Stores both ends of such a pipe, and starts the next boot. Returns false if the pipe may not have that size. */
static bool pipe_case_run(const PipeCase *c, bool limited) {
        const size_t written = c->piece * c->n, rest = written - c->read;
        _cleanup_free_ char *data = malloc(written), *found = malloc(written + 1);
        int ends[2], fd, r;

        assert_non_null(data);
        assert_non_null(found);
        for (size_t i = 0; i < written; i++)
                data[i] = (char) (i % 251);
        forget();
        assert_ok(pipe2(ends, O_CLOEXEC | O_NONBLOCK));
        if (c->size > 0 && fcntl(ends[1], F_SETPIPE_SZ, (int) c->size) < 0) {
                assert_int_equal(errno, EPERM);
                close_many(ends, 2);
                return false;
        }
        for (size_t i = 0; i < c->n; i++)
                assert_int_equal(write(ends[1], data + i * c->piece, c->piece), c->piece);
        assert_int_equal(read(ends[0], found, c->read), c->read);
        keep("a.service", "reader", ends[0]);
        keep("a.service", "writer", ends[1]);
        if (limited)
                set_pipe_capabilities(false);
        r = fdstore_save(&e);
        set_pipe_capabilities(true);
        if (r != (c->lost ? -ENODATA : 0))
                fail_msg("%zu times %zu bytes without %zu: save returned %i", c->n, c->piece, c->read, r);

        /* The contents remain in the pipe. */
        fd = mock_manager_get_fd(manager, "a.service", "reader");
        assert_int_equal(read(fd, found, written + 1), rest);
        next_boot();
        mock_manager_set_sender(manager, "a.service");
        assert_ok(fdstore_push(&e, "a.service"));
        assert_int_equal(mock_manager_n_fds(manager, "a.service"), c->lost ? 0 : 2);
        if (c->lost)
                return true;
        /* A pipe has room for more than that. */
        assert_true(fcntl(mock_manager_get_fd(manager, "a.service", "writer"), F_GETPIPE_SZ) >= (int) KIB(64));
        fd = mock_manager_get_fd(manager, "a.service", "reader");
        assert_int_equal(read(fd, found, written + 1), rest);
        assert_memory_equal(found, data + c->read, rest);
        return true;
}

/* The contents of a pipe are preserved however they were written, and also if they were partly read. */
static void test_pipe_contents(void **state) {
        static const PipeCase table[] = {
                { 0,        5000,  1,  1000, false }, /* the rest is in two buffers */
                { 0,        4096,  1,  4000, false },
                { KIB(128), 3000,  20, 0,    false }, /* a buffer for each piece */
                { KIB(128), 3000,  20, 1500, false },
                { 4096,     4096,  1,  0,    false },
                { STORED_PIPE_BYTES_MAX, 4096, STORED_PIPE_BYTES_MAX / 4096, 0, false },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_true(pipe_case_run(&table[i], /* limited= */ false));
}

/* Only what is in the pipe counts, not its size. */
static void test_pipe_large(void **state) {
        static const PipeCase table[] = {
                { 2 * STORED_PIPE_BYTES_MAX, 4096, STORED_PIPE_BYTES_MAX / 4096 + 1, 0,    true },
                { 2 * STORED_PIPE_BYTES_MAX, 4096, STORED_PIPE_BYTES_MAX / 4096 + 1, 4096, false },
                { 2 * STORED_PIPE_BYTES_MAX, 3000, STORED_PIPE_BYTES_MAX / 3000,     0,    false },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (!pipe_case_run(&table[i], /* limited= */ false))
                        test_skip("pipes of this size need CAP_SYS_RESOURCE");
}

/* The user's pipes have used up what is permitted without capabilities: a pipe for a copy has two buffers. */
static void test_pipe_limits(void **state) {
        static const PipeCase fits = { 0, 5000, 1, 1000, false }, large = { KIB(128), 3000, 3, 0, true };
        int pipes[2 * 80];
        unsigned soft = 0;
        size_t n = 0;
        FILE *f;

        (void) state;
        f = fopen("/proc/sys/fs/pipe-user-pages-soft", "re");
        assert_non_null(f);
        assert_int_equal(fscanf(f, "%u", &soft), 1);
        (void) fclose(f);
        if (soft == 0 || soft / 256 + 1 > ELEMENTSOF(pipes) / 2)
                test_skip("/proc/sys/fs/pipe-user-pages-soft is not the default");
        for (; n < 2 * (soft / 256 + 1); n += 2) {
                assert_ok(pipe2(pipes + n, O_CLOEXEC));
                assert_ok(fcntl(pipes[n], F_SETPIPE_SZ, (int) MIB(1)));
        }
        assert_true(pipe_case_run(&fits, /* limited= */ true));
        assert_true(pipe_case_run(&large, /* limited= */ true));
        close_many(pipes, n);
}

/* Pipes with packets are left out, rather than restored without the boundaries between packets. The kernel gives the
 * flag to the writing end only; the other end shows packets if there are several. */
static void test_pipe_packets(void **state) {
        int ends[2];

        (void) state;
        forget();
        assert_ok(pipe2(ends, O_CLOEXEC | O_NONBLOCK | O_DIRECT));
        assert_int_equal(write(ends[1], "one", 3), 3);
        assert_int_equal(write(ends[1], "two", 3), 3);
        keep("a.service", "reader", ends[0]);
        keep("a.service", "writer", ends[1]);
        keep("a.service", "other", memfd("x"));
        assert_errno(fdstore_save(&e), ENODATA);
        next_boot();
        mock_manager_set_sender(manager, "a.service");
        assert_ok(fdstore_push(&e, "a.service"));
        assert_int_equal(mock_manager_n_fds(manager, "a.service"), 1);
        assert_holds("a.service", "other", "x");
}

static void test_what_cannot_be_stored(void **state) {
        _cleanup_close_ int mapped = memfd("mapped");
        void *p;

        (void) state;
        forget();
        keep("a.service", "good", memfd("good"));
        mock_manager_add_fd(manager, "a.service", "mapped", mapped);
        p = mmap(NULL, 6, PROT_READ | PROT_WRITE, MAP_SHARED, mapped, 0);
        assert_true(p != MAP_FAILED);
        /* A file that cannot be frozen is left out, but the other files are stored. */
        int r = fdstore_save(&e);
        (void) munmap(p, 6);
        next_boot();
        mock_manager_set_sender(manager, "a.service");
        assert_ok(fdstore_push(&e, "a.service"));
        assert_holds("a.service", "good", "good");
        if (r < 0) /* the model of the kernel sees writable mappings */
                assert_int_equal(mock_manager_n_fds(manager, "a.service"), 1);
}

/* Gives a unit a unit file with one line in [Service]. */
static void declare(size_t unit, const char *line) {
        char path[128];
        FILE *f;

        (void) snprintf(path, sizeof(path), "%s/fragment", dir);
        f = fopen(path, "we");
        assert_non_null(f);
        assert_true(fprintf(f, "[Service]\n%s\n", line) > 0);
        assert_int_equal(fclose(f), 0);
        units[unit].fragment = "/fragment";
}

static void test_policy(void **state) {
        static const struct {
                const char *units, *declaration;
                bool require;
                int flags; /* of the node, or -1 if nothing is stored */
        } table[] = {
                { "all",                 "",                          false, 0 },
                { "none",                "",                          false, -1 },
                { "none",                "X-Pkram-FdStore=yes",       false, -1 },
                { "x.service a.service", "",                          false, 0 },
                { "x.service",           "",                          false, -1 },
                { "x.service",           "X-Pkram-FdStore=yes",       false, 0 },
                { "*.service",           "X-Pkram-FdStore=no",        false, -1 },
                { "[a-b].*",             "X-Pkram-FdStore=bogus",     false, 0 },
                { "all",                 "",                          true,  FDSTORE_NODE_REQUIRED },
                { "all",                 "X-Pkram-FdStore=yes",       true,  0 },
                { "x.service",           "X-Pkram-FdStore = required", false, FDSTORE_NODE_REQUIRED },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                forget();
                (void) snprintf(config.fdstore_units, sizeof(config.fdstore_units), "%s", table[i].units);
                config.fdstore_require_restore = table[i].require;
                declare(0, table[i].declaration);
                keep("a.service", "x", memfd("x"));
                assert_ok(fdstore_save(&e));
                for (FdStoreNodeFlags flags = 0; flags < _FDSTORE_NODE_FLAGS_MAX; flags++)
                        if (fdstore_node_flags_are_valid(flags) &&
                            is_stored("a.service", fdstore_node_name(flags)) != ((int) flags == table[i].flags))
                                fail_msg("line %zu, flags %u", i, flags);
                if (table[i].flags < 0)
                        continue;
                next_boot();
                mock_manager_set_sender(manager, "a.service");
                assert_ok(fdstore_push(&e, "a.service"));
                assert_holds("a.service", "x", "x");
        }
}

static int count_inherited(_unused_ const char *name, _unused_ const char *owner, bool inherited, void *userdata) {
        ((unsigned *) userdata)[inherited]++;
        return 0;
}

/* Does a kexec: all nodes then belong to an earlier kernel, and the service manager starts with empty stores. */
static void kexec(void) {
        unsigned n[2] = { 0, 1 };

        assert_ok(kill(store_pid, SIGUSR1));
        for (unsigned i = 0; i < 100; i++) {
                _cleanup_free_ char *reason = NULL;

                n[0] = n[1] = 0;
                assert_ok(store_call_list(&e.store, "", count_inherited, n, &reason));
                if (n[0] == 0)
                        break;
                (void) poll(NULL, 0, 10);
        }
        assert_int_equal(n[0], 0);
        next_boot();
}

/* The descriptors of a unit with a root directory are stored if it has no commands other than ExecStart=, or if the
 * root directory does not apply to them. */
static void test_root_directory(void **state) {
        char path[128];
        FILE *f;

        (void) state;
        forget();
        units[0].root = "/srv/root";
        keep("a.service", "x", memfd("x"));
        assert_ok(fdstore_save(&e));
        assert_true(is_stored("a.service", fdstore_node_name(FDSTORE_NODE_ROOT)));

        units[0].has_stop_command = true;
        assert_ok(fdstore_begin(&e));
        assert_errno(fdstore_save(&e), ENOTSUP);
        assert_false(is_stored("a.service", fdstore_node_name(FDSTORE_NODE_ROOT)));

        units[0].start_only = true;
        assert_ok(fdstore_save(&e));
        assert_true(is_stored("a.service", fdstore_node_name(0)));
        kexec();

        /* In the boot after a kexec, the unit has settings from the drop-in. */
        (void) snprintf(path, sizeof(path), "%s/" FDSTORE_DROP_IN_NAME, dir);
        f = fopen(path, "we");
        assert_non_null(f);
        assert_true(fputs("[Service]\n" FDSTORE_DROP_IN_NOTIFY FDSTORE_DROP_IN_ROOT, f) >= 0);
        assert_int_equal(fclose(f), 0);
        units[0].drop_in = "/" FDSTORE_DROP_IN_NAME;
        units[0].notify_access = "exec";
        mock_manager_set_sender(manager, "a.service");
        assert_ok(fdstore_push(&e, "a.service"));
        assert_ok(fdstore_save(&e));
        assert_true(is_stored("a.service", fdstore_node_name(FDSTORE_NODE_ROOT)));
}

static void start_unit_a(void) { units[0].active = "activating"; }

/* A node of an earlier boot that the unit has not received is not replaced by newer descriptors of the unit. */
static void test_waiting_node(void **state) {
        int pair[2];

        (void) state;
        forget();
        keep("a.service", "state", memfd("old"));
        assert_ok(fdstore_save(&e));
        kexec();
        keep("a.service", "state", memfd("new"));
        keep("b.service", "other", memfd("other"));
        mock_manager_set_sender(manager, "a.service");
        assert_errno(fdstore_push(&e, "a.service"), EEXIST);
        assert_errno(fdstore_save(&e), EEXIST);
        assert_true(is_stored("b.service", fdstore_node_name(FDSTORE_NODE_ALL)));
        /* The newer descriptors are not stored under another name, either. */
        units[0].notify_access = "all";
        assert_errno(fdstore_save(&e), EEXIST);
        assert_false(is_stored("a.service", fdstore_node_name(FDSTORE_NODE_ALL)));
        /* The old node stays even if the unit starts while descriptors are stored. */
        mock_manager_set_hook(manager, 1, start_unit_a);
        assert_errno(fdstore_save(&e), EEXIST);
        units[0].active = "inactive";
        assert_true(is_stored("a.service", FDSTORE_NODE));
        kexec();

        /* Sockets are never preserved, so nothing is lost. */
        assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
        keep("a.service", "socket", pair[0]);
        (void) close(pair[1]);
        assert_ok(fdstore_save(&e));
        assert_ok(fdstore_push(&e, "a.service"));
        assert_holds("a.service", "state", "old");
        assert_false(is_stored("a.service", FDSTORE_NODE));
        mock_manager_set_sender(manager, "b.service");
        assert_ok(fdstore_push(&e, "b.service"));
}

static void test_limits(void **state) {
        (void) state;
        forget();
        config.fdstore_unit_bytes = KIB(4);
        keep("a.service", "small", memfd("x"));
        assert_ok(fdstore_save(&e));
        keep("a.service", "more", memfd("x"));
        assert_errno(fdstore_save(&e), EDQUOT);
        forget();
        config.fdstore_unit_descriptors = 1;
        keep("a.service", "one", memfd("x"));
        assert_ok(fdstore_save(&e));
        keep("a.service", "two", memfd("x"));
        assert_errno(fdstore_save(&e), EDQUOT);
        assert_int_equal(fdstore_node_flags(FDSTORE_NODE "-other"), -EINVAL);
}

static void test_too_small_store(void **state) {
        (void) state;
        forget();
        keep("a.service", "one", memfd("1"));
        keep("a.service", "two", memfd("2"));
        assert_ok(fdstore_save(&e));
        next_boot();
        units[0].max = 1;
        mock_manager_set_sender(manager, "a.service");
        /* The service starts with all descriptors or with none, and the node stays stored. */
        assert_errno(fdstore_push(&e, "a.service"), ENOBUFS);
        wait_until_empty("a.service");
        assert_true(is_stored("a.service", FDSTORE_NODE));
        units[0].max = 0;
        assert_errno(fdstore_push(&e, "a.service"), EHOSTDOWN);
        assert_true(is_stored("a.service", FDSTORE_NODE));
        units[0].max = 8;
        assert_ok(fdstore_push(&e, "a.service"));
        assert_holds("a.service", "two", "2");
}

static void test_pushed_twice(void **state) {
        (void) state;
        forget();
        keep("a.service", "one", memfd("1"));
        save_and_boot("a.service");
        /* The first attempt pushes, but does not release the node: it fails to read the store back. */
        mock_manager_fail(manager, "DumpUnitFileDescriptorStore");
        assert_fails(fdstore_push(&e, "a.service"));
        mock_manager_fail(manager, NULL);
        assert_ok(fdstore_push(&e, "a.service"));
        assert_int_equal(mock_manager_n_fds(manager, "a.service"), 1);
        assert_ok(fdstore_push(&e, "a.service"));
        assert_int_equal(mock_manager_n_fds(manager, "a.service"), 1);
}

/* A file in the stores of two units is one file again after a kexec, in whichever order the units start. When both
 * have it, pkram-fdstore drops it from its own store. */
static void test_shared_across_kexec(void **state) {
        (void) state;
        for (unsigned turn = 0; turn < 2; turn++) {
                const char *first = turn == 0 ? "a.service" : "b.service", *second = turn == 0 ? "b.service" :
                        "a.service";
                const char *names[2] = { turn == 0 ? "mine" : "yours", turn == 0 ? "yours" : "mine" };
                struct stat a, b;
                unsigned n_reloads;
                int fd;

                forget();
                fd = memfd("both");
                mock_manager_add_fd(manager, "a.service", "mine", fd);
                keep("b.service", "yours", fd);
                keep("a.service", "own", memfd("own"));
                assert_ok(fdstore_save(&e));
                kexec();

                mock_manager_set_sender(manager, FDSTORE_UNIT);
                assert_ok(fdstore_begin(&e));
                assert_int_equal(mock_manager_n_fds(manager, FDSTORE_UNIT), 1);
                n_reloads = mock_manager_n_reloads(manager);
                mock_manager_set_sender(manager, first);
                assert_ok(fdstore_push(&e, first));
                assert_int_equal(mock_manager_n_reloads(manager), n_reloads + 1);
                mock_manager_set_sender(manager, FDSTORE_UNIT);
                assert_ok(fdstore_drop_shared(&e));
                /* The other unit still needs the file. */
                assert_int_equal(mock_manager_n_fds(manager, FDSTORE_UNIT), 1);
                mock_manager_set_sender(manager, second);
                assert_ok(fdstore_push(&e, second));
                mock_manager_set_sender(manager, FDSTORE_UNIT);
                assert_ok(fdstore_drop_shared(&e));
                wait_until_empty(FDSTORE_UNIT);

                assert_ok(fstat(mock_manager_get_fd(manager, first, names[0]), &a));
                assert_ok(fstat(mock_manager_get_fd(manager, second, names[1]), &b));
                assert_true(a.st_dev == b.st_dev && a.st_ino == b.st_ino);
                assert_holds(first, names[0], "both");
                assert_holds("a.service", "own", "own");
                assert_int_equal(pwrite(mock_manager_get_fd(manager, second, names[1]), "B", 1, 0), 1);
        }
}

static int count_of_units(const char *name, const char *owner, _unused_ bool inherited, void *userdata) {
        unsigned *n = userdata;

        n[0]++;
        n[1] += streq(name, FDSTORE_NODE) && streq(owner, "a.service");
        n[2] += streq(name, fdstore_node_name(FDSTORE_NODE_ALL)) && streq(owner, "b.service");
        n[3] += startswith(name, FDSTORE_SHARED_PREFIX) && streq(owner, FDSTORE_UNIT);
        return 0;
}

/* Services of a user manager: the user owns all nodes. */
static void test_user_manager(void **state) {
        const StoreLink system = e.store;
        _cleanup_free_ char *reason = NULL;
        unsigned n[4] = {};
        int fd = memfd("both");

        (void) state;
        forget();
        e.store.user = true;
        mock_manager_add_fd(manager, "a.service", "shared", fd);
        keep("a.service", "own", memfd("first"));
        keep("b.service", "shared", fd);
        keep("b.service", "own", memfd("second"));
        assert_ok(fdstore_save(&e));
        assert_ok(store_call_list(&e.store, FDSTORE_NODE, count_of_units, n, &reason));
        assert_true(n[0] == 3 && n[1] == 1 && n[2] == 1 && n[3] == 1);
        /* They are not nodes of system units with these names, and the system's fdstore_begin() leaves them alone. */
        memset(n, 0, sizeof(n));
        assert_ok(store_call_list(&system, FDSTORE_NODE, count_of_units, n, &reason));
        assert_int_equal(n[0], 0);
        e.store.user = false;
        assert_ok(fdstore_begin(&e));
        e.store.user = true;
        memset(n, 0, sizeof(n));
        assert_ok(store_call_list(&e.store, FDSTORE_NODE, count_of_units, n, &reason));
        assert_int_equal(n[0], 3);

        kexec();
        mock_manager_set_sender(manager, FDSTORE_UNIT);
        assert_ok(fdstore_begin(&e));
        assert_int_equal(mock_manager_n_fds(manager, FDSTORE_UNIT), 1);
        for (unsigned i = 0; i < 2; i++) {
                const char *unit = i == 0 ? "b.service" : "a.service";

                mock_manager_set_sender(manager, unit);
                assert_ok(fdstore_push(&e, unit));
                assert_holds(unit, "own", i == 0 ? "second" : "first");
                assert_holds(unit, "shared", "both");
        }
        mock_manager_set_sender(manager, FDSTORE_UNIT);
        assert_ok(fdstore_drop_shared(&e));
        wait_until_empty(FDSTORE_UNIT);

        /* The kexec was cancelled: the nodes are removed, and the files can be written again. */
        next_boot();
        keep("a.service", "own", memfd("third"));
        assert_ok(fdstore_save(&e));
        assert_ok(fdstore_begin(&e));
        assert_int_equal(pwrite(mock_manager_get_fd(manager, "a.service", "own"), "T", 1, 0), 1);
        memset(n, 0, sizeof(n));
        assert_ok(store_call_list(&e.store, FDSTORE_NODE, count_of_units, n, &reason));
        assert_int_equal(n[0], 0);
        e.store.user = false;
}

/* Nodes that the user stored under similar names are not stores of units, and stay when the user manager starts. */
static void test_user_names(void **state) {
        static const char *const names[] = {
                "fdstore:todo", "fdstore:app.service", "fdstore-shared-0123456789abcdef:" FDSTORE_UNIT,
                FDSTORE_NODE "-mine:app.service", FDSTORE_NODE ":app.target", FDSTORE_NODE ":",
        };
        static const StoreCallObject object = { .fd = -EBADF, .data = "x", .size = 1 };
        const StoreLink system = e.store;

        (void) state;
        forget();
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_free_ char *reason = NULL;

                assert_ok(store_call_store(&system, "root", names[i], &object, 1, &reason));
        }
        e.store.user = true;
        keep("a.service", "x", memfd("x"));
        assert_ok(fdstore_save(&e));
        assert_ok(fdstore_begin(&e));
        assert_false(is_stored("a.service", FDSTORE_NODE));
        e.store.user = false;
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_free_ char *reason = NULL;

                assert_ok(store_call_remove(&system, "root", names[i], &reason));
        }
}

/* If a unit does not start between two kexecs, the second kexec preserves its nodes and shared files again. */
static void test_skipped_boot(void **state) {
        struct stat a, b;
        int fd;

        (void) state;
        forget();
        fd = memfd("both");
        mock_manager_add_fd(manager, "a.service", "mine", fd);
        keep("b.service", "yours", fd);
        assert_ok(fdstore_save(&e));
        kexec();
        mock_manager_set_sender(manager, FDSTORE_UNIT);
        assert_ok(fdstore_begin(&e));
        mock_manager_set_sender(manager, "a.service");
        assert_ok(fdstore_push(&e, "a.service"));
        assert_ok(fdstore_save(&e));
        kexec();
        mock_manager_set_sender(manager, FDSTORE_UNIT);
        assert_ok(fdstore_begin(&e));
        mock_manager_set_sender(manager, "b.service");
        assert_ok(fdstore_push(&e, "b.service"));
        mock_manager_set_sender(manager, "a.service");
        assert_ok(fdstore_push(&e, "a.service"));
        assert_ok(fstat(mock_manager_get_fd(manager, "a.service", "mine"), &a));
        assert_ok(fstat(mock_manager_get_fd(manager, "b.service", "yours"), &b));
        assert_true(a.st_dev == b.st_dev && a.st_ino == b.st_ino);
        mock_manager_set_sender(manager, FDSTORE_UNIT);
        assert_ok(fdstore_drop_shared(&e));
}

/* Returns the reading end of a pipe with this text. */
static int pipe_of(const char *text) {
        int ends[2];

        assert_ok(pipe2(ends, O_CLOEXEC | O_NONBLOCK));
        assert_int_equal(write(ends[1], text, strlen(text)), strlen(text));
        (void) close(ends[1]);
        return ends[0];
}

static void assert_pipe_holds(const char *unit, const char *name, const char *text) {
        char data[64] = "";

        assert_int_equal(read(mock_manager_get_fd(manager, unit, name), data, sizeof(data) - 1), strlen(text));
        assert_string_equal(data, text);
}

/* Preserves old, and stores new under the same name before the service starts. holds() checks what the unit has. */
static void name_taken(int old, int new, void (*holds)(const char *unit, const char *name, const char *text)) {
        forget();
        keep("a.service", "state", old);
        save_and_boot("a.service");
        keep("a.service", "state", new);
        assert_errno(fdstore_push(&e, "a.service"), EEXIST);
        assert_int_equal(mock_manager_n_fds(manager, "a.service"), 1);
        holds("a.service", "state", "new");
        assert_true(is_stored("a.service", FDSTORE_NODE));
        mock_manager_clear(manager, "a.service");
        assert_ok(fdstore_push(&e, "a.service"));
        holds("a.service", "state", "old");
        assert_false(is_stored("a.service", FDSTORE_NODE));
}

/*
 * A unit that has meanwhile stored another descriptor under the same name does not get the old one in addition. A pipe
 * that has the same name is not what was preserved, even if it may be from an earlier attempt.
 */
static void test_name_taken(void **state) {
        (void) state;
        name_taken(memfd("old"), memfd("new"), assert_holds);
        name_taken(pipe_of("old"), pipe_of("new"), assert_pipe_holds);
}

/* Descriptors that have the same name are counted, also if they are of one file. */
static void test_same_name(void **state) {
        char path[64];

        (void) state;
        for (unsigned i = 0; i < 2; i++) {
                forget();
                if (i == 0)
                        for (unsigned k = 0; k < 3; k++)
                                keep("a.service", "stored", pipe_of("x"));
                else {
                        int fd = memfd("x");

                        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
                        mock_manager_add_fd(manager, "a.service", "stored", fd);
                        keep("a.service", "stored", open(path, O_RDWR | O_CLOEXEC));
                        keep("a.service", "stored", open(path, O_RDONLY | O_CLOEXEC));
                        (void) close(fd);
                }
                assert_int_equal(mock_manager_n_fds(manager, "a.service"), 3);
                save_and_boot("a.service");
                units[0].max = 2;
                assert_errno(fdstore_push(&e, "a.service"), ENOBUFS);
                wait_until_empty("a.service");
                assert_true(is_stored("a.service", FDSTORE_NODE));
                units[0].max = 3;
                assert_ok(fdstore_push(&e, "a.service"));
                assert_int_equal(mock_manager_n_fds(manager, "a.service"), 3);
                assert_false(is_stored("a.service", FDSTORE_NODE));
        }
}

/* An attempt that was killed has handed over some of the descriptors. The next attempt adds the others. */
static void test_pushed_in_part(void **state) {
        _cleanup_retrieved_node_ RetrievedNode node = {};
        _cleanup_free_ char *reason = NULL;
        _cleanup_close_ int fd = memfd("x");
        char path[64];

        (void) state;
        forget();
        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        keep("a.service", "x", open(path, O_RDWR | O_CLOEXEC));
        keep("a.service", "x", open(path, O_RDONLY | O_CLOEXEC));
        keep("a.service", "y", memfd("y"));
        save_and_boot("a.service");
        /* The last one in the description is sent first. */
        assert_ok(store_call_retrieve(&e.store, "a.service", FDSTORE_NODE, &node, &reason));
        for (size_t i = 0; i < node.n; i++) {
                struct stat a, b;

                if (node.fds[i] < 0)
                        continue;
                assert_ok(fstat(fd, &a));
                assert_ok(fstat(node.fds[i], &b));
                if (a.st_ino != b.st_ino)
                        continue;
                (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", node.fds[i]);
                keep("a.service", "x", open(path, O_RDWR | O_CLOEXEC));
        }
        assert_int_equal(mock_manager_n_fds(manager, "a.service"), 1);
        assert_ok(fdstore_push(&e, "a.service"));
        assert_int_equal(mock_manager_n_fds(manager, "a.service"), 3);
        assert_int_equal(fcntl(mock_manager_get_fd(manager, "a.service", "x"), F_GETFL) & O_ACCMODE, O_RDONLY);
}

/* If a shared file cannot be stored, for example a file on disk, the descriptors of other units are still stored. */
static void test_bad_shared_file(void **state) {
        (void) state;
        forget();
        keep(FDSTORE_UNIT, FDSTORE_SHARED_PREFIX "0123456789abcdef", open("/proc/version", O_RDONLY | O_CLOEXEC));
        keep("a.service", "x", memfd("x"));
        assert_fails(fdstore_save(&e));
        assert_true(is_stored("a.service", FDSTORE_NODE));
}

/* If a unit is started while its descriptors are stored, its node is removed, so that it can write its files. */
static void test_started_meanwhile(void **state) {
        _cleanup_close_ int fd = memfd("x");

        (void) state;
        forget();
        mock_manager_add_fd(manager, "a.service", "x", fd);
        keep("b.service", "y", memfd("y"));
        mock_manager_set_hook(manager, 1, start_unit_a);
        assert_errno(fdstore_save(&e), EBUSY);
        units[0].active = "inactive";
        assert_false(is_stored("a.service", FDSTORE_NODE));
        assert_true(is_stored("b.service", fdstore_node_name(FDSTORE_NODE_ALL)));
}

static void stop_store(void) { (void) kill(store_pid, SIGSTOP); }

static void continue_store(void) {
        assert_ok(kill(store_pid, SIGCONT));
        connect_store();
}

/* If pkramd does not answer, pkram-fdstore gives up after a limited time, and leaves no frozen file in a store. */
static void test_pkramd_hangs(void **state) {
        (void) state;
        forget();
        keep("a.service", "x", memfd("x"));
        save_and_boot("a.service");

        stop_store();
        varlink_client_set_timeout(e.store.client, 100000);
        assert_errno(fdstore_push(&e, "a.service"), ETIMEDOUT);
        continue_store();
        assert_int_equal(mock_manager_n_fds(manager, "a.service"), 0);

        /* pkramd hangs between the push and the release. */
        varlink_client_set_timeout(e.store.client, 100000);
        mock_manager_set_hook(manager, 2, stop_store);
        assert_errno(fdstore_push(&e, "a.service"), ETIMEDOUT);
        continue_store();
        wait_until_empty("a.service");
}

/* If the service manager does not read notifications, pkram-fdstore gives up as well, and the node stays stored. */
static void test_manager_deaf(void **state) {
        (void) state;
        forget();
        keep("a.service", "x", memfd("x"));
        save_and_boot("a.service");
        mock_manager_set_deaf(manager, true);
        (void) poll(NULL, 0, 50);
        e.timeout_usec = 100000;
        assert_errno(fdstore_push(&e, "a.service"), ETIMEDOUT);
        e.timeout_usec = 5 * 1000 * 1000;
        mock_manager_set_deaf(manager, false);
        assert_true(is_stored("a.service", FDSTORE_NODE));
        for (unsigned i = 0; i < 100 && mock_manager_n_fds(manager, "a.service") > 0; i++)
                (void) poll(NULL, 0, 10);
        assert_ok(fdstore_push(&e, "a.service"));
        assert_holds("a.service", "x", "x");

        /* There is no notification socket at all. */
        assert_ok(fdstore_save(&e));
        next_boot();
        assert_ok(unsetenv("NOTIFY_SOCKET"));
        assert_errno(fdstore_push(&e, "a.service"), ENOTCONN);
        assert_ok(setenv("NOTIFY_SOCKET", mock_manager_notify_socket(manager), 1));
        assert_true(is_stored("a.service", FDSTORE_NODE));
}

/* If an answer of the service manager is malformed or false, the descriptors that it describes are not stored. */
static void test_hostile_answers(void **state) {
        static const char *const methods[] = { "ListUnitsByPatterns", "DumpUnitFileDescriptorStore" };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(methods); i++) {
                forget();
                keep("a.service", "x", memfd("x"));
                mock_manager_garble(manager, methods[i]);
                assert_fails(fdstore_save(&e));
                mock_manager_garble(manager, NULL);
                assert_false(is_stored("a.service", FDSTORE_NODE));
        }
        for (MockDistortion d = MOCK_DISTORT_PATH; d < _MOCK_DISTORTION_MAX; d++) {
                forget();
                keep("a.service", "x", memfd("x"));
                keep("a.service", "directory", open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
                mock_manager_distort(manager, d);
                assert_fails(fdstore_save(&e));
                mock_manager_distort(manager, MOCK_DISTORT_NONE);
                next_boot();
                mock_manager_set_sender(manager, "a.service");
                if (d == MOCK_DISTORT_NAME) {
                        /* The descriptor is stored, but not pushed, because of its name. */
                        assert_true(is_stored("a.service", FDSTORE_NODE));
                        assert_errno(fdstore_push(&e, "a.service"), EBADMSG);
                        assert_int_equal(mock_manager_n_fds(manager, "a.service"), 0);
                        continue;
                }
                assert_ok(fdstore_push(&e, "a.service"));
                assert_int_equal(mock_manager_n_fds(manager, "a.service"), d == MOCK_DISTORT_KIND);
        }
}

/* The contents of a node are checked as well, because they come from another kernel. */
static void test_hostile_nodes(void **state) {
        static const char *const manifests[] = {
                "",
                "{\"pkramFdStore\":2}",
                "{\"pkramFdStore\":1,\"unit\":\"u\",\"notifyAccess\":\"main\",\"entries\":[{\"name\":\"n\",\"kind\":\"pipe\",\"flags\":0,\"position\":0,\"object\":1}]}",
                "{\"pkramFdStore\":1,\"unit\":\"u\",\"notifyAccess\":\"main\",\"entries\":[{\"name\":\"n\",\"kind\":\"file\",\"flags\":0,\"position\":0,\"object\":2}]}",
                "{\"pkramFdStore\":1,\"unit\":\"u\",\"notifyAccess\":\"main\",\"entries\":[{\"name\":\"n\",\"kind\":\"file\",\"flags\":0,\"position\":0,\"shared\":\"" FDSTORE_SHARED_PREFIX "0\"}]}",
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(manifests); i++) {
                _cleanup_close_ int fd = memfd("file");
                const StoreCallObject objects[] = {
                        { .fd = -EBADF, .data = manifests[i], .size = strlen(manifests[i]) }, { .fd = fd },
                        { .fd = -EBADF, .data = "x", .size = 1 },
                };
                _cleanup_free_ char *reason = NULL;

                forget();
                assert_ok(store_call_store(&e.store, "a.service", FDSTORE_NODE, objects, ELEMENTSOF(objects),
                                           &reason));
                mock_manager_set_sender(manager, "a.service");
                assert_fails(fdstore_push(&e, "a.service"));
                assert_int_equal(mock_manager_n_fds(manager, "a.service"), 0);
                assert_true(is_stored("a.service", FDSTORE_NODE));
        }
}

static void test_shared(void **state) {
        _cleanup_close_ int fd = memfd("both");

        (void) state;
        forget();
        mock_manager_add_fd(manager, "a.service", "mine", fd);
        mock_manager_add_fd(manager, "b.service", "yours", fd);
        keep("a.service", "own", memfd("own"));
        assert_ok(fdstore_save(&e));
        /* A cancelled kexec leaves nothing stored and nothing frozen. */
        assert_ok(fdstore_begin(&e));
        assert_false(is_stored("a.service", FDSTORE_NODE));
        assert_false(is_stored("b.service", fdstore_node_name(FDSTORE_NODE_ALL)));
        assert_int_equal(pwrite(fd, "B", 1, 0), 1);
        assert_ok(fdstore_save(&e));
}

/* If a unit cannot be read, for example because it was unloaded, only its own descriptors are not stored. */
static void test_unit_gone(void **state) {
        (void) state;
        forget();
        keep("a.service", "x", memfd("x"));
        keep("b.service", "y", memfd("y"));
        units[0].gone = true;
        assert_errno(fdstore_save(&e), EIO);
        assert_false(is_stored("a.service", FDSTORE_NODE));
        assert_true(is_stored("b.service", fdstore_node_name(FDSTORE_NODE_ALL)));
        units[0].gone = false;
        assert_ok(fdstore_begin(&e));
        assert_ok(fdstore_save(&e));
        assert_true(is_stored("a.service", FDSTORE_NODE));
}

/* Either the service manager or pkram-fdstore preserves descriptors. The service manager does from version 262 on, if
 * the kernel has the live update orchestrator. */
static void test_live_update(void **state) {
        static const struct {
                const char *version;
                bool device, stores;
        } table[] = {
                { "262.1",  true,  false }, { "263~rc1", true,  false }, { "262",      false, true },
                { "261.9", true, true },
                { "257.13", true,  true  }, { "257.13",  false, true  }, { "v2-branch", true, true },
        };
        char path[64];

        (void) state;
        (void) snprintf(path, sizeof(path), "%s/dev", dir);
        assert_ok(mkdir(path, 0755));
        (void) snprintf(path, sizeof(path), "%s/dev/liveupdate", dir);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                forget();
                keep("a.service", "x", memfd("x"));
                if (table[i].device)
                        (void) close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
                mock_manager_set_version(manager, table[i].version);
                assert_ok(fdstore_save(&e));
                if (is_stored("a.service", FDSTORE_NODE) != table[i].stores)
                        fail_msg("version %s, device %i", table[i].version, table[i].device);
                mock_manager_fail(manager, "Version");
                assert_ok(fdstore_begin(&e));
                assert_ok(fdstore_save(&e));
                assert_true(is_stored("a.service", FDSTORE_NODE));
                mock_manager_fail(manager, NULL);
                (void) unlink(path);
        }
        mock_manager_set_version(manager, NULL);
}

/* At shutdown, reading each property of a unit with a root directory fails once. */
static void test_root_errors(void **state) {
        static const char *const properties[] = {
                "RootDirectory", "RootImage", "RootDirectoryStartOnly", "ExecCondition", "ExecStartPre",
                "ExecStartPost", "ExecReload", "ExecStop", "ExecStopPost", "DropInPaths",
        };

        (void) state;
        forget();
        units[0].root = "/srv/root";
        keep("a.service", "x", memfd("x"));
        for (size_t i = 0; i < ELEMENTSOF(properties); i++) {
                mock_manager_fail(manager, properties[i]);
                assert_errno(fdstore_save(&e), EIO);
                mock_manager_fail(manager, NULL);
                for (FdStoreNodeFlags flags = 0; flags < _FDSTORE_NODE_FLAGS_MAX; flags++)
                        if (fdstore_node_flags_are_valid(flags))
                                assert_false(is_stored("a.service", fdstore_node_name(flags)));
        }
        assert_ok(fdstore_save(&e));
        assert_true(is_stored("a.service", fdstore_node_name(FDSTORE_NODE_ROOT)));
}

/* At boot, each call of the service manager fails, for two units that share a file. */
static void test_manager_errors_up(void **state) {
        int fd = memfd("both");
        unsigned n_reloads;

        (void) state;
        forget();
        mock_manager_add_fd(manager, "a.service", "mine", fd);
        keep("b.service", "yours", fd);
        assert_ok(fdstore_save(&e));
        kexec();

        mock_manager_set_sender(manager, FDSTORE_UNIT);
        mock_manager_fail(manager, "DumpUnitFileDescriptorStore");
        assert_fails(fdstore_begin(&e));
        mock_manager_set_sender(manager, "a.service");
        assert_fails(fdstore_push(&e, "a.service"));
        mock_manager_fail(manager, NULL);
        assert_int_equal(mock_manager_n_fds(manager, "a.service"), 0);
        assert_true(is_stored("a.service", FDSTORE_NODE));

        /* Without the shared file, the process for the unit reloads FDSTORE_UNIT, which is to load the file. If that
         * fails, the unit gets no descriptors, and its node stays stored. */
        next_boot();
        e.timeout_usec = 200000;
        n_reloads = mock_manager_n_reloads(manager);
        assert_errno(fdstore_push(&e, "a.service"), ENOENT);
        assert_int_equal(mock_manager_n_reloads(manager), n_reloads + 1);
        mock_manager_fail(manager, "ReloadUnit");
        assert_fails(fdstore_push(&e, "a.service"));
        mock_manager_fail(manager, NULL);
        e.timeout_usec = 5 * 1000 * 1000;
        assert_true(is_stored("a.service", FDSTORE_NODE));
        mock_manager_set_sender(manager, FDSTORE_UNIT);
        assert_ok(fdstore_begin(&e));
        e.proc = "/proc/none";
        mock_manager_set_sender(manager, "a.service");
        assert_errno(fdstore_push(&e, "a.service"), ENOENT);
        e.proc = "/proc/self";

        /* If the reload fails, the file stays in the store of FDSTORE_UNIT, but the unit has its descriptors. */
        mock_manager_fail(manager, "ReloadUnit");
        assert_ok(fdstore_push(&e, "a.service"));
        mock_manager_fail(manager, NULL);
        assert_holds("a.service", "mine", "both");
        mock_manager_set_sender(manager, "b.service");
        assert_ok(fdstore_push(&e, "b.service"));
        mock_manager_set_sender(manager, FDSTORE_UNIT);
        mock_manager_fail(manager, "DumpUnitFileDescriptorStore");
        assert_fails(fdstore_drop_shared(&e));
        mock_manager_fail(manager, NULL);
        assert_int_equal(mock_manager_n_fds(manager, FDSTORE_UNIT), 1);
        assert_ok(fdstore_drop_shared(&e));
        wait_until_empty(FDSTORE_UNIT);
}

/* Answers each message with the same text, or closes the connection if reply is NULL. */
static void bad_pkramd_run(int listening, const char *reply) {
        char buffer[4096];

        for (;;) {
                int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
                ssize_t n;

                while (fd >= 0 && (n = read(fd, buffer, sizeof(buffer))) > 0) {
                        if (buffer[n - 1] != 0)
                                continue;
                        if (!reply || write(fd, reply, strlen(reply) + 1) < 0)
                                break;
                }
                if (fd >= 0)
                        (void) close(fd);
        }
}

static pid_t bad_pkramd_start(const char *path, const char *reply) {
        union {
                struct sockaddr sa;
                struct sockaddr_un un;
        } address = { .un.sun_family = AF_UNIX };
        int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        pid_t pid;

        assert_ok(listening);
        (void) snprintf(address.un.sun_path, sizeof(address.un.sun_path), "%s", path);
        (void) unlink(path);
        assert_ok(bind(listening, &address.sa, sizeof(address.un)));
        assert_ok(listen(listening, 8));
        pid = fork();
        if (pid == 0) {
                bad_pkramd_run(listening, reply);
                _exit(0);
        }
        assert_true(pid > 0);
        (void) close(listening);
        return pid;
}

/* pkramd answers each call with an error, or with something that is not a reply. Nothing gets into a store, and
 * nothing hangs. */
static void test_pkramd_errors(void **state) {
        static const struct {
                const char *reply;
                bool nothing; /* the reply says that there is no such node */
        } table[] = {
                { NULL, false },
                { "", false },
                { "garbage", false },
                { "[]", false },
                { "{\"parameters\":[]}", false },
                { "{\"error\":\"io.pkram.Store.NoSuchNode\",\"parameters\":{\"name\":\"x\"}}", true },
                { "{\"error\":\"io.pkram.Store.PermissionDenied\"}", false },
                { "{\"error\":\"io.pkram.Store.NoMemory\"}", false },
                { "{\"error\":\"io.pkram.Store.NodeDamaged\",\"parameters\":{\"name\":\"x\",\"reason\":\"why\"}}",
                  false },
                { "{\"error\":\"io.pkram.Store.QuotaExceeded\",\"parameters\":{\"limit\":\"NodesMax\",\"current\":1}}", false },
                { "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":7}}", false },
                { "{\"error\":5}", false },
                { "{\"parameters\":{\"node\":{\"id\":1},\"objects\":7}}", false },
                { "{\"parameters\":{\"node\":{\"id\":1},\"objects\":[]}}", false },
                { "{\"parameters\":{\"node\":{\"id\":1},\"objects\":[1]}}", false },
                { "{\"parameters\":{\"node\":{\"id\":1},\"objects\":[{\"fileDescriptor\":0}]}}", false },
                { "{\"parameters\":{\"node\":{\"id\":1},\"objects\":[{\"fileDescriptor\":-1}]}}", false },
                { "{\"parameters\":{\"node\":{\"id\":1},\"objects\":[{\"fileDescriptor\":4294967296}]}}", false },
                { "{\"parameters\":{\"node\":{\"id\":1},\"objects\":[{\"data\":\"%%\"}]}}", false },
                { "{\"parameters\":{\"node\":{\"id\":1},\"objects\":[{\"data\":\"e30=\"}]}}", false },
                { "{\"parameters\":{\"node\":{\"id\":1},\"objects\":[{}]}}", false },
        };
        StoreLink good;
        char path[96];

        (void) state;
        forget();
        good = e.store;
        (void) snprintf(path, sizeof(path), "%s/bad", dir);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                pid_t pid = bad_pkramd_start(path, table[i].reply);
                int results[4];

                for (unsigned call = 0; call < ELEMENTSOF(results); call++) {
                        e.store.client = NULL;
                        assert_ok(varlink_client_connect(path, &e.store.client));
                        varlink_client_set_timeout(e.store.client, 2 * USEC_PER_SEC);
                        mock_manager_clear(manager, "a.service");
                        mock_manager_set_sender(manager, call == 0 ? "a.service" : FDSTORE_UNIT);
                        if (call == 1)
                                keep("a.service", "x", memfd("x"));
                        results[call] = call == 0 ? fdstore_push(&e, "a.service") : call == 1 ? fdstore_save(&e) :
                                        call == 2 ? fdstore_begin(&e) : fdstore_drop_shared(&e);
                        e.store.client = varlink_client_free(e.store.client);
                        if (call == 0) {
                                (void) poll(NULL, 0, 20);
                                assert_int_equal(mock_manager_n_fds(manager, "a.service"), 0);
                        }
                        assert_int_equal(mock_manager_n_fds(manager, FDSTORE_UNIT), 0);
                }
                if (table[i].nothing ? results[0] != 0 : results[0] >= 0)
                        fail_msg("line %zu: push returned %i", i, results[0]);
                /* A reply without an error means success, whatever else is in it. */
                if (results[1] >= 0 && !(table[i].reply && strstr(table[i].reply, "\"parameters\":{\"node\"")))
                        fail_msg("line %zu: save returned %i", i, results[1]);
                (void) kill(pid, SIGKILL);
                (void) waitpid(pid, NULL, 0);
        }
        e.store = good;
        mock_manager_clear(manager, "a.service");
}

static void test_manager_errors(void **state) {
        static const char *const methods[] = { "ListUnitsByPatterns", "NFileDescriptorStore", "NotifyAccess",
                                               "DumpUnitFileDescriptorStore" };

        (void) state;
        forget();
        keep("a.service", "one", memfd("1"));
        for (size_t i = 0; i < ELEMENTSOF(methods); i++) {
                mock_manager_fail(manager, methods[i]);
                assert_fails(fdstore_save(&e));
                assert_false(is_stored("a.service", FDSTORE_NODE));
        }
        mock_manager_fail(manager, NULL);
        assert_ok(fdstore_save(&e));
        assert_int_equal(service_manager_version(e.bus), 257);

        /* Before version 254 the property does not exist, and no store outlives its service. */
        mock_manager_fail(manager, "FileDescriptorStorePreserve");
        forget();
        keep("a.service", "one", memfd("1"));
        mock_manager_fail(manager, "FileDescriptorStorePreserve");
        assert_ok(fdstore_save(&e));
        assert_false(is_stored("a.service", FDSTORE_NODE));

        /* The table of descriptors cannot be read. */
        forget();
        keep("a.service", "one", memfd("1"));
        e.proc = "/proc/none";
        assert_errno(fdstore_save(&e), ENOENT);
        e.proc = "/proc/self";
        assert_false(is_stored("a.service", FDSTORE_NODE));

        uint64_t usec;
        mock_manager_fail(manager, "GetUnit");
        assert_fails(service_manager_start_timeout(e.bus, "a.service", &usec));
        assert_fails(service_manager_unit_is_active(e.bus, "a.service"));
        mock_manager_fail(manager, "TimeoutStartUSec");
        assert_fails(service_manager_start_timeout(e.bus, "a.service", &usec));
        mock_manager_fail(manager, NULL);
        assert_ok(service_manager_start_timeout(e.bus, "a.service", &usec));
        assert_int_equal(usec, 90000000);
        assert_int_equal(service_manager_unit_is_active(e.bus, "runs.service"), 1);
        assert_errno(service_manager_unit_is_active(e.bus, "other.service"), ENOENT);
}

static void test_manifest(void **state) {
        static const char *const bad[] = {
                "", "[]", "{}", "{\"pkramFdStore\":0}", "{\"pkramFdStore\":1}",
                "{\"pkramFdStore\":1,\"unit\":\"u\",\"notifyAccess\":\"some\",\"entries\":[]}",
                "{\"pkramFdStore\":1,\"unit\":\"u\",\"notifyAccess\":\"main\",\"entries\":[1]}",
                /* an object that does not exist, the manifest as the object, invalid flags, a negative position, an
                 * unknown kind, ... */
                "{\"pkramFdStore\":1,\"unit\":\"u\",\"notifyAccess\":\"main\",\"entries\":[{\"name\":\"n\",\"kind\":\"file\",\"flags\":0,\"position\":0,\"object\":2}]}",
                "{\"pkramFdStore\":1,\"unit\":\"u\",\"notifyAccess\":\"main\",\"entries\":[{\"name\":\"n\",\"kind\":\"file\",\"flags\":0,\"position\":0,\"object\":0}]}",
                "{\"pkramFdStore\":1,\"unit\":\"u\",\"notifyAccess\":\"main\",\"entries\":[{\"name\":\"n\",\"kind\":\"file\",\"flags\":512,\"position\":0,\"object\":1}]}",
                "{\"pkramFdStore\":1,\"unit\":\"u\",\"notifyAccess\":\"main\",\"entries\":[{\"name\":\"n\",\"kind\":\"file\",\"flags\":0,\"position\":-2,\"object\":1}]}",
                "{\"pkramFdStore\":1,\"unit\":\"u\",\"notifyAccess\":\"main\",\"entries\":[{\"name\":\"n\",\"kind\":\"disk\",\"flags\":0,\"position\":0,\"object\":1}]}",
                "{\"pkramFdStore\":1,\"unit\":\"u\",\"notifyAccess\":\"main\",\"entries\":[{\"name\":\"a:b\",\"kind\":\"file\",\"flags\":0,\"position\":0,\"object\":1}]}",
                "{\"pkramFdStore\":1,\"unit\":\"u\",\"notifyAccess\":\"main\",\"entries\":[{\"name\":\"a\\nFDSTORE=1\",\"kind\":\"file\",\"flags\":0,\"position\":0,\"object\":1}]}",
                "{\"pkramFdStore\":1,\"unit\":\"u\",\"notifyAccess\":\"main\",\"entries\":[{\"name\":\"n\",\"kind\":\"file\",\"flags\":0,\"position\":0,\"shared\":\"x\"}]}",
        };
        _cleanup_fdstore_manifest_ FdStoreManifest m = {}, back = {};
        _cleanup_free_ char *text = NULL;
        size_t size;

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_errno(fdstore_manifest_parse(bad[i], strlen(bad[i]), 2, &back), EBADMSG);
        assert_errno(fdstore_manifest_parse("{\"pkramFdStore\":2}", 18, 2, &back), EPROTONOSUPPORT);

        m.unit = strdup("u.service");
        m.notify_access = strdup("exec");
        assert_ok(fdstore_manifest_add(&m, "n", FD_KIND_PIPE, O_WRONLY | O_NONBLOCK | O_CLOEXEC, -1, 1, NULL));
        assert_ok(fdstore_manifest_add(&m, "", FD_KIND_FILE, O_RDWR, 4096, 0, FDSTORE_SHARED_PREFIX "0"));
        assert_ok(fdstore_manifest_format(&m, &text, &size));
        assert_ok(fdstore_manifest_parse(text, size, 2, &back));
        assert_int_equal(back.n, 2);
        assert_int_equal(back.entries[0].flags, O_WRONLY | O_NONBLOCK);
        assert_int_equal(back.entries[1].position, 4096);
        assert_string_equal(back.entries[1].shared, FDSTORE_SHARED_PREFIX "0");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_manifest),
                cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_flags),
                cmocka_unit_test(test_which_units),
                cmocka_unit_test(test_kinds),
                cmocka_unit_test(test_pipe_contents),
                cmocka_unit_test(test_pipe_large),
                cmocka_unit_test(test_pipe_limits),
                cmocka_unit_test(test_pipe_packets),
                cmocka_unit_test(test_what_cannot_be_stored),
                cmocka_unit_test(test_policy),
                cmocka_unit_test(test_root_directory),
                cmocka_unit_test(test_waiting_node),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_too_small_store),
                cmocka_unit_test(test_pushed_twice),
                cmocka_unit_test(test_shared),
                cmocka_unit_test(test_shared_across_kexec),
                cmocka_unit_test(test_bad_shared_file),
                cmocka_unit_test(test_skipped_boot),
                cmocka_unit_test(test_user_manager),
                cmocka_unit_test(test_user_names),
                cmocka_unit_test(test_name_taken),
                cmocka_unit_test(test_same_name),
                cmocka_unit_test(test_pushed_in_part),
                cmocka_unit_test(test_started_meanwhile),
                cmocka_unit_test(test_pkramd_hangs),
                cmocka_unit_test(test_manager_deaf),
                cmocka_unit_test(test_hostile_answers),
                cmocka_unit_test(test_hostile_nodes),
                cmocka_unit_test(test_unit_gone),
                cmocka_unit_test(test_live_update),
                cmocka_unit_test(test_root_errors),
                cmocka_unit_test(test_manager_errors),
                cmocka_unit_test(test_manager_errors_up),
                cmocka_unit_test(test_pkramd_errors),
        };

        if (geteuid() != 0) {
                puts("1..0 # SKIP only root may store for other owners");
                return 0;
        }
        return cmocka_run_group_tests(tests, setup, teardown);
}
