// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <string.h>

#include "image.h"

#include <asm/byteorder.h>
#include <uapi/linux/pkram.h>

#define CHAIN			0x5eed0fc4a1b2c3d4ULL
#define GENERATION		7
#define STORED_NS		1700000000123456789ULL

void image_init(struct image *img, struct memory *mem)
{
	*img = (struct image) {
		.mem = mem,
		.chain = CHAIN,
		.generation = GENERATION,
		.meta_next = mem->base,
		.data_next = mem->base + mem->nr_backed,
	};
}

struct pkram_page_hdr *image_page(struct image *img, unsigned int type)
{
	__u64 pfn = img->meta_next++;
	struct pkram_page_hdr *hdr = memory_page(img->mem, pfn);

	memset(hdr, 0, PKRAM_PAGE_SIZE);
	hdr->magic = cpu_to_le32(PKRAM_MAGIC);
	hdr->version = cpu_to_le16(PKRAM_FORMAT_VERSION);
	hdr->type = cpu_to_le16(type);
	hdr->chain = cpu_to_le64(img->chain);
	hdr->pfn = cpu_to_le64(pfn);
	hdr->generation = cpu_to_le64(img->generation);
	hdr->length = cpu_to_le32(sizeof(*hdr));
	return hdr;
}

__u64 image_data(struct image *img, unsigned int order, __u64 count)
{
	__u64 mask = (1ULL << order) - 1, pfn = (img->data_next + mask) & ~mask;

	img->data_next = pfn + (count << order);
	return pfn;
}

void image_super(struct image *img)
{
	struct pkram_page_hdr *map_copy;
	struct pkram_super *sb;

	/* pairs are aligned */
	img->meta_next += img->meta_next & 1;
	sb = (void *)image_page(img, PKRAM_PAGE_SUPER);
	(void)image_page(img, PKRAM_PAGE_SUPER);
	img->super = sb;
	img->dir = (void *)image_page(img, PKRAM_PAGE_DIR);
	(void)image_page(img, PKRAM_PAGE_DIR);
	img->map = (void *)image_page(img, PKRAM_PAGE_MAP);
	map_copy = image_page(img, PKRAM_PAGE_MAP);
	img->map->hdr.length = cpu_to_le32(sizeof(*img->map));
	img->dir->hdr.length = cpu_to_le32(sizeof(*img->dir));

	sb->hdr.length = cpu_to_le32(sizeof(*sb));
	sb->seal = cpu_to_le64(PKRAM_SEALED);
	sb->page_shift = cpu_to_le32(PKRAM_PAGE_SHIFT);
	sb->block_order = cpu_to_le32(PKRAM_BLOCK_ORDER);
	sb->map_pfn = img->map->hdr.pfn;
	sb->map_copy_pfn = map_copy->pfn;
	sb->nr_map = cpu_to_le32(1);
	sb->nr_dir = cpu_to_le32(1);
	sb->dir_pfn = img->dir->hdr.pfn;
	sb->sealed_ns = cpu_to_le64(STORED_NS);
	snprintf((char *)sb->release, sizeof(sb->release), "6.12.0-test");
}

void image_finish(struct image *img, __u64 pfn)
{
	struct pkram_page_hdr *hdr = memory_page(img->mem, pfn);
	__u32 length = le32_to_cpu(hdr->length);

	if (length >= sizeof(*hdr) && length <= PKRAM_PAGE_SIZE && length % 8 == 0)
		pkram_page_finish(hdr);
}

static void map_blocks(struct image *img, __u64 pfn, __u64 end)
{
	for (; pfn < end; pfn++) {
		__u64 block = pfn >> PKRAM_BLOCK_ORDER;

		if (block < PKRAM_MAP_BITS)
			img->map->bits[block / 64] |= cpu_to_le64(1ULL << block % 64);
	}
}

/* A page once more at @pfn. */
static void copy_page(struct image *img, const void *page, __u64 pfn)
{
	struct pkram_page_hdr *to = memory_page(img->mem, pfn);

	memcpy(to, page, PKRAM_PAGE_SIZE);
	to->pfn = cpu_to_le64(pfn);
}

void image_seal(struct image *img)
{
	__u64 pfn;

	if (img->map) {
		map_blocks(img, img->mem->base, img->meta_next);
		map_blocks(img, img->mem->base + img->mem->nr_backed, img->data_next);
		copy_page(img, img->super, pkram_twin(le64_to_cpu(img->super->hdr.pfn)));
		copy_page(img, img->dir, pkram_twin(le64_to_cpu(img->dir->hdr.pfn)));
		copy_page(img, img->map, le64_to_cpu(img->super->map_copy_pfn));
	}
	for (pfn = img->mem->base; pfn < img->meta_next; pfn++)
		image_finish(img, pfn);
}

static void node_counts(struct image_node *node, __u64 data, __u64 meta)
{
	struct pkram_node_page *p = node->page;

	p->data_pages = cpu_to_le64(le64_to_cpu(p->data_pages) + data);
	p->meta_pages = cpu_to_le64(le64_to_cpu(p->meta_pages) + meta);
}

void image_node(struct image_node *node, struct image *img, const char *name)
{
	struct pkram_node_page *p = (void *)image_page(img, PKRAM_PAGE_NODE);

	*node = (struct image_node) {
		.img = img, .page = p, .pfn = le64_to_cpu(p->hdr.pfn),
	};
	p->hdr.length = cpu_to_le32(sizeof(*p) - sizeof(p->objects));
	p->stored_ns = cpu_to_le64(STORED_NS);
	p->name_len = cpu_to_le32(strlen(name));
	memcpy(p->name, name, strlen(name));
	node_counts(node, 0, 1);

	if (img->dir) {
		__u64 nr = le64_to_cpu(img->super->nr_nodes);

		img->dir->slot[nr] = cpu_to_le64(node->pfn);
		img->super->nr_nodes = cpu_to_le64(nr + 1);
	}
}

static struct pkram_object *next_object(struct image_node *node)
{
	struct image *img = node->img;
	struct pkram_page_hdr *hdr;
	__u32 i = node->nr++;

	node->page->nr_objects = cpu_to_le32(node->nr);
	if (i < PKRAM_NODE_OBJECTS) {
		hdr = &node->page->hdr;
		hdr->length = cpu_to_le32(le32_to_cpu(hdr->length) +
					  sizeof(struct pkram_object));
		return &node->page->objects[i];
	}

	i = (i - PKRAM_NODE_OBJECTS) % PKRAM_PAGE_OBJECTS_MAX;
	if (!i) {
		hdr = node->last ? &node->last->hdr : &node->page->hdr;
		node->last = (void *)image_page(img, PKRAM_PAGE_OBJECTS);
		hdr->next = node->last->hdr.pfn;
		node_counts(node, 0, 1);
	}
	hdr = &node->last->hdr;
	hdr->length = cpu_to_le32(le32_to_cpu(hdr->length) + sizeof(struct pkram_object));
	return &node->last->objects[i];
}

struct pkram_object *image_object(struct image_node *node, __u32 flags)
{
	struct pkram_object *o = next_object(node);

	o->flags = cpu_to_le32(flags);
	if (flags & PKRAM_OBJ_FILE) {
		o->size = cpu_to_le64(12345);
		o->mode = cpu_to_le32(0100644);
		o->uid = cpu_to_le32(1000);
		o->gid = cpu_to_le32(1000);
		o->atime_ns = cpu_to_le64(STORED_NS - 1);
		o->mtime_ns = cpu_to_le64(STORED_NS - 2);
		o->ctime_ns = cpu_to_le64(STORED_NS - 3);
	}
	return o;
}

void image_stream(struct image_stream *s, struct image_node *node)
{
	*s = (struct image_stream) { .node = node };
}

void image_link(struct image_stream *s)
{
	struct pkram_link *l = (void *)image_page(s->node->img, PKRAM_PAGE_LINK);

	l->hdr.length = cpu_to_le32(64 + 16);
	l->index = cpu_to_le64(s->index);
	if (s->link)
		s->link->hdr.next = l->hdr.pfn;
	else
		s->head = le64_to_cpu(l->hdr.pfn);
	s->link = l;
	node_counts(s->node, 0, 1);
}

void image_extent(struct image_stream *s, __u64 raw)
{
	struct pkram_extent e = pkram_extent_decode(raw);
	__u64 span = (__u64)e.count << e.order;
	__u32 n;

	if (!s->link || le32_to_cpu(s->link->nr_extents) == PKRAM_LINK_EXTENTS)
		image_link(s);
	n = le32_to_cpu(s->link->nr_extents);
	pkram_extent_put(s->link, n++, raw);
	s->link->nr_extents = cpu_to_le32(n);
	s->link->hdr.length = cpu_to_le32((64 + 16 + n * PKRAM_EXTENT_BYTES + 7) & ~7U);
	s->index += e.gap + span;
	s->pages += span;
	node_counts(s->node, span, 0);
}

void image_run(struct image_stream *s, unsigned int order, __u64 count)
{
	__u64 mask = (1ULL << order) - 1;

	if (s->index & mask)
		image_gap(s, (mask + 1) - (s->index & mask));
	image_extent(s, pkram_extent_run(image_data(s->node->img, order, count), order,
					 count));
}

void image_single(struct image_stream *s, __u64 gap)
{
	image_extent(s, pkram_extent_single(image_data(s->node->img, 0, 1), gap));
}

void image_gap(struct image_stream *s, __u64 gap)
{
	image_extent(s, pkram_extent_long_gap(gap));
}

void image_stream_pages(struct image_stream *s, struct pkram_object *o)
{
	o->pages_head = cpu_to_le64(s->head);
	o->nr_pages = cpu_to_le64(s->pages);
}

void image_stream_bytes(struct image_stream *s, struct pkram_object *o, __u64 nr_bytes)
{
	o->bytes_head = cpu_to_le64(s->head);
	o->nr_bytes = cpu_to_le64(nr_bytes);
}
