/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "job.h"
#include "json-util.h"
#include "time-util.h"
#include "tree-call.h"
#include "tree-error.h"
#include "tree-place.h"
#include "varlink-client.h"

struct TreeCall {
        VarlinkClient *client;
        sd_event_source *source;
        TreeCallProgress progress;
        TreeCallDone done;
        void *userdata;
};
DEFINE_CLEANUP(TreeCall *, tree_call_free)

TreeCall *tree_call_free(TreeCall *c) {
        if (!c)
                return NULL;

        sd_event_source_disable_unref(c->source);
        varlink_client_free(c->client);
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

        /* No event would wake us up for a second reply that was read together with the first one. */
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

/* --- slots --- */

/* A worker, from before it is called until its process has exited. */
struct TreeSlot {
        Manager *manager;
        char *owner;
        bool root;
        int fd; /* end of a pipe whose other end the worker has */
        sd_event_source *source;
        uint64_t begin_usec;
        TreeSlot *next, *previous;
};

TreeSlot *tree_slot_free(TreeSlot *s) {
        if (!s)
                return NULL;

        if (s->previous)
                s->previous->next = s->next;
        else
                s->manager->tree_slots = s->next;
        if (s->next)
                s->next->previous = s->previous;

        sd_event_source_disable_unref(s->source);
        safe_close(s->fd);
        free(s->owner);
        free(s);
        return NULL;
}
DEFINE_CLEANUP(TreeSlot *, tree_slot_free)

static int on_slot_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        tree_slot_free(userdata);
        return 0;
}

/* The worker has exited. Processes cannot be started at any rate either: PID 1 stops listening if they are. */
static int on_worker_exit(_unused_ sd_event_source *source, _unused_ int fd, _unused_ uint32_t revents, void *userdata) {
        TreeSlot *s = userdata;
        uint64_t end = s->begin_usec + (s->root ? 0 : s->manager->tree_hold_usec);
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        s->source = sd_event_source_disable_unref(s->source);
        if (now >= end ||
            sd_event_add_time(s->manager->event, &s->source, CLOCK_MONOTONIC, end, /* accuracy= */ 0, on_slot_timer, s) < 0)
                tree_slot_free(s);
        return 0;
}

/* Each worker is a process. Some are left for root: trees are stored when it unmounts them. */
static int slots_check(const Manager *m, const Peer *peer, StoreError *e) {
        size_t total = 0, users = 0, owner = 0;
        bool root = peer->uid == 0;

        for (const TreeSlot *i = m->tree_slots; i; i = i->next) {
                total++;
                users += !i->root;
                owner += !i->root && streq(i->owner, peer->owner);
        }

        if (!root && owner >= TREE_CALLS_PER_OWNER)
                return store_error_set(e, -EBUSY, STORE_ERROR_TRY_AGAIN, NULL,
                                       "Limit of %u concurrent tree operations per owner reached. Try again later.", TREE_CALLS_PER_OWNER);
        if (total >= TREE_CALLS_MAX || (!root && users >= TREE_CALLS_MAX - TREE_CALLS_FOR_ROOT))
                return store_error_set(e, -EBUSY, STORE_ERROR_TRY_AGAIN, NULL,
                                       "Too many trees are being stored or restored. Try again later.");
        return 0;
}

int tree_call_check(const Manager *m, const Peer *peer, int directory, TreeCallKind kind, StoreError *reterr_error) {
        bool save = kind == TREE_CALL_SAVE;
        uid_t uid;
        int r;

        r = slots_check(m, peer, reterr_error);
        if (r < 0)
                return r;

        r = tree_place_find(directory, &uid);
        if (r < 0)
                return store_error_errno(reterr_error, r);
        if (r == TREE_PLACE_OTHER)
                return save ? tree_place_refuse_save(reterr_error) : tree_place_refuse_load(reterr_error);
        if (r == TREE_PLACE_TMPFS && peer->uid != 0 && peer->uid != uid)
                return save ? tree_place_refuse_save_owner(reterr_error) :
                        store_error_set(reterr_error, -EACCES, STORE_ERROR_PERMISSION_DENIED, NULL, NULL);
        return 0;
}

/* Takes a slot. *ret_fd goes to the worker, which keeps it open until it exits. */
static int tree_slot_new(Manager *m, const Peer *peer, TreeSlot **ret, int *ret_fd) {
        _cleanup_(tree_slot_freep) TreeSlot *s = NULL;
        _cleanup_close_ int theirs = -EBADF;
        int fds[2], r;

        if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
                return -errno;
        theirs = fds[1];

        s = malloc(sizeof(TreeSlot));
        if (!s) {
                safe_close(fds[0]);
                return -ENOMEM;
        }
        *s = (TreeSlot) {
                .manager = m,
                .owner = strdup(peer->owner),
                .root = peer->uid == 0,
                .fd = fds[0],
                .begin_usec = now_usec(CLOCK_MONOTONIC),
                .next = m->tree_slots,
        };
        if (s->next)
                s->next->previous = s;
        m->tree_slots = s;
        if (!s->owner)
                return -ENOMEM;

        r = sd_event_add_io(m->event, &s->source, s->fd, EPOLLIN, on_worker_exit, s);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(s);
        *ret_fd = TAKE_FD(theirs);
        return 0;
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
        _cleanup_close_ int lifetime = -EBADF;
        int all[TREE_CALL_FDS_MAX + 1];
        TreeSlot *slot;
        int r;

        assert(n_fds <= TREE_CALL_FDS_MAX);

        c = calloc(1, sizeof(TreeCall));
        if (!c || !p || json_add_int(p, "lifetime", (int64_t) n_fds) < 0)
                return store_error_device(reterr_error, -ENOMEM);
        *c = (TreeCall) {
                .progress = progress,
                .done = done,
                .userdata = userdata,
        };

        /* From here on the slot frees itself when nothing has the other end of its pipe any more. */
        r = tree_slot_new(m, peer, &slot, &lifetime);
        if (r < 0)
                return store_error_errno(reterr_error, r);
        memcpy(all, fds, n_fds * sizeof(int));
        all[n_fds] = lifetime;

        r = worker_connect(m, &c->client);
        if (r == -ENOMEM)
                return store_error_device(reterr_error, r);
        if (r < 0)
                return no_worker(reterr_error, r);

        r = varlink_client_send(c->client, method, TAKE_PTR(p), all, n_fds + 1, /* more= */ progress != NULL);
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

        /* A client that misses this message loses nothing. */
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
