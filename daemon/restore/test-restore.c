/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define PKRAM_RESTORE_TEST 1
#include "pkram-restore.c"

#include "device-mock.h"
#include "test.h"

typedef struct Entries {
        unsigned n_restored, n_dropped, n_lost;
        char last[512], last_node[300], last_owner[300], last_kernel[100];
        JournalFields fields;
} Entries;

static void on_entry(const char *message, const char *message_id, const JournalFields *fields, void *userdata) {
        Entries *e = userdata;

        e->n_restored += streq(message_id, PKRAM_MESSAGE_RESTORED_STR);
        e->n_dropped += streq(message_id, PKRAM_MESSAGE_DROPPED_STR);
        e->n_lost += streq(message_id, PKRAM_MESSAGE_LOST_STR);
        (void) snprintf(e->last, sizeof(e->last), "%s", message);
        (void) snprintf(e->last_node, sizeof(e->last_node), "%s", fields->node ?: "");
        (void) snprintf(e->last_owner, sizeof(e->last_owner), "%s", fields->owner ?: "");
        (void) snprintf(e->last_kernel, sizeof(e->last_kernel), "%s", fields->kernel ?: "");
        e->fields = *fields;
}

static void store_one(const PkramDevice *device, const char *name, const char *owner) {
        const Peer peer = { .uid = 1000, .pidfd = -EBADF, .owner = (char *) owner };
        const StoreItem item = { .fd = -EBADF, .data = "data", .size = 4 };
        _cleanup_(store_save_freep) StoreSave *save = NULL;
        _cleanup_(store_freep) Store *s = NULL;
        StoreSaved saved;
        Config c;

        config_init(&c);
        assert_ok(store_new(device, &c, &s));
        assert_ok(store_save_new(s, &peer, name, &item, 1, 0, &save, NULL));
        assert_ok(store_save_commit(save, &saved, NULL));
        save = store_save_free(save);
}

static void test_restored(_unused_ void **state) {
        _cleanup_(mock_freep) Mock *m = mock_new();
        PkramDevice d = mock_device(m);
        Entries e = {};

        journal_set_sink(on_entry, &e);
        store_one(&d, "a", "a.service");
        store_one(&d, "b", "uid:1000");
        mock_kexec(m);
        mock_info(m)->restored_ns = 1234567;
        store_one(&d, "new", "uid:1000"); /* of this boot */
        assert_int_equal(run(&d, false), 0);
        assert_int_equal(e.n_restored, 2);
        assert_int_equal(e.n_dropped + e.n_lost, 0);
        assert_string_equal(e.last_node, "b");
        assert_string_equal(e.last_owner, "uid:1000");
        assert_string_equal(e.last_kernel, "6.12.0-mock");
        assert_int_equal(e.fields.objects, 1);
        assert_int_equal(e.fields.generation, 1);
        assert_int_equal(e.fields.usec, 1234);
        assert_true(e.fields.bytes >= 4096);
        assert_int_equal(mock_n_handles(m), 0);
}

static void test_dropped(_unused_ void **state) {
        _cleanup_(mock_freep) Mock *m = mock_new();
        PkramDevice d = mock_device(m);
        Entries e = {};

        journal_set_sink(on_entry, &e);
        store_one(&d, "a", "a.service");
        mock_kexec(m);
        mock_info(m)->boot_result = PKRAM_BOOT_PARTIAL;
        for (uint32_t i = 0; i < 20; i++) {
                char name[16];

                (void) snprintf(name, sizeof(name), "broken%u", i);
                mock_add_dropped(m, name, i);
        }
        assert_int_equal(run(&d, false), 0);
        assert_int_equal(e.n_restored, 1);
        assert_int_equal(e.n_dropped, 20);
        assert_string_equal(e.last_node, "broken19");
        assert_non_null(strstr(e.last, "of a kind of damage"));
}

static void test_nothing_came_back(_unused_ void **state) {
        static const uint32_t results[] = { PKRAM_BOOT_NOTHING, PKRAM_BOOT_STALE, PKRAM_BOOT_DAMAGED, PKRAM_BOOT_VERSION };

        for (size_t i = 0; i < ELEMENTSOF(results); i++) {
                _cleanup_(mock_freep) Mock *m = mock_new();
                PkramDevice d = mock_device(m);
                Entries e = {};

                journal_set_sink(on_entry, &e);
                mock_info(m)->boot_result = results[i];
                assert_int_equal(run(&d, false), 0);
                assert_int_equal(e.n_dropped, 1);
                assert_string_equal(e.last_node, "");
                assert_non_null(strstr(e.last, "Nothing came back"));
        }
}

static void test_ordinary_boot_is_silent(_unused_ void **state) {
        _cleanup_(mock_freep) Mock *m = mock_new();
        PkramDevice d = mock_device(m);
        Entries e = {};

        journal_set_sink(on_entry, &e);
        assert_int_equal(run(&d, false), 0);
        assert_int_equal(run(&d, true), 0);
        mock_set_off(m, true);
        assert_int_equal(run(&d, false), 0);
        mock_set_missing(m, -ENOENT);
        assert_int_equal(run(&d, false), 0);
        assert_int_equal(run(&d, true), 0);
        assert_int_equal(e.n_restored + e.n_dropped + e.n_lost, 0);
}

static void test_lost(_unused_ void **state) {
        _cleanup_(mock_freep) Mock *m = mock_new();
        PkramDevice d = mock_device(m);
        Entries e = {};

        journal_set_sink(on_entry, &e);
        store_one(&d, "a", "a.service");
        store_one(&d, "b", "b.service");
        assert_int_equal(run(&d, true), 0);
        assert_int_equal(e.n_lost, 2);
        assert_int_equal(e.n_restored, 0);
        assert_string_equal(e.last_node, "b");
        assert_string_equal(e.last_owner, "b.service");
        assert_int_equal(mock_n_nodes(m), 2);
}

static void test_failure(_unused_ void **state) {
        _cleanup_(mock_freep) Mock *m = mock_new();
        PkramDevice d = mock_device(m);
        Entries e = {};

        journal_set_sink(on_entry, &e);
        store_one(&d, "a", "a.service");
        mock_kexec(m);
        mock_fail(m, PKRAM_IOC_LIST, 1, -EIO);
        assert_errno(run(&d, false), EIO);
        mock_fail(m, PKRAM_IOC_INFO, 1, -EIO);
        assert_errno(run(&d, false), EIO);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_restored),
                cmocka_unit_test(test_dropped),
                cmocka_unit_test(test_nothing_came_back),
                cmocka_unit_test(test_ordinary_boot_is_silent),
                cmocka_unit_test(test_lost),
                cmocka_unit_test(test_failure),
        };

        return cmocka_run_group_tests_name("restore", tests, NULL, NULL);
}
