/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pkram-fdstore: preserves file descriptor stores of services across kexec, see fdstore.h. Run by
 * pkram-fdstore.service and by the drop-ins that pkram-generator writes.
 */
#include <stdio.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "fdstore.h"
#include "file-util.h"
#include "kexec-record.h"
#include "log.h"
#include "service-manager.h"
#include "shutdown-kexec.h"

/* For a single answer of the service manager or of pkramd. */
#define ANSWER_TIMEOUT_USEC (UINT64_C(30) * 1000 * 1000)

static int fdstore_help(void) {
        (void) printf("pkram-fdstore [--user] COMMAND\n\n"
                              "Preserve file descriptor stores of services across kexec.\n\n"
                              "  begin         Remove nodes of a cancelled kexec, take over shared files\n"
                              "  save          Store the descriptors of stopped units, if a kexec is under way\n"
                              "  push UNIT [main]\n"
                              "                Hand the stored descriptors of UNIT to the service manager;\n"
                              "                main: then let only its main process notify\n"
                              "  drop-shared   Drop shared files that no unit needs any more\n"
                              "     --user     For services of the user manager of the calling user\n"
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

/* A login waits for this one. */
#define USER_BEGIN_TIMEOUT_USEC (UINT64_C(10) * 1000 * 1000)

/*
 * Returns 1 if the system is on its way into a kexec, 0 if not, or a negative errno. Users may not ask the system's
 * service manager on its private socket. For them, the guard's record says so: it makes that when it has let a kexec
 * through, before anything stops, and removes it if the kexec does not happen.
 */
static int kexec_is_under_way(const FdStoreEnvironment *e) {
        if (e->store.user)
                return access(KEXEC_RECORD_PATH, F_OK) >= 0 ? 1 : errno == ENOENT ? 0 : -errno;
        return shutdown_is_kexec(SHUTDOWN_ASK_USEC_MAX);
}

/* Stores only on the way into a kexec: a soft-reboot keeps the service manager, everything else loses memory. */
static int fdstore_run_save(FdStoreEnvironment *e) {
        static Config config;
        int r;

        r = kexec_is_under_way(e);
        if (r < 0)
                return log_error_errno(r, "Failed to determine the kind of shutdown, storing no file descriptors");
        if (r == 0)
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

/* Connects to the user manager that runs this, and finds its directory in /proc. */
static int user_manager_connect(sd_bus **ret, char *proc, size_t size) {
        _cleanup_bus_ sd_bus *bus = NULL;
        const char *runtime = getenv("XDG_RUNTIME_DIR");
        _cleanup_free_ char *address = NULL;
        struct ucred cred;
        socklen_t l = sizeof(cred);
        int fd, r;

        /* Characters that would have to be escaped in an address are in no directory of a user. */
        if (!runtime || *runtime != '/' || strpbrk(runtime, "%,;=*"))
                return -ENXIO;
        if (asprintf(&address, "unix:path=%s/systemd/private", runtime) < 0) {
                address = NULL;
                return -ENOMEM;
        }
        r = manager_connect(address, ANSWER_TIMEOUT_USEC, &bus);
        if (r < 0)
                return r;
        fd = sd_bus_get_fd(bus);
        if (fd < 0)
                return fd;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &l) < 0)
                return -errno;
        (void) snprintf(proc, size, "/proc/%i", (int) cred.pid);
        *ret = TAKE_PTR(bus);
        return 0;
}

/* Connects to what e needs and carries out a command. Returns 0, or a negative errno that was logged. */
static int command_run(bool user, const char *command, const char *unit) {
        _cleanup_(varlink_client_freep) VarlinkClient *store = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;
        char proc[32] = "/proc/1";
        FdStoreEnvironment e = { .proc = proc, .root = "", .stopping_msec = 5000,
                                 .timeout_usec = ANSWER_TIMEOUT_USEC };
        int r;

        r = user ? user_manager_connect(&bus, proc, sizeof(proc)) :
                manager_connect(MANAGER_ADDRESS, ANSWER_TIMEOUT_USEC, &bus);
        if (r < 0)
                return log_error_errno(r, "Failed to connect to the service manager");
        r = varlink_client_connect(SOCKET_PATH, &store);
        if (r < 0)
                return log_error_errno(r, "Failed to connect to pkramd at '" SOCKET_PATH "'");
        e.bus = bus;
        e.store = (StoreLink) { .client = store, .user = user };

        if (streq(command, "push")) {
                e.timeout_usec = push_timeout(bus, unit);
                varlink_client_set_timeout(store, e.timeout_usec);
                return fdstore_push(&e, unit);
        }
        if (streq(command, "save"))
                return fdstore_run_save(&e);
        if (streq(command, "begin")) {
                varlink_client_set_timeout(store, user ? USER_BEGIN_TIMEOUT_USEC : BEGIN_TIMEOUT_USEC);
                return fdstore_begin(&e);
        }
        varlink_client_set_timeout(store, e.timeout_usec);
        return fdstore_drop_shared(&e);
}

int main(int argc, char *argv[]) {
        bool user = argc > 1 && streq(argv[1], "--user");
        const char *command;
        bool restrict_notify;
        int r;

        if (user) {
                argv++;
                argc--;
        }
        command = argc > 1 ? argv[1] : "";
        restrict_notify = argc == 4 && streq(command, "push") && streq(argv[3], "main");

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
        r = command_run(user, command, argv[2]);
        /* The drop-in of the generator lets control processes notify, until here. */
        if (restrict_notify)
                (void) sd_notify(/* unset_environment= */ false, "NOTIFYACCESS=main");
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
