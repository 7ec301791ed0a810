// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit suite pkram-file: shmem files: frozen, saved, and as they were after a load.
 */
#include <linux/anon_inodes.h>
#include <linux/cred.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/memfd.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pkram_compat.h>
#include <linux/shmem_fs.h>

#include "helpers.h"

static struct pkram_file *freeze(struct kunit *test, struct file *file)
{
	struct pkram_file *pf = pkram_file_freeze(file);

	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR(pf), "%pe", pf);
	return pf;
}

static void file_freeze_refuses(struct kunit *test)
{
	struct vfsmount *mnt = kt_new_tmpfs(test, "size", "1M");
	struct path root = { .mnt = mnt, .dentry = mnt->mnt_root };
	struct file *file = kt_new_file(test, PAGE_SIZE);
	struct file *other = anon_inode_getfile("[pkram-test]", &kt_no_fops, NULL, O_RDWR);
	struct file *dir = dentry_open(&root, O_RDONLY | O_DIRECTORY, current_cred());
	struct pkram_file *pf;

	kt_own_file(test, other);
	kt_own_file(test, dir);
	KUNIT_EXPECT_PTR_EQ(test, pkram_file_freeze(other), ERR_PTR(-EINVAL));
	KUNIT_EXPECT_PTR_EQ(test, pkram_file_freeze(dir), ERR_PTR(-EINVAL));

	/* as a shared writable mapping does */
	KUNIT_ASSERT_EQ(test, mapping_map_writable(file->f_mapping), 0);
	KUNIT_EXPECT_PTR_EQ(test, pkram_file_freeze(file), ERR_PTR(-EBUSY));
	KUNIT_EXPECT_FALSE(test, kt_frozen(file));
	mapping_unmap_writable(file->f_mapping);

	pf = freeze(test, file);
	KUNIT_EXPECT_PTR_EQ(test, pkram_file_freeze(file), ERR_PTR(-EBUSY));
	KUNIT_EXPECT_TRUE(test, kt_frozen(file));
	pkram_file_thaw(pf);
	KUNIT_EXPECT_FALSE(test, kt_frozen(file));
}

static void file_frozen(struct kunit *test)
{
	const loff_t size = 4 * PAGE_SIZE;
	struct file *file = kt_new_file(test, size);
	struct pkram_file *pf;
	loff_t pos;

	kt_fill_page(test, file, 1);
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
	KUNIT_EXPECT_EQ(test, kt_truncate_to(file, 0), -EPERM);
	KUNIT_EXPECT_EQ(test, kt_truncate_to(file, 2 * size), -EPERM);
	/* would drop what is allocated beyond the end */
	KUNIT_EXPECT_EQ(test, kt_truncate_to(file, size), -EPERM);
	KUNIT_EXPECT_NE(test, mapping_map_writable(file->f_mapping), 0);
	/* reading is fine, and nothing of the above left anything */
	kt_check_page(test, file, 1, true);
	kt_check_page(test, file, 2, false);
	KUNIT_EXPECT_EQ(test, i_size_read(file_inode(file)), size);
	KUNIT_EXPECT_EQ(test, file->f_mapping->nrpages, 1);
	pkram_file_thaw(pf);
}

/*
 * File seals never go away again, which their readers rely on: those of a frozen file
 * do not change, neither when it is frozen nor when it is thawed.
 */
static void file_frozen_seals(struct kunit *test)
{
	struct file *file = kt_new_file(test, PAGE_SIZE);
	const struct timespec64 then = { 1111, 1 };
	struct inode *inode = file_inode(file);
	unsigned long flags;
	struct pkram_file *pf;
	struct timespec64 ts;
	loff_t pos = 0;

	inode->i_mode |= S_ISUID;
	inode_set_mtime_to_ts(inode, then);
	KUNIT_EXPECT_EQ(test, memfd_fcntl(file, F_GET_SEALS, 0), 0);
	pf = freeze(test, file);
	KUNIT_EXPECT_EQ(test, memfd_fcntl(file, F_GET_SEALS, 0), 0);
	/* the seals that it has are in the node already */
	KUNIT_EXPECT_EQ(test, memfd_fcntl(file, F_ADD_SEALS, F_SEAL_GROW), -EPERM);
	KUNIT_EXPECT_EQ(test, memfd_fcntl(file, F_ADD_SEALS, F_SEAL_WRITE), -EPERM);
	flags = VM_SHARED | VM_WRITE | VM_MAYWRITE;
	KUNIT_EXPECT_EQ(test, check_seals_mmap(file, &flags), -EPERM);
	flags = VM_SHARED | VM_MAYWRITE;
	KUNIT_EXPECT_EQ(test, check_seals_mmap(file, &flags), 0);
	KUNIT_EXPECT_EQ(test, flags, VM_SHARED);
	flags = VM_WRITE | VM_MAYWRITE;
	KUNIT_EXPECT_EQ(test, check_seals_mmap(file, &flags), 0);
	KUNIT_EXPECT_EQ(test, flags, VM_WRITE | VM_MAYWRITE);
	/* a write that is refused does not change attributes either */
	KUNIT_EXPECT_EQ(test, kernel_write(file, "x", 1, &pos), -EPERM);
	KUNIT_EXPECT_TRUE(test, inode->i_mode & S_ISUID);
	ts = inode_get_mtime(inode);
	KUNIT_EXPECT_TRUE(test, timespec64_equal(&ts, &then));
	pkram_file_thaw(pf);

	KUNIT_EXPECT_EQ(test, memfd_fcntl(file, F_GET_SEALS, 0), 0);
	flags = VM_SHARED | VM_WRITE | VM_MAYWRITE;
	KUNIT_EXPECT_EQ(test, check_seals_mmap(file, &flags), 0);
	KUNIT_EXPECT_EQ(test, memfd_fcntl(file, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SEAL), 0);
	pf = freeze(test, file);
	KUNIT_EXPECT_EQ(test, memfd_fcntl(file, F_GET_SEALS, 0), F_SEAL_GROW | F_SEAL_SEAL);
	pkram_file_thaw(pf);
	KUNIT_EXPECT_EQ(test, memfd_fcntl(file, F_GET_SEALS, 0), F_SEAL_GROW | F_SEAL_SEAL);
}

/* A file that was let go is as it was before. */
static void file_thawed(struct kunit *test)
{
	struct file *file = kt_new_file(test, 2 * PAGE_SIZE);

	pkram_file_thaw(freeze(test, file));
	KUNIT_EXPECT_EQ(test, memfd_fcntl(file, F_GET_SEALS, 0), 0);
	KUNIT_EXPECT_FALSE(test, mapping_unevictable(file->f_mapping));
	KUNIT_EXPECT_EQ(test, mapping_map_writable(file->f_mapping), 0);
	mapping_unmap_writable(file->f_mapping);
	kt_fill_page(test, file, 0);
	KUNIT_EXPECT_EQ(test, vfs_fallocate(file, 0, PAGE_SIZE, PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, kt_truncate_to(file, PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, kt_truncate_to(file, 3 * PAGE_SIZE), 0);

	/* with seals of its own, and with unevictable pages */
	KUNIT_ASSERT_EQ(test, memfd_fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	mapping_set_unevictable(file->f_mapping);
	pkram_file_thaw(freeze(test, file));
	KUNIT_EXPECT_EQ(test, memfd_fcntl(file, F_GET_SEALS, 0), F_SEAL_SHRINK);
	KUNIT_EXPECT_TRUE(test, mapping_unevictable(file->f_mapping));
	mapping_clear_unevictable(file->f_mapping);
	KUNIT_EXPECT_EQ(test, kt_truncate_to(file, 0), -EPERM);
	KUNIT_EXPECT_EQ(test, kt_truncate_to(file, 4 * PAGE_SIZE), 0);
}

/* F_SEAL_WRITE denies writable mappings permanently: a thaw must not allow them. */
static void file_thawed_sealed(struct kunit *test)
{
	struct file *file = kt_new_file(test, PAGE_SIZE);
	loff_t pos = 0;

	KUNIT_ASSERT_EQ(test, memfd_fcntl(file, F_ADD_SEALS, F_SEAL_WRITE), 0);
	pkram_file_thaw(freeze(test, file));
	KUNIT_EXPECT_EQ(test, memfd_fcntl(file, F_GET_SEALS, 0), F_SEAL_WRITE);
	KUNIT_EXPECT_EQ(test, mapping_map_writable(file->f_mapping), -EPERM);
	KUNIT_EXPECT_EQ(test, kernel_write(file, "x", 1, &pos), -EPERM);
}

static void file_save_refs(struct kunit *test)
{
	struct file *file = kt_new_file(test, 100 * PAGE_SIZE);
	struct pkram_save *save;
	unsigned int i;

	for (i = 0; i < 100; i += 2)
		kt_fill_page(test, file, i);
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 0);
	save = kt_begin_files(test, "n");
	KUNIT_EXPECT_EQ(test, kt_add_file(save, file), 0);
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 50);
	/* it is in there already */
	KUNIT_EXPECT_EQ(test, kt_add_file(save, file), -EBUSY);
	kt_abort_files(save);
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 0);
	KUNIT_EXPECT_FALSE(test, kt_frozen(file));
	kt_expect_unchanged(test);

	kt_save_one(test, "n", file);
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 50);
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 50);
	KUNIT_EXPECT_EQ(test, file->f_mapping->nrpages, 50);
	kt_remove_node(test, "n");
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 0);
	KUNIT_EXPECT_FALSE(test, kt_frozen(file));
}

/* A page that must not be saved: the file is thawed, the node is as before. */
static void file_save_refused(struct kunit *test)
{
	struct file *file = kt_new_file(test, 10 * PAGE_SIZE), *good = kt_new_file(test, PAGE_SIZE);
	struct pkram_save *save = kt_begin_files(test, "n");
	struct folio *folio;
	unsigned int i;

	kt_fill_page(test, good, 0);
	for (i = 0; i < 10; i++)
		kt_fill_page(test, file, i);
	folio = filemap_get_folio(file->f_mapping, 5);
	KUNIT_ASSERT_FALSE(test, IS_ERR(folio));
	KUNIT_EXPECT_EQ(test, kt_add_file(save, good), 0);

	/* as if it were pinned for DMA */
	folio_ref_add(folio, GUP_PIN_COUNTING_BIAS);
	KUNIT_EXPECT_EQ(test, kt_add_file(save, file), -EBUSY);
	folio_ref_sub(folio, GUP_PIN_COUNTING_BIAS);
	KUNIT_EXPECT_FALSE(test, kt_frozen(file));
	if (IS_ENABLED(CONFIG_MEMORY_FAILURE)) {
		SetPageHWPoison(folio_page(folio, 0));
		KUNIT_EXPECT_EQ(test, kt_add_file(save, file), -EHWPOISON);
		ClearPageHWPoison(folio_page(folio, 0));
	}
	folio_put(folio);
	KUNIT_EXPECT_FALSE(test, kt_frozen(file));
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 0);
	KUNIT_EXPECT_EQ(test, kt_add_file(save, file), 0);
	kt_commit_files(test, save, "n");
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 11);
	kt_remove_node(test, "n");
}

/* References of many mappings are no pins. */
static void file_save_mapped_often(struct kunit *test)
{
	struct file *file = kt_new_file(test, 3 * PAGE_SIZE);
	struct pkram_save *save;
	struct folio *folio;
	unsigned int i;

	for (i = 0; i < 3; i++)
		kt_fill_page(test, file, i);
	/* LRU batches have references, too */
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 0);
	folio = filemap_get_folio(file->f_mapping, 1);
	KUNIT_ASSERT_FALSE(test, IS_ERR(folio));
	folio_ref_add(folio, 5000);
	atomic_add(5000, &folio->_mapcount);
	kt_save_one(test, "n", file);
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 3);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 5000 + 3);
	kt_remove_node(test, "n");
	/* pinned in addition */
	folio_ref_add(folio, GUP_PIN_COUNTING_BIAS);
	save = kt_begin_files(test, "n");
	KUNIT_EXPECT_EQ(test, kt_add_file(save, file), -EBUSY);
	kt_abort_files(save);
	folio_ref_sub(folio, GUP_PIN_COUNTING_BIAS);
	atomic_sub(5000, &folio->_mapcount);
	folio_ref_sub(folio, 5000);
	folio_put(folio);
}

static u64 pfn_at(struct kunit *test, struct file *file, pgoff_t index)
{
	struct folio *folio = filemap_get_folio(file->f_mapping, index);
	u64 pfn;

	KUNIT_ASSERT_FALSE(test, IS_ERR(folio));
	pfn = folio_pfn(folio);
	folio_put(folio);
	return pfn;
}

/* Where blocks are scarce, pages that would touch one for little are moved. */
static void file_save_packs(struct kunit *test)
{
	struct file *file = kt_new_file(test, 40 * PAGE_SIZE);
	unsigned int i, moved = 0;
	struct pkram_node *node;
	struct kt_no_room room;
	u64 pfn[40];

	for (i = 0; i < 40; i++) {
		kt_fill_page(test, file, i);
		pfn[i] = pfn_at(test, file, i);
	}
	room = kt_take_room(test);
	for (i = 0; i < 40; i++)
		kt_spare_block(&room, pfn[i] >> PKRAM_BLOCK_ORDER);
	/* for the copies and for metadata, also if all of the file is in one block */
	kt_spare_some(&room, 4);
	KUNIT_EXPECT_TRUE(test, pkram_blocks_scarce());
	kt_save_one(test, "n", file);
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 40);
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 40);
	for (i = 0; i < 40; i++) {
		moved += pfn_at(test, file, i) != pfn[i];
		kt_check_page(test, file, i, true);
	}
	KUNIT_EXPECT_EQ(test, moved, 40);
	kt_give_room(room);
	node = kt_pin(test, "n");
	kt_forget_file(test, node, 0, file);
	file = kt_load_file(test, node, 0, NULL);
	for (i = 0; i < 40; i++)
		kt_check_page(test, file, i, true);
	kt_end_trip(test, node, file);
}

/* A save that is aborted stops the tasks that help with it. */
static void file_save_stopped(struct kunit *test)
{
	struct file *file = kt_new_file(test, 2 * PKRAM_BATCH * PAGE_SIZE);
	struct pkram_file *pf;
	struct pkram_writer w = { };
	bool stop = true;
	unsigned int i;

	for (i = 0; i < 2 * PKRAM_BATCH; i++)
		kt_fill_page(test, file, i);
	pf = freeze(test, file);
	KUNIT_EXPECT_EQ(test, pkram_file_save(file, 0, ULONG_MAX, &stop, &w), -ECANCELED);
	KUNIT_EXPECT_LE(test, w.nr_pages, PKRAM_BATCH);
	pkram_writer_discard(&w);
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 0);
	pkram_file_thaw(pf);
}

static void file_trip_dense(struct kunit *test)
{
	/* more than a batch; the size is no multiple of anything */
	struct file *file = kt_new_file(test, 300 * PAGE_SIZE);
	struct pkram_node *node;
	unsigned int i;

	for (i = 0; i < 300; i++)
		kt_fill_page(test, file, i);
	KUNIT_ASSERT_EQ(test, kt_truncate_to(file, 299 * PAGE_SIZE + PAGE_SIZE - 3), 0);
	file = kt_round_trip(test, file, NULL, &node);
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 300);
	for (i = 0; i < 300; i++)
		kt_check_page(test, file, i, true);
	kt_end_trip(test, node, file);
	for (i = 0; i < 300; i++)
		kt_check_page(test, file, i, true);
}

/* Holes stay holes; what was allocated and not written is there, and zero. */
static void file_trip_holes(struct kunit *test)
{
	struct file *file = kt_new_file(test, 400 * PAGE_SIZE + 1);
	struct pkram_node *node;
	unsigned int i;

	for (i = 3; i < 200; i += 1 + i % 5)
		kt_fill_page(test, file, i);
	KUNIT_ASSERT_EQ(test, vfs_fallocate(file, 0, 250 * PAGE_SIZE, 10 * PAGE_SIZE), 0);
	kt_fill_page(test, file, 255);
	file = kt_round_trip(test, file, NULL, &node);
	for (i = 0; i < 400; i++) {
		struct folio *folio = filemap_get_folio(file->f_mapping, i);

		KUNIT_EXPECT_EQ_MSG(test, IS_ERR(folio), i >= 260 || i < 250 ?
				    !(i >= 3 && i < 200 && !IS_ERR(folio)) : false, "page %u", i);
		if (!IS_ERR(folio)) {
			kt_check_page(test, file, i, i == 255 || i < 250);
			folio_put(folio);
		}
	}
	kt_end_trip(test, node, file);
}

/* Pages beyond the end, as fallocate(KEEP_SIZE) makes them. */
static void file_trip_beyond_end(struct kunit *test)
{
	struct file *file = kt_new_file(test, PAGE_SIZE);
	struct pkram_node *node;

	kt_fill_page(test, file, 0);
	KUNIT_ASSERT_EQ(test, vfs_fallocate(file, FALLOC_FL_KEEP_SIZE, 0, 20 * PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, file->f_mapping->nrpages, 20);
	file = kt_round_trip(test, file, NULL, &node);
	KUNIT_EXPECT_EQ(test, SHMEM_I(file_inode(file))->fallocend, 20);
	kt_check_page(test, file, 0, true);
	kt_end_trip(test, node, file);
	KUNIT_EXPECT_EQ(test, kt_truncate_to(file, 20 * PAGE_SIZE), 0);
	kt_check_page(test, file, 19, false);
}

static void file_trip_empty(struct kunit *test)
{
	struct pkram_node *node;
	struct file *file;

	file = kt_round_trip(test, kt_new_file(test, 0), NULL, &node);
	kt_end_trip(test, node, file);
	/* nothing but a hole */
	file = kt_round_trip(test, kt_new_file(test, 12345678), NULL, &node);
	kt_check_page(test, file, 1000, false);
	kt_end_trip(test, node, file);
}

static void file_trip_huge_index(struct kunit *test)
{
	static const u64 at[] = {
		0, 1, 512, 1ULL << 20, (1ULL << 31) + 5, 1ULL << 40, (1ULL << 50) + 1,
		PKRAM_MAX_INDEX - 2, PKRAM_MAX_INDEX - 1,
	};
	struct file *file = kt_new_file(test, MAX_LFS_FILESIZE);
	struct pkram_node *node;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(at); i++)
		kt_fill_page(test, file, at[i]);
	file = kt_round_trip(test, file, NULL, &node);
	for (i = 0; i < ARRAY_SIZE(at); i++)
		kt_check_page(test, file, at[i], true);
	kt_check_page(test, file, 2, false);
	kt_end_trip(test, node, file);
}

/* A file of huge pages stays one. */
static void file_trip_huge_pages(struct kunit *test)
{
	struct vfsmount *mnt = kt_new_tmpfs(test, "huge", "always");
	struct file *file, *target;
	struct pkram_node *node;
	struct folio *folio;
	unsigned int order;

	file = shmem_file_setup_with_mnt(mnt, "huge", 2 * SZ_2M, mk_vma_flags(VMA_NORESERVE_BIT));
	kt_own_file(test, file);
	kt_fill_page(test, file, 5);
	kt_fill_page(test, file, 1000);
	folio = filemap_get_folio(file->f_mapping, 5);
	KUNIT_ASSERT_FALSE(test, IS_ERR(folio));
	order = folio_order(folio);
	folio_put(folio);
	if (!order)
		kunit_skip(test, "no huge page to be had");

	target = shmem_file_setup_with_mnt(mnt, "huge", 0, mk_vma_flags(VMA_NORESERVE_BIT));
	kt_own_file(test, target);
	file = kt_round_trip(test, file, target, &node);
	folio = filemap_get_folio(file->f_mapping, 5);
	KUNIT_ASSERT_FALSE(test, IS_ERR(folio));
	KUNIT_EXPECT_EQ(test, folio_order(folio), order);
	folio_put(folio);
	kt_check_page(test, file, 5, true);
	kt_check_page(test, file, 6, false);
	kt_check_page(test, file, 1000, true);
	kt_end_trip(test, node, file);
}

static void file_attributes(struct kunit *test)
{
	const struct timespec64 a = { 1111, 1 }, m = { 2222, 22 }, c = { 3333, 333 };
	struct file *file = kt_new_file(test, PAGE_SIZE);
	struct inode *inode = file_inode(file);
	const struct cred *old;
	struct pkram_node *node;
	struct timespec64 ts;
	struct cred *cred;

	inode->i_mode = S_IFREG | 06751;
	inode->i_uid = make_kuid(&init_user_ns, 1234);
	inode->i_gid = make_kgid(&init_user_ns, 56789);
	KUNIT_ASSERT_EQ(test, memfd_fcntl(file, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SEAL), 0);
	inode_set_atime_to_ts(inode, a);
	inode_set_mtime_to_ts(inode, m);
	inode_set_ctime_to_ts(inode, c);

	/* The daemon has few capabilities, and is in no group of the file's. */
	cred = prepare_creds();
	KUNIT_ASSERT_NOT_NULL(test, cred);
	cap_lower(cred->cap_effective, CAP_FSETID);
	old = override_creds(cred);
	file = kt_round_trip(test, file, NULL, &node);
	revert_creds(old);
	put_cred(cred);
	inode = file_inode(file);
	KUNIT_EXPECT_EQ(test, memfd_fcntl(file, F_GET_SEALS, 0), F_SEAL_GROW | F_SEAL_SEAL);
	KUNIT_EXPECT_EQ(test, inode->i_mode, S_IFREG | 06751);
	KUNIT_EXPECT_EQ(test, from_kuid(&init_user_ns, inode->i_uid), 1234);
	KUNIT_EXPECT_EQ(test, from_kgid(&init_user_ns, inode->i_gid), 56789);
	ts = inode_get_atime(inode);
	KUNIT_EXPECT_TRUE(test, timespec64_equal(&ts, &a));
	ts = inode_get_mtime(inode);
	KUNIT_EXPECT_TRUE(test, timespec64_equal(&ts, &m));
	ts = inode_get_ctime(inode);
	KUNIT_EXPECT_TRUE(test, timespec64_equal(&ts, &c));
	kt_end_trip(test, node, file);
	KUNIT_EXPECT_EQ(test, memfd_fcntl(file, F_GET_SEALS, 0), F_SEAL_GROW | F_SEAL_SEAL);
}

static void file_write_sealed_trip(struct kunit *test)
{
	struct file *file = kt_new_file(test, PAGE_SIZE);
	struct pkram_node *node;

	kt_fill_page(test, file, 0);
	KUNIT_ASSERT_EQ(test, memfd_fcntl(file, F_ADD_SEALS, F_SEAL_WRITE), 0);
	file = kt_round_trip(test, file, NULL, &node);
	KUNIT_EXPECT_EQ(test, memfd_fcntl(file, F_GET_SEALS, 0), F_SEAL_WRITE);
	kt_end_trip(test, node, file);
	KUNIT_EXPECT_EQ(test, memfd_fcntl(file, F_GET_SEALS, 0), F_SEAL_WRITE);
	KUNIT_EXPECT_EQ(test, mapping_map_writable(file->f_mapping), -EPERM);
	kt_check_page(test, file, 0, true);
}

/* Frozen while the node is there, an ordinary file of reclaimable pages later. */
static void file_loaded(struct kunit *test)
{
	struct file *file = kt_new_file(test, 100 * PAGE_SIZE), *again;
	unsigned int i, wrong = 0;
	struct pkram_node *node;
	struct folio *folio;
	loff_t pos = 0;

	for (i = 0; i < 100; i++)
		kt_fill_page(test, file, i);
	file = kt_round_trip(test, file, NULL, &node);
	KUNIT_EXPECT_EQ(test, kernel_write(file, "x", 1, &pos), -EPERM);
	KUNIT_EXPECT_EQ(test, kt_truncate_to(file, 0), -EPERM);
	KUNIT_EXPECT_EQ(test, vfs_fallocate(file, 0, 0, PAGE_SIZE), -EPERM);
	/* page cache that cannot be reclaimed, for programs that filter crash dumps, too */
	for (i = 0; i < 100; i++) {
		folio = filemap_get_folio(file->f_mapping, i);
		KUNIT_ASSERT_FALSE(test, IS_ERR(folio));
		wrong += !folio_test_lru(folio) || !folio_test_unevictable(folio);
		folio_put(folio);
	}
	KUNIT_EXPECT_EQ_MSG(test, wrong, 0, "pages that are not on the unevictable list");
	/* a descriptor of its own, with a position of its own */
	again = pkram_file_open(xa_load(&node->files, 0));
	kt_own_file(test, again);
	KUNIT_EXPECT_PTR_EQ(test, file_inode(again), file_inode(file));
	KUNIT_EXPECT_EQ(test, again->f_pos, 0);
	kt_check_page(test, again, 99, true);

	kt_end_trip(test, node, file);
	for (i = 0; i < 100; i++) {
		folio = filemap_get_folio(file->f_mapping, i);
		KUNIT_ASSERT_FALSE(test, IS_ERR(folio));
		wrong += !folio_test_lru(folio) || folio_test_unevictable(folio);
		folio_put(folio);
	}
	KUNIT_EXPECT_EQ_MSG(test, wrong, 0, "pages that cannot be reclaimed");
	KUNIT_EXPECT_FALSE(test, kt_frozen(file));
	pos = 0;
	KUNIT_EXPECT_EQ(test, kernel_write(again, "x", 1, &pos), 1);
	KUNIT_EXPECT_EQ(test, kt_truncate_to(file, 0), 0);
	KUNIT_EXPECT_EQ(test, file->f_mapping->nrpages, 0);
}

/* Pages that lie where an image goes: their copies are preserved. */
static void file_save_banned(struct kunit *test)
{
	struct file *file = kt_new_file(test, 8 * PAGE_SIZE);
	struct pkram_node *node;
	struct pkram_object *obj;
	struct pkram_reader r;
	unsigned int order, i;
	struct folio *folio;
	struct page *page;
	u64 index;

	for (i = 0; i < 8; i++)
		kt_fill_page(test, file, i);
	folio = filemap_get_folio(file->f_mapping, 3);
	KUNIT_ASSERT_FALSE(test, IS_ERR(folio));
	kt_add_ban(test, folio_pfn(folio), folio_pfn(folio) + 1);
	/* kt_check_node() finds no banned page in it */
	kt_save_one(test, "n", file);
	KUNIT_EXPECT_EQ(test, pkram.data_pages, 8);
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file), 7 + 1);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 2);
	node = kt_pin(test, "n");
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
	kt_forget_file(test, node, 0, file);
	file = kt_load_file(test, node, 0, NULL);
	for (i = 0; i < 8; i++)
		kt_check_page(test, file, i, true);
	kt_end_trip(test, node, file);
}

/* Several files and byte streams in one node, and files put back separately. */
static void file_several(struct kunit *test)
{
	struct pkram_save *save = kt_begin_files(test, "n");
	struct pkram_node *node;
	struct file *f[40];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(f); i++) {
		f[i] = kt_new_file(test, (i + 1) * PAGE_SIZE);
		kt_fill_page(test, f[i], i);
		KUNIT_EXPECT_EQ(test, kt_add_file(save, f[i]), 0);
	}
	kt_commit_files(test, save, "n");
	node = kt_pin(test, "n");
	for (i = 0; i < ARRAY_SIZE(f); i++)
		kt_forget_file(test, node, i, f[i]);
	for (i = ARRAY_SIZE(f); i--;) {
		f[i] = kt_load_file(test, node, i, NULL);
		KUNIT_EXPECT_EQ(test, i_size_read(file_inode(f[i])), (i + 1) * PAGE_SIZE);
		kt_check_page(test, f[i], i, true);
	}
	kt_end_trip(test, node, f[0]);
	for (i = 0; i < ARRAY_SIZE(f); i++)
		KUNIT_EXPECT_EQ(test, kt_extra_refs(f[i]), 0);
}

static struct kunit_case pkram_file_cases[] = {
	KUNIT_CASE(file_freeze_refuses),
	KUNIT_CASE(file_frozen),
	KUNIT_CASE(file_frozen_seals),
	KUNIT_CASE(file_thawed),
	KUNIT_CASE(file_thawed_sealed),
	KUNIT_CASE(file_save_refs),
	KUNIT_CASE(file_save_refused),
	KUNIT_CASE(file_save_mapped_often),
	KUNIT_CASE(file_save_packs),
	KUNIT_CASE(file_save_stopped),
	KUNIT_CASE(file_trip_dense),
	KUNIT_CASE(file_trip_holes),
	KUNIT_CASE(file_trip_beyond_end),
	KUNIT_CASE(file_trip_empty),
	KUNIT_CASE(file_trip_huge_index),
	KUNIT_CASE(file_trip_huge_pages),
	KUNIT_CASE(file_attributes),
	KUNIT_CASE(file_write_sealed_trip),
	KUNIT_CASE(file_loaded),
	KUNIT_CASE(file_save_banned),
	KUNIT_CASE(file_several),
	{}
};

static struct kunit_suite pkram_file_suite = {
	.name = "pkram-file",
	.init = kt_case_init,
	.exit = kt_case_exit,
	.test_cases = pkram_file_cases,
};

kunit_test_suite(pkram_file_suite);
