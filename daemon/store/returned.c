/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "peer.h"
#include "returned.h"
#include "shared-memory.h"
#include "utf8.h"

/* Names in a list. */
#define RETURNED_NAMED 16U

int returned_shared_name(const char *owner, const char *node, char **ret) {
        const char *key = startswith(node, SYSV_PREFIX), *file = startswith(node, POSIX_PREFIX);

        if ((!key && !file) || !owner || !streq(owner, OWNER_ROOT))
                return 0;
        if (asprintf(ret, "%s%s", key ? "" : SHARED_MEMORY_DIRECTORY "/", key ?: file) < 0) {
                *ret = NULL;
                return -ENOMEM;
        }
        return 1;
}

/* Borrowed; "" if it has none. */
static const char *item_name(struct json_object *array, size_t i) {
        struct json_object *o = json_object_array_get_idx(array, i);

        return json_object_is_type(o, json_type_string) ? json_object_get_string(o) :
                json_object_is_type(o, json_type_object) ? json_get_string(o, "name") ?: "" : "";
}

static struct json_object *item_find(struct json_object *array, const char *name) {
        for (size_t i = 0; array && i < json_object_array_length(array); i++)
                if (streq(item_name(array, i), name))
                        return json_object_array_get_idx(array, i);
        return NULL;
}

bool returned_has_name(struct json_object *array, const char *name) {
        return item_find(array, name);
}

/* A list that grows. */
typedef struct ReturnedText {
        char *text;
        size_t n;
        bool failed;
} ReturnedText;

/* Adds "NAME WHAT (WHY)" as far as there is room. why may be NULL. */
static void returned_add(ReturnedText *t, const char *name, const char *what, const char *why) {
        _cleanup_free_ char *clean = utf8_escape(name);
        char *more;

        if (t->failed || t->n++ >= RETURNED_NAMED)
                return;
        if (!clean || asprintf(&more, "%s%s%s %s%s%s%s", t->text ?: "", t->text ? ", " : "", clean, what,
                               why ? " (" : "", why ?: "", why ? ")" : "") < 0) {
                t->failed = true;
                return;
        }
        free(t->text);
        t->text = more;
}

/* Takes the text over. */
static char *returned_end(ReturnedText *t) {
        char *text = NULL;

        if (t->failed || (t->n > RETURNED_NAMED &&
                          asprintf(&text, "%s and %zu more", t->text, t->n - RETURNED_NAMED) < 0)) {
                free(t->text);
                return NULL;
        }
        if (text)
                free(t->text);
        else
                text = t->text ?: strdup("");
        return text;
}

char *returned_programs(struct json_object *names, struct json_object *notes, const char *again) {
        ReturnedText t = {};

        for (size_t i = 0; notes && i < json_object_array_length(notes); i++) {
                struct json_object *note = json_object_array_get_idx(notes, i);
                const char *name = item_name(notes, i), *why = json_get_string(note, "reason");

                if (json_get_bool(note, "resumed", false))
                        returned_add(&t, name, "continues", /* why= */ NULL);
                else if (why || item_find(names, name))
                        returned_add(&t, name, again, why ?: "it was not saved");
        }
        for (size_t i = 0; names && i < json_object_array_length(names); i++)
                if (!item_find(notes, item_name(names, i)))
                        returned_add(&t, item_name(names, i), "does not run", /* why= */ NULL);
        return returned_end(&t);
}

char *returned_shared(struct json_object *names, struct json_object *waiting) {
        ReturnedText t = {};

        for (size_t i = 0; names && i < json_object_array_length(names); i++) {
                bool waits = item_find(waiting, item_name(names, i));

                returned_add(&t, item_name(names, i), waits ? "is not restored" : "is restored",
                             waits ? "it is still in its node" : NULL);
        }
        return returned_end(&t);
}
