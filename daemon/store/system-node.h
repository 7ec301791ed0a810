/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nodes that the system stores for itself on its way into a kexec, one byte stream
 * each, straight through the device since pkramd has stopped. They belong to OWNER_KERNEL, and no
 * client can store a node with such a kernel name. What is read back is as trustworthy as any memory of another
 * kernel: the caller parses it like hostile input.
 */
#pragma once

#include "device.h"
#include "node-name.h"

/* Nodes of clients have it, too, before their owner: see node-name.h. */
#define SYSTEM_NODE_PREFIX NODE_NAME_PREFIX

/* Facts about the kexec (kexec-record.h), and the last lines of the old system's log (log-tail.h). */
#define SYSTEM_NODE_RECORD SYSTEM_NODE_PREFIX "kexec"
#define SYSTEM_NODE_LOG SYSTEM_NODE_PREFIX "log"

/*
 * Name of a node with the file descriptor store of the unit that owns it, and beginning of the names that go with it:
 * only root may store them, except for those of the units of a user, see fdstore-node.h and fdstore-manifest.h.
 */
#define FDSTORE_NODE SYSTEM_NODE_PREFIX "fdstore"

/* No system node is larger. */
#define SYSTEM_NODE_BYTES_MAX MIB(1)

/* Returns true if the node with this kernel name is a system node. */
static inline bool system_node_name(const char *kernel_name) {
        return startswith(kernel_name, SYSTEM_NODE_PREFIX) && !node_name_is_encoded(kernel_name);
}

/* Stores data under that name, replacing what an earlier kexec left there. Errors as from the device. */
int system_node_save(const PkramDevice *device, const char *name, const void *data, size_t size);

/*
 * Reads it. *ret is to be freed and NUL-terminated besides. The handle keeps the node
 * open, for system_node_remove() once it has been made use of. -ENOENT: there is none;
 * -EBADMSG, -EFBIG: the node was not made by system_node_save(); *ret_handle is
 * valid in these two cases as well, so that it can be removed.
 */
int system_node_load(const PkramDevice *device, const char *name, PkramHandle *ret_handle, char **ret,
                     size_t *ret_size);
int system_node_remove(PkramHandle *h, const char *name);
