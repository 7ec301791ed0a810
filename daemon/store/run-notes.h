/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Notes about the guests and processes that pkram-qemu and pkram-criu run: a file in JSON each, which GetStatus and
 * CheckKexec show. The program has it locked (an open file description lock on all of it) while the guest runs.
 * It is NAME.json, or note.json in a directory NAME if there is one: RuntimeDirectory= of a unit with User= makes that
 * directory for the user. Only root makes entries, so that no user can take the name of another one's guest.
 */
#pragma once

#include "string-list.h"

#define GUESTS_DIRECTORY "/run/pkram/guests"
#define PROCESSES_DIRECTORY "/run/pkram/processes"

typedef struct RunNote {
        const char *directory;  /* where its memory is saved */
        uint64_t bytes;         /* of memory that it has */
        uint64_t saved_bytes;   /* that its files on the tree take when it has been saved */
        const StringList *files; /* of them: those that have its memory while it runs; or NULL */
        bool resumed;           /* it went on from saved memory when it was started */
        const char *reason;     /* why it began again although it had been saved, or NULL */
        uint64_t stopped_usec;  /* how long it stood still, if it was resumed */
        const char *problem;    /* why it could not be saved now, or NULL */
} RunNote;

/*
 * Takes a name: creates its note, which is empty yet, and locks it. Returns a descriptor that holds the lock; -EBUSY:
 * one of this name runs; or another negative errno, which is no reason to stop, but for run_note_warn().
 */
int run_note_take(const char *directory, const char *name);

/* Logs that a note cannot be taken or written, so that nothing sees the guest or process ("what"), and a remedy. */
void run_note_warn(int error, const char *what, const char *directory, const char *name);

/* Writes the note. fd is of run_note_take(). -errno. */
int run_note_write(int fd, const char *name, const RunNote *note);

/* Removes the note, closes fd, and returns -EBADF. */
int run_note_remove(int fd, const char *directory, const char *name);

/*
 * Reads the notes in a directory as an array of the type Guest or Process of io.pkram.Store. Notes that make no sense
 * are left out, as are those that a killed program has left. There are at most 1024. No directory is no note. Returns
 * 0, -ENOMEM, or what opening the directory said.
 */
int run_notes_read(const char *directory, struct json_object **ret);

/*
 * What the program of such a note will still write to a tree when it is saved, in bytes: what its files take then,
 * without what they take now. root: the root of the tree, an open directory, and path where it is mounted. 0 if the
 * directory of the note is not on the tree, or the note has a problem. No other file system is entered, and no link is
 * followed.
 */
uint64_t run_note_missing(struct json_object *note, int root, const char *path);

/* "web, db and 3 more", of such an array, for a sentence: those with a problem, or those without. The caller frees it.
 * *ret_n is their number. NULL without memory. */
char *run_notes_to_text(struct json_object *notes, bool problem, size_t *ret_n);
