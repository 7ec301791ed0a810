/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bytes on a connection: the message reader, the JSON check, the dispatcher, the
 * interface description and every method, over a model of the kernel. The first
 * byte of the input says in how many pieces it arrives.
 */
#include <sys/socket.h>

#include "device-mock.h"
#include "json-util.h"
#include "log.h"
#include "manager.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void drop_entry(
                _unused_ const char *message,
                _unused_ const char *message_id,
                _unused_ const JournalFields *fields,
                _unused_ void *userdata) {
}

static Manager *manager;

static void start(void) {
        static Mock *mock;
        PkramDevice device;

        journal_set_sink(drop_entry, NULL);
        mock = mock_new();
        device = mock_device(mock);
        if (manager_new(&device, &manager) < 0)
                abort();
        /* A reply that is not what the description says is a finding. */
        varlink_server_set_check_replies(manager->server, true);

        /* Small, so that limits are met. */
        manager->varlink_limits.message.message_bytes = 4096;
        manager->varlink_limits.message.message_fds = 4;
        manager->config.limit[LIMIT_NODES] = 20;
}

static void settle(void) {
        int r;

        do {
                r = sd_event_run(manager->event, 0);
                if (r < 0)
                        abort();
        } while (r > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        size_t piece;
        int fds[2];

        if (!manager)
                start();
        if (size < 1 || size > 65536)
                return 0;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
                abort();
        if (varlink_server_add_connection(manager->server, fds[1], NULL) < 0)
                abort();

        piece = size / (1 + data[0] % 4) + 1;
        for (size_t i = 1; i < size; i += piece) {
                (void) send(fds[0], data + i, MIN(piece, size - i), MSG_NOSIGNAL);
                settle();
        }

        close(fds[0]);
        settle();
        if (varlink_server_connections(manager->server) != 0)
                abort();
        return 0;
}
