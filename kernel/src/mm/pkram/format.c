// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: checks of the on-memory format.
 *
 * Everything here looks at memory that another kernel wrote, or that was never
 * written by any kernel. Nothing is believed before it was checked, nothing is
 * read outside the page at hand, and every loop over a chain is bounded by the
 * fact that a page can be claimed only once.
 *
 * This file is compiled into the kernel, into the decompressor (which includes
 * it) and into user space tests. It must not use anything but its header.
 */
#include <linux/pkram_format.h>
#include <uapi/linux/pkram.h>

#define PKRAM_LAYOUT(cond)	_Static_assert(cond, #cond)

PKRAM_LAYOUT(sizeof(struct pkram_page_hdr) == 64);
PKRAM_LAYOUT(sizeof(struct pkram_map) == PKRAM_PAGE_SIZE);
PKRAM_LAYOUT(sizeof(struct pkram_dir) == PKRAM_PAGE_SIZE);
PKRAM_LAYOUT(sizeof(struct pkram_object) == 128);
PKRAM_LAYOUT(sizeof(struct pkram_node_page) == PKRAM_PAGE_SIZE);
PKRAM_LAYOUT(sizeof(struct pkram_objects_page) <= PKRAM_PAGE_SIZE);
PKRAM_LAYOUT(sizeof(struct pkram_link) == PKRAM_PAGE_SIZE);
PKRAM_LAYOUT(sizeof(struct pkram_super) <= PKRAM_PAGE_SIZE);
PKRAM_LAYOUT(PKRAM_SUPER_MIN == 216);
PKRAM_LAYOUT(PKRAM_LINK_EXTENTS * PKRAM_EXTENT_BYTES + 1 <=
	     PKRAM_PAGE_SIZE - 64 - 16);

/**
 * pkram_checksum - checksum of the first @length bytes of a metadata page
 * @page:   the page, 8-byte aligned
 * @length: multiple of 8, 64 to PKRAM_PAGE_SIZE
 *
 * Each step maps the state one to one, so a change in a single word always
 * changes the result; everything else is missed with probability 2^-64. The
 * checksum field itself, the second word, is left out. This guards against
 * accidents, not against forgery: an attacker that can write physical memory has won already.
 *
 * Return: the checksum.
 */
__u64 pkram_checksum(const void *page, __u32 length)
{
	const __le64 *w = page;
	__u64 h = 0x9e3779b97f4a7c15ULL ^ length;
	unsigned int i, n = length / 8;

	h = (h ^ le64_to_cpu(w[0])) * 0xff51afd7ed558ccdULL;
	h ^= h >> 32;
	for (i = 2; i + 2 <= n; i += 2) {
		h = (h ^ le64_to_cpu(w[i])) * 0xff51afd7ed558ccdULL;
		h ^= h >> 32;
		h = (h ^ le64_to_cpu(w[i + 1])) * 0xff51afd7ed558ccdULL;
		h ^= h >> 32;
	}
	if (i < n) {
		h = (h ^ le64_to_cpu(w[i])) * 0xff51afd7ed558ccdULL;
		h ^= h >> 32;
	}
	return h;
}

/**
 * pkram_page_finish - put the checksum into a metadata page
 * @hdr: the page, all other fields filled in
 */
void pkram_page_finish(struct pkram_page_hdr *hdr)
{
	hdr->checksum = cpu_to_le64(pkram_checksum(hdr, le32_to_cpu(hdr->length)));
}

/**
 * pkram_check_page - check the header and checksum of a metadata page
 * @hdr:        the page
 * @type:       enum pkram_page_type it must be of
 * @pfn:        where it was found
 * @chain:      chain it must belong to
 * @generation: newest generation it can have been written in
 *
 * Return: PKRAM_DAMAGE_NONE, _HEADER or _CHECKSUM.
 */
int pkram_check_page(const struct pkram_page_hdr *hdr, unsigned int type,
		     __u64 pfn, __u64 chain, __u64 generation)
{
	__u32 length = le32_to_cpu(hdr->length), flags = le32_to_cpu(hdr->flags);

	if (le32_to_cpu(hdr->magic) != PKRAM_MAGIC ||
	    le16_to_cpu(hdr->version) != PKRAM_FORMAT_VERSION ||
	    le16_to_cpu(hdr->type) != type ||
	    le64_to_cpu(hdr->pfn) != pfn ||
	    le64_to_cpu(hdr->chain) != chain ||
	    le64_to_cpu(hdr->generation) > generation ||
	    length < sizeof(*hdr) || length > PKRAM_PAGE_SIZE || length % 8)
		return PKRAM_DAMAGE_HEADER;
	if (pkram_checksum(hdr, length) != le64_to_cpu(hdr->checksum))
		return PKRAM_DAMAGE_CHECKSUM;
	/* only these have copies with a fixed place */
	if (type == PKRAM_PAGE_SUPER || type == PKRAM_PAGE_DIR)
		flags &= ~PKRAM_HDR_ALONE;
	if (flags || hdr->reserved1)
		return PKRAM_DAMAGE_HEADER;
	return PKRAM_DAMAGE_NONE;
}

/* Is a map of @nr pages in RAM, and not on the super block at @sb or its copy? */
static bool map_fits(__u64 pfn, __u32 nr, __u64 sb, __u64 max_pfn)
{
	return pfn >= PKRAM_MIN_PFN && pfn < max_pfn && nr <= max_pfn - pfn &&
	       (pfn + nr <= (sb & ~1ULL) || pfn > (sb | 1));
}

/**
 * pkram_check_super - is there a super block that was sealed for this boot?
 * @sb:      what lies at the pfn on the command line
 * @pfn:     that pfn
 * @max_pfn: one above the highest page of RAM
 *
 * Return: an enum pkram_boot_result: PKRAM_BOOT_RESTORED if it can be used,
 * else _NOTHING, _STALE, _VERSION or _DAMAGED.
 */
int pkram_check_super(const struct pkram_super *sb, __u64 pfn, __u64 max_pfn)
{
	__u64 map_pfn = le64_to_cpu(sb->map_pfn);
	__u64 copy_pfn = le64_to_cpu(sb->map_copy_pfn);
	__u32 nr_map = le32_to_cpu(sb->nr_map);

	if (le32_to_cpu(sb->hdr.magic) != PKRAM_MAGIC ||
	    le16_to_cpu(sb->hdr.type) != PKRAM_PAGE_SUPER ||
	    le64_to_cpu(sb->hdr.pfn) != pfn)
		return PKRAM_BOOT_NOTHING;
	/* The next two are where they are in every version of the format. */
	if (le16_to_cpu(sb->hdr.version) != PKRAM_FORMAT_VERSION)
		return PKRAM_BOOT_VERSION;
	if (le64_to_cpu(sb->seal) == PKRAM_OPEN)
		return PKRAM_BOOT_STALE;
	if (le64_to_cpu(sb->seal) != PKRAM_SEALED ||
	    le32_to_cpu(sb->hdr.length) < PKRAM_SUPER_MIN ||
	    pkram_check_page(&sb->hdr, PKRAM_PAGE_SUPER, pfn,
			     le64_to_cpu(sb->hdr.chain),
			     le64_to_cpu(sb->hdr.generation)) != PKRAM_DAMAGE_NONE)
		return PKRAM_BOOT_DAMAGED;
	if (le64_to_cpu(sb->incompat) & ~PKRAM_INCOMPAT_KNOWN)
		return PKRAM_BOOT_VERSION;
	if (le32_to_cpu(sb->page_shift) != PKRAM_PAGE_SHIFT ||
	    le32_to_cpu(sb->block_order) != PKRAM_BLOCK_ORDER)
		return PKRAM_BOOT_VERSION;
	if (!nr_map || nr_map > PKRAM_MAX_MAP_PAGES ||
	    !map_fits(map_pfn, nr_map, pfn, max_pfn))
		return PKRAM_BOOT_DAMAGED;
	if (copy_pfn && (!map_fits(copy_pfn, nr_map, pfn, max_pfn) ||
			 (copy_pfn < map_pfn + nr_map && map_pfn < copy_pfn + nr_map)))
		return PKRAM_BOOT_DAMAGED;
	return PKRAM_BOOT_RESTORED;
}

/**
 * pkram_super_crash - where did the previous kernel have memory for its crash kernel?
 * @sb:      super block that passed pkram_check_super()
 * @i:       which range, below PKRAM_CRASH_RANGES
 * @max_pfn: one above the highest page of RAM
 * @start:   output, first page
 * @end:     output, one above the last page
 *
 * Return: true if the super block names such a range, and it is below @max_pfn.
 */
bool pkram_super_crash(const struct pkram_super *sb, unsigned int i, __u64 max_pfn,
		       __u64 *start, __u64 *end)
{
	__u64 nr;

	if (!(le64_to_cpu(sb->compat) & PKRAM_COMPAT_CRASH) ||
	    le32_to_cpu(sb->hdr.length) < sizeof(*sb))
		return false;
	*start = le64_to_cpu(sb->crash[i].pfn);
	nr = le64_to_cpu(sb->crash[i].nr);
	if (!nr || *start < PKRAM_MIN_PFN || *start >= max_pfn || nr > max_pfn - *start)
		return false;
	*end = *start + nr;
	return true;
}

/* What is worth more to know if both copies of the super block are bad; best first. */
static int result_rank(int result)
{
	switch (result) {
	case PKRAM_BOOT_RESTORED:
		return 0;
	case PKRAM_BOOT_STALE:
		return 1;
	case PKRAM_BOOT_VERSION:
		return 2;
	case PKRAM_BOOT_DAMAGED:
		return 3;
	}
	return 4;
}

/**
 * pkram_pick_result - what two copies of the super block amount to
 * @result:      pkram_check_super() of the page that pkram= names
 * @twin_result: the same of its copy
 *
 * One that can be used wins, the first if both can be. Otherwise the copy counts for what
 * it shows only if the page itself shows nothing but damage.
 *
 * Return: an enum pkram_boot_result.
 */
int pkram_pick_result(int result, int twin_result)
{
	return result_rank(twin_result) < result_rank(result) ? twin_result : result;
}

/**
 * pkram_map_pages - how long is the map of a machine?
 * @max_pfn: one above the highest page of RAM
 *
 * Return: map pages, at most PKRAM_MAX_MAP_PAGES: memory above what they cover is not
 * preserved in place.
 */
__u32 pkram_map_pages(__u64 max_pfn)
{
	const __u64 covered = (__u64)PKRAM_MAP_BITS << PKRAM_BLOCK_ORDER;
	__u64 nr = max_pfn / covered + !!(max_pfn % covered);

	return nr < PKRAM_MAX_MAP_PAGES ? nr : PKRAM_MAX_MAP_PAGES;
}

/**
 * pkram_check_name - is this a name a node may have?
 * @name: bytes of the name, not terminated
 * @len:  how many
 *
 * Return: 0, -1 if it is empty or has a byte it must not have, -2 if it is too
 * long.
 */
int pkram_check_name(const __u8 *name, __u32 len)
{
	__u32 i;

	if (!len)
		return -1;
	if (len > PKRAM_NODE_NAME_MAX)
		return -2;
	for (i = 0; i < len; i++)
		if (name[i] < 0x20 || name[i] == 0x7f || name[i] == '/')
			return -1;
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return -1;
	return 0;
}

/**
 * pkram_map_test - does a block hold preserved pages?
 * @map:   the contiguous map pages
 * @block: below the number of blocks they cover
 *
 * Return: its bit.
 */
bool pkram_map_test(const struct pkram_map *map, __u64 block)
{
	const struct pkram_map *m = map + block / PKRAM_MAP_BITS;
	unsigned int bit = block % PKRAM_MAP_BITS;

	return le64_to_cpu(m->bits[bit / 64]) >> (bit % 64) & 1;
}

/**
 * pkram_map_next - first block at or after @block whose bit is @set
 * @map:       the contiguous map pages
 * @nr_blocks: blocks to look at, no more than they cover
 * @block:     where to start
 * @set:       which value to look for
 *
 * Return: the block, or @nr_blocks if there is none.
 */
__u64 pkram_map_next(const struct pkram_map *map, __u64 nr_blocks, __u64 block, bool set)
{
	while (block < nr_blocks) {
		const struct pkram_map *m = map + block / PKRAM_MAP_BITS;
		unsigned int bit = block % PKRAM_MAP_BITS;
		__u64 w = le64_to_cpu(m->bits[bit / 64]);

		if (!set)
			w = ~w;
		w &= ~0ULL << (bit % 64);
		if (w) {
			block += __builtin_ctzll(w) - bit % 64;
			return block < nr_blocks ? block : nr_blocks;
		}
		block += 64 - bit % 64;
	}
	return nr_blocks;
}

static int claim_meta(const struct pkram_walker *w, __u64 pfn,
		      struct pkram_node_totals *t)
{
	int r;

	if (pfn < PKRAM_MIN_PFN || pfn >= PKRAM_MAX_PFN)
		return PKRAM_DAMAGE_RANGE;
	r = w->claim(w->ctx, PKRAM_CLAIM_META, pfn, 1, 0);
	if (!r)
		t->meta_pages++;
	return r;
}

/* How many of the pages that @o calls poisoned are in a range? */
static __u32 count_poisoned(const struct pkram_object *o, __u64 pfn, __u64 nr)
{
	__u32 i, n = 0;

	for (i = 0; i < PKRAM_OBJ_POISONED; i++)
		n += le64_to_cpu(o->poisoned[i]) - pfn < nr;
	return n;
}

/*
 * Claim the single pages that @link goes on with at extent @i, and say in @ret_nr
 * how many extents that were and in @ret_gaps how many pages they left out. Stops
 * at the first extent that is not a valid single page. The caller decodes that
 * extent and reports errors.
 *
 * Nothing here can overflow the position in the file: see where it is called.
 */
static int walk_singles(const struct pkram_walker *w, const struct pkram_object *o,
			const struct pkram_link *link, __u32 i, __u32 nr, bool dense,
			__u32 *ret_nr, __u64 *ret_gaps, __u32 *poisoned)
{
	const __u64 stop = dense ? ~PKRAM_EXT_PFN_MASK : PKRAM_EXT_RUN;
	__u64 pfn[PKRAM_CLAIM_BATCH], gaps = 0;
	__u32 k, n = 0;
	int r;

	if (nr > PKRAM_CLAIM_BATCH)
		nr = PKRAM_CLAIM_BATCH;
	for (; n < nr; n++) {
		__u64 raw = pkram_extent_raw(link, i + n);

		if (raw & stop)
			break;
		pfn[n] = raw & PKRAM_EXT_PFN_MASK;
		if (pfn[n] < PKRAM_MIN_PFN)
			break;
		gaps += raw >> PKRAM_EXT_GAP_SHIFT;
	}
	*ret_nr = n;
	*ret_gaps = gaps;
	if (!n)
		return PKRAM_DAMAGE_NONE;

	r = w->claim_pages(w->ctx, pfn, n);
	if (!r && o->nr_poisoned)
		for (k = 0; k < n; k++)
			*poisoned += count_poisoned(o, pfn[k], 1);
	return r;
}

/*
 * Walk one stream: claim its link pages and everything their extents name.
 * @nr_pages is what object @o says the stream holds; @max_index bounds the
 * position in the file, and @dense says that there must be no gaps and no large
 * folios. @poisoned counts the pages that @o calls so.
 */
static int walk_stream(const struct pkram_walker *w, const struct pkram_object *o,
		       __u64 pfn, __u64 nr_pages, __u64 max_index, bool dense,
		       struct pkram_node_totals *t, __u32 *poisoned)
{
	__u64 index = 0, pages = 0;
	int r;

	while (pfn) {
		const struct pkram_link *link;
		__u32 i, n;

		r = claim_meta(w, pfn, t);
		if (r)
			return r;
		link = w->map(w->ctx, pfn);
		r = pkram_check_page(&link->hdr, PKRAM_PAGE_LINK, pfn, w->chain,
				     w->generation);
		if (r)
			return r;

		n = le32_to_cpu(link->nr_extents);
		if (!n || n > PKRAM_LINK_EXTENTS || link->reserved ||
		    le32_to_cpu(link->hdr.length) < 64 + 16 + n * PKRAM_EXTENT_BYTES ||
		    le64_to_cpu(link->index) < index)
			return PKRAM_DAMAGE_BOUNDS;
		index = le64_to_cpu(link->index);
		if (index >= max_index || (dense && index != pages))
			return PKRAM_DAMAGE_BOUNDS;

		for (i = 0; i < n; i++) {
			struct pkram_extent e;
			__u64 span, gaps;
			__u32 singles;

			/* as many as fit below @max_index with the longest of gaps */
			if (!(pkram_extent_raw(link, i) & PKRAM_EXT_RUN) &&
			    max_index - index >
			    (__u64)PKRAM_CLAIM_BATCH * (PKRAM_EXT_MAX_GAP + 1)) {
				r = walk_singles(w, o, link, i, n - i, dense, &singles,
						 &gaps, poisoned);
				if (r)
					return r;
				index += gaps + singles;
				pages += singles;
				i += singles;
				if (i == n)
					break;
			}

			e = pkram_extent_decode(pkram_extent_raw(link, i));
			if (e.gap >= max_index - index || (dense && e.gap))
				return PKRAM_DAMAGE_BOUNDS;
			index += e.gap;
			if (!e.count)
				continue;

			if (dense && e.order)
				return PKRAM_DAMAGE_BOUNDS;
			span = (__u64)e.count << e.order;
			if (e.pfn < PKRAM_MIN_PFN || e.pfn > PKRAM_MAX_PFN - span ||
			    span > max_index - index ||
			    ((e.pfn | index) & ((1U << e.order) - 1)))
				return PKRAM_DAMAGE_BOUNDS;
			r = w->claim(w->ctx, PKRAM_CLAIM_DATA, e.pfn, e.count, e.order);
			if (r)
				return r;
			if (o->nr_poisoned)
				*poisoned += count_poisoned(o, e.pfn, span);
			index += span;
			pages += span;
		}
		pfn = le64_to_cpu(link->hdr.next);
	}

	if (pages != nr_pages)
		return PKRAM_DAMAGE_COUNT;
	t->data_pages += pages;
	return PKRAM_DAMAGE_NONE;
}

static int walk_object(const struct pkram_walker *w, const struct pkram_object *o,
		       struct pkram_node_totals *t)
{
	__u32 flags = le32_to_cpu(o->flags);
	__u64 size = le64_to_cpu(o->size);
	__u64 nr_bytes = le64_to_cpu(o->nr_bytes);
	__u64 nr_poisoned = le64_to_cpu(o->nr_poisoned);
	__u32 i, named, found = 0;
	int r;

	if (flags & ~(PKRAM_OBJ_ALL | PKRAM_OBJ_COMPAT) || o->reserved0)
		return PKRAM_DAMAGE_BOUNDS;
	named = nr_poisoned < PKRAM_OBJ_POISONED ? nr_poisoned : PKRAM_OBJ_POISONED;
	for (i = 0; i < PKRAM_OBJ_POISONED; i++) {
		bool is_named = i < named;

		if (is_named != !!o->poisoned[i])
			return PKRAM_DAMAGE_BOUNDS;
	}
	if (flags & PKRAM_OBJ_FILE && !(flags & PKRAM_OBJ_PAGES))
		return PKRAM_DAMAGE_BOUNDS;
	if (flags & PKRAM_OBJ_FILE) {
		if (size > ~0ULL >> 1 || (le32_to_cpu(o->mode) & ~07777) != 0100000)
			return PKRAM_DAMAGE_BOUNDS;
		t->file_bytes = size > ~0ULL - t->file_bytes ? ~0ULL : t->file_bytes + size;
	} else if (size || o->mode || o->uid || o->gid || o->seals || o->atime_ns ||
		   o->mtime_ns || o->ctime_ns) {
		return PKRAM_DAMAGE_BOUNDS;
	}
	if (!(flags & PKRAM_OBJ_PAGES) && (o->pages_head || o->nr_pages))
		return PKRAM_DAMAGE_BOUNDS;
	if (!(flags & PKRAM_OBJ_BYTES) && (o->bytes_head || nr_bytes))
		return PKRAM_DAMAGE_BOUNDS;
	if (nr_bytes > ~0ULL >> 1)
		return PKRAM_DAMAGE_BOUNDS;

	r = walk_stream(w, o, le64_to_cpu(o->pages_head), le64_to_cpu(o->nr_pages),
			PKRAM_MAX_INDEX, false, t, &found);
	if (r)
		return r;
	t->data_bytes += nr_bytes;
	r = walk_stream(w, o, le64_to_cpu(o->bytes_head),
			(nr_bytes + PKRAM_PAGE_SIZE - 1) >> PKRAM_PAGE_SHIFT,
			PKRAM_MAX_INDEX, true, t, &found);
	if (r)
		return r;
	/* Each of them is a page of this object, so the reader may mark it. */
	return found == named ? PKRAM_DAMAGE_NONE : PKRAM_DAMAGE_BOUNDS;
}

/**
 * pkram_check_head - check the first page of a node, as far as that is possible alone
 * @node:       the page
 * @pfn:        where it was found
 * @chain:      chain it must belong to
 * @generation: newest generation it can have been written in
 *
 * Return: PKRAM_DAMAGE_NONE, or what is wrong with it.
 */
int pkram_check_head(const struct pkram_node_page *node, __u64 pfn, __u64 chain,
		     __u64 generation)
{
	__u32 nr, left, name_len, i;
	int r;

	r = pkram_check_page(&node->hdr, PKRAM_PAGE_NODE, pfn, chain, generation);
	if (r)
		return r;
	if (le64_to_cpu(node->incompat) & ~PKRAM_NODE_INCOMPAT_KNOWN)
		return PKRAM_DAMAGE_FEATURE;

	left = le32_to_cpu(node->nr_objects);
	nr = left < PKRAM_NODE_OBJECTS ? left : PKRAM_NODE_OBJECTS;
	if (left > PKRAM_MAX_OBJECTS ||
	    le32_to_cpu(node->hdr.length) != sizeof(*node) - sizeof(node->objects) +
					     nr * sizeof(node->objects[0]) ||
	    node->reserved[0] || node->reserved[1])
		return PKRAM_DAMAGE_BOUNDS;

	name_len = le32_to_cpu(node->name_len);
	if (pkram_check_name(node->name, name_len))
		return PKRAM_DAMAGE_NAME;
	for (i = name_len; i < PKRAM_NAME_BYTES; i++)
		if (node->name[i])
			return PKRAM_DAMAGE_NAME;
	return PKRAM_DAMAGE_NONE;
}

/**
 * pkram_walk_node - check a node as a whole and claim every page of it
 * @w:      how to claim and reach pages
 * @pfn:    node page, as found in the directory
 * @totals: output, what the node consists of; also filled in as far as the walk
 *          came when it fails
 *
 * The order in which pages are claimed depends on nothing but the node, so a
 * failed walk can be undone by walking again with a claim() that removes the marks
 * until as many are removed as were set. It must not free pages: metadata
 * is read after it was claimed.
 *
 * Return: PKRAM_DAMAGE_NONE, or what is wrong with the node.
 */
int pkram_walk_node(const struct pkram_walker *w, __u64 pfn,
		    struct pkram_node_totals *totals)
{
	struct pkram_node_totals t = { };
	const struct pkram_node_page *node;
	__u32 nr, left, i;
	__u64 next;
	int r;

	r = claim_meta(w, pfn, &t);
	if (r)
		goto out;
	node = w->map(w->ctx, pfn);
	r = pkram_check_head(node, pfn, w->chain, w->generation);
	if (r)
		goto out;

	left = le32_to_cpu(node->nr_objects);
	nr = left < PKRAM_NODE_OBJECTS ? left : PKRAM_NODE_OBJECTS;
	for (i = 0; i < nr; i++) {
		r = walk_object(w, &node->objects[i], &t);
		if (r)
			goto out;
	}
	left -= nr;

	next = le64_to_cpu(node->hdr.next);
	while (next) {
		const struct pkram_objects_page *op;

		pfn = next;
		r = claim_meta(w, pfn, &t);
		if (r)
			goto out;
		op = w->map(w->ctx, pfn);
		r = pkram_check_page(&op->hdr, PKRAM_PAGE_OBJECTS, pfn, w->chain,
				     w->generation);
		if (r)
			goto out;

		r = PKRAM_DAMAGE_BOUNDS;
		nr = left < PKRAM_PAGE_OBJECTS_MAX ? left : PKRAM_PAGE_OBJECTS_MAX;
		if (!nr || le32_to_cpu(op->hdr.length) !=
			   sizeof(op->hdr) + nr * sizeof(op->objects[0]))
			goto out;
		for (i = 0; i < nr; i++) {
			r = walk_object(w, &op->objects[i], &t);
			if (r)
				goto out;
		}
		left -= nr;
		next = le64_to_cpu(op->hdr.next);
	}

	r = PKRAM_DAMAGE_COUNT;
	if (left || t.data_pages != le64_to_cpu(node->data_pages) ||
	    t.meta_pages != le64_to_cpu(node->meta_pages))
		goto out;
	r = PKRAM_DAMAGE_NONE;
out:
	*totals = t;
	return r;
}
