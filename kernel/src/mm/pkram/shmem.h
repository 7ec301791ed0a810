/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PKRAM: shmem files in and out of nodes.
 */
#ifndef _MM_PKRAM_SHMEM_H
#define _MM_PKRAM_SHMEM_H

#include <linux/types.h>

struct file;
struct mem_cgroup;
struct pkram_object;
struct pkram_writer;

/**
 * struct pkram_file - a file whose pages a node holds, frozen
 * @file:   the node's own reference
 * @denied: writable mappings were denied and must be allowed again
 * @locked: the mapping was made unevictable and must be made evictable again
 */
struct pkram_file {
	struct file *file;
	bool denied;
	bool locked;
};

/* shmem.c */

struct pkram_file *pkram_file_alloc(struct file *file);
void pkram_file_free(struct pkram_file *pf);
int pkram_file_freeze_locked(struct pkram_file *pf);
void pkram_file_thaw_locked(struct pkram_file *pf);
struct pkram_file *pkram_file_freeze(struct file *file);
void pkram_file_thaw(struct pkram_file *pf);
struct file *pkram_file_open(const struct pkram_file *pf);
void pkram_file_stat(const struct pkram_file *pf, struct pkram_object *obj);

/* shmem_save.c */

int pkram_file_save(struct file *file, u64 start, u64 last, const bool *stop,
		    struct pkram_writer *w);

/* shmem_load.c */

struct pkram_file *pkram_file_load(const struct pkram_object *obj, struct file *target,
				   struct mem_cgroup *memcg);

#endif
