/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables for terminals and scripts. Not libsmartcols: in the C locale, which services and cron jobs have, it prints
 * all characters but ASCII as escape sequences, so that names in the output would depend on the locale. It also
 * truncates cells without marking them.
 */
#include <stdio.h>
#include <wchar.h>

#include "ctl.h"
#include "utf8.h"

/* Minimum width of a column when a table is fitted to a terminal. */
#define COLUMN_WIDTH_MIN 8U

struct Table {
        size_t n_columns;
        const char *const *headings;
        char **cells;
        size_t n_cells, allocated;
};

Table *table_new(size_t n_columns, const char *const *headings) {
        Table *t = calloc(1, sizeof(Table));

        if (!t)
                exit(fail_memory());
        t->n_columns = n_columns;
        t->headings = headings;
        return t;
}

Table *table_free(Table *t) {
        if (!t)
                return NULL;
        for (size_t i = 0; i < t->n_cells; i++)
                free(t->cells[i]);
        free(t->cells);
        free(t);
        return NULL;
}

void table_add(Table *t, const char *text) {
        char *copy = utf8_escape(text);

        if (!copy || GREEDY_REALLOC(t->cells, t->allocated, t->n_cells + 1) < 0)
                exit(fail_memory());
        t->cells[t->n_cells++] = copy;
}

static size_t char_width(const char *p, int *ret_length) {
        int n = utf8_char_length(p, strlen(p));
        int w;

        *ret_length = n < 0 ? 1 : n;
        w = n < 0 ? 1 : wcwidth((wchar_t) utf8_decode(p, n));
        return w < 0 ? 1 : (size_t) w;
}

static size_t text_width(const char *p) {
        size_t w = 0;

        while (*p) {
                int n;

                w += char_width(p, &n);
                p += n;
        }
        return w;
}

/* Shrinks the widest columns until the table fits or all have their minimum width. */
static void table_fit(size_t *widths, size_t n, size_t available) {
        for (;;) {
                size_t sum = 2 * (n - 1), widest = 0;

                for (size_t i = 0; i < n; i++) {
                        sum += widths[i];
                        if (widths[i] > widths[widest])
                                widest = i;
                }
                if (sum <= available || widths[widest] <= COLUMN_WIDTH_MIN)
                        return;
                widths[widest]--;
        }
}

static void print_cell(const char *text, size_t width, bool right, bool last) {
        size_t full = text_width(text), w = 0;

        if (right)
                for (size_t i = full; i < width; i++)
                        (void) putchar(' ');

        if (full <= width) {
                (void) fputs(text, stdout);
                w = full;
        } else {
                /* Truncate, and mark that with an ellipsis. */
                while (*text) {
                        char c[5] = {};
                        int n;
                        size_t cw = char_width(text, &n);

                        if (w + cw > width - 1)
                                break;
                        memcpy(c, text, (size_t) n);
                        (void) fputs(c, stdout);
                        w += cw;
                        text += n;
                }
                (void) fputs("\xe2\x80\xa6", stdout);
                w++;
        }

        if (!right && !last)
                for (; w < width; w++)
                        (void) putchar(' ');
}

void table_print(const Table *t, const char *counted) {
        size_t n_rows = t->n_cells / t->n_columns;
        size_t widths[16] = {};

        assert(t->n_columns <= ELEMENTSOF(widths));

        for (size_t c = 0; c < t->n_columns; c++) {
                const char *heading = t->headings[c] + (t->headings[c][0] == '>');

                widths[c] = arg_legend ? text_width(heading) : 0;
                for (size_t r = 0; r < n_rows; r++)
                        widths[c] = MAX(widths[c], text_width(t->cells[r * t->n_columns + c]));
        }
        table_fit(widths, t->n_columns, terminal_width());

        for (size_t r = 0; r < n_rows + arg_legend; r++) {
                bool heading = arg_legend && r == 0;

                for (size_t c = 0; c < t->n_columns; c++) {
                        bool right = t->headings[c][0] == '>';
                        const char *text = heading ?
                                t->headings[c] + right : t->cells[(r - arg_legend) * t->n_columns + c];

                        if (c > 0)
                                (void) fputs("  ", stdout);
                        if (heading)
                                (void) fputs(color(COLOR_HEADING), stdout);
                        print_cell(text, widths[c], right, c + 1 == t->n_columns);
                        if (heading)
                                (void) fputs(color(COLOR_NORMAL), stdout);
                }
                (void) putchar('\n');
        }

        if (arg_legend && counted)
                printf("\n%zu %s%s.\n", n_rows, counted, n_rows == 1 ? "" : "s");
}
