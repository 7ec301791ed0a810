/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests parts of pkram-qemu with a model of QEMU's monitor, which also gives wrong answers. */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "conf-file.h"
#include "guest-config.h"
#include "guest.h"
#include "test.h"

#define SHORT_USEC (USEC_PER_SEC / 5)
#define LONG_USEC (20 * USEC_PER_SEC)

/* --- a monitor --- */

/* The monitor's answer to a command: the text between {"id":N, and }. If it is NULL, the monitor does not answer; if
 * it is "", the monitor hangs up. */
typedef struct Answer {
        const char *command, *text;
} Answer;

#define GREETING "{\"QMP\":{\"version\":{\"qemu\":{\"micro\":13,\"minor\":0,\"major\":10},\"package\":\"x\"},\"capabilities\":[]}}\r\n"

/* The guest can choose such numbers. This one is larger than the JSON parser accepts. */
#define BAD_EVENT "{\"event\":\"GUEST_PANICKED\",\"data\":{\"info\":{\"arg1\":18446744073709551615}}}\r\n"

static const Answer good[] = {
        { "qmp_capabilities",        "\"return\":{}" },
        { "migrate-set-capabilities", "\"return\":{}" },
        { "migrate-set-parameters",  "\"return\":{}" },
        { "x-query-ramblock", "\"return\":{\"human-readable-text\":\"   Block Name    PSize   Offset   Used   Total   "
                              "HVA  RO\\n /objects/pkram-ram    4 KiB  0x0 0x4000000 0x4000000 0x7f00 rw\\n "
                              "pc.bios 4 KiB 0x1 0x40000 0x40000 0x7f01 ro\\n\"}" },
        { "query-migrate",           "\"return\":{\"status\":\"completed\"}" },
        { "qom-get",                 "\"return\":\"pc-q35-10.0-machine\"" },
        { "query-status",            "\"return\":{\"status\":\"running\",\"running\":true}" },
        { "query-named-block-nodes",
          "\"return\":[{\"drv\":\"file\",\"file\":\"/etc/passwd\"},{\"drv\":\"raw\",\"file\":\"/x\"},7]" },
        { "migrate",                 "\"return\":{}" },
        { "migrate-incoming",        "\"return\":{}" },
        { "migrate_cancel",          "\"return\":{}" },
        { "cont",                    "\"return\":{}" },
        { "guest-set-time",          "\"return\":{}" },
        {}
};

static const char *answer_find(const Answer *special, const char *line) {
        for (int pass = 0; pass < 2; pass++)
                for (const Answer *a = pass == 0 ? special : good; a && a->command; a++) {
                        char key[64];

                        (void) snprintf(key, sizeof(key), "\"execute\":\"%s\"", a->command);
                        if (strstr(line, key))
                                return a->text;
                }
        return "\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"The command has not been found\"}";
}

static void monitor_serve(int fd, const char *greeting, const Answer *special) {
        FILE *f = fdopen(fd, "r+");
        char *line = NULL;
        size_t allocated = 0;

        (void) dprintf(fd, "%s", greeting);
        while (f && getline(&line, &allocated, f) >= 0) {
                const char *id = strstr(line, "\"id\":"), *text = answer_find(special, line);
                const char *last = id;

                for (; id; id = strstr(id + 1, "\"id\":"))
                        last = id;
                if (!text || !last)
                        continue;
                if (!*text)
                        break;
                /* Events come between a command and its answer. */
                (void) dprintf(fd, "{\"event\":\"RESUME\",\"data\":{},\"timestamp\":{\"seconds\":1,"
                               "\"microseconds\":2}}\r\n" BAD_EVENT "{\"id\":%lld,%s}\r\n",
                               strtoll(last + 5, NULL, 10), text);
        }
        _exit(0);
}

static pid_t monitor;

/* Forks a process for a monitor. Returns the connection to it in the parent. In the child, returns NULL, and the
 * monitor's end of the connection in *ret_fd. */
static Qmp *monitor_fork(int *ret_fd) {
        int pair[2];
        Qmp *q;

        assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
        monitor = fork();
        assert_ok(monitor);
        if (monitor == 0) {
                (void) close(pair[0]);
                *ret_fd = pair[1];
                return NULL;
        }
        (void) close(pair[1]);
        assert_ok(qmp_new(pair[0], &q));
        return q;
}

static Qmp *monitor_start(const char *greeting, const Answer *special) {
        int fd = -EBADF;
        Qmp *q = monitor_fork(&fd);

        if (!q)
                monitor_serve(fd, greeting, special);
        return q;
}

static void monitor_stop(Qmp *q) {
        qmp_free(q);
        (void) kill(monitor, SIGKILL);
        assert_int_equal(waitpid(monitor, NULL, 0), monitor);
}

/* Starts a monitor, and exchanges greetings with it. */
static Qmp *monitor_ready(const Answer *special) {
        _cleanup_free_ char *version = NULL;
        Qmp *q = monitor_start(GREETING, special);

        assert_ok(qmp_greet(q, LONG_USEC, &version));
        assert_string_equal(version, "10.0.13");
        return q;
}

/* --- protocol --- */

static void test_qmp_greet(_unused_ void **state) {
        static const struct {
                const char *greeting;
                int error;
        } table[] = {
                { "",                                                          ETIMEDOUT },
                { "hello\r\n",                                                 EBADMSG },
                { "[]\r\n",                                                    EBADMSG },
                { "{}\r\n",                                                    EBADMSG },
                { "{\"QMP\":{\"version\":{\"qemu\":{\"major\":\"x\"}}}}\r\n",  EBADMSG },
                { "{\"QMP\":{\"version\":{\"qemu\":[1,2]}}}\r\n",              EBADMSG },
                { "{\"QMP\":1,\"QMP\":2}\r\n",                                 EBADMSG },
                { "{\"QMP\":",                                                 ETIMEDOUT },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Qmp *q = monitor_start(table[i].greeting, NULL);
                char *version = NULL;

                assert_errno(qmp_greet(q, SHORT_USEC, &version), table[i].error);
                assert_null(version);
                monitor_stop(q);
        }
        monitor_stop(monitor_ready(NULL));
}

static void test_qmp_execute(_unused_ void **state) {
        static const Answer special[] = {
                { "fails",     "\"error\":{\"class\":\"GenericError\",\"desc\":\"no\\u001b[31m\"}" },
                { "no-reason", "\"error\":{}" },
                { "nothing",   "\"other\":1" },
                { "null",      "\"return\":null" },
                { "silent",    NULL },
                { "nonsense",  "\"return\":NaN" },
                { "hang-up",   "" },
                {}
        };
        Qmp *q = monitor_ready(special);
        char *why = NULL;

        assert_errno(qmp_execute(q, "silent", NULL, SHORT_USEC, NULL, NULL), ETIMEDOUT);
        assert_errno(qmp_execute(q, "fails", NULL, LONG_USEC, NULL, &why), EREMOTEIO);
        assert_string_equal(why, "no\\x1b[31m");
        free(why);
        assert_errno(qmp_execute(q, "no-reason", NULL, LONG_USEC, NULL, &why), EREMOTEIO);
        assert_string_equal(why, "unknown error");
        free(why);
        assert_errno(qmp_execute(q, "unheard-of", NULL, LONG_USEC, NULL, NULL), EREMOTEIO);
        assert_errno(qmp_execute(q, "nothing", NULL, SHORT_USEC, NULL, NULL), ETIMEDOUT);
        assert_errno(qmp_execute(q, "null", NULL, LONG_USEC, NULL, NULL), EBADMSG);
        assert_errno(qmp_execute(q, "nonsense", NULL, SHORT_USEC, NULL, NULL), ETIMEDOUT);
        assert_ok(qmp_execute(q, "cont", NULL, LONG_USEC, NULL, NULL));
        assert_errno(qmp_execute(q, "hang-up", NULL, LONG_USEC, NULL, NULL), ECONNRESET);
        assert_errno(qmp_execute(q, "cont", NULL, LONG_USEC, NULL, NULL), ECONNRESET);
        monitor_stop(q);
}

static void test_qmp_too_long(_unused_ void **state) {
        _cleanup_free_ char *text = malloc(QMP_MESSAGE_MAX + 2);
        char *version = NULL;
        Qmp *q;

        assert_non_null(text);
        memset(text, ' ', QMP_MESSAGE_MAX + 1);
        text[QMP_MESSAGE_MAX + 1] = 0;
        q = monitor_start(text, NULL);
        assert_errno(qmp_greet(q, LONG_USEC, &version), EFBIG);
        monitor_stop(q);
}

/* Starts a monitor that sends the same line over and over, as fast as it is read. */
static Qmp *flood_start(const char *line) {
        int fd = -EBADF;
        Qmp *q = monitor_fork(&fd);

        if (!q) {
                while (send(fd, line, strlen(line), MSG_NOSIGNAL) > 0)
                        ;
                _exit(0);
        }
        return q;
}

static void test_qmp_drain(_unused_ void **state) {
        static const char *const lines[] = { BAD_EVENT, "nonsense\n", "[1]\n", "{\"event\":\"RESUME\"}\n" };
        int pair[2];
        Qmp *q;

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
                assert_ok(qmp_new(pair[0], &q));
                assert_ok(qmp_drain(q));
                assert_ok(send(pair[1], lines[i], strlen(lines[i]), MSG_NOSIGNAL));
                assert_ok(send(pair[1], "{\"eve", 5, MSG_NOSIGNAL));
                assert_ok(qmp_drain(q));
                (void) close(pair[1]);
                assert_errno(qmp_drain(q), ECONNRESET);
                qmp_free(q);

                q = flood_start(lines[i]);
                assert_ok(qmp_drain(q));
                assert_errno(qmp_execute(q, "cont", NULL, SHORT_USEC, NULL, NULL), ETIMEDOUT);
                monitor_stop(q);
        }
}

/* --- checks --- */

static const char *check_refusal(const Answer *special, uint64_t extra_max) {
        static char text[512];
        _cleanup_facts_ GuestFacts f = {};
        _cleanup_list_ StringList ids = {};
        _cleanup_free_ char *why = NULL;
        Qmp *q = monitor_ready(special);
        int r;

        assert_ok(string_list_add(&ids, QEMU_RAM_ID));
        r = guest_check(q, getpid(), "10.0.13", &ids, extra_max, &f, &why);
        monitor_stop(q);
        if (r == 0) {
                assert_string_equal(f.machine, "pc-q35-10.0-machine");
                assert_int_equal(f.extra, KIB(256));
                return NULL;
        }
        assert_errno(r, EOPNOTSUPP);
        (void) snprintf(text, sizeof(text), "%s", why);
        return text;
}

static void test_guest_check(_unused_ void **state) {
        static const Answer no_mode[] = { { "migrate-set-parameters",
                                            "\"error\":{\"desc\":\"Parameter 'mode' is unexpected\"}" }, {} };
        static const Answer no_capability[] = { { "migrate-set-capabilities", "\"error\":{\"desc\":\"bad\"}" }, {} };
        static const Answer blocked[] = { { "query-migrate",
                                            "\"return\":{\"blocked-reasons\":[\"0000:01:00.0: VFIO device\"]}" }, {} };
        static const Answer other_ram[] = { { "x-query-ramblock", "\"return\":{\"human-readable-text\":\" pc.ram 4 "
                                              "KiB 0x0 0x10 0x10 0x7f rw\"}" }, {} };
        static const Answer no_table[] = { { "x-query-ramblock",
                                             "\"return\":{\"human-readable-text\":\"pc.ram 0x0\"}" }, {} };

        assert_null(check_refusal(NULL, KIB(256)));
        assert_non_null(strstr(check_refusal(NULL, KIB(255)), "256.0K of memory beside its RAM"));
        assert_non_null(strstr(check_refusal(no_mode, MIB(1)), "QEMU 10.0.13 cannot keep"));
        assert_non_null(strstr(check_refusal(no_capability, MIB(1)), "bad"));
        assert_non_null(strstr(check_refusal(blocked, MIB(1)), "VFIO device"));
        assert_non_null(strstr(check_refusal(other_ram, MIB(1)), "does not use the file"));
        assert_non_null(strstr(check_refusal(no_table, MIB(1)), "not tell what memory"));
}

static void test_ramblocks(_unused_ void **state) {
        _cleanup_list_ StringList ids = {};
        uint64_t extra;
        size_t found;

        assert_ok(string_list_add(&ids, "a"));
        assert_ok(string_list_add(&ids, "b"));
        assert_ok(ramblocks_count("a 4 KiB 0x0 0x1000 0x1000 0x1 rw\n/objects/b 4 KiB 0x0 0x1000 0x1 0x1\nvga 4 KiB "
                                  "0x0 0x2000 0x1", &ids, &extra, &found));
        assert_int_equal(extra, 0x2000);
        assert_int_equal(found, 2);
        assert_ok(ramblocks_count("", &ids, &extra, &found));
        assert_int_equal(found, 0);
        assert_errno(ramblocks_count("x 0x1 0xfffffffffffffffff", &ids, &extra, &found), EBADMSG);
        assert_errno(ramblocks_count("x 0x1 0xffffffffffffffff\ny 0x1 0x1", &ids, &extra, &found), EBADMSG);
        assert_errno(ramblocks_count("x 0x1 0xzz", &ids, &extra, &found), EBADMSG);
        assert_errno(ramblocks_count("one", &ids, &extra, &found), EBADMSG);
}

/* --- saving and loading --- */

static int save(const Answer *special, GuestRecord *record, char **why) {
        _cleanup_list_ StringList disks = {}, unseen = {};
        Qmp *q = monitor_ready(special);
        int r;

        r = guest_save(q, getpid(), "/x/state", SHORT_USEC, record, &disks, &unseen, why);
        monitor_stop(q);
        if (r == 0) {
                assert_int_equal(disks.n, 1);
                assert_string_equal(disks.item[0], "/etc/passwd");
        }
        return r;
}

static void test_guest_save(_unused_ void **state) {
        static const Answer full[] = { { "query-migrate",
                                         "\"return\":{\"status\":\"failed\",\"error-desc\":\"No space left\"}" }, {} };
        static const Answer slow[] = { { "query-migrate", "\"return\":{\"status\":\"active\"}" }, {} };
        static const Answer off[] = { { "query-status", "\"return\":{\"status\":\"shutdown\"}" }, {} };
        static const Answer strange[] = { { "query-status", "\"return\":[]" }, {} };
        static const Answer paused[] = { { "query-status", "\"return\":{\"status\":\"paused\"}" }, {} };
        static const Answer io[] = { { "query-status", "\"return\":{\"status\":\"io-error\"}" }, {} };
        static const Answer watchdog[] = { { "query-status", "\"return\":{\"status\":\"watchdog\"}" }, {} };
        static const Answer panic[] = { { "query-status", "\"return\":{\"status\":\"guest-panicked\"}" }, {} };
        static const Answer dies[] = { { "migrate", "" }, {} };
        static const Answer blocks[] = { { "migrate", NULL }, {} };
        static const Answer deaf[] = { { "query-status", NULL }, {} };
        static const Answer no_disks[] = { { "query-named-block-nodes", "\"return\":{}" }, {} };
        static const struct {
                const Answer *special;
                int error;
                const char *why;
        } table[] = {
                { NULL,     0,          NULL },
                { paused,   0,          NULL },
                { io,       0,          NULL },
                { watchdog, 0,          NULL },
                { panic,    EREMOTEIO,  "its state is 'guest-panicked'" },
                { full,     EREMOTEIO,  "No space left" },
                { slow,     EREMOTEIO,  "it took too long" },
                { off,      EREMOTEIO,  "its state is 'shutdown'" },
                { strange,  EREMOTEIO,  "its state is 'unknown'" },
                { blocks,   EREMOTEIO,  "it took too long" },
                { deaf,     EREMOTEIO,  "it took too long" },
                { dies,     ECONNRESET, NULL },
                { no_disks, EBADMSG,    NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_record_ GuestRecord record = {};
                _cleanup_free_ char *why = NULL;

                assert_errno(save(table[i].special, &record, &why), table[i].error);
                if (table[i].why)
                        assert_string_equal(why, table[i].why);
                if (table[i].error == 0) {
                        assert_int_equal(record.running, !table[i].special);
                        assert_int_equal(record.stop, table[i].special == io ? GUEST_STOP_IO_ERROR :
                                         table[i].special == watchdog ? GUEST_STOP_WATCHDOG : GUEST_STOP_NONE);
                        assert_true(record.stopped_usec > 0);
                }
        }
}

static void test_guest_wake(_unused_ void **state) {
        static const Answer unfinished[] = { { "query-status", "\"return\":{\"status\":\"finish-migrate\"}" },
                                             { "cont", "\"error\":{\"desc\":\"Migration is not finalized yet\"}" },
                                             {} };
        static const Answer saved[] = { { "query-status", "\"return\":{\"status\":\"postmigrate\"}" },
                                        { "migrate_cancel", "\"error\":{\"desc\":\"nothing to cancel\"}" }, {} };
        static const Answer busy[] = { { "query-status", NULL }, {} };
        static const Answer dies[] = { { "query-status", "" }, {} };
        static const struct {
                const Answer *special;
                int error;
        } table[] = {
                { NULL,       0 },
                { unfinished, EAGAIN },
                { saved,      EAGAIN },
                { busy,       ETIMEDOUT },
                { dies,       ECONNRESET },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Qmp *q = monitor_ready(table[i].special);

                assert_errno(guest_wake(q, table[i].error == ETIMEDOUT ? SHORT_USEC : LONG_USEC), table[i].error);
                monitor_stop(q);
        }
}

static void test_guest_load(_unused_ void **state) {
        static const Answer blocks[] = { { "migrate-incoming", NULL }, {} };
        static const Answer slow[] = { { "query-migrate", "\"return\":{\"status\":\"active\"}" }, {} };
        static const Answer dies[] = { { "query-migrate", "" }, {} };
        static const Answer refuses[] = { { "migrate-incoming", "\"error\":{\"desc\":\"no such file\"}" }, {} };
        static const Answer fails[] = { { "query-migrate", "\"return\":{\"status\":\"failed\"}" }, {} };
        static const struct {
                const Answer *special;
                int error;
                const char *why;
        } table[] = {
                { NULL,    0,          NULL },
                { fails,   EREMOTEIO,  "failed" },
                { refuses, EREMOTEIO,  "no such file" },
                /* QEMU did not refuse anything. */
                { blocks,  ETIMEDOUT,  NULL },
                { slow,    ETIMEDOUT,  NULL },
                { dies,    ECONNRESET, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Qmp *q = monitor_ready(table[i].special);
                _cleanup_free_ char *why = NULL;

                assert_errno(guest_load(q, "/x/state", table[i].error == ETIMEDOUT ? SHORT_USEC : LONG_USEC, &why),
                             table[i].error);
                if (table[i].why)
                        assert_string_equal(why, table[i].why);
                else
                        assert_null(why);
                monitor_stop(q);
        }
}

static void test_guest_continue(_unused_ void **state) {
        static const Answer refuses[] = { { "cont", "\"error\":{\"desc\":\"no lock\"}" }, {} };
        static const Answer hangs[] = { { "cont", NULL }, {} };
        char *why;
        Qmp *q = monitor_ready(NULL);

        assert_ok(guest_continue(q, LONG_USEC, &why));
        assert_null(why);
        monitor_stop(q);
        q = monitor_ready(refuses);
        assert_errno(guest_continue(q, LONG_USEC, &why), EREMOTEIO);
        assert_string_equal(why, "no lock");
        free(why);
        monitor_stop(q);
        q = monitor_ready(hangs);
        assert_errno(guest_continue(q, SHORT_USEC, &why), ETIMEDOUT);
        assert_null(why);
        monitor_stop(q);
}

/* How the guest's agent behaves. */
typedef enum AgentKind {
        AGENT_WORKS,
        AGENT_COMPLAINS,   /* it works, but first complains about half a command of an earlier client */
        AGENT_REFUSES,     /* it cannot set the clock */
        AGENT_OUT_OF_STEP, /* its answer to the synchronisation has another number */
        AGENT_ENDS,        /* it ends when it is asked to set the clock */
        AGENT_HANGS,       /* it hangs when it is asked to set the clock */
        AGENT_ABSENT,      /* QEMU has the socket, but nothing reads what is sent */
} AgentKind;

#define AGENT_TIME UINT64_C(1795894928123456)

/* Exits with 0 if it was asked to set the right time. */
static void agent_serve(int fd, AgentKind kind) __attribute__((noreturn));
static void agent_serve(int fd, AgentKind kind) {
        FILE *f = fdopen(fd, "r+");
        char *line = NULL;
        size_t allocated = 0;
        bool right = false;

        while (kind != AGENT_ABSENT && f && getline(&line, &allocated, f) >= 0) {
                _cleanup_json_ struct json_object *request = json_tokener_parse(line);
                const char *command = request ? json_get_string(request, "execute") : NULL;
                struct json_object *arguments = request ? json_get(request, "arguments") : NULL;
                long long id = request ? (long long) json_object_get_int64(json_get(request, "id")) : 0;

                if (!command) {
                        /* This is the byte that ends half a command. */
                        if (kind == AGENT_COMPLAINS)
                                (void) dprintf(fd, "{\"error\":{\"class\":\"GenericError\",\"desc\":"
                                               "\"JSON parse error, stray byte\"}}\n");
                } else if (streq(command, "guest-sync-delimited"))
                        (void) dprintf(fd, "\xff{\"return\":%lld,\"id\":%lld}\n",
                                       (long long) json_object_get_int64(json_get(arguments, "id")) +
                                       (kind == AGENT_OUT_OF_STEP), id);
                else if (streq(command, "guest-set-time")) {
                        right = (uint64_t) json_object_get_int64(json_get(arguments, "time")) ==
                                AGENT_TIME * NSEC_PER_USEC;
                        if (kind == AGENT_ENDS)
                                break;
                        if (kind == AGENT_REFUSES)
                                (void) dprintf(fd, "{\"error\":{\"class\":\"GenericError\",\"desc\":"
                                               "\"Failed to set time to guest\"},\"id\":%lld}\n", id);
                        else if (kind != AGENT_HANGS)
                                (void) dprintf(fd, "{\"return\":{},\"id\":%lld}\n", id);
                }
        }
        while (kind == AGENT_ABSENT)
                (void) pause();
        _exit(right ? 0 : 1);
}

static void test_guest_clock(_unused_ void **state) {
        static const struct {
                AgentKind kind;
                int error;
                bool asked;
        } table[] = {
                { AGENT_WORKS,       0,          true  },
                { AGENT_COMPLAINS,   0,          true  },
                { AGENT_REFUSES,     EREMOTEIO,  true  },
                { AGENT_OUT_OF_STEP, EBADMSG,    false },
                { AGENT_ENDS,        ECONNRESET, true  },
                { AGENT_HANGS,       ETIMEDOUT,  true  },
                { AGENT_ABSENT,      ETIMEDOUT,  false },
        };
        int pair[2], status, r;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                uint64_t usec = table[i].error == ETIMEDOUT ? SHORT_USEC : LONG_USEC;

                assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
                monitor = fork();
                assert_ok(monitor);
                if (monitor == 0) {
                        (void) close(pair[0]);
                        agent_serve(pair[1], table[i].kind);
                }
                (void) close(pair[1]);
                r = guest_set_clock(pair[0], usec, AGENT_TIME);
                assert_int_equal(r, -table[i].error);
                if (table[i].kind == AGENT_ABSENT)
                        (void) kill(monitor, SIGKILL);
                assert_int_equal(waitpid(monitor, &status, 0), monitor);
                assert_int_equal(WIFEXITED(status) && WEXITSTATUS(status) == 0, table[i].asked);
        }
}

/* --- disks --- */

static void test_disks(_unused_ void **state) {
#define NODE(drv, file) "{\"drv\":\"" drv "\",\"ro\":false,\"file\":\"" file "\"}"
        static const struct {
                const char *node;
                bool here;         /* the path is in the working directory */
                const char *path;  /* or NULL if it is no disk with a path */
                const char *unseen, *why;
        } table[] = {
                { NODE("file", "/srv/a"),                            false, "/srv/a", NULL, NULL },
                { NODE("file", "web.img"),                           true, "/web.img", NULL, NULL },
                { NODE("file", "json:{\\\"filename\\\":\\\"b\\\"}"), true, "/b", NULL, NULL },
                { NODE("file", "json:{"),                            false, NULL, NULL, "has no file name" },
                { NODE("file", ""),                                  false, NULL, NULL, "directory that is not" },
                { NODE("file", "/dev/fdset/7"),                      false, "/etc/passwd", NULL, NULL },
                { NODE("file", "/dev/fdset/8"),                      false, NULL, NULL, "file that has no name" },
                { NODE("file", "/dev/fdset/9"),                      false, NULL, NULL, "file that has no name" },
                { NODE("file", "/dev/fdset/x"),                      false, NULL, NULL, "file that has no name" },
                { "{\"drv\":\"file\"}",                              false, NULL, NULL, "directory that is not" },
                { NODE("nbd", "nbd://host/a\\u001b"),                false, NULL, "nbd://host/a\\x1b", NULL },
                { NODE("host_device", "/dev/sdb"),                   false, NULL, "/dev/sdb", NULL },
                { "{\"drv\":\"nbd\",\"ro\":true,\"file\":\"n\"}",    false, NULL, NULL, NULL },
                { NODE("raw", "web.img"),                            false, NULL, NULL, NULL },
                { NODE("nvme", "nvme://1"),                          false, NULL, NULL, "memory pinned" },
        };
        _cleanup_close_ int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC), gone = memfd_create("x", MFD_CLOEXEC);
        _cleanup_free_ char *cwd = getcwd(NULL, 0);
        char fdsets[256];

        assert_ok(fd);
        assert_ok(gone);
        assert_non_null(cwd);
        (void) snprintf(fdsets, sizeof(fdsets), "\"return\":[{\"fdset-id\":9,\"fds\":[{\"fd\":%i}]},{\"fdset-id\":7,"
                        "\"fds\":[{\"fd\":%i}]}]", gone, fd);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_list_ StringList disks = {}, unseen = {};
                _cleanup_free_ char *why = NULL;
                char nodes[512], path[PATH_MAX];
                const Answer special[] = { { "query-named-block-nodes", nodes }, { "query-fdsets", fdsets }, {} };
                Qmp *q;
                int r;

                (void) snprintf(nodes, sizeof(nodes), "\"return\":[%s]", table[i].node);
                q = monitor_ready(special);
                r = guest_disks_list(q, getpid(), LONG_USEC, &disks, &unseen, &why);
                monitor_stop(q);
                if (table[i].why) {
                        assert_errno(r, EREMOTEIO);
                        if (!strstr(why, table[i].why))
                                fail_msg("'%s': %s", table[i].node, why);
                        continue;
                }
                assert_ok(r);
                assert_int_equal(disks.n, table[i].path ? 1 : 0);
                assert_int_equal(unseen.n, table[i].unseen ? 1 : 0);
                if (table[i].unseen)
                        assert_string_equal(unseen.item[0], table[i].unseen);
                if (table[i].path) {
                        (void) snprintf(path, sizeof(path), "%s%s", table[i].here ? cwd : "", table[i].path);
                        assert_string_equal(disks.item[0], path);
                }
        }
}

static void test_disks_differ(_unused_ void **state) {
        _cleanup_list_ StringList none = {}, one = {}, two = {};
        _cleanup_json_ struct json_object *n = NULL, *o = NULL, *t = NULL;
        char *why;

        assert_ok(string_list_add(&one, "/nonexistent/a"));
        assert_ok(string_list_add(&two, "/nonexistent/b"));
        assert_ok(string_list_add(&two, "/nonexistent/a"));
        n = guest_disks_to_json(&none);
        o = guest_disks_to_json(&one);
        t = guest_disks_to_json(&two);
        /* A file that does not exist is still listed. */
        assert_int_equal(json_object_array_length(o), 1);
        assert_int_equal(guest_disks_differ(t, t, &why), 0);
        assert_int_equal(guest_disks_differ(n, n, &why), 0);
        assert_int_equal(guest_disks_differ(t, o, &why), 1);
        assert_string_equal(why, "QEMU does not open its disk /nonexistent/b any more");
        free(why);
        assert_int_equal(guest_disks_differ(o, t, &why), 1);
        assert_string_equal(why, "QEMU opens the disk /nonexistent/b, which it did not have");
        free(why);
}

/* --- record --- */

static void record_fill(GuestRecord *r) {
        *r = (GuestRecord) { .phase = GUEST_SAVED, .size = MIB(64), .running = true, .stopped_usec = 5 };
        assert_ok(string_list_add(&r->arguments, "qemu"));
        assert_ok(string_list_add(&r->arguments, "-m"));
        r->qemu = strdup("10.0.2");
        r->machine = strdup("pc");
        assert_non_null(r->qemu);
        assert_non_null(r->machine);
}

static void test_record(_unused_ void **state) {
        char *same[] = { (char *) "qemu", (char *) "-m", NULL }, *shorter[] = { (char *) "qemu", NULL },
             *other[] = { (char *) "qemu", (char *) "-M", NULL };
        char directory[] = "/tmp/test-qemu-XXXXXX", disk[64], *why;
        _cleanup_record_ GuestRecord r = {}, back = {};
        _cleanup_list_ StringList disks = {};
        _cleanup_close_ int dir = -EBADF, fd = -EBADF;

        assert_non_null(mkdtemp(directory));
        dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_ok(dir);
        assert_errno(guest_record_read(dir, &back), ENOENT);
        fd = openat(dir, "disk", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_ok(fd);
        (void) snprintf(disk, sizeof(disk), "%s/disk", directory);
        assert_ok(string_list_add(&disks, disk));
        assert_ok(string_list_add(&disks, "/dev/null"));

        record_fill(&r);
        r.stop = GUEST_STOP_WATCHDOG;
        r.disks = guest_disks_to_json(&disks);
        assert_int_equal(json_object_array_length(r.disks), 1);
        assert_ok(guest_record_write(&r, dir));
        assert_ok(guest_record_read(dir, &back));
        assert_int_equal(back.phase, GUEST_SAVED);
        assert_int_equal(back.stopped_usec, 5);
        assert_int_equal(back.stop, GUEST_STOP_WATCHDOG);
        assert_string_equal(back.machine, "pc");

        assert_int_equal(guest_record_differs(&back, same, MIB(64), &why), 0);
        assert_int_equal(guest_record_differs(&back, shorter, MIB(64), &why), 1);
        free(why);
        assert_int_equal(guest_record_differs(&back, other, MIB(64), &why), 1);
        assert_non_null(strstr(why, "'-M' was '-m'"));
        free(why);
        assert_int_equal(guest_record_differs(&back, same, MIB(32), &why), 1);
        free(why);
        assert_int_equal(write(fd, "x", 1), 1);
        assert_int_equal(guest_record_differs(&back, same, MIB(64), &why), 1);
        assert_non_null(strstr(why, "was changed"));
        free(why);
        assert_ok(unlinkat(dir, "disk", 0));
        assert_errno(guest_record_differs(&back, same, MIB(64), &why), ENOENT);
        free(why);
        back.phase = GUEST_SAVING;
        assert_int_equal(guest_record_differs(&back, same, MIB(64), &why), 1);
        assert_string_equal(why, "it was not saved completely");
        free(why);
        back.phase = GUEST_RESUMING;
        assert_ok(guest_record_write(&back, dir));
        guest_record_done(&back);
        assert_ok(guest_record_read(dir, &back));
        assert_int_equal(guest_record_differs(&back, same, MIB(64), &why), 1);
        assert_non_null(strstr(why, "may have run since it was saved: pkram-qemu ended"));
        free(why);

        /* A symlink or a FIFO is not accepted as a record. */
        assert_ok(unlinkat(dir, GUEST_RECORD_FILE, 0));
        assert_ok(symlinkat("/etc/passwd", dir, GUEST_RECORD_FILE));
        guest_record_done(&back);
        assert_errno(guest_record_read(dir, &back), ELOOP);
        assert_ok(unlinkat(dir, GUEST_RECORD_FILE, 0));
        assert_ok(mkfifoat(dir, GUEST_RECORD_FILE, 0600));
        assert_errno(guest_record_read(dir, &back), EBADMSG);
        assert_ok(unlinkat(dir, GUEST_RECORD_FILE, 0));
        assert_ok(rmdir(directory));
}

static void test_record_parse(_unused_ void **state) {
        static const char *const bad[] = {
                "", "[]", "{}", "{\"version\":2}",
                "{\"version\":1,\"phase\":\"eaten\",\"size\":1,\"stoppedUSec\":1,\"arguments\":[],\"qemu\":\"\",\"machine\":\"\"}",
                "{\"version\":1,\"phase\":\"saved\",\"size\":-1,\"stoppedUSec\":1,\"arguments\":[],\"qemu\":\"\",\"machine\":\"\"}",
                "{\"version\":1,\"phase\":\"saved\",\"size\":1,\"stoppedUSec\":1,\"arguments\":[1],\"qemu\":\"\",\"machine\":\"\"}",
                "{\"version\":1,\"phase\":\"saved\",\"size\":1,\"stoppedUSec\":1,\"arguments\":{},\"qemu\":\"\",\"machine\":\"\"}",
                "{\"version\":1,\"phase\":\"saved\",\"size\":1,\"stoppedUSec\":1,\"arguments\":[],\"qemu\":1,\"machine\":\"\"}",
        };
        static const char disks[] = "{\"version\":1,\"phase\":\"saved\",\"size\":1,\"stoppedUSec\":1,\"arguments\":[],"
                                    "\"qemu\":\"\",\"machine\":\"\",\"disks\":[7]}";
        char *none[] = { NULL }, *why;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                GuestRecord r = {};

                assert_errno(guest_record_parse(bad[i], strlen(bad[i]), &r), EBADMSG);
        }

        _cleanup_record_ GuestRecord r = {};

        assert_ok(guest_record_parse(disks, strlen(disks), &r));
        assert_int_equal(guest_record_differs(&r, none, 1, &why), 1);
        free(why);
}

/* --- configuration --- */

static void test_words(_unused_ void **state) {
        _cleanup_list_ StringList l = {};

        assert_ok(words_split("  a 'b c'\"d \\\" e\" \\ f '' g\\\\", &l));
        assert_int_equal(l.n, 5);
        assert_string_equal(l.item[1], "b cd \" e");
        assert_string_equal(l.item[2], " f");
        assert_string_equal(l.item[3], "");
        assert_string_equal(l.item[4], "g\\");
        assert_errno(words_split("'a", &l), EINVAL);
        assert_errno(words_split("\"a", &l), EINVAL);
        assert_errno(words_split("a\\", &l), EINVAL);
}

static void test_config(_unused_ void **state) {
        static const char text[] = "# a guest\n[Guest]\nSize = 4G\nDirectory=/srv/vm/a\nCommand=qemu -m "
                "4G\nCommand=-smp 2\nShutdownSec=2min\nExtraMax=1M";
        static const struct {
                const char *text, *why;
        } bad[] = {
                { "Size=1G",                    "line 1: it stands outside" },
                { "[Guest]\nnonsense",          "line 2: it is neither" },
                { "[Gast]",                     "line 1: the only section" },
                { "[Guest]\nColour=red",        "line 2: there is no such setting" },
                { "[Guest]\nSize=0",            "line 2: the value is out of range" },
                { "[Guest]\nSize=9999999999T",  "line 2: the value is out of range" },
                { "[Guest]\nSize=-1",           "line 2: this setting does not take" },
                { "[Guest]\nShutdownSec=2days", "line 2: this setting does not take" },
                { "[Guest]\nSaveSec=90000",     "line 2: the value is out of range" },
                { "[Guest]\nDirectory=vm",      "line 2: this setting does not take" },
                { "[Guest]\nCommand='",         "line 2: this setting does not take" },
        };
        _cleanup_guest_config_ GuestConfig c;
        char *why;

        guest_config_init(&c);
        assert_ok(guest_config_parse(&c, text, strlen(text), &why));
        assert_int_equal(c.size, GIB(4));
        assert_int_equal(c.extra_max, MIB(1));
        assert_int_equal(c.shutdown_usec, 120 * USEC_PER_SEC);
        assert_int_equal(c.command.n, 5);
        assert_string_equal(c.command.item[4], "2");
        assert_errno(guest_config_parse(&c, "[Guest]\n\0", 9, &why), EINVAL);
        free(why);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                assert_errno(guest_config_parse(&c, bad[i].text, strlen(bad[i].text), &why), EINVAL);
                assert_true(startswith(why, bad[i].why));
                free(why);
        }

        assert_true(conf_name_is_valid("web-1.example_x"));
        assert_false(conf_name_is_valid(""));
        assert_false(conf_name_is_valid(".web"));
        assert_false(conf_name_is_valid("a/b"));
        assert_false(conf_name_is_valid("\xc3\xa4"));
}

/* --- command line --- */

static void test_arguments(_unused_ void **state) {
        /* text is the command line after "qemu -m 64". why is a part of the refusal, or NULL if it is accepted. */
        static const struct {
                const char *text, *why;
        } table[] = {
                { "",                                                              NULL },
                { "-device virtio-blk-pci,drive=d -netdev tap,id=n,vhost=on",      NULL },
                { "-device vfio-pci,host=01:00.0",                                 "pinned memory" },
                { "--device driver=vfio-pci,host=01:00.0",                         "pinned memory" },
                { "-device '{\"driver\":\"vfio-pci\"}'",                           "pinned memory" },
                { "-device vhost-user-fs-pci,chardev=c",                           "virtiofsd" },
                { "-netdev vhost-user,id=n,chardev=c",                             "another process" },
                { "-netdev type=vhost-vdpa,id=n",                                  "pinned memory" },
                { "-device ivshmem-plain,memdev=m",                                "shared with other programs" },
                { "-drive file=nvme://0000:01:00.0/1",                             "pinned memory" },
                { "-blockdev '{\"driver\":\"nvme\",\"device\":\"x\"}'",            "pinned memory" },
                { "-device virtio-net-pci,driver=vfio-pci,host=01:00.0",           "pinned memory" },
                { "-device \"{'driver':'vfio-pci'}\"",                             "-device: this cannot be checked" },
                { "-device '{\"driver\":\"virtio-rng\",\"driver\":\"vfio-pci\"}'", "-device: this cannot be checked" },
                { "-netdev \"{'type':'vhost-user','id':'n'}\"",                    "-netdev: this cannot be checked" },
                { "-object \"{'qom-type':'memory-backend-file'}\"",                "-object: this cannot be checked" },
                { "-blockdev \"{'driver':'nvme'}\"",                             "-blockdev: this cannot be checked" },
                { "-netdev passt,id=n,vhost-user=on",                              "another process" },
                { "-netdev '{\"type\":\"passt\",\"id\":\"n\",\"vhost-user\":true}'", "another process" },
                { "-netdev passt,id=n,vhost-user=off",                             NULL },
                { "-nic passt,vhost-user",                                         "another process" },
                { "-net vhost-user,chardev=c",                                     "another process" },
                { "-object cryptodev-vhost-user,id=c",                             "another process" },
                { "-device x-pci-proxy-dev,fd=4",                                  "another process" },
                { "-blockdev driver=virtio-blk-vhost-user,path=/s,node-name=n",    "another process" },
                { "-blockdev driver=virtio-blk-vhost-vdpa,path=/s,node-name=n",    "pinned memory" },
                { "-blockdev driver=virtio-blk-vfio-pci,path=/s,node-name=n",      "pinned memory" },
                { "-blockdev driver=nvme-io_uring,path=/s,node-name=n",            "pinned memory" },
                { "-blockdev driver=raw,file.driver=nvme,file.device=x",           "pinned memory" },
                { "-blockdev '{\"driver\":\"raw\",\"file\":{\"driver\":\"nv\\u006de\"}}'", "pinned memory" },
                { "-blockdev '{\"driver\":\"quorum\",\"children\":[{\"driver\":\"nvme\"}]}'", "pinned memory" },
                { "-drive 'file=json:{\"driver\":\"raw\",,\"file\":{\"driver\":\"nvme\"}}'", "pinned memory" },
                { "-drive \"file=json:{'driver':'nvme'}\"",                        "-drive: this cannot be checked" },
                { "-drive file.filename=nvme://0000:01:00.0/1",                    "pinned memory" },
                { "-drive file=/srv/nvme.img,id=nvme,if=none",                     NULL },
                { "-hda nvme://0000:01:00.0/1",                                    "pinned memory" },
                { "nvme://0000:01:00.0/1",                                         "pinned memory" },
                { "'json:{\"driver\":\"nvme\"}'",                                  "pinned memory" },
                { "\"json:{'driver':'nvme'}\"",                                    "cannot be checked" },
                { "-set drive.d.snapshot=on",                                      "cannot be checked" },
                { "-run-with async-teardown=on",                                   "outlives QEMU" },
                { "-object memory-backend-file,id=n,size=1M,mem-path=/srv/a/n,share=on -device nvdimm,memdev=n",
                  "removes the file of n" },
                { "-device '{\"driver\":\"virtio-pmem-pci\",\"memdev\":\"n\"}' "
                  "-object memory-backend-file,id=n,size=1M,mem-path=/srv/a/n,share=on", "removes the file of n" },
                { "-object memory-backend-file,id=n,size=1M,mem-path=/srv/a/n,share=on "
                  "-device cxl-type3,persistent-memdev=n",                         "removes the file of n" },
                { "-object memory-backend-file,id=n,size=1M,mem-path=/srv/n -device nvdimm,memdev=n", NULL },
                { "-drive file=/x,snapshot=on",                                    "drops the changes" },
                { "-snapshot",                                                     "drops the changes" },
                { "-daemonize",                                                    "see QEMU end" },
                { "-incoming defer",                                               "adds it" },
                { "-mem-path /dev/hugepages",                                      "not shared" },
                { "-virtfs local,path=/x",                                         "9p" },
                { "-machine q35,confidential-guest-support=sev0",                  "encrypted memory" },
                { "-object sev-guest,id=sev0",                                     "encrypted memory" },
                { "-machine q35,memory-backend=ram0",                              "has to be a memory-backend-file" },
                { "-object memory-backend-file,id=ram0,size=64M,mem-path=/srv/a/m,share=on -M q35,memory-backend=ram0",
                  NULL },
                { "-object memory-backend-file,id=ram0,size=64M,mem-path=/srv/a/m -M q35,memory-backend=ram0",
                  "share=on" },
                { "-object memory-backend-file,id=ram0,size=64M,mem-path=/dev/shm/m,share=on",
                  "only files below /srv/a" },
                { "-object memory-backend-file,id=ram0,size=64M,mem-path=/srv/a/../m,share=on",
                  "only files below /srv/a" },
                { "-object memory-backend-file,id=m,size=1M,mem-path=/srv/a/,share=on", "only files below /srv/a" },
                { "-object memory-backend-file,id=m,size=1M,mem-path=/srv/a/m,share=on,discard-data=on",
                  "discards the guest's memory" },
                { "-object memory-backend-file,id=m,size=1.5M,mem-path=/srv/a/m,share=on", "whole number" },
                { "-object memory-backend-file,id=m,mem-path=/srv/a/m,share=on",   "whole number" },
                { "-object memory-backend-file,id=m,size=1M,mem-path=/srv/a/ram,share=on", "use another file" },
                { "-object memory-backend-file,id=m,size=1M,mem-path=/srv/a/m,share=on "
                  "-object memory-backend-file,id=n,size=1M,mem-path=/srv/a/m,share=on", "another object" },
                { "-object '{\"qom-type\":\"memory-backend-file\",\"id\":\"m\",\"size\":1048576,"
                  "\"mem-path\":\"/srv/a/m\",\"share\":true}' -device pc-dimm,memdev=m", NULL },
                { "-object memory-backend-memfd,id=m,size=1M,share=on",            "only files below /srv/a" },
                { "-object memory-backend-ram,id=m,size=1M",                       NULL },
                { "-numa node,memdev=m",                                           "-numa memdev=m" },
                { "-numa node,mem=32",                                             "-numa mem=" },
                { "-m 128",                                                        NULL },
                { "-m 1.5G",                                                       "whole number" },
                { "-run-with user=nobody",                                         "User=" },
                { "-readconfig x",                                                 "cannot be checked" },
                { "-object memory-backend-ram,id=pkram-ram,size=1M",               "identifier itself" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_list_ StringList arguments = {};
                _cleanup_plan_ QemuPlan p = {};
                _cleanup_free_ char *why = NULL;
                int r;

                assert_ok(words_split("qemu -m 64", &arguments));
                assert_ok(words_split(table[i].text, &arguments));
                r = qemu_plan_make(arguments.item, "/srv/a", 0, &p, &why);
                if (table[i].why) {
                        assert_errno(r, EOPNOTSUPP);
                        if (!strstr(why, table[i].why))
                                fail_msg("'%s' is refused with: %s", table[i].text, why);
                } else if (r < 0)
                        fail_msg("'%s' is refused: %s", table[i].text, why);
        }
}

/* Memory in addition to the RAM is preserved as well, and its size is counted. */
static void test_more_memory(_unused_ void **state) {
#define BACKEND(name) "-object memory-backend-file,id=" name ",size=32M,mem-path=/srv/a/" name ",share=on "
        static const struct {
                const char *text;
                uint64_t more;
                size_t n_files;
                bool add_ram;
        } table[] = {
                { "-m 64",                                                                        0,       1, true },
                { "-m 64,slots=2,maxmem=1G " BACKEND("d") "-device pc-dimm,memdev=d",             MIB(32), 2, true },
                { "-m 64 " BACKEND("a") BACKEND("b") "-numa node,memdev=a -numa node,memdev=b",   0,       2, false },
                { "-m 32,slots=1,maxmem=1G " BACKEND("a") BACKEND("d") "-M q35,memory-backend=a", MIB(32), 2, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_list_ StringList arguments = {};
                _cleanup_plan_ QemuPlan p = {};
                char *why;

                assert_ok(words_split("qemu", &arguments));
                assert_ok(words_split(table[i].text, &arguments));
                assert_ok(qemu_plan_make(arguments.item, "/srv/a", 0, &p, &why));
                assert_int_equal(p.more, table[i].more);
                assert_int_equal(p.ram_files.n, table[i].n_files);
                assert_int_equal(p.add_ram, table[i].add_ram);
        }
}

static void test_command(_unused_ void **state) {
        _cleanup_list_ StringList arguments = {}, command = {}, line = {};
        _cleanup_plan_ QemuPlan p = {};
        char *why, *none[] = { (char *) "qemu", NULL };
        QemuPlan refused = {};

        assert_errno(qemu_plan_make(none, "/srv/a", 0, &refused, &why), EOPNOTSUPP);
        free(why);
        assert_errno(qemu_plan_make(none, "srv", 1, &refused, &why), EOPNOTSUPP);
        free(why);
        assert_errno(qemu_plan_make(none, "/srv/a,b", 1, &refused, &why), EOPNOTSUPP);
        free(why);

        assert_ok(words_split("qemu -M q35", &arguments));
        assert_ok(qemu_plan_make(arguments.item, "/srv/a", MIB(64), &p, &why));
        assert_ok(qemu_plan_command(&p, arguments.item, "/srv/a", 3, /* incoming= */ true, &command));
        assert_ok(words_split("qemu -M q35 -m size=65536K -object "
                              "memory-backend-file,id=pkram-ram,size=67108864,mem-path=/srv/a/ram,share=on -machine "
                              "memory-backend=pkram-ram -chardev socket,id=pkram-qmp,fd=3 -mon "
                              "chardev=pkram-qmp,mode=control -S -incoming defer", &line));
        assert_int_equal(command.n, line.n);
        for (size_t i = 0; i < line.n; i++)
                assert_string_equal(command.item[i], line.item[i]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_qmp_greet),
                cmocka_unit_test(test_qmp_execute),
                cmocka_unit_test(test_qmp_too_long),
                cmocka_unit_test(test_qmp_drain),
                cmocka_unit_test(test_guest_check),
                cmocka_unit_test(test_ramblocks),
                cmocka_unit_test(test_guest_save),
                cmocka_unit_test(test_guest_wake),
                cmocka_unit_test(test_guest_load),
                cmocka_unit_test(test_guest_continue),
                cmocka_unit_test(test_guest_clock),
                cmocka_unit_test(test_disks),
                cmocka_unit_test(test_disks_differ),
                cmocka_unit_test(test_record),
                cmocka_unit_test(test_record_parse),
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_config),
                cmocka_unit_test(test_arguments),
                cmocka_unit_test(test_more_memory),
                cmocka_unit_test(test_command),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
