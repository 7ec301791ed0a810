/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>

#include "format.h"
#include "guest-files.h"
#include "guest-process.h"
#include "guest-start.h"
#include "log.h"
#include "pkram-messages.h"
#include "run-notes.h"
#include "signal-util.h"
#include "time-util.h"
#include "tree-room.h"

/* Timeout for QEMU to start, and to load a guest. */
#define START_USEC (60 * USEC_PER_SEC)

/* Timeout for the guest's agent to answer. */
#define AGENT_USEC (5 * USEC_PER_SEC)

/* Size of device states and of the tree's metadata, in addition to RAM and other memory. */
#define STATE_BYTES MIB(16)

static int directory_open(GuestRun *run) {
        if (mkdir(run->path, 0700) < 0 && errno != EEXIST)
                return log_error_errno(-errno, "Failed to create '%s'", run->path);
        run->directory = open(run->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (run->directory < 0)
                return log_error_errno(-errno, "Failed to open '%s'", run->path);
        if (flock(run->directory, LOCK_EX | LOCK_NB) >= 0)
                return 0;
        if (errno == EWOULDBLOCK) {
                log_error("Refusing to start guest '%s': it runs already, or another guest uses '%s'.", run->name,
                          run->path);
                return -EBUSY;
        }
        return log_error_errno(-errno, "Failed to lock '%s'", run->path);
}

/* Takes the name of the guest, so that pkramctl shows only one guest with this name. */
static int name_take(GuestRun *run) {
        run->note = run_note_take(GUESTS_DIRECTORY, run->name);
        if (run->note == -EBUSY)
                log_error("Refusing to start guest '%s': a guest of this name runs already, in another directory.",
                          run->name);
        else if (run->note < 0)
                run_note_warn(run->note, "guest", GUESTS_DIRECTORY, run->name);
        return run->note == -EBUSY ? -EBUSY : 0;
}

/* Checks whether the guest can be preserved, as far as this is known before QEMU runs. */
static int run_prepare(GuestRun *run) {
        _cleanup_free_ char *why = NULL, *notice = NULL;
        int r;

        r = qemu_plan_make(run->config.command.item, run->path, run->config.size, &run->plan, &why);
        if (r >= 0)
                r = directory_open(run);
        if (r >= 0)
                r = name_take(run);
        if (r >= 0)
                r = tree_room_check(run->directory, run->path, "the guest",
                                    run->plan.size + run->plan.more + run->config.extra_max + STATE_BYTES,
                                    files_bytes(run), &notice, &why);
        if (why)
                log_error("Refusing to start guest '%s': %s", run->name, why);
        else if (r < 0 && r != -EBUSY && run->directory >= 0)
                (void) log_error_errno(r, "Failed to examine '%s'", run->path);
        if (notice)
                log_warning("%s", notice);
        return r;
}

/* Starts QEMU and checks it. Returns -EOPNOTSUPP, after a message, if the guest could not be preserved. */
static int run_launch(GuestRun *run, bool incoming) {
        _cleanup_free_ char *why = NULL;
        int r;

        r = process_start(run, incoming);
        if (r < 0)
                return log_error_errno(r, "Failed to start QEMU");
        free(run->version);
        run->version = NULL;
        r = qmp_greet(run->qmp, START_USEC, &run->version);
        if (r < 0)
                return process_complain(run, r, "it was started");
        guest_facts_done(&run->facts);
        r = guest_check(run->qmp, run->pid, run->version, &run->plan.ram_ids, run->config.extra_max, &run->facts,
                        &why);
        if (r == -EOPNOTSUPP) {
                log_error("Refusing to start guest '%s': %s", run->name, why);
                return r;
        }
        return r < 0 ? process_complain(run, r, "it was examined") : files_check(run);
}

/*
 * Reads the record of a saved guest. Returns 1 if the guest can continue, or 0 if it cannot: then *ret_why is the
 * reason, or NULL if no guest was saved. Returns a negative errno after a message.
 */
static int run_may_resume(GuestRun *run, char **ret_why) {
        int r;

        r = guest_record_read(run->directory, &run->record);
        if (r == -ENOENT)
                return 0;
        if (r == -ENOMEM)
                return log_error_errno(r, "Failed to read " GUEST_RECORD_FILE);
        if (r < 0) {
                *ret_why = strdup("the record of its state cannot be read");
                return *ret_why ? 0 : log_error_errno(-ENOMEM, "Failed to read " GUEST_RECORD_FILE);
        }
        r = guest_record_differs(&run->record, run->config.command.item, run->plan.size, ret_why);
        if (r == -ENOENT) {
                log_error("Refusing to start guest '%s': %s. Its saved memory stays in '%s' for the next start; "
                          "remove '%s/" GUEST_RECORD_FILE "' to boot it.", run->name, *ret_why, run->path, run->path);
                return r;
        }
        if (r < 0)
                return log_error_errno(r, "Failed to compare " GUEST_RECORD_FILE);
        if (r == 0 && !files_are_there(run)) {
                *ret_why = strdup("the files with its memory are not complete");
                return *ret_why ? 0 : log_error_errno(-ENOMEM, "Failed to compare " GUEST_RECORD_FILE);
        }
        return r == 0;
}

/* Checks whether QEMU opens other disks than the guest had, for example because of another working directory or a
 * snapshot. Returns 1 if it does, with the reason in *ret_why, 0 if not, or a negative errno. */
static int run_compare_disks(GuestRun *run, char **ret_why) {
        _cleanup_json_ struct json_object *now = NULL;
        _cleanup_list_ StringList disks = {};
        _cleanup_free_ char *why = NULL;
        int r;

        r = guest_disks_list(run->qmp, run->pid, START_USEC, &disks, /* ret_unseen= */ NULL, &why);
        if (r < 0)
                return process_complain(run, r, "it was asked for its disks");
        now = guest_disks_to_json(&disks);
        return now ? guest_disks_differ(run->record.disks, now, ret_why) : -ENOMEM;
}

/* The guest has not run since it was saved, and stays so. */
static void run_log_kept(const GuestRun *run) {
        log_info("The saved memory of guest '%s' stays in '%s' for the next start; remove '%s/" GUEST_RECORD_FILE
                 "' to boot it.", run->name, run->path, run->path);
}

/*
 * Deals with a state that was not loaded, after the error r. why is QEMU's reason for -EREMOTEIO. Returns 0 if QEMU
 * refuses the state, by an answer or by an exit status: then *ret_why is the reason and QEMU has ended. In other cases
 * the state may be all right: the host may be slow or short of memory, so the guest stays saved. QEMU does not write
 * to the files with RAM before the guest runs, apart from what loading writes in the same way each time. Returns a
 * negative errno after a message then.
 */
static int run_judge_load(GuestRun *run, int r, const char *why, char **ret_why) {
        char end[128];
        int k;

        k = process_wait(run, USEC_PER_SEC);
        if (k > 0 && WIFEXITED(run->status) && WEXITSTATUS(run->status) != 0)
                k = asprintf(ret_why, "QEMU ended (%s) when it loaded its state",
                             exit_to_text(run->status, end, sizeof(end)));
        else if (r == -EREMOTEIO) {
                process_end(run, QUIT_USEC);
                k = asprintf(ret_why, "QEMU cannot load its state: %s", why ?: strerror(-r));
        } else {
                if (k > 0)
                        log_error("Failed to load guest '%s': QEMU ended (%s).", run->name,
                                  exit_to_text(run->status, end, sizeof(end)));
                else
                        (void) log_error_errno(r, "Failed to load guest '%s'", run->name);
                run_log_kept(run);
                return r;
        }
        if (k < 0) {
                *ret_why = NULL;
                return -ENOMEM;
        }
        return 0;
}

/* Has QEMU load the saved guest. Returns 1 if the guest is loaded, 0 if it cannot be loaded, or a negative errno. With
 * 0, *ret_why is the reason and QEMU has ended. */
static int run_resume(GuestRun *run, char **ret_why) {
        _cleanup_free_ char *path = NULL, *why = NULL;
        int r;

        r = run_launch(run, /* incoming= */ true);
        if (r < 0)
                return r;
        if (!streq(run->facts.machine, run->record.machine)) {
                process_end(run, QUIT_USEC);
                r = asprintf(ret_why, "its machine is '%s' now, and was '%s': name a version with -machine",
                             run->facts.machine, run->record.machine);
                return r < 0 ? -ENOMEM : 0;
        }
        r = run_compare_disks(run, ret_why);
        if (r > 0)
                process_end(run, QUIT_USEC);
        if (r != 0)
                return MIN(r, 0);
        if (asprintf(&path, "%s/" GUEST_STATE_FILE, run->path) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        r = guest_load(run->qmp, path, START_USEC, &why);
        return r < 0 ? run_judge_load(run, r, why, ret_why) : 1;
}

/* Tells QEMU to run the guest. Returns 0, -EREMOTEIO if QEMU refuses, so that nothing of the guest has run, or another
 * negative errno if the guest may have run. After an error there was a message. */
static int run_tell(GuestRun *run) {
        _cleanup_free_ char *why = NULL;
        int r;

        r = guest_continue(run->qmp, START_USEC, &why);
        if (r == -EREMOTEIO)
                log_error("QEMU refuses to run guest '%s': %s.", run->name, why ?: "unknown error");
        return r >= 0 || r == -EREMOTEIO ? r : process_complain(run, r, "the guest was to run");
}

/* Records why a guest, which may have run, cannot be resumed any more. */
static void run_record_loss(GuestRun *run, const char *why) {
        int r;

        log_error("The saved memory of guest '%s' is lost: %s. The next start boots it.", run->name, why);
        r = guest_record_write_reason(&run->record, GUEST_RESUMING, why, run->directory);
        if (r < 0)
                log_warning("The next start will not know why guest '%s' cannot go on: %s.", run->name, strerror(-r));
}

/* Ends a QEMU that did not run the loaded guest, for the reason r of run_tell(). If nothing of the guest has run and
 * cannot run any more, it is saved again. */
static void run_take_back(GuestRun *run, int r) {
        process_end(run, QUIT_USEC);
        if (r != -EREMOTEIO) {
                run_record_loss(run, "QEMU was told to run it, and did not answer");
                return;
        }
        if (run->process >= 0) {
                run_record_loss(run, "QEMU did not run it, and does not end");
                return;
        }
        run->record.phase = GUEST_SAVED;
        r = guest_record_write(&run->record, run->directory);
        if (r < 0) {
                (void) log_error_errno(r, "Failed to write " GUEST_RECORD_FILE);
                run_record_loss(run, "its record could not be written");
                return;
        }
        run_log_kept(run);
}

/* Has a loaded guest run, if it ran when it was saved. From the first instruction on, the guest must never be resumed
 * from the same state again, also if pkram-qemu is killed. */
static int run_continue(GuestRun *run) {
        int r;

        run->record.phase = GUEST_RESUMING;
        r = guest_record_write(&run->record, run->directory);
        if (r < 0) {
                (void) log_error_errno(r, "Failed to record in '%s' that the guest is resumed", run->path);
                run_log_kept(run);
                return r;
        }
        r = run->record.running ? run_tell(run) : 0;
        if (r < 0) {
                run_take_back(run, r);
                return r;
        }
        if (unlinkat(run->directory, GUEST_RECORD_FILE, 0) < 0 || unlinkat(run->directory, GUEST_STATE_FILE, 0) < 0)
                log_warning("Failed to remove the guest's saved state from '%s', ignoring: %s", run->path,
                            strerror(errno));
        return 0;
}

/* Has the guest's agent set the guest's clock, which stood still while the guest was saved. */
static void run_set_clock(const GuestRun *run) {
        union {
                struct sockaddr sa;
                struct sockaddr_un un;
        } address = { .un.sun_family = AF_UNIX };
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (!run->config.agent)
                return;
        if (strlen(run->config.agent) >= sizeof(address.un.sun_path)) {
                log_warning("Ignoring the guest's agent: the path of its socket is too long.");
                return;
        }
        memcpy(address.un.sun_path, run->config.agent, strlen(run->config.agent));
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || connect(fd, &address.sa, sizeof(address.un)) < 0)
                r = -errno;
        else
                r = guest_set_clock(TAKE_FD(fd), AGENT_USEC, now_usec(CLOCK_REALTIME));
        if (r < 0)
                log_warning("The guest's agent did not set its clock (%s): the clock is behind by the time it stood "
                            "still, unless the guest corrects it.", strerror(-r));
        else
                log_info("The guest's agent has set its clock.");
}

/* Says what to do with a guest that is stopped again, since QEMU had stopped it before it was saved. */
static void run_log_stop(const GuestRun *run) {
        static const char *const reasons[_GUEST_STOP_MAX] = {
                [GUEST_STOP_IO_ERROR] = "a disk had an I/O error, for example since its file system is full. "
                                        "Free space or repair the disk",
                [GUEST_STOP_WATCHDOG] = "its watchdog expired. Find out why",
        };

        if (run->record.stop != GUEST_STOP_NONE)
                log_warning("QEMU had stopped guest '%s' before it was saved: %s, and then enter 'cont' in another "
                            "monitor of QEMU, or restart the unit to boot the guest.", run->name,
                            reasons[run->record.stop]);
}

/* Reports that the guest runs, or is stopped again. why is the reason why a saved guest could not continue, or NULL.
 */
static void run_announce(const GuestRun *run, bool resumed, const char *why) {
        uint64_t now = now_usec(CLOCK_REALTIME),
                stopped = now > run->record.stopped_usec ? now - run->record.stopped_usec : 0;
        RunNote note = {
                .directory = run->path,
                .bytes = run->plan.size + run->plan.more,
                .saved_bytes = run->plan.size + run->plan.more + run->facts.extra + STATE_BYTES,
                .files = &run->plan.ram_files,
                .resumed = resumed,
                .reason = why,
                .stopped_usec = stopped,
        };
        JournalFields fields = JOURNAL_FIELDS_NONE;
        char text[FORMAT_MAX];
        int r;

        fields.node = run->name;
        fields.identifier = "pkram-qemu";
        fields.bytes = run->plan.size;
        if (resumed) {
                fields.usec = stopped;
                journal_entry(LOG_INFO, PKRAM_MESSAGE_GUEST_RESUMED_STR, &fields,
                              run->record.running ? "Guest '%s' goes on; it stood still for %s." :
                              "Guest '%s' is back, and stands still as it did when it was saved, %s ago.", run->name,
                              format_usec(text, stopped));
                run_log_stop(run);
        } else if (why)
                journal_entry(LOG_WARNING, PKRAM_MESSAGE_GUEST_BOOTED_STR, &fields,
                              "Guest '%s' boots and does not go on: %s.", run->name, why);
        else
                log_info("Guest '%s' boots: it was not saved.", run->name);

        r = run->note >= 0 ? run_note_write(run->note, run->name, &note) : 0;
        if (r < 0)
                run_note_warn(r, "guest", GUESTS_DIRECTORY, run->name);
        (void) sd_notifyf(/* unset_environment= */ 0, "READY=1\nSTATUS=%s",
                          !resumed ? "The guest was booted." :
                          run->record.running ? "The guest goes on." : "The guest is stopped, as when it was saved.");
}

/* Resumes the guest, or boots it. */
static int run_start(GuestRun *run) {
        _cleanup_free_ char *why = NULL;
        bool resumed;
        int r;

        r = run_may_resume(run, &why);
        if (r > 0)
                r = run_resume(run, &why);
        if (r < 0)
                return r;
        resumed = r > 0;

        if (!resumed) {
                /* This discards the saved guest, if there is one. */
                files_remove(run, /* record= */ true);
                run->booted = true;
                r = files_create(run);
                if (r == -EOPNOTSUPP)
                        return r;
                if (r < 0)
                        return log_error_errno(r, "Failed to create the files with the guest's memory in '%s'",
                                               run->path);
                r = run_launch(run, /* incoming= */ false);
                if (r < 0)
                        return r;
                if (!run->plan.start_paused)
                        r = run_tell(run);
        } else
                r = run_continue(run);
        if (r < 0)
                return r;
        run_announce(run, resumed, why);
        if (resumed && run->record.running)
                run_set_clock(run);
        return 0;
}

int guest_start(GuestRun *run) {
        int r;

        r = run_prepare(run);
        return r < 0 ? r : run_start(run);
}
