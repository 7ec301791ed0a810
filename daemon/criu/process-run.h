/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The life of a process: from the checks before it is started to its end. */
#pragma once

#include "output-pipe.h"
#include "process-record.h"

typedef struct ProcessRun {
        const char *name;
        ProcessConfig config;
        const char *path;  /* of the directory */
        char *images_path;
        int directory;     /* also holds the lock */
        int images;        /* directory of the images, or -EBADF */
        int note;          /* for pkramctl, holds the name; or -EBADF */
        int signals;       /* signalfd */

        ProcessRecord record;
        OutputPipe output, errors;
        pid_t pid;         /* of the program; 0: it has ended */
        int status;        /* of the program, when it has ended */
        bool resumed;      /* it went on from images */
        uint64_t stopped_usec; /* how long it stood still, if it was resumed */
        char *reason;      /* why it was started again although it had been saved, or NULL */
        char *problem;     /* why it could not be saved when it was last looked at, or NULL */
        uint64_t bytes;    /* memory that it had then */
} ProcessRun;

/* The caller fills in name, config, path and signals, a signalfd of the signals that it has blocked. The rest begins
 * empty. */
#define PROCESS_RUN_NONE                                                                        \
        ((ProcessRun) { .directory = -EBADF, .images = -EBADF, .note = -EBADF, .signals = -EBADF, \
                        .output = OUTPUT_PIPE_NONE, .errors = OUTPUT_PIPE_NONE })

void process_run_done(ProcessRun *run);
#define _cleanup_process_run_ _cleanup_(process_run_done)

/* Runs the program until it has ended or is saved. Logs what is wrong. Returns an exit status, EXIT_REFUSED if it
 * could not be kept. */
int process_run(ProcessRun *run);
