/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <linux/pkram.h>

#include "file-util.h"
#include "kexec-cmdline.h"
#include "macro.h"

/* Far more than any kernel takes; bounds what is read from the running one. */
#define PROC_CMDLINE_MAX KIB(64)

/* The kernel's isspace() as far as it can occur in text that was checked. */
static bool is_space(char c) {
        return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Is this word the named parameter with a value? As in the kernel, the whole word may stand in quotes. */
static bool word_is(const char *word, size_t n, const char *name) {
        size_t l = strlen(name);

        if (n > 0 && word[0] == '"') {
                word++;
                n--;
        }

        return n > l && strncmp(word, name, l) == 0 && word[l] == '=';
}

static bool word_is_any(const char *word, size_t n, const char *const *names) {
        for (; *names; names++)
                if (word_is(word, n, *names))
                        return true;

        return false;
}

/* Finds the next word. Returns its length, 0 after the last one. */
static size_t next_word(const char **line, const char **ret) {
        bool in_quote = false;
        const char *p = *line;

        while (is_space(*p))
                p++;
        /* An unfinished quote reaches to the end, for the kernel too. */
        for (*ret = p; *p && (in_quote || !is_space(*p)); p++)
                if (*p == '"')
                        in_quote = !in_quote;
        *line = p;
        return (size_t) (p - *ret);
}

/* Copies a command line word by word, without those that set one of the named parameters. */
static int cmdline_filter(const char *cmdline, const char *const *names, char **ret) {
        _cleanup_free_ char *out = NULL;
        const char *word;
        size_t used = 0, n;

        out = malloc(strlen(cmdline) + 1);
        if (!out)
                return -ENOMEM;

        while ((n = next_word(&cmdline, &word)) > 0) {
                for (size_t i = 0; i < n; i++)
                        if (((unsigned char) word[i] < 0x20 && !is_space(word[i])) || word[i] == 0x7f)
                                return -EINVAL;

                if (word_is_any(word, n, names))
                        continue;

                if (used > 0)
                        out[used++] = ' ';
                memcpy(out + used, word, n);
                used += n;
        }

        out[used] = 0;
        *ret = TAKE_PTR(out);
        return 0;
}

int kexec_cmdline_strip(const char *cmdline, char **ret) {
        static const char *const names[] = { "pkram", NULL };

        assert(cmdline);
        assert(ret);

        return cmdline_filter(cmdline, names, ret);
}

int kexec_cmdline_values(const char *cmdline, const char *name, char **ret) {
        _cleanup_free_ char *values = NULL;
        const char *word;
        size_t used = 0, n;
        int found = 0;

        assert(cmdline);
        assert(name);
        assert(ret);

        values = malloc(strlen(cmdline) + 1);
        if (!values)
                return -ENOMEM;
        while ((n = next_word(&cmdline, &word)) > 0) {
                if (n == 2 && strncmp(word, "--", 2) == 0)
                        break;
                if (!word_is(word, n, name))
                        continue;
                if (found++)
                        values[used++] = ' ';
                for (const char *p = (const char *) memchr(word, '=', n) + 1; p < word + n; p++)
                        if (*p != '"')
                                values[used++] = *p;
        }

        values[used] = 0;
        *ret = TAKE_PTR(values);
        return found;
}

bool kexec_cmdline_has_word(const char *cmdline, const char *word) {
        size_t l = strlen(word), n;
        const char *found;

        while ((n = next_word(&cmdline, &found)) > 0) {
                if (n == 2 && strncmp(found, "--", 2) == 0)
                        break;
                if (n == l + 2 && found[0] == '"' && found[n - 1] == '"') {
                        found++;
                        n -= 2;
                }
                if (n == l && strncmp(found, word, l) == 0)
                        return true;
        }

        return false;
}

size_t kexec_cmdline_max_base(size_t max) {
        const size_t taken = PKRAM_CMDLINE_ROOM + 1;

        max = max < KEXEC_CMDLINE_MAX ? max : KEXEC_CMDLINE_MAX;
        return max > taken ? max - taken : 0;
}

int kexec_cmdline_build(const char *base, uint64_t super_pfn, size_t max, char **ret) {
        _cleanup_free_ char *stripped = NULL, *line = NULL;
        int r;

        assert(ret);

        r = kexec_cmdline_strip(base ?: "", &stripped);
        if (r < 0)
                return r;

        if (strlen(stripped) > kexec_cmdline_max_base(max))
                return -E2BIG;

        if (super_pfn == 0)
                line = TAKE_PTR(stripped);
        else if (asprintf(&line, "pkram=0x%" PRIx64 "%s%s", super_pfn, *stripped ? " " : "", stripped) < 0) {
                line = NULL;
                return -ENOMEM;
        }

        *ret = TAKE_PTR(line);
        return 0;
}

int kexec_cmdline_read_running(const char *path, char **ret) {
        static const char *const names[] = {
                "pkram",
                /* Where the boot loader found kernel and initrd: not where the next ones come from. */
                "BOOT_IMAGE", "initrd",
                /* Addresses in this boot's memory. */
                "kexec_jump_back_entry", "elfcorehdr",
                NULL,
        };
        _cleanup_free_ char *line = NULL;
        int r;

        assert(ret);

        r = virtual_file_read(AT_FDCWD, path ?: "/proc/cmdline", PROC_CMDLINE_MAX, &line);
        if (r < 0)
                return r;

        return cmdline_filter(line, names, ret);
}
