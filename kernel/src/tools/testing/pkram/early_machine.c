// SPDX-License-Identifier: GPL-2.0
/* mm/pkram/early.c, runs.c and blocks.c themselves, and the machine that they run on. */
#include "../../../mm/pkram/runs.c"
#undef pr_fmt
#include "../../../mm/pkram/blocks.c"
#include "../../../mm/pkram/early.c"

#include <sys/mman.h>

#include "early_machine.h"

struct machine machine;
unsigned long max_pfn, max_low_pfn;
typeof(memblock) memblock;
struct pkram_state pkram;
char boot_command_line[256];

static __u8 *space;
static struct pkram_super *store;

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
	return machine.nr;
}

/* what tests call */

void machine_init(__u64 nr)
{
	const size_t words = nr / 64 + 1;

	machine = (struct machine) { .nr = nr };
	machine.ram = calloc(words, sizeof(u64));
	machine.reserved = calloc(words, sizeof(u64));
	space = mmap(NULL, nr * PAGE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!machine.ram || !machine.reserved || space == MAP_FAILED)
		abort();
	bits_change(machine.ram, 0, nr, true);
	machine_reserve(0, 256);
	max_pfn = nr;
	memset(&pkram, 0, sizeof(pkram));
	memset(&pkram_early, 0, sizeof(pkram_early));
	pkram_early.others.range = few_others;
	pkram_early.others.max = ARRAY_SIZE(few_others);
	pkram_early.firmware.range = few_firmware;
	pkram_early.firmware.max = ARRAY_SIZE(few_firmware);
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

static void *page_init(u64 pfn, unsigned int type, u32 length)
{
	struct pkram_page_hdr *hdr = pfn_to_kaddr(pfn);

	hdr->magic = cpu_to_le32(PKRAM_MAGIC);
	hdr->version = cpu_to_le16(PKRAM_FORMAT_VERSION);
	hdr->type = cpu_to_le16(type);
	hdr->chain = cpu_to_le64(1234);
	hdr->pfn = cpu_to_le64(pfn);
	hdr->generation = cpu_to_le64(5);
	hdr->length = cpu_to_le32(length);
	return hdr;
}

struct pkram_super *machine_store(__u64 pfn)
{
	u64 blocks = DIV_ROUND_UP(machine.nr, PKRAM_BLOCK_PAGES);
	u32 i, nr_map = DIV_ROUND_UP(blocks, PKRAM_MAP_BITS);

	store = page_init(pfn, PKRAM_PAGE_SUPER, sizeof(*store));
	store->page_shift = cpu_to_le32(PKRAM_PAGE_SHIFT);
	store->block_order = cpu_to_le32(PKRAM_BLOCK_ORDER);
	store->map_pfn = cpu_to_le64(pfn + 2);
	store->map_copy_pfn = cpu_to_le64(pfn + 2 + nr_map);
	store->nr_map = cpu_to_le32(nr_map);
	for (i = 0; i < 2 * nr_map; i++) {
		page_init(pfn + 2 + i, PKRAM_PAGE_MAP, PAGE_SIZE);
		machine_touch((pfn + 2 + i) >> PKRAM_BLOCK_ORDER);
	}
	machine_touch(pfn >> PKRAM_BLOCK_ORDER);
	return store;
}

static struct pkram_map *store_map(void)
{
	return pfn_to_kaddr(le64_to_cpu(store->map_pfn));
}

void machine_touch(__u64 block)
{
	store_map()[block / PKRAM_MAP_BITS].bits[block % PKRAM_MAP_BITS / 64] |=
		cpu_to_le64(1ULL << block % PKRAM_MAP_BITS % 64);
}

static void page_copy(const void *page, u64 pfn)
{
	struct pkram_page_hdr *to = pfn_to_kaddr(pfn);

	memcpy(to, page, PAGE_SIZE);
	to->pfn = cpu_to_le64(pfn);
	pkram_page_finish(to);
}

void machine_seal(void)
{
	u32 i, nr_map = le32_to_cpu(store->nr_map);

	for (i = 0; i < nr_map; i++) {
		pkram_page_finish(&store_map()[i].hdr);
		page_copy(store_map() + i, le64_to_cpu(store->map_copy_pfn) + i);
	}
	store->seal = cpu_to_le64(PKRAM_SEALED);
	pkram_page_finish(&store->hdr);
	page_copy(store, pkram_twin(le64_to_cpu(store->hdr.pfn)));
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
	u64 pfn = le64_to_cpu(store->hdr.pfn), map = le64_to_cpu(store->map_pfn);
	u32 nr_map = le32_to_cpu(store->nr_map);

	max_low_pfn = min(machine.nr, SZ_4G >> PAGE_SHIFT);
	free(pkram_counts);
	pkram_counts = NULL;
	nr_pins = 0;
	pkram_touched = 0;
	pkram_touched_low = 0;
	pkram_blocks_setup(pfn_to_kaddr(map), pfn_to_kaddr(map + nr_map),
			   DIV_ROUND_UP(machine.nr, PKRAM_BLOCK_PAGES));
	pkram_blocks_pin(pfn, 2);
	pkram_blocks_pin(map, nr_map);
	pkram_blocks_pin(map + nr_map, nr_map);
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
