// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: taking over what the previous kernel preserved.
 */
#define pr_fmt(fmt) "pkram: " fmt

#include <linux/cpufeature.h>
#include <linux/init.h>
#include <linux/math64.h>
#include <linux/memblock.h>
#include <linux/mm.h>
#include <linux/pgalloc_tag.h>
#include <linux/pkram.h>
#include <linux/slab.h>
#include <linux/string_helpers.h>
#include <asm/tsc.h>

#include "../internal.h"
#include "pkram.h"

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
 * have been damaged. A node that turns out to be damaged gets walked again to
 * set the flags of everything it had claimed, and is dropped. The others do not
 * notice.
 *
 * Whatever is still reserved in the preserved blocks in the end is given to the
 * page allocator, except what was busy before.
 *
 * Runs as a core_initcall: the page allocator and the scheduler are there,
 * deferred struct pages are initialised, no driver runs yet.
 */

/**
 * struct adoption - state of a walk over a node
 * @block:   a block found to be preserved, to save looking it up for every page
 * @careful: it has busy pages
 * @claimed: pages claimed so far
 * @left:    pages that undoing has still to give back
 * @zone_page: a page of the zone that @zone_pages are in
 * @zone_pages: claimed pages not yet added to the zone's managed pages
 */
struct adoption {
	u64 block;
	bool careful;
	u64 claimed;
	u64 left;
	struct page *zone_page;
	long zone_pages;
};

static bool __init is_busy(u64 pfn, u64 nr)
{
	unsigned int i;

	for (i = 0; i < pkram_early.nr_busy; i++)
		if (pfn < pkram_early.busy[i].end && pfn + nr > pkram_early.busy[i].start)
			return true;
	return false;
}

static int __init enter_block(struct adoption *a, u64 block)
{
	if (block >= pkram_nr_blocks || !pkram_map_test(pkram.map, block))
		return PKRAM_DAMAGE_RANGE;
	a->block = block;
	a->careful = pkram_early.nr_busy &&
		     is_busy(block << PKRAM_BLOCK_ORDER, PKRAM_BLOCK_PAGES);
	return 0;
}

static int __init claim(void *ctx, enum pkram_claim what, u64 pfn, u32 count, u32 order)
{
	u64 end = pfn + ((u64)count << order);
	struct adoption *a = ctx;
	struct page *page;
	int r;

	for (page = pfn_to_page(pfn); pfn < end; pfn++, page++) {
		if (unlikely(pfn >> PKRAM_BLOCK_ORDER != a->block)) {
			r = enter_block(a, pfn >> PKRAM_BLOCK_ORDER);
			if (r)
				return r;
			page = pfn_to_page(pfn);
		}
		if (unlikely(a->careful) && is_busy(pfn, 1))
			return PKRAM_DAMAGE_BUSY;
		if (unlikely(!PageReserved(page)))
			return PKRAM_DAMAGE_TWICE;
		__ClearPageReserved(page);
		a->claimed++;
	}
	return 0;
}

static int __init unclaim(void *ctx, enum pkram_claim what, u64 pfn, u32 count, u32 order)
{
	u64 end = pfn + ((u64)count << order);
	struct adoption *a = ctx;

	for (; pfn < end; pfn++) {
		if (!a->left)
			return PKRAM_DAMAGE_TWICE;
		__SetPageReserved(pfn_to_page(pfn));
		a->left--;
	}
	return 0;
}

static void __init flush_managed(struct adoption *a)
{
	if (a->zone_pages)
		adjust_managed_page_count(a->zone_page, a->zone_pages);
	a->zone_pages = 0;
}

/* Second walk: the claimed pages become folios of the page allocator. */
static int __init convert(void *ctx, enum pkram_claim what, u64 pfn, u32 count, u32 order)
{
	struct page *page = pfn_to_page(pfn);
	u64 i, nr = (u64)count << order;
	struct adoption *a = ctx;

	if (!a->zone_pages || page_zone_id(page) != page_zone_id(a->zone_page) ||
	    page_zone_id(page + nr - 1) != page_zone_id(a->zone_page)) {
		flush_managed(a);
		a->zone_page = page;
	}
	a->zone_pages += nr;
	pkram_blocks_add(pfn, nr);
	if (IS_ENABLED(CONFIG_MEM_ALLOC_PROFILING))
		for (i = 0; i < nr; i++)
			clear_page_tag_ref(page + i);
	if (!order || !IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		return 0;
	for (; count; count--) {
		for (i = 1; i < 1U << order; i++)
			set_page_count(page + i, 0);
		prep_compound_page(page, order);
		page_rmappable_folio(page);
		page += 1UL << order;
	}
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
};

/* Remember and log a node that did not come back. @page may be anything. */
static void __init drop(u64 pfn, int damage, const struct pkram_node_totals *totals,
			const struct pkram_node_page *page)
{
	u32 len = page ? le32_to_cpu(page->name_len) : 0;
	struct pkram_dropped *d;
	char *printable = NULL;

	pkram.nr_dropped++;
	if (!page || le32_to_cpu(page->hdr.magic) != PKRAM_MAGIC ||
	    pkram_check_name(page->name, len))
		len = 0;
	if (len)
		printable = kstrdup_quotable((const char *)page->name, GFP_KERNEL);
	pr_err("node '%s' (pfn 0x%llx) dropped: %s\n", printable ?: "?", pfn,
	       damage_names[damage]);
	kfree(printable);

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
	struct adoption a = { .block = -1 };
	struct pkram_walker w = {
		.claim = claim,
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
			w.claim = convert;
			pkram_walk_node(&w, pfn, &ignored);
			flush_managed(&a);
			poisoned = pkram_poison_adopt(page);
			if (poisoned)
				pr_err("node at pfn 0x%llx: the hardware lost %llu of its pages before the kexec, the objects they are in cannot be loaded\n",
				       pfn, poisoned);
			return true;
		}
		kfree(node);
		damage = PKRAM_DAMAGE_NAME;
	}

	drop(pfn, damage, &totals, page);
	a.left = a.claimed;
	w.claim = unclaim;
	pkram_walk_node(&w, pfn, &ignored);
	return false;
}

/*
 * Adopt the nodes that a directory page lists. A damaged one ends the chain:
 * what it listed, and what came after it, is lost.
 */
static void __init adopt_dirs(void)
{
	struct pkram_super *sb = pkram.sb;
	u64 pfn = le64_to_cpu(sb->dir_pfn), seen = 0, expected = le64_to_cpu(sb->nr_nodes);
	__le64 *link = &sb->dir_pfn;

	while (pfn) {
		struct adoption a = { .block = -1 };
		struct pkram_dir *dir;
		unsigned int i;

		if (claim(&a, PKRAM_CLAIM_META, pfn, 1, 0))
			break;
		dir = pfn_to_kaddr(pfn);
		if (pkram_check_page(&dir->hdr, PKRAM_PAGE_DIR, pfn,
				     le64_to_cpu(sb->hdr.chain), pkram_generation())) {
			a.left = 1;
			unclaim(&a, PKRAM_CLAIM_META, pfn, 1, 0);
			break;
		}
		convert(&a, PKRAM_CLAIM_META, pfn, 1, 0);
		flush_managed(&a);
		for (i = 0; i < PKRAM_DIR_SLOTS; i++) {
			if (!dir->slot[i])
				continue;
			seen++;
			if (!adopt_node(le64_to_cpu(dir->slot[i]), &dir->slot[i]))
				dir->slot[i] = 0;
		}
		pkram_dir_adopt(dir);
		link = &dir->hdr.next;
		pfn = le64_to_cpu(*link);
	}
	*link = 0;
	if (seen < expected) {
		pkram.nr_dropped += expected - seen;
		pr_err("directory page at pfn 0x%llx is damaged: %llu nodes dropped, names unknown\n",
		       pfn, expected - seen);
	}
}

/* Give what nobody claimed to the page allocator. */
static u64 __init free_holes(void)
{
	u64 freed = 0, block = 0, pfn;

	while ((block = pkram_map_next(pkram.map, pkram_nr_blocks, block, true)) <
	       pkram_nr_blocks) {
		u64 first = block << PKRAM_BLOCK_ORDER;
		bool careful = pkram_early.nr_busy && is_busy(first, PKRAM_BLOCK_PAGES);
		struct page *page = pfn_to_page(first);

		for (pfn = first; pfn < first + PKRAM_BLOCK_PAGES; pfn++, page++) {
			/* a busy page may not even have a struct page */
			if ((careful && is_busy(pfn, 1)) || !PageReserved(page))
				continue;
			free_reserved_page(page);
			freed++;
		}
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
	struct adoption a = { .block = -1 };
	u64 map_pfn = le64_to_cpu(sb->map_pfn), freed;
	u32 nr_map = le32_to_cpu(sb->nr_map);

	pkram_super_adopt(sb);
	pkram_blocks_pin(pkram_early.sb_pfn, 1);
	pkram_blocks_pin(map_pfn, nr_map);
	pkram_blocks_init(GFP_KERNEL | __GFP_NOFAIL);
	keep_release(sb);

	claim(&a, PKRAM_CLAIM_META, pkram_early.sb_pfn, 1, 0);
	convert(&a, PKRAM_CLAIM_META, pkram_early.sb_pfn, 1, 0);
	claim(&a, PKRAM_CLAIM_META, map_pfn, nr_map, 0);
	convert(&a, PKRAM_CLAIM_META, map_pfn, nr_map, 0);
	flush_managed(&a);

	/* Pages of this boot belong to the next generation. */
	le64_add_cpu(&sb->hdr.generation, 1);
	adopt_dirs();
	freed = free_holes();
	pkram_blocks_forget_stale();

	if (pkram.nr_dropped)
		pkram.boot_result = PKRAM_BOOT_PARTIAL;
	pr_info("restored %llu nodes, %llu pages of data, %llu of metadata, from kernel %s; %llu pages freed, %llu nodes dropped\n",
		pkram.nr_nodes, pkram.data_pages, pkram.meta_pages, pkram.release, freed,
		pkram.nr_dropped);
}

static int __init pkram_init(void)
{
	bool tsc = boot_cpu_has(X86_FEATURE_TSC);
	u64 begin = tsc ? rdtsc_ordered() : 0;

	if (pkram.boot_result == PKRAM_BOOT_OFF)
		return 0;
	if (pkram_early.sb_pfn) {
		pkram_adopt();
	} else if (pkram_super_create()) {
		pkram.boot_result = PKRAM_BOOT_OFF;
		pr_err("off: no memory for the super block\n");
		return 0;
	}
	if (tsc && tsc_khz)
		pkram.restored_ns = mul_u64_u32_div(pkram_early.cycles + rdtsc_ordered() - begin,
						    USEC_PER_SEC, tsc_khz);
	return 0;
}
core_initcall(pkram_init);
