/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A varlink service: server, connections, calls and replies. The shape follows
 * sd-varlink (public since libsystemd 257), so that it can take over here as
 * soon as every system we run on has it.
 *
 * A connection handles one call at a time, and reads nothing while it does, nor
 * before the replies to earlier calls were read. What waits in the connections of a
 * group is counted in one budget. A method answers at once with varlink_reply() or varlink_error(), or keeps the
 * call with varlink_keep() and answers later.
 */
#pragma once

#include <json-c/json.h>
#include <systemd/sd-event.h>

#include "macro.h"
#include "message-stream.h"

#define VARLINK_ERROR_INTERFACE_NOT_FOUND "org.varlink.service.InterfaceNotFound"
#define VARLINK_ERROR_METHOD_NOT_FOUND "org.varlink.service.MethodNotFound"
#define VARLINK_ERROR_METHOD_NOT_IMPLEMENTED "org.varlink.service.MethodNotImplemented"
#define VARLINK_ERROR_INVALID_PARAMETER "org.varlink.service.InvalidParameter"
#define VARLINK_ERROR_PERMISSION_DENIED "org.varlink.service.PermissionDenied"
#define VARLINK_ERROR_EXPECTED_MORE "org.varlink.service.ExpectedMore"

typedef struct VarlinkServer VarlinkServer;
typedef struct Varlink Varlink;

typedef enum VarlinkFlags {
        VARLINK_MORE = 1 << 0,   /* the caller takes several replies */
        VARLINK_ONEWAY = 1 << 1, /* the caller takes none */
} VarlinkFlags;

/* What a server calls itself in GetInfo. */
typedef struct VarlinkInfo {
        const char *vendor, *product, *version, *url;
} VarlinkInfo;

typedef struct VarlinkLimits {
        MessageLimits message;
        size_t parse_bytes;           /* memory that a message may take in any case, see json_parse_bounded() */
        size_t objects;               /* in one call; a message with more values than they can have is refused */
        size_t connections;           /* in all */
        size_t connections_per_group; /* see varlink_server_set_connect() */
} VarlinkLimits;

/*
 * A method. parameters were checked against the interface description and are
 * borrowed; NULL stands for none. Expected failures are answered with an error
 * reply; a negative return means that even this failed, and closes the connection.
 */
typedef int (*VarlinkMethod)(Varlink *link, struct json_object *parameters, VarlinkFlags flags, void *userdata);

/*
 * Called for a new connection: says which group it belongs to (a NUL-terminated
 * string to be freed by the server, or NULL: none, and no budget), and may attach
 * data to it. A negative return closes the connection.
 */
typedef int (*VarlinkConnect)(VarlinkServer *server, Varlink *link, void *userdata, char **ret_group);
typedef void (*VarlinkDisconnect)(Varlink *link, void *userdata);

/*
 * Takes a connection that was accepted, and passes it to varlink_server_add_connection() at once or later, or closes
 * it. fd is consumed in any case.
 */
typedef int (*VarlinkAccept)(VarlinkServer *server, int fd, void *userdata);

/* Called when a message or connection exceeds a limit: has to send an error reply. */
typedef int (*VarlinkRefuse)(Varlink *link, const char *limit, uint64_t current, uint64_t requested);

/* --- server --- */

/* limits is borrowed and may change at any time. -ENOMEM. */
int varlink_server_new(sd_event *event, const VarlinkInfo *info, const VarlinkLimits *limits, void *userdata,
                       VarlinkServer **ret);
VarlinkServer *varlink_server_free(VarlinkServer *server);
DEFINE_CLEANUP(VarlinkServer *, varlink_server_free)

/* Adds the interface org.varlink.service, with its methods. Every service has it. */
int varlink_server_add_service(VarlinkServer *server);

/* Adds an interface by its description. Errors of idl_parse(). */
int varlink_server_add_interface(VarlinkServer *server, const char *description);

/* Puts code behind a described method, by its full name. -ENOENT if no interface describes it, -EEXIST. */
int varlink_server_bind(VarlinkServer *server, const char *method, VarlinkMethod callback);

/* Callbacks; any may be NULL. */
void varlink_server_set_connect(VarlinkServer *server, VarlinkConnect connect, VarlinkDisconnect disconnect);
void varlink_server_set_refuse(VarlinkServer *server, VarlinkRefuse refuse);
void varlink_server_set_accept(VarlinkServer *server, VarlinkAccept accept);

/* Accepts connections from a listening socket, which it owns from here on. */
int varlink_server_listen(VarlinkServer *server, int fd);

/* Takes a connected socket, which it owns from here on, as if it had been accepted. */
int varlink_server_add_connection(VarlinkServer *server, int fd, Varlink **ret);

/* With true, abort() when a reply is not what the description says. For tests. */
void varlink_server_set_check_replies(VarlinkServer *server, bool check);

size_t varlink_server_connections(const VarlinkServer *server);

/* Bytes in the buffers of all connections. */
size_t varlink_server_buffered(const VarlinkServer *server);

/* --- a connection within a method --- */

int varlink_fd(const Varlink *link);
void *varlink_userdata(const Varlink *link);

/* The userdata of the server that the link belongs to. */
void *varlink_server_userdata(const Varlink *link);
void varlink_set_userdata(Varlink *link, void *userdata);

/* Number of descriptors that came with the call, and one of them, borrowed; -EBADF if there is none of that index. */
size_t varlink_n_fds(const Varlink *link);
int varlink_peek_fd(const Varlink *link, int64_t index);

/* Adds a descriptor, owned by the link from here on, to the next reply. Returns its index, or -ENOMEM, -ENOBUFS. */
int varlink_push_fd(Varlink *link, int fd);

/*
 * Counts memory and descriptors that a call holds from here on in the budget of the
 * connection's group, until the call is answered; descriptors until they are pushed.
 * Returns 1, or 0 if they do not fit and the call was refused, or as VarlinkMethod.
 * May be called once for each call.
 */
int varlink_reserve(Varlink *link, size_t bytes, size_t fds);

/* Removes descriptors that were pushed since the last reply. */
void varlink_reset_fds(Varlink *link);

/*
 * The last reply of a call. parameters is consumed in any case; NULL stands for
 * none. Nothing is sent to a caller that asked for no reply. -ENOBUFS if the peer
 * does not read what it is sent: the connection is closed then.
 */
int varlink_reply(Varlink *link, struct json_object *parameters);

/* A reply with more to follow; only with VARLINK_MORE. */
int varlink_notify(Varlink *link, struct json_object *parameters);

/* The same with parameters as text, which has to be a JSON object. */
int varlink_notify_text(Varlink *link, const char *parameters, size_t length);

/* The error reply, which is the last one too. parameters is consumed in any case, and may be NULL. */
int varlink_error(Varlink *link, const char *error, struct json_object *parameters);
int varlink_error_string(Varlink *link, const char *error, const char *key, const char *value);
int varlink_error_invalid_parameter(Varlink *link, const char *parameter);
int varlink_error_permission_denied(Varlink *link);
int varlink_error_expected_more(Varlink *link);

/*
 * Keeps the call open after the method returned. work is called again and again
 * from the event loop as long as it returns 1, and stops being called when it
 * returns 0; negative is like in VarlinkMethod. The groups take turns, and in each
 * group its connections. It is not called while more than a quarter of the output
 * limit waits to be written, or more than MESSAGE_SMALL if the budget is used up. done is called exactly once,
 * when the call was answered or the peer is gone. Either may be NULL.
 */
typedef int (*VarlinkWork)(Varlink *link, void *data);
typedef void (*VarlinkDone)(void *data);
int varlink_keep(Varlink *link, VarlinkWork work, VarlinkDone done, void *data);

/* Closes the connection, from the event loop and without another word. */
void varlink_abort(Varlink *link);
