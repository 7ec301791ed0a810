// SPDX-License-Identifier: GPL-2.0
/*
 * Keep the randomised kernel away from memory preserved by PKRAM.
 *
 * Included by kaslr.c. The map is one bit a 2 MiB block, in a few contiguous
 * pages next to the super block, so looking at it touches one or two of the
 * page tables that the decompressor has for 2 MiB mappings.
 *
 * Everything is checked as the kernel will check it. If there is no sealed super
 * block, the kernel restores nothing, and the place is random as without pkram=. If
 * there is one that cannot be read here, the kernel stays where it was loaded, which
 * is safe in any case.
 *
 * The memory that the previous kernel had for its crash kernel is kept free, too: between
 * preserved pages it may be the only piece that is large enough for crashkernel=.
 */
#include <asm/byteorder.h>
#include <linux/pkram_cmdline.h>
#include <linux/pkram_format.h>
#include "../../../../mm/pkram/format.c"

/* Map pages that are looked at: enough for 4 TiB, all of it within 2 MiB. */
#define PKRAM_BOOT_MAP_PAGES	64

static const struct pkram_map *pkram_map;
static u64 pkram_nr_blocks;
static bool pkram_map_unusable;
/* Memory in which the kernel looks for room for a crash kernel. */
static struct mem_vector pkram_crash[PKRAM_CRASH_RANGES];

/* Anything else than RAM must not be read: it may not even be an address. */
static bool pkram_is_ram(u64 pfn, u64 nr)
{
	u64 start = pfn << PKRAM_PAGE_SHIFT, size = nr << PKRAM_PAGE_SHIFT;
	unsigned int i;

	for (i = 0; i < boot_params_ptr->e820_entries; i++) {
		const struct boot_e820_entry *e = &boot_params_ptr->e820_table[i];

		if (e->type == E820_TYPE_RAM && e->addr <= start &&
		    e->size >= size && start - e->addr <= e->size - size)
			return true;
	}
	return false;
}

static bool pkram_map_good(const struct pkram_super *sb, u64 map_pfn)
{
	const struct pkram_map *map = (void *)(unsigned long)(map_pfn << PKRAM_PAGE_SHIFT);
	u32 i, nr_map = le32_to_cpu(sb->nr_map);

	if (!map_pfn || nr_map > PKRAM_BOOT_MAP_PAGES || !pkram_is_ram(map_pfn, nr_map))
		return false;
	for (i = 0; i < nr_map; i++)
		if (pkram_check_page(&map[i].hdr, PKRAM_PAGE_MAP, map_pfn + i,
				     le64_to_cpu(sb->hdr.chain),
				     le64_to_cpu(sb->hdr.generation)))
			return false;
	return true;
}

/* Check a super block, and use its map. The kernel mends maps; here one has to be good. */
static int pkram_use_super(u64 pfn)
{
	const struct pkram_super *sb = (void *)(unsigned long)(pfn << PKRAM_PAGE_SHIFT);
	u64 max_pfn = MAXMEM >> PKRAM_PAGE_SHIFT, map_pfn, start, end;
	unsigned int i;
	int ret;

	if (pfn < PKRAM_MIN_PFN || pfn >= max_pfn || !pkram_is_ram(pfn, 1))
		return PKRAM_BOOT_NOTHING;
	ret = pkram_check_super(sb, pfn, max_pfn);
	if (ret != PKRAM_BOOT_RESTORED)
		return ret;
	map_pfn = le64_to_cpu(sb->map_pfn);
	if (!pkram_map_good(sb, map_pfn))
		map_pfn = le64_to_cpu(sb->map_copy_pfn);
	if (pkram_map_good(sb, map_pfn)) {
		pkram_map = (void *)(unsigned long)(map_pfn << PKRAM_PAGE_SHIFT);
		pkram_nr_blocks = (u64)le32_to_cpu(sb->nr_map) * PKRAM_MAP_BITS;
		for (i = 0; i < PKRAM_CRASH_RANGES; i++) {
			if (!pkram_super_crash(sb, i, max_pfn, &start, &end))
				continue;
			pkram_crash[i].start = start << PKRAM_PAGE_SHIFT;
			pkram_crash[i].size = (end - start) << PKRAM_PAGE_SHIFT;
		}
	}
	return ret;
}

static void pkram_avoid_init(void)
{
	unsigned long pfn;
	char arg[32];
	int ret;

	/* A kdump kernel runs in memory of its own and ignores pkram=. */
	if (cmdline_find_option("elfcorehdr", arg, sizeof(arg)) > 0)
		return;
	/* As the kernel will read it: cmdline_find_option() knows no quotes and no "--". */
	if (!pkram_cmdline_find((const char *)get_cmd_line_ptr(), arg, sizeof(arg)))
		return;
	/* From a boot loader it is ignored, too: see pkram_booted_by_kexec(). */
	if (boot_params_ptr->hdr.type_of_loader >> 4 != 0x0d &&
	    boot_params_ptr->hdr.type_of_loader != 0xff)
		return;
	if (boot_kstrtoul(arg, 16, &pfn))
		return;
	ret = pkram_use_super(pfn);
	if (ret != PKRAM_BOOT_RESTORED)
		ret = pkram_pick_result(ret, pkram_use_super(pkram_twin(pfn)));
	/* Without a sealed store the kernel restores nothing: there is nothing to avoid. */
	if (ret == PKRAM_BOOT_RESTORED || ret == PKRAM_BOOT_DAMAGED)
		pkram_map_unusable = !pkram_map;
}

/* The same for the memory of the crash kernel. */
static bool pkram_crash_overlap(const struct mem_vector *img, u64 earliest,
				struct mem_vector *overlap)
{
	bool found = false;
	unsigned int i;

	for (i = 0; i < PKRAM_CRASH_RANGES; i++) {
		const struct mem_vector *c = &pkram_crash[i];

		if (c->size && c->start < earliest && c->start < img->start + img->size &&
		    img->start < c->start + c->size) {
			*overlap = *c;
			earliest = c->start;
			found = true;
		}
	}
	return found;
}

/*
 * Does preserved memory, or that of the crash kernel, overlap @img below @earliest? Then put
 * it in @overlap.
 */
static bool pkram_overlap(const struct mem_vector *img, u64 earliest,
			  struct mem_vector *overlap)
{
	const unsigned int shift = PKRAM_PAGE_SHIFT + PKRAM_BLOCK_ORDER;
	bool found = pkram_crash_overlap(img, earliest, overlap);
	u64 first, last;

	if (found)
		earliest = overlap->start;
	last = (earliest + (1ULL << shift) - 1) >> shift;
	if (!pkram_map)
		return found;
	if (last > pkram_nr_blocks)
		last = pkram_nr_blocks;
	first = pkram_map_next(pkram_map, last, img->start >> shift, true);
	if (first >= last)
		return found;
	overlap->start = first << shift;
	overlap->size = (pkram_map_next(pkram_map, pkram_nr_blocks, first, false) - first)
			<< shift;
	return true;
}
