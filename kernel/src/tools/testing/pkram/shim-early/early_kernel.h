/* SPDX-License-Identifier: GPL-2.0 */
/* As much of the kernel as mm/pkram/early.c needs; what it calls is in early_machine.c. */
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
#define unlikely(x)		(x)
#define likely(x)		(x)
#define BIT(n)			(1U << (n))
#define BIT_ULL(n)		(1ULL << (n))
#define U32_MAX			(~0U)
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
#define max_t(t, a, b)		max((t)(a), (t)(b))
#define MAX_PAGE_ORDER		10
#define HPAGE_PMD_ORDER		9
#define READ_ONCE(x)		(x)
#define WRITE_ONCE(x, v)	((x) = (v))
#define NUMA_NO_NODE		(-1)
#define MEMBLOCK_NONE		0
#define early_room_flags()	MEMBLOCK_NONE
#define CC_ATTR_MEM_ENCRYPT	0

struct list_head { struct list_head *next, *prev; };
struct rb_node { void *p; };
struct rb_root { struct rb_node *rb_node; };
struct mutex { int held; };
struct xarray { void *p; };
struct page;
struct folio;
struct mem_cgroup;

/* Of the kernel's own headers, as far as inline functions of pkram.h call them. */
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
	for (i = max_pfn; machine_last_free(&i, from, to);)
int memblock_reserve(phys_addr_t base, phys_addr_t size);
int memblock_phys_free(phys_addr_t base, phys_addr_t size);
bool memblock_is_region_reserved(phys_addr_t base, phys_addr_t size);
phys_addr_t memblock_reserve_sorted_size(unsigned long nr);
int memblock_reserve_sorted(bool (*next)(void *ctx, phys_addr_t *base, phys_addr_t *size),
			    void *ctx, unsigned long nr, phys_addr_t room);

/* The architecture. */
bool arch_pkram_next_ram(unsigned int *i, u64 *start, u64 *end);
u64 arch_pkram_avoid(u64 start, u64 end);
u64 arch_pkram_ticks(void);

#define pr_info(...)		((void)0)
#define pr_err(...)		((void)0)
#define pr_warn(...)		((void)0)

#endif /* _PKRAM_EARLY_KERNEL_H */
