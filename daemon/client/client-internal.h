/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between the files of libpkram. */
#pragma once

#include <json-c/json.h>

#include "macro.h"
#include "pkram.h"

/*
 * Makes a node of its description and, if objects is not NULL, of the objects of a reply to Retrieve. Descriptors that
 * belong to objects are taken out of fds (set to a negative number). Returns 0, -EBADMSG, or -ENOMEM.
 */
int node_new(struct json_object *description, struct json_object *objects, int *fds, size_t n_fds, pkram_node **ret);

DEFINE_CLEANUP(pkram_node *, pkram_node_free)
DEFINE_CLEANUP(pkram_client *, pkram_client_free)
