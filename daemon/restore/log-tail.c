/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "json-util.h"
#include "log-tail.h"
#include "utf8.h"

#define LOG_TAIL_VERSION 1
#define BOOT_ID_LENGTH 32U

static void line_done(LogTail *t, LogLine *l) {
        t->bytes -= strlen(l->text);
        free(l->text);
}

void log_tail_done(LogTail *t) {
        for (size_t i = 0; i < t->n_lines; i++)
                line_done(t, t->lines + i);
        free(t->lines);
        free(t->boot_id);
        *t = (LogTail) {};
}

static void drop_oldest(LogTail *t) {
        line_done(t, t->lines);
        memmove(t->lines, t->lines + 1, --t->n_lines * sizeof(t->lines[0]));
}

void log_tail_keep(LogTail *t, size_t n) {
        while (t->n_lines > n)
                drop_oldest(t);
}

/* A copy that can be printed: valid UTF-8, no control characters, not too long. NULL without memory. */
static char *make_harmless(const char *text) {
        char *s = utf8_sanitize(text);
        size_t i = 0, n;

        if (!s)
                return NULL;

        n = strlen(s);
        while (i < n) {
                int k = utf8_char_length(s + i, n - i);
                uint32_t c = k < 0 ? 0 : utf8_decode(s + i, k);

                if (k < 0 || i + (size_t) k > LOG_TAIL_LINE_MAX)
                        break;
                if (c < 0x20 || (c >= 0x7f && c < 0xa0))
                        memset(s + i, ' ', (size_t) k);
                i += (size_t) k;
        }
        s[i] = 0;
        return s;
}

int log_tail_add(LogTail *t, int priority, uint64_t usec, const char *text) {
        char *s;

        if (GREEDY_REALLOC(t->lines, t->allocated, t->n_lines + 1) < 0)
                return -ENOMEM;
        s = make_harmless(text);
        if (!s)
                return -ENOMEM;

        t->lines[t->n_lines++] = (LogLine) { .priority = priority & 7, .usec = usec, .text = s };
        t->bytes += strlen(s);
        while (t->n_lines > LOG_TAIL_LINES_MAX || t->bytes > LOG_TAIL_BYTES_MAX)
                drop_oldest(t);
        return 0;
}

/* "PRIORITY,SEQUENCE,USEC,FLAGS[,...];TEXT\n KEY=VALUE\n..." */
int log_tail_add_kmsg(LogTail *t, const char *record, uint64_t since, uint64_t offset_usec, uint64_t *ret_sequence) {
        _cleanup_free_ char *text = NULL;
        uint64_t sequence, usec;
        const char *p;
        unsigned priority;
        int r;

        if (sscanf(record, "%u,%" SCNu64 ",%" SCNu64 ",", &priority, &sequence, &usec) != 3)
                return -EBADMSG;
        p = strchr(record, ';');
        if (!p)
                return -EBADMSG;
        if (ret_sequence)
                *ret_sequence = sequence;
        if (sequence < since)
                return 0;

        text = strndup(p + 1, strcspn(p + 1, "\n"));
        if (!text)
                return -ENOMEM;
        (void) inc_u64(&usec, offset_usec);
        r = log_tail_add(t, (int) (priority & 7), usec, text);
        return r < 0 ? r : 1;
}

static int add_line(struct json_object *array, const LogLine *l) {
        _cleanup_json_ struct json_object *o = json_object_new_object();

        if (!o ||
            json_add_int(o, "priority", l->priority) < 0 ||
            json_add_u64(o, "usec", l->usec) < 0 ||
            json_add_string(o, "text", l->text) < 0)
                return -ENOMEM;
        return json_append(array, TAKE_PTR(o));
}

int log_tail_format(const LogTail *t, char **ret, size_t *ret_size) {
        _cleanup_json_ struct json_object *o = json_object_new_object(), *lines = json_object_new_array();
        const char *text;
        char *copy;
        size_t n;

        if (!o || !lines || json_add_int(o, "version", LOG_TAIL_VERSION) < 0 ||
            (t->boot_id && json_add_string(o, "bootId", t->boot_id) < 0))
                return -ENOMEM;
        for (size_t i = 0; i < t->n_lines; i++)
                if (add_line(lines, t->lines + i) < 0)
                        return -ENOMEM;
        if (json_add(o, "lines", TAKE_PTR(lines)) < 0)
                return -ENOMEM;

        text = json_text(o, &n);
        copy = text ? strndup(text, n) : NULL;
        if (!copy)
                return -ENOMEM;
        *ret = copy;
        *ret_size = n;
        return 0;
}

int log_tail_parse(const char *text, size_t size, LogTail *ret) {
        _cleanup_log_tail_ LogTail t = {};
        _cleanup_json_ struct json_object *o = NULL;
        struct json_object *lines;
        const char *boot_id;
        int r;

        r = json_parse_own(text, size, &o, /* reterr_key= */ NULL);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        lines = json_get_array(o, "lines");
        if (json_get_int(o, "version", 0) != LOG_TAIL_VERSION || !lines)
                return -EBADMSG;

        boot_id = json_get_string(o, "bootId");
        if (boot_id && strlen(boot_id) == BOOT_ID_LENGTH && strspn(boot_id, "0123456789abcdef") == BOOT_ID_LENGTH) {
                t.boot_id = strdup(boot_id);
                if (!t.boot_id)
                        return -ENOMEM;
        }

        for (size_t i = 0; i < json_object_array_length(lines); i++) {
                struct json_object *l = json_object_array_get_idx(lines, i);
                const char *s = json_get_string(l, "text");

                if (!s)
                        continue;
                r = log_tail_add(&t, (int) (json_get_int(l, "priority", 6) & 7),
                                 (uint64_t) MAX(json_get_int(l, "usec", 0), 0), s);
                if (r < 0)
                        return r;
        }

        *ret = t;
        t = (LogTail) {};
        return 0;
}
