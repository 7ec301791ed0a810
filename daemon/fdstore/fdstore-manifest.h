/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a node with a file descriptor store holds. Its first object is this description, as
 * JSON; the files and the contents of pipes follow it, in the order of their first use:
 *
 *     pkramFdStore   1, the version of this format; the first member
 *     unit           name of the unit
 *     notifyAccess   NotifyAccess= of the unit
 *     entries        the descriptors, the newest first:
 *         name       its name in the store (FDNAME=)
 *         kind       "file" or "pipe"
 *         flags      open flags: access mode and those that fcntl(2) can set, or O_PATH
 *         position   of a file, in bytes from its beginning
 *         object     number of the object in this node, from 1
 *         shared     instead of object: the name of the node that holds a file that is in the stores
 *                    of several units
 *
 * It comes back from another boot, and is as trustworthy as any memory of another kernel.
 */
#pragma once

#include "fdstore-node.h"

/* Name of the object with the description. */
#define FDSTORE_MANIFEST_OBJECT "fdstore"

/* No description is longer: a million descriptors do not fit into a process. */
#define FDSTORE_MANIFEST_BYTES_MAX MIB(1)
#define FDSTORE_ENTRIES_MAX 65535U

typedef enum FdKind {
        FD_KIND_FILE,
        FD_KIND_PIPE,
        _FD_KIND_MAX,
} FdKind;

typedef struct FdEntry {
        char *name;
        FdKind kind;
        int flags;
        int64_t position;
        uint32_t object; /* 0 if shared is set */
        char *shared;    /* or NULL */
} FdEntry;

typedef struct FdStoreManifest {
        char *unit;
        char *notify_access;
        FdEntry *entries;
        size_t n, allocated;
} FdStoreManifest;

void fdstore_manifest_done(FdStoreManifest *m);
#define _cleanup_fdstore_manifest_ _cleanup_(fdstore_manifest_done)

/* Appends an entry; name and shared are copied. Returns 0, -E2BIG with too many entries, or -ENOMEM. */
int fdstore_manifest_add(FdStoreManifest *m, const char *name, FdKind kind, int flags, int64_t position,
                         uint32_t object, const char *shared);

/* Returns the text in *ret, which the caller frees. -EFBIG if it is too long, -ENOMEM. */
int fdstore_manifest_format(const FdStoreManifest *m, char **ret, size_t *ret_size);

/*
 * Reads it back. n_objects is how many objects the node has, the description included. Returns 0,
 * -EBADMSG if it is not a valid description, -EPROTONOSUPPORT if it has a later version, or -ENOMEM.
 */
int fdstore_manifest_parse(const char *text, size_t size, size_t n_objects, FdStoreManifest *ret);
