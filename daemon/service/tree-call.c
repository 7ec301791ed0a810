/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/epoll.h>

#include "job.h"
#include "json-util.h"
#include "tree-call.h"
#include "tree-error.h"
#include "tree-place.h"
#include "tree-slot.h"
#include "varlink-client.h"

struct TreeCall {
        VarlinkClient *client;
        sd_event_source *source;
        TreeSlot *slot;
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
        if (c->slot)
                tree_slot_detach(c->slot);
        free(c);
        return NULL;
}

static int no_worker(StoreError *e, int r) {
        /* The queue of the socket is full. */
        if (r == -EAGAIN)
                return store_error_set(e, r, STORE_ERROR_TRY_AGAIN, NULL,
                                       "Too many trees are being stored or restored. Try again later.");
        return store_error_set(e, r, STORE_ERROR_UNEXPECTED, NULL,
                               "Failed to connect to pkram-tree-worker (%s). "
                               "Start it with 'systemctl start pkram-tree-worker.socket'.", strerror(-r));
}

static int worker_failed(StoreError *e, int r) {
        return store_error_set(e, r, STORE_ERROR_UNEXPECTED, NULL,
                               "pkram-tree-worker terminated unexpectedly (%s). "
                               "See \"journalctl -u 'pkram-tree-worker@*'\".", strerror(-r));
}

/* The worker was killed, and its directory is as before, or has everything that was to be there. */
static void on_settled(bool restored, void *userdata) {
        TreeCall *c = userdata;
        _cleanup_error_ StoreError e = {};

        c->slot = NULL;
        c->done(restored ? 0 : worker_failed(&e, -ECONNRESET), /* parameters= */ NULL, &e, c->userdata);
}

static int on_reply(_unused_ sd_event_source *source, _unused_ int fd, _unused_ uint32_t revents, void *userdata) {
        TreeCall *c = userdata;
        _cleanup_reply_ VarlinkReply reply = {};
        _cleanup_error_ StoreError e = {};
        int r;

        /* No event would wake us up for a second reply that was read together with the first one. */
        while ((r = varlink_client_try_receive(c->client, &reply)) > 0 && reply.continues && !reply.error &&
               c->progress) {
                c->progress(reply.parameters, c->userdata);
                varlink_reply_done(&reply);
        }
        if (r == 0)
                return 0;

        bool answered = r > 0 && !reply.continues;
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
        if (!answered && tree_slot_wait(c->slot))
                return 0;
        tree_slot_answered(TAKE_PTR(c->slot));
        c->done(r, reply.parameters, &e, c->userdata);
        return 0;
}

int tree_call_check(const Manager *m, const Peer *peer, int directory, TreeCallKind kind, StoreError *reterr_error) {
        bool save = kind == TREE_CALL_SAVE;
        uid_t uid;
        int r;

        r = tree_slots_check(m, peer, reterr_error);
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

        /* What one worker gives back to its user, another one would still be filling with the rights of root. */
        if (!save && tree_slots_restore_into(m, directory))
                return store_error_set(reterr_error, -EBUSY, STORE_ERROR_TRY_AGAIN, NULL,
                                       "Another tree is being restored into this directory. Try again later.");
        return 0;
}

int tree_call_new(
                Manager *m,
                const Peer *peer,
                TreeCallKind kind,
                uint64_t node_id,
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
        bool save = kind == TREE_CALL_SAVE;
        int all[TREE_CALL_FDS_MAX + 1];
        TreeSlot *slot;
        int r;

        assert(n_fds >= 2 && n_fds <= TREE_CALL_FDS_MAX);

        c = calloc(1, sizeof(TreeCall));
        if (!c || !p || json_add_int(p, "lifetime", (int64_t) n_fds) < 0)
                return store_error_device(reterr_error, -ENOMEM);
        *c = (TreeCall) {
                .progress = progress,
                .done = done,
                .userdata = userdata,
        };

        /* From here on the slot frees itself when nothing has the other end of its pipe any more. */
        r = tree_slot_new(m, peer, save ? -EBADF : fds[1], node_id, &slot, &lifetime);
        if (r < 0)
                return store_error_errno(reterr_error, r);
        memcpy(all, fds, n_fds * sizeof(int));
        all[n_fds] = lifetime;

        r = tree_worker_connect(m, &c->client);
        if (r == -ENOMEM)
                return store_error_device(reterr_error, r);
        if (r < 0)
                return no_worker(reterr_error, r);

        r = varlink_client_send(c->client, save ? TREE_WORKER_INTERFACE ".Save" : TREE_WORKER_INTERFACE ".Restore",
                                TAKE_PTR(p), all, n_fds + 1, /* more= */ progress != NULL);
        if (r >= 0)
                r = sd_event_add_io(m->event, &c->source, varlink_client_fd(c->client), EPOLLIN, on_reply, c);
        if (r == -ENOMEM)
                return store_error_device(reterr_error, r);
        if (r < 0)
                return worker_failed(reterr_error, r);

        c->slot = slot;
        tree_slot_attach(slot, on_settled, c);
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
