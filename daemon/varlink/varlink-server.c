/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "varlink-internal.h"

/* How long to leave new connections waiting after we ran out of descriptors or memory. */
#define RESUME_USEC (1 * USEC_PER_SEC)

/*
 * Connections taken in one go. Those over a limit are closed at once, and a client
 * that waits behind a thousand of them must not wait for a thousand turns of busy links.
 */
#define CONNECTIONS_PER_TURN 64U

VarlinkServer *varlink_server_free(VarlinkServer *s) {
        if (!s)
                return NULL;

        while (s->links)
                varlink_link_free(s->links);
        sd_event_source_disable_unref(s->listen_source);
        sd_event_source_disable_unref(s->resume_source);
        sd_event_source_disable_unref(s->work_source);
        budget_unref(s->stray);
        for (LinkGroup *g = s->groups, *next; g; g = next) {
                next = g->next;
                budget_unref(g->budget);
                free(g);
        }

        for (size_t i = 0; i < s->n_interfaces; i++)
                idl_free(s->interfaces[i]);
        free(s->interfaces);
        for (size_t i = 0; i < s->n_bindings; i++)
                free(s->bindings[i].method);
        free(s->bindings);

        sd_event_unref(s->event);
        free(s);
        return NULL;
}

int varlink_server_add_interface(VarlinkServer *s, const char *description) {
        _cleanup_(idl_freep) IdlInterface *interface = NULL;
        int r;

        r = idl_parse(description, &interface, /* reterr_line= */ NULL);
        if (r < 0)
                return r;

        r = GREEDY_REALLOC(s->interfaces, s->interfaces_allocated, s->n_interfaces + 1);
        if (r < 0)
                return r;

        s->interfaces[s->n_interfaces++] = TAKE_PTR(interface);
        return 0;
}

int varlink_server_bind(VarlinkServer *s, const char *method, VarlinkMethod callback) {
        const char *dot = strrchr(method, '.');
        bool described = false;
        int r;

        for (size_t i = 0; dot && i < s->n_interfaces; i++) {
                const IdlInterface *interface = s->interfaces[i];

                if (strlen(interface->name) == (size_t) (dot - method) && startswith(method, interface->name) &&
                    idl_find(interface, IDL_METHOD, dot + 1))
                        described = true;
        }
        if (!described)
                return -ENOENT;

        for (size_t i = 0; i < s->n_bindings; i++)
                if (streq(s->bindings[i].method, method))
                        return -EEXIST;

        r = GREEDY_REALLOC(s->bindings, s->bindings_allocated, s->n_bindings + 1);
        if (r < 0)
                return r;

        Binding b = { .method = strdup(method), .callback = callback };
        if (!b.method)
                return -ENOMEM;
        s->bindings[s->n_bindings++] = b;
        return 0;
}

void varlink_server_set_connect(VarlinkServer *s, VarlinkConnect connect, VarlinkDisconnect disconnect) {
        s->connect = connect;
        s->disconnect = disconnect;
}

void varlink_server_set_refuse(VarlinkServer *s, VarlinkRefuse refuse) {
        s->refuse = refuse;
}

void varlink_server_set_accept(VarlinkServer *s, VarlinkAccept accept) {
        s->accept = accept;
}

void varlink_server_set_check_replies(VarlinkServer *s, bool check) {
        s->check_replies = check;
}

size_t varlink_server_connections(const VarlinkServer *s) {
        return s->n_links;
}

size_t varlink_server_buffered(const VarlinkServer *s) {
        return s->n_bytes;
}

/* Tells a new connection that it cannot stay, and lets it go. */
static int refuse_connection(Varlink *link, const char *limit, size_t current) {
        if (link->server->refuse)
                (void) link->server->refuse(link, limit, current, 1);
        (void) message_stream_flush(link->stream);
        varlink_link_free(link);
        return -EUSERS;
}

/* Drops groups of which nothing is left, not even descriptors that wait to be closed. */
static void server_drop_groups(VarlinkServer *s) {
        for (LinkGroup **p = &s->groups, *g; (g = *p);) {
                if (g->n_links > 0 || g->budget->fds > 0) {
                        p = &g->next;
                        continue;
                }
                *p = g->next;
                budget_unref(g->budget);
                free(g);
        }
}

/* The turn of the group that is next, or the present one if no group waits. */
static uint64_t server_next_turn(const VarlinkServer *s) {
        uint64_t turn = s->turn;

        for (const Varlink *i = s->links; i; i = i->next)
                if (i->group && (varlink_link_may_work(i) || varlink_link_has_call(i)))
                        turn = MIN(turn, i->group->turn);
        return turn;
}

static int link_join_group(Varlink *link, const char *name) {
        VarlinkServer *s = link->server;
        LinkGroup *g;

        for (g = s->groups; g; g = g->next)
                if (streq(g->name, name))
                        break;
        if (!g) {
                server_drop_groups(s);

                g = calloc(1, sizeof(LinkGroup) + strlen(name) + 1);
                if (!g)
                        return -ENOMEM;
                (void) stpcpy(g->name, name);
                g->budget = budget_new();
                if (!g->budget) {
                        free(g);
                        return -ENOMEM;
                }
                /* A group that begins does not pass those that wait, or owners that come and go would always be
                 * next. */
                g->turn = server_next_turn(s);
                g->next = s->groups;
                s->groups = g;
        }

        g->n_links++;
        link->group = g;
        message_stream_set_budget(link->stream, g->budget);
        return 0;
}

/*
 * Groups take turns. In a group calls and work of kept calls do, so that neither keeps the other waiting for long, and
 * connections do, those that began earlier first.
 */
static bool link_is_before(const Varlink *a, const Varlink *b) {
        uint64_t x = a->group ? a->group->turn : a->turn, y = b->group ? b->group->turn : b->turn;
        bool a_works = a->state == LINK_KEPT, b_works = b->state == LINK_KEPT;

        if (x != y)
                return x < y;
        if (a->group && a->group == b->group && a_works != b_works)
                return a_works != a->group->worked;
        return a->turn < b->turn;
}

/* The link whose turn it is: of the group that waits for longest, the one that waits for longest. */
static Varlink *server_next_link(const VarlinkServer *s, bool *ret_more) {
        Varlink *best = NULL;
        size_t n = 0;

        for (Varlink *i = s->links; i; i = i->next) {
                if (!varlink_link_may_work(i) && !varlink_link_has_call(i))
                        continue;
                n++;
                if (!best || link_is_before(i, best))
                        best = i;
        }

        *ret_more = n > 1;
        return best;
}

static int on_work(_unused_ sd_event_source *source, _unused_ int fd, _unused_ uint32_t revents, void *userdata) {
        VarlinkServer *s = userdata;
        Varlink *link;
        bool more;

        link = server_next_link(s, &more);
        if (!link)
                return 0;

        link->turn = ++s->turn;
        if (link->group) {
                link->group->turn = s->turn;
                link->group->worked = link->state == LINK_KEPT;
        }
        varlink_link_work(link);
        return more ? varlink_server_wake(s) : 0;
}

/*
 * The source is a descriptor that can always be read from, and not a defer source: those count
 * as older than everything else that is pending, and work would keep what comes from clients waiting. A
 * timer would do, but costs more, since it is programmed each time.
 */
static int server_add_work_source(VarlinkServer *s) {
        _cleanup_close_ int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
        int r;

        if (fd < 0)
                return -errno;
        r = sd_event_add_io(s->event, &s->work_source, fd, EPOLLIN, on_work, s);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(s->work_source, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_source_set_io_fd_own(s->work_source, true);
        if (r < 0)
                return r;

        TAKE_FD(fd);
        return 0;
}

int varlink_server_wake(VarlinkServer *s) {
        return sd_event_source_set_enabled(s->work_source, SD_EVENT_ONESHOT);
}

int varlink_server_new(
                sd_event *event,
                const VarlinkInfo *info,
                const VarlinkLimits *limits,
                void *userdata,
                VarlinkServer **ret) {

        _cleanup_(varlink_server_freep) VarlinkServer *s = NULL;
        int r;

        assert(event);
        assert(info);
        assert(limits);
        assert(ret);

        s = malloc(sizeof(VarlinkServer));
        if (!s)
                return -ENOMEM;
        *s = (VarlinkServer) {
                .stray = budget_new(),
                .event = sd_event_ref(event),
                .info = *info,
                .limits = limits,
                .userdata = userdata,
        };
        if (!s->stray)
                return -ENOMEM;
        r = server_add_work_source(s);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(s);
        return 0;
}

int varlink_server_add_connection(VarlinkServer *s, int fd, Varlink **ret) {
        _cleanup_free_ char *group = NULL;
        Varlink *link;
        int r;

        r = varlink_link_new(s, fd, &link);
        if (r < 0)
                return r;

        if (s->connect) {
                r = s->connect(s, link, s->userdata, &group);
                if (r >= 0 && group)
                        r = link_join_group(link, group);
                if (r < 0) {
                        if (!link->group)
                                message_stream_set_budget(link->stream, s->stray);
                        varlink_link_free(link);
                        return r;
                }
        }

        if (s->n_links > s->limits->connections)
                return refuse_connection(link, "ConnectionsMax", s->n_links - 1);

        if (link->group && link->group->n_links > s->limits->connections_per_group)
                return refuse_connection(link, "OwnerConnectionsMax", link->group->n_links - 1);

        if (ret)
                *ret = link;
        return 0;
}

static int on_resume(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        VarlinkServer *s = userdata;

        return sd_event_source_set_enabled(s->listen_source, SD_EVENT_ON);
}

/* Leaves the listening socket alone for a while: it would only wake us up in a loop. */
static int pause_listening(VarlinkServer *s) {
        int r;

        r = sd_event_source_set_enabled(s->listen_source, SD_EVENT_OFF);
        if (r < 0)
                return r;

        if (s->resume_source) {
                r = sd_event_source_set_time_relative(s->resume_source, RESUME_USEC);
                if (r < 0)
                        return r;
                return sd_event_source_set_enabled(s->resume_source, SD_EVENT_ONESHOT);
        }

        return sd_event_add_time_relative(s->event, &s->resume_source, CLOCK_MONOTONIC, RESUME_USEC, /* accuracy= */ 0,
                                          on_resume, s);
}

static int on_listen(_unused_ sd_event_source *source, int fd, _unused_ uint32_t revents, void *userdata) {
        VarlinkServer *s = userdata;

        for (unsigned n = 0; n < CONNECTIONS_PER_TURN; n++) {
                int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                if (c < 0) {
                        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
                                return pause_listening(s);
                        return 0; /* no connection waits any more, the peer has disconnected, or a signal came */
                }

                /* A connection that cannot be set up is closed, and that is all its owner can be told. */
                (void) (s->accept ? s->accept(s, c, s->userdata) :
                        varlink_server_add_connection(s, c, /* ret= */ NULL));
        }

        return 0;
}

int varlink_server_listen(VarlinkServer *s, int fd) {
        int r;

        assert(!s->listen_source);

        /* systemd passes listening sockets on that would make us wait for the next connection. */
        r = fcntl(fd, F_GETFL);
        if (r < 0 || fcntl(fd, F_SETFL, r | O_NONBLOCK) < 0) {
                r = -errno;
                safe_close(fd);
                return r;
        }

        r = sd_event_add_io(s->event, &s->listen_source, fd, EPOLLIN, on_listen, s);
        if (r < 0) {
                safe_close(fd);
                return r;
        }

        r = sd_event_source_set_io_fd_own(s->listen_source, true);
        if (r < 0)
                safe_close(fd);
        return r;
}
