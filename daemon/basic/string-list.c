/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stdio.h>

#include "string-list.h"

void string_list_done(StringList *l) {
        for (size_t i = 0; i < l->n; i++)
                free(l->item[i]);
        free(l->item);
        *l = (StringList) {};
}

static int string_list_take(StringList *l, char *text) {
        if (!text || GREEDY_REALLOC(l->item, l->allocated, l->n + 2) < 0) {
                free(text);
                return -ENOMEM;
        }
        l->item[l->n++] = text;
        l->item[l->n] = NULL;
        return 0;
}

int string_list_add(StringList *l, const char *text) {
        return string_list_take(l, strdup(text));
}

int string_list_addf(StringList *l, const char *format, ...) {
        char *text;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        return n < 0 ? -ENOMEM : string_list_take(l, text);
}

int words_split(const char *text, StringList *l) {
        for (;;) {
                _cleanup_free_ char *word = NULL;
                char quote = 0, *p;
                int r;

                text += strspn(text, " \t\r\n");
                if (!*text)
                        return 0;
                p = word = malloc(strlen(text) + 1);
                if (!word)
                        return -ENOMEM;
                for (; *text && (quote || !strchr(" \t\r\n", *text)); text++)
                        if (quote && *text == quote)
                                quote = 0;
                        else if (!quote && (*text == '"' || *text == '\''))
                                quote = *text;
                        else if (*text == '\\' && quote != '\'') {
                                if (!*++text)
                                        return -EINVAL;
                                *p++ = *text;
                        } else
                                *p++ = *text;
                if (quote)
                        return -EINVAL;
                *p = 0;
                r = string_list_add(l, word);
                if (r < 0)
                        return r;
        }
}

struct json_object *string_list_to_json(const StringList *l) {
        _cleanup_json_ struct json_object *array = json_object_new_array();

        for (size_t i = 0; array && i < l->n; i++)
                if (json_append(array, json_object_new_string(l->item[i])) < 0)
                        return NULL;
        return TAKE_PTR(array);
}

int string_list_from_json(struct json_object *array, StringList *ret) {
        if (!array)
                return -EBADMSG;
        for (size_t i = 0; i < json_object_array_length(array); i++) {
                struct json_object *v = json_object_array_get_idx(array, i);

                if (!json_object_is_type(v, json_type_string))
                        return -EBADMSG;
                if (string_list_add(ret, json_object_get_string(v)) < 0)
                        return -ENOMEM;
        }
        return 0;
}
