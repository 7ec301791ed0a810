/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pkramctl analyze: where the time of the last kexec went, from the report in the status. */
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "ctl.h"
#include "format.h"
#include "json-util.h"
#include "kexec-cmdline.h"
#include "kexec-image.h"

/* The steps of a kexec in their order. Each ends at the time that a member of LastKexec has. */
static const struct {
        const char *member, *name, *about, *fill;
} kexec_steps[] = {
        { "stoppedUSec",  "stop",     "services stop and store",          "#4c78a8" },
        { "finalUSec",    "shutdown", "file systems are unmounted",       "#72a0c1" },
        { "sealedUSec",   "seal",     "the old kernel seals the store",   "#9ecae9" },
        { "startedUSec",  "jump",     "the new kernel starts",            "#f58518" },
        { "restoredUSec", "restore",  "kernel, initrd and first units",   "#54a24b" },
        { "upUSec",       "start",    "services start and retrieve",      "#88d27a" },
};

typedef struct AnalyzedStep {
        size_t index;           /* into kexec_steps[] */
        int64_t begin, end;     /* microseconds since 1970 */
} AnalyzedStep;

typedef struct Analysis {
        AnalyzedStep steps[ELEMENTSOF(kexec_steps)];
        size_t n;
        int64_t begin, end;
        const char *previous_kernel; /* borrowed, "" if unknown */
} Analysis;

/* A serial line is assumed to be this fast if the command line does not say. */
#define SERIAL_BAUD_DEFAULT 9600U

/* An initial RAM disk above this takes noticeable time to be loaded, unpacked and checked. */
#define INITRD_LARGE MIB(64)

/* Reads the times. A step whose end is unknown is part of the next one. Returns false if there are none. */
static bool analysis_read(Analysis *a, struct json_object *kexec) {
        int64_t before = json_get_int(kexec, "requestedUSec", -1);

        *a = (Analysis) { .begin = before, .previous_kernel = json_get_string(kexec, "previousKernel") ?: "" };
        for (size_t i = 0; i < ELEMENTSOF(kexec_steps); i++) {
                int64_t usec = json_get_int(kexec, kexec_steps[i].member, -1);

                if (usec < 0)
                        continue;
                if (before < 0) {
                        a->begin = before = usec;
                        continue;
                }
                /* A new kernel starts with the hardware clock, which has a resolution of one second. */
                usec = MAX(usec, before);
                a->steps[a->n++] = (AnalyzedStep) { .index = i, .begin = before, .end = usec };
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

/* Checks whether the kernel prints its messages, and to a serial line, which is slow. */
static void hint_console(struct json_object *hints, const char *cmdline) {
        _cleanup_free_ char *consoles = NULL, *quiet = NULL;
        unsigned baud = SERIAL_BAUD_DEFAULT;
        const char *serial;

        (void) kexec_cmdline_values(cmdline, "console", &consoles);
        if (kexec_cmdline_has_word(cmdline, "quiet") ||
            kexec_cmdline_values(cmdline, "loglevel", &quiet) > 0)
                return;
        serial = consoles ? strstr(consoles, "ttyS") : NULL;
        if (!serial) {
                hint_add(hints, "The kernel prints all messages. Add 'quiet' to its command line.");
                return;
        }
        (void) sscanf(serial, "ttyS%*u,%u", &baud);
        hint_add(hints, "The kernel prints all messages to a serial line of %u baud, which takes %.1f ms for a "
                 "line of 80 characters. Add 'quiet' to its command line.", baud, 80 * 10 * 1000.0 / MAX(baud, 1U));
}

static void hint_initrd(struct json_object *hints) {
        _cleanup_free_ char *kernel = NULL, *initrd = NULL;
        char size[FORMAT_MAX];
        struct stat st;

        if (kexec_default_kernel("", /* release= */ NULL, &kernel) < 0 || kexec_default_initrd(kernel, &initrd) < 0 ||
            stat(initrd, &st) < 0 || (uint64_t) st.st_size < INITRD_LARGE)
                return;
        hint_add(hints, "The initial RAM disk '%s' has %s. MODULES=dep in /etc/initramfs-tools/initramfs.conf "
                 "makes it smaller.", initrd, format_bytes(size, (uint64_t) st.st_size));
}

/* Returns what could be shorter, as an array of sentences. */
static struct json_object *analysis_hints(const Analysis *a) {
        _cleanup_free_ char *cmdline = NULL;
        struct json_object *hints = json_object_new_array();

        if (!hints)
                exit(fail_memory());
        if (kexec_cmdline_read_running(/* path= */ NULL, &cmdline) >= 0)
                hint_console(hints, cmdline);
        hint_initrd(hints);
        for (size_t i = 0; i < a->n; i++) {
                const char *name = kexec_steps[a->steps[i].index].name;

                if (a->steps[i].end - a->steps[i].begin < (int64_t) (5 * USEC_PER_SEC))
                        continue;
                if (streq(name, "start"))
                        hint_add(hints, "Services took long to start. See 'pkramctl analyze blame'.");
                if (streq(name, "stop"))
                        hint_add(hints, "Services took long to stop. See 'pkramctl analyze blame'.");
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

                if (!s || json_add_string(s, "name", kexec_steps[a->steps[i].index].name) < 0 ||
                    json_add_int(s, "beginUSec", a->steps[i].begin) < 0 ||
                    json_add_int(s, "usec", a->steps[i].end - a->steps[i].begin) < 0 ||
                    json_append(steps, TAKE_PTR(s)) < 0)
                        return fail_memory();
        }
        if (json_add_int(o, "usec", a->end - a->begin) < 0 || json_add(o, "steps", TAKE_PTR(steps)) < 0 ||
            json_add(o, "hints", analysis_hints(a)) < 0)
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

                table_add(t, kexec_steps[s->index].name);
                table_add(t, format_usec(text, (uint64_t) (s->end - s->begin)));
                table_add(t, kexec_steps[s->index].about);
        }
        pager_open();
        table_print(t, /* counted= */ NULL);
        if (!arg_legend)
                return EXIT_OK;

        printf("\nFrom the request until services were up: %s.\n", format_usec(text, (uint64_t) (a->end - a->begin)));
        hints = analysis_hints(a);
        for (size_t i = 0; !arg_quiet && i < json_object_array_length(hints); i++) {
                printf("Hint: ");
                ctl_print_text(json_object_get_string(json_object_array_get_idx(hints, i)));
                (void) putchar('\n');
        }
        return EXIT_OK;
}

/* Prints text as XML. Everything but printable ASCII characters is replaced. */
static void svg_print_text(const char *text) {
        for (; *text; text++)
                switch (*text) {
                case '&': (void) fputs("&amp;", stdout); break;
                case '<': (void) fputs("&lt;", stdout); break;
                case '>': (void) fputs("&gt;", stdout); break;
                case '"': (void) fputs("&quot;", stdout); break;
                default: (void) putchar(*text >= ' ' && *text <= '~' ? *text : '?');
                }
}

/* Returns a round number of seconds between the lines of the axis, for at most ten of them: 1, 2 or 5 and zeroes. */
static double axis_step(double seconds) {
        static const double factors[] = { 2, 2.5, 2 };
        double step = 0.0001;

        for (size_t i = 0; seconds / step > 10; i++)
                step *= factors[i % ELEMENTSOF(factors)];
        return step;
}

static int analysis_print_plot(const Analysis *a) {
        enum { LEFT = 90, WIDTH = 800, RIGHT = 280, TOP = 70, ROW = 34, BAR = 22, BOTTOM = 40 };
        double seconds = MAX((double) (a->end - a->begin) / USEC_PER_SEC, 0.001), step = axis_step(seconds);
        int height = TOP + (int) a->n * ROW;
        char text[FORMAT_MAX];

        printf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
               "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "
               "font-size=\"13\">\n"
               "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
               LEFT + WIDTH + RIGHT, height + BOTTOM);
        printf("<text x=\"%d\" y=\"28\" font-size=\"18\">Kexec", LEFT);
        if (*a->previous_kernel) {
                printf(" from ");
                svg_print_text(a->previous_kernel);
        }
        printf(": %s</text>\n", format_usec(text, (uint64_t) (a->end - a->begin)));
        printf("<text x=\"%d\" y=\"48\" fill=\"#666666\">%s</text>\n", LEFT,
               format_timestamp(text, (uint64_t) a->begin));

        for (unsigned i = 0; i <= (unsigned) (seconds / step + 0.01); i++) {
                double s = i * step, x = LEFT + s / seconds * WIDTH;

                printf("<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#dddddd\"/>\n", x, TOP - 8, x,
                       height);
                printf("<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" fill=\"#666666\">%g s</text>\n", x,
                       height + 18, s);
        }
        for (size_t i = 0; i < a->n; i++) {
                const AnalyzedStep *s = a->steps + i;
                double x = LEFT + (double) (s->begin - a->begin) / USEC_PER_SEC / seconds * WIDTH;
                double width = MAX((double) (s->end - s->begin) / USEC_PER_SEC / seconds * WIDTH, 1.0);
                int y = TOP + (int) i * ROW;

                printf("<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", LEFT - 10, y + 16,
                       kexec_steps[s->index].name);
                printf("<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"2\" "
                       "fill=\"%s\"><title>%s</title></rect>\n", x, y, width, BAR, kexec_steps[s->index].fill,
                       kexec_steps[s->index].about);
                printf("<text x=\"%.1f\" y=\"%d\" fill=\"#333333\">%s, %s</text>\n", x + width + 6, y + 16,
                       format_usec(text, (uint64_t) (s->end - s->begin)), kexec_steps[s->index].about);
        }
        printf("</svg>\n");
        return EXIT_OK;
}

int verb_analyze(int argc, char *argv[]) {
        _cleanup_(varlink_client_freep) VarlinkClient *c = NULL;
        _cleanup_reply_ VarlinkReply reply = {};
        const char *what = argc > 1 ? argv[1] : "time";
        Analysis a;
        int r;

        if (argc > 2 || (!streq(what, "time") && !streq(what, "blame") && !streq(what, "plot")))
                return fail(EXIT_USAGE, "Command 'analyze' takes 'time', 'blame' or 'plot'. See 'pkramctl --help'.");
        r = ctl_connect(&c);
        if (r == 0)
                r = ctl_call(c, "io.pkram.Store.GetStatus", NULL, NULL, 0, &reply);
        if (r != 0)
                return r;
        if (!analysis_read(&a, json_get(reply.parameters, "lastKexec")))
                return fail(EXIT_FAILED, "This kernel was not started by a kexec that preserved nodes, or "
                            "pkram-restore.service has not run.");

        if (streq(what, "blame"))
                return analyze_blame(a.begin, a.end);
        if (arg_json != JSON_OFF)
                return analysis_print_json(&a);
        return streq(what, "plot") ? analysis_print_plot(&a) : analysis_print_table(&a);
}
