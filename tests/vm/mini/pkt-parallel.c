/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Several threads at one node: loading different objects, saving ranges of one file, and joining each other. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pkt.h"

#define THREADS 8
#define RANGE (2ULL << 20)

struct thread {
        pthread_t id;
        const char *name;
        struct pkt_spec spec;
        uint32_t object;
        int dev, other, fd;
        uint64_t first;         /* range to begin with; every THREADS-th is this thread's */
        int result;
};

static int run_threads(struct thread *t, unsigned n, void *(*run)(void *)) {
        int r = 0;

        for (unsigned i = 0; i < n; i++)
                if (pthread_create(&t[i].id, NULL, run, t + i) != 0)
                        return complain("cannot start a thread");
        for (unsigned i = 0; i < n; i++) {
                pthread_join(t[i].id, NULL);
                if (t[i].result)
                        r = complain("thread %u: %s", i, t[i].result < 0 ? strerror(-t[i].result) : "wrong data");
        }
        return r;
}

static void *load_object(void *p) {
        struct thread *t = p;
        struct pkram_ioctl_load_file f = {
                .size = sizeof(f), .object = t->object, .target_fd = PKRAM_FD_NONE, .charge_pidfd = PKRAM_FD_NONE,
        };
        int dev = device_open();

        t->result = dev < 0 ? dev : node_begin(dev, PKRAM_IOC_LOAD_BEGIN, t->name);
        if (t->result >= 0)
                t->result = device_call(dev, PKRAM_IOC_LOAD_FILE, &f);
        if (t->result >= 0)
                t->result = file_compare(f.fd, &t->spec) < 0;
        if (dev >= 0)
                close(dev);
        return NULL;
}

/* parallel-load NAME SPEC...: a thread an object. */
int cmd_parallel_load(int argc, char **argv) {
        struct thread t[THREADS] = { 0 };
        int n = argc - 2;

        if (n < 1 || n > THREADS)
                return complain("parallel-load NAME SPEC...");
        for (int i = 0; i < n; i++) {
                t[i] = (struct thread) { .name = argv[1], .object = i };
                if (spec_parse(argv[2 + i], &t[i].spec) < 0)
                        return 1;
        }
        return run_threads(t, n, load_object);
}

static void *save_ranges(void *p) {
        struct thread *t = p;

        for (uint64_t at = t->first * RANGE; at < t->spec.size && t->result >= 0; at += THREADS * RANGE) {
                struct pkram_ioctl_save_file f = {
                        .size = sizeof(f), .fd = t->fd, .flags = PKRAM_SAVE_RANGE, .object = t->object, .offset = at,
                        .length = at + RANGE < t->spec.size ? RANGE : 0,
                };

                t->result = device_call(t->dev, PKRAM_IOC_SAVE_FILE, &f);
        }
        return NULL;
}

/* parallel-save NAME SPEC: one file, its ranges saved by several threads that joined the first. */
int cmd_parallel_save(int argc, char **argv) {
        struct pkram_ioctl_commit c = { .size = sizeof(c) };
        struct thread t[THREADS] = { 0 };
        struct pkt_spec spec;
        int dev = device_open(), r;
        struct pkram_ioctl_save_file first = { .size = sizeof(first), .flags = PKRAM_SAVE_RANGE,
                                               .object = PKRAM_OBJECT_NEW };

        if (argc != 3 || dev < 0 || spec_parse(argv[2], &spec) < 0 || spec.size <= RANGE)
                return complain("parallel-save NAME SPEC, the file larger than 2 MiB");
        first.fd = file_make(&spec, argv[1]);
        first.length = RANGE;
        r = first.fd < 0 ? first.fd : node_begin(dev, PKRAM_IOC_SAVE_BEGIN, argv[1]);
        if (r >= 0)
                r = device_call(dev, PKRAM_IOC_SAVE_FILE, &first);
        for (int i = 0; i < THREADS && r >= 0; i++) {
                struct pkram_ioctl_simple s = { .size = sizeof(s) };

                t[i] = (struct thread) { .spec = spec, .object = first.object, .fd = first.fd, .first = i + 1 };
                t[i].dev = device_open();
                s.fd = dev;
                r = t[i].dev < 0 ? t[i].dev : device_call(t[i].dev, PKRAM_IOC_SAVE_JOIN, &s);
        }
        if (r < 0)
                return complain("cannot begin: %s", strerror(-r));
        if (run_threads(t, THREADS, save_ranges))
                return 1;
        r = device_call(dev, PKRAM_IOC_SAVE_COMMIT, &c);
        return r < 0 ? complain("cannot commit: %s", strerror(-r)) : 0;
}

static int object_loaded(const char *name) {
        struct pkram_ioctl_stat st = { .size = sizeof(st) };
        int dev = device_open(), r;

        r = dev < 0 ? dev : node_begin(dev, PKRAM_IOC_LOAD_BEGIN, name);
        if (r >= 0)
                r = device_call(dev, PKRAM_IOC_LOAD_STAT, &st);
        if (dev >= 0)
                close(dev);
        return r < 0 ? r : !!(st.state & PKRAM_STAT_LOADED);
}

/* The shortest time until a load is killed, and the time in which one ends on the slowest host, in microseconds. */
#define KILL_FIRST 200U
#define KILL_LAST 20000000U

/* Load the first object in a child that is killed after that many microseconds. */
static int load_and_kill(const char *name, unsigned delay) {
        struct pkram_ioctl_load_file f = {
                .size = sizeof(f), .target_fd = PKRAM_FD_NONE, .charge_pidfd = PKRAM_FD_NONE,
        };
        int ready[2], dev, r;
        pid_t pid;
        char c;

        if (pipe(ready) < 0)
                return -errno;
        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0) {
                dev = device_open();
                r = dev < 0 ? dev : node_begin(dev, PKRAM_IOC_LOAD_BEGIN, name);
                if (r < 0 || write(ready[1], "", 1) != 1)
                        _exit(1);
                device_call(dev, PKRAM_IOC_LOAD_FILE, &f);
                pause();
                _exit(1);
        }
        close(ready[1]);
        r = read(ready[0], &c, 1) == 1 ? 0 : -ECHILD;
        close(ready[0]);
        usleep(delay);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return r;
}

/* load-killed NAME: a load that is killed in the middle ends there, and the object is not loaded. */
int cmd_load_killed(int argc, char **argv) {
        unsigned delay;
        int r;

        if (argc != 2)
                return complain("load-killed NAME");
        for (delay = KILL_FIRST; delay < KILL_LAST; delay += delay / 4) {
                r = load_and_kill(argv[1], delay);
                if (r == 0)
                        r = object_loaded(argv[1]);
                if (r < 0)
                        return complain("cannot load '%s': %s", argv[1], strerror(-r));
                if (r > 0)
                        break;
        }
        printf("a load that was killed after %u us had come to its end\n", delay);
        return delay > KILL_FIRST && delay < KILL_LAST ? 0 : complain("it cannot be killed");
}

static void *join_other(void *p) {
        struct thread *t = p;

        for (int i = 0; i < 1000 && t->result == 0; i++) {
                struct pkram_ioctl_simple s = { .size = sizeof(s), .fd = t->other };
                int r = device_call(t->dev, PKRAM_IOC_SAVE_JOIN, &s);

                if (r != -EBADFD)
                        t->result = r ? r : -EPROTO;
        }
        return NULL;
}

/* join-cross: two descriptors, neither of which saves, join each other again and again: refused, and no deadlock. */
int cmd_join_cross(int argc, char **argv) {
        struct thread t[2] = { { .dev = device_open() }, { .dev = device_open() } };

        (void) argc;
        (void) argv;
        if (t[0].dev < 0 || t[1].dev < 0)
                return complain("cannot open the device");
        t[0].other = t[1].dev;
        t[1].other = t[0].dev;
        return run_threads(t, 2, join_other);
}
