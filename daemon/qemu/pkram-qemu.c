/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs QEMU with its guest's RAM in a file on a tree, saves the guest when the system goes into a kexec, and has it go
 * on in the next kernel. QEMU is a child process. It ignores the signals that end programs, so that a service manager
 * that sends them to everything in a unit does not end the guest.
 */
#include <signal.h>
#include <stdio.h>

#include "guest-run.h"
#include "log.h"
#include "run-options.h"
#include "signal-util.h"

static void qemu_help(void) {
        puts("pkram-qemu run NAME [OPTION...] [-- QEMU ARGUMENT...]\n"
             "\n"
             "Run QEMU with a guest whose memory survives a kexec of the host. Without\n"
             "a command, run the one in /etc/pkram/qemu/NAME.conf.\n"
             "\n"
             "  -h --help             Show this help\n"
             "     --version          Show the version\n"
             "     --config=FILE      Read this configuration file\n"
             "     --directory=DIR    Keep the guest here, on a file system of type pkram\n"
             "     --size=SIZE        Memory of the guest, if not in the command\n"
             "     --extra-max=SIZE   Limit other memory that is copied when saving\n"
             "     --shutdown=TIME    Switch the guest off if shutting down takes longer\n"
             "     --save=TIME        Give up saving the guest after this time\n"
             "     --agent=SOCKET     Set the clock through the guest's agent\n"
             "\n"
             "See pkram-qemu(8) for details.");
}

static const RunSetting settings[] = {
        { "directory", "Directory"   },
        { "size",      "Size"        },
        { "extra-max", "ExtraMax"    },
        { "shutdown",  "ShutdownSec" },
        { "save",      "SaveSec"     },
        { "agent",     "Agent"       },
};

static const RunOptions options = {
        .config_directory = GUEST_CONFIG_DIRECTORY,
        .section = GUEST_CONFIG_SECTION,
        .settings = settings,
        .n_settings = ELEMENTSOF(settings),
        .set = guest_config_set,
};

int main(int argc, char *argv[]) {
        _cleanup_run_ GuestRun run = GUEST_RUN_NONE;
        static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };
        _cleanup_free_ char *path = NULL;
        int status;

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
        status = run_options_read(&options, run.name, argc - 2, argv + 2, &run.config, &run.config.command);
        if (status != EXIT_SUCCESS)
                return status;
        if (run.config.command.n == 0) {
                log_error("There is no command for guest '%s': write QEMU's command line after '--', "
                          "or as Command= in its file.", run.name);
                return EXIT_REFUSED;
        }
        if (!run.config.directory && asprintf(&path, GUEST_DIRECTORY "/%s", run.name) < 0) {
                path = NULL;
                return EXIT_FAILURE;
        }
        run.path = run.config.directory ?: path;
        run.signals = signals_take(signals, ELEMENTSOF(signals));
        if (run.signals < 0) {
                (void) log_error_errno(run.signals, "Failed to take signals");
                return EXIT_FAILURE;
        }
        return guest_run(&run);
}
