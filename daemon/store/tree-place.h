/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a directory is that a client has sent. */
#pragma once

#include "store-error.h"

typedef enum TreePlace {
        TREE_PLACE_OTHER,   /* not a directory, or certainly not on a tmpfs */
        TREE_PLACE_TMPFS,
        TREE_PLACE_UNKNOWN, /* on a file system that is not mounted in this namespace */
} TreePlace;

/*
 * Finds out what a descriptor is without asking its file system, which may wait for a
 * server. Returns a TreePlace and fills in the owner of the directory, which is right if
 * it is on a tmpfs; or a negative errno.
 */
int tree_place_find(int fd, uid_t *ret_uid);

/*
 * Says that no tree can be stored from a directory, or restored into it: because of where it is, or because
 * another user owns it. They return the error.
 */
int tree_place_refuse_save(StoreError *e);
int tree_place_refuse_save_owner(StoreError *e);
int tree_place_refuse_load(StoreError *e);
