/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libFuzzer target: any text as a command line. With -Dfuzz=true and clang. */

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kexec-cmdline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Counts pkram= words the way the kernel's next_arg() cuts them, written again from its description. */
static unsigned count_words(const char *p) {
        unsigned n = 0;

        while (*p) {
                bool quoted = false, start = true;

                while (*p == ' ')
                        p++;
                for (; *p && (quoted || *p != ' '); p++) {
                        if (start && strncmp(p + (*p == '"'), "pkram=", 6) == 0)
                                n++;
                        start = false;
                        if (*p == '"')
                                quoted = !quoted;
                }
        }

        return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char *base, *line = NULL, *again = NULL;

        base = strndup((const char*) data, size);
        if (!base)
                abort();

        if (kexec_cmdline_build(base, 0x1234, KEXEC_CMDLINE_MAX, &line) >= 0) {
                if (strlen(line) > KEXEC_CMDLINE_MAX || strncmp(line, "pkram=0x1234", 12) != 0 ||
                    count_words(line) != 1)
                        abort();

                /* Building from the result gives the result. */
                if (kexec_cmdline_build(line, 0x1234, KEXEC_CMDLINE_MAX, &again) < 0 || strcmp(line, again) != 0)
                        abort();
        }

        free(base);
        free(line);
        free(again);
        return 0;
}
