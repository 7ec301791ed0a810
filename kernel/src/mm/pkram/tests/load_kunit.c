// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit suite pkram-load: where files are loaded to, and several loaders at work.
 */
#include <linux/anon_inodes.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/memfd.h>
#include <linux/pagemap.h>
#include <linux/pkram_compat.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>

#include "helpers.h"

static void file_load_target(struct kunit *test)
{
	struct file *file = kt_new_file(test, 5 * PAGE_SIZE), *target = kt_new_file(test, 0);
	struct file *sized = kt_new_file(test, PAGE_SIZE), *held = kt_new_file(test, 0);
	struct file *other = anon_inode_getfile("[pkram-test]", &kt_no_fops, NULL, O_RDWR);
	struct pkram_object *obj;
	struct pkram_node *node;

	kt_own_file(test, other);
	kt_fill_page(test, file, 2);
	kt_save_one(test, "n", file);
	node = kt_pin(test, "n");
	obj = kt_forget_file(test, node, 0, file);

	KUNIT_EXPECT_PTR_EQ(test, pkram_file_load(obj, other, NULL), ERR_PTR(-EINVAL));
	KUNIT_EXPECT_PTR_EQ(test, pkram_file_load(obj, sized, NULL), ERR_PTR(-EINVAL));
	/* empty, but for a page behind its end */
	KUNIT_ASSERT_EQ(test, kt_truncate_to(sized, 0), 0);
	KUNIT_ASSERT_EQ(test, vfs_fallocate(sized, FALLOC_FL_KEEP_SIZE, 0, PAGE_SIZE), 0);
	KUNIT_EXPECT_PTR_EQ(test, pkram_file_load(obj, sized, NULL), ERR_PTR(-EINVAL));
	/* mapped by a process that could change what is loaded */
	KUNIT_ASSERT_EQ(test, mapping_map_writable(held->f_mapping), 0);
	KUNIT_EXPECT_PTR_EQ(test, pkram_file_load(obj, held, NULL), ERR_PTR(-EBUSY));
	mapping_unmap_writable(held->f_mapping);
	KUNIT_EXPECT_FALSE(test, kt_frozen(held));
	/* sealed against what loading would do */
	KUNIT_ASSERT_EQ(test, memfd_fcntl(held, F_ADD_SEALS, F_SEAL_GROW), 0);
	KUNIT_EXPECT_PTR_EQ(test, pkram_file_load(obj, held, NULL), ERR_PTR(-EPERM));
	KUNIT_EXPECT_EQ(test, memfd_fcntl(held, F_GET_SEALS, 0), F_SEAL_GROW);
	KUNIT_EXPECT_FALSE(test, kt_frozen(held));

	KUNIT_EXPECT_PTR_EQ(test, kt_load_file(test, node, 0, target), target);
	kt_check_page(test, target, 2, true);
	/* it is full and frozen now */
	KUNIT_EXPECT_PTR_EQ(test, pkram_file_load(obj, target, NULL), ERR_PTR(-EINVAL));
	kt_end_trip(test, node, target);
	kt_check_page(test, target, 2, true);
}

/* A tmpfs that is too small: nothing remains in the file, the object can be loaded. */
static void file_load_no_space(struct kunit *test)
{
	struct vfsmount *mnt = kt_new_tmpfs(test, "nr_blocks", "150");
	struct file *file = kt_new_file(test, 200 * PAGE_SIZE), *target;
	const struct timespec64 then = { 1111, 1 };
	struct pkram_object *obj;
	struct pkram_node *node;
	struct timespec64 ts;
	unsigned int i;

	target = shmem_file_setup_with_mnt(mnt, "small", 0, mk_vma_flags(VMA_NORESERVE_BIT));
	kt_own_file(test, target);
	SHMEM_I(file_inode(target))->seals = 0;
	file_inode(target)->i_mode = S_IFREG | 0640;
	file_inode(target)->i_uid = make_kuid(&init_user_ns, 77);
	inode_set_mtime_to_ts(file_inode(target), then);
	for (i = 0; i < 200; i++)
		kt_fill_page(test, file, i);
	kt_save_one(test, "n", file);
	node = kt_pin(test, "n");
	obj = kt_forget_file(test, node, 0, file);

	KUNIT_EXPECT_PTR_EQ(test, pkram_file_load(obj, target, NULL), ERR_PTR(-ENOSPC));
	KUNIT_EXPECT_EQ(test, i_size_read(file_inode(target)), 0);
	KUNIT_EXPECT_EQ(test, target->f_mapping->nrpages, 0);
	KUNIT_EXPECT_FALSE(test, kt_frozen(target));
	KUNIT_EXPECT_EQ(test, file_inode(target)->i_blocks, 0);
	/* nor are its attributes those of the object */
	KUNIT_EXPECT_EQ(test, file_inode(target)->i_mode, S_IFREG | 0640);
	KUNIT_EXPECT_EQ(test, from_kuid(&init_user_ns, file_inode(target)->i_uid), 77);
	ts = inode_get_mtime(file_inode(target));
	KUNIT_EXPECT_TRUE(test, timespec64_equal(&ts, &then));

	file = kt_load_file(test, node, 0, NULL);
	/* all of the room is free again */
	KUNIT_EXPECT_EQ(test, vfs_fallocate(target, 0, 0, 150 * PAGE_SIZE), 0);
	for (i = 0; i < 200; i++)
		kt_check_page(test, file, i, true);
	kt_end_trip(test, node, file);
}

/* A loader that runs on its own, for those that have to wait. */
struct loader {
	struct pkram_node *node;
	u32 index;
	struct file *target;
	struct pkram_file *pf;
	struct task_struct *task;
	struct completion done;
};

static int run_loader(void *data)
{
	struct loader *l = data;

	allow_signal(SIGKILL);
	l->pf = pkram_load_object(l->node, l->index, l->target, PKRAM_FD_NONE);
	complete_all(&l->done);
	return 0;
}

static struct loader *start_loader(struct kunit *test, struct pkram_node *node, u32 index,
				   struct file *target)
{
	struct loader *l = kunit_kzalloc(test, sizeof(*l), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, l);
	l->node = node;
	l->index = index;
	l->target = target;
	init_completion(&l->done);
	l->task = kthread_run(run_loader, l, "pkram-loader");
	KUNIT_ASSERT_FALSE(test, IS_ERR(l->task));
	return l;
}

/* Two loaders are at work in one node at the same time: one stands still inside. */
static void file_load_parallel(struct kunit *test)
{
	struct file *file[2], *target = kt_new_file(test, 0);
	struct pkram_save *save = kt_begin_files(test, "n");
	struct loader *slow, *fast, *same;
	struct pkram_node *node;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		file[i] = kt_new_file(test, PAGE_SIZE);
		kt_fill_page(test, file[i], i);
		KUNIT_EXPECT_EQ(test, kt_add_file(save, file[i]), 0);
	}
	kt_commit_files(test, save, "n");
	node = kt_pin(test, "n");
	for (i = 0; i < 2; i++)
		kt_forget_file(test, node, i, file[i]);

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
	kt_own_file(test, file[1]);
	kt_check_page(test, target, 0, true);
	kt_check_page(test, file[1], 1, true);
	kt_end_trip(test, node, target);
	KUNIT_EXPECT_EQ(test, kt_extra_refs(file[1]), 0);
}

/* One that is killed while it waits for the file does not wait any longer. */
static void file_load_killed(struct kunit *test)
{
	struct file *file = kt_new_file(test, PAGE_SIZE), *target = kt_new_file(test, 0);
	struct pkram_node *node;
	struct loader *l;
	unsigned int i;

	kt_fill_page(test, file, 0);
	kt_save_one(test, "n", file);
	node = kt_pin(test, "n");
	kt_forget_file(test, node, 0, file);

	inode_lock(file_inode(target));
	l = start_loader(test, node, 0, target);
	for (i = 0; i < 500 && xa_load(&node->files, 0) != PKRAM_FILE_LOADING; i++)
		msleep(20);
	msleep(50);
	KUNIT_EXPECT_FALSE(test, completion_done(&l->done));
	send_sig(SIGKILL, l->task, 1);
	KUNIT_EXPECT_TRUE(test, wait_for_completion_timeout(&l->done, 10 * HZ));
	inode_unlock(file_inode(target));
	wait_for_completion(&l->done);
	KUNIT_EXPECT_PTR_EQ(test, l->pf, ERR_PTR(-EINTR));
	KUNIT_EXPECT_TRUE(test, xa_empty(&node->files));
	KUNIT_EXPECT_FALSE(test, kt_frozen(target));

	KUNIT_EXPECT_PTR_EQ(test, kt_load_file(test, node, 0, target), target);
	kt_check_page(test, target, 0, true);
	kt_end_trip(test, node, target);
}

/* One that fails makes way for the next. */
static void file_load_again(struct kunit *test)
{
	struct file *file = kt_new_file(test, PAGE_SIZE), *sized = kt_new_file(test, PAGE_SIZE);
	struct pkram_file *pf;
	struct pkram_node *node;

	kt_fill_page(test, file, 0);
	kt_save_one(test, "n", file);
	node = kt_pin(test, "n");
	kt_forget_file(test, node, 0, file);
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
	kt_own_file(test, file);
	kt_check_page(test, file, 0, true);
	kt_end_trip(test, node, file);
}

static struct kunit_case pkram_load_cases[] = {
	KUNIT_CASE(file_load_target),
	KUNIT_CASE(file_load_no_space),
	KUNIT_CASE(file_load_parallel),
	KUNIT_CASE(file_load_killed),
	KUNIT_CASE(file_load_again),
	{}
};

static struct kunit_suite pkram_load_suite = {
	.name = "pkram-load",
	.init = kt_case_init,
	.exit = kt_case_exit,
	.test_cases = pkram_load_cases,
};

kunit_test_suite(pkram_load_suite);
