// SPDX-License-Identifier: GPL-2.0
/*
 * What the KUnit suites of PKRAM share: the fixture, and nodes.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <linux/xarray.h>

#include "helpers.h"

/* Fixture: what a case must leave behind */

static u64 blocks_set(void)
{
	u64 n = 0, block = 0;

	while ((block = pkram_map_next(pkram.map, pkram_nr_blocks, block, true)) <
	       pkram_nr_blocks) {
		n++;
		block++;
	}
	return n;
}

static void take_snapshot(struct kt_snapshot *s)
{
	guard(mutex)(&pkram.lock);
	s->nr_nodes = pkram.nr_nodes;
	s->data_pages = pkram.data_pages;
	s->meta_pages = pkram.meta_pages;
	s->blocks = blocks_set();
	s->dir_pfn = pkram.sb->dir_pfn;
}

int kt_case_init(struct kunit *test)
{
	struct kt_snapshot *s;

	if (!pkram_enabled())
		kunit_skip(test, "PKRAM is off");
	if (pkram.nr_nodes)
		kunit_skip(test, "the store is not empty");
	s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);
	if (!s || pkram_blocks_init(GFP_KERNEL))
		return -ENOMEM;
	take_snapshot(s);
	test->priv = s;
	return 0;
}

void kt_expect_unchanged(struct kunit *test)
{
	const struct kt_snapshot *before = test->priv;
	struct kt_snapshot now;

	take_snapshot(&now);
	KUNIT_EXPECT_EQ(test, now.nr_nodes, before->nr_nodes);
	KUNIT_EXPECT_EQ(test, now.data_pages, before->data_pages);
	KUNIT_EXPECT_EQ(test, now.meta_pages, before->meta_pages);
	KUNIT_EXPECT_EQ(test, now.blocks, before->blocks);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(now.dir_pfn), le64_to_cpu(before->dir_pfn));
}

void kt_case_exit(struct kunit *test)
{
	if (!test->priv)
		return;
	kt_expect_unchanged(test);
	/* do not let one failure become the failure of all that follow */
	if (pkram.nr_nodes)
		pkram_remove_idle();
}

/* Bans, and no room */

void kt_lift_bans(void *unused)
{
	down_write(&pkram_kexec_sem);
	pkram_bans.nr = 0;
	up_write(&pkram_kexec_sem);
}

void kt_add_ban(struct kunit *test, u64 start, u64 end)
{
	KUNIT_ASSERT_EQ(test, kunit_add_action(test, kt_lift_bans, NULL), 0);
	KUNIT_ASSERT_LT(test, pkram_bans.nr, ARRAY_SIZE(pkram_bans.start));
	down_write(&pkram_kexec_sem);
	pkram_bans.start[pkram_bans.nr] = start;
	pkram_bans.end[pkram_bans.nr] = end;
	pkram_bans.nr++;
	up_write(&pkram_kexec_sem);
}

struct kt_no_room kt_take_room(struct kunit *test)
{
	struct kt_no_room r = { .block = kvcalloc(pkram_nr_blocks, sizeof(u64), GFP_KERNEL) };
	u64 block;

	KUNIT_ASSERT_NOT_NULL(test, r.block);
	for (block = 1; block < pkram_nr_blocks && pkram_blocks_room(); block++) {
		if (pkram_map_test(pkram.map, block))
			continue;
		pkram_blocks_add(block << PKRAM_BLOCK_ORDER, 1);
		r.block[r.nr++] = block;
	}
	KUNIT_EXPECT_FALSE(test, pkram_blocks_room());
	return r;
}

void kt_spare_block(struct kt_no_room *r, u64 block)
{
	u64 i;

	for (i = 0; i < r->nr; i++) {
		if (r->block[i] != block)
			continue;
		pkram_blocks_sub(block << PKRAM_BLOCK_ORDER, 1);
		r->block[i] = r->block[--r->nr];
		return;
	}
}

void kt_spare_some(struct kt_no_room *r, u64 nr)
{
	for (; nr && r->nr; nr--)
		pkram_blocks_sub(r->block[--r->nr] << PKRAM_BLOCK_ORDER, 1);
}

void kt_give_room(struct kt_no_room r)
{
	while (r.nr--)
		pkram_blocks_sub(r.block[r.nr] << PKRAM_BLOCK_ORDER, 1);
	kvfree(r.block);
}

/* Folios */

void kt_put_folio(void *folio)
{
	folio_put(folio);
}

struct folio *kt_new_folio(struct kunit *test, unsigned int order, pgoff_t index)
{
	struct folio *folio;

	do {
		folio = folio_alloc(GFP_KERNEL | __GFP_ZERO, order);
		KUNIT_ASSERT_NOT_NULL(test, folio);
		KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, kt_put_folio, folio), 0);
	} while (pkram_banned(folio_pfn(folio), 1UL << order));
	folio->index = index;
	*(u64 *)folio_address(folio) = index;
	return folio;
}

/* Looking at committed nodes with the next kernel's eyes */

struct claims {
	struct xarray pfns;
};

static int record_claim(void *ctx, enum pkram_claim what, u64 pfn, u32 count, u32 order)
{
	u64 p, end = pfn + ((u64)count << order);
	struct claims *c = ctx;

	for (p = pfn; p < end; p++) {
		struct folio *folio = pfn_folio(p);

		if (pkram_banned(p, 1) || !pkram_map_test(pkram.map, p >> PKRAM_BLOCK_ORDER))
			return PKRAM_DAMAGE_RANGE;
		if (!folio_ref_count(folio) || folio_order(folio) != order ||
		    folio_pfn(folio) != round_down(p, 1UL << order))
			return PKRAM_DAMAGE_BUSY;
		if (xa_insert(&c->pfns, p, xa_mk_value(what), GFP_KERNEL))
			return PKRAM_DAMAGE_TWICE;
	}
	return 0;
}

static int record_claims(void *ctx, const u64 *pfn, u32 nr)
{
	int r = 0;

	for (; nr && !r; nr--)
		r = record_claim(ctx, PKRAM_CLAIM_DATA, *pfn++, 1, 0);
	return r;
}

static const void *map_page(void *ctx, u64 pfn)
{
	return pfn_to_kaddr(pfn);
}

int kt_walk_node(const struct pkram_node *node, struct pkram_node_totals *totals)
{
	struct claims c;
	struct pkram_walker w = {
		.claim = record_claim,
		.claim_pages = record_claims,
		.map = map_page,
		.ctx = &c,
		.chain = le64_to_cpu(pkram.sb->hdr.chain),
		.generation = pkram_generation(),
	};
	int r;

	xa_init(&c.pfns);
	r = pkram_walk_node(&w, pkram_pfn(node->page), totals);
	xa_destroy(&c.pfns);
	return r;
}

void kt_check_node(struct kunit *test, const char *name)
{
	struct pkram_node *node = pkram_node_get(name);
	struct pkram_node_totals t;

	KUNIT_ASSERT_FALSE(test, IS_ERR(node));
	KUNIT_EXPECT_EQ(test, kt_walk_node(node, &t), PKRAM_DAMAGE_NONE);
	KUNIT_EXPECT_MEMEQ(test, &t, &node->totals, sizeof(t));
	KUNIT_EXPECT_EQ(test, le64_to_cpu(*node->slot), pkram_pfn(node->page));
	KUNIT_EXPECT_LE(test, t.data_pages, pkram.data_pages);
	pkram_node_put(node);
}

const struct pkram_link *kt_link_at(__le64 pfn)
{
	return pfn ? pfn_to_kaddr(le64_to_cpu(pfn)) : NULL;
}

/* Whole nodes through the in-kernel interface */

u8 kt_pattern(u64 pos)
{
	return pos * 31 + (pos >> 8) * 7 + (pos >> 16);
}

u8 *kt_new_pattern(struct kunit *test, size_t len)
{
	u8 *buf = kunit_kmalloc(test, len + 1, GFP_KERNEL);
	size_t i;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	for (i = 0; i < len; i++)
		buf[i] = kt_pattern(i);
	return buf;
}

void kt_begin_save(struct kunit *test, struct pkram_stream *ps, const char *name,
		   enum pkram_data_flags flags)
{
	KUNIT_ASSERT_EQ(test, pkram_prepare_save(ps, name, GFP_KERNEL), 0);
	if (flags)
		KUNIT_ASSERT_EQ(test, pkram_prepare_save_obj(ps, flags), 0);
}

void kt_end_save(struct kunit *test, struct pkram_stream *ps, const char *name)
{
	if (ps->obj)
		pkram_finish_save_obj(ps);
	pkram_finish_save(ps);
	kt_check_node(test, name);
}

void kt_begin_load(struct kunit *test, struct pkram_stream *ps, const char *name)
{
	KUNIT_ASSERT_EQ(test, pkram_prepare_load(ps, name), 0);
	KUNIT_ASSERT_EQ(test, pkram_prepare_load_obj(ps), 0);
}

void kt_end_load(struct pkram_stream *ps)
{
	if (ps->obj)
		pkram_finish_load_obj(ps);
	pkram_finish_load(ps);
}

void kt_save_bytes(struct kunit *test, const char *name, size_t len)
{
	u8 *buf = kt_new_pattern(test, len);
	struct pkram_stream ps;

	kt_begin_save(test, &ps, name, PKRAM_DATA_bytes);
	PKRAM_ACCESS(pa, &ps, bytes);
	KUNIT_EXPECT_EQ(test, pkram_write(&pa, buf, len), (ssize_t)len);
	pkram_finish_access(&pa, true);
	kt_end_save(test, &ps, name);
	kunit_kfree(test, buf);
}

void kt_load_and_drop(struct kunit *test, const char *name)
{
	struct pkram_stream ps;

	KUNIT_ASSERT_EQ(test, pkram_prepare_load(&ps, name), 0);
	pkram_finish_load(&ps);
}

void kt_save_pages(struct kunit *test, const char *name, struct page **pages,
		   unsigned int nr)
{
	struct pkram_stream ps;
	unsigned int i;
	int err = 0;

	kt_begin_save(test, &ps, name, PKRAM_DATA_pages);
	PKRAM_ACCESS(pa, &ps, pages);
	for (i = 0; i < nr && !err; i++)
		err = pkram_save_file_page(&pa, pages[i]);
	KUNIT_EXPECT_EQ(test, err, 0);
	pkram_finish_access(&pa, !err);
	kt_end_save(test, &ps, name);
}

void kt_save_large(struct kunit *test, struct folio *large, struct folio *fine)
{
	struct pkram_stream ps;

	memset(folio_address(large), 0x5a, 4 * PAGE_SIZE);
	kt_begin_save(test, &ps, "n", PKRAM_DATA_pages);
	PKRAM_ACCESS(wr, &ps, pages);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&wr, large), 0);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&wr, fine), 0);
	pkram_finish_access(&wr, true);
	kt_end_save(test, &ps, "n");
}

void kt_load_copy(struct kunit *test, struct folio *large, struct folio *fine)
{
	struct pkram_stream ps;
	struct folio *folio;
	unsigned long index;

	KUNIT_EXPECT_EQ(test, folio_ref_count(large), 1);
	KUNIT_EXPECT_EQ(test, folio_ref_count(fine), 2);

	kt_begin_load(test, &ps, "n");
	PKRAM_ACCESS(rd, &ps, pages);
	folio = pkram_load_file_folio(&rd, &index);
	KUNIT_ASSERT_NOT_NULL(test, folio);
	KUNIT_EXPECT_PTR_NE(test, folio, large);
	KUNIT_EXPECT_EQ(test, folio_order(folio), 2);
	KUNIT_EXPECT_EQ(test, index, 4);
	KUNIT_EXPECT_EQ(test, memcmp(folio_address(folio), folio_address(large), 4 * PAGE_SIZE),
			0);
	pkram_finish_access(&rd, true);
	kt_end_load(&ps);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);
	folio_put(folio);
}

/* Nodes of the store */

struct pkram_node *kt_new_node(struct kunit *test, const char *name)
{
	struct pkram_node *node = pkram_node_create(name, GFP_KERNEL);

	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR(node), "%pe", node);
	return node;
}

u64 kt_commit_node(struct kunit *test, const char *name, bool replace)
{
	u64 id = 0;

	KUNIT_ASSERT_EQ(test, pkram_node_commit(kt_new_node(test, name), replace, GFP_KERNEL, &id),
			0);
	kt_check_node(test, name);
	return id;
}

void kt_remove_node(struct kunit *test, const char *name)
{
	u64 id = 0;

	KUNIT_EXPECT_EQ(test, pkram_node_remove(name, NULL, &id), 0);
	KUNIT_EXPECT_NE(test, id, 0);
}

struct pkram_node *kt_pin(struct kunit *test, const char *name)
{
	struct pkram_node *node = pkram_node_get(name);

	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR(node), "%pe", node);
	return node;
}

size_t kt_read_at(const struct pkram_object *obj, u64 pos, void *buf, size_t len)
{
	struct kvec vec = { .iov_base = buf, .iov_len = len };
	struct iov_iter iter;

	iov_iter_kvec(&iter, ITER_DEST, &vec, 1, len);
	return pkram_bytes_read(obj, pos, &iter);
}
