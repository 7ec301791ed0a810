/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calls of io.pkram.Store that pkram-fdstore makes, each with the unit that it makes them for, which owns the
 * node.
 *
 * Units of a user manager own no nodes. Theirs are the user's: node "io.pkram.fdstore" of unit "app.service" is the
 * user's node "io.pkram.fdstore:app.service", see fdstore-node.h. Callers need not know that.
 */
#pragma once

#include "pkram-call.h"

typedef struct StoreLink {
        VarlinkClient *client; /* connection to pkramd */
        bool user;             /* for units of the user manager of the user that runs this */
} StoreLink;

/* An object to store: fd, or size bytes of data if fd is negative. All borrowed. */
typedef struct StoreCallObject {
        int fd;
        const void *data;
        size_t size;
} StoreCallObject;

/*
 * Stores objects as a node of owner, replacing an older one. The first is named after
 * FDSTORE_MANIFEST_OBJECT, the others after their number. Returns 0, or a negative errno:
 * -ENOTSUP and *reterr_reason, which the caller frees, if pkramd refuses this content (-EDQUOT a
 * limit), anything else if the call failed.
 */
int store_call_store(const StoreLink *l, const char *owner, const char *name, const StoreCallObject *objects,
                     size_t n_objects, char **reterr_reason);

/* What Retrieve returned. Files are owned descriptors, other objects are data; one of both each. */
typedef struct RetrievedNode {
        int64_t id;
        int *fds;     /* -EBADF where the object is data */
        void **data;  /* NULL where it is a file */
        size_t *sizes;
        size_t n;
} RetrievedNode;

void retrieved_node_done(RetrievedNode *n);
#define _cleanup_retrieved_node_ _cleanup_(retrieved_node_done)

/* Retrieves a node. Returns 0, -ENOENT if there is none, or as above. */
int store_call_retrieve(const StoreLink *l, const char *owner, const char *name, RetrievedNode *ret,
                        char **reterr_reason);

/* Releases the node with this number. Errors as above. */
int store_call_release(const StoreLink *l, const char *owner, const char *name, int64_t id, char **reterr_reason);

/* Removes a node. Errors as above. */
int store_call_remove(const StoreLink *l, const char *owner, const char *name, char **reterr_reason);

/*
 * Calls function(name, owner, inherited, userdata) for each node of any owner whose name begins with
 * prefix, until it returns a negative number, which is returned then. Returns 0, or as above.
 */
typedef int (*StoreCallEach)(const char *name, const char *owner, bool inherited, void *userdata);
int store_call_list(const StoreLink *l, const char *prefix, StoreCallEach function, void *userdata,
                    char **reterr_reason);
