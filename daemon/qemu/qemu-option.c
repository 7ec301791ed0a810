/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json-util.h"
#include "qemu-option.h"

static int option_walk_json(const char *key, struct json_object *value, bool nested, QemuOptionVisit visit,
                            void *userdata) {
        const char *text;
        int r = 0;

        if (json_object_is_type(value, json_type_object)) {
                json_object_object_foreach(value, name, member) {
                        r = option_walk_json(name, member, nested || key, visit, userdata);
                        if (r < 0)
                                return r;
                }
                return 0;
        }
        if (json_object_is_type(value, json_type_array)) {
                for (size_t i = 0; r >= 0 && i < json_object_array_length(value); i++)
                        r = option_walk_json(key ?: "", json_object_array_get_idx(value, i), /* nested= */ true, visit,
                                             userdata);
                return r;
        }
        if (!value || !key)
                return 0;
        text = json_object_is_type(value, json_type_boolean) ? (json_object_get_boolean(value) ? "on" : "off") :
                json_object_get_string(value);
        return text ? visit(userdata, key, text, nested) : -ENOMEM;
}

/* Takes the next item off a text, with single commas. The caller frees it. NULL without memory. */
static char *option_item_take(const char **text) {
        char *item = malloc(strlen(*text) + 1), *p = item;
        const char *t = *text;

        if (!item)
                return NULL;
        for (; *t && (*t != ',' || t[1] == ','); t++) {
                if (*t == ',')
                        t++;
                *p++ = *t;
        }
        *p = 0;
        *text = t + (*t == ',');
        return item;
}

int qemu_option_walk(const char *text, const char *implied, QemuOptionVisit visit, void *userdata) {
        int r;

        if (*text == '{') {
                _cleanup_json_ struct json_object *o = NULL;

                r = json_parse_strict(text, strlen(text), &o, /* reterr_key= */ NULL);
                if (r < 0)
                        return r == -ENOMEM ? r : -EBADMSG;
                return option_walk_json(NULL, o, /* nested= */ false, visit, userdata);
        }

        for (bool first = true; *text; first = false) {
                _cleanup_free_ char *item = option_item_take(&text);
                const char *key = item, *last;
                char *value;

                if (!item)
                        return -ENOMEM;
                value = strchr(item, '=');
                if (value)
                        *value++ = 0;
                else if (first && implied) {
                        value = item;
                        key = implied;
                }
                last = strrchr(key, '.');
                /* "share" alone is "share=on". */
                r = visit(userdata, last ? last + 1 : key, value ?: "on", last);
                if (r < 0)
                        return r;
        }
        return 0;
}

typedef struct OptionFind {
        const char *key;
        char *value;
} OptionFind;

static int option_take(void *userdata, const char *key, const char *value, bool nested) {
        OptionFind *f = userdata;

        if (nested || !streq(key, f->key))
                return 0;
        free(f->value);
        f->value = strdup(value);
        return f->value ? 0 : -ENOMEM;
}

int qemu_option_find(const char *text, const char *implied, const char *key, char **ret) {
        OptionFind f = { .key = key };
        int r;

        *ret = NULL;
        r = qemu_option_walk(text, implied, option_take, &f);
        if (r < 0) {
                free(f.value);
                return r;
        }
        *ret = f.value;
        return 0;
}
