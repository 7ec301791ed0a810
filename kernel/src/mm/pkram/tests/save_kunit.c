// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit suite pkram-save: ranges and byte streams as /dev/pkram saves them.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sizes.h>

#include "helpers.h"

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
	struct file *file = kt_new_file(test, 4 * SZ_2M);
	struct pkram_save *save = kt_begin_files(test, "n");
	struct pkram_node *node;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(at); i++)
		kt_fill_page(test, file, at[i]);
	kt_fill_page(test, file, 1200);
	KUNIT_EXPECT_EQ(test, save_part(save, file, PKRAM_OBJECT_NEW, 3, 0), 0);
	KUNIT_EXPECT_TRUE(test, kt_frozen(file));
	KUNIT_EXPECT_EQ(test, save_part(save, file, 0, 0, 1), 0);
	KUNIT_EXPECT_EQ(test, save_part(save, file, 0, 1, 1), 0);
	/* a range without pages */
	KUNIT_EXPECT_EQ(test, save_part(save, file, 0, 4, 1), 0);
	kt_commit_files(test, save, "n");
	KUNIT_EXPECT_EQ(test, pkram.data_pages, ARRAY_SIZE(at));
	node = kt_pin(test, "n");
	kt_forget_file(test, node, 0, file);
	file = kt_load_file(test, node, 0, NULL);
	KUNIT_EXPECT_EQ(test, file->f_mapping->nrpages, ARRAY_SIZE(at));
	KUNIT_EXPECT_EQ(test, i_size_read(file_inode(file)), 4 * SZ_2M);
	for (i = 0; i < ARRAY_SIZE(at); i++)
		kt_check_page(test, file, at[i], true);
	kt_check_page(test, file, 1200, false);
	kt_end_trip(test, node, file);
}

static void save_range_errors(struct kunit *test)
{
	struct file *file = kt_new_file(test, 2 * SZ_2M), *other = kt_new_file(test, SZ_2M);
	struct pkram_save *save = kt_begin_files(test, "n");
	struct pkram_ioctl_save_file arg = { .offset = SZ_2M };
	u64 id;

	kt_fill_page(test, file, 0);
	kt_fill_page(test, file, 600);
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
	KUNIT_EXPECT_FALSE(test, kt_frozen(file));
	KUNIT_EXPECT_EQ(test, kt_add_file(save, other), 0);
	KUNIT_EXPECT_EQ(test, save_part(save, file, 0, 0, 1), -EINVAL);
	/* overlap is detected at the end */
	KUNIT_EXPECT_EQ(test, save_part(save, file, PKRAM_OBJECT_NEW, 0, 2), 0);
	KUNIT_EXPECT_EQ(test, save_part(save, file, 1, 0, 1), 0);
	KUNIT_EXPECT_EQ(test, pkram_save_commit(save, false, &id), -EINVAL);
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 3);
	kt_abort_files(save);
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 0);
	KUNIT_EXPECT_FALSE(test, kt_frozen(file));
}

/* A commit that failed changes nothing: more can be added, in front, too. */
static void save_commit_again(struct kunit *test)
{
	struct file *file = kt_new_file(test, 3 * SZ_2M);
	struct pkram_save *save = kt_begin_files(test, "n");
	struct pkram_node *old;
	u64 id;

	kt_fill_page(test, file, 1);
	kt_fill_page(test, file, 513);
	kt_fill_page(test, file, 1025);
	kt_commit_node(test, "n", false);
	KUNIT_EXPECT_EQ(test, save_part(save, file, PKRAM_OBJECT_NEW, 1, 1), 0);
	KUNIT_EXPECT_EQ(test, pkram_save_commit(save, false, &id), -EEXIST);
	KUNIT_EXPECT_EQ(test, save_part(save, file, 0, 0, 1), 0);
	old = kt_pin(test, "n");
	KUNIT_EXPECT_EQ(test, pkram_save_commit(save, true, &id), -EBUSY);
	pkram_node_put(old);
	KUNIT_EXPECT_EQ(test, save_part(save, file, 0, 2, 1), 0);
	KUNIT_EXPECT_EQ(test, pkram_save_commit(save, true, &id), 0);
	pkram_save_put(save);
	kt_check_node(test, "n");
	KUNIT_EXPECT_EQ(test, pkram.nr_nodes, 1);
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 3);
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 3);
	kt_remove_node(test, "n");
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 0);

	/* nor is anything freed twice, or not at all, when it is aborted then */
	kt_commit_node(test, "n", false);
	save = kt_begin_files(test, "n");
	KUNIT_EXPECT_EQ(test, save_part(save, file, PKRAM_OBJECT_NEW, 1, 1), 0);
	KUNIT_EXPECT_EQ(test, save_part(save, file, 0, 0, 1), 0);
	KUNIT_EXPECT_EQ(test, pkram_save_commit(save, false, &id), -EEXIST);
	KUNIT_EXPECT_EQ(test, save_part(save, file, 0, 2, 1), 0);
	kt_abort_files(save);
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 0);
	kt_remove_node(test, "n");
}

/* A range that fails is as if it had not been tried; it can be tried again. */
static void save_range_again(struct kunit *test)
{
	struct file *file = kt_new_file(test, 2 * SZ_2M);
	struct pkram_save *save = kt_begin_files(test, "n");
	struct pkram_node *node;
	struct folio *folio;

	kt_fill_page(test, file, 1);
	kt_fill_page(test, file, 513);
	kt_fill_page(test, file, 514);
	KUNIT_EXPECT_EQ(test, save_part(save, file, PKRAM_OBJECT_NEW, 0, 1), 0);
	folio = filemap_get_folio(file->f_mapping, 514);
	KUNIT_ASSERT_FALSE(test, IS_ERR(folio));
	folio_ref_add(folio, GUP_PIN_COUNTING_BIAS);
	KUNIT_EXPECT_EQ(test, save_part(save, file, 0, 1, 1), -EBUSY);
	folio_ref_sub(folio, GUP_PIN_COUNTING_BIAS);
	folio_put(folio);
	KUNIT_EXPECT_TRUE(test, kt_frozen(file));
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 1);
	KUNIT_EXPECT_EQ(test, save_part(save, file, 0, 1, 1), 0);
	kt_commit_files(test, save, "n");
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 3);
	node = kt_pin(test, "n");
	kt_forget_file(test, node, 0, file);
	file = kt_load_file(test, node, 0, NULL);
	kt_check_page(test, file, 1, true);
	kt_check_page(test, file, 514, true);
	kt_end_trip(test, node, file);
}

/* Bytes go to the newest object, which may be a file. */
static void save_byte_objects(struct kunit *test)
{
	struct file *file = kt_new_file(test, PAGE_SIZE);
	struct pkram_save *save = kt_begin_files(test, "n");
	u8 *want = kt_new_pattern(test, 6000), got[16];
	u32 a = PKRAM_OBJECT_NEW, b = PKRAM_OBJECT_NEW, c = 2, d;
	struct pkram_node *node;
	u64 id;

	d = 0;
	KUNIT_EXPECT_EQ(test, kt_add_bytes(save, &d, want, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, kt_add_bytes(save, &a, want, 5000), 0);
	KUNIT_EXPECT_EQ(test, a, 0);
	KUNIT_EXPECT_EQ(test, kt_add_bytes(save, &a, want + 5000, 1000), 0);
	KUNIT_EXPECT_EQ(test, kt_add_bytes(save, &b, want, 0), 0);
	KUNIT_EXPECT_EQ(test, b, 1);
	KUNIT_EXPECT_EQ(test, kt_add_bytes(save, &a, want, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, kt_add_file(save, file), 0);
	KUNIT_EXPECT_EQ(test, kt_add_bytes(save, &b, want, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, kt_add_bytes(save, &c, want + 7, 10), 0);

	pkram_save_get(save);
	kt_commit_files(test, save, "n");
	KUNIT_EXPECT_EQ(test, kt_add_bytes(save, &c, want, 1), -EBADFD);
	KUNIT_EXPECT_EQ(test, kt_add_file(save, file), -EBADFD);
	KUNIT_EXPECT_EQ(test, pkram_save_commit(save, false, &id), -EBADFD);
	pkram_save_put(save);

	node = kt_pin(test, "n");
	KUNIT_EXPECT_EQ(test, node->totals.data_bytes, 6010);
	KUNIT_EXPECT_EQ(test, node->totals.file_bytes, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, kt_read_at(pkram_node_object(node, 0), 5995, got, 16), 5);
	KUNIT_EXPECT_MEMEQ(test, got, want + 5995, 5);
	KUNIT_EXPECT_EQ(test, kt_read_at(pkram_node_object(node, 1), 0, got, 16), 0);
	KUNIT_EXPECT_EQ(test, kt_read_at(pkram_node_object(node, 2), 0, got, 16), 10);
	KUNIT_EXPECT_MEMEQ(test, got, want + 7, 10);
	pkram_node_put(node);
	kt_remove_node(test, "n");
}

/* A file that does not fit leaves the node as it was, a byte stream breaks it. */
static void save_no_room(struct kunit *test)
{
	struct file *file = kt_new_file(test, PAGE_SIZE);
	struct pkram_save *save = kt_begin_files(test, "n");
	u32 object = PKRAM_OBJECT_NEW;
	struct kt_no_room room;
	u64 id;

	kt_fill_page(test, file, 0);
	room = kt_take_room(test);
	KUNIT_EXPECT_EQ(test, kt_add_file(save, file), -ENOSPC);
	KUNIT_EXPECT_FALSE(test, kt_frozen(file));
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 0);
	KUNIT_EXPECT_EQ(test, save_part(save, file, PKRAM_OBJECT_NEW, 0, 1), -ENOSPC);
	KUNIT_EXPECT_FALSE(test, kt_frozen(file));
	kt_give_room(room);
	KUNIT_EXPECT_EQ(test, kt_add_file(save, file), 0);

	room = kt_take_room(test);
	KUNIT_EXPECT_EQ(test, kt_add_bytes(save, &object, "x", 1), -ENOSPC);
	kt_give_room(room);
	object = 1;
	KUNIT_EXPECT_EQ(test, kt_add_bytes(save, &object, "x", 1), -EBADFD);
	KUNIT_EXPECT_EQ(test, kt_add_file(save, file), -EBADFD);
	KUNIT_EXPECT_EQ(test, pkram_save_commit(save, false, &id), -EBADFD);
	kt_abort_files(save);
	KUNIT_EXPECT_FALSE(test, kt_frozen(file));
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 0);
}

static void save_bad_name(struct kunit *test)
{
	KUNIT_EXPECT_PTR_EQ(test, pkram_save_begin(""), ERR_PTR(-EINVAL));
	KUNIT_EXPECT_PTR_EQ(test, pkram_save_begin("a/b"), ERR_PTR(-EINVAL));
	kt_abort_files(kt_begin_files(test, "n"));
}

static struct kunit_case pkram_save_cases[] = {
	KUNIT_CASE(save_ranges),
	KUNIT_CASE(save_range_errors),
	KUNIT_CASE(save_commit_again),
	KUNIT_CASE(save_range_again),
	KUNIT_CASE(save_byte_objects),
	KUNIT_CASE(save_no_room),
	KUNIT_CASE(save_bad_name),
	{}
};

static struct kunit_suite pkram_save_suite = {
	.name = "pkram-save",
	.init = kt_case_init,
	.exit = kt_case_exit,
	.test_cases = pkram_save_cases,
};

kunit_test_suite(pkram_save_suite);
