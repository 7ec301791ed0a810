/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>

#include "file-util.h"
#include "persist-rate.h"

#define RATE_FILE "rate"

/* Without a measurement: a slow disk. */
#define RATE_DEFAULT MIB(100)
#define RATE_MIN MIB(1)

/* Less tells nothing about the disk, unless the time was up. */
#define RATE_BYTES_MIN MIB(64)

static uint64_t bytes_per_second(uint64_t bytes, uint64_t usec) {
        uint64_t rate = MIN(bytes, UINT64_MAX / USEC_PER_SEC) * USEC_PER_SEC / usec;

        return MAX(rate, RATE_MIN);
}

void persist_rate_read(PersistPlan *p, const char *path) {
        unsigned long long bytes, usec;
        _cleanup_free_ char *text = NULL;
        char file[256];
        size_t n;

        p->rate = RATE_DEFAULT;
        if ((size_t) snprintf(file, sizeof(file), "%s/" RATE_FILE, path) < sizeof(file) &&
            file_read(file, 64, &text, &n) >= 0 && sscanf(text, "%19llu %19llu", &bytes, &usec) == 2 && usec > 0)
                p->rate = bytes_per_second(bytes, usec);
}

bool persist_rate_learn(PersistPlan *p, const PersistShared *shared, uint64_t usec, bool in_time) {
        uint64_t bytes = MIN(shared->bytes, p->bytes);

        if (in_time && bytes < RATE_BYTES_MIN)
                return false;
        /* What was copied may not be on the disk yet. */
        if (!in_time)
                bytes = MIN(bytes, p->bytes - p->bytes / 10);
        p->rate = bytes_per_second(bytes, MAX(usec, UINT64_C(1)));
        return true;
}

void persist_rate_write(const PersistPlan *p, const char *path) {
        _cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        char text[64];
        int n;

        n = snprintf(text, sizeof(text), "%llu %llu\n", (unsigned long long) p->rate, (unsigned long long) USEC_PER_SEC);
        /* Only an estimate suffers. */
        if (dir >= 0)
                (void) private_file_write(dir, RATE_FILE, text, (size_t) n);
}
