// SPDX-License-Identifier: GPL-2.0
/* mm/pkram/early.c, runs.c and blocks.c themselves, and the machine that they run on. */
#include "../../../mm/pkram/runs.c"
#undef pr_fmt
#include "../../../mm/pkram/blocks.c"
#include "../../../mm/pkram/early.c"

#include <string.h>
#include <sys/mman.h>

#include "early_machine.h"
#include "early_store.h"

struct machine machine;
unsigned long max_pfn, max_low_pfn;
typeof(memblock) memblock;
struct pkram_state pkram;
char boot_command_line[256];

static __u8 *space;

/* bit maps */

static bool bit_test(const u64 *map, u64 i)
{
	return map[i / 64] >> (i % 64) & 1;
}

static void bits_change(u64 *map, u64 start, u64 end, bool set)
{
	for (; start < end && start < machine.nr; start++) {
		if (set)
			map[start / 64] |= 1ULL << start % 64;
		else
			map[start / 64] &= ~(1ULL << start % 64);
	}
}

static bool page_is_free(u64 pfn)
{
	return bit_test(machine.ram, pfn) && !bit_test(machine.reserved, pfn);
}

/* what early.c calls */

void *__va(phys_addr_t addr)
{
	return space + addr;
}

phys_addr_t __pa(const void *addr)
{
	return (const __u8 *)addr - space;
}

int kstrtou64(const char *s, unsigned int base, u64 *ret)
{
	char *end;

	*ret = strtoull(s, &end, base);
	return *s && !*end ? 0 : -EINVAL;
}

bool pkram_booted_by_kexec(void)
{
	return true;
}

bool is_kdump_kernel(void)
{
	return machine.kdump;
}

bool cc_platform_has(int attr)
{
	(void)attr;
	return machine.encrypted;
}

bool machine_next_reserved(u64 *i, phys_addr_t *from, phys_addr_t *to)
{
	u64 pfn = *i;

	while (pfn < machine.nr && !bit_test(machine.reserved, pfn))
		pfn++;
	*from = PFN_PHYS(pfn);
	while (pfn < machine.nr && bit_test(machine.reserved, pfn))
		pfn++;
	*to = PFN_PHYS(pfn);
	*i = pfn;
	return *from < *to;
}

bool machine_last_free(u64 *i, phys_addr_t *from, phys_addr_t *to)
{
	u64 pfn = min(*i, machine.nr);

	while (pfn && !page_is_free(pfn - 1))
		pfn--;
	*to = PFN_PHYS(pfn);
	while (pfn && page_is_free(pfn - 1))
		pfn--;
	*from = PFN_PHYS(pfn);
	*i = pfn;
	return *from < *to;
}

int memblock_reserve(phys_addr_t base, phys_addr_t size)
{
	bits_change(machine.reserved, PFN_DOWN(base), PFN_UP(base + size), true);
	return 0;
}

int memblock_phys_free(phys_addr_t base, phys_addr_t size)
{
	bits_change(machine.reserved, PFN_DOWN(base), PFN_UP(base + size), false);
	return 0;
}

bool memblock_is_region_reserved(phys_addr_t base, phys_addr_t size)
{
	u64 pfn;

	for (pfn = PFN_DOWN(base); pfn < PFN_UP(base + size); pfn++)
		if (bit_test(machine.reserved, pfn))
			return true;
	return false;
}

phys_addr_t memblock_reserve_sorted_size(unsigned long nr)
{
	return nr > 64 ? PAGE_ALIGN(nr * 24) : 0;
}

int memblock_reserve_sorted(bool (*next)(void *ctx, phys_addr_t *base, phys_addr_t *size),
			    void *ctx, unsigned long nr, phys_addr_t room)
{
	phys_addr_t base, size, bytes = memblock_reserve_sorted_size(nr);
	unsigned long n = 0;

	/* the rules for @room */
	if (bytes && (!room || room & ~PAGE_MASK || memblock_is_region_reserved(room, bytes)))
		return -EINVAL;
	while (next(ctx, &base, &size)) {
		if (bytes && base < room + bytes && room < base + size)
			return -EINVAL;
		memblock_reserve(base, size);
		n++;
	}
	return n == nr ? memblock_reserve(room, bytes) : -EINVAL;
}

bool arch_pkram_next_ram(unsigned int *i, u64 *start, u64 *end)
{
	u64 pfn = *i;

	while (pfn < machine.nr && !bit_test(machine.ram, pfn))
		pfn++;
	*start = pfn;
	while (pfn < machine.nr && bit_test(machine.ram, pfn))
		pfn++;
	*end = pfn;
	*i = pfn;
	return *start < *end;
}

/* Entries of RAM and of holes, by turns; pages are not counted twice. */
bool arch_pkram_next_told(unsigned int *i, u64 *start, u64 *end)
{
	unsigned int at = 0, nr;

	for (nr = 0; nr < machine.told && arch_pkram_next_ram(&at, start, end); nr += 2) {
		if (*start < *i)
			continue;
		*i = *end;
		return true;
	}
	return false;
}

u64 arch_pkram_avoid(u64 start, u64 end)
{
	return start < machine.avoid[1] && end > machine.avoid[0] ? machine.avoid[1] : 0;
}

u64 arch_pkram_ticks(void)
{
	return machine.ticks;
}

unsigned long totalram_pages(void)
{
	return machine.nr + machine.added;
}

/* what tests call */

void machine_init(__u64 nr)
{
	const size_t words = nr / 64 + 1;

	machine = (struct machine) { .nr = nr, .told = ~0U };
	machine.ram = calloc(words, sizeof(u64));
	machine.reserved = calloc(words, sizeof(u64));
	space = mmap(NULL, nr * PAGE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!machine.ram || !machine.reserved || space == MAP_FAILED)
		abort();
	bits_change(machine.ram, 0, nr, true);
	machine_reserve(0, 256);
	max_pfn = nr;
	early_forget();
	pkram_param_given = false;
	pkram_runs_limit = 0;
}

void machine_done(void)
{
	munmap(space, machine.nr * PAGE_SIZE);
	free(machine.ram);
	free(machine.reserved);
	free(pkram_counts);
	pkram_counts = NULL;
	free(no_ram);
	no_ram = NULL;
	ram_blocks = U64_MAX;
	pkram_memory_added = false;
}

void machine_hole(__u64 start, __u64 end)
{
	bits_change(machine.ram, start, end, false);
}

void machine_reserve(__u64 start, __u64 end)
{
	bits_change(machine.reserved, start, end, true);
}

bool machine_is_reserved(__u64 pfn)
{
	return bit_test(machine.reserved, pfn);
}

struct pkram_super *machine_store(__u64 pfn)
{
	u32 i;

	store_init(pfn, DIV_ROUND_UP(machine.nr, PKRAM_BLOCK_PAGES));
	for (i = 0; i < 2 * le32_to_cpu(store->nr_map); i++)
		machine_touch((pfn + 2 + i) >> PKRAM_BLOCK_ORDER);
	machine_touch(pfn >> PKRAM_BLOCK_ORDER);
	return store;
}

void machine_touch(__u64 block)
{
	store_map()[block / PKRAM_MAP_BITS].bits[block % PKRAM_MAP_BITS / 64] |=
		cpu_to_le64(1ULL << block % PKRAM_MAP_BITS % 64);
}

void machine_seal(void)
{
	store_seal();
}

void *machine_page(__u64 pfn)
{
	return pfn_to_kaddr(pfn);
}

void machine_release_crash(void)
{
	pkram_release_crash();
}

int machine_boot(__u64 pfn)
{
	char word[32];

	snprintf(word, sizeof(word), "0x%llx", (unsigned long long)pfn);
	early_param_pkram_setup(word);
	pkram_reserve();
	pkram_hold_crash();
	return pkram.boot_result;
}

bool machine_busy(__u64 pfn)
{
	return pkram_busy_test(&pkram_early.others, pfn);
}

bool machine_firmware(__u64 pfn)
{
	return pkram_busy_test(&pkram_early.firmware, pfn);
}

bool machine_touched(__u64 block)
{
	return pkram_map_test(store_map(), block);
}

__u64 machine_runs(void)
{
	u64 touched;

	return pkram_runs_count(store_map(), DIV_ROUND_UP(machine.nr, PKRAM_BLOCK_PAGES), &touched);
}

__u64 machine_counted_runs(void)
{
	return pkram_blocks_runs();
}

bool machine_room(void)
{
	return pkram_blocks_room();
}

void machine_save_blocks(void)
{
	max_low_pfn = min(machine.nr, SZ_4G >> PAGE_SHIFT);
	store_count_blocks(DIV_ROUND_UP(machine.nr, PKRAM_BLOCK_PAGES));
}

bool machine_block_is_ram(__u64 block)
{
	return pkram_blocks_ram(block << PKRAM_BLOCK_ORDER, 1);
}

bool machine_memory_added(void)
{
	return pkram_memory_added;
}

void machine_cover_blocks(__u64 nr)
{
	pkram_nr_blocks = nr;
}

void machine_find_ram(void)
{
	pkram_blocks_find_ram();
}

void machine_count_pages(__u64 pfn, __u64 nr, bool add)
{
	pkram_blocks_init(GFP_KERNEL);
	if (add)
		pkram_blocks_add(pfn, nr);
	else
		pkram_blocks_sub(pfn, nr);
}

void machine_adopt(const __u8 *used)
{
	u64 block;

	machine_save_blocks();
	pkram_blocks_adopt();
	/* what no node has is free in the end */
	for (block = 0; block < pkram_nr_blocks; block++)
		if (pkram_map_test(pkram_map, block))
			pkram_blocks_sub(block << PKRAM_BLOCK_ORDER,
					 PKRAM_BLOCK_PAGES - !!used[block]);
}

void machine_limit_runs(__u64 limit)
{
	pkram_runs_limit = limit;
}

__u64 machine_runs_cost(__u64 nr_blocks, __u64 runs, __u64 touched)
{
	return pkram_runs_cost(nr_blocks, runs, touched);
}

__u64 machine_runs_budget(__u64 nr_blocks)
{
	return pkram_runs_budget(nr_blocks);
}

__u64 machine_boot_blocks(__u64 ram)
{
	return pkram_boot_blocks(ram);
}

unsigned int machine_nr_busy(void)
{
	return pkram_early.others.nr;
}

void machine_firmware_uses(__u64 start, __u64 end)
{
	pkram_reserve_busy(PFN_PHYS(start), PFN_PHYS(end - start));
}
