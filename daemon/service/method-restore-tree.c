/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json-util.h"
#include "methods.h"

/* A RestoreTree from its call to its reply. */
typedef struct RestoreJob {
        Manager *manager;
        StoreTreeLoad *load;
} RestoreJob;

static void restore_job_free(void *data) {
        RestoreJob *job = data;

        store_tree_load_free(job->load);
        free(job);
}

static void restore_job_freep(RestoreJob **job) {
        if (*job)
                restore_job_free(*job);
}

static int finish(Varlink *link, RestoreJob *job) {
        _cleanup_json_ struct json_object *o = NULL;
        _cleanup_error_ StoreError e = {};
        _cleanup_node_ StoreNode node = {};
        Event event;
        int r;

        /* The node is gone after this, and a reply that could not be made would be a surprise. */
        o = json_object_new_object();
        if (!o || json_add_bool(o, "verified", store_tree_load_verified(job->load)) < 0 ||
            json_add(o, "node", node_to_json(store_tree_load_node(job->load))) < 0)
                return reply_store_error(link, -ENOMEM, &(StoreError) { .kind = STORE_ERROR_NO_MEMORY });

        /* Nothing here may hold on to the directory any more when the caller hears of it: it may unmount it. */
        r = store_tree_load_commit(job->load, &node, &e);
        job->load = store_tree_load_free(job->load);
        if (r < 0)
                return reply_store_error(link, r, &e);

        event = (Event) {
                .kind = EVENT_RETRIEVED,
                .name = node.info.name,
                .owner = node.owner,
                .id = node.info.id,
                .objects = node.objects,
                .bytes = store_pages_to_bytes(node.info.data_pages),
        };
        monitors_notify(job->manager, &event);
        event.kind = EVENT_RELEASED;
        monitors_notify(job->manager, &event);

        return varlink_reply(link, TAKE_PTR(o));
}

static int restore_work(Varlink *link, void *data) {
        RestoreJob *job = data;
        _cleanup_error_ StoreError e = {};
        int r;

        r = store_tree_load_step(job->load, &e);
        if (r > 0)
                return 1;
        if (r == 0)
                return finish(link, job);

        /* What was made is gone before the caller hears that it failed. */
        job->load = store_tree_load_free(job->load);
        r = reply_store_error(link, r, &e);
        return r < 0 ? r : 0;
}

int vl_method_restore_tree(Varlink *link, struct json_object *parameters, _unused_ VarlinkFlags flags, void *userdata) {
        Manager *m = userdata;
        _cleanup_(restore_job_freep) RestoreJob *job = NULL;
        _cleanup_error_ StoreError e = {};
        int r, fd;

        fd = varlink_peek_fd(link, json_get_int(parameters, "directory", -1));
        if (fd < 0)
                return varlink_error_invalid_parameter(link, "directory");

        job = calloc(1, sizeof(RestoreJob));
        if (!job)
                return -ENOMEM;
        job->manager = m;

        r = store_tree_load_new(m->store, varlink_userdata(link), json_get_string(parameters, "name"), fd, &job->load, &e);
        if (r < 0)
                return reply_store_error(link, r, &e);

        r = varlink_keep(link, restore_work, restore_job_free, job);
        TAKE_PTR(job);
        return r;
}
