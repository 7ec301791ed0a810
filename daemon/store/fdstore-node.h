/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of nodes that hold file descriptor stores of units, see fdstore.h. */
#pragma once

#include "system-node.h"

/* The unit that stores and restores them, and holds files that are in the stores of several units. */
#define FDSTORE_UNIT "pkram-fdstore.service"

/*
 * The name of a unit's node is FDSTORE_NODE with a suffix for these flags. The generator finds units and flags in the
 * names, without reading anything else.
 */
typedef enum FdStoreNodeFlags {
        FDSTORE_NODE_ALL = 1 << 0,      /* the unit has NotifyAccess=all */
        FDSTORE_NODE_EXEC = 1 << 1,     /* the unit has NotifyAccess=exec */
        FDSTORE_NODE_ROOT = 1 << 2,     /* the unit has RootDirectory= or RootImage= */
        FDSTORE_NODE_REQUIRED = 1 << 3, /* the unit does not start without its descriptors */
        _FDSTORE_NODE_FLAGS_MAX = 1 << 4,
} FdStoreNodeFlags;

/* Returns the name for these flags. A unit cannot have both the first and the second. */
const char *fdstore_node_name(FdStoreNodeFlags flags);

/* Returns true if a node can have these flags. */
bool fdstore_node_flags_are_valid(FdStoreNodeFlags flags);

/* Returns the flags of such a name, or -EINVAL if it is another one. */
int fdstore_node_flags(const char *name);

/*
 * Name of the drop-in that the generator writes for a unit with such a node, and settings in it. It sorts last, so
 * that an ExecStartPre= or NotifyAccess= of the administrator does not undo it.
 */
#define FDSTORE_DROP_IN_NAME "zzz-pkram-fdstore.conf"
#define FDSTORE_DROP_IN_NOTIFY "NotifyAccess=exec\n"
#define FDSTORE_DROP_IN_ROOT "RootDirectoryStartOnly=yes\n"

/* Beginning of the names of nodes with a file that is in the stores of several units. */
#define FDSTORE_SHARED_PREFIX FDSTORE_NODE "-shared-"

/* Name of a node that 'save' stores for a moment, to find out which file of a unit cannot be stored. */
#define FDSTORE_PROBE_NODE FDSTORE_NODE "-probe"

/* Returns true if this is one of the names above, in full. */
bool fdstore_node_name_is_valid(const char *name);

/*
 * Units of a user manager own no nodes. Theirs are the user's, named NAME:UNIT. pkramd lets users store no other node
 * whose name begins with SYSTEM_NODE_PREFIX. Splits such a name; *ret_unit points into it. Returns false if it is
 * none.
 */
bool fdstore_user_node_parse(const char *node, KernelName *ret_name, const char **ret_unit);
