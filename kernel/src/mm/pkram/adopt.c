// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: adopting nodes of the previous kernel.
 */
#define pr_fmt(fmt) "pkram: " fmt

#include <linux/list.h>
#include <linux/list_sort.h>
#include <linux/mm.h>
#include <linux/pkram.h>
#include <linux/sched.h>
#include <linux/sched/cputime.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "adopt.h"
#include "claim.h"
#include "directory.h"
#include "leftover.h"
#include "node.h"
#include "pkram.h"

/**
 * DOC: adopting preserved memory
 *
 * Early boot reserves the blocks of preserved memory and looks at nothing in them but the
 * super block and the map. The rest is divided into small pieces of work. Threads do them in
 * the background (background.c), and so does every task that needs a result: it does not
 * depend on a thread that has a low priority. Three kinds of tasks do:
 *
 * - a task that names a node has that node adopted, and waits for no other;
 * - a task that lists nodes, or saves one, needs the directory only;
 * - a task for which there is no memory has all pages freed that no node has.
 *
 * Adoption has phases. In the first one, one task finds the nodes in the directory. In the
 * second, any number of tasks check one node each and claim its pages. When all nodes are
 * checked, the pages that no node has claimed are freed, and then the nodes that were not
 * asked for are committed. There is no difference any more between them and nodes of this
 * kernel then.
 *
 * The result does not depend on the order in which tasks happen to run. A page has one
 * owner at most. Where two nodes want one, one of them finds it claimed, gives all of its
 * pages back, and is *disputed*. If there is such a node when all are checked, all nodes that
 * are not committed give back their pages, and are checked again one after the other: so
 * the first one in the directory has the page. Only a node that was asked for before that
 * is committed at once, and keeps its pages, as if it were the first.
 *
 * A node that is damaged is dropped. That costs no other node.
 *
 * Locking: adopt.lock protects the phase, the lists, and pkram_adoption.state. A node that
 * is BUSY belongs to the task that made it so, and is on no list. A pending node goes away
 * only when a task has made it BUSY and holds pkram.lock.
 *
 * No step of the second and third phase allocates memory, waits for another task, or takes
 * a lock that is held while memory is allocated. So they can be done when there is none.
 */

/** PKRAM_FREE_BLOCKS - blocks whose pages are freed in one go */
#define PKRAM_FREE_BLOCKS	64

static struct {
	spinlock_t lock;	/* all of this */
	enum pkram_adopt_phase phase;
	unsigned long events;	/* grows with all that a task may wait for */
	unsigned int nr_claiming;	/* nodes being checked, or blocks being freed */
	unsigned int nr_committing;	/* nodes being committed or dropped */
	bool exclusive;		/* one task does something that others cannot help with */
	struct task_struct *scanner;
	unsigned int nr_waiters;
	u64 next_block;
	u64 freed;
	struct list_head waiting;
	struct list_head claimed;
	struct list_head disputed;
	struct list_head damaged;
} adopt = {
	.lock = __SPIN_LOCK_UNLOCKED(adopt.lock),
	.phase = PKRAM_PHASE_DONE,
	.waiting = LIST_HEAD_INIT(adopt.waiting),
	.claimed = LIST_HEAD_INIT(adopt.claimed),
	.disputed = LIST_HEAD_INIT(adopt.disputed),
	.damaged = LIST_HEAD_INIT(adopt.damaged),
};

DECLARE_WAIT_QUEUE_HEAD(pkram_adopt_wait);

/** pkram_adopt_hurry - called when a task has to wait for what another one does */
void (*pkram_adopt_hurry)(void);

static enum pkram_adopt_phase adopt_phase(void)
{
	/* what was done in earlier phases is visible */
	return smp_load_acquire(&adopt.phase);
}

/* Something happened that others may wait for. */
static void adopt_event_locked(void)
{
	lockdep_assert_held(&adopt.lock);
	WRITE_ONCE(adopt.events, adopt.events + 1);
}

static void adopt_set_phase_locked(enum pkram_adopt_phase phase)
{
	lockdep_assert_held(&adopt.lock);
	/* pairs with adopt_phase() */
	smp_store_release(&adopt.phase, phase);
	adopt_event_locked();
}

static struct list_head *state_list(enum pkram_adopt_state state)
{
	switch (state) {
	case PKRAM_ADOPT_WAITING:
		return &adopt.waiting;
	case PKRAM_ADOPT_CLAIMED:
		return &adopt.claimed;
	case PKRAM_ADOPT_DISPUTED:
		return &adopt.disputed;
	default:
		return &adopt.damaged;
	}
}

/* Make a node the caller's own, until work_end(). */
static void node_grab_locked(struct pkram_node *node)
{
	lockdep_assert_held(&adopt.lock);
	if (node->adoption.state == PKRAM_ADOPT_WAITING)
		adopt.nr_claiming++;
	else
		adopt.nr_committing++;
	list_del_init(&node->adoption.link);
	node->adoption.state = PKRAM_ADOPT_BUSY;
}

static struct pkram_node *node_grab_first_locked(struct list_head *list)
{
	struct pkram_node *node;

	node = list_first_entry_or_null(list, struct pkram_node, adoption.link);
	if (node)
		node_grab_locked(node);
	return node;
}

/* A piece of work is done, which @count counts. */
static void work_end(unsigned int *count)
{
	spin_lock(&adopt.lock);
	--*count;
	adopt_event_locked();
	spin_unlock(&adopt.lock);
	wake_up_all(&pkram_adopt_wait);
}

static u64 node_pfn(const struct pkram_node *node)
{
	return le64_to_cpu(node->page->hdr.pfn);
}

/* Check a node and claim its pages. Returns the state that it is in then. */
static enum pkram_adopt_state node_claim(struct pkram_node *node, bool killable)
{
	struct pkram_adoption *a = &node->adoption;
	struct pkram_node_totals totals;
	int r = pkram_claim_node(node_pfn(node), killable, &a->claimed, &totals);

	if (r < 0)
		return PKRAM_ADOPT_WAITING;
	a->damage = r;
	if (r)
		return r == PKRAM_DAMAGE_TWICE ? PKRAM_ADOPT_DISPUTED : PKRAM_ADOPT_DAMAGED;
	node->totals = totals;
	return PKRAM_ADOPT_CLAIMED;
}

static void adoption_set_state(struct pkram_node *node, enum pkram_adopt_state state)
{
	spin_lock(&adopt.lock);
	node->adoption.state = state;
	list_add_tail(&node->adoption.link, state_list(state));
	spin_unlock(&adopt.lock);
}

static void node_check(struct pkram_node *node, bool killable)
{
	adoption_set_state(node, node_claim(node, killable));
	work_end(&adopt.nr_claiming);
}

static void node_commit(struct pkram_node *node)
{
	u64 poisoned, pfn = node_pfn(node), pages = node->adoption.claimed.pages + 1;

	pkram_claim_make(pfn, &node->adoption.claimed);
	poisoned = pkram_poison_adopt(node->page);
	if (poisoned)
		pr_err("node at pfn %#llx: memory errors in %llu pages before the kexec, affected objects cannot be loaded\n",
		       pfn, poisoned);
	pkram_node_adopted(node);
	atomic64_sub(pages, &pkram.pending_pages);
	work_end(&adopt.nr_committing);
}

static void node_drop(struct pkram_node *node)
{
	pkram_dropped_add(node);
	pkram_node_drop(node);
	atomic64_dec(&pkram.pending_pages);
	work_end(&adopt.nr_committing);
}

static int node_order(void *priv, const struct list_head *a, const struct list_head *b)
{
	const struct pkram_node *x = list_entry(a, struct pkram_node, adoption.link);
	const struct pkram_node *y = list_entry(b, struct pkram_node, adoption.link);

	return x->adoption.position < y->adoption.position ? -1 :
	       x->adoption.position > y->adoption.position;
}

/*
 * All nodes were checked. If some want the same page, check those that are not committed
 * again, in their order.
 */
static void adopt_settle(void)
{
	enum pkram_adopt_state state;
	struct pkram_node *node, *next;
	LIST_HEAD(again);

	spin_lock(&adopt.lock);
	if (!list_empty(&adopt.disputed)) {
		list_splice_init(&adopt.disputed, &again);
		list_splice_init(&adopt.claimed, &again);
		list_for_each_entry(node, &again, adoption.link)
			node->adoption.state = PKRAM_ADOPT_BUSY;
	}
	spin_unlock(&adopt.lock);

	list_sort(NULL, &again, node_order);
	list_for_each_entry(node, &again, adoption.link)
		pkram_unclaim_node(node_pfn(node), &node->adoption.claimed);
	list_for_each_entry_safe(node, next, &again, adoption.link) {
		state = node_claim(node, false);
		spin_lock(&adopt.lock);
		if (state == PKRAM_ADOPT_DISPUTED)
			state = PKRAM_ADOPT_DAMAGED;
		node->adoption.state = state;
		list_move_tail(&node->adoption.link, state_list(state));
		spin_unlock(&adopt.lock);
	}
}

static void adopt_directory(void)
{
	struct pkram_node *node;
	LIST_HEAD(nodes);

	pkram_directory_adopt(&nodes);
	spin_lock(&adopt.lock);
	list_for_each_entry(node, &nodes, adoption.link)
		node->adoption.state = PKRAM_ADOPT_WAITING;
	list_splice(&nodes, &adopt.waiting);
	spin_unlock(&adopt.lock);
}

static void adopt_free(u64 first)
{
	u64 freed = pkram_leftover_free(first, PKRAM_FREE_BLOCKS);

	atomic64_sub(freed, &pkram.pending_pages);
	spin_lock(&adopt.lock);
	WRITE_ONCE(adopt.freed, adopt.freed + freed);
	spin_unlock(&adopt.lock);
	work_end(&adopt.nr_claiming);
}

static void adopt_finish(void)
{
	atomic64_set(&pkram.pending_pages, 0);
	pkram_node_free_removed();
	pkram_leftover_done();
	pkram_poison_start();
	pkram_dropped_sort();
	scoped_guard(mutex, &pkram.lock)
		pr_info("restored %llu nodes, %llu pages of data, %llu of metadata, from kernel %s; %llu pages freed, %llu nodes dropped\n",
			pkram.nr_nodes, pkram.data_pages, pkram.meta_pages, pkram.release,
			adopt.freed, pkram.nr_dropped);
}

/* What only one task can do, and only when no other one is busy; then the next phase begins. */
static void adopt_step(enum pkram_adopt_phase phase)
{
	if (phase == PKRAM_PHASE_DIRECTORY)
		adopt_directory();
	else if (phase == PKRAM_PHASE_CHECK)
		adopt_settle();
	else if (phase == PKRAM_PHASE_COMMIT)
		adopt_finish();
	spin_lock(&adopt.lock);
	adopt.exclusive = false;
	WRITE_ONCE(adopt.scanner, NULL);
	adopt_set_phase_locked(phase + 1);
	spin_unlock(&adopt.lock);
	wake_up_all(&pkram_adopt_wait);
}

/* Is a piece of work of this phase under way? */
static bool phase_busy_locked(enum pkram_adopt_phase phase)
{
	lockdep_assert_held(&adopt.lock);
	return phase == PKRAM_PHASE_COMMIT ? adopt.nr_committing : adopt.nr_claiming;
}

/* The next node of this phase, the caller's own; NULL if there is none. */
static struct pkram_node *phase_grab_node_locked(enum pkram_adopt_phase phase)
{
	lockdep_assert_held(&adopt.lock);
	if (phase == PKRAM_PHASE_CHECK)
		return node_grab_first_locked(&adopt.waiting);
	if (phase == PKRAM_PHASE_COMMIT)
		return node_grab_first_locked(&adopt.claimed) ?:
		       node_grab_first_locked(&adopt.damaged);
	return NULL;
}

/* The next blocks to free, the caller's own; false if there are none. */
static bool phase_grab_blocks_locked(enum pkram_adopt_phase phase, u64 *first)
{
	lockdep_assert_held(&adopt.lock);
	*first = adopt.next_block;
	if (phase != PKRAM_PHASE_FREE || *first >= pkram_claims_nr_blocks())
		return false;
	adopt.next_block += PKRAM_FREE_BLOCKS;
	adopt.nr_claiming++;
	return true;
}

static bool adopt_work(enum pkram_adopt_phase until)
{
	enum pkram_adopt_phase phase;
	struct pkram_node *node = NULL;
	bool blocks = false, step = false;
	u64 first;

	spin_lock(&adopt.lock);
	phase = adopt.phase;
	if (phase < until && !adopt.exclusive) {
		node = phase_grab_node_locked(phase);
		blocks = phase_grab_blocks_locked(phase, &first);
		step = !node && !blocks && !phase_busy_locked(phase);
	}
	if (step) {
		adopt.exclusive = true;
		WRITE_ONCE(adopt.scanner, current);
	}
	spin_unlock(&adopt.lock);

	if (step)
		adopt_step(phase);
	else if (blocks)
		adopt_free(first);
	else if (!node)
		return false;
	else if (phase == PKRAM_PHASE_CHECK)
		node_check(node, false);
	else if (node->adoption.damage)
		node_drop(node);
	else
		node_commit(node);
	return true;
}

/* Processor time of the caller, and what it spent since it was @begin before. */
static u64 time_begin(void)
{
	return task_sched_runtime(current);
}

static void time_end(u64 begin)
{
	spin_lock(&adopt.lock);
	pkram.restored_ns += task_sched_runtime(current) - begin;
	spin_unlock(&adopt.lock);
}

/**
 * pkram_adopt_work() - do a piece of work
 * @until: do nothing in this phase, and in those after it
 *
 * Context: may sleep. If @until is PKRAM_PHASE_COMMIT or before, and the directory is known,
 * neither allocates memory nor takes locks that are held while memory is allocated.
 *
 * Return: false if there is nothing to do now; there may be when
 * pkram_adopt_events() changes.
 */
bool pkram_adopt_work(enum pkram_adopt_phase until)
{
	u64 begin = time_begin();
	bool worked = adopt_work(until);

	if (worked)
		time_end(begin);
	return worked;
}

/**
 * pkram_adopt_events() - count what happened
 *
 * Context: before what a task may wait for is looked at.
 *
 * Return: a number that changes when something happens.
 */
unsigned long pkram_adopt_events(void)
{
	/* nothing that the caller looks at next is older */
	return smp_load_acquire(&adopt.events);
}

/**
 * pkram_adopt_idle() - is there a reason to wait on?
 * @events: from pkram_adopt_events()
 *
 * Return: false if something happened since, or if adoption has ended.
 */
bool pkram_adopt_idle(unsigned long events)
{
	return READ_ONCE(adopt.events) == events && adopt_phase() < PKRAM_PHASE_DONE;
}

/**
 * pkram_adopt_wanted() - is a task waiting for what another one does?
 *
 * Return: true if there is one.
 */
bool pkram_adopt_wanted(void)
{
	return READ_ONCE(adopt.nr_waiters);
}

/**
 * pkram_adopt_pending() - are there inherited nodes that are not adopted?
 *
 * Return: true if there may be.
 */
bool pkram_adopt_pending(void)
{
	return adopt_phase() < PKRAM_PHASE_DONE;
}

static void adopt_count_waiter(int change)
{
	spin_lock(&adopt.lock);
	WRITE_ONCE(adopt.nr_waiters, adopt.nr_waiters + change);
	spin_unlock(&adopt.lock);
}

/*
 * Wait until something happens. Callers hold locks, with which a task must not be frozen.
 * The threads that others wait for are frozen after all tasks of user space, so none of
 * them keeps the system from being suspended.
 */
static int adopt_wait(unsigned long events)
{
	int err;

	adopt_count_waiter(1);
	if (pkram_adopt_hurry)
		pkram_adopt_hurry();
	err = wait_event_killable(pkram_adopt_wait, !pkram_adopt_idle(events));
	adopt_count_waiter(-1);
	return err ? -EINTR : 0;
}

/* Work, and wait for others where that is not possible, until a phase has begun. */
static int adopt_until(enum pkram_adopt_phase until)
{
	unsigned long events;
	int err;

	while (adopt_phase() < until) {
		events = pkram_adopt_events();
		if (pkram_adopt_work(until)) {
			if (fatal_signal_pending(current))
				return -EINTR;
			continue;
		}
		if (adopt_phase() >= until)
			break;
		err = adopt_wait(events);
		if (err)
			return err;
	}
	return 0;
}

/** PKRAM_ADOPT_TRIES - tenths of a second to wait for a directory that needs memory itself */
#define PKRAM_ADOPT_TRIES	100

/** PKRAM_ADOPT_FEW - nodes that a task without memory looks for in the directory itself */
#define PKRAM_ADOPT_FEW		4096

/* Does the next piece of work need more memory than there is in reserve? */
static bool work_needs_memory(void)
{
	return adopt_phase() == PKRAM_PHASE_DIRECTORY &&
	       le64_to_cpu(pkram.sb->nr_nodes) > PKRAM_ADOPT_FEW;
}

/**
 * pkram_adopt_until_free() - have all pages freed that no node has
 *
 * Context: a task that found no memory, and may hold any lock but adopt.lock.
 *
 * Return: pages freed meanwhile.
 */
u64 pkram_adopt_until_free(void)
{
	u64 before = READ_ONCE(adopt.freed);
	unsigned int tries = 0;
	unsigned long events;

	/* it needs memory to find the nodes, and is asked for it again */
	if (READ_ONCE(adopt.scanner) == current)
		return 0;
	adopt_count_waiter(1);
	while (adopt_phase() < PKRAM_PHASE_COMMIT && tries < PKRAM_ADOPT_TRIES) {
		events = pkram_adopt_events();
		if (!work_needs_memory() && pkram_adopt_work(PKRAM_PHASE_COMMIT))
			continue;
		if (pkram_adopt_hurry)
			pkram_adopt_hurry();
		wait_event_timeout(pkram_adopt_wait, !pkram_adopt_idle(events), HZ / 10);
		tries += adopt_phase() == PKRAM_PHASE_DIRECTORY;
	}
	adopt_count_waiter(-1);
	return READ_ONCE(adopt.freed) - before;
}

/**
 * pkram_adopt_directory() - have the directory of the previous kernel adopted
 *
 * From then on its nodes have names, and are listed and counted.
 *
 * Context: may sleep; pkram.lock not held.
 *
 * Return: 0, or -EINTR after a fatal signal.
 */
int pkram_adopt_directory(void)
{
	return adopt_until(PKRAM_PHASE_CHECK);
}

/**
 * pkram_adopt_freed() - have all pages freed that no node of the previous kernel has
 *
 * From then on, pages of nodes that were adopted can be freed.
 *
 * Context: as pkram_adopt_all().
 *
 * Return: 0, or -EINTR after a fatal signal.
 */
int pkram_adopt_freed(void)
{
	return adopt_until(PKRAM_PHASE_COMMIT);
}

/**
 * pkram_adopt_all() - have all nodes of the previous kernel adopted or dropped
 *
 * Context: may sleep; pkram.lock and pkram_kexec_sem not held.
 *
 * Return: 0, or -EINTR after a fatal signal.
 */
int pkram_adopt_all(void)
{
	return adopt_until(PKRAM_PHASE_DONE);
}

/**
 * pkram_adopt_all_at_once() - the same for a caller that found no room
 *
 * Context: as pkram_adopt_all().
 *
 * Return: true if there was something to do, so that it is worth to try again.
 */
bool pkram_adopt_all_at_once(void)
{
	return pkram_adopt_pending() && !pkram_adopt_all();
}

/* Make the node with that name the caller's own. NULL if there is none, or an error. */
static struct pkram_node *node_grab_named(const char *name, enum pkram_adopt_state *state)
{
	struct pkram_node *node;

	if (mutex_lock_killable(&pkram.lock))
		return ERR_PTR(-EINTR);
	node = pkram_node_pending(name);
	if (node) {
		spin_lock(&adopt.lock);
		*state = node->adoption.state;
		if (*state == PKRAM_ADOPT_DISPUTED)
			node = ERR_PTR(-EDEADLK);
		else if (*state == PKRAM_ADOPT_BUSY || adopt.exclusive)
			node = ERR_PTR(-EAGAIN);
		else
			node_grab_locked(node);
		spin_unlock(&adopt.lock);
	}
	mutex_unlock(&pkram.lock);
	return node;
}

/*
 * One attempt. Returns 0 if the node is not pending any more, -EAGAIN, -EINTR; -EDEADLK if
 * all others have to be checked before.
 */
static int adopt_named(const char *name)
{
	enum pkram_adopt_state state;
	struct pkram_node *node = node_grab_named(name, &state);

	if (IS_ERR_OR_NULL(node))
		return PTR_ERR_OR_ZERO(node);
	switch (state) {
	case PKRAM_ADOPT_WAITING:
		node_check(node, true);
		return fatal_signal_pending(current) ? -EINTR : -EAGAIN;
	case PKRAM_ADOPT_CLAIMED:
		node_commit(node);
		return 0;
	default:
		node_drop(node);
		return 0;
	}
}

/**
 * pkram_adopt_node() - have a node adopted, if it is of the previous kernel
 * @name: its name
 *
 * The caller does it, unless another task is about to. It waits for other nodes only if one
 * of them wants the same page.
 *
 * Context: may sleep; pkram.lock and pkram_kexec_sem not held.
 *
 * Return: 0, whether there is such a node or not: it is not pending any more, or is dropped
 * because it is damaged; -EINTR after a fatal signal.
 */
int pkram_adopt_node(const char *name)
{
	unsigned long events;
	u64 begin;
	int err;

	while (pkram_adopt_pending()) {
		err = pkram_adopt_directory();
		if (err)
			return err;
		events = pkram_adopt_events();
		begin = time_begin();
		err = adopt_named(name);
		time_end(begin);
		if (err == -EDEADLK && pkram_adopt_work(PKRAM_PHASE_FREE))
			continue;
		if (err != -EAGAIN && err != -EDEADLK)
			return err;
		err = adopt_wait(events);
		if (err)
			return err;
	}
	return 0;
}

/**
 * pkram_adopt_begin() - there is something to adopt
 *
 * Context: boot, when pages can be claimed.
 */
void __init pkram_adopt_begin(void)
{
	pkram.adopting = true;
	pkram.dirs_known = 0;
	adopt.phase = PKRAM_PHASE_DIRECTORY;
}
