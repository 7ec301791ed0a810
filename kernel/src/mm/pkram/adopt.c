// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: taking over what the previous kernel preserved.
 */
#define pr_fmt(fmt) "pkram: " fmt

#include <linux/init.h>
#include <linux/memblock.h>
#include <linux/mm.h>
#include <linux/page-isolation.h>
#include <linux/pgalloc_tag.h>
#include <linux/pkram.h>
#include <linux/pkram_compat.h>
#include <linux/slab.h>
#include <linux/string_helpers.h>
#include <trace/events/pkram.h>
#include <asm/pkram.h>

#include "../internal.h"
#include "node.h"
#include "pkram.h"
#include "stream.h"

/**
 * DOC: adopting preserved memory
 *
 * All pages of preserved blocks are reserved: PG_reserved is set, the reference
 * count is one, the page allocator does not know them. Adoption walks the nodes
 * and makes ordinary allocated pages and folios out of what they claim; after
 * that there is no difference any more between a node of the previous kernel
 * and one of this kernel.
 *
 * Claiming a page clears its PG_reserved. A page that does not have it was
 * claimed before, is not in a preserved block, or was never RAM, so the flag is
 * all the bookkeeping there is, and it bounds the walk over chains that may
 * have been damaged. A base page is an ordinary page then, but for the counters
 * of its zone. A node that turns out to be damaged gets walked again to set the
 * flags of everything it had claimed, and is dropped. The others do not notice.
 *
 * Where an extent covers a block of which nothing is claimed, the block is claimed
 * as a whole: only its counter says so, and none of its pages is looked at. A node
 * with such blocks, or with large folios, is walked again when it is known to be good,
 * to make of the pages what they are. This is not undone.
 *
 * Data that is adopted has the page type of memory that is offline until it is loaded
 * or freed, so that it is left out of crash dumps as page cache is.
 *
 * Whatever is still reserved in the preserved blocks in the end is given to the
 * page allocator, except what was busy before, and all of it is counted as
 * managed by its zone then.
 *
 * Runs as a core_initcall: the page allocator and the scheduler are there,
 * deferred struct pages are initialised, no driver runs yet.
 */

/**
 * struct adoption - state of a walk over a node
 * @claimed: pages claimed so far
 * @left:    pages that undoing has still to give back
 * @again:   there are large folios or blocks claimed as a whole: walk again
 */
struct adoption {
	u64 claimed;
	u64 left;
	bool again;
};

/* Of each block, see pkram_blocks_adopt(). */
static u32 *counts __initdata;

static void __init mark_busy(const struct pkram_busy *b)
{
	unsigned int i;
	u64 block;

	for (i = 0; i < b->nr; i++)
		for (block = b->range[i].start >> PKRAM_BLOCK_ORDER;
		     block < pkram_nr_blocks &&
		     block << PKRAM_BLOCK_ORDER < b->range[i].end; block++)
			counts[block] &= ~PKRAM_BLOCK_ALONE;
}

static void __init free_busy(struct pkram_busy *b)
{
	if (b->room)
		free_reserved_area(__va(b->room), __va(b->room + b->size), -1, NULL);
	b->nr = 0;
}

/*
 * Claim a page: the few instructions that early boot takes for each. The compiler
 * would not keep @nr_blocks and @count in registers if they were not arguments.
 */
static __always_inline int claim_page(u64 pfn, u64 nr_blocks, u32 *count)
{
	u64 block = pfn >> PKRAM_BLOCK_ORDER;

	if (unlikely(block >= nr_blocks))
		return PKRAM_DAMAGE_RANGE;
	if (unlikely(!(count[block] & PKRAM_BLOCK_ALONE))) {
		if (count[block] & PKRAM_BLOCK_WHOLE)
			return PKRAM_DAMAGE_TWICE;
		if (!(count[block] & PKRAM_BLOCK_OURS))
			return PKRAM_DAMAGE_RANGE;
		if (pkram_busy_test(&pkram_early.others, pfn))
			return PKRAM_DAMAGE_BUSY;
	}
	if (unlikely(!__test_and_clear_bit(PG_reserved, page_flags_word(pfn_to_page(pfn)))))
		return PKRAM_DAMAGE_TWICE;
	count[block]++;
	return 0;
}

static int __init claim_pages(void *ctx, const u64 *pfn, u32 nr)
{
	const u64 nr_blocks = pkram_nr_blocks;
	struct adoption *a = ctx;
	u32 i, *count = counts;
	int r = 0;

	for (i = 0; i < nr; i++) {
		r = claim_page(pfn[i], nr_blocks, count);
		if (unlikely(r))
			break;
		pkram_page_hide(pfn_to_page(pfn[i]));
	}
	a->claimed += i;
	return r;
}

/*
 * Claim the block that begins at @pfn as a whole. False if a page of it is claimed
 * already, or is not ours.
 */
static bool __init claim_block(u64 pfn)
{
	u64 block = pfn >> PKRAM_BLOCK_ORDER;

	if (block >= pkram_nr_blocks || counts[block] != (PKRAM_BLOCK_OURS | PKRAM_BLOCK_ALONE))
		return false;
	counts[block] = PKRAM_BLOCK_OURS | PKRAM_BLOCK_WHOLE | PKRAM_BLOCK_PAGES;
	return true;
}

static bool __init block_is_whole(u64 pfn)
{
	return counts[pfn >> PKRAM_BLOCK_ORDER] & PKRAM_BLOCK_WHOLE;
}

static int __init claim_range(void *ctx, enum pkram_claim what, u64 pfn, u32 count, u32 order)
{
	u64 start = pfn, end = pfn + ((u64)count << order);
	struct adoption *a = ctx;
	int r = 0;

	a->again |= order;
	while (pfn < end) {
		if (what == PKRAM_CLAIM_DATA && pfn % PKRAM_BLOCK_PAGES == 0 &&
		    end - pfn >= PKRAM_BLOCK_PAGES && claim_block(pfn)) {
			a->again = true;
			pfn += PKRAM_BLOCK_PAGES;
			continue;
		}
		r = claim_page(pfn, pkram_nr_blocks, counts);
		if (unlikely(r))
			break;
		if (what == PKRAM_CLAIM_DATA && !order)
			pkram_page_hide(pfn_to_page(pfn));
		pfn++;
	}
	a->claimed += pfn - start;
	return r;
}

static int __init unclaim_range(void *ctx, enum pkram_claim what, u64 pfn, u32 count, u32 order)
{
	u64 end = pfn + ((u64)count << order);
	struct adoption *a = ctx;

	while (pfn < end) {
		if (!a->left)
			return PKRAM_DAMAGE_TWICE;
		if (block_is_whole(pfn)) {
			counts[pfn >> PKRAM_BLOCK_ORDER] = PKRAM_BLOCK_OURS | PKRAM_BLOCK_ALONE;
			a->left -= PKRAM_BLOCK_PAGES;
			pfn += PKRAM_BLOCK_PAGES;
			continue;
		}
		pkram_page_show(pfn_to_page(pfn));
		__SetPageReserved(pfn_to_page(pfn));
		counts[pfn >> PKRAM_BLOCK_ORDER]--;
		a->left--;
		pfn++;
	}
	return 0;
}

static int __init unclaim_pages(void *ctx, const u64 *pfn, u32 nr)
{
	int r = 0;

	for (; nr && !r; nr--)
		r = unclaim_range(ctx, PKRAM_CLAIM_DATA, *pfn++, 1, 0);
	return r;
}

/* Make a large folio of pages that are reserved or claimed one by one. */
static void __init make_folio(struct page *page, unsigned int order)
{
	unsigned int i;

	__ClearPageReserved(page);
	for (i = 1; i < 1U << order; i++) {
		__ClearPageReserved(page + i);
		set_page_count(page + i, 0);
	}
	prep_compound_page(page, order);
	page_rmappable_folio(page);
	pkram_page_hide(page);
}

/* Second walk, of a node that is kept: its pages become what they are. */
static int __init make_pages(void *ctx, enum pkram_claim what, u64 pfn, u32 count, u32 order)
{
	u64 end = pfn + ((u64)count << order);

	if (what == PKRAM_CLAIM_META)
		return 0;
	order = pkram_folio_order(order);
	for (; order && pfn < end; pfn += 1ULL << order)
		make_folio(pfn_to_page(pfn), order);
	for (; pfn < end; pfn++) {
		__ClearPageReserved(pfn_to_page(pfn));
		pkram_page_hide(pfn_to_page(pfn));
	}
	return 0;
}

static int __init make_none(void *ctx, const u64 *pfn, u32 nr)
{
	return 0;
}

static const void * __init map_page(void *ctx, u64 pfn)
{
	return pfn_to_kaddr(pfn);
}

static const char * const damage_names[] = {
	[PKRAM_DAMAGE_HEADER]	= "bad page header",
	[PKRAM_DAMAGE_CHECKSUM]	= "bad checksum",
	[PKRAM_DAMAGE_BOUNDS]	= "value out of bounds",
	[PKRAM_DAMAGE_RANGE]	= "page outside preserved memory",
	[PKRAM_DAMAGE_TWICE]	= "page claimed twice",
	[PKRAM_DAMAGE_COUNT]	= "totals do not add up",
	[PKRAM_DAMAGE_NAME]	= "bad or duplicate name",
	[PKRAM_DAMAGE_BUSY]	= "page in use by firmware or boot loader",
	[PKRAM_DAMAGE_FEATURE]	= "it needs a feature that this kernel lacks",
};

/* Remember and log a node that is dropped. @page may be anything. */
static void __init drop_node(u64 pfn, int damage, const struct pkram_node_totals *totals,
			     const struct pkram_node_page *page)
{
	u32 len = page ? le32_to_cpu(page->name_len) : 0;
	struct pkram_dropped *d;
	char *printable, *name = NULL;

	pkram.nr_dropped++;
	trace_pkram_drop(pfn, damage);
	if (!page || le32_to_cpu(page->hdr.magic) != PKRAM_MAGIC ||
	    pkram_check_name(page->name, len))
		len = 0;
	if (len)
		name = kmemdup_nul((const char *)page->name, len, GFP_KERNEL);
	printable = kstrdup_quotable(name, GFP_KERNEL);
	pr_err("node '%s' (pfn 0x%llx) dropped: %s\n", printable ?: "?", pfn,
	       damage_names[damage]);
	kfree(printable);
	kfree(name);

	if (pkram.nr_dropped > PKRAM_MAX_DROPPED)
		return;
	d = kzalloc(sizeof(*d), GFP_KERNEL);
	if (!d)
		return;
	d->info.id = pkram.nr_dropped;
	d->info.damage = damage;
	d->info.data_pages = totals->data_pages;
	d->info.meta_pages = totals->meta_pages;
	if (len)
		memcpy(d->info.name, page->name, len);
	list_add_tail(&d->link, &pkram.dropped);
}

static bool __init adopt_node(u64 pfn, __le64 *slot)
{
	struct adoption a = { };
	struct pkram_walker w = {
		.claim = claim_range,
		.claim_pages = claim_pages,
		.map = map_page,
		.ctx = &a,
		.chain = le64_to_cpu(pkram.sb->hdr.chain),
		.generation = pkram_generation(),
	};
	struct pkram_node_totals totals, ignored;
	struct pkram_node_page *page = NULL;
	struct pkram_node *node;
	u64 poisoned;
	int damage;

	damage = pkram_walk_node(&w, pfn, &totals);
	if (a.claimed)
		page = pfn_to_kaddr(pfn);
	if (!damage) {
		node = pkram_node_alloc(page, GFP_KERNEL | __GFP_NOFAIL);
		node->totals = totals;
		node->slot = slot;
		if (!pkram_node_insert(node)) {
			w.claim = make_pages;
			w.claim_pages = make_none;
			if (a.again)
				pkram_walk_node(&w, pfn, &ignored);
			poisoned = pkram_poison_adopt(page);
			if (poisoned)
				pr_err("node at pfn %#llx: memory errors in %llu pages before the kexec, affected objects cannot be loaded\n",
				       pfn, poisoned);
			return true;
		}
		kfree(node);
		damage = PKRAM_DAMAGE_NAME;
	}

	drop_node(pfn, damage, &totals, page);
	a.left = a.claimed;
	w.claim = unclaim_range;
	w.claim_pages = unclaim_pages;
	pkram_walk_node(&w, pfn, &ignored);
	return false;
}

static bool __init claim_one(u64 pfn)
{
	struct adoption a = { };

	return pfn >= PKRAM_MIN_PFN && pfn < PKRAM_MAX_PFN &&
	       !claim_range(&a, PKRAM_CLAIM_META, pfn, 1, 0);
}

static void __init unclaim_one(u64 pfn)
{
	struct adoption a = { .left = 1 };

	unclaim_range(&a, PKRAM_CLAIM_META, pfn, 1, 0);
}

/*
 * The copy of @page was claimed if @claimed. If its memory was bad before the kexec,
 * nothing must ever use it: it stays claimed, but is not counted as preserved. If it
 * is used by others, there is no copy.
 */
static void __init settle_twin(struct pkram_page_hdr *page, bool claimed)
{
	struct page *twin = virt_to_page(pkram_twin_page(page));

	if (!claimed) {
		page->flags |= cpu_to_le32(PKRAM_HDR_ALONE);
		return;
	}
	if (!pkram_is_alone(page))
		return;
	counts[page_to_pfn(twin) >> PKRAM_BLOCK_ORDER]--;
#ifdef CONFIG_MEMORY_FAILURE
	if (!TestSetPageHWPoison(twin))
		num_poisoned_pages_inc(page_to_pfn(twin));
#endif
}

/*
 * Claim a directory page and its copy, and return whichever is good. Nothing is claimed
 * if none is.
 */
static struct pkram_dir *__init claim_dir(u64 pfn)
{
	const u64 pfns[2] = { pfn, pkram_twin(pfn) };
	bool claimed[2];
	unsigned int i;

	for (i = 0; i < 2; i++)
		claimed[i] = claim_one(pfns[i]);
	for (i = 0; i < 2; i++) {
		struct pkram_dir *dir = pfn_to_kaddr(pfns[i]);

		if (!claimed[i] ||
		    pkram_check_page(&dir->hdr, PKRAM_PAGE_DIR, pfns[i],
				     le64_to_cpu(pkram.sb->hdr.chain), pkram_generation()))
			continue;
		if (i)
			pr_warn("directory page at pfn 0x%llx is damaged, its copy is used\n", pfn);
		settle_twin(&dir->hdr, claimed[!i]);
		return dir;
	}
	for (i = 0; i < 2; i++)
		if (claimed[i])
			unclaim_one(pfns[i]);
	return NULL;
}

/*
 * Adopt the nodes that directory pages list. One of which both copies are damaged ends
 * the chain: what it listed, and what came after it, is lost.
 */
static void __init adopt_dirs(void)
{
	struct pkram_super *sb = pkram.sb;
	u64 pfn = le64_to_cpu(sb->dir_pfn), seen = 0, expected = le64_to_cpu(sb->nr_nodes);
	struct pkram_dir *dir, *before = NULL;

	for (; pfn; pfn = le64_to_cpu(dir->hdr.next)) {
		unsigned int i;

		dir = claim_dir(pfn);
		if (!dir)
			break;
		/* if it is the copy, the chain goes through that from now on */
		pkram_dir_link(before, dir->hdr.pfn);
		for (i = 0; i < PKRAM_DIR_SLOTS; i++) {
			if (!dir->slot[i])
				continue;
			seen++;
			if (!adopt_node(le64_to_cpu(dir->slot[i]), &dir->slot[i]))
				dir->slot[i] = 0;
		}
		pkram_dir_adopt(dir);
		before = dir;
	}
	if (pfn)
		pkram_dir_link(before, 0);
	if (seen < expected) {
		pkram.nr_dropped += expected - seen;
		pr_err("directory page at pfn 0x%llx is damaged: %llu nodes dropped, names unknown\n",
		       pfn, expected - seen);
	}
}

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
 * Give the unclaimed pages of a block to the page allocator, and count what was
 * claimed as managed. All of the block has struct pages, of one zone. Returns how
 * many were freed.
 */
static u64 __init finish_block(u64 block)
{
	struct page *page = pfn_to_page(block << PKRAM_BLOCK_ORDER);
	u32 i, claimed = counts[block] & PKRAM_BLOCK_COUNT;

	BUILD_BUG_ON(FREE_RESERVED_ORDER != PKRAM_BLOCK_ORDER);

	make_movable(page);
	adjust_managed_page_count(page, claimed);
	if (IS_ENABLED(CONFIG_MEM_ALLOC_PROFILING))
		for (i = 0; i < PKRAM_BLOCK_PAGES; i++)
			clear_page_tag_ref(page + i);
	return claimed < PKRAM_BLOCK_PAGES ? free_reserved_block(page) : 0;
}

/* The same for a block with pages of others, or holes, or of two zones. */
static u64 __init finish_mixed_block(u64 block)
{
	u64 pfn = block << PKRAM_BLOCK_ORDER, end = pfn + PKRAM_BLOCK_PAGES, freed = 0;
	bool movable = false;

	for (; pfn < end; pfn++) {
		struct page *page = pfn_to_page(pfn);

		/* may not even have a struct page */
		if (pkram_busy_test(&pkram_early.others, pfn))
			continue;
		/* before anything of the block is on a list of free pages */
		if (!movable)
			make_movable(page);
		movable = true;
		if (!PageReserved(page)) {
			clear_page_tag_ref(page);
			adjust_managed_page_count(page, 1);
		} else if (!pkram_busy_test(&pkram_early.firmware, pfn)) {
			free_reserved_page(page);
			freed++;
		}
	}
	return freed;
}

static u64 __init finish_blocks(void)
{
	u64 freed = 0, block = 0;

	while ((block = pkram_map_next(pkram.map, pkram_nr_blocks, block, true)) <
	       pkram_nr_blocks) {
		struct page *first = pfn_to_page(block << PKRAM_BLOCK_ORDER);

		if (counts[block] & (PKRAM_BLOCK_ALONE | PKRAM_BLOCK_WHOLE) &&
		    page_zone_id(first) == page_zone_id(first + PKRAM_BLOCK_PAGES - 1))
			freed += finish_block(block);
		else
			freed += finish_mixed_block(block);
		block++;
		cond_resched();
	}
	return freed;
}

static void __init keep_release(const struct pkram_super *sb)
{
	unsigned int i;

	for (i = 0; i < sizeof(pkram.release) - 1 && sb->release[i]; i++)
		pkram.release[i] = sb->release[i] > 0x20 && sb->release[i] < 0x7f ?
				   sb->release[i] : '?';
}

/**
 * pkram_adopt - adopt what pkram_reserve() found
 *
 * Context: core_initcall.
 */
static void __init pkram_adopt(void)
{
	struct pkram_super *sb = pfn_to_kaddr(pkram_early.sb_pfn);
	u32 nr_map = le32_to_cpu(sb->nr_map);
	struct adoption a = { };
	u64 freed;

	pkram_super_adopt(pkram_early.sb_pfn, pkram_early.map_pfn, pkram_early.map_twin_pfn);
	counts = pkram_blocks_adopt();
	mark_busy(&pkram_early.others);
	mark_busy(&pkram_early.firmware);
	keep_release(sb);

	claim_one(pkram_early.sb_pfn);
	settle_twin(&sb->hdr, claim_one(pkram_twin(pkram_early.sb_pfn)));
	claim_range(&a, PKRAM_CLAIM_META, pkram_early.map_pfn, nr_map, 0);
	if (pkram_early.map_twin_pfn)
		claim_range(&a, PKRAM_CLAIM_META, pkram_early.map_twin_pfn, nr_map, 0);

	/* Pages of this boot belong to the next generation. */
	le64_add_cpu(&sb->hdr.generation, 1);
	if (pkram.sb_twin)
		pkram.sb_twin->hdr.generation = sb->hdr.generation;
	adopt_dirs();
	freed = finish_blocks();
	pkram_map_grow(counts);
	pkram_blocks_adopted(counts);
	pkram_map_copy_again();
	free_busy(&pkram_early.others);
	free_busy(&pkram_early.firmware);

	if (pkram.nr_dropped)
		pkram.boot_result = PKRAM_BOOT_PARTIAL;
	pr_info("restored %llu nodes, %llu pages of data, %llu of metadata, from kernel %s; %llu pages freed, %llu nodes dropped\n",
		pkram.nr_nodes, pkram.data_pages, pkram.meta_pages, pkram.release, freed,
		pkram.nr_dropped);
}

static int __init pkram_init(void)
{
	u64 begin = arch_pkram_ticks();

	if (pkram.boot_result == PKRAM_BOOT_OFF)
		return 0;
	if (pkram_early.sb_pfn) {
		pkram_adopt();
	} else if (pkram_super_create()) {
		pkram.boot_result = PKRAM_BOOT_OFF;
		pr_err("disabled: failed to allocate the super block\n");
		return 0;
	}
	pkram_blocks_find_ram();
	pkram_poison_start();
	pkram.restored_ns = arch_pkram_ticks_to_ns(pkram_early.cycles + arch_pkram_ticks() -
						   begin);
	return 0;
}
core_initcall(pkram_init);
