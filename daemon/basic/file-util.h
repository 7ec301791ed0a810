/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Small files, as a whole. */
#pragma once

#include "macro.h"

/* The contents of a regular file, to be freed, NUL-terminated besides. -EFBIG if it is longer than max; -EINVAL if it is no regular file. */
int file_read(const char *path, size_t max, char **ret, size_t *ret_size);

/* Puts a file with mode 0644 there in one step: whoever reads it sees the old contents or the new ones. */
int file_write(const char *path, const void *data, size_t size);
