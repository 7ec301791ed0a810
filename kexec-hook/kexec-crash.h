/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Compares the memory that the next kernel wants for its crash kernel, see crashkernel= in the kernel's documentation,
 * with what the running kernel has reserved. The latter is never preserved. Everywhere else preserved memory may leave
 * no piece that is large enough. */

#include <stdint.h>

/* cmdline:   command line of the next kernel
 * running:   command line of the running kernel
 * reserved:  bytes that the running kernel has reserved (/sys/kernel/kexec_crash_size)
 * ret:       what crashkernel= asks for, as written; the caller frees it. NULL if it is not on the command line.
 *
 * Returns 1 if no more memory is wanted than is reserved now, 0 if more is wanted or none is reserved, -ENOMEM. */
int kexec_crash_check(const char *cmdline, const char *running, uint64_t reserved, char **ret);

/* Reads how many bytes the running kernel has reserved for its crash kernel. path: NULL for the real file. Returns 0
 * or a negative errno; -ENOENT if the kernel knows no crash kernels. */
int kexec_crash_reserved(const char *path, uint64_t *ret);
