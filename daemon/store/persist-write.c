/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "file-util.h"
#include "persist-run.h"
#include "time-util.h"

/* How long to wait between two reports of the progress, and for a process that was killed. */
#define PROGRESS_MSEC 500
#define KILL_MSEC 5000

/* Less tells nothing about the disk. */
#define RATE_BYTES_MIN MIB(64)

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
        pid_t pid;
        int pidfd;
        bool ended;             /* of itself */
} PersistWrite;

/* --- in the process that writes --- */

static void rate_write(const char *path, uint64_t bytes, uint64_t usec) {
        char file[256], text[64];
        int n;

        if (bytes < RATE_BYTES_MIN || (size_t) snprintf(file, sizeof(file), "%s/rate", path) >= sizeof(file))
                return;
        n = snprintf(text, sizeof(text), "%llu %llu\n", (unsigned long long) bytes, (unsigned long long) usec);
        /* Only an estimate suffers. */
        (void) file_write(file, text, (size_t) n);
}

static void write_in_child(const PersistWrite *w) {
        uint64_t begin = now_usec(CLOCK_MONOTONIC);

        persist_run(w->plan, w->memory, w->path, w->boot, w->shared);
        rate_write(w->path, w->shared->bytes, now_usec(CLOCK_MONOTONIC) - begin + 1);
}

/* --- in the process that watches it --- */

static int write_start(PersistWrite *w) {
        pid_t parent = getpid();

        w->pid = fork();
        if (w->pid < 0)
                return -errno;
        if (w->pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (getppid() != parent)
                        _exit(EXIT_FAILURE);
                /* So that all processes can be killed at once. */
                (void) setpgid(0, 0);
                write_in_child(w);
                _exit(EXIT_SUCCESS);
        }
        (void) setpgid(w->pid, w->pid);
        w->pidfd = pidfd_open(w->pid, 0);
        return w->pidfd < 0 ? -errno : 0;
}

/* Waits for the end, at most until the deadline. */
static void write_watch(PersistWrite *w, uint64_t until, PersistProgress progress, void *userdata) {
        struct pollfd end = { .fd = w->pidfd, .events = POLLIN };
        uint64_t now;

        do {
                now = now_usec(CLOCK_MONOTONIC);
                w->ended = poll(&end, 1, now >= until ? 0 :
                                (int) MIN((until - now) / 1000 + 1, (uint64_t) PROGRESS_MSEC)) > 0;
                if (progress)
                        progress(w->plan, w->shared->bytes, userdata);
        } while (!w->ended && now < until);
}

/* Ends what is left. A process that hangs in the kernel, because the disk does, is left behind. */
static void write_end(PersistWrite *w) {
        struct pollfd end = { .fd = w->pidfd, .events = POLLIN };

        if (w->pid > 0) {
                (void) kill(-w->pid, SIGKILL);
                (void) kill(w->pid, SIGKILL);
                if (w->pidfd >= 0)
                        (void) poll(&end, 1, KILL_MSEC);
                (void) waitpid(w->pid, NULL, WNOHANG);
        }
        w->pidfd = safe_close(w->pidfd);
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

        uint64_t until = now_usec(CLOCK_MONOTONIC) + p->seconds * USEC_PER_SEC;
        PersistWrite w = { .plan = p, .memory = memory, .path = path, .boot = boot, .pidfd = -EBADF };
        size_t size = persist_shared_size(p);
        void *shared;
        int r;

        shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        r = shared == MAP_FAILED ? -errno : 0;
        if (r >= 0) {
                w.shared = shared;
                r = write_start(&w);
        }
        if (r >= 0) {
                write_watch(&w, until, progress, userdata);
                write_end(&w);
                r = w.shared->error;
                write_settle(&w, r < 0 ? r : w.ended ? -ECANCELED : -ETIME);
        } else {
                write_end(&w);
                write_settle(&w, r);
        }
        if (w.shared)
                (void) munmap(w.shared, size);
        p->error = r;
        return r;
}
