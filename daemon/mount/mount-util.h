/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What mount.pkram and umount.pkram share: calls of pkramd, and what is remembered about a mount. */
#pragma once

#include "config.h"
#include "kexec-record.h"
#include "pkram-call.h"

/* Exit status, as mount(8) and umount(8) have it. */
enum {
        EXIT_USAGE = 1,
        EXIT_SYSTEM = 2,
        EXIT_MOUNT = 32,
};

/*
 * The next option of a command line, as getopt(3) has it with those letters (h is --help),
 * with --help and --version already dealt with. Returns the letter, 0 after the last one,
 * or a negative number if the program has to end with *ret_status.
 */
int mount_next_option(int argc, char *argv[], const char *letters, const char *program, void (*help)(void),
                      int *ret_status);

/*
 * Returns 1 if trees can be stored, or 0 if there is no store in this boot, so that none can be there. Returns a
 * negative errno if pkramd does not answer, or if the store cannot be used now: trees may be in it. *ret_disk is set
 * to whether trees are stored on disk. *ret_reason is what pkramd says about a failure, as a sentence or a clause, or
 * NULL. The caller frees it.
 */
int pkram_is_supported(VarlinkClient *c, bool *ret_disk, char **ret_reason);

/* The same for a reply of GetStatus that is there already. */
int pkram_status_support(const VarlinkReply *status, bool *ret_disk, char **ret_reason);

/*
 * Programs that are asked to end (SIGTERM by the timeout of their unit, SIGINT, SIGHUP)
 * while they wait for pkramd must not leave things half done: from the first call on such
 * a signal is noted, and a connection given to the second one ends, so that a caller that waits
 * for a reply on it continues, and pkramd drops what it has begun; NULL before it is closed.
 * The third: the signal that came, or 0.
 */
void interruption_catch(void);
void interruption_hangs_up(const VarlinkClient *c);
int interruption(void);

/*
 * Parameters with a name, and with the position of a directory's descriptor. The owner is root in whatever unit
 * this runs, so that no other owner can put a tree where a mount finds it. NULL without memory.
 */
struct json_object *pkram_tree_parameters(const char *name);

/* What is kept about a mount for umount(8) and umount.pkram, beyond what the kernel knows. */
typedef struct TreeMount {
        char *name;     /* of the tree */
        char *socket;   /* where pkramd listens */
        bool verify;    /* store with checksums */
        int persist;    /* importance on disk, PERSIST_NEVER or PERSIST_DEFAULT */
        TreeLost lost;  /* why umount.pkram failed during shutdown */
} TreeMount;

void tree_mount_done(TreeMount *m);
#define _cleanup_tree_mount_ _cleanup_(tree_mount_done)

/*
 * Remembers the mount at path (absolute, without links), so that umount(8) calls
 * umount.pkram for it. -errno.
 */
int tree_mount_remember(const TreeMount *m, const char *path);

/* The same, replacing what was remembered about it. */
int tree_mount_change(const TreeMount *m, const char *path);

/* Forgets it again. */
int tree_mount_forget(const char *path);

/* Finds the newest mount at path. -ENOENT: nothing is mounted there; -EMEDIUMTYPE: not by mount.pkram. */
int tree_mount_find(const char *path, TreeMount *ret);

/*
 * Finds the place where a tree is mounted already. socket is where its pkramd listens, NULL for the usual one. Returns
 * 1 and the path, which the caller frees; 0 if the tree is not mounted; or a negative errno.
 */
int tree_mount_find_name(const char *name, const char *socket, char **ret_path);

/*
 * Lists the places where trees are mounted, the newest mount first. The caller frees the array and its strings with
 * tree_mount_paths_free(). Returns a negative errno on failure.
 */
int tree_mount_list(char ***ret, size_t *ret_n);
void tree_mount_paths_free(char **paths, size_t n);

/*
 * Waits until no other process holds the lock of that name, which is a file in /run/pkram/lock, and takes it. The lock
 * is released when the descriptor is closed. Returns the descriptor, -EINTR if a signal arrived, or another negative
 * errno.
 */
int tree_mount_lock(const char *name);
