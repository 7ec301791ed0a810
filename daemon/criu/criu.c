/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "criu.h"
#include "process-inspect.h"
#include "signal-util.h"
#include "utf8.h"

#define LOG_BYTES_MAX MIB(1)

/* For the end of a CRIU that was killed. */
#define KILLED_USEC (10 * USEC_PER_SEC)

static const struct {
        const char *name, *log;
} verbs[_CRIU_VERB_MAX] = {
        [CRIU_CHECK]   = { "check",   "check.log"   },
        [CRIU_DUMP]    = { "dump",    "dump.log"    },
        [CRIU_RESTORE] = { "restore", "restore.log" },
};

/* --- its log --- */

/* The text of an error in a line, NULL if there is none: "(00.01)  303: Error (criu/fifo.c:98): Can't open ...". */
static const char *log_line_error(const char *line) {
        /* What it says and goes on, where fs.nr_open is less than it would like, and when it examines the kernel for
         * the first time in a boot. The last one comes before the line that names what is missing. */
        static const char *const harmless[] = {
                "rlimit: Can't setup RLIMIT_NOFILE",
                "tun: Unable to create tun",
                "net: Unable to create a veth pair",
                "Can't wait or bad status",
        };
        const char *error = strstr(line, "Error ("), *text = error ? strstr(error, "): ") : NULL;

        if (!text || startswith(error, "Error (criu/libnetlink.c:"))
                return NULL;
        text += strlen("): ");
        for (size_t i = 0; i < ELEMENTSOF(harmless); i++)
                if (startswith(text, harmless[i]))
                        return NULL;
        return text;
}

int criu_log_reason(const char *text, size_t size, char **ret) {
        *ret = NULL;
        while (size > 0) {
                const char *end = memchr(text, '\n', size), *error;
                size_t n = end ? (size_t) (end - text) : size;
                _cleanup_free_ char *line = strndup(text, MIN(n, 2000U));

                if (!line)
                        return -ENOMEM;
                error = log_line_error(line);
                if (error && *error) {
                        /* A character that is cut in two is escaped. */
                        line[MIN(strlen(line), (size_t) (error - line) + 300)] = 0;
                        *ret = utf8_escape(error);
                        return *ret ? 0 : -ENOMEM;
                }
                n += end != NULL;
                text += n;
                size -= n;
        }
        return -ENODATA;
}

/* Reads the reason from the log in a directory. Returns NULL if there is none. The caller frees it. */
static char *log_read_reason(int directory, const char *name) {
        _cleanup_close_ int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        _cleanup_free_ char *text = NULL;
        char *reason;
        ssize_t n;

        if (fd < 0)
                return NULL;
        text = malloc(LOG_BYTES_MAX);
        n = text ? pread(fd, text, LOG_BYTES_MAX, 0) : -1;
        return n < 0 || criu_log_reason(text, (size_t) n, &reason) < 0 ? NULL : reason;
}

/* --- the process --- */

int criu_command(CriuVerb verb, const char *images, pid_t pid, const CriuPipe *pipes, size_t n_pipes,
                 StringList *ret) {
        static const char *const common[] = {
                "--no-default-config",
                /* The service manager has put us where the processes belong. */
                "--manage-cgroups=ignore",
                "--file-locks",
                /* /dev/log and its like: datagrams to someone outside. */
                "--ext-unix-sk",
        };

        if (string_list_add(ret, "criu") < 0 || string_list_add(ret, verbs[verb].name) < 0 ||
            string_list_addf(ret, "--images-dir=%s", images) < 0 ||
            string_list_addf(ret, "--log-file=%s", verbs[verb].log) < 0)
                return -ENOMEM;
        if (verb == CRIU_CHECK)
                return string_list_add(ret, common[0]);
        for (size_t i = 0; i < ELEMENTSOF(common); i++)
                if (string_list_add(ret, common[i]) < 0)
                        return -ENOMEM;
        if (verb == CRIU_DUMP)
                return string_list_addf(ret, "--tree=%i", pid) < 0 ||
                        string_list_addf(ret, "--ghost-limit=%llu",
                                         (unsigned long long) PROCESS_DELETED_FILE_MAX) < 0 ? -ENOMEM : 0;

        /* Pages are freed as they are read: memory would be there twice otherwise. */
        if (string_list_add(ret, "--restore-detached") < 0 || string_list_add(ret, "--auto-dedup") < 0)
                return -ENOMEM;
        for (size_t i = 0; i < n_pipes; i++)
                if (string_list_add(ret, "--inherit-fd") < 0 ||
                    string_list_addf(ret, "fd[%i]:%s", pipes[i].fd, pipes[i].name) < 0)
                        return -ENOMEM;
        return 0;
}

static void criu_exec(char **arguments, const CriuPipe *pipes, size_t n_pipes) __attribute__((noreturn));
static void criu_exec(char **arguments, const CriuPipe *pipes, size_t n_pipes) {
        sigset_t set;
        int null;

        (void) sigemptyset(&set);
        (void) sigprocmask(SIG_SETMASK, &set, NULL);
        (void) signal(SIGPIPE, SIG_DFL);
        (void) umask(0077);
        null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
            dup2(null, STDERR_FILENO) < 0)
                _exit(127);
        for (size_t i = 0; i < n_pipes; i++)
                if (fcntl(pipes[i].fd, F_SETFD, 0) < 0)
                        _exit(127);
        (void) unsetenv("NOTIFY_SOCKET");
        (void) execvp(arguments[0], arguments);
        _exit(errno == ENOENT ? 126 : 127);
}

/* Waits for its end. Returns 1: it has ended, 0: not within usec, or a negative errno. */
static int criu_wait(int process, pid_t pid, uint64_t usec, int *ret_status) {
        struct pollfd p = { .fd = process, .events = POLLIN };
        int r;

        do
                r = poll(&p, 1, (int) (usec / 1000));
        while (r < 0 && errno == EINTR);
        if (r <= 0)
                return r < 0 ? -errno : 0;
        return waitpid(pid, ret_status, 0) < 0 ? -errno : 1;
}

/* What its end means. */
static int criu_judge(CriuVerb verb, int directory, int status, bool late, char **reterr) {
        char end[128];
        int r = 0;

        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return 0;
        if (WIFEXITED(status)) {
                *reterr = log_read_reason(directory, verbs[verb].log);
                if (!*reterr)
                        r = WEXITSTATUS(status) == 126 ? asprintf(reterr, "there is no program 'criu'") :
                                asprintf(reterr, "CRIU failed (exit status %i)", WEXITSTATUS(status));
                if (r < 0)
                        *reterr = NULL;
                return r < 0 ? -ENOMEM : -EREMOTEIO;
        }
        if (late)
                r = asprintf(reterr, "it took too long");
        else
                r = asprintf(reterr, "CRIU was ended by %s", exit_to_text(status, end, sizeof(end)));
        if (r < 0)
                *reterr = NULL;
        return r < 0 ? -ENOMEM : -ECONNRESET;
}

int criu_run(CriuVerb verb, int directory, const char *images, pid_t pid, const CriuPipe *pipes, size_t n_pipes,
             uint64_t usec, char **reterr) {
        _cleanup_list_ StringList arguments = {};
        _cleanup_close_ int process = -EBADF;
        bool late = false;
        int status = 0, r;
        pid_t child;

        *reterr = NULL;
        r = criu_command(verb, images, pid, pipes, n_pipes, &arguments);
        if (r < 0)
                return r;
        child = fork();
        if (child < 0)
                return -errno;
        if (child == 0)
                criu_exec(arguments.item, pipes, n_pipes);
        process = pidfd_open(child, 0);
        if (process < 0) {
                r = -errno;
                (void) kill(child, SIGKILL);
                (void) waitpid(child, NULL, 0);
                return r;
        }
        r = criu_wait(process, child, usec, &status);
        if (r == 0) {
                late = true;
                (void) kill(child, SIGKILL);
                r = criu_wait(process, child, KILLED_USEC, &status);
        }
        if (r < 0)
                return r;
        return r == 0 ? -EBUSY : criu_judge(verb, directory, status, late, reterr);
}
