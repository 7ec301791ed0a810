/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "signal-util.h"

int signals_take(const int *signals, size_t n) {
        sigset_t set;
        int fd;

        (void) sigemptyset(&set);
        for (size_t i = 0; i < n; i++)
                (void) sigaddset(&set, signals[i]);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        return fd < 0 ? -errno : fd;
}

bool signal_came(int fd, int timeout_msec, struct signalfd_siginfo *ret) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        return poll(&p, 1, timeout_msec) > 0 && read(fd, ret, sizeof(*ret)) == sizeof(*ret);
}

const char *exit_to_text(int status, char *buffer, size_t size) {
        if (WIFSIGNALED(status))
                (void) snprintf(buffer, size, "signal %i (%s)", WTERMSIG(status),
                                sigdescr_np(WTERMSIG(status)) ?: "unknown");
        else
                (void) snprintf(buffer, size, "exit status %i", WEXITSTATUS(status));
        return buffer;
}
