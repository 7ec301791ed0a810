// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: shmem files in and out of nodes.
 */
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/memcontrol.h>
#include <linux/migrate.h>
#include <linux/mm_inline.h>
#include <linux/pagemap.h>
#include <linux/pkram.h>
#include <linux/pkram_compat.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/swap.h>

#include "../internal.h"
#include "alloc.h"
#include "pkram.h"
#include "stream.h"

/**
 * DOC: files
 *
 * A memfd or a file on a tmpfs is *frozen* from the moment it is saved until its
 * node is removed. SHMEM_PRESERVED in the inode is the frozen state: writing,
 * resizing, fallocate(), adding file seals and new writable shared mappings fail with
 * EPERM. File seals are not used for it, because receivers of a descriptor rely on
 * seals staying for ever: F_GET_SEALS shows the same before, during and after. A
 * shared writable mapping that exists already, or pages pinned for DMA, could change
 * the file unnoticed, so such a file is refused.
 *
 * Saving records each folio as it is and takes a reference on it, which prevents
 * reclaim, migration and splitting. SHMEM_PRESERVED prevents collapsing:
 * collapse_file() checks references only before it copies pages, and checks the flag
 * before it installs the large folio. The file keeps its pages and can still be read
 * and mapped read-only. Reading a hole through a mapping adds a page of zeroes to the
 * file, which the node does not contain and does not need.
 *
 * Loading puts the preserved folios into an empty file. The node keeps its
 * references and the file stays frozen, so that it can be loaded again if the process
 * that loaded it dies. Removing the node thaws the file.
 *
 * The mapping of a frozen file is unevictable, since none of its pages can be
 * reclaimed. Loaded folios go to the unevictable list right away, which also shows
 * programs that filter crash dumps that they are page cache.
 *
 * Pages of a file that is aged or was written at random can be spread over so many
 * blocks that the next kernel has no room to boot. When more than half of the blocks
 * that may be touched are touched, and a file touches blocks for few pages each, then
 * these lonely pages are *packed*: they are migrated into blocks that are filled page
 * by page before they are recorded, or, if that is not possible, recorded as copies.
 * Pages in blocks that other preserved pages touch, or that the file uses well, stay
 * where they are and cost nothing.
 *
 * Lock order: inode lock, pkram_kexec_sem, i_pages lock, block lock. pkram_kexec_sem
 * must not be taken with a folio locked: the kexec system calls hold it while they
 * read the image from user space, and may have to lock that folio.
 */

static int freeze_locked(struct pkram_file *pf)
{
	struct file *file = pf->file;
	struct shmem_inode_info *info = SHMEM_I(file_inode(file));
	int err;

	if (info->flags & (SHMEM_PRESERVED | SHMEM_F_MAPPING_FROZEN))
		return -EBUSY;
	if (!(info->seals & F_SEAL_WRITE)) {
		err = mapping_deny_writable(file->f_mapping);
		if (err)
			return err;
		pf->denied = true;
	}
	if (!mapping_unevictable(file->f_mapping)) {
		mapping_set_unevictable(file->f_mapping);
		pf->locked = true;
	}
	/* shmem_lock() changes other bits without the inode lock */
	spin_lock_irq(&info->lock);
	info->flags |= SHMEM_PRESERVED;
	spin_unlock_irq(&info->lock);
	return 0;
}

static void thaw_locked(struct pkram_file *pf)
{
	struct address_space *mapping = pf->file->f_mapping;
	struct shmem_inode_info *info = SHMEM_I(mapping->host);

	spin_lock_irq(&info->lock);
	info->flags &= ~SHMEM_PRESERVED;
	spin_unlock_irq(&info->lock);
	if (pf->denied)
		mapping_allow_writable(mapping);
	/* SHM_LOCK may have been set in the meantime */
	if (pf->locked && !(info->flags & SHMEM_F_LOCKED))
		mapping_clear_unevictable(mapping);
}

static struct pkram_file *file_alloc(struct file *file)
{
	struct pkram_file *pf = kzalloc(sizeof(*pf), GFP_KERNEL);

	if (pf)
		pf->file = get_file(file);
	return pf;
}

static void file_free(struct pkram_file *pf)
{
	fput(pf->file);
	kfree(pf);
}

/**
 * pkram_file_freeze - stop all changes to a file
 * @file: any file
 *
 * Return: to be given to pkram_file_thaw(); or an error pointer: -EINVAL if it
 * is not a regular shmem file, -EBUSY if it is mapped shared and writable or is
 * frozen already, -ENOMEM.
 */
struct pkram_file *pkram_file_freeze(struct file *file)
{
	struct inode *inode = file_inode(file);
	struct pkram_file *pf;
	int err;

	if (!shmem_file(file) || !S_ISREG(inode->i_mode))
		return ERR_PTR(-EINVAL);
	pf = file_alloc(file);
	if (!pf)
		return ERR_PTR(-ENOMEM);
	inode_lock(inode);
	err = freeze_locked(pf);
	inode_unlock(inode);
	if (err) {
		file_free(pf);
		return ERR_PTR(err);
	}
	return pf;
}

/**
 * pkram_file_thaw - let a file go
 * @pf: from pkram_file_freeze() or pkram_file_load(); freed
 *
 * Afterwards it is an ordinary file again. The node must have dropped its references
 * on the pages.
 */
void pkram_file_thaw(struct pkram_file *pf)
{
	struct address_space *mapping = pf->file->f_mapping;

	inode_lock(mapping->host);
	thaw_locked(pf);
	inode_unlock(mapping->host);
	/* loaded pages, and those that reclaim moved to the unevictable list */
	if (pf->locked && !mapping_unevictable(mapping))
		shmem_unlock_mapping(mapping);
	file_free(pf);
}

/**
 * pkram_file_open - open the file of an object again
 * @pf: the file
 *
 * Return: a new open file, readable and (once thawed) writable, at offset 0; or
 * an error pointer. The file is only readable if its file system is read-only, as
 * that of a tree stays after the tree was stored.
 */
struct file *pkram_file_open(const struct pkram_file *pf)
{
	struct file *file = dentry_open(&pf->file->f_path, O_RDWR | O_LARGEFILE,
					current_cred());

	if (file == ERR_PTR(-EROFS))
		file = dentry_open(&pf->file->f_path, O_RDONLY | O_LARGEFILE, current_cred());
	if (!IS_ERR(file))
		file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;
	return file;
}

/**
 * pkram_file_stat - keep the attributes of a frozen file
 * @pf:  the file
 * @obj: output: everything but the streams
 */
void pkram_file_stat(const struct pkram_file *pf, struct pkram_object *obj)
{
	struct inode *inode = file_inode(pf->file);
	struct timespec64 ts;

	obj->size = cpu_to_le64(i_size_read(inode));
	obj->mode = cpu_to_le32(inode->i_mode);
	obj->uid = cpu_to_le32(from_kuid(&init_user_ns, inode->i_uid));
	obj->gid = cpu_to_le32(from_kgid(&init_user_ns, inode->i_gid));
	/* they stay as they are while the file is frozen */
	obj->seals = cpu_to_le32(SHMEM_I(inode)->seals);
	ts = inode_get_atime(inode);
	obj->atime_ns = cpu_to_le64(timespec64_to_ns(&ts));
	ts = inode_get_mtime(inode);
	obj->mtime_ns = cpu_to_le64(timespec64_to_ns(&ts));
	ts = inode_get_ctime(inode);
	obj->ctime_ns = cpu_to_le64(timespec64_to_ns(&ts));
}

/*
 * Check whether a folio may be pinned for DMA. A pin of a base page counts as
 * GUP_PIN_COUNTING_BIAS references, and each mapping as one.
 */
static bool folio_pinned(struct folio *folio)
{
	if (folio_test_large(folio))
		return folio_maybe_dma_pinned(folio);
	return folio_ref_count(folio) - folio_mapcount(folio) >= (int)GUP_PIN_COUNTING_BIAS;
}

/* Check whether a large folio can be recorded as is. */
static bool large_folio_plain(struct folio *folio, unsigned int order)
{
	return folio_test_uptodate(folio) && !pkram_folio_poisoned(folio) &&
	       !folio_pinned(folio) && !pkram_banned(folio_pfn(folio), 1UL << order);
}

/* Check whether a base page can be recorded as is, provided that it is not banned. */
static __always_inline bool base_page_plain(const struct folio *folio)
{
	const unsigned long want = 1UL << PG_uptodate, unwanted = 1UL << PG_head |
		(IS_ENABLED(CONFIG_MEMORY_FAILURE) ? 1UL << PG_hwpoison : 0);

	return (READ_ONCE(*page_flags_word(folio)) & (want | unwanted)) == want &&
	       folio_ref_count(folio) < GUP_PIN_COUNTING_BIAS;
}

/**
 * struct pack - which pages of a file are to be packed
 * @pages: base pages of the file in each block, at most U16_MAX
 * @limit: a block that has fewer is not worth being touched
 */
struct pack {
	u16 *pages;
	unsigned int limit;
};

/* Is it worth while to touch a block for this page? */
static bool page_lonely(const struct pack *pack, u64 pfn)
{
	u64 block = pfn >> PKRAM_BLOCK_ORDER;

	return pack && block < pkram_nr_blocks && pack->pages[block] < pack->limit &&
	       !pkram_blocks_count(block) && pkram_blocks_scarce();
}

/*
 * Record the base page @folio, which @xas is at, and up to @max in all of those
 * that follow it both in the file and in memory. Moves @xas and *@folio on to what
 * comes after them. Returns how many were recorded, 0 if the first needs care.
 */
static unsigned int save_run(struct xa_state *xas, struct folio **folio, u64 max,
			     const struct pack *pack, struct pkram_writer *w)
{
	u64 index = xas->xa_index, pfn = folio_pfn(*folio);
	struct page *page = folio_page(*folio, 0);
	unsigned int nr = 0;

	max = pkram_allowed(pfn, max);
	if (unlikely(pack)) {
		if (page_lonely(pack, pfn))
			return 0;
		max = min(max, PKRAM_BLOCK_PAGES - pfn % PKRAM_BLOCK_PAGES);
	}
	while (nr < max && base_page_plain(*folio)) {
		folio_ref_inc(*folio);
		nr++;
		*folio = xas_next(xas);
		if (*folio != (struct folio *)(page + nr))
			break;
	}
	if (nr)
		pkram_writer_add(w, index, pfn, 0, nr);
	return nr;
}

/*
 * Record up to PKRAM_BATCH folios from *@index on. Returns 0 when it came to
 * the end, 1 when there is more, and 2 when the entry at *@index needs care.
 *
 * Under the i_pages lock no folio can be taken out of the file or replaced, and
 * its references cannot be frozen.
 */
static int save_batch(struct address_space *mapping, u64 *index, u64 first, u64 last,
		      const struct pack *pack, struct pkram_writer *w)
{
	XA_STATE(xas, &mapping->i_pages, *index);
	unsigned int order, nr, left = PKRAM_BATCH;
	struct folio *folio;
	int ret = 0;

	guard(rwsem_read)(&pkram_kexec_sem);
	xas_lock_irq(&xas);
	folio = xas_find(&xas, last);
	while (folio && xas.xa_index <= last) {
		*index = xas.xa_index;
		if (!left) {
			ret = 1;
			break;
		}
		if (unlikely(xa_is_value(folio))) {
			ret = 2;
			break;
		}
		if (!folio_test_large(folio)) {
			/* @last may be the largest index there is */
			nr = save_run(&xas, &folio, min(left - 1, last - *index) + 1,
				      pack, w);
			if (!nr) {
				ret = 2;
				break;
			}
			left -= nr;
			if (!folio)
				folio = xas_find(&xas, last);
			continue;
		}
		/* one that began before the range belongs to the range before */
		if (folio->index >= first) {
			order = folio_order(folio);
			if (!large_folio_plain(folio, order)) {
				*index = folio->index;
				ret = 2;
				break;
			}
			folio_get(folio);
			pkram_writer_add(w, folio->index, folio_pfn(folio), order, 1);
			left--;
		}
		/* past the entries that stand for the rest of it */
		xas_advance(&xas, folio_next_index(folio) - 1);
		folio = xas_next_entry(&xas, last);
	}
	xas_unlock_irq(&xas);
	pkram_writer_settle(w);
	return ret;
}

/* What folio_pack() gives to migrate_pages(): one page, once. */
static struct folio *pack_target(struct folio *src, unsigned long private)
{
	struct page **page = (struct page **)private;
	struct page *target = *page;

	*page = NULL;
	return target ? page_folio(target) : NULL;
}

/*
 * Move a base page of a frozen file to where it is packed. Takes over the caller's
 * reference, since migration would fail because of it. Returns 0; -ENOMEM there is no
 * such place; -EAGAIN.
 */
static int folio_pack(struct folio *folio)
{
	int nid = folio_nid(folio), err;
	struct page *page;
	LIST_HEAD(list);

	scoped_guard(rwsem_read, &pkram_kexec_sem)
		page = pkram_alloc_packed(nid);
	if (!page) {
		folio_put(folio);
		return -ENOMEM;
	}
	err = folio_isolate_lru(folio) ? 0 : -EAGAIN;
	folio_put(folio);
	if (!err) {
		list_add(&folio->lru, &list);
		node_stat_mod_folio(folio, NR_ISOLATED_ANON + folio_is_file_lru(folio), 1);
		if (migrate_pages(&list, pack_target, NULL, (unsigned long)&page, MIGRATE_SYNC,
				  MR_CONTIG_RANGE, NULL)) {
			putback_movable_pages(&list);
			err = -EAGAIN;
		}
	}
	if (page)
		__free_page(page);
	return err;
}

/*
 * Deal with one entry that save_batch() stopped at. Returns 0 when save_batch() can
 * look at it again, or when it was recorded and *@index is behind it.
 */
static int save_special(struct inode *inode, u64 *index, const struct pack *pack,
			struct pkram_writer *w)
{
	bool banned, tried = false;
	struct folio *folio;
	int err, packed = 0;

	err = pkram_writer_reserve(w, PKRAM_GFP);
	if (err)
		return err;
again:
	/* Reads back what is swapped out, and zeroes what was only allocated. */
	err = shmem_get_folio(inode, *index, 0, &folio, SGP_FALLOC);
	if (err)
		return err;
	/* The file is frozen, and the reference keeps the folio in its place. */
	folio_unlock(folio);
	if (pkram_folio_poisoned(folio)) {
		err = -EHWPOISON;
		goto out;
	}
	if (folio_pinned(folio)) {
		err = -EBUSY;
		goto out;
	}
	if (!tried && !folio_test_large(folio) && page_lonely(pack, folio_pfn(folio))) {
		tried = true;
		packed = folio_pack(folio);
		goto again;
	}
	if (packed == -EAGAIN) {
		/* it is in use for a moment; where there is no memory for a copy, it stays */
		err = pkram_writer_copy(w, *index, folio,
					GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN);
		if (err != -ENOMEM) {
			++*index;
			goto out;
		}
		err = 0;
	}
	scoped_guard(rwsem_read, &pkram_kexec_sem) {
		banned = pkram_banned(folio_pfn(folio), folio_nr_pages(folio));
		/* save_batch() takes a page that is mapped very often for a pinned one */
		if (!banned && !folio_test_large(folio)) {
			folio_get(folio);
			pkram_writer_add(w, *index, folio_pfn(folio), 0, 1);
			pkram_writer_settle(w);
			++*index;
		}
	}
	if (banned) {
		err = pkram_writer_copy(w, folio->index, folio, PKRAM_GFP);
		*index = folio_next_index(folio);
	}
out:
	folio_put(folio);
	return err;
}

static int save_pages(struct inode *inode, u64 start, u64 last, const bool *stop,
		      const struct pack *pack, struct pkram_writer *w)
{
	u64 index = start;
	int ret;

	do {
		ret = pkram_writer_reserve(w, PKRAM_GFP);
		if (ret)
			break;
		ret = save_batch(inode->i_mapping, &index, start, last, pack, w);
		if (ret == 2)
			ret = save_special(inode, &index, pack, w) ?: 1;
		if (ret > 0 && fatal_signal_pending(current))
			ret = -EINTR;
		if (ret > 0 && READ_ONCE(*stop))
			ret = -ECANCELED;
		cond_resched();
	} while (ret > 0);
	return ret;
}

/* Count the base pages of a stream in each block. */
static void pack_count(struct pack *pack, __le64 head)
{
	struct pkram_reader r;
	unsigned int order;
	struct page *page;
	u64 index;

	pkram_reader_init(&r, head);
	while ((page = pkram_reader_next(&r, &index, &order))) {
		u16 *pages = &pack->pages[page_to_pfn(page) >> PKRAM_BLOCK_ORDER];

		if (*pages <= U16_MAX - (1U << order))
			*pages += 1U << order;
		cond_resched();
	}
}

/* Record a file again, from @start to @last, with its lonely pages packed. */
static int save_packed(struct inode *inode, u64 start, u64 last, const bool *stop,
		       struct pkram_writer *w)
{
	struct pack pack = {
		/* where there is no room at all, every page counts */
		.limit = pkram_blocks_room() ? PKRAM_BLOCK_PAGES / 2 : PKRAM_BLOCK_PAGES,
	};
	int err;

	pack.pages = kvcalloc(pkram_nr_blocks, sizeof(*pack.pages), PKRAM_GFP);
	/* what was recorded is good, too, as long as there is room */
	if (!pack.pages)
		return 0;
	pkram_writer_finish(w);
	pack_count(&pack, pkram_writer_head(w));
	pkram_writer_discard(w);
	/* pages in a CPU's lists can neither be migrated nor become part of a free block */
	lru_add_drain_all();
	drain_all_pages(NULL);
	err = save_pages(inode, start, last, stop, &pack, w);
	kvfree(pack.pages);
	return err;
}

/* Do the pages that were recorded touch more blocks than they should? */
static bool writer_sparse(const struct pkram_writer *w)
{
	if (!pkram_blocks_scarce())
		return false;
	return w->nr_blocks * (pkram_blocks_room() ? PKRAM_BLOCK_PAGES / 2 : PKRAM_BLOCK_PAGES) >
	       w->nr_pages;
}

/**
 * pkram_file_save - record the pages of a frozen file
 * @file:  the file
 * @start: first page index
 * @last:  last page index; ~0 for all that is there
 * @stop:  becomes true when the caller's result is of no use any more
 * @w:     where to; discard it on error
 *
 * Context: between pkram_alloc_hold() and pkram_alloc_release().
 *
 * Return: 0; -EBUSY pages are pinned for DMA; -EHWPOISON; -EIO a page could not
 * be read back from swap; -ENOMEM; -ENOSPC the next kernel would not have room
 * to boot; -EINTR a fatal signal is pending; -ECANCELED *@stop is true.
 */
int pkram_file_save(struct file *file, u64 start, u64 last, const bool *stop,
		    struct pkram_writer *w)
{
	struct inode *inode = file_inode(file);
	int err;

	/* Several ranges at a time; what would change the file is excluded. */
	err = down_read_killable(&inode->i_rwsem);
	if (err)
		return err;
	err = save_pages(inode, start, last, stop, NULL, w);
	if (!err) {
		pkram_writer_flush(w);
		if (writer_sparse(w))
			err = save_packed(inode, start, last, stop, w);
	}
	inode_unlock_shared(inode);

	if (!err && !pkram_blocks_room())
		err = -ENOSPC;
	return err;
}

/** LOAD_BATCH - folios inserted under one hold of the i_pages lock */
#define LOAD_BATCH	64

/**
 * struct load_batch - folios on their way into a file
 * @nr:       how many
 * @poisoned: the hardware lost a part of them
 * @pages:    base pages in them
 * @folio:    the folios, in order
 * @at:       index of each
 */
struct load_batch {
	unsigned int nr;
	bool poisoned;
	unsigned long pages;
	struct folio *folio[LOAD_BATCH];
	pgoff_t at[LOAD_BATCH];
};

/* Get the next folios of a stream. False if there are no more. */
static bool batch_read(struct load_batch *b, struct pkram_reader *r)
{
	unsigned int order, n = 0;
	struct page *page;
	u64 index;
	u32 nr;

	b->pages = 0;
	b->poisoned = false;
	while (n < LOAD_BATCH) {
		page = pkram_reader_run(r, LOAD_BATCH - n, &index, &order, &nr);
		if (!page)
			break;
		b->pages += (unsigned long)nr << order;
		for (; nr; nr--) {
			/* an extent names whole folios */
			struct folio *folio = (struct folio *)page;

			if (unlikely(pkram_folio_poisoned(folio)))
				b->poisoned = true;
			b->folio[n] = folio;
			b->at[n++] = index;
			page += 1UL << order;
			index += 1UL << order;
		}
	}
	b->nr = n;
	return n;
}

/* Prepare the folios of a batch for the page cache of a file. */
static void batch_attach(struct load_batch *b, struct address_space *mapping)
{
	const unsigned long flags = 1UL << PG_uptodate | 1UL << PG_swapbacked |
				    1UL << PG_dirty;
	unsigned int i;

	for (i = 0; i < b->nr; i++) {
		struct folio *folio = b->folio[i];

		pkram_page_show(folio_page(folio, 0));
		folio->mapping = mapping;
		folio->index = b->at[i];
		/* memory_failure() can set PG_hwpoison at the same time */
		set_mask_bits(page_flags_word(folio), 0UL, flags);
		folio_ref_add(folio, folio_nr_pages(folio));
	}
}

/* Undo batch_attach() from folio @i on. */
static void batch_detach(struct load_batch *b, unsigned int i)
{
	for (; i < b->nr; i++) {
		b->folio[i]->mapping = NULL;
		folio_ref_sub(b->folio[i], folio_nr_pages(b->folio[i]));
	}
}

/*
 * Count folios of a batch, from @i to @end, in the statistics of their NUMA nodes. All
 * folios of a load are charged to the same memory cgroup.
 */
static void batch_count(const struct load_batch *b, unsigned int i, unsigned int end)
{
	struct folio *first, *folio;
	long nr, pages, thp;

	while (i < end) {
		first = b->folio[i];
		pages = 0;
		thp = 0;
		do {
			folio = b->folio[i];
			nr = folio_nr_pages(folio);
			pages += nr;
			if (nr > 1 && folio_test_pmd_mappable(folio))
				thp += nr;
		} while (++i < end && folio_nid(b->folio[i]) == folio_nid(first));
		if (thp)
			lruvec_stat_mod_folio(first, NR_SHMEM_THPS, thp);
		lruvec_stat_mod_folio(first, NR_FILE_PAGES, pages);
		lruvec_stat_mod_folio(first, NR_SHMEM, pages);
	}
}

/*
 * Store base pages of a batch, from @i to @end, at the indices after the one that @xas is
 * at, as far as they are in the same node and nothing is there. For most pages this is
 * all there is to do, and xas_store() takes ten times as long. Moves @xas to the last of
 * them. Returns how many there are.
 */
static unsigned int insert_next(struct xa_state *xas, const struct load_batch *b,
				unsigned int i, unsigned int end)
{
	struct xa_node *node = xas->xa_node;
	void __rcu **slot;
	unsigned int n;

	/* the only entry of an array is not in a node */
	if (!node || node->shift)
		return 0;
	end = min(end, i + XA_CHUNK_MASK - xas->xa_offset);
	slot = &node->slots[xas->xa_offset + 1];
	for (n = 0; i + n < end && !rcu_access_pointer(slot[n]); n++)
		rcu_assign_pointer(slot[n], b->folio[i + n]);
	node->count += n;
	xas->xa_offset += n;
	xas->xa_index += n;
	return n;
}

/*
 * Put folio @i of a batch into the page cache, and base pages that follow it in the file.
 * Returns how many got in; the error of @xas says why if it is none.
 */
static unsigned int insert_some(struct xa_state *xas, struct load_batch *b, unsigned int i)
{
	unsigned int order = folio_order(b->folio[i]), end = i + 1;

	xas_set_order(xas, b->at[i], order);
	if (unlikely(xas_find_conflict(xas))) {
		xas_set_err(xas, -EBUSY);
		return 0;
	}
	xas_store(xas, b->folio[i]);
	if (unlikely(xas_error(xas)))
		return 0;
	if (order)
		return 1;
	while (end < b->nr && b->at[end] == b->at[end - 1] + 1 && !folio_test_large(b->folio[end]))
		end++;
	return 1 + insert_next(xas, b, i + 1, end);
}

/*
 * Put a batch into the page cache. The file is empty, frozen and its inode locked,
 * but a page fault may be under way that began when the file had a size, and adds
 * a page before it looks at the size again. Sets @done to how many folios got in;
 * the others belong to no file. Returns 0, -EBUSY or -ENOMEM.
 */
static int insert_batch(struct address_space *mapping, struct load_batch *b, gfp_t gfp,
			unsigned int *done)
{
	XA_STATE(xas, &mapping->i_pages, 0);
	unsigned int i = 0, begin, nr;

	batch_attach(b, mapping);
	do {
		xas_lock_irq(&xas);
		begin = i;
		while (i < b->nr) {
			nr = insert_some(&xas, b, i);
			if (!nr)
				break;
			i += nr;
		}
		batch_count(b, begin, i);
		xas_unlock_irq(&xas);
	} while (xas_nomem(&xas, gfp));
	batch_detach(b, i);
	*done = i;
	return xas_error(&xas);
}

/* Charge a batch to the active memory cgroup. */
static int charge_batch(struct load_batch *b, gfp_t gfp)
{
	unsigned int i;
	int err = 0;

	if (mem_cgroup_disabled())
		return 0;
	for (i = 0; i < b->nr && !err; i++)
		err = mem_cgroup_charge(b->folio[i], NULL, gfp);
	if (err)
		while (--i > 0)
			mem_cgroup_uncharge(b->folio[i - 1]);
	return err;
}

/* Charge a batch and put it into the file; on error, nothing stays charged that is not in it. */
static int load_batch(struct inode *inode, struct load_batch *b, gfp_t gfp)
{
	struct address_space *mapping = inode->i_mapping;
	unsigned long left = 0;
	unsigned int done = 0;
	bool charged;
	int err;

	err = charge_batch(b, gfp);
	if (err)
		return err;
	charged = shmem_charge(inode, b->pages);
	err = charged ? insert_batch(mapping, b, gfp, &done) : -ENOSPC;
	if (likely(!err))
		return 0;

	for (; done < b->nr; done++) {
		left += folio_nr_pages(b->folio[done]);
		mem_cgroup_uncharge(b->folio[done]);
	}
	if (charged) {
		xa_lock_irq(&mapping->i_pages);
		mapping->nrpages -= left;
		xa_unlock_irq(&mapping->i_pages);
		shmem_uncharge(inode, left);
	}
	return err;
}

/*
 * Put the pages of an object into a file. Sets *@ret_end to the index after the last
 * page that may be in it, on error, too.
 */
static int load_pages(struct inode *inode, const struct pkram_object *obj,
		      struct load_batch *b, u64 *ret_end)
{
	/* A load that exceeds a limit fails; the OOM killer is not invoked. */
	gfp_t gfp = (mapping_gfp_mask(inode->i_mapping) & GFP_RECLAIM_MASK) |
		    __GFP_RETRY_MAYFAIL | __GFP_NOWARN;
	struct pkram_reader r;
	int err = 0;

	*ret_end = 0;
	pkram_reader_init(&r, obj->pages_head);
	while (!err) {
		if (fatal_signal_pending(current))
			return -EINTR;
		if (!batch_read(b, &r))
			break;
		if (b->poisoned)
			return -EHWPOISON;
		err = load_batch(inode, b, gfp);
		*ret_end = r.index;
		cond_resched();
	}
	return err;
}

/* Undo what load_pages() did up to index @end. */
static void unload_pages(struct inode *inode, const struct pkram_object *obj, u64 end)
{
	const struct timespec64 mtime = inode_get_mtime(inode), ctime = inode_get_ctime(inode);
	struct pkram_reader r;
	unsigned int order;
	struct page *page;
	u64 index;

	shmem_truncate_range(inode, 0, -1);
	inode_set_mtime_to_ts(inode, mtime);
	inode_set_ctime_to_ts(inode, ctime);
	if (mem_cgroup_disabled())
		return;
	pkram_reader_init(&r, obj->pages_head);
	while ((page = pkram_reader_next(&r, &index, &order)) && index < end) {
		mem_cgroup_uncharge(page_folio(page));
		cond_resched();
	}
}

/*
 * Put folios of a batch, from @i on, onto the unevictable list of one lruvec. Returns
 * which is the first that belongs to another zone, or the number of all.
 */
static unsigned int lru_add_some(const struct load_batch *b, unsigned int i)
{
	const unsigned long flags = 1UL << PG_lru | 1UL << PG_unevictable;
	struct folio *folio = b->folio[i];
	struct lruvec *lruvec = folio_lruvec_lock_irq(folio);
	enum zone_type zone = folio_zonenum(folio);
	int zone_id = page_zone_id(folio_page(folio, 0));
	long pages = 0;

	do {
		folio = b->folio[i];
		pages += folio_nr_pages(folio);
		folio->mlock_count = 0;
		set_mask_bits(page_flags_word(folio), 0UL, flags);
	} while (++i < b->nr && page_zone_id(folio_page(b->folio[i], 0)) == zone_id);
	update_lru_size(lruvec, LRU_UNEVICTABLE, zone, pages);
	lruvec_unlock_irq(lruvec);
	return i;
}

/*
 * Put all folios of a loaded object onto the unevictable list. This is done when
 * nothing can fail any more: a folio on a list can be isolated, and could not be taken
 * back at any time.
 */
static void lru_add_pages(const struct pkram_object *obj, struct load_batch *b)
{
	struct pkram_reader r;
	unsigned int i;

	pkram_reader_init(&r, obj->pages_head);
	while (batch_read(b, &r)) {
		for (i = 0; i < b->nr; )
			i = lru_add_some(b, i);
		cond_resched();
	}
}

static int set_attributes(struct file *file, const struct pkram_object *obj)
{
	struct iattr attr = {
		.ia_valid = ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_FORCE |
			    ATTR_ATIME | ATTR_ATIME_SET | ATTR_MTIME | ATTR_MTIME_SET,
		.ia_mode = le32_to_cpu(obj->mode),
		.ia_vfsuid = VFSUIDT_INIT(make_kuid(&init_user_ns, le32_to_cpu(obj->uid))),
		.ia_vfsgid = VFSGIDT_INIT(make_kgid(&init_user_ns, le32_to_cpu(obj->gid))),
		.ia_atime = ns_to_timespec64(le64_to_cpu(obj->atime_ns)),
		.ia_mtime = ns_to_timespec64(le64_to_cpu(obj->mtime_ns)),
	};
	struct inode *inode = file_inode(file);
	int err;

	err = notify_change(&nop_mnt_idmap, file->f_path.dentry, &attr, NULL);
	if (err)
		return err;
	/* a caller without CAP_FSETID cannot set the set-group-ID bit */
	inode->i_mode = le32_to_cpu(obj->mode);
	inode_set_ctime_to_ts(inode, ns_to_timespec64(le64_to_cpu(obj->ctime_ns)));
	return 0;
}

static int load_locked(struct pkram_file *pf, const struct pkram_object *obj, bool fresh)
{
	const unsigned int all_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE |
				       F_SEAL_FUTURE_WRITE | F_SEAL_EXEC;
	struct inode *inode = file_inode(pf->file);
	struct shmem_inode_info *info = SHMEM_I(inode);
	struct load_batch *b __free(kfree) = kmalloc(sizeof(*b), GFP_KERNEL);
	u64 end, size = le64_to_cpu(obj->size);
	int err;

	if (!b)
		return -ENOMEM;
	if (i_size_read(inode) || inode->i_mapping->nrpages || info->swapped)
		return -EINVAL;
	if (size > inode->i_sb->s_maxbytes)
		return -EFBIG;
	if (info->seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return -EPERM;
	err = freeze_locked(pf);
	if (err)
		return err;
	err = load_pages(inode, obj, b, &end);
	/* last of what can fail, so that the attributes of @target need not be restored */
	if (!err)
		err = set_attributes(pf->file, obj);
	if (err) {
		unload_pages(inode, obj, end);
		thaw_locked(pf);
		return err;
	}

	/* Seals of @target stay. Those of a new file have not been seen yet. */
	if (fresh)
		info->seals = 0;
	info->seals |= le32_to_cpu(obj->seals) & all_seals;
	/* a sealed file keeps the denial when it is thawed, as F_ADD_SEALS does it */
	if (info->seals & F_SEAL_WRITE)
		pf->denied = false;
	i_size_write(inode, size);
	info->fallocend = max_t(u64, info->fallocend,
				end > DIV_ROUND_UP(size, PAGE_SIZE) ? end : 0);
	lru_add_pages(obj, b);
	return 0;
}

/**
 * pkram_file_load - make a file out of an object, without copying
 * @obj:    the object, with PKRAM_OBJ_FILE
 * @target: empty shmem file to put it into, or NULL for a new memfd
 * @memcg:  memory cgroup that is charged for the pages, or NULL for the caller's
 *
 * On error, @target is as it was before.
 *
 * Return: the file, frozen, to be given to pkram_file_thaw(); or an error
 * pointer: -EINVAL @target is not an empty regular shmem file, -EPERM it has
 * seals, -EBUSY it is mapped shared and writable or a page fault put a page into it
 * in the meantime, -EFBIG, -EHWPOISON the hardware lost a part of it, -ENOMEM also if
 * the memory cgroup has not enough room, -ENOSPC, -EDQUOT, -EINTR a fatal signal is
 * pending.
 */
struct pkram_file *pkram_file_load(const struct pkram_object *obj, struct file *target,
				   struct mem_cgroup *memcg)
{
	struct mem_cgroup *charged, *old;
	struct file *file = target;
	struct pkram_file *pf;
	struct inode *inode;
	int err;

	if (target && (!shmem_file(target) || !S_ISREG(file_inode(target)->i_mode)))
		return ERR_PTR(-EINVAL);
	if (obj->nr_poisoned)
		return ERR_PTR(-EHWPOISON);
	if (!target) {
		file = shmem_file_setup("memfd:pkram", 0, mk_vma_flags(VMA_NORESERVE_BIT));
		if (IS_ERR(file))
			return ERR_CAST(file);
	}
	pf = file_alloc(file);
	if (!target)
		fput(file);
	if (!pf)
		return ERR_PTR(-ENOMEM);

	/* The caller can move to another cgroup at any time; the load stays with one. */
	charged = memcg ? NULL : get_mem_cgroup_from_mm(NULL);
	inode = file_inode(file);
	err = down_write_killable(&inode->i_rwsem);
	if (!err) {
		old = set_active_memcg(memcg ?: charged);
		err = load_locked(pf, obj, !target);
		set_active_memcg(old);
		inode_unlock(inode);
	}
	mem_cgroup_put(charged);
	if (err) {
		file_free(pf);
		return ERR_PTR(err);
	}
	return pf;
}
