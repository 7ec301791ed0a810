/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>

#include "disk-file-save.h"
#include "disk-io.h"
#include "disk-node.h"

bool disk_node_is_file(const char *file) {
        return strlen(file) == DISK_FILE_NAME_MAX - 1 && streq(file + 32, ".node");
}

int disk_node_create(int directory, const char *node_name, char ret_file[DISK_TEMPORARY_MAX], int *ret_fd) {
        _cleanup_close_ int fd = -EBADF;
        uint64_t random;
        int r;

        if (getrandom(&random, sizeof(random), 0) != (ssize_t) sizeof(random))
                return -EIO;
        (void) snprintf(ret_file, DISK_TEMPORARY_MAX, DISK_TEMPORARY "%016llx", (unsigned long long) random);
        fd = disk_open(directory, ret_file, O_RDWR | O_CREAT | O_EXCL);
        if (fd < 0)
                return fd;
        r = disk_lock(fd, LOCK_SH);
        if (r >= 0)
                r = disk_file_begin(fd, node_name);
        if (r < 0) {
                (void) disk_unlink(directory, ret_file, 0);
                return r;
        }
        *ret_fd = TAKE_FD(fd);
        return 0;
}

void disk_node_remove_left(int directory, const char *file) {
        _cleanup_close_ int fd = -EBADF;

        /* Files that are being saved are locked. */
        if (disk_node_lock(directory, file, &fd) >= 0)
                (void) disk_unlink(directory, file, 0);
}

int disk_node_lock(int directory, const char *file, int *ret_fd) {
        _cleanup_close_ int fd = disk_open_to_lock(directory, file);
        int r;

        if (fd < 0)
                return fd;
        r = disk_lock(fd, LOCK_EX);
        if (r < 0)
                return r;
        *ret_fd = TAKE_FD(fd);
        return 0;
}
