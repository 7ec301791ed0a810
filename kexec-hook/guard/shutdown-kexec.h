/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/* The longest time to ask: units have it in TimeoutStopSec= beside the time that they need to save. */
#define SHUTDOWN_ASK_USEC_MAX (60 * USEC_PER_SEC)

/*
 * Asks the service manager whether the system is on its way into a kexec. It may be too busy to answer, or execute
 * itself again, so it is asked until so many microseconds have passed. Returns 1 if the system is on its way into a
 * kexec; 0 if not, or without systemd, after a message; or a negative errno if this is not known. A caller that does
 * not know had better save: memory that was saved without need is there at the next start.
 */
int shutdown_is_kexec(uint64_t usec);

/*
 * Does the stop of a guest, a process or the like ask for its memory to be saved, which may take so many microseconds?
 * Yes in a kexec, and after a warning if this is not known. kind and name are for the warning.
 */
bool shutdown_wants_save(uint64_t save_usec, const char *kind, const char *name);
