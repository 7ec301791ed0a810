// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: shmem files, frozen.
 */
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/pagemap.h>
#include <linux/pkram.h>
#include <linux/pkram_compat.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/swap.h>

#include "../internal.h"
#include "pkram.h"
#include "shmem.h"

/**
 * DOC: files
 *
 * A memfd or a file on a tmpfs is *frozen* from the moment it is saved until its
 * node is removed. SHMEM_PRESERVED in the inode is the frozen state: writing,
 * resizing, fallocate(), adding file seals and new writable shared mappings fail with
 * EPERM. File seals are not used for it, because receivers of a descriptor rely on
 * seals staying for ever: F_GET_SEALS shows the same before, during and after. A
 * shared writable mapping that exists already, or pages pinned for DMA, could change
 * the file unnoticed, so such a file is refused.
 *
 * Saving records each folio as it is and takes a reference on it, which prevents
 * reclaim, migration and splitting. SHMEM_PRESERVED prevents collapsing:
 * collapse_file() checks references only before it copies pages, and checks the flag
 * before it installs the large folio. The file keeps its pages and can still be read
 * and mapped read-only. Reading a hole through a mapping adds a page of zeroes to the
 * file, which the node does not contain and does not need.
 *
 * Loading puts the preserved folios into an empty file. The node keeps its
 * references and the file stays frozen, so that it can be loaded again if the process
 * that loaded it dies. Removing the node thaws the file.
 *
 * The mapping of a frozen file is unevictable, since none of its pages can be
 * reclaimed. Loaded folios go to the unevictable list right away, which also shows
 * programs that filter crash dumps that they are page cache.
 *
 * Pages of a file that is aged or was written at random can be spread over so many
 * blocks that the next kernel has no room to boot. When more than half of the blocks
 * that may be touched are touched, and a file touches blocks for few pages each, then
 * these lonely pages are *packed*: they are migrated into blocks that are filled page
 * by page before they are recorded, or, if that is not possible, recorded as copies.
 * Pages in blocks that other preserved pages touch, or that the file uses well, stay
 * where they are and cost nothing.
 *
 * Lock order: inode lock, pkram_kexec_sem, i_pages lock, block lock. pkram_kexec_sem
 * must not be taken with a folio locked: the kexec system calls hold it while they
 * read the image from user space, and may have to lock that folio.
 */

/**
 * pkram_file_freeze_locked - stop all changes to a file
 * @pf: the file, not frozen
 *
 * Context: inode lock held.
 *
 * Return: 0; -EBUSY if it is mapped shared and writable or is frozen already.
 */
int pkram_file_freeze_locked(struct pkram_file *pf)
{
	struct file *file = pf->file;
	struct shmem_inode_info *info = SHMEM_I(file_inode(file));
	int err;

	if (info->flags & (SHMEM_PRESERVED | SHMEM_F_MAPPING_FROZEN))
		return -EBUSY;
	if (!(info->seals & F_SEAL_WRITE)) {
		err = mapping_deny_writable(file->f_mapping);
		if (err)
			return err;
		pf->denied = true;
	}
	if (!mapping_unevictable(file->f_mapping)) {
		mapping_set_unevictable(file->f_mapping);
		pf->locked = true;
	}
	/* shmem_lock() changes other bits without the inode lock */
	spin_lock_irq(&info->lock);
	info->flags |= SHMEM_PRESERVED;
	spin_unlock_irq(&info->lock);
	return 0;
}

/**
 * pkram_file_thaw_locked - undo pkram_file_freeze_locked()
 * @pf: the file
 *
 * Context: inode lock held.
 */
void pkram_file_thaw_locked(struct pkram_file *pf)
{
	struct address_space *mapping = pf->file->f_mapping;
	struct shmem_inode_info *info = SHMEM_I(mapping->host);

	spin_lock_irq(&info->lock);
	info->flags &= ~SHMEM_PRESERVED;
	spin_unlock_irq(&info->lock);
	if (pf->denied)
		mapping_allow_writable(mapping);
	/* SHM_LOCK may have been set in the meantime */
	if (pf->locked && !(info->flags & SHMEM_F_LOCKED))
		mapping_clear_unevictable(mapping);
}

/**
 * pkram_file_alloc - prepare to freeze a file
 * @file: any file; gets a reference more
 *
 * Return: to be given to pkram_file_free() unless it becomes frozen; NULL if there is no
 * memory for it.
 */
struct pkram_file *pkram_file_alloc(struct file *file)
{
	struct pkram_file *pf = kzalloc(sizeof(*pf), GFP_KERNEL);

	if (pf)
		pf->file = get_file(file);
	return pf;
}

/**
 * pkram_file_free - drop the reference on a file that is not frozen
 * @pf: the file; freed
 */
void pkram_file_free(struct pkram_file *pf)
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
	pf = pkram_file_alloc(file);
	if (!pf)
		return ERR_PTR(-ENOMEM);
	inode_lock(inode);
	err = pkram_file_freeze_locked(pf);
	inode_unlock(inode);
	if (err) {
		pkram_file_free(pf);
		return ERR_PTR(err);
	}
	return pf;
}

/**
 * pkram_file_thaw - let a file go
 * @pf: from pkram_file_freeze() or pkram_file_load(); freed
 *
 * Afterwards it is an ordinary file again. The node must have dropped its references
 * on the pages.
 */
void pkram_file_thaw(struct pkram_file *pf)
{
	struct address_space *mapping = pf->file->f_mapping;

	inode_lock(mapping->host);
	pkram_file_thaw_locked(pf);
	inode_unlock(mapping->host);
	/* loaded pages, and those that reclaim moved to the unevictable list */
	if (pf->locked && !mapping_unevictable(mapping))
		shmem_unlock_mapping(mapping);
	pkram_file_free(pf);
}

/**
 * pkram_file_open - open the file of an object again
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
	/* they stay as they are while the file is frozen */
	obj->seals = cpu_to_le32(SHMEM_I(inode)->seals);
	ts = inode_get_atime(inode);
	obj->atime_ns = cpu_to_le64(timespec64_to_ns(&ts));
	ts = inode_get_mtime(inode);
	obj->mtime_ns = cpu_to_le64(timespec64_to_ns(&ts));
	ts = inode_get_ctime(inode);
	obj->ctime_ns = cpu_to_le64(timespec64_to_ns(&ts));
}
