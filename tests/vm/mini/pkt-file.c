/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files made from a specification, and compared with it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pkt.h"

#define HUGE_SIZE (2ULL << 20)

static uint64_t pages_of(uint64_t size) { return (size + PKT_PAGE - 1) / PKT_PAGE; }

/* Memory in huge pages of shmem files, in KiB, as the system counts it. */
static unsigned long huge_kib(void) {
        char line[256];
        unsigned long kib = 0;
        FILE *f = fopen("/proc/meminfo", "re");

        while (f && fgets(line, sizeof(line), f))
                if (sscanf(line, "ShmemHugePages: %lu kB", &kib) == 1)
                        break;
        if (f)
                fclose(f);
        return kib;
}

/* Touch the file through a mapping that asked for huge pages, so that its folios are 2 MiB large. */
static int make_huge(int fd, uint64_t size) {
        uint64_t length = (size + HUGE_SIZE - 1) & ~(HUGE_SIZE - 1);
        unsigned long before = huge_kib();
        char *area, *p;

        /* The virtual address has to agree with the file offset modulo 2 MiB. */
        area = mmap(NULL, length + HUGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (area == MAP_FAILED)
                return -errno;
        p = (char *) (((uintptr_t) area + HUGE_SIZE - 1) & ~(uintptr_t) (HUGE_SIZE - 1));
        if (mmap(p, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
                return -errno;
        if (madvise(p, length, MADV_HUGEPAGE) < 0)
                return complain("madvise(MADV_HUGEPAGE): %m"), -errno;
        for (uint64_t o = 0; o < size; o += HUGE_SIZE)
                p[o] = 1;
        munmap(area, length + HUGE_SIZE);
        return huge_kib() - before >= length / 1024 ? 0 : -ENOMEM;
}

int file_make(const struct pkt_spec *spec, const char *name) {
        uint8_t page[PKT_PAGE];
        int fd, scratch = -1;

        if (spec->tmpfs) {
                char path[320];

                snprintf(path, sizeof(path), "/tmp/%s", name);
                fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        } else
                fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0)
                return complain("cannot make a file: %m"), -errno;
        if (ftruncate(fd, spec->size) < 0)
                return complain("ftruncate: %m"), -errno;
        if (spec->thp && make_huge(fd, spec->size) < 0)
                return complain("no 2 MiB folios to be had"), -ENOMEM;
        if (spec->fallocate && fallocate(fd, 0, 0, spec->size) < 0)
                return complain("fallocate: %m"), -errno;
        if (spec->scatter)
                scratch = memfd_create("scratch", MFD_CLOEXEC);

        for (uint64_t i = 0; i < pages_of(spec->size); i++) {
                uint64_t offset = i * PKT_PAGE, left = spec->size - offset;
                size_t n = left < PKT_PAGE ? left : PKT_PAGE;

                if (spec_is_hole(spec, i))
                        continue;
                pattern_fill(spec->seed, offset, page, n);
                if (pwrite(fd, page, n, offset) != (ssize_t) n)
                        return complain("pwrite: %m"), -EIO;
                if (scratch >= 0 && pwrite(scratch, page, PKT_PAGE, offset) != (ssize_t) PKT_PAGE)
                        return complain("pwrite of a scratch page: %m"), -EIO;
        }
        if (scratch >= 0)
                close(scratch);

        if (fchown(fd, spec->uid, spec->gid) < 0 || fchmod(fd, spec->mode) < 0)
                return complain("cannot set owner and mode: %m"), -errno;
        if (spec->mtime_ns) {
                struct timespec t[2] = { [1] = { spec->mtime_ns / 1000000000, spec->mtime_ns % 1000000000 } };

                t[0] = t[1];
                if (futimens(fd, t) < 0)
                        return complain("futimens: %m"), -errno;
        }
        if (spec->seals && fcntl(fd, F_ADD_SEALS, spec->seals) < 0)
                return complain("F_ADD_SEALS: %m"), -errno;
        return fd;
}

/* Holes must be holes again, not pages of zeroes; what was fallocated may be either. */
static int compare_holes(int fd, const struct pkt_spec *spec) {
        uint64_t expected = 0, n = pages_of(spec->size);
        struct stat st;

        if (fstat(fd, &st) < 0)
                return complain("fstat: %m"), -1;
        for (uint64_t i = 0; i < n; i++)
                expected += !spec_is_hole(spec, i);
        if (!spec->fallocate && !spec->thp && (uint64_t) st.st_blocks * 512 != expected * PKT_PAGE)
                return complain("%llu pages are allocated, not %llu", (unsigned long long) st.st_blocks * 512 / PKT_PAGE,
                                (unsigned long long) expected), -1;
        if (spec->fallocate || spec->thp)
                return 0;
        for (uint64_t i = 0; i < n; i++) {
                off_t at = i * PKT_PAGE, data = lseek(fd, at, SEEK_DATA);
                bool hole = data < 0 || data > at;

                if (hole != spec_is_hole(spec, i))
                        return complain("page %llu %s a hole", (unsigned long long) i, hole ? "is" : "is not"), -1;
                /* A long file is looked at where holes begin and end, and every so often. */
                if (n > 4096 && i % spec->run)
                        i += i % 13;
        }
        return 0;
}

int file_compare(int fd, const struct pkt_spec *spec) {
        uint8_t want[PKT_PAGE], have[PKT_PAGE];
        struct stat st;

        if (fstat(fd, &st) < 0)
                return complain("fstat: %m"), -1;
        if ((uint64_t) st.st_size != spec->size)
                return complain("size is %lld, not %llu", (long long) st.st_size, (unsigned long long) spec->size), -1;
        if ((st.st_mode & 07777) != spec->mode)
                return complain("mode is %o, not %o", st.st_mode & 07777, spec->mode), -1;
        if (st.st_uid != spec->uid || st.st_gid != spec->gid)
                return complain("owner is %u:%u, not %u:%u", st.st_uid, st.st_gid, spec->uid, spec->gid), -1;
        if (spec->mtime_ns && st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec != spec->mtime_ns)
                return complain("mtime is %lld.%09ld", (long long) st.st_mtim.tv_sec, st.st_mtim.tv_nsec), -1;
        /* Before anything is read through the file, which could fill holes. */
        if (compare_holes(fd, spec) < 0)
                return -1;

        for (uint64_t i = 0; i < pages_of(spec->size); i++) {
                uint64_t offset = i * PKT_PAGE, left = spec->size - offset;
                size_t n = left < PKT_PAGE ? left : PKT_PAGE;

                if (spec_is_hole(spec, i))
                        memset(want, 0, n);
                else
                        pattern_fill(spec->seed, offset, want, n);
                /* make_huge() marks the first byte of each 2 MiB, also of one that is a hole here. */
                if (spec->thp && spec_is_hole(spec, i) && offset % HUGE_SIZE == 0)
                        want[0] = 1;
                if (pread(fd, have, n, offset) != (ssize_t) n)
                        return complain("pread at %llu: %m", (unsigned long long) offset), -1;
                if (memcmp(want, have, n) != 0) {
                        size_t k = 0;

                        while (want[k] == have[k])
                                k++;
                        return complain("byte %llu is 0x%02x, not 0x%02x", (unsigned long long) (offset + k), have[k], want[k]), -1;
                }
        }
        return 0;
}
