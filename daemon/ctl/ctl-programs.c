/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Guests, processes and shared memory, for the verbs status and check. */
#include <stdio.h>

#include "ctl.h"
#include "format.h"
#include "json-util.h"
#include "returned.h"
#include "run-notes.h"

/* --- guests and processes --- */

static void print_note(const char *what, const char *again, struct json_object *n) {
        char bytes[FORMAT_MAX], paused[FORMAT_MAX];

        printf("%17s: ", what);
        ctl_print_text(json_get_string(n, "name") ?: "");
        printf(", %s in ", format_size(bytes, json_get_int(n, "bytes", 0)));
        ctl_print_text(json_get_string(n, "directory") ?: "");
        if (json_get_bool(n, "resumed", false))
                printf(", went on after %s",
                       format_usec(paused, (uint64_t) MAX(json_get_int(n, "pausedUSec", 0), 0)));
        else if (json_get_string(n, "reason")) {
                printf(", %s: ", again);
                ctl_print_text(json_get_string(n, "reason"));
        }
        if (json_get_string(n, "problem")) {
                printf("; cannot be saved: ");
                ctl_print_text(json_get_string(n, "problem"));
        }
        (void) putchar('\n');
}

/* before: names of those that ran before the last kexec. */
static void print_notes(const char *what, const char *again, struct json_object *notes, struct json_object *before) {
        for (size_t i = 0; notes && i < json_object_array_length(notes); i++)
                print_note(what, again, json_object_array_get_idx(notes, i));
        for (size_t i = 0; before && i < json_object_array_length(before); i++) {
                const char *name = json_object_get_string(json_object_array_get_idx(before, i));

                if (returned_has_name(notes, name))
                        continue;
                printf("%17s: ", what);
                ctl_print_text(name);
                puts(", does not run, but ran before the last kexec");
        }
}

void programs_print_status(struct json_object *status) {
        struct json_object *last = json_get(status, "lastKexec");

        print_notes("Guest", "booted", json_get_array(status, "guests"), json_get_array(last, "guests"));
        print_notes("Process", "started again", json_get_array(status, "processes"),
                    json_get_array(last, "processes"));
}

static void print_saved(const char *one, const char *many, struct json_object *notes) {
        for (int problem = 0; notes && problem < 2; problem++) {
                size_t n;
                _cleanup_free_ char *text = run_notes_to_text(notes, problem, &n);

                if (!text || n == 0)
                        continue;
                printf("%zu %s %s: ", n, n == 1 ? one : many,
                       problem ? "cannot be saved, see 'pkramctl status'" : "will be saved on the way");
                ctl_print_text(text);
                (void) putchar('\n');
        }
}

void programs_print_check(struct json_object *check) {
        print_saved("guest", "guests", json_get_array(check, "guests"));
        print_saved("process", "processes", json_get_array(check, "processes"));
}

/* --- shared memory --- */

int shared_print_node(struct json_object *node, struct json_object *array) {
        _cleanup_free_ char *name = NULL;
        char bytes[FORMAT_MAX];
        int r;

        r = returned_shared_name(json_get_string(node, "owner"), json_get_string(node, "name") ?: "", &name);
        if (r <= 0)
                return r;
        printf("%17s: ", "Shared memory");
        ctl_print_text(name);
        printf(", %s, %s\n", format_size(bytes, json_get_int(node, "bytes", 0)),
               json_get_bool(node, "inherited", false) ? "not restored: it is still in its node" : "stored");
        return json_append(array, json_object_new_string(name));
}

void shared_print_restored(struct json_object *names, struct json_object *stored) {
        for (size_t i = 0; names && i < json_object_array_length(names); i++) {
                const char *name = json_object_get_string(json_object_array_get_idx(names, i));

                if (returned_has_name(stored, name))
                        continue;
                printf("%17s: ", "Shared memory");
                ctl_print_text(name);
                puts(", restored after the last kexec");
        }
}
