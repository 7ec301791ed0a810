/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "file-util.h"
#include "kexec-report.h"
#include "name.h"

#define REPORT_BYTES_MAX KIB(768)

static const char *const numbers[] = {
        "requestedUSec", "stoppedUSec", "finalUSec", "sealedUSec", "startedUSec", "restoredUSec", "upUSec", "downUSec",
        "restoredNodes", "restoredBytes", "lostNodes", "logLines",
};

void kexec_report_done(KexecReport *r) {
        kexec_record_done(&r->record);
        free(r->previous_kernel);
        for (size_t i = 0; i < r->n_lost; i++) {
                free(r->lost[i].owner);
                free(r->lost[i].name);
                free(r->lost[i].reason);
        }
        free(r->lost);
        string_list_done(&r->shared);
        *r = KEXEC_REPORT_NONE;
}

int kexec_report_add_lost(KexecReport *r, const char *owner, const char *name, const char *reason) {
        LostNode l = { .reason = strdup(reason) };

        (void) inc_u64(&r->lost_nodes, 1);
        if (r->n_lost >= KEXEC_RECORD_NODES_MAX) {
                free(l.reason);
                return 0;
        }
        if (owner)
                l.owner = strdup(owner);
        if (name)
                l.name = name_sanitize(name);
        if (!l.reason || (owner && !l.owner) || (name && !l.name) ||
            GREEDY_REALLOC(r->lost, r->lost_allocated, r->n_lost + 1) < 0) {
                free(l.owner);
                free(l.name);
                free(l.reason);
                return -ENOMEM;
        }
        r->lost[r->n_lost++] = l;
        return 0;
}

bool kexec_report_has_lost(const KexecReport *r, const char *name) {
        for (size_t i = 0; i < r->n_lost; i++)
                if (r->lost[i].name && streq(r->lost[i].name, name))
                        return true;
        return false;
}

static int report_add_usec(struct json_object *o, const char *key, uint64_t usec) {
        return usec == UINT64_MAX ? 0 : json_add_u64(o, key, usec);
}

static struct json_object *lost_to_json(const char *owner, const char *name, const char *reason) {
        _cleanup_json_ struct json_object *o = json_object_new_object();

        if (!o || (owner && json_add_string(o, "owner", owner) < 0) ||
            (name && json_add_string(o, "name", name) < 0) || json_add_string(o, "reason", reason) < 0)
                return NULL;
        return TAKE_PTR(o);
}

/* The names in it: of LastKexec, for root only. */
static const char *const name_lists[] = { "guests", "processes", "sharedMemory" };

static int report_add_names(struct json_object *o, const char *key, const StringList *l) {
        return l->n == 0 ? 0 : json_add(o, key, string_list_to_json(l));
}

static int report_copy_names(struct json_object *from, struct json_object *to) {
        for (size_t i = 0; i < ELEMENTSOF(name_lists); i++) {
                _cleanup_list_ StringList names = {};
                int r;

                if (!json_get(from, name_lists[i]))
                        continue;
                r = string_list_from_json(json_get_array(from, name_lists[i]), &names);
                if (r >= 0)
                        r = report_add_names(to, name_lists[i], &names);
                if (r < 0)
                        return r;
        }
        return 0;
}

void kexec_report_hide_names(struct json_object *report) {
        for (size_t i = 0; i < ELEMENTSOF(name_lists); i++)
                json_object_object_del(report, name_lists[i]);
}

static int write_json(const char *path, struct json_object *o) {
        const char *text;
        size_t n;

        text = json_text(o, &n);
        return text ? file_write(path, text, n) : -ENOMEM;
}

int kexec_report_write(const char *path, const KexecReport *r) {
        _cleanup_json_ struct json_object *o = json_object_new_object(), *lost = json_object_new_array();

        if (!o || !lost ||
            report_add_usec(o, "requestedUSec", r->record.requested_usec) < 0 ||
            report_add_usec(o, "stoppedUSec", r->record.stopped_usec) < 0 ||
            report_add_usec(o, "finalUSec", r->record.final_usec) < 0 ||
            report_add_usec(o, "sealedUSec", r->sealed_usec) < 0 ||
            report_add_usec(o, "startedUSec", r->started_usec) < 0 ||
            report_add_usec(o, "restoredUSec", r->restored_usec) < 0 ||
            (r->previous_kernel && json_add_string(o, "previousKernel", r->previous_kernel) < 0) ||
            json_add_u64(o, "restoredNodes", r->restored_nodes) < 0 ||
            json_add_u64(o, "restoredBytes", r->restored_bytes) < 0 ||
            json_add_u64(o, "lostNodes", r->lost_nodes) < 0 ||
            json_add_u64(o, "logLines", r->log_lines) < 0 ||
            report_add_names(o, name_lists[0], &r->record.guests) < 0 ||
            report_add_names(o, name_lists[1], &r->record.processes) < 0 ||
            report_add_names(o, name_lists[2], &r->shared) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < r->n_lost; i++)
                if (json_append(lost, lost_to_json(r->lost[i].owner, r->lost[i].name, r->lost[i].reason)) < 0)
                        return -ENOMEM;
        if (json_add(o, "lost", TAKE_PTR(lost)) < 0)
                return -ENOMEM;

        return write_json(path, o);
}

int kexec_report_read(const char *path, struct json_object **ret) {
        _cleanup_json_ struct json_object *in = NULL, *o = NULL, *lost = NULL;
        _cleanup_free_ char *text = NULL;
        struct json_object *from;
        const char *kernel;
        size_t n;
        int r;

        r = file_read(path, REPORT_BYTES_MAX, &text, &n);
        if (r < 0)
                return r == -EFBIG ? -EBADMSG : r;
        r = json_parse_own(text, n, &in, /* reterr_key= */ NULL);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        from = json_get_array(in, "lost");
        if (!from || json_get_int(in, "restoredNodes", -1) < 0 || json_get_int(in, "lostNodes", -1) < 0)
                return -EBADMSG;

        o = json_object_new_object();
        lost = json_object_new_array();
        if (!o || !lost)
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTSOF(numbers); i++) {
                int64_t v = json_get_int(in, numbers[i], -1);

                if (v >= 0 && json_add_int(o, numbers[i], v) < 0)
                        return -ENOMEM;
        }
        kernel = json_get_string(in, "previousKernel");
        if (kernel && json_add_string(o, "previousKernel", kernel) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < json_object_array_length(from); i++) {
                struct json_object *l = json_object_array_get_idx(from, i);

                if (json_append(lost, lost_to_json(json_get_string(l, "owner"), json_get_string(l, "name"),
                                                   json_get_string(l, "reason") ?: "")) < 0)
                        return -ENOMEM;
        }
        r = json_add(o, "lost", TAKE_PTR(lost));
        if (r >= 0)
                r = report_copy_names(in, o);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(o);
        return 0;
}

int kexec_report_set_up(const char *path, uint64_t usec) {
        _cleanup_json_ struct json_object *o = NULL;
        int64_t requested;
        int r;

        r = kexec_report_read(path, &o);
        if (r < 0)
                return r;
        /* Once only: services that are restarted later were not down because of a kexec. */
        if (json_get(o, "upUSec"))
                return 0;

        requested = json_get_int(o, "requestedUSec", -1);
        if (json_add_u64(o, "upUSec", usec) < 0 ||
            (requested >= 0 && usec >= (uint64_t) requested &&
             json_add_u64(o, "downUSec", usec - (uint64_t) requested) < 0))
                return -ENOMEM;
        return write_json(path, o);
}
