/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A place for nodes on disk, and the boots that use it. */
#pragma once

#include "device-disk.h"
#include "test.h"

typedef struct DiskFixture {
        char parent[64];        /* a temporary directory, in memory if possible: there is much to wait for otherwise */
        char path[96];          /* of the nodes, below it, not created yet */
        DiskBoot boot;          /* not valid before the first disk_fixture_reboot() */
} DiskFixture;

/* Also has the directory pass for one on a disk. */
void disk_fixture_init(DiskFixture *f);

/* Removes all of it, and the hook and the override. */
void disk_fixture_done(DiskFixture *f);

/* Begins the next boot. */
void disk_fixture_reboot(DiskFixture *f);

/* Removes a directory and what is in it. */
void remove_directory(const char *path);
