/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Colours, width and pager, by the rules of systemd's programs, see systemctl(1), "Environment". */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "ctl.h"

static pid_t pager_pid;
static int terminal_fd = -EBADF; /* standard output, while it is connected to the pager */

/* Parses a boolean as systemd does. Returns 1, 0 or -EINVAL. */
static int parse_boolean(const char *s) {
        static const char *const yes[] = { "1", "yes", "y", "true", "t", "on" },
                *const no[] = { "0", "no", "n", "false", "f", "off" };

        for (size_t i = 0; i < ELEMENTSOF(yes); i++) {
                if (strcasecmp(s, yes[i]) == 0)
                        return 1;
                if (strcasecmp(s, no[i]) == 0)
                        return 0;
        }
        return -EINVAL;
}

static bool terminal_is_dumb(void) {
        const char *term = getenv("TERM");

        return !term || streq(term, "dumb");
}

/* Checks whether standard output is a terminal. The first result is cached, because the pager replaces it later. */
static bool on_terminal(void) {
        static int cached = -1;

        if (cached < 0)
                cached = isatty(STDOUT_FILENO) > 0;
        return cached;
}

static bool detect_colors(bool terminal) {
        const char *e = getenv("SYSTEMD_COLORS");

        if (e) {
                static const char *const more[] = { "16", "256", "24bit", "auto-16", "auto-256", "auto-24bit" };
                int r = parse_boolean(e);

                if (r >= 0)
                        return r;
                for (size_t i = 0; i < ELEMENTSOF(more); i++)
                        if (streq(e, more[i]))
                                return i < 3 || (terminal && !terminal_is_dumb());
        }

        e = getenv("NO_COLOR");
        if (e && *e)
                return false;
        return terminal && !terminal_is_dumb();
}

const char *color(Color c) {
        static const char *const codes[] = {
                [COLOR_NORMAL] = "\033[0m",
                [COLOR_HEADING] = "\033[4m",
                [COLOR_GOOD] = "\033[0;1;32m",
                [COLOR_WARNING] = "\033[0;1;38;5;185m",
                [COLOR_BAD] = "\033[0;1;31m",
        };
        static int wanted = -1;

        if (wanted < 0)
                wanted = detect_colors(on_terminal());
        return wanted ? codes[c] : "";
}

const char *color_stderr(Color c) {
        return detect_colors(isatty(STDERR_FILENO) > 0) ? (c == COLOR_BAD ? "\033[0;1;31m" : "\033[0m") : "";
}

size_t terminal_width(void) {
        const char *columns = getenv("COLUMNS");
        static size_t cached;
        struct winsize ws;

        if (cached > 0)
                return cached;
        if (columns && atoi(columns) > 0)
                cached = (size_t) atoi(columns);
        else if (on_terminal() && ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) >= 0 && ws.ws_col > 0)
                cached = ws.ws_col;
        else
                cached = SIZE_MAX;
        return cached;
}

/* --- pager --- */

/* A pager that runs with other privileges than those of the user must not start a shell. */
static bool needs_secure_pager(void) {
        const char *e = getenv("SYSTEMD_PAGERSECURE");
        int r = e ? parse_boolean(e) : -EINVAL;

        return r >= 0 ? r : geteuid() != getuid() || getenv("SUDO_UID") || getenv("PKEXEC_UID");
}

static void run_pager(const char *wanted, bool secure) {
        static const char *const others[] = { "pager", "less", "more" };

        (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
        (void) setenv("LESS", getenv("SYSTEMD_LESS") ?: "FRSXMK", 1);
        if (getenv("SYSTEMD_LESSCHARSET"))
                (void) setenv("LESSCHARSET", getenv("SYSTEMD_LESSCHARSET"), 1);
        if (secure)
                (void) setenv("LESSSECURE", "1", 1);

        if (wanted)
                (void) execlp("/bin/sh", "sh", "-c", wanted, (char *) NULL);
        /* Only less has a mode without commands that start other programs. */
        if (secure)
                (void) execlp("less", "less", (char *) NULL);
        for (size_t i = 0; !secure && i < ELEMENTSOF(others); i++)
                (void) execlp(others[i], others[i], (char *) NULL);
        (void) execlp("cat", "cat", (char *) NULL);
        _exit(EXIT_FAILURE);
}

static void pager_close_at_exit(void) {
        pager_close();
}

void pager_open(void) {
        const char *wanted = getenv("SYSTEMD_PAGER") ?: getenv("PAGER");
        bool secure = needs_secure_pager();
        int fds[2];

        if (!arg_pager || pager_pid > 0 || !on_terminal() || terminal_is_dumb())
                return;
        if (wanted && (!*wanted || streq(wanted, "cat")))
                return;

        /* Determine width and colours before the pager replaces the terminal. */
        (void) terminal_width();
        (void) color(COLOR_NORMAL);

        /* Without a descriptor for one of these, continue without a pager. */
        terminal_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (terminal_fd < 0)
                return;
        if (pipe2(fds, O_CLOEXEC) < 0) {
                terminal_fd = safe_close(terminal_fd);
                return;
        }
        (void) fflush(stdout);
        pager_pid = fork();
        if (pager_pid == 0) {
                (void) dup2(fds[0], STDIN_FILENO);
                run_pager(secure ? NULL : wanted, secure);
        }
        if (pager_pid > 0 && dup2(fds[1], STDOUT_FILENO) >= 0) {
                (void) signal(SIGPIPE, SIG_IGN);
                (void) atexit(pager_close_at_exit);
        }
        if (pager_pid < 0)
                terminal_fd = safe_close(terminal_fd);
        safe_close(fds[0]);
        safe_close(fds[1]);
}

bool pager_is_open(void) {
        return pager_pid > 0;
}

void pager_close(void) {
        if (pager_pid <= 0)
                return;

        (void) fflush(stdout);
        /* What a pager that the user has quit did not read is no error, and does not belong to what follows. */
        __fpurge(stdout);
        clearerr(stdout);
        /* This closes the pipe. More output may follow, to the terminal or to another pager. */
        if (dup2(terminal_fd, STDOUT_FILENO) < 0)
                (void) close(STDOUT_FILENO);
        terminal_fd = safe_close(terminal_fd);
        while (waitpid(pager_pid, NULL, 0) < 0 && errno == EINTR)
                ;
        pager_pid = 0;
}
