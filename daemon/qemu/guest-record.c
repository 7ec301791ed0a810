/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "file-util.h"
#include "guest-record.h"
#include "utf8.h"

#define RECORD_VERSION 1
#define RECORD_BYTES_MAX MIB(4)

static const char *const phase_names[_GUEST_PHASE_MAX] = {
        [GUEST_SAVING] = "saving",
        [GUEST_SAVED] = "saved",
        [GUEST_FAILED] = "failed",
        [GUEST_RESUMING] = "resuming",
};

/* QEMU's names. */
static const char *const stop_names[_GUEST_STOP_MAX] = {
        [GUEST_STOP_IO_ERROR] = "io-error",
        [GUEST_STOP_WATCHDOG] = "watchdog",
};

GuestStop guest_stop_from_status(const char *status) {
        for (GuestStop s = GUEST_STOP_NONE + 1; status && s < _GUEST_STOP_MAX; s++)
                if (streq(status, stop_names[s]))
                        return s;
        return GUEST_STOP_NONE;
}

void guest_record_done(GuestRecord *r) {
        free(r->reason);
        free(r->qemu);
        free(r->machine);
        string_list_done(&r->arguments);
        json_object_unref(r->disks);
        *r = (GuestRecord) {};
}

int guest_record_write(const GuestRecord *r, int directory) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        const char *text;
        size_t length;

        if (!o || json_add_int(o, "version", RECORD_VERSION) < 0 ||
            json_add_string(o, "phase", phase_names[r->phase]) < 0 ||
            (r->reason && json_add_string(o, "reason", r->reason) < 0) ||
            json_add(o, "arguments", string_list_to_json(&r->arguments)) < 0 || json_add_u64(o, "size", r->size) < 0 ||
            json_add_string(o, "qemu", r->qemu ?: "") < 0 || json_add_string(o, "machine", r->machine ?: "") < 0 ||
            (r->stop != GUEST_STOP_NONE && json_add_string(o, "stop", stop_names[r->stop]) < 0) ||
            json_add_bool(o, "running", r->running) < 0 || json_add_u64(o, "stoppedUSec", r->stopped_usec) < 0 ||
            json_add(o, "disks", r->disks ? json_object_get(r->disks) : json_object_new_array()) < 0)
                return -ENOMEM;
        text = json_text(o, &length);
        if (!text)
                return -ENOMEM;
        return private_file_write(directory, GUEST_RECORD_FILE, text, length);
}

static int string_copy(struct json_object *o, const char *key, char **ret) {
        const char *text = json_get_string(o, key);

        if (!text)
                return -EBADMSG;
        *ret = strdup(text);
        return *ret ? 0 : -ENOMEM;
}

int guest_record_write_reason(GuestRecord *r, GuestPhase phase, const char *why, int directory) {
        r->phase = phase;
        free(r->reason);
        r->reason = strdup(why);
        return guest_record_write(r, directory);
}

int guest_record_parse(const char *text, size_t length, GuestRecord *ret) {
        _cleanup_json_ struct json_object *o = NULL;
        _cleanup_record_ GuestRecord g = { .phase = _GUEST_PHASE_MAX };
        const char *phase;
        int r;

        r = json_parse_strict(text, length, &o, /* reterr_key= */ NULL);
        if (r < 0 || !json_object_is_type(o, json_type_object))
                return r == -ENOMEM ? r : -EBADMSG;
        phase = json_get_string(o, "phase") ?: "";
        for (GuestPhase p = 0; p < _GUEST_PHASE_MAX; p++)
                if (streq(phase, phase_names[p]))
                        g.phase = p;
        if (json_get_int(o, "version", -1) != RECORD_VERSION || g.phase == _GUEST_PHASE_MAX ||
            json_get_int(o, "size", -1) < 0 || json_get_int(o, "stoppedUSec", -1) < 0)
                return -EBADMSG;
        g.size = (uint64_t) json_get_int(o, "size", 0);
        g.stopped_usec = (uint64_t) json_get_int(o, "stoppedUSec", 0);
        g.running = json_get_bool(o, "running", true);
        g.stop = guest_stop_from_status(json_get_string(o, "stop"));

        r = string_list_from_json(json_get_array(o, "arguments"), &g.arguments);
        if (r >= 0)
                r = string_copy(o, "qemu", &g.qemu);
        if (r >= 0)
                r = string_copy(o, "machine", &g.machine);
        if (r >= 0 && json_get_string(o, "reason")) {
                g.reason = utf8_escape(json_get_string(o, "reason"));
                r = g.reason ? 0 : -ENOMEM;
        }
        if (r < 0)
                return r;
        g.disks = json_get_array(o, "disks") ? json_object_get(json_get_array(o, "disks")) : json_object_new_array();
        if (!g.disks)
                return -ENOMEM;
        *ret = g;
        g = (GuestRecord) {};
        return 0;
}

int guest_record_read(int directory, GuestRecord *ret) {
        _cleanup_free_ char *text = NULL;
        struct stat st;
        size_t size;
        int r;

        r = private_file_read(directory, GUEST_RECORD_FILE, RECORD_BYTES_MAX, &text, &size, &st);
        if (r < 0)
                return r;
        return guest_record_parse(text, size, ret);
}

/* The first disk that is not as it was, NULL if all are, borrowed; and whether it is not there at all. */
static const char *disk_changed(const GuestRecord *r, bool *ret_missing) {
        for (size_t i = 0; i < json_object_array_length(r->disks); i++) {
                struct json_object *d = json_object_array_get_idx(r->disks, i);
                const char *path = json_get_string(d, "path");
                struct stat st;

                if (!path)
                        return "(unknown)";
                *ret_missing = stat(path, &st) < 0;
                if (*ret_missing || (int64_t) st.st_size != json_get_int(d, "bytes", -1) ||
                    (int64_t) st.st_mtim.tv_sec != json_get_int(d, "mtimeSec", -1) ||
                    (int64_t) st.st_mtim.tv_nsec != json_get_int(d, "mtimeNSec", -1))
                        return path;
        }
        return NULL;
}

/* How the command lines differ, as part of a sentence. -ENOMEM, 1: they do, 0. */
static int arguments_differ(const StringList *saved, char *const *now, char **ret_why) {
        size_t n = 0;

        while (n < saved->n && now[n] && streq(now[n], saved->item[n]))
                n++;
        if (!now[n] && n == saved->n)
                return 0;

        _cleanup_free_ char *was = utf8_escape(n < saved->n ? saved->item[n] : ""), *is = utf8_escape(now[n] ?: "");

        if (!was || !is || asprintf(ret_why,
                                    "QEMU's arguments are not those that it was saved with: '%.200s' was '%.200s'", is,
                                    was) < 0)
                return -ENOMEM;
        return 1;
}

int guest_record_differs(const GuestRecord *r, char *const *arguments, uint64_t size, char **ret_why) {
        bool missing = false;
        const char *disk;
        int k = 0;

        *ret_why = NULL;
        if (r->phase == GUEST_SAVING)
                k = asprintf(ret_why, "it was not saved completely");
        else if (r->phase == GUEST_FAILED)
                k = asprintf(ret_why, "it could not be saved: %s", r->reason ?: "unknown reason");
        else if (r->phase == GUEST_RESUMING)
                k = asprintf(ret_why, "it may have run since it was saved: %s",
                             r->reason ?: "pkram-qemu ended when it told QEMU to run it");
        if (k == 0 && r->phase == GUEST_SAVED)
                k = arguments_differ(&r->arguments, arguments, ret_why);
        if (k == 0 && r->size != size)
                k = asprintf(ret_why, "it had %llu bytes of memory, and not %llu", (unsigned long long) r->size,
                             (unsigned long long) size);
        disk = k == 0 ? disk_changed(r, &missing) : NULL;
        if (disk) {
                _cleanup_free_ char *path = utf8_escape(disk);

                k = path ? asprintf(ret_why, "its disk %s %s", path, missing ? "is missing" : "was changed") : -1;
        }
        if (k < 0) {
                *ret_why = NULL;
                return -ENOMEM;
        }
        return missing ? -ENOENT : k > 0;
}
