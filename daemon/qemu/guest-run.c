/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>

#include "format.h"
#include "guest-files.h"
#include "guest-process.h"
#include "guest-start.h"
#include "log.h"
#include "run-notes.h"
#include "run-options.h"
#include "shutdown-kexec.h"
#include "signal-util.h"
#include "time-util.h"

/* Timeout of one step while the guest is being stopped. Signals are checked between the steps. */
#define STEP_USEC USEC_PER_SEC

void guest_run_done(GuestRun *run) {
        guest_config_done(&run->config);
        qemu_plan_done(&run->plan);
        guest_record_done(&run->record);
        guest_facts_done(&run->facts);
        run->qmp = qmp_free(run->qmp);
        free(run->version);
        safe_close(run->process);
        run->note = run_note_remove(run->note, GUESTS_DIRECTORY, run->name);
        safe_close(run->directory);
        safe_close(run->signals);
}

/* --- stop --- */

/* Records that saving failed, for the next start. */
static void record_failure(GuestRun *run, const char *why) {
        int r;

        log_error("Failed to save guest '%s': %s.", run->name, why);
        r = guest_record_write_reason(&run->record, GUEST_FAILED, why, run->directory);
        if (r < 0)
                log_warning("The next start will not know that guest '%s' was not saved: %s.", run->name,
                            strerror(-r));
}

static int record_begin(GuestRun *run) {
        guest_record_done(&run->record);
        run->record.phase = GUEST_SAVING;
        run->record.size = run->plan.size;
        run->record.qemu = strdup(run->version);
        run->record.machine = strdup(run->facts.machine);
        if (!run->record.qemu || !run->record.machine)
                return -ENOMEM;
        for (char **a = run->config.command.item; *a; a++)
                if (string_list_add(&run->record.arguments, *a) < 0)
                        return -ENOMEM;
        return guest_record_write(&run->record, run->directory);
}

/* Saves the guest and ends QEMU. Returns 1 if the guest is saved. Returns 0 if saving failed, but the guest can still
 * be shut down; it may stand still. Returns a negative errno if saving failed and the guest is lost. */
static int run_save(GuestRun *run) {
        _cleanup_free_ char *path = NULL, *why = NULL;
        uint64_t begin = now_usec(CLOCK_MONOTONIC), left;
        _cleanup_list_ StringList disks = {}, unseen = {};
        char text[128];
        int r;

        (void) sd_notify(/* unset_environment= */ 0, "STOPPING=1\nSTATUS=Saving the guest.");
        r = record_begin(run);
        if (r >= 0 && asprintf(&path, "%s/" GUEST_STATE_FILE, run->path) < 0) {
                path = NULL;
                r = -ENOMEM;
        }
        if (r >= 0)
                r = guest_save(run->qmp, run->pid, path, run->config.save_usec, &run->record, &disks, &unseen, &why);
        if (r < 0 && process_wait(run, r == -ECONNRESET ? USEC_PER_SEC : 0) > 0) {
                char end[160];

                (void) snprintf(end, sizeof(end), "QEMU ended (%s) while it saved it",
                                exit_to_text(run->status, text, sizeof(text)));
                record_failure(run, end);
                return -ECONNRESET;
        }
        if (r < 0) {
                record_failure(run, why ?: strerror(-r));
                return 0;
        }

        /* QEMU closes the disks when it ends. From then on nothing changes them. */
        left = run->config.save_usec - MIN(now_usec(CLOCK_MONOTONIC) - begin, run->config.save_usec);
        process_end(run, MAX(QUIT_USEC, left));
        if (run->process >= 0) {
                record_failure(run, "QEMU does not end");
                return -EBUSY;
        }
        run->record.disks = guest_disks_to_json(&disks);
        run->record.phase = GUEST_SAVED;
        r = run->record.disks ? guest_record_write(&run->record, run->directory) : -ENOMEM;
        if (r < 0) {
                record_failure(run, strerror(-r));
                return r;
        }
        for (size_t i = 0; i < unseen.n; i++)
                log_warning("Nothing else may write to disk '%s' until guest '%s' goes on: it would not be noticed.",
                            unseen.item[i], run->name);
        log_info("Saved guest '%s' in %s: it %s at the next start.", run->name,
                 format_usec(text, now_usec(CLOCK_MONOTONIC) - begin),
                 run->record.running ? "goes on" : "stands still, as it did before,");
        return 1;
}

/* Returns true if the guest is off, but QEMU does not end by itself (-no-shutdown). */
static bool guest_is_off(GuestRun *run) {
        _cleanup_json_ struct json_object *value = NULL;
        const char *status;

        if (qmp_execute(run->qmp, "query-status", NULL, STEP_USEC, &value, NULL) < 0)
                return false;
        status = json_get_string(value, "status");
        return status && streq(status, "shutdown");
}

/* Presses the power button. If wake is set, the guest may stand still, and has to run again before it can notice the
 * button. Returns 1 if the button was pressed, 0 if the caller has to try again, or a negative errno. */
static int power_button_press(GuestRun *run, bool wake) {
        int r;

        r = wake ? guest_wake(run->qmp, STEP_USEC) : 0;
        if (r < 0)
                return r == -EAGAIN || r == -ETIMEDOUT ? 0 : r;
        r = guest_power_down(run->qmp, STEP_USEC);
        /* After a timeout, QEMU still executes the command later. */
        return r < 0 && r != -ETIMEDOUT ? r : 1;
}

/* Shuts the guest down, and waits until it is off. A second signal ends QEMU at once. */
static void run_power_down(GuestRun *run, bool wake) {
        uint64_t deadline = now_usec(CLOCK_MONOTONIC) + run->config.shutdown_usec;
        struct signalfd_siginfo info;
        int r = 0, pressed = 0;

        (void) sd_notify(/* unset_environment= */ 0, "STOPPING=1\nSTATUS=The guest is shutting down.");
        while (r == 0 && now_usec(CLOCK_MONOTONIC) < deadline) {
                if (pressed == 0)
                        pressed = power_button_press(run, wake);
                r = MIN(pressed, 0);
                if (r == 0)
                        r = process_wait(run, USEC_PER_SEC / 5);
                if (r > 0)
                        return;
                if (r == 0 && (guest_is_off(run) || signal_came(run->signals, /* timeout_msec= */ 0, &info)))
                        break;
        }
        if (r == 0 && now_usec(CLOCK_MONOTONIC) >= deadline)
                log_warning("Guest '%s' did not %s in time, and is switched off.", run->name,
                            pressed ? "shut down" : "run again");
        process_end(run, QUIT_USEC);
}

/* Stops a guest if the connection to QEMU's monitor is lost. QEMU may be just ending, which takes time if the guest
 * has much memory. Otherwise QEMU can only be killed, which the caller does. Returns 0 if the guest is off, or
 * -ENOTCONN. */
static int run_stop_without_monitor(GuestRun *run, bool save) {
        const char *why = "QEMU's monitor is lost";

        if (process_wait(run, QUIT_USEC) > 0)
                return 0;
        if (save)
                record_failure(run, why);
        else
                log_error("Failed to shut down guest '%s': %s. It is switched off.", run->name, why);
        return -ENOTCONN;
}

/* Does what a signal asks for. Returns 1 if the guest is saved, 0 if it is off, or a negative errno. */
static int run_stop(GuestRun *run, bool save) {
        int r;

        if (!run->qmp)
                return run_stop_without_monitor(run, save);
        save = save || shutdown_wants_save(run->config.save_usec, "guest", run->name);
        /* QEMU may have ended by itself while shutdown_wants_save() queried the service manager. */
        if (process_wait(run, 0) > 0)
                return 0;
        r = save ? run_save(run) : 0;
        if (r == 0)
                run_power_down(run, /* wake= */ save && run->record.running);
        return r;
}

/* Reads and discards the events that QEMU sends. */
static void run_drain(GuestRun *run) {
        int r;

        r = qmp_drain(run->qmp);
        if (r >= 0)
                return;
        run->qmp = qmp_free(run->qmp);
        if (process_wait(run, r == -ECONNRESET ? USEC_PER_SEC : 0) == 0)
                (void) log_error_errno(r, "Failed to read from QEMU's monitor, guest '%s' cannot be saved or shut "
                                       "down any more unless QEMU is just ending", run->name);
}

/* Follows QEMU until it has ended. Returns an exit status. */
static int run_follow(GuestRun *run) {
        bool stopped = false, saved = false;
        char end[128];
        int r = 0;

        while (run->process >= 0) {
                struct pollfd p[] = {
                        { .fd = run->process, .events = POLLIN },
                        { .fd = run->signals, .events = POLLIN },
                        { .fd = run->qmp ? qmp_fd(run->qmp) : -1, .events = POLLIN },
                };
                struct signalfd_siginfo info;

                if (poll(p, ELEMENTSOF(p), -1) < 0 && errno != EINTR)
                        return log_error_errno(-errno, "Failed to wait for QEMU") < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
                if (p[0].revents)
                        (void) process_wait(run, 0);
                else if (p[1].revents && signal_came(run->signals, /* timeout_msec= */ 0, &info)) {
                        stopped = true;
                        r = run_stop(run, info.ssi_signo == SIGUSR1);
                        saved = r > 0;
                        if (r < 0)
                                process_end(run, QUIT_USEC);
                } else if (p[2].revents)
                        run_drain(run);
        }
        run->note = run_note_remove(run->note, GUESTS_DIRECTORY, run->name);
        if (saved)
                return EXIT_SUCCESS;
        /* If saving failed, the record with the reason stays for the next start. */
        files_remove(run, /* record= */ !stopped || run->record.phase != GUEST_FAILED);
        if (r < 0)
                return EXIT_FAILURE;
        if (!stopped && (!WIFEXITED(run->status) || WEXITSTATUS(run->status) != 0)) {
                log_error("QEMU ended: %s.", exit_to_text(run->status, end, sizeof(end)));
                return EXIT_FAILURE;
        }
        log_info("Guest '%s' is off.", run->name);
        return EXIT_SUCCESS;
}

int guest_run(GuestRun *run) {
        int r;

        r = guest_start(run);
        if (r < 0) {
                process_end(run, QUIT_USEC);
                /* The guest has not run, so its memory holds nothing. */
                if (run->booted)
                        files_remove(run, /* record= */ true);
                return r == -EOPNOTSUPP || r == -EBUSY ? EXIT_REFUSED : EXIT_FAILURE;
        }
        return run_follow(run);
}
