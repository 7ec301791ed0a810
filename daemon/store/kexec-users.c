/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <systemd/sd-login.h>

#include "file-util.h"
#include "kexec-units.h"
#include "kexec-users.h"
#include "utf8.h"

/* Processes that are named. */
#define WRITERS_MAX 4U

static bool fd_is_of(int dir, const char *name, dev_t device) {
        struct statx st;

        /* A file of a server that does not answer must not be waited for. */
        if (statx(dir, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &st) < 0)
                return false;
        return makedev(st.stx_dev_major, st.stx_dev_minor) == device && S_ISREG(st.stx_mode);
}

/* The flags that a descriptor was opened with, from its file in fdinfo/. */
static bool fd_is_writable(int process, const char *name) {
        char path[64], text[512];
        _cleanup_close_ int fd = -EBADF;
        const char *flags;
        unsigned long v;
        ssize_t n;

        (void) snprintf(path, sizeof(path), "fdinfo/%s", name);
        fd = openat(process, path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        if (n <= 0)
                return false;
        text[n] = 0;
        flags = strstr(text, "flags:");
        if (!flags)
                return false;
        v = strtoul(flags + strlen("flags:"), NULL, 8);
        return !(v & O_PATH) && (v & O_ACCMODE) != O_RDONLY;
}

static bool fds_can_write(int process, dev_t device) {
        _cleanup_closedir_ DIR *d = NULL;
        struct dirent *e;
        int fd;

        fd = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return false;
        d = fdopendir(fd);
        if (!d) {
                safe_close(fd);
                return false;
        }
        while ((e = readdir(d)))
                if (e->d_name[0] != '.' && fd_is_of(fd, e->d_name, device) && fd_is_writable(process, e->d_name))
                        return true;
        return false;
}

/* A shared mapping that may be written outlives the descriptor. */
static bool maps_can_write(int process, dev_t device) {
        _cleanup_free_ char *line = NULL;
        bool found = false;
        size_t allocated = 0;
        FILE *f;
        int fd;

        fd = openat(process, "maps", O_RDONLY | O_CLOEXEC);
        f = fd < 0 ? NULL : fdopen(fd, "r");
        if (!f) {
                safe_close(fd);
                return false;
        }
        while (!found && getline(&line, &allocated, f) >= 0) {
                unsigned major, minor;
                char perms[5];

                found = sscanf(line, "%*s %4s %*s %x:%x", perms, &major, &minor) == 3 && perms[1] == 'w' && perms[3] == 's' &&
                        makedev(major, minor) == device;
        }
        (void) fclose(f);
        return found;
}

/* The name of a process without control characters. NULL if it is gone. */
static char *process_name(int process) {
        char text[64], *valid;
        _cleanup_close_ int fd = openat(process, "comm", O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

        if (n <= 0)
                return NULL;
        text[n] = 0;
        text[strcspn(text, "\n")] = 0;
        valid = utf8_sanitize(text);
        for (char *p = valid; p && *p; p++)
                if ((unsigned char) *p < 0x20 || *p == 0x7f)
                        *p = '?';
        return valid;
}

char *kexec_tree_writers(sd_bus *bus, dev_t device, const char *path, const char *tree) {
        _cleanup_closedir_ DIR *proc = bus ? opendir("/proc") : NULL;
        _cleanup_free_ char *users = NULL;
        struct dirent *e;
        unsigned n = 0;

        while (proc && n <= WRITERS_MAX && (e = readdir(proc))) {
                _cleanup_close_ int process = -EBADF;
                _cleanup_free_ char *name = NULL, *unit = NULL;
                char *more;
                pid_t pid;

                if (e->d_name[strspn(e->d_name, "0123456789")])
                        continue;
                pid = (pid_t) strtol(e->d_name, NULL, 10);
                process = openat(dirfd(proc), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (process < 0 || pid == getpid() || (!fds_can_write(process, device) && !maps_can_write(process, device)))
                        continue;
                /* Without an answer of the service manager it is taken to be stopped in time. */
                if (sd_pid_get_unit(pid, &unit) >= 0 && kexec_unit_stops_before(bus, unit, path, tree) != 0)
                        continue;
                name = process_name(process);
                if (!name)
                        continue;

                if (n++ == WRITERS_MAX ? asprintf(&more, "%s and others", users) < 0 :
                    asprintf(&more, "%s%s%s (%s%s%s)", users ?: "", users ? ", " : "", name, e->d_name, unit ? ", " : "",
                             unit ?: "") < 0)
                        return NULL;
                free(users);
                users = more;
        }
        return TAKE_PTR(users);
}
