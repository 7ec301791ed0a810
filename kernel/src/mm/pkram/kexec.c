// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: keeping preserved memory and kexec images apart.
 */
#define pr_fmt(fmt) "pkram: " fmt

#include <linux/ctype.h>
#include <linux/kexec.h>
#include <linux/pkram.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "alloc.h"
#include "pkram.h"

/**
 * DOC: PKRAM and kexec images
 *
 * The segments of an image have destinations, which are not allocated while the old
 * kernel runs: any of these pages can be in use. Preserved memory must not be there.
 *
 * If the image is loaded first, its destinations are *banned*. Pages of files that
 * lie there are copied when the file is saved, and the copy is preserved. Pages that
 * PKRAM allocates itself are allocated again until they lie elsewhere.
 *
 * If a node is stored first, kexec_file_load() looks for places outside of preserved
 * blocks. If there are none, or if user space chose a place by kexec_load(), nodes
 * are moved, see evacuate.c. Memory that cannot be moved is not overwritten: the
 * image is refused.
 *
 * Concurrently: the kexec system calls hold pkram_kexec_sem for writing while they
 * place an image. Code that records pages holds it for reading from the ban check
 * until the pages are recorded. While nodes are moved, the semaphore is released and
 * the places of the new image are banned instead.
 *
 * The kernel of an image may not be able to adopt the store, because it has no PKRAM
 * or because pkram= is missing on its command line. That is determined when the image
 * is loaded. The store is not sealed for such an image, so that later kernels find
 * that the super block is stale.
 */

/**
 * DOC: PKRAM and the memory of a crash kernel
 *
 * crashkernel= wants memory in one piece, in every boot of a chain. Preserved memory can be
 * in all such pieces but one: the one that the running kernel has reserved. So that piece
 * is kept free for the next kernel: kexec_file_load() places no segment there as long as
 * there is another place, the super block names it, the decompressor does not put the
 * kernel there, and early boot holds it until crashkernel= has been dealt with.
 */

/* No other place was found for a segment of the image that is being placed. */
bool pkram_crash_given_up;

/* State of the image whose destinations are in pkram_bans. */
static u32 pkram_image = PKRAM_IMAGE_NONE;

static void bans_add(u64 start, u64 end)
{
	pkram_bans.start[pkram_bans.nr] = start;
	pkram_bans.end[pkram_bans.nr++] = end;
}

static void bans_take_installed(void)
{
	const struct kimage *image = kexec_image;
	unsigned int i;

	pkram_bans.nr = 0;
	for (i = 0; image && i < image->nr_segments; i++)
		bans_add(PFN_DOWN(image->segment[i].mem),
			 PFN_UP(image->segment[i].mem + image->segment[i].memsz));
}

/**
 * pkram_kexec_ban() - ban the place of an image that is being loaded
 * @image: the image; all blocks of the segments it has so far are banned
 * @start: first pfn of one more place of it
 * @end:   one above the last pfn; not above @start if there is no such place
 *
 * Context: between pkram_kexec_begin() and pkram_kexec_end(), which lifts the ban.
 */
void pkram_kexec_ban(const struct kimage *image, u64 start, u64 end)
{
	unsigned int i;

	lockdep_assert_held_write(&pkram_kexec_sem);
	bans_take_installed();
	if (start < end)
		bans_add(round_down(start, PKRAM_BLOCK_PAGES), round_up(end, PKRAM_BLOCK_PAGES));
	for (i = 0; i < image->nr_segments; i++) {
		const struct kexec_segment *s = &image->segment[i];

		bans_add(round_down(PFN_DOWN(s->mem), PKRAM_BLOCK_PAGES),
			 round_up(PFN_UP(s->mem + s->memsz), PKRAM_BLOCK_PAGES));
	}
}

/* True between pkram_kexec_begin() and pkram_kexec_end(). Protected by the kexec lock. */
static bool placing;

/**
 * pkram_kexec_begin() - begin to place or to unload an image
 *
 * Does nothing if it was called already.
 *
 * Context: process context, kexec lock held. The caller must not take locks that are
 * held while files are saved, like that of an inode, before pkram_kexec_end().
 */
void pkram_kexec_begin(void)
{
	if (placing)
		return;
	down_write(&pkram_kexec_sem);
	placing = true;
	pkram_crash_given_up = false;
}

/**
 * pkram_kexec_end() - end what pkram_kexec_begin() began
 *
 * Bans the destinations of the image that is installed now, if there is one. Does
 * nothing without pkram_kexec_begin().
 *
 * Context: as pkram_kexec_begin().
 */
void pkram_kexec_end(void)
{
	if (!placing)
		return;
	placing = false;
	bans_take_installed();
	pkram_image = kexec_image ? kexec_image->pkram_state : PKRAM_IMAGE_NONE;
	up_write(&pkram_kexec_sem);
}

/**
 * pkram_image_state() - return what the loaded image does with the store
 *
 * Context: may sleep; must not hold pkram_kexec_sem.
 *
 * Return: enum pkram_image_state.
 */
u32 pkram_image_state(void)
{
	guard(rwsem_read)(&pkram_kexec_sem);
	return pkram_image;
}

/**
 * pkram_kexec_strip() - remove pkram= words from a command line
 * @cmdline: NUL-terminated, changed in place
 *
 * The kernel uses the last pkram= it finds, and command lines are copied from boot to
 * boot: only the word that kexec puts in front may remain. Words inside the quotes of
 * another parameter stay.
 *
 * Return: bytes of the command line, including the NUL.
 */
unsigned long pkram_kexec_strip(char *cmdline)
{
	char *from = cmdline, *to = cmdline;
	bool quoted = false;

	while (*from) {
		bool word = !quoted && (from == cmdline || isspace(from[-1]));

		/* next_arg() accepts a parameter that is quoted as a whole */
		if (word && !strncmp(from + (*from == '"'), "pkram=", 6)) {
			for (; *from && (quoted || !isspace(*from)); from++)
				if (*from == '"')
					quoted = !quoted;
			quoted = false;
			while (isspace(*from))
				from++;
			continue;
		}
		if (*from == '"')
			quoted = !quoted;
		*to++ = *from++;
	}
	*to = '\0';
	return to - cmdline + 1;
}

/**
 * pkram_kexec_param() - write the word for the next kernel's command line
 * @buf:  where to write it
 * @size: size of @buf in bytes; PKRAM_PARAM_MAX is enough
 *
 * The word always has 16 digits. That is how the next kernel recognises it, and
 * keeps it out of its /proc/cmdline.
 *
 * Return: bytes written without the NUL; 0 if PKRAM is off.
 */
int pkram_kexec_param(char *buf, size_t size)
{
	if (!pkram_enabled())
		return 0;
	return scnprintf(buf, size, "pkram=0x%016llx ", le64_to_cpu(pkram.sb->hdr.pfn));
}

/**
 * pkram_next_crash() - find memory that is kept free for the crash kernel
 * @start: first address
 * @end:   last address
 * @ret_start: output, first address of the memory found
 * @ret_end: output, its last address
 *
 * Context: between pkram_kexec_begin() and pkram_kexec_end().
 *
 * Return: true if such memory overlaps.
 */
bool pkram_next_crash(u64 start, u64 end, u64 *ret_start, u64 *ret_end)
{
	unsigned int i;
	u64 from, to;

	for (i = 0; i < PKRAM_CRASH_RANGES; i++) {
		if (!pkram_crash_range(i, &from, &to) || end < PFN_PHYS(from) ||
		    start >= PFN_PHYS(to))
			continue;
		*ret_start = PFN_PHYS(from);
		*ret_end = PFN_PHYS(to) - 1;
		return true;
	}
	return false;
}

#ifdef CONFIG_KEXEC_FILE

/**
 * pkram_next_avoided() - find memory that no segment of an image may overlap
 * @start: first address
 * @end:   last address
 * @ret_end: output, last address of the memory found
 *
 * That is preserved memory, and the memory of a crash kernel unless
 * pkram_kexec_make_room() gave it up.
 *
 * Context: between pkram_kexec_begin() and pkram_kexec_end().
 *
 * Return: first address of memory that overlaps, 0 if none does.
 */
unsigned long pkram_next_avoided(unsigned long start, unsigned long end,
				 unsigned long *ret_end)
{
	u64 crash_start, crash_end;

	if (pkram_enabled() && !pkram_crash_given_up &&
	    pkram_next_crash(start, end, &crash_start, &crash_end)) {
		*ret_end = crash_end;
		return crash_start;
	}
	return pkram_next_preserved(start, end, ret_end);
}

/**
 * pkram_kexec_cmdline() - make the command line that kexec_file_load() boots
 * @image: image with its kernel and command line, about to be measured
 *
 * Takes pkram= words of earlier boots out of the command line. If the kernel can
 * adopt the store, the right word is put in front. Nothing is changed for a crash
 * kernel.
 *
 * Context: process context.
 *
 * Return: 0, or -ENOMEM.
 */
int pkram_kexec_cmdline(struct kimage *image)
{
	char param[PKRAM_PARAM_MAX], *line;
	unsigned long len = 0;
	int n;

	if (image->type != KEXEC_TYPE_DEFAULT)
		return 0;
	image->pkram_state = pkram_bzimage_state(image->kernel_buf, image->kernel_buf_len);
	if (image->cmdline_buf) {
		len = pkram_kexec_strip(image->cmdline_buf);
		image->cmdline_buf_len = len;
	}
	if (image->pkram_state != PKRAM_IMAGE_KEEPS)
		return 0;
	n = pkram_kexec_param(param, sizeof(param));
	if (!n)
		return 0;
	line = kmalloc(n + len + 1, GFP_KERNEL);
	if (!line)
		return -ENOMEM;
	memcpy(line, param, n + 1);
	if (len)
		memcpy(line + n, image->cmdline_buf, len);
	kfree(image->cmdline_buf);
	image->cmdline_buf = line;
	image->cmdline_buf_len = n + max(len, 1UL);
	return 0;
}

#endif /* CONFIG_KEXEC_FILE */

/* Does a kernel with this tag read all that is stored? */
static bool tag_suffices(const struct pkram_image_tag *tag)
{
	if (!pkram_enabled())
		return true;
	return !(le64_to_cpu(pkram.sb->incompat) & ~le64_to_cpu(tag->incompat)) &&
	       !(pkram_needed_features() & ~le64_to_cpu(tag->node_incompat));
}

/**
 * pkram_image_tag_state() - judge a kernel by the tags in its kernel_info
 * @info: kernel_info of the image, starting with "LToP"
 * @len:  bytes that can be read at @info
 *
 * There is a tag for each version of the format that the kernel reads, in any order;
 * the one for the version of this store counts.
 *
 * Return: PKRAM_IMAGE_KEEPS, _NO_SUPPORT or _VERSION.
 */
u32 pkram_image_tag_state(const void *info, size_t len)
{
	u32 state = PKRAM_IMAGE_NO_SUPPORT;
	struct pkram_image_tag tag;
	u32 words[3];
	size_t at;

	if (len < sizeof(words))
		return PKRAM_IMAGE_NO_SUPPORT;
	memcpy(words, info, sizeof(words));
	if (words[0] != 0x506f544c /* "LToP" */)
		return PKRAM_IMAGE_NO_SUPPORT;
	len = min_t(size_t, len, words[2]);
	for (at = words[1]; len >= sizeof(tag) && at <= len - sizeof(tag); at += 4) {
		memcpy(&tag, info + at, sizeof(tag));
		if (le32_to_cpu(tag.magic) != PKRAM_IMAGE_TAG ||
		    le32_to_cpu(tag.length) < sizeof(tag))
			continue;
		if (le32_to_cpu(tag.version) == PKRAM_FORMAT_VERSION && tag_suffices(&tag))
			return PKRAM_IMAGE_KEEPS;
		state = PKRAM_IMAGE_VERSION;
	}
	return state;
}
