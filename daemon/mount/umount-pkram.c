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
#include <sys/sysmacros.h>

#include "json-util.h"
#include "log.h"
#include "mount-users.h"
#include "mount-util.h"
#include "peer.h"

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
 * systemctl, which reports whether the system is shutting down. If it is, no process writes here any more.
 * It is started at the beginning, and its answer is read when it is needed: after the timeout
 * of a unit there is little time, and a process started then gets the next signal.
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

/* Records the loss for pkram-shutdown, which counts lost trees, and for the next attempt to unmount. */
static void note_lost(const TreeMount *m, const char *path, TreeLost why) {
        TreeMount lost = *m;
        int r;

        lost.lost = why;
        r = tree_mount_change(&lost, path);
        if (r < 0)
                log_warning("Failed to record loss of tree '%s' in /run/mount/utab, ignoring: %s", m->name,
                            strerror(-r));
}

/* Logs that nothing was done, and what to do next. Returns r. */
static int log_stays_mounted(int r, const char *what, const char *path) {
        (void) log_error_errno(r, "Failed to %s, '%s' stays mounted", what, path);
        log_info("Try again. " HOW_TO_DROP);
        return r;
}

/* A signal came before the tree was stored. */
static int umount_log_interrupted(const TreeMount *m, const char *path) {
        if (is_shutting_down()) {
                log_error("Tree '%s' is lost: storing it took longer than its unit may take to stop. "
                          "To give it more time the next time, raise TimeoutStopSec= of pkram-tree@.service, "
                          "TimeoutSec= of a mount unit, or x-systemd.mount-timeout= in /etc/fstab.", m->name);
                note_lost(m, path, TREE_LOST_TIMEOUT);
        } else
                log_error("Interrupted while storing tree '%s' (%s), '%s' stays mounted. Try again. " HOW_TO_DROP,
                          m->name, sigdescr_np(interruption()) ?: "a signal", path);
        return -EINTR;
}

/* Stores the tree. 1: it is stored, 0: it is discarded, since this kernel has no place for it. Says what is wrong. */
static int umount_store(VarlinkClient *c, const TreeMount *m, const char *path, int directory, uint64_t *ret_id) {
        _cleanup_json_ struct json_object *p = pkram_tree_parameters(m->name);
        _cleanup_reply_ VarlinkReply reply = {};
        _cleanup_free_ char *text = NULL, *reason = NULL;
        bool disk;
        int r;

        r = pkram_is_supported(c, &disk, &reason);
        if (r < 0 && interruption())
                return umount_log_interrupted(m, path);
        if (reason) {
                log_error("Failed to store tree '%s', '%s' stays mounted: %s", m->name, path, reason);
                log_info("Try again when that is dealt with. " HOW_TO_DROP);
                return r;
        }
        if (r < 0)
                return log_stays_mounted(r, "query pkramd", path);
        if (r == 0) {
                log_message(LOG_NOTICE, "This kernel has no PKRAM, the contents of '%s' are lost.", path);
                return 0;
        }
        if (disk && m->persist == PERSIST_NEVER) {
                log_message(LOG_NOTICE, "Discarding the contents of '%s': with pkram.persist=0 tree '%s' must not be "
                            "written to disk, and this kernel has no PKRAM.", path, m->name);
                return 0;
        }

        if (!p || json_add_bool(p, "replace", true) < 0 || json_add_bool(p, "verify", m->verify) < 0 ||
            persist_add(p, m->persist) < 0)
                return log_stays_mounted(-ENOMEM, "store the tree", path);

        r = pkram_call(c, "StoreTree", TAKE_PTR(p), directory, &reply);
        if (r < 0 && interruption())
                return umount_log_interrupted(m, path);
        if (r < 0)
                return log_stays_mounted(r, "store the tree", path);
        if (reply.error) {
                text = reply_to_text(&reply);
                log_error("Failed to store tree '%s', '%s' stays mounted: %s %s", m->name, path,
                          text ?: "Out of memory.", HOW_TO_DROP);
                return -EIO;
        }

        *ret_id = (uint64_t) json_get_int(reply.parameters, "id", 0);
        log_info("Stored tree '%s': %lli bytes of memory.", m->name,
                 (long long) json_get_int(reply.parameters, "bytes", 0));
        return 1;
}

/* Some process can still write to it. Logs which, and what that means; during shutdown nothing is tried again. */
static void log_writers(const TreeMount *m, const char *path, dev_t device) {
        _cleanup_free_ char *writers = mount_users(device, MOUNT_USE_WRITING, /* filter= */ NULL,
                                                   /* userdata= */ NULL);
        const char *by = writers ?: "unknown processes";

        if (is_shutting_down()) {
                log_error("Tree '%s' is lost: '%s' was in use for writing by %s during shutdown. "
                          "Add RequiresMountsFor=%s to the units of these processes.", m->name, path, by, path);
                note_lost(m, path, TREE_LOST_IN_USE);
        } else
                log_error("'%s' is in use by %s. Stop the processes that have files open for writing ('fuser -vm' "
                          "lists them). %s", path, by, HOW_TO_DROP);
}

static int place_set_writable(const char *path, _unused_ void *userdata) {
        struct mount_attr attributes = { .attr_clr = MOUNT_ATTR_RDONLY };

        return mount_setattr(AT_FDCWD, path, 0, &attributes, sizeof(attributes)) < 0 ? -errno : 0;
}

/* Undoes what unmount_tree() did to keep everything else from writing. */
static int umount_thaw(const char *path, dev_t device, bool mounts_frozen) {
        _cleanup_close_ int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (root < 0)
                return -errno;
        if (mounts_frozen)
                return mount_places_foreach(device, place_set_writable, NULL);
        return set_writable(root, true);
}

static int place_set_read_only(const char *path, _unused_ void *userdata) {
        struct mount_attr attributes = { .attr_set = MOUNT_ATTR_RDONLY };

        return mount_setattr(AT_FDCWD, path, 0, &attributes, sizeof(attributes)) < 0 ? -errno : 0;
}

/*
 * The kernel does not make the file system read-only (-EBUSY). If a file is open for writing, the tree cannot be
 * stored. The same happens if a file is open that was removed, even if it is only read. Then the mounts are made
 * read-only instead of the file system, if they are going to stay: during shutdown, and for a lazy unmount. Returns 0
 * or -EBUSY.
 */
static int freeze_busy(const TreeMount *m, const char *path, dev_t device, bool lazy) {
        _cleanup_free_ char *writers = NULL, *readers = NULL;
        int r;

        writers = mount_users(device, MOUNT_USE_WRITING, /* filter= */ NULL, /* userdata= */ NULL);
        readers = writers ? NULL : mount_users(device, MOUNT_USE_DELETED, /* filter= */ NULL, /* userdata= */ NULL);
        if (!readers) {
                log_writers(m, path, device);
                return -EBUSY;
        }
        if (!lazy && !is_shutting_down()) {
                log_error("'%s' is in use by %s. Removed files are still open there. Stop these processes, "
                          "or make them close the files. %s", path, readers, HOW_TO_DROP);
                return -EBUSY;
        }

        r = mount_places_foreach(device, place_set_read_only, NULL);
        if (r == -EBUSY)
                log_writers(m, path, device);
        else if (r < 0)
                (void) log_error_errno(r, "Failed to make '%s' read-only", path);
        return r;
}

/* The mount is still in use after all. Removes the node, since it keeps the files frozen. */
static void take_back(VarlinkClient *c, const char *name, uint64_t id) {
        _cleanup_json_ struct json_object *p = json_object_new_object();
        _cleanup_reply_ VarlinkReply reply = {};
        int r;

        r = !p || json_add_string(p, "owner", OWNER_ROOT) < 0 || json_add_string(p, "name", name) < 0 ||
                json_add_u64(p, "id", id) < 0 ? -ENOMEM : pkram_call(c, "Remove", TAKE_PTR(p), -EBADF, &reply);
        if (r < 0 || reply.error)
                log_error("Failed to remove node '%s', files of the mounted tree remain frozen. "
                          "Run 'pkramctl remove'.", name);
}

/*
 * Stores and unmounts. The store works on a detached copy of the mount, which the frozen files may keep busy. The file
 * system itself stays read-only permanently: whatever still sees it, in another mount namespace or through a
 * descriptor, cannot write what no node has. Returns 0; -ESHUTDOWN if the tree is stored but still mounted, which is
 * final during shutdown; or another negative errno after a message.
 */
static int store_and_unmount(VarlinkClient *c, const TreeMount *m, const char *path, bool lazy) {
        struct mount_attr attributes = { .attr_clr = MOUNT_ATTR_RDONLY };
        _cleanup_close_ int directory = -EBADF;
        uint64_t id = 0;
        struct stat st;
        int r, stored;

        directory = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
        if (directory < 0 || fstat(directory, &st) < 0 || mount_setattr(directory, "", AT_EMPTY_PATH, &attributes,
                                                                        sizeof(attributes)) < 0)
                return log_error_errno(-errno, "Failed to open '%s'", path);

        r = stored = umount_store(c, m, path, directory, &id);
        if (r < 0)
                return r;

        if (umount2(path, lazy ? MNT_DETACH : 0) < 0) {
                _cleanup_free_ char *users = NULL;

                r = -errno;
                users = mount_users(st.st_dev, MOUNT_USE_ANY, /* filter= */ NULL, /* userdata= */ NULL);
                (void) log_error_errno(r, "Failed to unmount '%s', stop the processes that use it (%s; "
                                       "'fuser -vm' shows more)", path,
                                       users ?: "unknown, perhaps something in the kernel");
                if (stored > 0 && is_shutting_down()) {
                        log_message(LOG_NOTICE, "Tree '%s' is stored anyway, '%s' stays read-only.", m->name, path);
                        return -ESHUTDOWN;
                }
                if (stored > 0)
                        take_back(c, m->name, id);
                return r;
        }
        return 0;
}

/*
 * Refuses to store a tree that is mounted elsewhere, too: there it would stay in use, and changes would be in no node.
 * During shutdown, and for a lazy unmount, the other mounts become read-only instead.
 */
static int check_elsewhere(const char *path, dev_t device, bool lazy) {
        _cleanup_free_ char *elsewhere = NULL;

        if (lazy)
                return 0;
        elsewhere = mount_elsewhere(device, path);
        if (!elsewhere || is_shutting_down())
                return 0;
        log_error("'%s' is mounted elsewhere, too: %s. Unmount it there first, or stop these processes. "
                  "'umount -l' stores it anyway, and makes the other mounts read-only.", path, elsewhere);
        return -EBUSY;
}

/*
 * Refuses to store what shows other owners than it has: mount.pkram restores the tree before mount(8) maps its owners,
 * so that they would be mapped twice.
 */
static int umount_check_owners(const TreeMount *m, const char *path, dev_t device) {
        if (!mount_is_idmapped(device, path))
                return 0;
        if (is_shutting_down())
                log_error("Tree '%s' is lost: '%s' is mounted with X-mount.idmap=, which pkram does not support.",
                          m->name, path);
        else
                log_error("'%s' is mounted with X-mount.idmap=, so the owners of its files cannot be stored. "
                          "Copy its contents, and mount the tree without that option. " HOW_TO_DROP, path);
        return -EOPNOTSUPP;
}

static int unmount_tree(const TreeMount *m, const char *path, bool lazy) {
        _cleanup_(varlink_client_freep) VarlinkClient *c = NULL;
        const char *socket = m->socket ?: SOCKET_PATH;
        _cleanup_close_ int root = -EBADF;
        bool was_read_only, mounts_frozen = false;
        struct statvfs s;
        struct stat st;
        int r;

        /* Of pkram-tree@.service and of the mount unit that systemd makes of what that mounts: the second one comes
         * too late. */
        if (m->lost == TREE_LOST_TIMEOUT && is_shutting_down()) {
                log_error("Tree '%s' is lost, since storing it took too long. Not trying again.", m->name);
                return -ETIMEDOUT;
        }

        r = varlink_client_connect(socket, &c);
        if (r < 0 && interruption())
                return umount_log_interrupted(m, path);
        if (r < 0) {
                (void) log_error_errno(r, "Failed to connect to pkramd at '%s', '%s' stays mounted", socket, path);
                log_info("Start pkramd with 'systemctl start pkramd.socket' and try again. " HOW_TO_DROP);
                return r;
        }
        interruption_hangs_up(c);
        root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root < 0 || fstatvfs(root, &s) < 0 || fstat(root, &st) < 0)
                return log_error_errno(-errno, "Failed to stat '%s'", path);
        was_read_only = s.f_flag & ST_RDONLY;
        r = umount_check_owners(m, path, st.st_dev);
        if (r >= 0)
                r = check_elsewhere(path, st.st_dev, lazy);
        if (r < 0)
                return r;

        /* From here on nothing in it can change. */
        r = set_writable(root, false);
        root = safe_close(root);
        if (r == -EBUSY) {
                r = freeze_busy(m, path, st.st_dev, lazy);
                if (r < 0)
                        return r;
                mounts_frozen = true;
        }
        if (r < 0)
                return log_error_errno(r, "Failed to remount '%s' read-only", path);

        r = interruption() ? umount_log_interrupted(m, path) : store_and_unmount(c, m, path, lazy);
        if (r < 0 && r != -ESHUTDOWN) {
                int k = was_read_only ? 0 : umount_thaw(path, st.st_dev, mounts_frozen);

                if (k < 0)
                        (void) log_error_errno(k, "Failed to make '%s' writable again", path);
                return r;
        }

        /* Contents that are left there at shutdown count as lost: see pkram-shutdown. */
        int k = tree_mount_forget(path);
        if (k < 0)
                log_warning("Failed to remove '%s' from /run/mount/utab, ignoring: %s", path, strerror(-k));
        return r;
}

/*
 * Unmounts the tree at path. Two processes may want that: one for each unit that manages the mount, and the one that
 * stores what is left at shutdown. The second one waits, and has nothing to do if the first one succeeded.
 */
static int unmount_path(const char *path, bool lazy) {
        _cleanup_tree_mount_ TreeMount m = {};
        _cleanup_close_ int lock = -EBADF;
        char name[64];
        struct stat st;
        int r;

        r = tree_mount_find(path, &m);
        if (r == -ENOENT)
                log_error("Nothing is mounted at '%s'.", path);
        else if (r == -EMEDIUMTYPE)
                log_error("'%s' is not a pkram mount. Use 'umount -i'.", path);
        else if (r < 0)
                (void) log_error_errno(r, "Failed to read the table of mounts");
        if (r < 0)
                return r;

        if (stat(path, &st) < 0)
                return log_error_errno(-errno, "Failed to stat '%s'", path);
        (void) snprintf(name, sizeof(name), ".umount-%u:%u", major(st.st_dev), minor(st.st_dev));
        lock = tree_mount_lock(name);
        if (lock == -EINTR)
                return umount_log_interrupted(&m, path);
        if (lock < 0)
                return log_error_errno(lock, "Failed to lock /run/pkram/lock/%s", name);

        tree_mount_done(&m);
        r = tree_mount_find(path, &m);
        if (r == -ENOENT || r == -EMEDIUMTYPE)
                return 0; /* another process has stored it meanwhile */
        if (r < 0)
                return log_error_errno(r, "Failed to read the table of mounts");
        return unmount_tree(&m, path, lazy);
}

/* Unmounts every tree, the newest mount first. Goes on after a failure, and returns the first one. */
static int unmount_all(bool lazy) {
        size_t n = 0;
        char **paths = NULL;
        int r, result = 0;

        r = tree_mount_list(&paths, &n);
        if (r < 0)
                return log_error_errno(r, "Failed to read the table of mounts");
        for (size_t i = 0; i < n && !interruption(); i++) {
                r = unmount_path(paths[i], lazy);
                if (r < 0 && result == 0)
                        result = r;
        }
        tree_mount_paths_free(paths, n);
        return result;
}

static void umount_help(void) {
        puts("umount.pkram DIR|-a [-lfnrv]\n"
             "\n"
             "Store the tree in a file system mounted by mount.pkram, and unmount it.\n"
             "Called by umount(8).\n"
             "\n"
             "  -h --help     Show this help\n"
             "     --version  Show the version\n"
             "  -a            Unmount all trees, the newest mount first\n"
             "  -l            Also unmount a tree that is in use for reading\n"
             "  -f -n -r -v -t TYPE -N NAMESPACE  Ignored, for umount(8)\n"
             "\n"
             "See mount.pkram(8) for details.");
}

int main(int argc, char *argv[]) {
        char path[PATH_MAX];
        bool lazy = false, all = false;
        int c, status, r;

        while ((c = mount_next_option(argc, argv, "ahlfnrvt:N:", "umount.pkram", umount_help, &status)) > 0)
                if (c == 'l')
                        lazy = true;
                else if (c == 'a')
                        all = true;
        if (c < 0)
                return status;

        if (argc - optind != !all) {
                log_error("Directory with a mounted tree required: umount DIR");
                return EXIT_USAGE;
        }
        if (!all && !realpath(argv[optind], path)) {
                (void) log_error_errno(-errno, "Failed to unmount '%s'", argv[optind]);
                return EXIT_MOUNT;
        }

        interruption_catch();
        ask_whether_shutting_down();
        r = all ? unmount_all(lazy) : unmount_path(path, lazy);
        if (shutting_down)
                (void) pclose(shutting_down);
        return r < 0 ? EXIT_MOUNT : EXIT_SUCCESS;
}
