/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A machine on which mm/pkram/claim.c and adopt.c run, with threads: the store of an image,
 * and a few lines in place of the files of mm/pkram/ that they call.
 */
#ifndef _PKRAM_ADOPT_MACHINE_H
#define _PKRAM_ADOPT_MACHINE_H

#include <linux/types.h>

struct image;

/* Pages from here on are of another zone; 0 if there is one zone only. */
extern __u64 machine_zone_border;

/* What became of a node. */
enum machine_fate {
	FATE_PENDING,
	FATE_ADOPTED,
	FATE_DROPPED,
};

/**
 * machine_adopt_init - begin to adopt a store
 * @img:      sealed; has a super block
 * @nr_pages: pages of its memory
 */
void machine_adopt_init(struct image *img, __u64 nr_pages);

/* Forget everything; the threads have ended. */
void machine_adopt_done(void);

/* Work until nothing is pending, as a thread in the background does. */
void machine_adopt_work(void);

/* As pkram_adopt_node(), pkram_adopt_all() and pkram_adopt_until_free(). */
int machine_adopt_node(unsigned int slot);
int machine_adopt_all(void);
__u64 machine_adopt_oom(void);

/* Let this share of calls of this thread come with a fatal signal, in 1/256. */
void machine_set_killed(unsigned int share);

/* Seed of the pauses of this thread. */
void machine_set_seed(unsigned int seed);

/* Have pkram.lock held by another task, or not. */
void machine_hold_lock(bool held);

enum machine_fate machine_fate(unsigned int slot);

/* Why it was dropped. */
int machine_damage(unsigned int slot);

/* Is a page one of a node, or of the directory? */
bool machine_page_claimed(__u64 pfn);

/* The order of the folio that begins at a page. */
unsigned int machine_folio_order(__u64 pfn);

/* Is the page free? */
bool machine_page_free(__u64 pfn);

/* Pages that are not adopted or free so far. */
__u64 machine_pending_pages(void);

#endif /* _PKRAM_ADOPT_MACHINE_H */
