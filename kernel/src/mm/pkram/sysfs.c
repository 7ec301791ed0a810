// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: /sys/kernel/pkram and /sys/kernel/mm/pkram/. Documentation/ABI/testing/sysfs-kernel-pkram
 * describes the files.
 */
#include <linux/capability.h>
#include <linux/init.h>
#include <linux/kobject.h>
#include <linux/kstrtox.h>
#include <linux/mm.h>
#include <linux/pkram.h>
#include <linux/sysfs.h>

#include "adopt.h"
#include "node.h"
#include "pkram.h"

/* Physical addresses are for CAP_SYS_ADMIN only, as in /proc/PID/pagemap. */
static ssize_t pkram_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	return sysfs_emit(buf, "%llx\n",
			  pkram_enabled() ? le64_to_cpu(pkram.sb->hdr.pfn) : 0ULL);
}

/* Nodes belong to other users: uid 0 is not enough to remove them. */
static ssize_t pkram_store(struct kobject *kobj, struct kobj_attribute *attr,
			   const char *buf, size_t count)
{
	u64 value;
	int err;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	err = kstrtou64(buf, 16, &value);
	if (err)
		return err;
	if (value)
		return -EINVAL;
	if (!pkram_enabled())
		return -ENODEV;
	err = pkram_adopt_all();
	if (!err)
		err = pkram_remove_idle();
	return err ?: count;
}

static struct kobj_attribute pkram_attr = __ATTR(pkram, 0600, pkram_show, pkram_store);

static ssize_t nodes_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	if (pkram_adopt_directory())
		return -EINTR;
	return sysfs_emit(buf, "%llu\n", READ_ONCE(pkram.nr_nodes));
}

static struct kobj_attribute nodes_attr = __ATTR_RO(nodes);

static ssize_t data_pages_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	if (pkram_adopt_directory())
		return -EINTR;
	return sysfs_emit(buf, "%llu\n", READ_ONCE(pkram.data_pages));
}

static struct kobj_attribute data_pages_attr = __ATTR_RO(data_pages);

static ssize_t meta_pages_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	u64 pages = 0;

	if (pkram_adopt_directory())
		return -EINTR;
	if (pkram_enabled())
		pages = READ_ONCE(pkram.meta_pages) + pkram_super_pages();
	return sysfs_emit(buf, "%llu\n", pages);
}

static struct kobj_attribute meta_pages_attr = __ATTR_RO(meta_pages);

static ssize_t adopted_pages_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	struct pkram_node *node;
	unsigned long id;
	u64 pages = 0;

	if (pkram_adopt_directory())
		return -EINTR;
	if (pkram_enabled()) {
		guard(mutex)(&pkram.lock);
		xa_for_each(&pkram.nodes, id, node)
			if (node->born != pkram_generation())
				pages += node->totals.data_pages;
	}
	return sysfs_emit(buf, "%llu\n", pages);
}

static struct kobj_attribute adopted_pages_attr = __ATTR_RO(adopted_pages);

/* Waits for nothing: programs look here how far adoption has come. */
static ssize_t pending_pages_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	s64 pages = atomic64_read(&pkram.pending_pages);

	/* 0 means that no node is pending */
	return sysfs_emit(buf, "%lld\n", pkram_adopt_pending() ? max(pages, 1LL) : 0);
}

static struct kobj_attribute pending_pages_attr = __ATTR_RO(pending_pages);

static struct attribute *pkram_counters[] = {
	&nodes_attr.attr,
	&data_pages_attr.attr,
	&meta_pages_attr.attr,
	&adopted_pages_attr.attr,
	&pending_pages_attr.attr,
	NULL
};

static const struct attribute_group pkram_counter_group = {
	.name = "pkram",
	.attrs = pkram_counters,
};

static int __init pkram_sysfs_init(void)
{
	int err;

	err = sysfs_create_file(kernel_kobj, &pkram_attr.attr);
	if (err)
		return err;
	return sysfs_create_group(mm_kobj, &pkram_counter_group);
}
device_initcall(pkram_sysfs_init);
