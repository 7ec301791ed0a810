/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /dev/pkram, one function a call. All of them return 0 or a negative errno as
 * documented in <linux/pkram.h>; -ENODEV, -ENOENT and -ENXIO from opening it mean
 * a kernel without PKRAM.
 */
#pragma once

#include <linux/pkram.h>

#include "macro.h"

/*
 * What is called underneath. Every function takes userdata first; open returns a
 * descriptor, and all return negative errno. Tests put a model of the kernel here.
 */
typedef struct PkramDeviceOps {
        int (*open)(void *userdata);
        int (*ioctl)(void *userdata, int fd, unsigned long request, void *argument);
        void (*close)(void *userdata, int fd);
} PkramDeviceOps;

typedef struct PkramDevice {
        const PkramDeviceOps *ops;
        void *userdata;
} PkramDevice;

/* The real one. */
extern const PkramDevice pkram_device_kernel;

/* An open descriptor in the saving or loading state. Freeing it aborts a save and ends a load. */
typedef struct PkramHandle {
        PkramDevice device;
        int fd;
} PkramHandle;

#define PKRAM_HANDLE_NONE ((PkramHandle) { .fd = -EBADF })

void pkram_handle_done(PkramHandle *h);
#define _cleanup_handle_ _cleanup_(pkram_handle_done)

/* True if the error means that this kernel has no PKRAM at all, or has it switched off. */
static inline bool pkram_errno_is_missing(int r) {
        return r == -ENODEV || r == -ENOENT || r == -ENXIO;
}

/*
 * --- calls that need no state ---
 * They open and close the device for themselves, since holding it would keep
 * the module of a future kernel busy for nothing.
 */

int pkram_device_info(const PkramDevice *device, struct pkram_ioctl_info *ret);

/*
 * Lists up to n nodes with ids above *cursor, in ascending order, and moves
 * *cursor on. flags: 0 or PKRAM_LIST_DROPPED. *ret_n < n means that the end was
 * reached. Names are NUL-terminated, whatever the kernel says.
 */
int pkram_device_list(const PkramDevice *device, uint32_t flags, uint64_t *cursor, struct pkram_node_info *nodes,
                      uint32_t n, uint32_t *ret_n);

/* --- saving --- */

/* name: 1 to PKRAM_NODE_NAME_MAX bytes. */
int pkram_save_begin(const PkramDevice *device, const char *name, PkramHandle *ret);

/* The whole file. Outputs may be NULL; *ret_pages counts 4096 bytes each. */
int pkram_save_file(PkramHandle *h, int fd, uint32_t *ret_object, uint64_t *ret_pages);

/* A byte stream of its own, of any length, 0 included. */
int pkram_save_bytes(PkramHandle *h, const void *data, size_t length, uint32_t *ret_object);

/* Ends the save if it succeeds, and leaves it as it was otherwise. */
int pkram_save_commit(PkramHandle *h, bool replace, uint64_t *ret_id);

/* --- loading --- */

int pkram_load_begin(const PkramDevice *device, const char *name, PkramHandle *ret, uint64_t *ret_id);

/*
 * For a look at one node after the other: pkram_load_end() lets go of the node, and leaves the
 * handle for pkram_load_next(), which opens it if it is PKRAM_HANDLE_NONE. Where a session is for
 * one node only, as on disk, pkram_load_end() closes it.
 */
int pkram_load_next(const PkramDevice *device, PkramHandle *h, const char *name, uint64_t *ret_id);
int pkram_load_end(PkramHandle *h);

int pkram_load_stat(PkramHandle *h, uint32_t object, struct pkram_ioctl_stat *ret);

/* A new descriptor, owned by the caller. charge_pidfd: whose memory it becomes, or PKRAM_FD_NONE. */
int pkram_load_file(PkramHandle *h, uint32_t object, int charge_pidfd, int *ret_fd);

/* Puts the pages into an empty file of a tmpfs, open for writing. -EBUSY: the object exists as a file already. */
int pkram_load_file_into(PkramHandle *h, uint32_t object, int charge_pidfd, int target_fd);

/* The whole byte stream, to be freed, NUL-terminated besides. -EFBIG if it is longer than max bytes. */
int pkram_load_bytes(PkramHandle *h, uint32_t object, size_t max, void **ret, size_t *ret_size);

/* A part of the byte stream into a buffer of size bytes. *ret_size may be less, and is 0 at the end. */
int pkram_load_bytes_at(PkramHandle *h, uint32_t object, uint64_t offset, void *buffer, size_t size, size_t *ret_size);

/* Removes the node that this handle is loading; the handle is done with then. name has to be its name. */
int pkram_load_remove(PkramHandle *h, const char *name);
