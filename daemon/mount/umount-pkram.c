/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * umount DIR of what mount.pkram mounted: the tree goes back to the store, and only then
 * the tmpfs goes. If it cannot be stored, it stays mounted.
 */
#include <fcntl.h>
#include <linux/limits.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "json-util.h"
#include "log.h"
#include "mount-users.h"
#include "mount-util.h"

#define HOW_TO_DROP "'umount -i' unmounts it and loses what is in it."

/* Makes the file system of a directory read-only or writable, whichever mounts there are of it. -errno. */
static int set_writable(int directory, bool writable) {
        _cleanup_close_ int fs = -EBADF;

        fs = fspick(directory, "", FSPICK_EMPTY_PATH | FSPICK_CLOEXEC);
        if (fs < 0 || fsconfig(fs, FSCONFIG_SET_FLAG, writable ? "rw" : "ro", NULL, 0) < 0 ||
            fsconfig(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
                return -errno;
        return 0;
}

/*
 * Is this one of the last things that happen? Then nobody wants to write here any more.
 * It is asked at the beginning, and the answer read when it is wanted: after the time-out
 * of a unit there is little time, and whatever is started then gets the next signal.
 */
static FILE *shutting_down;

static void ask_whether_shutting_down(void) {
        shutting_down = popen("trap '' TERM; exec systemctl is-system-running 2>/dev/null", "re");
}

static bool is_shutting_down(void) {
        static int answer = -1;
        char state[32] = "";

        if (answer >= 0 || !shutting_down)
                return answer > 0;
        while (!fgets(state, sizeof(state), shutting_down) && ferror(shutting_down) && errno == EINTR)
                clearerr(shutting_down);
        answer = streq(state, "stopping\n");
        return answer > 0;
}

/* For pkram-shutdown, which counts what is lost, and for whoever tries to unmount it once more. */
static void note_lost(const TreeMount *m, const char *path, TreeLost why) {
        TreeMount lost = *m;
        int r;

        lost.lost = why;
        r = tree_mount_change(&lost, path);
        if (r < 0)
                log_warning("Why tree '%s' is lost cannot be noted in /run/mount/utab: %s.", m->name, strerror(-r));
}

/* A signal came before the tree was stored. */
static int say_interrupted(const TreeMount *m, const char *path) {
        if (is_shutting_down()) {
                log_error("Tree '%s' is lost: storing it took longer than its unit may take to stop. To give it more time the next time, "
                          "raise TimeoutStopSec= of pkram-tree@.service, TimeoutSec= of a mount unit, or x-systemd.mount-timeout= in "
                          "/etc/fstab.", m->name);
                note_lost(m, path, TREE_LOST_TIMEOUT);
        } else
                log_error("Storing tree '%s' was interrupted (%s), and '%s' stays mounted; try again. " HOW_TO_DROP,
                          m->name, sigdescr_np(interruption()) ?: "a signal", path);
        return -EINTR;
}

/* Stores the tree. 1: it is stored, 0: this kernel stores nothing. Says what is wrong. */
static int store(VarlinkClient *c, const TreeMount *m, const char *path, int directory, uint64_t *ret_id) {
        _cleanup_json_ struct json_object *p = pkram_tree_parameters(m->name);
        _cleanup_reply_ VarlinkReply reply = {};
        _cleanup_free_ char *text = NULL;
        int r;

        r = pkram_is_supported(c);
        if (r < 0 && interruption())
                return say_interrupted(m, path);
        if (r < 0)
                return log_error_errno(r, "pkramd did not answer, and '%s' stays mounted; " HOW_TO_DROP, path);
        if (r == 0) {
                log_message(LOG_NOTICE, "This kernel has no PKRAM: what was in '%s' is lost.", path);
                return 0;
        }

        if (!p || json_add_bool(p, "replace", true) < 0 || json_add_bool(p, "verify", m->verify) < 0)
                return log_error_errno(-ENOMEM, "'%s' stays mounted", path);

        r = pkram_call(c, "StoreTree", TAKE_PTR(p), directory, &reply);
        if (r < 0 && interruption())
                return say_interrupted(m, path);
        if (r < 0)
                return log_error_errno(r, "pkramd did not answer, and '%s' stays mounted; try again. " HOW_TO_DROP, path);
        if (reply.error) {
                text = reply_to_text(&reply);
                log_error("Tree '%s' cannot be stored, and '%s' stays mounted: %s %s", m->name, path,
                          text ?: "there is not enough memory.", HOW_TO_DROP);
                return -EIO;
        }

        *ret_id = (uint64_t) json_get_int(reply.parameters, "id", 0);
        log_info("Stored tree '%s': %lli bytes of memory.", m->name,
                 (long long) json_get_int(reply.parameters, "bytes", 0));
        return 1;
}

/* Says who uses it, and what that means; while the system goes down nobody will try again. */
static void say_in_use(const TreeMount *m, const char *path, dev_t device) {
        _cleanup_free_ char *users = mount_users(device);
        const char *who = users ?: "nobody knows whom";

        if (is_shutting_down()) {
                log_error("Tree '%s' is lost: '%s' is in use for writing by %s while the system goes down, and cannot be stored. "
                          "To have that stop first the next time, add RequiresMountsFor=%s to its unit.", m->name, path, who, path);
                note_lost(m, path, TREE_LOST_IN_USE);
        } else
                log_error("'%s' is in use by %s: end what has files open for writing there (fuser -vm shows it). %s",
                          path, who, HOW_TO_DROP);
}

/* It is still in use after all: what was stored is frozen, so it is taken back out of the store. */
static void take_back(VarlinkClient *c, const char *name, uint64_t id) {
        _cleanup_json_ struct json_object *p = json_object_new_object();
        _cleanup_reply_ VarlinkReply reply = {};
        int r;

        r = !p || json_add_string(p, "name", name) < 0 || json_add_u64(p, "id", id) < 0 ? -ENOMEM :
                pkram_call(c, "Remove", TAKE_PTR(p), -EBADF, &reply);
        if (r < 0 || reply.error)
                log_error("Tree '%s' is stored as well, and so cannot be changed: remove it with 'pkramctl remove'.", name);
}

/*
 * Stores and unmounts. It is done on a detached copy of the mount, which the frozen files
 * may keep busy, and which is writable: if the tree is restored in this system, they are
 * opened for writing. They stay in the file system although it is mounted nowhere.
 * -ESHUTDOWN: it is stored but not unmounted, and nobody will want to write any more.
 */
static int store_and_unmount(VarlinkClient *c, const TreeMount *m, const char *path, bool lazy) {
        struct mount_attr attributes = { .attr_clr = MOUNT_ATTR_RDONLY };
        _cleanup_close_ int directory = -EBADF;
        uint64_t id = 0;
        struct stat st;
        int r, stored;

        directory = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
        if (directory < 0 || fstat(directory, &st) < 0 || mount_setattr(directory, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
                return log_error_errno(-errno, "'%s' cannot be opened", path);

        r = stored = store(c, m, path, directory, &id);
        if (r < 0)
                return r;

        if (umount2(path, lazy ? MNT_DETACH : 0) < 0) {
                _cleanup_free_ char *users = NULL;

                r = -errno;
                users = mount_users(st.st_dev);
                (void) log_error_errno(r, "'%s' cannot be unmounted: end what uses it (%s; fuser -vm shows more)", path,
                                       users ?: "nobody knows who");
                if (stored > 0 && is_shutting_down()) {
                        log_message(LOG_NOTICE, "Tree '%s' is stored all the same, and '%s' stays read-only.", m->name, path);
                        return -ESHUTDOWN;
                }
                if (stored > 0)
                        take_back(c, m->name, id);
                return r;
        }

        r = stored > 0 ? set_writable(directory, true) : 0;
        if (r < 0)
                log_warning("Tree '%s' is stored for a kexec, but cannot be restored before: %s.", m->name, strerror(-r));
        return 0;
}

static int unmount_tree(const TreeMount *m, const char *path, bool lazy) {
        _cleanup_(varlink_client_freep) VarlinkClient *c = NULL;
        const char *socket = m->socket ?: SOCKET_PATH;
        _cleanup_close_ int root = -EBADF;
        struct statvfs s;
        struct stat st;
        int r;

        /* Of pkram-tree@.service and of the mount unit that systemd makes of what that mounts: the second one comes too late. */
        if (m->lost == TREE_LOST_TIMEOUT && is_shutting_down()) {
                log_error("Tree '%s' is lost, since storing it took too long: it is not tried again.", m->name);
                return -ETIMEDOUT;
        }

        r = varlink_client_connect(socket, &c);
        if (r < 0 && interruption())
                return say_interrupted(m, path);
        if (r < 0)
                return log_error_errno(r, "pkramd cannot be reached at %s, and so '%s' stays mounted: start it with "
                                       "'systemctl start pkramd.socket'. " HOW_TO_DROP, socket, path);
        interruption_hangs_up(c);
        root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root < 0 || fstatvfs(root, &s) < 0 || fstat(root, &st) < 0)
                return log_error_errno(-errno, "'%s' cannot be looked at", path);

        /* From here on nothing in it can change. */
        r = set_writable(root, false);
        root = safe_close(root);
        if (r == -EBUSY) {
                say_in_use(m, path, st.st_dev);
                return r;
        }
        if (r < 0)
                return log_error_errno(r, "'%s' cannot be made read-only", path);

        r = interruption() ? say_interrupted(m, path) : store_and_unmount(c, m, path, lazy);
        if (r < 0 && r != -ESHUTDOWN) {
                int k = 0;

                if (!(s.f_flag & ST_RDONLY)) {
                        root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
                        k = root < 0 ? -errno : set_writable(root, true);
                }
                if (k < 0)
                        (void) log_error_errno(k, "'%s' cannot be made writable again", path);
                return r;
        }

        /* What is left in there when the system goes down counts as lost: see pkram-shutdown. */
        int k = tree_mount_forget(path);
        if (k < 0)
                log_warning("The entry for '%s' in /run/mount/utab cannot be removed: %s.", path, strerror(-k));
        return r;
}

static void help(void) {
        puts("umount.pkram DIR [-lfnrv]\n"
             "\n"
             "Stores the tree in a file system that mount.pkram has mounted, and unmounts it.\n"
             "Called by umount(8).\n"
             "\n"
             "  -h --help     Show this help\n"
             "     --version  Show the version\n"
             "  -l            Unmount it even if it is in use, but not for writing\n"
             "  -f -n -r -v -t TYPE -N NAMESPACE  Ignored, for umount(8)\n"
             "\n"
             "See mount.pkram(8) for details.");
}

int main(int argc, char *argv[]) {
        _cleanup_tree_mount_ TreeMount m = {};
        char path[PATH_MAX];
        bool lazy = false;
        int c, status, r;

        while ((c = mount_next_option(argc, argv, "hlfnrvt:N:", "umount.pkram", help, &status)) > 0)
                if (c == 'l')
                        lazy = true;
        if (c < 0)
                return status;

        if (argc - optind != 1) {
                log_error("The directory is needed at which a tree is mounted: umount DIR");
                return EXIT_USAGE;
        }
        if (!realpath(argv[optind], path)) {
                (void) log_error_errno(-errno, "'%s' cannot be unmounted", argv[optind]);
                return EXIT_MOUNT;
        }

        interruption_catch();
        ask_whether_shutting_down();
        r = tree_mount_find(path, &m);
        if (r == -ENOENT)
                log_error("Nothing is mounted at '%s'.", path);
        else if (r == -EMEDIUMTYPE)
                log_error("What is mounted at '%s' was not mounted with type pkram: use 'umount -i'.", path);
        else if (r < 0)
                (void) log_error_errno(r, "What is mounted cannot be found out");
        else
                r = unmount_tree(&m, path, lazy);
        if (shutting_down)
                (void) pclose(shutting_down);
        return r < 0 ? EXIT_MOUNT : EXIT_SUCCESS;
}
