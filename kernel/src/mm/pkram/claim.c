// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: owners of the pages in preserved blocks.
 */
#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/mm.h>
#include <linux/pgalloc_tag.h>
#include <linux/pkram.h>
#include <linux/pkram_compat.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "../internal.h"
#include "claim.h"
#include "pkram.h"
#include "stream.h"

/**
 * DOC: claims
 *
 * All pages of preserved blocks are reserved: PG_reserved is set, the reference
 * count is one, the page allocator does not know them. A node claims the pages that
 * its metadata names, in the order in which pkram_walk_node() comes by them.
 *
 * Claiming a page clears its PG_reserved, in one atomic step. A page that does not
 * have the flag was claimed before, is not in a preserved block, or was never RAM, so
 * the flag is all the bookkeeping there is. It bounds the walk over chains that may
 * have been damaged, and any number of nodes can be walked at the same time: each page
 * goes to one of them. A node that turns out to be damaged, or that wants a page which
 * was claimed already, is walked again to give back all that it had claimed.
 *
 * Where an extent covers a block of which nothing is claimed, the block is claimed
 * as a whole: only its counter says so, and none of its pages is looked at. A node
 * with such blocks, or with large folios, is walked once more when it is known to be
 * good, to make of the pages what they are. This is not undone.
 *
 * The counter of a block is incremented before the page is taken, so that the block
 * cannot be claimed as a whole in between.
 *
 * A page is not read after it was given back, because it can have another owner at once:
 * data pages are never read, and metadata pages are given back when the walk has left
 * them.
 *
 * Data that is adopted has the page type of memory that is offline until it is loaded
 * or freed, so that it is left out of crash dumps as page cache is.
 *
 * Context: nothing here allocates memory or takes locks, except pkram_claims_init().
 */

/* BLOCK_OURS - the previous kernel preserved the block */
#define BLOCK_OURS	BIT(31)
/* BLOCK_ALONE - and none of its pages has another user; all are in one zone */
#define BLOCK_ALONE	BIT(30)
/* BLOCK_WHOLE - and all of it was claimed at once */
#define BLOCK_WHOLE	BIT(29)
/* BLOCK_COUNT - the rest of a counter: claimed pages */
#define BLOCK_COUNT	(BIT(29) - 1)

/* Of each block of the inherited map; NULL when nothing is or can be claimed. */
static atomic_t *claims;
static u64 claims_nr __read_mostly;

/* After mark_busy(): there may be no struct pages where a block is not ours alone. */
static void __init mark_straddling(void)
{
	u64 block, pfn;

	for (block = 0; block < claims_nr; block++) {
		pfn = block << PKRAM_BLOCK_ORDER;
		if (atomic_read(&claims[block]) & BLOCK_ALONE &&
		    !pkram_zone_is_same(pfn, PKRAM_BLOCK_PAGES))
			atomic_andnot(BLOCK_ALONE, &claims[block]);
	}
}

static void mark_busy(const struct pkram_busy *b)
{
	unsigned int i;
	u64 block;

	for (i = 0; i < b->nr; i++)
		for (block = b->range[i].start >> PKRAM_BLOCK_ORDER;
		     block < claims_nr && block << PKRAM_BLOCK_ORDER < b->range[i].end; block++)
			atomic_andnot(BLOCK_ALONE, &claims[block]);
}

/**
 * pkram_claims_init() - make all pages of the inherited map available for claims
 *
 * Context: boot, before anything else changes the map.
 */
void __init pkram_claims_init(void)
{
	u64 block = 0;

	claims_nr = pkram_nr_blocks;
	claims = kvcalloc(claims_nr, sizeof(*claims), GFP_KERNEL | __GFP_NOFAIL);
	while ((block = pkram_map_next(pkram.map, claims_nr, block, true)) < claims_nr)
		atomic_set(&claims[block++], BLOCK_OURS | BLOCK_ALONE);
	mark_busy(&pkram_early.others);
	mark_busy(&pkram_early.firmware);
	mark_straddling();
}

/**
 * pkram_claims_free() - end the time of claims
 *
 * Context: all nodes are adopted or dropped, and the pages that are left are freed.
 */
void pkram_claims_free(void)
{
	claims_nr = 0;
	kvfree(claims);
	claims = NULL;
}

/**
 * pkram_claims_nr_blocks() - how many blocks the inherited map covers
 *
 * Return: blocks.
 */
u64 pkram_claims_nr_blocks(void)
{
	return claims_nr;
}

/**
 * pkram_claims_next() - find a preserved block
 * @block: where to start
 *
 * Return: the first block of the inherited map at or after @block, or
 * pkram_claims_nr_blocks() if there is none.
 */
u64 pkram_claims_next(u64 block)
{
	while (block < claims_nr && !(atomic_read(&claims[block]) & BLOCK_OURS))
		block++;
	return block;
}

/**
 * pkram_claims_clean() - does a preserved block consist of preserved RAM of one zone only?
 * @block: from pkram_claims_next()
 *
 * Return: false if firmware, a boot loader or a hole has some of its pages, or if they are
 * of two zones.
 */
bool pkram_claims_clean(u64 block)
{
	return atomic_read(&claims[block]) & BLOCK_ALONE;
}

/**
 * pkram_claims_count() - count the claimed pages of a preserved block
 * @block: from pkram_claims_next()
 *
 * Return: how many pages of it were claimed.
 */
u32 pkram_claims_count(u64 block)
{
	return atomic_read(&claims[block]) & BLOCK_COUNT;
}

/* Why a block that is not like the others has no page to claim; 0 if it has. */
static int block_refuses(u32 count, u64 pfn)
{
	if (count & BLOCK_WHOLE)
		return PKRAM_DAMAGE_TWICE;
	if (!(count & BLOCK_OURS))
		return PKRAM_DAMAGE_RANGE;
	if (!(count & BLOCK_ALONE) && pkram_busy_test(&pkram_early.others, pfn))
		return PKRAM_DAMAGE_BUSY;
	return 0;
}

/*
 * Claim a page: the few instructions that adopting takes for each. The compiler
 * would not keep @nr_blocks and @count in registers if they were not arguments.
 */
static __always_inline int claim_page(u64 pfn, struct page *page, u64 nr_blocks,
				      atomic_t *count)
{
	u64 block = pfn >> PKRAM_BLOCK_ORDER;
	int r = PKRAM_DAMAGE_TWICE;
	u32 c;

	if (unlikely(block >= nr_blocks))
		return PKRAM_DAMAGE_RANGE;
	c = atomic_inc_return(&count[block]);
	if (unlikely((c & (BLOCK_ALONE | BLOCK_WHOLE)) != BLOCK_ALONE)) {
		r = block_refuses(c, pfn);
		if (r)
			goto err_count;
		r = PKRAM_DAMAGE_TWICE;
	}
	if (unlikely(!test_and_clear_bit(PG_reserved, page_flags_word(page))))
		goto err_count;
	if (IS_ENABLED(CONFIG_MEM_ALLOC_PROFILING))
		clear_page_tag_ref(page);
	return 0;

err_count:
	atomic_dec(&count[block]);
	return r;
}

/**
 * struct claim_walk - state of a walk over a node
 * @killable: stop when a fatal signal is pending
 * @headed:   the node page was passed, which the directory claimed
 * @again:    as in struct pkram_claimed
 * @claimed:  pages claimed so far
 * @left:     pages that undoing has still to give back, or that a check may come by
 * @link:     metadata page that the walk stands on, to be given back; 0 if there is none
 * @table:    the same for the page of objects that it stands on
 */
struct claim_walk {
	bool killable;
	bool headed;
	bool again;
	u64 claimed;
	u64 left;
	u64 link;
	u64 table;
};

/* The directory has claimed the first page that a walk claims. */
static bool is_head(struct claim_walk *w)
{
	if (w->headed)
		return false;
	w->headed = true;
	return true;
}

static int walk_pause(const struct claim_walk *w)
{
	cond_resched();
	return w->killable && fatal_signal_pending(current) ? -EINTR : 0;
}

static int claim_pages(void *ctx, const u64 *pfn, u32 nr)
{
	const u64 nr_blocks = claims_nr;
	atomic_t *count = claims;
	struct claim_walk *w = ctx;
	int r = walk_pause(w);
	u32 i;

	if (r)
		return r;
	for (i = 0; i < nr; i++) {
		struct page *page = pfn_to_page(pfn[i]);

		r = claim_page(pfn[i], page, nr_blocks, count);
		if (unlikely(r))
			break;
		pkram_page_hide(page);
	}
	w->claimed += i;
	return r;
}

/*
 * Claim the block that begins at @pfn as a whole. False if a page of it is claimed
 * already, or is not ours.
 */
static bool claim_block(u64 pfn)
{
	u64 block = pfn >> PKRAM_BLOCK_ORDER;

	return block < claims_nr &&
	       atomic_cmpxchg(&claims[block], BLOCK_OURS | BLOCK_ALONE,
			      BLOCK_OURS | BLOCK_ALONE | BLOCK_WHOLE | PKRAM_BLOCK_PAGES) ==
	       (int)(BLOCK_OURS | BLOCK_ALONE);
}

static bool block_is_whole(u64 pfn)
{
	return atomic_read(&claims[pfn >> PKRAM_BLOCK_ORDER]) & BLOCK_WHOLE;
}

static void unclaim_block(u64 pfn)
{
	atomic_sub(BLOCK_WHOLE | PKRAM_BLOCK_PAGES, &claims[pfn >> PKRAM_BLOCK_ORDER]);
}

static int claim_range(void *ctx, enum pkram_claim what, u64 pfn, u32 count, u32 order)
{
	u64 end = pfn + ((u64)count << order);
	struct claim_walk *w = ctx;
	int r;

	if (is_head(w))
		return 0;
	r = walk_pause(w);
	w->again |= order;
	while (pfn < end && !r) {
		if (what == PKRAM_CLAIM_DATA && pfn % PKRAM_BLOCK_PAGES == 0 &&
		    end - pfn >= PKRAM_BLOCK_PAGES && claim_block(pfn)) {
			w->again = true;
			pfn += PKRAM_BLOCK_PAGES;
			w->claimed += PKRAM_BLOCK_PAGES;
			continue;
		}
		r = claim_page(pfn, pfn_to_page(pfn), claims_nr, claims);
		if (unlikely(r))
			break;
		w->claimed++;
		if (what == PKRAM_CLAIM_DATA && !order)
			pkram_page_hide(pfn_to_page(pfn));
		/* reading it would be the next error */
		if (what == PKRAM_CLAIM_META && PageHWPoison(pfn_to_page(pfn)))
			r = PKRAM_DAMAGE_CHECKSUM;
		pfn++;
	}
	return r;
}

/* Give back a page: it can have another owner as soon as its flag is set. */
static void unclaim_page(u64 pfn)
{
	pkram_page_show(pfn_to_page(pfn));
	/* the next owner may write there */
	smp_mb__before_atomic();
	set_bit(PG_reserved, page_flags_word(pfn_to_page(pfn)));
	atomic_dec(&claims[pfn >> PKRAM_BLOCK_ORDER]);
}

/* Give back the metadata page that the walk has left for @pfn, but keep that. */
static void unclaim_meta(struct claim_walk *w, u64 pfn)
{
	const struct pkram_page_hdr *hdr = pfn ? pfn_to_kaddr(pfn) : NULL;

	if (w->link)
		unclaim_page(w->link);
	w->link = 0;
	/* a page of objects is needed as long as its objects are walked */
	if (w->table && (!hdr || le16_to_cpu(hdr->type) == PKRAM_PAGE_OBJECTS)) {
		unclaim_page(w->table);
		w->table = 0;
	}
	if (hdr && le16_to_cpu(hdr->type) == PKRAM_PAGE_OBJECTS)
		w->table = pfn;
	else if (hdr)
		w->link = pfn;
}

static int unclaim_range(void *ctx, enum pkram_claim what, u64 pfn, u32 count, u32 order)
{
	u64 end = pfn + ((u64)count << order);
	struct claim_walk *w = ctx;

	if (is_head(w))
		return 0;
	cond_resched();
	while (pfn < end) {
		if (!w->left)
			return PKRAM_DAMAGE_TWICE;
		if (what == PKRAM_CLAIM_META) {
			w->left--;
			/* it was claimed as the last one because it cannot be read */
			if (PageHWPoison(pfn_to_page(pfn))) {
				unclaim_page(pfn);
				return PKRAM_DAMAGE_CHECKSUM;
			}
			unclaim_meta(w, pfn);
			return 0;
		}
		if (block_is_whole(pfn)) {
			unclaim_block(pfn);
			w->left -= PKRAM_BLOCK_PAGES;
			pfn += PKRAM_BLOCK_PAGES;
			continue;
		}
		unclaim_page(pfn);
		w->left--;
		pfn++;
	}
	return 0;
}

static int unclaim_pages(void *ctx, const u64 *pfn, u32 nr)
{
	int r = 0;

	for (; nr && !r; nr--)
		r = unclaim_range(ctx, PKRAM_CLAIM_DATA, *pfn++, 1, 0);
	return r;
}

/* Make a large folio of pages that are reserved or claimed one by one. */
static void make_folio(struct page *page, unsigned int order)
{
	unsigned int i;

	ClearPageReserved(page);
	for (i = 1; i < 1U << order; i++) {
		/* a memory error may set a flag at the same time */
		ClearPageReserved(page + i);
		set_page_count(page + i, 0);
	}
	prep_compound_page(page, order);
	page_rmappable_folio(page);
	pkram_page_hide(page);
	for (i = 0; unlikely(pkram_poison_any()) && i < 1U << order; i++)
		if (PageHWPoison(page + i))
			folio_set_has_hwpoisoned(page_folio(page));
}

/* Second walk, of a node that is kept: its pages become what they are. */
static int make_pages(void *ctx, enum pkram_claim what, u64 pfn, u32 count, u32 order)
{
	u64 end = pfn + ((u64)count << order);

	cond_resched();
	if (what == PKRAM_CLAIM_META)
		return 0;
	order = pkram_run_order(pfn, end - pfn, order);
	for (; order && pfn < end; pfn += 1ULL << order) {
		make_folio(pfn_to_page(pfn), order);
		/* an extent can be large, and others wait for the processor */
		if (pfn % PKRAM_BLOCK_PAGES == 0)
			cond_resched();
	}
	for (; pfn < end; pfn++) {
		ClearPageReserved(pfn_to_page(pfn));
		pkram_page_hide(pfn_to_page(pfn));
	}
	return 0;
}

static int make_none(void *ctx, const u64 *pfn, u32 nr)
{
	return 0;
}

static const void *map_page(void *ctx, u64 pfn)
{
	return pfn_to_kaddr(pfn);
}

static struct pkram_walker walker_init(struct claim_walk *w)
{
	return (struct pkram_walker) {
		.claim = claim_range,
		.claim_pages = claim_pages,
		.map = map_page,
		.ctx = w,
		.chain = le64_to_cpu(pkram.sb->hdr.chain),
		.generation = pkram_generation(),
	};
}

/**
 * pkram_claim_one() - claim one page
 * @pfn: the page, of the directory or a node page; any value
 *
 * Return: 0, or an enum pkram_damage.
 */
int pkram_claim_one(u64 pfn)
{
	if (pfn < PKRAM_MIN_PFN || pfn >= PKRAM_MAX_PFN)
		return PKRAM_DAMAGE_RANGE;
	return claim_page(pfn, pfn_to_page(pfn), claims_nr, claims);
}

/**
 * pkram_unclaim_one() - give back one page
 * @pfn: the page, from pkram_claim_one(), which is not read any more
 */
void pkram_unclaim_one(u64 pfn)
{
	unclaim_page(pfn);
}

/**
 * pkram_claim_readable() - can a page be read, whether it has an owner or not?
 * @pfn: any value
 *
 * Return: 0 if it is a good page of a preserved block, else an enum pkram_damage.
 */
int pkram_claim_readable(u64 pfn)
{
	u64 block = pfn >> PKRAM_BLOCK_ORDER;
	int r;

	if (pfn < PKRAM_MIN_PFN || block >= claims_nr)
		return PKRAM_DAMAGE_RANGE;
	r = block_refuses(atomic_read(&claims[block]) & ~BLOCK_WHOLE, pfn);
	if (!r && PageHWPoison(pfn_to_page(pfn)))
		r = PKRAM_DAMAGE_CHECKSUM;
	return r;
}

/**
 * pkram_unclaim_node() - give back what a node claimed
 * @pfn: its node page, which stays claimed
 * @c:   from pkram_claim_node(); empty afterwards
 *
 * The pages are in the state in which they were before the claim.
 *
 * Context: as pkram_claim_node(), and pkram_claim_make() was not called.
 */
void pkram_unclaim_node(u64 pfn, struct pkram_claimed *c)
{
	struct claim_walk walk = { .left = c->pages };
	struct pkram_walker w = walker_init(&walk);
	struct pkram_node_totals ignored;

	w.claim = unclaim_range;
	w.claim_pages = unclaim_pages;
	pkram_walk_node(&w, pfn, &ignored);
	unclaim_meta(&walk, 0);
	*c = (struct pkram_claimed) { };
}

/**
 * pkram_claim_node() - check a node and claim all that it consists of
 * @pfn:      its node page, which was claimed by pkram_claim_one()
 * @killable: give up when the caller gets a fatal signal
 * @c:        output
 * @totals:   output
 *
 * Context: may sleep; allocates nothing and waits for nothing. Any number of nodes can be
 * claimed at the same time.
 *
 * Return: 0; an enum pkram_damage, %PKRAM_DAMAGE_TWICE if a page has another owner now;
 * -EINTR. Nothing is claimed after an error.
 */
int pkram_claim_node(u64 pfn, bool killable, struct pkram_claimed *c,
		     struct pkram_node_totals *totals)
{
	struct claim_walk walk = { .killable = killable };
	struct pkram_walker w = walker_init(&walk);
	int r = pkram_walk_node(&w, pfn, totals);

	c->pages = walk.claimed;
	c->again = walk.again;
	if (r)
		pkram_unclaim_node(pfn, c);
	return r;
}

/**
 * pkram_claim_make() - make ordinary pages and folios of what a node claimed
 * @pfn: its node page
 * @c:   from pkram_claim_node()
 *
 * Context: as pkram_claim_node(). Cannot be undone.
 */
void pkram_claim_make(u64 pfn, const struct pkram_claimed *c)
{
	struct claim_walk walk = { };
	struct pkram_walker w = walker_init(&walk);
	struct pkram_node_totals ignored;

	w.claim = make_pages;
	w.claim_pages = make_none;
	if (c->again)
		pkram_walk_node(&w, pfn, &ignored);
}

/* For a walk that only looks: the page is readable, and there are not too many. */
static int check_range(void *ctx, enum pkram_claim what, u64 pfn, u32 count, u32 order)
{
	u64 nr = (u64)count << order;
	struct claim_walk *w = ctx;
	int r = 0;

	if (nr > w->left)
		return PKRAM_DAMAGE_COUNT;
	w->left -= nr;
	for (; nr && !r; nr--) {
		r = pkram_claim_readable(pfn++);
		if (r == PKRAM_DAMAGE_CHECKSUM)
			r = what == PKRAM_CLAIM_META ? -EHWPOISON : 0;
	}
	return r;
}

static int check_pages(void *ctx, const u64 *pfn, u32 nr)
{
	int r = 0;

	for (; nr && !r; nr--)
		r = check_range(ctx, PKRAM_CLAIM_DATA, *pfn++, 1, 0);
	return r;
}

/**
 * pkram_claim_check() - check a node without claiming anything
 * @pfn:   its node page, which can be read
 * @pages: pages that it says it has, all in all, which bound the walk
 *
 * Context: any, also as pkram_seal(); takes no locks.
 *
 * Return: 0 if its metadata can be followed; -EHWPOISON if the hardware lost a page of
 * it; else an enum pkram_damage.
 */
int pkram_claim_check(u64 pfn, u64 pages)
{
	struct claim_walk walk = { .left = pages };
	struct pkram_walker w = walker_init(&walk);
	struct pkram_node_totals ignored;

	w.claim = check_range;
	w.claim_pages = check_pages;
	return pkram_walk_node(&w, pfn, &ignored);
}
