/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "journal-util.h"

char *journal_get_field(sd_journal *j, const char *key) {
        const void *data;
        size_t n, k = strlen(key) + 1;

        if (sd_journal_get_data(j, key, &data, &n) < 0 || n < k)
                return NULL;
        return strndup((const char *) data + k, n - k);
}
