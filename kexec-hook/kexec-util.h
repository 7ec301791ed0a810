/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The few helpers the kexec hook shares between its own files. Not part of its API. */

#include <stddef.h>
#include <stdint.h>

#include "macro.h"

/* Reads a whole file without a size of its own (procfs, sysfs) that holds at most max bytes.
 *
 * ret: a NUL-terminated string the caller frees. A file with a NUL byte in it is refused with -EBADMSG, a
 * longer one with -EFBIG. */
int read_virtual_file(const char *path, size_t max, char **ret);
