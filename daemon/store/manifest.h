/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the daemon keeps about a node for itself: JSON in the byte stream of the
 * node's first object. The client's objects follow it in the kernel, and after
 * them, if there are any, the checksums, once more as JSON in a byte stream.
 *
 *     pkramManifest  version: MANIFEST_VERSION, or MANIFEST_VERSION_TREE; the first member
 *     owner          owner of the node (peer.h); "uid:0" stands for "root"
 *     name           name of the node, 1 to 255 bytes (name.h). Owner and name together are the key of the
 *                    node; node-name.h makes the kernel's name of them. Without it the
 *                    node was stored when names had no owners, and the kernel's name is its name.
 *     uid            user ID of the process that stored it
 *     kernel         release of the kernel it was stored under
 *     verify         kind of the checksums, if there are any
 *     persist        importance on disk, 1 to PERSIST_MAX, or PERSIST_NEVER; not there if pkramd.conf decides
 *     objects        the client's objects, in order: kind, and name if there is one; empty for a tree. Files have
 *                    what the kernel does not keep, if it is there: "memfd", the name of a memfd, and "xattrs",
 *                    extended attributes in the form of tree_xattr_next(), both in base64; "flags", TREE_FLAG_*
 *
 * It is read back in another boot, possibly by another version of this program,
 * and must not be trusted.
 */
#pragma once

#include "checksum.h"
#include "config.h"
#include "object-attributes.h"
#include "macro.h"

#define MANIFEST_VERSION 1

/* Of nodes that hold a tree: their objects are not listed, the table that is the last of them tells what they are. */
#define MANIFEST_VERSION_TREE 2

/* What is longer was not written by us: 65536 objects with names of 255 bytes, each as six bytes. */
#define MANIFEST_BYTES_MAX MIB(128)

/* Extended attributes of one object: names take at most 64 KiB, and values at most 64 KiB each. */
#define MANIFEST_XATTRS_MAX MIB(16)

typedef enum ObjectKind {
        OBJECT_FILE,
        OBJECT_DATA,
        _OBJECT_KIND_MAX,
} ObjectKind;

const char *object_kind_to_string(ObjectKind kind);

typedef struct ManifestObject {
        char *name; /* or NULL */
        ObjectKind kind;
        ObjectAttributes attributes; /* of files */
} ManifestObject;

typedef struct Manifest {
        char *owner;
        /* of the node; NULL in manifests of a pkramd whose names had no owners, where the kernel's is it */
        char *name;
        char *kernel; /* release it was stored under */
        uid_t uid;    /* the user that stored it */
        bool verify;  /* checksums are there */
        int persist;  /* importance on disk, PERSIST_NEVER or PERSIST_DEFAULT */
        bool tree;    /* see tree-table.h; what kind the objects are has to be asked of the kernel */
        ManifestObject *objects;
        size_t n_objects;
} Manifest;

void manifest_done(Manifest *m);
#define _cleanup_manifest_ _cleanup_(manifest_done)

/* Kernel objects of the n-th client object, and of the checksums. */
static inline uint32_t manifest_kernel_object(size_t n) {
        return (uint32_t) n + 1;
}

static inline uint32_t manifest_checksum_object(const Manifest *m) {
        return manifest_kernel_object(m->n_objects);
}

/* The text for the kernel, to be freed. -ENOMEM. */
int manifest_format(const Manifest *m, char **ret, size_t *ret_size);

/*
 * Reads it back. n_kernel_objects is how many objects the node has in the kernel.
 * -ENOMSG: it is not a manifest, the node was made by other software. -EBADMSG: it
 * is one, but damaged. -EPROTONOSUPPORT: it has a later version. -ENOMEM.
 */
int manifest_parse(const char *text, size_t size, size_t n_kernel_objects, Manifest *ret);

/* The checksums of the manifest's own text and of each object, in hexadecimal. */
typedef struct Checksums {
        char manifest[CHECKSUM_HEX_LENGTH + 1];
        char (*objects)[CHECKSUM_HEX_LENGTH + 1];
        size_t n_objects;
} Checksums;

void checksums_done(Checksums *c);
#define _cleanup_checksums_ _cleanup_(checksums_done)

/* All zero, to be filled in. -ENOMEM. */
int checksums_init(Checksums *c, size_t n_objects);

/* As above; -EBADMSG for everything that is not exactly n_objects checksums. */
int checksums_format(const Checksums *c, char **ret, size_t *ret_size);
int checksums_parse(const char *text, size_t size, size_t n_objects, Checksums *ret);
