/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json-util.h"
#include "varlink-internal.h"

/* One member of a call, and the type it has to have. */
typedef struct EnvelopeField {
        const char *name;
        enum json_type type;
} EnvelopeField;

static const EnvelopeField envelope_fields[] = {
        { "method",     json_type_string  },
        { "parameters", json_type_object  },
        { "more",       json_type_boolean },
        { "oneway",     json_type_boolean },
        { "upgrade",    json_type_boolean },
};

/* Vendors name members of their own in reverse-domain notation, and the varlink specification says to ignore them. */
static bool is_vendor_member(const char *name) {
        const char *dot = strchr(name, '.');

        return dot && dot != name && name[strlen(name) - 1] != '.';
}

/* Returns -EBADMSG if the message is no call at all, or -EINVAL and the member if a member is not what it has to
 * be. */
static int check_envelope(struct json_object *call, const char **reterr_field) {
        if (!json_object_is_type(call, json_type_object) || !json_get_string(call, "method"))
                return -EBADMSG;

        json_object_object_foreach(call, key, value) {
                const EnvelopeField *field = NULL;

                for (size_t i = 0; i < ELEMENTSOF(envelope_fields); i++)
                        if (streq(envelope_fields[i].name, key))
                                field = envelope_fields + i;

                if (!field && is_vendor_member(key))
                        continue;

                bool none = field && streq(key, "parameters") && !value;
                if (!field || (!none && !json_object_is_type(value, field->type))) {
                        *reterr_field = key;
                        return -EINVAL;
                }
        }

        if (json_get_bool(call, "upgrade", false)) {
                *reterr_field = "upgrade";
                return -EINVAL;
        }

        /* Several replies and none at all cannot both be wanted. */
        if (json_get_bool(call, "oneway", false) && json_get_bool(call, "more", false)) {
                *reterr_field = "more";
                return -EINVAL;
        }

        return 0;
}

static const IdlInterface *find_interface(const VarlinkServer *s, const char *name, size_t length) {
        for (size_t i = 0; i < s->n_interfaces; i++)
                if (strlen(s->interfaces[i]->name) == length && strneq(s->interfaces[i]->name, name, length))
                        return s->interfaces[i];
        return NULL;
}

static VarlinkMethod find_binding(const VarlinkServer *s, const char *method) {
        for (size_t i = 0; i < s->n_bindings; i++)
                if (streq(s->bindings[i].method, method))
                        return s->bindings[i].callback;
        return NULL;
}

static int dispatch_call(Varlink *link, struct json_object *call) {
        const char *method = json_get_string(call, "method"), *dot = strrchr(method, '.');
        struct json_object *parameters = json_get(call, "parameters");
        _cleanup_free_ char *field = NULL, *name = NULL;
        VarlinkMethod callback;
        int r;

        if (!dot || dot == method || !dot[1])
                return varlink_error_invalid_parameter(link, "method");

        link->interface = find_interface(link->server, method, dot - method);
        if (!link->interface) {
                name = strndup(method, dot - method);
                if (!name)
                        return -ENOMEM;
                return varlink_error_string(link, VARLINK_ERROR_INTERFACE_NOT_FOUND, "interface", name);
        }

        link->symbol = idl_find(link->interface, IDL_METHOD, dot + 1);
        if (!link->symbol)
                return varlink_error_string(link, VARLINK_ERROR_METHOD_NOT_FOUND, "method", method);

        callback = find_binding(link->server, method);
        if (!callback)
                return varlink_error_string(link, VARLINK_ERROR_METHOD_NOT_IMPLEMENTED, "method", method);

        r = idl_validate(link->interface, &link->symbol->input, parameters, &field);
        if (r < 0)
                return varlink_error_invalid_parameter(link, field && *field ? field : "parameters");

        r = callback(link, parameters, link->flags, link->server->userdata);
        if (r < 0)
                return r;

        /* A method that neither answered nor kept the call has a bug, and its caller would wait for ever. */
        return link->state == LINK_CALL ? -EPROTO : 0;
}

/* Closes the connection once replies to earlier calls have been written: what follows in the stream cannot be
 * trusted. */
static int close_malformed(Varlink *link) {
        varlink_link_end_call(link);
        link->state = LINK_CLOSING;
        return 0;
}

int varlink_dispatch(Varlink *link, Message *m) {
        _cleanup_json_ struct json_object *call = NULL;
        _cleanup_free_ char *key = NULL;
        const char *field;
        int r;

        assert(link->state == LINK_IDLE);

        link->state = LINK_CALL;
        link->in_fds = TAKE_PTR(m->fds);
        link->n_in_fds = TAKE(m->n_fds, 0);

        r = json_parse_bounded(m->text, m->length, link->server->limits->parse_bytes, &call, &key);
        if (r == -ENOMEM)
                return r;
        if (r == -E2BIG && link->server->refuse)
                return link->server->refuse(link, "ObjectsMax", 0, link->server->limits->objects + 1);
        if (r == -EINVAL || r == -ELOOP)
                return close_malformed(link);
        if (r < 0)
                return varlink_error_invalid_parameter(link, key ?: "message");

        r = check_envelope(call, &field);
        if (r == -EBADMSG)
                return close_malformed(link);
        if (json_get_bool(call, "oneway", false))
                link->flags |= VARLINK_ONEWAY;
        if (json_get_bool(call, "more", false))
                link->flags |= VARLINK_MORE;
        if (r < 0)
                return varlink_error_invalid_parameter(link, field);

        return dispatch_call(link, call);
}
