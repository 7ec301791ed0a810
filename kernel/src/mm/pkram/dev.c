// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: /dev/pkram.
 */
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/pkram.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "adopt.h"
#include "node.h"
#include "pkram.h"
#include "shmem.h"
#include "stream.h"

/**
 * DOC: /dev/pkram
 *
 * Thin: a descriptor is a session that owns a half-done node or pins a
 * committed one; a table says which call needs which state and how large its
 * argument is. include/uapi/linux/pkram.h describes every call.
 *
 * Lock order: session, then what mm/pkram/pkram.h says. No call takes the locks of
 * two sessions.
 */

/** PKRAM_MAX_COPY - bytes that one SAVE_BYTES or LOAD_BYTES may move */
#define PKRAM_MAX_COPY		SZ_1G

/** PKRAM_MAX_LIST - nodes that one LIST may ask for */
#define PKRAM_MAX_LIST		4096

/** PKRAM_LIST_MIN - size of struct pkram_node_info when it was first published */
#define PKRAM_LIST_MIN		offsetofend(struct pkram_node_info, name)
/* whatever is added to it: programs that were built then go on working */
static_assert(PKRAM_LIST_MIN == 328);

enum session_state {
	SESSION_IDLE	= BIT(0),
	SESSION_SAVING	= BIT(1),
	SESSION_LOADING	= BIT(2),
	SESSION_HELPING	= BIT(3),	/* adds ranges to what another one saves */
	SESSION_ANY	= 0xff,
};

/**
 * struct pkram_session - an open descriptor
 * @lock:  one call at a time
 * @state: enum session_state
 * @save:  while saving or helping
 * @open:  @save while saving: others may join it
 * @node:  while loading, pinned
 */
struct pkram_session {
	struct mutex lock;	/* held for the whole of a call */
	enum session_state state;
	struct pkram_save *save;
	struct pkram_save *open;
	struct pkram_node *node;
};

/*
 * Protects pkram_session.open. A joining session must not wait for the lock of the
 * other session: its owner may be in the middle of a long call, and the other
 * session may be waiting for this one.
 */
static DEFINE_SPINLOCK(pkram_open_lock);

static void set_open(struct pkram_session *s, struct pkram_save *save)
{
	spin_lock(&pkram_open_lock);
	s->open = save;
	spin_unlock(&pkram_open_lock);
}

union pkram_arg {
	u32 size;
	struct pkram_ioctl_info info;
	struct pkram_ioctl_list list;
	struct pkram_ioctl_name name;
	struct pkram_ioctl_save_file save_file;
	struct pkram_ioctl_bytes bytes;
	struct pkram_ioctl_commit commit;
	struct pkram_ioctl_simple simple;
	struct pkram_ioctl_stat stat;
	struct pkram_ioctl_load_file load_file;
};

/*
 * What a call gives back besides an error. A file is installed only after the
 * answer has reached the caller.
 */
struct pkram_answer {
	struct file *file;
	int fd;
};

static int ioc_info(struct pkram_session *s, union pkram_arg *arg, struct pkram_answer *ans)
{
	struct pkram_ioctl_info *info = &arg->info;
	u32 size = info->size;

	if (info->flags)
		return -EINVAL;
	memset(info, 0, sizeof(*info));
	info->size = size;
	if (pkram_adopt_directory())
		return -EINTR;
	info->uapi_version = PKRAM_UAPI_VERSION;
	info->format_version = PKRAM_FORMAT_VERSION;
	info->boot_result = pkram.boot_result;
	info->nr_dropped = pkram.nr_dropped;
	info->sealed_ns = pkram.sealed_ns;
	info->restored_ns = pkram.restored_ns;
	strscpy(info->prev_release, pkram.release);
	if (!pkram_enabled())
		return 0;

	info->image_state = pkram_image_state();
	info->super_pfn = le64_to_cpu(pkram.sb->hdr.pfn);
	info->generation = pkram_generation();
	guard(mutex)(&pkram.lock);
	info->nr_nodes = pkram.nr_nodes;
	info->data_pages = pkram.data_pages;
	info->meta_pages = pkram.meta_pages + pkram_super_pages();
	return 0;
}

/* The first dropped or committed node after @cursor; false if there is none. */
static bool next_info(u32 flags, u64 cursor, struct pkram_node_info *info)
{
	const struct pkram_dropped *d;
	struct pkram_node *node;
	unsigned long id = cursor;

	guard(mutex)(&pkram.lock);
	if (flags & PKRAM_LIST_DROPPED) {
		list_for_each_entry(d, &pkram.dropped, link) {
			if (d->info.id <= cursor)
				continue;
			*info = d->info;
			return true;
		}
		return false;
	}

	node = xa_find_after(&pkram.nodes, &id, ULONG_MAX, XA_PRESENT);
	if (!node)
		return false;
	pkram_node_info(node, info);
	return true;
}

static int ioc_list(struct pkram_session *s, union pkram_arg *arg, struct pkram_answer *ans)
{
	struct pkram_ioctl_list *list = &arg->list;
	struct pkram_node_info info;
	void __user *to;
	size_t n;

	if (list->flags & ~PKRAM_LIST_DROPPED || list->reserved ||
	    !list->capacity || list->capacity > PKRAM_MAX_LIST ||
	    list->node_size < PKRAM_LIST_MIN || list->node_size > PAGE_SIZE)
		return -EINVAL;
	/* a list of what was dropped is not complete before all nodes are checked */
	if (list->flags & PKRAM_LIST_DROPPED ? pkram_adopt_all() : pkram_adopt_directory())
		return -EINTR;
	n = min_t(size_t, list->node_size, sizeof(info));
	to = u64_to_user_ptr(list->nodes);
	list->returned = 0;
	while (list->returned < list->capacity &&
	       next_info(list->flags, list->cursor, &info)) {
		if (copy_to_user(to, &info, n) || clear_user(to + n, list->node_size - n))
			return -EFAULT;
		to += list->node_size;
		list->cursor = info.id;
		list->returned++;
		cond_resched();
	}
	return 0;
}

static int check_name(const struct pkram_ioctl_name *name)
{
	return name->flags ? -EINVAL : pkram_node_check_name(name->name);
}

static int ioc_save_begin(struct pkram_session *s, union pkram_arg *arg,
			  struct pkram_answer *ans)
{
	struct pkram_save *save;
	int err;

	err = check_name(&arg->name);
	if (err)
		return err;
	save = pkram_save_begin(arg->name.name);
	if (IS_ERR(save))
		return PTR_ERR(save);
	s->save = save;
	s->state = SESSION_SAVING;
	set_open(s, save);
	arg->name.id = 0;
	return 0;
}

static int ioc_save_file(struct pkram_session *s, union pkram_arg *arg,
			 struct pkram_answer *ans)
{
	struct pkram_ioctl_save_file *sf = &arg->save_file;

	if (sf->flags & ~PKRAM_SAVE_RANGE)
		return -EINVAL;
	/* helpers add to what is there, in ranges */
	if (s->state == SESSION_HELPING &&
	    (!(sf->flags & PKRAM_SAVE_RANGE) || sf->object == PKRAM_OBJECT_NEW))
		return -EINVAL;
	CLASS(fd, f)(sf->fd);
	if (!fd_file(f) || !(fd_file(f)->f_mode & FMODE_READ))
		return -EBADF;
	return pkram_save_file(s->save, fd_file(f), sf);
}

static int ioc_save_bytes(struct pkram_session *s, union pkram_arg *arg,
			  struct pkram_answer *ans)
{
	struct pkram_ioctl_bytes *b = &arg->bytes;
	struct iov_iter iter;
	int err;

	if (b->flags || b->reserved || b->offset || b->length > PKRAM_MAX_COPY)
		return -EINVAL;
	err = import_ubuf(ITER_SOURCE, u64_to_user_ptr(b->data), b->length, &iter);
	if (err)
		return err;
	return pkram_save_bytes(s->save, &b->object, &iter);
}

static int ioc_save_commit(struct pkram_session *s, union pkram_arg *arg,
			   struct pkram_answer *ans)
{
	struct pkram_ioctl_commit *c = &arg->commit;
	int err;

	if (c->flags & ~PKRAM_COMMIT_REPLACE)
		return -EINVAL;
	err = pkram_save_commit(s->save, c->flags & PKRAM_COMMIT_REPLACE, &c->id);
	if (err)
		return err;
	set_open(s, NULL);
	pkram_save_put(s->save);
	s->save = NULL;
	s->state = SESSION_IDLE;
	return 0;
}

static void end_save(struct pkram_session *s)
{
	set_open(s, NULL);
	if (s->state == SESSION_SAVING)
		pkram_save_abort(s->save);
	pkram_save_put(s->save);
	s->save = NULL;
	s->state = SESSION_IDLE;
}

static int check_simple(const struct pkram_ioctl_simple *arg)
{
	return arg->flags || arg->fd || arg->reserved ? -EINVAL : 0;
}

static int ioc_save_abort(struct pkram_session *s, union pkram_arg *arg,
			  struct pkram_answer *ans)
{
	int err = check_simple(&arg->simple);

	if (!err)
		end_save(s);
	return err;
}

static const struct file_operations pkram_fops;

static int ioc_save_join(struct pkram_session *s, union pkram_arg *arg,
			 struct pkram_answer *ans)
{
	struct pkram_ioctl_simple *j = &arg->simple;
	struct pkram_session *other;

	if (j->flags || j->reserved)
		return -EINVAL;
	CLASS(fd, f)(j->fd);
	if (!fd_file(f) || fd_file(f)->f_op != &pkram_fops)
		return -EBADF;
	other = fd_file(f)->private_data;
	if (other == s)
		return -EINVAL;

	spin_lock(&pkram_open_lock);
	if (other->open)
		s->save = pkram_save_get(other->open);
	spin_unlock(&pkram_open_lock);
	if (!s->save)
		return -EBADFD;
	s->state = SESSION_HELPING;
	return 0;
}

static int ioc_load_begin(struct pkram_session *s, union pkram_arg *arg,
			  struct pkram_answer *ans)
{
	struct pkram_node *node;
	int err;

	err = check_name(&arg->name);
	if (!err)
		err = pkram_adopt_node(arg->name.name);
	if (err)
		return err;
	node = pkram_node_get(arg->name.name);
	if (IS_ERR(node))
		return PTR_ERR(node);
	s->node = node;
	s->state = SESSION_LOADING;
	arg->name.id = node->id;
	return 0;
}

static int ioc_load_stat(struct pkram_session *s, union pkram_arg *arg,
			 struct pkram_answer *ans)
{
	struct pkram_ioctl_stat *st = &arg->stat;
	const struct pkram_object *obj;
	const struct pkram_file *pf;
	u32 flags;

	if (st->flags)
		return -EINVAL;
	if (st->object >= pkram_node_nr_objects(s->node))
		return -ENODATA;
	obj = pkram_node_object(s->node, st->object);
	flags = le32_to_cpu(obj->flags);
	st->state = 0;
	if (flags & PKRAM_OBJ_FILE)
		st->state |= PKRAM_STAT_FILE;
	if (flags & PKRAM_OBJ_BYTES)
		st->state |= PKRAM_STAT_BYTES;
	if (obj->nr_poisoned)
		st->state |= PKRAM_STAT_POISONED;
	pf = xa_load(&s->node->files, st->object);
	if (pf && pf != PKRAM_FILE_LOADING)
		st->state |= PKRAM_STAT_LOADED;
	st->pages = le64_to_cpu(obj->nr_pages);
	st->file_bytes = le64_to_cpu(obj->size);
	st->data_bytes = le64_to_cpu(obj->nr_bytes);
	st->mode = le32_to_cpu(obj->mode);
	st->uid = le32_to_cpu(obj->uid);
	st->gid = le32_to_cpu(obj->gid);
	st->seals = le32_to_cpu(obj->seals);
	st->atime_ns = le64_to_cpu(obj->atime_ns);
	st->mtime_ns = le64_to_cpu(obj->mtime_ns);
	st->ctime_ns = le64_to_cpu(obj->ctime_ns);
	return 0;
}

static int ioc_load_file(struct pkram_session *s, union pkram_arg *arg,
			 struct pkram_answer *ans)
{
	struct pkram_ioctl_load_file *lf = &arg->load_file;
	struct file *target __free(fput) = NULL;
	struct pkram_file *pf;
	struct file *file;

	if (lf->flags)
		return -EINVAL;
	if (lf->object >= pkram_node_nr_objects(s->node))
		return -ENODATA;
	if (!(le32_to_cpu(pkram_node_object(s->node, lf->object)->flags) & PKRAM_OBJ_FILE))
		return -EINVAL;
	if (lf->target_fd != PKRAM_FD_NONE) {
		target = fget(lf->target_fd);
		if (!target || !(target->f_mode & FMODE_WRITE))
			return -EBADF;
	}
	lf->fd = PKRAM_FD_NONE;

	pf = pkram_load_object(s->node, lf->object, target, lf->charge_pidfd);
	if (IS_ERR(pf))
		return PTR_ERR(pf);
	if (target)
		return 0;

	file = pkram_file_open(pf);
	if (IS_ERR(file))
		return PTR_ERR(file);
	lf->fd = get_unused_fd_flags(O_CLOEXEC);
	if (lf->fd < 0) {
		fput(file);
		return lf->fd;
	}
	ans->file = file;
	ans->fd = lf->fd;
	return 0;
}

static int ioc_load_bytes(struct pkram_session *s, union pkram_arg *arg,
			  struct pkram_answer *ans)
{
	struct pkram_ioctl_bytes *b = &arg->bytes;
	const struct pkram_object *obj;
	struct iov_iter iter;
	ssize_t n;
	u64 left;
	int err;

	if (b->flags || b->reserved || b->length > PKRAM_MAX_COPY)
		return -EINVAL;
	if (b->object >= pkram_node_nr_objects(s->node))
		return -ENODATA;
	obj = pkram_node_object(s->node, b->object);
	if (!(le32_to_cpu(obj->flags) & PKRAM_OBJ_BYTES))
		return -EINVAL;
	left = le64_to_cpu(obj->nr_bytes);
	left = b->offset < left ? min(left - b->offset, b->length) : 0;
	err = import_ubuf(ITER_DEST, u64_to_user_ptr(b->data), left, &iter);
	if (err)
		return err;
	n = pkram_bytes_read(obj, b->offset, &iter);
	if (n < 0)
		return n;
	b->length = n;
	return b->length < left ? -EFAULT : 0;
}

static void end_load(struct pkram_session *s)
{
	pkram_node_put(s->node);
	s->node = NULL;
	s->state = SESSION_IDLE;
}

static int ioc_load_end(struct pkram_session *s, union pkram_arg *arg,
			struct pkram_answer *ans)
{
	int err = check_simple(&arg->simple);

	if (!err)
		end_load(s);
	return err;
}

static int ioc_remove(struct pkram_session *s, union pkram_arg *arg,
		      struct pkram_answer *ans)
{
	struct pkram_node *mine = s->state == SESSION_LOADING ? s->node : NULL;
	u64 mine_id = mine ? mine->id : 0;
	int err;

	err = check_name(&arg->name);
	if (!err)
		err = pkram_adopt_node(arg->name.name);
	if (err)
		return err;
	err = pkram_node_remove(arg->name.name, mine, &arg->name.id);
	if (!err && mine && arg->name.id == mine_id) {
		s->node = NULL;
		s->state = SESSION_IDLE;
	}
	return err;
}

/**
 * struct pkram_call - a row of the table of calls
 * @fn:     does it
 * @size:   size of its argument in this kernel
 * @min:    size of its argument when it was first published
 * @states: session states in which it is allowed
 */
struct pkram_call {
	int (*fn)(struct pkram_session *s, union pkram_arg *arg, struct pkram_answer *ans);
	u16 size;
	u16 min;
	u8 states;
};

#define CALL(_cmd, _fn, _struct, _last, _states)				\
	[PKRAM_CMD_##_cmd] = {							\
		.fn = _fn,							\
		.size = sizeof(struct _struct),					\
		.min = offsetofend(struct _struct, _last),			\
		.states = _states,						\
	}

static const struct pkram_call pkram_calls[] = {
	CALL(INFO, ioc_info, pkram_ioctl_info, prev_release, SESSION_ANY),
	CALL(LIST, ioc_list, pkram_ioctl_list, reserved, SESSION_ANY),
	CALL(SAVE_BEGIN, ioc_save_begin, pkram_ioctl_name, name, SESSION_IDLE),
	CALL(SAVE_FILE, ioc_save_file, pkram_ioctl_save_file, pages,
	     SESSION_SAVING | SESSION_HELPING),
	CALL(SAVE_BYTES, ioc_save_bytes, pkram_ioctl_bytes, length, SESSION_SAVING),
	CALL(SAVE_COMMIT, ioc_save_commit, pkram_ioctl_commit, id, SESSION_SAVING),
	CALL(SAVE_ABORT, ioc_save_abort, pkram_ioctl_simple, reserved,
	     SESSION_SAVING | SESSION_HELPING),
	CALL(SAVE_JOIN, ioc_save_join, pkram_ioctl_simple, reserved, SESSION_IDLE),
	CALL(LOAD_BEGIN, ioc_load_begin, pkram_ioctl_name, name, SESSION_IDLE),
	CALL(LOAD_STAT, ioc_load_stat, pkram_ioctl_stat, ctime_ns, SESSION_LOADING),
	CALL(LOAD_FILE, ioc_load_file, pkram_ioctl_load_file, charge_pidfd, SESSION_LOADING),
	CALL(LOAD_BYTES, ioc_load_bytes, pkram_ioctl_bytes, length, SESSION_LOADING),
	CALL(LOAD_END, ioc_load_end, pkram_ioctl_simple, reserved, SESSION_LOADING),
	CALL(REMOVE, ioc_remove, pkram_ioctl_name, name, SESSION_IDLE | SESSION_LOADING),
};

static int check_allowed(unsigned int nr)
{
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (nr == PKRAM_CMD_INFO)
		return 0;
	return pkram_enabled() ? 0 : -ENODEV;
}

static long pkram_ioctl(struct file *file, unsigned int cmd, unsigned long uarg)
{
	struct pkram_session *s = file->private_data;
	void __user *user = (void __user *)uarg;
	struct pkram_answer ans = { .fd = -1 };
	const struct pkram_call *call;
	unsigned int nr = _IOC_NR(cmd);
	union pkram_arg arg = { };
	u32 size;
	int err;

	if (cmd != PKRAM_IO(nr) || nr >= ARRAY_SIZE(pkram_calls) || !pkram_calls[nr].fn)
		return -ENOTTY;
	call = &pkram_calls[nr];
	err = check_allowed(nr);
	if (err)
		return err;
	if (get_user(size, (u32 __user *)user))
		return -EFAULT;
	if (size < call->min || size > PAGE_SIZE)
		return -EINVAL;
	err = copy_struct_from_user(&arg, call->size, user, size);
	if (err)
		return err;

	/* another thread of the caller may be in a long call */
	err = mutex_lock_killable(&s->lock);
	if (err)
		return err;
	err = s->state & call->states ? call->fn(s, &arg, &ans) : -EBADFD;
	mutex_unlock(&s->lock);

	if (!err && copy_to_user(user, &arg, min_t(u32, size, call->size)))
		err = -EFAULT;
	if (ans.file && !err) {
		fd_install(ans.fd, ans.file);
	} else if (ans.file) {
		put_unused_fd(ans.fd);
		fput(ans.file);
	}
	return err;
}

static int pkram_open(struct inode *inode, struct file *file)
{
	struct pkram_session *s = kzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);

	if (!s)
		return -ENOMEM;
	mutex_init(&s->lock);
	s->state = SESSION_IDLE;
	file->private_data = s;
	return nonseekable_open(inode, file);
}

static int pkram_release(struct inode *inode, struct file *file)
{
	struct pkram_session *s = file->private_data;

	switch (s->state) {
	case SESSION_SAVING:
	case SESSION_HELPING:
		end_save(s);
		break;
	case SESSION_LOADING:
		end_load(s);
		break;
	default:
		break;
	}
	mutex_destroy(&s->lock);
	kfree(s);
	return 0;
}

static const struct file_operations pkram_fops = {
	.owner = THIS_MODULE,
	.open = pkram_open,
	.release = pkram_release,
	.unlocked_ioctl = pkram_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice pkram_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "pkram",
	.mode = 0600,
	.fops = &pkram_fops,
};

static int __init pkram_dev_init(void)
{
	return misc_register(&pkram_device);
}
device_initcall(pkram_dev_init);
