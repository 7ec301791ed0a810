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
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/kexec.h>
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
	KUNIT_EXPECT_EQ(test, now.dir_pfn, before->dir_pfn);
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

/* A folio of the test's own, with its index in its first word. */
static struct folio *new_folio(struct kunit *test, unsigned int order, pgoff_t index)
{
	struct folio *folio = folio_alloc(GFP_KERNEL | __GFP_ZERO, order);

	KUNIT_ASSERT_NOT_NULL(test, folio);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, put_folio, folio), 0);
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

static const void *map_page(void *ctx, u64 pfn)
{
	return pfn_to_kaddr(pfn);
}

static int walk_node(const struct pkram_node *node, struct pkram_node_totals *totals)
{
	struct claims c;
	struct pkram_walker w = {
		.claim = record_claim,
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
 * offers, and gives it back.
 */
static void api_no_memory(struct kunit *test)
{
	struct pkram_stream ps;

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

/* Touch blocks until the next kernel could not boot any more. */
static void api_no_room(struct kunit *test)
{
	struct folio *folio = new_folio(test, 0, 5);
	u64 block, nr = 0, *touched;
	struct pkram_stream ps;
	u8 byte = 0;

	touched = kvcalloc(pkram_nr_blocks, sizeof(*touched), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, touched);
	begin_save(test, &ps, "n", PAGES_AND_BYTES);
	PKRAM_ACCESS(pages, &ps, pages);
	PKRAM_ACCESS(bytes, &ps, bytes);
	KUNIT_EXPECT_EQ(test, pkram_write(&bytes, &byte, 1), 1);
	for (block = 1; block < pkram_nr_blocks && pkram_blocks_room(); block++) {
		if (pkram_map_test(pkram.map, block))
			continue;
		pkram_blocks_add(block << PKRAM_BLOCK_ORDER, 1);
		touched[nr++] = block;
	}
	KUNIT_EXPECT_FALSE(test, pkram_blocks_room());
	KUNIT_EXPECT_EQ(test, pkram_write(&bytes, &byte, 1), -ENOSPC);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pages, folio), -ENOSPC);
	while (nr--)
		pkram_blocks_sub(touched[nr] << PKRAM_BLOCK_ORDER, 1);
	kvfree(touched);
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
	struct folio *f[8], *a, *b;
	struct pkram_stream ps;
	unsigned int i, n = 0;

	for (i = 0; i < ARRAY_SIZE(f); i++)
		f[i] = new_folio(test, 3, 0);
	/* find two neighbours among them; a fresh allocator has them next to each other */
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
			pkram_writer_add(&w, 1000 * i, folio_pfn(folio), 0);
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
		pkram_writer_add(&w, (i + 1) * 100000ULL, page_to_pfn(pages[i]), 0);
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
	KUNIT_EXPECT_EQ(test, *node->slot, 0);
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

kunit_test_suites(&pkram_api_suite, &pkram_stream_suite, &pkram_node_suite,
		  &pkram_blocks_suite);

MODULE_DESCRIPTION("KUnit tests for PKRAM");
MODULE_LICENSE("GPL");
