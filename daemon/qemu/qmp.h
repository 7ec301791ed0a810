/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QEMU's monitor protocol, and that of its guest agent, which is the same without a greeting. One command at a time.
 * What the other side sends is checked: QEMU runs code that a guest may have taken over.
 */
#pragma once

#include "json-util.h"

/* The longest message that is read, in bytes. */
#define QMP_MESSAGE_MAX MIB(4)

typedef struct Qmp Qmp;

/* Takes the connected socket over, also on failure. The caller frees *ret with qmp_free(). */
int qmp_new(int fd, Qmp **ret);
Qmp *qmp_free(Qmp *q);
DEFINE_CLEANUP(Qmp *, qmp_free)
#define _cleanup_qmp_ _cleanup_(qmp_freep)

/* The socket, to wait for input on. */
int qmp_fd(const Qmp *q);

/*
 * Waits for QEMU's greeting and switches to command mode. *ret_version is QEMU's version, as "10.0.2"; the caller
 * frees it. usec is the longest time to wait, here and below. Returns 0, or
 * -ETIMEDOUT: no answer; -ECONNRESET: the other side is gone; -EBADMSG: what it says is not the protocol;
 * -EFBIG: a message is longer than QMP_MESSAGE_MAX; -ENOMEM.
 */
int qmp_greet(Qmp *q, uint64_t usec, char **ret_version);

/*
 * Executes a command, and drops what comes before its answer, also lines that make no sense. arguments (may be NULL)
 * is taken over in any case. *ret (may be NULL) is what the command returned, never NULL on success; the caller unrefs
 * it. Returns the errors above, or -EREMOTEIO if the command failed: *reterr (may be NULL) is the reason then, without
 * control characters, which the caller frees.
 */
int qmp_execute(Qmp *q, const char *command, struct json_object *arguments, uint64_t usec, struct json_object **ret,
                char **reterr);

/* Brings the protocol of a guest agent into a known state. Returns the errors above. */
int qmp_agent_synchronize(Qmp *q, uint64_t usec);

/* Reads and drops events, and lines that are no JSON. Returns 0 if there may be more, or -ECONNRESET, which is the end
 * of QEMU, -EFBIG or -ENOMEM. */
int qmp_drain(Qmp *q);
