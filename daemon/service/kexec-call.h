/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CheckKexec. Judging a kexec takes a view of all mounts and processes that pkramd's sandbox does not have, and may
 * take seconds. So pkram-kexec-check@.service does it, one process at a time for all callers.
 */
#pragma once

#include "manager.h"

/* Where pkram-kexec-check.socket listens. A connection is answered with one JSON object, and closed. */
#define KEXEC_CHECK_SOCKET "/run/pkram/kexec-check"

/*
 * Marks the unit of a client that calls Store, Retrieve, StoreTree or RestoreTree with these parameters: it is
 * expected to store memory when it stops, also if there was nothing to retrieve. Calls for another owner do not count.
 * A failure is logged.
 */
void kexec_call_mark_unit(Manager *m, const Peer *peer, struct json_object *parameters);
