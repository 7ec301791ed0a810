// SPDX-License-Identifier: GPL-2.0
/*
 * What preserved memory in many runs costs the next kernel: mm/pkram/blocks.c takes as many
 * runs as it accepts, early.c and runs.c reserve them in the kernel's own memblock, and
 * then memory is allocated as early boot does. Prints a table; fails if there are too many
 * regions, or if a block is lost or gained.
 */
#include "../../../mm/pkram/runs.c"
#undef pr_fmt
#include "../../../mm/pkram/blocks.c"
#include "../../../mm/pkram/early.c"

#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "early_store.h"
#include "runs_memblock.h"

#define SUPER			0x2000ULL
/* Where runs begin, so that the store has some blocks for itself. */
#define FIRST			(SZ_4G >> 21)
#define ALLOCATIONS		10000
/* Enough to know what one takes, where 10,000 would take a minute. */
#define ALLOCATIONS_SLOW	200

/* max_pfn and max_low_pfn are memblock's */
struct pkram_state pkram;
char boot_command_line[256];

static unsigned int failures;

static void expect(bool good, const char *what)
{
	if (good)
		return;
	printf("not true: %s\n", what);
	failures++;
}

#define EXPECT(cond)		expect(cond, #cond)

/* What the kernel's code calls. */

void *__va(phys_addr_t addr)
{
	return (void *)addr;
}

phys_addr_t __pa(const void *addr)
{
	return (phys_addr_t)addr;
}

int kstrtou64(const char *s, unsigned int base, u64 *ret)
{
	*ret = strtoull(s, NULL, base);
	return 0;
}

bool pkram_booted_by_kexec(void)
{
	return true;
}

bool is_kdump_kernel(void)
{
	return false;
}

bool cc_platform_has(int attr)
{
	(void)attr;
	return false;
}

bool machine_next_reserved(u64 *i, phys_addr_t *from, phys_addr_t *to)
{
	unsigned long long at = *i, start, end;
	bool found = mb_next_reserved(&at, &start, &end);

	*i = at;
	*from = start;
	*to = end;
	return found;
}

bool machine_last_free(u64 *i, phys_addr_t *from, phys_addr_t *to)
{
	unsigned long long at = *i, start, end;
	bool found = mb_last_free(&at, &start, &end);

	*i = at;
	*from = start;
	*to = end;
	return found;
}

bool arch_pkram_next_ram(unsigned int *i, u64 *start, u64 *end)
{
	*start = 0;
	*end = max_pfn;
	return !(*i)++;
}

bool arch_pkram_next_told(unsigned int *i, u64 *start, u64 *end)
{
	return arch_pkram_next_ram(i, start, end);
}

u64 arch_pkram_avoid(u64 start, u64 end)
{
	(void)start;
	(void)end;
	return 0;
}

u64 arch_pkram_ticks(void)
{
	return 1;
}

/* All but the struct pages. */
unsigned long totalram_pages(void)
{
	return max_pfn - max_pfn / 64;
}

/* The machine */

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* The kernel that saves: a store without nodes. */
static void machine_start(u64 nr_blocks)
{
	max_pfn = nr_blocks << PKRAM_BLOCK_ORDER;
	max_low_pfn = SZ_4G >> PAGE_SHIFT;
	store_init(SUPER, nr_blocks);
	store_count_blocks(nr_blocks);
	pkram_blocks_init(GFP_KERNEL);
}

/*
 * Touch one of every @step / 1000 blocks. Returns false, and touches none, if that is more
 * than a save may leave behind.
 */
static bool touch_every(u64 nr_blocks, u64 step)
{
	u64 i, nr = (nr_blocks - FIRST - 2) * 1000 / step;

	for (i = 0; i < nr; i++)
		pkram_blocks_add((FIRST + 1 + i * step / 1000) << PKRAM_BLOCK_ORDER, 1);
	if (pkram_blocks_room())
		return true;
	while (i--)
		pkram_blocks_sub((FIRST + 1 + i * step / 1000) << PKRAM_BLOCK_ORDER, 1);
	return false;
}

/* The most runs that can be saved, in gaps that are as equal as they can be. */
static u64 touch_worst(u64 nr_blocks)
{
	u64 step = 2000;

	while (!touch_every(nr_blocks, step))
		step += 20;
	return step;
}

/* As if all nodes had been adopted: blocks of pins are counted by themselves. */
static void adopt(u64 touched, double *took)
{
	u64 block = 0, left = 0, before = pkram_touched, used;
	double begin = seconds();
	u32 *mine = pkram_counts;

	pkram_counts = NULL;
	pkram_touched = 0;
	pkram_touched_low = 0;
	pkram_blocks_adopt();
	for (block = 0; block < pkram_nr_blocks; block++) {
		if (!pkram_map_test(pkram_map, block))
			continue;
		used = block < FIRST ? 0 : mine[block];
		pkram_blocks_sub(block << PKRAM_BLOCK_ORDER, PKRAM_BLOCK_PAGES - used);
	}
	*took = seconds() - begin;
	free(mine);
	EXPECT(before == touched);
	EXPECT(pkram_touched == touched);
	for (block = 0; block < pkram_nr_blocks; block++)
		left += pkram_map_test(pkram_map, block);
	/* no block that was joined is left in the map */
	EXPECT(left == touched);
	EXPECT(pkram_blocks_runs() == pkram_runs_count(pkram_map, pkram_nr_blocks, &left));
}

/* The kernel that adopts. @bound: join runs, as it does; or do not, to compare. */
static void machine_boot(const char *name, u64 nr_blocks, bool bound)
{
	const unsigned int nr = bound ? ALLOCATIONS : ALLOCATIONS_SLOW;
	u64 runs = pkram_blocks_runs(), touched = pkram_touched;
	double reserved, allocated, adopted, begin;
	unsigned long regions, bytes;
	unsigned int i, got = 0;
	char word[32];

	mb_init(max_pfn << PAGE_SHIFT);
	mb_reserve(0, 256 << PAGE_SHIFT);
	early_forget();
	pkram_runs_limit = bound ? 0 : ~0ULL;
	snprintf(word, sizeof(word), "0x%llx", SUPER);
	pkram_setup(word);
	store_seal();

	begin = seconds();
	pkram_reserve();
	reserved = seconds() - begin;
	EXPECT(pkram.boot_result == PKRAM_BOOT_RESTORED);
	regions = mb_regions();
	bytes = mb_array();

	begin = seconds();
	for (i = 0; i < nr; i++)
		got += !!mb_alloc(i % 2 ? SZ_2M : PAGE_SIZE);
	allocated = seconds() - begin;
	EXPECT(got == nr);
	adopt(touched, &adopted);
	printf("%-7s %-6s %9llu %9llu %9lu %11lu %9.3f %9.1f %9.2f %9.3f\n", name,
	       bound ? "yes" : "no", (unsigned long long)touched, (unsigned long long)runs,
	       regions, bytes, reserved, allocated / nr * 1e6, allocated / nr * ALLOCATIONS,
	       adopted);
	fflush(stdout);
	if (bound)
		EXPECT(regions <= 65536 && regions <= pkram_runs_budget(nr_blocks) + 64);
	else
		EXPECT(regions > runs);
}

int main(void)
{
	static const struct {
		const char *name;
		u64 nr_blocks;
	} machines[] = { { "16 GiB", 1 << 13 }, { "1 TiB", 1 << 19 }, { "4 TiB", 1 << 21 } };
	unsigned int i;

	/* physical memory, where its addresses say */
	if (mmap((void *)(SZ_2M / 2), (machines[2].nr_blocks << 21) - SZ_2M / 2,
		 PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1,
		 0) == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	printf("%-7s %-6s %9s %9s %9s %11s %9s %9s %9s %9s\n", "memory", "joined", "touched",
	       "runs", "regions", "array", "reserve", "allocate", "10000", "adopt");
	printf("%-7s %-6s %9s %9s %9s %11s %9s %9s %9s %9s\n", "", "", "blocks", "", "", "bytes",
	       "s", "us each", "s", "s");
	for (i = 0; i < ARRAY_SIZE(machines); i++) {
		pkram_runs_limit = 0;
		machine_start(machines[i].nr_blocks);
		touch_worst(machines[i].nr_blocks);
		machine_boot(machines[i].name, machines[i].nr_blocks, false);
		machine_boot(machines[i].name, machines[i].nr_blocks, true);
	}
	if (failures)
		printf("%u failed\n", failures);
	return failures ? 1 : 0;
}
