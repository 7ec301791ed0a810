/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "base64.h"
#include "json-util.h"
#include "pkram-call.h"

bool reply_is_error(const VarlinkReply *reply, const char *name) {
        const char *e = reply->error ? startswith(reply->error, STORE_INTERFACE_PREFIX) : NULL;

        return e && streq(e, name);
}

const char *limit_to_text(const char *limit) {
        if (streq(limit, "NextKernelMemory"))
                return "Too little memory would remain for the next kernel to boot. Remove nodes that are no longer "
                       "needed, or store less.";
        if (streq(limit, "DiskSpace"))
                return "The file system of /var/lib/pkram/disk is full. Remove nodes or files that are no longer "
                       "needed.";
        return NULL;
}

char *reply_to_text(const VarlinkReply *reply) {
        const char *e = startswith(reply->error, STORE_INTERFACE_PREFIX) ?: reply->error;
        const char *reason = json_get_string(reply->parameters, "reason"),
                *limit = json_get_string(reply->parameters, "limit"),
                *sentence = limit ? limit_to_text(limit) : reason;
        char *text;
        int n;

        if (sentence)
                n = asprintf(&text, "%s", sentence);
        else if (limit)
                n = asprintf(&text, "It would exceed the limit %s=, see pkramd.conf(5).", limit);
        else
                n = asprintf(&text, "pkramd says %s.", e);
        return n < 0 ? NULL : text;
}

int pkram_call_fds(VarlinkClient *c, const char *method, struct json_object *parameters, const int *fds, size_t n_fds,
                   VarlinkReply *ret) {
        char full[64];
        int r;

        (void) snprintf(full, sizeof(full), STORE_INTERFACE_PREFIX "%s", method);
        r = varlink_client_send(c, full, parameters, fds, n_fds, /* more= */ false);
        return r < 0 ? r : varlink_client_receive(c, ret);
}

int pkram_call(VarlinkClient *c, const char *method, struct json_object *parameters, int fd, VarlinkReply *ret) {
        return pkram_call_fds(c, method, parameters, &fd, fd >= 0 ? 1 : 0, ret);
}

int store_objects_add(struct json_object *objects, const char *name, int fd, const void *data, size_t size, int *fds,
                      size_t *n_fds) {

        _cleanup_json_ struct json_object *o = json_object_new_object();
        _cleanup_free_ char *text = NULL;
        int r;

        if (!o || (name && json_add_string(o, "name", name) < 0))
                return -ENOMEM;
        if (fd >= 0)
                r = json_add_u64(o, "fileDescriptor", *n_fds);
        else {
                r = base64_encode(data ?: "", size, &text);
                if (r >= 0)
                        r = json_add_string(o, "data", text);
        }
        if (r >= 0)
                r = json_append(objects, TAKE_PTR(o));
        if (r < 0)
                return r;
        if (fd >= 0)
                fds[(*n_fds)++] = fd;
        return 0;
}
