/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <malloc.h>
#include <time.h>

#include "trim.h"

static int on_trim(_unused_ sd_event_source *source, _unused_ uint64_t usec, _unused_ void *userdata) {
        /*
         * What many clients had in flight is spread over the heap, with something that lives on at its top. By itself
         * the C library gives back nothing but the top; and the larger the blocks that were freed, the less of that.
         */
        (void) malloc_trim(0);
        return 0;
}

void trim_soon(Trim *t, sd_event *event) {
        int enabled = SD_EVENT_OFF;

        if (!t->source) {
                (void) sd_event_add_time_relative(event, &t->source, CLOCK_MONOTONIC, TRIM_DELAY_USEC,
                                                  TRIM_DELAY_USEC / 4, on_trim, /* userdata= */ NULL);
                return;
        }

        if (sd_event_source_get_enabled(t->source, &enabled) < 0 || enabled != SD_EVENT_OFF)
                return;
        if (sd_event_source_set_time_relative(t->source, TRIM_DELAY_USEC) >= 0)
                (void) sd_event_source_set_enabled(t->source, SD_EVENT_ONESHOT);
}

void trim_done(Trim *t) {
        t->source = sd_event_source_disable_unref(t->source);
}
