/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an earlier kernel hands over as manifest or checksums of a node. What is taken can be written and read
 * again. */
#include "manifest.h"
#include "name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_manifest_ Manifest m = {}, again = {};
        _cleanup_checksums_ Checksums sums = {};
        _cleanup_free_ char *text = NULL;
        size_t n;

        if (size < 1)
                return 0;

        (void) checksums_parse((const char *) data + 1, size - 1, data[0], &sums);
        if (manifest_parse((const char *) data + 1, size - 1, data[0], &m) < 0)
                return 0;

        for (size_t i = 0; i < m.n_objects; i++)
                if (m.objects[i].name && name_validate(m.objects[i].name, NULL) < 0)
                        abort();
        if (manifest_format(&m, &text, &n) < 0 || manifest_parse(text, n, data[0], &again) < 0)
                abort();
        if (!streq(m.owner, again.owner) || m.n_objects != again.n_objects)
                abort();
        return 0;
}
