/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json-util.h"
#include "varlink-idl-texts.h"
#include "varlink-internal.h"

static int method_get_info(
                Varlink *link,
                _unused_ struct json_object *parameters,
                _unused_ VarlinkFlags flags,
                _unused_ void *userdata) {

        const VarlinkServer *s = link->server;
        _cleanup_json_ struct json_object *p = NULL, *interfaces = NULL;
        int r;

        p = json_object_new_object();
        interfaces = json_object_new_array();
        if (!p || !interfaces)
                return -ENOMEM;

        for (size_t i = 0; i < s->n_interfaces; i++) {
                r = json_append(interfaces, json_object_new_string(s->interfaces[i]->name));
                if (r < 0)
                        return r;
        }

        if (json_add_string(p, "vendor", s->info.vendor) < 0 ||
            json_add_string(p, "product", s->info.product) < 0 ||
            json_add_string(p, "version", s->info.version) < 0 ||
            json_add_string(p, "url", s->info.url) < 0 ||
            json_add(p, "interfaces", TAKE_PTR(interfaces)) < 0)
                return -ENOMEM;

        return varlink_reply(link, TAKE_PTR(p));
}

static int method_get_interface_description(
                Varlink *link,
                struct json_object *parameters,
                _unused_ VarlinkFlags flags,
                _unused_ void *userdata) {

        const VarlinkServer *s = link->server;
        const char *name = json_get_string(parameters, "interface");

        for (size_t i = 0; i < s->n_interfaces; i++)
                if (streq(s->interfaces[i]->name, name)) {
                        _cleanup_json_ struct json_object *p = json_object_new_object();

                        if (!p || json_add_string(p, "description", s->interfaces[i]->text) < 0)
                                return -ENOMEM;
                        return varlink_reply(link, TAKE_PTR(p));
                }

        return varlink_error_string(link, VARLINK_ERROR_INTERFACE_NOT_FOUND, "interface", name);
}

int varlink_server_add_service(VarlinkServer *server) {
        int r;

        r = varlink_server_add_interface(server, varlink_idl_org_varlink_service);
        if (r < 0)
                return r;
        r = varlink_server_bind(server, "org.varlink.service.GetInfo", method_get_info);
        if (r < 0)
                return r;
        return varlink_server_bind(server, "org.varlink.service.GetInterfaceDescription",
                                   method_get_interface_description);
}
