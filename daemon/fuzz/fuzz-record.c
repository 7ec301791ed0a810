/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an earlier system hands over about its kexec and as its last lines. What is taken can be written and read
 * again, and printed. */
#include "../restore/log-tail.h"
#include "kexec-record.h"
#include "name.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_record(const char *text, size_t size) {
        _cleanup_record_ KexecRecord r = KEXEC_RECORD_NONE, again = KEXEC_RECORD_NONE;
        _cleanup_free_ char *out = NULL;
        size_t n;

        if (kexec_record_parse(text, size, &r) < 0)
                return;
        for (size_t i = 0; i < r.n_nodes; i++)
                if (name_validate(r.nodes[i].name, NULL) < 0)
                        abort();
        if (kexec_record_format(&r, &out, &n) < 0 || kexec_record_parse(out, n, &again) < 0 ||
            again.n_nodes != r.n_nodes)
                abort();
}

static void try_log(const char *text, size_t size) {
        _cleanup_log_tail_ LogTail t = {}, again = {};
        _cleanup_free_ char *out = NULL;
        size_t n;

        if (log_tail_parse(text, size, &t) < 0)
                return;
        if (t.n_lines > LOG_TAIL_LINES_MAX || t.bytes > LOG_TAIL_BYTES_MAX)
                abort();
        for (size_t i = 0; i < t.n_lines; i++) {
                if (!utf8_is_valid(t.lines[i].text) || t.lines[i].priority < 0 || t.lines[i].priority > 7)
                        abort();
                for (const char *p = t.lines[i].text; *p; p++)
                        if ((unsigned char) *p < 0x20 || *p == 0x7f)
                                abort();
        }
        if (log_tail_format(&t, &out, &n) < 0 || log_tail_parse(out, n, &again) < 0 || again.n_lines != t.n_lines)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *record = NULL;
        _cleanup_log_tail_ LogTail t = {};

        try_record((const char *) data, size);
        try_log((const char *) data, size);

        record = strndup((const char *) data, size);
        if (!record || log_tail_add_kmsg(&t, record, /* since= */ 0, /* offset_usec= */ 1, NULL) == -ENOMEM)
                abort();
        return 0;
}
