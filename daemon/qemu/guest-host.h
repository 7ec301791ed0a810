/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the host has to offer to a guest that is kept: a tree with room, and limits that it fits into. */
#pragma once

#include "macro.h"

/*
 * Checks the directory (a descriptor, and its path for messages) of a guest that takes up to so many bytes. held is
 * what of them its files take already. Room on the tree that other guests with notes may still take for their RAM does
 * not count. Returns 0: it fits; -EOPNOTSUPP: it does not, *reterr is the reason as a
 * sentence; or another negative errno. *ret_notice is a sentence to log if the guest will not be kept although nothing
 * is wrong, else NULL. The caller frees both.
 */
int host_check(int directory, const char *path, uint64_t bytes, uint64_t held, char **ret_notice, char **reterr);

/* What is known about a guest for pkramctl, below GUESTS_DIRECTORY. */
typedef struct GuestNote {
        const char *directory;  /* where its memory is */
        uint64_t bytes;         /* of its RAM */
        const char *came;       /* "resumed" or "booted" */
        const char *reason;     /* why it was booted although it had been saved, or NULL */
        uint64_t stopped_usec;  /* how long it stood still, if it was resumed */
} GuestNote;

/*
 * Takes the name of a guest: creates its note, which is empty yet, and locks it. Returns a descriptor that holds the
 * lock; -EBUSY: a guest of this name runs; or another negative errno, which is no reason to stop, since only pkramctl
 * reads the note.
 */
int guest_note_take(const char *name);

/* Writes the note. fd is of guest_note_take(). -errno. */
int guest_note_write(int fd, const char *name, const GuestNote *note);

/* Removes the note, closes fd, and returns -EBADF. */
int guest_note_remove(int fd, const char *name);
