/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Short ways to read and build JSON objects. Nothing here converts one type into another. */
#pragma once

#include "json-check.h"

/* The member of that name, or NULL if it is not there or null. Borrowed. */
struct json_object *json_get(struct json_object *o, const char *key);

/* The member if it has that type, else NULL / the fallback. Strings are borrowed. */
const char *json_get_string(struct json_object *o, const char *key);
int64_t json_get_int(struct json_object *o, const char *key, int64_t fallback);
bool json_get_bool(struct json_object *o, const char *key, bool fallback);
struct json_object *json_get_array(struct json_object *o, const char *key);

/*
 * Adds a member. value is consumed in any case, also on failure, and NULL
 * means that it could not be allocated. -ENOMEM.
 */
int json_add(struct json_object *o, const char *key, struct json_object *value);
int json_add_string(struct json_object *o, const char *key, const char *value);
int json_add_int(struct json_object *o, const char *key, int64_t value);
int json_add_bool(struct json_object *o, const char *key, bool value);

/* As above for counts and sizes; what does not fit int64_t is cut to the largest that does. */
int json_add_u64(struct json_object *o, const char *key, uint64_t value);

/* Appends to an array; value is consumed in any case. -ENOMEM. */
int json_append(struct json_object *array, struct json_object *value);

/* The one-line text of o without needless escapes, borrowed from o. NULL without memory. */
const char *json_text(struct json_object *o, size_t *ret_length);
