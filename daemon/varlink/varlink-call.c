/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A call on a connection, as its method sees it: descriptors, replies, and keeping it for later. */
#include <sys/epoll.h>

#include "json-util.h"
#include "varlink-internal.h"

/* Has a link that is broken freed soon. */
static int link_wake(Varlink *link) {
        int r;

        r = sd_event_source_set_time_relative(link->wake_source, 0);
        return r < 0 ? r : sd_event_source_set_enabled(link->wake_source, SD_EVENT_ONESHOT);
}

Budget *varlink_link_budget(const Varlink *link) {
        return link->group ? link->group->budget : NULL;
}

bool varlink_link_may_call(const Varlink *link) {
        return link->state == LINK_IDLE && !link->throttled && message_stream_queued(link->stream) == 0;
}

bool varlink_link_has_call(const Varlink *link) {
        return varlink_link_may_call(link) && message_stream_pending(link->stream);
}

bool varlink_link_may_work(const Varlink *link) {
        size_t queued = message_stream_queued(link->stream);

        return link->state == LINK_KEPT && link->work && queued <= link->server->limits->message.output_bytes / 4 &&
                (queued <= MESSAGE_SMALL || message_stream_admits(link->stream, MESSAGE_SMALL));
}

int varlink_link_update(Varlink *link) {
        bool writing = message_stream_queued(link->stream) > 0, pending = message_stream_pending(link->stream);
        bool deaf = link->state == LINK_KEPT && (link->flags & VARLINK_ONEWAY);
        uint32_t events = 0;
        int r;

        if (varlink_link_may_call(link) && !pending && !link->input_ended)
                events |= EPOLLIN;
        if (writing)
                events |= EPOLLOUT;

        r = sd_event_source_set_io_events(link->io_source, events);
        if (r < 0)
                return r;
        /* A caller that wants no reply may be gone already, and its call continues anyway. */
        r = sd_event_source_set_enabled(link->io_source, deaf ? SD_EVENT_OFF : SD_EVENT_ON);
        if (r < 0)
                return r;

        if (varlink_link_may_work(link) || varlink_link_has_call(link)) {
                r = varlink_server_wake(link->server);
                if (r < 0)
                        return r;
        }
        if (link->throttled)
                return 0; /* until the time that was set */
        r = sd_event_source_set_enabled(link->wake_source, SD_EVENT_OFF);
        return r < 0 ? r : 0;
}

/* Closes descriptors that came from the client, or were to go to it. */
static void link_close_fds(Varlink *link, int *fds, size_t n) {
        if (link->group)
                closer_close_many(link->group->budget, fds, n);
        else
                close_many(fds, n);
}

static void link_unreserve(Varlink *link) {
        Budget *b = varlink_link_budget(link);

        if (b) {
                b->bytes -= link->reserved_bytes;
                b->fds -= MIN(b->fds, link->reserved_fds);
        }
        link->reserved_bytes = link->reserved_fds = 0;
}

void varlink_link_end_call(Varlink *link) {
        VarlinkDone done = TAKE_PTR(link->done);

        if (link->in_fds)
                link_close_fds(link, link->in_fds, link->n_in_fds);
        free(TAKE_PTR(link->in_fds));
        link->n_in_fds = 0;
        varlink_reset_fds(link);
        link_unreserve(link);

        link->flags = 0;
        link->interface = NULL;
        link->symbol = NULL;
        link->work = NULL;
        if (done)
                done(TAKE_PTR(link->data));
}

int varlink_fd(const Varlink *link) {
        return message_stream_fd(link->stream);
}

void *varlink_userdata(const Varlink *link) {
        return link->userdata;
}

void *varlink_server_userdata(const Varlink *link) {
        return link->server->userdata;
}

void varlink_set_userdata(Varlink *link, void *userdata) {
        link->userdata = userdata;
}

size_t varlink_n_fds(const Varlink *link) {
        return link->n_in_fds;
}

int varlink_peek_fd(const Varlink *link, int64_t index) {
        if (index < 0 || (uint64_t) index >= link->n_in_fds)
                return -EBADF;
        return link->in_fds[index];
}

int varlink_push_fd(Varlink *link, int fd) {
        Budget *b = varlink_link_budget(link);
        int r;

        closer_mark(fd, CLOSER_FOREIGN);
        if (link->reserved_fds > 0)
                link->reserved_fds--;
        else if (b)
                b->fds++;

        r = GREEDY_REALLOC(link->out_fds, link->out_fds_allocated, link->n_out_fds + 1);
        if (r < 0) {
                link_close_fds(link, &fd, 1);
                return r;
        }

        link->out_fds[link->n_out_fds++] = fd;
        return (int) (link->n_out_fds - 1);
}

void varlink_reset_fds(Varlink *link) {
        if (link->n_out_fds > 0)
                link_close_fds(link, link->out_fds, link->n_out_fds);
        link->n_out_fds = 0;
}

/* Forgets about descriptors that the clients of the owner have read. */
static void budget_settle(const Varlink *link) {
        for (Varlink *i = link->server->links; i; i = i->next)
                if (i->group == link->group)
                        (void) message_stream_in_flight(i->stream);
}

int varlink_reserve(Varlink *link, size_t bytes, size_t fds) {
        const MessageLimits *l = &link->server->limits->message;
        Budget *b = varlink_link_budget(link);

        assert(link->reserved_bytes == 0 && link->reserved_fds == 0);

        if (!b)
                return 1;
        if (fds > 0 && b->fds + fds > l->owner_fds)
                budget_settle(link);
        if (fds > 0 && b->fds + fds > l->owner_fds)
                return link->server->refuse ? link->server->refuse(link, "OwnerDescriptorsMax", b->fds, fds) : -EDQUOT;
        if (bytes > MESSAGE_SMALL && b->bytes + bytes > l->owner_bytes)
                return link->server->refuse ? link->server->refuse(link, "OwnerBufferBytesMax", b->bytes, bytes) :
                        -EDQUOT;

        b->bytes += bytes;
        b->fds += fds;
        link->reserved_bytes = bytes;
        link->reserved_fds = fds;
        return 1;
}

/* Marks a link as broken. It is not freed here, since its own code may be what is running. */
static int link_kill(Varlink *link, int r) {
        link->state = LINK_DEAD;
        (void) link_wake(link);
        return r;
}

/* Puts a message, or NULL if there was no memory for it, into the queue. A link that cannot take it is of no more
 * use. */
static int link_send(Varlink *link, const char *text, size_t length) {
        size_t n = TAKE(link->n_out_fds, 0);
        int r;

        if (!text) {
                if (n > 0)
                        link_close_fds(link, link->out_fds, n);
                r = -ENOMEM;
        } else
                r = message_stream_queue(link->stream, text, length, link->out_fds, n);
        if (r < 0)
                return link_kill(link, r);
        return link->working ? 0 : varlink_link_update(link);
}

static int varlink_call_build(const char *error, struct json_object *parameters, bool continues,
                              struct json_object **ret) {
        _cleanup_json_ struct json_object *p = parameters, *m = NULL;
        int r;

        m = json_object_new_object();
        if (!p)
                p = json_object_new_object();
        if (!m || !p)
                return -ENOMEM;

        if (error) {
                r = json_add_string(m, "error", error);
                if (r < 0)
                        return r;
        }
        r = json_add(m, "parameters", TAKE_PTR(p));
        if (r < 0)
                return r;
        if (continues) {
                r = json_add_bool(m, "continues", true);
                if (r < 0)
                        return r;
        }

        *ret = TAKE_PTR(m);
        return 0;
}

/* Replies have to be what the description promises; a server that checks itself does not survive anything else. */
static void check_reply(const Varlink *link, const char *error, struct json_object *parameters) {
        const IdlType *type = NULL;
        const IdlInterface *interface = link->interface;

        if (!error)
                type = link->symbol ? &link->symbol->output : NULL;
        else
                for (size_t i = 0; i < link->server->n_interfaces; i++) {
                        const char *e = startswith(error, link->server->interfaces[i]->name);
                        const IdlSymbol *symbol = e && *e == '.' ?
                                idl_find(link->server->interfaces[i], IDL_ERROR, e + 1) : NULL;

                        if (symbol) {
                                type = &symbol->input;
                                interface = link->server->interfaces[i];
                        }
                }

        if (!type || idl_validate(interface, type, parameters, /* reterr_field= */ NULL) < 0)
                abort();
}

static int varlink_call_answer(Varlink *link, const char *error, struct json_object *parameters, bool continues) {
        _cleanup_json_ struct json_object *m = NULL;
        bool silent = link->flags & VARLINK_ONEWAY;
        const char *text;
        size_t length = 0;
        int r;

        if (link->state == LINK_DEAD) {
                (void) json_object_put(parameters);
                return -ECONNRESET;
        }

        if (link->server->check_replies)
                check_reply(link, error, parameters);

        r = varlink_call_build(error, parameters, continues, &m);
        if (r < 0)
                return link_kill(link, r);

        if (silent)
                varlink_reset_fds(link);
        else {
                text = json_text(m, &length);
                /* What the reply is made of goes with the call. */
                link_unreserve(link);
                if (text && !error && !continues && link->server->refuse &&
                    !message_stream_admits(link->stream, length)) {
                        Budget *b = varlink_link_budget(link);

                        varlink_reset_fds(link);
                        return link->server->refuse(link, "OwnerBufferBytesMax", b ? b->bytes : 0, length);
                }
                r = link_send(link, text, length);
        }
        if (continues || link->state == LINK_DEAD)
                return r;

        /* Within a method the dispatcher goes on by itself; otherwise the link has to be woken up. */
        bool kept = link->state == LINK_KEPT;
        link->state = LINK_IDLE;
        varlink_link_end_call(link);
        return kept ? varlink_link_update(link) : 0;
}

int varlink_reply(Varlink *link, struct json_object *parameters) {
        return varlink_call_answer(link, /* error= */ NULL, parameters, /* continues= */ false);
}

int varlink_notify(Varlink *link, struct json_object *parameters) {
        assert(link->flags & VARLINK_MORE);

        return varlink_call_answer(link, /* error= */ NULL, parameters, /* continues= */ true);
}

int varlink_notify_text(Varlink *link, const char *parameters, size_t length) {
        static const char begin[] = "{\"parameters\":", end[] = ",\"continues\":true}";
        _cleanup_free_ char *text = NULL;

        assert(link->flags & VARLINK_MORE);

        if (link->state == LINK_DEAD)
                return -ECONNRESET;
        if (link->server->check_replies) {
                _cleanup_json_ struct json_object *o = NULL;

                if (json_parse_own(parameters, length, &o, /* reterr_key= */ NULL) < 0)
                        abort();
                check_reply(link, /* error= */ NULL, o);
        }

        text = malloc(strlen(begin) + length + strlen(end));
        if (text)
                (void) mempcpy(mempcpy(mempcpy(text, begin, strlen(begin)), parameters, length), end, strlen(end));
        return link_send(link, text, strlen(begin) + length + strlen(end));
}

int varlink_error(Varlink *link, const char *error, struct json_object *parameters) {
        varlink_reset_fds(link);
        return varlink_call_answer(link, error, parameters, /* continues= */ false);
}

int varlink_error_invalid_parameter(Varlink *link, const char *parameter) {
        return varlink_error_string(link, VARLINK_ERROR_INVALID_PARAMETER, "parameter", parameter);
}

int varlink_error_permission_denied(Varlink *link) {
        return varlink_error(link, VARLINK_ERROR_PERMISSION_DENIED, /* parameters= */ NULL);
}

int varlink_error_expected_more(Varlink *link) {
        return varlink_error(link, VARLINK_ERROR_EXPECTED_MORE, /* parameters= */ NULL);
}

int varlink_error_string(Varlink *link, const char *error, const char *key, const char *value) {
        _cleanup_json_ struct json_object *p = NULL;

        p = json_object_new_object();
        if (!p || json_add_string(p, key, value) < 0)
                return link_kill(link, -ENOMEM);

        return varlink_error(link, error, TAKE_PTR(p));
}

int varlink_keep(Varlink *link, VarlinkWork work, VarlinkDone done, void *data) {
        assert(link->state == LINK_CALL);

        link->state = LINK_KEPT;
        link->work = work;
        link->done = done;
        link->data = data;
        return varlink_link_update(link);
}

void varlink_abort(Varlink *link) {
        (void) link_kill(link, 0);
}
