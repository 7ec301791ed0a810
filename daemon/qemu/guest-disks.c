/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "guest-disks.h"
#include "utf8.h"

/* Drivers of the block layer whose contents are elsewhere than in a file. */
static const char *const unseen_drivers[] = {
        "host_device", "host_cdrom", "nbd", "iscsi", "rbd", "nfs", "ssh", "http", "https", "ftp", "ftps", "gluster",
        "io_uring", "vvfat",
};

/* "its disk 'NAME' WHY", and -EREMOTEIO. */
static int disk_complain(const char *name, const char *why, char **reterr) {
        _cleanup_free_ char *clean = utf8_escape(name);

        if (!clean || asprintf(reterr, "its disk '%.200s' %s", clean, why) < 0) {
                *reterr = NULL;
                return -ENOMEM;
        }
        return -EREMOTEIO;
}

/* What a link of /proc leads to, if that has a name. Returns its length, or 0. */
static size_t process_link_read(pid_t pid, const char *what, char path[static PATH_MAX]) {
        char link[64];
        ssize_t n;

        (void) snprintf(link, sizeof(link), "/proc/%lli/%s", (long long) pid, what);
        n = readlink(link, path, PATH_MAX - 1);
        if (n <= 0 || path[0] != '/')
                return 0;
        path[n] = 0;
        return (size_t) n;
}

/* The file of a set of descriptors, the first that has a name. */
static int fdset_find(Qmp *q, pid_t pid, uint64_t usec, int64_t set, char path[static PATH_MAX], char **reterr) {
        _cleanup_json_ struct json_object *value = NULL;
        int r;

        r = qmp_execute(q, "query-fdsets", NULL, usec, &value, reterr);
        if (r < 0)
                return r;
        for (size_t i = 0; json_object_is_type(value, json_type_array) && i < json_object_array_length(value); i++) {
                struct json_object *s = json_object_array_get_idx(value, i), *fds = json_get_array(s, "fds");

                for (size_t k = 0; json_get_int(s, "fdset-id", -1) == set && fds && k < json_object_array_length(fds);
                     k++) {
                        char what[32];
                        struct stat st;

                        (void) snprintf(what, sizeof(what), "fd/%lli",
                                        (long long) json_get_int(json_object_array_get_idx(fds, k), "fd", -1));
                        /* A file that has been removed has a name that leads nowhere. */
                        if (process_link_read(pid, what, path) > 0 && stat(path, &st) >= 0)
                                return 1;
                }
        }
        return 0;
}

static int disk_add(Qmp *q, pid_t pid, uint64_t usec, const char *file, StringList *ret, char **reterr) {
        const char *json = startswith(file, "json:"), *set = startswith(file, "/dev/fdset/");
        _cleanup_json_ struct json_object *o = NULL;
        char path[PATH_MAX];
        int r;

        if (json) {
                r = json_parse_strict(json, strlen(json), &o, /* reterr_key= */ NULL);
                if (r == -ENOMEM)
                        return r;
                file = r < 0 ? NULL : json_get_string(o, "filename");
                if (!file)
                        return disk_complain(json, "has no file name", reterr);
                set = startswith(file, "/dev/fdset/");
        }
        if (set) {
                char *end;
                long long number = strtoll(set, &end, 10);

                r = *set && !*end ? fdset_find(q, pid, usec, number, path, reterr) : 0;
                if (r == 0)
                        return disk_complain(file, "is a descriptor of a file that has no name", reterr);
                return r < 0 ? r : string_list_add(ret, path);
        }
        if (*file == '/')
                return string_list_add(ret, file);
        if (!*file || process_link_read(pid, "cwd", path) == 0)
                return disk_complain(file, "is in a directory that is not known; use an absolute path", reterr);
        return string_list_addf(ret, "%s/%s", path, file);
}

int guest_disks_list(Qmp *q, pid_t pid, uint64_t usec, StringList *ret, StringList *ret_unseen, char **reterr) {
        _cleanup_json_ struct json_object *arguments = json_object_new_object(), *value = NULL;
        int r;

        if (!arguments || json_add_bool(arguments, "flat", true) < 0)
                return -ENOMEM;
        r = qmp_execute(q, "query-named-block-nodes", TAKE_PTR(arguments), usec, &value, reterr);
        if (r < 0)
                return r;
        if (!json_object_is_type(value, json_type_array))
                return -EBADMSG;
        for (size_t i = 0; i < json_object_array_length(value); i++) {
                struct json_object *node = json_object_array_get_idx(value, i);
                const char *driver = json_get_string(node, "drv") ?: "", *file = json_get_string(node, "file");

                if (startswith(driver, "nvme") || startswith(driver, "virtio-blk-"))
                        return disk_complain(file ?: driver, "has a driver that has the guest's memory pinned or "
                                             "mapped elsewhere", reterr);
                if (streq(driver, "file")) {
                        r = disk_add(q, pid, usec, file ?: "", ret, reterr);
                        if (r < 0)
                                return r;
                }
                for (size_t k = 0; ret_unseen && k < ELEMENTSOF(unseen_drivers); k++)
                        if (streq(driver, unseen_drivers[k]) && !json_get_bool(node, "ro", false)) {
                                _cleanup_free_ char *clean = utf8_escape(file ?: driver);

                                if (!clean || string_list_add(ret_unseen, clean) < 0)
                                        return -ENOMEM;
                        }
        }
        return 0;
}

struct json_object *guest_disks_to_json(const StringList *paths) {
        _cleanup_json_ struct json_object *array = json_object_new_array();

        for (size_t i = 0; array && i < paths->n; i++) {
                struct stat st = { .st_size = -1, .st_mtim = { .tv_sec = -1, .tv_nsec = -1 } };
                _cleanup_json_ struct json_object *d = NULL;

                /* A block device has no time of the last change. */
                if (stat(paths->item[i], &st) >= 0 && !S_ISREG(st.st_mode))
                        continue;
                d = json_object_new_object();
                if (!d || json_add_string(d, "path", paths->item[i]) < 0 || json_add_int(d, "bytes", st.st_size) < 0 ||
                    json_add_int(d, "mtimeSec", st.st_mtim.tv_sec) < 0 ||
                    json_add_int(d, "mtimeNSec", st.st_mtim.tv_nsec) < 0 || json_append(array, TAKE_PTR(d)) < 0)
                        return NULL;
        }
        return TAKE_PTR(array);
}

/* The first path of an array that is not in another one, or NULL. Borrowed. */
static const char *disk_beyond(struct json_object *array, struct json_object *other) {
        for (size_t i = 0; i < json_object_array_length(array); i++) {
                const char *path = json_get_string(json_object_array_get_idx(array, i), "path") ?: "";
                bool found = false;

                for (size_t k = 0; !found && k < json_object_array_length(other); k++)
                        found = streq(path, json_get_string(json_object_array_get_idx(other, k), "path") ?: "");
                if (!found)
                        return path;
        }
        return NULL;
}

int guest_disks_differ(struct json_object *saved, struct json_object *now, char **ret_why) {
        const char *was = disk_beyond(saved, now), *is = disk_beyond(now, saved);

        *ret_why = NULL;
        if (!was && !is)
                return 0;

        _cleanup_free_ char *clean = utf8_escape(was ?: is);

        if (!clean || asprintf(ret_why, was ? "QEMU does not open its disk %s any more" :
                               "QEMU opens the disk %s, which it did not have", clean) < 0) {
                *ret_why = NULL;
                return -ENOMEM;
        }
        return 1;
}
