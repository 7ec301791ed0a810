/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One message for the dispatcher: JSON, envelope, and parameters against the
 * interface description. Each method refuses every call, so only the way to a
 * method is tried. A message gets one answer, which is JSON, or none if it is
 * "oneway". A malformed message reaches no method, gets no answer, and ends the
 * connection.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "json-util.h"
#include "varlink-idl-texts.h"
#include "varlink-internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const VarlinkInfo info = { .vendor = "v", .product = "p", .version = "1", .url = "u" };
static const VarlinkLimits limits = {
        .message = { .message_bytes = 65536, .message_fds = 1, .output_bytes = 65536 },
        .connections = 10,
        .connections_per_group = 10,
};
static const char *const methods[] = {
        "GetStatus", "Store", "StoreTree", "Retrieve", "RestoreTree", "Release", "Remove", "Describe", "List",
        "Monitor",
};

static VarlinkServer *server;
static Varlink *link_to_client;
static int client = -EBADF;
static unsigned n_calls;

static int refuse_all(Varlink *link, _unused_ struct json_object *p, _unused_ VarlinkFlags flags,
                      _unused_ void *userdata) {
        n_calls++;
        return varlink_error_permission_denied(link);
}

static void connect_client(void) {
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0 ||
            varlink_server_add_connection(server, fds[1], &link_to_client) < 0)
                abort();
        client = fds[0];
}

static void start(void) {
        sd_event *event;

        if (sd_event_new(&event) < 0 || varlink_server_new(event, &info, &limits, NULL, &server) < 0 ||
            varlink_server_add_service(server) < 0 ||
            varlink_server_add_interface(server, varlink_idl_io_pkram_Store) < 0)
                abort();
        for (size_t i = 0; i < ELEMENTSOF(methods); i++) {
                char name[64];

                (void) snprintf(name, sizeof(name), "io.pkram.Store.%s", methods[i]);
                if (varlink_server_bind(server, name, refuse_all) < 0)
                        abort();
        }
        varlink_server_set_check_replies(server, true);
        sd_event_unref(event);
        connect_client();
}

/* The one reply that waits, which has to be one message. */
static void read_reply(void) {
        static char reply[65536];
        ssize_t n;

        if (message_stream_flush(link_to_client->stream) != 0)
                abort();
        n = recv(client, reply, sizeof(reply), 0);
        if (n < 3 || memchr(reply, 0, (size_t) n) != reply + n - 1 || json_check(reply, (size_t) n - 1, NULL) < 0)
                abort();
}

/* The message was malformed: nothing may have been called or answered. */
static void replace_closing_link(void) {
        if (n_calls > 0 || message_stream_queued(link_to_client->stream) > 0)
                abort();
        varlink_link_free(link_to_client);
        close(client);
        connect_client();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_message_ Message m = {};
        bool silent;

        if (!server)
                start();
        if (size > 4096 || memchr(data, 0, size))
                return 0;

        m.text = malloc(size + 1);
        if (!m.text)
                abort();
        memcpy(m.text, data, size);
        m.text[size] = 0;
        m.length = size;
        silent = strstr(m.text, "oneway") || strchr(m.text, '\\');

        n_calls = 0;
        if (varlink_dispatch(link_to_client, &m) < 0 || n_calls > 1)
                abort();
        if (link_to_client->state == LINK_CLOSING) {
                replace_closing_link();
                return 0;
        }
        if (link_to_client->state != LINK_IDLE)
                abort();
        if (message_stream_queued(link_to_client->stream) > 0)
                read_reply();
        else if (!silent)
                abort();
        return 0;
}
