// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit suite pkram-stream: what the writer writes and the reader reads.
 */
#include <linux/mm.h>
#include <linux/sort.h>

#include "helpers.h"

static int cmp_pages(const void *a, const void *b)
{
	const struct page * const *x = a, * const *y = b;

	return *x < *y ? -1 : *x > *y;
}

/*
 * @nr base pages that follow each other in memory, each with one reference that
 * is the test's. Asks for more than needed and looks for neighbours.
 */
static struct page **new_pages(struct kunit *test, unsigned int nr)
{
	const unsigned int order = MAX_PAGE_ORDER, size = 1U << order;
	unsigned int want = DIV_ROUND_UP(nr, size), got = 0, run = 0, i, j;
	struct page *block[32], **pages, **ret = NULL;

	while (got < ARRAY_SIZE(block) && (want > 1 || !got)) {
		struct page *page = alloc_pages(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN,
						order);

		if (!page)
			break;
		KUNIT_EXPECT_GE(test, page_to_pfn(page), PKRAM_MIN_PFN);
		block[got++] = page;
	}
	sort(block, got, sizeof(*block), cmp_pages, NULL);
	for (i = 0; i < got; i++) {
		run = i && block[i] == block[i - 1] + size ? run + 1 : 1;
		if (run == want)
			break;
	}
	if (i == got)
		run = 0;

	pages = kunit_kmalloc_array(test, max(nr, 1U), sizeof(*pages), GFP_KERNEL);
	for (j = 0; j < got; j++) {
		struct page *page = block[j];
		unsigned int k, first;

		if (!pages || run != want || j > i || j + want <= i) {
			__free_pages(page, order);
			continue;
		}
		ret = pages;
		first = (j - (i + 1 - want)) * size;
		split_page(page, order);
		for (k = 0; k < size; k++) {
			if (first + k >= nr) {
				__free_page(page + k);
				continue;
			}
			pages[first + k] = page + k;
			/* runs put_page() at once if it fails, which the test notices */
			KUNIT_EXPECT_EQ(test, kunit_add_action_or_reset(test, kt_put_folio,
									page_folio(page + k)),
					0);
		}
	}
	if (!ret)
		kunit_skip(test, "no %u pages in a row", nr);
	return ret;
}

static unsigned int nr_extents(__le64 head)
{
	const struct pkram_link *link;
	unsigned int n = 0;

	for (link = kt_link_at(head); link; link = kt_link_at(link->hdr.next))
		n += le32_to_cpu(link->nr_extents);
	return n;
}

static unsigned int nr_links(__le64 head)
{
	const struct pkram_link *link;
	unsigned int n = 0;

	for (link = kt_link_at(head); link; link = kt_link_at(link->hdr.next))
		n++;
	return n;
}

/* Load them again: the same pages, the same order, no reference lost or left. */
static void load_pages(struct kunit *test, const char *name, struct page **pages,
		       unsigned int nr)
{
	unsigned int i, wrong = 0;
	struct pkram_stream ps;
	unsigned long index;
	struct page *page;

	kt_begin_load(test, &ps, name);
	PKRAM_ACCESS(pa, &ps, pages);
	for (i = 0; (page = pkram_load_file_page(&pa, &index)); i++) {
		if (i >= nr || page != pages[i] || index != page_folio(page)->index ||
		    folio_ref_count(page_folio(page)) != 3)
			wrong++;
		put_page(page);
	}
	KUNIT_EXPECT_EQ(test, i, nr);
	KUNIT_EXPECT_EQ(test, wrong, 0);
	pkram_finish_access(&pa, true);
	kt_end_load(&ps);
	for (i = 0, wrong = 0; i < nr; i++)
		wrong += folio_ref_count(page_folio(pages[i])) != 1;
	KUNIT_EXPECT_EQ(test, wrong, 0);
}

static void stream_byte_sizes(struct kunit *test)
{
	static const size_t sizes[] = {
		1, 2, 4095, 4096, 4097, 8191, 8192, 8193, 3 * 4096 + 5, 300 * 4096 + 1,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		u8 *want = kt_new_pattern(test, sizes[i]);
		u8 *got = kunit_kzalloc(test, sizes[i] + 1, GFP_KERNEL);
		struct pkram_stream ps;

		KUNIT_ASSERT_NOT_NULL(test, got);
		kt_save_bytes(test, "n", sizes[i]);
		KUNIT_EXPECT_EQ(test, pkram.data_pages, DIV_ROUND_UP(sizes[i], PAGE_SIZE));
		kt_begin_load(test, &ps, "n");
		PKRAM_ACCESS(pa, &ps, bytes);
		KUNIT_EXPECT_EQ(test, pkram_read(&pa, got, sizes[i] + 1), sizes[i]);
		KUNIT_EXPECT_EQ(test, memcmp(got, want, sizes[i]), 0);
		KUNIT_EXPECT_EQ(test, pkram_read(&pa, got, 1), 0);
		pkram_finish_access(&pa, true);
		kt_end_load(&ps);
		kunit_kfree(test, got);
		kunit_kfree(test, want);
	}
}

/* Pieces in which it is written and pieces in which it is read do not matter. */
static void stream_byte_pieces(struct kunit *test)
{
	static const size_t pieces[] = { 1, 7, 100, 4095, 4096, 5000, 3, 12289 };
	const size_t len = 123456;
	u8 *want = kt_new_pattern(test, len), *got = kunit_kzalloc(test, len, GFP_KERNEL);
	unsigned int i, wrong = 0;
	struct pkram_stream ps;
	size_t pos, n;

	KUNIT_ASSERT_NOT_NULL(test, got);
	kt_begin_save(test, &ps, "n", PKRAM_DATA_bytes);
	PKRAM_ACCESS(wr, &ps, bytes);
	for (pos = 0, i = 0; pos < len; pos += n, i++) {
		n = min(pieces[i % ARRAY_SIZE(pieces)], len - pos);
		wrong += pkram_write(&wr, want + pos, n) != n;
	}
	pkram_finish_access(&wr, true);
	kt_end_save(test, &ps, "n");

	kt_begin_load(test, &ps, "n");
	PKRAM_ACCESS(rd, &ps, bytes);
	for (pos = 0, i = 3; pos < len; pos += n, i += 3) {
		n = min(pieces[i % ARRAY_SIZE(pieces)], len - pos);
		wrong += pkram_read(&rd, got + pos, n) != n;
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);
	KUNIT_EXPECT_EQ(test, memcmp(got, want, len), 0);
	KUNIT_EXPECT_EQ(test, pkram_read(&rd, got, len), 0);
	pkram_finish_access(&rd, true);
	kt_end_load(&ps);
}

/* Nothing of what was in memory before is handed to the next kernel. */
static void stream_byte_tail(struct kunit *test)
{
	struct pkram_node *node;
	struct pkram_object *obj;
	struct pkram_reader r;
	unsigned int order;
	struct page *page;
	unsigned int i;
	u64 index;

	/* what is freed last is what is allocated first */
	for (i = 0; i < 4; i++) {
		page = alloc_page(GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, page);
		memset(page_address(page), 0xaa, PAGE_SIZE);
		__free_page(page);
	}
	kt_save_bytes(test, "n", PAGE_SIZE + 10);
	node = pkram_node_get("n");
	KUNIT_ASSERT_FALSE(test, IS_ERR(node));
	obj = pkram_node_object(node, 0);
	pkram_reader_init(&r, obj->bytes_head);
	KUNIT_EXPECT_NOT_NULL(test, pkram_reader_next(&r, &index, &order));
	page = pkram_reader_next(&r, &index, &order);
	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_EXPECT_EQ(test, index, 1);
	KUNIT_EXPECT_EQ(test, order, 0);
	KUNIT_EXPECT_NULL(test, memchr_inv(page_address(page) + 10, 0, PAGE_SIZE - 10));
	pkram_node_put(node);
	kt_load_and_drop(test, "n");
}

static void stream_byte_positions(struct kunit *test)
{
	static const u64 pos[] = {
		0, 1, 4095, 4096, 4097, 99999, 100000 - 1, 100000, 100001, 1ULL << 40, U64_MAX,
	};
	u8 *want = kt_new_pattern(test, 100000), *got = kunit_kzalloc(test, 8192, GFP_KERNEL);
	const struct pkram_object *obj;
	struct pkram_node *node;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, got);
	kt_save_bytes(test, "n", 100000);
	node = pkram_node_get("n");
	KUNIT_ASSERT_FALSE(test, IS_ERR(node));
	obj = pkram_node_object(node, 0);
	for (i = 0; i < ARRAY_SIZE(pos); i++) {
		size_t n = pos[i] < 100000 ? min(8192ULL, 100000 - pos[i]) : 0;

		KUNIT_EXPECT_EQ_MSG(test, kt_read_at(obj, pos[i], got, 8192), n, "at %llu", pos[i]);
		if (n)
			KUNIT_EXPECT_EQ(test, memcmp(got, want + pos[i], n), 0);
	}
	KUNIT_EXPECT_EQ(test, kt_read_at(obj, 5, got, 0), 0);
	pkram_node_put(node);
	kt_load_and_drop(test, "n");
}

/* Folios of each order, one after the other, stay what they are. */
static void stream_orders(struct kunit *test)
{
	unsigned int order, n = 0;
	struct page *pages[10];
	u64 index = 0, sum = 0;

	for (order = 0; order < ARRAY_SIZE(pages); order++) {
		index = round_up(index, 1UL << order);
		pages[n++] = folio_page(kt_new_folio(test, order, index), 0);
		index += 1UL << order;
		sum += 1UL << order;
	}
	kt_save_pages(test, "n", pages, n);
	KUNIT_EXPECT_EQ(test, pkram.data_pages, sum);
	load_pages(test, "n", pages, n);
}

/* Number of extents and links of the only stream of a node. */
static void stream_size(struct kunit *test, const char *name, unsigned int *extents,
			unsigned int *links)
{
	struct pkram_node *node = pkram_node_get(name);
	const struct pkram_object *obj;

	KUNIT_ASSERT_FALSE(test, IS_ERR(node));
	obj = pkram_node_object(node, 0);
	*extents = nr_extents(obj->pages_head);
	*links = nr_links(obj->pages_head);
	pkram_node_put(node);
}

static void expect_size(struct kunit *test, const char *name, unsigned int extents,
			unsigned int links)
{
	unsigned int e, l;

	stream_size(test, name, &e, &l);
	KUNIT_EXPECT_EQ(test, e, extents);
	KUNIT_EXPECT_EQ(test, l, links);
}

/* Neighbours in the file and in memory make one extent. */
static void stream_merge(struct kunit *test)
{
	struct page **pages = new_pages(test, 600);
	unsigned int i;

	for (i = 0; i < 600; i++)
		page_folio(pages[i])->index = 100 + i;
	kt_save_pages(test, "n", pages, 600);
	/* what is left out before the first page costs nothing */
	expect_size(test, "n", 1, 1);
	load_pages(test, "n", pages, 600);

	/* in the file only, since every other page of memory is left out */
	for (i = 0; i < 300; i++) {
		page_folio(pages[2 * i])->index = i;
		swap(pages[i], pages[2 * i]);
	}
	kt_save_pages(test, "n", pages, 300);
	expect_size(test, "n", 300, 1);
	load_pages(test, "n", pages, 300);
}

/* In memory only: a gap in the file between any two of them. */
static void stream_merge_not(struct kunit *test)
{
	struct page **pages = new_pages(test, 500);
	unsigned int i;

	for (i = 0; i < 500; i++)
		page_folio(pages[i])->index = 2 * i;
	kt_save_pages(test, "n", pages, 500);
	expect_size(test, "n", 500, 1);
	load_pages(test, "n", pages, 500);
}

/* Large folios that follow each other make one extent, too, but not of two orders. */
static void stream_merge_orders(struct kunit *test)
{
	struct folio *f[64], *a, *b;
	struct pkram_stream ps;
	unsigned int i, n = 0;

	for (i = 0; i < ARRAY_SIZE(f); i++)
		f[i] = kt_new_folio(test, 3, 0);
	/* find two neighbours among them */
	for (i = 0; i < ARRAY_SIZE(f) * ARRAY_SIZE(f) && !n; i++) {
		a = f[i / ARRAY_SIZE(f)];
		b = f[i % ARRAY_SIZE(f)];
		n = folio_pfn(a) + 8 == folio_pfn(b);
	}
	if (!n)
		kunit_skip(test, "no neighbours");
	a->index = 0;
	b->index = 8;
	kt_begin_save(test, &ps, "n", PKRAM_DATA_pages);
	PKRAM_ACCESS(pa, &ps, pages);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pa, a), 0);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pa, b), 0);
	KUNIT_EXPECT_EQ(test, pkram_save_file_folio(&pa, kt_new_folio(test, 0, 16)), 0);
	pkram_finish_access(&pa, true);
	kt_end_save(test, &ps, "n");
	expect_size(test, "n", 2, 1);
	kt_load_and_drop(test, "n");
}

/* A run holds 2048 folios at most. */
static void stream_longest_run(struct kunit *test)
{
	const unsigned int nr = PKRAM_EXT_MAX_COUNT + 1;
	struct page **pages = new_pages(test, nr);
	unsigned int i;

	for (i = 0; i < nr; i++)
		page_folio(pages[i])->index = i;
	kt_save_pages(test, "n", pages, nr - 1);
	expect_size(test, "n", 1, 1);
	load_pages(test, "n", pages, nr - 1);
	kt_save_pages(test, "n", pages, nr);
	expect_size(test, "n", 2, 1);
	load_pages(test, "n", pages, nr);
}

static void stream_gaps(struct kunit *test)
{
	/* the last gap that a single page can have, the first it cannot, the largest */
	static const struct {
		u64 index;
		unsigned int extents;
	} at[] = {
		{ 0, 1 },
		{ 2, 1 },
		{ 3 + PKRAM_EXT_MAX_GAP, 1 },
		{ 4 + 2 * PKRAM_EXT_MAX_GAP + 1, 2 },
		{ 1ULL << 20, 2 },
		{ 1ULL << 40, 2 },
		{ (1ULL << 41) + 7, 2 },
		{ PKRAM_MAX_INDEX - 3, 2 },
		{ PKRAM_MAX_INDEX - 1, 1 },
	};
	struct page **all = new_pages(test, 2 * ARRAY_SIZE(at)), *pages[ARRAY_SIZE(at)];
	unsigned int i, extents = 0;

	for (i = 0; i < ARRAY_SIZE(at); i++) {
		pages[i] = all[2 * i];
		page_folio(pages[i])->index = at[i].index;
		extents += at[i].extents;
	}
	kt_save_pages(test, "n", pages, ARRAY_SIZE(at));
	expect_size(test, "n", extents, 1);
	load_pages(test, "n", pages, ARRAY_SIZE(at));

	/* nothing but the last page a stream can have */
	kt_save_pages(test, "n", pages + ARRAY_SIZE(at) - 1, 1);
	expect_size(test, "n", 1, 1);
	load_pages(test, "n", pages + ARRAY_SIZE(at) - 1, 1);
}

/* Scattered pages: one extent each, several links. */
static void stream_many_links(struct kunit *test)
{
	const unsigned int nr[] = {
		PKRAM_LINK_EXTENTS - 1, PKRAM_LINK_EXTENTS, PKRAM_LINK_EXTENTS + 1,
		2 * PKRAM_LINK_EXTENTS, 2 * PKRAM_LINK_EXTENTS + 1, 3000,
	};
	struct page **pages = new_pages(test, 3000);
	unsigned int i;

	/* downwards, so that none follows the one before */
	for (i = 0; i < 1500; i++)
		swap(pages[i], pages[2999 - i]);
	for (i = 0; i < 3000; i++)
		page_folio(pages[i])->index = i + (i > 700 ? 5 : 0);
	for (i = 0; i < ARRAY_SIZE(nr); i++) {
		kt_save_pages(test, "n", pages, nr[i]);
		expect_size(test, "n", nr[i], DIV_ROUND_UP(nr[i], PKRAM_LINK_EXTENTS));
		load_pages(test, "n", pages, nr[i]);
	}
}

/* The first link of a node's only stream is full, and ends with a gap. */
static void expect_gap_at_end(struct kunit *test, const char *name)
{
	struct pkram_node *node = pkram_node_get(name);
	const struct pkram_link *link;
	struct pkram_extent e;

	KUNIT_ASSERT_FALSE(test, IS_ERR(node));
	link = kt_link_at(pkram_node_object(node, 0)->pages_head);
	KUNIT_ASSERT_NOT_NULL(test, link);
	KUNIT_EXPECT_EQ(test, le32_to_cpu(link->nr_extents), PKRAM_LINK_EXTENTS);
	e = pkram_extent_decode(pkram_extent_raw(link, PKRAM_LINK_EXTENTS - 1));
	KUNIT_EXPECT_EQ(test, e.count, 0);
	KUNIT_EXPECT_GT(test, e.gap, 0);
	pkram_node_put(node);
}

/* Runs with a gap before them take two extents, which two links may share. */
static void stream_gap_ends_link(struct kunit *test)
{
	const unsigned int nr = 2 * PKRAM_LINK_EXTENTS;
	struct page **pages = new_pages(test, nr);
	unsigned int i;

	/* a run, a single page, then runs of two pages */
	for (i = 0; i < nr; i++)
		page_folio(pages[i])->index = i < 3 ? i + i / 2 :
						     (i + 1) / 2 * 3 + (i + 1) % 2;
	kt_save_pages(test, "n", pages, nr);
	expect_gap_at_end(test, "n");
	load_pages(test, "n", pages, nr);
}

/* The same with single pages and gaps that a single page cannot have. */
static void stream_long_gap_ends_link(struct kunit *test)
{
	const unsigned int nr = PKRAM_LINK_EXTENTS + 2;
	struct page **pages = new_pages(test, nr);
	unsigned int i;

	for (i = 0; i < nr; i++)
		page_folio(pages[i])->index = i < 2 ? 5 + 2 * i : i * 0x123456789ULL;
	kt_save_pages(test, "n", pages, nr);
	expect_gap_at_end(test, "n");
	load_pages(test, "n", pages, nr);
}

static void stream_reader_empty(struct kunit *test)
{
	struct pkram_reader r;
	unsigned int order;
	u64 index;

	pkram_reader_init(&r, 0);
	KUNIT_EXPECT_NULL(test, pkram_reader_next(&r, &index, &order));
	KUNIT_EXPECT_NULL(test, pkram_reader_next(&r, &index, &order));
	KUNIT_EXPECT_EQ(test, pkram_stream_free(0), 0);
}

/* A writer that was discarded starts again; one that wrote nothing has no head. */
static void stream_writer_discard(struct kunit *test)
{
	struct folio *folio = kt_new_folio(test, 0, 0);
	struct pkram_writer w = { };
	unsigned int i;

	pkram_writer_finish(&w);
	KUNIT_EXPECT_NULL(test, w.head);
	for (i = 0; i < 3; i++) {
		KUNIT_ASSERT_EQ(test, pkram_writer_reserve(&w, GFP_KERNEL), 0);
		scoped_guard(rwsem_read, &pkram_kexec_sem) {
			folio_get(folio);
			pkram_writer_add(&w, 1000 * i, folio_pfn(folio), 0, 1);
			pkram_writer_settle(&w);
		}
		KUNIT_EXPECT_TRUE(test, pkram_map_test(pkram.map, folio_pfn(folio) >>
						       PKRAM_BLOCK_ORDER));
		pkram_writer_discard(&w);
		KUNIT_EXPECT_EQ(test, w.nr_pages, 0);
		KUNIT_EXPECT_NULL(test, w.head);
		KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);
	}
	/* reserved and not used */
	KUNIT_ASSERT_EQ(test, pkram_writer_reserve(&w, GFP_KERNEL), 0);
	pkram_writer_finish(&w);
	KUNIT_EXPECT_NULL(test, w.head);
}

/* After a reservation a full batch needs no allocation, whatever it is. */
static void stream_batch(struct kunit *test)
{
	struct page **pages = new_pages(test, 10 * PKRAM_BATCH);
	struct pkram_writer w = { };
	unsigned int i;

	for (i = 0; i < 10 * PKRAM_BATCH; i++) {
		if (i % PKRAM_BATCH == 0)
			KUNIT_ASSERT_EQ(test, pkram_writer_reserve(&w, GFP_KERNEL), 0);
		guard(rwsem_read)(&pkram_kexec_sem);
		get_page(pages[i]);
		pkram_writer_add(&w, (i + 1) * 100000ULL, page_to_pfn(pages[i]), 0, 1);
		pkram_writer_settle(&w);
	}
	pkram_writer_finish(&w);
	KUNIT_EXPECT_EQ(test, w.nr_pages, 10 * PKRAM_BATCH);
	KUNIT_EXPECT_EQ(test, nr_links(w.head->hdr.pfn), w.nr_links);
	KUNIT_EXPECT_EQ(test, nr_extents(w.head->hdr.pfn), 20 * PKRAM_BATCH - 1);
	KUNIT_EXPECT_EQ(test, pkram_stream_free(w.head->hdr.pfn), w.nr_links);
	for (i = 0; i < 10 * PKRAM_BATCH; i++)
		KUNIT_EXPECT_EQ(test, page_ref_count(pages[i]), 1);
}

static struct kunit_case pkram_stream_cases[] = {
	KUNIT_CASE(stream_byte_sizes),
	KUNIT_CASE(stream_byte_pieces),
	KUNIT_CASE(stream_byte_tail),
	KUNIT_CASE(stream_byte_positions),
	KUNIT_CASE(stream_orders),
	KUNIT_CASE(stream_merge),
	KUNIT_CASE(stream_merge_not),
	KUNIT_CASE(stream_merge_orders),
	KUNIT_CASE(stream_longest_run),
	KUNIT_CASE(stream_gaps),
	KUNIT_CASE(stream_many_links),
	KUNIT_CASE(stream_gap_ends_link),
	KUNIT_CASE(stream_long_gap_ends_link),
	KUNIT_CASE(stream_reader_empty),
	KUNIT_CASE(stream_writer_discard),
	KUNIT_CASE(stream_batch),
	{}
};

static struct kunit_suite pkram_stream_suite = {
	.name = "pkram-stream",
	.init = kt_case_init,
	.exit = kt_case_exit,
	.test_cases = pkram_stream_cases,
};

kunit_test_suite(pkram_stream_suite);
