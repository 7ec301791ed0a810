/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ftw.h>
#include <stdio.h>

#include "disk-io.h"
#include "test-disk-fixture.h"

void disk_fixture_init(DiskFixture *f) {
        (void) snprintf(f->parent, sizeof(f->parent), "%s/pkram-disk-XXXXXX",
                        getenv("TMPDIR") ?: access("/dev/shm", W_OK) >= 0 ? "/dev/shm" : "/tmp");
        assert_non_null(mkdtemp(f->parent));
        (void) snprintf(f->path, sizeof(f->path), "%s/disk", f->parent);
        f->boot = (DiskBoot) {};
        disk_in_memory_override = 0;
}

static int path_remove(const char *path, _unused_ const struct stat *st, _unused_ int type, _unused_ struct FTW *ftw) {
        return remove(path);
}

void remove_directory(const char *path) {
        (void) nftw(path, path_remove, 16, FTW_DEPTH | FTW_PHYS);
}

void disk_fixture_done(DiskFixture *f) {
        disk_io_hook = NULL;
        disk_in_memory_override = -1;
        remove_directory(f->parent);
}

void disk_fixture_reboot(DiskFixture *f) {
        (void) snprintf(f->boot.boot_id, sizeof(f->boot.boot_id), "%032x",
                        (unsigned) strtoul(f->boot.boot_id, NULL, 16) + 1);
}
