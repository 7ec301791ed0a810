/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/mman.h>
#include <sys/stat.h>

#include "test-store-fixture.h"

void store_fixture_init(StoreFixture *f, uint64_t memory) {
        f->mock = mock_new();
        f->device = mock_device(f->mock);
        config_init_memory(&f->config, memory);
        assert_ok(store_new(&f->device, &f->config, &f->store));
        f->root = (Peer) { .uid = 0, .pidfd = -EBADF, .owner = (char *) "uid:0" };
        f->alice = (Peer) { .uid = 1000, .gid = 1000, .pidfd = -EBADF, .owner = (char *) "uid:1000" };
        f->bob = (Peer) { .uid = 1001, .gid = 1001, .pidfd = -EBADF, .owner = (char *) "bob.service" };
}

void store_fixture_done(StoreFixture *f) {
        assert_int_equal(mock_n_handles(f->mock), 0);
        store_free(f->store);
        mock_free(f->mock);
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
