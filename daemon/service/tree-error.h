/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Conversion of StoreError for the connection between the worker for trees and the daemon. */
#pragma once

#include <json-c/json.h>

#include "store-error.h"

#define TREE_WORKER_INTERFACE "io.pkram.TreeWorker"

/* The parameters of the error Failed. r: what the store returned, for failures it has no words for. -ENOMEM. */
int tree_error_to_json(int r, const StoreError *e, struct json_object **ret);

/* Fills in e from them, and returns the negative errno. -EBADMSG: they make no sense. */
int tree_error_from_json(struct json_object *o, StoreError *e);
