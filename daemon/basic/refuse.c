/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stdio.h>

#include "refuse.h"

int refuse(char **reterr, const char *format, ...) {
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(reterr, format, ap);
        va_end(ap);
        if (n < 0) {
                *reterr = NULL;
                return -ENOMEM;
        }
        return -EOPNOTSUPP;
}
