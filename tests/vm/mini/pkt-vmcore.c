/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where stored pages are, and whether a kernel that crashed still has them. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pkt.h"

int cmd_pfns(int argc, char **argv) {
        struct pkram_ioctl_load_file f = {
                .size = sizeof(f), .target_fd = PKRAM_FD_NONE, .charge_pidfd = PKRAM_FD_NONE,
        };
        int dev = device_open(), r;

        if (argc < 3 || dev < 0)
                return complain("pfns NAME PAGE...");
        r = node_begin(dev, PKRAM_IOC_LOAD_BEGIN, argv[1]);
        if (r >= 0)
                r = device_call(dev, PKRAM_IOC_LOAD_FILE, &f);
        if (r < 0)
                return complain("cannot load '%s': %s", argv[1], strerror(-r));
        for (int i = 2; i < argc; i++) {
                uint64_t page = strtoull(argv[i], NULL, 10), pfn;

                if (file_pfns(f.fd, page, 1, &pfn) < 0 || !pfn)
                        return complain("page %s is not there", argv[i]);
                printf("%s%" PRIu64 "=%" PRIu64, i > 2 ? " " : "", page, pfn);
        }
        puts("");
        return 0;
}

/* Read a page of the crashed kernel's memory. */
static int vmcore_page(int fd, uint64_t address, void *page) {
        Elf64_Ehdr e;
        Elf64_Phdr p;

        if (pread(fd, &e, sizeof(e), 0) != sizeof(e) || memcmp(e.e_ident, ELFMAG, SELFMAG) != 0)
                return -EINVAL;
        for (unsigned i = 0; i < e.e_phnum; i++) {
                if (pread(fd, &p, sizeof(p), e.e_phoff + i * sizeof(p)) != sizeof(p))
                        return -EIO;
                if (p.p_type != PT_LOAD || address < p.p_paddr || address + PKT_PAGE > p.p_paddr + p.p_filesz)
                        continue;
                return pread(fd, page, PKT_PAGE, p.p_offset + (address - p.p_paddr)) == PKT_PAGE ? 0 : -EIO;
        }
        return -ENXIO;
}

int cmd_vmcore(int argc, char **argv) {
        uint8_t have[PKT_PAGE], want[PKT_PAGE];
        struct pkt_spec spec;
        int fd;

        if (argc < 3 || spec_parse(argv[1], &spec) < 0)
                return complain("vmcore SPEC PAGE=PFN...");
        fd = open("/proc/vmcore", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return complain("/proc/vmcore: %m");
        for (int i = 2; i < argc; i++) {
                char *end;
                uint64_t page = strtoull(argv[i], &end, 10), pfn = *end == '=' ? strtoull(end + 1, NULL, 10) : 0;
                int r = vmcore_page(fd, pfn * PKT_PAGE, have);

                if (r < 0)
                        return complain("pfn %" PRIu64 " cannot be read: %s", pfn, strerror(-r));
                spec_page(&spec, page, want, PKT_PAGE);
                if (memcmp(have, want, PKT_PAGE) != 0)
                        return complain("page %" PRIu64 " at pfn %" PRIu64 " is not what was stored", page, pfn);
        }
        printf("%d pages are the same\n", argc - 2);
        return 0;
}
