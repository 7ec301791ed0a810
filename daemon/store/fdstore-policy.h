/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether a unit's file descriptor store is preserved across kexec: by [FdStore] in
 * pkramd.conf and by the unit's own X-Pkram-FdStore=, which takes no, yes or required.
 * And whether that is possible.
 */
#pragma once

#include "config.h"
#include "service-manager.h"

typedef enum FdStorePolicy {
        FDSTORE_NO,
        FDSTORE_YES,      /* if restoring fails, the unit starts without its descriptors */
        FDSTORE_REQUIRED, /* if restoring fails, the unit does not start */
} FdStorePolicy;

#define FDSTORE_POLICY_KEY "X-Pkram-FdStore"

/* Parses a value of that setting, see UnitSettingParse. Returns an FdStorePolicy, -1 if it is empty, or before. */
int fdstore_policy_parse(const char *value, size_t n, int before);

/* Decides for a unit. own: what its files say, or -1. */
FdStorePolicy fdstore_policy_decide(const Config *c, const char *unit, int own);

/* Returns the name of the node for the store of such a unit. */
const char *preserving_unit_node(const PreservingUnit *unit, FdStorePolicy policy);

/*
 * Returns why the store of a unit cannot be preserved, whatever is in it and whenever the unit stops: a clause with
 * the remedy. NULL if it can be.
 */
const char *preserving_unit_obstacle(const PreservingUnit *unit, FdStorePolicy policy);
