/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages on a stream socket, each ended by a NUL byte, with the file
 * descriptors that came with them. Every queue and buffer has a limit.
 */
#pragma once

#include <stdio.h>

#include "closer.h"
#include "macro.h"

/* The kernel takes no more descriptors than this in one sendmsg(2) (SCM_MAX_FD). */
#define MESSAGE_FDS_PER_SENDMSG 253U

typedef struct MessageLimits {
        size_t message_bytes; /* maximum length of a message, without the NUL */
        size_t message_fds;   /* maximum number of descriptors of a message */
        size_t output_bytes;  /* maximum number of bytes that wait to be written */
        size_t total_bytes;   /* maximum size of the buffers of all streams that share *total, 0 for no limit */
        size_t owner_bytes;   /* maximum number of bytes counted in one budget, for streams with a budget */
        size_t owner_fds;     /* the same for descriptors */
} MessageLimits;

/* Any stream may have that many bytes in its buffers, even if a budget or the total is used up. */
#define MESSAGE_SMALL KIB(64)

typedef struct Message {
        char *text; /* NUL-terminated */
        size_t length;
        int *fds;
        size_t n_fds;
        Budget *budget; /* borrowed: the one that the descriptors are counted in, or NULL */
} Message;

/* Frees text and closes fds that were not taken out. */
void message_done(Message *m);
#define _cleanup_message_ _cleanup_(message_done)

typedef struct MessageStream MessageStream;

/*
 * Creates a stream on fd, a connected non-blocking socket. Takes ownership of fd, also on
 * failure. limits and total are borrowed; total may be NULL. Returns 0 or -ENOMEM.
 */
int message_stream_new(int fd, const MessageLimits *limits, size_t *total, MessageStream **ret);
MessageStream *message_stream_free(MessageStream *s);
DEFINE_CLEANUP(MessageStream *, message_stream_free)

int message_stream_fd(const MessageStream *s);

/*
 * Counts the bytes and descriptors that wait in the stream in a budget, and takes a reference
 * to it. Descriptors are then closed by closer_close(). Call this before the stream has read or
 * queued anything.
 */
void message_stream_set_budget(MessageStream *s, Budget *budget);

/*
 * Reads once from the socket. Returns 1 if data arrived, 0 if the peer will send no more, -EAGAIN
 * if there is no data yet, -ENOMEM, or an error of recvmsg(2). After an error other than -EAGAIN
 * the stream can only be freed.
 */
int message_stream_read(MessageStream *s);

/*
 * Takes the next complete message out of the buffer. Returns 1 if *ret was filled, 0 if there is
 * no complete message yet, or one of these errors, after which the stream can be used further:
 *
 * -EMSGSIZE  a message was longer than message_bytes and was discarded; *reterr_size is its length
 * -ENOBUFS   the same, because total_bytes was used up
 * -EDQUOT    the same, because owner_bytes was used up
 * -EMFILE    a message came with more than message_fds descriptors and was discarded;
 *            *reterr_size is their number
 * -ENFILE    the same, because owner_fds was used up
 *
 * -ENOMEM is returned as well.
 */
int message_stream_next(MessageStream *s, Message *ret, size_t *reterr_size);

/* Returns true if message_stream_next() would return a message or an error. */
bool message_stream_pending(const MessageStream *s);

/* Returns true if the buffer ends with an incomplete message. */
bool message_stream_partial(const MessageStream *s);

/* Returns true if a message of that length would exceed neither the budget nor the total. */
bool message_stream_admits(const MessageStream *s, size_t length);

/*
 * Appends a message to the output queue. text is copied. The stream takes ownership of the
 * descriptors, which are counted in the budget already, also on failure. Returns 0, -ENOBUFS if
 * more than output_bytes would wait or message_stream_admits() would be false, or -ENOMEM.
 */
int message_stream_queue(MessageStream *s, const char *text, size_t length, int *fds, size_t n_fds);

/* Returns the number of bytes that wait to be written. */
size_t message_stream_queued(const MessageStream *s);

/*
 * Returns true if the peer has not read all descriptors that were written. The kernel holds them
 * until then, so they still count in the budget.
 */
bool message_stream_in_flight(MessageStream *s);

/* Writes as much as possible without waiting. Returns 0 if the queue is empty, 1 if not, or an error of sendmsg(2). */
int message_stream_flush(MessageStream *s);
