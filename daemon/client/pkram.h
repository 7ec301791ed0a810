/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LIBPKRAM_PKRAM_H
#define LIBPKRAM_PKRAM_H

/*
 * libpkram: stores memory in pkramd, so that it is preserved across kexec, and retrieves it.
 *
 * Functions that return an int return a negative errno on failure: -EBUSY without an error of pkramd if the connection
 * monitors events and cannot be used for calls. A connection and the nodes that were retrieved
 * with it are used by one thread at a time. Strings that are returned are owned by the object they were taken from.
 * See libpkram(3).
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where pkramd listens. */
#define PKRAM_SOCKET_PATH "/run/pkram/io.pkram.Store"

/* A connection to pkramd. */
typedef struct pkram_client pkram_client;

/* A node: its description and, after pkram_retrieve(), its objects. */
typedef struct pkram_node pkram_node;

/* Flags of pkram_store(). */
enum {
        PKRAM_STORE_REPLACE = 1 << 0, /* replace an existing node with this name in one step */
        PKRAM_STORE_VERIFY  = 1 << 1, /* store checksums, and verify them on retrieval */
        PKRAM_STORE_PERSIST = 1 << 2, /* write the node to disk at a shutdown that does not preserve memory */
};

/*
 * An object of a node: a file if fd is not negative, otherwise size bytes at data. Initialise unused members to zero,
 * and fd to -1. name may be NULL.
 */
typedef struct pkram_object {
        const char *name;
        int fd;
        const void *data;
        size_t size;
} pkram_object;

/*
 * Connects to pkramd at path, or at PKRAM_SOCKET_PATH if path is NULL. Free the connection with pkram_client_free().
 * Returns 0, -ENOENT or -ECONNREFUSED if no process listens there, or another negative errno.
 */
int pkram_client_new(const char *path, pkram_client **ret);

/* Closes and frees a connection, or does nothing if c is NULL. Returns NULL. */
pkram_client *pkram_client_free(pkram_client *c);

/* Selects the owner whose nodes the following calls are about. NULL, the default, is the caller. Returns 0 or
 * -ENOMEM. */
int pkram_client_set_owner(pkram_client *c, const char *owner);

/*
 * Returns the name of the varlink error of the last call, such as "io.pkram.Store.NoSuchNode", or NULL if the call
 * succeeded or failed for another reason. It is valid until the next call.
 */
const char *pkram_client_get_error(const pkram_client *c);

/* Returns the reason that pkramd gave for it, a sentence for users, or NULL if there is none. */
const char *pkram_client_get_error_reason(const pkram_client *c);

/*
 * Returns the negative errno that stands for a varlink error: -ENOENT for io.pkram.Store.NoSuchNode, -EEXIST for
 * NodeExists, and so on, see libpkram(3); -EPROTO for names that are not known, and for NULL.
 */
int pkram_error_to_errno(const char *error);

/* Determines the owner of nodes that this process stores. Free *ret with free(). Returns 0, or a negative errno. */
int pkram_get_owner(pkram_client *c, char **ret);

/*
 * Stores n_objects objects as the node name, all or none. Descriptors are borrowed. The files are then frozen until
 * the node is released or removed. Bytes may have at most 1 MiB per object. ret_id gets the ID of the node and may be
 * NULL. Returns 0, or a negative errno.
 */
int pkram_store(
                pkram_client *c,
                const char *name,
                const pkram_object *objects,
                size_t n_objects,
                uint64_t flags,
                uint64_t *ret_id);

/*
 * Retrieves a node, which remains stored until pkram_release(). Free it with pkram_node_free(). Returns 0, -ENOENT if
 * there is no such node, or another negative errno.
 */
int pkram_retrieve(pkram_client *c, const char *name, pkram_node **ret);

/*
 * Removes a node after its contents were retrieved, which is not checked. Its files can then be written again. id is
 * that of the node, or 0 for any node with this name. Returns 0, or a negative errno.
 */
int pkram_release(pkram_client *c, const char *name, uint64_t id);

/* Removes a node and frees its memory. As pkram_release() otherwise. */
int pkram_remove(pkram_client *c, const char *name, uint64_t id);

/* Called for each node by pkram_list(). The node is borrowed. A result other than 0 ends the list. */
typedef int (*pkram_list_func)(const pkram_node *node, void *userdata);

/*
 * Receives the list of nodes that the caller may see, and then calls a function for each. The function may use the
 * connection. Returns 0, the result of the function if it is not 0, or a negative errno.
 */
int pkram_list(pkram_client *c, pkram_list_func func, void *userdata);

/* Frees a node and closes its descriptors, or does nothing if n is NULL. Returns NULL. */
pkram_node *pkram_node_free(pkram_node *n);

const char *pkram_node_get_name(const pkram_node *n);
const char *pkram_node_get_owner(const pkram_node *n);
uint64_t pkram_node_get_id(const pkram_node *n);
uint64_t pkram_node_get_bytes(const pkram_node *n);      /* sum of the sizes of its objects */
uint64_t pkram_node_get_generation(const pkram_node *n); /* number of kexecs it has survived */
uint64_t pkram_node_get_stored(const pkram_node *n);     /* when it was stored, in microseconds since 1970 */

/* Returns the number of objects that pkram_node_get_object() can return: 0 unless the node was retrieved. */
size_t pkram_node_get_n_objects(const pkram_node *n);

/* Returns the object at a position from 0. fd and data are owned by the node. Returns 0, or -ENOENT. */
int pkram_node_get_object(const pkram_node *n, size_t i, pkram_object *ret);

/* Returns the object with a name. Returns 0, or -ENOENT. */
int pkram_node_find_object(const pkram_node *n, const char *name, pkram_object *ret);

/* Returns the descriptor of the object at a position, which the caller closes, or -ENOENT if it has none. */
int pkram_node_take_fd(pkram_node *n, size_t i);

/*
 * Starts to monitor events. The connection can then only be used with pkram_monitor_next() and the functions that get
 * its properties. Returns 0, or a negative errno.
 */
int pkram_monitor(pkram_client *c);

/* Returns the descriptor of the connection, to wait for input (POLLIN) in a loop, for example with
 * sd_event_add_io(). */
int pkram_client_get_fd(const pkram_client *c);

/* An event. Strings are valid until the next call for the connection. */
typedef struct pkram_event {
        const char *event; /* "ready", "stored", "replaced", "retrieved", "released", or "removed" */
        const char *name;  /* of the node; NULL for "ready" */
        const char *owner;
        uint64_t id;
        uint64_t n_objects;
        uint64_t bytes;
} pkram_event;

/*
 * Gets the next event without waiting. Call it until it returns 0 when there is input. Returns 1 if *ret is filled, 0
 * if there is no event yet, -ECONNRESET if pkramd is gone, or another negative errno.
 */
int pkram_monitor_next(pkram_client *c, pkram_event *ret);

#ifdef __cplusplus
}
#endif

#endif
