// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: /sys/kernel/pkram.
 *
 * Reading gives the pfn for the next command line in hexadecimal, 0 when PKRAM is
 * off. Writing 0 frees every idle node.
 */
#include <linux/init.h>
#include <linux/kobject.h>
#include <linux/kstrtox.h>
#include <linux/pkram.h>
#include <linux/sysfs.h>

#include "node.h"
#include "pkram.h"

static ssize_t pkram_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llx\n",
			  pkram_enabled() ? le64_to_cpu(pkram.sb->hdr.pfn) : 0ULL);
}

static ssize_t pkram_store(struct kobject *kobj, struct kobj_attribute *attr,
			   const char *buf, size_t count)
{
	u64 value;
	int err;

	err = kstrtou64(buf, 16, &value);
	if (err)
		return err;
	if (value)
		return -EINVAL;
	if (!pkram_enabled())
		return -ENODEV;
	err = pkram_remove_idle();
	return err ?: count;
}

static struct kobj_attribute pkram_attr = __ATTR(pkram, 0600, pkram_show, pkram_store);

static int __init pkram_sysfs_init(void)
{
	return sysfs_create_file(kernel_kobj, &pkram_attr.attr);
}
device_initcall(pkram_sysfs_init);
