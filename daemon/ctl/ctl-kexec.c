/* SPDX-License-Identifier: LGPL-2.1-or-later */
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
                (void) fail(0, "%s %s", result.text, only_loads ? "The kernel is loaded, but not started." :
                            "Proceeding anyway.");

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

/*
 * Requests the kexec from the service manager, now or with --when=. systemctl has the terminal: it asks for passwords
 * and checks inhibitors as usual. Returns 0 or an exit status.
 */
static int start_kernel(void) {
        _cleanup_free_ char *when = NULL, *inhibitors = NULL;
        char *argv[8] = { (char *) "systemctl", (char *) "kexec" };
        size_t n = 2;
        int r, status;
        pid_t pid;

        r = add_option(argv, &n, "--when=", arg_when, &when);
        if (r == 0)
                r = add_option(argv, &n, "--check-inhibitors=", arg_check_inhibitors, &inhibitors);
        if (r != 0)
                return r;
        if (!arg_ask_password)
                argv[n++] = (char *) "--no-ask-password";

        (void) ctl_flush();
        r = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
        if (r > 0)
                return fail(EXIT_FAILED, "Failed to run systemctl: %s. The kernel is loaded. Start it with "
                            "'systemctl kexec'.", strerror(r));
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return fail(EXIT_FAILED, "Failed to wait for systemctl: %s.", strerror(errno));

        /* On failure it has printed the reason. */
        return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : EXIT_FAILED;
}

int verb_kexec(int argc, char *argv[]) {
        _cleanup_(plan_done) KexecPlan plan = KEXEC_PLAN_NULL;
        struct pkram_ioctl_info info;
        bool have_info, keeps = true;
        int r;

        if (argc > 1)
                return fail(EXIT_USAGE, "Command '%s' takes no arguments. See 'pkramctl --help'.", argv[0]);
        if (arg_entry && arg_kernel)
                return fail(EXIT_USAGE, "--boot-loader-entry= and --kernel= may not be combined.");
        if (arg_append && arg_reuse_cmdline)
                return fail(EXIT_USAGE, "--append= and --reuse-cmdline may not be combined.");
        /* The mark that lets one kexec through is valid for a short time only. */
        if (arg_when && arg_force)
                return fail(EXIT_USAGE, "--when= and --force may not be combined.");
        /* These need no kernel. */
        if (arg_when && (streq(arg_when, "cancel") || streq(arg_when, "show")))
                return arg_dry_run ? EXIT_OK : start_kernel();
        if (arg_entry && streq(arg_entry, "help"))
                return print_boot_loader_entries();

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
