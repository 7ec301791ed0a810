/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Workers for trees that run. Each takes a slot from before it is called until its
 * process has exited. If a worker is killed while it restores a tree, another one puts
 * the directory back, in the same slot.
 */
#pragma once

#include "manager.h"
#include "store-error.h"
#include "tree-call.h"
#include "varlink-client.h"

/*
 * Called once with the outcome of a restore whose worker exited without an answer: the
 * tree was restored completely, or the directory was put back. The slot must not be used any more.
 */
typedef void (*TreeSlotDone)(bool restored, void *userdata);

/* Connects to a new worker. Returns -EAGAIN if too many connections wait for workers, or another negative errno. */
int tree_worker_connect(Manager *m, VarlinkClient **ret);

/* Returns 0 if the peer may have another worker, else TryAgain. */
int tree_slots_check(const Manager *m, const Peer *peer, StoreError *reterr_error);

/* Returns true if a worker restores a tree into that directory, or the directory is being put back. */
bool tree_slots_restore_into(const Manager *m, int directory);

/*
 * Takes a slot for a worker. directory is where it will restore the node with that ID, or negative. *ret_fd goes to
 * the worker, which keeps it open until it exits; the slot frees itself some time after that. Returns 0, or a negative
 * errno.
 */
int tree_slot_new(Manager *m, const Peer *peer, int directory, uint64_t node_id, TreeSlot **ret, int *ret_fd);

/* Has the slot wait for one of the following calls before it does anything about an exit of the worker. */
void tree_slot_attach(TreeSlot *s, TreeSlotDone done, void *userdata);

/* The worker has answered, and leaves nothing to do. The slot must not be used any more. */
void tree_slot_answered(TreeSlot *s);

/* The call was freed before there was an answer. The slot must not be used any more. */
void tree_slot_detach(TreeSlot *s);

/*
 * The connection has ended without an answer. Returns true if done is called when the worker has exited and its
 * directory has been put back, possibly before this returns, or false if the worker does not restore.
 */
bool tree_slot_wait(TreeSlot *s);
