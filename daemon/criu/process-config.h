/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What pkram-criu is told about a process: NAME.conf, or options of the same meaning. */
#pragma once

#include "string-list.h"

#define PROCESS_CONFIG_SECTION "Process"
#define PROCESS_CONFIG_DIRECTORY "/etc/pkram/criu"
#define PROCESS_DIRECTORY "/var/lib/pkram-criu"

typedef struct ProcessConfig {
        char *directory;          /* on a tree; NULL: PROCESS_DIRECTORY/NAME */
        char *user;               /* name of the user that the program runs as, or NULL */
        char *working_directory;  /* NULL: that of pkram-criu */
        uint64_t stop_usec;       /* for the program to end */
        uint64_t save_usec;       /* for CRIU to save it */
        StringList environment;   /* assignments */
        StringList command;       /* the program and its arguments */
} ProcessConfig;

void process_config_init(ProcessConfig *c);
void process_config_done(ProcessConfig *c);
#define _cleanup_process_config_ _cleanup_(process_config_done)

/*
 * Sets what an assignment in the section says; config is a ProcessConfig. Returns 0, -ENOENT: there is no such
 * setting, -EINVAL or -ERANGE: not such a value, or -ENOMEM.
 */
int process_config_set(void *config, const char *key, const char *value);

/*
 * Parses the text of a file. Nothing in it is ignored. Returns 0, -ENOMEM, or -EINVAL, where *reterr says which line
 * is wrong and why; the caller frees it.
 */
int process_config_parse(ProcessConfig *c, const char *text, size_t length, char **reterr);
