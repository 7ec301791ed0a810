/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

#include "json-util.h"
#include "log.h"
#include "time-util.h"
#include "tree-error.h"
#include "tree-slot.h"
#include "tree-target.h"

struct TreeSlot {
        Manager *manager;
        char *owner;
        bool root;
        int fd; /* end of a pipe whose other end the worker has */
        sd_event_source *source;
        uint64_t begin_usec;
        bool exited;
        TreeSlot *next, *previous;

        bool over; /* nothing is left to do for the directory */
        int directory; /* that a tree is restored into, until it is over, else -EBADF */
        dev_t device;
        ino_t inode;
        uint64_t node_id;
        TreeTarget target;
        bool attached, waiting; /* there is a call, and its connection has ended without an answer */
        TreeSlotDone done;
        void *userdata;
        VarlinkClient *helper; /* worker that puts the directory back */
        sd_event_source *helper_source;
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

        sd_event_source_disable_unref(s->helper_source);
        varlink_client_free(s->helper);
        sd_event_source_disable_unref(s->source);
        safe_close(s->fd);
        closer_close(/* budget= */ NULL, s->directory);
        free(s->owner);
        free(s);
        return NULL;
}
DEFINE_CLEANUP(TreeSlot *, tree_slot_free)

int tree_worker_connect(Manager *m, VarlinkClient **ret) {
        int fds[2], r;

        if (!m->tree_worker && !m->tree_connect)
                return varlink_client_connect_now(TREE_WORKER_SOCKET, ret);

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
                return -errno;
        r = m->tree_connect ? m->tree_connect(fds[0], m->tree_connect_userdata) :
                tree_worker_add_connection(m->tree_worker, fds[0]);
        if (r < 0) {
                safe_close(fds[1]);
                return r;
        }
        return varlink_client_new(fds[1], ret);
}

static int on_slot_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        tree_slot_free(userdata);
        return 0;
}

/* The worker has exited. Processes cannot be started at any rate either: PID 1 stops listening if they are. */
static void slot_end(TreeSlot *s) {
        uint64_t end = s->begin_usec + (s->root ? 0 : s->manager->tree_hold_usec);
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (now >= end ||
            sd_event_add_time(s->manager->event, &s->source, CLOCK_MONOTONIC, end, /* accuracy= */ 0, on_slot_timer,
                              s) < 0)
                tree_slot_free(s);
}

/* Each worker is a process. Some are left for root: trees are stored when it unmounts them. */
int tree_slots_check(const Manager *m, const Peer *peer, StoreError *e) {
        size_t total = 0, users = 0, owner = 0;
        bool root = peer->uid == 0;

        for (const TreeSlot *i = m->tree_slots; i; i = i->next) {
                total++;
                users += !i->root;
                owner += !i->root && streq(i->owner, peer->owner);
        }

        if (!root && owner >= TREE_CALLS_PER_OWNER)
                return store_error_set(e, -EBUSY, STORE_ERROR_TRY_AGAIN, NULL,
                                       "Limit of %u concurrent tree operations per owner reached. Try again later.",
                                       TREE_CALLS_PER_OWNER);
        if (total >= TREE_CALLS_MAX || (!root && users >= TREE_CALLS_MAX - TREE_CALLS_FOR_ROOT))
                return store_error_set(e, -EBUSY, STORE_ERROR_TRY_AGAIN, NULL,
                                       "Too many trees are being stored or restored. Try again later.");
        return 0;
}

/* Without waiting for the file system. */
static int directory_identify(int fd, struct stat *ret) {
        struct statx stx;

        if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, STATX_INO, &stx) < 0)
                return -errno;
        *ret = (struct stat) { .st_dev = makedev(stx.stx_dev_major, stx.stx_dev_minor), .st_ino = stx.stx_ino };
        return 0;
}

/* If the worker has told anything, the directory is one of a tmpfs, and closing it never waits. */
static void slot_close_directory(TreeSlot *s) {
        int fd = TAKE_FD(s->directory);

        if (s->target.state == TREE_TARGET_UNTOUCHED)
                closer_close(/* budget= */ NULL, fd);
        else
                safe_close(fd);
}

static void slot_check(TreeSlot *s);

/* Nothing is left to do for the directory. May free the slot. */
static void slot_finish(TreeSlot *s, bool restored) {
        TreeSlotDone done = TAKE_PTR(s->done);
        void *userdata = TAKE_PTR(s->userdata);

        slot_close_directory(s);
        s->over = true;
        s->attached = false;
        slot_check(s);
        if (done)
                done(restored, userdata);
}

static int on_helper_reply(_unused_ sd_event_source *source, _unused_ int fd, _unused_ uint32_t revents,
                           void *userdata) {
        TreeSlot *s = userdata;
        _cleanup_reply_ VarlinkReply reply = {};
        int r;

        r = varlink_client_try_receive(s->helper, &reply);
        if (r == 0)
                return 0;
        if (r > 0 && reply.error)
                r = -(int) json_get_int(reply.parameters, "number", EBADMSG);
        if (r < 0)
                log_error_errno(r, "Failed to restore the previous state of a directory after its tree worker was "
                                "killed");

        s->helper_source = sd_event_source_disable_unref(s->helper_source);
        s->helper = varlink_client_free(s->helper);
        slot_finish(s, /* restored= */ false);
        return 0;
}

static struct json_object *time_to_json(int64_t sec, uint32_t nsec) {
        _cleanup_json_ struct json_object *o = json_object_new_object();

        if (!o || json_add_int(o, "seconds", sec) < 0 || json_add_int(o, "nanoseconds", nsec) < 0)
                return NULL;
        return TAKE_PTR(o);
}

static struct json_object *target_to_json(const TreeTarget *t) {
        _cleanup_json_ struct json_object *o = json_object_new_object();

        if (!o || json_add_int(o, "directory", 0) < 0 || json_add_int(o, "lifetime", 1) < 0 ||
            json_add_int(o, "uid", t->uid) < 0 || json_add_int(o, "gid", t->gid) < 0 ||
            json_add_int(o, "mode", t->mode) < 0 ||
            json_add(o, "accessed", time_to_json(t->atime_sec, t->atime_nsec)) < 0 ||
            json_add(o, "modified", time_to_json(t->mtime_sec, t->mtime_nsec)) < 0 ||
            json_add_bool(o, "empty", t->state != TREE_TARGET_LOCKED) < 0)
                return NULL;
        return TAKE_PTR(o);
}

static int on_slot_pipe(sd_event_source *source, int fd, uint32_t revents, void *userdata);

/* Creates a pipe that tells when a worker exits. *ret_fd goes to the worker, which keeps it open until then. */
static int slot_watch(TreeSlot *s, int *ret_fd) {
        int fds[2], r;

        if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
                return -errno;
        r = sd_event_add_io(s->manager->event, &s->source, fds[0], EPOLLIN, on_slot_pipe, s);
        if (r < 0) {
                close_many(fds, 2);
                return r;
        }

        safe_close(s->fd);
        s->fd = fds[0];
        *ret_fd = fds[1];
        return 0;
}

/* Has another worker restore the previous state of the directory. */
static int slot_put_back(TreeSlot *s) {
        _cleanup_close_ int lifetime = -EBADF;
        struct json_object *p;
        int r;

        r = slot_watch(s, &lifetime);
        if (r >= 0)
                r = tree_worker_connect(s->manager, &s->helper);
        if (r < 0)
                return r;
        s->exited = false;

        p = target_to_json(&s->target);
        if (!p)
                return -ENOMEM;
        r = varlink_client_send(s->helper, TREE_WORKER_INTERFACE ".PutBack", p, (int[]) { s->directory, lifetime }, 2,
                                /* more= */ false);
        if (r >= 0)
                r = sd_event_add_io(s->manager->event, &s->helper_source, varlink_client_fd(s->helper), EPOLLIN,
                                    on_helper_reply, s);
        return r;
}

/* The worker has exited without an answer. */
static void slot_settle(TreeSlot *s) {
        TreeTargetState state = (TreeTargetState) s->target.state;
        int r;

        /* The node is gone if the worker came as far as that, and then everything is there. */
        if (state == TREE_TARGET_COMMITTING && store_has_node(s->manager->store, s->node_id) == 0)
                state = TREE_TARGET_DONE;
        if (state == TREE_TARGET_UNTOUCHED || state == TREE_TARGET_DONE) {
                slot_finish(s, state == TREE_TARGET_DONE);
                return;
        }

        r = slot_put_back(s);
        if (r < 0) {
                log_error_errno(r, "Failed to start a worker that restores the previous state of a directory");
                s->helper = varlink_client_free(s->helper);
                slot_finish(s, /* restored= */ false);
        }
}

/* Goes on with what can be done now. May free the slot. */
static void slot_check(TreeSlot *s) {
        /* If there is a call, it has yet to read the answer, or that there is none. */
        if (!s->exited || s->helper || (s->attached && !s->waiting))
                return;
        if (s->over)
                slot_end(s);
        else
                slot_settle(s);
}

static int on_slot_pipe(_unused_ sd_event_source *source, _unused_ int fd, _unused_ uint32_t revents, void *userdata) {
        TreeSlot *s = userdata;
        int r;

        r = tree_target_listen(s->fd, &s->target);
        if (r == 0)
                return 0;

        s->source = sd_event_source_disable_unref(s->source);
        s->exited = true;
        slot_check(s);
        return 0;
}

bool tree_slots_restore_into(const Manager *m, int directory) {
        struct stat st = {};

        if (directory_identify(directory, &st) < 0)
                return false;
        for (const TreeSlot *i = m->tree_slots; i; i = i->next)
                if (i->directory >= 0 && i->device == st.st_dev && i->inode == st.st_ino)
                        return true;
        return false;
}

int tree_slot_new(Manager *m, const Peer *peer, int directory, uint64_t node_id, TreeSlot **ret, int *ret_fd) {
        _cleanup_(tree_slot_freep) TreeSlot *s = NULL;
        struct stat st = {};
        int r;

        s = malloc(sizeof(TreeSlot));
        if (!s)
                return -ENOMEM;
        *s = (TreeSlot) {
                .manager = m,
                .owner = strdup(peer->owner),
                .root = peer->uid == 0,
                .fd = -EBADF,
                .begin_usec = now_usec(CLOCK_MONOTONIC),
                .next = m->tree_slots,
                .over = directory < 0,
                .directory = -EBADF,
                .node_id = node_id,
        };
        if (s->next)
                s->next->previous = s;
        m->tree_slots = s;
        if (!s->owner)
                return -ENOMEM;

        if (directory >= 0) {
                r = directory_identify(directory, &st);
                if (r < 0)
                        return r;
                s->device = st.st_dev;
                s->inode = st.st_ino;
                s->directory = fcntl(directory, F_DUPFD_CLOEXEC, 3);
                if (s->directory < 0)
                        return -errno;
                closer_mark(s->directory, CLOSER_FOREIGN);
        }

        r = slot_watch(s, ret_fd);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

void tree_slot_attach(TreeSlot *s, TreeSlotDone done, void *userdata) {
        s->attached = true;
        s->done = done;
        s->userdata = userdata;
}

void tree_slot_answered(TreeSlot *s) {
        /* The client may unmount the directory as soon as it has its answer. */
        (void) tree_target_listen(s->fd, &s->target);
        slot_close_directory(s);
        s->over = true;
        tree_slot_detach(s);
}

void tree_slot_detach(TreeSlot *s) {
        s->attached = false;
        s->done = NULL;
        s->userdata = NULL;
        slot_check(s);
}

bool tree_slot_wait(TreeSlot *s) {
        if (s->over)
                return false;
        s->waiting = true;
        slot_check(s);
        return true;
}
