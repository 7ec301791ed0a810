/* SPDX-License-Identifier: GPL-2.0 */
#include "../adopt_kernel.h"
