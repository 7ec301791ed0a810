/* SPDX-License-Identifier: GPL-2.0 */
/* The kernel's <linux/types.h> as far as the format needs it. */
#ifndef _PKRAM_SHIM_TYPES_H
#define _PKRAM_SHIM_TYPES_H

#include <stdbool.h>
#include <stddef.h>

#include_next <linux/types.h>

#endif /* _PKRAM_SHIM_TYPES_H */
