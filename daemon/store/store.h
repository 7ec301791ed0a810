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

/* Borrowed. */
const PkramDevice *store_device(const Store *s);

/* Returns 1 if there is a node with that ID, whatever its owner, 0 if not, or a negative errno. */
int store_has_node(Store *s, uint64_t id);

/* What the kernel says about itself. It answers also where PKRAM is off; then later calls fail. */
int store_info(Store *s, struct pkram_ioctl_info *ret, StoreError *reterr_error);

/* As above, without the nodes that the system stores for itself in the number of nodes and in data_pages. */
int store_info_of_clients(Store *s, struct pkram_ioctl_info *ret, StoreError *reterr_error);

/*
 * --- nodes ---
 *
 * The key of a node is its owner and its name. All functions that take a name take the owner before it:
 * NULL for the peer itself. Only root may name another one; others get PermissionDenied, whether or
 * not there is such a node. What others have stored is NoSuchNode.
 */

typedef struct StoreNode {
        struct pkram_node_info info; /* its name is the kernel's, see node-name.h */
        char *owner;
        char *name;       /* valid UTF-8; from the kernel's name if that has invalid bytes */
        uint64_t objects; /* without those the daemon adds for itself */
        uint64_t bytes;   /* sum of their sizes */
        int persist;      /* importance on disk, PERSIST_NEVER or PERSIST_DEFAULT */
} StoreNode;

void store_node_done(StoreNode *n);
#define _cleanup_node_ _cleanup_(store_node_done)

/* Memory that so many pages of a node take, in bytes. */
uint64_t store_pages_to_bytes(uint64_t pages);

/*
 * Lists the nodes of an owner, or with NULL those of the peer, and all nodes if it is
 * root, in the order they were stored. next: 1, *ret is filled, to be emptied with
 * store_node_done(); 0, there are no more.
 */
typedef struct StoreList StoreList;
int store_list_new(Store *s, const Peer *peer, const char *owner, StoreList **ret, StoreError *reterr_error);
int store_list_next(StoreList *l, StoreNode *ret, StoreError *reterr_error);
StoreList *store_list_free(StoreList *l);
DEFINE_CLEANUP(StoreList *, store_list_free)

/*
 * Removes a node and frees its memory; files retrieved from it live on. id: only
 * this very node, 0 for any of that name. *ret, which may be NULL, is what it was.
 */
int store_remove(
                Store *s,
                const Peer *peer,
                const char *owner,
                const char *name,
                uint64_t id,
                StoreNode *ret,
                StoreError *reterr_error);

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
int store_describe(
                Store *s,
                const Peer *peer,
                const char *owner,
                const char *name,
                StoreDescription *ret,
                StoreError *reterr_error);

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
        STORE_PERSIST_SHIFT = 8,     /* above: importance on disk, see STORE_PERSIST() */
} StoreFlags;

/* A flag with the importance of a node on disk, 1 to PERSIST_MAX, PERSIST_NEVER or PERSIST_DEFAULT, and back. */
#define STORE_PERSIST(importance) ((StoreFlags) (((unsigned) (importance) & 0xff) << STORE_PERSIST_SHIFT))
static inline int store_flags_persist(StoreFlags flags) {
        return (int8_t) ((unsigned) flags >> STORE_PERSIST_SHIFT & 0xff);
}

typedef struct StoreSave StoreSave;

typedef struct StoreSaved {
        uint64_t id;
        uint64_t objects;
        uint64_t bytes; /* memory its contents take */
        uint64_t size;  /* sum of the sizes of its objects */
        bool replaced;
} StoreSaved;

/*
 * Checks everything, and begins to freeze the files and to record what they hold. Then
 * store_save_step() until it returns 0, and store_save_commit(). Freeing it before
 * that undoes everything. Until then the items, their descriptors and data are
 * borrowed; their names are needed only by this call. Small nodes without checksums
 * are done with the first call, and store_save_step() has nothing left to do for them.
 */
int store_save_new(
                Store *s,
                const Peer *peer,
                const char *owner,
                const char *name,
                const StoreItem *items,
                size_t n_items,
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
        int fd;     /* or -EBADF; a caller that needs it longer takes it out */
        bool with_bytes;  /* it has a byte stream that is handed out */
        void *data;       /* or NULL */
        size_t data_size; /* also before it is loaded */
} StoreLoadItem;

typedef struct StoreLoad {
        Store *store;
        const Peer *peer; /* borrowed */
        bool want_data;
        int target; /* the client's file that takes the only file, or -EBADF */
        StoreNode node;
        PkramHandle handle;
        Manifest manifest;
        bool managed;
        StoreLoadItem *items;
        size_t n_items, n_loaded;
        Checksums checksums;
        Checksum *checksum; /* in progress */
        size_t n_verified;
} StoreLoad;

/*
 * Opens a node and finds out what its objects are; items have names, kinds and sizes
 * then. store_load_step() loads them, and compares their checksums if the node has
 * some. Nothing is handed out before it returned 0. want_data: files come as data as
 * well, and if one is longer than 1 MiB the call is refused with ReplyTooLarge. peer is
 * borrowed until store_load_free().
 */
int store_load_new(
                Store *s,
                const Peer *peer,
                const char *owner,
                const char *name,
                bool want_data,
                StoreLoad **ret,
                StoreError *reterr_error);

/*
 * Has the contents of the node's only file put into this file, which is duplicated, and no descriptor handed out.
 * Comes before the first step. Returns -EINVAL with BadDirectory for nodes with more or fewer files, with checksums,
 * and with want_data.
 */
int store_load_set_target(StoreLoad *load, int fd, StoreError *reterr_error);

/* Returns what the objects take once they are loaded: bytes of data in memory of this process, and descriptors. */
void store_load_cost(const StoreLoad *load, size_t *ret_bytes, size_t *ret_fds);

/* Does a bit of the work, a few milliseconds. Returns 1 if there is more to do, 0 if it is done, or a negative
 * errno. */
int store_load_step(StoreLoad *load, StoreError *reterr_error);
StoreLoad *store_load_free(StoreLoad *load);
DEFINE_CLEANUP(StoreLoad *, store_load_free)

/*
 * --- trees ---
 *
 * Reading and making other users' files takes rights that the daemon does not have. So
 * everything that has to do with directories is done by a worker in another process,
 * which gets an open session of the device; names, owners and limits stay here.
 */

/* What all nodes take, and what those of one owner do. */
typedef struct Usage {
        uint64_t total_bytes, owner_bytes;
        uint64_t total_nodes, owner_nodes;
} Usage;

/* The daemon begins to store a tree. Then the worker saves into its session, and the daemon continues with the
 * results. */
int store_save_new_tree(
                Store *s,
                const Peer *peer,
                const char *owner,
                const char *name,
                StoreFlags flags,
                StoreSave **ret,
                StoreError *reterr_error);

/* Returns the owner of the node that is being saved, borrowed. */
const char *store_save_owner(const StoreSave *save);

/* The descriptor of the session, borrowed, and what else there is. */
int store_save_session(const StoreSave *save);
const Usage *store_save_usage(const StoreSave *save);

/*
 * What the worker saved: memory of contents and of metadata, sum of sizes, and a checksum for each object with
 * STORE_VERIFY (consumed), or only their number. Checks the limits once more, before
 * store_save_commit().
 */
int store_save_take_tree(
                StoreSave *save,
                uint64_t bytes,
                uint64_t meta_bytes,
                uint64_t size,
                Checksums *sums,
                StoreError *reterr_error);

/*
 * The worker's part: saves what is in a directory of a tmpfs, itself included. session is
 * consumed, and the directory is borrowed for this call only; it may be O_PATH. s has
 * nothing but the limits. Then store_save_step() until it returns 0, and
 * store_save_tree_result(), whose checksums are borrowed. No process may change anything
 * below the directory until the node is committed: large files are frozen, but small
 * ones are copied.
 */
int store_save_attach_tree(
                Store *s,
                const Peer *peer,
                PkramHandle *session,
                int directory,
                StoreFlags flags,
                const Usage *usage,
                StoreSave **ret,
                StoreError *reterr_error);
void store_save_tree_result(
                const StoreSave *save,
                uint64_t *ret_bytes,
                uint64_t *ret_meta_bytes,
                uint64_t *ret_size,
                const Checksums **ret_sums);

/* How far it is, in bytes of the tmpfs. *ret_total is about what there will be, or 0 if that cannot be told. */
void store_save_tree_progress(const StoreSave *save, uint64_t *ret_done, uint64_t *ret_total);

/* A node that holds a tree, opened by the daemon for the worker. */
typedef struct StoreTree {
        StoreNode node;
        PkramHandle handle;
        bool verify;
} StoreTree;

void store_tree_done(StoreTree *t);
int store_tree_open(
                Store *s,
                const Peer *peer,
                const char *owner,
                const char *name,
                StoreTree *ret,
                StoreError *reterr_error);

typedef struct StoreTreeLoad StoreTreeLoad;

/*
 * The worker's part: prepares to fill an empty directory of a tmpfs with the tree of the
 * node that session (consumed) has open; kernel_name is its name there, and n_objects is how many the node has in the
 * kernel. Then store_tree_load_step() until it returns 0, and store_tree_load_commit(),
 * which releases the node, unless it is to be kept. Until that the directory is root's alone;
 * freeing it before that removes what was made. What was done to the directory is told through
 * tell, a pipe or -EBADF, each time before it is done (see tree-target.h). peer and tell are borrowed; the descriptor
 * of the directory only for this call.
 */
int store_tree_load_new(
                const Peer *peer,
                PkramHandle *session,
                const char *name,
                const char *kernel_name,
                uint32_t n_objects,
                int directory,
                int tell,
                StoreTreeLoad **ret,
                StoreError *reterr_error);
int store_tree_load_step(StoreTreeLoad *load, StoreError *reterr_error);
int store_tree_load_commit(StoreTreeLoad *load, bool keep, StoreError *reterr_error);

/* How far it is, in bytes of file contents. */
void store_tree_load_progress(const StoreTreeLoad *load, uint64_t *ret_done, uint64_t *ret_total);
StoreTreeLoad *store_tree_load_free(StoreTreeLoad *load);
DEFINE_CLEANUP(StoreTreeLoad *, store_tree_load_free)
