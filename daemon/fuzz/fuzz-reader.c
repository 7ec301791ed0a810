/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The message reader alone, against the simplest one there is: cut at the NUL
 * bytes. The first byte of the input says how large the pieces are, in which it
 * arrives, the second how many descriptors come with each.
 */
#include <fcntl.h>
#include <sys/socket.h>

#include "message-stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MESSAGE_BYTES 64U
#define MESSAGE_FDS 3U
#define PIECE_FDS 4U

static const MessageLimits limits = {
        .message_bytes = MESSAGE_BYTES,
        .message_fds = MESSAGE_FDS,
        .output_bytes = 1,
        .total_bytes = MIB(1),
};

/* What has come out of the reader so far, and what must. */
typedef struct Check {
        const uint8_t *data;
        size_t size, position;
        size_t n_fds, n_sent;
} Check;

static void take_all(MessageStream *s, Check *c) {
        for (;;) {
                _cleanup_message_ Message m = {};
                const uint8_t *begin = c->data + c->position, *end;
                size_t length, error_size = 0;
                int r;

                r = message_stream_next(s, &m, &error_size);
                if (r == 0)
                        return;

                end = memchr(begin, 0, c->size - c->position);
                if (!end)
                        abort();
                length = (size_t) (end - begin);
                c->position += length + 1;

                if (r == -EMSGSIZE) {
                        if (length <= MESSAGE_BYTES || error_size != length)
                                abort();
                } else if (r == -EMFILE) {
                        /* Descriptors that wait while an earlier message is not complete count, too. */
                        if (length > MESSAGE_BYTES || error_size == 0 || c->n_sent <= MESSAGE_FDS)
                                abort();
                } else if (r != 1 || m.length != length || memcmp(m.text, begin, length + 1) != 0 ||
                           m.n_fds > MESSAGE_FDS)
                        abort();

                for (size_t i = 0; i < m.n_fds; i++)
                        if (fcntl(m.fds[i], F_GETFD) < 0)
                                abort();
                c->n_fds += m.n_fds;
        }
}

static void send_piece(int fd, const uint8_t *data, size_t size, size_t n_fds) {
        union {
                struct cmsghdr aligned;
                char space[CMSG_SPACE(PIECE_FDS * sizeof(int))];
        } control = {};
        struct iovec iov = { .iov_base = (void *) data, .iov_len = size };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (n_fds > 0) {
                struct cmsghdr *c;

                m.msg_control = &control;
                m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
                c = CMSG_FIRSTHDR(&m);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
                for (size_t i = 0; i < n_fds; i++)
                        memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(int));
        }
        if (sendmsg(fd, &m, MSG_NOSIGNAL) != (ssize_t) size)
                abort();
}

static void read_all(MessageStream *s, Check *c) {
        int r;

        while ((r = message_stream_read(s)) > 0)
                take_all(s, c);
        if (r != -EAGAIN)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        /* One stream for all inputs: to make one is most of the work. */
        static MessageStream *s;
        static int fds[2];
        static size_t total;
        static uint8_t text[513];
        size_t piece, n_fds;
        Check c = { .data = text };

        if (size < 3 || size - 2 >= sizeof(text))
                return 0;
        if (!s && (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0 ||
                   message_stream_new(fds[1], &limits, &total, &s) < 0))
                abort();

        c.size = size - 2;
        memcpy(text, data + 2, c.size);
        piece = 1 + data[0] % 64 + c.size / 4;
        n_fds = data[1] % (PIECE_FDS + 1);
        for (size_t i = 0; i < c.size; i += piece) {
                send_piece(fds[0], text + i, MIN(piece, c.size - i), n_fds);
                c.n_sent += n_fds;
                read_all(s, &c);
        }

        /* Nothing complete may be left behind, and nothing made up. */
        if (memchr(text + c.position, 0, c.size - c.position) || message_stream_pending(s) ||
            message_stream_partial(s) != (c.position < c.size) || c.n_fds > c.n_sent)
                abort();

        /* The end of what is left, so that the next input begins with a new message. */
        text[c.size++] = 0;
        send_piece(fds[0], text + c.size - 1, 1, 0);
        read_all(s, &c);
        if (c.position != c.size || message_stream_partial(s) || total > 4096)
                abort();
        return 0;
}
