/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tree-files.h"
#include "tree-target.h"

void tree_target_init(TreeTarget *t, const struct stat *st) {
        *t = (TreeTarget) {
                .state = TREE_TARGET_UNTOUCHED,
                .uid = st->st_uid,
                .gid = st->st_gid,
                .mode = st->st_mode & 07777,
                .atime_sec = st->st_atim.tv_sec,
                .mtime_sec = st->st_mtim.tv_sec,
                .atime_nsec = (uint32_t) st->st_atim.tv_nsec,
                .mtime_nsec = (uint32_t) st->st_mtim.tv_nsec,
        };
}

int tree_target_lock(int directory) {
        /* In this order: as long as they own the directory, its owner can undo changes of its mode. */
        if (fchown(directory, geteuid(), getegid()) < 0)
                return -errno;
        return fchmod(directory, 0700) < 0 ? -errno : 0;
}

int tree_target_unlock(int directory, const TreeTarget *t) {
        const struct timespec times[] = { { t->atime_sec, t->atime_nsec }, { t->mtime_sec, t->mtime_nsec } };
        int r = 0;

        if (fchown(directory, t->uid, t->gid) < 0)
                r = -errno;
        if (fchmod(directory, t->mode) < 0 && r >= 0)
                r = -errno;
        if (futimens(directory, times) < 0 && r >= 0)
                r = -errno;
        return r;
}

int tree_target_put_back(int directory, const TreeTarget *t) {
        int r = 0, k;

        if (t->state == TREE_TARGET_UNTOUCHED || t->state == TREE_TARGET_DONE)
                return 0;

        /* The directory may have got the attributes of the tree already, and an immutable one takes no others. */
        if (t->state != TREE_TARGET_LOCKED) {
                (void) tree_write_flags(directory, 0);
                (void) tree_target_lock(directory);
                r = tree_remove_contents(directory);
        }
        k = tree_target_unlock(directory, t);
        return r < 0 ? r : k;
}

void tree_target_tell(int fd, const TreeTarget *t) {
        /* It fits into a pipe many times. If pkramd is gone, nothing listens, and the directory is put back by this
         * process. */
        if (fd >= 0)
                (void) !write(fd, t, sizeof(*t));
}

int tree_target_listen(int fd, TreeTarget *t) {
        TreeTarget told;
        ssize_t n;

        for (;;) {
                n = read(fd, &told, sizeof(told));
                if (n == 0)
                        return 1;
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return errno == EAGAIN ? 0 : -errno;
                if (n != sizeof(told) || told.state >= _TREE_TARGET_STATE_MAX)
                        return -EBADMSG;
                *t = told;
        }
}
