/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Room on a tree, and in the limits of pkramd, for memory that is saved in files on it. */
#pragma once

#include "macro.h"

/*
 * Checks the directory (a descriptor, and its path for messages) of what takes up to so many bytes; "the guest" names
 * it in messages. held is what of them its files take already. What other guests and processes with notes will still
 * write to the tree counts, against its size and, with what is on it, against the limits. Returns 0: it fits;
 * -EOPNOTSUPP: it does not, *reterr is the reason as a sentence; or another negative errno. *ret_notice is a sentence
 * to log if the memory will not be kept although nothing is wrong, else NULL. The caller frees both.
 */
int tree_room_check(int directory, const char *path, const char *what, uint64_t bytes, uint64_t held,
                    char **ret_notice, char **reterr);
