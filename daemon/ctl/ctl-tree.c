/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verbs store and retrieve for directory trees. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "ctl.h"
#include "file-util.h"
#include "format.h"
#include "json-util.h"
#include "name.h"

int store_tree(const char *name, const char *path) {
        _cleanup_(varlink_client_freep) VarlinkClient *c = NULL;
        _cleanup_json_ struct json_object *p = NULL;
        _cleanup_reply_ VarlinkReply reply = {};
        _cleanup_error_ StoreError e = {};
        _cleanup_close_ int fd = -EBADF;
        char bytes[FORMAT_MAX];
        int64_t n;
        int r;

        if (name_validate(name, &e) < 0)
                return fail(EXIT_REFUSED, "'%s': %s", e.name ?: "", e.reason ?: "Invalid name.");
        r = ctl_connect(&c);
        if (r != 0)
                return r;
        fd = open_directory_to_store(path);
        if (fd < 0)
                return fail(EXIT_FAILED, "Failed to open directory '%s': %s.", path, strerror(-fd));

        p = ctl_parameters(name);
        if (!p || json_add_int(p, "directory", 0) < 0 ||
            (arg_replace && json_add_bool(p, "replace", true) < 0) ||
            (arg_verify && json_add_bool(p, "verify", true) < 0) ||
            persist_add(p, arg_persist) < 0 ||
            (arg_skip_special && json_add_bool(p, "skipSpecial", true) < 0))
                return fail_memory();
        r = ctl_call_progress(c, "io.pkram.Store.StoreTree", TAKE_PTR(p), &fd, 1, name, &reply);
        if (r != 0)
                return r;

        if (arg_json != JSON_OFF)
                ctl_print_json(reply.parameters);
        else if (arg_legend && !arg_quiet) {
                n = json_get_int(reply.parameters, "objects", 0);
                printf("Stored tree '%s': %lli object%s, %s of memory.\n", name, (long long) n, n == 1 ? "" : "s",
                       format_bytes(bytes, (uint64_t) json_get_int(reply.parameters, "bytes", 0)));
        }
        return EXIT_OK;
}

int retrieve_tree(const char *name, const char *path) {
        _cleanup_(varlink_client_freep) VarlinkClient *c = NULL;
        _cleanup_json_ struct json_object *p = NULL;
        _cleanup_reply_ VarlinkReply reply = {};
        _cleanup_close_ int fd = -EBADF;
        int r;

        /* Like for objects. The directory has to be on a tmpfs, which pkramd checks. */
        if (mkdir(path, 0777) < 0 && errno != EEXIST)
                return fail(EXIT_FAILED, "Failed to create directory '%s': %s.", path, strerror(errno));
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return fail(EXIT_FAILED, "Failed to open directory '%s': %s.", path, strerror(errno));
        r = ctl_connect(&c);
        if (r != 0)
                return r;

        p = ctl_parameters(name);
        if (!p || json_add_int(p, "directory", 0) < 0 || (!arg_release && json_add_bool(p, "keep", true) < 0))
                return fail_memory();
        r = ctl_call_progress(c, "io.pkram.Store.RestoreTree", TAKE_PTR(p), &fd, 1, name, &reply);
        if (r != 0)
                return r;

        if (!arg_release)
                hint("Node '%s' is still stored, and its larger files are read-only until it is released with "
                     "'pkramctl release'.", name);
        if (arg_json != JSON_OFF)
                ctl_print_json(json_get(reply.parameters, "node"));
        return EXIT_OK;
}
