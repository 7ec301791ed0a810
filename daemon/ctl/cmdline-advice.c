/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmdline-advice.h"
#include "kexec-cmdline.h"

/* The kernel sets a serial line to this speed if the command line gives none. */
#define SERIAL_BAUD_DEFAULT 9600U

/* Words that take time, and what they do. They were given on purpose, so they are not removed. */
static const struct {
        const char *word, *text;
} slow_words[] = {
        { "debug",           "makes the kernel print debugging messages"              },
        { "ignore_loglevel", "makes the kernel print all messages to the console"     },
        { "initcall_debug",  "makes the kernel print a line for each initialisation"  },
        { "memtest",         "makes the kernel test all memory that is not preserved" },
};

_Static_assert(ELEMENTSOF(slow_words) + 1 <= CMDLINE_ADVICE_MAX, "advice for every word fits");

static CmdlineAdvice *advice_add(CmdlineAdvice *list, size_t *n, const char *word) {
        CmdlineAdvice *a = list + (*n)++;

        a->add = word;
        return a;
}

/* Finds the speed of the serial line that kernel messages go to. Returns 1 if there is one, 0 if not, or -ENOMEM. */
static int serial_console(const char *cmdline, unsigned *ret_baud) {
        _cleanup_free_ char *consoles = NULL;
        const char *serial;
        int r;

        *ret_baud = SERIAL_BAUD_DEFAULT;
        r = kexec_cmdline_values(cmdline, "console", &consoles);
        if (r < 0)
                return r;
        serial = strstr(consoles, "ttyS");
        if (!serial)
                return 0;
        if (sscanf(serial, "ttyS%*u,%u", ret_baud) != 1 || *ret_baud == 0)
                *ret_baud = SERIAL_BAUD_DEFAULT;
        return 1;
}

/* Returns 1 if the command line gives the parameter a value, 0 if not, or -ENOMEM. */
static int has_value(const char *cmdline, const char *name) {
        _cleanup_free_ char *values = NULL;
        int r = kexec_cmdline_values(cmdline, name, &values);

        return MIN(r, 1);
}

/* Returns true if a person chose that the kernel prints more than usual. */
static bool is_verbose(const char *cmdline) {
        return kexec_cmdline_has_word(cmdline, "debug") || kexec_cmdline_has_word(cmdline, "ignore_loglevel");
}

static int advise_messages(const char *cmdline, CmdlineAdvice *list, size_t *n) {
        int serial, loglevel, status;
        CmdlineAdvice *a;
        unsigned baud;
        char line[64];

        if (kexec_cmdline_has_word(cmdline, "quiet") || is_verbose(cmdline))
                return 0;
        serial = serial_console(cmdline, &baud);
        if (serial < 0)
                return serial;
        loglevel = has_value(cmdline, "loglevel");
        if (loglevel < 0)
                return loglevel;
        status = has_value(cmdline, "systemd.show_status");
        if (status < 0)
                return status;

        (void) snprintf(line, sizeof(line), "%.1f ms for a line of 80 characters", 80 * 10 * 1000.0 / baud);
        if (loglevel == 0) {
                a = advice_add(list, n, "quiet");
                if (serial)
                        (void) snprintf(a->text, sizeof(a->text), "The kernel prints all messages to a serial line of "
                                        "%u baud, which takes %s", baud, line);
                else
                        (void) snprintf(a->text, sizeof(a->text), "The kernel prints all messages to the console");
        } else if (serial && status == 0) {
                /* Without 'quiet', this is on by default. */
                a = advice_add(list, n, "systemd.show_status=auto");
                (void) snprintf(a->text, sizeof(a->text), "The service manager prints a line for each unit to a "
                                "serial line of %u baud, which takes %s", baud, line);
        }
        return 0;
}

static int advise_slow_words(const char *cmdline, CmdlineAdvice *list, size_t *n) {
        for (size_t i = 0; i < ELEMENTSOF(slow_words); i++) {
                int r = kexec_cmdline_has_word(cmdline, slow_words[i].word) ? 1 :
                        has_value(cmdline, slow_words[i].word);
                CmdlineAdvice *a;

                if (r < 0)
                        return r;
                if (r == 0)
                        continue;
                a = advice_add(list, n, NULL);
                (void) snprintf(a->text, sizeof(a->text), "'%s' on the command line %s", slow_words[i].word,
                                slow_words[i].text);
        }
        return 0;
}

int cmdline_advise(const char *cmdline, CmdlineAdvice ret[CMDLINE_ADVICE_MAX]) {
        size_t n = 0;
        int r;

        r = advise_messages(cmdline, ret, &n);
        if (r >= 0)
                r = advise_slow_words(cmdline, ret, &n);
        return r < 0 ? r : (int) n;
}

int cmdline_apply(const char *cmdline, const CmdlineAdvice *advice, size_t n, char **ret) {
        size_t length = strlen(cmdline) + 1, size = length;
        char *p;

        for (size_t i = 0; i < n; i++)
                size += advice[i].add ? strlen(advice[i].add) + 1 : 0;
        *ret = p = malloc(size);
        if (!p)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                if (advice[i].add)
                        p += sprintf(p, "%s ", advice[i].add);
        memcpy(p, cmdline, length);
        return 0;
}
