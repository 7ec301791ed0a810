/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an earlier kernel hands over as the table of a directory tree. The hash is
 * made right, since it would keep everything else from being tried. What is taken
 * keeps its promises, and comes out the same when it is written again.
 */
#include "tree-table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEADER 40U

static void check_entry(const TreeIndex *x, uint32_t n, TreeEntry *e) {
        TreeXattr xattr;
        size_t position = 0;

        tree_index_get(x, n, e);
        if (strchr(e->name, '/') || streq(e->name, ".") || streq(e->name, "..") || !*e->name != (n == 0))
                abort();
        if (n > 0 && x->parents[n] >= n)
                abort();
        if (e->type == TREE_LINK && e->link >= n)
                abort();
        if (e->type == TREE_PACKED && tree_packed_bytes(e) > e->size)
                abort();
        while (tree_xattr_next(e->xattrs, e->xattrs_size, &position, &xattr) > 0)
                if (!strchr(xattr.name, '.'))
                        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        TreeTable sealed = {}, again = {};
        _cleanup_(tree_index_done) TreeIndex x = {};

        (void) tree_table_open(data, size, &x);
        tree_index_done(&x);
        if (size < HEADER)
                return 0;

        sealed.data = malloc(size);
        if (!sealed.data)
                return 0;
        memcpy(sealed.data, data, size);
        sealed.size = size;
        memcpy(&sealed.n_entries, data + 12, 4);
        if (sealed.n_entries > 0)
                tree_table_seal(&sealed);

        if (tree_table_open(sealed.data, size, &x) >= 0) {
                for (uint32_t n = 0; n < x.n_entries; n++) {
                        TreeEntry e;

                        check_entry(&x, n, &e);
                        if (tree_table_add(&again, &e) < 0)
                                abort();
                }
                tree_table_seal(&again);
                if (again.size != size || memcmp(again.data, sealed.data, size) != 0)
                        abort();
        }

        tree_table_done(&sealed);
        tree_table_done(&again);
        return 0;
}
