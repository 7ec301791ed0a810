/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libpkram: connections and calls. */
#include "client-internal.h"
#include "json-util.h"
#include "pkram-call.h"
#include "pkram.h"
#include "varlink-client.h"

/* Of nodes that are written to disk, as 'pkramctl store --persist' without a number has it. */
#define IMPORTANCE_DEFAULT 50

#define INTERFACE "io.pkram.Store."

struct pkram_client {
        VarlinkClient *client;
        VarlinkReply reply; /* the last one, which errors and events are borrowed from */
        char *owner;
        bool streams; /* more replies to the last call may come, so that no other call can be sent */
};

/* NotSupported and NotPreservable differ as the system calls do: no such feature, and not for this file. */
static const struct {
        const char *name;
        int error;
} client_errors[] = {
        { INTERFACE "NoSuchNode",     ENOENT },
        { INTERFACE "NodeExists",     EEXIST },
        { INTERFACE "NodeBusy",       EBUSY },
        { INTERFACE "NodeDamaged",    EBADMSG },
        { INTERFACE "InvalidName",    EINVAL },
        { INTERFACE "NotPreservable", ENOTSUP },
        { INTERFACE "QuotaExceeded",  EDQUOT },
        { INTERFACE "NotSupported",   ENOSYS },
        { INTERFACE "NoMemory",       ENOMEM },
        { INTERFACE "TryAgain",       EAGAIN },
        { INTERFACE "NotEmpty",       ENOTEMPTY },
        { INTERFACE "BadDirectory",   ENOTDIR },
        { INTERFACE "ReplyTooLarge",  EMSGSIZE },
        { INTERFACE "WrongKind",      EMEDIUMTYPE },
        { INTERFACE "NodeVersion",    EPROTONOSUPPORT },
        { "org.varlink.service.PermissionDenied",     EACCES },
        { "org.varlink.service.InvalidParameter",     EINVAL },
        { "org.varlink.service.MethodNotFound",       ENOSYS },
        { "org.varlink.service.MethodNotImplemented", ENOSYS },
        { "org.varlink.service.InterfaceNotFound",    ENOSYS },
};

int pkram_error_to_errno(const char *error) {
        for (size_t i = 0; i < ELEMENTSOF(client_errors) && error; i++)
                if (streq(client_errors[i].name, error))
                        return -client_errors[i].error;
        return -EPROTO;
}

int pkram_client_new(const char *path, pkram_client **ret) {
        pkram_client *c;
        int r;

        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        r = varlink_client_connect(path ?: PKRAM_SOCKET_PATH, &c->client);
        if (r < 0) {
                free(c);
                return r;
        }

        *ret = c;
        return 0;
}

pkram_client *pkram_client_free(pkram_client *c) {
        if (!c)
                return NULL;
        varlink_reply_done(&c->reply);
        varlink_client_free(c->client);
        free(c->owner);
        free(c);
        return NULL;
}

int pkram_client_set_owner(pkram_client *c, const char *owner) {
        char *copy = NULL;

        if (owner) {
                copy = strdup(owner);
                if (!copy)
                        return -ENOMEM;
        }
        free(c->owner);
        c->owner = copy;
        return 0;
}

const char *pkram_client_get_error(const pkram_client *c) {
        return c->reply.error;
}

const char *pkram_client_get_error_reason(const pkram_client *c) {
        return c->reply.error ? json_get_string(c->reply.parameters, "reason") : NULL;
}

int pkram_client_get_fd(const pkram_client *c) {
        return varlink_client_fd(c->client);
}

/* Returns the parameters of a call about a node, with the owner that was selected, or NULL without memory. */
static struct json_object *client_parameters(const pkram_client *c, const char *name) {
        _cleanup_json_ struct json_object *p = json_object_new_object();

        if (!p || (name && json_add_string(p, "name", name) < 0) ||
            (c->owner && json_add_string(p, "owner", c->owner) < 0))
                return NULL;
        return TAKE_PTR(p);
}

/* Returns what the reply in c stands for: 0, or a negative errno. An error of the system has its own number. */
static int client_result(const pkram_client *c) {
        int64_t number;

        if (!c->reply.error)
                return 0;
        if (streq(c->reply.error, INTERFACE "Unexpected")) {
                number = json_get_int(c->reply.parameters, "errno", 0);
                return number > 0 && number < 4096 ? -(int) number : -EIO;
        }
        return pkram_error_to_errno(c->reply.error);
}

/* parameters is consumed. */
static int client_send(
                pkram_client *c,
                const char *method,
                struct json_object *parameters,
                const int *fds,
                size_t n_fds,
                bool more) {
        int r;

        varlink_reply_done(&c->reply);
        if (c->streams) {
                json_object_put(parameters);
                return -EBUSY;
        }
        r = varlink_client_send(c->client, method, parameters, fds, n_fds, more);
        if (r < 0)
                return r;
        c->streams = more;
        return 0;
}

static int client_receive(pkram_client *c) {
        int r;

        varlink_reply_done(&c->reply);
        r = varlink_client_receive(c->client, &c->reply);
        if (r < 0)
                return r;
        c->streams = c->reply.continues;
        return client_result(c);
}

/* Sends a call and waits for its reply. parameters is consumed; NULL stands for a lack of memory. */
static int client_call(pkram_client *c, const char *method, struct json_object *parameters, const int *fds,
                       size_t n_fds) {
        int r;

        if (!parameters)
                return -ENOMEM;
        r = client_send(c, method, parameters, fds, n_fds, /* more= */ false);
        return r < 0 ? r : client_receive(c);
}

int pkram_get_owner(pkram_client *c, char **ret) {
        const char *owner;
        int r;

        r = client_call(c, INTERFACE "GetStatus", json_object_new_object(), /* fds= */ NULL, /* n_fds= */ 0);
        if (r < 0)
                return r;
        owner = json_get_string(c->reply.parameters, "owner");
        if (!owner)
                return -EBADMSG;
        *ret = strdup(owner);
        return *ret ? 0 : -ENOMEM;
}

int pkram_store(
                pkram_client *c,
                const char *name,
                const pkram_object *objects,
                size_t n_objects,
                uint64_t flags,
                uint64_t *ret_id) {

        _cleanup_json_ struct json_object *p = NULL;
        _cleanup_free_ int *fds = NULL;
        struct json_object *array;
        size_t n_fds = 0;
        int r;

        varlink_reply_done(&c->reply);
        if (flags & ~(uint64_t) (PKRAM_STORE_REPLACE | PKRAM_STORE_VERIFY | PKRAM_STORE_PERSIST))
                return -EINVAL;
        p = client_parameters(c, name);
        array = json_object_new_array();
        fds = calloc(n_objects + 1, sizeof(int));
        if (!p || !array || !fds) {
                json_object_put(array);
                return -ENOMEM;
        }
        r = json_add(p, "objects", array);
        for (size_t i = 0; i < n_objects && r >= 0; i++)
                r = store_objects_add(array, objects[i].name, objects[i].fd, objects[i].data, objects[i].size, fds,
                                      &n_fds);
        if (r < 0)
                return r;
        if (json_add_bool(p, "replace", flags & PKRAM_STORE_REPLACE) < 0 ||
            json_add_bool(p, "verify", flags & PKRAM_STORE_VERIFY) < 0 ||
            ((flags & PKRAM_STORE_PERSIST) && json_add_int(p, "persist", IMPORTANCE_DEFAULT) < 0))
                return -ENOMEM;

        r = client_call(c, INTERFACE "Store", TAKE_PTR(p), fds, n_fds);
        if (r < 0)
                return r;
        if (ret_id)
                *ret_id = (uint64_t) json_get_int(c->reply.parameters, "id", 0);
        return 0;
}

int pkram_retrieve(pkram_client *c, const char *name, pkram_node **ret) {
        int r;

        r = client_call(c, INTERFACE "Retrieve", client_parameters(c, name), /* fds= */ NULL, /* n_fds= */ 0);
        if (r < 0)
                return r;
        return node_new(json_get(c->reply.parameters, "node"), json_get_array(c->reply.parameters, "objects"),
                        c->reply.fds, c->reply.n_fds, ret);
}

static int client_end_node(pkram_client *c, const char *method, const char *name, uint64_t id) {
        _cleanup_json_ struct json_object *p = client_parameters(c, name);

        if (!p || (id != 0 && json_add_u64(p, "id", id) < 0))
                return -ENOMEM;
        return client_call(c, method, TAKE_PTR(p), /* fds= */ NULL, /* n_fds= */ 0);
}

int pkram_release(pkram_client *c, const char *name, uint64_t id) {
        return client_end_node(c, INTERFACE "Release", name, id);
}

int pkram_remove(pkram_client *c, const char *name, uint64_t id) {
        return client_end_node(c, INTERFACE "Remove", name, id);
}

typedef struct NodeList {
        pkram_node **nodes;
        size_t n, allocated;
} NodeList;

static void node_list_done(NodeList *l) {
        for (size_t i = 0; i < l->n; i++)
                (void) pkram_node_free(l->nodes[i]);
        free(l->nodes);
}

/* Receives all replies to List. */
static int client_receive_nodes(pkram_client *c, NodeList *list) {
        do {
                struct json_object *o;
                int r;

                r = client_receive(c);
                if (r < 0)
                        return r;
                o = json_get(c->reply.parameters, "node");
                if (!o)
                        continue;
                if (GREEDY_REALLOC(list->nodes, list->allocated, list->n + 1) < 0)
                        return -ENOMEM;
                r = node_new(o, /* objects= */ NULL, /* fds= */ NULL, /* n_fds= */ 0, list->nodes + list->n);
                if (r < 0)
                        return r;
                list->n++;
        } while (c->reply.continues);
        return 0;
}

int pkram_list(pkram_client *c, pkram_list_func func, void *userdata) {
        struct json_object *p = client_parameters(c, /* name= */ NULL);
        _cleanup_(node_list_done) NodeList list = {};
        int r;

        if (!p)
                return -ENOMEM;
        r = client_send(c, INTERFACE "List", p, /* fds= */ NULL, /* n_fds= */ 0, /* more= */ true);
        if (r < 0)
                return r;
        r = client_receive_nodes(c, &list);
        if (r < 0)
                return r;
        /* The function may use the connection, for which no reply may be left to receive. */
        for (size_t i = 0; i < list.n; i++) {
                r = func(list.nodes[i], userdata);
                if (r != 0)
                        return r;
        }
        return 0;
}

int pkram_monitor(pkram_client *c) {
        return client_send(c, INTERFACE "Monitor", /* parameters= */ NULL, /* fds= */ NULL, /* n_fds= */ 0,
                           /* more= */ true);
}

int pkram_monitor_next(pkram_client *c, pkram_event *ret) {
        int r;

        varlink_reply_done(&c->reply);
        r = varlink_client_try_receive(c->client, &c->reply);
        if (r <= 0)
                return r;
        c->streams = c->reply.continues;
        r = client_result(c);
        if (r < 0)
                return r;

        *ret = (pkram_event) {
                .event = json_get_string(c->reply.parameters, "event") ?: "",
                .name = json_get_string(c->reply.parameters, "name"),
                .owner = json_get_string(c->reply.parameters, "owner"),
                .id = (uint64_t) json_get_int(c->reply.parameters, "id", 0),
                .n_objects = (uint64_t) json_get_int(c->reply.parameters, "objects", 0),
                .bytes = (uint64_t) json_get_int(c->reply.parameters, "bytes", 0),
        };
        return 1;
}
