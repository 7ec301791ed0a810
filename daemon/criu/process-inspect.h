/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looks at running processes for what CRIU cannot save, or what is not there after a kexec, and for the memory that
 * images will take. CRIU itself finds more, but only when it saves.
 */
#pragma once

#include "macro.h"

/* The largest open file without a name that goes into the images, as CRIU is told. */
#define PROCESS_DELETED_FILE_MAX MIB(64)

/*
 * Parses the text of /proc/PID/smaps. Adds to *bytes the memory that images will take. Returns 0; -EOPNOTSUPP: there
 * is a mapping that cannot be saved, *reterr is the reason as part of a sentence, which the caller frees; or -ENOMEM.
 */
int smaps_inspect(const char *text, uint64_t *bytes, char **reterr);

/* Looks at one process, given its directory in /proc. Returns as smaps_inspect(), and 0 for a process that ended. */
int process_inspect(int process, pid_t pid, uint64_t *bytes, char **reterr);

/*
 * Looks at all processes but this one, which has to be the first one of its PID namespace. root is the program, of
 * which all others have to be descendants. Returns as smaps_inspect(), where *ret_bytes is the sum.
 */
int processes_inspect(pid_t root, uint64_t *ret_bytes, char **reterr);
