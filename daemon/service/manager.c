/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <signal.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "accept.h"
#include "file-util.h"
#include "kexec-report.h"
#include "log.h"
#include "manager.h"
#include "methods.h"
#include "time-util.h"
#include "tree-record.h"
#include "tree-call.h"

#ifndef PKRAM_VERSION
#error "PKRAM_VERSION has to come from the build system"
#endif

static const VarlinkInfo info = {
        .vendor = "pkram",
        .product = "pkramd",
        .version = PKRAM_VERSION,
        .url = "man:pkramd(8)",
};

/* The transport knows nothing about owners: connections of the same one are a group for it. */
static int on_connect(_unused_ VarlinkServer *server, Varlink *link, void *userdata, char **ret_group) {
        Manager *m = userdata;
        Peer *peer;
        int r;

        peer = malloc(sizeof(Peer));
        if (!peer)
                return -ENOMEM;
        *peer = (Peer) { .pidfd = -EBADF };
        if (m->accepted) {
                *peer = *m->accepted;
                *m->accepted = (Peer) { .pidfd = -EBADF };
                r = 0;
        } else {
                r = peer_from_socket(varlink_fd(link), m->find_unit, m->find_unit_userdata, peer);
                if (r >= 0)
                        r = peer_set_owner(peer, UID_NONE);
        }
        if (r < 0) {
                peer_done(peer);
                free(peer);
                return r;
        }

        varlink_set_userdata(link, peer);
        *ret_group = strdup(peer->owner);
        return *ret_group ? 0 : -ENOMEM;
}

static void manager_on_disconnect(Varlink *link, void *userdata) {
        Peer *peer = varlink_userdata(link);
        Manager *m = userdata;

        if (peer)
                peer_done(peer);
        free(peer);
        trim_soon(&m->trim, m->event);
}

Manager *manager_free(Manager *m) {
        if (!m)
                return NULL;

        accept_done(m);
        unit_users_free(m->unit_users);
        varlink_server_free(m->server);
        tree_worker_free(m->tree_worker);
        assert(!m->monitors);
        while (m->tree_slots)
                tree_slot_free(m->tree_slots);
        assert(!m->kexec_calls && !m->kexec_run);
        unit_list_done(&m->marked_units);
        tree_record_stop(m);
        trim_done(&m->trim);
        store_free(m->store);
        if (m->closes)
                closer_stop();
        sd_event_unref(m->event);
        free(m);
        return NULL;
}

void manager_apply_config(Manager *m) {
        const uint64_t *l = m->config.limit;
        /* What can be stored inline in one message has to fit into one reply as well. */
        size_t least = 2 * l[LIMIT_MESSAGE_BYTES], output = MAX(l[LIMIT_OUTPUT_BYTES], least);
        /* Objects in one message. Only trees have more, and their objects are in no message. */
        uint64_t most = MAX((uint64_t) MESSAGE_OBJECTS_MAX, l[LIMIT_MESSAGE_DESCRIPTORS]);
        uint64_t objects = MIN(l[LIMIT_OBJECTS], most);
        /* Each owner can store and retrieve any node that the other limits allow. */
        size_t fds = MAX(l[LIMIT_MESSAGE_DESCRIPTORS], objects);
        size_t owner = MAX(l[LIMIT_OWNER_BUFFER_BYTES], least + output);
        size_t total = MAX(l[LIMIT_BUFFER_BYTES], owner);

        size_t owner_fds = MAX(l[LIMIT_OWNER_DESCRIPTORS], fds);

        m->varlink_limits = (VarlinkLimits) {
                .message.message_bytes = l[LIMIT_MESSAGE_BYTES],
                .message.message_fds = l[LIMIT_MESSAGE_DESCRIPTORS],
                .message.output_bytes = output,
                .message.total_bytes = total,
                .message.owner_bytes = owner,
                .message.owner_fds = owner_fds,
                .parse_bytes = KIB(64) + objects * KIB(2),
                .objects = objects,
                .connections = l[LIMIT_CONNECTIONS],
                .connections_per_group = l[LIMIT_OWNER_CONNECTIONS],
        };
}

int manager_new(const PkramDevice *device, Manager **ret) {
        _cleanup_(manager_freep) Manager *m = NULL;
        int r;

        m = calloc(1, sizeof(Manager));
        if (!m)
                return -ENOMEM;

        m->report_path = KEXEC_REPORT_PATH;
        m->tree_hold_usec = TREE_HOLD_USEC;
        config_init(&m->config);
        manager_apply_config(m);

        r = sd_event_new(&m->event);
        if (r < 0)
                return r;
        /* A service that can be kept waiting is better than none. */
        r = closer_start(m->event);
        if (r < 0)
                log_warning("Failed to start helper processes that close descriptors, continuing without: %s",
                            strerror(-r));
        m->closes = r >= 0;
        r = store_new(device, &m->config, &m->store);
        if (r < 0)
                return r;
        r = varlink_server_new(m->event, &info, &m->varlink_limits, m, &m->server);
        if (r < 0)
                return r;

        r = unit_users_new(m->event, &m->unit_users);
        if (r < 0)
                return r;
        m->find_unit = peer_find_unit;
        varlink_server_set_connect(m->server, on_connect, manager_on_disconnect);
        accept_set_up(m);
        r = varlink_server_add_service(m->server);
        if (r >= 0)
                r = methods_bind(m->server);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(m);
        return 0;
}

int manager_use_own_tree_worker(Manager *m) {
        return tree_worker_new(m->event, store_device(m->store), &m->tree_worker);
}

int manager_read_config(Config *ret) {
        int r;

        config_init(ret);
        r = config_load(ret, /* root= */ "", config_log_warning, /* userdata= */ NULL);
        return r < 0 ? log_error_errno(r, "Failed to load configuration") : 0;
}

void manager_set_config(Manager *m, const Config *c) {
        m->config = *c;
        manager_apply_config(m);
}

static int on_reload(_unused_ sd_event_source *source, _unused_ const struct signalfd_siginfo *si, void *userdata) {
        Config c;

        (void) sd_notifyf(/* unset_environment= */ false, "RELOADING=1\nMONOTONIC_USEC=%llu",
                          (unsigned long long) now_usec(CLOCK_MONOTONIC));

        /* What cannot be read leaves the old settings in place, and was logged. */
        if (manager_read_config(&c) >= 0)
                manager_set_config(userdata, &c);
        (void) sd_notify(/* unset_environment= */ false, "READY=1");
        return 0;
}

int manager_listen_fds(Manager *m) {
        int n, r;

        n = sd_listen_fds(/* unset_environment= */ true);
        if (n < 0)
                return log_error_errno(n, "Failed to get sockets from service manager");
        if (n != 1 || sd_is_socket(SD_LISTEN_FDS_START, AF_UNIX, SOCK_STREAM, /* listening= */ 1) <= 0) {
                log_error("pkramd needs exactly one listening stream socket from the service manager: "
                          "start it with 'systemctl start pkramd.socket'.");
                return -EINVAL;
        }

        r = varlink_server_listen(m->server, SD_LISTEN_FDS_START);
        if (r < 0)
                return log_error_errno(r, "Failed to set up socket");
        return 0;
}

static int add_signals(Manager *m) {
        sigset_t set;
        int r;

        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGTERM);
        (void) sigaddset(&set, SIGINT);
        (void) sigaddset(&set, SIGHUP);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;

        /* Without a handler sd-event ends the loop, which is what is wanted. */
        r = sd_event_add_signal(m->event, /* ret= */ NULL, SIGTERM, /* callback= */ NULL, /* userdata= */ NULL);
        if (r < 0)
                return r;
        r = sd_event_add_signal(m->event, /* ret= */ NULL, SIGINT, /* callback= */ NULL, /* userdata= */ NULL);
        if (r < 0)
                return r;
        return sd_event_add_signal(m->event, /* ret= */ NULL, SIGHUP, on_reload, m);
}

int manager_run(Manager *m) {
        int r;

        /* Each connection takes a few descriptors, and each message may bring many. */
        raise_descriptor_limit();

        r = add_signals(m);
        if (r >= 0)
                r = sd_event_set_watchdog(m->event, true);
        if (r < 0)
                return log_error_errno(r, "Failed to set up event loop");

        tree_record_start(m);
        (void) sd_notify(/* unset_environment= */ false, "READY=1\nSTATUS=Serving io.pkram.Store.");
        r = sd_event_loop(m->event);
        (void) sd_notify(/* unset_environment= */ false, "STOPPING=1");
        if (r < 0)
                return log_error_errno(r, "Failed to run event loop");
        return 0;
}
