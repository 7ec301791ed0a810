// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: runs of blocks, which early boot can deal with only so many of.
 */
#define pr_fmt(fmt) "pkram: " fmt

#include <linux/init.h>
#include <linux/kstrtox.h>
#include <linux/math64.h>
#include <linux/memblock.h>
#include <linux/pkram.h>
#include <linux/pkram_compat.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <asm/pkram.h>

#include "pkram.h"

/**
 * DOC: runs of preserved blocks
 *
 * Early boot reserves each *run* of touched blocks as one region. memblock keeps
 * regions in one array. If every second block of 4 TiB is touched, there are a million:
 * the array takes 25 MB in one piece, and an allocation that fits into none of the gaps
 * looks at all of them, which takes milliseconds.
 *
 * Therefore the number of runs has a *budget*, which grows with memory. Before early
 * boot reserves anything, it joins runs until there are no more than that: it reserves
 * the blocks of the smallest *gaps* between runs as well, by setting their bits in the
 * map that it has checked. No node has pages there. So adoption gives these blocks to
 * the page allocator as a whole, and takes them out of the map again. The previous
 * kernel need not know of it, and the format says nothing about it.
 *
 * Some gaps stay as they are: those below 4 GiB, where memory is scarce; those in which
 * something is reserved, or is not RAM; that of a crash kernel; and the memory in which
 * KHO starts kernels.
 *
 * Joined blocks are missing until nodes are adopted. When a node is saved, the blocks
 * that the next kernel will have to join count as touched, see pkram_blocks_room(). The
 * smallest gaps are not longer than the average gap. So the numbers of runs and of free
 * blocks tell how many blocks that are at most. Up to 1.5 TiB, no pattern of blocks costs
 * more than a kernel has to be left anyway. On larger machines, lonely pages are packed
 * sooner, and a save that fragments most of memory even so is refused.
 *
 * When nodes are removed, the others can be in more runs than a save would be allowed to
 * make. Joining stops where the kernel needs the rest of memory to boot: it boots more
 * slowly, and no node is lost.
 */

/** PKRAM_RUNS_MIN - a budget that memblock does not notice; reached above 16 GiB */
#define PKRAM_RUNS_MIN		4096
/** PKRAM_RUNS_MAX - largest budget, two thirds of 65536: others have regions, too */
#define PKRAM_RUNS_MAX		43690
/** PKRAM_RUNS_FIXED - gaps that may have to stay: 1024 below 4 GiB, and some of others */
#define PKRAM_RUNS_FIXED	1280
/** PKRAM_GAP_MAX - longest gap that is ever joined, in blocks */
#define PKRAM_GAP_MAX		1023

/* Longer gaps are fewer than the budget, even in the longest map. */
static_assert((u64)PKRAM_MAX_MAP_PAGES * PKRAM_MAP_BITS / (PKRAM_GAP_MAX + 1) + PKRAM_RUNS_FIXED <
	      PKRAM_RUNS_MAX);

/** pkram_runs_limit - budget instead of the usual one, for tests; 0: the usual one */
u64 pkram_runs_limit;

#ifdef CONFIG_PKRAM_DAMAGE
/* pkram_runs=NUMBER makes small machines join runs. */
static int __init runs_limit_setup(char *arg)
{
	return arg ? kstrtou64(arg, 0, &pkram_runs_limit) : 0;
}
early_param("pkram_runs", runs_limit_setup);
#endif

/**
 * pkram_runs_budget() - how many runs may there be?
 * @nr_blocks: blocks of the map that can be RAM
 *
 * Return: as many as early boot deals with in a fraction of a second.
 */
u64 pkram_runs_budget(u64 nr_blocks)
{
	return pkram_runs_limit ?: clamp_t(u64, nr_blocks / 16, PKRAM_RUNS_MIN, PKRAM_RUNS_MAX);
}

/**
 * pkram_runs_count() - count runs and blocks of a map
 * @map:       the map
 * @nr_blocks: blocks to look at
 * @touched:   output, how many of them are touched
 *
 * Return: how many runs there are.
 */
u64 pkram_runs_count(const struct pkram_map *map, u64 nr_blocks, u64 *touched)
{
	u64 start, end = 0, runs = 0;

	*touched = 0;
	for (;;) {
		start = pkram_map_next(map, nr_blocks, end, true);
		if (start == nr_blocks)
			return runs;
		end = pkram_map_next(map, nr_blocks, start, false);
		*touched += end - start;
		runs++;
	}
}

/**
 * pkram_runs_cost() - how many blocks does the next kernel have to join?
 * @nr_blocks: blocks of the map that can be RAM
 * @runs:      runs of touched blocks
 * @touched:   touched blocks
 *
 * Return: no less than it takes; 0 if the runs are within the budget.
 */
u64 pkram_runs_cost(u64 nr_blocks, u64 runs, u64 touched)
{
	u64 budget = pkram_runs_budget(nr_blocks), fixed, gaps;

	if (likely(runs <= budget))
		return 0;
	/* gaps that may have to stay have a block each, at least */
	fixed = min_t(u64, PKRAM_RUNS_FIXED, budget / 2);
	gaps = runs - fixed;
	return div64_u64((nr_blocks - touched - fixed) * (runs - budget) + gaps - 1, gaps);
}

/**
 * struct gaps - gaps between runs, by their length
 * @nr:    how many there are of each length in blocks
 * @limit: those that are shorter are joined
 * @some:  and so many of this length
 */
struct gaps {
	u32 nr[PKRAM_GAP_MAX + 1];
	u32 limit;
	u32 some;
};

static struct gaps gaps __initdata;

/* Join the gap at @block if that is planned. Returns how many blocks it is. */
static u64 __init gap_join(struct gaps *g, struct pkram_map *map, u64 block, u64 len)
{
	u64 i;

	if (len > g->limit || (len == g->limit && !g->some))
		return 0;
	if (len == g->limit)
		g->some--;
	for (i = block; i < block + len; i++)
		pkram_map_put(map, i, true);
	return len;
}

/*
 * Count the gaps that are within [@first, @last), or join them if @join. Runs that limit
 * them may be outside. Returns how many blocks were joined.
 */
static u64 __init gaps_walk(struct gaps *g, struct pkram_map *map, u64 nr_blocks,
			    u64 first, u64 last, bool join)
{
	u64 start, end, joined = 0;

	/* A gap that begins at @first may go on before it. */
	end = first && !pkram_map_test(map, first - 1) ?
	      pkram_map_next(map, nr_blocks, first, true) : first;
	for (;;) {
		start = pkram_map_next(map, last, end, false);
		end = pkram_map_next(map, nr_blocks, start, true);
		/* what follows the last run is no gap */
		if (start >= last || end > last || end == nr_blocks)
			return joined;
		/* nor is what comes before the first */
		if (!start || end - start > PKRAM_GAP_MAX)
			continue;
		if (join)
			joined += gap_join(g, map, start, end - start);
		else
			g->nr[end - start]++;
	}
}

/* The same without memory that is kept free, of which @avoid has @nr ranges of pages. */
static u64 __init gaps_walk_avoiding(struct gaps *g, struct pkram_map *map, u64 nr_blocks,
				     u64 start, u64 end, const struct pkram_pfn_range *avoid,
				     unsigned int nr, bool join)
{
	for (; nr; nr--, avoid++) {
		if (avoid->start >= avoid->end || avoid->start >= end || avoid->end <= start)
			continue;
		if (avoid->start <= start)
			start = avoid->end;
		else if (avoid->end >= end)
			end = avoid->start;
		else
			return gaps_walk_avoiding(g, map, nr_blocks, start, avoid->start,
						  avoid + 1, nr - 1, join) +
			       gaps_walk_avoiding(g, map, nr_blocks, avoid->end, end,
						  avoid + 1, nr - 1, join);
		if (start >= end)
			return 0;
	}
	start = DIV_ROUND_UP(start, PKRAM_BLOCK_PAGES);
	end = min(end >> PKRAM_BLOCK_ORDER, nr_blocks);
	return start < end ? gaps_walk(g, map, nr_blocks, start, end, join) : 0;
}

/* Of all free memory above 4 GiB. */
static u64 __init gaps_walk_free(struct gaps *g, struct pkram_map *map, u64 nr_blocks,
				 const struct pkram_pfn_range *avoid, unsigned int nr, bool join)
{
	phys_addr_t from, to;
	u64 i, joined = 0;

	for_each_free_mem_range_reverse(i, NUMA_NO_NODE, MEMBLOCK_NONE, &from, &to, NULL) {
		if (to <= SZ_4G)
			break;
		from = max_t(phys_addr_t, from, SZ_4G);
		if (!early_is_scratch(from, to))
			joined += gaps_walk_avoiding(g, map, nr_blocks, PFN_UP(from),
						     PFN_DOWN(to), avoid, nr, join);
	}
	return joined;
}

/* Join @excess of the gaps, the smallest ones, as long as they have at most @most blocks. */
static void __init gaps_plan(struct gaps *g, u64 excess, u64 most)
{
	u64 n;

	for (g->limit = 1; g->limit <= PKRAM_GAP_MAX; g->limit++) {
		n = min3(excess, (u64)g->nr[g->limit], most / g->limit);
		excess -= n;
		most -= n * g->limit;
		if (!excess || n < g->nr[g->limit]) {
			g->some = n;
			return;
		}
	}
}

/**
 * pkram_runs_join() - join runs until early boot can deal with them
 * @map:       the map, checked; bits of gaps are set in it
 * @nr_blocks: blocks of it that can be RAM
 * @avoid:     pages that have to stay free
 * @nr_avoid:  how many ranges that are
 *
 * Context: setup_arch(), before any of the runs is reserved.
 *
 * Return: how many blocks were joined.
 */
u64 __init pkram_runs_join(struct pkram_map *map, u64 nr_blocks,
			   const struct pkram_pfn_range *avoid, unsigned int nr_avoid)
{
	u64 budget = pkram_runs_budget(nr_blocks), ram = 0, need, start, end, touched, joined;
	u64 runs = pkram_runs_count(map, nr_blocks, &touched);
	unsigned int i = 0;

	if (runs <= budget)
		return 0;
	while (arch_pkram_next_ram(&i, &start, &end))
		ram += (end - start) >> PKRAM_BLOCK_ORDER;
	need = touched + pkram_boot_blocks(ram);
	for (i = 0; i < nr_avoid; i++)
		if (avoid[i].start < avoid[i].end)
			need += (avoid[i].end - avoid[i].start) >> PKRAM_BLOCK_ORDER;

	memset(&gaps, 0, sizeof(gaps));
	gaps_walk_free(&gaps, map, nr_blocks, avoid, nr_avoid, false);
	gaps_plan(&gaps, runs - budget, need < ram ? ram - need : 0);
	joined = gaps_walk_free(&gaps, map, nr_blocks, avoid, nr_avoid, true);
	pr_info("%llu runs of touched blocks are too many: %llu blocks between them stay reserved until nodes are adopted\n",
		runs, joined);
	return joined;
}
