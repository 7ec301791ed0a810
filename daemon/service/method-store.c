/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base64.h"
#include "job.h"
#include "json-util.h"
#include "kexec-call.h"
#include "log.h"
#include "methods.h"
#include "pkram-messages.h"
#include "time-util.h"
#include "tree-call.h"
#include "tree-error.h"

/* The items of a call, with the data that had to be decoded for them. Names are those of the message. */
typedef struct Items {
        StoreItem *item;
        size_t n;
} Items;

static void items_done(Items *items) {
        for (size_t i = 0; i < items->n; i++)
                free((void *) items->item[i].data);
        free(items->item);
}

/* A Store from its call to its reply. */
typedef struct StoreJob {
        Manager *manager;
        char *name;
        char *owner;
        Items items;
        StoreSave *save;
        uint64_t begin_usec;
        Varlink *link;  /* with a tree */
        TreeCall *call;
} StoreJob;

static void store_job_free(void *data) {
        StoreJob *job = data;

        tree_call_free(job->call);
        store_save_free(job->save);
        items_done(&job->items);
        free(job->name);
        free(job->owner);
        free(job);
}

static void store_job_freep(StoreJob **job) {
        if (*job)
                store_job_free(*job);
}

static int invalid_field(StoreError *e, const char *field, size_t index) {
        char path[64];

        (void) snprintf(path, sizeof(path), "objects[%zu].%s", index, field);
        return store_error_set(e, -EINVAL, STORE_ERROR_INVALID_PARAMETER, path, NULL);
}

static int parse_item(Varlink *link, struct json_object *o, size_t index, StoreItem *item, StoreError *e) {
        struct json_object *fd = json_get(o, "fileDescriptor"), *data = json_get(o, "data");
        int r;

        item->name = json_get_string(o, "name");

        if (!fd == !data)
                return invalid_field(e, fd ? "data" : "fileDescriptor", index);

        if (fd) {
                item->fd = varlink_peek_fd(link, json_object_get_int64(fd));
                return item->fd < 0 ? invalid_field(e, "fileDescriptor", index) : 0;
        }

        void *decoded;
        r = base64_decode(json_object_get_string(data), (size_t) json_object_get_string_len(data),
                          STORE_DATA_BYTES_MAX, &decoded, &item->size);
        if (r == -EFBIG)
                return store_error_set(e, r, STORE_ERROR_NOT_PRESERVABLE, NULL,
                                       "Object %zu cannot be preserved: inline data is longer than 1 MiB; "
                                       "store it in a memfd (memfd_create(2)).", index);
        if (r == -EINVAL)
                return invalid_field(e, "data", index);
        if (r < 0)
                return store_error_device(e, r);

        item->data = decoded;
        return 0;
}

static int parse_items(Varlink *link, struct json_object *array, Items *items, StoreError *e) {
        size_t n = json_object_array_length(array);
        int r;

        items->item = calloc(n + 1, sizeof(StoreItem));
        if (!items->item)
                return store_error_device(e, -ENOMEM);

        for (size_t i = 0; i < n; i++) {
                items->item[i].fd = -EBADF;
                items->n++;

                r = parse_item(link, json_object_array_get_idx(array, i), i, items->item + i, e);
                if (r < 0)
                        return r;
        }

        return 0;
}

static void store_job_announce(const StoreJob *job, const StoreSaved *saved) {
        uint64_t usec = now_usec(CLOCK_MONOTONIC) - job->begin_usec;

        JournalFields f = JOURNAL_FIELDS_NONE;
        f.node = job->name;
        f.owner = job->owner;
        f.bytes = saved->size;
        f.objects = saved->objects;
        f.generation = 0;
        f.usec = usec;
        journal_entry(LOG_INFO, PKRAM_MESSAGE_STORED_STR, &f,
                      "Stored node '%s' of %s: %llu object%s, %llu bytes, in %llu us%s.",
                      job->name, job->owner, (unsigned long long) saved->objects, saved->objects == 1 ? "" : "s",
                      (unsigned long long) saved->size, (unsigned long long) usec,
                      saved->replaced ? ", replacing an older one" : "");

        monitors_notify(job->manager, &(Event) {
                .kind = saved->replaced ? EVENT_REPLACED : EVENT_STORED,
                .name = job->name,
                .owner = job->owner,
                .id = saved->id,
                .objects = saved->objects,
                .bytes = saved->bytes,
        });
}

/* Changes the value of a member, if there is one. Cannot fail. */
static void reply_set(struct json_object *o, const char *key, uint64_t value) {
        struct json_object *member = json_get(o, key);

        if (member)
                (void) json_object_set_int64(member, (int64_t) MIN(value, (uint64_t) INT64_MAX));
}

static int store_job_finish(Varlink *link, StoreJob *job) {
        _cleanup_json_ struct json_object *o = NULL;
        _cleanup_error_ StoreError e = {};
        StoreSaved saved;
        int r;

        /*
         * All members of the reply are allocated before the commit and get their values after it: a node that is
         * stored must not be reported as a failure.
         */
        o = json_object_new_object();
        if (!o || json_add_u64(o, "id", 0) < 0 || json_add_u64(o, "bytes", 0) < 0 ||
            (job->link && json_add_u64(o, "objects", 0) < 0))
                return reply_store_error(link, -ENOMEM, &(StoreError) { .kind = STORE_ERROR_NO_MEMORY });

        r = store_save_commit(job->save, &saved, &e);
        if (r < 0)
                return reply_store_error(link, r, &e);

        store_job_announce(job, &saved);
        reply_set(o, "id", saved.id);
        reply_set(o, "bytes", saved.bytes);
        reply_set(o, "objects", saved.objects);
        return varlink_reply(link, TAKE_PTR(o));
}

static int store_step(void *data, StoreError *e) {
        return store_save_step(((StoreJob *) data)->save, e);
}

static int store_finish(Varlink *link, void *data) {
        return store_job_finish(link, data);
}

static const JobType store_job = {
        .step = store_step,
        .finish = store_finish,
        .fail = reply_store_error,
        .free = store_job_free,
};

/* Forgets what belongs to the message. Returns how many bytes of data the items have. */
static size_t items_forget_names(Items *items) {
        size_t bytes = 0;

        for (size_t i = 0; i < items->n; i++) {
                items->item[i].name = NULL;
                bytes += items->item[i].size;
        }
        return bytes;
}

static int store_job_new(Varlink *link, struct json_object *parameters, Manager *m, StoreJob **ret) {
        const Peer *peer = varlink_userdata(link);
        const char *owner = json_get_string(parameters, "owner") ?: peer->owner;
        _cleanup_(store_job_freep) StoreJob *job = NULL;

        job = calloc(1, sizeof(StoreJob));
        if (!job)
                return -ENOMEM;
        job->manager = m;
        job->begin_usec = now_usec(CLOCK_MONOTONIC);
        job->name = strdup(json_get_string(parameters, "name"));
        job->owner = strdup(owner);
        if (!job->name || !job->owner)
                return -ENOMEM;

        *ret = TAKE_PTR(job);
        return 0;
}

/* The importance on disk, in which 0 stands for "never". Returns false if it is out of range. */
static bool persist_is_valid(struct json_object *parameters) {
        int64_t n = json_get_int(parameters, "persist", 0);

        return n >= 0 && n <= PERSIST_MAX;
}

static StoreFlags store_flags(struct json_object *parameters) {
        int persist = PERSIST_DEFAULT;

        if (json_get(parameters, "persist"))
                persist = (int) json_get_int(parameters, "persist", 0) ?: PERSIST_NEVER;
        return (json_get_bool(parameters, "replace", false) ? STORE_REPLACE : 0) |
                (json_get_bool(parameters, "verify", false) ? STORE_VERIFY : 0) |
                (json_get_bool(parameters, "skipSpecial", false) ? STORE_SKIP_SPECIAL : 0) | STORE_PERSIST(persist);
}

int vl_method_store(Varlink *link, struct json_object *parameters, _unused_ VarlinkFlags flags, void *userdata) {
        Manager *m = userdata;
        _cleanup_(store_job_freep) StoreJob *job = NULL;
        _cleanup_error_ StoreError e = {};
        int r;

        if (!persist_is_valid(parameters))
                return varlink_error_invalid_parameter(link, "persist");
        kexec_call_mark_unit(m, varlink_userdata(link), parameters);

        r = store_job_new(link, parameters, m, &job);
        if (r < 0)
                return r;

        r = parse_items(link, json_get_array(parameters, "objects"), &job->items, &e);
        if (r < 0)
                return reply_store_error(link, r, &e);

        r = store_save_new(m->store, varlink_userdata(link), job->owner, job->name, job->items.item, job->items.n,
                           store_flags(parameters), &job->save, &e);
        if (r >= 0)
                r = store_save_step(job->save, &e);
        if (r < 0)
                return reply_store_error(link, r, &e);
        if (r == 0)
                return store_job_finish(link, job);

        /* The message is gone when the work goes on, but not what was decoded. */
        r = varlink_reserve(link, items_forget_names(&job->items), /* fds= */ 0);
        return r <= 0 ? r : job_keep(link, &store_job, TAKE_PTR(job));
}

/* --- StoreTree --- */

static int read_checksums(struct json_object *array, size_t n, Checksums *ret) {
        for (size_t i = 0; i < n; i++) {
                const char *text = json_object_get_string(json_object_array_get_idx(array, i));

                if (!text || strlen(text) != CHECKSUM_HEX_LENGTH)
                        return -EBADMSG;
                memcpy(ret->objects[i], text, CHECKSUM_HEX_LENGTH + 1);
        }
        return 0;
}

static int take_tree(StoreJob *job, struct json_object *parameters, StoreError *e) {
        _cleanup_checksums_ Checksums sums = {};
        struct json_object *array = json_get_array(parameters, "checksums");
        int64_t bytes = json_get_int(parameters, "bytes", -1), meta_bytes = json_get_int(parameters, "metadataBytes",
                                                                                         -1);
        int64_t size = json_get_int(parameters, "size", -1), n = json_get_int(parameters, "objects", -1);
        int r;

        if (bytes < 0 || meta_bytes < 0 || size < 0 || n < 0 || n > UINT32_MAX || !array)
                return -EBADMSG;
        r = checksums_init(&sums, (size_t) n);
        if (r < 0)
                return store_error_device(e, r);
        if (json_object_array_length(array) > 0) {
                r = read_checksums(array, (size_t) n, &sums);
                if (r < 0)
                        return r;
        }
        return store_save_take_tree(job->save, (uint64_t) bytes, (uint64_t) meta_bytes, (uint64_t) size, &sums, e);
}

static void on_tree_progress(struct json_object *parameters, void *userdata) {
        tree_call_tell_progress(((StoreJob *) userdata)->link, parameters);
}

static void on_tree_saved(int r, struct json_object *parameters, const StoreError *error, void *userdata) {
        _cleanup_error_ StoreError e = {};
        StoreJob *job = userdata;

        if (r >= 0) {
                r = take_tree(job, parameters, &e);
                error = &e;
        }

        /* The reply frees the job. If there is none, the connection ends, so that the caller does not wait for it. */
        Varlink *link = job->link;
        r = r < 0 ? reply_store_error(link, r, error) : store_job_finish(link, job);
        if (r < 0)
                varlink_abort(link);
}

static struct json_object *store_limits_to_json(const Config *c) {
        static const LimitId ids[] = { LIMIT_TOTAL_BYTES, LIMIT_OWNER_BYTES, LIMIT_USER_BYTES, LIMIT_NODE_BYTES,
                                       LIMIT_OBJECTS };
        _cleanup_json_ struct json_object *array = json_object_new_array();

        for (size_t i = 0; i < ELEMENTSOF(ids); i++) {
                _cleanup_json_ struct json_object *o = json_object_new_object();

                if (!array || !o || json_add_string(o, "name", limit_name(ids[i])) < 0 ||
                    json_add_u64(o, "value", c->limit[ids[i]]) < 0 || json_append(array, TAKE_PTR(o)) < 0)
                        return NULL;
        }
        return TAKE_PTR(array);
}

static struct json_object *usage_to_json(const Usage *u) {
        _cleanup_json_ struct json_object *o = json_object_new_object();

        if (!o || json_add_u64(o, "totalBytes", u->total_bytes) < 0 ||
            json_add_u64(o, "ownerBytes", u->owner_bytes) < 0 || json_add_u64(o, "totalNodes", u->total_nodes) < 0 ||
            json_add_u64(o, "ownerNodes", u->owner_nodes) < 0)
                return NULL;
        return TAKE_PTR(o);
}

static int store_tree_call_worker(StoreJob *job, const Peer *peer, int directory, StoreFlags flags, bool more,
                                  StoreError *e) {
        int fds[2] = { store_save_session(job->save), directory };
        _cleanup_json_ struct json_object *p = json_object_new_object();

        if (!p || json_add_int(p, "session", 0) < 0 || json_add_int(p, "directory", 1) < 0 ||
            json_add(p, "caller", tree_caller_to_json(peer, store_save_owner(job->save))) < 0 ||
            json_add_bool(p, "verify", flags & STORE_VERIFY) < 0 ||
            json_add_bool(p, "skipSpecial", flags & STORE_SKIP_SPECIAL) < 0 ||
            json_add(p, "limits", store_limits_to_json(&job->manager->config)) < 0 ||
            json_add(p, "usage", usage_to_json(store_save_usage(job->save))) < 0)
                return store_error_device(e, -ENOMEM);

        return tree_call_new(job->manager, peer, TREE_CALL_SAVE, /* node_id= */ 0, TAKE_PTR(p), fds, 2,
                             more ? on_tree_progress : NULL, on_tree_saved, job, &job->call, e);
}

int vl_method_store_tree(Varlink *link, struct json_object *parameters, VarlinkFlags flags, void *userdata) {
        Manager *m = userdata;
        const Peer *peer = varlink_userdata(link);
        _cleanup_(store_job_freep) StoreJob *job = NULL;
        _cleanup_error_ StoreError e = {};
        int r, fd;

        fd = varlink_peek_fd(link, json_get_int(parameters, "directory", -1));
        if (fd < 0)
                return varlink_error_invalid_parameter(link, "directory");
        if (!persist_is_valid(parameters))
                return varlink_error_invalid_parameter(link, "persist");
        kexec_call_mark_unit(m, peer, parameters);

        r = store_job_new(link, parameters, m, &job);
        if (r < 0)
                return r;
        job->link = link;

        r = tree_call_check(m, peer, fd, TREE_CALL_SAVE, &e);
        if (r >= 0)
                r = store_save_new_tree(m->store, peer, job->owner, job->name, store_flags(parameters), &job->save,
                                        &e);
        if (r >= 0)
                r = store_tree_call_worker(job, peer, fd, store_flags(parameters), flags & VARLINK_MORE, &e);
        if (r < 0)
                return reply_store_error(link, r, &e);

        r = varlink_keep(link, /* work= */ NULL, store_job_free, job);
        TAKE_PTR(job);
        return r;
}
