/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit-name.h"

char *unit_name_from_mount(const char *path) {
        char *name = malloc(4 * strlen(path) + sizeof("-.mount")), *p = name;

        if (!name)
                return NULL;

        for (const char *s = path; *s; s++) {
                /* Slashes at the beginning, at the end and next to another one do not count. */
                if (*s == '/') {
                        if (p > name && s[1] && s[1] != '/')
                                *p++ = '-';
                } else if ((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
                           *s == ':' || *s == '_' || (*s == '.' && p > name))
                        *p++ = *s;
                else
                        p += sprintf(p, "\\x%02x", (unsigned char) *s);
        }
        if (p == name)
                *p++ = '-';
        memcpy(p, ".mount", sizeof(".mount"));
        return name;
}

bool unit_name_is_valid(const char *name) {
        static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@";

        return *name && *name != '.' && strlen(name) < 256 && name[strspn(name, letters)] == 0;
}
