// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: pages of shmem files into nodes.
 */
#include <linux/fs.h>
#include <linux/migrate.h>
#include <linux/mm_inline.h>
#include <linux/pagemap.h>
#include <linux/pkram.h>
#include <linux/pkram_compat.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/swap.h>

#include "../internal.h"
#include "alloc.h"
#include "pkram.h"
#include "shmem.h"
#include "stream.h"

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
		err = -ENOMEM;
		if (pkram_memory_left(folio->index, folio_nr_pages(folio)))
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
