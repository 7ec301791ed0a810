/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls of /dev/pkram, with one function for each. All functions return 0 or a
 * negative errno as documented in <linux/pkram.h>. If opening the device fails with
 * -ENODEV, -ENOENT or -ENXIO, the kernel has no PKRAM.
 */
#pragma once

#include <linux/pkram.h>

#include "macro.h"

/*
 * The system calls that the functions below use. Each takes userdata as its first
 * argument. open and ioctl return a negative errno on failure; open returns a
 * descriptor otherwise. Tests put a model of the kernel here.
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

/* The device of the running kernel. */
extern const PkramDevice pkram_device_kernel;

/* An open descriptor in the saving or loading state. Freeing it aborts a save and ends a load. */
typedef struct PkramHandle {
        PkramDevice device;
        int fd;
} PkramHandle;

#define PKRAM_HANDLE_NONE ((PkramHandle) { .fd = -EBADF })

void pkram_handle_done(PkramHandle *h);
#define _cleanup_handle_ _cleanup_(pkram_handle_done)

/* Returns true if the error means that this kernel has no PKRAM, or that PKRAM is disabled. */
static inline bool pkram_errno_is_missing(int r) {
        return r == -ENODEV || r == -ENOENT || r == -ENXIO;
}

/*
 * --- calls that need no state ---
 * Each of these calls opens and closes the device: if the device is a module in a
 * future kernel, a descriptor that stays open would keep the module in use.
 */

int pkram_device_info(const PkramDevice *device, struct pkram_ioctl_info *ret);

/*
 * Lists up to n nodes with ids above *cursor, in ascending order, and moves
 * *cursor on. flags is 0 or PKRAM_LIST_DROPPED. The end was reached if *ret_n < n.
 * Names are NUL-terminated, even if the kernel returns one that is not.
 */
int pkram_device_list(const PkramDevice *device, uint32_t flags, uint64_t *cursor, struct pkram_node_info *nodes,
                      uint32_t n, uint32_t *ret_n);

/* --- saving --- */

/* Begins to save a node. name has 1 to PKRAM_NODE_NAME_MAX bytes. */
int pkram_save_begin(const PkramDevice *device, const char *name, PkramHandle *ret);

/* Saves a whole file as an object. ret_object and ret_pages may be NULL. *ret_pages counts pages of 4096 bytes. */
int pkram_save_file(PkramHandle *h, int fd, uint32_t *ret_object, uint64_t *ret_pages);

/* Saves bytes as an object of their own. length may be 0. */
int pkram_save_bytes(PkramHandle *h, const void *data, size_t length, uint32_t *ret_object);

/* Commits the node and ends the save. If this fails, the save remains as it was. */
int pkram_save_commit(PkramHandle *h, bool replace, uint64_t *ret_id);

/* --- loading --- */

int pkram_load_begin(const PkramDevice *device, const char *name, PkramHandle *ret, uint64_t *ret_id);

/*
 * Inspect one node after the other with the same handle. pkram_load_next() opens the node, and the
 * handle too if it is PKRAM_HANDLE_NONE. pkram_load_end() closes the node, but not the handle. If a
 * session can open one node only, as on disk, pkram_load_end() closes the handle as well.
 */
int pkram_load_next(const PkramDevice *device, PkramHandle *h, const char *name, uint64_t *ret_id);
int pkram_load_end(PkramHandle *h);

int pkram_load_stat(PkramHandle *h, uint32_t object, struct pkram_ioctl_stat *ret);

/* Loads a file and returns a new descriptor, which the caller closes. charge_pidfd is the process whose memory control
 * group is charged, or PKRAM_FD_NONE. */
int pkram_load_file(PkramHandle *h, uint32_t object, int charge_pidfd, int *ret_fd);

/* Loads a file into target_fd, an empty file of a tmpfs that is open for writing. Returns -EBUSY if the object already
 * exists as a file. */
int pkram_load_file_into(PkramHandle *h, uint32_t object, int charge_pidfd, int target_fd);

/* Loads a whole byte stream. The caller frees *ret, which has a NUL byte after its *ret_size bytes. Returns -EFBIG if
 * the byte stream is longer than max bytes. */
int pkram_load_bytes(PkramHandle *h, uint32_t object, size_t max, void **ret, size_t *ret_size);

/* Loads the part of a byte stream from offset on into a buffer of size bytes. *ret_size may be less than size, and is
 * 0 at the end. */
int pkram_load_bytes_at(PkramHandle *h, uint32_t object, uint64_t offset, void *buffer, size_t size, size_t *ret_size);

/* Removes the node that this handle is loading, and ends the load. name must be the name of the node. */
int pkram_load_remove(PkramHandle *h, const char *name);
