/* SPDX-License-Identifier: GPL-2.0 */
/* Takes a fuzzer's input apart; what is missing at its end is zero. */
#ifndef _PKRAM_FUZZ_INPUT_H
#define _PKRAM_FUZZ_INPUT_H

#include <stdio.h>
#include <stdlib.h>

#include <linux/types.h>

/* What libFuzzer calls: at the start, and for every input. */
int fuzz_init(int *argc, char ***argv) __asm__("LLVMFuzzerInitialize");
int fuzz_one(const __u8 *data, size_t size) __asm__("LLVMFuzzerTestOneInput");

struct fuzz_input {
	const __u8 *p;
	size_t left;
};

/* The next @bytes bytes, up to 8, as a little-endian number. */
static inline __u64 fuzz_take(struct fuzz_input *in, unsigned int bytes)
{
	__u64 v = 0;
	unsigned int i;

	for (i = 0; i < bytes && in->left; i++, in->p++, in->left--)
		v |= (__u64)*in->p << 8 * i;
	return v;
}

#define fuzz_assert(cond)							\
	do {									\
		if (!(cond)) {							\
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__,	\
				__LINE__, #cond);				\
			abort();						\
		}								\
	} while (0)

#endif /* _PKRAM_FUZZ_INPUT_H */
