/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The JSON check and json-c have to agree: what the one lets through, the other parses, and it means the same
 * again. */
#include "json-util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_json_ struct json_object *o = NULL, *again = NULL;
        _cleanup_free_ char *key = NULL;
        const char *text;
        size_t n;
        int r;

        r = json_parse_strict((const char *) data, size, &o, &key);
        if (r < 0) {
                if (json_check((const char *) data, size, NULL) == 0)
                        abort();
                return 0;
        }
        if (!o)
                return 0; /* null */

        text = json_text(o, &n);
        if (!text || json_parse_strict(text, n, &again, NULL) < 0)
                abort();
        return 0;
}
