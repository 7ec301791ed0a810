// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: nodes make room for kexec images.
 */
#define pr_fmt(fmt) "pkram: " fmt

#include <linux/ioport.h>
#include <linux/kexec.h>
#include <linux/pkram.h>
#include <linux/sizes.h>

#include "adopt.h"
#include "alloc.h"
#include "node.h"
#include "pkram.h"

/**
 * DOC: making room
 *
 * An image needs a range of memory without preserved blocks: many MiB for a kernel,
 * and at an address that user space chose if it comes by kexec_load(). Pages of
 * small nodes that are scattered over many blocks can leave no such range.
 *
 * Then nodes are moved. Their place is banned like the destinations of a loaded
 * image, and each stream with pages there is rewritten, with copies instead of
 * banned pages. Base pages are packed into free blocks (alloc.c), so that fewer blocks are
 * touched than before. Savers that run at the same time avoid banned places anyway.
 *
 * kexec_load() moves nodes after all other checks of the image. Nothing is moved
 * unless there is memory for the copies and for all free pages in banned places,
 * which the page allocator may return first.
 *
 * Some memory cannot be moved: the super block, the map, nodes with memory errors,
 * and nodes that are being saved, removed or loaded. An image that needs their place
 * is refused. All nodes remain as they were.
 *
 * Nodes of the previous kernel are adopted before anything is moved. That alone may make
 * room, since their blocks are in the way as a whole until then.
 *
 * The kexec lock is held all the time, so that no seal happens in between. The time
 * that moving takes is proportional to the size of the nodes in the way. It is spent
 * when an image is loaded, not when nodes are saved or sealed.
 */

static void dir_update_slots(const struct pkram_dir *from, struct pkram_dir *to)
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
 * pkram_evacuate() - move committed nodes out of banned places
 *
 * Context: may sleep. The caller holds the kexec lock, so that nothing is sealed, and
 * not pkram_kexec_sem.
 *
 * Return: 0, -EINTR, or the last error of pkram_dir_move() and pkram_node_move(). After an
 * error, all nodes that could be moved were moved.
 */
int pkram_evacuate(void)
{
	struct pkram_node *node;
	unsigned long id;
	int err, r;

	err = pkram_adopt_all();
	if (err)
		return err;
	guard(mutex)(&pkram.lock);
	if (!pkram_enabled())
		return 0;
	pkram_alloc_hold();
	err = pkram_dir_move(dir_update_slots);
	pkram_poison_recheck();
	xa_for_each(&pkram.nodes, id, node) {
		r = pkram_node_move(node);
		if (r)
			err = r;
		cond_resched();
	}
	pkram_alloc_release(!pkram.nr_nodes);
	return err;
}

/*
 * Check that there is memory for copies of what is in banned places, even if every
 * free page there is allocated first and has to be held until others are found.
 */
static bool evacuate_fits(void)
{
	u64 pages = SZ_16M >> PAGE_SHIFT, block, n;
	unsigned int i;

	for (i = 0; i < pkram_bans.nr; i++) {
		pages += pkram_bans.end[i] - pkram_bans.start[i];
		for (block = pkram_bans.start[i] >> PKRAM_BLOCK_ORDER;
		     block < pkram_nr_blocks && block << PKRAM_BLOCK_ORDER < pkram_bans.end[i];
		     block++) {
			n = pkram_blocks_count(block);
			if (n != U32_MAX)
				pages += n;
		}
	}
	return pages < si_mem_available();
}

/* Adopt pending nodes. True if there were some, so that there may be room now. */
static bool evacuate_adopt(void)
{
	bool adopted;

	lockdep_assert_held_write(&pkram_kexec_sem);
	if (likely(!pkram_adopt_pending()))
		return false;
	up_write(&pkram_kexec_sem);
	adopted = pkram_adopt_all_at_once();
	down_write(&pkram_kexec_sem);
	return adopted;
}

/* Move nodes out of the segments of @image and out of one more place; pfns. */
static int evacuate_range(const struct kimage *image, u64 start, u64 end)
{
	int err;

	lockdep_assert_held_write(&pkram_kexec_sem);
	pkram_kexec_ban(image, start, end);
	if (!evacuate_fits())
		return -ENOMEM;
	up_write(&pkram_kexec_sem);
	err = pkram_evacuate();
	down_write(&pkram_kexec_sem);
	return err;
}

/* The first segment that lies on preserved memory. */
static const struct kexec_segment *image_find_preserved(const struct kimage *image)
{
	unsigned long i, preserved_end;

	for (i = 0; i < image->nr_segments; i++) {
		const struct kexec_segment *s = &image->segment[i];

		if (s->memsz && pkram_next_preserved(s->mem, s->mem + s->memsz - 1,
						     &preserved_end))
			return s;
	}
	return NULL;
}

/* The first segment that lies in the memory of the crash kernel. */
static const struct kexec_segment *image_find_crash(const struct kimage *image)
{
	unsigned long i;
	u64 start, end;

	for (i = 0; i < image->nr_segments; i++) {
		const struct kexec_segment *s = &image->segment[i];

		if (s->memsz && pkram_next_crash(s->mem, s->mem + s->memsz - 1, &start, &end))
			return s;
	}
	return NULL;
}

/**
 * pkram_kexec_clear() - move nodes out of the way of an image
 * @image: image that is being loaded, all of its segments checked
 *
 * kexec_load() leaves the places of segments to user space. Nodes are moved when
 * nothing else can be wrong with the image.
 *
 * Context: between pkram_kexec_begin() and pkram_kexec_end(). Releases
 * pkram_kexec_sem and takes it again.
 *
 * Return: false if preserved memory has to stay where a segment goes.
 */
bool pkram_kexec_clear(const struct kimage *image)
{
	const struct kexec_segment *s;
	int err;

	if (image->type != KEXEC_TYPE_DEFAULT)
		return true;
	s = image_find_crash(image);
	if (s && pkram_active())
		pr_info("kexec_load: segment %#lx-%#lx is in the memory of the crash kernel: use kexec_file_load() (kexec -s, pkramctl kexec) if crashkernel= has to find such memory again\n",
			s->mem, s->mem + s->memsz - 1);
	if (!image_find_preserved(image))
		return true;
	if (evacuate_adopt() && !image_find_preserved(image))
		return true;
	err = evacuate_range(image, 0, 0);
	s = image_find_preserved(image);
	if (!s)
		return true;
	pr_warn_ratelimited("kexec_load: segment %#lx-%#lx would overwrite preserved memory: use kexec_file_load() (kexec -s, pkramctl kexec), or another place (%d)\n",
			    s->mem, s->mem + s->memsz - 1, err);
	return false;
}

#ifdef CONFIG_KEXEC_FILE

/**
 * struct room - cheapest place for a segment
 * @kbuf:  the segment
 * @start: first address of the place
 * @pages: pages to be moved; U64_MAX as long as no place was found
 */
struct room {
	const struct kexec_buf *kbuf;
	u64 start;
	u64 pages;
};

static bool image_overlaps(const struct kimage *image, u64 start, u64 end)
{
	unsigned long i;

	for (i = 0; i < image->nr_segments; i++)
		if (start < image->segment[i].mem + image->segment[i].memsz &&
		    end >= image->segment[i].mem)
			return true;
	return false;
}

/* Count preserved pages in a window; U64_MAX if some cannot be moved, or from @limit on. */
static u64 room_count_pages(u64 start, u64 end, u64 limit)
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

static int room_check_resource(struct resource *res, void *arg)
{
	struct room *room = arg;
	const struct kexec_buf *kbuf = room->kbuf;
	u64 step = max_t(u64, kbuf->buf_align, SZ_2M);
	u64 last = min_t(u64, res->end, kbuf->buf_max);
	u64 start = ALIGN(max_t(u64, res->start, kbuf->buf_min), step);
	u64 pages, crash_start, crash_end;

	for (; start < last && last - start >= kbuf->memsz - 1; start += step) {
		u64 end = start + kbuf->memsz - 1;

		if (image_overlaps(kbuf->image, start, end) ||
		    (!pkram_crash_given_up &&
		     pkram_next_crash(start, end, &crash_start, &crash_end)))
			continue;
		pages = room_count_pages(start, end, room->pages);
		if (pages < room->pages) {
			room->pages = pages;
			room->start = start;
		}
	}
	return 0;
}

/**
 * pkram_kexec_make_room() - make room for a kexec segment
 * @kbuf: segment for which no free place was found
 *
 * Moves nodes out of the place that has the fewest preserved pages. The memory of a crash
 * kernel is given up only if there is no other place.
 *
 * Context: as pkram_kexec_clear().
 *
 * Return: true if a place can be looked for again.
 */
bool pkram_kexec_make_room(const struct kexec_buf *kbuf)
{
	struct room room = { .kbuf = kbuf, .pages = U64_MAX };
	unsigned long preserved_end;
	u64 start, end;
	int err;

	if (!pkram_enabled() || kbuf->image->type != KEXEC_TYPE_DEFAULT || !kbuf->memsz)
		return false;
	if (evacuate_adopt())
		return true;
	walk_system_ram_res(0, U64_MAX, &room, room_check_resource);
	if (room.pages == U64_MAX && pkram_next_crash(0, U64_MAX, &start, &end)) {
		pkram_crash_given_up = true;
		walk_system_ram_res(0, U64_MAX, &room, room_check_resource);
		if (room.pages != U64_MAX)
			pr_warn("a kexec segment of %lu KiB fits nowhere but into the memory of the crash kernel: crashkernel= may find no memory in the next kernel\n",
				kbuf->memsz / SZ_1K);
	}
	if (room.pages == U64_MAX)
		return false;
	if (!room.pages)
		return true;
	end = room.start + kbuf->memsz - 1;
	pr_info("no room for a kexec segment of %lu KiB: moving %llu preserved pages out of %#llx-%#llx\n",
		kbuf->memsz / SZ_1K, room.pages, room.start, end);
	err = evacuate_range(kbuf->image, PFN_DOWN(room.start), PFN_DOWN(end) + 1);
	if (!pkram_next_preserved(room.start, end, &preserved_end))
		return true;
	pr_warn("failed to move preserved pages out of %#llx-%#llx: %d\n", room.start, end, err);
	return false;
}

#endif /* CONFIG_KEXEC_FILE */
