/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/* There while a boot is under way, with its boot id; pkram-report.service takes it away when the system goes down in order. */
#define CRASH_MARK_PATH "/var/lib/pkram/boot"

/*
 * If the mark of an earlier boot is there, that one ended without a shutdown. Unless
 * what it stored came back all the same, logs once what its journal says it had. Then
 * puts down the mark of this boot. Logs what is wrong, and returns it.
 */
int crash_check(const char *mark_path, bool restored);
