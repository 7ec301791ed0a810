/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rival in the same kernel: sessions of live update (LUO), which preserve memfds by kexec handover (KHO). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pkt.h"

#define LUO_DEVICE "/dev/liveupdate"
#define LUO_NAME_SIZE 64

/* linux/liveupdate.h of Linux 7.3, which kernels of the host need not have. */
struct luo_session {
        uint32_t size;
        int32_t fd;
        uint8_t name[LUO_NAME_SIZE];
};

struct luo_file {
        uint32_t size;
        int32_t fd;
        uint64_t token __attribute__((aligned(8)));
};

struct luo_finish {
        uint32_t size;
        uint32_t reserved;
};

#define LUO_CREATE_SESSION      _IO(0xBA, 0x00)
#define LUO_RETRIEVE_SESSION    _IO(0xBA, 0x01)
#define LUO_PRESERVE_FD         _IO(0xBA, 0x40)
#define LUO_RETRIEVE_FD         _IO(0xBA, 0x41)
#define LUO_FINISH              _IO(0xBA, 0x42)

/* Make a session, or take over that of the kernel before. Returns its descriptor, or a negative errno. */
static int session_open(unsigned long command, const char *name) {
        struct luo_session s = { .size = sizeof(s), .fd = -1 };
        int dev, r;

        if (strlen(name) >= sizeof(s.name))
                return -ENAMETOOLONG;
        strcpy((char *) s.name, name);
        dev = open(LUO_DEVICE, O_RDWR | O_CLOEXEC);
        if (dev < 0)
                return -errno;
        r = device_call(dev, command, &s);
        close(dev);
        return r < 0 ? r : s.fd;
}

static int session_preserve(int session, uint64_t token, int fd) {
        struct luo_file f = { .size = sizeof(f), .fd = fd, .token = token };

        return device_call(session, LUO_PRESERVE_FD, &f);
}

static int session_retrieve(int session, uint64_t token) {
        struct luo_file f = { .size = sizeof(f), .fd = -1, .token = token };
        int r = device_call(session, LUO_RETRIEVE_FD, &f);

        return r < 0 ? r : f.fd;
}

/* Free pages, those on the lists of processors included. */
static uint64_t free_pages(void) {
        FILE *f = fopen("/proc/zoneinfo", "re");
        uint64_t n = 0, value;
        char line[128];

        while (f && fgets(line, sizeof(line), f))
                if (sscanf(line, " nr_free_pages %" SCNu64, &value) == 1 ||
                    sscanf(line, " count: %" SCNu64, &value) == 1)
                        n += value;
        if (f)
                fclose(f);
        return n;
}

/* Make the files and preserve them; tell on a pipe what that cost. Returns the session, which has to stay open up to
 * the kexec. */
static int session_fill(const char *name, int n, char **specs, int report) {
        int session = session_open(LUO_CREATE_SESSION, name), r = 0, fds[n];
        uint64_t pages, start, cost, before;

        if (session < 0)
                return complain("cannot make session '%s': %s", name, strerror(-session)), -1;
        if (files_make(specs, n, name, fds, &pages) < 0)
                return -1;
        before = free_pages();
        start = bench_now();
        for (int i = 0; i < n && r >= 0; i++) {
                r = session_preserve(session, i, fds[i]);
                if (r < 0)
                        return complain("file %d of '%s' cannot be preserved: %s", i, name, strerror(-r)), -1;
        }
        cost = bench_now() - start;
        for (int i = 0; i < n; i++)
                close(fds[i]);
        dprintf(report, "%" PRIu64 " %" PRIu64 " %" PRId64 "\n", cost, pages, (int64_t) (before - free_pages()));
        return session;
}

/* luo keep: prints the cost of preserving, the pages of the files, and the pages that preserving took. The session
 * lives as long as a process holds it: one does in the background. */
static int luo_keep(int argc, char **argv) {
        char line[128];
        int pair[2];
        ssize_t n;

        if (argc < 3)
                return complain("luo keep SESSION SPEC...");
        if (pipe2(pair, O_CLOEXEC) < 0)
                return complain("pipe2: %m");
        switch (fork()) {
        case -1:
                return complain("fork: %m");
        case 0:
                close(pair[0]);
                if (session_fill(argv[1], argc - 2, argv + 2, pair[1]) < 0)
                        _exit(1);
                close(pair[1]);
                close(STDOUT_FILENO);
                close(STDERR_FILENO);
                for (;;)
                        pause();
        }
        close(pair[1]);
        n = read(pair[0], line, sizeof(line));
        if (n <= 0)
                return 1;
        return write(STDOUT_FILENO, line, n) == n ? 0 : 1;
}

/* luo verify: prints the cost of getting the files back, and their pages. */
static int luo_verify(int argc, char **argv) {
        struct luo_finish finish = { .size = sizeof(finish) };
        uint64_t cost = 0, pages = 0;
        struct pkt_spec spec;
        int session, r;

        if (argc < 3)
                return complain("luo verify SESSION SPEC...");
        session = session_open(LUO_RETRIEVE_SESSION, argv[1]);
        if (session < 0)
                return complain("session '%s' is not there: %s", argv[1], strerror(-session));
        for (int i = 0; i < argc - 2; i++) {
                uint64_t start = bench_now();
                int fd = session_retrieve(session, i);

                cost += bench_now() - start;
                if (fd < 0)
                        return complain("file %d of '%s' does not come back: %s", i, argv[1], strerror(-fd));
                if (spec_parse(argv[2 + i], &spec) < 0 || file_compare(fd, &spec) < 0)
                        return complain("file %d of '%s' is not what was preserved", i, argv[1]);
                close(fd);
                pages += spec.size / PKT_PAGE;
        }
        r = device_call(session, LUO_FINISH, &finish);
        close(session);
        if (r < 0)
                return complain("session '%s' cannot be finished: %s", argv[1], strerror(-r));
        printf("%" PRIu64 " %" PRIu64 "\n", cost, pages);
        return 0;
}

static int small_file(void) {
        int fd = memfd_create("both", MFD_CLOEXEC);

        if (fd < 0 || ftruncate(fd, 4 * PKT_PAGE) < 0 || pwrite(fd, "both", 4, 0) != 4)
                exit(complain("cannot make a file: %m"));
        return fd;
}

static int save_file(int dev, int fd) {
        struct pkram_ioctl_save_file f = { .size = sizeof(f), .fd = fd };

        return device_call(dev, PKRAM_IOC_SAVE_FILE, &f);
}

/* One owner a file, whichever came first, and either can have it when the other one has let go. */
static int luo_exclude(int argc, char **argv) {
        struct pkram_ioctl_simple abort_call = { .size = sizeof(abort_call) };
        int dev = device_open(), fd = small_file(), session, r;

        if (dev < 0)
                return complain("cannot open the device: %s", strerror(-dev));
        session = session_open(LUO_CREATE_SESSION, "exclude");
        if (session < 0)
                return complain("cannot make a session: %s", strerror(-session));

        r = node_begin(dev, PKRAM_IOC_SAVE_BEGIN, "exclude");
        if (r < 0)
                return complain("PKRAM_IOC_SAVE_BEGIN: %s", strerror(-r));
        r = save_file(dev, fd);
        if (r < 0)
                return complain("PKRAM_IOC_SAVE_FILE: %s", strerror(-r));
        r = session_preserve(session, 0, fd);
        if (r != -EBUSY)
                return complain("live update answers %s about a file that PKRAM preserves", strerror(-r));

        r = device_call(dev, PKRAM_IOC_SAVE_ABORT, &abort_call);
        if (r < 0)
                return complain("PKRAM_IOC_SAVE_ABORT: %s", strerror(-r));
        r = session_preserve(session, 1, fd);
        if (r < 0)
                return complain("live update refuses a file that PKRAM gave up: %s", strerror(-r));
        r = node_begin(dev, PKRAM_IOC_SAVE_BEGIN, "exclude");
        if (r < 0)
                return complain("PKRAM_IOC_SAVE_BEGIN: %s", strerror(-r));
        r = save_file(dev, fd);
        if (r != -EBUSY)
                return complain("PKRAM answers %s about a file that live update preserves", strerror(-r));

        /* A session that ends unpreserved lets go of its files. */
        close(session);
        r = save_file(dev, fd);
        if (r < 0)
                return complain("PKRAM refuses a file that live update gave up: %s", strerror(-r));
        close(dev);
        return 0;
}

int cmd_luo(int argc, char **argv) {
        static const struct {
                const char *name;
                int (*run)(int argc, char **argv);
        } words[] = { { "keep", luo_keep }, { "verify", luo_verify }, { "exclude", luo_exclude } };

        for (size_t i = 0; argc > 1 && i < sizeof(words) / sizeof(words[0]); i++)
                if (strcmp(argv[1], words[i].name) == 0)
                        return words[i].run(argc - 1, argv + 1);
        return complain("luo keep|verify|exclude");
}
