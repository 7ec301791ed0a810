/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <stdio.h>

#include "conf-file.h"

#define LINE_LENGTH_MAX 16384U

bool conf_name_is_valid(const char *name) {
        size_t n = strlen(name);

        if (n == 0 || n > 64 || !isalnum((unsigned char) *name))
                return false;
        for (; *name; name++)
                if ((unsigned char) *name >= 0x80 || (!isalnum((unsigned char) *name) && !strchr("._-", *name)))
                        return false;
        return true;
}

int conf_parse_size(const char *text, unsigned shift, uint64_t *ret) {
        static const char units[] = "KMGT";
        uint64_t v = 0;

        if (!isdigit((unsigned char) *text))
                return -EINVAL;
        for (; isdigit((unsigned char) *text); text++)
                if (__builtin_mul_overflow(v, 10, &v) || !inc_u64(&v, (uint64_t) (*text - '0')))
                        return -ERANGE;
        if (*text) {
                const char *unit = strchr(units, toupper((unsigned char) *text));

                if (!unit || text[1])
                        return -EINVAL;
                shift = 10 * (unsigned) (unit - units + 1);
        }
        if (v > (uint64_t) INT64_MAX >> shift)
                return -ERANGE;
        *ret = v << shift;
        return 0;
}

int conf_parse_seconds(const char *text, uint64_t *ret_usec) {
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

int conf_parse_path(const char *text, char **ret) {
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

typedef struct ConfFile {
        const char *section;
        ConfSet set;
        void *userdata;
        bool in_section;
        char what[160]; /* what is wrong */
} ConfFile;

/* Returns 0, -ENOMEM, or another negative errno with what is wrong in f->what. */
static int conf_parse_line(ConfFile *f, char *line) {
        char *value;
        int r;

        line = strip(line);
        if (!*line || strchr("#;", *line))
                return 0;
        if (*line == '[') {
                size_t n = strlen(f->section);

                f->in_section = strneq(line + 1, f->section, n) && streq(line + 1 + n, "]");
                (void) snprintf(f->what, sizeof(f->what), "the only section is [%s]", f->section);
                return f->in_section ? 0 : -EINVAL;
        }
        value = strchr(line, '=');
        if (!value)
                (void) snprintf(f->what, sizeof(f->what), "it is neither a setting nor a section");
        else if (!f->in_section)
                (void) snprintf(f->what, sizeof(f->what), "it stands outside of the section [%s]", f->section);
        if (!value || !f->in_section)
                return -EINVAL;
        *value++ = 0;

        r = f->set(f->userdata, strip(line), strip(value));
        (void) snprintf(f->what, sizeof(f->what), "%s",
                        r == -ENOENT ? "there is no such setting" :
                        r == -ERANGE ? "the value is out of range" :
                                       "this setting does not take such a value");
        return r;
}

int conf_parse(const char *text, size_t length, const char *section, ConfSet set, void *userdata, char **reterr) {
        ConfFile f = { .section = section, .set = set, .userdata = userdata };

        *reterr = NULL;
        for (unsigned number = 1; length > 0; number++) {
                const char *end = memchr(text, '\n', length);
                size_t n = end ? (size_t) (end - text) : length;
                _cleanup_free_ char *line = NULL;
                int r = -EINVAL;

                (void) snprintf(f.what, sizeof(f.what), "the line is too long, or no text");
                if (n < LINE_LENGTH_MAX && !memchr(text, 0, n)) {
                        line = strndup(text, n);
                        r = line ? conf_parse_line(&f, line) : -ENOMEM;
                }
                if (r == -ENOMEM)
                        return r;
                if (r < 0) {
                        if (asprintf(reterr, "line %u: %s", number, f.what) < 0) {
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
