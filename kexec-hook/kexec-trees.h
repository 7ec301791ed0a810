/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Trees that are mounted (mount.pkram) are stored only on the way into the kexec, when it is too late to refuse it.
 * So they count as what it would lose. */

#include <stdint.h>

/* How many file systems of type pkram are mounted, by libmount's table of what the kernel does not know.
 *
 * utab: NULL for /run/mount/utab. Returns 0, also if there is no such file, or a negative errno. */
int kexec_count_trees(const char *utab, uint64_t *ret);

typedef struct KexecTree {
        const char *name;       /* of the tree; any text */
        const char *path;       /* where it is mounted; NULL if the table does not say */
        const char *lost;       /* the word that umount.pkram left there when it could not store it, or NULL */
} KexecTree;

/* Calls a function for each tree in the table. Its strings are valid during the call. It returns 0, or a negative
 * errno that ends the loop. Returns 0, also if there is no such file, or a negative errno. */
typedef int (*KexecTreeFunction)(const KexecTree *tree, void *userdata);
int kexec_for_each_tree(const char *utab, KexecTreeFunction function, void *userdata);
