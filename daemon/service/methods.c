/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device-places.h"
#include "format.h"
#include "json-util.h"
#include "log.h"
#include "methods.h"
#include "pkram-messages.h"
#include "varlink-idl-texts.h"

static const struct {
        const char *name;
        VarlinkMethod method;
} methods[] = {
        { STORE_INTERFACE ".GetStatus",   vl_method_get_status   },
        { STORE_INTERFACE ".Store",       vl_method_store        },
        { STORE_INTERFACE ".StoreTree",   vl_method_store_tree   },
        { STORE_INTERFACE ".Retrieve",    vl_method_retrieve     },
        { STORE_INTERFACE ".RestoreTree", vl_method_restore_tree },
        { STORE_INTERFACE ".Release",     vl_method_release      },
        { STORE_INTERFACE ".Remove",      vl_method_remove       },
        { STORE_INTERFACE ".Describe",    vl_method_describe     },
        { STORE_INTERFACE ".List",        vl_method_list         },
        { STORE_INTERFACE ".Monitor",     vl_method_monitor      },
        { STORE_INTERFACE ".CheckKexec",  vl_method_check_kexec  },
};

static int method_refuse(Varlink *link, const char *limit, uint64_t current, uint64_t requested) {
        const Manager *m = varlink_server_userdata(link);
        _cleanup_error_ StoreError e = {};
        int id = limit_from_name(limit), r;

        r = store_error_quota(&e, limit, current, requested, id < 0 ? UINT64_MAX : m->config.limit[id]);
        return reply_store_error(link, r, &e);
}

int methods_bind(VarlinkServer *server) {
        int r;

        r = varlink_server_add_interface(server, varlink_idl_io_pkram_Store);
        if (r < 0)
                return r;

        for (size_t i = 0; i < ELEMENTSOF(methods); i++) {
                r = varlink_server_bind(server, methods[i].name, methods[i].method);
                if (r < 0)
                        return r;
        }

        varlink_server_set_refuse(server, method_refuse);
        return 0;
}

/* What the reply to an error carries. */
enum {
        WITH_NAME = 1 << 0,
        WITH_REASON = 1 << 1,
        WITH_QUOTA = 1 << 2,
        WITH_ERRNO = 1 << 3,
};

static const struct {
        const char *name;
        unsigned with;
} errors[] = {
        [STORE_ERROR_NO_SUCH_NODE]    = { STORE_INTERFACE ".NoSuchNode",     WITH_NAME               },
        [STORE_ERROR_NODE_EXISTS]     = { STORE_INTERFACE ".NodeExists",     WITH_NAME               },
        [STORE_ERROR_NODE_BUSY]       = { STORE_INTERFACE ".NodeBusy",       WITH_NAME               },
        [STORE_ERROR_NODE_DAMAGED]    = { STORE_INTERFACE ".NodeDamaged",    WITH_NAME | WITH_REASON },
        [STORE_ERROR_INVALID_NAME]    = { STORE_INTERFACE ".InvalidName",    WITH_NAME | WITH_REASON },
        [STORE_ERROR_NOT_PRESERVABLE] = { STORE_INTERFACE ".NotPreservable", WITH_REASON             },
        [STORE_ERROR_QUOTA_EXCEEDED]  = { STORE_INTERFACE ".QuotaExceeded",  WITH_QUOTA              },
        [STORE_ERROR_NOT_SUPPORTED]   = { STORE_INTERFACE ".NotSupported",   WITH_REASON             },
        [STORE_ERROR_NO_MEMORY]       = { STORE_INTERFACE ".NoMemory",       0                       },
        [STORE_ERROR_UNEXPECTED]      = { STORE_INTERFACE ".Unexpected",     WITH_ERRNO | WITH_REASON },
        [STORE_ERROR_TRY_AGAIN]       = { STORE_INTERFACE ".TryAgain",       WITH_REASON             },
        [STORE_ERROR_NOT_EMPTY]       = { STORE_INTERFACE ".NotEmpty",       WITH_REASON             },
        [STORE_ERROR_BAD_DIRECTORY]   = { STORE_INTERFACE ".BadDirectory",   WITH_REASON             },
        [STORE_ERROR_REPLY_TOO_LARGE] = { STORE_INTERFACE ".ReplyTooLarge",  WITH_REASON             },
        [STORE_ERROR_WRONG_KIND]      = { STORE_INTERFACE ".WrongKind",      WITH_NAME | WITH_REASON },
        [STORE_ERROR_NODE_VERSION]    = { STORE_INTERFACE ".NodeVersion",    WITH_NAME | WITH_REASON },
};

static int store_error_to_json(int error, const StoreError *e, unsigned with, struct json_object **ret) {
        _cleanup_json_ struct json_object *p = json_object_new_object();

        if (!p)
                return -ENOMEM;
        if ((with & WITH_NAME) && json_add_string(p, "name", e->name ?: "") < 0)
                return -ENOMEM;
        if ((with & WITH_REASON) && json_add_string(p, "reason", e->reason ?: "") < 0)
                return -ENOMEM;
        if ((with & WITH_QUOTA) &&
            (json_add_string(p, "limit", e->limit) < 0 ||
             json_add_u64(p, "current", e->current) < 0 ||
             json_add_u64(p, "requested", e->requested) < 0 ||
             (e->maximum != UINT64_MAX && json_add_u64(p, "maximum", e->maximum) < 0)))
                return -ENOMEM;
        if ((with & WITH_ERRNO) && json_add_int(p, "errno", -error) < 0)
                return -ENOMEM;

        *ret = TAKE_PTR(p);
        return 0;
}

int reply_store_error(Varlink *link, int r, const StoreError *error) {
        _cleanup_error_ StoreError unexpected = {};
        _cleanup_json_ struct json_object *p = NULL;

        if (error->kind == STORE_ERROR_PERMISSION_DENIED)
                return varlink_error_permission_denied(link);
        if (error->kind == STORE_ERROR_INVALID_PARAMETER)
                return varlink_error_invalid_parameter(link, error->name);

        if (error->kind == STORE_ERROR_NONE) {
                (void) store_error_errno(&unexpected, r);
                error = &unexpected;
        }

        r = store_error_to_json(r, error, errors[error->kind].with, &p);
        if (r < 0)
                return r;
        return varlink_error(link, errors[error->kind].name, TAKE_PTR(p));
}

const char *place_to_string(bool disk) {
        return disk ? "disk" : "memory";
}

void node_log_read(const StoreNode *node, uint64_t usec) {
        char bytes[FORMAT_MAX], duration[FORMAT_MAX];
        JournalFields f = JOURNAL_FIELDS_NONE;

        if (!node_is_on_disk(node->info.id) || !(node->info.flags & PKRAM_NODE_INHERITED))
                return;

        f.node = node->name;
        f.owner = node->owner;
        f.bytes = node->bytes;
        f.objects = node->objects;
        f.generation = node->info.generation;
        f.usec = usec;
        journal_entry(LOG_INFO, PKRAM_MESSAGE_READ_STR, &f,
                      "Restored node '%s' of %s from disk: %llu object%s, %s, boots survived: %llu, in %s.",
                      f.node, f.owner, (unsigned long long) f.objects, f.objects == 1 ? "" : "s",
                      format_bytes(bytes, f.bytes), (unsigned long long) f.generation,
                      format_usec(duration, usec));
}

void node_write(JsonWriter *w, const char *key, const StoreNode *node) {
        const struct pkram_node_info *i = &node->info;

        json_writer_begin(w, key);
        json_writer_string(w, "name", node->name);
        json_writer_u64(w, "id", i->id);
        json_writer_string(w, "owner", node->owner);
        json_writer_u64(w, "objects", node->objects);
        json_writer_u64(w, "bytes", node->bytes);
        json_writer_u64(w, "dataBytes", store_pages_to_bytes(i->data_pages));
        json_writer_u64(w, "metadataBytes", store_pages_to_bytes(i->meta_pages));
        json_writer_u64(w, "generation", i->generation);
        json_writer_u64(w, "storedUSec", i->stored_ns / NSEC_PER_USEC);
        json_writer_bool(w, "inherited", i->flags & PKRAM_NODE_INHERITED);
        json_writer_bool(w, "busy", i->flags & PKRAM_NODE_BUSY);
        json_writer_bool(w, "retrieved", i->flags & PKRAM_NODE_LOADED);
        json_writer_string(w, "place", place_to_string(node_is_on_disk(i->id)));
        if (node->persist != PERSIST_DEFAULT)
                json_writer_u64(w, "persist", (uint64_t) MAX(node->persist, 0));
        json_writer_end(w);
}

struct json_object *node_to_json(const StoreNode *node) {
        _cleanup_(json_writer_done) JsonWriter w = {};
        struct json_object *o;

        node_write(&w, /* key= */ NULL, node);
        if (json_writer_check(&w) < 0 || json_parse_own(w.text, w.length, &o, /* reterr_key= */ NULL) < 0)
                return NULL;
        return o;
}

const char *boot_result_to_string(uint32_t v) {
        static const char *const table[] = {
                [PKRAM_BOOT_NONE]     = "none",
                [PKRAM_BOOT_RESTORED] = "restored",
                [PKRAM_BOOT_PARTIAL]  = "partial",
                [PKRAM_BOOT_NOTHING]  = "nothing",
                [PKRAM_BOOT_STALE]    = "stale",
                [PKRAM_BOOT_DAMAGED]  = "damaged",
                [PKRAM_BOOT_VERSION]  = "version",
                [PKRAM_BOOT_OFF]      = "off",
        };

        return v < ELEMENTSOF(table) ? table[v] : "unknown";
}

const char *image_state_to_string(uint32_t v) {
        static const char *const table[] = {
                [PKRAM_IMAGE_NONE]       = "none",
                [PKRAM_IMAGE_KEEPS]      = "keeps",
                [PKRAM_IMAGE_NO_SUPPORT] = "noSupport",
                [PKRAM_IMAGE_NO_PARAM]   = "noParameter",
                [PKRAM_IMAGE_VERSION]    = "version",
        };

        return v < ELEMENTSOF(table) ? table[v] : "unknown";
}
