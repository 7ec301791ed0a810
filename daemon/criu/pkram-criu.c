/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a program, has CRIU save it to a tree when the system goes into a kexec, and has CRIU restore it in the next
 * kernel. It is the first process of a PID namespace, so that no other process can have the IDs that are restored.
 */
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>

#include "log.h"
#include "process-run.h"
#include "run-options.h"
#include "signal-util.h"

static void criu_help(void) {
        puts("pkram-criu run NAME [OPTION...] [-- PROGRAM ARGUMENT...]\n"
             "\n"
             "Run a program and preserve its processes across a kexec with CRIU. Without a\n"
             "program, run the one in /etc/pkram/criu/NAME.conf.\n"
             "\n"
             "pkram-criu stop [PID]\n"
             "\n"
             "Stop the pkram-criu with this process ID, and wait until it has exited.\n"
             "\n"
             "  -h --help                   Show this help\n"
             "     --version                Show the version\n"
             "     --config=FILE            Read this configuration file\n"
             "     --directory=DIR          Write images here, on a mounted tree\n"
             "     --user=USER              Run the program as this user\n"
             "     --working-directory=DIR  Start the program in this directory\n"
             "     --environment=VAR=VALUE  Set an environment variable, may be repeated\n"
             "     --stop=TIME              Kill a program that has not ended after this time\n"
             "     --save=TIME              Give up saving the program after this time\n"
             "\n"
             "See pkram-criu(8) for details.");
}

static const RunSetting settings[] = {
        { "directory",         "Directory"        },
        { "user",              "User"             },
        { "working-directory", "WorkingDirectory" },
        { "environment",       "Environment"      },
        { "stop",              "StopSec"          },
        { "save",              "SaveSec"          },
};

static const RunOptions options = {
        .config_directory = PROCESS_CONFIG_DIRECTORY,
        .section = PROCESS_CONFIG_SECTION,
        .settings = settings,
        .n_settings = ELEMENTSOF(settings),
        .set = process_config_set,
};

/*
 * Stops another pkram-criu, and waits for it. systemd does not always do so: it may take the first process of a PID
 * namespace for one that is not its child, which it kills at once instead of waiting for it.
 */
static int verb_stop(const char *text) {
        _cleanup_close_ int process = -EBADF;
        struct pollfd p = { .events = POLLIN };
        unsigned long pid;
        char *end;

        /* The service has ended, so that there is no $MAINPID. */
        if (!text || !*text)
                return EXIT_SUCCESS;
        errno = 0;
        pid = strtoul(text, &end, 10);
        if (errno != 0 || *end || *text < '0' || *text > '9' || pid < 2 || pid > INT_MAX) {
                log_error("Invalid process ID '%s'.", text);
                return EXIT_REFUSED;
        }
        process = pidfd_open((pid_t) pid, 0);
        if (process < 0 || pidfd_send_signal(process, SIGTERM, NULL, 0) < 0) {
                if (errno == ESRCH)
                        return EXIT_SUCCESS;
                (void) log_error_errno(-errno, "Failed to stop process %lu", pid);
                return EXIT_FAILURE;
        }
        p.fd = process;
        while (poll(&p, 1, -1) < 0)
                if (errno != EINTR) {
                        (void) log_error_errno(-errno, "Failed to wait for process %lu", pid);
                        return EXIT_FAILURE;
                }
        return EXIT_SUCCESS;
}

int main(int argc, char *argv[]) {
        _cleanup_process_run_ ProcessRun run = PROCESS_RUN_NONE;
        static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD };
        _cleanup_free_ char *path = NULL;
        int status;

        if (argc >= 2 && (streq(argv[1], "--help") || streq(argv[1], "-h"))) {
                criu_help();
                return EXIT_SUCCESS;
        }
        if (argc >= 2 && streq(argv[1], "--version")) {
                puts("pkram-criu " PKRAM_VERSION);
                return EXIT_SUCCESS;
        }
        if (argc >= 2 && argc <= 3 && streq(argv[1], "stop"))
                return verb_stop(argc > 2 ? argv[2] : NULL);
        if (argc < 3 || !streq(argv[1], "run")) {
                log_error("Command required: pkram-criu run NAME [OPTION...] [-- PROGRAM ARGUMENT...], or pkram-criu "
                          "stop [PID]");
                return EXIT_REFUSED;
        }
        run.name = argv[2];
        if (!conf_name_is_valid(run.name)) {
                log_error("Invalid name of a process '%s': expected up to 64 letters, digits and '._-', the first one "
                          "a letter or digit.", run.name);
                return EXIT_REFUSED;
        }

        process_config_init(&run.config);
        status = run_options_read(&options, run.name, argc - 2, argv + 2, &run.config, &run.config.command);
        if (status != EXIT_SUCCESS)
                return status;
        if (run.config.command.n == 0) {
                log_error("There is no program for process '%s': write it after '--', or as Command= in its file.",
                          run.name);
                return EXIT_REFUSED;
        }
        if (!run.config.directory && asprintf(&path, PROCESS_DIRECTORY "/%s", run.name) < 0) {
                path = NULL;
                return EXIT_FAILURE;
        }
        run.path = run.config.directory ?: path;
        (void) signal(SIGPIPE, SIG_IGN);
        run.signals = signals_take(signals, ELEMENTSOF(signals));
        if (run.signals < 0) {
                (void) log_error_errno(run.signals, "Failed to take signals");
                return EXIT_FAILURE;
        }
        return process_run(&run);
}
