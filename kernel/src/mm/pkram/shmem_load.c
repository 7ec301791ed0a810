// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: pages of nodes into shmem files.
 */
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/memcontrol.h>
#include <linux/mm_inline.h>
#include <linux/pagemap.h>
#include <linux/pkram.h>
#include <linux/pkram_compat.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/swap.h>

#include "../internal.h"
#include "pkram.h"
#include "shmem.h"
#include "stream.h"

/** LOAD_BATCH - folios inserted under one hold of the i_pages lock */
#define LOAD_BATCH	64

/**
 * struct load_batch - folios on their way into a file
 * @nr:       how many
 * @poisoned: the hardware lost a part of them
 * @pages:    base pages in them
 * @folio:    the folios, in order
 * @at:       index of each
 */
struct load_batch {
	unsigned int nr;
	bool poisoned;
	unsigned long pages;
	struct folio *folio[LOAD_BATCH];
	pgoff_t at[LOAD_BATCH];
};

/* Get the next folios of a stream. False if there are no more. */
static bool batch_read(struct load_batch *b, struct pkram_reader *r)
{
	unsigned int order, n = 0;
	struct page *page;
	u64 index;
	u32 nr;

	b->pages = 0;
	b->poisoned = false;
	while (n < LOAD_BATCH) {
		page = pkram_reader_run(r, LOAD_BATCH - n, &index, &order, &nr);
		if (!page)
			break;
		b->pages += (unsigned long)nr << order;
		for (; nr; nr--) {
			/* an extent names whole folios */
			struct folio *folio = (struct folio *)page;

			if (unlikely(pkram_folio_poisoned(folio)))
				b->poisoned = true;
			b->folio[n] = folio;
			b->at[n++] = index;
			page += 1UL << order;
			index += 1UL << order;
		}
	}
	b->nr = n;
	return n;
}

/* Prepare the folios of a batch for the page cache of a file. */
static void batch_attach(struct load_batch *b, struct address_space *mapping)
{
	const unsigned long flags = 1UL << PG_uptodate | 1UL << PG_swapbacked |
				    1UL << PG_dirty;
	unsigned int i;

	for (i = 0; i < b->nr; i++) {
		struct folio *folio = b->folio[i];

		pkram_page_show(folio_page(folio, 0));
		folio->mapping = mapping;
		folio->index = b->at[i];
		/* memory_failure() can set PG_hwpoison at the same time */
		set_mask_bits(page_flags_word(folio), 0UL, flags);
		folio_ref_add(folio, folio_nr_pages(folio));
	}
}

/* Undo batch_attach() from folio @i on. */
static void batch_detach(struct load_batch *b, unsigned int i)
{
	for (; i < b->nr; i++) {
		b->folio[i]->mapping = NULL;
		folio_ref_sub(b->folio[i], folio_nr_pages(b->folio[i]));
	}
}

/*
 * Count folios of a batch, from @i to @end, in the statistics of their NUMA nodes. All
 * folios of a load are charged to the same memory cgroup.
 */
static void batch_count(const struct load_batch *b, unsigned int i, unsigned int end)
{
	struct folio *first, *folio;
	long nr, pages, thp;

	while (i < end) {
		first = b->folio[i];
		pages = 0;
		thp = 0;
		do {
			folio = b->folio[i];
			nr = folio_nr_pages(folio);
			pages += nr;
			if (nr > 1 && folio_test_pmd_mappable(folio))
				thp += nr;
		} while (++i < end && folio_nid(b->folio[i]) == folio_nid(first));
		if (thp)
			lruvec_stat_mod_folio(first, NR_SHMEM_THPS, thp);
		lruvec_stat_mod_folio(first, NR_FILE_PAGES, pages);
		lruvec_stat_mod_folio(first, NR_SHMEM, pages);
	}
}

/*
 * Store base pages of a batch, from @i to @end, at the indices after the one that @xas is
 * at, as far as they are in the same node and nothing is there. For most pages this is
 * all there is to do, and xas_store() takes ten times as long. Moves @xas to the last of
 * them. Returns how many there are.
 */
static unsigned int insert_next(struct xa_state *xas, const struct load_batch *b,
				unsigned int i, unsigned int end)
{
	struct xa_node *node = xas->xa_node;
	void __rcu **slot;
	unsigned int n;

	/* the only entry of an array is not in a node */
	if (!node || node->shift)
		return 0;
	end = min(end, i + XA_CHUNK_MASK - xas->xa_offset);
	slot = &node->slots[xas->xa_offset + 1];
	for (n = 0; i + n < end && !rcu_access_pointer(slot[n]); n++)
		rcu_assign_pointer(slot[n], b->folio[i + n]);
	node->count += n;
	xas->xa_offset += n;
	xas->xa_index += n;
	return n;
}

/*
 * Put folio @i of a batch into the page cache, and base pages that follow it in the file.
 * Returns how many got in; the error of @xas says why if it is none.
 */
static unsigned int insert_some(struct xa_state *xas, struct load_batch *b, unsigned int i)
{
	unsigned int order = folio_order(b->folio[i]), end = i + 1;

	xas_set_order(xas, b->at[i], order);
	if (unlikely(xas_find_conflict(xas))) {
		xas_set_err(xas, -EBUSY);
		return 0;
	}
	xas_store(xas, b->folio[i]);
	if (unlikely(xas_error(xas)))
		return 0;
	if (order)
		return 1;
	while (end < b->nr && b->at[end] == b->at[end - 1] + 1 && !folio_test_large(b->folio[end]))
		end++;
	return 1 + insert_next(xas, b, i + 1, end);
}

/*
 * Put a batch into the page cache. The file is empty, frozen and its inode locked,
 * but a page fault may be under way that began when the file had a size, and adds
 * a page before it looks at the size again. Sets @done to how many folios got in;
 * the others belong to no file. Returns 0, -EBUSY or -ENOMEM.
 */
static int insert_batch(struct address_space *mapping, struct load_batch *b, gfp_t gfp,
			unsigned int *done)
{
	XA_STATE(xas, &mapping->i_pages, 0);
	unsigned int i = 0, begin, nr;

	batch_attach(b, mapping);
	do {
		xas_lock_irq(&xas);
		begin = i;
		while (i < b->nr) {
			nr = insert_some(&xas, b, i);
			if (!nr)
				break;
			i += nr;
		}
		batch_count(b, begin, i);
		xas_unlock_irq(&xas);
	} while (xas_nomem(&xas, gfp));
	batch_detach(b, i);
	*done = i;
	return xas_error(&xas);
}

/* Charge a batch to the active memory cgroup. */
static int charge_batch(struct load_batch *b, gfp_t gfp)
{
	unsigned int i;
	int err = 0;

	if (mem_cgroup_disabled())
		return 0;
	for (i = 0; i < b->nr && !err; i++)
		err = mem_cgroup_charge(b->folio[i], NULL, gfp);
	if (err)
		while (--i > 0)
			mem_cgroup_uncharge(b->folio[i - 1]);
	return err;
}

/* Charge a batch and put it into the file; on error, nothing stays charged that is not in it. */
static int load_batch(struct inode *inode, struct load_batch *b, gfp_t gfp)
{
	struct address_space *mapping = inode->i_mapping;
	unsigned long left = 0;
	unsigned int done = 0;
	bool charged;
	int err;

	err = charge_batch(b, gfp);
	if (err)
		return err;
	charged = shmem_charge(inode, b->pages);
	err = charged ? insert_batch(mapping, b, gfp, &done) : -ENOSPC;
	if (likely(!err))
		return 0;

	for (; done < b->nr; done++) {
		left += folio_nr_pages(b->folio[done]);
		mem_cgroup_uncharge(b->folio[done]);
	}
	if (charged) {
		xa_lock_irq(&mapping->i_pages);
		mapping->nrpages -= left;
		xa_unlock_irq(&mapping->i_pages);
		shmem_uncharge(inode, left);
	}
	return err;
}

/*
 * Put the pages of an object into a file. Sets *@ret_end to the index after the last
 * page that may be in it, on error, too.
 */
static int load_pages(struct inode *inode, const struct pkram_object *obj,
		      struct load_batch *b, u64 *ret_end)
{
	/* A load that exceeds a limit fails; the OOM killer is not invoked. */
	gfp_t gfp = (mapping_gfp_mask(inode->i_mapping) & GFP_RECLAIM_MASK) |
		    __GFP_RETRY_MAYFAIL | __GFP_NOWARN;
	struct pkram_reader r;
	int err = 0;

	*ret_end = 0;
	pkram_reader_init(&r, obj->pages_head);
	while (!err) {
		if (fatal_signal_pending(current))
			return -EINTR;
		if (!batch_read(b, &r))
			break;
		if (b->poisoned)
			return -EHWPOISON;
		err = load_batch(inode, b, gfp);
		*ret_end = r.index;
		cond_resched();
	}
	return err;
}

/* Undo what load_pages() did up to index @end. */
static void unload_pages(struct inode *inode, const struct pkram_object *obj, u64 end)
{
	const struct timespec64 mtime = inode_get_mtime(inode), ctime = inode_get_ctime(inode);
	struct pkram_reader r;
	unsigned int order;
	struct page *page;
	u64 index;

	shmem_truncate_range(inode, 0, -1);
	inode_set_mtime_to_ts(inode, mtime);
	inode_set_ctime_to_ts(inode, ctime);
	if (mem_cgroup_disabled())
		return;
	pkram_reader_init(&r, obj->pages_head);
	while ((page = pkram_reader_next(&r, &index, &order)) && index < end) {
		mem_cgroup_uncharge(page_folio(page));
		cond_resched();
	}
}

/*
 * Put folios of a batch, from @i on, onto the unevictable list of one lruvec. Returns
 * which is the first that belongs to another zone, or the number of all.
 */
static unsigned int lru_add_some(const struct load_batch *b, unsigned int i)
{
	const unsigned long flags = 1UL << PG_lru | 1UL << PG_unevictable;
	struct folio *folio = b->folio[i];
	struct lruvec *lruvec = folio_lruvec_lock_irq(folio);
	enum zone_type zone = folio_zonenum(folio);
	int zone_id = page_zone_id(folio_page(folio, 0));
	long pages = 0;

	do {
		folio = b->folio[i];
		pages += folio_nr_pages(folio);
		folio->mlock_count = 0;
		set_mask_bits(page_flags_word(folio), 0UL, flags);
	} while (++i < b->nr && page_zone_id(folio_page(b->folio[i], 0)) == zone_id);
	update_lru_size(lruvec, LRU_UNEVICTABLE, zone, pages);
	lruvec_unlock_irq(lruvec);
	return i;
}

/*
 * memory_failure() flags a folio with a bad page from the moment it is on a list. Do the
 * same for pages that it came by before.
 */
static void flag_bad_folios(const struct load_batch *b)
{
	unsigned int i;

	for (i = 0; i < b->nr; i++)
		if (folio_test_large(b->folio[i]) && pkram_folio_poisoned(b->folio[i]))
			folio_set_has_hwpoisoned(b->folio[i]);
}

/*
 * Put all folios of a loaded object onto the unevictable list. This is done when
 * nothing can fail any more: a folio on a list can be isolated, and could not be taken
 * back at any time.
 */
static void lru_add_pages(const struct pkram_object *obj, struct load_batch *b)
{
	struct pkram_reader r;
	unsigned int i;

	pkram_reader_init(&r, obj->pages_head);
	while (batch_read(b, &r)) {
		for (i = 0; i < b->nr; )
			i = lru_add_some(b, i);
		if (unlikely(pkram_poison_any()))
			flag_bad_folios(b);
		cond_resched();
	}
}

static int set_attributes(struct file *file, const struct pkram_object *obj)
{
	struct iattr attr = {
		.ia_valid = ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_FORCE |
			    ATTR_ATIME | ATTR_ATIME_SET | ATTR_MTIME | ATTR_MTIME_SET,
		.ia_mode = le32_to_cpu(obj->mode),
		.ia_vfsuid = VFSUIDT_INIT(make_kuid(&init_user_ns, le32_to_cpu(obj->uid))),
		.ia_vfsgid = VFSGIDT_INIT(make_kgid(&init_user_ns, le32_to_cpu(obj->gid))),
		.ia_atime = ns_to_timespec64(le64_to_cpu(obj->atime_ns)),
		.ia_mtime = ns_to_timespec64(le64_to_cpu(obj->mtime_ns)),
	};
	struct inode *inode = file_inode(file);
	int err;

	err = notify_change(&nop_mnt_idmap, file->f_path.dentry, &attr, NULL);
	if (err)
		return err;
	/* a caller without CAP_FSETID cannot set the set-group-ID bit */
	inode->i_mode = le32_to_cpu(obj->mode);
	inode_set_ctime_to_ts(inode, ns_to_timespec64(le64_to_cpu(obj->ctime_ns)));
	return 0;
}

static int load_locked(struct pkram_file *pf, const struct pkram_object *obj, bool fresh)
{
	const unsigned int all_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE |
				       F_SEAL_FUTURE_WRITE | F_SEAL_EXEC;
	struct inode *inode = file_inode(pf->file);
	struct shmem_inode_info *info = SHMEM_I(inode);
	struct load_batch *b __free(kfree) = kmalloc(sizeof(*b), GFP_KERNEL);
	u64 end, size = le64_to_cpu(obj->size);
	int err;

	if (!b)
		return -ENOMEM;
	if (i_size_read(inode) || inode->i_mapping->nrpages || info->swapped)
		return -EINVAL;
	if (size > inode->i_sb->s_maxbytes)
		return -EFBIG;
	if (info->seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return -EPERM;
	err = pkram_file_freeze_locked(pf);
	if (err)
		return err;
	err = load_pages(inode, obj, b, &end);
	/* last of what can fail, so that the attributes of @target need not be restored */
	if (!err)
		err = set_attributes(pf->file, obj);
	if (err) {
		unload_pages(inode, obj, end);
		pkram_file_thaw_locked(pf);
		return err;
	}

	/* Seals of @target stay. Those of a new file have not been seen yet. */
	if (fresh)
		info->seals = 0;
	info->seals |= le32_to_cpu(obj->seals) & all_seals;
	/* a sealed file keeps the denial when it is thawed, as F_ADD_SEALS does it */
	if (info->seals & F_SEAL_WRITE)
		pf->denied = false;
	i_size_write(inode, size);
	info->fallocend = max_t(u64, info->fallocend,
				end > DIV_ROUND_UP(size, PAGE_SIZE) ? end : 0);
	lru_add_pages(obj, b);
	return 0;
}

/**
 * pkram_file_load - make a file out of an object, without copying
 * @obj:    the object, with PKRAM_OBJ_FILE
 * @target: empty shmem file to put it into, or NULL for a new memfd
 * @memcg:  memory cgroup that is charged for the pages, or NULL for the caller's
 *
 * On error, @target is as it was before.
 *
 * Return: the file, frozen, to be given to pkram_file_thaw(); or an error
 * pointer: -EINVAL @target is not an empty regular shmem file, -EPERM it has
 * seals, -EBUSY it is mapped shared and writable or a page fault put a page into it
 * in the meantime, -EFBIG, -EHWPOISON the hardware lost a part of it, -ENOMEM also if
 * the memory cgroup has not enough room, -ENOSPC, -EDQUOT, -EINTR a fatal signal is
 * pending.
 */
struct pkram_file *pkram_file_load(const struct pkram_object *obj, struct file *target,
				   struct mem_cgroup *memcg)
{
	struct mem_cgroup *charged, *old;
	struct file *file = target;
	struct pkram_file *pf;
	struct inode *inode;
	int err;

	if (target && (!shmem_file(target) || !S_ISREG(file_inode(target)->i_mode)))
		return ERR_PTR(-EINVAL);
	if (obj->nr_poisoned)
		return ERR_PTR(-EHWPOISON);
	if (!target) {
		file = shmem_file_setup("memfd:pkram", 0, mk_vma_flags(VMA_NORESERVE_BIT));
		if (IS_ERR(file))
			return ERR_CAST(file);
	}
	pf = pkram_file_alloc(file);
	if (!target)
		fput(file);
	if (!pf)
		return ERR_PTR(-ENOMEM);

	/* The caller can move to another cgroup at any time; the load stays with one. */
	charged = memcg ? NULL : get_mem_cgroup_from_mm(NULL);
	inode = file_inode(file);
	err = down_write_killable(&inode->i_rwsem);
	if (!err) {
		old = set_active_memcg(memcg ?: charged);
		err = load_locked(pf, obj, !target);
		set_active_memcg(old);
		inode_unlock(inode);
	}
	mem_cgroup_put(charged);
	if (err) {
		pkram_file_free(pf);
		return ERR_PTR(err);
	}
	return pf;
}
