/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests: a service manager in a thread of its own. It answers what pkram-fdstore asks over
 * a socket of its own, and keeps what it is sent to its notify socket, as PID 1 does.
 */
#pragma once

#include "macro.h"

typedef struct MockManager MockManager;

typedef struct MockUnit {
        const char *name;          /* borrowed */
        const char *active;        /* ActiveState */
        const char *job;           /* type of its job, or "" */
        const char *preserve;      /* FileDescriptorStorePreserve */
        const char *notify_access; /* NotifyAccess */
        size_t max;                /* FileDescriptorStoreMax */
        const char *fragment;      /* FragmentPath, NULL for none */
        const char *drop_in;       /* the only one of DropInPaths, NULL for none */
        const char *root;          /* RootDirectory, NULL for none */
        bool start_only;           /* RootDirectoryStartOnly */
        bool has_stop_command;     /* ExecStop is not empty */
        bool gone;                 /* it was there when units were listed, but its properties cannot be read */
        const char *conflicts;     /* the only one of Conflicts, NULL for shutdown.target, "" for none */
        const char *before;        /* the only one of Before, NULL for none */
        const char *part_of;       /* the only one of PartOf, NULL for none */
        bool perpetual;            /* Perpetual */
} MockUnit;

/* Starts it, with its sockets in dir. units is borrowed. */
MockManager *mock_manager_new(const char *dir, MockUnit *units, size_t n_units);
MockManager *mock_manager_free(MockManager *m);
DEFINE_CLEANUP(MockManager *, mock_manager_free)

/* What a client connects to, and what $NOTIFY_SOCKET has to be. Borrowed. */
const char *mock_manager_address(const MockManager *m);
const char *mock_manager_notify_socket(const MockManager *m);

/* The unit that notifications count for. */
void mock_manager_set_sender(MockManager *m, const char *unit);

/* Puts a copy of the descriptor into the store of a unit, as its newest. */
void mock_manager_add_fd(MockManager *m, const char *unit, const char *name, int fd);

/* How many descriptors the store has; the newest with that name, borrowed, or -ENOENT; empties it. */
size_t mock_manager_n_fds(MockManager *m, const char *unit);
int mock_manager_get_fd(MockManager *m, const char *unit, const char *name);
void mock_manager_clear(MockManager *m, const char *unit);

/* How often a unit was asked to reload. */
unsigned mock_manager_n_reloads(MockManager *m);

/* The call or property with that name fails from now on; NULL for none. */
void mock_manager_fail(MockManager *m, const char *method);

/* Replies to the call with that name have the wrong type from now on; NULL for none. */
void mock_manager_garble(MockManager *m, const char *method);

/* Ways to describe descriptors wrongly. */
typedef enum MockDistortion {
        MOCK_DISTORT_NONE,
        MOCK_DISTORT_PATH,  /* another path */
        MOCK_DISTORT_INODE, /* another inode */
        MOCK_DISTORT_FLAGS, /* other open flags */
        MOCK_DISTORT_KIND,  /* directories and sockets are regular files */
        MOCK_DISTORT_NAME,  /* names with control characters */
        _MOCK_DISTORTION_MAX,
} MockDistortion;
void mock_manager_distort(MockManager *m, MockDistortion distortion);

/* Calls function before the n-th reply from now on (from 1) that describes a store. It runs in the manager's
 * thread. */
void mock_manager_set_hook(MockManager *m, unsigned n, void (*function)(void));

/* What it says its version is; borrowed. "257.13-1" if it is not set, or NULL. */
void mock_manager_set_version(MockManager *m, const char *version);

/* Notifications are not read any more, or again. */
void mock_manager_set_deaf(MockManager *m, bool deaf);
