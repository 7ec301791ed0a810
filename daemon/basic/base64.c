/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base64.h"
#include "macro.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_encode(const void *data, size_t size, char **ret) {
        const uint8_t *p = data;
        char *text, *q;

        assert(data || size == 0);
        assert(ret);

        if (size > SIZE_MAX / 4 * 3 - 8)
                return -ENOMEM;

        q = text = malloc((size + 2) / 3 * 4 + 1);
        if (!text)
                return -ENOMEM;

        for (; size >= 3; size -= 3, p += 3) {
                *q++ = alphabet[p[0] >> 2];
                *q++ = alphabet[(p[0] & 3) << 4 | p[1] >> 4];
                *q++ = alphabet[(p[1] & 15) << 2 | p[2] >> 6];
                *q++ = alphabet[p[2] & 63];
        }

        if (size == 2) {
                *q++ = alphabet[p[0] >> 2];
                *q++ = alphabet[(p[0] & 3) << 4 | p[1] >> 4];
                *q++ = alphabet[(p[1] & 15) << 2];
                *q++ = '=';
        } else if (size == 1) {
                *q++ = alphabet[p[0] >> 2];
                *q++ = alphabet[(p[0] & 3) << 4];
                *q++ = '=';
                *q++ = '=';
        }

        *q = 0;
        *ret = text;
        return 0;
}

static int base64_value(char c) {
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        if (c == '+')
                return 62;
        if (c == '/')
                return 63;
        return -1;
}

int base64_decode(const char *text, size_t length, size_t max, void **ret, size_t *ret_size) {
        _cleanup_free_ uint8_t *data = NULL;
        size_t size, padding = 0;
        uint8_t *q;

        assert(text || length == 0);
        assert(ret);
        assert(ret_size);

        if (length % 4 != 0)
                return -EINVAL;
        if (length > 0 && text[length - 1] == '=')
                padding = text[length - 2] == '=' ? 2 : 1;

        size = length / 4 * 3 - padding;
        if (size > max)
                return -EFBIG;

        q = data = malloc(size + 1);
        if (!data)
                return -ENOMEM;

        for (size_t i = 0; i < length; i += 4) {
                size_t pad = i + 4 == length ? padding : 0;
                uint32_t bits = 0;

                for (size_t j = 0; j < 4 - pad; j++) {
                        int v = base64_value(text[i + j]);

                        if (v < 0)
                                return -EINVAL;
                        bits |= (uint32_t) v << (18 - 6 * j);
                }

                /* Bits that no byte uses must be zero, so that every content has one spelling. */
                if ((pad == 1 && (bits & 0xff)) || (pad == 2 && (bits & 0xffff)))
                        return -EINVAL;

                *q++ = bits >> 16;
                if (pad < 2)
                        *q++ = bits >> 8 & 0xff;
                if (pad < 1)
                        *q++ = bits & 0xff;
        }

        *q = 0;
        *ret = TAKE_PTR(data);
        *ret_size = size;
        return 0;
}
