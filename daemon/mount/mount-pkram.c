/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mount -t pkram NAME DIR: a tmpfs that begins with the tree that was stored as NAME,
 * if there is one. It is not mounted anywhere until it is filled: a process that waits for the mount finds
 * the tree in it or no mount at all, also if this program is killed, and what is stored
 * cannot be replaced by what is half done. What is stored is released when it is mounted,
 * and not before. umount.pkram is the other half.
 */
#include <fcntl.h>
#include <linux/limits.h>
#include <stdio.h>
#include <sys/mount.h>

#include "json-util.h"
#include "log.h"
#include "mount-name.h"
#include "mount-util.h"
#include "name.h"
#include "peer.h"

/* Where libmount has a file system mounted of which only a directory is wanted (X-mount.subdir=). */
#define SUBDIR_TARGET "/run/mount/tmptgt"

typedef struct Options {
        unsigned long flags;
        bool required, verify, existing, remount;
        int persist; /* importance on disk */
        const char *name; /* of the tree, instead of the source */
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
        static const char *const words[] = { "defaults", "auto", "noauto", "nofail", "_netdev", "user", "nouser",
                                             "users", "owner", "group" };

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

        if (streq(option, "pkram.required")) {
                o->required = true;
                return 0;
        }
        if (streq(option, "pkram.verify")) {
                o->verify = true;
                return 0;
        }
        if (streq(option, "pkram.persist")) {
                o->persist = PERSIST_MARKED;
                return 0;
        }
        value = startswith(option, "pkram.persist=");
        if (value) {
                if (persist_parse(value, &o->persist) >= 0)
                        return 0;
                log_error("Invalid option '%s': expected an importance from 0 to %i.", option, PERSIST_MAX);
                return -EINVAL;
        }
        if (streq(option, "pkram.existing")) {
                o->existing = true;
                return 0;
        }
        value = startswith(option, "pkram.name=");
        if (value) {
                o->name = value;
                return 0;
        }
        value = startswith(option, "pkram.socket=");
        if (value) {
                o->socket = value;
                return 0;
        }
        if (startswith(option, "x-pkram.") || startswith(option, "pkram.")) {
                log_error("Unknown option '%s'; see mount.pkram(8).", option);
                return -EINVAL;
        }
        if (streq(option, "remount")) {
                o->remount = true;
                return 0;
        }
        if (streq(option, "bind")) {
                o->flags |= MS_BIND;
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

/* Without the tree, an empty directory has to do, unless the caller wants the tree or nothing. */
static int go_without(const Options *o, const char *name, const char *why) {
        log_message(o->required ? LOG_ERR : LOG_NOTICE, "Tree '%s' %s%s", name, why,
                    o->required ? ", not mounting because of pkram.required." : ", mounting an empty file system.");
        return o->required ? -ENOENT : 0;
}

/*
 * Reports that there is no such node. If the last kexec lost it, the message gives the reason that
 * pkram-restore has recorded: it was damaged, or it was not stored at all.
 */
static int go_without_node(const Options *o, VarlinkClient *c, const char *name) {
        _cleanup_reply_ VarlinkReply reply = {};
        _cleanup_free_ char *text = NULL;
        struct json_object *lost = NULL;

        if (pkram_call(c, "GetStatus", /* parameters= */ NULL, -EBADF, &reply) >= 0 && !reply.error)
                lost = json_get_array(json_get(reply.parameters, "lastKexec"), "lost");
        for (size_t i = 0; lost && i < json_object_array_length(lost); i++) {
                struct json_object *l = json_object_array_get_idx(lost, i);
                const char *other = json_get_string(l, "name"), *reason = json_get_string(l, "reason"),
                           *owner = json_get_string(l, "owner");

                if (!other || !reason || !streq(other, name) || (owner && !streq(owner, OWNER_ROOT)))
                        continue;
                if (asprintf(&text, "is not stored, it was lost in the last kexec (%s)", reason) < 0)
                        text = NULL;
                break;
        }
        return go_without(o, name, text ?: "is not stored");
}

static int mount_log_interrupted(const char *name) {
        log_error("Interrupted while restoring tree '%s' (%s), not mounting. If the tree was stored, it still is. "
                  "Try again; if the unit timed out, raise its timeout.", name,
                  sigdescr_np(interruption()) ?: "a signal");
        return -EINTR;
}

/*
 * Asks the daemon to put the tree there, and to keep it until it is released. 1: it is there, 0: there is none, and
 * that is all right. Says what is wrong.
 */
static int mount_fill(const Options *o, const char *name, int fd, int64_t *ret_id) {
        _cleanup_(varlink_client_freep) VarlinkClient *c = NULL;
        _cleanup_reply_ VarlinkReply reply = {};
        _cleanup_free_ char *text = NULL, *reason = NULL;
        _cleanup_json_ struct json_object *p = NULL;
        bool disk;
        int r;

        r = varlink_client_connect(o->socket, &c);
        if (r < 0)
                return log_error_errno(r, "Failed to connect to pkramd at '%s', cannot look for tree '%s'", o->socket,
                                       name);
        interruption_hangs_up(c);
        r = pkram_is_supported(c, &disk, &reason);
        if (r == 0) {
                interruption_hangs_up(NULL);
                return go_without(o, name, "is not stored, this kernel has no PKRAM");
        }
        if (r < 0 && interruption())
                return mount_log_interrupted(name);
        if (reason) {
                log_error("Failed to look for tree '%s', not mounting. If the tree was stored, it still is: %s", name,
                          reason);
                return r;
        }
        if (r < 0)
                return log_error_errno(r, "Failed to query pkramd; if tree '%s' was stored, it still is", name);

        if (disk && o->persist == PERSIST_NEVER)
                log_warning("Tree '%s' will be discarded when it is unmounted: with pkram.persist=0 it must not be "
                            "written to disk, and this kernel has no PKRAM.", name);

        p = pkram_tree_parameters(name);
        if (!p || json_add_bool(p, "keep", true) < 0)
                return log_error_errno(-ENOMEM, "Failed to request tree '%s'", name);
        r = pkram_call(c, "RestoreTree", TAKE_PTR(p), fd, &reply);
        interruption_hangs_up(NULL);
        if (r >= 0 && !reply.error && !interruption()) {
                *ret_id = json_get_int(json_get(reply.parameters, "node"), "id", 0);
                return 1;
        }
        if (r >= 0 && reply_is_error(&reply, "NoSuchNode"))
                return go_without_node(o, c, name);
        if (r >= 0 && reply_is_error(&reply, "NodeDamaged"))
                return go_without(o, name, "is damaged");

        /* Anything else may be better next time: starting empty now could mean to lose it. */
        if ((r < 0 || !reply.error) && interruption())
                return mount_log_interrupted(name);
        if (r < 0)
                return log_error_errno(r, "Failed to restore tree '%s', it remains stored", name);
        text = reply_to_text(&reply);
        log_error("Failed to restore tree '%s': %s", name, text ?: "out of memory");
        return -EIO;
}

/* --- the tmpfs --- */

static int set_option(int fs, char *option) {
        char *value = strchr(option, '=');

        if (value)
                *value++ = 0;
        if (fsconfig(fs, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, option, value, 0) < 0)
                return log_error_errno(-errno, "Failed to set tmpfs option '%s'", option);
        return 0;
}

static unsigned mount_set_attributes(unsigned long mount_flags) {
        static const struct {
                unsigned long flag;
                unsigned attribute;
        } table[] = {
                { MS_NOSUID,      MOUNT_ATTR_NOSUID      },
                { MS_NODEV,       MOUNT_ATTR_NODEV       },
                { MS_NOEXEC,      MOUNT_ATTR_NOEXEC      },
                { MS_NODIRATIME,  MOUNT_ATTR_NODIRATIME  },
                { MS_STRICTATIME, MOUNT_ATTR_STRICTATIME },
        };
        unsigned a = 0;

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (mount_flags & table[i].flag)
                        a |= table[i].attribute;
        /* Either of the two, or relatime. */
        return (mount_flags & (MS_NOATIME | MS_STRICTATIME)) == MS_NOATIME ? a | MOUNT_ATTR_NOATIME : a;
}

/* A tmpfs that can be written to and is mounted nowhere. Says what is wrong. */
static int make_tmpfs(const Options *o, const char *name, int *ret) {
        _cleanup_close_ int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
        _cleanup_free_ char *data = strdup(o->data ?: "");
        char *rest = data;
        int fd, r;

        if (!data)
                return log_error_errno(-ENOMEM, "Failed to create tmpfs");
        if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "source", name, 0) < 0 ||
            ((o->flags & MS_SYNCHRONOUS) && fsconfig(fs, FSCONFIG_SET_FLAG, "sync", NULL, 0) < 0) ||
            ((o->flags & MS_LAZYTIME) && fsconfig(fs, FSCONFIG_SET_FLAG, "lazytime", NULL, 0) < 0))
                return log_error_errno(-errno, "Failed to create tmpfs");
        for (char *option; (option = strsep(&rest, ","));) {
                r = *option ? set_option(fs, option) : 0;
                if (r < 0)
                        return r;
        }

        if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return log_error_errno(-errno, "Failed to create tmpfs with options '%s'", o->data ?: "");
        fd = fsmount(fs, FSMOUNT_CLOEXEC, mount_set_attributes(o->flags));
        if (fd < 0)
                return log_error_errno(-errno, "Failed to mount tmpfs");

        *ret = fd;
        return 0;
}

/*
 * The tree is where it belongs: what was stored is released, which thaws its files. Says what
 * is wrong. A pkramd that was killed meanwhile is started again by the next connection, which
 * is why there is more than one.
 */
static int mount_release(const Options *o, const char *name, int64_t id) {
        int r = 0;

        for (unsigned i = 0; i < 3; i++) {
                _cleanup_(varlink_client_freep) VarlinkClient *c = NULL;
                _cleanup_json_ struct json_object *p = json_object_new_object();
                _cleanup_reply_ VarlinkReply reply = {};
                _cleanup_free_ char *text = NULL;

                r = !p || json_add_string(p, "owner", OWNER_ROOT) < 0 || json_add_string(p, "name", name) < 0 ||
                                json_add_int(p, "id", id) < 0 ? -ENOMEM :
                                varlink_client_connect(o->socket, &c);
                if (r >= 0)
                        r = pkram_call(c, "Release", TAKE_PTR(p), -EBADF, &reply);
                if (r < 0)
                        continue;
                /* The first call may have released it without its answer having come. */
                if (!reply.error || (i > 0 && reply_is_error(&reply, "NoSuchNode")))
                        return 0;
                if (reply_is_error(&reply, "NoSuchNode")) {
                        log_error("Tree '%s' was removed from the store by another process.", name);
                        return -ESTALE;
                }
                text = reply_to_text(&reply);
                log_error("Failed to release tree '%s', it remains stored: %s", name, text ?: "out of memory");
                return -EIO;
        }
        return log_error_errno(r, "Failed to release tree '%s', it remains stored", name);
}

/*
 * Checks that the tree is mounted nowhere, and that no other tree is mounted at path. Returns 0; 1 if this very tree
 * is mounted there already and the caller is content with that; or -EBUSY after a message.
 */
static int place_check(const Options *o, const char *name, const char *path) {
        _cleanup_tree_mount_ TreeMount there = {};
        _cleanup_free_ char *place = NULL;
        int r;

        r = tree_mount_find_name(name, streq(o->socket, SOCKET_PATH) ? NULL : o->socket, &place);
        if (r < 0)
                return log_error_errno(r, "Failed to read the table of mounts");
        if (r > 0 && o->existing && streq(place, path)) {
                log_message(LOG_NOTICE, "Tree '%s' is mounted at '%s' already, leaving it as it is.", name, path);
                return 1;
        }
        if (r > 0) {
                log_error("Tree '%s' is already mounted at '%s'. Give the second tree another name, "
                          "or unmount the first one.", name, place);
                return -EBUSY;
        }

        r = tree_mount_find(path, &there);
        if (r >= 0) {
                log_error("Tree '%s' is already mounted at '%s'. Unmount it before mounting tree '%s' there.",
                          there.name, path, name);
                return -EBUSY;
        }
        if (r != -ENOENT && r != -EMEDIUMTYPE)
                return log_error_errno(r, "Failed to read the table of mounts");
        return 0;
}

/*
 * The directory is in the file system tmpfs. The tree stays stored until it is mounted, so that
 * nothing is lost if this program is killed before.
 */
static int fill_and_mount(const Options *o, const char *name, const char *path, int target, int tmpfs, int directory) {
        const TreeMount m = {
                .name = (char *) name,
                .socket = streq(o->socket, SOCKET_PATH) ? NULL : (char *) o->socket,
                .verify = o->verify,
                .persist = o->persist,
        };
        _cleanup_close_ int lock = -EBADF;
        int64_t id = 0;
        int r, restored;

        restored = mount_fill(o, name, directory, &id);
        if (restored < 0)
                return restored;

        /* Another process may have mounted something while the tree was restored. From here to the mount there is only
         * one. */
        lock = tree_mount_lock(".mount");
        if (lock < 0)
                return log_error_errno(lock, "Failed to lock /run/pkram/lock/.mount");
        r = place_check(o, name, path);
        if (r != 0)
                return MIN(r, 0);

        /* Before the mount is visible, so that it cannot be unmounted without being stored. */
        r = tree_mount_remember(&m, path);
        if (r < 0)
                return log_error_errno(r, "Failed to add '%s' to /run/mount/utab", path);
        if (move_mount(tmpfs, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0) {
                r = log_error_errno(-errno, "Failed to mount tmpfs on '%s'", path);
                (void) tree_mount_forget(path);
                return r;
        }
        lock = safe_close(lock);
        if (!restored)
                return 0;

        r = mount_release(o, name, id);
        if (r < 0) {
                (void) tree_mount_forget(path);
                if (umount2(path, MNT_DETACH) < 0)
                        (void) log_error_errno(-errno, "Failed to unmount '%s' again", path);
                return r;
        }
        log_info("Restored tree '%s'.", name);
        return 0;
}

static int mount_tree(const Options *o, const char *name, const char *path) {
        _cleanup_close_ int target = -EBADF, tmpfs = -EBADF, directory = -EBADF;
        int r;

        r = place_check(o, name, path);
        if (r != 0)
                return MIN(r, 0);
        target = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (target < 0)
                return log_error_errno(-errno, "Failed to mount on '%s'", path);
        r = make_tmpfs(o, name, &tmpfs);
        if (r < 0)
                return r;
        directory = openat(tmpfs, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0)
                return log_error_errno(-errno, "Failed to open the new tmpfs");

        r = fill_and_mount(o, name, path, target, tmpfs, directory);
        if (r < 0)
                return r;
        if ((o->flags & MS_RDONLY) && mount(NULL, path, NULL, MS_REMOUNT | o->flags, o->data) < 0)
                /* What was restored is only there now, so it stays. */
                return log_error_errno(-errno, "Failed to make '%s' read-only", path);
        return 0;
}

/* Changes options of a mounted tree, as mount(8) does for a tmpfs. What is in the tree does not change. */
static int remount_tree(const Options *o, const char *path) {
        _cleanup_tree_mount_ TreeMount m = {};
        int r;

        r = tree_mount_find(path, &m);
        if (r == -ENOENT || r == -EMEDIUMTYPE) {
                log_error("No tree is mounted at '%s'.", path);
                return r;
        }
        if (r < 0)
                return log_error_errno(r, "Failed to read the table of mounts");
        if (mount(m.name, path, "tmpfs", MS_REMOUNT | o->flags, o->data) < 0)
                return log_error_errno(-errno, "Failed to remount '%s' with options '%s'", path, o->data ?: "");

        if ((o->verify && !m.verify) || (o->persist != PERSIST_DEFAULT && o->persist != m.persist)) {
                m.verify = m.verify || o->verify;
                m.persist = o->persist != PERSIST_DEFAULT ? o->persist : m.persist;
                r = tree_mount_change(&m, path);
                if (r < 0)
                        return log_error_errno(r, "Failed to change the entry for '%s' in /run/mount/utab", path);
        }
        return 0;
}

/* Determines the name of the tree to be mounted. Returns 0, or a negative errno after a message. */
static int find_name(const Options *o, const char *source, const char *path, char **ret) {
        _cleanup_free_ char *name = NULL;
        int r = 0;

        if (o->name) {
                name = strdup(o->name);
                r = name ? 0 : -ENOMEM;
        } else
                r = tree_name_recover(source, path, &name);
        if (r == -ENOTUNIQ)
                log_error("mount(8) turned the name of the tree into the path '%s', which several entries of the "
                          "current directory lead to. Give the name with the option pkram.name=.", source);
        else if (r == -EINVAL || (r >= 0 && name_validate(name, NULL) < 0)) {
                log_error("Invalid tree name '%s': expected 1 to 255 bytes without slashes and control characters.",
                          name ?: source);
                r = -EINVAL;
        } else if (r < 0)
                return log_error_errno(r, "Failed to determine the name of tree '%s'", source);
        if (r >= 0)
                *ret = TAKE_PTR(name);
        return r;
}

static void mount_help(void) {
        puts("mount.pkram NAME DIR [-fnsv] [-o OPTIONS]\n"
             "\n"
             "Mount a tmpfs and populate it with the tree stored as NAME, if there is one.\n"
             "Called by mount(8) for file systems of type pkram.\n"
             "\n"
             "  -h --help     Show this help\n"
             "     --version  Show the version\n"
             "  -f            Do everything except mounting\n"
             "  -n -s -v -t TYPE -N NAMESPACE  Ignored, for mount(8)\n"
             "  -o OPTIONS    Options of tmpfs (size=, mode=, ...), and\n"
             "                pkram.required: fail if the tree is not stored\n"
             "                pkram.verify: store checksums of the tree\n"
             "                pkram.persist[=N]: write the tree to disk at shutdown\n"
             "                pkram.existing: succeed if the tree is already mounted on DIR\n"
             "                pkram.name=NAME: name of the tree, instead of NAME above\n"
             "                pkram.socket=PATH: socket of pkramd\n"
             "                remount: change options of a mounted tree\n"
             "\n"
             "See mount.pkram(8) for details.");
}

int main(int argc, char *argv[]) {
        Options o = { .socket = SOCKET_PATH };
        _cleanup_free_ char *name = NULL;
        char path[PATH_MAX];
        bool fake = false;
        int c, status, r = 0;

        while ((c = mount_next_option(argc, argv, "hfnsvt:N:o:", "mount.pkram", mount_help, &status)) > 0)
                if (c == 'f')
                        fake = true;
                else if (c == 'o') {
                        r = parse_options(&o, optarg);
                        if (r < 0)
                                return r == -EINVAL ? EXIT_USAGE : EXIT_SYSTEM;
                }
        if (c < 0)
                return status;

        if (argc - optind != 2) {
                log_error("Tree name and directory required: mount -t pkram NAME DIR");
                return EXIT_USAGE;
        }
        if (!realpath(argv[optind + 1], path)) {
                (void) log_error_errno(-errno, "Failed to mount on '%s'", argv[optind + 1]);
                return EXIT_MOUNT;
        }
        if (streq(path, SUBDIR_TARGET)) {
                log_error("The option X-mount.subdir= is not supported: a tree is mounted as a whole. "
                          "Use 'mount --bind' for a directory of a mounted tree.");
                return EXIT_USAGE;
        }
        if ((o.flags & MS_BIND) && !o.remount) {
                log_error("Bind mounts are not supported by mount.pkram. Use 'mount --bind' without a type.");
                return EXIT_USAGE;
        }

        interruption_catch();
        if (o.remount) {
                if (!fake)
                        r = remount_tree(&o, path);
        } else {
                r = find_name(&o, argv[optind], path, &name);
                if (r < 0)
                        return r == -ENOMEM ? EXIT_SYSTEM : EXIT_USAGE;
                o.existing = o.existing || caller_mounts_all();
                if (!fake)
                        r = mount_tree(&o, name, path);
        }
        free(o.data);
        return r < 0 ? EXIT_MOUNT : EXIT_SUCCESS;
}
