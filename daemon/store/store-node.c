/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store-internal.h"
#include "system-node.h"

struct StoreList {
        Store *store;
        PkramHandle session; /* to look at nodes with */
        char *owner; /* whose nodes are listed, or NULL for all */
        uint64_t cursor;
        bool end;
        size_t n_seen;
        struct pkram_node_info *nodes;
        uint32_t n, next;
};

StoreList *store_list_free(StoreList *l) {
        if (!l)
                return NULL;

        pkram_handle_done(&l->session);
        free(l->owner);
        free(l->nodes);
        free(l);
        return NULL;
}

/* Fetches the next nodes from the kernel. */
static int list_fetch(StoreList *l, StoreError *e) {
        int r;

        r = pkram_device_list(&l->store->device, /* flags= */ 0, &l->cursor, l->nodes, NODES_PER_CALL, &l->n);
        if (r < 0)
                return store_error_device(e, r == -ENOENT ? -ENODEV : r);

        l->n_seen += l->n;
        l->end = l->n < NODES_PER_CALL;
        l->next = 0;
        return 0;
}

int store_list_new(Store *s, const Peer *peer, const char *owner, StoreList **ret, StoreError *reterr_error) {
        _cleanup_(store_list_freep) StoreList *l = NULL;
        int r;

        if (owner || peer->uid != 0) {
                r = store_check_owner(peer, &owner, reterr_error);
                if (r < 0)
                        return r;
        }
        l = calloc(1, sizeof(StoreList));
        if (!l)
                return store_error_device(reterr_error, -ENOMEM);
        l->store = s;
        l->session = PKRAM_HANDLE_NONE;
        if (owner)
                l->owner = strdup(owner);
        l->nodes = malloc(NODES_PER_CALL * sizeof(struct pkram_node_info));
        if (!l->nodes || (owner && !l->owner))
                return store_error_device(reterr_error, -ENOMEM);

        r = list_fetch(l, reterr_error);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(l);
        return 0;
}

int store_list_next(StoreList *l, StoreNode *ret, StoreError *reterr_error) {
        _cleanup_node_ StoreNode node = {};
        KnownNode known;
        int r;

        for (;;) {
                if (l->next >= l->n) {
                        if (l->end)
                                /* Nodes that are known and were not seen are gone. */
                                return l->n_seen < l->store->n_known ? store_refresh(l->store) : 0;
                        r = list_fetch(l, reterr_error);
                        if (r < 0)
                                return r;
                        continue;
                }

                node.info = l->nodes[l->next++];
                if (system_node_name(node.info.name))
                        continue;
                r = store_know(l->store, &l->session, &node.info, &known);
                if (r == -ENOENT)
                        continue;
                if (r < 0)
                        return store_error_device(reterr_error, r);
                if (l->owner && !streq(l->owner, known.owner->name)) {
                        known_node_done(l->store, &known);
                        continue;
                }

                r = store_node_complete(&node, &known);
                if (r >= 0)
                        r = store_node_set_name(&node, &known);
                known_node_done(l->store, &known);
                if (r < 0)
                        return store_error_device(reterr_error, r);

                *ret = node;
                node = (StoreNode) {};
                return 1;
        }
}

int store_remove(
                Store *s,
                const Peer *peer,
                const char *owner,
                const char *name,
                uint64_t id,
                StoreNode *ret,
                StoreError *reterr_error) {

        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        _cleanup_manifest_ Manifest m = {};
        _cleanup_node_ StoreNode node = {};
        bool managed;
        int r;

        r = store_open(s, peer, owner, name, /* damaged_is_fine= */ true, &h, &node, &managed, &m, reterr_error);
        if (r < 0)
                return r;

        if (id != 0 && node.info.id != id)
                return store_error_set(reterr_error, -ENOENT, STORE_ERROR_NO_SUCH_NODE, name, NULL);

        /* The node stays pinned up to here: what goes is what was checked. */
        r = pkram_load_remove(&h, node.info.name);
        if (r == -EBUSY)
                return store_error_set(reterr_error, r, STORE_ERROR_NODE_BUSY, name, NULL);
        if (r < 0)
                return store_error_device(reterr_error, r);

        if (ret) {
                *ret = node;
                node = (StoreNode) {};
        }
        return 0;
}

void store_description_done(StoreDescription *d) {
        store_node_done(&d->node);
        manifest_done(&d->manifest);
        checksums_done(&d->checksums);
        free(d->stats);
        *d = (StoreDescription) {};
}

static int store_node_describe(PkramHandle *h, const char *name, StoreDescription *d, StoreError *e) {
        int r;

        d->n_objects = d->managed ? d->manifest.n_objects : d->node.info.nr_objects;
        d->stats = calloc(d->n_objects + 1, sizeof(struct pkram_ioctl_stat));
        if (!d->stats)
                return store_error_device(e, -ENOMEM);

        for (size_t i = 0; i < d->n_objects; i++) {
                r = pkram_load_stat(h, d->managed ? manifest_kernel_object(i) : (uint32_t) i, d->stats + i);
                if (r < 0)
                        return store_error_device(e, r);
                if (d->manifest.tree)
                        d->manifest.objects[i].kind = d->stats[i].state & PKRAM_STAT_FILE ? OBJECT_FILE : OBJECT_DATA;
        }

        d->have_checksums = d->manifest.verify;
        return d->have_checksums ? store_read_checksums(h, name, &d->manifest, &d->checksums, e) : 0;
}

int store_describe(
                Store *s,
                const Peer *peer,
                const char *owner,
                const char *name,
                StoreDescription *ret,
                StoreError *reterr_error) {

        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        _cleanup_(store_description_done) StoreDescription d = {};
        int r;

        r = store_open(s, peer, owner, name, /* damaged_is_fine= */ false, &h, &d.node, &d.managed, &d.manifest,
                       reterr_error);
        if (r < 0)
                return r;

        r = store_node_describe(&h, name, &d, reterr_error);
        if (r < 0)
                return r;

        /* Others may currently be retrieving it; our own session does not count. */
        struct pkram_node_info now;
        pkram_handle_done(&h);
        if (store_stat_node(s, d.node.info.id, &now) >= 0)
                d.node.info.flags = now.flags;

        *ret = d;
        d = (StoreDescription) {};
        return 0;
}
