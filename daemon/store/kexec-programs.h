/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Guests of pkram-qemu and processes of pkram-criu: which cannot be saved, and what others will write to a tree. */
#pragma once

#include "kexec-check.h"
#include "run-notes.h"

typedef struct KexecPrograms {
        struct json_object *notes;      /* of those that run: of guests, and then of processes */
        size_t n_guests;
        KexecProgramProblem *problems;  /* of those that cannot be saved; the strings belong to notes */
        size_t n_problems;
} KexecPrograms;

void kexec_programs_done(KexecPrograms *p);

/* Reads the notes in two directories. Returns -ENOMEM, or 0: what cannot be read is logged. */
int kexec_programs_read(const char *guests, const char *processes, KexecPrograms *ret);

/* What guests and processes will still write to a tree. */
typedef struct TreeWrites {
        uint64_t bytes;
        size_t n;
        char *names;    /* of these, for a sentence; NULL if there is none */
} TreeWrites;

void tree_writes_done(TreeWrites *w);

/* Adds it up for a tree: its root, an open directory, and where it is mounted. Returns 0 or -ENOMEM. */
int tree_writes_sum(const KexecPrograms *p, int root, const char *path, TreeWrites *ret);
