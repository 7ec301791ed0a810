/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <sys/sysmacros.h>

#include "macro.h"
#include "mount-table.h"

void mount_text_decode(char *text) {
        char *to = text;

        for (const char *p = text; *p; p++)
                if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' && p[3] >= '0' &&
                    p[3] <= '7') {
                        *to++ = (char) ((p[1] - '0') * 64 + (p[2] - '0') * 8 + (p[3] - '0'));
                        p += 3;
                } else
                        *to++ = *p;
        *to = 0;
}

/* Takes a line apart, in place. */
static bool mount_line_parse(char *line, MountLine *ret) {
        char *rest = line, *field, *target, *options, *source, *end;
        unsigned major, minor;
        MountLine m = {};

        field = strsep(&rest, " ");
        m.id = atoi(field);
        field = strsep(&rest, " ");
        m.parent = field ? atoi(field) : 0;
        field = strsep(&rest, " ");
        if (!field || sscanf(field, "%u:%u", &major, &minor) != 2)
                return false;
        m.device = makedev(major, minor);
        (void) strsep(&rest, " "); /* root */
        target = strsep(&rest, " ");
        m.flags = strsep(&rest, " ");
        m.optional = rest;
        end = rest ? strstr(rest, "- ") : NULL;
        if (!target || !end)
                return false;
        *end = 0;
        rest = end + strlen("- ");
        m.type = strsep(&rest, " ");
        source = strsep(&rest, " ");
        options = rest;
        if (!source || !options)
                return false;
        mount_text_decode(target);
        mount_text_decode(source);
        mount_text_decode(options);
        m.target = target;
        m.source = source;
        m.options = options;
        *ret = m;
        return true;
}

int mount_lines_foreach(char *text, int (*callback)(const MountLine *m, void *userdata), void *userdata) {
        int r = 0;

        for (char *line; r == 0 && (line = strsep(&text, "\n"));) {
                MountLine m;

                if (mount_line_parse(line, &m))
                        r = callback(&m, userdata);
        }
        return r;
}
