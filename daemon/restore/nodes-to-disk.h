/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "persist.h"

/*
 * Writes the nodes of a store over memory to the directory disk_path, as the configuration says, with the progress on
 * the console. *ret, which the caller empties with persist_plan_done(), tells what became of each. Returns 0, also if
 * some were not written, or a negative errno if the nodes could not be listed. Logs what is wrong.
 */
int nodes_to_disk(const PkramDevice *memory, Store *s, const Config *config, const char *disk_path, PersistPlan *ret);
