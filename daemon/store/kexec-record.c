/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "file-util.h"
#include "json-util.h"
#include "kexec-record.h"
#include "name.h"
#include "peer.h"

#define RECORD_VERSION 1

/* KEXEC_RECORD_NODES_MAX names and owners of 255 bytes, each byte of a name as six, and some room. */
#define RECORD_BYTES_MAX KIB(768)

static const char *const lost_words[_TREE_LOST_MAX] = {
        [TREE_LOST_UNKNOWN] = "unknown",
        [TREE_LOST_IN_USE]  = "use",
        [TREE_LOST_TIMEOUT] = "timeout",
        [TREE_LOST_MOUNTED] = "mounted",
};

const char *tree_lost_to_string(TreeLost lost) {
        return lost_words[lost];
}

TreeLost tree_lost_from_string(const char *word) {
        for (TreeLost i = 0; word && i < _TREE_LOST_MAX; i++)
                if (streq(lost_words[i], word))
                        return i;
        return TREE_LOST_UNKNOWN;
}

void kexec_record_done(KexecRecord *r) {
        for (size_t i = 0; i < r->n_nodes; i++) {
                free(r->nodes[i].owner);
                free(r->nodes[i].name);
        }
        free(r->nodes);
        string_list_done(&r->guests);
        string_list_done(&r->processes);
        *r = KEXEC_RECORD_NONE;
}

static int record_add(KexecRecord *r, KexecRecordNode node) {
        bool has_owner = node.owner;

        (void) inc_u64(&r->nodes_total, 1);
        if (r->n_nodes >= KEXEC_RECORD_NODES_MAX)
                return 0;
        if (GREEDY_REALLOC(r->nodes, r->nodes_allocated, r->n_nodes + 1) < 0)
                return -ENOMEM;
        /* One name that is not UTF-8 must not make all of the record unreadable. */
        node.name = name_sanitize(node.name);
        if (has_owner)
                node.owner = strdup(node.owner);
        if (!node.name || (has_owner && !node.owner)) {
                free(node.owner);
                free(node.name);
                return -ENOMEM;
        }
        r->nodes[r->n_nodes++] = node;
        return 0;
}

int kexec_record_add(KexecRecord *r, const char *owner, const char *name, uint64_t bytes) {
        return record_add(r, (KexecRecordNode) { .owner = (char *) owner, .name = (char *) name, .bytes = bytes });
}

int kexec_record_add_unstored(KexecRecord *r, const char *owner, const char *name, TreeLost why) {
        return record_add(r, (KexecRecordNode) { .owner = (char *) owner, .name = (char *) name, .unstored = true,
                                                 .why = why });
}

int kexec_record_add_program(StringList *l, const char *name) {
        _cleanup_free_ char *clean = name_sanitize(name);

        if (!clean)
                return -ENOMEM;
        return l->n < KEXEC_RECORD_NODES_MAX ? string_list_add(l, clean) : 0;
}

static int record_add_usec(struct json_object *o, const char *key, uint64_t usec) {
        return usec == UINT64_MAX ? 0 : json_add_u64(o, key, usec);
}

static int add_nodes(struct json_object *o, const KexecRecord *r) {
        _cleanup_json_ struct json_object *array = json_object_new_array();

        if (!array)
                return -ENOMEM;
        for (size_t i = 0; i < r->n_nodes; i++) {
                _cleanup_json_ struct json_object *node = json_object_new_object();

                if (!node ||
                    (r->nodes[i].owner && json_add_string(node, "owner", r->nodes[i].owner) < 0) ||
                    json_add_string(node, "name", r->nodes[i].name) < 0 ||
                    json_add_u64(node, "bytes", r->nodes[i].bytes) < 0 ||
                    (r->nodes[i].unstored && json_add_bool(node, "unstored", true) < 0) ||
                    (r->nodes[i].why != TREE_LOST_UNKNOWN &&
                     json_add_string(node, "why", tree_lost_to_string(r->nodes[i].why)) < 0) ||
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
            record_add_usec(o, "requestedUSec", r->requested_usec) < 0 ||
            record_add_usec(o, "stoppedUSec", r->stopped_usec) < 0 ||
            record_add_usec(o, "finalUSec", r->final_usec) < 0 ||
            json_add_u64(o, "nodesTotal", r->nodes_total) < 0 ||
            json_add(o, "guests", string_list_to_json(&r->guests)) < 0 ||
            json_add(o, "processes", string_list_to_json(&r->processes)) < 0 ||
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

/* Names that cannot be names are left out. Older systems recorded none. */
static int record_get_names(struct json_object *o, const char *key, StringList *ret) {
        struct json_object *names = json_get_array(o, key);
        int r = 0;

        for (size_t i = 0; r >= 0 && names && i < json_object_array_length(names); i++) {
                struct json_object *name = json_object_array_get_idx(names, i);

                if (json_object_is_type(name, json_type_string) &&
                    name_validate(json_object_get_string(name), NULL) >= 0)
                        r = kexec_record_add_program(ret, json_object_get_string(name));
        }
        return r;
}

int kexec_record_parse(const char *text, size_t size, KexecRecord *ret) {
        _cleanup_record_ KexecRecord r = KEXEC_RECORD_NONE;
        _cleanup_json_ struct json_object *o = NULL;
        struct json_object *nodes;
        int64_t total;
        int k;

        if (size > RECORD_BYTES_MAX)
                return -EBADMSG;
        k = json_parse_own(text, size, &o, /* reterr_key= */ NULL);
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
                const char *name = json_get_string(node, "name"), *owner = json_get_string(node, "owner");
                KexecRecordNode n = { .name = (char *) name,
                                      .owner = (char *) (owner && owner_is_valid(owner) ? owner : NULL) };

                if (!name || name_validate(name, NULL) < 0)
                        continue;
                n.bytes = (uint64_t) MAX(json_get_int(node, "bytes", 0), 0);
                n.unstored = json_get_bool(node, "unstored", false);
                n.why = tree_lost_from_string(json_get_string(node, "why"));
                k = record_add(&r, n);
                if (k < 0)
                        return k;
        }
        k = record_get_names(o, "guests", &r.guests);
        if (k >= 0)
                k = record_get_names(o, "processes", &r.processes);
        if (k < 0)
                return k;
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
