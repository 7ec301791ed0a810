/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* New connections, from accept(2) until it is known whose they are. */
#pragma once

#include "manager.h"

/* Makes the server of this manager take connections only when their owner is known. */
void accept_set_up(Manager *m);

/* Drops connections that wait for that. */
void accept_done(Manager *m);
