/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <search.h>

#include "store-internal.h"
#include "name.h"

int store_new(const PkramDevice *device, const Config *config, Store **ret) {
        Store *s;

        assert(device);
        assert(config);
        assert(ret);

        s = malloc(sizeof(Store));
        if (!s)
                return -ENOMEM;

        *s = (Store) { .device = *device, .config = config };
        *ret = s;
        return 0;
}

Store *store_free(Store *s) {
        if (!s)
                return NULL;

        assert(!s->saves);
        tdestroy(s->owners, free);
        free(s->known);
        free(s);
        return NULL;
}

const PkramDevice *store_device(const Store *s) {
        return &s->device;
}

int store_damaged(StoreError *e, const char *name, const char *reason) {
        return store_error_set(e, -EBADMSG, STORE_ERROR_NODE_DAMAGED, name,
                               "%s. Remove the node and store it again from where its contents came.", reason);
}

int store_info(Store *s, struct pkram_ioctl_info *ret, StoreError *reterr_error) {
        int r;

        r = pkram_device_info(&s->device, ret);
        return r < 0 ? store_error_device(reterr_error, r == -ENOENT ? -ENODEV : r) : 0;
}

void store_node_done(StoreNode *n) {
        free(n->owner);
        *n = (StoreNode) {};
}

uint64_t store_pages_to_bytes(uint64_t pages) {
        uint64_t bytes;

        return __builtin_mul_overflow(pages, UINT64_C(4096), &bytes) ? UINT64_MAX : bytes;
}

int store_node_complete(StoreNode *node, const KnownNode *known) {
        const struct pkram_node_info *i = &node->info;

        node->owner = strdup(known->owner);
        if (!node->owner)
                return -ENOMEM;

        node->objects = i->nr_objects - MIN(known->own_objects, i->nr_objects);
        node->bytes = i->file_bytes;
        if (!inc_u64(&node->bytes, i->data_bytes - MIN(known->own_bytes, i->data_bytes)))
                node->bytes = UINT64_MAX;
        return 0;
}

/* One copy of a string for all who have the same. */
static const char *intern(Store *s, const char *owner) {
        char ***found = tfind(owner, &s->owners, (int (*)(const void *, const void *)) strcmp), *copy;

        if (found)
                return *(const char **) found;

        copy = strdup(owner);
        if (!copy)
                return NULL;
        if (!tsearch(copy, &s->owners, (int (*)(const void *, const void *)) strcmp)) {
                free(copy);
                return NULL;
        }
        return copy;
}

int store_read_manifest(PkramHandle *h, size_t n_objects, Manifest *ret, size_t *ret_size) {
        _cleanup_free_ void *text = NULL;
        struct pkram_ioctl_stat st;
        int r;

        if (n_objects == 0)
                return -ENOMSG;
        r = pkram_load_stat(h, 0, &st);
        if (r < 0)
                return r;
        if (st.state & PKRAM_STAT_FILE || st.data_bytes == 0)
                return -ENOMSG;

        r = pkram_load_bytes(h, 0, MANIFEST_BYTES_MAX, &text, ret_size);
        if (r == -EFBIG)
                return -ENOMSG;
        if (r < 0)
                return r;

        return manifest_parse(text, *ret_size, n_objects, ret);
}

static int read_manifest(PkramHandle *h, const struct pkram_node_info *info, Manifest *ret, KnownNode *ret_known) {
        _cleanup_manifest_ Manifest m = {};
        struct pkram_ioctl_stat sums = {};
        size_t size;
        int r;

        r = store_read_manifest(h, info->nr_objects, &m, &size);
        if (r < 0)
                return r;
        if (m.verify) {
                r = pkram_load_stat(h, manifest_checksum_object(&m), &sums);
                if (r < 0)
                        return r;
        }

        *ret_known = (KnownNode) {
                .id = info->id,
                .owner = m.owner,
                .own_objects = 1 + m.verify,
                .own_bytes = size + sums.data_bytes,
        };
        *ret = m;
        m = (Manifest) {};
        return 0;
}

/* Whom a node belongs to for whom its manifest cannot be read: nobody but root. */
static bool is_unowned(int r) {
        return r == -ENOMSG || r == -EBADMSG || r == -EPROTONOSUPPORT;
}

static int look_at(Store *s, const struct pkram_node_info *info, KnownNode *ret) {
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        _cleanup_manifest_ Manifest m = {};
        KnownNode known = { .id = info->id, .owner = OWNER_KERNEL };
        uint64_t id;
        int r;

        r = pkram_load_begin(&s->device, info->name, &h, &id);
        if (r < 0)
                return r;
        if (id != info->id)
                return -ENOENT;

        r = read_manifest(&h, info, &m, &known);
        if (r < 0 && !is_unowned(r))
                return r;

        known.owner = intern(s, known.owner);
        if (!known.owner)
                return -ENOMEM;
        *ret = known;
        return 0;
}

static int compare_known(const void *a, const void *b) {
        uint64_t x = ((const KnownNode *) a)->id, y = ((const KnownNode *) b)->id;

        return (x > y) - (x < y);
}

int store_know(Store *s, const struct pkram_node_info *info, KnownNode *ret) {
        KnownNode key = { .id = info->id }, *known = NULL;

        if (s->n_known > 0)
                known = bsearch(&key, s->known, s->n_known, sizeof(KnownNode), compare_known);
        if (known) {
                *ret = *known;
                return 0;
        }

        return look_at(s, info, ret);
}

typedef int (*NodeFunction)(Store *s, const struct pkram_node_info *info, void *userdata);

static int for_each_node(Store *s, NodeFunction function, void *userdata) {
        _cleanup_free_ struct pkram_node_info *nodes = NULL;
        uint64_t cursor = 0;
        uint32_t n;
        int r;

        nodes = malloc(NODES_PER_CALL * sizeof(struct pkram_node_info));
        if (!nodes)
                return -ENOMEM;

        do {
                r = pkram_device_list(&s->device, /* flags= */ 0, &cursor, nodes, NODES_PER_CALL, &n);
                if (r < 0)
                        return r;
                for (uint32_t i = 0; i < n; i++) {
                        r = function(s, nodes + i, userdata);
                        if (r < 0)
                                return r;
                }
        } while (n == NODES_PER_CALL);

        return 0;
}

/* What one pass over all nodes finds out. */
typedef struct Pass {
        KnownNode *known; /* takes the place of what the store knew before */
        size_t n, allocated;
        const char *owner; /* whose nodes are counted, or NULL */
        uint64_t except_id;
        Usage usage;
} Pass;

static void add(uint64_t *sum, uint64_t n) {
        if (!inc_u64(sum, n))
                *sum = UINT64_MAX;
}

static void use(Pass *pass, const char *owner, uint64_t bytes) {
        add(&pass->usage.total_bytes, bytes);
        pass->usage.total_nodes++;
        if (pass->owner && streq(owner, pass->owner)) {
                add(&pass->usage.owner_bytes, bytes);
                pass->usage.owner_nodes++;
        }
}

static int pass_node(Store *s, const struct pkram_node_info *info, void *userdata) {
        Pass *pass = userdata;
        KnownNode known;
        int r;

        r = store_know(s, info, &known);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;

        r = GREEDY_REALLOC(pass->known, pass->allocated, pass->n + 1);
        if (r < 0)
                return r;
        pass->known[pass->n++] = known;

        if (info->id != pass->except_id)
                use(pass, known.owner, store_pages_to_bytes(info->data_pages));
        return 0;
}

static int pass_over_nodes(Store *s, Pass *pass) {
        int r;

        r = for_each_node(s, pass_node, pass);
        if (r < 0) {
                free(pass->known);
                return r;
        }

        free(s->known);
        s->known = pass->known;
        s->n_known = pass->n;
        s->known_allocated = pass->allocated;
        return 0;
}

int store_refresh(Store *s) {
        Pass pass = {};

        return pass_over_nodes(s, &pass);
}

int store_usage(
                Store *s,
                const char *owner,
                uint64_t except_id,
                const StoreSave *except,
                Usage *ret,
                StoreError *reterr_error) {

        Pass pass = { .owner = owner, .except_id = except_id };
        int r;

        r = pass_over_nodes(s, &pass);
        if (r < 0)
                return store_error_device(reterr_error, r);

        for (const StoreSave *i = s->saves; i; i = i->next)
                if (i != except)
                        use(&pass, i->peer.owner, i->bytes);

        *ret = pass.usage;
        return 0;
}

int store_stat_node(Store *s, uint64_t id, struct pkram_node_info *ret) {
        uint64_t cursor = id - 1;
        uint32_t n;
        int r;

        r = pkram_device_list(&s->device, /* flags= */ 0, &cursor, ret, 1, &n);
        if (r < 0)
                return r;
        return n == 1 && ret->id == id ? 0 : -ENOENT;
}

static int open_pinned(
                Store *s,
                const Peer *peer,
                const char *name,
                bool damaged_is_fine,
                PkramHandle *h,
                StoreNode *node,
                bool *managed,
                Manifest *m,
                StoreError *reterr_error) {

        KnownNode known = { .owner = OWNER_KERNEL };
        uint64_t id;
        int r;

        r = pkram_load_begin(&s->device, name, h, &id);
        if (r >= 0)
                r = store_stat_node(s, id, &node->info);
        if (r == -ENOENT)
                return store_error_set(reterr_error, r, STORE_ERROR_NO_SUCH_NODE, name, NULL);
        if (r < 0)
                return store_error_device(reterr_error, r);

        /* That we are looking at it is nothing to tell anybody. */
        node->info.flags &= ~PKRAM_NODE_BUSY;

        r = read_manifest(h, &node->info, m, &known);
        if (r < 0 && !is_unowned(r))
                return store_error_device(reterr_error, r);
        *managed = r >= 0;

        if (store_node_complete(node, &known) < 0)
                return store_error_device(reterr_error, -ENOMEM);

        if (!peer_may(peer, node->owner))
                return store_error_set(reterr_error, -EACCES, STORE_ERROR_PERMISSION_DENIED, name, NULL);

        if (!damaged_is_fine && r == -EBADMSG)
                return store_damaged(reterr_error, name, "The list of its objects cannot be read");
        if (!damaged_is_fine && r == -EPROTONOSUPPORT)
                return store_error_set(reterr_error, r, STORE_ERROR_NODE_VERSION, name,
                                       "The node was stored by a later version of pkramd. Update pkramd.");
        return 0;
}

int store_open(
                Store *s,
                const Peer *peer,
                const char *name,
                bool damaged_is_fine,
                PkramHandle *ret_handle,
                StoreNode *ret_node,
                bool *ret_managed,
                Manifest *ret_manifest,
                StoreError *reterr_error) {

        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        _cleanup_manifest_ Manifest m = {};
        _cleanup_node_ StoreNode node = {};
        bool managed = false;
        int r;

        r = name_validate(name, reterr_error);
        if (r < 0)
                return r;

        r = open_pinned(s, peer, name, damaged_is_fine, &h, &node, &managed, &m, reterr_error);
        if (r < 0)
                return r;

        *ret_handle = h;
        h = PKRAM_HANDLE_NONE;
        *ret_node = node;
        node = (StoreNode) {};
        *ret_managed = managed;
        *ret_manifest = m;
        m = (Manifest) {};
        return 0;
}

int store_read_checksums(
                PkramHandle *h, const char *name, const Manifest *m, Checksums *ret, StoreError *reterr_error) {

        _cleanup_checksums_ Checksums sums = {};
        _cleanup_(checksum_freep) Checksum *sum = NULL;
        _cleanup_free_ void *text = NULL, *manifest = NULL;
        size_t size, manifest_size;
        char hex[CHECKSUM_HEX_LENGTH + 1];
        int r;

        r = pkram_load_bytes(h, manifest_checksum_object(m), MANIFEST_BYTES_MAX, &text, &size);
        if (r >= 0)
                r = checksums_parse(text, size, m->n_objects, &sums);
        if (r == -EBADMSG || r == -EFBIG || r == -ENODATA || r == -EINVAL)
                return store_damaged(reterr_error, name, "Its checksums cannot be read");
        if (r < 0)
                return store_error_device(reterr_error, r);

        r = pkram_load_bytes(h, 0, MANIFEST_BYTES_MAX, &manifest, &manifest_size);
        if (r >= 0)
                r = checksum_new(manifest_size, &sum);
        if (r < 0)
                return store_error_device(reterr_error, r);

        checksum_data(sum, manifest, manifest_size);
        checksum_final(sum, hex);
        if (!streq(hex, sums.manifest))
                return store_damaged(reterr_error, name, "The list of its objects does not match its checksum");

        *ret = sums;
        sums = (Checksums) {};
        return 0;
}
