/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A store over a model of the kernel, and three who use it. */
#pragma once

#include "device-mock.h"
#include "store.h"
#include "test.h"

typedef struct StoreFixture {
        Mock *mock;
        PkramDevice device;
        Config config;
        Store *store;
        Peer root, alice, bob;
} StoreFixture;

/* memory: what the limits refer to. */
void store_fixture_init(StoreFixture *f, uint64_t memory);

/* Whatever a test did, nothing may be left open or half done. */
void store_fixture_done(StoreFixture *f);

/* The same for cmocka, with 1 GiB. */
int store_fixture_setup(void **state);
int store_fixture_teardown(void **state);

/* Store from beginning to end, of anything, of a few bytes, and of one descriptor; and Retrieve. ret and e may be NULL
 * where the store's may. */
int store_put(
                StoreFixture *f,
                const Peer *peer,
                const char *name,
                const StoreItem *items,
                size_t n,
                StoreFlags flags,
                StoreSaved *ret,
                StoreError *e);
int store_put_data(StoreFixture *f, const Peer *peer, const char *name, StoreFlags flags, StoreError *e);
int store_put_fd(StoreFixture *f, const Peer *peer, int fd, StoreError *e);
int store_get(StoreFixture *f, const Peer *peer, const char *name, bool want_data, StoreLoad **ret, StoreError *e);

/* Returns the number of nodes that a peer sees. */
size_t store_count(StoreFixture *f, const Peer *peer);

/* A memfd of n bytes, byte i of it being i * 31 + seed, and a check that it is one. */
int make_memfd(size_t n, uint8_t seed);
void assert_memfd(int fd, size_t n, uint8_t seed);
