/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <systemd/sd-login.h>

#include "file-util.h"
#include "process-util.h"
#include "utf8.h"

char *proc_read(int dir, const char *name) {
        char *text;

        return virtual_file_read(dir, name, SIZE_MAX, &text) < 0 ? NULL : text;
}

int processes_foreach(int (*callback)(int process, pid_t pid, void *userdata), void *userdata) {
        _cleanup_closedir_ DIR *proc = opendir("/proc");
        struct dirent *e;
        int r = 0;

        while (proc && r == 0 && (e = readdir(proc))) {
                _cleanup_close_ int process = -EBADF;

                if (e->d_name[strspn(e->d_name, "0123456789")])
                        continue;
                process = openat(dirfd(proc), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (process >= 0 && atoi(e->d_name) != getpid())
                        r = callback(process, atoi(e->d_name), userdata);
        }
        return r;
}

char *process_unit(pid_t pid) {
        char *unit;

        return sd_pid_get_unit(pid, &unit) < 0 ? NULL : unit;
}

char *process_text(int process, pid_t pid, const char *unit) {
        _cleanup_free_ char *comm = proc_read(process, "comm"), *name = NULL;
        char *text;

        if (!comm)
                return NULL;
        comm[strcspn(comm, "\n")] = 0;
        name = utf8_escape(comm);
        if (!name)
                return NULL;
        return asprintf(&text, unit ? "%s (%i, %s)" : "%s (%i)", name, pid, unit) < 0 ? NULL : text;
}

int name_list_add(NameList *l, const char *name) {
        char *more;

        if (l->n++ == l->max ? asprintf(&more, "%s and others", l->text) < 0 :
            asprintf(&more, "%s%s%s", l->text ?: "", l->text ? ", " : "", name) < 0)
                return -ENOMEM;
        free(l->text);
        l->text = more;
        return l->n > l->max ? 1 : 0;
}
