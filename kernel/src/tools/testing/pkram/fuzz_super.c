// SPDX-License-Identifier: GPL-2.0
/*
 * Fuzz what early boot uses: pkram_check_super() on a damaged super block, then
 * the map with bits from the input, and names.
 *
 *   byte 0     bit 0: right checksum; bit 1: look for it at another pfn
 *   byte 1     number of edits of the super block: offset byte, 8 bytes
 *   8 bytes    max_pfn
 *   the rest   name, and lengths of stretches in the map
 */
#include <string.h>

#include "fuzz_input.h"
#include "image.h"
#include "reference.h"

#include <asm/byteorder.h>
#include <uapi/linux/pkram.h>

#define BASE			0x1000ULL
#define MAX_PFN			0x100000ULL
#define MAPS			2

static struct memory mem;
static struct image img;
static struct pkram_super pristine;
static struct pkram_map *map;

int fuzz_init(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	memory_init(&mem, BASE, 8, 16);
	image_init(&img, &mem);
	image_super(&img);
	image_seal(&img);
	pristine = *img.super;
	map = malloc(MAPS * sizeof(*map));
	fuzz_assert(map);
	return 0;
}

static __u64 get(const __u8 *p, unsigned int bytes)
{
	__u64 v = 0;

	while (bytes--)
		v = v << 8 | p[bytes];
	return v;
}

/* Does a map fit into memory, and not cover the super block and its copy? */
static bool map_place(__u64 map, __u64 nr, __u64 sb, __u64 max_pfn)
{
	__u64 i;

	if (map < 512 || map >= max_pfn || max_pfn - map < nr)
		return false;
	for (i = 0; i < nr; i++)
		if ((map + i) / 2 == sb / 2)
			return false;
	return true;
}

/* The rules for a super block once more, by offset. */
static int super_reference(const __u8 *p, __u64 pfn, __u64 max_pfn)
{
	__u64 map_pfn = get(p + 96, 8), nr_map = get(p + 104, 4), length = get(p + 40, 4);
	__u64 copy = get(p + 208, 8);

	if (get(p, 4) != 0x4d524b50 || get(p + 6, 2) != 1 || get(p + 24, 8) != pfn)
		return PKRAM_BOOT_NOTHING;
	if (get(p + 4, 2) != 1)
		return PKRAM_BOOT_VERSION;
	if (get(p + 64, 8) == PKRAM_OPEN)
		return PKRAM_BOOT_STALE;
	if (get(p + 64, 8) != PKRAM_SEALED || length < 216 || length > 4096 || length % 8 ||
	    get(p + 8, 8) != reference_checksum(p, length) ||
	    get(p + 44, 4) & ~1U || get(p + 56, 8))
		return PKRAM_BOOT_DAMAGED;
	if (get(p + 80, 8) || get(p + 88, 4) != 12 || get(p + 92, 4) != 9)
		return PKRAM_BOOT_VERSION;
	if (nr_map < 1 || nr_map > 1024 || !map_place(map_pfn, nr_map, pfn, max_pfn))
		return PKRAM_BOOT_DAMAGED;
	if (copy && (!map_place(copy, nr_map, pfn, max_pfn) ||
		     (map_pfn >= copy ? map_pfn - copy : copy - map_pfn) < nr_map))
		return PKRAM_BOOT_DAMAGED;
	return PKRAM_BOOT_RESTORED;
}

static void check_super(struct fuzz_input *in)
{
	__u64 flags = fuzz_take(in, 1), nr = fuzz_take(in, 1) % 16, pfn, max_pfn;
	__u8 *p = (__u8 *)img.super;

	*img.super = pristine;
	for (; nr; nr--) {
		unsigned int at = fuzz_take(in, 1) % (sizeof(pristine) - 7);
		__le64 le = cpu_to_le64(fuzz_take(in, 8));

		memcpy(p + at, &le, sizeof(le));
	}
	pfn = le64_to_cpu(img.super->hdr.pfn);
	if (flags & 2)
		pfn = BASE;
	if (flags & 1)
		image_finish(&img, BASE);
	max_pfn = fuzz_take(in, 8);
	if (!max_pfn)
		max_pfn = MAX_PFN;
	fuzz_assert(pkram_check_super(img.super, pfn, max_pfn) ==
		    super_reference(p, pfn, max_pfn));
	/* Whatever else it is, it is no page of another type. */
	if (le16_to_cpu(img.super->hdr.type) != PKRAM_PAGE_MAP)
		fuzz_assert(pkram_check_page(&img.super->hdr, PKRAM_PAGE_MAP, pfn,
					     img.chain, img.generation) ==
			    PKRAM_DAMAGE_HEADER);
}

static void check_name(const struct fuzz_input *in)
{
	size_t len = in->left, i;
	int want = 0;

	for (i = 0; i < len; i++)
		if (in->p[i] < 32 || in->p[i] == 127 || in->p[i] == '/')
			want = -1;
	if (!len || (len == 1 && in->p[0] == '.') ||
	    (len == 2 && in->p[0] == '.' && in->p[1] == '.'))
		want = -1;
	if (len > 255)
		want = -2;
	fuzz_assert(pkram_check_name(in->p, len) == want);
}

/* Around the border of two map pages, the rest of them is empty. */
static void check_map(struct fuzz_input *in)
{
	const __u64 start = PKRAM_MAP_BITS - 1000;
	__u64 nr = start + 1 + fuzz_take(in, 2) % 2000;
	__u64 block = start, b, end;
	bool set = false;

	memset(map, 0xff, MAPS * sizeof(*map));
	memset(map[0].bits, 0, sizeof(map[0].bits));
	memset(map[1].bits, 0, sizeof(map[1].bits));

	while (in->left && block < nr + 64) {
		end = block + 1 + fuzz_take(in, 1);
		for (b = block; set && b < end; b++)
			map[b / PKRAM_MAP_BITS].bits[b % PKRAM_MAP_BITS / 64] |=
				cpu_to_le64(1ULL << b % 64);
		for (b = block; b < end; b++)
			fuzz_assert(pkram_map_test(map, b) == set);
		block = end;
		set = !set;
	}

	/* Stretches must be found where bits say they are, and end at @nr. */
	for (block = start; block < nr; block = end) {
		set = pkram_map_test(map, block);
		end = pkram_map_next(map, nr, block, !set);
		fuzz_assert(end > block && end <= nr);
		fuzz_assert(pkram_map_next(map, nr, block, set) == block);
		for (b = block; b < end; b++)
			fuzz_assert(pkram_map_test(map, b) == set);
		fuzz_assert(end == nr || pkram_map_test(map, end) != set);
		fuzz_assert(pkram_map_next(map, end, block, !set) == end);
	}
	block = pkram_map_next(map, nr, 0, true);
	fuzz_assert(block == nr || (block >= start && pkram_map_test(map, block)));
}

int fuzz_one(const __u8 *data, size_t size)
{
	struct fuzz_input in = { .p = data, .left = size };

	check_super(&in);
	check_name(&in);
	check_map(&in);
	return 0;
}
