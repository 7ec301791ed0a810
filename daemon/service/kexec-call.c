/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-login.h>

#include "disk-directory.h"
#include "json-util.h"
#include "kexec-call.h"
#include "kexec-facts.h"
#include "log.h"
#include "methods.h"

/* An answer is not longer; texts and lists in it are limited, except for trees that cannot be stored. */
#define ANSWER_BYTES_MAX MIB(1)

/* More than counting all trees may take. */
#define ANSWER_USEC (40 * USEC_PER_SEC)

/* A call that waits for an answer. */
typedef struct KexecCall {
        Manager *manager;
        Varlink *link;
        bool asked; /* the process that runs now was started after this call came */
        struct KexecCall *next, *previous;
} KexecCall;

/* The process that judges. */
typedef struct KexecRun {
        Manager *manager;
        int fd;
        sd_event_source *io, *timer;
        char *text;
        size_t size, allocated;
} KexecRun;

static KexecRun *kexec_run_free(KexecRun *run) {
        if (!run)
                return NULL;

        run->manager->kexec_run = NULL;
        sd_event_source_disable_unref(run->io);
        sd_event_source_disable_unref(run->timer);
        safe_close(run->fd);
        free(run->text);
        free(run);
        return NULL;
}

static void kexec_call_free(void *data) {
        KexecCall *call = data;

        if (call->previous)
                call->previous->next = call->next;
        else
                call->manager->kexec_calls = call->next;
        if (call->next)
                call->next->previous = call->previous;
        else if (!call->previous)
                /* The last one is gone. */
                kexec_run_free(call->manager->kexec_run);
        free(call);
}

/* Replies with what only pkramd knows in the place of what the process thinks. answer is borrowed. */
static int send_answer(Manager *m, Varlink *link, struct json_object *answer) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        _cleanup_error_ StoreError e = {};
        bool keeps = json_get_bool(answer, "keeps", false);
        KexecPolicy policy = m->config.kexec_policy;
        struct pkram_ioctl_info info;
        int r;

        r = store_info(m->store, &info, &e);
        if (r < 0 && !disk_problem_text(r))
                return reply_store_error(link, r, &e);
        if (r < 0)
                info = (struct pkram_ioctl_info) {};
        if (!o)
                return -ENOMEM;

        json_object_object_foreach(answer, key, value) {
                if (streq(key, "imageState"))
                        continue;
                if (streq(key, "refused"))
                        r = json_add_bool(o, key, !keeps && policy != KEXEC_POLICY_WARN &&
                                          policy != KEXEC_POLICY_FORCE);
                else if (streq(key, "policy")) {
                        r = json_add_string(o, key, kexec_policy_to_string(policy));
                        if (r >= 0)
                                r = json_add_string(o, "imageState", image_state_to_string(info.image_state));
                } else
                        r = json_add(o, key, json_object_get(value));
                if (r < 0)
                        return r;
        }
        r = add_run_notes(o, varlink_userdata(link));
        return r < 0 ? r : varlink_reply(link, TAKE_PTR(o));
}

/* Has the answer what every reply needs? */
static bool answer_is_complete(struct json_object *answer) {
        return json_get(answer, "keeps") && json_get(answer, "refused") && json_get(answer, "nodes") &&
                json_get(answer, "bytes") && json_get_string(answer, "reason") && json_get_string(answer, "text") &&
                json_get_string(answer, "policy");
}

/* What can be told from here: trees and units are counted, but not looked at. */
static int answer_quickly(Manager *m, Varlink *link) {
        const KexecSources sources = {
                .utab = m->utab_path, .mounts = m->mounts_path, .units = m->units_path ?: "/proc/none",
        };
        _cleanup_kexec_state_ KexecState state = {};
        _cleanup_json_ struct json_object *answer = NULL;
        _cleanup_error_ StoreError e = {};
        KexecCheck check;
        int r;

        r = kexec_state_collect(store_device(m->store), &m->config, &sources, /* flags= */ 0, &state);
        if (r < 0)
                return reply_store_error(link, r, &e);
        kexec_check(&state.facts, /* image= */ NULL, m->config.kexec_policy, &check);
        answer = kexec_check_to_json(&check, &state, m->config.kexec_policy);
        return answer ? send_answer(m, link, answer) : -ENOMEM;
}

static int kexec_run_new(Manager *m);

/* Answers all calls that were there when the process was started, and starts it again for later ones. NULL: it
 * failed. */
static void kexec_run_finish(KexecRun *run, struct json_object *answer) {
        Manager *m = run->manager;
        KexecCall *next;

        kexec_run_free(run);
        for (KexecCall *call = m->kexec_calls; call; call = next) {
                next = call->next;
                if (!call->asked)
                        continue;
                /* The reply frees the call. */
                if (answer)
                        (void) send_answer(m, call->link, answer);
                else
                        (void) answer_quickly(m, call->link);
        }
        if (m->kexec_calls && kexec_run_new(m) < 0)
                for (KexecCall *call = m->kexec_calls; call; call = next) {
                        next = call->next;
                        (void) answer_quickly(m, call->link);
                }
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        log_warning("pkram-kexec-check@.service does not answer, continuing without it.");
        kexec_run_finish(userdata, /* answer= */ NULL);
        return 0;
}

static void on_end(KexecRun *run) {
        _cleanup_json_ struct json_object *answer = NULL;
        int r;

        r = run->size == 0 ? -ENODATA : json_parse_strict(run->text, run->size, &answer, /* reterr_key= */ NULL);
        if (r >= 0 && !answer_is_complete(answer))
                r = -EBADMSG;
        if (r < 0)
                log_warning("Failed to get an answer of pkram-kexec-check@.service, judging without it: %s",
                            strerror(-r));
        kexec_run_finish(run, r < 0 ? NULL : answer);
}

static int kexec_call_on_answer(_unused_ sd_event_source *source, int fd, _unused_ uint32_t revents, void *userdata) {
        KexecRun *run = userdata;
        ssize_t n;

        if (run->size >= ANSWER_BYTES_MAX || GREEDY_REALLOC(run->text, run->allocated, run->size + KIB(16)) < 0) {
                run->size = 0;
                on_end(run);
                return 0;
        }
        n = read(fd, run->text + run->size, KIB(16));
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n > 0)
                run->size += (size_t) n;
        else
                on_end(run);
        return 0;
}

static int connect_to_check(const char *path) {
        _cleanup_close_ int fd = -EBADF;
        union {
                struct sockaddr sa;
                struct sockaddr_un un;
        } address = { .un.sun_family = AF_UNIX };

        if (strlen(path) >= sizeof(address.un.sun_path))
                return -EINVAL;
        memcpy(address.un.sun_path, path, strlen(path) + 1);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || connect(fd, &address.sa, sizeof(address.un)) < 0)
                return -errno;
        return TAKE_FD(fd);
}

/* Starts a process for all calls that wait. */
static int kexec_run_new(Manager *m) {
        KexecRun *run;
        int r;

        run = malloc(sizeof(KexecRun));
        if (!run)
                return -ENOMEM;
        *run = (KexecRun) { .manager = m, .fd = connect_to_check(m->check_path) };
        m->kexec_run = run;
        r = run->fd;
        if (r >= 0)
                r = sd_event_add_io(m->event, &run->io, run->fd, EPOLLIN, kexec_call_on_answer, run);
        if (r >= 0)
                r = sd_event_add_time_relative(m->event, &run->timer, CLOCK_MONOTONIC, ANSWER_USEC, USEC_PER_SEC,
                                               on_timer, run);
        if (r < 0) {
                kexec_run_free(run);
                return r;
        }
        for (KexecCall *call = m->kexec_calls; call; call = call->next)
                call->asked = true;
        return 0;
}

int vl_method_check_kexec(
                Varlink *link,
                _unused_ struct json_object *parameters,
                _unused_ VarlinkFlags flags,
                void *userdata) {

        _cleanup_error_ StoreError e = {};
        struct pkram_ioctl_info info;
        Manager *m = userdata;
        KexecCall *call;
        int r;

        r = store_info(m->store, &info, &e);
        /* If the disk cannot be used, the answer says so. */
        if (r < 0 && !disk_problem_text(r))
                return reply_store_error(link, r, &e);

        call = malloc(sizeof(KexecCall));
        if (!call)
                return -ENOMEM;
        *call = (KexecCall) { .manager = m, .link = link, .next = m->kexec_calls };
        if (call->next)
                call->next->previous = call;
        m->kexec_calls = call;

        r = m->kexec_run ? 0 : m->check_path ? kexec_run_new(m) : -ENOENT;
        if (r < 0) {
                kexec_call_free(call);
                if (r != -ENOENT)
                        log_warning("Failed to start pkram-kexec-check@.service, judging without it: %s",
                                    strerror(-r));
                return answer_quickly(m, link);
        }
        return varlink_keep(link, /* work= */ NULL, kexec_call_free, call);
}

void kexec_call_mark_unit(Manager *m, const Peer *peer, struct json_object *parameters) {
        struct pollfd pfd = { .fd = peer->pidfd, .events = POLLIN };
        _cleanup_free_ char *unit = NULL;
        const char *name = peer->owner;
        int r;

        if (!m->units_path || json_get(parameters, "owner"))
                return;
        /* Users that run in the unit of another owner own their nodes, but the unit holds the memory. */
        if (!kexec_unit_counts(name)) {
                if (peer->pidfd < 0 || sd_pid_get_unit(peer->pid, &unit) < 0 || poll(&pfd, 1, 0) != 0)
                        return;
                name = unit;
        }
        if (!kexec_unit_counts(name) || unit_list_has(&m->marked_units, name))
                return;
        r = kexec_unit_mark(m->units_path, name);
        if (r >= 0)
                r = unit_list_add(&m->marked_units, name);
        if (r < 0)
                log_warning("Failed to note that %s stores memory, ignoring: %s", name, strerror(-r));
}
