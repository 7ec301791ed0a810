/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The identity of the client at the other end of a socket, as far as the store needs it. */
#pragma once

#include "macro.h"

/* Owner of nodes that were not stored by pkramd. No unit has that name. */
#define OWNER_KERNEL "kernel"

/* Owner of what root stores outside of services, and of all trees of mount.pkram. No unit has that name. */
#define OWNER_ROOT "root"

/* Longest owner in bytes: the longest name of a unit. */
#define OWNER_BYTES_MAX 255U

#define UID_NONE ((uid_t) -1)

/* Where a process is in the hierarchy of control groups, as systemd sees it. */
typedef struct PeerUnit {
        char *unit;      /* the system unit, or NULL */
        char *slice;     /* the slice it is in, or NULL */
        bool user_slice; /* it belongs to a user's session or user manager, whose units that user makes */
} PeerUnit;

void peer_unit_done(PeerUnit *u);

/* Finds the unit of a process. Returns 0, also if it is in none, or -ENOMEM. Tests have a function of their own. */
typedef int (*PeerFindUnit)(pid_t pid, PeerUnit *ret, void *userdata);
int peer_find_unit(pid_t pid, PeerUnit *ret, void *userdata);

typedef struct Peer {
        uid_t uid;
        gid_t gid;
        pid_t pid;
        int pidfd;   /* or -EBADF */
        char *owner; /* name of a system unit, "uid:N", or OWNER_ROOT; NULL until peer_set_owner() */
        PeerUnit unit;
} Peer;

void peer_done(Peer *p);
#define _cleanup_peer_ _cleanup_(peer_done)

/*
 * Determines from the kernel which process connected this AF_UNIX socket, and which unit it
 * belongs to. Returns 0; -ESRCH if the process has exited, since its unit can no longer
 * be determined; other errors of getsockopt(2); -ENOMEM. The owner follows with
 * peer_set_owner().
 */
int peer_from_socket(int fd, PeerFindUnit find, void *userdata, Peer *ret);

/* Returns true if the owner depends on the user that the peer's service runs as. */
bool peer_needs_unit_user(const Peer *p);

/*
 * Sets the owner. unit_uid is the user that the peer's service runs as, or UID_NONE if it
 * has none or that is not known. Returns 0 or -ENOMEM.
 *
 * It is the unit for root, and for the unit's own user. Other users in a unit are there
 * because it runs programs for them, as cron does, and are users like in a session.
 * Containers are scopes, whose names change each time: if they are in a slice of their own,
 * their owner is that.
 */
int peer_set_owner(Peer *p, uid_t unit_uid);

/* Returns true for owners that are a user other than root. */
bool owner_is_user(const char *owner);

/* Returns true if this can be an owner: OWNER_ROOT, OWNER_KERNEL, "uid:N", or the name of a unit. */
bool owner_is_valid(const char *owner);

/* Returns true if the peer may name this owner: it is the peer itself, or the peer is root. */
bool peer_may(const Peer *p, const char *owner);
