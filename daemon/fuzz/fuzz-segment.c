/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a node of the last kernel says about a System V segment, and keys. There is one way to write each. */
#include "segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = strndup((const char *) data, size);
        uint32_t key;
        Segment s;

        if (!text)
                return 0;
        if (segment_from_object_name(text, &s) >= 0) {
                _cleanup_free_ char *again = segment_to_object_name(&s);

                if (!again || !streq(again, text) || s.key == 0 || s.size == 0 || s.size > INT64_MAX ||
                    (s.mode & ~0777U) || s.id >= 0)
                        abort();
        }
        if (key_parse(text, &key) >= 0 && (*text < '0' || *text > '9'))
                abort();
        return 0;
}
