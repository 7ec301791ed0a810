/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "log.h"

static JournalSink journal_sink;
static void *journal_sink_userdata;

/*
 * systemd sets $JOURNAL_STREAM to the device and inode of the stream that it passes to the journal. Programs inherit
 * the variable also if their standard error is redirected, so the file has to be the same, see systemd.exec(5).
 */
static bool stderr_is_journal(void) {
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;
        int n = 0;

        return stream && sscanf(stream, "%llu:%llu%n", &device, &inode, &n) == 2 && !stream[n] &&
                fstat(STDERR_FILENO, &st) >= 0 && st.st_dev == device && st.st_ino == inode;
}

static void log_messagev(int priority, const char *format, va_list ap) _printf_(2, 0);
static void log_messagev(int priority, const char *format, va_list ap) {
        _cleanup_free_ char *text = NULL;

        if (vasprintf(&text, format, ap) < 0) {
                text = NULL;
                return;
        }

        /* The journal reads the priority from the text. */
        if (stderr_is_journal())
                (void) fprintf(stderr, "<%i>%s\n", LOG_PRI(priority), text);
        else
                (void) fprintf(stderr, "%s: %s\n", program_invocation_short_name, text);
}

void log_message(int priority, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        log_messagev(priority, format, ap);
        va_end(ap);
}

typedef struct Entry {
        struct iovec iov[16];
        char *text[16];
        int n;
} Entry;

static void log_entry_done(Entry *e) {
        for (int i = 0; i < e->n; i++)
                free(e->text[i]);
}

static void log_entry_add(Entry *e, const char *format, ...) _printf_(2, 3);
static void log_entry_add(Entry *e, const char *format, ...) {
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&e->text[e->n], format, ap);
        va_end(ap);
        if (n < 0)
                return; /* better an entry without that field than none */

        e->iov[e->n] = (struct iovec) { e->text[e->n], (size_t) n };
        e->n++;
}

static void entry_add_number(Entry *e, const char *key, uint64_t value) {
        if (value != UINT64_MAX)
                log_entry_add(e, "%s=%llu", key, (unsigned long long) value);
}

void journal_set_sink(JournalSink sink, void *userdata) {
        journal_sink = sink;
        journal_sink_userdata = userdata;
}

void journal_entry(int priority, const char *message_id, const JournalFields *f, const char *format, ...) {
        _cleanup_(log_entry_done) Entry e = {};
        _cleanup_free_ char *message = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&message, format, ap) < 0)
                message = NULL;
        va_end(ap);
        if (!message)
                return;

        if (journal_sink) {
                journal_sink(message, message_id, f, journal_sink_userdata);
                return;
        }

        log_entry_add(&e, "MESSAGE=%s", message);
        log_entry_add(&e, "MESSAGE_ID=%s", message_id);
        log_entry_add(&e, "PRIORITY=%i", priority);
        log_entry_add(&e, "SYSLOG_IDENTIFIER=%s", f->identifier ?: "pkramd");
        if (f->node)
                log_entry_add(&e, "PKRAM_NODE=%s", f->node);
        if (f->owner)
                log_entry_add(&e, "PKRAM_OWNER=%s", f->owner);
        if (f->kernel)
                log_entry_add(&e, "PKRAM_KERNEL=%s", f->kernel);
        entry_add_number(&e, "PKRAM_BYTES", f->bytes);
        entry_add_number(&e, "PKRAM_OBJECTS", f->objects);
        entry_add_number(&e, "PKRAM_GENERATION", f->generation);
        entry_add_number(&e, "PKRAM_USEC", f->usec);
        if (f->boot_id)
                log_entry_add(&e, "PKRAM_BOOT_ID=%s", f->boot_id);
        entry_add_number(&e, "PKRAM_REALTIME_USEC", f->realtime_usec);

        if (access("/run/systemd/journal/socket", F_OK) < 0 || sd_journal_sendv(e.iov, e.n) < 0)
                log_message(priority, "%s", message);
}
