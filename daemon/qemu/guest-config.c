/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <stdio.h>

#include "guest-config.h"

#define LINE_LENGTH_MAX 16384U

void guest_config_init(GuestConfig *c) {
        *c = (GuestConfig) {
                .extra_max = MIB(256),
                .shutdown_usec = 90 * USEC_PER_SEC,
                .save_usec = 60 * USEC_PER_SEC,
        };
}

void guest_config_done(GuestConfig *c) {
        free(c->directory);
        free(c->agent);
        string_list_done(&c->command);
        *c = (GuestConfig) {};
}

bool guest_name_is_valid(const char *name) {
        size_t n = strlen(name);

        if (n == 0 || n > 64 || !isalnum((unsigned char) *name))
                return false;
        for (; *name; name++)
                if ((unsigned char) *name >= 0x80 || (!isalnum((unsigned char) *name) && !strchr("._-", *name)))
                        return false;
        return true;
}

int words_split(const char *text, StringList *l) {
        for (;;) {
                _cleanup_free_ char *word = NULL;
                char quote = 0, *p;
                int r;

                text += strspn(text, " \t\r\n");
                if (!*text)
                        return 0;
                p = word = malloc(strlen(text) + 1);
                if (!word)
                        return -ENOMEM;
                for (; *text && (quote || !strchr(" \t\r\n", *text)); text++)
                        if (quote && *text == quote)
                                quote = 0;
                        else if (!quote && (*text == '"' || *text == '\''))
                                quote = *text;
                        else if (*text == '\\' && quote != '\'') {
                                if (!*++text)
                                        return -EINVAL;
                                *p++ = *text;
                        } else
                                *p++ = *text;
                if (quote)
                        return -EINVAL;
                *p = 0;
                r = string_list_add(l, word);
                if (r < 0)
                        return r;
        }
}

/* Seconds, "90s" or "5min", at least one and at most a day. */
static int parse_seconds(const char *text, uint64_t *ret_usec) {
        uint64_t factor = 1, v = 0;

        if (!isdigit((unsigned char) *text))
                return -EINVAL;
        for (; isdigit((unsigned char) *text); text++) {
                v = v * 10 + (uint64_t) (*text - '0');
                if (v > 86400)
                        return -ERANGE;
        }
        if (streq(text, "min"))
                factor = 60;
        else if (*text && !streq(text, "s"))
                return -EINVAL;
        if (v == 0 || v * factor > 86400)
                return -ERANGE;
        *ret_usec = v * factor * USEC_PER_SEC;
        return 0;
}

static int parse_path(const char *text, char **ret) {
        char *copy;

        if (*text != '/')
                return -EINVAL;
        copy = strdup(text);
        if (!copy)
                return -ENOMEM;
        free(*ret);
        *ret = copy;
        return 0;
}

int guest_config_set(GuestConfig *c, const char *key, const char *value) {
        if (streq(key, "Directory"))
                return parse_path(value, &c->directory);
        if (streq(key, "Agent"))
                return parse_path(value, &c->agent);
        if (streq(key, "Size")) {
                int r = size_parse(value, /* shift= */ 20, &c->size);

                return r < 0 ? r : c->size == 0 ? -ERANGE : 0;
        }
        if (streq(key, "ExtraMax"))
                return size_parse(value, /* shift= */ 20, &c->extra_max);
        if (streq(key, "ShutdownSec"))
                return parse_seconds(value, &c->shutdown_usec);
        if (streq(key, "SaveSec"))
                return parse_seconds(value, &c->save_usec);
        if (streq(key, "Command"))
                return words_split(value, &c->command);
        return -ENOENT;
}

/* Returns 0, -ENOMEM, or another negative errno with what is wrong in *ret_what, which is not freed. */
static int guest_config_parse_line(GuestConfig *c, char *line, bool *in_guest, const char **ret_what) {
        char *value;
        int r;

        line = strip(line);
        if (!*line || strchr("#;", *line))
                return 0;
        if (*line == '[') {
                *in_guest = streq(line, "[Guest]");
                *ret_what = "the only section is [Guest]";
                return *in_guest ? 0 : -EINVAL;
        }
        value = strchr(line, '=');
        *ret_what = value ? "it stands outside of the section [Guest]" : "it is neither a setting nor a section";
        if (!value || !*in_guest)
                return -EINVAL;
        *value++ = 0;

        r = guest_config_set(c, strip(line), strip(value));
        *ret_what = r == -ENOENT ? "there is no such setting" : r == -ERANGE ? "the value is out of range" :
                "this setting does not take such a value";
        return r;
}

int guest_config_parse(GuestConfig *c, const char *text, size_t length, char **reterr) {
        bool in_guest = false;

        *reterr = NULL;
        for (unsigned number = 1; length > 0; number++) {
                const char *end = memchr(text, '\n', length), *what = "the line is too long, or no text";
                size_t n = end ? (size_t) (end - text) : length;
                _cleanup_free_ char *line = NULL;
                int r = -EINVAL;

                if (n < LINE_LENGTH_MAX && !memchr(text, 0, n)) {
                        line = strndup(text, n);
                        r = line ? guest_config_parse_line(c, line, &in_guest, &what) : -ENOMEM;
                }
                if (r == -ENOMEM)
                        return r;
                if (r < 0) {
                        if (asprintf(reterr, "line %u: %s", number, what) < 0) {
                                *reterr = NULL;
                                return -ENOMEM;
                        }
                        return -EINVAL;
                }
                n += end != NULL;
                text += n;
                length -= n;
        }
        return 0;
}
