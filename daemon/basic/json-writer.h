/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes JSON as text, for what is sent so often that making objects of it first would be most of the work. */
#pragma once

#include "macro.h"

typedef struct JsonWriter {
        char *text; /* with NUL at the end */
        size_t length, allocated;
        bool comma; /* has to come before the next member */
        bool failed;
} JsonWriter;

/* Empties the writer, and keeps its buffer. */
void json_writer_reset(JsonWriter *w);
void json_writer_done(JsonWriter *w);

/*
 * An object and its members. key is written as it is: no characters that need an escape,
 * and NULL for what is no member. Strings have to be UTF-8. Numbers end at INT64_MAX, as
 * everywhere here.
 */
void json_writer_begin(JsonWriter *w, const char *key);
void json_writer_end(JsonWriter *w);
void json_writer_string(JsonWriter *w, const char *key, const char *value);
void json_writer_u64(JsonWriter *w, const char *key, uint64_t value);
void json_writer_bool(JsonWriter *w, const char *key, bool value);

/* Did all of that work? -ENOMEM. */
int json_writer_check(const JsonWriter *w);
