/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stores the descriptors of one unit in a node: files and pipes, and the description of all of them. What is not
 * preserved is logged. For fdstore_save().
 */
#pragma once

#include "fdstore-policy.h"
#include "fdstore-shared.h"

/*
 * Stores what the unit's store has, which was read before. Returns 0, -ENODATA if some of it is not preserved, -EDQUOT
 * if it exceeds a limit of [FdStore], or another negative errno.
 */
int fdstore_unit_save(const FdStoreEnvironment *e, const PreservingUnit *unit, FdStorePolicy policy,
                      const StoredFds *fds, FdTable *table, SharedFiles *shared);

/* Removes the nodes of a unit, except for the one with that name. Returns their number. Errors are logged. */
int fdstore_unit_remove(const FdStoreEnvironment *e, const char *unit, const char *except);
