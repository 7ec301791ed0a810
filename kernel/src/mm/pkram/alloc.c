// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: memory that may be preserved.
 */
#include <linux/kexec.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/pkram.h>
#include <linux/sched.h>

#include "alloc.h"
#include "pkram.h"

/**
 * DOC: banned memory
 *
 * The next kernel cannot find in place what lies where its own image is going to
 * be put, or outside the block map. Such pages are *banned*: files that have them
 * are saved with copies of them, and what is allocated for metadata and byte
 * streams is drawn again until it lies elsewhere.
 *
 * Which pages are banned changes when an image is loaded or unloaded. It stays
 * as it is while pkram_kexec_sem is held for reading, so whoever records pages
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
 * pkram_alloc_folio - allocate memory that may be preserved
 * @gfp:   allocation flags
 * @order: order
 * @nid:   preferred NUMA node
 *
 * Context: may sleep; the caller holds pkram_kexec_sem for reading.
 *
 * Return: a folio with one reference that lies on no banned page, or NULL.
 */
struct folio *pkram_alloc_folio(gfp_t gfp, unsigned int order, int nid)
{
	struct folio *folio, *next;
	LIST_HEAD(rejects);

	/* Ends: each turn holds on to memory that is banned, which is finite. */
	for (;;) {
		folio = __folio_alloc_node(gfp, order, nid);
		if (!folio || !pkram_banned(folio_pfn(folio), 1UL << order))
			break;
		list_add(&folio->lru, &rejects);
		cond_resched();
	}
	while (!list_empty(&rejects)) {
		next = list_first_entry(&rejects, struct folio, lru);
		list_del(&next->lru);
		folio_put(next);
		cond_resched();
	}
	return folio;
}

/**
 * pkram_alloc_page - allocate a base page that may be preserved
 * @gfp: allocation flags
 * @nid: preferred NUMA node
 *
 * Context: as pkram_alloc_folio().
 *
 * Return: the page, not yet counted as preserved, or NULL.
 */
struct page *pkram_alloc_page(gfp_t gfp, int nid)
{
	struct folio *folio = pkram_alloc_folio(gfp, 0, nid);

	return folio ? folio_page(folio, 0) : NULL;
}

/**
 * pkram_pack_end - free what was allocated ahead
 * @pack: as it was left by pkram_pack_page()
 */
void pkram_pack_end(struct pkram_pack *pack)
{
	for (; pack->left; pack->left--)
		__free_page(pack->page++);
}

/**
 * pkram_pack_page - allocate a base page next to the one before
 * @pack: zeroed before the first call, to be given to pkram_pack_end()
 * @gfp:  allocation flags
 * @nid:  preferred NUMA node
 *
 * Pages are taken out of one free block of the node after the other as long as
 * there are any, so that they touch as few blocks as possible.
 *
 * Context: as pkram_alloc_folio().
 *
 * Return: the page, not yet counted as preserved, or NULL.
 */
struct page *pkram_pack_page(struct pkram_pack *pack, gfp_t gfp, int nid)
{
	if (pack->left && page_to_nid(pack->page) != nid)
		pkram_pack_end(pack);
	if (!pack->left) {
		pack->page = alloc_pages_node(nid, (gfp & ~__GFP_RETRY_MAYFAIL) | __GFP_NORETRY |
					      __GFP_NOWARN | __GFP_THISNODE,
					      PKRAM_BLOCK_ORDER);
		if (pack->page && pkram_banned(page_to_pfn(pack->page), PKRAM_BLOCK_PAGES)) {
			__free_pages(pack->page, PKRAM_BLOCK_ORDER);
			pack->page = NULL;
		}
		if (pack->page) {
			split_page(pack->page, PKRAM_BLOCK_ORDER);
			pack->left = PKRAM_BLOCK_PAGES;
		}
	}
	if (pack->left && !pkram_banned(page_to_pfn(pack->page), 1)) {
		pack->left--;
		return pack->page++;
	}
	return pkram_alloc_page(gfp, nid);
}
