/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "system-node.h"

int system_node_save(const PkramDevice *device, const char *name, const void *data, size_t size) {
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        int r;

        assert(system_node_name(name));

        if (size > SYSTEM_NODE_BYTES_MAX)
                return -EFBIG;
        r = pkram_save_begin(device, name, &h);
        if (r < 0)
                return r;
        r = pkram_save_bytes(&h, data, size, /* ret_object= */ NULL);
        if (r < 0)
                return r;
        return pkram_save_commit(&h, /* replace= */ true, /* ret_id= */ NULL);
}

int system_node_load(const PkramDevice *device, const char *name, PkramHandle *ret_handle, char **ret,
                     size_t *ret_size) {
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        void *data = NULL;
        size_t size = 0;
        int r;

        r = pkram_load_begin(device, name, &h, /* ret_id= */ NULL);
        if (r < 0)
                return r;

        r = pkram_load_bytes(&h, /* object= */ 0, SYSTEM_NODE_BYTES_MAX, &data, &size);
        if (r == -ENODATA || r == -EINVAL)
                r = -EBADMSG; /* there is no such object, or it has no bytes */
        if (r < 0 && r != -EBADMSG && r != -EFBIG)
                return r;

        *ret_handle = h;
        h = PKRAM_HANDLE_NONE;
        if (r < 0)
                return r;

        *ret = data;
        *ret_size = size;
        return 0;
}

int system_node_remove(PkramHandle *h, const char *name) {
        assert(system_node_name(name));

        return pkram_load_remove(h, name);
}
