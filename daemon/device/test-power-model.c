/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "test-power-model.h"
#include "test.h"

#define PAGE 4096
#define NAMES_MAX 64U
#define INODES_MAX 4096U

/* The names in a directory at a moment. */
typedef struct View {
        struct {
                char name[256];
                unsigned inode;
        } names[NAMES_MAX];
        size_t n;
} View;

typedef struct Inode {
        dev_t dev;
        ino_t ino;
        int fd;         /* kept open, so that the number is not used again, and removed files can be read */
        bool directory;
        int synced;     /* of a file: a memfd with the data that is durable, or -EBADF if there is none */
        View *views;    /* of a directory: the one that is durable, and those since then */
        size_t n_views, views_allocated;
} Inode;

struct PowerModel {
        Inode inodes[INODES_MAX]; /* the first one is the root */
        unsigned n;
        uint64_t random;
};

static unsigned power_random(PowerModel *m, unsigned n) {
        m->random = m->random * 6364136223846793005 + 1442695040888963407;
        return (unsigned) (m->random >> 33) % n;
}

static unsigned inode_find(PowerModel *m, const struct stat *st) {
        for (unsigned i = 0; i < m->n; i++)
                if (m->inodes[i].dev == st->st_dev && m->inodes[i].ino == st->st_ino)
                        return i;
        return UINT32_MAX;
}

static void view_add(Inode *inode, const View *view) {
        assert_ok(GREEDY_REALLOC(inode->views, inode->views_allocated, inode->n_views + 1));
        inode->views[inode->n_views++] = *view;
}

/* Takes the descriptor over. */
static unsigned inode_add(PowerModel *m, int fd, const struct stat *st) {
        static const View empty = {};
        Inode *inode = m->inodes + m->n;

        assert_true(m->n < INODES_MAX);
        *inode = (Inode) { .dev = st->st_dev, .ino = st->st_ino, .fd = fd, .directory = S_ISDIR(st->st_mode),
                           .synced = -EBADF };
        if (inode->directory)
                view_add(inode, &empty);
        return m->n++;
}

static bool directory_look(PowerModel *m, unsigned directory) {
        int fd = openat(m->inodes[directory].fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        bool changed = false;
        View view = {};
        struct dirent *de;
        DIR *d;

        assert_non_null(d = fdopendir(fd));
        while ((de = readdir(d))) {
                struct stat st;
                unsigned i;

                if (streq(de->d_name, ".") || streq(de->d_name, ".."))
                        continue;
                assert_ok(fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW));
                i = inode_find(m, &st);
                if (i == UINT32_MAX) {
                        int own = openat(fd, de->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

                        assert_ok(own);
                        i = inode_add(m, own, &st);
                }
                assert_true(view.n < NAMES_MAX);
                (void) snprintf(view.names[view.n].name, sizeof(view.names[view.n].name), "%s", de->d_name);
                view.names[view.n++].inode = i;
                if (m->inodes[i].directory)
                        changed = directory_look(m, i) || changed;
        }
        (void) closedir(d);

        Inode *inode = m->inodes + directory;
        const View *last = inode->views + inode->n_views - 1;
        if (view.n == last->n && memcmp(view.names, last->names, view.n * sizeof(view.names[0])) == 0)
                return changed;
        view_add(inode, &view);
        return true;
}

/* Copies data, with its holes. pages: leaves out half of the pages. */
static void data_copy(PowerModel *m, int from, int to, bool pages) {
        struct stat st;
        off_t data = 0;

        assert_ok(fstat(from, &st));
        assert_ok(ftruncate(to, st.st_size));
        while ((data = lseek(from, data, SEEK_DATA)) >= 0) {
                off_t hole = lseek(from, data, SEEK_HOLE);

                for (; data < hole; data += PAGE) {
                        uint8_t buffer[PAGE];
                        ssize_t n;

                        if (pages && power_random(m, 2))
                                continue;
                        n = pread(from, buffer, sizeof(buffer), data);
                        assert_true(n >= 0);
                        assert_int_equal(pwrite(to, buffer, (size_t) n, data), n);
                }
                data = hole;
        }
}

PowerModel *power_model_free(PowerModel *m) {
        if (!m)
                return NULL;
        for (unsigned i = 0; i < m->n; i++) {
                safe_close(m->inodes[i].fd);
                safe_close(m->inodes[i].synced);
                free(m->inodes[i].views);
        }
        free(m);
        return NULL;
}

bool power_model_look(PowerModel *m) {
        return directory_look(m, 0);
}

static void stat_sync(PowerModel *m, const struct stat *st) {
        unsigned i = inode_find(m, st);

        /* Not below the root, or removed before anything saw it. */
        if (i == UINT32_MAX)
                return;
        Inode *inode = m->inodes + i;
        if (inode->directory) {
                inode->views[0] = inode->views[inode->n_views - 1];
                inode->n_views = 1;
                return;
        }
        safe_close(inode->synced);
        assert_ok(inode->synced = memfd_create("synced", MFD_CLOEXEC));
        data_copy(m, inode->fd, inode->synced, false);
}

void power_model_sync(PowerModel *m, int fd) {
        struct stat st;

        assert_ok(fstat(fd, &st));
        stat_sync(m, &st);
}

void power_model_sync_inode(PowerModel *m, ino_t ino) {
        stat_sync(m, &(struct stat) { .st_dev = m->inodes[0].dev, .st_ino = ino });
}

PowerModel *power_model_new(const char *path) {
        PowerModel *m = calloc(1, sizeof(PowerModel));
        struct stat st;
        int fd;

        assert_non_null(m);
        m->random = 1;
        assert_ok(fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        assert_ok(fstat(fd, &st));
        (void) inode_add(m, fd, &st);
        (void) power_model_look(m);
        for (unsigned i = 0; i < m->n; i++)
                power_model_sync(m, m->inodes[i].fd);
        return m;
}

static void directory_cut(PowerModel *m, const Inode *inode, PowerCut cut, int to) {
        const View *view = inode->views;

        if (cut == POWER_CUT_NAMES || cut == POWER_CUT_WRITTEN)
                view += inode->n_views - 1;
        if (cut == POWER_CUT_RANDOM)
                view += power_random(m, (unsigned) inode->n_views);

        for (size_t i = 0; i < view->n; i++) {
                const Inode *entry = m->inodes + view->names[i].inode;
                _cleanup_close_ int fd = -EBADF;

                if (entry->directory) {
                        assert_ok(mkdirat(to, view->names[i].name, 0700));
                        fd = openat(to, view->names[i].name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                        assert_ok(fd);
                        directory_cut(m, entry, cut, fd);
                        continue;
                }
                fd = openat(to, view->names[i].name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
                assert_ok(fd);
                if (entry->synced >= 0)
                        data_copy(m, entry->synced, fd, false);
                if (cut == POWER_CUT_DATA || cut == POWER_CUT_WRITTEN || cut == POWER_CUT_RANDOM)
                        data_copy(m, entry->fd, fd, cut == POWER_CUT_RANDOM);
        }
}

void power_model_cut(PowerModel *m, PowerCut cut, const char *to) {
        _cleanup_close_ int fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_ok(fd);
        directory_cut(m, m->inodes, cut, fd);
}
