/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The calling side: one connection, one call at a time, waiting for the answer. */
#pragma once

#include <json-c/json.h>

#include "macro.h"
#include "message-stream.h"

typedef struct VarlinkClient VarlinkClient;

/* Connects to a socket in the file system. Returns -ENOENT or -ECONNREFUSED if no process listens there. */
int varlink_client_connect(const char *path, VarlinkClient **ret);

/* The same without waiting for room in the listener's queue: -EAGAIN. */
int varlink_client_connect_now(const char *path, VarlinkClient **ret);

/*
 * Limits how long a call waits for the server to take or send anything, in microseconds; UINT64_MAX, the default, is
 * forever. After that the call returns -ETIMEDOUT, and the connection can only be freed.
 */
void varlink_client_set_timeout(VarlinkClient *c, uint64_t usec);

/* On a connected socket, which it owns from here on, also on failure. */
int varlink_client_new(int fd, VarlinkClient **ret);

/* The socket, to wait for input on. */
int varlink_client_fd(const VarlinkClient *c);
VarlinkClient *varlink_client_free(VarlinkClient *c);
DEFINE_CLEANUP(VarlinkClient *, varlink_client_free)

typedef struct VarlinkReply {
        struct json_object *parameters; /* an object; never NULL after success */
        char *error;                    /* or NULL */
        bool continues;                 /* there is more to come */
        /* a caller that needs one longer takes it out (sets it to a negative number) */
        int *fds;
        size_t n_fds;
} VarlinkReply;

void varlink_reply_done(VarlinkReply *r);
#define _cleanup_reply_ _cleanup_(varlink_reply_done)

/*
 * Sends a call. parameters (may be NULL) is consumed in any case, the
 * descriptors are borrowed. more: several replies are expected.
 */
int varlink_client_send(VarlinkClient *c, const char *method, struct json_object *parameters, const int *fds,
                        size_t n_fds, bool more);

/*
 * Waits for the next reply. An error reply is a success here. -ECONNRESET: the
 * service is gone; -EBADMSG: what it says is not varlink.
 */
int varlink_client_receive(VarlinkClient *c, VarlinkReply *ret);

/* The same without waiting. 1: *ret is filled, 0: the reply is not there yet. */
int varlink_client_try_receive(VarlinkClient *c, VarlinkReply *ret);
