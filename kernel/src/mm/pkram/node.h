/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PKRAM: nodes and their objects; see node.c.
 */
#ifndef _MM_PKRAM_NODE_H
#define _MM_PKRAM_NODE_H

#include <linux/list.h>
#include <linux/pkram_format.h>
#include <linux/rbtree.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "claim.h"

struct pkram_file;
struct pkram_node_info;

/** enum pkram_node_state - the operations that a node allows */
enum pkram_node_state {
	PKRAM_NODE_PENDING,	/* of the previous kernel, not adopted so far, see adopt.c */
	PKRAM_NODE_SAVING,	/* owned by one saver, in no table */
	PKRAM_NODE_IDLE,	/* committed */
	PKRAM_NODE_TAKEN,	/* taken out of the tables by pkram_prepare_load() */
};

/** enum pkram_adopt_state - how far adoption of a pending node has come */
enum pkram_adopt_state {
	PKRAM_ADOPT_WAITING,	/* not looked at so far */
	PKRAM_ADOPT_CLAIMED,	/* good, and all of its pages are its own */
	PKRAM_ADOPT_DISPUTED,	/* a page of it had another owner when it was looked at */
	PKRAM_ADOPT_DAMAGED,	/* to be dropped */
	PKRAM_ADOPT_BUSY,	/* belongs to the task that works on it */
};

/**
 * struct pkram_adoption - what is only needed until a node is adopted
 * @link:    in the list of nodes in this state, in the order of the directory
 * @position: its place in the directory
 * @state:   enum pkram_adopt_state; protected by the lock of adopt.c
 * @damage:  why it is to be dropped
 * @claimed: its pages
 */
struct pkram_adoption {
	struct list_head link;
	u64 position;
	enum pkram_adopt_state state;
	int damage;
	struct pkram_claimed claimed;
};

/**
 * struct pkram_node - a node in the running system
 * @page:    its node page
 * @state:   enum pkram_node_state
 * @users:   descriptors that are loading it
 * @id:      see struct pkram_node_info
 * @slot:    its slot in the directory, NULL while it is being saved
 * @by_name: in pkram_state.names
 * @tables:  pages of further objects by their number
 * @files:   struct pkram_file of objects that exist as files, by object index;
 *           PKRAM_FILE_LOADING while one is being made
 * @loads:   woken when one of those is done or has failed
 * @totals:  what it consists of
 * @born:    generation in which it was committed
 * @adoption: while it is pending, and if it is removed before all others are adopted
 */
struct pkram_node {
	struct pkram_node_page *page;
	enum pkram_node_state state;
	unsigned int users;
	unsigned long id;
	__le64 *slot;
	struct rb_node by_name;
	struct xarray tables;
	struct xarray files;
	wait_queue_head_t loads;
	struct pkram_node_totals totals;
	u64 born;
	struct pkram_adoption adoption;
};

/** PKRAM_FILE_LOADING - in place of a struct pkram_file that is being made */
#define PKRAM_FILE_LOADING	((struct pkram_file *)xa_mk_value(0))

static inline u32 pkram_node_nr_objects(const struct pkram_node *node)
{
	return le32_to_cpu(node->page->nr_objects);
}

int pkram_node_check_name(const char *name);
struct pkram_node *pkram_node_alloc(struct pkram_node_page *page, gfp_t gfp);
struct pkram_node *pkram_node_create(const char *name, gfp_t gfp);
struct pkram_object *pkram_node_add_object(struct pkram_node *node, u32 flags, gfp_t gfp);
struct pkram_object *pkram_node_object(struct pkram_node *node, u32 index);
int pkram_node_index(struct pkram_node *node, gfp_t gfp);
void pkram_node_drop_last_object(struct pkram_node *node);
int pkram_node_prepare(struct pkram_node *node, gfp_t gfp);
void pkram_node_publish(struct pkram_node *node);
int pkram_node_commit(struct pkram_node *node, bool replace, gfp_t gfp, u64 *ret_id);
int pkram_node_insert(struct pkram_node *node, gfp_t gfp);
struct pkram_node *pkram_node_pending(const char *name);
void pkram_node_adopted(struct pkram_node *node);
void pkram_node_drop(struct pkram_node *node);
void pkram_node_free_streams(struct pkram_node *node, u32 index);
void pkram_node_destroy(struct pkram_node *node);
void pkram_node_free_removed(void);
struct pkram_node *pkram_node_get(const char *name);
void pkram_node_put(struct pkram_node *node);
struct pkram_node *pkram_node_take(const char *name);
int pkram_node_move(struct pkram_node *node);
int pkram_node_remove(const char *name, struct pkram_node *mine, u64 *ret_id);
int pkram_remove_idle(void);
void pkram_node_info(struct pkram_node *node, struct pkram_node_info *info);

#endif /* _MM_PKRAM_NODE_H */
