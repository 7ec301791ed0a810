/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "file-util.h"
#include "kexec-cmdline.h"
#include "kexec-crash.h"

#define CRASH_SIZE "/sys/kernel/kexec_crash_size"

/* Reads "size[KMGT][@offset]". Returns false for all other forms, which depend on the size of memory or ask for two
 * pieces. */
static bool parse_size(const char *value, uint64_t *ret) {
        static const char units[] = "KMGT";
        const char *unit;
        uint64_t size;
        char *end;

        errno = 0;
        size = strtoull(value, &end, 0);
        if (errno != 0 || end == value || *value == '-')
                return false;
        unit = *end ? strchr(units, *end & ~0x20) : NULL;
        if (unit) {
                unsigned shift = 10U * (unsigned) (unit - units + 1);

                if (size > UINT64_MAX >> shift)
                        return false;
                size <<= shift;
                end++;
        }
        if (*end && *end != '@')
                return false;
        *ret = size;
        return true;
}

int kexec_crash_check(const char *cmdline, const char *running, uint64_t reserved, char **ret) {
        _cleanup_free_ char *wanted = NULL, *before = NULL;
        uint64_t size;
        int r;

        assert(cmdline);
        assert(running);
        assert(ret);

        r = kexec_cmdline_values(cmdline, "crashkernel", &wanted);
        if (r < 0)
                return r;
        if (r == 0) {
                *ret = NULL;
                return 1;
        }
        r = kexec_cmdline_values(running, "crashkernel", &before);
        if (r < 0)
                return r;

        if (reserved == 0)
                r = 0;
        else if (r > 0 && strcmp(wanted, before) == 0)
                r = 1;
        else
                r = parse_size(wanted, &size) && size <= reserved;
        *ret = TAKE_PTR(wanted);
        return r;
}

int kexec_crash_reserved(const char *path, uint64_t *ret) {
        _cleanup_free_ char *text = NULL;
        int r;

        assert(ret);

        r = virtual_file_read(AT_FDCWD, path ?: CRASH_SIZE, 32, &text);
        if (r < 0)
                return r;
        return sscanf(text, "%" SCNu64, ret) == 1 ? 0 : -EBADMSG;
}
