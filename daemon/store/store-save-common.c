/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What saving objects and saving a tree have in common. */
#include <stdio.h>
#include <sys/utsname.h>

#include "closer.h"
#include "device-disk.h"
#include "fdstore-node.h"
#include "store-internal.h"
#include "system-node.h"

StoreSave *store_save_free(StoreSave *save) {
        if (!save)
                return NULL;

        if (save->previous)
                save->previous->next = save->next;
        else if (save->store->saves == save)
                save->store->saves = save->next;
        if (save->next)
                save->next->previous = save->previous;

        /* Closing the descriptor is what discards a half-done node. */
        pkram_handle_done(&save->handle);
        closer_close(/* budget= */ NULL, save->fd);
        free(save->sizes);
        free(save->name);
        checksums_done(&save->checksums);
        checksum_free(save->checksum);
        if (save->tree)
                save->tree_free(save->tree);
        peer_done(&save->peer);
        free(save);
        return NULL;
}

/* Returns true if the name is one that pkram-fdstore uses for the peer. */
static bool peer_may_store_reserved(const Peer *peer, const char *owner, const char *name) {
        const char *unit;
        KernelName node;

        if (peer->uid == 0)
                return startswith(name, FDSTORE_NODE);
        return owner_is_user(owner) && fdstore_user_node_parse(name, &node, &unit);
}

int store_save_start(
                Store *s,
                const Peer *peer,
                const char *owner,
                const char *name,
                StoreFlags flags,
                size_t n_objects,
                StoreSave **ret,
                StoreError *e) {

        _cleanup_(store_save_freep) StoreSave *save = NULL;
        int r;

        r = store_check_owner(peer, &owner, e);
        if (r < 0)
                return r;
        if (streq(owner, OWNER_KERNEL))
                return store_error_set(e, -EINVAL, STORE_ERROR_INVALID_PARAMETER, "owner", NULL);
        if (startswith(name, SYSTEM_NODE_PREFIX) && !peer_may_store_reserved(peer, owner, name))
                return store_error_set(e, -EINVAL, STORE_ERROR_INVALID_NAME, name,
                                       "Invalid name: names that begin with '"
                                       SYSTEM_NODE_PREFIX "' are reserved.");

        save = malloc(sizeof(StoreSave));
        if (!save)
                return store_error_device(e, -ENOMEM);
        *save = (StoreSave) {
                .store = s,
                .flags = flags,
                .handle = PKRAM_HANDLE_NONE,
                .fd = -EBADF,
                .n_objects = n_objects,
                .kernel_name = node_name_encode(owner, name),
                .next = s->saves,
        };
        if (s->saves)
                s->saves->previous = save;
        s->saves = save;

        save->peer = (Peer) { .uid = peer->uid, .gid = peer->gid, .pid = peer->pid, .pidfd = -EBADF,
                              .owner = strdup(owner) };
        save->name = strdup(name);
        if (!save->peer.owner || !save->name || checksums_init(&save->checksums, n_objects) < 0)
                return store_error_device(e, -ENOMEM);

        *ret = TAKE_PTR(save);
        return 0;
}

void store_save_add_bytes(StoreSave *save, uint64_t n) {
        if (!inc_u64(&save->bytes, n))
                save->bytes = UINT64_MAX;
}

void store_save_add_stream(StoreSave *save, uint64_t n) {
        store_save_add_bytes(save, n);
        save->meta_pages += n > 0;
}

uint64_t store_save_memory(const StoreSave *save) {
        uint64_t objects = 1 + (uint64_t) save->n_objects + (save->flags & STORE_VERIFY ? 1 : 0), sum = save->bytes;
        uint64_t pages = 1 + save->meta_pages;

        if (objects > OBJECTS_IN_NODE)
                pages += (objects - OBJECTS_IN_NODE + OBJECTS_PER_PAGE - 1) / OBJECTS_PER_PAGE;
        return inc_u64(&sum, store_pages_to_bytes(pages)) ? sum : UINT64_MAX;
}

void store_save_add_size(StoreSave *save, uint64_t n) {
        if (!inc_u64(&save->size, n))
                save->size = UINT64_MAX;
}

int store_check_limit(const Store *s, LimitId id, uint64_t current, uint64_t requested, StoreError *e) {
        uint64_t needed;

        if (!limit_exceeded(s->config->limit[id], current, requested, &needed))
                return 0;
        return store_error_quota(e, limit_name(id), current, requested, s->config->limit[id]);
}

int store_save_check_place(Store *s, StoreFlags flags, StoreError *e) {
        struct pkram_ioctl_info info;

        /* Without a device, the calls that follow fail for that reason. */
        if (store_flags_persist(flags) != PERSIST_NEVER || pkram_device_info(&s->device, &info) < 0 ||
            !(info.flags & DISK_INFO_FLAG))
                return 0;
        return store_error_set(e, -EOPNOTSUPP, STORE_ERROR_NOT_PRESERVABLE, NULL,
                               "With persist=0 it must not be written to disk, but this kernel has no PKRAM, and "
                               "nodes are kept on disk. Boot a kernel with PKRAM, or store it without persist=0.");
}

int store_save_check_quota(const StoreSave *save, const Usage *u, uint64_t more, StoreError *e) {
        Store *s = save->store;
        bool user = owner_is_user(save->peer.owner);
        uint64_t bytes = store_save_memory(save);
        int r;

        if (!inc_u64(&bytes, more))
                bytes = UINT64_MAX;
        r = store_check_limit(s, LIMIT_NODE_BYTES, 0, bytes, e);
        if (r >= 0)
                r = store_check_limit(s, LIMIT_TOTAL_BYTES, u->total_bytes, bytes, e);
        if (r >= 0)
                r = store_check_limit(s, LIMIT_OWNER_BYTES, u->owner_bytes, bytes, e);
        if (r >= 0 && user)
                r = store_check_limit(s, LIMIT_USER_BYTES, u->owner_bytes, bytes, e);
        if (r >= 0)
                r = store_check_limit(s, LIMIT_NODES, u->total_nodes, 1, e);
        if (r >= 0)
                r = store_check_limit(s, LIMIT_OWNER_NODES, u->owner_nodes, 1, e);
        if (r >= 0 && user)
                r = store_check_limit(s, LIMIT_USER_NODES, u->owner_nodes, 1, e);
        return r;
}

/* May the name be used? Finds out which node goes, if one does. */
int store_save_check_existing(StoreSave *save, StoreError *e) {
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        _cleanup_manifest_ Manifest m = {};
        _cleanup_node_ StoreNode node = {};
        _cleanup_error_ StoreError error = {};
        bool managed;
        int r;

        save->replaces = 0;
        r = store_open(save->store, &save->peer, save->peer.owner, save->name, /* damaged_is_fine= */ true, &h, &node,
                       &managed, &m, &error);
        if (r == -ENOENT)
                return 0;

        if (r >= 0 && !(save->flags & STORE_REPLACE))
                return store_error_set(e, -EEXIST, STORE_ERROR_NODE_EXISTS, save->name, NULL);
        if (r < 0) {
                if (e && e->kind == STORE_ERROR_NONE) {
                        *e = error;
                        error = (StoreError) {};
                }
                return r;
        }

        save->replaces = node.info.id;
        (void) snprintf(save->replaced_name.text, sizeof(save->replaced_name.text), "%s", node.info.name);
        if (save->handle.fd < 0)
                save->kernel_name = save->replaced_name;
        return 0;
}

const char *store_save_file_reason(int r) {
        switch (r) {
        case -EBUSY:
                return "it is mapped shared and writable, pinned for DMA, already stored, or was changed while it was "
                        "copied; unmap it everywhere and stop writing to it, or store a copy";
        case -EHWPOISON:
                return "the hardware lost a part of it; store it again from its source";
        case -EINVAL:
        case -EOPNOTSUPP:
                return "it is not a file in memory that can be frozen; copy it into a memfd (memfd_create(2)) "
                        "and store that";
        case -EBADF:
                return "its descriptor cannot be read from; open the file for reading and writing";
        case -EFBIG:
                return "the node has too many objects";
        default:
                return NULL;
        }
}

int store_save_bytes(StoreSave *save, const void *data, size_t size, StoreError *e) {
        int r;

        r = pkram_save_bytes(&save->handle, data, size, /* ret_object= */ NULL);
        if (r == -ENOSPC)
                return store_error_quota(e, STORE_LIMIT_NEXT_KERNEL, save->bytes, size, UINT64_MAX);
        if (r < 0)
                return store_error_device(e, r);

        store_save_add_stream(save, (size + 4095) / 4096 * 4096);
        return 0;
}

int store_sum_data(const void *data, size_t size, char ret[CHECKSUM_HEX_LENGTH + 1]) {
        _cleanup_(checksum_freep) Checksum *sum = NULL;
        int r;

        r = checksum_new(size, &sum);
        if (r < 0)
                return r;
        checksum_data(sum, data, size);
        checksum_final(sum, ret);
        return 0;
}

/* The names are borrowed, the attributes are not. The last element has no kind of object. */
static void manifest_objects_freep(ManifestObject **objects) {
        for (ManifestObject *o = *objects; o && o->kind < _OBJECT_KIND_MAX; o++)
                object_attributes_done(&o->attributes);
        free(*objects);
}

static int manifest_objects_new(const StoreItem *items, size_t n, ManifestObject **ret, StoreError *e) {
        _cleanup_(manifest_objects_freep) ManifestObject *objects = calloc(n + 1, sizeof(ManifestObject));
        size_t size = 0;

        if (!objects)
                return store_error_device(e, -ENOMEM);
        for (size_t i = 0; i < n; i++) {
                const char *reason = NULL;
                int r = 0;

                objects[i] = (ManifestObject) {
                        .name = (char *) items[i].name,
                        .kind = items[i].fd < 0 ? OBJECT_DATA : OBJECT_FILE,
                };
                objects[i + 1].kind = _OBJECT_KIND_MAX;
                if (items[i].fd >= 0)
                        r = object_attributes_read(items[i].fd, &objects[i].attributes, &reason);
                size += objects[i].attributes.xattrs_size;
                /* All of them are in memory at once, and have to be readable later. */
                if (r >= 0 && size > MANIFEST_XATTRS_MAX) {
                        reason = "the extended attributes of all objects take more than 16 MiB";
                        r = -EOPNOTSUPP;
                }
                if (r < 0 && reason)
                        return store_error_set(e, r, STORE_ERROR_NOT_PRESERVABLE, NULL,
                                               "Object %zu cannot be preserved: %s.", i, reason);
                if (r < 0)
                        return store_error_device(e, r);
        }
        objects[n].kind = _OBJECT_KIND_MAX;

        *ret = TAKE_PTR(objects);
        return 0;
}

int store_save_manifest(StoreSave *save, const StoreItem *items, StoreError *e) {
        _cleanup_(manifest_objects_freep) ManifestObject *objects = NULL;
        _cleanup_free_ char *text = NULL;
        struct utsname u;
        size_t size;
        int r;

        if (uname(&u) < 0)
                return -errno;

        /* What is in a tree is not known yet; its table comes last. */
        r = manifest_objects_new(items, save->n_objects, &objects, e);
        if (r < 0)
                return r;

        Manifest m = {
                .owner = save->peer.owner,
                .name = node_name_is_encoded(save->kernel_name.text) ? save->name : NULL,
                .kernel = u.release,
                .uid = save->peer.uid,
                .verify = save->flags & STORE_VERIFY,
                .persist = store_flags_persist(save->flags),
                .tree = save->is_tree,
                .objects = objects,
                .n_objects = save->n_objects,
        };
        r = manifest_format(&m, &text, &size);
        if (r >= 0 && m.verify)
                r = store_sum_data(text, size, save->checksums.manifest);
        if (r < 0)
                return store_error_device(e, r);

        return store_save_bytes(save, text, size, e);
}
