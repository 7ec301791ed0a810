// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: super block, directory and metadata pages.
 */
#include <linux/bitmap.h>
#include <linux/init.h>
#include <linux/pkram.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "alloc.h"
#include "pkram.h"

#define CREATE_TRACE_POINTS
#include <trace/events/pkram.h>

/**
 * DOC: super block and directory
 *
 * The super block, followed by the map pages, is one contiguous piece made at
 * boot, or the one inherited from the previous kernel: its pfn stays the same
 * along a chain of kexecs. The directory grows a page at a time and lists the
 * node pages. Both are live data: a node exists for the next kernel from the
 * moment its pfn is in a slot, and is gone when the slot is zero. A node takes
 * the place of another by one store.
 *
 * Whoever makes the seal finds the directory as it is at any moment: the last CPU
 * may have stopped the others anywhere. Therefore whatever makes a page part of
 * the chain is a single store that comes after all stores to that page.
 *
 * Locking: pkram.lock protects the directory.
 */

struct pkram_state pkram = {
	.lock = __MUTEX_INITIALIZER(pkram.lock),
	.nodes = XARRAY_INIT(pkram.nodes, 0),
	.names = RB_ROOT,
	.next_id = 1,
	.dropped = LIST_HEAD_INIT(pkram.dropped),
};

/**
 * pkram_active() - check whether memory is preserved
 *
 * Context: any. The answer can change at any time.
 *
 * Return: true if there are nodes.
 */
bool pkram_active(void)
{
	return pkram_enabled() && READ_ONCE(pkram.nr_nodes);
}

/**
 * struct dir_page - what this kernel knows about a directory page
 * @link: in dir_pages, in the order of the chain
 * @dir:  the page
 * @nr:   slots in use
 * @used: slots in use, including those of nodes that are not committed yet
 */
struct dir_page {
	struct list_head link;
	struct pkram_dir *dir;
	unsigned int nr;
	DECLARE_BITMAP(used, PKRAM_DIR_SLOTS);
};

static LIST_HEAD(dir_pages);

/**
 * pkram_page_init - fill in the header of a metadata page
 * @page:   the page, zeroed
 * @type:   enum pkram_page_type
 * @length: bytes in use
 */
void pkram_page_init(void *page, unsigned int type, u32 length)
{
	struct pkram_page_hdr *hdr = page;

	hdr->magic = cpu_to_le32(PKRAM_MAGIC);
	hdr->version = cpu_to_le16(PKRAM_FORMAT_VERSION);
	hdr->type = cpu_to_le16(type);
	hdr->chain = pkram.sb->hdr.chain;
	hdr->generation = pkram.sb->hdr.generation;
	hdr->pfn = cpu_to_le64(pkram_pfn(page));
	hdr->length = cpu_to_le32(length);
}

/**
 * pkram_alloc_meta - allocate a metadata page
 * @type: enum pkram_page_type
 * @gfp:  allocation flags
 *
 * Context: may sleep; must not hold pkram_kexec_sem.
 *
 * Return: the page, its header filled in and counted as preserved, or NULL.
 */
void *pkram_alloc_meta(unsigned int type, gfp_t gfp)
{
	struct page *page;
	void *addr;

	guard(rwsem_read)(&pkram_kexec_sem);
	page = pkram_alloc_page(gfp | __GFP_ZERO, numa_mem_id());
	if (!page)
		return NULL;
	addr = page_address(page);
	pkram_page_init(addr, type, PAGE_SIZE);
	pkram_blocks_add(page_to_pfn(page), 1);
	return addr;
}

/**
 * pkram_free_meta - free a metadata page
 * @page: the page
 *
 * Its magic goes first, so that no stray pointer makes it a page of ours again.
 */
void pkram_free_meta(void *page)
{
	struct pkram_page_hdr *hdr = page;

	hdr->magic = 0;
	pkram_blocks_sub(pkram_pfn(page), 1);
	free_page((unsigned long)page);
}

/**
 * pkram_meta_banned - does a metadata page lie where an image goes?
 * @page: the page
 *
 * Context: must not hold pkram_kexec_sem.
 *
 * Return: whether it does now.
 */
bool pkram_meta_banned(const void *page)
{
	guard(rwsem_read)(&pkram_kexec_sem);
	return pkram_banned(pkram_pfn(page), 1);
}

/**
 * pkram_move_meta - copy a metadata page that lies where an image goes
 * @page: the page, which stays
 * @gfp:  allocation flags
 *
 * Context: as pkram_alloc_meta().
 *
 * Return: the copy, without a checksum; NULL if there is no memory.
 */
void *pkram_move_meta(const void *page, gfp_t gfp)
{
	const struct pkram_page_hdr *from = page;
	struct pkram_page_hdr *to = pkram_alloc_meta(le16_to_cpu(from->type), gfp);

	if (!to)
		return NULL;
	memcpy(to, from, PAGE_SIZE);
	to->pfn = cpu_to_le64(pkram_pfn(to));
	return to;
}

static struct dir_page *dir_page_new(struct pkram_dir *dir, gfp_t gfp)
{
	struct dir_page *d = kzalloc(sizeof(*d), gfp);

	if (!d)
		return NULL;
	d->dir = dir;
	return d;
}

static int dir_grow(gfp_t gfp)
{
	struct pkram_dir *dir = pkram_alloc_meta(PKRAM_PAGE_DIR, gfp);
	struct dir_page *d, *last;

	if (!dir)
		return -ENOMEM;
	d = dir_page_new(dir, gfp);
	if (!d) {
		pkram_free_meta(dir);
		return -ENOMEM;
	}
	pkram.meta_pages++;
	if (list_empty(&dir_pages)) {
		/* a seal that comes now finds a finished page */
		smp_store_release(&pkram.sb->dir_pfn, dir->hdr.pfn);
	} else {
		last = list_last_entry(&dir_pages, struct dir_page, link);
		/* likewise */
		smp_store_release(&last->dir->hdr.next, dir->hdr.pfn);
	}
	list_add_tail(&d->link, &dir_pages);
	return 0;
}

/**
 * pkram_dir_reserve - find a free slot
 * @gfp: allocation flags
 *
 * Context: pkram.lock held.
 *
 * Return: the slot, which reads 0 and stays reserved until pkram_dir_release();
 * NULL if there is no memory for a further directory page.
 */
__le64 *pkram_dir_reserve(gfp_t gfp)
{
	struct dir_page *d;

	lockdep_assert_held(&pkram.lock);
	for (;;) {
		/* pages fill up from the front, so the free one is usually last */
		list_for_each_entry_reverse(d, &dir_pages, link) {
			unsigned int i;

			if (d->nr == PKRAM_DIR_SLOTS)
				continue;
			i = find_first_zero_bit(d->used, PKRAM_DIR_SLOTS);
			__set_bit(i, d->used);
			d->nr++;
			return &d->dir->slot[i];
		}
		if (dir_grow(gfp))
			return NULL;
	}
}

/**
 * pkram_dir_release - free a slot
 * @slot: from pkram_dir_reserve()
 *
 * The node in it, if any, is gone for the next kernel. Empty pages at the end of
 * the chain are freed.
 *
 * Context: pkram.lock held.
 */
void pkram_dir_release(__le64 *slot)
{
	struct pkram_dir *dir = (void *)((unsigned long)slot & PAGE_MASK);
	struct dir_page *d;

	lockdep_assert_held(&pkram.lock);
	WRITE_ONCE(*slot, 0);
	list_for_each_entry(d, &dir_pages, link) {
		if (d->dir != dir)
			continue;
		__clear_bit(slot - dir->slot, d->used);
		d->nr--;
		break;
	}
	while (!list_empty(&dir_pages)) {
		d = list_last_entry(&dir_pages, struct dir_page, link);
		if (d->nr)
			break;
		if (list_is_singular(&dir_pages))
			pkram.sb->dir_pfn = 0;
		else
			list_prev_entry(d, link)->dir->hdr.next = 0;
		list_del(&d->link);
		pkram_free_meta(d->dir);
		pkram.meta_pages--;
		kfree(d);
	}
}

/**
 * pkram_dir_move - replace directory pages that lie where an image goes
 * @moved: called for each, before the old page is freed
 *
 * Context: pkram.lock held; no seal can be made now.
 *
 * Return: 0 or -ENOMEM.
 */
int pkram_dir_move(void (*moved)(const struct pkram_dir *from, struct pkram_dir *to))
{
	__le64 *link = &pkram.sb->dir_pfn;
	struct pkram_dir *to;
	struct dir_page *d;

	lockdep_assert_held(&pkram.lock);
	list_for_each_entry(d, &dir_pages, link) {
		if (pkram_meta_banned(d->dir)) {
			to = pkram_move_meta(d->dir, PKRAM_GFP);
			if (!to)
				return -ENOMEM;
			*link = to->hdr.pfn;
			moved(d->dir, to);
			pkram_free_meta(d->dir);
			d->dir = to;
		}
		link = &d->dir->hdr.next;
	}
	return 0;
}

/**
 * pkram_dir_adopt - take over a directory page of the previous kernel
 * @dir: the page, checked; the slots that hold adopted nodes are not zero
 */
void __init pkram_dir_adopt(struct pkram_dir *dir)
{
	struct dir_page *d = dir_page_new(dir, GFP_KERNEL | __GFP_NOFAIL);
	unsigned int i;

	for (i = 0; i < PKRAM_DIR_SLOTS; i++) {
		if (!dir->slot[i])
			continue;
		__set_bit(i, d->used);
		d->nr++;
	}
	list_add_tail(&d->link, &dir_pages);
	pkram.meta_pages++;
}

/* Zeroed memory above PKRAM_MIN_PFN; below it there are 512 pages to skip at most. */
static void __init *alloc_above_min(size_t size)
{
	struct page *page, *next;
	LIST_HEAD(rejects);
	void *addr;

	for (;;) {
		addr = alloc_pages_exact(size, GFP_KERNEL | __GFP_ZERO);
		if (!addr || pkram_pfn(addr) >= PKRAM_MIN_PFN)
			break;
		list_add(&virt_to_page(addr)->lru, &rejects);
	}
	list_for_each_entry_safe(page, next, &rejects, lru)
		free_pages_exact(page_address(page), size);
	return addr;
}

/**
 * pkram_super_create - make a super block and a map
 *
 * One piece, so that the next kernel's decompressor finds both within the few
 * page tables it has.
 *
 * Return: 0 or -ENOMEM.
 */
int __init pkram_super_create(void)
{
	u64 nr_blocks = DIV_ROUND_UP(max_pfn, PKRAM_BLOCK_PAGES);
	u32 i, nr_map = DIV_ROUND_UP(nr_blocks, PKRAM_MAP_BITS);
	u64 chain = get_random_u64();
	struct pkram_super *sb;
	struct pkram_map *map;

	if (nr_map > PKRAM_MAX_MAP_PAGES) {
		nr_map = PKRAM_MAX_MAP_PAGES;
		nr_blocks = (u64)nr_map * PKRAM_MAP_BITS;
	}
	sb = alloc_above_min((1 + nr_map) * PAGE_SIZE);
	if (!sb)
		return -ENOMEM;
	map = (void *)sb + PAGE_SIZE;
	pkram.sb = sb;
	pkram.map = map;

	sb->hdr.chain = cpu_to_le64(chain);
	pkram_page_init(sb, PKRAM_PAGE_SUPER, sizeof(*sb));
	sb->seal = cpu_to_le64(PKRAM_OPEN);
	sb->page_shift = cpu_to_le32(PKRAM_PAGE_SHIFT);
	sb->block_order = cpu_to_le32(PKRAM_BLOCK_ORDER);
	sb->map_pfn = cpu_to_le64(pkram_pfn(map));
	sb->nr_map = cpu_to_le32(nr_map);
	for (i = 0; i < nr_map; i++)
		pkram_page_init(map + i, PKRAM_PAGE_MAP, PAGE_SIZE);

	pkram_blocks_setup(map, nr_blocks);
	pkram_blocks_pin(pkram_pfn(sb), 1 + nr_map);
	return 0;
}

/**
 * pkram_super_adopt - use the super block of the previous kernel
 * @sb: checked by pkram_reserve()
 */
void __init pkram_super_adopt(struct pkram_super *sb)
{
	u64 covered = (u64)le32_to_cpu(sb->nr_map) * PKRAM_MAP_BITS;

	pkram.sb = sb;
	pkram.map = pfn_to_kaddr(le64_to_cpu(sb->map_pfn));
	pkram.sealed_ns = le64_to_cpu(sb->sealed_ns);
	pkram_blocks_setup(pkram.map, min_t(u64, covered,
					    DIV_ROUND_UP(max_pfn, PKRAM_BLOCK_PAGES)));
}
