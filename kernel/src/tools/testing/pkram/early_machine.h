/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A machine for mm/pkram/early.c: memory, what the firmware and memblock say of it, and
 * a store that was sealed in it.
 *
 * Its memory is address space that is filled in when it is touched, so that it can be
 * as large as that of a real machine.
 */
#ifndef _PKRAM_EARLY_MACHINE_H
#define _PKRAM_EARLY_MACHINE_H

#include <linux/types.h>
#include <linux/pkram_format.h>

/**
 * struct machine - what the functions that early.c calls look at
 * @nr:       pages of address space
 * @ram:      bit map: it is RAM
 * @added:    pages of RAM above that were added after boot
 * @told:     entries of the memory map that the next kernel gets
 * @reserved: bit map: memblock has it reserved
 * @ticks:    what the counter shows
 * @kdump:    it is a kdump kernel
 * @encrypted: memory encryption is active
 * @avoid:    EFI boot services data: first address, and one above the last
 */
struct machine {
	__u64 nr;
	__u64 added;
	unsigned int told;
	__u64 *ram;
	__u64 *reserved;
	__u64 ticks;
	bool kdump;
	bool encrypted;
	__u64 avoid[2];
};

extern struct machine machine;

/* Start with @nr pages of RAM of which nothing is reserved but the first 256. */
void machine_init(__u64 nr);
void machine_done(void);

/* Pages from @start to below @end are no RAM, or reserved. */
void machine_hole(__u64 start, __u64 end);
void machine_reserve(__u64 start, __u64 end);
bool machine_is_reserved(__u64 pfn);

/**
 * machine_store - a sealed store
 * @pfn: where the super block goes, an even pfn; its copy, the map and the copy of that
 *       come after it
 *
 * Return: its super block. The blocks of both are touched, others are with
 * machine_touch(). machine_seal() makes it good.
 */
struct pkram_super *machine_store(__u64 pfn);
void machine_touch(__u64 block);
void machine_seal(void);

/* The page at @pfn. */
void *machine_page(__u64 pfn);

/* Is the bit of a block set, which early boot may have done? */
bool machine_touched(__u64 block);

/*
 * blocks.c in the kernel that saves: look after the map of the store, from scratch, and count
 * pages as preserved or not; find out which of them are RAM; and have a
 * map of @nr blocks only. In the one that adopts: nodes have pages in blocks that are @used.
 */
void machine_save_blocks(void);
void machine_find_ram(void);
bool machine_block_is_ram(__u64 block);
bool machine_memory_added(void);
void machine_cover_blocks(__u64 nr);
void machine_count_pages(__u64 pfn, __u64 nr, bool add);
__u64 machine_counted_runs(void);
bool machine_room(void);
void machine_adopt(const __u8 *used);

/* What runs.c makes of the map, and of numbers; its budget can be replaced until machine_init(). */
__u64 machine_runs(void);
void machine_limit_runs(__u64 limit);
__u64 machine_runs_budget(__u64 nr_blocks);
__u64 machine_runs_cost(__u64 nr_blocks, __u64 runs, __u64 touched);
__u64 machine_boot_blocks(__u64 ram);

/* Boot with pkram=@pfn. Returns enum pkram_boot_result. */
int machine_boot(__u64 pfn);

/* What the kernel does before it reserves memory for a crash kernel. */
void machine_release_crash(void);

/* Returns true if the page is known to be in use by others, or by the firmware. */
bool machine_busy(__u64 pfn);
bool machine_firmware(__u64 pfn);
unsigned int machine_nr_busy(void);

/* The firmware is found to use memory later on. */
void machine_firmware_uses(__u64 start, __u64 end);

#endif /* _PKRAM_EARLY_MACHINE_H */
