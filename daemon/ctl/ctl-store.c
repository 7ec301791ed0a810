/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "ctl.h"
#include "file-util.h"
#include "format.h"
#include "json-util.h"
#include "name.h"
#include "pkram-call.h"

/* A call of Store: the files, and the JSON that describes them. */
typedef struct Request {
        int *fds;
        size_t n_fds, allocated;
        struct json_object *objects;
} Request;

static void request_done(Request *q) {
        if (q->fds)
                close_many(q->fds, q->n_fds);
        free(q->fds);
        json_object_unref(q->objects);
}

static const char *last_component(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

static int request_add_object(Request *q, const char *name, int *fd) {
        if (GREEDY_REALLOC(q->fds, q->allocated, q->n_fds + 1) < 0 ||
            store_objects_add(q->objects, name, *fd, /* data= */ NULL, /* size= */ 0, q->fds, &q->n_fds) < 0)
                return fail_memory();

        *fd = -EBADF;
        return 0;
}

/* Copies a file, or standard input for "-", into a new memfd. */
static int add_file(Request *q, const char *path) {
        bool input = streq(path, "-");
        const char *name = input ? arg_object_name ?: "stdin" : last_component(path), *what;
        _cleanup_close_ int opened = -EBADF, memfd = -EBADF;
        _cleanup_error_ StoreError e = {};
        struct stat st;
        int from, r;

        from = input ? STDIN_FILENO : (opened = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY));
        if (from < 0 || fstat(from, &st) < 0)
                return fail(EXIT_FAILED, "Failed to open '%s': %s.", path, strerror(errno));
        if (S_ISDIR(st.st_mode))
                return fail(EXIT_FAILED, "'%s' is a directory. Store it alone, as a tree, or with 'tar -C %s -c . | "
                            "pkramctl store NAME'.", path, path);

        if (name_validate(name, &e) < 0)
                return fail(EXIT_REFUSED, "'%s': %s", path, e.reason ?: "Invalid name.");

        memfd = memfd_create("pkramctl", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (memfd < 0)
                return fail(EXIT_FAILED, "Failed to create a file in memory: %s.", strerror(errno));
        if (fchmod(memfd, 0600) < 0)
                return fail(EXIT_FAILED, "Failed to set up a file in memory: %s.", strerror(errno));

        r = copy_descriptor(from, memfd, S_ISREG(st.st_mode) ? (uint64_t) st.st_size : 0, name);
        if (r < 0)
                return fail(EXIT_FAILED, "Failed to copy '%s' into memory: %s.", path, strerror(-r));
        if (S_ISREG(st.st_mode) && !input) {
                r = copy_attributes(from, memfd, &what);
                if (r < 0)
                        return fail(EXIT_REFUSED, "Failed to copy the %s of '%s' into memory: %s. Remove them, or "
                                    "store the contents alone from standard input.", what, path, strerror(-r));
        }

        return request_add_object(q, name, &memfd);
}

static bool is_directory(const char *path) {
        struct stat st;

        return stat(path, &st) >= 0 && S_ISDIR(st.st_mode);
}

/* Is standard input among the files, or is there no file? */
static bool stores_input(const char *const *files, int n_files) {
        for (int i = 0; i < n_files; i++)
                if (streq(files[i], "-"))
                        return true;
        return n_files == 0 && !arg_tree;
}

static int store_report(const char *name, struct json_object *p, size_t n_objects) {
        char bytes[FORMAT_MAX];

        if (arg_json != JSON_OFF) {
                ctl_print_json(p);
                return EXIT_OK;
        }

        if (arg_legend && !arg_quiet)
                printf("Stored node '%s': %zu object%s, %s of memory.\n", name, n_objects, n_objects == 1 ? "" : "s",
                       format_bytes(bytes, (uint64_t) json_get_int(p, "bytes", 0)));
        return EXIT_OK;
}

int verb_store(int argc, char *argv[]) {
        static const char *standard_input[] = { "-" };
        _cleanup_(varlink_client_freep) VarlinkClient *c = NULL;
        _cleanup_json_ struct json_object *p = NULL;
        _cleanup_(request_done) Request q = {};
        _cleanup_reply_ VarlinkReply reply = {};
        _cleanup_error_ StoreError e = {};
        const char *const *files = (const char *const *) argv + 2;
        int n_files = argc - 2, r;

        if (argc < 2)
                return fail(EXIT_USAGE, arg_sysv ? "Key or identifier required: pkramctl store --sysv KEY|ID..." :
                            "Name required: pkramctl store NAME [FILE...]");
        if (arg_sysv) {
                r = ctl_connect(&c);
                return r ?: store_segments(c, argv + 1);
        }
        if (arg_object_name && !stores_input(files, n_files))
                return fail(EXIT_USAGE, "--object= is the name for standard input, which is not stored.");
        if (arg_tree && n_files != 1)
                return fail(EXIT_USAGE, "One directory required: pkramctl store --tree NAME DIR");
        if (arg_tree || (n_files == 1 && is_directory(files[0])))
                return store_tree(argv[1], files[0]);
        if (n_files == 0) {
                if (isatty(STDIN_FILENO))
                        return fail(EXIT_USAGE, "Refusing to read from a terminal. Specify files, or pipe data into "
                                    "pkramctl.");
                files = standard_input;
                n_files = 1;
        }

        /* Checked here, too, before anything is copied. */
        if (name_validate(argv[1], &e) < 0)
                return fail(EXIT_REFUSED, "'%s': %s", e.name ?: "", e.reason ?: "Invalid name.");
        r = ctl_connect(&c);
        if (r != 0)
                return r;

        raise_descriptor_limit();
        q.objects = json_object_new_array();
        if (!q.objects)
                return fail_memory();
        for (int i = 0; i < n_files; i++) {
                r = add_file(&q, files[i]);
                if (r != 0)
                        return r;
        }

        p = ctl_parameters(argv[1]);
        if (!p || json_add(p, "objects", TAKE_PTR(q.objects)) < 0 ||
            (arg_replace && json_add_bool(p, "replace", true) < 0) ||
            (arg_verify && json_add_bool(p, "verify", true) < 0) ||
            persist_add(p, arg_persist) < 0)
                return fail_memory();

        r = ctl_call(c, "io.pkram.Store.Store", TAKE_PTR(p), q.fds, q.n_fds, &reply);
        return r ?: store_report(argv[1], reply.parameters, q.n_fds);
}
