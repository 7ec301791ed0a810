/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json-writer.h"

void json_writer_reset(JsonWriter *w) {
        w->length = 0;
        w->comma = w->failed = false;
}

void json_writer_done(JsonWriter *w) {
        free(w->text);
        *w = (JsonWriter) {};
}

int json_writer_check(const JsonWriter *w) {
        return w->failed ? -ENOMEM : 0;
}

static void json_writer_append(JsonWriter *w, const char *text, size_t n) {
        if (w->failed || GREEDY_REALLOC(w->text, w->allocated, w->length + n + 1) < 0) {
                w->failed = true;
                return;
        }
        memcpy(w->text + w->length, text, n);
        w->length += n;
        w->text[w->length] = 0;
}

static void append_key(JsonWriter *w, const char *key) {
        if (w->comma)
                json_writer_append(w, ",", 1);
        if (key) {
                json_writer_append(w, "\"", 1);
                json_writer_append(w, key, strlen(key));
                json_writer_append(w, "\":", 2);
        }
        w->comma = true;
}

void json_writer_begin(JsonWriter *w, const char *key) {
        append_key(w, key);
        json_writer_append(w, "{", 1);
        w->comma = false;
}

void json_writer_end(JsonWriter *w) {
        json_writer_append(w, "}", 1);
        w->comma = true;
}

static bool needs_escape(char c) {
        return (unsigned char) c < 0x20 || c == '"' || c == '\\';
}

static void append_escaped(JsonWriter *w, char c) {
        static const char hex[] = "0123456789abcdef";
        char u[] = { '\\', 'u', '0', '0', hex[(unsigned char) c >> 4], hex[c & 15] };

        if ((unsigned char) c >= 0x20)
                json_writer_append(w, (const char[]) { '\\', c }, 2);
        else
                json_writer_append(w, u, sizeof(u));
}

void json_writer_string(JsonWriter *w, const char *key, const char *value) {
        append_key(w, key);
        json_writer_append(w, "\"", 1);
        while (*value) {
                size_t n = 0;

                while (value[n] && !needs_escape(value[n]))
                        n++;
                json_writer_append(w, value, n);
                value += n;
                if (*value)
                        append_escaped(w, *value++);
        }
        json_writer_append(w, "\"", 1);
}

void json_writer_u64(JsonWriter *w, const char *key, uint64_t value) {
        char digits[20], *p = digits + sizeof(digits);

        value = MIN(value, (uint64_t) INT64_MAX);
        do
                *--p = (char) ('0' + value % 10);
        while ((value /= 10) > 0);

        append_key(w, key);
        json_writer_append(w, p, (size_t) (digits + sizeof(digits) - p));
}

void json_writer_bool(JsonWriter *w, const char *key, bool value) {
        append_key(w, key);
        json_writer_append(w, value ? "true" : "false", value ? 4 : 5);
}
