/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "base64.h"
#include "config.h"
#include "fdstore-manifest.h"
#include "json-util.h"
#include "node-name.h"
#include "peer.h"
#include "pkram-call.h"
#include "store-calls.h"

/* Inline data of one object, as the interface limits it. */
#define OBJECT_DATA_MAX MIB(1)

/* Turns the error of a reply into a negative errno and a reason for people. */
static int reply_to_errno(const VarlinkReply *reply, char **reterr_reason) {
        const char *name, *reason, *limit;
        int r;

        if (!reply->error)
                return 0;
        name = startswith(reply->error, STORE_INTERFACE_PREFIX) ?: reply->error;
        reason = json_get_string(reply->parameters, "reason");
        limit = json_get_string(reply->parameters, "limit");
        if (limit)
                r = asprintf(reterr_reason, "limit %s= exceeded: %lli requested, %lli in use, %lli allowed", limit,
                             (long long) json_get_int(reply->parameters, "requested", -1),
                             (long long) json_get_int(reply->parameters, "current", -1),
                             (long long) json_get_int(reply->parameters, "maximum", -1));
        else
                r = asprintf(reterr_reason, "%s%s%s", name, reason ? ": " : "", reason ?: "");
        if (r < 0) {
                *reterr_reason = NULL;
                return -ENOMEM;
        }
        return reply_is_error(reply, "NoSuchNode") ? -ENOENT : limit ? -EDQUOT : -ENOTSUP;
}

/* Calls a method and waits for its only reply. parameters is taken over and may be NULL, which is -ENOMEM. */
static int store_call(const StoreLink *l, const char *method, struct json_object *parameters, const int *fds,
                      size_t n_fds, VarlinkReply *ret, char **reterr_reason) {
        int r;

        if (!parameters)
                return -ENOMEM;
        r = pkram_call_fds(l->client, method, parameters, fds, n_fds, ret);
        return r < 0 ? r : reply_to_errno(ret, reterr_reason);
}

/* Parameters that name a node. The caller owns them. NULL without memory. */
static struct json_object *node_parameters(const StoreLink *l, const char *owner, const char *name) {
        _cleanup_json_ struct json_object *p = json_object_new_object();
        _cleanup_free_ char *own = NULL;

        if (l->user && asprintf(&own, "%s:%s", name, owner) < 0)
                own = NULL;
        if (!p || (l->user && !own) || json_add_string(p, "name", own ?: name) < 0 ||
            (!l->user && json_add_string(p, "owner", owner) < 0))
                return NULL;
        return TAKE_PTR(p);
}

/*
 * Finds unit and name of a listed node, the other way round. buffer is what name may point into. Returns false if it
 * is no node of ours.
 */
static bool node_parse_listed(const StoreLink *l, const char *prefix, KernelName *buffer, const char **name,
                              const char **owner) {
        const char *unit;

        if (!startswith(*name, prefix))
                return false;
        if (!fdstore_user_node_parse(*name, buffer, &unit))
                return !l->user;
        /* List shows users their own nodes, and root all nodes. */
        if (!l->user || owner_is_user(*owner) != (getuid() != 0))
                return false;
        *name = buffer->text;
        *owner = unit;
        return true;
}

int store_call_store(const StoreLink *l, const char *owner, const char *name, const StoreCallObject *objects,
                     size_t n_objects, char **reterr_reason) {
        _cleanup_json_ struct json_object *parameters = node_parameters(l, owner, name);
        _cleanup_reply_ VarlinkReply reply = {};
        _cleanup_free_ int *fds = calloc(n_objects + 1, sizeof(*fds));
        struct json_object *array = json_object_new_array();
        size_t n_fds = 0;
        int r;

        if (!parameters || !fds) {
                (void) json_object_put(array);
                return -ENOMEM;
        }
        /* Only the generator of a boot by kexec finds them, so they are never written to disk. */
        if (json_add(parameters, "objects", array) < 0 || json_add_bool(parameters, "replace", true) < 0 ||
            persist_add(parameters, PERSIST_NEVER) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < n_objects; i++) {
                char number[32];

                (void) snprintf(number, sizeof(number), "%zu", i);
                r = store_objects_add(array, i == 0 ? FDSTORE_MANIFEST_OBJECT : number, objects[i].fd, objects[i].data,
                                      objects[i].size, fds, &n_fds);
                if (r < 0)
                        return r;
        }
        return store_call(l, "Store", TAKE_PTR(parameters), fds, n_fds, &reply, reterr_reason);
}

void retrieved_node_done(RetrievedNode *n) {
        if (n->fds)
                close_many(n->fds, n->n);
        for (size_t i = 0; n->data && i < n->n; i++)
                free(n->data[i]);
        free(n->fds);
        free(n->data);
        free(n->sizes);
        *n = (RetrievedNode) {};
}

static int take_object(struct json_object *o, VarlinkReply *reply, int *ret_fd, void **ret_data, size_t *ret_size) {
        int64_t fd = json_get_int(o, "fileDescriptor", -1);
        const char *data = json_get_string(o, "data");

        if (fd >= 0) {
                if ((uint64_t) fd >= reply->n_fds || reply->fds[fd] < 0)
                        return -EBADMSG;
                *ret_fd = TAKE_FD(reply->fds[fd]);
                return 0;
        }
        return data ? base64_decode(data, strlen(data), OBJECT_DATA_MAX, ret_data, ret_size) : -EBADMSG;
}

int store_call_retrieve(const StoreLink *l, const char *owner, const char *name, RetrievedNode *ret,
                        char **reterr_reason) {
        _cleanup_retrieved_node_ RetrievedNode n = {};
        _cleanup_reply_ VarlinkReply reply = {};
        struct json_object *array;
        size_t n_objects;
        int r;

        r = store_call(l, "Retrieve", node_parameters(l, owner, name), /* fds= */ NULL, 0, &reply, reterr_reason);
        if (r < 0)
                return r;
        array = json_get_array(reply.parameters, "objects");
        if (!array)
                return -EBADMSG;

        n_objects = json_object_array_length(array);
        n.id = json_get_int(json_get(reply.parameters, "node"), "id", 0);
        n.fds = malloc(MAX(n_objects, 1U) * sizeof(*n.fds));
        n.data = calloc(MAX(n_objects, 1U), sizeof(*n.data));
        n.sizes = calloc(MAX(n_objects, 1U), sizeof(*n.sizes));
        if (!n.fds || !n.data || !n.sizes)
                return -ENOMEM;
        for (; n.n < n_objects; n.n++) {
                n.fds[n.n] = -EBADF;
                r = take_object(json_object_array_get_idx(array, n.n), &reply, &n.fds[n.n], &n.data[n.n],
                                &n.sizes[n.n]);
                if (r < 0)
                        return r;
        }

        *ret = TAKE(n, (RetrievedNode) {});
        return 0;
}

int store_call_release(const StoreLink *l, const char *owner, const char *name, int64_t id, char **reterr_reason) {
        _cleanup_json_ struct json_object *parameters = node_parameters(l, owner, name);
        _cleanup_reply_ VarlinkReply reply = {};

        if (!parameters || json_add_int(parameters, "id", id) < 0)
                return -ENOMEM;
        return store_call(l, "Release", TAKE_PTR(parameters), /* fds= */ NULL, 0, &reply, reterr_reason);
}

int store_call_remove(const StoreLink *l, const char *owner, const char *name, char **reterr_reason) {
        _cleanup_reply_ VarlinkReply reply = {};

        return store_call(l, "Remove", node_parameters(l, owner, name), /* fds= */ NULL, 0, &reply, reterr_reason);
}

int store_call_list(const StoreLink *l, const char *prefix, StoreCallEach function, void *userdata,
                    char **reterr_reason) {
        int r;

        r = varlink_client_send(l->client, STORE_INTERFACE_PREFIX "List", /* parameters= */ NULL, /* fds= */ NULL, 0,
                                /* more= */ true);
        if (r < 0)
                return r;

        for (int result = 0;;) {
                _cleanup_reply_ VarlinkReply reply = {};
                struct json_object *node;
                const char *name, *owner;
                KernelName buffer;

                r = varlink_client_receive(l->client, &reply);
                if (r >= 0)
                        r = reply_to_errno(&reply, reterr_reason);
                if (r < 0)
                        return r;
                node = json_get(reply.parameters, "node");
                name = json_get_string(node, "name");
                owner = json_get_string(node, "owner");
                if (result >= 0 && name && owner && node_parse_listed(l, prefix, &buffer, &name, &owner))
                        result = function(name, owner, json_get_bool(node, "inherited", false), userdata);
                if (!reply.continues)
                        return result;
        }
}
