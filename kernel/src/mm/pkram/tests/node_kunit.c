// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit suite pkram-node: the store and its tables.
 */
#include <linux/mm.h>
#include <linux/stat.h>
#include <linux/timekeeping.h>
#include <linux/xarray.h>

#include "helpers.h"

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
	node = kt_new_node(test, "n");
	kt_commit_node(test, "n", false);
	pkram_node_destroy(node);
	kt_remove_node(test, "n");
}

static void adopting_end(void *unused)
{
	pkram_node_free_removed();
}

/* A node of the previous kernel is removed while others are pending: its pages stay its own. */
static void node_removed_early(struct kunit *test)
{
	struct file *file = kt_new_file(test, PAGE_SIZE);
	struct pkram_node *node;

	KUNIT_ASSERT_EQ(test, kunit_add_action(test, adopting_end, NULL), 0);
	kt_fill_page(test, file, 0);
	kt_save_one(test, "n", file);
	node = kt_pin(test, "n");
	node->born--;
	pkram_node_put(node);
	pkram.adopting = true;
	kt_remove_node(test, "n");
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 1);
	/* its owner need not wait */
	KUNIT_EXPECT_FALSE(test, kt_frozen(file));
	KUNIT_EXPECT_EQ(test, kt_truncate_to(file, 0), 0);
	pkram_node_free_removed();
	KUNIT_EXPECT_FALSE(test, pkram.adopting);

	/* one of this kernel is freed at once */
	KUNIT_EXPECT_EQ(test, kt_truncate_to(file, PAGE_SIZE), 0);
	kt_fill_page(test, file, 0);
	kt_save_one(test, "n", file);
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 1);
	pkram.adopting = true;
	kt_remove_node(test, "n");
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 0);
	pkram_node_free_removed();
}

/* The same for metadata: a node page that was dropped, or a page of the directory. */
static void node_kept_meta(struct kunit *test)
{
	struct pkram_page_hdr *hdr[2];
	unsigned int i;

	KUNIT_ASSERT_EQ(test, kunit_add_action(test, adopting_end, NULL), 0);
	KUNIT_ASSERT_EQ(test, pkram_blocks_init(GFP_KERNEL), 0);
	for (i = 0; i < 2; i++) {
		hdr[i] = pkram_alloc_meta(PKRAM_PAGE_NODE, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, hdr[i]);
		get_page(virt_to_page(hdr[i]));
	}
	le64_add_cpu(&hdr[0]->generation, -1);
	pkram.adopting = true;
	for (i = 0; i < 2; i++)
		pkram_free_meta(hdr[i]);
	KUNIT_EXPECT_EQ(test, page_count(virt_to_page(hdr[0])), 2);
	KUNIT_EXPECT_EQ(test, page_count(virt_to_page(hdr[1])), 1);
	KUNIT_EXPECT_TRUE(test, pkram_map_test(pkram.map, pkram_pfn(hdr[0]) >> PKRAM_BLOCK_ORDER));
	pkram_node_free_removed();
	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_EQ(test, page_count(virt_to_page(hdr[i])), 1);
		put_page(virt_to_page(hdr[i]));
	}
	pkram_alloc_trim();
}

static void node_ids(struct kunit *test)
{
	u64 a, b, c, removed = 0;

	a = kt_commit_node(test, "z", false);
	b = kt_commit_node(test, "m", false);
	KUNIT_EXPECT_GT(test, b, a);
	KUNIT_EXPECT_EQ(test, pkram_node_remove("z", NULL, &removed), 0);
	KUNIT_EXPECT_EQ(test, removed, a);
	c = kt_commit_node(test, "z", false);
	KUNIT_EXPECT_GT(test, c, b);
	KUNIT_EXPECT_PTR_EQ(test, xa_load(&pkram.nodes, a), NULL);
	KUNIT_EXPECT_NOT_NULL(test, xa_load(&pkram.nodes, c));
	kt_remove_node(test, "z");
	kt_remove_node(test, "m");
}

static void node_get_and_remove(struct kunit *test)
{
	struct pkram_node *node, *again;
	u64 id = 0;

	KUNIT_EXPECT_PTR_EQ(test, pkram_node_get("n"), ERR_PTR(-ENOENT));
	KUNIT_EXPECT_EQ(test, pkram_node_remove("n", NULL, &id), -ENOENT);
	kt_commit_node(test, "n", false);
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
	kt_commit_node(test, "n", false);
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

/* A reserved name has no node yet. */
static void node_reserved(struct kunit *test)
{
	struct pkram_node *node = kt_new_node(test, "n"), *other;
	u64 id = 0;

	KUNIT_ASSERT_EQ(test, pkram_node_prepare(node, GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, pkram_node_prepare(node, GFP_KERNEL), 0);
	other = kt_new_node(test, "n");
	KUNIT_EXPECT_EQ(test, pkram_node_prepare(other, GFP_KERNEL), -EEXIST);
	KUNIT_EXPECT_EQ(test, pkram_node_commit(other, false, GFP_KERNEL, &id), -EEXIST);
	KUNIT_EXPECT_EQ(test, pkram_node_commit(other, true, GFP_KERNEL, &id), -EBUSY);
	KUNIT_EXPECT_PTR_EQ(test, pkram_node_get("n"), ERR_PTR(-ENOENT));
	KUNIT_EXPECT_PTR_EQ(test, pkram_node_take("n"), ERR_PTR(-EBUSY));
	KUNIT_EXPECT_EQ(test, pkram_node_remove("n", NULL, &id), -ENOENT);
	KUNIT_EXPECT_EQ(test, pkram_remove_idle(), 0);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(*node->slot), 0);
	pkram_node_publish(node);
	kt_check_node(test, "n");
	pkram_node_destroy(other);
	kt_remove_node(test, "n");
}

/* One node takes the place of another: the slot never reads 0. */
static void node_replace(struct kunit *test)
{
	struct folio *folio = kt_new_folio(test, 0, 0);
	struct page *page = folio_page(folio, 0);
	struct pkram_node *node, *other;
	u64 a, b, id = 0;
	__le64 *slot;

	kt_save_pages(test, "n", &page, 1);
	node = pkram_node_get("n");
	KUNIT_ASSERT_FALSE(test, IS_ERR(node));
	a = node->id;
	slot = node->slot;
	other = kt_new_node(test, "n");
	KUNIT_EXPECT_EQ(test, pkram_node_commit(other, false, GFP_KERNEL, &id), -EEXIST);
	KUNIT_EXPECT_EQ(test, pkram_node_commit(other, true, GFP_KERNEL, &id), -EBUSY);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 2);
	pkram_node_put(node);
	KUNIT_EXPECT_EQ(test, pkram_node_commit(other, true, GFP_KERNEL, &b), 0);
	kt_check_node(test, "n");
	KUNIT_EXPECT_GT(test, b, a);
	KUNIT_EXPECT_PTR_EQ(test, other->slot, slot);
	KUNIT_EXPECT_EQ(test, pkram.nr_nodes, 1);
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 0);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);
	kt_remove_node(test, "n");
	/* nothing there to be replaced */
	kt_commit_node(test, "n", true);
	kt_remove_node(test, "n");
}

static void node_remove_idle(struct kunit *test)
{
	struct pkram_node *busy, *saving = kt_new_node(test, "saving");
	char name[16];
	unsigned int i;

	KUNIT_ASSERT_EQ(test, pkram_node_prepare(saving, GFP_KERNEL), 0);
	for (i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "idle%u", i);
		kt_save_bytes(test, name, 5000);
	}
	busy = pkram_node_get("idle7");
	KUNIT_ASSERT_FALSE(test, IS_ERR(busy));
	KUNIT_EXPECT_EQ(test, pkram_remove_idle(), -EBUSY);
	KUNIT_EXPECT_EQ(test, pkram.nr_nodes, 1);
	kt_check_node(test, "idle7");
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
		struct pkram_node *node = kt_new_node(test, "n");

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
		kt_check_node(test, "n");
		KUNIT_EXPECT_EQ(test, node->totals.meta_pages,
				1 + (n > first ? DIV_ROUND_UP(n - first, more) : 0));
		for (n = 0, wrong = 0; n < counts[i]; n++)
			wrong += le64_to_cpu(pkram_node_object(node, n)->size) != n;
		KUNIT_EXPECT_EQ(test, wrong, 0);
		kt_remove_node(test, "n");
		kt_expect_unchanged(test);
	}
}

static void node_max_objects(struct kunit *test)
{
	struct pkram_object *obj;
	struct pkram_stream ps;
	u32 i;

	kt_begin_save(test, &ps, "n", 0);
	for (i = 0; i < PKRAM_MAX_OBJECTS - 1; i++) {
		obj = pkram_node_add_object(ps.node, PKRAM_OBJ_BYTES, GFP_KERNEL);
		KUNIT_ASSERT_FALSE(test, IS_ERR(obj));
	}
	KUNIT_EXPECT_EQ(test, pkram_prepare_save_obj(&ps, PKRAM_DATA_bytes), 0);
	pkram_finish_save_obj(&ps);
	KUNIT_EXPECT_EQ(test, pkram_prepare_save_obj(&ps, PKRAM_DATA_bytes), -EFBIG);
	KUNIT_EXPECT_PTR_EQ(test, pkram_node_add_object(ps.node, PKRAM_OBJ_BYTES, GFP_KERNEL),
			    (struct pkram_object *)ERR_PTR(-EFBIG));
	kt_end_save(test, &ps, "n");

	KUNIT_ASSERT_EQ(test, pkram_prepare_load(&ps, "n"), 0);
	for (i = 0; !pkram_prepare_load_obj(&ps); i++)
		pkram_finish_load_obj(&ps);
	KUNIT_EXPECT_EQ(test, i, PKRAM_MAX_OBJECTS);
	kt_end_load(&ps);
}

/* Objects removed again: a page of objects that holds none is not committed. */
static void node_drop_object(struct kunit *test)
{
	const u32 nr = PKRAM_NODE_OBJECTS + PKRAM_PAGE_OBJECTS_MAX + 1;
	struct pkram_node *node = kt_new_node(test, "n");
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
	kt_check_node(test, "n");
	kt_remove_node(test, "n");
}

/* More nodes than a directory page has slots, removed in an order of its own. */
static void node_many(struct kunit *test)
{
	const unsigned int nr = 2 * PKRAM_DIR_SLOTS + 10;
	struct kt_snapshot *before = test->priv;
	unsigned int i, step, wrong = 0;
	char name[16];
	u64 id;

	for (i = 0; i < nr; i++) {
		snprintf(name, sizeof(name), "%u", i);
		KUNIT_ASSERT_EQ(test, pkram_node_commit(kt_new_node(test, name), false, GFP_KERNEL,
							&id), 0);
	}
	KUNIT_EXPECT_EQ(test, pkram.nr_nodes, nr);
	KUNIT_EXPECT_EQ(test, pkram.meta_pages, before->meta_pages + nr + 6);
	for (i = 0; i < nr; i += 100) {
		snprintf(name, sizeof(name), "%u", i);
		kt_check_node(test, name);
	}
	/* every third first, so that slots in all pages become free, and used again */
	for (step = 0; step < 3; step++)
		for (i = step; i < nr; i += 3) {
			snprintf(name, sizeof(name), "%u", i);
			KUNIT_ASSERT_EQ(test, pkram_node_remove(name, NULL, &id), 0);
			if (step)
				continue;
			KUNIT_ASSERT_EQ(test, pkram_node_commit(kt_new_node(test, "x"), false,
								GFP_KERNEL, &id), 0);
			wrong += pkram.meta_pages != before->meta_pages + nr - i / 3 + 6;
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

	kt_save_bytes(test, "info", 5000);
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
	kt_load_and_drop(test, "info");
}

/* The check all other cases rely on does see what is wrong. */
static void node_damage(struct kunit *test)
{
	struct folio *folio = kt_new_folio(test, 0, 3);
	struct page *page = folio_page(folio, 0);
	struct pkram_node_totals t;
	struct pkram_object *obj;
	struct pkram_node *node;
	struct pkram_link *link;
	unsigned int i;

	kt_save_pages(test, "n", &page, 1);
	node = pkram_node_get("n");
	KUNIT_ASSERT_FALSE(test, IS_ERR(node));
	obj = pkram_node_object(node, 0);
	link = pfn_to_kaddr(le64_to_cpu(obj->pages_head));

	for (i = 0; i < le32_to_cpu(node->page->hdr.length); i += 13) {
		((u8 *)node->page)[i] ^= 0x10;
		KUNIT_EXPECT_NE_MSG(test, kt_walk_node(node, &t), PKRAM_DAMAGE_NONE, "byte %u", i);
		((u8 *)node->page)[i] ^= 0x10;
	}
	for (i = 0; i < le32_to_cpu(link->hdr.length); i++) {
		((u8 *)link)[i] ^= 0x01;
		KUNIT_EXPECT_NE_MSG(test, kt_walk_node(node, &t), PKRAM_DAMAGE_NONE, "byte %u", i);
		((u8 *)link)[i] ^= 0x01;
	}
	/* a page that is claimed twice, and totals that do not add up */
	obj->bytes_head = obj->pages_head;
	pkram_page_finish(&node->page->hdr);
	KUNIT_EXPECT_NE(test, kt_walk_node(node, &t), PKRAM_DAMAGE_NONE);
	obj->bytes_head = 0;
	le64_add_cpu(&node->page->data_pages, 1);
	pkram_page_finish(&node->page->hdr);
	KUNIT_EXPECT_EQ(test, kt_walk_node(node, &t), PKRAM_DAMAGE_COUNT);
	le64_add_cpu(&node->page->data_pages, -1);
	pkram_page_finish(&node->page->hdr);
	KUNIT_EXPECT_EQ(test, kt_walk_node(node, &t), PKRAM_DAMAGE_NONE);
	pkram_node_put(node);
	kt_load_and_drop(test, "n");
}

static struct kunit_case pkram_node_cases[] = {
	KUNIT_CASE(node_create_errors),
	KUNIT_CASE(node_removed_early),
	KUNIT_CASE(node_kept_meta),
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
	.init = kt_case_init,
	.exit = kt_case_exit,
	.test_cases = pkram_node_cases,
};

kunit_test_suite(pkram_node_suite);
