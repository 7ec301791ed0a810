/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/* Exists during a boot and has its boot ID; pkram-report.service removes it on an orderly shutdown. */
#define CRASH_MARK_PATH "/var/lib/pkram/boot"

/*
 * If the mark of an earlier boot is there, that one ended without a shutdown. Unless
 * what it stored was restored anyway, logs once what its journal says it had. Then
 * puts down the mark of this boot. Logs what is wrong, and returns it.
 */
int crash_check(const char *mark_path, bool restored);
