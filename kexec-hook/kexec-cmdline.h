/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Builds the next kernel's command line: what the user asked for, and in front of it exactly one pkram= word.
 *
 * The kernel uses the last pkram= it finds, and its decompressor, which keeps KASLR off preserved memory, also
 * looks behind "--". A stale word would override the right one, therefore every pkram= word is removed, wherever it
 * stands. Words are cut as the kernel cuts them: at white space outside double quotes. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest command line x86 kernels take, in bytes without the NUL. */
#define KEXEC_CMDLINE_MAX 2047U

/* A copy of a command line without any pkram= word. Words are separated by one space; quoted ones are kept as
 * they are, also when they hold the text pkram=.
 *
 * ret: string the caller frees, "" at the least. Returns 0, -EINVAL for control characters other than white
 * space, -ENOMEM. */
int kexec_cmdline_strip(const char *cmdline, char **ret);

/* Collects the values of a parameter as the kernel reads them: of every word "name=value" before "--", without quotes,
 * separated by one space.
 *
 * ret: string the caller frees. Returns the number of such words, or -ENOMEM. */
int kexec_cmdline_values(const char *cmdline, const char *name, char **ret);

/* Returns true if the command line has this word, such as "quiet", before "--". It may stand in quotes. */
bool kexec_cmdline_has_word(const char *cmdline, const char *word);

/* Returns how many bytes a command line without pkram= may have. max is the image's limit (KexecImage.cmdline_max), of
 * which kexec_file_load(2) keeps PKRAM_CMDLINE_ROOM free. */
size_t kexec_cmdline_max_base(size_t max);

/* base:       the command line asked for (NULL counts as empty); old pkram= words are taken out
 * super_pfn:  page frame number of the super block (PKRAM_IOC_INFO); 0: no pkram= word is added
 * max:        the image's own limit in bytes; KEXEC_CMDLINE_MAX holds in any case
 * ret:        string the caller frees
 *
 * Returns 0, -E2BIG if the line without pkram= is longer than kexec_cmdline_max_base(max), -EINVAL, -ENOMEM. */
int kexec_cmdline_build(const char *base, uint64_t super_pfn, size_t max, char **ret);

/* What the running kernel was started with, for --reuse-cmdline. The words a boot loader or an earlier kexec adds
 * for one boot only are taken out: BOOT_IMAGE=, initrd=, kexec_jump_back_entry=, elfcorehdr=.
 *
 * path: NULL for /proc/cmdline. ret: string the caller frees. */
int kexec_cmdline_read_running(const char *path, char **ret);
