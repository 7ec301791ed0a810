/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>

#include "closer.h"
#include "file-util.h"
#include "store-internal.h"
#include "watchdog.h"

StoreLoad *store_load_free(StoreLoad *load) {
        if (!load)
                return NULL;

        pkram_handle_done(&load->handle);
        closer_close(/* budget= */ NULL, load->target);
        for (size_t i = 0; i < load->n_items; i++) {
                free(load->items[i].name);
                free(load->items[i].data);
                closer_close(/* budget= */ NULL, load->items[i].fd);
        }
        free(load->items);
        manifest_done(&load->manifest);
        checksums_done(&load->checksums);
        checksum_free(load->checksum);
        store_node_done(&load->node);
        free(load);
        return NULL;
}

static int read_file(int fd, size_t size, void **ret) {
        _cleanup_free_ uint8_t *data = NULL;
        int r;

        data = malloc(size + 1);
        if (!data)
                return -ENOMEM;
        r = pread_all(fd, data, size, /* offset= */ 0);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(data);
        return 0;
}

static int object_failed(const StoreLoad *load, int r, StoreError *e) {
        if (r == -ENODATA || r == -EINVAL || r == -EBADMSG)
                return store_damaged(e, load->node.name, "An object is missing or of the wrong kind");
        if (r == -ENOSPC)
                r = -ENOMEM;
        return store_error_device(e, r);
}

/* Loads a file, with the attributes that the kernel does not keep; NULL if there are none. */
static int file_load(StoreLoad *load, const Peer *peer, uint32_t object, const ObjectAttributes *attributes,
                     int *ret) {
        int charge = peer->pidfd >= 0 ? peer->pidfd : PKRAM_FD_NONE, r;

        /* The client has its file, and needs no descriptor. */
        if (load->target >= 0)
                return pkram_load_file_into(&load->handle, object, charge, load->target);

        if (attributes && object_attributes_is_set(attributes)) {
                _cleanup_close_ int fd = object_attributes_make_memfd(attributes);

                if (fd < 0)
                        return fd;
                r = pkram_load_file_into(&load->handle, object, charge, fd);
                if (r >= 0)
                        *ret = TAKE_FD(fd);
                /* The file exists in this system, and so has its attributes. */
                if (r != -EBUSY)
                        return r;
        }
        return pkram_load_file(&load->handle, object, charge, ret);
}

/* Finds out what an object is and how much of it is handed out, before anything is loaded. */
static int item_prepare(StoreLoad *load, uint32_t object, StoreLoadItem *item, StoreError *e) {
        struct pkram_ioctl_stat st;
        bool with_bytes;
        int r;

        r = pkram_load_stat(&load->handle, object, &st);
        if (r < 0)
                return object_failed(load, r, e);

        /* For nodes of others the kernel is the only one that knows what their objects are. */
        if (!load->managed)
                item->kind = st.state & PKRAM_STAT_FILE ? OBJECT_FILE : OBJECT_DATA;

        if (item->kind == OBJECT_FILE) {
                item->size = st.file_bytes;
                if (load->want_data && st.file_bytes > STORE_DATA_BYTES_MAX)
                        return store_error_set(e, -EFBIG, STORE_ERROR_REPLY_TOO_LARGE, NULL,
                                               "An object is larger than 1 MiB and cannot be retrieved inline. "
                                               "Retrieve it as a file descriptor.");
                if (load->want_data)
                        item->data_size = st.file_bytes;
                with_bytes = !load->managed && !load->want_data && (st.state & PKRAM_STAT_BYTES);
        } else {
                item->size = st.data_bytes;
                with_bytes = true;
        }
        if (!with_bytes)
                return 0;

        if (st.data_bytes > STORE_DATA_BYTES_MAX) {
                if (load->managed)
                        return object_failed(load, -EBADMSG, e);
                return store_error_set(e, -EFBIG, STORE_ERROR_REPLY_TOO_LARGE, NULL,
                                       "An object has a byte stream of more than 1 MiB. The node was not stored "
                                       "by pkramd; load it with the program that stored it.");
        }
        item->with_bytes = true;
        item->data_size = st.data_bytes;
        return 0;
}

static int items_prepare(StoreLoad *load, StoreError *e) {
        size_t n = load->managed ? load->manifest.n_objects : load->node.info.nr_objects;
        int r;

        load->items = calloc(n + 1, sizeof(StoreLoadItem));
        if (!load->items)
                return store_error_device(e, -ENOMEM);
        for (; load->n_items < n; load->n_items++)
                load->items[load->n_items].fd = -EBADF;

        for (size_t i = 0; i < n; i++) {
                StoreLoadItem *item = load->items + i;

                if (load->managed) {
                        item->name = TAKE_PTR(load->manifest.objects[i].name);
                        item->kind = load->manifest.objects[i].kind;
                }
                r = item_prepare(load, load->managed ? manifest_kernel_object(i) : (uint32_t) i, item, e);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The kernel does not take the client's file. */
static int target_failed(const StoreLoad *load, int r, StoreError *e) {
        if (r == -EBUSY)
                return store_error_set(e, r, STORE_ERROR_BAD_DIRECTORY, load->node.name,
                                       "The object already exists as a file in this system, and cannot be loaded into "
                                       "another one.");
        if (r == -EINVAL || r == -EPERM || r == -EBADF)
                return store_error_set(e, r, STORE_ERROR_BAD_DIRECTORY, load->node.name,
                                       "The target file has to be a memfd or a file on a tmpfs that is empty, open "
                                       "for reading and writing, and not mapped.");
        return object_failed(load, r, e);
}

static int item_load(StoreLoad *load, size_t index, StoreError *e) {
        uint32_t object = load->managed ? manifest_kernel_object(index) : (uint32_t) index;
        StoreLoadItem *item = load->items + index;
        int r = 0;

        if (item->kind == OBJECT_FILE) {
                watchdog_begin(item->size);
                r = file_load(load, load->peer, object, load->managed ? &load->manifest.objects[index].attributes :
                              NULL, &item->fd);
                watchdog_end();
                if (r < 0 && load->target >= 0)
                        return target_failed(load, r, e);
                if (r >= 0 && load->want_data)
                        r = read_file(item->fd, item->data_size, &item->data);
        }
        if (r >= 0 && item->with_bytes) {
                r = pkram_load_bytes(&load->handle, object, STORE_DATA_BYTES_MAX, &item->data, &item->data_size);
                if (r == -EFBIG)
                        r = -EBADMSG;
        }
        return r < 0 ? object_failed(load, r, e) : 0;
}

/* Loads some objects. Their number and size are limited, since others wait meanwhile. */
static int items_load_slice(StoreLoad *load, StoreError *e) {
        uint64_t bytes = 0;
        int r;

        for (unsigned n = 0; n < SLICE_OBJECTS && bytes < SLICE_BYTES && load->n_loaded < load->n_items; n++) {
                r = item_load(load, load->n_loaded, e);
                if (r < 0)
                        return r;
                if (!inc_u64(&bytes, load->items[load->n_loaded++].size))
                        break;
        }
        return load->n_loaded < load->n_items || load->manifest.verify;
}

int store_load_new(
                Store *s,
                const Peer *peer,
                const char *owner,
                const char *name,
                bool want_data,
                StoreLoad **ret,
                StoreError *reterr_error) {

        _cleanup_(store_load_freep) StoreLoad *load = NULL;
        int r;

        assert(s);
        assert(peer);
        assert(ret);

        load = malloc(sizeof(StoreLoad));
        if (!load)
                return store_error_device(reterr_error, -ENOMEM);
        *load = (StoreLoad) { .store = s, .peer = peer, .want_data = want_data, .target = -EBADF,
                              .handle = PKRAM_HANDLE_NONE };

        r = store_open(s, peer, owner, name, /* damaged_is_fine= */ false,
                       &load->handle, &load->node, &load->managed, &load->manifest, reterr_error);
        if (r < 0)
                return r;

        if (load->manifest.tree)
                return store_error_set(reterr_error, -EISDIR, STORE_ERROR_WRONG_KIND, name,
                                       "The node is a directory tree. Restore it with RestoreTree or 'pkramctl "
                                       "retrieve NAME DIR'.");

        if (load->manifest.verify) {
                r = store_read_checksums(&load->handle, name, &load->manifest, &load->checksums, reterr_error);
                if (r < 0)
                        return r;
        }

        r = items_prepare(load, reterr_error);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(load);
        return 0;
}

int store_load_set_target(StoreLoad *load, int fd, StoreError *reterr_error) {
        size_t files = 0;

        for (size_t i = 0; load->managed && i < load->n_items; i++)
                files += load->items[i].kind == OBJECT_FILE;
        if (files != 1 || load->manifest.verify || load->want_data)
                return store_error_set(reterr_error, -EINVAL, STORE_ERROR_BAD_DIRECTORY, load->node.name,
                                       "Only a node with a single file that was stored without verify can be loaded "
                                       "into a file of the caller.");
        load->target = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (load->target < 0)
                return store_error_device(reterr_error, -errno);
        closer_mark(load->target, CLOSER_FOREIGN);
        return 0;
}

void store_load_cost(const StoreLoad *load, size_t *ret_bytes, size_t *ret_fds) {
        size_t bytes = 0, fds = 0;

        for (size_t i = 0; i < load->n_items; i++) {
                bytes += load->items[i].data_size;
                fds += load->items[i].kind == OBJECT_FILE;
        }

        *ret_bytes = bytes;
        *ret_fds = fds;
}

int store_load_step(StoreLoad *load, StoreError *reterr_error) {
        char hex[CHECKSUM_HEX_LENGTH + 1];
        StoreLoadItem *item;
        int r;

        assert(load);

        if (load->n_loaded < load->n_items)
                return items_load_slice(load, reterr_error);
        if (!load->manifest.verify || load->n_verified >= load->n_items)
                return 0;

        item = load->items + load->n_verified;
        if (!load->checksum) {
                r = checksum_new(item->size, &load->checksum);
                if (r < 0)
                        return store_error_device(reterr_error, r);
        }

        if (item->fd >= 0) {
                r = checksum_file_step(load->checksum, item->fd, /* may_seek= */ true, VERIFY_SLICE);
                if (r < 0)
                        return object_failed(load, r == -EIO ? -EBADMSG : r, reterr_error);
                if (r > 0)
                        return 1;
                /* The receiver expects to be at its beginning. */
                if (lseek(item->fd, 0, SEEK_SET) < 0)
                        return -errno;
        } else
                checksum_data(load->checksum, item->data, item->data_size);

        checksum_final(load->checksum, hex);
        load->checksum = checksum_free(load->checksum);
        if (!streq(hex, load->checksums.objects[load->n_verified]))
                return store_damaged(reterr_error, load->node.name, "An object does not match its checksum");

        load->n_verified++;
        return 1;
}
