/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The cost of saving and loading one file: nanoseconds, which are instructions where QEMU counts them. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "pkt.h"

uint64_t bench_now(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* Pages of the file that are not where they were. */
static uint64_t moved_pages(int fd, uint64_t n, uint64_t *before) {
        uint64_t now[512], moved = 0;

        for (uint64_t at = 0; at < n; at += 512) {
                uint64_t nr = n - at < 512 ? n - at : 512;

                if (file_pfns(fd, at, nr, now) < 0)
                        return 0;
                for (uint64_t i = 0; i < nr; i++)
                        moved += before[at + i] != now[i];
        }
        return moved;
}

/* Commits what was saved since start, if that went well, and gives what both cost. Returns 0 or an exit status. */
static int bench_commit(int dev, int r, uint64_t start, uint64_t *ret_cost) {
        struct pkram_ioctl_commit c = { .size = sizeof(c) };

        if (r >= 0)
                r = device_call(dev, PKRAM_IOC_SAVE_COMMIT, &c);
        *ret_cost = bench_now() - start;
        return r < 0 ? complain("cannot save: %s", strerror(-r)) : 0;
}

static int bench_save(int dev, const char *name, const struct pkt_spec *spec, bool packed) {
        struct pkram_ioctl_save_file f = { .size = sizeof(f) };
        uint64_t n = spec->size / PKT_PAGE, start, cost, *pfns = calloc(n, sizeof(*pfns));
        int r;

        f.fd = file_make(spec, name);
        r = !pfns ? -ENOMEM : f.fd < 0 ? f.fd : 0;
        for (uint64_t at = 0; packed && at < n && r == 0; at += 512)
                r = file_pfns(f.fd, at, n - at < 512 ? n - at : 512, pfns + at);
        if (r == 0)
                r = node_begin(dev, PKRAM_IOC_SAVE_BEGIN, name);
        if (r < 0)
                return complain("cannot begin: %s", strerror(-r));
        start = bench_now();
        r = device_call(dev, PKRAM_IOC_SAVE_FILE, &f);
        r = bench_commit(dev, r, start, &cost);
        if (r != 0)
                return r;
        printf("%" PRIu64 " %" PRIu64 "\n", cost, packed ? moved_pages(f.fd, n, pfns) : n);
        return 0;
}

static int bench_bytes(int dev, const char *name, const struct pkt_spec *spec) {
        struct pkram_ioctl_bytes b = { .size = sizeof(b), .object = PKRAM_OBJECT_NEW, .length = spec->size };
        uint64_t start, cost;
        uint8_t *data = malloc(spec->size);
        int r;

        if (!data)
                return complain("no memory");
        pattern_fill(spec->seed, 0, data, spec->size);
        b.data = (uintptr_t) data;
        r = node_begin(dev, PKRAM_IOC_SAVE_BEGIN, name);
        start = bench_now();
        if (r >= 0)
                r = device_call(dev, PKRAM_IOC_SAVE_BYTES, &b);
        r = bench_commit(dev, r, start, &cost);
        if (r != 0)
                return r;
        printf("%" PRIu64 " %" PRIu64 "\n", cost, (uint64_t) (spec->size / PKT_PAGE));
        return 0;
}

/* Many files in one node, all of which are made before the first one is saved. */
static int bench_save_files(int dev, const char *name, int n, char **specs) {
        uint64_t pages, start, cost;
        int r, fds[n];

        if (files_make(specs, n, name, fds, &pages) < 0)
                return 1;
        r = node_begin(dev, PKRAM_IOC_SAVE_BEGIN, name);
        start = bench_now();
        for (int i = 0; i < n && r >= 0; i++) {
                struct pkram_ioctl_save_file f = { .size = sizeof(f), .fd = fds[i] };

                r = device_call(dev, PKRAM_IOC_SAVE_FILE, &f);
        }
        r = bench_commit(dev, r, start, &cost);
        if (r != 0)
                return r;
        printf("%" PRIu64 " %" PRIu64 "\n", cost, pages);
        return 0;
}

static int bench_load(int dev, const char *name, int n, char **specs) {
        uint64_t cost = 0, pages = 0;
        struct pkt_spec spec;
        int r = node_begin(dev, PKRAM_IOC_LOAD_BEGIN, name);

        if (r < 0)
                return complain("cannot begin: %s", strerror(-r));
        for (int i = 0; i < n; i++) {
                struct pkram_ioctl_load_file f = {
                        .size = sizeof(f), .object = i, .target_fd = PKRAM_FD_NONE, .charge_pidfd = PKRAM_FD_NONE,
                };
                uint64_t start = bench_now();

                r = device_call(dev, PKRAM_IOC_LOAD_FILE, &f);
                cost += bench_now() - start;
                if (r < 0)
                        return complain("cannot load file %d: %s", i, strerror(-r));
                if (spec_parse(specs[i], &spec) < 0 || file_compare(f.fd, &spec) < 0)
                        return 1;
                close(f.fd);
                pages += spec.size / PKT_PAGE;
        }
        printf("%" PRIu64 " %" PRIu64 "\n", cost, pages);
        return 0;
}

/* bench save|load|pack NAME SPEC...: prints the cost of the ioctls that do the work and the number of pages of 4 KiB
 * in the files, or, for "pack", of those that the save moved. Loaded files are compared before the figure is
 * printed. */
int cmd_bench(int argc, char **argv) {
        struct pkt_spec spec;
        int dev;

        if (argc < 4 || spec_parse(argv[3], &spec) < 0)
                return complain("bench save|load|pack NAME SPEC...");
        dev = device_open();
        if (dev < 0)
                return complain("cannot open the device: %s", strerror(-dev));
        if (strcmp(argv[1], "load") == 0)
                return bench_load(dev, argv[2], argc - 3, argv + 3);
        if (argc > 4)
                return bench_save_files(dev, argv[2], argc - 3, argv + 3);
        return spec.is_file ? bench_save(dev, argv[2], &spec, strcmp(argv[1], "pack") == 0) :
                              bench_bytes(dev, argv[2], &spec);
}

/* Nanoseconds that this kernel has been idle on its first processor, or 0 if it does not say. */
static uint64_t idle_ns(void) {
        uint64_t ns, sum = 0;
        char line[256];
        FILE *f;

        /* for the rest of this boot, too */
        (void) mkdir("/proc", 0755);
        (void) mount("proc", "/proc", "proc", 0, NULL);
        f = fopen("/proc/timer_list", "re");
        if (!f)
                return 0;
        while (fgets(line, sizeof(line), f))
                if (sscanf(line, " .idle_sleeptime : %" SCNu64, &ns) == 1 ||
                    sscanf(line, " .iowait_sleeptime : %" SCNu64, &ns) == 1)
                        sum += ns;
        fclose(f);
        return sum;
}

/* The time stamp counter goes on over a kexec, and counts instructions where QEMU does, and nanoseconds while the
 * processor is idle: how long it waits for the disk depends on the host. */
int cmd_tsc(int argc, char **argv) {
        uint64_t tsc = __builtin_ia32_rdtsc();

        (void) argc;
        (void) argv;
        return printf("@@pkram TSC %" PRIu64 " %" PRIu64 "\n", tsc, idle_ns()) < 0;
}
