// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "redzone.h"

#include <uapi/linux/pkram.h>

/* A page and as much again that must not be touched. */
#define STRIDE			(2 * PKRAM_PAGE_SIZE)

static void violation(const char *what, __u64 pfn)
{
	fprintf(stderr, "contract broken at pfn %#llx: %s\n", pfn, what);
	abort();
}

static void *must(void *p)
{
	if (!p) {
		fprintf(stderr, "not enough memory for the test\n");
		exit(EXIT_FAILURE);
	}
	return p;
}

void memory_init(struct memory *mem, __u64 base, __u64 nr_backed, __u64 nr)
{
	__u64 i;

	*mem = (struct memory) {
		.base = base,
		.nr_backed = nr_backed,
		.nr = nr,
		.fail_at = (size_t)-1,
	};
	mem->bytes = must(aligned_alloc(PKRAM_PAGE_SIZE, nr_backed * STRIDE));
	mem->taken = must(calloc(nr, 1));
	for (i = 0; i < nr_backed; i++) {
		memset(mem->bytes + i * STRIDE, 0, PKRAM_PAGE_SIZE);
		redzone_add(mem->bytes + i * STRIDE + PKRAM_PAGE_SIZE,
			    STRIDE - PKRAM_PAGE_SIZE);
	}
}

void memory_free(struct memory *mem)
{
	redzone_remove(mem->bytes, mem->nr_backed * STRIDE);
	free(mem->bytes);
	free(mem->taken);
	free(mem->log);
	memset(mem, 0, sizeof(*mem));
}

void *memory_page(struct memory *mem, __u64 pfn)
{
	if (pfn < mem->base || pfn - mem->base >= mem->nr_backed)
		violation("page cannot hold metadata", pfn);
	return mem->bytes + (pfn - mem->base) * STRIDE;
}

/* Pages of a claim that lie in the memory; far ones are in the log only. */
static __u8 *claim_taken(struct memory *mem, const struct memory_claim *c, __u64 *ret_nr)
{
	if (c->pfn < mem->base || c->pfn - mem->base >= mem->nr) {
		*ret_nr = 0;
		return mem->taken;
	}
	*ret_nr = (__u64)c->count << c->order;
	return mem->taken + (c->pfn - mem->base);
}

static void take(struct memory *mem, const struct memory_claim *c, bool on)
{
	__u64 nr, span = (__u64)c->count << c->order;
	__u8 *taken = claim_taken(mem, c, &nr);

	memset(taken, on, nr);
	if (c->what == PKRAM_CLAIM_META)
		mem->meta_pages += on ? span : -span;
	else
		mem->data_pages += on ? span : -span;
}

void memory_forget(struct memory *mem)
{
	while (mem->nr_log)
		take(mem, &mem->log[--mem->nr_log], false);
	mem->fail_at = (size_t)-1;
}

bool memory_any_taken(const struct memory *mem)
{
	return memchr(mem->taken, 1, mem->nr);
}

/* What the walk promises about every claim, whatever it read. */
static void check_contract(const struct memory_claim *c)
{
	__u64 span = (__u64)c->count << c->order;

	if (c->what == PKRAM_CLAIM_META) {
		if (c->count != 1 || c->order)
			violation("claims more than one page for metadata", c->pfn);
		if (c->pfn < PKRAM_MIN_PFN || c->pfn >= PKRAM_MAX_PFN)
			violation("claims metadata where there can be none", c->pfn);
		return;
	}
	if (c->what != PKRAM_CLAIM_DATA)
		violation("claims for nothing", c->pfn);
	if (!c->count || c->count > PKRAM_EXT_MAX_COUNT ||
	    (c->order > PKRAM_MAX_ORDER && c->order != PKRAM_GIGANTIC_ORDER))
		violation("claims what an extent cannot name", c->pfn);
	if (c->pfn < PKRAM_MIN_PFN || c->pfn >= PKRAM_MAX_PFN ||
	    span > PKRAM_MAX_PFN - c->pfn)
		violation("claims outside the range of an extent", c->pfn);
	if (c->pfn & ((1ULL << c->order) - 1))
		violation("claims an unaligned folio", c->pfn);
}

static int claim_range(struct memory *mem, const struct memory_claim *c)
{
	__u64 span = (__u64)c->count << c->order, end = mem->base + mem->nr;
	__u64 limit = c->what == PKRAM_CLAIM_META ? mem->nr_backed : mem->nr;
	size_t i;

	if (c->pfn < mem->base)
		return PKRAM_DAMAGE_RANGE;
	if (c->pfn - mem->base < limit && span <= limit - (c->pfn - mem->base))
		return memchr(mem->taken + (c->pfn - mem->base), 1, span) ?
		       PKRAM_DAMAGE_TWICE : 0;
	if (!mem->far || c->pfn < end || c->what != PKRAM_CLAIM_DATA)
		return PKRAM_DAMAGE_RANGE;
	for (i = 0; i < mem->nr_log; i++) {
		const struct memory_claim *o = &mem->log[i];

		if (o->pfn < c->pfn + span &&
		    c->pfn < o->pfn + ((__u64)o->count << o->order))
			return PKRAM_DAMAGE_TWICE;
	}
	return 0;
}

static int give_back(struct memory *mem, const struct memory_claim *c)
{
	const struct memory_claim *o;

	if (!mem->give_back)
		return PKRAM_DAMAGE_BUSY;
	/* In the order of the first walk. */
	o = &mem->log[mem->nr_log - mem->give_back];
	if (o->what != c->what || o->pfn != c->pfn || o->count != c->count ||
	    o->order != c->order)
		violation("gives back in another order than it took", c->pfn);
	mem->give_back--;
	take(mem, c, false);
	return 0;
}

static int claim(void *ctx, enum pkram_claim what, __u64 pfn, __u32 count, __u32 order)
{
	const struct memory_claim c = {
		.what = what, .pfn = pfn, .count = count, .order = order,
	};
	struct memory *mem = ctx;
	int r;

	check_contract(&c);
	if (mem->undoing)
		return give_back(mem, &c);
	if (mem->nr_log == mem->fail_at)
		return mem->fail_with;
	r = claim_range(mem, &c);
	if (r)
		return r;
	if (mem->nr_log == mem->max_log) {
		mem->max_log = mem->max_log ? 2 * mem->max_log : 64;
		mem->log = must(realloc(mem->log, mem->max_log * sizeof(*mem->log)));
	}
	mem->log[mem->nr_log++] = c;
	take(mem, &c, true);
	return 0;
}

/* The same thing, page by page. */
static int claim_pages(void *ctx, const __u64 *pfn, __u32 nr)
{
	int r = 0;

	if (!nr || nr > PKRAM_CLAIM_BATCH)
		violation("claims no pages, or too many at a time", nr ? pfn[0] : 0);
	for (; nr && !r; nr--)
		r = claim(ctx, PKRAM_CLAIM_DATA, *pfn++, 1, 0);
	return r;
}

/* Claimed is what the log says; when undoing, a page is given back before. */
static const void *map(void *ctx, __u64 pfn)
{
	struct memory *mem = ctx;

	if (pfn < mem->base || pfn - mem->base >= mem->nr_backed)
		violation("looks at a page that is not there", pfn);
	if (mem->taken[pfn - mem->base] == mem->undoing)
		violation("looks at a page it did not claim", pfn);
	return memory_page(mem, pfn);
}

int memory_walk(struct memory *mem, __u64 chain, __u64 generation, __u64 pfn,
		struct pkram_node_totals *totals)
{
	const struct pkram_walker w = {
		.claim = claim,
		.claim_pages = claim_pages,
		.map = map,
		.ctx = mem,
		.chain = chain,
		.generation = generation,
	};
	__u64 meta = mem->meta_pages, data = mem->data_pages;
	int r;

	mem->undoing = false;
	r = pkram_walk_node(&w, pfn, totals);
	meta = mem->meta_pages - meta;
	data = mem->data_pages - data;
	if (r < PKRAM_DAMAGE_NONE || r > PKRAM_DAMAGE_FEATURE)
		violation("result is no enum pkram_damage", pfn);
	/* A stream that was cut short by damage is not counted. */
	if (totals->meta_pages != meta || totals->data_pages > data)
		violation("totals do not match what was claimed", pfn);
	if (r == PKRAM_DAMAGE_NONE && totals->data_pages != data)
		violation("whole node, but totals do not match what was claimed", pfn);
	return r;
}

size_t memory_unwalk(struct memory *mem, __u64 chain, __u64 generation, __u64 pfn,
		     size_t nr)
{
	const struct pkram_walker w = {
		.claim = claim,
		.claim_pages = claim_pages,
		.map = map,
		.ctx = mem,
		.chain = chain,
		.generation = generation,
	};
	struct pkram_node_totals totals;

	mem->undoing = true;
	mem->give_back = nr;
	pkram_walk_node(&w, pfn, &totals);
	mem->undoing = false;
	if (!mem->give_back)
		mem->nr_log -= nr;
	return mem->give_back;
}
