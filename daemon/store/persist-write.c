/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/mman.h>

#include "persist-child.h"
#include "persist-rate.h"
#include "time-util.h"

/* How long to wait between two reports of the progress, and for a process that was killed. */
#define PROGRESS_MSEC UINT64_C(500)
#define KILL_MSEC UINT64_C(5000)

/* How long examining the disk before, and noting the estimate for the next shutdown, may take. */
#define LIMIT_MSEC UINT64_C(10000)
#define RATE_MSEC UINT64_C(2000)

/*
 * One call of persist_write(). This process does nothing that may have to wait for the disk: it watches the one that
 * writes.
 */
typedef struct PersistWrite {
        PersistPlan *plan;
        const PkramDevice *memory;
        const char *path;
        const DiskBoot *boot;
        PersistShared *shared;
} PersistWrite;

static void write_nodes(void *userdata) {
        const PersistWrite *w = userdata;

        persist_run(w->plan, w->memory, w->path, w->boot, w->shared);
}

static void write_rate(void *userdata) {
        const PersistWrite *w = userdata;

        persist_rate_write(w->plan, w->path);
}

/* Waits until all is done, or the time is up. */
static void write_watch(const PersistWrite *w, PersistChild *c, uint64_t until, PersistProgress progress,
                        void *userdata) {
        uint64_t now;

        do {
                now = now_usec(CLOCK_MONOTONIC);
                (void) persist_child_wait(c, now >= until ? 0 : MIN((until - now) / 1000 + 1, PROGRESS_MSEC));
                if (progress)
                        progress(w->plan, w->shared->bytes, userdata);
        } while (!c->ended && now < until);
}

/* Tells what became of each node. What is not decided failed with this error, or was late. */
static void write_settle(const PersistWrite *w, int error) {
        PersistPlan *p = w->plan;

        for (size_t i = 0; i < p->n; i++) {
                const PersistResult *result = w->shared ? w->shared->results + i : NULL;
                PersistNode *n = p->nodes + i;

                if (n->drop != PERSIST_DROP_NONE)
                        continue;
                n->written = result && result->written;
                if (n->written)
                        continue;
                n->drop = result && result->drop != PERSIST_DROP_NONE ? result->drop :
                        error == -ETIME ? PERSIST_DROP_TIME : PERSIST_DROP_FAILED;
                n->error = result && result->drop != PERSIST_DROP_NONE ? result->error : error;
                p->n_dropped++;
        }
}

int persist_write(PersistPlan *p, const PkramDevice *memory, const char *path, const DiskBoot *boot,
                  PersistProgress progress, void *userdata) {

        uint64_t begin = now_usec(CLOCK_MONOTONIC), until = begin + p->seconds * USEC_PER_SEC, usec = 0;
        PersistWrite w = { .plan = p, .memory = memory, .path = path, .boot = boot };
        PersistChild writer = PERSIST_CHILD_NONE, estimate = PERSIST_CHILD_NONE;
        size_t size = persist_shared_size(p);
        bool in_time = false, learned = false;
        void *shared;
        int r;

        r = persist_child_memory(size, &shared);
        if (r >= 0) {
                w.shared = shared;
                r = persist_child_start(&writer, write_nodes, &w);
        }
        if (r >= 0) {
                write_watch(&w, &writer, until, progress, userdata);
                in_time = writer.ended;
                usec = now_usec(CLOCK_MONOTONIC) - begin;
        }
        persist_child_done(&writer, KILL_MSEC);
        if (r >= 0) {
                r = w.shared->error;
                learned = r >= 0 && persist_rate_learn(p, w.shared, usec, in_time);
        }
        write_settle(&w, r < 0 ? r : in_time ? -ECANCELED : -ETIME);
        /* On a disk that hangs there is nothing to be noted. */
        if (learned && writer.ended) {
                if (persist_child_start(&estimate, write_rate, &w) >= 0)
                        (void) persist_child_wait(&estimate, RATE_MSEC);
                persist_child_done(&estimate, 0);
        }

        if (w.shared)
                (void) munmap(w.shared, size);
        p->error = r;
        return r;
}

/* What persist_plan_limit() sets, in shared memory. */
typedef struct PersistLimit {
        const char *path;
        const Config *config;
        PersistPlan plan;
        int error;
} PersistLimit;

static void limit_examine(void *userdata) {
        PersistLimit *limit = userdata;

        limit->error = persist_plan_limit(&limit->plan, limit->path, limit->config);
}

int persist_plan_limit_in_time(PersistPlan *p, const char *path, const Config *c) {
        PersistChild child = PERSIST_CHILD_NONE;
        PersistLimit *limit;
        void *memory;
        int r;

        r = persist_child_memory(sizeof(*limit), &memory);
        if (r < 0)
                return r;
        limit = memory;
        *limit = (PersistLimit) { .path = path, .config = c, .error = -ECANCELED };
        r = persist_child_start(&child, limit_examine, limit);
        if (r >= 0)
                r = persist_child_wait(&child, LIMIT_MSEC) ? limit->error : -ETIME;
        persist_child_done(&child, 0);
        if (r >= 0) {
                p->room = limit->plan.room;
                p->rate = limit->plan.rate;
                p->usec_per_node = limit->plan.usec_per_node;
                p->seconds = limit->plan.seconds;
        }
        (void) munmap(limit, sizeof(*limit));
        return r;
}
