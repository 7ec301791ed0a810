/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pkram-fdstore: preserves file descriptor stores of services across kexec, see fdstore.h. Run by
 * pkram-fdstore.service and by the drop-ins that pkram-generator writes.
 */
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "fdstore.h"
#include "file-util.h"
#include "guard-jobs.h"
#include "service-manager.h"
#include "log.h"

/* For a single answer of the service manager or of pkramd. */
#define ANSWER_TIMEOUT_USEC (UINT64_C(30) * 1000 * 1000)

static int fdstore_help(void) {
        (void) printf("pkram-fdstore COMMAND\n\n"
                              "Preserve file descriptor stores of services across kexec.\n\n"
                              "  begin         Remove nodes of a cancelled kexec, take over shared files\n"
                              "  save          Store the descriptors of stopped units, if a kexec is under way\n"
                              "  push UNIT [main]\n"
                              "                Hand the stored descriptors of UNIT to the service manager;\n"
                              "                main: then let only its main process notify\n"
                              "  drop-shared   Drop shared files that no unit needs any more\n"
                              "  -h --help     Show this help\n"
                              "     --version  Show the version\n\n"
                              "See the pkram-fdstore.service(8) man page for details.\n");
        return EXIT_SUCCESS;
}

/*
 * At boot, pkramd may take long to answer on a slow machine. Units with shared files cannot have them unless this has
 * taken them over, so it waits longer, but less than TimeoutStartSec= of its unit.
 */
#define BEGIN_TIMEOUT_USEC (UINT64_C(120) * 1000 * 1000)

/* Stores only on the way into a kexec: a soft-reboot keeps the service manager, everything else loses memory. */
static int fdstore_run_save(FdStoreEnvironment *e) {
        static Config config;
        ShutdownKind kind;
        int r;

        r = manager_shutdown_kind(e->bus, &kind);
        if (r < 0)
                return log_error_errno(r, "Failed to determine the kind of shutdown, storing no file descriptors");
        if (kind != SHUTDOWN_KEXEC)
                return 0;
        config_init(&config);
        r = config_load(&config, "", config_log_warning, /* userdata= */ NULL);
        if (r < 0) {
                log_warning("Failed to read pkramd.conf, assuming defaults: %s", strerror(-r));
                config_init(&config);
        }
        e->config = &config;
        return fdstore_save(e);
}

/*
 * The push runs in the time that the unit has to start, and must not use it up: a unit that merely prefers to have its
 * descriptors has to start without them.
 */
static uint64_t push_timeout(sd_bus *bus, const char *unit) {
        uint64_t usec;

        /* It waits for four answers at most, and the service needs some time as well. */
        return service_manager_start_timeout(bus, unit, &usec) < 0 ? ANSWER_TIMEOUT_USEC :
                MIN(usec / 5, ANSWER_TIMEOUT_USEC);
}

/* Connects to what e needs and carries out a command. Returns 0, or a negative errno that was logged. */
static int command_run(const char *command, const char *unit) {
        _cleanup_(varlink_client_freep) VarlinkClient *store = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;
        FdStoreEnvironment e = { .proc = "/proc/1", .root = "", .stopping_msec = 5000,
                                 .timeout_usec = ANSWER_TIMEOUT_USEC };
        int r;

        r = manager_connect(MANAGER_ADDRESS, ANSWER_TIMEOUT_USEC, &bus);
        if (r < 0)
                return log_error_errno(r, "Failed to connect to the service manager");
        r = varlink_client_connect(SOCKET_PATH, &store);
        if (r < 0)
                return log_error_errno(r, "Failed to connect to pkramd at '" SOCKET_PATH "'");
        e.bus = bus;
        e.store = store;

        if (streq(command, "push")) {
                e.timeout_usec = push_timeout(bus, unit);
                varlink_client_set_timeout(store, e.timeout_usec);
                return fdstore_push(&e, unit);
        }
        if (streq(command, "save"))
                return fdstore_run_save(&e);
        if (streq(command, "begin")) {
                varlink_client_set_timeout(store, BEGIN_TIMEOUT_USEC);
                return fdstore_begin(&e);
        }
        varlink_client_set_timeout(store, e.timeout_usec);
        return fdstore_drop_shared(&e);
}

int main(int argc, char *argv[]) {
        const char *command = argc > 1 ? argv[1] : "";
        bool restrict_notify = argc == 4 && streq(command, "push") && streq(argv[3], "main");
        int r;

        if (streq(command, "-h") || streq(command, "--help"))
                return fdstore_help();
        if (streq(command, "--version")) {
                (void) printf("pkram " PKRAM_VERSION "\n");
                return EXIT_SUCCESS;
        }
        if (streq(command, "push") ? argc != 3 && !restrict_notify :
            argc != 2 || (!streq(command, "begin") && !streq(command, "save") && !streq(command, "drop-shared"))) {
                (void) fputs("pkram-fdstore: invalid arguments, see 'pkram-fdstore --help'.\n", stderr);
                return EXIT_FAILURE;
        }

        raise_descriptor_limit();
        r = command_run(command, argv[2]);
        /* The drop-in of the generator lets control processes notify, until here. */
        if (restrict_notify)
                (void) sd_notify(/* unset_environment= */ false, "NOTIFYACCESS=main");
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
