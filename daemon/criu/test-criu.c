/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of pkram-criu: what it reads, and what it finds in running processes. */
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "criu.h"
#include "process-inspect.h"
#include "process-record.h"
#include "test.h"
#include "timer-image.h"
#include "utf8.h"

/* --- files --- */

static void test_config(_unused_ void **state) {
        static const struct {
                const char *text, *why;
        } bad[] = {
                { "[Process]\nCommand=\"x\n",             "line 2: this setting does not take such a value" },
                { "[Process]\nEnvironment=A=1 B\n",       "line 2: this setting does not take such a value" },
                { "[Process]\nEnvironment==1\n",          "line 2: this setting does not take such a value" },
                { "[Process]\nUser=\n",                   "line 2: this setting does not take such a value" },
                { "[Process]\nDirectory=a/b\n",           "line 2: this setting does not take such a value" },
                { "[Process]\n\n#x\nSaveSec=0\n",         "line 4: the value is out of range" },
                { "[Process]\nSize=1\n",                  "line 2: there is no such setting" },
                { "[Guest]\nCommand=x\n",                 "line 1: the only section is [Process]" },
                { "Command=x\n",                          "line 1: it stands outside of the section [Process]" },
                { "[Process]\nCommand\n",                 "line 2: it is neither a setting nor a section" },
        };
        static const char good[] = "# c\n[Process]\nDirectory=/a\nUser=daemon\nWorkingDirectory=/srv\nStopSec=2\n"
                "SaveSec=5min\nEnvironment=A=1 'B=2 3'\nCommand=a 'b c'\nCommand=d";
        _cleanup_process_config_ ProcessConfig c;
        char *why;

        process_config_init(&c);
        assert_ok(process_config_parse(&c, good, strlen(good), &why));
        assert_string_equal(c.directory, "/a");
        assert_string_equal(c.user, "daemon");
        assert_string_equal(c.working_directory, "/srv");
        assert_int_equal(c.stop_usec, 2 * USEC_PER_SEC);
        assert_int_equal(c.save_usec, 300 * USEC_PER_SEC);
        assert_int_equal(c.environment.n, 2);
        assert_string_equal(c.environment.item[1], "B=2 3");
        assert_int_equal(c.command.n, 3);
        assert_string_equal(c.command.item[1], "b c");

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_process_config_ ProcessConfig b;

                process_config_init(&b);
                assert_errno(process_config_parse(&b, bad[i].text, strlen(bad[i].text), &why), EINVAL);
                assert_string_equal(why, bad[i].why);
                free(why);
        }
}

static void config_with(ProcessConfig *c, const char *command, const char *user) {
        process_config_init(c);
        assert_ok(process_config_set(c, "Command", command));
        assert_ok(process_config_set(c, "Environment", "A=1"));
        if (user)
                assert_ok(process_config_set(c, "User", user));
}

static int directory_make(void) {
        char path[] = "/tmp/test-criu-XXXXXX";
        int fd;

        assert_non_null(mkdtemp(path));
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        return fd;
}

static void directory_remove(int directory) {
        char link[64], path[256];
        ssize_t n;

        (void) snprintf(link, sizeof(link), "/proc/self/fd/%i", directory);
        n = readlink(link, path, sizeof(path) - 1);
        assert_true(n > 0);
        path[n] = 0;
        (void) unlinkat(directory, PROCESS_RECORD_FILE, 0);
        assert_ok(rmdir(path));
        (void) close(directory);
}

static void file_make(int directory, const char *name, const char *text, mode_t mode) {
        _cleanup_close_ int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        assert_ok(fchmod(fd, mode));
}

static void test_record(_unused_ void **state) {
        _cleanup_process_config_ ProcessConfig same, command, user, shorter;
        _cleanup_process_record_ ProcessRecord r = { .phase = PROCESS_SAVED, .pid = 301, .stopped_usec = 77 };
        _cleanup_process_record_ ProcessRecord read = {};
        int directory = directory_make();
        char *why;

        config_with(&same, "a b", "daemon");
        config_with(&command, "a c", "daemon");
        config_with(&user, "a b", "root");
        config_with(&shorter, "a", "daemon");
        assert_errno(process_record_read(directory, &read), ENOENT);
        assert_ok(process_identity(&same, &r.identity));
        r.output = strdup("pipe:[12]");
        r.errors = strdup("pipe:[13]");
        file_make(directory, "core.img", "core", 0600);
        file_make(directory, "dump.log", "log", 0600);
        r.images = process_images_list(directory);
        assert_int_equal(json_object_array_length(r.images), 1);
        assert_ok(process_record_write(&r, directory));
        assert_ok(process_record_read(directory, &read));
        assert_int_equal(read.pid, 301);
        assert_int_equal(read.stopped_usec, 77);
        assert_string_equal(read.errors, "pipe:[13]");

        assert_int_equal(process_record_differs(&read, &same, &why), 0);
        assert_null(why);
        assert_int_equal(process_record_differs(&read, &command, &why), 1);
        assert_string_equal(why, "its configuration is not the one that it was saved with: 'c' was 'b'");
        free(why);
        assert_int_equal(process_record_differs(&read, &user, &why), 1);
        assert_non_null(strstr(why, "'User=root' was 'User=daemon'"));
        free(why);
        assert_int_equal(process_record_differs(&read, &shorter, &why), 1);
        assert_non_null(strstr(why, "'' was 'b'"));
        free(why);
        for (ProcessPhase p = 0; p < _PROCESS_PHASE_MAX; p++) {
                read.phase = p;
                assert_int_equal(process_record_differs(&read, &same, &why), p != PROCESS_SAVED);
                free(why);
        }

        /* Images. */
        assert_true(process_images_are_complete(directory, r.images));
        assert_ok(process_images_check_owner(directory));
        file_make(directory, "core.img", "cor", 0600);
        assert_false(process_images_are_complete(directory, r.images));
        file_make(directory, "core.img", "core", 0620);
        assert_errno(process_images_check_owner(directory), EPERM);
        file_make(directory, "core.img", "core", 0600);
        assert_ok(linkat(directory, "core.img", directory, "second", 0));
        assert_errno(process_images_check_owner(directory), EPERM);
        assert_ok(unlinkat(directory, "second", 0));
        assert_ok(symlinkat("core.img", directory, "link"));
        assert_errno(process_images_check_owner(directory), EPERM);
        assert_ok(unlinkat(directory, "link", 0));
        assert_ok(fchmod(directory, 0702));
        assert_errno(process_images_check_owner(directory), EPERM);
        assert_ok(unlinkat(directory, "core.img", 0));
        assert_ok(unlinkat(directory, "dump.log", 0));
        assert_false(process_images_are_complete(directory, r.images));

        /* A record that others can write. */
        assert_ok(fchmodat(directory, PROCESS_RECORD_FILE, 0602, 0));
        process_record_done(&read);
        assert_errno(process_record_read(directory, &read), EPERM);
        directory_remove(directory);
}

static void test_bad_records(_unused_ void **state) {
#define RECORD(phase, pid, output, rest)                                                        \
        "{\"version\":1,\"phase\":\"" phase "\",\"pid\":" pid ",\"output\":\"" output "\",\"errors\":\"pipe:[1]\"," \
        "\"stoppedUSec\":1,\"identity\":[\"a\"]" rest "}"
        static const char *const bad[] = {
                "", "{}", "[]", RECORD("sane", "301", "pipe:[1]", ""), RECORD("saved", "1", "pipe:[1]", ""),
                RECORD("saved", "-5", "pipe:[1]", ""), RECORD("saved", "99999999999", "pipe:[1]", ""),
                RECORD("saved", "301", "pipe:[1] --exec", ""), RECORD("saved", "301", "pipe:[]", ""),
                RECORD("saved", "301", "socket:[1]", ""), RECORD("saved", "301", "pipe:[1", ""),
                RECORD("saved", "301", "pipe:[123456789012345678901]", ""),
        };
        static const char good[] = RECORD("saved", "301", "pipe:[1]",
                                          ",\"images\":[7,{\"name\":\"../x\",\"bytes\":1}]");
        _cleanup_process_record_ ProcessRecord r = {};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_errno(process_record_parse(bad[i], strlen(bad[i]), &r), EBADMSG);
        assert_ok(process_record_parse(good, strlen(good), &r));
        assert_false(process_images_are_complete(AT_FDCWD, r.images));
}

/* --- CRIU --- */

static void test_log(_unused_ void **state) {
        static const struct {
                const char *text, *reason;
        } table[] = {
                { "", NULL },
                { "Error", NULL },
                { "(00.1) Error (a.c:1): \n(00.2) Error (b.c:2): Dumping FAILED.", "Dumping FAILED." },
                { "(00.005966) Error (criu/util.c:1533): rlimit: Can't setup RLIMIT_NOFILE for self: x\n"
                  "(00.1) Warn  (criu/kerndat.c:193): Can't fetch\n"
                  "(00.039417)    301: Error (criu/fifo.c:98): Can't open fake fifo 0xb [run/p]: "
                  "No such file or directory\n"
                  "(00.039466) Error (criu/cr-restore.c:2320): Restoring FAILED.\n",
                  "Can't open fake fifo 0xb [run/p]: No such file or directory" },
                { "(00.055454) Error (criu/tun.c:85): tun: Unable to create tun: No such file or directory\n"
                  "(00.098994) Error (criu/libnetlink.c:54): -95 reported by netlink: Operation not supported\n"
                  "(00.099318) Error (criu/net.c:3997): net: Unable to create a veth pair: -95\n"
                  "(00.146812) Error (criu/util.c:1509): Can't wait or bad status: errno=0, status=768\n"
                  "(00.148539) Error (criu/kerndat.c:1789): kerndat_has_nftables_concat failed when initializing "
                  "kerndat.\n"
                  "(00.154514) Error (criu/crtools.c:267): Could not initialize kernel features detection.\n",
                  "kerndat_has_nftables_concat failed when initializing kerndat." },
                { "Error (x:1): \033[31mred\xff\n", "\\x1b[31mred\\xff" },
        };
        char *reason;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                int r = criu_log_reason(table[i].text, strlen(table[i].text), &reason);

                assert_int_equal(r, table[i].reason ? 0 : -ENODATA);
                if (table[i].reason)
                        assert_string_equal(reason, table[i].reason);
                free(reason);
        }
}

/* Where a long reason is cut, there may be the middle of a character. */
static void test_log_cut(_unused_ void **state) {
        char text[400] = "(00.1) Error (a.c:1): ";
        char *reason;

        for (size_t i = strlen(text); i < sizeof(text) - 2; i += 2)
                memcpy(text + i, "\xc3\xa9", 2);
        for (size_t extra = 0; extra < 2; extra++) {
                memmove(text + 23, text + 22, sizeof(text) - 24);
                text[22] = 'x';
                assert_int_equal(criu_log_reason(text, sizeof(text) - 2 - extra, &reason), 0);
                assert_true(utf8_is_valid(reason));
                free(reason);
        }
}

#define TIMER(ticks, sec, nsec, interval_sec, interval_nsec) \
        0x62, 18, 0x08, 7, 0x10, 2, 0x1a, 0, 0x28, ticks, 0x30, 1, 0x38, sec, 0x40, nsec, 0x48, interval_sec, 0x50, \
        interval_nsec

/* Images as CRIU 4.1 writes them: a regular file with another file's bytes in it, and a timer. */
static void test_timers(_unused_ void **state) {
        enum { TIMER_AT = 8 + 4 + 8 + 4 + 4, NSEC_AT = TIMER_AT + 2 + 13 };
        static const struct {
                uint8_t timer[20];
                bool fixed;
        } table[] = {
                { { TIMER(1, 0, 0, 0, 100) }, true  },
                { { TIMER(9, 0, 0, 1, 0) },   true  },
                { { TIMER(0, 0, 0, 0, 100) }, false }, /* the program has stopped it */
                { { TIMER(1, 0, 0, 0, 0) },   false }, /* it expires once */
                { { TIMER(1, 0, 5, 0, 100) }, false },
                { { TIMER(1, 5, 0, 0, 100) }, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                uint8_t image[TIMER_AT + 20] = { 1, 2, 3, 4, 5, 6, 7, 8, /* a file: */ 8, 0, 0, 0, 0x08, 1, 0x10, 6,
                                                 0x1a, 2, 0x38, 0, /* a timer: */ 24, 0, 0, 0, 0x08, 17, 0x10, 7 };
                uint8_t wanted[sizeof(image)], other[sizeof(image)];

                memcpy(image + TIMER_AT, table[i].timer, sizeof(table[i].timer));
                memcpy(wanted, image, sizeof(image));
                if (table[i].fixed)
                        wanted[NSEC_AT] = 1;
                /* Anything that is cut off is no image, except for whole files. */
                for (size_t n = 0; n < sizeof(image); n++) {
                        memcpy(other, image, sizeof(image));
                        assert_int_equal(timer_image_fix(other, n), n == 8 || n == 20 ? 0 : -EBADMSG);
                }
                assert_int_equal(timer_image_fix(image, sizeof(image)), table[i].fixed);
                assert_memory_equal(image, wanted, sizeof(image));
                assert_int_equal(timer_image_fix(image, sizeof(image)), 0);
                /* The field of the nanoseconds is no number, and there is nothing in it. */
                memcpy(image + TIMER_AT, table[i].timer, sizeof(table[i].timer));
                image[NSEC_AT - 1] = 0x42;
                image[NSEC_AT] = 0;
                assert_int_equal(timer_image_fix(image, sizeof(image)), 0);
        }
}

static bool command_has(const StringList *l, const char *word) {
        for (size_t i = 0; i < l->n; i++)
                if (streq(l->item[i], word))
                        return true;
        return false;
}

static void test_command(_unused_ void **state) {
        const CriuPipe pipes[] = { { "pipe:[1]", 10 }, { "pipe:[2]", 11 } };
        _cleanup_list_ StringList check = {}, dump = {}, restore = {};

        assert_ok(criu_command(CRIU_CHECK, "/t/images", 0, NULL, 0, &check));
        assert_false(command_has(&check, "--file-locks"));
        assert_ok(criu_command(CRIU_DUMP, "/t/images", 301, NULL, 0, &dump));
        assert_true(command_has(&dump, "--tree=301") && command_has(&dump, "--images-dir=/t/images"));
        assert_true(command_has(&dump, "--manage-cgroups=ignore") && !command_has(&dump, "--restore-detached"));
        assert_ok(criu_command(CRIU_RESTORE, "/t/images", 301, pipes, ELEMENTSOF(pipes), &restore));
        assert_true(command_has(&restore, "--restore-detached") && command_has(&restore, "--auto-dedup"));
        assert_true(command_has(&restore, "fd[10]:pipe:[1]") && command_has(&restore, "fd[11]:pipe:[2]"));
        for (size_t i = 0; i < check.n; i++)
                assert_string_not_equal(check.item[i], "--tree=0");
}

/* --- processes --- */

static void test_smaps(_unused_ void **state) {
#define MAPPING(rights, path, rest) "7f0000000000-7f0000001000 " rights " 00000000 00:01 2048   " path "\n" rest
        static const struct {
                const char *text, *why;
                uint64_t bytes;
        } table[] = {
                { "", NULL, 0 },
                { MAPPING("rw-p", "", "Rss: 9 kB\nAnonymous: 8 kB\nSwap: 4 kB\nPss: 1 kB\n"), NULL, 12288 },
                { MAPPING("rw-s", "/memfd:x (deleted)", "Anonymous: 8 kB\nPss: 2 kB\nSwapPss: 1 kB\n"), NULL, 3072 },
                { MAPPING("rw-s", "/dev/zero (deleted)", "Pss: 2 kB\n") MAPPING("r-xp", "/usr/bin/x", "Pss: 7 kB\n"),
                  NULL, 2048 },
                { MAPPING("rw-p", "/anon_hugepage (deleted)", "VmFlags: rd wr mr ht sd \n"), "huge pages", 0 },
                { MAPPING("rw-s", "/memfd:x (deleted)", "VmFlags: ht\n"), "huge pages", 0 },
                { MAPPING("rw-s", "/memfd:x (deleted)", "VmFlags: rd wr sht htx\n"), NULL, 0 },
                { MAPPING("rw-s", "/SYSV0052e2c1 (deleted)", ""), "System V", 0 },
                { MAPPING("rw-s", "anon_inode:[io_uring]", ""), "'anon_inode:[io_uring]' is mapped", 0 },
                { MAPPING("rw-s", "/dev/dri/card0", ""), "the device '/dev/dri/card0' is mapped", 0 },
                { MAPPING("rw-s", "/dev/shm/x", ""), NULL, 0 },
                { MAPPING("r-xp", "/usr/lib/x.so (deleted)", ""),
                  "replaced since it was loaded: '/usr/lib/x.so (deleted)'", 0 },
                { MAPPING("r--p", "/usr/lib/x.so (deleted)", ""), NULL, 0 },
                { MAPPING("r--p", "[vvar]", "VmFlags: rd mr pf io de dd \n"), NULL, 0 },
                { MAPPING("rw-s", "/sys/x/resource0", "VmFlags: rd wr pf io\n"), "memory of a device", 0 },
                { "VmFlags: ht\nAnonymous: 1 kB\n", "huge pages", 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                uint64_t bytes = 0;
                char *why;

                assert_int_equal(smaps_inspect(table[i].text, &bytes, &why), table[i].why ? -EOPNOTSUPP : 0);
                if (table[i].why)
                        assert_non_null(strstr(why, table[i].why));
                else
                        assert_int_equal(bytes, table[i].bytes);
                free(why);
        }
}

/* A child that gets into a state, tells so, and stays until it is killed. Returns its process ID, or -1 if it cannot
 * get there on this machine. */
static pid_t child_start(bool (*prepare)(void)) {
        char ready = 0;
        int fds[2];
        pid_t pid;

        assert_ok(pipe2(fds, O_CLOEXEC));
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                int null = open("/dev/null", O_RDWR | O_CLOEXEC);

                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                for (int fd = 0; fd < 3; fd++)
                        (void) dup2(null, fd);
                (void) close(null);
                (void) close_range(3, (unsigned) fds[1] - 1, 0);
                ready = prepare() ? 'y' : 'n';
                (void) write(fds[1], &ready, 1);
                for (;;)
                        (void) pause();
        }
        (void) close(fds[1]);
        assert_int_equal(read(fds[0], &ready, 1), 1);
        (void) close(fds[0]);
        if (ready == 'y')
                return pid;
        (void) kill(pid, SIGKILL);
        (void) waitpid(pid, NULL, 0);
        return -1;
}

static bool prepare_nothing(void) {
        int pair[2];

        /* All of this is fine. */
        return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) >= 0 && open("/dev/urandom", O_RDONLY) >= 0 &&
                memfd_create("x", 0) >= 0 && socket(AF_INET, SOCK_STREAM, 0) >= 0 &&
                socket(AF_INET, SOCK_DGRAM, 0) >= 0;
}

static bool prepare_connection(void) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
        socklen_t size = sizeof(address);

        return bind(server, (void *) &address, size) >= 0 && listen(server, 1) >= 0 &&
                getsockname(server, (void *) &address, &size) >= 0 && connect(client, (void *) &address, size) >= 0;
}

static bool prepare_io_uring(void) {
        uint64_t parameters[32] = {};

        return syscall(SYS_io_uring_setup, 4, parameters) >= 0;
}

static bool prepare_device(void) {
        return open("/dev/kmsg", O_RDONLY) >= 0;
}

static bool prepare_segment(void) {
        int id = shmget(IPC_PRIVATE, 4096, 0600);
        bool good = id >= 0 && shmat(id, NULL, 0) != (void *) -1;

        (void) shmctl(id, IPC_RMID, NULL);
        return good;
}

static bool prepare_namespace(void) {
        return unshare(CLONE_NEWNET) >= 0;
}

static int inspect_child(pid_t pid, uint64_t *bytes, char **reterr) {
        _cleanup_close_ int process = -EBADF;
        char path[32];

        (void) snprintf(path, sizeof(path), "/proc/%i", pid);
        process = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(process >= 0);
        return process_inspect(process, pid, bytes, reterr);
}

static void test_processes(_unused_ void **state) {
        static const struct {
                const char *name;
                bool (*prepare)(void);
                const char *why;
        } table[] = {
                { "nothing",    prepare_nothing,    NULL },
                { "connection", prepare_connection, "is a TCP connection" },
                { "io_uring",   prepare_io_uring,   "of the kind [io_uring]" },
                { "device",     prepare_device,     "the device '/dev/kmsg' is open" },
                { "segment",    prepare_segment,    "a System V segment is attached" },
                { "namespace",  prepare_namespace,  "namespace of its own (net)" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                pid_t pid = child_start(table[i].prepare);
                uint64_t bytes = 0;
                char *why = NULL;
                int r;

                if (pid < 0) {
                        print_message("# '%s' cannot be tried here\n", table[i].name);
                        continue;
                }
                r = inspect_child(pid, &bytes, &why);
                (void) kill(pid, SIGKILL);
                (void) waitpid(pid, NULL, 0);
                if (table[i].why) {
                        assert_int_equal(r, -EOPNOTSUPP);
                        assert_non_null(strstr(why, table[i].why));
                } else {
                        assert_int_equal(r, 0);
                        assert_true(bytes > 4096);
                }
                free(why);
        }
}

/* A process that has ended while it was looked at is none. */
static void test_ended(_unused_ void **state) {
        uint64_t bytes = 0;
        char *why = NULL;
        pid_t pid = fork();

        if (pid == 0)
                _exit(0);
        for (;;) {
                siginfo_t info = {};

                assert_ok(waitid(P_PID, (id_t) pid, &info, WEXITED | WNOWAIT));
                if (info.si_pid == pid)
                        break;
        }
        assert_int_equal(inspect_child(pid, &bytes, &why), 0);
        assert_null(why);
        (void) waitpid(pid, NULL, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_config),
                cmocka_unit_test(test_record),
                cmocka_unit_test(test_bad_records),
                cmocka_unit_test(test_log),
                cmocka_unit_test(test_log_cut),
                cmocka_unit_test(test_timers),
                cmocka_unit_test(test_command),
                cmocka_unit_test(test_smaps),
                cmocka_unit_test(test_processes),
                cmocka_unit_test(test_ended),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
