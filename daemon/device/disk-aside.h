/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What was found in the directory of disk-directory.h and is not offered: set-aside/TOKEN, where TOKEN is that of the
 * boot that found it. For disk-directory.h, and for disk-contents.h, which lists it.
 *
 * directory is the one that has all of it. All functions return a negative errno on failure.
 */
#pragma once

#include "macro.h"

#define DISK_SET_ASIDE "set-aside"

/* Moves a file or directory there durably, under another name if there is one of its own already. */
int disk_aside_move(int directory, const char *token, int from, const char *name);

/* Opens what was set aside in the boot with this token. -ENOENT. */
int disk_aside_open(int directory, const char *token);

/*
 * Removes what was set aside more than so many seconds ago. For the beginning of a boot: what was set aside at the
 * beginning of others is compared with the clock in the same state. Where no clock runs while the machine is off, it
 * may be wrong by years until it is synchronised.
 */
int disk_aside_expire(int directory, uint64_t seconds);
