/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The program that pkram-criu runs, as a child process. */
#pragma once

#include "process-run.h"

/*
 * Starts the program in a session of its own, with its output in the pipes. Its process IDs are beyond those that a
 * CRIU gets which restores it. Returns 0, or a negative errno after a message.
 */
int program_start(ProcessRun *run);

/*
 * Has process IDs that are given out from now on begin beyond those of pkram-criu and CRIU themselves. Without
 * CONFIG_CHECKPOINT_RESTORE this does nothing, and CRIU says so.
 */
void program_reserve_ids(void);

/* Collects processes that have ended, with the program among them. */
void program_reap(ProcessRun *run);

/* Ends all processes but this one, which is the first one of its PID namespace. */
void program_kill_all(ProcessRun *run);
