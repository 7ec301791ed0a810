/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PKRAM: owners of the pages in preserved blocks; see claim.c.
 */
#ifndef _MM_PKRAM_CLAIM_H
#define _MM_PKRAM_CLAIM_H

#include <linux/pkram_format.h>
#include <linux/types.h>

/**
 * struct pkram_claimed - what a node has of the preserved pages
 * @pages: pages claimed, without the node page
 * @again: there are large folios or blocks claimed as a whole: pkram_claim_make() has work
 */
struct pkram_claimed {
	u64 pages;
	bool again;
};

void pkram_claims_init(void);
void pkram_claims_free(void);
bool pkram_claims_clean(u64 block);
u64 pkram_claims_next(u64 block);
u32 pkram_claims_count(u64 block);
u64 pkram_claims_nr_blocks(void);

int pkram_claim_one(u64 pfn);
void pkram_unclaim_one(u64 pfn);
int pkram_claim_readable(u64 pfn);
int pkram_claim_node(u64 pfn, bool killable, struct pkram_claimed *c,
		     struct pkram_node_totals *totals);
void pkram_unclaim_node(u64 pfn, struct pkram_claimed *c);
void pkram_claim_make(u64 pfn, const struct pkram_claimed *c);
int pkram_claim_check(u64 pfn, u64 pages);

#endif /* _MM_PKRAM_CLAIM_H */
