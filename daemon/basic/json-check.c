/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "json-check.h"
#include "utf8.h"

/*
 * Upper bounds for the memory that json-c 0.16 to 0.18 takes for a value on 64-bit
 * systems, in bytes: structure, first table or array, and overhead of malloc(3). A
 * hash table doubles when it is two thirds full and copies itself then, an array
 * doubles as well.
 */
#define COST_OBJECT 832U
#define COST_MEMBER 208U  /* besides key and value */
#define COST_ARRAY 416U
#define COST_ELEMENT 24U  /* besides the value */
#define COST_SCALAR 96U   /* besides the text */

typedef struct Scanner {
        const char *p, *end;
        char **reterr_key;
        unsigned depth;
        size_t cost;    /* memory that json-c would take for what was read so far */
        size_t cost_max;
} Scanner;

/* A key in the text. Most have no escape sequences and need no copy. */
typedef struct Key {
        const char *p;
        size_t length;
        char *copy; /* or NULL */
} Key;

/* The keys of one object while it is read. */
typedef struct Keys {
        Key *key;
        size_t n, allocated;
} Keys;

static void keys_done(Keys *k) {
        for (size_t i = 0; i < k->n; i++)
                free(k->key[i].copy);
        free(k->key);
}

/* Adds to the memory that the text would take once it is parsed. */
static int scanner_charge(Scanner *s, size_t cost) {
        if (cost > s->cost_max - s->cost)
                return -E2BIG;
        s->cost += cost;
        return 0;
}

static int scan_value(Scanner *s);

static void skip_space(Scanner *s) {
        while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
                s->p++;
}

static bool json_check_accept(Scanner *s, char c) {
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

        negative = json_check_accept(s, '-');
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

        if (json_check_accept(s, '.')) {
                integer = false;
                if (!is_digit(s))
                        return -EINVAL;
                while (is_digit(s))
                        s->p++;
        }

        if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
                integer = false;
                s->p++;
                if (!json_check_accept(s, '+'))
                        (void) json_check_accept(s, '-');
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
                if (!json_check_accept(s, '\\') || !json_check_accept(s, 'u'))
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

        if (!json_check_accept(s, '"'))
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

static int key_compare(const void *a, const void *b) {
        const Key *x = a, *y = b;
        int r = memcmp(x->p, y->p, MIN(x->length, y->length));

        return r != 0 ? r : (x->length > y->length) - (x->length < y->length);
}

/* Reads a key. It borrows the text unless that has escape sequences. */
static int scan_key(Scanner *s, Key *ret) {
        const char *begin = s->p;
        int r;

        r = scan_string(s, /* ret= */ NULL);
        if (r < 0)
                return r;
        if (!memchr(begin, '\\', (size_t) (s->p - begin))) {
                *ret = (Key) { .p = begin + 1, .length = (size_t) (s->p - begin) - 2 };
                return 0;
        }

        s->p = begin;
        *ret = (Key) {};
        r = scan_string(s, &ret->copy);
        if (r < 0)
                return r;
        ret->p = ret->copy;
        ret->length = strlen(ret->copy);
        return 0;
}

static int keys_check_duplicate(Scanner *s, Keys *k) {
        if (k->n < 2)
                return 0;

        qsort(k->key, k->n, sizeof(Key), key_compare);
        for (size_t i = 1; i < k->n; i++) {
                if (key_compare(k->key + i - 1, k->key + i) != 0)
                        continue;
                if (s->reterr_key) {
                        *s->reterr_key = strndup(k->key[i].p, k->key[i].length);
                        if (!*s->reterr_key)
                                return -ENOMEM;
                }
                return -EEXIST;
        }
        return 0;
}

static int scan_object(Scanner *s) {
        _cleanup_(keys_done) Keys k = {};
        int r;

        r = scanner_charge(s, COST_OBJECT);
        if (r < 0)
                return r;

        skip_space(s);
        if (json_check_accept(s, '}'))
                return 0;

        for (;;) {
                skip_space(s);

                r = GREEDY_REALLOC(k.key, k.allocated, k.n + 1);
                if (r < 0)
                        return r;
                r = scan_key(s, k.key + k.n);
                if (r < 0)
                        return r;
                k.n++;
                r = scanner_charge(s, COST_MEMBER + k.key[k.n - 1].length);
                if (r < 0)
                        return r;

                skip_space(s);
                if (!json_check_accept(s, ':'))
                        return -EINVAL;
                r = scan_value(s);
                if (r < 0)
                        return r;

                skip_space(s);
                if (json_check_accept(s, '}'))
                        return keys_check_duplicate(s, &k);
                if (!json_check_accept(s, ','))
                        return -EINVAL;
        }
}

static int scan_array(Scanner *s) {
        int r;

        r = scanner_charge(s, COST_ARRAY);
        if (r < 0)
                return r;

        skip_space(s);
        if (json_check_accept(s, ']'))
                return 0;

        for (;;) {
                r = scanner_charge(s, COST_ELEMENT);
                if (r < 0)
                        return r;
                r = scan_value(s);
                if (r < 0)
                        return r;

                skip_space(s);
                if (json_check_accept(s, ']'))
                        return 0;
                if (!json_check_accept(s, ','))
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

static int scan_scalar(Scanner *s) {
        switch (*s->p) {
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

static int scan_value(Scanner *s) {
        const char *begin;
        int r;

        skip_space(s);
        if (s->p >= s->end)
                return -EINVAL;
        if (*s->p == '{')
                return scan_nested(s, scan_object);
        if (*s->p == '[')
                return scan_nested(s, scan_array);

        begin = s->p;
        r = scan_scalar(s);
        if (r < 0)
                return r;
        return scanner_charge(s, COST_SCALAR + (size_t) (s->p - begin));
}

static int text_check(const char *text, size_t length, size_t cost_max, char **reterr_key) {
        Scanner s = {
                .p = text,
                .end = text + length,
                .reterr_key = reterr_key,
                .cost_max = cost_max,
        };
        int r;

        assert(text);

        r = scan_value(&s);
        if (r < 0)
                return r;

        skip_space(&s);
        return s.p == s.end ? 0 : -EINVAL;
}

int json_check(const char *text, size_t length, char **reterr_key) {
        return text_check(text, length, SIZE_MAX, reterr_key);
}

static struct json_tokener *tokener_free(struct json_tokener *t) {
        json_tokener_free(t);
        return NULL;
}
DEFINE_CLEANUP(struct json_tokener *, tokener_free)

int json_parse_bounded(
                const char *text,
                size_t length,
                size_t memory_min,
                struct json_object **ret,
                char **reterr_key) {

        _cleanup_(tokener_freep) struct json_tokener *tokener = NULL;
        _cleanup_json_ struct json_object *o = NULL;
        int r;

        assert(ret);

        if (length > INT32_MAX)
                return -EINVAL;

        /* The tokener needs the rest of JSON_MEMORY_FACTOR for a copy of the longest string, and the caller for the
         * text. */
        r = text_check(text, length, MAX((JSON_MEMORY_FACTOR - 4) * length, memory_min), reterr_key);
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

int json_parse_strict(const char *text, size_t length, struct json_object **ret, char **reterr_key) {
        return json_parse_bounded(text, length, JSON_MEMORY_MIN, ret, reterr_key);
}

int json_parse_own(const char *text, size_t length, struct json_object **ret, char **reterr_key) {
        return json_parse_bounded(text, length, SIZE_MAX, ret, reterr_key);
}
