/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/stat.h>

#include "file-util.h"
#include "guest-files.h"
#include "log.h"

#define LIST_BYTES_MAX MIB(1)

/* Removes what an earlier start created. What the list says is checked: others may be able to write into the tree. */
static void files_remove_listed(const GuestRun *run) {
        _cleanup_json_ struct json_object *array = NULL;
        _cleanup_list_ StringList files = {};
        _cleanup_free_ char *text = NULL;
        struct stat st;
        size_t size;

        if (private_file_read(run->directory, GUEST_LIST_FILE, LIST_BYTES_MAX, &text, &size, &st) < 0 ||
            json_parse_strict(text, size, &array, /* reterr_key= */ NULL) < 0 ||
            !json_object_is_type(array, json_type_array) || string_list_from_json(array, &files) < 0)
                return;
        for (size_t i = 0; i < files.n; i++)
                if (qemu_path_is_below(files.item[i], run->path))
                        (void) unlink(files.item[i]);
}

void files_remove(const GuestRun *run, bool record) {
        files_remove_listed(run);
        (void) unlinkat(run->directory, GUEST_RAM_FILE, 0);
        (void) unlinkat(run->directory, GUEST_STATE_FILE, 0);
        (void) unlinkat(run->directory, GUEST_LIST_FILE, 0);
        if (record)
                (void) unlinkat(run->directory, GUEST_RECORD_FILE, 0);
}

static int list_write(const GuestRun *run) {
        _cleanup_json_ struct json_object *array = string_list_to_json(&run->plan.ram_files);
        const char *text;
        size_t length;

        text = array ? json_text(array, &length) : NULL;
        return text ? private_file_write(run->directory, GUEST_LIST_FILE, text, length) : -ENOMEM;
}

int files_create(const GuestRun *run) {
        struct stat st;
        int r;

        for (size_t i = 0; i < run->plan.ram_files.n; i++)
                if (lstat(run->plan.ram_files.item[i], &st) >= 0 && S_ISREG(st.st_mode)) {
                        log_error("Refusing to start guest '%s': '%s' exists, and pkram-qemu did not create it. "
                                  "Remove it, or use another name in mem-path=.", run->name,
                                  run->plan.ram_files.item[i]);
                        return -EOPNOTSUPP;
                }
        r = list_write(run);
        if (r < 0)
                return r;
        /* QEMU finds them, and gives them their size: its own would be readable for all. */
        for (size_t i = 0; i < run->plan.ram_files.n; i++) {
                _cleanup_close_ int fd = open(run->plan.ram_files.item[i],
                                              O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

                /* What is no regular file is found by files_check(). */
                if (fd < 0 && errno != EEXIST)
                        return -errno;
        }
        return 0;
}

uint64_t files_bytes(const GuestRun *run) {
        uint64_t sum = 0;
        struct stat st;

        for (size_t i = 0; i < run->plan.ram_files.n; i++)
                if (stat(run->plan.ram_files.item[i], &st) >= 0)
                        sum += (uint64_t) st.st_blocks * 512;
        if (fstatat(run->directory, GUEST_STATE_FILE, &st, AT_SYMLINK_NOFOLLOW) >= 0)
                sum += (uint64_t) st.st_blocks * 512;
        return sum;
}

bool files_are_there(const GuestRun *run) {
        for (size_t i = 0; i < run->plan.ram_files.n; i++)
                if (access(run->plan.ram_files.item[i], F_OK) < 0)
                        return false;
        return faccessat(run->directory, GUEST_STATE_FILE, F_OK, 0) >= 0;
}

int files_check(const GuestRun *run) {
        struct stat directory, st;

        if (fstat(run->directory, &directory) < 0)
                return log_error_errno(-errno, "Failed to examine '%s'", run->path);
        for (size_t i = 0; i < run->plan.ram_files.n; i++) {
                const char *path = run->plan.ram_files.item[i];

                if (lstat(path, &st) < 0)
                        return log_error_errno(-errno, "Failed to examine '%s'", path);
                if (S_ISREG(st.st_mode) && st.st_dev == directory.st_dev && st.st_size > 0)
                        continue;
                log_error("Refusing to start guest '%s': mem-path=%s has to name a file on the tree of '%s', and no "
                          "directory or link.", run->name, path, run->path);
                return -EOPNOTSUPP;
        }
        return 0;
}
