/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "log.h"
#include "manager-bus.h"
#include "peer.h"
#include "time-util.h"
#include "unit-user.h"

/* How long PID 1 may take. It does not answer while it reloads units, and its socket vanishes briefly when it
 * re-executes. */
#define ANSWER_USEC (25 * USEC_PER_SEC)
#define RETRY_USEC (USEC_PER_SEC / 5)

/* Answers that are kept. */
#define ANSWERS_MAX 256U

typedef struct Answer {
        struct Answer *next;
        uid_t uid;
        char *unit, *invocation;
} Answer;

typedef struct Waiter {
        struct Waiter *next;
        UnitUserDone done;
        void *userdata;
} Waiter;

typedef struct Query {
        UnitUsers *users;
        struct Query *next;
        char *unit, *invocation; /* invocation may be NULL */
        uint64_t deadline_usec;
        sd_bus_slot *slot;
        sd_event_source *retry_source;
        Waiter *waiters;
} Query;

struct UnitUsers {
        sd_event *event;
        const char *address;
        sd_bus *bus; /* while there are queries */
        sd_event_source *idle_source;
        Answer *answers; /* the newest first */
        Query *queries;
        UnitUserQuery query;
        void *userdata;
};

static Answer *answer_free(Answer *a) {
        Answer *next = a->next;

        free(a->unit);
        free(a->invocation);
        free(a);
        return next;
}

static void query_free(Query *q) {
        if (!q)
                return;

        for (Query **p = &q->users->queries; *p; p = &(*p)->next)
                if (*p == q) {
                        *p = q->next;
                        break;
                }
        while (q->waiters) {
                Waiter *w = q->waiters;

                q->waiters = w->next;
                free(w);
        }
        sd_bus_slot_unref(q->slot);
        sd_event_source_disable_unref(q->retry_source);
        free(q->unit);
        free(q->invocation);
        free(q);
}

int unit_users_new(sd_event *event, UnitUsers **ret) {
        UnitUsers *u;

        u = malloc(sizeof(UnitUsers));
        if (!u)
                return -ENOMEM;
        *u = (UnitUsers) { .event = sd_event_ref(event), .address = MANAGER_ADDRESS };

        *ret = u;
        return 0;
}

UnitUsers *unit_users_free(UnitUsers *u) {
        if (!u)
                return NULL;

        while (u->queries)
                query_free(u->queries);
        while (u->answers)
                u->answers = answer_free(u->answers);
        sd_event_source_disable_unref(u->idle_source);
        sd_bus_close_unref(u->bus);
        sd_event_unref(u->event);
        free(u);
        return NULL;
}

void unit_users_set_query(UnitUsers *u, UnitUserQuery query, void *userdata) {
        u->query = query;
        u->userdata = userdata;
}

void unit_users_set_address(UnitUsers *u, const char *address) {
        u->address = address;
}

/* What tells one run of a unit from another, to be freed. NULL if there is nothing. */
static char *invocation_of(const char *unit) {
        _cleanup_free_ char *path = NULL;
        char id[64];
        ssize_t n;

        if (asprintf(&path, "/run/systemd/units/invocation:%s", unit) < 0) {
                path = NULL;
                return NULL;
        }
        n = readlink(path, id, sizeof(id));
        return n > 0 && n < (ssize_t) sizeof(id) ? strndup(id, (size_t) n) : NULL;
}

/* Keeps an answer, if there is memory for it. */
static void answer_keep(UnitUsers *u, const Query *q, uid_t uid) {
        Answer *a, **last;
        size_t n = 0;

        if (!q->invocation)
                return;
        a = malloc(sizeof(Answer));
        if (!a)
                return;
        *a = (Answer) { .next = u->answers, .uid = uid, .unit = strdup(q->unit), .invocation = strdup(q->invocation) };
        if (!a->unit || !a->invocation) {
                (void) answer_free(a);
                return;
        }
        u->answers = a;

        /* Others of the unit are out of date, and there is an end to it. */
        for (last = &a->next; *last;)
                if (++n >= ANSWERS_MAX || streq((*last)->unit, a->unit))
                        *last = answer_free(*last);
                else
                        last = &(*last)->next;
}

/* PID 1 sends all its signals to every connected client, so the connection is closed as soon as it is not needed. */
static int on_idle(_unused_ sd_event_source *source, void *userdata) {
        UnitUsers *u = userdata;

        if (!u->queries)
                u->bus = sd_bus_close_unref(u->bus);
        return 0;
}

static void unit_users_idle(UnitUsers *u) {
        if (u->queries || !u->bus)
                return;
        if (!u->idle_source)
                (void) sd_event_add_defer(u->event, &u->idle_source, on_idle, u);
        if (u->idle_source)
                (void) sd_event_source_set_enabled(u->idle_source, SD_EVENT_ONESHOT);
}

static void query_finish(Query *q, uid_t uid) {
        UnitUsers *u = q->users;
        Waiter *waiters = TAKE_PTR(q->waiters);

        query_free(q);
        unit_users_idle(u);
        while (waiters) {
                Waiter *w = waiters;

                waiters = w->next;
                w->done(uid, w->userdata);
                free(w);
        }
}

static void query_send(Query *q);

static int on_retry(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        query_send(userdata);
        return 0;
}

/* Errors that are over soon, as long as there is a PID 1 to be asked. */
static bool is_temporary(const UnitUsers *u, int r) {
        switch (r) {
        case -ENOENT:
        case -ECONNREFUSED:
        case -EAGAIN:
        case -ECONNRESET:
        case -ENOTCONN:
        case -EPIPE:
        case -ETIMEDOUT:
                return streq(u->address, MANAGER_ADDRESS) && sd_booted() > 0;
        default:
                return false;
        }
}

static void query_failed(Query *q, int r) {
        q->slot = sd_bus_slot_unref(q->slot);

        if (is_temporary(q->users, r) && now_usec(CLOCK_MONOTONIC) + RETRY_USEC < q->deadline_usec) {
                int k;

                if (q->retry_source) {
                        k = sd_event_source_set_time_relative(q->retry_source, RETRY_USEC);
                        if (k >= 0)
                                k = sd_event_source_set_enabled(q->retry_source, SD_EVENT_ONESHOT);
                } else
                        k = sd_event_add_time_relative(q->users->event, &q->retry_source, CLOCK_MONOTONIC, RETRY_USEC,
                                                       /* accuracy= */ 0, on_retry, q);
                if (k >= 0)
                        return;
        }

        log_warning("Failed to determine the user of '%s', taking user IDs as owners: %s.", q->unit, strerror(-r));
        query_finish(q, UID_NONE);
}

static int unit_user_on_answer(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *reterr_error) {
        Query *q = userdata;
        uint32_t uid = UID_NONE;
        int r;

        r = sd_bus_message_is_method_error(m, /* name= */ NULL) > 0 ? -sd_bus_message_get_errno(m) :
                sd_bus_message_read(m, "v", "u", &uid);
        if (r < 0) {
                query_failed(q, r);
                return 0;
        }

        answer_keep(q->users, q, (uid_t) uid);
        query_finish(q, (uid_t) uid);
        return 0;
}

static int unit_users_connect(UnitUsers *u) {
        sd_bus *bus;
        int r;

        if (u->bus && sd_bus_is_open(u->bus) > 0)
                return 0;
        u->bus = sd_bus_close_unref(u->bus);

        r = manager_connect(u->address, ANSWER_USEC, &bus);
        if (r < 0)
                return r;
        r = sd_bus_attach_event(bus, u->event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0) {
                sd_bus_close_unref(bus);
                return r;
        }
        u->bus = bus;
        return 0;
}

static int query_call(Query *q) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);
        _cleanup_free_ char *path = NULL;
        sd_bus_message *m = NULL;
        int r;

        r = unit_users_connect(q->users);
        if (r < 0)
                return r;
        r = sd_bus_path_encode(MANAGER_PATH "/unit", q->unit, &path);
        if (r < 0)
                return r;
        r = sd_bus_message_new_method_call(q->users->bus, &m, MANAGER_NAME, path,
                                           "org.freedesktop.DBus.Properties", "Get");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", SERVICE_IFACE, "UID");
        if (r >= 0)
                r = sd_bus_call_async(q->users->bus, &q->slot, m, unit_user_on_answer, q,
                                      now < q->deadline_usec ? q->deadline_usec - now : 1);
        sd_bus_message_unref(m);
        return r;
}

static void query_send(Query *q) {
        int r;

        r = query_call(q);
        if (r < 0)
                query_failed(q, r);
}

static int query_add_waiter(Query *q, UnitUserDone done, void *userdata) {
        Waiter *w, **last;

        w = malloc(sizeof(Waiter));
        if (!w)
                return -ENOMEM;
        *w = (Waiter) { .done = done, .userdata = userdata };
        for (last = &q->waiters; *last; last = &(*last)->next)
                ;
        *last = w;
        return 0;
}

int unit_users_get(UnitUsers *u, const char *unit, UnitUserDone done, void *userdata, uid_t *ret) {
        _cleanup_free_ char *invocation = NULL;
        Query *q;
        int r;

        if (u->query) {
                *ret = u->query(unit, u->userdata);
                return 1;
        }

        invocation = invocation_of(unit);
        for (const Answer *a = u->answers; invocation && a; a = a->next)
                if (streq(a->unit, unit) && streq(a->invocation, invocation)) {
                        *ret = a->uid;
                        return 1;
                }

        for (q = u->queries; q; q = q->next)
                if (streq(q->unit, unit))
                        return query_add_waiter(q, done, userdata);

        q = malloc(sizeof(Query));
        if (!q)
                return -ENOMEM;
        *q = (Query) {
                .users = u,
                .next = u->queries,
                .unit = strdup(unit),
                .invocation = TAKE_PTR(invocation),
                .deadline_usec = now_usec(CLOCK_MONOTONIC) + ANSWER_USEC,
        };
        u->queries = q;
        r = q->unit ? query_call(q) : -ENOMEM;
        if (r >= 0 || is_temporary(u, r)) {
                int k = query_add_waiter(q, done, userdata);

                if (k < 0) {
                        query_free(q);
                        return k;
                }
                /* A caller waits for the result, but must not get it before this returns: so it is tried again
                 * first. */
                if (r < 0)
                        query_failed(q, r);
                return 0;
        }
        query_free(q);
        unit_users_idle(u);
        return r;
}
