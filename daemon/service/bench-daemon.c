/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the daemon itself costs, over a model of the kernel: processor time of one
 * Store of 8 MiB and one List of 10,000 nodes, and the memory all of this takes.
 * Prints lines NAME VALUE UNIT. The model's own share is in it, too.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "device-mock.h"
#include "json-util.h"
#include "log.h"
#include "manager.h"

#define N_NODES 10000U

static void drop_entry(
                _unused_ const char *message,
                _unused_ const char *message_id,
                _unused_ const JournalFields *fields,
                _unused_ void *userdata) {
}

static double now_ms(void) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
        return (double) ts.tv_sec * 1e3 + (double) ts.tv_nsec / 1e6;
}

/* As the store would, but without looking at all other nodes each time. */
static void fill(const PkramDevice *device) {
        ManifestObject object = { .name = (char *) "object", .kind = OBJECT_DATA };
        const Manifest manifest = {
                .owner = (char *) "uid:0",
                .kernel = (char *) "6.12.0",
                .objects = &object,
                .n_objects = 1,
        };
        _cleanup_free_ char *text = NULL;
        size_t size;

        if (manifest_format(&manifest, &text, &size) < 0)
                abort();

        for (unsigned i = 0; i < N_NODES; i++) {
                _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
                char name[32];

                (void) snprintf(name, sizeof(name), "node-%u", i);
                if (pkram_save_begin(device, name, &h) < 0 ||
                    pkram_save_bytes(&h, text, size, NULL) < 0 ||
                    pkram_save_bytes(&h, "data", 4, NULL) < 0 ||
                    pkram_save_commit(&h, false, NULL) < 0)
                        abort();
        }
}

/* Processor time of one Store of 8 MiB, the model's share included. */
static double store(Manager *m) {
        const Peer root = { .pidfd = -EBADF, .owner = (char *) "uid:0" };
        _cleanup_(store_save_freep) StoreSave *save = NULL;
        _cleanup_close_ int fd = memfd_create("bench", MFD_CLOEXEC);
        const StoreItem item = { .fd = fd };
        StoreSaved saved;
        double begin;

        if (fd < 0 || fallocate(fd, 0, 0, (off_t) MIB(8)) < 0)
                abort();

        begin = now_ms();
        if (store_save_new(m->store, &root, "8M", &item, 1, 0, &save, NULL) < 0 || store_save_commit(save, &saved, NULL) < 0)
                abort();
        return now_ms() - begin;
}

static size_t list(Manager *m) {
        static const char call[] = "{\"method\":\"io.pkram.Store.List\",\"more\":true}";
        static const MessageLimits limits = { .message_bytes = MIB(1), .message_fds = 1, .output_bytes = 1 };
        _cleanup_(message_stream_freep) MessageStream *client = NULL;
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0 ||
            message_stream_new(fds[0], &limits, NULL, &client) < 0 ||
            varlink_server_add_connection(m->server, fds[1], NULL) < 0 ||
            send(fds[0], call, sizeof(call), 0) < 0)
                abort();

        for (size_t n = 0;;) {
                _cleanup_message_ Message message = {};
                size_t size;

                if (message_stream_next(client, &message, &size) > 0) {
                        n++;
                        if (!strstr(message.text, "\"continues\":true"))
                                return n - 1;
                        continue;
                }
                if (sd_event_run(m->event, 0) < 0 || message_stream_read(client) == 0)
                        abort();
        }
}

int main(void) {
        _cleanup_(mock_freep) Mock *mock = mock_new();
        _cleanup_(manager_freep) Manager *m = NULL;
        PkramDevice device = mock_device(mock);
        struct rusage usage;
        double begin;

        journal_set_sink(drop_entry, NULL);
        if (manager_new(&device, &m) < 0)
                abort();
        printf("daemon_store_8m %.3f ms\n", store(m));
        fill(&device);

        /* The first time every manifest is read; most of that is the model looking for names. */
        begin = now_ms();
        if (list(m) != N_NODES + 1)
                abort();
        printf("daemon_first_list_10000 %.1f ms\n", now_ms() - begin);

        begin = now_ms();
        if (list(m) != N_NODES + 1)
                abort();
        printf("daemon_list_10000 %.1f ms\n", now_ms() - begin);

        if (getrusage(RUSAGE_SELF, &usage) < 0)
                abort();
        printf("daemon_memory_10000 %.1f MiB\n", (double) usage.ru_maxrss / 1024);
        return EXIT_SUCCESS;
}
