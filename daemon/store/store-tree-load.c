/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Restoring a tree: what comes before and after store-tree-make.c. */
#include "tree-load.h"
#include "tree-place.h"

static void target_set_state(StoreTreeLoad *load, TreeTargetState state) {
        load->target.state = state;
        tree_target_tell(load->tell, &load->target);
}

static int is_empty(int fd) {
        _cleanup_free_ char *names = NULL;
        size_t size;
        int r;

        if (lseek(fd, 0, SEEK_SET) < 0)
                return -errno;
        r = tree_read_names(fd, &names, &size);
        return r < 0 ? r : size == 0;
}

int tree_lock_empty_root(StoreTreeLoad *load) {
        int r;

        /* What is told comes first: this process can be killed at any moment. */
        target_set_state(load, TREE_TARGET_LOCKED);
        r = tree_target_lock(load->root);
        if (r < 0)
                return r;
        r = is_empty(load->root);
        if (r < 0)
                return r;
        /* Another process was faster, and what it has put there is not ours to remove. */
        if (r == 0)
                return -ENOTEMPTY;

        target_set_state(load, TREE_TARGET_FILLED);
        return 0;
}

StoreTreeLoad *store_tree_load_free(StoreTreeLoad *load) {
        if (!load)
                return NULL;

        safe_close(load->fd);
        safe_close(load->source);
        for (size_t i = 0; i < load->n_levels; i++)
                safe_close(load->levels[i].fd);
        free(load->levels);

        if (load->target.state != TREE_TARGET_UNTOUCHED && load->target.state != TREE_TARGET_DONE) {
                (void) tree_target_put_back(load->root, &load->target);
                target_set_state(load, TREE_TARGET_UNTOUCHED);
        }
        safe_close(load->root);

        pkram_handle_done(&load->handle);
        tree_index_done(&load->index);
        free(load->table);
        free(load->chunk);
        free(load->files);
        free(load->file_bytes);
        free(load->chunks);
        checksum_free(load->checksum);
        checksums_done(&load->checksums);
        manifest_done(&load->manifest);
        free(load->name);
        free(load->kernel_name);
        free(load);
        return NULL;
}

int tree_damaged(const StoreTreeLoad *load, const char *reason, StoreError *e) {
        return store_damaged(e, load->name, reason);
}

/* Something could not be made. The node stays as it was. */
int tree_load_failed(const StoreTreeLoad *load, int r, StoreError *e) {
        switch (r) {
        case -ENOSPC:
        case -EDQUOT:
                return store_error_set(e, r, STORE_ERROR_BAD_DIRECTORY, NULL,
                                       "Not enough space in the tmpfs. Mount it with a larger size= or nr_inodes= and "
                                       "try again. The tree is still stored.");
        case -ENOTEMPTY:
                return store_error_set(e, r, STORE_ERROR_NOT_EMPTY, NULL,
                                       "The directory is not empty. Restore the tree into an empty directory.");
        case -EROFS:
                return store_error_set(e, r, STORE_ERROR_BAD_DIRECTORY, NULL,
                                       "The tmpfs is mounted read-only. Remount it read-write and try again. "
                                       "The tree is still stored.");
        case -EEXIST:
        case -EBADMSG:
        case -ENODATA:
                return tree_damaged(load, "The tree metadata is inconsistent", e);
        case -EPERM:
        case -EACCES:
                return store_error_set(e, r, STORE_ERROR_UNEXPECTED, NULL,
                                       "Failed to set the owner, mode or attributes of a file (%s). "
                                       "Check the sandboxing of pkram-tree-worker@.service. The tree is still stored.",
                                       strerror(-r));
        case -EOPNOTSUPP:
                return store_error_set(e, r, STORE_ERROR_NOT_SUPPORTED, NULL,
                                       "The tmpfs of this kernel does not support an extended attribute of the tree. "
                                       "Boot a kernel with CONFIG_TMPFS_XATTR and CONFIG_TMPFS_POSIX_ACL. "
                                       "The tree is still stored.");
        default:
                return store_error_device(e, r);
        }
}

int tree_check_sum(StoreTreeLoad *load, uint32_t object, const void *data, size_t size, StoreError *e) {
        char hex[CHECKSUM_HEX_LENGTH + 1];
        int r;

        if (!load->manifest.verify)
                return 0;
        r = store_sum_data(data, size, hex);
        if (r < 0)
                return store_error_device(e, r);
        return streq(hex, load->checksums.objects[object]) ? 0 :
                tree_damaged(load, "A part of the tree does not match its checksum", e);
}

/* --- opening the node --- */

/* Tells files, packed bytes and the table apart; the last object is the table. */
static int sort_objects(StoreTreeLoad *load, StoreError *e) {
        size_t n = load->manifest.n_objects;
        int r;

        load->files = malloc(n * sizeof(uint32_t));
        load->file_bytes = malloc(n * sizeof(uint64_t));
        load->chunks = malloc(n * sizeof(uint32_t));
        if (!load->files || !load->file_bytes || !load->chunks)
                return store_error_device(e, -ENOMEM);

        for (uint32_t i = 0; i < n; i++) {
                struct pkram_ioctl_stat st;

                r = pkram_load_stat(&load->handle, manifest_kernel_object(i), &st);
                if (r < 0)
                        return tree_load_failed(load, r, e);
                if (st.state & PKRAM_STAT_FILE) {
                        load->file_bytes[load->n_files] = store_pages_to_bytes(st.pages);
                        (void) inc_u64(&load->total, load->file_bytes[load->n_files]);
                        load->files[load->n_files++] = i;
                } else if (i + 1 < n) {
                        (void) inc_u64(&load->total, st.data_bytes);
                        load->chunks[load->n_chunks++] = i;
                } else
                        return 0;
        }
        return tree_damaged(load, "The table of the tree is missing", e);
}

static int read_table(StoreTreeLoad *load, StoreError *e) {
        uint32_t object = (uint32_t) load->manifest.n_objects - 1;
        size_t size;
        int r;

        r = pkram_load_bytes(&load->handle, manifest_kernel_object(object), TREE_TABLE_BYTES_MAX, &load->table, &size);
        if (r == -EFBIG)
                r = -EBADMSG;
        if (r < 0)
                return tree_load_failed(load, r, e);
        r = tree_check_sum(load, object, load->table, size, e);
        if (r < 0)
                return r;

        r = tree_table_open(load->table, size, &load->index);
        if (r == -EBADMSG)
                return tree_damaged(load, "The table of the tree is damaged", e);
        if (r == -EPROTONOSUPPORT)
                return store_error_set(e, r, STORE_ERROR_NODE_VERSION, load->name,
                                       "The tree was stored by a later version of pkramd. Update pkramd.");
        if (r < 0)
                return store_error_device(e, r);
        if (load->index.n_files != load->n_files)
                return tree_damaged(load, "Files of the tree are missing", e);
        return 0;
}

/* Returns true if an unprivileged user stored this, and it can be created for them with root's rights. */
static bool is_own(const StoreTreeLoad *load, const TreeEntry *entry) {
        if (entry->type == TREE_LINK)
                return true;
        if (entry->uid != load->peer->uid || entry->type == TREE_CHARACTER || entry->type == TREE_BLOCK)
                return false;
        if (entry->type != TREE_DIRECTORY && (entry->mode & S_ISGID) && entry->gid != load->peer->gid)
                return false;
        return !tree_has_privileged_xattr(entry->xattrs, entry->xattrs_size);
}

static int tree_load_check_owners(const StoreTreeLoad *load, StoreError *e) {
        if (load->peer->uid == 0)
                return 0;

        for (uint32_t n = 0; n < load->index.n_entries; n++) {
                TreeEntry entry;

                tree_index_get(&load->index, n, &entry);
                if (!is_own(load, &entry))
                        return store_error_set(e, -EACCES, STORE_ERROR_PERMISSION_DENIED, load->name, NULL);
        }
        return 0;
}

static int open_target(StoreTreeLoad *load, int directory, StoreError *e) {
        struct stat st;
        int r;

        r = tree_is_tmpfs_directory(directory, &st);
        if (r < 0 && r != -ENOTDIR)
                return r;
        if (r <= 0)
                return tree_place_refuse_load(e);
        if (load->peer->uid != 0 && st.st_uid != load->peer->uid)
                return store_error_set(e, -EACCES, STORE_ERROR_PERMISSION_DENIED, load->name, NULL);
        tree_target_init(&load->target, &st);

        r = tree_open_directory(directory, ".", &load->root);
        if (r >= 0)
                r = is_empty(load->root);
        if (r == 0)
                r = -ENOTEMPTY;
        return r < 0 ? tree_load_failed(load, r, e) : 0;
}

int store_tree_load_new(
                const Peer *peer,
                PkramHandle *session,
                const char *name,
                const char *kernel_name,
                uint32_t n_objects,
                int directory,
                int tell,
                StoreTreeLoad **ret,
                StoreError *reterr_error) {

        _cleanup_(store_tree_load_freep) StoreTreeLoad *load = NULL;
        size_t size;
        int r;

        assert(peer);
        assert(session);
        assert(ret);

        load = malloc(sizeof(StoreTreeLoad));
        if (!load)
                return store_error_device(reterr_error, -ENOMEM);
        *load = (StoreTreeLoad) {
                .peer = peer, .handle = *session, .root = -EBADF, .tell = tell, .fd = -EBADF, .source = -EBADF,
                .name = strdup(name), .kernel_name = strdup(kernel_name),
        };
        *session = PKRAM_HANDLE_NONE;
        if (!load->name || !load->kernel_name)
                return store_error_device(reterr_error, -ENOMEM);

        r = store_read_manifest(&load->handle, n_objects, &load->manifest, &size);
        if (r == -ENOMSG || r == -EBADMSG || r == -EPROTONOSUPPORT || (r >= 0 && !load->manifest.tree))
                return tree_damaged(load, "The list of its objects cannot be read", reterr_error);
        if (r < 0)
                return store_error_device(reterr_error, r);
        if (load->manifest.verify) {
                r = store_read_checksums(&load->handle, name, &load->manifest, &load->checksums, reterr_error);
                if (r < 0)
                        return r;
        }

        r = sort_objects(load, reterr_error);
        if (r >= 0)
                r = read_table(load, reterr_error);
        if (r >= 0)
                r = tree_load_check_owners(load, reterr_error);
        if (r >= 0)
                r = open_target(load, directory, reterr_error);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(load);
        return 0;
}

int store_tree_load_commit(StoreTreeLoad *load, bool keep, StoreError *reterr_error) {
        int r;

        assert(load);

        /* This thaws the files. */
        if (!keep)
                target_set_state(load, TREE_TARGET_COMMITTING);
        r = keep ? 0 : pkram_load_remove(&load->handle, load->kernel_name);
        if (r == -EBUSY)
                return store_error_set(reterr_error, r, STORE_ERROR_NODE_BUSY, load->name, NULL);
        if (r < 0)
                return store_error_device(reterr_error, r);

        target_set_state(load, TREE_TARGET_DONE);
        return 0;
}

void store_tree_load_progress(const StoreTreeLoad *load, uint64_t *ret_done, uint64_t *ret_total) {
        uint64_t current = 0;

        /* A file counts when it has its pages; to copy or to check them takes longer. */
        if (load->fd >= 0) {
                current = load->file_bytes[load->next_file - 1];
                if (load->source >= 0)
                        current -= MIN(load->position, current);
                else if (load->checksum)
                        current -= MIN(checksum_position(load->checksum), current);
        }
        *ret_done = load->done - current;
        *ret_total = load->total;
}
