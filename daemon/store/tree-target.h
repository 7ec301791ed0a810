/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The directory in which a tree is restored. While a worker fills it, it is accessible
 * to root only. The worker tells pkramd what it has done to the directory, so that
 * pkramd can have it put back if the worker is killed.
 */
#pragma once

#include "macro.h"

#include <sys/stat.h>

typedef enum TreeTargetState {
        TREE_TARGET_UNTOUCHED,  /* as it was before */
        TREE_TARGET_LOCKED,     /* accessible to root only; not known to be empty */
        TREE_TARGET_FILLED,     /* the same, and everything in it was made by the worker */
        TREE_TARGET_COMMITTING, /* complete; the node is being removed */
        TREE_TARGET_DONE,       /* complete */
        _TREE_TARGET_STATE_MAX,
} TreeTargetState;

/* What a worker tells about the directory: its state, and the attributes that it had before. */
typedef struct TreeTarget {
        uint32_t state; /* TreeTargetState */
        uint32_t uid, gid, mode;
        int64_t atime_sec, mtime_sec;
        uint32_t atime_nsec, mtime_nsec; /* 0 to 999999999 */
} TreeTarget;

/* Notes the attributes of a directory that is untouched. */
void tree_target_init(TreeTarget *t, const struct stat *st);

/* Makes an open directory accessible to root only. Returns 0, or a negative errno. */
int tree_target_lock(int directory);

/* Gives an open directory the owner, mode and times that it had. Returns 0, or the first error as a negative errno. */
int tree_target_unlock(int directory, const TreeTarget *t);

/*
 * Undoes what was done to an open directory, as its state says: removes what was made in
 * it, and unlocks it. Returns 0, or the first error as a negative errno; the rest is done anyway.
 */
int tree_target_put_back(int directory, const TreeTarget *t);

/* Writes t to a pipe. Without effect if fd is negative or nothing reads from the pipe. */
void tree_target_tell(int fd, const TreeTarget *t);

/*
 * Reads what was written to a pipe, without waiting, into *t, which is left alone if there is nothing. Returns 1 if
 * the other end is closed and everything was read, 0 if more can come, -EBADMSG if that is no TreeTarget, or a
 * negative errno.
 */
int tree_target_listen(int fd, TreeTarget *t);
