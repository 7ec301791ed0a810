/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The worker for trees: serves io.pkram.TreeWorker. */
#pragma once

#include "device.h"
#include "varlink.h"

typedef struct TreeWorker TreeWorker;

/* A worker on that event loop and device (copied). -ENOMEM. */
int tree_worker_new(sd_event *event, const PkramDevice *device, TreeWorker **ret);
TreeWorker *tree_worker_free(TreeWorker *w);
DEFINE_CLEANUP(TreeWorker *, tree_worker_free)

/* End the event loop when the last connection is closed. */
void tree_worker_set_exit_on_idle(TreeWorker *w, bool b);

/* Serves a connected socket, which it owns from here on, also on failure. */
int tree_worker_add_connection(TreeWorker *w, int fd);
