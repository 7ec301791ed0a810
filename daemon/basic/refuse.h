/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Refuses something, with the reason. */
#pragma once

#include "macro.h"

/* Formats a reason, which the caller of the refusing function frees. Returns -EOPNOTSUPP, or -ENOMEM with *reterr
 * NULL. */
int refuse(char **reterr, const char *format, ...) _printf_(2, 3);
