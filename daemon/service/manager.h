/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Everything pkramd has at run time. */
#pragma once

#include "kexec-units.h"
#include "store.h"
#include "tree-worker.h"
#include "trim.h"
#include "unit-user.h"
#include "varlink.h"

typedef struct Manager {
        sd_event *event;
        Config config;
        VarlinkLimits varlink_limits; /* config, as the transport wants it */
        Store *store;
        VarlinkServer *server;
        TreeWorker *tree_worker; /* within this process, for tests; else NULL */
        /* gives a connected socket, consumed, to a worker, for tests; else NULL */
        int (*tree_connect)(int fd, void *userdata);
        void *tree_connect_userdata;
        struct Monitor *monitors;
        struct TreeSlot *tree_slots; /* workers for trees that are running */
        uint64_t tree_hold_usec;     /* TREE_HOLD_USEC; tests have 0 */
        struct KexecCall *kexec_calls;
        struct KexecRun *kexec_run;
        char *tree_record; /* text of the node that names mounted trees, NULL if there is none; see tree-record.h */
        sd_event_source *tree_record_parent, *tree_record_table;
        UnitList marked_units; /* those that have a mark for certain, so that it is made once */
        struct PendingPeer *pending_peers; /* connections whose owner is not known yet */
        Peer *accepted;                    /* of the connection that is being added; what is taken from it is reset */
        PeerFindUnit find_unit;            /* peer_find_unit(); tests have another one */
        void *find_unit_userdata;
        UnitUsers *unit_users;
        Trim trim;
        bool closes; /* closer_start() was called */
        const char *report_path; /* KEXEC_REPORT_PATH; tests have another one */
        const char *check_path;  /* KEXEC_CHECK_SOCKET, or NULL: CheckKexec judges in this process */
        const char *units_path;  /* KEXEC_UNITS_DIR, or NULL: units are not marked */
        const char *utab_path;   /* NULL: /run/mount/utab */
        const char *mounts_path; /* NULL: MOUNT_TABLE */
} Manager;

/* A manager on that device (copied), with default limits and no socket yet. */
int manager_new(const PkramDevice *device, Manager **ret);
Manager *manager_free(Manager *m);
DEFINE_CLEANUP(Manager *, manager_free)

/* Reads the configuration. What is wrong in it is logged, and so is an error. Returns 0, or a negative errno. */
int manager_read_config(Config *ret);

/* Has the configuration take effect. c is copied. */
void manager_set_config(Manager *m, const Config *c);

/* Has to be called after m->config was changed in another way. */
void manager_apply_config(Manager *m);

/* Has this process do what the worker for trees does. For tests. */
int manager_use_own_tree_worker(Manager *m);

/* Takes the listening socket from the service manager. Logs what is wrong. */
int manager_listen_fds(Manager *m);

/* Serves until SIGTERM or SIGINT, with start-up notification and watchdog. Logs what is wrong. */
int manager_run(Manager *m);
