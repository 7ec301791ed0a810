/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fdstore-node.h"

const char *fdstore_node_name(FdStoreNodeFlags flags) {
#define NAMES(flags, suffix)                                                                       \
        [(flags)] = FDSTORE_NODE suffix,                                                           \
        [(flags) | FDSTORE_NODE_ROOT] = FDSTORE_NODE suffix "-root",                               \
        [(flags) | FDSTORE_NODE_REQUIRED] = FDSTORE_NODE suffix "-required",                       \
        [(flags) | FDSTORE_NODE_ROOT | FDSTORE_NODE_REQUIRED] = FDSTORE_NODE suffix "-root-required"

        static const char *const names[_FDSTORE_NODE_FLAGS_MAX] = {
                NAMES(0, ""),
                NAMES(FDSTORE_NODE_ALL, "-all"),
                NAMES(FDSTORE_NODE_EXEC, "-exec"),
        };
#undef NAMES

        assert(flags < _FDSTORE_NODE_FLAGS_MAX && names[flags]);
        return names[flags];
}

bool fdstore_node_flags_are_valid(FdStoreNodeFlags flags) {
        return flags < _FDSTORE_NODE_FLAGS_MAX &&
                (flags & (FDSTORE_NODE_ALL | FDSTORE_NODE_EXEC)) != (FDSTORE_NODE_ALL | FDSTORE_NODE_EXEC);
}

int fdstore_node_flags(const char *name) {
        for (FdStoreNodeFlags flags = 0; flags < _FDSTORE_NODE_FLAGS_MAX; flags++)
                if (fdstore_node_flags_are_valid(flags) && streq(name, fdstore_node_name(flags)))
                        return (int) flags;
        return -EINVAL;
}
