// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: a node being saved through /dev/pkram.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list_sort.h>
#include <linux/pkram.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <linux/wait.h>

#include "adopt.h"
#include "alloc.h"
#include "node.h"
#include "pkram.h"
#include "shmem.h"
#include "stream.h"

/**
 * DOC: saving in parallel
 *
 * One descriptor owns the node that is being saved; others may help with it. A
 * *range* is a part of a file with a page stream of its own, which needs nothing
 * from other ranges while it is made. They are put in order and linked together
 * when the node is committed.
 *
 * A save exists as long as a descriptor refers to it. Its node exists until it is
 * committed or aborted. An abort tells the calls of helpers to stop and waits until
 * they have; a commit while one runs is refused.
 *
 * A range that fails leaves the node as it was before. Only if the range made the
 * object, and a later object exists already, the node cannot be completed any more:
 * the save is *broken* then, as it is after a byte stream that was left half written.
 *
 * Locking: pkram_save.lock for everything in it; it is not held while pages are
 * recorded. Lock order: pkram_save.lock, then as in pkram.h.
 */

/**
 * struct pkram_save - a node being saved
 * @ref:    descriptors that own it or help with it
 * @lock:   protects what follows
 * @node:   the node, NULL once it was committed or aborted
 * @broken: it can only be aborted
 * @stop:   it is being aborted: calls that are recording pages return early
 * @active: calls that are recording pages
 * @idle:   woken when @active becomes 0
 * @bytes:  byte stream of the newest object
 * @open:   @bytes is not closed yet
 * @ranges: struct pkram_range, in the order in which they were finished
 */
struct pkram_save {
	struct kref ref;
	struct mutex lock;	/* protects all that follows */
	struct pkram_node *node;
	bool broken;
	bool stop;
	unsigned int active;
	wait_queue_head_t idle;
	struct pkram_bytes bytes;
	bool open;
	struct list_head ranges;
};

/**
 * struct pkram_range - the page stream of a part of a file
 * @link:   in pkram_save.ranges
 * @object: index of the object
 * @head:   first link page
 * @tail:   last link page
 * @start:  page index of its first page
 * @end:    page index after its last page
 * @joined: it is part of the object's stream, which owns it
 */
struct pkram_range {
	struct list_head link;
	u32 object;
	struct pkram_link *head;
	struct pkram_link *tail;
	u64 start;
	u64 end;
	bool joined;
};

/**
 * pkram_save_begin - start saving a node
 * @name: valid name
 *
 * Return: the save, to be given to pkram_save_put() after it was committed or
 * aborted; or an error pointer as from pkram_node_create().
 */
struct pkram_save *pkram_save_begin(const char *name)
{
	struct pkram_save *save = kzalloc(sizeof(*save), GFP_KERNEL);
	struct pkram_node *node;

	if (!save)
		return ERR_PTR(-ENOMEM);
	if (pkram_adopt_directory()) {
		kfree(save);
		return ERR_PTR(-EINTR);
	}
	pkram_alloc_hold();
	node = pkram_node_create(name, PKRAM_GFP);
	if (IS_ERR(node)) {
		pkram_alloc_release(!READ_ONCE(pkram.nr_nodes));
		kfree(save);
		return ERR_CAST(node);
	}
	kref_init(&save->ref);
	mutex_init(&save->lock);
	init_waitqueue_head(&save->idle);
	INIT_LIST_HEAD(&save->ranges);
	save->node = node;
	return save;
}

/**
 * pkram_save_get - refer to a save
 * @save: the save
 *
 * Return: @save.
 */
struct pkram_save *pkram_save_get(struct pkram_save *save)
{
	kref_get(&save->ref);
	return save;
}

static void save_free(struct kref *ref)
{
	struct pkram_save *save = container_of(ref, struct pkram_save, ref);

	mutex_destroy(&save->lock);
	kfree(save);
	pkram_alloc_release(!READ_ONCE(pkram.nr_nodes));
}

/**
 * pkram_save_put - no longer refer to a save
 * @save: the save
 */
void pkram_save_put(struct pkram_save *save)
{
	kref_put(&save->ref, save_free);
}

static void count_stream(struct pkram_node *node, const struct pkram_writer *w)
{
	node->totals.data_pages += w->nr_pages;
	node->totals.meta_pages += w->nr_links;
}

/* Close the byte stream of the newest object. */
static void close_bytes(struct pkram_save *save)
{
	struct pkram_node *node = save->node;
	struct pkram_object *obj;

	if (!save->open)
		return;
	obj = pkram_node_object(node, pkram_node_nr_objects(node) - 1);
	pkram_bytes_finish(&save->bytes);
	obj->flags |= cpu_to_le32(PKRAM_OBJ_BYTES);
	obj->bytes_head = pkram_writer_head(&save->bytes.w);
	obj->nr_bytes = cpu_to_le64(save->bytes.len);
	node->totals.data_bytes += save->bytes.len;
	count_stream(node, &save->bytes.w);
	memset(&save->bytes, 0, sizeof(save->bytes));
	save->open = false;
}

static bool save_usable(const struct pkram_save *save)
{
	return save->node && !save->broken;
}

/* Freeze a file and make an object for it, without pages so far. */
static int new_object(struct pkram_save *save, struct file *file, u32 *ret_index)
{
	struct pkram_node *node = save->node;
	struct pkram_object *obj;
	struct pkram_file *pf;
	u32 index;
	int err;

	close_bytes(save);
	index = pkram_node_nr_objects(node);
	pf = pkram_file_freeze(file);
	if (IS_ERR(pf))
		return PTR_ERR(pf);
	obj = pkram_node_add_object(node, PKRAM_OBJ_PAGES | PKRAM_OBJ_FILE, PKRAM_GFP);
	if (IS_ERR(obj)) {
		err = PTR_ERR(obj);
		goto err_thaw;
	}
	err = xa_err(xa_store(&node->files, index, pf, PKRAM_GFP));
	if (err)
		goto err_object;

	pkram_file_stat(pf, obj);
	node->totals.file_bytes += le64_to_cpu(obj->size);
	*ret_index = index;
	return 0;

err_object:
	pkram_node_drop_last_object(node);
err_thaw:
	pkram_file_thaw(pf);
	return err;
}

/* Undo new_object() for the newest object, which has no pages. */
static void drop_object(struct pkram_save *save, u32 index)
{
	struct pkram_node *node = save->node;
	const struct pkram_object *obj = pkram_node_object(node, index);

	node->totals.file_bytes -= le64_to_cpu(obj->size);
	pkram_file_thaw(xa_erase(&node->files, index));
	pkram_node_drop_last_object(node);
}

static void begin_call(struct pkram_save *save)
{
	save->active++;
	mutex_unlock(&save->lock);
}

static void end_call(struct pkram_save *save)
{
	mutex_lock(&save->lock);
	if (!--save->active)
		wake_up_all(&save->idle);
}

/* Add a finished stream to an object. @range is for it to keep. */
static void add_stream(struct pkram_save *save, u32 index, struct pkram_writer *w,
		       struct pkram_range *range)
{
	struct pkram_object *obj = pkram_node_object(save->node, index);

	le64_add_cpu(&obj->nr_pages, w->nr_pages);
	count_stream(save->node, w);
	if (!w->head) {
		kfree(range);
		return;
	}
	range->object = index;
	range->head = w->head;
	range->tail = w->tail;
	range->start = le64_to_cpu(w->head->index);
	range->end = w->pos;
	list_add_tail(&range->link, &save->ranges);
}

static bool has_ranges(const struct pkram_save *save, u32 index)
{
	const struct pkram_range *range;

	list_for_each_entry(range, &save->ranges, link)
		if (range->object == index)
			return true;
	return false;
}

/*
 * All blocks of the previous kernel count as full until it is known which pages of them no
 * node has. If that could make a difference, have it done before @pages are allocated.
 */
static int save_make_room(u64 pages)
{
	if (likely(!pkram_adopt_pending()))
		return 0;
	if (!pkram_blocks_scarce() && pages < si_mem_available() / 2)
		return 0;
	return pkram_adopt_all();
}

static int save_file_once(struct pkram_save *save, struct file *file,
			  struct pkram_ioctl_save_file *arg)
{
	bool range_given = arg->flags & PKRAM_SAVE_RANGE;
	bool fresh = !range_given || arg->object == PKRAM_OBJECT_NEW;
	u64 start = arg->offset >> PAGE_SHIFT, last = ULONG_MAX;
	struct pkram_range *range;
	struct pkram_writer w = { };
	struct pkram_file *pf;
	u32 index = arg->object;
	int err = 0;

	if (range_given ? !IS_ALIGNED(arg->offset | arg->length, SZ_2M) :
			  arg->offset || arg->length)
		return -EINVAL;
	if (arg->offset > MAX_LFS_FILESIZE || arg->length > MAX_LFS_FILESIZE)
		return -EINVAL;
	if (arg->length)
		last = start + (arg->length >> PAGE_SHIFT) - 1;
	range = kzalloc(sizeof(*range), GFP_KERNEL);
	if (!range)
		return -ENOMEM;

	mutex_lock(&save->lock);
	if (!save_usable(save)) {
		err = -EBADFD;
	} else if (fresh) {
		err = new_object(save, file, &index);
	} else {
		pf = xa_load(&save->node->files, index);
		if (!pf || file_inode(pf->file) != file_inode(file))
			err = -EINVAL;
	}
	if (err)
		goto out;

	begin_call(save);
	err = pkram_file_save(file, start, last, &save->stop, &w);
	if (err)
		pkram_writer_discard(&w);
	else
		pkram_writer_finish(&w);
	end_call(save);

	if (err) {
		if (!fresh || !save->node)
			goto out;
		/* no object after it, and no helper that was faster */
		if (!save->active && !has_ranges(save, index) &&
		    index == pkram_node_nr_objects(save->node) - 1)
			drop_object(save, index);
		else
			save->broken = true;
		goto out;
	}
	arg->object = index;
	arg->pages = w.nr_pages;
	add_stream(save, index, &w, range);
	range = NULL;
out:
	mutex_unlock(&save->lock);
	kfree(range);
	return err;
}

/**
 * pkram_save_file - save a file, or a range of it
 * @save: the save
 * @file: the file
 * @arg:  see struct pkram_ioctl_save_file; flags checked
 *
 * On error the node is as it was before, unless the call made an object and a later
 * one exists: then the save can only be aborted.
 *
 * Return: 0; -EBADFD the save was committed, aborted or is broken; -EINVAL bad
 * range, or not the file of that object; as pkram_file_freeze(),
 * pkram_node_add_object() and pkram_file_save().
 */
int pkram_save_file(struct pkram_save *save, struct file *file,
		    struct pkram_ioctl_save_file *arg)
{
	int err, again;

	err = save_make_room(0);
	if (err)
		return err;
	err = save_file_once(save, file, arg);
	if ((err != -ENOSPC && err != -ENOMEM) || !pkram_adopt_all_at_once())
		return err;
	/* there was not enough memory or room only because nodes were pending, maybe */
	again = save_file_once(save, file, arg);
	return again == -EBADFD ? err : again;
}

/**
 * pkram_save_bytes - append to the byte stream of the newest object
 * @save:   the save
 * @object: PKRAM_OBJECT_NEW to make an object, else the newest; its index
 * @from:   the bytes
 *
 * Return: 0; -EBADFD; -EINVAL not the newest object; -EFBIG; -ENOMEM; -ENOSPC;
 * -EFAULT; -EINTR. After one of the last four the save can only be aborted.
 */
int pkram_save_bytes(struct pkram_save *save, u32 *object, struct iov_iter *from)
{
	struct pkram_object *obj;
	u32 nr;
	int err;

	guard(mutex)(&save->lock);
	if (!save_usable(save))
		return -EBADFD;
	err = save_make_room(iov_iter_count(from) >> PAGE_SHIFT);
	if (err)
		return err;
	nr = pkram_node_nr_objects(save->node);
	if (*object == PKRAM_OBJECT_NEW) {
		close_bytes(save);
		obj = pkram_node_add_object(save->node, PKRAM_OBJ_BYTES, PKRAM_GFP);
		if (IS_ERR(obj))
			return PTR_ERR(obj);
		*object = nr;
	} else if (!nr || *object != nr - 1) {
		return -EINVAL;
	} else if (!save->open &&
		   le32_to_cpu(pkram_node_object(save->node, nr - 1)->flags) & PKRAM_OBJ_BYTES) {
		return -EINVAL;
	}
	save->open = true;
	err = pkram_bytes_append(&save->bytes, from, PKRAM_GFP);
	if (err)
		save->broken = true;
	return err;
}

static int range_cmp(void *priv, const struct list_head *a, const struct list_head *b)
{
	const struct pkram_range *x = list_entry(a, struct pkram_range, link);
	const struct pkram_range *y = list_entry(b, struct pkram_range, link);

	if (x->object != y->object)
		return x->object < y->object ? -1 : 1;
	return x->start < y->start ? -1 : x->start > y->start;
}

/* Put the ranges in order; false if two of a file overlap. */
static bool order_ranges(struct pkram_save *save)
{
	struct pkram_range *range, *prev = NULL;

	list_sort(NULL, &save->ranges, range_cmp);
	list_for_each_entry(range, &save->ranges, link) {
		if (prev && prev->object == range->object && prev->end > range->start)
			return false;
		prev = range;
	}
	return true;
}

/* Make one stream of all ranges of each object. */
static void join_ranges(struct pkram_save *save)
{
	struct pkram_range *range, *prev = NULL;

	list_for_each_entry(range, &save->ranges, link) {
		if (prev && prev->object == range->object) {
			prev->tail->hdr.next = range->head->hdr.pfn;
			pkram_page_finish(&prev->tail->hdr);
		} else {
			pkram_node_object(save->node, range->object)->pages_head =
				range->head->hdr.pfn;
		}
		range->joined = true;
		prev = range;
	}
}

/* Forget the ranges, and drop those that are part of no stream. */
static void free_ranges(struct pkram_save *save)
{
	struct pkram_range *range, *next;

	list_for_each_entry_safe(range, next, &save->ranges, link) {
		if (!range->joined)
			pkram_stream_free(range->head->hdr.pfn);
		kfree(range);
	}
	INIT_LIST_HEAD(&save->ranges);
}

/**
 * pkram_save_commit - make the node permanent
 * @save:    the save
 * @replace: take the place of a node of the same name
 * @ret_id:  output, id of the node
 *
 * Return: 0; -EBADFD; -EBUSY a helper's call is running, or the node to be
 * replaced is in use; -EINVAL ranges overlap; -EEXIST; -ENOMEM; -EINTR. On error it
 * can be tried again.
 */
int pkram_save_commit(struct pkram_save *save, bool replace, u64 *ret_id)
{
	int err;

	guard(mutex)(&save->lock);
	if (!save_usable(save))
		return -EBADFD;
	if (save->active)
		return -EBUSY;
	/* a node with the name may still have to be adopted, or be damaged and go away */
	if (pkram_adopt_node((const char *)save->node->page->name))
		return -EINTR;
	close_bytes(save);
	if (!order_ranges(save))
		return -EINVAL;
	join_ranges(save);
	err = pkram_node_commit(save->node, replace, PKRAM_GFP, ret_id);
	if (!err) {
		save->node = NULL;
		free_ranges(save);
	}
	return err;
}

/**
 * pkram_save_abort - drop the node
 * @save: the save, not committed
 *
 * Stops calls of helpers, and waits until they have returned.
 */
void pkram_save_abort(struct pkram_save *save)
{
	struct pkram_node *node;

	mutex_lock(&save->lock);
	/* turns away helpers that come from now on, and stops those that are there */
	save->broken = true;
	WRITE_ONCE(save->stop, true);
	while (save->active) {
		mutex_unlock(&save->lock);
		wait_event(save->idle, !READ_ONCE(save->active));
		mutex_lock(&save->lock);
	}
	node = save->node;
	save->node = NULL;
	mutex_unlock(&save->lock);
	if (!node)
		return;

	if (save->open)
		pkram_writer_discard(&save->bytes.w);
	free_ranges(save);
	pkram_node_destroy(node);
}
