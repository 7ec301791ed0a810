// SPDX-License-Identifier: GPL-2.0
/* Good nodes of every kind pass, and the walk counts what is in them. */
#include <stdlib.h>

#include "tests.h"

static void expect_totals(struct fixture *f, __u64 meta, __u64 data)
{
	struct pkram_node_totals t;

	EXPECT_EQ(fixture_walk(f, &t), PKRAM_DAMAGE_NONE);
	EXPECT_EQ(t.meta_pages, meta);
	EXPECT_EQ(t.data_pages, data);
}

static void good_objects(void)
{
	static const struct {
		unsigned int objects;
		unsigned int pages;
	} rows[] = {
		{ 0, 1 }, { 1, 1 }, { 28, 1 }, { 29, 1 }, { 30, 2 }, { 31, 2 },
		{ 59, 2 }, { 60, 2 }, { 61, 3 }, { 91, 3 }, { 92, 4 }, { 1000, 33 },
		{ PKRAM_MAX_OBJECTS, 2115 },
	};
	struct pkram_node_totals t;
	struct fixture f;
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		tap_begin("node: %u objects in %u pages", rows[i].objects, rows[i].pages);
		fixture_init(&f);
		for (j = 0; j < rows[i].objects; j++)
			image_object(&f.node, FILE_FLAGS);
		expect_totals(&f, rows[i].pages, 0);
		EXPECT_EQ(fixture_walk(&f, &t), PKRAM_DAMAGE_NONE);
		EXPECT_EQ(t.file_bytes, 12345ULL * rows[i].objects);
		EXPECT_EQ(t.data_bytes, 0);
		fixture_done(&f);
	}
}

static void too_many_objects(void)
{
	struct fixture f;
	unsigned int i;

	tap_begin("node: one object more than there may be");
	fixture_init(&f);
	for (i = 0; i <= PKRAM_MAX_OBJECTS; i++)
		image_object(&f.node, FILE_FLAGS);
	image_seal(&f.img);
	EXPECT_EQ(checked_walk(&f.mem, &f.img, f.node.pfn, NULL), PKRAM_DAMAGE_BOUNDS);
	fixture_done(&f);
}

static void good_sizes(void)
{
	const __u64 max = (1ULL << 63) - 1;
	struct pkram_node_totals t;
	struct fixture f;

	tap_begin("node: sizes of huge sparse files add up, and do not wrap");
	fixture_init(&f);
	image_object(&f.node, FILE_FLAGS)->size = cpu_to_le64(max);
	EXPECT_EQ(fixture_walk(&f, &t), PKRAM_DAMAGE_NONE);
	EXPECT_EQ(t.file_bytes, max);
	image_object(&f.node, FILE_FLAGS)->size = cpu_to_le64(max);
	EXPECT_EQ(fixture_walk(&f, &t), PKRAM_DAMAGE_NONE);
	EXPECT_EQ(t.file_bytes, 2 * max);
	image_object(&f.node, FILE_FLAGS)->size = cpu_to_le64(1);
	EXPECT_EQ(fixture_walk(&f, &t), PKRAM_DAMAGE_NONE);
	EXPECT_EQ(t.file_bytes, ~0ULL);
	image_object(&f.node, FILE_FLAGS)->size = cpu_to_le64(max);
	image_object(&f.node, FILE_FLAGS)->size = cpu_to_le64(1);
	EXPECT_EQ(fixture_walk(&f, &t), PKRAM_DAMAGE_NONE);
	EXPECT_EQ(t.file_bytes, ~0ULL);
	fixture_done(&f);
}

/* Pages with memory errors, as the seal notes them, of both streams. */
static void good_poisoned(void)
{
	struct pkram_node_totals t;
	struct pkram_object *o;
	struct fixture f;
	__u64 first, folio, bytes;

	tap_begin("node: pages with memory errors");
	fixture_init(&f);
	o = image_object(&f.node, PKRAM_OBJ_PAGES | PKRAM_OBJ_BYTES);
	image_stream(&f.s, &f.node);
	image_run(&f.s, 0, 3);
	image_run(&f.s, 2, 1);
	first = pkram_extent_decode(pkram_extent_raw(f.s.link, 0)).pfn;
	/* extent 1 is the gap to where a folio may begin */
	folio = pkram_extent_decode(pkram_extent_raw(f.s.link, 2)).pfn;
	image_stream_pages(&f.s, o);
	image_stream(&f.s, &f.node);
	image_run(&f.s, 0, 1);
	bytes = pkram_extent_decode(pkram_extent_raw(f.s.link, 0)).pfn;
	image_stream_bytes(&f.s, o, 1);

	o->nr_poisoned = cpu_to_le64(1);
	o->poisoned[0] = cpu_to_le64(bytes);
	EXPECT_EQ(fixture_walk(&f, &t), PKRAM_DAMAGE_NONE);
	/* one inside a folio */
	o->nr_poisoned = cpu_to_le64(2);
	o->poisoned[1] = cpu_to_le64(folio + 2);
	EXPECT_EQ(fixture_walk(&f, &t), PKRAM_DAMAGE_NONE);
	/* more than can be named */
	o->nr_poisoned = cpu_to_le64(~0ULL);
	o->poisoned[2] = cpu_to_le64(first);
	o->poisoned[3] = cpu_to_le64(first + 1);
	EXPECT_EQ(fixture_walk(&f, &t), PKRAM_DAMAGE_NONE);
	/* the page behind */
	o->poisoned[3] = cpu_to_le64(bytes + 1);
	EXPECT_EQ(fixture_walk(&f, &t), PKRAM_DAMAGE_BOUNDS);
	fixture_done(&f);
}

static void good_orders(void)
{
	unsigned int order;
	struct fixture f;

	for (order = 0; order <= PKRAM_MAX_ORDER; order++) {
		struct pkram_object *o;

		tap_begin("node: page stream of order %u", order);
		fixture_init(&f);
		o = fixture_file(&f);
		image_run(&f.s, order, 1);
		image_run(&f.s, order, 5);
		fixture_file_end(&f, o);
		expect_totals(&f, 2, 6ULL << order);
		fixture_done(&f);
	}
}

static void good_links(void)
{
	static const unsigned int counts[] = { 1, 7, 8, 9, 572, 573, 574, 1146, 1147, 5000 };
	struct fixture f;
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		struct pkram_object *o;

		tap_begin("node: %u scattered pages", counts[i]);
		fixture_init(&f);
		o = fixture_file(&f);
		for (j = 0; j < counts[i]; j++)
			image_single(&f.s, j % 5);
		fixture_file_end(&f, o);
		expect_totals(&f, 1 + (counts[i] + 572) / 573, counts[i]);
		fixture_done(&f);
	}

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		struct pkram_object *o;
		struct pkram_node_totals t;

		tap_begin("node: byte stream of %u pages", counts[i]);
		fixture_init(&f);
		o = image_object(&f.node, PKRAM_OBJ_BYTES);
		image_stream(&f.s, &f.node);
		for (j = 0; j < counts[i]; j++)
			image_single(&f.s, 0);
		image_stream_bytes(&f.s, o, counts[i] * 4096ULL);
		expect_totals(&f, 1 + (counts[i] + 572) / 573, counts[i]);
		/* The last page may be used in part, but used it must be. */
		o->nr_bytes = cpu_to_le64(counts[i] * 4096ULL - 4095);
		EXPECT_EQ(fixture_walk(&f, &t), PKRAM_DAMAGE_NONE);
		EXPECT_EQ(t.data_bytes, counts[i] * 4096ULL - 4095);
		o->nr_bytes = cpu_to_le64(counts[i] * 4096ULL - 4096);
		EXPECT_EQ(fixture_walk(&f, NULL), PKRAM_DAMAGE_COUNT);
		o->nr_bytes = cpu_to_le64(counts[i] * 4096ULL + 1);
		EXPECT_EQ(fixture_walk(&f, NULL), PKRAM_DAMAGE_COUNT);
		fixture_done(&f);
	}
}

static void good_gaps(void)
{
	struct pkram_object *o;
	struct fixture f;

	tap_begin("node: the last page of the largest file");
	fixture_init(&f);
	o = fixture_file(&f);
	image_gap(&f.s, PKRAM_MAX_INDEX - 1);
	image_single(&f.s, 0);
	fixture_file_end(&f, o);
	expect_totals(&f, 2, 1);
	fixture_done(&f);

	tap_begin("node: a run up to the last page of the largest file");
	fixture_init(&f);
	o = fixture_file(&f);
	image_gap(&f.s, PKRAM_MAX_INDEX - 4096);
	image_run(&f.s, 10, 4);
	fixture_file_end(&f, o);
	expect_totals(&f, 2, 4096);
	fixture_done(&f);

	tap_begin("node: a gap between two links");
	fixture_init(&f);
	o = fixture_file(&f);
	image_single(&f.s, 0);
	f.s.index = PKRAM_MAX_INDEX - 1;
	image_link(&f.s);
	image_single(&f.s, 0);
	fixture_file_end(&f, o);
	expect_totals(&f, 3, 2);
	fixture_done(&f);

	tap_begin("node: a stream of gaps only ends");
	fixture_init(&f);
	o = fixture_file(&f);
	while (f.s.index < 3 * PKRAM_LINK_EXTENTS) {
		image_gap(&f.s, 1);
		image_gap(&f.s, 0);
	}
	fixture_file_end(&f, o);
	expect_totals(&f, 7, 0);
	fixture_done(&f);

	tap_begin("node: all the 1 GiB folios that an extent can name");
	fixture_init(&f);
	f.mem.far = true;
	o = fixture_file(&f);
	f.img.data_next = PKRAM_MAX_PFN - ((__u64)PKRAM_EXT_MAX_COUNT << PKRAM_GIGANTIC_ORDER);
	image_run(&f.s, PKRAM_GIGANTIC_ORDER, PKRAM_EXT_MAX_COUNT);
	fixture_file_end(&f, o);
	expect_totals(&f, 2, (__u64)PKRAM_EXT_MAX_COUNT << PKRAM_GIGANTIC_ORDER);
	fixture_done(&f);

	tap_begin("node: a run that ends with the last page an extent can name");
	fixture_init(&f);
	f.mem.far = true;
	o = fixture_file(&f);
	f.img.data_next = PKRAM_MAX_PFN - (PKRAM_EXT_MAX_COUNT << PKRAM_MAX_ORDER);
	image_run(&f.s, PKRAM_MAX_ORDER, PKRAM_EXT_MAX_COUNT);
	fixture_file_end(&f, o);
	expect_totals(&f, 2, PKRAM_EXT_MAX_COUNT << PKRAM_MAX_ORDER);
	fixture_done(&f);
}

/* Names are of use in the directory only if all kinds of them are restored. */
static void good_names(void)
{
	struct fixture f;
	unsigned int len;

	tap_begin("node: names of all lengths");
	fixture_init(&f);
	for (len = 1; len <= PKRAM_NODE_NAME_MAX; len++) {
		f.node.page->name[len - 1] = 'x';
		f.node.page->name_len = cpu_to_le32(len);
		EXPECT_EQ(fixture_walk(&f, NULL),
			  len == 4 ? PKRAM_DAMAGE_NONE :
			  len < 4 ? PKRAM_DAMAGE_NAME : PKRAM_DAMAGE_NONE);
	}
	fixture_done(&f);
}

static void good_several(void)
{
	struct pkram_node_totals t;
	struct image img;
	struct memory mem;
	__u64 pfn[IMAGE_SHAPES], data = 0, meta = 0;
	unsigned int i;

	memory_init(&mem, TEST_BASE, TEST_BACKED, TEST_PAGES);
	image_init(&img, &mem);
	image_super(&img);
	for (i = 0; i < IMAGE_SHAPES; i++)
		pfn[i] = image_shape(&img, i);
	image_seal(&img);

	for (i = 0; i < IMAGE_SHAPES; i++) {
		tap_begin("node: shape %u in a whole image", i);
		EXPECT_EQ(le64_to_cpu(img.dir->slot[i]), pfn[i]);
		EXPECT_EQ(checked_walk(&mem, &img, pfn[i], NULL), PKRAM_DAMAGE_NONE);
	}

	tap_begin("node: all shapes, claimed side by side");
	for (i = 0; i < IMAGE_SHAPES; i++) {
		EXPECT_EQ(memory_walk(&mem, img.chain, img.generation, pfn[i], &t),
			  PKRAM_DAMAGE_NONE);
		data += t.data_pages;
		meta += t.meta_pages;
	}
	EXPECT_EQ(mem.data_pages, data);
	EXPECT_EQ(mem.meta_pages, meta);
	/* All but super block, map and directory, and their copies. */
	EXPECT_EQ(meta, img.meta_next - mem.base - 6);

	tap_begin("node: every claimed page lies in a block of the map");
	for (i = 0; i < mem.nr_log; i++) {
		const struct memory_claim *c = &mem.log[i];
		__u64 p;

		for (p = 0; p < (__u64)c->count << c->order; p++)
			EXPECT(pkram_map_test(img.map, (c->pfn + p) >> PKRAM_BLOCK_ORDER));
	}

	tap_begin("node: none is adopted twice");
	for (i = 0; i < IMAGE_SHAPES; i++)
		EXPECT_EQ(memory_walk(&mem, img.chain, img.generation, pfn[i], &t),
			  PKRAM_DAMAGE_TWICE);
	memory_free(&mem);
}

static void good_generations(void)
{
	struct fixture f;

	tap_begin("node: written in an earlier generation is fine, in a later one not");
	fixture_init(&f);
	image_seal(&f.img);
	f.img.generation++;
	EXPECT_EQ(checked_walk(&f.mem, &f.img, f.node.pfn, NULL), PKRAM_DAMAGE_NONE);
	f.img.generation -= 2;
	EXPECT_EQ(checked_walk(&f.mem, &f.img, f.node.pfn, NULL), PKRAM_DAMAGE_HEADER);
	fixture_done(&f);
}

void test_nodes(void)
{
	good_objects();
	too_many_objects();
	good_sizes();
	good_poisoned();
	good_orders();
	good_links();
	good_gaps();
	good_names();
	good_several();
	good_generations();
}
