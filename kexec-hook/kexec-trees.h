/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Trees that are mounted (mount.pkram) are stored only on the way into the kexec, when it is too late to refuse it.
 * So they count as what it would lose. */

#include <stdint.h>

/* How many file systems of type pkram are mounted, by libmount's table of what the kernel does not know.
 *
 * utab: NULL for /run/mount/utab. Returns 0, also if there is no such file, or a negative errno. */
int kexec_count_trees(const char *utab, uint64_t *ret);

/* The same, and calls a function with the name of each tree, which may be any text, and with the word that umount.pkram has
 * left there when it could not store it, or NULL. It returns 0, or a negative errno that ends it. */
typedef int (*KexecTreeFunction)(const char *name, const char *lost, void *userdata);
int kexec_for_each_tree(const char *utab, KexecTreeFunction function, void *userdata);
