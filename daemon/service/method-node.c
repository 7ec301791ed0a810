/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json-util.h"
#include "methods.h"

/* --- Release, Remove --- */

static int method_remove_node(Varlink *link, struct json_object *parameters, EventKind kind, Manager *m) {
        const Peer *peer = varlink_userdata(link);
        struct json_object *id = json_get(parameters, "id");
        _cleanup_error_ StoreError e = {};
        _cleanup_node_ StoreNode node = {};
        int r;

        if (id && json_object_get_int64(id) <= 0)
                return varlink_error_invalid_parameter(link, "id");

        r = store_remove(m->store, peer, json_get_string(parameters, "owner"), json_get_string(parameters, "name"),
                         id ? (uint64_t) json_object_get_int64(id) : 0, &node, &e);
        if (r < 0)
                return reply_store_error(link, r, &e);

        monitors_notify(m, &(Event) {
                .kind = kind,
                .name = node.name,
                .owner = node.owner,
                .id = node.info.id,
                .objects = node.objects,
                .bytes = store_pages_to_bytes(node.info.data_pages),
        });

        return varlink_reply(link, /* parameters= */ NULL);
}

int vl_method_release(Varlink *link, struct json_object *parameters, _unused_ VarlinkFlags flags, void *userdata) {
        return method_remove_node(link, parameters, EVENT_RELEASED, userdata);
}

int vl_method_remove(Varlink *link, struct json_object *parameters, _unused_ VarlinkFlags flags, void *userdata) {
        return method_remove_node(link, parameters, EVENT_REMOVED, userdata);
}

/* --- Describe --- */

static struct json_object *object_to_json(const StoreDescription *d, size_t index) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        const struct pkram_ioctl_stat *st = d->stats + index;
        bool file = d->managed ? d->manifest.objects[index].kind == OBJECT_FILE : st->state & PKRAM_STAT_FILE;

        if (!o ||
            json_add_u64(o, "index", index) < 0 ||
            (d->managed && d->manifest.objects[index].name &&
             json_add_string(o, "name", d->manifest.objects[index].name) < 0) ||
            json_add_string(o, "kind", object_kind_to_string(file ? OBJECT_FILE : OBJECT_DATA)) < 0 ||
            json_add_u64(o, "size", file ? st->file_bytes : st->data_bytes) < 0 ||
            json_add_u64(o, "dataBytes", file ? store_pages_to_bytes(st->pages) : st->data_bytes) < 0)
                return NULL;

        if (file &&
            (json_add_int(o, "mode", st->mode & 07777) < 0 ||
             json_add_int(o, "uid", st->uid) < 0 ||
             json_add_int(o, "gid", st->gid) < 0 ||
             json_add_int(o, "seals", st->seals) < 0 ||
             json_add_int(o, "mtimeNSec", st->mtime_ns) < 0))
                return NULL;

        if (d->have_checksums && json_add_string(o, "checksum", d->checksums.objects[index]) < 0)
                return NULL;

        return TAKE_PTR(o);
}

static struct json_object *description_to_json(const StoreDescription *d) {
        _cleanup_json_ struct json_object *o = NULL, *objects = NULL;

        o = json_object_new_object();
        objects = json_object_new_array();
        if (!o || !objects)
                return NULL;

        for (size_t i = 0; i < d->n_objects; i++)
                if (json_append(objects, object_to_json(d, i)) < 0)
                        return NULL;

        if (json_add(o, "node", node_to_json(&d->node)) < 0 ||
            (d->managed && (json_add_string(o, "kernel", d->manifest.kernel) < 0 ||
                            json_add_int(o, "uid", d->manifest.uid) < 0)) ||
            (d->have_checksums && json_add_string(o, "verify", CHECKSUM_KIND) < 0) ||
            json_add(o, "objects", TAKE_PTR(objects)) < 0)
                return NULL;

        return TAKE_PTR(o);
}

int vl_method_describe(Varlink *link, struct json_object *parameters, _unused_ VarlinkFlags flags, void *userdata) {
        Manager *m = userdata;
        const Peer *peer = varlink_userdata(link);
        _cleanup_(store_description_done) StoreDescription d = {};
        _cleanup_error_ StoreError e = {};
        struct json_object *o;
        int r;

        r = store_describe(m->store, peer, json_get_string(parameters, "owner"), json_get_string(parameters, "name"),
                           &d, &e);
        if (r < 0)
                return reply_store_error(link, r, &e);

        o = description_to_json(&d);
        if (!o)
                return -ENOMEM;
        return varlink_reply(link, o);
}

/* --- List --- */

/* Nodes listed before others get their turn. */
#define NODES_PER_TURN 128U

typedef struct ListJob {
        StoreList *list;
        JsonWriter writer;
} ListJob;

static void list_job_free(void *data) {
        ListJob *job = data;

        store_list_free(job->list);
        json_writer_done(&job->writer);
        free(job);
}

static void list_job_freep(ListJob **job) {
        if (*job)
                list_job_free(*job);
}

static int list_one(Varlink *link, ListJob *job, const StoreNode *node) {
        JsonWriter *w = &job->writer;
        int r;

        json_writer_reset(w);
        json_writer_begin(w, /* key= */ NULL);
        node_write(w, "node", node);
        json_writer_end(w);
        r = json_writer_check(w);
        return r < 0 ? r : varlink_notify_text(link, w->text, w->length);
}

static int list_work(Varlink *link, void *data) {
        ListJob *job = data;
        int r;

        for (unsigned i = 0; i < NODES_PER_TURN; i++) {
                _cleanup_error_ StoreError e = {};
                _cleanup_node_ StoreNode node = {};

                r = store_list_next(job->list, &node, &e);
                if (r < 0) {
                        r = reply_store_error(link, r, &e);
                        return r < 0 ? r : 0;
                }
                if (r == 0)
                        return varlink_reply(link, /* parameters= */ NULL);

                r = list_one(link, job, &node);
                if (r < 0)
                        return r;
        }

        return 1;
}

int vl_method_list(Varlink *link, struct json_object *parameters, VarlinkFlags flags, void *userdata) {
        Manager *m = userdata;
        const Peer *peer = varlink_userdata(link);
        _cleanup_(list_job_freep) ListJob *job = NULL;
        _cleanup_error_ StoreError e = {};
        int r;

        if (!(flags & VARLINK_MORE))
                return varlink_error_expected_more(link);

        job = calloc(1, sizeof(ListJob));
        if (!job)
                return -ENOMEM;
        r = store_list_new(m->store, peer, json_get_string(parameters, "owner"), &job->list, &e);
        if (r < 0)
                return reply_store_error(link, r, &e);

        return varlink_keep(link, list_work, list_job_free, TAKE_PTR(job));
}
