/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "json-check.h"
#include "utf8.h"

typedef struct Scanner {
        const char *p, *end;
        char **reterr_key;
        unsigned depth;
} Scanner;

/* The keys of one object while it is read. */
typedef struct Keys {
        char **key;
        size_t n, allocated;
} Keys;

static void keys_done(Keys *k) {
        for (size_t i = 0; i < k->n; i++)
                free(k->key[i]);
        free(k->key);
}

static int scan_value(Scanner *s);

static void skip_space(Scanner *s) {
        while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
                s->p++;
}

static bool accept(Scanner *s, char c) {
        if (s->p >= s->end || *s->p != c)
                return false;
        s->p++;
        return true;
}

static int scan_literal(Scanner *s, const char *word) {
        size_t n = strlen(word);

        if ((size_t) (s->end - s->p) < n || memcmp(s->p, word, n) != 0)
                return -EINVAL;
        s->p += n;
        return 0;
}

static bool is_digit(const Scanner *s) {
        return s->p < s->end && *s->p >= '0' && *s->p <= '9';
}

static int scan_number(Scanner *s) {
        bool negative, integer = true;
        uint64_t value = 0, limit;

        negative = accept(s, '-');
        limit = negative ? (uint64_t) INT64_MAX + 1 : INT64_MAX;

        if (!is_digit(s))
                return -EINVAL;
        if (*s->p == '0' && s->p + 1 < s->end && s->p[1] >= '0' && s->p[1] <= '9')
                return -EINVAL;

        bool overflow = false;
        for (; is_digit(s); s->p++) {
                unsigned digit = *s->p - '0';

                if (value > (limit - digit) / 10)
                        overflow = true;
                else
                        value = value * 10 + digit;
        }

        if (accept(s, '.')) {
                integer = false;
                if (!is_digit(s))
                        return -EINVAL;
                while (is_digit(s))
                        s->p++;
        }

        if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
                integer = false;
                s->p++;
                if (!accept(s, '+'))
                        (void) accept(s, '-');
                if (!is_digit(s))
                        return -EINVAL;
                while (is_digit(s))
                        s->p++;
        }

        return integer && overflow ? -ERANGE : 0;
}

static int scan_hex4(Scanner *s, uint32_t *ret) {
        uint32_t v = 0;

        if (s->end - s->p < 4)
                return -EINVAL;

        for (unsigned i = 0; i < 4; i++) {
                char c = *s->p++;

                if (c >= '0' && c <= '9')
                        v = v << 4 | (uint32_t) (c - '0');
                else if (c >= 'a' && c <= 'f')
                        v = v << 4 | (uint32_t) (c - 'a' + 10);
                else if (c >= 'A' && c <= 'F')
                        v = v << 4 | (uint32_t) (c - 'A' + 10);
                else
                        return -EINVAL;
        }

        *ret = v;
        return 0;
}

static int scan_escape(Scanner *s, uint32_t *ret) {
        uint32_t c, low;
        int r;

        if (s->p >= s->end)
                return -EINVAL;

        switch (*s->p++) {
        case '"':
                *ret = '"';
                return 0;
        case '\\':
                *ret = '\\';
                return 0;
        case '/':
                *ret = '/';
                return 0;
        case 'b':
                *ret = '\b';
                return 0;
        case 'f':
                *ret = '\f';
                return 0;
        case 'n':
                *ret = '\n';
                return 0;
        case 'r':
                *ret = '\r';
                return 0;
        case 't':
                *ret = '\t';
                return 0;
        case 'u':
                break;
        default:
                return -EINVAL;
        }

        r = scan_hex4(s, &c);
        if (r < 0)
                return r;

        if (c >= 0xd800 && c < 0xdc00) {
                /* The first half of a pair, the second half has to follow. */
                if (!accept(s, '\\') || !accept(s, 'u'))
                        return -EINVAL;
                r = scan_hex4(s, &low);
                if (r < 0)
                        return r;
                if (low < 0xdc00 || low >= 0xe000)
                        return -EINVAL;
                c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        } else if (c >= 0xdc00 && c < 0xe000)
                return -EINVAL;

        /* Strings are handled as C strings later on, and must not mean less there than they say here. */
        if (c == 0)
                return -EINVAL;

        *ret = c;
        return 0;
}

/* Checks a string; with ret, also gives its content. */
static int scan_string(Scanner *s, char **ret) {
        _cleanup_free_ char *copy = NULL;
        char *q = NULL;
        int r;

        if (!accept(s, '"'))
                return -EINVAL;

        if (ret) {
                const char *e = s->p;

                /* An escape is never shorter than what it stands for. */
                while (e < s->end && *e != '"')
                        e += *e == '\\' ? 2 : 1;

                q = copy = malloc((size_t) (MIN(e, s->end) - s->p) + 1);
                if (!copy)
                        return -ENOMEM;
        }

        while (s->p < s->end) {
                uint8_t c = *s->p;

                if (c == '"') {
                        s->p++;
                        if (ret) {
                                *q = 0;
                                *ret = TAKE_PTR(copy);
                        }
                        return 0;
                }
                if (c < 0x20)
                        return -EINVAL;

                if (c == '\\') {
                        uint32_t u;

                        s->p++;
                        r = scan_escape(s, &u);
                        if (r < 0)
                                return r;
                        if (ret)
                                q += utf8_encode(q, u);
                        continue;
                }

                int n = utf8_char_length(s->p, s->end - s->p);
                if (n < 0)
                        return -EINVAL;
                if (ret)
                        q = mempcpy(q, s->p, n);
                s->p += n;
        }

        return -EINVAL;
}

static int compare_keys(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static int scan_object(Scanner *s) {
        _cleanup_(keys_done) Keys k = {};
        int r;

        skip_space(s);
        if (accept(s, '}'))
                return 0;

        for (;;) {
                skip_space(s);

                r = GREEDY_REALLOC(k.key, k.allocated, k.n + 1);
                if (r < 0)
                        return r;
                r = scan_string(s, &k.key[k.n]);
                if (r < 0)
                        return r;
                k.n++;

                skip_space(s);
                if (!accept(s, ':'))
                        return -EINVAL;
                r = scan_value(s);
                if (r < 0)
                        return r;

                skip_space(s);
                if (accept(s, '}'))
                        break;
                if (!accept(s, ','))
                        return -EINVAL;
        }

        qsort(k.key, k.n, sizeof(char *), compare_keys);
        for (size_t i = 1; i < k.n; i++)
                if (streq(k.key[i - 1], k.key[i])) {
                        if (s->reterr_key)
                                *s->reterr_key = TAKE_PTR(k.key[i]);
                        return -EEXIST;
                }

        return 0;
}

static int scan_array(Scanner *s) {
        int r;

        skip_space(s);
        if (accept(s, ']'))
                return 0;

        for (;;) {
                r = scan_value(s);
                if (r < 0)
                        return r;

                skip_space(s);
                if (accept(s, ']'))
                        return 0;
                if (!accept(s, ','))
                        return -EINVAL;
        }
}

static int scan_nested(Scanner *s, int (*scan)(Scanner *s)) {
        int r;

        if (s->depth >= JSON_DEPTH_MAX)
                return -ELOOP;

        s->p++;
        s->depth++;
        r = scan(s);
        s->depth--;
        return r;
}

static int scan_value(Scanner *s) {
        skip_space(s);
        if (s->p >= s->end)
                return -EINVAL;

        switch (*s->p) {
        case '{':
                return scan_nested(s, scan_object);
        case '[':
                return scan_nested(s, scan_array);
        case '"':
                return scan_string(s, /* ret= */ NULL);
        case 't':
                return scan_literal(s, "true");
        case 'f':
                return scan_literal(s, "false");
        case 'n':
                return scan_literal(s, "null");
        default:
                return scan_number(s);
        }
}

int json_check(const char *text, size_t length, char **reterr_key) {
        Scanner s = {
                .p = text,
                .end = text + length,
                .reterr_key = reterr_key,
        };
        int r;

        assert(text);

        r = scan_value(&s);
        if (r < 0)
                return r;

        skip_space(&s);
        return s.p == s.end ? 0 : -EINVAL;
}

static struct json_tokener *tokener_free(struct json_tokener *t) {
        json_tokener_free(t);
        return NULL;
}
DEFINE_CLEANUP(struct json_tokener *, tokener_free)

int json_parse_strict(const char *text, size_t length, struct json_object **ret, char **reterr_key) {
        _cleanup_(tokener_freep) struct json_tokener *tokener = NULL;
        _cleanup_json_ struct json_object *o = NULL;
        int r;

        assert(ret);

        if (length > INT32_MAX)
                return -EINVAL;

        r = json_check(text, length, reterr_key);
        if (r < 0)
                return r;

        tokener = json_tokener_new_ex(JSON_DEPTH_MAX + 1);
        if (!tokener)
                return -ENOMEM;
        /* Not JSON_TOKENER_STRICT: in json-c 0.18 it takes the bytes of every character beyond ASCII for control
         * characters. The check above is stricter anyway. */
        json_tokener_set_flags(tokener, JSON_TOKENER_VALIDATE_UTF8);

        o = json_tokener_parse_ex(tokener, text, (int) length);
        if (json_tokener_get_error(tokener) == json_tokener_continue)
                /* A number at the very end could go on as far as json-c knows. */
                o = json_tokener_parse_ex(tokener, "", -1);
        if (json_tokener_get_error(tokener) != json_tokener_success)
                return -EINVAL;

        *ret = TAKE_PTR(o);
        return 0;
}
