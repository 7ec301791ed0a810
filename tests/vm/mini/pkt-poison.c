/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory errors. madvise(MADV_HWPOISON) has the kernel treat a page as if the hardware had reported it; the memory is
 * as good as before.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kernel-page-flags.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pkt.h"

uint64_t page_flags(uint64_t pfn) {
        static int fd = -1;
        uint64_t flags = 0;

        /* Once for all pages that a command asks about. */
        if (fd < 0)
                fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
        if (fd < 0 || pread(fd, &flags, sizeof(flags), pfn * sizeof(flags)) != sizeof(flags))
                flags = 0;
        return flags;
}

/* A process that has the page mapped gets this signal. */
static void on_sigbus(int signal) { (void) signal; }

int file_poison(int fd, uint64_t index, uint64_t *ret_pfn) {
        volatile uint8_t *p = mmap(NULL, PKT_PAGE, PROT_READ, MAP_SHARED, fd, index * PKT_PAGE);
        struct sigaction old, hear = { .sa_handler = on_sigbus };
        int r;

        if (p == MAP_FAILED || sigaction(SIGBUS, &hear, &old) < 0)
                return complain("cannot map page %" PRIu64 ": %m", index), -errno;
        /* The flag goes to the page that is mapped here, and the mapping away: where it is has to be asked before. */
        (void) *p;
        r = file_pfns(fd, index, 1, ret_pfn);
        if (r < 0 || !*ret_pfn) {
                complain("cannot find out where page %" PRIu64 " is", index);
                r = -EIO;
        } else if (madvise((void *) p, PKT_PAGE, MADV_HWPOISON) < 0 && errno != EBUSY && errno != EHWPOISON)
                /* A page that is still referenced has the flag, but the kernel could not get rid of it. */
                r = -errno, complain("madvise(MADV_HWPOISON): %m");
        else if (!(page_flags(*ret_pfn) & 1ULL << KPF_HWPOISON))
                r = -EIO, complain("page %" PRIu64 " has no memory error now", index);
        munmap((void *) p, PKT_PAGE);
        (void) sigaction(SIGBUS, &old, NULL);
        return r;
}

/* poison NAME OBJECT PAGE...: pages of a stored file, which is not loaded from the node by another process. */
int cmd_poison(int argc, char **argv) {
        struct pkram_ioctl_load_file load = {
                .size = sizeof(load), .target_fd = PKRAM_FD_NONE, .charge_pidfd = PKRAM_FD_NONE,
        };
        int dev = device_open(), r;
        uint64_t pfn;

        if (argc < 4 || dev < 0)
                return complain("poison NAME OBJECT PAGE...");
        r = node_begin(dev, PKRAM_IOC_LOAD_BEGIN, argv[1]);
        load.object = strtoul(argv[2], NULL, 10);
        if (r >= 0)
                r = device_call(dev, PKRAM_IOC_LOAD_FILE, &load);
        if (r < 0)
                return complain("cannot load object %s of '%s': %s", argv[2], argv[1], strerror(-r));
        for (int i = 3; i < argc; i++) {
                if (file_poison(load.fd, strtoull(argv[i], NULL, 10), &pfn) < 0)
                        return 1;
                printf("pfn=%" PRIu64 "\n", pfn);
        }
        return 0;
}

/* poisoned PFN...: are these pages known to be bad, and kept from the page allocator? */
int cmd_poisoned(int argc, char **argv) {
        if (argc < 2)
                return complain("poisoned PFN...");
        for (int i = 1; i < argc; i++) {
                uint64_t flags = page_flags(strtoull(argv[i], NULL, 10));

                if (!(flags & 1ULL << KPF_HWPOISON))
                        return complain("page %s has lost its mark, its flags are 0x%" PRIx64, argv[i], flags);
                if (flags & 1ULL << KPF_BUDDY)
                        return complain("page %s is free", argv[i]);
        }
        return 0;
}

/* hidden PFN...: are these pages left out of crash dumps as memory that is offline? */
int cmd_hidden(int argc, char **argv) {
        if (argc < 2)
                return complain("hidden PFN...");
        for (int i = 1; i < argc; i++) {
                uint64_t flags = page_flags(strtoull(argv[i], NULL, 10));

                if (!(flags & 1ULL << KPF_OFFLINE))
                        return complain("page %s would be dumped, its flags are 0x%" PRIx64, argv[i], flags);
        }
        return 0;
}
