/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "file-util.h"
#include "log.h"
#include "run-notes.h"
#include "utf8.h"

#define RUN_NOTE_FILE "note.json"

#define NOTES_MAX 1024U
#define NOTE_BYTES_MAX KIB(64)

/* Names in a sentence. */
#define NOTES_NAMED 8U

/* Copies a string without control characters. */
static int note_copy_string(struct json_object *from, struct json_object *to, const char *key) {
        const char *text = json_get_string(from, key);
        _cleanup_free_ char *clean = text ? utf8_escape(text) : NULL;

        return !text ? 0 : !clean ? -ENOMEM : json_add_string(to, key, clean);
}

/* --- files --- */

/* Opens a name in a directory of the file system with that number, as O_PATH. Nothing is asked of another file system,
 * which may not answer. */
static int open_step(int directory, const char *name, dev_t device) {
        _cleanup_close_ int fd = openat(directory, name, O_PATH | O_CLOEXEC | O_NOFOLLOW);
        struct statx sx;

        if (fd < 0 || statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &sx) < 0)
                return -errno;
        return makedev(sx.stx_dev_major, sx.stx_dev_minor) == device ? TAKE_FD(fd) : -EXDEV;
}

/*
 * Opens the note that an entry of a directory of notes is, or has, as O_PATH, and tells whose it is. The directory
 * that has one may belong to a user.
 */
static int note_open(int directory, const char *entry, char **ret_name) {
        _cleanup_close_ int fd = -EBADF;
        size_t n = strlen(entry);
        struct stat parent, st;

        if (fstat(directory, &parent) < 0)
                return -errno;
        fd = open_step(directory, entry, parent.st_dev);
        if (fd < 0 || fstat(fd, &st) < 0)
                return fd < 0 ? fd : -errno;
        if (S_ISDIR(st.st_mode)) {
                int inner = open_step(fd, RUN_NOTE_FILE, st.st_dev);

                if (inner < 0)
                        return inner;
                safe_close(fd);
                fd = inner;
        } else if (n < 6 || !streq(entry + n - 5, ".json"))
                return -ENOENT;
        else
                n -= 5;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EBADMSG;
        *ret_name = strndup(entry, n);
        return *ret_name ? TAKE_FD(fd) : -ENOMEM;
}

/* Does the program that wrote the note still run? */
static bool note_is_current(const char *path) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

        return fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) >= 0 && lock.l_type != F_UNLCK;
}

/* Borrowed; NULL if it is no string. */
static const char *array_get_string(struct json_object *array, size_t i) {
        struct json_object *o = json_object_array_get_idx(array, i);

        return json_object_is_type(o, json_type_string) ? json_object_get_string(o) : NULL;
}

/* Copies an array of strings. */
static int note_copy_strings(struct json_object *from, struct json_object *to, const char *key) {
        struct json_object *array = json_get_array(from, key);
        _cleanup_json_ struct json_object *copy = json_object_new_array();

        if (!array)
                return 0;
        if (!copy)
                return -ENOMEM;
        for (size_t i = 0; i < json_object_array_length(array); i++) {
                const char *text = array_get_string(array, i);
                _cleanup_free_ char *clean = text ? utf8_escape(text) : NULL;

                if (text && (!clean || json_append(copy, json_object_new_string(clean)) < 0))
                        return -ENOMEM;
        }
        return json_add(to, key, TAKE_PTR(copy));
}

/* 1: *ret is what the note of that name says, 0: it makes no sense, or its program has ended. fd may be O_PATH. */
static int note_read(int fd, const char *name, struct json_object **ret) {
        _cleanup_json_ struct json_object *note = NULL, *o = json_object_new_object();
        char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r;

        if (!o)
                return -ENOMEM;
        (void) snprintf(path, sizeof(path), "/proc/self/fd/%i", fd);
        if (!note_is_current(path))
                return 0;
        r = file_read(path, NOTE_BYTES_MAX, &text, &size);
        if (r >= 0)
                r = json_parse_strict(text, size, &note, /* reterr_key= */ NULL);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        if (!json_object_is_type(note, json_type_object) || !streq(json_get_string(note, "name") ?: "", name) ||
            !json_get_string(note, "directory") || json_get_int(note, "bytes", -1) < 0 ||
            json_get_int(note, "savedBytes", 0) < 0 || json_get_int(note, "pausedUSec", 0) < 0)
                return 0;
        if (note_copy_string(note, o, "name") < 0 || note_copy_string(note, o, "directory") < 0 ||
            json_add_int(o, "bytes", json_get_int(note, "bytes", 0)) < 0 ||
            (json_get(note, "savedBytes") && json_add_int(o, "savedBytes", json_get_int(note, "savedBytes", 0)) < 0) ||
            note_copy_strings(note, o, "files") < 0 ||
            json_add_bool(o, "resumed", json_get_bool(note, "resumed", false)) < 0 ||
            note_copy_string(note, o, "reason") < 0 || note_copy_string(note, o, "problem") < 0 ||
            (json_get(note, "pausedUSec") && json_add_int(o, "pausedUSec", json_get_int(note, "pausedUSec", 0)) < 0))
                return -ENOMEM;
        *ret = TAKE_PTR(o);
        return 1;
}

static int note_compare(const void *a, const void *b) {
        struct json_object *x = *(struct json_object *const *) a, *y = *(struct json_object *const *) b;

        return strcmp(json_get_string(x, "name"), json_get_string(y, "name"));
}

int run_notes_read(const char *directory, struct json_object **ret) {
        _cleanup_json_ struct json_object *array = json_object_new_array();
        _cleanup_closedir_ DIR *d = opendir(directory);
        const struct dirent *e;
        int r;

        if (!array)
                return -ENOMEM;
        if (!d && errno != ENOENT)
                return -errno;
        while (d && (e = readdir(d)) && json_object_array_length(array) < NOTES_MAX) {
                _cleanup_json_ struct json_object *one = NULL;
                _cleanup_close_ int fd = -EBADF;
                _cleanup_free_ char *name = NULL;

                if (e->d_name[0] == '.')
                        continue;
                fd = note_open(dirfd(d), e->d_name, &name);
                r = fd >= 0 && name ? note_read(fd, name, &one) : fd == -ENOMEM ? fd : 0;
                if (r > 0)
                        r = json_append(array, TAKE_PTR(one));
                if (r < 0)
                        return r;
        }
        json_object_array_sort(array, note_compare);
        *ret = TAKE_PTR(array);
        return 0;
}

/* --- room --- */

/* Opens what an absolute path names, if it is on the file system that is mounted at "mounted". */
static int open_on_tree(int root, const char *mounted, const char *path) {
        size_t n = strlen(mounted);
        _cleanup_free_ char *copy = NULL;
        _cleanup_close_ int fd = -EBADF;
        char *rest, *name;
        struct stat st;

        while (n > 0 && mounted[n - 1] == '/')
                n--;
        if (strncmp(path, mounted, n) != 0 || (path[n] != '/' && path[n]))
                return -ENOENT;
        rest = copy = strdup(path + n);
        if (!copy)
                return -ENOMEM;
        fd = fcntl(root, F_DUPFD_CLOEXEC, 3);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        while ((name = strsep(&rest, "/"))) {
                int next;

                if (!*name)
                        continue;
                next = streq(name, "..") ? -EINVAL : open_step(fd, name, st.st_dev);
                if (next < 0)
                        return next;
                safe_close(fd);
                fd = next;
        }
        return TAKE_FD(fd);
}

uint64_t run_note_missing(struct json_object *note, int root, const char *path) {
        uint64_t bytes = (uint64_t) json_get_int(note, "savedBytes", json_get_int(note, "bytes", 0)), held = 0;
        _cleanup_close_ int directory = open_on_tree(root, path, json_get_string(note, "directory") ?: "");
        struct json_object *files = json_get_array(note, "files");

        if (directory < 0 || json_get_string(note, "problem"))
                return 0;
        for (size_t i = 0; files && i < json_object_array_length(files); i++) {
                const char *file = array_get_string(files, i);
                _cleanup_close_ int fd = file ? open_on_tree(root, path, file) : -EBADF;
                struct stat st;

                if (fd >= 0 && fstat(fd, &st) >= 0 && S_ISREG(st.st_mode))
                        (void) inc_u64(&held, (uint64_t) st.st_blocks * 512);
        }
        return bytes > held ? bytes - held : 0;
}

/* --- names --- */

/* Appends a piece to a text. Returns the new text, or NULL without memory, when the old one is freed. */
static char *text_append(char *text, const char *separator, const char *piece) {
        char *more;

        if (asprintf(&more, "%s%s%s", text, separator, piece) < 0)
                more = NULL;
        free(text);
        return more;
}

char *run_notes_to_text(struct json_object *notes, bool problem, size_t *ret_n) {
        size_t n = 0, done = 0;
        char *text = strdup("");

        for (size_t i = 0; i < json_object_array_length(notes); i++)
                n += !!json_get_string(json_object_array_get_idx(notes, i), "problem") == problem;
        *ret_n = n;
        for (size_t i = 0; text && done < MIN(n, (size_t) NOTES_NAMED) && i < json_object_array_length(notes); i++) {
                struct json_object *one = json_object_array_get_idx(notes, i);

                if (!!json_get_string(one, "problem") != problem)
                        continue;
                text = text_append(text, done == 0 ? "" : done + 1 == n ? " and " : ", ",
                                   json_get_string(one, "name") ?: "");
                done++;
        }
        if (text && done < n) {
                char more[64];

                (void) snprintf(more, sizeof(more), "%zu more", n - done);
                text = text_append(text, " and ", more);
        }
        return text;
}

/* --- writing --- */

static int note_path(const char *directory, const char *name, bool own_directory, char **ret) {
        if (asprintf(ret, own_directory ? "%s/%s/" RUN_NOTE_FILE : "%s/%s.json", directory, name) < 0) {
                *ret = NULL;
                return -ENOMEM;
        }
        return 0;
}

/* Is there a directory for the note of that name alone? */
static bool note_has_directory(const char *directory, const char *name) {
        _cleanup_free_ char *path = NULL;
        struct stat st;

        if (asprintf(&path, "%s/%s", directory, name) < 0) {
                path = NULL;
                return false;
        }
        return lstat(path, &st) >= 0 && S_ISDIR(st.st_mode);
}

int run_note_take(const char *directory, const char *name) {
        bool own = note_has_directory(directory, name);
        _cleanup_free_ char *path = NULL, *other = NULL;
        int r;

        r = note_path(directory, name, own, &path);
        if (r >= 0)
                r = note_path(directory, name, !own, &other);
        if (r < 0)
                return r;
        /* Whatever the umask is: pkramd reads notes of users, and they reach theirs. */
        if (!own && (mkdir(directory, 0755) >= 0 ? chmod(directory, 0755) < 0 : errno != EEXIST))
                return -errno;
        /* It may have begun without a directory. */
        if (note_is_current(other))
                return -EBUSY;
        for (;;) {
                _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
                struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
                struct stat st, there;

                if (fd < 0)
                        return -errno;
                if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
                        return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
                if (fstat(fd, &st) < 0)
                        return -errno;
                if (!S_ISREG(st.st_mode))
                        return -EBADMSG;
                /* The one before may have removed it meanwhile. */
                if (stat(path, &there) < 0 || there.st_ino != st.st_ino || there.st_dev != st.st_dev)
                        continue;
                return fchmod(fd, 0644) < 0 || ftruncate(fd, 0) < 0 ? -errno : TAKE_FD(fd);
        }
}

/* Adds the paths of the files, without links. */
static int note_add_files(struct json_object *o, const StringList *files) {
        _cleanup_json_ struct json_object *array = json_object_new_array();

        for (size_t i = 0; array && i < files->n; i++) {
                _cleanup_free_ char *path = realpath(files->item[i], NULL);

                if (path && json_append(array, json_object_new_string(path)) < 0)
                        return -ENOMEM;
        }
        return array ? json_add(o, "files", TAKE_PTR(array)) : -ENOMEM;
}

void run_note_warn(int error, const char *what, const char *directory, const char *name) {
        const char *below_run = startswith(directory, "/run/");

        if (below_run && (error == -EACCES || error == -EPERM))
                log_warning("pkramctl and pkram-kexec-guard.service will not see %s '%s', since %s cannot be written. "
                            "Set RuntimeDirectory=%s/%s in its unit.", what, name, directory, below_run, name);
        else
                log_warning("pkramctl and pkram-kexec-guard.service will not see %s '%s': %s.", what, name,
                            strerror(-error));
}

int run_note_write(int fd, const char *name, const RunNote *note) {
        _cleanup_json_ struct json_object *o = json_object_new_object();
        /* Where it is without links, as the mount table has it. */
        _cleanup_free_ char *directory = realpath(note->directory, NULL);
        const char *text;
        size_t length;
        int r;

        if (!o || json_add_string(o, "name", name) < 0 ||
            json_add_string(o, "directory", directory ?: note->directory) < 0 ||
            json_add_u64(o, "bytes", note->bytes) < 0 || json_add_u64(o, "savedBytes", note->saved_bytes) < 0 ||
            (note->files && note_add_files(o, note->files) < 0) || json_add_bool(o, "resumed", note->resumed) < 0 ||
            (note->reason && json_add_string(o, "reason", note->reason) < 0) ||
            (note->problem && json_add_string(o, "problem", note->problem) < 0) ||
            (note->resumed && json_add_u64(o, "pausedUSec", note->stopped_usec) < 0))
                return -ENOMEM;
        text = json_text(o, &length);
        if (!text)
                return -ENOMEM;
        r = pwrite_all(fd, text, length, 0);
        return r < 0 ? r : ftruncate(fd, (off_t) length) < 0 ? -errno : 0;
}

int run_note_remove(int fd, const char *directory, const char *name) {
        _cleanup_free_ char *path = NULL;

        if (fd >= 0 && note_path(directory, name, note_has_directory(directory, name), &path) >= 0)
                (void) unlink(path);
        return safe_close(fd);
}
