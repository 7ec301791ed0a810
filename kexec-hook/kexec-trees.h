/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Trees that are mounted (mount.pkram) are stored only on the way into the kexec, when it is too late to refuse it.
 * So they count as what it would lose. */

typedef struct KexecTree {
        const char *name;       /* of the tree; any text */
        const char *path;       /* where it is mounted; NULL if the table does not say */
        const char *lost;       /* the word that umount.pkram left there when it could not store it, or NULL */
        const char *persist;    /* its importance on disk, as mount.pkram left it there, or NULL */
} KexecTree;

/*
 * Calls a function for each tree in libmount's table of what the kernel does not know. Its strings are valid during
 * the call. It returns 0, or a negative errno that ends the loop. Returns 0, also if there is no such table, or a
 * negative errno.
 *
 * utab: libmount's table; NULL for /run/mount/utab.
 * mounts: the kernel's table of mounts, usually MOUNT_TABLE. umount(2) does not change libmount's table, so the
 * kernel's tells whether a tree is still mounted: at its path, or elsewhere under its name. Others are left out.
 * A copy tells what was mounted when it was made. NULL: no tree is left out.
 */
typedef int (*KexecTreeFunction)(const KexecTree *tree, void *userdata);
int kexec_for_each_tree(const char *utab, const char *mounts, KexecTreeFunction function, void *userdata);
