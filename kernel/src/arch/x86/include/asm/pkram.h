/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PKRAM: what mm/pkram/ needs to know about the machine.
 */
#ifndef _ASM_X86_PKRAM_H
#define _ASM_X86_PKRAM_H

#include <linux/efi.h>
#include <linux/init.h>
#include <linux/math64.h>
#include <linux/pfn.h>
#include <linux/types.h>
#include <asm/cpufeature.h>
#include <asm/e820/api.h>
#include <asm/tsc.h>

static inline bool __init e820_next_ram(const struct e820_table *table, unsigned int nr,
					unsigned int *i, u64 *start, u64 *end)
{
	while (*i < nr) {
		const struct e820_entry *e = &table->entries[(*i)++];

		if (e->type != E820_TYPE_RAM)
			continue;
		*start = PFN_UP(e->addr);
		*end = PFN_DOWN(e->addr + e->size);
		if (*start < *end)
			return true;
	}
	return false;
}

/**
 * arch_pkram_next_ram - go through the memory that the firmware calls RAM
 * @i:     position, 0 at first
 * @start: output, first pfn of a range
 * @end:   output, one above its last pfn
 *
 * Ranges come in ascending order. Memory that was added to the machine later, or that
 * a driver manages, is not among them.
 *
 * Context: boot, from setup_arch() until initial data is freed.
 *
 * Return: false if there are no more.
 */
static inline bool __init arch_pkram_next_ram(unsigned int *i, u64 *start, u64 *end)
{
	return e820_next_ram(e820_table, e820_table->nr_entries, i, start, end);
}

/**
 * arch_pkram_next_told - go through the RAM that the next kernel is told about
 * @i:     position, 0 at first
 * @start: output, first pfn of a range
 * @end:   output, one above its last pfn
 *
 * As arch_pkram_next_ram(). kexec_file_load() passes on as many entries as there are
 * places for in the boot parameters.
 *
 * Return: false if there are no more.
 */
static inline bool __init arch_pkram_next_told(unsigned int *i, u64 *start, u64 *end)
{
	unsigned int nr = e820_table_kexec->nr_entries;

	if (nr > E820_MAX_ENTRIES_ZEROPAGE)
		nr = E820_MAX_ENTRIES_ZEROPAGE;
	return e820_next_ram(e820_table_kexec, nr, i, start, end);
}

/**
 * arch_pkram_avoid - is there memory that the firmware may hand on to the next kernel?
 * @start: first address
 * @end:   one above the last address
 *
 * EFI boot services data is free for memblock until efi_reserve_boot_services() has
 * decided which of it stays.
 *
 * Context: setup_arch(), after efi_memblock_x86_reserve_range().
 *
 * Return: one above the last address of such a piece that overlaps, 0 if none does.
 */
static inline u64 __init arch_pkram_avoid(u64 start, u64 end)
{
#ifdef CONFIG_EFI
	efi_memory_desc_t *md;

	if (!efi_enabled(EFI_MEMMAP))
		return 0;
	for_each_efi_memory_desc(md) {
		u64 last = md->phys_addr + (md->num_pages << EFI_PAGE_SHIFT);

		if (md->type != EFI_BOOT_SERVICES_CODE &&
		    md->type != EFI_BOOT_SERVICES_DATA)
			continue;
		if (start < last && end > md->phys_addr)
			return last;
	}
#endif
	return 0;
}

/**
 * arch_pkram_ticks - a counter that goes on across a kexec and back with a reset
 *
 * Return: its value, 0 if there is none.
 */
static inline u64 arch_pkram_ticks(void)
{
	return boot_cpu_has(X86_FEATURE_TSC) ? rdtsc_ordered() : 0;
}

/**
 * arch_pkram_ticks_to_ns - how long did it take?
 * @ticks: difference of two values of arch_pkram_ticks()
 *
 * Context: after the counter was calibrated.
 *
 * Return: nanoseconds, 0 if that is not known.
 */
static inline u64 arch_pkram_ticks_to_ns(u64 ticks)
{
	return tsc_khz ? mul_u64_u32_div(ticks, USEC_PER_SEC, tsc_khz) : 0;
}

#endif /* _ASM_X86_PKRAM_H */
