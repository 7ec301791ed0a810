/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * pkt: drives /dev/pkram in the small guest. Objects are made from a specification and a seed, so that the kernel
 * after the kexec can work out by itself what every byte, hole and attribute has to be.
 */

#include <linux/pkram.h>
#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/types.h>

#define PKT_PAGE 4096ULL
/* Of the folios that thp stands for. */
#define PKT_HUGE_ORDER 9U
#define PKT_HUGE_SIZE (PKT_PAGE << PKT_HUGE_ORDER)

/* One object, as written on the command line: "file:size=8M,seed=3,hole=5,..." or "bytes:size=100,seed=4". */
struct pkt_spec {
        bool is_file;           /* file object; else a byte stream alone */
        uint64_t size;          /* file: bytes, need not be a multiple of the page size */
        uint64_t seed;          /* what the bytes are */
        uint64_t hole;          /* every n-th run of pages is a hole; 0: none, 1: all */
        uint64_t run;           /* pages in a run, default 1 */
        uint64_t bytes;         /* file: length of a byte stream in the same object */
        bool thp;               /* ask for 2 MiB folios (and fail without them) */
        unsigned order;         /* folios of 2^order pages, in a file of whole 2 MiB; 0: any */
        bool scatter;           /* interleave with pages that are freed afterwards: no two pages adjoin */
        bool fallocate;         /* allocate the holes, but never write them */
        bool tmpfs;             /* a file in /tmp instead of a memfd */
        mode_t mode;            /* permission bits, default 0777 as memfds have */
        uid_t uid;
        gid_t gid;
        unsigned seals;         /* F_SEAL_* set before saving */
        int64_t mtime_ns;       /* 0: leave */
        uint64_t ranges;        /* save in ranges of that many bytes instead of in one call; 0: one call */
        uint64_t mix;           /* like scatter, but only after that many pages; 0: not */
        bool shuffle;           /* written in an order in which no two neighbours in the file adjoin in memory */
        /* only pages whose pfn / keeprun is a multiple of this stay, the others become holes; 0: all */
        uint64_t keep;
        uint64_t keeprun;       /* default 1 */
        uint64_t most;          /* with keep: no more pages than that; 0: no limit */
        uint64_t pages;         /* with keep: how many there are, for comparing; 0: not known yet */
        bool hog;               /* all memory but 1 page in 64, at random, is in use while it is saved */
        bool light;             /* only the first 64 bytes of each page are not zero: quicker where there is much */
        bool swap;              /* driven out to swap before it is saved (and fail if it stays) */
        uint64_t node;          /* NUMA node + 1 to take the memory from; 0: any */
        uint64_t poison;        /* page + 1 that has a memory error before the file is saved; 0: none */
        bool lost;              /* verify: memory errors hit it after it was stored, so that it cannot be loaded */
};

int spec_parse(const char *text, struct pkt_spec *ret);

/* What the word at this byte position holds: never zero, so that lost pages show. */
uint64_t pattern_word(uint64_t seed, uint64_t offset);
void pattern_fill(uint64_t seed, uint64_t offset, void *buffer, size_t length);
bool spec_is_hole(const struct pkt_spec *spec, uint64_t page);

/* What page i of the file holds, n bytes of it. */
void spec_page(const struct pkt_spec *spec, uint64_t i, void *buffer, size_t n);

/* Allocated pages of an open file. */
uint64_t file_pages(int fd);

/* Page frame numbers of n pages from page index on of a file, without those of holes, which are 0. */
int file_pfns(int fd, uint64_t index, uint64_t n, uint64_t *ret);

/* What /proc/kpageflags says of a page: bits of KPF_*, or 0. */
uint64_t page_flags(uint64_t pfn);

/* Have memory of a file allocated in folios of 2^order pages, as far as the kernel gives them; size in bytes. Returns
 * 0 or a negative errno. */
int folios_make(int fd, uint64_t size, unsigned order);

/* Is the file in folios of 2^order pages? size is a multiple of 2 MiB. Returns 0, or a negative errno after saying
 * which page is not. */
int folios_compare(int fd, uint64_t size, unsigned order);

/* Use up memory until 1 page in 64 of it is free, at random, for as long as this process lives. */
int memory_hog(void);

/* Have the kernel believe that a page of the file has a memory error. Says what failed. */
int file_poison(int fd, uint64_t index, uint64_t *ret_pfn);

/* Make the file a spec describes. Returns an open descriptor or a negative errno; says what failed. */
int file_make(const struct pkt_spec *spec, const char *name);

/* Make the files that n specs describe. fds gets their descriptors, *ret_pages the number of pages of 4 KiB in them.
 * Returns 0 or a negative errno; says what failed. */
int files_make(char *const *specs, int n, const char *name, int *fds, uint64_t *ret_pages);

/* Compare: 0, or -1 after saying what differs. */
int file_compare(int fd, const struct pkt_spec *spec);

/* Nanoseconds, which are instructions where QEMU counts them. */
uint64_t bench_now(void);

int device_open(void);
/* ioctl(), with -errno as result. */
int device_call(int fd, unsigned long command, void *argument);
int node_begin(int fd, unsigned long command, const char *name);

/* The sub-commands. Each gets argv from its own name on and returns an exit status. */
int cmd_info(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_save(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_remove(int argc, char **argv);
int cmd_kill(int argc, char **argv);
int cmd_frozen(int argc, char **argv);
int cmd_refusals(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_kexec(int argc, char **argv);
int cmd_kexec_segments(int argc, char **argv);
int cmd_pfns(int argc, char **argv);
int cmd_vmcore(int argc, char **argv);
int cmd_damage(int argc, char **argv);
int cmd_parallel_load(int argc, char **argv);
int cmd_parallel_save(int argc, char **argv);
int cmd_load_killed(int argc, char **argv);
int cmd_join_cross(int argc, char **argv);
int cmd_poison(int argc, char **argv);
int cmd_poisoned(int argc, char **argv);
int cmd_hidden(int argc, char **argv);
int cmd_starve(int argc, char **argv);
int cmd_luo(int argc, char **argv);
int cmd_tsc(int argc, char **argv);
int cmd_uncapable(int argc, char **argv);

/* Print a sentence on stderr and return 1: the way a sub-command fails. */
int complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
