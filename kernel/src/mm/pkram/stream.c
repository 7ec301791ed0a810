// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: page streams and byte streams.
 */
#include <linux/mm.h>
#include <linux/pkram.h>
#include <linux/swap.h>
#include <linux/uio.h>

#include "alloc.h"
#include "pkram.h"
#include "stream.h"

/**
 * DOC: streams
 *
 * A stream is a chain of link pages full of extents (see
 * include/linux/pkram_format.h). It owns one reference on every folio it names
 * and one on each link page; the pages are counted in their blocks from the
 * moment the extent is written.
 *
 * Life cycle: pkram_writer_reserve() makes sure that a batch can be recorded
 * without allocating, pkram_writer_add() records under spinlocks, and
 * pkram_writer_finish() closes the last link. From then on the chain does not
 * change. It ends in pkram_stream_free() or in the next kernel.
 *
 * A run of folios that follow each other both in the file and in memory is kept
 * back in the writer until something else comes, so the usual file costs a few
 * instructions a folio and hardly any metadata.
 */

/**
 * pkram_writer_reserve - prepare for the next PKRAM_BATCH additions
 * @w:   the writer
 * @gfp: allocation flags
 *
 * A folio takes two extents at most, so a batch and the run before it fit into
 * what is left of a link page plus one spare.
 *
 * Context: as @gfp says; must not hold pkram_kexec_sem.
 * Return: 0 or -ENOMEM.
 */
int pkram_writer_reserve(struct pkram_writer *w, gfp_t gfp)
{
	BUILD_BUG_ON(2 * (PKRAM_BATCH + 2) > PKRAM_LINK_EXTENTS);

	if (w->spare || (w->tail && w->nr_extents + 2 * (PKRAM_BATCH + 2) <=
				    PKRAM_LINK_EXTENTS))
		return 0;
	w->spare = pkram_alloc_meta(PKRAM_PAGE_LINK, gfp);
	return w->spare ? 0 : -ENOMEM;
}

static void close_link(struct pkram_writer *w)
{
	struct pkram_link *link = w->tail;

	link->nr_extents = cpu_to_le32(w->nr_extents);
	link->hdr.length = cpu_to_le32(ALIGN(offsetof(struct pkram_link, extents) +
					     w->nr_extents * PKRAM_EXTENT_BYTES, 8));
	pkram_page_finish(&link->hdr);
}

static void put_extent(struct pkram_writer *w, u64 raw)
{
	if (unlikely(!w->tail || w->nr_extents == PKRAM_LINK_EXTENTS)) {
		struct pkram_link *link = w->spare;

		link->index = cpu_to_le64(w->pos);
		if (w->tail) {
			w->tail->hdr.next = link->hdr.pfn;
			close_link(w);
		} else {
			w->head = link;
		}
		w->tail = link;
		w->spare = NULL;
		w->nr_extents = 0;
		w->nr_links++;
	}
	pkram_extent_put(w->tail, w->nr_extents++, raw);
}

/**
 * pkram_writer_settle - count the pages of the pending run in their blocks
 * @w: the writer
 *
 * Context: pkram_kexec_sem held for reading since the pages were found not to
 * be banned. Afterwards images keep off them.
 */
void pkram_writer_settle(struct pkram_writer *w)
{
	u64 nr = ((u64)w->run.count << w->run.order) - w->counted;

	if (nr) {
		lockdep_assert_held_read(&pkram_kexec_sem);
		w->nr_blocks += pkram_blocks_add(w->run.pfn + w->counted, nr);
		w->counted += nr;
	}
}

/**
 * pkram_writer_flush - write the pending run
 * @w: the writer
 */
void pkram_writer_flush(struct pkram_writer *w)
{
	struct pkram_extent *e = &w->run;
	u64 nr = (u64)e->count << e->order;

	if (!e->count)
		return;
	if (!e->order && e->count == 1 && e->gap <= PKRAM_EXT_MAX_GAP) {
		put_extent(w, pkram_extent_single(e->pfn, e->gap));
		w->pos += e->gap;
	} else {
		/* the run may be the first in a link page, whose header says where it begins */
		if (e->gap)
			put_extent(w, pkram_extent_long_gap(e->gap));
		w->pos += e->gap;
		put_extent(w, pkram_extent_run(e->pfn, e->order, e->count));
	}
	pkram_writer_settle(w);
	w->counted = 0;
	w->pos += nr;
	e->count = 0;
}

/**
 * pkram_writer_finish - close a stream
 * @w: the writer; afterwards only its @head, @tail, @pos, @nr_links and @nr_pages
 *     are of use
 */
void pkram_writer_finish(struct pkram_writer *w)
{
	pkram_writer_flush(w);
	if (w->tail)
		close_link(w);
	if (w->spare)
		pkram_free_meta(w->spare);
	w->spare = NULL;
	w->end_pfn = 0;
}

/**
 * pkram_writer_discard - give back everything a writer took
 * @w: the writer, usable for a new stream afterwards
 */
void pkram_writer_discard(struct pkram_writer *w)
{
	pkram_writer_finish(w);
	pkram_stream_free(pkram_writer_head(w));
	memset(w, 0, sizeof(*w));
}

static struct pkram_link *link_at(__le64 pfn)
{
	return pfn ? pfn_to_kaddr(le64_to_cpu(pfn)) : NULL;
}

/**
 * pkram_reader_init - start reading a stream
 * @r:    the reader
 * @head: first link page, 0 for an empty stream
 */
void pkram_reader_init(struct pkram_reader *r, __le64 head)
{
	memset(r, 0, sizeof(*r));
	r->link = link_at(head);
	if (r->link)
		r->index = le64_to_cpu(r->link->index);
}

/**
 * pkram_reader_fill - go on to the next extent that has pages
 * @r: the reader, its extent exhausted
 *
 * The chain was checked when it was adopted, or was made by this kernel. Large
 * folios of a kernel with THP are base pages in one without.
 *
 * Return: false at the end of the stream.
 */
bool pkram_reader_fill(struct pkram_reader *r)
{
	while (r->link) {
		if (r->i == le32_to_cpu(r->link->nr_extents)) {
			r->link = link_at(r->link->hdr.next);
			r->i = 0;
			if (!r->link)
				return false;
			r->index = le64_to_cpu(r->link->index);
		}
		r->ext = pkram_extent_folios(pkram_extent_raw(r->link, r->i++));
		r->index += r->ext.gap;
		if (r->ext.count)
			return true;
	}
	return false;
}

/**
 * pkram_stream_free - drop a stream and its references
 * @head: first link page, 0 for none
 *
 * Return: link pages freed.
 */
u64 pkram_stream_free(__le64 head)
{
	struct pkram_link *link = link_at(head), *next;
	u64 nr_links = 0, nr_folios = 0;

	for (; link; link = next) {
		u32 i, nr = le32_to_cpu(link->nr_extents);

		for (i = 0; i < nr; i++) {
			struct pkram_extent e =
				pkram_extent_folios(pkram_extent_raw(link, i));
			struct folio *folio;

			if (!e.count)
				continue;
			pkram_blocks_sub(e.pfn, (u64)e.count << e.order);
			do {
				folio = pfn_folio(e.pfn);
				pkram_page_show(folio_page(folio, 0));
				/* see poison.c: not to the allocator with its bad page */
				if (!folio_test_large(folio) || !pkram_folio_poisoned(folio))
					folio_put(folio);
				e.pfn += 1UL << e.order;
				/* a link page can hold a million of them */
				if (!(++nr_folios % 64))
					cond_resched();
			} while (--e.count);
		}
		next = link_at(link->hdr.next);
		pkram_free_meta(link);
		nr_links++;
	}
	return nr_links;
}

/* Record a base page that is a copy of @from. */
static int writer_copy_page(struct pkram_writer *w, u64 index, struct page *from, gfp_t gfp)
{
	struct page *page;
	int err;

	err = pkram_writer_reserve(w, gfp);
	if (err)
		return err;
	guard(rwsem_read)(&pkram_kexec_sem);
	page = pkram_alloc_page(gfp, page_to_nid(from));
	if (!page)
		return -ENOMEM;
	if (copy_mc_highpage(page, from)) {
		__free_page(page);
		return -EHWPOISON;
	}
	pkram_writer_add(w, index, page_to_pfn(page), 0, 1);
	pkram_writer_settle(w);
	return 0;
}

/* Record a copy of @folio that is as large. -ENOMEM if there is no memory for one. */
static int writer_copy_folio(struct pkram_writer *w, u64 index, struct folio *folio, gfp_t gfp)
{
	unsigned int order = folio_order(folio);
	struct folio *copy;
	int err;

	err = pkram_writer_reserve(w, gfp);
	if (err)
		return err;
	guard(rwsem_read)(&pkram_kexec_sem);
	copy = pkram_alloc_folio((gfp & ~__GFP_RETRY_MAYFAIL) | __GFP_NORETRY | __GFP_NOWARN,
				 order, folio_nid(folio));
	if (!copy)
		return -ENOMEM;
	err = folio_mc_copy(copy, folio);
	if (err) {
		if (!pkram_folio_poisoned(copy))
			folio_put(copy);
		return err;
	}
	pkram_writer_add(w, index, folio_pfn(copy), order, 1);
	pkram_writer_settle(w);
	return 0;
}

/**
 * pkram_writer_copy - record a copy of a folio
 * @w:     the writer
 * @index: index of the folio in the stream, not below the end of the last one
 * @folio: the folio, which does not change and stays where it is
 * @gfp:   allocation flags
 *
 * The copy is as large as @folio if there is memory for that, else base pages.
 *
 * Context: may sleep; must not hold pkram_kexec_sem.
 *
 * Return: 0; -ENOMEM; -EHWPOISON the memory of @folio cannot be read.
 */
int pkram_writer_copy(struct pkram_writer *w, u64 index, struct folio *folio,
		      gfp_t gfp)
{
	u64 i, nr = folio_nr_pages(folio);
	int err = -ENOMEM;

	if (nr > 1)
		err = writer_copy_folio(w, index, folio, gfp);
	if (err != -ENOMEM)
		return err;
	for (i = 0; i < nr; i++) {
		err = writer_copy_page(w, index + i, folio_page(folio, i), gfp);
		if (err)
			return err;
	}
	return 0;
}

/**
 * pkram_stream_banned - does any of a stream lie where an image goes?
 * @head: first link page, 0 for an empty stream
 *
 * Context: may sleep; caller holds pkram_kexec_sem for reading.
 */
bool pkram_stream_banned(__le64 head)
{
	const struct pkram_link *link;
	u32 i;

	lockdep_assert_held_read(&pkram_kexec_sem);
	for (link = link_at(head); link; link = link_at(link->hdr.next)) {
		if (pkram_banned(pkram_pfn(link), 1))
			return true;
		for (i = 0; i < le32_to_cpu(link->nr_extents); i++) {
			struct pkram_extent e =
				pkram_extent_decode(pkram_extent_raw(link, i));

			if (e.count && pkram_banned(e.pfn, (u64)e.count << e.order))
				return true;
		}
		cond_resched();
	}
	return false;
}

/**
 * pkram_stream_move - write a stream again, with copies instead of banned pages
 * @head: first link page of the stream, which stays as it is
 * @w:    a fresh writer; finished after success, to be discarded after an error
 *
 * Both streams have a reference on each folio that is not banned.
 *
 * Context: may sleep; must not hold pkram_kexec_sem.
 *
 * Return: 0; -ENOMEM; -EHWPOISON a page has a memory error.
 */
int pkram_stream_move(__le64 head, struct pkram_writer *w)
{
	unsigned int order, n;
	struct pkram_reader r;
	struct folio *folio;
	bool banned = false;
	u64 index;
	int err;

	pkram_reader_init(&r, head);
	do {
		err = pkram_writer_reserve(w, PKRAM_GFP);
		if (err)
			return err;
		folio = NULL;
		scoped_guard(rwsem_read, &pkram_kexec_sem) {
			for (n = 0; n < PKRAM_BATCH; n++) {
				folio = pkram_reader_folio(&r, &index, &order);
				if (!folio)
					break;
				if (pkram_folio_poisoned(folio)) {
					err = -EHWPOISON;
					break;
				}
				banned = pkram_banned(folio_pfn(folio), 1UL << order);
				if (banned)
					break;
				folio_get(folio);
				pkram_writer_add(w, index, folio_pfn(folio), order, 1);
			}
			pkram_writer_settle(w);
		}
		if (!err && folio && banned)
			err = pkram_writer_copy(w, index, folio, PKRAM_GFP);
		if (err)
			return err;
		cond_resched();
	} while (folio);
	pkram_writer_finish(w);
	return 0;
}

/*
 * Record a fresh page for the byte stream. The page goes to the stream, which
 * gives it back if the stream is discarded.
 */
static int bytes_new_page(struct pkram_bytes *b, gfp_t gfp)
{
	struct page *page;
	int err;

	if (!pkram_memory_left(b->w.nr_pages, 1))
		return -ENOMEM;
	err = pkram_writer_reserve(&b->w, gfp);
	if (err)
		return err;

	guard(rwsem_read)(&pkram_kexec_sem);
	page = pkram_alloc_page(gfp, numa_mem_id());
	if (!page)
		return -ENOMEM;
	pkram_writer_add(&b->w, b->w.nr_pages, page_to_pfn(page), 0, 1);
	pkram_writer_settle(&b->w);
	b->page = page;
	return 0;
}

/**
 * pkram_bytes_append - copy bytes to the end of a byte stream
 * @b:    the stream
 * @from: where the bytes come from
 * @gfp:  allocation flags
 *
 * Return: 0 when all were copied; -ENOMEM, -ENOSPC, -EFAULT or -EINTR when not,
 * and then the stream is longer by an unspecified part of them: discard it.
 */
int pkram_bytes_append(struct pkram_bytes *b, struct iov_iter *from, gfp_t gfp)
{
	int err;

	while (iov_iter_count(from)) {
		size_t at = b->len % PAGE_SIZE;
		size_t n = min(PAGE_SIZE - at, iov_iter_count(from));

		if (!b->page) {
			if (fatal_signal_pending(current))
				return -EINTR;
			err = bytes_new_page(b, gfp);
			if (err)
				return err;
		}
		if (copy_page_from_iter(b->page, at, n, from) != n)
			return -EFAULT;
		b->len += n;
		if (b->len % PAGE_SIZE == 0)
			b->page = NULL;
		cond_resched();
	}
	return pkram_blocks_room() ? 0 : -ENOSPC;
}

/**
 * pkram_bytes_finish - close a byte stream
 * @b: the stream
 *
 * What the last page held before is not for the next kernel.
 */
void pkram_bytes_finish(struct pkram_bytes *b)
{
	size_t used = b->len % PAGE_SIZE;

	if (b->page)
		memset(page_address(b->page) + used, 0, PAGE_SIZE - used);
	b->page = NULL;
	pkram_writer_finish(&b->w);
}

/**
 * pkram_bytes_read - copy bytes out of a byte stream
 * @obj: object with the stream
 * @pos: first byte
 * @to:  where they go
 *
 * Finding @pos takes a step an extent; readers that go through a long stream
 * should do so in large pieces.
 *
 * Return: bytes copied, less than asked for at the end of the stream or of the
 * writable part of @to; -EHWPOISON the hardware lost a part of the object.
 */
ssize_t pkram_bytes_read(const struct pkram_object *obj, u64 pos, struct iov_iter *to)
{
	u64 len = le64_to_cpu(obj->nr_bytes);
	struct pkram_reader r;
	struct page *page;
	size_t done = 0;

	if (obj->nr_poisoned)
		return -EHWPOISON;
	pkram_reader_init(&r, obj->bytes_head);
	while (pos < len && iov_iter_count(to)) {
		size_t at = pos % PAGE_SIZE;
		size_t n = min3((u64)PAGE_SIZE - at, len - pos, (u64)iov_iter_count(to));
		u64 skip, index = pos >> PAGE_SHIFT;

		/* byte streams have no gaps and base pages only */
		while (r.index + r.ext.count <= index) {
			r.index += r.ext.count;
			r.ext.count = 0;
			if (!pkram_reader_fill(&r))
				return done;
		}
		skip = index - r.index;
		r.index += skip;
		r.ext.pfn += skip;
		r.ext.count -= skip;

		page = pfn_to_page(r.ext.pfn);
		if (PageHWPoison(page))
			return -EHWPOISON;
		n = copy_page_to_iter(page, at, n, to);
		if (!n)
			break;
		pos += n;
		done += n;
		cond_resched();
	}
	return done;
}
