// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: which 2 MiB blocks hold preserved pages.
 */
#include <linux/bitmap.h>
#include <linux/crash_reserve.h>
#include <linux/kexec.h>
#include <linux/memblock.h>
#include <linux/memory.h>
#include <linux/memory_hotplug.h>
#include <linux/pkram.h>
#include <linux/pkram_compat.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/vmalloc.h>
#include <asm/pkram.h>

#include "pkram.h"

/**
 * DOC: preserved blocks
 *
 * The next kernel must not touch a preserved page before it knows all of them.
 * What it learns first is a map with one bit for each block of 2 MiB, so that
 * what it has to reserve depends on how many blocks are touched and not on how
 * many pages are preserved.
 *
 * This kernel counts the preserved pages of every block. The bit of a block is
 * set while its counter is not zero. The map is always up to date; the seal only
 * adds checksums. kexec also reads it to keep segments away from preserved
 * memory.
 *
 * The counters are allocated with the first node, the map exists from boot on.
 *
 * Locking: pkram_blocks_lock protects the counters and the bits. It is the
 * innermost lock, taken under i_pages locks and therefore with interrupts off.
 * Readers of single bits need no lock, but pkram_kexec_sem if
 * they want them to stay.
 */

/** pkram_nr_blocks - blocks that the map covers; 0 when PKRAM is off */
u64 pkram_nr_blocks __ro_after_init;

static struct pkram_map *pkram_map __ro_after_init;
static struct pkram_map *pkram_map_twin __ro_after_init;
static DEFINE_SPINLOCK(pkram_blocks_lock);
static DEFINE_MUTEX(pkram_blocks_init_mutex);

/* Preserved pages in each block; NULL until something is stored. */
static u32 *pkram_counts;

/* Blocks whose bit is set, all of them and those below 4 GiB, and in how many runs they are. */
static u64 pkram_touched, pkram_touched_low, pkram_nr_runs;

/**
 * pkram_blocks_setup - say where the map is
 * @map:       map pages; bits set in it stay set
 * @twin:      their copy, NULL if there is none
 * @nr_blocks: blocks to look after, no more than they cover
 */
void __init pkram_blocks_setup(struct pkram_map *map, struct pkram_map *twin, u64 nr_blocks)
{
	pkram_map = map;
	pkram_map_twin = twin;
	pkram_nr_blocks = nr_blocks;
}

/* Blocks of the super block and its copy, the map, and its copy: their bits stay set. */
static struct {
	u64 first;
	u64 last;
} pins[3];
static unsigned int nr_pins;

static bool block_is_low(u64 block)
{
	return block < SZ_4G >> (PAGE_SHIFT + PKRAM_BLOCK_ORDER);
}

/**
 * pkram_blocks_init - have the counters
 * @gfp: allocation flags
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int pkram_blocks_init(gfp_t gfp)
{
	u64 block, touched;
	unsigned int i;
	u32 *counts;

	if (likely(READ_ONCE(pkram_counts)))
		return 0;

	guard(mutex)(&pkram_blocks_init_mutex);
	if (pkram_counts)
		return 0;
	/* one more, so that each block has a neighbour */
	counts = kvcalloc(pkram_nr_blocks + 1, sizeof(*counts), gfp);
	if (!counts)
		return -ENOMEM;
	pkram_nr_runs = pkram_runs_count(pkram_map, pkram_nr_blocks, &touched);
	for (i = 0; i < nr_pins; i++) {
		for (block = pins[i].first; block <= pins[i].last; block++) {
			if (counts[block]++)
				continue;
			pkram_touched++;
			pkram_touched_low += block_is_low(block);
		}
	}
	/* pairs with the dependency of readers of a counter */
	smp_store_release(&pkram_counts, counts);
	return 0;
}

static void pkram_map_change(u64 block, bool set)
{
	pkram_map_put(pkram_map, block, set);
	if (pkram_map_twin)
		pkram_map_put(pkram_map_twin, block, set);
}

/* How many more runs are there if this block is a run of its own, as one with neighbours is not? */
static int block_adds_runs(u64 block)
{
	/* the first block is never touched, and there is one more counter than blocks */
	return 1 - !!pkram_counts[block - 1] - !!pkram_counts[block + 1];
}

/**
 * pkram_blocks_add - count pages as preserved
 * @pfn: first page
 * @nr:  how many, all within the map
 *
 * Context: any; the caller holds pkram_kexec_sem and made sure that the pages
 * are not banned.
 *
 * Return: how many blocks had no preserved page before.
 */
u64 pkram_blocks_add(u64 pfn, u64 nr)
{
	unsigned long flags;
	u64 touched = 0;

	spin_lock_irqsave(&pkram_blocks_lock, flags);
	while (nr) {
		u64 block = pfn >> PKRAM_BLOCK_ORDER;
		u64 n = min(nr, PKRAM_BLOCK_PAGES - pfn % PKRAM_BLOCK_PAGES);

		if (!pkram_counts[block]) {
			pkram_map_change(block, true);
			pkram_touched++;
			pkram_touched_low += block_is_low(block);
			pkram_nr_runs += block_adds_runs(block);
			touched++;
		}
		pkram_counts[block] += n;
		pfn += n;
		nr -= n;
	}
	spin_unlock_irqrestore(&pkram_blocks_lock, flags);
	return touched;
}

/**
 * pkram_blocks_sub - count pages as no longer preserved
 * @pfn: first page
 * @nr:  how many, all of them counted before
 *
 * Context: any.
 */
void pkram_blocks_sub(u64 pfn, u64 nr)
{
	unsigned long flags;

	spin_lock_irqsave(&pkram_blocks_lock, flags);
	while (nr) {
		u64 block = pfn >> PKRAM_BLOCK_ORDER;
		u64 n = min(nr, PKRAM_BLOCK_PAGES - pfn % PKRAM_BLOCK_PAGES);

		pkram_counts[block] -= n;
		if (!pkram_counts[block]) {
			pkram_map_change(block, false);
			pkram_touched--;
			pkram_touched_low -= block_is_low(block);
			pkram_nr_runs -= block_adds_runs(block);
		}
		pfn += n;
		nr -= n;
	}
	spin_unlock_irqrestore(&pkram_blocks_lock, flags);
}

/**
 * pkram_blocks_count - preserved pages in a block
 * @block: below pkram_nr_blocks
 *
 * Context: any; it may change at any moment unless the caller prevents that.
 *
 * Return: how many there are; %U32_MAX if the super block or the map, which are
 * never anywhere else, are in it.
 */
u64 pkram_blocks_count(u64 block)
{
	u32 *counts = READ_ONCE(pkram_counts);
	unsigned int i;

	for (i = 0; i < nr_pins; i++)
		if (block >= pins[i].first && block <= pins[i].last)
			return U32_MAX;
	return counts ? READ_ONCE(counts[block]) : 0;
}

/**
 * pkram_blocks_adopt - count the blocks of an inherited map
 *
 * How many pages of a block are preserved is not known before its nodes are adopted. Until
 * pkram_leftover_free() says which are not, all of them count: none can be used for
 * anything else, and the next kernel has to reserve the block if a kexec comes first. The
 * same goes for blocks that early boot joined, in which no node has pages.
 *
 * Context: boot, before anything else changes the map.
 */
void __init pkram_blocks_adopt(void)
{
	u64 block = 0, touched;
	unsigned int i;
	u32 *counts;

	/* the map may become longer; one more, as in pkram_blocks_init() */
	counts = kvcalloc(max(pkram_nr_blocks, DIV_ROUND_UP(max_pfn, PKRAM_BLOCK_PAGES)) + 1,
			  sizeof(*counts), GFP_KERNEL | __GFP_NOFAIL);
	while ((block = pkram_map_next(pkram_map, pkram_nr_blocks, block, true)) <
	       pkram_nr_blocks) {
		counts[block] = PKRAM_BLOCK_PAGES;
		for (i = 0; i < nr_pins; i++)
			counts[block] += block >= pins[i].first && block <= pins[i].last;
		pkram_touched++;
		pkram_touched_low += block_is_low(block);
		block++;
	}
	pkram_nr_runs = pkram_runs_count(pkram_map, pkram_nr_blocks, &touched);
	/* as in pkram_blocks_init() */
	smp_store_release(&pkram_counts, counts);
}

/**
 * pkram_blocks_pin - mark the super block or the map as preserved permanently
 * @pfn: first page
 * @nr:  how many
 *
 * They are protected before there are counters. There are at most three such places.
 */
void __init pkram_blocks_pin(u64 pfn, u64 nr)
{
	u64 block;

	pins[nr_pins].first = pfn >> PKRAM_BLOCK_ORDER;
	pins[nr_pins].last = (pfn + nr - 1) >> PKRAM_BLOCK_ORDER;
	for (block = pins[nr_pins].first; block <= pins[nr_pins].last; block++) {
		if (pkram_counts)
			pkram_blocks_add(block << PKRAM_BLOCK_ORDER, 1);
		else
			pkram_map_change(block, true);
	}
	nr_pins++;
}

/**
 * pkram_blocks_pin_map - the map and its copy are elsewhere now
 * @map_pfn:  first page of the map
 * @twin_pfn: and of its copy
 * @nr:       pages in each
 *
 * Context: boot, after pkram_blocks_adopt().
 */
void __init pkram_blocks_pin_map(u64 map_pfn, u64 twin_pfn, u64 nr)
{
	u64 block;

	/* the super block came first, and stays */
	while (nr_pins > 1) {
		nr_pins--;
		for (block = pins[nr_pins].first; block <= pins[nr_pins].last; block++)
			pkram_blocks_sub(block << PKRAM_BLOCK_ORDER, 1);
	}
	pkram_blocks_pin(map_pfn, nr);
	pkram_blocks_pin(twin_pfn, nr);
}

/*
 * Blocks in which nothing is RAM for the firmware: the next kernel does not see them, even
 * if memory was added there and is in use now. Nor does it see what there is no place for
 * in its memory map. Blocks in which KHO starts the next kernel
 * count as such. Looked at only once there is such memory.
 */
static unsigned long *no_ram __ro_after_init;

/* Blocks of RAM that the next kernel has, the map may not cover all of it. */
static u64 ram_blocks __ro_after_init = U64_MAX;

/** pkram_memory_added - memory in use is not there for the next kernel to keep */
bool pkram_memory_added __read_mostly;

#ifdef CONFIG_MEMORY_HOTPLUG
static int blocks_memory_notify(struct notifier_block *nb, unsigned long action, void *data)
{
	const struct memory_notify *mem = data;

	/* before any of it can be allocated */
	if (action == MEM_GOING_ONLINE &&
	    pkram_blocks_ram(mem->start_pfn, mem->nr_pages) < mem->nr_pages)
		WRITE_ONCE(pkram_memory_added, true);
	return NOTIFY_OK;
}
#endif

/* Clear the bits of blocks with RAM. Returns how many blocks of it are beyond the map. */
static u64 __init clear_ram(unsigned long *bits,
			    bool (*next)(unsigned int *i, u64 *start, u64 *end))
{
	const u64 covered = pkram_nr_blocks << PKRAM_BLOCK_ORDER;
	u64 start, end, first, last, above = 0;
	unsigned int i = 0;

	bitmap_fill(bits, pkram_nr_blocks);
	while (next(&i, &start, &end)) {
		first = start >> PKRAM_BLOCK_ORDER;
		last = min((end - 1) >> PKRAM_BLOCK_ORDER, pkram_nr_blocks - 1);
		if (first <= last)
			bitmap_clear(bits, first, last - first + 1);
		if (end > covered)
			above += end - max(start, covered);
	}
	return above >> PKRAM_BLOCK_ORDER;
}

/**
 * pkram_blocks_find_ram - remember which blocks the firmware calls RAM
 *
 * Context: boot, before memory can be added.
 */
void __init pkram_blocks_find_ram(void)
{
	const unsigned int nr = BITS_TO_LONGS(pkram_nr_blocks);
	unsigned long *untold;
	u64 above, block;

	no_ram = kvcalloc(nr, sizeof(long), GFP_KERNEL | __GFP_NOFAIL);
	untold = kvcalloc(nr, sizeof(long), GFP_KERNEL | __GFP_NOFAIL);
	clear_ram(no_ram, arch_pkram_next_ram);
	above = clear_ram(untold, arch_pkram_next_told);
	if (!bitmap_subset(untold, no_ram, pkram_nr_blocks)) {
		bitmap_or(no_ram, no_ram, untold, pkram_nr_blocks);
		pkram_memory_added = true;
	}
	kvfree(untold);
	ram_blocks = pkram_nr_blocks - bitmap_weight(no_ram, pkram_nr_blocks) + above;
	for (block = 0; block < pkram_nr_blocks; block++) {
		if (is_kho_scratch(PFN_PHYS(block << PKRAM_BLOCK_ORDER), SZ_2M)) {
			__set_bit(block, no_ram);
			pkram_memory_added = true;
		}
	}
#ifdef CONFIG_MEMORY_HOTPLUG
	hotplug_memory_notifier(blocks_memory_notify, DEFAULT_CALLBACK_PRI);
#endif
}

/**
 * pkram_blocks_ram - how many pages from @pfn on can the next kernel find in place?
 * @pfn: first page
 * @nr:  how many are asked about
 *
 * Context: any.
 *
 * Return: 0 to @nr. What the boot loader takes away from the next kernel is not known here.
 */
u64 pkram_blocks_ram(u64 pfn, u64 nr)
{
	u64 block = pfn >> PKRAM_BLOCK_ORDER, last = (pfn + nr - 1) >> PKRAM_BLOCK_ORDER;

	if (!nr)
		return 0;
	for (; block <= last; block++)
		if (block >= pkram_nr_blocks || test_bit(block, no_ram))
			break;
	block <<= PKRAM_BLOCK_ORDER;
	return block <= pfn ? 0 : min(nr, block - pfn);
}

static u64 crash_blocks(void)
{
	u64 bytes = 0;

#ifdef CONFIG_CRASH_RESERVE
	bytes = resource_size(&crashk_res) + resource_size(&crashk_low_res);
#endif
	return bytes >> (PAGE_SHIFT + PKRAM_BLOCK_ORDER);
}

/* Does a kernel boot if @times as many blocks are touched, or joined by it, as now? */
static bool room_for(unsigned int times)
{
	/* without what was added since boot */
	u64 ram = min_t(u64, totalram_pages() >> PKRAM_BLOCK_ORDER, ram_blocks);
	u64 low = min_t(u64, max_low_pfn >> PKRAM_BLOCK_ORDER, ram);
	u64 touched = READ_ONCE(pkram_touched);

	touched += pkram_runs_cost(pkram_nr_blocks, READ_ONCE(pkram_nr_runs), touched);
	return times * touched + pkram_boot_blocks(ram) + crash_blocks() <= ram &&
	       times * READ_ONCE(pkram_touched_low) + 32 <= low;
}

/**
 * pkram_blocks_runs() - tell how many runs touched blocks are in
 *
 * Context: any; after pkram_blocks_init().
 *
 * Return: the number of the moment.
 */
u64 pkram_blocks_runs(void)
{
	return READ_ONCE(pkram_nr_runs);
}

/**
 * pkram_blocks_room - would the next kernel still have room to boot?
 *
 * Early boot can use none of a touched block, nor of those that it reserves because
 * there are too many runs (runs.c). It needs memory for the kernel
 * and its initrd, struct pages (1/64 of RAM), page tables, percpu areas, the
 * crash kernel and DMA below 4 GiB. 96 MiB plus 1/32 of RAM, and 64 MiB below
 * 4 GiB, have been enough in every configuration that was tried.
 *
 * Return: true if what is preserved now leaves that much.
 */
bool pkram_blocks_room(void)
{
	return room_for(1);
}

/**
 * pkram_blocks_scarce - should blocks be used with care?
 *
 * Return: true if more than half of the blocks are touched that may be. As long as
 * the rest is filled page by page, about as much can be preserved as fits into all.
 */
bool pkram_blocks_scarce(void)
{
	return !room_for(2);
}

/**
 * pkram_next_preserved - find preserved memory for kexec
 * @start: first address
 * @end:   last address
 * @ret_end: output, last address of the run of blocks found
 *
 * Context: caller holds the kexec lock, see pkram_kexec_begin().
 *
 * Return: address of the first preserved block that overlaps, 0 if none does.
 */
unsigned long pkram_next_preserved(unsigned long start, unsigned long end,
				   unsigned long *ret_end)
{
	const unsigned int shift = PAGE_SHIFT + PKRAM_BLOCK_ORDER;
	u64 last = min((u64)end >> shift, pkram_nr_blocks - 1) + 1;
	u64 block;

	if (!pkram_nr_blocks)
		return 0;
	block = pkram_map_next(pkram_map, last, start >> shift, true);
	if (block >= last)
		return 0;
	*ret_end = (pkram_map_next(pkram_map, pkram_nr_blocks, block, false) << shift) - 1;
	return block << shift;
}
