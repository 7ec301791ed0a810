/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <sys/ioctl.h>

#include "ctl.h"
#include "format.h"
#include "time-util.h"

/* Operations that finish before this show no progress. */
#define PROGRESS_AFTER_USEC (USEC_PER_SEC / 2)
#define PROGRESS_EVERY_USEC (USEC_PER_SEC / 10)

void progress_begin(Progress *p, const char *what, uint64_t size) {
        *p = (Progress) {
                .what = what,
                .size = size,
                .begin_usec = now_usec(CLOCK_MONOTONIC),
                .wanted = isatty(STDERR_FILENO),
        };
}

static void progress_draw(Progress *p, uint64_t now) {
        char done[FORMAT_MAX], size[FORMAT_MAX], rate[FORMAT_MAX], eta[FORMAT_MAX];
        uint64_t elapsed = MAX(now - p->begin_usec, UINT64_C(1));
        double per_usec = (double) p->done / (double) elapsed;
        struct winsize ws;
        unsigned columns = 80;

        if (ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) >= 0 && ws.ws_col > 0)
                columns = ws.ws_col;

        format_bytes(done, p->done);
        format_bytes(rate, (uint64_t) (per_usec * USEC_PER_SEC));

        /* Clear the line and start again. */
        (void) fputs("\r\033[K", stderr);
        if (p->size > 0 && p->done <= p->size) {
                unsigned bar = columns > 75 ? MIN(columns - 70, 40U) : 5;
                unsigned filled = (unsigned) ((double) p->done / (double) p->size * bar);

                format_usec(eta, per_usec > 0 ? (uint64_t) ((double) (p->size - p->done) / per_usec) : 0);
                (void) fprintf(stderr, "%.20s [%.*s%*s] %3u%% %s of %s, %s/s, %s left", p->what, (int) filled,
                               "########################################", (int) (bar - filled), "",
                               (unsigned) ((double) p->done / (double) p->size * 100), done,
                               format_bytes(size, p->size), rate, eta);
        } else
                (void) fprintf(stderr, "%.20s %s, %s/s", p->what, done, rate);
        (void) fflush(stderr);
        p->shown = true;
        p->shown_usec = now;
}

void progress_set(Progress *p, uint64_t done) {
        uint64_t now;

        p->done = done;
        if (!p->wanted)
                return;

        now = now_usec(CLOCK_MONOTONIC);
        if (now - p->begin_usec >= PROGRESS_AFTER_USEC && now - p->shown_usec >= PROGRESS_EVERY_USEC)
                progress_draw(p, now);
}

void progress_end(Progress *p) {
        if (p->shown)
                (void) fputs("\r\033[K", stderr);
}
