/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/ioctl.h>

#include "device.h"

/* Bytes copied in one call: long enough to make calls cheap, short enough for the kernel's 1 GiB. */
#define BYTES_PER_CALL MIB(64)

static int kernel_open(_unused_ void *userdata) {
        int fd;

        fd = open(PKRAM_DEVICE, O_RDWR | O_CLOEXEC | O_NOCTTY);
        return fd < 0 ? -errno : fd;
}

static int kernel_ioctl(_unused_ void *userdata, int fd, unsigned long request, void *argument) {
        return ioctl(fd, request, argument) < 0 ? -errno : 0;
}

static void kernel_close(_unused_ void *userdata, int fd) {
        (void) close(fd);
}

static const PkramDeviceOps kernel_ops = {
        .open = kernel_open,
        .ioctl = kernel_ioctl,
        .close = kernel_close,
};

const PkramDevice pkram_device_kernel = {
        .ops = &kernel_ops,
};

static int handle_open(const PkramDevice *device, PkramHandle *ret) {
        int fd;

        fd = device->ops->open(device->userdata);
        if (fd < 0)
                return fd;

        *ret = (PkramHandle) { .device = *device, .fd = fd };
        return 0;
}

void pkram_handle_done(PkramHandle *h) {
        if (h->fd >= 0)
                h->device.ops->close(h->device.userdata, h->fd);
        h->fd = -EBADF;
}

static int device_call(PkramHandle *h, unsigned long request, void *argument) {
        return h->device.ops->ioctl(h->device.userdata, h->fd, request, argument);
}

int pkram_device_info(const PkramDevice *device, struct pkram_ioctl_info *ret) {
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        struct pkram_ioctl_info info = { .size = sizeof(info) };
        int r;

        r = handle_open(device, &h);
        if (r < 0)
                return r;
        r = device_call(&h, PKRAM_IOC_INFO, &info);
        if (r < 0)
                return r;

        info.prev_release[sizeof(info.prev_release) - 1] = 0;
        *ret = info;
        return 0;
}

int pkram_device_list(
                const PkramDevice *device,
                uint32_t flags,
                uint64_t *cursor,
                struct pkram_node_info *nodes,
                uint32_t n,
                uint32_t *ret_n) {

        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        struct pkram_ioctl_list list = {
                .size = sizeof(list),
                .flags = flags,
                .cursor = *cursor,
                .nodes = (uintptr_t) nodes,
                .capacity = n,
                .node_size = sizeof(struct pkram_node_info),
        };
        int r;

        r = handle_open(device, &h);
        if (r < 0)
                return r;
        r = device_call(&h, PKRAM_IOC_LIST, &list);
        if (r < 0)
                return r;
        if (list.returned > n)
                return -EBADMSG;

        for (uint32_t i = 0; i < list.returned; i++)
                nodes[i].name[PKRAM_NODE_NAME_MAX] = 0;
        *cursor = list.cursor;
        *ret_n = list.returned;
        return 0;
}

static int set_name(struct pkram_ioctl_name *argument, const char *name) {
        size_t n = strlen(name);

        if (n > PKRAM_NODE_NAME_MAX)
                return -ENAMETOOLONG;
        memcpy(argument->name, name, n + 1);
        return 0;
}

static int device_begin(const PkramDevice *device, unsigned long request, const char *name, PkramHandle *ret,
                        uint64_t *ret_id) {
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        struct pkram_ioctl_name argument = { .size = sizeof(argument) };
        int r;

        r = set_name(&argument, name);
        if (r < 0)
                return r;
        r = handle_open(device, &h);
        if (r < 0)
                /* -ENOENT is what the call says for a missing node, so it cannot stand for a missing device too. */
                return r == -ENOENT ? -ENODEV : r;
        r = device_call(&h, request, &argument);
        if (r < 0)
                return r;

        *ret = h;
        h = PKRAM_HANDLE_NONE;
        if (ret_id)
                *ret_id = argument.id;
        return 0;
}

int pkram_save_begin(const PkramDevice *device, const char *name, PkramHandle *ret) {
        return device_begin(device, PKRAM_IOC_SAVE_BEGIN, name, ret, /* ret_id= */ NULL);
}

int pkram_save_file(PkramHandle *h, int fd, uint32_t *ret_object, uint64_t *ret_pages) {
        struct pkram_ioctl_save_file argument = { .size = sizeof(argument), .fd = fd };
        int r;

        r = device_call(h, PKRAM_IOC_SAVE_FILE, &argument);
        if (r < 0)
                return r;

        if (ret_object)
                *ret_object = argument.object;
        if (ret_pages)
                *ret_pages = argument.pages;
        return 0;
}

int pkram_save_bytes(PkramHandle *h, const void *data, size_t length, uint32_t *ret_object) {
        struct pkram_ioctl_bytes argument = { .size = sizeof(argument), .object = PKRAM_OBJECT_NEW };
        const uint8_t *p = data;
        int r;

        do {
                argument.data = (uintptr_t) p;
                argument.length = MIN(length, (size_t) BYTES_PER_CALL);

                uint64_t n = argument.length;
                r = device_call(h, PKRAM_IOC_SAVE_BYTES, &argument);
                if (r < 0)
                        return r;
                p += n;
                length -= n;
        } while (length > 0);

        if (ret_object)
                *ret_object = argument.object;
        return 0;
}

int pkram_save_commit(PkramHandle *h, bool replace, uint64_t *ret_id) {
        struct pkram_ioctl_commit argument = {
                .size = sizeof(argument),
                .flags = replace ? PKRAM_COMMIT_REPLACE : 0,
        };
        int r;

        r = device_call(h, PKRAM_IOC_SAVE_COMMIT, &argument);
        if (r < 0)
                return r;

        if (ret_id)
                *ret_id = argument.id;
        return 0;
}

int pkram_load_begin(const PkramDevice *device, const char *name, PkramHandle *ret, uint64_t *ret_id) {
        return device_begin(device, PKRAM_IOC_LOAD_BEGIN, name, ret, ret_id);
}

int pkram_load_next(const PkramDevice *device, PkramHandle *h, const char *name, uint64_t *ret_id) {
        struct pkram_ioctl_name argument = { .size = sizeof(argument) };
        int r;

        if (h->fd < 0)
                return pkram_load_begin(device, name, h, ret_id);

        r = set_name(&argument, name);
        if (r < 0)
                return r;
        r = device_call(h, PKRAM_IOC_LOAD_BEGIN, &argument);
        if (r < 0)
                return r;
        *ret_id = argument.id;
        return 0;
}

int pkram_load_end(PkramHandle *h) {
        struct pkram_ioctl_simple argument = { .size = sizeof(argument) };
        int r;

        r = device_call(h, PKRAM_IOC_LOAD_END, &argument);
        if (r == -ENOTTY) {
                pkram_handle_done(h);
                r = 0;
        }
        return r;
}

int pkram_load_stat(PkramHandle *h, uint32_t object, struct pkram_ioctl_stat *ret) {
        struct pkram_ioctl_stat argument = { .size = sizeof(argument), .object = object };
        int r;

        r = device_call(h, PKRAM_IOC_LOAD_STAT, &argument);
        if (r < 0)
                return r;

        *ret = argument;
        return 0;
}

int pkram_load_file(PkramHandle *h, uint32_t object, int charge_pidfd, int *ret_fd) {
        struct pkram_ioctl_load_file argument = {
                .size = sizeof(argument),
                .object = object,
                .target_fd = PKRAM_FD_NONE,
                .fd = PKRAM_FD_NONE,
                .charge_pidfd = charge_pidfd,
        };
        int r;

        r = device_call(h, PKRAM_IOC_LOAD_FILE, &argument);
        if (r < 0)
                return r;
        if (argument.fd < 0)
                return -EBADMSG;

        *ret_fd = argument.fd;
        return 0;
}

int pkram_load_file_into(PkramHandle *h, uint32_t object, int charge_pidfd, int target_fd) {
        struct pkram_ioctl_load_file argument = {
                .size = sizeof(argument),
                .object = object,
                .target_fd = target_fd,
                .fd = PKRAM_FD_NONE,
                .charge_pidfd = charge_pidfd,
        };

        return device_call(h, PKRAM_IOC_LOAD_FILE, &argument);
}

int pkram_load_bytes_at(
                PkramHandle *h, uint32_t object, uint64_t offset, void *buffer, size_t size, size_t *ret_size) {

        size_t length = MIN(size, (size_t) BYTES_PER_CALL);
        struct pkram_ioctl_bytes argument = {
                .size = sizeof(argument),
                .object = object,
                .offset = offset,
                .data = (uintptr_t) buffer,
                .length = length,
        };
        int r;

        r = device_call(h, PKRAM_IOC_LOAD_BYTES, &argument);
        if (r < 0)
                return r;
        if (argument.length > size)
                return -EBADMSG;

        *ret_size = argument.length;
        return 0;
}

int pkram_load_bytes(PkramHandle *h, uint32_t object, size_t max, void **ret, size_t *ret_size) {
        _cleanup_free_ uint8_t *data = NULL;
        struct pkram_ioctl_stat st;
        size_t done = 0;
        int r;

        r = pkram_load_stat(h, object, &st);
        if (r < 0)
                return r;
        if (st.data_bytes > max)
                return -EFBIG;

        data = malloc(st.data_bytes + 1);
        if (!data)
                return -ENOMEM;

        while (done < st.data_bytes) {
                size_t n;

                r = pkram_load_bytes_at(h, object, done, data + done, st.data_bytes - done, &n);
                if (r < 0)
                        return r;
                if (n == 0)
                        return -EBADMSG;
                done += n;
        }

        data[done] = 0;
        *ret = TAKE_PTR(data);
        *ret_size = done;
        return 0;
}

int pkram_load_remove(PkramHandle *h, const char *name) {
        struct pkram_ioctl_name argument = { .size = sizeof(argument) };
        int r;

        r = set_name(&argument, name);
        if (r < 0)
                return r;
        return device_call(h, PKRAM_IOC_REMOVE, &argument);
}
