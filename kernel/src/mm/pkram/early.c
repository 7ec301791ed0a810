// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: early boot.
 */
#define pr_fmt(fmt) "pkram: " fmt

#include <linux/cc_platform.h>
#include <linux/crash_dump.h>
#include <linux/init.h>
#include <linux/kstrtox.h>
#include <linux/memblock.h>
#include <linux/pkram.h>
#include <linux/pkram_compat.h>
#include <linux/string.h>
#include <asm/pkram.h>

#include "pkram.h"

/**
 * DOC: reserving preserved memory in early boot
 *
 * pkram_reserve() runs as soon as memblock knows what is RAM and what the boot
 * loader and EFI use, and before it allocates anything above 1 MiB. It looks at the
 * super block and the map, and at nothing else; both are checked before a word
 * of them is used. Where one copy of them is damaged, the other one is used, and the
 * damaged one is repaired. Every run of touched blocks becomes one reserved region. If
 * there are too many, they are joined first, see runs.c.
 *
 * Whole blocks are reserved. Their other pages are freed once the page
 * allocator runs, except pages that were in use before: firmware
 * tables, an initrd, a hole in RAM. Those are remembered as *busy*, however many
 * there are, and a node that claims one of them is damaged; the others are not. What
 * the firmware has in RAM that becomes known later only stays reserved as far as no
 * node claims it, see pkram_reserve_busy().
 *
 * pkram_hold_crash() holds the memory that the previous kernel had for its crash kernel, if
 * it is free, until crashkernel= has been dealt with. Allocations in between would break it
 * up, and preserved memory may have left no other piece of that size.
 *
 * The super block is opened here. Should this kernel crash later on, its
 * successor finds an open super block and starts empty.
 *
 * At this point the direct map covers nothing yet; accesses to it are filled in
 * by the early page fault handler.
 */

/* Ticks, one second or so. */
#define PKRAM_TSC_SLACK		BIT_ULL(32)

/* Where busy ranges go as long as they are few. Used until adoption ends. */
static struct pkram_pfn_range few_others[64];
static struct pkram_pfn_range few_firmware[64];

struct pkram_early pkram_early = {
	.others = { .range = few_others, .max = ARRAY_SIZE(few_others) },
	.firmware = { .range = few_firmware, .max = ARRAY_SIZE(few_firmware) },
};

static u64 pkram_param __initdata;
static bool pkram_param_given __initdata;

static int __init pkram_setup(char *arg)
{
	/* A word without a value means nothing, see pkram_cmdline_find(). */
	if (!arg)
		return 0;
	pkram_param_given = true;
	if (kstrtou64(arg, 16, &pkram_param))
		pkram_param = 0;
	return 0;
}
early_param("pkram", pkram_setup);

/*
 * Take the word that kexec_file_load() of the previous kernel put in front out of the
 * command line, so that /proc/cmdline does not show it. All users can read that file,
 * and programs copy it to boot loader configurations. The word can be told by its 16
 * digits. Any other pkram= comes from the caller of kexec or from the boot loader, and
 * stays.
 */
static void __init param_hide(void)
{
	size_t len = PKRAM_PARAM_LEN - 1;

	if (!pkram_booted_by_kexec() ||
	    strncmp(boot_command_line, "pkram=0x", strlen("pkram=0x")) ||
	    strcspn(boot_command_line, " ") != len)
		return;
	if (boot_command_line[len])
		len++;
	memmove(boot_command_line, boot_command_line + len,
		strlen(boot_command_line + len) + 1);
}

/* Is all of it RAM, and of one range? */
static bool __init is_ram(u64 pfn, u64 nr)
{
	u64 start = 0, end = 0;
	unsigned int i = 0;

	while (end <= pfn)
		if (!arch_pkram_next_ram(&i, &start, &end))
			return false;
	return start <= pfn && nr <= end - pfn;
}

static bool __init next_run(const struct pkram_map *map, u64 nr_blocks, u64 *start, u64 *end)
{
	*start = pkram_map_next(map, nr_blocks, *end, true);
	*end = pkram_map_next(map, nr_blocks, *start, false);
	return *start < nr_blocks;
}

/* Room that overlaps neither reserved nor preserved memory, nor what EFI or KHO may keep. */
static phys_addr_t __init find_room(const struct pkram_map *map, u64 nr_blocks,
				    phys_addr_t size)
{
	phys_addr_t from, to;
	u64 i;

	for_each_free_mem_range_reverse(i, NUMA_NO_NODE, early_room_flags(), &from, &to, NULL) {
		u64 low = PFN_UP(from), high = PFN_DOWN(to), start, end, past;
		u64 nr = PFN_UP(size);

		low = max_t(u64, low, PKRAM_MIN_PFN);
		while (low + nr <= high) {
			end = low >> PKRAM_BLOCK_ORDER;
			if (next_run(map, nr_blocks, &start, &end) &&
			    start << PKRAM_BLOCK_ORDER < low + nr) {
				low = end << PKRAM_BLOCK_ORDER;
				continue;
			}
			past = arch_pkram_avoid(PFN_PHYS(low), PFN_PHYS(low + nr));
			if (!past)
				return PFN_PHYS(low);
			low = PFN_UP(past);
		}
	}
	return 0;
}

/* Make room for one more range by joining the two that have the least between them. */
static void __init busy_squeeze(struct pkram_busy *b)
{
	unsigned int i, best = 0;

	for (i = 1; i + 1 < b->nr; i++)
		if (b->range[i + 1].start - b->range[i].end <
		    b->range[best + 1].start - b->range[best].end)
			best = i;
	b->range[best].end = b->range[best + 1].end;
	b->nr--;
	memmove(&b->range[best + 1], &b->range[best + 2],
		(b->nr - best - 1) * sizeof(b->range[0]));
}

/*
 * Move to an array for @nr ranges. Where there is no memory for it, ranges next to each
 * other will be joined: more pages count as busy then, which costs the nodes that have
 * them and no others.
 */
static void __init busy_grow(struct pkram_busy *b, const struct pkram_map *map,
			     u64 nr_blocks, unsigned int nr)
{
	phys_addr_t size = PAGE_ALIGN((phys_addr_t)nr * sizeof(b->range[0]));
	phys_addr_t room = find_room(map, nr_blocks, size);
	struct pkram_pfn_range *range;

	if (!room || memblock_reserve(room, size))
		return;
	range = __va(room);
	memcpy(range, b->range, b->nr * sizeof(b->range[0]));
	if (b->room)
		memblock_phys_free(b->room, b->size);
	b->range = range;
	b->max = size / sizeof(b->range[0]);
	b->room = room;
	b->size = size;
}

/* The first range that ends at @pfn or above. */
static unsigned int busy_find(const struct pkram_busy *b, u64 pfn)
{
	unsigned int low = 0, high = b->nr;

	while (low < high) {
		unsigned int middle = low + (high - low) / 2;

		if (b->range[middle].end < pfn)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Add pages, joined with what they overlap or touch. */
static void __init busy_add(struct pkram_busy *b, const struct pkram_map *map, u64 nr_blocks,
			    u64 start, u64 end)
{
	unsigned int i = busy_find(b, start), last = i;

	for (; last < b->nr && b->range[last].start <= end; last++) {
		start = min(start, b->range[last].start);
		end = max(end, b->range[last].end);
	}
	if (last > i) {
		b->range[i] = (struct pkram_pfn_range) { start, end };
		memmove(&b->range[i + 1], &b->range[last],
			(b->nr - last) * sizeof(b->range[0]));
		b->nr -= last - i - 1;
		return;
	}
	if (b->nr == b->max)
		busy_grow(b, map, nr_blocks, 2 * b->max);
	if (b->nr == b->max) {
		busy_squeeze(b);
		busy_add(b, map, nr_blocks, start, end);
		return;
	}
	memmove(&b->range[i + 1], &b->range[i], (b->nr - i) * sizeof(b->range[0]));
	b->range[i] = (struct pkram_pfn_range) { start, end };
	b->nr++;
}

/**
 * pkram_busy_test - is a page in one of the ranges?
 * @b:   the ranges
 * @pfn: the page
 *
 * Context: until adoption ends.
 *
 * Return: whether it is.
 */
bool pkram_busy_test(const struct pkram_busy *b, u64 pfn)
{
	unsigned int i = busy_find(b, pfn + 1);

	return i < b->nr && pfn >= b->range[i].start;
}

/*
 * Add those of the pages from @first to below @last that are in touched blocks, or only
 * count them if @b is NULL. Returns how many pieces there are.
 */
static unsigned int __init busy_add_touched(struct pkram_busy *b, const struct pkram_map *map,
					    u64 nr_blocks, u64 first, u64 last)
{
	u64 start, end = first >> PKRAM_BLOCK_ORDER;
	unsigned int nr = 0;

	while (first < last && next_run(map, nr_blocks, &start, &end) &&
	       start << PKRAM_BLOCK_ORDER < last) {
		if (b)
			busy_add(b, map, nr_blocks, max(first, start << PKRAM_BLOCK_ORDER),
				 min(last, end << PKRAM_BLOCK_ORDER));
		nr++;
	}
	return nr;
}

/* What in touched blocks is not ours to take, or not RAM at all; @b as above. */
static unsigned int __init busy_add_all(struct pkram_busy *b, const struct pkram_map *map,
					u64 nr_blocks)
{
	u64 i, start, end, last = nr_blocks << PKRAM_BLOCK_ORDER, at = 0;
	unsigned int ram = 0, nr = 0;
	phys_addr_t from, to;

	for_each_reserved_mem_range(i, &from, &to)
		nr += busy_add_touched(b, map, nr_blocks, PFN_DOWN(from), PFN_UP(to));
	while (arch_pkram_next_ram(&ram, &start, &end)) {
		nr += busy_add_touched(b, map, nr_blocks, at, min(start, last));
		at = end;
	}
	return nr + busy_add_touched(b, map, nr_blocks, at, last);
}

static void __init find_busy(const struct pkram_map *map, u64 nr_blocks)
{
	unsigned int nr = busy_add_all(NULL, map, nr_blocks);

	/* before the walk, because it changes memblock's list of what is reserved */
	if (nr > pkram_early.others.max)
		busy_grow(&pkram_early.others, map, nr_blocks, nr);
	busy_add_all(&pkram_early.others, map, nr_blocks);
}

struct run_iter {
	const struct pkram_map *map;
	u64 nr_blocks;
	u64 end;
};

static bool __init run_next(void *ctx, phys_addr_t *base, phys_addr_t *size)
{
	struct run_iter *it = ctx;
	u64 start;

	if (!next_run(it->map, it->nr_blocks, &start, &it->end))
		return false;
	*base = PFN_PHYS(start << PKRAM_BLOCK_ORDER);
	*size = PFN_PHYS((it->end - start) << PKRAM_BLOCK_ORDER);
	return true;
}

/* Pages that are reserved for the only reason that a block is touched. */
static unsigned long reserved_pages __initdata;

/**
 * pkram_reserved_pages - memory that is reserved but becomes ordinary later on
 *
 * Context: boot, before pkram_init().
 *
 * Return: pages, whether preserved or free in a preserved block.
 */
unsigned long __init pkram_reserved_pages(void)
{
	return reserved_pages;
}

static int __init reserve_runs(const struct pkram_map *map, u64 nr_blocks)
{
	struct run_iter it = { .map = map, .nr_blocks = nr_blocks };
	phys_addr_t size, room = 0;
	u64 start, end = 0, pages = 0;
	unsigned long nr = 0;
	unsigned int i;
	int err;

	while (next_run(map, nr_blocks, &start, &end)) {
		pages += (end - start) << PKRAM_BLOCK_ORDER;
		nr++;
	}
	for (i = 0; i < pkram_early.others.nr; i++)
		pages -= pkram_early.others.range[i].end - pkram_early.others.range[i].start;
	size = memblock_reserve_sorted_size(nr);
	if (size) {
		room = find_room(map, nr_blocks, size);
		if (!room)
			return -ENOMEM;
	}
	err = memblock_reserve_sorted(run_next, &it, nr, room);
	if (err)
		return err;
	reserved_pages = pages;
	pr_info("%lu runs of 2 MiB blocks reserved, %llu pages, memblock has %lu reserved regions\n",
		nr, pages, memblock.reserved.cnt);
	return 0;
}

/* Is it RAM, and not in use by firmware or boot loader? */
static bool __init is_readable(u64 pfn, u64 nr)
{
	return pfn >= PKRAM_MIN_PFN && pfn < max_pfn && is_ram(pfn, nr) &&
	       !memblock_is_region_reserved(PFN_PHYS(pfn), PFN_PHYS(nr));
}

/*
 * Find a super block that can be used: the one at @pfn, or its copy. Returns what
 * pkram_check_super() says; the memory of the other is not looked at if it is bad.
 */
static int __init find_super(u64 pfn, struct pkram_super **ret)
{
	int result = PKRAM_BOOT_NOTHING, twin_result = PKRAM_BOOT_NOTHING;
	u64 twin = pkram_twin(pfn);
	struct pkram_super *sb;
	bool good, twin_good;

	if (is_readable(pfn, 1)) {
		sb = __va(PFN_PHYS(pfn));
		result = pkram_check_super(sb, pfn, max_pfn);
		*ret = sb;
		if (result == PKRAM_BOOT_RESTORED && pkram_is_alone(sb))
			return result;
	}
	if (is_readable(twin, 1)) {
		sb = __va(PFN_PHYS(twin));
		twin_result = pkram_check_super(sb, twin, max_pfn);
		if (pkram_pick_result(result, twin_result) != result)
			*ret = sb;
	}
	good = result == PKRAM_BOOT_RESTORED;
	twin_good = twin_result == PKRAM_BOOT_RESTORED;
	if (good != twin_good && (good || !pkram_is_alone(*ret)))
		pr_warn("one copy of the super block is damaged, the other one is used\n");
	return pkram_pick_result(result, twin_result);
}

static bool __init map_page_good(const struct pkram_super *sb, const struct pkram_map *map,
				 u64 pfn)
{
	return !pkram_check_page(&map->hdr, PKRAM_PAGE_MAP, pfn, le64_to_cpu(sb->hdr.chain),
				 le64_to_cpu(sb->hdr.generation)) &&
	       le32_to_cpu(map->hdr.length) == PAGE_SIZE;
}

static void __init map_page_copy(const struct pkram_map *from, struct pkram_map *to, u64 pfn)
{
	memcpy(to, from, PAGE_SIZE);
	to->hdr.pfn = cpu_to_le64(pfn);
	pkram_page_finish(&to->hdr);
}

/*
 * Find the map, and mend it and its copy page by page: each page has to be good in one of
 * them. Sets map_pfn and map_twin_pfn in pkram_early; returns the map, or NULL.
 */
static struct pkram_map *__init find_map(const struct pkram_super *sb)
{
	u64 pfn = le64_to_cpu(sb->map_pfn), copy_pfn = le64_to_cpu(sb->map_copy_pfn);
	u32 i, nr_map = le32_to_cpu(sb->nr_map), fixed = 0;
	struct pkram_map *map = NULL, *copy = NULL;

	if (is_readable(pfn, nr_map))
		map = __va(PFN_PHYS(pfn));
	if (copy_pfn && is_readable(copy_pfn, nr_map))
		copy = __va(PFN_PHYS(copy_pfn));
	if (!map) {
		map = copy;
		pfn = copy_pfn;
		copy = NULL;
	}
	if (!map)
		return NULL;
	for (i = 0; i < nr_map; i++) {
		bool good = map_page_good(sb, map + i, pfn + i);
		bool copy_good = copy && map_page_good(sb, copy + i, copy_pfn + i);

		if (!good && !copy_good)
			return NULL;
		if (!good)
			map_page_copy(copy + i, map + i, pfn + i);
		else if (copy && !copy_good)
			map_page_copy(map + i, copy + i, copy_pfn + i);
		fixed += !good || (copy && !copy_good);
	}
	if (fixed)
		pr_warn("%u pages of the map were damaged in one of its copies\n", fixed);
	pkram_early.map_pfn = pfn;
	pkram_early.map_twin_pfn = copy ? copy_pfn : 0;
	return map;
}

static bool __init is_touched(const struct pkram_map *map, u64 nr_blocks, u64 pfn, u64 nr)
{
	u64 block = pfn >> PKRAM_BLOCK_ORDER, last = (pfn + nr - 1) >> PKRAM_BLOCK_ORDER;

	return last < nr_blocks && pkram_map_next(map, last + 1, block, false) > last;
}

/* Pages that have to be free beside the memory that is held for a crash kernel. */
#define PKRAM_CRASH_SPARE	((32UL << 20) >> PAGE_SHIFT)

static u64 __init count_free(void)
{
	phys_addr_t from, to;
	u64 i, pages = 0;

	for_each_free_mem_range_reverse(i, NUMA_NO_NODE, MEMBLOCK_NONE, &from, &to, NULL)
		if (PFN_UP(from) < PFN_DOWN(to))
			pages += PFN_DOWN(to) - PFN_UP(from);
	return pages;
}

/**
 * pkram_hold_crash - keep early allocations out of the memory for a crash kernel
 *
 * Memory that is not free is not held, nor is memory that early boot may need.
 *
 * Context: setup_arch(), right after pkram_reserve().
 */
void __init pkram_hold_crash(void)
{
	unsigned int i;

	for (i = 0; i < PKRAM_CRASH_RANGES; i++) {
		struct pkram_pfn_range *r = &pkram_early.crash[i];
		u64 nr = r->end - r->start;

		if (!r->end)
			continue;
		if (!is_ram(r->start, nr) ||
		    memblock_is_region_reserved(PFN_PHYS(r->start), PFN_PHYS(nr)) ||
		    count_free() < nr + PKRAM_CRASH_SPARE ||
		    memblock_reserve(PFN_PHYS(r->start), PFN_PHYS(nr)))
			r->end = 0;
	}
}

/**
 * pkram_release_crash - let crashkernel= have the memory that was held for it
 *
 * Without crashkernel= it becomes ordinary memory.
 *
 * Context: setup_arch(), right before the memory of the crash kernel is reserved.
 */
void __init pkram_release_crash(void)
{
	unsigned int i;

	for (i = 0; i < PKRAM_CRASH_RANGES; i++) {
		struct pkram_pfn_range *r = &pkram_early.crash[i];

		if (r->end)
			memblock_phys_free(PFN_PHYS(r->start), PFN_PHYS(r->end - r->start));
		r->end = 0;
	}
}

static int __init reserve_chain(u64 pfn)
{
	struct pkram_super *sb = NULL;
	struct pkram_map *map;
	u64 nr_blocks, ticks;
	unsigned int i;
	u32 nr_map;
	int ret;

	ret = find_super(pfn, &sb);
	if (ret != PKRAM_BOOT_RESTORED)
		return ret;
	pfn = le64_to_cpu(sb->hdr.pfn);
	/*
	 * The counter goes back when the machine is reset, and memory may live
	 * through that. Small differences come from what is done to it at boot.
	 */
	ticks = arch_pkram_ticks();
	if (sb->sealed_tsc && ticks && le64_to_cpu(sb->sealed_tsc) > ticks + PKRAM_TSC_SLACK)
		return PKRAM_BOOT_STALE;

	map = find_map(sb);
	if (!map)
		return PKRAM_BOOT_DAMAGED;
	nr_map = le32_to_cpu(sb->nr_map);
	nr_blocks = min_t(u64, (u64)nr_map * PKRAM_MAP_BITS,
			  DIV_ROUND_UP(max_pfn, PKRAM_BLOCK_PAGES));
	/* The first block is not for us, and what describes the rest must be in it. */
	if (pkram_map_test(map, 0) || !is_touched(map, nr_blocks, pfn, 1) ||
	    !is_touched(map, nr_blocks, pkram_early.map_pfn, nr_map))
		return PKRAM_BOOT_DAMAGED;
	/* nor must anything that is written on be */
	if (pkram_early.map_twin_pfn &&
	    !is_touched(map, nr_blocks, pkram_early.map_twin_pfn, nr_map))
		return PKRAM_BOOT_DAMAGED;

	for (i = 0; i < PKRAM_CRASH_RANGES; i++)
		if (!pkram_super_crash(sb, i, max_pfn, &pkram_early.crash[i].start,
				       &pkram_early.crash[i].end))
			pkram_early.crash[i].end = 0;

	/* from here on the map has blocks that no node has pages in */
	pkram_runs_join(map, nr_blocks, pkram_early.crash, PKRAM_CRASH_RANGES);
	find_busy(map, nr_blocks);
	ret = reserve_runs(map, nr_blocks);
	if (ret) {
		pr_err("failed to reserve preserved memory: %d\n", ret);
		return PKRAM_BOOT_DAMAGED;
	}

	/* The copy first: as long as it reads sealed, so does the super block. */
	if (!pkram_is_alone(sb) && is_ram(pkram_twin(pfn), 1) &&
	    !pkram_busy_test(&pkram_early.others, pkram_twin(pfn))) {
		struct pkram_super *twin = __va(PFN_PHYS(pkram_twin(pfn)));

		memcpy(twin, sb, PAGE_SIZE);
		twin->hdr.pfn = cpu_to_le64(pkram_twin(pfn));
		twin->seal = cpu_to_le64(PKRAM_OPEN);
	} else {
		sb->hdr.flags |= cpu_to_le32(PKRAM_HDR_ALONE);
	}
	sb->seal = cpu_to_le64(PKRAM_OPEN);
	pkram_early.sb_pfn = pfn;
	pkram_early.nr_blocks = nr_blocks;
	return PKRAM_BOOT_RESTORED;
}

/**
 * pkram_reserve - reserve preserved memory
 *
 * Context: setup_arch(), right after efi_mokvar_table_init().
 */
void __init pkram_reserve(void)
{
	u64 begin = arch_pkram_ticks();

	param_hide();
	if (is_kdump_kernel()) {
		pkram.boot_result = PKRAM_BOOT_OFF;
		if (pkram_param_given)
			pr_info("this is a kdump kernel: pkram= is ignored, preserved memory left alone\n");
		return;
	}
	if (cc_platform_has(CC_ATTR_MEM_ENCRYPT)) {
		pkram.boot_result = PKRAM_BOOT_OFF;
		pr_info("disabled: memory encryption is active\n");
		return;
	}
	if (!pkram_param_given)
		return;
	/*
	 * A boot loader can only know the pfn of an earlier chain, whose memory went
	 * through a reset, and there is no telling what it holds now.
	 */
	if (!pkram_booted_by_kexec()) {
		pkram.boot_result = PKRAM_BOOT_NOTHING;
		pr_info("pkram= (super block at pfn 0x%llx) is ignored: it did not come by kexec\n",
			pkram_param);
		return;
	}

	pkram.boot_result = reserve_chain(pkram_param);
	switch (pkram.boot_result) {
	case PKRAM_BOOT_RESTORED:
		break;
	case PKRAM_BOOT_STALE:
		pr_err("nothing restored: super block at pfn %#llx was not sealed for this boot\n",
		       pkram_param);
		break;
	case PKRAM_BOOT_VERSION:
		pr_err("nothing restored: super block at pfn %#llx has an unknown format\n",
		       pkram_param);
		break;
	case PKRAM_BOOT_DAMAGED:
		pr_err("nothing restored: super block at pfn %#llx or its map is damaged\n",
		       pkram_param);
		break;
	default:
		pr_err("nothing restored: no super block at pfn %#llx\n", pkram_param);
	}
	if (begin)
		pkram_early.cycles = arch_pkram_ticks() - begin;
}

/**
 * pkram_reserve_busy - memory that turned out to be in use by the firmware
 * @start: physical address of the first byte
 * @size:  how many
 *
 * Reserving it leaves no trace where a preserved block is reserved as a whole, and
 * the unused pages of such a block are given to the page allocator. It is more than
 * the tables that are in it, and was the previous kernel's ordinary memory for the
 * rest: a node may have pages there.
 *
 * Context: after pkram_reserve(), before the page allocator runs.
 */
void __init pkram_reserve_busy(phys_addr_t start, phys_addr_t size)
{
	struct pkram_early *e = &pkram_early;

	if (!e->sb_pfn || !size)
		return;
	/* a caller that found a part reserved has not reserved the rest */
	if (busy_add_touched(&e->firmware, __va(PFN_PHYS(e->map_pfn)), e->nr_blocks,
			     PFN_DOWN(start), PFN_UP(start + size)))
		memblock_reserve(start, size);
}
