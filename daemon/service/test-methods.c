/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The other methods, and the errors that all of them have in common. */
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "file-util.h"
#include "kexec-record.h"
#include "system-node.h"
#include "node-name.h"
#include "test-fixture.h"
#include "tree-record.h"

static void test_get_status(void **state) {
        _cleanup_(client_freep) Client *c = client_new_as(*state, 1000, "uid:1000"),
                *root = client_new_as(*state, 0, "uid:0");
        _cleanup_json_ struct json_object *r1 = NULL, *r2 = NULL, *r3 = NULL;
        struct json_object *p;

        r1 = client_call(c, CALL("GetStatus", "{}"));
        p = reply_parameters(r1);
        assert_true(json_get_bool(p, "supported", false));
        assert_string_equal(json_get_string(p, "owner"), "uid:1000");
        assert_string_equal(json_get_string(p, "bootResult"), "none");
        assert_null(json_get(p, "superBlock"));
        assert_int_equal(json_get_int(p, "nodes", -1), 0);
        assert_int_equal(json_object_array_length(json_get_array(p, "limits")), _LIMIT_MAX);

        /* Where the metadata is, is for root only. */
        r3 = client_call(root, CALL("GetStatus", "{}"));
        assert_string_equal(json_get_string(reply_parameters(r3), "superBlock"), "1234");

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
                                     "\"lost\":[{\"name\":\"secret\",\"reason\":\"damaged\"}],"
                                     "\"guests\":[\"web\"],\"processes\":[\"x\"],\"sharedMemory\":[\"0x1\"]}";
        static const char *const names[] = { "guests", "processes", "sharedMemory" };
        Fixture *f = *state;
        _cleanup_(client_freep) Client *root = client_new_as(f, 0, "root"),
                *other = client_new_as(f, 1000, "uid:1000");
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
        assert_string_equal(json_get_string(json_object_array_get_idx(json_get_array(k, "lost"), 0), "name"),
                            "secret");
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                assert_int_equal(json_object_array_length(json_get_array(k, names[i])), 1);

        /* Others hear how many, and no names. */
        r3 = client_call(other, CALL("GetStatus", "{}"));
        k = json_get(reply_parameters(r3), "lastKexec");
        assert_int_equal(json_get_int(k, "lostNodes", -1), 1);
        assert_int_equal(json_object_array_length(json_get_array(k, "lost")), 0);
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                assert_null(json_get(k, names[i]));
        (void) unlink(path);
}

static void test_system_names(void **state) {
        _cleanup_(client_freep) Client *c = client_new_as(*state, 0, "root");

        client_expect_error(c, CALL("Store", "{\"name\":\"io.pkram.log\",\"objects\":[{\"data\":\"Zm9v\"}]}"),
                            ERROR("InvalidName"));
        store_inline(c, "io.pkram");
}

static void test_get_status_without_pkram(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);
        _cleanup_json_ struct json_object *r1 = NULL, *r2 = NULL, *r3 = NULL;

        mock_set_missing(f->mock, -ENOENT);
        r1 = client_call(c, CALL("GetStatus", "{}"));
        assert_false(json_get_bool(reply_parameters(r1), "supported", true));
        assert_non_null(strstr(json_get_string(reply_parameters(r1), "reason"), "not support PKRAM"));
        assert_null(json_get(reply_parameters(r1), "nodes"));
        assert_null(json_get(reply_parameters(r1), "accessDenied"));

        mock_set_missing(f->mock, -EPERM);
        r3 = client_call(c, CALL("GetStatus", "{}"));
        assert_false(json_get_bool(reply_parameters(r3), "supported", true));
        assert_true(json_get_bool(reply_parameters(r3), "accessDenied", false));
        assert_non_null(strstr(json_get_string(reply_parameters(r3), "reason"), "denies"));

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

/* NotSupported means that the kernel cannot do it. Other failures of the device have errors of their own. */
static void test_unexpected_failures(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);
        static const struct {
                int error;
                const char *name;
                int64_t number;
        } table[] = {
                { -EIO,     ERROR("Unexpected"), EIO   },
                { -EBADMSG, ERROR("Unexpected"), EBADMSG },
                { -EPERM,   ERROR("Unexpected"), EPERM },
                { -EMFILE,  ERROR("TryAgain"),   -1    },
                { -EINTR,   ERROR("TryAgain"),   -1    },
                { -ENOMEM,  ERROR("NoMemory"),   -1    },
                { -ENODEV,  ERROR("NotSupported"), -1  },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_json_ struct json_object *reply = NULL;

                mock_set_missing(f->mock, table[i].error);
                reply = client_call(c, CALL("Store", "{\"name\":\"n\",\"objects\":[{\"data\":\"\"}]}"));
                assert_error(reply, table[i].name, NULL, NULL);
                assert_int_equal(json_get_int(json_get(reply, "parameters"), "errno", -1), table[i].number);
        }
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

                (void) snprintf(text, sizeof(text),
                                "{\"method\":\"io.pkram.Store.%s\",\"parameters\":{\"name\":\"a/b\"}}", methods[i]);
                client_expect_error(c, text, ERROR("InvalidName"));
                (void) snprintf(text, sizeof(text), "{\"method\":\"io.pkram.Store.%s\",\"parameters\":{\"name\":1}}",
                                methods[i]);
                client_expect_error(c, text, INVALID);
                (void) snprintf(text, sizeof(text), "{\"method\":\"io.pkram.Store.%s\"}", methods[i]);
                client_expect_error(c, text, INVALID);
        }
}

static void test_others_see_nothing(void **state) {
        _cleanup_(client_freep) Client *a = client_new_as(*state, 1000, "a.service"),
                *b = client_new_as(*state, 1000, "b.service");
        _cleanup_json_ struct json_object *reply = NULL;
        static const char *const calls[] = {
                CALL("Retrieve", "{\"name\":\"n\"}"), CALL("Release", "{\"name\":\"n\"}"),
                CALL("Remove", "{\"name\":\"n\"}"), CALL("Describe", "{\"name\":\"n\"}"),
        };

        store_inline(a, "n");
        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                client_expect_error(b, calls[i], ERROR("NoSuchNode"));

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
        assert_ok(pkram_load_begin(&f->device, node_name_encode(((Peer *) varlink_userdata(c->link))->owner, "n").text,
                                   &h, &id));
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

/* pkram-kexec-check@.service: answers each connection with that text. */
typedef struct CheckWorker {
        char path[64];
        int fd;
} CheckWorker;

static void check_worker_init(CheckWorker *w) {
        union {
                struct sockaddr sa;
                struct sockaddr_un un;
        } address = { .un.sun_family = AF_UNIX };
        char dir[] = "/tmp/test-methods-XXXXXX";

        assert_non_null(mkdtemp(dir));
        (void) snprintf(w->path, sizeof(w->path), "%s/s", dir);
        (void) strcpy(address.un.sun_path, w->path);
        w->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_ok(bind(w->fd, &address.sa, sizeof(address.un)));
        assert_ok(listen(w->fd, 8));
}

static void check_worker_done(CheckWorker *w) {
        safe_close(w->fd);
        (void) unlink(w->path);
        *strrchr(w->path, '/') = 0;
        (void) rmdir(w->path);
}

/* In two pieces, as a stream may come. */
static void check_worker_answer(CheckWorker *w, Fixture *f, const char *text) {
        _cleanup_close_ int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC);
        size_t n = strlen(text);

        assert_ok(fd);
        assert_ok(write_all(fd, text, n / 2));
        fixture_run(f);
        assert_ok(write_all(fd, text + n / 2, n - n / 2));
}

static void test_check_kexec_by_worker(void **state) {
        static const char answer[] = "{\"keeps\":false,\"refused\":false,\"reason\":\"tree\",\"text\":\"T.\",\"policy\":\"force\",\"nodes\":7,"
                                     "\"bytes\":1,\"trees\":2,\"units\":[\"a.service\"]}";
        static const char *const broken[] = { "", "{", "[]", "{}", "{\"keeps\":true}" };
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c1 = client_new(f), *c2 = client_new(f), *c3 = client_new(f);
        _cleanup_json_ struct json_object *r1 = NULL, *r2 = NULL, *r3 = NULL;
        CheckWorker w;

        check_worker_init(&w);
        f->manager->check_path = w.path;

        /* The policy is pkramd's. A client that calls while it works gets the next answer, and no client waits for the
         * others. */
        client_send(c1, CALL("CheckKexec", "{}"), NULL, 0);
        fixture_run(f);
        client_send(c2, CALL("CheckKexec", "{}"), NULL, 0);
        client_send(c3, CALL("CheckKexec", "{}"), NULL, 0);
        assert_true(client_is_silent(c1));
        check_worker_answer(&w, f, answer);
        r1 = client_receive(c1, NULL, NULL);
        assert_string_equal(json_get_string(reply_parameters(r1), "reason"), "tree");
        assert_string_equal(json_get_string(reply_parameters(r1), "policy"), "refuse");
        assert_true(json_get_bool(reply_parameters(r1), "refused", false));
        assert_string_equal(json_get_string(reply_parameters(r1), "imageState"), "none");
        assert_int_equal(json_get_int(reply_parameters(r1), "nodes", -1), 7);
        assert_true(client_is_silent(c2));
        c3 = client_free(c3);
        fixture_run(f);
        check_worker_answer(&w, f, answer);
        r2 = client_receive(c2, NULL, NULL);
        assert_string_equal(json_get_string(reply_parameters(r2), "reason"), "tree");

        /* Without an answer that makes sense, pkramd says what it knows. */
        for (size_t i = 0; i < ELEMENTSOF(broken); i++) {
                _cleanup_json_ struct json_object *r = NULL;

                client_send(c1, CALL("CheckKexec", "{}"), NULL, 0);
                fixture_run(f);
                check_worker_answer(&w, f, broken[i]);
                r = client_receive(c1, NULL, NULL);
                assert_string_equal(json_get_string(reply_parameters(r), "reason"), "nothingStored");
        }

        /* A caller that is gone takes the process with it. */
        client_send(c2, CALL("CheckKexec", "{}"), NULL, 0);
        fixture_run(f);
        assert_non_null(f->manager->kexec_run);
        c2 = client_free(c2);
        fixture_run(f);
        assert_null(f->manager->kexec_run);

        check_worker_done(&w);
        r3 = client_call(c1, CALL("CheckKexec", "{}"));
        assert_string_equal(json_get_string(reply_parameters(r3), "reason"), "nothingStored");
        f->manager->check_path = NULL;
}

/* A unit that stores or asks for something will store when it stops. */
static void test_units_are_marked(void **state) {
        static const struct {
                const char *owner, *call;
                bool marked;
        } table[] = {
                { "a.service",       CALL("Retrieve", "{\"name\":\"n\"}"),                                     true  },
                { "b.service",       CALL("Store", "{\"name\":\"n\",\"objects\":[{\"data\":\"eA==\"}]}"), true  },
                { "c.service",       CALL("GetStatus", "{}"),
                  false },
                { "d.service",       CALL("Describe", "{\"name\":\"n\"}"),                                     false },
                { "session-3.scope", CALL("Retrieve", "{\"name\":\"n\"}"),                                     false },
                { "uid:1000",        CALL("Retrieve", "{\"name\":\"n\"}"),                                     false },
        };
        Fixture *f = *state;
        char dir[] = "/tmp/test-methods-XXXXXX";

        assert_non_null(mkdtemp(dir));
        f->manager->units_path = dir;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(client_freep) Client *c = client_new_as(f, 0, table[i].owner);
                _cleanup_json_ struct json_object *reply = client_call(c, table[i].call), *check = NULL;
                _cleanup_free_ char *path = NULL;

                /* A refusal is an answer, too. */
                assert_non_null(reply);
                assert_true(asprintf(&path, "%s/%s", dir, table[i].owner) > 0);
                assert_int_equal(access(path, F_OK), table[i].marked ? 0 : -1);
                if (!table[i].marked)
                        continue;
                mock_info(f->mock)->image_state = PKRAM_IMAGE_NO_SUPPORT;
                check = client_call(c, CALL("CheckKexec", "{}"));
                assert_string_equal(json_get_string(reply_parameters(check), "reason"), "noSupport");
                assert_non_null(strstr(json_get_string(reply_parameters(check), "text"), table[i].owner));
                assert_ok(unlink(path));
        }
        f->manager->units_path = NULL;
        (void) rmdir(dir);
}

/* The names of mounted trees are stored for the next boot all the time, and no client sees that. */
static void test_tree_record(void **state) {
        static const char one[] = "SRC=web TARGET=/srv/web OPTS=helper=pkram\n";
        static const char two[] = "SRC=web TARGET=/srv/web OPTS=helper=pkram\nSRC=a/b TARGET=/x OPTS=helper=pkram\n"
                                  "SRC=db TARGET=/srv/db OPTS=helper=pkram\n";
        static const char kernel[] = "31 21 0:41 / /srv/web rw - tmpfs web rw\n"
                                     "32 21 0:42 / /srv/db rw - tmpfs db rw\n";
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new_as(f, 0, "root");
        _cleanup_json_ struct json_object *status = NULL, *list = NULL;
        char path[] = "/tmp/test-methods-XXXXXX", mounts[] = "/tmp/test-methods-XXXXXX";

        (void) safe_close(mkstemp(path));
        (void) safe_close(mkstemp(mounts));
        assert_ok(file_write(mounts, kernel, strlen(kernel)));
        f->manager->utab_path = path;
        f->manager->mounts_path = mounts;
        for (unsigned n = 0; n < 3; n++) {
                _cleanup_record_ KexecRecord record = KEXEC_RECORD_NONE;
                _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
                _cleanup_free_ char *text = NULL;
                size_t size;

                assert_ok(file_write(path, n == 1 ? two : one, strlen(n == 1 ? two : one)));
                assert_ok(tree_record_update(f->manager));
                assert_ok(tree_record_update(f->manager));
                assert_ok(system_node_load(&f->device, SYSTEM_NODE_RECORD, &h, &text, &size));
                assert_ok(kexec_record_parse(text, size, &record));
                assert_int_equal(record.n_nodes, n == 1 ? 2 : 1);
                assert_string_equal(record.nodes[0].name, "web");
                assert_true(record.nodes[0].unstored);
                assert_int_equal(record.nodes[0].why, TREE_LOST_MOUNTED);
        }
        status = client_call(c, CALL("GetStatus", "{}"));
        assert_int_equal(json_get_int(reply_parameters(status), "nodes", -1), 0);
        assert_int_equal(json_get_int(reply_parameters(status), "bytes", -1), 0);
        list = client_call(c, MORE("List"));
        assert_null(json_get(reply_parameters(list), "node"));

        /* A program unmounts it by itself. */
        assert_ok(file_write(mounts, "", 0));
        assert_ok(tree_record_update(f->manager));
        {
                _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
                _cleanup_free_ char *text = NULL;
                size_t size;

                assert_errno(system_node_load(&f->device, SYSTEM_NODE_RECORD, &h, &text, &size), ENOENT);
        }
        (void) unlink(path);
        (void) unlink(mounts);
        f->manager->utab_path = f->manager->mounts_path = NULL;
}

static void test_quota_names_its_limit(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new_as(f, 1000, "uid:1000");
        static const struct {
                LimitId id;
                uint64_t value;
        } table[] = {
                { LIMIT_TOTAL_BYTES, 50000 }, { LIMIT_OWNER_BYTES, 50000 }, { LIMIT_USER_BYTES, 50000 },
                { LIMIT_NODE_BYTES, 50000 },
                { LIMIT_NODES, 0 }, { LIMIT_OWNER_NODES, 0 }, { LIMIT_USER_NODES, 0 }, { LIMIT_OBJECTS, 1 },
        };
        _cleanup_close_ int a = make_memfd(60000, 0), b = make_memfd(10, 0);

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                uint64_t before = f->manager->config.limit[table[i].id];
                _cleanup_json_ struct json_object *reply = NULL;

                f->manager->config.limit[table[i].id] = table[i].value;
                reply = client_call_fds(c,
                                        CALL("Store",
                                             "{\"name\":\"n\","
                                             "\"objects\":[{\"fileDescriptor\":0},{\"fileDescriptor\":1}]}"),
                                             (int[]) { a, b }, 2);
                assert_error(reply, ERROR("QuotaExceeded"), "limit", limit_name(table[i].id));
                assert_true(json_get_int(json_get(reply, "parameters"), "requested", -1) > 0);
                assert_int_equal(json_get_int(json_get(reply, "parameters"), "current", -1), 0);
                assert_int_equal(json_get_int(json_get(reply, "parameters"), "maximum", -1), table[i].value);
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
                CALL("Store", "{\"name\":\"there\",\"objects\":[{\"data\":\"Zm9v\"}],\"verify\":true,"
                     "\"replace\":true}"),
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
                T(test_unexpected_failures),
                T(test_no_such_node),
                T(test_invalid_names_everywhere),
                T(test_others_see_nothing),
                T(test_release_and_remove),
                T(test_busy),
                T(test_describe),
                T(test_check_kexec),
                T(test_check_kexec_by_worker),
                T(test_units_are_marked),
                T(test_tree_record),
                T(test_quota_names_its_limit),
                T(test_no_memory),
                T(test_any_failure_is_answered),
        };

        return cmocka_run_group_tests_name("methods", tests, NULL, NULL);
}
