/* SPDX-License-Identifier: GPL-2.0 */
/* Only these headers of the kernel's, the others would shadow those of libc. */
#include "../early_kernel.h"
#include "../../../../../include/linux/pkram.h"
