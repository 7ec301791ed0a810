/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "json-util.h"
#include "varlink-client.h"

struct VarlinkClient {
        MessageStream *stream;
        MessageLimits limits;
        int timeout_msec;
};

int varlink_client_new(int fd, VarlinkClient **ret) {
        _cleanup_(varlink_client_freep) VarlinkClient *c = NULL;
        _cleanup_close_ int owned = fd;
        int r;

        if (fcntl(owned, F_SETFL, fcntl(owned, F_GETFL) | O_NONBLOCK) < 0)
                return -errno;

        c = malloc(sizeof(VarlinkClient));
        if (!c)
                return -ENOMEM;
        *c = (VarlinkClient) {
                .timeout_msec = -1,
                .limits = {
                        .message_bytes = GIB(1),
                        .message_fds = 65536,
                        .output_bytes = GIB(1),
                },
        };

        r = message_stream_new(TAKE_FD(owned), &c->limits, /* total= */ NULL, &c->stream);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(c);
        return 0;
}

static int client_connect(const char *path, int flags, VarlinkClient **ret) {
        _cleanup_close_ int fd = -EBADF;
        union {
                struct sockaddr sa;
                struct sockaddr_un un;
        } address = { .un.sun_family = AF_UNIX };

        if (strlen(path) >= sizeof(address.un.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.un.sun_path, path, strlen(path));

        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, &address.sa, sizeof(address.un)) < 0)
                return -errno;

        return varlink_client_new(TAKE_FD(fd), ret);
}

int varlink_client_connect(const char *path, VarlinkClient **ret) {
        return client_connect(path, /* flags= */ 0, ret);
}

int varlink_client_connect_now(const char *path, VarlinkClient **ret) {
        return client_connect(path, SOCK_NONBLOCK, ret);
}

void varlink_client_set_timeout(VarlinkClient *c, uint64_t usec) {
        c->timeout_msec = usec >= INT_MAX * UINT64_C(1000) ? -1 : (int) (usec / 1000);
}

int varlink_client_fd(const VarlinkClient *c) {
        return message_stream_fd(c->stream);
}

VarlinkClient *varlink_client_free(VarlinkClient *c) {
        if (c)
                message_stream_free(c->stream);
        free(c);
        return NULL;
}

void varlink_reply_done(VarlinkReply *r) {
        json_object_unref(r->parameters);
        free(r->error);
        if (r->fds)
                close_many(r->fds, r->n_fds);
        free(r->fds);
        *r = (VarlinkReply) {};
}

static int wait_for(const VarlinkClient *c, short events) {
        struct pollfd p = { .fd = message_stream_fd(c->stream), .events = events };

        int n;

        while ((n = poll(&p, 1, c->timeout_msec)) < 0)
                if (errno != EINTR)
                        return -errno;
        return n == 0 ? -ETIMEDOUT : 0;
}

static int build_call(const char *method, struct json_object *parameters, bool more, struct json_object **ret) {
        _cleanup_json_ struct json_object *p = parameters, *call = NULL;

        call = json_object_new_object();
        if (!call || json_add_string(call, "method", method) < 0)
                return -ENOMEM;
        if (p && json_add(call, "parameters", TAKE_PTR(p)) < 0)
                return -ENOMEM;
        if (more && json_add_bool(call, "more", true) < 0)
                return -ENOMEM;

        *ret = TAKE_PTR(call);
        return 0;
}

int varlink_client_send(
                VarlinkClient *c,
                const char *method,
                struct json_object *parameters,
                const int *fds,
                size_t n_fds,
                bool more) {

        _cleanup_json_ struct json_object *call = NULL;
        _cleanup_free_ int *copies = NULL;
        const char *text;
        size_t length;
        int r;

        r = build_call(method, parameters, more, &call);
        if (r < 0)
                return r;
        text = json_text(call, &length);
        copies = malloc((n_fds + 1) * sizeof(int));
        if (!text || !copies)
                return -ENOMEM;

        for (size_t i = 0; i < n_fds; i++) {
                copies[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
                if (copies[i] < 0) {
                        r = -errno;
                        close_many(copies, i);
                        return r;
                }
        }

        r = message_stream_queue(c->stream, text, length, copies, n_fds);
        if (r < 0)
                return r;

        while ((r = message_stream_flush(c->stream)) > 0) {
                r = wait_for(c, POLLOUT);
                if (r < 0)
                        return r;
        }

        /* A service that refused the message before it was complete has said why. */
        return r == -EPIPE ? 0 : r;
}

static int parse_reply(Message *m, VarlinkReply *ret) {
        _cleanup_json_ struct json_object *o = NULL;
        _cleanup_reply_ VarlinkReply reply = {};
        struct json_object *parameters;
        const char *error;
        int r;

        r = json_parse_own(m->text, m->length, &o, /* reterr_key= */ NULL);
        if (r == -ENOMEM)
                return r;
        if (r < 0 || !json_object_is_type(o, json_type_object))
                return -EBADMSG;

        parameters = json_get(o, "parameters");
        if (parameters && !json_object_is_type(parameters, json_type_object))
                return -EBADMSG;
        reply.parameters = parameters ? json_object_get(parameters) : json_object_new_object();
        if (!reply.parameters)
                return -ENOMEM;

        error = json_get_string(o, "error");
        /* An error that cannot be read is no success. */
        if (!error && json_get(o, "error"))
                return -EBADMSG;
        if (error) {
                reply.error = strdup(error);
                if (!reply.error)
                        return -ENOMEM;
        }

        reply.continues = json_get_bool(o, "continues", false);
        reply.fds = TAKE_PTR(m->fds);
        reply.n_fds = m->n_fds;

        *ret = reply;
        reply = (VarlinkReply) {};
        return 0;
}

int varlink_client_try_receive(VarlinkClient *c, VarlinkReply *ret) {
        for (;;) {
                _cleanup_message_ Message m = {};
                size_t size;
                int r;

                r = message_stream_next(c->stream, &m, &size);
                if (r < 0)
                        return r;
                if (r > 0) {
                        r = parse_reply(&m, ret);
                        return r < 0 ? r : 1;
                }

                r = message_stream_read(c->stream);
                if (r == -EAGAIN)
                        return 0;
                if (r <= 0)
                        return r < 0 ? r : -ECONNRESET;
        }
}

int varlink_client_receive(VarlinkClient *c, VarlinkReply *ret) {
        int r;

        while ((r = varlink_client_try_receive(c, ret)) == 0) {
                r = wait_for(c, POLLIN);
                if (r < 0)
                        break;
        }
        return r < 0 ? r : 0;
}
