// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: early boot.
 */
#define pr_fmt(fmt) "pkram: " fmt

#include <linux/cc_platform.h>
#include <linux/crash_dump.h>
#include <linux/init.h>
#include <linux/kstrtox.h>
#include <linux/memblock.h>
#include <linux/pkram.h>
#include <asm/e820/api.h>
#include <asm/tsc.h>

#include "pkram.h"

/**
 * DOC: reserving preserved memory in early boot
 *
 * pkram_reserve() runs as soon as memblock knows what is RAM and what the boot
 * loader and EFI use, and before it allocates anything above 1 MiB. It looks at the
 * super block and the map, and at nothing else; both are checked before a word
 * of them is believed. Every run of touched blocks becomes one reserved region.
 *
 * Whole blocks are reserved. What else is in them comes back once the page
 * allocator runs, except pages that were somebody else's before: firmware
 * tables, an initrd, a hole in RAM. Those are remembered as *busy*, and a node
 * that claims one of them is damaged. What the firmware has in RAM that becomes
 * known later only stays reserved as far as no node claims it, see
 * pkram_reserve_busy().
 *
 * The super block is opened here. Should this kernel crash later on, its
 * successor finds an open super block and starts empty.
 *
 * At this point the direct map covers nothing yet; accesses to it are filled in
 * by the early page fault handler.
 */

/* Ticks, one second or so. */
#define PKRAM_TSC_SLACK		BIT_ULL(32)

struct pkram_early pkram_early __initdata;

static u64 pkram_param __initdata;
static bool pkram_param_given __initdata;

static int __init pkram_setup(char *arg)
{
	/* A word without a value means nothing, see pkram_cmdline_find(). */
	if (!arg)
		return 0;
	pkram_param_given = true;
	if (kstrtou64(arg, 16, &pkram_param))
		pkram_param = 0;
	return 0;
}
early_param("pkram", pkram_setup);

/*
 * Take the word that kexec_file_load() of the previous kernel put in front out of the
 * command line, so that /proc/cmdline does not show it. All users can read that file,
 * and programs copy it to boot loader configurations. The word can be told by its 16
 * digits. Any other pkram= comes from the caller of kexec or from the boot loader, and
 * stays.
 */
static void __init param_hide(void)
{
	size_t len = PKRAM_PARAM_LEN - 1;

	if (!pkram_booted_by_kexec() ||
	    strncmp(boot_command_line, "pkram=0x", strlen("pkram=0x")) ||
	    strcspn(boot_command_line, " ") != len)
		return;
	if (boot_command_line[len])
		len++;
	memmove(boot_command_line, boot_command_line + len,
		strlen(boot_command_line + len) + 1);
}

static bool __init is_ram(u64 pfn, u64 nr)
{
	return e820__mapped_all(PFN_PHYS(pfn), PFN_PHYS(pfn + nr), E820_TYPE_RAM);
}

static int __init add_busy(u64 start, u64 end)
{
	struct pkram_early *e = &pkram_early;

	if (e->nr_busy > e->nr_others && e->busy[e->nr_busy - 1].end == start) {
		e->busy[e->nr_busy - 1].end = end;
		return 0;
	}
	if (e->nr_busy == ARRAY_SIZE(e->busy))
		return -E2BIG;
	e->busy[e->nr_busy].start = start;
	e->busy[e->nr_busy++].end = end;
	return 0;
}

static bool __init next_run(const struct pkram_map *map, u64 nr_blocks, u64 *start, u64 *end)
{
	*start = pkram_map_next(map, nr_blocks, *end, true);
	*end = pkram_map_next(map, nr_blocks, *start, false);
	return *start < nr_blocks;
}

static int __init add_holes(u64 pfn, u64 end)
{
	int err = 0;

	for (; pfn < end && !err; pfn++)
		if (!is_ram(pfn, 1))
			err = add_busy(pfn, pfn + 1);
	return err;
}

/* Pages from @first to below @last are somebody else's: remember those in touched blocks. */
static int __init add_reserved(const struct pkram_map *map, u64 nr_blocks, u64 first,
			       u64 last)
{
	u64 block;
	int err;

	for (block = first >> PKRAM_BLOCK_ORDER;
	     block < nr_blocks && block << PKRAM_BLOCK_ORDER < last; block++) {
		if (!pkram_map_test(map, block))
			continue;
		err = add_busy(max(first, block << PKRAM_BLOCK_ORDER),
			       min(last, (block + 1) << PKRAM_BLOCK_ORDER));
		if (err)
			return err;
	}
	return 0;
}

/* Remember what in touched blocks is not ours to take or not RAM at all. */
static int __init find_busy(const struct pkram_map *map, u64 nr_blocks)
{
	u64 i, start, end = 0, pfn, block;
	phys_addr_t from, to;
	int err;

	for_each_reserved_mem_range(i, &from, &to) {
		err = add_reserved(map, nr_blocks, PFN_DOWN(from), PFN_UP(to));
		if (err)
			return err;
	}

	while (next_run(map, nr_blocks, &start, &end)) {
		if (is_ram(start << PKRAM_BLOCK_ORDER, (end - start) << PKRAM_BLOCK_ORDER))
			continue;
		/* a long run may have a hole in its last block only */
		for (block = start; block < end; block++) {
			pfn = block << PKRAM_BLOCK_ORDER;
			if (is_ram(pfn, PKRAM_BLOCK_PAGES))
				continue;
			err = add_holes(pfn, pfn + PKRAM_BLOCK_PAGES);
			if (err)
				return err;
		}
	}
	return 0;
}

/* Room for a region array that overlaps neither reserved nor preserved memory. */
static phys_addr_t __init find_room(const struct pkram_map *map, u64 nr_blocks,
				    phys_addr_t size)
{
	phys_addr_t from, to;
	u64 i;

	for_each_free_mem_range_reverse(i, NUMA_NO_NODE, MEMBLOCK_NONE, &from, &to, NULL) {
		u64 low = PFN_UP(from), high = PFN_DOWN(to), start, end;
		u64 nr = PFN_UP(size);

		low = max_t(u64, low, PKRAM_MIN_PFN);
		while (low + nr <= high) {
			end = low >> PKRAM_BLOCK_ORDER;
			if (!next_run(map, nr_blocks, &start, &end) ||
			    start << PKRAM_BLOCK_ORDER >= low + nr)
				return PFN_PHYS(low);
			low = end << PKRAM_BLOCK_ORDER;
		}
	}
	return 0;
}

struct run_iter {
	const struct pkram_map *map;
	u64 nr_blocks;
	u64 end;
};

static bool __init run_next(void *ctx, phys_addr_t *base, phys_addr_t *size)
{
	struct run_iter *it = ctx;
	u64 start;

	if (!next_run(it->map, it->nr_blocks, &start, &it->end))
		return false;
	*base = PFN_PHYS(start << PKRAM_BLOCK_ORDER);
	*size = PFN_PHYS((it->end - start) << PKRAM_BLOCK_ORDER);
	return true;
}

static int __init reserve_runs(const struct pkram_map *map, u64 nr_blocks)
{
	struct run_iter it = { .map = map, .nr_blocks = nr_blocks };
	phys_addr_t size, room = 0;
	u64 start, end = 0;
	unsigned long nr = 0;
	int err;

	while (next_run(map, nr_blocks, &start, &end))
		nr++;
	size = memblock_reserve_sorted_size(nr);
	if (size) {
		room = find_room(map, nr_blocks, size);
		if (!room)
			return -ENOMEM;
	}
	err = memblock_reserve_sorted(run_next, &it, nr, room);
	if (!err)
		pr_info("%lu runs of 2 MiB blocks reserved, memblock has %lu reserved regions\n",
			nr, memblock.reserved.cnt);
	return err;
}

static int __init check_map(const struct pkram_super *sb, const struct pkram_map *map,
			    u64 nr_blocks)
{
	u64 pfn = le64_to_cpu(sb->hdr.pfn), map_pfn = le64_to_cpu(sb->map_pfn);
	u32 i, nr_map = le32_to_cpu(sb->nr_map);

	for (i = 0; i < nr_map; i++)
		if (pkram_check_page(&map[i].hdr, PKRAM_PAGE_MAP, map_pfn + i,
				     le64_to_cpu(sb->hdr.chain),
				     le64_to_cpu(sb->hdr.generation)) ||
		    le32_to_cpu(map[i].hdr.length) != PAGE_SIZE)
			return PKRAM_BOOT_DAMAGED;

	/* The first block is not for us, and what describes the rest must be in it. */
	if (pkram_map_test(map, 0) || pfn >> PKRAM_BLOCK_ORDER >= nr_blocks ||
	    !pkram_map_test(map, pfn >> PKRAM_BLOCK_ORDER))
		return PKRAM_BOOT_DAMAGED;
	for (i = 0; i < nr_map; i++) {
		u64 block = (map_pfn + i) >> PKRAM_BLOCK_ORDER;

		if (block >= nr_blocks || !pkram_map_test(map, block))
			return PKRAM_BOOT_DAMAGED;
	}
	return PKRAM_BOOT_RESTORED;
}

static int __init reserve_chain(u64 pfn)
{
	struct pkram_super *sb;
	struct pkram_map *map;
	u64 nr_blocks, map_pfn;
	u32 nr_map;
	int ret;

	if (pfn < PKRAM_MIN_PFN || pfn >= max_pfn || !is_ram(pfn, 1) ||
	    memblock_is_region_reserved(PFN_PHYS(pfn), PAGE_SIZE))
		return PKRAM_BOOT_NOTHING;
	sb = __va(PFN_PHYS(pfn));
	ret = pkram_check_super(sb, pfn, max_pfn);
	if (ret != PKRAM_BOOT_RESTORED)
		return ret;
	/*
	 * The counter goes back when the machine is reset, and memory may live
	 * through that. Small differences come from what is done to it at boot.
	 */
	if (sb->sealed_tsc && boot_cpu_has(X86_FEATURE_TSC) &&
	    le64_to_cpu(sb->sealed_tsc) > rdtsc_ordered() + PKRAM_TSC_SLACK)
		return PKRAM_BOOT_STALE;

	map_pfn = le64_to_cpu(sb->map_pfn);
	nr_map = le32_to_cpu(sb->nr_map);
	if (!is_ram(map_pfn, nr_map) ||
	    memblock_is_region_reserved(PFN_PHYS(map_pfn), PFN_PHYS(nr_map)))
		return PKRAM_BOOT_DAMAGED;
	map = __va(PFN_PHYS(map_pfn));
	nr_blocks = min_t(u64, (u64)nr_map * PKRAM_MAP_BITS,
			  DIV_ROUND_UP(max_pfn, PKRAM_BLOCK_PAGES));
	ret = check_map(sb, map, nr_blocks);
	if (ret != PKRAM_BOOT_RESTORED)
		return ret;

	if (find_busy(map, nr_blocks) || reserve_runs(map, nr_blocks))
		return PKRAM_BOOT_DAMAGED;

	sb->seal = cpu_to_le64(PKRAM_OPEN);
	pkram_early.sb_pfn = pfn;
	pkram_early.nr_blocks = nr_blocks;
	pkram_early.nr_others = pkram_early.nr_busy;
	return PKRAM_BOOT_RESTORED;
}

/**
 * pkram_reserve - keep preserved memory away from everybody
 *
 * Context: setup_arch(), right after efi_mokvar_table_init().
 */
void __init pkram_reserve(void)
{
	u64 begin = boot_cpu_has(X86_FEATURE_TSC) ? rdtsc_ordered() : 0;

	param_hide();
	if (is_kdump_kernel()) {
		pkram.boot_result = PKRAM_BOOT_OFF;
		if (pkram_param_given)
			pr_info("this is a kdump kernel: pkram= is ignored, preserved memory left alone\n");
		return;
	}
	if (cc_platform_has(CC_ATTR_MEM_ENCRYPT)) {
		pkram.boot_result = PKRAM_BOOT_OFF;
		pr_info("off: memory encryption is active\n");
		return;
	}
	if (!pkram_param_given)
		return;
	/*
	 * A boot loader can only know the pfn of an earlier chain, whose memory went
	 * through a reset, and there is no telling what it holds now.
	 */
	if (!pkram_booted_by_kexec()) {
		pkram.boot_result = PKRAM_BOOT_NOTHING;
		pr_info("pkram= (super block at pfn 0x%llx) is ignored: it did not come by kexec\n",
			pkram_param);
		return;
	}

	pkram.boot_result = reserve_chain(pkram_param);
	switch (pkram.boot_result) {
	case PKRAM_BOOT_RESTORED:
		break;
	case PKRAM_BOOT_STALE:
		pr_err("super block at pfn 0x%llx is stale, it was not sealed for this boot: nothing restored\n",
		       pkram_param);
		break;
	case PKRAM_BOOT_VERSION:
		pr_err("super block at pfn 0x%llx has a format this kernel cannot read: nothing restored\n",
		       pkram_param);
		break;
	case PKRAM_BOOT_DAMAGED:
		pr_err("super block at pfn 0x%llx or its map is damaged: nothing restored\n",
		       pkram_param);
		break;
	default:
		pr_err("no super block at pfn 0x%llx: nothing restored\n", pkram_param);
	}
	if (begin)
		pkram_early.cycles = rdtsc_ordered() - begin;
}

/**
 * pkram_reserve_busy - memory that turned out to be in use by the firmware
 * @start: physical address of the first byte
 * @size:  how many
 *
 * Reserving it leaves no trace where a preserved block is reserved as a whole, and
 * what nobody has in such a block is given to the page allocator. It is more than
 * the tables that are in it, and was the previous kernel's ordinary memory for the
 * rest: a node may have pages there.
 *
 * Context: after pkram_reserve(), before the page allocator runs.
 */
void __init pkram_reserve_busy(phys_addr_t start, phys_addr_t size)
{
	struct pkram_early *e = &pkram_early;
	unsigned int nr_busy = e->nr_busy;
	struct pkram_super *sb;
	int err;

	if (!e->sb_pfn || !size)
		return;
	sb = __va(PFN_PHYS(e->sb_pfn));
	err = add_reserved(__va(PFN_PHYS(le64_to_cpu(sb->map_pfn))), e->nr_blocks,
			   PFN_DOWN(start), PFN_UP(start + size));
	if (!err && e->nr_busy == nr_busy)
		return;
	/* who saw that a part is reserved did not reserve the rest */
	memblock_reserve(start, size);
	if (!err)
		return;
	/* The blocks stay reserved: better too little memory than the firmware's. */
	pr_err("too many pieces of firmware in preserved blocks: nothing restored, and the blocks stay out of use\n");
	e->sb_pfn = 0;
	pkram.boot_result = PKRAM_BOOT_DAMAGED;
}
