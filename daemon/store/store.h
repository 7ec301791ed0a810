/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nodes with owners, limits and checksums, on top of the device.
 *
 * The store keeps no state of its own that matters: everything it knows about a
 * node is in the node. What it remembers about owners is only there for speed.
 */
#pragma once

#include "config.h"
#include "device.h"
#include "manifest.h"
#include "peer.h"
#include "store-error.h"

/* Most bytes of inline data in one object. */
#define STORE_DATA_BYTES_MAX MIB(1)

typedef struct Store Store;

/* device and config are copied and borrowed, respectively. -ENOMEM. */
int store_new(const PkramDevice *device, const Config *config, Store **ret);
Store *store_free(Store *s);
DEFINE_CLEANUP(Store *, store_free)

/* What the kernel says about itself. It answers also where PKRAM is off; then later calls fail. */
int store_info(Store *s, struct pkram_ioctl_info *ret, StoreError *reterr_error);

/* --- nodes --- */

typedef struct StoreNode {
        struct pkram_node_info info; /* the name is valid UTF-8, or else only made to look like it */
        char *owner;
        uint64_t objects; /* without those the daemon adds for itself */
        uint64_t bytes;   /* sum of their sizes */
} StoreNode;

void store_node_done(StoreNode *n);
#define _cleanup_node_ _cleanup_(store_node_done)

/* Memory that so many pages of a node take, in bytes. */
uint64_t store_pages_to_bytes(uint64_t pages);

/*
 * All nodes the peer may see, in the order they were stored. next: 1, *ret is
 * filled, to be emptied with store_node_done(); 0, there are no more.
 */
typedef struct StoreList StoreList;
int store_list_new(Store *s, const Peer *peer, StoreList **ret, StoreError *reterr_error);
int store_list_next(StoreList *l, StoreNode *ret, StoreError *reterr_error);
StoreList *store_list_free(StoreList *l);
DEFINE_CLEANUP(StoreList *, store_list_free)

/*
 * Removes a node and frees its memory; files retrieved from it live on. id: only
 * this very node, 0 for any of that name. *ret, which may be NULL, is what it was.
 */
int store_remove(Store *s, const Peer *peer, const char *name, uint64_t id, StoreNode *ret, StoreError *reterr_error);

typedef struct StoreDescription {
        StoreNode node;
        bool managed; /* stored by this daemon; otherwise the manifest is empty */
        Manifest manifest;
        bool have_checksums;
        Checksums checksums;
        struct pkram_ioctl_stat *stats; /* of each client object */
        size_t n_objects;
} StoreDescription;

void store_description_done(StoreDescription *d);
int store_describe(Store *s, const Peer *peer, const char *name, StoreDescription *ret, StoreError *reterr_error);

/* --- storing --- */

/* One object to store: fd, or data if fd is negative. All borrowed. */
typedef struct StoreItem {
        const char *name; /* or NULL */
        int fd;
        const void *data;
        size_t size;
} StoreItem;

typedef enum StoreFlags {
        STORE_REPLACE = 1 << 0,
        STORE_VERIFY = 1 << 1,
        STORE_SKIP_SPECIAL = 1 << 2, /* trees: leave out sockets and device nodes */
} StoreFlags;

typedef struct StoreSave StoreSave;

typedef struct StoreSaved {
        uint64_t id;
        uint64_t objects;
        uint64_t bytes; /* memory its contents take */
        bool replaced;
} StoreSaved;

/*
 * Checks everything, freezes the files and records what they hold. Then
 * store_save_step() until it returns 0, and store_save_commit(). Freeing it before
 * that undoes everything. Nothing borrowed is needed after the first call, except
 * for the store and the files' descriptors.
 */
int store_save_new(
                Store *s,
                const Peer *peer,
                const char *name,
                const StoreItem *items,
                size_t n_items,
                StoreFlags flags,
                StoreSave **ret,
                StoreError *reterr_error);

/*
 * The same for what is in a directory of a tmpfs, itself included; anything but the
 * step does no more than look whether it can be done. The descriptor is borrowed for
 * this call only, and may be O_PATH. Nobody may change anything below it until the
 * node is committed: large files are frozen, but small ones are copied.
 */
int store_save_new_tree(
                Store *s,
                const Peer *peer,
                const char *name,
                int directory,
                StoreFlags flags,
                StoreSave **ret,
                StoreError *reterr_error);

/* A bit of the work, some 10 ms. 1: more to do, 0: done. */
int store_save_step(StoreSave *save, StoreError *reterr_error);
int store_save_commit(StoreSave *save, StoreSaved *ret, StoreError *reterr_error);
StoreSave *store_save_free(StoreSave *save);
DEFINE_CLEANUP(StoreSave *, store_save_free)

/* --- retrieving --- */

typedef struct StoreLoadItem {
        char *name;
        ObjectKind kind;
        uint64_t size;
        int fd;     /* or -EBADF; to be taken out by whoever needs it longer */
        void *data; /* or NULL */
        size_t data_size;
} StoreLoadItem;

typedef struct StoreLoad {
        Store *store;
        StoreNode node;
        PkramHandle handle;
        Manifest manifest;
        bool managed;
        StoreLoadItem *items;
        size_t n_items;
        Checksums checksums;
        Checksum *checksum; /* in progress */
        size_t n_verified;
} StoreLoad;

/*
 * Gets all objects of a node. Then store_load_step() until it returns 0, before
 * anything of it is handed out. want_data: files come as data as well, and if one
 * is longer than 1 MiB the call is refused with NotSupported.
 */
int store_load_new(Store *s, const Peer *peer, const char *name, bool want_data, StoreLoad **ret, StoreError *reterr_error);
int store_load_step(StoreLoad *load, StoreError *reterr_error);
StoreLoad *store_load_free(StoreLoad *load);
DEFINE_CLEANUP(StoreLoad *, store_load_free)

/* --- restoring trees --- */

typedef struct StoreTreeLoad StoreTreeLoad;

/*
 * Prepares to fill an empty directory of a tmpfs with the tree that a node holds.
 * Then store_tree_load_step() until it returns 0, and store_tree_load_commit(), which
 * releases the node; *ret is what it was. Until that the directory is root's alone;
 * freeing it before that removes what was made. peer is borrowed, as is the store;
 * the descriptor only for this call.
 */
int store_tree_load_new(
                Store *s,
                const Peer *peer,
                const char *name,
                int directory,
                StoreTreeLoad **ret,
                StoreError *reterr_error);
int store_tree_load_step(StoreTreeLoad *load, StoreError *reterr_error);
int store_tree_load_commit(StoreTreeLoad *load, StoreNode *ret, StoreError *reterr_error);

/* What is restored, up to the commit, and whether it has checksums. Borrowed. */
const StoreNode *store_tree_load_node(const StoreTreeLoad *load);
bool store_tree_load_verified(const StoreTreeLoad *load);
StoreTreeLoad *store_tree_load_free(StoreTreeLoad *load);
DEFINE_CLEANUP(StoreTreeLoad *, store_tree_load_free)
