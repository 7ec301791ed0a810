/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeps shared memory that pkramd.conf names over a kexec: System V segments, and files below /dev/shm. Each is a node
 * of root, "sysv:0x0052e2c1" or "posix:NAME", whose only object is the contents.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "conf-file.h"
#include "config.h"
#include "json-util.h"
#include "log.h"
#include "peer.h"
#include "pkram-call.h"
#include "shared-users.h"
#include "shared-writers.h"
#include "shm-node.h"
#include "shutdown-kexec.h"

enum {
        EXIT_USAGE = 1,
        EXIT_SYSTEM = 2,
};

static const char *arg_socket = SOCKET_PATH, *arg_root = "", *arg_shm = SHARED_MEMORY_DIRECTORY;
static bool arg_now;
static uint64_t arg_wait_usec = SHUTDOWN_ASK_USEC_MAX;

typedef struct SaveAll {
        VarlinkClient *client;
        int result; /* of the first one that failed */
        SharedWriters writers;
        bool has_writers;
} SaveAll;

static int save_segment(const Segment *segment, void *userdata) {
        SaveAll *all = userdata;
        int r = segment_save(all->client, segment);

        all->result = all->result < 0 ? all->result : r;
        return 0;
}

/* Finds the processes that have files mapped for writing, once for all files. */
static void save_find_writers(SaveAll *all, dev_t device) {
        int r;

        if (all->has_writers)
                return;
        all->has_writers = true;
        r = shared_writers_find(device, /* filter= */ NULL, /* userdata= */ NULL, &all->writers);
        if (r < 0)
                log_warning("Failed to look for processes that write to shared memory, ignoring: %s", strerror(-r));
}

static int save_one_file(SaveAll *all, int dir, const char *name, const struct stat *st) {
        _cleanup_free_ char *node = NULL, *what = NULL, *writers = NULL;
        const char *obstacle = shared_file_obstacle(name, st);
        _cleanup_close_ int fd = -EBADF;

        if (asprintf(&node, POSIX_PREFIX "%s", name) < 0) {
                node = NULL;
                return -ENOMEM;
        }
        if (asprintf(&what, "shared memory '%s'", name) < 0) {
                what = NULL;
                return -ENOMEM;
        }
        if (obstacle) {
                log_error("Refusing to store %s: %s.", what, obstacle);
                return -EOPNOTSUPP;
        }
        save_find_writers(all, st->st_dev);
        writers = shared_writers_text(&all->writers, st->st_dev, st->st_ino);
        if (writers) {
                log_error("Refusing to store %s: it is mapped for writing by %s. " STOP_THEM_FIRST, what, writers);
                return -EBUSY;
        }
        fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
                return log_error_errno(-errno, "Failed to open %s", what);
        return shm_store(all->client, node, name, fd, what);
}

static int save_file(int dir, const char *name, const struct stat *st, void *userdata) {
        SaveAll *all = userdata;
        int r = save_one_file(all, dir, name, st);

        all->result = all->result < 0 ? all->result : r;
        return 0;
}

/* Any user can make a segment, which "*" does not select then. */
static int save_foreign_segment(const Segment *segment, _unused_ void *userdata) {
        log_warning("Ignoring segment 0x%08x of user %u, which SysVUsers= does not name.", segment->key,
                    MAX(segment->uid, segment->creator));
        return 0;
}

/* Any user can make a file that a pattern matches. */
static int save_foreign_file(_unused_ int dir, const char *name, const struct stat *st, _unused_ void *userdata) {
        log_warning("Ignoring shared memory '%s' of user %u, which PosixUsers= does not name.", name, st->st_uid);
        return 0;
}

static int save_unknown_user(const char *name, SharedMemoryId setting, void *userdata) {
        SaveAll *all = userdata;

        log_error("Failed to resolve user '%s', whose %s are not stored.", name,
                  setting == SHARED_MEMORY_USERS ? "segments" : "files");
        all->result = all->result < 0 ? all->result : -ESRCH;
        return 0;
}

/* 1: there is something to keep, 0: there is not. */
static int configuration_read(Config *ret) {
        int r;

        config_init(ret);
        /* pkramd logs the warnings. */
        r = config_load(ret, arg_root, /* warning= */ NULL, /* userdata= */ NULL);
        if (r < 0)
                return log_error_errno(r, "Failed to read pkramd.conf");
        return shared_memory_is_configured(ret);
}

static int shm_run_save(VarlinkClient *c, const Config *config) {
        SaveAll all = { .client = c };
        int r, k;

        r = arg_now ? 1 : shutdown_is_kexec(arg_wait_usec);
        if (r == 0)
                return 0;
        if (r < 0)
                log_warning("Failed to ask the service manager whether the system goes into a kexec, storing shared "
                            "memory: %s", strerror(-r));
        r = shared_users_foreach_unknown(config, save_unknown_user, &all);
        if (r < 0)
                return log_error_errno(r, "Failed to look for users");
        r = shared_segments_foreach(config, save_segment, save_foreign_segment, &all);
        if (r < 0)
                (void) log_error_errno(r, "Failed to list System V segments");
        k = shared_files_foreach(config, arg_shm, save_file, save_foreign_file, &all);
        if (k < 0)
                (void) log_error_errno(k, "Failed to open '%s'", arg_shm);
        shared_writers_done(&all.writers);
        return r < 0 ? r : k < 0 ? k : all.result;
}

/* --- restoring --- */

/* Collects the nodes that are ours. */
static int list_shared_memory(VarlinkClient *c, struct json_object *array) {
        bool more = true;
        int r;

        r = varlink_client_send(c, "io.pkram.Store.List", shm_parameters(/* name= */ NULL), NULL, 0, /* more= */ true);
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

static int shm_run_restore(VarlinkClient *c, const Config *config) {
        _cleanup_json_ struct json_object *array = json_object_new_array();
        unsigned n_failed = 0;
        int r, result = 0;

        r = shared_users_note(config);
        if (r < 0)
                log_warning("Failed to write " SHARED_USERS_PATH ", ignoring: %s", strerror(-r));
        r = array ? list_shared_memory(c, array) : -ENOMEM;
        if (r < 0)
                return log_error_errno(r, "Failed to list stored shared memory");
        for (size_t i = 0; i < json_object_array_length(array); i++) {
                r = shm_restore(c, json_object_array_get_idx(array, i), arg_shm);
                if (r < 0) {
                        result = r;
                        n_failed++;
                }
        }
        /* The unit stays active, or it would store nothing next time. */
        if (n_failed > 0)
                (void) sd_notifyf(/* unset_environment= */ 0,
                                  "STATUS=Not restored: %u of %zu pieces of shared memory, see the journal.",
                                  n_failed, json_object_array_length(array));
        return result;
}

static void shm_help(void) {
        puts("pkram-shm save|restore [OPTION...]\n"
             "\n"
             "Store the shared memory that pkramd.conf names when the system shuts down for\n"
             "a kexec, and restore it at boot. Called by pkram-shm.service.\n"
             "\n"
             "  -h --help          Show this help\n"
             "     --version       Show the version\n"
             "     --now           For save: also without a shutdown for a kexec\n"
             "     --wait=SECONDS  For save: wait for an answer of the service manager\n"
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
                { "wait",    required_argument, NULL, 'w' },
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
                        shm_help();
                        return EXIT_SUCCESS;
                case 'V':
                        puts("pkram-shm " PKRAM_VERSION);
                        return EXIT_SUCCESS;
                case 'n':
                        arg_now = true;
                        break;
                case 'w':
                        if (conf_parse_seconds(optarg, &arg_wait_usec) < 0) {
                                log_error("Invalid time '%s' in --wait=.", optarg);
                                return EXIT_USAGE;
                        }
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
                return log_error_errno(r, "Failed to connect to pkramd at %s", arg_socket) < 0 ? EXIT_SYSTEM :
                        EXIT_SUCCESS;
        r = saves ? shm_run_save(c, &config) : shm_run_restore(c, &config);
        return r < 0 ? EXIT_SYSTEM : EXIT_SUCCESS;
}
