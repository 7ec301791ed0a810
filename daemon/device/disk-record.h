/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file "state" of the directory of disk-directory.h, which is its only user. It has one record: the boot that the
 * nodes belong to, and their directory. Tokens are drawn here, too.
 *
 * All functions that can fail return a negative errno.
 */
#pragma once

#include "disk-io.h"
#include "macro.h"

#define DISK_TOKEN_LENGTH 32U

typedef struct DiskRecord {
        char boot_id[DISK_TOKEN_LENGTH + 1];
        char token[DISK_TOKEN_LENGTH + 1];
        char from[DISK_TOKEN_LENGTH + 1];       /* the token before, "" if there was none */
        uint64_t generation;                    /* boots since the store was created */
        char release[64];                       /* of the kernel before this one, "" if there was none */
        char running[64];                       /* of this one */
        DiskIdentity nodes;                     /* the directory of the nodes, 0 in version 1 */
} DiskRecord;

/* Text of the file, version 2. Parsing returns -EBADMSG if it is damaged, -EPROTONOSUPPORT if it is of a later
 * version. */
#define DISK_RECORD_MAX 512U
int disk_record_format(const DiskRecord *record, char ret[DISK_RECORD_MAX]);
int disk_record_parse(const char *text, size_t size, DiskRecord *ret);

/* -ENOENT: there is none. -EBADMSG: it is damaged, or other users can access it. */
int disk_record_read(int directory, DiskRecord *ret);

/* Writes and removes the file in one step, and durably. */
int disk_record_write(int directory, const DiskRecord *record);
int disk_record_remove(int directory);

bool disk_token_is_valid(const char *s);
int disk_token_make(char ret[DISK_TOKEN_LENGTH + 1]);
