/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <getopt.h>
#include <libmount.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "json-util.h"
#include "mount-util.h"
#include "peer.h"

int mount_next_option(int argc, char *argv[], const char *letters, const char *program, void (*help)(void),
                      int *ret_status) {
        static const struct option long_options[] = {
                { "help",    no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                {}
        };
        int c = getopt_long(argc, argv, letters, long_options, NULL);

        switch (c) {
        case 'h':
                help();
                *ret_status = EXIT_SUCCESS;
                return -1;
        case 'V':
                printf("%s %s\n", program, PKRAM_VERSION);
                *ret_status = EXIT_SUCCESS;
                return -1;
        case '?':
                *ret_status = EXIT_USAGE; /* getopt said what is wrong */
                return -1;
        default:
                return MAX(c, 0);
        }
}

int pkram_status_support(const VarlinkReply *status, bool *ret_disk, char **ret_reason) {
        const char *place = json_get_string(status->parameters, "place");
        char *reason;

        *ret_disk = false;
        *ret_reason = NULL;
        if (status->error)
                reason = reply_to_text(status);
        else if (json_get_bool(status->parameters, "supported", false)) {
                *ret_disk = place && streq(place, "disk");
                return 1;
        } else if (!json_get(status->parameters, "diskProblem") &&
                   !json_get_bool(status->parameters, "accessDenied", false))
                return 0;
        else
                reason = strdup(json_get_string(status->parameters, "reason") ?: "");
        if (!reason)
                return -ENOMEM;

        *ret_reason = reason;
        return -EIO;
}

int pkram_is_supported(VarlinkClient *c, bool *ret_disk, char **ret_reason) {
        _cleanup_reply_ VarlinkReply reply = {};
        int r;

        *ret_disk = false;
        *ret_reason = NULL;
        r = pkram_call(c, "GetStatus", /* parameters= */ NULL, -EBADF, &reply);
        return r < 0 ? r : pkram_status_support(&reply, ret_disk, ret_reason);
}

/* --- being asked to end --- */

static volatile sig_atomic_t interrupting_signal, interruptible_fd = -EBADF;

static void on_signal(int signal) {
        int saved = errno;

        interrupting_signal = signal;
        if (interruptible_fd >= 0)
                (void) shutdown(interruptible_fd, SHUT_RDWR);
        errno = saved;
}

void interruption_catch(void) {
        const struct sigaction a = { .sa_handler = on_signal };

        (void) sigaction(SIGTERM, &a, NULL);
        (void) sigaction(SIGINT, &a, NULL);
        (void) sigaction(SIGHUP, &a, NULL);
}

void interruption_hangs_up(const VarlinkClient *c) {
        interruptible_fd = c ? varlink_client_fd(c) : -EBADF;
        if (c && interrupting_signal)
                (void) shutdown(interruptible_fd, SHUT_RDWR);
}

int interruption(void) {
        return interrupting_signal;
}

struct json_object *pkram_tree_parameters(const char *name) {
        _cleanup_json_ struct json_object *p = json_object_new_object();

        if (!p || json_add_string(p, "owner", OWNER_ROOT) < 0 || json_add_string(p, "name", name) < 0 ||
            json_add_int(p, "directory", 0) < 0)
                return NULL;
        return TAKE_PTR(p);
}

/* --- libmount's table of what the kernel does not know --- */

void tree_mount_done(TreeMount *m) {
        free(m->name);
        free(m->socket);
        *m = (TreeMount) {};
}

static void mnt_unref_fsp(struct libmnt_fs **fs) {
        mnt_unref_fs(*fs);
}

static void mnt_free_updatep(struct libmnt_update **u) {
        mnt_free_update(*u);
}

static void mnt_unref_tablep(struct libmnt_table **t) {
        mnt_unref_table(*t);
}

int tree_mount_remember(const TreeMount *m, const char *path) {
        _cleanup_(mnt_free_updatep) struct libmnt_update *u = NULL;
        _cleanup_(mnt_unref_fsp) struct libmnt_fs *fs = NULL;
        _cleanup_free_ char *options = NULL;
        char persist[32] = "";
        int r;

        if (m->persist != PERSIST_DEFAULT)
                (void) snprintf(persist, sizeof(persist), ",x-pkram.persist=%i", MAX(m->persist, 0));
        /* "helper=" sends every umount(8) to umount.pkram; the other ones are for that. */
        if (asprintf(&options, "helper=pkram%s%s%s%s%s%s", m->verify ? ",x-pkram.verify" : "", persist,
                     m->socket ? ",x-pkram.socket=" : "", m->socket ?: "",
                     m->lost ? ",x-pkram.lost=" : "", m->lost ? tree_lost_to_string(m->lost) : "") < 0)
                return -ENOMEM;

        u = mnt_new_update();
        fs = mnt_new_fs();
        if (!u || !fs)
                return -ENOMEM;
        r = mnt_fs_set_source(fs, m->name);
        if (r >= 0)
                r = mnt_fs_set_target(fs, path);
        if (r >= 0)
                r = mnt_fs_set_fstype(fs, "tmpfs");
        if (r >= 0)
                r = mnt_fs_set_options(fs, options);
        if (r >= 0)
                r = mnt_update_set_fs(u, /* mountflags= */ 0, /* target= */ NULL, fs);
        if (r < 0)
                return r;
        /* 1: there is nothing to write, which would mean that the options were not understood. */
        return r > 0 ? -EOPNOTSUPP : mnt_update_table(u, /* lc= */ NULL);
}

int tree_mount_change(const TreeMount *m, const char *path) {
        int r = tree_mount_forget(path);

        return r < 0 ? r : tree_mount_remember(m, path);
}

int tree_mount_forget(const char *path) {
        _cleanup_(mnt_free_updatep) struct libmnt_update *u = mnt_new_update();
        int r;

        if (!u)
                return -ENOMEM;
        r = mnt_update_set_fs(u, /* mountflags= */ 0, path, /* fs= */ NULL);
        return r < 0 ? r : mnt_update_table(u, /* lc= */ NULL);
}

/* An option's value as a new string; 1: it is there, 0: it is not. */
static int get_option(const char *options, const char *name, char **ret) {
        char *value = NULL;
        size_t size = 0;

        if (!options || mnt_optstr_get_option(options, name, &value, &size) != 0)
                return 0;
        if (!ret)
                return 1;
        *ret = strndup(value ?: "", size);
        return *ret ? 1 : -ENOMEM;
}

/* Is this a mount that mount.pkram made? Returns 1 and what is known about it, 0, or a negative errno. */
static int mount_entry_read(struct libmnt_fs *fs, TreeMount *ret) {
        const char *options = mnt_fs_get_user_options(fs);
        _cleanup_free_ char *helper = NULL, *lost = NULL, *persist = NULL;
        _cleanup_tree_mount_ TreeMount m = {};
        int r;

        r = get_option(options, "helper", &helper);
        if (r < 0)
                return r;
        if (!mnt_fs_get_fstype(fs) || !streq(mnt_fs_get_fstype(fs), "tmpfs") || !helper || !streq(helper, "pkram"))
                return 0;

        r = get_option(options, "x-pkram.socket", &m.socket);
        if (r < 0)
                return r;
        r = get_option(options, "x-pkram.lost", &lost);
        if (r < 0)
                return r;
        m.lost = tree_lost_from_string(lost);
        r = get_option(options, "x-pkram.persist", &persist);
        if (r < 0)
                return r;
        if (persist)
                (void) persist_parse(persist, &m.persist);
        m.verify = get_option(options, "x-pkram.verify", /* ret= */ NULL) > 0;
        m.name = strdup(mnt_fs_get_source(fs) ?: "");
        if (!m.name)
                return -ENOMEM;

        *ret = m;
        m = (TreeMount) {};
        return 1;
}

typedef int (*MountFunction)(struct libmnt_fs *fs, void *userdata);

/* Calls back for each mount of this namespace, the newest one first, until that is not 0, which is returned then. */
static int mounts_foreach(MountFunction function, void *userdata) {
        _cleanup_(mnt_unref_tablep) struct libmnt_table *table = mnt_new_table();
        struct libmnt_iter *i;
        struct libmnt_fs *fs;
        int r;

        if (!table)
                return -ENOMEM;
        /* It includes what /run/mount/utab adds. */
        r = mnt_table_parse_mtab(table, /* filename= */ NULL);
        if (r < 0)
                return r;
        i = mnt_new_iter(MNT_ITER_BACKWARD);
        if (!i)
                return -ENOMEM;
        do {
                r = mnt_table_next_fs(table, i, &fs);
                /* 1: that was the last one */
                if (r != 0) {
                        r = MIN(r, 0);
                        break;
                }
                r = function(fs, userdata);
        } while (r == 0);
        mnt_free_iter(i);
        return r;
}

typedef struct FindPath {
        const char *path;
        TreeMount *ret;
} FindPath;

static int mount_match_path(struct libmnt_fs *fs, void *userdata) {
        FindPath *f = userdata;
        int r;

        if (!mnt_fs_streq_target(fs, f->path))
                return 0;
        r = mount_entry_read(fs, f->ret);
        return r == 0 ? -EMEDIUMTYPE : r;
}

int tree_mount_find(const char *path, TreeMount *ret) {
        FindPath f = { .path = path, .ret = ret };
        int r = mounts_foreach(mount_match_path, &f);

        return r == 0 ? -ENOENT : MIN(r, 0);
}

typedef struct FindName {
        const char *name, *socket;
        char *path;
} FindName;

static int mount_match_name(struct libmnt_fs *fs, void *userdata) {
        _cleanup_tree_mount_ TreeMount m = {};
        FindName *f = userdata;
        int r;

        r = mount_entry_read(fs, &m);
        if (r <= 0 || !streq(m.name, f->name) || !streq(m.socket ?: "", f->socket ?: ""))
                return MIN(r, 0);
        f->path = strdup(mnt_fs_get_target(fs));
        return f->path ? 1 : -ENOMEM;
}

int tree_mount_find_name(const char *name, const char *socket, char **ret_path) {
        FindName f = { .name = name, .socket = socket };
        int r = mounts_foreach(mount_match_name, &f);

        if (r > 0)
                *ret_path = f.path;
        return r;
}

void tree_mount_paths_free(char **paths, size_t n) {
        for (size_t i = 0; i < n; i++)
                free(paths[i]);
        free(paths);
}

typedef struct PathList {
        char **paths;
        size_t n, allocated;
} PathList;

static int mount_add_path(struct libmnt_fs *fs, void *userdata) {
        _cleanup_tree_mount_ TreeMount m = {};
        PathList *l = userdata;
        int r;

        r = mount_entry_read(fs, &m);
        if (r <= 0)
                return r;
        if (GREEDY_REALLOC(l->paths, l->allocated, l->n + 1) < 0)
                return -ENOMEM;
        l->paths[l->n] = strdup(mnt_fs_get_target(fs));
        if (!l->paths[l->n])
                return -ENOMEM;
        l->n++;
        return 0;
}

int tree_mount_list(char ***ret, size_t *ret_n) {
        PathList l = {};
        int r = mounts_foreach(mount_add_path, &l);

        if (r < 0) {
                tree_mount_paths_free(l.paths, l.n);
                return r;
        }

        *ret = l.paths;
        *ret_n = l.n;
        return 0;
}

int tree_mount_lock(const char *name) {
        _cleanup_close_ int directory = -EBADF, fd = -EBADF;

        if ((mkdir("/run/pkram", 0755) < 0 && errno != EEXIST) ||
            (mkdir("/run/pkram/lock", 0700) < 0 && errno != EEXIST))
                return -errno;
        directory = open("/run/pkram/lock", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        fd = directory < 0 ? -1 : openat(directory, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
        if (fd < 0)
                return -errno;
        if (flock(fd, LOCK_EX) < 0)
                return -errno;
        return TAKE_FD(fd);
}
