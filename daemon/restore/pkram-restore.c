/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Logs which nodes of the previous kernel were restored, early in the boot and
 * before pkramd runs, and leaves a report for GetStatus; with --up, that services are up
 * again; with --lost, what is about to be lost because the system shuts down without
 * kexec. Of what is stored it removes nothing but what the system stored for itself.
 */
#include <stdio.h>

#include "crash.h"
#include "format.h"
#include "log.h"
#include "pkram-messages.h"
#include "report.h"
#include "time-util.h"

static int restore_run(const PkramDevice *device, bool lost, const char *report_path) {
        _cleanup_(store_freep) Store *s = NULL;
        struct pkram_ioctl_info info;
        Config config;
        int r;

        config_init(&config);
        r = store_new(device, &config, &s);
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

        if (!lost)
                return report_restored(s, device, &info, report_path);
        return report_lost(s, &info);
}

static void log_up(struct json_object *report) {
        int64_t down = json_get_int(report, "downUSec", -1);
        JournalFields f = JOURNAL_FIELDS_NONE;
        char usec[FORMAT_MAX], bytes[FORMAT_MAX];

        f.kernel = json_get_string(report, "previousKernel");
        f.bytes = (uint64_t) json_get_int(report, "restoredBytes", 0);
        if (down >= 0)
                f.usec = (uint64_t) down;
        journal_entry(LOG_INFO, PKRAM_MESSAGE_UP_STR, &f,
                      "Services are up after a kexec (%s%s): %lli nodes with %s restored, %lli lost.",
                      down >= 0 ? "down for " : "unannounced",
                      down >= 0 ? format_usec(usec, (uint64_t) down) : "",
                      (long long) json_get_int(report, "restoredNodes", 0), format_bytes(bytes, f.bytes),
                      (long long) json_get_int(report, "lostNodes", 0));
}

/* Services are up: ends the report of the kexec, and looks whether the previous boot ended in a crash instead. */
static int services_up(const PkramDevice *device, const char *report_path, const char *mark_path) {
        _cleanup_json_ struct json_object *before = NULL, *report = NULL;
        struct pkram_ioctl_info info;
        bool restored;
        int r;

        r = kexec_report_read(report_path, &before);
        if (r >= 0 && !json_get(before, "upUSec")) {
                r = kexec_report_set_up(report_path, now_usec(CLOCK_REALTIME));
                if (r >= 0)
                        r = kexec_report_read(report_path, &report);
                if (r >= 0)
                        log_up(report);
        }
        if (r < 0 && r != -ENOENT)
                return log_error_errno(r, "Failed to update '%s'", report_path);

        r = pkram_device_info(device, &info);
        restored = r >= 0 && (info.boot_result == PKRAM_BOOT_RESTORED || info.boot_result == PKRAM_BOOT_PARTIAL);
        return crash_check(mark_path, restored);
}

#ifndef PKRAM_RESTORE_TEST
int main(int argc, char *argv[]) {
        const char *option = argc == 2 ? argv[1] : "";
        bool lost = streq(option, "--lost");

        if (streq(option, "--version")) {
                puts("pkram-restore " PKRAM_VERSION);
                return EXIT_SUCCESS;
        }
        if (streq(option, "--up"))
                return services_up(&pkram_device_kernel, KEXEC_REPORT_PATH, CRASH_MARK_PATH) < 0 ? EXIT_FAILURE :
                        EXIT_SUCCESS;

        if (argc > 1 && !lost) {
                bool help = streq(option, "--help");

                (void) fputs("pkram-restore [--lost|--up|--help|--version]\n\n"
                             "Log nodes restored from the previous kernel. With --lost, log nodes that this shutdown "
                             "will lose.\nWith --up, log how long services were down and what a crash lost.\n"
                             "Run by pkram-restore.service, pkram-shutdown.service and pkram-report.service.\n",
                             help ? stdout : stderr);
                return help ? EXIT_SUCCESS : EXIT_FAILURE;
        }

        return restore_run(&pkram_device_kernel, lost, KEXEC_REPORT_PATH) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
#endif
