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
        bool check_replies;

        sd_event_source *listen_source, *resume_source;
        Varlink *links;
        size_t n_links;
        size_t input_total; /* bytes in the input buffers of all links */
};

struct Varlink {
        VarlinkServer *server;
        Varlink *next, *previous;
        MessageStream *stream;
        sd_event_source *io_source, *work_source;
        LinkState state;
        bool input_ended;
        char *group;
        void *userdata;

        /* the call */
        VarlinkFlags flags;
        const IdlInterface *interface;
        const IdlSymbol *symbol;
        int *in_fds;
        size_t n_in_fds;
        int *out_fds;
        size_t n_out_fds, out_fds_allocated;
        VarlinkWork work;
        VarlinkDone done;
        void *data;
};

/* varlink-call.c: the end of a call, whether it was answered or not. */
void varlink_link_end_call(Varlink *link);

/* Shall the work of a kept call go on now? */
bool varlink_link_may_work(const Varlink *link);

/* Makes the event sources fit the state. */
int varlink_link_update(Varlink *link);

/* varlink-link.c */
int varlink_link_new(VarlinkServer *server, int fd, Varlink **ret);
Varlink *varlink_link_free(Varlink *link);
DEFINE_CLEANUP(Varlink *, varlink_link_free)

/* varlink-dispatch.c: handles one message on an idle link, as far as it can be handled now. */
int varlink_dispatch(Varlink *link, Message *m);
