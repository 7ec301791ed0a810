/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base64.h"
#include "ctl.h"
#include "json-util.h"
#include "name.h"

/* One retrieved object, either of fd and data. */
typedef struct Object {
        char name[256];
        int fd;
        const char *data; /* base64 */
} Object;

static int parse_object(const VarlinkReply *reply, size_t index, Object *ret) {
        struct json_object *o = json_object_array_get_idx(json_get_array(reply->parameters, "objects"), index);
        const char *name = json_get_string(o, "name");
        int64_t fd = json_get_int(o, "fileDescriptor", -1);

        *ret = (Object) { .fd = -EBADF, .data = json_get_string(o, "data") };
        if (fd >= 0 && (uint64_t) fd < reply->n_fds)
                ret->fd = reply->fds[fd];
        if (ret->fd < 0 && !ret->data)
                return fail(EXIT_FAILED, "pkramd sent object %zu without its contents.", index);

        /* It becomes the name of a file: never trust anybody with that. */
        if (name && name_validate(name, NULL) < 0)
                return fail(EXIT_FAILED, "pkramd sent object %zu with a name that cannot be a file's.", index);
        if (name)
                (void) snprintf(ret->name, sizeof(ret->name), "%s", name);
        else
                (void) snprintf(ret->name, sizeof(ret->name), "object-%zu", index);
        return 0;
}

static int write_data(int fd, const char *text) {
        _cleanup_free_ void *data = NULL;
        size_t size, done = 0;
        int r;

        r = base64_decode(text, strlen(text), SIZE_MAX / 2, &data, &size);
        if (r < 0)
                return r;

        while (done < size) {
                ssize_t n = write(fd, (uint8_t *) data + done, size - done);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                done += (size_t) n;
        }
        return 0;
}

static int write_contents(const Object *o, int to) {
        struct stat st;

        if (o->fd < 0)
                return write_data(to, o->data);
        if (fstat(o->fd, &st) < 0 || lseek(o->fd, 0, SEEK_SET) < 0)
                return -errno;
        return copy_descriptor(o->fd, to, (uint64_t) st.st_size, o->name);
}

/* Mode, owner and times as they were stored, as far as the user may set them. */
static int write_attributes(const Object *o, int to) {
        struct stat st;

        if (o->fd < 0)
                return fchmod(to, 0600) < 0 ? -errno : 0;
        if (fstat(o->fd, &st) < 0)
                return -errno;

        /* Whoever gets a program that was somebody else's must not make it run as him. */
        bool owned = fchown(to, st.st_uid, st.st_gid) >= 0;
        if (fchmod(to, st.st_mode & (owned ? 07777 : 0777)) < 0)
                return -errno;
        if (futimens(to, (const struct timespec[]) { st.st_atim, st.st_mtim }) < 0)
                return -errno;
        return 0;
}

static int write_file(int dir, const Object *o, const char *temporary) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;

        r = write_contents(o, fd);
        if (r >= 0)
                r = write_attributes(o, fd);
        /* The node is given up after this, so the file has to be the better copy. */
        if (r >= 0 && fsync(fd) < 0 && errno != EINVAL && errno != EROFS)
                r = -errno;
        if (r >= 0 && renameat(dir, temporary, dir, o->name) < 0)
                r = -errno;
        if (r < 0)
                (void) unlinkat(dir, temporary, 0);
        return r;
}

static int write_files(const VarlinkReply *reply, size_t n, const char *path) {
        _cleanup_close_ int dir = -EBADF;
        int r;

        if (mkdir(path, 0777) < 0 && errno != EEXIST)
                return fail(EXIT_FAILED, "The directory '%s' cannot be made: %s.", path, strerror(errno));
        dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
                return fail(EXIT_FAILED, "The directory '%s' cannot be opened: %s.", path, strerror(errno));

        for (size_t i = 0; i < n; i++) {
                char temporary[64];
                Object o;

                r = parse_object(reply, i, &o);
                if (r != 0)
                        return r;

                (void) snprintf(temporary, sizeof(temporary), ".pkramctl.%li.%zu", (long) getpid(), i);
                r = write_file(dir, &o, temporary);
                if (r < 0)
                        return fail(EXIT_FAILED, "'%s/%s' cannot be written: %s. The node is still stored.",
                                    path, o.name, strerror(-r));
        }

        if (fsync(dir) < 0 && errno != EINVAL && errno != EROFS)
                return fail(EXIT_FAILED, "'%s' cannot be written: %s. The node is still stored.", path, strerror(errno));
        return 0;
}

static int write_to_output(const VarlinkReply *reply, size_t n) {
        Object o;
        int r;

        if (n != 1)
                return fail(EXIT_USAGE, "The node has %zu objects, and only one can go to standard output: name a directory.", n);

        r = parse_object(reply, 0, &o);
        if (r != 0)
                return r;
        r = write_contents(&o, STDOUT_FILENO);
        if (r < 0)
                return fail(EXIT_FAILED, "Standard output cannot be written: %s. The node is still stored.", strerror(-r));
        return 0;
}

static int release(VarlinkClient *c, const char *name, int64_t id) {
        _cleanup_json_ struct json_object *p = NULL;
        _cleanup_reply_ VarlinkReply reply = {};

        /* Only this very node: somebody may have stored another one under the name while we were writing. */
        p = ctl_parameters(name);
        if (!p || json_add_int(p, "id", id) < 0)
                return fail_memory();
        return ctl_call(c, "io.pkram.Store.Release", TAKE_PTR(p), NULL, 0, &reply);
}

int verb_retrieve(int argc, char *argv[]) {
        _cleanup_(varlink_client_freep) VarlinkClient *c = NULL;
        _cleanup_reply_ VarlinkReply reply = {};
        const char *path = argc > 2 ? argv[2] : ".";
        struct json_object *p, *objects;
        size_t n;
        int r;

        if (argc < 2 || argc > 3)
                return fail(EXIT_USAGE, "retrieve needs the name of a node: pkramctl retrieve NAME [DIR]");

        if (arg_tree)
                return argc == 3 ? retrieve_tree(argv[1], argv[2]) :
                        fail(EXIT_USAGE, "retrieve --tree needs a name and a directory: pkramctl retrieve --tree NAME DIR");

        r = ctl_connect(&c);
        if (r != 0)
                return r;
        p = ctl_parameters(argv[1]);
        if (!p)
                return fail_memory();
        r = ctl_call(c, "io.pkram.Store.Retrieve", p, NULL, 0, &reply);
        if (r != 0)
                return r;

        objects = json_get_array(reply.parameters, "objects");
        if (!objects)
                return fail(EXIT_FAILED, "pkramd sent a reply without objects.");
        n = json_object_array_length(objects);

        r = streq(path, "-") ? write_to_output(&reply, n) : write_files(&reply, n, path);
        if (r != 0)
                return r;

        if (!arg_keep) {
                r = release(c, argv[1], json_get_int(json_get(reply.parameters, "node"), "id", 0));
                if (r != 0)
                        return r;
        }

        if (arg_json != JSON_OFF && !streq(path, "-"))
                ctl_print_json(json_get(reply.parameters, "node"));
        return EXIT_OK;
}
