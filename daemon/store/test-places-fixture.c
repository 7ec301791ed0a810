/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "disk-io.h"
#include "test-places-fixture.h"

void places_fixture_init(PlacesFixture *f) {
        store_fixture_init(&f->s, GIB(1));
        disk_fixture_init(&f->d);
}

void places_fixture_close(PlacesFixture *f) {
        store_free(f->s.store);
        f->s.store = NULL;
        f->places = places_free(f->places);
        f->disk = disk_device_free(f->disk);
}

void places_fixture_open(PlacesFixture *f) {
        f->memory = mock_device(f->s.mock);
        assert_ok(disk_device_new(f->d.path, &f->d.boot, NULL, NULL, &f->disk));
        assert_ok(places_new(&f->memory, f->disk, f->d.path, &f->places));
        /* With failing calls the daemon goes on, too. */
        int r = places_remove_hidden(f->places);
        assert_true(r >= 0 || disk_io_hook);
        f->s.device = places_device(f->places);
        assert_ok(store_new(&f->s.device, &f->s.config, &f->s.store));
}

void places_fixture_done(PlacesFixture *f) {
        store_fixture_done(&f->s);
        f->places = places_free(f->places);
        f->disk = disk_device_free(f->disk);
        disk_fixture_done(&f->d);
}
