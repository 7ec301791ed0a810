/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>

#include "config.h"
#include "ctl-kexec-plan.h"
#include "ctl.h"
#include "device.h"
#include "file-util.h"
#include "kexec-check.h"
#include "kexec-facts.h"
#include "kexec-load.h"

/* What happens although nodes would be lost. */
static const char *proceeding_text(bool only_loads) {
        if (only_loads)
                return arg_dry_run ? "Without --dry-run, the kernel is loaded, but not started." :
                        "Loading the kernel without starting it.";
        return arg_dry_run ? "Without --dry-run, the kexec proceeds anyway." : "Proceeding anyway.";
}

/* Returns 0 if the kexec preserves everything or may proceed anyway, or an exit status. */
static int judge_kexec(const KexecImage *image, const char *cmdline, bool *ret_keeps) {
        _cleanup_kexec_state_ KexecState state = {};
        KexecCheck result;
        bool only_loads;
        Config c;
        int r;

        config_init(&c);
        /* pkramd logs the warnings when it reads the file. */
        r = config_load(&c, /* root= */ "", /* warning= */ NULL, /* userdata= */ NULL);
        if (r < 0)
                return fail(EXIT_FAILED, "Failed to read pkramd.conf: %s.", strerror(-r));

        raise_descriptor_limit();
        r = kexec_state_collect(&pkram_device_kernel, &c, &(KexecSources) { .cmdline = cmdline }, KEXEC_STATE_FULL,
                                &state);
        if (r < 0)
                return fail(EXIT_FAILED, "Failed to query " PKRAM_DEVICE ": %s.", strerror(-r));

        /* Services may still store something before or during the shutdown. */
        state.facts.strict = true;
        kexec_check(&state.facts, image, arg_force ? KEXEC_POLICY_FORCE : c.kexec_policy, &result);
        /* Until it is started, there is time to do something about a tree or a limit. */
        only_loads = !arg_reboot && !result.keeps && kexec_reason_image_keeps(result.reason);
        if (!result.allowed && !only_loads)
                return fail(EXIT_WOULD_LOSE, "%s Use --force to proceed anyway.", result.text);
        if (!result.keeps)
                (void) fail(0, "%s %s", result.text, proceeding_text(only_loads));

        if (result.crash_kernel[0])
                (void) fail(0, "%s", result.crash_kernel);
        *ret_keeps = result.keeps;
        return 0;
}

static int load_kernel(const KexecPlan *p) {
        const char *kernel = p->kernel, *path = NULL;
        int r;

        r = kexec_load(&(KexecLoad) { .kernel_fd = p->kernel_fd, .initrds = p->initrds, .initrd_fd = p->initrd_fd,
                                      .cmdline = p->cmdline }, &path);
        if (r == -EPERM)
                return fail(EXIT_DENIED, "Failed to load '%s': %s.", kernel, kexec_load_error(r));
        if (r < 0 && path)
                return fail(EXIT_FAILED, "Failed to read '%s': %s.", path, strerror(-r));
        if (r < 0)
                return fail(EXIT_FAILED, "Failed to load '%s': %s.", kernel, kexec_load_error(r));

        r = file_write(KEXEC_LOADED_CMDLINE, p->cmdline, strlen(p->cmdline));
        if (r < 0)
                (void) fail(0, "Failed to write " KEXEC_LOADED_CMDLINE ": %s. 'pkramctl check' assumes the command "
                            "line of the running kernel.", strerror(-r));
        return 0;
}

/* Passes an option with its value to systemctl, if it was given. */
static int add_option(char **argv, size_t *n, const char *option, const char *value, char **ret_text) {
        if (!value)
                return 0;
        if (asprintf(ret_text, "%s%s", option, value) < 0) {
                *ret_text = NULL;
                return fail_memory();
        }
        argv[(*n)++] = *ret_text;
        return 0;
}

/* Starts systemctl, which SIGINT ends if interruptible. Returns an errno, see posix_spawn(3). */
static int spawn_systemctl(char *argv[], bool quiet, bool interruptible, pid_t *ret) {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t signals;
        int r;

        r = posix_spawn_file_actions_init(&actions);
        if (r != 0)
                return r;
        r = posix_spawnattr_init(&attributes);
        if (r == 0) {
                (void) sigemptyset(&signals);
                if (interruptible)
                        (void) sigaddset(&signals, SIGINT);
                (void) posix_spawnattr_setsigdefault(&attributes, &signals);
                (void) posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
                if (quiet)
                        r = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
                r = r ?: posix_spawnp(ret, argv[0], &actions, &attributes, argv, environ);
                (void) posix_spawnattr_destroy(&attributes);
        }
        (void) posix_spawn_file_actions_destroy(&actions);
        return r;
}

/* Runs systemctl until it ends, even if the user interrupts it. Returns an exit status. */
static int run_systemctl(char *argv[], bool quiet) {
        int r, status = 0;
        pid_t pid;

        (void) ctl_flush();
        sighandler_t interrupt = signal(SIGINT, SIG_IGN);
        r = spawn_systemctl(argv, quiet, interrupt != SIG_IGN, &pid);
        if (r == 0)
                do
                        r = waitpid(pid, &status, 0) < 0 ? errno : 0;
                while (r == EINTR);
        (void) signal(SIGINT, interrupt);

        if (r != 0)
                return fail(EXIT_FAILED, "Failed to run systemctl: %s.", strerror(r));
        /* On failure it has printed the reason. */
        return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? EXIT_OK : EXIT_FAILED;
}

/*
 * Requests the kexec from the service manager, now or with --when=, or only lets systemctl check the values of
 * options. systemctl has the terminal: it asks for passwords and checks inhibitors as usual. Returns 0 or an exit
 * status.
 */
static int call_systemctl(bool only_check) {
        _cleanup_free_ char *when = NULL, *inhibitors = NULL;
        char *argv[8] = { (char *) "systemctl", (char *) "kexec" };
        size_t n = 2;
        int r;

        r = add_option(argv, &n, "--when=", arg_when, &when);
        if (r == 0)
                r = add_option(argv, &n, "--check-inhibitors=", arg_check_inhibitors, &inhibitors);
        if (r != 0)
                return r;
        if (!arg_ask_password)
                argv[n++] = (char *) "--no-ask-password";
        /* systemctl reads its options in order, and this one ends it. */
        if (only_check)
                argv[n++] = (char *) "--version";
        return run_systemctl(argv, only_check);
}

/* systemctl takes an empty time for cancel, too. */
static bool when_needs_no_kernel(void) {
        return arg_when && (!*arg_when || streq(arg_when, "cancel") || streq(arg_when, "show"));
}

/* Starts the loaded kernel. Returns 0 or an exit status. */
static int start_kernel(void) {
        int r = call_systemctl(/* only_check= */ false);

        /* The kernel is not unloaded. If systemctl has only lost the reply, the shutdown has begun, and would end in
         * a reboot without the kernel. */
        if (r != 0)
                (void) fail(0, "The kernel is loaded, but not started. 'systemctl kexec' starts it, and since systemd "
                            "255 so does 'systemctl reboot'. 'kexec --unload' unloads it.");
        return r;
}

/* Checks which options may be used together. Returns 0 or an exit status. */
static int check_options(void) {
        if (arg_entry && arg_kernel)
                return fail(EXIT_USAGE, "--boot-loader-entry= and --kernel= may not be combined.");
        if (arg_append && arg_reuse_cmdline)
                return fail(EXIT_USAGE, "--append= and --reuse-cmdline may not be combined.");
        /* The mark that lets one kexec through is valid for a short time only. */
        if (arg_when && arg_force)
                return fail(EXIT_USAGE, "--when= and --force may not be combined.");
        if (!arg_reboot && (arg_when || arg_check_inhibitors))
                return fail(EXIT_USAGE, "--no-reboot and %s may not be combined.",
                            arg_when ? "--when=" : "--check-inhibitors=");
        return 0;
}

int verb_kexec(int argc, char *argv[]) {
        _cleanup_(plan_done) KexecPlan plan = KEXEC_PLAN_NULL;
        struct pkram_ioctl_info info;
        bool have_info, keeps = true;
        int r;

        if (argc > 1)
                return fail(EXIT_USAGE, "Command '%s' takes no arguments. See 'pkramctl --help'.", argv[0]);
        r = check_options();
        if (r != 0)
                return r;
        if (when_needs_no_kernel())
                return arg_dry_run && !streq(arg_when, "show") ? EXIT_OK : call_systemctl(/* only_check= */ false);
        if (arg_entry && streq(arg_entry, "help"))
                return print_boot_loader_entries();
        /* Before a kernel is loaded. */
        if (arg_when || arg_check_inhibitors) {
                r = call_systemctl(/* only_check= */ true);
                if (r != 0)
                        return r;
        }

        r = plan_find_kernel(&plan);
        if (r != 0)
                return r;

        r = pkram_device_info(&pkram_device_kernel, &info);
        if (r == -EACCES || r == -EPERM)
                return fail(EXIT_DENIED, "Permission denied: only root may load a kernel. Try again with sudo.");
        if (r < 0 && !pkram_errno_is_missing(r))
                return fail(EXIT_FAILED, "Failed to query " PKRAM_DEVICE ": %s.", strerror(-r));
        have_info = r >= 0;

        r = plan_complete(&plan, have_info ? info.super_pfn : 0);
        if (r != 0)
                return r;
        plan_print(&plan);

        r = judge_kexec(&plan.image, plan.cmdline, &keeps);
        if (r == 0 && arg_dry_run)
                return EXIT_OK;
        if (r == 0)
                r = load_kernel(&plan);
        if (r != 0 || !arg_reboot)
                return r;

        if (!arg_force || keeps)
                return start_kernel();

        r = kexec_force_set(/* path= */ NULL);
        if (r < 0)
                return fail(EXIT_FAILED, "Failed to create " KEXEC_FORCE_MARK ": %s.", strerror(-r));
        r = start_kernel();
        if (r != 0) {
                int q = kexec_force_clear(/* path= */ NULL);

                if (q < 0)
                        (void) fail(EXIT_FAILED, "Failed to remove " KEXEC_FORCE_MARK ": %s. A kexec started within "
                                    "the next %d seconds will not be refused.", strerror(-q), KEXEC_FORCE_SEC);
        }
        return r;
}
