/* SPDX-License-Identifier: GPL-2.0 */
/* Only this header of the kernel's, the others would shadow those of libc. */
#include "../adopt_kernel.h"
#include "../../../../../include/linux/pkram.h"
