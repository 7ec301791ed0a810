/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A store without nodes, as a kernel hands it over: for early_machine.c and runs_table.c,
 * which include it behind mm/pkram/blocks.c and early.c.
 */
#ifndef _PKRAM_EARLY_STORE_H
#define _PKRAM_EARLY_STORE_H

static struct pkram_super *store;

static void *page_init(u64 pfn, unsigned int type, u32 length)
{
	struct pkram_page_hdr *hdr = pfn_to_kaddr(pfn);

	memset(hdr, 0, PAGE_SIZE);
	hdr->magic = cpu_to_le32(PKRAM_MAGIC);
	hdr->version = cpu_to_le16(PKRAM_FORMAT_VERSION);
	hdr->type = cpu_to_le16(type);
	hdr->chain = cpu_to_le64(1234);
	hdr->pfn = cpu_to_le64(pfn);
	hdr->generation = cpu_to_le64(5);
	hdr->length = cpu_to_le32(length);
	return hdr;
}

/* Make a super block at @pfn, an empty map behind it and its copy, and room for a copy. */
static void store_init(u64 pfn, u64 nr_blocks)
{
	u32 i, nr_map = DIV_ROUND_UP(nr_blocks, PKRAM_MAP_BITS);

	store = page_init(pfn, PKRAM_PAGE_SUPER, sizeof(*store));
	store->page_shift = cpu_to_le32(PKRAM_PAGE_SHIFT);
	store->block_order = cpu_to_le32(PKRAM_BLOCK_ORDER);
	store->map_pfn = cpu_to_le64(pfn + 2);
	store->map_copy_pfn = cpu_to_le64(pfn + 2 + nr_map);
	store->nr_map = cpu_to_le32(nr_map);
	for (i = 0; i < 2 * nr_map; i++)
		page_init(pfn + 2 + i, PKRAM_PAGE_MAP, PAGE_SIZE);
}

static struct pkram_map *store_map(void)
{
	return pfn_to_kaddr(le64_to_cpu(store->map_pfn));
}

/* Begin to count the blocks of the store, as the kernel that saves, or that adopts, does. */
static void store_count_blocks(u64 nr_blocks)
{
	u64 pfn = le64_to_cpu(store->hdr.pfn), map = le64_to_cpu(store->map_pfn);
	u32 nr_map = le32_to_cpu(store->nr_map);

	free(pkram_counts);
	pkram_counts = NULL;
	nr_pins = 0;
	pkram_touched = 0;
	pkram_touched_low = 0;
	pkram_blocks_setup(pfn_to_kaddr(map), pfn_to_kaddr(map + nr_map), nr_blocks);
	pkram_blocks_pin(pfn, 2);
	pkram_blocks_pin(map, nr_map);
	pkram_blocks_pin(map + nr_map, nr_map);
}

static void page_copy(const void *page, u64 pfn)
{
	struct pkram_page_hdr *to = pfn_to_kaddr(pfn);

	memcpy(to, page, PAGE_SIZE);
	to->pfn = cpu_to_le64(pfn);
	pkram_page_finish(to);
}

/* As the seal does it. */
static void store_seal(void)
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

/* Nothing is known about the store when a kernel boots. */
static void early_forget(void)
{
	memset(&pkram, 0, sizeof(pkram));
	memset(&pkram_early, 0, sizeof(pkram_early));
	pkram_early.others.range = few_others;
	pkram_early.others.max = ARRAY_SIZE(few_others);
	pkram_early.firmware.range = few_firmware;
	pkram_early.firmware.max = ARRAY_SIZE(few_firmware);
}

#endif /* _PKRAM_EARLY_STORE_H */
