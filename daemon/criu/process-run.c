/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>

#include "criu.h"
#include "file-util.h"
#include "format.h"
#include "log.h"
#include "pkram-messages.h"
#include "process-inspect.h"
#include "process-run.h"
#include "program.h"
#include "run-notes.h"
#include "run-options.h"
#include "shutdown-kexec.h"
#include "signal-util.h"
#include "time-util.h"
#include "timer-image.h"
#include "tree-room.h"

#define IMAGES_DIRECTORY "images"

/* Timeouts for CRIU to examine the kernel, and to restore a process. */
#define CHECK_USEC (120 * USEC_PER_SEC)
#define RESTORE_USEC (120 * USEC_PER_SEC)

/* Time from the start to the first inspection of the processes, and interval of the later inspections. */
#define INSPECT_FIRST_USEC (2 * USEC_PER_SEC)
#define INSPECT_USEC (60 * USEC_PER_SEC)

/* Size of process states and of the tree's metadata, in addition to the memory of the processes. */
#define STATE_BYTES MIB(16)

/* Lowest descriptor number of the pipes in the CRIU that restores. */
#define PIPES_FD 10

void process_run_done(ProcessRun *run) {
        process_config_done(&run->config);
        process_record_done(&run->record);
        output_pipe_done(&run->output);
        output_pipe_done(&run->errors);
        free(run->images_path);
        free(run->reason);
        free(run->problem);
        run->note = run_note_remove(run->note, PROCESSES_DIRECTORY, run->name);
        safe_close(run->images);
        safe_close(run->directory);
        safe_close(run->signals);
}

/* --- files --- */

/* Removes the images and the directory that they are in. */
static void images_remove(ProcessRun *run) {
        _cleanup_closedir_ DIR *d = NULL;
        const struct dirent *e;

        if (run->images < 0)
                run->images = openat(run->directory, IMAGES_DIRECTORY,
                                     O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (run->images < 0)
                return;
        d = fdopendir(run->images);
        while (d && (e = readdir(d)))
                (void) unlinkat(dirfd(d), e->d_name, 0);
        if (!d)
                (void) safe_close(run->images);
        run->images = -EBADF;
        (void) unlinkat(run->directory, IMAGES_DIRECTORY, AT_REMOVEDIR);
}

static void process_files_remove(ProcessRun *run, bool record) {
        images_remove(run);
        if (record)
                (void) unlinkat(run->directory, PROCESS_RECORD_FILE, 0);
}

/* Creates an empty directory for images. */
static int images_create(ProcessRun *run) {
        images_remove(run);
        if (mkdirat(run->directory, IMAGES_DIRECTORY, 0700) < 0)
                return -errno;
        run->images = openat(run->directory, IMAGES_DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        return run->images < 0 ? -errno : 0;
}

/* --- start --- */

static int process_open_directory(ProcessRun *run) {
        struct stat st;

        if (mkdir(run->path, 0700) < 0 && errno != EEXIST)
                return log_error_errno(-errno, "Failed to create '%s'", run->path);
        run->directory = open(run->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (run->directory < 0 || fstat(run->directory, &st) < 0)
                return log_error_errno(-errno, "Failed to open '%s'", run->path);
        if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH))) {
                log_error("Refusing to start '%s': other users can write to '%s'. It has to belong to root, with mode "
                          "0700.", run->name, run->path);
                return -EOPNOTSUPP;
        }
        if (flock(run->directory, LOCK_EX | LOCK_NB) >= 0)
                return 0;
        if (errno == EWOULDBLOCK) {
                log_error("Refusing to start '%s': it runs already, or another one uses '%s'.", run->name, run->path);
                return -EBUSY;
        }
        return log_error_errno(-errno, "Failed to lock '%s'", run->path);
}

/* Takes the name of the process, so that pkramctl shows only one process with this name. */
static int process_take_name(ProcessRun *run) {
        run->note = run_note_take(PROCESSES_DIRECTORY, run->name);
        if (run->note == -EBUSY)
                log_error("Refusing to start '%s': a process of this name runs already, in another directory.",
                          run->name);
        else if (run->note < 0)
                run_note_warn(run->note, "process", PROCESSES_DIRECTORY, run->name);
        return run->note == -EBUSY ? -EBUSY : 0;
}

/* Checks whether the process can be preserved, as far as this is known before it runs. */
static int process_prepare(ProcessRun *run) {
        _cleanup_free_ char *why = NULL, *notice = NULL;
        int r;

        if (getpid() != 1) {
                log_error("Refusing to start '%s': it has no PID namespace of its own, so that others could have its "
                          "process IDs after a kexec. Set PrivatePIDs=yes in the unit (systemd 257 or later).",
                          run->name);
                return -EOPNOTSUPP;
        }
        if (asprintf(&run->images_path, "%s/" IMAGES_DIRECTORY, run->path) < 0) {
                run->images_path = NULL;
                return log_error_errno(-ENOMEM, "Failed to prepare '%s'", run->name);
        }
        r = process_open_directory(run);
        if (r >= 0)
                r = process_take_name(run);
        if (r < 0)
                return r;
        /* The memory of the process is not known until it runs. */
        r = tree_room_check(run->directory, run->path, "the process", STATE_BYTES, /* held= */ STATE_BYTES,
                            &notice, &why);
        if (why)
                log_error("Refusing to start '%s': %s", run->name, why);
        else if (r < 0)
                (void) log_error_errno(r, "Failed to examine '%s'", run->path);
        if (notice)
                log_warning("%s", notice);
        return r;
}

/* Opens the images, and checks them. Returns 1 if they can be used, 0 with the reason in *ret_why if not, or
 * -ENOMEM. */
static int images_examine(ProcessRun *run, char **ret_why) {
        const char *why = NULL;

        run->images = openat(run->directory, IMAGES_DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (run->images < 0 || !process_images_are_complete(run->images, run->record.images))
                why = "its images are not complete";
        else if (process_images_check_owner(run->images) < 0)
                why = "other users can change its images";
        if (!why)
                return 1;
        *ret_why = strdup(why);
        return *ret_why ? 0 : -ENOMEM;
}

/*
 * Reads the record of a saved process. Returns 1 if the process can continue, or 0 if it cannot: then *ret_why is the
 * reason, or NULL if no process was saved. Returns a negative errno after a message.
 */
static int process_may_resume(ProcessRun *run, char **ret_why) {
        int r;

        r = process_record_read(run->directory, &run->record);
        if (r == -ENOENT)
                return 0;
        if (r == -EBADMSG || r == -EPERM) {
                *ret_why = strdup(r == -EPERM ? "other users can change the record of its state" :
                                  "the record of its state cannot be read");
                r = *ret_why ? 0 : -ENOMEM;
        } else if (r >= 0) {
                r = process_record_differs(&run->record, &run->config, ret_why);
                if (r >= 0)
                        r = r > 0 ? 0 : images_examine(run, ret_why);
        }
        return r < 0 ? log_error_errno(r, "Failed to read " PROCESS_RECORD_FILE) : r;
}

/* Opens the pipes that the program writes to. */
static int process_open_pipes(ProcessRun *run) {
        int r;

        r = output_pipe_open(&run->output, STDOUT_FILENO);
        if (r >= 0)
                r = output_pipe_open(&run->errors, STDERR_FILENO);
        return r < 0 ? log_error_errno(r, "Failed to open a pipe") : 0;
}

static void process_close_pipes(ProcessRun *run) {
        run->output.theirs = safe_close(run->output.theirs);
        run->errors.theirs = safe_close(run->errors.theirs);
}

/* Has CRIU restore the processes. Returns what criu_run() returns. */
static int process_restore(ProcessRun *run, char **ret_why) {
        CriuPipe pipes[] = {
                { .name = run->record.output, .fd = fcntl(run->output.theirs, F_DUPFD_CLOEXEC, PIPES_FD) },
                { .name = run->record.errors, .fd = fcntl(run->errors.theirs, F_DUPFD_CLOEXEC, PIPES_FD) },
        };
        int r = -EMFILE;

        if (pipes[0].fd >= 0 && pipes[1].fd >= 0)
                r = criu_run(CRIU_RESTORE, run->images, run->images_path, run->record.pid, pipes, ELEMENTSOF(pipes),
                             RESTORE_USEC, ret_why);
        for (size_t i = 0; i < ELEMENTSOF(pipes); i++)
                (void) safe_close(pipes[i].fd);
        return r;
}

/* Has the processes continue. Returns 1 if they do, 0 if they cannot, or a negative errno. With 0, *ret_why is the
 * reason and no process is left. */
static int process_resume(ProcessRun *run, char **ret_why) {
        _cleanup_free_ char *why = NULL;
        uint64_t now;
        int r;

        /* From here on the images count as used, so that they are not restored a second time. */
        run->record.phase = PROCESS_RESTORING;
        r = process_record_write(&run->record, run->directory);
        if (r < 0) {
                r = asprintf(ret_why, "its images cannot be marked as used: %s", strerror(-r));
                return r < 0 ? -ENOMEM : 0;
        }
        r = process_open_pipes(run);
        if (r < 0)
                return r;
        r = process_restore(run, &why);
        if (r >= 0 && kill(run->record.pid, 0) < 0) {
                why = strdup("CRIU reported success, but it is not there");
                r = -EREMOTEIO;
        }
        if (r >= 0) {
                now = now_usec(CLOCK_REALTIME);
                run->pid = run->record.pid;
                run->stopped_usec = now > run->record.stopped_usec ? now - run->record.stopped_usec : 0;
                program_reserve_ids();
                return 1;
        }
        program_kill_all(run);
        r = asprintf(ret_why, "CRIU cannot restore it: %s", why ?: strerror(-r));
        return r < 0 ? -ENOMEM : 0;
}

/* Asks CRIU whether it works on this kernel. This also fills CRIU's cache of kernel features. */
static int process_check_criu(ProcessRun *run) {
        _cleanup_free_ char *why = NULL;
        int r;

        r = images_create(run);
        if (r >= 0)
                r = criu_run(CRIU_CHECK, run->images, run->images_path, /* pid= */ 0, /* pipes= */ NULL, 0, CHECK_USEC,
                             &why);
        if (r >= 0)
                return 0;
        if (!why)
                return log_error_errno(r, "Failed to ask CRIU about this kernel");
        log_error("Refusing to start '%s': CRIU could not save it: %s.", run->name, why);
        return -EOPNOTSUPP;
}

/* Starts the program from its beginning, and discards the saved process, if there is one. */
static int process_start_anew(ProcessRun *run) {
        int r;

        process_files_remove(run, /* record= */ true);
        r = process_check_criu(run);
        images_remove(run);
        if (r >= 0)
                r = process_open_pipes(run);
        return r < 0 ? r : program_start(run);
}

static void process_write_note(const ProcessRun *run) {
        RunNote note = {
                .directory = run->path,
                .bytes = run->bytes,
                .saved_bytes = run->bytes + STATE_BYTES,
                .resumed = run->resumed,
                .reason = run->reason,
                .stopped_usec = run->stopped_usec,
                .problem = run->problem,
        };
        int r;

        r = run->note >= 0 ? run_note_write(run->note, run->name, &note) : 0;
        if (r < 0)
                run_note_warn(r, "process", PROCESSES_DIRECTORY, run->name);
}

/* Reports that the process runs. */
static void process_announce(const ProcessRun *run) {
        JournalFields fields = JOURNAL_FIELDS_NONE;
        char text[FORMAT_MAX];

        fields.node = run->name;
        fields.identifier = "pkram-criu";
        if (run->resumed) {
                fields.usec = run->stopped_usec;
                journal_entry(LOG_INFO, PKRAM_MESSAGE_PROCESS_RESUMED_STR, &fields,
                              "Process '%s' continues; it stood still for %s.", run->name,
                              format_usec(text, run->stopped_usec));
        } else if (run->reason)
                journal_entry(LOG_WARNING, PKRAM_MESSAGE_PROCESS_STARTED_STR, &fields,
                              "Process '%s' is started again and does not continue: %s.", run->name, run->reason);
        else
                log_info("Process '%s' is started: it was not saved.", run->name);

        process_write_note(run);
        (void) sd_notifyf(/* unset_environment= */ 0, "READY=1\nSTATUS=%s",
                          run->resumed ? "The process continues." : "The process was started.");
}

static int process_start(ProcessRun *run) {
        int r;

        r = process_may_resume(run, &run->reason);
        if (r > 0)
                r = process_resume(run, &run->reason);
        if (r < 0)
                return r;
        run->resumed = r > 0;
        if (run->resumed)
                process_files_remove(run, /* record= */ true);
        else {
                r = process_start_anew(run);
                if (r < 0)
                        return r;
        }
        process_close_pipes(run);
        process_announce(run);
        return 0;
}

/* --- inspection --- */

/* Notes what prevents saving the process, and logs that once. Returns 0, or -EOPNOTSUPP if it cannot be saved. */
static int process_look(ProcessRun *run) {
        _cleanup_free_ char *why = NULL, *notice = NULL, *room = NULL;
        int r;

        r = processes_inspect(run->pid, &run->bytes, &why);
        if (r >= 0) {
                r = tree_room_check(run->directory, run->path, "the process", run->bytes + STATE_BYTES, /* held= */ 0,
                                    &notice, &room);
                if (room)
                        why = TAKE_PTR(room);
        }
        if (r < 0 && !why) {
                /* If the process cannot be saved, CRIU will report that. */
                log_warning("Failed to examine process '%s', ignoring: %s", run->name, strerror(-r));
                r = 0;
        }
        if (why && (!run->problem || !streq(run->problem, why)))
                log_warning("A kexec would lose process '%s': %s", run->name, why);
        free(run->problem);
        run->problem = TAKE_PTR(why);
        process_write_note(run);
        return r;
}

/* --- stop --- */

/* Records that saving failed, for the next start. */
static void process_record_failure(ProcessRun *run, const char *why) {
        int r;

        log_error("Failed to save process '%s': %s.", run->name, why);
        images_remove(run);
        run->record.phase = PROCESS_FAILED;
        free(run->record.reason);
        run->record.reason = strdup(why);
        r = process_record_write(&run->record, run->directory);
        if (r < 0)
                log_warning("The next start will not know that process '%s' was not saved: %s.", run->name,
                            strerror(-r));
}

static int process_record_begin(ProcessRun *run) {
        int r;

        process_record_done(&run->record);
        run->record.phase = PROCESS_SAVING;
        run->record.pid = run->pid;
        run->record.stopped_usec = now_usec(CLOCK_REALTIME);
        r = process_identity(&run->config, &run->record.identity);
        run->record.output = strdup(run->output.name);
        run->record.errors = strdup(run->errors.name);
        if (!run->record.output || !run->record.errors)
                r = -ENOMEM;
        if (r >= 0)
                r = process_record_write(&run->record, run->directory);
        return r < 0 ? r : images_create(run);
}

/* Records that the images are complete. */
static int process_record_end(ProcessRun *run) {
        run->record.images = process_images_list(run->images);
        if (!run->record.images)
                return -errno;
        run->record.phase = PROCESS_SAVED;
        return process_record_write(&run->record, run->directory);
}

/* Saves the processes. Returns 1 if they are saved and have ended, 0 if they are not saved and still run, or a
 * negative errno if they are not saved and have ended. */
static int process_save(ProcessRun *run) {
        uint64_t begin = now_usec(CLOCK_MONOTONIC);
        _cleanup_free_ char *why = NULL;
        char text[FORMAT_MAX];
        int r;

        (void) sd_notify(/* unset_environment= */ 0, "STOPPING=1\nSTATUS=Saving the process.");
        r = process_look(run);
        if (r < 0) {
                why = strdup(run->problem ?: "unknown reason");
                (void) process_record_begin(run);
                process_record_failure(run, why ?: "unknown reason");
                return 0;
        }
        r = process_record_begin(run);
        if (r >= 0)
                r = criu_run(CRIU_DUMP, run->images, run->images_path, run->pid, /* pipes= */ NULL, 0,
                             run->config.save_usec, &why);
        if (r >= 0) {
                /* CRIU has ended the process. */
                program_kill_all(run);
                r = timer_images_fix(run->images);
                if (r < 0)
                        log_warning("Failed to correct expired timers of process '%s', ignoring: %s", run->name,
                                    strerror(-r));
                r = process_record_end(run);
        }
        if (r >= 0) {
                log_info("Saved process '%s' in %s: it continues at the next start.", run->name,
                         format_usec(text, now_usec(CLOCK_MONOTONIC) - begin));
                return 1;
        }
        process_record_failure(run, why ?: strerror(-r));
        program_reap(run);
        if (run->pid == 0)
                return r;
        if (r == -ECONNRESET || r == -EBUSY) {
                /* The processes may be in the middle of a system call that CRIU injected. */
                program_kill_all(run);
                return r;
        }
        return 0;
}

/* Waits for a signal, and copies the output of the program. Returns true if a signal came. */
static bool process_wait_signal(ProcessRun *run, uint64_t deadline, struct signalfd_siginfo *ret) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);
        struct pollfd p[] = {
                { .fd = run->signals, .events = POLLIN },
                { .fd = run->output.ours, .events = POLLIN },
                { .fd = run->errors.ours, .events = POLLIN },
        };
        int timeout = now >= deadline ? 0 : (int) MIN((deadline - now) / 1000 + 1, UINT64_C(3600000));

        if (poll(p, ELEMENTSOF(p), timeout) <= 0)
                return false;
        if (p[1].revents)
                output_pipe_copy(&run->output);
        if (p[2].revents)
                output_pipe_copy(&run->errors);
        return p[0].revents && signal_came(run->signals, /* timeout_msec= */ 0, ret);
}

/* Stops the program with SIGTERM. If a second signal comes, kills it at once. Returns 0, or -ECHILD if the program was
 * killed by another process. */
static int process_stop_program(ProcessRun *run) {
        uint64_t deadline = now_usec(CLOCK_MONOTONIC) + run->config.stop_usec;
        struct signalfd_siginfo info;
        bool killed;

        (void) sd_notify(/* unset_environment= */ 0, "STOPPING=1\nSTATUS=The process is being stopped.");
        (void) kill(run->pid, SIGTERM);
        while (run->pid > 0 && now_usec(CLOCK_MONOTONIC) < deadline) {
                if (!process_wait_signal(run, deadline, &info))
                        continue;
                if (info.ssi_signo != SIGCHLD)
                        break;
                program_reap(run);
        }
        if (run->pid > 0 && now_usec(CLOCK_MONOTONIC) >= deadline)
                log_warning("Process '%s' did not end in time, and is killed.", run->name);
        killed = run->pid == 0 && WIFSIGNALED(run->status) && WTERMSIG(run->status) == SIGKILL;
        program_kill_all(run);
        return killed ? -ECHILD : 0;
}

/* Does what a signal asks for. Returns 1 if the process is saved, 0 if it is not, or a negative errno. */
static int process_stop(ProcessRun *run, bool save) {
        int r;

        save = save || shutdown_wants_save(run->config.save_usec, "process", run->name);
        r = save ? process_save(run) : 0;
        if (r == 0 && run->pid > 0) {
                r = process_stop_program(run);
                /* A process that CRIU killed takes a moment to end, and seems to run until then. */
                if (!save)
                        r = 0;
        }
        return r;
}

/* Follows the program until it has ended. Returns an exit status. */
static int process_follow(ProcessRun *run) {
        uint64_t look = now_usec(CLOCK_MONOTONIC) + INSPECT_FIRST_USEC;
        bool stopped = false;
        char end[128];
        int r = 0;

        while (run->pid > 0) {
                struct signalfd_siginfo info;

                if (process_wait_signal(run, look, &info)) {
                        if (info.ssi_signo == SIGCHLD)
                                program_reap(run);
                        else if (info.ssi_signo == SIGHUP || info.ssi_signo == SIGUSR2)
                                (void) kill(run->pid, (int) info.ssi_signo);
                        else {
                                stopped = true;
                                r = process_stop(run, info.ssi_signo == SIGUSR1);
                        }
                } else if (now_usec(CLOCK_MONOTONIC) >= look) {
                        (void) process_look(run);
                        look = now_usec(CLOCK_MONOTONIC) + INSPECT_USEC;
                }
        }
        program_kill_all(run);
        output_pipe_drain(&run->output);
        output_pipe_drain(&run->errors);
        run->note = run_note_remove(run->note, PROCESSES_DIRECTORY, run->name);
        if (r > 0)
                return EXIT_SUCCESS;
        /* If saving failed, the record with the reason stays for the next start. */
        process_files_remove(run, /* record= */ !stopped || run->record.phase != PROCESS_FAILED);
        if (r < 0)
                return EXIT_FAILURE;
        if (!stopped && (!WIFEXITED(run->status) || WEXITSTATUS(run->status) != 0)) {
                log_error("Process '%s' ended: %s.", run->name, exit_to_text(run->status, end, sizeof(end)));
                return EXIT_FAILURE;
        }
        log_info("Process '%s' has ended.", run->name);
        return EXIT_SUCCESS;
}

int process_run(ProcessRun *run) {
        int r;

        r = process_prepare(run);
        if (r >= 0)
                r = process_start(run);
        if (r < 0)
                return r == -EOPNOTSUPP || r == -EBUSY ? EXIT_REFUSED : EXIT_FAILURE;
        return process_follow(run);
}
