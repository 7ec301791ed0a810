/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages on a stream socket, each ended by a NUL byte, with the file
 * descriptors that came with them. Everything that can pile up has a limit.
 */
#pragma once

#include <stdio.h>

#include "closer.h"
#include "macro.h"

/* The kernel takes no more descriptors than this in one sendmsg(2) (SCM_MAX_FD). */
#define MESSAGE_FDS_PER_SENDMSG 253U

typedef struct MessageLimits {
        size_t message_bytes; /* longest message taken, without the NUL */
        size_t message_fds;   /* most descriptors taken with a message */
        size_t output_bytes;  /* most bytes that wait to be written */
        size_t total_bytes;   /* most bytes in buffers of all streams sharing *total, 0: no limit */
        size_t owner_bytes;   /* most bytes, and */
        size_t owner_fds;     /* most descriptors that are counted in one budget; for streams with a budget */
} MessageLimits;

/* Any stream may have that many bytes in its buffers, even if a budget or the total is used up. */
#define MESSAGE_SMALL KIB(64)

typedef struct Message {
        char *text; /* NUL-terminated */
        size_t length;
        int *fds;
        size_t n_fds;
        Budget *budget; /* borrowed: which the descriptors are counted in, or NULL */
} Message;

/* Frees text and closes fds that were not taken out. */
void message_done(Message *m);
#define _cleanup_message_ _cleanup_(message_done)

typedef struct MessageStream MessageStream;

/*
 * A stream on fd, a connected non-blocking socket, which it owns from here on,
 * also on failure. limits and total are borrowed; total may be NULL. -ENOMEM.
 */
int message_stream_new(int fd, const MessageLimits *limits, size_t *total, MessageStream **ret);
MessageStream *message_stream_free(MessageStream *s);
DEFINE_CLEANUP(MessageStream *, message_stream_free)

int message_stream_fd(const MessageStream *s);

/*
 * Counts what waits in the stream in a budget, of which it takes a reference, and has
 * descriptors closed by closer_close(). Nothing may have been read or queued yet.
 */
void message_stream_set_budget(MessageStream *s, Budget *budget);

/*
 * Reads once from the socket. 1: something came, 0: the peer will send no more,
 * -EAGAIN: nothing there now; others from recvmsg(2) and -ENOMEM. After an error
 * other than -EAGAIN the stream is of no more use.
 */
int message_stream_read(MessageStream *s);

/*
 * Takes the next complete message out of the buffer. 1: *ret is filled, 0: there
 * is none yet. -EMSGSIZE: a message was longer than message_bytes; it has been
 * thrown away while it came in, *reterr_size is how long it was. -ENOBUFS,
 * -EDQUOT: the same, since total_bytes or owner_bytes were used up. -EMFILE,
 * -ENFILE: a message came with more than message_fds descriptors, or with more than
 * were left of owner_fds, and has been thrown away, *reterr_size is their number. The
 * stream goes on after these. -ENOMEM.
 */
int message_stream_next(MessageStream *s, Message *ret, size_t *reterr_size);

/* True if message_stream_next() would return something. */
bool message_stream_pending(const MessageStream *s);

/* True if part of a message is there that has no end yet. */
bool message_stream_partial(const MessageStream *s);

/* True if a message of that length fits into what is left of the budget and of the total. */
bool message_stream_admits(const MessageStream *s, size_t length);

/*
 * Puts a message into the output queue; text is copied, and the descriptors, which
 * are counted in the budget already, are owned by the stream from here on, also on
 * failure. Returns 0, or -ENOBUFS if more than output_bytes would wait or
 * message_stream_admits() would be false, -ENOMEM.
 */
int message_stream_queue(MessageStream *s, const char *text, size_t length, int *fds, size_t n_fds);

/* Bytes that wait to be written. */
size_t message_stream_queued(const MessageStream *s);

/*
 * True if the peer has not read the descriptors yet that were written. They count in
 * the budget until then: the kernel holds them.
 */
bool message_stream_in_flight(MessageStream *s);

/* Writes what can be written without waiting. 0: all is written, 1: something is left, else -errno of sendmsg(2). */
int message_stream_flush(MessageStream *s);
