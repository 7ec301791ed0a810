/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who is at the other end of a socket, as far as the store cares. */
#pragma once

#include "macro.h"

/* Owner of nodes that were not stored by pkramd. No unit has that name. */
#define OWNER_KERNEL "kernel"

/* Owner of what root stores outside of services, and of all trees of mount.pkram. No unit has that name. */
#define OWNER_ROOT "root"

/* Longest owner in bytes: the longest name of a unit. */
#define OWNER_BYTES_MAX 255U

typedef struct Peer {
        uid_t uid;
        gid_t gid;
        pid_t pid;
        int pidfd;   /* or -EBADF */
        char *owner; /* name of a system unit, "uid:N", or OWNER_ROOT */
} Peer;

void peer_done(Peer *p);
#define _cleanup_peer_ _cleanup_(peer_done)

/*
 * Finds out from the kernel who connected this AF_UNIX socket, and which unit it
 * belongs to. -ESRCH if the process is gone already: then nobody can say any
 * more what it was. Other errors of getsockopt(2), -ENOMEM.
 */
int peer_from_socket(int fd, Peer *ret);

/*
 * Returns the owner of a process. unit is the system unit whose cgroup it is in, or
 * NULL. user_slice: it belongs to a user's session or user manager, whose units do not
 * count, since that user makes them. Returns 0, or -ENOMEM.
 */
int owner_make(const char *unit, bool user_slice, uid_t uid, char **ret);

/* Returns true for owners that are a user other than root. */
bool owner_is_user(const char *owner);

/* Returns true if this can be an owner: OWNER_ROOT, OWNER_KERNEL, "uid:N", or the name of a unit. */
bool owner_is_valid(const char *owner);

/* Returns true if the peer may name this owner: it is the peer itself, or the peer is root. */
bool peer_may(const Peer *p, const char *owner);
