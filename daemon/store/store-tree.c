/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The daemon's part of storing and restoring trees: everything but the files. */
#include "name.h"
#include "store-internal.h"

int store_save_new_tree(
                Store *s,
                const Peer *peer,
                const char *owner,
                const char *name,
                StoreFlags flags,
                StoreSave **ret,
                StoreError *reterr_error) {

        _cleanup_(store_save_freep) StoreSave *save = NULL;
        int r;

        assert(s);
        assert(peer);
        assert(ret);

        r = name_validate(name, reterr_error);
        if (r >= 0)
                r = store_save_check_place(s, flags, reterr_error);
        if (r >= 0)
                r = store_save_start(s, peer, owner, name, flags, /* n_objects= */ 0, &save, reterr_error);
        if (r < 0)
                return r;

        save->is_tree = true;
        r = store_save_check_existing(save, reterr_error);
        if (r >= 0)
                r = store_usage(s, save->peer.owner, save->replaces, save, &save->usage, reterr_error);
        if (r >= 0)
                r = store_save_check_quota(save, &save->usage, /* more= */ 0, reterr_error);
        if (r < 0)
                return r;

        r = pkram_save_begin(&s->device, save->kernel_name.text, &save->handle);
        if (r < 0)
                return store_error_device(reterr_error, r);
        r = store_save_manifest(save, /* items= */ NULL, reterr_error);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(save);
        return 0;
}

const char *store_save_owner(const StoreSave *save) {
        return save->peer.owner;
}

int store_save_session(const StoreSave *save) {
        return save->handle.fd;
}

const Usage *store_save_usage(const StoreSave *save) {
        return &save->usage;
}

int store_save_take_tree(
                StoreSave *save,
                uint64_t bytes,
                uint64_t meta_bytes,
                uint64_t size,
                Checksums *sums,
                StoreError *reterr_error) {

        Usage usage;
        int r;

        assert(save->is_tree);

        store_save_add_bytes(save, bytes);
        save->meta_pages += meta_bytes / 4096;
        store_save_add_size(save, size);
        save->n_objects = sums->n_objects;
        memcpy(sums->manifest, save->checksums.manifest, sizeof(sums->manifest));
        checksums_done(&save->checksums);
        save->checksums = *sums;
        *sums = (Checksums) {};

        /* Others may have stored something since the beginning. */
        r = store_usage(save->store, save->peer.owner, save->replaces, save, &usage, reterr_error);
        return r < 0 ? r : store_save_check_quota(save, &usage, /* more= */ 0, reterr_error);
}

void store_tree_done(StoreTree *t) {
        pkram_handle_done(&t->handle);
        store_node_done(&t->node);
}

int store_tree_open(
                Store *s,
                const Peer *peer,
                const char *owner,
                const char *name,
                StoreTree *ret,
                StoreError *reterr_error) {

        _cleanup_(store_tree_done) StoreTree t = { .handle = PKRAM_HANDLE_NONE };
        _cleanup_manifest_ Manifest m = {};
        bool managed;
        int r;

        assert(s);
        assert(peer);
        assert(ret);

        r = store_open(s, peer, owner, name, /* damaged_is_fine= */ false, &t.handle, &t.node, &managed, &m,
                       reterr_error);
        if (r < 0)
                return r;
        if (!m.tree)
                return store_error_set(reterr_error, -ENOTDIR, STORE_ERROR_WRONG_KIND, name,
                                       "The node is not a directory tree. Retrieve its objects with Retrieve or "
                                       "'pkramctl retrieve'.");

        t.verify = m.verify;
        *ret = t;
        t = (StoreTree) { .handle = PKRAM_HANDLE_NONE };
        return 0;
}
