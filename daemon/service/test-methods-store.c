/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Store and Retrieve: what they do, each error they return, and clients that die in between. */
#include <stdio.h>

#include "pkram-messages.h"
#include "test-fixture.h"

static void test_store_and_retrieve_files(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);
        _cleanup_close_ int a = make_memfd(70000, 1), b = make_memfd(3, 2);
        _cleanup_json_ struct json_object *r1 = NULL, *r2 = NULL;
        struct json_object *objects;
        size_t n_fds;
        int fds[8];

        /* Named by index, in any order. */
        r1 = client_call_fds(c, CALL("Store", "{\"name\":\"n\",\"objects\":[{\"name\":\"b\",\"fileDescriptor\":1},"
                                     "{\"fileDescriptor\":0},{\"name\":\"d\",\"data\":\"Zm9vYmFy\"}]}"),
                                     (int[]) { a, b }, 2);
        assert_int_equal(json_get_int(reply_parameters(r1), "id", -1), 1);
        assert_true(json_get_int(reply_parameters(r1), "bytes", -1) > 70000);

        client_send(c, CALL("Retrieve", "{\"name\":\"n\"}"), NULL, 0);
        r2 = client_receive(c, fds, &n_fds);
        objects = json_get_array(reply_parameters(r2), "objects");
        assert_int_equal(n_fds, 2);
        assert_int_equal(json_object_array_length(objects), 3);
        assert_memfd(fds[json_get_int(json_object_array_get_idx(objects, 0), "fileDescriptor", 9)], 3, 2);
        assert_memfd(fds[json_get_int(json_object_array_get_idx(objects, 1), "fileDescriptor", 9)], 70000, 1);
        assert_string_equal(json_get_string(json_object_array_get_idx(objects, 2), "data"), "Zm9vYmFy");
        assert_string_equal(json_get_string(json_object_array_get_idx(objects, 2), "name"), "d");
        close_many(fds, n_fds);
}

static void test_retrieve_again_after_everybody_died(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int a = make_memfd(5000, 1);

        {
                _cleanup_(client_freep) Client *c = client_new(f);
                _cleanup_json_ struct json_object *reply = NULL;

                reply = client_call_fds(c, CALL("Store", "{\"name\":\"n\",\"objects\":[{\"fileDescriptor\":0}]}"), &a,
                                        1);
                assert_non_null(reply_parameters(reply));
        }

        for (unsigned i = 0; i < 3; i++) {
                {
                        _cleanup_(client_freep) Client *c = client_new(f);
                        _cleanup_json_ struct json_object *reply = NULL;
                        size_t n_fds;
                        int fd;

                        client_send(c, CALL("Retrieve", "{\"name\":\"n\"}"), NULL, 0);
                        reply = client_receive(c, &fd, &n_fds);
                        assert_memfd(fd, 5000, 1);
                        close(fd);
                        /* The client dies here, without Release, and so does the daemon. */
                }
                fixture_restart(f);
        }
}

static void test_store_journal(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new_as(f, 1000, "cache.service");

        store_inline(c, "n");
        assert_int_equal(f->n_entries, 1);
        assert_string_equal(f->entry_id, PKRAM_MESSAGE_STORED_STR);
        assert_string_equal(f->entry_node, "n");
        assert_string_equal(f->entry_owner, "cache.service");
        assert_int_equal(f->entry_fields.objects, 1);
        assert_int_equal(f->entry_fields.generation, 0);
        assert_true(f->entry_fields.bytes > 0);
        assert_null(strstr(f->entry, "foo")); /* never what clients stored */

        client_expect_error(c, CALL("Store", "{\"name\":\"n\",\"objects\":[]}"), ERROR("NodeExists"));
        assert_int_equal(f->n_entries, 1);
}

/* Counts entries, and fails on one that has anything of what was stored. */
static void on_entry_with_secret(const char *message, const char *message_id, const JournalFields *fields,
                                 void *userdata) {
        unsigned *n = userdata;

        /* As it is, and in the base64 it came in. */
        assert_null(strstr(message, "s3cret"));
        assert_null(strstr(message, "czNjcmV0"));
        assert_null(strstr(message_id, "s3cret"));
        assert_true(!fields->node || !strstr(fields->node, "s3cret"));
        (*n)++;
}

static void test_nothing_stored_is_logged(void **state) {
        static const char *const calls[] = {
                CALL("Store", "{\"name\":\"n\",\"objects\":[{\"data\":\"czNjcmV0\"},{\"fileDescriptor\":0}],"
                     "\"verify\":true}"),
                CALL("Store", "{\"name\":\"n\",\"objects\":[{\"data\":\"czNjcmV0\"}],\"replace\":true}"),
                CALL("Store", "{\"name\":\"n\",\"objects\":[{\"data\":\"czNjcmV0\"}]}"),
                CALL("Store", "{\"name\":\"n\",\"objects\":[{\"data\":\"czNjcmV0!\"}]}"),
                CALL("Store", "{\"name\":\"n\",\"s3cret\":\"czNjcmV0\"}"),
                "{\"method\":\"s3cret.czNjcmV0\"}",
                CALL("Retrieve", "{\"name\":\"n\",\"inline\":true}"),
                CALL("Release", "{\"name\":\"n\"}"),
        };
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);
        _cleanup_close_ int fd = make_memfd(5000, 1);
        unsigned n = 0;

        assert_int_equal(pwrite(fd, "s3cret", 6, 0), 6);
        journal_set_sink(on_entry_with_secret, &n);
        for (size_t i = 0; i < ELEMENTSOF(calls); i++) {
                _cleanup_json_ struct json_object *reply = client_call_fds(c, calls[i], &fd, i == 0);

                assert_non_null(reply);
        }
        client_send(c, "{\"s3cret\":", NULL, 0);
        assert_null(client_receive(c, NULL, NULL));
        assert_true(n >= 2);
}

static void test_store_errors(void **state) {
        _cleanup_(client_freep) Client *c = client_new(*state);
        static const struct {
                const char *call, *error;
        } table[] = {
                { CALL("Store", "{\"name\":\"\",\"objects\":[]}"),
                  ERROR("InvalidName") },
                { CALL("Store", "{\"name\":\"a/b\",\"objects\":[]}"),
                  ERROR("InvalidName") },
                { CALL("Store", "{\"name\":\"..\",\"objects\":[]}"),
                  ERROR("InvalidName") },
                { CALL("Store", "{\"name\":\"a\\nb\",\"objects\":[]}"),
                  ERROR("InvalidName") },
                { CALL("Store", "{\"name\":\"n\",\"objects\":[{\"name\":\"/\",\"data\":\"\"}]}"),
                  ERROR("InvalidName") },
                { CALL("Store", "{\"name\":\"n\"}"),                                              INVALID },
                { CALL("Store", "{\"objects\":[]}"),                                              INVALID },
                { CALL("Store", "{\"name\":5,\"objects\":[]}"),                                   INVALID },
                { CALL("Store", "{\"name\":\"n\",\"objects\":{}}"),                               INVALID },
                { CALL("Store", "{\"name\":\"n\",\"objects\":[5]}"),                              INVALID },
                { CALL("Store", "{\"name\":\"n\",\"objects\":[{}]}"),                             INVALID },
                { CALL("Store", "{\"name\":\"n\",\"objects\":[],\"more\":1}"),                    INVALID },
                { CALL("Store", "{\"name\":\"n\",\"objects\":[],\"replace\":\"yes\"}"),           INVALID },
                { CALL("Store", "{\"name\":\"n\",\"objects\":[{\"data\":\"!\"}]}"),               INVALID },
                { CALL("Store", "{\"name\":\"n\",\"objects\":[{\"data\":\"Zm9\"}]}"),             INVALID },
                { CALL("Store", "{\"name\":\"n\",\"objects\":[{\"fileDescriptor\":0}]}"),         INVALID },
                { CALL("Store", "{\"name\":\"n\",\"objects\":[{\"fileDescriptor\":-1}]}"),        INVALID },
                { CALL("Store", "{\"name\":\"n\",\"objects\":[{\"fileDescriptor\":1.5}]}"),       INVALID },
                { CALL("Store", "{\"name\":\"n\",\"objects\":[{\"fileDescriptor\":9e9}]}"),       INVALID },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                client_expect_error(c, table[i].call, table[i].error);
        assert_int_equal(mock_n_nodes(c->fixture->mock), 0);
        store_inline(c, "still-alive");
}

static void test_store_long_name(void **state) {
        _cleanup_(client_freep) Client *c = client_new(*state);
        char name[257], text[1024];

        memset(name, 'x', 256);
        name[256] = 0;
        (void) snprintf(text, sizeof(text), CALL("Store", "{\"name\":\"%s\",\"objects\":[]}"), name);
        client_expect_error(c, text, ERROR("InvalidName"));
        name[255] = 0;
        store_inline(c, name);
}

static void test_store_wrong_descriptors(void **state) {
        _cleanup_(client_freep) Client *c = client_new(*state);
        _cleanup_close_ int fd = make_memfd(5, 5);
        _cleanup_json_ struct json_object *r1 = NULL, *r2 = NULL, *r3 = NULL, *r4 = NULL;
        int pipes[2];

        r1 = client_call_fds(c, CALL("Store", "{\"name\":\"n\",\"objects\":[{\"fileDescriptor\":1}]}"), &fd, 1);
        assert_error(r1, INVALID, "parameter", "objects[0].fileDescriptor");
        r2 = client_call_fds(c, CALL("Store", "{\"name\":\"n\",\"objects\":[{\"fileDescriptor\":0,\"data\":\"\"}]}"),
                             &fd, 1);
        assert_error(r2, INVALID, "parameter", "objects[0].data");
        r3 = client_call_fds(c,
                             CALL("Store", "{\"name\":\"n\","
                                  "\"objects\":[{\"fileDescriptor\":0},{\"fileDescriptor\":0}]}"), &fd, 1);
        assert_error(r3, ERROR("NotPreservable"), NULL, NULL);

        assert_ok(pipe(pipes));
        r4 = client_call_fds(c, CALL("Store", "{\"name\":\"n\",\"objects\":[{\"fileDescriptor\":0}]}"), pipes, 1);
        assert_error(r4, ERROR("NotPreservable"), NULL, NULL);
        assert_non_null(strstr(json_get_string(json_get(r4, "parameters"), "reason"), "memfd_create"));
        close_many(pipes, 2);
        assert_int_equal(mock_n_nodes(c->fixture->mock), 0);
}

static void test_store_data_too_long(void **state) {
        _cleanup_(client_freep) Client *c = client_new(*state);
        _cleanup_free_ char *text = malloc(MIB(3));
        size_t n = MIB(4) / 3 + 8;
        char *p = text;

        p += sprintf(p, "{\"method\":\"io.pkram.Store.Store\",\"parameters\":{\"name\":\"n\","
                     "\"objects\":[{\"data\":\"");
        memset(p, 'A', n / 4 * 4);
        p += n / 4 * 4;
        strcpy(p, "\"}]}}");
        client_expect_error(c, text, ERROR("NotPreservable"));
}

static void test_store_replace(void **state) {
        _cleanup_(client_freep) Client *c = client_new_as(*state, 1000, "uid:1000"),
                *other = client_new_as(*state, 1001, "uid:1001");
        _cleanup_json_ struct json_object *r1 = NULL, *r2 = NULL, *r3 = NULL;

        store_inline(c, "n");
        store_inline(other, "n");
        client_expect_error(other, CALL("Store", "{\"name\":\"n\",\"objects\":[]}"), ERROR("NodeExists"));
        r1 = client_call(c, CALL("Store", "{\"name\":\"n\",\"objects\":[],\"replace\":true}"));
        assert_int_equal(json_get_int(reply_parameters(r1), "id", -1), 3);
        r2 = client_call(c, CALL("Describe", "{\"name\":\"n\"}"));
        assert_int_equal(json_get_int(json_get(reply_parameters(r2), "node"), "objects", -1), 0);

        /* The other's node is as it was. */
        r3 = client_call(other, CALL("Describe", "{\"name\":\"n\"}"));
        assert_int_equal(json_get_int(json_get(reply_parameters(r3), "node"), "objects", -1), 1);
}

static void test_verify(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);
        _cleanup_close_ int fd = make_memfd(200000, 3);
        _cleanup_json_ struct json_object *r1 = NULL, *r2 = NULL, *r3 = NULL;
        size_t n_fds;
        int got;

        r1 = client_call_fds(c,
                             CALL("Store", "{\"name\":\"n\",\"objects\":[{\"fileDescriptor\":0},{\"data\":\"Zm9v\"}],"
                                  "\"verify\":true}"), &fd, 1);
        assert_non_null(reply_parameters(r1));
        client_send(c, CALL("Retrieve", "{\"name\":\"n\"}"), NULL, 0);
        r2 = client_receive(c, &got, &n_fds);
        assert_true(json_get_bool(reply_parameters(r2), "verified", false));
        assert_memfd(got, 200000, 3);
        close(got);

        mock_corrupt(f->mock, "n", 1, 100000);
        r3 = client_call(c, CALL("Retrieve", "{\"name\":\"n\"}"));
        assert_error(r3, ERROR("NodeDamaged"), "name", "n");
}

static void test_client_killed_within_store(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(200000, 3);

        /* With verify the call goes on after the method; the client dies in between, at every step. */
        for (unsigned steps = 0; steps < 6; steps++) {
                Client *c = client_new(f);

                client_send(c, CALL("Store", "{\"name\":\"n\",\"objects\":[{\"fileDescriptor\":0}],\"verify\":true}"),
                            &fd, 1);
                for (unsigned i = 0; i < steps; i++)
                        assert_ok(sd_event_run(f->manager->event, 0));
                client_free(c);

                assert_int_equal(mock_n_handles(f->mock), 0);
                if (mock_n_nodes(f->mock) > 0) {
                        _cleanup_(client_freep) Client *other = client_new(f);
                        _cleanup_json_ struct json_object *reply = client_call(other,
                                                                               CALL("Remove", "{\"name\":\"n\"}"));

                        assert_non_null(reply_parameters(reply));
                }
        }
}

static void test_daemon_killed_within_store(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(200000, 3);
        Client *c = client_new(f);

        client_send(c, CALL("Store", "{\"name\":\"n\",\"objects\":[{\"fileDescriptor\":0}],\"verify\":true}"), &fd, 1);
        assert_ok(sd_event_run(f->manager->event, 0));
        fixture_restart(f);
        assert_int_equal(mock_n_nodes(f->mock), 0);
        client_free(c);
}

static void test_retrieve_inline(void **state) {
        _cleanup_(client_freep) Client *c = client_new(*state);
        _cleanup_close_ int fd = make_memfd(3, 0), large = make_memfd(MIB(1) + 1, 0);
        _cleanup_json_ struct json_object *r1 = NULL, *r2 = NULL, *r3 = NULL, *r4 = NULL;
        struct json_object *object;

        r1 = client_call_fds(c, CALL("Store", "{\"name\":\"n\",\"objects\":[{\"fileDescriptor\":0}]}"), &fd, 1);
        assert_non_null(reply_parameters(r1));
        r2 = client_call(c, CALL("Retrieve", "{\"name\":\"n\",\"inline\":true}"));
        object = json_object_array_get_idx(json_get_array(reply_parameters(r2), "objects"), 0);
        assert_string_equal(json_get_string(object, "data"), "AB8+");
        assert_null(json_get(object, "fileDescriptor"));

        r3 = client_call_fds(c, CALL("Store", "{\"name\":\"l\",\"objects\":[{\"fileDescriptor\":0}]}"), &large, 1);
        assert_non_null(reply_parameters(r3));
        r4 = client_call(c, CALL("Retrieve", "{\"name\":\"l\",\"inline\":true}"));
        assert_error(r4, ERROR("ReplyTooLarge"), NULL, NULL);
}

static void test_retrieve_inline_too_much_together(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);
        _cleanup_json_ struct json_object *r1 = NULL, *r2 = NULL;
        char text[1024], *p = text;
        int fds[8];

        p += sprintf(p, "{\"method\":\"io.pkram.Store.Store\",\"parameters\":{\"name\":\"n\",\"objects\":[");
        for (unsigned i = 0; i < ELEMENTSOF(fds); i++) {
                fds[i] = make_memfd(MIB(1), 0);
                p += sprintf(p, "%s{\"fileDescriptor\":%u}", i > 0 ? "," : "", i);
        }
        strcpy(p, "]}}");
        r1 = client_call_fds(c, text, fds, ELEMENTSOF(fds));
        assert_non_null(reply_parameters(r1));
        r2 = client_call(c, CALL("Retrieve", "{\"name\":\"n\",\"inline\":true}"));
        assert_error(r2, ERROR("ReplyTooLarge"), NULL, NULL);
        close_many(fds, ELEMENTSOF(fds));
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                T(test_store_and_retrieve_files),
                T(test_retrieve_again_after_everybody_died),
                T(test_store_journal),
                T(test_nothing_stored_is_logged),
                T(test_store_errors),
                T(test_store_long_name),
                T(test_store_wrong_descriptors),
                T(test_store_data_too_long),
                T(test_store_replace),
                T(test_verify),
                T(test_client_killed_within_store),
                T(test_daemon_killed_within_store),
                T(test_retrieve_inline),
                T(test_retrieve_inline_too_much_together),
        };

        return cmocka_run_group_tests_name("methods-store", tests, NULL, NULL);
}
