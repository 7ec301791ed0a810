// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: nodes and their objects.
 */
#define pr_fmt(fmt) "pkram: " fmt

#include <linux/ktime.h>
#include <linux/pkram.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <trace/events/pkram.h>

#include "alloc.h"
#include "node.h"
#include "pkram.h"
#include "shmem.h"
#include "stream.h"

/**
 * DOC: life of a node
 *
 * A node is created by a saver, which owns it alone: it is not visible, and dropping
 * it frees every page. Committing puts it into the tables of this kernel
 * and into the directory for the next one. From then on its metadata pages do
 * not change until it is removed.
 *
 * What describes an object is in the node's pages, in the form the next kernel
 * reads; there is no second copy. What only this kernel needs to know (which
 * files its pages are in) is in struct pkram_node.
 *
 * A node of the previous kernel is *pending* from the moment its node page is known to
 * be good until all of it was checked (adopt.c). It is in the tables, so it has a name, is
 * listed and counted, and is handed on by a kexec. To do anything with it, adopt it first.
 *
 * There are two ways to get something out. A *user* (a descriptor of
 * /dev/pkram) pins the node and makes files out of its objects as often as it
 * likes; the node stays, and can be removed when there are no users. A *taker*
 * (pkram_prepare_load()) owns the node from then on and consumes it.
 *
 * Locking: pkram.lock for the tables, @state and @users. @files needs none: code
 * that makes a file of an object stores PKRAM_FILE_LOADING there first, see load.c.
 * It does not go away while it is used, because only a node without users is destroyed.
 * A node in state SAVING or TAKEN belongs to one task.
 */

static int name_cmp(const void *key, const struct rb_node *rb)
{
	const struct pkram_node *node = rb_entry(rb, struct pkram_node, by_name);

	return strcmp(key, (const char *)node->page->name);
}

static bool name_less(struct rb_node *a, const struct rb_node *b)
{
	const struct pkram_node *node = rb_entry(a, struct pkram_node, by_name);

	return name_cmp(node->page->name, b) < 0;
}

/* Any node of that name, committed or reserved. */
static struct pkram_node *find_any(const char *name)
{
	struct rb_node *rb = rb_find(name, &pkram.names, name_cmp);

	return rb ? rb_entry(rb, struct pkram_node, by_name) : NULL;
}

/**
 * pkram_node_check_name - is this the name of a node?
 * @name: NUL-terminated
 *
 * Return: 0, -EINVAL or -ENAMETOOLONG.
 */
int pkram_node_check_name(const char *name)
{
	switch (pkram_check_name(name, strnlen(name, PKRAM_NAME_MAX))) {
	case 0:
		return 0;
	case -2:
		return -ENAMETOOLONG;
	default:
		return -EINVAL;
	}
}

/**
 * pkram_node_alloc - allocate what this kernel knows about a node
 * @page: its node page
 * @gfp:  allocation flags
 *
 * Return: the node, in state SAVING, or NULL.
 */
struct pkram_node *pkram_node_alloc(struct pkram_node_page *page, gfp_t gfp)
{
	struct pkram_node *node = kzalloc(sizeof(*node), gfp);

	if (!node)
		return NULL;
	node->page = page;
	node->state = PKRAM_NODE_SAVING;
	node->totals.meta_pages = 1;
	node->born = le64_to_cpu(page->hdr.generation);
	init_waitqueue_head(&node->loads);
	xa_init(&node->tables);
	xa_init(&node->files);
	return node;
}

/**
 * pkram_node_create - start a node
 * @name: valid name
 * @gfp:  allocation flags
 *
 * Return: a node that belongs to the caller, or an error pointer: -ENODEV,
 * -EINVAL, -ENAMETOOLONG, -ENOMEM.
 */
struct pkram_node *pkram_node_create(const char *name, gfp_t gfp)
{
	struct pkram_node_page *page;
	struct pkram_node *node;
	int err;

	if (!pkram_enabled())
		return ERR_PTR(-ENODEV);
	err = pkram_node_check_name(name);
	if (err)
		return ERR_PTR(err);
	err = pkram_blocks_init(gfp);
	if (err)
		return ERR_PTR(err);

	page = pkram_alloc_meta(PKRAM_PAGE_NODE, gfp);
	if (!page)
		return ERR_PTR(-ENOMEM);
	page->name_len = cpu_to_le32(strlen(name));
	strscpy_pad((char *)page->name, name, sizeof(page->name));
	node = pkram_node_alloc(page, gfp);
	if (!node) {
		pkram_free_meta(page);
		return ERR_PTR(-ENOMEM);
	}
	return node;
}

/**
 * pkram_node_object - an object of a node
 * @node:  the node
 * @index: its index, below pkram_node_nr_objects()
 *
 * Return: the object as it is in the node's pages.
 */
struct pkram_object *pkram_node_object(struct pkram_node *node, u32 index)
{
	struct pkram_objects_page *table;

	if (index < PKRAM_NODE_OBJECTS)
		return &node->page->objects[index];
	index -= PKRAM_NODE_OBJECTS;
	table = xa_load(&node->tables, index / PKRAM_PAGE_OBJECTS_MAX);
	return &table->objects[index % PKRAM_PAGE_OBJECTS_MAX];
}

/**
 * pkram_node_index - make the pages of further objects known by number
 * @node: an adopted node
 * @gfp:  allocation flags
 *
 * Context: pkram.lock held, or the node belongs to the caller.
 *
 * Return: 0 or -ENOMEM. Does nothing if it was done before.
 */
int pkram_node_index(struct pkram_node *node, gfp_t gfp)
{
	__le64 pfn = node->page->hdr.next;
	unsigned long i = 0;

	while (pfn) {
		struct pkram_objects_page *table = pfn_to_kaddr(le64_to_cpu(pfn));
		int err = xa_err(xa_store(&node->tables, i++, table, gfp));

		if (err)
			return err;
		pfn = table->hdr.next;
	}
	return 0;
}

/**
 * pkram_node_add_object - append an object to a node being saved
 * @node:  the node
 * @flags: PKRAM_OBJ_*
 * @gfp:   allocation flags
 *
 * Return: the object, its index is the previous number of objects; or an error
 * pointer: -EFBIG if there are PKRAM_MAX_OBJECTS, -ENOMEM.
 */
struct pkram_object *pkram_node_add_object(struct pkram_node *node, u32 flags, gfp_t gfp)
{
	u32 nr = pkram_node_nr_objects(node);
	struct pkram_objects_page *table, *prev;
	struct pkram_object *obj;
	unsigned long t;
	int err;

	if (nr == PKRAM_MAX_OBJECTS)
		return ERR_PTR(-EFBIG);
	t = (nr - PKRAM_NODE_OBJECTS) / PKRAM_PAGE_OBJECTS_MAX;
	if (nr >= PKRAM_NODE_OBJECTS && !xa_load(&node->tables, t)) {
		table = pkram_alloc_meta(PKRAM_PAGE_OBJECTS, gfp);
		if (!table)
			return ERR_PTR(-ENOMEM);
		err = xa_err(xa_store(&node->tables, t, table, gfp));
		if (err) {
			pkram_free_meta(table);
			return ERR_PTR(err);
		}
		prev = t ? xa_load(&node->tables, t - 1) : (void *)node->page;
		prev->hdr.next = table->hdr.pfn;
		node->totals.meta_pages++;
	}
	node->page->nr_objects = cpu_to_le32(nr + 1);
	obj = pkram_node_object(node, nr);
	memset(obj, 0, sizeof(*obj));
	obj->flags = cpu_to_le32(flags);
	return obj;
}

/**
 * pkram_node_drop_last_object - undo pkram_node_add_object()
 * @node: a node being saved; its last object holds nothing
 *
 * A page of objects that becomes empty stays until the node is committed.
 */
void pkram_node_drop_last_object(struct pkram_node *node)
{
	le32_add_cpu(&node->page->nr_objects, -1);
}

/* Free the pages of objects after the first @keep ones. */
static void trim_tables(struct pkram_node *node, unsigned long keep)
{
	struct pkram_objects_page *table, *last;
	unsigned long t;

	last = keep ? xa_load(&node->tables, keep - 1) : (void *)node->page;
	if (last)
		last->hdr.next = 0;
	xa_for_each_start(&node->tables, t, table, keep) {
		xa_erase(&node->tables, t);
		pkram_free_meta(table);
		node->totals.meta_pages--;
	}
}

/**
 * pkram_node_reserve - take the name and a slot in the directory
 * @node: a node being saved
 * @gfp:  allocation flags
 *
 * Context: pkram.lock held.
 *
 * Return: 0; -EEXIST if the name is taken; -ENOMEM. After success
 * pkram_node_publish() cannot fail.
 */
static int pkram_node_reserve(struct pkram_node *node, gfp_t gfp)
{
	int err;

	lockdep_assert_held(&pkram.lock);
	if (node->slot)
		return 0;
	if (find_any(node->page->name))
		return -EEXIST;
	node->slot = pkram_dir_reserve(gfp);
	if (!node->slot)
		return -ENOMEM;
	node->id = pkram.next_id;
	err = xa_reserve(&pkram.nodes, node->id, gfp);
	if (err) {
		pkram_dir_release(node->slot);
		node->slot = NULL;
		return err;
	}
	pkram.next_id++;
	rb_add(&node->by_name, &pkram.names, name_less);
	return 0;
}

/* Checksums and totals: the last change to the node's pages. */
static void finish_pages(struct pkram_node *node)
{
	struct pkram_node_page *page = node->page;
	u32 nr = pkram_node_nr_objects(node);
	u32 first = min_t(u32, nr, PKRAM_NODE_OBJECTS);
	struct pkram_objects_page *table;
	unsigned long t;

	nr -= first;
	trim_tables(node, DIV_ROUND_UP(nr, PKRAM_PAGE_OBJECTS_MAX));
	xa_for_each(&node->tables, t, table) {
		u32 n = min_t(u32, nr, PKRAM_PAGE_OBJECTS_MAX);

		table->hdr.length = cpu_to_le32(offsetof(struct pkram_objects_page,
							 objects[n]));
		pkram_page_finish(&table->hdr);
		nr -= n;
	}
	page->stored_ns = cpu_to_le64(ktime_get_real_ns());
	page->data_pages = cpu_to_le64(node->totals.data_pages);
	page->meta_pages = cpu_to_le64(node->totals.meta_pages);
	page->hdr.length = cpu_to_le32(offsetof(struct pkram_node_page, objects[first]));
	pkram_page_finish(&page->hdr);
}

static void count_node(const struct pkram_node *node, int sign)
{
	pkram.nr_nodes += sign;
	pkram.data_pages += sign * node->totals.data_pages;
	pkram.meta_pages += sign * node->totals.meta_pages;
	pkram_count_features(le64_to_cpu(node->page->incompat), sign);
}

static void node_publish(struct pkram_node *node)
{
	node->state = PKRAM_NODE_IDLE;
	xa_store(&pkram.nodes, node->id, node, 0);
	pkram_poison_commit(node->page, node->slot);
	/* a seal that comes from now on finds all of its pages finished */
	pkram_dir_set(node->slot, node->page->hdr.pfn);
	count_node(node, 1);
}

/* Take a committed node out of all tables; its slot is dealt with elsewhere. */
static void node_unpublish(struct pkram_node *node)
{
	xa_erase(&pkram.nodes, node->id);
	rb_erase(&node->by_name, &pkram.names);
	count_node(node, -1);
}

static void release_slot(struct pkram_node *node)
{
	/* a seal looks for memory errors as long as there is a node in the slot */
	pkram_dir_set(node->slot, 0);
	pkram_poison_forget(node->slot);
	pkram_dir_release(node->slot);
	node->slot = NULL;
}

/**
 * pkram_node_prepare - reserve the name of a node before anything is saved
 * @node: a node being saved
 * @gfp:  allocation flags
 *
 * Return: 0; -EEXIST if the name is taken; -ENOMEM.
 */
int pkram_node_prepare(struct pkram_node *node, gfp_t gfp)
{
	guard(mutex)(&pkram.lock);
	return pkram_node_reserve(node, gfp);
}

/**
 * pkram_node_publish - commit a node that was prepared
 * @node: a node whose name was reserved; no longer the caller's afterwards
 */
void pkram_node_publish(struct pkram_node *node)
{
	guard(mutex)(&pkram.lock);
	finish_pages(node);
	node_publish(node);
	trace_pkram_save((const char *)node->page->name, node->totals.data_pages,
			 node->totals.meta_pages);
}

/* Put @node where the committed node @old is, in one store. */
static int replace_node(struct pkram_node *node, struct pkram_node *old, gfp_t gfp)
{
	unsigned long id = pkram.next_id;
	int err;

	if (old->state != PKRAM_NODE_IDLE || old->users)
		return -EBUSY;
	err = xa_reserve(&pkram.nodes, id, gfp);
	if (err)
		return err;
	pkram.next_id++;
	finish_pages(node);
	node_unpublish(old);
	node->id = id;
	node->slot = old->slot;
	old->slot = NULL;
	old->state = PKRAM_NODE_TAKEN;
	rb_add(&node->by_name, &pkram.names, name_less);
	node_publish(node);
	return 0;
}

/**
 * pkram_node_commit - make a node permanent
 * @node:    a node being saved; no longer the caller's after success
 * @replace: take the place of a committed node of the same name
 * @gfp:     allocation flags
 * @ret_id:  output, its id
 *
 * Return: 0; -EEXIST if the name is taken and not @replace; -EBUSY if the node
 * to be replaced is in use; -ENOMEM.
 */
int pkram_node_commit(struct pkram_node *node, bool replace, gfp_t gfp, u64 *ret_id)
{
	struct pkram_node *old = NULL;
	int err;

	mutex_lock(&pkram.lock);
	if (replace)
		old = find_any(node->page->name);
	if (old) {
		err = replace_node(node, old, gfp);
	} else {
		err = pkram_node_reserve(node, gfp);
		if (!err) {
			finish_pages(node);
			node_publish(node);
		}
	}
	if (!err) {
		*ret_id = node->id;
		trace_pkram_save((const char *)node->page->name, node->totals.data_pages,
				 node->totals.meta_pages);
	}
	mutex_unlock(&pkram.lock);

	if (!err && old)
		pkram_node_destroy(old);
	return err;
}

/**
 * pkram_node_insert - put a node of the previous kernel into the tables
 * @node: the node, with @slot and @totals filled in
 * @gfp:  allocation flags; the allocation must not fail
 *
 * Context: pkram.lock held.
 *
 * Return: 0, or -EEXIST if an earlier node has the name.
 */
int pkram_node_insert(struct pkram_node *node, gfp_t gfp)
{
	lockdep_assert_held(&pkram.lock);
	if (find_any(node->page->name))
		return -EEXIST;
	node->id = pkram.next_id++;
	xa_store(&pkram.nodes, node->id, node, gfp);
	rb_add(&node->by_name, &pkram.names, name_less);
	node->state = PKRAM_NODE_PENDING;
	count_node(node, 1);
	return 0;
}

/**
 * pkram_node_pending - find a node that is not adopted so far
 * @name: its name
 *
 * Context: pkram.lock held, which keeps it from being dropped.
 *
 * Return: the node, or NULL.
 */
struct pkram_node *pkram_node_pending(const char *name)
{
	struct pkram_node *node;

	lockdep_assert_held(&pkram.lock);
	node = find_any(name);
	return node && node->state == PKRAM_NODE_PENDING ? node : NULL;
}

/**
 * pkram_node_adopted - a pending node is like others from now on
 * @node: the node, which can go away at any moment from now on
 */
void pkram_node_adopted(struct pkram_node *node)
{
	guard(mutex)(&pkram.lock);
	node->state = PKRAM_NODE_IDLE;
	trace_pkram_adopt(le64_to_cpu(node->page->hdr.pfn), node->totals.data_pages,
			  node->totals.meta_pages);
}

/**
 * pkram_node_drop - free a pending node that is damaged
 * @node: the node, which has no pages but its node page
 */
void pkram_node_drop(struct pkram_node *node)
{
	scoped_guard(mutex, &pkram.lock) {
		node_unpublish(node);
		release_slot(node);
	}
	pkram_free_meta(node->page);
	kfree(node);
}

/**
 * pkram_node_free_streams - drop all that an object holds
 * @node:  the caller's own
 * @index: of the object
 */
void pkram_node_free_streams(struct pkram_node *node, u32 index)
{
	struct pkram_object *obj = pkram_node_object(node, index);

	pkram_stream_free(obj->pages_head);
	pkram_stream_free(obj->bytes_head);
	obj->pages_head = 0;
	obj->bytes_head = 0;
}

static void thaw_files(struct pkram_node *node)
{
	struct pkram_file *pf;
	unsigned long index;

	xa_for_each(&node->files, index, pf)
		pkram_file_thaw(pf);
	xa_destroy(&node->files);
}

static void node_free(struct pkram_node *node)
{
	u32 i, nr = pkram_node_nr_objects(node);

	pkram_node_index(node, GFP_KERNEL | __GFP_NOFAIL);
	for (i = 0; i < nr; i++)
		pkram_node_free_streams(node, i);
	thaw_files(node);
	trim_tables(node, 0);
	xa_destroy(&node->tables);
	pkram_free_meta(node->page);
	kfree(node);
	if (!READ_ONCE(pkram.nr_nodes))
		pkram_alloc_trim();
}

/* Inherited nodes that were removed before adoption ended, by adoption.link. */
static LIST_HEAD(removed_nodes);

/*
 * Keep the pages of an inherited node as long as PG_reserved says which pages have no
 * owner, see leftover.c. Files that have its pages are thawed at once.
 */
static bool node_keep(struct pkram_node *node)
{
	if (likely(!READ_ONCE(pkram.adopting)) || node->born == pkram_generation())
		return false;
	thaw_files(node);
	guard(mutex)(&pkram.lock);
	if (!pkram.adopting)
		return false;
	list_add(&node->adoption.link, &removed_nodes);
	return true;
}

/**
 * pkram_node_free_removed - adoption ends: free the nodes that were removed meanwhile
 *
 * Context: all pages that no node has are free; pkram.lock not held.
 */
void pkram_node_free_removed(void)
{
	struct pkram_node *node, *next;
	LIST_HEAD(list);

	scoped_guard(mutex, &pkram.lock) {
		WRITE_ONCE(pkram.adopting, false);
		list_splice_init(&removed_nodes, &list);
	}
	list_for_each_entry_safe(node, next, &list, adoption.link) {
		node_free(node);
		cond_resched();
	}
	pkram_free_kept_meta();
}

/**
 * pkram_node_destroy - free a node that is in no table, with all it holds
 * @node: the caller's own
 *
 * Also gives back a name and a slot that were reserved but not used. The memory of a node
 * of the previous kernel is free when adoption ends, if that is later.
 */
void pkram_node_destroy(struct pkram_node *node)
{
	if (node->slot) {
		guard(mutex)(&pkram.lock);
		xa_erase(&pkram.nodes, node->id);
		rb_erase(&node->by_name, &pkram.names);
		release_slot(node);
	}
	if (!node_keep(node))
		node_free(node);
}

/**
 * pkram_node_get - pin a committed node
 * @name: its name
 *
 * Return: the node, to be given to pkram_node_put(); or an error pointer:
 * -ENOENT, -EBUSY if it is pending, -ENOMEM.
 */
struct pkram_node *pkram_node_get(const char *name)
{
	struct pkram_node *node;
	int err;

	guard(mutex)(&pkram.lock);
	node = find_any(name);
	if (!node || node->state == PKRAM_NODE_SAVING)
		return ERR_PTR(-ENOENT);
	if (node->state == PKRAM_NODE_PENDING)
		return ERR_PTR(-EBUSY);
	err = pkram_node_index(node, PKRAM_GFP);
	if (err)
		return ERR_PTR(err);
	node->users++;
	return node;
}

/**
 * pkram_node_put - unpin a node
 * @node: from pkram_node_get()
 */
void pkram_node_put(struct pkram_node *node)
{
	guard(mutex)(&pkram.lock);
	node->users--;
}

static void node_take(struct pkram_node *node)
{
	node_unpublish(node);
	release_slot(node);
	node->state = PKRAM_NODE_TAKEN;
}

/**
 * pkram_node_take - take a committed node out of the store
 * @name: its name
 *
 * Return: the node, which belongs to the caller; or an error pointer: -ENOENT,
 * -EBUSY if it is in use, -ENOMEM.
 */
struct pkram_node *pkram_node_take(const char *name)
{
	struct pkram_node *node;
	int err;

	guard(mutex)(&pkram.lock);
	node = find_any(name);
	if (!node)
		return ERR_PTR(-ENOENT);
	if (node->state != PKRAM_NODE_IDLE || node->users)
		return ERR_PTR(-EBUSY);
	err = pkram_node_index(node, PKRAM_GFP);
	if (err)
		return ERR_PTR(err);
	node_take(node);
	return node;
}

static bool stream_banned(__le64 head)
{
	guard(rwsem_read)(&pkram_kexec_sem);
	return pkram_stream_banned(head);
}

/* Does anything of it lie where an image goes? */
static bool node_banned(const struct pkram_node *node)
{
	struct pkram_objects o;
	u32 i;

	for (o = pkram_objects_first(node->page); o.obj; o = pkram_objects_next(&o)) {
		if (pkram_meta_banned(o.hdr))
			return true;
		for (i = 0; i < o.nr; i++)
			if (stream_banned(o.obj[i].pages_head) ||
			    stream_banned(o.obj[i].bytes_head))
				return true;
	}
	return false;
}

/* The node page and the pages of further objects. */
static int move_tables(struct pkram_node *node)
{
	struct pkram_objects_page *table, *copy;
	struct pkram_node_page *page = node->page;
	struct pkram_page_hdr *prev;
	unsigned long t;

	if (pkram_meta_banned(page)) {
		node->page = pkram_move_meta(page, PKRAM_GFP);
		if (!node->page) {
			node->page = page;
			return -ENOMEM;
		}
		pkram_dir_set(node->slot, node->page->hdr.pfn);
		pkram_free_meta(page);
	}
	prev = &node->page->hdr;
	xa_for_each(&node->tables, t, table) {
		if (pkram_meta_banned(table)) {
			copy = pkram_move_meta(table, PKRAM_GFP);
			if (!copy)
				return -ENOMEM;
			/* its place is there, so this needs no memory */
			xa_store(&node->tables, t, copy, PKRAM_GFP);
			prev->next = copy->hdr.pfn;
			pkram_free_meta(table);
			table = copy;
		}
		prev = &table->hdr;
	}
	return 0;
}

static int move_stream(struct pkram_node *node, __le64 *head)
{
	struct pkram_writer w = { };
	__le64 old = *head;
	s64 links;
	int err;

	if (!stream_banned(old))
		return 0;
	err = pkram_stream_move(old, &w);
	if (err) {
		pkram_writer_discard(&w);
		return err;
	}
	*head = pkram_writer_head(&w);
	links = w.nr_links;
	links -= pkram_stream_free(old);
	node->totals.meta_pages += links;
	pkram.meta_pages += links;
	return 0;
}

static int move_object(struct pkram_node *node, u32 index)
{
	struct pkram_object *obj = pkram_node_object(node, index);
	int err;

	/* it is not known exactly which of its pages can be read */
	if (obj->nr_poisoned)
		return stream_banned(obj->pages_head) || stream_banned(obj->bytes_head) ?
		       -EHWPOISON : 0;
	err = move_stream(node, &obj->pages_head);
	if (!err)
		err = move_stream(node, &obj->bytes_head);
	return err;
}

/**
 * pkram_node_move - put what of a node lies where an image goes somewhere else
 * @node: a committed node
 *
 * Each stream changes as a whole, so the node is what it was after an error, too.
 * Files that have its pages keep them, and the node has copies from then on.
 *
 * Context: pkram.lock held; no seal can be made now. Must not hold
 * pkram_kexec_sem.
 *
 * Return: 0; -EBUSY if it is in use; -EHWPOISON; -ENOMEM.
 */
int pkram_node_move(struct pkram_node *node)
{
	u32 i, nr = pkram_node_nr_objects(node);
	struct pkram_objects_page *table;
	unsigned long t;
	int err;

	lockdep_assert_held(&pkram.lock);
	if (!node_banned(node))
		return 0;
	if (node->state != PKRAM_NODE_IDLE || node->users)
		return -EBUSY;
	err = pkram_node_index(node, PKRAM_GFP);
	if (err)
		return err;
	err = move_tables(node);
	for (i = 0; i < nr && !err; i++) {
		err = move_object(node, i);
		cond_resched();
	}
	xa_for_each(&node->tables, t, table)
		pkram_page_finish(&table->hdr);
	node->page->meta_pages = cpu_to_le64(node->totals.meta_pages);
	pkram_page_finish(&node->page->hdr);
	return err;
}

/**
 * pkram_node_remove - remove a committed node
 * @name:   its name
 * @mine:   node that the caller has pinned, or NULL; unpinned if it is this one
 * @ret_id: output, its id
 *
 * Return: 0; -ENOENT; -EBUSY if it has other users or is pending.
 */
int pkram_node_remove(const char *name, struct pkram_node *mine, u64 *ret_id)
{
	struct pkram_node *node;

	scoped_guard(mutex, &pkram.lock) {
		node = find_any(name);
		if (!node || node->state == PKRAM_NODE_SAVING)
			return -ENOENT;
		if (node->state == PKRAM_NODE_PENDING || node->users != (node == mine ? 1 : 0))
			return -EBUSY;
		*ret_id = node->id;
		node_take(node);
	}
	pkram_node_destroy(node);
	return 0;
}

/**
 * pkram_remove_idle - remove every committed node that is not in use
 *
 * Return: 0, or -EBUSY if some were in use and stay.
 */
int pkram_remove_idle(void)
{
	struct pkram_node *node;
	unsigned long id = 0;
	bool taken;
	int ret = 0;

	for (;;) {
		scoped_guard(mutex, &pkram.lock) {
			node = xa_find_after(&pkram.nodes, &id, ULONG_MAX, XA_PRESENT);
			if (!node)
				return ret;
			taken = node->state == PKRAM_NODE_IDLE && !node->users;
			if (taken)
				node_take(node);
			else
				ret = -EBUSY;
		}
		if (taken)
			pkram_node_destroy(node);
		cond_resched();
	}
}

/* Does one of its objects exist as a file? */
static bool has_files(struct pkram_node *node)
{
	struct pkram_file *pf;
	unsigned long i;

	xa_for_each(&node->files, i, pf)
		if (!xa_is_value(pf))
			return true;
	return false;
}

/**
 * pkram_node_info - describe a committed node
 * @node: the node
 * @info: output
 *
 * Context: pkram.lock held.
 */
void pkram_node_info(struct pkram_node *node, struct pkram_node_info *info)
{
	lockdep_assert_held(&pkram.lock);
	memset(info, 0, sizeof(*info));
	info->id = node->id;
	info->generation = pkram_generation() - node->born;
	info->data_pages = node->totals.data_pages;
	info->meta_pages = node->totals.meta_pages;
	info->file_bytes = node->totals.file_bytes;
	info->data_bytes = node->totals.data_bytes;
	info->stored_ns = le64_to_cpu(node->page->stored_ns);
	info->nr_objects = pkram_node_nr_objects(node);
	if (info->generation)
		info->flags |= PKRAM_NODE_INHERITED;
	if (node->state == PKRAM_NODE_PENDING)
		info->flags |= PKRAM_NODE_UNCHECKED;
	if (node->users)
		info->flags |= PKRAM_NODE_BUSY;
	if (has_files(node))
		info->flags |= PKRAM_NODE_LOADED;
	strscpy(info->name, (const char *)node->page->name, sizeof(info->name));
}
