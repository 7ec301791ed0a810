/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <time.h>

#include "format.h"

const char *format_bytes(char *buffer, uint64_t bytes) {
        static const char units[] = "KMGTPE";
        unsigned unit = 0;
        double v = (double) bytes;

        if (bytes < 1024) {
                (void) snprintf(buffer, FORMAT_MAX, "%lluB", (unsigned long long) bytes);
                return buffer;
        }

        for (v /= 1024; v >= 1023.95 && unit < sizeof(units) - 2; v /= 1024)
                unit++;
        (void) snprintf(buffer, FORMAT_MAX, "%.1f%c", v, units[unit]);
        return buffer;
}

const char *format_usec(char *buffer, uint64_t usec) {
        uint64_t s = usec / USEC_PER_SEC;

        if (usec < 1000)
                (void) snprintf(buffer, FORMAT_MAX, "%lluus", (unsigned long long) usec);
        else if (usec < USEC_PER_SEC)
                (void) snprintf(buffer, FORMAT_MAX, "%.1fms", (double) usec / 1000);
        else if (s < 60)
                (void) snprintf(buffer, FORMAT_MAX, "%.1fs", (double) usec / USEC_PER_SEC);
        else if (s < 3600)
                (void) snprintf(buffer, FORMAT_MAX, "%llumin %llus", (unsigned long long) s / 60,
                                (unsigned long long) s % 60);
        else
                (void) snprintf(buffer, FORMAT_MAX, "%lluh %llumin", (unsigned long long) s / 3600,
                                (unsigned long long) s / 60 % 60);
        return buffer;
}

const char *format_timestamp(char *buffer, uint64_t usec) {
        time_t t = (time_t) (usec / USEC_PER_SEC);
        struct tm tm;

        if (!localtime_r(&t, &tm) || strftime(buffer, FORMAT_MAX, "%Y-%m-%d %H:%M:%S %Z", &tm) == 0)
                (void) snprintf(buffer, FORMAT_MAX, "@%llu", (unsigned long long) usec);
        return buffer;
}
