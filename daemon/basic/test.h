/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmocka wants these before its own header, and in this order. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "macro.h"

/* Ends a test that cannot be run here. tests/run counts it as skipped, with the reason. cmocka's skip() is a failure
 * in TAP, and leaves what the test holds. */
#define test_skip(reason)                                                       \
        do {                                                                    \
                print_message("# SKIP %s: %s\n", __func__, (reason));           \
                return;                                                         \
        } while (false)

#define assert_ok(expr) assert_true((expr) >= 0)
#define assert_fails(expr) assert_true((expr) < 0)
#define assert_errno(expr, error) assert_int_equal((expr), -(error))
