/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/mman.h>
#include <sys/stat.h>

#include "test-store-fixture.h"

void store_fixture_init(StoreFixture *f, uint64_t memory) {
        f->mock = mock_new();
        f->device = mock_device(f->mock);
        config_init_memory(&f->config, memory);
        assert_ok(store_new(&f->device, &f->config, &f->store));
        f->root = (Peer) { .uid = 0, .pidfd = -EBADF, .owner = (char *) OWNER_ROOT };
        f->alice = (Peer) { .uid = 1000, .gid = 1000, .pidfd = -EBADF, .owner = (char *) "uid:1000" };
        f->bob = (Peer) { .uid = 1001, .gid = 1001, .pidfd = -EBADF, .owner = (char *) "bob.service" };
}

void store_fixture_done(StoreFixture *f) {
        assert_int_equal(mock_n_handles(f->mock), 0);
        store_free(f->store);
        mock_free(f->mock);
}

int store_fixture_setup(void **state) {
        *state = calloc(1, sizeof(StoreFixture));
        store_fixture_init(*state, GIB(1));
        return 0;
}

int store_fixture_teardown(void **state) {
        store_fixture_done(*state);
        free(*state);
        return 0;
}

int store_put(
                StoreFixture *f,
                const Peer *peer,
                const char *name,
                const StoreItem *items,
                size_t n,
                StoreFlags flags,
                StoreSaved *ret,
                StoreError *e) {

        _cleanup_(store_save_freep) StoreSave *save = NULL;
        StoreSaved saved;
        int r;

        r = store_save_new(f->store, peer, NULL, name, items, n, flags, &save, e);
        if (r < 0)
                return r;
        while ((r = store_save_step(save, e)) > 0)
                ;
        if (r < 0)
                return r;
        return store_save_commit(save, ret ?: &saved, e);
}

int store_put_data(StoreFixture *f, const Peer *peer, const char *name, StoreFlags flags, StoreError *e) {
        StoreItem item = { .name = "d", .fd = -EBADF, .data = "data", .size = 4 };

        return store_put(f, peer, name, &item, 1, flags, NULL, e);
}

int store_put_fd(StoreFixture *f, const Peer *peer, int fd, StoreError *e) {
        StoreItem item = { .fd = fd };

        return store_put(f, peer, "n", &item, 1, 0, NULL, e);
}

int store_get(StoreFixture *f, const Peer *peer, const char *name, bool want_data, StoreLoad **ret, StoreError *e) {
        _cleanup_(store_load_freep) StoreLoad *l = NULL;
        int r;

        r = store_load_new(f->store, peer, NULL, name, want_data, &l, e);
        if (r < 0)
                return r;
        while ((r = store_load_step(l, e)) > 0)
                ;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

size_t store_count(StoreFixture *f, const Peer *peer) {
        _cleanup_(store_list_freep) StoreList *l = NULL;
        size_t n = 0;

        assert_ok(store_list_new(f->store, peer, NULL, &l, NULL));
        for (;;) {
                _cleanup_node_ StoreNode node = {};
                int r = store_list_next(l, &node, NULL);

                assert_ok(r);
                if (r == 0)
                        return n;
                n++;
        }
}

int make_memfd(size_t n, uint8_t seed) {
        _cleanup_free_ uint8_t *data = malloc(n + 1);
        int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        for (size_t i = 0; i < n; i++)
                data[i] = (uint8_t) (i * 31 + seed);
        assert_ok(fd);
        assert_int_equal(pwrite(fd, data, n, 0), n);
        return fd;
}

void assert_memfd(int fd, size_t n, uint8_t seed) {
        _cleanup_free_ uint8_t *data = malloc(n + 1);
        struct stat st;

        assert_ok(fstat(fd, &st));
        assert_int_equal(st.st_size, n);
        assert_int_equal(read(fd, data, n), n);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(data[i], (uint8_t) (i * 31 + seed));
}
