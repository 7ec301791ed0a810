/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every method: what it does, and each way it says no. */
#include <stdio.h>

#include "file-util.h"
#include "pkram-messages.h"
#include "test-fixture.h"

#define CALL(method, parameters) "{\"method\":\"io.pkram.Store." method "\",\"parameters\":" parameters "}"
#define MORE(method) "{\"method\":\"io.pkram.Store." method "\",\"more\":true}"
#define ERROR(name) "io.pkram.Store." name
#define DENIED "org.varlink.service.PermissionDenied"
#define INVALID "org.varlink.service.InvalidParameter"

static void store_inline(Client *c, const char *name) {
        _cleanup_json_ struct json_object *reply = NULL;
        char text[512];

        (void) snprintf(text, sizeof(text), CALL("Store", "{\"name\":\"%s\",\"objects\":[{\"name\":\"o\",\"data\":\"Zm9v\"}]}"), name);
        reply = client_call(c, text);
        assert_true(json_get_int(reply_parameters(reply), "id", 0) > 0);
}

static void test_get_status(void **state) {
        _cleanup_(client_freep) Client *c = client_new_as(*state, 1000, "uid:1000");
        _cleanup_json_ struct json_object *r1 = NULL, *r2 = NULL;
        struct json_object *p;

        r1 = client_call(c, CALL("GetStatus", "{}"));
        p = reply_parameters(r1);
        assert_true(json_get_bool(p, "supported", false));
        assert_string_equal(json_get_string(p, "owner"), "uid:1000");
        assert_string_equal(json_get_string(p, "bootResult"), "none");
        assert_string_equal(json_get_string(p, "superBlock"), "1234");
        assert_int_equal(json_get_int(p, "nodes", -1), 0);
        assert_int_equal(json_object_array_length(json_get_array(p, "limits")), _LIMIT_MAX);

        store_inline(c, "n");
        mock_kexec(c->fixture->mock);
        r2 = client_call(c, "{\"method\":\"io.pkram.Store.GetStatus\"}");
        p = reply_parameters(r2);
        assert_int_equal(json_get_int(p, "nodes", -1), 1);
        assert_string_equal(json_get_string(p, "bootResult"), "restored");
        assert_string_equal(json_get_string(p, "previousKernel"), "6.12.0-mock");
        assert_int_equal(json_get_int(p, "generation", -1), 1);
}

static void test_last_kexec(void **state) {
        static const char report[] = "{\"restoredNodes\":2,\"restoredBytes\":8192,\"lostNodes\":1,\"downUSec\":5,"
                                     "\"lost\":[{\"name\":\"secret\",\"reason\":\"damaged\"}]}";
        Fixture *f = *state;
        _cleanup_(client_freep) Client *root = client_new_as(f, 0, "uid:0"), *other = client_new_as(f, 1000, "uid:1000");
        _cleanup_json_ struct json_object *r1 = NULL, *r2 = NULL, *r3 = NULL;
        char path[] = "/tmp/test-methods-XXXXXX";
        struct json_object *k;

        (void) safe_close(mkstemp(path));
        f->manager->report_path = path;
        r1 = client_call(root, CALL("GetStatus", "{}")); /* empty: none that can be used */
        assert_null(json_get(reply_parameters(r1), "lastKexec"));

        assert_ok(file_write(path, report, strlen(report)));
        r2 = client_call(root, CALL("GetStatus", "{}"));
        k = json_get(reply_parameters(r2), "lastKexec");
        assert_int_equal(json_get_int(k, "restoredNodes", -1), 2);
        assert_int_equal(json_get_int(k, "downUSec", -1), 5);
        assert_string_equal(json_get_string(json_object_array_get_idx(json_get_array(k, "lost"), 0), "name"), "secret");

        /* Others hear how many, and no names. */
        r3 = client_call(other, CALL("GetStatus", "{}"));
        k = json_get(reply_parameters(r3), "lastKexec");
        assert_int_equal(json_get_int(k, "lostNodes", -1), 1);
        assert_int_equal(json_object_array_length(json_get_array(k, "lost")), 0);
        (void) unlink(path);
}

static void test_system_names(void **state) {
        _cleanup_(client_freep) Client *c = client_new_as(*state, 0, "uid:0");

        client_expect_error(c, CALL("Store", "{\"name\":\"io.pkram.log\",\"objects\":[{\"data\":\"Zm9v\"}]}"), ERROR("InvalidName"));
        store_inline(c, "io.pkram");
}

static void test_get_status_without_pkram(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);
        _cleanup_json_ struct json_object *r1 = NULL, *r2 = NULL;

        mock_set_missing(f->mock, -ENOENT);
        r1 = client_call(c, CALL("GetStatus", "{}"));
        assert_false(json_get_bool(reply_parameters(r1), "supported", true));
        assert_non_null(strstr(json_get_string(reply_parameters(r1), "reason"), "no PKRAM"));
        assert_null(json_get(reply_parameters(r1), "nodes"));

        mock_set_missing(f->mock, 0);
        mock_set_off(f->mock, true);
        r2 = client_call(c, CALL("GetStatus", "{}"));
        assert_false(json_get_bool(reply_parameters(r2), "supported", true));
        assert_string_equal(json_get_string(reply_parameters(r2), "bootResult"), "off");
}

static void test_everything_else_without_pkram(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);
        static const char *const calls[] = {
                CALL("Store", "{\"name\":\"n\",\"objects\":[{\"data\":\"\"}]}"),
                CALL("Retrieve", "{\"name\":\"n\"}"),
                CALL("Release", "{\"name\":\"n\"}"),
                CALL("Remove", "{\"name\":\"n\"}"),
                CALL("Describe", "{\"name\":\"n\"}"),
                CALL("CheckKexec", "{}"),
                MORE("List"),
        };

        for (unsigned round = 0; round < 2; round++) {
                mock_set_missing(f->mock, round == 0 ? -ENOENT : -ENODEV);
                for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                        client_expect_error(c, calls[i], ERROR("NotSupported"));
        }
}

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
                                     "{\"fileDescriptor\":0},{\"name\":\"d\",\"data\":\"Zm9vYmFy\"}]}"), (int[]) { a, b }, 2);
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

                reply = client_call_fds(c, CALL("Store", "{\"name\":\"n\",\"objects\":[{\"fileDescriptor\":0}]}"), &a, 1);
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
static void on_entry_with_secret(const char *message, const char *message_id, const JournalFields *fields, void *userdata) {
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
                CALL("Store", "{\"name\":\"n\",\"objects\":[{\"data\":\"czNjcmV0\"},{\"fileDescriptor\":0}],\"verify\":true}"),
                CALL("Store", "{\"name\":\"n\",\"objects\":[{\"data\":\"czNjcmV0\"}],\"replace\":true}"),
                CALL("Store", "{\"name\":\"n\",\"objects\":[{\"data\":\"czNjcmV0\"}]}"),
                CALL("Store", "{\"name\":\"n\",\"objects\":[{\"data\":\"czNjcmV0!\"}]}"),
                CALL("Store", "{\"name\":\"n\",\"s3cret\":\"czNjcmV0\"}"),
                "{\"method\":\"s3cret.czNjcmV0\"}",
                "{\"s3cret\":",
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
        assert_true(n >= 2);
}

static void test_store_errors(void **state) {
        _cleanup_(client_freep) Client *c = client_new(*state);
        static const struct {
                const char *call, *error;
        } table[] = {
                { CALL("Store", "{\"name\":\"\",\"objects\":[]}"),                                ERROR("InvalidName") },
                { CALL("Store", "{\"name\":\"a/b\",\"objects\":[]}"),                             ERROR("InvalidName") },
                { CALL("Store", "{\"name\":\"..\",\"objects\":[]}"),                              ERROR("InvalidName") },
                { CALL("Store", "{\"name\":\"a\\nb\",\"objects\":[]}"),                           ERROR("InvalidName") },
                { CALL("Store", "{\"name\":\"n\",\"objects\":[{\"name\":\"/\",\"data\":\"\"}]}"), ERROR("InvalidName") },
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
        r2 = client_call_fds(c, CALL("Store", "{\"name\":\"n\",\"objects\":[{\"fileDescriptor\":0,\"data\":\"\"}]}"), &fd, 1);
        assert_error(r2, INVALID, "parameter", "objects[0].data");
        r3 = client_call_fds(c, CALL("Store", "{\"name\":\"n\",\"objects\":[{\"fileDescriptor\":0},{\"fileDescriptor\":0}]}"), &fd, 1);
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

        p += sprintf(p, "{\"method\":\"io.pkram.Store.Store\",\"parameters\":{\"name\":\"n\",\"objects\":[{\"data\":\"");
        memset(p, 'A', n / 4 * 4);
        p += n / 4 * 4;
        strcpy(p, "\"}]}}");
        client_expect_error(c, text, ERROR("NotPreservable"));
}

static void test_store_replace(void **state) {
        _cleanup_(client_freep) Client *c = client_new_as(*state, 1000, "uid:1000"), *other = client_new_as(*state, 1001, "uid:1001");
        _cleanup_json_ struct json_object *r1 = NULL, *r2 = NULL;

        store_inline(c, "n");
        client_expect_error(other, CALL("Store", "{\"name\":\"n\",\"objects\":[],\"replace\":true}"), DENIED);
        client_expect_error(other, CALL("Store", "{\"name\":\"n\",\"objects\":[]}"), ERROR("NodeExists"));
        r1 = client_call(c, CALL("Store", "{\"name\":\"n\",\"objects\":[],\"replace\":true}"));
        assert_int_equal(json_get_int(reply_parameters(r1), "id", -1), 2);
        r2 = client_call(c, CALL("Describe", "{\"name\":\"n\"}"));
        assert_int_equal(json_get_int(json_get(reply_parameters(r2), "node"), "objects", -1), 0);
}

static void test_verify(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);
        _cleanup_close_ int fd = make_memfd(200000, 3);
        _cleanup_json_ struct json_object *r1 = NULL, *r2 = NULL, *r3 = NULL;
        size_t n_fds;
        int got;

        r1 = client_call_fds(c, CALL("Store", "{\"name\":\"n\",\"objects\":[{\"fileDescriptor\":0},{\"data\":\"Zm9v\"}],\"verify\":true}"), &fd, 1);
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

                client_send(c, CALL("Store", "{\"name\":\"n\",\"objects\":[{\"fileDescriptor\":0}],\"verify\":true}"), &fd, 1);
                for (unsigned i = 0; i < steps; i++)
                        assert_ok(sd_event_run(f->manager->event, 0));
                client_free(c);

                assert_int_equal(mock_n_handles(f->mock), 0);
                if (mock_n_nodes(f->mock) > 0) {
                        _cleanup_(client_freep) Client *other = client_new(f);
                        _cleanup_json_ struct json_object *reply = client_call(other, CALL("Remove", "{\"name\":\"n\"}"));

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
        assert_error(r4, ERROR("NotSupported"), NULL, NULL);
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
        assert_error(r2, ERROR("NotSupported"), NULL, NULL);
        close_many(fds, ELEMENTSOF(fds));
}

static void test_no_such_node(void **state) {
        _cleanup_(client_freep) Client *c = client_new(*state);
        static const char *const calls[] = {
                CALL("Retrieve", "{\"name\":\"n\"}"), CALL("Release", "{\"name\":\"n\"}"),
                CALL("Remove", "{\"name\":\"n\"}"), CALL("Describe", "{\"name\":\"n\"}"),
        };

        for (size_t i = 0; i < ELEMENTSOF(calls); i++) {
                _cleanup_json_ struct json_object *reply = client_call(c, calls[i]);

                assert_error(reply, ERROR("NoSuchNode"), "name", "n");
        }
}

static void test_invalid_names_everywhere(void **state) {
        _cleanup_(client_freep) Client *c = client_new(*state);
        static const char *const methods[] = { "Retrieve", "Release", "Remove", "Describe" };

        for (size_t i = 0; i < ELEMENTSOF(methods); i++) {
                char text[256];

                (void) snprintf(text, sizeof(text), "{\"method\":\"io.pkram.Store.%s\",\"parameters\":{\"name\":\"a/b\"}}", methods[i]);
                client_expect_error(c, text, ERROR("InvalidName"));
                (void) snprintf(text, sizeof(text), "{\"method\":\"io.pkram.Store.%s\",\"parameters\":{\"name\":1}}", methods[i]);
                client_expect_error(c, text, INVALID);
                (void) snprintf(text, sizeof(text), "{\"method\":\"io.pkram.Store.%s\"}", methods[i]);
                client_expect_error(c, text, INVALID);
        }
}

static void test_others_are_denied(void **state) {
        _cleanup_(client_freep) Client *a = client_new_as(*state, 1000, "a.service"), *b = client_new_as(*state, 1000, "b.service");
        _cleanup_json_ struct json_object *reply = NULL;
        static const char *const calls[] = {
                CALL("Retrieve", "{\"name\":\"n\"}"), CALL("Release", "{\"name\":\"n\"}"),
                CALL("Remove", "{\"name\":\"n\"}"), CALL("Describe", "{\"name\":\"n\"}"),
        };

        store_inline(a, "n");
        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                client_expect_error(b, calls[i], DENIED);

        reply = client_call(b, MORE("List"));
        assert_null(json_get(reply_parameters(reply), "node"));
        assert_int_equal(mock_n_nodes(a->fixture->mock), 1);
}

static void test_release_and_remove(void **state) {
        _cleanup_(client_freep) Client *c = client_new(*state);
        _cleanup_json_ struct json_object *r1 = NULL, *r2 = NULL;

        store_inline(c, "n");
        client_expect_error(c, CALL("Release", "{\"name\":\"n\",\"id\":2}"), ERROR("NoSuchNode"));
        client_expect_error(c, CALL("Release", "{\"name\":\"n\",\"id\":0}"), INVALID);
        client_expect_error(c, CALL("Remove", "{\"name\":\"n\",\"id\":-1}"), INVALID);
        r1 = client_call(c, CALL("Release", "{\"name\":\"n\",\"id\":1}"));
        assert_non_null(reply_parameters(r1));
        store_inline(c, "n");
        r2 = client_call(c, CALL("Remove", "{\"name\":\"n\"}"));
        assert_non_null(reply_parameters(r2));
        assert_int_equal(mock_n_nodes(c->fixture->mock), 0);
}

static void test_busy(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        _cleanup_json_ struct json_object *reply = NULL;
        uint64_t id;

        store_inline(c, "n");
        assert_ok(pkram_load_begin(&f->device, "n", &h, &id));
        client_expect_error(c, CALL("Remove", "{\"name\":\"n\"}"), ERROR("NodeBusy"));
        client_expect_error(c, CALL("Release", "{\"name\":\"n\"}"), ERROR("NodeBusy"));
        client_expect_error(c, CALL("Store", "{\"name\":\"n\",\"objects\":[],\"replace\":true}"), ERROR("NodeBusy"));
        reply = client_call(c, CALL("Describe", "{\"name\":\"n\"}"));
        assert_true(json_get_bool(json_get(reply_parameters(reply), "node"), "busy", false));
}

static void test_describe(void **state) {
        _cleanup_(client_freep) Client *c = client_new_as(*state, 1000, "a.service");
        _cleanup_close_ int fd = make_memfd(5000, 0);
        _cleanup_json_ struct json_object *r1 = NULL, *r2 = NULL;
        struct json_object *p, *o;

        r1 = client_call_fds(c, CALL("Store", "{\"name\":\"n\",\"objects\":[{\"name\":\"f\",\"fileDescriptor\":0},{\"data\":\"Zm9v\"}],\"verify\":true}"), &fd, 1);
        assert_non_null(reply_parameters(r1));
        r2 = client_call(c, CALL("Describe", "{\"name\":\"n\"}"));
        p = reply_parameters(r2);
        assert_int_equal(json_get_int(p, "uid", -1), 1000);
        assert_string_equal(json_get_string(p, "verify"), "xxh3-128");
        assert_string_equal(json_get_string(json_get(p, "node"), "owner"), "a.service");
        assert_int_equal(json_get_int(json_get(p, "node"), "bytes", -1), 5003);
        o = json_object_array_get_idx(json_get_array(p, "objects"), 0);
        assert_string_equal(json_get_string(o, "kind"), "file");
        assert_int_equal(json_get_int(o, "size", -1), 5000);
        assert_int_equal(strlen(json_get_string(o, "checksum")), 32);
        o = json_object_array_get_idx(json_get_array(p, "objects"), 1);
        assert_string_equal(json_get_string(o, "kind"), "data");
        assert_int_equal(json_get_int(o, "size", -1), 3);
        assert_null(json_get(o, "mode"));
}

static void test_list(void **state) {
        _cleanup_(client_freep) Client *c = client_new(*state);

        client_expect_error(c, "{\"method\":\"io.pkram.Store.List\"}", "org.varlink.service.ExpectedMore");
        for (unsigned i = 0; i < 200; i++) {
                char name[16];

                (void) snprintf(name, sizeof(name), "n%u", i);
                store_inline(c, name);
        }

        client_send(c, MORE("List"), NULL, 0);
        for (unsigned i = 0; i <= 200; i++) {
                _cleanup_json_ struct json_object *reply = client_receive(c, NULL, NULL);
                const char *name = json_get_string(json_get(reply_parameters(reply), "node"), "name");
                char expected[16];

                assert_int_equal(json_get_bool(reply, "continues", false), i < 200);
                (void) snprintf(expected, sizeof(expected), "n%u", i);
                if (i < 200)
                        assert_string_equal(name, expected);
                else
                        assert_null(name);
        }
}

static void test_monitor(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *root = client_new_as(f, 0, "uid:0"), *m = client_new_as(f, 1000, "uid:1000"),
                *c = client_new_as(f, 1000, "uid:1000"), *other = client_new_as(f, 1001, "uid:1001");
        static const char *const events[] = { "ready", "stored", "replaced", "retrieved", "released", "stored", "removed" };
        _cleanup_json_ struct json_object *r1 = NULL, *r2 = NULL, *r3 = NULL, *r4 = NULL, *r5 = NULL;

        client_expect_error(m, "{\"method\":\"io.pkram.Store.Monitor\"}", "org.varlink.service.ExpectedMore");
        client_send(m, MORE("Monitor"), NULL, 0);
        client_send(root, MORE("Monitor"), NULL, 0);
        fixture_run(f);

        store_inline(c, "n");
        r1 = client_call(c, CALL("Store", "{\"name\":\"n\",\"objects\":[],\"replace\":true}"));
        r2 = client_call(c, CALL("Retrieve", "{\"name\":\"n\"}"));
        r3 = client_call(c, CALL("Release", "{\"name\":\"n\"}"));
        store_inline(c, "n");
        r4 = client_call(c, CALL("Remove", "{\"name\":\"n\"}"));
        store_inline(other, "secret");

        for (size_t i = 0; i < ELEMENTSOF(events); i++) {
                _cleanup_json_ struct json_object *reply = client_receive(m, NULL, NULL);

                assert_string_equal(json_get_string(reply_parameters(reply), "event"), events[i]);
                assert_true(json_get_bool(reply, "continues", false));
                if (i > 0)
                        assert_string_equal(json_get_string(reply_parameters(reply), "name"), "n");
        }
        assert_true(client_is_silent(m));

        for (size_t i = 0; i < ELEMENTSOF(events); i++)
                json_object_put(client_receive(root, NULL, NULL));
        r5 = client_receive(root, NULL, NULL);
        assert_string_equal(json_get_string(reply_parameters(r5), "name"), "secret");
}

static void test_slow_monitor_is_dropped(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *m = client_new(f), *c = client_new(f);
        unsigned n = 0;

        f->manager->varlink_limits.message.output_bytes = 4096;
        client_send(m, MORE("Monitor"), NULL, 0);
        fixture_run(f);
        assert_int_equal(varlink_server_connections(f->manager->server), 2);

        while (varlink_server_connections(f->manager->server) == 2 && n++ < 10000) {
                _cleanup_json_ struct json_object *reply = NULL;

                store_inline(c, "n");
                reply = client_call(c, CALL("Remove", "{\"name\":\"n\"}"));
        }
        assert_int_equal(varlink_server_connections(f->manager->server), 1);
        store_inline(c, "n");
}

static void test_slow_lister_does_not_fill_memory(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);

        f->manager->varlink_limits.message.output_bytes = 100000;
        f->manager->config.limit[LIMIT_USER_NODES] = 2000; /* this is not run by root alone */
        for (unsigned i = 0; i < 2000; i++) {
                char name[16];

                (void) snprintf(name, sizeof(name), "n%u", i);
                store_inline(c, name);
        }
        client_send(c, MORE("List"), NULL, 0);
        fixture_run(f); /* the socket is full, and the list waits */
        for (unsigned i = 0; i <= 2000; i++) {
                _cleanup_json_ struct json_object *reply = client_receive(c, NULL, NULL);

                assert_non_null(reply);
        }
}

static void test_check_kexec(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);
        _cleanup_json_ struct json_object *r1 = NULL, *r2 = NULL, *r3 = NULL, *r4 = NULL;

        r1 = client_call(c, CALL("CheckKexec", "{}"));
        assert_string_equal(json_get_string(reply_parameters(r1), "reason"), "nothingStored");
        assert_true(json_get_bool(reply_parameters(r1), "keeps", false));
        assert_false(json_get_bool(reply_parameters(r1), "refused", true));

        store_inline(c, "n");
        mock_info(f->mock)->image_state = PKRAM_IMAGE_NO_SUPPORT;
        r2 = client_call(c, CALL("CheckKexec", "{}"));
        assert_string_equal(json_get_string(reply_parameters(r2), "reason"), "noSupport");
        assert_false(json_get_bool(reply_parameters(r2), "keeps", true));
        assert_true(json_get_bool(reply_parameters(r2), "refused", false));

        f->manager->config.kexec_policy = KEXEC_POLICY_WARN;
        r3 = client_call(c, CALL("CheckKexec", "{}"));
        assert_false(json_get_bool(reply_parameters(r3), "refused", true));
        assert_string_equal(json_get_string(reply_parameters(r3), "policy"), "warn");

        mock_info(f->mock)->image_state = PKRAM_IMAGE_KEEPS;
        r4 = client_call(c, CALL("CheckKexec", "{}"));
        assert_string_equal(json_get_string(reply_parameters(r4), "reason"), "keeps");
}

static void test_quota_names_its_limit(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new_as(f, 1000, "uid:1000");
        static const struct {
                LimitId id;
                uint64_t value;
        } table[] = {
                { LIMIT_TOTAL_BYTES, 50000 }, { LIMIT_OWNER_BYTES, 50000 }, { LIMIT_USER_BYTES, 50000 }, { LIMIT_NODE_BYTES, 50000 },
                { LIMIT_NODES, 0 }, { LIMIT_OWNER_NODES, 0 }, { LIMIT_USER_NODES, 0 }, { LIMIT_OBJECTS, 1 },
        };
        _cleanup_close_ int a = make_memfd(60000, 0), b = make_memfd(10, 0);

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                uint64_t before = f->manager->config.limit[table[i].id];
                _cleanup_json_ struct json_object *reply = NULL;

                f->manager->config.limit[table[i].id] = table[i].value;
                reply = client_call_fds(c, CALL("Store", "{\"name\":\"n\",\"objects\":[{\"fileDescriptor\":0},{\"fileDescriptor\":1}]}"),
                                        (int[]) { a, b }, 2);
                assert_error(reply, ERROR("QuotaExceeded"), "limit", limit_name(table[i].id));
                assert_true(json_get_int(json_get(reply, "parameters"), "requested", -1) > 0);
                assert_int_equal(json_get_int(json_get(reply, "parameters"), "current", -1), 0);
                f->manager->config.limit[table[i].id] = before;
        }
        store_inline(c, "n");
}

static void test_no_memory(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);

        mock_fail(f->mock, PKRAM_IOC_SAVE_COMMIT, 1, -ENOMEM);
        client_expect_error(c, CALL("Store", "{\"name\":\"n\",\"objects\":[]}"), ERROR("NoMemory"));
        assert_int_equal(mock_n_nodes(f->mock), 0);
}

/* Whatever call of the device fails in whatever method: one reply, and the daemon goes on. */
static void test_any_failure_is_answered(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);
        static const char *const calls[] = {
                CALL("GetStatus", "{}"),
                CALL("CheckKexec", "{}"),
                CALL("Describe", "{\"name\":\"there\"}"),
                CALL("Retrieve", "{\"name\":\"there\"}"),
                CALL("Store", "{\"name\":\"there\",\"objects\":[{\"data\":\"Zm9v\"}],\"verify\":true,\"replace\":true}"),
                CALL("Remove", "{\"name\":\"there\"}"),
                MORE("List"),
        };
        static const int errors[] = { -EIO, -ENOMEM, -EPERM, -ENODEV, -EINTR, -EBADFD };

        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                for (size_t e = 0; e < ELEMENTSOF(errors); e++)
                        for (unsigned n = 1; n < 12; n++) {
                                bool more = true;

                                mock_fail(f->mock, MOCK_ANY, 0, 0);
                                if (mock_n_nodes(f->mock) == 0)
                                        store_inline(c, "there");
                                mock_fail(f->mock, MOCK_ANY, n, errors[e]);
                                client_send(c, calls[i], NULL, 0);
                                while (more) {
                                        _cleanup_json_ struct json_object *reply = client_receive(c, NULL, NULL);

                                        assert_non_null(reply);
                                        more = json_get_bool(reply, "continues", false);
                                }
                                assert_int_equal(mock_n_handles(f->mock), 0);
                        }
        mock_fail(f->mock, MOCK_ANY, 0, 0);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                T(test_get_status),
                T(test_last_kexec),
                T(test_system_names),
                T(test_get_status_without_pkram),
                T(test_everything_else_without_pkram),
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
                T(test_no_such_node),
                T(test_invalid_names_everywhere),
                T(test_others_are_denied),
                T(test_release_and_remove),
                T(test_busy),
                T(test_describe),
                T(test_list),
                T(test_monitor),
                T(test_slow_monitor_is_dropped),
                T(test_slow_lister_does_not_fill_memory),
                T(test_check_kexec),
                T(test_quota_names_its_limit),
                T(test_no_memory),
                T(test_any_failure_is_answered),
        };

        return cmocka_run_group_tests_name("methods", tests, NULL, NULL);
}
