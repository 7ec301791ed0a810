// SPDX-License-Identifier: GPL-2.0
/*
 * What the KUnit suites of PKRAM share: shmem files in and out.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pkram_compat.h>
#include <linux/shmem_fs.h>
#include <linux/swap.h>
#include <linux/uio.h>

#include "../../internal.h"
#include "helpers.h"

/* Files */

const struct file_operations kt_no_fops;

KUNIT_DEFINE_ACTION_WRAPPER(put_file, __fput_sync, struct file *);

void kt_own_file(struct kunit *test, struct file *file)
{
	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR(file), "%pe", file);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, put_file, file), 0);
}

static void close_file(struct kunit *test, struct file *file)
{
	kunit_release_action(test, put_file, file);
}

struct file *kt_new_file(struct kunit *test, loff_t size)
{
	struct file *file = shmem_file_setup("pkram-test", size, mk_vma_flags(VMA_NORESERVE_BIT));

	kt_own_file(test, file);
	file->f_flags |= O_LARGEFILE;
	SHMEM_I(file_inode(file))->seals = 0;
	return file;
}

bool kt_frozen(struct file *file)
{
	return shmem_preserved(file_inode(file));
}

KUNIT_DEFINE_ACTION_WRAPPER(unmount, kern_unmount, struct vfsmount *);

struct vfsmount *kt_new_tmpfs(struct kunit *test, const char *key, const char *value)
{
	struct fs_context *fc;
	struct vfsmount *mnt;
	int err;

	fc = fs_context_for_mount(get_fs_type("tmpfs"), SB_KERNMOUNT);
	KUNIT_ASSERT_FALSE(test, IS_ERR(fc));
	err = vfs_parse_fs_string(fc, key, value);
	mnt = err ? ERR_PTR(err) : fc_mount(fc);
	put_fs_context(fc);
	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR(mnt), "%pe", mnt);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, unmount, mnt), 0);
	return mnt;
}

int kt_truncate_to(struct file *file, loff_t size)
{
	return do_truncate(&nop_mnt_idmap, file->f_path.dentry, size, 0, NULL);
}

void kt_fill_page(struct kunit *test, struct file *file, u64 index)
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
		KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, kt_put_folio, folio), 0);
		shmem_truncate_range(file_inode(file), index << PAGE_SHIFT,
				     (index << PAGE_SHIFT) + PAGE_SIZE - 1);
	}
	folio_put(folio);
	kunit_kfree(test, buf);
}

void kt_check_page(struct kunit *test, struct file *file, u64 index, bool filled)
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

/* Saving */

struct pkram_save *kt_begin_files(struct kunit *test, const char *name)
{
	struct pkram_save *save = pkram_save_begin(name);

	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR(save), "%pe", save);
	return save;
}

int kt_add_file(struct pkram_save *save, struct file *file)
{
	struct pkram_ioctl_save_file arg = { };

	return pkram_save_file(save, file, &arg);
}

int kt_add_bytes(struct pkram_save *save, u32 *object, const void *buf, size_t len)
{
	struct kvec vec = { .iov_base = (void *)buf, .iov_len = len };
	struct iov_iter iter;

	iov_iter_kvec(&iter, ITER_SOURCE, &vec, 1, len);
	return pkram_save_bytes(save, object, &iter);
}

void kt_abort_files(struct pkram_save *save)
{
	pkram_save_abort(save);
	pkram_save_put(save);
}

void kt_commit_files(struct kunit *test, struct pkram_save *save, const char *name)
{
	u64 id = 0;

	KUNIT_EXPECT_EQ(test, pkram_save_commit(save, false, &id), 0);
	KUNIT_EXPECT_NE(test, id, 0);
	pkram_save_put(save);
	kt_check_node(test, name);
}

void kt_save_one(struct kunit *test, const char *name, struct file *file)
{
	struct pkram_save *save = kt_begin_files(test, name);

	KUNIT_EXPECT_EQ(test, kt_add_file(save, file), 0);
	kt_commit_files(test, save, name);
}

long kt_extra_refs(struct file *file)
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

/* Loading */

void kt_make_fresh(const struct pkram_object *obj)
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
		*page_flags_word(folio) &=
			~(1UL << PG_uptodate | 1UL << PG_dirty | 1UL << PG_referenced |
			  1UL << PG_active | 1UL << PG_workingset |
			  1UL << PG_swapbacked | 1UL << PG_unevictable);
	}
}

struct pkram_object *kt_forget_file(struct kunit *test, struct pkram_node *node, u32 index,
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
	kt_make_fresh(obj);
	pkram_reader_init(&r, obj->pages_head);
	while ((page = pkram_reader_next(&r, &at, &order)))
		wrong += page_ref_count(page) != 1 || page->mapping;
	KUNIT_EXPECT_EQ(test, wrong, 0);
	return obj;
}

struct file *kt_load_file(struct kunit *test, struct pkram_node *node, u32 index,
			  struct file *target)
{
	struct pkram_file *pf;
	struct file *file;

	pf = pkram_file_load(pkram_node_object(node, index), target, NULL);
	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR(pf), "%pe", pf);
	file = get_file(pf->file);
	kt_own_file(test, file);
	KUNIT_EXPECT_EQ(test, xa_err(xa_store(&node->files, index, pf, GFP_KERNEL)), 0);
	return file;
}

struct file *kt_round_trip(struct kunit *test, struct file *file, struct file *target,
			   struct pkram_node **ret_node)
{
	unsigned long nrpages = file->f_mapping->nrpages;
	loff_t size = i_size_read(file_inode(file));
	struct pkram_node *node;

	kt_save_one(test, "n", file);
	KUNIT_EXPECT_EQ(test, pkram.data_pages, nrpages);
	node = kt_pin(test, "n");
	kt_forget_file(test, node, 0, file);
	file = kt_load_file(test, node, 0, target);
	KUNIT_EXPECT_EQ(test, file->f_mapping->nrpages, nrpages);
	KUNIT_EXPECT_EQ(test, i_size_read(file_inode(file)), size);
	*ret_node = node;
	return file;
}

void kt_end_trip(struct kunit *test, struct pkram_node *node, struct file *file)
{
	u64 id;

	KUNIT_EXPECT_EQ(test, pkram_node_remove("n", node, &id), 0);
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 0);
}
