/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Makes the name of the mount unit for an absolute path without symbolic links, as systemd does: "/srv/my-web" gives
 * "srv-my\x2dweb.mount". Returns NULL without memory; the caller frees it.
 */
char *unit_name_from_mount(const char *path);
