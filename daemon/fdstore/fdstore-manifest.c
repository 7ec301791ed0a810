/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <json-c/json.h>

#include "fdstore-manifest.h"
#include "json-util.h"

#define FDSTORE_MANIFEST_VERSION 1

/* The flags that are kept: how the file was opened, and what fcntl(2) can set. */
#define FLAGS_KEPT (O_ACCMODE | O_APPEND | O_NONBLOCK | O_PATH)

/* As the service manager checks FDNAME=. */
#define FD_NAME_MAX 255U

static const char *const fd_kind_table[_FD_KIND_MAX] = {
        [FD_KIND_FILE] = "file",
        [FD_KIND_PIPE] = "pipe",
};

void fdstore_manifest_done(FdStoreManifest *m) {
        for (size_t i = 0; i < m->n; i++) {
                free(m->entries[i].name);
                free(m->entries[i].shared);
        }
        free(m->entries);
        free(m->unit);
        free(m->notify_access);
        *m = (FdStoreManifest) {};
}

int fdstore_manifest_add(FdStoreManifest *m, const char *name, FdKind kind, int flags, int64_t position,
                         uint32_t object, const char *shared) {
        FdEntry *e;
        int r;

        if (m->n >= FDSTORE_ENTRIES_MAX)
                return -E2BIG;
        r = GREEDY_REALLOC(m->entries, m->allocated, m->n + 1);
        if (r < 0)
                return r;
        e = &m->entries[m->n];
        *e = (FdEntry) {
                .name = strdup(name),
                .kind = kind,
                .flags = flags & FLAGS_KEPT,
                .position = position,
                .object = object,
                .shared = shared ? strdup(shared) : NULL,
        };
        m->n++;
        return e->name && (e->shared || !shared) ? 0 : -ENOMEM;
}

static int fd_entry_format(const FdEntry *e, struct json_object *array) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        int r;

        if (!o)
                return -ENOMEM;
        if (json_add_string(o, "name", e->name) < 0 || json_add_string(o, "kind", fd_kind_table[e->kind]) < 0 ||
            json_add_int(o, "flags", e->flags) < 0 || json_add_int(o, "position", e->position) < 0)
                return -ENOMEM;
        r = e->shared ? json_add_string(o, "shared", e->shared) : json_add_int(o, "object", e->object);
        return r < 0 ? r : json_append(array, TAKE_PTR(o));
}

int fdstore_manifest_format(const FdStoreManifest *m, char **ret, size_t *ret_size) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        struct json_object *entries;
        const char *text;
        size_t size;
        int r;

        if (!o || json_add_int(o, "pkramFdStore", FDSTORE_MANIFEST_VERSION) < 0 ||
            json_add_string(o, "unit", m->unit) < 0 || json_add_string(o, "notifyAccess", m->notify_access) < 0)
                return -ENOMEM;
        entries = json_object_new_array();
        if (json_add(o, "entries", entries) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < m->n; i++) {
                r = fd_entry_format(&m->entries[i], entries);
                if (r < 0)
                        return r;
        }

        text = json_text(o, &size);
        if (!text)
                return -ENOMEM;
        if (size > FDSTORE_MANIFEST_BYTES_MAX)
                return -EFBIG;
        *ret = strdup(text);
        if (!*ret)
                return -ENOMEM;
        *ret_size = size;
        return 0;
}

static bool fd_name_is_valid(const char *name) {
        size_t n = strlen(name);

        if (n > FD_NAME_MAX)
                return false;
        for (const char *p = name; *p; p++)
                if ((unsigned char) *p < ' ' || (unsigned char) *p >= 127 || *p == ':')
                        return false;
        return true;
}

static int fd_entry_parse(struct json_object *o, size_t n_objects, FdStoreManifest *m) {
        const char *name, *kind, *shared;
        int64_t flags, position, object;
        int k = 0;

        if (!json_object_is_type(o, json_type_object))
                return -EBADMSG;
        name = json_get_string(o, "name");
        kind = json_get_string(o, "kind");
        shared = json_get_string(o, "shared");
        flags = json_get_int(o, "flags", -1);
        position = json_get_int(o, "position", -1);
        object = json_get_int(o, "object", 0);

        if (!name || !fd_name_is_valid(name) || !kind)
                return -EBADMSG;
        while (k < _FD_KIND_MAX && !streq(kind, fd_kind_table[k]))
                k++;
        if (k == _FD_KIND_MAX || flags < 0 || (flags & ~(int64_t) FLAGS_KEPT) != 0 ||
            (flags & O_ACCMODE) == O_ACCMODE || position < -1)
                return -EBADMSG;
        if (shared) {
                if (object != 0 || k != FD_KIND_FILE || !startswith(shared, FDSTORE_SHARED_PREFIX) ||
                    strlen(shared) > 255)
                        return -EBADMSG;
        } else if (object < 1 || (uint64_t) object >= n_objects)
                return -EBADMSG;

        return fdstore_manifest_add(m, name, (FdKind) k, (int) flags, position, (uint32_t) object, shared);
}

int fdstore_manifest_parse(const char *text, size_t size, size_t n_objects, FdStoreManifest *ret) {
        _cleanup_fdstore_manifest_ FdStoreManifest m = {};
        _cleanup_json_ struct json_object *o = NULL;
        struct json_object *entries;
        const char *unit, *notify_access;
        int64_t version;
        int r;

        if (size > FDSTORE_MANIFEST_BYTES_MAX)
                return -EBADMSG;
        r = json_parse_own(text, size, &o, /* reterr_key= */ NULL);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        version = json_get_int(o, "pkramFdStore", -1);
        if (version < 1)
                return -EBADMSG;
        if (version > FDSTORE_MANIFEST_VERSION)
                return -EPROTONOSUPPORT;

        unit = json_get_string(o, "unit");
        notify_access = json_get_string(o, "notifyAccess");
        entries = json_get_array(o, "entries");
        if (!unit || !notify_access || !entries || json_object_array_length(entries) > FDSTORE_ENTRIES_MAX)
                return -EBADMSG;
        if (!streq(notify_access, "none") && !streq(notify_access, "main") && !streq(notify_access, "exec") &&
            !streq(notify_access, "all"))
                return -EBADMSG;
        m.unit = strdup(unit);
        m.notify_access = strdup(notify_access);
        if (!m.unit || !m.notify_access)
                return -ENOMEM;
        for (size_t i = 0; i < json_object_array_length(entries); i++) {
                r = fd_entry_parse(json_object_array_get_idx(entries, i), n_objects, &m);
                if (r < 0)
                        return r;
        }

        *ret = TAKE(m, (FdStoreManifest) {});
        return 0;
}
