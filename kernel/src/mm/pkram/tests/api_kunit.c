// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit suite pkram-api: every call of the in-kernel interface and each of its errors.
 */
#include <linux/mm.h>

#include "helpers.h"

/* How memory is asked for where -ENOMEM is wanted: no reclaim, no OOM killer. */
#define GFP_FAIL		__GFP_NOWARN

#define PAGES_AND_BYTES		(PKRAM_DATA_pages | PKRAM_DATA_bytes)

static void api_off(struct kunit *test)
{
	struct pkram_super *sb = pkram.sb;
	struct pkram_stream ps;
	int save, load;

	/* the store has no other user while the suites run */
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
		kt_save_bytes(test, good[i], i + 1);
	/* two that differ in the last of 255 bytes only */
	memset(name, 'x', PKRAM_NAME_MAX - 1);
	kt_save_bytes(test, name, 1);
	name[PKRAM_NAME_MAX - 2] = 'y';
	kt_save_bytes(test, name, 2);
	KUNIT_EXPECT_EQ(test, pkram.nr_nodes, ARRAY_SIZE(good) + 2);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save(&ps, name, GFP_KERNEL), -EEXIST);

	kt_load_and_drop(test, name);
	name[PKRAM_NAME_MAX - 2] = 'x';
	kt_load_and_drop(test, name);
	for (i = 0; i < ARRAY_SIZE(good); i++)
		kt_load_and_drop(test, good[i]);
}

/* A name is taken from pkram_prepare_save() on. */
static void api_name_reserved(struct kunit *test)
{
	struct pkram_stream ps, other;

	kt_begin_save(test, &ps, "name", 0);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save(&other, "name", GFP_KERNEL), -EEXIST);
	KUNIT_EXPECT_EQ(test, pkram_prepare_load(&other, "name"), -EBUSY);
	KUNIT_EXPECT_EQ(test, pkram.nr_nodes, 0);
	pkram_discard_save(&ps);
	KUNIT_EXPECT_EQ(test, pkram_prepare_load(&other, "name"), -ENOENT);
	kt_expect_unchanged(test);

	kt_begin_save(test, &ps, "name", 0);
	kt_end_save(test, &ps, "name");
	KUNIT_EXPECT_EQ(test, pkram.nr_nodes, 1);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save(&other, "name", GFP_KERNEL), -EEXIST);
	kt_load_and_drop(test, "name");
	KUNIT_EXPECT_EQ(test, pkram_prepare_load(&other, "name"), -ENOENT);
}

/* A node that is being loaded is gone, and its name is free. */
static void api_load_takes(struct kunit *test)
{
	struct pkram_stream ps, other;
	u8 byte;

	kt_save_bytes(test, "name", 1);
	kt_begin_load(test, &ps, "name");
	KUNIT_EXPECT_EQ(test, pkram.nr_nodes, 0);
	KUNIT_EXPECT_EQ(test, pkram_prepare_load(&other, "name"), -ENOENT);
	kt_save_bytes(test, "name", 2);
	PKRAM_ACCESS(pa, &ps, bytes);
	KUNIT_EXPECT_EQ(test, pkram_read(&pa, &byte, 1), 1);
	KUNIT_EXPECT_EQ(test, pkram_read(&pa, &byte, 1), 0);
	pkram_finish_access(&pa, true);
	kt_end_load(&ps);
	KUNIT_EXPECT_EQ(test, pkram.nr_nodes, 1);
	kt_load_and_drop(test, "name");
}

static void api_load_busy(struct kunit *test)
{
	struct pkram_node *node;
	struct pkram_stream ps;

	kt_save_bytes(test, "busy", 1);
	node = pkram_node_get("busy");
	KUNIT_ASSERT_FALSE(test, IS_ERR(node));
	KUNIT_EXPECT_EQ(test, pkram_prepare_load(&ps, "busy"), -EBUSY);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save(&ps, "busy", GFP_KERNEL), -EEXIST);
	pkram_node_put(node);
	kt_load_and_drop(test, "busy");
}

static void api_object_errors(struct kunit *test)
{
	struct pkram_stream ps;

	kt_begin_save(test, &ps, "n", 0);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save_obj(&ps, PKRAM_DATA_none), -EINVAL);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save_obj(&ps, 4), -EINVAL);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save_obj(&ps, 1 | 8), -EINVAL);
	KUNIT_EXPECT_EQ(test, pkram_prepare_load_obj(&ps), -EINVAL);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save_obj(&ps, PKRAM_DATA_pages), 0);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save_obj(&ps, PKRAM_DATA_pages), -EINVAL);
	kt_end_save(test, &ps, "n");

	kt_begin_load(test, &ps, "n");
	KUNIT_EXPECT_EQ(test, pkram_prepare_load_obj(&ps), -EINVAL);
	pkram_finish_load_obj(&ps);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save_obj(&ps, PKRAM_DATA_pages), -EINVAL);
	KUNIT_EXPECT_EQ(test, pkram_prepare_load_obj(&ps), -ENODATA);
	KUNIT_EXPECT_EQ(test, pkram_prepare_load_obj(&ps), -ENODATA);
	kt_end_load(&ps);
}

static void api_object_order(struct kunit *test)
{
	struct pkram_stream ps;
	u32 i, value;

	kt_begin_save(test, &ps, "n", 0);
	for (i = 0; i < 100; i++) {
		KUNIT_ASSERT_EQ(test, pkram_prepare_save_obj(&ps, PKRAM_DATA_bytes), 0);
		PKRAM_ACCESS(pa, &ps, bytes);
		KUNIT_EXPECT_EQ(test, pkram_write(&pa, &i, sizeof(i)), sizeof(i));
		pkram_finish_access(&pa, true);
		pkram_finish_save_obj(&ps);
	}
	kt_end_save(test, &ps, "n");
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
	kt_end_load(&ps);
}

static void api_empty(struct kunit *test)
{
	struct pkram_stream ps;
	unsigned long index;
	u8 byte;

	kt_begin_save(test, &ps, "nothing", 0);
	kt_end_save(test, &ps, "nothing");
	KUNIT_ASSERT_EQ(test, pkram_prepare_load(&ps, "nothing"), 0);
	KUNIT_EXPECT_EQ(test, pkram_prepare_load_obj(&ps), -ENODATA);
	pkram_finish_load(&ps);

	/* streams that are there and empty */
	kt_begin_save(test, &ps, "empty", PAGES_AND_BYTES);
	PKRAM_ACCESS(wr, &ps, bytes);
	KUNIT_EXPECT_EQ(test, pkram_write(&wr, &byte, 0), 0);
	pkram_finish_access(&wr, true);
	kt_end_save(test, &ps, "empty");
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 0);
	kt_begin_load(test, &ps, "empty");
	PKRAM_ACCESS(pages, &ps, pages);
	PKRAM_ACCESS(bytes, &ps, bytes);
	KUNIT_EXPECT_NULL(test, pkram_load_file_folio(&pages, &index));
	KUNIT_EXPECT_NULL(test, pkram_load_file_page(&pages, NULL));
	KUNIT_EXPECT_EQ(test, pkram_read(&bytes, &byte, 1), 0);
	pkram_finish_access(&bytes, true);
	pkram_finish_access(&pages, true);
	kt_end_load(&ps);
}

static void api_access_errors(struct kunit *test)
{
	struct folio *folio = kt_new_folio(test, 0, 0);
	struct pkram_stream ps;
	u8 byte = 0;

	kt_begin_save(test, &ps, "n", PKRAM_DATA_pages);
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
	kt_end_save(test, &ps, "n");
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 0);
	kt_load_and_drop(test, "n");
}

static void api_access_errors_loading(struct kunit *test)
{
	struct folio *folio = kt_new_folio(test, 0, 0);
	struct pkram_stream ps;
	u8 byte = 0;

	kt_save_bytes(test, "n", 1);
	kt_begin_load(test, &ps, "n");
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
	kt_end_load(&ps);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);
}

/* A stream is written in one go, unless the attempt is undone. */
static void api_second_access(struct kunit *test)
{
	struct folio *folio = kt_new_folio(test, 0, 7);
	struct pkram_stream ps;
	u8 byte = 1;

	kt_begin_save(test, &ps, "n", PAGES_AND_BYTES);
	PKRAM_ACCESS(bytes, &ps, bytes);
	PKRAM_ACCESS(pages, &ps, pages);
	PKRAM_ACCESS(bytes2, &ps, bytes);
	PKRAM_ACCESS(pages2, &ps, pages);
	KUNIT_EXPECT_EQ(test, pkram_write(&bytes, &byte, 1), 1);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pages, folio), 0);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 2);
	pkram_finish_access(&bytes, false);
	pkram_finish_access(&pages, false);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);

	KUNIT_EXPECT_EQ(test, pkram_write(&bytes, &byte, 1), 1);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pages, folio), 0);
	/* nor is one opened while another is not finished: one stream would be lost */
	KUNIT_EXPECT_EQ(test, pkram_write(&bytes2, &byte, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pages2, folio), -EINVAL);
	pkram_finish_access(&bytes2, true);
	pkram_finish_access(&pages2, true);
	pkram_finish_access(&bytes, true);
	pkram_finish_access(&pages, true);
	KUNIT_EXPECT_EQ(test, pkram_write(&bytes, &byte, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pages, folio), -EINVAL);
	kt_end_save(test, &ps, "n");
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 2);
	kt_load_and_drop(test, "n");
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);
}

/* What was saved through an access that failed is not in the node. */
static void api_failed_access(struct kunit *test)
{
	struct folio *folio = kt_new_folio(test, 2, 4);
	u8 *buf = kt_new_pattern(test, 10000);
	struct pkram_stream ps;

	kt_begin_save(test, &ps, "n", PAGES_AND_BYTES);
	PKRAM_ACCESS(bytes, &ps, bytes);
	PKRAM_ACCESS(pages, &ps, pages);
	KUNIT_EXPECT_EQ(test, pkram_write(&bytes, buf, 10000), 10000);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pages, folio), 0);
	pkram_finish_access(&pages, false);
	pkram_finish_access(&bytes, false);
	kt_end_save(test, &ps, "n");
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 0);
	kt_load_and_drop(test, "n");
}

static void api_unused_access(struct kunit *test)
{
	struct pkram_stream ps;

	kt_begin_save(test, &ps, "n", PKRAM_DATA_pages);
	PKRAM_ACCESS(wr, &ps, pages);
	pkram_finish_access(&wr, true);
	pkram_finish_access(&wr, false);
	kt_end_save(test, &ps, "n");
	kt_begin_load(test, &ps, "n");
	PKRAM_ACCESS(rd, &ps, pages);
	pkram_finish_access(&rd, true);
	pkram_finish_access(&rd, false);
	kt_end_load(&ps);
}

/* Pages and bytes of an object, by turns, in both directions. */
static void api_alternate(struct kunit *test)
{
	struct pkram_stream ps;
	struct folio *folio;
	unsigned long index;
	u32 i, value;

	kt_begin_save(test, &ps, "n", PAGES_AND_BYTES);
	PKRAM_ACCESS(wp, &ps, pages);
	PKRAM_ACCESS(wb, &ps, bytes);
	for (i = 0; i < 50; i++) {
		KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&wp, kt_new_folio(test, 0, i * 3)), 0);
		value = i * 3;
		KUNIT_EXPECT_EQ(test, pkram_write(&wb, &value, sizeof(value)), sizeof(value));
	}
	pkram_finish_access(&wp, true);
	pkram_finish_access(&wb, true);
	kt_end_save(test, &ps, "n");

	kt_begin_load(test, &ps, "n");
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
	kt_end_load(&ps);
}

/* An aborted node leaves no page, no reference and no bit behind. */
static void api_discard(struct kunit *test)
{
	struct folio *folio = kt_new_folio(test, 3, 8);
	u8 *buf = kt_new_pattern(test, 20000);
	struct pkram_stream ps;
	unsigned int i;

	kt_begin_save(test, &ps, "n", 0);
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
	kt_expect_unchanged(test);
}

static void api_references(struct kunit *test)
{
	struct folio *folio = kt_new_folio(test, 1, 2), *loaded;
	struct pkram_stream ps;
	unsigned long index;

	kt_begin_save(test, &ps, "n", PKRAM_DATA_pages);
	PKRAM_ACCESS(wr, &ps, pages);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&wr, folio), 0);
	pkram_finish_access(&wr, true);
	kt_end_save(test, &ps, "n");
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 2);

	kt_begin_load(test, &ps, "n");
	PKRAM_ACCESS(rd, &ps, pages);
	loaded = pkram_load_file_folio(&rd, &index);
	KUNIT_EXPECT_PTR_EQ(test, loaded, folio);
	KUNIT_EXPECT_EQ(test, index, 2);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 3);
	pkram_finish_access(&rd, true);
	pkram_finish_load_obj(&ps);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 2);
	kt_end_load(&ps);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 2);
	folio_put(loaded);
}

/* What is not loaded is freed, whether its object was looked at or not. */
static void api_partial_load(struct kunit *test)
{
	struct pkram_stream ps;
	struct folio *f[3];
	unsigned int i;

	kt_begin_save(test, &ps, "n", 0);
	for (i = 0; i < ARRAY_SIZE(f); i++) {
		f[i] = kt_new_folio(test, 0, i);
		KUNIT_ASSERT_EQ(test, pkram_prepare_save_obj(&ps, PKRAM_DATA_pages), 0);
		PKRAM_ACCESS(pa, &ps, pages);
		KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pa, f[i]), 0);
		pkram_finish_access(&pa, true);
		pkram_finish_save_obj(&ps);
	}
	kt_end_save(test, &ps, "n");
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 3);

	kt_begin_load(test, &ps, "n");
	PKRAM_ACCESS(pa, &ps, pages);
	KUNIT_EXPECT_PTR_EQ(test, pkram_load_file_page(&pa, NULL), folio_page(f[0], 0));
	pkram_finish_access(&pa, true);
	pkram_finish_load_obj(&ps);
	KUNIT_EXPECT_EQ(test, pkram_prepare_load_obj(&ps), 0);
	kt_end_load(&ps);
	KUNIT_EXPECT_EQ(test, folio_ref_count(f[0]), 2);
	KUNIT_EXPECT_EQ(test, folio_ref_count(f[1]), 1);
	KUNIT_EXPECT_EQ(test, folio_ref_count(f[2]), 1);
	folio_put(f[0]);
}

static void api_save_page(struct kunit *test)
{
	struct folio *folio = kt_new_folio(test, 2, 4);
	struct pkram_stream ps;
	struct page *page;

	kt_begin_save(test, &ps, "n", PKRAM_DATA_pages);
	PKRAM_ACCESS(wr, &ps, pages);
	KUNIT_EXPECT_EQ(test, pkram_save_file_page(&wr, folio_page(folio, 1)), -EINVAL);
	KUNIT_EXPECT_EQ(test, pkram_save_file_page(&wr, folio_page(folio, 0)), 0);
	pkram_finish_access(&wr, true);
	kt_end_save(test, &ps, "n");
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 4);

	kt_begin_load(test, &ps, "n");
	PKRAM_ACCESS(rd, &ps, pages);
	page = pkram_load_file_page(&rd, NULL);
	KUNIT_EXPECT_PTR_EQ(test, page, folio_page(folio, 0));
	KUNIT_EXPECT_NULL(test, pkram_load_file_page(&rd, NULL));
	if (page)
		put_page(page);
	pkram_finish_access(&rd, true);
	kt_end_load(&ps);
}

static void api_bad_index(struct kunit *test)
{
	struct folio *small = kt_new_folio(test, 0, 10), *large = kt_new_folio(test, 2, 0);
	struct pkram_stream ps;

	kt_begin_save(test, &ps, "n", PKRAM_DATA_pages);
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
	kt_end_save(test, &ps, "n");
	kt_load_and_drop(test, "n");
}

static void api_huge_index(struct kunit *test)
{
	static const unsigned long bad[] = {
		PKRAM_MAX_INDEX, PKRAM_MAX_INDEX + 1, 1UL << 56, ULONG_MAX,
	};
	struct folio *folio = kt_new_folio(test, 0, 0);
	struct pkram_stream ps;
	unsigned int i;

	kt_begin_save(test, &ps, "n", PKRAM_DATA_pages);
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
	struct folio *folio = kt_new_folio(test, 0, 0);
	struct pkram_stream ps;

	if (!IS_ENABLED(CONFIG_MEMORY_FAILURE))
		kunit_skip(test, "needs CONFIG_MEMORY_FAILURE");
	kt_begin_save(test, &ps, "n", PKRAM_DATA_pages);
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
	kt_add_ban(test, 0, U64_MAX);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save(&ps, "n", GFP_FAIL), -ENOMEM);
	kt_expect_unchanged(test);
	kt_lift_bans(NULL);
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
	kt_add_ban(test, 0, U64_MAX);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save_obj(&ps, PKRAM_DATA_bytes), -ENOMEM);
	kt_lift_bans(NULL);
	KUNIT_EXPECT_EQ(test, pkram_node_nr_objects(ps.node), PKRAM_NODE_OBJECTS);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save_obj(&ps, PKRAM_DATA_bytes), 0);
	kt_end_save(test, &ps, "n");
	kt_load_and_drop(test, "n");
}

static void api_no_memory_stream(struct kunit *test)
{
	struct folio *folio = kt_new_folio(test, 0, 5), *next = kt_new_folio(test, 0, 6);
	struct pkram_stream ps;
	u8 byte = 0;

	skip_if_large(test);
	KUNIT_ASSERT_EQ(test, pkram_prepare_save(&ps, "n", GFP_FAIL), 0);
	KUNIT_ASSERT_EQ(test, pkram_prepare_save_obj(&ps, PAGES_AND_BYTES), 0);
	PKRAM_ACCESS(pages, &ps, pages);
	PKRAM_ACCESS(bytes, &ps, bytes);
	kt_add_ban(test, 0, U64_MAX);
	KUNIT_EXPECT_EQ(test, pkram_write(&bytes, &byte, 1), -ENOMEM);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pages, folio), -ENOMEM);
	kt_lift_bans(NULL);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pages, folio), 0);
	/* there is a link page now, but none to copy to */
	kt_add_ban(test, 0, U64_MAX);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pages, next), -ENOMEM);
	kt_lift_bans(NULL);
	KUNIT_EXPECT_EQ(test, folio_ref_count(next), 1);
	pkram_finish_access(&pages, false);
	pkram_finish_access(&bytes, false);
	pkram_discard_save(&ps);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);
}

static void api_no_room(struct kunit *test)
{
	struct folio *folio = kt_new_folio(test, 0, 5);
	struct pkram_stream ps;
	struct kt_no_room room;
	u8 byte = 0;

	kt_begin_save(test, &ps, "n", PAGES_AND_BYTES);
	PKRAM_ACCESS(pages, &ps, pages);
	PKRAM_ACCESS(bytes, &ps, bytes);
	KUNIT_EXPECT_EQ(test, pkram_write(&bytes, &byte, 1), 1);
	room = kt_take_room(test);
	KUNIT_EXPECT_EQ(test, pkram_write(&bytes, &byte, 1), -ENOSPC);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pages, folio), -ENOSPC);
	kt_give_room(room);
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
	.init = kt_case_init,
	.exit = kt_case_exit,
	.test_cases = pkram_api_cases,
};

kunit_test_suite(pkram_api_suite);
