/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A whole pkramd in this process, over a model of the kernel, with clients that speak through real sockets. */
#pragma once

#include "device-mock.h"
#include "json-util.h"
#include "log.h"
#include "manager.h"
#include "test-store-fixture.h"

/* Calls as text, and names of errors. */
#define CALL(method, parameters) "{\"method\":\"io.pkram.Store." method "\",\"parameters\":" parameters "}"
#define MORE(method) "{\"method\":\"io.pkram.Store." method "\",\"more\":true}"
#define ERROR(name) "io.pkram.Store." name
#define DENIED "org.varlink.service.PermissionDenied"
#define INVALID "org.varlink.service.InvalidParameter"

typedef struct Fixture {
        Mock *mock;
        PkramDevice device;
        Manager *manager;
        unsigned n_entries; /* journal entries so far, and the last one */
        char entry[1024], entry_id[64];
        JournalFields entry_fields;
        char entry_node[300], entry_owner[300];
} Fixture;

int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Ends the manager and starts another one over the same kernel, as after a crash or an update. */
void fixture_restart(Fixture *f);

typedef struct Client {
        Fixture *fixture;
        MessageStream *stream;
        Varlink *link; /* the other end, as long as that lives */
} Client;

/* A connection owned by the user that runs the tests, or by that uid and owner. */
Client *client_new(Fixture *f);
Client *client_new_as(Fixture *f, uid_t uid, const char *owner);
Client *client_free(Client *c);
DEFINE_CLEANUP(Client *, client_free)

/* Runs the manager until it has nothing to do. */
void fixture_run(Fixture *f);

/* Waits until descriptors that the manager does not need any more are closed. */
void fixture_wait_closed(Fixture *f);

/* Sends bytes as they are. */
void client_send_raw(Client *c, const void *data, size_t n);

/* Sends one message, with copies of descriptors. */
void client_send(Client *c, const char *text, const int *fds, size_t n_fds);

/* The next message from the manager, or NULL if it closed the connection. fds may be NULL: then there must be none. */
struct json_object *client_receive(Client *c, int *fds, size_t *n_fds);

/* True if nothing comes, though the manager had all the time it wanted. */
bool client_is_silent(Client *c);

/* Sends a call and waits for the reply. */
struct json_object *client_call(Client *c, const char *text);
struct json_object *client_call_fds(Client *c, const char *text, const int *fds, size_t n_fds);

/* Stores a small node. */
void store_inline(Client *c, const char *name);

/* Calls and expects that error; *ret_parameters may be NULL. */
void client_expect_error(Client *c, const char *text, const char *error);

/* The member of the reply's parameters. */
struct json_object *reply_parameters(struct json_object *reply);

/* Checks that a reply is that error, with that string in its parameters if key is not NULL. */
void assert_error(struct json_object *reply, const char *error, const char *key, const char *value);
