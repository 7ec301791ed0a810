/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers as people read them. Each function fills a buffer of FORMAT_MAX bytes and returns it. */
#pragma once

#include "macro.h"

#define FORMAT_MAX 64U

/* "512B", "4.0K", "1.5G": powers of 1024. */
const char *format_bytes(char *buffer, uint64_t bytes);

/* "250us", "1.2ms", "3.4s", "2min 5s", "1h 2min". */
const char *format_usec(char *buffer, uint64_t usec);

/* "2026-11-21 20:51:04 UTC", of microseconds since 1970, in local time. */
const char *format_timestamp(char *buffer, uint64_t usec);
