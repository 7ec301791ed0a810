/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Gives memory that is not used any more back to the kernel. */
#pragma once

#include <systemd/sd-event.h>

#include "macro.h"

/* Long enough for a burst of clients to end, short enough that memory is not wasted for long. */
#define TRIM_DELAY_USEC (1 * USEC_PER_SEC)

typedef struct Trim {
        sd_event_source *source; /* a timer, on while something is to be given back */
} Trim;

/*
 * Has free memory given back once, TRIM_DELAY_USEC from the first request on: to be
 * called when a client disconnects. A failure is not reported, since nothing but memory is lost.
 */
void trim_soon(Trim *t, sd_event *event);

void trim_done(Trim *t);
