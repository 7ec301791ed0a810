/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>

#include "device-places.h"

/* A node that is being saved in memory. */
typedef struct Saving {
        int fd;
        char name[PKRAM_NODE_NAME_MAX + 1];
} Saving;

struct Places {
        PkramDevice memory, disk;
        DiskDevice *disk_device; /* of disk */
        bool memory_is_off, memory_is_there;
        const char *path;
        char state_path[128];
        Saving *saving;
        size_t n_saving, saving_allocated;
};

int places_new(const PkramDevice *memory, DiskDevice *disk, const char *disk_path, Places **ret) {
        struct pkram_ioctl_info info;
        Places *p = calloc(1, sizeof(Places));
        int r;

        if (!p)
                return -ENOMEM;
        r = pkram_device_info(memory, &info);
        p->memory = *memory;
        p->disk = disk_device(disk);
        p->disk_device = disk;
        p->path = disk_path;
        (void) snprintf(p->state_path, sizeof(p->state_path), "%s/state", disk_path);
        /* All other calls would fail. */
        p->memory_is_off = r >= 0 && info.boot_result == PKRAM_BOOT_OFF;
        p->memory_is_there = r >= 0 && !p->memory_is_off;
        if (p->memory_is_there)
                disk_device_hide_own(disk);
        *ret = p;
        return 0;
}

Places *places_free(Places *p) {
        if (p)
                free(p->saving);
        free(p);
        return NULL;
}

static int places_open(void *userdata) {
        Places *p = userdata;
        int fd = -ENODEV;

        if (!p->memory_is_off)
                fd = p->memory.ops->open(p->memory.userdata);
        if (pkram_errno_is_missing(fd))
                return p->disk.ops->open(p->disk.userdata);
        return fd;
}

static int memory_call(Places *p, int fd, unsigned long request, void *a) {
        return p->memory.ops->ioctl(p->memory.userdata, fd, request, a);
}

static int disk_call(Places *p, int fd, unsigned long request, void *a) {
        return p->disk.ops->ioctl(p->disk.userdata, fd, request, a);
}

/* With PKRAM a directory is not created. */
static bool disk_is_there(const Places *p) {
        return disk_may_have_nodes(p->state_path);
}

bool places_read_disk(const Places *p) {
        return !p->memory_is_there || disk_is_there(p);
}

/* Makes a call that needs no state. Returns -ENOENT if the disk is not used yet. */
static int disk_call_once(Places *p, unsigned long request, void *a) {
        int r, fd;

        if (!disk_is_there(p))
                return -ENOENT;
        fd = p->disk.ops->open(p->disk.userdata);
        if (fd < 0)
                return fd;
        r = disk_call(p, fd, request, a);
        p->disk.ops->close(p->disk.userdata, fd);
        return r;
}

static int places_info(Places *p, int fd, struct pkram_ioctl_info *a) {
        struct pkram_ioctl_info other = { .size = sizeof(other) };
        int r;

        /* The numbers are for people, and for limits, of which each Store takes stock itself. */
        r = memory_call(p, fd, PKRAM_IOC_INFO, a);
        if (r < 0 || disk_call_once(p, PKRAM_IOC_INFO, &other) < 0)
                return r;
        a->nr_nodes += other.nr_nodes;
        a->data_pages += other.data_pages;
        a->meta_pages += other.meta_pages;
        a->nr_dropped += other.nr_dropped;
        return 0;
}

/*
 * Ids on disk are greater than all those in memory. If the disk cannot be used, those in memory are listed: what is in
 * them can be retrieved. Nothing can be stored then.
 */
static int places_list(Places *p, int fd, struct pkram_ioctl_list *a) {
        struct pkram_ioctl_list rest = *a;
        int r;

        if (a->cursor < DISK_ID_BASE) {
                r = memory_call(p, fd, PKRAM_IOC_LIST, a);
                if (r < 0 || a->returned >= a->capacity)
                        return r;
                rest.nodes += (uint64_t) a->returned * a->node_size;
                rest.capacity -= a->returned;
                rest.cursor = DISK_ID_BASE;
        } else
                a->returned = 0;

        r = disk_call_once(p, PKRAM_IOC_LIST, &rest);
        if (r < 0)
                return 0;
        a->returned += rest.returned;
        if (rest.returned > 0)
                a->cursor = rest.cursor;
        return 0;
}

/* Has the descriptor, which is idle, go on as one of the disk. */
static int become_disk(Places *p, int fd) {
        int r = 0, other;

        other = p->disk.ops->open(p->disk.userdata);
        if (other < 0)
                return other;
        if (dup3(other, fd, O_CLOEXEC) < 0)
                r = -errno;
        p->disk.ops->close(p->disk.userdata, other);
        return r;
}

/* If the disk cannot be used, a node that is not in memory may be there, so that it is not reported as missing. */
static int load_begin(Places *p, int fd, struct pkram_ioctl_name *a) {
        int r;

        r = memory_call(p, fd, PKRAM_IOC_LOAD_BEGIN, a);
        if (r != -ENOENT || !disk_is_there(p))
                return r;
        r = become_disk(p, fd);
        if (r < 0)
                return r;
        return disk_call(p, fd, PKRAM_IOC_LOAD_BEGIN, a);
}

/* Checks whether the descriptor, which is one of the memory, is loading a node. */
static bool memory_is_loading(const PkramDevice *memory, int fd) {
        struct pkram_ioctl_stat stat = { .size = sizeof(stat) };

        return memory->ops->ioctl(memory->userdata, fd, PKRAM_IOC_LOAD_STAT, &stat) != -EBADFD;
}

/*
 * Removes the copy that a cancelled shutdown has left on disk, before the node in memory is removed: the next boot
 * must not find it. If that fails, the node stays.
 */
static int remove_copy(const PkramDevice *memory, int fd, const char *path, const struct pkram_ioctl_name *a) {
        if (!memchr(a->name, 0, sizeof(a->name)) || !memory_is_loading(memory, fd))
                return 0;
        return disk_device_remove_copy(path, a->name);
}

static int places_remove_node(Places *p, int fd, struct pkram_ioctl_name *a) {
        int r;

        r = disk_is_there(p) ? remove_copy(&p->memory, fd, p->path, a) : 0;
        if (r < 0)
                return r;
        r = memory_call(p, fd, PKRAM_IOC_REMOVE, a);
        return r == -ENOENT ? disk_call_once(p, PKRAM_IOC_REMOVE, a) : r;
}

static Saving *saving_find(const Places *p, int fd) {
        for (size_t i = 0; i < p->n_saving; i++)
                if (p->saving[i].fd == fd)
                        return p->saving + i;
        return NULL;
}

static void saving_end(Places *p, int fd) {
        Saving *s = saving_find(p, fd);

        if (s)
                *s = p->saving[--p->n_saving];
}

static int places_save_begin(Places *p, int fd, struct pkram_ioctl_name *a) {
        int r;

        r = GREEDY_REALLOC(p->saving, p->saving_allocated, p->n_saving + 1);
        if (r < 0)
                return r;
        r = memory_call(p, fd, PKRAM_IOC_SAVE_BEGIN, a);
        if (r < 0)
                return r;
        p->saving[p->n_saving].fd = fd;
        memcpy(p->saving[p->n_saving++].name, a->name, sizeof(a->name));
        return 0;
}

/*
 * A node on disk with the same name is older, and must not be found after the next boot. If it cannot be removed, the
 * call fails although the node is in memory: the caller does not rely on it, and replaces it with the next attempt.
 * Nothing is stored if a node with that name may be on disk that cannot be read.
 */
static int places_commit(Places *p, int fd, struct pkram_ioctl_commit *a) {
        struct pkram_ioctl_name name = { .size = sizeof(name) };
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        Saving *s = saving_find(p, fd);
        bool replaces = false, there = s && disk_is_there(p);
        int r;

        if (there) {
                memcpy(name.name, s->name, sizeof(name.name));
                r = pkram_load_begin(&p->disk, name.name, &h, /* ret_id= */ NULL);
                if (r < 0 && r != -ENOENT)
                        return r;
                replaces = r >= 0;
                if (replaces && !(a->flags & PKRAM_COMMIT_REPLACE))
                        return -EEXIST;
        }
        r = memory_call(p, fd, PKRAM_IOC_SAVE_COMMIT, a);
        if (r < 0)
                return r;
        saving_end(p, fd);
        if (replaces)
                return pkram_load_remove(&h, name.name);
        /* A copy for the next boot is not loaded by any client. */
        return there ? disk_device_drop_copy(p->disk_device, name.name) : 0;
}

int places_remove_hidden(Places *p) {
        struct pkram_ioctl_info info;
        struct pkram_node_info nodes[64];
        uint64_t cursor = 0;
        uint32_t n = 0;
        int r = 0, k;

        if (!p->memory_is_there || !disk_is_there(p))
                return 0;
        k = pkram_device_info(&p->disk, &info);
        if (k < 0 || info.nr_nodes == 0)
                return k;
        do {
                k = pkram_device_list(&p->memory, /* flags= */ 0, &cursor, nodes, ELEMENTSOF(nodes), &n);
                if (k < 0)
                        return k;
                for (uint32_t i = 0; i < n; i++) {
                        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;

                        k = pkram_load_begin(&p->disk, nodes[i].name, &h, /* ret_id= */ NULL);
                        if (k >= 0)
                                k = pkram_load_remove(&h, nodes[i].name);
                        if (k < 0 && k != -ENOENT && r >= 0)
                                r = k;
                }
        } while (n == ELEMENTSOF(nodes));
        return r;
}

static int places_ioctl(void *userdata, int fd, unsigned long request, void *a) {
        Places *p = userdata;

        if (disk_device_has(fd))
                return disk_call(p, fd, request, a);

        switch (request) {
        case PKRAM_IOC_INFO:
                return places_info(p, fd, a);
        case PKRAM_IOC_LIST:
                return places_list(p, fd, a);
        case PKRAM_IOC_LOAD_BEGIN:
                return load_begin(p, fd, a);
        case PKRAM_IOC_REMOVE:
                return places_remove_node(p, fd, a);
        case PKRAM_IOC_SAVE_BEGIN:
                return places_save_begin(p, fd, a);
        case PKRAM_IOC_SAVE_COMMIT:
                return places_commit(p, fd, a);
        default:
                return memory_call(p, fd, request, a);
        }
}

static void places_close(void *userdata, int fd) {
        Places *p = userdata;

        if (disk_device_has(fd)) {
                p->disk.ops->close(p->disk.userdata, fd);
                return;
        }
        saving_end(p, fd);
        p->memory.ops->close(p->memory.userdata, fd);
}

static const PkramDeviceOps places_ops = {
        .open = places_open,
        .ioctl = places_ioctl,
        .close = places_close,
};

PkramDevice places_device(Places *p) {
        return (PkramDevice) { .ops = &places_ops, .userdata = p };
}

/* --- in another process --- */

static int attached_open(_unused_ void *userdata) {
        return pkram_device_kernel.ops->open(pkram_device_kernel.userdata);
}

static int attached_ioctl(void *userdata, int fd, unsigned long request, void *a) {
        if (disk_device_has(fd))
                return disk_device_ioctl_attached(userdata, fd, request, a);
        if (request == PKRAM_IOC_REMOVE) {
                int r = remove_copy(&pkram_device_kernel, fd, userdata, a);

                if (r < 0)
                        return r;
        }
        return pkram_device_kernel.ops->ioctl(pkram_device_kernel.userdata, fd, request, a);
}

static void attached_close(_unused_ void *userdata, int fd) {
        safe_close(fd);
}

static const PkramDeviceOps attached_ops = {
        .open = attached_open,
        .ioctl = attached_ioctl,
        .close = attached_close,
};

const PkramDevice pkram_device_attached = {
        .ops = &attached_ops,
        .userdata = (char *) PKRAM_DISK_DIRECTORY,
};
