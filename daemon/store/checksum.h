/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checksum of an object: XXH3, 128 bit, of its size and of every 64 KiB block
 * that is not all zeroes, each with its position. It therefore depends on what
 * can be read, and not on what is a hole and what is a zero that was written.
 *
 * Finds damage, not forgery. Costs one pass: some 1.1 instructions a byte here, and the
 * kernel's pread(2); bench-daemon prints the time (verify_gib).
 */
#pragma once

#include "macro.h"

#define CHECKSUM_KIND "xxh3-128"
#define CHECKSUM_HEX_LENGTH 32U

typedef struct Checksum Checksum;

/* A sum over an object of that size, to be fed in ascending order. -ENOMEM. */
int checksum_new(uint64_t size, Checksum **ret);
Checksum *checksum_free(Checksum *c);
DEFINE_CLEANUP(Checksum *, checksum_free)

/*
 * Goes on with a file, by at least "slice" bytes or to its end, from where the
 * last call stopped. may_seek: the file position may be moved, which lets holes be
 * skipped without reading them. 1: more to do, 0: done, or negative errno of
 * pread(2); -EIO if the file is shorter than its size.
 */
int checksum_file_step(Checksum *c, int fd, bool may_seek, uint64_t slice);

/* How much of it has been summed. */
uint64_t checksum_position(const Checksum *c);

/* The whole content at once. */
void checksum_data(Checksum *c, const void *data, size_t size);

/* The result, in hexadecimal with NUL. */
void checksum_final(Checksum *c, char ret[CHECKSUM_HEX_LENGTH + 1]);
