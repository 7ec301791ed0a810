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

/* A memfd of n bytes, byte i of it being i * 31 + seed, and a check that it is one. */
int make_memfd(size_t n, uint8_t seed);
void assert_memfd(int fd, size_t n, uint8_t seed);
