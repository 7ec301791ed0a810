// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: super block, directory and metadata pages.
 */
#define pr_fmt(fmt) "pkram: " fmt

#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/init.h>
#include <linux/kexec.h>
#include <linux/llist.h>
#include <linux/pkram.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "alloc.h"
#include "pkram.h"

#define CREATE_TRACE_POINTS
#include <trace/events/pkram.h>

/**
 * DOC: super block and directory
 *
 * The super block and the map are made at boot, or inherited from the previous
 * kernel: the super block's pfn stays the same along a chain of kexecs, unless its
 * memory goes bad and its copy takes its place. The directory grows a page at a time and lists the
 * node pages. Both are live data: a node exists for the next kernel from the
 * moment its pfn is in a slot, and is gone when the slot is zero. A node takes
 * the place of another by one store.
 *
 * The seal can interrupt a directory update at any point, because the other CPUs may
 * have been stopped anywhere. Therefore whatever makes a page part of the chain is a
 * single store that comes after all stores to that page.
 *
 * The copies of the super block, the map and the directory are written along with the
 * originals, the copy after the original each time. So they are good for a seal even if
 * the memory of the original can no longer be read.
 *
 * Locking: pkram.lock protects the directory.
 */

struct pkram_state pkram = {
	.lock = __MUTEX_INITIALIZER(pkram.lock),
	.nodes = XARRAY_INIT(pkram.nodes, 0),
	.names = RB_ROOT,
	.next_id = 1,
	.dirs_known = U32_MAX,
	.dropped = LIST_HEAD_INIT(pkram.dropped),
};

/**
 * pkram_active() - check whether memory is preserved
 *
 * Context: any. The answer can change at any time.
 *
 * Return: true if there are nodes, or if there may be some that are not adopted yet.
 */
bool pkram_active(void)
{
	return pkram_enabled() && (READ_ONCE(pkram.nr_nodes) || READ_ONCE(pkram.adopting));
}

/**
 * pkram_crash_range() - find memory that is reserved for a crash kernel
 * @i:     which range, below PKRAM_CRASH_RANGES
 * @start: output, first pfn
 * @end:   output, one above the last pfn
 *
 * The page allocator does not have this memory, so no node has pages there.
 *
 * Context: the kexec lock is held, or the last CPU before the jump.
 *
 * Return: true if there is such a range.
 */
bool pkram_crash_range(unsigned int i, u64 *start, u64 *end)
{
#ifdef CONFIG_CRASH_RESERVE
	const struct resource *res = i ? &crashk_low_res : &crashk_res;

	*start = PFN_UP(res->start);
	*end = PFN_DOWN(res->end + 1);
	return res->end && *start < *end;
#else
	return false;
#endif
}

/**
 * pkram_super_set_crash() - tell the next kernel where the crash kernel has its memory
 * @sb: the super block, about to be sealed
 *
 * Context: the last CPU, right before the jump.
 */
void pkram_super_set_crash(struct pkram_super *sb)
{
	u64 start, end;
	unsigned int i;

	for (i = 0; i < PKRAM_CRASH_RANGES; i++) {
		bool found = pkram_crash_range(i, &start, &end);

		sb->crash[i].pfn = cpu_to_le64(found ? start : 0);
		sb->crash[i].nr = cpu_to_le64(found ? end - start : 0);
	}
	sb->compat = cpu_to_le64(PKRAM_COMPAT_CRASH);
	/* It may have been inherited from a kernel that knew less, or more. */
	sb->hdr.length = cpu_to_le32(sizeof(*sb));
}

/**
 * struct dir_page - what this kernel knows about a directory page
 * @link: in dir_chain, in the order of the chain
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

static LIST_HEAD(dir_chain);

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

/* Inherited metadata pages that were freed before adoption ended. */
static LLIST_HEAD(kept_meta);

static void meta_free(void *page)
{
	pkram_blocks_sub(pkram_pfn(page), 1);
	free_page((unsigned long)page);
}

/**
 * pkram_free_kept_meta - free what pkram_free_meta() kept
 *
 * Context: pkram.adopting has been reset.
 */
void pkram_free_kept_meta(void)
{
	struct llist_node *n = llist_del_all(&kept_meta), *next;

	for (; n; n = next) {
		next = n->next;
		meta_free((void *)((unsigned long)n & PAGE_MASK));
	}
}

/**
 * pkram_free_meta - free a metadata page
 * @page: the page
 *
 * Its magic goes first, so that no stray pointer makes it a page of ours again. A page
 * of the previous kernel is kept until adoption ends, see leftover.c.
 */
void pkram_free_meta(void *page)
{
	struct pkram_page_hdr *hdr = page;

	hdr->magic = 0;
	if (likely(!READ_ONCE(pkram.adopting)) || PageHWPoison(virt_to_page(page)) ||
	    hdr->generation == pkram.sb->hdr.generation) {
		meta_free(page);
		return;
	}
	llist_add(page + sizeof(*hdr), &kept_meta);
	/* adoption may have ended in between */
	if (!READ_ONCE(pkram.adopting))
		pkram_free_kept_meta();
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

/* Make the copy of a super block or directory page what it should be. */
static void copy_to_twin(void *page)
{
	struct pkram_page_hdr *twin = pkram_twin_page(page);

	memcpy(twin, page, PAGE_SIZE);
	twin->pfn = cpu_to_le64(pkram_pfn(twin));
}

/*
 * Two pages that are each other's twins, moved to the front of @pages; returns the first.
 * Pages of the pool follow each other: the second page, or the third, has its twin among
 * those before it.
 */
static struct pkram_dir *pair_of(struct page **pages, unsigned int nr)
{
	unsigned int i, k;

	for (i = 0; i < nr; i++) {
		for (k = 0; k < i; k++) {
			if (page_to_pfn(pages[i]) != pkram_twin(page_to_pfn(pages[k])))
				continue;
			swap(pages[0], pages[k]);
			swap(pages[1], pages[i]);
			return page_address(pages[page_to_pfn(pages[0]) & 1]);
		}
	}
	return NULL;
}

/* DIR_TRIES - pairs of pages that are looked at for one that is not banned */
#define DIR_TRIES	8192

/* A page and its twin, as a directory page and its copy, packed with other metadata. */
static struct pkram_dir *alloc_dir(gfp_t gfp)
{
	struct pkram_dir *dir = NULL;
	unsigned int i, nr = 0;
	struct page *pages[8];

	guard(rwsem_read)(&pkram_kexec_sem);
	while (!dir && nr < ARRAY_SIZE(pages)) {
		pages[nr] = pkram_alloc_page(gfp | __GFP_ZERO, numa_mem_id());
		if (!pages[nr])
			break;
		dir = pair_of(pages, ++nr);
	}
	for (i = dir ? 2 : 0; i < nr; i++)
		__free_page(pages[i]);
	if (!dir) {
		/* the pool has none: any two pages in a row */
		int nid = pkram_alloc_node(numa_mem_id());
		struct page *page = NULL, *next;
		LIST_HEAD(rejects);

		for (i = 0; i < DIR_TRIES && !fatal_signal_pending(current); i++) {
			page = alloc_pages_node(nid, gfp | __GFP_ZERO, 1);
			if (!page || !pkram_banned(page_to_pfn(page), 2))
				break;
			list_add(&page->lru, &rejects);
			page = NULL;
			cond_resched();
		}
		if (page) {
			split_page(page, 1);
			dir = page_address(page);
		}
		list_for_each_entry_safe(page, next, &rejects, lru)
			__free_pages(page, 1);
		if (!dir)
			return NULL;
	}
	for (i = 0; i < 2; i++)
		pkram_page_init((void *)dir + i * PAGE_SIZE, PKRAM_PAGE_DIR, PAGE_SIZE);
	pkram_blocks_add(pkram_pfn(dir), 2);
	return dir;
}

static void free_dir(struct pkram_dir *dir)
{
	if (!pkram_is_alone(dir))
		pkram_free_meta(pkram_twin_page(dir));
	pkram_free_meta(dir);
}

static unsigned int dir_nr_pages(const struct pkram_dir *dir)
{
	return pkram_is_alone(dir) ? 1 : 2;
}

/**
 * pkram_dir_link - say where a directory page is
 * @before: the page that comes before it, NULL for the super block
 * @pfn:    the page, complete; 0 if the chain ends
 *
 * Context: pkram.lock held, or as pkram_seal().
 */
void pkram_dir_link(struct pkram_dir *before, __le64 pfn)
{
	if (before) {
		pkram_dir_set(&before->hdr.next, pfn);
		return;
	}
	/* a seal that comes now finds a finished page */
	smp_store_release(&pkram.sb->dir_pfn, pfn);
	if (pkram.sb_twin)
		WRITE_ONCE(pkram.sb_twin->dir_pfn, pfn);
}

static int dir_grow(gfp_t gfp)
{
	struct pkram_dir *dir = alloc_dir(gfp), *last = NULL;
	struct dir_page *d;

	if (!dir)
		return -ENOMEM;
	d = dir_page_new(dir, gfp);
	if (!d) {
		free_dir(dir);
		return -ENOMEM;
	}
	pkram.meta_pages += 2;
	if (!list_empty(&dir_chain))
		last = list_last_entry(&dir_chain, struct dir_page, link)->dir;
	pkram_dir_link(last, dir->hdr.pfn);
	list_add_tail(&d->link, &dir_chain);
	return 0;
}

/**
 * pkram_dir_set - write a slot, or the link, of a directory page and of its copy
 * @slot: where
 * @pfn:  what
 *
 * Context: pkram.lock held, or as pkram_seal().
 */
void pkram_dir_set(__le64 *slot, __le64 pfn)
{
	/* a seal that comes from now on finds what it names finished */
	smp_store_release(slot, pfn);
	if (!pkram_is_alone((void *)((unsigned long)slot & PAGE_MASK)))
		WRITE_ONCE(*(__le64 *)pkram_twin_page(slot), pfn);
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
		list_for_each_entry_reverse(d, &dir_chain, link) {
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
	pkram_dir_set(slot, 0);
	list_for_each_entry(d, &dir_chain, link) {
		if (d->dir != dir)
			continue;
		__clear_bit(slot - dir->slot, d->used);
		d->nr--;
		break;
	}
	while (!list_empty(&dir_chain)) {
		d = list_last_entry(&dir_chain, struct dir_page, link);
		if (d->nr)
			break;
		pkram_dir_link(list_is_singular(&dir_chain) ? NULL : list_prev_entry(d, link)->dir,
			       0);
		list_del(&d->link);
		pkram.meta_pages -= dir_nr_pages(d->dir);
		free_dir(d->dir);
		kfree(d);
	}
}

static bool dir_banned(const struct pkram_dir *dir)
{
	return pkram_meta_banned(dir) ||
	       (!pkram_is_alone(dir) && pkram_meta_banned(pkram_twin_page(dir)));
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
	struct pkram_dir *to, *before = NULL;
	struct dir_page *d;

	lockdep_assert_held(&pkram.lock);
	list_for_each_entry(d, &dir_chain, link) {
		if (dir_banned(d->dir)) {
			to = alloc_dir(PKRAM_GFP);
			if (!to)
				return -ENOMEM;
			memcpy(to->slot, d->dir->slot, sizeof(to->slot));
			to->hdr.next = d->dir->hdr.next;
			copy_to_twin(to);
			pkram_dir_link(before, to->hdr.pfn);
			moved(d->dir, to);
			pkram.meta_pages += 2 - dir_nr_pages(d->dir);
			free_dir(d->dir);
			d->dir = to;
		}
		before = d->dir;
	}
	return 0;
}

/**
 * pkram_dir_adopt - adopt a directory page of the previous kernel
 * @dir: the page, checked, whose copy is claimed as well
 * @gfp: allocation flags; the allocation must not fail
 *
 * Context: pkram.lock held.
 */
void pkram_dir_adopt(struct pkram_dir *dir, gfp_t gfp)
{
	struct dir_page *d = dir_page_new(dir, gfp);
	unsigned int i;

	lockdep_assert_held(&pkram.lock);

	for (i = 0; i < PKRAM_DIR_SLOTS; i++) {
		if (!dir->slot[i])
			continue;
		__set_bit(i, d->used);
		d->nr++;
	}
	list_add_tail(&d->link, &dir_chain);
	pkram.meta_pages += dir_nr_pages(dir);
	if (!pkram_is_alone(dir))
		copy_to_twin(dir);
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
 * pkram_count_features - a node enters or leaves the store
 * @incompat: the features it needs
 * @sign:     1 or -1
 *
 * Context: pkram.lock held.
 */
void pkram_count_features(u64 incompat, int sign)
{
	for (; incompat; incompat &= incompat - 1)
		WRITE_ONCE(pkram.features[__ffs64(incompat)],
			   pkram.features[__ffs64(incompat)] + sign);
}

/**
 * pkram_needed_features - what a kernel must know to adopt all committed nodes
 *
 * Context: any; the answer is that of the moment.
 *
 * Return: bits as in struct pkram_node_page.
 */
u64 pkram_needed_features(void)
{
	u64 needed = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pkram.features); i++)
		needed |= READ_ONCE(pkram.features[i]) ? BIT_ULL(i) : 0;
	return needed;
}

/**
 * pkram_super_pages - what it costs to have a store at all
 *
 * Return: pages of the super block, the map, and their copies.
 */
u64 pkram_super_pages(void)
{
	return 2 + (pkram.map_twin ? 2ULL : 1ULL) * le32_to_cpu(pkram.sb->nr_map);
}

static void __init map_init(struct pkram_map *map, u32 nr_map)
{
	u32 i;

	for (i = 0; i < nr_map; i++)
		pkram_page_init(map + i, PKRAM_PAGE_MAP, PAGE_SIZE);
}

static struct pkram_map * __init map_create(u32 nr_map)
{
	return alloc_above_min(nr_map * PAGE_SIZE);
}

/* Blocks of memory that a map of @nr_map pages covers. */
static u64 __init blocks_covered(u32 nr_map)
{
	return min_t(u64, (u64)nr_map * PKRAM_MAP_BITS, DIV_ROUND_UP(max_pfn, PKRAM_BLOCK_PAGES));
}

/**
 * pkram_super_create - make a super block and a map, and a copy of each
 *
 * One piece if that is possible, which touches as few blocks as possible. The super
 * block and its copy are two pages in a row in any case, and each map is contiguous:
 * so the next kernel's decompressor finds them within the few page tables it has.
 *
 * Return: 0 or -ENOMEM.
 */
int __init pkram_super_create(void)
{
	u32 nr_map = pkram_map_pages(max_pfn);
	bool one_piece = 2 + 2 * nr_map <= MAX_ORDER_NR_PAGES;
	u32 pages = one_piece ? 2 + 2 * nr_map : 2;
	struct pkram_super *sb = alloc_above_min(pages * PAGE_SIZE);
	struct pkram_map *map, *twin;

	/* or else the allocator cannot make a map in one piece */
	BUILD_BUG_ON(PKRAM_MAX_MAP_PAGES > MAX_ORDER_NR_PAGES);
	if (!sb)
		return -ENOMEM;
	map = one_piece ? (void *)sb + 2 * PAGE_SIZE : map_create(nr_map);
	twin = one_piece ? map + nr_map : map_create(nr_map);
	if (!map || !twin) {
		if (map)
			free_pages_exact(map, nr_map * PAGE_SIZE);
		if (twin)
			free_pages_exact(twin, nr_map * PAGE_SIZE);
		free_pages_exact(sb, pages * PAGE_SIZE);
		return -ENOMEM;
	}
	pkram.sb = sb;
	sb->hdr.chain = cpu_to_le64(get_random_u64());
	map_init(map, nr_map);
	map_init(twin, nr_map);
	pkram.sb_twin = pkram_twin_page(sb);
	pkram.map = map;
	pkram.map_twin = twin;

	pkram_page_init(sb, PKRAM_PAGE_SUPER, sizeof(*sb));
	sb->seal = cpu_to_le64(PKRAM_OPEN);
	sb->page_shift = cpu_to_le32(PKRAM_PAGE_SHIFT);
	sb->block_order = cpu_to_le32(PKRAM_BLOCK_ORDER);
	sb->map_pfn = cpu_to_le64(pkram_pfn(map));
	sb->map_copy_pfn = cpu_to_le64(pkram_pfn(twin));
	sb->nr_map = cpu_to_le32(nr_map);
	copy_to_twin(sb);

	pkram_blocks_setup(map, twin, blocks_covered(nr_map));
	pkram_blocks_pin(pkram_pfn(sb), 2);
	pkram_blocks_pin(pkram_pfn(map), nr_map);
	pkram_blocks_pin(pkram_pfn(twin), nr_map);
	return 0;
}

/**
 * pkram_super_adopt - use the super block of the previous kernel
 * @sb_pfn:  checked by pkram_reserve()
 * @map_pfn: its map, checked
 * @map_twin_pfn: a copy of the map, 0 if there is none
 */
void __init pkram_super_adopt(u64 sb_pfn, u64 map_pfn, u64 map_twin_pfn)
{
	struct pkram_super *sb = pfn_to_kaddr(sb_pfn);
	u32 nr_map = le32_to_cpu(sb->nr_map);

	pkram.sb = sb;
	pkram.sb_twin = pkram_is_alone(sb) ? NULL : pkram_twin_page(sb);
	pkram.map = pfn_to_kaddr(map_pfn);
	sb->map_pfn = cpu_to_le64(map_pfn);
	sb->map_copy_pfn = cpu_to_le64(map_twin_pfn);
	if (map_twin_pfn)
		pkram.map_twin = pfn_to_kaddr(map_twin_pfn);
	if (pkram.sb_twin)
		copy_to_twin(sb);
	pkram.sealed_ns = le64_to_cpu(sb->sealed_ns);
	pkram_blocks_setup(pkram.map, pkram.map_twin, blocks_covered(nr_map));
	pkram_blocks_pin(sb_pfn, 2);
	pkram_blocks_pin(map_pfn, nr_map);
	if (pkram.map_twin)
		pkram_blocks_pin(pkram_pfn(pkram.map_twin), nr_map);
}

static void __init map_free(struct pkram_map *map, u32 nr_map)
{
	u32 i;

	for (i = 0; map && i < nr_map; i++)
		pkram_free_meta(map + i);
}

/**
 * pkram_map_grow - replace an inherited map that is too short
 *
 * The machine may have memory now that it did not have when the map was made. Without
 * memory for a longer map, what lies above is not preserved in place.
 *
 * Context: boot, after pkram_blocks_adopt() and pkram_leftover_init().
 */
void __init pkram_map_grow(void)
{
	u32 i, nr_map = le32_to_cpu(pkram.sb->nr_map), nr_new = pkram_map_pages(max_pfn);
	struct pkram_map *map, *twin;

	if (nr_new <= nr_map)
		return;
	map = map_create(nr_new);
	twin = map ? map_create(nr_new) : NULL;
	if (!twin) {
		if (map)
			free_pages_exact(map, nr_new * PAGE_SIZE);
		return;
	}
	map_init(map, nr_new);
	map_init(twin, nr_new);
	for (i = 0; i < nr_map; i++) {
		memcpy(map[i].bits, pkram.map[i].bits, sizeof(map->bits));
		memcpy(twin[i].bits, pkram.map[i].bits, sizeof(twin->bits));
	}
	pkram_blocks_setup(map, twin, blocks_covered(nr_new));
	pkram_blocks_pin_map(pkram_pfn(map), pkram_pfn(twin), nr_new);
	map_free(pkram.map, nr_map);
	map_free(pkram.map_twin, nr_map);
	pkram.map = map;
	pkram.map_twin = twin;
	pkram.sb->map_pfn = cpu_to_le64(pkram_pfn(map));
	pkram.sb->map_copy_pfn = cpu_to_le64(pkram_pfn(twin));
	pkram.sb->nr_map = cpu_to_le32(nr_new);
	if (pkram.sb_twin)
		copy_to_twin(pkram.sb);
	pr_info("the map has %u pages now, it had %u\n", nr_new, nr_map);
}

/**
 * pkram_map_copy_again - make the copy of the map that an inherited store lacks
 *
 * Nothing if there is one, or no memory for one.
 *
 * Context: boot, after pkram_map_grow().
 */
void __init pkram_map_copy_again(void)
{
	u32 i, nr_map = le32_to_cpu(pkram.sb->nr_map);

	if (pkram.map_twin)
		return;
	pkram.map_twin = map_create(nr_map);
	if (!pkram.map_twin)
		return;
	map_init(pkram.map_twin, nr_map);
	pkram_blocks_setup(pkram.map, pkram.map_twin, pkram_nr_blocks);
	pkram_blocks_pin(pkram_pfn(pkram.map_twin), nr_map);
	for (i = 0; i < nr_map; i++)
		memcpy(pkram.map_twin[i].bits, pkram.map[i].bits, sizeof(pkram.map[i].bits));
	pkram.sb->map_copy_pfn = cpu_to_le64(pkram_pfn(pkram.map_twin));
	if (pkram.sb_twin)
		pkram.sb_twin->map_copy_pfn = pkram.sb->map_copy_pfn;
}
