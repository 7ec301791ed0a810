/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What storing a tree will take, counted as store-tree-entry.c does it, without reading a file. */
#include <fcntl.h>
#include <search.h>

#include "kexec-facts.h"
#include "time-util.h"
#include "tree-files.h"

/* An entry of the table without its name: see tree-table.c. */
#define ENTRY_BYTES 48U

typedef struct Walk {
        TreeCost cost;
        uint64_t until_usec, table_bytes, chunk_bytes;
        void *links; /* inode numbers of files with several names */
        uint64_t n_entries;
        unsigned depth;
        dev_t device;
} Walk;

static int compare_inodes(const void *a, const void *b) {
        ino_t x = *(const ino_t *) a, y = *(const ino_t *) b;

        return (x > y) - (x < y);
}

/* Returns 1 if the file was counted under another name, 0 if it is remembered from now on, or -ENOMEM. */
static int is_link(Walk *w, ino_t ino) {
        ino_t *copy;

        if (tfind(&ino, &w->links, compare_inodes))
                return 1;
        copy = malloc(sizeof(ino_t));
        if (!copy)
                return -ENOMEM;
        *copy = ino;
        if (!tsearch(copy, &w->links, compare_inodes)) {
                free(copy);
                return -ENOMEM;
        }
        return 0;
}

static void count_file(Walk *w, const struct stat *st) {
        uint64_t size = (uint64_t) st->st_size, allocated = (uint64_t) st->st_blocks * 512;

        if (size > TREE_PACKED_MAX) {
                w->cost.objects++;
                (void) inc_u64(&w->cost.bytes, allocated);
                return;
        }
        if (w->chunk_bytes + size > TREE_CHUNK_MAX) {
                w->cost.objects++;
                w->chunk_bytes = 0;
        }
        /* Pages that are holes are left out, and the last one is cut. */
        size = MIN(size, allocated);
        w->chunk_bytes += size;
        (void) inc_u64(&w->cost.bytes, size);
}

static int walk_directory(Walk *w, int dir, const char *name);

static int count_entry(Walk *w, int dir, const char *name) {
        struct stat st;
        int r;

        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
                return errno == ENOENT ? 0 : -errno;
        /* What is mounted below is unmounted before. */
        if (st.st_dev != w->device)
                return 0;
        w->table_bytes += ENTRY_BYTES + strlen(name);
        w->n_entries++;
        if (S_ISDIR(st.st_mode))
                return walk_directory(w, dir, name);
        if (!S_ISREG(st.st_mode))
                return 0;
        if (st.st_nlink > 1) {
                r = is_link(w, st.st_ino);
                if (r != 0)
                        return MIN(r, 0);
        }
        count_file(w, &st);
        return 0;
}

static int walk_directory(Walk *w, int dir, const char *name) {
        _cleanup_free_ char *names = NULL;
        _cleanup_close_ int fd = -EBADF;
        size_t size = 0;
        int r;

        if (w->depth >= TREE_DEPTH_MAX)
                return -ELOOP;
        r = tree_open_directory(dir, name, &fd);
        if (r >= 0)
                r = tree_read_names(fd, &names, &size);
        if (r == -ENOENT || r == -EXDEV)
                return 0;
        w->depth++;
        for (size_t i = 0; r >= 0 && i < size; i += strlen(names + i) + 1) {
                r = count_entry(w, fd, names + i);
                if (r >= 0 && w->n_entries % 1024 == 0 && now_usec(CLOCK_MONOTONIC) > w->until_usec)
                        r = -ETIME;
        }
        w->depth--;
        return r;
}

int tree_cost(int directory, uint64_t usec, TreeCost *ret) {
        Walk w = { .until_usec = now_usec(CLOCK_MONOTONIC) + usec };
        struct stat st;
        int r;

        if (fstat(directory, &st) < 0)
                return -errno;
        w.device = st.st_dev;
        r = walk_directory(&w, directory, ".");
        tdestroy(w.links, free);
        if (r < 0 && r != -ETIME)
                return r;

        /* The last packed files, and the table. */
        w.cost.objects += (w.chunk_bytes > 0) + 1;
        (void) inc_u64(&w.cost.bytes, w.table_bytes);
        *ret = w.cost;
        return r >= 0;
}
