/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* pkram-kexec-guard: what runs when the system is about to go down.
 *
 *   pkram-kexec-guard check   is the stop command of pkram-kexec-guard.service, which is ordered so that it stops
 *                             before everything else. If a kexec is queued that would lose what is stored, it
 *                             cancels the whole queue: nothing has been stopped yet, and the system goes on.
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
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-journal.h>

#include <linux/pkram.h>

#include "config.h"
#include "device.h"
#include "guard-jobs.h"
#include "guard-tell.h"
#include "kexec-check.h"
#include "kexec-record.h"
#include "kexec-trees.h"
#include "macro.h"
#include "pkram-messages.h"
#include "time-util.h"

#define GUARD_UNIT "pkram-kexec-guard.service"

static void bus_unrefp(sd_bus **bus) {
        (void) sd_bus_flush_close_unref(*bus);
}

__attribute__((format(printf, 3, 4)))
static int log_error(int priority, int r, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        errno = r < 0 ? -r : r;
        (void) sd_journal_printv(priority, format, ap);
        va_end(ap);
        return r;
}

/* KexecPolicy= as pkramd would read it now. Lines it does not understand are pkramd's to complain about. A
 * configuration that cannot be read at all counts as the default, refuse. */
static KexecPolicy read_policy(void) {
        Config config;
        int r;

        config_init(&config);
        r = config_load(&config, "", /* warning= */ NULL, /* userdata= */ NULL);
        if (r < 0) {
                (void) log_error(LOG_WARNING, r, "Cannot read pkramd.conf, taking KexecPolicy=refuse: %m");
                return KEXEC_POLICY_REFUSE;
        }

        return config.kexec_policy;
}

static int judge(KexecPolicy policy, KexecCheck *ret) {
        struct pkram_ioctl_info info;
        uint64_t n_trees = 0;
        int r, k;

        r = pkram_device_info(&pkram_device_kernel, &info);
        if (r < 0 && !pkram_errno_is_missing(r))
                return r;

        k = kexec_count_trees(/* utab= */ NULL, &n_trees);
        if (k < 0)
                (void) log_error(LOG_WARNING, k, "Cannot find out which trees are mounted, taking none: %m");

        kexec_check(r >= 0 ? &info : NULL, /* image= */ NULL, n_trees, policy, ret);
        return 0;
}

static int refuse(sd_bus *bus, const char *why, uint64_t n_nodes) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = manager_cancel_all(bus, GUARD_UNIT);
        if (r < 0)
                return log_error(LOG_ERR, r, "Cannot cancel the kexec, which goes on: %m");

        r = logind_cancel_scheduled_kexec();
        if (r < 0)
                (void) log_error(LOG_WARNING, r, "Cannot cancel the scheduled kexec, ignoring: %m");

        (void) sd_journal_send("MESSAGE=Refused to kexec: %s", why,
                               "PRIORITY=%i", LOG_ERR,
                               "MESSAGE_ID=" PKRAM_MESSAGE_REFUSED_STR,
                               "SYSLOG_IDENTIFIER=pkramd",
                               "PKRAM_NODES=%" PRIu64, n_nodes,
                               NULL);

        if (asprintf(&text,
                     "pkram: the kexec was refused, nothing was stopped.\n"
                     "%s\n"
                     "To kexec nevertheless and lose what is stored: pkramctl kexec --force", why) < 0) {
                text = NULL;
                return -ENOMEM;
        }
        tell_terminals(text);
        return 0;
}

/* Notes when a step of this kexec was reached, for the report after it. Only the report suffers if that fails. */
static void note_step(bool first) {
        _cleanup_record_ KexecRecord record = KEXEC_RECORD_NONE;
        int r;

        if (!first) {
                r = kexec_record_read(KEXEC_RECORD_PATH, &record);
                if (r < 0 && r != -ENOENT)
                        (void) log_error(LOG_WARNING, r, "Cannot read " KEXEC_RECORD_PATH ", ignoring: %m");
        }
        *(first ? &record.requested_usec : &record.stopped_usec) = now_usec(CLOCK_REALTIME);

        r = kexec_record_write(KEXEC_RECORD_PATH, &record);
        if (r < 0)
                (void) log_error(LOG_WARNING, r, "Cannot write " KEXEC_RECORD_PATH ", ignoring: %m");
}

static int verb_check(sd_bus *bus) {
        KexecPolicy policy;
        KexecCheck check;
        int r, forced;

        forced = kexec_force_get(/* path= */ NULL);
        if (forced < 0)
                (void) log_error(LOG_WARNING, forced, "Cannot look for " KEXEC_FORCE_MARK ", taking it as absent: %m");
        if (forced > 0) {
                policy = KEXEC_POLICY_FORCE;
                r = kexec_force_clear(/* path= */ NULL);
                if (r < 0)
                        (void) log_error(LOG_WARNING, r, "Cannot remove " KEXEC_FORCE_MARK ", ignoring: %m");
        } else
                policy = read_policy();

        r = judge(policy, &check);
        if (r < 0) {
                (void) log_error(LOG_ERR, r, "Cannot ask " PKRAM_DEVICE " what is stored: %m");
                if (policy != KEXEC_POLICY_REFUSE)
                        return 0;
                return refuse(bus, "It is not known what would be lost, since " PKRAM_DEVICE " does not answer.", 0);
        }

        if (!check.allowed)
                return refuse(bus, check.text, check.n_nodes);

        if (!check.keeps)
                (void) sd_journal_print(LOG_WARNING, "%s Going on, since %s.", check.text,
                                        forced > 0 ? "it was forced" : "KexecPolicy= allows it");
        note_step(/* first= */ true);
        return 0;
}

static int verb_lost(ShutdownKind kind) {
        KexecCheck check;
        int r;

        if (kind == SHUTDOWN_KEXEC) {
                r = judge(KEXEC_POLICY_REFUSE, &check);
                if (r < 0)
                        return log_error(LOG_ERR, r, "Cannot ask " PKRAM_DEVICE " what is stored: %m");
                if (check.keeps) {
                        if (check.n_nodes > 0)
                                (void) sd_journal_print(LOG_INFO, "%s", check.text);
                        if (check.n_trees > 0)
                                (void) sd_journal_print(LOG_WARNING, "%" PRIu64 " trees are mounted still, and if they are not "
                                                        "unmounted before the kexec what is in them is lost.", check.n_trees);
                        note_step(/* first= */ false);
                        return 0;
                }
                (void) sd_journal_print(LOG_WARNING, "%s", check.text);
        }

        /* Lists the nodes, and logs one entry for each. */
        (void) execl(PKRAM_LIBEXECDIR "/pkram-restore", PKRAM_LIBEXECDIR "/pkram-restore", "--lost", NULL);
        return log_error(LOG_ERR, -errno, "Cannot run " PKRAM_LIBEXECDIR "/pkram-restore: %m");
}

int main(int argc, char *argv[]) {
        _cleanup_(bus_unrefp) sd_bus *bus = NULL;
        ShutdownKind kind;
        bool check;
        int r;

        if (argc != 2 || (strcmp(argv[1], "check") != 0 && strcmp(argv[1], "lost") != 0)) {
                fprintf(stderr, "%s is run by pkram-kexec-guard.service and pkram-shutdown.service, with 'check' or "
                        "'lost'. Use 'pkramctl check'.\n", argc > 0 ? argv[0] : "pkram-kexec-guard");
                return EXIT_FAILURE;
        }
        check = strcmp(argv[1], "check") == 0;

        r = manager_connect(&bus);
        if (r < 0) {
                (void) log_error(LOG_ERR, r, "Cannot connect to the service manager: %m");
                return EXIT_FAILURE;
        }

        r = manager_shutdown_kind(bus, &kind);
        if (r < 0) {
                (void) log_error(LOG_ERR, r, "Cannot read the job queue of the service manager: %m");
                return EXIT_FAILURE;
        }

        if (check)
                r = kind == SHUTDOWN_KEXEC ? verb_check(bus) : 0;
        else
                r = kind == SHUTDOWN_KEXEC || kind == SHUTDOWN_OTHER ? verb_lost(kind) : 0;

        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
