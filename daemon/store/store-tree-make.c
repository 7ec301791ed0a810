/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Making what a tree consists of, in the order of the table; a directory gets its
 * attributes when all that is in it is there. Large files get their pages without
 * copying. If such a file exists already in this system, since the tree was stored
 * in this boot or restoring it was tried before, its contents are copied instead.
 */
#include <fcntl.h>

#include "tree-load.h"

/* Entries made, and bytes copied, before others get their turn. */
#define ENTRIES_PER_STEP 256U
#define BYTES_PER_STEP MIB(64)

static int tree_make_enter(StoreTreeLoad *load, int fd) {
        int r;

        r = GREEDY_REALLOC(load->levels, load->allocated, load->n_levels + 1);
        if (r < 0) {
                safe_close(fd);
                return r;
        }
        load->levels[load->n_levels++] = (TreeLoadLevel) { .fd = fd, .entry = load->next_entry };
        return 0;
}

static int tree_make_begin(StoreTreeLoad *load) {
        int r, fd;

        r = tree_lock_empty_root(load);
        if (r < 0)
                return r;
        /* Or else everything that is made in there would get it too. */
        r = tree_remove_default_acl(load->root);
        if (r < 0)
                return r;

        fd = fcntl(load->root, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
                return -errno;
        r = tree_make_enter(load, fd);
        load->next_entry++;
        return r;
}

/* All that is in a directory is there. */
static int tree_make_leave(StoreTreeLoad *load) {
        TreeLoadLevel *l = load->levels + --load->n_levels;
        TreeEntry e;
        int r;

        tree_index_get(&load->index, l->entry, &e);
        r = load->n_levels > 0 ? tree_apply_attributes(l[-1].fd, e.name, &e) : tree_apply_attributes(l->fd, ".", &e);
        l->fd = safe_close(l->fd);
        return r;
}

static int make_directory(StoreTreeLoad *load, int dir, const char *name) {
        int r, fd;

        if (mkdirat(dir, name, 0700) < 0)
                return -errno;
        r = tree_open_directory(dir, name, &fd);
        return r < 0 ? r : tree_make_enter(load, fd);
}

static int next_chunk(StoreTreeLoad *load, StoreError *e) {
        uint32_t object;
        void *data;
        size_t size;
        int r;

        /* No file goes over the end of a stream, and nothing else is in it. */
        if (load->chunk_position != load->chunk_size || load->next_chunk >= load->n_chunks)
                return -EBADMSG;

        object = load->chunks[load->next_chunk++];
        r = pkram_load_bytes(&load->handle, manifest_kernel_object(object), TREE_CHUNK_MAX, &data, &size);
        if (r < 0)
                return r == -EFBIG ? -EBADMSG : r;

        free(load->chunk);
        load->chunk = data;
        load->chunk_size = size;
        load->chunk_position = 0;
        return tree_check_sum(load, object, data, size, e);
}

static int make_packed(StoreTreeLoad *load, int fd, const TreeEntry *entry, StoreError *e) {
        size_t n = tree_packed_bytes(entry);
        int r;

        if (n > load->chunk_size - load->chunk_position) {
                r = next_chunk(load, e);
                if (r < 0)
                        return r;
                if (n > load->chunk_size)
                        return -EBADMSG;
        }

        /* Empty files need no data, and may come before the first. */
        r = tree_write_packed(fd, entry, load->chunk ? load->chunk + load->chunk_position : NULL);
        load->chunk_position += n;
        load->done += n;
        return r;
}

static int make_large(StoreTreeLoad *load, int fd, const TreeEntry *entry) {
        uint32_t object = load->files[load->next_file];
        int pidfd = load->peer->pidfd >= 0 ? load->peer->pidfd : PKRAM_FD_NONE, r;
        struct stat st;

        r = pkram_load_file_into(&load->handle, manifest_kernel_object(object), pidfd, fd);
        if (r == -EBUSY) {
                r = pkram_load_file(&load->handle, manifest_kernel_object(object), pidfd, &load->source);
                if (r >= 0 && ftruncate(fd, (off_t) entry->size) < 0)
                        r = -errno;
                load->position = 0;
        }
        if (r < 0)
                return r;
        if (fstat(load->source >= 0 ? load->source : fd, &st) < 0)
                return -errno;
        if ((uint64_t) st.st_size != entry->size)
                return -EBADMSG;

        load->done += load->file_bytes[load->next_file++];
        return load->manifest.verify ? checksum_new(entry->size, &load->checksum) : 0;
}

/* Opens the directory that has the first name of a file. No other process can have changed the path to it. */
static int open_parent(const StoreTreeLoad *load, uint32_t n, int *ret) {
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ uint32_t *way = NULL;
        size_t k = 0;
        TreeEntry e;

        tree_index_get(&load->index, n, &e);
        way = malloc((e.depth + 1) * sizeof(uint32_t));
        if (!way)
                return -ENOMEM;
        for (n = load->index.parents[n]; n != 0; n = load->index.parents[n])
                way[k++] = n;

        fd = fcntl(load->root, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
                return -errno;
        while (k-- > 0) {
                int next, r;

                tree_index_get(&load->index, way[k], &e);
                r = tree_open_path(fd, e.name, &next);
                if (r < 0)
                        return r;
                safe_close(fd);
                fd = next;
        }

        *ret = TAKE_FD(fd);
        return 0;
}

static int make_link(const StoreTreeLoad *load, int dir, const TreeEntry *entry) {
        _cleanup_close_ int from = -EBADF;
        TreeEntry first;
        int r;

        r = open_parent(load, entry->link, &from);
        if (r < 0)
                return r;
        tree_index_get(&load->index, entry->link, &first);
        return tree_link(from, first.name, first.flags, dir, entry->name);
}

static int make_regular(StoreTreeLoad *load, int dir, const TreeEntry *entry, StoreError *e) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        fd = openat(dir, entry->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        if (entry->type == TREE_PACKED)
                return make_packed(load, fd, entry, e);

        r = make_large(load, fd, entry);
        if (r >= 0 && (load->source >= 0 || load->checksum))
                load->fd = TAKE_FD(fd);
        return r;
}

static int make_entry(StoreTreeLoad *load, StoreError *e) {
        int dir, r = 0;
        TreeEntry entry;

        tree_index_get(&load->index, load->next_entry, &entry);
        while (load->n_levels > entry.depth) {
                r = tree_make_leave(load);
                if (r < 0)
                        return r;
        }
        dir = load->levels[load->n_levels - 1].fd;

        switch (entry.type) {
        case TREE_DIRECTORY:
                r = make_directory(load, dir, entry.name);
                break;
        case TREE_PACKED:
        case TREE_FILE:
                r = make_regular(load, dir, &entry, e);
                break;
        case TREE_SYMLINK:
                r = symlinkat(entry.target, dir, entry.name) < 0 ? -errno : 0;
                break;
        case TREE_FIFO:
                r = mkfifoat(dir, entry.name, 0600) < 0 ? -errno : 0;
                break;
        case TREE_SOCKET:
                r = mknodat(dir, entry.name, S_IFSOCK | 0600, 0) < 0 ? -errno : 0;
                break;
        case TREE_CHARACTER:
                r = mknodat(dir, entry.name, S_IFCHR | 0600, entry.device) < 0 ? -errno : 0;
                break;
        case TREE_BLOCK:
                r = mknodat(dir, entry.name, S_IFBLK | 0600, entry.device) < 0 ? -errno : 0;
                break;
        case TREE_LINK:
                r = make_link(load, dir, &entry);
                break;
        default:
                r = -EBADMSG;
        }

        /* A file that is still being filled gets them afterwards. */
        if (r >= 0 && entry.type != TREE_DIRECTORY && entry.type != TREE_LINK && load->fd < 0)
                r = tree_apply_attributes(dir, entry.name, &entry);
        if (r >= 0)
                load->next_entry++;
        return r;
}

/* --- large files that take longer --- */

static int copy_step(StoreTreeLoad *load) {
        _cleanup_free_ uint8_t *buffer = malloc(MIB(1));
        uint64_t n = 0;

        if (!buffer)
                return -ENOMEM;

        while (n < BYTES_PER_STEP) {
                off_t data = lseek(load->source, (off_t) load->position, SEEK_DATA);
                off_t hole = data < 0 ? data : lseek(load->source, data, SEEK_HOLE);
                ssize_t k;

                if (hole < 0 && errno != ENXIO)
                        return -errno;
                k = hole < 0 ? 0 : pread(load->source, buffer, MIN((size_t) (hole - data), MIB(1)), data);
                if (k < 0)
                        return -errno;
                if (k == 0) {
                        load->source = safe_close(load->source);
                        return 0;
                }
                for (ssize_t done = 0, m; done < k; done += m) {
                        m = pwrite(load->fd, buffer + done, (size_t) (k - done), data + done);
                        if (m < 0)
                                return -errno;
                }
                load->position = (uint64_t) data + (uint64_t) k;
                n += (uint64_t) k;
        }
        return 0;
}

static int make_sum_step(StoreTreeLoad *load, StoreError *e) {
        char hex[CHECKSUM_HEX_LENGTH + 1];
        int r;

        r = checksum_file_step(load->checksum, load->fd, /* may_seek= */ true, VERIFY_SLICE);
        if (r != 0)
                return r == -EIO ? -EBADMSG : r;

        checksum_final(load->checksum, hex);
        load->checksum = checksum_free(load->checksum);
        if (!streq(hex, load->checksums.objects[load->files[load->next_file - 1]]))
                return tree_damaged(load, "A file of the tree does not match its checksum", e);
        return 0;
}

/* Goes on with the newest file. */
static int file_step(StoreTreeLoad *load, StoreError *e) {
        TreeEntry entry;
        int r;

        if (load->source >= 0)
                r = copy_step(load);
        else
                r = make_sum_step(load, e);
        if (r < 0 || load->source >= 0 || load->checksum)
                return r;

        load->fd = safe_close(load->fd);
        tree_index_get(&load->index, load->next_entry - 1, &entry);
        return tree_apply_attributes(load->levels[load->n_levels - 1].fd, entry.name, &entry);
}

static int tree_make_finish(StoreTreeLoad *load) {
        int r;

        if (load->chunk_position != load->chunk_size || load->next_chunk != load->n_chunks)
                return -EBADMSG;
        while (load->n_levels > 0) {
                r = tree_make_leave(load);
                if (r < 0)
                        return r;
        }
        return 0;
}

int store_tree_load_step(StoreTreeLoad *load, StoreError *reterr_error) {
        int r = 0;

        assert(load);

        if (load->next_entry == 0)
                r = tree_make_begin(load);
        else if (load->n_levels == 0)
                return 0;

        for (unsigned i = 0; r >= 0 && i < ENTRIES_PER_STEP; i++) {
                if (load->fd >= 0) {
                        r = file_step(load, reterr_error);
                        break;
                }
                if (load->next_entry >= load->index.n_entries) {
                        r = tree_make_finish(load);
                        return r < 0 ? tree_load_failed(load, r, reterr_error) : 0;
                }
                r = make_entry(load, reterr_error);
        }

        return r < 0 ? tree_load_failed(load, r, reterr_error) : 1;
}
