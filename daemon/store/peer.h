/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who is at the other end of a socket, as far as the store cares. */
#pragma once

#include "macro.h"

/* Owner of nodes that were not stored by this daemon. No unit has that name. */
#define OWNER_KERNEL "kernel"

typedef struct Peer {
        uid_t uid;
        gid_t gid;
        pid_t pid;
        int pidfd;   /* or -EBADF */
        char *owner; /* name of a system unit, or "uid:N" */
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
 * The owner a process counts as. unit: the system unit whose cgroup it is in, or
 * NULL. user_slice: it belongs to a user's session or user manager, where units
 * mean nothing, since that user makes them. -ENOMEM.
 */
int owner_make(const char *unit, bool user_slice, uid_t uid, char **ret);

/* True for owners that are a user other than root. */
bool owner_is_user(const char *owner);

/* The owner itself and root may see and take a node, nobody else. */
bool peer_may(const Peer *p, const char *owner);
