/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mount -t pkram NAME DIR: a tmpfs that begins with the tree that was stored as NAME,
 * if there is one. It is mounted first and filled then, so that there is no moment
 * at which the tree is neither stored nor mounted.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/mount.h>

#include "json-util.h"
#include "log.h"
#include "name.h"
#include "varlink-client.h"

#define SOCKET_PATH "/run/pkram/io.pkram.Store"

/* Exit status, as mount(8) has it. */
enum {
        EXIT_USAGE = 1,
        EXIT_SYSTEM = 2,
        EXIT_MOUNT = 32,
};

typedef struct Options {
        unsigned long flags;
        bool required;
        const char *socket;
        char *data; /* for the tmpfs */
} Options;

static const struct {
        const char *name;
        unsigned long set, clear;
} flags[] = {
        { "ro",          MS_RDONLY,      0              },
        { "rw",          0,              MS_RDONLY      },
        { "nosuid",      MS_NOSUID,      0              },
        { "suid",        0,              MS_NOSUID      },
        { "nodev",       MS_NODEV,       0              },
        { "dev",         0,              MS_NODEV       },
        { "noexec",      MS_NOEXEC,      0              },
        { "exec",        0,              MS_NOEXEC      },
        { "noatime",     MS_NOATIME,     0              },
        { "atime",       0,              MS_NOATIME     },
        { "nodiratime",  MS_NODIRATIME,  0              },
        { "diratime",    0,              MS_NODIRATIME  },
        { "relatime",    MS_RELATIME,    0              },
        { "norelatime",  0,              MS_RELATIME    },
        { "strictatime", MS_STRICTATIME, 0              },
        { "lazytime",    MS_LAZYTIME,    0              },
        { "sync",        MS_SYNCHRONOUS, 0              },
        { "async",       0,              MS_SYNCHRONOUS },
};

/* Those that are for mount(8) and systemd only. */
static bool is_for_others(const char *option) {
        static const char *const words[] = { "defaults", "auto", "noauto", "nofail", "_netdev", "user", "nouser", "users", "owner", "group" };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (streq(option, words[i]))
                        return true;
        return startswith(option, "x-") || startswith(option, "X-") || startswith(option, "comment=");
}

static int add_data(Options *o, const char *option) {
        char *data;

        if (asprintf(&data, "%s%s%s", o->data ?: "", o->data ? "," : "", option) < 0)
                return -ENOMEM;
        free(o->data);
        o->data = data;
        return 0;
}

static int parse_option(Options *o, const char *option) {
        const char *value;

        for (size_t i = 0; i < ELEMENTSOF(flags); i++)
                if (streq(option, flags[i].name)) {
                        o->flags = (o->flags & ~flags[i].clear) | flags[i].set;
                        return 0;
                }

        if (streq(option, "required") || streq(option, "x-pkram.required")) {
                o->required = true;
                return 0;
        }
        value = startswith(option, "socket=");
        if (value) {
                o->socket = value;
                return 0;
        }
        /* What the tmpfs does not know either, it refuses. */
        return !*option || is_for_others(option) ? 0 : add_data(o, option);
}

static int parse_options(Options *o, char *text) {
        for (char *option; (option = strsep(&text, ","));) {
                int r = parse_option(o, option);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int call(VarlinkClient *c, const char *method, const char *name, int fd, VarlinkReply *ret) {
        _cleanup_json_ struct json_object *p = json_object_new_object();
        int r;

        if (!p || (name && (json_add_string(p, "name", name) < 0 || json_add_int(p, "directory", 0) < 0)))
                return -ENOMEM;
        r = varlink_client_send(c, method, TAKE_PTR(p), &fd, name ? 1 : 0, /* more= */ false);
        return r < 0 ? r : varlink_client_receive(c, ret);
}

/* Does this kernel keep anything at all? */
static int is_supported(VarlinkClient *c) {
        _cleanup_reply_ VarlinkReply reply = {};
        int r;

        r = call(c, "io.pkram.Store.GetStatus", NULL, -EBADF, &reply);
        return r < 0 ? r : json_get_bool(reply.parameters, "supported", false);
}

/* Without the tree, an empty directory has to do, unless the caller wants the tree or nothing. */
static int go_without(const Options *o, const char *name, const char *why) {
        log_message(o->required ? LOG_ERR : LOG_NOTICE, "Tree '%s' %s%s", name, why,
                    o->required ? ", and the option required asks for it: not mounted." : ": the file system is empty.");
        return o->required ? -ENOENT : 0;
}

/* Asks the daemon to put the tree there. Says what is wrong. */
static int fill(const Options *o, const char *name, int fd) {
        _cleanup_(varlink_client_freep) VarlinkClient *c = NULL;
        _cleanup_reply_ VarlinkReply reply = {};
        const char *e, *reason;
        int r;

        r = varlink_client_connect(o->socket, &c);
        if (r < 0)
                return log_error_errno(r, "pkramd cannot be reached at %s, and so nobody knows whether tree '%s' is stored", o->socket, name);
        r = is_supported(c);
        if (r == 0)
                return go_without(o, name, "cannot be there, since this kernel has no PKRAM");
        if (r > 0)
                r = call(c, "io.pkram.Store.RestoreTree", name, fd, &reply);
        if (r < 0)
                return log_error_errno(r, "pkramd did not answer; tree '%s' is still stored if it was", name);

        if (!reply.error) {
                log_info("Restored tree '%s'.", name);
                return 0;
        }
        if (streq(reply.error, "io.pkram.Store.NoSuchNode"))
                return go_without(o, name, "is not stored");
        if (streq(reply.error, "io.pkram.Store.NodeDamaged"))
                return go_without(o, name, "is damaged and stays stored, for 'pkramctl show' and 'pkramctl remove'");

        /* Anything else may be better next time: starting empty now could mean to lose it. */
        e = startswith(reply.error, "io.pkram.Store.") ?: reply.error;
        reason = json_get_string(reply.parameters, "reason");
        log_error("Tree '%s' cannot be restored (%s)%s%s", name, e, reason ? ": " : ".", reason ?: "");
        return -EIO;
}

static int mount_tree(const Options *o, const char *name, const char *path) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (mount(name, path, "tmpfs", o->flags & ~MS_RDONLY, o->data) < 0)
                return log_error_errno(-errno, "A tmpfs cannot be mounted at '%s' with options '%s'", path, o->data ?: "");

        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = fd < 0 ? log_error_errno(-errno, "'%s' cannot be opened", path) : fill(o, name, fd);
        fd = safe_close(fd);
        if (r >= 0 && (o->flags & MS_RDONLY) && mount(NULL, path, NULL, MS_REMOUNT | o->flags, o->data) < 0)
                /* What was restored is only there now, so it stays. */
                return log_error_errno(-errno, "'%s' cannot be made read-only", path);
        if (r < 0 && umount2(path, MNT_DETACH) < 0)
                (void) log_error_errno(-errno, "'%s' cannot be unmounted again", path);
        return r;
}

static void help(void) {
        puts("mount.pkram NAME DIR [-fnsv] [-o OPTIONS]\n"
             "\n"
             "Mounts a tmpfs that begins with the tree stored as NAME, empty if there is none.\n"
             "Called by mount(8) for file systems of type pkram.\n"
             "\n"
             "  -h --help     Show this help\n"
             "     --version  Show the version\n"
             "  -f            Do everything but mount\n"
             "  -n -s -v -t TYPE -N NAMESPACE  Ignored, for mount(8)\n"
             "  -o OPTIONS    Those of tmpfs (size=, mode=, ...), and\n"
             "                required, x-pkram.required: fail if there is no such tree\n"
             "                socket=PATH: where pkramd listens\n"
             "\n"
             "See mount.pkram(8) for details.");
}

int main(int argc, char *argv[]) {
        static const struct option long_options[] = {
                { "help",    no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                {}
        };
        Options o = { .socket = SOCKET_PATH };
        bool fake = false;
        int c, r = 0;

        while ((c = getopt_long(argc, argv, "hfnsvt:N:o:", long_options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        help();
                        return EXIT_SUCCESS;
                case 'V':
                        puts("mount.pkram " PKRAM_VERSION);
                        return EXIT_SUCCESS;
                case 'f':
                        fake = true;
                        break;
                case 'o':
                        r = parse_options(&o, optarg);
                        if (r < 0)
                                return EXIT_SYSTEM;
                        break;
                case '?':
                        return EXIT_USAGE; /* getopt said what is wrong */
                default:
                        break;
                }

        if (argc - optind != 2) {
                log_error("The name of a tree and a directory are needed: mount -t pkram NAME DIR");
                return EXIT_USAGE;
        }
        if (name_validate(argv[optind], NULL) < 0) {
                log_error("'%s' cannot be the name of a tree: 1 to 255 bytes, no slash, no control characters.", argv[optind]);
                return EXIT_USAGE;
        }

        if (!fake)
                r = mount_tree(&o, argv[optind], argv[optind + 1]);
        free(o.data);
        return r < 0 ? EXIT_MOUNT : EXIT_SUCCESS;
}
