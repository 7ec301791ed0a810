/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-c/json.h>
#include <stddef.h>

#include "macro.h"

/* Deepest nesting of arrays and objects anything here has a use for. */
#define JSON_DEPTH_MAX 32U

static inline struct json_object *json_object_unref(struct json_object *o) {
        if (o)
                (void) json_object_put(o);
        return NULL;
}
DEFINE_CLEANUP(struct json_object *, json_object_unref)
#define _cleanup_json_ _cleanup_(json_object_unrefp)

/*
 * Parses one JSON text the strict way. json-c alone takes NaN, keeps the last
 * of two equal keys, saturates large integers and stops at a NUL byte; hostile
 * input gets through this check first and none of that happens.
 *
 * text need not be NUL-terminated. Errors: -EINVAL not JSON by RFC 8259, or not
 * UTF-8, or a string with NUL in it; -ELOOP nested deeper than JSON_DEPTH_MAX;
 * -EEXIST an object has a key twice (*reterr_key, if given, is a copy of it, to
 * be freed); -ERANGE an integer does not fit int64_t; -ENOMEM.
 */
int json_parse_strict(const char *text, size_t length, struct json_object **ret, char **reterr_key);

/* The checking half of the above, for fuzzing and tests. Same errors. */
int json_check(const char *text, size_t length, char **reterr_key);
