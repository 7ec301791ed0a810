/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the varlink-*.c files of the server, from the top: server, link, dispatch and service, call. */
#pragma once

#include "idl.h"
#include "varlink.h"

typedef enum LinkState {
        LINK_IDLE,    /* waits for a call */
        LINK_CALL,    /* within a method */
        LINK_KEPT,    /* the method returned, the call is still open */
        LINK_CLOSING, /* writes what is left, then goes */
        LINK_DEAD,
} LinkState;

typedef struct Binding {
        char *method;
        VarlinkMethod callback;
} Binding;

/* Connections of one owner, or what is left of them. */
typedef struct LinkGroup {
        struct LinkGroup *next;
        size_t n_links;
        Budget *budget;
        uint64_t turn; /* when one of them had its turn last */
        bool worked;   /* and that was for work of a kept call */
        char name[];
} LinkGroup;

struct VarlinkServer {
        sd_event *event;
        VarlinkInfo info;
        const VarlinkLimits *limits;
        void *userdata;

        IdlInterface **interfaces;
        size_t n_interfaces, interfaces_allocated;
        Binding *bindings;
        size_t n_bindings, bindings_allocated;

        VarlinkConnect connect;
        VarlinkDisconnect disconnect;
        VarlinkRefuse refuse;
        VarlinkAccept accept;
        bool check_replies;

        sd_event_source *listen_source, *resume_source, *work_source;
        Varlink *links;
        size_t n_links;
        LinkGroup *groups;
        Budget *stray; /* of connections whose owner could not be determined */
        uint64_t turn;  /* number of turns that links have had */
        size_t n_bytes; /* in buffers of all links */
};

struct Varlink {
        VarlinkServer *server;
        Varlink *next, *previous;
        MessageStream *stream;
        sd_event_source *io_source;
        sd_event_source *wake_source; /* for the end of a time in which it was throttled, or broke */
        LinkState state;
        bool input_ended;
        bool working;   /* within its work, after which the event sources are updated anyway */
        bool throttled; /* it waits for its peer to read what the kernel has for it */
        LinkGroup *group;
        uint64_t turn;  /* when it had its turn last */
        void *userdata;

        /* the call */
        VarlinkFlags flags;
        const IdlInterface *interface;
        const IdlSymbol *symbol;
        int *in_fds;
        size_t n_in_fds;
        int *out_fds;
        size_t n_out_fds, out_fds_allocated;
        size_t reserved_bytes, reserved_fds; /* counted in the budget for what the call holds */
        VarlinkWork work;
        VarlinkDone done;
        void *data;
};

/* varlink-call.c: the end of a call, whether it was answered or not. */
void varlink_link_end_call(Varlink *link);

/* The budget of the owner, or NULL. */
Budget *varlink_link_budget(const Varlink *link);

/* May the link handle a call now? Not while its peer has yet to read replies. */
bool varlink_link_may_call(const Varlink *link);

/* Is there a call that the link may handle now? */
bool varlink_link_has_call(const Varlink *link);

/* Shall the work of a kept call go on now? */
bool varlink_link_may_work(const Varlink *link);

/* Makes the event sources fit the state. */
int varlink_link_update(Varlink *link);

/* varlink-server.c: has the server handle calls, and do some of the work of kept ones, soon. */
int varlink_server_wake(VarlinkServer *server);

/* varlink-link.c: handles calls that are there, or does a bit of the work of a kept one, and everything that
 * follows. */
void varlink_link_work(Varlink *link);

int varlink_link_new(VarlinkServer *server, int fd, Varlink **ret);
Varlink *varlink_link_free(Varlink *link);
DEFINE_CLEANUP(Varlink *, varlink_link_free)

/* varlink-dispatch.c: handles one message on an idle link, as far as it can be handled now. */
int varlink_dispatch(Varlink *link, Message *m);
