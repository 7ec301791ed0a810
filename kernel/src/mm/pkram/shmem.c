// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: shmem files in and out of nodes.
 */
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/memcontrol.h>
#include <linux/pagemap.h>
#include <linux/pkram.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>

#include "../internal.h"
#include "alloc.h"
#include "pkram.h"
#include "stream.h"

/**
 * DOC: files
 *
 * A memfd or a file on a tmpfs is *frozen* from the moment it is saved until
 * its node is gone. Freezing uses what file seals use: F_SEAL_WRITE, _GROW and
 * _SHRINK are set, and writable shared mappings denied, so whoever has the file
 * sees the errors that seals give. Besides, fallocate() is refused altogether.
 * What already maps the file shared and writable, or pins its pages for DMA,
 * could change it behind our back, therefore such a file is not accepted.
 *
 * Saving records each folio as it is and takes a reference on it, which keeps
 * reclaim, migration and splitting away. SHMEM_PRESERVED keeps collapsing away: it
 * looks at references before it copies pages, and at the flag before the large
 * folio takes their place. The file keeps its pages and can be read and mapped
 * read-only meanwhile. Whoever reads a hole through a mapping gets a page of zeroes
 * there, which the node does not have and does not need.
 *
 * Loading puts the preserved folios into an empty file. The node keeps its
 * references and the file stays frozen, so that it can be loaded again after
 * whoever loaded it died. Only removing the node thaws it. The folios are kept
 * off the LRU lists until then: nothing could be reclaimed.
 *
 * Lock order: inode lock, pkram_kexec_sem, i_pages lock, block lock. Nobody waits for
 * pkram_kexec_sem with a folio locked: whoever loads an image holds it while reading
 * what user space gave, and may have to lock that folio.
 */

#define PKRAM_FREEZE_SEALS	(F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* @on_lru: the pages are on LRU lists, where reclaim would try them in vain */
static int freeze_locked(struct pkram_file *pf, bool on_lru)
{
	struct file *file = pf->file;
	struct shmem_inode_info *info = SHMEM_I(file_inode(file));
	int err;

	if (info->flags & SHMEM_PRESERVED)
		return -EBUSY;
	if (!(info->seals & F_SEAL_WRITE)) {
		err = mapping_deny_writable(file->f_mapping);
		if (err)
			return err;
		pf->denied = true;
	}
	if (on_lru && !mapping_unevictable(file->f_mapping)) {
		mapping_set_unevictable(file->f_mapping);
		pf->locked = true;
	}
	pf->seals = info->seals;
	info->seals |= PKRAM_FREEZE_SEALS;
	/* others have their bits there, and no inode lock */
	spin_lock_irq(&info->lock);
	info->flags |= SHMEM_PRESERVED;
	spin_unlock_irq(&info->lock);
	return 0;
}

static void thaw_locked(struct pkram_file *pf)
{
	struct address_space *mapping = pf->file->f_mapping;
	struct shmem_inode_info *info = SHMEM_I(mapping->host);

	spin_lock_irq(&info->lock);
	info->flags &= ~SHMEM_PRESERVED;
	spin_unlock_irq(&info->lock);
	info->seals = pf->seals;
	if (pf->denied)
		mapping_allow_writable(mapping);
	/* SHM_LOCK may have come meanwhile */
	if (pf->locked && !(info->flags & VM_LOCKED))
		mapping_clear_unevictable(mapping);
}

static struct pkram_file *file_alloc(struct file *file)
{
	struct pkram_file *pf = kzalloc(sizeof(*pf), GFP_KERNEL);

	if (pf)
		pf->file = get_file(file);
	return pf;
}

static void file_free(struct pkram_file *pf)
{
	fput(pf->file);
	kfree(pf);
}

/**
 * pkram_file_freeze - stop all changes to a file
 * @file: any file
 *
 * Return: to be given to pkram_file_thaw(); or an error pointer: -EINVAL if it
 * is not a regular shmem file, -EBUSY if it is mapped shared and writable or is
 * frozen already, -ENOMEM.
 */
struct pkram_file *pkram_file_freeze(struct file *file)
{
	struct inode *inode = file_inode(file);
	struct pkram_file *pf;
	int err;

	if (!shmem_file(file) || !S_ISREG(inode->i_mode))
		return ERR_PTR(-EINVAL);
	pf = file_alloc(file);
	if (!pf)
		return ERR_PTR(-ENOMEM);
	inode_lock(inode);
	err = freeze_locked(pf, true);
	inode_unlock(inode);
	if (err) {
		file_free(pf);
		return ERR_PTR(err);
	}
	return pf;
}

/**
 * pkram_file_thaw - let a file go
 * @pf: from pkram_file_freeze() or pkram_file_load(); freed
 *
 * It gets back the seals it had and is an ordinary file again.
 */
void pkram_file_thaw(struct pkram_file *pf)
{
	struct address_space *mapping = pf->file->f_mapping;

	inode_lock(mapping->host);
	thaw_locked(pf);
	inode_unlock(mapping->host);
	/* pages that reclaim put onto the unevictable list meanwhile */
	if (pf->locked && !mapping_unevictable(mapping))
		shmem_unlock_mapping(mapping);
	file_free(pf);
}

/**
 * pkram_file_open - open the file of an object anew
 * @pf: the file
 *
 * Return: a new open file, readable and (once thawed) writable, at offset 0; or
 * an error pointer. The file is only readable if its file system is read-only, as
 * that of a tree stays after the tree was stored.
 */
struct file *pkram_file_open(const struct pkram_file *pf)
{
	struct file *file = dentry_open(&pf->file->f_path, O_RDWR | O_LARGEFILE,
					current_cred());

	if (file == ERR_PTR(-EROFS))
		file = dentry_open(&pf->file->f_path, O_RDONLY | O_LARGEFILE, current_cred());
	if (!IS_ERR(file))
		file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;
	return file;
}

/**
 * pkram_file_stat - keep the attributes of a frozen file
 * @pf:  the file
 * @obj: output: everything but the streams
 */
void pkram_file_stat(const struct pkram_file *pf, struct pkram_object *obj)
{
	struct inode *inode = file_inode(pf->file);
	struct timespec64 ts;

	obj->size = cpu_to_le64(i_size_read(inode));
	obj->mode = cpu_to_le32(inode->i_mode);
	obj->uid = cpu_to_le32(from_kuid(&init_user_ns, inode->i_uid));
	obj->gid = cpu_to_le32(from_kgid(&init_user_ns, inode->i_gid));
	obj->seals = cpu_to_le32(pf->seals);
	ts = inode_get_atime(inode);
	obj->atime_ns = cpu_to_le64(timespec64_to_ns(&ts));
	ts = inode_get_mtime(inode);
	obj->mtime_ns = cpu_to_le64(timespec64_to_ns(&ts));
	ts = inode_get_ctime(inode);
	obj->ctime_ns = cpu_to_le64(timespec64_to_ns(&ts));
}

/* May a large folio be recorded without further ado? */
static bool folio_plain(struct folio *folio, unsigned int order)
{
	return folio_test_uptodate(folio) && !pkram_folio_poisoned(folio) &&
	       !folio_maybe_dma_pinned(folio) &&
	       !pkram_banned(folio_pfn(folio), 1UL << order);
}

/* May a base page be recorded without further ado, provided it is not banned? */
static __always_inline bool base_page_plain(const struct folio *folio)
{
	const unsigned long want = 1UL << PG_uptodate, unwanted = 1UL << PG_head |
		(IS_ENABLED(CONFIG_MEMORY_FAILURE) ? 1UL << PG_hwpoison : 0);

	return (READ_ONCE(folio->flags) & (want | unwanted)) == want &&
	       folio_ref_count(folio) < GUP_PIN_COUNTING_BIAS;
}

/*
 * Record the base page @folio, which @xas is at, and up to @max in all of those
 * that follow it both in the file and in memory. Moves @xas and *@folio on to what
 * comes after them. Returns how many were recorded, 0 if the first needs care.
 */
static unsigned int save_run(struct xa_state *xas, struct folio **folio, u64 max,
			     struct pkram_writer *w)
{
	u64 index = xas->xa_index, pfn = folio_pfn(*folio);
	struct page *page = folio_page(*folio, 0);
	unsigned int nr = 0;

	max = pkram_allowed(pfn, max);
	while (nr < max && base_page_plain(*folio)) {
		folio_ref_inc(*folio);
		nr++;
		*folio = xas_next(xas);
		if (*folio != (struct folio *)(page + nr))
			break;
	}
	if (nr)
		pkram_writer_add(w, index, pfn, 0, nr);
	return nr;
}

/*
 * Record up to PKRAM_BATCH folios from *@index on. Returns 0 when it came to
 * the end, 1 when there is more, and 2 when the entry at *@index needs care.
 *
 * Under the i_pages lock nobody can take a folio out of the file, replace it or
 * freeze its references.
 */
static int save_batch(struct address_space *mapping, u64 *index, u64 first, u64 last,
		      struct pkram_writer *w)
{
	XA_STATE(xas, &mapping->i_pages, *index);
	unsigned int order, nr, left = PKRAM_BATCH;
	struct folio *folio;
	int ret = 0;

	guard(rwsem_read)(&pkram_kexec_sem);
	xas_lock_irq(&xas);
	folio = xas_find(&xas, last);
	while (folio && xas.xa_index <= last) {
		*index = xas.xa_index;
		if (!left) {
			ret = 1;
			break;
		}
		if (unlikely(xa_is_value(folio))) {
			ret = 2;
			break;
		}
		if (!folio_test_large(folio)) {
			/* @last may be the largest index there is */
			nr = save_run(&xas, &folio, min(left - 1, last - *index) + 1, w);
			if (!nr) {
				ret = 2;
				break;
			}
			left -= nr;
			if (!folio)
				folio = xas_find(&xas, last);
			continue;
		}
		/* one that began before the range belongs to the range before */
		if (folio->index >= first) {
			order = folio_order(folio);
			if (!folio_plain(folio, order)) {
				*index = folio->index;
				ret = 2;
				break;
			}
			folio_get(folio);
			pkram_writer_add(w, folio->index, folio_pfn(folio), order, 1);
			left--;
		}
		folio = xas_next_entry(&xas, last);
	}
	xas_unlock_irq(&xas);
	pkram_writer_settle(w);
	return ret;
}

/*
 * Deal with one entry that save_batch() stopped at. Returns 0 when it can be
 * looked at again, or was recorded and *@index is behind it.
 */
static int save_special(struct inode *inode, u64 *index, struct pkram_writer *w)
{
	struct folio *folio;
	bool banned;
	int err;

	/* Reads back what is swapped out, and zeroes what was only allocated. */
	err = shmem_get_folio(inode, *index, 0, &folio, SGP_FALLOC);
	if (err)
		return err;
	/* The file is frozen, and the reference keeps the folio in its place. */
	folio_unlock(folio);
	if (pkram_folio_poisoned(folio)) {
		err = -EHWPOISON;
	} else if (folio_maybe_dma_pinned(folio)) {
		err = -EBUSY;
	} else {
		scoped_guard(rwsem_read, &pkram_kexec_sem)
			banned = pkram_banned(folio_pfn(folio), folio_nr_pages(folio));
		if (banned) {
			err = pkram_writer_copy(w, folio->index, folio, NULL);
			*index = folio_next_index(folio);
		}
	}
	folio_put(folio);
	return err;
}

/**
 * pkram_file_save - record the pages of a frozen file
 * @file:  the file
 * @start: first page index
 * @last:  last page index; ~0 for all that is there
 * @w:     where to; discard it on error
 *
 * Return: 0; -EBUSY pages are pinned for DMA; -EHWPOISON; -EIO a page could not
 * be read back from swap; -ENOMEM; -ENOSPC the next kernel would not have room
 * to boot; -EINTR a fatal signal.
 */
int pkram_file_save(struct file *file, u64 start, u64 last, struct pkram_writer *w)
{
	struct inode *inode = file_inode(file);
	u64 index = start;
	int ret;

	/* Several ranges at a time; what would change the file is excluded. */
	inode_lock_shared(inode);
	do {
		ret = pkram_writer_reserve(w, PKRAM_GFP);
		if (ret)
			break;
		ret = save_batch(file->f_mapping, &index, start, last, w);
		if (ret == 2)
			ret = save_special(inode, &index, w) ?: 1;
		if (ret > 0 && fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	} while (ret > 0);
	inode_unlock_shared(inode);

	if (!ret && !pkram_blocks_room())
		ret = -ENOSPC;
	return ret;
}

/** LOAD_BATCH - folios inserted under one hold of the i_pages lock */
#define LOAD_BATCH	64

/**
 * struct load_batch - folios on their way into a file
 * @nr:    how many
 * @pages: base pages in them
 * @folio: the folios, in order
 * @at:    index of each
 */
struct load_batch {
	unsigned int nr;
	unsigned long pages;
	struct folio *folio[LOAD_BATCH];
	pgoff_t at[LOAD_BATCH];
};

/* Returns 0 when there are no more, 1, or -EHWPOISON. */
static int fill_batch(struct pkram_reader *r, struct load_batch *b)
{
	struct folio *folio;
	unsigned int order;
	u64 index;

	b->nr = 0;
	b->pages = 0;
	while (b->nr < LOAD_BATCH) {
		folio = (struct folio *)pkram_reader_next(r, &index, &order);
		if (!folio)
			break;
		if (unlikely(pkram_folio_poisoned(folio)))
			return -EHWPOISON;
		b->folio[b->nr] = folio;
		b->at[b->nr++] = index;
		b->pages += 1UL << order;
	}
	return b->nr > 0;
}

/* Count @nr pages of folios on the NUMA node (and in the memcg) of @folio. */
static void count_pages(struct folio *folio, long nr, long thp)
{
	if (thp)
		__lruvec_stat_mod_folio(folio, NR_SHMEM_THPS, thp);
	__lruvec_stat_mod_folio(folio, NR_FILE_PAGES, nr);
	__lruvec_stat_mod_folio(folio, NR_SHMEM, nr);
}

/*
 * Put a batch into the page cache. The file is empty, frozen and its inode locked,
 * but a page fault may be under way that began when the file had a size, and adds
 * a page before it looks at the size again. Sets @done to how many folios got in;
 * the others were not touched. Returns 0, -EBUSY or -ENOMEM.
 */
static int insert_batch(struct address_space *mapping, struct load_batch *b, gfp_t gfp,
			unsigned int *done)
{
	XA_STATE(xas, &mapping->i_pages, b->at[0]);
	const unsigned long flags = 1UL << PG_uptodate | 1UL << PG_swapbacked |
				    1UL << PG_dirty;
	struct folio *folio, *counted = NULL;
	unsigned int i = 0, order;
	bool taken;
	long pages = 0, thp = 0;
	pgoff_t next = -1;

	do {
		xas_lock_irq(&xas);
		for (; i < b->nr; i++) {
			folio = b->folio[i];
			order = folio_order(folio);

			if (!order && b->at[i] == next) {
				taken = xas_next(&xas);
			} else {
				xas_set_order(&xas, b->at[i], order);
				taken = xas_find_conflict(&xas);
			}
			if (unlikely(taken)) {
				xas_set_err(&xas, -EBUSY);
				break;
			}
			folio->mapping = mapping;
			folio->index = b->at[i];
			folio->flags |= flags;
			folio_ref_add(folio, 1 << order);
			xas_store(&xas, folio);
			if (unlikely(xas_error(&xas))) {
				folio->mapping = NULL;
				folio_ref_sub(folio, 1 << order);
				next = -1;
				break;
			}
			next = order ? -1 : b->at[i] + 1;

			if (counted && folio_nid(counted) != folio_nid(folio)) {
				count_pages(counted, pages, thp);
				pages = 0;
				thp = 0;
			}
			counted = folio;
			pages += 1 << order;
			if (order && folio_test_pmd_mappable(folio))
				thp += 1 << order;
		}
		if (pages)
			count_pages(counted, pages, thp);
		pages = 0;
		thp = 0;
		counted = NULL;
		xas_unlock_irq(&xas);
	} while (xas_nomem(&xas, gfp));
	*done = i;
	return xas_error(&xas);
}

static int charge_batch(struct load_batch *b, struct mem_cgroup *memcg, gfp_t gfp)
{
	struct mem_cgroup *old;
	unsigned int i;
	int err = 0;

	if (mem_cgroup_disabled())
		return 0;
	old = set_active_memcg(memcg);
	for (i = 0; i < b->nr && !err; i++)
		err = mem_cgroup_charge(b->folio[i], NULL, gfp);
	set_active_memcg(old);
	if (err)
		while (--i > 0)
			mem_cgroup_uncharge(b->folio[i - 1]);
	return err;
}

static int load_pages(struct inode *inode, const struct pkram_object *obj,
		      struct mem_cgroup *memcg, u64 *ret_end)
{
	struct address_space *mapping = inode->i_mapping;
	gfp_t gfp = mapping_gfp_mask(mapping) & GFP_RECLAIM_MASK;
	struct load_batch *b __free(kfree) = kmalloc(sizeof(*b), GFP_KERNEL);
	struct pkram_reader r;
	unsigned int done;
	bool charged;
	int err = 0;

	if (!b)
		return -ENOMEM;
	pkram_reader_init(&r, obj->pages_head);
	*ret_end = 0;
	while (!err) {
		err = fill_batch(&r, b);
		if (err <= 0)
			break;
		err = charge_batch(b, memcg, gfp);
		if (err)
			break;
		charged = shmem_charge(inode, b->pages);
		done = 0;
		if (charged) {
			err = insert_batch(mapping, b, gfp, &done);
			*ret_end = r.index;
		} else {
			err = -ENOSPC;
		}
		if (unlikely(err)) {
			unsigned long left = 0;

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
		}
		cond_resched();
	}
	return err;
}

/* Take back what load_pages() did before it failed. */
static void unload_pages(struct inode *inode, const struct pkram_object *obj)
{
	struct pkram_reader r;
	unsigned int order;
	struct page *page;
	u64 index;

	shmem_truncate_range(inode, 0, -1);
	pkram_reader_init(&r, obj->pages_head);
	while ((page = pkram_reader_next(&r, &index, &order)))
		mem_cgroup_uncharge(page_folio(page));
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
	int err;

	err = notify_change(&nop_mnt_idmap, file->f_path.dentry, &attr, NULL);
	if (err)
		return err;
	/* whoever loads it need not be one who may set the set-group-ID bit */
	file_inode(file)->i_mode = le32_to_cpu(obj->mode);
	inode_set_ctime_to_ts(file_inode(file), ns_to_timespec64(le64_to_cpu(obj->ctime_ns)));
	return 0;
}

static int load_locked(struct pkram_file *pf, const struct pkram_object *obj,
		       struct mem_cgroup *memcg)
{
	struct inode *inode = file_inode(pf->file);
	struct shmem_inode_info *info = SHMEM_I(inode);
	u64 end, size = le64_to_cpu(obj->size);
	int err;

	if (i_size_read(inode) || inode->i_mapping->nrpages || info->swapped)
		return -EINVAL;
	if (size > inode->i_sb->s_maxbytes)
		return -EFBIG;
	if (info->seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return -EPERM;
	err = freeze_locked(pf, false);
	if (err)
		return err;
	err = set_attributes(pf->file, obj);
	if (err) {
		thaw_locked(pf);
		return err;
	}
	err = load_pages(inode, obj, memcg, &end);
	if (err) {
		unload_pages(inode, obj);
		thaw_locked(pf);
		return err;
	}

	/* what F_GET_SEALS shows again after the thaw */
	pf->seals = le32_to_cpu(obj->seals) & (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW |
					       F_SEAL_WRITE | F_SEAL_FUTURE_WRITE |
					       F_SEAL_EXEC);
	/* a sealed file keeps the denial for good, as F_ADD_SEALS has it */
	if (pf->seals & F_SEAL_WRITE)
		pf->denied = false;
	pf->loaded = true;
	i_size_write(inode, size);
	info->fallocend = max_t(u64, info->fallocend,
				end > DIV_ROUND_UP(size, PAGE_SIZE) ? end : 0);
	inode_set_ctime_to_ts(inode, ns_to_timespec64(le64_to_cpu(obj->ctime_ns)));
	return 0;
}

/**
 * pkram_file_load - make a file out of an object, without copying
 * @obj:    the object, with PKRAM_OBJ_FILE
 * @target: empty shmem file to put it into, or NULL for a new memfd
 * @memcg:  who is charged for the pages, or NULL for the caller's
 *
 * Return: the file, frozen, to be given to pkram_file_thaw(); or an error
 * pointer: -EINVAL @target is not an empty regular shmem file, -EPERM it has
 * seals, -EBUSY it is mapped shared and writable or a page fault put a page into it
 * meanwhile, -EFBIG, -EHWPOISON the hardware lost a part of it, -ENOMEM, -ENOSPC,
 * -EDQUOT.
 */
struct pkram_file *pkram_file_load(const struct pkram_object *obj, struct file *target,
				   struct mem_cgroup *memcg)
{
	struct file *file = target;
	struct pkram_file *pf;
	struct inode *inode;
	int err;

	if (target && (!shmem_file(target) || !S_ISREG(file_inode(target)->i_mode)))
		return ERR_PTR(-EINVAL);
	if (obj->nr_poisoned)
		return ERR_PTR(-EHWPOISON);
	if (!target) {
		file = shmem_file_setup("memfd:pkram", 0, VM_NORESERVE);
		if (IS_ERR(file))
			return ERR_CAST(file);
	}
	pf = file_alloc(file);
	if (!target)
		fput(file);
	if (!pf)
		return ERR_PTR(-ENOMEM);

	inode = file_inode(file);
	inode_lock(inode);
	err = load_locked(pf, obj, memcg);
	inode_unlock(inode);
	if (err) {
		file_free(pf);
		return ERR_PTR(err);
	}
	return pf;
}
