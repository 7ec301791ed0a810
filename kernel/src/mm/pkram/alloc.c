// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: memory that may be preserved.
 */
#include <linux/highmem.h>
#include <linux/kexec.h>
#include <linux/list.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/pkram.h>
#include <linux/pkram_compat.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/shrinker.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/swap.h>

#include "alloc.h"
#include "pkram.h"

/**
 * DOC: banned memory
 *
 * The next kernel cannot find in place what lies where its own image is going to
 * be put, outside the block map, or in memory that its firmware does not call RAM: what
 * was added to the machine later, or is driven by a driver. Such pages are *banned*:
 * files that have them are saved with copies of them, and metadata and byte streams are
 * allocated again until they lie elsewhere.
 *
 * Which pages are banned changes when an image is loaded or unloaded. It stays
 * as it is while pkram_kexec_sem is held for reading, so code that records pages
 * holds it from the check until the pages are counted in their blocks.
 */

DECLARE_RWSEM(pkram_kexec_sem);

struct pkram_bans pkram_bans;
/* an installed image, and one that is being loaded with a place for one more */
static_assert(ARRAY_SIZE(pkram_bans.start) > 2 * KEXEC_SEGMENT_MAX);

/**
 * pkram_banned_slow - pkram_banned() when an image is loaded
 * @pfn: first page
 * @nr:  how many
 *
 * Return: true if one of them lies where the image goes.
 */
bool pkram_banned_slow(u64 pfn, u64 nr)
{
	unsigned int i;

	if (pkram_blocks_ram(pfn, nr) < nr)
		return true;
	for (i = 0; i < pkram_bans.nr; i++)
		if (pfn < pkram_bans.end[i] && pfn + nr > pkram_bans.start[i])
			return true;
	return false;
}

/**
 * pkram_allowed - how many pages from @pfn on may be preserved where they are?
 * @pfn: first page
 * @nr:  how many are asked about, at least 1
 *
 * Context: caller holds pkram_kexec_sem for reading until they are recorded.
 *
 * Return: 0 to @nr.
 */
u64 pkram_allowed(u64 pfn, u64 nr)
{
	const u64 max_pfn = pkram_nr_blocks << PKRAM_BLOCK_ORDER;
	unsigned int i;

	if (pfn < PKRAM_MIN_PFN || pfn >= max_pfn)
		return 0;
	nr = min(nr, max_pfn - pfn);
	if (unlikely(pkram_memory_added))
		nr = pkram_blocks_ram(pfn, nr);
	for (i = 0; i < pkram_bans.nr; i++) {
		if (pfn >= pkram_bans.end[i] || pfn + nr <= pkram_bans.start[i])
			continue;
		if (pfn >= pkram_bans.start[i])
			return 0;
		nr = pkram_bans.start[i] - pfn;
	}
	return nr;
}

/**
 * DOC: packed pages
 *
 * Early boot of the next kernel cannot use any page of a block that has a preserved
 * page, so metadata, byte streams and copies of base pages must not be spread over
 * many blocks. They come out of a *pool*: one block for each NUMA node that is
 * allocated as a whole and used page by page. Only where no block is free they
 * come from anywhere. Pages of files are moved there as well when blocks become
 * scarce, see shmem_save.c.
 *
 * Banned memory that the page allocator returns is not freed at once, since it would
 * be returned again. These *rejects* are kept until the last save that began in the
 * meantime ends, so that each is seen once a save, not once a page. Where memory was
 * added, that could be all of it: so only NUMA nodes that had memory at boot are asked,
 * blocks are emptied before pages are taken that are likely to be rejects, and a fatal
 * signal ends the search. Pages in blocks
 * without preserved pages are kept in the same way while one in a touched block is searched.
 *
 * Under memory pressure a shrinker frees all of them, but no rejects while an allocation is
 * under way, which would only get them again. The pools are emptied when the last node is
 * removed.
 */

/**
 * struct pkram_pool - pages of one block that are allocated one by one
 * @page: the next one
 * @left: how many there are from it on
 * @skip: allocations until a free block is tried for again
 * @skip_hard: the same for those that have a block emptied
 * @skip_touched: and for those that search for a page in a block that is touched
 */
struct pkram_pool {
	struct page *page;
	unsigned int left;
	unsigned int skip;
	unsigned int skip_hard;
	unsigned int skip_touched;
};

/** PKRAM_POOL_SKIP - pages allocated without a pool after no block was free */
#define PKRAM_POOL_SKIP		64

/* Protects the pools, the rejects and the numbers. Innermost. */
static DEFINE_SPINLOCK(pkram_alloc_lock);
static struct pkram_pool pkram_pools[MAX_NUMNODES];
static LIST_HEAD(pkram_rejects);		/* folios */
static LIST_HEAD(pkram_reject_blocks);		/* blocks as alloc_pages() returns them */
static LIST_HEAD(pkram_untouched);		/* folios that pkram_alloc_packed() did not want */
static unsigned long nr_pool_pages, nr_reject_pages, nr_untouched_pages;
/* saves that are under way, and allocations */
static unsigned int nr_holds, nr_allocating;

/**
 * pkram_folio_has_bad_page - look for pages that the hardware lost, one by one
 * @folio: a large folio
 *
 * Return: true if there is one. Such a folio must not be freed: the page allocator frees
 * large ones without a look at their pages.
 */
bool pkram_folio_has_bad_page(const struct folio *folio)
{
	long i;

	for (i = 0; i < folio_nr_pages(folio); i++)
		if (PageHWPoison(folio_page(folio, i)))
			return true;
	return false;
}

static void pool_free(struct pkram_pool *pool)
{
	for (; pool->left; pool->left--)
		__free_page(pool->page++);
}

/* Free what was allocated ahead. Returns how many pages it was. */
static unsigned long pools_free(void)
{
	unsigned long freed = 0;
	int nid;

	for_each_node(nid) {
		struct pkram_pool pool;

		scoped_guard(spinlock, &pkram_alloc_lock) {
			pool = pkram_pools[nid];
			nr_pool_pages -= pool.left;
			pkram_pools[nid] = (struct pkram_pool) { };
		}
		freed += pool.left;
		pool_free(&pool);
	}
	return freed;
}

static void folios_free(struct list_head *list)
{
	struct folio *folio, *next;

	list_for_each_entry_safe(folio, next, list, lru) {
		list_del(&folio->lru);
		if (!folio_test_large(folio) || !pkram_folio_has_bad_page(folio))
			folio_put(folio);
	}
}

/* Free a block as alloc_pages() returned it; bad pages of it stay allocated. */
static void block_put(struct page *page)
{
	unsigned int i;

	for (i = 0; i < PKRAM_BLOCK_PAGES && !PageHWPoison(page + i); i++)
		;
	if (likely(i == PKRAM_BLOCK_PAGES)) {
		__free_pages(page, PKRAM_BLOCK_ORDER);
		return;
	}
	split_page(page, PKRAM_BLOCK_ORDER);
	for (i = 0; i < PKRAM_BLOCK_PAGES; i++)
		__free_page(page + i);
}

/*
 * Free what the search for pages in touched blocks has put aside. It is bounded by itself,
 * so this is possible at any time. Returns how many pages it was.
 */
static unsigned long untouched_free(void)
{
	unsigned long freed;
	LIST_HEAD(list);

	scoped_guard(spinlock, &pkram_alloc_lock) {
		list_splice_init(&pkram_untouched, &list);
		freed = nr_untouched_pages;
		nr_untouched_pages = 0;
	}
	folios_free(&list);
	return freed;
}

/* Free the rejects if nothing needs them. Returns how many pages it was. */
static unsigned long rejects_free(bool saving_too)
{
	struct page *page, *next_page;
	unsigned long freed = 0;
	LIST_HEAD(blocks);
	LIST_HEAD(list);

	scoped_guard(spinlock, &pkram_alloc_lock) {
		if (nr_allocating || (nr_holds && !saving_too))
			return 0;
		list_splice_init(&pkram_rejects, &list);
		list_splice_init(&pkram_reject_blocks, &blocks);
		freed = nr_reject_pages;
		nr_reject_pages = 0;
	}
	folios_free(&list);
	list_for_each_entry_safe(page, next_page, &blocks, lru) {
		list_del(&page->lru);
		block_put(page);
	}
	return freed;
}

/**
 * pkram_alloc_hold - a save begins
 *
 * Context: ends with pkram_alloc_release().
 */
void pkram_alloc_hold(void)
{
	guard(spinlock)(&pkram_alloc_lock);
	nr_holds++;
}

/**
 * pkram_alloc_release - a save ends
 * @empty: there are no nodes
 *
 * Context: may sleep.
 */
void pkram_alloc_release(bool empty)
{
	bool last;

	scoped_guard(spinlock, &pkram_alloc_lock)
		last = !--nr_holds;
	if (last)
		untouched_free();
	rejects_free(false);
	if (empty)
		pkram_alloc_trim();
}

/**
 * pkram_alloc_trim - the last node is gone
 *
 * Frees what was allocated ahead, unless a save is under way.
 */
void pkram_alloc_trim(void)
{
	scoped_guard(spinlock, &pkram_alloc_lock) {
		if (nr_holds)
			return;
	}
	pools_free();
}

static unsigned long count_ahead(struct shrinker *shrinker, struct shrink_control *sc)
{
	return READ_ONCE(nr_pool_pages) + READ_ONCE(nr_untouched_pages) +
	       READ_ONCE(nr_reject_pages) ?: SHRINK_EMPTY;
}

static unsigned long free_ahead(struct shrinker *shrinker, struct shrink_control *sc)
{
	unsigned long freed = pools_free() + untouched_free() + rejects_free(true);

	/* these are no slab pages, which are all that is counted otherwise */
	mm_account_reclaimed_pages(freed);
	return freed ?: SHRINK_STOP;
}

static int __init pkram_alloc_init(void)
{
	struct shrinker *shrinker = shrinker_alloc(0, "pkram");

	if (!shrinker)
		return -ENOMEM;
	shrinker->count_objects = count_ahead;
	shrinker->scan_objects = free_ahead;
	shrinker_register(shrinker);
	return 0;
}
subsys_initcall(pkram_alloc_init);

/*
 * Is it time to look whether others have memory? Once a MiB, as the count of pages grows
 * from @before by @nr, and not in the first one.
 */
static bool look_is_due(u64 before, u64 nr)
{
	return before / (SZ_1M / PAGE_SIZE) != (before + nr) / (SZ_1M / PAGE_SIZE);
}

/*
 * Keep @nr pages that are not wanted from being allocated again, on @list, of which
 * @nr_pages are the pages. False if that takes too much, or a fatal signal is pending.
 */
static bool put_aside(struct page *page, unsigned long nr, struct list_head *list,
		      unsigned long *nr_pages)
{
	unsigned long before;

	scoped_guard(spinlock, &pkram_alloc_lock) {
		list_add(&page->lru, list);
		before = *nr_pages;
		*nr_pages += nr;
	}
	cond_resched();
	if (fatal_signal_pending(current))
		return false;
	/* others need memory, too */
	return !look_is_due(before, nr) || si_mem_available() > (long)totalreserve_pages;
}

/**
 * pkram_memory_left - is there memory for others while a save copies data?
 * @before: pages that were copied already
 * @nr:     pages that are to be copied next
 *
 * A save that takes all memory fails, and gives it back. But others that allocate in
 * between find none, and the kernel kills a process for them. It does not as long as
 * it can reclaim or swap. What is available does not include the kernel's reserves: of
 * a large machine they are gigabytes, and a few MiB beside them are enough for others.
 * The first MiB is always copied, and then each MiB asks.
 *
 * Return: false if the save has to fail with -ENOMEM.
 */
bool pkram_memory_left(u64 before, u64 nr)
{
	const long enough = min(totalreserve_pages, SZ_16M / PAGE_SIZE);

	return !look_is_due(before, nr) || si_mem_available() > enough ||
	       get_nr_swap_pages() > enough;
}

/* NUMA nodes with memory that the next kernel has, too. */
static nodemask_t ram_nodes __ro_after_init = NODE_MASK_ALL;

static bool __init node_has_ram(int nid)
{
	u64 pfn = node_start_pfn(nid), end = node_end_pfn(nid);

	while (pfn < end && !pkram_blocks_ram(pfn, 1))
		pfn = (pfn | (PKRAM_BLOCK_PAGES - 1)) + 1;
	return pfn < end;
}

/**
 * pkram_alloc_find_nodes - remember which NUMA nodes have memory that may be preserved
 *
 * Context: boot, after pkram_blocks_find_ram(), before memory can be added.
 */
void __init pkram_alloc_find_nodes(void)
{
	nodemask_t found = NODE_MASK_NONE;
	int nid;

	for_each_node_state(nid, N_MEMORY)
		if (node_has_ram(nid))
			node_set(nid, found);
	if (!nodes_empty(found))
		ram_nodes = found;
}

/**
 * pkram_alloc_node - the nearest NUMA node with memory that may be preserved
 * @nid: a node, which may have none, or none that may be
 *
 * Return: a node; @nid as long as no memory was added.
 */
int pkram_alloc_node(int nid)
{
	int n, nearest = NUMA_NO_NODE;

	if (likely(!READ_ONCE(pkram_memory_added)) || node_isset(nid, ram_nodes))
		return nid;
	for_each_node_mask(n, ram_nodes)
		if (nearest == NUMA_NO_NODE ||
		    node_distance(nid, n) < node_distance(nid, nearest))
			nearest = n;
	return nearest;
}

/* NULL for all nodes. */
static nodemask_t *alloc_nodes(void)
{
	return unlikely(READ_ONCE(pkram_memory_added)) ? &ram_nodes : NULL;
}

/**
 * pkram_alloc_folio - allocate memory that may be preserved
 * @gfp:   allocation flags
 * @order: order
 * @nid:   preferred NUMA node
 *
 * Context: may sleep; the caller holds pkram_kexec_sem for reading.
 *
 * Return: a folio with one reference that lies on no banned page, or NULL; also after a
 * fatal signal if many pages are banned.
 */
struct folio *pkram_alloc_folio(gfp_t gfp, unsigned int order, int nid)
{
	struct folio *folio;
	bool drained = false;

	lockdep_assert_held_read(&pkram_kexec_sem);
	scoped_guard(spinlock, &pkram_alloc_lock)
		nr_allocating++;
	nid = pkram_alloc_node(nid);
	/* Terminates: rejects stay allocated, and the number of banned pages is finite. */
	for (;;) {
		folio = __folio_alloc(gfp, order, nid, alloc_nodes());
		/* reclaim without success does not collect what other CPUs have free */
		if (!folio && (gfp & __GFP_RETRY_MAYFAIL) && !drained) {
			drain_all_pages(NULL);
			drained = true;
			continue;
		}
		if (!folio || !pkram_banned(folio_pfn(folio), 1UL << order))
			break;
		if (!put_aside(folio_page(folio, 0), 1UL << order, &pkram_rejects,
			       &nr_reject_pages)) {
			folio = NULL;
			break;
		}
	}
	scoped_guard(spinlock, &pkram_alloc_lock)
		nr_allocating--;
	if (unlikely(READ_ONCE(nr_reject_pages)))
		rejects_free(false);
	return folio;
}

/*
 * The next page of the pool of a node, NULL if it is empty or banned. Pages that went bad
 * meanwhile stay allocated.
 */
static struct page *pool_take(int nid)
{
	struct pkram_pool *pool = &pkram_pools[nid];
	struct page *page;

	guard(spinlock)(&pkram_alloc_lock);
	do {
		if (!pool->left || pkram_banned(page_to_pfn(pool->page), pool->left))
			return NULL;
		pool->left--;
		nr_pool_pages--;
		page = pool->page++;
	} while (unlikely(PageHWPoison(page)));
	return page;
}

/** PKRAM_BLOCK_TRIES - blocks that are looked at for one that is not banned */
#define PKRAM_BLOCK_TRIES	16

/* Allocate a free block that is not banned, as base pages. */
static struct page *block_alloc(gfp_t gfp, int nid)
{
	struct page *page;
	unsigned int i;

	for (i = 0; i < PKRAM_BLOCK_TRIES; i++) {
		page = alloc_pages_node(nid, gfp | __GFP_NOWARN | __GFP_THISNODE,
					PKRAM_BLOCK_ORDER);
		if (!page)
			break;
		if (!pkram_banned(page_to_pfn(page), PKRAM_BLOCK_PAGES)) {
			split_page(page, PKRAM_BLOCK_ORDER);
			return page;
		}
		if (!put_aside(page, PKRAM_BLOCK_PAGES, &pkram_reject_blocks, &nr_reject_pages))
			break;
	}
	return NULL;
}

#ifdef CONFIG_CONTIG_ALLOC

/** PKRAM_CLEAR_TRIES - blocks that are tried to empty for one that is */
#define PKRAM_CLEAR_TRIES	16

/* Can a block be emptied by migration, as far as can be seen from outside? */
static bool block_clearable(u64 block, int nid)
{
	u64 pfn = block << PKRAM_BLOCK_ORDER;
	struct page *first, *last;

	/* preserved pages cannot be migrated */
	if (pkram_blocks_count(block) || pkram_banned(pfn, PKRAM_BLOCK_PAGES))
		return false;
	first = pfn_to_online_page(pfn);
	last = pfn_to_online_page(pfn + PKRAM_BLOCK_PAGES - 1);
	return first && last && page_to_nid(first) == nid && page_zone(first) == page_zone(last);
}

/* Have a block emptied by migration, and allocate it as base pages. */
static struct page *block_clear(int nid)
{
	/* where the search goes on; races do no harm */
	static u64 next;
	u64 i, block, pfn;
	unsigned int tries = 0;

	for (i = 0; i < pkram_nr_blocks && tries < PKRAM_CLEAR_TRIES; i++) {
		block = (READ_ONCE(next) + i) % pkram_nr_blocks;
		if (!block_clearable(block, nid))
			continue;
		if (fatal_signal_pending(current))
			break;
		pfn = block << PKRAM_BLOCK_ORDER;
		if (!alloc_contig_range(pfn, pfn + PKRAM_BLOCK_PAGES, ACR_FLAGS_NONE,
					GFP_KERNEL | __GFP_NOWARN)) {
			WRITE_ONCE(next, block + 1);
			return pfn_to_page(pfn);
		}
		tries++;
		cond_resched();
	}
	WRITE_ONCE(next, READ_ONCE(next) + i);
	return NULL;
}

#else

static struct page *block_clear(int nid)
{
	return NULL;
}

#endif /* CONFIG_CONTIG_ALLOC */

/* Have a new block in the pool, with some effort if @hard. False if there is none. */
static bool pool_fill(int nid, gfp_t gfp, bool hard)
{
	const bool added = READ_ONCE(pkram_memory_added);
	struct pkram_pool *pool = &pkram_pools[nid], old;
	unsigned int *skip = hard ? &pool->skip_hard : &pool->skip;
	struct page *page;

	scoped_guard(spinlock, &pkram_alloc_lock) {
		if (*skip) {
			--*skip;
			return false;
		}
		nr_allocating++;
	}
	page = block_alloc((gfp & ~(__GFP_DIRECT_RECLAIM | __GFP_RETRY_MAYFAIL | __GFP_NOFAIL |
				    __GFP_ZERO)) | __GFP_NOMEMALLOC, nid);
	/* what can be had with effort is likely to be memory that was added */
	if (!page && hard && added)
		page = block_clear(nid);
	if (!page && hard)
		page = block_alloc(gfp | __GFP_NORETRY, nid);
	if (!page && hard && !added)
		page = block_clear(nid);
	scoped_guard(spinlock, &pkram_alloc_lock) {
		nr_allocating--;
		if (!page) {
			*skip = PKRAM_POOL_SKIP;
			return false;
		}
		/* pages that became banned, or that were allocated at the same time */
		old = *pool;
		*pool = (struct pkram_pool) { .page = page, .left = PKRAM_BLOCK_PAGES };
		nr_pool_pages += PKRAM_BLOCK_PAGES - old.left;
	}
	pool_free(&old);
	return true;
}

/**
 * pkram_alloc_page - allocate a base page that may be preserved
 * @gfp: allocation flags
 * @nid: preferred NUMA node
 *
 * Takes the pages out of one free block after the other as long as there are any.
 *
 * Context: as pkram_alloc_folio().
 *
 * Return: the page, not yet counted as preserved, or NULL.
 */
struct page *pkram_alloc_page(gfp_t gfp, int nid)
{
	struct folio *folio;
	struct page *page;

	lockdep_assert_held_read(&pkram_kexec_sem);
	nid = pkram_alloc_node(nid);
	page = pool_take(nid);
	if (!page && pool_fill(nid, gfp, false))
		page = pool_take(nid);
	/* before each page that was added is allocated, and put aside */
	if (!page && READ_ONCE(pkram_memory_added) && (gfp & GFP_KERNEL) == GFP_KERNEL &&
	    pool_fill(nid, GFP_KERNEL, true))
		page = pool_take(nid);
	if (page) {
		if (gfp & __GFP_ZERO)
			clear_highpage(page);
		return page;
	}
	folio = pkram_alloc_folio(gfp, 0, nid);
	return folio ? folio_page(folio, 0) : NULL;
}

/** PKRAM_PACK_TRIES - pages that are looked at for one in a block that is touched */
#define PKRAM_PACK_TRIES	64

/**
 * pkram_alloc_packed - allocate a base page that costs the next kernel no memory
 * @nid: preferred NUMA node
 *
 * The page comes out of a block that is filled up page by page. A block is emptied
 * by migration if none is free. If that fails, too, the page is a free one in a block
 * that has preserved pages already.
 *
 * Context: as pkram_alloc_folio(), between pkram_alloc_hold() and
 * pkram_alloc_release().
 *
 * Return: the page, not yet counted as preserved; NULL if there is none.
 */
struct page *pkram_alloc_packed(int nid)
{
	const gfp_t gfp = (GFP_KERNEL & ~__GFP_RECLAIM) | __GFP_NOWARN | __GFP_NOMEMALLOC;
	struct pkram_pool *pool;
	struct folio *folio;
	struct page *page;
	unsigned int i;

	lockdep_assert_held_read(&pkram_kexec_sem);
	nid = pkram_alloc_node(nid);
	pool = &pkram_pools[nid];
	page = pool_take(nid);
	if (!page && pool_fill(nid, GFP_KERNEL, true))
		page = pool_take(nid);
	if (page)
		return page;
	scoped_guard(spinlock, &pkram_alloc_lock) {
		if (pool->skip_touched) {
			pool->skip_touched--;
			return NULL;
		}
	}
	/* free memory only: what is put aside is missing elsewhere */
	for (i = 0; i < PKRAM_PACK_TRIES; i++) {
		folio = __folio_alloc(gfp, 0, nid, alloc_nodes());
		if (!folio)
			break;
		page = folio_page(folio, 0);
		if (!pkram_banned(page_to_pfn(page), 1) &&
		    pkram_blocks_count(page_to_pfn(page) >> PKRAM_BLOCK_ORDER))
			return page;
		if (!put_aside(page, 1, &pkram_untouched, &nr_untouched_pages))
			break;
	}
	guard(spinlock)(&pkram_alloc_lock);
	pool->skip_touched = PKRAM_POOL_SKIP;
	return NULL;
}
