/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls that take longer: done step by step, so that others get their turn in between. */
#pragma once

#include "store-error.h"
#include "varlink.h"

typedef struct JobType {
        /* A bit of the work. 1: more to do, 0: done, or negative errno. */
        int (*step)(void *data, StoreError *reterr_error);
        /* Tells the caller how far it is, after a step with more to do. As VarlinkMethod. May be NULL. */
        int (*progress)(Varlink *link, void *data);
        /* Replies when all is done. As VarlinkMethod. */
        int (*finish)(Varlink *link, void *data);
        /* Replies when a step failed. */
        int (*fail)(Varlink *link, int r, const StoreError *error);
        /* Frees data: after the reply, or when the caller is gone. */
        void (*free)(void *data);
} JobType;

/* Goes on with a call after its method has returned. data is consumed in any case. */
int job_keep(Varlink *link, const JobType *type, void *data);

/* Tells a caller with VARLINK_MORE how far the call is, in bytes. total: 0 if it cannot be told. -ENOMEM, and as
 * varlink_notify(). */
int job_notify_progress(Varlink *link, uint64_t done, uint64_t total);
