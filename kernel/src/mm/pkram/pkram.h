/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PKRAM: declarations private to mm/pkram/.
 *
 * Floors, each using only those below it (kernel/tree check floors):
 *
 *   sysfs.c  dev.c        /sys/kernel/pkram; /dev/pkram
 *   save.c  load.c        saves and loads through it
 *   api.c  adopt.c        the in-kernel interface; nodes from the previous kernel
 *   evacuate.c            nodes make room for images
 *   node.c                nodes and their objects
 *   seal.c                the last thing before the jump
 *   shmem.c  poison.c     files in and out, frozen; pages with memory errors
 *   stream.c  damage.c    page and byte streams; damage on purpose
 *   kexec.c  early.c      images and preserved memory; reservation in setup_arch()
 *   super.c               what there is one of; super block, directory, metadata
 *   alloc.c               memory that may be preserved
 *   blocks.c              which blocks are preserved
 *   format.c              the format
 *
 * Lock order: inode lock, pkram_mutex, pkram_kexec_sem, i_pages lock, block lock.
 */
#ifndef _MM_PKRAM_H
#define _MM_PKRAM_H

#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pkram_format.h>
#include <linux/rbtree.h>
#include <linux/rwsem.h>
#include <linux/wait.h>
#include <linux/xarray.h>
#include <uapi/linux/pkram.h>

struct file;
struct inode;
struct kimage;
struct pkram_node;

/* pfn of memory in the direct map */
static inline u64 pkram_pfn(const void *addr)
{
	return PHYS_PFN(__pa(addr));
}

/* Did the hardware lose a part of it? */
static inline bool pkram_folio_poisoned(const struct folio *folio)
{
	return folio_test_hwpoison(folio) ||
	       (folio_test_large(folio) && folio_test_has_hwpoisoned(folio));
}

/* blocks.c */

extern u64 pkram_nr_blocks;

/** PKRAM_BLOCK_OURS - while adopting: the previous kernel preserved the block */
#define PKRAM_BLOCK_OURS	BIT(31)
/** PKRAM_BLOCK_ALONE - and none of its pages is anybody else's */
#define PKRAM_BLOCK_ALONE	BIT(30)
/** PKRAM_BLOCK_COUNT - the rest of a counter, which is all of it later on */
#define PKRAM_BLOCK_COUNT	(BIT(30) - 1)

int pkram_blocks_init(gfp_t gfp);
void pkram_blocks_setup(struct pkram_map *map, u64 nr_blocks);
void pkram_blocks_add(u64 pfn, u64 nr);
void pkram_blocks_sub(u64 pfn, u64 nr);
u64 pkram_blocks_count(u64 block);
void pkram_blocks_pin(u64 pfn, u64 nr);
u32 *pkram_blocks_adopt(void);
void pkram_blocks_adopted(u32 *counts);
bool pkram_blocks_room(void);

/* alloc.c */

/**
 * PKRAM_GFP - how to allocate what grows with what user space stores
 *
 * Who stores too much gets -ENOMEM; nobody is killed for it.
 */
#define PKRAM_GFP	(GFP_KERNEL | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

extern struct rw_semaphore pkram_kexec_sem;

/**
 * struct pkram_bans - destinations of the loaded kexec image, and of one that is
 * being loaded
 * @nr:    how many
 * @start: first pfn of each
 * @end:   one above the last pfn of each
 */
struct pkram_bans {
	unsigned int nr;
	u64 start[34];
	u64 end[34];
};

extern struct pkram_bans pkram_bans;

bool pkram_banned_slow(u64 pfn, u64 nr);
u64 pkram_allowed(u64 pfn, u64 nr);

/**
 * pkram_banned - must these pages not be preserved where they are?
 * @pfn: first page
 * @nr:  how many
 *
 * Caller holds pkram_kexec_sem for reading until the pages are recorded.
 *
 * Return: true if they lie where the loaded image goes, or outside the map.
 */
static inline bool pkram_banned(u64 pfn, u64 nr)
{
	if (unlikely(pfn < PKRAM_MIN_PFN ||
		     pfn + nr > pkram_nr_blocks << PKRAM_BLOCK_ORDER))
		return true;
	return unlikely(pkram_bans.nr) && pkram_banned_slow(pfn, nr);
}

/**
 * struct pkram_pack - pages that follow each other, allocated ahead
 * @page: the next one
 * @left: how many there are from it on
 */
struct pkram_pack {
	struct page *page;
	unsigned int left;
};

struct page *pkram_pack_page(struct pkram_pack *pack, gfp_t gfp, int nid);
void pkram_pack_end(struct pkram_pack *pack);
struct page *pkram_alloc_page(gfp_t gfp, int nid);
struct folio *pkram_alloc_folio(gfp_t gfp, unsigned int order, int nid);

/* kexec.c */

u32 pkram_image_state(void);
void pkram_kexec_ban(const struct kimage *image, u64 start, u64 end);

/* super.c */

/**
 * struct pkram_state - what there is one of
 * @lock:       pkram_mutex: nodes, directory, counters
 * @sb:         super block, NULL when PKRAM is off
 * @map:        first map page
 * @nodes:      committed nodes by id
 * @names:      committed nodes by name
 * @nr_nodes:   how many
 * @next_id:    id of the next node
 * @data_pages: pages in streams of committed nodes
 * @meta_pages: pages that describe them, without super block and map
 * @boot_result: enum pkram_boot_result
 * @sealed_ns:  when the previous kernel sealed, 0 if nothing was adopted
 * @restored_ns: ns that early and late boot work took
 * @release:    of the previous kernel, sanitised
 * @dropped:    struct pkram_dropped, at most PKRAM_MAX_DROPPED
 * @nr_dropped: inherited nodes that were dropped, listed or not
 */
struct pkram_state {
	struct mutex lock;	/* nodes, directory and counters */
	struct pkram_super *sb;
	struct pkram_map *map;
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
	struct list_head dropped;
	u64 nr_dropped;
};

/** PKRAM_MAX_DROPPED - dropped nodes that are remembered by name */
#define PKRAM_MAX_DROPPED	1024

/**
 * struct pkram_dropped - an inherited node that did not come back
 * @link: in pkram_state.dropped
 * @info: what is known of it
 */
struct pkram_dropped {
	struct list_head link;
	struct pkram_node_info info;
};

extern struct pkram_state pkram;

static inline bool pkram_enabled(void)
{
	return pkram.sb;
}

static inline u64 pkram_generation(void)
{
	return le64_to_cpu(pkram.sb->hdr.generation);
}

void pkram_page_init(void *page, unsigned int type, u32 length);
void *pkram_alloc_meta(unsigned int type, gfp_t gfp);
void pkram_free_meta(void *page);
__le64 *pkram_dir_reserve(gfp_t gfp);
void pkram_dir_release(__le64 *slot);
void pkram_dir_adopt(struct pkram_dir *dir);
bool pkram_meta_banned(const void *page);
void *pkram_move_meta(const void *page, gfp_t gfp);
int pkram_dir_move(void (*moved)(const struct pkram_dir *from, struct pkram_dir *to));
int pkram_super_create(void);
void pkram_super_adopt(struct pkram_super *sb);

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
bool pkram_poison_seal(void);
u64 pkram_poison_adopt(struct pkram_node_page *page);
#else
static inline bool pkram_poison_seal(void)
{
	return true;
}

static inline u64 pkram_poison_adopt(struct pkram_node_page *page)
{
	return 0;
}
#endif

/* stream.c */

/**
 * struct pkram_writer - a page stream being written
 * @head:     first link page, NULL while the stream is empty
 * @tail:     link page being filled
 * @spare:    link page to go on with when @tail is full
 * @nr_extents: extents in @tail
 * @nr_links: link pages in use
 * @nr_pages: base pages recorded, pending run included
 * @pos:      stream index after the last extent that was written
 * @run:      extent not yet written; @run.gap counts from @pos
 * @counted:  pages of @run that are counted in their blocks
 * @end_pfn:  pfn that would continue the run
 * @end_index: stream index that would continue the run
 */
struct pkram_writer {
	struct pkram_link *head;
	struct pkram_link *tail;
	struct pkram_link *spare;
	u32 nr_extents;
	u32 nr_links;
	u64 nr_pages;
	u64 pos;
	struct pkram_extent run;
	u64 counted;
	u64 end_pfn;
	u64 end_index;
};

/** PKRAM_BATCH - folios that can be added after one pkram_writer_reserve() */
#define PKRAM_BATCH	128

int pkram_writer_reserve(struct pkram_writer *w, gfp_t gfp);
void pkram_writer_settle(struct pkram_writer *w);
void pkram_writer_flush(struct pkram_writer *w);
void pkram_writer_finish(struct pkram_writer *w);
void pkram_writer_discard(struct pkram_writer *w);

/**
 * pkram_writer_add - record folios at the end of a stream
 * @w:     the writer; pkram_writer_reserve() succeeded at most PKRAM_BATCH calls ago
 * @index: index of the first in the stream, not below the end of the last one
 * @pfn:   its first page; none of them is banned
 * @order: order of each, at most PKRAM_MAX_ORDER
 * @count: folios that follow each other in the stream and in memory, 1 to
 *         PKRAM_BATCH
 *
 * The stream takes over one reference that the caller holds on each folio. Call
 * pkram_writer_settle() before dropping pkram_kexec_sem.
 */
static inline void pkram_writer_add(struct pkram_writer *w, u64 index, u64 pfn,
				    unsigned int order, unsigned int count)
{
	u64 nr = (u64)count << order;

	if (likely(pfn == w->end_pfn && index == w->end_index && order == w->run.order &&
		   w->run.count <= PKRAM_EXT_MAX_COUNT - count)) {
		w->run.count += count;
	} else {
		pkram_writer_flush(w);
		/* a stream begins where its first page is */
		if (!w->nr_pages)
			w->pos = index;
		w->run.pfn = pfn;
		w->run.gap = index - w->pos;
		w->run.count = count;
		w->run.order = order;
	}
	w->end_pfn = pfn + nr;
	w->end_index = index + nr;
	w->nr_pages += nr;
}

/* First link page of a finished stream as objects record it, 0 if it is empty. */
static inline __le64 pkram_writer_head(const struct pkram_writer *w)
{
	return w->head ? w->head->hdr.pfn : 0;
}

/**
 * struct pkram_reader - a position in a stream
 * @link:  current link page, NULL at the end
 * @i:     next extent in @link
 * @index: stream index of the next folio
 * @ext:   rest of the current extent; exhausted if its count is 0
 */
struct pkram_reader {
	const struct pkram_link *link;
	u32 i;
	u64 index;
	struct pkram_extent ext;
};

void pkram_reader_init(struct pkram_reader *r, __le64 head);
bool pkram_reader_fill(struct pkram_reader *r);

/**
 * pkram_reader_next - next folio of a stream
 * @r:     the reader
 * @index: output, its index in the stream
 * @order: output, its order
 *
 * Return: its first page, NULL at the end. The reference stays the stream's.
 */
static inline struct page *pkram_reader_next(struct pkram_reader *r, u64 *index,
					     unsigned int *order)
{
	struct page *page;
	u64 nr;

	if (!r->ext.count && !pkram_reader_fill(r))
		return NULL;
	nr = 1ULL << r->ext.order;
	page = pfn_to_page(r->ext.pfn);
	*index = r->index;
	*order = r->ext.order;
	r->ext.pfn += nr;
	r->index += nr;
	r->ext.count--;
	return page;
}

int pkram_writer_copy(struct pkram_writer *w, u64 index, struct folio *folio,
		      struct pkram_pack *pack);
bool pkram_stream_banned(__le64 head);
int pkram_stream_move(__le64 head, struct pkram_writer *w, struct pkram_pack *pack);
u64 pkram_stream_free(__le64 head);
u64 pkram_stream_release(__le64 head);
u64 pkram_stream_moved(__le64 head);

/**
 * struct pkram_bytes - a byte stream being written
 * @w:    its pages
 * @page: page being filled, NULL at a page boundary
 * @len:  bytes in the stream
 */
struct pkram_bytes {
	struct pkram_writer w;
	struct page *page;
	u64 len;
};

struct iov_iter;

int pkram_bytes_append(struct pkram_bytes *b, struct iov_iter *from, gfp_t gfp);
void pkram_bytes_finish(struct pkram_bytes *b);
ssize_t pkram_bytes_read(const struct pkram_object *obj, u64 pos, struct iov_iter *to);

/* node.c */

/** enum pkram_node_state - who may do what with a node */
enum pkram_node_state {
	PKRAM_NODE_SAVING,	/* owned by one saver, in no table */
	PKRAM_NODE_IDLE,	/* committed */
	PKRAM_NODE_TAKEN,	/* taken out of the tables by pkram_prepare_load() */
};

/**
 * struct pkram_node - a node in the running system
 * @page:    its node page
 * @state:   enum pkram_node_state
 * @users:   descriptors that are loading it
 * @id:      see struct pkram_node_info
 * @slot:    its slot in the directory, NULL while it is being saved
 * @by_name: in pkram_state.names
 * @tables:  pages of further objects by their number
 * @files:   struct pkram_file of objects that exist as files, by object index;
 *           PKRAM_FILE_LOADING while one is being made
 * @loads:   woken when one of those is done, or given up
 * @totals:  what it consists of
 * @born:    generation in which it was committed
 */
struct pkram_node {
	struct pkram_node_page *page;
	enum pkram_node_state state;
	unsigned int users;
	unsigned long id;
	__le64 *slot;
	struct rb_node by_name;
	struct xarray tables;
	struct xarray files;
	wait_queue_head_t loads;
	struct pkram_node_totals totals;
	u64 born;
};

/** PKRAM_FILE_LOADING - in place of a struct pkram_file that somebody is making */
#define PKRAM_FILE_LOADING	((struct pkram_file *)xa_mk_value(0))

static inline u32 pkram_node_nr_objects(const struct pkram_node *node)
{
	return le32_to_cpu(node->page->nr_objects);
}

int pkram_node_check_name(const char *name);
struct pkram_node *pkram_node_alloc(struct pkram_node_page *page, gfp_t gfp);
struct pkram_node *pkram_node_create(const char *name, gfp_t gfp);
struct pkram_object *pkram_node_add_object(struct pkram_node *node, u32 flags, gfp_t gfp);
struct pkram_object *pkram_node_object(struct pkram_node *node, u32 index);
int pkram_node_index(struct pkram_node *node, gfp_t gfp);
void pkram_node_drop_last_object(struct pkram_node *node);
int pkram_node_prepare(struct pkram_node *node, gfp_t gfp);
void pkram_node_publish(struct pkram_node *node);
int pkram_node_commit(struct pkram_node *node, bool replace, gfp_t gfp, u64 *ret_id);
int pkram_node_insert(struct pkram_node *node);
void pkram_node_free_streams(struct pkram_node *node, u32 index);
void pkram_node_destroy(struct pkram_node *node);
struct pkram_node *pkram_node_get(const char *name);
void pkram_node_put(struct pkram_node *node);
struct pkram_node *pkram_node_take(const char *name);
int pkram_node_move(struct pkram_node *node, struct pkram_pack *pack);
int pkram_node_remove(const char *name, struct pkram_node *mine, u64 *ret_id);
int pkram_remove_idle(void);
void pkram_node_info(struct pkram_node *node, struct pkram_node_info *info);

/* evacuate.c */

int pkram_evacuate(void);

/* shmem.c */

/**
 * struct pkram_file - a file whose pages a node holds, frozen
 * @file:   the node's own reference
 * @seals:  its seals before it was frozen
 * @denied: writable mappings were denied and must be allowed again
 * @locked: the mapping was made unevictable and must be made evictable again
 * @loaded: its pages came out of the node and are on no LRU list yet
 */
struct pkram_file {
	struct file *file;
	unsigned int seals;
	bool denied;
	bool locked;
	bool loaded;
};

struct pkram_file *pkram_file_freeze(struct file *file);
void pkram_file_thaw(struct pkram_file *pf);
struct file *pkram_file_open(const struct pkram_file *pf);
void pkram_file_stat(const struct pkram_file *pf, struct pkram_object *obj);
int pkram_file_save(struct file *file, u64 start, u64 last, struct pkram_writer *w);
struct pkram_file *pkram_file_load(const struct pkram_object *obj, struct file *target,
				   struct mem_cgroup *memcg);

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
 * struct pkram_early - what early boot found out for later
 * @sb_pfn:  super block, 0 if there is nothing to adopt
 * @nr_busy: ranges in @busy
 * @busy:    pages inside preserved blocks that belong to somebody else
 * @cycles:  time stamp counter ticks it took
 */
struct pkram_early {
	u64 sb_pfn;
	unsigned int nr_busy;
	struct {
		u64 start;
		u64 end;
	} busy[128];
	u64 cycles;
};

extern struct pkram_early pkram_early;

#endif /* _MM_PKRAM_H */
