/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A kexec without a shutdown, as by 'kexec -e', loses the contents of mounted trees, and no program is asked before.
 * So the names of mounted trees are kept as the system node SYSTEM_NODE_RECORD all the time, for the report of the
 * next boot. pkram-shutdown replaces it in an orderly kexec.
 */
#pragma once

#include "manager.h"

/* Follows /run/mount/utab from now on. A failure is logged, since it costs no more than the report. */
void tree_record_start(Manager *m);
void tree_record_stop(Manager *m);

/* Brings the node up to date with the table. Returns 0, or a negative errno. */
int tree_record_update(Manager *m);
