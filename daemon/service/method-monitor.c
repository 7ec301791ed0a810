/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json-util.h"
#include "methods.h"

struct Monitor {
        Manager *manager;
        Varlink *link;
        struct Monitor *next, *previous;
};

typedef struct Monitor Monitor;

static void monitor_free(void *data) {
        Monitor *monitor = data;

        if (monitor->previous)
                monitor->previous->next = monitor->next;
        else
                monitor->manager->monitors = monitor->next;
        if (monitor->next)
                monitor->next->previous = monitor->previous;
        free(monitor);
}

static const char *const event_kinds[_EVENT_KIND_MAX] = {
        [EVENT_STORED]    = "stored",
        [EVENT_REPLACED]  = "replaced",
        [EVENT_RETRIEVED] = "retrieved",
        [EVENT_RELEASED]  = "released",
        [EVENT_REMOVED]   = "removed",
};

static struct json_object *event_to_json(const Event *event) {
        _cleanup_json_ struct json_object *o = json_object_new_object();

        if (!o ||
            json_add_string(o, "event", event_kinds[event->kind]) < 0 ||
            json_add_string(o, "name", event->name) < 0 ||
            json_add_u64(o, "id", event->id) < 0 ||
            json_add_string(o, "owner", event->owner) < 0 ||
            json_add_u64(o, "objects", event->objects) < 0 ||
            json_add_u64(o, "bytes", event->bytes) < 0)
                return NULL;

        return TAKE_PTR(o);
}

void monitors_notify(Manager *m, const Event *event) {
        for (Monitor *i = m->monitors; i; i = i->next) {
                struct json_object *o;

                if (!peer_may(varlink_userdata(i->link), event->owner))
                        continue;

                /* A monitor that cannot be told loses its connection, so that it knows that it missed something. */
                o = event_to_json(event);
                if (o)
                        (void) varlink_notify(i->link, o);
                else
                        varlink_abort(i->link);
        }
}

int vl_method_monitor(Varlink *link, _unused_ struct json_object *parameters, VarlinkFlags flags, void *userdata) {
        Manager *m = userdata;
        _cleanup_json_ struct json_object *o = NULL;
        Monitor *monitor;
        int r;

        if (!(flags & VARLINK_MORE))
                return varlink_error_expected_more(link);

        o = json_object_new_object();
        if (!o || json_add_string(o, "event", "ready") < 0)
                return -ENOMEM;

        monitor = malloc(sizeof(Monitor));
        if (!monitor)
                return -ENOMEM;
        *monitor = (Monitor) { .manager = m, .link = link, .next = m->monitors };
        if (monitor->next)
                monitor->next->previous = monitor;
        m->monitors = monitor;

        r = varlink_keep(link, /* work= */ NULL, monitor_free, monitor);
        if (r < 0)
                return r;
        return varlink_notify(link, TAKE_PTR(o));
}
