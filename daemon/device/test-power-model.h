/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A model of a disk whose power fails. It follows what calls do to a directory, and can write down what would be left
 * of it: files have what was synced last, and directories the names that they had at a moment since they were synced
 * last. A rename is one step within a directory; between two of them, each forgets on its own.
 */
#pragma once

#include <sys/types.h>

#include "macro.h"

typedef struct PowerModel PowerModel;

/* What is left that was not synced. */
typedef enum PowerCut {
        POWER_CUT_SYNCED,       /* nothing */
        POWER_CUT_NAMES,        /* names, but not the data of files */
        POWER_CUT_DATA,         /* the data of files, but no names */
        POWER_CUT_WRITTEN,      /* all of it */
        POWER_CUT_RANDOM,       /* some names, and some pages of files */
        _POWER_CUT_MAX,
} PowerCut;

/* What is in the directory is durable. */
PowerModel *power_model_new(const char *path);
PowerModel *power_model_free(PowerModel *m);
DEFINE_CLEANUP(PowerModel *, power_model_free)

/* Looks at what the calls since the last time have changed. Returns true if there are other names. */
bool power_model_look(PowerModel *m);

/* A file or directory is synced. */
void power_model_sync(PowerModel *m, int fd);

/* The same for a file in the directory, by its inode number. */
void power_model_sync_inode(PowerModel *m, ino_t ino);

/* Writes down what is left, into an empty directory. */
void power_model_cut(PowerModel *m, PowerCut cut, const char *to);
