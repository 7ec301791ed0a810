// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: nodes make room for kexec images.
 */
#define pr_fmt(fmt) "pkram: " fmt

#include <linux/ioport.h>
#include <linux/kexec.h>
#include <linux/pkram.h>
#include <linux/sizes.h>

#include "alloc.h"
#include "node.h"
#include "pkram.h"

/**
 * DOC: making room
 *
 * Nodes are where their pages happened to be, and an image needs a piece of memory
 * in which no block is touched: many MiB for a kernel, and at a place that user
 * space chose if it comes by kexec_load(). Pages of small nodes that are scattered
 * over many blocks, more of them with every kexec, can leave no such piece.
 *
 * Then the nodes in the way are moved: the place is banned, as those of an image
 * that is loaded are, and every stream with something there is written anew, with
 * copies in the place of banned pages. Base pages are packed into free blocks (alloc.c), so
 * that fewer blocks are touched than before. What a saver records meanwhile keeps
 * off the banned places anyway.
 *
 * Nodes that are being saved, taken or loaded, those with memory errors, and the
 * super block and the map stay where they are. An image that needs their place is
 * refused, and all nodes are as good as before.
 *
 * The kexec lock is held all the time, so no seal can come in between. What costs
 * time is proportional to the nodes that are in the way, and comes when an image
 * is loaded; saving and sealing know nothing of it.
 */

static void dir_moved(const struct pkram_dir *from, struct pkram_dir *to)
{
	struct rb_node *rb;

	/* those that are being saved have a slot, too, if their name is reserved */
	for (rb = rb_first(&pkram.names); rb; rb = rb_next(rb)) {
		struct pkram_node *node = rb_entry(rb, struct pkram_node, by_name);

		if (node->slot >= from->slot && node->slot < from->slot + PKRAM_DIR_SLOTS)
			node->slot = to->slot + (node->slot - from->slot);
	}
}

/**
 * pkram_evacuate - move what lies in banned places
 *
 * Context: may sleep; no seal can be made now. Must not hold pkram_kexec_sem.
 *
 * Return: 0 when all was moved that committed nodes had there, else the last error
 * of pkram_dir_move() and pkram_node_move(); everything else was moved then.
 */
int pkram_evacuate(void)
{
	struct pkram_node *node;
	unsigned long id;
	int err, r;

	guard(mutex)(&pkram.lock);
	if (!pkram_enabled())
		return 0;
	pkram_alloc_hold();
	err = pkram_dir_move(dir_moved);
	xa_for_each(&pkram.nodes, id, node) {
		r = pkram_node_move(node);
		if (r)
			err = r;
		cond_resched();
	}
	pkram_alloc_release(!pkram.nr_nodes);
	return err;
}

/* Addresses as in pkram_next_preserved(). */
static bool make_way(const struct kimage *image, unsigned long start, unsigned long end)
{
	unsigned long preserved_end;
	int err;

	pkram_kexec_ban(image, PFN_DOWN(start), PFN_DOWN(end) + 1);
	up_write(&pkram_kexec_sem);
	err = pkram_evacuate();
	down_write(&pkram_kexec_sem);
	if (!pkram_next_preserved(start, end, &preserved_end))
		return true;
	pr_info("what is preserved at %#lx-%#lx cannot be moved: %d\n", start, end, err);
	return false;
}

/**
 * pkram_kexec_clear - may a segment be put here?
 * @image: the image that is being loaded
 * @start: first address
 * @end:   last address
 *
 * Moves nodes that are in the way.
 *
 * Context: between pkram_kexec_begin() and pkram_kexec_end(), whose lock is given
 * up for a while.
 *
 * Return: false if something is there that has to stay.
 */
bool pkram_kexec_clear(const struct kimage *image, unsigned long start, unsigned long end)
{
	unsigned long preserved_end;

	if (!pkram_next_preserved(start, end, &preserved_end))
		return true;
	if (make_way(image, start, end))
		return true;
	pr_warn_ratelimited("kexec_load: segment %#lx-%#lx would overwrite preserved memory: use kexec_file_load() (kexec -s, pkramctl kexec), or another place\n",
			    start, end);
	return false;
}

#ifdef CONFIG_KEXEC_FILE

/**
 * struct room - where it costs least to make room
 * @kbuf:  for what
 * @start: first address
 * @pages: pages to be moved; U64_MAX as long as no place was found
 */
struct room {
	const struct kexec_buf *kbuf;
	u64 start;
	u64 pages;
};

static bool overlaps_segment(const struct kimage *image, u64 start, u64 end)
{
	unsigned long i;

	for (i = 0; i < image->nr_segments; i++)
		if (start < image->segment[i].mem + image->segment[i].memsz &&
		    end >= image->segment[i].mem)
			return true;
	return false;
}

/* Preserved pages in a window, U64_MAX if it cannot be had or has @limit of them. */
static u64 pages_in_the_way(u64 start, u64 end, u64 limit)
{
	const unsigned int shift = PAGE_SHIFT + PKRAM_BLOCK_ORDER;
	u64 block, nr, pages = 0;

	for (block = start >> shift; block <= end >> shift; block++) {
		nr = block < pkram_nr_blocks ? pkram_blocks_count(block) : 0;
		pages += nr;
		if (nr == U32_MAX || pages >= limit)
			return U64_MAX;
	}
	return pages;
}

static int look_for_room(struct resource *res, void *arg)
{
	struct room *room = arg;
	const struct kexec_buf *kbuf = room->kbuf;
	u64 step = max_t(u64, kbuf->buf_align, SZ_2M);
	u64 last = min_t(u64, res->end, kbuf->buf_max);
	u64 start = ALIGN(max_t(u64, res->start, kbuf->buf_min), step);
	u64 pages;

	for (; start < last && last - start >= kbuf->memsz - 1; start += step) {
		u64 end = start + kbuf->memsz - 1;

		if (overlaps_segment(kbuf->image, start, end))
			continue;
		pages = pages_in_the_way(start, end, room->pages);
		if (pages < room->pages) {
			room->pages = pages;
			room->start = start;
		}
	}
	return 0;
}

/**
 * pkram_kexec_make_room - have room for a segment where there is none
 * @kbuf: the segment, for which no place was found
 *
 * Moves what is preserved in the place where that is least.
 *
 * Context: as pkram_kexec_clear().
 *
 * Return: true if it is worth while to look for a place again.
 */
bool pkram_kexec_make_room(const struct kexec_buf *kbuf)
{
	struct room room = { .kbuf = kbuf, .pages = U64_MAX };

	if (!pkram_enabled() || kbuf->image->type != KEXEC_TYPE_DEFAULT || !kbuf->memsz)
		return false;
	walk_system_ram_res(0, U64_MAX, &room, look_for_room);
	if (room.pages == U64_MAX)
		return false;
	pr_info("no room for a kexec segment of %lu KiB: moving %llu preserved pages out of %#llx-%#llx\n",
		kbuf->memsz / SZ_1K, room.pages, room.start, room.start + kbuf->memsz - 1);
	return make_way(kbuf->image, room.start, room.start + kbuf->memsz - 1);
}

#endif /* CONFIG_KEXEC_FILE */
