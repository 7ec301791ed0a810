/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <systemd/sd-id128.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "crash.h"
#include "file-util.h"
#include "format.h"
#include "journal-util.h"
#include "log.h"
#include "pkram-messages.h"

/* Nodes named in the message; how many there were is said in any case. */
#define NAMES_MAX 32U

typedef struct Stored {
        char *names[NAMES_MAX], *owners[NAMES_MAX]; /* an owner may be NULL */
        uint64_t bytes[NAMES_MAX];
        size_t n, further;
} Stored;

static void stored_done(Stored *s) {
        for (size_t i = 0; i < s->n; i++) {
                free(s->names[i]);
                free(s->owners[i]);
        }
}

static int add_stored(Stored *s, sd_journal *j) {
        _cleanup_free_ char *name = journal_get_field(j, "PKRAM_NODE"), *bytes = journal_get_field(j, "PKRAM_BYTES"),
                            *owner = journal_get_field(j, "PKRAM_OWNER");
        size_t i = 0;

        if (!name || !*name)
                return 0;
        while (i < s->n && (!streq(s->names[i], name) || !streq(s->owners[i] ?: "", owner ?: "")))
                i++;
        if (i == NAMES_MAX) {
                s->further++;
                return 0;
        }
        /* Stored once more under the same name: the last one counts. */
        s->bytes[i] = bytes ? strtoull(bytes, NULL, 10) : 0;
        if (i == s->n) {
                if (owner && *owner)
                        s->owners[i] = TAKE_PTR(owner);
                s->names[s->n++] = TAKE_PTR(name);
        }
        return 0;
}

/* The nodes that were stored or restored in that boot, according to its journal. */
static int read_stored(const char *boot_id, Stored *ret) {
        _cleanup_(sd_journal_closep) sd_journal *j = NULL;
        char match[64];
        int r;

        r = sd_journal_open(&j, SD_JOURNAL_LOCAL_ONLY);
        if (r < 0)
                return r;
        (void) snprintf(match, sizeof(match), "_BOOT_ID=%s", boot_id);
        r = sd_journal_add_match(j, match, 0);
        if (r >= 0)
                r = sd_journal_add_match(j, "MESSAGE_ID=" PKRAM_MESSAGE_STORED_STR, 0);
        if (r >= 0)
                r = sd_journal_add_match(j, "MESSAGE_ID=" PKRAM_MESSAGE_RESTORED_STR, 0);
        /* Any process can log such an entry. Its text only ends up in a message, but accept only our own. */
        if (r >= 0)
                r = sd_journal_add_match(j, "_UID=0", 0);
        if (r < 0)
                return r;

        SD_JOURNAL_FOREACH(j) {
                r = add_stored(ret, j);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int log_crash(const char *boot_id, const Stored *s) {
        _cleanup_free_ char *text = NULL;
        JournalFields f = JOURNAL_FIELDS_NONE;
        uint64_t sum = 0;
        char bytes[FORMAT_MAX];
        size_t size;
        FILE *out;

        out = open_memstream(&text, &size);
        if (!out)
                return -ENOMEM;
        for (size_t i = 0; i < s->n; i++) {
                (void) inc_u64(&sum, s->bytes[i]);
                (void) fprintf(out, "%s'%s'%s%s (%s)", i > 0 ? ", " : "", s->names[i],
                                s->owners[i] ? " of " : "", s->owners[i] ?: "", format_bytes(bytes, s->bytes[i]));
        }
        if (s->further > 0)
                (void) fputs(" and others", out);
        if (fclose(out) != 0)
                return -ENOMEM;

        f.boot_id = boot_id;
        f.objects = UINT64_MAX;
        f.bytes = sum;
        journal_entry(LOG_WARNING, PKRAM_MESSAGE_CRASHED_STR, &f,
                      "Previous boot ended without a shutdown, its stored nodes are lost. "
                      "Nodes named in its journal, unless removed since: %s.", text);
        return 0;
}

static int write_mark(const char *path, const char *boot_id) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        r = file_write(path, boot_id, strlen(boot_id));
        if (r < 0)
                return r;
        /* Write it to disk now: after a crash it is too late. */
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0 || syncfs(fd) < 0)
                return -errno;
        return 0;
}

int crash_check(const char *mark_path, bool restored) {
        _cleanup_(stored_done) Stored stored = {};
        char boot_id[SD_ID128_STRING_MAX];
        _cleanup_free_ char *old = NULL;
        sd_id128_t id, old_id;
        size_t n;
        int r;

        r = sd_id128_get_boot(&id);
        if (r < 0)
                return log_error_errno(r, "Failed to read boot ID");
        (void) sd_id128_to_string(id, boot_id);

        r = file_read(mark_path, SD_ID128_STRING_MAX, &old, &n);
        if (r < 0 && r != -ENOENT)
                (void) log_error_errno(r, "Failed to read '%s', ignoring it", mark_path);
        if (r >= 0 && !restored && sd_id128_from_string(old, &old_id) >= 0 && !sd_id128_equal(id, old_id)) {
                r = read_stored(old, &stored);
                if (r < 0)
                        (void) log_error_errno(r, "Failed to read journal of the previous boot");
                if (stored.n > 0)
                        r = log_crash(old, &stored);
                else
                        log_info("Previous boot ended without a shutdown. Its journal names no stored nodes.");
                if (r < 0)
                        return r;
        }

        r = write_mark(mark_path, boot_id);
        return r < 0 ? log_error_errno(r, "Failed to write '%s'", mark_path) : 0;
}
