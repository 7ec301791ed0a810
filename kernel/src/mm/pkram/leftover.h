/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PKRAM: pages of preserved blocks that no node claims; see leftover.c.
 */
#ifndef _MM_PKRAM_LEFTOVER_H
#define _MM_PKRAM_LEFTOVER_H

#include <linux/types.h>

u64 pkram_leftover_init(void);
u64 pkram_leftover_free(u64 first, u64 nr);
void pkram_leftover_done(void);

#endif /* _MM_PKRAM_LEFTOVER_H */
