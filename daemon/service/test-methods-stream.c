/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* List and Monitor, and those who do not keep up with them. */
#include <stdio.h>

#include "test-fixture.h"

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
        _cleanup_(client_freep) Client *root = client_new_as(f, 0, "root"), *m = client_new_as(f, 1000, "uid:1000"),
                *c = client_new_as(f, 1000, "uid:1000"), *other = client_new_as(f, 1001, "uid:1001");
        static const char *const events[] = { "ready", "stored", "replaced", "retrieved", "released", "stored",
                                              "removed" };
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

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                T(test_list),
                T(test_monitor),
                T(test_slow_monitor_is_dropped),
                T(test_slow_lister_does_not_fill_memory),
        };

        return cmocka_run_group_tests_name("methods-stream", tests, NULL, NULL);
}
