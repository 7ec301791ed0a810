/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libpkram: nodes and their objects. */
#include "base64.h"
#include "client-internal.h"
#include "json-util.h"

struct pkram_node {
        struct json_object *description;
        struct json_object *names; /* the array of objects, which names are borrowed from */
        pkram_object *objects;
        size_t n_objects;
};

/* What pkramd sends as bytes has at most 1 MiB; other programs that use /dev/pkram may have stored more. */
#define DATA_MAX MIB(64)

static int node_fill_object(struct json_object *o, int *fds, size_t n_fds, pkram_object *ret) {
        int64_t position = json_get_int(o, "fileDescriptor", -1);
        const char *text = json_get_string(o, "data");
        void *data;
        int r;

        *ret = (pkram_object) { .name = json_get_string(o, "name"), .fd = -EBADF };
        if (position >= 0) {
                if ((uint64_t) position >= n_fds || fds[position] < 0)
                        return -EBADMSG;
                ret->fd = TAKE_FD(fds[position]);
        }
        if (!text)
                return 0;
        r = base64_decode(text, strlen(text), DATA_MAX, &data, &ret->size);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        ret->data = data;
        return 0;
}

int node_new(struct json_object *description, struct json_object *objects, int *fds, size_t n_fds, pkram_node **ret) {
        _cleanup_(pkram_node_freep) pkram_node *n = calloc(1, sizeof(*n));
        size_t n_objects = objects ? json_object_array_length(objects) : 0;
        int r;

        if (!n)
                return -ENOMEM;
        if (!json_get_string(description, "name"))
                return -EBADMSG;
        n->description = json_object_get(description);
        n->names = json_object_get(objects);
        n->objects = calloc(n_objects + 1, sizeof(pkram_object));
        if (!n->objects)
                return -ENOMEM;
        for (size_t i = 0; i < n_objects; i++) {
                n->n_objects++;
                r = node_fill_object(json_object_array_get_idx(objects, i), fds, n_fds, n->objects + i);
                if (r < 0)
                        return r;
        }

        *ret = TAKE_PTR(n);
        return 0;
}

pkram_node *pkram_node_free(pkram_node *n) {
        if (!n)
                return NULL;
        for (size_t i = 0; i < n->n_objects; i++) {
                safe_close(n->objects[i].fd);
                free((void *) n->objects[i].data);
        }
        free(n->objects);
        json_object_put(n->names);
        json_object_put(n->description);
        free(n);
        return NULL;
}

const char *pkram_node_get_name(const pkram_node *n) {
        return json_get_string(n->description, "name");
}

const char *pkram_node_get_owner(const pkram_node *n) {
        return json_get_string(n->description, "owner");
}

uint64_t pkram_node_get_id(const pkram_node *n) {
        return (uint64_t) json_get_int(n->description, "id", 0);
}

uint64_t pkram_node_get_bytes(const pkram_node *n) {
        return (uint64_t) json_get_int(n->description, "bytes", 0);
}

uint64_t pkram_node_get_generation(const pkram_node *n) {
        return (uint64_t) json_get_int(n->description, "generation", 0);
}

uint64_t pkram_node_get_stored(const pkram_node *n) {
        return (uint64_t) json_get_int(n->description, "storedUSec", 0);
}

size_t pkram_node_get_n_objects(const pkram_node *n) {
        return n->n_objects;
}

int pkram_node_get_object(const pkram_node *n, size_t i, pkram_object *ret) {
        if (i >= n->n_objects)
                return -ENOENT;
        *ret = n->objects[i];
        return 0;
}

int pkram_node_find_object(const pkram_node *n, const char *name, pkram_object *ret) {
        for (size_t i = 0; i < n->n_objects; i++)
                if (n->objects[i].name && streq(n->objects[i].name, name))
                        return pkram_node_get_object(n, i, ret);
        return -ENOENT;
}

int pkram_node_take_fd(pkram_node *n, size_t i) {
        if (i >= n->n_objects || n->objects[i].fd < 0)
                return -ENOENT;
        return TAKE_FD(n->objects[i].fd);
}
