/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Encodes size bytes as base64 with padding. On success *ret is a NUL-terminated string, to be freed. -ENOMEM. */
int base64_encode(const void *data, size_t size, char **ret);

/*
 * Decodes base64 of RFC 4648, section 4: padding is needed, nothing else is
 * skipped. Refuses with -EFBIG what would decode to more than max bytes, with
 * -EINVAL what is not base64. *ret is never NULL on success, to be freed.
 */
int base64_decode(const char *text, size_t length, size_t max, void **ret, size_t *ret_size);
