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
                        reason = "it has a '/' in it";
                else if (c < 0x20 || (c >= 0x7f && c < 0xa0))
                        reason = "it has a control character in it";
                i += k;
        }

        if (!reason)
                return 0;

        /* What is far too long is not echoed in full. */
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
        return store_error_set(reterr_error, -EINVAL, STORE_ERROR_INVALID_NAME, shown, "The name cannot be used: %s.", reason);
}
