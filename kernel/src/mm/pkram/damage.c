// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: damage on purpose, for tests.
 *
 * /sys/module/pkram_damage/parameters/flip takes a list of bits to flip in
 * metadata pages after the next seal, when all checksums are right:
 *
 *	TYPE NTH BYTE BIT[,TYPE NTH BYTE BIT...]
 *
 * TYPE is super, map, dir, node, objects or link; NTH counts pages of that type
 * from 0 in the order of the chains; BYTE is 0 to 4095, BIT 0 to 7. A page that
 * does not exist is passed over.
 */
#define pr_fmt(fmt) "pkram: " fmt

#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/string.h>

#include "pkram.h"

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "pkram_damage."

static char flip[1024];
module_param_string(flip, flip, sizeof(flip), 0600);
MODULE_PARM_DESC(flip, "metadata bits to flip after the next seal: TYPE NTH BYTE BIT[,...]");

static void *page_at(__le64 pfn)
{
	return pfn ? pfn_to_kaddr(le64_to_cpu(pfn)) : NULL;
}

/* Page *@nth of @type among @page and what follows it; counts *@nth down. */
static void *in_list(struct pkram_page_hdr *page, unsigned int type, unsigned int *nth)
{
	for (; page; page = page_at(page->next))
		if (le16_to_cpu(page->type) == type && !(*nth)--)
			return page;
	return NULL;
}

static void *in_objects(const struct pkram_object *obj, u32 nr, unsigned int *nth)
{
	void *found = NULL;
	u32 i;

	for (i = 0; i < nr && !found; i++) {
		found = in_list(page_at(obj[i].pages_head), PKRAM_PAGE_LINK, nth);
		if (!found)
			found = in_list(page_at(obj[i].bytes_head), PKRAM_PAGE_LINK, nth);
	}
	return found;
}

static void *in_node(struct pkram_node_page *node, unsigned int type, unsigned int *nth)
{
	u32 left = le32_to_cpu(node->nr_objects), nr = min_t(u32, left, PKRAM_NODE_OBJECTS);
	struct pkram_objects_page *op;
	void *found;

	if (type != PKRAM_PAGE_LINK)
		return in_list(&node->hdr, type, nth);
	found = in_objects(node->objects, nr, nth);
	for (op = page_at(node->hdr.next); op && !found; op = page_at(op->hdr.next)) {
		left -= nr;
		nr = min_t(u32, left, PKRAM_PAGE_OBJECTS_MAX);
		found = in_objects(op->objects, nr, nth);
	}
	return found;
}

static void *find_page(const char *type, unsigned int nth)
{
	static const char * const names[] = {
		[PKRAM_PAGE_SUPER]	= "super",
		[PKRAM_PAGE_MAP]	= "map",
		[PKRAM_PAGE_DIR]	= "dir",
		[PKRAM_PAGE_NODE]	= "node",
		[PKRAM_PAGE_OBJECTS]	= "objects",
		[PKRAM_PAGE_LINK]	= "link",
	};
	struct pkram_dir *dir;
	void *found = NULL;
	int t = match_string(names + 1, ARRAY_SIZE(names) - 1, type) + 1;
	unsigned int i;

	switch (t) {
	case PKRAM_PAGE_SUPER:
		return nth ? NULL : pkram.sb;
	case PKRAM_PAGE_MAP:
		return nth < le32_to_cpu(pkram.sb->nr_map) ? pkram.map + nth : NULL;
	case PKRAM_PAGE_DIR:
		return in_list(page_at(pkram.sb->dir_pfn), t, &nth);
	case PKRAM_PAGE_NODE:
	case PKRAM_PAGE_OBJECTS:
	case PKRAM_PAGE_LINK:
		break;
	default:
		return NULL;
	}
	for (dir = page_at(pkram.sb->dir_pfn); dir && !found; dir = page_at(dir->hdr.next))
		for (i = 0; i < PKRAM_DIR_SLOTS && !found; i++)
			if (dir->slot[i])
				found = in_node(page_at(dir->slot[i]), t, &nth);
	return found;
}

/**
 * pkram_damage - flip the bits that were asked for
 *
 * Context: as pkram_seal(), after it. Finds all pages before it changes one, so
 * that damaged chains are not walked.
 */
void pkram_damage(void)
{
	static struct {
		u8 *byte;
		unsigned int bit;
	} hits[64];
	unsigned int nth, byte, bit, nr = 0, i;
	char *at = flip, *word, type[16];

	while ((word = strsep(&at, ",")) && nr < ARRAY_SIZE(hits)) {
		u8 *page;

		if (sscanf(word, "%15s %u %u %u", type, &nth, &byte, &bit) != 4 ||
		    byte >= PAGE_SIZE || bit > 7)
			continue;
		page = find_page(type, nth);
		if (!page) {
			pr_info("damage: no page %s %u\n", type, nth);
			continue;
		}
		hits[nr].byte = page + byte;
		hits[nr++].bit = bit;
	}
	for (i = 0; i < nr; i++) {
		*hits[i].byte ^= 1U << hits[i].bit;
		pr_info("damage: flipped bit %u of byte %lu at pfn 0x%llx\n", hits[i].bit,
			offset_in_page(hits[i].byte), pkram_pfn(hits[i].byte));
	}
}
