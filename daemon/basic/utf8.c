/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "macro.h"
#include "utf8.h"

int utf8_char_length(const char *p, size_t n) {
        const uint8_t *b = (const uint8_t *) p;
        uint32_t c;
        int length;

        if (n == 0)
                return -EINVAL;

        if (b[0] < 0x80)
                return 1;
        else if (b[0] >= 0xc2 && b[0] < 0xe0)
                length = 2;
        else if (b[0] >= 0xe0 && b[0] < 0xf0)
                length = 3;
        else if (b[0] >= 0xf0 && b[0] < 0xf5)
                length = 4;
        else
                return -EINVAL;

        if ((size_t) length > n)
                return -EINVAL;
        for (int i = 1; i < length; i++)
                if ((b[i] & 0xc0) != 0x80)
                        return -EINVAL;

        c = utf8_decode(p, length);
        if ((length == 3 && c < 0x800) || (length == 4 && c < 0x10000) || c > 0x10ffff)
                return -EINVAL;
        if (c >= 0xd800 && c < 0xe000)
                return -EINVAL;

        return length;
}

uint32_t utf8_decode(const char *p, int length) {
        const uint8_t *b = (const uint8_t *) p;
        uint32_t c;

        if (length == 1)
                return b[0];

        c = b[0] & (0xff >> (length + 1));
        for (int i = 1; i < length; i++)
                c = c << 6 | (b[i] & 0x3f);
        return c;
}

size_t utf8_encode(char *p, uint32_t c) {
        if (c < 0x80) {
                p[0] = (char) c;
                return 1;
        }
        if (c < 0x800) {
                p[0] = (char) (0xc0 | c >> 6);
                p[1] = (char) (0x80 | (c & 0x3f));
                return 2;
        }
        if (c < 0x10000) {
                p[0] = (char) (0xe0 | c >> 12);
                p[1] = (char) (0x80 | (c >> 6 & 0x3f));
                p[2] = (char) (0x80 | (c & 0x3f));
                return 3;
        }

        p[0] = (char) (0xf0 | c >> 18);
        p[1] = (char) (0x80 | (c >> 12 & 0x3f));
        p[2] = (char) (0x80 | (c >> 6 & 0x3f));
        p[3] = (char) (0x80 | (c & 0x3f));
        return 4;
}

bool utf8_is_valid(const char *s) {
        size_t n = strlen(s);

        while (n > 0) {
                int k = utf8_char_length(s, n);

                if (k < 0)
                        return false;
                s += k;
                n -= k;
        }

        return true;
}

char *utf8_sanitize(const char *s) {
        size_t n = strlen(s);
        char *copy, *q;

        q = copy = malloc(n * 3 + 1);
        if (!copy)
                return NULL;

        while (n > 0) {
                int k = utf8_char_length(s, n);

                if (k < 0) {
                        q += utf8_encode(q, 0xfffd);
                        k = 1;
                } else
                        q = mempcpy(q, s, k);

                s += k;
                n -= k;
        }

        *q = 0;
        return copy;
}

bool utf8_is_control(uint32_t c) {
        return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || (c >= 0x200e && c <= 0x200f) ||
                (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

char *utf8_escape(const char *s) {
        static const char digits[] = "0123456789abcdef";
        size_t n = strlen(s);
        char *copy, *q;

        q = copy = malloc(n * 4 + 1);
        if (!copy)
                return NULL;

        while (n > 0) {
                int k = utf8_char_length(s, n);

                if (k > 0 && !utf8_is_control(utf8_decode(s, k)))
                        q = mempcpy(q, s, (size_t) k);
                else {
                        k = k < 0 ? 1 : k;
                        for (int i = 0; i < k; i++) {
                                *q++ = '\\';
                                *q++ = 'x';
                                *q++ = digits[(uint8_t) s[i] >> 4];
                                *q++ = digits[(uint8_t) s[i] & 0xf];
                        }
                }

                s += k;
                n -= (size_t) k;
        }

        *q = 0;
        return copy;
}
