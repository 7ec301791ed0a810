/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nodes with owners, limits and checksums, on top of the device.
 *
 * The store has no state that has to survive a restart: everything it knows about
 * a node is in the node. It only caches owners, for speed.
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

/* Copies device, and borrows config. Returns 0 or -ENOMEM. */
int store_new(const PkramDevice *device, const Config *config, Store **ret);
Store *store_free(Store *s);
DEFINE_CLEANUP(Store *, store_free)

/* Returns the device of the store, borrowed. */
const PkramDevice *store_device(const Store *s);

/* Returns 1 if there is a node with that ID, whatever its owner, 0 if not, or a negative errno. */
int store_has_node(Store *s, uint64_t id);

/* Gets what the kernel reports about PKRAM. This succeeds even if PKRAM is disabled; then later calls fail. */
int store_info(Store *s, struct pkram_ioctl_info *ret, StoreError *reterr_error);

/* The same, but system nodes are not counted in nr_nodes and data_pages. */
int store_info_of_clients(Store *s, struct pkram_ioctl_info *ret, StoreError *reterr_error);

/*
 * --- nodes ---
 *
 * The key of a node is its owner and its name. All functions that take a name take the owner before it,
 * where NULL means the peer itself. Only root may name another owner; other peers get PermissionDenied,
 * whether or not the node exists. A peer that does not name an owner gets NoSuchNode for nodes of other
 * owners.
 */

typedef struct StoreNode {
        struct pkram_node_info info; /* info.name is the kernel name, see node-name.h */
        char *owner;
        char *name;       /* valid UTF-8; derived from the kernel name if that has invalid bytes */
        uint64_t objects; /* without those that the daemon adds for itself */
        uint64_t bytes;   /* sum of their sizes */
        int persist;      /* importance on disk (1 to PERSIST_MAX), PERSIST_NEVER or PERSIST_DEFAULT */
} StoreNode;

void store_node_done(StoreNode *n);
#define _cleanup_node_ _cleanup_(store_node_done)

/* Returns the size of a number of pages of a node, in bytes. */
uint64_t store_pages_to_bytes(uint64_t pages);

/*
 * Lists the nodes of an owner, in the order in which they were stored. Without an
 * owner (NULL), lists the nodes of the peer, or all nodes if the peer is root.
 * store_list_next() returns 1 if it filled *ret, which the caller frees with
 * store_node_done(), or 0 after the last node.
 */
typedef struct StoreList StoreList;
int store_list_new(Store *s, const Peer *peer, const char *owner, StoreList **ret, StoreError *reterr_error);
int store_list_next(StoreList *l, StoreNode *ret, StoreError *reterr_error);
StoreList *store_list_free(StoreList *l);
DEFINE_CLEANUP(StoreList *, store_list_free)

/*
 * Removes a node and frees its memory; files retrieved from it live on. Removes only
 * the node with this id, or any node with this name if id is 0. Stores what the node
 * was in *ret, unless ret is NULL.
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
        struct pkram_ioctl_stat *stats; /* one for each object of the client */
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

/* One object to store: fd, or data if fd is negative. Everything is borrowed. */
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
        STORE_PERSIST_SHIFT = 8,     /* the bits from here on: importance on disk, see STORE_PERSIST() */
} StoreFlags;

/* Converts the importance of a node on disk (1 to PERSIST_MAX, PERSIST_NEVER or PERSIST_DEFAULT) to flags, and flags
 * to the importance. */
#define STORE_PERSIST(importance) ((StoreFlags) (((unsigned) (importance) & 0xff) << STORE_PERSIST_SHIFT))
static inline int store_flags_persist(StoreFlags flags) {
        return (int8_t) ((unsigned) flags >> STORE_PERSIST_SHIFT & 0xff);
}

typedef struct StoreSave StoreSave;

typedef struct StoreSaved {
        uint64_t id;
        uint64_t objects;
        uint64_t bytes; /* memory that its contents take */
        uint64_t size;  /* sum of the sizes of its objects */
        bool replaced;
} StoreSaved;

/*
 * Checks everything, and begins to freeze the files and to record their pages. Next, the
 * caller calls store_save_step() until it returns 0, and then store_save_commit(). Freeing
 * *ret before the commit undoes everything. Until the commit the items, their descriptors
 * and data are borrowed; their names are needed only by this call. For small nodes without
 * checksums this call does all of the work, and store_save_step() has nothing left to do.
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

/* Does a part of the work, which takes some 10 ms. Returns 1 if there is more to do, or 0 if it is done. */
int store_save_step(StoreSave *save, StoreError *reterr_error);
int store_save_commit(StoreSave *save, StoreSaved *ret, StoreError *reterr_error);
StoreSave *store_save_free(StoreSave *save);
DEFINE_CLEANUP(StoreSave *, store_save_free)

/* --- retrieving --- */

typedef struct StoreLoadItem {
        char *name;
        ObjectKind kind;
        uint64_t size;
        int fd;     /* or -EBADF; the caller may take it with TAKE_FD() */
        bool with_bytes;  /* it has a byte stream that is returned */
        void *data;       /* or NULL */
        size_t data_size; /* known before data is loaded */
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
 * Opens a node and determines the names, kinds and sizes of its objects, for items.
 * store_load_step() loads the objects, and compares their checksums if the node has
 * some. The caller must not pass any object on before store_load_step() has returned 0.
 * If want_data is set, the contents of files are loaded as data as well, and the call is
 * refused with ReplyTooLarge if a file is larger than 1 MiB. peer is borrowed until
 * store_load_free().
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
 * Loads the contents of the node's only file into the file fd, instead of returning a descriptor. Duplicates fd. Must
 * be called before the first store_load_step(). Returns -EINVAL with BadDirectory if the node does not have exactly
 * one file, if it has checksums, or if want_data is set.
 */
int store_load_set_target(StoreLoad *load, int fd, StoreError *reterr_error);

/* Returns what the objects will take when they are loaded: bytes of data in the memory of this process, and
 * descriptors. */
void store_load_cost(const StoreLoad *load, size_t *ret_bytes, size_t *ret_fds);

/* Does a part of the work, which takes a few milliseconds. Returns 1 if there is more to do, 0 if it is done, or a
 * negative errno. */
int store_load_step(StoreLoad *load, StoreError *reterr_error);
StoreLoad *store_load_free(StoreLoad *load);
DEFINE_CLEANUP(StoreLoad *, store_load_free)

/*
 * --- trees ---
 *
 * Reading and creating files of other users requires privileges that the daemon does not
 * have. So a worker in another process does everything that has to do with directories.
 * It gets an open session of the device. The daemon handles names, owners and limits.
 */

/* Number and memory of all nodes, and of the nodes of one owner. */
typedef struct Usage {
        uint64_t total_bytes, owner_bytes;
        uint64_t total_nodes, owner_nodes;
} Usage;

/* Begins to store a tree, in the daemon. Next, the worker saves the tree into this session, and the daemon passes the
 * results to store_save_take_tree(). */
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

/* Return the descriptor of the session, and the memory and number of the other nodes. Both are borrowed. */
int store_save_session(const StoreSave *save);
const Usage *store_save_usage(const StoreSave *save);

/*
 * Takes over what the worker saved: memory of contents and of metadata, sum of sizes, and sums, which is consumed.
 * With STORE_VERIFY sums has a checksum for each object, and otherwise only the number of objects. Checks the limits
 * once more. Must be called before store_save_commit().
 */
int store_save_take_tree(
                StoreSave *save,
                uint64_t bytes,
                uint64_t meta_bytes,
                uint64_t size,
                Checksums *sums,
                StoreError *reterr_error);

/*
 * Begins to save a tmpfs directory and its contents, in the worker. session is consumed.
 * The descriptor of the directory is borrowed for this call only, and may be O_PATH. The
 * worker needs s only for the limits. Next, the worker calls store_save_step() until it
 * returns 0, and then store_save_tree_result(), whose checksums are borrowed. No process
 * may change anything below the directory until the node is committed: large files are
 * frozen, but small ones are copied.
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

/* Returns the progress, in bytes of the tmpfs. *ret_total is an estimate, or 0 if there is none. */
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
 * Prepares to fill an empty tmpfs directory with the tree of a node, in the worker. session, which is consumed, has
 * the node open. kernel_name is the node's name in the kernel, and n_objects is the number of its objects in the
 * kernel. Next, the worker calls store_tree_load_step() until it returns 0, and then store_tree_load_commit(),
 * which releases the node unless keep is set. Until the commit only root can access the directory. Freeing *ret before
 * the commit removes the files that were created. The worker announces each change of the directory's state through
 * tell, a pipe or -EBADF, before it makes the change (see tree-target.h). peer and tell are borrowed; the descriptor
 * of the directory is borrowed for this call only.
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

/* Returns the progress, in bytes of file contents. */
void store_tree_load_progress(const StoreTreeLoad *load, uint64_t *ret_done, uint64_t *ret_total);
StoreTreeLoad *store_tree_load_free(StoreTreeLoad *load);
DEFINE_CLEANUP(StoreTreeLoad *, store_tree_load_free)
