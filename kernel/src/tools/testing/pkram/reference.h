/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A second implementation of the format, written from its description and not from
 * mm/pkram/format.c, to compare that with. Slow, and it only says yes or no.
 */
#ifndef _PKRAM_REFERENCE_H
#define _PKRAM_REFERENCE_H

#include "memory.h"

/* pkram_checksum(), word by word. */
__u64 reference_checksum(const void *page, __u32 length);

/**
 * reference_node - is this a good node?
 * @mem:        a memory of which nothing is claimed
 * @chain:      expected chain
 * @generation: newest generation
 * @pfn:        node page
 * @totals:     output, if it is
 */
bool reference_node(struct memory *mem, __u64 chain, __u64 generation, __u64 pfn,
		    struct pkram_node_totals *totals);

#endif /* _PKRAM_REFERENCE_H */
