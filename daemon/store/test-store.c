/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store over the model of the kernel. */
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/xattr.h>

#include "node-name.h"
#include "store-internal.h"
#include "test-store-fixture.h"

typedef StoreFixture Fixture;

static void test_store_retrieve(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int a = make_memfd(100000, 1), b = make_memfd(5, 2);
        StoreItem items[] = {
                { .name = "a", .fd = a },
                { .name = "d", .fd = -EBADF, .data = "xyz", .size = 3 },
                { .fd = b },
        };
        StoreSaved saved;

        assert_ok(store_put(f, &f->alice, "n", items, 3, 0, &saved, NULL));
        assert_int_equal(saved.id, 1);
        assert_false(saved.replaced);
        assert_true(saved.bytes >= 100000);

        for (unsigned i = 0; i < 3; i++) {
                _cleanup_(store_load_freep) StoreLoad *l = NULL;

                assert_ok(store_get(f, &f->alice, "n", false, &l, NULL));
                assert_int_equal(l->n_items, 3);
                assert_string_equal(l->items[0].name, "a");
                assert_memfd(l->items[0].fd, 100000, 1);
                assert_string_equal(l->items[1].name, "d");
                assert_memory_equal(l->items[1].data, "xyz", 3);
                assert_int_equal(l->items[1].fd, -EBADF);
                assert_null(l->items[2].name);
                assert_memfd(l->items[2].fd, 5, 2);
                assert_string_equal(l->node.owner, "uid:1000");
                assert_int_equal(l->node.objects, 3);
                assert_int_equal(l->node.bytes, 100008);
                assert_int_equal(l->node.info.generation, i);

                mock_kexec(f->mock);
                l->handle = PKRAM_HANDLE_NONE;
        }

        assert_ok(store_remove(f->store, &f->alice, NULL, "n", 0, NULL, NULL));
        assert_int_equal(mock_n_nodes(f->mock), 0);
}

static void test_empty_things(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int empty = make_memfd(0, 0);
        StoreItem items[] = { { .fd = empty }, { .fd = -EBADF, .data = "", .size = 0 } };
        _cleanup_(store_load_freep) StoreLoad *l = NULL, *none = NULL;

        assert_ok(store_put(f, &f->root, "n", items, 2, STORE_VERIFY, NULL, NULL));
        assert_ok(store_get(f, &f->root, "n", false, &l, NULL));
        assert_int_equal(l->items[0].size, 0);
        assert_int_equal(l->items[1].data_size, 0);

        assert_ok(store_put(f, &f->root, "none", NULL, 0, STORE_VERIFY, NULL, NULL));
        assert_ok(store_get(f, &f->root, "none", false, &none, NULL));
        assert_int_equal(none->n_items, 0);
}

static void test_exists_and_replace(void **state) {
        Fixture *f = *state;
        _cleanup_error_ StoreError e = {};
        StoreItem item = { .fd = -EBADF, .data = "new", .size = 3 };
        StoreSaved saved;
        _cleanup_(store_load_freep) StoreLoad *l = NULL;

        assert_ok(store_put_data(f, &f->alice, "n", 0, NULL));
        assert_errno(store_put_data(f, &f->alice, "n", 0, &e), EEXIST);
        assert_int_equal(e.kind, STORE_ERROR_NODE_EXISTS);
        assert_string_equal(e.name, "n");

        assert_ok(store_put(f, &f->alice, "n", &item, 1, STORE_REPLACE, &saved, NULL));
        assert_true(saved.replaced);
        assert_int_equal(mock_n_nodes(f->mock), 1);
        assert_ok(store_get(f, &f->alice, "n", false, &l, NULL));
        assert_memory_equal(l->items[0].data, "new", 3);

        assert_ok(store_put(f, &f->alice, "m", &item, 1, STORE_REPLACE, &saved, NULL));
        assert_false(saved.replaced);
}

static void test_owners(void **state) {
        Fixture *f = *state;
        StoreLoad *l = NULL;
        StoreDescription d;

        assert_ok(store_put_data(f, &f->alice, "a", 0, NULL));
        assert_ok(store_put_data(f, &f->bob, "b", 0, NULL));
        assert_int_equal(store_count(f, &f->alice), 1);
        assert_int_equal(store_count(f, &f->bob), 1);
        assert_int_equal(store_count(f, &f->root), 2);

        for (unsigned i = 0; i < 4; i++) {
                _cleanup_error_ StoreError e = {};
                int r = i == 0 ? store_get(f, &f->bob, "a", false, &l, &e) :
                        i == 1 ? store_remove(f->store, &f->bob, NULL, "a", 0, NULL, &e) :
                        i == 2 ? store_describe(f->store, &f->bob, NULL, "a", &d, &e) :
                        store_get(f, &f->root, "a", false, &l, &e);

                assert_errno(r, ENOENT);
                assert_int_equal(e.kind, STORE_ERROR_NO_SUCH_NODE);
        }

        /* Both can have the name. Replacing one leaves the other alone. */
        assert_ok(store_put_data(f, &f->bob, "a", 0, NULL));
        assert_ok(store_put_data(f, &f->bob, "a", STORE_REPLACE, NULL));
        assert_int_equal(mock_n_nodes(f->mock), 3);
        assert_int_equal(store_count(f, &f->alice), 1);
        assert_ok(store_remove(f->store, &f->bob, NULL, "a", 0, NULL, NULL));

        /* Owners live on in the nodes, not in this process. */
        mock_kexec(f->mock);
        f->store = store_free(f->store);
        assert_ok(store_new(&f->device, &f->config, &f->store));
        assert_int_equal(store_count(f, &f->alice), 1);
        assert_ok(store_remove(f->store, &f->root, "uid:1000", "a", 0, NULL, NULL));
        assert_ok(store_remove(f->store, &f->bob, NULL, "b", 0, NULL, NULL));
}

static void test_explicit_owner(void **state) {
        Fixture *f = *state;
        static const char *const invalid[] = { "", "alice", "uid:", "uid:01000", "uid:-1", "uid:4294967295",
                                               "a/b.service", ".service", "a.b" };
        StoreItem item = { .fd = -EBADF, .data = "x", .size = 1 };
        StoreDescription d;
        StoreLoad *l = NULL;

        /* Naming oneself is fine, and naming another is denied, whether or not there is something. */
        assert_ok(store_put_data(f, &f->alice, "n", 0, NULL));
        for (unsigned i = 0; i < 12; i++) {
                const char *name = i % 2 ? "n" : "none", *owner = i % 3 ? "uid:1000" : "root";
                _cleanup_(store_save_freep) StoreSave *save = NULL;
                _cleanup_(store_list_freep) StoreList *list = NULL;
                _cleanup_error_ StoreError e = {};
                int r = i / 2 == 0 ? store_load_new(f->store, &f->bob, owner, name, false, &l, &e) :
                        i / 2 == 1 ? store_remove(f->store, &f->bob, owner, name, 0, NULL, &e) :
                        i / 2 == 2 ? store_describe(f->store, &f->bob, owner, name, &d, &e) :
                        i / 2 == 3 ? store_save_new(f->store, &f->bob, owner, name, &item, 1, 0, &save, &e) :
                        i / 2 == 4 ? store_save_new_tree(f->store, &f->bob, owner, name, 0, &save, &e) :
                        store_list_new(f->store, &f->bob, owner, &list, &e);

                assert_errno(r, EACCES);
                assert_int_equal(e.kind, STORE_ERROR_PERMISSION_DENIED);
        }
        assert_ok(store_describe(f->store, &f->alice, "uid:1000", "n", &d, NULL));
        store_description_done(&d);

        /* Root may name others, but nothing that cannot be an owner, and store nothing for the kernel. */
        assert_ok(store_describe(f->store, &f->root, "uid:1000", "n", &d, NULL));
        store_description_done(&d);
        for (size_t i = 0; i <= ELEMENTSOF(invalid); i++) {
                const char *owner = i < ELEMENTSOF(invalid) ? invalid[i] : OWNER_KERNEL;
                _cleanup_(store_save_freep) StoreSave *save = NULL;
                _cleanup_error_ StoreError e = {};

                assert_errno(store_save_new(f->store, &f->root, owner, "n", &item, 1, 0, &save, &e), EINVAL);
                assert_int_equal(e.kind, STORE_ERROR_INVALID_PARAMETER);
                assert_string_equal(e.name, "owner");
        }

        /* What root stores for an owner belongs to that owner and counts against its limits. */
        _cleanup_(store_save_freep) StoreSave *save = NULL;
        StoreSaved saved;

        assert_ok(store_save_new(f->store, &f->root, "bob.service", "n", &item, 1, 0, &save, NULL));
        assert_ok(store_save_commit(save, &saved, NULL));
        save = store_save_free(save);
        assert_int_equal(store_count(f, &f->bob), 1);

        _cleanup_error_ StoreError e = {};
        f->config.limit[LIMIT_OWNER_NODES] = 1;
        assert_errno(store_save_new(f->store, &f->root, "bob.service", "m", &item, 1, 0, &save, &e), EDQUOT);
        f->config.limit[LIMIT_OWNER_NODES] = UINT64_MAX;

        /* "uid:0" is another way to say "root". */
        assert_ok(store_save_new(f->store, &f->root, "uid:0", "n", &item, 1, 0, &save, NULL));
        assert_ok(store_save_commit(save, &saved, NULL));
        assert_ok(store_remove(f->store, &f->root, NULL, "n", 0, NULL, NULL));
}

/* Makes a node as a pkramd did that knew no owners in names. */
static void store_old(Fixture *f, const char *name, const char *owner, uid_t uid, bool tree) {
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        ManifestObject object = { .kind = OBJECT_DATA };
        Manifest m = { .owner = (char *) owner, .uid = uid, .kernel = (char *) "6.12", .objects = &object,
                       .n_objects = 1, .tree = tree };
        _cleanup_free_ char *text = NULL;
        size_t size;

        assert_ok(manifest_format(&m, &text, &size));
        assert_ok(pkram_save_begin(&f->device, name, &h));
        assert_ok(pkram_save_bytes(&h, text, size, NULL));
        assert_ok(pkram_save_bytes(&h, "old", 3, NULL));
        assert_ok(pkram_save_commit(&h, true, NULL));
}

static void test_old_names(void **state) {
        Fixture *f = *state;
        _cleanup_(store_load_freep) StoreLoad *l = NULL;
        StoreLoad *none = NULL;
        StoreTree tree;

        /* Nodes with flat names are found under the owner in their manifest, and nowhere else. */
        store_old(f, "n", "uid:1000", 1000, false);
        assert_errno(store_get(f, &f->bob, "n", false, &none, NULL), ENOENT);
        assert_errno(store_get(f, &f->root, "n", false, &none, NULL), ENOENT);
        assert_ok(store_get(f, &f->alice, "n", false, &l, NULL));
        assert_memory_equal(l->items[0].data, "old", 3);
        l = store_load_free(l);
        assert_int_equal(store_count(f, &f->alice), 1);

        /* They do not keep others from using the name, and are replaced in one step. */
        assert_ok(store_put_data(f, &f->bob, "n", 0, NULL));
        assert_errno(store_put_data(f, &f->alice, "n", 0, NULL), EEXIST);
        assert_ok(store_put_data(f, &f->alice, "n", STORE_REPLACE, NULL));
        assert_int_equal(mock_n_nodes(f->mock), 2);
        assert_ok(store_get(f, &f->alice, "n", false, &l, NULL));
        assert_memory_equal(l->items[0].data, "data", 4);
        l = store_load_free(l);
        assert_ok(store_remove(f->store, &f->alice, NULL, "n", 0, NULL, NULL));
        assert_errno(store_remove(f->store, &f->alice, NULL, "n", 0, NULL, NULL), ENOENT);

        /* Root was "uid:0", and the trees of mount.pkram belonged to units. Those of other units and users do not
         * become root's. */
        store_old(f, "r", "uid:0", 0, false);
        store_old(f, "t1", "srv-data.mount", 0, true);
        store_old(f, "t2", "pkram-tree@x.service", 0, true);
        store_old(f, "t3", "other.service", 0, true);
        store_old(f, "t4", "srv-data.mount", 1000, true);
        assert_ok(store_get(f, &f->root, "r", false, &l, NULL));
        l = store_load_free(l);
        for (unsigned i = 1; i <= 4; i++) {
                const char name[] = { 't', (char) ('0' + i), 0 };
                int r = store_tree_open(f->store, &f->root, OWNER_ROOT, name, &tree, NULL);

                assert_int_equal(r, i <= 2 ? 0 : -ENOENT);
                if (r >= 0)
                        store_tree_done(&tree);
        }

        /* A flat name that looks like another's kernel name is not taken for it. */
        store_old(f, NODE_NAME_PREFIX "uid:1000|x", "bob.service", 1001, false);
        assert_errno(store_get(f, &f->bob, "x", false, &none, NULL), ENOENT);
        assert_errno(store_get(f, &f->alice, "x", false, &none, NULL), EBADMSG);
}

static void test_long_names(void **state) {
        Fixture *f = *state;
        char a[256], b[256], unit[256];

        /* The whole length is there for the client, whatever its owner is called. */
        memset(a, 'x', 255);
        a[255] = 0;
        memcpy(b, a, sizeof(b));
        b[254] = 'y';
        memset(unit, 'u', 255);
        memcpy(unit + 255 - strlen(".service"), ".service", sizeof(".service"));
        Peer service = { .uid = 1002, .pidfd = -EBADF, .owner = unit };

        for (unsigned i = 0; i < 2; i++) {
                const Peer *peer = i == 0 ? &f->alice : &service;
                _cleanup_(store_list_freep) StoreList *list = NULL;
                _cleanup_(store_load_freep) StoreLoad *l = NULL;
                _cleanup_node_ StoreNode node = {};
                StoreLoad *none = NULL;

                assert_ok(store_put_data(f, peer, a, 0, NULL));
                assert_ok(store_put_data(f, peer, b, 0, NULL));
                assert_errno(store_put_data(f, peer, a, 0, NULL), EEXIST);
                assert_errno(store_get(f, &f->bob, a, false, &none, NULL), ENOENT);
                assert_ok(store_get(f, peer, b, false, &l, NULL));
                assert_string_equal(l->node.name, b);
                l = store_load_free(l);

                assert_ok(store_list_new(f->store, peer, NULL, &list, NULL));
                assert_int_equal(store_list_next(list, &node, NULL), 1);
                assert_string_equal(node.name, a);
                assert_string_equal(node.owner, peer->owner);
                assert_ok(store_remove(f->store, peer, NULL, a, 0, NULL, NULL));
                assert_errno(store_get(f, peer, a, false, &none, NULL), ENOENT);

                /* An unreadable manifest leaves the hashes, which are enough to find it by name. */
                list = store_list_free(list);
                assert_ok(store_list_new(f->store, peer, NULL, &list, NULL));
                store_node_done(&node);
                assert_int_equal(store_list_next(list, &node, NULL), 1);
                mock_set_bytes(f->mock, node.info.name, 0, "{}", 2);
                assert_errno(store_get(f, &f->bob, b, false, &none, NULL), ENOENT);
                assert_errno(store_get(f, &f->bob, node.info.name, false, &none, NULL), ENOENT);
                assert_errno(store_get(f, peer, b, false, &none, NULL), EBADMSG);
                assert_ok(store_remove(f->store, peer, NULL, b, 0, NULL, NULL));
        }
}

static void test_owners_are_forgotten(void **state) {
        Fixture *f = *state;

        for (unsigned i = 0; i < 100; i++) {
                char owner[64];
                Peer peer = { .uid = 1000, .pidfd = -EBADF, .owner = owner };

                (void) snprintf(owner, sizeof(owner), "run-u%u.service", i);
                assert_ok(store_put_data(f, &peer, "n", 0, NULL));
                assert_int_equal(store_count(f, &f->root), 1);
                assert_ok(store_remove(f->store, &peer, NULL, "n", 0, NULL, NULL));
        }
        assert_int_equal(store_count(f, &f->root), 0);
        assert_int_equal(f->store->n_owners, 0);
}

static void test_replace_race(void **state) {
        Fixture *f = *state;
        _cleanup_(store_save_freep) StoreSave *save = NULL;
        _cleanup_error_ StoreError e = {};
        StoreItem item = { .fd = -EBADF, .data = "x", .size = 1 };
        StoreSaved saved;

        /* Bob's node with the same name is another node, also if it is stored while Alice's save is under way. */
        assert_ok(store_save_new(f->store, &f->alice, NULL, "n", &item, 1, STORE_REPLACE, &save, NULL));
        assert_ok(store_put_data(f, &f->bob, "n", 0, NULL));
        assert_ok(store_save_commit(save, &saved, NULL));
        assert_false(saved.replaced);
        save = store_save_free(save);
        assert_int_equal(store_count(f, &f->bob), 1);
        assert_int_equal(store_count(f, &f->alice), 1);

        /* Her own node is a conflict. */
        assert_ok(store_save_new(f->store, &f->alice, NULL, "m", &item, 1, 0, &save, NULL));
        assert_ok(store_put_data(f, &f->alice, "m", 0, NULL));
        assert_errno(store_save_commit(save, &saved, &e), EEXIST);
}

static void test_remove_by_id(void **state) {
        Fixture *f = *state;
        _cleanup_error_ StoreError e = {}, e2 = {};
        _cleanup_node_ StoreNode node = {};

        assert_ok(store_put_data(f, &f->alice, "n", 0, NULL));
        assert_ok(store_put_data(f, &f->alice, "n", STORE_REPLACE, NULL));
        assert_errno(store_remove(f->store, &f->alice, NULL, "n", 1, NULL, &e), ENOENT);
        assert_int_equal(e.kind, STORE_ERROR_NO_SUCH_NODE);
        assert_int_equal(mock_n_nodes(f->mock), 1);
        assert_ok(store_remove(f->store, &f->alice, NULL, "n", 2, &node, NULL));
        assert_string_equal(node.name, "n");
        assert_errno(store_remove(f->store, &f->alice, NULL, "n", 0, NULL, &e2), ENOENT);
}

static void test_busy(void **state) {
        Fixture *f = *state;
        _cleanup_(store_load_freep) StoreLoad *l = NULL;
        _cleanup_error_ StoreError e = {}, e2 = {};

        assert_ok(store_put_data(f, &f->alice, "n", 0, NULL));
        assert_ok(store_get(f, &f->alice, "n", false, &l, NULL));
        assert_errno(store_remove(f->store, &f->alice, NULL, "n", 0, NULL, &e), EBUSY);
        assert_int_equal(e.kind, STORE_ERROR_NODE_BUSY);
        assert_errno(store_put_data(f, &f->alice, "n", STORE_REPLACE, &e2), EBUSY);
        assert_int_equal(e2.kind, STORE_ERROR_NODE_BUSY);
        l = store_load_free(l);
        assert_ok(store_put_data(f, &f->alice, "n", STORE_REPLACE, NULL));
}

static void test_not_preservable(void **state) {
        Fixture *f = *state;
        char path[] = "/var/tmp/test-pkram.XXXXXX";
        int pipes[2], fds[6];
        char proc[64];

        assert_ok(pipe2(pipes, O_CLOEXEC));
        fds[0] = pipes[0];
        fds[1] = pipes[1];
        fds[2] = open("/dev/null", O_RDWR | O_CLOEXEC);
        fds[3] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        fds[4] = mkostemp(path, O_CLOEXEC);
        (void) unlink(path);
        int memfd = make_memfd(10, 0);
        (void) snprintf(proc, sizeof(proc), "/proc/self/fd/%i", memfd);
        fds[5] = open(proc, O_WRONLY | O_CLOEXEC);

        for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
                _cleanup_error_ StoreError e = {};

                assert_ok(fds[i]);
                assert_fails(store_put_fd(f, &f->root, fds[i], &e));
                assert_int_equal(e.kind, STORE_ERROR_NOT_PRESERVABLE);
                assert_true(strlen(e.reason) > 40);
        }

        assert_int_equal(mock_n_nodes(f->mock), 0);
        close_many(fds, ELEMENTSOF(fds));
        close(memfd);
}

static void test_read_only_file_of_others(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(10, 0), ro = -EBADF;
        _cleanup_error_ StoreError e = {};
        char proc[64];

        (void) snprintf(proc, sizeof(proc), "/proc/self/fd/%i", fd);
        ro = open(proc, O_RDONLY | O_CLOEXEC);
        assert_ok(ro);

        /* What alice may only read she must not freeze; the file belongs to the user that runs the tests. */
        f->alice.uid = geteuid() + 5;
        assert_errno(store_put_fd(f, &f->alice, ro, &e), EOPNOTSUPP);
        assert_int_equal(e.kind, STORE_ERROR_NOT_PRESERVABLE);
        assert_ok(store_put_fd(f, &f->root, ro, NULL));
}

static void test_same_file_twice(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(10, 0);
        StoreItem items[] = { { .fd = fd }, { .fd = fd } };
        _cleanup_error_ StoreError e = {}, e2 = {};

        assert_errno(store_put(f, &f->root, "n", items, 2, 0, NULL, &e), EOPNOTSUPP);
        assert_int_equal(e.kind, STORE_ERROR_NOT_PRESERVABLE);
        assert_int_equal(mock_n_nodes(f->mock), 0);

        assert_ok(store_put(f, &f->root, "n", items, 1, 0, NULL, NULL));
        assert_errno(store_put(f, &f->root, "m", items, 1, 0, NULL, &e2), EOPNOTSUPP);
        assert_ok(store_remove(f->store, &f->root, NULL, "n", 0, NULL, NULL));
        assert_ok(store_put(f, &f->root, "m", items, 1, 0, NULL, NULL));
}

static void test_object_names(void **state) {
        Fixture *f = *state;
        StoreItem items[] = { { .name = "a", .fd = -EBADF, .data = "" }, { .name = "a", .fd = -EBADF, .data = "" } };
        _cleanup_error_ StoreError e = {}, e2 = {};

        assert_errno(store_put(f, &f->root, "n", items, 2, 0, NULL, &e), EINVAL);
        assert_int_equal(e.kind, STORE_ERROR_INVALID_NAME);
        items[1].name = "x/y";
        assert_errno(store_put(f, &f->root, "n", items, 2, 0, NULL, &e2), EINVAL);
        assert_int_equal(e2.kind, STORE_ERROR_INVALID_NAME);
}

static void test_data_too_long(void **state) {
        Fixture *f = *state;
        static uint8_t data[MIB(1) + 1];
        StoreItem item = { .fd = -EBADF, .data = data, .size = MIB(1) };
        _cleanup_error_ StoreError e = {};

        assert_ok(store_put(f, &f->root, "n", &item, 1, 0, NULL, NULL));
        item.size++;
        assert_errno(store_put(f, &f->root, "m", &item, 1, 0, NULL, &e), EOPNOTSUPP);
        assert_int_equal(e.kind, STORE_ERROR_NOT_PRESERVABLE);
}

/* A node as another user of /dev/pkram makes it. */
static void store_foreign(Fixture *f, const char *name, int fd, const void *data, size_t size) {
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;

        assert_ok(pkram_save_begin(&f->device, name, &h));
        if (fd >= 0)
                assert_ok(pkram_save_file(&h, fd, NULL, NULL));
        assert_ok(pkram_save_bytes(&h, data, size, NULL));
        assert_ok(pkram_save_commit(&h, false, NULL));
}

static void test_foreign_nodes(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(5000, 9);
        _cleanup_(store_load_freep) StoreLoad *l = NULL;
        _cleanup_(store_description_done) StoreDescription d = {};
        StoreLoad *none = NULL;

        store_foreign(f, "n", fd, "hello", 5);
        assert_int_equal(store_count(f, &f->alice), 0);
        assert_int_equal(store_count(f, &f->root), 1);
        assert_errno(store_get(f, &f->alice, "n", false, &none, NULL), ENOENT);
        assert_errno(store_get(f, &f->root, "n", false, &none, NULL), ENOENT);

        assert_ok(store_load_new(f->store, &f->root, OWNER_KERNEL, "n", false, &l, NULL));
        assert_string_equal(l->node.owner, OWNER_KERNEL);
        assert_int_equal(l->n_items, 2);
        assert_int_equal(store_load_step(l, NULL), 0);
        assert_memfd(l->items[0].fd, 5000, 9);
        assert_memory_equal(l->items[1].data, "hello", 5);

        assert_ok(store_describe(f->store, &f->root, OWNER_KERNEL, "n", &d, NULL));
        assert_false(d.managed);
        assert_int_equal(d.n_objects, 2);
}

static void test_describe(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(5000, 9);
        StoreItem items[] = { { .name = "f", .fd = fd }, { .fd = -EBADF, .data = "xyz", .size = 3 } };
        _cleanup_(store_description_done) StoreDescription d = {};
        _cleanup_(store_load_freep) StoreLoad *l = NULL;

        assert_ok(store_put(f, &f->alice, "n", items, 2, STORE_VERIFY, NULL, NULL));
        assert_ok(store_describe(f->store, &f->alice, NULL, "n", &d, NULL));
        assert_true(d.managed);
        assert_int_equal(d.n_objects, 2);
        assert_int_equal(d.stats[0].file_bytes, 5000);
        assert_int_equal(d.stats[1].data_bytes, 3);
        assert_string_equal(d.manifest.objects[0].name, "f");
        assert_true(d.have_checksums);
        assert_false(d.node.info.flags & PKRAM_NODE_BUSY);
        store_description_done(&d);

        assert_ok(store_get(f, &f->alice, "n", false, &l, NULL));
        assert_ok(store_describe(f->store, &f->alice, NULL, "n", &d, NULL));
        assert_true(d.node.info.flags & PKRAM_NODE_BUSY);
}

/* What the kernel does not keep of a file: the name of a memfd, extended attributes, inode flags. */
static void test_file_attributes(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int named = memfd_create("its name/x", MFD_CLOEXEC | MFD_ALLOW_SEALING),
                odd = memfd_create("\xff\x01", MFD_CLOEXEC);
        _cleanup_close_ int plain = make_memfd(3, 4);
        StoreItem items[] = { { .fd = named }, { .fd = odd }, { .fd = plain } };
        _cleanup_(store_load_freep) StoreLoad *l = NULL, *again = NULL;
        char path[64], link[128], value[16];
        int flags = FS_NODUMP_FL;
        bool have_flags, have_xattrs;

        assert_true(named >= 0 && odd >= 0);
        assert_int_equal(write(named, "hello", 5), 5);
        have_xattrs = fsetxattr(named, "user.one", "1\0002", 3, 0) >= 0 &&
                fsetxattr(named, "user.none", "", 0, 0) >= 0;
        have_flags = ioctl(odd, FS_IOC_SETFLAGS, &flags) >= 0;
        assert_ok(store_put(f, &f->alice, "n", items, 3, STORE_VERIFY, NULL, NULL));

        for (unsigned i = 0; i < 2; i++) {
                StoreLoad **load = i == 0 ? &l : &again;
                static const char *const names[] = { "/memfd:its name/x (deleted)", "/memfd:\xff\x01 (deleted)" };

                /* A second load opens the file that the first one has made. */
                if (i == 0)
                        mock_kexec(f->mock);
                assert_ok(store_get(f, &f->alice, "n", false, load, NULL));
                for (unsigned k = 0; k < 2; k++) {
                        ssize_t n;

                        (void) snprintf(path, sizeof(path), "/proc/self/fd/%i", (*load)->items[k].fd);
                        n = readlink(path, link, sizeof(link) - 1);
                        assert_true(n > 0);
                        link[n] = 0;
                        assert_string_equal(link, names[k]);
                }
                assert_int_equal(pread((*load)->items[0].fd, value, sizeof(value), 0), 5);
                assert_memory_equal(value, "hello", 5);
                if (have_xattrs) {
                        assert_int_equal(fgetxattr((*load)->items[0].fd, "user.one", value, sizeof(value)), 3);
                        assert_memory_equal(value, "1\0002", 3);
                        assert_int_equal(fgetxattr((*load)->items[0].fd, "user.none", value, sizeof(value)), 0);
                }
                if (have_flags) {
                        assert_ok(ioctl((*load)->items[1].fd, FS_IOC_GETFLAGS, &flags));
                        assert_true(flags & FS_NODUMP_FL);
                }
                assert_memfd((*load)->items[2].fd, 3, 4);
        }
        if (!have_xattrs || !have_flags)
                print_message("# this kernel's memfds have no attributes of users, or no flags: not tested\n");
}

static void test_file_attributes_refused(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int fd = make_memfd(3, 4);
        _cleanup_error_ StoreError e = {};
        int flags = FS_APPEND_FL, none = 0;

        if (ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0)
                test_skip("no permission to set inode flags, or this kernel's tmpfs has none");
        assert_errno(store_put_fd(f, &f->alice, fd, &e), EOPNOTSUPP);
        assert_non_null(strstr(e.reason, "append-only"));
        assert_ok(ioctl(fd, FS_IOC_SETFLAGS, &none));
        assert_ok(store_put_fd(f, &f->alice, fd, NULL));
}

static void test_inline(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int small = make_memfd(1000, 1), large = make_memfd(MIB(1) + 1, 2);
        StoreItem item = { .fd = small };
        _cleanup_(store_load_freep) StoreLoad *l = NULL, *none = NULL;
        _cleanup_error_ StoreError e = {};

        assert_ok(store_put(f, &f->alice, "small", &item, 1, 0, NULL, NULL));
        item.fd = large;
        assert_ok(store_put(f, &f->alice, "large", &item, 1, 0, NULL, NULL));

        assert_ok(store_get(f, &f->alice, "small", true, &l, NULL));
        assert_int_equal(l->items[0].data_size, 1000);
        assert_int_equal(((uint8_t *) l->items[0].data)[1], 32);
        assert_errno(store_get(f, &f->alice, "large", true, &none, &e), EFBIG);
        assert_int_equal(e.kind, STORE_ERROR_REPLY_TOO_LARGE);
}

static void test_no_pkram(void **state) {
        Fixture *f = *state;
        static const int errors[] = { -ENOENT, -ENODEV, -ENXIO };

        for (size_t i = 0; i < ELEMENTSOF(errors) + 1; i++) {
                _cleanup_error_ StoreError e = {}, e2 = {}, e3 = {}, e4 = {}, e5 = {};
                struct pkram_ioctl_info info;
                StoreList *list;
                StoreLoad *l;

                if (i < ELEMENTSOF(errors)) {
                        mock_set_missing(f->mock, errors[i]);
                        assert_fails(store_info(f->store, &info, &e));
                        assert_int_equal(e.kind, STORE_ERROR_NOT_SUPPORTED);
                } else {
                        mock_set_missing(f->mock, 0);
                        mock_set_off(f->mock, true);
                        assert_ok(store_info(f->store, &info, &e));
                }

                assert_fails(store_put_data(f, &f->root, "n", 0, &e2));
                assert_int_equal(e2.kind, STORE_ERROR_NOT_SUPPORTED);
                assert_fails(store_get(f, &f->root, "n", false, &l, &e3));
                assert_int_equal(e3.kind, STORE_ERROR_NOT_SUPPORTED);
                assert_fails(store_remove(f->store, &f->root, NULL, "n", 0, NULL, &e4));
                assert_int_equal(e4.kind, STORE_ERROR_NOT_SUPPORTED);
                assert_fails(store_list_new(f->store, &f->root, NULL, &list, &e5));
                assert_int_equal(e5.kind, STORE_ERROR_NOT_SUPPORTED);
        }
}

static void test_not_allowed(void **state) {
        Fixture *f = *state;
        _cleanup_error_ StoreError e = {};

        mock_set_missing(f->mock, -EPERM);
        assert_errno(store_put_data(f, &f->root, "n", 0, &e), EPERM);
        assert_int_equal(e.kind, STORE_ERROR_UNEXPECTED);
}

static void test_many_nodes(void **state) {
        Fixture *f = *state;

        f->config.limit[LIMIT_USER_NODES] = 1000;
        for (unsigned i = 0; i < 300; i++) {
                char name[32];

                (void) snprintf(name, sizeof(name), "node-%u", i);
                assert_ok(store_put_data(f, i % 3 ? &f->alice : &f->bob, name, 0, NULL));
        }
        assert_int_equal(store_count(f, &f->root), 300);
        assert_int_equal(store_count(f, &f->bob), 100);

        /* What was remembered is not asked for again: only the listing itself is left. */
        mock_fail(f->mock, MOCK_ANY, 0, 0);
        assert_int_equal(store_count(f, &f->root), 300);
        assert_true(mock_calls(f->mock) < 30);
}

static void test_cursor_survives_changes(void **state) {
        Fixture *f = *state;
        _cleanup_(store_list_freep) StoreList *l = NULL;
        _cleanup_node_ StoreNode node = {};

        assert_ok(store_put_data(f, &f->alice, "a", 0, NULL));
        assert_ok(store_put_data(f, &f->alice, "b", 0, NULL));
        assert_ok(store_list_new(f->store, &f->alice, NULL, &l, NULL));
        assert_int_equal(store_list_next(l, &node, NULL), 1);
        assert_ok(store_remove(f->store, &f->alice, NULL, "a", 0, NULL, NULL));
        assert_ok(store_remove(f->store, &f->alice, NULL, "b", 0, NULL, NULL));
        store_node_done(&node);
        assert_ok(store_list_next(l, &node, NULL));
}

/* Names that the system keeps for itself, and those that pkram-fdstore uses for units and for users. */
static void test_reserved_names(void **state) {
        static const struct {
                const char *name;
                bool root, user, unit; /* may store it */
        } table[] = {
                { "io.pkram.log", false, false, false },
                { "io.pkram.", false, false, false },
                { "io.pkram.fdstore", true, false, false },
                { "io.pkram.fdstore:app.service", true, true, false },
                { "io.pkram.fdstore-all-root-required:two@a\\x2db.service", true, true, false },
                { "io.pkram.fdstore-probe:app.service", true, true, false },
                { "io.pkram.fdstore-shared-0123456789abcdef:pkram-fdstore.service", true, true, false },
                { "io.pkram.fdstore-shared-0123456789abcdeg:pkram-fdstore.service", true, false, false },
                { "io.pkram.fdstore-shared-:pkram-fdstore.service", true, false, false },
                { "io.pkram.fdstore-mine:app.service", true, false, false },
                { "io.pkram.fdstore:app.target", true, false, false },
                { "io.pkram.fdstore:a b.service", true, false, false },
                { "io.pkram.fdstore:", true, false, false },
                { "io.pkram.log:app.service", false, false, false },
                { "fdstore:app.service", true, true, true },
        };
        StoreFixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const Peer *peers[] = { &f->root, &f->alice, &f->bob };
                bool may[] = { table[i].root, table[i].user, table[i].unit };

                for (size_t k = 0; k < ELEMENTSOF(peers); k++) {
                        int r = store_put_data(f, peers[k], table[i].name, 0, NULL);

                        if (may[k] ? r < 0 : r != -EINVAL)
                                fail_msg("'%s' of %s: %i", table[i].name, peers[k]->owner, r);
                }
        }
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, store_fixture_setup, store_fixture_teardown)
        const struct CMUnitTest tests[] = {
                T(test_store_retrieve),
                T(test_empty_things),
                T(test_exists_and_replace),
                T(test_owners),
                T(test_explicit_owner),
                T(test_reserved_names),
                T(test_old_names),
                T(test_long_names),
                T(test_owners_are_forgotten),
                T(test_replace_race),
                T(test_remove_by_id),
                T(test_busy),
                T(test_not_preservable),
                T(test_read_only_file_of_others),
                T(test_same_file_twice),
                T(test_object_names),
                T(test_data_too_long),
                T(test_foreign_nodes),
                T(test_describe),
                T(test_inline),
                T(test_file_attributes),
                T(test_file_attributes_refused),
                T(test_no_pkram),
                T(test_not_allowed),
                T(test_many_nodes),
                T(test_cursor_survives_changes),
        };

        return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
