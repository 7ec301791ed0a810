// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: keeping preserved memory and kexec images apart.
 */
#define pr_fmt(fmt) "pkram: " fmt

#include <linux/ctype.h>
#include <linux/init.h>
#include <linux/kexec.h>
#include <linux/pkram.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "alloc.h"
#include "pkram.h"

/**
 * DOC: PKRAM and kexec images
 *
 * The pages at which an image's segments will be put are not allocated while
 * the old kernel runs: anybody may be using them. Preserved memory must not be
 * among them.
 *
 * Image first: its destinations are *banned*. A page of a file that lies on
 * one is copied when it is saved, and the copy is preserved; pages that PKRAM
 * allocates itself are drawn again until they lie elsewhere.
 *
 * Node first: kexec_file_load looks for room outside preserved blocks. Where there
 * is none, and where user space chose the place of a segment, nodes make room: see
 * evacuate.c. What cannot be moved is not overwritten: the segment is refused.
 *
 * Both at once: the system calls hold pkram_kexec_sem for writing from before
 * they look for room until the image is installed or thrown away, and whoever
 * records pages holds it for reading from the check to the record. While nodes make
 * room the image's places are banned instead.
 *
 * An image can also be one that would not take the store over, because its
 * kernel has no PKRAM or because pkram= is missing on its command line. What it
 * is was found out when it was loaded; the store is not sealed for it, which
 * makes the super block recognisably stale for any later kernel.
 */

/* State of the image whose destinations are in pkram_bans. */
static u32 pkram_image = PKRAM_IMAGE_NONE;

static void add_ban(u64 start, u64 end)
{
	pkram_bans.start[pkram_bans.nr] = start;
	pkram_bans.end[pkram_bans.nr++] = end;
}

static void ban_installed(void)
{
	const struct kimage *image = kexec_image;
	unsigned int i;

	pkram_bans.nr = 0;
	for (i = 0; image && i < image->nr_segments; i++)
		add_ban(PFN_DOWN(image->segment[i].mem),
			PFN_UP(image->segment[i].mem + image->segment[i].memsz));
}

/**
 * pkram_kexec_ban - keep what is stored from now on off an image being loaded, too
 * @image: the image; the blocks of all segments it has so far are banned
 * @start: one more place where it goes, first pfn
 * @end:   one above the last pfn
 *
 * Context: between pkram_kexec_begin() and pkram_kexec_end(), which ends it.
 */
void pkram_kexec_ban(const struct kimage *image, u64 start, u64 end)
{
	unsigned int i;

	ban_installed();
	add_ban(round_down(start, PKRAM_BLOCK_PAGES), round_up(end, PKRAM_BLOCK_PAGES));
	for (i = 0; i < image->nr_segments; i++) {
		const struct kexec_segment *s = &image->segment[i];

		add_ban(round_down(PFN_DOWN(s->mem), PKRAM_BLOCK_PAGES),
			round_up(PFN_UP(s->mem + s->memsz), PKRAM_BLOCK_PAGES));
	}
}

/* Between pkram_kexec_begin() and pkram_kexec_end(). Under the kexec lock. */
static bool placing;

/**
 * pkram_kexec_begin - an image is about to be placed or unloaded
 *
 * Nothing if that was said already.
 *
 * Context: process context, kexec lock held. No lock may be taken from here on under
 * which somebody saves, like that of an inode.
 */
void pkram_kexec_begin(void)
{
	if (placing)
		return;
	down_write(&pkram_kexec_sem);
	placing = true;
}

/**
 * pkram_kexec_end - the image is in place, or gone, or was refused
 *
 * Takes the destinations of whatever image is installed now. Nothing if it did not
 * come to pkram_kexec_begin().
 *
 * Context: as pkram_kexec_begin().
 */
void pkram_kexec_end(void)
{
	if (!placing)
		return;
	placing = false;
	ban_installed();
	pkram_image = kexec_image ? kexec_image->pkram_state : PKRAM_IMAGE_NONE;
	up_write(&pkram_kexec_sem);
}

/**
 * pkram_image_state - what would the loaded image do with the store?
 *
 * Return: enum pkram_image_state.
 */
u32 pkram_image_state(void)
{
	guard(rwsem_read)(&pkram_kexec_sem);
	return pkram_image;
}

/**
 * pkram_kexec_strip - remove pkram= words from a command line
 * @cmdline: NUL-terminated, changed in place
 *
 * The kernel takes the last pkram= it finds, and command lines are copied from
 * boot to boot: none but the one that kexec puts in front may remain. Words
 * inside the quotes of another parameter stay.
 *
 * Return: bytes of the command line, NUL included.
 */
unsigned long pkram_kexec_strip(char *cmdline)
{
	char *from = cmdline, *to = cmdline;
	bool quoted = false;

	while (*from) {
		bool word = !quoted && (from == cmdline || isspace(from[-1]));

		/* a parameter may be quoted as a whole: next_arg() takes that, too */
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
 * pkram_kexec_param - the word for the next kernel's command line
 * @buf:  where to put it
 * @size: bytes there; PKRAM_PARAM_MAX is enough
 *
 * Return: bytes written without the NUL; 0 if PKRAM is off.
 */
int pkram_kexec_param(char *buf, size_t size)
{
	if (!pkram_enabled())
		return 0;
	return scnprintf(buf, size, "pkram=0x%llx ", le64_to_cpu(pkram.sb->hdr.pfn));
}

/**
 * pkram_image_tag_state - judge a kernel by the tag in its kernel_info
 * @info: kernel_info of the image, from its "LToP" on
 * @len:  bytes that can be read there
 *
 * Return: PKRAM_IMAGE_KEEPS, _NO_SUPPORT or _VERSION.
 */
u32 pkram_image_tag_state(const void *info, size_t len)
{
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
		if (le32_to_cpu(tag.version) != PKRAM_FORMAT_VERSION ||
		    (pkram_enabled() &&
		     le64_to_cpu(pkram.sb->incompat) & ~(u64)le32_to_cpu(tag.incompat)))
			return PKRAM_IMAGE_VERSION;
		return PKRAM_IMAGE_KEEPS;
	}
	return PKRAM_IMAGE_NO_SUPPORT;
}

/*
 * Whoever makes the command line of the next kernel starts with /proc/cmdline:
 * kexec --reuse-cmdline does, and so do scripts around kexec_load(). So it shows
 * the one pkram= that is right for this super block in place of those that were
 * given, once; the log shows what was given.
 *
 * Not before the last level of initcalls: do_initcalls() has a buffer for it that
 * is as long as it was at first.
 */
static int __init pkram_fix_saved_command_line(void)
{
	size_t size = strlen(saved_command_line) + PKRAM_PARAM_MAX;
	char *line;
	int n;

	if (!pkram_enabled())
		return 0;
	line = kmalloc(size, GFP_KERNEL);
	if (!line)
		return -ENOMEM;
	n = pkram_kexec_param(line, size);
	strscpy(line + n, saved_command_line, size - n);
	saved_command_line_len = n + pkram_kexec_strip(line + n) - 1;
	/* what it was lives on: others may have kept pointers into it */
	saved_command_line = line;
	return 0;
}
late_initcall(pkram_fix_saved_command_line);
