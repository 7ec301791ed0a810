/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signals that are read from a descriptor, and how a child process ended. */
#pragma once

#include <sys/signalfd.h>

#include "macro.h"

/* Blocks signals, and returns a descriptor that they are read from, or -errno. */
int signals_take(const int *signals, size_t n);

/* Reads a signal, and waits for it so many milliseconds if need be; -1: without end. */
bool signal_came(int fd, int timeout_msec, struct signalfd_siginfo *ret);

/* "exit status 1" or "signal 9 (Killed)", of a status from waitpid(2), as part of a sentence. Returns buffer. */
const char *exit_to_text(int status, char *buffer, size_t size);
