/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "ctl-kexec-plan.h"
#include "ctl.h"
#include "kexec-cmdline.h"

void plan_done(KexecPlan *p) {
        kexec_entries_done(&p->entries);
        free(p->kernel);
        if (p->kernel_fd != p->uki.kernel_fd)
                p->kernel_fd = safe_close(p->kernel_fd);
        kexec_uki_done(&p->uki);
        free(p->initrds);
        free(p->initrd);
        free(p->cmdline);
        *p = KEXEC_PLAN_NULL;
}

/* The tests have a file system of their own. */
static const char *boot_root(void) {
        return getenv("PKRAM_BOOT_ROOT") ?: "";
}

static int load_entries(KexecPlan *p) {
        int r;

        r = kexec_entries_load(boot_root(), &p->entries);
        if (r == -ENOMEM)
                return fail_memory();
        return r < 0 ? fail(EXIT_FAILED, "Failed to read boot loader entries: %s.", strerror(-r)) : 0;
}

int print_boot_loader_entries(void) {
        _cleanup_(plan_done) KexecPlan p = KEXEC_PLAN_NULL;
        int r;

        r = load_entries(&p);
        for (size_t i = 0; i < p.entries.n; i++) {
                ctl_print_text(p.entries.entries[i].id);
                (void) putchar('\n');
        }
        return r;
}

static int plan_use_entry(KexecPlan *p, const KexecEntry *e) {
        char *kernel = strdup(e->kernel);

        if (!kernel)
                return fail_memory();
        free(p->kernel);
        p->kernel = kernel;
        p->entry = e;
        return 0;
}

/* Opens p->kernel, which may be a unified kernel image. Returns 0 or a negative errno. */
static int plan_open_kernel(KexecPlan *p) {
        int r;

        r = kexec_image_open(p->kernel, &p->image, &p->kernel_fd);
        if (r != -ENOEXEC)
                return r;
        r = kexec_uki_open(p->kernel, &p->uki);
        if (r < 0)
                return r;
        p->kernel_fd = p->uki.kernel_fd;
        return kexec_image_read(p->kernel_fd, &p->image);
}

/* Selects the default kernel: the one of the system's links, or else the boot loader's if that is the one with
 * PKRAM. */
static int plan_find_default(KexecPlan *p) {
        const KexecEntry *e;
        bool has_pkram;
        int r, q;

        r = kexec_default_kernel(boot_root(), /* release= */ NULL, &p->kernel);
        if (r == -ENOMEM)
                return fail_memory();
        if (r >= 0 && plan_open_kernel(p) >= 0 && p->image.has_pkram)
                return 0;

        q = load_entries(p);
        if (q != 0)
                return q;
        e = kexec_entries_default(&p->entries, &has_pkram);
        if (r < 0 && !e)
                return fail(EXIT_FAILED, "No kernel found in /vmlinuz, /boot/vmlinuz, /boot/vmlinuz-RELEASE or boot "
                            "loader entries. Use --kernel=FILE.");
        if (r >= 0 && !has_pkram)
                return 0;
        p->kernel_fd = p->kernel_fd == p->uki.kernel_fd ? -EBADF : safe_close(p->kernel_fd);
        kexec_uki_done(&p->uki);
        return plan_use_entry(p, e);
}

int plan_find_kernel(KexecPlan *p) {
        const KexecEntry *e;
        int r;

        if (arg_entry) {
                r = load_entries(p);
                if (r != 0)
                        return r;
                e = kexec_entries_find(&p->entries, arg_entry);
                if (!e)
                        return fail(EXIT_FAILED, "Boot loader entry '%s' not found. See 'pkramctl kexec "
                                    "--boot-loader-entry=help'.", arg_entry);
                r = plan_use_entry(p, e);
        } else if (arg_kernel) {
                p->kernel = strdup(arg_kernel);
                r = p->kernel ? 0 : fail_memory();
        } else
                r = plan_find_default(p);
        if (r != 0)
                return r;

        if (p->kernel_fd >= 0)
                return 0;
        r = plan_open_kernel(p);
        if (r < 0)
                return fail(EXIT_FAILED, "'%s' %s. Select another one with --kernel=FILE.", p->kernel,
                            kexec_image_error(r));
        return 0;
}

/* Selects the initial RAM disks: those of --initrd=, of the boot loader entry, of the unified kernel image, or the one
 * next to the kernel. Returns 0 or an exit status. */
static int plan_find_initrds(KexecPlan *p) {
        const char *const *from = arg_n_initrds > 0 ? arg_initrds :
                p->entry ? (const char *const *) p->entry->initrds : NULL;
        size_t n = 0;

        if (arg_n_initrds > 0)
                n = arg_n_initrds;
        else if (!arg_no_initrd)
                while (from && from[n])
                        n++;
        p->initrds = calloc(n + 2, sizeof(char *));
        if (!p->initrds)
                return fail_memory();
        for (size_t i = 0; i < n; i++)
                p->initrds[i] = from[i];

        if (n > 0 || arg_no_initrd)
                return 0;
        if (p->uki.kernel_fd >= 0)
                p->initrd_fd = p->uki.initrd_fd >= 0 ? &p->uki.initrd_fd : NULL;
        else if (!p->entry && kexec_default_initrd(p->kernel, &p->initrd) >= 0)
                p->initrds[0] = p->initrd;
        return 0;
}

/* Adds what makes the boot shorter to a command line. Returns 0 or an exit status. */
static int plan_speed_up(KexecPlan *p, const char *base, char **ret) {
        int r;

        r = cmdline_advise(base, p->advice);
        if (r < 0)
                return fail_memory();
        p->n_advice = (size_t) r;
        return cmdline_apply(base, p->advice, p->n_advice, ret) < 0 ? fail_memory() : 0;
}

static int plan_build_cmdline(KexecPlan *p, uint64_t super_pfn) {
        _cleanup_free_ char *running = NULL, *fast = NULL;
        const char *base = arg_append;
        int r;

        if (!base && !arg_reuse_cmdline)
                base = p->entry && p->entry->options ? p->entry->options : p->uki.cmdline;
        if (!base) {
                r = kexec_cmdline_read_running(/* path= */ NULL, &running);
                if (r < 0)
                        return fail(EXIT_FAILED, "Failed to read the command line of the running kernel: %s. Use "
                                    "--append=.", strerror(-r));
                base = running;
        }

        if (arg_fast) {
                r = plan_speed_up(p, base, &fast);
                if (r != 0)
                        return r;
                base = fast;
        }

        r = kexec_cmdline_build(base, p->image.has_pkram ? super_pfn : 0, p->image.cmdline_max, &p->cmdline);
        if (r == -E2BIG)
                return fail(EXIT_FAILED, "The command line is too long for this kernel, which takes %zu bytes without "
                            "pkram=. Give a shorter one with --append=.",
                            kexec_cmdline_max_base(p->image.cmdline_max));
        if (r < 0)
                return fail(EXIT_FAILED, "Invalid command line: %s. Use another one with --append=.", strerror(-r));
        return 0;
}

int plan_complete(KexecPlan *p, uint64_t super_pfn) {
        int r;

        r = plan_find_initrds(p);
        return r != 0 ? r : plan_build_cmdline(p, super_pfn);
}

static void print_plan_line(const char *key, const char *value) {
        printf("%12s: ", key);
        ctl_print_text(value);
        (void) putchar('\n');
}

/* Shows what --fast changed and what it left to the user. */
static void print_advice(const KexecPlan *p) {
        for (size_t i = 0; i < p->n_advice; i++)
                if (p->advice[i].add)
                        printf("%12s: %s (%s)\n", "Added", p->advice[i].add, p->advice[i].text);
                else
                        printf("%12s: %s\n", "Not changed", p->advice[i].text);
        if (p->n_advice == 0)
                print_plan_line("Added", "nothing, the command line is fast already");
}

void plan_print(const KexecPlan *p) {
        bool none = !p->initrds[0] && !p->initrd_fd;

        /* A boot loader entry without an initial RAM disk is meant to have none. */
        if (none && !arg_no_initrd && !p->entry)
                (void) fail(0, "No initial RAM disk found for '%s', starting the kernel without one. "
                            "Use --initrd=FILE to select one, or --initrd= if none is needed.", p->kernel);
        if (arg_quiet)
                return;

        if (p->entry)
                print_plan_line("Entry", p->entry->title ?: p->entry->id);
        print_plan_line("Kernel", p->kernel);
        for (size_t i = 0; p->initrds[i]; i++)
                print_plan_line("Initrd", p->initrds[i]);
        if (p->initrd_fd)
                print_plan_line("Initrd", "part of the unified kernel image");
        if (none)
                print_plan_line("Initrd", "none");
        print_plan_line("Command line", p->cmdline);
        if (arg_fast)
                print_advice(p);
        (void) ctl_flush();
}
