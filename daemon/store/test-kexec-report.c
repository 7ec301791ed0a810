/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The old system's record of a kexec, the new one's report, and the nodes between them. */
#include <stdio.h>
#include <sys/stat.h>

#include "device-mock.h"
#include "file-util.h"
#include "kexec-report.h"
#include "system-node.h"
#include "test.h"

static char dir[] = "/tmp/test-kexec-report-XXXXXX";

static char *path_of(const char *name) {
        static char path[256];

        (void) snprintf(path, sizeof(path), "%s/%s", dir, name);
        return path;
}

static void test_record(_unused_ void **state) {
        _cleanup_record_ KexecRecord r = KEXEC_RECORD_NONE, back = KEXEC_RECORD_NONE;
        const char *path = path_of("record");

        assert_errno(kexec_record_read(path, &back), ENOENT);

        r.requested_usec = 1000;
        r.final_usec = 3000;
        for (unsigned i = 0; i < KEXEC_RECORD_NODES_MAX + 10; i++) {
                char name[32];

                (void) snprintf(name, sizeof(name), "node \"%u\"", i);
                assert_ok(kexec_record_add(&r, "a.service", name, i * 4096));
        }
        for (unsigned i = 0; i < KEXEC_RECORD_NODES_MAX + 10; i++)
                assert_ok(kexec_record_add_program(&r.guests, "web"));
        assert_ok(kexec_record_add_program(&r.processes, "counter"));
        assert_ok(kexec_record_write(path, &r));
        assert_ok(kexec_record_read(path, &back));
        assert_int_equal(back.guests.n, KEXEC_RECORD_NODES_MAX);
        assert_int_equal(back.processes.n, 1);
        assert_string_equal(back.processes.item[0], "counter");
        assert_int_equal(back.requested_usec, 1000);
        assert_true(back.stopped_usec == UINT64_MAX);
        assert_int_equal(back.final_usec, 3000);
        assert_int_equal(back.n_nodes, KEXEC_RECORD_NODES_MAX);
        assert_int_equal(back.nodes_total, KEXEC_RECORD_NODES_MAX + 10);
        assert_string_equal(back.nodes[255].name, "node \"255\"");
        assert_int_equal(back.nodes[255].bytes, 255 * 4096);
}

/* The kernel allows names that JSON does not, and one of them must not hide all others. */
static void test_record_of_odd_names(_unused_ void **state) {
        _cleanup_record_ KexecRecord r = KEXEC_RECORD_NONE, back = KEXEC_RECORD_NONE;
        _cleanup_report_ KexecReport report = KEXEC_REPORT_NONE;
        _cleanup_json_ struct json_object *o = NULL;
        const char *path = path_of("record");

        assert_ok(kexec_record_add(&r, NULL, "a", 1));
        assert_ok(kexec_record_add(&r, NULL, "b\xff", 2));
        assert_ok(kexec_record_add_unstored(&r, NULL, "c\xc2\x9b", TREE_LOST_IN_USE));
        assert_ok(kexec_record_write(path, &r));
        assert_ok(kexec_record_read(path, &back));
        assert_int_equal(back.n_nodes, 3);
        assert_string_equal(back.nodes[1].name, "b\xef\xbf\xbd");
        assert_string_equal(back.nodes[2].name, "c\xef\xbf\xbd");

        assert_ok(kexec_report_add_lost(&report, NULL, "b\xff", "damaged"));
        assert_ok(kexec_report_write(path, &report));
        assert_ok(kexec_report_read(path, &o));
        assert_string_equal(json_get_string(json_object_array_get_idx(json_get_array(o, "lost"), 0), "name"),
                            "b\xef\xbf\xbd");
}

static void test_hostile_record(_unused_ void **state) {
        static const char *const bad[] = {
                "", "{", "[]", "{}", "7", "{\"version\":2}", "{\"version\":1,\"version\":1}", "{\"version\":1} x",
        };
        static const char odd[] =
                "{\"version\":1,\"requestedUSec\":-7,\"stoppedUSec\":\"x\",\"finalUSec\":5,\"nodesTotal\":-1,\"nodes\":"
                "[1,{},{\"name\":\"a/b\"},{\"name\":\"\\u0007\"},{\"name\":\"\"},{\"name\":\"ok\",\"bytes\":-3}],"
                "\"guests\":[1,null,{},\"\",\"a/b\",\"\\u0007\",\"web\"],\"processes\":7}";
        _cleanup_record_ KexecRecord r = KEXEC_RECORD_NONE;
        _cleanup_free_ char *huge = NULL;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_errno(kexec_record_parse(bad[i], strlen(bad[i]), &r), EBADMSG);
        huge = calloc(1, MIB(1));
        memset(huge, ' ', MIB(1));
        assert_errno(kexec_record_parse(huge, MIB(1), &r), EBADMSG);

        assert_ok(kexec_record_parse(odd, strlen(odd), &r));
        assert_true(r.requested_usec == UINT64_MAX && r.stopped_usec == UINT64_MAX);
        assert_int_equal(r.final_usec, 5);
        assert_int_equal(r.n_nodes, 1);
        assert_string_equal(r.nodes[0].name, "ok");
        assert_int_equal(r.nodes[0].bytes, 0);
        assert_int_equal(r.nodes_total, 1);
        assert_int_equal(r.guests.n, 1);
        assert_string_equal(r.guests.item[0], "web");
        assert_int_equal(r.processes.n, 0);
}

static void test_report(_unused_ void **state) {
        _cleanup_report_ KexecReport r = KEXEC_REPORT_NONE;
        _cleanup_json_ struct json_object *o = NULL, *again = NULL;
        struct json_object *lost;
        const char *path = path_of("report");

        assert_errno(kexec_report_read(path, &o), ENOENT);
        assert_errno(kexec_report_set_up(path, 1), ENOENT);

        r.record.requested_usec = 1000;
        r.sealed_usec = 2000;
        r.restored_nodes = 3;
        r.previous_kernel = strdup("6.12.0-mock");
        assert_ok(kexec_report_add_lost(&r, NULL, "a", "damaged"));
        assert_ok(kexec_report_add_lost(&r, NULL, NULL, "who knows"));
        assert_true(kexec_report_has_lost(&r, "a"));
        assert_false(kexec_report_has_lost(&r, "b"));
        assert_ok(kexec_report_write(path, &r));

        assert_ok(kexec_report_read(path, &o));
        assert_int_equal(json_get_int(o, "requestedUSec", -1), 1000);
        assert_null(json_get(o, "stoppedUSec"));
        assert_null(json_get(o, "upUSec"));
        assert_int_equal(json_get_int(o, "lostNodes", -1), 2);
        lost = json_get_array(o, "lost");
        assert_int_equal(json_object_array_length(lost), 2);
        assert_string_equal(json_get_string(json_object_array_get_idx(lost, 0), "name"), "a");
        assert_null(json_get(json_object_array_get_idx(lost, 1), "name"));

        /* The first time counts. */
        assert_ok(kexec_report_set_up(path, 5000));
        assert_ok(kexec_report_set_up(path, 9000));
        assert_ok(kexec_report_read(path, &again));
        assert_int_equal(json_get_int(again, "upUSec", -1), 5000);
        assert_int_equal(json_get_int(again, "downUSec", -1), 4000);
        assert_int_equal(json_get_int(again, "restoredNodes", -1), 3);
}

static void test_bad_report(_unused_ void **state) {
        static const char *const bad[] = { "", "[]", "{}", "{\"restoredNodes\":1,\"lostNodes\":0}",
                                           "{\"restoredNodes\":-1,\"lostNodes\":0,\"lost\":[]}" };
        static const char odd[] = "{\"restoredNodes\":1,\"lostNodes\":0,\"lost\":[1],\"x\":2,\"upUSec\":\"now\",\"previousKernel\":5}";
        _cleanup_json_ struct json_object *o = NULL;
        const char *path = path_of("bad");

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                assert_ok(file_write(path, bad[i], strlen(bad[i])));
                assert_errno(kexec_report_read(path, &o), EBADMSG);
        }
        assert_ok(file_write(path, odd, strlen(odd)));
        assert_ok(kexec_report_read(path, &o));
        assert_null(json_get(o, "x"));
        assert_null(json_get(o, "upUSec"));
        assert_null(json_get(o, "previousKernel"));
}

static void test_system_node(_unused_ void **state) {
        _cleanup_(mock_freep) Mock *m = mock_new();
        PkramDevice d = mock_device(m);
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE, odd = PKRAM_HANDLE_NONE, foreign = PKRAM_HANDLE_NONE;
        _cleanup_free_ char *text = NULL, *other = NULL;
        _cleanup_free_ char *large = calloc(1, MIB(2));
        size_t n;

        assert_errno(system_node_load(&d, SYSTEM_NODE_LOG, &h, &text, &n), ENOENT);
        assert_ok(system_node_save(&d, SYSTEM_NODE_LOG, "first", 5));
        assert_ok(system_node_save(&d, SYSTEM_NODE_LOG, "second", 6));
        assert_errno(system_node_save(&d, SYSTEM_NODE_LOG, large, MIB(2)), EFBIG);
        mock_kexec(m);
        assert_ok(system_node_load(&d, SYSTEM_NODE_LOG, &h, &text, &n));
        assert_int_equal(n, 6);
        assert_string_equal(text, "second");
        assert_int_equal(mock_n_nodes(m), 1);
        assert_ok(system_node_remove(&h, SYSTEM_NODE_LOG));
        assert_int_equal(mock_n_nodes(m), 0);

        /* Too long, and of another make. Both can be removed. */
        assert_ok(pkram_save_begin(&d, SYSTEM_NODE_RECORD, &odd));
        assert_ok(pkram_save_bytes(&odd, large, MIB(2), NULL));
        assert_ok(pkram_save_commit(&odd, false, NULL));
        assert_errno(system_node_load(&d, SYSTEM_NODE_RECORD, &h, &other, &n), EFBIG);
        assert_ok(system_node_remove(&h, SYSTEM_NODE_RECORD));
        assert_ok(pkram_save_begin(&d, SYSTEM_NODE_RECORD, &foreign));
        assert_ok(pkram_save_commit(&foreign, false, NULL));
        assert_errno(system_node_load(&d, SYSTEM_NODE_RECORD, &h, &other, &n), EBADMSG);
        assert_ok(system_node_remove(&h, SYSTEM_NODE_RECORD));
        assert_int_equal(mock_n_nodes(m), 0);
}

static void test_file(_unused_ void **state) {
        _cleanup_free_ char *text = NULL;
        const char *path = path_of("file");
        struct stat st;
        size_t n;

        assert_ok(file_write(path, "0123456789", 10));
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0644);
        assert_errno(file_read(path, 9, &text, &n), EFBIG);
        assert_ok(file_read(path, 10, &text, &n));
        assert_string_equal(text, "0123456789");
        assert_errno(file_read(dir, 10, &text, &n), EINVAL);
        assert_errno(file_write(path_of("no/file"), "x", 1), ENOENT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_record),
                cmocka_unit_test(test_record_of_odd_names),
                cmocka_unit_test(test_hostile_record),
                cmocka_unit_test(test_report),
                cmocka_unit_test(test_bad_report),
                cmocka_unit_test(test_system_node),
                cmocka_unit_test(test_file),
        };
        int r;

        if (!mkdtemp(dir))
                return EXIT_FAILURE;
        r = cmocka_run_group_tests_name("kexec-report", tests, NULL, NULL);
        for (size_t i = 0; i < 4; i++)
                (void) unlink(path_of(((const char *[]) { "record", "report", "bad", "file" })[i]));
        (void) rmdir(dir);
        return r;
}
