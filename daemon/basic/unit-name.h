/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/*
 * Makes the name of the mount unit for an absolute path without symbolic links, as systemd does: "/srv/my-web" gives
 * "srv-my\x2dweb.mount". Returns NULL without memory; the caller frees it.
 */
char *unit_name_from_mount(const char *path);

/* Returns true for a name that a unit can have, whatever its type. Names of templates count. */
bool unit_name_is_valid(const char *name);
