/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kexec-units.h"
#include "kexec-users.h"
#include "mount-users.h"

typedef struct Tree {
        sd_bus *bus;
        const char *path, *name;
} Tree;

/* Will it still be there when the tree is unmounted? */
static bool user_stays(const MountUser *user, void *userdata) {
        const Tree *tree = userdata;

        if (!user->unit)
                return true;
        /* A mount unit conflicts with umount.target like the tree's own, and only a dependency says which comes
         * first. */
        if (user->pid == 0)
                return kexec_unit_needs_mount(tree->bus, user->unit, tree->path, tree->name) == 0;
        /* Without an answer of the service manager it is taken to be stopped in time. */
        return kexec_unit_stops_before(tree->bus, user->unit, tree->path, tree->name) == 0;
}

char *kexec_tree_writers(sd_bus *bus, dev_t device, const char *path, const char *tree) {
        Tree t = { .bus = bus, .path = path, .name = tree };

        return bus ? mount_users(device, MOUNT_USE_WRITING, user_stays, &t) : NULL;
}
