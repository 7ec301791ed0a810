// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: interface for the rest of the kernel.
 */
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/pkram.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "adopt.h"
#include "alloc.h"
#include "node.h"
#include "pkram.h"
#include "stream.h"

/**
 * DOC: in-kernel interface
 *
 * Saving::
 *
 *	pkram_prepare_save(&ps, "name", GFP_KERNEL)
 *		pkram_prepare_save_obj(&ps, PKRAM_DATA_pages | PKRAM_DATA_bytes)
 *			PKRAM_ACCESS(pages, &ps, pages)
 *			pkram_save_file_folio(&pages, folio), ...
 *			pkram_finish_access(&pages, ok)
 *			PKRAM_ACCESS(bytes, &ps, bytes)
 *			pkram_write(&bytes, buf, len), ...
 *			pkram_finish_access(&bytes, ok)
 *		pkram_finish_save_obj(&ps)
 *	pkram_finish_save(&ps), or pkram_discard_save(&ps) after any error
 *
 * Loading::
 *
 *	pkram_prepare_load(&ps, "name")
 *		pkram_prepare_load_obj(&ps) until it returns -ENODATA
 *			pkram_load_file_folio(), pkram_read() likewise
 *		pkram_finish_load_obj(&ps)
 *	pkram_finish_load(&ps)
 *
 * A node that is being loaded this way is gone from the store: what is not
 * loaded from it is freed in the end. All functions may sleep.
 */

/**
 * struct pkram_access_state - position in a stream
 * @dtype:  which one it is
 * @writer: page stream being saved
 * @bytes:  byte stream being saved
 * @reader: page stream being loaded
 * @pos:    byte stream being loaded: next byte
 */
struct pkram_access_state {
	enum pkram_data_flags dtype;
	union {
		struct pkram_writer writer;
		struct pkram_bytes bytes;
		struct pkram_reader reader;
		u64 pos;
	};
};

/**
 * pkram_prepare_save - start saving a node
 * @ps:       stream to initialise
 * @name:     1 to 255 bytes, no '/' and no control characters
 * @gfp_mask: how memory for metadata and bytes is allocated
 *
 * Reserves the name. Must be followed by pkram_finish_save() or
 * pkram_discard_save() if it succeeds.
 *
 * Return: 0; -ENODEV PKRAM is off; -EINVAL or -ENAMETOOLONG bad name; -EEXIST
 * the name is taken; -ENOMEM; -EINTR.
 */
int pkram_prepare_save(struct pkram_stream *ps, const char *name, gfp_t gfp_mask)
{
	struct pkram_node *node;
	int err;

	err = pkram_adopt_node(name);
	if (err)
		return err;
	pkram_alloc_hold();
	node = pkram_node_create(name, gfp_mask);
	if (IS_ERR(node)) {
		err = PTR_ERR(node);
		goto err_release;
	}
	err = pkram_node_prepare(node, gfp_mask);
	if (err)
		goto err_node;
	*ps = (struct pkram_stream) {
		.gfp_mask = gfp_mask,
		.node = node,
		.saving = true,
	};
	return 0;

err_node:
	pkram_node_destroy(node);
err_release:
	pkram_alloc_release(!READ_ONCE(pkram.nr_nodes));
	return err;
}
EXPORT_SYMBOL_GPL(pkram_prepare_save);

/**
 * pkram_prepare_save_obj - start the next object of a node
 * @ps:    from pkram_prepare_save(), with no object open
 * @flags: PKRAM_DATA_pages, PKRAM_DATA_bytes or both
 *
 * Return: 0; -EINVAL bad @flags, or an object is open; -EFBIG too many objects;
 * -ENOMEM.
 */
int pkram_prepare_save_obj(struct pkram_stream *ps, enum pkram_data_flags flags)
{
	struct pkram_object *obj;
	u32 of = 0;

	if (!ps->saving || ps->obj || !flags ||
	    flags & ~(PKRAM_DATA_pages | PKRAM_DATA_bytes))
		return -EINVAL;
	if (flags & PKRAM_DATA_pages)
		of |= PKRAM_OBJ_PAGES;
	if (flags & PKRAM_DATA_bytes)
		of |= PKRAM_OBJ_BYTES;
	obj = pkram_node_add_object(ps->node, of, ps->gfp_mask);
	if (IS_ERR(obj))
		return PTR_ERR(obj);
	ps->obj = obj;
	return 0;
}
EXPORT_SYMBOL_GPL(pkram_prepare_save_obj);

/**
 * pkram_finish_save_obj - commit the object to the node
 * @ps: with an object open whose accesses are finished
 */
void pkram_finish_save_obj(struct pkram_stream *ps)
{
	ps->obj = NULL;
}
EXPORT_SYMBOL_GPL(pkram_finish_save_obj);

/**
 * pkram_finish_save - commit the node
 * @ps: with no object open; unusable afterwards
 *
 * From now on the node survives a kexec.
 */
void pkram_finish_save(struct pkram_stream *ps)
{
	pkram_node_publish(ps->node);
	ps->node = NULL;
	pkram_alloc_release(false);
}
EXPORT_SYMBOL_GPL(pkram_finish_save);

/**
 * pkram_discard_save - abort saving a node
 * @ps: from pkram_prepare_save(), accesses finished; unusable afterwards
 *
 * Nothing of the node remains, and its references on folios are dropped.
 */
void pkram_discard_save(struct pkram_stream *ps)
{
	pkram_node_destroy(ps->node);
	ps->node = NULL;
	ps->obj = NULL;
	pkram_alloc_release(!READ_ONCE(pkram.nr_nodes));
}
EXPORT_SYMBOL_GPL(pkram_discard_save);

/*
 * Have a node adopted, and if it is of the previous kernel, what no node has freed: the pages
 * that a taker gets can be free at any moment after that.
 */
static int adopt_for_taker(const char *name)
{
	int err = pkram_adopt_node(name);
	struct pkram_node *node;
	bool inherited;

	if (err || likely(!pkram_adopt_pending()))
		return err;
	node = pkram_node_get(name);
	if (IS_ERR(node))
		return 0;
	inherited = node->born != pkram_generation();
	pkram_node_put(node);
	return inherited ? pkram_adopt_freed() : 0;
}

/**
 * pkram_prepare_load - take a node out of the store and start loading it
 * @ps:   stream to initialise
 * @name: of the node
 *
 * Must be followed by pkram_finish_load() if it succeeds.
 *
 * Return: 0; -ENODEV PKRAM is off; -EINVAL or -ENAMETOOLONG bad name; -ENOENT
 * there is no such node; -EBUSY it is being saved or used; -ENOMEM; -EINTR.
 */
int pkram_prepare_load(struct pkram_stream *ps, const char *name)
{
	struct pkram_node *node;
	int err;

	if (!pkram_enabled())
		return -ENODEV;
	err = pkram_node_check_name(name);
	if (!err)
		err = adopt_for_taker(name);
	if (err)
		return err;
	node = pkram_node_take(name);
	if (IS_ERR(node))
		return PTR_ERR(node);
	*ps = (struct pkram_stream) { .node = node };
	return 0;
}
EXPORT_SYMBOL_GPL(pkram_prepare_load);

/**
 * pkram_prepare_load_obj - go on to the next object, in the order of saving
 * @ps: from pkram_prepare_load(), with no object open
 *
 * Return: 0; -ENODATA there are no more; -EINVAL an object is open; -EHWPOISON the
 * hardware lost a part of the next object: it was passed over, call again for the
 * one after it.
 */
int pkram_prepare_load_obj(struct pkram_stream *ps)
{
	struct pkram_object *obj;

	if (ps->saving || ps->obj)
		return -EINVAL;
	if (ps->next_obj == pkram_node_nr_objects(ps->node))
		return -ENODATA;
	obj = pkram_node_object(ps->node, ps->next_obj++);
	if (obj->nr_poisoned)
		return -EHWPOISON;
	ps->obj = obj;
	return 0;
}
EXPORT_SYMBOL_GPL(pkram_prepare_load_obj);

/**
 * pkram_finish_load_obj - finish loading an object
 * @ps: with an object open whose accesses are finished
 *
 * Frees what was not loaded from it.
 */
void pkram_finish_load_obj(struct pkram_stream *ps)
{
	pkram_node_free_streams(ps->node, ps->next_obj - 1);
	ps->obj = NULL;
}
EXPORT_SYMBOL_GPL(pkram_finish_load_obj);

/**
 * pkram_finish_load - free the node and what was not loaded from it
 * @ps: from pkram_prepare_load(), with no object open; unusable afterwards
 */
void pkram_finish_load(struct pkram_stream *ps)
{
	pkram_node_destroy(ps->node);
	ps->node = NULL;
}
EXPORT_SYMBOL_GPL(pkram_finish_load);

/* State of @pa, which must be of @dtype; NULL with an error in *@err. */
static struct pkram_access_state *access_state(struct pkram_access *pa,
					       enum pkram_data_flags dtype,
					       bool saving, int *err)
{
	const struct pkram_object *obj = pa->ps->obj;
	u32 need = dtype == PKRAM_DATA_pages ? PKRAM_OBJ_PAGES : PKRAM_OBJ_BYTES;

	*err = -EINVAL;
	if (!obj || pa->dtype != dtype || pa->ps->saving != saving ||
	    !(le32_to_cpu(obj->flags) & need))
		return NULL;
	/* one access to each stream of an object that is being saved */
	if (!pa->state && saving &&
	    (pa->ps->open & dtype ||
	     (dtype == PKRAM_DATA_pages ? obj->pages_head : obj->bytes_head)))
		return NULL;
	if (!pa->state) {
		*err = -ENOMEM;
		pa->state = kzalloc(sizeof(*pa->state), saving ? pa->ps->gfp_mask : GFP_KERNEL);
		if (!pa->state)
			return NULL;
		pa->state->dtype = dtype;
		if (saving)
			pa->ps->open |= dtype;
		if (!saving && dtype == PKRAM_DATA_pages)
			pkram_reader_init(&pa->state->reader, obj->pages_head);
	}
	return pa->state;
}

/**
 * pkram_finish_access - end access to a stream
 * @pa:        declared with PKRAM_ACCESS()
 * @status_ok: false if anything went wrong; what was saved through @pa is then
 *             dropped again
 */
void pkram_finish_access(struct pkram_access *pa, bool status_ok)
{
	struct pkram_access_state *state = pa->state;
	struct pkram_object *obj = pa->ps->obj;
	struct pkram_node *node = pa->ps->node;
	struct pkram_writer *w;

	if (!state)
		return;
	if (pa->ps->saving) {
		pa->ps->open &= ~state->dtype;
		w = state->dtype == PKRAM_DATA_pages ? &state->writer : &state->bytes.w;
		if (!status_ok) {
			pkram_writer_discard(w);
		} else if (state->dtype == PKRAM_DATA_pages) {
			pkram_writer_finish(w);
			obj->pages_head = pkram_writer_head(w);
			obj->nr_pages = cpu_to_le64(w->nr_pages);
		} else {
			pkram_bytes_finish(&state->bytes);
			obj->bytes_head = pkram_writer_head(w);
			obj->nr_bytes = cpu_to_le64(state->bytes.len);
			node->totals.data_bytes += state->bytes.len;
		}
		node->totals.data_pages += w->nr_pages;
		node->totals.meta_pages += w->nr_links;
	}
	kfree(state);
	pa->state = NULL;
}
EXPORT_SYMBOL_GPL(pkram_finish_access);

/**
 * pkram_save_file_folio - append a folio to the page stream
 * @pa:    access to pages of an object being saved
 * @folio: in a page cache, or with its index set otherwise; contents must not
 *         change until the node is gone
 *
 * The stream takes a reference of its own. A folio that lies where a loaded
 * kexec image goes is copied. A folio belongs to one object of one node: the
 * next kernel drops a node that has one which an earlier node has, too.
 *
 * Context: may sleep, also for as long as an image is being loaded; must not hold a
 * folio lock.
 *
 * Return: 0; -EINVAL bad @pa, another access to the stream is not finished, the
 * folio's index is below the end of the last one or its order is too large; -EFBIG its
 * index is too large; -EHWPOISON; -ENOMEM; -ENOSPC the next kernel would not have room to boot.
 */
int pkram_save_file_folio(struct pkram_access *pa, struct folio *folio)
{
	unsigned int order = folio_order(folio);
	struct pkram_access_state *state;
	struct pkram_writer *w;
	bool banned;
	int err;

	state = access_state(pa, PKRAM_DATA_pages, true, &err);
	if (!state)
		return err;
	w = &state->writer;
	if (order > MAX_PAGE_ORDER || folio->index < w->end_index ||
	    folio->index & ((1UL << order) - 1))
		return -EINVAL;
	if (folio->index > PKRAM_MAX_INDEX - (1ULL << order))
		return -EFBIG;
	if (pkram_folio_poisoned(folio))
		return -EHWPOISON;
	err = pkram_writer_reserve(w, pa->ps->gfp_mask);
	if (err)
		return err;

	scoped_guard(rwsem_read, &pkram_kexec_sem) {
		banned = pkram_banned(folio_pfn(folio), 1UL << order);
		if (!banned) {
			folio_get(folio);
			pkram_writer_add(w, folio->index, folio_pfn(folio), order, 1);
			pkram_writer_settle(w);
		}
	}
	if (banned) {
		err = pkram_writer_copy(w, folio->index, folio, pa->ps->gfp_mask);
		if (err)
			return err;
	}
	if (!pkram_blocks_room())
		pkram_adopt_all_at_once();
	return pkram_blocks_room() ? 0 : -ENOSPC;
}
EXPORT_SYMBOL_GPL(pkram_save_file_folio);

/**
 * pkram_save_file_page - append a page to the page stream
 * @pa:   access to pages of an object being saved
 * @page: a base page or the first page of a folio
 *
 * Context: as pkram_save_file_folio().
 *
 * Return: as pkram_save_file_folio(); -EINVAL also for a tail page.
 */
int pkram_save_file_page(struct pkram_access *pa, struct page *page)
{
	if (PageTail(page))
		return -EINVAL;
	return pkram_save_file_folio(pa, page_folio(page));
}
EXPORT_SYMBOL_GPL(pkram_save_file_page);

/**
 * pkram_load_file_folio - take the next folio out of the page stream
 * @pa:    access to pages of an object being loaded
 * @index: output unless NULL, the index it was saved with
 *
 * Return: the folio, with a reference that is the caller's; NULL at the end or
 * if @pa is not such an access.
 */
struct folio *pkram_load_file_folio(struct pkram_access *pa, unsigned long *index)
{
	struct pkram_access_state *state;
	unsigned int order;
	struct page *page;
	u64 at;
	int err;

	state = access_state(pa, PKRAM_DATA_pages, false, &err);
	if (!state)
		return NULL;
	page = pkram_reader_next(&state->reader, &at, &order);
	if (!page)
		return NULL;
	if (index)
		*index = at;
	pkram_page_show(page);
	/* the stream's own reference goes when the object is finished */
	get_page(page);
	return page_folio(page);
}
EXPORT_SYMBOL_GPL(pkram_load_file_folio);

/**
 * pkram_load_file_page - take the next page out of the page stream
 * @pa:    access to pages of an object being loaded
 * @index: output unless NULL, the index it was saved with
 *
 * Return: as pkram_load_file_folio(): the first page of the folio.
 */
struct page *pkram_load_file_page(struct pkram_access *pa, unsigned long *index)
{
	struct folio *folio = pkram_load_file_folio(pa, index);

	return folio ? folio_page(folio, 0) : NULL;
}
EXPORT_SYMBOL_GPL(pkram_load_file_page);

/**
 * pkram_write - append bytes to the byte stream
 * @pa:    access to bytes of an object being saved
 * @buf:   the bytes
 * @count: how many
 *
 * Return: @count; -EINVAL bad @pa, or another access to the stream is not finished;
 * -ENOMEM; -ENOSPC the next kernel would not
 * have room to boot. After an error finish the access with false.
 */
ssize_t pkram_write(struct pkram_access *pa, const void *buf, size_t count)
{
	struct kvec vec = { .iov_base = (void *)buf, .iov_len = count };
	struct pkram_access_state *state;
	struct iov_iter iter;
	int err;

	state = access_state(pa, PKRAM_DATA_bytes, true, &err);
	if (!state)
		return err;
	if (count > MAX_RW_COUNT)
		return -EINVAL;
	iov_iter_kvec(&iter, ITER_SOURCE, &vec, 1, count);
	err = pkram_bytes_append(&state->bytes, &iter, pa->ps->gfp_mask);
	return err ?: count;
}
EXPORT_SYMBOL_GPL(pkram_write);

/**
 * pkram_read - take bytes out of the byte stream
 * @pa:    access to bytes of an object being loaded
 * @buf:   where to put them
 * @count: how many at most
 *
 * Return: bytes read, fewer than @count at the end, 0 also if @pa is not such
 * an access or the hardware lost a page of the stream in this kernel.
 */
size_t pkram_read(struct pkram_access *pa, void *buf, size_t count)
{
	struct kvec vec = { .iov_base = buf, .iov_len = count };
	struct pkram_access_state *state;
	struct iov_iter iter;
	ssize_t n;
	int err;

	state = access_state(pa, PKRAM_DATA_bytes, false, &err);
	if (!state)
		return 0;
	iov_iter_kvec(&iter, ITER_DEST, &vec, 1, min_t(size_t, count, MAX_RW_COUNT));
	n = pkram_bytes_read(pa->ps->obj, state->pos, &iter);
	if (n < 0)
		return 0;
	state->pos += n;
	return n;
}
EXPORT_SYMBOL_GPL(pkram_read);
