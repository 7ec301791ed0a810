/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pkramd.conf. Whatever is in it, limits stay within their bounds. */
#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_warning(_unused_ const char *path, _unused_ unsigned line, const char *text, _unused_ void *userdata) {
        if (!*text)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Config c;

        config_init_memory(&c, GIB(16));
        config_parse(&c, "fuzz", (const char *) data, size, on_warning, NULL);
        if (c.limit[LIMIT_OBJECTS] < 1 || c.limit[LIMIT_OBJECTS] > 65534 || c.limit[LIMIT_MESSAGE_BYTES] < 4096 ||
            c.limit[LIMIT_CONNECTIONS] < 1 || c.kexec_policy >= _KEXEC_POLICY_MAX)
                abort();
        return 0;
}
