/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls StoreTree and RestoreTree as clients do. Needs a tmpfs at /dev/shm. */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "pkram-messages.h"
#include "test-fixture.h"
#include "tree-call.h"
#include "tree-files.h"
#include "tree-target.h"

typedef struct Trees {
        Fixture *f;
        char from[64], to[64];
        int from_fd, to_fd;
} Trees;

static void make_directory(char path[64], int *ret_fd) {
        (void) snprintf(path, 64, "/dev/shm/pkram-test.XXXXXX");
        assert_non_null(mkdtemp(path));
        *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_ok(*ret_fd);
}

static void remove_directory(const char *path, int *fd) {
        char command[128];

        *fd = safe_close(*fd);
        (void) snprintf(command, sizeof(command), "rm -rf '%s'", path);
        assert_int_equal(system(command), 0);
}

static int setup(void **state) {
        Trees *t = calloc(1, sizeof(Trees));

        void *f;

        assert_int_equal(fixture_setup(&f), 0);
        t->f = f;
        make_directory(t->from, &t->from_fd);
        make_directory(t->to, &t->to_fd);
        *state = t;
        return 0;
}

static int teardown(void **state) {
        Trees *t = *state;
        void *f = t->f;

        assert_int_equal(fixture_teardown(&f), 0);
        remove_directory(t->from, &t->from_fd);
        remove_directory(t->to, &t->to_fd);
        free(t);
        return 0;
}

static void add_file(int dir, const char *name, size_t size, char c) {
        _cleanup_close_ int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
        _cleanup_free_ char *data = malloc(size + 1);

        assert_ok(fd);
        memset(data, c, size);
        assert_int_equal(write(fd, data, size), size);
}

static void assert_file(int dir, const char *name, size_t size, char c) {
        _cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
        _cleanup_free_ char *data = malloc(size + 1);
        struct stat st;

        assert_ok(fd);
        assert_ok(fstat(fd, &st));
        assert_int_equal(st.st_mode & 07777, 0640);
        assert_int_equal(read(fd, data, size + 1), size);
        for (size_t i = 0; i < size; i++)
                assert_int_equal(data[i], c);
}

static void add_files(Trees *t) {
        add_file(t->from_fd, "small", 10, 's');
        add_file(t->from_fd, "large", 200000, 'l');
        assert_ok(mkdirat(t->from_fd, "d", 0755));
        assert_ok(symlinkat("..", t->from_fd, "d/link"));
}

static void check_files(Trees *t) {
        char target[8];

        assert_file(t->to_fd, "small", 10, 's');
        assert_file(t->to_fd, "large", 200000, 'l');
        assert_int_equal(readlinkat(t->to_fd, "d/link", target, sizeof(target)), 2);
}

#define STORE CALL("StoreTree", "{\"name\":\"n\",\"directory\":0,\"verify\":true}")
#define STORE_AGAIN CALL("StoreTree", "{\"name\":\"n\",\"directory\":0,\"replace\":true}")
#define RESTORE CALL("RestoreTree", "{\"name\":\"n\",\"directory\":0}")
#define RESTORE_AND_KEEP CALL("RestoreTree", "{\"name\":\"n\",\"directory\":0,\"keep\":true}")

/* Starts the next kernel and its daemon, and connects two clients: one that calls, and one that monitors events. */
static void kexec_and_reconnect(Fixture *f, Client **c, Client **monitor) {
        mock_kexec(f->mock);
        fixture_restart(f);
        client_freep(monitor);
        client_freep(c);
        *c = client_new(f);
        *monitor = client_new(f);
        client_send(*monitor, "{\"method\":\"io.pkram.Store.Monitor\",\"more\":true}", NULL, 0);
        json_object_unref(client_receive(*monitor, NULL, NULL));
}

static void test_store_and_restore(void **state) {
        Trees *t = *state;
        _cleanup_(client_freep) Client *c = client_new(t->f), *monitor = client_new(t->f);
        _cleanup_json_ struct json_object *stored = NULL, *restored = NULL, *e0 = NULL, *e1 = NULL, *e2 = NULL,
                *e3 = NULL;

        client_send(monitor, "{\"method\":\"io.pkram.Store.Monitor\",\"more\":true}", NULL, 0);
        e0 = client_receive(monitor, NULL, NULL);

        add_files(t);
        stored = client_call_fds(c, STORE, &t->from_fd, 1);
        assert_int_equal(json_get_int(reply_parameters(stored), "id", -1), 1);
        assert_int_equal(json_get_int(reply_parameters(stored), "objects", -1), 3);
        assert_true(json_get_int(reply_parameters(stored), "bytes", -1) > 200000);
        assert_string_equal(t->f->entry_id, PKRAM_MESSAGE_STORED_STR);
        assert_string_equal(t->f->entry_node, "n");
        e1 = client_receive(monitor, NULL, NULL);
        assert_string_equal(json_get_string(reply_parameters(e1), "event"), "stored");

        kexec_and_reconnect(t->f, &c, &monitor);

        restored = client_call_fds(c, RESTORE, &t->to_fd, 1);
        assert_true(json_get_bool(reply_parameters(restored), "verified", false));
        assert_string_equal(json_get_string(json_get(reply_parameters(restored), "node"), "name"), "n");
        check_files(t);
        assert_int_equal(mock_n_nodes(t->f->mock), 0);
        e2 = client_receive(monitor, NULL, NULL);
        assert_string_equal(json_get_string(reply_parameters(e2), "event"), "retrieved");
        e3 = client_receive(monitor, NULL, NULL);
        assert_string_equal(json_get_string(reply_parameters(e3), "event"), "released");
}

/* With keep, the node stays until it is released, so that a client that dies before that can restore it again. */
static void test_restore_and_keep(void **state) {
        Trees *t = *state;
        _cleanup_(client_freep) Client *c = client_new(t->f), *monitor = NULL;
        _cleanup_json_ struct json_object *stored = NULL, *kept = NULL, *again = NULL, *released = NULL, *e1 = NULL,
                *e2 = NULL, *e3 = NULL;

        add_files(t);
        stored = client_call_fds(c, STORE, &t->from_fd, 1);
        assert_int_equal(json_get_int(reply_parameters(stored), "id", -1), 1);
        kexec_and_reconnect(t->f, &c, &monitor);

        kept = client_call_fds(c, RESTORE_AND_KEEP, &t->to_fd, 1);
        assert_string_equal(json_get_string(json_get(reply_parameters(kept), "node"), "name"), "n");
        check_files(t);
        assert_int_equal(mock_n_nodes(t->f->mock), 1);

        /* The first client died before it used the directory. */
        assert_ok(tree_remove_contents(t->to_fd));
        again = client_call_fds(c, RESTORE_AND_KEEP, &t->to_fd, 1);
        assert_true(json_get_bool(reply_parameters(again), "verified", false));
        check_files(t);
        assert_int_equal(mock_n_nodes(t->f->mock), 1);

        released = client_call(c, CALL("Release", "{\"name\":\"n\"}"));
        assert_null(json_get(released, "error"));
        assert_int_equal(mock_n_nodes(t->f->mock), 0);
        check_files(t);

        e1 = client_receive(monitor, NULL, NULL);
        assert_string_equal(json_get_string(reply_parameters(e1), "event"), "retrieved");
        e2 = client_receive(monitor, NULL, NULL);
        assert_string_equal(json_get_string(reply_parameters(e2), "event"), "retrieved");
        e3 = client_receive(monitor, NULL, NULL);
        assert_string_equal(json_get_string(reply_parameters(e3), "event"), "released");
}

/* Calls with more, and receives all replies. Returns the last one. *ret_done and *ret_total are the progress in the
 * reply before it, or -1. */
static struct json_object *call_with_progress(Client *c, const char *call, int fd, int64_t *ret_done,
                                              int64_t *ret_total) {
        *ret_done = *ret_total = -1;
        client_send(c, call, &fd, 1);
        for (;;) {
                struct json_object *reply = client_receive(c, NULL, NULL), *progress;

                assert_non_null(reply);
                if (!json_get_bool(reply, "continues", false))
                        return reply;
                progress = json_get(reply_parameters(reply), "progress");
                assert_int_equal(json_object_object_length(reply_parameters(reply)), 1);
                assert_true(json_get_int(progress, "done", -1) >= *ret_done);
                *ret_done = json_get_int(progress, "done", -1);
                *ret_total = json_get_int(progress, "total", -1);
                json_object_put(reply);
        }
}

#define WITH_MORE(method, parameters) \
        "{\"method\":\"io.pkram.Store." method "\",\"more\":true,\"parameters\":" parameters "}"

static void test_progress(void **state) {
        Trees *t = *state;
        _cleanup_(client_freep) Client *c = client_new(t->f);
        _cleanup_json_ struct json_object *r1 = NULL, *r2 = NULL;
        int64_t done, total;

        add_file(t->from_fd, "large", 200000, 'l');
        for (unsigned i = 0; i < 1000; i++) {
                char name[16];

                (void) snprintf(name, sizeof(name), "%u", i);
                add_file(t->from_fd, name, 100, 's');
        }

        r1 = call_with_progress(c, WITH_MORE("StoreTree", "{\"name\":\"n\",\"directory\":0,\"verify\":true}"),
                                t->from_fd, &done, &total);
        assert_int_equal(json_get_int(reply_parameters(r1), "id", -1), 1);
        assert_null(json_get(reply_parameters(r1), "progress"));
        assert_true(done > 0 && done < 2000 * 4096);
        assert_int_equal(total, -1); /* unknown, as the directory is only a part of its tmpfs */

        mock_kexec(t->f->mock);
        r2 = call_with_progress(c, WITH_MORE("RestoreTree", "{\"name\":\"n\",\"directory\":0}"), t->to_fd, &done,
                                &total);
        assert_true(json_get_bool(reply_parameters(r2), "verified", false));
        /* On a busy machine the last progress reply may come when everything is done. */
        assert_true(done > 0 && done <= total);
        assert_int_equal(total, 49 * 4096 + 1000 * 100);
        assert_file(t->to_fd, "999", 100, 's');
}

static void test_wrong_descriptors(void **state) {
        Trees *t = *state;
        _cleanup_(client_freep) Client *c = client_new(t->f);
        static const char *const calls[] = {
                CALL("StoreTree", "{\"name\":\"n\",\"directory\":0}"),
                CALL("StoreTree", "{\"name\":\"n\",\"directory\":-1}"),
                CALL("StoreTree", "{\"name\":\"n\",\"directory\":4294967296}"),
                CALL("RestoreTree", "{\"name\":\"n\",\"directory\":0}"),
        };

        for (size_t i = 0; i < ELEMENTSOF(calls); i++) {
                _cleanup_json_ struct json_object *r = client_call(c, calls[i]);

                assert_error(r, "org.varlink.service.InvalidParameter", "parameter", "directory");
        }

        _cleanup_close_ int memfd = make_memfd(10, 1);
        _cleanup_json_ struct json_object *r = client_call_fds(c,
                                                               CALL("StoreTree", "{\"name\":\"n\",\"directory\":0}"),
                                                               &memfd, 1);
        assert_error(r, ERROR("NotPreservable"), NULL, NULL);
}

static void test_errors(void **state) {
        Trees *t = *state;
        _cleanup_(client_freep) Client *c = client_new(t->f);
        _cleanup_json_ struct json_object *r1 = NULL, *r2 = NULL, *r3 = NULL, *r4 = NULL, *r5 = NULL;

        r1 = client_call_fds(c, RESTORE, &t->to_fd, 1);
        assert_error(r1, ERROR("NoSuchNode"), "name", "n");
        r2 = client_call_fds(c, CALL("StoreTree", "{\"name\":\"a/b\",\"directory\":0}"), &t->from_fd, 1);
        assert_error(r2, ERROR("InvalidName"), NULL, NULL);

        client_expect_error(c, CALL("StoreTree", "{\"name\":\"n\"}"), "org.varlink.service.InvalidParameter");
        r3 = client_call(c, CALL("Store", "{\"name\":\"n\",\"objects\":[{\"data\":\"\"}]}"));
        (void) reply_parameters(r3);
        r4 = client_call_fds(c, RESTORE, &t->to_fd, 1);
        assert_error(r4, ERROR("WrongKind"), "name", "n");
        r5 = client_call_fds(c, STORE, &t->from_fd, 1);
        assert_error(r5, ERROR("NodeExists"), "name", "n");
}

/* Sends a call and runs the event loop for a number of steps. */
static Client *begin(Trees *t, const char *call, int fd, unsigned steps) {
        Client *c = client_new(t->f);

        client_send(c, call, &fd, 1);
        for (unsigned i = 0; i < steps; i++)
                (void) sd_event_run(t->f->manager->event, 0);
        return c;
}

/* Whenever a client dies, nothing may be left behind, and nothing may be lost. */
static void test_client_dies(void **state) {
        Trees *t = *state;
        unsigned n;

        add_files(t);
        for (n = 0; mock_n_nodes(t->f->mock) == 0; n++) {
                client_free(begin(t, STORE, t->from_fd, n));
                mock_kexec(t->f->mock);
        }
        assert_true(n > 3);

        for (n = 0; mock_n_nodes(t->f->mock) == 1; n++) {
                struct stat st;

                assert_ok(fstat(t->to_fd, &st));
                assert_int_equal(st.st_nlink, 2);
                client_free(begin(t, RESTORE, t->to_fd, n));
                mock_kexec(t->f->mock);
        }
        assert_true(n > 3);
        check_files(t);
}

static void expect_failure(Client *c, const char *error, const char *word) {
        _cleanup_json_ struct json_object *r = client_receive(c, NULL, NULL);

        assert_non_null(r);
        assert_error(r, error, NULL, NULL);
        assert_true(streq(error, ERROR("TryAgain")) || json_get_int(json_get(r, "parameters"), "errno", 0) > 0);
        assert_non_null(strstr(json_get_string(json_get(r, "parameters"), "reason"), word));
}

/* The same as begin(), but counts the steps from the moment when the worker has been called. */
static Client *begin_at_worker(Trees *t, const char *call, int fd, unsigned steps) {
        Client *c = begin(t, call, fd, 0);

        while (!t->f->manager->tree_slots)
                assert_ok(sd_event_run(t->f->manager->event, 1000));
        for (unsigned i = 0; i < steps; i++)
                (void) sd_event_run(t->f->manager->event, 0);
        return c;
}

static void test_worker_dies(void **state) {
        Trees *t = *state;
        Manager *m = t->f->manager;
        Client *c;

        /* Only a few steps, as the call must not be over before the worker dies. */
        add_files(t);
        for (unsigned n = 0; n < 3; n++) {
                c = begin_at_worker(t, STORE, t->from_fd, n);
                m->tree_worker = tree_worker_free(m->tree_worker);
                expect_failure(c, ERROR("Unexpected"), "terminated unexpectedly");
                client_free(c);
                assert_int_equal(mock_n_nodes(t->f->mock), 0);
                assert_ok(manager_use_own_tree_worker(m));
        }

        c = begin(t, STORE, t->from_fd, 0);
        json_object_unref(client_receive(c, NULL, NULL));
        client_free(c);
        mock_kexec(t->f->mock);
        for (unsigned n = 0; n < 3; n++) {
                struct stat st;

                c = begin_at_worker(t, RESTORE, t->to_fd, n);
                m->tree_worker = tree_worker_free(m->tree_worker);
                expect_failure(c, ERROR("Unexpected"), "terminated unexpectedly");
                client_free(c);
                assert_int_equal(mock_n_nodes(t->f->mock), 1);
                assert_ok(fstat(t->to_fd, &st));
                assert_int_equal(st.st_nlink, 2);
                assert_ok(manager_use_own_tree_worker(m));
                mock_kexec(t->f->mock);
        }

        c = begin(t, RESTORE, t->to_fd, 0);
        json_object_unref(client_receive(c, NULL, NULL));
        client_free(c);
        check_files(t);
}

/* --- workers that are killed --- */

/* Workers in processes of their own. The first one is killed after steps turns of its event loop. */
typedef struct Forker {
        Trees *trees;
        unsigned steps;
        unsigned n;
        pid_t pids[8];
} Forker;

static __attribute__((__noreturn__)) void worker_run(Forker *f, int fd) {
        sd_event *event;
        TreeWorker *w;
        struct stat st;

        /* A worker has no connection other than its own. */
        for (int i = 3; i < 1024; i++)
                if (i != fd && fstat(i, &st) >= 0 && S_ISSOCK(st.st_mode))
                        (void) close(i);
        if (sd_event_new(&event) < 0 || tree_worker_new(event, &f->trees->f->device, &w) < 0)
                _exit(1);
        tree_worker_set_exit_on_idle(w, true);
        if (tree_worker_add_connection(w, fd) < 0)
                _exit(1);
        for (unsigned i = 0; (f->n > 1 || i < f->steps) && sd_event_get_state(event) != SD_EVENT_FINISHED; i++)
                if (sd_event_run(event, UINT64_MAX) < 0)
                        _exit(1);
        if (f->n == 1 && sd_event_get_state(event) != SD_EVENT_FINISHED)
                (void) raise(SIGKILL);
        _exit(0);
}

static int worker_fork(int fd, void *userdata) {
        Forker *f = userdata;
        pid_t pid;

        assert_true(f->n < ELEMENTSOF(f->pids));
        pid = fork();
        assert_ok(pid);
        f->pids[f->n++] = pid;
        if (pid == 0)
                worker_run(f, fd);
        close(fd);
        return 0;
}

/* Waits for a reply that may depend on other processes. */
static void wait_for_reply(Client *c) {
        while (!message_stream_pending(c->stream)) {
                assert_ok(sd_event_run(c->fixture->manager->event, 10000));
                (void) message_stream_read(c->stream);
        }
}

static void wait_for_workers(Forker *f) {
        while (f->trees->f->manager->tree_slots)
                assert_ok(sd_event_run(f->trees->f->manager->event, 10000));
        for (unsigned i = 0; i < f->n; i++)
                assert_int_equal(waitpid(f->pids[i], NULL, 0), f->pids[i]);
}

/* Gives the directory attributes that differ from the default. */
static void to_prepare(Trees *t, struct stat *ret) {
        const struct timespec times[] = { { 1000000000, 1 }, { 1000000001, 2 } };

        if (geteuid() == 0)
                assert_ok(fchown(t->to_fd, 1000, 1001));
        assert_ok(fchmod(t->to_fd, 0751));
        assert_ok(futimens(t->to_fd, times));
        assert_ok(fstat(t->to_fd, ret));
}

static void assert_as_before(Trees *t, const struct stat *before) {
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ char *names = NULL;
        struct stat st;
        size_t size;

        assert_ok(fstat(t->to_fd, &st));
        assert_int_equal(st.st_uid, before->st_uid);
        assert_int_equal(st.st_gid, before->st_gid);
        assert_int_equal(st.st_mode, before->st_mode);
        assert_int_equal(st.st_mtim.tv_sec, before->st_mtim.tv_sec);
        assert_int_equal(st.st_mtim.tv_nsec, before->st_mtim.tv_nsec);
        assert_ok(tree_open_directory(t->to_fd, ".", &fd));
        assert_ok(tree_read_names(fd, &names, &size));
        assert_int_equal(size, 0);
}

static void store_large_tree(Trees *t) {
        Client *c;

        add_files(t);
        for (unsigned i = 0; i < 800; i++) {
                char name[16];

                (void) snprintf(name, sizeof(name), "d/%u", i);
                add_file(t->from_fd, name, 100, 's');
        }
        c = begin(t, STORE, t->from_fd, 0);
        json_object_unref(client_receive(c, NULL, NULL));
        client_free(c);
        assert_int_equal(mock_n_nodes(t->f->mock), 1);
        mock_kexec(t->f->mock);
}

/* Whenever a worker is killed, the directory is put back before the client gets the error. */
static void test_worker_is_killed(void **state) {
        Trees *t = *state;
        unsigned n, n_put_back = 0;
        struct stat before;

        store_large_tree(t);
        to_prepare(t, &before);
        for (n = 0;; n++) {
                Forker f = { .trees = t, .steps = n };
                _cleanup_(client_freep) Client *c = NULL;
                _cleanup_json_ struct json_object *r = NULL;
                bool done;

                t->f->manager->tree_connect = worker_fork;
                t->f->manager->tree_connect_userdata = &f;
                c = begin(t, RESTORE_AND_KEEP, t->to_fd, 0);
                wait_for_reply(c);
                r = client_receive(c, NULL, NULL);
                assert_non_null(r);
                done = !json_get(r, "error");
                if (!done) {
                        assert_error(r, ERROR("Unexpected"), NULL, NULL);
                        assert_as_before(t, &before);
                        assert_int_equal(mock_n_nodes(t->f->mock), 1);
                }
                n_put_back += f.n == 2;
                wait_for_workers(&f);
                if (done)
                        break;
        }
        assert_true(n > 5);
        assert_true(n_put_back >= 3);
        assert_file(t->to_fd, "d/799", 100, 's');
}

/* The same if the client has hung up, so that only pkramd waits for the directory. */
static void test_worker_is_killed_for_nobody(void **state) {
        Trees *t = *state;
        unsigned n_put_back = 0;
        struct stat before;

        store_large_tree(t);
        to_prepare(t, &before);
        for (unsigned n = 2; n < 6; n++) {
                Forker f = { .trees = t, .steps = n };
                Client *c;

                t->f->manager->tree_connect = worker_fork;
                t->f->manager->tree_connect_userdata = &f;
                c = begin_at_worker(t, RESTORE_AND_KEEP, t->to_fd, 0);
                /* The worker is dead, but pkramd does not know that yet. */
                assert_int_equal(waitid(P_PID, (id_t) f.pids[0], &(siginfo_t) {}, WEXITED | WNOWAIT), 0);
                client_free(c);
                wait_for_workers(&f);
                n_put_back += f.n == 2;
                assert_as_before(t, &before);
                assert_int_equal(mock_n_nodes(t->f->mock), 1);
        }
        assert_true(n_put_back >= 1);
}

/* Keeps the connection for the test, which acts as the worker. Refuses if there is a connection already. */
static int worker_hold(int fd, void *userdata) {
        int *held = userdata;

        if (*held >= 0)
                return -ECONNREFUSED;
        *held = fd;
        return 0;
}

/* What pkramd does for each state of the directory in which a worker can be killed. */
static void test_states_of_killed_workers(void **state) {
        Trees *t = *state;
        static const struct {
                TreeTargetState state;
                bool removed; /* the node */
                bool restored, emptied, put_back;
        } cases[] = {
                { TREE_TARGET_UNTOUCHED,  .removed = false },
                { TREE_TARGET_LOCKED,     .removed = false, .put_back = true },
                { TREE_TARGET_FILLED,     .removed = false, .emptied = true, .put_back = true },
                { TREE_TARGET_COMMITTING, .removed = false, .emptied = true, .put_back = true },
                { TREE_TARGET_COMMITTING, .removed = true,  .restored = true },
                { TREE_TARGET_DONE,       .removed = false, .restored = true },
        };
        struct stat before;

        to_prepare(t, &before);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(client_freep) Client *c = NULL, *other = client_new(t->f);
                _cleanup_json_ struct json_object *stored = NULL, *call = NULL, *r = NULL, *refused = NULL;
                _cleanup_message_ Message m = {};
                MessageStream *worker;
                struct stat st;
                int fd = -EBADF;
                size_t size;

                stored = client_call_fds(c = client_new(t->f), STORE, &t->from_fd, 1);
                (void) reply_parameters(stored);
                client_freep(&c);

                t->f->manager->tree_connect = worker_hold;
                t->f->manager->tree_connect_userdata = &fd;
                c = begin_at_worker(t, RESTORE, t->to_fd, 0);
                assert_ok(message_stream_new(fd, &(MessageLimits) { .message_bytes = MIB(1), .message_fds = 8 }, NULL,
                                             &worker));
                while (!message_stream_pending(worker))
                        assert_true(message_stream_read(worker) > 0);
                assert_int_equal(message_stream_next(worker, &m, &size), 1);
                assert_ok(json_parse_strict(m.text, m.length, &call, NULL));
                struct json_object *p = json_get(call, "parameters");

                /* Until the first call is over, no other worker gets the directory. */
                refused = client_call_fds(other, RESTORE, &t->to_fd, 1);
                assert_error(refused, ERROR("TryAgain"), NULL, NULL);

                add_file(t->to_fd, "f", 1, 'f');
                assert_ok(fchmod(t->to_fd, 0700));
                TreeTarget target;
                tree_target_init(&target, &before);
                target.state = cases[i].state;
                tree_target_tell(m.fds[json_get_int(p, "lifetime", 0)], &target);
                if (cases[i].removed) {
                        PkramHandle h = { .device = t->f->device, .fd = m.fds[json_get_int(p, "session", 0)] };

                        assert_ok(pkram_load_remove(&h, json_get_string(p, "kernelName")));
                }
                t->f->manager->tree_connect = NULL;
                message_done(&m);
                message_stream_free(worker);

                r = client_receive(c, NULL, NULL);
                assert_non_null(r);
                if (cases[i].restored)
                        assert_string_equal(json_get_string(json_get(reply_parameters(r), "node"), "name"), "n");
                else
                        assert_error(r, ERROR("Unexpected"), NULL, NULL);
                assert_int_equal(mock_n_nodes(t->f->mock), !cases[i].removed);
                assert_ok(fstat(t->to_fd, &st));
                assert_int_equal(st.st_mode & 07777, cases[i].put_back ? 0751 : 0700);
                assert_int_equal(faccessat(t->to_fd, "f", F_OK, 0), cases[i].emptied ? -1 : 0);
                if (cases[i].emptied)
                        assert_as_before(t, &before);

                (void) unlinkat(t->to_fd, "f", 0);
                if (!cases[i].removed) {
                        _cleanup_json_ struct json_object *gone = client_call(other,
                                                                              CALL("Remove", "{\"name\":\"n\"}"));

                        (void) reply_parameters(gone);
                }
        }
}

/* If no worker can be started to put a directory back, the call still ends with an error. */
static void test_no_worker_to_put_back(void **state) {
        Trees *t = *state;
        Forker f = { .trees = t, .steps = 4 };
        Client *c;

        store_large_tree(t);
        t->f->manager->tree_connect = worker_fork;
        t->f->manager->tree_connect_userdata = &f;
        c = begin_at_worker(t, RESTORE, t->to_fd, 0);
        int held = 0; /* makes worker_hold() refuse */
        t->f->manager->tree_connect = worker_hold;
        t->f->manager->tree_connect_userdata = &held;
        wait_for_reply(c);
        expect_failure(c, ERROR("Unexpected"), "terminated unexpectedly");
        client_free(c);
        wait_for_workers(&f);
        assert_int_equal(mock_n_nodes(t->f->mock), 1);
}

/* Replaces the worker by one whose event loop does not run, like a process that is busy. */
static sd_event *replace_worker_by_busy_one(Trees *t) {
        Manager *m = t->f->manager;
        sd_event *event;

        tree_worker_free(m->tree_worker);
        assert_ok(sd_event_new(&event));
        assert_ok(tree_worker_new(event, &t->f->device, &m->tree_worker));
        return event;
}

static void end_busy_worker(Trees *t, sd_event *event) {
        Manager *m = t->f->manager;

        m->tree_worker = tree_worker_free(m->tree_worker);
        sd_event_unref(event);
        fixture_run(t->f);
        assert_null(m->tree_slots);
        assert_ok(manager_use_own_tree_worker(m));
}

static Client *begin_as(Trees *t, uid_t uid) {
        char owner[32];
        Client *c;

        (void) snprintf(owner, sizeof(owner), "uid:%u", uid);
        /* The directory belongs to the user. */
        if (geteuid() == 0)
                assert_ok(fchown(t->from_fd, uid, uid));
        c = client_new_as(t->f, uid == 0 || geteuid() == 0 ? uid : geteuid(), owner);
        client_send(c, STORE_AGAIN, &t->from_fd, 1);
        fixture_run(t->f);
        return c;
}

static void test_too_many_at_once(void **state) {
        Trees *t = *state;
        sd_event *busy = replace_worker_by_busy_one(t);
        Client *c[TREE_CALLS_PER_OWNER + 1], *root;

        for (unsigned i = 0; i < ELEMENTSOF(c); i++)
                c[i] = begin_as(t, 1000);
        expect_failure(c[TREE_CALLS_PER_OWNER], ERROR("TryAgain"), "concurrent tree operations");
        assert_true(client_is_silent(c[0]));

        /* If a client hangs up, its worker goes on, and still counts. */
        for (unsigned i = 0; i < ELEMENTSOF(c); i++)
                client_free(c[i]);
        for (unsigned i = 0; i < 100; i++) {
                c[0] = begin_as(t, 1000);
                expect_failure(c[0], ERROR("TryAgain"), "concurrent tree operations");
                client_free(c[0]);
        }

        /* After the workers have exited, calls are accepted again. */
        end_busy_worker(t, busy);
        root = begin(t, STORE, t->from_fd, 0);
        json_object_unref(client_receive(root, NULL, NULL));
        client_free(root);
        assert_int_equal(mock_n_nodes(t->f->mock), 1);
}

static void test_slots_for_root(void **state) {
        Trees *t = *state;
        sd_event *busy = replace_worker_by_busy_one(t);
        Client *c[TREE_CALLS_MAX], *root[TREE_CALLS_FOR_ROOT], *last;
        unsigned n = 0;

        /* Many users, each within its own limit. */
        for (unsigned i = 0; i < ELEMENTSOF(c); i++) {
                c[i] = begin_as(t, 1000 + i % 20);
                n += client_is_silent(c[i]);
        }
        assert_int_equal(n, TREE_CALLS_MAX - TREE_CALLS_FOR_ROOT);

        for (unsigned i = 0; i < ELEMENTSOF(root); i++) {
                root[i] = begin_as(t, 0);
                assert_true(client_is_silent(root[i]));
        }
        last = begin_as(t, 0);
        expect_failure(last, ERROR("TryAgain"), "Too many trees");

        client_free(last);
        for (unsigned i = 0; i < ELEMENTSOF(c); i++)
                client_free(c[i]);
        for (unsigned i = 0; i < ELEMENTSOF(root); i++)
                client_free(root[i]);
        end_busy_worker(t, busy);
}

/* For a descriptor that is not a tmpfs directory owned by the user, neither a worker nor a session is opened. */
static void test_wrong_places_take_no_worker(void **state) {
        static const char *const paths[] = { "/", "/proc", "/dev/null", "/dev/shm" };
        Trees *t = *state;
        _cleanup_(client_freep) Client *c = client_new_as(t->f, 1000, "uid:1000"),
                *root = client_new_as(t->f, 0, OWNER_ROOT);

        t->f->manager->tree_hold_usec = 10 * USEC_PER_SEC;
        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                _cleanup_close_ int fd = open(paths[i], O_RDONLY | O_CLOEXEC);
                bool tmpfs = i + 1 == ELEMENTSOF(paths);
                unsigned begins;

                assert_ok(fd);
                mock_fail(t->f->mock, PKRAM_IOC_SAVE_BEGIN, UINT_MAX, -EIO);
                for (unsigned k = 0; k < 2 * TREE_CALLS_PER_OWNER; k++) {
                        _cleanup_json_ struct json_object *store = client_call_fds(c, STORE, &fd, 1);
                        _cleanup_json_ struct json_object *restore = client_call_fds(c, RESTORE, &fd, 1);

                        assert_error(store, ERROR("NotPreservable"), NULL, NULL);
                        assert_error(restore, tmpfs ? DENIED : ERROR("BadDirectory"), NULL, NULL);
                }
                if (!tmpfs) {
                        _cleanup_json_ struct json_object *r = client_call_fds(root, STORE, &fd, 1);

                        assert_error(r, ERROR("NotPreservable"), NULL, NULL);
                }
                begins = mock_calls(t->f->mock);
                assert_int_equal(begins, 0);
                assert_null(t->f->manager->tree_slots);
        }
}

/* A user cannot start many workers in a short time, no matter how fast the workers exit. */
static void test_rate_of_workers(void **state) {
        Trees *t = *state;
        _cleanup_json_ struct json_object *r = NULL;
        Client *c;

        t->f->manager->tree_hold_usec = 10 * USEC_PER_SEC;
        for (unsigned i = 0; i < TREE_CALLS_PER_OWNER; i++) {
                c = begin_as(t, 1000);
                json_object_put(client_receive(c, NULL, NULL));
                client_free(c);
        }
        c = begin_as(t, 1000);
        expect_failure(c, ERROR("TryAgain"), "concurrent tree operations");
        client_free(c);

        c = begin_as(t, 0);
        r = client_receive(c, NULL, NULL);
        assert_non_null(reply_parameters(r));
        client_free(c);
}

/* The client gets each error of the worker unchanged. */
static void test_errors_of_the_worker(void **state) {
        Trees *t = *state;
        _cleanup_(client_freep) Client *c = client_new(t->f), *alice = client_new_as(t->f, 1000, "uid:1000");
        _cleanup_json_ struct json_object *r1 = NULL, *r2 = NULL, *r3 = NULL, *r4 = NULL, *r5 = NULL, *r6 = NULL,
                *r7 = NULL;

        add_files(t);
        t->f->manager->config.limit[LIMIT_NODE_BYTES] = 100000;
        r1 = client_call_fds(c, STORE, &t->from_fd, 1);
        assert_error(r1, ERROR("QuotaExceeded"), "limit", "NodeBytesMax");
        assert_true(json_get_int(json_get(r1, "parameters"), "requested", 0) > 100000);
        t->f->manager->config.limit[LIMIT_NODE_BYTES] = UINT64_MAX;

        mock_fail(t->f->mock, PKRAM_IOC_SAVE_FILE, 1, -ENOSPC);
        r2 = client_call_fds(c, STORE, &t->from_fd, 1);
        assert_error(r2, ERROR("QuotaExceeded"), "limit", "NextKernelMemory");
        mock_fail(t->f->mock, PKRAM_IOC_SAVE_FILE, 1, -EBUSY);
        r3 = client_call_fds(c, STORE, &t->from_fd, 1);
        assert_error(r3, ERROR("NotPreservable"), NULL, NULL);
        mock_fail(t->f->mock, PKRAM_IOC_SAVE_FILE, 1, -ENOMEM);
        r4 = client_call_fds(c, STORE, &t->from_fd, 1);
        assert_error(r4, ERROR("NoMemory"), NULL, NULL);
        mock_fail(t->f->mock, MOCK_ANY, 0, 0);
        assert_int_equal(mock_n_nodes(t->f->mock), 0);

        if (geteuid() == 0) {
                r5 = client_call_fds(alice, STORE, &t->from_fd, 1);
                assert_error(r5, ERROR("NotPreservable"), NULL, NULL);
                assert_ok(fchown(t->to_fd, 1000, 1000));
                r6 = client_call_fds(alice, CALL("StoreTree", "{\"name\":\"n\",\"directory\":0}"), &t->to_fd, 1);
                (void) reply_parameters(r6);
                r7 = client_call_fds(alice, RESTORE, &t->from_fd, 1);
                assert_error(r7, "org.varlink.service.PermissionDenied", NULL, NULL);
        }
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_store_and_restore),
                T(test_restore_and_keep),
                T(test_progress),
                T(test_wrong_descriptors),
                T(test_errors),
                T(test_client_dies),
                T(test_worker_dies),
                T(test_worker_is_killed),
                T(test_worker_is_killed_for_nobody),
                T(test_states_of_killed_workers),
                T(test_no_worker_to_put_back),
                T(test_too_many_at_once),
                T(test_slots_for_root),
                T(test_wrong_places_take_no_worker),
                T(test_rate_of_workers),
                T(test_errors_of_the_worker),
        };
        struct statfs sfs;

        if (statfs("/dev/shm", &sfs) < 0 || sfs.f_type != 0x01021994) {
                puts("1..0 # SKIP there is no tmpfs at /dev/shm");
                return 0;
        }
        return cmocka_run_group_tests_name("tree-methods", tests, NULL, NULL);
}
