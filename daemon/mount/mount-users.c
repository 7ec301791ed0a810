/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "file-util.h"
#include "mount-users.h"
#include "utf8.h"

/* Processes that are named. */
#define USERS_MAX 5U

static bool link_uses(int dir, const char *name, dev_t device) {
        struct stat st;

        return fstatat(dir, name, &st, 0) >= 0 && st.st_dev == device;
}

/* One of the directories in /proc/PID that are full of links to files. */
static bool links_use(int process, const char *name, dev_t device) {
        _cleanup_closedir_ DIR *d = NULL;
        struct dirent *e;
        int fd;

        fd = openat(process, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return false;
        d = fdopendir(fd);
        if (!d) {
                safe_close(fd);
                return false;
        }

        while ((e = readdir(d)))
                if (e->d_name[0] != '.' && link_uses(fd, e->d_name, device))
                        return true;
        return false;
}

static bool process_uses(int process, dev_t device) {
        return link_uses(process, "cwd", device) || link_uses(process, "root", device) ||
                links_use(process, "fd", device) || links_use(process, "map_files", device);
}

/* The name of a process, fit to be printed. NULL: it is gone. */
static char *process_name(int process) {
        char text[64];
        _cleanup_close_ int fd = openat(process, "comm", O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

        if (n <= 0)
                return NULL;
        text[n] = 0;
        text[strcspn(text, "\n")] = 0;
        return utf8_escape(text);
}

char *mount_users(dev_t device) {
        _cleanup_closedir_ DIR *proc = opendir("/proc");
        _cleanup_free_ char *users = NULL;
        struct dirent *e;
        unsigned n = 0;

        while (proc && n <= USERS_MAX && (e = readdir(proc))) {
                _cleanup_close_ int process = -EBADF;
                _cleanup_free_ char *name = NULL;
                char *more;

                if (e->d_name[strspn(e->d_name, "0123456789")])
                        continue;
                process = openat(dirfd(proc), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (process < 0 || strtol(e->d_name, NULL, 10) == getpid() || !process_uses(process, device))
                        continue;
                name = process_name(process);
                if (!name)
                        continue;

                if (n++ == USERS_MAX ? asprintf(&more, "%s and others", users) < 0 :
                    asprintf(&more, "%s%s%s (%s)", users ?: "", users ? ", " : "", name, e->d_name) < 0)
                        return NULL;
                free(users);
                users = more;
        }
        return TAKE_PTR(users);
}
