/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pkramctl analyze: where the time of the last kexec went, from the report in the status. */
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cmdline-advice.h"
#include "ctl-analysis.h"
#include "format.h"
#include "json-util.h"
#include "kexec-cmdline.h"
#include "kexec-image.h"

/* Most steps end at the time that a member of LastKexec has. */
static const struct {
        const char *name, *member, *about;
} kexec_steps[] = {
        [STEP_STOP]     = { "stop",     "stoppedUSec",  "services stop and store"             },
        [STEP_SHUTDOWN] = { "shutdown", "finalUSec",    "file systems are unmounted"          },
        [STEP_SEAL]     = { "seal",     "sealedUSec",   "the old kernel seals the store"      },
        [STEP_JUMP]     = { "jump",     "startedUSec",  "the new kernel starts"               },
        [STEP_KERNEL]   = { "kernel",   NULL,           "the kernel adopts nodes and boots"   },
        [STEP_INITRD]   = { "initrd",   NULL,           "the initial RAM disk finds the root" },
        [STEP_RESTORE]  = { "restore",  "restoredUSec", "kernel, initrd and first units"      },
        [STEP_START]    = { "start",    "upUSec",       "services start and retrieve"         },
};

/* An initial RAM disk above this takes noticeable time to be loaded, unpacked and checked. */
#define INITRD_LARGE MIB(64)

/* Purgatory, the code that runs between the kernels, computes a SHA-256 digest of all that was loaded, in plain C: 57
 * million instructions for a MiB. */
#define DIGEST_USEC_PER_MIB 5000U

const char *kexec_step_name(KexecStep step) {
        return kexec_steps[step].name;
}

const char *kexec_step_about(const Analysis *a, KexecStep step) {
        if (step == STEP_RESTORE)
                for (size_t i = 0; i < a->n; i++)
                        if (a->steps[i].step == STEP_KERNEL)
                                return "first units, until nodes are known";
        return kexec_steps[step].about;
}

/* Returns when a step ended, in microseconds since 1970, or -1. */
static int64_t step_end(KexecStep step, struct json_object *kexec, int64_t started, const BootTimes *boot) {
        int64_t restored = json_get_int(kexec, kexec_steps[STEP_RESTORE].member, -1);
        uint64_t usec;

        if (kexec_steps[step].member)
                return json_get_int(kexec, kexec_steps[step].member, -1);
        if (started < 0 || restored < started || boot->kernel == UINT64_MAX ||
            (step == STEP_INITRD && boot->initrd == UINT64_MAX))
                return -1;
        usec = step == STEP_KERNEL ? boot->kernel : boot->kernel + boot->initrd;
        return usec >= boot->kernel && usec <= (uint64_t) (restored - started) ? started + (int64_t) usec : -1;
}

/* Reads the times. A step whose end is unknown is part of the next one. Returns false if there are none. */
static bool analysis_read(Analysis *a, struct json_object *status, const BootTimes *boot) {
        struct json_object *kexec = json_get(status, "lastKexec");
        int64_t before = json_get_int(kexec, "requestedUSec", -1);

        *a = (Analysis) {
                .begin = before,
                .started = json_get_int(kexec, "startedUSec", -1),
                .adopt = json_get_int(status, "restoreUSec", -1),
                .lost = json_get_int(kexec, "lostNodes", 0),
                .previous_kernel = json_get_string(kexec, "previousKernel") ?: "",
        };
        for (KexecStep step = 0; step < _STEP_MAX; step++) {
                int64_t usec = step_end(step, kexec, a->started, boot);

                if (usec < 0)
                        continue;
                if (before < 0) {
                        a->begin = before = usec;
                        continue;
                }
                /* A new kernel starts with the hardware clock, which has a resolution of one second. */
                usec = MAX(usec, before);
                a->steps[a->n++] = (AnalyzedStep) { .step = step, .begin = before, .end = usec };
                before = usec;
        }
        a->end = before;
        return a->n > 0;
}

/* --- hints --- */

static void hint_add(struct json_object *hints, const char *format, ...) _printf_(2, 3);
static void hint_add(struct json_object *hints, const char *format, ...) {
        char text[512];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        if (json_append(hints, json_object_new_string(text)) < 0)
                exit(fail_memory());
}

/* What on the command line makes a boot longer. The next kexec uses the same command line, unless told otherwise. */
static void hint_cmdline(struct json_object *hints) {
        CmdlineAdvice advice[CMDLINE_ADVICE_MAX];
        _cleanup_free_ char *cmdline = NULL;
        int n;

        n = kexec_cmdline_read_running(/* path= */ NULL, &cmdline);
        if (n >= 0)
                n = cmdline_advise(cmdline, advice);
        if (n == -ENOMEM)
                exit(fail_memory());
        for (int i = 0; i < n; i++)
                if (advice[i].add)
                        hint_add(hints, "%s. 'pkramctl kexec --fast' adds '%s' to the command line.", advice[i].text,
                                 advice[i].add);
                else
                        hint_add(hints, "%s.", advice[i].text);
}

static void hint_initrd(struct json_object *hints) {
        _cleanup_free_ char *kernel = NULL, *initrd = NULL;
        char size[FORMAT_MAX], digest[FORMAT_MAX];
        struct stat st;

        if (kexec_default_kernel("", /* release= */ NULL, &kernel) < 0 || kexec_default_initrd(kernel, &initrd) < 0 ||
            stat(initrd, &st) < 0 || (uint64_t) st.st_size < INITRD_LARGE)
                return;
        hint_add(hints, "The initial RAM disk '%s' has %s; verifying its digest before the jump takes about %s. "
                 "MODULES=dep in /etc/initramfs-tools/initramfs.conf makes it smaller.", initrd,
                 format_bytes(size, (uint64_t) st.st_size),
                 format_usec(digest, (uint64_t) st.st_size / MIB(1) * DIGEST_USEC_PER_MIB));
}

/* Returns what could be shorter, as an array of sentences. */
static struct json_object *analysis_hints(const Analysis *a) {
        struct json_object *hints = json_object_new_array();

        if (!hints)
                exit(fail_memory());
        hint_cmdline(hints);
        hint_initrd(hints);
        for (size_t i = 0; i < a->n; i++) {
                KexecStep step = a->steps[i].step;

                if (a->steps[i].end - a->steps[i].begin < (int64_t) (5 * USEC_PER_SEC))
                        continue;
                if (step == STEP_START || step == STEP_STOP)
                        hint_add(hints, "Services took long to %s. See 'pkramctl analyze blame'.",
                                 kexec_steps[step].name);
        }
        return hints;
}

/* --- output --- */

static int analysis_print_json(const Analysis *a) {
        _cleanup_json_ struct json_object *o = json_object_new_object(), *steps = json_object_new_array();

        if (!o || !steps)
                return fail_memory();
        for (size_t i = 0; i < a->n; i++) {
                _cleanup_json_ struct json_object *s = json_object_new_object();

                if (!s || json_add_string(s, "name", kexec_steps[a->steps[i].step].name) < 0 ||
                    json_add_int(s, "beginUSec", a->steps[i].begin) < 0 ||
                    json_add_int(s, "usec", a->steps[i].end - a->steps[i].begin) < 0 ||
                    json_append(steps, TAKE_PTR(s)) < 0)
                        return fail_memory();
        }
        if (json_add_int(o, "usec", a->end - a->begin) < 0 ||
            (a->adopt >= 0 && json_add_int(o, "adoptUSec", a->adopt) < 0) ||
            json_add(o, "steps", TAKE_PTR(steps)) < 0 || json_add(o, "hints", analysis_hints(a)) < 0)
                return fail_memory();
        ctl_print_json(o);
        return EXIT_OK;
}

static int analysis_print_table(const Analysis *a) {
        static const char *const headings[] = { "STEP", ">TIME", "WHAT" };
        _cleanup_(table_freep) Table *t = table_new(ELEMENTSOF(headings), headings);
        _cleanup_json_ struct json_object *hints = NULL;
        char text[FORMAT_MAX];

        for (size_t i = 0; i < a->n; i++) {
                const AnalyzedStep *s = a->steps + i;

                table_add(t, kexec_steps[s->step].name);
                table_add(t, format_usec(text, (uint64_t) (s->end - s->begin)));
                table_add(t, kexec_step_about(a, s->step));
        }
        pager_open();
        table_print(t, /* counted= */ NULL);
        if (!arg_legend)
                return EXIT_OK;

        printf("\nFrom the request until services were up: %s.",
               format_usec(text, (uint64_t) (a->end - a->begin)));
        if (a->adopt >= 0)
                printf(" Adopting the nodes took %s of it.", format_usec(text, (uint64_t) a->adopt));
        (void) putchar('\n');
        hints = analysis_hints(a);
        for (size_t i = 0; !arg_quiet && i < json_object_array_length(hints); i++) {
                printf("Hint: ");
                ctl_print_text(json_object_get_string(json_object_array_get_idx(hints, i)));
                (void) putchar('\n');
        }
        return EXIT_OK;
}

int verb_analyze(int argc, char *argv[]) {
        _cleanup_(varlink_client_freep) VarlinkClient *c = NULL;
        _cleanup_reply_ VarlinkReply reply = {};
        const char *what = argc > 1 ? argv[1] : "time";
        BootTimes boot;
        Analysis a;
        int r;

        if (argc > 2 || (!streq(what, "time") && !streq(what, "blame") && !streq(what, "plot")))
                return fail(EXIT_USAGE, "Command 'analyze' takes 'time', 'blame' or 'plot'. See 'pkramctl --help'.");
        r = ctl_connect(&c);
        if (r == 0)
                r = ctl_call(c, "io.pkram.Store.GetStatus", NULL, NULL, 0, &reply);
        if (r != 0)
                return r;
        /* Without the journal, the step that ends later includes the others. */
        (void) journal_read_boot_times(&boot);
        if (!analysis_read(&a, reply.parameters, &boot))
                return fail(EXIT_FAILED, "This kernel was not started by a kexec that preserved nodes, or "
                            "pkram-restore.service has not run.");
        if (streq(what, "blame"))
                return analyze_blame(&a);
        if (arg_json != JSON_OFF)
                return analysis_print_json(&a);
        return streq(what, "plot") ? analyze_plot(&a) : analysis_print_table(&a);
}
