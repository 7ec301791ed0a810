/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether a unit's file descriptor store is preserved across kexec: by [FdStore] in
 * pkramd.conf and by the unit's own X-Pkram-FdStore=, which takes no, yes or required.
 */
#pragma once

#include "config.h"

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
