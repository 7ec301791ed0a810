/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "file-util.h"
#include "json-util.h"
#include "kexec-record.h"
#include "name.h"

#define RECORD_VERSION 1

/* KEXEC_RECORD_NODES_MAX names of 255 bytes, each of them as six, and some room. */
#define RECORD_BYTES_MAX KIB(512)

void kexec_record_done(KexecRecord *r) {
        for (size_t i = 0; i < r->n_nodes; i++)
                free(r->nodes[i].name);
        free(r->nodes);
        *r = KEXEC_RECORD_NONE;
}

static int add(KexecRecord *r, const char *name, uint64_t bytes, bool unstored) {
        char *copy;

        (void) inc_u64(&r->nodes_total, 1);
        if (r->n_nodes >= KEXEC_RECORD_NODES_MAX)
                return 0;
        if (GREEDY_REALLOC(r->nodes, r->nodes_allocated, r->n_nodes + 1) < 0)
                return -ENOMEM;
        copy = strdup(name);
        if (!copy)
                return -ENOMEM;
        r->nodes[r->n_nodes++] = (KexecRecordNode) { .name = copy, .bytes = bytes, .unstored = unstored };
        return 0;
}

int kexec_record_add(KexecRecord *r, const char *name, uint64_t bytes) {
        return add(r, name, bytes, /* unstored= */ false);
}

int kexec_record_add_unstored(KexecRecord *r, const char *name) {
        return add(r, name, /* bytes= */ 0, /* unstored= */ true);
}

static int add_usec(struct json_object *o, const char *key, uint64_t usec) {
        return usec == UINT64_MAX ? 0 : json_add_u64(o, key, usec);
}

static int add_nodes(struct json_object *o, const KexecRecord *r) {
        _cleanup_json_ struct json_object *array = json_object_new_array();

        if (!array)
                return -ENOMEM;
        for (size_t i = 0; i < r->n_nodes; i++) {
                _cleanup_json_ struct json_object *node = json_object_new_object();

                if (!node ||
                    json_add_string(node, "name", r->nodes[i].name) < 0 ||
                    json_add_u64(node, "bytes", r->nodes[i].bytes) < 0 ||
                    (r->nodes[i].unstored && json_add_bool(node, "unstored", true) < 0) ||
                    json_append(array, TAKE_PTR(node)) < 0)
                        return -ENOMEM;
        }
        return json_add(o, "nodes", TAKE_PTR(array));
}

int kexec_record_format(const KexecRecord *r, char **ret, size_t *ret_size) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        const char *text;
        char *copy;
        size_t n;

        if (!o ||
            json_add_int(o, "version", RECORD_VERSION) < 0 ||
            add_usec(o, "requestedUSec", r->requested_usec) < 0 ||
            add_usec(o, "stoppedUSec", r->stopped_usec) < 0 ||
            add_usec(o, "finalUSec", r->final_usec) < 0 ||
            json_add_u64(o, "nodesTotal", r->nodes_total) < 0 ||
            add_nodes(o, r) < 0)
                return -ENOMEM;

        text = json_text(o, &n);
        copy = text ? strndup(text, n) : NULL;
        if (!copy)
                return -ENOMEM;
        *ret = copy;
        *ret_size = n;
        return 0;
}

/* UINT64_MAX for what is not there or cannot be a time. */
static uint64_t get_usec(struct json_object *o, const char *key) {
        int64_t v = json_get_int(o, key, -1);

        return v < 0 ? UINT64_MAX : (uint64_t) v;
}

int kexec_record_parse(const char *text, size_t size, KexecRecord *ret) {
        _cleanup_record_ KexecRecord r = KEXEC_RECORD_NONE;
        _cleanup_json_ struct json_object *o = NULL;
        struct json_object *nodes;
        int64_t total;
        int k;

        if (size > RECORD_BYTES_MAX)
                return -EBADMSG;
        k = json_parse_strict(text, size, &o, /* reterr_key= */ NULL);
        if (k < 0)
                return k == -ENOMEM ? k : -EBADMSG;
        if (json_get_int(o, "version", 0) != RECORD_VERSION)
                return -EBADMSG;

        r.requested_usec = get_usec(o, "requestedUSec");
        r.stopped_usec = get_usec(o, "stoppedUSec");
        r.final_usec = get_usec(o, "finalUSec");

        nodes = json_get_array(o, "nodes");
        for (size_t i = 0; nodes && i < json_object_array_length(nodes) && i < KEXEC_RECORD_NODES_MAX; i++) {
                struct json_object *node = json_object_array_get_idx(nodes, i);
                const char *name = json_get_string(node, "name");

                if (!name || name_validate(name, NULL) < 0)
                        continue;
                k = add(&r, name, (uint64_t) MAX(json_get_int(node, "bytes", 0), 0), json_get_bool(node, "unstored", false));
                if (k < 0)
                        return k;
        }
        total = json_get_int(o, "nodesTotal", 0);
        if (total > 0)
                r.nodes_total = MAX((uint64_t) total, r.nodes_total);

        *ret = r;
        r = KEXEC_RECORD_NONE;
        return 0;
}

int kexec_record_read(const char *path, KexecRecord *ret) {
        _cleanup_free_ char *text = NULL;
        size_t n;
        int r;

        r = file_read(path, RECORD_BYTES_MAX, &text, &n);
        if (r < 0)
                return r == -EFBIG ? -EBADMSG : r;
        return kexec_record_parse(text, n, ret);
}

int kexec_record_write(const char *path, const KexecRecord *record) {
        _cleanup_free_ char *text = NULL;
        size_t n;
        int r;

        r = kexec_record_format(record, &text, &n);
        if (r < 0)
                return r;
        return file_write(path, text, n);
}
