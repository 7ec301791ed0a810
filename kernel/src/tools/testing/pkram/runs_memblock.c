// SPDX-License-Identifier: GPL-2.0
/*
 * mm/memblock.c as it is in the kernel, for runs_table.c: compiled with the headers of
 * tools/testing/memblock.
 */
#include "memblock.c"

#include <stdlib.h>

#include "runs_memblock.h"

/* What tools/testing/memblock has in mmzone.c and lib/slab.c. */

bool movable_node_enabled;

struct pglist_data *first_online_pgdat(void)
{
	return NULL;
}

struct pglist_data *next_online_pgdat(struct pglist_data *pgdat)
{
	return pgdat ? NULL : NULL;
}

void reserve_bootmem_region(phys_addr_t start, phys_addr_t end, int nid)
{
	(void)start;
	(void)end;
	(void)nid;
}

bool slab_is_available(void)
{
	return false;
}

/* Never called: before there is a slab allocator, memblock uses itself. */

void *kmalloc(size_t size, gfp_t gfp)
{
	(void)size;
	(void)gfp;
	abort();
}

void kfree(void *p)
{
	(void)p;
	abort();
}

static struct memblock_region first_memory[INIT_MEMBLOCK_MEMORY_REGIONS];
static struct memblock_region first_reserved[INIT_MEMBLOCK_RESERVED_REGIONS];

void mb_init(unsigned long long size)
{
	memset(first_memory, 0, sizeof(first_memory));
	memset(first_reserved, 0, sizeof(first_reserved));
	memblock.memory = (struct memblock_type) {
		.regions = first_memory, .max = INIT_MEMBLOCK_MEMORY_REGIONS, .name = "memory",
	};
	memblock.reserved = (struct memblock_type) {
		.regions = first_reserved, .max = INIT_MEMBLOCK_RESERVED_REGIONS,
		.name = "reserved",
	};
	memblock.bottom_up = false;
	memblock.current_limit = MEMBLOCK_ALLOC_ANYWHERE;
	memblock_allow_resize();
	memblock_add(0, size);
}

int mb_reserve(unsigned long long base, unsigned long long size)
{
	return memblock_reserve(base, size);
}

bool mb_next_reserved(unsigned long long *i, unsigned long long *from, unsigned long long *to)
{
	phys_addr_t start, end;
	u64 at = *i;

	__next_mem_range(&at, NUMA_NO_NODE, MEMBLOCK_NONE, &memblock.reserved, NULL, &start, &end,
			 NULL);
	*i = at;
	*from = start;
	*to = end;
	return at != ULLONG_MAX;
}

bool mb_last_free(unsigned long long *i, unsigned long long *from, unsigned long long *to)
{
	phys_addr_t start, end;
	u64 at = *i;

	__next_mem_range_rev(&at, NUMA_NO_NODE, MEMBLOCK_NONE, &memblock.memory,
			     &memblock.reserved, &start, &end, NULL);
	*i = at;
	*from = start;
	*to = end;
	return at != ULLONG_MAX;
}

unsigned long long mb_alloc(unsigned long long size)
{
	return memblock_phys_alloc(size, size);
}

unsigned long mb_regions(void)
{
	return memblock.reserved.cnt;
}

unsigned long mb_array(void)
{
	return memblock.reserved.max * sizeof(struct memblock_region);
}
