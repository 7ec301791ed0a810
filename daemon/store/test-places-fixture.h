/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A store over both places, as pkramd has it: a model of the kernel, and nodes on disk. */
#pragma once

#include "device-places.h"
#include "test-disk-fixture.h"
#include "test-store-fixture.h"

typedef struct PlacesFixture {
        StoreFixture s;     /* its device is that of both places */
        DiskFixture d;
        DiskDevice *disk;
        Places *places;
        PkramDevice memory; /* the model of the kernel alone */
} PlacesFixture;

/* Nothing is opened yet. */
void places_fixture_init(PlacesFixture *f);
void places_fixture_done(PlacesFixture *f);

/* Another pkramd: closes what is open, and opens it again. In between the next boot may begin. */
void places_fixture_close(PlacesFixture *f);
void places_fixture_open(PlacesFixture *f);
