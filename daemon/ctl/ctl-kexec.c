/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>

#include "config.h"
#include "ctl.h"
#include "device.h"
#include "file-util.h"
#include "kexec-check.h"
#include "kexec-cmdline.h"
#include "kexec-facts.h"
#include "kexec-image.h"
#include "kexec-load.h"

static void ignore_warning(_unused_ const char *path, _unused_ unsigned line, _unused_ const char *text, _unused_ void *userdata) {
        /* pkramd says this when it reads the file, and once is enough. */
}

/* The kernel to start, from the user or the system. 0 or a status. */
static int find_kernel(char **ret) {
        int r;

        if (arg_kernel) {
                *ret = strdup(arg_kernel);
                return *ret ? 0 : fail_memory();
        }

        r = kexec_default_kernel("", /* release= */ NULL, ret);
        if (r == -ENOMEM)
                return fail_memory();
        if (r < 0)
                return fail(EXIT_FAILED, "There is no kernel at the usual places: name one with --kernel=FILE.");
        return 0;
}

/* Its initial RAM disks, NULL-terminated; *ret_found is what was found by itself, to be freed. 0 or a status. */
static int find_initrds(const char *kernel, const char *const **ret, char **ret_found) {
        const char **list;
        size_t n = 0;

        list = calloc(arg_n_initrds + 2, sizeof(char *));
        if (!list)
                return fail_memory();

        for (; n < arg_n_initrds; n++)
                list[n] = arg_initrds[n];
        if (arg_n_initrds == 0 && !arg_no_initrd && kexec_default_initrd(kernel, ret_found) >= 0)
                list[n++] = *ret_found;

        *ret = list;
        return 0;
}

/* Returns 0 if the kexec preserves everything or may proceed all the same, or an exit status. */
static int judge_kexec(const KexecImage *image, bool *ret_keeps) {
        _cleanup_kexec_state_ KexecState state = {};
        KexecCheck result;
        bool only_loads;
        Config c;
        int r;

        config_init(&c);
        r = config_load(&c, /* root= */ "", ignore_warning, /* userdata= */ NULL);
        if (r < 0)
                return fail(EXIT_FAILED, "Failed to read pkramd.conf: %s.", strerror(-r));

        raise_descriptor_limit();
        r = kexec_state_collect(&pkram_device_kernel, &c, /* sources= */ NULL, KEXEC_STATE_FULL, &state);
        if (r < 0)
                return fail(EXIT_FAILED, "Failed to query " PKRAM_DEVICE ": %s.", strerror(-r));

        /* Services may still store something before or during the shutdown. */
        state.facts.strict = true;
        kexec_check(&state.facts, image, arg_force ? KEXEC_POLICY_FORCE : c.kexec_policy, &result);
        /* Until it is started, there is time to do something about a tree. */
        only_loads = !arg_reboot && result.reason == KEXEC_REASON_TREE;
        if (!result.allowed && !only_loads)
                return fail(EXIT_WOULD_LOSE, "%s Use --force to proceed anyway.", result.text);
        if (!result.keeps)
                (void) fail(0, "%s %s", result.text, only_loads ? "The kernel is loaded, but not started." : "Going on.");

        *ret_keeps = result.keeps;
        return 0;
}

static int build_cmdline(const struct pkram_ioctl_info *info, const KexecImage *image, char **ret) {
        _cleanup_free_ char *running = NULL;
        const char *base = arg_append;
        int r;

        if (!base || arg_reuse_cmdline) {
                r = kexec_cmdline_read_running(/* path= */ NULL, &running);
                if (r < 0)
                        return fail(EXIT_FAILED, "The running kernel's command line cannot be read: %s. Give one with --append=.", strerror(-r));
                base = running;
        }

        r = kexec_cmdline_build(base, info && image->has_pkram ? info->super_pfn : 0,
                                image->cmdline_max, ret);
        if (r == -E2BIG)
                return fail(EXIT_FAILED, "The command line is too long for this kernel, which takes %zu bytes without pkram=. "
                            "Give a shorter one with --append=.", kexec_cmdline_max_base(image->cmdline_max));
        if (r < 0)
                return fail(EXIT_FAILED, "The command line cannot be used: %s. Give another one with --append=.", strerror(-r));
        return 0;
}

static int load(const char *kernel, int kernel_fd, const char *cmdline) {
        _cleanup_free_ char *found = NULL;
        _cleanup_free_ const char *const *initrds = NULL;
        const char *path = NULL;
        int r;

        r = find_initrds(kernel, &initrds, &found);
        if (r != 0)
                return r;

        r = kexec_load(&(KexecLoad) { .kernel_fd = kernel_fd, .initrds = initrds, .cmdline = cmdline }, &path);
        if (r == -EPERM)
                return fail(EXIT_DENIED, "'%s' cannot be loaded: %s.", kernel, kexec_load_error(r));
        if (r < 0 && path)
                return fail(EXIT_FAILED, "'%s' cannot be read: %s.", path, strerror(-r));
        if (r < 0)
                return fail(EXIT_FAILED, "'%s' cannot be loaded: %s.", kernel, kexec_load_error(r));
        return 0;
}

/* Asks the system to start what is loaded. 0 or a status. */
static int start(void) {
        char *argv[] = { (char *) "systemctl", (char *) "kexec", NULL };
        int r, status;
        pid_t pid;

        (void) fflush(NULL);
        r = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
        if (r > 0)
                return fail(EXIT_FAILED, "systemctl cannot be run: %s. The kernel is loaded; start it with 'systemctl kexec'.", strerror(r));
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return fail(EXIT_FAILED, "systemctl cannot be waited for: %s.", strerror(errno));

        /* If it fails it has said why. */
        return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : EXIT_FAILED;
}

int verb_kexec(int argc, char *argv[]) {
        _cleanup_free_ char *kernel = NULL, *cmdline = NULL;
        _cleanup_close_ int kernel_fd = -EBADF;
        struct pkram_ioctl_info info;
        bool have_info, keeps = true;
        KexecImage image;
        int r;

        if (argc > 1)
                return fail(EXIT_USAGE, "%s takes no arguments, only options: see 'pkramctl --help'.", argv[0]);
        if (arg_append && arg_reuse_cmdline)
                return fail(EXIT_USAGE, "--append= and --reuse-cmdline exclude each other.");

        r = find_kernel(&kernel);
        if (r != 0)
                return r;
        r = kexec_image_open(kernel, &image, &kernel_fd);
        if (r < 0)
                return fail(EXIT_FAILED, "'%s' %s. Name a kernel image with --kernel=FILE.", kernel, kexec_image_error(r));

        r = pkram_device_info(&pkram_device_kernel, &info);
        if (r == -EACCES || r == -EPERM)
                return fail(EXIT_DENIED, "Only root can start another kernel: use sudo.");
        if (r < 0 && !pkram_errno_is_missing(r))
                return fail(EXIT_FAILED, PKRAM_DEVICE " cannot be asked what is stored: %s.", strerror(-r));
        have_info = r >= 0;

        r = judge_kexec(&image, &keeps);
        if (r == 0)
                r = build_cmdline(have_info ? &info : NULL, &image, &cmdline);
        if (r == 0)
                r = load(kernel, kernel_fd, cmdline);
        if (r != 0 || !arg_reboot)
                return r;

        if (!arg_force || keeps)
                return start();

        r = kexec_force_set(/* path= */ NULL);
        if (r < 0)
                return fail(EXIT_FAILED, "The guard of the shutdown cannot be told to let this through: %s.", strerror(-r));
        r = start();
        if (r != 0) {
                int q = kexec_force_clear(/* path= */ NULL);

                if (q < 0)
                        (void) fail(EXIT_FAILED, KEXEC_FORCE_MARK " cannot be removed: %s. The next kexec will not be refused "
                                    "if it begins within %d seconds.", strerror(-q), KEXEC_FORCE_SEC);
        }
        return r;
}
