/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/epoll.h>
#include <time.h>

#include "json-util.h"
#include "time-util.h"
#include "varlink-internal.h"

/* Calls of one link handled before others get their turn, and the time after which none is begun. */
#define CALLS_PER_TURN 16U
#define TURN_USEC (2 * USEC_PER_SEC / 1000)

/* How often to look whether the peer has read its descriptors. */
#define THROTTLE_USEC (5 * USEC_PER_SEC / 1000)

Varlink *varlink_link_free(Varlink *link) {
        if (!link)
                return NULL;

        varlink_link_end_call(link);
        if (link->server->disconnect)
                link->server->disconnect(link, link->server->userdata);

        if (link->previous)
                link->previous->next = link->next;
        else
                link->server->links = link->next;
        if (link->next)
                link->next->previous = link->previous;
        link->server->n_links--;

        sd_event_source_disable_unref(link->io_source);
        sd_event_source_disable_unref(link->wake_source);
        message_stream_free(link->stream);
        free(link->out_fds);
        if (link->group)
                link->group->n_links--;
        free(link);
        return NULL;
}

/* Reports a message that was thrown away because of a limit. */
static int link_refuse(Varlink *link, int r, size_t size) {
        const Budget *b = varlink_link_budget(link);
        VarlinkRefuse refuse = link->server->refuse;

        if (!refuse)
                return r;
        switch (r) {
        case -EMSGSIZE:
                return refuse(link, "MessageBytesMax", 0, size);
        case -EMFILE:
                return refuse(link, "MessageDescriptorsMax", 0, size);
        case -ENOBUFS:
                return refuse(link, "BufferBytesMax", link->server->n_bytes, size);
        case -EDQUOT:
                return refuse(link, "OwnerBufferBytesMax", b ? b->bytes : 0, size);
        case -ENFILE:
                return refuse(link, "OwnerDescriptorsMax", b ? b->fds : 0, size);
        default:
                return r;
        }
}

/* Looks after a while whether the peer has read the descriptors it was sent. */
static int link_throttle(Varlink *link) {
        int r;

        link->throttled = true;
        r = sd_event_source_set_time_relative(link->wake_source, THROTTLE_USEC);
        return r < 0 ? r : sd_event_source_set_enabled(link->wake_source, SD_EVENT_ONESHOT);
}

/* Handles what is in the buffer while the link is idle, and nothing waits for its peer. */
static int link_dispatch(Varlink *link) {
        uint64_t end = now_usec(CLOCK_MONOTONIC) + TURN_USEC;
        int r;

        for (unsigned n = 0; n < CALLS_PER_TURN && varlink_link_has_call(link); n++) {
                _cleanup_message_ Message m = {};
                size_t size = 0;

                if (n > 0 && now_usec(CLOCK_MONOTONIC) >= end)
                        break;
                if (message_stream_in_flight(link->stream))
                        return link_throttle(link);

                r = message_stream_next(link->stream, &m, &size);
                if (r < 0)
                        r = link_refuse(link, r, size);
                else if (r > 0)
                        r = varlink_dispatch(link, &m);
                if (r >= 0)
                        r = message_stream_flush(link->stream);
                if (r < 0)
                        return r;
        }

        return 0;
}

/* Is everything said and done? */
static bool link_is_over(const Varlink *link) {
        if (message_stream_queued(link->stream) > 0)
                return false;
        return link->state == LINK_CLOSING ||
                (link->state == LINK_IDLE && link->input_ended && !message_stream_pending(link->stream));
}

/* Everything the link has to do from time to time. Frees the link if it is at its end. */
static void link_process(Varlink *link, int r) {
        if (r >= 0)
                r = message_stream_flush(link->stream);

        if (r < 0 || link_is_over(link))
                link->state = LINK_DEAD;
        if (link->state != LINK_DEAD && varlink_link_update(link) < 0)
                link->state = LINK_DEAD;
        if (link->state == LINK_DEAD)
                varlink_link_free(link);
}

static int on_io(_unused_ sd_event_source *source, _unused_ int fd, uint32_t revents, void *userdata) {
        Varlink *link = userdata;
        int r = 0;

        if (varlink_link_may_call(link) && !message_stream_pending(link->stream) && !link->input_ended &&
            (revents & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
                if (!(revents & (EPOLLHUP | EPOLLERR)) && message_stream_in_flight(link->stream))
                        r = link_throttle(link);
                else {
                        r = message_stream_read(link->stream);
                        if (r == 0)
                                link->input_ended = true;
                        if (r == -EAGAIN)
                                r = 0;
                }
        } else if (link->state == LINK_KEPT && (revents & (EPOLLHUP | EPOLLERR)))
                /* The peer is gone and cannot get an answer: the call is over, whatever it was. */
                r = -ECONNRESET;

        link_process(link, r);
        return 0;
}

static int on_wake(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Varlink *link = userdata;

        link->throttled = false;
        link_process(link, 0);
        return 0;
}

void varlink_link_work(Varlink *link) {
        int r;

        if (varlink_link_has_call(link)) {
                link_process(link, link_dispatch(link));
                return;
        }

        link->working = true;
        r = link->work(link, link->data);
        link->working = false;
        if (r == 0)
                link->work = NULL;
        link_process(link, r);
}

int varlink_link_new(VarlinkServer *server, int fd, Varlink **ret) {
        _cleanup_close_ int owned = fd;
        Varlink *link;
        int r;

        link = malloc(sizeof(Varlink));
        if (!link)
                return -ENOMEM;
        *link = (Varlink) { .server = server, .turn = ++server->turn };

        r = message_stream_new(TAKE_FD(owned), &server->limits->message, &server->n_bytes, &link->stream);
        if (r < 0) {
                free(link);
                return r;
        }

        link->next = server->links;
        if (link->next)
                link->next->previous = link;
        server->links = link;
        server->n_links++;

        r = sd_event_add_io(server->event, &link->io_source, fd, EPOLLIN, on_io, link);
        if (r >= 0)
                r = sd_event_add_time_relative(server->event, &link->wake_source, CLOCK_MONOTONIC, 0,
                                               /* accuracy= */ 1, on_wake, link);
        if (r >= 0)
                r = sd_event_source_set_enabled(link->wake_source, SD_EVENT_OFF);
        if (r < 0) {
                varlink_link_free(link);
                return r;
        }

        *ret = link;
        return 0;
}

