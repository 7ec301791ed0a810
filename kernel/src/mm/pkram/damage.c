// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: damage on purpose, for tests.
 *
 * /sys/module/pkram_damage/parameters/flip takes a list of what to spoil in
 * metadata pages after the next seal, when all checksums are right:
 *
 *	[+]TYPE NTH BYTE BIT[,...]		flip a bit
 *	[+]TYPE NTH BYTE =TYPE NTH[,...]	write the pfn of another page there
 *
 * TYPE is super, map, dir, node, objects or link; NTH counts pages of that type
 * from 0 in the order of the chains. Of the first three there are copies: both are
 * spoilt, only the original if ":0" comes after the TYPE, only the copy with ":1". BYTE
 * is 0 to 4091, BIT 0 to 7; a pfn takes five bytes, as in an extent. With a plus sign the
 * checksum of the page is made right again, so that the checks behind it get to see the
 * damage. A page that does not exist is passed over.
 */
#define pr_fmt(fmt) "pkram: " fmt

#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/security.h>
#include <linux/string.h>

#include "pkram.h"

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "pkram_damage."

/* BYTES_OF_PFN - what an extent has for it; the rest of a field of eight is 0 */
#define BYTES_OF_PFN	5

/**
 * struct hit - one place to spoil
 * @page:   where
 * @copy:   its copy, if that is to be spoilt as well
 * @byte:   offset in it
 * @bit:    which one to flip
 * @pfn:    what to write instead of flipping a bit; 0: do flip
 * @fixed: make the checksum of the page right again
 */
struct hit {
	u8 *page;
	u8 *copy;
	unsigned int byte;
	unsigned int bit;
	u64 pfn;
	bool fixed;
};

static char flip[4000];
module_param_string(flip, flip, sizeof(flip), 0600);
MODULE_PARM_DESC(flip, "what to spoil after the next seal: [+]TYPE NTH BYTE BIT|=TYPE NTH[,...]");

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

static void *in_node(struct pkram_node_page *node, unsigned int type, unsigned int *nth)
{
	struct pkram_objects o;
	void *found = NULL;
	u32 i;

	if (type != PKRAM_PAGE_LINK)
		return in_list(&node->hdr, type, nth);
	for (o = pkram_objects_first(node); o.obj && !found; o = pkram_objects_next(&o)) {
		for (i = 0; i < o.nr && !found; i++) {
			found = in_list(page_at(o.obj[i].pages_head), PKRAM_PAGE_LINK, nth);
			if (!found)
				found = in_list(page_at(o.obj[i].bytes_head),
						PKRAM_PAGE_LINK, nth);
		}
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

/* The copy of page @nth of a type, NULL if there is none. */
static void *find_copy(const char *type, unsigned int nth)
{
	void *page;

	if (!strcmp(type, "map"))
		return pkram.map_twin && nth < le32_to_cpu(pkram.sb->nr_map) ?
		       pkram.map_twin + nth : NULL;
	if (strcmp(type, "super") && strcmp(type, "dir"))
		return NULL;
	page = find_page(type, nth);
	return page && !pkram_is_alone(page) ? pkram_twin_page(page) : NULL;
}

/* Read one word of the list; false if it makes no sense or names no page. */
static bool parse_hit(const char *word, struct hit *hit)
{
	unsigned int nth, other_nth, fields;
	char type[16], other[16], *which;
	void *target;

	hit->fixed = *word == '+';
	if (hit->fixed)
		word++;
	hit->pfn = 0;
	hit->bit = 0;
	fields = sscanf(word, "%15s %u %u =%15s %u", type, &nth, &hit->byte, other, &other_nth);
	if (fields == 3)
		fields += sscanf(word, "%*s %*u %*u %u", &hit->bit);
	if (fields < 4 || hit->byte > PAGE_SIZE - BYTES_OF_PFN || hit->bit > 7)
		return false;
	which = strchr(type, ':');
	if (which)
		*which++ = '\0';
	hit->page = find_page(type, nth);
	hit->copy = find_copy(type, nth);
	if (which) {
		if (*which == '1')
			hit->page = hit->copy;
		hit->copy = NULL;
	}
	target = fields == 5 ? find_page(other, other_nth) : hit->page;
	if (!hit->page || !target) {
		pr_info("damage: no such page: %s\n", word);
		return false;
	}
	if (fields == 5)
		hit->pfn = pkram_pfn(target);
	return true;
}

static void spoil_page(const struct hit *hit, u8 *page)
{
	__le64 pfn = cpu_to_le64(hit->pfn);

	if (!page)
		return;
	if (hit->pfn)
		memcpy(page + hit->byte, &pfn, BYTES_OF_PFN);
	else
		page[hit->byte] ^= 1U << hit->bit;
}

static void mend_page(const struct hit *hit, u8 *page)
{
	struct pkram_page_hdr *hdr = (void *)page;

	if (page && hit->fixed && le32_to_cpu(hdr->length) <= PAGE_SIZE)
		pkram_page_finish(hdr);
}

/**
 * pkram_damage - spoil what was asked for
 *
 * Context: as pkram_seal(), after it. Finds all pages before it changes one, so
 * that damaged chains are not walked.
 */
void pkram_damage(void)
{
	static struct hit hits[256];
	char *at = flip, *word;
	unsigned int nr = 0, i;

	if (security_locked_down(LOCKDOWN_DEV_MEM))
		return;
	while (nr < ARRAY_SIZE(hits) && (word = strsep(&at, ",")))
		if (*word && parse_hit(word, &hits[nr]))
			nr++;
	for (i = 0; i < nr; i++) {
		spoil_page(&hits[i], hits[i].page);
		spoil_page(&hits[i], hits[i].copy);
	}
	for (i = 0; i < nr; i++) {
		mend_page(&hits[i], hits[i].page);
		mend_page(&hits[i], hits[i].copy);
	}
	if (nr)
		pr_info("damage: %u places damaged\n", nr);
}
