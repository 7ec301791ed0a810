// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the PKRAM on-memory format: mm/pkram/format.c as it is in the kernel,
 * run in user space.
 */
#include <string.h>

#include "reference.h"
#include "tests.h"

void fixture_init(struct fixture *f)
{
	memory_init(&f->mem, TEST_BASE, TEST_BACKED, TEST_PAGES);
	image_init(&f->img, &f->mem);
	image_node(&f->node, &f->img, "node");
}

void fixture_done(struct fixture *f)
{
	memory_free(&f->mem);
}

struct pkram_object *fixture_file(struct fixture *f)
{
	image_stream(&f->s, &f->node);
	return image_object(&f->node, FILE_FLAGS);
}

void fixture_file_end(struct fixture *f, struct pkram_object *o)
{
	image_stream_pages(&f->s, o);
}

int checked_walk(struct memory *mem, const struct image *img, __u64 pfn,
		 struct pkram_node_totals *totals)
{
	struct pkram_node_totals t, ref;
	bool good;
	int r;

	memset(&t, 0xff, sizeof(t));
	r = memory_walk(mem, img->chain, img->generation, pfn, &t);
	EXPECT_EQ(memory_unwalk(mem, img->chain, img->generation, pfn, mem->nr_log), 0);
	EXPECT(!memory_any_taken(mem));
	EXPECT_EQ(mem->meta_pages, 0);
	EXPECT_EQ(mem->data_pages, 0);

	/* The reference knows neither memory that fails nor memory far away. */
	if (mem->fail_at == (size_t)-1 && !mem->far) {
		good = reference_node(mem, img->chain, img->generation, pfn, &ref);
		EXPECT_EQ(r == PKRAM_DAMAGE_NONE, good);
		if (r == PKRAM_DAMAGE_NONE && good)
			EXPECT(!memcmp(&t, &ref, sizeof(t)));
	}
	if (totals)
		*totals = t;
	return r;
}

int fixture_walk(struct fixture *f, struct pkram_node_totals *totals)
{
	image_seal(&f->img);
	return checked_walk(&f->mem, &f->img, f->node.pfn, totals);
}

int main(void)
{
	test_extents();
	test_checksum();
	test_header();
	test_super();
	test_map();
	test_name();
	test_nodes();
	test_node_damage();
	test_stream_damage();
	test_undo();
	test_bits();
	test_cmdline();
	test_early();
	test_runs();
	return tap_done();
}
