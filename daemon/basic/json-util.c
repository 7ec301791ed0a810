/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json-util.h"

struct json_object *json_get(struct json_object *o, const char *key) {
        struct json_object *v;

        if (!o || !json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, key, &v))
                return NULL;
        return v;
}

static struct json_object *json_get_typed(struct json_object *o, const char *key, enum json_type type) {
        struct json_object *v = json_get(o, key);

        return v && json_object_is_type(v, type) ? v : NULL;
}

const char *json_get_string(struct json_object *o, const char *key) {
        struct json_object *v = json_get_typed(o, key, json_type_string);

        return v ? json_object_get_string(v) : NULL;
}

int64_t json_get_int(struct json_object *o, const char *key, int64_t fallback) {
        struct json_object *v = json_get_typed(o, key, json_type_int);

        return v ? json_object_get_int64(v) : fallback;
}

bool json_get_bool(struct json_object *o, const char *key, bool fallback) {
        struct json_object *v = json_get_typed(o, key, json_type_boolean);

        return v ? json_object_get_boolean(v) : fallback;
}

struct json_object *json_get_array(struct json_object *o, const char *key) {
        return json_get_typed(o, key, json_type_array);
}

int json_add(struct json_object *o, const char *key, struct json_object *value) {
        if (!value)
                return -ENOMEM;
        if (json_object_object_add(o, key, value) < 0) {
                (void) json_object_put(value);
                return -ENOMEM;
        }
        return 0;
}

int json_add_string(struct json_object *o, const char *key, const char *value) {
        return json_add(o, key, json_object_new_string(value));
}

int json_add_int(struct json_object *o, const char *key, int64_t value) {
        return json_add(o, key, json_object_new_int64(value));
}

int json_add_bool(struct json_object *o, const char *key, bool value) {
        return json_add(o, key, json_object_new_boolean(value));
}

int json_add_u64(struct json_object *o, const char *key, uint64_t value) {
        return json_add_int(o, key, (int64_t) MIN(value, (uint64_t) INT64_MAX));
}

int json_append(struct json_object *array, struct json_object *value) {
        if (!value)
                return -ENOMEM;
        if (json_object_array_add(array, value) < 0) {
                (void) json_object_put(value);
                return -ENOMEM;
        }
        return 0;
}

const char *json_text(struct json_object *o, size_t *ret_length) {
        return json_object_to_json_string_length(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE,
                                                 ret_length);
}
