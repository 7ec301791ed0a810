/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "json-util.h"
#include "tree-error.h"

static const char *const kinds[] = {
        [STORE_ERROR_NONE]              = "None",
        [STORE_ERROR_NO_SUCH_NODE]      = "NoSuchNode",
        [STORE_ERROR_NODE_EXISTS]       = "NodeExists",
        [STORE_ERROR_NODE_BUSY]         = "NodeBusy",
        [STORE_ERROR_NODE_DAMAGED]      = "NodeDamaged",
        [STORE_ERROR_INVALID_NAME]      = "InvalidName",
        [STORE_ERROR_NOT_PRESERVABLE]   = "NotPreservable",
        [STORE_ERROR_QUOTA_EXCEEDED]    = "QuotaExceeded",
        [STORE_ERROR_NOT_SUPPORTED]     = "NotSupported",
        [STORE_ERROR_NO_MEMORY]         = "NoMemory",
        [STORE_ERROR_PERMISSION_DENIED] = "PermissionDenied",
        [STORE_ERROR_INVALID_PARAMETER] = "InvalidParameter",
        [STORE_ERROR_UNEXPECTED]        = "Unexpected",
        [STORE_ERROR_TRY_AGAIN]         = "TryAgain",
        [STORE_ERROR_NOT_EMPTY]         = "NotEmpty",
        [STORE_ERROR_BAD_DIRECTORY]     = "BadDirectory",
        [STORE_ERROR_REPLY_TOO_LARGE]   = "ReplyTooLarge",
        [STORE_ERROR_WRONG_KIND]        = "WrongKind",
        [STORE_ERROR_NODE_VERSION]      = "NodeVersion",
};

int tree_error_to_json(int r, const StoreError *e, struct json_object **ret) {
        _cleanup_json_ struct json_object *o = json_object_new_object();

        if (!o || json_add_string(o, "kind", kinds[e->kind]) < 0 || json_add_int(o, "number", -r) < 0 ||
            (e->name && json_add_string(o, "name", e->name) < 0) ||
            (e->reason && json_add_string(o, "reason", e->reason) < 0) ||
            (e->limit && (json_add_string(o, "limit", e->limit) < 0 ||
                          json_add_u64(o, "current", e->current) < 0 ||
                          json_add_u64(o, "requested", e->requested) < 0 ||
                          json_add_u64(o, "maximum", e->maximum) < 0)))
                return -ENOMEM;

        *ret = TAKE_PTR(o);
        return 0;
}

/* The store's own copy of a limit's name. */
static const char *find_limit(const char *name) {
        int id = limit_from_name(name);

        if (id >= 0)
                return limit_name((LimitId) id);
        return streq(name, STORE_LIMIT_NEXT_KERNEL) ? STORE_LIMIT_NEXT_KERNEL : streq(name, STORE_LIMIT_DISK) ?
                STORE_LIMIT_DISK : NULL;
}

int tree_error_from_json(struct json_object *o, StoreError *e) {
        const char *kind = json_get_string(o, "kind"), *limit = json_get_string(o, "limit"),
                *reason = json_get_string(o, "reason");
        int64_t number = json_get_int(o, "number", EBADMSG), current = json_get_int(o, "current", 0),
                requested = json_get_int(o, "requested", 0), maximum = json_get_int(o, "maximum", INT64_MAX);
        int r = number > 0 && number < 4096 ? (int) -number : -EBADMSG;
        StoreErrorKind k = STORE_ERROR_NONE;

        if (!kind)
                return -EBADMSG;
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                if (streq(kind, kinds[i]))
                        k = (StoreErrorKind) i;
        if (k == STORE_ERROR_NONE)
                return r;

        if (k == STORE_ERROR_QUOTA_EXCEEDED) {
                limit = limit ? find_limit(limit) : NULL;
                if (!limit)
                        return -EBADMSG;
                return store_error_quota(e, limit, (uint64_t) MAX(current, (int64_t) 0),
                                         (uint64_t) MAX(requested, (int64_t) 0), maximum == INT64_MAX ? UINT64_MAX :
                                         (uint64_t) MAX(maximum, (int64_t) 0));
        }
        return store_error_set(e, r, k, json_get_string(o, "name"), reason ? "%s" : NULL, reason);
}
