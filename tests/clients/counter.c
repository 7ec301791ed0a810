/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A service that has never heard of pkram or of CRIU and has state of each kind: private, shared and memfd memory with
 * a pattern, an open log file, a timer, a thread, and a listening UNIX socket.
 *
 *     counter LOG SOCKET [connection]
 *
 * Several times a second it compares all of its memory with the pattern, and writes a line to its log and to its
 * output: "counter tick N bad N pid N mono SECONDS". A client of the socket gets the newest line.
 * "connection": it has a TCP connection to itself as well, which CRIU does not save by itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BYTES (4U << 20)

/* Each page has a number of its own, and each kind of memory begins elsewhere. */
static void pattern_fill(uint64_t *p, uint64_t kind) {
        for (size_t i = 0; i < BYTES / sizeof(*p); i++)
                p[i] = (i + kind) * UINT64_C(0x9e3779b97f4a7c15);
}

static unsigned pattern_check(const uint64_t *p, uint64_t kind) {
        unsigned bad = 0;

        for (size_t i = 0; i < BYTES / sizeof(*p); i++)
                bad += p[i] != (i + kind) * UINT64_C(0x9e3779b97f4a7c15);
        return bad;
}

static void *memory_map(int flags, int fd) {
        void *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, flags, fd, 0);

        if (p == MAP_FAILED)
                exit(2);
        return p;
}

/* A thread that does nothing else than count on. */
static volatile unsigned beats;

static void *beat(void *unused) {
        struct timespec pause = { .tv_nsec = 100000000 };

        (void) unused;
        for (;;) {
                (void) nanosleep(&pause, NULL);
                beats++;
        }
        return NULL;
}

static int socket_listen(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
                return -1;
        strcpy(address.sun_path, path);
        (void) unlink(path);
        return bind(fd, (void *) &address, sizeof(address)) < 0 || listen(fd, 5) < 0 ? -1 : fd;
}

static int connect_to_itself(void) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
        socklen_t size = sizeof(address);

        return server < 0 || client < 0 || bind(server, (void *) &address, size) < 0 ||
                listen(server, 1) < 0 || getsockname(server, (void *) &address, &size) < 0 ||
                connect(client, (void *) &address, size) < 0 ? -1 : 0;
}

int main(int argc, char *argv[]) {
        struct itimerspec interval = { .it_value = { .tv_nsec = 300000000 }, .it_interval = { .tv_nsec = 300000000 } };
        int log, timer, server, memfd;
        uint64_t *private, *shared, *file;
        pthread_t thread;
        char line[200] = "counter begins\n";

        if (argc < 3)
                return 2;
        if (argc > 3 && connect_to_itself() < 0)
                return 2;
        memfd = memfd_create("counter", MFD_CLOEXEC);
        if (memfd < 0 || ftruncate(memfd, BYTES) < 0)
                return 2;
        private = memory_map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
        shared = memory_map(MAP_SHARED | MAP_ANONYMOUS, -1);
        file = memory_map(MAP_SHARED, memfd);
        pattern_fill(private, 1);
        pattern_fill(shared, 2);
        pattern_fill(file, 3);

        log = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
        server = socket_listen(argv[2]);
        if (log < 0 || timer < 0 || server < 0 || timerfd_settime(timer, 0, &interval, NULL) < 0 ||
            pthread_create(&thread, NULL, beat, NULL) != 0)
                return 2;
        for (unsigned long tick = 0, before = 0, idle = 0;
             dprintf(log, "%s", line) > 0 && dprintf(STDOUT_FILENO, "%s", line) > 0;) {
                struct pollfd p[] = { { .fd = timer, .events = POLLIN }, { .fd = server, .events = POLLIN } };
                struct timespec now;
                uint64_t expired;
                unsigned bad;

                do {
                        int fd;

                        /* CRIU has system calls that wait return this when they are restored. */
                        if (poll(p, 2, -1) < 0 && errno != EINTR)
                                return 2;
                        if (p[1].revents && (fd = accept(server, NULL, NULL)) >= 0) {
                                (void) dprintf(fd, "%s", line);
                                (void) close(fd);
                        }
                } while (!p[0].revents || read(timer, &expired, sizeof(expired)) != sizeof(expired));

                bad = pattern_check(private, 1) + pattern_check(shared, 2) + pattern_check(file, 3);
                /* The thread beats between ticks, unless they follow each other closely, as after a restore. */
                idle = beats == before ? idle + 1 : 0;
                bad += idle > 10;
                before = beats;
                (void) clock_gettime(CLOCK_MONOTONIC, &now);
                (void) snprintf(line, sizeof(line), "counter tick %lu bad %u pid %i mono %lld\n", ++tick, bad,
                                getpid(), (long long) now.tv_sec);
        }
        return 1;
}
