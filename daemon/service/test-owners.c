/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owners by real credentials: clients are processes of several users that connect to a listening socket, and
 * which unit each of them is in is told by a model of the hierarchy of control groups. Needs root, to become others.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>

#include "test-fixture.h"

/* Of all processes of the test, and of the services in it. */
typedef struct World {
        Fixture *fixture;
        char dir[32], socket[64];
        pid_t pid;              /* of the client, and where it is */
        const char *unit, *slice;
        bool user_slice;
        unsigned n_queries;
} World;

static int find_unit(pid_t pid, PeerUnit *ret, void *userdata) {
        World *w = userdata;

        assert_int_equal(pid, w->pid);
        *ret = (PeerUnit) {
                .unit = w->unit ? strdup(w->unit) : NULL,
                .slice = strdup(w->slice ?: "system.slice"),
                .user_slice = w->user_slice,
        };
        return 0;
}

static uid_t unit_user(const char *unit, void *userdata) {
        World *w = userdata;

        w->n_queries++;
        return streq(unit, "a.service") || streq(unit, "b.service") ? 12345 : UID_NONE;
}

static int world_setup(void **state) {
        World *w = calloc(1, sizeof(World));
        union {
                struct sockaddr sa;
                struct sockaddr_un un;
        } address = { .un.sun_family = AF_UNIX };
        void *f;
        int fd;

        assert_int_equal(fixture_setup(&f), 0);
        w->fixture = f;
        w->fixture->manager->find_unit = find_unit;
        w->fixture->manager->find_unit_userdata = w;
        unit_users_set_query(w->fixture->manager->unit_users, unit_user, w);

        strcpy(w->dir, "/tmp/test-owners-XXXXXX");
        assert_non_null(mkdtemp(w->dir));
        assert_ok(chmod(w->dir, 0755));
        (void) snprintf(w->socket, sizeof(w->socket), "%s/socket", w->dir);
        (void) snprintf(address.un.sun_path, sizeof(address.un.sun_path), "%s", w->socket);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_ok(bind(fd, &address.sa, sizeof(address)));
        assert_ok(chmod(w->socket, 0666));
        assert_ok(listen(fd, 16));
        assert_ok(varlink_server_listen(w->fixture->manager->server, fd));
        *state = w;
        return 0;
}

static int world_teardown(void **state) {
        World *w = *state;
        void *f = w->fixture;

        (void) unlink(w->socket);
        (void) rmdir(w->dir);
        (void) fixture_teardown(&f);
        free(w);
        return 0;
}

/* The client's process: one call, its reply to standard output. */
static __attribute__((__noreturn__)) void client_run(const World *w, uid_t uid, int start, int out, const char *text) {
        union {
                struct sockaddr sa;
                struct sockaddr_un un;
        } address = { .un.sun_family = AF_UNIX };
        char reply[8192], c;
        size_t n = 0;
        ssize_t k;
        int fd;

        (void) snprintf(address.un.sun_path, sizeof(address.un.sun_path), "%s", w->socket);
        /* UBSan makes gcc believe that text could be NULL. */
        if (!text || read(start, &c, 1) != 1 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
                _exit(1);
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (fd < 0 || connect(fd, &address.sa, sizeof(address)) < 0 ||
            write(fd, text, strlen(text) + 1) != (ssize_t) strlen(text) + 1)
                _exit(1);
        while (n < sizeof(reply) && (n == 0 || reply[n - 1]) && (k = read(fd, reply + n, sizeof(reply) - n)) > 0)
                n += (size_t) k;
        _exit(write(out, reply, n) == (ssize_t) n ? 0 : 1);
}

/* Calls as this user in that unit. */
static struct json_object *call_as(World *w, uid_t uid, const char *unit, const char *text) {
        struct json_object *reply = NULL;
        int start[2], out[2], status;
        char buffer[8192];
        ssize_t n;

        assert_ok(pipe(start));
        assert_ok(pipe(out));
        w->pid = fork();
        assert_ok(w->pid);
        if (w->pid == 0)
                client_run(w, uid, start[0], out[1], text);

        w->unit = unit;
        assert_int_equal(write(start[1], "", 1), 1);
        while (waitpid(w->pid, &status, WNOHANG) == 0)
                (void) sd_event_run(w->fixture->manager->event, 1000);
        assert_int_equal(status, 0);
        close(out[1]);
        n = read(out[0], buffer, sizeof(buffer));
        assert_true(n > 1);
        assert_int_equal(buffer[n - 1], 0);
        assert_ok(json_parse_strict(buffer, strlen(buffer), &reply, NULL));
        close(out[0]);
        close_many(start, 2);
        fixture_run(w->fixture);
        return reply;
}

static void assert_owner(World *w, uid_t uid, const char *unit, const char *owner) {
        _cleanup_json_ struct json_object *reply = call_as(w, uid, unit, CALL("GetStatus", "{}"));

        assert_string_equal(json_get_string(reply_parameters(reply), "owner"), owner);
}

static void expect(World *w, uid_t uid, const char *unit, const char *text, const char *error) {
        _cleanup_json_ struct json_object *reply = call_as(w, uid, unit, text);

        if (error)
                assert_error(reply, error, NULL, NULL);
        else
                assert_non_null(reply_parameters(reply));
}

static void test_who_is_who(void **state) {
        World *w = *state;

        assert_owner(w, 0, NULL, "root");
        assert_owner(w, 0, "a.service", "a.service");
        assert_owner(w, 12345, NULL, "uid:12345");
        assert_int_equal(w->n_queries, 0);
        assert_owner(w, 12345, "a.service", "a.service");
        assert_int_equal(w->n_queries, 1);

        /* A unit that runs programs of users, and a user that is not the unit's own. */
        assert_owner(w, 12345, "cron.service", "uid:12345");
        assert_owner(w, 23456, "a.service", "uid:23456");
        assert_owner(w, 0, "cron.service", "cron.service");

        w->user_slice = true;
        assert_owner(w, 12345, "a.service", "uid:12345");
        assert_owner(w, 0, "session-1.scope", "root");
        w->user_slice = false;

        assert_owner(w, 0, "docker-1.scope", "docker-1.scope");
        w->slice = "db.slice";
        assert_owner(w, 0, "docker-1.scope", "db.slice");
}

static const char *const calls_of_n[] = {
        CALL("Retrieve", "{\"name\":\"n\"}"), CALL("Describe", "{\"name\":\"n\"}"),
        CALL("Release", "{\"name\":\"n\"}"), CALL("Remove", "{\"name\":\"n\"}"),
};

static const char *const calls_of_root_n[] = {
        CALL("Retrieve", "{\"name\":\"n\",\"owner\":\"root\"}"),
        CALL("Describe", "{\"name\":\"n\",\"owner\":\"root\"}"),
        CALL("Release", "{\"name\":\"n\",\"owner\":\"root\"}"), CALL("Remove", "{\"name\":\"n\",\"owner\":\"root\"}"),
        CALL("Store", "{\"name\":\"n\",\"owner\":\"root\",\"objects\":[]}"),
};

#define STORE_N CALL("Store", "{\"name\":\"n\",\"objects\":[{\"data\":\"Zm9v\"}]}")

static void test_names_of_owners(void **state) {
        World *w = *state;
        static const struct {
                uid_t uid;
                const char *unit;
        } others[] = { { 12345, NULL }, { 12345, "b.service" }, { 23456, "a.service" }, { 0, "b.service" },
                       { 0, NULL } };

        expect(w, 12345, "a.service", STORE_N, NULL);
        for (size_t i = 0; i < ELEMENTSOF(others); i++) {
                /* Nodes of others are not visible, and do not get in the way. */
                for (size_t k = 0; k < ELEMENTSOF(calls_of_n); k++)
                        expect(w, others[i].uid, others[i].unit, calls_of_n[k], ERROR("NoSuchNode"));
                expect(w, others[i].uid, others[i].unit, STORE_N, NULL);
                expect(w, others[i].uid, others[i].unit, STORE_N, ERROR("NodeExists"));
                expect(w, others[i].uid, others[i].unit, calls_of_n[3], NULL);
        }
        expect(w, 12345, "a.service", calls_of_n[0], NULL);
        expect(w, 0, "a.service", calls_of_n[0], NULL); /* the same unit */
}

static void test_naming_an_owner(void **state) {
        World *w = *state;
        _cleanup_json_ struct json_object *reply = NULL;

        /* Denied in the same way whether or not there is something. */
        for (unsigned pass = 0; pass < 2; pass++) {
                for (size_t k = 0; k < ELEMENTSOF(calls_of_root_n); k++) {
                        expect(w, 12345, NULL, calls_of_root_n[k], DENIED);
                        expect(w, 12345, "a.service", calls_of_root_n[k], DENIED);
                }
                if (pass == 0)
                        expect(w, 0, NULL, STORE_N, NULL);
        }

        /* Every client may name itself, and root, in any unit, may name every owner. */
        expect(w, 12345, NULL, CALL("Store", "{\"name\":\"n\",\"owner\":\"uid:12345\",\"objects\":[]}"), NULL);
        expect(w, 0, "b.service", CALL("Describe", "{\"name\":\"n\",\"owner\":\"uid:12345\"}"), NULL);
        expect(w, 0, "b.service", CALL("Describe", "{\"name\":\"n\",\"owner\":\"no owner\"}"), INVALID);
        expect(w, 0, "b.service", CALL("Store", "{\"name\":\"n\",\"owner\":\"a.service\",\"objects\":[]}"), NULL);
        expect(w, 12345, "a.service", calls_of_n[0], NULL);
        reply = call_as(w, 0, "b.service", CALL("Describe", "{\"name\":\"n\",\"owner\":\"root\"}"));
        assert_string_equal(json_get_string(json_get(reply_parameters(reply), "node"), "owner"), "root");
}

static unsigned count_listed(World *w, uid_t uid, const char *unit, const char *text) {
        _cleanup_json_ struct json_object *reply = call_as(w, uid, unit, text);

        /* The client reads one reply: a node, or the end. */
        return json_get(reply_parameters(reply), "node") != NULL;
}

static void test_list(void **state) {
        World *w = *state;

        expect(w, 12345, NULL, STORE_N, NULL);
        assert_int_equal(count_listed(w, 12345, NULL, MORE("List")), 1);
        assert_int_equal(count_listed(w, 12345, "a.service", MORE("List")), 0);
        assert_int_equal(count_listed(w, 23456, NULL, MORE("List")), 0);
        assert_int_equal(count_listed(w, 0, "b.service", MORE("List")), 1);
        assert_int_equal(count_listed(w, 0, NULL,
                                      "{\"method\":\"io.pkram.Store.List\",\"more\":true,"
                                      "\"parameters\":{\"owner\":\"root\"}}"), 0);
        expect(w, 23456, NULL,
               "{\"method\":\"io.pkram.Store.List\",\"more\":true,\"parameters\":{\"owner\":\"uid:12345\"}}", DENIED);
}

/* A user cannot put a tree where mount.pkram, which asks for root's, finds it. */
static void test_tree_of_root(void **state) {
        World *w = *state;

        expect(w, 12345, NULL, CALL("Store", "{\"name\":\"web\",\"objects\":[]}"), NULL);
        expect(w, 0, "srv-web.mount", CALL("Describe", "{\"name\":\"web\",\"owner\":\"root\"}"), ERROR("NoSuchNode"));
}

/* A user in a unit has the limits of a user. */
static void test_limits_of_users(void **state) {
        World *w = *state;

        w->fixture->manager->config.limit[LIMIT_USER_NODES] = 1;
        expect(w, 12345, "cron.service", STORE_N, NULL);
        expect(w, 12345, "cron.service", CALL("Store", "{\"name\":\"m\",\"objects\":[]}"), ERROR("QuotaExceeded"));
        expect(w, 12345, "at.service", CALL("Store", "{\"name\":\"m\",\"objects\":[]}"), ERROR("QuotaExceeded"));
        expect(w, 12345, "a.service", CALL("Store", "{\"name\":\"l\",\"objects\":[]}"), NULL);
        expect(w, 12345, "a.service", CALL("Store", "{\"name\":\"m\",\"objects\":[]}"), NULL);
}

/* Another process speaks D-Bus as PID 1 does: one connection, and the property UID of a.service. */
static int on_pid1_call(sd_bus_message *m, _unused_ void *userdata, _unused_ sd_bus_error *reterr_error) {
        const char *interface, *property, *path = sd_bus_message_get_path(m);

        if (sd_bus_message_is_method_call(m, "org.freedesktop.DBus.Properties", "Get") <= 0)
                return 0;
        if (sd_bus_message_read(m, "ss", &interface, &property) < 0 ||
            !streq(interface, "org.freedesktop.systemd1.Service") || !streq(property, "UID"))
                return sd_bus_reply_method_errorf(m, "org.freedesktop.DBus.Error.InvalidArgs", "?");
        if (streq(path, "/org/freedesktop/systemd1/unit/a_2eservice"))
                return sd_bus_reply_method_return(m, "v", "u", 12345U);
        if (streq(path, "/org/freedesktop/systemd1/unit/cron_2eservice"))
                return sd_bus_reply_method_return(m, "v", "u", UINT32_MAX);
        return sd_bus_reply_method_errorf(m, "org.freedesktop.DBus.Error.UnknownObject", "?");
}

static __attribute__((__noreturn__)) void pid1_run(int listen_fd) {
        for (;;) {
                sd_bus *bus = NULL;
                sd_id128_t id = SD_ID128_MAKE(01, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10);
                int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), r;

                if (fd < 0 || sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, fd, fd) < 0 ||
                    sd_bus_set_server(bus, 1, id) < 0 || sd_bus_start(bus) < 0 ||
                    sd_bus_add_filter(bus, NULL, on_pid1_call, NULL) < 0)
                        _exit(1);
                while ((r = sd_bus_process(bus, NULL)) >= 0)
                        if (r == 0 && sd_bus_wait(bus, UINT64_MAX) < 0)
                                break;
                sd_bus_close_unref(bus);
        }
}

static void test_pid1_is_asked(void **state) {
        World *w = *state;
        union {
                struct sockaddr sa;
                struct sockaddr_un un;
        } address = { .un.sun_family = AF_UNIX };
        char text[128];
        int fd, status;
        pid_t pid;

        (void) snprintf(address.un.sun_path, sizeof(address.un.sun_path), "%s/pid1", w->dir);
        (void) snprintf(text, sizeof(text), "unix:path=%s/pid1", w->dir);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_ok(bind(fd, &address.sa, sizeof(address)));
        assert_ok(listen(fd, 16));
        pid = fork();
        assert_ok(pid);
        if (pid == 0)
                pid1_run(fd);
        close(fd);

        unit_users_set_query(w->fixture->manager->unit_users, NULL, NULL);
        unit_users_set_address(w->fixture->manager->unit_users, text);
        assert_owner(w, 12345, "a.service", "a.service");
        assert_owner(w, 23456, "a.service", "uid:23456");
        assert_owner(w, 12345, "cron.service", "uid:12345");
        assert_owner(w, 12345, "gone.service", "uid:12345");
        assert_owner(w, 0, "a.service", "a.service");

        assert_ok(kill(pid, SIGKILL));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        (void) unlink(address.un.sun_path);
        /* Nothing to be asked: a user. */
        assert_owner(w, 12345, "b.service", "uid:12345");
}

/* Connects as user 12345 in that unit, and returns the connection. */
static int connect_as_user(World *w, const char *unit) {
        union {
                struct sockaddr sa;
                struct sockaddr_un un;
        } address = { .un.sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void) snprintf(address.un.sun_path, sizeof(address.un.sun_path), "%s", w->socket);
        w->pid = getpid();
        w->unit = unit;
        assert_ok(fd);
        assert_ok(setresuid((uid_t) -1, 12345, (uid_t) -1));
        assert_ok(connect(fd, &address.sa, sizeof(address)));
        assert_ok(setresuid((uid_t) -1, 0, (uid_t) -1));
        fixture_run(w->fixture);
        return fd;
}

static bool was_closed(int fd) {
        char c;

        return recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

/* While PID 1 does not answer, a unit that connects without end takes nothing from another unit of the same user. */
static void test_share_while_waiting(void **state) {
        World *w = *state;
        union {
                struct sockaddr sa;
                struct sockaddr_un un;
        } address = { .un.sun_family = AF_UNIX };
        /* It is looked at once more when the daemon is taken down. */
        static char text[128];
        int silent, fds[5], other;

        (void) snprintf(address.un.sun_path, sizeof(address.un.sun_path), "%s/pid1", w->dir);
        (void) snprintf(text, sizeof(text), "unix:path=%s/pid1", w->dir);
        silent = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_ok(bind(silent, &address.sa, sizeof(address)));
        assert_ok(listen(silent, 16));
        unit_users_set_query(w->fixture->manager->unit_users, NULL, NULL);
        unit_users_set_address(w->fixture->manager->unit_users, text);
        w->fixture->manager->config.limit[LIMIT_OWNER_CONNECTIONS] = ELEMENTSOF(fds) - 1;
        manager_apply_config(w->fixture->manager);

        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                fds[i] = connect_as_user(w, "a.service");
        other = connect_as_user(w, "b.service");
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                assert_int_equal(was_closed(fds[i]), i == ELEMENTSOF(fds) - 1);
        assert_false(was_closed(other));

        close_many(fds, ELEMENTSOF(fds));
        close(other);
        close(silent);
        (void) unlink(address.un.sun_path);
}

#define T(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                T(test_who_is_who),
                T(test_names_of_owners),
                T(test_naming_an_owner),
                T(test_list),
                T(test_tree_of_root),
                T(test_limits_of_users),
                T(test_pid1_is_asked),
                T(test_share_while_waiting),
        };

        if (geteuid() != 0) {
                puts("1..0 # SKIP only root can become other users");
                return 0;
        }
        return cmocka_run_group_tests_name("owners", tests, NULL, NULL);
}
