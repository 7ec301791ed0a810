/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a program, has CRIU save it to a tree when the system goes into a kexec, and has CRIU restore it in the next
 * kernel. It is the first process of a PID namespace, so that no other process can have the IDs that are restored.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>

#include "conf-file.h"
#include "file-util.h"
#include "process-run.h"
#include "log.h"

static void criu_help(void) {
        puts("pkram-criu run NAME [OPTION...] [-- PROGRAM ARGUMENT...]\n"
             "\n"
             "Run a program whose processes survive a kexec by means of CRIU. Without a\n"
             "program, run the one in /etc/pkram/criu/NAME.conf.\n"
             "\n"
             "  -h --help                   Show this help\n"
             "     --version                Show the version\n"
             "     --config=FILE            Read this file\n"
             "     --directory=DIR          Write images here, on a mounted tree\n"
             "     --user=USER              Run the program as this user\n"
             "     --working-directory=DIR  Start the program in this directory\n"
             "     --environment=VAR=VALUE  Set an environment variable, may be repeated\n"
             "     --stop=TIME              Kill a program that has not ended after this time\n"
             "     --save=TIME              Give up saving the program after this time\n"
             "\n"
             "See pkram-criu(8) for details.");
}

static int criu_read_config(ProcessConfig *c, const char *path) {
        _cleanup_free_ char *text = NULL, *why = NULL;
        size_t size;
        int r;

        r = file_read(path, MIB(1), &text, &size);
        if (r < 0)
                return log_error_errno(r, "Failed to read '%s'", path);
        r = process_config_parse(c, text, size, &why);
        if (r < 0)
                log_error("Refusing to use '%s': %s.", path, why ?: strerror(-r));
        return r;
}

static const struct {
        const char *option, *key;
} settings[] = {
        { "directory",         "Directory"        },
        { "user",              "User"             },
        { "working-directory", "WorkingDirectory" },
        { "environment",       "Environment"      },
        { "stop",              "StopSec"          },
        { "save",              "SaveSec"          },
};

/* Reads the options after "run NAME" in two passes: those of a file are weaker than those here. 0, or an exit status +
 * 1. */
static int criu_read_options(int argc, char *argv[], ProcessRun *run) {
        enum { OPTION_CONFIG = 1000, OPTION_SETTING };
        struct option options[ELEMENTSOF(settings) + 2] = { { "config", required_argument, NULL, OPTION_CONFIG } };
        _cleanup_free_ char *file = NULL;
        const char *config = NULL;
        int c, r = 0;

        for (size_t i = 0; i < ELEMENTSOF(settings); i++)
                options[i + 1] = (struct option) { settings[i].option, required_argument, NULL,
                                                   OPTION_SETTING + (int) i };

        for (int pass = 0; pass < 2; pass++) {
                optind = 1;
                while ((c = getopt_long(argc, argv, "+", options, NULL)) >= 0) {
                        if (c == '?')
                                return EXIT_REFUSED + 1;
                        if (c == OPTION_CONFIG)
                                config = optarg;
                        else if (pass == 1) {
                                r = process_config_set(&run->config, settings[c - OPTION_SETTING].key, optarg);
                                if (r < 0) {
                                        log_error("--%s= does not take '%s'.", settings[c - OPTION_SETTING].option,
                                                  optarg);
                                        return EXIT_REFUSED + 1;
                                }
                        }
                }
                if (pass == 1)
                        break;
                if (!config && !argv[optind]) {
                        if (asprintf(&file, PROCESS_CONFIG_DIRECTORY "/%s.conf", run->name) < 0) {
                                file = NULL;
                                return EXIT_FAILURE + 1;
                        }
                        config = file;
                }
                if (config && criu_read_config(&run->config, config) < 0)
                        return EXIT_REFUSED + 1;
                opterr = 0;
        }

        if (argv[optind])
                string_list_done(&run->config.command);
        for (int i = optind; argv[i]; i++)
                if (string_list_add(&run->config.command, argv[i]) < 0)
                        return EXIT_FAILURE + 1;
        if (run->config.command.n > 0)
                return 0;
        log_error("There is no program for process '%s': write it after '--', or as Command= in its file.", run->name);
        return EXIT_REFUSED + 1;
}

static int criu_take_signals(void) {
        sigset_t set;

        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGTERM);
        (void) sigaddset(&set, SIGINT);
        (void) sigaddset(&set, SIGHUP);
        (void) sigaddset(&set, SIGUSR1);
        (void) sigaddset(&set, SIGUSR2);
        (void) sigaddset(&set, SIGCHLD);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int main(int argc, char *argv[]) {
        _cleanup_process_run_ ProcessRun run = PROCESS_RUN_NONE;
        _cleanup_free_ char *path = NULL;
        int r;

        if (argc >= 2 && (streq(argv[1], "--help") || streq(argv[1], "-h"))) {
                criu_help();
                return EXIT_SUCCESS;
        }
        if (argc >= 2 && streq(argv[1], "--version")) {
                puts("pkram-criu " PKRAM_VERSION);
                return EXIT_SUCCESS;
        }
        if (argc < 3 || !streq(argv[1], "run")) {
                log_error("Command required: pkram-criu run NAME [OPTION...] [-- PROGRAM ARGUMENT...]");
                return EXIT_REFUSED;
        }
        run.name = argv[2];
        if (!conf_name_is_valid(run.name)) {
                log_error("Invalid name of a process '%s': expected up to 64 letters, digits and '._-', the first one "
                          "a letter or digit.", run.name);
                return EXIT_REFUSED;
        }

        process_config_init(&run.config);
        r = criu_read_options(argc - 2, argv + 2, &run);
        if (r > 0)
                return r - 1;
        if (!run.config.directory && asprintf(&path, PROCESS_DIRECTORY "/%s", run.name) < 0) {
                path = NULL;
                return EXIT_FAILURE;
        }
        run.path = run.config.directory ?: path;
        (void) signal(SIGPIPE, SIG_IGN);
        run.signals = criu_take_signals();
        if (run.signals < 0) {
                (void) log_error_errno(run.signals, "Failed to take signals");
                return EXIT_FAILURE;
        }
        return process_run(&run);
}
