// SPDX-License-Identifier: GPL-2.0
/*
 * Valid nodes of many kinds: a start for fuzzers, and for tests that damage
 * every bit. They are small, the time a fuzzer needs is that of checksums.
 */
#include <stdio.h>
#include <stdlib.h>

#include "image.h"

#include <asm/byteorder.h>

#define FILE_FLAGS		(PKRAM_OBJ_PAGES | PKRAM_OBJ_FILE)

static void shape_empty(struct image_node *node)
{
	image_object(node, FILE_FLAGS);
	image_object(node, PKRAM_OBJ_BYTES);
	image_object(node, 0);
}

static void shape_singles(struct image_node *node)
{
	struct pkram_object *o = image_object(node, FILE_FLAGS);
	struct image_stream s;
	unsigned int i;

	image_stream(&s, node);
	for (i = 0; i < 20; i++)
		image_single(&s, i % 4 ? 0 : i * 1000);
	image_single(&s, PKRAM_EXT_MAX_GAP);
	image_stream_pages(&s, o);
}

static void shape_orders(struct image_node *node)
{
	struct pkram_object *o = image_object(node, FILE_FLAGS);
	struct image_stream s;
	unsigned int order;

	image_stream(&s, node);
	for (order = 0; order <= 10; order++)
		image_run(&s, order, 1 + order % 3);
	image_run(&s, 0, PKRAM_EXT_MAX_COUNT);
	image_stream_pages(&s, o);
}

static void shape_gaps(struct image_node *node)
{
	struct pkram_object *o = image_object(node, FILE_FLAGS);
	struct image_stream s;

	image_stream(&s, node);
	image_gap(&s, 0);
	image_gap(&s, 1ULL << 40);
	image_single(&s, 3);
	image_gap(&s, (1ULL << 50) - 1);
	image_run(&s, 9, 2);
	/* A stream may end with a gap. */
	image_gap(&s, 5);
	image_stream_pages(&s, o);
}

static void shape_bytes(struct image_node *node)
{
	struct pkram_object *o = image_object(node, PKRAM_OBJ_BYTES);
	struct image_stream s;

	image_stream(&s, node);
	image_single(&s, 0);
	image_run(&s, 0, 3);
	image_run(&s, 0, 16);
	image_link(&s);
	image_run(&s, 0, 1);
	image_stream_bytes(&s, o, s.pages * PKRAM_PAGE_SIZE - 4095);
}

static void shape_links(struct image_node *node)
{
	struct pkram_object *o = image_object(node, FILE_FLAGS);
	struct image_stream s;
	unsigned int i;

	image_stream(&s, node);
	for (i = 0; i < 4; i++) {
		image_run(&s, 0, 2);
		image_single(&s, i);
		/* A gap between links costs nothing. */
		s.index += 17 * i;
		image_link(&s);
	}
	image_single(&s, 0);
	image_stream_pages(&s, o);
}

static void shape_both(struct image_node *node)
{
	struct pkram_object *o = image_object(node, FILE_FLAGS | PKRAM_OBJ_BYTES);
	struct image_stream s;

	image_stream(&s, node);
	image_single(&s, 100);
	image_stream_pages(&s, o);
	image_stream(&s, node);
	image_run(&s, 0, 2);
	image_stream_bytes(&s, o, PKRAM_PAGE_SIZE + 1);
	o = image_object(node, PKRAM_OBJ_PAGES);
	image_stream(&s, node);
	image_run(&s, 3, 5);
	o->nr_poisoned = cpu_to_le64(1);
	o->poisoned[0] = cpu_to_le64(pkram_extent_decode(pkram_extent_raw(s.link, 0)).pfn + 9);
	image_stream_pages(&s, o);
}

static void shape_objects(struct image_node *node)
{
	struct image_stream s;
	unsigned int i;

	for (i = 0; i < PKRAM_NODE_OBJECTS + PKRAM_PAGE_OBJECTS_MAX + 2; i++) {
		struct pkram_object *o = image_object(node, FILE_FLAGS);

		if (i % 30 != 29)
			continue;
		image_stream(&s, node);
		image_single(&s, i);
		image_stream_pages(&s, o);
	}
}

__u64 image_shape(struct image *img, unsigned int shape)
{
	static void (*const shapes[IMAGE_SHAPES])(struct image_node *node) = {
		shape_empty, shape_singles, shape_orders, shape_gaps,
		shape_bytes, shape_links, shape_both, shape_objects,
	};
	struct image_node node;
	char name[16];

	snprintf(name, sizeof(name), "shape%u", shape);
	image_node(&node, img, name);
	shapes[shape](&node);
	return node.pfn;
}
