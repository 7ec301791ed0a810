/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "job.h"
#include "json-util.h"

typedef struct Job {
        const JobType *type;
        void *data;
} Job;

static void job_done(void *data) {
        Job *job = data;

        job->type->free(job->data);
        free(job);
}

static int job_work(Varlink *link, void *data) {
        Job *job = data;
        _cleanup_error_ StoreError e = {};
        int r;

        r = job->type->step(job->data, &e);
        if (r > 0) {
                r = job->type->progress ? job->type->progress(link, job->data) : 0;
                return r < 0 ? r : 1;
        }

        /* The reply frees the job. */
        r = r < 0 ? job->type->fail(link, r, &e) : job->type->finish(link, job->data);
        return r < 0 ? r : 0;
}

int job_keep(Varlink *link, const JobType *type, void *data) {
        Job *job;

        job = malloc(sizeof(Job));
        if (!job) {
                type->free(data);
                return -ENOMEM;
        }

        *job = (Job) { .type = type, .data = data };
        return varlink_keep(link, job_work, job_done, job);
}

int job_notify_progress(Varlink *link, uint64_t done, uint64_t total) {
        _cleanup_json_ struct json_object *o = json_object_new_object(), *p = json_object_new_object();

        if (!o || !p || json_add_u64(p, "done", done) < 0 || (total > 0 && json_add_u64(p, "total", total) < 0) ||
            json_add(o, "progress", TAKE_PTR(p)) < 0)
                return -ENOMEM;
        return varlink_notify(link, TAKE_PTR(o));
}
