/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "guest-process.h"
#include "log.h"
#include "signal-util.h"

/* The first number of a descriptor that is not of the standard ones. */
#define FIRST_FD (STDERR_FILENO + 1)

int process_wait(GuestRun *run, uint64_t usec) {
        struct pollfd p = { .fd = run->process, .events = POLLIN };
        int r;

        if (run->process < 0)
                return 1;
        r = poll(&p, 1, (int) (usec / 1000));
        if (r <= 0)
                return r < 0 && errno != EINTR ? -errno : 0;
        if (waitpid(run->pid, &run->status, 0) < 0)
                return -errno;
        run->process = safe_close(run->process);
        run->qmp = qmp_free(run->qmp);
        return 1;
}

void process_end(GuestRun *run, uint64_t usec) {
        if (run->process < 0)
                return;
        if (run->qmp && guest_quit(run->qmp, usec) >= 0 && process_wait(run, usec) > 0)
                return;
        (void) kill(run->pid, SIGKILL);
        (void) process_wait(run, QUIT_USEC);
}

/* In the child. */
static void process_exec(const GuestRun *run, char **arguments) __attribute__((noreturn));
static void process_exec(const GuestRun *run, char **arguments) {
        sigset_t set;

        /* QEMU's own handlers for these never run. */
        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGTERM);
        (void) sigaddset(&set, SIGINT);
        (void) sigaddset(&set, SIGHUP);
        (void) sigprocmask(SIG_SETMASK, &set, NULL);
        (void) unsetenv("NOTIFY_SOCKET");
        (void) unsetenv("WATCHDOG_PID");
        (void) unsetenv("WATCHDOG_USEC");

        /* The lock of the directory lasts as long as QEMU does. */
        if (fcntl(run->directory, F_DUPFD, FIRST_FD) < 0)
                _exit(EXIT_FAILURE);
        (void) execvp(arguments[0], arguments);
        (void) log_error_errno(-errno, "Failed to execute '%s'", arguments[0]);
        _exit(127);
}

int process_start(GuestRun *run, bool incoming) {
        _cleanup_list_ StringList arguments = {};
        _cleanup_close_ int ours = -EBADF, theirs = -EBADF, monitor = -EBADF;
        int pair[2], r;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        ours = pair[0];
        theirs = pair[1];
        /* QEMU keeps the descriptors that pkram-qemu was started with, since its arguments may have their numbers
         * (fd=3). So the monitor gets one that is free here. */
        monitor = fcntl(theirs, F_DUPFD, FIRST_FD);
        if (monitor < 0)
                return -errno;
        r = qemu_plan_command(&run->plan, run->config.command.item, run->path, monitor, incoming, &arguments);
        if (r < 0)
                return r;

        run->pid = fork();
        if (run->pid < 0)
                return -errno;
        if (run->pid == 0)
                process_exec(run, arguments.item);
        run->process = pidfd_open(run->pid, 0);
        if (run->process < 0) {
                r = -errno;
                (void) kill(run->pid, SIGKILL);
                (void) waitpid(run->pid, NULL, 0);
                return r;
        }
        theirs = safe_close(theirs);
        monitor = safe_close(monitor);
        return qmp_new(TAKE_FD(ours), &run->qmp);
}

int process_complain(GuestRun *run, int r, const char *what) {
        char end[128];

        if (process_wait(run, USEC_PER_SEC) > 0) {
                log_error("QEMU ended (%s) when %s.", exit_to_text(run->status, end, sizeof(end)), what);
                return r;
        }
        return log_error_errno(r, "Failed to get an answer from QEMU when %s", what);
}
