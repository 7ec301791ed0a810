/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-login.h>

#include "guard-tell.h"
#include "macro.h"

static void strv_freep(char ***l) {
        if (*l)
                for (char **s = *l; *s; s++)
                        free(*s);
        free(*l);
}

static void tell_one(const char *path, const char *text) {
        _cleanup_close_ int fd = -EBADF;

        /* O_NONBLOCK: a terminal that was stopped with ^S must not stop us. */
        fd = open(path, O_WRONLY|O_CLOEXEC|O_NOCTTY|O_NONBLOCK);
        if (fd < 0 || !isatty(fd))
                return;

        /* Raw terminals need the carriage return. */
        (void) dprintf(fd, "\r\n");
        for (const char *p = text; *p;) {
                size_t n = strcspn(p, "\n");

                (void) dprintf(fd, "%.*s\r\n", (int) n, p);
                p += n;
                if (*p == '\n')
                        p++;
        }
}

void tell_terminals(const char *text) {
        _cleanup_(strv_freep) char **sessions = NULL;
        int n;

        assert(text);

        tell_one("/dev/console", text);

        n = sd_get_sessions(&sessions);
        for (int i = 0; i < n; i++) {
                _cleanup_free_ char *tty = NULL, *path = NULL;

                if (sd_session_get_tty(sessions[i], &tty) < 0 || strstr(tty, ".."))
                        continue;
                if (asprintf(&path, "/dev/%s", tty) < 0) {
                        path = NULL;
                        return;
                }
                tell_one(path, text);
        }
}
