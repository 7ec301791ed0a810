/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Looks at the processes of the system, and names some of them in a message. */
#pragma once

#include <sys/types.h>

#include "macro.h"

/* Reads a file of /proc or /sys whole. Returns its text, to be freed, or NULL. */
char *proc_read(int dir, const char *name);

/* Calls back with a descriptor of the directory in /proc of each process but this one, until that is not 0. Returns
 * that. */
int processes_foreach(int (*callback)(int process, pid_t pid, void *userdata), void *userdata);

/* The system unit of a process, to be freed. NULL: it is in none. */
char *process_unit(pid_t pid);

/* "sleep (1234, container.service)", to be freed; unit may be NULL. NULL: the process is gone. */
char *process_text(int process, pid_t pid, const char *unit);

/* "a, b and others", for a message. */
typedef struct NameList {
        char *text;   /* to be freed, NULL as long as it is empty */
        unsigned max; /* names that are written out */
        unsigned n;
} NameList;

/* Appends a name. Returns 0, 1 if there is no room for more, or -ENOMEM. */
int name_list_add(NameList *l, const char *name);
