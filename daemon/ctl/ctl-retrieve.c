/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base64.h"
#include "ctl.h"
#include "file-util.h"
#include "json-util.h"
#include "name.h"

/* How often a pipe is checked: the kernel does not report that it was drained. */
#define READER_CHECK_MSEC 10

/* One retrieved object, with either fd or data. */
typedef struct Object {
        char *name;       /* of the file */
        bool named;       /* by the node */
        int fd;           /* borrowed */
        const char *data; /* base64, borrowed */
        char temporary[64];
        bool written, renamed;
} Object;

typedef struct Objects {
        Object *object;
        size_t n;
} Objects;

static void objects_done(Objects *o) {
        for (size_t i = 0; i < o->n; i++)
                free(o->object[i].name);
        free(o->object);
}

static int retrieve_parse_object(const VarlinkReply *reply, size_t index, Object *ret) {
        struct json_object *o = json_object_array_get_idx(json_get_array(reply->parameters, "objects"), index);
        const char *name = json_get_string(o, "name");
        int64_t fd = json_get_int(o, "fileDescriptor", -1);

        *ret = (Object) { .fd = -EBADF, .data = json_get_string(o, "data"), .named = name };
        if (fd >= 0 && (uint64_t) fd < reply->n_fds)
                ret->fd = reply->fds[fd];
        if (ret->fd < 0 && !ret->data)
                return fail(EXIT_FAILED, "pkramd sent object %zu without its contents.", index);

        /* It becomes a file name, so it is checked here, too. */
        if (name && name_validate(name, NULL) < 0)
                return fail(EXIT_FAILED, "pkramd sent object %zu with an invalid name.", index);
        if (name) {
                ret->name = strdup(name);
                if (!ret->name)
                        return fail_memory();
        }
        return 0;
}

static bool objects_have_name(const Objects *o, const char *name, size_t except) {
        for (size_t i = 0; i < o->n; i++)
                if (i != except && o->object[i].name && streq(o->object[i].name, name))
                        return true;
        return false;
}

/* Gives every object a file name of its own. Those without a name get "object-INDEX", or that with a further
 * number. */
static int objects_name(Objects *o) {
        for (size_t i = 0; i < o->n; i++) {
                char name[64];

                if (o->object[i].named) {
                        assert(o->object[i].name);
                        if (objects_have_name(o, o->object[i].name, i))
                                return fail(EXIT_FAILED, "pkramd sent two objects with the name '%s'.",
                                            o->object[i].name);
                        continue;
                }

                (void) snprintf(name, sizeof(name), "object-%zu", i);
                for (size_t k = 1; objects_have_name(o, name, i); k++)
                        (void) snprintf(name, sizeof(name), "object-%zu.%zu", i, k);
                o->object[i].name = strdup(name);
                if (!o->object[i].name)
                        return fail_memory();
        }
        return 0;
}

static int retrieve_parse_objects(const VarlinkReply *reply, Objects *ret) {
        struct json_object *array = json_get_array(reply->parameters, "objects");
        size_t n;
        int r;

        if (!array)
                return fail(EXIT_FAILED, "pkramd sent a reply without objects.");
        n = json_object_array_length(array);
        ret->object = calloc(n + 1, sizeof(Object));
        if (!ret->object)
                return fail_memory();

        for (; ret->n < n; ret->n++) {
                r = retrieve_parse_object(reply, ret->n, ret->object + ret->n);
                if (r != 0)
                        return r;
        }
        return objects_name(ret);
}

static int write_data(int fd, const char *text) {
        _cleanup_free_ void *data = NULL;
        size_t size;
        int r;

        r = base64_decode(text, strlen(text), SIZE_MAX / 2, &data, &size);
        return r < 0 ? r : write_all(fd, data, size);
}

static int write_contents(const Object *o, int to) {
        struct stat st;

        if (o->fd < 0)
                return write_data(to, o->data);
        if (fstat(o->fd, &st) < 0 || lseek(o->fd, 0, SEEK_SET) < 0)
                return -errno;
        return copy_descriptor(o->fd, to, (uint64_t) st.st_size, o->name);
}

/* Waits until the contents of a file are on disk. Files that cannot be synchronised have nothing to wait for. */
static int sync_file(int fd) {
        return fsync(fd) < 0 && errno != EINVAL && errno != EROFS ? -errno : 0;
}

/* On failure, *ret_what says which attributes could not be set, or is NULL. */
static int write_temporary(int dir, Object *o, const char **ret_what) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        *ret_what = NULL;

        fd = openat(dir, o->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        o->written = true;

        r = write_contents(o, fd);
        if (r < 0)
                return r;
        r = o->fd < 0 ? reset_attributes(fd) : copy_attributes(o->fd, fd, ret_what);
        if (r < 0)
                return r;
        *ret_what = NULL;
        return sync_file(fd);
}

/* Gives a file its name. Fails with -EEXIST if there is such a file, unless --force was given. */
static int rename_temporary(int dir, Object *o) {
        if (arg_force)
                return renameat(dir, o->temporary, dir, o->name) < 0 ? -errno : 0;
        if (renameat2(dir, o->temporary, dir, o->name, RENAME_NOREPLACE) >= 0)
                return 0;
        if (errno != EINVAL && errno != ENOSYS)
                return -errno;

        /* Not every file system has RENAME_NOREPLACE. A link never replaces anything either. */
        if (linkat(dir, o->temporary, dir, o->name, 0) < 0 || unlinkat(dir, o->temporary, 0) < 0)
                return -errno;
        return 0;
}

/* Removes what a failed attempt has created. What --force has replaced stays. */
static void remove_files(int dir, const Objects *o) {
        for (size_t i = 0; i < o->n; i++) {
                if (o->object[i].renamed && !arg_force)
                        (void) unlinkat(dir, o->object[i].name, 0);
                else if (o->object[i].written && !o->object[i].renamed)
                        (void) unlinkat(dir, o->object[i].temporary, 0);
        }
}

static int fail_file(const char *path, const Object *o, int r) {
        if (r == -EEXIST)
                return fail(EXIT_DIRECTORY, "'%s/%s' already exists. Use --force to replace it. The node is "
                            "still stored.", path, o->name);
        return fail(EXIT_FAILED, "Failed to write '%s/%s': %s. The node is still stored.", path, o->name,
                    strerror(-r));
}

static int write_all_files(int dir, Objects *o, const char *path) {
        const char *what;
        int r;

        /* Before anything is written. The decision is made when the file is renamed. */
        for (size_t i = 0; i < o->n && !arg_force; i++) {
                assert(o->object[i].name);
                if (faccessat(dir, o->object[i].name, F_OK, AT_SYMLINK_NOFOLLOW) >= 0)
                        return fail_file(path, o->object + i, -EEXIST);
        }

        for (size_t i = 0; i < o->n; i++) {
                (void) snprintf(o->object[i].temporary, sizeof(o->object[i].temporary), ".pkramctl.%li.%zu",
                                (long) getpid(), i);
                r = write_temporary(dir, o->object + i, &what);
                if (r < 0 && what)
                        return fail(EXIT_DIRECTORY, "Failed to set the %s of '%s/%s': %s. Use a directory of a file "
                                    "system that has them. The node is still stored.", what, path, o->object[i].name,
                                    strerror(-r));
                if (r < 0)
                        return fail_file(path, o->object + i, r);
        }

        for (size_t i = 0; i < o->n; i++) {
                r = rename_temporary(dir, o->object + i);
                if (r < 0)
                        return fail_file(path, o->object + i, r);
                o->object[i].renamed = true;
        }

        r = sync_file(dir);
        return r < 0 ? fail(EXIT_FAILED, "Failed to write '%s': %s. The node is still stored.", path, strerror(-r)) :
                0;
}

static int write_files(Objects *o, const char *path) {
        _cleanup_close_ int dir = -EBADF;
        int r;

        if (mkdir(path, 0777) < 0 && errno != EEXIST)
                return fail(EXIT_FAILED, "Failed to create directory '%s': %s.", path, strerror(errno));
        dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
                return fail(EXIT_FAILED, "Failed to open directory '%s': %s.", path, strerror(errno));

        r = write_all_files(dir, o, path);
        if (r != 0)
                remove_files(dir, o);
        return r;
}

/* --- standard output --- */

/* Returns the number of bytes in a pipe or socket that were not read yet, 0 if there is no way to tell. */
static int unread_bytes(int fd, bool socket) {
        int n;

        return ioctl(fd, socket ? SIOCOUTQ : FIONREAD, &n) < 0 ? 0 : n;
}

/*
 * Waits until the reader has read everything. Returns -EPIPE if it has closed its end before that. Waiting until it
 * closes its end as well would tell nothing more, and many readers wait for this program to exit before they do.
 */
static int wait_drained(int fd, bool socket) {
        for (;;) {
                struct pollfd p = { .fd = fd };
                int n;

                /* In this order: a reader that is gone cannot have read what is found unread after that. */
                if (poll(&p, 1, 0) < 0 && errno != EINTR)
                        return -errno;
                n = unread_bytes(fd, socket);
                /* What a socket has not delivered is gone with its peer, and cannot be counted any more. */
                if ((p.revents & (POLLERR | POLLHUP)) && (n > 0 || socket))
                        return -EPIPE;
                if (n == 0)
                        return 0;
                (void) poll(NULL, 0, READER_CHECK_MSEC);
        }
}

/* Makes sure that what went to standard output has arrived, as far as that can be seen. */
static int confirm_output(void) {
        struct stat st;

        if (fstat(STDOUT_FILENO, &st) < 0)
                return -errno;
        if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
                return sync_file(STDOUT_FILENO);
        if (!S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode))
                return 0;

        return wait_drained(STDOUT_FILENO, S_ISSOCK(st.st_mode));
}

static int write_to_output(const Objects *o) {
        int r;

        if (o->n != 1)
                return fail(EXIT_USAGE, "Node has %zu objects, but only one can be written to standard output. "
                            "Specify a directory.", o->n);

        /* A reader that is gone is an error with a message, if the node depends on it. */
        if (arg_release)
                (void) signal(SIGPIPE, SIG_IGN);

        r = write_contents(o->object, STDOUT_FILENO);
        if (r >= 0 && arg_release)
                r = confirm_output();
        if (r == -EPIPE)
                return fail(EXIT_FAILED, "Reader of standard output has not read everything. The node is "
                            "still stored.");
        if (r < 0)
                return fail(EXIT_FAILED, "Failed to write to standard output: %s. The node is still stored.",
                            strerror(-r));
        return 0;
}

/* --- the verb --- */

int release_node(VarlinkClient *c, const char *name, int64_t id) {
        _cleanup_json_ struct json_object *p = NULL;
        _cleanup_reply_ VarlinkReply reply = {};

        /* With the id: another node may have been stored with this name in the meantime. */
        p = ctl_parameters(name);
        if (!p || (id > 0 && json_add_int(p, "id", id) < 0))
                return fail_memory();
        return ctl_call(c, "io.pkram.Store.Release", TAKE_PTR(p), NULL, 0, &reply);
}

int verb_retrieve(int argc, char *argv[]) {
        _cleanup_(varlink_client_freep) VarlinkClient *c = NULL;
        _cleanup_(objects_done) Objects objects = {};
        _cleanup_reply_ VarlinkReply reply = {};
        const char *path = argc > 2 ? argv[2] : ".";
        struct json_object *p;
        int r;

        if (arg_sysv && argc > 1) {
                r = ctl_connect(&c);
                return r ?: retrieve_segments(c, argv + 1);
        }
        if (argc < 2 || argc > 3)
                return fail(EXIT_USAGE, "Invalid number of arguments: pkramctl retrieve NAME [DIR]");
        if (arg_json != JSON_OFF && streq(path, "-"))
                return fail(EXIT_USAGE, "--json= may not be combined with standard output as the target.");
        if (arg_tree)
                return argc == 3 ? retrieve_tree(argv[1], argv[2]) :
                        fail(EXIT_USAGE, "Directory required: pkramctl retrieve --tree NAME DIR");

        r = ctl_connect(&c);
        if (r != 0)
                return r;
        p = ctl_parameters(argv[1]);
        if (!p)
                return fail_memory();
        r = ctl_send(c, "io.pkram.Store.Retrieve", p, NULL, 0, /* more= */ false);
        if (r != 0)
                return r;
        r = ctl_receive_unless(c, argc == 3 && !streq(path, "-") ? "io.pkram.Store.WrongKind" : NULL, &reply);
        if (r != 0)
                return r;
        if (reply.error)
                return retrieve_tree(argv[1], path);

        r = retrieve_parse_objects(&reply, &objects);
        if (r != 0)
                return r;
        r = streq(path, "-") ? write_to_output(&objects) : write_files(&objects, path);
        if (r != 0)
                return r;

        if (arg_release) {
                r = release_node(c, argv[1], json_get_int(json_get(reply.parameters, "node"), "id", 0));
                if (r != 0)
                        return r;
        } else
                hint("Node '%s' is still stored. Remove it with 'pkramctl release'.", argv[1]);

        if (arg_json != JSON_OFF)
                ctl_print_json(json_get(reply.parameters, "node"));
        return EXIT_OK;
}
