/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PKRAM: declarations private to mm/pkram/. Those of alloc.c, stream.c, shmem*.c and
 * node.c are in headers of their own.
 *
 * Floors, each using only those below it (kernel/tree check floors):
 *
 *   sysfs.c  dev.c        /sys/kernel/pkram; /dev/pkram
 *   save.c  load.c        saves and loads through it
 *   api.c  background.c   the in-kernel interface; threads that adopt nodes
 *   evacuate.c            nodes make room for images
 *   adopt.c               nodes from the previous kernel, one by one
 *   directory.c           the list of them
 *   node.c                nodes and their objects
 *   seal.c                the last thing before the jump
 *   shmem_save.c  shmem_load.c  poison.c
 *                         files in and out; pages with memory errors
 *   shmem.c               files, frozen
 *   stream.c  damage.c    page and byte streams; damage on purpose
 *   leftover.c            pages of inherited blocks that no node claims
 *   claim.c               owners of the pages in inherited blocks
 *   kexec.c  early.c      images and preserved memory; reservation in setup_arch()
 *   super.c               global state; super block, directory, metadata
 *   alloc.c               memory that may be preserved
 *   blocks.c              which blocks are preserved
 *   runs.c                how many runs of them there may be
 *   format.c              the format
 *
 * Lock order: inode lock, pkram.lock, pkram_kexec_sem, i_pages lock, block lock. The lock
 * of adopt.c is taken under pkram.lock, and nothing under it.
 */
#ifndef _MM_PKRAM_H
#define _MM_PKRAM_H

#include <linux/atomic.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pkram_format.h>
#include <linux/rbtree.h>
#include <linux/xarray.h>
#include <uapi/linux/pkram.h>

struct file;
struct inode;
struct iov_iter;
struct kimage;
struct pkram_node;
struct pkram_writer;

/* pfn of memory in the direct map */
static inline u64 pkram_pfn(const void *addr)
{
	return PHYS_PFN(__pa(addr));
}

/* runs.c */

extern u64 pkram_runs_limit;

struct pkram_pfn_range;

u64 pkram_runs_budget(u64 nr_blocks);
u64 pkram_runs_count(const struct pkram_map *map, u64 nr_blocks, u64 *touched);
u64 pkram_runs_cost(u64 nr_blocks, u64 runs, u64 touched);
u64 pkram_runs_join(struct pkram_map *map, u64 nr_blocks,
		    const struct pkram_pfn_range *avoid, unsigned int nr_avoid);

/* Blocks that a kernel needs to boot, beside a crash kernel, on a machine with @ram blocks. */
static inline u64 pkram_boot_blocks(u64 ram)
{
	return 48 + ram / 32;
}

/* Change the bit of a block. */
static inline void pkram_map_put(struct pkram_map *map, u64 block, bool set)
{
	struct pkram_map *m = map + block / PKRAM_MAP_BITS;
	unsigned int bit = block % PKRAM_MAP_BITS;
	__le64 mask = cpu_to_le64(1ULL << bit % 64);

	if (set)
		m->bits[bit / 64] |= mask;
	else
		m->bits[bit / 64] &= ~mask;
}

/* blocks.c */

extern u64 pkram_nr_blocks;

int pkram_blocks_init(gfp_t gfp);
void pkram_blocks_setup(struct pkram_map *map, struct pkram_map *twin, u64 nr_blocks);
u64 pkram_blocks_add(u64 pfn, u64 nr);
void pkram_blocks_sub(u64 pfn, u64 nr);
u64 pkram_blocks_count(u64 block);
void pkram_blocks_pin(u64 pfn, u64 nr);
void pkram_blocks_pin_map(u64 map_pfn, u64 twin_pfn, u64 nr);
extern bool pkram_memory_added;
void pkram_blocks_find_ram(void);
u64 pkram_blocks_ram(u64 pfn, u64 nr);
void pkram_blocks_adopt(void);
bool pkram_blocks_room(void);
u64 pkram_blocks_runs(void);
bool pkram_blocks_scarce(void);

/* kexec.c */

u32 pkram_image_state(void);
extern bool pkram_crash_given_up;
bool pkram_next_crash(u64 start, u64 end, u64 *ret_start, u64 *ret_end);
void pkram_kexec_ban(const struct kimage *image, u64 start, u64 end);

/* super.c */

/**
 * struct pkram_state - global state of PKRAM
 * @lock:       pkram_mutex: nodes, directory, counters
 * @sb:         super block, NULL when PKRAM is off
 * @sb_twin:    its copy, NULL if the memory of that is bad
 * @map:        first map page
 * @map_twin:   first page of its copy, NULL if there is none
 * @nodes:      committed nodes by id
 * @names:      committed nodes by name
 * @nr_nodes:   how many
 * @next_id:    id of the next node
 * @data_pages: pages in streams of committed nodes
 * @meta_pages: pages that describe them, without super block and map
 * @boot_result: enum pkram_boot_result
 * @sealed_ns:  when the previous kernel sealed, 0 if nothing was adopted
 * @restored_ns: ns of processor time that early boot and adoption took
 * @release:    of the previous kernel, sanitised
 * @features:   how many committed nodes need each incompatible feature
 * @dropped:    struct pkram_dropped, at most PKRAM_MAX_DROPPED
 * @nr_dropped: inherited nodes that were dropped, listed or not
 * @poisoned:   the hardware has lost a page since boot
 * @adopting:   not all inherited nodes were adopted or dropped so far
 * @dirs_known: pages at the beginning of the directory that are known to be good; %U32_MAX
 *              if all are. The others are as the previous kernel left them
 * @pending_pages: pages of inherited blocks that are neither adopted nor free so far
 */
struct pkram_state {
	struct mutex lock;	/* nodes, directory and counters */
	struct pkram_super *sb;
	struct pkram_super *sb_twin;
	struct pkram_map *map;
	struct pkram_map *map_twin;
	struct xarray nodes;
	struct rb_root names;
	u64 nr_nodes;
	unsigned long next_id;
	u64 data_pages;
	u64 meta_pages;
	u32 boot_result;
	u64 sealed_ns;
	u64 restored_ns;
	char release[64];
	u32 features[64];
	struct list_head dropped;
	u64 nr_dropped;
	bool poisoned;
	bool adopting;
	u32 dirs_known;
	atomic64_t pending_pages;
};

/** PKRAM_MAX_DROPPED - dropped nodes that are remembered by name */
#define PKRAM_MAX_DROPPED	1024

/**
 * struct pkram_dropped - an inherited node that was dropped
 * @link: in pkram_state.dropped
 * @position: its place in the directory
 * @info: what is known of it
 */
struct pkram_dropped {
	struct list_head link;
	u64 position;
	struct pkram_node_info info;
};

extern struct pkram_state pkram;

bool pkram_folio_has_bad_page(const struct folio *folio);

static inline bool pkram_enabled(void)
{
	return pkram.sb;
}

/* Has the hardware lost a page since boot? If not, none needs a closer look. */
static inline bool pkram_poison_any(void)
{
	return READ_ONCE(pkram.poisoned);
}

/* Did the hardware lose a part of it? */
static inline bool pkram_folio_poisoned(const struct folio *folio)
{
	if (folio_test_hwpoison(folio))
		return true;
	if (!folio_test_large(folio))
		return false;
	/* memory_failure() does not flag a folio that is on no list */
	return folio_test_has_hwpoisoned(folio) ||
	       (unlikely(pkram_poison_any()) && pkram_folio_has_bad_page(folio));
}

static inline u64 pkram_generation(void)
{
	return le64_to_cpu(pkram.sb->hdr.generation);
}

void pkram_page_init(void *page, unsigned int type, u32 length);
void *pkram_alloc_meta(unsigned int type, gfp_t gfp);
void pkram_free_meta(void *page);
void pkram_free_kept_meta(void);
__le64 *pkram_dir_reserve(gfp_t gfp);
void pkram_dir_release(__le64 *slot);
void pkram_dir_set(__le64 *slot, __le64 pfn);
void pkram_dir_adopt(struct pkram_dir *dir, gfp_t gfp);
void pkram_dir_link(struct pkram_dir *before, __le64 pfn);
bool pkram_meta_banned(const void *page);
void *pkram_move_meta(const void *page, gfp_t gfp);
int pkram_dir_move(void (*moved)(const struct pkram_dir *from, struct pkram_dir *to));
void pkram_count_features(u64 incompat, int sign);
u64 pkram_needed_features(void);
u64 pkram_super_pages(void);
int pkram_super_create(void);
void pkram_super_adopt(u64 sb_pfn, u64 map_pfn, u64 map_twin_pfn);
void pkram_map_grow(void);
void pkram_map_copy_again(void);
bool pkram_crash_range(unsigned int i, u64 *start, u64 *end);
void pkram_super_set_crash(struct pkram_super *sb);

/* The copy of a super block or a directory page, wherever it may be used. */
static inline void *pkram_twin_page(const void *page)
{
	return (void *)((unsigned long)page ^ PAGE_SIZE);
}

/*
 * Order of the folios that pages in folios of @order are in here: those of a kernel with
 * larger ones, or with THP in one without, come in pieces.
 */
static inline unsigned int pkram_folio_order(unsigned int order)
{
	if (!IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		return 0;
	return order > MAX_PAGE_ORDER ? HPAGE_PMD_ORDER : order;
}

/* Pages in a row, all of which exist, are of one zone, and thereby of one NUMA node. */
static inline bool pkram_zone_is_same(u64 pfn, u64 nr)
{
	return page_zone_id(pfn_to_page(pfn)) == page_zone_id(pfn_to_page(pfn + nr - 1));
}

/* Would a folio of a run be in two zones? Where this kernel made the folios, none is. */
static inline bool pkram_run_straddles(u64 pfn, u64 nr, unsigned int order)
{
	u64 end = pfn + nr;

	if (likely(pkram_zone_is_same(pfn, nr)))
		return false;
	for (; pfn < end; pfn += 1ULL << order)
		if (!pkram_zone_is_same(pfn, 1ULL << order))
			return true;
	return false;
}

/*
 * The same for a run of @nr pages: if a folio of it would be in two zones here, all of it
 * comes in base pages. The kernel that saved it had the zones elsewhere.
 */
static inline unsigned int pkram_run_order(u64 pfn, u64 nr, unsigned int order)
{
	order = pkram_folio_order(order);
	return order && unlikely(pkram_run_straddles(pfn, nr, order)) ? 0 : order;
}

/* An extent, with its pages in folios of a size that this kernel has. */
static inline struct pkram_extent pkram_extent_folios(u64 raw)
{
	struct pkram_extent e = pkram_extent_decode(raw);
	unsigned int order = pkram_run_order(e.pfn, (u64)e.count << e.order, e.order);

	e.count <<= e.order - order;
	e.order = order;
	return e;
}

static inline bool pkram_is_alone(const void *page)
{
	const struct pkram_page_hdr *hdr = page;

	return hdr->flags & cpu_to_le32(PKRAM_HDR_ALONE);
}

/**
 * struct pkram_objects - the objects in one page of a node
 * @hdr:  the page
 * @obj:  the first object, NULL behind the last page
 * @nr:   how many there are
 * @left: objects in later pages
 */
struct pkram_objects {
	struct pkram_page_hdr *hdr;
	struct pkram_object *obj;
	u32 nr;
	u32 left;
};

/* The objects in a node page; it has a place for some even if it has none. */
static inline struct pkram_objects pkram_objects_first(struct pkram_node_page *page)
{
	u32 all = le32_to_cpu(page->nr_objects), nr = min_t(u32, all, PKRAM_NODE_OBJECTS);

	return (struct pkram_objects) {
		.hdr = &page->hdr, .obj = page->objects, .nr = nr, .left = all - nr,
	};
}

static inline struct pkram_objects pkram_objects_next(const struct pkram_objects *o)
{
	u32 nr = min_t(u32, o->left, PKRAM_PAGE_OBJECTS_MAX);
	struct pkram_objects_page *page;

	if (!o->hdr->next)
		return (struct pkram_objects) { };
	page = pfn_to_kaddr(le64_to_cpu(o->hdr->next));
	return (struct pkram_objects) {
		.hdr = &page->hdr, .obj = page->objects, .nr = nr, .left = o->left - nr,
	};
}

/* damage.c, with CONFIG_PKRAM_DAMAGE */

void pkram_damage(void);

/* poison.c, with CONFIG_MEMORY_FAILURE */

#ifdef CONFIG_MEMORY_FAILURE
s64 pkram_poison_node(struct pkram_node_page *page);
void pkram_poison_commit(struct pkram_node_page *page, __le64 *slot);
void pkram_poison_recheck(void);
void pkram_poison_forget(const __le64 *slot);
void pkram_poison_start(void);
bool pkram_poison_checked(void);
bool pkram_poison_seal(void);
u64 pkram_poison_adopt(struct pkram_node_page *page);
#else
static inline void pkram_poison_commit(struct pkram_node_page *page, __le64 *slot)
{
}

static inline void pkram_poison_recheck(void)
{
}

static inline void pkram_poison_forget(const __le64 *slot)
{
}

static inline void pkram_poison_start(void)
{
}

static inline bool pkram_poison_seal(void)
{
	return true;
}

static inline u64 pkram_poison_adopt(struct pkram_node_page *page)
{
	return 0;
}
#endif

/* evacuate.c */

int pkram_evacuate(void);

/* save.c */

struct pkram_save;

struct pkram_save *pkram_save_begin(const char *name);
struct pkram_save *pkram_save_get(struct pkram_save *save);
void pkram_save_put(struct pkram_save *save);
int pkram_save_file(struct pkram_save *save, struct file *file,
		    struct pkram_ioctl_save_file *arg);
int pkram_save_bytes(struct pkram_save *save, u32 *object, struct iov_iter *from);
int pkram_save_commit(struct pkram_save *save, bool replace, u64 *ret_id);
void pkram_save_abort(struct pkram_save *save);

/* load.c */

struct pkram_file *pkram_load_object(struct pkram_node *node, u32 index,
				     struct file *target, int pidfd);

/* early.c */

/**
 * struct pkram_pfn_range - some pages
 * @start: first pfn
 * @end:   one above the last pfn
 */
struct pkram_pfn_range {
	u64 start;
	u64 end;
};

/**
 * struct pkram_busy - ranges in ascending order that do not touch
 * @range: the ranges
 * @nr:    how many
 * @max:   how many @range has room for
 * @room:  address of @range if memblock reserves it, else 0
 * @size:  bytes reserved there
 */
struct pkram_busy {
	struct pkram_pfn_range *range;
	unsigned int nr;
	unsigned int max;
	phys_addr_t room;
	phys_addr_t size;
};

bool pkram_busy_test(const struct pkram_busy *b, u64 pfn);

/**
 * struct pkram_early - results of early boot for later
 * @sb_pfn:   super block, 0 if there is nothing to adopt
 * @map_pfn:  first map page
 * @map_twin_pfn: first page of its copy, 0 if there is none that can be used
 * @nr_blocks: blocks in its map that can be RAM
 * @others:   pages inside preserved blocks that no node may claim: no RAM, or in use
 * @firmware: pages inside preserved blocks that belong to the firmware as far as no
 *            node claims them
 * @crash:    memory of the previous crash kernel, as far as pkram_hold_crash() holds it; its
 *            end is 0 if there is none
 * @cycles:   ticks of arch_pkram_ticks() it took
 */
struct pkram_early {
	u64 sb_pfn;
	u64 map_pfn;
	u64 map_twin_pfn;
	u64 nr_blocks;
	struct pkram_busy others;
	struct pkram_busy firmware;
	struct pkram_pfn_range crash[PKRAM_CRASH_RANGES];
	u64 cycles;
};

extern struct pkram_early pkram_early;

#endif /* _MM_PKRAM_H */
