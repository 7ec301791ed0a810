/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of the store that need no device. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "checksum.h"
#include "config.h"
#include "manifest.h"
#include "name.h"
#include "peer.h"
#include "segment.h"
#include "test.h"
#include "tree-table.h"

/* --- names --- */

static void test_names(_unused_ void **state) {
        static const char *const good[] = { "a", "a b", "...", ".a", "\xc3\xa4", "a\\b", "a:b@c.service",
                                            "\xf0\x9f\x98\x80" };
        static const char *const bad[] = {
                "", ".", "..", "/", "a/b", "a\nb", "\x01", "\x7f", "\xc2\x80", "\xff", "a\xc3",
        };

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_int_equal(name_validate(good[i], NULL), 0);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_error_ StoreError e = {};

                assert_errno(name_validate(bad[i], &e), EINVAL);
                assert_int_equal(e.kind, STORE_ERROR_INVALID_NAME);
                assert_non_null(e.reason);
                assert_true(strlen(e.name) <= strlen(bad[i]));
        }
}

static void test_name_lengths(_unused_ void **state) {
        _cleanup_error_ StoreError e = {};
        char name[300];

        memset(name, 'x', sizeof(name));
        name[255] = 0;
        assert_int_equal(name_validate(name, NULL), 0);
        name[255] = 'x';
        name[256] = 0;
        assert_errno(name_validate(name, &e), EINVAL);
        assert_int_equal(strlen(e.name), 255);
}

/* --- segments --- */

static void test_segment_names(_unused_ void **state) {
        static const char *const bad[] = {
                "",
                "key=0x00000000 size=1 mode=0600 uid=0 gid=0 locked=0",
                "key=0x00000001 size=0 mode=0600 uid=0 gid=0 locked=0",
                "key=0x00000001 size=9223372036854775808 mode=0600 uid=0 gid=0 locked=0",
                "key=0x00000001 size=1 mode=4777 uid=0 gid=0 locked=0",
                "key=0x00000001 size=1 mode=0600 uid=-1 gid=0 locked=0",
                "key=0x00000001 size=1 mode=0600 uid=4294967296 gid=0 locked=0",
                "key=0x00000001 size=1 mode=0600 uid=0 gid=0 locked=2",
                "key=0x1 size=1 mode=0600 uid=0 gid=0 locked=0",
                "key=0x00000001 size=01 mode=0600 uid=0 gid=0 locked=0",
                "key=0x00000001  size=1 mode=0600 uid=0 gid=0 locked=0",
                "key=0x00000001 size=1 mode=0600 uid=0 gid=0 locked=0 ",
                "key=0x00000001 size=1 mode=0600 uid=0 gid=0",
        };
        _cleanup_free_ char *name = NULL;
        Segment s = { .id = 3, .key = 0xae001000, .size = 5, .mode = 0640, .uid = 7, .gid = 8, .locked = true }, t;

        name = segment_to_object_name(&s);
        assert_string_equal(name, "key=0xae001000 size=5 mode=0640 uid=7 gid=8 locked=1");
        assert_ok(segment_from_object_name(name, &t));
        assert_true(t.id == -1 && t.key == s.key && t.size == s.size && t.mode == s.mode && t.uid == s.uid &&
                    t.gid == s.gid && t.locked);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (segment_from_object_name(bad[i], &t) != -EBADMSG)
                        fail_msg("'%s' was taken", bad[i]);
}

static void test_segment_keys(_unused_ void **state) {
        uint32_t key;

        assert_ok(key_parse("0x0052e2c1", &key));
        assert_int_equal(key, 0x52e2c1);
        assert_ok(key_parse("4294967295", &key));
        assert_int_equal(key, UINT32_MAX);
        assert_errno(key_parse("4294967296", &key), ERANGE);
        assert_errno(key_parse("99999999999999999999999", &key), ERANGE);
        assert_errno(key_parse("-1", &key), EINVAL);
        assert_errno(key_parse("0x", &key), EINVAL);
        assert_errno(key_parse("5a", &key), EINVAL);
        assert_errno(key_parse("", &key), EINVAL);
}

/* --- owners --- */

static void test_owner(_unused_ void **state) {
        static const struct {
                const char *unit, *slice;
                bool user_slice;
                uid_t uid, unit_uid;
                bool needs_unit_user;
                const char *owner;
        } table[] = {
                /* services: root, their own user, and users they run something for */
                { "a.service",          "system.slice",  false, 0,     UID_NONE, false, "a.service"          },
                { "a.service",          "system.slice",  false, 100,   100,      true,  "a.service"          },
                { "a.service",          "system.slice",  false, 0,     100,      false, "a.service"          },
                { "cron.service",       "system.slice",  false, 1000,  UID_NONE, true,  "uid:1000"           },
                { "php-fpm.service",    "system.slice",  false, 1000,  33,       true,  "uid:1000"           },
                /* sessions and users' managers */
                { "session-3.scope",    "user-1000.slice", true, 1000, 1000,     false, "uid:1000"           },
                { "user@1000.service",  "user-1000.slice", true, 1000, 1000,     false, "uid:1000"           },
                { "session-3.scope",    "user-1000.slice", true, 0,    UID_NONE, false, "root"               },
                /* outside of units */
                { "init.scope",         "-.slice",       false, 0,     UID_NONE, false, "root"               },
                { NULL,                 NULL,            false, 0,     UID_NONE, false, "root"               },
                { NULL,                 NULL,            false, 5,     UID_NONE, false, "uid:5"              },
                /* other units */
                { "srv-data.mount",     "system.slice",  false, 0,     UID_NONE, false, "srv-data.mount"     },
                { "srv-data.mount",     "system.slice",  false, 7,     7,        false, "uid:7"              },
                /* containers: their scope, or a slice of their own */
                { "docker-12.scope",    "system.slice",  false, 0,     UID_NONE, false, "docker-12.scope"    },
                { "libpod-12.scope",    "machine.slice", false, 0,     UID_NONE, false, "libpod-12.scope"    },
                { "docker-12.scope",    "db.slice",      false, 0,     UID_NONE, false, "db.slice"           },
                { "docker-12.scope",    "db.slice",      false, 999,   999,      false, "uid:999"            },
                { "a.service",          "db.slice",      false, 0,     UID_NONE, false, "a.service"          },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Peer p = {
                        .uid = table[i].uid,
                        .pidfd = -EBADF,
                        .unit = { .unit = (char *) table[i].unit, .slice = (char *) table[i].slice,
                                  .user_slice = table[i].user_slice },
                };

                assert_int_equal(peer_needs_unit_user(&p), table[i].needs_unit_user);
                assert_ok(peer_set_owner(&p, table[i].unit_uid));
                assert_string_equal(p.owner, table[i].owner);
                assert_true(owner_is_valid(p.owner));
                free(p.owner);
        }

        assert_true(owner_is_user("uid:1000"));
        assert_false(owner_is_user(OWNER_ROOT));
        assert_false(owner_is_user("a.service"));
        assert_false(owner_is_user(OWNER_KERNEL));
}

static void test_peer_may(_unused_ void **state) {
        Peer user = { .uid = 1000, .owner = (char *) "uid:1000" }, root = { .uid = 0, .owner = (char *) OWNER_ROOT };
        Peer service = { .uid = 1000, .owner = (char *) "a.service" };

        assert_true(peer_may(&user, "uid:1000"));
        assert_false(peer_may(&user, "uid:1001"));
        assert_false(peer_may(&user, "a.service"));
        assert_false(peer_may(&user, OWNER_KERNEL));
        assert_true(peer_may(&root, "uid:1000"));
        assert_true(peer_may(&root, OWNER_KERNEL));
        assert_true(peer_may(&service, "a.service"));
        assert_false(peer_may(&service, "uid:1000"));
}

static void test_peer_from_socket(_unused_ void **state) {
        _cleanup_peer_ Peer p = { .pidfd = -EBADF };
        int fds[2];

        assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
        assert_ok(peer_from_socket(fds[0], peer_find_unit, NULL, &p));
        assert_null(p.owner);
        assert_ok(peer_set_owner(&p, UID_NONE));
        assert_int_equal(p.pid, getpid());
        assert_int_equal(p.uid, geteuid());
        assert_true(p.pidfd >= 0);
        assert_non_null(p.owner);
        close_many(fds, 2);
}

/* --- checksums --- */

static int memfd_with(const void *data, size_t n) {
        int fd = memfd_create("test", MFD_CLOEXEC);

        assert_ok(fd);
        assert_int_equal(pwrite(fd, data, n, 0), n);
        return fd;
}

static void sum_file(int fd, bool may_seek, uint64_t slice, char ret[CHECKSUM_HEX_LENGTH + 1]) {
        _cleanup_(checksum_freep) Checksum *c = NULL;
        struct stat st;
        int r;

        assert_ok(fstat(fd, &st));
        assert_ok(checksum_new((uint64_t) st.st_size, &c));
        while ((r = checksum_file_step(c, fd, may_seek, slice)) > 0)
                ;
        assert_int_equal(r, 0);
        checksum_final(c, ret);
}

static void test_checksum_ways_agree(_unused_ void **state) {
        static uint8_t data[300000];
        char a[CHECKSUM_HEX_LENGTH + 1], b[CHECKSUM_HEX_LENGTH + 1];

        for (size_t i = 0; i < sizeof(data); i++)
                data[i] = (uint8_t) (i >> 3);

        for (size_t n = 0; n <= sizeof(data); n = n * 3 + 1) {
                _cleanup_(checksum_freep) Checksum *c = NULL;
                _cleanup_close_ int fd = memfd_with(data, n);

                assert_ok(checksum_new(n, &c));
                checksum_data(c, data, n);
                checksum_final(c, a);
                sum_file(fd, true, UINT64_MAX, b);
                assert_string_equal(a, b);
                sum_file(fd, false, 1, b);
                assert_string_equal(a, b);
        }
}

static void test_checksum_holes_are_zeroes(_unused_ void **state) {
        _cleanup_close_ int sparse = memfd_create("a", MFD_CLOEXEC), written = memfd_create("b", MFD_CLOEXEC);
        static const uint8_t zero[200000];
        char a[CHECKSUM_HEX_LENGTH + 1], b[CHECKSUM_HEX_LENGTH + 1];

        assert_ok(ftruncate(sparse, MIB(1)));
        assert_int_equal(pwrite(sparse, "x", 1, 500000), 1);
        for (off_t o = 0; o < (off_t) MIB(1); o += (off_t) sizeof(zero))
                assert_true(pwrite(written, zero, MIN(sizeof(zero), (size_t) ((off_t) MIB(1) - o)), o) > 0);
        assert_int_equal(pwrite(written, "x", 1, 500000), 1);

        sum_file(sparse, true, UINT64_MAX, a);
        sum_file(written, true, UINT64_MAX, b);
        assert_string_equal(a, b);
}

static void test_checksum_notices(_unused_ void **state) {
        static uint8_t data[100000];
        _cleanup_close_ int fd = memfd_with(data, sizeof(data));
        char a[CHECKSUM_HEX_LENGTH + 1], b[CHECKSUM_HEX_LENGTH + 1];

        sum_file(fd, true, UINT64_MAX, a);

        assert_int_equal(pwrite(fd, "\1", 1, 99999), 1);
        sum_file(fd, true, UINT64_MAX, b);
        assert_string_not_equal(a, b);

        /* The same byte somewhere else is something else, and so is one zero more. */
        memcpy(a, b, sizeof(a));
        assert_int_equal(pwrite(fd, "\0", 1, 99999), 1);
        assert_int_equal(pwrite(fd, "\1", 1, 99999 - 65536), 1);
        sum_file(fd, true, UINT64_MAX, b);
        assert_string_not_equal(a, b);
        memcpy(a, b, sizeof(a));
        assert_ok(ftruncate(fd, sizeof(data) + 1));
        sum_file(fd, true, UINT64_MAX, b);
        assert_string_not_equal(a, b);
}

static void test_checksum_truncated(_unused_ void **state) {
        _cleanup_(checksum_freep) Checksum *c = NULL;
        _cleanup_close_ int fd = memfd_with("abc", 3);

        assert_ok(checksum_new(4, &c));
        assert_errno(checksum_file_step(c, fd, false, 100), EIO);
}

/* --- configuration --- */

typedef struct Warnings {
        unsigned n, last_line;
        char last[512];
} Warnings;

static void on_warning(_unused_ const char *path, unsigned line, const char *text, void *userdata) {
        Warnings *w = userdata;

        w->n++;
        w->last_line = line;
        (void) snprintf(w->last, sizeof(w->last), "%s", text);
}

static void test_config_defaults(_unused_ void **state) {
        Config c;

        config_init_memory(&c, GIB(10));
        assert_int_equal(c.limit[LIMIT_TOTAL_BYTES], GIB(10) / 100 * 50);
        assert_int_equal(c.limit[LIMIT_OBJECTS], 65534);
        assert_int_equal(c.kexec_policy, KEXEC_POLICY_REFUSE);
        for (LimitId i = 0; i < _LIMIT_MAX; i++)
                assert_non_null(limit_name(i));
}

static void test_config_good(_unused_ void **state) {
        static const char text[] =
                "# comment\n; comment\n\n[Store]\n"
                "TotalBytesMax = 25%\nOwnerBytesMax=infinity\nUserBytesMax=1G\nNodeBytesMax=12345\n"
                "  NodesMax=7  \r\nMessageBytesMax=1M\nKexecPolicy=warn";
        Warnings w = {};
        Config c;

        config_init_memory(&c, GIB(8));
        config_parse(&c, "x", text, strlen(text), on_warning, &w);
        assert_int_equal(w.n, 0);
        assert_int_equal(c.limit[LIMIT_TOTAL_BYTES], GIB(8) / 100 * 25);
        assert_int_equal(c.limit[LIMIT_OWNER_BYTES], UINT64_MAX);
        assert_int_equal(c.limit[LIMIT_USER_BYTES], GIB(1));
        assert_int_equal(c.limit[LIMIT_NODE_BYTES], 12345);
        assert_int_equal(c.limit[LIMIT_NODES], 7);
        assert_int_equal(c.limit[LIMIT_MESSAGE_BYTES], MIB(1));
        assert_int_equal(c.kexec_policy, KEXEC_POLICY_WARN);
}

static void test_config_fdstore(_unused_ void **state) {
        static const char text[] = "[FdStore]\nUnits= a.service "
                "\tb@*.service\nRequireRestore=yes\nUnitBytesMax=1G\nUnitDescriptorsMax=5\n";
        static const char *const bad[] = {
                "[FdStore]\nUnits=", "[FdStore]\nUnits=all a.service", "[FdStore]\nUnits=a/b",
                "[FdStore]\nRequireRestore=maybe", "[FdStore]\nUnitBytesMax=1Z", "[FdStore]\nUnitDescriptorsMax=65535",
                "[FdStore]\nNodesMax=1", "[Store]\nUnits=none",
        };
        Warnings w = {};
        Config c, defaults;

        config_init_memory(&defaults, GIB(8));
        assert_string_equal(defaults.fdstore_units, "all");
        assert_false(defaults.fdstore_require_restore);
        c = defaults;
        config_parse(&c, "x", text, strlen(text), on_warning, &w);
        assert_int_equal(w.n, 0);
        assert_string_equal(c.fdstore_units, "a.service \tb@*.service");
        assert_true(c.fdstore_require_restore);
        assert_int_equal(c.fdstore_unit_bytes, GIB(1));
        assert_int_equal(c.fdstore_unit_descriptors, 5);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                c = defaults;
                w.n = 0;
                config_parse(&c, "x", bad[i], strlen(bad[i]), on_warning, &w);
                if (w.n < 1)
                        fail_msg("no warning for '%s'", bad[i]);
                assert_memory_equal(&c, &defaults, sizeof(c));
        }
}

static void test_config_disk(_unused_ void **state) {
        static const char text[] = "[Disk]\nUse=auto\nKeepDays=7\nPersist=marked\nPersistPolicy=drop\n"
                "PersistBytesMax=25%\nPersistSecMax=1200\n";
        static const char *const bad[] = {
                "[Disk]\nUse=yes", "[Disk]\nKeepDays=-1", "[Disk]\nKeepDays=36501", "[Disk]\nPersist=yes",
                "[Disk]\nPersist=", "[Disk]\nPersistPolicy=warn", "[Disk]\nPersistBytesMax=101%",
                "[Disk]\nPersistSecMax=0", "[Disk]\nPersistSecMax=1201", "[Disk]\nNodesMax=1", "[Store]\nPersist=all",
        };
        static const struct {
                const char *text;
                int importance;
        } importance[] = { { "0", PERSIST_NEVER }, { "1", 1 }, { "100", 100 } };
        Warnings w = {};
        Config c, defaults;
        int n;

        config_init_memory(&defaults, GIB(8));
        assert_int_equal(config_persist(&defaults), PERSIST_NO);
        c = defaults;
        config_parse(&c, "x", text, strlen(text), on_warning, &w);
        assert_int_equal(w.n, 0);
        assert_true(c.disk);
        assert_int_equal(c.disk_keep_days, 7);
        assert_int_equal(config_persist(&c), PERSIST_MODE_MARKED);
        assert_true(c.persist_drop);
        assert_int_equal(c.persist_bytes, GIB(8) / 100 * 25);
        assert_int_equal(c.persist_sec, 1200);
        /* No later boot would look at the disk. */
        c.disk = false;
        assert_int_equal(config_persist(&c), PERSIST_NO);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                c = defaults;
                w.n = 0;
                config_parse(&c, "x", bad[i], strlen(bad[i]), on_warning, &w);
                if (w.n < 1)
                        fail_msg("no warning for '%s'", bad[i]);
                assert_memory_equal(&c, &defaults, sizeof(c));
        }

        for (size_t i = 0; i < ELEMENTSOF(importance); i++) {
                assert_ok(persist_parse(importance[i].text, &n));
                assert_int_equal(n, importance[i].importance);
        }
        assert_errno(persist_parse("101", &n), EINVAL);
        assert_errno(persist_parse("-1", &n), EINVAL);
        assert_errno(persist_parse("5K", &n), EINVAL);
        assert_errno(persist_parse("", &n), EINVAL);
}

static void test_config_bad(_unused_ void **state) {
        static const char *const bad[] = {
                "[Store]\nTotalBytesMax=", "[Store]\nTotalBytesMax=101%", "[Store]\nTotalBytesMax=-1",
                "[Store]\nTotalBytesMax=5Q", "[Store]\nTotalBytesMax=5MB",
                "[Store]\nTotalBytesMax=99999999999999999999", "[Store]\nTotalBytesMax=99999999P",
                "[Store]\nNodesMax=infinity", "[Store]\nNodesMax=1K", "[Store]\nNodesMax=5%",
                "[Store]\nMessageBytesMax=1", "[Store]\nObjectsMax=0", "[Store]\nObjectsMax=65535",
                "[Store]\nKexecPolicy=maybe", "[Store]\nFoo=1", "[Store]\nNodesMax", "NodesMax=5",
                "[store]\nNodesMax=5", "[Other]", "[Store]\nnodesmax=5", "[Store]\n=5",
        };
        Config defaults;

        config_init_memory(&defaults, GIB(8));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                Warnings w = {};
                Config c = defaults;

                config_parse(&c, "x", bad[i], strlen(bad[i]), on_warning, &w);
                if (w.n < 1)
                        fail_msg("no warning for '%s'", bad[i]);
                assert_memory_equal(&c, &defaults, sizeof(c));
        }
}

static void test_config_long_and_binary_lines(_unused_ void **state) {
        static char text[5000] = "[Store]\n";
        Warnings w = {};
        Config c;

        memset(text + 8, 'x', 3000);
        memcpy(text + 3008, "\nNodesMax=\0" "7\nNodesMax=8\n", 25);
        config_init_memory(&c, GIB(1));
        config_parse(&c, "x", text, 3008 + 24, on_warning, &w);
        assert_int_equal(w.n, 2);
        assert_int_equal(w.last_line, 3);
        assert_int_equal(c.limit[LIMIT_NODES], 8);
}

static void write_text(const char *root, const char *path, const char *text) {
        char full[512];
        FILE *f;

        (void) snprintf(full, sizeof(full), "%s%s", root, path);
        for (char *p = full + 1; (p = strchr(p, '/')); p++) {
                *p = 0;
                (void) mkdir(full, 0755);
                *p = '/';
        }
        f = fopen(full, "w");
        assert_non_null(f);
        assert_ok(fputs(text, f));
        assert_ok(fclose(f));
}

static void test_config_files(_unused_ void **state) {
        char root[] = "/tmp/test-pkram-config.XXXXXX", command[128];
        Warnings w = {};
        Config c;

        assert_non_null(mkdtemp(root));
        config_init_memory(&c, GIB(1));
        assert_int_equal(config_load(&c, root, on_warning, &w), 0);
        assert_int_equal(w.n, 0);

        write_text(root, "/usr/lib/pkram/pkramd.conf", "[Store]\nNodesMax=1\nObjectsMax=11\n");
        write_text(root, "/etc/pkram/pkramd.conf", "[Store]\nNodesMax=2\n");
        write_text(root, "/usr/lib/pkram/pkramd.conf.d/10-a.conf", "[Store]\nOwnerNodesMax=3\nUserNodesMax=3\n");
        write_text(root, "/run/pkram/pkramd.conf.d/20-b.conf", "[Store]\nUserNodesMax=4\n");
        write_text(root, "/etc/pkram/pkramd.conf.d/10-a.conf", "[Store]\nConnectionsMax=5\nUserNodesMax=5\n");
        write_text(root, "/etc/pkram/pkramd.conf.d/.hidden.conf", "[Store]\nNodesMax=99\n");
        write_text(root, "/etc/pkram/pkramd.conf.d/backup.conf~", "[Store]\nNodesMax=99\n");

        config_init_memory(&c, GIB(1));
        assert_int_equal(config_load(&c, root, on_warning, &w), 0);
        assert_int_equal(w.n, 0);
        assert_int_equal(c.limit[LIMIT_NODES], 2);           /* /etc before /usr/lib */
        assert_int_equal(c.limit[LIMIT_OBJECTS], 65534);      /* whose file is not read at all */
        assert_int_equal(c.limit[LIMIT_OWNER_NODES], 16384); /* hidden by the one in /etc */
        assert_int_equal(c.limit[LIMIT_CONNECTIONS], 5);
        assert_int_equal(c.limit[LIMIT_USER_NODES], 4);      /* 20 after 10 */
        assert_true(c.disk);

        write_text(root, "/usr/lib/pkram/pkramd.conf.d/30-c.conf", "[Disk]\nUse=no\n");
        config_init_memory(&c, GIB(1));
        assert_int_equal(config_load(&c, root, on_warning, &w), 0);
        assert_false(c.disk);

        (void) snprintf(command, sizeof(command), "rm -rf '%s'", root);
        assert_int_equal(system(command), 0);
}

/* --- manifests --- */

static void test_manifest_round_trip(_unused_ void **state) {
        uint8_t xattrs[] = { 1, 0, 0, 0, 7, 0, 'u', 's', 'e', 'r', '.', 'x', 0, 0xff };
        ManifestObject objects[] = {
                { .name = (char *) "a\"b\\\xc3\xa4", .kind = OBJECT_FILE,
                  .attributes = { .memfd = (char *) "\xff/x", .xattrs = xattrs, .xattrs_size = sizeof(xattrs),
                                  .flags = TREE_FLAG_NODUMP } },
                { .name = NULL, .kind = OBJECT_DATA },
        };
        Manifest m = {
                .owner = (char *) "x.service", .kernel = (char *) "6.12.0", .uid = 4000000000, .verify = true,
                .objects = objects, .n_objects = 2,
        };
        _cleanup_manifest_ Manifest back = {};
        _cleanup_free_ char *text = NULL;
        size_t size;

        assert_ok(manifest_format(&m, &text, &size));
        assert_int_equal(size, strlen(text));
        assert_ok(manifest_parse(text, size, 4, &back));
        assert_string_equal(back.owner, m.owner);
        assert_string_equal(back.kernel, m.kernel);
        assert_int_equal(back.uid, m.uid);
        assert_true(back.verify);
        assert_int_equal(back.n_objects, 2);
        assert_string_equal(back.objects[0].name, objects[0].name);
        assert_int_equal(back.objects[0].kind, OBJECT_FILE);
        assert_string_equal(back.objects[0].attributes.memfd, "\xff/x");
        assert_int_equal(back.objects[0].attributes.xattrs_size, sizeof(xattrs));
        assert_memory_equal(back.objects[0].attributes.xattrs, xattrs, sizeof(xattrs));
        assert_int_equal(back.objects[0].attributes.flags, TREE_FLAG_NODUMP);
        assert_false(object_attributes_is_set(&back.objects[1].attributes));
        assert_null(back.objects[1].name);
        assert_int_equal(back.objects[1].kind, OBJECT_DATA);
}

#define GOOD "{\"pkramManifest\":1,\"owner\":\"o\",\"uid\":0,\"kernel\":\"k\",\"objects\":[{\"kind\":\"file\"}]}"

static void test_manifest_hostile(_unused_ void **state) {
        static const struct {
                const char *text;
                int r;
        } bad[] = {
                { "", -ENOMSG },
                { "hello", -ENOMSG },
                { "{\"pkramManifest", -ENOMSG },
                { "{ \"pkramManifest\":1}", -ENOMSG },
                { "{\"pkramManifest\":", -EBADMSG },
                { "{\"pkramManifest\":1}", -EBADMSG },
                { "{\"pkramManifest\":0}", -EBADMSG },
                { "{\"pkramManifest\":-1}", -EBADMSG },
                { "{\"pkramManifest\":\"1\"}", -EBADMSG },
                { "{\"pkramManifest\":3,\"whatever\":true}", -EPROTONOSUPPORT },
                { "{\"pkramManifest\":2,\"owner\":\"o\",\"uid\":0,\"kernel\":\"k\",\"objects\":[{\"kind\":\"file\"}]}", -EBADMSG },
                { "{\"pkramManifest\":1,\"pkramManifest\":1}", -EBADMSG },
#define OBJECT(x) \
        "{\"pkramManifest\":1,\"owner\":\"o\",\"uid\":0,\"kernel\":\"k\",\"objects\":[{\"kind\":\"file\"," x "}]}"
                { OBJECT("\"memfd\":5"), -EBADMSG },
                { OBJECT("\"memfd\":\"?\""), -EBADMSG },
                { OBJECT("\"memfd\":\"AAAA\""), -EBADMSG },            /* NUL bytes */
                { OBJECT("\"xattrs\":\"AQAAAAcA\""), -EBADMSG },       /* ends after its head */
                { OBJECT("\"xattrs\":\"AAAAAAkAc3lzdGVtLngA\""), -EBADMSG }, /* system.x */
                { OBJECT("\"flags\":1"), -EBADMSG },                  /* immutable */
                { OBJECT("\"flags\":16"), -EBADMSG },
                { OBJECT("\"flags\":-1"), -EBADMSG },
#undef OBJECT
                { "{\"pkramManifest\":1,\"owner\":\"o\",\"uid\":0,\"kernel\":\"k\",\"objects\":[{\"kind\":\"data\",\"memfd\":\"eA==\"}]}", -EBADMSG },
                { "{\"pkramManifest\":1,\"owner\":5,\"uid\":0,\"kernel\":\"k\",\"objects\":[{\"kind\":\"file\"}]}",
                  -EBADMSG },
                { "{\"pkramManifest\":1,\"owner\":\"\",\"uid\":0,\"kernel\":\"k\",\"objects\":[{\"kind\":\"file\"}]}",
                  -EBADMSG },
                { "{\"pkramManifest\":1,\"owner\":\"o\",\"uid\":-1,\"kernel\":\"k\",\"objects\":[{\"kind\":\"file\"}]}", -EBADMSG },
                { "{\"pkramManifest\":1,\"owner\":\"o\",\"uid\":4294967295,\"kernel\":\"k\",\"objects\":[{\"kind\":\"file\"}]}", -EBADMSG },
                { "{\"pkramManifest\":1,\"owner\":\"o\",\"uid\":0,\"objects\":[{\"kind\":\"file\"}]}", -EBADMSG },
                { "{\"pkramManifest\":1,\"owner\":\"o\",\"uid\":0,\"kernel\":\"k\",\"objects\":{}}", -EBADMSG },
                { "{\"pkramManifest\":1,\"owner\":\"o\",\"uid\":0,\"kernel\":\"k\",\"objects\":[]}", -EBADMSG },
                { "{\"pkramManifest\":1,\"owner\":\"o\",\"uid\":0,\"kernel\":\"k\",\"objects\":[1]}", -EBADMSG },
                { "{\"pkramManifest\":1,\"owner\":\"o\",\"uid\":0,\"kernel\":\"k\",\"objects\":[null]}", -EBADMSG },
                { "{\"pkramManifest\":1,\"owner\":\"o\",\"uid\":0,\"kernel\":\"k\",\"objects\":[{\"kind\":\"x\"}]}",
                  -EBADMSG },
                { "{\"pkramManifest\":1,\"owner\":\"o\",\"uid\":0,\"kernel\":\"k\",\"objects\":[{\"kind\":\"file\",\"name\":\"../x\"}]}", -EBADMSG },
                { "{\"pkramManifest\":1,\"owner\":\"o\",\"uid\":0,\"kernel\":\"k\",\"objects\":[{\"kind\":\"file\",\"name\":5}]}", -EBADMSG },
                { "{\"pkramManifest\":1,\"owner\":\"o\",\"uid\":0,\"kernel\":\"k\",\"verify\":\"md5\",\"objects\":[{\"kind\":\"file\"}]}", -EBADMSG },
                { "{\"pkramManifest\":1,\"owner\":\"o\",\"uid\":0,\"kernel\":\"k\",\"verify\":true,\"objects\":[{\"kind\":\"file\"}]}", -EBADMSG },
                { GOOD "x", -EBADMSG },
        };
        _cleanup_manifest_ Manifest m = {};

        assert_int_equal(manifest_parse(GOOD, strlen(GOOD), 2, &m), 0);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                Manifest x = {};

                if (manifest_parse(bad[i].text, strlen(bad[i].text), 2, &x) != bad[i].r)
                        fail_msg("wrong answer to %s", bad[i].text);
        }
}

static void test_manifest_count(_unused_ void **state) {
        for (size_t n = 0; n < 5; n++) {
                _cleanup_manifest_ Manifest m = {};

                assert_int_equal(manifest_parse(GOOD, strlen(GOOD), n, &m), n == 2 ? 0 : -EBADMSG);
        }
}

static void test_manifest_every_flipped_bit(_unused_ void **state) {
        /* Whatever is flipped, nothing may crash or leak, and names stay names. */
        for (size_t i = 0; i < strlen(GOOD) * 8; i++) {
                _cleanup_manifest_ Manifest m = {};
                char text[] = GOOD;
                int r;

                text[i / 8] ^= (char) (1 << (i % 8));
                r = manifest_parse(text, strlen(GOOD), 2, &m);
                assert_true(r == 0 || r == -ENOMSG || r == -EBADMSG || r == -EPROTONOSUPPORT);
        }
}

static void test_checksums_round_trip(_unused_ void **state) {
        _cleanup_checksums_ Checksums c = {}, back = {};
        _cleanup_free_ char *text = NULL;
        size_t size;

        assert_ok(checksums_init(&c, 2));
        memcpy(c.manifest, "00112233445566778899aabbccddeeff", 33);
        memcpy(c.objects[0], "10112233445566778899aabbccddeeff", 33);
        memcpy(c.objects[1], "20112233445566778899aabbccddeeff", 33);
        assert_ok(checksums_format(&c, &text, &size));
        assert_ok(checksums_parse(text, size, 2, &back));
        assert_string_equal(back.manifest, c.manifest);
        assert_string_equal(back.objects[1], c.objects[1]);

        assert_errno(checksums_parse(text, size, 1, &back), EBADMSG);
        assert_errno(checksums_parse(text, size - 1, 2, &back), EBADMSG);
        text[strlen(text) - 4] = 'G';
        assert_errno(checksums_parse(text, size, 2, &back), EBADMSG);
        assert_errno(checksums_parse("{}", 2, 0, &back), EBADMSG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_name_lengths),
                cmocka_unit_test(test_segment_names),
                cmocka_unit_test(test_segment_keys),
                cmocka_unit_test(test_owner),
                cmocka_unit_test(test_peer_may),
                cmocka_unit_test(test_peer_from_socket),
                cmocka_unit_test(test_checksum_ways_agree),
                cmocka_unit_test(test_checksum_holes_are_zeroes),
                cmocka_unit_test(test_checksum_notices),
                cmocka_unit_test(test_checksum_truncated),
                cmocka_unit_test(test_config_defaults),
                cmocka_unit_test(test_config_good),
                cmocka_unit_test(test_config_fdstore),
                cmocka_unit_test(test_config_disk),
                cmocka_unit_test(test_config_bad),
                cmocka_unit_test(test_config_long_and_binary_lines),
                cmocka_unit_test(test_config_files),
                cmocka_unit_test(test_manifest_round_trip),
                cmocka_unit_test(test_manifest_hostile),
                cmocka_unit_test(test_manifest_count),
                cmocka_unit_test(test_manifest_every_flipped_bit),
                cmocka_unit_test(test_checksums_round_trip),
        };

        return cmocka_run_group_tests_name("store-parts", tests, NULL, NULL);
}
