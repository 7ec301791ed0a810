/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a program writes goes through pipes to pkram-criu's own output: CRIU cannot save a connection to the journal,
 * and a restored program gets the pipe of the pkram-criu that restored it.
 */
#pragma once

#include "macro.h"

typedef struct OutputPipe {
        int ours, theirs; /* -EBADF when closed */
        int target;       /* where it is copied to */
        char name[64];    /* as CRIU calls it, "pipe:[1234]" */
} OutputPipe;

#define OUTPUT_PIPE_NONE ((OutputPipe) { .ours = -EBADF, .theirs = -EBADF, .target = -EBADF })

void output_pipe_done(OutputPipe *p);

/* Opens a pipe to a descriptor of ours. -errno. */
int output_pipe_open(OutputPipe *p, int target);

/* Copies what there is, and closes our end after the last of it. */
void output_pipe_copy(OutputPipe *p);

/* Copies everything that there still is, without waiting for more. */
void output_pipe_drain(OutputPipe *p);
