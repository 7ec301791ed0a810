/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The byte streams of a tree that is stored. */
#include "tree-save.h"

/* Room for one more object, and for its checksum. */
int tree_new_object(StoreSave *save, StoreError *e) {
        TreeSave *t = save->tree;
        int r;

        r = store_check_limit(save->store, LIMIT_OBJECTS, save->n_objects, 1, e);
        if (r < 0)
                return r;
        r = GREEDY_REALLOC(save->checksums.objects, t->sums_allocated, save->n_objects + 1);
        if (r < 0)
                return store_error_device(e, r);
        save->checksums.n_objects = ++save->n_objects;
        return 0;
}

int tree_save_stream(StoreSave *save, const void *data, size_t size, StoreError *e) {
        int r;

        r = tree_new_object(save, e);
        if (r < 0)
                return r;
        r = store_save_bytes(save, data, size, e);
        if (r < 0)
                return r;
        save->tree->saved += size;
        store_save_add_size(save, size);
        if (save->flags & STORE_VERIFY) {
                r = store_sum_data(data, size, save->checksums.objects[save->n_objects - 1]);
                if (r < 0)
                        return store_error_device(e, r);
        }
        return store_save_check_quota(save, &save->tree->usage, /* more= */ 0, e);
}

int tree_flush(StoreSave *save, StoreError *e) {
        TreeSave *t = save->tree;
        int r;

        if (t->chunk_size == 0)
                return 0;
        r = tree_save_stream(save, t->chunk, t->chunk_size, e);
        if (r >= 0)
                t->chunk_size = 0;
        return r;
}
