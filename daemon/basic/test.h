/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmocka wants these before its own header, and in this order. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "macro.h"

#define assert_ok(expr) assert_true((expr) >= 0)
#define assert_fails(expr) assert_true((expr) < 0)
#define assert_errno(expr, error) assert_int_equal((expr), -(error))
