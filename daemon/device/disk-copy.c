/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/file.h>

#include "device-disk.h"
#include "disk-copy.h"
#include "disk-file-save.h"
#include "disk-file.h"
#include "disk-io.h"
#include "file-util.h"
#include "time-util.h"

/* Returns 1 if the file is a copy of this boot, which is removed then, else 0. */
static int file_clear(DiskCopies *c, const char *file) {
        int dir = c->directory.nodes, r;
        _cleanup_close_ int fd = -EBADF, lock = -EBADF;
        DiskHeader h;

        if (startswith(file, DISK_TEMPORARY)) {
                disk_node_remove_left(dir, file);
                return 0;
        }
        if (!disk_node_is_file(file))
                return 0;
        fd = disk_open(dir, file, O_RDONLY);
        /* One that cannot be read is no copy that the next boot takes for a node. */
        if (fd < 0 || disk_file_read_header(fd, &h) < 0)
                return 0;
        c->last_id = MAX(c->last_id, h.id);
        if (memcmp(h.boot_id, c->boot_id, sizeof(h.boot_id)) != 0)
                return 0;
        r = disk_node_lock(dir, file, &lock);
        if (r >= 0)
                r = disk_unlink(dir, file, 0);
        return r < 0 ? r : 1;
}

static int copies_clear(DiskCopies *c) {
        _cleanup_closedir_ DIR *stream = NULL;
        const struct dirent *de;
        bool changed = false;
        int r;

        r = disk_stream_open(disk_open_directory(c->directory.nodes, "."), &stream);
        if (r < 0)
                return r;
        while ((de = disk_read_entry(stream, &r))) {
                r = file_clear(c, de->d_name);
                changed = changed || r > 0;
        }
        return r >= 0 && changed ? disk_copies_sync(c) : r;
}

int disk_copies_open(const char *path, const DiskBoot *boot, DiskCopies *ret) {
        DiskCopies c = DISK_COPIES_NONE;
        int r;

        c.boot = *boot;
        c.last_id = DISK_ID_BASE;
        disk_boot_id_parse(boot->boot_id, c.boot_id);
        r = disk_directory_enter(path, boot, &c.directory);
        if (r >= 0)
                r = copies_clear(&c);
        if (r < 0) {
                disk_copies_done(&c);
                return r;
        }
        *ret = c;
        return 0;
}

void disk_copies_done(DiskCopies *c) {
        disk_directory_done(&c->directory);
}

int disk_copies_sync(const DiskCopies *c) {
        return disk_sync(c->directory.nodes);
}

int disk_copy_begin(DiskCopies *c, const char *node_name, DiskCopy *ret) {
        DiskCopy copy = DISK_COPY_NONE;
        int r;

        r = disk_node_create(c->directory.nodes, node_name, copy.temporary, &copy.fd);
        if (r < 0)
                return r;
        copy.id = c->last_id = MAX(now_usec(CLOCK_REALTIME), c->last_id + 1);
        *ret = copy;
        return 0;
}

int disk_copy_finish(const DiskCopies *c, const DiskCopy *copy) {
        DiskStamp stamp = {
                .id = copy->id,
                .stored_ns = now_usec(CLOCK_REALTIME) * NSEC_PER_USEC,
                .generation = c->directory.record.generation,
                .boot_id = c->boot_id,
                .release = c->boot.release,
        };
        DiskHeader h;

        return disk_file_commit(copy->fd, &stamp, &h);
}

int disk_copy_publish(const DiskCopies *c, DiskCopy *copy, const char *node_name) {
        int dir = c->directory.nodes, r;
        char file[DISK_FILE_NAME_MAX];
        _cleanup_close_ int old = -EBADF;

        disk_file_name(node_name, file);
        r = disk_node_lock(dir, file, &old);
        if (r < 0 && r != -ENOENT)
                return r;
        r = disk_rename(dir, copy->temporary, dir, file, 0);
        if (r < 0)
                return r;
        /* Processes that write other nodes may have inherited the descriptor. */
        (void) disk_lock(copy->fd, LOCK_UN);
        copy->fd = safe_close(copy->fd);
        return 0;
}

void disk_copy_done(const DiskCopies *c, DiskCopy *copy) {
        if (copy->fd >= 0)
                (void) disk_unlink(c->directory.nodes, copy->temporary, 0);
        copy->fd = safe_close(copy->fd);
}

int disk_copy_remove(const DiskCopies *c, const char *node_name) {
        char file[DISK_FILE_NAME_MAX];
        _cleanup_close_ int lock = -EBADF;
        int r;

        disk_file_name(node_name, file);
        r = disk_node_lock(c->directory.nodes, file, &lock);
        if (r >= 0)
                r = disk_unlink(c->directory.nodes, file, 0);
        return r == -ENOENT ? 0 : r;
}
