/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "name.h"
#include "utf8.h"

#define NAME_BYTES_MAX 255U

int name_validate(const char *name, StoreError *reterr_error) {
        const char *reason = NULL;
        size_t n = strlen(name);

        if (n == 0)
                reason = "it is empty";
        else if (n > NAME_BYTES_MAX)
                reason = "it is longer than 255 bytes";
        else if (streq(name, ".") || streq(name, ".."))
                reason = "it is '.' or '..'";

        for (size_t i = 0; !reason && i < n;) {
                int k = utf8_char_length(name + i, n - i);

                if (k < 0) {
                        reason = "it is not UTF-8";
                        break;
                }

                uint32_t c = utf8_decode(name + i, k);
                if (c == '/')
                        reason = "it contains '/'";
                /* not utf8_is_control(): names stored before stay valid */
                else if (c < 0x20 || (c >= 0x7f && c < 0xa0))
                        reason = "it contains a control character";
                i += k;
        }

        if (!reason)
                return 0;

        /* Names that are far too long are not echoed in full. */
        char shown[NAME_BYTES_MAX + 1];
        size_t k = 0;
        while (k < n) {
                int c = utf8_char_length(name + k, n - k);

                if (c < 0 || k + c > NAME_BYTES_MAX)
                        break;
                k += c;
        }
        memcpy(shown, name, k);
        shown[k] = 0;
        return store_error_set(reterr_error, -EINVAL, STORE_ERROR_INVALID_NAME, shown, "Invalid name: %s.", reason);
}

char *name_sanitize(const char *name) {
        size_t n = strlen(name), length = 0;
        char *copy;

        copy = malloc(NAME_BYTES_MAX + 1);
        if (!copy)
                return NULL;

        while (n > 0) {
                int k = utf8_char_length(name, n);
                uint32_t c = k < 0 ? 0 : utf8_decode(name, k);
                bool valid = c >= 0x20 && (c < 0x7f || c >= 0xa0) && c != '/';
                char encoded[4];
                size_t m = utf8_encode(encoded, valid ? c : 0xfffd);

                if (length + m > NAME_BYTES_MAX)
                        break;
                memcpy(copy + length, encoded, m);
                length += m;
                name += k < 0 ? 1 : k;
                n -= k < 0 ? 1 : (size_t) k;
        }

        copy[length] = 0;
        return copy;
}
