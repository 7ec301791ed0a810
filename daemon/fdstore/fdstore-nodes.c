/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fdstore-nodes.h"

void listed_nodes_done(ListedNodes *l) {
        for (size_t i = 0; i < l->n; i++) {
                free(l->nodes[i].name);
                free(l->nodes[i].owner);
        }
        free(l->nodes);
}

static int listed_nodes_add(const char *name, const char *owner, bool inherited, void *userdata) {
        ListedNodes *l = userdata;
        ListedNode *n;
        int r;

        r = GREEDY_REALLOC(l->nodes, l->allocated, l->n + 1);
        if (r < 0)
                return r;
        n = &l->nodes[l->n++];
        *n = (ListedNode) { .name = strdup(name), .owner = strdup(owner), .inherited = inherited };
        return n->name && n->owner ? 0 : -ENOMEM;
}

int listed_nodes_read(const FdStoreEnvironment *e, ListedNodes *ret) {
        _cleanup_listed_nodes_ ListedNodes l = {};
        _cleanup_free_ char *reason = NULL;
        int r;

        r = store_call_list(&e->store, FDSTORE_NODE, listed_nodes_add, &l, &reason);
        if (r < 0) {
                log_error("Failed to list stored file descriptors: %s", reason ?: strerror(-r));
                return r;
        }
        *ret = TAKE(l, (ListedNodes) {});
        return 0;
}

const ListedNode *listed_nodes_find_inherited(const ListedNodes *l, const char *unit) {
        for (size_t i = 0; i < l->n; i++)
                if (l->nodes[i].inherited && streq(l->nodes[i].owner, unit) &&
                    fdstore_node_flags(l->nodes[i].name) >= 0)
                        return &l->nodes[i];
        return NULL;
}
