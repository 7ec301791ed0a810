/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "idl.h"

/* The way to the value that is looked at, built from the inside out when something is wrong. */
typedef struct Path {
        const struct Path *up;
        const char *field;
        size_t index;
} Path;

static int path_print(const Path *p, char **ret) {
        _cleanup_free_ char *s = NULL;

        s = strdup("");
        for (; s && p; p = p->up) {
                char *t;
                const char *dot = s[0] && s[0] != '[' ? "." : "";

                if (p->field ? asprintf(&t, "%s%s%s", p->field, dot, s) < 0 : asprintf(&t, "[%zu]%s%s", p->index, dot,
                                                                                       s) < 0)
                        return -ENOMEM;
                free(s);
                s = t;
        }
        if (!s)
                return -ENOMEM;

        *ret = TAKE_PTR(s);
        return 0;
}

static int idl_value_refuse(const Path *p, char **reterr_field) {
        if (reterr_field && path_print(p, reterr_field) < 0)
                *reterr_field = NULL;
        return -EINVAL;
}

static int idl_validate_type(
                const IdlInterface *interface,
                const IdlType *type,
                struct json_object *o,
                const Path *path,
                char **reterr_field);

static int validate_struct(
                const IdlInterface *interface,
                const IdlType *type,
                struct json_object *o,
                const Path *path,
                char **reterr_field) {

        int r;

        json_object_object_foreach(o, key, value) {
                Path p = { .up = path, .field = key };
                const IdlField *field = NULL;

                for (size_t i = 0; i < type->n_fields; i++)
                        if (streq(type->fields[i].name, key))
                                field = type->fields + i;
                if (!field)
                        return idl_value_refuse(&p, reterr_field);

                r = idl_validate_type(interface, &field->type, value, &p, reterr_field);
                if (r < 0)
                        return r;
        }

        for (size_t i = 0; i < type->n_fields; i++) {
                Path p = { .up = path, .field = type->fields[i].name };

                if (!type->fields[i].type.nullable && !json_object_object_get_ex(o, type->fields[i].name, NULL))
                        return idl_value_refuse(&p, reterr_field);
        }

        return 0;
}

static int idl_validate_type(
                const IdlInterface *interface,
                const IdlType *type,
                struct json_object *o,
                const Path *path,
                char **reterr_field) {

        int r;

        if (!o)
                return type->nullable ? 0 : idl_value_refuse(path, reterr_field);

        switch (type->kind) {
        case IDL_BOOL:
                return json_object_is_type(o, json_type_boolean) ? 0 : idl_value_refuse(path, reterr_field);

        case IDL_INT:
                return json_object_is_type(o, json_type_int) ? 0 : idl_value_refuse(path, reterr_field);

        case IDL_FLOAT:
                return json_object_is_type(o, json_type_double) || json_object_is_type(o, json_type_int) ?
                                 0 : idl_value_refuse(path, reterr_field);

        case IDL_STRING:
                return json_object_is_type(o, json_type_string) ? 0 : idl_value_refuse(path, reterr_field);

        case IDL_OBJECT:
                return json_object_is_type(o, json_type_object) ? 0 : idl_value_refuse(path, reterr_field);

        case IDL_ENUM:
                if (json_object_is_type(o, json_type_string))
                                 for (size_t i = 0; i < type->n_fields; i++)
                                         if (streq(type->fields[i].name, json_object_get_string(o)))
                                                 return 0;
                return idl_value_refuse(path, reterr_field);

        case IDL_STRUCT:
                if (!json_object_is_type(o, json_type_object))
                                 return idl_value_refuse(path, reterr_field);
                return validate_struct(interface, type, o, path, reterr_field);

        case IDL_ARRAY:
                if (!json_object_is_type(o, json_type_array))
                                 return idl_value_refuse(path, reterr_field);
                for (size_t i = 0; i < json_object_array_length(o); i++) {
                                 Path p = { .up = path, .index = i };

                                 r = idl_validate_type(interface, type->element, json_object_array_get_idx(o, i), &p,
                                                       reterr_field);
                                 if (r < 0)
                                         return r;
                }
                return 0;

        case IDL_MAP:
                if (!json_object_is_type(o, json_type_object))
                                 return idl_value_refuse(path, reterr_field);
                json_object_object_foreach(o, key, value) {
                                 Path p = { .up = path, .field = key };

                                 r = idl_validate_type(interface, type->element, value, &p, reterr_field);
                                 if (r < 0)
                                         return r;
                }
                return 0;

        case IDL_NAMED:
                return idl_validate_type(interface, &idl_find(interface, IDL_TYPE, type->name)->input, o, path,
                                         reterr_field);
        }

        return -EINVAL;
}

int idl_validate(const IdlInterface *interface, const IdlType *type, struct json_object *o, char **reterr_field) {
        assert(interface);
        assert(type);

        if (!o) {
                /* An absent "parameters" is an empty object: fine if nothing has to be in it. */
                for (size_t i = 0; i < type->n_fields; i++) {
                        Path p = { .field = type->fields[i].name };

                        if (!type->fields[i].type.nullable)
                                return idl_value_refuse(&p, reterr_field);
                }
                return 0;
        }

        return idl_validate_type(interface, type, o, /* path= */ NULL, reterr_field);
}
