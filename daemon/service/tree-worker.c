/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>

#include "job.h"
#include "json-util.h"
#include "store.h"
#include "time-util.h"
#include "tree-error.h"
#include "tree-files.h"
#include "tree-target.h"
#include "tree-worker.h"
#include "varlink-idl-texts.h"

/* How often the daemon is told how far a call is. */
#define PROGRESS_EVERY_USEC (USEC_PER_SEC / 10)

struct TreeWorker {
        sd_event *event;
        PkramDevice device;
        VarlinkLimits limits;
        VarlinkServer *server;
        bool exit_on_idle;
        int lifetime; /* descriptor that pkramd waits to be closed by the end of this process, or -EBADF */
};

/* What one call needs from its beginning to its reply. */
typedef struct TreeJob {
        TreeWorker *worker;
        Config config; /* has nothing but the limits that the daemon told */
        Peer peer;
        Store *store;
        StoreSave *save;
        StoreTreeLoad *load;
        bool verify;
        bool keep; /* the node that was restored */
        int lifetime; /* the same, if this is no process of its own */
        bool tell; /* how far it is */
        uint64_t told_usec;
} TreeJob;

static TreeJob *tree_job_free(TreeJob *job) {
        if (!job)
                return NULL;

        store_tree_load_free(job->load);
        store_save_free(job->save);
        store_free(job->store);
        peer_done(&job->peer);
        safe_close(job->lifetime);
        free(job);
        return NULL;
}
DEFINE_CLEANUP(TreeJob *, tree_job_free)

static void free_job(void *data) {
        (void) tree_job_free(data);
}

static int worker_fail(Varlink *link, int r, const StoreError *e) {
        struct json_object *o;

        r = tree_error_to_json(r, e, &o);
        return r < 0 ? r : varlink_error(link, TREE_WORKER_INTERFACE ".Failed", o);
}

/* --- what calls have in common --- */

static int copy_fd(Varlink *link, struct json_object *parameters, const char *key, int *ret) {
        int fd = varlink_peek_fd(link, json_get_int(parameters, key, -1));

        if (fd < 0)
                return fd;
        fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
                return -errno;

        *ret = fd;
        return 0;
}

static int tree_job_new(Varlink *link, TreeWorker *w, struct json_object *parameters, TreeJob **ret,
                        PkramHandle *ret_session) {
        _cleanup_(tree_job_freep) TreeJob *job = NULL;
        struct json_object *caller = json_get(parameters, "caller");
        int r;

        job = calloc(1, sizeof(TreeJob));
        if (!job)
                return -ENOMEM;
        job->worker = w;
        job->lifetime = -EBADF;
        for (size_t i = 0; i < _LIMIT_MAX; i++)
                job->config.limit[i] = UINT64_MAX;
        job->peer = (Peer) {
                .uid = (uid_t) json_get_int(caller, "uid", -1),
                .gid = (gid_t) json_get_int(caller, "gid", -1),
                .pidfd = -EBADF,
                .owner = strdup(json_get_string(caller, "owner")),
        };
        if (!job->peer.owner)
                return -ENOMEM;
        if (json_get(parameters, "process")) {
                r = copy_fd(link, parameters, "process", &job->peer.pidfd);
                if (r < 0)
                        return r;
        }

        if (json_get(parameters, "lifetime")) {
                r = copy_fd(link, parameters, "lifetime", w->exit_on_idle && w->lifetime < 0 ? &w->lifetime :
                            &job->lifetime);
                if (r < 0)
                        return r;
        }

        r = store_new(&w->device, &job->config, &job->store);
        if (r < 0)
                return r;
        r = copy_fd(link, parameters, "session", &ret_session->fd);
        if (r < 0)
                return r;

        ret_session->device = w->device;
        *ret = TAKE_PTR(job);
        return 0;
}

static int tell_progress(Varlink *link, void *data) {
        TreeJob *job = data;
        uint64_t now, done, total;

        if (!job->tell)
                return 0;
        now = now_usec(CLOCK_MONOTONIC);
        if (now - job->told_usec < PROGRESS_EVERY_USEC)
                return 0;
        job->told_usec = now;

        if (job->load)
                store_tree_load_progress(job->load, &done, &total);
        else
                store_save_tree_progress(job->save, &done, &total);
        return job_notify_progress(link, done, total);
}

/* --- Save --- */

static void read_limits(Config *c, struct json_object *array) {
        for (size_t i = 0; i < json_object_array_length(array); i++) {
                struct json_object *o = json_object_array_get_idx(array, i);
                int id = limit_from_name(json_get_string(o, "name"));
                int64_t value = json_get_int(o, "value", 0);

                if (id >= 0)
                        c->limit[id] = value == INT64_MAX ? UINT64_MAX : (uint64_t) MAX(value, (int64_t) 0);
        }
}

static uint64_t read_count(struct json_object *o, const char *key) {
        return (uint64_t) MAX(json_get_int(o, key, 0), (int64_t) 0);
}

static int save_step(void *data, StoreError *e) {
        return store_save_step(((TreeJob *) data)->save, e);
}

static int save_finish(Varlink *link, void *data) {
        TreeJob *job = data;
        _cleanup_json_ struct json_object *o = json_object_new_object(), *array = json_object_new_array();
        const Checksums *sums;
        uint64_t bytes, meta_bytes, size;

        store_save_tree_result(job->save, &bytes, &meta_bytes, &size, &sums);
        if (!o || !array)
                return -ENOMEM;
        for (size_t i = 0; job->verify && i < sums->n_objects; i++)
                if (json_append(array, json_object_new_string(sums->objects[i])) < 0)
                        return -ENOMEM;
        if (json_add_u64(o, "bytes", bytes) < 0 || json_add_u64(o, "metadataBytes", meta_bytes) < 0 ||
            json_add_u64(o, "size", size) < 0 || json_add_u64(o, "objects", sums->n_objects) < 0 ||
            json_add(o, "checksums", TAKE_PTR(array)) < 0)
                return -ENOMEM;

        return varlink_reply(link, TAKE_PTR(o));
}

static const JobType save_job = {
        .step = save_step,
        .progress = tell_progress,
        .finish = save_finish,
        .fail = worker_fail,
        .free = free_job,
};

static int vl_method_save(Varlink *link, struct json_object *parameters, VarlinkFlags flags, void *userdata) {
        _cleanup_(tree_job_freep) TreeJob *job = NULL;
        _cleanup_handle_ PkramHandle session = PKRAM_HANDLE_NONE;
        struct json_object *u = json_get(parameters, "usage");
        Usage usage = {
                .total_bytes = read_count(u, "totalBytes"),
                .owner_bytes = read_count(u, "ownerBytes"),
                .total_nodes = read_count(u, "totalNodes"),
                .owner_nodes = read_count(u, "ownerNodes"),
        };
        _cleanup_error_ StoreError e = {};
        int r, directory;

        directory = varlink_peek_fd(link, json_get_int(parameters, "directory", -1));
        if (directory < 0)
                return varlink_error_invalid_parameter(link, "directory");
        r = tree_job_new(link, userdata, parameters, &job, &session);
        if (r < 0)
                return worker_fail(link, r, &e);

        job->verify = json_get_bool(parameters, "verify", false);
        read_limits(&job->config, json_get_array(parameters, "limits"));
        r = store_save_attach_tree(
                        job->store, &job->peer, &session, directory,
                        (job->verify ? STORE_VERIFY : 0) |
                        (json_get_bool(parameters, "skipSpecial", false) ? STORE_SKIP_SPECIAL : 0),
                        &usage, &job->save, &e);
        if (r < 0)
                return worker_fail(link, r, &e);

        job->tell = flags & VARLINK_MORE;
        return job_keep(link, &save_job, TAKE_PTR(job));
}

/* --- Restore --- */

static int restore_step(void *data, StoreError *e) {
        TreeJob *job = data;
        int r;

        r = store_tree_load_step(job->load, e);
        if (r == 0)
                r = store_tree_load_commit(job->load, job->keep, e);

        /*
         * What was made is gone before the caller hears that it failed. And nothing here holds on to the directory
         * any more when it hears that it is done: it may unmount it.
         */
        if (r <= 0)
                job->load = store_tree_load_free(job->load);
        return r;
}

static int restore_finish(Varlink *link, _unused_ void *data) {
        return varlink_reply(link, /* parameters= */ NULL);
}

static const JobType restore_job = {
        .step = restore_step,
        .progress = tell_progress,
        .finish = restore_finish,
        .fail = worker_fail,
        .free = free_job,
};

static int vl_method_restore(Varlink *link, struct json_object *parameters, VarlinkFlags flags, void *userdata) {
        _cleanup_(tree_job_freep) TreeJob *job = NULL;
        _cleanup_handle_ PkramHandle session = PKRAM_HANDLE_NONE;
        int64_t n = json_get_int(parameters, "kernelObjects", 0);
        _cleanup_error_ StoreError e = {};
        int r, directory;

        directory = varlink_peek_fd(link, json_get_int(parameters, "directory", -1));
        if (directory < 0)
                return varlink_error_invalid_parameter(link, "directory");
        if (n < 0 || n > UINT32_MAX)
                return varlink_error_invalid_parameter(link, "kernelObjects");
        r = tree_job_new(link, userdata, parameters, &job, &session);
        if (r < 0)
                return worker_fail(link, r, &e);

        job->keep = json_get_bool(parameters, "keep", false);
        r = store_tree_load_new(&job->peer, &session, json_get_string(parameters, "name"),
                                json_get_string(parameters, "kernelName"), (uint32_t) n, directory,
                                job->lifetime >= 0 ? job->lifetime : job->worker->lifetime, &job->load, &e);
        if (r < 0)
                return worker_fail(link, r, &e);

        job->tell = flags & VARLINK_MORE;
        return job_keep(link, &restore_job, TAKE_PTR(job));
}

/* --- PutBack --- */

static int read_time(struct json_object *parameters, const char *key, int64_t *ret_sec, uint32_t *ret_nsec) {
        struct json_object *o = json_get(parameters, key);
        int64_t nsec = json_get_int(o, "nanoseconds", -1);

        if (nsec < 0 || nsec >= 1000000000)
                return -EINVAL;
        *ret_sec = json_get_int(o, "seconds", 0);
        *ret_nsec = (uint32_t) nsec;
        return 0;
}

static int put_back(int directory, const TreeTarget *target) {
        _cleanup_close_ int fd = -EBADF;
        struct stat st;
        int r;

        r = tree_is_tmpfs_directory(directory, &st);
        if (r == 0)
                r = -ENOTDIR;
        if (r >= 0)
                r = tree_open_directory(directory, ".", &fd);
        return r < 0 ? r : tree_target_put_back(fd, target);
}

static int vl_method_put_back(Varlink *link, struct json_object *parameters, _unused_ VarlinkFlags flags,
                              void *userdata) {
        TreeWorker *w = userdata;
        TreeTarget target = {
                .state = json_get_bool(parameters, "empty", false) ? TREE_TARGET_FILLED : TREE_TARGET_LOCKED,
                .uid = (uid_t) json_get_int(parameters, "uid", -1),
                .gid = (gid_t) json_get_int(parameters, "gid", -1),
                .mode = (mode_t) json_get_int(parameters, "mode", 0) & 07777,
        };
        _cleanup_close_ int lifetime = -EBADF;
        _cleanup_error_ StoreError e = {};
        int r, directory;

        directory = varlink_peek_fd(link, json_get_int(parameters, "directory", -1));
        if (directory < 0)
                return varlink_error_invalid_parameter(link, "directory");
        if (read_time(parameters, "accessed", &target.atime_sec, &target.atime_nsec) < 0)
                return varlink_error_invalid_parameter(link, "accessed");
        if (read_time(parameters, "modified", &target.mtime_sec, &target.mtime_nsec) < 0)
                return varlink_error_invalid_parameter(link, "modified");

        r = copy_fd(link, parameters, "lifetime", w->exit_on_idle && w->lifetime < 0 ? &w->lifetime : &lifetime);
        if (r >= 0)
                r = put_back(directory, &target);
        return r < 0 ? worker_fail(link, r, &e) : varlink_reply(link, /* parameters= */ NULL);
}

/* --- the worker --- */

static void worker_on_disconnect(_unused_ Varlink *link, void *userdata) {
        TreeWorker *w = userdata;

        if (w->exit_on_idle)
                (void) sd_event_exit(w->event, 0);
}

TreeWorker *tree_worker_free(TreeWorker *w) {
        if (!w)
                return NULL;

        w->exit_on_idle = false;
        varlink_server_free(w->server);
        sd_event_unref(w->event);
        free(w);
        return NULL;
}

int tree_worker_new(sd_event *event, const PkramDevice *device, TreeWorker **ret) {
        static const VarlinkInfo info = {
                .vendor = "pkram",
                .product = "pkram-tree-worker",
                .version = PKRAM_VERSION,
                .url = "man:pkramd(8)",
        };
        _cleanup_(tree_worker_freep) TreeWorker *w = NULL;
        int r;

        w = malloc(sizeof(TreeWorker));
        if (!w)
                return -ENOMEM;
        *w = (TreeWorker) {
                .event = sd_event_ref(event),
                .lifetime = -EBADF,
                .device = *device,
                .limits = {
                        .message = { .message_bytes = MIB(1), .message_fds = 8, .output_bytes = GIB(1),
                                     .total_bytes = MIB(16) },
                        .parse_bytes = MIB(1),
                        .connections = 1024,
                        .connections_per_group = 1024,
                },
        };

        r = varlink_server_new(event, &info, &w->limits, w, &w->server);
        if (r >= 0)
                r = varlink_server_add_service(w->server);
        if (r >= 0)
                r = varlink_server_add_interface(w->server, varlink_idl_io_pkram_TreeWorker);
        if (r >= 0)
                r = varlink_server_bind(w->server, TREE_WORKER_INTERFACE ".Save", vl_method_save);
        if (r >= 0)
                r = varlink_server_bind(w->server, TREE_WORKER_INTERFACE ".Restore", vl_method_restore);
        if (r >= 0)
                r = varlink_server_bind(w->server, TREE_WORKER_INTERFACE ".PutBack", vl_method_put_back);
        if (r < 0)
                return r;
        varlink_server_set_connect(w->server, /* connect= */ NULL, worker_on_disconnect);

        *ret = TAKE_PTR(w);
        return 0;
}

void tree_worker_set_exit_on_idle(TreeWorker *w, bool b) {
        w->exit_on_idle = b;
}

int tree_worker_add_connection(TreeWorker *w, int fd) {
        return varlink_server_add_connection(w->server, fd, /* ret= */ NULL);
}
