// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: the directory of the previous kernel.
 */
#define pr_fmt(fmt) "pkram: " fmt

#include <linux/list_sort.h>
#include <linux/mm.h>
#include <linux/pkram.h>
#include <linux/slab.h>
#include <linux/string_helpers.h>
#include <trace/events/pkram.h>

#include "claim.h"
#include "directory.h"
#include "node.h"
#include "pkram.h"

/**
 * DOC: adopting the directory
 *
 * The directory and the first page of each node are looked at before any other page of
 * a node. That takes time for each node, but none for what it consists of. The nodes are
 * pending then: they have names, are listed, and adopt.c deals with them one by one.
 *
 * These pages are claimed for the directory, in its order. A node that names one of them
 * as a page of its own is damaged, whatever its place in the directory.
 */

/*
 * For what adoption needs to know about nodes, which is little. Memory that only adoption
 * will free must not be what it waits for, so this may use up what is set aside for such
 * cases.
 */
#define DIRECTORY_GFP	(GFP_KERNEL | __GFP_NOFAIL | __GFP_MEMALLOC)

/* For what can be done without. */
#define DROPPED_GFP	(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN | __GFP_MEMALLOC)

/**
 * pkram_settle_twin() - decide about the copy of an inherited page
 * @page:    the page, of the super block or of the directory
 * @claimed: its copy was claimed
 *
 * If the memory of the copy was bad before the kexec, nothing must ever use it: it stays
 * claimed, but is not counted as preserved. If it is used by others, there is no copy.
 */
void pkram_settle_twin(struct pkram_page_hdr *page, bool claimed)
{
	struct page *twin = virt_to_page(pkram_twin_page(page));

	if (!claimed) {
		page->flags |= cpu_to_le32(PKRAM_HDR_ALONE);
		return;
	}
	if (!pkram_is_alone(page))
		return;
	pkram_blocks_sub(page_to_pfn(twin), 1);
#ifdef CONFIG_MEMORY_FAILURE
	if (!TestSetPageHWPoison(twin))
		num_poisoned_pages_inc(page_to_pfn(twin));
#endif
}

/*
 * Claim a directory page and its copy, and return whichever is good. Nothing is claimed
 * if none is.
 */
static struct pkram_dir *claim_dir(u64 pfn)
{
	const u64 pfns[2] = { pfn, pkram_twin(pfn) };
	bool claimed[2];
	unsigned int i;

	for (i = 0; i < 2; i++)
		claimed[i] = !pkram_claim_one(pfns[i]);
	for (i = 0; i < 2; i++) {
		struct pkram_dir *dir = pfn_to_kaddr(pfns[i]);

		if (!claimed[i] || PageHWPoison(pfn_to_page(pfns[i])) ||
		    pkram_check_page(&dir->hdr, PKRAM_PAGE_DIR, pfns[i],
				     le64_to_cpu(pkram.sb->hdr.chain), pkram_generation()))
			continue;
		if (i)
			pr_warn("directory page at pfn 0x%llx is damaged, its copy is used\n", pfn);
		pkram_settle_twin(&dir->hdr, claimed[!i]);
		return dir;
	}
	for (i = 0; i < 2; i++)
		if (claimed[i])
			pkram_unclaim_one(pfns[i]);
	return NULL;
}

static const char * const damage_names[] = {
	[PKRAM_DAMAGE_HEADER]	= "bad page header",
	[PKRAM_DAMAGE_CHECKSUM]	= "bad checksum",
	[PKRAM_DAMAGE_BOUNDS]	= "value out of bounds",
	[PKRAM_DAMAGE_RANGE]	= "page outside preserved memory",
	[PKRAM_DAMAGE_TWICE]	= "page claimed twice",
	[PKRAM_DAMAGE_COUNT]	= "totals do not add up",
	[PKRAM_DAMAGE_NAME]	= "bad or duplicate name",
	[PKRAM_DAMAGE_BUSY]	= "page in use by firmware or boot loader",
	[PKRAM_DAMAGE_FEATURE]	= "it needs a feature that this kernel lacks",
};

/*
 * Remember and log a node that is dropped. @page may be anything. Fails without memory to
 * remember it, and is not tried again: it is logged and counted then.
 */
static void dropped_add(u64 pfn, u64 position, int damage,
			const struct pkram_node_totals *totals,
			const struct pkram_node_page *page)
{
	u32 len = page ? le32_to_cpu(page->name_len) : 0;
	struct pkram_dropped *d;
	char *printable, *name = NULL;

	trace_pkram_drop(pfn, damage);
	if (!page || le32_to_cpu(page->hdr.magic) != PKRAM_MAGIC ||
	    pkram_check_name(page->name, len))
		len = 0;
	if (len)
		name = kmemdup_nul((const char *)page->name, len, DROPPED_GFP);
	printable = kstrdup_quotable(name, DROPPED_GFP);
	pr_err("node '%s' (pfn 0x%llx) dropped: %s\n", printable ?: "?", pfn,
	       damage_names[damage]);
	kfree(printable);
	kfree(name);

	d = kzalloc(sizeof(*d), DROPPED_GFP);
	guard(mutex)(&pkram.lock);
	pkram.boot_result = PKRAM_BOOT_PARTIAL;
	if (pkram.nr_dropped++ >= PKRAM_MAX_DROPPED || !d) {
		kfree(d);
		return;
	}
	d->position = position;
	d->info.damage = damage;
	d->info.data_pages = totals->data_pages;
	d->info.meta_pages = totals->meta_pages;
	if (len)
		memcpy(d->info.name, page->name, len);
	list_add_tail(&d->link, &pkram.dropped);
}

/**
 * pkram_dropped_add() - remember and log that a pending node is dropped
 * @node: the node, its damage known
 *
 * Context: may sleep and allocate.
 */
void pkram_dropped_add(struct pkram_node *node)
{
	const struct pkram_adoption *a = &node->adoption;

	dropped_add(pkram_pfn(node->page), a->position, a->damage, &node->totals, node->page);
}

static int dropped_order(void *priv, const struct list_head *a, const struct list_head *b)
{
	const struct pkram_dropped *x = list_entry(a, struct pkram_dropped, link);
	const struct pkram_dropped *y = list_entry(b, struct pkram_dropped, link);

	return x->position < y->position ? -1 : x->position > y->position;
}

/**
 * pkram_dropped_sort() - list dropped nodes in the order of the directory
 *
 * Until then they are in the order in which tasks found them, and cannot be listed.
 *
 * Context: all nodes are adopted or dropped.
 */
void pkram_dropped_sort(void)
{
	struct pkram_dropped *d;
	u64 id = 0;

	guard(mutex)(&pkram.lock);
	list_sort(NULL, &pkram.dropped, dropped_order);
	list_for_each_entry(d, &pkram.dropped, link)
		d->info.id = ++id;
}

/*
 * What a node says it consists of. The pages of further objects are only read here, they
 * are claimed with the rest: nothing is freed before the directory was dealt with.
 */
static void node_sum_up(const struct pkram_node_page *page, struct pkram_node_totals *t)
{
	u64 chain = le64_to_cpu(pkram.sb->hdr.chain), pfn = le64_to_cpu(page->hdr.next);
	u32 i, left = le32_to_cpu(page->nr_objects);
	u32 nr = min_t(u32, left, PKRAM_NODE_OBJECTS);
	const struct pkram_object *obj = page->objects;
	const struct pkram_objects_page *table;

	*t = (struct pkram_node_totals) {
		.data_pages = le64_to_cpu(page->data_pages),
		.meta_pages = le64_to_cpu(page->meta_pages),
	};
	for (;;) {
		for (i = 0; i < nr; i++) {
			t->file_bytes += le64_to_cpu(obj[i].size);
			t->data_bytes += le64_to_cpu(obj[i].nr_bytes);
		}
		left -= nr;
		if (!left || pkram_claim_readable(pfn))
			return;
		table = pfn_to_kaddr(pfn);
		if (pkram_check_page(&table->hdr, PKRAM_PAGE_OBJECTS, pfn, chain,
				     pkram_generation()))
			return;
		pfn = le64_to_cpu(table->hdr.next);
		obj = table->objects;
		nr = min_t(u32, left, PKRAM_PAGE_OBJECTS_MAX);
	}
}

/* Make a pending node of what is in @slot, and add it to @nodes. False if it is damaged. */
static bool node_find(__le64 *slot, u64 position, struct list_head *nodes)
{
	u64 pfn = le64_to_cpu(*slot);
	struct pkram_node_totals none = { };
	struct pkram_node_page *page;
	struct pkram_node *node;
	int damage;

	damage = pkram_claim_one(pfn);
	if (damage) {
		dropped_add(pfn, position, damage, &none, NULL);
		return false;
	}
	page = pfn_to_kaddr(pfn);
	if (PageHWPoison(pfn_to_page(pfn))) {
		dropped_add(pfn, position, PKRAM_DAMAGE_CHECKSUM, &none, NULL);
		pkram_unclaim_one(pfn);
		return false;
	}
	damage = pkram_check_head(page, pfn, le64_to_cpu(pkram.sb->hdr.chain),
				  pkram_generation());
	if (!damage) {
		node = pkram_node_alloc(page, DIRECTORY_GFP);
		node_sum_up(page, &node->totals);
		node->slot = slot;
		node->adoption.position = position;
		INIT_LIST_HEAD(&node->adoption.link);
		scoped_guard(mutex, &pkram.lock) {
			if (pkram_node_insert(node, DIRECTORY_GFP))
				damage = PKRAM_DAMAGE_NAME;
		}
		if (!damage) {
			list_add_tail(&node->adoption.link, nodes);
			return true;
		}
		kfree(node);
	}
	dropped_add(pfn, position, damage, &none, page);
	pkram_unclaim_one(pfn);
	return false;
}

/* Release the slot of a node that was dropped, if there is one. */
static void slot_release(__le64 *slot)
{
	if (!slot)
		return;
	guard(mutex)(&pkram.lock);
	pkram_dir_release(slot);
}

static void find_nodes(struct list_head *nodes)
{
	/* released one later, so that the page that is looked at is never empty */
	__le64 *dropped = NULL;
	struct pkram_dir *dir;
	u64 position = 0;
	unsigned int i;
	__le64 pfn;

	for (pfn = pkram.sb->dir_pfn; pfn; pfn = dir->hdr.next) {
		dir = pfn_to_kaddr(le64_to_cpu(pfn));
		for (i = 0; i < PKRAM_DIR_SLOTS; i++) {
			if (!dir->slot[i] || node_find(&dir->slot[i], position++, nodes))
				continue;
			slot_release(dropped);
			dropped = &dir->slot[i];
		}
		cond_resched();
	}
	slot_release(dropped);
}

/**
 * pkram_directory_adopt() - adopt the directory, and find the nodes that it lists
 * @nodes: output, pending nodes in the order of the directory, by adoption.link
 *
 * A page of the directory of which both copies are damaged ends the chain: what it
 * listed, and what came after it, is lost.
 *
 * Context: called once. Other tasks wait until it is done before they use any node.
 */
void pkram_directory_adopt(struct list_head *nodes)
{
	struct pkram_super *sb = pkram.sb;
	u64 pfn = le64_to_cpu(sb->dir_pfn), seen = 0, expected = le64_to_cpu(sb->nr_nodes);
	struct pkram_dir *dir, *before = NULL;
	unsigned int i;

	for (; pfn; pfn = le64_to_cpu(dir->hdr.next)) {
		dir = claim_dir(pfn);
		if (!dir)
			break;
		guard(mutex)(&pkram.lock);
		/* if it is the copy, the chain goes through that from now on */
		pkram_dir_link(before, dir->hdr.pfn);
		pkram_dir_adopt(dir, DIRECTORY_GFP);
		atomic64_sub(pkram_is_alone(dir) ? 1 : 2, &pkram.pending_pages);
		for (i = 0; i < PKRAM_DIR_SLOTS; i++)
			seen += !!dir->slot[i];
		before = dir;
		/* a seal that comes from now on completes this page, which is linked */
		smp_store_release(&pkram.dirs_known, pkram.dirs_known + 1);
	}
	scoped_guard(mutex, &pkram.lock) {
		if (pfn)
			pkram_dir_link(before, 0);
		/* after the end of the chain was set */
		smp_store_release(&pkram.dirs_known, U32_MAX);
		if (seen < expected) {
			pkram.nr_dropped += expected - seen;
			pkram.boot_result = PKRAM_BOOT_PARTIAL;
		}
	}
	if (seen < expected)
		pr_err("directory page at pfn 0x%llx is damaged: %llu nodes dropped, names unknown\n",
		       pfn, expected - seen);
	find_nodes(nodes);
}
