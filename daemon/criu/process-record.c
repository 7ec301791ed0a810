/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "file-util.h"
#include "process-record.h"
#include "utf8.h"

#define RECORD_VERSION 1
#define RECORD_BYTES_MAX MIB(4)

static const char *const process_phase_names[_PROCESS_PHASE_MAX] = {
        [PROCESS_SAVING] = "saving",
        [PROCESS_SAVED] = "saved",
        [PROCESS_FAILED] = "failed",
        [PROCESS_RESTORING] = "restoring",
};

void process_record_done(ProcessRecord *r) {
        free(r->reason);
        free(r->output);
        free(r->errors);
        string_list_done(&r->identity);
        json_object_unref(r->images);
        *r = (ProcessRecord) {};
}

int process_identity(const ProcessConfig *c, StringList *ret) {
        if (string_list_addf(ret, "User=%s", c->user ?: "") < 0 ||
            string_list_addf(ret, "WorkingDirectory=%s", c->working_directory ?: "") < 0)
                return -ENOMEM;
        for (size_t i = 0; i < c->environment.n; i++)
                if (string_list_addf(ret, "Environment=%s", c->environment.item[i]) < 0)
                        return -ENOMEM;
        for (size_t i = 0; i < c->command.n; i++)
                if (string_list_add(ret, c->command.item[i]) < 0)
                        return -ENOMEM;
        return 0;
}

/* --- the file --- */

int process_record_write(const ProcessRecord *r, int directory) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        const char *text;
        size_t length;

        if (!o || json_add_int(o, "version", RECORD_VERSION) < 0 ||
            json_add_string(o, "phase", process_phase_names[r->phase]) < 0 ||
            (r->reason && json_add_string(o, "reason", r->reason) < 0) ||
            json_add(o, "identity", string_list_to_json(&r->identity)) < 0 || json_add_int(o, "pid", r->pid) < 0 ||
            json_add_string(o, "output", r->output ?: "") < 0 || json_add_string(o, "errors", r->errors ?: "") < 0 ||
            json_add_u64(o, "stoppedUSec", r->stopped_usec) < 0 ||
            json_add(o, "images", r->images ? json_object_get(r->images) : json_object_new_array()) < 0)
                return -ENOMEM;
        text = json_text(o, &length);
        if (!text)
                return -ENOMEM;
        return private_file_write(directory, PROCESS_RECORD_FILE, text, length);
}

/* Copies the name of a pipe, as the kernel writes it: it becomes part of an argument of CRIU. */
static int pipe_copy(struct json_object *o, const char *key, char **ret) {
        const char *text = json_get_string(o, key), *number = text ? startswith(text, "pipe:[") : NULL;
        size_t digits = number ? strspn(number, "0123456789") : 0;

        if (digits == 0 || digits > 20 || !streq(number + digits, "]"))
                return -EBADMSG;
        *ret = strdup(text);
        return *ret ? 0 : -ENOMEM;
}

int process_record_parse(const char *text, size_t length, ProcessRecord *ret) {
        _cleanup_json_ struct json_object *o = NULL;
        _cleanup_process_record_ ProcessRecord p = { .phase = _PROCESS_PHASE_MAX };
        const char *phase;
        int r;

        r = json_parse_strict(text, length, &o, /* reterr_key= */ NULL);
        if (r < 0 || !json_object_is_type(o, json_type_object))
                return r == -ENOMEM ? r : -EBADMSG;
        phase = json_get_string(o, "phase") ?: "";
        for (ProcessPhase i = 0; i < _PROCESS_PHASE_MAX; i++)
                if (streq(phase, process_phase_names[i]))
                        p.phase = i;
        if (json_get_int(o, "version", -1) != RECORD_VERSION || p.phase == _PROCESS_PHASE_MAX ||
            json_get_int(o, "pid", 0) <= 1 || json_get_int(o, "pid", 0) > INT32_MAX ||
            json_get_int(o, "stoppedUSec", -1) < 0)
                return -EBADMSG;
        p.pid = (pid_t) json_get_int(o, "pid", 0);
        p.stopped_usec = (uint64_t) json_get_int(o, "stoppedUSec", 0);

        r = string_list_from_json(json_get_array(o, "identity"), &p.identity);
        if (r >= 0)
                r = pipe_copy(o, "output", &p.output);
        if (r >= 0)
                r = pipe_copy(o, "errors", &p.errors);
        if (r >= 0 && json_get_string(o, "reason")) {
                p.reason = utf8_escape(json_get_string(o, "reason"));
                r = p.reason ? 0 : -ENOMEM;
        }
        if (r < 0)
                return r;
        p.images = json_get_array(o, "images") ? json_object_get(json_get_array(o, "images")) :
                json_object_new_array();
        if (!p.images)
                return -ENOMEM;
        *ret = p;
        p = (ProcessRecord) {};
        return 0;
}

/* Can only this user change it? */
static bool is_ours_alone(const struct stat *st) {
        return st->st_uid == geteuid() && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

int process_record_read(int directory, ProcessRecord *ret) {
        _cleanup_free_ char *text = NULL;
        struct stat st;
        size_t size;
        int r;

        r = private_file_read(directory, PROCESS_RECORD_FILE, RECORD_BYTES_MAX, &text, &size, &st);
        if (r < 0)
                return r;
        if (!is_ours_alone(&st))
                return -EPERM;
        return process_record_parse(text, size, ret);
}

int process_record_differs(const ProcessRecord *r, const ProcessConfig *c, char **ret_why) {
        _cleanup_list_ StringList now = {};
        size_t n = 0;
        int k = 0;

        *ret_why = NULL;
        if (process_identity(c, &now) < 0)
                return -ENOMEM;
        while (n < r->identity.n && n < now.n && streq(now.item[n], r->identity.item[n]))
                n++;
        if (r->phase == PROCESS_SAVING)
                k = asprintf(ret_why, "it was not saved completely");
        else if (r->phase == PROCESS_FAILED)
                k = asprintf(ret_why, "it could not be saved: %s", r->reason ?: "unknown reason");
        else if (r->phase == PROCESS_RESTORING)
                k = asprintf(ret_why, "an earlier start did not finish restoring it, and images are used once");
        else if (n < r->identity.n || n < now.n) {
                _cleanup_free_ char *was = utf8_escape(n < r->identity.n ? r->identity.item[n] : ""),
                        *is = utf8_escape(n < now.n ? now.item[n] : "");

                k = was && is ? asprintf(ret_why, "its configuration is not the one that it was saved with: "
                                         "'%.200s' was '%.200s'", is, was) : -1;
        }
        if (k < 0) {
                *ret_why = NULL;
                return -ENOMEM;
        }
        return k > 0;
}

/* --- images --- */

/* Opens a directory once more to read it, since a stream has the position of its descriptor. */
static DIR *images_open(int directory) {
        int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d;

        if (fd < 0)
                return NULL;
        d = fdopendir(fd);
        if (!d)
                (void) safe_close(fd);
        return d;
}

static bool image_is_listed(const char *name) {
        return *name != '.' && !ends_with(name, ".log");
}

int process_images_check_owner(int directory) {
        _cleanup_closedir_ DIR *d = NULL;
        const struct dirent *e;
        struct stat st;

        if (fstat(directory, &st) < 0)
                return -errno;
        if (!is_ours_alone(&st))
                return -EPERM;
        d = images_open(directory);
        if (!d)
                return -errno;
        while ((e = readdir(d))) {
                if (streq(e->d_name, ".") || streq(e->d_name, ".."))
                        continue;
                if (fstatat(directory, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        return -errno;
                if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || !is_ours_alone(&st))
                        return -EPERM;
        }
        return 0;
}

struct json_object *process_images_list(int directory) {
        _cleanup_json_ struct json_object *array = json_object_new_array();
        _cleanup_closedir_ DIR *d = images_open(directory);
        const struct dirent *e;

        while (array && d && (e = readdir(d))) {
                _cleanup_json_ struct json_object *o = NULL;
                struct stat st;

                if (!image_is_listed(e->d_name))
                        continue;
                if (fstatat(directory, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        return NULL;
                o = json_object_new_object();
                if (!o || json_add_string(o, "name", e->d_name) < 0 || json_add_int(o, "bytes", st.st_size) < 0 ||
                    json_append(array, TAKE_PTR(o)) < 0) {
                        errno = ENOMEM;
                        return NULL;
                }
        }
        return d ? TAKE_PTR(array) : NULL;
}

bool process_images_are_complete(int directory, struct json_object *images) {
        size_t n = json_object_array_length(images);

        for (size_t i = 0; i < n; i++) {
                struct json_object *o = json_object_array_get_idx(images, i);
                const char *name = json_get_string(o, "name");
                struct stat st;

                if (!name || strchr(name, '/') || fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
                    (int64_t) st.st_size != json_get_int(o, "bytes", -1))
                        return false;
        }
        return n > 0;
}
