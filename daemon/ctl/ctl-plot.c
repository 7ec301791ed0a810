/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pkramctl analyze plot: the steps of the last kexec and its slowest units as an SVG image. */
#include <stdio.h>

#include "ctl-analysis.h"
#include "format.h"

/* Sizes in pixels. */
enum {
        FONT = 13,
        TITLE_FONT = 18,
        MARGIN = 20,
        GAP = 8,         /* between a bar and its text */
        PLOT = 800,      /* all of the kexec */
        TOP = 70,        /* above the first row */
        ROW = 30,
        BAR = 20,
        BASELINE = 15,   /* of text beside a bar */
        HEADING = 34,    /* between the steps and the units */
        AXIS = 26,       /* below the last row */
};

enum {
        UNITS_MAX = 20,  /* the slowest ones are shown */
        NAME_MAX_SHOWN = 48,
        LABEL_MAX = 192, /* bytes of the text beside a bar */
};

#define COLOR_TEXT "#222222"
#define COLOR_FAINT "#666666"
#define COLOR_LOST "#b00020"
#define COLOR_GRID "#e2e2e2"

static const char *const step_colors[_STEP_MAX] = {
        [STEP_STOP]     = "#4c78a8",
        [STEP_SHUTDOWN] = "#72a0c1",
        [STEP_SEAL]     = "#9ecae9",
        [STEP_JUMP]     = "#f58518",
        [STEP_KERNEL]   = "#eeae5b",
        [STEP_INITRD]   = "#c7c15a",
        [STEP_RESTORE]  = "#54a24b",
        [STEP_START]    = "#88d27a",
};

typedef struct Plot {
        const Analysis *a;
        const UnitTimes *units;
        size_t n_faster;          /* units that are not shown */
        int64_t begin, end;       /* microseconds since 1970 */
        double left;              /* where the bars begin */
        int y;                    /* of the next row */
} Plot;

/* Text that is shown as it is: control characters and what is not ASCII are replaced. */
static char printable_char(char c) {
        return c >= ' ' && c <= '~' ? c : '?';
}

static void svg_print_text(const char *text) {
        for (; *text; text++)
                switch (*text) {
                case '&': (void) fputs("&amp;", stdout); break;
                case '<': (void) fputs("&lt;", stdout); break;
                case '>': (void) fputs("&gt;", stdout); break;
                case '"': (void) fputs("&quot;", stdout); break;
                default: (void) putchar(printable_char(*text));
                }
}

/* Returns how wide text is at most, in pixels. Common sans-serif fonts are not wider than DejaVu Sans and Verdana. */
static double text_width_max(const char *text, int font) {
        double em = 0;

        for (; *text; text++)
                if (strchr("ijlI.,:;'|!()[] ftr/", printable_char(*text)))
                        em += 0.44;
                else if (strchr("mwMW%@&", printable_char(*text)))
                        em += 1.03;
                else if (printable_char(*text) >= 'A' && printable_char(*text) <= 'Z')
                        em += 0.79;
                else
                        em += 0.66;
        return em * font;
}

/* Takes out the middle of a name that is too long. */
static const char *name_shorten(char buffer[NAME_MAX_SHOWN + 1], const char *name) {
        size_t n = strlen(name), half = (NAME_MAX_SHOWN - 3) / 2;

        if (n <= NAME_MAX_SHOWN)
                return name;
        (void) snprintf(buffer, NAME_MAX_SHOWN + 1, "%.*s...%s", (int) (NAME_MAX_SHOWN - 3 - half), name,
                        name + n - half);
        return buffer;
}

/* Returns the text beside the bars of a unit. */
static const char *unit_label(char buffer[LABEL_MAX], const UnitTime *t) {
        char stop[FORMAT_MAX], start[FORMAT_MAX];

        (void) snprintf(buffer, LABEL_MAX, "%s%s%s%s%s", t->stop == UINT64_MAX ? "" : "stop ",
                        t->stop == UINT64_MAX ? "" : format_usec(stop, t->stop),
                        t->stop == UINT64_MAX || t->start == UINT64_MAX ? "" : ", ",
                        t->start == UINT64_MAX ? "" : "start ",
                        t->start == UINT64_MAX ? "" : format_usec(start, t->start));
        return buffer;
}

static const char *step_label(char buffer[LABEL_MAX], const Analysis *a, const AnalyzedStep *s) {
        char text[FORMAT_MAX];

        (void) snprintf(buffer, LABEL_MAX, "%s, %s", format_usec(text, (uint64_t) (s->end - s->begin)),
                        kexec_step_about(a, s->step));
        return buffer;
}

static double plot_x(const Plot *p, int64_t usec) {
        usec = MAX(usec, p->begin);
        usec = MIN(usec, p->end);
        return p->left + (double) (usec - p->begin) / (double) (p->end - p->begin) * PLOT;
}

static int64_t unit_end(const UnitTime *t) {
        return (int64_t) (t->start != UINT64_MAX ? t->start_end : t->stop_end);
}

/* Returns how wide the image has to be for all texts. */
static int plot_width(const Plot *p, const char *title) {
        double right = MAX(p->left + PLOT, MARGIN + text_width_max(title, TITLE_FONT));
        char label[LABEL_MAX];

        for (size_t i = 0; i < p->a->n; i++)
                right = MAX(right, plot_x(p, p->a->steps[i].end) + GAP +
                            text_width_max(step_label(label, p->a, p->a->steps + i), FONT));
        for (size_t i = 0; i < p->units->n; i++)
                right = MAX(right, plot_x(p, unit_end(p->units->units + i)) + GAP +
                            text_width_max(unit_label(label, p->units->units + i), FONT));
        /* The last number of the axis is centred below the end of the bars. */
        return (int) (right + MARGIN + 0.5);
}

static int plot_height(const Plot *p) {
        int height = TOP + (p->a->lost > 0 ? ROW : 0) + (int) p->a->n * ROW + AXIS + MARGIN;

        if (p->units->n > 0)
                height += HEADING + (int) p->units->n * ROW;
        return height + (p->n_faster > 0 ? ROW : 0);
}

/* Returns the distance between the lines of an axis of this length, for at most ten of them: 1, 2 or 5 and zeroes. */
static double axis_step(double length) {
        static const double factors[] = { 2, 2.5, 2 };
        double step = 0.0001;

        for (size_t i = 0; length / step > 10; i++)
                step *= factors[i % ELEMENTSOF(factors)];
        return step;
}

static void plot_print_axis(const Plot *p, int bottom) {
        static const struct {
                double seconds;
                const char *name;
        } units[] = { { 3600, "h" }, { 60, "min" }, { 1, "s" } };
        double length = (double) (p->end - p->begin) / USEC_PER_SEC, step;
        size_t u = 0;

        while (u < ELEMENTSOF(units) - 1 && length < 5 * units[u].seconds)
                u++;
        length /= units[u].seconds;
        step = axis_step(length);
        for (unsigned i = 0; i <= (unsigned) (length / step + 0.01); i++) {
                double x = p->left + i * step / length * PLOT;

                printf("<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"" COLOR_GRID "\"/>\n", x,
                       p->y - GAP, x, bottom + GAP / 2);
                printf("<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" fill=\"" COLOR_FAINT "\">%g %s</text>\n",
                       x, bottom + GAP / 2 + BASELINE, i * step, units[u].name);
        }
}

static void plot_print_name(const Plot *p, const char *name) {
        char buffer[NAME_MAX_SHOWN + 1];

        printf("<text x=\"%.1f\" y=\"%d\" text-anchor=\"end\">", p->left - GAP, p->y + BASELINE);
        if (strlen(name) > NAME_MAX_SHOWN) {
                printf("<title>");
                svg_print_text(name);
                printf("</title>");
        }
        svg_print_text(name_shorten(buffer, name));
        printf("</text>\n");
}

/* Prints a bar with a text that is shown when the pointer is above it. */
static void plot_print_bar(const Plot *p, int64_t begin, int64_t end, const char *fill, const char *about) {
        double x = plot_x(p, begin);

        printf("<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"2\" fill=\"%s\"><title>%s</title>"
               "</rect>\n", x, p->y, MAX(plot_x(p, end) - x, 1.0), BAR, fill, about);
}

static void plot_print_label(const Plot *p, int64_t end, const char *label) {
        /* Lines of the axis do not run through the text. */
        printf("<text x=\"%.1f\" y=\"%d\" stroke=\"#ffffff\" stroke-width=\"4\" paint-order=\"stroke\">"
               "%s</text>\n", plot_x(p, end) + GAP, p->y + BASELINE, label);
}

static void plot_print_units(Plot *p) {
        char label[LABEL_MAX];

        if (p->units->n > 0) {
                printf("<text x=\"%d\" y=\"%d\" font-weight=\"bold\">Slowest units</text>\n", MARGIN,
                       p->y + HEADING - ROW + BASELINE);
                p->y += HEADING;
        }
        for (size_t i = 0; i < p->units->n; i++) {
                const UnitTime *t = p->units->units + i;

                plot_print_name(p, t->unit);
                if (t->stop != UINT64_MAX)
                        plot_print_bar(p, (int64_t) (t->stop_end - t->stop), (int64_t) t->stop_end,
                                       step_colors[STEP_STOP], "stop");
                if (t->start != UINT64_MAX)
                        plot_print_bar(p, (int64_t) (t->start_end - t->start), (int64_t) t->start_end,
                                       step_colors[STEP_START], "start");
                plot_print_label(p, unit_end(t), unit_label(label, t));
                p->y += ROW;
        }
        if (p->n_faster > 0) {
                printf("<text x=\"%.1f\" y=\"%d\" fill=\"" COLOR_FAINT "\">and %zu faster unit%s, see 'pkramctl "
                       "analyze blame'</text>\n", p->left + GAP, p->y + BASELINE, p->n_faster,
                       p->n_faster == 1 ? "" : "s");
                p->y += ROW;
        }
}

static void plot_print(Plot *p, const char *title) {
        int width = plot_width(p, title), height = plot_height(p);
        char text[LABEL_MAX];

        printf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
               "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
               "font-family=\"sans-serif\" font-size=\"%d\" fill=\"" COLOR_TEXT "\">\n"
               "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n", width, height, width, height, FONT);
        printf("<text x=\"%d\" y=\"28\" font-size=\"%d\">", MARGIN, TITLE_FONT);
        svg_print_text(title);
        printf("</text>\n<text x=\"%d\" y=\"48\" fill=\"" COLOR_FAINT "\">%s</text>\n", MARGIN,
               format_timestamp(text, (uint64_t) p->a->begin));

        p->y = TOP;
        if (p->a->lost > 0) {
                printf("<text x=\"%d\" y=\"%d\" fill=\"" COLOR_LOST "\">%lld node%s lost, see 'pkramctl "
                       "status'</text>\n", MARGIN, p->y + GAP, (long long) p->a->lost,
                       p->a->lost == 1 ? " was" : "s were");
                p->y += ROW;
        }
        plot_print_axis(p, height - MARGIN - AXIS);
        for (size_t i = 0; i < p->a->n; i++) {
                const AnalyzedStep *s = p->a->steps + i;

                plot_print_name(p, kexec_step_name(s->step));
                plot_print_bar(p, s->begin, s->end, step_colors[s->step], kexec_step_about(p->a, s->step));
                plot_print_label(p, s->end, step_label(text, p->a, s));
                p->y += ROW;
        }
        plot_print_units(p);
        printf("</svg>\n");
}

int analyze_plot(const Analysis *a) {
        _cleanup_(unit_times_done) UnitTimes units = {};
        Plot p = { .a = a, .units = &units, .begin = a->begin };
        char buffer[NAME_MAX_SHOWN + 1], title[512], text[FORMAT_MAX];
        double names = 0;
        int r;

        p.end = MAX(a->end, a->begin + 1000);
        /* Without the journal there are no units. */
        r = journal_read_unit_times(a, &units);
        if (r < 0)
                hint("Failed to read the journal, leaving out the units: %s.", strerror(-r));
        p.n_faster = units.n > UNITS_MAX ? units.n - UNITS_MAX : 0;
        unit_times_keep_first(&units, UNITS_MAX);

        for (size_t i = 0; i < a->n; i++)
                names = MAX(names, text_width_max(kexec_step_name(a->steps[i].step), FONT));
        for (size_t i = 0; i < units.n; i++)
                names = MAX(names, text_width_max(name_shorten(buffer, units.units[i].unit), FONT));
        p.left = MAX(MARGIN + names + GAP, 90.0);

        (void) snprintf(title, sizeof(title), "Kexec%s%.200s: %s", *a->previous_kernel ? " from " : "",
                        a->previous_kernel, format_usec(text, (uint64_t) (a->end - a->begin)));
        plot_print(&p, title);
        return EXIT_OK;
}
