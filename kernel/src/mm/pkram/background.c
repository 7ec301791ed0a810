// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: adoption begins at boot, and goes on in the background.
 */
#define pr_fmt(fmt) "pkram: " fmt

#include <linux/freezer.h>
#include <linux/init.h>
#include <linux/kthread.h>
#include <linux/moduleparam.h>
#include <linux/oom.h>
#include <linux/pkram.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <uapi/linux/sched/types.h>
#include <asm/pkram.h>

#include "adopt.h"
#include "alloc.h"
#include "claim.h"
#include "directory.h"
#include "leftover.h"
#include "pkram.h"

/**
 * DOC: adoption in the background
 *
 * Nothing of what boot waits for depends on how much is stored. A core_initcall opens the
 * inherited super block and map, and does a few steps for each block. Threads that a
 * late_initcall starts do the rest while the processors are idle. A task that has to wait
 * for what such a thread is doing has it run with the priority of an ordinary task.
 *
 * Pages that no node has are missing until all nodes are checked. A task for which memory
 * does not suffice meanwhile has that done at once, before the OOM killer looks for a
 * victim: pkram_oom_notify().
 *
 * The threads are frozen with the system, between two pieces of work, and end when no node
 * is pending.
 */

/** PKRAM_THREADS - threads at most */
#define PKRAM_THREADS	16

static DEFINE_SPINLOCK(threads_lock);
static struct task_struct *threads[PKRAM_THREADS];

#ifdef CONFIG_PKRAM_DAMAGE
#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "pkram_adopt."

/* For tests: the threads do nothing, so that nodes are adopted only when asked for. */
static bool hold;

static int hold_set(const char *val, const struct kernel_param *kp)
{
	int err = param_set_bool(val, kp);

	wake_up_all(&pkram_adopt_wait);
	return err;
}

static const struct kernel_param_ops hold_ops = {
	.set = hold_set,
	.get = param_get_bool,
};

module_param_cb(hold, &hold_ops, &hold, 0600);
MODULE_PARM_DESC(hold, "do not adopt nodes in the background");

static bool threads_held(void)
{
	return READ_ONCE(hold);
}
#else
static bool threads_held(void)
{
	return false;
}
#endif

static void thread_set_idle(void)
{
	const struct sched_param param = { };

	if (current->policy != SCHED_IDLE && !pkram_adopt_wanted())
		sched_setscheduler_nocheck(current, SCHED_IDLE, &param);
}

static bool thread_may_go_on(unsigned long events, bool held)
{
	return !pkram_adopt_idle(events) || threads_held() != held;
}

static int adopt_thread(void *number)
{
	unsigned long events;
	bool held;

	set_freezable();
	while (pkram_adopt_pending()) {
		thread_set_idle();
		try_to_freeze();
		events = pkram_adopt_events();
		held = threads_held();
		if (held || !pkram_adopt_work(PKRAM_PHASE_DONE))
			wait_event_freezable(pkram_adopt_wait, thread_may_go_on(events, held));
	}
	scoped_guard(spinlock, &threads_lock)
		threads[(long)number] = NULL;
	put_task_struct(current);
	return 0;
}

/* A task waits for what a thread is doing. */
static void threads_hurry(void)
{
	struct task_struct *task;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		scoped_guard(spinlock, &threads_lock) {
			task = threads[i];
			if (task)
				get_task_struct(task);
		}
		if (!task)
			continue;
		if (task->policy == SCHED_IDLE)
			sched_set_normal(task, 0);
		put_task_struct(task);
	}
}

/*
 * Memory does not suffice, and a process will be killed unless some is freed. What no node
 * has is given to the page allocator here, if that has not happened so far, and the
 * allocation is tried again. Nothing in that allocates memory, or waits for a task that does.
 */
static int pkram_oom_notify(struct notifier_block *nb, unsigned long unused, void *data)
{
	unsigned long *freed = data;

	if (pkram_adopt_pending())
		*freed += pkram_adopt_until_free();
	return NOTIFY_OK;
}

static struct notifier_block pkram_oom_nb = {
	.notifier_call = pkram_oom_notify,
};

static void __init release_keep(const struct pkram_super *sb)
{
	unsigned int i;

	for (i = 0; i < sizeof(pkram.release) - 1 && sb->release[i]; i++)
		pkram.release[i] = sb->release[i] > 0x20 && sb->release[i] < 0x7f ?
				   sb->release[i] : '?';
}

static void __init super_claim(struct pkram_super *sb)
{
	u64 i, pfns[] = { pkram_early.map_pfn, pkram_early.map_twin_pfn };
	u32 k, nr_map = le32_to_cpu(sb->nr_map);
	u64 nr = 1;
	bool twin;

	pkram_claim_one(pkram_early.sb_pfn);
	twin = !pkram_claim_one(pkram_twin(pkram_early.sb_pfn));
	pkram_settle_twin(&sb->hdr, twin);
	nr += twin;
	for (i = 0; i < ARRAY_SIZE(pfns); i++)
		for (k = 0; pfns[i] && k < nr_map; k++)
			nr += !pkram_claim_one(pfns[i] + k);
	atomic64_sub(nr, &pkram.pending_pages);
}

/* Adopt what pkram_reserve() found, except its nodes. */
static void __init store_adopt(void)
{
	struct pkram_super *sb = pfn_to_kaddr(pkram_early.sb_pfn);

	pkram_super_adopt(pkram_early.sb_pfn, pkram_early.map_pfn, pkram_early.map_twin_pfn);
	pkram_blocks_adopt();
	pkram_claims_init();
	pkram_adopt_begin();
	atomic64_set(&pkram.pending_pages, pkram_leftover_init());
	release_keep(sb);
	super_claim(sb);

	/* Pages of this boot belong to the next generation. */
	le64_add_cpu(&sb->hdr.generation, 1);
	if (pkram.sb_twin)
		pkram.sb_twin->hdr.generation = sb->hdr.generation;
	pkram_map_grow();
	pkram_map_copy_again();
	pr_info("store of kernel %s adopted, %lld pages pending\n", pkram.release,
		atomic64_read(&pkram.pending_pages));
}

/* The page allocator and the scheduler are there, but no driver runs yet. */
static int __init pkram_init(void)
{
	u64 begin = arch_pkram_ticks();

	if (pkram.boot_result == PKRAM_BOOT_OFF)
		return 0;
	if (pkram_early.sb_pfn) {
		store_adopt();
		register_oom_notifier(&pkram_oom_nb);
	} else if (pkram_super_create()) {
		pkram.boot_result = PKRAM_BOOT_OFF;
		pr_err("disabled: failed to allocate the super block\n");
		return 0;
	}
	pkram_blocks_find_ram();
	pkram_alloc_find_nodes();
	if (!pkram_early.sb_pfn)
		pkram_poison_start();
	pkram.restored_ns = arch_pkram_ticks_to_ns(pkram_early.cycles + arch_pkram_ticks() -
						   begin);
	return 0;
}
core_initcall(pkram_init);

/* Tasks that need something do it themselves where there is no thread. */
static int __init pkram_threads_init(void)
{
	unsigned int i, nr = min(num_online_cpus(), PKRAM_THREADS);
	struct task_struct *task;

	if (!pkram_adopt_pending())
		return 0;
	pkram_adopt_hurry = threads_hurry;
	for (i = 0; i < nr; i++) {
		task = kthread_create(adopt_thread, (void *)(long)i, "pkram_adopt/%u", i);
		if (IS_ERR(task))
			break;
		threads[i] = get_task_struct(task);
		wake_up_process(task);
	}
	if (!i)
		pr_warn("failed to start a thread, nodes are adopted when they are asked for\n");
	return 0;
}
late_initcall(pkram_threads_init);
