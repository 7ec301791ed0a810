/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "message-stream.h"
#include "test.h"

static const MessageLimits limits = {
        .message_bytes = 1000,
        .message_fds = 300,
        .output_bytes = 400000,
        .total_bytes = MIB(1),
};

typedef struct Pair {
        MessageStream *stream;
        int peer;
        size_t total;
} Pair;

static Pair *pair_free(Pair *p) {
        message_stream_free(p->stream);
        safe_close(p->peer);
        assert_int_equal(p->total, 0);
        return NULL;
}
DEFINE_CLEANUP(Pair *, pair_free)

static Pair *pair_new(Pair *p) {
        int fds[2];

        *p = (Pair) {};
        assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
        assert_ok(message_stream_new(fds[0], &limits, &p->total, &p->stream));
        p->peer = fds[1];
        return p;
}

#define PAIR(p) \
        Pair _pair; \
        _cleanup_(pair_freep) Pair *p = pair_new(&_pair)

static void put(Pair *p, const void *data, size_t n) {
        assert_int_equal(send(p->peer, data, n, 0), n);
}

static void put_fds(Pair *p, const void *data, size_t n, const int *fds, size_t n_fds) {
        union {
                struct cmsghdr header;
                uint8_t space[CMSG_SPACE(sizeof(int) * 253)];
        } control = {};
        struct iovec iov = { (void *) data, n };
        struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(sizeof(int) * n_fds) };

        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * n_fds);
        assert_int_equal(sendmsg(p->peer, &mh, 0), n);
}

/* Reads until there is a message, or nothing more to read. */
static int get(Pair *p, Message *m, size_t *size) {
        for (;;) {
                int r = message_stream_next(p->stream, m, size);

                if (r != 0)
                        return r;
                r = message_stream_read(p->stream);
                if (r <= 0)
                        return r;
        }
}

static void expect(Pair *p, const char *text) {
        _cleanup_message_ Message m = {};
        size_t size;

        assert_int_equal(get(p, &m, &size), 1);
        assert_int_equal(m.length, strlen(text));
        assert_string_equal(m.text, text);
}

static void expect_nothing(Pair *p) {
        _cleanup_message_ Message m = {};
        size_t size;

        assert_errno(get(p, &m, &size), EAGAIN);
}

static void test_split_at_every_byte(_unused_ void **state) {
        static const char text[] = "first\0\0second message\0third";

        for (size_t i = 0; i <= sizeof(text); i++) {
                PAIR(p);

                if (i > 0)
                        put(p, text, i);
                (void) message_stream_read(p->stream);
                if (i < sizeof(text))
                        put(p, text + i, sizeof(text) - i);
                expect(p, "first");
                expect(p, "");
                expect(p, "second message");
                expect(p, "third");
                expect_nothing(p);
        }
}

static void test_byte_by_byte(_unused_ void **state) {
        static const char text[] = "one\0two";
        PAIR(p);

        for (size_t i = 0; i < sizeof(text); i++) {
                if (i == 3)
                        expect_nothing(p);
                put(p, text + i, 1);
                assert_int_equal(message_stream_read(p->stream), 1);
                assert_int_equal(message_stream_partial(p->stream), i < 3);
        }
        expect(p, "one");
        expect(p, "two");
}

static void test_largest(_unused_ void **state) {
        char text[1001];
        PAIR(p);

        memset(text, 'x', 1000);
        text[1000] = 0;
        put(p, text, 1001);
        expect(p, text);
}

static void test_oversize_is_skipped(_unused_ void **state) {
        for (size_t n = 1001; n < 300000; n = n * 2 + 7) {
                _cleanup_free_ char *text = malloc(n + 1);
                _cleanup_message_ Message m = {};
                size_t sent = 0, size = 0;
                int r = 0;
                PAIR(p);

                memset(text, 'x', n);
                text[n] = 0;
                while (r == 0) {
                        if (sent < n + 1) {
                                ssize_t k = send(p->peer, text + sent, n + 1 - sent, MSG_DONTWAIT);
                                if (k > 0)
                                        sent += (size_t) k;
                        }
                        assert_int_equal(message_stream_read(p->stream), 1);
                        r = message_stream_next(p->stream, &m, &size);
                        assert_true(p->total < KIB(200));
                }
                assert_errno(r, EMSGSIZE);
                assert_int_equal(size, n);

                put(p, "after", 6);
                expect(p, "after");
        }
}

static void test_oversize_in_many_reads(_unused_ void **state) {
        _cleanup_message_ Message m = {};
        size_t size;
        PAIR(p);

        for (unsigned i = 0; i < 11; i++) {
                char text[100];

                memset(text, 'x', sizeof(text));
                put(p, text, sizeof(text));
                assert_int_equal(message_stream_read(p->stream), 1);
                assert_int_equal(message_stream_next(p->stream, &m, &size), 0);
        }
        assert_true(message_stream_partial(p->stream));
        put(p, "y\0z", 4);
        assert_errno(get(p, &m, &size), EMSGSIZE);
        assert_int_equal(size, 1101);
        expect(p, "z");
}

static void test_end(_unused_ void **state) {
        _cleanup_message_ Message m = {};
        size_t size;
        PAIR(p);

        put(p, "complete\0half", 13);
        p->peer = safe_close(p->peer);
        expect(p, "complete");
        assert_int_equal(get(p, &m, &size), 0);
        assert_true(message_stream_partial(p->stream));
}

static int numbered_file(unsigned n) {
        int fd = memfd_create("test", MFD_CLOEXEC);

        assert_ok(fd);
        assert_ok(ftruncate(fd, n));
        return fd;
}

static unsigned number_of(int fd) {
        struct stat st;

        assert_ok(fstat(fd, &st));
        return (unsigned) st.st_size;
}

static void test_fds_belong_to_their_message(_unused_ void **state) {
        _cleanup_close_ int a = numbered_file(1), b = numbered_file(2), c = numbered_file(3);
        _cleanup_message_ Message m1 = {}, m2 = {}, m3 = {}, m4 = {};
        size_t size;
        PAIR(p);

        /* All sent before anything is read, so that the kernel may hand them over together. */
        put(p, "none", 5);
        put_fds(p, "two", 4, (int[]) { a, b }, 2);
        put(p, "none", 5);
        put_fds(p, "one, in pa", 10, &c, 1);
        put(p, "rts", 4);

        assert_int_equal(get(p, &m1, &size), 1);
        assert_int_equal(m1.n_fds, 0);
        assert_int_equal(get(p, &m2, &size), 1);
        assert_string_equal(m2.text, "two");
        assert_int_equal(m2.n_fds, 2);
        assert_int_equal(number_of(m2.fds[0]), 1);
        assert_int_equal(number_of(m2.fds[1]), 2);
        assert_true(fcntl(m2.fds[0], F_GETFD) & FD_CLOEXEC);
        assert_int_equal(get(p, &m3, &size), 1);
        assert_int_equal(m3.n_fds, 0);
        assert_int_equal(get(p, &m4, &size), 1);
        assert_string_equal(m4.text, "one, in parts");
        assert_int_equal(m4.n_fds, 1);
        assert_int_equal(number_of(m4.fds[0]), 3);
}

static unsigned n_open(void) {
        unsigned n = 0;

        for (int fd = 0; fd < 4096; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

static void test_too_many_fds(_unused_ void **state) {
        _cleanup_message_ Message m = {};
        int fds[100];
        size_t size;
        PAIR(p);

        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                fds[i] = STDERR_FILENO;
        unsigned before = n_open();

        for (unsigned i = 0; i < 10; i++) {
                put_fds(p, "x", 1, fds, ELEMENTSOF(fds));
                assert_int_equal(message_stream_read(p->stream), 1);
        }
        assert_true(n_open() <= before + limits.message_fds);
        put(p, "", 1);
        assert_errno(get(p, &m, &size), EMFILE);
        assert_int_equal(size, 1000);
        assert_int_equal(n_open(), before);

        put(p, "after", 6);
        expect(p, "after");
}

static void test_fds_are_closed(_unused_ void **state) {
        unsigned before = n_open();

        {
                PAIR(p);

                put_fds(p, "half", 4, (int[]) { STDERR_FILENO, STDERR_FILENO }, 2);
                assert_int_equal(message_stream_read(p->stream), 1);
                assert_int_equal(n_open(), before + 4);
        }
        assert_int_equal(n_open(), before);
}

static void test_many_fds_both_ways(_unused_ void **state) {
        _cleanup_(message_stream_freep) MessageStream *other = NULL;
        static const MessageLimits wide = { .message_bytes = 1000, .message_fds = 1000, .output_bytes = 1000 };
        _cleanup_message_ Message m = {};
        int fds[600];
        size_t size;
        PAIR(p);

        for (unsigned i = 0; i < ELEMENTSOF(fds); i++)
                fds[i] = numbered_file(i);
        assert_ok(message_stream_new(TAKE_FD(p->peer), &wide, NULL, &other));
        assert_ok(message_stream_queue(p->stream, "many", 4, fds, ELEMENTSOF(fds)));
        assert_int_equal(message_stream_flush(p->stream), 0);

        for (;;) {
                int r = message_stream_next(other, &m, &size);

                assert_ok(r);
                if (r > 0)
                        break;
                assert_int_equal(message_stream_read(other), 1);
        }
        assert_string_equal(m.text, "many");
        assert_int_equal(m.n_fds, ELEMENTSOF(fds));
        for (unsigned i = 0; i < m.n_fds; i++)
                assert_int_equal(number_of(m.fds[i]), i);
}

/* Several go in one sendmsg(2), but each descriptor stays with its message, whatever the socket has room for. */
static void test_many_messages_at_once(_unused_ void **state) {
        static const MessageLimits wide = { .message_bytes = 10000, .message_fds = 10, .output_bytes = MIB(10) };
        _cleanup_(message_stream_freep) MessageStream *out = NULL;
        unsigned sent = 0, received = 0;
        static char text[8000];
        int small = 4096, fds[2];
        PAIR(p);

        assert_ok(setsockopt(p->peer, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)));
        fds[0] = fcntl(p->peer, F_DUPFD_CLOEXEC, 3);
        assert_ok(message_stream_new(fds[0], &wide, NULL, &out));

        for (; sent < 500; sent++) {
                bool with_fds = sent % 7 == 0 || sent % 50 < 2;
                size_t n = 1 + (size_t) sent * 37 % (sent % 10 == 0 ? 900 : 90);

                memset(text, 'a' + sent % 26, n);
                fds[0] = with_fds ? numbered_file(2 * sent) : -EBADF;
                fds[1] = with_fds ? numbered_file(2 * sent + 1) : -EBADF;
                assert_ok(message_stream_queue(out, text, n, fds, with_fds ? 2 : 0));
        }

        while (received < sent) {
                bool with_fds = received % 7 == 0 || received % 50 < 2;
                size_t n = 1 + (size_t) received * 37 % (received % 10 == 0 ? 900 : 90), size;
                _cleanup_message_ Message m = {};
                int r;

                assert_ok(message_stream_flush(out));
                r = get(p, &m, &size);
                if (r == -EAGAIN)
                        continue;
                assert_int_equal(r, 1);
                assert_int_equal(m.length, n);
                assert_int_equal(strspn(m.text, (const char[]) { (char) ('a' + received % 26), 0 }), n);
                assert_int_equal(m.n_fds, with_fds ? 2 : 0);
                for (unsigned i = 0; i < m.n_fds; i++)
                        assert_int_equal(number_of(m.fds[i]), 2 * received + i);
                received++;
        }
        assert_int_equal(message_stream_queued(out), 0);
}

/* Descriptors that were not asked for take no memory, however many they are; the next message gets its own. */
static void test_endless_fds(_unused_ void **state) {
        _cleanup_message_ Message m = {};
        int fds[3] = { STDERR_FILENO, STDERR_FILENO, STDERR_FILENO };
        size_t size, before = 0;
        PAIR(p);

        for (unsigned i = 0; i < 20000; i++) {
                put_fds(p, "x", 1, fds, ELEMENTSOF(fds));
                assert_int_equal(message_stream_read(p->stream), 1);
                if (i == 1000)
                        before = mallinfo2().uordblks;
        }
        assert_true(mallinfo2().uordblks < before + KIB(64));

        /* The end of this message, and the beginning of the next one, which loses one, too. */
        put_fds(p, "\0n", 2, fds, 1);
        assert_errno(get(p, &m, &size), EMSGSIZE);
        put(p, "ext", 4);
        assert_errno(get(p, &m, &size), EMFILE);
        assert_int_equal(size, 1);
        put(p, "after", 6);
        expect(p, "after");
}

static void test_output_limit(_unused_ void **state) {
        char text[50000];
        int r = 0;
        PAIR(p);

        memset(text, 'x', sizeof(text));
        for (unsigned i = 0; i < 8 && r == 0; i++)
                r = message_stream_queue(p->stream, text, sizeof(text), NULL, 0);
        assert_errno(r, ENOBUFS);
        assert_true(message_stream_queued(p->stream) <= limits.output_bytes);
}

static void test_output_waits(_unused_ void **state) {
        static char text[390000], buffer[65536];
        size_t done = 0;
        PAIR(p);

        memset(text, 'x', sizeof(text));
        assert_ok(message_stream_queue(p->stream, text, sizeof(text), NULL, 0));
        assert_int_equal(message_stream_flush(p->stream), 1);
        while (done < sizeof(text) + 1) {
                ssize_t n = recv(p->peer, buffer, sizeof(buffer), 0);

                assert_true(n > 0);
                done += (size_t) n;
                assert_ok(message_stream_flush(p->stream));
        }
        assert_int_equal(message_stream_queued(p->stream), 0);
        assert_int_equal(buffer[0], 'x');
}

static void test_peer_gone(_unused_ void **state) {
        PAIR(p);

        p->peer = safe_close(p->peer);
        assert_ok(message_stream_queue(p->stream, "x", 1, NULL, 0));
        assert_errno(message_stream_flush(p->stream), EPIPE);
}

static void test_total_limit(_unused_ void **state) {
        static const MessageLimits tight = { .message_bytes = MIB(1), .message_fds = 1, .output_bytes = 1000,
                                             .total_bytes = KIB(150) };
        _cleanup_(message_stream_freep) MessageStream *a = NULL, *b = NULL;
        _cleanup_message_ Message m = {};
        size_t total = 0, size;
        int x[2], y[2];

        assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, x));
        assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, y));
        assert_ok(message_stream_new(x[0], &tight, &total, &a));
        assert_ok(message_stream_new(y[0], &tight, &total, &b));

        for (unsigned i = 0; i < 100; i++) {
                char text[10000];

                memset(text, 'x', sizeof(text));
                assert_int_equal(send(x[1], text, sizeof(text), 0), sizeof(text));
                assert_int_equal(message_stream_read(a), 1);
                assert_true(total <= KIB(150));
        }
        /* The message is thrown away, but not its connection. */
        assert_int_equal(send(x[1], "\0next", 6, 0), 6);
        assert_int_equal(message_stream_read(a), 1);
        assert_errno(message_stream_next(a, &m, &size), ENOBUFS);
        assert_int_equal(size, 1000000);
        assert_int_equal(message_stream_next(a, &m, &size), 1);
        assert_string_equal(m.text, "next");
        message_done(&m);

        /* Others are heard. */
        assert_int_equal(send(y[1], "small", 6, 0), 6);
        assert_int_equal(message_stream_read(b), 1);
        assert_int_equal(message_stream_next(b, &m, &size), 1);
        assert_string_equal(m.text, "small");
        close(x[1]);
        close(y[1]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_split_at_every_byte),
                cmocka_unit_test(test_byte_by_byte),
                cmocka_unit_test(test_largest),
                cmocka_unit_test(test_oversize_is_skipped),
                cmocka_unit_test(test_oversize_in_many_reads),
                cmocka_unit_test(test_end),
                cmocka_unit_test(test_fds_belong_to_their_message),
                cmocka_unit_test(test_too_many_fds),
                cmocka_unit_test(test_fds_are_closed),
                cmocka_unit_test(test_many_fds_both_ways),
                cmocka_unit_test(test_many_messages_at_once),
                cmocka_unit_test(test_endless_fds),
                cmocka_unit_test(test_output_limit),
                cmocka_unit_test(test_output_waits),
                cmocka_unit_test(test_peer_gone),
                cmocka_unit_test(test_total_limit),
        };

        return cmocka_run_group_tests_name("message-stream", tests, NULL, NULL);
}
