/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A small physical memory, and the surroundings that pkram_walk_node() needs.
 *
 * The first pages can hold metadata. The others can only be claimed: data
 * pages are not read, so they need not exist. Metadata pages do not follow
 * each other in the address space of the test; what lies between them is out of
 * bounds for the address sanitizer.
 */
#ifndef _PKRAM_MEMORY_H
#define _PKRAM_MEMORY_H

#include <linux/types.h>
#include <linux/pkram_format.h>

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#endif

/**
 * struct memory_claim - one successful claim, as it was asked for
 * @what:  for what
 * @pfn:   first page
 * @count: folios
 * @order: of this order
 */
struct memory_claim {
	enum pkram_claim what;
	__u64 pfn;
	__u32 count;
	__u32 order;
};

/**
 * struct memory - a physical memory
 * @base:       first pfn
 * @nr_backed:  pages that can hold metadata
 * @nr:         pages that can be claimed, @nr_backed of them included
 * @far:        take claims of data above the memory too, up to PKRAM_MAX_PFN
 * @fail_at:    number of claims after which a claim fails
 * @fail_with:  what it fails with
 * @log:        claims so far
 * @nr_log:     how many
 * @meta_pages: pages claimed for metadata
 * @data_pages: pages claimed for data
 * @bytes:      private
 * @taken:      private
 * @max_log:    private
 * @give_back:  private
 * @undoing:    private
 */
struct memory {
	__u64 base;
	__u64 nr_backed;
	__u64 nr;
	bool far;
	size_t fail_at;
	int fail_with;
	struct memory_claim *log;
	size_t nr_log;
	__u64 meta_pages;
	__u64 data_pages;

	__u8 *bytes;
	__u8 *taken;
	size_t max_log;
	size_t give_back;
	bool undoing;
};

/**
 * memory_init - make a memory full of zeroes
 * @mem:       uninitialised; give it to memory_free() when done
 * @base:      first pfn
 * @nr_backed: pages that can hold metadata
 * @nr:        pages that can be claimed, @nr_backed or more
 *
 * Ends the program if there is not enough memory.
 */
void memory_init(struct memory *mem, __u64 base, __u64 nr_backed, __u64 nr);
void memory_free(struct memory *mem);

/**
 * memory_page - address of a metadata page
 * @mem: the memory
 * @pfn: the page; it must be one that can hold metadata
 */
void *memory_page(struct memory *mem, __u64 pfn);

/* Give all claimed pages back and empty the log. */
void memory_forget(struct memory *mem);

/**
 * memory_walk - run pkram_walk_node()
 * @mem:        the memory; claims of earlier walks remain
 * @chain:      expected chain
 * @generation: newest generation
 * @pfn:        node page
 * @totals:     output
 *
 * Ends the program when the walk breaks its contract: looks at a page that it
 * did not claim, claims something an extent cannot name, or has claimed another
 * number of pages than its totals say.
 *
 * Return: enum pkram_damage.
 */
int memory_walk(struct memory *mem, __u64 chain, __u64 generation, __u64 pfn,
		struct pkram_node_totals *totals);

/**
 * memory_unwalk - undo the newest claims by walking again
 * @mem:        the memory
 * @chain:      as given to memory_walk()
 * @generation: as given to memory_walk()
 * @pfn:        as given to memory_walk()
 * @nr:         claims to give back, newest in the log
 *
 * Ends the program if a claim is given back that is not the one to be expected.
 *
 * Return: claims that the second walk did not come by, 0 if all is well.
 */
size_t memory_unwalk(struct memory *mem, __u64 chain, __u64 generation, __u64 pfn,
		     size_t nr);

/* Is any page claimed? */
bool memory_any_taken(const struct memory *mem);

#endif /* _PKRAM_MEMORY_H */
