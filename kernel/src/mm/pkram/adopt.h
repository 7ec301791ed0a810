/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PKRAM: adopting nodes of the previous kernel; see adopt.c.
 */
#ifndef _MM_PKRAM_ADOPT_H
#define _MM_PKRAM_ADOPT_H

#include <linux/types.h>

/** enum pkram_adopt_phase - what there is to do; each needs all of the one before */
enum pkram_adopt_phase {
	PKRAM_PHASE_DIRECTORY,	/* find the nodes */
	PKRAM_PHASE_CHECK,	/* check them, and claim their pages */
	PKRAM_PHASE_FREE,	/* free what no node claimed */
	PKRAM_PHASE_COMMIT,	/* make ordinary nodes of those that are good */
	PKRAM_PHASE_DONE,	/* no node is pending */
};

extern void (*pkram_adopt_hurry)(void);

void pkram_adopt_begin(void);
bool pkram_adopt_pending(void);
bool pkram_adopt_work(enum pkram_adopt_phase until);
unsigned long pkram_adopt_events(void);
bool pkram_adopt_idle(unsigned long events);
bool pkram_adopt_wanted(void);
u64 pkram_adopt_until_free(void);
int pkram_adopt_directory(void);
int pkram_adopt_node(const char *name);
int pkram_adopt_freed(void);
int pkram_adopt_all(void);
bool pkram_adopt_all_at_once(void);

extern struct wait_queue_head pkram_adopt_wait;

#endif /* _MM_PKRAM_ADOPT_H */
