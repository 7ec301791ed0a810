/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs QEMU with its guest's RAM in a file on a tree, saves the guest when the system goes into a kexec, and has it go
 * on in the next kernel. QEMU is a child process. It ignores the signals that end programs, so that a service manager
 * that sends them to everything in a unit does not end the guest.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>

#include "conf-file.h"
#include "file-util.h"
#include "guest-run.h"
#include "log.h"

static void qemu_help(void) {
        puts("pkram-qemu run NAME [OPTION...] [-- QEMU ARGUMENT...]\n"
             "\n"
             "Run QEMU with a guest whose memory survives a kexec of the host. Without\n"
             "a command, run the one in /etc/pkram/qemu/NAME.conf.\n"
             "\n"
             "  -h --help             Show this help\n"
             "     --version          Show the version\n"
             "     --config=FILE      Read this file\n"
             "     --directory=DIR    Keep the guest here, on a file system of type pkram\n"
             "     --size=SIZE        Memory of the guest, if not in the command\n"
             "     --extra-max=SIZE   Limit of other memory copied when the guest is saved\n"
             "     --shutdown=TIME    Switch the guest off if it has not shut down by then\n"
             "     --save=TIME        Give up saving the guest after this time\n"
             "     --agent=SOCKET     Have the guest's agent set the clock\n"
             "\n"
             "See pkram-qemu(8) for details.");
}

static int config_read(GuestConfig *c, const char *path) {
        _cleanup_free_ char *text = NULL, *why = NULL;
        size_t size;
        int r;

        r = file_read(path, MIB(1), &text, &size);
        if (r < 0)
                return log_error_errno(r, "Failed to read '%s'", path);
        r = guest_config_parse(c, text, size, &why);
        if (r < 0)
                log_error("Refusing to use '%s': %s.", path, why ?: strerror(-r));
        return r;
}

static const struct {
        const char *option, *key;
} settings[] = {
        { "directory", "Directory"   },
        { "size",      "Size"        },
        { "extra-max", "ExtraMax"    },
        { "shutdown",  "ShutdownSec" },
        { "save",      "SaveSec"     },
        { "agent",     "Agent"       },
};

/* Reads the options after "run NAME" in two passes: those of a file are weaker than those here. 0, or an exit status +
 * 1. */
static int options_read(int argc, char *argv[], GuestRun *run) {
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
                                r = guest_config_set(&run->config, settings[c - OPTION_SETTING].key, optarg);
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
                        if (asprintf(&file, GUEST_CONFIG_DIRECTORY "/%s.conf", run->name) < 0) {
                                file = NULL;
                                return EXIT_FAILURE + 1;
                        }
                        config = file;
                }
                if (config && config_read(&run->config, config) < 0)
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
        log_error("There is no command for guest '%s': write QEMU's command line after '--', "
                  "or as Command= in its file.", run->name);
        return EXIT_REFUSED + 1;
}

static int signals_take(void) {
        sigset_t set;

        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGTERM);
        (void) sigaddset(&set, SIGINT);
        (void) sigaddset(&set, SIGHUP);
        (void) sigaddset(&set, SIGUSR1);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int main(int argc, char *argv[]) {
        _cleanup_run_ GuestRun run = GUEST_RUN_NONE;
        _cleanup_free_ char *path = NULL;
        int r;

        if (argc >= 2 && (streq(argv[1], "--help") || streq(argv[1], "-h"))) {
                qemu_help();
                return EXIT_SUCCESS;
        }
        if (argc >= 2 && streq(argv[1], "--version")) {
                puts("pkram-qemu " PKRAM_VERSION);
                return EXIT_SUCCESS;
        }
        if (argc < 3 || !streq(argv[1], "run")) {
                log_error("Command required: pkram-qemu run NAME [OPTION...] [-- QEMU ARGUMENT...]");
                return EXIT_REFUSED;
        }
        run.name = argv[2];
        if (!conf_name_is_valid(run.name)) {
                log_error("Invalid name of a guest '%s': expected up to 64 letters, digits and '._-', the first one a "
                          "letter or digit.", run.name);
                return EXIT_REFUSED;
        }

        guest_config_init(&run.config);
        r = options_read(argc - 2, argv + 2, &run);
        if (r > 0)
                return r - 1;
        if (!run.config.directory && asprintf(&path, GUEST_DIRECTORY "/%s", run.name) < 0) {
                path = NULL;
                return EXIT_FAILURE;
        }
        run.path = run.config.directory ?: path;
        run.signals = signals_take();
        if (run.signals < 0) {
                (void) log_error_errno(run.signals, "Failed to take signals");
                return EXIT_FAILURE;
        }
        return guest_run(&run);
}
