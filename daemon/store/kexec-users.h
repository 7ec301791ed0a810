/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What writes to a mounted tree and is still there when the shutdown unmounts it. */
#pragma once

#include <systemd/sd-bus.h>

#include "macro.h"

/*
 * Names the processes and loop devices that can write to the file system with this device number and that a shutdown
 * does not stop before the tree is unmounted from path, as "sh (12, x.service), loop device /dev/loop0". A writable
 * shared mapping counts as well. Returns NULL if there is none, or without memory; the caller frees it. bus may be
 * NULL: then nothing counts.
 */
char *kexec_tree_writers(sd_bus *bus, dev_t device, const char *path, const char *tree);
