// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: preserved pages in which the hardware lost data.
 */
#define pr_fmt(fmt) "pkram: " fmt

#include <linux/mm.h>
#include <linux/pkram.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "claim.h"
#include "pkram.h"

/**
 * DOC: memory errors
 *
 * A page with a memory error is refused when it is saved. Errors that come after
 * that are found when the seal is made: no other code reads a stored page, and
 * the flag that memory_failure() set is lost in the jump. What was hit is noted
 * in the object, whose own page is written anyway; nothing is allocated. The
 * object goes on to the next kernel, where it is listed, cannot be loaded, and
 * its bad pages are flagged again, so that they are never used again once
 * the node is removed. The other objects of the node are not affected.
 *
 * Of a folio that has a bad page, all pages are kept back then. Of an object with
 * more than PKRAM_OBJ_POISONED bad pages the others are not: the hardware will
 * report them again.
 *
 * Errors in metadata cost what the page describes: a node that cannot be read any
 * more is taken out of the directory. Of the super block, the map and the directory
 * there are copies, and what was hit is not handed on; a directory page that was hit
 * together with its copy is cut off with what comes after it, and if both copies of the
 * super block or the map were hit, nothing is sealed. None of it is silent.
 *
 * The seal must not look at all pages there are to find those few. memory_failure()
 * reports each page to pkram_poison_note(), and a worker determines soon after whether a
 * node has it, in extents and not in pages. What the worker did not get to is looked for
 * in the extents when the seal is made.
 *
 * As long as inherited nodes are being adopted the worker does not run, because their
 * metadata is not known to be good. The seal checks it before it looks at such a node.
 */

/**
 * POISON_MAX - pages with memory errors that are remembered
 *
 * With more of them all pages are looked at when the seal is made.
 */
#define POISON_MAX	256

/**
 * struct poison - a page with a memory error
 * @pfn:     the page
 * @checked: whether a node has it is known
 * @slot:    of that node, NULL if no node has it
 */
struct poison {
	u64 pfn;
	bool checked;
	__le64 *slot;
};

/* Written under the lock, read by the seal without: @nr last. */
static struct {
	spinlock_t lock;	/* entries, against other writers */
	unsigned int nr;
	bool overflow;
	bool started;
	struct poison page[POISON_MAX];
} poison = { .lock = __SPIN_LOCK_UNLOCKED(poison.lock) };

static void poison_work_fn(struct work_struct *work);
static DECLARE_WORK(poison_work, poison_work_fn);

static bool poison_is_bad(u64 pfn)
{
	return PageHWPoison(pfn_to_page(pfn));
}

static bool meta_bad(__le64 pfn)
{
	return poison_is_bad(le64_to_cpu(pfn));
}

/* The entry for a page: its own, else one whose page was unpoisoned since, else a new one. */
static unsigned int poison_find_entry(u64 pfn)
{
	unsigned int i, unused = poison.nr;

	for (i = 0; i < poison.nr; i++) {
		if (poison.page[i].pfn == pfn)
			return i;
		if (unused == poison.nr && !poison_is_bad(poison.page[i].pfn))
			unused = i;
	}
	return unused;
}

/**
 * pkram_poison_note - remember that the hardware lost a page
 * @pfn: the page
 *
 * Context: any in which memory_failure() counts the page.
 */
void pkram_poison_note(unsigned long pfn)
{
	unsigned long flags;
	unsigned int i;

	if (!pkram_enabled())
		return;
	WRITE_ONCE(pkram.poisoned, true);
	spin_lock_irqsave(&poison.lock, flags);
	i = poison_find_entry(pfn);
	if (i == POISON_MAX) {
		poison.overflow = true;
	} else {
		poison.page[i].pfn = pfn;
		WRITE_ONCE(poison.page[i].slot, NULL);
		WRITE_ONCE(poison.page[i].checked, false);
		/* the seal finds a complete entry */
		smp_store_release(&poison.nr, max(poison.nr, i + 1));
	}
	spin_unlock_irqrestore(&poison.lock, flags);
	if (READ_ONCE(poison.started))
		schedule_work(&poison_work);
}

/**
 * pkram_poison_start - nodes can be looked at from now on
 *
 * Context: after all inherited nodes were adopted or dropped.
 */
void pkram_poison_start(void)
{
	WRITE_ONCE(poison.started, true);
	if (poison.nr)
		schedule_work(&poison_work);
}

/* The first noted page in a range that is bad, 0 if there is none; from entry *@i on. */
static u64 poison_next(u64 pfn, u64 nr, unsigned int *i)
{
	while (*i < poison.nr) {
		u64 bad = poison.page[(*i)++].pfn;

		if (bad - pfn < nr && poison_is_bad(bad))
			return bad;
	}
	return 0;
}

static void note_bad(struct pkram_object *obj, u64 *nr, u64 pfn)
{
	if (*nr < PKRAM_OBJ_POISONED)
		obj->poisoned[*nr] = cpu_to_le64(pfn);
	++*nr;
}

/*
 * Count the bad pages of a stream in @nr, and note them in its object. Without an object,
 * only find out whether there is one, and let others run meanwhile. Returns false if a
 * link page is bad.
 */
static bool check_stream(struct pkram_object *obj, __le64 head, u64 *nr)
{
	struct pkram_object ignored, *noted = obj ?: &ignored;
	const struct pkram_link *link;
	u32 i;

	for (; head && (obj || !*nr); head = link->hdr.next) {
		if (!obj)
			cond_resched();
		if (meta_bad(head))
			return false;
		link = pfn_to_kaddr(le64_to_cpu(head));
		for (i = 0; i < le32_to_cpu(link->nr_extents); i++) {
			struct pkram_extent e =
				pkram_extent_decode(pkram_extent_raw(link, i));
			u64 bad, span = (u64)e.count << e.order;
			unsigned int k = 0;

			if (likely(!poison.overflow)) {
				while ((bad = poison_next(e.pfn, span, &k)))
					note_bad(noted, nr, bad);
				continue;
			}
			for (; span; span--, e.pfn++)
				if (poison_is_bad(e.pfn))
					note_bad(noted, nr, e.pfn);
		}
	}
	return true;
}

/**
 * pkram_poison_node - note the bad pages of a committed node in its objects
 * @page: its node page
 *
 * Context: as pkram_seal(), or pkram.lock held and no seal possible.
 *
 * Return: how many there are; negative if metadata is bad and the node is lost.
 */
s64 pkram_poison_node(struct pkram_node_page *page)
{
	struct pkram_objects o;
	u64 total = 0;
	u32 i;

	if (PageHWPoison(virt_to_page(page)))
		return -1;
	for (o = pkram_objects_first(page); o.obj; o = pkram_objects_next(&o)) {
		bool changed = false;

		for (i = 0; i < o.nr; i++) {
			struct pkram_object *obj = &o.obj[i];
			u64 nr = 0;

			if (!check_stream(obj, obj->pages_head, &nr) ||
			    !check_stream(obj, obj->bytes_head, &nr))
				return -1;
			/* an inherited one may have more than are known now */
			nr = max(nr, le64_to_cpu(obj->nr_poisoned));
			changed |= nr;
			obj->nr_poisoned = cpu_to_le64(nr);
			total += nr;
		}
		if (changed)
			pkram_page_finish(o.hdr);
		if (o.hdr->next && meta_bad(o.hdr->next))
			return -1;
	}
	return total;
}

/* Has a node any bad page at all? Changes nothing. */
static bool node_is_hit(struct pkram_node_page *page)
{
	struct pkram_objects o;
	u64 nr = 0;
	u32 i;

	if (PageHWPoison(virt_to_page(page)))
		return true;
	for (o = pkram_objects_first(page); o.obj; o = pkram_objects_next(&o)) {
		for (i = 0; i < o.nr; i++)
			if (!check_stream(NULL, o.obj[i].pages_head, &nr) ||
			    !check_stream(NULL, o.obj[i].bytes_head, &nr) || nr)
				return true;
		if (o.hdr->next && meta_bad(o.hdr->next))
			return true;
		cond_resched();
	}
	return false;
}

/*
 * The node in @slot is hit: by which page is determined again by the seal, so all that were
 * not known to be elsewhere may be it. One slot is enough for each.
 */
static void blame_node(__le64 *slot, bool *more)
{
	unsigned int i;

	for (i = 0; i < poison.nr; i++) {
		struct poison *p = &poison.page[i];

		if (p->slot == slot)
			return;
	}
	for (i = 0; i < poison.nr; i++) {
		struct poison *p = &poison.page[i];

		if (!p->slot) {
			WRITE_ONCE(p->slot, slot);
			return;
		}
	}
	*more = true;
}

/* Find the nodes that have pages noted since the last time. */
static void poison_work_fn(struct work_struct *work)
{
	struct pkram_dir *dir;
	bool more = false;
	unsigned int i, nr;
	unsigned long flags;
	__le64 pfn;

	guard(mutex)(&pkram.lock);
	spin_lock_irqsave(&poison.lock, flags);
	nr = poison.nr;
	for (i = 0; i < nr; i++)
		poison.page[i].slot = NULL;
	spin_unlock_irqrestore(&poison.lock, flags);

	for (pfn = pkram.sb->dir_pfn; pfn && !meta_bad(pfn); pfn = dir->hdr.next) {
		dir = pfn_to_kaddr(le64_to_cpu(pfn));
		for (i = 0; i < PKRAM_DIR_SLOTS; i++)
			if (dir->slot[i] &&
			    node_is_hit(pfn_to_kaddr(le64_to_cpu(dir->slot[i]))))
				blame_node(&dir->slot[i], &more);
	}
	if (more || pfn)
		return;
	/* those that came meanwhile have this run once more */
	for (i = 0; i < nr; i++)
		WRITE_ONCE(poison.page[i].checked, true);
}

/**
 * pkram_poison_commit - a node is being committed: pages may have gone bad since it was saved
 * @page: its node page, complete
 * @slot: its slot in the directory
 *
 * Context: pkram.lock held.
 */
void pkram_poison_commit(struct pkram_node_page *page, __le64 *slot)
{
	lockdep_assert_held(&pkram.lock);
	if (likely(!READ_ONCE(poison.nr)))
		return;
	if (node_is_hit(page))
		pkram_poison_recheck();
}

/**
 * pkram_poison_recheck - nodes with bad pages may have another slot from now on
 *
 * Context: pkram.lock held.
 */
void pkram_poison_recheck(void)
{
	unsigned int i;

	lockdep_assert_held(&pkram.lock);
	for (i = 0; i < poison.nr; i++)
		WRITE_ONCE(poison.page[i].checked, false);
	if (poison.nr && READ_ONCE(poison.started))
		schedule_work(&poison_work);
}

/**
 * pkram_poison_forget - a slot of the directory is about to go away
 * @slot: which reads 0
 *
 * The directory page may be freed next, and what is in it then is not for the seal.
 *
 * Context: pkram.lock held.
 */
void pkram_poison_forget(const __le64 *slot)
{
	unsigned int i;

	lockdep_assert_held(&pkram.lock);
	for (i = 0; i < READ_ONCE(poison.nr); i++)
		if (READ_ONCE(poison.page[i].slot) == slot)
			WRITE_ONCE(poison.page[i].slot, NULL);
}

/* A slot, in the copy of its page if the page is bad. */
static __le64 *live_slot(__le64 *slot)
{
	return PageHWPoison(virt_to_page(slot)) ? pkram_twin_page(slot) : slot;
}

/**
 * pkram_poison_checked - is it known which nodes have pages with memory errors?
 *
 * Context: any.
 *
 * Return: whether the seal has no more to do than to look at those.
 */
bool pkram_poison_checked(void)
{
	unsigned int i;

	if (READ_ONCE(poison.overflow))
		return false;
	for (i = 0; i < READ_ONCE(poison.nr); i++)
		if (!READ_ONCE(poison.page[i].checked))
			return false;
	return true;
}

/* Can the metadata of a node be followed? 0 if so, as pkram_claim_check(). */
static int check_inherited(u64 pfn)
{
	const struct pkram_node_page *page = pfn_to_kaddr(pfn);
	int r;

	/* nodes that were adopted, or saved here, were checked */
	if (likely(!READ_ONCE(pkram.adopting)))
		return 0;
	r = pkram_claim_readable(pfn);
	if (r == PKRAM_DAMAGE_CHECKSUM)
		return -EHWPOISON;
	/* in a block of this kernel */
	if (r || le64_to_cpu(page->hdr.generation) == pkram_generation())
		return 0;
	return pkram_claim_check(pfn, le64_to_cpu(page->data_pages) +
				      le64_to_cpu(page->meta_pages));
}

static void check_slot(__le64 *slot)
{
	struct pkram_node_page *page;
	s64 nr;
	int r;

	if (!*slot)
		return;
	page = pfn_to_kaddr(le64_to_cpu(*slot));
	r = check_inherited(le64_to_cpu(*slot));
	/* the next kernel drops it, and says why */
	if (r > 0)
		return;
	nr = r < 0 ? -1 : pkram_poison_node(page);
	if (!nr)
		return;
	if (nr > 0) {
		pr_err("node at pfn %#llx: memory errors in %lld pages, affected objects are lost\n",
		       pkram_pfn(page), nr);
		return;
	}
	pr_err("node at pfn %#llx lost: memory error in its metadata\n",
	       pkram_pfn(page));
	pkram_dir_set(slot, 0);
}

static bool map_is_bad(const struct pkram_map *map)
{
	u32 i;

	for (i = 0; i < le32_to_cpu(pkram.sb->nr_map); i++)
		if (PageHWPoison(virt_to_page(map + i)))
			return true;
	return false;
}

static void mark_alone(void *page)
{
	struct pkram_page_hdr *hdr = page;

	hdr->flags |= cpu_to_le32(PKRAM_HDR_ALONE);
}

/* Do without the super block and the map that are bad; false if their copies are, too. */
static bool drop_bad_copies(void)
{
	struct pkram_super *twin = pkram.sb_twin;

	if (PageHWPoison(virt_to_page(pkram.sb))) {
		if (!twin || PageHWPoison(virt_to_page(twin)))
			return false;
		pkram.sb = twin;
		twin = pkram_twin_page(twin);
	}
	if (twin && PageHWPoison(virt_to_page(twin))) {
		mark_alone(pkram.sb);
		pkram.sb_twin = NULL;
	}
	if (map_is_bad(pkram.map)) {
		if (!pkram.map_twin)
			return false;
		pkram.map = pkram.map_twin;
		pkram.map_twin = NULL;
		if (map_is_bad(pkram.map))
			return false;
	} else if (pkram.map_twin && map_is_bad(pkram.map_twin)) {
		pkram.map_twin = NULL;
	}
	pkram.sb->map_pfn = cpu_to_le64(pkram_pfn(pkram.map));
	pkram.sb->map_copy_pfn = pkram.map_twin ? cpu_to_le64(pkram_pfn(pkram.map_twin)) : 0;
	return true;
}

/*
 * Lead the chain around directory pages that are bad, and end it where the copy is bad,
 * too.
 */
static void drop_bad_dirs(void)
{
	struct pkram_dir *dir, *before = NULL;
	u32 nr = 0;
	__le64 pfn;

	for (pfn = pkram.sb->dir_pfn; pfn && nr++ < pkram.dirs_known; pfn = dir->hdr.next) {
		dir = pfn_to_kaddr(le64_to_cpu(pfn));
		if (PageHWPoison(virt_to_page(dir))) {
			dir = pkram_twin_page(dir);
			/* whether it is alone cannot be read in a bad page */
			if (PageHWPoison(virt_to_page(dir))) {
				pr_err("memory errors in the directory at pfn 0x%llx, the nodes in it and after it are lost\n",
				       le64_to_cpu(pfn));
				pkram_dir_link(before, 0);
				return;
			}
			mark_alone(dir);
			pkram_dir_link(before, cpu_to_le64(pkram_pfn(dir)));
		} else if (!pkram_is_alone(dir) &&
			   PageHWPoison(virt_to_page(pkram_twin_page(dir)))) {
			mark_alone(dir);
		}
		before = dir;
	}
}

/**
 * pkram_poison_seal - find memory errors before the seal is made
 *
 * What was hit of the super block and the map is not used any more after that.
 *
 * Context: as pkram_seal().
 *
 * Return: false if there is no way to tell the next kernel anything.
 */
bool pkram_poison_seal(void)
{
	struct pkram_dir *dir;
	bool all;
	unsigned int i;
	u32 nr = 0;
	__le64 pfn;

	if (likely(!atomic_long_read(&num_poisoned_pages)))
		return true;
	if (!drop_bad_copies()) {
		pr_err("memory errors in both copies of the super block or the map, %llu nodes are lost\n",
		       pkram.nr_nodes);
		return false;
	}
	drop_bad_dirs();
	all = !pkram_poison_checked();
	for (i = 0; i < poison.nr && !all; i++)
		if (poison.page[i].slot)
			check_slot(live_slot(poison.page[i].slot));
	for (pfn = all ? pkram.sb->dir_pfn : 0; pfn && nr++ < pkram.dirs_known;
	     pfn = dir->hdr.next) {
		dir = pfn_to_kaddr(le64_to_cpu(pfn));
		for (i = 0; i < PKRAM_DIR_SLOTS; i++)
			check_slot(&dir->slot[i]);
	}
	return true;
}

/**
 * pkram_poison_adopt - flag the pages again that an adopted node calls bad
 * @page: its node page, its pages converted
 *
 * Context: its node is being adopted.
 *
 * Return: how many it calls so, named or not.
 */
u64 pkram_poison_adopt(struct pkram_node_page *page)
{
	struct pkram_objects o;
	unsigned int i, j;
	u64 total = 0;

	for (o = pkram_objects_first(page); o.obj; o = pkram_objects_next(&o)) {
		for (i = 0; i < o.nr; i++) {
			total += le64_to_cpu(o.obj[i].nr_poisoned);
			for (j = 0; j < PKRAM_OBJ_POISONED && o.obj[i].poisoned[j]; j++) {
				u64 pfn = le64_to_cpu(o.obj[i].poisoned[j]);
				struct folio *folio = pfn_folio(pfn);

				if (TestSetPageHWPoison(pfn_to_page(pfn)))
					continue;
				if (folio_test_large(folio))
					folio_set_has_hwpoisoned(folio);
				num_poisoned_pages_inc(pfn);
			}
		}
	}
	return total;
}
