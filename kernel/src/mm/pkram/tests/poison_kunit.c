// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit suite pkram-poison: pages that the hardware lost after the save.
 */
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/pkram.h>
#include <linux/uio.h>

#include "helpers.h"

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

/* As memory_failure() does. */
static void lose_page(struct page *page)
{
	SetPageHWPoison(page);
	pkram_poison_note(page_to_pfn(page));
}

static ssize_t read_object(const struct pkram_object *obj, void *buf, size_t len)
{
	struct kvec vec = { .iov_base = buf, .iov_len = len };
	struct iov_iter iter;

	iov_iter_kvec(&iter, ITER_DEST, &vec, 1, len);
	return pkram_bytes_read(obj, 0, &iter);
}

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

	save = kt_begin_files(test, "n");
	for (i = 0; i < 2; i++) {
		file[i] = kt_new_file(test, 6 * PAGE_SIZE);
		kt_fill_page(test, file[i], 0);
		kt_fill_page(test, file[i], 5);
		KUNIT_EXPECT_EQ(test, kt_add_file(save, file[i]), 0);
	}
	KUNIT_EXPECT_EQ(test, kt_add_bytes(save, &bytes, "abc", 3), 0);
	KUNIT_EXPECT_EQ(test, kt_add_bytes(save, &whole, "def", 3), 0);
	kt_commit_files(test, save, "n");
	node = kt_pin(test, "n");
	for (i = 0; i < 2; i++)
		kt_forget_file(test, node, i, file[i]);
	for (i = 0; i < 4; i++)
		obj[i] = pkram_node_object(node, i);
	KUNIT_EXPECT_EQ(test, pkram_poison_node(node->page), 0);

	bad[0] = page_of(obj[1]->pages_head, 1);
	bad[1] = page_of(obj[2]->bytes_head, 0);
	for (i = 0; i < 2; i++)
		lose_page(bad[i]);
	/* seen even before there is a seal */
	KUNIT_EXPECT_PTR_EQ(test, pkram_file_load(obj[1], NULL, NULL), ERR_PTR(-EHWPOISON));
	KUNIT_EXPECT_EQ(test, read_object(obj[2], buf, 3), -EHWPOISON);

	KUNIT_EXPECT_EQ(test, pkram_poison_node(node->page), 2);
	kt_check_node(test, "n");
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
	kt_check_node(test, "n");

	file[0] = kt_load_file(test, node, 0, NULL);
	kt_check_page(test, file[0], 0, true);
	kt_check_page(test, file[0], 5, true);
	kt_end_trip(test, node, file[0]);
}

/* More of them than an object has room for; and an object in a page of its own. */
static void poison_many(struct kunit *test)
{
	struct pkram_save *save = kt_begin_files(test, "n");
	struct file *file = kt_new_file(test, 8 * PAGE_SIZE);
	unsigned int i, nr = PKRAM_NODE_OBJECTS + PKRAM_PAGE_OBJECTS_MAX + 1;
	struct pkram_object *obj;
	struct pkram_node *node;
	struct page *bad[6];

	for (i = 0; i < nr; i++) {
		u32 object = PKRAM_OBJECT_NEW;

		KUNIT_EXPECT_EQ(test, kt_add_bytes(save, &object, "x", 1), 0);
	}
	for (i = 0; i < 8; i++)
		kt_fill_page(test, file, i);
	KUNIT_EXPECT_EQ(test, kt_add_file(save, file), 0);
	kt_commit_files(test, save, "n");
	node = kt_pin(test, "n");
	obj = pkram_node_object(node, nr);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		bad[i] = page_of(obj->pages_head, i + 1);
		lose_page(bad[i]);
	}
	KUNIT_EXPECT_EQ(test, pkram_poison_node(node->page), ARRAY_SIZE(bad));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		if (i < PKRAM_OBJ_POISONED)
			KUNIT_EXPECT_EQ(test, le64_to_cpu(obj->poisoned[i]),
					page_to_pfn(bad[i]));
		ClearPageHWPoison(bad[i]);
	}
	kt_check_node(test, "n");
	pkram_node_put(node);
	kt_remove_node(test, "n");
}

/*
 * A stream with a bad page cannot be moved. What was recorded before is counted in its
 * blocks, as long as no kexec can be prepared.
 */
static void poison_move(struct kunit *test)
{
	struct pkram_save *save = kt_begin_files(test, "n");
	struct file *file = kt_new_file(test, 4 * PAGE_SIZE);
	struct pkram_writer w = { };
	struct pkram_object *obj;
	struct pkram_node *node;
	struct page *bad;
	unsigned int i;

	for (i = 0; i < 4; i++)
		kt_fill_page(test, file, i);
	KUNIT_EXPECT_EQ(test, kt_add_file(save, file), 0);
	kt_commit_files(test, save, "n");
	node = kt_pin(test, "n");
	obj = pkram_node_object(node, 0);
	bad = page_of(obj->pages_head, 2);
	lose_page(bad);
	KUNIT_EXPECT_EQ(test, pkram_stream_move(obj->pages_head, &w), -EHWPOISON);
	KUNIT_EXPECT_EQ(test, w.nr_pages, 2);
	KUNIT_EXPECT_EQ(test, w.counted, (u64)w.run.count << w.run.order);
	pkram_writer_discard(&w);
	ClearPageHWPoison(bad);
	kt_check_node(test, "n");
	pkram_node_put(node);
	kt_remove_node(test, "n");
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
		file[i] = kt_new_file(test, PAGE_SIZE);
		kt_fill_page(test, file[i], 0);
		kt_save_one(test, i ? "good" : "bad", file[i]);
		node[i] = kt_pin(test, i ? "good" : "bad");
	}
	head = pkram_node_object(node[0], 0)->pages_head;
	bad = pfn_to_page(le64_to_cpu(head));
	SetPageHWPoison(bad);
	KUNIT_EXPECT_LT(test, pkram_poison_node(node[0]->page), 0);
	/* memory_failure() was not called: nothing is looked at */
	if (!atomic_long_read(&num_poisoned_pages)) {
		KUNIT_EXPECT_TRUE(test, pkram_poison_seal());
		KUNIT_EXPECT_NE(test, le64_to_cpu(*node[0]->slot), 0);
	}
	num_poisoned_pages_inc(page_to_pfn(bad));
	KUNIT_EXPECT_TRUE(test, pkram_poison_seal());
	KUNIT_EXPECT_EQ(test, le64_to_cpu(*node[0]->slot), 0);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(*node[1]->slot), pkram_pfn(node[1]->page));
	ClearPageHWPoison(bad);
	pkram_dir_set(node[0]->slot, node[0]->page->hdr.pfn);

	bad = virt_to_page(node[0]->page);
	lose_page(bad);
	KUNIT_EXPECT_TRUE(test, pkram_poison_seal());
	KUNIT_EXPECT_EQ(test, le64_to_cpu(*node[0]->slot), 0);
	ClearPageHWPoison(bad);
	num_poisoned_pages_sub(page_to_pfn(bad), 1);
	for (i = 0; i < 2; i++) {
		pkram_node_put(node[i]);
		kt_remove_node(test, i ? "good" : "bad");
	}
}

/* Where the worker found the page, the seal looks at that node only; once, and again. */
static void poison_checked(struct kunit *test)
{
	struct file *file[2];
	struct pkram_node *node[2];
	struct page *bad, *other;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		file[i] = kt_new_file(test, 3 * PAGE_SIZE);
		kt_fill_page(test, file[i], 2);
		kt_save_one(test, i ? "good" : "bad", file[i]);
		node[i] = kt_pin(test, i ? "good" : "bad");
	}
	other = alloc_page(GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, other);
	bad = page_of(pkram_node_object(node[0], 0)->pages_head, 0);
	/* both had an error before, and were unpoisoned: each has an entry */
	lose_page(other);
	lose_page(bad);
	ClearPageHWPoison(other);
	ClearPageHWPoison(bad);
	SetPageHWPoison(bad);
	num_poisoned_pages_inc(page_to_pfn(bad));
	SetPageHWPoison(other);
	num_poisoned_pages_inc(page_to_pfn(other));
	for (i = 0; i < 250 && !pkram_poison_checked(); i++)
		msleep(20);
	KUNIT_EXPECT_TRUE(test, pkram_poison_checked());
	KUNIT_EXPECT_TRUE(test, pkram_poison_seal());
	KUNIT_EXPECT_EQ(test, le64_to_cpu(pkram_node_object(node[0], 0)->nr_poisoned), 1);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(pkram_node_object(node[0], 0)->poisoned[0]),
			page_to_pfn(bad));
	KUNIT_EXPECT_EQ(test, le64_to_cpu(pkram_node_object(node[1], 0)->nr_poisoned), 0);
	kt_check_node(test, "bad");
	kt_check_node(test, "good");
	ClearPageHWPoison(bad);
	ClearPageHWPoison(other);
	num_poisoned_pages_sub(page_to_pfn(bad), 1);
	num_poisoned_pages_sub(page_to_pfn(other), 1);
	__free_page(other);
	for (i = 0; i < 2; i++) {
		pkram_node_put(node[i]);
		kt_remove_node(test, i ? "good" : "bad");
	}
}

/* The worker found a page in a node that was removed since: its directory page is not ours. */
static void poison_removed(struct kunit *test)
{
	struct file *file = kt_new_file(test, PAGE_SIZE);
	struct page *bad, *page, *other;
	struct pkram_node *node;
	struct pkram_dir *dir;
	unsigned int i, slot;

	kt_fill_page(test, file, 0);
	kt_save_one(test, "n", file);
	node = kt_pin(test, "n");
	page = virt_to_page(node->slot);
	dir = page_address(page);
	slot = node->slot - dir->slot;
	bad = page_of(pkram_node_object(node, 0)->pages_head, 0);
	other = alloc_page(GFP_KERNEL | __GFP_ZERO);
	KUNIT_ASSERT_NOT_NULL(test, other);
	lose_page(bad);
	num_poisoned_pages_inc(page_to_pfn(bad));
	for (i = 0; i < 250 && !pkram_poison_checked(); i++)
		msleep(20);
	KUNIT_EXPECT_TRUE(test, pkram_poison_checked());

	/* The page is freed, but is the case's own, and looks as if it were of a node. */
	get_page(page);
	ClearPageHWPoison(bad);
	pkram_node_put(node);
	kt_remove_node(test, "n");
	KUNIT_EXPECT_EQ(test, page_count(page), 1);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(pkram.sb->dir_pfn), 0);
	SetPageHWPoison(other);
	memset(dir, 0, PAGE_SIZE);
	dir->hdr.flags = cpu_to_le32(PKRAM_HDR_ALONE);
	dir->slot[slot] = cpu_to_le64(page_to_pfn(other));
	KUNIT_EXPECT_TRUE(test, pkram_poison_seal());
	KUNIT_EXPECT_EQ(test, le64_to_cpu(dir->slot[slot]), page_to_pfn(other));

	ClearPageHWPoison(other);
	num_poisoned_pages_sub(page_to_pfn(bad), 1);
	put_page(page);
	__free_page(other);
}

/*
 * memory_failure() does not flag a large folio that is on no list: all of its pages are looked
 * at, and the allocator does not get it.
 */
static void poison_large(struct kunit *test)
{
	struct folio *large = kt_new_folio(test, 2, 4), *fine = kt_new_folio(test, 0, 8);
	struct pkram_node *node;
	struct pkram_stream ps;
	struct page *bad;
	int refs;

	kt_begin_save(test, &ps, "n", PKRAM_DATA_pages);
	PKRAM_ACCESS(pages, &ps, pages);
	KUNIT_ASSERT_EQ(test, pkram_save_file_folio(&pages, large), 0);
	KUNIT_ASSERT_EQ(test, pkram_save_file_folio(&pages, fine), 0);
	pkram_finish_access(&pages, true);
	kt_end_save(test, &ps, "n");
	node = kt_pin(test, "n");
	KUNIT_EXPECT_FALSE(test, pkram_folio_poisoned(large));
	bad = folio_page(large, 3);
	lose_page(bad);
	KUNIT_EXPECT_TRUE(test, pkram_folio_poisoned(large));
	KUNIT_EXPECT_FALSE(test, pkram_folio_poisoned(fine));
	if (pkram_folio_poisoned(large))
		KUNIT_EXPECT_PTR_EQ(test, pkram_file_load(pkram_node_object(node, 0), NULL, NULL),
				    ERR_PTR(-EHWPOISON));
	pkram_node_put(node);
	refs = folio_ref_count(large);
	kt_remove_node(test, "n");
	KUNIT_EXPECT_EQ(test, folio_ref_count(large), refs);
	KUNIT_EXPECT_EQ(test, folio_ref_count(fine), 1);
	ClearPageHWPoison(bad);
	if (folio_ref_count(large) > 1)
		folio_put(large);
}

/* Pages that were allocated ahead are not handed out when they are bad. */
static void poison_pool(struct kunit *test)
{
	struct page *page[2], *bad;

	pkram_alloc_hold();
	pkram_alloc_release(true);
	pkram_alloc_hold();
	scoped_guard(rwsem_read, &pkram_kexec_sem)
		page[0] = pkram_alloc_page(GFP_KERNEL, numa_mem_id());
	KUNIT_ASSERT_NOT_NULL(test, page[0]);
	if (page_to_pfn(page[0]) % PKRAM_BLOCK_PAGES) {
		__free_page(page[0]);
		pkram_alloc_release(true);
		kunit_skip(test, "no free block");
	}
	bad = page[0] + 1;
	SetPageHWPoison(bad);
	scoped_guard(rwsem_read, &pkram_kexec_sem)
		page[1] = pkram_alloc_page(GFP_KERNEL, page_to_nid(bad));
	KUNIT_EXPECT_PTR_NE(test, page[1], bad);
	KUNIT_EXPECT_EQ(test, page_count(bad), 1);
	ClearPageHWPoison(bad);
	if (page[1] != bad)
		__free_page(bad);
	__free_page(page[1]);
	__free_page(page[0]);
	pkram_alloc_release(true);
}

/* Super block, map and directory: one copy of each is enough, and is all that is used. */
static void poison_copies(struct kunit *test)
{
	struct pkram_super *sb = pkram.sb, *sb_twin = pkram.sb_twin;
	struct pkram_map *map = pkram.map, *map_twin = pkram.map_twin;
	struct file *file = kt_new_file(test, PAGE_SIZE);
	struct pkram_dir *dir, *twin;
	unsigned int which;

	KUNIT_ASSERT_NOT_NULL(test, sb_twin);
	KUNIT_ASSERT_NOT_NULL(test, map_twin);
	kt_fill_page(test, file, 0);
	kt_save_one(test, "n", file);
	dir = pfn_to_kaddr(le64_to_cpu(sb->dir_pfn));
	atomic_long_inc(&num_poisoned_pages);
	for (which = 0; which < 2; which++) {
		struct page *bad[3] = {
			virt_to_page(which ? sb_twin : sb),
			virt_to_page(which ? map_twin : map),
			virt_to_page(which ? pkram_twin_page(dir) : dir),
		};
		struct pkram_dir *other = which ? dir : pkram_twin_page(dir);
		unsigned int i;

		for (i = 0; i < 3; i++)
			SetPageHWPoison(bad[i]);
		KUNIT_EXPECT_TRUE(test, pkram_poison_seal());
		KUNIT_EXPECT_PTR_EQ(test, pkram.sb, which ? sb : sb_twin);
		KUNIT_EXPECT_NULL(test, pkram.sb_twin);
		KUNIT_EXPECT_TRUE(test, pkram_is_alone(pkram.sb));
		KUNIT_EXPECT_PTR_EQ(test, pkram.map, which ? map : map_twin);
		KUNIT_EXPECT_NULL(test, pkram.map_twin);
		KUNIT_EXPECT_EQ(test, le64_to_cpu(pkram.sb->map_pfn), pkram_pfn(pkram.map));
		KUNIT_EXPECT_EQ(test, le64_to_cpu(pkram.sb->map_copy_pfn), 0);
		KUNIT_EXPECT_EQ(test, le64_to_cpu(pkram.sb->dir_pfn), pkram_pfn(other));
		KUNIT_EXPECT_TRUE(test, pkram_is_alone(other));
		twin = pkram_twin_page(dir);
		KUNIT_EXPECT_MEMEQ(test, dir->slot, twin->slot, sizeof(dir->slot));
		KUNIT_EXPECT_MEMEQ(test, map->bits, map_twin->bits, sizeof(map->bits));
		for (i = 0; i < 3; i++)
			ClearPageHWPoison(bad[i]);
		pkram.sb->hdr.flags = 0;
		other->hdr.flags = 0;
		pkram.sb = sb;
		pkram.sb_twin = sb_twin;
		pkram.map = map;
		pkram.map_twin = map_twin;
		sb->map_pfn = cpu_to_le64(pkram_pfn(map));
		sb->map_copy_pfn = cpu_to_le64(pkram_pfn(map_twin));
		sb_twin->map_pfn = sb->map_pfn;
		sb_twin->map_copy_pfn = sb->map_copy_pfn;
		pkram_dir_link(NULL, dir->hdr.pfn);
	}
	/* both of a kind */
	SetPageHWPoison(virt_to_page(sb));
	SetPageHWPoison(virt_to_page(sb_twin));
	KUNIT_EXPECT_FALSE(test, pkram_poison_seal());
	ClearPageHWPoison(virt_to_page(sb));
	ClearPageHWPoison(virt_to_page(sb_twin));
	atomic_long_dec(&num_poisoned_pages);
	kt_remove_node(test, "n");
}

static struct kunit_case pkram_poison_cases[] = {
	KUNIT_CASE(poison_objects),
	KUNIT_CASE(poison_many),
	KUNIT_CASE(poison_move),
	KUNIT_CASE(poison_metadata),
	KUNIT_CASE(poison_checked),
	KUNIT_CASE(poison_removed),
	KUNIT_CASE(poison_large),
	KUNIT_CASE(poison_pool),
	KUNIT_CASE(poison_copies),
	{}
};

static struct kunit_suite pkram_poison_suite = {
	.name = "pkram-poison",
	.init = kt_case_init,
	.exit = kt_case_exit,
	.test_cases = pkram_poison_cases,
};

kunit_test_suite(pkram_poison_suite);
