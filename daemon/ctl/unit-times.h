/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How long units took to stop before a kexec and to start after it, from what the service manager logs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "macro.h"

typedef enum UnitEvent {
        UNIT_STARTING,
        UNIT_STARTED, /* or failed to */
        UNIT_STOPPING,
        UNIT_STOPPED,
} UnitEvent;

typedef struct UnitTime {
        char *unit;
        uint64_t stop, start; /* microseconds, UINT64_MAX if unknown */
        uint64_t stop_end, start_end; /* when they ended, in microseconds since 1970 */
        uint64_t stop_begin, start_begin; /* of what has not ended, UINT64_MAX without */
} UnitTime;

/* Initialize with zeroes. */
typedef struct UnitTimes {
        UnitTime *units;
        size_t n, allocated;
} UnitTimes;

/*
 * Adds an event. Events are added in the order in which they happened. Of the old system, the last stop of a unit
 * counts, of the new one the first start. usec: the monotonic clock of that system. wall_usec: microseconds since
 * 1970. Returns 0 or -ENOMEM.
 */
int unit_times_add(UnitTimes *times, const char *unit, UnitEvent event, bool old_system, uint64_t usec,
                   uint64_t wall_usec);

/* Removes units of which no time is known, and sorts the others: the longest sum comes first, then the name. */
void unit_times_finish(UnitTimes *times);

/* Keeps the first n units and sorts them by the time at which they began to stop, or to start. */
void unit_times_keep_first(UnitTimes *times, size_t n);

/* Returns when a unit began to stop, or to start if it did not stop, in microseconds since 1970. */
uint64_t unit_time_begin(const UnitTime *t);

void unit_times_done(UnitTimes *times);
