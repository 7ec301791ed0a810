/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who keeps a file system busy, for those who have to do something about it. */
#pragma once

#include <sys/types.h>

/*
 * Names processes that have something of that file system open, mapped, or as their
 * working or root directory: "cat (1234), sh (99)", and more than a few as "and others".
 * To be freed; NULL if none is found, or nobody can tell. Of no use to anything but people:
 * processes come and go.
 */
char *mount_users(dev_t device);
