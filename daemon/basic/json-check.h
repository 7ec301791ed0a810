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

/* A text whose values would take more than so many times its length in memory is refused, */
#define JSON_MEMORY_FACTOR 8U

/* unless they would take less than this: json-c needs some 800 bytes for each pair of braces. */
#define JSON_MEMORY_MIN MIB(8)

/*
 * Parses one JSON text the strict way. json-c alone takes NaN, keeps the last
 * of two equal keys, saturates large integers and stops at a NUL byte; hostile
 * input gets through this check first and none of that happens.
 *
 * text need not be NUL-terminated. Returns 0 and a value that the caller frees, or
 * -EINVAL if text is not JSON by RFC 8259, or not UTF-8, or has a string with NUL in
 * it; -ELOOP if it is nested deeper than JSON_DEPTH_MAX; -EEXIST if an object has a
 * key twice (*reterr_key, if given, is a copy of it that the caller frees); -ERANGE
 * if an integer does not fit int64_t; -E2BIG if parsing would take more than
 * JSON_MEMORY_FACTOR times length and more than JSON_MEMORY_MIN bytes of memory;
 * -ENOMEM.
 */
int json_parse_strict(const char *text, size_t length, struct json_object **ret, char **reterr_key);

/* The same with another minimum, in bytes, in place of JSON_MEMORY_MIN. */
int json_parse_bounded(const char *text, size_t length, size_t memory_min, struct json_object **ret,
                       char **reterr_key);

/* The same without -E2BIG, for text that this project wrote, or whose length was limited. */
int json_parse_own(const char *text, size_t length, struct json_object **ret, char **reterr_key);

/* Checks a text without parsing it. Returns the same errors except for -E2BIG. */
int json_check(const char *text, size_t length, char **reterr_key);
