/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Saves for which memory does not suffice. Everything this program needs is there and locked before memory is eaten
 * up, so that only the save asks for more: a process that the kernel kills for a page fault would say nothing about
 * PKRAM.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pkt.h"

#define CHUNK (1U << 20)
#define BLOCK (2ULL << 20)
#define MAX_BLOCKS 4096                 /* 8 GiB */
#define FILE_SIZE (128ULL << 20)
#define IMAGE_MAX (32ULL << 20)         /* kernel and initrd, with room to unpack */

static uint8_t chunk[CHUNK];

static uint64_t free_bytes(void) {
        struct sysinfo s;

        return sysinfo(&s) < 0 ? 0 : (uint64_t) s.freeram * s.mem_unit;
}

/* A memfd of so many bytes, or one that grows until no more than @left bytes of memory are free. Negative errno. */
static int eat(uint64_t size, uint64_t left) {
        int fd = memfd_create("filler", MFD_CLOEXEC);
        uint64_t at = 0;

        if (fd < 0)
                return -errno;
        while (size ? at < size : free_bytes() > left) {
                size_t more = size || free_bytes() > left + 2 * CHUNK ? CHUNK : PKT_PAGE;

                if (pwrite(fd, chunk, more, at) != (ssize_t) more)
                        return -errno;
                at += more;
        }
        return fd;
}

/*
 * Load an image onto pages of the file: where most of those in IMAGE_MAX bytes are its own. What the image needs
 * itself is then elsewhere, and saving the file has to copy those pages.
 */
static int load_onto(int fd, uint64_t left, char **files) {
        static uint64_t pfns[FILE_SIZE / PKT_PAGE];
        static uint16_t owned[MAX_BLOCKS];
        const uint64_t blocks = IMAGE_MAX / BLOCK;
        uint64_t sum = 0, best = 0, at = 0;
        char address[32];
        char *argv[] = { (char *) "kexec-segments", (char *) "--at", address, files[0], files[1], files[2], NULL };

        for (uint64_t i = 0; i < FILE_SIZE / PKT_PAGE; i += 512)
                if (file_pfns(fd, i, 512, pfns + i) < 0)
                        return complain("cannot find out where pages are");
        for (uint64_t i = 0; i < FILE_SIZE / PKT_PAGE; i++)
                if (pfns[i] / (BLOCK / PKT_PAGE) < MAX_BLOCKS)
                        owned[pfns[i] / (BLOCK / PKT_PAGE)]++;
        for (uint64_t b = 0; b < MAX_BLOCKS; b++) {
                sum += owned[b] - (b >= blocks ? owned[b - blocks] : 0);
                if (b + 1 >= blocks && sum > best)
                        best = sum, at = b + 1 - blocks;
        }
        if (best * PKT_PAGE < IMAGE_MAX / 2 + left)
                return complain("only %" PRIu64 " pages of the file lie side by side", best);
        snprintf(address, sizeof(address), "0x%llx", (unsigned long long) (at * BLOCK));
        return cmd_kexec_segments(6, argv);
}

static int simple(int dev, unsigned long command) {
        struct pkram_ioctl_simple s = { .size = sizeof(s) };

        return device_call(dev, command, &s);
}

static int save_chunk(int dev, uint32_t *object, uint64_t length) {
        struct pkram_ioctl_bytes b = {
                .size = sizeof(b), .object = *object, .data = (uintptr_t) chunk, .length = length,
        };
        int r = device_call(dev, PKRAM_IOC_SAVE_BYTES, &b);

        *object = b.object;
        return r;
}

/* Save a byte stream without end; the errno it ends with. */
static int endless_bytes(int dev, uint64_t left) {
        uint32_t object = PKRAM_OBJECT_NEW;
        uint64_t done = 0;
        int r;

        do {
                r = save_chunk(dev, &object, CHUNK);
                done += CHUNK;
        } while (r == 0 && done < 2 * left);
        return r;
}

/* Is every page of the filler as it was? */
static int unchanged(int fd) {
        static uint8_t have[PKT_PAGE];

        for (uint64_t at = 0; pread(fd, have, sizeof(have), at) == sizeof(have); at += PKT_PAGE)
                /* It came to the file in pieces of a chunk, later of a page: see eat(). */
                if (memcmp(have, chunk + at % CHUNK, PKT_PAGE) != 0 && memcmp(have, chunk, PKT_PAGE) != 0)
                        return complain("the file has changed at %" PRIu64, at);
        return 0;
}

/*
 * A process that starts others, all the time. Each needs memory that the kernel does not go without: if there is none,
 * it kills a process.
 */
static pid_t fork_all_the_time(void) {
        pid_t pid = fork();

        while (pid == 0) {
                pid_t child = fork();

                if (child == 0)
                        _exit(EXIT_SUCCESS);
                if (child > 0)
                        (void) waitpid(child, NULL, 0);
                (void) usleep(500);
        }
        return pid;
}

/* What is in @info that a save changes */
static int same(const struct pkram_ioctl_info *before, const struct pkram_ioctl_info *after) {
        if (before->nr_nodes != after->nr_nodes || before->data_pages != after->data_pages ||
            before->meta_pages != after->meta_pages)
                return complain("nodes, pages of data and metadata are %llu %llu %llu, not %llu %llu %llu",
                                (unsigned long long) after->nr_nodes, (unsigned long long) after->data_pages,
                                (unsigned long long) after->meta_pages, (unsigned long long) before->nr_nodes,
                                (unsigned long long) before->data_pages, (unsigned long long) before->meta_pages);
        return 0;
}

static int info(int dev, struct pkram_ioctl_info *ret) {
        *ret = (struct pkram_ioctl_info) { .size = sizeof(*ret) };
        return device_call(dev, PKRAM_IOC_INFO, ret);
}

/* Try to save, and abort. The save must fail with ENOMEM, and leave memory for others until it does. */
static int try_save(int dev, int file, const char *name, uint64_t left) {
        struct pkram_ioctl_save_file f = { .size = sizeof(f), .fd = file };
        uint32_t object = PKRAM_OBJECT_NEW;
        int r = node_begin(dev, PKRAM_IOC_SAVE_BEGIN, name);
        pid_t others;

        if (r < 0)
                return complain("cannot begin: %s", strerror(-r));
        others = fork_all_the_time();
        if (others < 0)
                return complain("cannot fork: %m");
        r = file >= 0 ? device_call(dev, PKRAM_IOC_SAVE_FILE, &f) : endless_bytes(dev, left);
        (void) kill(others, SIGKILL);
        (void) waitpid(others, NULL, 0);
        if (r != -ENOMEM)
                return complain("the save says '%s', not ENOMEM", r < 0 ? strerror(-r) : "done");
        /* What failed leaves a file as it was, and a byte stream to be aborted. */
        if (file < 0 && save_chunk(dev, &object, 1) != -EBADFD)
                return complain("a broken save goes on");
        if (file >= 0 && unchanged(file))
                return 1;
        if (file >= 0 && pwrite(file, chunk, PKT_PAGE, 0) != (ssize_t) PKT_PAGE)
                return complain("the file is still frozen: %m");
        r = simple(dev, PKRAM_IOC_SAVE_ABORT);
        return r < 0 ? complain("cannot abort: %s", strerror(-r)) : 0;
}

/*
 * starve LEFT NAME [KERNEL INITRD LINE]: with LEFT KiB of memory free, save more than that: a byte stream, or a file
 * that has to be copied because an image is loaded to where it lies. It must be refused with ENOMEM and leave nothing;
 * when there is memory again, a node NAME of 100000 bytes can be stored.
 */
int cmd_starve(int argc, char **argv) {
        struct pkram_ioctl_commit c = { .size = sizeof(c) };
        struct pkram_ioctl_info before, after;
        uint64_t left = argc == 3 || argc == 6 ? strtoull(argv[1], NULL, 10) * 1024 : 0;
        uint32_t object = PKRAM_OBJECT_NEW;
        int dev = device_open(), file = -1, filler, r;

        if (!left || dev < 0)
                return complain("starve LEFT NAME [KERNEL INITRD LINE]");
        pattern_fill(1 ^ 0xb17e5, 0, chunk, sizeof(chunk));
        if (argc == 6) {
                file = eat(FILE_SIZE, 0);
                if (file < 0)
                        return complain("cannot make a file: %s", strerror(-file));
                if (load_onto(file, left, argv + 3))
                        return 1;
        }
        if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
                return complain("mlockall: %m");
        filler = eat(0, left);
        if (filler < 0)
                return complain("cannot eat up memory: %s", strerror(-filler));
        if (info(dev, &before) < 0 || try_save(dev, file, argv[2], left) || info(dev, &after) < 0 ||
            same(&before, &after))
                return 1;

        /* What the failed save gave back is on lists of one processor, which the kernel does not count as free. */
        close(filler);
        r = node_begin(dev, PKRAM_IOC_SAVE_BEGIN, argv[2]);
        if (r >= 0)
                r = save_chunk(dev, &object, 100000);
        if (r >= 0)
                r = device_call(dev, PKRAM_IOC_SAVE_COMMIT, &c);
        return r < 0 ? complain("a short byte stream cannot be saved: %s", strerror(-r)) : 0;
}
