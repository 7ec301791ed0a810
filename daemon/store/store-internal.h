/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the store-*.c files. */
#pragma once

#include "store.h"

/* Nodes fetched from the kernel at once. */
#define NODES_PER_CALL 128U

/* Bytes checksummed at once, a few milliseconds, so that other clients get their turn. */
#define VERIFY_SLICE MIB(8)

/* What the manifest of a node says; ids are never used twice while the system runs. */
typedef struct KnownNode {
        uint64_t id;
        const char *owner;      /* one copy for all nodes of the same owner */
        uint32_t own_objects;   /* objects the daemon added for itself */
        uint64_t own_bytes;     /* bytes in them */
} KnownNode;

struct Store {
        PkramDevice device;
        const Config *config;
        KnownNode *known;  /* ascending ids */
        size_t n_known, known_allocated;
        void *owners;      /* tree of strings */
        StoreSave *saves;  /* under way */
};

struct StoreSave {
        Store *store;
        StoreSave *next, *previous;
        Peer peer; /* no pidfd */
        char *name;
        StoreFlags flags;
        PkramHandle handle;
        bool committed;
        uint64_t bytes; /* expected first, then counted */
        uint64_t size; /* sum of the sizes of its objects */
        uint64_t replaces; /* id of the node that goes, or 0 */
        int *fds;       /* own descriptors of the files, -EBADF for data */
        bool *shared;   /* their position is the client's, too */
        uint64_t *sizes;
        size_t n_objects;
        size_t n_summed;
        Checksums checksums;
        Checksum *checksum; /* in progress */
        bool is_tree;
        Usage usage;           /* of a tree: what there was when it began */
        struct TreeSave *tree; /* or NULL: somebody else does the work */
        struct TreeSave *(*tree_free)(struct TreeSave *);
};

/* Adds up the nodes there are, except for one id, and the saves under way except for one. */
int store_usage(Store *s, const char *owner, uint64_t except_id, const StoreSave *except, Usage *ret, StoreError *reterr_error);

/* --- saving: what objects and trees have in common --- */

/* A save that has not done anything yet. */
int store_save_start(
                Store *s,
                const Peer *peer,
                const char *name,
                StoreFlags flags,
                size_t n_objects,
                StoreSave **ret,
                StoreError *e);

/* Adds to the memory that it takes. */
void store_save_add_bytes(StoreSave *save, uint64_t n);

/* Adds to the size of what is stored. */
void store_save_add_size(StoreSave *save, uint64_t n);

int store_check_limit(const Store *s, LimitId id, uint64_t current, uint64_t requested, StoreError *e);

/* Checks what this save takes against everything else that is there. */
int store_save_check_quota(const StoreSave *save, const Usage *u, StoreError *e);

/* May the name be used? Finds out which node goes, if one does. */
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

/* What is known about a listed node. The owner is borrowed from the store. -ENOENT: the node is gone meanwhile. */
int store_know(Store *s, const struct pkram_node_info *info, KnownNode *ret);

/* Fills in everything that goes beyond node->info. -ENOMEM. */
int store_node_complete(StoreNode *node, const KnownNode *known);

/* Reads all nodes once, so that store_know() knows them and forgets the others. */
int store_refresh(Store *s);

/*
 * Pins a node and reads its manifest, and checks that the peer may have it. With
 * managed false on return the node was not stored by this daemon, and manifest is
 * empty. A manifest that is there but unreadable is NodeDamaged, unless
 * damaged_is_fine: then it counts as not managed, too.
 */
int store_open(
                Store *s,
                const Peer *peer,
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
int store_read_checksums(PkramHandle *h, const char *name, const Manifest *m, Checksums *ret, StoreError *reterr_error);

/* Says that a node is damaged, and what to do. Always -EBADMSG. */
int store_damaged(StoreError *e, const char *name, const char *reason);
