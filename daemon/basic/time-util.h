/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What time it is. */
#pragma once

#include <time.h>

#include "macro.h"

/* The time of a clock, CLOCK_MONOTONIC for example, in microseconds. The clock must exist. */
static inline uint64_t now_usec(clockid_t clock) {
        struct timespec ts;

        (void) clock_gettime(clock, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / NSEC_PER_USEC;
}
