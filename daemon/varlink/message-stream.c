/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "message-stream.h"

/* Bytes to read at once, and the size to which an idle buffer is reduced. Fuzzers use a small one, so that buffers
 * grow. */
#ifndef READ_CHUNK
#define READ_CHUNK KIB(64)
#endif

/* Number of messages to send at once. */
#define MESSAGES_PER_SENDMSG 64U

/* Descriptors that came in one recvmsg(2). */
typedef struct FdBatch {
        struct FdBatch *next;
        uint64_t position; /* of the last byte that came with them */
        size_t n, n_lost;  /* descriptors that are held, and excess ones that were closed at once */
        bool over_budget;  /* the budget of the owner was exceeded, not the limit of a message */
        Budget *budget;    /* borrowed */
        int fds[];
} FdBatch;

typedef struct Output {
        struct Output *next;
        size_t length, written, n_fds, n_fds_written;
        int *fds;
        Budget *budget; /* borrowed */
        char text[];
} Output;

struct MessageStream {
        int fd;
        const MessageLimits *limits;
        size_t *total;
        Budget *budget;

        char *in;
        size_t in_allocated;
        size_t in_begin;    /* where the current message starts in the buffer */
        size_t in_length;   /* bytes from there on */
        size_t in_scanned;  /* how many of them are before the first NUL */
        uint64_t in_start;  /* position of the current message in everything that was ever read */
        uint64_t skipped;   /* bytes of the current message that were discarded already */
        int refusal;        /* -ENOBUFS or -EDQUOT if that was the reason, 0 if the message was too long */
        FdBatch *batches, **batches_tail;
        size_t n_fds;       /* held in batches */

        Output *out, **out_tail;
        size_t out_bytes;
        size_t n_in_flight; /* descriptors that were written, and may not have been read yet */
};

/* Closes a descriptor: directly without a budget, or else in a helper process, because closing a client's descriptor
 * can block. */
static void stream_close_fds(Budget *budget, int *fds, size_t n) {
        if (budget)
                closer_close_many(budget, fds, n);
        else
                close_many(fds, n);
}

static FdBatch *fd_batch_free(FdBatch *b) {
        if (b) {
                stream_close_fds(b->budget, b->fds, b->n);
                free(b);
        }
        return NULL;
}
DEFINE_CLEANUP(FdBatch *, fd_batch_free)

static Output *output_free(Output *o) {
        if (o) {
                if (o->fds)
                        stream_close_fds(o->budget, o->fds, o->n_fds);
                free(o->fds);
                free(o);
        }
        return NULL;
}

void message_done(Message *m) {
        free(m->text);
        if (m->fds)
                stream_close_fds(m->budget, m->fds, m->n_fds);
        free(m->fds);
        *m = (Message) {};
}

int message_stream_new(int fd, const MessageLimits *limits, size_t *total, MessageStream **ret) {
        _cleanup_close_ int owned = fd;
        MessageStream *s;

        assert(fd >= 0);
        assert(limits);
        assert(ret);

        s = malloc(sizeof(MessageStream));
        if (!s)
                return -ENOMEM;

        *s = (MessageStream) {
                .fd = TAKE_FD(owned),
                .limits = limits,
                .total = total,
        };
        s->batches_tail = &s->batches;
        s->out_tail = &s->out;

        *ret = s;
        return 0;
}

void message_stream_set_budget(MessageStream *s, Budget *budget) {
        assert(!s->budget);
        assert(s->in_allocated == 0 && s->out_bytes == 0);

        s->budget = budget_ref(budget);
        closer_mark(s->fd, CLOSER_CONNECTION);
}

/* Updates the counters after the size of a buffer has changed. */
static void stream_count_bytes(MessageStream *s, size_t before, size_t now) {
        if (s->total)
                *s->total = *s->total - before + now;
        if (s->budget)
                s->budget->bytes = s->budget->bytes - before + now;
}

/*
 * Returns 0, -EDQUOT if the budget has less than so many bytes left, or -ENOBUFS if the total
 * has. A total that was used up by others stops only clients that use more than a message and
 * its reply may take.
 */
static int stream_check_bytes(const MessageStream *s, size_t more) {
        const MessageLimits *l = s->limits;

        if (s->budget && (more > l->owner_bytes || s->budget->bytes > l->owner_bytes - more))
                return -EDQUOT;
        if (s->budget && s->budget->bytes + more <= 2 * l->message_bytes)
                return 0;
        if (s->total && l->total_bytes > 0 && (more > l->total_bytes || *s->total > l->total_bytes - more))
                return -ENOBUFS;
        return 0;
}

static void set_allocated(MessageStream *s, size_t n) {
        stream_count_bytes(s, s->in_allocated, n);
        s->in_allocated = n;
}

static void stream_land(MessageStream *s) {
        if (s->budget)
                s->budget->fds -= MIN(s->budget->fds, s->n_in_flight);
        s->n_in_flight = 0;
}

bool message_stream_in_flight(MessageStream *s) {
        int n = 0;

        if (s->n_in_flight > 0 && (ioctl(s->fd, SIOCOUTQ, &n) < 0 || n == 0))
                stream_land(s);
        return s->n_in_flight > 0;
}

MessageStream *message_stream_free(MessageStream *s) {
        if (!s)
                return NULL;

        for (FdBatch *b = s->batches, *next; b; b = next) {
                next = b->next;
                fd_batch_free(b);
        }
        for (Output *o = s->out, *next; o; o = next) {
                next = o->next;
                output_free(o);
        }

        set_allocated(s, 0);
        stream_count_bytes(s, s->out_bytes, 0);
        stream_land(s);
        free(s->in);
        if (s->budget) {
                /* This also closes descriptors in the queue of the socket, which can block. */
                (void) shutdown(s->fd, SHUT_RDWR);
                closer_close(/* budget= */ NULL, s->fd);
        } else
                safe_close(s->fd);
        budget_unref(s->budget);
        free(s);
        return NULL;
}

int message_stream_fd(const MessageStream *s) {
        return s->fd;
}

static int make_room(MessageStream *s) {
        size_t n;
        char *p;
        int r;

        if (s->in_allocated - s->in_begin - s->in_length >= READ_CHUNK)
                return 0;

        /* Only an incomplete message is moved, and only when the buffer is full, not after each read. */
        if (s->in_begin > 0) {
                memmove(s->in, s->in + s->in_begin, s->in_length);
                s->in_begin = 0;
        }
        if (s->in_allocated - s->in_length >= READ_CHUNK)
                return 0;

        /* A client can always send a small message, whatever others use: the number of connections is limited. */
        n = MAX(s->in_allocated * 2, s->in_length + READ_CHUNK);
        r = s->in_allocated > 0 ? stream_check_bytes(s, n - s->in_allocated) : 0;
        if (r < 0) {
                /* The rest of the message is discarded as well. */
                s->refusal = r;
                s->skipped += s->in_length;
                s->in_start += s->in_length;
                s->in_length = s->in_scanned = 0;
                if (s->in_allocated >= READ_CHUNK)
                        return 0;
                n = READ_CHUNK;
        }

        p = realloc(s->in, n);
        if (!p)
                return -ENOMEM;
        s->in = p;
        set_allocated(s, n);
        return 0;
}

/* Returns the previous batch if it belongs to the same incomplete message and holds no descriptors any more, only
 * their number. */
static FdBatch *lost_before(const MessageStream *s) {
        FdBatch *last = s->batches;

        if (message_stream_pending(s) || !last)
                return NULL;
        while (last->next)
                last = last->next;
        return last->n == 0 ? last : NULL;
}

/* Takes ownership of the descriptors that came with the last bytes, which are scanned already, or closes them if there
 * are too many. */
static int take_fds(MessageStream *s, struct msghdr *mh) {
        /* A read never goes past the bytes that descriptors were sent with, and these are its last ones. */
        uint64_t position = s->in_start + s->in_length - 1;
        _cleanup_(fd_batch_freep) FdBatch *batch = NULL;
        size_t n = 0;
        struct cmsghdr *c;

        for (c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c))
                if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
                        n += (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        /* The kernel could not pass all of them: the table of this process is full. */
        bool truncated = mh->msg_flags & MSG_CTRUNC;
        if (n == 0 && !truncated)
                return 0;

        batch = calloc(1, sizeof(FdBatch) + n * sizeof(int));
        if (batch)
                batch->budget = s->budget;
        for (c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
                int fds[MESSAGE_FDS_PER_SENDMSG];
                size_t k;

                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;

                k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                assert(k <= ELEMENTSOF(fds));
                memcpy(fds, CMSG_DATA(c), k * sizeof(int));
                if (s->budget) {
                        s->budget->fds += k;
                        for (size_t i = 0; i < k; i++)
                                closer_mark(fds[i], CLOSER_FOREIGN);
                }
                if (!batch) {
                        stream_close_fds(s->budget, fds, k);
                        continue;
                }
                memcpy(batch->fds + batch->n, fds, k * sizeof(int));
                batch->n += k;
        }
        if (!batch)
                return -ENOMEM;

        /* The limit of one message also applies to all descriptors that a client has here between messages. */
        bool over_budget = s->budget && s->budget->fds > s->limits->owner_fds;
        if (truncated || over_budget || s->n_fds + batch->n > s->limits->message_fds) {
                FdBatch *before = lost_before(s);

                batch->n_lost = batch->n + truncated;
                batch->over_budget = over_budget;
                stream_close_fds(s->budget, batch->fds, batch->n);
                batch->n = 0;

                /* A message can come with any number of descriptors and uses no more memory for them. */
                if (before) {
                        before->n_lost += batch->n_lost;
                        before->over_budget |= over_budget;
                        before->position = position;
                        return 0;
                }
        }

        batch->position = position;
        s->n_fds += batch->n;
        *s->batches_tail = batch;
        s->batches_tail = &batch->next;
        TAKE_PTR(batch);
        return 0;
}

/* Looks for the end of the current message, starting at one of its bytes. */
static void message_stream_scan(MessageStream *s, size_t from) {
        const char *begin = s->in + s->in_begin, *end;

        end = memchr(begin + from, 0, s->in_length - from);
        s->in_scanned = end ? (size_t) (end - begin) : s->in_length;
}

/* Discards the part that has arrived of a message that is too long. */
static void skip_oversize(MessageStream *s) {
        if (s->in_length <= s->limits->message_bytes && s->skipped == 0)
                return;
        if (s->in_scanned < s->in_length) /* the end of the message was found */
                return;

        s->skipped += s->in_length;
        s->in_start += s->in_length;
        s->in_begin = s->in_length = s->in_scanned = 0;
}

int message_stream_read(MessageStream *s) {
        union {
                struct cmsghdr header;
                uint8_t space[CMSG_SPACE(sizeof(int) * MESSAGE_FDS_PER_SENDMSG)];
        } control;
        struct iovec iov;
        struct msghdr mh = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        ssize_t n;
        int r;

        assert(s);

        r = make_room(s);
        if (r < 0)
                return r;

        iov = (struct iovec) { s->in + s->in_begin + s->in_length, READ_CHUNK };
        n = recvmsg(s->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0)
                return errno == EINTR ? -EAGAIN : -errno;
        if (n == 0)
                return 0;

        s->in_length += n;
        message_stream_scan(s, s->in_scanned);
        r = take_fds(s, &mh);
        if (r < 0)
                return r;

        skip_oversize(s);
        return 1;
}

bool message_stream_pending(const MessageStream *s) {
        return s->in_scanned < s->in_length;
}

bool message_stream_partial(const MessageStream *s) {
        return s->skipped > 0 || (s->in_length > 0 && !message_stream_pending(s));
}

/* Moves the descriptors of the message that ends before the given position into fds. Returns how many were lost. */
static size_t collect_fds(MessageStream *s, uint64_t end, int *fds, size_t *ret_n, bool *ret_over_budget) {
        size_t n = 0, lost = 0;

        *ret_over_budget = false;

        while (s->batches && s->batches->position < end) {
                FdBatch *b = s->batches;

                if (fds)
                        memcpy(fds + n, b->fds, b->n * sizeof(int));
                else
                        stream_close_fds(b->budget, b->fds, b->n);
                n += b->n;
                lost += b->n_lost;
                *ret_over_budget |= b->over_budget;
                s->n_fds -= b->n;
                b->n = 0;

                s->batches = b->next;
                if (!s->batches)
                        s->batches_tail = &s->batches;
                fd_batch_free(b);
        }

        *ret_n = n;
        return lost;
}

/* Drops the message of that length, and its NUL, from the front of the buffer. */
static void message_stream_consume(MessageStream *s, size_t length) {
        size_t n = length + 1;

        s->in_begin += n;
        s->in_length -= n;
        s->in_start += n;
        s->skipped = 0;
        s->refusal = 0;

        /* Idle connections should not use memory. */
        if (s->in_length == 0) {
                free(s->in);
                s->in = NULL;
                s->in_begin = s->in_scanned = 0;
                set_allocated(s, 0);
        } else
                message_stream_scan(s, 0);
}

int message_stream_next(MessageStream *s, Message *ret, size_t *reterr_size) {
        _cleanup_message_ Message m = {};
        size_t length, n_fds, lost;
        bool over_budget;
        uint64_t end;

        assert(s);
        assert(ret);
        assert(reterr_size);

        if (!message_stream_pending(s))
                return 0;

        length = s->in_scanned;
        end = s->in_start + length + 1;

        if (s->refusal < 0 || s->skipped + length > s->limits->message_bytes) {
                int r = s->refusal < 0 && s->skipped + length <= s->limits->message_bytes ? s->refusal : -EMSGSIZE;

                *reterr_size = s->skipped + length;
                (void) collect_fds(s, end, /* fds= */ NULL, &n_fds, &over_budget);
                message_stream_consume(s, length);
                return r;
        }

        if (s->n_fds > 0) {
                m.fds = malloc(s->n_fds * sizeof(int));
                if (!m.fds)
                        return -ENOMEM;
        }
        m.text = malloc(length + 1);
        if (!m.text)
                return -ENOMEM;

        m.budget = s->budget;
        lost = collect_fds(s, end, m.fds, &m.n_fds, &over_budget);
        if (lost > 0) {
                *reterr_size = m.n_fds + lost;
                message_stream_consume(s, length);
                return over_budget ? -ENFILE : -EMFILE;
        }

        memcpy(m.text, s->in + s->in_begin, length + 1);
        m.length = length;
        message_stream_consume(s, length);

        *ret = m;
        m = (Message) {};
        return 1;
}

bool message_stream_admits(const MessageStream *s, size_t length) {
        return s->out_bytes + length <= MESSAGE_SMALL || stream_check_bytes(s, length + 1) >= 0;
}

int message_stream_queue(MessageStream *s, const char *text, size_t length, int *fds, size_t n_fds) {
        Output *o = NULL;
        int r = -ENOMEM;

        assert(s);
        assert(text);

        if (length + 1 > s->limits->output_bytes || s->out_bytes > s->limits->output_bytes - length - 1 ||
            !message_stream_admits(s, length)) {
                r = -ENOBUFS;
                goto fail;
        }

        o = malloc(sizeof(Output) + length + 1);
        if (!o)
                goto fail;
        *o = (Output) { .length = length + 1, .budget = s->budget };
        if (n_fds > 0) {
                o->fds = malloc(n_fds * sizeof(int));
                if (!o->fds)
                        goto fail;
                memcpy(o->fds, fds, n_fds * sizeof(int));
                o->n_fds = n_fds;
        }

        memcpy(o->text, text, length);
        o->text[length] = 0;

        *s->out_tail = o;
        s->out_tail = &o->next;
        s->out_bytes += o->length;
        stream_count_bytes(s, 0, o->length);
        return 0;

fail:
        free(o);
        if (n_fds > 0)
                stream_close_fds(s->budget, fds, n_fds);
        return r;
}

size_t message_stream_queued(const MessageStream *s) {
        return s->out_bytes;
}

/* Takes written bytes off the queue, which has at least that many. */
static void drop_written(MessageStream *s, size_t n) {
        Output *o;

        s->out_bytes -= n;
        stream_count_bytes(s, n, 0);
        while (n > 0 && (o = s->out)) {
                if (n < o->length - o->written) {
                        o->written += n;
                        break;
                }
                n -= o->length - o->written;
                s->out = o->next;
                if (!s->out)
                        s->out_tail = &s->out;
                output_free(o);
        }
}

/*
 * One sendmsg(2): the first message in the queue, and those that follow as long as
 * none of all these has descriptors, which belong to the bytes that they are sent with.
 */
static int write_once(MessageStream *s) {
        union {
                struct cmsghdr header;
                uint8_t space[CMSG_SPACE(sizeof(int) * MESSAGE_FDS_PER_SENDMSG)];
        } control = {};
        Output *o = s->out;
        size_t n_fds = MIN(o->n_fds - o->n_fds_written, (size_t) MESSAGE_FDS_PER_SENDMSG);
        bool more_fds = o->n_fds - o->n_fds_written > n_fds;
        struct iovec iov[MESSAGES_PER_SENDMSG] = {
                {
                        o->text + o->written,
                        /* Descriptors past what fits into one call travel with the bytes that follow, one at a
                         * time. */
                        more_fds ? 1 : o->length - o->written,
                },
        };
        struct msghdr mh = {
                .msg_iov = iov,
                .msg_iovlen = 1,
        };
        ssize_t n;

        if (n_fds > 0) {
                struct cmsghdr *c = &control.header;

                mh.msg_control = &control;
                mh.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
                memcpy(CMSG_DATA(c), o->fds + o->n_fds_written, sizeof(int) * n_fds);
        } else
                for (Output *i = o->next; i && i->n_fds == 0 && mh.msg_iovlen < ELEMENTSOF(iov); i = i->next)
                        iov[mh.msg_iovlen++] = (struct iovec) { i->text, i->length };

        n = sendmsg(s->fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
                return errno == EINTR ? 0 : -errno;

        if (n_fds > 0) {
                if (s->budget) {
                        s->n_in_flight += n_fds;
                        s->budget->fds += n_fds;
                }
                stream_close_fds(s->budget, o->fds + o->n_fds_written, n_fds);
                o->n_fds_written += n_fds;
        }
        drop_written(s, (size_t) n);
        return 0;
}

int message_stream_flush(MessageStream *s) {
        int r;

        assert(s);

        while (s->out) {
                r = write_once(s);
                if (r == -EAGAIN)
                        return 1;
                if (r < 0)
                        return r;
        }

        return 0;
}
