/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The cost of saving and loading one file: nanoseconds, which are instructions where QEMU counts them. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pkt.h"

static uint64_t now(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* bench save NAME SPEC, bench load NAME SPEC: prints the cost of the one ioctl that does the work and the number of
 * pages of 4 KiB in the file. The loaded file is compared before the figure is printed. */
int cmd_bench(int argc, char **argv) {
        struct pkt_spec spec;
        uint64_t start, cost;
        int dev, r;

        if (argc != 4 || spec_parse(argv[3], &spec) < 0 || !spec.is_file)
                return complain("bench save|load NAME SPEC");
        dev = device_open();
        if (dev < 0)
                return complain("cannot open the device: %s", strerror(-dev));

        if (strcmp(argv[1], "save") == 0) {
                struct pkram_ioctl_save_file f = { .size = sizeof(f) };
                struct pkram_ioctl_commit c = { .size = sizeof(c) };

                f.fd = file_make(&spec, argv[2]);
                r = f.fd < 0 ? f.fd : node_begin(dev, PKRAM_IOC_SAVE_BEGIN, argv[2]);
                if (r < 0)
                        return complain("cannot begin: %s", strerror(-r));
                start = now();
                r = device_call(dev, PKRAM_IOC_SAVE_FILE, &f);
                if (r >= 0)
                        r = device_call(dev, PKRAM_IOC_SAVE_COMMIT, &c);
                cost = now() - start;
                if (r < 0)
                        return complain("cannot save: %s", strerror(-r));
        } else {
                struct pkram_ioctl_load_file f = {
                        .size = sizeof(f), .target_fd = PKRAM_FD_NONE, .charge_pidfd = PKRAM_FD_NONE,
                };

                r = node_begin(dev, PKRAM_IOC_LOAD_BEGIN, argv[2]);
                if (r < 0)
                        return complain("cannot begin: %s", strerror(-r));
                start = now();
                r = device_call(dev, PKRAM_IOC_LOAD_FILE, &f);
                cost = now() - start;
                if (r < 0)
                        return complain("cannot load: %s", strerror(-r));
                if (file_compare(f.fd, &spec) < 0)
                        return 1;
        }
        printf("%" PRIu64 " %" PRIu64 "\n", cost, (uint64_t) (spec.size / PKT_PAGE));
        return 0;
}

/* The time stamp counter goes on over a kexec, and counts instructions where QEMU does. */
int cmd_tsc(int argc, char **argv) {
        (void) argc;
        (void) argv;
        return printf("@@pkram TSC %" PRIu64 "\n", (uint64_t) __builtin_ia32_rdtsc()) < 0;
}
