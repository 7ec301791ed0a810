/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The users that services run as (User=, DynamicUser=), as PID 1 knows them. It is asked through its
 * own socket, which is there from the beginning of the boot until the end of the shutdown, with
 * or without a D-Bus daemon, and without waiting for the answer. Answers are kept for as long as
 * the service is not started again.
 */
#pragma once

#include <systemd/sd-event.h>

#include "macro.h"

typedef struct UnitUsers UnitUsers;

/* Called once with the user, or UID_NONE if the service has none or PID 1 did not say in time. */
typedef void (*UnitUserDone)(uid_t uid, void *userdata);

/* Returns 0 or -ENOMEM. */
int unit_users_new(sd_event *event, UnitUsers **ret);

/* Ends it; functions that have not been called yet are not called any more. */
UnitUsers *unit_users_free(UnitUsers *u);
DEFINE_CLEANUP(UnitUsers *, unit_users_free)

/* Has this function answer instead of PID 1, at once. For tests. */
typedef uid_t (*UnitUserQuery)(const char *unit, void *userdata);
void unit_users_set_query(UnitUsers *u, UnitUserQuery query, void *userdata);

/* Where PID 1 listens, as D-Bus writes addresses; borrowed. For tests. */
void unit_users_set_address(UnitUsers *u, const char *address);

/*
 * Determines the user of a service. Returns 1 if it is known and in *ret; 0 if done will be called
 * from the event loop; a negative errno if nothing can be asked.
 */
int unit_users_get(UnitUsers *u, const char *unit, UnitUserDone done, void *userdata, uid_t *ret);
