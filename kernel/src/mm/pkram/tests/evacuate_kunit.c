// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit suite pkram-evacuate: nodes are moved when an image needs their place.
 */
#include <linux/kexec.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/stat.h>
#include <linux/swap.h>

#include "../../../kernel/kexec_internal.h"
#include "helpers.h"

/* Bans on what a committed node has and what lists it; all of it is to be moved. */
static void ban_page(struct kunit *test, u64 pfn)
{
	kt_add_ban(test, pfn, pfn + 1);
}

static void ban_stream(struct kunit *test, __le64 head)
{
	const struct pkram_link *link = kt_link_at(head);
	struct pkram_extent e = pkram_extent_decode(pkram_extent_raw(link, 0));

	ban_page(test, pkram_pfn(link));
	ban_page(test, e.pfn);
}

/* Directory, node page, link pages, bytes, and some pages of a file. */
static void evacuate_all_kinds(struct kunit *test)
{
	struct file *file = kt_new_file(test, 20 * PAGE_SIZE);
	const u64 moved[] = { 3, 4, 19 };
	struct pkram_node *node, *bytes;
	struct pkram_stream ps;
	struct folio *folio;
	unsigned int i;
	u64 old_dir;
	u8 *buf;

	for (i = 0; i < 20; i++)
		kt_fill_page(test, file, i);
	kt_save_one(test, "n", file);
	kt_save_bytes(test, "m", 5 * PAGE_SIZE + 3);
	node = kt_pin(test, "n");
	bytes = kt_pin(test, "m");
	pkram_node_put(bytes);
	old_dir = le64_to_cpu(pkram.sb->dir_pfn);

	ban_page(test, old_dir);
	ban_page(test, pkram_pfn(node->page));
	ban_page(test, pkram_pfn(bytes->page));
	ban_page(test, pkram_pfn(kt_link_at(pkram_node_object(node, 0)->pages_head)));
	ban_stream(test, pkram_node_object(bytes, 0)->bytes_head);
	for (i = 0; i < ARRAY_SIZE(moved); i++) {
		folio = filemap_get_folio(file->f_mapping, moved[i]);
		KUNIT_ASSERT_FALSE(test, IS_ERR(folio));
		ban_page(test, folio_pfn(folio));
		folio_put(folio);
	}
	/* it may be in use for reading */
	KUNIT_EXPECT_EQ(test, pkram_evacuate(), -EBUSY);
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 20);
	pkram_node_put(node);

	KUNIT_EXPECT_EQ(test, pkram_evacuate(), 0);
	KUNIT_EXPECT_NE(test, le64_to_cpu(pkram.sb->dir_pfn), old_dir);
	/* these find no banned page, and all totals and checksums right */
	kt_check_node(test, "n");
	kt_check_node(test, "m");
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 20 - ARRAY_SIZE(moved));
	/* nothing is left to be done */
	KUNIT_EXPECT_EQ(test, pkram_evacuate(), 0);

	node = kt_pin(test, "n");
	kt_forget_file(test, node, 0, file);
	file = kt_load_file(test, node, 0, NULL);
	for (i = 0; i < 20; i++)
		kt_check_page(test, file, i, true);
	kt_end_trip(test, node, file);

	buf = kunit_kmalloc(test, 6 * PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, buf);
	kt_begin_load(test, &ps, "m");
	PKRAM_ACCESS(rd, &ps, bytes);
	KUNIT_EXPECT_EQ(test, pkram_read(&rd, buf, 6 * PAGE_SIZE), 5 * PAGE_SIZE + 3);
	for (i = 0; i < 5 * PAGE_SIZE + 3; i++)
		if (buf[i] != kt_pattern(i))
			break;
	KUNIT_EXPECT_EQ(test, i, 5 * PAGE_SIZE + 3);
	pkram_finish_access(&rd, true);
	kt_end_load(&ps);
}

static void evacuate_large(struct kunit *test)
{
	struct folio *large = kt_new_folio(test, 2, 4), *fine = kt_new_folio(test, 0, 8);

	kt_save_large(test, large, fine);
	ban_page(test, folio_pfn(large) + 2);
	KUNIT_EXPECT_EQ(test, pkram_evacuate(), 0);
	kt_check_node(test, "n");
	kt_load_copy(test, large, fine);
}

/* Pages of further objects. */
static void evacuate_objects(struct kunit *test)
{
	const u32 nr = PKRAM_NODE_OBJECTS + 2 * PKRAM_PAGE_OBJECTS_MAX + 1;
	struct pkram_node *node = kt_new_node(test, "n");
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
	kt_check_node(test, "n");
	for (n = 0; n < nr; n++)
		wrong += le64_to_cpu(pkram_node_object(node, n)->size) != n;
	KUNIT_EXPECT_EQ(test, wrong, 0);
	kt_remove_node(test, "n");
}

/* The pages of a file that was loaded, and whose node is gone. */
static void evacuate_loaded(struct kunit *test)
{
	struct file *file = kt_new_file(test, 10 * PAGE_SIZE);
	unsigned int i, early = 0, wrong = 0;
	struct pkram_node *node;
	struct folio *folio;

	for (i = 0; i < 10; i++)
		kt_fill_page(test, file, i);
	file = kt_round_trip(test, file, NULL, &node);
	pkram_node_put(node);
	folio = filemap_get_folio(file->f_mapping, 5);
	KUNIT_ASSERT_FALSE(test, IS_ERR(folio));
	ban_page(test, folio_pfn(folio));
	folio_put(folio);
	KUNIT_EXPECT_EQ(test, pkram_evacuate(), 0);
	kt_check_node(test, "n");
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 9);
	/* the file is frozen still */
	for (i = 0; i < 10; i++) {
		folio = filemap_get_folio(file->f_mapping, i);
		KUNIT_ASSERT_FALSE(test, IS_ERR(folio));
		early += !folio_test_lru(folio) || !folio_test_unevictable(folio);
		folio_put(folio);
	}
	KUNIT_EXPECT_EQ_MSG(test, early, 0, "pages that can be reclaimed");
	kt_end_trip(test, kt_pin(test, "n"), file);
	for (i = 0; i < 10; i++) {
		kt_check_page(test, file, i, true);
		folio = filemap_get_folio(file->f_mapping, i);
		KUNIT_ASSERT_FALSE(test, IS_ERR(folio));
		wrong += !folio_test_lru(folio) || folio_test_unevictable(folio);
		folio_put(folio);
	}
	KUNIT_EXPECT_EQ_MSG(test, wrong, 0, "pages that cannot be reclaimed");
}

/* The address of page @index of a file. */
static unsigned long page_address_of(struct kunit *test, struct file *file, pgoff_t index)
{
	struct folio *folio = filemap_get_folio(file->f_mapping, index);
	unsigned long address;

	KUNIT_ASSERT_FALSE(test, IS_ERR(folio));
	address = PFN_PHYS(folio_pfn(folio));
	folio_put(folio);
	return address;
}

static void end_placing(void *unused)
{
	pkram_kexec_end();
	kexec_unlock();
}

/* kexec_load() moves nothing for an image that is refused for another reason. */
static void evacuate_valid_images_only(struct kunit *test)
{
	struct file *file = kt_new_file(test, 2 * PAGE_SIZE);
	unsigned long old, most = totalram_pages() / 10 * 9 * PAGE_SIZE;
	struct kexec_segment *bad;
	struct kimage *image;

	kt_fill_page(test, file, 0);
	kt_fill_page(test, file, 1);
	kt_save_one(test, "n", file);
	old = page_address_of(test, file, 0);
	image = do_kimage_alloc_init();
	KUNIT_ASSERT_NOT_NULL(test, image);
	image->nr_segments = 2;
	image->segment[0].mem = old;
	image->segment[0].memsz = PAGE_SIZE;
	bad = &image->segment[1];

	KUNIT_ASSERT_TRUE(test, kexec_trylock());
	pkram_kexec_begin();
	KUNIT_ASSERT_EQ(test, kunit_add_action(test, end_placing, NULL), 0);
	/* nine tenths of memory; on top of the other one; larger than its place; crooked */
	*bad = (struct kexec_segment) { .mem = SZ_4G, .memsz = most };
	KUNIT_EXPECT_EQ(test, sanity_check_segment_list(image), -EINVAL);
	*bad = (struct kexec_segment) { .mem = old, .memsz = PAGE_SIZE };
	KUNIT_EXPECT_EQ(test, sanity_check_segment_list(image), -EINVAL);
	*bad = (struct kexec_segment) { .mem = SZ_4G, .memsz = PAGE_SIZE, .bufsz = SZ_64K };
	KUNIT_EXPECT_EQ(test, sanity_check_segment_list(image), -EINVAL);
	*bad = (struct kexec_segment) { .mem = SZ_4G + 1, .memsz = PAGE_SIZE };
	KUNIT_EXPECT_EQ(test, sanity_check_segment_list(image), -EADDRNOTAVAIL);
	KUNIT_EXPECT_EQ(test, page_address_of(test, file, 0), old);
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 2);

	/* the super block cannot be moved */
	*bad = (struct kexec_segment) { .mem = __pa(pkram.sb), .memsz = PAGE_SIZE };
	KUNIT_EXPECT_EQ(test, sanity_check_segment_list(image), -EADDRNOTAVAIL);
	kt_check_node(test, "n");

	image->nr_segments = 1;
	KUNIT_EXPECT_EQ(test, sanity_check_segment_list(image), 0);
	kt_check_node(test, "n");
	kunit_release_action(test, end_placing, NULL);
	kfree(image);
	kt_remove_node(test, "n");
}

static struct kunit_case pkram_evacuate_cases[] = {
	KUNIT_CASE(evacuate_valid_images_only),
	KUNIT_CASE(evacuate_all_kinds),
	KUNIT_CASE(evacuate_large),
	KUNIT_CASE(evacuate_objects),
	KUNIT_CASE(evacuate_loaded),
	{}
};

static struct kunit_suite pkram_evacuate_suite = {
	.name = "pkram-evacuate",
	.init = kt_case_init,
	.exit = kt_case_exit,
	.test_cases = pkram_evacuate_cases,
};

kunit_test_suite(pkram_evacuate_suite);
