/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The files of a guest in its directory. Only files that pkram-qemu created are removed: a list of them is beside
 * them. */
#pragma once

#include "guest-run.h"

#define GUEST_LIST_FILE "files.json"

/* Removes the files with RAM that are on the list, the state, the list, and the record if wanted. */
void files_remove(const GuestRun *run, bool record);

/* Creates the files with RAM and the list. Returns 0, -EOPNOTSUPP after a message: there is another file in the place
 * of one, or another negative errno. */
int files_create(const GuestRun *run);

/* Memory that the guest's files take already, in bytes. */
uint64_t files_bytes(const GuestRun *run);

bool files_are_there(const GuestRun *run);

/* Checks that QEMU's memory is in the files with RAM: in a directory QEMU makes a file without a name, and it follows
 * links. Returns 0, or -EOPNOTSUPP or another negative errno, after a message. */
int files_check(const GuestRun *run);
