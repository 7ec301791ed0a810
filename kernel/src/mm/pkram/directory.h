/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PKRAM: the directory of the previous kernel; see directory.c.
 */
#ifndef _MM_PKRAM_DIRECTORY_H
#define _MM_PKRAM_DIRECTORY_H

#include <linux/types.h>

struct list_head;
struct pkram_node;
struct pkram_page_hdr;

void pkram_settle_twin(struct pkram_page_hdr *page, bool claimed);
void pkram_directory_adopt(struct list_head *nodes);
void pkram_dropped_add(struct pkram_node *node);
void pkram_dropped_sort(void);

#endif /* _MM_PKRAM_DIRECTORY_H */
