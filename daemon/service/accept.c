/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "accept.h"
#include "log.h"

/* A connection that waits until it is known which user its service runs as. Nothing is read from it yet. */
typedef struct PendingPeer {
        Manager *manager;
        struct PendingPeer *next, *previous;
        int fd;
        Peer peer;
} PendingPeer;

static void pending_free(PendingPeer *p) {
        if (!p)
                return;

        if (p->previous)
                p->previous->next = p->next;
        else if (p->manager->pending_peers == p)
                p->manager->pending_peers = p->next;
        if (p->next)
                p->next->previous = p->previous;
        safe_close(p->fd);
        peer_done(&p->peer);
        free(p);
}

static void pending_freep(PendingPeer **p) {
        pending_free(*p);
}

static int accept_peer(Manager *m, Peer *peer, int fd, uid_t unit_uid) {
        int r;

        r = peer_set_owner(peer, unit_uid);
        if (r < 0) {
                safe_close(fd);
                return r;
        }

        m->accepted = peer;
        r = varlink_server_add_connection(m->server, fd, /* ret= */ NULL);
        m->accepted = NULL;
        return r;
}

static void on_unit_user(uid_t uid, void *userdata) {
        _cleanup_(pending_freep) PendingPeer *p = userdata;

        /* A connection that cannot be set up is closed, and that is all its owner can be told. */
        (void) accept_peer(p->manager, &p->peer, TAKE_FD(p->fd), uid);
}

/*
 * Connections that wait take a descriptor each, and count like others. The share is that of a user in a unit, which is
 * as close to an owner as can be told now: neither two users of a unit nor two units of a user take each other's
 * share.
 */
static bool peer_may_wait(const Manager *m, const Peer *peer) {
        size_t n = varlink_server_connections(m->server), n_peer = 0;

        for (const PendingPeer *i = m->pending_peers; i; i = i->next) {
                n++;
                n_peer += i->peer.uid == peer->uid && streq(i->peer.unit.unit, peer->unit.unit);
        }
        return n < m->varlink_limits.connections && n_peer < m->varlink_limits.connections_per_group;
}

static int on_accept(_unused_ VarlinkServer *server, int fd, void *userdata) {
        _cleanup_close_ int owned = fd;
        _cleanup_peer_ Peer peer = { .pidfd = -EBADF };
        Manager *m = userdata;
        uid_t uid = UID_NONE;
        PendingPeer *p;
        int r;

        r = peer_from_socket(fd, m->find_unit, m->find_unit_userdata, &peer);
        if (r < 0)
                return r;
        if (!peer_needs_unit_user(&peer))
                return accept_peer(m, &peer, TAKE_FD(owned), UID_NONE);
        if (!peer_may_wait(m, &peer))
                return -EUSERS;

        p = malloc(sizeof(PendingPeer));
        if (!p)
                return -ENOMEM;
        *p = (PendingPeer) { .manager = m, .next = m->pending_peers, .fd = TAKE_FD(owned), .peer = peer };
        peer = (Peer) { .pidfd = -EBADF };
        if (p->next)
                p->next->previous = p;
        m->pending_peers = p;

        /* With 0 it is done, or will be, by on_unit_user(). */
        r = unit_users_get(m->unit_users, p->peer.unit.unit, on_unit_user, p, &uid);
        if (r < 0)
                log_warning("Failed to determine the user of '%s', taking UID %u as owner: %s.",
                            p->peer.unit.unit, p->peer.uid, strerror(-r));
        if (r != 0)
                on_unit_user(uid, p);
        return 0;
}

void accept_set_up(Manager *m) {
        varlink_server_set_accept(m->server, on_accept);
}

void accept_done(Manager *m) {
        while (m->pending_peers)
                pending_free(m->pending_peers);
}
