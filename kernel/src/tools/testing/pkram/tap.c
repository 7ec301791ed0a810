// SPDX-License-Identifier: GPL-2.0
#include <stdarg.h>
#include <stdio.h>

#include "tap.h"

static char name[256];
static unsigned int nr_cases, nr_bad, nr_checks, nr_failed;

static void finish_case(void)
{
	if (!nr_cases)
		return;
	if (!nr_checks)
		printf("# nothing was checked\n");
	if (nr_checks && !nr_failed) {
		printf("ok %u - %s\n", nr_cases, name);
	} else {
		printf("not ok %u - %s\n", nr_cases, name);
		nr_bad++;
	}
	fflush(stdout);
}

void tap_begin(const char *fmt, ...)
{
	va_list ap;

	finish_case();
	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	nr_cases++;
	nr_checks = 0;
	nr_failed = 0;
}

int tap_done(void)
{
	finish_case();
	printf("1..%u\n", nr_cases);
	if (nr_bad)
		printf("# %u of %u failed\n", nr_bad, nr_cases);
	return nr_bad || !nr_cases;
}

bool tap_check(bool good, const char *file, int line, const char *what)
{
	nr_checks++;
	if (good)
		return true;
	/* A broken loop would say the same thing a million times. */
	if (nr_failed++ < 10)
		printf("# %s:%d: not true: %s\n", file, line, what);
	return false;
}

bool tap_check_eq(unsigned long long got, unsigned long long want, const char *file,
		  int line, const char *what)
{
	nr_checks++;
	if (got == want)
		return true;
	if (nr_failed++ < 10)
		printf("# %s:%d: %s is %#llx, not %#llx\n", file, line, what, got, want);
	return false;
}
