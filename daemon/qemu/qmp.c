/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "qmp.h"
#include "time-util.h"
#include "utf8.h"

struct Qmp {
        int fd;
        char *buffer;
        size_t used, allocated;
        size_t scanned; /* of those, up to where there is no end of line */
        int64_t id;     /* of the newest command */
};

int qmp_new(int fd, Qmp **ret) {
        Qmp *q = calloc(1, sizeof(*q));
        int flags;

        if (!q) {
                safe_close(fd);
                return -ENOMEM;
        }
        q->fd = fd;
        flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
                int r = -errno;

                qmp_free(q);
                return r;
        }
        *ret = q;
        return 0;
}

Qmp *qmp_free(Qmp *q) {
        if (!q)
                return NULL;
        safe_close(q->fd);
        free(q->buffer);
        free(q);
        return NULL;
}

int qmp_fd(const Qmp *q) {
        return q->fd;
}

static int socket_wait(int fd, short events, uint64_t deadline) {
        for (;;) {
                uint64_t now = now_usec(CLOCK_MONOTONIC);
                struct pollfd p = { .fd = fd, .events = events };
                uint64_t msec = now < deadline ? (deadline - now + 999) / 1000 : 0;
                int r = poll(&p, 1, (int) MIN(msec, UINT64_C(1000000)));

                if (r < 0 && errno != EINTR)
                        return -errno;
                if (r > 0)
                        return 0;
                if (now >= deadline)
                        return -ETIMEDOUT;
        }
}

/* Reads what is there. Returns the number of bytes, 0 if there is nothing, or a negative errno. */
static int input_read(Qmp *q) {
        ssize_t n;

        if (q->used >= QMP_MESSAGE_MAX)
                return -EFBIG;
        if (GREEDY_REALLOC(q->buffer, q->allocated, q->used + KIB(16)) < 0)
                return -ENOMEM;
        n = recv(q->fd, q->buffer + q->used, MIN(q->allocated - q->used, (size_t) QMP_MESSAGE_MAX - q->used), 0);
        if (n == 0)
                return -ECONNRESET;
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : errno == EPIPE ? -ECONNRESET : -errno;
        q->used += (size_t) n;
        return (int) n;
}

/* Takes the next line out of the buffer as JSON. 1: *ret is set, 0: there is no whole line. */
static int line_take(Qmp *q, struct json_object **ret) {
        char *end = q->used > q->scanned ? memchr(q->buffer + q->scanned, '\n', q->used - q->scanned) : NULL;
        _cleanup_json_ struct json_object *o = NULL;
        size_t length;
        char *text;
        int r;

        if (!end) {
                q->scanned = q->used;
                return 0;
        }
        text = q->buffer;
        length = (size_t) (end - text);
        /* A guest agent says this before the first answer. */
        while (length > 0 && *text == '\xff') {
                text++;
                length--;
        }
        r = json_parse_strict(text, length, &o, /* reterr_key= */ NULL);

        length = (size_t) (end - q->buffer) + 1;
        memmove(q->buffer, q->buffer + length, q->used - length);
        q->used -= length;
        q->scanned = 0;
        if (r == -ENOMEM)
                return r;
        if (r < 0 || !json_object_is_type(o, json_type_object))
                return -EBADMSG;
        *ret = TAKE_PTR(o);
        return 1;
}

static int message_receive(Qmp *q, uint64_t deadline, struct json_object **ret) {
        int r;

        for (;;) {
                r = line_take(q, ret);
                if (r != 0)
                        return MIN(r, 0);
                r = input_read(q);
                if (r == 0)
                        r = socket_wait(q->fd, POLLIN, deadline);
                if (r < 0)
                        return r;
        }
}

static int text_send(Qmp *q, const char *text, size_t length, uint64_t deadline) {
        int r;

        while (length > 0) {
                ssize_t n = send(q->fd, text, length, MSG_NOSIGNAL);

                if (n < 0 && errno != EAGAIN && errno != EINTR)
                        return errno == EPIPE ? -ECONNRESET : -errno;
                if (n < 0) {
                        r = socket_wait(q->fd, POLLOUT, deadline);
                        if (r < 0)
                                return r;
                        continue;
                }
                text += n;
                length -= (size_t) n;
        }
        return 0;
}

int qmp_greet(Qmp *q, uint64_t usec, char **ret_version) {
        _cleanup_json_ struct json_object *greeting = NULL;
        struct json_object *v;
        char *text;
        int r;

        r = message_receive(q, now_usec(CLOCK_MONOTONIC) + usec, &greeting);
        if (r < 0)
                return r;
        v = json_get(json_get(json_get(greeting, "QMP"), "version"), "qemu");
        if (!json_object_is_type(v, json_type_object) || json_get_int(v, "major", -1) < 0)
                return -EBADMSG;
        r = qmp_execute(q, "qmp_capabilities", /* arguments= */ NULL, usec, /* ret= */ NULL, /* reterr= */ NULL);
        if (r < 0)
                return r == -EREMOTEIO ? -EBADMSG : r;
        if (asprintf(&text, "%lli.%lli.%lli", (long long) json_get_int(v, "major", 0),
                     (long long) json_get_int(v, "minor", 0), (long long) json_get_int(v, "micro", 0)) < 0)
                return -ENOMEM;
        *ret_version = text;
        return 0;
}

/* The error of an answer in words that can be shown. NULL without memory. */
static char *error_text(struct json_object *error) {
        return utf8_escape(json_get_string(error, "desc") ?: json_get_string(error, "class") ?: "unknown error");
}

/*
 * Waits for the answer to the command with that number. Drops everything else: events, of which a guest causes some
 * with numbers beyond what is parsed here, and answers to commands that were given up. What never ends is given up,
 * too.
 */
static int answer_receive(Qmp *q, int64_t id, uint64_t deadline, struct json_object **ret, char **reterr) {
        for (bool first = true;; first = false) {
                _cleanup_json_ struct json_object *message = NULL;
                struct json_object *value = NULL, *error;
                int r;

                if (!first && now_usec(CLOCK_MONOTONIC) >= deadline)
                        return -ETIMEDOUT;
                r = message_receive(q, deadline, &message);
                if (r == -EBADMSG)
                        continue;
                if (r < 0)
                        return r;
                error = json_get(message, "error");
                if (!json_object_object_get_ex(message, "return", &value) && !error)
                        continue;
                if (json_get_int(message, "id", -1) != id)
                        continue;
                if (error) {
                        if (reterr && !(*reterr = error_text(error)))
                                return -ENOMEM;
                        return -EREMOTEIO;
                }
                if (!value)
                        return -EBADMSG;
                if (ret)
                        *ret = json_object_get(value);
                return 0;
        }
}

int qmp_execute(Qmp *q, const char *command, struct json_object *arguments, uint64_t usec, struct json_object **ret,
                char **reterr) {
        _cleanup_json_ struct json_object *o = json_object_new_object(), *a = arguments;
        uint64_t deadline = now_usec(CLOCK_MONOTONIC) + usec;
        const char *text;
        size_t length;
        int r;

        if (!o || json_add_string(o, "execute", command) < 0 || (a && json_add(o, "arguments", TAKE_PTR(a)) < 0) ||
            json_add_int(o, "id", ++q->id) < 0)
                return -ENOMEM;
        text = json_text(o, &length);
        if (!text)
                return -ENOMEM;
        r = text_send(q, text, length, deadline);
        if (r >= 0)
                r = text_send(q, "\n", 1, deadline);
        return r < 0 ? r : answer_receive(q, q->id, deadline, ret, reterr);
}

int qmp_agent_synchronize(Qmp *q, uint64_t usec) {
        _cleanup_json_ struct json_object *arguments = json_object_new_object(), *value = NULL;
        uint64_t deadline = now_usec(CLOCK_MONOTONIC) + usec;
        int64_t token = (int64_t) (deadline & INT32_MAX);
        int r;

        if (!arguments || json_add_int(arguments, "id", token) < 0)
                return -ENOMEM;
        /* Ends a command that an earlier client left half sent. */
        r = text_send(q, "\xff\n", 2, deadline);
        if (r >= 0)
                r = qmp_execute(q, "guest-sync-delimited", TAKE_PTR(arguments), usec, &value, /* reterr= */ NULL);
        if (r < 0)
                return r == -EREMOTEIO ? -EBADMSG : r;
        return json_object_is_type(value, json_type_int) && json_object_get_int64(value) == token ? 0 : -EBADMSG;
}

static int lines_drop(Qmp *q) {
        int r;

        do {
                _cleanup_json_ struct json_object *message = NULL;

                r = line_take(q, &message);
        } while (r > 0 || r == -EBADMSG);
        return r;
}

int qmp_drain(Qmp *q) {
        int r;

        r = lines_drop(q);
        if (r >= 0)
                r = input_read(q);
        return r < 0 ? r : lines_drop(q);
}
