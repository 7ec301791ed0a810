/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Writes chains of metadata pages into a memory, without help from the code
 * under test other than pkram_page_finish() and the encoding of extents.
 *
 * The builder writes what it is told to, right or wrong; it keeps the counts
 * and lengths that follow from it. image_seal() makes the checksums.
 */
#ifndef _PKRAM_IMAGE_H
#define _PKRAM_IMAGE_H

#include "memory.h"

/**
 * struct image - a chain being written
 * @mem:        where it is written to
 * @chain:      goes into every page
 * @generation: goes into every page
 * @meta_next:  next unused metadata page
 * @data_next:  next unused data page
 * @super:      super block, NULL until image_super()
 * @map:        its one map page
 * @dir:        its one directory page
 */
struct image {
	struct memory *mem;
	__u64 chain;
	__u64 generation;
	__u64 meta_next;
	__u64 data_next;
	struct pkram_super *super;
	struct pkram_map *map;
	struct pkram_dir *dir;
};

/**
 * image_init - start a chain in an empty memory
 * @img: uninitialised
 * @mem: the memory, outlives the image
 */
void image_init(struct image *img, struct memory *mem);

/* Add a super block, a directory page and a map page, and a copy of each. */
void image_super(struct image *img);

/**
 * image_page - add a metadata page
 * @img:  the chain
 * @type: enum pkram_page_type
 *
 * Return: its header, filled in but for the checksum.
 */
struct pkram_page_hdr *image_page(struct image *img, unsigned int type);

/**
 * image_data - take unused data pages
 * @img:   the chain
 * @order: order of the folios
 * @count: how many
 *
 * Return: first pfn.
 */
__u64 image_data(struct image *img, unsigned int order, __u64 count);

/* Compute the checksum of page @pfn again, if its length allows that. */
void image_finish(struct image *img, __u64 pfn);

/* Set bits of the map, bring copies up to date, and compute the checksums of all pages. */
void image_seal(struct image *img);

/**
 * struct image_node - a node being written
 * @img:  its chain
 * @page: its first page
 * @last: its last page of objects, NULL as long as there is none
 * @pfn:  pfn of @page
 * @nr:   objects so far
 */
struct image_node {
	struct image *img;
	struct pkram_node_page *page;
	struct pkram_objects_page *last;
	__u64 pfn;
	__u32 nr;
};

/* Start node @name; @node is uninitialised. A directory, if there is one, gets it. */
void image_node(struct image_node *node, struct image *img, const char *name);

/**
 * image_object - add an object without streams
 * @node:  the node
 * @flags: PKRAM_OBJ_*; a file gets a size and a mode
 *
 * Return: the object in its page.
 */
struct pkram_object *image_object(struct image_node *node, __u32 flags);

/**
 * struct image_stream - a stream being written
 * @node:  its node
 * @link:  newest link page, NULL if there is none
 * @head:  pfn of the first
 * @index: position in the stream
 * @pages: base pages so far
 */
struct image_stream {
	struct image_node *node;
	struct pkram_link *link;
	__u64 head;
	__u64 index;
	__u64 pages;
};

/* Start a stream; @s is uninitialised. */
void image_stream(struct image_stream *s, struct image_node *node);

/* Continue in a new link page, whose extents start at the present position. */
void image_link(struct image_stream *s);

/* Add an encoded extent, in a new link page if the last one is full. */
void image_extent(struct image_stream *s, __u64 raw);

/* Add @count folios with new data pages, or a gap. */
void image_run(struct image_stream *s, unsigned int order, __u64 count);
void image_single(struct image_stream *s, __u64 gap);
void image_gap(struct image_stream *s, __u64 gap);

/* End a page stream or a byte stream of @nr_bytes by writing it into the object. */
void image_stream_pages(struct image_stream *s, struct pkram_object *o);
void image_stream_bytes(struct image_stream *s, struct pkram_object *o, __u64 nr_bytes);

/* Number of shapes that image_shape() knows. */
#define IMAGE_SHAPES		8

/**
 * image_shape - write one of several nodes that together have all there is
 * @img:   an image, with a super block or not
 * @shape: below IMAGE_SHAPES
 *
 * Return: pfn of the node.
 */
__u64 image_shape(struct image *img, unsigned int shape);

#endif /* _PKRAM_IMAGE_H */
