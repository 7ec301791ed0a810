/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Logs which nodes of the previous kernel were restored, early in the boot and before pkramd runs, and leaves a report
 * for GetStatus. With --up, logs that services are up again, and what became of guests, processes and shared memory.
 * With --lost, when the system shuts down without a kexec, writes nodes to disk as pkramd.conf says, and logs those
 * that will be lost. Removes no nodes but those that the system stored for itself.
 */
#include <stdio.h>

#include "crash.h"
#include "format.h"
#include "log.h"
#include "nodes-to-disk.h"
#include "pkram-messages.h"
#include "report.h"
#include "returned.h"
#include "run-notes.h"
#include "time-util.h"

/* Writes nodes to disk if the configuration says so, and logs what becomes of each. */
static int restore_run_lost(const PkramDevice *device, Store *s, const struct pkram_ioctl_info *info,
                            const Config *config, const char *disk_path) {

        _cleanup_plan_ PersistPlan plan = {};
        int r;

        if (config_persist(config) == PERSIST_NO)
                return report_lost(s, info, /* plan= */ NULL);
        r = nodes_to_disk(device, s, config, disk_path, &plan);
        return report_lost(s, info, r < 0 ? NULL : &plan);
}

/* Waits until the kernel has checked all nodes: only then it is known which are damaged. Reads info again. */
static int wait_for_adoption(const PkramDevice *device, Store *s, struct pkram_ioctl_info *info) {
        struct pkram_node_info node;
        uint64_t cursor = 0;
        uint32_t n;
        int r;

        r = pkram_device_list(device, PKRAM_LIST_DROPPED, &cursor, &node, 1, &n);
        if (r < 0)
                return r;
        return store_info(s, info, /* reterr_error= */ NULL);
}

/* lost: nodes are about to be lost. */
static int restore_run(const PkramDevice *device, const Config *config, bool lost, const char *disk_path,
                       const char *report_path) {

        _cleanup_(store_freep) Store *s = NULL;
        struct pkram_ioctl_info info;
        int r;

        r = store_new(device, config, &s);
        if (r < 0)
                return log_error_errno(r, "Failed to set up store");

        r = store_info(s, &info, /* reterr_error= */ NULL);
        if (r < 0 && pkram_errno_is_missing(r)) {
                log_info("This kernel has no PKRAM, nothing is stored.");
                return 0;
        }
        if (r < 0)
                return log_error_errno(r, "Failed to use " PKRAM_DEVICE);
        if (info.boot_result == PKRAM_BOOT_OFF) {
                log_info("PKRAM is disabled in this kernel, nothing is stored.");
                return 0;
        }

        if (lost)
                return restore_run_lost(device, s, &info, config, disk_path);
        r = wait_for_adoption(device, s, &info);
        if (r < 0)
                return log_error_errno(r, "Failed to list dropped nodes");
        return report_restored(s, device, &info, report_path);
}

/* Where notes about guests and processes are. */
typedef struct NotePlaces {
        const char *guests, *processes;
} NotePlaces;

/* "Guests: web continues. Processes: …", to follow a sentence. What cannot be read is left out. */
static char *returned_text(const PkramDevice *device, const NotePlaces *places, struct json_object *report) {
        _cleanup_json_ struct json_object *guests = NULL, *processes = NULL, *waiting = NULL;
        _cleanup_free_ char *g = NULL, *p = NULL, *m = NULL;
        char *text;
        int r;

        r = run_notes_read(places->guests, &guests);
        if (r < 0)
                log_warning("Failed to read notes in '%s', ignoring: %s", places->guests, strerror(-r));
        r = run_notes_read(places->processes, &processes);
        if (r < 0)
                log_warning("Failed to read notes in '%s', ignoring: %s", places->processes, strerror(-r));
        r = json_get(report, "sharedMemory") ? report_waiting(device, &waiting) : 0;
        if (r < 0)
                log_warning("Failed to list stored shared memory, ignoring: %s", strerror(-r));
        else
                m = returned_shared(json_get_array(report, "sharedMemory"), waiting);
        g = returned_programs(json_get_array(report, "guests"), guests, "was booted");
        p = returned_programs(json_get_array(report, "processes"), processes, "was started again");
        if (asprintf(&text, "%s%s%s%s%s%s%s%s%s", g && *g ? " Guests: " : "", g ?: "", g && *g ? "." : "",
                     p && *p ? " Processes: " : "", p ?: "", p && *p ? "." : "",
                     m && *m ? " Shared memory: " : "", m ?: "", m && *m ? "." : "") < 0)
                return NULL;
        return text;
}

static void log_up(struct json_object *report, const char *returned) {
        int64_t down = json_get_int(report, "downUSec", -1);
        JournalFields f = JOURNAL_FIELDS_NONE;
        char usec[FORMAT_MAX], bytes[FORMAT_MAX];

        f.kernel = json_get_string(report, "previousKernel");
        f.bytes = (uint64_t) json_get_int(report, "restoredBytes", 0);
        if (down >= 0)
                f.usec = (uint64_t) down;
        journal_entry(LOG_INFO, PKRAM_MESSAGE_UP_STR, &f,
                      "Services are up after a kexec (%s%s): %lli nodes with %s restored, %lli lost.%s",
                      down >= 0 ? "down for " : "unannounced",
                      down >= 0 ? format_usec(usec, (uint64_t) down) : "",
                      (long long) json_get_int(report, "restoredNodes", 0), format_bytes(bytes, f.bytes),
                      (long long) json_get_int(report, "lostNodes", 0), returned ?: "");
}

/* Services are up: ends the report of the kexec, and looks whether the previous boot ended in a crash instead. */
static int services_up(const PkramDevice *device, const NotePlaces *places, const char *report_path,
                       const char *mark_path) {

        _cleanup_json_ struct json_object *before = NULL, *report = NULL;
        _cleanup_free_ char *returned = NULL;
        struct pkram_ioctl_info info;
        bool restored;
        int r;

        r = kexec_report_read(report_path, &before);
        if (r >= 0 && !json_get(before, "upUSec")) {
                r = kexec_report_set_up(report_path, now_usec(CLOCK_REALTIME));
                if (r >= 0)
                        r = kexec_report_read(report_path, &report);
                if (r >= 0) {
                        returned = returned_text(device, places, report);
                        log_up(report, returned);
                }
        }
        if (r < 0 && r != -ENOENT)
                return log_error_errno(r, "Failed to update '%s'", report_path);

        r = pkram_device_info(device, &info);
        restored = r >= 0 && (info.boot_result == PKRAM_BOOT_RESTORED || info.boot_result == PKRAM_BOOT_PARTIAL);
        return crash_check(mark_path, restored);
}

#ifndef PKRAM_RESTORE_TEST
int main(int argc, char *argv[]) {
        const NotePlaces places = { .guests = GUESTS_DIRECTORY, .processes = PROCESSES_DIRECTORY };
        const char *option = argc == 2 ? argv[1] : "";
        bool lost = streq(option, "--lost");
        Config config;
        int r;

        if (streq(option, "--version")) {
                puts("pkram-restore " PKRAM_VERSION);
                return EXIT_SUCCESS;
        }
        if (streq(option, "--up"))
                return services_up(&pkram_device_kernel, &places, KEXEC_REPORT_PATH, CRASH_MARK_PATH) < 0 ?
                        EXIT_FAILURE : EXIT_SUCCESS;

        if (argc > 1 && !lost) {
                bool help = streq(option, "--help");

                (void) fputs("pkram-restore [--lost|--up|--help|--version]\n\n"
                             "Log nodes restored from the previous kernel. With --lost, write nodes to disk\n"
                             "as pkramd.conf says, and log those that this shutdown will lose. With --up, log\n"
                             "how long services were down, what became of guests, processes and shared\n"
                             "memory, and what a crash lost. Run by pkram-restore.service,\n"
                             "pkram-shutdown.service and pkram-report.service.\n", help ? stdout : stderr);
                return help ? EXIT_SUCCESS : EXIT_FAILURE;
        }

        config_init(&config);
        /* pkramd logs the warnings. */
        r = lost ? config_load(&config, /* root= */ "", /* warning= */ NULL, /* userdata= */ NULL) : 0;
        if (r < 0) {
                log_warning("Failed to read pkramd.conf, writing no nodes to disk: %s", strerror(-r));
                config_init(&config);
        }
        r = restore_run(&pkram_device_kernel, &config, lost, PKRAM_DISK_DIRECTORY, KEXEC_REPORT_PATH);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
#endif
