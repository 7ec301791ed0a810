/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Logging for programs. Library code returns errors; the caller that handles an
 * error logs it, once.
 */
#pragma once

#include <syslog.h>

#include "macro.h"

/* Writes a message to standard error, with its priority as prefix "<N>" if that is the journal. */
void log_message(int priority, const char *format, ...) _printf_(2, 3);

#define log_error(...) log_message(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_message(LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_message(LOG_INFO, __VA_ARGS__)

/* Logs the message, ": " and strerror(-r). Evaluates to r, for return statements. */
#define log_error_errno(r, format, ...)                                                         \
        ({                                                                                      \
                int _r = (r);                                                                   \
                log_message(LOG_ERR, format ": %s", ##__VA_ARGS__, strerror(-_r));              \
                _r;                                                                             \
        })

/* Fields of a journal entry about a node. Those that are NULL or UINT64_MAX are left out. */
typedef struct JournalFields {
        const char *node, *owner, *kernel;
        uint64_t bytes, objects, generation, usec;
        const char *boot_id;      /* of the boot that the entry is about, if not this one */
        uint64_t realtime_usec;   /* time of the event, if not now */
        const char *identifier;   /* SYSLOG_IDENTIFIER=, "pkramd" if NULL */
} JournalFields;

#define JOURNAL_FIELDS_NONE \
        ((JournalFields) { .bytes = UINT64_MAX, .objects = UINT64_MAX, .generation = UINT64_MAX, .usec = UINT64_MAX, \
                           .realtime_usec = UINT64_MAX })

/*
 * Writes one entry with a MESSAGE_ID (32 hexadecimal digits) to the journal, or to
 * standard error if no journal runs. All entries with a MESSAGE_ID are written here.
 */
void journal_entry(int priority, const char *message_id, const JournalFields *fields, const char *format, ...)
        _printf_(4, 5);

/* For tests: passes entries to sink instead of the journal, until sink is NULL. */
typedef void (*JournalSink)(const char *message, const char *message_id, const JournalFields *fields, void *userdata);
void journal_set_sink(JournalSink sink, void *userdata);
