/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Returns 1 if the system is on its way into a kexec, 0 if not, or a negative errno if the service manager cannot be
 * asked. */
int shutdown_is_kexec(void);
