/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages of programs. Library code does not use this: it returns what went
 * wrong, and whoever decides that this is the end of it logs it, once.
 */
#pragma once

#include <syslog.h>

#include "macro.h"

/* To standard error, with the priority in front when that is the journal. */
void log_message(int priority, const char *format, ...) _printf_(2, 3);

#define log_error(...) log_message(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_message(LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_message(LOG_INFO, __VA_ARGS__)

/* Logs the message, ": ", and what errno r means. Evaluates to r, for return statements. */
#define log_error_errno(r, format, ...)                                                         \
        ({                                                                                      \
                int _r = (r);                                                                   \
                log_message(LOG_ERR, format ": %s", ##__VA_ARGS__, strerror(-_r));              \
                _r;                                                                             \
        })

/* What a journal entry about a node tells; NULL and UINT64_MAX are left out. */
typedef struct JournalFields {
        const char *node, *owner, *kernel;
        uint64_t bytes, objects, generation, usec;
        const char *boot_id;      /* of the boot that it tells about, if not this one */
        uint64_t realtime_usec;   /* when it happened, if not now */
        const char *identifier;   /* SYSLOG_IDENTIFIER=, "pkramd" if NULL */
} JournalFields;

#define JOURNAL_FIELDS_NONE \
        ((JournalFields) { .bytes = UINT64_MAX, .objects = UINT64_MAX, .generation = UINT64_MAX, .usec = UINT64_MAX, \
                           .realtime_usec = UINT64_MAX })

/*
 * Writes one entry with a MESSAGE_ID (32 hexadecimal digits) to the journal. The only
 * place that does. Where no journal runs the text goes to standard error.
 */
void journal_entry(int priority, const char *message_id, const JournalFields *fields, const char *format, ...) _printf_(4, 5);

/* For tests: entries go there instead, message first, until set to NULL. */
typedef void (*JournalSink)(const char *message, const char *message_id, const JournalFields *fields, void *userdata);
void journal_set_sink(JournalSink sink, void *userdata);
