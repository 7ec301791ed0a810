/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/epoll.h>
#include <sys/socket.h>

#include "job.h"
#include "json-util.h"
#include "tree-call.h"
#include "tree-error.h"
#include "varlink-client.h"

struct TreeCall {
        VarlinkClient *client;
        sd_event_source *source;
        TreeCallProgress progress;
        TreeCallDone done;
        void *userdata;
        Manager *manager;
        char *owner;
        TreeCall *next, *previous;
};
DEFINE_CLEANUP(TreeCall *, tree_call_free)

TreeCall *tree_call_free(TreeCall *c) {
        if (!c)
                return NULL;

        if (c->previous)
                c->previous->next = c->next;
        else if (c->manager->tree_calls == c)
                c->manager->tree_calls = c->next;
        if (c->next)
                c->next->previous = c->previous;

        sd_event_source_disable_unref(c->source);
        varlink_client_free(c->client);
        free(c->owner);
        free(c);
        return NULL;
}

static int no_worker(StoreError *e, int r) {
        /* The queue of the socket is full. */
        if (r == -EAGAIN)
                return store_error_set(e, r, STORE_ERROR_TRY_AGAIN, NULL, "Too many trees are being stored or restored. Try again later.");
        return store_error_set(e, r, STORE_ERROR_UNEXPECTED, NULL,
                               "Failed to connect to pkram-tree-worker (%s). "
                               "Start it with 'systemctl start pkram-tree-worker.socket'.", strerror(-r));
}

static int worker_failed(StoreError *e, int r) {
        return store_error_set(e, r, STORE_ERROR_UNEXPECTED, NULL,
                               "pkram-tree-worker terminated unexpectedly (%s). "
                               "See \"journalctl -u 'pkram-tree-worker@*'\".", strerror(-r));
}

static int on_reply(_unused_ sd_event_source *source, _unused_ int fd, _unused_ uint32_t revents, void *userdata) {
        TreeCall *c = userdata;
        _cleanup_reply_ VarlinkReply reply = {};
        _cleanup_error_ StoreError e = {};
        int r;

        /* Nobody would wake us up for a second reply that was read together with the first one. */
        while ((r = varlink_client_try_receive(c->client, &reply)) > 0 && reply.continues && !reply.error && c->progress) {
                c->progress(reply.parameters, c->userdata);
                varlink_reply_done(&reply);
        }
        if (r == 0)
                return 0;

        if (r < 0)
                r = worker_failed(&e, r);
        else if (!reply.continues && !reply.error)
                r = 0;
        else if (!reply.continues && streq(reply.error, TREE_WORKER_INTERFACE ".Failed"))
                r = tree_error_from_json(reply.parameters, &e);
        else
                r = worker_failed(&e, -EPROTO);

        /* The worker is not needed any more, and what it had open is closed. */
        c->source = sd_event_source_disable_unref(c->source);
        c->client = varlink_client_free(c->client);
        c->done(r, reply.parameters, &e, c->userdata);
        return 0;
}

static int worker_connect(Manager *m, VarlinkClient **ret) {
        int fds[2], r;

        if (!m->tree_worker)
                return varlink_client_connect_now(TREE_WORKER_SOCKET, ret);

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
                return -errno;
        r = tree_worker_add_connection(m->tree_worker, fds[0]);
        if (r < 0) {
                safe_close(fds[1]);
                return r;
        }
        return varlink_client_new(fds[1], ret);
}

/* A worker is a process: nobody can have all of them. */
static int check_number(const Manager *m, const char *owner, StoreError *e) {
        size_t n = 0;

        for (const TreeCall *i = m->tree_calls; i; i = i->next)
                n += streq(i->owner, owner);
        if (n < TREE_CALLS_PER_OWNER)
                return 0;
        return store_error_set(e, -EBUSY, STORE_ERROR_TRY_AGAIN, NULL,
                               "Limit of %u concurrent tree operations per owner reached. Try again later.", TREE_CALLS_PER_OWNER);
}

int tree_call_new(
                Manager *m,
                const Peer *peer,
                const char *method,
                struct json_object *parameters,
                const int *fds,
                size_t n_fds,
                TreeCallProgress progress,
                TreeCallDone done,
                void *userdata,
                TreeCall **ret,
                StoreError *reterr_error) {

        _cleanup_json_ struct json_object *p = parameters;
        _cleanup_(tree_call_freep) TreeCall *c = NULL;
        int r;

        r = check_number(m, peer->owner, reterr_error);
        if (r < 0)
                return r;

        c = malloc(sizeof(TreeCall));
        if (!c || !p)
                return store_error_device(reterr_error, -ENOMEM);
        *c = (TreeCall) {
                .progress = progress,
                .done = done,
                .userdata = userdata,
                .manager = m,
                .next = m->tree_calls,
                .owner = strdup(peer->owner),
        };
        if (c->next)
                c->next->previous = c;
        m->tree_calls = c;
        if (!c->owner)
                return store_error_device(reterr_error, -ENOMEM);

        r = worker_connect(m, &c->client);
        if (r == -ENOMEM)
                return store_error_device(reterr_error, r);
        if (r < 0)
                return no_worker(reterr_error, r);

        r = varlink_client_send(c->client, method, TAKE_PTR(p), fds, n_fds, /* more= */ progress != NULL);
        if (r >= 0)
                r = sd_event_add_io(m->event, &c->source, varlink_client_fd(c->client), EPOLLIN, on_reply, c);
        if (r == -ENOMEM)
                return store_error_device(reterr_error, r);
        if (r < 0)
                return worker_failed(reterr_error, r);

        *ret = TAKE_PTR(c);
        return 0;
}

void tree_call_tell_progress(Varlink *link, struct json_object *parameters) {
        struct json_object *progress = json_get(parameters, "progress");
        int64_t done = json_get_int(progress, "done", -1), total = json_get_int(progress, "total", 0);

        /* Who does not hear of it loses nothing. */
        if (done >= 0 && total >= 0)
                (void) job_notify_progress(link, (uint64_t) done, (uint64_t) total);
}

struct json_object *tree_caller_to_json(const Peer *peer, const char *owner) {
        _cleanup_json_ struct json_object *o = json_object_new_object();

        if (!o || json_add_int(o, "uid", peer->uid) < 0 || json_add_int(o, "gid", peer->gid) < 0 ||
            json_add_string(o, "owner", owner) < 0)
                return NULL;
        return TAKE_PTR(o);
}
