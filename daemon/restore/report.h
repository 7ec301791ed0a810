/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kexec-report.h"
#include "persist.h"
#include "store.h"

/*
 * Logs which nodes of the previous kernel were restored and which were not, replays the last lines
 * of the old system's log, and writes the report of the kexec to report_path. Nothing of
 * that if the report is there already or this boot did not try to restore anything.
 * Removes the system nodes. Logs what is wrong, and returns it.
 */
int report_restored(Store *s, const PkramDevice *device, const struct pkram_ioctl_info *info, const char *report_path);

/*
 * Names of shared memory whose node was restored and is still there, so that pkram-shm did not create it again.
 * Returns 0, or a negative errno.
 */
int report_waiting(const PkramDevice *device, struct json_object **ret);

/*
 * Logs each node as one that will be lost, or as one that was written to disk. plan, which may be NULL, tells which
 * nodes were written, and why the others were not. Logs errors, and returns them.
 */
int report_lost(Store *s, const struct pkram_ioctl_info *info, const PersistPlan *plan);
