/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists of strings, as a command line is one. */
#pragma once

#include "json-util.h"

/* A list of strings that ends with NULL. */
typedef struct StringList {
        char **item;
        size_t n, allocated;
} StringList;

void string_list_done(StringList *l);
#define _cleanup_list_ _cleanup_(string_list_done)

/* Adds a copy. -ENOMEM. */
int string_list_add(StringList *l, const char *text);
int string_list_addf(StringList *l, const char *format, ...) _printf_(2, 3);

/*
 * Splits a text into words at white space, and adds them. Between quotation marks of either kind white space does not
 * count; a backslash makes the next character an ordinary one, except between single ones. -EINVAL: a quotation mark
 * or a backslash has no end; -ENOMEM.
 */
int words_split(const char *text, StringList *l);

/* An array of the strings, or NULL without memory. */
struct json_object *string_list_to_json(const StringList *l);

/* Adds the strings of an array. Returns 0, -EBADMSG if it is NULL or has something else in it, or -ENOMEM. */
int string_list_from_json(struct json_object *array, StringList *ret);
