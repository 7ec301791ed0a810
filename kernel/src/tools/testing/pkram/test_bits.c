// SPDX-License-Identifier: GPL-2.0
/*
 * Every single bit of sealed images is flipped, once as memory would do it and
 * once as a writer would do it that then makes the checksum.
 */
#include <string.h>

#include "reference.h"
#include "tests.h"

#define PAGE_BITS		(8 * PKRAM_PAGE_SIZE)

static void flip(struct memory *mem, __u64 pfn, unsigned int bit)
{
	__u8 *p = memory_page(mem, pfn);

	p[bit / 8] ^= 1U << bit % 8;
}

static void flip_all(struct memory *mem, struct image *img, __u64 node, __u64 pfn)
{
	const struct pkram_page_hdr *hdr = memory_page(mem, pfn);
	__u32 length = le32_to_cpu(hdr->length);
	struct pkram_node_totals good, t;
	unsigned int bit;

	EXPECT_EQ(memory_walk(mem, img->chain, img->generation, node, &good),
		  PKRAM_DAMAGE_NONE);
	memory_forget(mem);
	for (bit = 0; bit < PAGE_BITS; bit++) {
		int r;

		flip(mem, pfn, bit);
		r = memory_walk(mem, img->chain, img->generation, node, &t);
		EXPECT_EQ(r == PKRAM_DAMAGE_NONE, bit / 8 >= length);
		if (r == PKRAM_DAMAGE_NONE)
			EXPECT(!memcmp(&good, &t, sizeof(t)));
		memory_forget(mem);
		flip(mem, pfn, bit);
	}
}

/* Up to @length, since what is beyond it is not read. */
static void flip_and_seal(struct memory *mem, struct image *img, __u64 node, __u64 pfn)
{
	const struct pkram_page_hdr *hdr = memory_page(mem, pfn);
	__u32 length = le32_to_cpu(hdr->length);
	unsigned int bit, nr_good = 0;

	for (bit = 0; bit < 8 * length; bit++) {
		flip(mem, pfn, bit);
		image_finish(img, pfn);
		nr_good += checked_walk(mem, img, node, NULL) == PKRAM_DAMAGE_NONE;
		flip(mem, pfn, bit);
		image_finish(img, pfn);
	}
	/* Times and owners may be anything, and so may be the earlier generations. */
	EXPECT(nr_good > 0);
	EXPECT(nr_good < bit);
}

static void flip_super(struct image *img, __u64 max_pfn)
{
	__u64 pfn = le64_to_cpu(img->super->hdr.pfn);
	unsigned int bit;
	int r;

	tap_begin("bits: every bit of the super block is guarded");
	for (bit = 0; bit < PAGE_BITS; bit++) {
		flip(img->mem, pfn, bit);
		r = pkram_check_super(img->super, pfn, max_pfn);
		EXPECT_EQ(r == PKRAM_BOOT_RESTORED, bit / 8 >= sizeof(*img->super));
		EXPECT(r >= PKRAM_BOOT_RESTORED && r <= PKRAM_BOOT_VERSION);
		flip(img->mem, pfn, bit);
	}

	tap_begin("bits: super block with any bit flipped before it was sealed");
	for (bit = 0; bit < 8 * sizeof(*img->super); bit++) {
		flip(img->mem, pfn, bit);
		image_finish(img, pfn);
		r = pkram_check_super(img->super, pfn, max_pfn);
		EXPECT(r >= PKRAM_BOOT_RESTORED && r <= PKRAM_BOOT_VERSION);
		if (r == PKRAM_BOOT_RESTORED) {
			__u64 map = le64_to_cpu(img->super->map_pfn);

			EXPECT(map >= PKRAM_MIN_PFN);
			EXPECT(map + le32_to_cpu(img->super->nr_map) <= max_pfn);
		}
		flip(img->mem, pfn, bit);
		image_finish(img, pfn);
	}
}

static void flip_page(struct image *img, struct pkram_page_hdr *hdr, unsigned int type,
		      const char *what)
{
	__u64 pfn = le64_to_cpu(hdr->pfn);
	unsigned int bit;

	tap_begin("bits: every bit of the %s is guarded", what);
	EXPECT_EQ(pkram_check_page(hdr, type, pfn, img->chain, img->generation),
		  PKRAM_DAMAGE_NONE);
	for (bit = 0; bit < PAGE_BITS; bit++) {
		flip(img->mem, pfn, bit);
		EXPECT(pkram_check_page(hdr, type, pfn, img->chain, img->generation) !=
		       PKRAM_DAMAGE_NONE);
		flip(img->mem, pfn, bit);
	}
}

static void full_link(struct image *img, struct image_node *node)
{
	struct image_stream s;
	struct pkram_object *o;
	unsigned int i;

	image_node(node, img, "full");
	o = image_object(node, FILE_FLAGS);
	image_stream(&s, node);
	for (i = 0; i < PKRAM_LINK_EXTENTS; i++)
		image_single(&s, i % 3);
	image_stream_pages(&s, o);
}

void test_bits(void)
{
	struct image_node full;
	struct memory mem;
	struct image img;
	unsigned int shape;
	__u64 pfn, node;

	/* As small as can be, undoing a walk looks at all of it. */
	for (shape = 0; shape < IMAGE_SHAPES; shape++) {
		memory_init(&mem, TEST_BASE, 16, 0x3000);
		image_init(&img, &mem);
		node = image_shape(&img, shape);
		image_seal(&img);
		tap_begin("bits: every bit of a node is guarded, shape %u", shape);
		for (pfn = node; pfn < img.meta_next; pfn++)
			flip_all(&mem, &img, node, pfn);
		tap_begin("bits: node with any bit flipped before it was sealed, shape %u",
			  shape);
		for (pfn = node; pfn < img.meta_next; pfn++)
			flip_and_seal(&mem, &img, node, pfn);
		memory_free(&mem);
	}

	memory_init(&mem, TEST_BASE, 16, 0x3000);
	image_init(&img, &mem);
	image_super(&img);
	full_link(&img, &full);
	image_seal(&img);
	tap_begin("bits: every bit of a full page of extents is guarded");
	flip_all(&mem, &img, full.pfn, full.pfn + 1);
	tap_begin("bits: full page of extents with any bit flipped before it was sealed");
	flip_and_seal(&mem, &img, full.pfn, full.pfn + 1);

	flip_super(&img, TEST_BASE + TEST_PAGES);
	flip_page(&img, &img.map->hdr, PKRAM_PAGE_MAP, "map");
	flip_page(&img, &img.dir->hdr, PKRAM_PAGE_DIR, "directory");
	memory_free(&mem);
}
