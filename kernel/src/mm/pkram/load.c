// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: a node being loaded through /dev/pkram.
 */
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/pkram.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <trace/events/pkram.h>

#include "node.h"
#include "pkram.h"
#include "shmem.h"

/**
 * DOC: loading in parallel
 *
 * Any number of descriptors can load a node at the same time. The first caller for
 * an object stores PKRAM_FILE_LOADING in pkram_node.files and creates the file
 * without holding a lock. Later callers for the same object wait on
 * pkram_node.loads, or get -EBUSY if they supplied a target file. If creating the
 * file failed, a waiter retries. Loads of different objects do not wait for each
 * other.
 *
 * The descriptors pin the node, so neither its objects nor its files go away.
 */

/* Memory cgroup of the process behind a pidfd; NULL for PKRAM_FD_NONE. */
static struct mem_cgroup *memcg_of(int pidfd)
{
	struct mem_cgroup *memcg;
	struct task_struct *task;
	struct mm_struct *mm;
	unsigned int flags;

	if (pidfd == PKRAM_FD_NONE)
		return NULL;
	task = pidfd_get_task(pidfd, &flags);
	if (IS_ERR(task))
		return ERR_CAST(task);
	mm = get_task_mm(task);
	put_task_struct(task);
	if (!mm)
		return ERR_PTR(-ESRCH);
	memcg = get_mem_cgroup_from_mm(mm);
	mmput(mm);
	return memcg;
}

/*
 * The file of an object if it is there. NULL after PKRAM_FILE_LOADING was put in
 * its place, which the caller has to replace.
 */
static struct pkram_file *find_or_claim(struct pkram_node *node, u32 index, bool wait)
{
	struct pkram_file *pf;
	int err;

	for (;;) {
		pf = xa_cmpxchg(&node->files, index, NULL, PKRAM_FILE_LOADING, GFP_KERNEL);
		if (xa_is_err(pf))
			return ERR_PTR(xa_err(pf));
		if (pf != PKRAM_FILE_LOADING)
			return pf;
		if (!wait)
			return ERR_PTR(-EBUSY);
		err = wait_event_killable(node->loads,
					  xa_load(&node->files, index) != PKRAM_FILE_LOADING);
		if (err)
			return ERR_PTR(-EINTR);
	}
}

/**
 * pkram_load_object - have the file of an object
 * @node:   pinned by the caller
 * @index:  of the object, which has PKRAM_OBJ_FILE
 * @target: empty shmem file to load it into, or NULL for a new memfd
 * @pidfd:  of a process in the memory cgroup to be charged, or PKRAM_FD_NONE for
 *          that of the caller
 *
 * Return: the file, frozen, which is there until the node is removed; or an error
 * pointer: -EBUSY @target is given and it exists already, -EINTR a fatal signal
 * came while another caller was loading it, errors of pidfd_get_task(), -ESRCH, and
 * as pkram_file_load().
 */
struct pkram_file *pkram_load_object(struct pkram_node *node, u32 index,
				     struct file *target, int pidfd)
{
	struct mem_cgroup *memcg;
	struct pkram_file *pf;

	pf = find_or_claim(node, index, !target);
	if (IS_ERR(pf))
		return pf;
	if (pf)
		return target ? ERR_PTR(-EBUSY) : pf;

	memcg = memcg_of(pidfd);
	if (IS_ERR(memcg)) {
		pf = ERR_CAST(memcg);
	} else {
		pf = pkram_file_load(pkram_node_object(node, index), target, memcg);
		mem_cgroup_put(memcg);
	}
	trace_pkram_load(node->id, index,
			 le64_to_cpu(pkram_node_object(node, index)->nr_pages),
			 PTR_ERR_OR_ZERO(pf));
	/* its place is there, so this needs no memory */
	if (IS_ERR(pf))
		xa_erase(&node->files, index);
	else
		xa_store(&node->files, index, pf, GFP_KERNEL);
	wake_up_all(&node->loads);
	return pf;
}
