// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: preserved pages in which the hardware lost data.
 */
#define pr_fmt(fmt) "pkram: " fmt

#include <linux/mm.h>
#include <linux/pkram.h>

#include "pkram.h"

/**
 * DOC: memory errors
 *
 * A page with a memory error is refused when it is saved. Errors that come after
 * that are found when the seal is made: nobody else looks at a stored page, and
 * the flag that memory_failure() set is lost in the jump. What was hit is noted
 * in the object, whose own page is written anyway; nothing is allocated. The
 * object goes on to the next kernel, where it is listed, cannot be loaded, and
 * its bad pages are flagged again, so that they never get to anybody else once
 * the node is removed. The other objects of the node are not affected.
 *
 * Of a folio that has a bad page, all pages are kept back then. Of an object with
 * more than PKRAM_OBJ_POISONED bad pages the others are not: the hardware will
 * report them again.
 *
 * Errors in metadata cost what the page describes: a node that cannot be read any
 * more is taken out of the directory, a directory page with what comes after it is
 * cut off, and without super block or map nothing is sealed. None of it is silent.
 *
 * As long as memory_failure() has seen no error since boot, none of that runs.
 */

static bool meta_bad(__le64 pfn)
{
	return PageHWPoison(pfn_to_page(le64_to_cpu(pfn)));
}

/* Note the bad pages of a stream in its object; false if a link page is bad. */
static bool check_stream(struct pkram_object *obj, __le64 head, u64 *nr)
{
	const struct pkram_link *link;
	u32 i;

	for (; head; head = link->hdr.next) {
		if (meta_bad(head))
			return false;
		link = pfn_to_kaddr(le64_to_cpu(head));
		for (i = 0; i < le32_to_cpu(link->nr_extents); i++) {
			struct pkram_extent e =
				pkram_extent_decode(pkram_extent_raw(link, i));
			u64 end = e.pfn + ((u64)e.count << e.order);

			for (; e.pfn < end && e.count; e.pfn++) {
				if (!PageHWPoison(pfn_to_page(e.pfn)))
					continue;
				if (*nr < PKRAM_OBJ_POISONED)
					obj->poisoned[*nr] = cpu_to_le64(e.pfn);
				++*nr;
			}
		}
	}
	return true;
}

/**
 * pkram_poison_node - note the bad pages of a committed node in its objects
 * @page: its node page
 *
 * Context: as pkram_seal(), or pkram.lock held.
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

static void check_dir(struct pkram_dir *dir)
{
	unsigned int i;

	for (i = 0; i < PKRAM_DIR_SLOTS; i++) {
		struct pkram_node_page *page;
		s64 nr;

		if (!dir->slot[i])
			continue;
		page = pfn_to_kaddr(le64_to_cpu(dir->slot[i]));
		nr = pkram_poison_node(page);
		if (!nr)
			continue;
		if (nr > 0) {
			pr_err("node at pfn 0x%llx: memory errors in %lld of its pages, the objects they are in are lost\n",
			       pkram_pfn(page), nr);
			continue;
		}
		pr_err("node at pfn 0x%llx is lost: memory error in what describes it\n",
		       pkram_pfn(page));
		dir->slot[i] = 0;
	}
}

/**
 * pkram_poison_seal - find memory errors before the seal is made
 *
 * Context: as pkram_seal().
 *
 * Return: false if there is no way to tell the next kernel anything.
 */
bool pkram_poison_seal(void)
{
	struct pkram_super *sb = pkram.sb;
	__le64 *link = &sb->dir_pfn;
	u32 i;

	if (likely(!atomic_long_read(&num_poisoned_pages)))
		return true;
	for (i = 0; i < le32_to_cpu(sb->nr_map); i++)
		if (PageHWPoison(virt_to_page(pkram.map + i)))
			break;
	if (i < le32_to_cpu(sb->nr_map) || PageHWPoison(virt_to_page(sb))) {
		pr_err("memory error in the super block or the map, %llu nodes are lost\n",
		       pkram.nr_nodes);
		return false;
	}
	while (*link) {
		struct pkram_dir *dir = pfn_to_kaddr(le64_to_cpu(*link));

		if (meta_bad(*link)) {
			pr_err("memory error in the directory at pfn 0x%llx, the nodes in it and after it are lost\n",
			       le64_to_cpu(*link));
			*link = 0;
			break;
		}
		check_dir(dir);
		link = &dir->hdr.next;
	}
	return true;
}

/**
 * pkram_poison_adopt - flag the pages again that an adopted node calls bad
 * @page: its node page, its pages converted
 *
 * Context: boot.
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
