/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A stored file cannot change: every way to change one, tried on it, before, during and after. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
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

static const struct {
        const char *name;
        int (*run)(int fd);
} ways[] = {
        { "write", try_write }, { "write behind the end", try_append }, { "shrink", try_shrink },
        { "grow", try_grow }, { "punch", try_punch }, { "fallocate", try_fill_hole }, { "mmap shared-writable", try_map },
};

static int expect_frozen(int fd, const char *when) {
        int seals = fcntl(fd, F_GET_SEALS);

        for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
                int e = ways[i].run(fd);

                /* Filling a hole is harmless to what is stored as long as it is refused or leaves the file as it is. */
                if (e == 0)
                        return complain("%s: %s went through", when, ways[i].name);
                if (e != EPERM && e != EBUSY && e != ETXTBSY)
                        return complain("%s: %s failed with %s", when, ways[i].name, strerror(e));
        }
        if ((seals & (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK)) != (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK))
                return complain("%s: F_GET_SEALS shows 0x%x", when, seals);
        return 0;
}

static int expect_thawed(int fd, const char *when) {
        for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
                int e = ways[i].run(fd);

                if (e)
                        return complain("%s: %s failed with %s", when, ways[i].name, strerror(e));
        }
        if (fcntl(fd, F_GET_SEALS) != 0)
                return complain("%s: seals are left: 0x%x", when, fcntl(fd, F_GET_SEALS));
        return 0;
}

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
        char *p;

        if (dev < 0)
                return complain("cannot open the device: %s", strerror(-dev));

        /* Aborted save. */
        fd = make_file();
        fstat(fd, &before);
        r = save_into(dev, name, fd);
        if (r < 0)
                return complain("save: %s", strerror(-r));
        if (expect_frozen(fd, "while saving"))
                return 1;
        r = device_call(dev, PKRAM_IOC_SAVE_ABORT, &abort_call);
        if (r < 0)
                return complain("PKRAM_IOC_SAVE_ABORT: %s", strerror(-r));
        fstat(fd, &after);
        if (before.st_size != after.st_size || before.st_blocks != after.st_blocks)
                return complain("an aborted save left the file changed");
        if (expect_thawed(fd, "after an abort"))
                return 1;
        close(fd);

        /* Committed, then removed. A reader's mapping is no obstacle and keeps working. */
        fd = make_file();
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
        if (expect_frozen(fd, "when stored"))
                return 1;
        r = node_begin(dev, PKRAM_IOC_REMOVE, name);
        if (r < 0)
                return complain("remove: %s", strerror(-r));
        if (expect_thawed(fd, "after removal"))
                return 1;

        /* A descriptor that goes away while saving thaws too. */
        r = save_into(dev, name, fd);
        if (r < 0)
                return complain("save again: %s", strerror(-r));
        close(dev);
        return expect_thawed(fd, "after the saver closed its descriptor");
}
