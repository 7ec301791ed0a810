/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The disks of a guest: what files they are, so that a change while it is saved is noticed. */
#pragma once

#include <sys/types.h>

#include "qmp.h"
#include "string-list.h"

/*
 * Asks QEMU, the process pid, for the files of all disks and their backing files, and adds them to ret as absolute
 * paths. ret_unseen (may be NULL) gets the names of writable disks that are no files, of which a change cannot be
 * noticed. Returns 0; -EREMOTEIO: QEMU does not tell, a file cannot be found by its name, or a driver prevents saving;
 * *reterr is the reason as part of a sentence, which the caller frees; or the errors of qmp_execute().
 */
int guest_disks_list(Qmp *q, pid_t pid, uint64_t usec, StringList *ret, StringList *ret_unseen, char **reterr);

/*
 * Describes the regular files among paths: size and time of the last change, and -1 for a file that is not there.
 * Returns an array, or NULL without memory.
 */
struct json_object *guest_disks_to_json(const StringList *paths);

/* Whether two such arrays are about different files. Returns 1: yes, *ret_why is how, as part of a sentence, which the
 * caller frees; 0; or -ENOMEM. */
int guest_disks_differ(struct json_object *saved, struct json_object *now, char **ret_why);
