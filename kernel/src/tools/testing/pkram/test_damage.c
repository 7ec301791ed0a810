// SPDX-License-Identifier: GPL-2.0
/*
 * Nodes with one thing wrong each, and with right checksums: what a buggy or
 * hostile writer leaves behind.
 */
#include <string.h>

#include "tests.h"

/* A node of 61 objects, the last with a stream of two links, one with bytes. */
struct victim {
	struct fixture f;
	struct pkram_object *o;		/* the file */
	struct pkram_object *bytes;
	struct pkram_link *link[2];
	struct pkram_link *bytes_link;
	struct pkram_objects_page *objects[2];
};

static void victim_init(struct victim *v)
{
	struct fixture *f = &v->f;

	fixture_init(f);
	v->bytes = image_object(&f->node, PKRAM_OBJ_BYTES);
	image_stream(&f->s, &f->node);
	image_run(&f->s, 0, 4);
	v->bytes_link = f->s.link;
	image_stream_bytes(&f->s, v->bytes, 4 * 4096);

	while (f->node.nr < 30)
		image_object(&f->node, FILE_FLAGS);
	v->objects[0] = f->node.last;
	while (f->node.nr < 60)
		image_object(&f->node, FILE_FLAGS);
	v->o = fixture_file(f);
	v->objects[1] = f->node.last;
	image_run(&f->s, 0, 8);
	image_run(&f->s, 3, 2);
	v->link[0] = f->s.link;
	image_link(&f->s);
	v->link[1] = f->s.link;
	image_single(&f->s, 5);
	image_run(&f->s, 0, 3);
	fixture_file_end(f, v->o);
}

static __le64 le(__u64 v)
{
	return cpu_to_le64(v);
}

static void set_extent(struct pkram_link *l, unsigned int i, __u64 raw)
{
	__u64 next = i + 1 < PKRAM_LINK_EXTENTS ? pkram_extent_raw(l, i + 1) : 0;

	pkram_extent_put(l, i, raw);
	if (i + 1 < PKRAM_LINK_EXTENTS)
		pkram_extent_put(l, i + 1, next);
}

#define NODE_PFN(v)		((v)->f.node.page->hdr.pfn)

/* The first page of the file. */
static __u64 first_data(const struct victim *v)
{
	return pkram_extent_decode(pkram_extent_raw(v->link[0], 0)).pfn;
}

/* What is done to the victim; each is a case of its own. */
static void none(struct victim *v) { (void)v; }

static void node_next_self(struct victim *v)
{
	v->f.node.page->hdr.next = NODE_PFN(v);
}

static void objects_next_self(struct victim *v)
{
	v->objects[0]->hdr.next = v->objects[0]->hdr.pfn;
}

static void objects_next_back(struct victim *v)
{
	v->objects[1]->hdr.next = v->objects[0]->hdr.pfn;
}

static void objects_next_node(struct victim *v)
{
	v->objects[1]->hdr.next = NODE_PFN(v);
}

static void objects_end_early(struct victim *v)
{
	struct pkram_node_page *p = v->f.node.page;

	/* With totals that are right for what is left. */
	v->objects[0]->hdr.next = 0;
	p->data_pages = le(le64_to_cpu(p->data_pages) - le64_to_cpu(v->o->nr_pages));
	p->meta_pages = le(le64_to_cpu(p->meta_pages) - 3);
}

static void objects_trailing(struct victim *v)
{
	v->objects[1]->hdr.next = image_page(&v->f.img, PKRAM_PAGE_OBJECTS)->pfn;
}

static void objects_next_far(struct victim *v)
{
	v->objects[1]->hdr.next = le(TEST_BASE + TEST_PAGES);
}

static void objects_next_data(struct victim *v)
{
	v->objects[1]->hdr.next = le(TEST_BASE + TEST_BACKED + 100);
}

static void objects_next_link(struct victim *v)
{
	struct pkram_page_hdr *hdr = image_page(&v->f.img, PKRAM_PAGE_LINK);

	v->objects[1]->hdr.next = hdr->pfn;
}

static void objects_next_max(struct victim *v)
{
	v->objects[1]->hdr.next = le(~0ULL);
}

static void objects_next_low(struct victim *v)
{
	v->objects[1]->hdr.next = le(1);
}

static void objects_longer(struct victim *v)
{
	v->objects[1]->hdr.length = cpu_to_le32(64 + 2 * 128);
}

static void objects_shorter(struct victim *v)
{
	v->objects[0]->hdr.length = cpu_to_le32(64 + 30 * 128);
}

static void link_next_self(struct victim *v)
{
	v->link[1]->hdr.next = v->link[1]->hdr.pfn;
}

static void link_next_back(struct victim *v)
{
	v->link[1]->hdr.next = v->link[0]->hdr.pfn;
}

static void link_next_node(struct victim *v)
{
	v->link[1]->hdr.next = NODE_PFN(v);
}

static void link_next_data(struct victim *v)
{
	v->link[1]->hdr.next = le(pkram_extent_decode(pkram_extent_raw(v->link[0], 0)).pfn);
}

static void link_end_early(struct victim *v)
{
	v->link[0]->hdr.next = 0;
}

static void head_of_other(struct victim *v)
{
	v->o->pages_head = v->bytes->bytes_head;
}

static void head_is_node(struct victim *v)
{
	v->o->pages_head = NODE_PFN(v);
}

static void head_is_objects(struct victim *v)
{
	v->o->pages_head = image_page(&v->f.img, PKRAM_PAGE_OBJECTS)->pfn;
}

static void head_none(struct victim *v)
{
	v->o->pages_head = 0;
}

static void head_max(struct victim *v)
{
	v->o->pages_head = le(~0ULL);
}

static void data_twice_in_link(struct victim *v)
{
	set_extent(v->link[1], 1, pkram_extent_raw(v->link[1], 0));
}

static void data_of_other_object(struct victim *v)
{
	set_extent(v->link[1], 0, pkram_extent_raw(v->bytes_link, 0));
}

static void data_is_node(struct victim *v)
{
	set_extent(v->link[1], 0, pkram_extent_single(le64_to_cpu(NODE_PFN(v)), 0));
}

static void data_is_own_link(struct victim *v)
{
	set_extent(v->link[1], 0,
		   pkram_extent_single(le64_to_cpu(v->link[1]->hdr.pfn), 0));
}

static void data_overlaps_at_end(struct victim *v)
{
	__u64 pfn = pkram_extent_decode(pkram_extent_raw(v->link[1], 0)).pfn;

	set_extent(v->link[1], 1, pkram_extent_run(pfn - 2, 0, 3));
}

static void data_past_memory(struct victim *v)
{
	set_extent(v->link[1], 1, pkram_extent_run(TEST_BASE + TEST_PAGES - 2, 0, 3));
}

static void data_below_memory(struct victim *v)
{
	set_extent(v->link[1], 0, pkram_extent_single(TEST_BASE - 1, 0));
}

static void pfn_zero(struct victim *v)
{
	set_extent(v->link[1], 0, pkram_extent_single(0, 0));
}

static void pfn_low(struct victim *v)
{
	set_extent(v->link[1], 0, pkram_extent_single(PKRAM_MIN_PFN - 1, 0));
}

static void pfn_lowest(struct victim *v)
{
	set_extent(v->link[1], 0, pkram_extent_single(PKRAM_MIN_PFN, 0));
}

static void pfn_past_max(struct victim *v)
{
	set_extent(v->link[1], 1, pkram_extent_run(PKRAM_MAX_PFN - 2, 0, 3));
}

static void pfn_up_to_max(struct victim *v)
{
	set_extent(v->link[1], 1, pkram_extent_run(PKRAM_MAX_PFN - 3, 0, 3));
}

static void pfn_unaligned(struct victim *v)
{
	__u64 pfn = pkram_extent_decode(pkram_extent_raw(v->link[0], 1)).pfn;

	set_extent(v->link[0], 1, pkram_extent_run(pfn + 4, 3, 2));
}

static void index_unaligned(struct victim *v)
{
	__u64 pfn = pkram_extent_decode(pkram_extent_raw(v->link[0], 0)).pfn;

	set_extent(v->link[0], 0, pkram_extent_run(pfn, 0, 7));
}

static void order_11(struct victim *v)
{
	set_extent(v->link[0], 1, pkram_extent_run(TEST_BASE + TEST_BACKED, 11, 1));
}

static void order_14(struct victim *v)
{
	set_extent(v->link[0], 1, pkram_extent_run(0, 14, PKRAM_EXT_MAX_COUNT));
}

static void gap_to_end(struct victim *v)
{
	set_extent(v->link[1], 1, pkram_extent_long_gap(PKRAM_MAX_INDEX - 30));
}

static void gap_largest(struct victim *v)
{
	set_extent(v->link[1], 1, pkram_extent_long_gap(PKRAM_MAX_INDEX - 1));
}

static void span_past_end(struct victim *v)
{
	v->link[1]->index = le(PKRAM_MAX_INDEX - 8);
}

static void span_up_to_end(struct victim *v)
{
	v->link[1]->index = le(PKRAM_MAX_INDEX - 9);
}

static void index_back(struct victim *v)
{
	v->link[1]->index = le(23);
}

static void index_forth(struct victim *v)
{
	v->link[1]->index = le(25);
}

static void index_at_end(struct victim *v)
{
	v->link[1]->index = le(PKRAM_MAX_INDEX);
}

static void index_max(struct victim *v)
{
	v->link[1]->index = le(~0ULL);
}

static void index_of_first(struct victim *v)
{
	v->link[0]->index = le(8);
	v->link[1]->index = le(32);
}

static void nr_extents_0(struct victim *v)
{
	v->link[1]->nr_extents = 0;
}

static void nr_extents_long(struct victim *v)
{
	v->link[1]->nr_extents = cpu_to_le32(3);
}

static void nr_extents_574(struct victim *v)
{
	v->link[1]->hdr.length = cpu_to_le32(PKRAM_PAGE_SIZE);
	v->link[1]->nr_extents = cpu_to_le32(PKRAM_LINK_EXTENTS + 1);
}

static void nr_extents_max(struct victim *v)
{
	v->link[1]->nr_extents = cpu_to_le32(~0U);
}

/* (n * 7) mod 2^32 is small: must not get past a check of the length. */
static void nr_extents_wraps(struct victim *v)
{
	v->link[1]->nr_extents = cpu_to_le32(613566757);
}

static void link_bare(struct victim *v)
{
	v->link[1]->hdr.length = cpu_to_le32(64);
}

static void link_reserved(struct victim *v)
{
	v->link[0]->reserved = cpu_to_le32(1);
}

static void link_of_other_chain(struct victim *v)
{
	v->link[0]->hdr.chain ^= le(1);
}

static void link_of_later_generation(struct victim *v)
{
	v->link[0]->hdr.generation = le(v->f.img.generation + 1);
}

static void bytes_gap(struct victim *v)
{
	set_extent(v->bytes_link, 0,
		   pkram_extent_single(TEST_BASE + TEST_BACKED, 1));
}

static void bytes_long_gap(struct victim *v)
{
	set_extent(v->bytes_link, 0, pkram_extent_long_gap(1));
}

static void bytes_large(struct victim *v)
{
	__u64 pfn = image_data(v->f.node.img, 2, 1);

	set_extent(v->bytes_link, 0, pkram_extent_run(pfn, 2, 1));
}

static void bytes_index(struct victim *v)
{
	v->bytes_link->index = le(1);
}

static void bytes_too_few(struct victim *v)
{
	v->bytes->nr_bytes = le(3 * 4096);
}

static void bytes_negative(struct victim *v)
{
	v->bytes->nr_bytes = le(1ULL << 63);
}

static void bytes_max(struct victim *v)
{
	v->bytes->nr_bytes = le(~0ULL);
}

static void bytes_2_63(struct victim *v)
{
	v->bytes->nr_bytes = le((1ULL << 63) - 1);
}

static void bytes_without_flag(struct victim *v)
{
	v->bytes->flags = 0;
}

static void bytes_length_without_flag(struct victim *v)
{
	v->o->nr_bytes = le(1);
}

static void bytes_head_without_flag(struct victim *v)
{
	v->o->bytes_head = le(1);
}

static void bytes_without_head(struct victim *v)
{
	v->bytes->bytes_head = 0;
}

static void pages_fewer(struct victim *v)
{
	v->o->nr_pages = le(le64_to_cpu(v->o->nr_pages) - 1);
}

static void pages_max(struct victim *v)
{
	v->o->nr_pages = le(~0ULL);
}

static void pages_without_flag(struct victim *v)
{
	v->bytes->nr_pages = le(1);
}

static void pages_head_without_flag(struct victim *v)
{
	v->bytes->pages_head = v->bytes->bytes_head;
}

static void file_without_pages(struct victim *v)
{
	v->bytes->flags = cpu_to_le32(PKRAM_OBJ_BYTES | PKRAM_OBJ_FILE);
}

static void flags_unknown(struct victim *v)
{
	v->o->flags |= cpu_to_le32(8);
}

static void flags_high(struct victim *v)
{
	v->o->flags |= cpu_to_le32(1U << 15);
}

static void object_reserved0(struct victim *v)
{
	v->o->reserved0 = cpu_to_le32(1);
}

static void poisoned_unnamed(struct victim *v)
{
	v->o->nr_poisoned = le(1);
}

static void poisoned_uncounted(struct victim *v)
{
	v->o->poisoned[PKRAM_OBJ_POISONED - 1] = le(1ULL << 63);
}

static void poisoned_not_its_own(struct victim *v)
{
	v->o->nr_poisoned = le(1);
	v->o->poisoned[0] = v->o->pages_head;
}

static void poisoned_gap(struct victim *v)
{
	v->o->nr_poisoned = le(2);
	v->o->poisoned[1] = le(first_data(v));
}

static void poisoned_too_few(struct victim *v)
{
	v->o->nr_poisoned = le(PKRAM_OBJ_POISONED);
	v->o->poisoned[0] = le(first_data(v));
}

static void size_negative(struct victim *v)
{
	v->o->size = le(1ULL << 63);
}

static void size_largest(struct victim *v)
{
	v->o->size = le((1ULL << 63) - 1);
}

static void mode_directory(struct victim *v)
{
	v->o->mode = cpu_to_le32(0040755);
}

static void mode_symlink(struct victim *v)
{
	v->o->mode = cpu_to_le32(0120777);
}

static void mode_none(struct victim *v)
{
	v->o->mode = 0;
}

static void mode_high_bits(struct victim *v)
{
	v->o->mode = cpu_to_le32(0x10000 | 0100644);
}

static void mode_all_permissions(struct victim *v)
{
	v->o->mode = cpu_to_le32(0107777);
}

static void no_file_but_size(struct victim *v)
{
	v->bytes->size = cpu_to_le64(1);
}

static void no_file_but_mode(struct victim *v)
{
	v->bytes->mode = cpu_to_le32(1);
}

static void no_file_but_uid(struct victim *v)
{
	v->bytes->uid = cpu_to_le32(1);
}

static void no_file_but_gid(struct victim *v)
{
	v->bytes->gid = cpu_to_le32(1);
}

static void no_file_but_seals(struct victim *v)
{
	v->bytes->seals = cpu_to_le32(1);
}

static void no_file_but_atime(struct victim *v)
{
	v->bytes->atime_ns = cpu_to_le64(1);
}

static void no_file_but_mtime(struct victim *v)
{
	v->bytes->mtime_ns = cpu_to_le64(1);
}

static void no_file_but_ctime(struct victim *v)
{
	v->bytes->ctime_ns = cpu_to_le64(1);
}

static void node_data_pages(struct victim *v)
{
	v->f.node.page->data_pages = le(le64_to_cpu(v->f.node.page->data_pages) + 1);
}

static void node_meta_pages(struct victim *v)
{
	v->f.node.page->meta_pages = le(le64_to_cpu(v->f.node.page->meta_pages) - 1);
}

static void node_fewer_objects(struct victim *v)
{
	v->f.node.page->nr_objects = cpu_to_le32(60);
}

static void node_more_objects(struct victim *v)
{
	v->f.node.page->nr_objects = cpu_to_le32(62);
}

static void node_too_many_objects(struct victim *v)
{
	v->f.node.page->nr_objects = cpu_to_le32(PKRAM_MAX_OBJECTS + 1);
}

static void node_max_objects(struct victim *v)
{
	v->f.node.page->nr_objects = cpu_to_le32(~0U);
}

static void node_bare(struct victim *v)
{
	v->f.node.page->hdr.length = cpu_to_le32(64);
}

static void node_short(struct victim *v)
{
	v->f.node.page->hdr.length = cpu_to_le32(4096 - 8);
}

static void node_reserved_first(struct victim *v)
{
	v->f.node.page->reserved[0] = le(1);
}

static void node_reserved_last(struct victim *v)
{
	v->f.node.page->reserved[1] = le(1);
}

static void node_needs_feature(struct victim *v)
{
	v->f.node.page->incompat = le(1);
}

static void node_needs_last_feature(struct victim *v)
{
	v->f.node.page->incompat = le(1ULL << 63);
}

static void node_is_link(struct victim *v)
{
	v->f.node.page->hdr.type = cpu_to_le16(PKRAM_PAGE_LINK);
}

static void name_empty(struct victim *v)
{
	v->f.node.page->name_len = 0;
}

static void name_256(struct victim *v)
{
	memset(v->f.node.page->name, 'x', PKRAM_NAME_BYTES);
	v->f.node.page->name_len = cpu_to_le32(PKRAM_NAME_BYTES);
}

static void name_len_max(struct victim *v)
{
	v->f.node.page->name_len = cpu_to_le32(~0U);
}

static void name_slash(struct victim *v)
{
	v->f.node.page->name[2] = '/';
}

static void name_nul_inside(struct victim *v)
{
	v->f.node.page->name[2] = 0;
}

static void name_tail(struct victim *v)
{
	v->f.node.page->name[PKRAM_NAME_BYTES - 1] = 'x';
}

static void name_dots(struct victim *v)
{
	memset(v->f.node.page->name, 0, PKRAM_NAME_BYTES);
	memset(v->f.node.page->name, '.', 2);
	v->f.node.page->name_len = cpu_to_le32(2);
}

static const struct {
	const char *what;
	void (*damage)(struct victim *v);
	int want;
} rows[] = {
#define ROW(fn, want)	{ #fn, fn, PKRAM_DAMAGE_##want }
	ROW(none, NONE),
	ROW(node_next_self, TWICE),
	ROW(objects_next_self, TWICE),
	ROW(objects_next_back, TWICE),
	ROW(objects_next_node, TWICE),
	ROW(objects_end_early, COUNT),
	ROW(objects_trailing, BOUNDS),
	ROW(objects_next_far, RANGE),
	ROW(objects_next_data, RANGE),
	ROW(objects_next_link, HEADER),
	ROW(objects_next_max, RANGE),
	ROW(objects_next_low, RANGE),
	ROW(objects_longer, BOUNDS),
	ROW(objects_shorter, BOUNDS),
	ROW(link_next_self, TWICE),
	ROW(link_next_back, TWICE),
	ROW(link_next_node, TWICE),
	ROW(link_next_data, RANGE),
	ROW(link_end_early, COUNT),
	ROW(head_of_other, TWICE),
	ROW(head_is_node, TWICE),
	ROW(head_is_objects, HEADER),
	ROW(head_none, COUNT),
	ROW(head_max, RANGE),
	ROW(data_twice_in_link, TWICE),
	ROW(data_of_other_object, TWICE),
	ROW(data_is_node, TWICE),
	ROW(data_is_own_link, TWICE),
	ROW(data_overlaps_at_end, TWICE),
	ROW(data_past_memory, RANGE),
	ROW(data_below_memory, RANGE),
	ROW(pfn_zero, BOUNDS),
	ROW(pfn_low, BOUNDS),
	ROW(pfn_lowest, RANGE),
	ROW(pfn_past_max, BOUNDS),
	ROW(pfn_up_to_max, RANGE),
	ROW(pfn_unaligned, BOUNDS),
	ROW(index_unaligned, BOUNDS),
	ROW(order_11, BOUNDS),
	ROW(order_14, BOUNDS),
	ROW(gap_to_end, BOUNDS),
	ROW(gap_largest, BOUNDS),
	ROW(span_past_end, BOUNDS),
	ROW(span_up_to_end, NONE),
	ROW(index_back, BOUNDS),
	ROW(index_forth, NONE),
	ROW(index_at_end, BOUNDS),
	ROW(index_max, BOUNDS),
	ROW(index_of_first, NONE),
	ROW(nr_extents_0, BOUNDS),
	ROW(nr_extents_long, BOUNDS),
	ROW(nr_extents_574, BOUNDS),
	ROW(nr_extents_max, BOUNDS),
	ROW(nr_extents_wraps, BOUNDS),
	ROW(link_bare, BOUNDS),
	ROW(link_reserved, BOUNDS),
	ROW(link_of_other_chain, HEADER),
	ROW(link_of_later_generation, HEADER),
	ROW(bytes_gap, BOUNDS),
	ROW(bytes_long_gap, BOUNDS),
	ROW(bytes_large, BOUNDS),
	ROW(bytes_index, BOUNDS),
	ROW(bytes_too_few, COUNT),
	ROW(bytes_negative, BOUNDS),
	ROW(bytes_max, BOUNDS),
	ROW(bytes_2_63, COUNT),
	ROW(bytes_without_flag, BOUNDS),
	ROW(bytes_length_without_flag, BOUNDS),
	ROW(bytes_head_without_flag, BOUNDS),
	ROW(bytes_without_head, COUNT),
	ROW(pages_fewer, COUNT),
	ROW(pages_max, COUNT),
	ROW(pages_without_flag, BOUNDS),
	ROW(pages_head_without_flag, BOUNDS),
	ROW(file_without_pages, BOUNDS),
	ROW(flags_unknown, BOUNDS),
	ROW(flags_high, BOUNDS),
	ROW(object_reserved0, BOUNDS),
	ROW(poisoned_unnamed, BOUNDS),
	ROW(poisoned_uncounted, BOUNDS),
	ROW(poisoned_not_its_own, BOUNDS),
	ROW(poisoned_gap, BOUNDS),
	ROW(poisoned_too_few, BOUNDS),
	ROW(size_negative, BOUNDS),
	ROW(size_largest, NONE),
	ROW(mode_directory, BOUNDS),
	ROW(mode_symlink, BOUNDS),
	ROW(mode_none, BOUNDS),
	ROW(mode_high_bits, BOUNDS),
	ROW(mode_all_permissions, NONE),
	ROW(no_file_but_size, BOUNDS),
	ROW(no_file_but_mode, BOUNDS),
	ROW(no_file_but_uid, BOUNDS),
	ROW(no_file_but_gid, BOUNDS),
	ROW(no_file_but_seals, BOUNDS),
	ROW(no_file_but_atime, BOUNDS),
	ROW(no_file_but_mtime, BOUNDS),
	ROW(no_file_but_ctime, BOUNDS),
	ROW(node_data_pages, COUNT),
	ROW(node_meta_pages, COUNT),
	ROW(node_fewer_objects, BOUNDS),
	ROW(node_more_objects, BOUNDS),
	ROW(node_too_many_objects, BOUNDS),
	ROW(node_max_objects, BOUNDS),
	ROW(node_bare, BOUNDS),
	ROW(node_short, BOUNDS),
	ROW(node_reserved_first, BOUNDS),
	ROW(node_reserved_last, BOUNDS),
	ROW(node_needs_feature, FEATURE),
	ROW(node_needs_last_feature, FEATURE),
	ROW(node_is_link, HEADER),
	ROW(name_empty, NAME),
	ROW(name_256, NAME),
	ROW(name_len_max, NAME),
	ROW(name_slash, NAME),
	ROW(name_nul_inside, NAME),
	ROW(name_tail, NAME),
	ROW(name_dots, NAME),
#undef ROW
};

void test_node_damage(void)
{
	struct victim v;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		tap_begin("damage: %s gives %d", rows[i].what, rows[i].want);
		victim_init(&v);
		rows[i].damage(&v);
		EXPECT_EQ(fixture_walk(&v.f, NULL), rows[i].want);
		fixture_done(&v.f);
	}
}

/* Damage that needs two nodes, or a walker that refuses. */
void test_stream_damage(void)
{
	struct pkram_node_totals t;
	struct image_node other;
	struct image_stream s;
	struct pkram_object *o;
	struct victim v;
	__u64 raw;

	tap_begin("damage: a data page of another node");
	victim_init(&v);
	image_node(&other, &v.f.img, "other");
	o = image_object(&other, FILE_FLAGS);
	image_stream(&s, &other);
	raw = pkram_extent_raw(v.link[1], 0) & PKRAM_EXT_PFN_MASK;
	image_extent(&s, pkram_extent_single(raw, 0));
	image_stream_pages(&s, o);
	image_seal(&v.f.img);
	EXPECT_EQ(memory_walk(&v.f.mem, v.f.img.chain, v.f.img.generation, v.f.node.pfn, &t),
		  PKRAM_DAMAGE_NONE);
	EXPECT_EQ(memory_walk(&v.f.mem, v.f.img.chain, v.f.img.generation, other.pfn, &t),
		  PKRAM_DAMAGE_TWICE);
	/* In the other order it is the first node that suffers. */
	memory_forget(&v.f.mem);
	EXPECT_EQ(memory_walk(&v.f.mem, v.f.img.chain, v.f.img.generation, other.pfn, &t),
		  PKRAM_DAMAGE_NONE);
	EXPECT_EQ(memory_walk(&v.f.mem, v.f.img.chain, v.f.img.generation, v.f.node.pfn, &t),
		  PKRAM_DAMAGE_TWICE);

	tap_begin("damage: a link page of another node");
	memory_forget(&v.f.mem);
	o->pages_head = v.o->pages_head;
	image_seal(&v.f.img);
	EXPECT_EQ(memory_walk(&v.f.mem, v.f.img.chain, v.f.img.generation, v.f.node.pfn, &t),
		  PKRAM_DAMAGE_NONE);
	EXPECT_EQ(memory_walk(&v.f.mem, v.f.img.chain, v.f.img.generation, other.pfn, &t),
		  PKRAM_DAMAGE_TWICE);
	fixture_done(&v.f);

	tap_begin("damage: a node page outside of memory");
	victim_init(&v);
	image_seal(&v.f.img);
	EXPECT_EQ(checked_walk(&v.f.mem, &v.f.img, 0, NULL), PKRAM_DAMAGE_RANGE);
	EXPECT_EQ(checked_walk(&v.f.mem, &v.f.img, 1, NULL), PKRAM_DAMAGE_RANGE);
	EXPECT_EQ(checked_walk(&v.f.mem, &v.f.img, ~0ULL, NULL), PKRAM_DAMAGE_RANGE);

	tap_begin("damage: a node page that is another page of the node");
	EXPECT_EQ(checked_walk(&v.f.mem, &v.f.img, v.f.node.pfn + 1, NULL),
		  PKRAM_DAMAGE_HEADER);

	tap_begin("damage: a node of another chain");
	v.f.img.chain++;
	EXPECT_EQ(checked_walk(&v.f.mem, &v.f.img, v.f.node.pfn, NULL), PKRAM_DAMAGE_HEADER);
	fixture_done(&v.f);
}

void test_undo(void)
{
	static const int codes[] = {
		PKRAM_DAMAGE_RANGE, PKRAM_DAMAGE_TWICE, PKRAM_DAMAGE_BUSY,
	};
	struct pkram_node_totals t;
	struct victim v;
	size_t n, all;

	victim_init(&v);
	image_seal(&v.f.img);
	memory_walk(&v.f.mem, v.f.img.chain, v.f.img.generation, v.f.node.pfn, &t);
	all = v.f.mem.nr_log;
	memory_forget(&v.f.mem);

	tap_begin("undo: whatever claim fails, all before it are given back");
	EXPECT(all > 8);
	for (n = 0; n < all; n++) {
		v.f.mem.fail_at = n;
		v.f.mem.fail_with = codes[n % ARRAY_SIZE(codes)];
		EXPECT_EQ(memory_walk(&v.f.mem, v.f.img.chain, v.f.img.generation,
				      v.f.node.pfn, &t), v.f.mem.fail_with);
		EXPECT_EQ(v.f.mem.nr_log, n);
		EXPECT_EQ(memory_unwalk(&v.f.mem, v.f.img.chain, v.f.img.generation,
					v.f.node.pfn, n), 0);
		EXPECT(!memory_any_taken(&v.f.mem));
	}

	tap_begin("undo: a claim that would fail later does not matter");
	v.f.mem.fail_at = all;
	EXPECT_EQ(memory_walk(&v.f.mem, v.f.img.chain, v.f.img.generation, v.f.node.pfn, &t),
		  PKRAM_DAMAGE_NONE);
	EXPECT_EQ(v.f.mem.nr_log, all);

	tap_begin("undo: a node that is good is given back as a whole");
	EXPECT_EQ(memory_unwalk(&v.f.mem, v.f.img.chain, v.f.img.generation, v.f.node.pfn,
				all), 0);
	EXPECT(!memory_any_taken(&v.f.mem));
	EXPECT_EQ(v.f.mem.nr_log, 0);

	tap_begin("undo: a second node that fails leaves the first alone");
	v.f.mem.fail_at = (size_t)-1;
	memory_walk(&v.f.mem, v.f.img.chain, v.f.img.generation, v.f.node.pfn, &t);
	EXPECT_EQ(memory_walk(&v.f.mem, v.f.img.chain, v.f.img.generation, v.f.node.pfn, &t),
		  PKRAM_DAMAGE_TWICE);
	EXPECT_EQ(memory_unwalk(&v.f.mem, v.f.img.chain, v.f.img.generation, v.f.node.pfn,
				v.f.mem.nr_log - all), 0);
	EXPECT_EQ(v.f.mem.nr_log, all);
	EXPECT(memory_any_taken(&v.f.mem));
	fixture_done(&v.f);
}
