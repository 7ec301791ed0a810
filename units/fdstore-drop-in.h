/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "device.h"

/* Told about a unit whose drop-in cannot be written, with a negative errno. */
typedef void (*FdStoreDropInError)(const char *unit, int r);

/*
 * Writes a drop-in for each unit whose file descriptor store is stored, into a directory of systemd.generator(7). Goes
 * on after a unit that fails. Returns 0, also if there is no PKRAM, or the first negative errno.
 */
int fdstore_drop_ins_write(const PkramDevice *device, const char *path, FdStoreDropInError error);
