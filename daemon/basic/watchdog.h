/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The service manager's watchdog during work that takes long because there is much
 * to do. Without effect in programs that have no watchdog.
 */
#pragma once

#include "macro.h"

/*
 * Announces that so many bytes are about to be processed in one system call. The
 * watchdog is told that this process is alive, at most once a second, and waits longer
 * for the next message if the call may need that.
 */
void watchdog_begin(uint64_t bytes);

/* The call is over: the watchdog waits as long as the unit says. */
void watchdog_end(void);

/* Tells the watchdog that this process is alive, at most once a second. For work that consists of many calls. */
void watchdog_ping(void);
