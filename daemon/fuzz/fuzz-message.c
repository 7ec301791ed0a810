/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bytes on a connection: the message reader, the JSON check, the dispatcher, the
 * interface description and every method, over a model of the kernel. The first
 * byte of the input says in how many pieces it arrives, and whether it comes from
 * root or from another user, who must not get at root's node. Handling an input may
 * take only so much memory for each of its bytes.
 */
#include <sanitizer/allocator_interface.h>
#include <sys/socket.h>

#include "device-mock.h"
#include "json-util.h"
#include "log.h"
#include "manager.h"
#include "node-name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PIECES 3U     /* bits of the first byte: one less than the pieces it comes in */
#define OTHER_USER 4U /* a bit of the first byte */
#define MEMORY_BASE KIB(256) /* what the service takes for calls and replies of any size */
#define MESSAGES 4U   /* so many are looked at: store, replace, retrieve, release */

static Manager *manager;
static Mock *mock;
static PkramDevice device;
static Peer root = { .pidfd = -EBADF, .owner = (char *) OWNER_ROOT },
            other = { .pidfd = -EBADF, .uid = 65534, .owner = (char *) "uid:65534" };
static Peer *peer;
static uint64_t kept_id;
static size_t heap_now, heap_peak; /* bytes that malloc(3) has handed out, and the most of them */

static void heap_on_malloc(_unused_ const volatile void *p, size_t n) {
        heap_now += n;
        heap_peak = MAX(heap_peak, heap_now);
}

static void heap_on_free(const volatile void *p) {
        size_t n = p ? __sanitizer_get_allocated_size(p) : 0;

        /* Memory from before the hooks were set was not counted. */
        heap_now -= MIN(heap_now, n);
}

static void drop_entry(
                _unused_ const char *message,
                _unused_ const char *message_id,
                _unused_ const JournalFields *fields,
                _unused_ void *userdata) {
}

/* Decided here: to ask the kernel each time would be most of the work. */
static int on_connect(_unused_ VarlinkServer *server, Varlink *link, _unused_ void *userdata,
                      _unused_ char **ret_group) {
        varlink_set_userdata(link, peer);
        return 0;
}

/* A number is never given to another node, and what is stored cannot change. To read its manifest each time would be
 * most of the work. */
static bool is_kept(void) {
        uint64_t cursor = kept_id - 1;
        struct pkram_node_info info;
        uint32_t n;

        return kept_id != 0 && pkram_device_list(&device, /* flags= */ 0, &cursor, &info, 1, &n) >= 0 && n == 1 &&
                info.id == kept_id && streq(info.name, NODE_NAME_PREFIX "root|kept");
}

static void keep_node(void) {
        const StoreItem item = { .fd = -EBADF, .data = "secret", .size = 6 };
        _cleanup_(store_save_freep) StoreSave *save = NULL;
        StoreSaved saved;

        if (is_kept())
                return;

        manager->config.limit[LIMIT_NODES] = 1000;
        if (store_save_new(manager->store, &root, NULL, "kept", &item, 1, STORE_REPLACE, &save, NULL) < 0 ||
            store_save_commit(save, &saved, NULL) < 0)
                abort();
        kept_id = saved.id;
        /* Small, so that the limit is met. */
        manager->config.limit[LIMIT_NODES] = 6;
}

static void start(void) {
        journal_set_sink(drop_entry, NULL);
        mock = mock_new();
        device = mock_device(mock);
        if (manager_new(&device, &manager) < 0)
                abort();
        varlink_server_set_connect(manager->server, on_connect, NULL);
        /* A reply that is not what the description says is a finding. */
        varlink_server_set_check_replies(manager->server, true);

        /* Small, so that limits are met. */
        manager->varlink_limits.message.message_bytes = 4096;
        manager->varlink_limits.message.message_fds = 4;
        manager->varlink_limits.parse_bytes = KIB(4);
        keep_node();
}

static void settle(void) {
        int r;

        do {
                r = sd_event_run(manager->event, 0);
                if (r < 0)
                        abort();
        } while (r > 0);
}

/* Each NUL ends a message, and each message is answered, which is most of the work: that of further ones is no
 * news. */
static size_t end_of_messages(const uint8_t *data, size_t size) {
        const uint8_t *p = data + 1, *end = data + size;

        for (unsigned n = 0; n < MESSAGES && p; n++) {
                p = memchr(p, 0, (size_t) (end - p));
                p = p ? p + 1 : NULL;
        }
        return p ? (size_t) (p - data) : size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        size_t piece;
        int fds[2];

        size_t before;

        if (!manager) {
                start();
                if (!__sanitizer_install_malloc_and_free_hooks(heap_on_malloc, heap_on_free))
                        abort();
        }
        if (size < 1 || size > 16384)
                return 0;
        size = end_of_messages(data, size);
        peer = data[0] & OTHER_USER ? &other : &root;

        before = heap_peak = heap_now;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
                abort();
        if (varlink_server_add_connection(manager->server, fds[1], NULL) < 0)
                abort();

        piece = size / (1 + (data[0] & PIECES)) + 1;
        for (size_t i = 1; i < size; i += piece) {
                (void) send(fds[0], data + i, MIN(piece, size - i), MSG_NOSIGNAL);
                settle();
        }

        close(fds[0]);
        settle();
        if (varlink_server_connections(manager->server) != 0 || mock_n_handles(mock) != 0)
                abort();

        if (heap_peak - before > JSON_MEMORY_FACTOR * size + MEMORY_BASE)
                abort();

        /* What root stored is there still, whatever another user said. Root may have removed it. */
        if (peer == &other && !is_kept())
                abort();
        keep_node();
        return 0;
}
