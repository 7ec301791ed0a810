/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the store-*.c files. */
#pragma once

#include "store.h"

/* Nodes fetched from the kernel at once. */
#define NODES_PER_CALL 128U

/* Bytes checksummed at once, some 10 ms, so that other clients get their turn. */
#define VERIFY_SLICE MIB(64)

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
        uint64_t replaces; /* id of the node that goes, or 0 */
        int *fds;       /* own descriptors of the files, -EBADF for data */
        bool *shared;   /* their position is the client's, too */
        uint64_t *sizes;
        size_t n_objects;
        size_t n_summed;
        Checksums checksums;
        Checksum *checksum; /* in progress */
};

/* What all nodes take, and what those of one owner do. */
typedef struct Usage {
        uint64_t total_bytes, owner_bytes;
        uint64_t total_nodes, owner_nodes;
} Usage;

/* Adds up the nodes there are, except for one id, and the saves under way except for one. */
int store_usage(Store *s, const char *owner, uint64_t except_id, const StoreSave *except, Usage *ret, StoreError *reterr_error);

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
