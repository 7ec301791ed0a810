/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The PKRAM on-memory format: the contract between the kernel that seals and
 * the kernel that is started next. Nothing else is shared between the two.
 *
 * This header and mm/pkram/format.c need nothing but fixed-width types, so that
 * the decompressor, the kernel and user space tests compile the same text.
 */
#ifndef _LINUX_PKRAM_FORMAT_H
#define _LINUX_PKRAM_FORMAT_H

#include <linux/types.h>
#include <asm/byteorder.h>

/**
 * DOC: PKRAM on-memory format
 *
 * Preserved memory is described by *metadata pages* of 4096 bytes. All fields
 * are little endian and of fixed width. Every metadata page begins with a
 * &struct pkram_page_hdr that makes it recognisable on its own: a magic number,
 * what kind of page it is, which chain of kexecs it belongs to, its own page
 * frame number and a checksum over its length.
 *
 * ::
 *
 *   pkram=<pfn>
 *       |
 *       v
 *   +-------+  map_pfn   +-----+-----+     one bit a 2 MiB block that holds
 *   | super |----------->| map | map |     any preserved page; contiguous,
 *   +-------+            +-----+-----+     and once more at map_copy_pfn
 *   | copy  |
 *   +-------+
 *       | dir_pfn
 *       v
 *   +------+  next  +------+               pfns of nodes, 0 = free slot
 *   | dir  |------->| dir  |
 *   +------+        +------+
 *   | copy |        | copy |
 *   +------+        +------+
 *     |   |
 *     v   v
 *   +------+ next +---------+ next         name, totals, the first objects;
 *   | node |----->| objects |----->        further objects in further pages
 *   +------+      +---------+
 *     |  |
 *     |  +--bytes_head--> link --> link    the byte stream of an object
 *     +-----pages_head--> link --> link    the page stream of an object
 *                           |
 *                           +--> extents --> the preserved pages themselves
 *
 * *Extents* say which pages a stream consists of. An extent takes seven bytes
 * and is either one base page with a gap before it, or a run of up to 2048
 * folios of one order that follow each other both in the file and in memory, or
 * a long gap. Scattered base pages therefore cost 7.15 bytes each, a 2 MiB folio
 * costs seven bytes.
 *
 * No single page that is damaged costs more than the node it belongs to. Super block and
 * directory pages are in pairs: the copy of page P is page P ^ 1, see pkram_twin(), and is
 * found without P. The map exists twice, at two places that the super block names. A copy
 * differs from the original in its own pfn and checksum only. A reader that finds a page
 * damaged uses the copy. A page whose copy cannot be used has PKRAM_HDR_ALONE set.
 *
 * Validation: early boot uses the super block and the map pages once
 * they passed their checks, and reserves all blocks in the map. It reads nothing
 * else. Later, with all of the kernel at hand, each node is checked as a whole
 * before it is adopted or dropped: see pkram_walk_node(). A page can be claimed
 * once only, which bounds every loop over chains.
 *
 * The super block, the map and the directory change while the system runs, their
 * checksums are made when sealing. The pages of a node do not change once it is
 * committed and carry their checksums from then on; only the seal may add which
 * of its pages were hit by a memory error.
 *
 * Versions: PKRAM_FORMAT_VERSION changes when an old reader would misread what a
 * new writer wrote. Additions that old readers may ignore set a bit in a compatible
 * set, those they must refuse a bit in an incompatible one. The super block has such
 * sets for the store as a whole, each node has its own: a reader that does not know what
 * a node needs drops that node and no other. An image says in its tags which versions
 * and which features it reads, see &struct pkram_image_tag.
 */

#define PKRAM_FORMAT_VERSION	1

/** PKRAM_COMPAT_CRASH - compatible feature of super blocks: @crash is filled in */
#define PKRAM_COMPAT_CRASH	(1ULL << 0)
/** PKRAM_INCOMPAT_KNOWN - incompatible features of super blocks this reader understands */
#define PKRAM_INCOMPAT_KNOWN	0ULL
/** PKRAM_NODE_INCOMPAT_KNOWN - incompatible features of nodes this reader understands */
#define PKRAM_NODE_INCOMPAT_KNOWN 0ULL

#define PKRAM_PAGE_SHIFT	12
#define PKRAM_PAGE_SIZE		4096

/** PKRAM_BLOCK_ORDER - pages in a block of the map, log2: 2 MiB */
#define PKRAM_BLOCK_ORDER	9
#define PKRAM_BLOCK_PAGES	(1U << PKRAM_BLOCK_ORDER)

/**
 * PKRAM_MIN_PFN - lowest page that may be preserved
 *
 * Below 1 MiB the next kernel puts its trampoline and firmware puts what it
 * likes; the rest of that block goes along.
 */
#define PKRAM_MIN_PFN		PKRAM_BLOCK_PAGES

/** PKRAM_MAX_PFN - one above the highest page an extent can name (2^52 bytes) */
#define PKRAM_MAX_PFN		(1ULL << 40)

/** PKRAM_MAX_ORDER - largest folio order an extent can name, but for the next */
#define PKRAM_MAX_ORDER		13
/** PKRAM_GIGANTIC_ORDER - the one order above that which it can name: 1 GiB */
#define PKRAM_GIGANTIC_ORDER	18

/** PKRAM_MAX_INDEX - one above the highest page index in a stream (2^63 bytes) */
#define PKRAM_MAX_INDEX		(1ULL << 51)

#define PKRAM_MAGIC		0x4d524b50U	/* "PKRM" read as little endian */

/** enum pkram_page_type - what a metadata page holds */
enum pkram_page_type {
	PKRAM_PAGE_SUPER	= 1,
	PKRAM_PAGE_MAP		= 2,
	PKRAM_PAGE_DIR		= 3,
	PKRAM_PAGE_NODE		= 4,
	PKRAM_PAGE_OBJECTS	= 5,
	PKRAM_PAGE_LINK		= 6,
};

/**
 * PKRAM_HDR_ALONE - in a super block or directory page: there is no copy of it
 *
 * The memory of the copy is bad. It is not to be read, nor to be used for anything else.
 */
#define PKRAM_HDR_ALONE		(1U << 0)

/**
 * struct pkram_page_hdr - first 64 bytes of every metadata page
 * @magic:      PKRAM_MAGIC
 * @version:    PKRAM_FORMAT_VERSION
 * @type:       enum pkram_page_type
 * @checksum:   pkram_checksum() over @length bytes, this field taken as 0
 * @chain:      random, drawn when the super block was made, equal on all pages
 * @pfn:        page frame number of this very page
 * @generation: value of the super block's @generation when it was written
 * @length:     bytes in use, header included, multiple of 8, 64 to 4096
 * @flags:      PKRAM_HDR_*
 * @next:       pfn of the next page in the same list, 0 at the end
 * @reserved1:  0
 */
struct pkram_page_hdr {
	__le32 magic;
	__le16 version;
	__le16 type;
	__le64 checksum;
	__le64 chain;
	__le64 pfn;
	__le64 generation;
	__le32 length;
	__le32 flags;
	__le64 next;
	__le64 reserved1;
};

/**
 * pkram_twin - where the copy of a super block or a directory page is
 * @pfn: the page
 *
 * Return: pfn of its copy.
 */
static inline __u64 pkram_twin(__u64 pfn)
{
	return pfn ^ 1;
}

/** PKRAM_SEALED - value of pkram_super.seal in a chain that is final */
#define PKRAM_SEALED		0x64656c6165734b50ULL	/* "PKsealed" */
/** PKRAM_OPEN - value of pkram_super.seal while a kernel is using it */
#define PKRAM_OPEN		0x0000006e65704b50ULL	/* "PKpen" */

/**
 * struct pkram_place - contiguous pages
 * @pfn: first page
 * @nr:  pages, 0 if there are none
 */
struct pkram_place {
	__le64 pfn;
	__le64 nr;
};

/** PKRAM_CRASH_RANGES - most ranges that a crash kernel has: one, and one below 4 GiB */
#define PKRAM_CRASH_RANGES	2

/**
 * struct pkram_super - the page that pkram=<pfn> names
 * @hdr:        header; its generation counts the kexecs this chain has survived
 * @seal:       PKRAM_SEALED or PKRAM_OPEN
 * @compat:     features a reader may ignore
 * @incompat:   features a reader must know
 * @page_shift: PKRAM_PAGE_SHIFT
 * @block_order: PKRAM_BLOCK_ORDER
 * @map_pfn:    first of @nr_map contiguous map pages
 * @nr_map:     number of map pages, 1 to PKRAM_MAX_MAP_PAGES
 * @nr_dir:     number of directory pages
 * @dir_pfn:    first directory page, 0 if there is none
 * @nr_nodes:   used slots in the directory
 * @sealed_ns:  CLOCK_REALTIME ns when it was sealed
 * @sealed_tsc: time stamp counter then, 0 if it cannot be compared
 * @release:    release of the kernel that sealed it, NUL-terminated
 * @map_copy_pfn: first of @nr_map contiguous map pages that are a copy of those at
 *              @map_pfn, 0 if there is none
 * @crash:      where the kernel that sealed it had the memory for its crash kernel; there
 *              only with PKRAM_COMPAT_CRASH, and beyond what older writers wrote
 */
struct pkram_super {
	struct pkram_page_hdr hdr;
	__le64 seal;
	__le64 compat;
	__le64 incompat;
	__le32 page_shift;
	__le32 block_order;
	__le64 map_pfn;
	__le32 nr_map;
	__le32 nr_dir;
	__le64 dir_pfn;
	__le64 nr_nodes;
	__le64 sealed_ns;
	__le64 sealed_tsc;
	__u8 release[64];
	__le64 map_copy_pfn;
	struct pkram_place crash[PKRAM_CRASH_RANGES];
};

/** PKRAM_SUPER_MIN - bytes of a super block that every writer fills in */
#define PKRAM_SUPER_MIN		offsetof(struct pkram_super, crash)

/** PKRAM_MAP_BITS - blocks that one map page covers (63 GiB of memory) */
#define PKRAM_MAP_BITS		((PKRAM_PAGE_SIZE - 64) * 8)
/** PKRAM_MAX_MAP_PAGES - map pages a super block can have (63 TiB of memory) */
#define PKRAM_MAX_MAP_PAGES	1024

/**
 * struct pkram_map - which blocks hold preserved pages
 * @hdr:  header
 * @bits: bit b of page p stands for block p * PKRAM_MAP_BITS + b; words are
 *        little endian, bit 0 is the least significant of word 0
 */
struct pkram_map {
	struct pkram_page_hdr hdr;
	__le64 bits[PKRAM_MAP_BITS / 64];
};

#define PKRAM_DIR_SLOTS		((PKRAM_PAGE_SIZE - 64) / 8)

/**
 * struct pkram_dir - where the nodes are
 * @hdr:  header; next links to a further directory page
 * @slot: pfn of a node page, 0 if free
 */
struct pkram_dir {
	struct pkram_page_hdr hdr;
	__le64 slot[PKRAM_DIR_SLOTS];
};

/** PKRAM_OBJ_PAGES - the object has a page stream */
#define PKRAM_OBJ_PAGES		(1U << 0)
/** PKRAM_OBJ_BYTES - the object has a byte stream */
#define PKRAM_OBJ_BYTES		(1U << 1)
/** PKRAM_OBJ_FILE - size, mode, owner, seals and times are those of a file */
#define PKRAM_OBJ_FILE		(1U << 2)
#define PKRAM_OBJ_ALL		(PKRAM_OBJ_PAGES | PKRAM_OBJ_BYTES | PKRAM_OBJ_FILE)
/** PKRAM_OBJ_COMPAT - flags that a reader ignores if it does not know them */
#define PKRAM_OBJ_COMPAT	0xffff0000U

/** PKRAM_OBJ_POISONED - pages with memory errors that an object can name */
#define PKRAM_OBJ_POISONED	4

/**
 * struct pkram_object - one object of a node; what describes a file is 0 without
 * PKRAM_OBJ_FILE
 * @pages_head: first link page of the page stream, 0 if it is empty
 * @nr_pages:   base pages in the page stream
 * @bytes_head: first link page of the byte stream, 0 if it is empty
 * @nr_bytes:   length of the byte stream
 * @size:       size of the file in bytes
 * @flags:      PKRAM_OBJ_*; an unknown one costs the node, except in PKRAM_OBJ_COMPAT
 * @mode:       mode of the file
 * @uid:        its owner, in the initial user namespace
 * @gid:        its group
 * @seals:      its F_SEAL_* before it was frozen
 * @reserved0:  0
 * @atime_ns:   CLOCK_REALTIME ns of its last access
 * @mtime_ns:   of its last modification
 * @ctime_ns:   of its last status change
 * @nr_poisoned: pages of its streams in which the hardware lost data by the time
 *              of the seal; unless 0 the object cannot be loaded
 * @poisoned:   pfns of the first PKRAM_OBJ_POISONED of them, 0 beyond; a reader
 *              must not make them available again
 */
struct pkram_object {
	__le64 pages_head;
	__le64 nr_pages;
	__le64 bytes_head;
	__le64 nr_bytes;
	__le64 size;
	__le32 flags;
	__le32 mode;
	__le32 uid;
	__le32 gid;
	__le32 seals;
	__le32 reserved0;
	__le64 atime_ns;
	__le64 mtime_ns;
	__le64 ctime_ns;
	__le64 nr_poisoned;
	__le64 poisoned[PKRAM_OBJ_POISONED];
};

#define PKRAM_NAME_BYTES	256

#define PKRAM_NODE_OBJECTS	((PKRAM_PAGE_SIZE - 64 - 64 - PKRAM_NAME_BYTES) / 128)

/**
 * struct pkram_node_page - first page of a node
 * @hdr:        header; next links to a &struct pkram_objects_page
 * @stored_ns:  CLOCK_REALTIME ns of the commit
 * @data_pages: base pages in all its streams
 * @meta_pages: metadata pages, this one included
 * @nr_objects: objects in this page and the following ones
 * @name_len:   bytes in @name, 1 to 255
 * @compat:     features a reader may ignore
 * @incompat:   features a reader must know to adopt the node
 * @reserved:   0
 * @name:       name, NUL-padded
 * @objects:    the first PKRAM_NODE_OBJECTS objects
 */
struct pkram_node_page {
	struct pkram_page_hdr hdr;
	__le64 stored_ns;
	__le64 data_pages;
	__le64 meta_pages;
	__le32 nr_objects;
	__le32 name_len;
	__le64 compat;
	__le64 incompat;
	__le64 reserved[2];
	__u8 name[PKRAM_NAME_BYTES];
	struct pkram_object objects[PKRAM_NODE_OBJECTS];
};

#define PKRAM_PAGE_OBJECTS_MAX	((PKRAM_PAGE_SIZE - 64) / 128)

/**
 * struct pkram_objects_page - objects that did not fit into the node page
 * @hdr:     header; next links to a further page of objects
 * @objects: the objects
 */
struct pkram_objects_page {
	struct pkram_page_hdr hdr;
	struct pkram_object objects[PKRAM_PAGE_OBJECTS_MAX];
};

/** PKRAM_EXTENT_BYTES - bytes an extent takes */
#define PKRAM_EXTENT_BYTES	7
/* the last extent is read as eight bytes, hence the minus one */
#define PKRAM_LINK_EXTENTS	((PKRAM_PAGE_SIZE - 64 - 16 - 1) / PKRAM_EXTENT_BYTES)

/**
 * struct pkram_link - a page of extents
 * @hdr:        header; next links to a further page of the stream
 * @index:      page index in the stream at which the first extent starts
 * @nr_extents: extents in this page, 1 to PKRAM_LINK_EXTENTS
 * @reserved:   0
 * @extents:    the extents, PKRAM_EXTENT_BYTES each, see pkram_extent_get()
 */
struct pkram_link {
	struct pkram_page_hdr hdr;
	__le64 index;
	__le32 nr_extents;
	__le32 reserved;
	__u8 extents[PKRAM_PAGE_SIZE - 64 - 16];
};

/**
 * struct pkram_extent - an extent, decoded
 * @pfn:   first page, 0 for a gap without pages
 * @gap:   pages left out in the stream before the first page
 * @count: folios, 0 for a gap
 * @order: order of each folio
 */
struct pkram_extent {
	__u64 pfn;
	__u64 gap;
	__u32 count;
	__u32 order;
};

/* Bits of an extent: 40 of pfn, then a kind bit, then 15 that depend on it. */
#define PKRAM_EXT_PFN_MASK	((1ULL << 40) - 1)
#define PKRAM_EXT_RUN		(1ULL << 40)	/* order in 41-44, count - 1 in 45-55 */
#define PKRAM_EXT_GAP_SHIFT	41		/* single page: gap in 41-55 */
#define PKRAM_EXT_MAX_GAP	((1U << 15) - 1)
#define PKRAM_EXT_ORDER_SHIFT	41
#define PKRAM_EXT_COUNT_SHIFT	45
#define PKRAM_EXT_MAX_COUNT	(1U << 11)
#define PKRAM_EXT_GIGANTIC	14ULL		/* in place of PKRAM_GIGANTIC_ORDER */
#define PKRAM_EXT_LONG_GAP	15ULL		/* in place of an order: gap in the pfn */

static inline __u64 pkram_load64(const __u8 *p)
{
	__le64 v;

	__builtin_memcpy(&v, p, sizeof(v));
	return le64_to_cpu(v);
}

/**
 * pkram_extent_raw - read extent @i of @link as a number of 56 bits
 * @link: a link page
 * @i:    index below PKRAM_LINK_EXTENTS
 *
 * Return: the extent, still encoded.
 */
static inline __u64 pkram_extent_raw(const struct pkram_link *link, unsigned int i)
{
	return pkram_load64(link->extents + i * PKRAM_EXTENT_BYTES) & ((1ULL << 56) - 1);
}

/**
 * pkram_extent_put - write an encoded extent
 * @link: a link page whose extents from @i on are unused
 * @i:    index below PKRAM_LINK_EXTENTS
 * @raw:  the extent; bits 56 to 63 must be 0
 *
 * Writes eight bytes, the last of which belongs to the next extent.
 */
static inline void pkram_extent_put(struct pkram_link *link, unsigned int i, __u64 raw)
{
	__le64 v = cpu_to_le64(raw);

	__builtin_memcpy(link->extents + i * PKRAM_EXTENT_BYTES, &v, sizeof(v));
}

/**
 * pkram_extent_decode - decode an extent
 * @raw: as read by pkram_extent_raw()
 *
 * Return: the extent; nothing about it has been checked.
 */
static inline struct pkram_extent pkram_extent_decode(__u64 raw)
{
	struct pkram_extent e = { .pfn = raw & PKRAM_EXT_PFN_MASK, .count = 1 };

	if (!(raw & PKRAM_EXT_RUN)) {
		e.gap = raw >> PKRAM_EXT_GAP_SHIFT;
		return e;
	}

	e.order = (raw >> PKRAM_EXT_ORDER_SHIFT) & 15;
	e.count = (raw >> PKRAM_EXT_COUNT_SHIFT) + 1;
	if (e.order == PKRAM_EXT_LONG_GAP) {
		e.gap = e.pfn | ((__u64)(e.count - 1) << 40);
		e.pfn = 0;
		e.order = 0;
		e.count = 0;
	} else if (e.order == PKRAM_EXT_GIGANTIC) {
		e.order = PKRAM_GIGANTIC_ORDER;
	}
	return e;
}

/* A base page with a gap of up to PKRAM_EXT_MAX_GAP pages before it. */
static inline __u64 pkram_extent_single(__u64 pfn, __u64 gap)
{
	return pfn | gap << PKRAM_EXT_GAP_SHIFT;
}

/* 1 to PKRAM_EXT_MAX_COUNT folios of @order: up to PKRAM_MAX_ORDER, or gigantic. */
static inline __u64 pkram_extent_run(__u64 pfn, unsigned int order, __u64 count)
{
	if (order == PKRAM_GIGANTIC_ORDER)
		order = PKRAM_EXT_GIGANTIC;
	return pfn | PKRAM_EXT_RUN | (__u64)order << PKRAM_EXT_ORDER_SHIFT |
	       (count - 1) << PKRAM_EXT_COUNT_SHIFT;
}

/* A gap of up to PKRAM_MAX_INDEX - 1 pages. */
static inline __u64 pkram_extent_long_gap(__u64 gap)
{
	return (gap & PKRAM_EXT_PFN_MASK) | PKRAM_EXT_RUN |
	       PKRAM_EXT_LONG_GAP << PKRAM_EXT_ORDER_SHIFT |
	       (gap >> 40) << PKRAM_EXT_COUNT_SHIFT;
}

/* "LToP" kernel_info tag by which a bzImage says that it reads this format */
#define PKRAM_IMAGE_TAG		PKRAM_MAGIC

/**
 * struct pkram_image_tag - entry in the variable part of a bzImage's kernel_info
 * @magic:    PKRAM_IMAGE_TAG
 * @length:   bytes of this entry
 * @version:  format version it reads
 * @reserved: 0
 * @incompat: incompatible features of super blocks that it understands
 * @node_incompat: incompatible features of nodes that it understands
 *
 * A kernel that reads several versions of the format has a tag for each, in any order,
 * and goes on writing the version it found: an image is judged by the tag whose version
 * is that of the store.
 */
struct pkram_image_tag {
	__le32 magic;
	__le32 length;
	__le32 version;
	__le32 reserved;
	__le64 incompat;
	__le64 node_incompat;
};

__u64 pkram_checksum(const void *page, __u32 length);
void pkram_page_finish(struct pkram_page_hdr *hdr);
int pkram_check_page(const struct pkram_page_hdr *hdr, unsigned int type,
		     __u64 pfn, __u64 chain, __u64 generation);
int pkram_check_super(const struct pkram_super *sb, __u64 pfn, __u64 max_pfn);
int pkram_pick_result(int result, int twin_result);
bool pkram_super_crash(const struct pkram_super *sb, unsigned int i, __u64 max_pfn,
		       __u64 *start, __u64 *end);
__u32 pkram_map_pages(__u64 max_pfn);
int pkram_check_name(const __u8 *name, __u32 len);

bool pkram_map_test(const struct pkram_map *map, __u64 block);
__u64 pkram_map_next(const struct pkram_map *map, __u64 nr_blocks, __u64 block, bool set);

/** enum pkram_claim - for what pkram_walk_node() claims pages */
enum pkram_claim {
	PKRAM_CLAIM_META,
	PKRAM_CLAIM_DATA,
};

/** PKRAM_CLAIM_BATCH - pages that pkram_walk_node() claims at a time, at most */
#define PKRAM_CLAIM_BATCH	64

/**
 * struct pkram_walker - what pkram_walk_node() needs from its surroundings
 * @claim: take pages [@pfn, @pfn + @count << @order) for the node, and say with
 *         an enum pkram_damage if they cannot be: out of range, claimed before.
 *         Called with @pfn between PKRAM_MIN_PFN and PKRAM_MAX_PFN only
 * @claim_pages: the same as calling @claim for each of @nr single pages of data
 *         in this order, up to the first that fails; scattered pages are the case
 *         that has to be fast
 * @map:   address of metadata page @pfn, which was claimed before; never NULL
 * @ctx:   handed to both
 * @chain: the super block's chain
 * @generation: the super block's generation
 */
struct pkram_walker {
	int (*claim)(void *ctx, enum pkram_claim what, __u64 pfn, __u32 count,
		     __u32 order);
	int (*claim_pages)(void *ctx, const __u64 *pfn, __u32 nr);
	const void *(*map)(void *ctx, __u64 pfn);
	void *ctx;
	__u64 chain;
	__u64 generation;
};

/**
 * struct pkram_node_totals - what pkram_walk_node() counted
 * @data_pages: base pages in streams
 * @meta_pages: metadata pages
 * @file_bytes: sizes of file objects, added up, at most ~0
 * @data_bytes: lengths of byte streams, added up
 */
struct pkram_node_totals {
	__u64 data_pages;
	__u64 meta_pages;
	__u64 file_bytes;
	__u64 data_bytes;
};

int pkram_check_head(const struct pkram_node_page *node, __u64 pfn, __u64 chain,
		     __u64 generation);
int pkram_walk_node(const struct pkram_walker *w, __u64 pfn,
		    struct pkram_node_totals *totals);

#endif /* _LINUX_PKRAM_FORMAT_H */
