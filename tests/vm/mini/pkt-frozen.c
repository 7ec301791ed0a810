/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A stored file cannot change: every way to change one, tried by two processes, before, during and after. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pkt.h"

#define LENGTH (64 * 1024)

/* Try all the ways. Each gives 0 where it worked, else its errno. */
static int try_write(int fd) { return pwrite(fd, "x", 1, 5) == 1 ? 0 : errno; }
static int try_append(int fd) { return pwrite(fd, "x", 1, LENGTH + 5000) == 1 ? 0 : errno; }
static int try_shrink(int fd) { return ftruncate(fd, LENGTH / 2) == 0 ? 0 : errno; }
static int try_grow(int fd) { return ftruncate(fd, LENGTH * 2) == 0 ? 0 : errno; }
static int try_punch(int fd) {
        return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0 ? 0 : errno;
}
static int try_fill_hole(int fd) { return fallocate(fd, 0, 0, LENGTH) == 0 ? 0 : errno; }
static int try_map(int fd) {
        void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        if (p == MAP_FAILED)
                return errno;
        munmap(p, 4096);
        return 0;
}

/* A mapping for reading that becomes one for writing later. */
static int try_protect(int fd) {
        void *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
        int e;

        if (p == MAP_FAILED)
                return EPROTO;
        e = mprotect(p, 4096, PROT_READ | PROT_WRITE) == 0 ? 0 : errno;
        munmap(p, 4096);
        return e;
}

/* What may work or not, but never changes seals that a process has seen. */
static int try_seal(int fd) { return fcntl(fd, F_ADD_SEALS, 0) == 0 ? 0 : errno; }

static const struct {
        const char *name;
        int (*run)(int fd);
        int refusal;            /* of a frozen file */
} ways[] = {
        { "write", try_write, EPERM }, { "write behind the end", try_append, EPERM }, { "shrink", try_shrink, EPERM },
        { "grow", try_grow, EPERM }, { "punch", try_punch, EPERM }, { "fallocate", try_fill_hole, EPERM },
        { "mmap shared-writable", try_map, EPERM }, { "mprotect to writable", try_protect, EACCES },
        { "add seals", try_seal, EPERM },
};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

/* What became of all the ways, and the seals after them. */
struct report {
        int e[WAYS];
        int seals;
};

static void report_make(int fd, struct report *ret) {
        for (size_t i = 0; i < WAYS; i++)
                ret->e[i] = ways[i].run(fd);
        ret->seals = fcntl(fd, F_GET_SEALS);
}

/*
 * Another process that holds the file from its beginning on, as one does that was passed the descriptor. It tries all
 * the ways whenever it is asked, and tells what became of them.
 */
struct witness {
        pid_t pid;
        int socket;
        int seals;              /* what the file has, before, during and after */
};

static struct witness witness_start(int fd, int seals, int dev) {
        struct witness w = { .seals = seals };
        struct report report;
        int pair[2];
        char c;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                exit(complain("socketpair: %m"));
        w.pid = fork();
        if (w.pid < 0)
                exit(complain("fork: %m"));
        if (w.pid == 0) {
                /* It must not keep the session of the other one open. */
                close(dev);
                close(pair[0]);
                while (read(pair[1], &c, 1) == 1) {
                        report_make(fd, &report);
                        if (write(pair[1], &report, sizeof(report)) != sizeof(report))
                                break;
                }
                _exit(0);
        }
        close(pair[1]);
        w.socket = pair[0];
        return w;
}

static void witness_end(struct witness *w) {
        close(w->socket);
        waitpid(w->pid, NULL, 0);
}

static int report_judge(const struct report *r, const struct witness *w, bool frozen, const char *by,
                        const char *when) {
        for (size_t i = 0; i < WAYS; i++) {
                if (!frozen && r->e[i])
                        return complain("%s, %s: %s failed with %s", when, by, ways[i].name, strerror(r->e[i]));
                if (frozen && r->e[i] == 0)
                        return complain("%s, %s: %s went through", when, by, ways[i].name);
                if (frozen && r->e[i] != ways[i].refusal)
                        return complain("%s, %s: %s failed with %s", when, by, ways[i].name, strerror(r->e[i]));
        }
        if (r->seals != w->seals)
                return complain("%s, %s: F_GET_SEALS shows 0x%x, not 0x%x", when, by, r->seals, w->seals);
        return 0;
}

/* Both processes try. */
static int expect(int fd, struct witness *w, bool frozen, const char *when) {
        struct report r;

        report_make(fd, &r);
        if (report_judge(&r, w, frozen, "this process", when))
                return 1;
        if (write(w->socket, "?", 1) != 1 || read(w->socket, &r, sizeof(r)) != sizeof(r))
                return complain("%s: the other process does not answer", when);
        return report_judge(&r, w, frozen, "the other process", when);
}

static int expect_frozen(int fd, struct witness *w, const char *when) { return expect(fd, w, true, when); }
static int expect_thawed(int fd, struct witness *w, const char *when) { return expect(fd, w, false, when); }

static int make_file(void) {
        static char data[LENGTH];
        int fd = memfd_create("frozen", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        memset(data, 'f', sizeof(data));
        if (fd < 0 || ftruncate(fd, LENGTH) < 0 || pwrite(fd, data, LENGTH / 2, 0) != LENGTH / 2)
                exit(complain("cannot make a file: %m"));
        return fd;
}

static int save_into(int dev, const char *name, int fd) {
        struct pkram_ioctl_save_file f = { .size = sizeof(f), .fd = fd };
        int r = node_begin(dev, PKRAM_IOC_SAVE_BEGIN, name);

        return r < 0 ? r : device_call(dev, PKRAM_IOC_SAVE_FILE, &f);
}

int cmd_frozen(int argc, char **argv) {
        struct pkram_ioctl_commit c = { .size = sizeof(c) };
        struct pkram_ioctl_simple abort_call = { .size = sizeof(abort_call) };
        const char *name = argc > 1 ? argv[1] : "frozen";
        int dev = device_open(), fd, r;
        struct stat before, after;
        struct witness w;
        char *p;

        if (dev < 0)
                return complain("cannot open the device: %s", strerror(-dev));

        /* Aborted save. */
        fd = make_file();
        w = witness_start(fd, 0, dev);
        fstat(fd, &before);
        r = save_into(dev, name, fd);
        if (r < 0)
                return complain("save: %s", strerror(-r));
        if (expect_frozen(fd, &w, "while saving"))
                return 1;
        r = device_call(dev, PKRAM_IOC_SAVE_ABORT, &abort_call);
        if (r < 0)
                return complain("PKRAM_IOC_SAVE_ABORT: %s", strerror(-r));
        fstat(fd, &after);
        if (before.st_size != after.st_size || before.st_blocks != after.st_blocks)
                return complain("an aborted save left the file changed");
        if (expect_thawed(fd, &w, "after an abort"))
                return 1;
        witness_end(&w);
        close(fd);

        /* Committed, then removed. A reader's mapping is no obstacle and keeps working. */
        fd = make_file();
        w = witness_start(fd, 0, dev);
        p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
                return complain("mmap: %m");
        if (mprotect(p, 4096, PROT_READ | PROT_WRITE) == 0) {
                /* Was writable after all: then the save must say EBUSY. */
                r = save_into(dev, name, fd);
                if (r != -EBUSY)
                        return complain("a file mapped shared-writable was saved (%d)", r);
                device_call(dev, PKRAM_IOC_SAVE_ABORT, &abort_call);
                if (pwrite(fd, "y", 1, 0) != 1)
                        return complain("a refused save left the file frozen: %m");
                munmap(p, 4096);
        }
        r = save_into(dev, name, fd);
        if (r >= 0)
                r = device_call(dev, PKRAM_IOC_SAVE_COMMIT, &c);
        if (r < 0)
                return complain("save and commit: %s", strerror(-r));
        if (expect_frozen(fd, &w, "when stored"))
                return 1;
        r = node_begin(dev, PKRAM_IOC_REMOVE, name);
        if (r < 0)
                return complain("remove: %s", strerror(-r));
        if (expect_thawed(fd, &w, "after removal"))
                return 1;

        /* A descriptor that goes away while saving thaws too. */
        r = save_into(dev, name, fd);
        if (r < 0)
                return complain("save again: %s", strerror(-r));
        close(dev);
        r = expect_thawed(fd, &w, "after the saver closed its descriptor");
        witness_end(&w);
        return r;
}
