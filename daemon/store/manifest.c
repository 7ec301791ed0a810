/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base64.h"
#include "json-util.h"
#include "manifest.h"
#include "name.h"

/* Every manifest of every version begins with this, and nothing else does. */
#define MANIFEST_MAGIC "{\"pkramManifest\":"

#define TEXT_BYTES_MAX 512U

static const char *const object_kinds[_OBJECT_KIND_MAX] = {
        [OBJECT_FILE] = "file",
        [OBJECT_DATA] = "data",
};

const char *object_kind_to_string(ObjectKind kind) {
        return object_kinds[kind];
}

void manifest_done(Manifest *m) {
        free(m->owner);
        free(m->name);
        free(m->kernel);
        for (size_t i = 0; i < m->n_objects; i++) {
                free(m->objects[i].name);
                object_attributes_done(&m->objects[i].attributes);
        }
        free(m->objects);
        *m = (Manifest) {};
}

static int take_text(struct json_object *o, char **ret, size_t *ret_size) {
        size_t n;
        const char *text = json_text(o, &n);
        char *copy;

        if (!text)
                return -ENOMEM;
        copy = strdup(text);
        if (!copy)
                return -ENOMEM;

        *ret = copy;
        *ret_size = n;
        return 0;
}

static int add_base64(struct json_object *o, const char *key, const void *data, size_t size) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = base64_encode(data, size, &text);
        return r < 0 ? r : json_add_string(o, key, text);
}

static int format_attributes(const ObjectAttributes *a, struct json_object *o) {
        if ((a->memfd && add_base64(o, "memfd", a->memfd, strlen(a->memfd)) < 0) ||
            (a->xattrs_size > 0 && add_base64(o, "xattrs", a->xattrs, a->xattrs_size) < 0) ||
            (a->flags != 0 && json_add_int(o, "flags", a->flags) < 0))
                return -ENOMEM;
        return 0;
}

static int format_object(const ManifestObject *object, struct json_object *array) {
        _cleanup_json_ struct json_object *o = json_object_new_object();

        if (!o)
                return -ENOMEM;
        if (object->name && json_add_string(o, "name", object->name) < 0)
                return -ENOMEM;
        if (json_add_string(o, "kind", object_kind_to_string(object->kind)) < 0 ||
            format_attributes(&object->attributes, o) < 0)
                return -ENOMEM;
        return json_append(array, TAKE_PTR(o));
}

int manifest_format(const Manifest *m, char **ret, size_t *ret_size) {
        _cleanup_json_ struct json_object *o = NULL, *objects = NULL;
        int r;

        o = json_object_new_object();
        objects = json_object_new_array();
        if (!o || !objects)
                return -ENOMEM;

        for (size_t i = 0; !m->tree && i < m->n_objects; i++) {
                r = format_object(m->objects + i, objects);
                if (r < 0)
                        return r;
        }

        if (json_add_int(o, "pkramManifest", m->tree ? MANIFEST_VERSION_TREE : MANIFEST_VERSION) < 0 ||
            json_add_string(o, "owner", m->owner) < 0 ||
            (m->name && json_add_string(o, "name", m->name) < 0) ||
            json_add_int(o, "uid", m->uid) < 0 ||
            json_add_string(o, "kernel", m->kernel) < 0 ||
            (m->verify && json_add_string(o, "verify", CHECKSUM_KIND) < 0) ||
            (m->persist != PERSIST_DEFAULT && json_add_int(o, "persist", m->persist) < 0) ||
            json_add(o, "objects", TAKE_PTR(objects)) < 0)
                return -ENOMEM;

        return take_text(o, ret, ret_size);
}

static int manifest_copy_string(struct json_object *o, const char *key, char **ret) {
        const char *s = json_get_string(o, key);

        if (!s || !*s || strlen(s) > TEXT_BYTES_MAX)
                return -EBADMSG;
        *ret = strdup(s);
        return *ret ? 0 : -ENOMEM;
}

/* A name that is there has to be one that a client could have used; *ret is NULL if there is none. */
static int copy_name(struct json_object *o, char **ret) {
        const char *name = json_get_string(o, "name");

        if (!name)
                return json_get(o, "name") ? -EBADMSG : 0;
        if (name_validate(name, /* reterr_error= */ NULL) < 0)
                return -EBADMSG;
        *ret = strdup(name);
        return *ret ? 0 : -ENOMEM;
}

/* A member in base64, or nothing if there is none. */
static int parse_base64(struct json_object *o, const char *key, size_t max, void **ret, size_t *ret_size) {
        const char *text = json_get_string(o, key);
        int r;

        if (!text)
                return json_get(o, key) ? -EBADMSG : 0;
        r = base64_decode(text, strlen(text), max, ret, ret_size);
        return r == -ENOMEM ? r : r < 0 ? -EBADMSG : 0;
}

static int parse_attributes(struct json_object *o, ObjectKind kind, ObjectAttributes *a) {
        int64_t flags = json_get_int(o, "flags", 0);
        _cleanup_free_ void *memfd = NULL;
        void *xattrs = NULL;
        size_t size = 0;
        int r;

        r = parse_base64(o, "memfd", MEMFD_NAME_MAX, &memfd, &size);
        if (r < 0)
                return r;
        if (memfd) {
                if (memchr(memfd, 0, size))
                        return -EBADMSG;
                a->memfd = strndup(memfd, size);
                if (!a->memfd)
                        return -ENOMEM;
        }
        r = parse_base64(o, "xattrs", MANIFEST_XATTRS_MAX, &xattrs, &a->xattrs_size);
        a->xattrs = xattrs;
        if (r < 0)
                return r;
        if (flags < 0 || flags > UINT32_MAX)
                return -EBADMSG;
        a->flags = (unsigned) flags;
        return object_attributes_are_valid(a) && (kind == OBJECT_FILE || !object_attributes_is_set(a)) ? 0 : -EBADMSG;
}

static int manifest_parse_object(struct json_object *o, ManifestObject *object) {
        const char *kind = json_get_string(o, "kind");
        int r;

        if (!kind)
                return -EBADMSG;
        for (object->kind = 0; object->kind < _OBJECT_KIND_MAX; object->kind++)
                if (streq(object_kinds[object->kind], kind))
                        break;
        if (object->kind >= _OBJECT_KIND_MAX)
                return -EBADMSG;

        /* It becomes the name of a file somewhere, so it has to be one here too. */
        r = copy_name(o, &object->name);
        return r < 0 ? r : parse_attributes(o, object->kind, &object->attributes);
}

static int manifest_parse_objects(struct json_object *array, Manifest *m) {
        size_t n;
        int r;

        if (!array)
                return -EBADMSG;

        n = json_object_array_length(array);
        m->objects = calloc(n + 1, sizeof(ManifestObject));
        if (!m->objects)
                return -ENOMEM;

        for (m->n_objects = 0; m->n_objects < n;) {
                /* Counted first, so that a name is freed even if the rest of the object is no good. */
                size_t i = m->n_objects++;

                r = manifest_parse_object(json_object_array_get_idx(array, i), m->objects + i);
                if (r < 0)
                        return r;
        }

        return 0;
}

/* The objects of a tree are what the kernel has. There is always one, the table. */
static int count_objects(Manifest *m, size_t n_kernel_objects) {
        if (m->n_objects > 0 || n_kernel_objects < 2U + m->verify)
                return -EBADMSG;

        free(m->objects);
        m->n_objects = n_kernel_objects - 1 - m->verify;
        m->objects = calloc(m->n_objects, sizeof(ManifestObject));
        if (!m->objects) {
                m->n_objects = 0;
                return -ENOMEM;
        }
        return 0;
}

int manifest_parse(const char *text, size_t size, size_t n_kernel_objects, Manifest *ret) {
        _cleanup_json_ struct json_object *o = NULL;
        _cleanup_manifest_ Manifest m = {};
        int64_t version, uid, persist;
        const char *verify;
        int r;

        if (size < strlen(MANIFEST_MAGIC) || memcmp(text, MANIFEST_MAGIC, strlen(MANIFEST_MAGIC)) != 0)
                return -ENOMSG;

        r = json_parse_bounded(text, size, KIB(64) + n_kernel_objects * KIB(2), &o, /* reterr_key= */ NULL);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;

        version = json_get_int(o, "pkramManifest", -1);
        if (version < 1)
                return -EBADMSG;
        if (version > MANIFEST_VERSION_TREE)
                return -EPROTONOSUPPORT;
        m.tree = version == MANIFEST_VERSION_TREE;

        r = manifest_copy_string(o, "owner", &m.owner);
        if (r < 0)
                return r;
        r = copy_name(o, &m.name);
        if (r < 0)
                return r;
        r = manifest_copy_string(o, "kernel", &m.kernel);
        if (r < 0)
                return r;

        uid = json_get_int(o, "uid", -1);
        if (uid < 0 || uid >= UINT32_MAX)
                return -EBADMSG;
        m.uid = (uid_t) uid;

        verify = json_get_string(o, "verify");
        if (verify ? !streq(verify, CHECKSUM_KIND) : json_get(o, "verify") != NULL)
                return -EBADMSG;
        m.verify = verify;

        persist = json_get_int(o, "persist", PERSIST_DEFAULT);
        if (persist < PERSIST_NEVER || persist > PERSIST_MAX)
                return -EBADMSG;
        m.persist = (int) persist;

        r = manifest_parse_objects(json_get_array(o, "objects"), &m);
        if (r < 0)
                return r;
        if (m.tree) {
                r = count_objects(&m, n_kernel_objects);
                if (r < 0)
                        return r;
        }
        if (1 + m.n_objects + m.verify != n_kernel_objects)
                return -EBADMSG;

        *ret = m;
        m = (Manifest) {};
        return 0;
}

void checksums_done(Checksums *c) {
        free(c->objects);
        *c = (Checksums) {};
}

int checksums_init(Checksums *c, size_t n_objects) {
        *c = (Checksums) {
                .objects = calloc(n_objects + 1, CHECKSUM_HEX_LENGTH + 1),
                .n_objects = n_objects,
        };
        return c->objects ? 0 : -ENOMEM;
}

int checksums_format(const Checksums *c, char **ret, size_t *ret_size) {
        _cleanup_json_ struct json_object *o = NULL, *objects = NULL;

        o = json_object_new_object();
        objects = json_object_new_array();
        if (!o || !objects)
                return -ENOMEM;

        for (size_t i = 0; i < c->n_objects; i++)
                if (json_append(objects, json_object_new_string(c->objects[i])) < 0)
                        return -ENOMEM;
        if (json_add_string(o, "manifest", c->manifest) < 0 || json_add(o, "objects", TAKE_PTR(objects)) < 0)
                return -ENOMEM;

        return take_text(o, ret, ret_size);
}

static int copy_sum(struct json_object *o, char ret[CHECKSUM_HEX_LENGTH + 1]) {
        const char *s = o && json_object_is_type(o, json_type_string) ? json_object_get_string(o) : "";

        if (strlen(s) != CHECKSUM_HEX_LENGTH || strspn(s, "0123456789abcdef") != CHECKSUM_HEX_LENGTH)
                return -EBADMSG;
        memcpy(ret, s, CHECKSUM_HEX_LENGTH + 1);
        return 0;
}

int checksums_parse(const char *text, size_t size, size_t n_objects, Checksums *ret) {
        _cleanup_json_ struct json_object *o = NULL;
        _cleanup_checksums_ Checksums c = {};
        struct json_object *objects;
        int r;

        r = json_parse_bounded(text, size, KIB(64) + n_objects * KIB(1), &o, /* reterr_key= */ NULL);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;

        objects = json_get_array(o, "objects");
        if (!objects || json_object_array_length(objects) != n_objects)
                return -EBADMSG;

        r = checksums_init(&c, n_objects);
        if (r < 0)
                return r;
        r = copy_sum(json_get(o, "manifest"), c.manifest);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n_objects; i++) {
                r = copy_sum(json_object_array_get_idx(objects, i), c.objects[i]);
                if (r < 0)
                        return r;
        }

        *ret = c;
        c = (Checksums) {};
        return 0;
}
