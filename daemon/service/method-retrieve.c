/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base64.h"
#include "job.h"
#include "json-util.h"
#include "kexec-call.h"
#include "methods.h"
#include "time-util.h"

/* A Retrieve from its call to its reply. */
typedef struct RetrieveJob {
        Manager *manager;
        StoreLoad *load;
        bool want_data;
        uint64_t begin_usec;
} RetrieveJob;

static void retrieve_job_free(void *data) {
        RetrieveJob *job = data;

        store_load_free(job->load);
        free(job);
}

static void retrieve_job_freep(RetrieveJob **job) {
        if (*job)
                retrieve_job_free(*job);
}

static int item_to_json(Varlink *link, StoreLoadItem *item, bool want_data, struct json_object **ret) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        int r;

        if (!o ||
            (item->name && json_add_string(o, "name", item->name) < 0) ||
            json_add_string(o, "kind", object_kind_to_string(item->kind)) < 0 ||
            json_add_u64(o, "size", item->size) < 0)
                return -ENOMEM;

        if (item->fd >= 0 && !want_data) {
                r = varlink_push_fd(link, TAKE_FD(item->fd));
                if (r < 0)
                        return r;
                if (json_add_int(o, "fileDescriptor", r) < 0)
                        return -ENOMEM;
        }

        if (item->data) {
                _cleanup_free_ char *text = NULL;

                r = base64_encode(item->data, item->data_size, &text);
                if (r < 0)
                        return r;
                if (json_add_string(o, "data", text) < 0)
                        return -ENOMEM;
        }

        *ret = TAKE_PTR(o);
        return 0;
}

static int build_reply(Varlink *link, RetrieveJob *job, struct json_object **ret) {
        _cleanup_json_ struct json_object *o = NULL, *objects = NULL;
        StoreLoad *load = job->load;
        int r;

        o = json_object_new_object();
        objects = json_object_new_array();
        if (!o || !objects)
                return -ENOMEM;

        for (size_t i = 0; i < load->n_items; i++) {
                struct json_object *item;

                r = item_to_json(link, load->items + i, job->want_data, &item);
                if (r < 0)
                        return r;
                if (json_append(objects, item) < 0)
                        return -ENOMEM;
        }

        if (json_add(o, "node", node_to_json(&load->node)) < 0 ||
            json_add_bool(o, "verified", load->manifest.verify) < 0 ||
            json_add(o, "objects", TAKE_PTR(objects)) < 0)
                return -ENOMEM;

        *ret = TAKE_PTR(o);
        return 0;
}

/* All inline data has to fit into one reply. */
static bool too_much_data(const RetrieveJob *job) {
        uint64_t sum = 0;

        for (size_t i = 0; i < job->load->n_items; i++)
                if (!inc_u64(&sum, job->load->items[i].data_size / 3 * 4 + 1024))
                        return true;

        return sum > job->manager->varlink_limits.message.output_bytes / 4 * 3;
}

static int retrieve_job_finish(Varlink *link, RetrieveJob *job) {
        _cleanup_json_ struct json_object *o = NULL;
        const StoreNode *node = &job->load->node;
        int r;

        r = build_reply(link, job, &o);
        if (r == -ENOMEM)
                return reply_store_error(link, r, &(StoreError) { .kind = STORE_ERROR_NO_MEMORY });
        if (r < 0)
                return r;

        monitors_notify(job->manager, &(Event) {
                .kind = EVENT_RETRIEVED,
                .name = node->name,
                .owner = node->owner,
                .id = node->info.id,
                .objects = node->objects,
                .bytes = store_pages_to_bytes(node->info.data_pages),
        });
        node_log_read(node, now_usec(CLOCK_MONOTONIC) - job->begin_usec);

        return varlink_reply(link, TAKE_PTR(o));
}

static int retrieve_step(void *data, StoreError *e) {
        return store_load_step(((RetrieveJob *) data)->load, e);
}

static int retrieve_finish(Varlink *link, void *data) {
        return retrieve_job_finish(link, data);
}

static const JobType retrieve_job = {
        .step = retrieve_step,
        .finish = retrieve_finish,
        .fail = reply_store_error,
        .free = retrieve_job_free,
};

int vl_method_retrieve(Varlink *link, struct json_object *parameters, _unused_ VarlinkFlags flags, void *userdata) {
        Manager *m = userdata;
        const Peer *peer = varlink_userdata(link);
        _cleanup_(retrieve_job_freep) RetrieveJob *job = NULL;
        _cleanup_error_ StoreError e = {};
        int r, target = -EBADF;
        size_t bytes, fds;

        if (json_get(parameters, "into")) {
                target = varlink_peek_fd(link, json_get_int(parameters, "into", -1));
                if (target < 0)
                        return varlink_error_invalid_parameter(link, "into");
        }

        kexec_call_mark_unit(m, peer, parameters);

        job = calloc(1, sizeof(RetrieveJob));
        if (!job)
                return -ENOMEM;
        job->manager = m;
        job->want_data = json_get_bool(parameters, "inline", false);
        job->begin_usec = now_usec(CLOCK_MONOTONIC);

        r = store_load_new(m->store, peer, json_get_string(parameters, "owner"), json_get_string(parameters, "name"),
                           job->want_data, &job->load, &e);
        if (r >= 0 && target >= 0)
                r = store_load_set_target(job->load, target, &e);
        if (r < 0)
                return reply_store_error(link, r, &e);

        /* Loading is what takes time, and a call that is refused takes none. */
        if (too_much_data(job))
                return reply_store_error(link, -EFBIG, &(StoreError) {
                        .kind = STORE_ERROR_REPLY_TOO_LARGE,
                        .reason = (char *) "The objects together are too large for one reply. Retrieve them as file "
                                "descriptors.",
                });
        store_load_cost(job->load, &bytes, &fds);
        r = varlink_reserve(link, bytes, fds);
        if (r <= 0)
                return r;

        /* Most nodes are small. */
        r = store_load_step(job->load, &e);
        if (r < 0)
                return reply_store_error(link, r, &e);
        return r == 0 ? retrieve_job_finish(link, job) : job_keep(link, &retrieve_job, TAKE_PTR(job));
}
