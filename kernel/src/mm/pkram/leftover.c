// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: pages of preserved blocks that no node claims.
 */
#include <linux/memblock.h>
#include <linux/mm.h>
#include <linux/page-isolation.h>
#include <linux/pkram.h>
#include <linux/pkram_compat.h>

#include "../internal.h"
#include "claim.h"
#include "leftover.h"
#include "pkram.h"

/**
 * DOC: pages that no node claims
 *
 * Blocks are reserved as a whole. Pages that no node has claimed when all nodes are
 * checked are given to the page allocator, except what was busy before.
 *
 * All of the blocks counts as managed memory from pkram_leftover_init() on, long before
 * that: the sizes that the kernel and programs derive from the amount of memory do not
 * depend on how far adoption has come.
 *
 * A page is one of those if it is reserved. So no page that was claimed may be freed before
 * they are: others can reserve pages that they allocate, as kexec does with those of an
 * image. A node that is removed earlier is kept until adoption ends, as are metadata pages
 * of the previous kernel: node_keep(), pkram_free_meta(). A caller that takes pages out
 * of such a node waits: pkram_prepare_load().
 */

/*
 * Where the struct pages of most of memory are made late, the page blocks of what is
 * reserved are left without a type, which reads as that of unmovable memory.
 * Pages of files can be moved once they are not preserved any more.
 */
static void __init make_movable(struct page *page)
{
	/* not with the other half, which may be in use */
	if (pageblock_order <= PKRAM_BLOCK_ORDER)
		init_pageblock_migratetype(page, MIGRATE_MOVABLE, false);
}

/*
 * A page of a block with pages of others, or holes, or of two zones: is it ours, and
 * managed from the beginning? What the firmware has may be ours, if a node claims it.
 */
static bool page_is_ours(u64 pfn)
{
	/* may not even have a struct page */
	return !pkram_busy_test(&pkram_early.others, pfn);
}

static bool page_is_firmware(u64 pfn)
{
	return pkram_busy_test(&pkram_early.firmware, pfn);
}

static u64 __init mixed_block_init(u64 block)
{
	u64 pfn = block << PKRAM_BLOCK_ORDER, end = pfn + PKRAM_BLOCK_PAGES, nr = 0;
	bool movable = false;

	for (; pfn < end; pfn++) {
		if (!page_is_ours(pfn))
			continue;
		if (!movable)
			make_movable(pfn_to_page(pfn));
		movable = true;
		if (page_is_firmware(pfn))
			continue;
		adjust_managed_page_count(pfn_to_page(pfn), 1);
		nr++;
	}
	return nr;
}

/**
 * pkram_leftover_init() - count the pages of preserved blocks as managed
 *
 * Context: boot, after pkram_claims_init(), before any page is freed.
 *
 * Return: how many there are.
 */
u64 __init pkram_leftover_init(void)
{
	const u64 nr_blocks = pkram_claims_nr_blocks();
	struct page *first = NULL, *page;
	u64 block, nr = 0, total = 0;

	for (block = pkram_claims_next(0); block < nr_blocks;
	     block = pkram_claims_next(block + 1)) {
		if (!pkram_claims_clean(block)) {
			total += mixed_block_init(block);
			continue;
		}
		page = pfn_to_page(block << PKRAM_BLOCK_ORDER);
		make_movable(page);
		if (first && page_zone(first) != page_zone(page)) {
			adjust_managed_page_count(first, nr);
			nr = 0;
		}
		first = page;
		nr += PKRAM_BLOCK_PAGES;
		total += PKRAM_BLOCK_PAGES;
	}
	if (first)
		adjust_managed_page_count(first, nr);
	return total;
}

/* Free a page that is counted as managed already. */
static void page_free(struct page *page)
{
	adjust_managed_page_count(page, -1);
	free_reserved_page(page);
}

/* Free the pages of a block that are reserved, one by one. Returns how many. */
static u64 pages_free(u64 block)
{
	u64 pfn = block << PKRAM_BLOCK_ORDER, end = pfn + PKRAM_BLOCK_PAGES, freed = 0;

	for (; pfn < end; pfn++) {
		struct page *page;

		if (!page_is_ours(pfn))
			continue;
		page = pfn_to_page(pfn);
		if (!PageReserved(page)) {
			/* a node has it after all */
			if (page_is_firmware(pfn))
				adjust_managed_page_count(page, 1);
			continue;
		}
		if (page_is_firmware(pfn) || PageHWPoison(page))
			continue;
		page_free(page);
		freed++;
	}
	return freed;
}

static u64 block_free(u64 block)
{
	u32 claimed = pkram_claims_count(block);
	bool simple = pkram_claims_clean(block);
	u64 freed;

	BUILD_BUG_ON(FREE_RESERVED_ORDER != PKRAM_BLOCK_ORDER);

	if (simple && claimed == PKRAM_BLOCK_PAGES)
		return 0;
	/* pages with memory errors need a closer look */
	if (simple && !pkram_poison_any() &&
	    !WARN_ON_ONCE(pkram_blocks_count(block) < PKRAM_BLOCK_PAGES))
		freed = free_reserved_block(pfn_to_page(block << PKRAM_BLOCK_ORDER));
	else
		freed = pages_free(block);
	/* no page of the block has counted as free so far */
	pkram_blocks_sub(block << PKRAM_BLOCK_ORDER, PKRAM_BLOCK_PAGES - claimed);
	return freed;
}

/**
 * pkram_leftover_free() - free what no node claimed
 * @first: first of some blocks of the inherited map
 * @nr:    how many
 *
 * Context: no node claims pages any more. Takes no lock that is held while memory is
 * allocated.
 *
 * Return: pages freed.
 */
u64 pkram_leftover_free(u64 first, u64 nr)
{
	u64 last = min(first + nr, pkram_claims_nr_blocks()), block, freed = 0;

	for (block = pkram_claims_next(first); block < last;
	     block = pkram_claims_next(block + 1)) {
		freed += block_free(block);
		cond_resched();
	}
	return freed;
}

static void busy_free(struct pkram_busy *b)
{
	if (b->room)
		free_reserved_area(__va(b->room), __va(b->room + b->size), -1, NULL);
	b->room = 0;
	b->nr = 0;
}

/**
 * pkram_leftover_done() - free what was needed to know who owns which page
 *
 * Context: after pkram_leftover_free() for all blocks.
 */
void pkram_leftover_done(void)
{
	busy_free(&pkram_early.others);
	busy_free(&pkram_early.firmware);
	pkram_claims_free();
}
