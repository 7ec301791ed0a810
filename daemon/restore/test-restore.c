/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define PKRAM_RESTORE_TEST 1
#include "pkram-restore.c"

#include <glob.h>
#include <sys/stat.h>

#include "device-mock.h"
#include "file-util.h"
#include "log-tail.h"
#include "system-node.h"
#include "test.h"
#include "time-util.h"

static char dir[] = "/tmp/test-restore-XXXXXX", report_path[64], mark_path[64], disk_path[64];
static Config config;
static const NotePlaces no_notes = { .guests = "/proc/none", .processes = "/proc/none" };

/* Every test is another boot. */
static int setup(_unused_ void **state) {
        (void) unlink(report_path);
        (void) unlink(mark_path);
        config_init(&config);
        return 0;
}

typedef struct Entries {
        unsigned n_restored, n_dropped, n_lost, n_persisted, n_replayed, n_sealed, n_up;
        char last[512], last_node[300], last_owner[300], last_kernel[100];
        JournalFields fields;
} Entries;

static void on_entry(const char *message, const char *message_id, const JournalFields *fields, void *userdata) {
        Entries *e = userdata;

        e->n_restored += streq(message_id, PKRAM_MESSAGE_RESTORED_STR);
        e->n_dropped += streq(message_id, PKRAM_MESSAGE_DROPPED_STR);
        e->n_lost += streq(message_id, PKRAM_MESSAGE_LOST_STR);
        e->n_persisted += streq(message_id, PKRAM_MESSAGE_PERSISTED_STR);
        e->n_replayed += streq(message_id, PKRAM_MESSAGE_REPLAYED_STR);
        e->n_sealed += streq(message_id, PKRAM_MESSAGE_SEALED_STR);
        e->n_up += streq(message_id, PKRAM_MESSAGE_UP_STR);
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
        assert_ok(store_save_new(s, &peer, NULL, name, &item, 1, 0, &save, NULL));
        assert_ok(store_save_commit(save, &saved, NULL));
        save = store_save_free(save);
}

static void forget_one(const PkramDevice *device, const char *name) {
        const Peer root = { .pidfd = -EBADF, .owner = (char *) OWNER_ROOT };
        _cleanup_(store_freep) Store *s = NULL;
        Config c;

        config_init(&c);
        assert_ok(store_new(device, &c, &s));
        assert_ok(store_remove(s, &root, OWNER_ROOT, name, /* id= */ 0, /* ret= */ NULL, /* reterr_error= */ NULL));
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
        assert_int_equal(restore_run(&d, &config, /* lost= */ false, disk_path, report_path), 0);
        assert_int_equal(e.n_restored, 2);
        assert_int_equal(e.n_dropped + e.n_lost, 0);
        assert_string_equal(e.last_node, "b");
        assert_string_equal(e.last_owner, "uid:1000");
        assert_string_equal(e.last_kernel, "6.12.0-mock");
        assert_int_equal(e.fields.objects, 1);
        assert_int_equal(e.fields.generation, 1);
        assert_int_equal(e.fields.usec, 1234);
        assert_int_equal(e.fields.bytes, 4);
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
        assert_int_equal(restore_run(&d, &config, /* lost= */ false, disk_path, report_path), 0);
        assert_int_equal(e.n_restored, 1);
        assert_int_equal(e.n_dropped, 20);
        assert_string_equal(e.last_node, "broken19");
        assert_non_null(strstr(e.last, "unknown kind of damage"));
}

static void test_nothing_came_back(_unused_ void **state) {
        static const uint32_t results[] = { PKRAM_BOOT_NOTHING, PKRAM_BOOT_STALE, PKRAM_BOOT_DAMAGED,
                                            PKRAM_BOOT_VERSION };

        for (size_t i = 0; i < ELEMENTSOF(results); i++) {
                _cleanup_(mock_freep) Mock *m = mock_new();
                PkramDevice d = mock_device(m);
                Entries e = {};

                (void) setup(NULL);
                journal_set_sink(on_entry, &e);
                mock_info(m)->boot_result = results[i];
                assert_int_equal(restore_run(&d, &config, /* lost= */ false, disk_path, report_path), 0);
                assert_int_equal(e.n_dropped, 1);
                assert_string_equal(e.last_node, "");
                assert_non_null(strstr(e.last, "Nothing restored"));
        }
}

static void test_ordinary_boot_is_silent(_unused_ void **state) {
        _cleanup_(mock_freep) Mock *m = mock_new();
        PkramDevice d = mock_device(m);
        Entries e = {};

        journal_set_sink(on_entry, &e);
        assert_int_equal(restore_run(&d, &config, /* lost= */ false, disk_path, report_path), 0);
        assert_int_equal(restore_run(&d, &config, /* lost= */ true, disk_path, report_path), 0);
        mock_set_off(m, true);
        assert_int_equal(restore_run(&d, &config, /* lost= */ false, disk_path, report_path), 0);
        mock_set_missing(m, -ENOENT);
        assert_int_equal(restore_run(&d, &config, /* lost= */ false, disk_path, report_path), 0);
        assert_int_equal(restore_run(&d, &config, /* lost= */ true, disk_path, report_path), 0);
        assert_int_equal(e.n_restored + e.n_dropped + e.n_lost, 0);
}

static void test_lost(_unused_ void **state) {
        _cleanup_(mock_freep) Mock *m = mock_new();
        PkramDevice d = mock_device(m);
        Entries e = {};

        journal_set_sink(on_entry, &e);
        store_one(&d, "a", "a.service");
        store_one(&d, "b", "b.service");
        assert_int_equal(restore_run(&d, &config, /* lost= */ true, disk_path, report_path), 0);
        assert_int_equal(e.n_lost, 2);
        assert_int_equal(e.n_restored, 0);
        assert_string_equal(e.last_node, "b");
        assert_string_equal(e.last_owner, "b.service");
        assert_int_equal(mock_n_nodes(m), 2);
}

static size_t count_copies(void) {
        char pattern[128];
        glob_t g;
        size_t n;

        (void) snprintf(pattern, sizeof(pattern), "%s/nodes.*/*.node", disk_path);
        n = glob(pattern, 0, NULL, &g) == 0 ? g.gl_pathc : 0;
        globfree(&g);
        return n;
}

/* With Persist= the nodes are on disk afterwards. Those that could not be written are lost, with a reason. */
static void test_written_to_disk(_unused_ void **state) {
        _cleanup_(mock_freep) Mock *m = mock_new();
        PkramDevice d = mock_device(m);
        Entries e = {};

        journal_set_sink(on_entry, &e);
        store_one(&d, "a", "a.service");
        store_one(&d, "b", "b.service");
        config.persist = PERSIST_ALL;
        config.disk = false;
        assert_int_equal(restore_run(&d, &config, /* lost= */ true, disk_path, report_path), 0);
        /* With Use=no no later boot looks at the disk. */
        assert_int_equal(e.n_lost, 2);
        config.disk = true;
        assert_int_equal(restore_run(&d, &config, /* lost= */ true, disk_path, report_path), 0);
        assert_int_equal(e.n_lost, 2);
        assert_int_equal(e.n_persisted, 2);
        assert_string_equal(e.last, "Wrote node 'b' of b.service to disk for the next boot: 1 object, 4B.");
        assert_int_equal(count_copies(), 2);
        config.persist_bytes = 1;
        assert_int_equal(restore_run(&d, &config, /* lost= */ true, disk_path, report_path), 0);
        assert_int_equal(e.n_lost, 4);
        /* The copies of the shutdown before, which was cancelled, are gone. */
        assert_int_equal(count_copies(), 0);
        assert_non_null(strstr(e.last, "not written to disk: there is too little room"));
        config.persist = PERSIST_MODE_MARKED;
        assert_int_equal(restore_run(&d, &config, /* lost= */ true, disk_path, report_path), 0);
        assert_int_equal(e.n_lost, 6);
        assert_non_null(strstr(e.last, "not marked for the disk"));
        config_init(&config);
        config.disk = true;
        config.persist = PERSIST_ALL;
        assert_int_equal(restore_run(&d, &config, /* lost= */ true, "/proc/none/disk", report_path), 0);
        assert_int_equal(e.n_lost, 8);
        /* What concerns all nodes is logged once, and not with each of them. */
        assert_ok(chmod(disk_path, 0777));
        assert_int_equal(restore_run(&d, &config, /* lost= */ true, disk_path, report_path), 0);
        assert_int_equal(e.n_lost, 10);
        assert_null(strstr(e.last, "not written to disk"));
        assert_ok(chmod(disk_path, 0700));
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
        assert_errno(restore_run(&d, &config, /* lost= */ false, disk_path, report_path), EIO);
        mock_fail(m, PKRAM_IOC_INFO, 1, -EIO);
        assert_errno(restore_run(&d, &config, /* lost= */ false, disk_path, report_path), EIO);
}

/* What the last program of the old system leaves. */
static void leave_record(const PkramDevice *d) {
        _cleanup_record_ KexecRecord record = KEXEC_RECORD_NONE;
        _cleanup_log_tail_ LogTail tail = {};
        _cleanup_free_ char *text = NULL, *log = NULL;
        size_t n;

        record.requested_usec = now_usec(CLOCK_REALTIME) - 10 * USEC_PER_SEC;
        assert_ok(kexec_record_add(&record, NULL, "a", 4096));
        assert_ok(kexec_record_add(&record, NULL, "b", 4096));
        assert_ok(kexec_record_add(&record, NULL, "never", 8192));
        /* an older one of that name comes back */
        assert_ok(kexec_record_add_unstored(&record, "root", "a", TREE_LOST_IN_USE));
        assert_ok(kexec_record_add_unstored(&record, "root", "slow", TREE_LOST_TIMEOUT));
        assert_ok(kexec_record_add_unstored(&record, "root", "tree", TREE_LOST_UNKNOWN));
        assert_ok(kexec_record_add_unstored(&record, "root", "open", TREE_LOST_MOUNTED));
        /* it was stored after all */
        assert_ok(kexec_record_add_unstored(&record, "a.service", "a", TREE_LOST_MOUNTED));
        assert_ok(kexec_record_format(&record, &text, &n));
        assert_ok(system_node_save(d, SYSTEM_NODE_RECORD, text, n));

        tail.boot_id = strdup("0123456789abcdef0123456789abcdef");
        assert_ok(log_tail_add(&tail, 6, 1000, "systemd-shutdown[1]: All filesystems unmounted."));
        assert_ok(log_tail_add(&tail, 4, 2000, "the very last line"));
        assert_ok(log_tail_format(&tail, &log, &n));
        assert_ok(system_node_save(d, SYSTEM_NODE_LOG, log, n));
}

static void test_report(_unused_ void **state) {
        _cleanup_(mock_freep) Mock *m = mock_new();
        PkramDevice d = mock_device(m);
        _cleanup_json_ struct json_object *o = NULL, *up = NULL;
        struct json_object *lost;
        Entries e = {};

        journal_set_sink(on_entry, &e);
        store_one(&d, "a", "a.service");
        leave_record(&d);
        mock_kexec(m);
        mock_info(m)->boot_result = PKRAM_BOOT_PARTIAL;
        mock_info(m)->sealed_ns = 7000000000;
        mock_add_dropped(m, "b", PKRAM_DAMAGE_CHECKSUM);
        assert_int_equal(restore_run(&d, &config, /* lost= */ false, disk_path, report_path), 0);
        assert_int_equal(e.n_restored, 1);
        assert_int_equal(e.n_dropped, 6);
        assert_int_equal(e.n_sealed, 1);
        assert_int_equal(e.n_replayed, 2);
        assert_string_equal(e.last, "the very last line");
        assert_int_equal(e.fields.realtime_usec, 2000);
        assert_int_equal(mock_n_nodes(m), 1); /* what the system stored for itself is gone */
        assert_int_equal(mock_n_handles(m), 0);

        assert_ok(kexec_report_read(report_path, &o));
        assert_int_equal(json_get_int(o, "restoredNodes", -1), 1);
        assert_int_equal(json_get_int(o, "sealedUSec", -1), 7000000);
        assert_int_equal(json_get_int(o, "logLines", -1), 2);
        assert_string_equal(json_get_string(o, "previousKernel"), "6.12.0-mock");
        lost = json_get_array(o, "lost");
        assert_int_equal(json_object_array_length(lost), 6);
        assert_string_equal(json_get_string(json_object_array_get_idx(lost, 0), "name"), "b");
        assert_non_null(strstr(json_get_string(json_object_array_get_idx(lost, 0), "reason"), "checksum"));
        assert_string_equal(json_get_string(json_object_array_get_idx(lost, 1), "name"), "never");
        assert_non_null(strstr(json_get_string(json_object_array_get_idx(lost, 1), "reason"), "is missing"));
        assert_string_equal(json_get_string(json_object_array_get_idx(lost, 2), "name"), "a");
        assert_non_null(strstr(json_get_string(json_object_array_get_idx(lost, 2), "reason"), "in use"));
        assert_string_equal(json_get_string(json_object_array_get_idx(lost, 3), "name"), "slow");
        assert_non_null(strstr(json_get_string(json_object_array_get_idx(lost, 3), "reason"), "longer to store"));
        assert_non_null(strstr(json_get_string(json_object_array_get_idx(lost, 4), "reason"), "could not be stored"));
        assert_string_equal(json_get_string(json_object_array_get_idx(lost, 5), "name"), "open");
        assert_non_null(strstr(json_get_string(json_object_array_get_idx(lost, 5), "reason"), "kexec -e"));

        /* Services come up, twice. */
        assert_int_equal(services_up(&d, &no_notes, report_path, mark_path), 0);
        assert_int_equal(services_up(&d, &no_notes, report_path, mark_path), 0);
        assert_int_equal(e.n_up, 1);
        assert_non_null(strstr(e.last, "down for 1"));
        assert_ok(kexec_report_read(report_path, &up));
        assert_true(json_get_int(up, "downUSec", 0) >= 10 * (int64_t) USEC_PER_SEC);

        /* A soft-reboot: another user space, the same kernel. */
        assert_int_equal(restore_run(&d, &config, /* lost= */ false, disk_path, report_path), 0);
        assert_int_equal(e.n_restored, 1);
}

/* Adds a note as a program that runs. Returns the descriptor that holds its lock. */
static int make_note(const char *directory, const char *name, const RunNote *note) {
        int fd = run_note_take(directory, name);

        assert_true(fd >= 0);
        assert_ok(run_note_write(fd, name, note));
        return fd;
}

/* The report names guests, processes and shared memory: what came back and what did not, and why. */
static void test_returned(_unused_ void **state) {
        _cleanup_record_ KexecRecord record = KEXEC_RECORD_NONE;
        _cleanup_json_ struct json_object *o = NULL;
        _cleanup_(mock_freep) Mock *m = mock_new();
        _cleanup_free_ char *text = NULL;
        PkramDevice d = mock_device(m);
        char guests[64], processes[64];
        const NotePlaces places = { .guests = guests, .processes = processes };
        struct {
                bool guest;
                const char *name;
                RunNote note;
                int fd;
        } programs[] = {
                { true,  "db",     { .directory = dir, .reason = "it could not be saved: it is busy" }, -1 },
                { true,  "new",    { .directory = dir },                                                -1 },
                { true,  "web",    { .directory = dir, .resumed = true, .stopped_usec = 5 },            -1 },
                { false, "client", { .directory = dir },                                                -1 },
        };
        Entries e = {};
        size_t n;

        journal_set_sink(on_entry, &e);
        (void) snprintf(guests, sizeof(guests), "%s/guests", dir);
        (void) snprintf(processes, sizeof(processes), "%s/processes", dir);
        store_one(&d, "sysv:0x0052e2c1", OWNER_ROOT);
        store_one(&d, "posix:cache", OWNER_ROOT);
        store_one(&d, "sysv:0x1", "uid:1000");
        record.requested_usec = 1;
        assert_ok(kexec_record_add_program(&record.guests, "web"));
        assert_ok(kexec_record_add_program(&record.guests, "db"));
        assert_ok(kexec_record_add_program(&record.guests, "mail"));
        assert_ok(kexec_record_add_program(&record.processes, "client"));
        assert_ok(kexec_record_format(&record, &text, &n));
        assert_ok(system_node_save(&d, SYSTEM_NODE_RECORD, text, n));
        mock_kexec(m);
        assert_int_equal(restore_run(&d, &config, /* lost= */ false, disk_path, report_path), 0);
        assert_ok(kexec_report_read(report_path, &o));
        assert_int_equal(json_object_array_length(json_get_array(o, "sharedMemory")), 2);

        /* One comes back. */
        forget_one(&d, "posix:cache");
        for (size_t i = 0; i < ELEMENTSOF(programs); i++)
                programs[i].fd = make_note(programs[i].guest ? guests : processes, programs[i].name,
                                           &programs[i].note);
        assert_int_equal(services_up(&d, &places, report_path, mark_path), 0);
        assert_int_equal(e.n_up, 1);
        assert_non_null(strstr(e.last, " Guests: db was booted (it could not be saved: it is busy), web continues, "
                               "mail does not run. Processes: client was started again (it was not saved). "
                               "Shared memory: 0x0052e2c1 is not restored (it is still in its node), "
                               "/dev/shm/cache is restored."));
        for (size_t i = 0; i < ELEMENTSOF(programs); i++)
                (void) run_note_remove(programs[i].fd, programs[i].guest ? guests : processes, programs[i].name);
        (void) rmdir(guests);
        (void) rmdir(processes);
}

static void test_hostile_system_nodes(_unused_ void **state) {
        _cleanup_(mock_freep) Mock *m = mock_new();
        PkramDevice d = mock_device(m);
        Entries e = {};

        journal_set_sink(on_entry, &e);
        store_one(&d, "a", "a.service");
        assert_ok(system_node_save(&d, SYSTEM_NODE_RECORD, "{\"version\":1,", 13));
        assert_ok(system_node_save(&d, SYSTEM_NODE_LOG, "\0\0\0\0", 4));
        mock_kexec(m);
        assert_int_equal(restore_run(&d, &config, /* lost= */ false, disk_path, report_path), 0);
        assert_int_equal(e.n_restored, 1);
        assert_int_equal(e.n_replayed, 0);
        assert_int_equal(mock_n_nodes(m), 1);
        assert_int_equal(access(report_path, F_OK), 0);
}

/* Whether the mark of a boot that did not end in order is noticed is a matter of the journal; here, that it is put
 * down. */
static void test_crash_mark(_unused_ void **state) {
        _cleanup_(mock_freep) Mock *m = mock_new();
        PkramDevice d = mock_device(m);
        _cleanup_free_ char *mark = NULL, *again = NULL;
        Entries e = {};
        size_t n;

        journal_set_sink(on_entry, &e);
        assert_int_equal(services_up(&d, &no_notes, report_path, mark_path), 0);
        assert_ok(file_read(mark_path, 64, &mark, &n));
        assert_int_equal(n, 32);
        assert_ok(file_write(mark_path, "ffffffffffffffffffffffffffffffff", 32));
        assert_int_equal(services_up(&d, &no_notes, report_path, mark_path), 0);
        assert_ok(file_read(mark_path, 64, &again, &n));
        assert_string_equal(mark, again);
        assert_int_equal(e.n_up, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_restored, setup),
                cmocka_unit_test_setup(test_dropped, setup),
                cmocka_unit_test_setup(test_nothing_came_back, setup),
                cmocka_unit_test_setup(test_ordinary_boot_is_silent, setup),
                cmocka_unit_test_setup(test_lost, setup),
                cmocka_unit_test_setup(test_written_to_disk, setup),
                cmocka_unit_test_setup(test_failure, setup),
                cmocka_unit_test_setup(test_report, setup),
                cmocka_unit_test_setup(test_returned, setup),
                cmocka_unit_test_setup(test_hostile_system_nodes, setup),
                cmocka_unit_test_setup(test_crash_mark, setup),
        };

        int r;

        if (!mkdtemp(dir))
                return EXIT_FAILURE;
        (void) snprintf(report_path, sizeof(report_path), "%s/report", dir);
        (void) snprintf(mark_path, sizeof(mark_path), "%s/mark", dir);
        (void) snprintf(disk_path, sizeof(disk_path), "%s/disk", dir);
        r = cmocka_run_group_tests_name("restore", tests, NULL, NULL);
        (void) setup(NULL);
        (void) rmdir(dir);
        return r;
}
