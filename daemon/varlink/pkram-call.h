/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls of pkramd by the programs of this project. */
#pragma once

#include "varlink-client.h"

#define SOCKET_PATH "/run/pkram/io.pkram.Store"
#define STORE_INTERFACE_PREFIX "io.pkram.Store."

/* The member of io.pkram.Store, or NULL: was this the error? */
bool reply_is_error(const VarlinkReply *reply, const char *name);

/* A sentence about a limit in a QuotaExceeded that is none of pkramd.conf(5), or NULL. */
const char *limit_to_text(const char *limit);

/* The error of a reply in words, as a sentence, with what its reason says; to be freed. NULL without memory. */
char *reply_to_text(const VarlinkReply *reply);

/*
 * Calls a method of io.pkram.Store and waits for the reply. parameters is taken over in any case and may be NULL; the
 * descriptors are borrowed. An error reply is a success here. Returns the errors of varlink_client_send() and
 * varlink_client_receive().
 */
int pkram_call_fds(VarlinkClient *c, const char *method, struct json_object *parameters, const int *fds, size_t n_fds,
                   VarlinkReply *ret);

/* The same with one descriptor, or none if it is negative. */
int pkram_call(VarlinkClient *c, const char *method, struct json_object *parameters, int fd, VarlinkReply *ret);

/*
 * Appends an object to the array "objects" of Store: the borrowed descriptor fd, which is put at the end of fds, or
 * if it is negative the bytes at data, of which there may be none. name may be NULL. fds has *n_fds elements, and room
 * for one more. Returns 0 or a negative errno.
 */
int store_objects_add(struct json_object *objects, const char *name, int fd, const void *data, size_t size, int *fds,
                      size_t *n_fds);
