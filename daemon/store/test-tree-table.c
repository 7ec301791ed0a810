/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of a directory tree: what it holds comes back, and nothing else is believed. */
#include <endian.h>

#include "test.h"
#include "tree-table.h"

#define HEADER 40U

static void add(TreeTable *t, const TreeEntry *e) {
        assert_ok(tree_table_add(t, e));
}

static void make_table(TreeTable *t) {
        _cleanup_free_ uint8_t *xattrs = NULL;
        size_t size = 0, allocated = 0;

        assert_ok(tree_xattr_add(&xattrs, &size, &allocated, "user.empty", NULL, 0));
        assert_ok(tree_xattr_add(&xattrs, &size, &allocated, "trusted.x", "a\0b", 3));

        add(t, &(TreeEntry) { .type = TREE_DIRECTORY, .name = "", .mode = 0755 });
        add(t, &(TreeEntry) { .type = TREE_DIRECTORY, .depth = 1, .name = "dir", .mode = 01777, .uid = 5, .gid = 6,
                              .atime = { -1, 999999999 }, .mtime = { 1LL << 40, 3 }, .xattrs = xattrs,
                              .xattrs_size = size });
        add(t, &(TreeEntry) { .type = TREE_PACKED, .depth = 2, .name = "new\nline \xff", .mode = 0644, .size = 5000,
                              .pages = 2 });
        add(t, &(TreeEntry) { .type = TREE_SYMLINK, .depth = 2, .name = "link", .target = "../../../etc" });
        add(t, &(TreeEntry) { .type = TREE_FILE, .depth = 1, .name = "big", .mode = 04755,
                              .size = UINT64_C(1) << 40 });
        add(t, &(TreeEntry) { .type = TREE_LINK, .depth = 1, .name = "other", .link = 2 });
        add(t, &(TreeEntry) { .type = TREE_FIFO, .depth = 1, .name = "fifo", .mode = 0600 });
        tree_table_seal(t);
}

static void test_round_trip(_unused_ void **state) {
        _cleanup_(tree_table_done) TreeTable t = {};
        _cleanup_(tree_index_done) TreeIndex x = {};
        size_t position = 0;
        TreeXattr xattr;
        TreeEntry e;

        make_table(&t);
        assert_ok(tree_table_open(t.data, t.size, &x));
        assert_int_equal(x.n_entries, 7);
        assert_int_equal(x.n_files, 1);
        assert_int_equal(x.packed_bytes, 5000 - 4096);

        tree_index_get(&x, 1, &e);
        assert_int_equal(e.type, TREE_DIRECTORY);
        assert_string_equal(e.name, "dir");
        assert_int_equal(e.mode, 01777);
        assert_int_equal(e.uid, 5);
        assert_int_equal(e.gid, 6);
        assert_int_equal(e.atime.tv_sec, -1);
        assert_int_equal(e.atime.tv_nsec, 999999999);
        assert_int_equal(e.mtime.tv_sec, 1LL << 40);
        assert_int_equal(tree_xattr_next(e.xattrs, e.xattrs_size, &position, &xattr), 1);
        assert_string_equal(xattr.name, "user.empty");
        assert_int_equal(xattr.value_size, 0);
        assert_int_equal(tree_xattr_next(e.xattrs, e.xattrs_size, &position, &xattr), 1);
        assert_memory_equal(xattr.value, "a\0b", 3);
        assert_int_equal(tree_xattr_next(e.xattrs, e.xattrs_size, &position, &xattr), 0);

        tree_index_get(&x, 2, &e);
        assert_string_equal(e.name, "new\nline \xff");
        assert_int_equal(x.parents[2], 1);
        tree_index_get(&x, 3, &e);
        assert_string_equal(e.target, "../../../etc");
        tree_index_get(&x, 4, &e);
        assert_int_equal(e.size, UINT64_C(1) << 40);
        assert_int_equal(x.parents[4], 0);
        tree_index_get(&x, 5, &e);
        assert_int_equal(e.link, 2);
}

static void test_every_flipped_bit(_unused_ void **state) {
        _cleanup_(tree_table_done) TreeTable t = {};

        make_table(&t);
        for (size_t i = 0; i < t.size * 8; i++) {
                _cleanup_(tree_index_done) TreeIndex x = {};
                int r;

                t.data[i / 8] ^= (uint8_t) (1 << (i % 8));
                r = tree_table_open(t.data, t.size, &x);
                assert_true(r == -EBADMSG || (r == -EPROTONOSUPPORT && i / 8 >= 8 && i / 8 < 12));
                t.data[i / 8] ^= (uint8_t) (1 << (i % 8));
        }
}

static void test_every_flipped_bit_behind_the_hash(_unused_ void **state) {
        /* As a forger would do it, or a writer with a bug: what is taken has to be sane, and nothing may crash. */
        _cleanup_(tree_table_done) TreeTable t = {};

        make_table(&t);
        for (size_t i = HEADER * 8; i < t.size * 8; i++) {
                _cleanup_(tree_index_done) TreeIndex x = {};

                t.data[i / 8] ^= (uint8_t) (1 << (i % 8));
                tree_table_seal(&t);
                if (tree_table_open(t.data, t.size, &x) >= 0)
                        for (uint32_t n = 0; n < x.n_entries; n++) {
                                TreeEntry e;

                                tree_index_get(&x, n, &e);
                                assert_null(strchr(e.name, '/'));
                                assert_true(x.parents[n] <= n);
                        }
                t.data[i / 8] ^= (uint8_t) (1 << (i % 8));
        }
}

static void test_truncated(_unused_ void **state) {
        _cleanup_(tree_table_done) TreeTable t = {};

        make_table(&t);
        for (size_t i = 0; i < t.size; i++) {
                /* In memory of its own, so that a look behind its end is found out. */
                _cleanup_free_ uint8_t *copy = malloc(i + 1);
                _cleanup_(tree_index_done) TreeIndex x = {};
                TreeTable cut = { .data = copy, .size = i, .n_entries = t.n_entries };

                memcpy(copy, t.data, i);
                assert_errno(tree_table_open(copy, i, &x), EBADMSG);
                if (i > HEADER) {
                        tree_table_seal(&cut);
                        assert_errno(tree_table_open(copy, i, &x), EBADMSG);
                }
        }
}

/* A root and one entry below it, which must not be taken. */
static void refuse(const TreeEntry *e) {
        _cleanup_(tree_table_done) TreeTable t = {};
        _cleanup_(tree_index_done) TreeIndex x = {};

        add(&t, &(TreeEntry) { .type = TREE_DIRECTORY, .name = "" });
        add(&t, e);
        tree_table_seal(&t);
        assert_errno(tree_table_open(t.data, t.size, &x), EBADMSG);
}

static void test_hostile(_unused_ void **state) {
        static const char *const names[] = { "", ".", "..", "/", "a/b", "../x", "/etc" };
        char name[257];

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                refuse(&(TreeEntry) { .type = TREE_FIFO, .depth = 1, .name = names[i] });
        memset(name, 'x', 256);
        name[256] = 0;
        refuse(&(TreeEntry) { .type = TREE_FIFO, .depth = 1, .name = name });

        refuse(&(TreeEntry) { .type = 0, .depth = 1, .name = "a" });
        refuse(&(TreeEntry) { .type = _TREE_TYPE_MAX, .depth = 1, .name = "a" });
        refuse(&(TreeEntry) { .type = TREE_FIFO, .depth = 0, .name = "a" });
        refuse(&(TreeEntry) { .type = TREE_FIFO, .depth = 2, .name = "a" });
        refuse(&(TreeEntry) { .type = TREE_FIFO, .depth = 1, .name = "a", .uid = (uid_t) -1 });
        refuse(&(TreeEntry) { .type = TREE_FIFO, .depth = 1, .name = "a", .mtime = { 0, 1000000000 } });
        refuse(&(TreeEntry) { .type = TREE_SYMLINK, .depth = 1, .name = "a", .target = "" });
        refuse(&(TreeEntry) { .type = TREE_FILE, .depth = 1, .name = "a", .size = UINT64_MAX });
        refuse(&(TreeEntry) { .type = TREE_PACKED, .depth = 1, .name = "a", .size = 65537 });
        refuse(&(TreeEntry) { .type = TREE_PACKED, .depth = 1, .name = "a", .size = 4096, .pages = 2 });
        refuse(&(TreeEntry) { .type = TREE_PACKED, .depth = 1, .name = "a", .size = 0, .pages = 1 });
        refuse(&(TreeEntry) { .type = TREE_LINK, .depth = 1, .name = "a", .link = 0 }); /* a directory */
        refuse(&(TreeEntry) { .type = TREE_LINK, .depth = 1, .name = "a", .link = 1 }); /* itself */
        refuse(&(TreeEntry) { .type = TREE_LINK, .depth = 1, .name = "a", .link = 2 });
        refuse(&(TreeEntry) { .type = TREE_FIFO, .depth = 1, .name = "a", .xattrs = (const uint8_t *) "x",
                              .xattrs_size = 1 });
}

static void test_hostile_attributes(_unused_ void **state) {
        static const char *const names[] = { "", "user.", "user", "system.nfs4_acl", "whatever.x" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_free_ uint8_t *xattrs = NULL;
                size_t size = 0, allocated = 0;

                assert_ok(tree_xattr_add(&xattrs, &size, &allocated, names[i], "v", 1));
                refuse(&(TreeEntry) { .type = TREE_FIFO, .depth = 1, .name = "a", .xattrs = xattrs,
                                      .xattrs_size = size });
        }
}

static void test_depth(_unused_ void **state) {
        for (unsigned deepest = TREE_DEPTH_MAX; deepest <= TREE_DEPTH_MAX + 1; deepest++) {
                _cleanup_(tree_table_done) TreeTable t = {};
                _cleanup_(tree_index_done) TreeIndex x = {};

                for (unsigned i = 0; i <= deepest; i++)
                        add(&t, &(TreeEntry) { .type = TREE_DIRECTORY, .depth = i, .name = i == 0 ? "" : "d" });
                tree_table_seal(&t);
                assert_int_equal(tree_table_open(t.data, t.size, &x), deepest > TREE_DEPTH_MAX ? -EBADMSG : 0);
        }
}

static void test_small_files_cost_bytes(_unused_ void **state) {
        _cleanup_(tree_table_done) TreeTable t = {};

        add(&t, &(TreeEntry) { .type = TREE_DIRECTORY, .name = "" });
        for (unsigned i = 0; i < 100000; i++)
                add(&t, &(TreeEntry) { .type = TREE_PACKED, .depth = 1, .name = "12345678", .size = 10, .pages = 1 });
        assert_true(t.size < 100000 * 80);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_every_flipped_bit),
                cmocka_unit_test(test_every_flipped_bit_behind_the_hash),
                cmocka_unit_test(test_truncated),
                cmocka_unit_test(test_hostile),
                cmocka_unit_test(test_hostile_attributes),
                cmocka_unit_test(test_depth),
                cmocka_unit_test(test_small_files_cost_bytes),
        };

        return cmocka_run_group_tests_name("tree-table", tests, NULL, NULL);
}
