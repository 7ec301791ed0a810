/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's memblock behind types that need no kernel header. Physical memory is at the
 * same virtual address.
 */
#ifndef _PKRAM_RUNS_MEMBLOCK_H
#define _PKRAM_RUNS_MEMBLOCK_H

#include <stdbool.h>

/* A machine with this many bytes of RAM. */
void mb_init(unsigned long long size);

/* As memblock_reserve(), for_each_reserved_mem_range(), for_each_free_mem_range_reverse(). */
int mb_reserve(unsigned long long base, unsigned long long size);
bool mb_next_reserved(unsigned long long *i, unsigned long long *from, unsigned long long *to);
bool mb_last_free(unsigned long long *i, unsigned long long *from, unsigned long long *to);

/* Allocate memory that is aligned to its size; 0 if there is none. */
unsigned long long mb_alloc(unsigned long long size);

/* Reserved regions, and bytes of the array that they are in. */
unsigned long mb_regions(void);
unsigned long mb_array(void);

#endif /* _PKRAM_RUNS_MEMBLOCK_H */
