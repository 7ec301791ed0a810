/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PKRAM: page and byte streams; see stream.c.
 */
#ifndef _MM_PKRAM_STREAM_H
#define _MM_PKRAM_STREAM_H

#include <linux/mm.h>
#include <linux/pkram_format.h>

struct iov_iter;

/*
 * Adopted data that nothing uses so far is hidden from crash dumps, which leave page
 * cache out. The first page of a folio counts. To be shown before it is used or freed.
 */
static inline void pkram_page_hide(struct page *page)
{
	__SetPageOffline(page);
}

static inline void pkram_page_show(struct page *page)
{
	/* the same word counts the mappings of a page that is in use */
	if (unlikely(PageOffline(page)))
		__ClearPageOffline(page);
}

/**
 * struct pkram_writer - a page stream being written
 * @head:     first link page, NULL while the stream is empty
 * @tail:     link page being filled
 * @spare:    link page to go on with when @tail is full
 * @nr_extents: extents in @tail
 * @nr_links: link pages in use
 * @nr_pages: base pages recorded, pending run included
 * @nr_blocks: blocks of them that had no preserved page before
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
	u64 nr_blocks;
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
 * @order: order of each, at most MAX_PAGE_ORDER
 * @count: folios that follow each other in the stream and in memory, 1 to
 *         PKRAM_BATCH
 *
 * The stream consumes one reference that the caller holds on each folio. Call
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

/**
 * pkram_reader_folio - next folio of a stream whose extents name whole folios
 * @r:     the reader
 * @index: output, its index in the stream
 * @order: output, its order
 *
 * Return: the folio, NULL at the end. The reference stays the stream's.
 */
static inline struct folio *pkram_reader_folio(struct pkram_reader *r, u64 *index,
					       unsigned int *order)
{
	/* the first page of a folio has its address; NULL stays NULL */
	return (struct folio *)pkram_reader_next(r, index, order);
}

/**
 * pkram_reader_run - next folios of a stream that follow each other in memory as well
 * @r:     the reader
 * @max:   highest number of them
 * @index: output, index of the first in the stream
 * @order: output, order of each
 * @nr:    output, how many there are, at least 1
 *
 * Return: the first page of the first folio, NULL at the end. The references stay the
 * stream's.
 */
static inline struct page *pkram_reader_run(struct pkram_reader *r, u32 max, u64 *index,
					    unsigned int *order, u32 *nr)
{
	struct page *page;
	u64 pages;

	if (!r->ext.count && !pkram_reader_fill(r))
		return NULL;
	*nr = min(r->ext.count, max);
	*index = r->index;
	*order = r->ext.order;
	page = pfn_to_page(r->ext.pfn);
	pages = (u64)*nr << r->ext.order;
	r->ext.pfn += pages;
	r->index += pages;
	r->ext.count -= *nr;
	return page;
}

int pkram_writer_copy(struct pkram_writer *w, u64 index, struct folio *folio,
		      gfp_t gfp);
bool pkram_stream_banned(__le64 head);
int pkram_stream_move(__le64 head, struct pkram_writer *w);
u64 pkram_stream_free(__le64 head);

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

int pkram_bytes_append(struct pkram_bytes *b, struct iov_iter *from, gfp_t gfp);
void pkram_bytes_finish(struct pkram_bytes *b);
ssize_t pkram_bytes_read(const struct pkram_object *obj, u64 pos, struct iov_iter *to);

#endif /* _MM_PKRAM_STREAM_H */
