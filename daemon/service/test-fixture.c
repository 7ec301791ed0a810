/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "test-fixture.h"

static const MessageLimits client_limits = {
        .message_bytes = GIB(1),
        .message_fds = 10000,
        .output_bytes = GIB(1),
};

static void on_entry(const char *message, const char *message_id, const JournalFields *fields, void *userdata) {
        Fixture *f = userdata;

        f->n_entries++;
        (void) snprintf(f->entry, sizeof(f->entry), "%s", message);
        (void) snprintf(f->entry_id, sizeof(f->entry_id), "%s", message_id);
        (void) snprintf(f->entry_node, sizeof(f->entry_node), "%s", fields->node ?: "");
        (void) snprintf(f->entry_owner, sizeof(f->entry_owner), "%s", fields->owner ?: "");
        f->entry_fields = *fields;
}

static void start(Fixture *f) {
        assert_ok(manager_new(&f->device, &f->manager));
        assert_ok(manager_use_own_tree_worker(f->manager));
        f->manager->tree_hold_usec = 0;
        varlink_server_set_check_replies(f->manager->server, true);
}

int fixture_setup(void **state) {
        Fixture *f = calloc(1, sizeof(Fixture));
        struct rlimit nofile;

        /* Both ends of many connections are here, and a login has 1024 descriptors. */
        assert_ok(getrlimit(RLIMIT_NOFILE, &nofile));
        nofile.rlim_cur = nofile.rlim_max;
        assert_ok(setrlimit(RLIMIT_NOFILE, &nofile));

        f->mock = mock_new();
        f->device = mock_device(f->mock);
        journal_set_sink(on_entry, f);
        start(f);
        *state = f;
        return 0;
}

int fixture_teardown(void **state) {
        Fixture *f = *state;

        fixture_run(f);
        assert_int_equal(varlink_server_connections(f->manager->server), 0);
        assert_int_equal(mock_n_handles(f->mock), 0);
        manager_free(f->manager);
        mock_free(f->mock);
        journal_set_sink(NULL, NULL);
        free(f);
        return 0;
}

void fixture_restart(Fixture *f) {
        f->manager = manager_free(f->manager);
        assert_int_equal(mock_n_handles(f->mock), 0);
        start(f);
}

void fixture_run(Fixture *f) {
        int r;

        do {
                r = sd_event_run(f->manager->event, 0);
                assert_ok(r);
        } while (r > 0);
}

void fixture_wait_closed(Fixture *f) {
        for (unsigned i = 0; i < 6000 && closer_pending() > 0; i++)
                assert_ok(sd_event_run(f->manager->event, 10000));
        assert_int_equal(closer_pending(), 0);
}

Client *client_new(Fixture *f) {
        Client *c = calloc(1, sizeof(Client));
        int fds[2];

        assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
        c->fixture = f;
        assert_ok(message_stream_new(fds[0], &client_limits, NULL, &c->stream));
        (void) varlink_server_add_connection(f->manager->server, fds[1], &c->link);
        return c;
}

Client *client_new_as(Fixture *f, uid_t uid, const char *owner) {
        Peer peer = { .uid = uid, .gid = uid, .pid = getpid(), .pidfd = -EBADF, .owner = strdup(owner) };
        Client *c;

        f->manager->accepted = &peer;
        c = client_new(f);
        f->manager->accepted = NULL;
        return c;
}

Client *client_free(Client *c) {
        Fixture *f = c->fixture;

        message_stream_free(c->stream);
        free(c);
        fixture_run(f);
        return NULL;
}

void client_send_raw(Client *c, const void *data, size_t n) {
        const char *p = data;

        while (n > 0) {
                ssize_t k = send(message_stream_fd(c->stream), p, n, MSG_DONTWAIT | MSG_NOSIGNAL);

                if (k < 0) {
                        assert_int_equal(errno, EAGAIN);
                        fixture_run(c->fixture);
                        continue;
                }
                p += k;
                n -= (size_t) k;
        }
}

void client_send(Client *c, const char *text, const int *fds, size_t n_fds) {
        _cleanup_free_ int *copies = malloc((n_fds + 1) * sizeof(int));
        int r;

        for (size_t i = 0; i < n_fds; i++)
                copies[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
        assert_ok(message_stream_queue(c->stream, text, strlen(text), copies, n_fds));
        while ((r = message_stream_flush(c->stream)) > 0)
                fixture_run(c->fixture);
        assert_ok(r);
}

struct json_object *client_receive(Client *c, int *fds, size_t *n_fds) {
        for (;;) {
                _cleanup_message_ Message m = {};
                struct json_object *o;
                size_t size;
                int r;

                r = message_stream_next(c->stream, &m, &size);
                assert_ok(r);
                if (r > 0) {
                        assert_ok(json_parse_own(m.text, m.length, &o, NULL));
                        if (fds) {
                                if (m.n_fds > 0)
                                        memcpy(fds, m.fds, m.n_fds * sizeof(int));
                                *n_fds = TAKE(m.n_fds, 0);
                        } else
                                assert_int_equal(m.n_fds, 0);
                        return o;
                }

                fixture_run(c->fixture);
                r = message_stream_read(c->stream);
                if (r == 0 || r == -ECONNRESET)
                        return NULL;
                if (r == -EAGAIN)
                        fail_msg("nothing comes, and the manager has nothing to do");
                assert_ok(r);
        }
}

bool client_is_silent(Client *c) {
        fixture_run(c->fixture);
        return !message_stream_pending(c->stream) && message_stream_read(c->stream) == -EAGAIN;
}

struct json_object *client_call_fds(Client *c, const char *text, const int *fds, size_t n_fds) {
        struct json_object *o;

        client_send(c, text, fds, n_fds);
        o = client_receive(c, NULL, NULL);
        assert_non_null(o);
        return o;
}

struct json_object *client_call(Client *c, const char *text) {
        return client_call_fds(c, text, NULL, 0);
}

void client_expect_error(Client *c, const char *text, const char *error) {
        _cleanup_json_ struct json_object *reply = client_call(c, text);

        assert_error(reply, error, NULL, NULL);
}

struct json_object *reply_parameters(struct json_object *reply) {
        if (json_get_string(reply, "error"))
                fail_msg("unexpected error: %s", json_object_to_json_string(reply));
        return json_get(reply, "parameters");
}

void assert_error(struct json_object *reply, const char *error, const char *key, const char *value) {
        const char *e = json_get_string(reply, "error");

        if (!e || !streq(e, error))
                fail_msg("expected %s, not %s", error, json_object_to_json_string(reply));
        if (key)
                assert_string_equal(json_get_string(json_get(reply, "parameters"), key), value);
}

void store_inline(Client *c, const char *name) {
        _cleanup_json_ struct json_object *reply = NULL;
        char text[512];

        (void) snprintf(text, sizeof(text),
                        CALL("Store", "{\"name\":\"%s\",\"objects\":[{\"name\":\"o\",\"data\":\"Zm9v\"}]}"), name);
        reply = client_call(c, text);
        assert_true(json_get_int(reply_parameters(reply), "id", 0) > 0);
}
