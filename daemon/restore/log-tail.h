/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last lines of a system before a kexec. Once journald has stopped, only the kernel's
 * log has them. They travel as the node
 * SYSTEM_NODE_LOG.
 */
#pragma once

#include "macro.h"

/* The newest that are kept: what a shutdown prints is far less. */
#define LOG_TAIL_LINES_MAX 1000U
#define LOG_TAIL_BYTES_MAX KIB(256)

/* The longest line that the kernel makes has 1 KiB; escapes make it longer. */
#define LOG_TAIL_LINE_MAX 4096U

typedef struct LogLine {
        int priority;        /* 0 to 7, as in syslog(3) */
        uint64_t usec;       /* CLOCK_REALTIME, since 1970 */
        char *text;          /* one line of UTF-8 without control characters */
} LogLine;

typedef struct LogTail {
        char *boot_id;       /* of the system that wrote them, 32 hexadecimal digits */
        LogLine *lines;      /* oldest first */
        size_t n_lines, allocated, bytes;
} LogTail;

void log_tail_done(LogTail *t);
#define _cleanup_log_tail_ _cleanup_(log_tail_done)

/* Adds a line, and drops the oldest ones if there are too many. Bytes that may not be in text are replaced.
 * -ENOMEM. */
int log_tail_add(LogTail *t, int priority, uint64_t usec, const char *text);

/* Gives up all but the newest n lines. */
void log_tail_keep(LogTail *t, size_t n);

/*
 * Adds a record as read(2) from /dev/kmsg gives it, NUL-terminated. since: records
 * with lower numbers are passed over. offset_usec: what to add to the clock of the
 * kernel's log for CLOCK_REALTIME. *ret_sequence, if not NULL, is its number. 1 if it
 * was added, 0 if not, -EBADMSG if it is no record, -ENOMEM.
 */
int log_tail_add_kmsg(LogTail *t, const char *record, uint64_t since, uint64_t offset_usec, uint64_t *ret_sequence);

/* The text, to be freed. -ENOMEM. */
int log_tail_format(const LogTail *t, char **ret, size_t *ret_size);

/* Reads it back from the old kernel's memory. -EBADMSG: it is none; lines that are odd are left out or made
 * harmless. */
int log_tail_parse(const char *text, size_t size, LogTail *ret);
