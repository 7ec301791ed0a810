/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What became of guests, processes and shared memory in a kexec, by name. */
#pragma once

#include "json-util.h"

/*
 * The key of a segment ("0x0052e2c1") or the path of a file that a node holds, if it is a node of pkram-shm. Returns
 * 1, 0 if it is another node, or -ENOMEM. The caller frees *ret. owner may be NULL.
 */
int returned_shared_name(const char *owner, const char *node, char **ret);

/*
 * A list for a sentence: "web continues, db was booted (it could not be saved: …) and mail does not run". names: those
 * that ran before the kexec, or NULL. notes: those that run now, as run_notes_read() has it. again: what happened to
 * those that do not continue. The caller frees it; "" if there is nothing to tell. NULL without memory.
 */
char *returned_programs(struct json_object *names, struct json_object *notes, const char *again);

/* The same for shared memory: names of a LastKexec, and those of them that are still in their nodes. */
char *returned_shared(struct json_object *names, struct json_object *waiting);

/* Is the name in an array of strings, or of objects with a name? */
bool returned_has_name(struct json_object *array, const char *name);
