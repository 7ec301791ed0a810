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
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "pkt.h"

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

/* Ask for folios of 2 MiB, and see that they were given. */
static int make_huge(int fd, uint64_t size) {
        uint64_t length = (size + PKT_HUGE_SIZE - 1) & ~(PKT_HUGE_SIZE - 1);
        unsigned long before = huge_kib();
        int r;

        r = folios_make(fd, size, PKT_HUGE_ORDER);
        if (r < 0)
                return r;
        return huge_kib() - before >= length / 1024 ? 0 : -ENOMEM;
}

/* Take memory from one NUMA node only, or from any again. */
static int bind_memory(uint64_t node) {
        unsigned long mask = node ? 1UL << (node - 1) : 0;

        return syscall(SYS_set_mempolicy, node ? 2 /* MPOL_BIND */ : 0 /* MPOL_DEFAULT */, node ? &mask : NULL,
                       node ? 64UL : 0UL);
}

/* A number that has no divisor in common with n, some way into it: steps of that many pages reach them all. */
static uint64_t stride(uint64_t n) {
        uint64_t s = n * 5 / 8 + 1, a, b;

        for (;; s++) {
                for (a = s, b = n; b;) {
                        uint64_t t = a % b;

                        a = b, b = t;
                }
                if (a == 1)
                        return s;
        }
}

static int write_pages(int fd, const struct pkt_spec *spec) {
        uint64_t n = pages_of(spec->size), mix = spec->scatter ? 1 : spec->mix, step = spec->shuffle ? stride(n) : 1;
        int scratch = mix ? memfd_create("scratch", MFD_CLOEXEC) : -1, r = 0;
        uint8_t page[PKT_PAGE];

        for (uint64_t k = 0, i = 0; k < n && r == 0; k++, i = (i + step) % n) {
                uint64_t offset = i * PKT_PAGE, left = spec->size - offset;
                size_t length = left < PKT_PAGE ? left : PKT_PAGE;

                if (spec_is_hole(spec, i))
                        continue;
                spec_page(spec, i, page, length);
                if (pwrite(fd, page, length, offset) != (ssize_t) length)
                        r = -errno, complain("pwrite: %m");
                else if (mix && k % mix == 0 &&
                         pwrite(scratch, page, PKT_PAGE, k / mix * PKT_PAGE) != (ssize_t) PKT_PAGE)
                        r = -errno, complain("pwrite of a scratch page: %m");
        }
        if (scratch >= 0)
                close(scratch);
        return r;
}

uint64_t file_pages(int fd) {
        struct stat st;

        return fstat(fd, &st) < 0 ? 0 : (uint64_t) st.st_blocks * 512 / PKT_PAGE;
}

int file_pfns(int fd, uint64_t index, uint64_t n, uint64_t *ret) {
        int map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), r = 0;
        volatile uint8_t *p;

        if (map < 0)
                return -errno;
        p = mmap(NULL, n * PKT_PAGE, PROT_READ, MAP_SHARED, fd, index * PKT_PAGE);
        if (p == MAP_FAILED)
                r = -errno;
        /* Reading a hole would fill it. */
        for (off_t at = index * PKT_PAGE, hole, end = at + n * PKT_PAGE; at < end && r == 0; at = hole) {
                at = lseek(fd, at, SEEK_DATA);
                if (at < 0 || at >= end) /* ENXIO: nothing but a hole follows */
                        break;
                hole = lseek(fd, at, SEEK_HOLE);
                if (hole < 0)
                        r = -errno;
                for (off_t k = at; k < hole && k < end && r == 0; k += PKT_PAGE)
                        (void) p[k - index * PKT_PAGE];
        }
        if (r == 0 && pread(map, ret, n * 8, (uintptr_t) p / PKT_PAGE * 8) != (ssize_t) (n * 8))
                r = -EIO;
        for (uint64_t i = 0; i < n && r == 0; i++)
                ret[i] &= (1ULL << 55) - 1;
        if (p != MAP_FAILED)
                munmap((void *) p, n * PKT_PAGE);
        close(map);
        return r;
}

/* Punch out the pages that do not lie where the spec wants them. */
static int keep_pages(int fd, const struct pkt_spec *spec) {
        uint64_t pfns[512], n = pages_of(spec->size), kept = 0;

        for (uint64_t base = 0; base < n; base += 512) {
                uint64_t chunk = n - base < 512 ? n - base : 512, first = 0;

                if (file_pfns(fd, base, chunk, pfns) < 0)
                        return complain("cannot find out where pages are"), -EIO;
                for (uint64_t i = 0; i <= chunk; i++) {
                        bool out = i < chunk &&
                                (pfns[i] / spec->keeprun % spec->keep || (spec->most && kept >= spec->most));

                        if (out)
                                continue;
                        kept += i < chunk && pfns[i];
                        if (i > first && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                                   (base + first) * PKT_PAGE, (i - first) * PKT_PAGE) < 0)
                                return complain("cannot punch a hole: %m"), -errno;
                        first = i + 1;
                }
        }
        return 0;
}

/* Add pages to a file until no more than 1 in 64 is free; less cannot be had without danger. */
static int hog_grow(int fd, uint64_t *n) {
        static uint8_t page[PKT_PAGE] = { 1 };
        struct sysinfo s;

        while (sysinfo(&s) == 0 && s.freeram > s.totalram / 64)
                for (unsigned i = 0; i < 16; i++, ++*n)
                        if (pwrite(fd, page, sizeof(page), *n * PKT_PAGE) != (ssize_t) sizeof(page))
                                return complain("cannot use up memory: %m"), -errno;
        return 0;
}

int memory_hog(void) {
        int fd = memfd_create("hog", MFD_CLOEXEC), r;
        uint64_t n = 0, unit;
        struct sysinfo s;

        if (fd < 0)
                return -errno;
        r = hog_grow(fd, &n);
        if (r < 0 || sysinfo(&s) < 0)
                return r < 0 ? r : -errno;
        unit = s.totalram * s.mem_unit / PKT_PAGE / 64;
        /* There are @unit pages to be freed, at random. */
        for (uint64_t i = 0; i < n; i++)
                if (pattern_word(n, i * 8) % (n / unit + 1) == 0 &&
                    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, i * PKT_PAGE, PKT_PAGE) < 0)
                        return complain("cannot punch a hole: %m"), -errno;
        return hog_grow(fd, &n);
}

static unsigned long swap_free_kib(void) {
        char line[256];
        unsigned long kib = 0;
        FILE *f = fopen("/proc/meminfo", "re");

        while (f && fgets(line, sizeof(line), f))
                if (sscanf(line, "SwapFree: %lu kB", &kib) == 1)
                        break;
        if (f)
                fclose(f);
        return kib;
}

static int drive_out(int fd, uint64_t size) {
        unsigned long before = swap_free_kib();
        volatile uint8_t *p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

        if (p == MAP_FAILED)
                return complain("mmap: %m"), -errno;
        for (uint64_t i = 0; i < size; i += PKT_PAGE)
                (void) p[i];
        if (madvise((void *) p, size, MADV_PAGEOUT) < 0)
                return complain("madvise(MADV_PAGEOUT): %m"), -errno;
        munmap((void *) p, size);
        if (before - swap_free_kib() < size / 1024 / 2)
                return complain("of %llu KiB only %lu went to swap", (unsigned long long) size / 1024,
                                before - swap_free_kib()), -EIO;
        return 0;
}

static int set_attributes(int fd, const struct pkt_spec *spec) {
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
        return 0;
}

int file_make(const struct pkt_spec *spec, const char *name) {
        uint64_t pfn;
        int fd, r;

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
        if (spec->node && bind_memory(spec->node) < 0)
                return complain("set_mempolicy: %m"), -errno;
        if (spec->thp && make_huge(fd, spec->size) < 0)
                return complain("no 2 MiB folios to be had"), -ENOMEM;
        if (spec->order && folios_make(fd, spec->size, spec->order) < 0)
                return complain("cannot map the file: %m"), -errno;
        if (spec->fallocate && fallocate(fd, 0, 0, spec->size) < 0)
                return complain("fallocate: %m"), -errno;
        r = write_pages(fd, spec);
        if (r == 0 && spec->order)
                r = folios_compare(fd, spec->size, spec->order);
        if (r == 0 && spec->node && bind_memory(0) < 0)
                r = -errno;
        if (r == 0 && spec->keep)
                r = keep_pages(fd, spec);
        if (r == 0 && spec->hog)
                r = memory_hog();
        if (r == 0 && spec->swap)
                r = drive_out(fd, spec->size);
        if (r == 0)
                r = set_attributes(fd, spec);
        if (r == 0 && spec->poison)
                r = file_poison(fd, spec->poison - 1, &pfn);
        if (r < 0)
                close(fd);
        return r < 0 ? r : fd;
}

int files_make(char *const *specs, int n, const char *name, int *fds, uint64_t *ret_pages) {
        uint64_t pages = 0;
        struct pkt_spec spec;

        for (int i = 0; i < n; i++) {
                if (spec_parse(specs[i], &spec) < 0)
                        return -EINVAL;
                fds[i] = file_make(&spec, name);
                if (fds[i] < 0)
                        return fds[i];
                pages += spec.size / PKT_PAGE;
        }
        *ret_pages = pages;
        return 0;
}

/* Holes must be holes again, not pages of zeroes; what was fallocated may be either. */
static int compare_holes(int fd, const struct pkt_spec *spec) {
        uint64_t expected = 0, n = pages_of(spec->size);

        if (spec->keep && (!spec->pages || file_pages(fd) != spec->pages))
                return complain("%llu pages are allocated, not %llu", (unsigned long long) file_pages(fd),
                                (unsigned long long) spec->pages), -1;
        if (spec->keep)
                return 0;
        for (uint64_t i = 0; i < n; i++)
                expected += !spec_is_hole(spec, i);
        if (!spec->fallocate && !spec->thp && file_pages(fd) != expected)
                return complain("%llu pages are allocated, not %llu", (unsigned long long) file_pages(fd),
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
        if (spec->order && folios_compare(fd, spec->size, spec->order) < 0)
                return -1;

        for (uint64_t i = 0; i < pages_of(spec->size); i++) {
                uint64_t offset = i * PKT_PAGE, left = spec->size - offset;
                size_t n = left < PKT_PAGE ? left : PKT_PAGE;

                /* Which pages are there has been counted; each of them has to be right. */
                if (spec->keep) {
                        off_t data = lseek(fd, offset, SEEK_DATA);

                        if (data < 0)
                                break;
                        if ((uint64_t) data > offset) {
                                i = data / PKT_PAGE - 1;
                                continue;
                        }
                }
                if (spec_is_hole(spec, i))
                        memset(want, 0, n);
                else
                        spec_page(spec, i, want, n);
                /* make_huge() marks the first byte of each 2 MiB, also of one that is a hole here. */
                if (spec->thp && spec_is_hole(spec, i) && offset % PKT_HUGE_SIZE == 0)
                        want[0] = 1;
                if (pread(fd, have, n, offset) != (ssize_t) n)
                        return complain("pread at %llu: %m", (unsigned long long) offset), -1;
                if (memcmp(want, have, n) != 0) {
                        size_t k = 0;

                        while (want[k] == have[k])
                                k++;
                        return complain("byte %llu is 0x%02x, not 0x%02x", (unsigned long long) (offset + k), have[k],
                                        want[k]), -1;
                }
        }
        return 0;
}
