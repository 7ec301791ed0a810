/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the store-*.c files. */
#pragma once

#include "node-name.h"
#include "store.h"

/* Nodes fetched from the kernel at once. */
#define NODES_PER_CALL 128U

/* Bytes checksummed at once, a few milliseconds, so that other clients get their turn. */
#define VERIFY_SLICE MIB(8)

/* Objects loaded or saved at once, and bytes of files after which no further one is begun, for the same reason. */
#define SLICE_OBJECTS 32U
#define SLICE_BYTES MIB(64)

/*
 * Memory of the kernel's metadata, as far as it is known before the commit: a page for each stream with pages, one for
 * the node, in which its first objects fit, and further ones for so many objects each. What is committed counts as the
 * kernel counts it: streams of many pieces need more, at most 0.2 % of their size.
 */
#define OBJECTS_IN_NODE 29U
#define OBJECTS_PER_PAGE 31U

/* An owner, one for all nodes that it has. */
typedef struct KnownOwner {
        char *name;
        size_t n_refs;
} KnownOwner;

/* What the manifest of a node says; ids are never used twice while the system runs. */
typedef struct KnownNode {
        uint64_t id;
        KnownOwner *owner;
        char *name;             /* or NULL: the kernel's name tells it */
        uint32_t own_objects;   /* objects the daemon added for itself */
        uint64_t own_bytes;     /* bytes in them */
        int persist;            /* as in StoreNode */
} KnownNode;

struct Store {
        PkramDevice device;
        const Config *config;
        KnownNode *known;  /* ascending ids */
        size_t n_known, known_allocated;
        void *owners;      /* tree of KnownOwner */
        size_t n_owners;
        StoreSave *saves;  /* under way */
};

struct StoreSave {
        Store *store;
        StoreSave *next, *previous;
        Peer peer; /* no pidfd; its owner is that of the node */
        char *name;
        StoreFlags flags;
        PkramHandle handle;
        bool committed;
        uint64_t bytes; /* of contents: expected first, then counted */
        uint64_t meta_pages; /* for streams and, once a tree was added by its session, all of its other metadata */
        uint64_t size; /* sum of the sizes of its objects */
        uint64_t replaces; /* id of the node that goes, or 0 */
        KernelName replaced_name; /* and its kernel name */
        KernelName kernel_name;
        uint64_t expected; /* memory that it was expected to take before anything was saved */
        uint64_t checked; /* bytes of contents that were within the limits */
        const StoreItem *items; /* borrowed; their names are not there any more */
        uint64_t *sizes;
        size_t n_objects;
        size_t n_saved;
        size_t n_summed;
        Checksums checksums;
        Checksum *checksum; /* in progress */
        int fd;             /* of the file whose checksum is in progress */
        bool fd_is_shared;  /* its position is the client's, too */
        bool is_tree;
        Usage usage;           /* of a tree: what there was when it began */
        struct TreeSave *tree; /* or NULL: another process does the work */
        struct TreeSave *(*tree_free)(struct TreeSave *);
};

/* Adds up the nodes there are, except for one id, and the saves under way except for one. */
int store_usage(Store *s, const char *owner, uint64_t except_id, const StoreSave *except, Usage *ret,
                StoreError *reterr_error);

/* --- saving: what objects and trees have in common --- */

/* A save that has not done anything yet. */
int store_save_start(
                Store *s,
                const Peer *peer,
                const char *owner,
                const char *name,
                StoreFlags flags,
                size_t n_objects,
                StoreSave **ret,
                StoreError *e);

/* Adds to the memory that its contents are expected to take. */
void store_save_add_bytes(StoreSave *save, uint64_t n);

/* Counts a stream of so many bytes of memory, and the metadata that goes with it. */
void store_save_add_stream(StoreSave *save, uint64_t n);

/* Returns the memory that it takes, metadata included, as far as it got. */
uint64_t store_save_memory(const StoreSave *save);

/* Adds to the size of what is stored. */
void store_save_add_size(StoreSave *save, uint64_t n);

int store_check_limit(const Store *s, LimitId id, uint64_t current, uint64_t requested, StoreError *e);

/* Checks what this save takes, and more bytes that it is about to take, against everything else that is there. */
int store_save_check_quota(const StoreSave *save, const Usage *u, uint64_t more, StoreError *e);

/* Checks whether the flags permit to store a node where new nodes are kept. */
int store_save_check_place(Store *s, StoreFlags flags, StoreError *e);

/*
 * May the name be used? Finds out which node goes, if one does, and before the node is begun the kernel name for it:
 * one that takes the place of a node from when names had no owners gets its kernel name, so that this is one step.
 */
int store_save_check_existing(StoreSave *save, StoreError *e);

/* Why a file cannot be saved, for those answers of the kernel that are about the file; else NULL. */
const char *store_save_file_reason(int r);

/* Saves a byte stream, or the manifest as one. items: one for each object. */
int store_save_bytes(StoreSave *save, const void *data, size_t size, StoreError *e);
int store_save_manifest(StoreSave *save, const StoreItem *items, StoreError *e);

/* The checksum of bytes. -ENOMEM. */
int store_sum_data(const void *data, size_t size, char ret[CHECKSUM_HEX_LENGTH + 1]);

/* See store_save_step(). */
int store_tree_save_step(StoreSave *save, StoreError *e);

/* --- nodes --- */

/* Reads the manifest of an open node with that many kernel objects. Errors of manifest_parse(). */
int store_read_manifest(PkramHandle *h, size_t n_objects, Manifest *ret, size_t *ret_size);

/*
 * Finds out what is known about a listed node; the caller ends it with known_node_done(). session is PKRAM_HANDLE_NONE
 * for the first node, and may be open afterwards, with no node. Returns -ENOENT if the node is gone.
 */
int store_know(Store *s, PkramHandle *session, const struct pkram_node_info *info, KnownNode *ret);
void known_node_done(Store *s, KnownNode *known);

/* Fills in everything that goes beyond node->info, except for its name. Returns 0 or -ENOMEM. */
int store_node_complete(StoreNode *node, const KnownNode *known);

/* Fills in the name of a listed node. Returns 0 or -ENOMEM. */
int store_node_set_name(StoreNode *node, const KnownNode *known);

/* Checks which owner a call is about: *owner, or the peer for NULL, which is filled in. InvalidParameter,
 * PermissionDenied. */
int store_check_owner(const Peer *peer, const char **owner, StoreError *e);

/* Reads all nodes once, so that store_know() knows them and forgets the others. */
int store_refresh(Store *s);

/*
 * Pins the node that an owner has under a name and reads its manifest. With
 * managed false on return the node was not stored by this daemon, and manifest is
 * empty. A manifest that is there but unreadable is NodeDamaged, unless
 * damaged_is_fine: then it counts as not managed, too.
 */
int store_open(
                Store *s,
                const Peer *peer,
                const char *owner,
                const char *name,
                bool damaged_is_fine,
                PkramHandle *ret_handle,
                StoreNode *ret_node,
                bool *ret_managed,
                Manifest *ret_manifest,
                StoreError *reterr_error);

/* One node by its number. -ENOENT. */
int store_stat_node(Store *s, uint64_t id, struct pkram_node_info *ret);

/* Reads the checksums of an open node and checks its manifest against them. */
int store_read_checksums(PkramHandle *h, const char *name, const Manifest *m, Checksums *ret,
                         StoreError *reterr_error);

/* Says that a node is damaged, and what to do. Always -EBADMSG. */
int store_damaged(StoreError *e, const char *name, const char *reason);
