/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PKRAM: memory that may be preserved; see alloc.c.
 */
#ifndef _MM_PKRAM_ALLOC_H
#define _MM_PKRAM_ALLOC_H

#include <linux/gfp.h>
#include <linux/rwsem.h>

#include "pkram.h"

struct folio;
struct page;

/**
 * PKRAM_GFP - how to allocate what grows with what user space stores
 *
 * Callers that store too much get -ENOMEM; the OOM killer is not invoked.
 */
#define PKRAM_GFP	(GFP_KERNEL | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

extern struct rw_semaphore pkram_kexec_sem;

/**
 * struct pkram_bans - destinations of the loaded kexec image, and of one that is
 * being loaded
 * @nr:    how many
 * @start: first pfn of each
 * @end:   one above the last pfn of each
 */
struct pkram_bans {
	unsigned int nr;
	u64 start[34];
	u64 end[34];
};

extern struct pkram_bans pkram_bans;

bool pkram_banned_slow(u64 pfn, u64 nr);
u64 pkram_allowed(u64 pfn, u64 nr);

/**
 * pkram_banned - must these pages not be preserved where they are?
 * @pfn: first page
 * @nr:  how many
 *
 * Caller holds pkram_kexec_sem for reading until the pages are recorded.
 *
 * Return: true if they lie where the loaded image goes, or outside the map.
 */
static inline bool pkram_banned(u64 pfn, u64 nr)
{
	if (unlikely(pfn < PKRAM_MIN_PFN ||
		     pfn + nr > pkram_nr_blocks << PKRAM_BLOCK_ORDER))
		return true;
	return unlikely(pkram_bans.nr || pkram_memory_added) && pkram_banned_slow(pfn, nr);
}

void pkram_alloc_find_nodes(void);
bool pkram_memory_left(u64 before, u64 nr);
int pkram_alloc_node(int nid);
void pkram_alloc_hold(void);
void pkram_alloc_release(bool empty);
void pkram_alloc_trim(void);
struct page *pkram_alloc_page(gfp_t gfp, int nid);
struct page *pkram_alloc_packed(int nid);
struct folio *pkram_alloc_folio(gfp_t gfp, unsigned int order, int nid);

#endif /* _MM_PKRAM_ALLOC_H */
