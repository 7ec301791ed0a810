/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Storing one thing of a tree after the other: a directory, a file, a link. */
#include <fcntl.h>
#include <search.h>
#include <stdio.h>

#include "tree-save.h"
#include "utf8.h"

/* A file with more than one name, and the entry of the first. */
typedef struct Link {
        ino_t ino;
        uint32_t entry;
} Link;

/* --- saying no --- */

/* Appends a file name, escaped, to a message. Truncates it at the end of a character if the message becomes too
 * long. */
static void append_name(char *text, size_t *n, size_t max, const char *name) {
        _cleanup_free_ char *escaped = utf8_escape(name);

        for (const char *p = escaped ?: "?"; *p;) {
                int k = utf8_char_length(p, strlen(p));

                if (*n + (size_t) k + 4 > max)
                        break;
                memcpy(text + *n, p, (size_t) k);
                *n += (size_t) k;
                p += k;
        }
        text[*n] = 0;
}

/* Which path of the tree cannot be kept, and why. name: within the directory that is open, or NULL for that itself. */
static int tree_entry_not_preservable(const TreeSave *t, const char *name, StoreError *e, const char *reason) {
        size_t n = 0, first = t->n_levels > 12 ? t->n_levels - 12 : 0;
        char text[1024] = ".";

        n = 1;
        if (first > 0)
                append_name(text, &n, sizeof(text) - 400, "/...");
        for (size_t i = first; i + 1 < t->n_levels; i++) {
                append_name(text, &n, sizeof(text) - 400, "/");
                append_name(text, &n, sizeof(text) - 400, t->levels[i].names + t->levels[i].position);
        }
        if (name) {
                append_name(text, &n, sizeof(text), "/");
                append_name(text, &n, sizeof(text), name);
        }

        return store_error_set(e, -EOPNOTSUPP, STORE_ERROR_NOT_PRESERVABLE, NULL,
                               "'%s' in the tree cannot be preserved: %s.", text, reason);
}

static int tree_entry_changed(const TreeSave *t, const char *name, StoreError *e) {
        return tree_entry_not_preservable(t, name, e, "it changed while it was being stored; stop the processes that "
                                          "use it and try again");
}

static int tree_entry_failed(const TreeSave *t, const char *name, int r, StoreError *e) {
        char reason[256];

        if (r == -ENOENT || r == -ESTALE || r == -ENOTDIR || r == -ELOOP)
                return tree_entry_changed(t, name, e);
        if (r == -EXDEV)
                return tree_entry_not_preservable(t, name, e,
                                                  "another file system is mounted there; unmount it first");
        if (r == -EOPNOTSUPP)
                return tree_entry_not_preservable(t, name, e, "it has an extended attribute of a kind that is not "
                                                  "known here; remove it with setfattr -x");
        if (r == -ENOSYS)
                return tree_entry_not_preservable(t, name, e, "letter case does not matter in it (chattr +F), "
                                                              "which cannot be preserved; use another directory");
        if (r == -ENOMEM || r == -EFBIG)
                return store_error_device(e, -ENOMEM);

        (void) snprintf(reason, sizeof(reason), "reading it failed with '%s'", strerror(-r));
        return tree_entry_not_preservable(t, name, e, reason);
}

/* --- entries --- */

static int compare_links(const void *a, const void *b) {
        ino_t x = ((const Link *) a)->ino, y = ((const Link *) b)->ino;

        return (x > y) - (x < y);
}

/* The entry that had this file first, or NULL if this is the first; it is remembered then. */
static int find_link(TreeSave *t, const struct stat *st, const Link **ret) {
        Link key = { .ino = st->st_ino, .entry = t->table.n_entries }, **found;
        Link *copy;

        found = tfind(&key, &t->links, compare_links);
        if (found) {
                *ret = *found;
                return 0;
        }

        copy = malloc(sizeof(Link));
        if (!copy)
                return -ENOMEM;
        *copy = key;
        if (!tsearch(copy, &t->links, compare_links)) {
                free(copy);
                return -ENOMEM;
        }
        *ret = NULL;
        return 0;
}

/* Adds the entry, with the attributes that its file has by now. */
static int tree_entry_add(StoreSave *save, int fd, TreeEntry *entry, const struct stat *st, StoreError *e) {
        _cleanup_free_ uint8_t *xattrs = NULL;
        TreeSave *t = save->tree;
        int r;

        r = tree_read_xattrs(fd, &xattrs, &entry->xattrs_size);
        if (r < 0)
                return tree_entry_failed(t, *entry->name ? entry->name : NULL, r, e);
        if (save->peer.uid != 0 && tree_has_privileged_xattr(xattrs, entry->xattrs_size))
                return tree_entry_not_preservable(t, *entry->name ? entry->name : NULL, e,
                                                  "it has capabilities or other attributes that only root may give, "
                                                  "and so only root may store it");

        if (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode)) {
                r = tree_read_flags(fd, &entry->flags);
                if (r < 0)
                        return tree_entry_failed(t, *entry->name ? entry->name : NULL, r, e);
                if (save->peer.uid != 0 && (entry->flags & (TREE_FLAG_IMMUTABLE | TREE_FLAG_APPEND)))
                        return tree_entry_not_preservable(t, *entry->name ? entry->name : NULL, e,
                                                          "it is immutable or append-only, and only root may store "
                                                          "that; use chattr -ia");
        }

        entry->mode = st->st_mode & 07777;
        entry->uid = st->st_uid;
        entry->gid = st->st_gid;
        entry->atime = st->st_atim;
        entry->mtime = st->st_mtim;
        entry->xattrs = xattrs;
        r = tree_table_add(&t->table, entry);
        if (r == -EFBIG)
                return tree_entry_not_preservable(t, NULL, e, "there are too many files");
        return r < 0 ? store_error_device(e, r) : 0;
}

int tree_enter(StoreSave *save, int dir, const char *name, const struct stat *expected, StoreError *e) {
        TreeSave *t = save->tree;
        TreeLevel l = { .fd = -EBADF };
        TreeEntry entry = { .type = TREE_DIRECTORY, .depth = (unsigned) t->n_levels,
                            .name = t->n_levels > 0 ? name : "" };
        int r;

        if (t->n_levels > TREE_DEPTH_MAX)
                return tree_entry_not_preservable(t, name, e, "it is more than 4096 directories deep");

        r = tree_open_directory(dir, name, &l.fd);
        if (r >= 0 && fstat(l.fd, &l.st) < 0)
                r = -errno;
        if (r >= 0 && (l.st.st_ino != expected->st_ino || l.st.st_dev != expected->st_dev))
                r = -ESTALE;
        if (r >= 0)
                r = tree_read_names(l.fd, &l.names, &l.size);
        if (r >= 0)
                r = GREEDY_REALLOC(t->levels, t->allocated, t->n_levels + 1);
        r = r < 0 ? tree_entry_failed(t, t->n_levels > 0 ? name : NULL, r, e) :
                tree_entry_add(save, l.fd, &entry, &l.st, e);
        if (r < 0) {
                tree_level_done(&l);
                return r;
        }

        t->levels[t->n_levels++] = l;
        return 0;
}

/* Everything in a directory was seen: it has to be as it was. */
int tree_leave(TreeSave *t, StoreError *e) {
        TreeLevel *l = t->levels + t->n_levels - 1;
        struct stat st;

        if (fstat(l->fd, &st) < 0)
                return -errno;
        if (st.st_ctim.tv_sec != l->st.st_ctim.tv_sec || st.st_ctim.tv_nsec != l->st.st_ctim.tv_nsec)
                return tree_entry_changed(t, NULL, e);

        tree_level_done(l);
        t->n_levels--;
        if (t->n_levels > 0) {
                l = t->levels + t->n_levels - 1;
                l->position += strlen(l->names + l->position) + 1;
        }
        return 0;
}

static int pack_file(StoreSave *save, int fd, TreeEntry *entry, const struct stat *before, StoreError *e) {
        TreeSave *t = save->tree;
        struct stat st;
        int r;

        if (t->chunk_size + entry->size > TREE_CHUNK_MAX) {
                r = tree_flush(save, e);
                if (r < 0)
                        return r;
        }

        entry->type = TREE_PACKED;
        r = tree_read_packed(fd, entry->size, t->chunk + t->chunk_size, &entry->pages);
        if (r < 0)
                return tree_entry_failed(t, entry->name, r, e);

        /* Attributes are taken after the contents: none of them can belong to contents that came later. */
        if (fstat(fd, &st) < 0)
                return -errno;
        if (st.st_size != before->st_size || st.st_ctim.tv_sec != before->st_ctim.tv_sec ||
            st.st_ctim.tv_nsec != before->st_ctim.tv_nsec)
                return tree_entry_changed(t, entry->name, e);

        r = tree_entry_add(save, fd, entry, &st, e);
        if (r < 0)
                return r;
        t->chunk_size += tree_packed_bytes(entry);
        return 0;
}

static int freeze_file(StoreSave *save, int fd, TreeEntry *entry, StoreError *e) {
        TreeSave *t = save->tree;
        uint32_t object;
        uint64_t pages;
        struct stat st;
        int r;

        r = tree_new_object(save, e);
        if (r < 0)
                return r;
        /* It may be copied to a disk that has more room than the owner may use. */
        if (fstat(fd, &st) < 0)
                return -errno;
        r = store_save_check_quota(save, &t->usage, /* more= */ (uint64_t) st.st_blocks * 512, e);
        if (r < 0)
                return r;
        r = pkram_save_file(&save->handle, fd, &object, &pages);
        if (r < 0 && store_save_file_reason(r))
                return tree_entry_not_preservable(t, entry->name, e, store_save_file_reason(r));
        if (r == -ENOSPC)
                return store_error_quota(e, STORE_LIMIT_NEXT_KERNEL, save->bytes, entry->size, UINT64_MAX);
        if (r < 0)
                return store_error_device(e, r);
        if (object != manifest_kernel_object(save->n_objects - 1))
                return -EPROTO;

        store_save_add_stream(save, pages * 4096);
        t->saved += pages * 4096;
        r = store_save_check_quota(save, &t->usage, /* more= */ 0, e);
        if (r < 0)
                return r;

        /* It is frozen now. */
        if (fstat(fd, &st) < 0)
                return -errno;
        entry->type = TREE_FILE;
        entry->size = (uint64_t) st.st_size;
        store_save_add_size(save, entry->size);
        return tree_entry_add(save, fd, entry, &st, e);
}

static int save_regular(StoreSave *save, TreeEntry *entry, const struct stat *expected, StoreError *e) {
        TreeSave *t = save->tree;
        _cleanup_close_ int fd = -EBADF;
        struct stat st;
        int r;

        r = tree_open_file(t->levels[t->n_levels - 1].fd, entry->name, &fd);
        if (r >= 0 && fstat(fd, &st) < 0)
                r = -errno;
        if (r >= 0 && (!S_ISREG(st.st_mode) || st.st_ino != expected->st_ino || st.st_dev != expected->st_dev))
                r = -ESTALE;
        if (r < 0)
                return tree_entry_failed(t, entry->name, r, e);

        entry->size = (uint64_t) st.st_size;
        if (entry->size <= TREE_PACKED_MAX)
                return pack_file(save, fd, entry, &st, e);

        r = freeze_file(save, fd, entry, e);
        if (r < 0)
                return r;
        if (save->flags & STORE_VERIFY) {
                r = checksum_new(entry->size, &save->checksum);
                if (r < 0)
                        return store_error_device(e, r);
                t->fd = TAKE_FD(fd);
                t->current = (uint64_t) st.st_blocks * 512;
        }
        return 0;
}

static TreeType other_type(mode_t mode) {
        switch (mode & S_IFMT) {
        case S_IFLNK:
                return TREE_SYMLINK;
        case S_IFIFO:
                return TREE_FIFO;
        case S_IFSOCK:
                return TREE_SOCKET;
        case S_IFCHR:
                return TREE_CHARACTER;
        default:
                return TREE_BLOCK;
        }
}

/* Everything that holds no data: what cannot be opened but by O_PATH. */
static int save_other(StoreSave *save, const TreeEntry *entry, const struct stat *expected, StoreError *e) {
        TreeSave *t = save->tree;
        _cleanup_close_ int fd = -EBADF;
        char target[4096];
        TreeEntry other;
        struct stat st;
        ssize_t n;
        int r;

        r = tree_open_path(t->levels[t->n_levels - 1].fd, entry->name, &fd);
        if (r >= 0 && fstat(fd, &st) < 0)
                r = -errno;
        if (r < 0)
                return tree_entry_failed(t, entry->name, r, e);
        if (st.st_ino != expected->st_ino || st.st_dev != expected->st_dev ||
            (st.st_mode & S_IFMT) != (expected->st_mode & S_IFMT))
                return tree_entry_changed(t, entry->name, e);

        other = *entry;
        other.type = other_type(st.st_mode);
        other.device = st.st_rdev;
        if (other.type == TREE_SYMLINK) {
                n = readlinkat(fd, "", target, sizeof(target));
                if (n < 0)
                        return tree_entry_failed(t, entry->name, -errno, e);
                if (n == 0 || n >= (ssize_t) sizeof(target))
                        return tree_entry_not_preservable(t, entry->name, e,
                                                          "it is a symbolic link to an empty or too long path");
                target[n] = 0;
                other.target = target;
        }
        return tree_entry_add(save, fd, &other, &st, e);
}

/* Returns why an unprivileged user may not store this, since restoring would create it with root's rights; or NULL. */
static const char *why_not_for_user(const StoreSave *save, const struct stat *st) {
        if (st->st_uid != save->peer.uid)
                return "it is owned by another user, which only root may store";
        if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
                return "it is a device node, and only root may store that; remove it, or leave out such files";
        if (S_ISREG(st->st_mode) && (st->st_mode & S_ISGID) && st->st_gid != save->peer.gid)
                return "it runs with the rights of another group, and only root may store that; use chmod g-s";
        return NULL;
}

static bool is_special(mode_t mode) {
        return S_ISSOCK(mode) || S_ISCHR(mode) || S_ISBLK(mode);
}

int tree_save_entry(StoreSave *save, StoreError *e) {
        TreeSave *t = save->tree;
        TreeLevel *l = t->levels + t->n_levels - 1;
        const char *name = l->names + l->position;
        TreeEntry entry = { .depth = (unsigned) t->n_levels, .name = name };
        const Link *link = NULL;
        struct stat st;
        int r;

        if (fstatat(l->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return tree_entry_failed(t, name, -errno, e);
        if (st.st_dev != l->st.st_dev)
                return tree_entry_not_preservable(t, name, e,
                                                  "another file system is mounted there; unmount it first");
        if (is_special(st.st_mode) && (save->flags & STORE_SKIP_SPECIAL)) {
                l->position += strlen(name) + 1;
                return 0;
        }
        if (save->peer.uid != 0 && why_not_for_user(save, &st))
                return tree_entry_not_preservable(t, name, e, why_not_for_user(save, &st));

        /* The name is done with when everything in it is: see tree_leave(). */
        if (S_ISDIR(st.st_mode))
                return tree_enter(save, l->fd, name, &st, e);

        if (st.st_nlink > 1) {
                r = find_link(t, &st, &link);
                if (r < 0)
                        return store_error_device(e, r);
        }
        if (link) {
                entry.type = TREE_LINK;
                entry.link = link->entry;
                r = tree_table_add(&t->table, &entry);
                if (r < 0)
                        return tree_entry_failed(t, name, r, e);
        } else if (S_ISREG(st.st_mode))
                r = save_regular(save, &entry, &st, e);
        else
                r = save_other(save, &entry, &st, e);
        if (r < 0)
                return r;

        if (!link)
                t->done += (uint64_t) st.st_blocks * 512;
        l->position += strlen(name) + 1;
        return 0;
}
