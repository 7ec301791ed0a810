// SPDX-License-Identifier: GPL-2.0
#include <stdlib.h>
#include <string.h>

#include "reference.h"

/* Offsets as the description of the format has them, not as a struct has them. */
#define HDR_BYTES		64
#define OBJECT_BYTES		128
#define NODE_FIXED		(HDR_BYTES + 64 + 256)

struct reader {
	struct memory *mem;
	__u64 chain;
	__u64 generation;
	__u8 *used;
	struct pkram_node_totals t;
	const __u8 *bad;	/* four pfns of the object at hand */
	unsigned int bad_seen;
};

static __u64 get(const __u8 *p, unsigned int bytes)
{
	__u64 v = 0;

	while (bytes--)
		v = v << 8 | p[bytes];
	return v;
}

__u64 reference_checksum(const void *page, __u32 length)
{
	const __u8 *p = page;
	__u64 h = 0x9e3779b97f4a7c15ULL ^ length;
	__u32 at;

	for (at = 0; at < length; at += 8) {
		if (at == 8)
			continue;
		h = (h ^ get(p + at, 8)) * 0xff51afd7ed558ccdULL;
		h ^= h >> 32;
	}
	return h;
}

static bool use(struct reader *r, __u64 pfn, __u64 nr, __u64 limit)
{
	__u64 i, first = pfn - r->mem->base;

	if (pfn < r->mem->base || first >= limit || nr > limit - first)
		return false;
	for (i = 0; i < nr; i++)
		if (r->used[first + i]++)
			return false;
	return true;
}

static const __u8 *open_page(struct reader *r, __u64 pfn, unsigned int type)
{
	const __u8 *p;
	__u64 length;

	if (!use(r, pfn, 1, r->mem->nr_backed))
		return NULL;
	r->t.meta_pages++;
	p = memory_page(r->mem, pfn);
	length = get(p + 40, 4);
	if (get(p, 4) != 0x4d524b50 || get(p + 4, 2) != 1 || get(p + 6, 2) != type ||
	    get(p + 16, 8) != r->chain || get(p + 24, 8) != pfn ||
	    get(p + 32, 8) > r->generation || get(p + 44, 4) || get(p + 56, 8))
		return NULL;
	if (length < HDR_BYTES || length > 4096 || length & 7 ||
	    get(p + 8, 8) != reference_checksum(p, length))
		return NULL;
	return p;
}

/* One extent: moves *index and *pages on. */
static bool read_extent(struct reader *r, const __u8 *p, bool dense, __u64 *index,
			__u64 *pages)
{
	const __u64 end = 1ULL << 51;
	__u64 pfn = get(p, 5), rest = get(p + 5, 2), gap = 0, order = 0, count = 1;
	unsigned int i;

	if (!(rest & 1)) {
		gap = rest >> 1;
	} else {
		order = rest >> 1 & 15;
		count = (rest >> 5) + 1;
		if (order == 15) {
			gap = pfn + ((count - 1) << 40);
			count = 0;
		} else if (dense && order) {
			return false;
		} else if (order == 14) {
			order = 18;
		}
	}
	if (dense && gap)
		return false;
	*index += gap;
	if (*index >= end)
		return false;
	if (!count)
		return true;
	if (pfn < 512 || pfn % (1ULL << order) || *index % (1ULL << order) ||
	    pfn + (count << order) > 1ULL << 40 || *index + (count << order) > end)
		return false;
	if (!use(r, pfn, count << order, r->mem->nr))
		return false;
	for (i = 0; i < 4; i++) {
		__u64 bad = get(r->bad + 8 * i, 8);

		if (bad >= pfn && bad < pfn + (count << order))
			r->bad_seen++;
	}
	*index += count << order;
	*pages += count << order;
	return true;
}

static bool read_stream(struct reader *r, __u64 head, __u64 nr_pages, bool dense)
{
	__u64 index = 0, pages = 0, n, i;
	const __u8 *p;

	for (; head; head = get(p + 48, 8)) {
		p = open_page(r, head, 6);
		if (!p)
			return false;
		n = get(p + 72, 4);
		if (get(p + 76, 4) || n < 1 || n > 573 || 80 + 7 * n > get(p + 40, 4))
			return false;
		if (get(p + 64, 8) < index || get(p + 64, 8) >= 1ULL << 51)
			return false;
		if (dense && get(p + 64, 8) != pages)
			return false;
		index = get(p + 64, 8);
		for (i = 0; i < n; i++)
			if (!read_extent(r, p + 80 + 7 * i, dense, &index, &pages))
				return false;
	}
	r->t.data_pages += pages;
	return pages == nr_pages;
}

static bool read_object(struct reader *r, const __u8 *o)
{
	__u64 pages_head = get(o, 8), nr_pages = get(o + 8, 8);
	__u64 bytes_head = get(o + 16, 8), nr_bytes = get(o + 24, 8);
	__u64 size = get(o + 32, 8), flags = get(o + 40, 4), mode = get(o + 44, 4);
	bool has_pages = flags & 1, has_bytes = flags & 2, is_file = flags & 4;
	unsigned int i, bad;

	/* Pages with memory errors: their number, then the first four. */
	for (bad = 0; bad < 4 && get(o + 96 + 8 * bad, 8); bad++)
		;
	for (i = bad; i < 4; i++)
		if (get(o + 96 + 8 * i, 8))
			return false;
	if (get(o + 88, 8) < bad || (get(o + 88, 8) > bad && bad < 4))
		return false;
	r->bad = o + 96;
	r->bad_seen = 0;
	/* of the flags the upper half may be anything */
	if (get(o + 60, 4) || (flags & 0xffff) > 7 || (is_file && !has_pages))
		return false;
	/* What only a file has is 0 without one. */
	for (i = 32; i < 88; i++)
		if (!is_file && o[i] && (i < 40 || i > 43))
			return false;
	if (is_file && (size >> 63 || mode >> 12 != 8))
		return false;
	if (!has_pages && (pages_head || nr_pages))
		return false;
	if (!has_bytes && (bytes_head || nr_bytes))
		return false;
	if (nr_bytes >> 63)
		return false;
	if (is_file) {
		r->t.file_bytes += size;
		if (r->t.file_bytes < size)
			r->t.file_bytes = ~0ULL;
	}
	r->t.data_bytes += nr_bytes;
	return read_stream(r, pages_head, nr_pages, false) &&
	       read_stream(r, bytes_head, nr_bytes / 4096 + !!(nr_bytes % 4096), true) &&
	       r->bad_seen == bad;
}

static bool good_name(const __u8 *p, __u64 len)
{
	unsigned int i;

	if (len < 1 || len > 255)
		return false;
	for (i = 0; i < 256; i++) {
		bool bad = p[i] < 32 || p[i] == 127 || p[i] == '/';

		if (i < len ? bad : p[i])
			return false;
	}
	return strcmp((const char *)p, ".") && strcmp((const char *)p, "..");
}

static bool read_node(struct reader *r, __u64 pfn)
{
	const __u8 *node = open_page(r, pfn, 4), *p = node;
	__u64 nr, done = 0, here = NODE_FIXED, room = 29, i;

	if (!node)
		return false;
	nr = get(node + 88, 4);
	/* compatible features at 96 may be anything, incompatible ones there are none */
	if (nr > 65536 || get(node + 104, 8) || get(node + 112, 8) || get(node + 120, 8) ||
	    !good_name(node + 128, get(node + 92, 4)))
		return false;

	for (;;) {
		__u64 n = nr - done < room ? nr - done : room;

		if (get(p + 40, 4) != here + n * OBJECT_BYTES)
			return false;
		for (i = 0; i < n; i++)
			if (!read_object(r, p + here + i * OBJECT_BYTES))
				return false;
		done += n;
		pfn = get(p + 48, 8);
		if (done == nr || !pfn)
			break;
		p = open_page(r, pfn, 5);
		if (!p)
			return false;
		here = HDR_BYTES;
		room = 31;
	}
	return done == nr && !pfn && r->t.data_pages == get(node + 72, 8) &&
	       r->t.meta_pages == get(node + 80, 8);
}

bool reference_node(struct memory *mem, __u64 chain, __u64 generation, __u64 pfn,
		    struct pkram_node_totals *totals)
{
	struct reader r = { .mem = mem, .chain = chain, .generation = generation };
	bool good;

	r.used = calloc(mem->nr, 1);
	if (!r.used)
		abort();
	good = read_node(&r, pfn);
	free(r.used);
	if (good)
		*totals = r.t;
	return good;
}
