/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "disk-aside.h"
#include "disk-io.h"
#include "disk-record.h"
#include "file-util.h"

/* Opens the directory of this token, and creates it. */
static int aside_create(int directory, const char *token) {
        _cleanup_close_ int all = -EBADF;

        all = disk_open_or_create(directory, DISK_SET_ASIDE);
        return all < 0 ? all : disk_open_or_create(all, token);
}

int disk_aside_open(int directory, const char *token) {
        _cleanup_close_ int all = disk_open_directory(directory, DISK_SET_ASIDE);

        return all < 0 ? all : disk_open_directory(all, token);
}

int disk_aside_move(int directory, const char *token, int from, const char *name) {
        _cleanup_close_ int aside = aside_create(directory, token);
        int r;

        if (aside < 0)
                return aside;
        r = disk_rename(from, name, aside, name, RENAME_NOREPLACE);
        /* Something of that name may have been set aside before. */
        for (unsigned i = 1; r == -EEXIST && i < 1000; i++) {
                char numbered[280];

                (void) snprintf(numbered, sizeof(numbered), "%u-%.255s", i, name);
                r = disk_rename(from, name, aside, numbered, RENAME_NOREPLACE);
        }
        if (r >= 0)
                r = disk_sync(aside);
        if (r >= 0)
                r = disk_sync(from);
        return r;
}

static int remove_tree(int dir, const char *name, unsigned depth) {
        _cleanup_closedir_ DIR *stream = NULL;
        const struct dirent *de;
        int r;

        r = disk_stream_open(disk_open_directory(dir, name), &stream);
        if (r == -ENOTDIR || r == -ELOOP)
                return disk_unlink(dir, name, 0);
        if (r < 0)
                return r;
        if (depth == 0)
                return -ELOOP;

        while ((de = disk_read_entry(stream, &r)))
                if (!streq(de->d_name, ".") && !streq(de->d_name, ".."))
                        r = remove_tree(dirfd(stream), de->d_name, depth - 1);
        return r < 0 ? r : disk_unlink(dir, name, AT_REMOVEDIR);
}

int disk_aside_expire(int directory, uint64_t seconds) {
        _cleanup_closedir_ DIR *stream = NULL;
        const struct dirent *de;
        time_t now = time(NULL);
        int r;

        r = disk_stream_open(disk_open_directory(directory, DISK_SET_ASIDE), &stream);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        while ((de = disk_read_entry(stream, &r))) {
                struct stat st;

                if (!disk_token_is_valid(de->d_name) ||
                    fstatat(dirfd(stream), de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                if (st.st_mtime > now || (uint64_t) (now - st.st_mtime) < seconds)
                        continue;
                r = remove_tree(dirfd(stream), de->d_name, 4);
        }
        return r;
}
