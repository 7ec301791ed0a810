/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the daemon itself costs, over a model of the kernel: processor time of one
 * Store of 8 MiB, of a List of 10,000 nodes and of the checksum of a GiB, and the memory
 * all of this takes.
 * Prints lines NAME VALUE UNIT. Of the times, the model's own share is in it, and
 * that of the client that reads the list; of the memory, only the client's is, and
 * more than 16 MiB are a failure.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include "device-mock.h"
#include "json-util.h"
#include "log.h"
#include "manager.h"

#define N_NODES 10000U
#define MEMORY_MAX MIB(16)

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

/* Memory of this process in bytes: what it takes now, or, with "VmHWM:", the most it ever took. */
static size_t memory(const char *field) {
        _cleanup_free_ char *line = NULL;
        FILE *f = fopen("/proc/self/status", "re");
        unsigned long kib = 0;
        size_t n = 0;

        if (!f)
                abort();
        while (getline(&line, &n, f) > 0)
                if (startswith(line, field))
                        kib = strtoul(line + strlen(field), NULL, 10);
        (void) fclose(f);
        if (kib == 0)
                abort();
        return KIB(kib);
}

/* As the store would, but without looking at all other nodes each time. */
static void fill(const PkramDevice *device) {
        ManifestObject object = { .name = (char *) "object", .kind = OBJECT_DATA };
        const Manifest manifest = {
                .owner = (char *) OWNER_ROOT,
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
        const Peer root = { .pidfd = -EBADF, .owner = (char *) OWNER_ROOT };
        _cleanup_(store_save_freep) StoreSave *save = NULL;
        _cleanup_close_ int fd = memfd_create("bench", MFD_CLOEXEC);
        const StoreItem item = { .fd = fd };
        StoreSaved saved;
        double begin;

        if (fd < 0 || fallocate(fd, 0, 0, (off_t) MIB(8)) < 0)
                abort();

        begin = now_ms();
        if (store_save_new(m->store, &root, NULL, "8M", &item, 1, 0, &save, NULL) < 0 ||
            store_save_commit(save, &saved, NULL) < 0)
                abort();
        return now_ms() - begin;
}

/* Processor time of a checksum for each GiB of a file in memory, that of the kernel's pread(2) included. */
static double sum(void) {
        enum { SIZE = 64 << 20 };
        _cleanup_(checksum_freep) Checksum *c = NULL;
        _cleanup_close_ int fd = memfd_create("bench", MFD_CLOEXEC);
        static uint64_t block[8192];
        char hex[CHECKSUM_HEX_LENGTH + 1];
        double begin;

        for (size_t i = 0; i < SIZE; i += sizeof(block)) {
                for (size_t k = 0; k < ELEMENTSOF(block); k++)
                        block[k] = (i + k) * UINT64_C(0x9e3779b97f4a7c15);
                if (write(fd, block, sizeof(block)) != (ssize_t) sizeof(block))
                        abort();
        }

        begin = now_ms();
        if (checksum_new(SIZE, &c) < 0 || checksum_file_step(c, fd, /* may_seek= */ true, SIZE) != 0)
                abort();
        checksum_final(c, hex);
        return (now_ms() - begin) * (double) (GIB(1) / SIZE);
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

/* Lists all nodes several times, and gives the processor time of the fastest. */
static double list_time(Manager *m, unsigned times) {
        double best = 0;

        for (unsigned i = 0; i < times; i++) {
                double begin = now_ms(), took;

                if (list(m) != N_NODES + 1)
                        abort();
                took = now_ms() - begin;
                if (i == 0 || took < best)
                        best = took;
        }

        return best;
}

int main(void) {
        _cleanup_(mock_freep) Mock *mock = mock_new();
        _cleanup_(manager_freep) Manager *m = NULL;
        PkramDevice device = mock_device(mock);
        size_t daemon, model;

        journal_set_sink(drop_entry, NULL);
        if (manager_new(&device, &m) < 0)
                abort();
        printf("store_8m %.0f us\n", store(m) * 1e3);
        (void) sum();
        printf("verify_gib %.0f ms\n", sum());

        /* What the model takes for its nodes is the kernel's in real life. */
        model = memory("VmRSS:");
        fill(&device);
        model = memory("VmRSS:") - model;

        /* The first time every manifest is read. */
        printf("first_list_10000 %.0f ms\n", list_time(m, 1));
        printf("list_10000 %.0f ms\n", list_time(m, 5));

        daemon = memory("VmHWM:") - model;
        printf("daemon_rss %.1f MiB\n", (double) daemon / (double) MIB(1));
        if (daemon > MEMORY_MAX) {
                (void) fprintf(stderr, "pkramd takes more than %" PRIu64 " MiB with %u nodes\n", MEMORY_MAX / MIB(1),
                               N_NODES);
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}
