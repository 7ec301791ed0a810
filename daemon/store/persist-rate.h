/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How fast the disk is, as measured when nodes were written last. Kept beside the nodes. */
#pragma once

#include "persist-run.h"

/* Sets the rate of the plan: the one that was measured, or that of a slow disk. */
void persist_rate_read(PersistPlan *p, const char *path);

/*
 * Sets the rate of a plan that was carried out: what is in shared was done in so many microseconds. in_time is false if
 * that was not all of it; then the same plan does not fit again. Returns true if anything was learned.
 */
bool persist_rate_learn(PersistPlan *p, const PersistShared *shared, uint64_t usec, bool in_time);

void persist_rate_write(const PersistPlan *p, const char *path);
