/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "closer.h"
#include "name.h"
#include "store-internal.h"
#include "watchdog.h"

#ifndef HUGETLBFS_MAGIC
#define HUGETLBFS_MAGIC 0x958458f6
#endif

static int object_not_preservable(StoreError *e, size_t index, const char *reason) {
        return store_error_set(e, -EOPNOTSUPP, STORE_ERROR_NOT_PRESERVABLE, NULL,
                               "Object %zu cannot be preserved: %s.", index, reason);
}

/* Checks a descriptor as far as that is possible before the kernel has a look, and adds up what it holds. */
static int check_file(StoreSave *save, size_t index, int fd, StoreError *e) {
        const Peer *peer = &save->peer;
        struct statfs sfs;
        struct stat st;
        int flags;

        flags = fcntl(fd, F_GETFL);
        if (flags < 0)
                return -errno;
        if (flags & O_PATH)
                return object_not_preservable(e, index, "its descriptor cannot be read from; "
                                              "open the file for reading and writing");

        /*
         * Files in memory have seals, even if none can be set. Nothing but this may be called for others, since their
         * file systems may wait for a server.
         */
        if (fcntl(fd, F_GET_SEALS) < 0)
                return object_not_preservable(e, index, "it is not a regular file of a tmpfs; copy it into a memfd "
                                              "(memfd_create(2)) and store that, as 'pkramctl store' does");
        if (fstat(fd, &st) < 0 || fstatfs(fd, &sfs) < 0)
                return -errno;

        if (sfs.f_type == HUGETLBFS_MAGIC)
                return object_not_preservable(e, index,
                                              "it is a file of hugetlbfs; create the memfd without MFD_HUGETLB");
        if (!S_ISREG(st.st_mode) || sfs.f_type != TMPFS_MAGIC)
                return object_not_preservable(e, index, "it is not a regular file of a tmpfs; copy it into a memfd "
                                              "(memfd_create(2)) and store that, as 'pkramctl store' does");
        if ((flags & O_ACCMODE) == O_WRONLY)
                return object_not_preservable(e, index, "its descriptor cannot be read from; "
                                              "open the file for reading and writing");

        /*
         * Storing freezes a file for all its users, so it requires the right to change the file: otherwise a
         * client could freeze a file that it may merely read.
         */
        if (peer->uid != 0 && peer->uid != st.st_uid && (flags & O_ACCMODE) != O_RDWR)
                return object_not_preservable(e, index, "its descriptor is read-only and the file is owned by another "
                                              "user; open it for reading and writing");

        save->sizes[index] = (uint64_t) st.st_size;
        store_save_add_bytes(save, (uint64_t) st.st_blocks * 512);
        return 0;
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static int save_check_names(const char *name, const StoreItem *items, size_t n_items, StoreError *e) {
        _cleanup_free_ const char **names = NULL;
        size_t n = 0;
        int r;

        r = name_validate(name, e);
        if (r < 0)
                return r;

        names = malloc((n_items + 1) * sizeof(char *));
        if (!names)
                return store_error_device(e, -ENOMEM);

        for (size_t i = 0; i < n_items; i++) {
                if (!items[i].name)
                        continue;
                r = name_validate(items[i].name, e);
                if (r < 0)
                        return r;
                names[n++] = items[i].name;
        }

        if (n > 0)
                qsort(names, n, sizeof(char *), compare_names);
        for (size_t i = 1; i < n; i++)
                if (streq(names[i - 1], names[i]))
                        return store_error_set(e, -EINVAL, STORE_ERROR_INVALID_NAME, names[i],
                                               "Two objects of the node have this name.");
        return 0;
}

static int save_object(StoreSave *save, size_t index, const StoreItem *item, StoreError *e) {
        uint32_t object;
        uint64_t pages;
        struct stat st;
        int r;

        if (item->fd < 0) {
                r = pkram_save_bytes(&save->handle, item->data, item->size, &object);
                if (r == -EFBIG)
                        return object_not_preservable(e, index, store_save_file_reason(r));
                pages = (item->size + 4095) / 4096;
                save->sizes[index] = item->size;
        } else {
                watchdog_begin(save->sizes[index]);
                r = pkram_save_file(&save->handle, item->fd, &object, &pages);
                watchdog_end();
                if (r < 0 && store_save_file_reason(r))
                        return object_not_preservable(e, index, store_save_file_reason(r));
                if (r >= 0) {
                        /* It is frozen now, and so is its size. */
                        if (fstat(item->fd, &st) < 0)
                                return -errno;
                        save->sizes[index] = (uint64_t) st.st_size;
                }
        }
        if (r == -ENOSPC)
                /* The kernel keeps enough memory free for the next one to start; that limit has no number here. */
                return store_error_quota(e, STORE_LIMIT_NEXT_KERNEL, save->bytes,
                                         item->fd < 0 ? item->size : save->sizes[index], UINT64_MAX);
        if (r < 0)
                return store_error_device(e, r);
        if (object != manifest_kernel_object(index))
                return -EPROTO;

        store_save_add_stream(save, pages * 4096);
        store_save_add_size(save, save->sizes[index]);
        return 0;
}

/*
 * A descriptor to read from later. If the file can be opened again it has a position
 * of its own; otherwise it is the client's, which must not move.
 */
static int own_descriptor(int fd, int *ret, bool *ret_shared) {
        char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
        int copy;

        *ret_shared = false;

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%i", fd);
        copy = open(path, O_RDONLY | O_CLOEXEC);
        if (copy >= 0) {
                *ret = copy;
                return 0;
        }

        copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (copy < 0)
                return -errno;
        *ret = copy;
        *ret_shared = true;
        return 0;
}

static int save_prepare(StoreSave *save, const StoreItem *items, StoreError *e) {
        int r;

        save->sizes = calloc(save->n_objects + 1, sizeof(uint64_t));
        if (!save->sizes)
                return store_error_device(e, -ENOMEM);

        for (size_t i = 0; i < save->n_objects; i++) {
                if (items[i].fd < 0) {
                        if (items[i].size > STORE_DATA_BYTES_MAX)
                                return object_not_preservable(e, i, "inline data is longer than 1 MiB; "
                                                              "store it in a memfd (memfd_create(2))");
                        store_save_add_bytes(save, (items[i].size + 4095) / 4096 * 4096);
                        continue;
                }

                r = check_file(save, i, items[i].fd, e);
                if (r < 0)
                        return r;
        }

        return 0;
}

static int store_save_begin(StoreSave *save, const StoreItem *items, StoreError *e) {
        int r;

        r = pkram_save_begin(&save->store->device, save->kernel_name.text, &save->handle);
        if (r < 0)
                return store_error_device(e, r);

        /* From here on what is there is counted, and others are told of what is expected. */
        save->expected = store_save_memory(save);
        save->checked = save->bytes;
        save->bytes = 0;
        save->meta_pages = 0;
        r = store_save_manifest(save, items, e);
        if (r >= 0 && !inc_u64(&save->checked, save->bytes))
                save->checked = UINT64_MAX;
        return r;
}

/*
 * Checks the limits again if a file has grown since they were checked: it may be copied to a disk that has more room
 * than the owner may use. Returns 1 if it did that, 0 if it did not need to, or a negative errno.
 */
static int save_check_growth(StoreSave *save, int fd, StoreError *e) {
        uint64_t bytes, sum = save->bytes, more;
        struct stat st;
        Usage usage;
        int r;

        if (fstat(fd, &st) < 0)
                return -errno;
        bytes = (uint64_t) st.st_blocks * 512;
        if (!inc_u64(&sum, bytes))
                sum = UINT64_MAX;
        if (sum <= save->checked)
                return 0;

        r = store_usage(save->store, save->peer.owner, save->replaces, save, &usage, e);
        if (r >= 0)
                r = store_save_check_quota(save, &usage, /* more= */ bytes, e);
        if (r < 0)
                return r;

        more = sum - save->checked;
        save->checked = sum;
        if (!inc_u64(&save->expected, more))
                save->expected = UINT64_MAX;
        return 1;
}

/* Saves some objects. Their number and size are limited, since others wait meanwhile. */
static int save_slice(StoreSave *save, StoreError *e) {
        const StoreItem *items = save->items;
        uint64_t bytes = 0;
        int r;

        for (unsigned n = 0; n < SLICE_OBJECTS && bytes < SLICE_BYTES && save->n_saved < save->n_objects; n++) {
                size_t i = save->n_saved;

                if (items[i].fd >= 0) {
                        r = save_check_growth(save, items[i].fd, e);
                        if (r < 0)
                                return r;
                        /* That looked at all nodes, so this object is the last one for now. */
                        if (r > 0)
                                n = SLICE_OBJECTS - 1;
                }
                r = save_object(save, i, items + i, e);
                if (r < 0)
                        return r;
                if ((save->flags & STORE_VERIFY) && items[i].fd < 0) {
                        r = store_sum_data(items[i].data, items[i].size, save->checksums.objects[i]);
                        if (r < 0)
                                return store_error_device(e, r);
                }
                save->n_saved++;
                if (!inc_u64(&bytes, save->sizes[i]))
                        break;
        }
        return save->n_saved < save->n_objects;
}

int store_save_new(
                Store *s,
                const Peer *peer,
                const char *owner,
                const char *name,
                const StoreItem *items,
                size_t n_items,
                StoreFlags flags,
                StoreSave **ret,
                StoreError *reterr_error) {

        _cleanup_(store_save_freep) StoreSave *save = NULL;
        Usage usage;
        int r;

        assert(s);
        assert(peer);
        assert(items || n_items == 0);
        assert(ret);

        r = save_check_names(name, items, n_items, reterr_error);
        if (r >= 0)
                r = store_save_check_place(s, flags, reterr_error);
        if (r < 0)
                return r;
        r = store_check_limit(s, LIMIT_OBJECTS, 0, n_items, reterr_error);
        if (r < 0)
                return r;

        r = store_save_start(s, peer, owner, name, flags, n_items, &save, reterr_error);
        if (r < 0)
                return r;
        save->items = items;
        r = store_save_check_existing(save, reterr_error);
        if (r < 0)
                return r;
        r = save_prepare(save, items, reterr_error);
        if (r < 0)
                return r;
        r = store_usage(s, save->peer.owner, save->replaces, save, &usage, reterr_error);
        if (r < 0)
                return r;
        r = store_save_check_quota(save, &usage, /* more= */ 0, reterr_error);
        if (r < 0)
                return r;
        r = store_save_begin(save, items, reterr_error);
        if (r < 0)
                return r;
        r = save_slice(save, reterr_error);
        if (r < 0)
                return r;
        /* Files could grow until they were frozen, and pages could be added: only now the size is known. */
        if (r == 0) {
                r = store_save_check_quota(save, &usage, /* more= */ 0, reterr_error);
                if (r < 0)
                        return r;
        }

        *ret = TAKE_PTR(save);
        return 0;
}

/* Saves some more objects, and after the last one checks the size, which is known only then. Others may have stored
 * meanwhile. */
static int save_more(StoreSave *save, StoreError *e) {
        Usage usage;
        int r;

        r = save_slice(save, e);
        if (r != 0)
                return r;
        r = store_usage(save->store, save->peer.owner, save->replaces, save, &usage, e);
        if (r < 0)
                return r;
        r = store_save_check_quota(save, &usage, /* more= */ 0, e);
        return r < 0 ? r : !!(save->flags & STORE_VERIFY);
}

/* Computes the next part of the checksum of a file. Returns 1 if there is more to do, or 0. */
static int sum_file(StoreSave *save, size_t index, StoreError *e) {
        int r = 0;

        if (!save->checksum) {
                r = checksum_new(save->sizes[index], &save->checksum);
                if (r >= 0)
                        r = own_descriptor(save->items[index].fd, &save->fd, &save->fd_is_shared);
        }
        if (r >= 0)
                r = checksum_file_step(save->checksum, save->fd, !save->fd_is_shared, VERIFY_SLICE);
        if (r < 0)
                return store_error_device(e, r);
        if (r == 0) {
                checksum_final(save->checksum, save->checksums.objects[index]);
                save->checksum = checksum_free(save->checksum);
                save->fd = closer_close(/* budget= */ NULL, save->fd);
        }
        return r;
}

int store_save_step(StoreSave *save, StoreError *reterr_error) {
        int r;

        assert(save);

        if (save->tree)
                return store_tree_save_step(save, reterr_error);
        if (save->n_saved < save->n_objects)
                return save_more(save, reterr_error);
        if (!(save->flags & STORE_VERIFY))
                return 0;

        while (save->n_summed < save->n_objects && save->items[save->n_summed].fd < 0)
                save->n_summed++;
        if (save->n_summed >= save->n_objects)
                return 0;

        r = sum_file(save, save->n_summed, reterr_error);
        if (r < 0)
                return r;
        save->n_summed += r == 0;
        return 1;
}

int store_save_commit(StoreSave *save, StoreSaved *ret, StoreError *reterr_error) {
        bool same_name;
        uint64_t id;
        int r;

        assert(save);
        assert(ret);
        assert(save->is_tree || save->n_saved == save->n_objects);

        if (save->flags & STORE_VERIFY) {
                _cleanup_free_ char *text = NULL;
                size_t size;

                r = checksums_format(&save->checksums, &text, &size);
                if (r < 0)
                        return store_error_device(reterr_error, r);
                r = store_save_bytes(save, text, size, reterr_error);
                if (r < 0)
                        return r;
        }

        /* The owner may have stored another node with this name since. */
        r = store_save_check_existing(save, reterr_error);
        if (r < 0)
                return r;

        same_name = save->replaces != 0 && streq(save->replaced_name.text, save->kernel_name.text);
        r = pkram_save_commit(&save->handle, same_name, &id);
        if (r == -EEXIST)
                return store_error_set(reterr_error, r, STORE_ERROR_NODE_EXISTS, save->name, NULL);
        if (r == -EBUSY)
                return store_error_set(reterr_error, r, STORE_ERROR_NODE_BUSY, save->name, NULL);
        if (r < 0)
                return store_error_device(reterr_error, r);

        /* Stored by the same owner while this one replaced a node from when names had no owners. */
        if (save->replaces != 0 && !same_name) {
                _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;

                r = pkram_load_begin(&save->store->device, save->replaced_name.text, &h, /* ret_id= */ NULL);
                if (r >= 0)
                        (void) pkram_load_remove(&h, save->replaced_name.text);
        }

        *ret = (StoreSaved) {
                .id = id,
                .objects = save->n_objects,
                .bytes = save->bytes,
                .size = save->size,
                .replaced = save->replaces != 0,
        };
        return 0;
}
