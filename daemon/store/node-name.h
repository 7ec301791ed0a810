/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of nodes in the kernel. The store keeps a node by its owner and its name, the
 * kernel by one flat name of at most 255 bytes. A node of pkramd has the kernel name
 *
 *     io.pkram.OWNER|NAME
 *
 * or, where that is longer than 255 bytes,
 *
 *     io.pkram.HASH(OWNER)#HASH(NAME)#BEGINNING OF NAME
 *
 * HASH is XXH3 with 128 bits, in hexadecimal. Neither '|' nor '#' can be part of an owner, so
 * that the first of them tells the form. Clients cannot choose their owner, so that they can
 * collide only with themselves; the manifest has owner and name in full and is compared.
 *
 * Other names belong to system nodes (system-node.h), to nodes that were stored through
 * /dev/pkram without pkramd, or to nodes of a pkramd that knew no owners in names. The latter
 * have a manifest without "name": their kernel name is their name. That pkramd refused
 * names that begin with "io.pkram.", so that no such node has the kernel name of another.
 */
#pragma once

#include <linux/pkram.h>

#include "macro.h"

#define NODE_NAME_PREFIX "io.pkram."

typedef struct KernelName {
        char text[PKRAM_NODE_NAME_MAX + 1];
} KernelName;

/* Returns the kernel name of a node of pkramd. owner and name are valid. */
KernelName node_name_encode(const char *owner, const char *name);

/* Returns true if this is the kernel name of a node of pkramd, in either form. */
bool node_name_is_encoded(const char *kernel_name);

/*
 * Splits a kernel name of the first form into owner and name. Returns false, and leaves both empty, if it
 * is none: then only the manifest tells them.
 */
bool node_name_decode(const char *kernel_name, KernelName *ret_owner, KernelName *ret_name);
