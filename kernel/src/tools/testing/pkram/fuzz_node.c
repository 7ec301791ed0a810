// SPDX-License-Identifier: GPL-2.0
/*
 * Fuzz pkram_walk_node(). The input says which good node to begin with and what
 * to change in it; checksums are made afterwards, so that they keep nothing from
 * being looked at. The result is compared with the reference.
 *
 *   byte 0    shape of the node, see image_shape()
 *   byte 1    bit 0: make the totals in the node right if they are not
 *   then      edits, each a byte that says what, the page, and arguments
 */
#include <string.h>

#include "fuzz_input.h"
#include "image.h"
#include "reference.h"

#include <asm/byteorder.h>
#include <uapi/linux/pkram.h>

#define BASE			0x1000ULL
#define BACKED			32
#define PAGES			0x3000ULL
#define MAX_EDITS		64

enum edit {
	EDIT_SET64,
	EDIT_SET32,
	EDIT_OBJECT,
	EDIT_EXTENT,
	EDIT_RAW_EXTENT,
	EDIT_RAW,
	EDIT_COPY,
	EDIT_HEADER,
	EDIT_NO_CHECKSUM,
	NR_EDITS,
};

/* One for each shape, with what it looked like at first. */
static struct start {
	struct memory mem;
	struct image img;
	__u64 node;
	__u8 pristine[BACKED][PKRAM_PAGE_SIZE];
} starts[IMAGE_SHAPES];

/* What this input did to the pages. */
static bool dirty[BACKED], no_checksum[BACKED];

int fuzz_init(int *argc, char ***argv)
{
	unsigned int i, page;

	(void)argc;
	(void)argv;
	for (i = 0; i < IMAGE_SHAPES; i++) {
		struct start *st = &starts[i];

		memory_init(&st->mem, BASE, BACKED, PAGES);
		image_init(&st->img, &st->mem);
		st->node = image_shape(&st->img, i);
		image_seal(&st->img);
		for (page = 0; page < BACKED; page++)
			memcpy(st->pristine[page], memory_page(&st->mem, BASE + page),
			       PKRAM_PAGE_SIZE);
	}
	return 0;
}

/* A number that is worth a try, or how to change the one that is there. */
static __u64 take_value(struct fuzz_input *in, __u64 old)
{
	static const __u64 limits[] = {
		PKRAM_MAX_PFN, PKRAM_MAX_PFN - 1, PKRAM_MAX_INDEX, PKRAM_MAX_INDEX - 1,
		1ULL << 63, (1ULL << 63) - 1, ~0ULL, ~0ULL - 4094, PKRAM_MIN_PFN,
		PKRAM_MIN_PFN - 1, PKRAM_LINK_EXTENTS, PKRAM_LINK_EXTENTS + 1,
		PKRAM_MAX_OBJECTS, PKRAM_MAX_OBJECTS + 1, BASE + PAGES, BASE + PAGES - 1,
	};

	switch (fuzz_take(in, 1) % 8) {
	case 0:
		return fuzz_take(in, 1);
	case 1:
		return fuzz_take(in, 2);
	case 2:
		return fuzz_take(in, 8);
	case 3:
		return BASE + fuzz_take(in, 1) % BACKED;
	case 4:
		return BASE + BACKED + fuzz_take(in, 2);
	case 5:
		return limits[fuzz_take(in, 1) % ARRAY_SIZE(limits)];
	case 6:
		return old + (__u64)(__s8)fuzz_take(in, 1);
	default:
		return old ^ 1ULL << fuzz_take(in, 1) % 64;
	}
}

static void put64(__u8 *p, __u64 v)
{
	__le64 le = cpu_to_le64(v);

	memcpy(p, &le, sizeof(le));
}

static void put32(__u8 *p, __u32 v)
{
	__le32 le = cpu_to_le32(v);

	memcpy(p, &le, sizeof(le));
}

static __u64 get64(const __u8 *p)
{
	__le64 le;

	memcpy(&le, p, sizeof(le));
	return le64_to_cpu(le);
}

static __u32 get32(const __u8 *p)
{
	__le32 le;

	memcpy(&le, p, sizeof(le));
	return le32_to_cpu(le);
}

static void edit_extent(struct fuzz_input *in, struct pkram_link *l, bool raw)
{
	unsigned int i = fuzz_take(in, 1), order, count;
	__u64 pfn, v, next, old = pkram_extent_decode(pkram_extent_raw(l, i)).pfn;

	if (raw) {
		v = fuzz_take(in, 7);
	} else {
		switch (fuzz_take(in, 1) % 3) {
		case 0:
			pfn = take_value(in, old) & PKRAM_EXT_PFN_MASK;
			v = pkram_extent_single(pfn, fuzz_take(in, 2) & PKRAM_EXT_MAX_GAP);
			break;
		case 1:
			pfn = take_value(in, old) & PKRAM_EXT_PFN_MASK;
			order = fuzz_take(in, 1) % 16;
			count = 1 + fuzz_take(in, 2) % PKRAM_EXT_MAX_COUNT;
			/* Else hardly any would be aligned. */
			if (order <= PKRAM_MAX_ORDER && !(pfn & 1))
				pfn &= ~((1ULL << order) - 1);
			v = pkram_extent_run(pfn, order, count);
			break;
		default:
			v = pkram_extent_long_gap(take_value(in, 0) &
						  (PKRAM_MAX_INDEX - 1));
			break;
		}
	}
	next = pkram_extent_raw(l, i + 1);
	pkram_extent_put(l, i, v);
	pkram_extent_put(l, i + 1, next);
}

static void edit_raw(struct fuzz_input *in, __u8 *p)
{
	unsigned int at = fuzz_take(in, 2) % PKRAM_PAGE_SIZE, len = fuzz_take(in, 1);

	for (; len && in->left && at < PKRAM_PAGE_SIZE; len--)
		p[at++] = fuzz_take(in, 1);
}

static void edit_header(struct fuzz_input *in, struct start *st, __u64 pfn)
{
	struct pkram_page_hdr *hdr = memory_page(&st->mem, pfn);

	hdr->magic = cpu_to_le32(PKRAM_MAGIC);
	hdr->version = cpu_to_le16(PKRAM_FORMAT_VERSION);
	hdr->type = cpu_to_le16(fuzz_take(in, 1) % 8);
	hdr->chain = cpu_to_le64(st->img.chain);
	hdr->pfn = cpu_to_le64(pfn);
	hdr->generation = cpu_to_le64(st->img.generation);
	hdr->length = cpu_to_le32(64 + 8 * (fuzz_take(in, 2) % 505));
	hdr->flags = 0;
	hdr->next = cpu_to_le64(take_value(in, le64_to_cpu(hdr->next)));
	hdr->reserved1 = 0;
}

static void edit(struct fuzz_input *in, struct start *st)
{
	enum edit what = fuzz_take(in, 1) % NR_EDITS;
	unsigned int page = fuzz_take(in, 1) % BACKED, at, from;
	__u8 *p = memory_page(&st->mem, BASE + page);

	dirty[page] = true;
	switch (what) {
	case EDIT_SET64:
		at = fuzz_take(in, 2) % (PKRAM_PAGE_SIZE / 8) * 8;
		put64(p + at, take_value(in, get64(p + at)));
		break;
	case EDIT_SET32:
		at = fuzz_take(in, 2) % (PKRAM_PAGE_SIZE / 4) * 4;
		put32(p + at, take_value(in, get32(p + at)));
		break;
	case EDIT_OBJECT:
		/* In a node or a page of objects, after its header. */
		at = le16_to_cpu(((struct pkram_page_hdr *)p)->type) == PKRAM_PAGE_NODE ?
		     offsetof(struct pkram_node_page, objects) :
		     offsetof(struct pkram_objects_page, objects);
		at += fuzz_take(in, 1) % PKRAM_NODE_OBJECTS * sizeof(struct pkram_object);
		at += fuzz_take(in, 1) % (sizeof(struct pkram_object) / 8) * 8;
		put64(p + at, take_value(in, get64(p + at)));
		break;
	case EDIT_EXTENT:
	case EDIT_RAW_EXTENT:
		edit_extent(in, (void *)p, what == EDIT_RAW_EXTENT);
		break;
	case EDIT_RAW:
		edit_raw(in, p);
		break;
	case EDIT_COPY:
		from = fuzz_take(in, 1) % BACKED;
		memmove(p, memory_page(&st->mem, BASE + from), PKRAM_PAGE_SIZE);
		put64(p + offsetof(struct pkram_page_hdr, pfn), BASE + page);
		break;
	case EDIT_HEADER:
		edit_header(in, st, BASE + page);
		break;
	default:
		no_checksum[page] = true;
		break;
	}
}

static int walk(struct start *st, struct pkram_node_totals *totals)
{
	struct pkram_node_totals ref;
	struct memory *mem = &st->mem;
	bool good;
	int r;

	r = memory_walk(mem, st->img.chain, st->img.generation, st->node, totals);
	fuzz_assert(mem->nr_log <= PAGES);
	fuzz_assert(!memory_unwalk(mem, st->img.chain, st->img.generation, st->node,
				   mem->nr_log));
	fuzz_assert(!memory_any_taken(mem));

	good = reference_node(mem, st->img.chain, st->img.generation, st->node, &ref);
	fuzz_assert(good == (r == PKRAM_DAMAGE_NONE));
	fuzz_assert(!good || !memcmp(totals, &ref, sizeof(ref)));
	return r;
}

int fuzz_one(const __u8 *data, size_t size)
{
	struct fuzz_input in = { .p = data, .left = size };
	struct start *st = &starts[fuzz_take(&in, 1) % IMAGE_SHAPES];
	bool fix_totals = fuzz_take(&in, 1) & 1;
	struct pkram_node_totals totals;
	struct pkram_node_page *node;
	unsigned int i;

	memset(dirty, 0, sizeof(dirty));
	memset(no_checksum, 0, sizeof(no_checksum));
	for (i = 0; i < MAX_EDITS && in.left; i++)
		edit(&in, st);
	for (i = 0; i < BACKED; i++)
		if (dirty[i] && !no_checksum[i])
			image_finish(&st->img, BASE + i);

	if (walk(st, &totals) == PKRAM_DAMAGE_COUNT && fix_totals) {
		dirty[st->node - BASE] = true;
		node = memory_page(&st->mem, st->node);
		node->data_pages = cpu_to_le64(totals.data_pages);
		node->meta_pages = cpu_to_le64(totals.meta_pages);
		image_finish(&st->img, st->node);
		walk(st, &totals);
	}

	for (i = 0; i < BACKED; i++)
		if (dirty[i])
			memcpy(memory_page(&st->mem, BASE + i), st->pristine[i],
			       PKRAM_PAGE_SIZE);
	return 0;
}
