/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A test harness in one page: cases are counted, reported as TAP, and a case in
 * which nothing was checked has failed.
 */
#ifndef _PKRAM_TAP_H
#define _PKRAM_TAP_H

#include <stdbool.h>

#define tap_attribute(...)	__attribute__((__VA_ARGS__))

/**
 * tap_begin - start a case
 * @fmt: its name, as for printf(), unique in the program
 *
 * The case lasts until the next tap_begin() or tap_done().
 */
tap_attribute(__format__(printf, 1, 2))
void tap_begin(const char *fmt, ...);

/**
 * tap_done - end the last case and print the plan
 *
 * Return: exit status of the program, 0 if all cases passed.
 */
int tap_done(void);

/* Use the macros below. */
bool tap_check(bool good, const char *file, int line, const char *what);
bool tap_check_eq(unsigned long long got, unsigned long long want, const char *file,
		  int line, const char *what);

/* Both say whether the check passed, so that a test can stop early. */
#define EXPECT(cond)		tap_check((cond), __FILE__, __LINE__, #cond)
#define EXPECT_EQ(got, want)	tap_check_eq((got), (want), __FILE__, __LINE__, #got)

#endif /* _PKRAM_TAP_H */
