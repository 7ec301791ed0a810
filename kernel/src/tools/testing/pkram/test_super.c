// SPDX-License-Identifier: GPL-2.0
/* What early boot believes: the super block and the map. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests.h"

#define MAX_PFN			(TEST_BASE + TEST_PAGES)

struct super_row {
	const char *what;
	size_t offset;
	size_t size;
	__u64 value;
	int want;
};

#define AT(field)		offsetof(struct pkram_super, field)

/* All with a right checksum. */
static const struct super_row rows[] = {
	{ "hdr.magic = 0", AT(hdr.magic), 4, 0, PKRAM_BOOT_NOTHING },
	{ "hdr.magic = PKRAM_MAGIC + 1", AT(hdr.magic), 4, PKRAM_MAGIC + 1, PKRAM_BOOT_NOTHING },
	{ "hdr.type = PKRAM_PAGE_MAP", AT(hdr.type), 2, PKRAM_PAGE_MAP, PKRAM_BOOT_NOTHING },
	{ "hdr.pfn = TEST_BASE + 7", AT(hdr.pfn), 8, TEST_BASE + 7, PKRAM_BOOT_NOTHING },
	{ "hdr.version = 0", AT(hdr.version), 2, 0, PKRAM_BOOT_VERSION },
	{ "hdr.version = PKRAM_FORMAT_VERSION + 1", AT(hdr.version), 2,
	  PKRAM_FORMAT_VERSION + 1, PKRAM_BOOT_VERSION },
	{ "hdr.length = 64", AT(hdr.length), 4, 64, PKRAM_BOOT_DAMAGED },
	{ "hdr.length = PKRAM_SUPER_MIN - 8", AT(hdr.length), 4,
	  PKRAM_SUPER_MIN - 8, PKRAM_BOOT_DAMAGED },
	/* The first writers had no more to say. */
	{ "hdr.length = PKRAM_SUPER_MIN", AT(hdr.length), 4,
	  PKRAM_SUPER_MIN, PKRAM_BOOT_RESTORED },
	{ "hdr.length = sizeof + 4", AT(hdr.length), 4,
	  sizeof(struct pkram_super) + 4, PKRAM_BOOT_DAMAGED },
	/* A later writer may have more to say in it. */
	{ "hdr.length = sizeof + 8", AT(hdr.length), 4,
	  sizeof(struct pkram_super) + 8, PKRAM_BOOT_RESTORED },
	{ "hdr.length = PKRAM_PAGE_SIZE", AT(hdr.length), 4, PKRAM_PAGE_SIZE, PKRAM_BOOT_RESTORED },
	{ "hdr.length = PKRAM_PAGE_SIZE + 8", AT(hdr.length), 4,
	  PKRAM_PAGE_SIZE + 8, PKRAM_BOOT_DAMAGED },
	{ "hdr.length = ~0U", AT(hdr.length), 4, ~0U, PKRAM_BOOT_DAMAGED },
	{ "hdr.flags = PKRAM_HDR_ALONE", AT(hdr.flags), 4, PKRAM_HDR_ALONE, PKRAM_BOOT_RESTORED },
	{ "hdr.flags = 2", AT(hdr.flags), 4, 2, PKRAM_BOOT_DAMAGED },
	{ "hdr.flags = 1U << 31", AT(hdr.flags), 4, 1U << 31, PKRAM_BOOT_DAMAGED },
	{ "hdr.reserved1 = 1", AT(hdr.reserved1), 8, 1, PKRAM_BOOT_DAMAGED },
	{ "seal = PKRAM_OPEN", AT(seal), 8, PKRAM_OPEN, PKRAM_BOOT_STALE },
	{ "seal = 0", AT(seal), 8, 0, PKRAM_BOOT_DAMAGED },
	{ "seal = PKRAM_SEALED ^ 1", AT(seal), 8, PKRAM_SEALED ^ 1, PKRAM_BOOT_DAMAGED },
	{ "compat = ~0ULL", AT(compat), 8, ~0ULL, PKRAM_BOOT_RESTORED },
	{ "incompat = 1", AT(incompat), 8, 1, PKRAM_BOOT_VERSION },
	{ "incompat = 1ULL << 63", AT(incompat), 8, 1ULL << 63, PKRAM_BOOT_VERSION },
	{ "page_shift = 16", AT(page_shift), 4, 16, PKRAM_BOOT_VERSION },
	{ "block_order = 10", AT(block_order), 4, 10, PKRAM_BOOT_VERSION },
	{ "nr_map = 0", AT(nr_map), 4, 0, PKRAM_BOOT_DAMAGED },
	{ "nr_map = PKRAM_MAX_MAP_PAGES + 1", AT(nr_map), 4,
	  PKRAM_MAX_MAP_PAGES + 1, PKRAM_BOOT_DAMAGED },
	{ "nr_map = ~0U", AT(nr_map), 4, ~0U, PKRAM_BOOT_DAMAGED },
	/* with the copy behind it */
	{ "nr_map = 2", AT(nr_map), 4, 2, PKRAM_BOOT_DAMAGED },
	{ "map_copy_pfn = 0", AT(map_copy_pfn), 8, 0, PKRAM_BOOT_RESTORED },
	{ "map_copy_pfn = map_pfn", AT(map_copy_pfn), 8, TEST_BASE + 6, PKRAM_BOOT_DAMAGED },
	{ "map_copy_pfn = super", AT(map_copy_pfn), 8, TEST_BASE + 2, PKRAM_BOOT_DAMAGED },
	{ "map_copy_pfn = copy of super", AT(map_copy_pfn), 8, TEST_BASE + 3, PKRAM_BOOT_DAMAGED },
	{ "map_copy_pfn = TEST_BASE + 1", AT(map_copy_pfn), 8, TEST_BASE + 1, PKRAM_BOOT_RESTORED },
	{ "map_copy_pfn = PKRAM_MIN_PFN - 1", AT(map_copy_pfn), 8, PKRAM_MIN_PFN - 1,
	  PKRAM_BOOT_DAMAGED },
	{ "map_copy_pfn = MAX_PFN - 1", AT(map_copy_pfn), 8, MAX_PFN - 1, PKRAM_BOOT_RESTORED },
	{ "map_copy_pfn = MAX_PFN", AT(map_copy_pfn), 8, MAX_PFN, PKRAM_BOOT_DAMAGED },
	{ "map_copy_pfn = ~0ULL", AT(map_copy_pfn), 8, ~0ULL, PKRAM_BOOT_DAMAGED },
	{ "map_pfn = super", AT(map_pfn), 8, TEST_BASE + 2, PKRAM_BOOT_DAMAGED },
	{ "map_pfn = copy of super", AT(map_pfn), 8, TEST_BASE + 3, PKRAM_BOOT_DAMAGED },
	{ "map_pfn = 0", AT(map_pfn), 8, 0, PKRAM_BOOT_DAMAGED },
	{ "map_pfn = PKRAM_MIN_PFN - 1", AT(map_pfn), 8, PKRAM_MIN_PFN - 1, PKRAM_BOOT_DAMAGED },
	{ "map_pfn = PKRAM_MIN_PFN", AT(map_pfn), 8, PKRAM_MIN_PFN, PKRAM_BOOT_RESTORED },
	{ "map_pfn = MAX_PFN - 1", AT(map_pfn), 8, MAX_PFN - 1, PKRAM_BOOT_RESTORED },
	{ "map_pfn = MAX_PFN", AT(map_pfn), 8, MAX_PFN, PKRAM_BOOT_DAMAGED },
	{ "map_pfn = ~0ULL", AT(map_pfn), 8, ~0ULL, PKRAM_BOOT_DAMAGED },
};

static struct pkram_super *sealed(struct fixture *f)
{
	fixture_init(f);
	image_super(&f->img);
	image_seal(&f->img);
	return f->img.super;
}

static int check(struct fixture *f)
{
	return pkram_check_super(f->img.super, le64_to_cpu(f->img.super->hdr.pfn), MAX_PFN);
}

/* The memory of the crash kernel is known if the writer says that it is, and it is in RAM. */
static void crash_ranges(void)
{
	static const struct {
		__u64 compat, pfn, nr;
		__u32 length;
		bool want;
	} table[] = {
		{ PKRAM_COMPAT_CRASH, TEST_BASE, 8, sizeof(struct pkram_super), true },
		{ ~0ULL, TEST_BASE, 8, PKRAM_PAGE_SIZE, true },
		{ PKRAM_COMPAT_CRASH, MAX_PFN - 8, 8, sizeof(struct pkram_super), true },
		{ PKRAM_COMPAT_CRASH, MAX_PFN - 8, 9, sizeof(struct pkram_super), false },
		{ PKRAM_COMPAT_CRASH, MAX_PFN, 1, sizeof(struct pkram_super), false },
		{ PKRAM_COMPAT_CRASH, ~0ULL, 2, sizeof(struct pkram_super), false },
		{ PKRAM_COMPAT_CRASH, TEST_BASE, ~0ULL, sizeof(struct pkram_super), false },
		{ PKRAM_COMPAT_CRASH, TEST_BASE, 0, sizeof(struct pkram_super), false },
		{ PKRAM_COMPAT_CRASH, PKRAM_MIN_PFN - 1, 8, sizeof(struct pkram_super), false },
		{ 0, TEST_BASE, 8, sizeof(struct pkram_super), false },
		{ PKRAM_COMPAT_CRASH, TEST_BASE, 8, sizeof(struct pkram_super) - 8, false },
		{ PKRAM_COMPAT_CRASH, TEST_BASE, 8, PKRAM_SUPER_MIN, false },
	};
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		tap_begin("super: memory of a crash kernel, %u", i);
		for (k = 0; k < PKRAM_CRASH_RANGES; k++) {
			struct fixture f;
			struct pkram_super *sb = sealed(&f);
			__u64 start, end;

			sb->compat = cpu_to_le64(table[i].compat);
			sb->hdr.length = cpu_to_le32(table[i].length);
			sb->crash[k].pfn = cpu_to_le64(table[i].pfn);
			sb->crash[k].nr = cpu_to_le64(table[i].nr);
			pkram_page_finish(&sb->hdr);
			EXPECT_EQ(check(&f), PKRAM_BOOT_RESTORED);
			EXPECT_EQ(pkram_super_crash(sb, k, MAX_PFN, &start, &end), table[i].want);
			if (table[i].want) {
				EXPECT_EQ(start, table[i].pfn);
				EXPECT_EQ(end, table[i].pfn + table[i].nr);
			}
			EXPECT(!pkram_super_crash(sb, 1 - k, MAX_PFN, &start, &end));
			fixture_done(&f);
		}
	}
}

/* Of two copies one that is good is used, whatever the other one is. */
static void picks(void)
{
	static const int all[] = { PKRAM_BOOT_NOTHING, PKRAM_BOOT_STALE, PKRAM_BOOT_VERSION,
				   PKRAM_BOOT_DAMAGED };
	unsigned int i, j;

	tap_begin("super: one good copy is enough");
	EXPECT_EQ(pkram_pick_result(PKRAM_BOOT_RESTORED, PKRAM_BOOT_RESTORED),
		  PKRAM_BOOT_RESTORED);
	for (i = 0; i < ARRAY_SIZE(all); i++) {
		EXPECT_EQ(pkram_pick_result(PKRAM_BOOT_RESTORED, all[i]), PKRAM_BOOT_RESTORED);
		EXPECT_EQ(pkram_pick_result(all[i], PKRAM_BOOT_RESTORED), PKRAM_BOOT_RESTORED);
	}

	tap_begin("super: two bad copies are never good");
	for (i = 0; i < ARRAY_SIZE(all); i++)
		for (j = 0; j < ARRAY_SIZE(all); j++)
			EXPECT(pkram_pick_result(all[i], all[j]) == all[i] ||
			       pkram_pick_result(all[i], all[j]) == all[j]);
	EXPECT_EQ(pkram_pick_result(PKRAM_BOOT_VERSION, PKRAM_BOOT_NOTHING), PKRAM_BOOT_VERSION);
	EXPECT_EQ(pkram_pick_result(PKRAM_BOOT_DAMAGED, PKRAM_BOOT_STALE), PKRAM_BOOT_STALE);
}

/* A machine of any size has a map that the page allocator can make. */
static void map_sizes(void)
{
	const __u64 page = (__u64)PKRAM_MAP_BITS << PKRAM_BLOCK_ORDER;
	__u64 max_pfn;

	tap_begin("super: pages of the map, for machines of every size");
	EXPECT_EQ(pkram_map_pages(1), 1);
	EXPECT_EQ(pkram_map_pages(page), 1);
	EXPECT_EQ(pkram_map_pages(page + 1), 2);
	EXPECT_EQ(pkram_map_pages(1023 * page), 1023);
	EXPECT_EQ(pkram_map_pages(1023 * page + 1), 1024);
	EXPECT_EQ(pkram_map_pages(1024 * page + 1), 1024);
	EXPECT_EQ(pkram_map_pages(~0ULL), 1024);
	/* one contiguous piece each, of what the page allocator has at most: 4 MiB */
	for (max_pfn = 1; max_pfn; max_pfn <<= 1)
		EXPECT(pkram_map_pages(max_pfn) >= 1 && pkram_map_pages(max_pfn) <= 1 << 10);
}

void test_super(void)
{
	struct pkram_super *sb;
	struct fixture f;
	unsigned int i;
	__u64 pfn;

	tap_begin("super: a sealed one is restored");
	sb = sealed(&f);
	pfn = le64_to_cpu(sb->hdr.pfn);
	EXPECT_EQ(pkram_check_super(sb, pfn, MAX_PFN), PKRAM_BOOT_RESTORED);

	tap_begin("super: found where it was not written is nothing");
	EXPECT_EQ(pkram_check_super(sb, pfn + 1, MAX_PFN), PKRAM_BOOT_NOTHING);

	tap_begin("super: memory of zeroes and of ones is nothing");
	memset(sb, 0, PKRAM_PAGE_SIZE);
	EXPECT_EQ(pkram_check_super(sb, 0, MAX_PFN), PKRAM_BOOT_NOTHING);
	memset(sb, 0xff, PKRAM_PAGE_SIZE);
	EXPECT_EQ(pkram_check_super(sb, ~0ULL, MAX_PFN), PKRAM_BOOT_NOTHING);
	fixture_done(&f);

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		__le64 le = cpu_to_le64(rows[i].value);

		tap_begin("super: %s gives %d", rows[i].what, rows[i].want);
		sb = sealed(&f);
		pfn = le64_to_cpu(sb->hdr.pfn);
		memcpy((__u8 *)sb + rows[i].offset, &le, rows[i].size);
		image_finish(&f.img, pfn);
		EXPECT_EQ(pkram_check_super(sb, pfn, MAX_PFN), rows[i].want);
		fixture_done(&f);
	}

	tap_begin("super: an open one is stale whatever its checksum");
	sb = sealed(&f);
	sb->seal = cpu_to_le64(PKRAM_OPEN);
	EXPECT_EQ(check(&f), PKRAM_BOOT_STALE);

	tap_begin("super: the map must fit below the end of RAM");
	sb->seal = cpu_to_le64(PKRAM_SEALED);
	sb->map_copy_pfn = 0;
	sb->nr_map = cpu_to_le32(4);
	for (i = 1; i <= 8; i++) {
		sb->map_pfn = cpu_to_le64(MAX_PFN - i);
		pkram_page_finish(&sb->hdr);
		EXPECT_EQ(check(&f), i < 4 ? PKRAM_BOOT_DAMAGED : PKRAM_BOOT_RESTORED);
	}
	fixture_done(&f);

	crash_ranges();
	picks();
	map_sizes();
}

/* The slow and obvious way. */
static __u64 next_by_test(const struct pkram_map *map, __u64 nr, __u64 block, bool set)
{
	while (block < nr && pkram_map_test(map, block) != set)
		block++;
	return block < nr ? block : nr;
}

static void set_bit(struct pkram_map *map, __u64 block)
{
	struct pkram_map *m = map + block / PKRAM_MAP_BITS;

	block %= PKRAM_MAP_BITS;
	m->bits[block / 64] |= cpu_to_le64(1ULL << block % 64);
}

static void map_random(struct pkram_map *map, __u64 nr)
{
	__u64 x = 1234567, i, block = 0;

	/* Stretches of ones and zeroes of very different lengths. */
	for (i = 0; block < nr; i++) {
		__u64 len;

		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		len = 1 + ((x >> 33) >> (x >> 20 & 31)) % 5000;
		for (; len && block < nr; len--, block++)
			if (i % 2)
				set_bit(map, block);
	}
}

void test_map(void)
{
	const unsigned int nr_map = 3;
	const __u64 nr = nr_map * PKRAM_MAP_BITS, bits = PKRAM_MAP_BITS;
	struct pkram_map *map = calloc(nr_map, sizeof(*map));
	__u64 blocks[] = { 0, 63, 64, 1000, bits - 1, bits, bits + 64, 2 * bits - 1,
			   2 * bits, nr - 1 };
	unsigned int i;
	__u64 b;

	if (!map)
		abort();
	/* Headers must never be taken for bits. */
	for (i = 0; i < nr_map; i++)
		memset(&map[i].hdr, 0xff, sizeof(map[i].hdr));

	tap_begin("map: empty");
	EXPECT_EQ(pkram_map_next(map, nr, 0, true), nr);
	EXPECT_EQ(pkram_map_next(map, nr, 0, false), 0);
	EXPECT_EQ(pkram_map_next(map, 0, 0, true), 0);
	EXPECT_EQ(pkram_map_next(map, 0, 0, false), 0);
	EXPECT_EQ(pkram_map_next(map, nr, nr, false), nr);
	EXPECT_EQ(pkram_map_next(map, nr, ~0ULL, true), nr);

	tap_begin("map: single bits at borders of words and pages");
	for (i = 0; i < ARRAY_SIZE(blocks); i++)
		set_bit(map, blocks[i]);
	for (i = 0, b = 0; i < ARRAY_SIZE(blocks); i++, b++) {
		b = pkram_map_next(map, nr, b, true);
		EXPECT_EQ(b, blocks[i]);
		EXPECT(pkram_map_test(map, b));
	}
	EXPECT_EQ(pkram_map_next(map, nr, nr - 1, true), nr - 1);
	EXPECT_EQ(pkram_map_next(map, nr - 1, nr - 2, true), nr - 1);

	tap_begin("map: a bit at or past the end is not found");
	for (i = 0; i < ARRAY_SIZE(blocks); i++)
		EXPECT_EQ(pkram_map_next(map, blocks[i], blocks[i] ? blocks[i] - 1 : 0, true),
			  blocks[i] == 64 ? 63 : blocks[i] == bits ? bits - 1 :
			  blocks[i] == 2 * bits ? 2 * bits - 1 : blocks[i]);

	tap_begin("map: full");
	for (b = 0; b < nr; b++)
		set_bit(map, b);
	EXPECT_EQ(pkram_map_next(map, nr, 0, false), nr);
	for (b = 0; b < nr; b += 61)
		EXPECT_EQ(pkram_map_next(map, nr, b, true), b);

	for (i = 0; i < nr_map; i++)
		memset(map[i].bits, 0, sizeof(map[i].bits));
	map_random(map, nr);
	tap_begin("map: next set and next clear agree with testing each bit");
	for (b = 0; b < nr; b += b % 3 ? 1 : 40) {
		EXPECT_EQ(pkram_map_next(map, nr, b, true), next_by_test(map, nr, b, true));
		EXPECT_EQ(pkram_map_next(map, nr, b, false), next_by_test(map, nr, b, false));
	}

	tap_begin("map: wherever the end is, nothing past it is found");
	for (b = bits - 200; b < bits + 200; b++) {
		EXPECT_EQ(pkram_map_next(map, b, bits - 256, true),
			  next_by_test(map, b, bits - 256, true));
		EXPECT_EQ(pkram_map_next(map, b, bits - 256, false),
			  next_by_test(map, b, bits - 256, false));
	}
	/* One bit alone in its word, and an end before it in that word. */
	memset(map[1].bits, 0, sizeof(map[1].bits));
	set_bit(map, bits + 63);
	for (b = bits; b <= bits + 64; b++)
		EXPECT_EQ(pkram_map_next(map, b, bits, true), b < bits + 64 ? b : bits + 63);

	tap_begin("map: set and clear stretches cover all blocks once");
	for (b = 0, i = 0; b < nr; i++) {
		__u64 end = pkram_map_next(map, nr, b, !(i % 2));

		EXPECT(end > b || !i);
		b = end;
	}
	EXPECT_EQ(b, nr);
	free(map);
}
