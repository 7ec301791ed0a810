/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kexec_load(2), the way of kexec -c: all segments are made in user space, which knows nothing of preserved memory.
 * The boot parameters are those the running kernel was given, the kernel is entered at its 64-bit entry point.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kexec.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pkt.h"

#define KERNEL_ALIGN (2ULL << 20)
#define PARAMS_SIZE (4 * PKT_PAGE) /* boot parameters, command line, what jumps */

struct file {
        uint8_t *data;
        size_t size;
};

static int file_read(const char *path, struct file *ret) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct stat st;
        size_t done = 0;

        if (fd < 0 || fstat(fd, &st) < 0)
                return complain("cannot open %s: %m", path);
        /* Files in sysfs tell a size, too, but pad everything to whole pages. */
        ret->data = calloc(1, (st.st_size + 2 * PKT_PAGE) & ~(PKT_PAGE - 1));
        ret->size = st.st_size;
        while (ret->data && done < ret->size) {
                ssize_t n = read(fd, ret->data + done, ret->size - done);

                if (n <= 0)
                        break;
                done += n;
        }
        close(fd);
        return ret->data && done == ret->size ? 0 : complain("cannot read %s", path);
}

static uint32_t get32(const uint8_t *p) {
        uint32_t v;

        memcpy(&v, p, 4);
        return v;
}

static void put32(uint8_t *p, uint64_t value) {
        uint32_t v = value;

        memcpy(p, &v, 4);
}

static uint64_t pages(uint64_t n) { return (n + PKT_PAGE - 1) & ~(PKT_PAGE - 1); }

/* Everything in one piece from base on: parameters, kernel, initrd. tight: the kernel gets no more room than its file
 * takes. Returns -errno of kexec_load(). */
static int try_at(uint64_t base, const struct file *kernel, const struct file *initrd, const char *line, bool tight) {
        static uint8_t params[PARAMS_SIZE];
        unsigned sectors = kernel->data[0x1f1] ? kernel->data[0x1f1] : 4;
        uint64_t code = (sectors + 1) * 512, init_size = pages(get32(kernel->data + 0x260));
        uint64_t kernel_at = base + KERNEL_ALIGN, initrd_at = kernel_at + init_size, entry = kernel_at + 0x200;
        uint64_t params_at = base, line_at = base + PKT_PAGE, jump_at = base + 3 * PKT_PAGE;
        uint8_t *jump = params + 3 * PKT_PAGE;
        struct file given;
        struct kexec_segment segments[] = {
                { params, sizeof(params), (void *) params_at, sizeof(params) },
                { kernel->data + code, kernel->size - code, (void *) kernel_at, tight ? pages(kernel->size - code) :
                  init_size },
                { initrd->data, initrd->size, (void *) initrd_at, pages(initrd->size) },
        };

        if (file_read("/sys/kernel/boot_params/data", &given))
                return -EIO;
        memset(params, 0, sizeof(params));
        memcpy(params, given.data, PKT_PAGE);
        free(given.data);
        memcpy(params + 0x1f1, kernel->data + 0x1f1, 0x202 + kernel->data[0x201] - 0x1f1);
        /* What kexec-tools leaves of the header: protocol 2.06 (its 32 bit loader), and half of boot_flag. */
        memcpy(params + 0x206, "\x06\x02", 2);
        params[0x1ff] = 0;
        params[0x210] = 0xff;                   /* type of loader: unknown */
        put32(params + 0x218, initrd_at);
        put32(params + 0x21c, initrd->size);
        put32(params + 0x228, line_at);
        memset(params + 0x250, 0, 8);           /* no setup data */
        memset(params + 0xc0, 0, 12);           /* upper halves of addresses and sizes */
        strncpy((char *) params + PKT_PAGE, line, 2 * PKT_PAGE - 1);

        /* mov $params, %rsi; mov $entry, %rax; jmp *%rax */
        memcpy(jump, "\x48\xbe", 2), memcpy(jump + 2, &params_at, 8);
        memcpy(jump + 10, "\x48\xb8", 2), memcpy(jump + 12, &entry, 8);
        memcpy(jump + 20, "\xff\xe0", 2);
        return syscall(SYS_kexec_load, jump_at, 3UL, segments, (unsigned long) KEXEC_ARCH_X86_64) < 0 ? -errno : 0;
}

/* Try every 16 MiB of RAM below 4 GiB until the kernel agrees. */
static int try_everywhere(const struct file *kernel, const struct file *initrd, const char *line, bool tight) {
        uint64_t need = 2 * KERNEL_ALIGN + pages(get32(kernel->data + 0x260)) + pages(initrd->size), from, to,
                refused = 0;
        FILE *f = fopen("/proc/iomem", "re");
        char text[200];
        int r = -EADDRNOTAVAIL;

        while (f && r == -EADDRNOTAVAIL && fgets(text, sizeof(text), f)) {
                if (sscanf(text, "%" SCNx64 "-%" SCNx64 " :", &from, &to) != 2 || !strstr(text, " : System RAM") ||
                    text[0] == ' ')
                        continue;
                from = (from + (16ULL << 20)) & ~((16ULL << 20) - 1);
                for (; from + need <= to && from + need <= 1ULL << 32; from += 16ULL << 20) {
                        r = try_at(from, kernel, initrd, line, tight);
                        if (r != -EADDRNOTAVAIL)
                                break;
                        refused++;
                }
        }
        if (f)
                fclose(f);
        if (r < 0)
                return complain("kexec_load: %s, after %" PRIu64 " places were refused", strerror(-r), refused);
        printf("loaded at 0x%" PRIx64 " after %" PRIu64 " places were refused\n", from, refused);
        return 0;
}

int cmd_kexec_segments(int argc, char **argv) {
        struct file kernel, initrd;
        uint64_t base = 0;
        bool tight = argc > 1 && strcmp(argv[1], "--tight") == 0;
        int at = 1 + tight, r;

        if (!tight && argc > 2 && strcmp(argv[1], "--at") == 0)
                base = strtoull(argv[2], NULL, 0), at = 3;
        if (argc - at != 3)
                return complain("kexec-segments [--at ADDRESS|--tight] KERNEL INITRD COMMAND-LINE");
        if (file_read(argv[at], &kernel) || file_read(argv[at + 1], &initrd))
                return 1;
        if (kernel.size < 0x300 || memcmp(kernel.data + 0x202, "HdrS", 4) != 0)
                return complain("%s is no bzImage", argv[at]);
        if (!base)
                return try_everywhere(&kernel, &initrd, argv[at + 2], tight);
        r = try_at(base, &kernel, &initrd, argv[at + 2], tight);
        return r == 0 ? 0 : complain("kexec_load: %s", strerror(-r));
}
