/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <time.h>

#include "format.h"
#include "guest.h"
#include "refuse.h"
#include "time-util.h"
#include "utf8.h"

/* For an answer of a QEMU that has nothing else to do, on a slow machine. */
#define ANSWER_USEC (20 * USEC_PER_SEC)

/* Between two questions how far QEMU is. */
#define POLL_USEC 10000U

void guest_facts_done(GuestFacts *f) {
        free(f->machine);
        *f = (GuestFacts) {};
}

static int guest_command(Qmp *q, const char *name, uint64_t usec) {
        return qmp_execute(q, name, /* arguments= */ NULL, usec, /* ret= */ NULL, /* reterr= */ NULL);
}

/* --- checks --- */

/* Shared memory stays where it is, everything else goes into the state. */
static int set_mode(Qmp *q, const char *version, char **reterr) {
        _cleanup_json_ struct json_object *arguments = json_object_new_object(), *list = json_object_new_array(),
                *capability = json_object_new_object(), *parameters = json_object_new_object();
        _cleanup_free_ char *why = NULL;
        int r;

        if (!arguments || !list || !capability || !parameters ||
            json_add_string(capability, "capability", "x-ignore-shared") < 0 ||
            json_add_bool(capability, "state", true) < 0 || json_append(list, TAKE_PTR(capability)) < 0 ||
            json_add(arguments, "capabilities", TAKE_PTR(list)) < 0 ||
            json_add_string(parameters, "mode", "cpr-reboot") < 0)
                return -ENOMEM;

        r = qmp_execute(q, "migrate-set-capabilities", TAKE_PTR(arguments), ANSWER_USEC, NULL, &why);
        if (r >= 0)
                r = qmp_execute(q, "migrate-set-parameters", TAKE_PTR(parameters), ANSWER_USEC, NULL, &why);
        if (r == -EREMOTEIO)
                return refuse(reterr, "QEMU %s cannot keep a guest's memory (cpr-reboot, "
                              "from version 9.0 on): %s.", version, why);
        return r;
}

/* Something that QEMU knows about and that prevents saving. */
static int check_blockers(Qmp *q, char **reterr) {
        _cleanup_json_ struct json_object *value = NULL;
        struct json_object *reasons;
        int r;

        r = qmp_execute(q, "query-migrate", NULL, ANSWER_USEC, &value, NULL);
        if (r < 0)
                return r;
        reasons = json_get_array(value, "blocked-reasons");
        if (!reasons || json_object_array_length(reasons) == 0)
                return 0;

        const char *first = json_object_is_type(json_object_array_get_idx(reasons, 0), json_type_string) ?
                json_object_get_string(json_object_array_get_idx(reasons, 0)) : "unknown reason";
        _cleanup_free_ char *text = utf8_escape(first);

        return text ? refuse(reterr, "QEMU says that the guest cannot be saved: %s.", text) : -ENOMEM;
}

/* Is this the block of one of the memory backends? QEMU names it by its identifier or by its place among objects. */
static bool is_kept_block(const char *name, const StringList *ram_ids) {
        const char *id = startswith(name, "/objects/") ?: name;

        for (size_t i = 0; i < ram_ids->n; i++)
                if (streq(id, ram_ids->item[i]))
                        return true;
        return false;
}

/* A line of the table: a name, the page size in two words, then offset, used, total and address in hexadecimal. */
static int ramblock_read_line(char *line, const StringList *ram_ids, uint64_t *extra, size_t *found) {
        char *state = NULL, *name = strtok_r(line, " \t\r", &state), *word;
        unsigned numbers = 0;

        if (!name || streq(name, "Block"))
                return 0;
        while ((word = strtok_r(NULL, " \t\r", &state))) {
                unsigned long long v;
                char *end;

                if (!startswith(word, "0x") || ++numbers != 2)
                        continue;
                errno = 0;
                v = strtoull(word, &end, 16);
                if (*end || errno != 0)
                        return -EBADMSG;
                if (is_kept_block(name, ram_ids))
                        (*found)++;
                else if (!inc_u64(extra, v))
                        return -EBADMSG;
        }
        return numbers >= 2 ? 0 : -EBADMSG;
}

int ramblocks_count(const char *text, const StringList *ram_ids, uint64_t *ret_extra, size_t *ret_found) {
        _cleanup_free_ char *copy = strdup(text);
        char *state = NULL;
        uint64_t extra = 0;
        size_t found = 0;

        if (!copy)
                return -ENOMEM;
        for (char *line = strtok_r(copy, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
                int r = ramblock_read_line(line, ram_ids, &extra, &found);

                if (r < 0)
                        return r;
        }
        *ret_extra = extra;
        *ret_found = found;
        return 0;
}

static int check_memory(Qmp *q, const StringList *ram_ids, uint64_t extra_max, uint64_t *ret_extra, char **reterr) {
        _cleanup_json_ struct json_object *value = NULL;
        char is[FORMAT_MAX], may_be[FORMAT_MAX];
        _cleanup_free_ char *why = NULL;
        size_t found;
        int r;

        r = qmp_execute(q, "x-query-ramblock", NULL, ANSWER_USEC, &value, &why);
        if (r == -EREMOTEIO)
                return refuse(reterr, "QEMU does not tell what memory the guest has: %s.", why);
        if (r < 0)
                return r;
        r = ramblocks_count(json_get_string(value, "human-readable-text") ?: "?", ram_ids, ret_extra, &found);
        if (r == -EBADMSG)
                return refuse(reterr, "QEMU does not tell what memory the guest has in a way that is "
                              "known here.");
        if (r < 0)
                return r;
        if (found != ram_ids->n)
                return refuse(reterr, "QEMU does not use the file that the guest's memory should be in.");
        if (*ret_extra > extra_max)
                return refuse(reterr, "The guest has %s of memory beside its RAM, which is copied when it is "
                              "saved; at most %s are allowed (--extra-max=).", format_bytes(is, *ret_extra),
                              format_bytes(may_be, extra_max));
        return 0;
}

static int check_disks(Qmp *q, pid_t pid, char **reterr) {
        _cleanup_list_ StringList disks = {};
        _cleanup_free_ char *why = NULL;
        int r;

        r = guest_disks_list(q, pid, ANSWER_USEC, &disks, /* ret_unseen= */ NULL, &why);
        return r == -EREMOTEIO ? refuse(reterr, "The guest cannot be saved: %s.", why) : r;
}

static int read_machine(Qmp *q, char **ret) {
        _cleanup_json_ struct json_object *arguments = json_object_new_object(), *value = NULL;
        int r;

        if (!arguments || json_add_string(arguments, "path", "/machine") < 0 ||
            json_add_string(arguments, "property", "type") < 0)
                return -ENOMEM;
        r = qmp_execute(q, "qom-get", TAKE_PTR(arguments), ANSWER_USEC, &value, NULL);
        if (r < 0)
                return r;
        if (!json_object_is_type(value, json_type_string))
                return -EBADMSG;
        *ret = utf8_escape(json_object_get_string(value));
        return *ret ? 0 : -ENOMEM;
}

int guest_check(Qmp *q, pid_t pid, const char *version, const StringList *ram_ids, uint64_t extra_max, GuestFacts *ret,
                char **reterr) {
        _cleanup_facts_ GuestFacts f = {};
        int r;

        *reterr = NULL;
        r = set_mode(q, version, reterr);
        if (r >= 0)
                r = check_memory(q, ram_ids, extra_max, &f.extra, reterr);
        if (r >= 0)
                r = check_blockers(q, reterr);
        if (r >= 0)
                r = check_disks(q, pid, reterr);
        if (r >= 0)
                r = read_machine(q, &f.machine);
        if (r < 0)
                return r;
        *ret = f;
        f = (GuestFacts) {};
        return 0;
}

/* --- saving and loading --- */

static uint64_t usec_left(uint64_t deadline) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        return now < deadline ? deadline - now : 0;
}

/* Waits until saving or loading has ended. QEMU does not answer while it writes out the caches of disks. */
static int wait_for_migration(Qmp *q, uint64_t deadline, char **reterr) {
        for (;;) {
                _cleanup_json_ struct json_object *value = NULL;
                const char *status;
                int r;

                r = qmp_execute(q, "query-migrate", NULL, usec_left(deadline), &value, reterr);
                if (r < 0)
                        return r;
                status = json_get_string(value, "status") ?: "none";
                if (streq(status, "completed"))
                        return 0;
                if (streq(status, "failed") || streq(status, "cancelled")) {
                        *reterr = utf8_escape(json_get_string(value, "error-desc") ?: status);
                        return *reterr ? -EREMOTEIO : -ENOMEM;
                }
                if (usec_left(deadline) == 0)
                        return -ETIMEDOUT;
                (void) usleep(POLL_USEC);
        }
}

/* The same error, but one with a reason for being late. */
static int late_to_error(int r, char **reterr) {
        if (r != -ETIMEDOUT)
                return r;
        *reterr = strdup("it took too long");
        return *reterr ? -EREMOTEIO : -ENOMEM;
}

static struct json_object *file_uri(const char *path) {
        _cleanup_json_ struct json_object *arguments = json_object_new_object();
        _cleanup_free_ char *uri = NULL;

        if (asprintf(&uri, "file:%s", path) < 0) {
                uri = NULL;
                return NULL;
        }
        return arguments && json_add_string(arguments, "uri", uri) >= 0 ? TAKE_PTR(arguments) : NULL;
}

static int read_status(Qmp *q, uint64_t usec, GuestRecord *r, char **reterr) {
        _cleanup_json_ struct json_object *value = NULL;
        const char *status;
        int k;

        k = qmp_execute(q, "query-status", NULL, usec, &value, reterr);
        if (k < 0)
                return k;
        status = json_get_string(value, "status") ?: "unknown";
        r->running = streq(status, "running") || streq(status, "suspended");
        r->stop = guest_stop_from_status(status);
        if (r->running || r->stop != GUEST_STOP_NONE || streq(status, "paused") || streq(status, "prelaunch"))
                return 0;
        _cleanup_free_ char *clean = utf8_escape(status);

        if (!clean || asprintf(reterr, "its state is '%s'", clean) < 0) {
                *reterr = NULL;
                return -ENOMEM;
        }
        return -EREMOTEIO;
}

int guest_save(Qmp *q, pid_t pid, const char *path, uint64_t usec, GuestRecord *r, StringList *ret_disks,
               StringList *ret_unseen, char **reterr) {
        _cleanup_json_ struct json_object *uri = file_uri(path);
        uint64_t deadline = now_usec(CLOCK_MONOTONIC) + usec;
        int k;

        *reterr = NULL;
        k = read_status(q, usec_left(deadline), r, reterr);
        if (k >= 0)
                k = guest_disks_list(q, pid, usec_left(deadline), ret_disks, ret_unseen, reterr);
        if (k < 0)
                return late_to_error(k, reterr);

        r->stopped_usec = now_usec(CLOCK_REALTIME);
        k = uri ? qmp_execute(q, "migrate", TAKE_PTR(uri), usec_left(deadline), /* ret= */ NULL, reterr) : -ENOMEM;
        if (k >= 0)
                k = wait_for_migration(q, deadline, reterr);
        return late_to_error(k, reterr);
}

int guest_wake(Qmp *q, uint64_t usec) {
        uint64_t deadline = now_usec(CLOCK_MONOTONIC) + usec;
        _cleanup_json_ struct json_object *value = NULL;
        const char *status;
        int r;

        r = qmp_execute(q, "query-status", NULL, usec_left(deadline), &value, /* reterr= */ NULL);
        if (r < 0)
                return r;
        status = json_get_string(value, "status");
        if (status && streq(status, "running"))
                return 0;
        /* Refused if there is nothing to cancel; and as long as QEMU is not done with cancelling. */
        r = qmp_execute(q, "migrate_cancel", NULL, usec_left(deadline), NULL, NULL);
        if (r >= 0 || r == -EREMOTEIO)
                r = qmp_execute(q, "cont", NULL, usec_left(deadline), NULL, NULL);
        return r >= 0 || r == -EREMOTEIO ? -EAGAIN : r;
}

int guest_load(Qmp *q, const char *path, uint64_t usec, char **reterr) {
        _cleanup_json_ struct json_object *uri = file_uri(path);
        uint64_t deadline = now_usec(CLOCK_MONOTONIC) + usec;
        int r;

        *reterr = NULL;
        r = uri ? qmp_execute(q, "migrate-incoming", TAKE_PTR(uri), usec_left(deadline), /* ret= */ NULL, reterr) :
                -ENOMEM;
        return r >= 0 ? wait_for_migration(q, deadline, reterr) : r;
}

int guest_continue(Qmp *q, uint64_t usec, char **reterr) {
        *reterr = NULL;
        return qmp_execute(q, "cont", /* arguments= */ NULL, usec, /* ret= */ NULL, reterr);
}

int guest_power_down(Qmp *q, uint64_t usec) {
        return guest_command(q, "system_powerdown", usec);
}

int guest_quit(Qmp *q, uint64_t usec) {
        return guest_command(q, "quit", usec);
}

int guest_set_clock(int fd, uint64_t usec, uint64_t realtime_usec) {
        _cleanup_json_ struct json_object *arguments = NULL;
        _cleanup_qmp_ Qmp *q = NULL;
        int r;

        r = qmp_new(fd, &q);
        if (r < 0)
                return r;
        r = qmp_agent_synchronize(q, usec);
        if (r < 0)
                return r;
        arguments = json_object_new_object();
        if (!arguments || json_add_u64(arguments, "time", realtime_usec * NSEC_PER_USEC) < 0)
                return -ENOMEM;
        return qmp_execute(q, "guest-set-time", TAKE_PTR(arguments), usec, /* ret= */ NULL, /* reterr= */ NULL);
}
