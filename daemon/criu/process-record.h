/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What stands beside the images of a process in its directory: how far saving or restoring it came, and what has to be
 * the same when it continues. It is on the tree, and so shares the fate of the images. Images are used once at most:
 * the record says "restoring" before CRIU reads them.
 */
#pragma once

#include "json-util.h"
#include "process-config.h"

#define PROCESS_RECORD_FILE "process.json"

typedef enum ProcessPhase {
        PROCESS_SAVING,    /* saving began, and its end was not recorded */
        PROCESS_SAVED,
        PROCESS_FAILED,    /* saving failed */
        PROCESS_RESTORING, /* restoring began, and its end was not recorded */
        _PROCESS_PHASE_MAX,
} ProcessPhase;

typedef struct ProcessRecord {
        ProcessPhase phase;
        char *reason;            /* PROCESS_FAILED: why */
        StringList identity;     /* see process_identity() */
        pid_t pid;               /* of the program, in its PID namespace */
        char *output, *errors;   /* the pipes that it writes to: "pipe:[1234]" */
        uint64_t stopped_usec;   /* when it stood still, CLOCK_REALTIME */
        struct json_object *images; /* array, see process_images_list() */
} ProcessRecord;

void process_record_done(ProcessRecord *r);
#define _cleanup_process_record_ _cleanup_(process_record_done)

/* Writes the record into a directory in one step. -errno. */
int process_record_write(const ProcessRecord *r, int directory);

/* Reads the record of a directory. -ENOENT: there is none; -EPERM: it is not ours alone; -EBADMSG: it is no record;
 * -ENOMEM and other errors. */
int process_record_read(int directory, ProcessRecord *ret);

/* The same for the text of a record. */
int process_record_parse(const char *text, size_t length, ProcessRecord *ret);

/* Lists what must not change while a process is saved: user, working directory, environment and command. -ENOMEM. */
int process_identity(const ProcessConfig *c, StringList *ret);

/*
 * Why the process cannot continue with this configuration, as part of a sentence, which the caller frees. Returns 1:
 * it cannot, 0: it can, or -ENOMEM.
 */
int process_record_differs(const ProcessRecord *r, const ProcessConfig *c, char **ret_why);

/*
 * Checks that a directory, and each file in it, belong to this user, and that no one else can write to them: a
 * user who can change images has CRIU run anything. Returns 0, -EPERM, or another negative errno.
 */
int process_images_check_owner(int directory);

/* Describes the images in a directory. Returns an array of names and sizes, or NULL with errno. */
struct json_object *process_images_list(int directory);

/* Returns true if the directory has the images of the array, with their sizes. */
bool process_images_are_complete(int directory, struct json_object *images);
