/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The service as a varlink service: conformance, strictness, and what clients can do to it and to each other. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "idl.h"
#include "pkram-call.h"
#include "test-fixture.h"
#include "varlink-idl-texts.h"

#define SERVICE(method, parameters) "{\"method\":\"org.varlink.service." method "\",\"parameters\":" parameters "}"
#define STATUS "{\"method\":\"io.pkram.Store.GetStatus\"}"

static void assert_alive(Client *c) {
        _cleanup_json_ struct json_object *reply = client_call(c, STATUS);

        assert_non_null(reply_parameters(reply));
}

static void test_get_info(void **state) {
        _cleanup_(client_freep) Client *c = client_new(*state);
        _cleanup_json_ struct json_object *reply = client_call(c, SERVICE("GetInfo", "{}"));
        struct json_object *p = reply_parameters(reply);

        assert_string_equal(json_get_string(p, "product"), "pkramd");
        assert_string_equal(json_get_string(p, "version"), PKRAM_VERSION);
        assert_int_equal(json_object_array_length(json_get_array(p, "interfaces")), 2);
}

static void test_get_interface_description(void **state) {
        _cleanup_(client_freep) Client *c = client_new(*state);
        _cleanup_json_ struct json_object *r1 = NULL, *r2 = NULL, *r3 = NULL;

        r1 = client_call(c, SERVICE("GetInterfaceDescription", "{\"interface\":\"io.pkram.Store\"}"));
        assert_string_equal(json_get_string(reply_parameters(r1), "description"), varlink_idl_io_pkram_Store);
        r2 = client_call(c, SERVICE("GetInterfaceDescription", "{\"interface\":\"org.varlink.service\"}"));
        assert_string_equal(json_get_string(reply_parameters(r2), "description"), varlink_idl_org_varlink_service);
        r3 = client_call(c, SERVICE("GetInterfaceDescription", "{\"interface\":\"io.pkram\"}"));
        assert_error(r3, "org.varlink.service.InterfaceNotFound", "interface", "io.pkram");
        client_expect_error(c, SERVICE("GetInterfaceDescription", "{}"), INVALID);
}

static void test_standard_errors(void **state) {
        _cleanup_(client_freep) Client *c = client_new(*state);
        static const struct {
                const char *method, *error, *key, *value;
        } table[] = {
                { "io.pkram.Store.Foo",     "org.varlink.service.MethodNotFound",    "method",
                  "io.pkram.Store.Foo" },
                { "io.pkram.Store.NoMemory", "org.varlink.service.MethodNotFound",   "method",
                  "io.pkram.Store.NoMemory" },
                { "io.pkram.Storefront.X",  "org.varlink.service.InterfaceNotFound", "interface",
                  "io.pkram.Storefront" },
                { "io.pkram.X",             "org.varlink.service.InterfaceNotFound", "interface", "io.pkram" },
                { "x.Y",                    "org.varlink.service.InterfaceNotFound", "interface", "x" },
                { "GetStatus",              INVALID,                                 "parameter", "method" },
                { "",                       INVALID,                                 "parameter", "method" },
                { ".",                      INVALID,                                 "parameter", "method" },
                { "io.pkram.Store.",        INVALID,                                 "parameter", "method" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_json_ struct json_object *reply = NULL;
                char text[256];

                (void) snprintf(text, sizeof(text), "{\"method\":\"%s\"}", table[i].method);
                reply = client_call(c, text);
                assert_error(reply, table[i].error, table[i].key, table[i].value);
        }
}

static int no_method(_unused_ Varlink *link, _unused_ struct json_object *p, _unused_ VarlinkFlags flags,
                     _unused_ void *userdata) {
        return 0;
}

static void test_every_method_is_bound(_unused_ void **state) {
        Fixture *f = *state;
        _cleanup_(idl_freep) IdlInterface *i = NULL;

        assert_ok(idl_parse(varlink_idl_io_pkram_Store, &i, NULL));
        for (size_t n = 0; n < i->n_symbols; n++) {
                char name[128];

                if (i->symbols[n].kind != IDL_METHOD)
                        continue;
                (void) snprintf(name, sizeof(name), "%s.%s", i->name, i->symbols[n].name);
                assert_errno(varlink_server_bind(f->manager->server, name, no_method), EEXIST);
        }
        assert_errno(varlink_server_bind(f->manager->server, "io.pkram.Store.Nope", no_method), ENOENT);
}

static void test_method_not_implemented(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);
        _cleanup_json_ struct json_object *reply = NULL;

        assert_ok(varlink_server_add_interface(f->manager->server, "interface a.b\nmethod C() -> ()\n"));
        reply = client_call(c, "{\"method\":\"a.b.C\"}");
        assert_error(reply, "org.varlink.service.MethodNotImplemented", "method", "a.b.C");
}

static void test_envelope(void **state) {
        _cleanup_(client_freep) Client *c = client_new(*state);
        static const char *const bad[][2] = {
                { "{\"method\":\"io.pkram.Store.GetStatus\",\"extra\":1}",                "extra"      },
                { "{\"method\":\"io.pkram.Store.GetStatus\",\"parameters\":[]}",          "parameters" },
                { "{\"method\":\"io.pkram.Store.GetStatus\",\"parameters\":\"{}\"}",      "parameters" },
                { "{\"method\":\"io.pkram.Store.GetStatus\",\"parameters\":{\"a\":1}}",   "a"          },
                { "{\"method\":\"io.pkram.Store.GetStatus\",\"more\":1}",                 "more"       },
                { "{\"method\":\"io.pkram.Store.GetStatus\",\"more\":\"true\"}",          "more"       },
                { "{\"method\":\"io.pkram.Store.GetStatus\",\"oneway\":null}",            "oneway"     },
                { "{\"method\":\"io.pkram.Store.GetStatus\",\"upgrade\":true}",           "upgrade"    },
                { "{\"method\":\"io.pkram.Store.GetStatus\",\".a.b\":1}",                 ".a.b"       },
                { "{\"method\":\"io.pkram.Store.GetStatus\",\"a.\":1}",                   "a."         },
                { "{\"method\":\"a.B\",\"method\":\"io.pkram.Store.GetStatus\"}",         "method"     },
                { "{\"method\":\"io.pkram.Store.GetStatus\",\"parameters\":{\"n\":1,\"n\":2}}", "n"    },
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_json_ struct json_object *reply = client_call(c, bad[i][0]);

                assert_error(reply, INVALID, "parameter", bad[i][1]);
        }
        assert_alive(c);
}

/* What is no call closes the connection, after the replies to the calls before it. */
static void test_malformed(void **state) {
        static const char *const bad[] = {
                "",
                "{",
                "garbage",
                "[]",
                "\"x\"",
                "null",
                "{} {}",
                "{\"method\":NaN}",
                "{\"method\":\"\xff\"}",
                "{\"method\":\"org.varlink.service.GetInfo\",}",
                "{}",
                "{\"parameters\":{}}",
                "{\"method\":5}",
                "{\"method\":null}",
                "{\"method\":[\"io.pkram.Store.GetStatus\"]}",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(client_freep) Client *c = client_new(*state), *other = client_new(*state);
                _cleanup_json_ struct json_object *reply = NULL;

                client_send_raw(c, STATUS, sizeof(STATUS));
                client_send_raw(c, bad[i], strlen(bad[i]) + 1);
                client_send_raw(c, STATUS, sizeof(STATUS));
                reply = client_receive(c, NULL, NULL);
                assert_non_null(reply_parameters(reply));
                assert_null(client_receive(c, NULL, NULL));
                assert_alive(other);
        }
}

static void test_envelope_good(void **state) {
        _cleanup_(client_freep) Client *c = client_new(*state);
        static const char *const good[] = {
                "{\"method\":\"io.pkram.Store.GetStatus\"}",
                "{\"method\":\"io.pkram.Store.GetStatus\",\"parameters\":{}}",
                "{\"method\":\"io.pkram.Store.GetStatus\",\"parameters\":null}",
                "{\"method\":\"io.pkram.Store.GetStatus\",\"more\":false,\"oneway\":false,\"upgrade\":false}",
                "{\"method\":\"io.pkram.Store.GetStatus\",\"more\":true}",
                "{\"method\":\"io.pkram.Store.GetStatus\",\"org.example.trace\":{\"id\":\"17\"}}",
                "{\"org.example\":null,\"method\":\"io.pkram.Store.GetStatus\"}",
                " { \"parameters\" : { } , \"method\" : \"io.pkram.Store.GetStatus\" } ",
        };

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                _cleanup_json_ struct json_object *reply = client_call(c, good[i]);

                assert_non_null(reply_parameters(reply));
                assert_false(json_get_bool(reply, "continues", false));
        }
}

static void test_deep_message(void **state) {
        _cleanup_(client_freep) Client *c = client_new(*state);
        char text[20000];

        memset(text, '[', 10000);
        memset(text + 10000, ']', 9999);
        text[19999] = 0;
        client_send(c, text, NULL, 0);
        assert_null(client_receive(c, NULL, NULL));
}

static void test_oneway(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);

        client_send(c, "{\"method\":\"io.pkram.Store.Store\",\"parameters\":{\"name\":\"n\",\"objects\":[]},\"oneway\":true}", NULL, 0);
        client_send(c, "{\"method\":\"io.pkram.Store.Foo\",\"oneway\":true}", NULL, 0);
        client_send(c, "{\"method\":\"io.pkram.Store.GetStatus\",\"oneway\":true,\"more\":true}", NULL, 0);
        assert_true(client_is_silent(c));
        assert_int_equal(mock_n_nodes(f->mock), 1);
        assert_alive(c);
}

static void test_oneway_and_gone(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(100000, 0);
        Client *c = client_new(f);

        /* Also if it takes a while: a client that wants no answer may disconnect. */
        client_send(c, "{\"method\":\"io.pkram.Store.Store\",\"oneway\":true,\"parameters\":"
                    "{\"name\":\"n\",\"objects\":[{\"fileDescriptor\":0}],\"verify\":true}}", &fd, 1);
        for (unsigned i = 0; i < 20; i++)
                client_send(c, "{\"method\":\"io.pkram.Store.GetStatus\",\"oneway\":true}", NULL, 0);
        client_send(c, "{\"method\":\"io.pkram.Store.Store\",\"oneway\":true,\"parameters\":{\"name\":\"m\",\"objects\":[]}}", NULL, 0);
        client_free(c);
        assert_int_equal(mock_n_nodes(f->mock), 2);
}

static void test_pipelined_calls_are_answered_in_order(void **state) {
        _cleanup_(client_freep) Client *c = client_new(*state);
        char text[64];

        for (unsigned i = 0; i < 500; i++) {
                (void) snprintf(text, sizeof(text), "{\"method\":\"a%u.B\"}", i);
                client_send_raw(c, text, strlen(text) + 1);
        }
        for (unsigned i = 0; i < 500; i++) {
                _cleanup_json_ struct json_object *reply = client_receive(c, NULL, NULL);

                (void) snprintf(text, sizeof(text), "a%u", i);
                assert_error(reply, "org.varlink.service.InterfaceNotFound", "interface", text);
        }
}

static void test_one_call_at_a_time(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);

        /* While a Monitor is open, nothing else on that connection is read, let alone answered. */
        client_send(c, "{\"method\":\"io.pkram.Store.Monitor\",\"more\":true}", NULL, 0);
        json_object_put(client_receive(c, NULL, NULL));
        client_send(c, STATUS, NULL, 0);
        assert_true(client_is_silent(c));
}

static void test_half_closed_client_gets_its_answer(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);
        _cleanup_json_ struct json_object *reply = NULL;

        client_send(c, STATUS, NULL, 0);
        assert_ok(shutdown(message_stream_fd(c->stream), SHUT_WR));
        reply = client_receive(c, NULL, NULL);
        assert_non_null(reply_parameters(reply));
        assert_null(client_receive(c, NULL, NULL));
}

static void test_message_in_pieces(void **state) {
        static const char text[] = STATUS;

        for (size_t i = 0; i <= sizeof(text); i++) {
                _cleanup_(client_freep) Client *c = client_new(*state);
                _cleanup_json_ struct json_object *reply = NULL;

                client_send_raw(c, text, i);
                fixture_run(c->fixture);
                client_send_raw(c, text + i, sizeof(text) - i);
                reply = client_receive(c, NULL, NULL);
                assert_non_null(reply_parameters(reply));
        }
}

static void test_client_gone_at_every_byte(void **state) {
        Fixture *f = *state;
        static const char text[] = "{\"method\":\"io.pkram.Store.Store\",\"parameters\":{\"name\":\"n\","
                "\"objects\":[]}}";

        for (size_t i = 0; i < sizeof(text); i++) {
                Client *c = client_new(f);

                client_send_raw(c, text, i);
                client_free(c);
                assert_int_equal(varlink_server_connections(f->manager->server), 0);
                assert_int_equal(mock_n_nodes(f->mock), 0);
        }
}

static void test_100_mib_message(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);
        _cleanup_json_ struct json_object *reply = NULL;
        size_t piece = MIB(1);
        _cleanup_free_ char *text = malloc(piece);

        memset(text, 'x', piece);
        for (unsigned i = 0; i < 100; i++)
                client_send_raw(c, text, piece);
        client_send_raw(c, "", 1);
        reply = client_receive(c, NULL, NULL);
        assert_error(reply, "io.pkram.Store.QuotaExceeded", "limit", "MessageBytesMax");
        assert_int_equal(json_get_int(json_get(reply, "parameters"), "requested", 0), MIB(100));
        assert_alive(c);
}

static void test_too_many_descriptors(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);
        _cleanup_json_ struct json_object *reply = NULL;
        int fds[100];

        f->manager->varlink_limits.message.message_fds = 50;
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                fds[i] = STDERR_FILENO;
        client_send(c, STATUS, fds, ELEMENTSOF(fds));
        reply = client_receive(c, NULL, NULL);
        assert_error(reply, "io.pkram.Store.QuotaExceeded", "limit", "MessageDescriptorsMax");
        assert_int_equal(json_get_int(json_get(reply, "parameters"), "requested", 0), 100);
        assert_alive(c);

        /* Descriptors that were not asked for are closed. */
        json_object_put(client_call_fds(c, STATUS, fds, 20));
        assert_alive(c);
}

static unsigned n_open(void) {
        unsigned n = 0;

        for (int fd = 0; fd < 4096; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

static void test_no_descriptor_leaks(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(100, 0);
        unsigned before;

        client_free(client_new(f)); /* the event loop opens what it needs permanently */
        fixture_wait_closed(f);
        before = n_open();

        for (unsigned i = 0; i < 20; i++) {
                _cleanup_(client_freep) Client *c = client_new(f);

                json_object_put(client_call_fds(c,
                                                "{\"method\":\"io.pkram.Store.Store\",\"parameters\":{\"name\":\"n\","
                                                "\"objects\":[{\"fileDescriptor\":0}],\"verify\":true}}", &fd, 1));
                client_send(c, "{\"method\":\"io.pkram.Store.Retrieve\",\"parameters\":{\"name\":\"n\"}}", NULL, 0);
                fixture_run(f); /* and it is not received */
        }
        fixture_wait_closed(f);
        assert_true(n_open() <= before + 1); /* the model's own */
}

static void test_stalled_clients_hurt_nobody(void **state) {
        Fixture *f = *state;
        Client *stalled[50];
        _cleanup_(client_freep) Client *c = NULL;

        for (size_t i = 0; i < ELEMENTSOF(stalled); i++) {
                stalled[i] = client_new(f);
                client_send_raw(stalled[i], "{\"method\":", 10);
        }
        c = client_new(f);
        assert_alive(c);
        for (size_t i = 0; i < ELEMENTSOF(stalled); i++)
                client_free(stalled[i]);
}

static void test_long_call_keeps_nobody_waiting(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *slow = client_new(f), *c = client_new(f);
        _cleanup_close_ int fd = memfd_create("long", MFD_CLOEXEC);

        /* Many steps of checksums: there is something in each block that is read. */
        assert_ok(ftruncate(fd, (off_t) MIB(640)));
        for (off_t i = 0; i < (off_t) MIB(640); i += (off_t) KIB(16))
                assert_int_equal(pwrite(fd, "x", 1, i), 1);
        client_send(slow, "{\"method\":\"io.pkram.Store.Store\",\"parameters\":{\"name\":\"n\",\"objects\":"
                    "[{\"fileDescriptor\":0}],\"verify\":true}}", &fd, 1);
        assert_ok(sd_event_run(f->manager->event, 0));
        client_send(c, STATUS, NULL, 0);

        for (unsigned i = 0; i < 6 && !message_stream_pending(c->stream); i++) {
                assert_ok(sd_event_run(f->manager->event, 0));
                (void) message_stream_read(c->stream);
        }
        assert_true(message_stream_pending(c->stream));
        assert_int_equal(mock_n_nodes(f->mock), 0);

        /* And who dies within the call does not wait for its end either. */
        slow->stream = message_stream_free(slow->stream);
        for (unsigned i = 0; i < 6; i++)
                assert_ok(sd_event_run(f->manager->event, 0));
        assert_int_equal(varlink_server_connections(f->manager->server), 1);
        assert_int_equal(mock_n_handles(f->mock), 0);
        assert_int_equal(mock_n_nodes(f->mock), 0);
}

static void test_client_that_never_reads(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *deaf = client_new(f), *c = client_new(f);
        static const char text[] = SERVICE("GetInterfaceDescription", "{\"interface\":\"io.pkram.Store\"}");

        for (unsigned i = 0; i < 200; i++)
                assert_int_equal(send(message_stream_fd(deaf->stream), text, sizeof(text),
                                      MSG_DONTWAIT | MSG_NOSIGNAL), sizeof(text));
        fixture_run(f);
        assert_alive(c);
        /* The next call waits until the reply before was read: no more than one of them is in our memory. */
        assert_int_equal(varlink_server_connections(f->manager->server), 2);
        assert_true(varlink_server_buffered(f->manager->server) < 200000);

        /* Nothing is lost by that. */
        for (unsigned i = 0; i < 200; i++) {
                _cleanup_json_ struct json_object *reply = client_receive(deaf, NULL, NULL);

                assert_non_null(json_get_string(reply_parameters(reply), "description"));
        }
        fixture_run(f);
        assert_int_equal(varlink_server_buffered(f->manager->server), 0);
}

typedef union Address {
        struct sockaddr sa;
        struct sockaddr_un un;
} Address;

static void listen_somewhere(Fixture *f, Address *ret) {
        static unsigned n;
        int fd;

        *ret = (Address) { .un.sun_family = AF_UNIX };
        (void) snprintf(ret->un.sun_path, sizeof(ret->un.sun_path), "/tmp/test-pkram.%i.%u", getpid(), n++);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_ok(bind(fd, &ret->sa, sizeof(ret->un)));
        assert_ok(listen(fd, 1024));
        assert_ok(varlink_server_listen(f->manager->server, fd));
}

static int connect_to(const Address *a) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_ok(fd);
        assert_ok(connect(fd, &a->sa, sizeof(a->un)));
        return fd;
}

static void test_1000_connections(void **state) {
        Fixture *f = *state;
        static int fds[1000];
        size_t refused = 0;
        Address a;

        listen_somewhere(f, &a);
        f->manager->config.limit[LIMIT_CONNECTIONS] = 400;
        f->manager->config.limit[LIMIT_OWNER_CONNECTIONS] = 300;
        manager_apply_config(f->manager);

        for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
                fds[i] = connect_to(&a);
                fixture_run(f);
        }
        assert_int_equal(varlink_server_connections(f->manager->server), 300);

        for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
                char text[1024];
                ssize_t n = recv(fds[i], text, sizeof(text), MSG_DONTWAIT);

                if (n > 0) {
                        assert_non_null(strstr(text, "\"OwnerConnectionsMax\""));
                        refused++;
                }
        }
        assert_int_equal(refused, 700);

        close_many(fds, ELEMENTSOF(fds));
        fixture_run(f);
        assert_int_equal(varlink_server_connections(f->manager->server), 0);

        int again = connect_to(&a);
        fixture_run(f);
        assert_int_equal(varlink_server_connections(f->manager->server), 1);
        close(again);
        fixture_run(f);
        (void) unlink(a.un.sun_path);
}

static void test_total_connections(void **state) {
        Fixture *f = *state;
        Client *clients[11];
        _cleanup_json_ struct json_object *reply = NULL;

        f->manager->config.limit[LIMIT_CONNECTIONS] = 10;
        manager_apply_config(f->manager);
        for (size_t i = 0; i < 10; i++)
                clients[i] = client_new(f);
        clients[10] = client_new(f);
        reply = client_receive(clients[10], NULL, NULL);
        assert_error(reply, "io.pkram.Store.QuotaExceeded", "limit", "ConnectionsMax");
        assert_null(client_receive(clients[10], NULL, NULL));
        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                client_free(clients[i]);
}

static void test_random_bytes(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *good = client_new(f);

        srand(1);
        for (unsigned round = 0; round < 300; round++) {
                Client *c = client_new(f);
                char bytes[300];

                for (size_t i = 0; i < sizeof(bytes); i++)
                        bytes[i] = (char) (rand() % (round % 2 ? 256 : 8) ?: "{}[]\":,0"[rand() % 8]);
                client_send_raw(c, bytes, sizeof(bytes));
                client_free(c);
        }
        assert_alive(good);
}

/* What mount helpers and pkram-shm say about an error. Not every limit is a setting. */
static void test_errors_as_sentences(void **state) {
        static const struct {
                const char *error, *parameters, *text;
        } cases[] = {
                { "io.pkram.Store.QuotaExceeded", "{\"limit\":\"TreeFilesMax\"}",
                  "It would exceed the limit TreeFilesMax=, see pkramd.conf(5)." },
                { "io.pkram.Store.QuotaExceeded", "{\"limit\":\"DiskSpace\"}",
                  "The file system of /var/lib/pkram/disk is full. Remove nodes or files that are no longer needed." },
                { "io.pkram.Store.QuotaExceeded", "{\"limit\":\"NextKernelMemory\"}",
                  "Too little memory would remain for the next kernel to boot. Remove nodes that are no longer "
                  "needed, or store less." },
                { "io.pkram.Store.Unexpected", "{\"reason\":\"It broke.\"}", "It broke." },
                { "io.pkram.Store.NoMemory", "{}", "pkramd says NoMemory." },
                { "org.varlink.service.MethodNotFound", "{}", "pkramd says org.varlink.service.MethodNotFound." },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_json_ struct json_object *p = json_tokener_parse(cases[i].parameters);
                VarlinkReply reply = { .error = (char *) cases[i].error, .parameters = p };
                _cleanup_free_ char *text = reply_to_text(&reply);

                assert_string_equal(text, cases[i].text);
        }
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                T(test_get_info),
                T(test_get_interface_description),
                T(test_standard_errors),
                T(test_every_method_is_bound),
                T(test_method_not_implemented),
                T(test_envelope),
                T(test_malformed),
                T(test_envelope_good),
                T(test_deep_message),
                T(test_oneway),
                T(test_oneway_and_gone),
                T(test_pipelined_calls_are_answered_in_order),
                T(test_one_call_at_a_time),
                T(test_half_closed_client_gets_its_answer),
                T(test_message_in_pieces),
                T(test_client_gone_at_every_byte),
                T(test_100_mib_message),
                T(test_too_many_descriptors),
                T(test_no_descriptor_leaks),
                T(test_stalled_clients_hurt_nobody),
                T(test_long_call_keeps_nobody_waiting),
                T(test_client_that_never_reads),
                T(test_1000_connections),
                T(test_total_connections),
                T(test_random_bytes),
                cmocka_unit_test(test_errors_as_sentences),
        };

        return cmocka_run_group_tests_name("varlink", tests, NULL, NULL);
}
