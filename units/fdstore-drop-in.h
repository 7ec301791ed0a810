/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "device.h"

/* Returns true if a node of that name holds the file descriptor store of a service that can have a drop-in. */
bool fdstore_drop_in_is_wanted(const char *unit, const char *name);

/*
 * Writes the drop-in of such a unit into a directory, given as a descriptor. user: the unit is one of a user manager,
 * which cannot order it after units of the system. Returns 0, or a negative errno.
 */
int fdstore_drop_in_write(int directory, bool user, const char *unit, const char *name);

/* Told about a unit whose drop-in cannot be written, with a negative errno. */
typedef void (*FdStoreDropInError)(const char *unit, int r);

/*
 * Writes a drop-in for each unit whose file descriptor store is stored, into a directory of systemd.generator(7). Goes
 * on after a unit that fails. Returns 0, also if there is no PKRAM, or the first negative errno.
 */
int fdstore_drop_ins_write(const PkramDevice *device, const char *path, FdStoreDropInError error);
