/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Storing what is in a directory. The tree is walked through once, with a list of
 * what remains to do for each directory of the path, so that the tree may be deep.
 */
#include <search.h>
#include <sys/statvfs.h>

#include "tree-place.h"
#include "tree-save.h"

/* Entries looked at, and bytes saved, before others get their turn. */
#define ENTRIES_PER_STEP 256U
#define BYTES_PER_STEP MIB(256)

static TreeSave *tree_save_free(TreeSave *t) {
        if (!t)
                return NULL;

        for (size_t i = 0; i < t->n_levels; i++)
                tree_level_done(t->levels + i);
        free(t->levels);
        tdestroy(t->links, free);
        tree_table_done(&t->table);
        free(t->chunk);
        safe_close(t->fd);
        free(t);
        return NULL;
}

static int save_sum_step(StoreSave *save, StoreError *e) {
        TreeSave *t = save->tree;
        int r;

        r = checksum_file_step(save->checksum, t->fd, /* may_seek= */ true, VERIFY_SLICE);
        if (r < 0)
                return store_error_device(e, r);
        if (r == 0) {
                checksum_final(save->checksum, save->checksums.objects[save->n_objects - 1]);
                save->checksum = checksum_free(save->checksum);
                t->fd = safe_close(t->fd);
                t->current = 0;
        }
        return 0;
}

static int tree_save_finish(StoreSave *save, StoreError *e) {
        TreeSave *t = save->tree;
        int r;

        r = tree_flush(save, e);
        if (r < 0)
                return r;
        tree_table_seal(&t->table);

        r = tree_save_stream(save, t->table.data, t->table.size, e);
        if (r < 0)
                return r;

        t->finished = true;
        return 0;
}

int store_tree_save_step(StoreSave *save, StoreError *e) {
        TreeSave *t = save->tree;
        int r;

        if (t->finished)
                return 0;
        t->saved = 0;
        for (unsigned i = 0; i < ENTRIES_PER_STEP && t->saved < BYTES_PER_STEP; i++) {
                if (t->fd >= 0) {
                        r = save_sum_step(save, e);
                        return r < 0 ? r : 1;
                }
                if (t->n_levels == 0)
                        return tree_save_finish(save, e);

                TreeLevel *l = t->levels + t->n_levels - 1;
                r = l->position >= l->size ? tree_leave(t, e) : tree_save_entry(save, e);
                if (r < 0)
                        return r;
        }
        return 1;
}

static int check_directory(const Peer *peer, int fd, struct stat *ret, StoreError *e) {
        int r;

        r = tree_is_tmpfs_directory(fd, ret);
        if (r < 0 && r != -ENOTDIR)
                return r;
        if (r <= 0)
                return tree_place_refuse_save(e);
        if (peer->uid != 0 && ret->st_uid != peer->uid)
                return tree_place_refuse_save_owner(e);
        return 0;
}

/* What is in the tmpfs, if it is all of that. */
static uint64_t bytes_in_tmpfs(int directory, const struct stat *st) {
        struct stat parent;
        struct statvfs v;

        if (fstatat(directory, "..", &parent, 0) < 0 || fstatvfs(directory, &v) < 0)
                return 0;
        /* Above the root of a mount is another file system, or, if it is mounted nowhere, nothing. */
        if (parent.st_dev == st->st_dev && parent.st_ino != st->st_ino)
                return 0;
        return (uint64_t) (v.f_blocks - v.f_bfree) * v.f_frsize;
}

int store_save_attach_tree(
                Store *s,
                const Peer *peer,
                PkramHandle *session,
                int directory,
                StoreFlags flags,
                const Usage *usage,
                StoreSave **ret,
                StoreError *reterr_error) {

        _cleanup_(store_save_freep) StoreSave *save = NULL;
        struct stat st;
        TreeSave *t;
        int r;

        assert(s);
        assert(peer);
        assert(session);
        assert(ret);

        r = store_save_start(s, peer, /* owner= */ NULL, /* name= */ "", flags, /* n_objects= */ 0, &save,
                             reterr_error);
        if (r < 0)
                return r;
        save->handle = *session;
        *session = PKRAM_HANDLE_NONE;

        r = check_directory(peer, directory, &st, reterr_error);
        if (r < 0)
                return r;

        t = save->tree = calloc(1, sizeof(TreeSave));
        if (!t)
                return store_error_device(reterr_error, -ENOMEM);
        save->tree_free = tree_save_free;
        t->fd = -EBADF;
        t->usage = *usage;
        t->total = bytes_in_tmpfs(directory, &st);
        t->chunk = malloc(TREE_CHUNK_MAX);
        if (!t->chunk)
                return store_error_device(reterr_error, -ENOMEM);

        r = tree_enter(save, directory, ".", &st, reterr_error);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(save);
        return 0;
}

void store_save_tree_result(
                const StoreSave *save,
                uint64_t *ret_bytes,
                uint64_t *ret_meta_bytes,
                uint64_t *ret_size,
                const Checksums **ret_sums) {

        *ret_bytes = save->bytes;
        *ret_meta_bytes = store_pages_to_bytes(save->meta_pages);
        *ret_size = save->size;
        *ret_sums = &save->checksums;
}

void store_save_tree_progress(const StoreSave *save, uint64_t *ret_done, uint64_t *ret_total) {
        const TreeSave *t = save->tree;

        /* A file counts when it is frozen; to sum it takes longer. */
        *ret_done = t->done - t->current;
        if (save->checksum)
                *ret_done += MIN(checksum_position(save->checksum), t->current);
        *ret_total = t->total;
}
