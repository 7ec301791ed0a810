/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The methods of io.pkram.Store. Their userdata is the Manager. */
#pragma once

#include "json-writer.h"
#include "manager.h"

#define STORE_INTERFACE "io.pkram.Store"

/* Adds the interface to a server, and binds all of its methods. */
int methods_bind(VarlinkServer *server);

/* The one table is in methods.c. */
int vl_method_get_status(Varlink *link, struct json_object *parameters, VarlinkFlags flags, void *userdata);
int vl_method_store(Varlink *link, struct json_object *parameters, VarlinkFlags flags, void *userdata);
int vl_method_store_tree(Varlink *link, struct json_object *parameters, VarlinkFlags flags, void *userdata);
int vl_method_retrieve(Varlink *link, struct json_object *parameters, VarlinkFlags flags, void *userdata);
int vl_method_restore_tree(Varlink *link, struct json_object *parameters, VarlinkFlags flags, void *userdata);
int vl_method_release(Varlink *link, struct json_object *parameters, VarlinkFlags flags, void *userdata);
int vl_method_remove(Varlink *link, struct json_object *parameters, VarlinkFlags flags, void *userdata);
int vl_method_describe(Varlink *link, struct json_object *parameters, VarlinkFlags flags, void *userdata);
int vl_method_list(Varlink *link, struct json_object *parameters, VarlinkFlags flags, void *userdata);
int vl_method_monitor(Varlink *link, struct json_object *parameters, VarlinkFlags flags, void *userdata);
int vl_method_check_kexec(Varlink *link, struct json_object *parameters, VarlinkFlags flags, void *userdata);

/* The error reply for what the store said. r is its return value, for failures it has no words for. */
int reply_store_error(Varlink *link, int r, const StoreError *error);

/* A Node as in the interface description, as text and as an object; NULL without memory. */
/* Place, as in io.pkram.Store. */
const char *place_to_string(bool disk);

void node_write(JsonWriter *w, const char *key, const StoreNode *node);
struct json_object *node_to_json(const StoreNode *node);

/* Writes an entry to the journal if an earlier boot stored the node on disk. usec: time that reading it took. */
void node_log_read(const StoreNode *node, uint64_t usec);

/* Names of enum pkram_boot_result and enum pkram_image_state there. */
const char *boot_result_to_string(uint32_t v);
const char *image_state_to_string(uint32_t v);

/* --- Monitor --- */

typedef enum EventKind {
        EVENT_STORED,
        EVENT_REPLACED,
        EVENT_RETRIEVED,
        EVENT_RELEASED,
        EVENT_REMOVED,
        _EVENT_KIND_MAX,
} EventKind;

typedef struct Event {
        EventKind kind;
        const char *name, *owner;
        uint64_t id, objects, bytes;
} Event;

/* Tells all monitors that may know. Those that do not keep up are disconnected. */
void monitors_notify(Manager *m, const Event *event);

/* Adds the members guests and processes for a peer who may see them, if there are any. -ENOMEM. */
int add_run_notes(struct json_object *o, const Peer *peer);
