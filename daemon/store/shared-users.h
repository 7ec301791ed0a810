/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Users that [SharedMemory] of pkramd.conf names. When shared memory is stored, services that know users of a network
 * have stopped. Therefore the numbers are noted before: when shared memory is restored, and when a kexec is checked.
 */
#pragma once

#include "config.h"

/* A line "NAME UID" for each name. */
#define SHARED_USERS_PATH "/run/pkram/shared-users"

typedef struct UserList {
        uid_t *uids;
        size_t n, allocated;
} UserList;

void user_list_done(UserList *l);
#define _cleanup_users_ _cleanup_(user_list_done)

bool user_list_has(const UserList *l, uid_t uid);

/* Finds the users of which the words are names or numbers. Words that are neither are left out. Returns 0 or
 * -ENOMEM. */
int shared_users_find(const char *words, UserList *ret);

/* Notes the numbers of all names that can be resolved, and retains those that can no longer be. Returns 0, or a
 * negative errno. */
int shared_users_note(const Config *c);

/*
 * Calls a function for each name that cannot be resolved and was not noted. It returns 0, or a negative errno that
 * ends the loop. setting is SysVUsers or PosixUsers. Returns 0, -ENOMEM, or what the function returned.
 */
typedef int (*SharedUserFunction)(const char *name, SharedMemoryId setting, void *userdata);
int shared_users_foreach_unknown(const Config *c, SharedUserFunction function, void *userdata);
