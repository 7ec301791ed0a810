/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/wait.h>

#include "file-util.h"
#include "log.h"
#include "program.h"

/*
 * The last process ID before those of the program. A CRIU that restores it is among the first processes of its PID
 * namespace, and the kernel begins at 300 again after the largest ID.
 */
#define LAST_ID "300"

void program_reserve_ids(void) {
        _cleanup_close_ int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);

        if (fd < 0 || write_all(fd, LAST_ID, strlen(LAST_ID)) < 0) {
                if (errno != ENOENT)
                        log_warning("Failed to reserve process IDs, restoring may fail: %m");
        }
}

/* In the child. */
static int program_become_user(const char *name) {
        struct passwd record, *user = NULL;
        char buffer[4096];
        int r;

        if (!name)
                return 0;
        r = getpwnam_r(name, &record, buffer, sizeof(buffer), &user);
        if (!user)
                return log_error_errno(r > 0 ? -r : -ESRCH, "Failed to find user '%s'", name);
        if (setgid(user->pw_gid) < 0 || initgroups(name, user->pw_gid) < 0 || setuid(user->pw_uid) < 0)
                return log_error_errno(-errno, "Failed to become user '%s'", name);
        if (setenv("USER", name, 1) < 0 || setenv("LOGNAME", name, 1) < 0 || setenv("HOME", user->pw_dir, 1) < 0)
                return log_error_errno(-errno, "Failed to set the environment");
        return 0;
}

static int program_set_environment(const StringList *environment) {
        (void) unsetenv("NOTIFY_SOCKET");
        (void) unsetenv("WATCHDOG_PID");
        (void) unsetenv("WATCHDOG_USEC");
        /* Connections to the journal are not made again. */
        (void) unsetenv("JOURNAL_STREAM");
        for (size_t i = 0; i < environment->n; i++)
                if (putenv(environment->item[i]) != 0)
                        return log_error_errno(-errno, "Failed to set the environment");
        return 0;
}

/* In the child. Everything that it has open afterwards CRIU finds in its own view of the file system. */
static void program_exec(const ProcessRun *run) __attribute__((noreturn));
static void program_exec(const ProcessRun *run) {
        char **arguments = run->config.command.item;
        sigset_t set;
        int null;

        (void) sigemptyset(&set);
        (void) sigprocmask(SIG_SETMASK, &set, NULL);
        (void) signal(SIGPIPE, SIG_DFL);
        if (setsid() < 0 || program_set_environment(&run->config.environment) < 0 ||
            program_become_user(run->config.user) < 0)
                _exit(EXIT_FAILURE);
        if (chdir(run->config.working_directory ?: "/") < 0) {
                (void) log_error_errno(-errno, "Failed to change to '%s'", run->config.working_directory ?: "/");
                _exit(EXIT_FAILURE);
        }
        null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(run->output.theirs, STDOUT_FILENO) < 0 ||
            dup2(run->errors.theirs, STDERR_FILENO) < 0 || close_range(STDERR_FILENO + 1, ~0U, 0) < 0)
                _exit(EXIT_FAILURE);
        (void) execvp(arguments[0], arguments);
        (void) log_error_errno(-errno, "Failed to execute '%s'", arguments[0]);
        _exit(127);
}

int program_start(ProcessRun *run) {
        program_reserve_ids();
        run->pid = fork();
        if (run->pid < 0) {
                run->pid = 0;
                return log_error_errno(-errno, "Failed to start a process");
        }
        if (run->pid == 0)
                program_exec(run);
        return 0;
}

void program_reap(ProcessRun *run) {
        int status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
                if (pid == run->pid) {
                        run->pid = 0;
                        run->status = status;
                }
}

void program_kill_all(ProcessRun *run) {
        int status;
        pid_t pid;

        /* Elsewhere this would be every process of the system. */
        if (getpid() != 1)
                return;
        (void) kill(-1, SIGKILL);
        while ((pid = waitpid(-1, &status, 0)) > 0)
                if (pid == run->pid)
                        run->status = status;
        run->pid = 0;
}
