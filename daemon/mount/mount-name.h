/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The name of a tree, as the user wrote it. */
#pragma once

#include "macro.h"

/*
 * Finds the name behind the source that mount(8) passed. libmount turns a source that exists in the current directory
 * into an absolute path without symbolic links: in /, 'srv' becomes '/srv', and 'bin' becomes '/usr/bin'. A source
 * without a slash is the name itself. For a path, the name is the entry of the current directory that leads there. If
 * several entries do, the command line of the calling mount(8) and the line of /etc/fstab for the target decide
 * between them.
 *
 * The caller frees *ret. Returns 0; -EINVAL if the source is a path that no entry leads to; -ENOTUNIQ if several
 * entries lead there and nothing decides; -ENOMEM; or the errno with which the current directory could not be read.
 */
int tree_name_recover(const char *source, const char *target, char **ret);

/*
 * Did 'mount -a' call? It skips what is mounted already by comparing sources, and does not find a tree whose name it
 * has turned into a path.
 */
bool caller_mounts_all(void);
