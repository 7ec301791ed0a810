/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length in bytes of the UTF-8 character at p, of which n bytes are there. -EINVAL if it is none (surrogates and
 * overlong forms included). */
int utf8_char_length(const char *p, size_t n);

/* The code point of the character at p, which utf8_char_length() found to be length bytes long. */
uint32_t utf8_decode(const char *p, int length);

/* Writes c, at most 0x10ffff, as UTF-8, 1 to 4 bytes without NUL. Returns how many. */
size_t utf8_encode(char *p, uint32_t c);

/* True if the whole NUL-terminated string is UTF-8. */
bool utf8_is_valid(const char *s);

/* Copy of s in which every byte that is not UTF-8 is replaced by U+FFFD. NULL without memory. */
char *utf8_sanitize(const char *s);

/* True for characters that a terminal obeys or that change how the rest of a line is shown: C0 and C1 controls, DEL,
 * line and paragraph separators, and marks and overrides of the writing direction. */
bool utf8_is_control(uint32_t c);

/*
 * Copy of s that is safe to show: bytes that are not UTF-8 and control characters are
 * replaced by "\xNN" for each of their bytes. Every name that comes from outside is shown
 * this way. Returns NULL without memory; the caller frees it.
 */
char *utf8_escape(const char *s);
