/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "unit-times.h"

static UnitTime *unit_times_find(UnitTimes *times, const char *unit) {
        UnitTime *t;

        for (size_t i = 0; i < times->n; i++)
                if (streq(times->units[i].unit, unit))
                        return times->units + i;
        if (GREEDY_REALLOC(times->units, times->allocated, times->n + 1) < 0)
                return NULL;
        t = times->units + times->n;
        *t = (UnitTime) {
                .unit = strdup(unit),
                .stop = UINT64_MAX,
                .start = UINT64_MAX,
                .stop_begin = UINT64_MAX,
                .start_begin = UINT64_MAX,
        };
        if (!t->unit)
                return NULL;
        times->n++;
        return t;
}

int unit_times_add(UnitTimes *times, const char *unit, UnitEvent event, bool old_system, uint64_t usec,
                   uint64_t wall_usec) {
        bool stop = event == UNIT_STOPPING || event == UNIT_STOPPED;
        uint64_t *begin, *duration;
        UnitTime *t;

        if (stop != old_system)
                return 0;
        t = unit_times_find(times, unit);
        if (!t)
                return -ENOMEM;
        begin = stop ? &t->stop_begin : &t->start_begin;
        duration = stop ? &t->stop : &t->start;
        if (event == UNIT_STARTING || event == UNIT_STOPPING) {
                *begin = usec;
                return 0;
        }
        if (*begin <= usec && (stop || *duration == UINT64_MAX)) {
                *duration = usec - *begin;
                *(stop ? &t->stop_end : &t->start_end) = wall_usec;
        }
        *begin = UINT64_MAX;
        return 0;
}

static uint64_t unit_time_sum(const UnitTime *t) {
        return (t->stop == UINT64_MAX ? 0 : t->stop) + (t->start == UINT64_MAX ? 0 : t->start);
}

static int unit_time_compare(const void *a, const void *b) {
        uint64_t x = unit_time_sum(a), y = unit_time_sum(b);

        return x != y ? (x < y ? 1 : -1) : strcmp(((const UnitTime *) a)->unit, ((const UnitTime *) b)->unit);
}

void unit_times_finish(UnitTimes *times) {
        size_t n = 0;

        for (size_t i = 0; i < times->n; i++)
                if (times->units[i].stop == UINT64_MAX && times->units[i].start == UINT64_MAX)
                        free(times->units[i].unit);
                else
                        times->units[n++] = times->units[i];
        times->n = n;
        if (n > 1)
                qsort(times->units, n, sizeof(UnitTime), unit_time_compare);
}

uint64_t unit_time_begin(const UnitTime *t) {
        uint64_t end = t->stop != UINT64_MAX ? t->stop_end : t->start_end;
        uint64_t duration = t->stop != UINT64_MAX ? t->stop : t->start;

        return end > duration ? end - duration : 0;
}

static int unit_time_compare_begin(const void *a, const void *b) {
        uint64_t x = unit_time_begin(a), y = unit_time_begin(b);

        return x != y ? (x < y ? -1 : 1) : strcmp(((const UnitTime *) a)->unit, ((const UnitTime *) b)->unit);
}

void unit_times_keep_first(UnitTimes *times, size_t n) {
        while (times->n > n)
                free(times->units[--times->n].unit);
        if (times->n > 1)
                qsort(times->units, times->n, sizeof(UnitTime), unit_time_compare_begin);
}

void unit_times_done(UnitTimes *times) {
        for (size_t i = 0; i < times->n; i++)
                free(times->units[i].unit);
        free(times->units);
        *times = (UnitTimes) {};
}
