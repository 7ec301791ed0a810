// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for PKRAM.
 *
 * They use the store of the running system, which must be empty, and leave it
 * exactly as they found it: every case ends with a comparison of all counters
 * and of the block map with what they were before.
 *
 * What the code under test wrote is judged by pkram_walk_node(), the checker
 * with which the next kernel would look at it, see check_node().
 */
#include <kunit/test.h>
#include <linux/anon_inodes.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/kexec.h>
#include <linux/kthread.h>
#include <linux/memcontrol.h>
#include <linux/memfd.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pkram.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/swap.h>
#include <linux/uio.h>

#include "../internal.h"
#include "pkram.h"

/* How memory is asked for where -ENOMEM is wanted: no reclaim, no OOM killer. */
#define GFP_FAIL		__GFP_NOWARN

#define PAGES_AND_BYTES		(PKRAM_DATA_pages | PKRAM_DATA_bytes)

/* Fixture: what a case must leave behind */

struct snapshot {
	u64 nr_nodes;
	u64 data_pages;
	u64 meta_pages;
	u64 blocks;
	__le64 dir_pfn;
};

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

static void take_snapshot(struct snapshot *s)
{
	guard(mutex)(&pkram.lock);
	s->nr_nodes = pkram.nr_nodes;
	s->data_pages = pkram.data_pages;
	s->meta_pages = pkram.meta_pages;
	s->blocks = blocks_set();
	s->dir_pfn = pkram.sb->dir_pfn;
}

static int pkram_case_init(struct kunit *test)
{
	struct snapshot *s;

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

static void expect_unchanged(struct kunit *test)
{
	const struct snapshot *before = test->priv;
	struct snapshot now;

	take_snapshot(&now);
	KUNIT_EXPECT_EQ(test, now.nr_nodes, before->nr_nodes);
	KUNIT_EXPECT_EQ(test, now.data_pages, before->data_pages);
	KUNIT_EXPECT_EQ(test, now.meta_pages, before->meta_pages);
	KUNIT_EXPECT_EQ(test, now.blocks, before->blocks);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(now.dir_pfn), le64_to_cpu(before->dir_pfn));
}

static void pkram_case_exit(struct kunit *test)
{
	if (!test->priv)
		return;
	expect_unchanged(test);
	/* do not let one failure become the failure of all that follow */
	if (pkram.nr_nodes)
		pkram_remove_idle();
}

/* Helpers: bans */

static void lift_bans(void *unused)
{
	down_write(&pkram_kexec_sem);
	pkram_bans.nr = 0;
	up_write(&pkram_kexec_sem);
}

/* As if an image had been loaded that goes to these pages, too. */
static void add_ban(struct kunit *test, u64 start, u64 end)
{
	KUNIT_ASSERT_EQ(test, kunit_add_action(test, lift_bans, NULL), 0);
	KUNIT_ASSERT_LT(test, pkram_bans.nr, ARRAY_SIZE(pkram_bans.start));
	down_write(&pkram_kexec_sem);
	pkram_bans.start[pkram_bans.nr] = start;
	pkram_bans.end[pkram_bans.nr] = end;
	pkram_bans.nr++;
	up_write(&pkram_kexec_sem);
}

/* Helpers: folios */

KUNIT_DEFINE_ACTION_WRAPPER(put_folio, folio_put, struct folio *);

/*
 * A folio of the test's own, with its index in its first word. Not one that would
 * be copied because it is below PKRAM_MIN_PFN: those are held on to.
 */
static struct folio *new_folio(struct kunit *test, unsigned int order, pgoff_t index)
{
	struct folio *folio;

	do {
		folio = folio_alloc(GFP_KERNEL | __GFP_ZERO, order);
		KUNIT_ASSERT_NOT_NULL(test, folio);
		KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, put_folio, folio), 0);
	} while (pkram_banned(folio_pfn(folio), 1UL << order));
	folio->index = index;
	*(u64 *)folio_address(folio) = index;
	return folio;
}

static int cmp_pages(const void *a, const void *b)
{
	const struct page * const *x = a, * const *y = b;

	return *x < *y ? -1 : *x > *y;
}

/*
 * @nr base pages that follow each other in memory, each with one reference that
 * is the test's. Asks for more than needed and looks for neighbours.
 */
static struct page **new_pages(struct kunit *test, unsigned int nr)
{
	const unsigned int order = MAX_PAGE_ORDER, size = 1U << order;
	unsigned int want = DIV_ROUND_UP(nr, size), got = 0, run = 0, i, j;
	struct page *block[32], **pages, **ret = NULL;

	while (got < ARRAY_SIZE(block) && (want > 1 || !got)) {
		struct page *page = alloc_pages(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN,
						order);

		if (!page)
			break;
		KUNIT_EXPECT_GE(test, page_to_pfn(page), PKRAM_MIN_PFN);
		block[got++] = page;
	}
	sort(block, got, sizeof(*block), cmp_pages, NULL);
	for (i = 0; i < got; i++) {
		run = i && block[i] == block[i - 1] + size ? run + 1 : 1;
		if (run == want)
			break;
	}
	if (i == got)
		run = 0;

	pages = kunit_kmalloc_array(test, max(nr, 1U), sizeof(*pages), GFP_KERNEL);
	for (j = 0; j < got; j++) {
		struct page *page = block[j];
		unsigned int k, first;

		if (!pages || run != want || j > i || j + want <= i) {
			__free_pages(page, order);
			continue;
		}
		ret = pages;
		first = (j - (i + 1 - want)) * size;
		split_page(page, order);
		for (k = 0; k < size; k++) {
			if (first + k >= nr) {
				__free_page(page + k);
				continue;
			}
			pages[first + k] = page + k;
			/* runs put_page() at once if it fails, which the test notices */
			KUNIT_EXPECT_EQ(test, kunit_add_action_or_reset(test, put_folio,
									page_folio(page + k)),
					0);
		}
	}
	if (!ret)
		kunit_skip(test, "no %u pages in a row", nr);
	return ret;
}

/* Helpers: looking at committed nodes with the next kernel's eyes */

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

static int walk_node(const struct pkram_node *node, struct pkram_node_totals *totals)
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

/* Would the next kernel adopt this node, and find in it what we say it has? */
static void check_node(struct kunit *test, const char *name)
{
	struct pkram_node *node = pkram_node_get(name);
	struct pkram_node_totals t;

	KUNIT_ASSERT_FALSE(test, IS_ERR(node));
	KUNIT_EXPECT_EQ(test, walk_node(node, &t), PKRAM_DAMAGE_NONE);
	KUNIT_EXPECT_MEMEQ(test, &t, &node->totals, sizeof(t));
	KUNIT_EXPECT_EQ(test, le64_to_cpu(*node->slot), pkram_pfn(node->page));
	KUNIT_EXPECT_LE(test, t.data_pages, pkram.data_pages);
	pkram_node_put(node);
}

static const struct pkram_link *link_at(__le64 pfn)
{
	return pfn ? pfn_to_kaddr(le64_to_cpu(pfn)) : NULL;
}

static unsigned int nr_extents(__le64 head)
{
	const struct pkram_link *link;
	unsigned int n = 0;

	for (link = link_at(head); link; link = link_at(link->hdr.next))
		n += le32_to_cpu(link->nr_extents);
	return n;
}

static unsigned int nr_links(__le64 head)
{
	const struct pkram_link *link;
	unsigned int n = 0;

	for (link = link_at(head); link; link = link_at(link->hdr.next))
		n++;
	return n;
}

/* Helpers: whole nodes through the in-kernel interface */

static u8 pattern(u64 pos)
{
	return pos * 31 + (pos >> 8) * 7 + (pos >> 16);
}

static u8 *new_pattern(struct kunit *test, size_t len)
{
	u8 *buf = kunit_kmalloc(test, len + 1, GFP_KERNEL);
	size_t i;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	for (i = 0; i < len; i++)
		buf[i] = pattern(i);
	return buf;
}

static void begin_save(struct kunit *test, struct pkram_stream *ps, const char *name,
		       enum pkram_data_flags flags)
{
	KUNIT_ASSERT_EQ(test, pkram_prepare_save(ps, name, GFP_KERNEL), 0);
	if (flags)
		KUNIT_ASSERT_EQ(test, pkram_prepare_save_obj(ps, flags), 0);
}

static void end_save(struct kunit *test, struct pkram_stream *ps, const char *name)
{
	if (ps->obj)
		pkram_finish_save_obj(ps);
	pkram_finish_save(ps);
	check_node(test, name);
}

static void begin_load(struct kunit *test, struct pkram_stream *ps, const char *name)
{
	KUNIT_ASSERT_EQ(test, pkram_prepare_load(ps, name), 0);
	KUNIT_ASSERT_EQ(test, pkram_prepare_load_obj(ps), 0);
}

static void end_load(struct pkram_stream *ps)
{
	if (ps->obj)
		pkram_finish_load_obj(ps);
	pkram_finish_load(ps);
}

/* A node with one object of @len bytes. */
static void save_bytes(struct kunit *test, const char *name, size_t len)
{
	u8 *buf = new_pattern(test, len);
	struct pkram_stream ps;

	begin_save(test, &ps, name, PKRAM_DATA_bytes);
	PKRAM_ACCESS(pa, &ps, bytes);
	KUNIT_EXPECT_EQ(test, pkram_write(&pa, buf, len), (ssize_t)len);
	pkram_finish_access(&pa, true);
	end_save(test, &ps, name);
	kunit_kfree(test, buf);
}

static void load_and_drop(struct kunit *test, const char *name)
{
	struct pkram_stream ps;

	KUNIT_ASSERT_EQ(test, pkram_prepare_load(&ps, name), 0);
	pkram_finish_load(&ps);
}

/* Save pages with the indexes their folios have, in one object. */
static void save_pages(struct kunit *test, const char *name, struct page **pages,
		       unsigned int nr)
{
	struct pkram_stream ps;
	unsigned int i;
	int err = 0;

	begin_save(test, &ps, name, PKRAM_DATA_pages);
	PKRAM_ACCESS(pa, &ps, pages);
	for (i = 0; i < nr && !err; i++)
		err = pkram_save_file_page(&pa, pages[i]);
	KUNIT_EXPECT_EQ(test, err, 0);
	pkram_finish_access(&pa, !err);
	end_save(test, &ps, name);
}

/* Load them again: the same pages, the same order, no reference lost or left. */
static void load_pages(struct kunit *test, const char *name, struct page **pages,
		       unsigned int nr)
{
	unsigned int i, wrong = 0;
	struct pkram_stream ps;
	unsigned long index;
	struct page *page;

	begin_load(test, &ps, name);
	PKRAM_ACCESS(pa, &ps, pages);
	for (i = 0; (page = pkram_load_file_page(&pa, &index)); i++) {
		if (i >= nr || page != pages[i] || index != page_folio(page)->index ||
		    folio_ref_count(page_folio(page)) != 3)
			wrong++;
		put_page(page);
	}
	KUNIT_EXPECT_EQ(test, i, nr);
	KUNIT_EXPECT_EQ(test, wrong, 0);
	pkram_finish_access(&pa, true);
	end_load(&ps);
	for (i = 0, wrong = 0; i < nr; i++)
		wrong += folio_ref_count(page_folio(pages[i])) != 1;
	KUNIT_EXPECT_EQ(test, wrong, 0);
}

/* Suite pkram-api: every call and each of its errors */

static void api_off(struct kunit *test)
{
	struct pkram_super *sb = pkram.sb;
	struct pkram_stream ps;
	int save, load;

	/* nobody else uses the store while the suites run */
	pkram.sb = NULL;
	save = pkram_prepare_save(&ps, "off", GFP_KERNEL);
	load = pkram_prepare_load(&ps, "off");
	pkram.sb = sb;
	KUNIT_EXPECT_EQ(test, save, -ENODEV);
	KUNIT_EXPECT_EQ(test, load, -ENODEV);
}

static void api_bad_names(struct kunit *test)
{
	static const char * const bad[] = {
		"", ".", "..", "/", "a/b", "/a", "a/", "a\nb", "\x01", "\x1f", "a\x7f",
	};
	char *name = kunit_kzalloc(test, 512, GFP_KERNEL);
	struct pkram_stream ps;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, name);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		KUNIT_EXPECT_EQ_MSG(test, pkram_prepare_save(&ps, bad[i], GFP_KERNEL), -EINVAL,
				    "name %u", i);
		KUNIT_EXPECT_EQ_MSG(test, pkram_prepare_load(&ps, bad[i]), -EINVAL,
				    "name %u", i);
	}
	memset(name, 'x', 256);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save(&ps, name, GFP_KERNEL), -ENAMETOOLONG);
	KUNIT_EXPECT_EQ(test, pkram_prepare_load(&ps, name), -ENAMETOOLONG);
	memset(name, 'x', 511);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save(&ps, name, GFP_KERNEL), -ENAMETOOLONG);
	KUNIT_EXPECT_EQ(test, pkram_prepare_load(&ps, name), -ENAMETOOLONG);
}

static void api_odd_names(struct kunit *test)
{
	static const char * const good[] = {
		"a", "...", ".a", " ", "-", "pkram=", "\"", "\xc3\xa4\xe2\x82\xac", "\xff",
	};
	char *name = kunit_kzalloc(test, PKRAM_NAME_MAX, GFP_KERNEL);
	struct pkram_stream ps;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, name);
	for (i = 0; i < ARRAY_SIZE(good); i++)
		save_bytes(test, good[i], i + 1);
	/* two that differ in the last of 255 bytes only */
	memset(name, 'x', PKRAM_NAME_MAX - 1);
	save_bytes(test, name, 1);
	name[PKRAM_NAME_MAX - 2] = 'y';
	save_bytes(test, name, 2);
	KUNIT_EXPECT_EQ(test, pkram.nr_nodes, ARRAY_SIZE(good) + 2);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save(&ps, name, GFP_KERNEL), -EEXIST);

	load_and_drop(test, name);
	name[PKRAM_NAME_MAX - 2] = 'x';
	load_and_drop(test, name);
	for (i = 0; i < ARRAY_SIZE(good); i++)
		load_and_drop(test, good[i]);
}

/* A name is taken from pkram_prepare_save() on. */
static void api_name_reserved(struct kunit *test)
{
	struct pkram_stream ps, other;

	begin_save(test, &ps, "name", 0);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save(&other, "name", GFP_KERNEL), -EEXIST);
	KUNIT_EXPECT_EQ(test, pkram_prepare_load(&other, "name"), -EBUSY);
	KUNIT_EXPECT_EQ(test, pkram.nr_nodes, 0);
	pkram_discard_save(&ps);
	KUNIT_EXPECT_EQ(test, pkram_prepare_load(&other, "name"), -ENOENT);
	expect_unchanged(test);

	begin_save(test, &ps, "name", 0);
	end_save(test, &ps, "name");
	KUNIT_EXPECT_EQ(test, pkram.nr_nodes, 1);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save(&other, "name", GFP_KERNEL), -EEXIST);
	load_and_drop(test, "name");
	KUNIT_EXPECT_EQ(test, pkram_prepare_load(&other, "name"), -ENOENT);
}

/* A node that is being loaded is gone, and its name is free. */
static void api_load_takes(struct kunit *test)
{
	struct pkram_stream ps, other;
	u8 byte;

	save_bytes(test, "name", 1);
	begin_load(test, &ps, "name");
	KUNIT_EXPECT_EQ(test, pkram.nr_nodes, 0);
	KUNIT_EXPECT_EQ(test, pkram_prepare_load(&other, "name"), -ENOENT);
	save_bytes(test, "name", 2);
	PKRAM_ACCESS(pa, &ps, bytes);
	KUNIT_EXPECT_EQ(test, pkram_read(&pa, &byte, 1), 1);
	KUNIT_EXPECT_EQ(test, pkram_read(&pa, &byte, 1), 0);
	pkram_finish_access(&pa, true);
	end_load(&ps);
	KUNIT_EXPECT_EQ(test, pkram.nr_nodes, 1);
	load_and_drop(test, "name");
}

static void api_load_busy(struct kunit *test)
{
	struct pkram_node *node;
	struct pkram_stream ps;

	save_bytes(test, "busy", 1);
	node = pkram_node_get("busy");
	KUNIT_ASSERT_FALSE(test, IS_ERR(node));
	KUNIT_EXPECT_EQ(test, pkram_prepare_load(&ps, "busy"), -EBUSY);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save(&ps, "busy", GFP_KERNEL), -EEXIST);
	pkram_node_put(node);
	load_and_drop(test, "busy");
}

static void api_object_errors(struct kunit *test)
{
	struct pkram_stream ps;

	begin_save(test, &ps, "n", 0);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save_obj(&ps, PKRAM_DATA_none), -EINVAL);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save_obj(&ps, 4), -EINVAL);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save_obj(&ps, 1 | 8), -EINVAL);
	KUNIT_EXPECT_EQ(test, pkram_prepare_load_obj(&ps), -EINVAL);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save_obj(&ps, PKRAM_DATA_pages), 0);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save_obj(&ps, PKRAM_DATA_pages), -EINVAL);
	end_save(test, &ps, "n");

	begin_load(test, &ps, "n");
	KUNIT_EXPECT_EQ(test, pkram_prepare_load_obj(&ps), -EINVAL);
	pkram_finish_load_obj(&ps);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save_obj(&ps, PKRAM_DATA_pages), -EINVAL);
	KUNIT_EXPECT_EQ(test, pkram_prepare_load_obj(&ps), -ENODATA);
	KUNIT_EXPECT_EQ(test, pkram_prepare_load_obj(&ps), -ENODATA);
	end_load(&ps);
}

static void api_object_order(struct kunit *test)
{
	struct pkram_stream ps;
	u32 i, value;

	begin_save(test, &ps, "n", 0);
	for (i = 0; i < 100; i++) {
		KUNIT_ASSERT_EQ(test, pkram_prepare_save_obj(&ps, PKRAM_DATA_bytes), 0);
		PKRAM_ACCESS(pa, &ps, bytes);
		KUNIT_EXPECT_EQ(test, pkram_write(&pa, &i, sizeof(i)), sizeof(i));
		pkram_finish_access(&pa, true);
		pkram_finish_save_obj(&ps);
	}
	end_save(test, &ps, "n");
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 100);

	KUNIT_ASSERT_EQ(test, pkram_prepare_load(&ps, "n"), 0);
	for (i = 0; !pkram_prepare_load_obj(&ps); i++) {
		PKRAM_ACCESS(pa, &ps, bytes);
		KUNIT_EXPECT_EQ(test, pkram_read(&pa, &value, sizeof(value)), sizeof(value));
		KUNIT_EXPECT_EQ(test, value, i);
		pkram_finish_access(&pa, true);
		pkram_finish_load_obj(&ps);
	}
	KUNIT_EXPECT_EQ(test, i, 100);
	end_load(&ps);
}

static void api_empty(struct kunit *test)
{
	struct pkram_stream ps;
	unsigned long index;
	u8 byte;

	begin_save(test, &ps, "nothing", 0);
	end_save(test, &ps, "nothing");
	KUNIT_ASSERT_EQ(test, pkram_prepare_load(&ps, "nothing"), 0);
	KUNIT_EXPECT_EQ(test, pkram_prepare_load_obj(&ps), -ENODATA);
	pkram_finish_load(&ps);

	/* streams that are there and empty */
	begin_save(test, &ps, "empty", PAGES_AND_BYTES);
	PKRAM_ACCESS(wr, &ps, bytes);
	KUNIT_EXPECT_EQ(test, pkram_write(&wr, &byte, 0), 0);
	pkram_finish_access(&wr, true);
	end_save(test, &ps, "empty");
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 0);
	begin_load(test, &ps, "empty");
	PKRAM_ACCESS(pages, &ps, pages);
	PKRAM_ACCESS(bytes, &ps, bytes);
	KUNIT_EXPECT_NULL(test, pkram_load_file_folio(&pages, &index));
	KUNIT_EXPECT_NULL(test, pkram_load_file_page(&pages, NULL));
	KUNIT_EXPECT_EQ(test, pkram_read(&bytes, &byte, 1), 0);
	pkram_finish_access(&bytes, true);
	pkram_finish_access(&pages, true);
	end_load(&ps);
}

static void api_access_errors(struct kunit *test)
{
	struct folio *folio = new_folio(test, 0, 0);
	struct pkram_stream ps;
	u8 byte = 0;

	begin_save(test, &ps, "n", PKRAM_DATA_pages);
	PKRAM_ACCESS(pages, &ps, pages);
	PKRAM_ACCESS(bytes, &ps, bytes);
	/* the object has no bytes */
	KUNIT_EXPECT_EQ(test, pkram_write(&bytes, &byte, 1), -EINVAL);
	/* not that kind of access, or of stream */
	KUNIT_EXPECT_EQ(test, pkram_write(&pages, &byte, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&bytes, folio), -EINVAL);
	KUNIT_EXPECT_NULL(test, pkram_load_file_folio(&pages, NULL));
	KUNIT_EXPECT_EQ(test, pkram_read(&bytes, &byte, 1), 0);
	pkram_finish_save_obj(&ps);
	/* no object */
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pages, folio), -EINVAL);
	KUNIT_ASSERT_EQ(test, pkram_prepare_save_obj(&ps, PKRAM_DATA_bytes), 0);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pages, folio), -EINVAL);
	KUNIT_EXPECT_EQ(test, pkram_write(&bytes, &byte, (size_t)MAX_RW_COUNT + 1), -EINVAL);
	pkram_finish_access(&pages, true);
	pkram_finish_access(&bytes, true);
	end_save(test, &ps, "n");
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 0);
	load_and_drop(test, "n");
}

static void api_access_errors_loading(struct kunit *test)
{
	struct folio *folio = new_folio(test, 0, 0);
	struct pkram_stream ps;
	u8 byte = 0;

	save_bytes(test, "n", 1);
	begin_load(test, &ps, "n");
	PKRAM_ACCESS(pages, &ps, pages);
	PKRAM_ACCESS(bytes, &ps, bytes);
	KUNIT_EXPECT_EQ(test, pkram_write(&bytes, &byte, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pages, folio), -EINVAL);
	KUNIT_EXPECT_NULL(test, pkram_load_file_folio(&pages, NULL));
	KUNIT_EXPECT_NULL(test, pkram_load_file_folio(&bytes, NULL));
	KUNIT_EXPECT_EQ(test, pkram_read(&pages, &byte, 1), 0);
	pkram_finish_access(&pages, true);
	pkram_finish_access(&bytes, true);
	pkram_finish_load_obj(&ps);
	KUNIT_EXPECT_EQ(test, pkram_read(&bytes, &byte, 1), 0);
	end_load(&ps);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);
}

/* A stream is written in one go, unless the attempt is taken back. */
static void api_second_access(struct kunit *test)
{
	struct folio *folio = new_folio(test, 0, 7);
	struct pkram_stream ps;
	u8 byte = 1;

	begin_save(test, &ps, "n", PAGES_AND_BYTES);
	PKRAM_ACCESS(bytes, &ps, bytes);
	PKRAM_ACCESS(pages, &ps, pages);
	KUNIT_EXPECT_EQ(test, pkram_write(&bytes, &byte, 1), 1);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pages, folio), 0);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 2);
	pkram_finish_access(&bytes, false);
	pkram_finish_access(&pages, false);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);

	KUNIT_EXPECT_EQ(test, pkram_write(&bytes, &byte, 1), 1);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pages, folio), 0);
	pkram_finish_access(&bytes, true);
	pkram_finish_access(&pages, true);
	KUNIT_EXPECT_EQ(test, pkram_write(&bytes, &byte, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pages, folio), -EINVAL);
	end_save(test, &ps, "n");
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 2);
	load_and_drop(test, "n");
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);
}

/* What was saved through an access that failed is not in the node. */
static void api_failed_access(struct kunit *test)
{
	struct folio *folio = new_folio(test, 2, 4);
	u8 *buf = new_pattern(test, 10000);
	struct pkram_stream ps;

	begin_save(test, &ps, "n", PAGES_AND_BYTES);
	PKRAM_ACCESS(bytes, &ps, bytes);
	PKRAM_ACCESS(pages, &ps, pages);
	KUNIT_EXPECT_EQ(test, pkram_write(&bytes, buf, 10000), 10000);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pages, folio), 0);
	pkram_finish_access(&pages, false);
	pkram_finish_access(&bytes, false);
	end_save(test, &ps, "n");
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 0);
	load_and_drop(test, "n");
}

static void api_unused_access(struct kunit *test)
{
	struct pkram_stream ps;

	begin_save(test, &ps, "n", PKRAM_DATA_pages);
	PKRAM_ACCESS(wr, &ps, pages);
	pkram_finish_access(&wr, true);
	pkram_finish_access(&wr, false);
	end_save(test, &ps, "n");
	begin_load(test, &ps, "n");
	PKRAM_ACCESS(rd, &ps, pages);
	pkram_finish_access(&rd, true);
	pkram_finish_access(&rd, false);
	end_load(&ps);
}

/* Pages and bytes of an object, by turns, in both directions. */
static void api_alternate(struct kunit *test)
{
	struct pkram_stream ps;
	struct folio *folio;
	unsigned long index;
	u32 i, value;

	begin_save(test, &ps, "n", PAGES_AND_BYTES);
	PKRAM_ACCESS(wp, &ps, pages);
	PKRAM_ACCESS(wb, &ps, bytes);
	for (i = 0; i < 50; i++) {
		KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&wp, new_folio(test, 0, i * 3)), 0);
		value = i * 3;
		KUNIT_EXPECT_EQ(test, pkram_write(&wb, &value, sizeof(value)), sizeof(value));
	}
	pkram_finish_access(&wp, true);
	pkram_finish_access(&wb, true);
	end_save(test, &ps, "n");

	begin_load(test, &ps, "n");
	PKRAM_ACCESS(rb, &ps, bytes);
	PKRAM_ACCESS(rp, &ps, pages);
	for (i = 0; pkram_read(&rb, &value, sizeof(value)) == sizeof(value); i++) {
		folio = pkram_load_file_folio(&rp, &index);
		KUNIT_ASSERT_NOT_NULL(test, folio);
		KUNIT_EXPECT_EQ(test, value, i * 3);
		KUNIT_EXPECT_EQ(test, index, value);
		KUNIT_EXPECT_EQ(test, *(u64 *)folio_address(folio), value);
		folio_put(folio);
	}
	KUNIT_EXPECT_EQ(test, i, 50);
	KUNIT_EXPECT_NULL(test, pkram_load_file_folio(&rp, &index));
	pkram_finish_access(&rp, true);
	pkram_finish_access(&rb, true);
	end_load(&ps);
}

/* A node given up leaves no page, no reference and no bit behind. */
static void api_discard(struct kunit *test)
{
	struct folio *folio = new_folio(test, 3, 8);
	u8 *buf = new_pattern(test, 20000);
	struct pkram_stream ps;
	unsigned int i;

	begin_save(test, &ps, "n", 0);
	for (i = 0; i < 100; i++) {
		KUNIT_ASSERT_EQ(test, pkram_prepare_save_obj(&ps, PAGES_AND_BYTES), 0);
		PKRAM_ACCESS(pages, &ps, pages);
		PKRAM_ACCESS(bytes, &ps, bytes);
		if (!i)
			KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pages, folio), 0);
		KUNIT_EXPECT_EQ(test, pkram_write(&bytes, buf, 20000), 20000);
		pkram_finish_access(&pages, true);
		pkram_finish_access(&bytes, true);
		/* the last object stays open */
		if (i < 99)
			pkram_finish_save_obj(&ps);
	}
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 2);
	pkram_discard_save(&ps);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);
	expect_unchanged(test);
}

static void api_references(struct kunit *test)
{
	struct folio *folio = new_folio(test, 1, 2), *loaded;
	struct pkram_stream ps;
	unsigned long index;

	begin_save(test, &ps, "n", PKRAM_DATA_pages);
	PKRAM_ACCESS(wr, &ps, pages);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&wr, folio), 0);
	pkram_finish_access(&wr, true);
	end_save(test, &ps, "n");
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 2);

	begin_load(test, &ps, "n");
	PKRAM_ACCESS(rd, &ps, pages);
	loaded = pkram_load_file_folio(&rd, &index);
	KUNIT_EXPECT_PTR_EQ(test, loaded, folio);
	KUNIT_EXPECT_EQ(test, index, 2);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 3);
	pkram_finish_access(&rd, true);
	pkram_finish_load_obj(&ps);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 2);
	end_load(&ps);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 2);
	folio_put(loaded);
}

/* What is not loaded is freed, whether its object was looked at or not. */
static void api_partial_load(struct kunit *test)
{
	struct pkram_stream ps;
	struct folio *f[3];
	unsigned int i;

	begin_save(test, &ps, "n", 0);
	for (i = 0; i < ARRAY_SIZE(f); i++) {
		f[i] = new_folio(test, 0, i);
		KUNIT_ASSERT_EQ(test, pkram_prepare_save_obj(&ps, PKRAM_DATA_pages), 0);
		PKRAM_ACCESS(pa, &ps, pages);
		KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pa, f[i]), 0);
		pkram_finish_access(&pa, true);
		pkram_finish_save_obj(&ps);
	}
	end_save(test, &ps, "n");
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 3);

	begin_load(test, &ps, "n");
	PKRAM_ACCESS(pa, &ps, pages);
	KUNIT_EXPECT_PTR_EQ(test, pkram_load_file_page(&pa, NULL), folio_page(f[0], 0));
	pkram_finish_access(&pa, true);
	pkram_finish_load_obj(&ps);
	KUNIT_EXPECT_EQ(test, pkram_prepare_load_obj(&ps), 0);
	end_load(&ps);
	KUNIT_EXPECT_EQ(test, folio_ref_count(f[0]), 2);
	KUNIT_EXPECT_EQ(test, folio_ref_count(f[1]), 1);
	KUNIT_EXPECT_EQ(test, folio_ref_count(f[2]), 1);
	folio_put(f[0]);
}

static void api_save_page(struct kunit *test)
{
	struct folio *folio = new_folio(test, 2, 4);
	struct pkram_stream ps;
	struct page *page;

	begin_save(test, &ps, "n", PKRAM_DATA_pages);
	PKRAM_ACCESS(wr, &ps, pages);
	KUNIT_EXPECT_EQ(test, pkram_save_file_page(&wr, folio_page(folio, 1)), -EINVAL);
	KUNIT_EXPECT_EQ(test, pkram_save_file_page(&wr, folio_page(folio, 0)), 0);
	pkram_finish_access(&wr, true);
	end_save(test, &ps, "n");
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 4);

	begin_load(test, &ps, "n");
	PKRAM_ACCESS(rd, &ps, pages);
	page = pkram_load_file_page(&rd, NULL);
	KUNIT_EXPECT_PTR_EQ(test, page, folio_page(folio, 0));
	KUNIT_EXPECT_NULL(test, pkram_load_file_page(&rd, NULL));
	if (page)
		put_page(page);
	pkram_finish_access(&rd, true);
	end_load(&ps);
}

static void api_bad_index(struct kunit *test)
{
	struct folio *small = new_folio(test, 0, 10), *large = new_folio(test, 2, 0);
	struct pkram_stream ps;

	begin_save(test, &ps, "n", PKRAM_DATA_pages);
	PKRAM_ACCESS(pa, &ps, pages);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pa, small), 0);
	/* twice, behind, across, and not where a folio of that order can be */
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pa, small), -EINVAL);
	small->index = 9;
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pa, small), -EINVAL);
	large->index = 8;
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pa, large), -EINVAL);
	large->index = 13;
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pa, large), -EINVAL);
	large->index = 12;
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pa, large), 0);
	small->index = 15;
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pa, small), -EINVAL);
	KUNIT_EXPECT_EQ(test, folio_ref_count(small), 2);
	KUNIT_EXPECT_EQ(test, folio_ref_count(large), 2);
	pkram_finish_access(&pa, true);
	end_save(test, &ps, "n");
	load_and_drop(test, "n");
}

static void api_huge_index(struct kunit *test)
{
	static const unsigned long bad[] = {
		PKRAM_MAX_INDEX, PKRAM_MAX_INDEX + 1, 1UL << 56, ULONG_MAX,
	};
	struct folio *folio = new_folio(test, 0, 0);
	struct pkram_stream ps;
	unsigned int i;

	begin_save(test, &ps, "n", PKRAM_DATA_pages);
	PKRAM_ACCESS(pa, &ps, pages);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		folio->index = bad[i];
		KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pa, folio), -EFBIG);
	}
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);
	pkram_finish_access(&pa, false);
	pkram_discard_save(&ps);
}

static void api_poisoned(struct kunit *test)
{
	struct folio *folio = new_folio(test, 0, 0);
	struct pkram_stream ps;

	if (!IS_ENABLED(CONFIG_MEMORY_FAILURE))
		kunit_skip(test, "needs CONFIG_MEMORY_FAILURE");
	begin_save(test, &ps, "n", PKRAM_DATA_pages);
	PKRAM_ACCESS(pa, &ps, pages);
	SetPageHWPoison(folio_page(folio, 0));
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pa, folio), -EHWPOISON);
	ClearPageHWPoison(folio_page(folio, 0));
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pa, folio), 0);
	pkram_finish_access(&pa, false);
	pkram_discard_save(&ps);
}

/*
 * No memory: all of it is banned, so PKRAM may use none of what the allocator
 * offers, and gives it back. That takes long where there is a lot.
 */
static void skip_if_large(struct kunit *test)
{
	if (totalram_pages() > SZ_4G >> PAGE_SHIFT)
		kunit_skip(test, "more than 4 GiB of memory");
}

static void api_no_memory(struct kunit *test)
{
	struct pkram_stream ps;

	skip_if_large(test);
	add_ban(test, 0, U64_MAX);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save(&ps, "n", GFP_FAIL), -ENOMEM);
	expect_unchanged(test);
	lift_bans(NULL);
	KUNIT_ASSERT_EQ(test, pkram_prepare_save(&ps, "n", GFP_FAIL), 0);
	pkram_discard_save(&ps);
}

static void api_no_memory_object(struct kunit *test)
{
	struct pkram_stream ps;
	unsigned int i;

	skip_if_large(test);
	KUNIT_ASSERT_EQ(test, pkram_prepare_save(&ps, "n", GFP_FAIL), 0);
	for (i = 0; i < PKRAM_NODE_OBJECTS; i++) {
		KUNIT_ASSERT_EQ(test, pkram_prepare_save_obj(&ps, PKRAM_DATA_bytes), 0);
		pkram_finish_save_obj(&ps);
	}
	add_ban(test, 0, U64_MAX);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save_obj(&ps, PKRAM_DATA_bytes), -ENOMEM);
	lift_bans(NULL);
	KUNIT_EXPECT_EQ(test, pkram_node_nr_objects(ps.node), PKRAM_NODE_OBJECTS);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save_obj(&ps, PKRAM_DATA_bytes), 0);
	end_save(test, &ps, "n");
	load_and_drop(test, "n");
}

static void api_no_memory_stream(struct kunit *test)
{
	struct folio *folio = new_folio(test, 0, 5), *next = new_folio(test, 0, 6);
	struct pkram_stream ps;
	u8 byte = 0;

	skip_if_large(test);
	KUNIT_ASSERT_EQ(test, pkram_prepare_save(&ps, "n", GFP_FAIL), 0);
	KUNIT_ASSERT_EQ(test, pkram_prepare_save_obj(&ps, PAGES_AND_BYTES), 0);
	PKRAM_ACCESS(pages, &ps, pages);
	PKRAM_ACCESS(bytes, &ps, bytes);
	add_ban(test, 0, U64_MAX);
	KUNIT_EXPECT_EQ(test, pkram_write(&bytes, &byte, 1), -ENOMEM);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pages, folio), -ENOMEM);
	lift_bans(NULL);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pages, folio), 0);
	/* there is a link page now, but none to copy to */
	add_ban(test, 0, U64_MAX);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pages, next), -ENOMEM);
	lift_bans(NULL);
	KUNIT_EXPECT_EQ(test, folio_ref_count(next), 1);
	pkram_finish_access(&pages, false);
	pkram_finish_access(&bytes, false);
	pkram_discard_save(&ps);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);
}

/**
 * struct no_room - blocks that were made to look preserved
 * @nr:    how many
 * @block: which
 */
struct no_room {
	u64 nr;
	u64 *block;
};

/* Touch blocks until the next kernel could not boot any more. */
static struct no_room take_room(struct kunit *test)
{
	struct no_room r = { .block = kvcalloc(pkram_nr_blocks, sizeof(u64), GFP_KERNEL) };
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

static void give_room(struct no_room r)
{
	while (r.nr--)
		pkram_blocks_sub(r.block[r.nr] << PKRAM_BLOCK_ORDER, 1);
	kvfree(r.block);
}

static void api_no_room(struct kunit *test)
{
	struct folio *folio = new_folio(test, 0, 5);
	struct pkram_stream ps;
	struct no_room room;
	u8 byte = 0;

	begin_save(test, &ps, "n", PAGES_AND_BYTES);
	PKRAM_ACCESS(pages, &ps, pages);
	PKRAM_ACCESS(bytes, &ps, bytes);
	KUNIT_EXPECT_EQ(test, pkram_write(&bytes, &byte, 1), 1);
	room = take_room(test);
	KUNIT_EXPECT_EQ(test, pkram_write(&bytes, &byte, 1), -ENOSPC);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pages, folio), -ENOSPC);
	give_room(room);
	KUNIT_EXPECT_TRUE(test, pkram_blocks_room());
	pkram_finish_access(&pages, false);
	pkram_finish_access(&bytes, false);
	pkram_discard_save(&ps);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);
}

static struct kunit_case pkram_api_cases[] = {
	KUNIT_CASE(api_off),
	KUNIT_CASE(api_bad_names),
	KUNIT_CASE(api_odd_names),
	KUNIT_CASE(api_name_reserved),
	KUNIT_CASE(api_load_takes),
	KUNIT_CASE(api_load_busy),
	KUNIT_CASE(api_object_errors),
	KUNIT_CASE(api_object_order),
	KUNIT_CASE(api_empty),
	KUNIT_CASE(api_access_errors),
	KUNIT_CASE(api_access_errors_loading),
	KUNIT_CASE(api_second_access),
	KUNIT_CASE(api_failed_access),
	KUNIT_CASE(api_unused_access),
	KUNIT_CASE(api_alternate),
	KUNIT_CASE(api_discard),
	KUNIT_CASE(api_references),
	KUNIT_CASE(api_partial_load),
	KUNIT_CASE(api_save_page),
	KUNIT_CASE(api_bad_index),
	KUNIT_CASE(api_huge_index),
	KUNIT_CASE(api_poisoned),
	KUNIT_CASE(api_no_memory),
	KUNIT_CASE(api_no_memory_object),
	KUNIT_CASE(api_no_memory_stream),
	KUNIT_CASE(api_no_room),
	{}
};

static struct kunit_suite pkram_api_suite = {
	.name = "pkram-api",
	.init = pkram_case_init,
	.exit = pkram_case_exit,
	.test_cases = pkram_api_cases,
};

/* Suite pkram-stream: what the writer writes and the reader reads */

static void stream_byte_sizes(struct kunit *test)
{
	static const size_t sizes[] = {
		1, 2, 4095, 4096, 4097, 8191, 8192, 8193, 3 * 4096 + 5, 300 * 4096 + 1,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		u8 *want = new_pattern(test, sizes[i]);
		u8 *got = kunit_kzalloc(test, sizes[i] + 1, GFP_KERNEL);
		struct pkram_stream ps;

		KUNIT_ASSERT_NOT_NULL(test, got);
		save_bytes(test, "n", sizes[i]);
		KUNIT_EXPECT_EQ(test, pkram.data_pages, DIV_ROUND_UP(sizes[i], PAGE_SIZE));
		begin_load(test, &ps, "n");
		PKRAM_ACCESS(pa, &ps, bytes);
		KUNIT_EXPECT_EQ(test, pkram_read(&pa, got, sizes[i] + 1), sizes[i]);
		KUNIT_EXPECT_EQ(test, memcmp(got, want, sizes[i]), 0);
		KUNIT_EXPECT_EQ(test, pkram_read(&pa, got, 1), 0);
		pkram_finish_access(&pa, true);
		end_load(&ps);
		kunit_kfree(test, got);
		kunit_kfree(test, want);
	}
}

/* Pieces in which it is written and pieces in which it is read do not matter. */
static void stream_byte_pieces(struct kunit *test)
{
	static const size_t pieces[] = { 1, 7, 100, 4095, 4096, 5000, 3, 12289 };
	const size_t len = 123456;
	u8 *want = new_pattern(test, len), *got = kunit_kzalloc(test, len, GFP_KERNEL);
	unsigned int i, wrong = 0;
	struct pkram_stream ps;
	size_t pos, n;

	KUNIT_ASSERT_NOT_NULL(test, got);
	begin_save(test, &ps, "n", PKRAM_DATA_bytes);
	PKRAM_ACCESS(wr, &ps, bytes);
	for (pos = 0, i = 0; pos < len; pos += n, i++) {
		n = min(pieces[i % ARRAY_SIZE(pieces)], len - pos);
		wrong += pkram_write(&wr, want + pos, n) != n;
	}
	pkram_finish_access(&wr, true);
	end_save(test, &ps, "n");

	begin_load(test, &ps, "n");
	PKRAM_ACCESS(rd, &ps, bytes);
	for (pos = 0, i = 3; pos < len; pos += n, i += 3) {
		n = min(pieces[i % ARRAY_SIZE(pieces)], len - pos);
		wrong += pkram_read(&rd, got + pos, n) != n;
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);
	KUNIT_EXPECT_EQ(test, memcmp(got, want, len), 0);
	KUNIT_EXPECT_EQ(test, pkram_read(&rd, got, len), 0);
	pkram_finish_access(&rd, true);
	end_load(&ps);
}

/* Nothing of what was in memory before is handed to the next kernel. */
static void stream_byte_tail(struct kunit *test)
{
	struct pkram_node *node;
	struct pkram_object *obj;
	struct pkram_reader r;
	unsigned int order;
	struct page *page;
	unsigned int i;
	u64 index;

	/* what is freed last is what is allocated first */
	for (i = 0; i < 4; i++) {
		page = alloc_page(GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, page);
		memset(page_address(page), 0xaa, PAGE_SIZE);
		__free_page(page);
	}
	save_bytes(test, "n", PAGE_SIZE + 10);
	node = pkram_node_get("n");
	KUNIT_ASSERT_FALSE(test, IS_ERR(node));
	obj = pkram_node_object(node, 0);
	pkram_reader_init(&r, obj->bytes_head);
	KUNIT_EXPECT_NOT_NULL(test, pkram_reader_next(&r, &index, &order));
	page = pkram_reader_next(&r, &index, &order);
	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_EXPECT_EQ(test, index, 1);
	KUNIT_EXPECT_EQ(test, order, 0);
	KUNIT_EXPECT_NULL(test, memchr_inv(page_address(page) + 10, 0, PAGE_SIZE - 10));
	pkram_node_put(node);
	load_and_drop(test, "n");
}

static size_t read_at(const struct pkram_object *obj, u64 pos, void *buf, size_t len)
{
	struct kvec vec = { .iov_base = buf, .iov_len = len };
	struct iov_iter iter;

	iov_iter_kvec(&iter, ITER_DEST, &vec, 1, len);
	return pkram_bytes_read(obj, pos, &iter);
}

static void stream_byte_positions(struct kunit *test)
{
	static const u64 pos[] = {
		0, 1, 4095, 4096, 4097, 99999, 100000 - 1, 100000, 100001, 1ULL << 40, U64_MAX,
	};
	u8 *want = new_pattern(test, 100000), *got = kunit_kzalloc(test, 8192, GFP_KERNEL);
	const struct pkram_object *obj;
	struct pkram_node *node;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, got);
	save_bytes(test, "n", 100000);
	node = pkram_node_get("n");
	KUNIT_ASSERT_FALSE(test, IS_ERR(node));
	obj = pkram_node_object(node, 0);
	for (i = 0; i < ARRAY_SIZE(pos); i++) {
		size_t n = pos[i] < 100000 ? min(8192ULL, 100000 - pos[i]) : 0;

		KUNIT_EXPECT_EQ_MSG(test, read_at(obj, pos[i], got, 8192), n, "at %llu", pos[i]);
		if (n)
			KUNIT_EXPECT_EQ(test, memcmp(got, want + pos[i], n), 0);
	}
	KUNIT_EXPECT_EQ(test, read_at(obj, 5, got, 0), 0);
	pkram_node_put(node);
	load_and_drop(test, "n");
}

/* Folios of each order, one after the other, stay what they are. */
static void stream_orders(struct kunit *test)
{
	unsigned int order, n = 0;
	struct page *pages[10];
	u64 index = 0, sum = 0;

	for (order = 0; order < ARRAY_SIZE(pages); order++) {
		index = round_up(index, 1UL << order);
		pages[n++] = folio_page(new_folio(test, order, index), 0);
		index += 1UL << order;
		sum += 1UL << order;
	}
	save_pages(test, "n", pages, n);
	KUNIT_EXPECT_EQ(test, pkram.data_pages, sum);
	load_pages(test, "n", pages, n);
}

/* Number of extents and links of the only stream of a node. */
static void stream_size(struct kunit *test, const char *name, unsigned int *extents,
			unsigned int *links)
{
	struct pkram_node *node = pkram_node_get(name);
	const struct pkram_object *obj;

	KUNIT_ASSERT_FALSE(test, IS_ERR(node));
	obj = pkram_node_object(node, 0);
	*extents = nr_extents(obj->pages_head);
	*links = nr_links(obj->pages_head);
	pkram_node_put(node);
}

static void expect_size(struct kunit *test, const char *name, unsigned int extents,
			unsigned int links)
{
	unsigned int e, l;

	stream_size(test, name, &e, &l);
	KUNIT_EXPECT_EQ(test, e, extents);
	KUNIT_EXPECT_EQ(test, l, links);
}

/* Neighbours in the file and in memory make one extent. */
static void stream_merge(struct kunit *test)
{
	struct page **pages = new_pages(test, 600);
	unsigned int i;

	for (i = 0; i < 600; i++)
		page_folio(pages[i])->index = 100 + i;
	save_pages(test, "n", pages, 600);
	/* what is left out before the first page costs nothing */
	expect_size(test, "n", 1, 1);
	load_pages(test, "n", pages, 600);

	/* in the file only, since every other page of memory is left out */
	for (i = 0; i < 300; i++) {
		page_folio(pages[2 * i])->index = i;
		swap(pages[i], pages[2 * i]);
	}
	save_pages(test, "n", pages, 300);
	expect_size(test, "n", 300, 1);
	load_pages(test, "n", pages, 300);
}

/* In memory only: a gap in the file between any two of them. */
static void stream_merge_not(struct kunit *test)
{
	struct page **pages = new_pages(test, 500);
	unsigned int i;

	for (i = 0; i < 500; i++)
		page_folio(pages[i])->index = 2 * i;
	save_pages(test, "n", pages, 500);
	expect_size(test, "n", 500, 1);
	load_pages(test, "n", pages, 500);
}

/* Large folios that follow each other make one extent, too, but not of two orders. */
static void stream_merge_orders(struct kunit *test)
{
	struct folio *f[64], *a, *b;
	struct pkram_stream ps;
	unsigned int i, n = 0;

	for (i = 0; i < ARRAY_SIZE(f); i++)
		f[i] = new_folio(test, 3, 0);
	/* find two neighbours among them */
	for (i = 0; i < ARRAY_SIZE(f) * ARRAY_SIZE(f) && !n; i++) {
		a = f[i / ARRAY_SIZE(f)];
		b = f[i % ARRAY_SIZE(f)];
		n = folio_pfn(a) + 8 == folio_pfn(b);
	}
	if (!n)
		kunit_skip(test, "no neighbours");
	a->index = 0;
	b->index = 8;
	begin_save(test, &ps, "n", PKRAM_DATA_pages);
	PKRAM_ACCESS(pa, &ps, pages);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pa, a), 0);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pa, b), 0);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pa, new_folio(test, 0, 16)), 0);
	pkram_finish_access(&pa, true);
	end_save(test, &ps, "n");
	expect_size(test, "n", 2, 1);
	load_and_drop(test, "n");
}

/* A run holds 2048 folios at most. */
static void stream_longest_run(struct kunit *test)
{
	const unsigned int nr = PKRAM_EXT_MAX_COUNT + 1;
	struct page **pages = new_pages(test, nr);
	unsigned int i;

	for (i = 0; i < nr; i++)
		page_folio(pages[i])->index = i;
	save_pages(test, "n", pages, nr - 1);
	expect_size(test, "n", 1, 1);
	load_pages(test, "n", pages, nr - 1);
	save_pages(test, "n", pages, nr);
	expect_size(test, "n", 2, 1);
	load_pages(test, "n", pages, nr);
}

static void stream_gaps(struct kunit *test)
{
	/* the last gap that a single page can have, the first it cannot, the largest */
	static const struct {
		u64 index;
		unsigned int extents;
	} at[] = {
		{ 0, 1 },
		{ 2, 1 },
		{ 3 + PKRAM_EXT_MAX_GAP, 1 },
		{ 4 + 2 * PKRAM_EXT_MAX_GAP + 1, 2 },
		{ 1ULL << 20, 2 },
		{ 1ULL << 40, 2 },
		{ (1ULL << 41) + 7, 2 },
		{ PKRAM_MAX_INDEX - 3, 2 },
		{ PKRAM_MAX_INDEX - 1, 1 },
	};
	struct page **all = new_pages(test, 2 * ARRAY_SIZE(at)), *pages[ARRAY_SIZE(at)];
	unsigned int i, extents = 0;

	for (i = 0; i < ARRAY_SIZE(at); i++) {
		pages[i] = all[2 * i];
		page_folio(pages[i])->index = at[i].index;
		extents += at[i].extents;
	}
	save_pages(test, "n", pages, ARRAY_SIZE(at));
	expect_size(test, "n", extents, 1);
	load_pages(test, "n", pages, ARRAY_SIZE(at));

	/* nothing but the last page a stream can have */
	save_pages(test, "n", pages + ARRAY_SIZE(at) - 1, 1);
	expect_size(test, "n", 1, 1);
	load_pages(test, "n", pages + ARRAY_SIZE(at) - 1, 1);
}

/* Scattered pages: one extent each, several links. */
static void stream_many_links(struct kunit *test)
{
	const unsigned int nr[] = {
		PKRAM_LINK_EXTENTS - 1, PKRAM_LINK_EXTENTS, PKRAM_LINK_EXTENTS + 1,
		2 * PKRAM_LINK_EXTENTS, 2 * PKRAM_LINK_EXTENTS + 1, 3000,
	};
	struct page **pages = new_pages(test, 3000);
	unsigned int i;

	/* downwards, so that none follows the one before */
	for (i = 0; i < 1500; i++)
		swap(pages[i], pages[2999 - i]);
	for (i = 0; i < 3000; i++)
		page_folio(pages[i])->index = i + (i > 700 ? 5 : 0);
	for (i = 0; i < ARRAY_SIZE(nr); i++) {
		save_pages(test, "n", pages, nr[i]);
		expect_size(test, "n", nr[i], DIV_ROUND_UP(nr[i], PKRAM_LINK_EXTENTS));
		load_pages(test, "n", pages, nr[i]);
	}
}

/* The first link of a node's only stream is full, and ends with a gap. */
static void expect_gap_at_end(struct kunit *test, const char *name)
{
	struct pkram_node *node = pkram_node_get(name);
	const struct pkram_link *link;
	struct pkram_extent e;

	KUNIT_ASSERT_FALSE(test, IS_ERR(node));
	link = link_at(pkram_node_object(node, 0)->pages_head);
	KUNIT_ASSERT_NOT_NULL(test, link);
	KUNIT_EXPECT_EQ(test, le32_to_cpu(link->nr_extents), PKRAM_LINK_EXTENTS);
	e = pkram_extent_decode(pkram_extent_raw(link, PKRAM_LINK_EXTENTS - 1));
	KUNIT_EXPECT_EQ(test, e.count, 0);
	KUNIT_EXPECT_GT(test, e.gap, 0);
	pkram_node_put(node);
}

/* Runs with a gap before them take two extents, which two links may share. */
static void stream_gap_ends_link(struct kunit *test)
{
	const unsigned int nr = 2 * PKRAM_LINK_EXTENTS;
	struct page **pages = new_pages(test, nr);
	unsigned int i;

	/* a run, a single page, then runs of two pages */
	for (i = 0; i < nr; i++)
		page_folio(pages[i])->index = i < 3 ? i + i / 2 :
						     (i + 1) / 2 * 3 + (i + 1) % 2;
	save_pages(test, "n", pages, nr);
	expect_gap_at_end(test, "n");
	load_pages(test, "n", pages, nr);
}

/* The same with single pages and gaps that a single page cannot have. */
static void stream_long_gap_ends_link(struct kunit *test)
{
	const unsigned int nr = PKRAM_LINK_EXTENTS + 2;
	struct page **pages = new_pages(test, nr);
	unsigned int i;

	for (i = 0; i < nr; i++)
		page_folio(pages[i])->index = i < 2 ? 5 + 2 * i : i * 0x123456789ULL;
	save_pages(test, "n", pages, nr);
	expect_gap_at_end(test, "n");
	load_pages(test, "n", pages, nr);
}

static void stream_reader_empty(struct kunit *test)
{
	struct pkram_reader r;
	unsigned int order;
	u64 index;

	pkram_reader_init(&r, 0);
	KUNIT_EXPECT_NULL(test, pkram_reader_next(&r, &index, &order));
	KUNIT_EXPECT_NULL(test, pkram_reader_next(&r, &index, &order));
	KUNIT_EXPECT_EQ(test, pkram_stream_free(0), 0);
	KUNIT_EXPECT_EQ(test, pkram_stream_release(0), 0);
}

/* A writer that was discarded begins anew; one that wrote nothing has no head. */
static void stream_writer_discard(struct kunit *test)
{
	struct folio *folio = new_folio(test, 0, 0);
	struct pkram_writer w = { };
	unsigned int i;

	pkram_writer_finish(&w);
	KUNIT_EXPECT_NULL(test, w.head);
	for (i = 0; i < 3; i++) {
		KUNIT_ASSERT_EQ(test, pkram_writer_reserve(&w, GFP_KERNEL), 0);
		scoped_guard(rwsem_read, &pkram_kexec_sem) {
			folio_get(folio);
			pkram_writer_add(&w, 1000 * i, folio_pfn(folio), 0, 1);
			pkram_writer_settle(&w);
		}
		KUNIT_EXPECT_TRUE(test, pkram_map_test(pkram.map, folio_pfn(folio) >>
						       PKRAM_BLOCK_ORDER));
		pkram_writer_discard(&w);
		KUNIT_EXPECT_EQ(test, w.nr_pages, 0);
		KUNIT_EXPECT_NULL(test, w.head);
		KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);
	}
	/* reserved and not used */
	KUNIT_ASSERT_EQ(test, pkram_writer_reserve(&w, GFP_KERNEL), 0);
	pkram_writer_finish(&w);
	KUNIT_EXPECT_NULL(test, w.head);
}

/* After a reservation a full batch needs no allocation, whatever it is. */
static void stream_batch(struct kunit *test)
{
	struct page **pages = new_pages(test, 10 * PKRAM_BATCH);
	struct pkram_writer w = { };
	unsigned int i;

	for (i = 0; i < 10 * PKRAM_BATCH; i++) {
		if (i % PKRAM_BATCH == 0)
			KUNIT_ASSERT_EQ(test, pkram_writer_reserve(&w, GFP_KERNEL), 0);
		guard(rwsem_read)(&pkram_kexec_sem);
		get_page(pages[i]);
		pkram_writer_add(&w, (i + 1) * 100000ULL, page_to_pfn(pages[i]), 0, 1);
		pkram_writer_settle(&w);
	}
	pkram_writer_finish(&w);
	KUNIT_EXPECT_EQ(test, w.nr_pages, 10 * PKRAM_BATCH);
	KUNIT_EXPECT_EQ(test, nr_links(w.head->hdr.pfn), w.nr_links);
	KUNIT_EXPECT_EQ(test, nr_extents(w.head->hdr.pfn), 20 * PKRAM_BATCH - 1);
	KUNIT_EXPECT_EQ(test, pkram_stream_free(w.head->hdr.pfn), w.nr_links);
	for (i = 0; i < 10 * PKRAM_BATCH; i++)
		KUNIT_EXPECT_EQ(test, page_ref_count(pages[i]), 1);
}

static struct kunit_case pkram_stream_cases[] = {
	KUNIT_CASE(stream_byte_sizes),
	KUNIT_CASE(stream_byte_pieces),
	KUNIT_CASE(stream_byte_tail),
	KUNIT_CASE(stream_byte_positions),
	KUNIT_CASE(stream_orders),
	KUNIT_CASE(stream_merge),
	KUNIT_CASE(stream_merge_not),
	KUNIT_CASE(stream_merge_orders),
	KUNIT_CASE(stream_longest_run),
	KUNIT_CASE(stream_gaps),
	KUNIT_CASE(stream_many_links),
	KUNIT_CASE(stream_gap_ends_link),
	KUNIT_CASE(stream_long_gap_ends_link),
	KUNIT_CASE(stream_reader_empty),
	KUNIT_CASE(stream_writer_discard),
	KUNIT_CASE(stream_batch),
	{}
};

static struct kunit_suite pkram_stream_suite = {
	.name = "pkram-stream",
	.init = pkram_case_init,
	.exit = pkram_case_exit,
	.test_cases = pkram_stream_cases,
};

/* Suite pkram-node: the store and its tables */

static struct pkram_node *new_node(struct kunit *test, const char *name)
{
	struct pkram_node *node = pkram_node_create(name, GFP_KERNEL);

	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR(node), "%pe", node);
	return node;
}

static u64 commit_node(struct kunit *test, const char *name, bool replace)
{
	u64 id = 0;

	KUNIT_ASSERT_EQ(test, pkram_node_commit(new_node(test, name), replace, GFP_KERNEL, &id),
			0);
	check_node(test, name);
	return id;
}

static void remove_node(struct kunit *test, const char *name)
{
	u64 id = 0;

	KUNIT_EXPECT_EQ(test, pkram_node_remove(name, NULL, &id), 0);
	KUNIT_EXPECT_NE(test, id, 0);
}

static void node_create_errors(struct kunit *test)
{
	struct pkram_super *sb = pkram.sb;
	struct pkram_node *node;

	KUNIT_EXPECT_PTR_EQ(test, pkram_node_create("", GFP_KERNEL), ERR_PTR(-EINVAL));
	KUNIT_EXPECT_PTR_EQ(test, pkram_node_create("a/b", GFP_KERNEL), ERR_PTR(-EINVAL));
	pkram.sb = NULL;
	node = pkram_node_create("n", GFP_KERNEL);
	pkram.sb = sb;
	KUNIT_EXPECT_PTR_EQ(test, node, ERR_PTR(-ENODEV));
	/* two of a name may be made, the first one to be committed gets it */
	node = new_node(test, "n");
	commit_node(test, "n", false);
	pkram_node_destroy(node);
	remove_node(test, "n");
}

static void node_ids(struct kunit *test)
{
	u64 a, b, c, removed = 0;

	a = commit_node(test, "z", false);
	b = commit_node(test, "m", false);
	KUNIT_EXPECT_GT(test, b, a);
	KUNIT_EXPECT_EQ(test, pkram_node_remove("z", NULL, &removed), 0);
	KUNIT_EXPECT_EQ(test, removed, a);
	c = commit_node(test, "z", false);
	KUNIT_EXPECT_GT(test, c, b);
	KUNIT_EXPECT_PTR_EQ(test, xa_load(&pkram.nodes, a), NULL);
	KUNIT_EXPECT_NOT_NULL(test, xa_load(&pkram.nodes, c));
	remove_node(test, "z");
	remove_node(test, "m");
}

static void node_get_and_remove(struct kunit *test)
{
	struct pkram_node *node, *again;
	u64 id = 0;

	KUNIT_EXPECT_PTR_EQ(test, pkram_node_get("n"), ERR_PTR(-ENOENT));
	KUNIT_EXPECT_EQ(test, pkram_node_remove("n", NULL, &id), -ENOENT);
	commit_node(test, "n", false);
	node = pkram_node_get("n");
	again = pkram_node_get("n");
	KUNIT_ASSERT_FALSE(test, IS_ERR(node));
	KUNIT_EXPECT_PTR_EQ(test, node, again);
	KUNIT_EXPECT_EQ(test, pkram_node_remove("n", NULL, &id), -EBUSY);
	/* two users, one of them the remover's own */
	KUNIT_EXPECT_EQ(test, pkram_node_remove("n", node, &id), -EBUSY);
	pkram_node_put(again);
	KUNIT_EXPECT_EQ(test, pkram_node_remove("n", NULL, &id), -EBUSY);
	KUNIT_EXPECT_EQ(test, pkram_node_remove("n", node, &id), 0);
	KUNIT_EXPECT_EQ(test, pkram_node_remove("n", NULL, &id), -ENOENT);
}

static void node_take(struct kunit *test)
{
	struct pkram_node *node;
	u64 id = 0;

	KUNIT_EXPECT_PTR_EQ(test, pkram_node_take("n"), ERR_PTR(-ENOENT));
	commit_node(test, "n", false);
	node = pkram_node_get("n");
	KUNIT_ASSERT_FALSE(test, IS_ERR(node));
	KUNIT_EXPECT_PTR_EQ(test, pkram_node_take("n"), ERR_PTR(-EBUSY));
	pkram_node_put(node);
	KUNIT_EXPECT_PTR_EQ(test, pkram_node_take("n"), node);
	KUNIT_EXPECT_PTR_EQ(test, pkram_node_get("n"), ERR_PTR(-ENOENT));
	KUNIT_EXPECT_EQ(test, pkram_node_remove("n", NULL, &id), -ENOENT);
	KUNIT_EXPECT_EQ(test, pkram.nr_nodes, 0);
	pkram_node_destroy(node);
}

/* A reserved name is nobody's yet. */
static void node_reserved(struct kunit *test)
{
	struct pkram_node *node = new_node(test, "n"), *other;
	u64 id = 0;

	KUNIT_ASSERT_EQ(test, pkram_node_prepare(node, GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, pkram_node_prepare(node, GFP_KERNEL), 0);
	other = new_node(test, "n");
	KUNIT_EXPECT_EQ(test, pkram_node_prepare(other, GFP_KERNEL), -EEXIST);
	KUNIT_EXPECT_EQ(test, pkram_node_commit(other, false, GFP_KERNEL, &id), -EEXIST);
	KUNIT_EXPECT_EQ(test, pkram_node_commit(other, true, GFP_KERNEL, &id), -EBUSY);
	KUNIT_EXPECT_PTR_EQ(test, pkram_node_get("n"), ERR_PTR(-ENOENT));
	KUNIT_EXPECT_PTR_EQ(test, pkram_node_take("n"), ERR_PTR(-EBUSY));
	KUNIT_EXPECT_EQ(test, pkram_node_remove("n", NULL, &id), -ENOENT);
	KUNIT_EXPECT_EQ(test, pkram_remove_idle(), 0);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(*node->slot), 0);
	pkram_node_publish(node);
	check_node(test, "n");
	pkram_node_destroy(other);
	remove_node(test, "n");
}

/* One node takes the place of another: the slot never reads 0. */
static void node_replace(struct kunit *test)
{
	struct folio *folio = new_folio(test, 0, 0);
	struct page *page = folio_page(folio, 0);
	struct pkram_node *node, *other;
	u64 a, b, id = 0;
	__le64 *slot;

	save_pages(test, "n", &page, 1);
	node = pkram_node_get("n");
	KUNIT_ASSERT_FALSE(test, IS_ERR(node));
	a = node->id;
	slot = node->slot;
	other = new_node(test, "n");
	KUNIT_EXPECT_EQ(test, pkram_node_commit(other, false, GFP_KERNEL, &id), -EEXIST);
	KUNIT_EXPECT_EQ(test, pkram_node_commit(other, true, GFP_KERNEL, &id), -EBUSY);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 2);
	pkram_node_put(node);
	KUNIT_EXPECT_EQ(test, pkram_node_commit(other, true, GFP_KERNEL, &b), 0);
	check_node(test, "n");
	KUNIT_EXPECT_GT(test, b, a);
	KUNIT_EXPECT_PTR_EQ(test, other->slot, slot);
	KUNIT_EXPECT_EQ(test, pkram.nr_nodes, 1);
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 0);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);
	remove_node(test, "n");
	/* nothing there to be replaced */
	commit_node(test, "n", true);
	remove_node(test, "n");
}

static void node_remove_idle(struct kunit *test)
{
	struct pkram_node *busy, *saving = new_node(test, "saving");
	char name[16];
	unsigned int i;

	KUNIT_ASSERT_EQ(test, pkram_node_prepare(saving, GFP_KERNEL), 0);
	for (i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "idle%u", i);
		save_bytes(test, name, 5000);
	}
	busy = pkram_node_get("idle7");
	KUNIT_ASSERT_FALSE(test, IS_ERR(busy));
	KUNIT_EXPECT_EQ(test, pkram_remove_idle(), -EBUSY);
	KUNIT_EXPECT_EQ(test, pkram.nr_nodes, 1);
	check_node(test, "idle7");
	pkram_node_put(busy);
	KUNIT_EXPECT_EQ(test, pkram_remove_idle(), 0);
	KUNIT_EXPECT_EQ(test, pkram.nr_nodes, 0);
	KUNIT_EXPECT_EQ(test, pkram_remove_idle(), 0);
	pkram_node_destroy(saving);
}

/* Objects around the ends of their pages. */
static void node_objects(struct kunit *test)
{
	const u32 first = PKRAM_NODE_OBJECTS, more = PKRAM_PAGE_OBJECTS_MAX;
	const u32 counts[] = {
		1, first - 1, first, first + 1, first + more - 1, first + more, first + more + 1,
		first + 2 * more, first + 2 * more + 1, 500,
	};
	unsigned int i;
	u32 n, wrong;
	u64 id;

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		struct pkram_node *node = new_node(test, "n");

		for (n = 0; n < counts[i]; n++) {
			struct pkram_object *obj;

			obj = pkram_node_add_object(node, PKRAM_OBJ_PAGES | PKRAM_OBJ_FILE,
						    GFP_KERNEL);
			KUNIT_ASSERT_FALSE(test, IS_ERR(obj));
			obj->size = cpu_to_le64(n);
			obj->mode = cpu_to_le32(S_IFREG | 0600);
			node->totals.file_bytes += n;
		}
		KUNIT_EXPECT_EQ(test, pkram_node_commit(node, false, GFP_KERNEL, &id), 0);
		check_node(test, "n");
		KUNIT_EXPECT_EQ(test, node->totals.meta_pages,
				1 + (n > first ? DIV_ROUND_UP(n - first, more) : 0));
		for (n = 0, wrong = 0; n < counts[i]; n++)
			wrong += le64_to_cpu(pkram_node_object(node, n)->size) != n;
		KUNIT_EXPECT_EQ(test, wrong, 0);
		remove_node(test, "n");
		expect_unchanged(test);
	}
}

static void node_max_objects(struct kunit *test)
{
	struct pkram_object *obj;
	struct pkram_stream ps;
	u32 i;

	begin_save(test, &ps, "n", 0);
	for (i = 0; i < PKRAM_MAX_OBJECTS - 1; i++) {
		obj = pkram_node_add_object(ps.node, PKRAM_OBJ_BYTES, GFP_KERNEL);
		KUNIT_ASSERT_FALSE(test, IS_ERR(obj));
	}
	KUNIT_EXPECT_EQ(test, pkram_prepare_save_obj(&ps, PKRAM_DATA_bytes), 0);
	pkram_finish_save_obj(&ps);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save_obj(&ps, PKRAM_DATA_bytes), -EFBIG);
	KUNIT_EXPECT_PTR_EQ(test, pkram_node_add_object(ps.node, PKRAM_OBJ_BYTES, GFP_KERNEL),
			    (struct pkram_object *)ERR_PTR(-EFBIG));
	end_save(test, &ps, "n");

	KUNIT_ASSERT_EQ(test, pkram_prepare_load(&ps, "n"), 0);
	for (i = 0; !pkram_prepare_load_obj(&ps); i++)
		pkram_finish_load_obj(&ps);
	KUNIT_EXPECT_EQ(test, i, PKRAM_MAX_OBJECTS);
	end_load(&ps);
}

/* Objects taken back: a page of objects that holds none is not committed. */
static void node_drop_object(struct kunit *test)
{
	const u32 nr = PKRAM_NODE_OBJECTS + PKRAM_PAGE_OBJECTS_MAX + 1;
	struct pkram_node *node = new_node(test, "n");
	struct pkram_object *obj;
	u64 id;
	u32 i;

	for (i = 0; i < nr; i++) {
		obj = pkram_node_add_object(node, PKRAM_OBJ_BYTES, GFP_KERNEL);
		KUNIT_ASSERT_FALSE(test, IS_ERR(obj));
	}
	KUNIT_EXPECT_EQ(test, node->totals.meta_pages, 3);
	for (i = 0; i <= PKRAM_PAGE_OBJECTS_MAX; i++)
		pkram_node_drop_last_object(node);
	/* the page is there to be used again */
	obj = pkram_node_add_object(node, PKRAM_OBJ_BYTES, GFP_KERNEL);
	KUNIT_EXPECT_FALSE(test, IS_ERR(obj));
	KUNIT_EXPECT_EQ(test, node->totals.meta_pages, 3);
	pkram_node_drop_last_object(node);
	KUNIT_EXPECT_EQ(test, pkram_node_nr_objects(node), PKRAM_NODE_OBJECTS);
	KUNIT_EXPECT_EQ(test, pkram_node_commit(node, false, GFP_KERNEL, &id), 0);
	KUNIT_EXPECT_EQ(test, node->totals.meta_pages, 1);
	check_node(test, "n");
	remove_node(test, "n");
}

/* More nodes than a directory page has slots, removed in an order of its own. */
static void node_many(struct kunit *test)
{
	const unsigned int nr = 2 * PKRAM_DIR_SLOTS + 10;
	struct snapshot *before = test->priv;
	unsigned int i, step, wrong = 0;
	char name[16];
	u64 id;

	for (i = 0; i < nr; i++) {
		snprintf(name, sizeof(name), "%u", i);
		KUNIT_ASSERT_EQ(test, pkram_node_commit(new_node(test, name), false, GFP_KERNEL,
							&id), 0);
	}
	KUNIT_EXPECT_EQ(test, pkram.nr_nodes, nr);
	KUNIT_EXPECT_EQ(test, pkram.meta_pages, before->meta_pages + nr + 3);
	for (i = 0; i < nr; i += 100) {
		snprintf(name, sizeof(name), "%u", i);
		check_node(test, name);
	}
	/* every third first, so that slots in all pages become free, and used again */
	for (step = 0; step < 3; step++)
		for (i = step; i < nr; i += 3) {
			snprintf(name, sizeof(name), "%u", i);
			KUNIT_ASSERT_EQ(test, pkram_node_remove(name, NULL, &id), 0);
			if (step)
				continue;
			KUNIT_ASSERT_EQ(test, pkram_node_commit(new_node(test, "x"), false,
								GFP_KERNEL, &id), 0);
			wrong += pkram.meta_pages != before->meta_pages + nr - i / 3 + 3;
			KUNIT_ASSERT_EQ(test, pkram_node_remove("x", NULL, &id), 0);
		}
	KUNIT_EXPECT_EQ(test, wrong, 0);
	KUNIT_EXPECT_EQ(test, pkram.nr_nodes, 0);
}

static void node_info(struct kunit *test)
{
	struct pkram_node_info info;
	struct pkram_node *node;
	struct timespec64 now;

	save_bytes(test, "info", 5000);
	node = pkram_node_get("info");
	KUNIT_ASSERT_FALSE(test, IS_ERR(node));
	ktime_get_real_ts64(&now);
	scoped_guard(mutex, &pkram.lock)
		pkram_node_info(node, &info);
	KUNIT_EXPECT_EQ(test, info.id, node->id);
	KUNIT_EXPECT_EQ(test, info.generation, 0);
	KUNIT_EXPECT_EQ(test, info.data_pages, 2);
	KUNIT_EXPECT_EQ(test, info.meta_pages, 2);
	KUNIT_EXPECT_EQ(test, info.file_bytes, 0);
	KUNIT_EXPECT_EQ(test, info.data_bytes, 5000);
	KUNIT_EXPECT_LE(test, info.stored_ns, (u64)timespec64_to_ns(&now));
	KUNIT_EXPECT_NE(test, info.stored_ns, 0);
	KUNIT_EXPECT_EQ(test, info.nr_objects, 1);
	KUNIT_EXPECT_EQ(test, info.flags, PKRAM_NODE_BUSY);
	KUNIT_EXPECT_EQ(test, info.damage, 0);
	KUNIT_EXPECT_STREQ(test, info.name, "info");
	pkram_node_put(node);
	scoped_guard(mutex, &pkram.lock)
		pkram_node_info(node, &info);
	KUNIT_EXPECT_EQ(test, info.flags, 0);
	load_and_drop(test, "info");
}

/* The check all other cases rely on does see what is wrong. */
static void node_damage(struct kunit *test)
{
	struct folio *folio = new_folio(test, 0, 3);
	struct page *page = folio_page(folio, 0);
	struct pkram_node_totals t;
	struct pkram_object *obj;
	struct pkram_node *node;
	struct pkram_link *link;
	unsigned int i;

	save_pages(test, "n", &page, 1);
	node = pkram_node_get("n");
	KUNIT_ASSERT_FALSE(test, IS_ERR(node));
	obj = pkram_node_object(node, 0);
	link = pfn_to_kaddr(le64_to_cpu(obj->pages_head));

	for (i = 0; i < le32_to_cpu(node->page->hdr.length); i += 13) {
		((u8 *)node->page)[i] ^= 0x10;
		KUNIT_EXPECT_NE_MSG(test, walk_node(node, &t), PKRAM_DAMAGE_NONE, "byte %u", i);
		((u8 *)node->page)[i] ^= 0x10;
	}
	for (i = 0; i < le32_to_cpu(link->hdr.length); i++) {
		((u8 *)link)[i] ^= 0x01;
		KUNIT_EXPECT_NE_MSG(test, walk_node(node, &t), PKRAM_DAMAGE_NONE, "byte %u", i);
		((u8 *)link)[i] ^= 0x01;
	}
	/* a page that is claimed twice, and totals that do not add up */
	obj->bytes_head = obj->pages_head;
	pkram_page_finish(&node->page->hdr);
	KUNIT_EXPECT_NE(test, walk_node(node, &t), PKRAM_DAMAGE_NONE);
	obj->bytes_head = 0;
	le64_add_cpu(&node->page->data_pages, 1);
	pkram_page_finish(&node->page->hdr);
	KUNIT_EXPECT_EQ(test, walk_node(node, &t), PKRAM_DAMAGE_COUNT);
	le64_add_cpu(&node->page->data_pages, -1);
	pkram_page_finish(&node->page->hdr);
	KUNIT_EXPECT_EQ(test, walk_node(node, &t), PKRAM_DAMAGE_NONE);
	pkram_node_put(node);
	load_and_drop(test, "n");
}

static struct kunit_case pkram_node_cases[] = {
	KUNIT_CASE(node_create_errors),
	KUNIT_CASE(node_ids),
	KUNIT_CASE(node_get_and_remove),
	KUNIT_CASE(node_take),
	KUNIT_CASE(node_reserved),
	KUNIT_CASE(node_replace),
	KUNIT_CASE(node_remove_idle),
	KUNIT_CASE(node_objects),
	KUNIT_CASE(node_max_objects),
	KUNIT_CASE(node_drop_object),
	KUNIT_CASE(node_many),
	KUNIT_CASE(node_info),
	KUNIT_CASE(node_damage),
	{}
};

static struct kunit_suite pkram_node_suite = {
	.name = "pkram-node",
	.init = pkram_case_init,
	.exit = pkram_case_exit,
	.test_cases = pkram_node_cases,
};

/* Suite pkram-blocks: the map */

/* The first of @nr blocks in a row of which none is preserved, outside the first. */
static u64 free_blocks(struct kunit *test, unsigned int nr)
{
	u64 start = 1, end;

	for (;;) {
		start = pkram_map_next(pkram.map, pkram_nr_blocks, start, false);
		end = pkram_map_next(pkram.map, pkram_nr_blocks, start, true);
		if (end - start >= nr)
			return start;
		if (end >= pkram_nr_blocks)
			kunit_skip(test, "no %u free blocks in a row", nr);
		start = end;
	}
}

static void add_pages(u64 pfn, u64 nr)
{
	guard(rwsem_read)(&pkram_kexec_sem);
	pkram_blocks_add(pfn, nr);
}

static void blocks_bits(struct kunit *test)
{
	u64 b = free_blocks(test, 3), pfn = b << PKRAM_BLOCK_ORDER;

	/* a bit goes with the last page */
	add_pages(pfn + 5, 1);
	add_pages(pfn + 511, 1);
	KUNIT_EXPECT_TRUE(test, pkram_map_test(pkram.map, b));
	KUNIT_EXPECT_FALSE(test, pkram_map_test(pkram.map, b + 1));
	pkram_blocks_sub(pfn + 511, 1);
	KUNIT_EXPECT_TRUE(test, pkram_map_test(pkram.map, b));
	pkram_blocks_sub(pfn + 5, 1);
	KUNIT_EXPECT_FALSE(test, pkram_map_test(pkram.map, b));

	/* across two borders */
	add_pages(pfn + 510, 2 + 512 + 1);
	KUNIT_EXPECT_TRUE(test, pkram_map_test(pkram.map, b));
	KUNIT_EXPECT_TRUE(test, pkram_map_test(pkram.map, b + 1));
	KUNIT_EXPECT_TRUE(test, pkram_map_test(pkram.map, b + 2));
	pkram_blocks_sub(pfn + 512, 512);
	KUNIT_EXPECT_TRUE(test, pkram_map_test(pkram.map, b));
	KUNIT_EXPECT_FALSE(test, pkram_map_test(pkram.map, b + 1));
	KUNIT_EXPECT_TRUE(test, pkram_map_test(pkram.map, b + 2));
	pkram_blocks_sub(pfn + 510, 2);
	pkram_blocks_sub(pfn + 1024, 1);
	KUNIT_EXPECT_FALSE(test, pkram_map_test(pkram.map, b));
	KUNIT_EXPECT_FALSE(test, pkram_map_test(pkram.map, b + 2));
}

/* Preserved memory as kexec sees it: first and last address of a run of blocks. */
static void blocks_next_preserved(struct kunit *test)
{
	u64 b = free_blocks(test, 5);
	const unsigned long at = (b + 1) * SZ_2M, last = at + 2 * SZ_2M - 1;
	unsigned long end = 0;

	/* of five blocks the second and the third are preserved */
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(at - SZ_2M, last + 2 * SZ_2M, &end), 0);
	add_pages((b + 1) << PKRAM_BLOCK_ORDER, 1);
	add_pages((b + 2) << PKRAM_BLOCK_ORDER, 512);
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(at - SZ_2M, last + SZ_2M, &end), at);
	KUNIT_EXPECT_EQ(test, end, last);
	/* single bytes at the ends, inside and outside */
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(at - 1, at - 1, &end), 0);
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(at, at, &end), at);
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(at - 1, at, &end), at);
	end = 0;
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(last, last, &end), at + SZ_2M);
	KUNIT_EXPECT_EQ(test, end, last);
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(last + 1, last + SZ_2M, &end), 0);
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(at - SZ_2M, at - 1, &end), 0);
	/* the end is beyond the map; the start is, too */
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(at, ULONG_MAX, &end), at);
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(pkram_nr_blocks * SZ_2M, ULONG_MAX, &end), 0);
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(ULONG_MAX, ULONG_MAX, &end), 0);
	pkram_blocks_sub((b + 1) << PKRAM_BLOCK_ORDER, 1);
	pkram_blocks_sub((b + 2) << PKRAM_BLOCK_ORDER, 512);
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(at, last, &end), 0);
}

/* The super block and the map are preserved from boot on, with nothing stored. */
static void blocks_pinned(struct kunit *test)
{
	u64 sb = pkram_pfn(pkram.sb), map = pkram_pfn(pkram.map);
	unsigned long end;

	KUNIT_EXPECT_TRUE(test, pkram_map_test(pkram.map, sb >> PKRAM_BLOCK_ORDER));
	KUNIT_EXPECT_TRUE(test, pkram_map_test(pkram.map, map >> PKRAM_BLOCK_ORDER));
	KUNIT_EXPECT_EQ(test, pkram_next_preserved(PFN_PHYS(sb), PFN_PHYS(sb), &end),
			round_down(PFN_PHYS(sb), SZ_2M));
	/* counted, too: pages that come and go do not clear their bits */
	add_pages(sb, 1);
	pkram_blocks_sub(sb, 1);
	KUNIT_EXPECT_TRUE(test, pkram_map_test(pkram.map, sb >> PKRAM_BLOCK_ORDER));
	KUNIT_EXPECT_FALSE(test, pkram_map_test(pkram.map, 0));
	KUNIT_EXPECT_TRUE(test, pkram_blocks_room());
}

static struct kunit_case pkram_blocks_cases[] = {
	KUNIT_CASE(blocks_bits),
	KUNIT_CASE(blocks_next_preserved),
	KUNIT_CASE(blocks_pinned),
	{}
};

static struct kunit_suite pkram_blocks_suite = {
	.name = "pkram-blocks",
	.init = pkram_case_init,
	.exit = pkram_case_exit,
	.test_cases = pkram_blocks_cases,
};

/* Suite pkram-file: shmem files in and out */

KUNIT_DEFINE_ACTION_WRAPPER(put_file, __fput_sync, struct file *);

static void own_file(struct kunit *test, struct file *file)
{
	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR(file), "%pe", file);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, put_file, file), 0);
}

static void close_file(struct kunit *test, struct file *file)
{
	kunit_release_action(test, put_file, file);
}

/* What memfd_create(MFD_ALLOW_SEALING) makes. */
static struct file *new_file(struct kunit *test, loff_t size)
{
	struct file *file = shmem_file_setup("pkram-test", size, VM_NORESERVE);

	own_file(test, file);
	file->f_flags |= O_LARGEFILE;
	SHMEM_I(file_inode(file))->seals = 0;
	return file;
}

static unsigned int seals_of(struct file *file)
{
	return SHMEM_I(file_inode(file))->seals;
}

KUNIT_DEFINE_ACTION_WRAPPER(unmount, kern_unmount, struct vfsmount *);

/* A tmpfs of the test's own. */
static struct vfsmount *new_tmpfs(struct kunit *test, const char *key, const char *value)
{
	struct fs_context *fc;
	struct vfsmount *mnt;
	int err;

	fc = fs_context_for_mount(get_fs_type("tmpfs"), SB_KERNMOUNT);
	KUNIT_ASSERT_FALSE(test, IS_ERR(fc));
	err = vfs_parse_fs_string(fc, key, value, strlen(value));
	mnt = err ? ERR_PTR(err) : fc_mount(fc);
	put_fs_context(fc);
	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR(mnt), "%pe", mnt);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, unmount, mnt), 0);
	return mnt;
}

/*
 * Fill a page of a file with what nobody else writes there. Like new_folio(), not
 * a page that would be copied.
 */
static void fill_page(struct kunit *test, struct file *file, u64 index)
{
	u64 *buf = kunit_kmalloc(test, PAGE_SIZE, GFP_KERNEL);
	struct folio *folio;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	for (i = 0; i < PAGE_SIZE / sizeof(*buf); i++)
		buf[i] = index * 0x9e3779b97f4a7c15ULL + i;
	for (;;) {
		loff_t pos = index << PAGE_SHIFT;

		/* the last page a file can have is not quite a page */
		KUNIT_ASSERT_EQ(test, kernel_write(file, buf, PAGE_SIZE - 8, &pos),
				PAGE_SIZE - 8);
		folio = filemap_get_folio(file->f_mapping, index);
		KUNIT_ASSERT_FALSE(test, IS_ERR(folio));
		if (!pkram_banned(folio_pfn(folio), folio_nr_pages(folio)))
			break;
		KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, put_folio, folio), 0);
		shmem_truncate_range(file_inode(file), index << PAGE_SHIFT,
				     (index << PAGE_SHIFT) + PAGE_SIZE - 1);
	}
	folio_put(folio);
	kunit_kfree(test, buf);
}

/* Is it still there (@filled), or does it read as zeroes? */
static void check_page(struct kunit *test, struct file *file, u64 index, bool filled)
{
	u64 *buf = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	loff_t pos = index << PAGE_SHIFT;
	unsigned int i, wrong = 0;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	KUNIT_EXPECT_EQ(test, kernel_read(file, buf, PAGE_SIZE - 8, &pos), PAGE_SIZE - 8);
	for (i = 0; i < PAGE_SIZE / sizeof(*buf) - 1; i++)
		wrong += buf[i] != (filled ? index * 0x9e3779b97f4a7c15ULL + i : 0);
	KUNIT_EXPECT_EQ_MSG(test, wrong, 0, "page %llu", index);
	kunit_kfree(test, buf);
}

static struct pkram_file *freeze(struct kunit *test, struct file *file)
{
	struct pkram_file *pf = pkram_file_freeze(file);

	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR(pf), "%pe", pf);
	return pf;
}

static const struct file_operations no_fops;

static void file_freeze_refuses(struct kunit *test)
{
	struct vfsmount *mnt = new_tmpfs(test, "size", "1M");
	struct path root = { .mnt = mnt, .dentry = mnt->mnt_root };
	struct file *file = new_file(test, PAGE_SIZE);
	struct file *other = anon_inode_getfile("[pkram-test]", &no_fops, NULL, O_RDWR);
	struct file *dir = dentry_open(&root, O_RDONLY | O_DIRECTORY, current_cred());
	struct pkram_file *pf;

	own_file(test, other);
	own_file(test, dir);
	KUNIT_EXPECT_PTR_EQ(test, pkram_file_freeze(other), ERR_PTR(-EINVAL));
	KUNIT_EXPECT_PTR_EQ(test, pkram_file_freeze(dir), ERR_PTR(-EINVAL));

	/* as a shared writable mapping does */
	KUNIT_ASSERT_EQ(test, mapping_map_writable(file->f_mapping), 0);
	KUNIT_EXPECT_PTR_EQ(test, pkram_file_freeze(file), ERR_PTR(-EBUSY));
	KUNIT_EXPECT_EQ(test, seals_of(file), 0);
	mapping_unmap_writable(file->f_mapping);

	pf = freeze(test, file);
	KUNIT_EXPECT_PTR_EQ(test, pkram_file_freeze(file), ERR_PTR(-EBUSY));
	KUNIT_EXPECT_NE(test, seals_of(file), 0);
	pkram_file_thaw(pf);
	KUNIT_EXPECT_EQ(test, seals_of(file), 0);
}

static int truncate_to(struct file *file, loff_t size)
{
	return do_truncate(&nop_mnt_idmap, file->f_path.dentry, size, 0, NULL);
}

static void file_frozen(struct kunit *test)
{
	const loff_t size = 4 * PAGE_SIZE;
	struct file *file = new_file(test, size);
	struct pkram_file *pf;
	loff_t pos;

	fill_page(test, file, 1);
	pf = freeze(test, file);
	/* inside, over a hole, at the end */
	pos = PAGE_SIZE;
	KUNIT_EXPECT_EQ(test, kernel_write(file, "x", 1, &pos), -EPERM);
	pos = 2 * PAGE_SIZE;
	KUNIT_EXPECT_EQ(test, kernel_write(file, "x", 1, &pos), -EPERM);
	pos = size;
	KUNIT_EXPECT_EQ(test, kernel_write(file, "x", 1, &pos), -EPERM);
	KUNIT_EXPECT_EQ(test, vfs_fallocate(file, 0, 0, PAGE_SIZE), -EPERM);
	KUNIT_EXPECT_EQ(test, vfs_fallocate(file, 0, 0, 2 * size), -EPERM);
	KUNIT_EXPECT_EQ(test, vfs_fallocate(file, FALLOC_FL_KEEP_SIZE, size, PAGE_SIZE), -EPERM);
	KUNIT_EXPECT_EQ(test, vfs_fallocate(file, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
					    PAGE_SIZE, PAGE_SIZE), -EPERM);
	KUNIT_EXPECT_EQ(test, truncate_to(file, 0), -EPERM);
	KUNIT_EXPECT_EQ(test, truncate_to(file, 2 * size), -EPERM);
	KUNIT_EXPECT_NE(test, mapping_map_writable(file->f_mapping), 0);
	KUNIT_EXPECT_EQ(test, memfd_fcntl(file, F_ADD_SEALS, F_SEAL_GROW), -EPERM);
	/* reading is fine, and nothing of the above left anything */
	check_page(test, file, 1, true);
	check_page(test, file, 2, false);
	KUNIT_EXPECT_EQ(test, i_size_read(file_inode(file)), size);
	KUNIT_EXPECT_EQ(test, file->f_mapping->nrpages, 1);
	pkram_file_thaw(pf);
}

/* A file that was let go is as it was before. */
static void file_thawed(struct kunit *test)
{
	struct file *file = new_file(test, 2 * PAGE_SIZE);

	pkram_file_thaw(freeze(test, file));
	KUNIT_EXPECT_EQ(test, memfd_fcntl(file, F_GET_SEALS, 0), 0);
	KUNIT_EXPECT_FALSE(test, mapping_unevictable(file->f_mapping));
	KUNIT_EXPECT_EQ(test, mapping_map_writable(file->f_mapping), 0);
	mapping_unmap_writable(file->f_mapping);
	fill_page(test, file, 0);
	KUNIT_EXPECT_EQ(test, vfs_fallocate(file, 0, PAGE_SIZE, PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, truncate_to(file, PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, truncate_to(file, 3 * PAGE_SIZE), 0);

	/* with seals of its own, and with unevictable pages */
	KUNIT_ASSERT_EQ(test, memfd_fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	mapping_set_unevictable(file->f_mapping);
	pkram_file_thaw(freeze(test, file));
	KUNIT_EXPECT_EQ(test, memfd_fcntl(file, F_GET_SEALS, 0), F_SEAL_SHRINK);
	KUNIT_EXPECT_TRUE(test, mapping_unevictable(file->f_mapping));
	mapping_clear_unevictable(file->f_mapping);
	KUNIT_EXPECT_EQ(test, truncate_to(file, 0), -EPERM);
	KUNIT_EXPECT_EQ(test, truncate_to(file, 4 * PAGE_SIZE), 0);
}

/* F_SEAL_WRITE denies writable mappings for good: a thaw must not allow them. */
static void file_thawed_sealed(struct kunit *test)
{
	struct file *file = new_file(test, PAGE_SIZE);
	loff_t pos = 0;

	KUNIT_ASSERT_EQ(test, memfd_fcntl(file, F_ADD_SEALS, F_SEAL_WRITE), 0);
	pkram_file_thaw(freeze(test, file));
	KUNIT_EXPECT_EQ(test, memfd_fcntl(file, F_GET_SEALS, 0), F_SEAL_WRITE);
	KUNIT_EXPECT_EQ(test, mapping_map_writable(file->f_mapping), -EPERM);
	KUNIT_EXPECT_EQ(test, kernel_write(file, "x", 1, &pos), -EPERM);
}

/* Save files through what /dev/pkram uses. */
static struct pkram_save *begin_files(struct kunit *test, const char *name)
{
	struct pkram_save *save = pkram_save_begin(name);

	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR(save), "%pe", save);
	return save;
}

static int add_file(struct pkram_save *save, struct file *file)
{
	struct pkram_ioctl_save_file arg = { };

	return pkram_save_file(save, file, &arg);
}

static int add_bytes(struct pkram_save *save, u32 *object, const void *buf, size_t len)
{
	struct kvec vec = { .iov_base = (void *)buf, .iov_len = len };
	struct iov_iter iter;

	iov_iter_kvec(&iter, ITER_SOURCE, &vec, 1, len);
	return pkram_save_bytes(save, object, &iter);
}

static void abort_files(struct pkram_save *save)
{
	pkram_save_abort(save);
	pkram_save_put(save);
}

static void commit_files(struct kunit *test, struct pkram_save *save, const char *name)
{
	u64 id = 0;

	KUNIT_EXPECT_EQ(test, pkram_save_commit(save, false, &id), 0);
	KUNIT_EXPECT_NE(test, id, 0);
	pkram_save_put(save);
	check_node(test, name);
}

static void save_one(struct kunit *test, const char *name, struct file *file)
{
	struct pkram_save *save = begin_files(test, name);

	KUNIT_EXPECT_EQ(test, add_file(save, file), 0);
	commit_files(test, save, name);
}

/* References of the pages of a file beyond those of the page cache. */
static long extra_refs(struct file *file)
{
	struct folio *folio;
	unsigned long i;
	long extra = 0;

	lru_add_drain_all();
	xa_for_each(&file->f_mapping->i_pages, i, folio)
		if (!xa_is_value(folio))
			extra += folio_ref_count(folio) - folio_nr_pages(folio);
	return extra;
}

static void file_save_refs(struct kunit *test)
{
	struct file *file = new_file(test, 100 * PAGE_SIZE);
	struct pkram_save *save;
	unsigned int i;

	for (i = 0; i < 100; i += 2)
		fill_page(test, file, i);
	KUNIT_EXPECT_EQ(test, extra_refs(file), 0);
	save = begin_files(test, "n");
	KUNIT_EXPECT_EQ(test, add_file(save, file), 0);
	KUNIT_EXPECT_EQ(test, extra_refs(file), 50);
	/* it is in there already */
	KUNIT_EXPECT_EQ(test, add_file(save, file), -EBUSY);
	abort_files(save);
	KUNIT_EXPECT_EQ(test, extra_refs(file), 0);
	KUNIT_EXPECT_EQ(test, seals_of(file), 0);
	expect_unchanged(test);

	save_one(test, "n", file);
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 50);
	KUNIT_EXPECT_EQ(test, extra_refs(file), 50);
	KUNIT_EXPECT_EQ(test, file->f_mapping->nrpages, 50);
	remove_node(test, "n");
	KUNIT_EXPECT_EQ(test, extra_refs(file), 0);
	KUNIT_EXPECT_EQ(test, seals_of(file), 0);
}

/* A page that must not be saved: the file is thawed, the node is as before. */
static void file_save_refused(struct kunit *test)
{
	struct file *file = new_file(test, 10 * PAGE_SIZE), *good = new_file(test, PAGE_SIZE);
	struct pkram_save *save = begin_files(test, "n");
	struct folio *folio;
	unsigned int i;

	fill_page(test, good, 0);
	for (i = 0; i < 10; i++)
		fill_page(test, file, i);
	folio = filemap_get_folio(file->f_mapping, 5);
	KUNIT_ASSERT_FALSE(test, IS_ERR(folio));
	KUNIT_EXPECT_EQ(test, add_file(save, good), 0);

	/* as if it were pinned for DMA */
	folio_ref_add(folio, GUP_PIN_COUNTING_BIAS);
	KUNIT_EXPECT_EQ(test, add_file(save, file), -EBUSY);
	folio_ref_sub(folio, GUP_PIN_COUNTING_BIAS);
	KUNIT_EXPECT_EQ(test, seals_of(file), 0);
	if (IS_ENABLED(CONFIG_MEMORY_FAILURE)) {
		SetPageHWPoison(folio_page(folio, 0));
		KUNIT_EXPECT_EQ(test, add_file(save, file), -EHWPOISON);
		ClearPageHWPoison(folio_page(folio, 0));
	}
	folio_put(folio);
	KUNIT_EXPECT_EQ(test, seals_of(file), 0);
	KUNIT_EXPECT_EQ(test, extra_refs(file), 0);
	KUNIT_EXPECT_EQ(test, add_file(save, file), 0);
	commit_files(test, save, "n");
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 11);
	remove_node(test, "n");
}

/* Folios as they are after a kexec: allocated, in no file, on no list, not charged. */
static void make_fresh(const struct pkram_object *obj)
{
	struct pkram_reader r;
	unsigned int order;
	struct page *page;
	u64 index;

	lru_add_drain_all();
	pkram_reader_init(&r, obj->pages_head);
	while ((page = pkram_reader_next(&r, &index, &order))) {
		struct folio *folio = page_folio(page);

		if (folio_isolate_lru(folio))
			folio_put(folio);
		mem_cgroup_uncharge(folio);
		folio->flags &= ~(1UL << PG_uptodate | 1UL << PG_dirty | 1UL << PG_referenced |
				  1UL << PG_active | 1UL << PG_workingset |
				  1UL << PG_swapbacked | 1UL << PG_unevictable);
	}
}

/*
 * Let go of the saved file @file, object @index of a node, as if there had been a
 * kexec. Nothing but the node refers to its pages afterwards.
 */
static struct pkram_object *forget_file(struct kunit *test, struct pkram_node *node, u32 index,
					struct file *file)
{
	struct pkram_object *obj = pkram_node_object(node, index);
	struct pkram_file *pf = xa_erase(&node->files, index);
	struct pkram_reader r;
	unsigned int order, wrong = 0;
	struct page *page;
	u64 at;

	KUNIT_ASSERT_NOT_NULL(test, pf);
	pkram_file_thaw(pf);
	close_file(test, file);
	make_fresh(obj);
	pkram_reader_init(&r, obj->pages_head);
	while ((page = pkram_reader_next(&r, &at, &order)))
		wrong += page_ref_count(page) != 1 || page->mapping;
	KUNIT_EXPECT_EQ(test, wrong, 0);
	return obj;
}

/* Load object @index of a node; the file is the test's, too. */
static struct file *load_file(struct kunit *test, struct pkram_node *node, u32 index,
			      struct file *target)
{
	struct pkram_file *pf;
	struct file *file;

	pf = pkram_file_load(pkram_node_object(node, index), target, NULL);
	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR(pf), "%pe", pf);
	file = get_file(pf->file);
	own_file(test, file);
	KUNIT_EXPECT_EQ(test, xa_err(xa_store(&node->files, index, pf, GFP_KERNEL)), 0);
	return file;
}

static struct pkram_node *pin(struct kunit *test, const char *name)
{
	struct pkram_node *node = pkram_node_get(name);

	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR(node), "%pe", node);
	return node;
}

/* Save a file, forget it, load it. The node is pinned when this returns. */
static struct file *round_trip(struct kunit *test, struct file *file, struct file *target,
			       struct pkram_node **ret_node)
{
	unsigned long nrpages = file->f_mapping->nrpages;
	loff_t size = i_size_read(file_inode(file));
	struct pkram_node *node;

	save_one(test, "n", file);
	KUNIT_EXPECT_EQ(test, pkram.data_pages, nrpages);
	node = pin(test, "n");
	forget_file(test, node, 0, file);
	file = load_file(test, node, 0, target);
	KUNIT_EXPECT_EQ(test, file->f_mapping->nrpages, nrpages);
	KUNIT_EXPECT_EQ(test, i_size_read(file_inode(file)), size);
	*ret_node = node;
	return file;
}

static void end_trip(struct kunit *test, struct pkram_node *node, struct file *file)
{
	u64 id;

	KUNIT_EXPECT_EQ(test, pkram_node_remove("n", node, &id), 0);
	KUNIT_EXPECT_EQ(test, extra_refs(file), 0);
}

static void file_trip_dense(struct kunit *test)
{
	/* more than a batch; the size is no multiple of anything */
	struct file *file = new_file(test, 300 * PAGE_SIZE);
	struct pkram_node *node;
	unsigned int i;

	for (i = 0; i < 300; i++)
		fill_page(test, file, i);
	KUNIT_ASSERT_EQ(test, truncate_to(file, 299 * PAGE_SIZE + PAGE_SIZE - 3), 0);
	file = round_trip(test, file, NULL, &node);
	KUNIT_EXPECT_EQ(test, extra_refs(file), 300);
	for (i = 0; i < 300; i++)
		check_page(test, file, i, true);
	end_trip(test, node, file);
	for (i = 0; i < 300; i++)
		check_page(test, file, i, true);
}

/* Holes stay holes; what was allocated and not written is there, and zero. */
static void file_trip_holes(struct kunit *test)
{
	struct file *file = new_file(test, 400 * PAGE_SIZE + 1);
	struct pkram_node *node;
	unsigned int i;

	for (i = 3; i < 200; i += 1 + i % 5)
		fill_page(test, file, i);
	KUNIT_ASSERT_EQ(test, vfs_fallocate(file, 0, 250 * PAGE_SIZE, 10 * PAGE_SIZE), 0);
	fill_page(test, file, 255);
	file = round_trip(test, file, NULL, &node);
	for (i = 0; i < 400; i++) {
		struct folio *folio = filemap_get_folio(file->f_mapping, i);

		KUNIT_EXPECT_EQ_MSG(test, IS_ERR(folio), i >= 260 || i < 250 ?
				    !(i >= 3 && i < 200 && !IS_ERR(folio)) : false, "page %u", i);
		if (!IS_ERR(folio)) {
			check_page(test, file, i, i == 255 || i < 250);
			folio_put(folio);
		}
	}
	end_trip(test, node, file);
}

/* Pages beyond the end, as fallocate(KEEP_SIZE) makes them. */
static void file_trip_beyond_end(struct kunit *test)
{
	struct file *file = new_file(test, PAGE_SIZE);
	struct pkram_node *node;

	fill_page(test, file, 0);
	KUNIT_ASSERT_EQ(test, vfs_fallocate(file, FALLOC_FL_KEEP_SIZE, 0, 20 * PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, file->f_mapping->nrpages, 20);
	file = round_trip(test, file, NULL, &node);
	KUNIT_EXPECT_EQ(test, SHMEM_I(file_inode(file))->fallocend, 20);
	check_page(test, file, 0, true);
	end_trip(test, node, file);
	KUNIT_EXPECT_EQ(test, truncate_to(file, 20 * PAGE_SIZE), 0);
	check_page(test, file, 19, false);
}

static void file_trip_empty(struct kunit *test)
{
	struct pkram_node *node;
	struct file *file;

	file = round_trip(test, new_file(test, 0), NULL, &node);
	end_trip(test, node, file);
	/* nothing but a hole */
	file = round_trip(test, new_file(test, 12345678), NULL, &node);
	check_page(test, file, 1000, false);
	end_trip(test, node, file);
}

static void file_trip_huge_index(struct kunit *test)
{
	static const u64 at[] = {
		0, 1, 512, 1ULL << 20, (1ULL << 31) + 5, 1ULL << 40, (1ULL << 50) + 1,
		PKRAM_MAX_INDEX - 2, PKRAM_MAX_INDEX - 1,
	};
	struct file *file = new_file(test, MAX_LFS_FILESIZE);
	struct pkram_node *node;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(at); i++)
		fill_page(test, file, at[i]);
	file = round_trip(test, file, NULL, &node);
	for (i = 0; i < ARRAY_SIZE(at); i++)
		check_page(test, file, at[i], true);
	check_page(test, file, 2, false);
	end_trip(test, node, file);
}

/* A file of huge pages stays one. */
static void file_trip_huge_pages(struct kunit *test)
{
	struct vfsmount *mnt = new_tmpfs(test, "huge", "always");
	struct file *file, *target;
	struct pkram_node *node;
	struct folio *folio;
	unsigned int order;

	file = shmem_file_setup_with_mnt(mnt, "huge", 2 * SZ_2M, VM_NORESERVE);
	own_file(test, file);
	fill_page(test, file, 5);
	fill_page(test, file, 1000);
	folio = filemap_get_folio(file->f_mapping, 5);
	KUNIT_ASSERT_FALSE(test, IS_ERR(folio));
	order = folio_order(folio);
	folio_put(folio);
	if (!order)
		kunit_skip(test, "no huge page to be had");

	target = shmem_file_setup_with_mnt(mnt, "huge", 0, VM_NORESERVE);
	own_file(test, target);
	file = round_trip(test, file, target, &node);
	folio = filemap_get_folio(file->f_mapping, 5);
	KUNIT_ASSERT_FALSE(test, IS_ERR(folio));
	KUNIT_EXPECT_EQ(test, folio_order(folio), order);
	folio_put(folio);
	check_page(test, file, 5, true);
	check_page(test, file, 6, false);
	check_page(test, file, 1000, true);
	end_trip(test, node, file);
}

static void file_attributes(struct kunit *test)
{
	const struct timespec64 a = { 1111, 1 }, m = { 2222, 22 }, c = { 3333, 333 };
	struct file *file = new_file(test, PAGE_SIZE);
	struct inode *inode = file_inode(file);
	struct pkram_node *node;
	struct timespec64 ts;

	inode->i_mode = S_IFREG | 04751;
	inode->i_uid = make_kuid(&init_user_ns, 1234);
	inode->i_gid = make_kgid(&init_user_ns, 56789);
	KUNIT_ASSERT_EQ(test, memfd_fcntl(file, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SEAL), 0);
	inode_set_atime_to_ts(inode, a);
	inode_set_mtime_to_ts(inode, m);
	inode_set_ctime_to_ts(inode, c);

	file = round_trip(test, file, NULL, &node);
	inode = file_inode(file);
	KUNIT_EXPECT_EQ(test, inode->i_mode, S_IFREG | 04751);
	KUNIT_EXPECT_EQ(test, from_kuid(&init_user_ns, inode->i_uid), 1234);
	KUNIT_EXPECT_EQ(test, from_kgid(&init_user_ns, inode->i_gid), 56789);
	ts = inode_get_atime(inode);
	KUNIT_EXPECT_TRUE(test, timespec64_equal(&ts, &a));
	ts = inode_get_mtime(inode);
	KUNIT_EXPECT_TRUE(test, timespec64_equal(&ts, &m));
	ts = inode_get_ctime(inode);
	KUNIT_EXPECT_TRUE(test, timespec64_equal(&ts, &c));
	end_trip(test, node, file);
	KUNIT_EXPECT_EQ(test, memfd_fcntl(file, F_GET_SEALS, 0), F_SEAL_GROW | F_SEAL_SEAL);
}

static void file_write_sealed_trip(struct kunit *test)
{
	struct file *file = new_file(test, PAGE_SIZE);
	struct pkram_node *node;

	fill_page(test, file, 0);
	KUNIT_ASSERT_EQ(test, memfd_fcntl(file, F_ADD_SEALS, F_SEAL_WRITE), 0);
	file = round_trip(test, file, NULL, &node);
	end_trip(test, node, file);
	KUNIT_EXPECT_EQ(test, memfd_fcntl(file, F_GET_SEALS, 0), F_SEAL_WRITE);
	KUNIT_EXPECT_EQ(test, mapping_map_writable(file->f_mapping), -EPERM);
	check_page(test, file, 0, true);
}

/* Frozen while the node is there, an ordinary file of reclaimable pages later. */
static void file_loaded(struct kunit *test)
{
	struct file *file = new_file(test, 100 * PAGE_SIZE), *again;
	unsigned int i, wrong = 0;
	struct pkram_node *node;
	struct folio *folio;
	loff_t pos = 0;

	for (i = 0; i < 100; i++)
		fill_page(test, file, i);
	file = round_trip(test, file, NULL, &node);
	KUNIT_EXPECT_EQ(test, kernel_write(file, "x", 1, &pos), -EPERM);
	KUNIT_EXPECT_EQ(test, truncate_to(file, 0), -EPERM);
	KUNIT_EXPECT_EQ(test, vfs_fallocate(file, 0, 0, PAGE_SIZE), -EPERM);
	/* a descriptor of its own, with a position of its own */
	again = pkram_file_open(xa_load(&node->files, 0));
	own_file(test, again);
	KUNIT_EXPECT_PTR_EQ(test, file_inode(again), file_inode(file));
	KUNIT_EXPECT_EQ(test, again->f_pos, 0);
	check_page(test, again, 99, true);

	end_trip(test, node, file);
	for (i = 0; i < 100; i++) {
		folio = filemap_get_folio(file->f_mapping, i);
		KUNIT_ASSERT_FALSE(test, IS_ERR(folio));
		wrong += !folio_test_lru(folio) || folio_test_unevictable(folio);
		folio_put(folio);
	}
	KUNIT_EXPECT_EQ_MSG(test, wrong, 0, "pages that cannot be reclaimed");
	KUNIT_EXPECT_EQ(test, seals_of(file), 0);
	pos = 0;
	KUNIT_EXPECT_EQ(test, kernel_write(again, "x", 1, &pos), 1);
	KUNIT_EXPECT_EQ(test, truncate_to(file, 0), 0);
	KUNIT_EXPECT_EQ(test, file->f_mapping->nrpages, 0);
}

static void file_load_target(struct kunit *test)
{
	struct file *file = new_file(test, 5 * PAGE_SIZE), *target = new_file(test, 0);
	struct file *sized = new_file(test, PAGE_SIZE), *held = new_file(test, 0);
	struct file *other = anon_inode_getfile("[pkram-test]", &no_fops, NULL, O_RDWR);
	struct pkram_object *obj;
	struct pkram_node *node;

	own_file(test, other);
	fill_page(test, file, 2);
	save_one(test, "n", file);
	node = pin(test, "n");
	obj = forget_file(test, node, 0, file);

	KUNIT_EXPECT_PTR_EQ(test, pkram_file_load(obj, other, NULL), ERR_PTR(-EINVAL));
	KUNIT_EXPECT_PTR_EQ(test, pkram_file_load(obj, sized, NULL), ERR_PTR(-EINVAL));
	/* empty, but for a page behind its end */
	KUNIT_ASSERT_EQ(test, truncate_to(sized, 0), 0);
	KUNIT_ASSERT_EQ(test, vfs_fallocate(sized, FALLOC_FL_KEEP_SIZE, 0, PAGE_SIZE), 0);
	KUNIT_EXPECT_PTR_EQ(test, pkram_file_load(obj, sized, NULL), ERR_PTR(-EINVAL));
	/* mapped by somebody who could change what is loaded */
	KUNIT_ASSERT_EQ(test, mapping_map_writable(held->f_mapping), 0);
	KUNIT_EXPECT_PTR_EQ(test, pkram_file_load(obj, held, NULL), ERR_PTR(-EBUSY));
	mapping_unmap_writable(held->f_mapping);
	KUNIT_EXPECT_EQ(test, seals_of(held), 0);
	/* sealed against what loading would do */
	KUNIT_ASSERT_EQ(test, memfd_fcntl(held, F_ADD_SEALS, F_SEAL_GROW), 0);
	KUNIT_EXPECT_PTR_EQ(test, pkram_file_load(obj, held, NULL), ERR_PTR(-EPERM));
	KUNIT_EXPECT_EQ(test, seals_of(held), F_SEAL_GROW);

	KUNIT_EXPECT_PTR_EQ(test, load_file(test, node, 0, target), target);
	check_page(test, target, 2, true);
	/* it is full and frozen now */
	KUNIT_EXPECT_PTR_EQ(test, pkram_file_load(obj, target, NULL), ERR_PTR(-EINVAL));
	end_trip(test, node, target);
	check_page(test, target, 2, true);
}

/* A tmpfs that is too small: nothing remains in the file, the object can be loaded. */
static void file_load_no_space(struct kunit *test)
{
	struct vfsmount *mnt = new_tmpfs(test, "nr_blocks", "150");
	struct file *file = new_file(test, 200 * PAGE_SIZE), *target;
	struct pkram_object *obj;
	struct pkram_node *node;
	unsigned int i;

	target = shmem_file_setup_with_mnt(mnt, "small", 0, VM_NORESERVE);
	own_file(test, target);
	SHMEM_I(file_inode(target))->seals = 0;
	for (i = 0; i < 200; i++)
		fill_page(test, file, i);
	save_one(test, "n", file);
	node = pin(test, "n");
	obj = forget_file(test, node, 0, file);

	KUNIT_EXPECT_PTR_EQ(test, pkram_file_load(obj, target, NULL), ERR_PTR(-ENOSPC));
	KUNIT_EXPECT_EQ(test, i_size_read(file_inode(target)), 0);
	KUNIT_EXPECT_EQ(test, target->f_mapping->nrpages, 0);
	KUNIT_EXPECT_EQ(test, seals_of(target), 0);
	KUNIT_EXPECT_EQ(test, file_inode(target)->i_blocks, 0);
	/* all of its room is free again */
	KUNIT_EXPECT_EQ(test, vfs_fallocate(target, 0, 0, 150 * PAGE_SIZE), 0);

	make_fresh(obj);
	file = load_file(test, node, 0, NULL);
	for (i = 0; i < 200; i++)
		check_page(test, file, i, true);
	end_trip(test, node, file);
}

/* Pages that lie where an image goes: their copies are preserved. */
static void file_save_banned(struct kunit *test)
{
	struct file *file = new_file(test, 8 * PAGE_SIZE);
	struct pkram_node *node;
	struct pkram_object *obj;
	struct pkram_reader r;
	unsigned int order, i;
	struct folio *folio;
	struct page *page;
	u64 index;

	for (i = 0; i < 8; i++)
		fill_page(test, file, i);
	folio = filemap_get_folio(file->f_mapping, 3);
	KUNIT_ASSERT_FALSE(test, IS_ERR(folio));
	add_ban(test, folio_pfn(folio), folio_pfn(folio) + 1);
	/* check_node() finds no banned page in it */
	save_one(test, "n", file);
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 8);
	KUNIT_EXPECT_EQ(test, extra_refs(file), 7 + 1);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 2);
	node = pin(test, "n");
	obj = pkram_node_object(node, 0);
	pkram_reader_init(&r, obj->pages_head);
	for (i = 0; (page = pkram_reader_next(&r, &index, &order)); i++) {
		KUNIT_EXPECT_EQ(test, index, i);
		KUNIT_EXPECT_EQ(test, page == folio_page(folio, 0), false);
		if (i == 3)
			KUNIT_EXPECT_EQ(test, memcmp(page_address(page), folio_address(folio),
						     PAGE_SIZE), 0);
	}
	KUNIT_EXPECT_EQ(test, i, 8);
	folio_put(folio);
	forget_file(test, node, 0, file);
	file = load_file(test, node, 0, NULL);
	for (i = 0; i < 8; i++)
		check_page(test, file, i, true);
	end_trip(test, node, file);
}

/* Several files and byte streams in one node, and files put back separately. */
static void file_several(struct kunit *test)
{
	struct pkram_save *save = begin_files(test, "n");
	struct pkram_node *node;
	struct file *f[40];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(f); i++) {
		f[i] = new_file(test, (i + 1) * PAGE_SIZE);
		fill_page(test, f[i], i);
		KUNIT_EXPECT_EQ(test, add_file(save, f[i]), 0);
	}
	commit_files(test, save, "n");
	node = pin(test, "n");
	for (i = 0; i < ARRAY_SIZE(f); i++)
		forget_file(test, node, i, f[i]);
	for (i = ARRAY_SIZE(f); i--;) {
		f[i] = load_file(test, node, i, NULL);
		KUNIT_EXPECT_EQ(test, i_size_read(file_inode(f[i])), (i + 1) * PAGE_SIZE);
		check_page(test, f[i], i, true);
	}
	end_trip(test, node, f[0]);
	for (i = 0; i < ARRAY_SIZE(f); i++)
		KUNIT_EXPECT_EQ(test, extra_refs(f[i]), 0);
}

/* A loader that runs on its own, for those that have to wait */

struct loader {
	struct pkram_node *node;
	u32 index;
	struct file *target;
	struct pkram_file *pf;
	struct completion done;
};

static int run_loader(void *data)
{
	struct loader *l = data;

	l->pf = pkram_load_object(l->node, l->index, l->target, PKRAM_FD_NONE);
	complete_all(&l->done);
	return 0;
}

static struct loader *start_loader(struct kunit *test, struct pkram_node *node, u32 index,
				   struct file *target)
{
	struct loader *l = kunit_kzalloc(test, sizeof(*l), GFP_KERNEL);
	struct task_struct *task;

	KUNIT_ASSERT_NOT_NULL(test, l);
	l->node = node;
	l->index = index;
	l->target = target;
	init_completion(&l->done);
	task = kthread_run(run_loader, l, "pkram-loader");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	return l;
}

/* Two loaders are at work in one node at the same time: one stands still inside. */
static void file_load_parallel(struct kunit *test)
{
	struct file *file[2], *target = new_file(test, 0);
	struct pkram_save *save = begin_files(test, "n");
	struct loader *slow, *fast, *same;
	struct pkram_node *node;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		file[i] = new_file(test, PAGE_SIZE);
		fill_page(test, file[i], i);
		KUNIT_EXPECT_EQ(test, add_file(save, file[i]), 0);
	}
	commit_files(test, save, "n");
	node = pin(test, "n");
	for (i = 0; i < 2; i++)
		forget_file(test, node, i, file[i]);

	inode_lock(file_inode(target));
	slow = start_loader(test, node, 0, target);
	for (i = 0; i < 500 && xa_load(&node->files, 0) != PKRAM_FILE_LOADING; i++)
		msleep(20);
	KUNIT_EXPECT_PTR_EQ(test, xa_load(&node->files, 0), PKRAM_FILE_LOADING);
	fast = start_loader(test, node, 1, NULL);
	KUNIT_EXPECT_TRUE(test, wait_for_completion_timeout(&fast->done, 10 * HZ));
	KUNIT_EXPECT_FALSE(test, completion_done(&slow->done));
	/* the same object: into another file not at all, else when it is there */
	KUNIT_EXPECT_PTR_EQ(test, pkram_load_object(node, 0, target, PKRAM_FD_NONE),
			    ERR_PTR(-EBUSY));
	same = start_loader(test, node, 0, NULL);
	msleep(50);
	KUNIT_EXPECT_FALSE(test, completion_done(&same->done));
	inode_unlock(file_inode(target));
	wait_for_completion(&slow->done);
	wait_for_completion(&same->done);
	wait_for_completion(&fast->done);

	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR(slow->pf), "%pe", slow->pf);
	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR(fast->pf), "%pe", fast->pf);
	KUNIT_EXPECT_PTR_EQ(test, same->pf, slow->pf);
	KUNIT_EXPECT_PTR_EQ(test, slow->pf->file, target);
	file[1] = get_file(fast->pf->file);
	own_file(test, file[1]);
	check_page(test, target, 0, true);
	check_page(test, file[1], 1, true);
	end_trip(test, node, target);
	KUNIT_EXPECT_EQ(test, extra_refs(file[1]), 0);
}

/* One that fails makes way for the next. */
static void file_load_again(struct kunit *test)
{
	struct file *file = new_file(test, PAGE_SIZE), *sized = new_file(test, PAGE_SIZE);
	struct pkram_file *pf;
	struct pkram_node *node;

	fill_page(test, file, 0);
	save_one(test, "n", file);
	node = pin(test, "n");
	forget_file(test, node, 0, file);
	KUNIT_EXPECT_PTR_EQ(test, pkram_load_object(node, 0, sized, PKRAM_FD_NONE),
			    ERR_PTR(-EINVAL));
	KUNIT_EXPECT_PTR_EQ(test, pkram_load_object(node, 0, NULL, -2), ERR_PTR(-EBADF));
	KUNIT_EXPECT_TRUE(test, xa_empty(&node->files));
	pf = pkram_load_object(node, 0, NULL, PKRAM_FD_NONE);
	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR(pf), "%pe", pf);
	KUNIT_EXPECT_PTR_EQ(test, pkram_load_object(node, 0, NULL, PKRAM_FD_NONE), pf);
	KUNIT_EXPECT_PTR_EQ(test, pkram_load_object(node, 0, sized, PKRAM_FD_NONE),
			    ERR_PTR(-EBUSY));
	file = get_file(pf->file);
	own_file(test, file);
	check_page(test, file, 0, true);
	end_trip(test, node, file);
}

static struct page *page_of(__le64 head, unsigned int n)
{
	struct pkram_reader r;
	unsigned int order;
	struct page *page;
	u64 index;

	pkram_reader_init(&r, head);
	do {
		page = pkram_reader_next(&r, &index, &order);
	} while (page && n--);
	return page;
}

static ssize_t read_object(const struct pkram_object *obj, void *buf, size_t len)
{
	struct kvec vec = { .iov_base = buf, .iov_len = len };
	struct iov_iter iter;

	iov_iter_kvec(&iter, ITER_DEST, &vec, 1, len);
	return pkram_bytes_read(obj, 0, &iter);
}

#ifdef CONFIG_MEMORY_FAILURE

/* What the hardware loses between the save and the jump costs its object only. */
static void poison_objects(struct kunit *test)
{
	struct pkram_save *save;
	struct file *file[2];
	u32 bytes = PKRAM_OBJECT_NEW, whole = PKRAM_OBJECT_NEW;
	struct pkram_object *obj[4];
	struct page *bad[2];
	struct pkram_node *node;
	unsigned int i;
	char buf[3];
	long count;

	save = begin_files(test, "n");
	for (i = 0; i < 2; i++) {
		file[i] = new_file(test, 6 * PAGE_SIZE);
		fill_page(test, file[i], 0);
		fill_page(test, file[i], 5);
		KUNIT_EXPECT_EQ(test, add_file(save, file[i]), 0);
	}
	KUNIT_EXPECT_EQ(test, add_bytes(save, &bytes, "abc", 3), 0);
	KUNIT_EXPECT_EQ(test, add_bytes(save, &whole, "def", 3), 0);
	commit_files(test, save, "n");
	node = pin(test, "n");
	for (i = 0; i < 2; i++)
		forget_file(test, node, i, file[i]);
	for (i = 0; i < 4; i++)
		obj[i] = pkram_node_object(node, i);
	KUNIT_EXPECT_EQ(test, pkram_poison_node(node->page), 0);

	bad[0] = page_of(obj[1]->pages_head, 1);
	bad[1] = page_of(obj[2]->bytes_head, 0);
	for (i = 0; i < 2; i++)
		SetPageHWPoison(bad[i]);
	/* seen even before there is a seal */
	KUNIT_EXPECT_PTR_EQ(test, pkram_file_load(obj[1], NULL, NULL), ERR_PTR(-EHWPOISON));
	KUNIT_EXPECT_EQ(test, read_object(obj[2], buf, 3), -EHWPOISON);

	KUNIT_EXPECT_EQ(test, pkram_poison_node(node->page), 2);
	check_node(test, "n");
	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, le64_to_cpu(obj[i]->nr_poisoned), i == 1 || i == 2);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(obj[1]->poisoned[0]), page_to_pfn(bad[0]));

	/* the jump: the flags are gone, what is noted is not */
	for (i = 0; i < 2; i++)
		ClearPageHWPoison(bad[i]);
	count = atomic_long_read(&num_poisoned_pages);
	KUNIT_EXPECT_EQ(test, pkram_poison_adopt(node->page), 2);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&num_poisoned_pages), count + 2);
	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_TRUE(test, PageHWPoison(bad[i]));
		ClearPageHWPoison(bad[i]);
		num_poisoned_pages_sub(page_to_pfn(bad[i]), 1);
	}
	KUNIT_EXPECT_PTR_EQ(test, pkram_file_load(obj[1], NULL, NULL), ERR_PTR(-EHWPOISON));
	KUNIT_EXPECT_EQ(test, read_object(obj[2], buf, 3), -EHWPOISON);
	KUNIT_EXPECT_EQ(test, read_object(obj[3], buf, 3), 3);
	KUNIT_EXPECT_MEMEQ(test, buf, "def", 3);
	/* the next seal does not forget them either */
	KUNIT_EXPECT_EQ(test, pkram_poison_node(node->page), 2);
	check_node(test, "n");

	file[0] = load_file(test, node, 0, NULL);
	check_page(test, file[0], 0, true);
	check_page(test, file[0], 5, true);
	end_trip(test, node, file[0]);
}

/* More of them than an object has room for; and an object in a page of its own. */
static void poison_many(struct kunit *test)
{
	struct pkram_save *save = begin_files(test, "n");
	struct file *file = new_file(test, 8 * PAGE_SIZE);
	unsigned int i, nr = PKRAM_NODE_OBJECTS + PKRAM_PAGE_OBJECTS_MAX + 1;
	struct pkram_object *obj;
	struct pkram_node *node;
	struct page *bad[6];

	for (i = 0; i < nr; i++) {
		u32 object = PKRAM_OBJECT_NEW;

		KUNIT_EXPECT_EQ(test, add_bytes(save, &object, "x", 1), 0);
	}
	for (i = 0; i < 8; i++)
		fill_page(test, file, i);
	KUNIT_EXPECT_EQ(test, add_file(save, file), 0);
	commit_files(test, save, "n");
	node = pin(test, "n");
	obj = pkram_node_object(node, nr);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		bad[i] = page_of(obj->pages_head, i + 1);
		SetPageHWPoison(bad[i]);
	}
	KUNIT_EXPECT_EQ(test, pkram_poison_node(node->page), ARRAY_SIZE(bad));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		if (i < PKRAM_OBJ_POISONED)
			KUNIT_EXPECT_EQ(test, le64_to_cpu(obj->poisoned[i]),
					page_to_pfn(bad[i]));
		ClearPageHWPoison(bad[i]);
	}
	check_node(test, "n");
	pkram_node_put(node);
	remove_node(test, "n");
}

/* A node that cannot be read any more is not handed on, the others are. */
static void poison_metadata(struct kunit *test)
{
	struct file *file[2];
	struct pkram_node *node[2];
	struct page *bad;
	unsigned int i;
	__le64 head;

	for (i = 0; i < 2; i++) {
		file[i] = new_file(test, PAGE_SIZE);
		fill_page(test, file[i], 0);
		save_one(test, i ? "good" : "bad", file[i]);
		node[i] = pin(test, i ? "good" : "bad");
	}
	head = pkram_node_object(node[0], 0)->pages_head;
	bad = pfn_to_page(le64_to_cpu(head));
	SetPageHWPoison(bad);
	KUNIT_EXPECT_LT(test, pkram_poison_node(node[0]->page), 0);
	/* nobody told memory_failure(): nothing is looked at */
	if (!atomic_long_read(&num_poisoned_pages)) {
		KUNIT_EXPECT_TRUE(test, pkram_poison_seal());
		KUNIT_EXPECT_NE(test, le64_to_cpu(*node[0]->slot), 0);
	}
	num_poisoned_pages_inc(page_to_pfn(bad));
	KUNIT_EXPECT_TRUE(test, pkram_poison_seal());
	KUNIT_EXPECT_EQ(test, le64_to_cpu(*node[0]->slot), 0);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(*node[1]->slot), pkram_pfn(node[1]->page));
	ClearPageHWPoison(bad);
	*node[0]->slot = node[0]->page->hdr.pfn;

	bad = virt_to_page(node[0]->page);
	SetPageHWPoison(bad);
	KUNIT_EXPECT_TRUE(test, pkram_poison_seal());
	KUNIT_EXPECT_EQ(test, le64_to_cpu(*node[0]->slot), 0);
	ClearPageHWPoison(bad);

	bad = virt_to_page(pkram.sb);
	SetPageHWPoison(bad);
	KUNIT_EXPECT_FALSE(test, pkram_poison_seal());
	ClearPageHWPoison(bad);
	num_poisoned_pages_sub(page_to_pfn(bad), 1);
	for (i = 0; i < 2; i++) {
		pkram_node_put(node[i]);
		remove_node(test, i ? "good" : "bad");
	}
}

#endif /* CONFIG_MEMORY_FAILURE */

static struct kunit_case pkram_file_cases[] = {
	KUNIT_CASE(file_freeze_refuses),
	KUNIT_CASE(file_frozen),
	KUNIT_CASE(file_thawed),
	KUNIT_CASE(file_thawed_sealed),
	KUNIT_CASE(file_save_refs),
	KUNIT_CASE(file_save_refused),
	KUNIT_CASE(file_trip_dense),
	KUNIT_CASE(file_trip_holes),
	KUNIT_CASE(file_trip_beyond_end),
	KUNIT_CASE(file_trip_empty),
	KUNIT_CASE(file_trip_huge_index),
	KUNIT_CASE(file_trip_huge_pages),
	KUNIT_CASE(file_attributes),
	KUNIT_CASE(file_write_sealed_trip),
	KUNIT_CASE(file_loaded),
	KUNIT_CASE(file_load_target),
	KUNIT_CASE(file_load_no_space),
	KUNIT_CASE(file_save_banned),
	KUNIT_CASE(file_several),
	KUNIT_CASE(file_load_parallel),
	KUNIT_CASE(file_load_again),
#ifdef CONFIG_MEMORY_FAILURE
	KUNIT_CASE(poison_objects),
	KUNIT_CASE(poison_many),
	KUNIT_CASE(poison_metadata),
#endif
	{}
};

static struct kunit_suite pkram_file_suite = {
	.name = "pkram-file",
	.init = pkram_case_init,
	.exit = pkram_case_exit,
	.test_cases = pkram_file_cases,
};

/* Suite pkram-save: ranges and byte streams as /dev/pkram saves them */

/* Save blocks [@first, @first + @nr) of 2 MiB; @nr 0 means up to the end. */
static int save_part(struct pkram_save *save, struct file *file, u32 object, u64 first, u64 nr)
{
	struct pkram_ioctl_save_file arg = {
		.flags = PKRAM_SAVE_RANGE,
		.object = object,
		.offset = first * SZ_2M,
		.length = nr * SZ_2M,
	};

	return pkram_save_file(save, file, &arg);
}

/* Ranges in any order make one stream; what none covers is a hole. */
static void save_ranges(struct kunit *test)
{
	static const u64 at[] = { 0, 511, 512, 1023, 1536, 2047 };
	struct file *file = new_file(test, 4 * SZ_2M);
	struct pkram_save *save = begin_files(test, "n");
	struct pkram_node *node;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(at); i++)
		fill_page(test, file, at[i]);
	fill_page(test, file, 1200);
	KUNIT_EXPECT_EQ(test, save_part(save, file, PKRAM_OBJECT_NEW, 3, 0), 0);
	KUNIT_EXPECT_NE(test, seals_of(file), 0);
	KUNIT_EXPECT_EQ(test, save_part(save, file, 0, 0, 1), 0);
	KUNIT_EXPECT_EQ(test, save_part(save, file, 0, 1, 1), 0);
	/* a range without pages */
	KUNIT_EXPECT_EQ(test, save_part(save, file, 0, 4, 1), 0);
	commit_files(test, save, "n");
	KUNIT_EXPECT_EQ(test, pkram.data_pages, ARRAY_SIZE(at));
	node = pin(test, "n");
	forget_file(test, node, 0, file);
	file = load_file(test, node, 0, NULL);
	KUNIT_EXPECT_EQ(test, file->f_mapping->nrpages, ARRAY_SIZE(at));
	KUNIT_EXPECT_EQ(test, i_size_read(file_inode(file)), 4 * SZ_2M);
	for (i = 0; i < ARRAY_SIZE(at); i++)
		check_page(test, file, at[i], true);
	check_page(test, file, 1200, false);
	end_trip(test, node, file);
}

static void save_range_errors(struct kunit *test)
{
	struct file *file = new_file(test, 2 * SZ_2M), *other = new_file(test, SZ_2M);
	struct pkram_save *save = begin_files(test, "n");
	struct pkram_ioctl_save_file arg = { .offset = SZ_2M };
	u64 id;

	fill_page(test, file, 0);
	fill_page(test, file, 600);
	KUNIT_EXPECT_EQ(test, pkram_save_file(save, file, &arg), -EINVAL);
	arg = (struct pkram_ioctl_save_file) {
		.flags = PKRAM_SAVE_RANGE, .object = PKRAM_OBJECT_NEW, .offset = PAGE_SIZE,
	};
	KUNIT_EXPECT_EQ(test, pkram_save_file(save, file, &arg), -EINVAL);
	arg.offset = 0;
	arg.length = SZ_2M - 1;
	KUNIT_EXPECT_EQ(test, pkram_save_file(save, file, &arg), -EINVAL);
	arg.length = 1ULL << 63;
	KUNIT_EXPECT_EQ(test, pkram_save_file(save, file, &arg), -EINVAL);
	/* no such object, and the object of another file */
	KUNIT_EXPECT_EQ(test, save_part(save, file, 0, 0, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, seals_of(file), 0);
	KUNIT_EXPECT_EQ(test, add_file(save, other), 0);
	KUNIT_EXPECT_EQ(test, save_part(save, file, 0, 0, 1), -EINVAL);
	/* overlap is found out in the end */
	KUNIT_EXPECT_EQ(test, save_part(save, file, PKRAM_OBJECT_NEW, 0, 2), 0);
	KUNIT_EXPECT_EQ(test, save_part(save, file, 1, 0, 1), 0);
	KUNIT_EXPECT_EQ(test, pkram_save_commit(save, false, &id), -EINVAL);
	KUNIT_EXPECT_EQ(test, extra_refs(file), 3);
	abort_files(save);
	KUNIT_EXPECT_EQ(test, extra_refs(file), 0);
	KUNIT_EXPECT_EQ(test, seals_of(file), 0);
}

/* A commit that failed changes nothing: more can be added, in front, too. */
static void save_commit_again(struct kunit *test)
{
	struct file *file = new_file(test, 3 * SZ_2M);
	struct pkram_save *save = begin_files(test, "n");
	struct pkram_node *old;
	u64 id;

	fill_page(test, file, 1);
	fill_page(test, file, 513);
	fill_page(test, file, 1025);
	commit_node(test, "n", false);
	KUNIT_EXPECT_EQ(test, save_part(save, file, PKRAM_OBJECT_NEW, 1, 1), 0);
	KUNIT_EXPECT_EQ(test, pkram_save_commit(save, false, &id), -EEXIST);
	KUNIT_EXPECT_EQ(test, save_part(save, file, 0, 0, 1), 0);
	old = pin(test, "n");
	KUNIT_EXPECT_EQ(test, pkram_save_commit(save, true, &id), -EBUSY);
	pkram_node_put(old);
	KUNIT_EXPECT_EQ(test, save_part(save, file, 0, 2, 1), 0);
	KUNIT_EXPECT_EQ(test, pkram_save_commit(save, true, &id), 0);
	pkram_save_put(save);
	check_node(test, "n");
	KUNIT_EXPECT_EQ(test, pkram.nr_nodes, 1);
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 3);
	KUNIT_EXPECT_EQ(test, extra_refs(file), 3);
	remove_node(test, "n");
	KUNIT_EXPECT_EQ(test, extra_refs(file), 0);

	/* nor is anything freed twice, or not at all, when it is given up then */
	commit_node(test, "n", false);
	save = begin_files(test, "n");
	KUNIT_EXPECT_EQ(test, save_part(save, file, PKRAM_OBJECT_NEW, 1, 1), 0);
	KUNIT_EXPECT_EQ(test, save_part(save, file, 0, 0, 1), 0);
	KUNIT_EXPECT_EQ(test, pkram_save_commit(save, false, &id), -EEXIST);
	KUNIT_EXPECT_EQ(test, save_part(save, file, 0, 2, 1), 0);
	abort_files(save);
	KUNIT_EXPECT_EQ(test, extra_refs(file), 0);
	remove_node(test, "n");
}

/* Bytes go to the newest object, which may be a file. */
static void save_byte_objects(struct kunit *test)
{
	struct file *file = new_file(test, PAGE_SIZE);
	struct pkram_save *save = begin_files(test, "n");
	u8 *want = new_pattern(test, 6000), got[16];
	u32 a = PKRAM_OBJECT_NEW, b = PKRAM_OBJECT_NEW, c = 2, d;
	struct pkram_node *node;
	u64 id;

	d = 0;
	KUNIT_EXPECT_EQ(test, add_bytes(save, &d, want, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, add_bytes(save, &a, want, 5000), 0);
	KUNIT_EXPECT_EQ(test, a, 0);
	KUNIT_EXPECT_EQ(test, add_bytes(save, &a, want + 5000, 1000), 0);
	KUNIT_EXPECT_EQ(test, add_bytes(save, &b, want, 0), 0);
	KUNIT_EXPECT_EQ(test, b, 1);
	KUNIT_EXPECT_EQ(test, add_bytes(save, &a, want, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, add_file(save, file), 0);
	KUNIT_EXPECT_EQ(test, add_bytes(save, &b, want, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, add_bytes(save, &c, want + 7, 10), 0);

	pkram_save_get(save);
	commit_files(test, save, "n");
	KUNIT_EXPECT_EQ(test, add_bytes(save, &c, want, 1), -EBADFD);
	KUNIT_EXPECT_EQ(test, add_file(save, file), -EBADFD);
	KUNIT_EXPECT_EQ(test, pkram_save_commit(save, false, &id), -EBADFD);
	pkram_save_put(save);

	node = pin(test, "n");
	KUNIT_EXPECT_EQ(test, node->totals.data_bytes, 6010);
	KUNIT_EXPECT_EQ(test, node->totals.file_bytes, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, read_at(pkram_node_object(node, 0), 5995, got, 16), 5);
	KUNIT_EXPECT_MEMEQ(test, got, want + 5995, 5);
	KUNIT_EXPECT_EQ(test, read_at(pkram_node_object(node, 1), 0, got, 16), 0);
	KUNIT_EXPECT_EQ(test, read_at(pkram_node_object(node, 2), 0, got, 16), 10);
	KUNIT_EXPECT_MEMEQ(test, got, want + 7, 10);
	pkram_node_put(node);
	remove_node(test, "n");
}

/* A file that does not fit leaves the node as it was, a byte stream breaks it. */
static void save_no_room(struct kunit *test)
{
	struct file *file = new_file(test, PAGE_SIZE);
	struct pkram_save *save = begin_files(test, "n");
	u32 object = PKRAM_OBJECT_NEW;
	struct no_room room;
	u64 id;

	fill_page(test, file, 0);
	room = take_room(test);
	KUNIT_EXPECT_EQ(test, add_file(save, file), -ENOSPC);
	KUNIT_EXPECT_EQ(test, seals_of(file), 0);
	KUNIT_EXPECT_EQ(test, extra_refs(file), 0);
	KUNIT_EXPECT_EQ(test, save_part(save, file, PKRAM_OBJECT_NEW, 0, 1), -ENOSPC);
	KUNIT_EXPECT_EQ(test, seals_of(file), 0);
	give_room(room);
	KUNIT_EXPECT_EQ(test, add_file(save, file), 0);

	room = take_room(test);
	KUNIT_EXPECT_EQ(test, add_bytes(save, &object, "x", 1), -ENOSPC);
	give_room(room);
	object = 1;
	KUNIT_EXPECT_EQ(test, add_bytes(save, &object, "x", 1), -EBADFD);
	KUNIT_EXPECT_EQ(test, add_file(save, file), -EBADFD);
	KUNIT_EXPECT_EQ(test, pkram_save_commit(save, false, &id), -EBADFD);
	abort_files(save);
	KUNIT_EXPECT_EQ(test, seals_of(file), 0);
	KUNIT_EXPECT_EQ(test, extra_refs(file), 0);
}

static void save_bad_name(struct kunit *test)
{
	KUNIT_EXPECT_PTR_EQ(test, pkram_save_begin(""), ERR_PTR(-EINVAL));
	KUNIT_EXPECT_PTR_EQ(test, pkram_save_begin("a/b"), ERR_PTR(-EINVAL));
	abort_files(begin_files(test, "n"));
}

static struct kunit_case pkram_save_cases[] = {
	KUNIT_CASE(save_ranges),
	KUNIT_CASE(save_range_errors),
	KUNIT_CASE(save_commit_again),
	KUNIT_CASE(save_byte_objects),
	KUNIT_CASE(save_no_room),
	KUNIT_CASE(save_bad_name),
	{}
};

static struct kunit_suite pkram_save_suite = {
	.name = "pkram-save",
	.init = pkram_case_init,
	.exit = pkram_case_exit,
	.test_cases = pkram_save_cases,
};

/* Suite pkram-kexec: images and preserved memory */

static void kexec_strip(struct kunit *test)
{
	static const struct {
		const char *from;
		const char *to;
	} lines[] = {
		{ "", "" },
		{ "pkram=", "" },
		{ "pkram=1", "" },
		{ "pkram=0x12ab quiet", "quiet" },
		{ "quiet pkram=0x12ab", "quiet " },
		{ "a pkram=1 b", "a b" },
		{ "a  pkram=1  b", "a  b" },
		{ "a\tpkram=1\nb", "a\tb" },
		{ "pkram=1 pkram=2 a pkram=3 pkram=4", "a " },
		{ "xpkram=1 a.pkram=2 pkram2=3 pkram", "xpkram=1 a.pkram=2 pkram2=3 pkram" },
		{ "PKRAM=1", "PKRAM=1" },
		{ "init=/pkram=1", "init=/pkram=1" },
		{ "a=\"b pkram=1 c\" d", "a=\"b pkram=1 c\" d" },
		{ "a=\"b\" pkram=1 c=\"d pkram=2\" pkram=3", "a=\"b\" c=\"d pkram=2\" " },
		{ "\"pkram=1\" a", "a" },
		{ "a pkram=\"1 2\" b", "a b" },
		{ "a \"pkram=1 2\" b", "a b" },
		{ "a \"b pkram=1\" c", "a \"b pkram=1\" c" },
		{ "root=/dev/sda1 console=ttyS0", "root=/dev/sda1 console=ttyS0" },
	};
	unsigned int i;
	char buf[128];

	for (i = 0; i < ARRAY_SIZE(lines); i++) {
		strscpy_pad(buf, lines[i].from);
		KUNIT_EXPECT_EQ(test, pkram_kexec_strip(buf), strlen(lines[i].to) + 1);
		KUNIT_EXPECT_STREQ(test, buf, lines[i].to);
	}
}

static void kexec_param(struct kunit *test)
{
	struct pkram_super *sb = pkram.sb;
	char buf[PKRAM_PARAM_MAX + 1], want[64], tiny[4];
	int n;

	buf[PKRAM_PARAM_MAX] = 'x';
	snprintf(want, sizeof(want), "pkram=0x%llx ", pkram_pfn(pkram.sb));
	n = pkram_kexec_param(buf, PKRAM_PARAM_MAX);
	KUNIT_EXPECT_EQ(test, n, strlen(want));
	KUNIT_EXPECT_STREQ(test, buf, want);
	/* the largest pfn there can be fits as well */
	KUNIT_EXPECT_LT(test, snprintf(want, sizeof(want), "pkram=0x%llx ", U64_MAX),
			PKRAM_PARAM_MAX);
	KUNIT_EXPECT_LT(test, pkram_kexec_param(tiny, sizeof(tiny)), (int)sizeof(tiny));
	/* it is what is stripped the next time */
	KUNIT_EXPECT_EQ(test, pkram_kexec_strip(buf), 1);
	pkram.sb = NULL;
	n = pkram_kexec_param(buf, PKRAM_PARAM_MAX);
	pkram.sb = sb;
	KUNIT_EXPECT_EQ(test, n, 0);
	KUNIT_EXPECT_EQ(test, buf[PKRAM_PARAM_MAX], 'x');
}

/* kernel_info as it is in a bzImage, with entries before ours */
struct test_info {
	u32 magic;
	u32 size;
	u32 size_total;
	u32 setup_type_max;
	u32 other[5];
	struct pkram_image_tag tag;
};

static struct test_info good_info(void)
{
	return (struct test_info) {
		.magic = 0x506f544c,
		.size = offsetof(struct test_info, other),
		.size_total = sizeof(struct test_info),
		.tag = {
			.magic = cpu_to_le32(PKRAM_IMAGE_TAG),
			.length = cpu_to_le32(sizeof(struct pkram_image_tag)),
			.version = cpu_to_le32(PKRAM_FORMAT_VERSION),
		},
	};
}

static void kexec_image_tag(struct kunit *test)
{
	struct test_info info = good_info();

	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)), PKRAM_IMAGE_KEEPS);
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, SIZE_MAX), PKRAM_IMAGE_KEEPS);
	/* a longer tag of a later kernel, and one that is too short to be ours */
	info.tag.length = cpu_to_le32(24);
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)), PKRAM_IMAGE_KEEPS);
	info.tag.length = cpu_to_le32(12);
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)), PKRAM_IMAGE_NO_SUPPORT);

	info = good_info();
	info.tag.version = cpu_to_le32(PKRAM_FORMAT_VERSION + 1);
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)), PKRAM_IMAGE_VERSION);

	/* what this kernel writes needs a feature that the image must know */
	info = good_info();
	pkram.sb->incompat = cpu_to_le64(2);
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)), PKRAM_IMAGE_VERSION);
	info.tag.incompat = cpu_to_le32(3);
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)), PKRAM_IMAGE_KEEPS);
	pkram.sb->incompat = 0;
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)), PKRAM_IMAGE_KEEPS);
}

/* Anything else is a kernel without PKRAM, and not read beyond its end. */
static void kexec_image_tag_hostile(struct kunit *test)
{
	static const u32 sizes[] = { 0, 1, 8, 50, 53, 4096, S32_MAX, U32_MAX - 3, U32_MAX };
	struct test_info info = good_info();
	unsigned int i;
	size_t len;
	u8 *buf;

	/* cut anywhere; KASAN sees a read past the end */
	for (len = 0; len < sizeof(info); len++) {
		buf = kmemdup(&info, max(len, sizeof(u32)), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, buf);
		KUNIT_EXPECT_EQ_MSG(test, pkram_image_tag_state(buf, len),
				    PKRAM_IMAGE_NO_SUPPORT, "%zu bytes", len);
		kfree(buf);
	}
	/* it says it ends before the tag does */
	for (len = 0; len < sizeof(info); len++) {
		info.size_total = len;
		KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)),
				PKRAM_IMAGE_NO_SUPPORT);
	}
	/* the variable part begins at, in or behind the tag, or out of this world */
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		info = good_info();
		info.size = sizes[i];
		info.size_total = i % 2 ? sizeof(info) : U32_MAX;
		pkram_image_tag_state(&info, sizeof(info));
		if (sizes[i] > offsetof(struct test_info, tag))
			KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)),
					PKRAM_IMAGE_NO_SUPPORT);
	}
	info = good_info();
	info.magic ^= 1;
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)), PKRAM_IMAGE_NO_SUPPORT);
	info = good_info();
	info.tag.magic ^= cpu_to_le32(1);
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)), PKRAM_IMAGE_NO_SUPPORT);
}

static void kexec_banned(struct kunit *test)
{
	const u64 end = pkram_nr_blocks << PKRAM_BLOCK_ORDER;

	KUNIT_EXPECT_TRUE(test, pkram_banned(0, 1));
	KUNIT_EXPECT_TRUE(test, pkram_banned(PKRAM_MIN_PFN - 1, 1));
	KUNIT_EXPECT_FALSE(test, pkram_banned(PKRAM_MIN_PFN, 1));
	KUNIT_EXPECT_FALSE(test, pkram_banned(end - 1, 1));
	KUNIT_EXPECT_TRUE(test, pkram_banned(end - 1, 2));
	KUNIT_EXPECT_TRUE(test, pkram_banned(end, 1));

	add_ban(test, 10000, 10010);
	add_ban(test, 20000, 20001);
	KUNIT_EXPECT_FALSE(test, pkram_banned(9999, 1));
	KUNIT_EXPECT_TRUE(test, pkram_banned(9999, 2));
	KUNIT_EXPECT_TRUE(test, pkram_banned(10000, 1));
	KUNIT_EXPECT_TRUE(test, pkram_banned(10009, 1));
	KUNIT_EXPECT_FALSE(test, pkram_banned(10010, 1));
	KUNIT_EXPECT_FALSE(test, pkram_banned(10010, 20000 - 10010));
	KUNIT_EXPECT_TRUE(test, pkram_banned(9990, 100));
	KUNIT_EXPECT_TRUE(test, pkram_banned(19968, 512));
	lift_bans(NULL);
	KUNIT_EXPECT_FALSE(test, pkram_banned(10000, 1));
}

/* As far as nothing is banned, and in agreement with pkram_banned(). */
static void kexec_allowed(struct kunit *test)
{
	const u64 end = pkram_nr_blocks << PKRAM_BLOCK_ORDER;
	u64 pfn, nr, n;

	KUNIT_ASSERT_GT(test, end, 4096);
	add_ban(test, 1000, 1010);
	add_ban(test, 2000, 2001);
	add_ban(test, 1010, 1012);
	KUNIT_EXPECT_EQ(test, pkram_allowed(0, 5), 0);
	KUNIT_EXPECT_EQ(test, pkram_allowed(990, 20), 10);
	KUNIT_EXPECT_EQ(test, pkram_allowed(990, 10), 10);
	KUNIT_EXPECT_EQ(test, pkram_allowed(990, 2000), 10);
	KUNIT_EXPECT_EQ(test, pkram_allowed(1009, 1), 0);
	KUNIT_EXPECT_EQ(test, pkram_allowed(1012, 5000), 988);
	KUNIT_EXPECT_EQ(test, pkram_allowed(end - 3, 5), 3);
	KUNIT_EXPECT_EQ(test, pkram_allowed(end, 1), 0);
	for (pfn = 980; pfn < 1030; pfn++) {
		for (nr = 1; nr < 40; nr++) {
			n = pkram_allowed(pfn, nr);
			KUNIT_EXPECT_EQ(test, n == nr, !pkram_banned(pfn, nr));
			if (n)
				KUNIT_EXPECT_FALSE(test, pkram_banned(pfn, n));
			if (n < nr)
				KUNIT_EXPECT_TRUE(test, pkram_banned(pfn + n, 1));
		}
	}
}

/* Save a large folio at index 4, filled, and a small one after it. */
static void save_large(struct kunit *test, struct folio *large, struct folio *fine)
{
	struct pkram_stream ps;

	memset(folio_address(large), 0x5a, 4 * PAGE_SIZE);
	begin_save(test, &ps, "n", PKRAM_DATA_pages);
	PKRAM_ACCESS(wr, &ps, pages);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&wr, large), 0);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&wr, fine), 0);
	pkram_finish_access(&wr, true);
	end_save(test, &ps, "n");
}

/* Of the large folio a copy of the same order was preserved, of the other itself. */
static void load_copy(struct kunit *test, struct folio *large, struct folio *fine)
{
	struct pkram_stream ps;
	struct folio *folio;
	unsigned long index;

	KUNIT_EXPECT_EQ(test, folio_ref_count(large), 1);
	KUNIT_EXPECT_EQ(test, folio_ref_count(fine), 2);

	begin_load(test, &ps, "n");
	PKRAM_ACCESS(rd, &ps, pages);
	folio = pkram_load_file_folio(&rd, &index);
	KUNIT_ASSERT_NOT_NULL(test, folio);
	KUNIT_EXPECT_PTR_NE(test, folio, large);
	KUNIT_EXPECT_EQ(test, folio_order(folio), 2);
	KUNIT_EXPECT_EQ(test, index, 4);
	KUNIT_EXPECT_EQ(test, memcmp(folio_address(folio), folio_address(large), 4 * PAGE_SIZE),
			0);
	pkram_finish_access(&rd, true);
	end_load(&ps);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);
	folio_put(folio);
}

/* Saving a folio that is banned makes a copy of the same order. */
static void kexec_copy(struct kunit *test)
{
	struct folio *banned = new_folio(test, 2, 4), *fine = new_folio(test, 0, 8);

	/* the last page of it is enough */
	add_ban(test, folio_pfn(banned) + 3, folio_pfn(banned) + 4);
	save_large(test, banned, fine);
	load_copy(test, banned, fine);
}

/* Metadata and bytes are not put where an image goes, though it is offered. */
static void kexec_alloc_avoids(struct kunit *test)
{
	struct page *pages[ARRAY_SIZE(pkram_bans.start)], *page;
	unsigned int i, offered = 0;

	for (i = 0; i < ARRAY_SIZE(pages); i++) {
		pages[i] = alloc_page(GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, pages[i]);
		add_ban(test, page_to_pfn(pages[i]), page_to_pfn(pages[i]) + 1);
	}
	/* what was freed last is what is allocated first */
	for (i = 0; i < ARRAY_SIZE(pages); i++)
		__free_page(pages[i]);
	page = alloc_page(GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, page);
	scoped_guard(rwsem_read, &pkram_kexec_sem)
		offered = pkram_banned(page_to_pfn(page), 1);
	__free_page(page);
	kunit_info(test, "the allocator %s a banned page\n", offered ? "offers" : "hides");
	save_bytes(test, "n", 40 * PAGE_SIZE);
	load_and_drop(test, "n");
}

/* Bans on what a committed node has and what lists it; all of it is to be moved. */
static void ban_page(struct kunit *test, u64 pfn)
{
	add_ban(test, pfn, pfn + 1);
}

static void ban_stream(struct kunit *test, __le64 head)
{
	const struct pkram_link *link = link_at(head);
	struct pkram_extent e = pkram_extent_decode(pkram_extent_raw(link, 0));

	ban_page(test, pkram_pfn(link));
	ban_page(test, e.pfn);
}

/* Directory, node page, link pages, bytes, and some pages of a file. */
static void evacuate_all_kinds(struct kunit *test)
{
	struct file *file = new_file(test, 20 * PAGE_SIZE);
	const u64 moved[] = { 3, 4, 19 };
	struct pkram_node *node, *bytes;
	struct pkram_stream ps;
	struct folio *folio;
	unsigned int i;
	u64 old_dir;
	u8 *buf;

	for (i = 0; i < 20; i++)
		fill_page(test, file, i);
	save_one(test, "n", file);
	save_bytes(test, "m", 5 * PAGE_SIZE + 3);
	node = pin(test, "n");
	bytes = pin(test, "m");
	pkram_node_put(bytes);
	old_dir = le64_to_cpu(pkram.sb->dir_pfn);

	ban_page(test, old_dir);
	ban_page(test, pkram_pfn(node->page));
	ban_page(test, pkram_pfn(bytes->page));
	ban_page(test, pkram_pfn(link_at(pkram_node_object(node, 0)->pages_head)));
	ban_stream(test, pkram_node_object(bytes, 0)->bytes_head);
	for (i = 0; i < ARRAY_SIZE(moved); i++) {
		folio = filemap_get_folio(file->f_mapping, moved[i]);
		KUNIT_ASSERT_FALSE(test, IS_ERR(folio));
		ban_page(test, folio_pfn(folio));
		folio_put(folio);
	}
	/* somebody may be reading it */
	KUNIT_EXPECT_EQ(test, pkram_evacuate(), -EBUSY);
	KUNIT_EXPECT_EQ(test, extra_refs(file), 20);
	pkram_node_put(node);

	KUNIT_EXPECT_EQ(test, pkram_evacuate(), 0);
	KUNIT_EXPECT_NE(test, le64_to_cpu(pkram.sb->dir_pfn), old_dir);
	/* these find no banned page, and all totals and checksums right */
	check_node(test, "n");
	check_node(test, "m");
	KUNIT_EXPECT_EQ(test, extra_refs(file), 20 - ARRAY_SIZE(moved));
	/* nothing is left to be done */
	KUNIT_EXPECT_EQ(test, pkram_evacuate(), 0);

	node = pin(test, "n");
	forget_file(test, node, 0, file);
	file = load_file(test, node, 0, NULL);
	for (i = 0; i < 20; i++)
		check_page(test, file, i, true);
	end_trip(test, node, file);

	buf = kunit_kmalloc(test, 6 * PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, buf);
	begin_load(test, &ps, "m");
	PKRAM_ACCESS(rd, &ps, bytes);
	KUNIT_EXPECT_EQ(test, pkram_read(&rd, buf, 6 * PAGE_SIZE), 5 * PAGE_SIZE + 3);
	for (i = 0; i < 5 * PAGE_SIZE + 3; i++)
		if (buf[i] != pattern(i))
			break;
	KUNIT_EXPECT_EQ(test, i, 5 * PAGE_SIZE + 3);
	pkram_finish_access(&rd, true);
	end_load(&ps);
}

static void evacuate_large(struct kunit *test)
{
	struct folio *large = new_folio(test, 2, 4), *fine = new_folio(test, 0, 8);

	save_large(test, large, fine);
	ban_page(test, folio_pfn(large) + 2);
	KUNIT_EXPECT_EQ(test, pkram_evacuate(), 0);
	check_node(test, "n");
	load_copy(test, large, fine);
}

/* Pages of further objects. */
static void evacuate_objects(struct kunit *test)
{
	const u32 nr = PKRAM_NODE_OBJECTS + 2 * PKRAM_PAGE_OBJECTS_MAX + 1;
	struct pkram_node *node = new_node(test, "n");
	struct pkram_objects_page *table;
	struct pkram_object *obj;
	unsigned int wrong = 0;
	unsigned long t;
	u32 n;
	u64 id;

	for (n = 0; n < nr; n++) {
		obj = pkram_node_add_object(node, PKRAM_OBJ_PAGES | PKRAM_OBJ_FILE, GFP_KERNEL);
		KUNIT_ASSERT_FALSE(test, IS_ERR(obj));
		obj->size = cpu_to_le64(n);
		obj->mode = cpu_to_le32(S_IFREG | 0600);
		node->totals.file_bytes += n;
	}
	KUNIT_EXPECT_EQ(test, pkram_node_commit(node, false, GFP_KERNEL, &id), 0);
	xa_for_each(&node->tables, t, table)
		if (t != 1)
			ban_page(test, pkram_pfn(table));
	KUNIT_EXPECT_EQ(test, pkram_evacuate(), 0);
	check_node(test, "n");
	for (n = 0; n < nr; n++)
		wrong += le64_to_cpu(pkram_node_object(node, n)->size) != n;
	KUNIT_EXPECT_EQ(test, wrong, 0);
	remove_node(test, "n");
}

/* The pages of a file that was loaded, and is nobody's any more. */
static void evacuate_loaded(struct kunit *test)
{
	struct file *file = new_file(test, 10 * PAGE_SIZE);
	unsigned int i, early = 0, wrong = 0;
	struct pkram_node *node;
	struct folio *folio;

	for (i = 0; i < 10; i++)
		fill_page(test, file, i);
	file = round_trip(test, file, NULL, &node);
	pkram_node_put(node);
	folio = filemap_get_folio(file->f_mapping, 5);
	KUNIT_ASSERT_FALSE(test, IS_ERR(folio));
	ban_page(test, folio_pfn(folio));
	folio_put(folio);
	KUNIT_EXPECT_EQ(test, pkram_evacuate(), 0);
	check_node(test, "n");
	KUNIT_EXPECT_EQ(test, extra_refs(file), 9);
	/* a page that is put onto the LRU lists now would be put there twice */
	lru_add_drain_all();
	for (i = 0; i < 10; i++) {
		folio = filemap_get_folio(file->f_mapping, i);
		KUNIT_ASSERT_FALSE(test, IS_ERR(folio));
		early += folio_test_lru(folio) != (i == 5);
		folio_put(folio);
	}
	KUNIT_EXPECT_EQ_MSG(test, early, 0, "pages that are not where they belong");
	end_trip(test, pin(test, "n"), file);
	for (i = 0; i < 10; i++) {
		check_page(test, file, i, true);
		folio = filemap_get_folio(file->f_mapping, i);
		KUNIT_ASSERT_FALSE(test, IS_ERR(folio));
		wrong += !folio_test_lru(folio) || folio_test_unevictable(folio);
		folio_put(folio);
	}
	KUNIT_EXPECT_EQ_MSG(test, wrong, 0, "pages that cannot be reclaimed");
}

/* What is moved is packed: one block instead of many. */
static void evacuate_packs(struct kunit *test)
{
	struct pkram_pack pack = { };
	struct page *page, *prev = NULL;
	unsigned int i, jumps = 0;
	LIST_HEAD(pages);

	guard(rwsem_read)(&pkram_kexec_sem);
	for (i = 0; i < 100; i++) {
		page = pkram_pack_page(&pack, GFP_KERNEL, numa_mem_id());
		KUNIT_ASSERT_NOT_NULL(test, page);
		jumps += prev && page != prev + 1;
		prev = page;
		list_add(&page->lru, &pages);
	}
	KUNIT_EXPECT_EQ(test, pack.left, PKRAM_BLOCK_PAGES - 100);
	KUNIT_EXPECT_EQ(test, jumps, 0);
	pkram_pack_end(&pack);
	KUNIT_EXPECT_EQ(test, pack.left, 0);
	list_for_each_entry_safe(page, prev, &pages, lru)
		__free_page(page);
}

static void kexec_no_image(struct kunit *test)
{
	if (kexec_image)
		kunit_skip(test, "an image is loaded");
	KUNIT_EXPECT_EQ(test, pkram_image_state(), PKRAM_IMAGE_NONE);
	/* bans are those of the image that is installed in the end: none */
	add_ban(test, 1000, 2000);
	pkram_kexec_begin();
	pkram_kexec_end();
	KUNIT_EXPECT_EQ(test, pkram_bans.nr, 0);
	KUNIT_EXPECT_EQ(test, pkram_image_state(), PKRAM_IMAGE_NONE);
}

static struct kunit_case pkram_kexec_cases[] = {
	KUNIT_CASE(kexec_strip),
	KUNIT_CASE(kexec_param),
	KUNIT_CASE(kexec_image_tag),
	KUNIT_CASE(kexec_image_tag_hostile),
	KUNIT_CASE(kexec_banned),
	KUNIT_CASE(kexec_allowed),
	KUNIT_CASE(kexec_copy),
	KUNIT_CASE(kexec_alloc_avoids),
	KUNIT_CASE(kexec_no_image),
	KUNIT_CASE(evacuate_all_kinds),
	KUNIT_CASE(evacuate_large),
	KUNIT_CASE(evacuate_objects),
	KUNIT_CASE(evacuate_loaded),
	KUNIT_CASE(evacuate_packs),
	{}
};

static struct kunit_suite pkram_kexec_suite = {
	.name = "pkram-kexec",
	.init = pkram_case_init,
	.exit = pkram_case_exit,
	.test_cases = pkram_kexec_cases,
};

kunit_test_suites(&pkram_api_suite, &pkram_stream_suite, &pkram_node_suite,
		  &pkram_blocks_suite, &pkram_file_suite, &pkram_save_suite,
		  &pkram_kexec_suite);

MODULE_DESCRIPTION("KUnit tests for PKRAM");
MODULE_LICENSE("GPL");
