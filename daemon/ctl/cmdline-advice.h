/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What on a kernel command line makes a boot take longer than it has to. */
#pragma once

#include <stddef.h>

#include "macro.h"

typedef struct CmdlineAdvice {
        const char *add; /* a word that can be added without harm, or NULL if a person has to decide */
        char text[192];  /* the reason, a sentence without a period */
} CmdlineAdvice;

/* There is never more advice than this. */
#define CMDLINE_ADVICE_MAX 8U

/* Fills an array with advice for a command line. Returns how much there is, or -ENOMEM. */
int cmdline_advise(const char *cmdline, CmdlineAdvice ret[CMDLINE_ADVICE_MAX]);

/*
 * Puts the words of the advice in front of a command line, where they are read by the kernel even if the line has a
 * part for init. The caller frees *ret. Returns 0 or -ENOMEM.
 */
int cmdline_apply(const char *cmdline, const CmdlineAdvice *advice, size_t n, char **ret);
