// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit suite pkram-blocks: the map, and runs of blocks in it.
 */
#include <linux/mm.h>
#include <linux/sizes.h>

#include "helpers.h"

/* The first of @nr blocks in a row of which none is preserved, outside the first. */
static u64 free_blocks(struct kunit *test, unsigned int nr)
{
	u64 start = 1, end;

	for (;;) {
		start = pkram_map_next(pkram.map, pkram_nr_blocks, start, false);
		end = pkram_map_next(pkram.map, pkram_nr_blocks, start, true);
		if (end - start >= nr)
			return start;
		if (end >= pkram_nr_blocks)
			kunit_skip(test, "no %u free blocks in a row", nr);
		start = end;
	}
}

static void blocks_add_pages(u64 pfn, u64 nr)
{
	guard(rwsem_read)(&pkram_kexec_sem);
	pkram_blocks_add(pfn, nr);
}

static void blocks_bits(struct kunit *test)
{
	u64 b = free_blocks(test, 3), pfn = b << PKRAM_BLOCK_ORDER;

	/* a bit goes with the last page */
	blocks_add_pages(pfn + 5, 1);
	blocks_add_pages(pfn + 511, 1);
	KUNIT_EXPECT_TRUE(test, pkram_map_test(pkram.map, b));
	KUNIT_EXPECT_FALSE(test, pkram_map_test(pkram.map, b + 1));
	pkram_blocks_sub(pfn + 511, 1);
	KUNIT_EXPECT_TRUE(test, pkram_map_test(pkram.map, b));
	pkram_blocks_sub(pfn + 5, 1);
	KUNIT_EXPECT_FALSE(test, pkram_map_test(pkram.map, b));

	/* across two borders */
	blocks_add_pages(pfn + 510, 2 + 512 + 1);
	KUNIT_EXPECT_TRUE(test, pkram_map_test(pkram.map, b));
	KUNIT_EXPECT_TRUE(test, pkram_map_test(pkram.map, b + 1));
	KUNIT_EXPECT_TRUE(test, pkram_map_test(pkram.map, b + 2));
	pkram_blocks_sub(pfn + 512, 512);
	KUNIT_EXPECT_TRUE(test, pkram_map_test(pkram.map, b));
	KUNIT_EXPECT_FALSE(test, pkram_map_test(pkram.map, b + 1));
	KUNIT_EXPECT_TRUE(test, pkram_map_test(pkram.map, b + 2));
	pkram_blocks_sub(pfn + 510, 2);
	pkram_blocks_sub(pfn + 1024, 1);
	KUNIT_EXPECT_FALSE(test, pkram_map_test(pkram.map, b));
	KUNIT_EXPECT_FALSE(test, pkram_map_test(pkram.map, b + 2));
}

/* Preserved memory as kexec sees it: first and last address of a run of blocks. */
static void blocks_next_preserved(struct kunit *test)
{
	u64 b = free_blocks(test, 5);
	const unsigned long at = (b + 1) * SZ_2M, last = at + 2 * SZ_2M - 1;
	unsigned long end = 0;

	/* of five blocks the second and the third are preserved */
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(at - SZ_2M, last + 2 * SZ_2M, &end), 0);
	blocks_add_pages((b + 1) << PKRAM_BLOCK_ORDER, 1);
	blocks_add_pages((b + 2) << PKRAM_BLOCK_ORDER, 512);
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(at - SZ_2M, last + SZ_2M, &end), at);
	KUNIT_EXPECT_EQ(test, end, last);
	/* single bytes at the ends, inside and outside */
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(at - 1, at - 1, &end), 0);
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(at, at, &end), at);
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(at - 1, at, &end), at);
	end = 0;
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(last, last, &end), at + SZ_2M);
	KUNIT_EXPECT_EQ(test, end, last);
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(last + 1, last + SZ_2M, &end), 0);
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(at - SZ_2M, at - 1, &end), 0);
	/* the end is beyond the map; the start is, too */
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(at, ULONG_MAX, &end), at);
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(pkram_nr_blocks * SZ_2M, ULONG_MAX, &end), 0);
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(ULONG_MAX, ULONG_MAX, &end), 0);
	pkram_blocks_sub((b + 1) << PKRAM_BLOCK_ORDER, 1);
	pkram_blocks_sub((b + 2) << PKRAM_BLOCK_ORDER, 512);
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(at, last, &end), 0);
}

/* The super block and the map are preserved from boot on, with nothing stored. */
static void blocks_pinned(struct kunit *test)
{
	u64 sb = pkram_pfn(pkram.sb), map = pkram_pfn(pkram.map);
	unsigned long end;

	KUNIT_EXPECT_TRUE(test, pkram_map_test(pkram.map, sb >> PKRAM_BLOCK_ORDER));
	KUNIT_EXPECT_TRUE(test, pkram_map_test(pkram.map, map >> PKRAM_BLOCK_ORDER));
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(PFN_PHYS(sb), PFN_PHYS(sb), &end),
			round_down(PFN_PHYS(sb), SZ_2M));
	/* counted, too: pages that come and go do not clear their bits */
	blocks_add_pages(sb, 1);
	pkram_blocks_sub(sb, 1);
	KUNIT_EXPECT_TRUE(test, pkram_map_test(pkram.map, sb >> PKRAM_BLOCK_ORDER));
	KUNIT_EXPECT_FALSE(test, pkram_map_test(pkram.map, 0));
	KUNIT_EXPECT_TRUE(test, pkram_blocks_room());
}

/* Memory that was added later is in no block that the firmware calls RAM. */
static void blocks_ram(struct kunit *test)
{
	const u64 end = pkram_nr_blocks << PKRAM_BLOCK_ORDER;
	u64 pfn = pkram_pfn(pkram.sb), hole = end, block;

	KUNIT_EXPECT_EQ(test, pkram_blocks_ram(pfn, 1), 1);
	KUNIT_EXPECT_EQ(test, pkram_blocks_ram(end, 1), 0);
	KUNIT_EXPECT_EQ(test, pkram_blocks_ram(pfn, 0), 0);
	/* all that this kernel got at boot is RAM, and the hole below 4 GiB is none */
	for (block = 1; block < pkram_nr_blocks; block++) {
		u64 first = block << PKRAM_BLOCK_ORDER;

		if (pfn_valid(first) && !PageReserved(pfn_to_page(first)))
			KUNIT_EXPECT_EQ(test, pkram_blocks_ram(first, PKRAM_BLOCK_PAGES),
					PKRAM_BLOCK_PAGES);
		if (!pkram_blocks_ram(first, 1))
			hole = min(hole, first);
	}
	if (hole < end) {
		KUNIT_EXPECT_EQ(test, pkram_blocks_ram(hole - 5, 10), 5);
		pkram_memory_added = true;
		KUNIT_EXPECT_TRUE(test, pkram_banned(hole, 1));
		KUNIT_EXPECT_EQ(test, pkram_allowed(hole, 7), 0);
		KUNIT_EXPECT_FALSE(test, pkram_banned(pfn, 1));
		pkram_memory_added = false;
	}
	KUNIT_EXPECT_EQ(test, pkram_blocks_ram(end - 1, 5),
			pkram_blocks_ram(end - 1, 1));
}

static u64 runs_of_map(void)
{
	u64 touched;

	return pkram_runs_count(pkram.map, pkram_nr_blocks, &touched);
}

/* Runs are counted as blocks are touched and released. */
static void blocks_runs(struct kunit *test)
{
	u64 b = free_blocks(test, 7), pfn = (b + 1) << PKRAM_BLOCK_ORDER;
	u64 before = pkram_blocks_runs();
	unsigned int i;
	/* blocks of b + 1 to b + 5, and how many runs there are then */
	static const struct {
		unsigned int block;
		bool add;
		unsigned int runs;
	} steps[] = {
		{ 0, true, 1 }, { 2, true, 2 }, { 4, true, 3 }, { 2, true, 3 }, { 1, true, 2 },
		{ 3, true, 1 }, { 2, false, 1 }, { 2, false, 2 }, { 0, false, 2 }, { 1, false, 1 },
		{ 4, false, 1 }, { 3, false, 0 },
	};

	KUNIT_EXPECT_EQ(test, before, runs_of_map());
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		u64 at = pfn + steps[i].block * PKRAM_BLOCK_PAGES;

		if (steps[i].add)
			blocks_add_pages(at + i, 1);
		else
			pkram_blocks_sub(at, 1);
		KUNIT_EXPECT_EQ_MSG(test, pkram_blocks_runs(), before + steps[i].runs,
				    "step %u", i);
		KUNIT_EXPECT_EQ_MSG(test, pkram_blocks_runs(), runs_of_map(), "step %u", i);
	}
	/* at once, across several blocks */
	blocks_add_pages(pfn + 100, 4 * PKRAM_BLOCK_PAGES);
	KUNIT_EXPECT_EQ(test, pkram_blocks_runs(), before + 1);
	pkram_blocks_sub(pfn + 100 + PKRAM_BLOCK_PAGES, PKRAM_BLOCK_PAGES);
	KUNIT_EXPECT_EQ(test, pkram_blocks_runs(), runs_of_map());
	pkram_blocks_sub(pfn + 100, PKRAM_BLOCK_PAGES);
	pkram_blocks_sub(pfn + 100 + 2 * PKRAM_BLOCK_PAGES, 2 * PKRAM_BLOCK_PAGES);
	KUNIT_EXPECT_EQ(test, pkram_blocks_runs(), before);

	/* the last block has a neighbour that does not exist */
	pfn = (pkram_nr_blocks << PKRAM_BLOCK_ORDER) - 1;
	blocks_add_pages(pfn, 1);
	KUNIT_EXPECT_EQ(test, pkram_blocks_runs(), runs_of_map());
	pkram_blocks_sub(pfn, 1);
	KUNIT_EXPECT_EQ(test, pkram_blocks_runs(), before);
}

static void runs_unlimit(void *unused)
{
	pkram_runs_limit = 0;
}

/* With too many runs, the next kernel has to reserve what is between them, too. */
static void blocks_too_many_runs(struct kunit *test)
{
	struct folio *folio = kt_new_folio(test, 0, 5);
	struct pkram_stream ps;
	u64 b, nr = 0, *block;

	block = kunit_kcalloc(test, pkram_nr_blocks, sizeof(*block), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, block);
	KUNIT_ASSERT_EQ(test, kunit_add_action(test, runs_unlimit, NULL), 0);
	kt_begin_save(test, &ps, "n", PKRAM_DATA_pages);
	PKRAM_ACCESS(pages, &ps, pages);
	for (b = 1; b < pkram_nr_blocks; b += 8) {
		if (pkram_map_test(pkram.map, b))
			continue;
		blocks_add_pages(b << PKRAM_BLOCK_ORDER, 1);
		block[nr++] = b;
	}
	KUNIT_EXPECT_EQ(test, pkram_blocks_runs(), runs_of_map());
	KUNIT_EXPECT_TRUE(test, pkram_blocks_room());
	KUNIT_EXPECT_FALSE(test, pkram_blocks_scarce());

	pkram_runs_limit = pkram_blocks_runs();
	KUNIT_EXPECT_FALSE(test, pkram_blocks_scarce());
	pkram_runs_limit = 1;
	KUNIT_EXPECT_TRUE(test, pkram_blocks_scarce());
	KUNIT_EXPECT_FALSE(test, pkram_blocks_room());
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pages, folio), -ENOSPC);
	pkram_runs_limit = 0;
	KUNIT_EXPECT_TRUE(test, pkram_blocks_room());

	while (nr)
		pkram_blocks_sub(block[--nr] << PKRAM_BLOCK_ORDER, 1);
	pkram_finish_access(&pages, false);
	pkram_discard_save(&ps);
	KUNIT_EXPECT_EQ(test, pkram_blocks_runs(), runs_of_map());
}

static struct kunit_case pkram_blocks_cases[] = {
	KUNIT_CASE(blocks_bits),
	KUNIT_CASE(blocks_runs),
	KUNIT_CASE(blocks_too_many_runs),
	KUNIT_CASE(blocks_next_preserved),
	KUNIT_CASE(blocks_pinned),
	KUNIT_CASE(blocks_ram),
	{}
};

static struct kunit_suite pkram_blocks_suite = {
	.name = "pkram-blocks",
	.init = kt_case_init,
	.exit = kt_case_exit,
	.test_cases = pkram_blocks_cases,
};

kunit_test_suite(pkram_blocks_suite);
