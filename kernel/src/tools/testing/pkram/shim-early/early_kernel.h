/* SPDX-License-Identifier: GPL-2.0 */
/*
 * As much of the kernel as mm/pkram/early.c, runs.c and blocks.c need. What they call is in
 * early_machine.c, and again in runs_table.c with the kernel's own memblock.
 */
#ifndef _PKRAM_EARLY_KERNEL_H
#define _PKRAM_EARLY_KERNEL_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <linux/types.h>
#include <asm/byteorder.h>

typedef __u8 u8;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;
typedef __u64 phys_addr_t;
typedef unsigned int gfp_t;
typedef unsigned short umode_t;
typedef struct { s64 counter; } atomic64_t;

#define CONFIG_PKRAM		1
#define __init
#define __initdata
#define __ro_after_init
#define __read_mostly
#define unlikely(x)		(x)
#define likely(x)		(x)
#define BIT(n)			(1U << (n))
#define BIT_ULL(n)		(1ULL << (n))
#define U32_MAX			(~0U)
#define U64_MAX			(~0ULL)
#define IS_ENABLED(x)		0
#define PAGE_SHIFT		12
#define PAGE_SIZE		4096UL
#define PAGE_MASK		(~(PAGE_SIZE - 1))
#define PAGE_ALIGN(x)		(((x) + PAGE_SIZE - 1) & PAGE_MASK)
#define PFN_UP(x)		(((x) + PAGE_SIZE - 1) >> PAGE_SHIFT)
#define PFN_DOWN(x)		((x) >> PAGE_SHIFT)
#define PFN_PHYS(x)		((phys_addr_t)(x) << PAGE_SHIFT)
#define PHYS_PFN(x)		((x) >> PAGE_SHIFT)
#define DIV_ROUND_UP(a, b)	(((a) + (b) - 1) / (b))
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define min(a, b)		((a) < (b) ? (a) : (b))
#define max(a, b)		((a) > (b) ? (a) : (b))
#define min_t(t, a, b)		min((t)(a), (t)(b))
#define min3(a, b, c)		min(min(a, b), c)
#define max_t(t, a, b)		max((t)(a), (t)(b))
#define clamp_t(t, v, low, high) min_t(t, max_t(t, v, low), high)
#define div64_u64(a, b)		((a) / (b))
#define static_assert(cond)	_Static_assert(cond, #cond)
#define SZ_2M			(1ULL << 21)
#define SZ_4G			(1ULL << 32)
#define MAX_PAGE_ORDER		10
#define HPAGE_PMD_ORDER		9
#define READ_ONCE(x)		(x)
#define WRITE_ONCE(x, v)	((x) = (v))
#define NUMA_NO_NODE		(-1)
#define MEMBLOCK_NONE		0
#define early_room_flags()	MEMBLOCK_NONE
#define early_is_scratch(start, end) false
#define CC_ATTR_MEM_ENCRYPT	0

struct list_head { struct list_head *next, *prev; };
struct rb_node { void *p; };
struct rb_root { struct rb_node *rb_node; };
struct mutex { int held; };
typedef struct { int held; } spinlock_t;
struct xarray { void *p; };
struct page;
struct folio;
struct mem_cgroup;

/* Of the kernel's own headers, as far as inline functions of pkram.h call them. */
struct page *pfn_to_page(u64 pfn);
int page_zone_id(const struct page *page);
bool folio_test_hwpoison(const struct folio *folio);
bool folio_test_large(const struct folio *folio);
bool folio_test_has_hwpoisoned(const struct folio *folio);

/* The physical memory. */
extern unsigned long max_pfn;
void *__va(phys_addr_t addr);
phys_addr_t __pa(const void *addr);

static inline void *pfn_to_kaddr(u64 pfn)
{
	return __va(PFN_PHYS(pfn));
}

/* What the boot loader said. */
#define early_param(name, fn) int (*early_param_##fn)(char *arg) = fn
int kstrtou64(const char *s, unsigned int base, u64 *ret);
bool is_kdump_kernel(void);
extern char boot_command_line[256];
bool cc_platform_has(int attr);

/* memblock: bit maps of what is RAM and what is reserved. */
struct memblock_counter { unsigned long cnt; };
extern struct { struct memblock_counter reserved; } memblock;
bool machine_next_reserved(u64 *i, phys_addr_t *from, phys_addr_t *to);
bool machine_last_free(u64 *i, phys_addr_t *from, phys_addr_t *to);
#define for_each_reserved_mem_range(i, from, to) \
	for (i = 0; machine_next_reserved(&i, from, to);)
#define for_each_free_mem_range_reverse(i, nid, flags, from, to, ret_nid) \
	for (i = ~0ULL; machine_last_free(&i, from, to);)
int memblock_reserve(phys_addr_t base, phys_addr_t size);
int memblock_phys_free(phys_addr_t base, phys_addr_t size);
bool memblock_is_region_reserved(phys_addr_t base, phys_addr_t size);
phys_addr_t memblock_reserve_sorted_size(unsigned long nr);
int memblock_reserve_sorted(bool (*next)(void *ctx, phys_addr_t *base, phys_addr_t *size),
			    void *ctx, unsigned long nr, phys_addr_t room);

/* One thread, and memory that does not run out. */
#define DEFINE_SPINLOCK(name)	spinlock_t name
#define DEFINE_MUTEX(name)	struct mutex name
#define spin_lock_irqsave(lock, flags) ((lock)->held++, (flags) = 0)
#define spin_unlock_irqrestore(lock, flags) ((lock)->held--, (void)(flags))
#define guard(type)		(void)
#define smp_store_release(p, v)	(*(p) = (v))
#define GFP_KERNEL		1
#define __GFP_NOFAIL		2
#define kvcalloc(n, size, gfp)	calloc(n, size)
#define kvfree(p)		free(p)
#define BITS_TO_LONGS(n)	DIV_ROUND_UP(n, 64)

static inline void __set_bit(unsigned long nr, unsigned long *map)
{
	map[nr / 64] |= 1UL << nr % 64;
}

static inline void bitmap_fill(unsigned long *map, unsigned int nr)
{
	while (nr)
		__set_bit(--nr, map);
}

static inline void bitmap_clear(unsigned long *map, unsigned int start, unsigned int nr)
{
	for (; nr; nr--, start++)
		map[start / 64] &= ~(1UL << start % 64);
}

static inline bool test_bit(unsigned long nr, const unsigned long *map)
{
	return map[nr / 64] >> nr % 64 & 1;
}

static inline bool bitmap_subset(const unsigned long *a, const unsigned long *b, unsigned int nr)
{
	while (nr--)
		if (test_bit(nr, a) && !test_bit(nr, b))
			return false;
	return true;
}

static inline void bitmap_or(unsigned long *to, const unsigned long *a, const unsigned long *b,
			     unsigned int nr)
{
	while (nr--)
		if (test_bit(nr, a) || test_bit(nr, b))
			__set_bit(nr, to);
}

static inline unsigned int bitmap_weight(const unsigned long *map, unsigned int nr)
{
	unsigned int n = 0;

	while (nr)
		n += test_bit(--nr, map);
	return n;
}

extern unsigned long max_low_pfn;
unsigned long totalram_pages(void);
#define is_kho_scratch(start, size) false

/* The architecture. */
bool arch_pkram_next_ram(unsigned int *i, u64 *start, u64 *end);
bool arch_pkram_next_told(unsigned int *i, u64 *start, u64 *end);
u64 arch_pkram_avoid(u64 start, u64 end);
u64 arch_pkram_ticks(void);

#define pr_info(...)		((void)0)
#define pr_err(...)		((void)0)
#define pr_warn(...)		((void)0)

#endif /* _PKRAM_EARLY_KERNEL_H */
