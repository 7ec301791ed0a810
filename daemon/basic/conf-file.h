/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Configuration files with one section, and the values in them. */
#pragma once

#include "macro.h"

/* Returns 0, -ENOENT if there is no such setting, -EINVAL or -ERANGE if it does not take such a value, or -ENOMEM. */
typedef int (*ConfSet)(void *userdata, const char *key, const char *value);

/*
 * Parses the text of a file and calls set for each assignment in the section. Nothing in the file is ignored. Returns
 * 0, -ENOMEM, or -EINVAL, where *reterr says which line is wrong and why; the caller frees it.
 */
int conf_parse(const char *text, size_t length, const char *section, ConfSet set, void *userdata, char **reterr);

/* Names of guests and processes begin with a letter or digit, and have letters, digits and "._-" besides, at most 64
 * characters. */
bool conf_name_is_valid(const char *name);

/* Parses a number of seconds, "90s" or "5min", of at least one second and at most a day. Returns 0, -EINVAL or
 * -ERANGE. */
int conf_parse_seconds(const char *text, uint64_t *ret_usec);

/* Copies an absolute path, and frees the path that *ret has before. Returns 0, -EINVAL or -ENOMEM. */
int conf_parse_path(const char *text, char **ret);

/*
 * Parses a size: digits, and K, M, G or T. shift is the unit without a letter, as a power of two. Returns 0, -EINVAL
 * or -ERANGE.
 */
int conf_parse_size(const char *text, unsigned shift, uint64_t *ret);
