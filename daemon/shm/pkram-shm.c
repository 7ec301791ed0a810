/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeps shared memory that pkramd.conf names over a kexec: System V segments, and files below /dev/shm. Each is a node of
 * root, "sysv:0x0052e2c1" or "posix:NAME", whose only object is the contents.
 */
#include <fcntl.h>
#include <fnmatch.h>
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/shm.h>
#include <sys/stat.h>

#include "config.h"
#include "file-util.h"
#include "guest-host.h"
#include "json-util.h"
#include "log.h"
#include "mount-util.h"
#include "peer.h"
#include "segment.h"
#include "utf8.h"

#define SYSV_PREFIX "sysv:"
#define POSIX_PREFIX "posix:"

static const char *arg_socket = SOCKET_PATH, *arg_root = "", *arg_shm = "/dev/shm";
static bool arg_now;

static struct json_object *node_parameters(const char *name) {
        _cleanup_json_ struct json_object *p = json_object_new_object();

        if (!p || json_add_string(p, "owner", OWNER_ROOT) < 0 || (name && json_add_string(p, "name", name) < 0))
                return NULL;
        return TAKE_PTR(p);
}

/* Calls a method and logs what is wrong, as "Failed to VERB WHAT: ...". */
static int call(VarlinkClient *c, const char *method, struct json_object *p, int fd, const char *verb, const char *what, VarlinkReply *ret) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = p ? pkram_call(c, method, p, fd, ret) : -ENOMEM;
        if (r < 0)
                return log_error_errno(r, "Failed to %s %s", verb, what);
        if (!ret->error)
                return 0;
        text = reply_to_text(ret);
        log_error("Failed to %s %s: %s", verb, what, text ?: ret->error);
        return -EREMOTEIO;
}

/* --- saving --- */

/* Removes what was stored in this boot under that name: it has frozen what it was made of, which may be the same file. */
static int node_forget(VarlinkClient *c, const char *node) {
        _cleanup_reply_ VarlinkReply described = {}, removed = {};
        struct json_object *p = node_parameters(node), *n;
        int r;

        r = p ? pkram_call(c, "Describe", p, -EBADF, &described) : -ENOMEM;
        if (r < 0 || described.error)
                return r;
        n = json_get(described.parameters, "node");
        if (json_get_bool(n, "inherited", true))
                return 0;
        p = node_parameters(node);
        if (!p || json_add_int(p, "id", json_get_int(n, "id", 0)) < 0) {
                json_object_unref(p);
                return -ENOMEM;
        }
        return pkram_call(c, "Remove", p, -EBADF, &removed);
}

static int file_store(VarlinkClient *c, const char *node, const char *object, int fd, const char *what) {
        _cleanup_json_ struct json_object *p = node_parameters(node), *objects = json_object_new_array(), *o = json_object_new_object();
        _cleanup_reply_ VarlinkReply reply = {};
        int r;

        if (!p || !objects || !o || json_add_string(o, "name", object) < 0 || json_add_int(o, "fileDescriptor", 0) < 0 ||
            json_append(objects, TAKE_PTR(o)) < 0 || json_add(p, "objects", TAKE_PTR(objects)) < 0 || json_add_bool(p, "replace", true) < 0)
                return log_error_errno(-ENOMEM, "Failed to store %s", what);
        r = node_forget(c, node);
        if (r < 0)
                return log_error_errno(r, "Failed to store %s", what);
        r = call(c, "Store", TAKE_PTR(p), fd, "store", what, &reply);
        if (r >= 0)
                log_info("Stored %s.", what);
        return r;
}

static int segment_save(VarlinkClient *c, const Segment *s) {
        _cleanup_free_ char *object = segment_to_object_name(s), *writers = NULL;
        char what[64], node[32];
        _cleanup_close_ int fd = -EBADF;

        (void) snprintf(what, sizeof(what), "segment 0x%08x (%i)", s->key, s->id);
        if (!object)
                return log_error_errno(-ENOMEM, "Failed to store %s", what);
        if (s->key == 0) {
                log_error("Refusing to store %s: it is private (IPC_PRIVATE), and without a key no program could find it again.", what);
                return -EOPNOTSUPP;
        }
        writers = s->attached > 0 ? segment_writers(s->id) : NULL;
        if (writers) {
                log_error("Refusing to store %s: it is attached for writing by %s. Have them stop first: Before=pkram-shm.service is "
                          "the wrong order, After=pkram-shm.service the right one.", what, writers);
                return -EBUSY;
        }
        fd = segment_open(s, /* write= */ false);
        if (fd == -EOPNOTSUPP) {
                log_error("Refusing to store %s: it is of huge pages (SHM_HUGETLB), which do not survive a kexec.", what);
                return fd;
        }
        if (fd < 0)
                return log_error_errno(fd, "Failed to open %s", what);
        (void) snprintf(node, sizeof(node), SYSV_PREFIX "0x%08x", s->key);
        return file_store(c, node, object, fd, what);
}

/* Is the key in a list of words? "*" stands for all. */
static bool words_have_key(const char *words, uint32_t key) {
        _cleanup_free_ char *copy = strdup(words);
        char *state = NULL;

        for (char *w = copy ? strtok_r(copy, " \t", &state) : NULL; w; w = strtok_r(NULL, " \t", &state)) {
                uint32_t v;

                if (streq(w, "*") || (key_parse(w, &v) >= 0 && v == key))
                        return true;
        }
        return false;
}

/* The same for the number of a user, of which the words are names or numbers. */
static bool words_have_user(const char *words, uid_t uid) {
        _cleanup_free_ char *copy = strdup(words);
        char *state = NULL;

        for (char *w = copy ? strtok_r(copy, " \t", &state) : NULL; w; w = strtok_r(NULL, " \t", &state)) {
                struct passwd record, *pw = NULL;
                char buffer[16384];
                uint32_t v;

                if (key_parse(w, &v) >= 0) {
                        if (v == uid)
                                return true;
                        continue;
                }
                if (getpwnam_r(w, &record, buffer, sizeof(buffer), &pw) == 0 && pw && pw->pw_uid == uid)
                        return true;
        }
        return false;
}

/* The same for the name of a file, of which the words are patterns. */
static bool words_have_file(const char *words, const char *name) {
        _cleanup_free_ char *copy = strdup(words);
        char *state = NULL;

        for (char *w = copy ? strtok_r(copy, " \t", &state) : NULL; w; w = strtok_r(NULL, " \t", &state))
                if (fnmatch(w, name, FNM_PERIOD) == 0)
                        return true;
        return false;
}

/* Segments of "*" and of users may be private: those are left out, and only a key that is named is worth an error. */
static int save_segments(VarlinkClient *c, const Config *config) {
        const char *keys = config->shared_memory[SHARED_MEMORY_KEYS], *users = config->shared_memory[SHARED_MEMORY_USERS];
        _cleanup_free_ Segment *list = NULL;
        int r, result = 0;
        size_t n = 0;

        r = segments_list(&list, &n);
        if (r < 0)
                return log_error_errno(r, "Failed to list System V segments");
        for (size_t i = 0; i < n; i++) {
                bool wanted = words_have_key(keys, list[i].key) || words_have_user(users, list[i].uid);

                if (!wanted || (list[i].key == 0 && !words_have_key(keys, 0)))
                        continue;
                r = segment_save(c, list + i);
                if (r < 0)
                        result = r;
        }
        return result;
}

static int save_file(VarlinkClient *c, int dir, const char *name) {
        _cleanup_free_ char *node = NULL, *what = NULL;
        _cleanup_close_ int fd = -EBADF;
        struct stat st;

        if (asprintf(&node, POSIX_PREFIX "%s", name) < 0) {
                node = NULL;
                return -ENOMEM;
        }
        if (asprintf(&what, "shared memory '%s'", name) < 0) {
                what = NULL;
                return -ENOMEM;
        }
        fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &st) < 0)
                return log_error_errno(-errno, "Failed to open %s", what);
        if (!S_ISREG(st.st_mode) || st.st_size == 0)
                return 0;
        return file_store(c, node, name, fd, what);
}

static int save_files(VarlinkClient *c, const Config *config) {
        _cleanup_closedir_ DIR *d = NULL;
        const struct dirent *e;
        int result = 0;

        if (!*config->shared_memory[SHARED_MEMORY_FILES])
                return 0;
        d = opendir(arg_shm);
        if (!d)
                return log_error_errno(-errno, "Failed to open '%s'", arg_shm);
        while ((e = readdir(d))) {
                int r;

                if (streq(e->d_name, ".") || streq(e->d_name, "..") || !words_have_file(config->shared_memory[SHARED_MEMORY_FILES], e->d_name))
                        continue;
                r = save_file(c, dirfd(d), e->d_name);
                if (r < 0)
                        result = r;
        }
        return result;
}

static void on_warning(_unused_ const char *path, _unused_ unsigned line, _unused_ const char *text, _unused_ void *userdata) {
        /* pkramd says it. */
}

/* 1: there is something to keep, 0: there is not. */
static int configuration_read(Config *ret) {
        int r;

        config_init(ret);
        r = config_load(ret, arg_root, on_warning, NULL);
        if (r < 0)
                return log_error_errno(r, "Failed to read pkramd.conf");
        for (SharedMemoryId i = 0; i < _SHARED_MEMORY_MAX; i++)
                if (*ret->shared_memory[i])
                        return 1;
        return 0;
}

static int save(VarlinkClient *c, const Config *config) {
        int r, k;

        r = arg_now ? 1 : host_is_in_kexec();
        if (r < 0)
                return log_error_errno(r, "Failed to ask the service manager whether the system goes into a kexec");
        if (r == 0)
                return 0;
        r = save_segments(c, config);
        k = save_files(c, config);
        return r < 0 ? r : k;
}

/* --- restoring --- */

static int node_end(VarlinkClient *c, const char *method, const char *name, int64_t id, const char *verb, const char *what) {
        _cleanup_json_ struct json_object *p = node_parameters(name);
        _cleanup_reply_ VarlinkReply reply = {};

        if (!p || json_add_int(p, "id", id) < 0)
                return log_error_errno(-ENOMEM, "Failed to %s %s", verb, what);
        return call(c, method, TAKE_PTR(p), -EBADF, verb, what, &reply);
}

/* Puts the contents of a node into an empty file. */
static int node_load(VarlinkClient *c, const char *name, int fd, const char *what) {
        _cleanup_json_ struct json_object *p = node_parameters(name);
        _cleanup_reply_ VarlinkReply reply = {};

        if (!p || json_add_int(p, "into", 0) < 0)
                return log_error_errno(-ENOMEM, "Failed to restore %s", what);
        return call(c, "Retrieve", TAKE_PTR(p), fd, "restore", what, &reply);
}

static int segment_fill(VarlinkClient *c, const char *name, int64_t id, const Segment *s, const char *what) {
        _cleanup_close_ int fd = segment_open(s, /* write= */ true);
        int r;

        if (fd < 0 || ftruncate(fd, 0) < 0)
                return log_error_errno(fd < 0 ? fd : -errno, "Failed to open %s", what);
        r = node_load(c, name, fd, what);
        if (r >= 0)
                r = node_end(c, "Release", name, id, "release", what);
        if (r < 0)
                return r;
        r = segment_publish(s, s->id);
        return r < 0 ? log_error_errno(r, "Failed to set the owner and mode of %s", what) : 0;
}

/* A node that was stored in this boot is not needed: what it is about is there, and can be used again without the node. */
static int segment_restore(VarlinkClient *c, const char *name, int64_t id, bool inherited, const char *object) {
        Segment s, other;
        char what[64];
        int r;

        if (segment_from_object_name(object, &s) < 0) {
                log_error("Failed to restore '%s': it does not say what segment it was.", name);
                return -EBADMSG;
        }
        (void) snprintf(what, sizeof(what), "segment 0x%08x", s.key);
        r = segment_find(s.key, /* by_id= */ false, &other);
        if (r >= 0 && !inherited)
                return node_end(c, "Remove", name, id, "unfreeze", what);
        if (r >= 0) {
                log_error("Failed to restore %s: another segment with this key exists already, from uid %u with %llu bytes. What was "
                          "stored stays in the node '%s'.", what, other.uid, (unsigned long long) other.size, name);
                return -EEXIST;
        }
        r = r == -ENOENT ? segment_create(&s, &s.id) : r;
        if (r < 0)
                return log_error_errno(r, "Failed to create %s", what);
        r = segment_fill(c, name, id, &s, what);
        if (r < 0)
                (void) shmctl(s.id, IPC_RMID, NULL);
        else
                log_info("Restored %s: %llu bytes.", what, (unsigned long long) s.size);
        return r;
}

static int file_restore(VarlinkClient *c, const char *name, int64_t id, bool inherited, struct json_object *object) {
        const char *file = json_get_string(object, "name");
        _cleanup_close_ int dir = -EBADF, fd = -EBADF;
        _cleanup_free_ char *what = NULL;
        int r;

        if (!file || !*file || *file == '.' || strchr(file, '/')) {
                log_error("Failed to restore '%s': it does not say what file it was.", name);
                return -EBADMSG;
        }
        if (asprintf(&what, "shared memory '%s'", file) < 0) {
                what = NULL;
                return -ENOMEM;
        }
        dir = open(arg_shm, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
                return log_error_errno(-errno, "Failed to open '%s'", arg_shm);
        if (!inherited && faccessat(dir, file, F_OK, AT_SYMLINK_NOFOLLOW) >= 0)
                return node_end(c, "Remove", name, id, "unfreeze", what);
        fd = openat(dir, file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return log_error_errno(-errno, "Failed to create %s, which stays in the node '%s'", what, name);
        r = node_load(c, name, fd, what);
        if (r >= 0)
                r = node_end(c, "Release", name, id, "release", what);
        if (r >= 0 && (fchown(fd, (uid_t) json_get_int(object, "uid", 0), (gid_t) json_get_int(object, "gid", 0)) < 0 ||
                       fchmod(fd, (mode_t) json_get_int(object, "mode", 0600) & 07777) < 0))
                return log_error_errno(-errno, "Failed to set the owner and mode of %s", what);
        if (r < 0)
                (void) unlinkat(dir, file, 0);
        else
                log_info("Restored %s.", what);
        return r;
}

static int node_restore(VarlinkClient *c, struct json_object *node) {
        const char *name = json_get_string(node, "name");
        bool inherited = json_get_bool(node, "inherited", false);
        int64_t id = json_get_int(node, "id", 0);
        _cleanup_reply_ VarlinkReply reply = {};
        struct json_object *objects, *object;
        int r;

        r = call(c, "Describe", node_parameters(name), -EBADF, "describe", name, &reply);
        if (r < 0)
                return r;
        objects = json_get_array(reply.parameters, "objects");
        object = objects && json_object_array_length(objects) == 1 ? json_object_array_get_idx(objects, 0) : NULL;
        return startswith(name, SYSV_PREFIX) ? segment_restore(c, name, id, inherited, json_get_string(object, "name") ?: "") :
                file_restore(c, name, id, inherited, object);
}

/* Collects the nodes that are ours. */
static int list_nodes(VarlinkClient *c, struct json_object *array) {
        bool more = true;
        int r;

        r = varlink_client_send(c, "io.pkram.Store.List", node_parameters(/* name= */ NULL), NULL, 0, /* more= */ true);
        while (r >= 0 && more) {
                _cleanup_reply_ VarlinkReply reply = {};
                struct json_object *node;
                const char *name;

                r = varlink_client_receive(c, &reply);
                if (r < 0 || reply.error)
                        return r < 0 ? r : reply_is_error(&reply, "NotSupported") ? 0 : -EREMOTEIO;
                more = reply.continues;
                node = json_get(reply.parameters, "node");
                name = json_get_string(node, "name");
                if (name && (startswith(name, SYSV_PREFIX) || startswith(name, POSIX_PREFIX)))
                        r = json_append(array, json_object_get(node));
        }
        return r;
}

static int restore(VarlinkClient *c) {
        _cleanup_json_ struct json_object *array = json_object_new_array();
        int r, result = 0;

        r = array ? list_nodes(c, array) : -ENOMEM;
        if (r < 0)
                return log_error_errno(r, "Failed to list stored shared memory");
        for (size_t i = 0; i < json_object_array_length(array); i++) {
                r = node_restore(c, json_object_array_get_idx(array, i));
                if (r < 0)
                        result = r;
        }
        return result;
}

static void help(void) {
        puts("pkram-shm save|restore [OPTION...]\n"
             "\n"
             "Stores the shared memory that pkramd.conf names when the system goes into a kexec, and\n"
             "restores it. Called by pkram-shm.service.\n"
             "\n"
             "  -h --help          Show this help\n"
             "     --version       Show the version\n"
             "     --now           For save: also if the system does not go into a kexec\n"
             "     --root=DIR      Look for pkramd.conf below DIR\n"
             "     --shm=DIR       Look for POSIX shared memory in DIR, not in /dev/shm\n"
             "     --socket=PATH   Connect to this socket\n"
             "\n"
             "See pkram-shm.service(8) for details.");
}

int main(int argc, char *argv[]) {
        static const struct option options[] = {
                { "help",    no_argument,       NULL, 'h' },
                { "version", no_argument,       NULL, 'V' },
                { "now",     no_argument,       NULL, 'n' },
                { "root",    required_argument, NULL, 'r' },
                { "shm",     required_argument, NULL, 's' },
                { "socket",  required_argument, NULL, 'S' },
                {}
        };
        _cleanup_(varlink_client_freep) VarlinkClient *c = NULL;
        Config config;
        bool saves;
        int o, r;

        while ((o = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (o) {
                case 'h':
                        help();
                        return EXIT_SUCCESS;
                case 'V':
                        puts("pkram-shm " PKRAM_VERSION);
                        return EXIT_SUCCESS;
                case 'n':
                        arg_now = true;
                        break;
                case 'r':
                        arg_root = optarg;
                        break;
                case 's':
                        arg_shm = optarg;
                        break;
                case 'S':
                        arg_socket = optarg;
                        break;
                default:
                        return EXIT_USAGE;
                }
        saves = argc == optind + 1 && streq(argv[optind], "save");
        if (!saves && (argc != optind + 1 || !streq(argv[optind], "restore"))) {
                log_error("Command required: save or restore.");
                return EXIT_USAGE;
        }
        r = configuration_read(&config);
        if (r <= 0)
                return r < 0 ? EXIT_SYSTEM : EXIT_SUCCESS;
        r = varlink_client_connect(arg_socket, &c);
        if (r < 0)
                return log_error_errno(r, "Failed to connect to pkramd at %s", arg_socket) < 0 ? EXIT_SYSTEM : EXIT_SUCCESS;
        r = saves ? save(c, &config) : restore(c);
        return r < 0 ? EXIT_SYSTEM : EXIT_SUCCESS;
}
