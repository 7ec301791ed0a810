/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line "PROGRAM run NAME [OPTION...] [-- COMMAND ARGUMENT...]", and the file NAME.conf. */
#pragma once

#include "conf-file.h"
#include "string-list.h"

enum {
        EXIT_REFUSED = 2, /* also for a wrong command line */
};

typedef struct RunSetting {
        const char *option, *key; /* "save" and "SaveSec" */
} RunSetting;

/* What a program takes. */
typedef struct RunOptions {
        const char *config_directory; /* of NAME.conf, which is read if there is neither --config= nor a command */
        const char *section;          /* of the file */
        const RunSetting *settings;   /* that are options, too */
        size_t n_settings;
        ConfSet set;                  /* for an assignment in the file, and for an option */
} RunOptions;

/*
 * Reads what follows "run NAME"; argv[0] is NAME. Options are stronger than the file, and a command line replaces the
 * command of the file. Logs what is wrong. Returns an exit status.
 */
int run_options_read(const RunOptions *o, const char *name, int argc, char *argv[], void *config, StringList *command);
