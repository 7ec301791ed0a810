/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <search.h>

#include "device-places.h"
#include "disk-io.h"
#include "store-internal.h"
#include "system-node.h"
#include "name.h"
#include "node-name.h"
#include "watchdog.h"

static int compare_owners(const void *a, const void *b) {
        return strcmp(((const KnownOwner *) a)->name, ((const KnownOwner *) b)->name);
}

static void owner_free(void *p) {
        KnownOwner *o = p;

        free(o->name);
        free(o);
}

/* Returns a new reference to an owner, or NULL if there is not enough memory. */
static KnownOwner *owner_ref(Store *s, const char *name) {
        KnownOwner key = { .name = (char *) name }, **found, *o;

        found = tfind(&key, &s->owners, compare_owners);
        if (found) {
                (*found)->n_refs++;
                return *found;
        }

        o = malloc(sizeof(KnownOwner));
        if (!o)
                return NULL;
        *o = (KnownOwner) { .name = strdup(name), .n_refs = 1 };
        if (!o->name || !tsearch(o, &s->owners, compare_owners)) {
                owner_free(o);
                return NULL;
        }
        s->n_owners++;
        return o;
}

static void owner_unref(Store *s, KnownOwner *o) {
        if (!o || --o->n_refs > 0)
                return;

        (void) tdelete(o, &s->owners, compare_owners);
        s->n_owners--;
        owner_free(o);
}

void known_node_done(Store *s, KnownNode *known) {
        owner_unref(s, known->owner);
        free(known->name);
        *known = (KnownNode) {};
}

static void known_nodes_free(Store *s, KnownNode *known, size_t n) {
        for (size_t i = 0; i < n; i++)
                known_node_done(s, known + i);
        free(known);
}

int store_new(const PkramDevice *device, const Config *config, Store **ret) {
        Store *s;

        assert(device);
        assert(config);
        assert(ret);

        s = malloc(sizeof(Store));
        if (!s)
                return -ENOMEM;

        *s = (Store) { .device = *device, .config = config };
        /* The time that copying to or from a disk takes is not known in advance, so each step pings the watchdog. */
        disk_io_alive = watchdog_ping;
        *ret = s;
        return 0;
}

Store *store_free(Store *s) {
        if (!s)
                return NULL;

        assert(!s->saves);
        known_nodes_free(s, s->known, s->n_known);
        assert(s->n_owners == 0);
        tdestroy(s->owners, owner_free);
        free(s);
        return NULL;
}

const PkramDevice *store_device(const Store *s) {
        return &s->device;
}

int store_damaged(StoreError *e, const char *name, const char *reason) {
        return store_error_set(e, -EBADMSG, STORE_ERROR_NODE_DAMAGED, name,
                               "%s. Remove the node and store it again from its source.", reason);
}

int store_info(Store *s, struct pkram_ioctl_info *ret, StoreError *reterr_error) {
        int r;

        r = pkram_device_info(&s->device, ret);
        return r < 0 ? store_error_device(reterr_error, r == -ENOENT ? -ENODEV : r) : 0;
}

int store_info_of_clients(Store *s, struct pkram_ioctl_info *ret, StoreError *reterr_error) {
        static const char *const names[] = { SYSTEM_NODE_RECORD, SYSTEM_NODE_LOG };
        int r;

        r = store_info(s, ret, reterr_error);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
                struct pkram_ioctl_stat st;

                if (pkram_load_begin(&s->device, names[i], &h, /* ret_id= */ NULL) < 0 ||
                    pkram_load_stat(&h, 0, &st) < 0)
                        continue;
                ret->nr_nodes -= MIN(ret->nr_nodes, 1U);
                ret->data_pages -= MIN(ret->data_pages, (st.data_bytes + 4095) / 4096);
        }
        return 0;
}

int store_check_owner(const Peer *peer, const char **owner, StoreError *e) {
        if (!*owner || streq(*owner, peer->owner)) {
                *owner = peer->owner;
                return 0;
        }
        if (peer->uid != 0)
                return store_error_set(e, -EACCES, STORE_ERROR_PERMISSION_DENIED, NULL, NULL);

        if (streq(*owner, "uid:0"))
                *owner = OWNER_ROOT;
        if (!owner_is_valid(*owner))
                return store_error_set(e, -EINVAL, STORE_ERROR_INVALID_PARAMETER, "owner", NULL);
        return 0;
}

void store_node_done(StoreNode *n) {
        free(n->owner);
        free(n->name);
        *n = (StoreNode) {};
}

uint64_t store_pages_to_bytes(uint64_t pages) {
        uint64_t bytes;

        return __builtin_mul_overflow(pages, UINT64_C(4096), &bytes) ? UINT64_MAX : bytes;
}

int store_node_complete(StoreNode *node, const KnownNode *known) {
        const struct pkram_node_info *i = &node->info;

        node->owner = strdup(known->owner->name);
        if (!node->owner)
                return -ENOMEM;

        node->objects = i->nr_objects - MIN(known->own_objects, i->nr_objects);
        node->bytes = i->file_bytes;
        if (!inc_u64(&node->bytes, i->data_bytes - MIN(known->own_bytes, i->data_bytes)))
                node->bytes = UINT64_MAX;
        node->persist = known->persist;
        return 0;
}

int store_node_set_name(StoreNode *node, const KnownNode *known) {
        KernelName owner, name;

        if (known->name)
                node->name = strdup(known->name);
        else if (!streq(known->owner->name, OWNER_KERNEL) && node_name_decode(node->info.name, &owner, &name))
                node->name = strdup(name.text);
        else
                node->name = name_sanitize(node->info.name);
        return node->name ? 0 : -ENOMEM;
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

/* Returns true if the error means that the manifest is unreadable. Then only the kernel name of the node is known. */
static bool is_unreadable(int r) {
        return r == -ENOMSG || r == -EBADMSG || r == -EPROTONOSUPPORT || r == -EIO;
}

/*
 * Trees of mount.pkram belong to root. Before names had owners, such trees belonged to the units that run mount.pkram
 * and umount.pkram. Nothing else runs in these units.
 */
static bool is_old_tree_of_root(const Manifest *m) {
        const char *suffix = strrchr(m->owner, '.');

        return m->tree && m->uid == 0 && suffix &&
                (streq(suffix, ".mount") || (startswith(m->owner, "pkram-tree@") && streq(suffix, ".service")));
}

/* Gets owner and name from a manifest, and checks that they match the kernel name of the node. */
static int manifest_identify(const Manifest *m, const char *kernel_name, const char **ret_owner,
                             const char **ret_name) {
        if (!owner_is_valid(m->owner) && !streq(m->owner, "uid:0"))
                return -EBADMSG;

        if (m->name) {
                KernelName encoded = node_name_encode(m->owner, m->name);

                if (!streq(encoded.text, kernel_name))
                        return -EBADMSG;
        } else if (node_name_is_encoded(kernel_name))
                return -EBADMSG;

        *ret_owner = streq(m->owner, "uid:0") || (!m->name && is_old_tree_of_root(m)) ? OWNER_ROOT : m->owner;
        *ret_name = m->name ?: kernel_name;
        return 0;
}

/*
 * Reads the manifest of an open node. *ret_known is valid even if the manifest is unreadable: then the node belongs to
 * the owner in its kernel name, or to the kernel if the kernel name has no owner. Returns -ENOMSG if the node has no
 * manifest and its kernel name does not require one.
 */
static int read_manifest(Store *s, PkramHandle *h, const struct pkram_node_info *info, Manifest *ret,
                         KnownNode *ret_known) {
        const char *owner = OWNER_KERNEL, *name = NULL;
        _cleanup_manifest_ Manifest m = {};
        struct pkram_ioctl_stat sums = {};
        KnownNode known = { .id = info->id, .persist = PERSIST_NEVER };
        KernelName kernel_owner, kernel_name;
        size_t size = 0;
        int r;

        r = store_read_manifest(h, info->nr_objects, &m, &size);
        if (r >= 0)
                r = manifest_identify(&m, info->name, &owner, &name);
        if (r >= 0 && m.verify)
                r = pkram_load_stat(h, manifest_checksum_object(&m), &sums);
        if (r < 0 && !is_unreadable(r))
                return r;

        if (r < 0 && node_name_is_encoded(info->name)) {
                if (r == -ENOMSG)
                        r = -EBADMSG;
                if (node_name_decode(info->name, &kernel_owner, &kernel_name))
                        owner = kernel_owner.text;
        }
        if (r >= 0) {
                known.own_objects = 1 + m.verify;
                known.own_bytes = size + sums.data_bytes;
                known.persist = m.persist;
        }

        /* The other forms of a kernel name contain the full name. */
        if (r >= 0 && m.name && !node_name_decode(info->name, &kernel_owner, &kernel_name)) {
                known.name = strdup(name);
                if (!known.name)
                        return -ENOMEM;
        }
        known.owner = owner_ref(s, owner);
        if (!known.owner) {
                free(known.name);
                return -ENOMEM;
        }

        *ret_known = known;
        if (r >= 0) {
                *ret = m;
                m = (Manifest) {};
        }
        return r;
}

/* Reads the manifest of a listed node. Leaves the session open for the next node, but closes it on failure. */
static int known_read(Store *s, PkramHandle *session, const struct pkram_node_info *info, KnownNode *ret) {
        _cleanup_manifest_ Manifest m = {};
        uint64_t id;
        int r;

        r = pkram_load_next(&s->device, session, info->name, &id);
        /* The device stops listing a file on disk when it notices that the file cannot be read. */
        if (r == -EIO && node_is_on_disk(info->id))
                return -ENOENT;
        if (r < 0)
                return r;

        r = id == info->id ? read_manifest(s, session, info, &m, ret) : -ENOENT;
        if (is_unreadable(r))
                r = 0;
        if (r >= 0) {
                r = pkram_load_end(session);
                if (r < 0)
                        known_node_done(s, ret);
        }
        if (r < 0)
                pkram_handle_done(session);
        return r;
}

static int compare_known(const void *a, const void *b) {
        uint64_t x = ((const KnownNode *) a)->id, y = ((const KnownNode *) b)->id;

        return (x > y) - (x < y);
}

static KnownNode *known_find(const Store *s, uint64_t id) {
        KnownNode key = { .id = id };

        return s->n_known > 0 ? bsearch(&key, s->known, s->n_known, sizeof(KnownNode), compare_known) : NULL;
}

/* Caches a node, so that its manifest is read only once. Caches the node only if it is newer than all cached nodes,
 * which is the usual case. */
static int known_append(Store *s, PkramHandle *session, const struct pkram_node_info *info) {
        int r;

        if (s->n_known > 0 && s->known[s->n_known - 1].id > info->id)
                return 0;
        r = GREEDY_REALLOC(s->known, s->known_allocated, s->n_known + 1);
        if (r < 0)
                return r;
        r = known_read(s, session, info, s->known + s->n_known);
        if (r < 0)
                return r;
        s->n_known++;
        return 0;
}

int store_know(Store *s, PkramHandle *session, const struct pkram_node_info *info, KnownNode *ret) {
        KnownNode *known, copy;
        int r;

        known = known_find(s, info->id);
        if (!known) {
                r = known_append(s, session, info);
                if (r < 0)
                        return r;
                known = known_find(s, info->id);
        }
        if (!known)
                return known_read(s, session, info, ret);

        copy = *known;
        if (known->name) {
                copy.name = strdup(known->name);
                if (!copy.name)
                        return -ENOMEM;
        }
        copy.owner->n_refs++;
        *ret = copy;
        return 0;
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

/* The result of one pass over all nodes. */
typedef struct Pass {
        PkramHandle session; /* for reading manifests */
        KnownNode *known;    /* replaces the cache of the store */
        size_t n, allocated;
        const char *owner; /* whose nodes are counted, or NULL */
        uint64_t except_id;
        Usage usage;
} Pass;

static void store_add_node(uint64_t *sum, uint64_t n) {
        if (!inc_u64(sum, n))
                *sum = UINT64_MAX;
}

static void store_use(Pass *pass, const char *owner, uint64_t bytes) {
        store_add_node(&pass->usage.total_bytes, bytes);
        pass->usage.total_nodes++;
        if (pass->owner && streq(owner, pass->owner)) {
                store_add_node(&pass->usage.owner_bytes, bytes);
                pass->usage.owner_nodes++;
        }
}

static int pass_node(Store *s, const struct pkram_node_info *info, void *userdata) {
        Pass *pass = userdata;
        KnownNode known;
        int r;

        if (system_node_name(info->name))
                return 0;
        r = store_know(s, &pass->session, info, &known);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;

        r = GREEDY_REALLOC(pass->known, pass->allocated, pass->n + 1);
        if (r < 0) {
                known_node_done(s, &known);
                return r;
        }
        pass->known[pass->n++] = known;

        if (info->id != pass->except_id) {
                uint64_t bytes = store_pages_to_bytes(info->data_pages);

                store_add_node(&bytes, store_pages_to_bytes(info->meta_pages));
                store_use(pass, known.owner->name, bytes);
        }
        return 0;
}

static int pass_over_nodes(Store *s, Pass *pass) {
        int r;

        pass->session = PKRAM_HANDLE_NONE;
        r = for_each_node(s, pass_node, pass);
        pkram_handle_done(&pass->session);
        if (r < 0) {
                known_nodes_free(s, pass->known, pass->n);
                return r;
        }

        known_nodes_free(s, s->known, s->n_known);
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
                        store_use(&pass, i->peer.owner, MAX(i->expected, store_save_memory(i)));

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

int store_has_node(Store *s, uint64_t id) {
        struct pkram_node_info info;
        int r;

        r = store_stat_node(s, id, &info);
        return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

/*
 * Pins the node with this kernel name, which is either the name itself or derived from owner and name. Checks that the
 * node has this owner and name. *ret_manifest_error is the result of read_manifest(). Returns -ENOENT if the node has
 * another owner or name.
 */
static int open_candidate(
                Store *s,
                const char *kernel_name,
                const char *owner,
                const char *name,
                PkramHandle *ret_handle,
                StoreNode *ret_node,
                int *ret_manifest_error,
                Manifest *ret_manifest) {

        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        _cleanup_manifest_ Manifest m = {};
        _cleanup_node_ StoreNode node = {};
        KnownNode known;
        uint64_t id;
        int r, k;

        r = pkram_load_begin(&s->device, kernel_name, &h, &id);
        if (r >= 0)
                r = store_stat_node(s, id, &node.info);
        if (r < 0)
                return r;

        /* Do not report that our own session has it open. */
        node.info.flags &= ~PKRAM_NODE_BUSY;

        r = read_manifest(s, &h, &node.info, &m, &known);
        if (r < 0 && !is_unreadable(r))
                return r;

        /* Without a manifest, only the hashes in the kernel name identify the owner, and they match. */
        bool same = r < 0 && kernel_name != name && streq(known.owner->name, OWNER_KERNEL);
        same = same || (streq(known.owner->name, owner) && streq(m.name ?: name, name));
        k = store_node_complete(&node, &known);
        known_node_done(s, &known);
        if (k < 0)
                return k;
        if (!same)
                return -ENOENT;

        free(node.owner);
        node.owner = strdup(owner);
        node.name = strdup(name);
        if (!node.owner || !node.name)
                return -ENOMEM;

        *ret_handle = h;
        h = PKRAM_HANDLE_NONE;
        *ret_node = node;
        node = (StoreNode) {};
        *ret_manifest_error = r;
        *ret_manifest = m;
        m = (Manifest) {};
        return 0;
}

int store_open(
                Store *s,
                const Peer *peer,
                const char *owner,
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
        KernelName encoded;
        int r, manifest_error = 0;

        r = store_check_owner(peer, &owner, reterr_error);
        if (r < 0)
                return r;
        r = name_validate(name, reterr_error);
        if (r < 0)
                return r;

        r = -ENOENT;
        if (!streq(owner, OWNER_KERNEL)) {
                encoded = node_name_encode(owner, name);
                r = open_candidate(s, encoded.text, owner, name, &h, &node, &manifest_error, &m);
        }
        /* Nodes of the kernel, and nodes stored when names had no owners, have their name as the kernel name. */
        if (r == -ENOENT)
                r = open_candidate(s, name, owner, name, &h, &node, &manifest_error, &m);
        if (r == -ENOENT)
                return store_error_set(reterr_error, r, STORE_ERROR_NO_SUCH_NODE, name, NULL);
        if (r < 0)
                return store_error_device(reterr_error, r);

        if (!damaged_is_fine && manifest_error == -EIO)
                return store_error_device(reterr_error, manifest_error);
        if (!damaged_is_fine && manifest_error == -EBADMSG)
                return store_damaged(reterr_error, name, "The list of its objects cannot be read");
        if (!damaged_is_fine && manifest_error == -EPROTONOSUPPORT)
                return store_error_set(reterr_error, manifest_error, STORE_ERROR_NODE_VERSION, name,
                                       "The node was stored by a later version of pkramd. Update pkramd.");

        *ret_handle = h;
        h = PKRAM_HANDLE_NONE;
        *ret_node = node;
        node = (StoreNode) {};
        *ret_managed = manifest_error >= 0;
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
