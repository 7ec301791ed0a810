/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _PKRAM_TESTS_H
#define _PKRAM_TESTS_H

#include "image.h"
#include "tap.h"

#include <asm/byteorder.h>
#include <uapi/linux/pkram.h>

#define FILE_FLAGS		(PKRAM_OBJ_PAGES | PKRAM_OBJ_FILE)

/* Memory of the fixture: 8192 pages for metadata of 131072, from 16 MiB on. */
#define TEST_BASE		0x1000ULL
#define TEST_BACKED		0x2000ULL
#define TEST_PAGES		0x20000ULL

/**
 * struct fixture - an empty image in a memory of its own, one node in it
 * @mem:  the memory
 * @img:  the image, without a super block
 * @node: a node called "node" without objects
 * @s:    for the test to use
 */
struct fixture {
	struct memory mem;
	struct image img;
	struct image_node node;
	struct image_stream s;
};

void fixture_init(struct fixture *f);
void fixture_done(struct fixture *f);

/* Start a file object and its stream f->s; end the stream with fixture_file_end(). */
struct pkram_object *fixture_file(struct fixture *f);
void fixture_file_end(struct fixture *f, struct pkram_object *o);

/**
 * fixture_walk - seal, walk the node from scratch, undo the walk
 * @f:      the fixture
 * @totals: output, or NULL
 *
 * Checks that undoing gave everything back, and that the reference agrees.
 *
 * Return: enum pkram_damage.
 */
int fixture_walk(struct fixture *f, struct pkram_node_totals *totals);

/* As fixture_walk(), of any node and without sealing. */
int checked_walk(struct memory *mem, const struct image *img, __u64 pfn,
		 struct pkram_node_totals *totals);

void test_extents(void);
void test_checksum(void);
void test_header(void);
void test_super(void);
void test_map(void);
void test_name(void);
void test_nodes(void);
void test_node_damage(void);
void test_stream_damage(void);
void test_undo(void);
void test_bits(void);
void test_cmdline(void);
void test_early(void);
void test_runs(void);

#endif /* _PKRAM_TESTS_H */
