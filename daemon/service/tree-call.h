/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The daemon's end of a call of the worker for trees. */
#pragma once

#include "manager.h"
#include "store-error.h"

/* Where pkram-tree-worker.socket listens. */
#define TREE_WORKER_SOCKET "/run/pkram/tree-worker"

/*
 * Workers at the same time: of one owner that is not root, of all, and of these some
 * that only root can have. A worker counts until its process has exited, even if the
 * client has hung up, and for users at least TREE_HOLD_USEC, so that they cannot make
 * PID 1 start processes at such a rate that it stops to listen.
 */
#define TREE_CALLS_PER_OWNER 8U
#define TREE_CALLS_MAX 64U
#define TREE_CALLS_FOR_ROOT 16U
#define TREE_HOLD_USEC (USEC_PER_SEC / 4)

/* Descriptors that go with a call. */
#define TREE_CALL_FDS_MAX 3U

typedef struct TreeCall TreeCall;
typedef struct TreeSlot TreeSlot;

/*
 * Called once with the answer: 0 and the parameters of the reply, which are borrowed, or
 * a negative errno and why. May free the call.
 */
typedef void (*TreeCallDone)(int r, struct json_object *parameters, const StoreError *error, void *userdata);

/*
 * Called with each reply before the last; parameters are borrowed. Must not free the
 * call.
 */
typedef void (*TreeCallProgress)(struct json_object *parameters, void *userdata);

/* What a tree worker is called for. */
typedef enum TreeCallKind {
        TREE_CALL_SAVE,
        TREE_CALL_RESTORE,
} TreeCallKind;

/*
 * Checks what can be checked before anything is done for a call: whether the peer may
 * have another worker, and whether its directory can be one that the worker accepts.
 * Nothing waits for the file system of the directory. Returns 0; TryAgain if there are too many
 * workers, the peer has too many of them, or another one restores into the same directory; NotPreservable,
 * BadDirectory or PermissionDenied, as the worker does.
 */
int tree_call_check(const Manager *m, const Peer *peer, int directory, TreeCallKind kind, StoreError *reterr_error);

/*
 * Has a worker save or restore for a peer, after tree_call_check(). parameters is taken over in any
 * case, the descriptors are borrowed for this call; the second one is the directory. node_id is that of the node that
 * is restored. progress may be NULL. Freeing it before the answer came has what was done so far undone. If a worker
 * that restores is killed, another one puts the directory back, also after that; done is called afterwards. Returns 0;
 * TryAgain if PID 1 has too many connections to start workers for; Unexpected.
 */
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
                StoreError *reterr_error);
TreeCall *tree_call_free(TreeCall *c);

/* Forgets about a worker that may be running. */
TreeSlot *tree_slot_free(TreeSlot *s);

/* Passes on to a client with VARLINK_MORE how far the worker says it is. */
void tree_call_tell_progress(Varlink *link, struct json_object *parameters);

/* The members "caller" for a peer and the owner of the node. NULL without memory. */
struct json_object *tree_caller_to_json(const Peer *peer, const char *owner);
