/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PKRAM: what differs among the kernels that have it.
 */
#ifndef _LINUX_PKRAM_COMPAT_H
#define _LINUX_PKRAM_COMPAT_H

#include <linux/fs_context.h>
#include <linux/memblock.h>
#include <linux/memfd.h>
#include <linux/page-isolation.h>
#include <linux/shmem_fs.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 3, 0)
#define page_flags_word(page)	(&(page)->flags)

/* These have other names and further arguments later on. */
#define SHMEM_F_LOCKED		VM_LOCKED
#define VMA_NORESERVE_BIT	VM_NORESERVE
#define ACR_FLAGS_NONE		MIGRATE_MOVABLE
#define mk_vma_flags(flag)	(flag)
#define lruvec_stat_mod_folio(folio, item, nr) \
	__lruvec_stat_mod_folio(folio, item, nr)
#define lruvec_unlock_irq(lruvec)	unlock_page_lruvec_irq(lruvec)
#define vfs_parse_fs_string(fc, key, value) \
	vfs_parse_fs_string(fc, key, value, strlen(value))

static inline void init_pageblock_migratetype(struct page *page, enum migratetype type,
					      bool isolated)
{
	set_pageblock_migratetype(page, type);
}

static inline int check_seals_mmap(struct file *file, unsigned long *vm_flags)
{
	return memfd_check_seals_mmap(file, vm_flags);
}

/* There is no KHO. */
#define SHMEM_F_MAPPING_FROZEN	0
static inline bool is_kho_scratch(phys_addr_t start, size_t size)
{
	return false;
}

static inline enum memblock_flags early_room_flags(void)
{
	return MEMBLOCK_NONE;
}

static inline bool early_is_scratch(phys_addr_t start, phys_addr_t end)
{
	return false;
}
#else
#include <linux/kexec_handover.h>

/* drain_all_pages - in mm/page_alloc.h, which older kernels do not have */
struct zone;
void drain_all_pages(struct zone *zone);

/* page_flags_word - the word with the flags of a page or a folio */
#define page_flags_word(page)	(&(page)->flags.f)

/* check_seals_mmap - memfd_check_seals_mmap() for flags that are a word */
static inline int check_seals_mmap(struct file *file, unsigned long *vm_flags)
{
	vma_flags_t flags = legacy_to_vma_flags(*vm_flags);
	int err = memfd_check_seals_mmap(file, &flags);

	*vm_flags = vma_flags_to_legacy(flags);
	return err;
}

/* is_kho_scratch - may KHO start the next kernel there, so that it overwrites it? */
static inline bool is_kho_scratch(phys_addr_t start, size_t size)
{
#ifdef CONFIG_KEXEC_HANDOVER
	return kho_is_enabled() && kho_scratch_overlap(start, size);
#else
	return false;
#endif
}

/*
 * early_room_flags - the memory from which early boot may take some
 *
 * What KHO preserved is not reserved yet, but never lies in its scratch.
 */
static inline enum memblock_flags early_room_flags(void)
{
	return is_kho_boot() ? MEMBLOCK_KHO_SCRATCH : MEMBLOCK_NONE;
}

/* early_is_scratch - is there memory in which early boot has to stay? @end is exclusive */
static inline bool early_is_scratch(phys_addr_t start, phys_addr_t end)
{
	struct memblock_region *r;

	if (!is_kho_boot())
		return false;
	for_each_mem_region(r)
		if (memblock_is_kho_scratch(r) && r->base < end && start < r->base + r->size)
			return true;
	return false;
}
#endif

#endif /* _LINUX_PKRAM_COMPAT_H */
