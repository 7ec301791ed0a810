/* SPDX-License-Identifier: GPL-2.0 */
#include "../early_kernel.h"
