/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "persist-rate.h"
#include "time-util.h"

/* How long to wait between two reports of the progress, and for a process that was killed. */
#define PROGRESS_MSEC UINT64_C(500)
#define KILL_MSEC UINT64_C(5000)

/* How long the estimate for the next shutdown may take. */
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

/* Another process, and those that it starts. */
typedef struct Child {
        pid_t pid;              /* or 0 */
        int pidfd;
        bool ended;
} Child;
#define CHILD_NONE ((Child) { .pidfd = -EBADF })

static int child_start(Child *c, void (*main)(const PersistWrite *w), const PersistWrite *w) {
        pid_t parent = getpid();

        c->pid = fork();
        if (c->pid < 0)
                return -errno;
        if (c->pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (getppid() != parent)
                        _exit(EXIT_FAILURE);
                /* So that all processes can be killed at once. */
                (void) setpgid(0, 0);
                main(w);
                _exit(EXIT_SUCCESS);
        }
        (void) setpgid(c->pid, c->pid);
        c->pidfd = pidfd_open(c->pid, 0);
        return c->pidfd < 0 ? -errno : 0;
}

/* Waits for its end. */
static void child_wait(Child *c, uint64_t msec) {
        struct pollfd end = { .fd = c->pidfd, .events = POLLIN };

        c->ended = c->ended || poll(&end, 1, (int) msec) > 0;
}

/* Kills what is left, and waits for that. A process that hangs in the kernel, because the disk does, is left behind. */
static void child_done(Child *c, uint64_t msec) {
        if (c->pid > 0) {
                (void) kill(-c->pid, SIGKILL);
                (void) kill(c->pid, SIGKILL);
                if (c->pidfd >= 0)
                        child_wait(c, msec);
                (void) waitpid(c->pid, NULL, WNOHANG);
        }
        c->pidfd = safe_close(c->pidfd);
        c->pid = 0;
}

static void write_nodes(const PersistWrite *w) {
        persist_run(w->plan, w->memory, w->path, w->boot, w->shared);
}

static void write_rate(const PersistWrite *w) {
        persist_rate_write(w->plan, w->path);
}

/* Waits until all is done, or the time is up. */
static void write_watch(const PersistWrite *w, Child *c, uint64_t until, PersistProgress progress, void *userdata) {
        uint64_t now;

        do {
                now = now_usec(CLOCK_MONOTONIC);
                child_wait(c, now >= until ? 0 : MIN((until - now) / 1000 + 1, PROGRESS_MSEC));
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
        Child writer = CHILD_NONE, estimate = CHILD_NONE;
        size_t size = persist_shared_size(p);
        bool in_time = false, learned = false;
        void *shared;
        int r;

        shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        r = shared == MAP_FAILED ? -errno : 0;
        if (r >= 0) {
                w.shared = shared;
                r = child_start(&writer, write_nodes, &w);
        }
        if (r >= 0) {
                write_watch(&w, &writer, until, progress, userdata);
                in_time = writer.ended;
                usec = now_usec(CLOCK_MONOTONIC) - begin;
        }
        child_done(&writer, KILL_MSEC);
        if (r >= 0) {
                r = w.shared->error;
                learned = r >= 0 && persist_rate_learn(p, w.shared, usec, in_time);
        }
        write_settle(&w, r < 0 ? r : in_time ? -ECANCELED : -ETIME);
        /* On a disk that hangs there is nothing to be noted. */
        if (learned && writer.ended) {
                if (child_start(&estimate, write_rate, &w) >= 0)
                        child_wait(&estimate, RATE_MSEC);
                child_done(&estimate, 0);
        }

        if (w.shared)
                (void) munmap(w.shared, size);
        p->error = r;
        return r;
}
