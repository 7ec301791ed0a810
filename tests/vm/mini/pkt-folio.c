/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files in folios of one size, from pairs of pages to 2 MiB. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <linux/kernel-page-flags.h>
#include <stdint.h>
#include <sys/mman.h>

#include "pkt.h"

/* Pages that are asked about at once. */
#define CHUNK 512U

int folios_make(int fd, uint64_t size, unsigned order) {
        uint64_t length = (size + PKT_HUGE_SIZE - 1) & ~(PKT_HUGE_SIZE - 1);
        char *area, *p;
        int r = 0;

        /* The virtual address has to agree with the file offset modulo 2 MiB. */
        area = mmap(NULL, length + PKT_HUGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (area == MAP_FAILED)
                return -errno;
        p = (char *) (((uintptr_t) area + PKT_HUGE_SIZE - 1) & ~(uintptr_t) (PKT_HUGE_SIZE - 1));
        if (mmap(p, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ||
            madvise(p, length, MADV_HUGEPAGE) < 0)
                r = -errno;
        for (uint64_t o = 0; r == 0 && o < size; o += PKT_PAGE << order)
                p[o] = 1;
        munmap(area, length + PKT_HUGE_SIZE);
        return r;
}

int folios_compare(int fd, uint64_t size, unsigned order) {
        uint64_t pfns[CHUNK];

        for (uint64_t base = 0; base < size / PKT_PAGE; base += CHUNK) {
                if (file_pfns(fd, base, CHUNK, pfns) < 0)
                        return complain("cannot find out where pages are"), -EIO;
                for (uint64_t i = 0; i < CHUNK; i++) {
                        bool first = i % (1U << order) == 0;
                        uint64_t flags = page_flags(pfns[i]);

                        if (!(flags & 1ULL << (first ? KPF_COMPOUND_HEAD : KPF_COMPOUND_TAIL)) ||
                            (!first && pfns[i] != pfns[i - 1] + 1))
                                return complain("page %" PRIu64 " at pfn %" PRIu64 " with flags 0x%" PRIx64
                                                " is not page %" PRIu64 " of a folio of order %u", base + i, pfns[i],
                                                flags, i % (1U << order), order), -EIO;
                }
        }
        return 0;
}
