/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kexec-programs.h"
#include "log.h"

void kexec_programs_done(KexecPrograms *p) {
        free(p->problems);
        json_object_put(p->notes);
        *p = (KexecPrograms) {};
}

void tree_writes_done(TreeWrites *w) {
        free(w->names);
        *w = (TreeWrites) {};
}

static int programs_add(KexecPrograms *p, const char *directory) {
        _cleanup_json_ struct json_object *notes = NULL;
        int r;

        r = run_notes_read(directory, &notes);
        if (r < 0 && r != -ENOMEM) {
                log_warning("Failed to read notes in '%s', ignoring: %s", directory, strerror(-r));
                return 0;
        }
        for (size_t i = 0; r >= 0 && i < json_object_array_length(notes); i++)
                r = json_append(p->notes, json_object_get(json_object_array_get_idx(notes, i)));
        return r;
}

int kexec_programs_read(const char *guests, const char *processes, KexecPrograms *ret) {
        _cleanup_(kexec_programs_done) KexecPrograms p = { .notes = json_object_new_array() };
        size_t n;
        int r;

        r = p.notes ? programs_add(&p, guests) : -ENOMEM;
        if (r < 0)
                return r;
        p.n_guests = json_object_array_length(p.notes);
        r = programs_add(&p, processes);
        if (r < 0)
                return r;
        n = json_object_array_length(p.notes);
        p.problems = calloc(n + 1, sizeof(KexecProgramProblem));
        if (!p.problems)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                struct json_object *note = json_object_array_get_idx(p.notes, i);
                const char *problem = json_get_string(note, "problem");

                if (problem)
                        p.problems[p.n_problems++] = (KexecProgramProblem) {
                                .name = json_get_string(note, "name"), .detail = problem,
                        };
        }
        *ret = p;
        p = (KexecPrograms) {};
        return 0;
}

int tree_writes_sum(const KexecPrograms *p, int root, const char *path, TreeWrites *ret) {
        _cleanup_json_ struct json_object *here = json_object_new_array();
        TreeWrites w = {};

        if (!here)
                return -ENOMEM;
        for (size_t i = 0; i < json_object_array_length(p->notes); i++) {
                struct json_object *note = json_object_array_get_idx(p->notes, i);
                uint64_t bytes = run_note_missing(note, root, path);

                if (bytes == 0)
                        continue;
                if (!inc_u64(&w.bytes, bytes))
                        w.bytes = INT64_MAX;
                if (json_append(here, json_object_get(note)) < 0)
                        return -ENOMEM;
        }
        w.n = json_object_array_length(here);
        if (w.n > 0) {
                w.names = run_notes_to_text(here, /* problem= */ false, &w.n);
                if (!w.names)
                        return -ENOMEM;
        }
        *ret = w;
        return 0;
}
