/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How fast the disk is, as measured when nodes were written last: bytes per second, and what each node takes in
 * addition. Kept beside the nodes.
 */
#pragma once

#include "persist-run.h"

/* Sets rate and usec_per_node to what was measured, or to those of a slow disk. */
void persist_rate_read(PersistPlan *p, const char *path);

/*
 * Sets them by how a plan was carried out: what is in shared took so many microseconds. in_time is false if that was
 * not all of it; then the same plan does not fit again. Returns true if anything was learned.
 */
bool persist_rate_learn(PersistPlan *p, const PersistShared *shared, uint64_t usec, bool in_time);

void persist_rate_write(const PersistPlan *p, const char *path);
