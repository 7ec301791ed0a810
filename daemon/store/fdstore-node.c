/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fdstore-node.h"
#include "unit-name.h"

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

bool fdstore_node_name_is_valid(const char *name) {
        const char *number = startswith(name, FDSTORE_SHARED_PREFIX);

        if (number)
                return strlen(number) == 16 && strspn(number, "0123456789abcdef") == 16;
        return fdstore_node_flags(name) >= 0 || streq(name, FDSTORE_PROBE_NODE);
}

bool fdstore_user_node_parse(const char *node, KernelName *ret_name, const char **ret_unit) {
        const char *colon = strchr(node, ':');
        size_t n = colon ? (size_t) (colon - node) : 0;

        if (!colon || n >= sizeof(ret_name->text) || !unit_name_is_valid(colon + 1) ||
            !ends_with(colon + 1, ".service"))
                return false;
        memcpy(ret_name->text, node, n);
        ret_name->text[n] = 0;
        if (!fdstore_node_name_is_valid(ret_name->text))
                return false;
        *ret_unit = colon + 1;
        return true;
}
