/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>

#include "file-util.h"
#include "guests.h"
#include "utf8.h"

#define GUESTS_MAX 1024U
#define NOTE_BYTES_MAX KIB(64)

/* Guests that are named in a sentence. */
#define GUESTS_NAMED 8U

/* Copies a string without control characters. */
static int guests_copy_string(struct json_object *from, struct json_object *to, const char *key) {
        const char *text = json_get_string(from, key);
        _cleanup_free_ char *clean = text ? utf8_escape(text) : NULL;

        return !text ? 0 : !clean ? -ENOMEM : json_add_string(to, key, clean);
}

/* Does the pkram-qemu that wrote the note still run? */
static bool note_is_current(const char *path) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

        return fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) >= 0 && lock.l_type != F_UNLCK;
}

/* 1: *ret is the guest, 0: the note makes no sense, or there is no guest any more. */
static int note_read(const char *path, struct json_object **ret) {
        _cleanup_json_ struct json_object *note = NULL, *o = json_object_new_object();
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r;

        if (!o)
                return -ENOMEM;
        if (!note_is_current(path))
                return 0;
        r = file_read(path, NOTE_BYTES_MAX, &text, &size);
        if (r >= 0)
                r = json_parse_strict(text, size, &note, /* reterr_key= */ NULL);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        if (!json_object_is_type(note, json_type_object) || !json_get_string(note, "name") ||
            !json_get_string(note, "directory") || json_get_int(note, "bytes", -1) < 0 ||
            json_get_int(note, "pausedUSec", 0) < 0)
                return 0;
        if (guests_copy_string(note, o, "name") < 0 || guests_copy_string(note, o, "directory") < 0 ||
            json_add_int(o, "bytes", json_get_int(note, "bytes", 0)) < 0 ||
            json_add_bool(o, "resumed", json_get_bool(note, "resumed", false)) < 0 ||
            guests_copy_string(note, o, "reason") < 0 ||
            (json_get(note, "pausedUSec") && json_add_int(o, "pausedUSec", json_get_int(note, "pausedUSec", 0)) < 0))
                return -ENOMEM;
        *ret = TAKE_PTR(o);
        return 1;
}

static int guest_compare(const void *a, const void *b) {
        struct json_object *x = *(struct json_object *const *) a, *y = *(struct json_object *const *) b;

        return strcmp(json_get_string(x, "name"), json_get_string(y, "name"));
}

int guests_read(const char *directory, struct json_object **ret) {
        _cleanup_json_ struct json_object *array = json_object_new_array();
        _cleanup_closedir_ DIR *d = opendir(directory);
        const struct dirent *e;
        int r;

        if (!array)
                return -ENOMEM;
        if (!d && errno != ENOENT)
                return -errno;
        while (d && (e = readdir(d)) && json_object_array_length(array) < GUESTS_MAX) {
                _cleanup_json_ struct json_object *guest = NULL;
                _cleanup_free_ char *path = NULL;
                size_t n = strlen(e->d_name);

                if (e->d_name[0] == '.' || n < 6 || !streq(e->d_name + n - 5, ".json"))
                        continue;
                if (asprintf(&path, "%s/%s", directory, e->d_name) < 0) {
                        path = NULL;
                        return -ENOMEM;
                }
                r = note_read(path, &guest);
                if (r > 0)
                        r = json_append(array, TAKE_PTR(guest));
                if (r < 0)
                        return r;
        }
        json_object_array_sort(array, guest_compare);
        *ret = TAKE_PTR(array);
        return 0;
}

char *guests_to_text(struct json_object *guests) {
        size_t n = json_object_array_length(guests), named = MIN(n, (size_t) GUESTS_NAMED);
        char *text = strdup("");

        for (size_t i = 0; text && i < named; i++) {
                char *more;
                int k = asprintf(&more, "%s%s%s", text, i == 0 ? "" : i + 1 == n ? " and " : ", ",
                                 json_get_string(json_object_array_get_idx(guests, i), "name") ?: "");

                free(text);
                text = k < 0 ? NULL : more;
        }
        if (text && named < n) {
                char *more;
                int k = asprintf(&more, "%s and %zu more", text, n - named);

                free(text);
                text = k < 0 ? NULL : more;
        }
        return text;
}
