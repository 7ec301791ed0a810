/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* pkram-kexec-guard: runs when the system is about to shut down.
 *
 *   pkram-kexec-guard check   is the stop command of pkram-kexec-guard.service, which is ordered so that it stops
 *                             before everything else. If a kexec is queued that would lose what is stored, it
 *                             cancels the whole queue: nothing has been stopped yet, and the system goes on. The same
 *                             for a reboot or poweroff, if nodes are to be written to disk and do not fit.
 *   pkram-kexec-guard judge   answers CheckKexec of io.pkram.Store: it writes the same judgement to standard output,
 *                             which is a socket of pkramd.
 *   pkram-kexec-guard lost    is the stop command of pkram-shutdown.service, which stops after ordinary services
 *                             have stored what they wanted to. If this shutdown loses it, every node is logged.
 *
 * Why a stop command, and not a unit that systemd-kexec.service requires: the manager builds one transaction out of
 * the kexec and the stopping of everything else. A required unit that fails to start makes the kexec fail, but by
 * then everything has been stopped, because a stop always runs before a start it is ordered with. An inhibitor lock
 * of logind is no answer either: it blocks reboot and poweroff with it, root's `systemctl` ignores it before
 * systemd 257, and `systemctl start kexec.target` always. And a condition on kexec.target is looked at when its turn
 * comes, at the very end. */

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-journal.h>

#include <linux/pkram.h>

#include "config.h"
#include "device.h"
#include "file-util.h"
#include "guard-decide.h"
#include "guard-jobs.h"
#include "guard-tell.h"
#include "json-util.h"
#include "kexec-check.h"
#include "kexec-facts.h"
#include "kexec-record.h"
#include "macro.h"
#include "manager-bus.h"
#include "mount-table.h"
#include "pkram-messages.h"
#include "shared-users.h"
#include "time-util.h"

#define GUARD_UNIT "pkram-kexec-guard.service"

__attribute__((format(printf, 3, 4)))
static int log_error(int priority, int r, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        errno = r < 0 ? -r : r;
        (void) sd_journal_printv(priority, format, ap);
        va_end(ap);
        return r;
}

/* what: "kexec" or "shutdown". */
static int guard_refuse(sd_bus *bus, const char *what, const char *why, const char *proceed, uint64_t n_nodes) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = manager_cancel_all(bus, GUARD_UNIT);
        if (r < 0)
                return log_error(LOG_ERR, r, "Failed to cancel the %s, shutdown continues: %m", what);

        r = logind_cancel_scheduled();
        if (r < 0)
                (void) log_error(LOG_WARNING, r, "Failed to cancel the scheduled %s, ignoring: %m", what);

        (void) sd_journal_send("MESSAGE=Refused to %s: %s", strcmp(what, "shutdown") == 0 ? "shut down" : what, why,
                               "PRIORITY=%i", LOG_ERR,
                               "MESSAGE_ID=" PKRAM_MESSAGE_REFUSED_STR,
                               "SYSLOG_IDENTIFIER=pkramd",
                               "PKRAM_NODES=%" PRIu64, n_nodes,
                               NULL);

        if (asprintf(&text,
                     "pkram: %s refused, no unit was stopped.\n"
                     "%s\n"
                     "%s", what, why, proceed) < 0) {
                text = NULL;
                return -ENOMEM;
        }
        tell_terminals(text);
        return 0;
}

/* Names the guests and processes that run. */
static int note_programs(const KexecPrograms *programs, KexecRecord *record) {
        int r = 0;

        for (size_t i = 0; r >= 0 && programs->notes && i < json_object_array_length(programs->notes); i++)
                r = kexec_record_add_program(i < programs->n_guests ? &record->guests : &record->processes,
                                             json_get_string(json_object_array_get_idx(programs->notes, i), "name"));
        return r;
}

/* Notes when a step of this kexec was reached, for the report after it: the first one with programs, later ones with
 * NULL. Only the report suffers if that fails. */
static void note_step(const KexecPrograms *programs) {
        _cleanup_record_ KexecRecord record = KEXEC_RECORD_NONE;
        int r;

        if (!programs) {
                r = kexec_record_read(KEXEC_RECORD_PATH, &record);
                if (r < 0 && r != -ENOENT)
                        (void) log_error(LOG_WARNING, r, "Failed to read " KEXEC_RECORD_PATH ", ignoring: %m");
        }
        r = programs ? note_programs(programs, &record) : 0;
        if (r < 0)
                (void) log_error(LOG_WARNING, r, "Failed to list guests and processes, ignoring: %m");
        *(programs ? &record.requested_usec : &record.stopped_usec) = now_usec(CLOCK_REALTIME);

        r = kexec_record_write(KEXEC_RECORD_PATH, &record);
        if (r < 0)
                (void) log_error(LOG_WARNING, r, "Failed to write " KEXEC_RECORD_PATH ", ignoring: %m");
}

/* Keeps the table of mounts for pkram-shutdown. */
static void note_mounts(void) {
        _cleanup_free_ char *table = NULL;
        int r;

        r = virtual_file_read(AT_FDCWD, MOUNT_TABLE, SIZE_MAX, &table);
        if (r >= 0)
                r = file_write(KEXEC_MOUNTS_PATH, table, strlen(table));
        if (r < 0)
                (void) log_error(LOG_WARNING, r, "Failed to copy the table of mounts to " KEXEC_MOUNTS_PATH
                                 ", ignoring: %m");
}

static int verb_check(sd_bus *bus) {
        _cleanup_kexec_state_ KexecState state = {};
        KexecCheck check = {};
        KexecPolicy policy;
        Config config;
        int r, forced, config_result;

        raise_descriptor_limit();

        forced = kexec_force_get(/* path= */ NULL);
        if (forced < 0)
                (void) log_error(LOG_WARNING, forced,
                                 "Failed to look for " KEXEC_FORCE_MARK ", assuming that there is none: %m");
        if (forced > 0) {
                r = kexec_force_clear(/* path= */ NULL);
                if (r < 0)
                        (void) log_error(LOG_WARNING, r, "Failed to remove " KEXEC_FORCE_MARK ", ignoring: %m");
        }

        /* pkramd warns about lines that it does not understand. */
        config_init(&config);
        config_result = config_load(&config, "", /* warning= */ NULL, /* userdata= */ NULL);
        if (config_result < 0 && forced <= 0)
                (void) log_error(LOG_WARNING, config_result,
                                 "Failed to read pkramd.conf, assuming KexecPolicy=refuse: %m");
        policy = guard_policy(forced, config_result, config.kexec_policy);

        /* As long as the services that know them are there. */
        r = shared_users_note(&config);
        if (r < 0)
                (void) log_error(LOG_WARNING, r, "Failed to write " SHARED_USERS_PATH ", ignoring: %m");
        r = kexec_state_collect(&pkram_device_kernel, &config, &(KexecSources) { .bus = bus }, KEXEC_STATE_FULL,
                                &state);
        if (r < 0)
                (void) log_error(LOG_ERR, r, "Failed to query " PKRAM_DEVICE ": %m");
        else
                kexec_check(&state.facts, /* image= */ NULL, policy, &check);

        switch (guard_decide(policy, r, &check)) {
        case GUARD_REFUSE:
                return guard_refuse(bus, "kexec",
                                    r < 0 ? "Failed to query " PKRAM_DEVICE ", stored nodes might be lost." :
                                    check.text,
                                    "To proceed and lose what is stored, run 'pkramctl kexec --force'.",
                                    check.n_nodes);
        case GUARD_WARN:
                (void) sd_journal_print(LOG_WARNING, "%s Going on, since %s.",
                                        r < 0 ? "Stored nodes might be lost." : check.text,
                                        forced > 0 ? "it was forced" : "KexecPolicy= allows it");
                break;
        case GUARD_PASS:
                break;
        }
        if (check.crash_kernel[0])
                (void) sd_journal_print(LOG_WARNING, "%s", check.crash_kernel);
        note_step(&state.programs);
        note_mounts();
        return 0;
}

/*
 * Refuses a reboot, poweroff or halt only if nodes are to be written to disk, do not fit, and the policy is to refuse.
 * If that cannot be determined, the shutdown proceeds: a machine that cannot be shut down is worse.
 */
static int verb_check_reboot(sd_bus *bus) {
        _cleanup_kexec_state_ KexecState state = {};
        Config config;
        int r;

        config_init(&config);
        r = config_load(&config, "", /* warning= */ NULL, /* userdata= */ NULL);
        if (r < 0)
                return log_error(LOG_WARNING, r,
                                 "Failed to read pkramd.conf, not checking what the shutdown loses: %m");
        if (config_persist(&config) == PERSIST_NO)
                return 0;
        raise_descriptor_limit();
        r = kexec_state_collect(&pkram_device_kernel, &config, &(KexecSources) { .bus = bus }, KEXEC_STATE_FULL,
                                &state);
        if (r < 0)
                return log_error(LOG_WARNING, r,
                                 "Failed to query " PKRAM_DEVICE ", not checking what the shutdown loses: %m");
        if (!state.reboot)
                return 0;
        (void) sd_journal_print(state.reboot->keeps ? LOG_INFO : LOG_WARNING, "%s", state.reboot->text);
        if (state.reboot->allowed)
                return 0;
        return guard_refuse(bus, "shutdown", state.reboot->text,
                            "To proceed and lose these nodes, run: mkdir -p /run/pkram/pkramd.conf.d && "
                            "printf '[Disk]\\nPersistPolicy=drop\\n' >/run/pkram/pkramd.conf.d/drop.conf",
                            state.facts.n_nodes);
}

static int verb_lost(ShutdownKind kind) {
        _cleanup_kexec_state_ KexecState state = {};
        KexecCheck check;
        Config config;
        int r;

        if (kind == SHUTDOWN_KEXEC) {
                config_init(&config);
                /* pkram-restore warns if that fails. */
                (void) config_load(&config, "", /* warning= */ NULL, /* userdata= */ NULL);
                r = kexec_state_collect(&pkram_device_kernel, &config, /* sources= */ NULL, /* flags= */ 0, &state);
                if (r < 0)
                        return log_error(LOG_ERR, r, "Failed to query " PKRAM_DEVICE ": %m");
                /* Services have stopped and stored what they had. Shared memory that was stored is a node. */
                state.facts.n_units = state.facts.n_program_problems = 0;
                state.facts.n_shared = 0;
                kexec_check(&state.facts, /* image= */ NULL, KEXEC_POLICY_REFUSE, &check);
                if (check.keeps) {
                        if (check.n_nodes > 0)
                                (void) sd_journal_print(LOG_INFO, "%s", check.text);
                        if (check.n_trees > 0)
                                (void) sd_journal_print(LOG_WARNING,
                                                        "Mounted trees: %" PRIu64 ". Their contents are lost unless "
                                                        "they are unmounted before the kexec.", check.n_trees);
                        note_step(/* programs= */ NULL);
                        return 0;
                }
                if (config_persist(&config) == PERSIST_NO)
                        (void) sd_journal_print(LOG_WARNING, "%s", check.text);
                else
                        (void) sd_journal_print(LOG_INFO, "The loaded kernel does not preserve memory.");
        }

        /* Lists the nodes, and logs one entry for each. */
        (void) execl(PKRAM_LIBEXECDIR "/pkram-restore", PKRAM_LIBEXECDIR "/pkram-restore", "--lost", NULL);
        return log_error(LOG_ERR, -errno, "Failed to run " PKRAM_LIBEXECDIR "/pkram-restore: %m");
}

/* What CheckKexec of io.pkram.Store asks for: it needs a view of the system that pkramd does not have. */
static int verb_judge(void) {
        _cleanup_kexec_state_ KexecState state = {};
        struct json_object *o;
        KexecCheck check;
        const char *text;
        Config config;
        size_t n;
        int r;

        raise_descriptor_limit();

        config_init(&config);
        r = config_load(&config, "", /* warning= */ NULL, /* userdata= */ NULL);
        if (r < 0) {
                (void) log_error(LOG_WARNING, r, "Failed to read pkramd.conf, assuming its defaults: %m");
                config_init(&config);
        }
        r = kexec_state_collect(&pkram_device_kernel, &config, /* sources= */ NULL, KEXEC_STATE_FULL, &state);
        if (r < 0)
                return log_error(LOG_ERR, r, "Failed to query " PKRAM_DEVICE ": %m");
        kexec_check(&state.facts, /* image= */ NULL, config.kexec_policy, &check);

        o = kexec_check_to_json(&check, &state, config.kexec_policy);
        text = o ? json_text(o, &n) : NULL;
        r = text ? write_all(STDOUT_FILENO, text, n) : -ENOMEM;
        json_object_put(o);
        return r < 0 ? log_error(LOG_ERR, r, "Failed to send the result of the check: %m") : 0;
}

int main(int argc, char *argv[]) {
        _cleanup_bus_ sd_bus *bus = NULL;
        ShutdownKind kind;
        bool check;
        int r;

        if (argc == 2 && streq(argv[1], "judge"))
                return verb_judge() < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        if (argc != 2 || (!streq(argv[1], "check") && !streq(argv[1], "lost"))) {
                (void) fprintf(stderr, "%s is run by pkram-kexec-guard.service, pkram-shutdown.service and "
                               "pkram-kexec-check@.service, with 'check', 'lost' or 'judge'. Use 'pkramctl check'.\n",
                               argc > 0 ? argv[0] : "pkram-kexec-guard");
                return EXIT_FAILURE;
        }
        check = streq(argv[1], "check");

        r = service_manager_connect(&bus);
        if (r < 0) {
                (void) log_error(LOG_ERR, r, "Failed to connect to the service manager: %m");
                return EXIT_FAILURE;
        }

        r = manager_shutdown_kind(bus, &kind);
        if (r < 0) {
                (void) log_error(LOG_ERR, r, "Failed to read the job queue of the service manager: %m");
                return EXIT_FAILURE;
        }

        if (check)
                r = kind == SHUTDOWN_KEXEC ? verb_check(bus) : kind == SHUTDOWN_OTHER ? verb_check_reboot(bus) : 0;
        else
                r = kind == SHUTDOWN_KEXEC || kind == SHUTDOWN_OTHER ? verb_lost(kind) : 0;

        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
