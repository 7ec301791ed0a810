/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CRIU as a child process. Its log, in the directory of the images, says what failed. */
#pragma once

#include "string-list.h"

typedef enum CriuVerb {
        CRIU_CHECK,
        CRIU_DUMP,
        CRIU_RESTORE,
        _CRIU_VERB_MAX,
} CriuVerb;

/* A descriptor that a restored program gets for a pipe that it had. */
typedef struct CriuPipe {
        const char *name; /* "pipe:[1234]", as it was when it was saved */
        int fd;
} CriuPipe;

/*
 * Finds the reason in a log of CRIU: the first error that is not a mere consequence. The caller frees it. Returns 0,
 * -ENODATA if the log has none, or -ENOMEM.
 */
int criu_log_reason(const char *text, size_t size, char **ret);

/* The command line. images is the path of the directory, pid that of the program, pipes are for CRIU_RESTORE.
 * -ENOMEM. */
int criu_command(CriuVerb verb, const char *images, pid_t pid, const CriuPipe *pipes, size_t n_pipes, StringList *ret);

/*
 * Runs CRIU, and ends it after so many microseconds. directory is that of the images. Returns 0; -EREMOTEIO: it failed
 * and has put things right; -ECONNRESET: it was ended, and the processes are in no known state; or another negative
 * errno if it could not be run. *reterr is the reason as part of a sentence in the first two cases. The caller frees
 * it.
 */
int criu_run(CriuVerb verb, int directory, const char *images, pid_t pid, const CriuPipe *pipes, size_t n_pipes,
             uint64_t usec, char **reterr);
