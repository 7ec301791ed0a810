// SPDX-License-Identifier: GPL-2.0
/* Runs of blocks: what early boot joins, compared with a plain model of the rule. */
#include <stdlib.h>
#include <string.h>

#include <asm/byteorder.h>
#include <uapi/linux/pkram.h>

#include "early_machine.h"
#include "tap.h"
#include "tests.h"

#define GIB_PAGES		(1ULL << 18)
#define GIB_BLOCKS		512ULL
#define SUPER			0x2000ULL
#define BLOCK			((__u64)PKRAM_BLOCK_PAGES)
/* Blocks below 4 GiB. */
#define LOW			2048ULL
/* The longest gap that is joined. */
#define LONGEST			1023ULL

/**
 * struct model - what is known of a machine before it boots
 * @nr:      blocks
 * @touched: of each block: a node has pages there
 * @fixed:   of each block: something else is there
 */
struct model {
	__u64 nr;
	__u8 *touched;
	__u8 *fixed;
};

static __u64 seed;

/* 0 to below @n. */
static __u64 any(__u64 n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 33) % n;
}

static void model_init(struct model *m, __u64 gib)
{
	m->nr = gib * GIB_BLOCKS;
	m->touched = calloc(m->nr, 1);
	m->fixed = calloc(m->nr, 1);
	machine_init(gib * GIB_PAGES);
	machine_store(SUPER);
	m->touched[SUPER / BLOCK] = 1;
}

static void model_done(struct model *m)
{
	machine_done();
	free(m->touched);
	free(m->fixed);
}

static void touch(struct model *m, __u64 block)
{
	machine_touch(block);
	m->touched[block] = 1;
}

static int by_length(const void *a, const void *b)
{
	const __u64 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Can the gap from @start to below @end be joined? */
static bool gap_good(const struct model *m, __u64 start, __u64 end)
{
	if (start < LOW || end - start > LONGEST)
		return false;
	for (; start < end; start++)
		if (m->fixed[start])
			return false;
	return true;
}

/* Lengths of all gaps that can be joined, sorted. Returns how many there are. */
static __u64 good_gaps(const struct model *m, __u64 *length, __u64 *runs, __u64 *touched)
{
	__u64 b, last = 0, nr = 0;

	*runs = 0;
	*touched = 0;
	for (b = 1; b < m->nr; b++) {
		if (!m->touched[b])
			continue;
		++*touched;
		*runs += !m->touched[b - 1];
		if (last && last + 1 < b && gap_good(m, last + 1, b))
			length[nr++] = b - last - 1;
		last = b;
	}
	qsort(length, nr, sizeof(*length), by_length);
	return nr;
}

/* Each gap is joined as a whole or not at all, and only if it can be. Returns the blocks. */
static __u64 expect_whole_gaps(const struct model *m)
{
	__u64 b, i, end, joined = 0, wrong = 0;

	for (b = 1; b < m->nr; b = end) {
		end = b + 1;
		if (m->touched[b]) {
			wrong += !machine_touched(b) || !machine_is_reserved(b * BLOCK) ||
				 !machine_is_reserved((b + 1) * BLOCK - 1);
			continue;
		}
		while (end < m->nr && !m->touched[end])
			end++;
		for (i = b; i < end; i++)
			wrong += machine_touched(i) != machine_touched(b);
		if (!machine_touched(b))
			continue;
		wrong += !m->touched[b - 1] || end == m->nr || !gap_good(m, b, end);
		for (i = b; i < end; i++)
			wrong += !machine_is_reserved(i * BLOCK);
		joined += end - b;
	}
	EXPECT_EQ(wrong, 0);
	return joined;
}

/* Boot, and compare with the rule. Blocks of crash kernels have to be @crash. */
static void model_boot(const struct model *m, __u64 budget, __u64 ram, __u64 crash)
{
	__u64 *length = malloc(m->nr * sizeof(*length));
	__u64 runs, touched, nr, i, need, excess, want = 0;

	machine_seal();
	nr = good_gaps(m, length, &runs, &touched);
	EXPECT_EQ(machine_runs(), runs);
	EXPECT_EQ(machine_boot(SUPER), PKRAM_BOOT_RESTORED);
	need = touched + machine_boot_blocks(ram) + crash;
	excess = runs > budget ? runs - budget : 0;
	for (i = 0; i < nr && i < excess && need + want + length[i] <= ram; i++)
		want += length[i];
	EXPECT_EQ(expect_whole_gaps(m), want);
	EXPECT_EQ(machine_runs(), runs - i);
	free(length);

	/* adoption leaves in the map what nodes have, and nothing else */
	machine_adopt(m->touched);
	for (i = 0, nr = 0; i < m->nr; i++)
		nr += machine_touched(i) != m->touched[i];
	EXPECT_EQ(nr, 0);
	EXPECT_EQ(machine_counted_runs(), runs);
}

/* Runs of @run blocks or fewer, with gaps of @gap or fewer. */
static void touch_at_random(struct model *m, __u64 from, __u64 run, __u64 gap)
{
	__u64 b = from + any(gap), n;

	while (b < m->nr) {
		for (n = 1 + any(run); n && b < m->nr; n--)
			touch(m, b++);
		b += 1 + any(gap);
	}
}

static void boot_at_random(unsigned int nr)
{
	const __u64 crash = 6 * GIB_PAGES + any(GIB_PAGES), crash_nr = 20000;
	struct pkram_super *sb;
	__u64 pfn, budget, ram, b, n, i;
	struct model m;

	seed = nr;
	model_init(&m, 8);
	ram = m.nr;
	touch_at_random(&m, 5, 1 + any(5), 1 + any(nr % 2 ? 3 : 40));
	for (i = any(60); i; i--) {
		pfn = LOW * BLOCK + any((m.nr - LOW) * BLOCK - 1000);
		n = 1 + any(any(2) ? 3 : 1000);
		for (b = pfn / BLOCK; b <= (pfn + n - 1) / BLOCK; b++)
			m.fixed[b] = 1;
		machine_reserve(pfn, pfn + n);
	}
	/* the memory of a crash kernel is free, so that it is held */
	if (nr % 3) {
		for (b = crash / BLOCK; b <= (crash + crash_nr - 1) / BLOCK; b++)
			if (m.touched[b])
				break;
		sb = machine_page(SUPER);
		sb->compat = cpu_to_le64(PKRAM_COMPAT_CRASH);
		sb->crash[0].pfn = cpu_to_le64(crash);
		sb->crash[0].nr = cpu_to_le64(crash_nr);
		for (b = crash / BLOCK; b <= (crash + crash_nr - 1) / BLOCK; b++)
			m.fixed[b] = 1;
	}
	budget = 1 + any(300);
	machine_limit_runs(budget);
	model_boot(&m, budget, ram, nr % 3 ? crash_nr / BLOCK : 0);
	model_done(&m);
}

/* Every second block, with this many too many runs; the budget is @budget. */
static void boot_excess(__u64 budget, __u64 excess)
{
	struct model m;
	__u64 i;

	model_init(&m, 8);
	machine_limit_runs(budget);
	/* one run is that of the super block */
	for (i = 0; i < budget + excess - 1; i++)
		touch(&m, LOW + 2 * i);
	model_boot(&m, budget, m.nr, 0);
	model_done(&m);
}

/* Pages of random nodes come and go: the runs are counted right at any time. */
static void count_at_random(unsigned int nr)
{
	__u64 start[300], pages[300], wrong = 0, first;
	unsigned int i, k;

	seed = nr;
	machine_init(4 * GIB_PAGES);
	machine_store(SUPER);
	machine_save_blocks();
	memset(pages, 0, sizeof(pages));
	for (i = 0; i < 20000; i++) {
		k = any(300);
		if (pages[k]) {
			machine_count_pages(start[k], pages[k], false);
			pages[k] = 0;
		} else {
			/* neighbours, up to the last block, and single pages far away */
			pages[k] = 1 + any(nr % 2 ? 2000 : 3);
			start[k] = BLOCK + any((4 * GIB_BLOCKS - 1) * BLOCK - pages[k] + 1);
			if (!any(20))
				start[k] = 4 * GIB_PAGES - pages[k];
			machine_count_pages(start[k], pages[k], true);
		}
		if (i % 16 == 0)
			wrong += machine_counted_runs() != machine_runs();
	}
	first = machine_counted_runs();
	for (k = 0; k < 300; k++)
		if (pages[k])
			machine_count_pages(start[k], pages[k], false);
	wrong += machine_counted_runs() != machine_runs() || first <= 1;
	EXPECT_EQ(wrong, 0);
	/* the super block and the map stay */
	EXPECT_EQ(machine_counted_runs(), 1);
	machine_done();
}

/* Where there are too many runs, blocks between them count: no room, until some are gone. */
static void save_and_release(void)
{
	__u64 b, nr = 0;
	bool room = true;

	machine_init(8 * GIB_PAGES);
	machine_store(SUPER);
	machine_save_blocks();
	machine_limit_runs(20);
	for (b = LOW; b < 8 * GIB_BLOCKS && room; b += 4, nr++) {
		machine_count_pages(b * BLOCK, 1, true);
		room = machine_room();
	}
	/* 20 gaps of the average length are less than what a kernel needs to boot */
	EXPECT(!room && nr > 200 && nr < 300);
	machine_count_pages((b - 4) * BLOCK, 1, false);
	EXPECT(machine_room());
	/* a lonely page more is too many, one in a touched block is not */
	machine_count_pages(LOW * BLOCK + 1, 1, true);
	EXPECT(machine_room());
	/* no more runs, but fewer free blocks */
	machine_limit_runs(0);
	machine_count_pages((b - 4) * BLOCK, 1, true);
	EXPECT(machine_room());
	machine_done();
}

/* Memory that was added since boot is no room for the next kernel, which has not got it. */
static void save_with_added(void)
{
	__u64 b, nr[2];
	unsigned int i;

	for (i = 0; i < 2; i++) {
		machine_init(2 * GIB_PAGES);
		/* what the firmware calls no RAM is none for it either */
		machine_hole(GIB_PAGES, GIB_PAGES + GIB_PAGES / 2);
		machine_store(SUPER);
		machine_save_blocks();
		machine_find_ram();
		machine.added = i * 64 * GIB_PAGES;
		nr[i] = 0;
		for (b = SUPER / BLOCK + 1; b < 2 * GIB_BLOCKS && machine_room(); b++, nr[i]++)
			machine_count_pages(b * BLOCK, 1, true);
		machine_done();
	}
	EXPECT_EQ(nr[0], nr[1]);
	EXPECT(nr[0] > GIB_BLOCKS && nr[0] < 3 * GIB_BLOCKS / 2);

	/* the map may be too short for all RAM that there was at boot */
	machine_init(4 * GIB_PAGES);
	machine_store(SUPER);
	machine_save_blocks();
	machine_cover_blocks(GIB_BLOCKS);
	machine_find_ram();
	for (b = SUPER / BLOCK + 1; b < GIB_BLOCKS; b++)
		machine_count_pages(b * BLOCK, 1, true);
	EXPECT(machine_room());
	machine_done();
}

/* The next kernel gets 128 entries of a memory map with @nr: the rest is no RAM for it. */
static void save_with_entries(unsigned int nr)
{
	__u64 b, wrong = 0;

	/* each block up to @nr is an entry: RAM, and a hole, by turns */
	machine_init(GIB_PAGES);
	for (b = 1; b < GIB_BLOCKS; b++)
		if (b % 2 || b > nr)
			machine_hole(b * BLOCK, (b + 1) * BLOCK);
	machine.told = 128;
	machine_store(BLOCK);
	machine_save_blocks();
	machine_find_ram();
	for (b = 0; b < GIB_BLOCKS; b++)
		wrong += machine_block_is_ram(b) != (b % 2 == 0 && b <= nr && b < 128);
	EXPECT_EQ(wrong, 0);
	EXPECT_EQ(machine_memory_added(), nr > 126);
	machine_done();
}

static void boot_holes(void)
{
	struct model m;
	__u64 b;

	model_init(&m, 8);
	machine_limit_runs(10);
	for (b = LOW; b < m.nr; b += 4)
		touch(&m, b);
	/* one page is missing in every second gap, and all of every eighth */
	for (b = LOW + 1; b < m.nr; b += 8) {
		machine_hole(b * BLOCK + 7, b * BLOCK + 8);
		m.fixed[b] = 1;
		if ((b - LOW) % 32 == 1) {
			machine_hole((b + 1) * BLOCK, (b + 2) * BLOCK);
			m.fixed[b + 1] = 1;
		}
	}
	/* ranges with a hole have fewer whole blocks, which is what early boot counts */
	model_boot(&m, 10, m.nr, 0);
	/* what was joined has no busy page */
	EXPECT_EQ(machine_nr_busy(), 0);
	model_done(&m);
}

/* The usual budget: patterns that are within the rule are joined within it. */
static void boot_large(__u64 gib, __u64 run, __u64 gap)
{
	__u64 *length, runs, touched, cost, joined, budget;
	struct model m;

	seed = gib * 100 + run * 10 + gap;
	model_init(&m, gib);
	touch_at_random(&m, 5, run, gap);
	length = malloc(m.nr * sizeof(*length));
	good_gaps(&m, length, &runs, &touched);
	free(length);
	machine_seal();
	budget = machine_runs_budget(m.nr);
	cost = machine_runs_cost(m.nr, runs, touched);
	EXPECT_EQ(cost != 0, runs > budget);
	EXPECT(touched + cost + machine_boot_blocks(m.nr) <= m.nr);
	EXPECT_EQ(machine_boot(SUPER), PKRAM_BOOT_RESTORED);
	joined = expect_whole_gaps(&m);
	EXPECT(joined <= cost);
	EXPECT(machine_runs() <= (runs > budget ? budget : runs));
	model_done(&m);
}

/* What a save is told is no more than what a kernel has to be left anyway. */
static void expect_no_refusal(__u64 nr)
{
	/* without the struct pages, as a running kernel counts its memory */
	const __u64 ram = nr - nr / 64, most = ram - machine_boot_blocks(ram);
	__u64 touched, runs, cost, over = 0;
	unsigned int i;

	for (i = 1; i < 1000; i++) {
		touched = most * i / 1000;
		runs = touched < nr - touched ? touched : nr - touched;
		cost = machine_runs_cost(nr, runs, touched);
		over += touched + cost > most;
		/* fewer runs are never worse */
		over += machine_runs_cost(nr, runs - runs / 7, touched) > cost;
		over += machine_runs_cost(nr, 1, touched);
	}
	EXPECT_EQ(over, 0);
}

void test_runs(void)
{
	struct model m;
	unsigned int i;
	__u64 b, nr;

	tap_begin("runs: the budget grows with memory, to less than 65536");
	EXPECT_EQ(machine_runs_budget(1), 4096);
	EXPECT_EQ(machine_runs_budget(65536), 4096);
	EXPECT_EQ(machine_runs_budget(2 * 65536), 8192);
	EXPECT_EQ(machine_runs_budget(1ULL << 19), 32768);
	EXPECT(machine_runs_budget(1ULL << 21) < 65536 - 1024);
	EXPECT_EQ(machine_runs_budget(1ULL << 25), machine_runs_budget(1ULL << 21));

	for (i = 1; i <= 4; i++) {
		tap_begin("runs: counted right while pages come and go, %u", i);
		count_at_random(i);
	}
	tap_begin("runs: a save that makes too many has no room until some are gone");
	save_and_release();
	tap_begin("runs: memory that was added since boot is no room for the next kernel");
	save_with_added();
	tap_begin("runs: what the memory map has no place for is no RAM for the next kernel");
	save_with_entries(10);
	save_with_entries(126);
	save_with_entries(128);
	save_with_entries(300);

	tap_begin("runs: no pattern is refused because of them up to 1.5 TiB");
	for (nr = 8192; nr <= 3ULL << 18; nr += nr / 16)
		expect_no_refusal(nr);
	/* above, what is refused is every second block of most of memory */
	nr = 1ULL << 21;
	EXPECT(machine_runs_cost(nr, nr / 2, nr / 2) > nr / 2 - 2 * machine_boot_blocks(nr));
	EXPECT(nr / 4 + machine_runs_cost(nr, nr / 4, nr / 4) + machine_boot_blocks(nr) < nr);

	tap_begin("runs: every second block of 8 GiB is within the budget");
	model_init(&m, 8);
	for (b = 18; b < m.nr; b += 2)
		touch(&m, b);
	model_boot(&m, 4096, m.nr, 0);
	model_done(&m);

	for (i = 1; i <= 30; i++) {
		tap_begin("runs: random map %u, the smallest gaps are joined", i);
		boot_at_random(i);
	}

	tap_begin("runs: as many as the budget, and one or more above");
	boot_excess(100, 0);
	boot_excess(100, 1);
	boot_excess(100, 2);
	/* all gaps but that across 4 GiB */
	boot_excess(2, 1);
	boot_excess(2, 500);

	tap_begin("runs: gaps in which memory is missing stay");
	boot_holes();

	tap_begin("runs: joining stops where there would be no room to boot");
	model_init(&m, 8);
	machine_limit_runs(10);
	for (b = 20; b < m.nr; b++)
		if (b % 20)
			touch(&m, b);
	model_boot(&m, 10, m.nr, 0);
	model_done(&m);

	tap_begin("runs: nothing is joined where there is no room at all");
	model_init(&m, 8);
	machine_limit_runs(10);
	for (b = 20; b < m.nr; b++)
		if (b % 100)
			touch(&m, b);
	model_boot(&m, 10, m.nr, 0);
	model_done(&m);

	tap_begin("runs: gaps below 4 GiB and long ones stay");
	model_init(&m, 16);
	machine_limit_runs(3);
	for (b = 20; b < LOW; b += 200)
		touch(&m, b);
	/* 1023 blocks, and 1024 */
	touch(&m, LOW + 100);
	touch(&m, LOW + 100 + 1024);
	touch(&m, LOW + 100 + 1024 + 1025);
	model_boot(&m, 3, m.nr, 0);
	model_done(&m);

	for (i = 1; i <= 5; i += 2) {
		tap_begin("runs: 48 GiB with runs of up to %u blocks, the usual budget", i);
		boot_large(48, i, 1);
		boot_large(48, 1, i);
	}
}
