// SPDX-License-Identifier: GPL-2.0
/*
 * What will a kexec image do with preserved memory?
 *
 * A kernel with PKRAM says so in the variable part of its kernel_info, see
 * struct pkram_image_tag. With kexec_file_load() the image is at hand as a file,
 * and the command line is made here. With kexec_load() there are only segments:
 * the boot parameters among them are recognised by the setup header, the kernel
 * by kernel_info being where the setup header says.
 */
#include <linux/init.h>
#include <linux/kexec.h>
#include <linux/kstrtox.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/pkram.h>
#include <linux/pkram_cmdline.h>
#include <linux/processor.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <uapi/linux/pkram.h>
#include <asm/bootparam.h>
#include <asm/setup.h>

#define KERNEL_INFO_MAX		256

static_assert(PKRAM_PARAM_MAX <= PKRAM_CMDLINE_ROOM);

/**
 * pkram_booted_by_kexec() - check whether a kexec can have started this kernel
 *
 * The setup header has the ID of the boot loader. kexec_file_load() and kexec-tools
 * share one. Other users of kexec_load() have none. Boot loaders that firmware starts
 * do have one, and so does the EFI stub.
 *
 * Context: from setup_arch() until initial code is freed.
 *
 * Return: false if firmware was the previous thing that ran.
 */
bool __init pkram_booted_by_kexec(void)
{
	return bootloader_type >> 4 == 0x0d || bootloader_type == 0xff;
}

/**
 * pkram_bzimage_state - judge a bzImage
 * @kernel: the file
 * @len:    its size in bytes, more than its setup code
 *
 * Return: PKRAM_IMAGE_KEEPS, _NO_SUPPORT or _VERSION.
 */
u32 pkram_bzimage_state(const char *kernel, unsigned long len)
{
	const struct setup_header *hdr = (void *)kernel + offsetof(struct boot_params, hdr);
	unsigned long code = ((hdr->setup_sects ?: 4) + 1) * 512;
	unsigned long at;

	if (hdr->version < 0x020f || code > len)
		return PKRAM_IMAGE_NO_SUPPORT;
	at = code + hdr->kernel_info_offset;
	if (at >= len)
		return PKRAM_IMAGE_NO_SUPPORT;
	return pkram_image_tag_state(kernel + at, len - at);
}

/* Copy up to @len bytes that will be at @phys; returns how many there are. */
static size_t read_segments(const struct kimage *image, unsigned long phys, void *to,
			    size_t len)
{
	unsigned long i;

	for (i = 0; i < image->nr_segments; i++) {
		const struct kexec_segment *s = &image->segment[i];

		if (phys < s->mem || phys - s->mem >= s->bufsz)
			continue;
		len = min(len, s->bufsz - (phys - s->mem));
		return len - copy_from_user(to, s->buf + (phys - s->mem), len);
	}
	return 0;
}

/*
 * Check whether the kernel in that segment stays inside of it while it unpacks itself.
 * The 32 bit loader of kexec-tools reserves room for the file only, so unpacking
 * overwrites whatever follows the segment.
 */
static bool has_room(const struct kexec_segment *s, const struct setup_header *hdr)
{
	unsigned long at = hdr->pref_address;

	if (hdr->relocatable_kernel) {
		if (!is_power_of_2(hdr->kernel_alignment))
			return false;
		at = max(ALIGN(s->mem, hdr->kernel_alignment), at);
	}
	return at >= s->mem && at - s->mem <= s->memsz &&
	       hdr->init_size <= s->memsz - (at - s->mem);
}

static u32 kernel_state(const struct kimage *image, const struct setup_header *hdr)
{
	u8 info[KERNEL_INFO_MAX];
	unsigned long i;

	/*
	 * The version is not to be relied upon, the 32 bit loader of kexec-tools
	 * writes 2.06 over it. kernel_info has a magic number of its own.
	 */
	if (!hdr->kernel_info_offset)
		return PKRAM_IMAGE_NO_SUPPORT;
	for (i = 0; i < image->nr_segments; i++) {
		const struct kexec_segment *s = &image->segment[i];
		size_t n = read_segments(image, s->mem + hdr->kernel_info_offset, info,
					 sizeof(info));
		u32 state = pkram_image_tag_state(info, n);

		if (state == PKRAM_IMAGE_KEEPS && !has_room(s, hdr))
			return PKRAM_IMAGE_NO_SUPPORT;
		if (state != PKRAM_IMAGE_NO_SUPPORT)
			return state;
	}
	return PKRAM_IMAGE_NO_SUPPORT;
}

/* Will the kernel find the address of our super block on this command line? */
static bool has_param(const char *cmdline)
{
	char want[PKRAM_PARAM_MAX], value[PKRAM_PARAM_MAX];
	u64 a, b;

	if (!pkram_kexec_param(want, sizeof(want)) ||
	    !pkram_cmdline_find(cmdline, value, sizeof(value)))
		return false;
	return !kstrtou64(strim(want) + strlen("pkram="), 16, &a) &&
	       !kstrtou64(value, 16, &b) && a == b;
}

static u32 segments_state(const struct kimage *image, struct boot_params *params,
			  char *cmdline)
{
	unsigned long i, phys;
	size_t n;
	u32 state;

	for (i = 0; i < image->nr_segments; i++) {
		const struct setup_header *hdr = &params->hdr;

		if (read_segments(image, image->segment[i].mem, params, sizeof(*params)) !=
		    sizeof(*params))
			continue;
		/* Half of boot_flag is gone: kexec-tools has aux_device_info there. */
		if (hdr->header != 0x53726448)
			continue;
		state = kernel_state(image, hdr);
		if (state != PKRAM_IMAGE_KEEPS)
			return state;
		phys = hdr->cmd_line_ptr | (u64)params->ext_cmd_line_ptr << 32;
		/* setup_arch() ignores what is beyond that. */
		n = read_segments(image, phys, cmdline, COMMAND_LINE_SIZE - 1);
		cmdline[n] = '\0';
		return has_param(cmdline) ? PKRAM_IMAGE_KEEPS : PKRAM_IMAGE_NO_PARAM;
	}
	return PKRAM_IMAGE_NO_SUPPORT;
}

/**
 * pkram_kexec_classify - determine what an image does with preserved memory
 * @image: about to be installed
 *
 * With kexec_file_load() the loader has done it already.
 *
 * Context: the task that called kexec_load(), before it returns.
 */
void pkram_kexec_classify(struct kimage *image)
{
	struct boot_params *params __free(kfree) = NULL;
	char *cmdline __free(kfree) = NULL;

	if (image->type != KEXEC_TYPE_DEFAULT)
		return;
	if (!image->file_mode) {
		image->pkram_state = PKRAM_IMAGE_NO_SUPPORT;
		params = kmalloc(sizeof(*params), GFP_KERNEL);
		cmdline = kmalloc(COMMAND_LINE_SIZE + 1, GFP_KERNEL);
		if (params && cmdline)
			image->pkram_state = segments_state(image, params, cmdline);
	} else if (image->pkram_state == PKRAM_IMAGE_NONE) {
		image->pkram_state = PKRAM_IMAGE_NO_SUPPORT;
	}
}
