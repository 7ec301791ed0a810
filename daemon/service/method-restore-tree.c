/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json-util.h"
#include "kexec-call.h"
#include "methods.h"
#include "time-util.h"
#include "tree-call.h"
#include "tree-error.h"

/* A RestoreTree from its call to its reply. */
typedef struct RestoreJob {
        Manager *manager;
        Varlink *link;
        StoreTree tree;
        bool keep; /* the node */
        uint64_t begin_usec;
        TreeCall *call;
        struct json_object *reply;
} RestoreJob;

static void restore_job_free(void *data) {
        RestoreJob *job = data;

        tree_call_free(job->call);
        store_tree_done(&job->tree);
        json_object_put(job->reply);
        free(job);
}

static void restore_job_freep(RestoreJob **job) {
        if (*job)
                restore_job_free(*job);
}

static void on_progress(struct json_object *parameters, void *userdata) {
        tree_call_tell_progress(((RestoreJob *) userdata)->link, parameters);
}

static void on_restored(int r, _unused_ struct json_object *parameters, const StoreError *error, void *userdata) {
        RestoreJob *job = userdata;
        const StoreNode *node = &job->tree.node;
        Varlink *link = job->link;
        Event event;

        if (r < 0) {
                /* Without a reply the client would wait for ever. */
                if (reply_store_error(link, r, error) < 0)
                        varlink_abort(link);
                return;
        }

        event = (Event) {
                .kind = EVENT_RETRIEVED,
                .name = node->name,
                .owner = node->owner,
                .id = node->info.id,
                .objects = node->objects,
                .bytes = store_pages_to_bytes(node->info.data_pages),
        };
        monitors_notify(job->manager, &event);
        if (!job->keep) {
                event.kind = EVENT_RELEASED;
                monitors_notify(job->manager, &event);
        }
        node_log_read(node, now_usec(CLOCK_MONOTONIC) - job->begin_usec);

        /* This frees the job. */
        if (varlink_reply(link, TAKE_PTR(job->reply)) < 0)
                varlink_abort(link);
}

/* The node may be gone when the worker is done, and a reply that could not be made then would be a surprise. */
static int make_reply(RestoreJob *job) {
        _cleanup_json_ struct json_object *o = json_object_new_object();

        if (!o || json_add_bool(o, "verified", job->tree.verify) < 0 ||
            json_add(o, "node", node_to_json(&job->tree.node)) < 0)
                return -ENOMEM;
        job->reply = TAKE_PTR(o);
        return 0;
}

static int restore_tree_call_worker(RestoreJob *job, const Peer *peer, int directory, bool more, StoreError *e) {
        const StoreTree *t = &job->tree;
        int fds[3] = { t->handle.fd, directory, peer->pidfd };
        _cleanup_json_ struct json_object *p = json_object_new_object();

        if (!p || json_add_int(p, "session", 0) < 0 || json_add_int(p, "directory", 1) < 0 ||
            (peer->pidfd >= 0 && json_add_int(p, "process", 2) < 0) ||
            json_add(p, "caller", tree_caller_to_json(peer, t->node.owner)) < 0 ||
            json_add_string(p, "name", t->node.name) < 0 ||
            json_add_string(p, "kernelName", t->node.info.name) < 0 || json_add_bool(p, "keep", job->keep) < 0 ||
            json_add_u64(p, "kernelObjects", t->node.info.nr_objects) < 0)
                return store_error_device(e, -ENOMEM);

        return tree_call_new(job->manager, peer, TREE_CALL_RESTORE, t->node.info.id, TAKE_PTR(p), fds,
                             peer->pidfd >= 0 ? 3 : 2, more ? on_progress : NULL, on_restored, job, &job->call, e);
}

int vl_method_restore_tree(Varlink *link, struct json_object *parameters, VarlinkFlags flags, void *userdata) {
        Manager *m = userdata;
        const Peer *peer = varlink_userdata(link);
        _cleanup_(restore_job_freep) RestoreJob *job = NULL;
        _cleanup_error_ StoreError e = {};
        int r, fd;

        fd = varlink_peek_fd(link, json_get_int(parameters, "directory", -1));
        if (fd < 0)
                return varlink_error_invalid_parameter(link, "directory");
        kexec_call_mark_unit(m, peer, parameters);

        job = malloc(sizeof(RestoreJob));
        if (!job)
                return -ENOMEM;
        *job = (RestoreJob) {
                .manager = m,
                .link = link,
                .tree.handle = PKRAM_HANDLE_NONE,
                .keep = json_get_bool(parameters, "keep", false),
                .begin_usec = now_usec(CLOCK_MONOTONIC),
        };

        r = tree_call_check(m, peer, fd, TREE_CALL_RESTORE, &e);
        if (r >= 0)
                r = store_tree_open(m->store, peer, json_get_string(parameters, "owner"),
                                    json_get_string(parameters, "name"), &job->tree, &e);
        if (r >= 0)
                r = make_reply(job);
        if (r >= 0)
                r = restore_tree_call_worker(job, peer, fd, flags & VARLINK_MORE, &e);
        if (r < 0)
                return reply_store_error(link, r, &e);

        r = varlink_keep(link, /* work= */ NULL, restore_job_free, job);
        TAKE_PTR(job);
        return r;
}
