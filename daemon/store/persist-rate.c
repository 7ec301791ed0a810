/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>

#include "file-util.h"
#include "persist-rate.h"

#define RATE_FILE "rate"

/* Without a measurement: a slow disk. */
#define RATE_DEFAULT MIB(100)
#define NODE_USEC_DEFAULT UINT64_C(30000)

#define RATE_MIN MIB(1)

/*
 * Small nodes tell what a node takes, if there are some. They may have waited for the data of large ones. Large ones
 * tell the rate, if there is some data. Fewer nodes and less data do so only if the time was up.
 */
#define SMALL_MAX MIB(1)
#define SMALL_NODES_MIN 8U
#define NODE_USEC_MAX UINT64_C(250000)
#define RATE_BYTES_MIN MIB(64)

/* What nodes of one kind took. */
typedef struct Measure {
        uint64_t usec, bytes;
        size_t n;
} Measure;

static uint64_t bytes_per_second(uint64_t bytes, uint64_t usec) {
        uint64_t rate = MIN(bytes, UINT64_MAX / USEC_PER_SEC) * USEC_PER_SEC / usec;

        return MAX(rate, RATE_MIN);
}

void persist_rate_read(PersistPlan *p, const char *path) {
        unsigned long long bytes, usec, usec_per_node;
        _cleanup_free_ char *text = NULL;
        char file[256];
        size_t n;
        int k = 0;

        p->rate = RATE_DEFAULT;
        p->usec_per_node = NODE_USEC_DEFAULT;
        if ((size_t) snprintf(file, sizeof(file), "%s/" RATE_FILE, path) < sizeof(file) &&
            file_read(file, 64, &text, &n) >= 0)
                k = sscanf(text, "%19llu %19llu %19llu", &bytes, &usec, &usec_per_node);
        if (k >= 2 && usec > 0)
                p->rate = bytes_per_second(bytes, usec);
        if (k == 3)
                p->usec_per_node = usec_per_node;
}

static void nodes_measure(const PersistPlan *p, const PersistShared *shared, Measure *ret_small, Measure *ret_large) {
        *ret_small = *ret_large = (Measure) {};
        for (size_t i = 0; i < p->n - p->n_dropped; i++) {
                const PersistResult *result = shared->results + i;
                Measure *m = p->nodes[i].bytes <= SMALL_MAX ? ret_small : ret_large;

                /* Those that are not complete count, too. */
                if (result->usec == 0)
                        continue;
                m->usec += result->usec;
                m->bytes += result->bytes;
                m->n++;
        }
}

/* Makes the plan take so long at least. */
static void plan_slow_down(PersistPlan *p, uint64_t usec) {
        double factor = (double) usec / (double) MAX(persist_plan_usec(p), UINT64_C(1));
        uint64_t now;

        if (factor <= 1)
                return;
        p->rate = (uint64_t) ((double) p->rate / factor);
        p->rate = MAX(p->rate, RATE_MIN);
        p->usec_per_node = (uint64_t) ((double) p->usec_per_node * factor) + 1;
        now = persist_plan_usec(p);
        if (now < usec)
                p->usec_per_node += (usec - now) / (p->n - p->n_dropped) + 1;
}

bool persist_rate_learn(PersistPlan *p, const PersistShared *shared, uint64_t usec, bool in_time) {
        bool learned = false;
        Measure small, large;
        double parallel;

        if (p->n == p->n_dropped)
                return false;
        nodes_measure(p, shared, &small, &large);
        /* Nodes are written at the same time, so each counts with its share of the time. */
        parallel = (double) (small.usec + large.usec) / (double) (usec + 1);
        if (parallel > 1) {
                small.usec = (uint64_t) ((double) small.usec / parallel);
                large.usec = (uint64_t) ((double) large.usec / parallel);
        }

        if (small.n >= SMALL_NODES_MIN || (!in_time && small.n > 0)) {
                p->usec_per_node = MIN(small.usec / small.n + 1, NODE_USEC_MAX);
                learned = true;
        }
        if (large.bytes >= RATE_BYTES_MIN || (!in_time && large.bytes > 0)) {
                uint64_t of_nodes = MIN(p->usec_per_node * large.n, large.usec / 2);

                p->rate = bytes_per_second(large.bytes, large.usec - of_nodes + 1);
                learned = true;
        }
        /* The estimate was too low. What was copied may not even be on the disk yet. */
        if (!in_time)
                plan_slow_down(p, usec + usec / 10);
        return learned || !in_time;
}

void persist_rate_write(const PersistPlan *p, const char *path) {
        _cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        char text[64];
        int n;

        n = snprintf(text, sizeof(text), "%llu %llu %llu\n", (unsigned long long) p->rate,
                     (unsigned long long) USEC_PER_SEC, (unsigned long long) p->usec_per_node);
        /* Only an estimate suffers. */
        if (dir >= 0)
                (void) private_file_write(dir, RATE_FILE, text, (size_t) n);
}
